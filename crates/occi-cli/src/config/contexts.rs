//! `config.toml`: the servers that are known by a name.
//!
//! People write comments into this file, and they stay: it is edited, not written anew.

use super::file::Place;
use crate::failure::{Exit, Failure, Result};
use crate::output::Format;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml_edit::{DocumentMut, Item, Table, value};

/// How somebody proves who he is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Not at all; or by the certificate of the connection.
    #[default]
    None,
    /// A name and a password.
    Basic,
    /// A bearer token.
    Bearer,
    /// A token in `X-Auth-Token`.
    Token,
    /// A bearer token of an identity provider, which is renewed.
    Oidc,
    /// Keystone, by a password, an application credential, a token, or the certificate of the connection.
    Keystone,
    /// Keystone, by the access token of an identity provider.
    Federation,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Oidc => "oidc",
            Self::Keystone => "keystone",
            Self::Federation => "federation",
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A server, who asks there, and how it is reached. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Context {
    /// Where it is; with Keystone, where its catalogue says if this says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(skip_serializing_if = "Method::is_none")]
    pub(crate) auth: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// A line for the shell that prints the password or the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    /// Where Keystone is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keystone: Option<String>,
    /// The id of an application credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application_credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_domain_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_domain_id: Option<String>,
    /// Of the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// By which name Keystone knows an identity provider, and its protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<String>,
    /// An identity provider, where it gives tokens, and who this program is to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) insecure: bool,
    /// How to print, unless the command says.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "output")]
    pub(crate) output: Option<String>,
}

fn output<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<Format>().map_err(serde::de::Error::custom)?;
    Ok(Some(text))
}

/// All contexts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Contexts {
    /// The one to use when nothing else is said.
    pub(crate) current: Option<String>,
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// What the file says; nothing if there is none.
    pub(crate) fn load() -> Result<Self> {
        match Place::contexts() {
            Some(place) => parse(&place, &place.read()?),
            None => Ok(Self::default()),
        }
    }

    /// A context by name.
    pub(crate) fn get(&self, name: &str) -> Result<&Context> {
        self.contexts.get(name).ok_or_else(|| {
            let failure = Failure::new(Exit::NotFound, format!("there is no context {name:?}"));
            let known: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            match known.is_empty() {
                true => failure.with_hint("occi login URL makes one"),
                false => failure.with_hint(format!("there are: {}", known.join(", "))),
            }
        })
    }

    /// The name that is meant, or the current one.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<(String, &Context)> {
        let name = name.or(self.current.as_deref()).ok_or_else(|| {
            Failure::usage("no context is the current one").with_hint("occi context lists them; name one")
        })?;
        Ok((name.to_owned(), self.get(name)?))
    }

    /// Adds or changes one, and makes it the current one.
    pub(crate) fn put(name: &str, context: &Context) -> Result<()> {
        check_name(name)?;
        change(|_, document| {
            let table = toml_edit::ser::to_document(context)
                .map_err(|error| Failure::new(Exit::Failure, format!("the context cannot be written: {error}")))?;
            let mut table = table.as_table().clone();
            table.set_implicit(false);
            if document.get("contexts").is_none() {
                let mut contexts = Table::new();
                contexts.set_implicit(true);
                document["contexts"] = Item::Table(contexts);
            }
            match document["contexts"].get_mut(name).and_then(Item::as_table_mut) {
                // The remarks stay.
                Some(known) => {
                    known.retain(|key, _| table.contains_key(key));
                    for (key, mut new) in table {
                        let old = known.get(&key).and_then(Item::as_value);
                        if let (Some(old), Some(new)) = (old, new.as_value_mut()) {
                            *new.decor_mut() = old.decor().clone();
                        }
                        known[key.as_str()] = new;
                    }
                }
                None => document["contexts"][name] = Item::Table(table),
            }
            document["current"] = value(name);
            Ok(())
        })
    }

    /// Makes one the current one.
    pub(crate) fn use_named(name: &str) -> Result<()> {
        change(|contexts, document| {
            contexts.get(name)?;
            document["current"] = value(name);
            Ok(())
        })
    }

    /// Whether one can have another name.
    pub(crate) fn check_rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        self.get(from)?;
        match self.contexts.contains_key(to) {
            true => Err(Failure::new(
                Exit::Conflict,
                format!("there is a context {to:?} already"),
            )),
            false => Ok(()),
        }
    }

    /// Gives one another name.
    pub(crate) fn rename(from: &str, to: &str) -> Result<()> {
        change(|contexts, document| {
            contexts.check_rename(from, to)?;
            if let Some(all) = document["contexts"].as_table_like_mut()
                && let Some(context) = all.remove(from)
            {
                all.insert(to, context);
            }
            if contexts.current.as_deref() == Some(from) {
                document["current"] = value(to);
            }
            Ok(())
        })
    }

    /// Forgets one.
    pub(crate) fn remove(name: &str) -> Result<()> {
        change(|contexts, document| {
            contexts.get(name)?;
            if let Some(all) = document["contexts"].as_table_like_mut() {
                all.remove(name);
            }
            if contexts.current.as_deref() == Some(name) {
                document.remove("current");
            }
            Ok(())
        })
    }
}

fn parse(place: &Place, text: &str) -> Result<Contexts> {
    toml::from_str(text).map_err(|error| {
        let failure = place.broken(text, error.span(), error.message());
        match error.message().contains("unknown field `password`") {
            true => failure.with_hint("a password is not kept here: occi login URL, or password_command = \"...\""),
            false => failure.with_hint("mend that line, or remove it"),
        }
    })
}

fn change<T>(change: impl FnOnce(&Contexts, &mut DocumentMut) -> Result<T>) -> Result<T> {
    let place = Place::or_nowhere(Place::contexts())?;
    place.change(|text| {
        let contexts = parse(&place, &text)?;
        let mut document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| place.broken(&text, error.span(), error.message()))?;
        let result = change(&contexts, &mut document)?;
        Ok((document.to_string(), result))
    })
}

/// Whether it can be a context's name: it is typed, and stands in messages.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_alphanumeric() || "._-@:".contains(c);
    match !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{name:?} is no name for a context: letters, digits and ._-@: are"
        ))),
    }
}
