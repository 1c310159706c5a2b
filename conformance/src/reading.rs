//! The text renderings read as their grammar says (GFD.229, section 5): neither stricter nor more forgiving. What single
//! clients make of an answer is in [`crate::clients`].

use crate::answer::Answer;

/// What an answer says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) categories: Vec<Category>,
    pub(crate) attributes: Vec<(String, Literal)>,
    pub(crate) links: Vec<Link>,
    pub(crate) locations: Vec<String>,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    /// In quotes, which are taken off.
    Quoted(String),
    /// A number or a truth value.
    Bare(String),
}

impl Literal {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Quoted(text) | Self::Bare(text) => text,
        }
    }
}

/// A kind, a mixin or an action.
#[derive(Clone, Debug, Default)]
pub(crate) struct Category {
    pub(crate) term: String,
    pub(crate) parameters: Vec<(String, Literal)>,
}

impl Category {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.text())
    }

    pub(crate) fn id(&self) -> String {
        format!("{}{}", self.get("scheme").unwrap_or_default(), self.term)
    }

    pub(crate) fn class(&self) -> &str {
        self.get("class").unwrap_or_default()
    }

    /// The names in `attributes`, each with what stands in its braces.
    pub(crate) fn definitions(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut rest = self.get("attributes").unwrap_or_default().trim();
        while !rest.is_empty() {
            let end = rest.find([' ', '{']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let (flags, after) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
                Some(parts) => parts,
                None => ("", after),
            };
            found.push((name.to_owned(), flags.to_owned()));
            rest = after.trim_start();
        }
        found
    }
}

/// A link to another resource, or an action.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) uri: String,
    pub(crate) parameters: Vec<(String, Literal)>,
}

impl Link {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.text())
    }

    pub(crate) fn is_action(&self) -> bool {
        self.uri.contains("?action=")
    }
}

impl Reading {
    pub(crate) fn of(answer: &Answer) -> Result<Self, String> {
        let mut reading = Self::default();
        match answer.media() {
            "text/plain" | "text/occi+plain" => {
                let body = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
                for line in body.lines() {
                    let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is no field"))?;
                    if !reading.field(name, value.trim())? {
                        return Err(format!("{line:?} is no field of OCCI"));
                    }
                }
            }
            "text/occi" => {
                for (name, value) in &answer.headers {
                    reading.field(name, value)?;
                }
            }
            "text/uri-list" => {
                let body = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
                reading.locations = body
                    .lines()
                    .filter(|line| !line.starts_with('#'))
                    .map(str::to_owned)
                    .collect();
            }
            other => return Err(format!("{other:?} is no text rendering")),
        }
        Ok(reading)
    }

    fn field(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let values = split(value, ',')?;
        match name.to_ascii_lowercase().as_str() {
            "category" => {
                for value in values {
                    let (term, parameters) = parameters(&value)?;
                    self.categories.push(Category { term, parameters });
                }
            }
            "link" => {
                for value in values {
                    let (uri, parameters) = parameters(&value)?;
                    let uri = uri
                        .strip_prefix('<')
                        .and_then(|uri| uri.strip_suffix('>'))
                        .ok_or_else(|| format!("{value:?} has no <...>"))?
                        .to_owned();
                    self.links.push(Link { uri, parameters });
                }
            }
            "x-occi-attribute" => {
                for value in values {
                    self.attributes.push(pair(&value)?);
                }
            }
            "x-occi-location" => self.locations.extend(values),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The attribute's value, if it is there once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.literal(name).map(Literal::text)
    }

    pub(crate) fn literal(&self, name: &str) -> Option<&Literal> {
        let mut found = self.attributes.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn category(&self, id: &str) -> Option<&Category> {
        self.categories.iter().find(|category| category.id() == id)
    }

    pub(crate) fn has_category(&self, id: &str) -> bool {
        self.category(id).is_some()
    }

    /// Links to other resources.
    pub(crate) fn plain_links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| !link.is_action())
    }

    /// The terms of the actions that are offered.
    pub(crate) fn actions(&self) -> Vec<&str> {
        self.links
            .iter()
            .filter_map(|link| link.uri.split_once("?action="))
            .map(|(_, term)| term)
            .collect()
    }
}

fn parameters(value: &str) -> Result<(String, Vec<(String, Literal)>), String> {
    let mut parts = split(value, ';')?.into_iter();
    let head = parts.next().unwrap_or_default();
    Ok((head, parts.map(|part| pair(&part)).collect::<Result<_, _>>()?))
}

fn pair(part: &str) -> Result<(String, Literal), String> {
    let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} has no value"))?;
    let value = match value.strip_prefix('"') {
        None if value.is_empty() => return Err(format!("{part:?} is empty")),
        None => Literal::Bare(value.to_owned()),
        Some(quoted) => {
            let quoted = quoted
                .strip_suffix('"')
                .ok_or_else(|| format!("{part:?} is not closed"))?;
            let mut text = String::new();
            let mut chars = quoted.chars();
            while let Some(c) = chars.next() {
                text.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            Literal::Quoted(text)
        }
    };
    Ok((name.to_owned(), value))
}

/// Splits at `separator` outside of quotes and angle brackets, and trims.
fn split(value: &str, separator: char) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for c in value.chars() {
        if c == separator && !quoted && !angle {
            parts.push(String::new());
            continue;
        }
        match c {
            '"' if !escaped && !angle => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    if quoted || angle {
        return Err(format!("{value:?} does not end"));
    }
    Ok(parts.into_iter().map(|part| part.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_angle_brackets_hide_separators() {
        let mut reading = Reading::default();
        reading.field("X-OCCI-Attribute", r#"a="x, \"y\"; z",b=3"#).unwrap();
        assert_eq!(reading.get("a"), Some("x, \"y\"; z"));
        assert_eq!(reading.literal("b"), Some(&Literal::Bare("3".to_owned())));
        reading
            .field("Link", r#"</n/1,2>; rel="a b"; self="/x"; c.d=true"#)
            .unwrap();
        assert_eq!(reading.links[0].uri, "/n/1,2");
        assert_eq!(reading.links[0].get("c.d"), Some("true"));
        assert!(reading.field("Category", r#"a; scheme="x"#).is_err());
    }

    #[test]
    fn definitions_have_names_and_flags() {
        let mut reading = Reading::default();
        reading
            .field(
                "Category",
                r#"a; scheme="s#"; class="kind"; attributes="x{immutable required} y z{required}""#,
            )
            .unwrap();
        let flags = |name: &str, flags: &str| (name.to_owned(), flags.to_owned());
        let expected = [flags("x", "immutable required"), flags("y", ""), flags("z", "required")];
        assert_eq!(reading.categories[0].definitions(), expected);
    }
}
