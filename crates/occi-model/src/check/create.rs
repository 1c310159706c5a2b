//! Entities to be made.

use super::addresses::check_addresses;
use super::ends::{refuse_ends, refuse_links};
use super::given::{Given, check_limits, immutable, is_state, missing};
use super::{Stage, Violation};
use crate::{Attributes, Class, EntityDraft, Kind, LinkDraft, LinkEnd, Registry, TypeId, core};
use std::borrow::Cow;
use std::sync::Arc;

/// An entity to be made: everything is known, typed and allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntity {
    /// Its kind.
    pub kind: TypeId,
    /// Its mixins, in the order of the request, each once. What they depend on is not among them.
    pub mixins: Vec<TypeId>,
    /// Its attributes: the client's, then defaults, template values and the initial state.
    pub attributes: Attributes,
    /// Its links, or its ends.
    pub shape: NewShape,
}

/// What makes a new entity a resource or a link.
#[derive(Clone, Debug, PartialEq)]
pub enum NewShape {
    /// A resource and the links that come with it.
    Resource {
        /// The links, in the order of the request.
        links: Vec<NewLink>,
    },
    /// A link.
    Link {
        /// The resource that will own it: a path of this service.
        source: LinkEnd,
        /// What it leads to: a path of this service, or an absolute URI.
        target: LinkEnd,
    },
}

/// A link to be made. Its source is the resource that it comes with.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLink {
    /// Its kind.
    pub kind: TypeId,
    /// Its mixins, as in [`NewEntity`].
    pub mixins: Vec<TypeId>,
    /// Its attributes, as in [`NewEntity`].
    pub attributes: Attributes,
    /// What it leads to.
    pub target: LinkEnd,
}

/// What a new entity has before its links and ends.
struct NewParts {
    kind: Arc<Kind>,
    mixins: Vec<TypeId>,
    attributes: Attributes,
}

impl Registry {
    /// Checks an entity to be made, its inline links included.
    ///
    /// The id that a client proposes and the source of an inline link are ignored. URLs of this service must have
    /// become paths before.
    pub fn check_create(&self, draft: &EntityDraft) -> Result<NewEntity, Violation> {
        let NewParts {
            kind,
            mixins,
            attributes,
        } = self.check_parts(draft, "")?;
        let shape = if self.is_link(kind.id.as_str()) {
            refuse_links(draft, &kind)?;
            NewShape::Link {
                source: self.source(draft, &kind)?,
                target: self.target(draft, &kind, None, "")?,
            }
        } else {
            refuse_ends(draft, &kind)?;
            let links = draft.links.iter().enumerate();
            NewShape::Resource {
                links: links
                    .map(|(index, link)| self.check_link(link, &kind.id, &format!("links[{index}].")))
                    .collect::<Result<_, _>>()?,
            }
        };
        self.check_conflicts(&mixins, &mixins, "")?;
        Ok(NewEntity {
            kind: kind.id.clone(),
            mixins,
            attributes,
            shape,
        })
    }

    /// Everything of a new entity but links and ends.
    fn check_parts(&self, draft: &EntityDraft, at: &str) -> Result<NewParts, Violation> {
        check_limits(draft, at)?;
        let kind = match &draft.kind {
            Some(kind) => self.find_kind(kind, at)?,
            None => {
                return Err(Violation::invalid(
                    format!("{at}kind"),
                    "a kind is missing: name exactly one",
                ));
            }
        };
        // A plain link joins what no link of a kind of its own does: a resource of another service.
        let is_base = self.rows().kinds.get(kind.id.as_str()).is_some_and(|row| row.base) && kind.id != *core::LINK;
        if kind.id == *core::ENTITY || (is_base && !self.base_kinds_have_instances()) {
            return Err(Violation::invalid(
                format!("{at}kind"),
                format!(
                    "{} has no instances of its own; name one of the kinds that descend from it",
                    kind.id
                ),
            ));
        }
        let mixins = self.find_mixins(&draft.mixins, &[], at)?;
        for mixin in &mixins {
            self.check_association(&kind.id, mixin, Stage::Creation)
                .map_err(|violation| violation.at(at))?;
        }
        let definitions = self.definitions(kind.id.as_str(), &mixins);
        let given = self.given(&definitions, draft, None, at)?;

        let ignored = |given: &Given<'_, '_>| given.name().as_str() == core::ID || is_state(given.definition());
        for given in given.iter().filter(|given| !ignored(given)) {
            let definition = given.definition();
            if !definition.mutable
                && !definition.creation_only
                && given.overriding().is_none()
                && !given
                    .assigned()
                    .is_some_and(|value| self.read(given, at).as_ref() == Ok(value))
            {
                return Err(immutable(given.name(), at));
            }
        }
        let mut attributes = Attributes::new();
        for given in given.iter().filter(|given| !ignored(given)) {
            attributes.set(given.name().clone(), self.read(given, at)?);
        }
        for one in definitions.iter() {
            let name = &one.attribute.name;
            if core::is_structural(name.as_str()) || is_state(one.attribute) {
                continue;
            }
            let absent = attributes.get(name.as_str()).is_none();
            match (one.overriding, one.default) {
                (Some(value), _) => drop(attributes.set(name.clone(), value.clone())),
                (None, Some(default)) if absent => drop(attributes.set(name.clone(), default.clone())),
                (None, None) if absent && one.attribute.required => return Err(missing(&kind, one.attribute, at)),
                _ => {}
            }
        }
        check_addresses(&Attributes::new(), &attributes, at)?;
        if let Some(lifecycle) = self.lifecycle(kind.id.as_str()) {
            attributes.set(lifecycle.state.clone(), lifecycle.initial);
        }
        Ok(NewParts {
            kind,
            mixins,
            attributes,
        })
    }

    /// A link that comes with a resource of kind `source`.
    pub(super) fn check_link(&self, link: &LinkDraft, source: &TypeId, at: &str) -> Result<NewLink, Violation> {
        let mut draft = Cow::Borrowed(&link.entity);
        if draft.kind.as_ref().is_none_or(|kind| *kind == *core::LINK)
            && let Some(target) = &draft.target
        {
            // Nothing, or nothing of use, is said of the link: where it leads says what it is.
            let end = self.end(target, draft.target_kind.as_ref(), &format!("{at}target"))?;
            let towards = end.kind.filter(|_| end.location.starts_with('/'));
            let kind = match towards {
                Some(kind) => self.link_kind_to(kind.as_str()),
                None => self.kind(core::LINK),
            };
            draft.to_mut().kind = kind.map(|kind| kind.id.clone());
        }
        let NewParts {
            kind,
            mixins,
            attributes,
        } = self.check_parts(&draft, at)?;
        if !self.is_link(kind.id.as_str()) {
            return Err(Violation::invalid(
                format!("{at}kind"),
                format!("{} is no link", kind.id),
            ));
        }
        let target = self.target(&draft, &kind, None, at)?;
        self.check_ends_at(&kind.id, Some(source), None, at)?;
        self.check_conflicts(&mixins, &mixins, at)?;
        Ok(NewLink {
            kind: kind.id.clone(),
            mixins,
            attributes,
            target,
        })
    }

    pub(super) fn find_kind(&self, id: &TypeId, at: &str) -> Result<Arc<Kind>, Violation> {
        match self.resolve_id(id, Some(Class::Kind)) {
            Ok(crate::Category::Kind(kind)) => Ok(kind.clone()),
            Ok(other) => Err(Violation::invalid(
                format!("{at}kind"),
                format!("{} is no kind", other.id()),
            )),
            Err(error) => Err(Violation::invalid(format!("{at}kind"), error.to_string())),
        }
    }
}
