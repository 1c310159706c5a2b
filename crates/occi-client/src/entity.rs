//! Entities as a server shows them, with typed values.

use crate::model::Model;
use occi_model::{AttributeName, Attributes, EntityId, TypeId, Value, core};
use occi_rendering::response::{RemoteAction, RemoteEntity};

/// A resource or a link of a server.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Entity {
    /// Its path on the server; empty where the server does not say it.
    pub location: String,
    /// Its kind.
    pub kind: Option<TypeId>,
    /// Its mixins.
    pub mixins: Vec<TypeId>,
    /// Its id: `occi.core.id`, or the last segment of its location.
    pub id: String,
    /// Its attributes, title and summary included; id and ends not.
    pub attributes: Attributes,
    /// Of a link: where it starts, a path or somebody else's URL.
    pub source: Option<String>,
    /// Of a link: where it leads.
    pub target: Option<String>,
    /// Of a link: the kind of what it leads to.
    pub target_kind: Option<TypeId>,
    /// Of a resource: its links. Of some the server tells no more than the location.
    pub links: Vec<Entity>,
    /// What may be invoked now, as the server says; some say nothing.
    pub actions: Vec<RemoteAction>,
    /// The version of this picture, for `If-Match`.
    pub etag: Option<String>,
}

impl Entity {
    /// Types the values by the model, and finds the location in what is known: where it was asked for, what the server
    /// says, or the location of its kind and its id.
    pub(crate) fn read(remote: RemoteEntity, asked: Option<&str>, model: &Model) -> Self {
        let RemoteEntity {
            location,
            kind,
            mixins,
            id,
            attributes,
            source,
            target,
            target_kind,
            links,
            actions,
        } = remote;
        // Some call an entity by its path, or by a URN.
        let bare = id.as_deref().map(EntityId::bare);
        let bare = bare
            .map(|id| id.rsplit('/').next().unwrap_or(id))
            .filter(|id| !id.is_empty());
        let kind_location = || {
            let kind = model.kind(kind.as_ref()?.as_str()).ok()?;
            Some(format!("{}{}", kind.location, bare?))
        };
        let location = asked
            .map(str::to_owned)
            .or(location)
            .or_else(kind_location)
            .unwrap_or_default();
        let last = location.trim_end_matches('/').rsplit('/').next();
        let id = bare.or(last).unwrap_or_default().to_owned();
        let attributes = attributes
            .into_iter()
            .filter_map(|(name, input)| Some((name.clone(), model.read_value(name.as_str(), &input)?)))
            .collect();
        let mut links: Vec<_> = links.into_iter().map(|link| Self::read(link, None, model)).collect();
        for link in &mut links {
            link.source.get_or_insert_with(|| location.clone());
        }
        Self {
            location,
            kind,
            mixins,
            id,
            attributes,
            source,
            target,
            target_kind,
            links,
            actions,
            etag: None,
        }
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name)
    }

    /// The text of an attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name)?.as_str()
    }

    /// `occi.core.title`.
    pub fn title(&self) -> Option<&str> {
        self.text("occi.core.title")
    }

    /// `occi.core.summary`.
    pub fn summary(&self) -> Option<&str> {
        self.text("occi.core.summary")
    }

    /// The name of the attribute that holds the state: `occi.compute.state` of a compute. It is that of the kind or of
    /// what the kind descends from; `None` if the entity shows none.
    pub fn state_attribute(&self, model: &Model) -> Option<AttributeName> {
        let kind = self.kind.as_ref()?;
        let terms = std::iter::once(kind.term()).chain(model.lineage(kind.as_str()).skip(1).map(|kind| kind.id.term()));
        let by_kind = terms
            .map(|term| format!("occi.{term}.state"))
            .find(|name| self.attribute(name).is_some());
        match by_kind {
            Some(name) => name.parse().ok(),
            None => {
                let mut names = self.attributes.iter().map(|(name, _)| name);
                names.find(|name| name.as_str().ends_with(".state")).cloned()
            }
        }
    }

    /// The state, and what the server says about it.
    pub fn state(&self, model: &Model) -> Option<State<'_>> {
        let name = self.state_attribute(model)?;
        Some(State {
            word: self.text(name.as_str())?,
            message: self.text(&format!("{name}.message")),
        })
    }

    /// Whether this is a link.
    pub fn is_link(&self, model: &Model) -> bool {
        match &self.kind {
            Some(kind) => model.descends_from(kind.as_str(), core::LINK),
            None => self.target.is_some(),
        }
    }
}

/// A state and its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State<'e> {
    /// `active`, `inactive`, `suspended`, `online`, `offline`, `error`, or a word of the server's own (`waiting`).
    pub word: &'e str,
    /// What the server says about it.
    pub message: Option<&'e str>,
}

impl State<'_> {
    /// Whether an engine has failed.
    pub fn is_error(&self) -> bool {
        self.word.eq_ignore_ascii_case("error") || self.word.eq_ignore_ascii_case("failed")
    }
}
