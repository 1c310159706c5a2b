//! Values as clients write them, read by the definition and not by their look (GFD.229, GFD.226).

use crate::{Input, Value, ValueType};
use std::net::IpAddr;

/// Whole numbers up to here are exact in a float, and so mean the same in every rendering.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl ValueType {
    /// Reads what a client wrote; nothing if it does not fit.
    ///
    /// Text renderings quote numbers and leave words bare, so both are understood for both; lists and objects are JSON
    /// in a string there. A JSON value must have its type, but for numbers in strings. Aliases of words become the
    /// words, addresses their usual form.
    pub fn read(&self, input: &Input) -> Option<Value> {
        match input {
            Input::Token(text) | Input::Quoted(text) => self.read_text(text),
            Input::Typed(value) => self.check(value),
            Input::Null => None,
        }
    }

    /// Takes a typed value as [`ValueType::read`] does.
    pub fn check(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Integer { .. } | Self::Float { .. }, Value::Integer(_) | Value::Float(_)) => self.number(value),
            (Self::Integer { .. } | Self::Float { .. }, Value::String(text)) => self.number(&number(text)?),
            (Self::Boolean, Value::Boolean(truth)) => Some((*truth).into()),
            (Self::List, Value::List(_)) | (Self::Hash, Value::Hash(_)) => Some(value.clone()),
            (Self::Boolean | Self::List | Self::Hash, _) => None,
            (_, Value::String(text)) => self.word(text),
            _ => None,
        }
    }

    fn read_text(&self, text: &str) -> Option<Value> {
        match self {
            Self::Integer { .. } | Self::Float { .. } => self.number(&number(text)?),
            Self::Boolean => {
                let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
                if is("true") || is("yes") {
                    Some(true.into())
                } else if is("false") || is("no") {
                    Some(false.into())
                } else {
                    None
                }
            }
            Self::List | Self::Hash => {
                let json = serde_json::from_str(text).ok()?;
                self.check(&Value::from_json(&json)?)
            }
            _ => self.word(text),
        }
    }

    /// A number within bounds.
    fn number(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Integer { min, max } => {
                let number = value.as_i64()?;
                let fits = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
                fits.then_some(Value::Integer(number))
            }
            Self::Float { above } => {
                let number = value.as_f64().filter(|number| number.is_finite())?;
                above.is_none_or(|bound| number > bound).then_some(Value::Float(number))
            }
            _ => None,
        }
    }

    /// A value that is text.
    fn word(&self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(text.into()),
            Self::Enum { values, aliases } => values
                .iter()
                .find(|value| **value == text)
                .or_else(|| aliases.iter().find(|(alias, _)| *alias == text).map(|(_, word)| word))
                .or_else(|| values.iter().find(|value| value.eq_ignore_ascii_case(text)))
                .map(|word| (*word).into()),
            Self::Uri => is_uri_reference(text).then(|| text.into()),
            Self::IpAddr => text
                .trim()
                .parse::<IpAddr>()
                .ok()
                .map(|address| address.to_string().into()),
            Self::IpNet => text
                .trim()
                .parse::<ipnet::IpNet>()
                .ok()
                .map(|network| network.to_string().into()),
            Self::Mac => mac(text.trim()).map(Value::String),
            Self::DateTime => is_date_or_time(text.trim()).then(|| text.trim().into()),
            Self::Integer { .. } | Self::Float { .. } | Self::Boolean | Self::List | Self::Hash => None,
        }
    }

    /// What is expected, to end the sentence "... must be".
    pub fn expected(&self) -> String {
        match self {
            Self::String => "a text".to_owned(),
            Self::Integer { min, max } => match (min, max) {
                (Some(min), Some(max)) => format!("a whole number from {min} to {max}"),
                (Some(min), None) => format!("a whole number of at least {min}"),
                (None, Some(max)) => format!("a whole number of at most {max}"),
                (None, None) => "a whole number".to_owned(),
            },
            Self::Float { above: Some(above) } => format!("a number greater than {above}"),
            Self::Float { above: None } => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Enum { values, .. } => match values {
                [only] => (*only).to_owned(),
                _ => format!("one of {}", values.join(", ")),
            },
            Self::Uri => "a URI or a path".to_owned(),
            Self::IpAddr => "an IPv4 or IPv6 address".to_owned(),
            Self::IpNet => "an IPv4 or IPv6 network such as 192.0.2.0/24".to_owned(),
            Self::Mac => "the MAC address of one interface, such as 02:00:0a:00:00:07".to_owned(),
            Self::DateTime => "a date, a time or both (RFC 3339)".to_owned(),
            Self::List => "a list (JSON in text renderings)".to_owned(),
            Self::Hash => "an object (JSON in text renderings)".to_owned(),
        }
    }
}

/// Plain decimal digits, with a sign, a fraction and an exponent if one likes; no "inf", no "nan".
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::Integer(whole));
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    Some(if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        Value::Integer(number as i64)
    } else {
        Value::Float(number)
    })
}

/// Six hexadecimal pairs that name one interface (no group address), in lower case with colons.
fn mac(text: &str) -> Option<String> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let pairs: Vec<u8> = text
        .split(separator)
        .map(|pair| {
            let hexadecimal = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(pair, 16).ok().filter(|_| hexadecimal)
        })
        .collect::<Option<_>>()?;
    let [first, ..] = pairs.as_slice() else { return None };
    if pairs.len() != 6 || first & 1 == 1 || pairs.iter().all(|pair| *pair == 0) {
        return None;
    }
    let pairs: Vec<String> = pairs.iter().map(|pair| format!("{pair:02x}")).collect();
    Some(pairs.join(":"))
}

/// An absolute URI, or a path; nothing that would break out of `<...>` or of a line.
fn is_uri_reference(text: &str) -> bool {
    let printable = text.chars().all(|c| {
        !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}')
    });
    !text.is_empty()
        && printable
        && match url::Url::parse(text) {
            Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => true,
            Err(_) => false,
        }
}

/// Dates, times or both, with or without an offset; no intervals and no durations (GFD.228).
fn is_date_or_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok()
        || text.parse::<jiff::civil::Time>().is_ok()
}
