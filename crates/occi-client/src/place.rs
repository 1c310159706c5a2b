//! What is at a path: one thing, or a collection.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::model::{Category, Model};
use occi_model::infrastructure::canonical_path;
use percent_encoding::percent_decode_str;
use url::Url;

/// What somebody means by a path, as it will be sent. A collection is one however it is written (`/compute`, `/compute/.`,
/// `/compute/x/..`, `/compute/%2e`): nobody deletes all of it because the id was missing at the end.
#[derive(Clone, Debug)]
pub enum Place<'m> {
    /// One thing.
    Entity(String),
    /// What is of a kind, has a mixin, or is below a path.
    Collection(String, Option<Category<'m>>),
    /// A path with a query: what that means is the server's to say.
    Query(String),
}

impl<'m> Place<'m> {
    /// What a path or a URL of a server means there.
    ///
    /// # Errors
    /// It is neither, or a URL of another server.
    pub fn new(location: &str, endpoint: &Endpoint, model: &'m Model) -> Result<Self> {
        let path = endpoint.path_of(location)?;
        let url = endpoint.url(&path);
        let mut url = Url::parse(&url).map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
        url.set_fragment(None);
        let sent = url.path().to_owned();
        if let Some(query) = url.query() {
            return Ok(Self::Query(format!("{sent}?{query}")));
        }
        // A server decodes before it looks.
        url.set_path(&percent_decode_str(&sent).decode_utf8_lossy());
        let bare = percent_decode_str(url.path()).decode_utf8_lossy();
        let closed = format!("{}/", bare.trim_end_matches('/'));
        let closed = canonical_path(&closed);
        let category = model.at(&closed);
        let is_root = closed.trim_end_matches('/') == endpoint.base_path();
        Ok(match category.is_some() || is_root || bare.ends_with('/') {
            true => Self::Collection(sent, category),
            false => Self::Entity(sent),
        })
    }

    /// The path of one thing.
    ///
    /// # Errors
    /// It is another's.
    pub fn entity(self) -> Result<String> {
        match self {
            Self::Entity(path) => Ok(path),
            Self::Collection(path, _) => Err(Error::invalid(format!("{path} is a collection, not one thing"))),
            Self::Query(path) => Err(Error::invalid(format!("{path} has a query, and is not one thing"))),
        }
    }
}
