//! What an answer means.

use crate::dialect::is_occid;
use crate::endpoint::{Endpoint, shown};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::transport::try_https;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use occi_model::Mixin;
use occi_rendering::{MediaType, response};
use std::time::{Duration, SystemTime};

/// A whole answer.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Of a change: nobody knows what became of it, whatever the status says.
    pub(crate) is_uncertain: bool,
}

/// What became of a create.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Created {
    /// The path of what was created; some servers do not say it.
    pub location: Option<String>,
    /// What was created, where the answer shows it.
    pub entity: Option<Entity>,
    /// The operation that goes on: its path.
    pub operation: Option<String>,
}

/// What became of a change, of an action or of a deletion.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Done {
    /// The entity afterwards, where the answer shows it.
    pub entity: Option<Entity>,
    /// The mixins that were made: the template of a saved machine.
    pub mixins: Vec<Mixin>,
    /// The operation that goes on: its path.
    pub operation: Option<String>,
}

impl RawAnswer {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
            is_uncertain: false,
        }
    }

    /// A header as text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Lets a reader of the renderings look at it.
    pub(crate) fn read<T>(&self, endpoint: &Endpoint, read: impl FnOnce(&response::Answer<'_>) -> T) -> T {
        let fields: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        read(&response::Answer {
            status: self.status.as_u16(),
            fields: &fields,
            body: &self.body,
            base: endpoint.base(),
        })
    }

    /// The answer if it is a success in a rendering of OCCI, else what it says as an error.
    pub(crate) fn good(self, endpoint: &Endpoint) -> Result<Self> {
        if !self.status.is_success() && self.status != StatusCode::NOT_MODIFIED {
            return Err(self.error(endpoint));
        }
        match self.foreign_type() {
            // The page of somebody in between says nothing about what was asked for.
            Some(foreign) => Err(unreadable(endpoint, &format!("it is {foreign}"))),
            None => Ok(self),
        }
    }

    /// The type of the body, without parameters. Historic servers name none, or several at once, of which this is the first.
    pub(crate) fn content_type(&self) -> String {
        let text = self.header(header::CONTENT_TYPE).unwrap_or_default();
        let name = text.split([';', ',']).next().unwrap_or_default();
        name.trim().to_ascii_lowercase()
    }

    /// The type of a body that is in no rendering of OCCI.
    fn foreign_type(&self) -> Option<String> {
        let name = self.content_type();
        let is_ours = |media: MediaType| media != MediaType::Html && media.as_str() == name;
        let is_foreign = !self.body.is_empty() && !name.is_empty() && !MediaType::ALL.into_iter().any(is_ours);
        is_foreign.then_some(name)
    }

    /// What a refusal says.
    pub fn error(&self, endpoint: &Endpoint) -> Error {
        let status = self.status.as_u16();
        let kind = ErrorKind::of_status(status);
        let content_type = self.header(header::CONTENT_TYPE).unwrap_or_default();
        let is_ours = is_occid(&self.headers);
        let said = match is_ours {
            true => printable(&self.read(endpoint, response::error)),
            // A page of somebody in between is nothing to print.
            false if content_type.contains("html") => String::new(),
            false => brief(&self.read(endpoint, response::error), &self.body),
        };
        let what = match self.status.canonical_reason() {
            Some(reason) => format!("{status} {reason}"),
            None => status.to_string(),
        };
        let is_about_request = is_ours || self.status.is_client_error() && self.status != StatusCode::TOO_MANY_REQUESTS;
        let message = match said.is_empty() {
            true => format!("{endpoint} answered {what}"),
            false if is_about_request => said,
            // Who else says `later` is not clear.
            false => format!("{endpoint} answered {what}: {said}"),
        };
        let error = Error::new(kind, message)
            .with_status(status)
            .with_request_id(self.header("x-request-id").map(|id| printable(&id)))
            .with_operation(self.operation(endpoint))
            .with_retry_after(self.retry_after());
        let error = match kind {
            ErrorKind::Unauthenticated => match self.read(endpoint, response::keystone) {
                Some(uri) => error.with_hint(format!(
                    "this server wants a token of the Keystone at {}",
                    printable(&uri)
                )),
                None => error.with_hint("the server does not accept these credentials, or wants some"),
            },
            ErrorKind::Invalid if !endpoint.is_https() && self.wants_tls() => {
                error.with_hint(try_https(&endpoint.to_string()))
            }
            _ => error,
        };
        match self.is_uncertain {
            true => error.uncertain(),
            false => error,
        }
    }

    /// Whether an encrypted server says that it was asked in the clear: as nginx, Go or Apache put it.
    fn wants_tls(&self) -> bool {
        let body = String::from_utf8_lossy(&self.body);
        let words = ["to HTTPS port", "to an HTTPS server", "to an SSL-enabled server"];
        words.iter().any(|words| body.contains(words))
    }

    /// After which time the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER)?;
        let text = text.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => httpdate::parse_http_date(text)
                .ok()?
                .duration_since(SystemTime::now())
                .ok(),
        }
    }

    /// The path of the next page of a listing.
    pub(crate) fn next_page(&self, endpoint: &Endpoint) -> Option<String> {
        self.linked("next", endpoint)
    }

    /// The path of what is linked to it so (RFC 8288).
    pub(crate) fn linked(&self, relation: &str, endpoint: &Endpoint) -> Option<String> {
        let link = self.header(header::LINK)?;
        let target = link
            .strip_suffix(&format!("; rel=\"{relation}\""))?
            .strip_prefix('<')?
            .strip_suffix('>')?;
        // A server behind a proxy often calls itself by another name: it is asked where it was asked before.
        endpoint.path_of(target).ok().or_else(|| {
            let url = url::Url::parse(target).ok()?;
            Some(format!("{}?{}", url.path(), url.query()?))
        })
    }

    /// The operation that the answer names.
    fn operation(&self, endpoint: &Endpoint) -> Option<String> {
        own_operation(endpoint, &self.header("x-occi-operation")?)
    }

    fn entity(&self, endpoint: &Endpoint, asked: Option<&str>, model: &Model) -> Option<Entity> {
        let remote = self.read(endpoint, response::entities).ok()?.into_iter().next()?;
        remote.kind.as_ref()?;
        let mut entity = Entity::read(remote, asked, model);
        entity.etag = self.header(header::ETAG);
        Some(entity)
    }

    /// The one entity that was asked for.
    pub(crate) fn shown(&self, endpoint: &Endpoint, location: &str, model: &Model) -> Result<Entity> {
        if let Err(error) = self.read(endpoint, response::entities) {
            return Err(unreadable(endpoint, &error.to_string()));
        }
        self.entity(endpoint, Some(location), model)
            .ok_or_else(|| unreadable(endpoint, &format!("there is no entity in the answer for {location}")))
    }

    /// What a create brought.
    pub(crate) fn created(&self, endpoint: &Endpoint, model: &Model) -> Result<Created> {
        let collection = |kind: &occi_model::TypeId| model.kind(kind.as_str()).ok().map(|kind| &kind.location);
        let url = self
            .read(endpoint, |answer| response::created(answer, collection))
            .map_err(|error| unreadable(endpoint, &error.to_string()))?;
        let mut location = match url.map(|url| own_path(endpoint, model, &url)) {
            Some(path) if path.starts_with('/') => Some(path),
            Some(url) => {
                let message = format!(
                    "{endpoint} calls what it created {}, which is on another server",
                    shown(&url)
                );
                return Err(Error::protocol(message).with_hint("it has been created: look for it in the listing"));
            }
            None => None,
        };
        let mut operation = self.operation(endpoint);
        // Accepted: what is named is the task, unless it lies where entities do.
        if self.status == StatusCode::ACCEPTED
            && let Some(path) = &location
            && (is_operation(path) || model.kind_at(path).is_none())
        {
            operation = location.take();
        }
        let entity = self.entity(endpoint, location.as_deref(), model);
        let from_entity = entity
            .as_ref()
            .map(|entity| entity.location.clone())
            .filter(|path| !path.is_empty());
        Ok(Created {
            location: location.or(from_entity),
            entity,
            operation,
        })
    }

    /// What anything else brought.
    pub(crate) fn done(&self, endpoint: &Endpoint, location: &str, model: &Model) -> Done {
        let mut operation = self.operation(endpoint);
        if self.status == StatusCode::ACCEPTED && operation.is_none() {
            operation = self
                .header(header::LOCATION)
                .and_then(|url| own_operation(endpoint, &url));
        }
        let is_collection = location.ends_with('/');
        Done {
            entity: self.entity(endpoint, Some(location), model).filter(|_| !is_collection),
            mixins: self.read(endpoint, response::mixins),
            operation,
        }
    }
}

/// The path of what a server lists or has created. A server behind a proxy often calls itself by another name than we do;
/// what lies where its entities lie is its own, and is asked for where we asked before. Anything else stays as it is.
pub(crate) fn own_path(endpoint: &Endpoint, model: &Model, url: &str) -> String {
    // No path holds these, and what somebody puts into one is shown on terminals.
    let url = url.replace(char::is_control, " ");
    let local = endpoint.base().localise(&url);
    if local.starts_with('/') {
        return local.into_owned();
    }
    let path = url::Url::parse(&local).ok().map(|url| url.path().to_owned());
    path.filter(|path| model.kind_at(path).is_some() || is_operation(path))
        .unwrap_or_else(|| local.into_owned())
}

/// The same of an operation, which lies where no entities do.
fn own_operation(endpoint: &Endpoint, url: &str) -> Option<String> {
    let path = || Some(url::Url::parse(url).ok()?.path().to_owned()).filter(|path| is_operation(path));
    endpoint.path_of(url).ok().or_else(path)
}

/// Whether a path is of one of our operations.
fn is_operation(path: &str) -> bool {
    path.contains("/-/operation/") || path.starts_with("/task/")
}

/// What a server says is shown on terminals.
pub(crate) fn printable(text: &str) -> String {
    cut(&text.replace(char::is_control, " "), 2000)
}

/// The same of a stranger, who may say more than anybody wants to read: one line of it, and of a backtrace what it is about.
fn brief(said: &str, body: &[u8]) -> String {
    const MOST: usize = 300;
    let is_backtrace = |text: &str| text.starts_with("Traceback (most recent call last)");
    let body = String::from_utf8_lossy(body);
    let lines: Vec<_> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = match lines.as_slice() {
        [first, .., last] if said.starts_with(first) => match is_backtrace(said) {
            true => last,
            false => first,
        },
        _ if is_backtrace(said) => "",
        _ => said,
    };
    let shown = cut(&printable(line), MOST);
    match line.is_empty() || line.len() == said.len() || shown.ends_with("...") {
        true => shown,
        false => format!("{shown} ..."),
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

pub(crate) fn unreadable(endpoint: &Endpoint, why: &str) -> Error {
    Error::protocol(format!(
        "the answer of {endpoint} cannot be understood: {}",
        printable(why)
    ))
    .with_hint("is this the address of an OCCI service?")
}
