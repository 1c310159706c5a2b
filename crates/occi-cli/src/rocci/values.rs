//! The values of options: comma lists, `NAME=VALUE` with its casts, and files.

use crate::read;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use occi_client::infrastructure::public_key;
use occi_client::{AttributeName, Input, Model, Value};
use std::path::Path;

/// A value, as far as the command line says what it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cast {
    /// Text, which the model may take for something else.
    Text(String),
    /// What `num()`, `float()` or `bool()` says.
    Typed(Value),
}

/// `-t NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub(super) name: AttributeName,
    pub(super) value: Cast,
}

/// `-T NAME=VALUE`, as it goes to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// An OpenSSH public key.
    PublicKey(String),
    /// In base64.
    UserData(String),
}

/// The elements of a comma list. Quotes around a value keep its commas: `a="x, y",b=z` are two elements, and then the quotes
/// are no part of the value. Quotes around a value without commas are, as they always were.
pub(super) fn split(list: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (element, after) = match quoted(rest) {
            Some(found) => found,
            None => match rest.split_once(',') {
                Some((element, after)) => (element.to_owned(), after),
                None => (rest.to_owned(), ""),
            },
        };
        elements.push(element);
        rest = after;
    }
    elements
}

/// The first element, if it is a quoted value with a comma in it, and what comes after it.
fn quoted(list: &str) -> Option<(String, &str)> {
    let (name, value) = list.split_once('=')?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = &value[1..];
    let end = inner.match_indices(quote).map(|(at, _)| at).find(|at| {
        let after = &inner[at + 1..];
        after.is_empty() || after.starts_with(',')
    })?;
    let after = &inner[end + 1..];
    let after = after.strip_prefix(',').unwrap_or(after);
    let is_meant = !name.contains(',') && inner[..end].contains(',');
    is_meant.then(|| (format!("{name}={}", &inner[..end]), after))
}

fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    (is_name && !value.is_empty()).then_some((name, value))
}

/// `NAME=VALUE` with a cast or without.
pub(super) fn attribute(text: &str) -> Result<Given, String> {
    let (name, value) = pair(text).ok_or_else(|| format!("an attribute is NAME=VALUE, which {text:?} is not"))?;
    Ok(Given {
        name: name
            .parse()
            .map_err(|error: occi_model::IdentError| error.to_string())?,
        value: cast(value)?,
    })
}

fn cast(text: &str) -> Result<Cast, String> {
    let refuse = || format!("{text:?} cannot be cast: num(12), float(1.5) and bool(true) can");
    for name in ["num", "float", "bool"] {
        let inner = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('('));
        let Some(inner) = inner.and_then(|rest| rest.strip_suffix(')')) else {
            continue;
        };
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match (name, inner) {
            ("num", digits) if is_digits(digits) => digits.parse().ok().map(Value::Integer),
            ("float", number)
                if number
                    .split_once('.')
                    .is_some_and(|(a, b)| is_digits(a) && is_digits(b)) =>
            {
                number.parse().ok().map(Value::Float)
            }
            ("bool", "true") => Some(Value::Boolean(true)),
            ("bool", "false") => Some(Value::Boolean(false)),
            _ => None,
        };
        return value.map(Cast::Typed).ok_or_else(refuse);
    }
    Ok(Cast::Text(text.to_owned()))
}

impl Given {
    /// The value as it is sent. Text is what the server takes the attribute for, where it fits; where it does not, the
    /// server shall say so.
    pub(super) fn input(&self, model: &Model) -> Input {
        match &self.value {
            Cast::Typed(value) => Input::Typed(value.clone()),
            Cast::Text(text) => {
                let value_type = model.value_type(self.name.as_str());
                let typed = value_type.and_then(|value_type| value_type.read(&Input::Token(text.clone())));
                Input::Typed(typed.unwrap_or_else(|| text.as_str().into()))
            }
        }
    }
}

/// `public_key=VALUE` or `user_data=VALUE`, where a value `file:///PATH` is read from there.
pub(super) fn context(text: &str) -> Result<Context, String> {
    // What the value is, is nobody's business.
    let (name, value) = pair(text).ok_or("a context variable is NAME=VALUE")?;
    if !matches!(name, "public_key" | "user_data") {
        return Err(format!(
            "{name:?} is no context variable: they are public_key and user_data"
        ));
    }
    let content = match value.strip_prefix("file://") {
        Some(path) => {
            let content = read::file(Path::new(path), read::DOCUMENT);
            content.map_err(|failure| format!("{name}: {failure}"))?
        }
        None => value.as_bytes().to_vec(),
    };
    if name == "user_data" {
        return Ok(Context::UserData(BASE64.encode(content)));
    }
    let key =
        String::from_utf8(content).map_err(|_| "public_key: this is no text; it is the file that ends in .pub")?;
    match public_key(&key) {
        Ok(key) => Ok(Context::PublicKey(key.to_owned())),
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            Err(format!("public_key: {error}; {hint}"))
        }
    }
}

/// `SCHEME#TERM`, or a term that stands alone.
pub(super) fn mixin(text: &str) -> Result<String, String> {
    let is_good =
        !text.is_empty() && !text.contains(char::is_whitespace) && !text.starts_with('#') && !text.ends_with('#');
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a mixin is SCHEME#TERM, os_tpl#TERM or TERM, which {text:?} is not"
        )),
    }
}

/// The path of a link.
pub(super) fn link(text: &str) -> Result<String, String> {
    let path = match url::Url::parse(text) {
        Ok(url) => url.path().to_owned(),
        Err(_) => text.split(['?', '#']).next().unwrap_or_default().to_owned(),
    };
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(format!("{text:?} is no URL and no path of an instance")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_does_not_split() {
        for (list, elements) in [
            ("a=1,b=2", vec!["a=1", "b=2"]),
            ("a=\"x, y\",b=z", vec!["a=x, y", "b=z"]),
            ("a='x, y'", vec!["a=x, y"]),
            ("a=\"x\",b=z", vec!["a=\"x\"", "b=z"]),
            ("a=5\" disk,b=z", vec!["a=5\" disk", "b=z"]),
            ("a=\"open, b=z", vec!["a=\"open", " b=z"]),
            ("a=b,c=\"x,y\"", vec!["a=b", "c=x,y"]),
            ("a,,b", vec!["a", "", "b"]),
            ("a,", vec!["a"]),
        ] {
            assert_eq!(split(list), elements, "{list}");
        }
    }

    #[test]
    fn casts_say_what_a_value_is() {
        let value = |text: &str| attribute(&format!("x={text}")).map(|given| given.value);
        assert_eq!(value("num(12)"), Ok(Cast::Typed(Value::Integer(12))));
        assert_eq!(value("float(1.5)"), Ok(Cast::Typed(Value::Float(1.5))));
        assert_eq!(value("bool(false)"), Ok(Cast::Typed(Value::Boolean(false))));
        assert_eq!(value("a=b"), Ok(Cast::Text("a=b".to_owned())));
        for wrong in [
            "num(x)",
            "num()",
            "num(-1)",
            "num(99999999999999999999)",
            "float(1)",
            "bool(yes)",
        ] {
            assert!(value(wrong).is_err(), "{wrong}");
        }
        for wrong in ["x", "=x", "x=", "a b=c", ""] {
            assert!(attribute(wrong).is_err(), "{wrong}");
        }
    }
}
