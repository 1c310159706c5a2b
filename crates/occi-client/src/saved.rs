//! What is known of a server, in a form that can be kept on disk until the next time.

use crate::answer::{RawAnswer, unreadable};
use crate::dialect::{Dialect, Version};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::model::Model;
use crate::request::Discovery;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use occi_rendering::{MediaType, is_occi_field, response};
use serde::{Deserialize, Serialize};

/// The model of a server as it sent it, and how it is spoken to. It holds no credential, but a model may differ from
/// user to user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    endpoint: String,
    version: Version,
    /// The rendering that is spoken.
    media: String,
    is_json_only: bool,
    is_occid: bool,
    pub(crate) discovery: Discovery,
    /// The tag of the model.
    pub(crate) etag: Option<String>,
    /// The headers that matter: the type, and those of text/occi.
    headers: Vec<(String, String)>,
    body: String,
}

impl Saved {
    pub(crate) fn new(endpoint: &Endpoint, dialect: Dialect, discovery: Discovery, answer: &RawAnswer) -> Self {
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| **name == header::CONTENT_TYPE || is_occi_field(name.as_str()))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Self {
            endpoint: endpoint.to_string(),
            version: dialect.version,
            media: dialect.media.as_str().to_owned(),
            is_json_only: dialect.is_json_only,
            is_occid: dialect.is_occid,
            discovery,
            etag: answer.header(header::ETAG),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        }
    }

    /// Whether it is of this server.
    pub(crate) fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == endpoint.to_string()
    }

    pub(crate) fn teach(&self, dialect: &mut Dialect) {
        dialect.version = dialect.version.min(self.version);
        dialect.is_occid = self.is_occid;
        let known = MediaType::ALL.into_iter().find(|media| media.as_str() == self.media);
        if let Some(media) = known.filter(|_| !dialect.is_media_fixed) {
            dialect.media = media;
            dialect.is_json_only = self.is_json_only;
        }
    }

    pub(crate) fn model(&self, endpoint: &Endpoint) -> Result<Model> {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            let value = HeaderValue::from_maybe_shared(Bytes::from(value.clone())).ok()?;
            Some((name.parse::<HeaderName>().ok()?, value))
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        let answer = RawAnswer::new(StatusCode::OK, map, Bytes::from(self.body.clone()));
        let found = answer
            .read(endpoint, response::model)
            .map_err(|error| unreadable(endpoint, &error.to_string()))?;
        if found.kinds.is_empty() {
            return Err(unreadable(endpoint, "its query interface shows no kind"));
        }
        Ok(found.into())
    }
}
