//! Collections: by location or in full, as they come, so that one of any length stays in little memory.

use super::Client;
use crate::answer::{RawAnswer, own_path, unreadable};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Category;
use crate::request::Listing;
use crate::stream;
use crate::transport::Incoming;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use occi_rendering::request::Filter;
use occi_rendering::{MediaType, response};
use std::collections::HashSet;

/// So many entities of a listing are fetched at the same time, where the server lists locations only.
const AT_ONCE: usize = 8;
/// So many MartServer shows to whoever does not say how many, and does not say that there are more.
const MARTSERVERS_PAGE: usize = 20;

/// Entities as they come.
pub type Entities = BoxStream<'static, Result<Entity>>;
/// Locations as they come: paths on the server.
pub type Locations = BoxStream<'static, Result<String>>;

impl Client {
    /// The locations of a collection's members, as they come.
    pub async fn list_stream(&self, at: &str, listing: &Listing) -> Result<Locations> {
        let at = self.collection(at).await?;
        let model = self.model().await?;
        if self.dialect().is_json_only {
            return self.locations_in_json(&at, listing).await;
        }
        let request = self.requests(&self.dialect(), &model).list(&at, listing)?;
        let incoming = self.exchange(request).await?;
        // It was not asked in anything else.
        if incoming.head.status == StatusCode::NOT_ACCEPTABLE && self.dialect().media.is_json() {
            return self.locations_in_json(&at, listing).await;
        }
        self.locations_of(self.good(incoming).await?).await
    }

    /// The locations of a collection's members and the tag of the list, if it is no longer what `etag` says. Some servers
    /// have no tags, and the list is always new.
    pub async fn list_if_changed(
        &self,
        at: &str,
        listing: &Listing,
        etag: Option<&str>,
    ) -> Result<Option<(Vec<String>, Option<String>)>> {
        let at = self.collection(at).await?;
        let model = self.model().await?;
        if self.dialect().is_json_only {
            let locations = self.locations_in_json(&at, listing).await?;
            return Ok(Some((locations.try_collect().await?, None)));
        }
        let mut request = self.requests(&self.dialect(), &model).list(&at, listing)?;
        if let Some(etag) = etag {
            let etag = HeaderValue::try_from(etag).map_err(|_| Error::invalid("this is no entity tag"))?;
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
        }
        let incoming = self.exchange(request).await?;
        if incoming.head.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let incoming = self.good(incoming).await?;
        let etag = incoming.head.headers.get(header::ETAG);
        let etag = etag.map(|etag| String::from_utf8_lossy(etag.as_bytes()).into_owned());
        let locations = self.locations_of(incoming).await?.try_collect().await?;
        Ok(Some((locations, etag)))
    }

    /// The locations of a collection's members, page by page: for a server that answers no more than so many at once. One
    /// that knows no pages gives all of them with the first.
    pub fn list_pages(&self, at: &str, filter: &Filter, number: u32) -> Locations {
        let state = (
            self.clone(),
            at.to_owned(),
            filter.clone(),
            Some(1),
            HashSet::<String>::new(),
        );
        let pages = futures::stream::try_unfold(state, move |(client, at, filter, page, before)| async move {
            let Some(page) = page else { return Ok(None) };
            let listing = Listing {
                filter,
                page: Some((page, number)),
            };
            let found = client.list(&at, &listing).await?;
            let is_full = found.len() == usize::try_from(number).unwrap_or(usize::MAX);
            // Some give the same page again; MartServer's second begins with the second member.
            let new: Vec<_> = found
                .iter()
                .filter(|location| !before.contains(*location))
                .cloned()
                .collect();
            let next = (is_full && !new.is_empty()).then(|| page + 1);
            let before: HashSet<String> = found.into_iter().collect();
            let items = futures::stream::iter(new.into_iter().map(Ok));
            Ok::<_, Error>(Some((items, (client, at, listing.filter, next, before))))
        });
        stream::at_most(self.0.limits.listing, pages.try_flatten())
    }

    async fn locations_of(&self, incoming: Incoming) -> Result<Locations> {
        let endpoint = self.0.endpoint.clone();
        let model = self.model().await?;
        let content_type = content_type(&incoming.head.headers);
        // Headers are there at once, and some servers put locations there whatever was asked for.
        let is_list = content_type == MediaType::UriList.as_str();
        let has_lines =
            content_type == MediaType::TextPlain.as_str() || content_type == MediaType::TextOcciPlain.as_str();
        if is_list || (has_lines && !has_locations(&incoming.head.headers)) {
            let lines = stream::lines(incoming.body).map(move |line| {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                let line = line.trim();
                let found: Vec<String> = if is_list {
                    (!line.is_empty() && !line.starts_with('#'))
                        .then(|| line.to_owned())
                        .into_iter()
                        .collect()
                } else {
                    // One line is a whole message.
                    let headers =
                        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
                    let answer = RawAnswer::new(StatusCode::OK, headers, Bytes::copy_from_slice(line.as_bytes()));
                    let found = answer.read(&endpoint, response::locations);
                    found.map_err(|error| unreadable(&endpoint, &error.to_string()))?
                };
                let paths: Vec<_> = found.iter().map(|url| Ok(own_path(&endpoint, &model, url))).collect();
                Ok::<_, Error>(futures::stream::iter(paths))
            });
            return Ok(stream::at_most(self.0.limits.listing, lines.try_flatten()));
        }
        let answer = self.judged(self.rest(incoming).await?)?;
        let found = answer
            .read(&endpoint, response::locations)
            .map_err(|error| unreadable(&endpoint, &error.to_string()))?;
        let paths: Vec<_> = found.iter().map(|url| Ok(own_path(&endpoint, &model, url))).collect();
        Ok(futures::stream::iter(paths).boxed())
    }

    /// The locations of a collection's members.
    pub async fn list(&self, at: &str, listing: &Listing) -> Result<Vec<String>> {
        self.list_stream(at, listing).await?.try_collect().await
    }

    /// The members of a collection in full, as they come. Where the server lists locations only, each is asked for, and
    /// what has gone meanwhile is left out.
    pub async fn entities(&self, at: &str, listing: &Listing) -> Result<Entities> {
        let at = self.collection(at).await?;
        // The model comes first, and with it the dialect.
        self.model().await?;
        if !self.dialect().media.is_json() {
            let locations = self.list_stream(&at, listing).await?;
            let client = self.clone();
            let entities = locations.map(move |location| {
                let client = client.clone();
                async move {
                    match client.show(&location?).await {
                        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                        found => found.map(Some),
                    }
                }
            });
            return Ok(entities
                .buffered(AT_ONCE)
                .try_filter_map(|found| async { Ok(found) })
                .boxed());
        }
        self.entities_in_json(&at, listing).await
    }

    async fn locations_in_json(&self, at: &str, listing: &Listing) -> Result<Locations> {
        let entities = self.entities_in_json(at, listing).await?;
        Ok(entities.map_ok(|entity| entity.location).boxed())
    }

    async fn entities_in_json(&self, at: &str, listing: &Listing) -> Result<Entities> {
        let first = self.answered_in_json(at, listing).await?;
        match listing.page.is_some() || self.dialect().is_occid {
            true => Ok(first),
            false => Ok(self.clone().with_the_rest(first, at.to_owned(), listing.filter.clone())),
        }
    }

    /// The members, and those after MartServer's page: if there are as many as that holds, it is asked for all of them.
    fn with_the_rest(self, first: Entities, at: String, filter: Filter) -> Entities {
        let most = self.0.limits.listing;
        let state = (self, at, filter, first, Vec::new(), false);
        let all = futures::stream::try_unfold(state, |mut state| async move {
            let (client, at, filter, entities, known, is_rest) = &mut state;
            loop {
                match entities.try_next().await? {
                    Some(entity) if *is_rest && known.contains(&entity.location) => {}
                    Some(entity) => {
                        if !*is_rest && known.len() <= MARTSERVERS_PAGE {
                            known.push(entity.location.clone());
                        }
                        return Ok::<_, Error>(Some((entity, state)));
                    }
                    None if *is_rest || known.len() != MARTSERVERS_PAGE => return Ok(None),
                    None => {
                        *is_rest = true;
                        let all = Listing {
                            filter: std::mem::take(filter),
                            page: Some((1, u32::try_from(client.0.limits.listing).unwrap_or(u32::MAX))),
                        };
                        *entities = match client.answered_in_json(at, &all).await {
                            Ok(all) => all,
                            // One that knows no such pages has shown all there is.
                            Err(error) if error.status().is_some_and(|status| status < 500) => return Ok(None),
                            Err(error) => return Err(error),
                        };
                    }
                }
            }
        });
        stream::at_most(most, all)
    }

    /// The members that the answer to one request shows.
    async fn answered_in_json(&self, at: &str, listing: &Listing) -> Result<Entities> {
        let model = self.model().await?;
        let request = self.requests(&self.dialect(), &model).list_full(at, listing)?;
        let incoming = self.good(self.exchange(request).await?).await?;
        let kind = content_type(&incoming.head.headers);
        if !kind.is_empty() && !kind.contains("json") {
            return Err(unreadable(
                &self.0.endpoint,
                &format!("it is {kind}, and JSON was asked for"),
            ));
        }
        // Old JSON lists the links of resources beside them.
        let of_kind = match model.at(at) {
            Some(Category::Kind(kind)) => Some(kind.id.clone()),
            _ => None,
        };
        let endpoint = self.0.endpoint.clone();
        let items = stream::items(incoming.body).map(move |item| {
            let json = HeaderValue::from_static("application/occi+json");
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
            let answer = RawAnswer::new(StatusCode::OK, headers, item?);
            let found = answer
                .read(&endpoint, response::entities)
                .map_err(|error| unreadable(&endpoint, &error.to_string()))?;
            let belongs = |entity: &Entity| match (&of_kind, &entity.kind) {
                (Some(of), Some(kind)) => model.descends_from(kind.as_str(), of.as_str()),
                _ => true,
            };
            let found = found
                .into_iter()
                .map(|remote| Entity::read(remote, None, &model))
                .filter(belongs);
            Ok::<_, Error>(futures::stream::iter(found.map(Ok).collect::<Vec<_>>()))
        });
        Ok(stream::at_most(self.0.limits.listing, items.try_flatten()))
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn has_locations(headers: &HeaderMap) -> bool {
    headers.contains_key("x-occi-location")
}
