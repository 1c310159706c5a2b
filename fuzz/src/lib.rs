//! What the fuzz targets share.

use occi_model::{Registry, TypeId};
use occi_rendering::response::{self, Answer};
use occi_rendering::{Agent, Base, Incoming, MediaType, request};
use std::sync::LazyLock;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::standard);
static BASE: LazyLock<Base> = LazyLock::new(|| Base::new("http://cloud.example.org", ""));

/// Reads a message as every request and every answer that it could be.
///
/// # Panics
/// If a reader does.
pub fn read_as_everything(media: MediaType, fields: &[(&str, &[u8])], body: &[u8]) {
    for rocci in [false, true] {
        let incoming = Incoming {
            media,
            fields,
            body,
            registry: &REGISTRY,
            base: &BASE,
            agent: Agent {
                rocci,
                ..Agent::default()
            },
        };
        let _ = request::entities(&incoming);
        let _ = request::entity(&incoming);
        let _ = request::action(&incoming);
        let _ = request::locations(&incoming);
        let _ = request::mixins(&incoming);
        let _ = request::category_refs(&incoming);
        let _ = request::filter(&incoming);
        let _ = request::has_kind(&incoming);
    }
    let media = media.as_str().as_bytes();
    let fields: Vec<_> = fields.iter().copied().chain([("Content-Type", media)]).collect();
    let answer = Answer {
        status: 200,
        fields: &fields,
        body,
        base: &BASE,
    };
    let _ = response::entities(&answer);
    let _ = response::locations(&answer);
    let _ = response::model(&answer);
    let _ = response::created(&answer, |kind: &TypeId| {
        REGISTRY.kind(kind.as_str()).map(|kind| &kind.location)
    });
    let _ = response::error(&answer);
    let _ = response::keystone(&answer);
}

/// The lines of an input as header fields, `name: value` each.
pub fn fields(input: &[u8]) -> Vec<(&str, &[u8])> {
    input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii()))
        })
        .collect()
}
