//! What a client says of an entity, before the model has checked it.

use crate::{AttributeName, TypeId, Value};

/// The value of an attribute as it came over the wire. Its type is decided by the definition, not by its look.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A bare word or number of a text rendering.
    Token(String),
    /// A quoted string of a text rendering, unescaped.
    Quoted(String),
    /// A JSON value.
    Typed(Value),
    /// JSON's `null`: unset it.
    Null,
}

/// An entity as a client describes it: to create, to replace, to change or to link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityDraft {
    /// The kind, where the client named one.
    pub kind: Option<TypeId>,
    /// The mixins, in the order of the request.
    pub mixins: Vec<TypeId>,
    /// The id that the client proposes (`occi.core.id`, JSON's `id`); ignored except where the protocol uses it.
    pub id: Option<String>,
    /// The attributes, in the order of the request, `occi.core.title` and `occi.core.summary` included,
    /// `occi.core.id`, `occi.core.source` and `occi.core.target` (and their `.kind`) not. The last of a name wins.
    pub attributes: Vec<(AttributeName, Input)>,
    /// For a link: where it starts, as the client wrote it.
    pub source: Option<String>,
    /// For a link: where it leads, as the client wrote it.
    pub target: Option<String>,
    /// For a link: the kind of the target (`occi.core.target.kind`).
    pub target_kind: Option<TypeId>,
    /// For a resource: the links that come with it.
    pub links: Vec<LinkDraft>,
}

/// An inline link of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkDraft {
    /// The link's own description; its kind is inferred from `rel` where the client named none. `target` is set.
    pub entity: EntityDraft,
    /// The `self` of a text rendering: the link instance that the client means, if it exists already.
    pub own_location: Option<String>,
}

/// A mixin as a user describes it, to add it through the query interface (GFD.223).
#[derive(Clone, Debug, PartialEq)]
pub struct MixinDraft {
    /// Scheme and term.
    pub id: TypeId,
    /// For people.
    pub title: Option<String>,
    /// The mixins that it is related to (`rel`); they may be unknown.
    pub depends: Vec<TypeId>,
    /// Where its collection shall be, as the user wrote it, made a path where it was a URL of this service.
    pub location: Option<String>,
    /// Whether it brings attributes or actions, which a user's mixin must not.
    pub has_capabilities: bool,
}
