//! Answers that are ready to be sent again: bounded by bytes, and never wrong, because the key says everything that the
//! bytes depend on. What is asked for once is not kept, so that a walk over everything fills no memory and drives nothing
//! out.

use super::serve::Body;
use super::{answer, ask};
use crate::auth::Sight;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use occi_engine::Stamp;
use occi_rendering::{Agent, MediaType, Rendered};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who reads, and in which words: with the state of the entity, all that the bytes of its answer depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// What the reader may see.
    sight: Sight,
    media: MediaType,
    agent: Agent,
    /// Of the model.
    epoch: u64,
}

impl Reading {
    pub(super) fn new(sight: Sight, media: MediaType, agent: Agent, epoch: u64) -> Self {
        // JSON has two names and one form.
        let media = if media.is_json() { MediaType::OcciJson } else { media };
        Self {
            sight,
            media,
            agent,
            epoch,
        }
    }
}

/// The body of an answer, and the headers that are part of the rendering.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) body: Bytes,
    /// None of a name twice.
    fields: Option<Arc<[(HeaderName, HeaderValue)]>>,
}

impl Ready {
    pub(super) fn new(rendered: Rendered) -> Self {
        let Rendered {
            content_type: _,
            headers,
            body,
        } = rendered;
        Self {
            fields: (!headers.is_empty()).then(|| answer::fields(headers).collect()),
            ..Self::json(body)
        }
    }

    /// Of an entity as JSON.
    pub(super) fn json(body: Vec<u8>) -> Self {
        Self {
            // Without the room that it grew in.
            body: body.into_boxed_slice().into(),
            fields: None,
        }
    }

    fn fields(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.fields.iter().flat_map(|fields| fields.iter())
    }

    /// 200, or 304 if the client has it.
    pub(super) fn answer(self, client: &HeaderMap, generation: i64, media: MediaType) -> Response<Body> {
        let tag = answer::entity_tag(generation, media);
        let has = ask::none_match(client, &tag);
        // With room for what every answer has.
        let mut headers = HeaderMap::with_capacity(8);
        if !has {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
            headers.extend(self.fields().cloned());
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        let mut response = if has {
            answer::empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(answer::full(self.body))
        };
        *response.headers_mut() = headers;
        response
    }
}

type Key = (Reading, Stamp);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Ready> for ByBytes {
    fn weight(&self, _: &Key, ready: &Ready) -> u64 {
        let fields = ready
            .fields()
            .map(|(name, value)| name.as_str().len() + value.len() + 128);
        // The fixed part: an entry of the cache with its share of free places.
        (192 + fields.sum::<usize>() + ready.body.len()) as u64
    }
}

/// Questions are remembered in so many places, four in each.
const PLACES: u64 = 1 << 14;

/// The answers.
pub(super) struct Answers {
    cache: Cache<Key, Ready, ByBytes>,
    /// Who asked lately for what, in whatever state it was: 16 bits of hashes, the newest four of each place.
    asked: Box<[AtomicU64]>,
    bytes: usize,
}

impl Answers {
    /// At most `bytes` of answers.
    pub(super) fn new(bytes: usize) -> Self {
        // An entity is about a kilobyte.
        Self {
            cache: Cache::with_weighter(bytes / 1024 + 1, bytes as u64, ByBytes),
            asked: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            bytes,
        }
    }

    pub(super) fn get(&self, reading: Reading, stamp: Stamp) -> Option<Ready> {
        self.cache.get(&(reading, stamp))
    }

    /// Keeps an answer that was asked for before.
    pub(super) fn keep(&self, reading: Reading, stamp: Stamp, ready: &Ready) {
        if self.was_asked(reading, stamp.seq) {
            self.cache.insert((reading, stamp), ready.clone());
        }
    }

    fn was_asked(&self, reading: Reading, seq: i64) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((reading, seq));
        let place = &self.asked[usize::try_from(hash % PLACES).unwrap_or_default()];
        // 0 is nobody's.
        let part = (hash >> 48).max(1);
        let there = place.load(Ordering::Relaxed);
        let was_asked = (0..4).any(|at| there >> (16 * at) & 0xffff == part);
        if !was_asked {
            // Two at once may lose a question, which is then asked once more.
            place.store(there << 16 | part, Ordering::Relaxed);
        }
        was_asked
    }

    /// How many bytes at its beginning a listing may keep here. The rest passes by: one that is longer than the memory would
    /// drive out itself.
    pub(super) fn share(&self) -> usize {
        self.bytes / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_by_bytes() {
        let answers = Answers::new(64 << 10);
        let sight = crate::auth::sight::Sights::default().of(&occi_engine::Principal {
            name: "ann".to_owned(),
            operator: true,
            projects: Vec::new(),
            default_project: "p".to_owned(),
        });
        let reading = Reading::new(sight, MediaType::TextPlain, Agent::default(), 1);
        let stamp = |seq: i64| Stamp { seq, generation: 1 };
        let ready = Ready::new(Rendered {
            body: vec![b'x'; 1000],
            ..Rendered::default()
        });
        let ask_all = || (0..1000).for_each(|seq| answers.keep(reading, stamp(seq), &ready));
        ask_all();
        assert_eq!(answers.cache.len(), 0, "once is not often");
        ask_all();
        assert!(answers.cache.weight() <= 64 << 10, "{}", answers.cache.weight());
        assert!(answers.cache.len() > 40, "{}", answers.cache.len());
    }
}
