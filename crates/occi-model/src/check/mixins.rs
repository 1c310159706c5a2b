//! Mixins: where they may go, which exclude each other, and those that users make.

use super::{MAX_CATEGORIES, Violation, ViolationKind};
use crate::builder::{RESERVED_SCHEME, is_reserved_path};
use crate::infrastructure::canonical_path;
use crate::{Class, Entity, EntityDraft, Location, Mixin, MixinDraft, Origin, Registry, TypeId};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

/// The most mixins that a mixin of a user may depend on, directly or not: whoever has it has them all.
pub const MAX_DEPENDS: usize = 16;
/// The longest that the names and the title of a mixin of a user may be, all together: every model of its project has them.
pub const MAX_MIXIN_BYTES: usize = 8 << 10;

/// When a mixin comes to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// With the entity.
    Creation,
    /// To an entity that exists.
    Later,
}

/// The outcome of [`Registry::check_mixin`].
#[derive(Clone, Debug)]
pub enum NewMixin {
    /// To be added with [`Registry::with`].
    New(Mixin),
    /// The same user defined the same thing before.
    Same(Arc<Mixin>),
}

/// How the mixins of an entity change.
pub(super) struct MixinPlan {
    /// What the request names, there already or not.
    pub(super) named: Vec<TypeId>,
    pub(super) added: Vec<TypeId>,
    pub(super) removed: Vec<TypeId>,
    pub(super) result: Vec<TypeId>,
}

impl Registry {
    /// Checks whether `mixin` may come to an entity of `kind` now.
    pub fn check_association(&self, kind: &TypeId, mixin: &TypeId, stage: Stage) -> Result<(), Violation> {
        if !self.covers(mixin.as_str(), kind.as_str()) {
            let closure = self.depends_closure(mixin.as_str());
            let applies: BTreeSet<&str> = closure
                .iter()
                .flat_map(|mixin| mixin.applies.iter().map(TypeId::term))
                .collect();
            let applies: Vec<&str> = applies.into_iter().collect();
            return Err(Violation::forbidden(
                "mixins",
                format!(
                    "{mixin} does not apply to {}, but to {}",
                    kind.term(),
                    applies.join(", ")
                ),
            ));
        }
        if stage == Stage::Later && self.behaves(mixin.as_str(), |row| row.creation_only) {
            return Err(Violation::invalid(
                "mixins",
                format!("{mixin} can be given at creation only"),
            ));
        }
        Ok(())
    }

    /// Checks a mixin that `owner` wants to add for `project` through the query interface. Paths of entities are the
    /// caller's check.
    pub fn check_mixin(&self, draft: &MixinDraft, project: &str, owner: &str) -> Result<NewMixin, Violation> {
        let id = &draft.id;
        if id.as_str().starts_with(RESERVED_SCHEME) {
            return Err(Violation::forbidden(
                "scheme",
                format!("schemes under {RESERVED_SCHEME} belong to the OCCI documents; use one of your own"),
            ));
        }
        if draft.has_capabilities {
            return Err(Violation::invalid(
                "attributes",
                "a mixin of a user has no attributes and no actions",
            ));
        }
        let location: Location = match draft.location.as_deref().filter(|location| !location.is_empty()) {
            None => return Err(Violation::invalid("location", format!("{id} needs a location"))),
            Some(location) => location
                .parse()
                .map_err(|error: crate::IdentError| Violation::invalid("location", error.to_string()))?,
        };
        let words = [&draft.title, &draft.location].into_iter().flatten().map(String::len);
        let ids = draft.depends.iter().chain([id]).map(|id| id.as_str().len());
        let size: usize = words.chain(ids).sum();
        if size > MAX_MIXIN_BYTES {
            let message = format!("a mixin has {size} bytes of names and title; {MAX_MIXIN_BYTES} are the most");
            return Err(Violation::new(ViolationKind::TooLarge, "title", message));
        }
        let mut depends = Vec::new();
        for depended in &draft.depends {
            let known = self.resolve_id(depended, Some(Class::Mixin)).map(crate::Category::id);
            let depended = known.unwrap_or(depended);
            if !depends.contains(depended) {
                depends.push(depended.clone());
            }
        }
        let mixin = Mixin {
            id: id.clone(),
            title: draft.title.clone().unwrap_or_default(),
            depends,
            applies: Vec::new(),
            attributes: Vec::new(),
            actions: Vec::new(),
            location,
            origin: Origin::User {
                project: project.to_owned(),
                owner: owner.to_owned(),
            },
        };
        if let Some(taken) = self.category(id.as_str()) {
            return match taken {
                crate::Category::Mixin(same)
                    if same.origin == mixin.origin
                        && same.location == mixin.location
                        && same.title == mixin.title
                        && same.depends == mixin.depends =>
                {
                    Ok(NewMixin::Same(same.clone()))
                }
                _ => Err(Violation::conflict("term", format!("{id} is defined already"))),
            };
        }
        self.check_user_location(&mixin.location)?;
        if mixin.depends.contains(id) {
            return Err(Violation::invalid("rel", format!("{id} would depend on itself")));
        }
        let closure = self.closure_of(&mixin.depends);
        if let Some(parent) = closure.iter().find(|parent| self.is_exclusive(parent.id.as_str())) {
            return Err(Violation::forbidden(
                "rel",
                format!("{} is for templates, which the provider makes", parent.id),
            ));
        }
        if self.depends_on_more_than(MAX_DEPENDS, &mixin) {
            let message = format!("{id} would depend on more than {MAX_DEPENDS} mixins, directly or not");
            return Err(Violation::new(ViolationKind::TooLarge, "rel", message));
        }
        Ok(NewMixin::New(mixin))
    }

    fn check_user_location(&self, location: &Location) -> Result<(), Violation> {
        let path = location.as_str();
        let taken = |by: &dyn fmt::Display| Err(Violation::conflict("location", format!("{location} {by}")));
        if is_reserved_path(path) || canonical_path(path) != path {
            return taken(&"is reserved");
        }
        if let Some(holder) = self.at_location(path) {
            return taken(&format_args!("belongs to {}", holder.id()));
        }
        match self
            .kinds()
            .iter()
            .find(|kind| path.starts_with(kind.location.as_str()))
        {
            Some(kind) => taken(&format_args!("is where entities of {} are", kind.id)),
            None => Ok(()),
        }
    }

    /// The mixins that a client named, each once. Those that an entity has already need not be known any more.
    pub(super) fn find_mixins(&self, ids: &[TypeId], current: &[TypeId], at: &str) -> Result<Vec<TypeId>, Violation> {
        let mut mixins = Vec::with_capacity(ids.len());
        for id in ids {
            let found = match self.resolve_id(id, Some(Class::Mixin)) {
                Ok(mixin) => mixin.id(),
                Err(_) if current.contains(id) => id,
                Err(error) => return Err(Violation::invalid(format!("{at}mixins"), error.to_string())),
            };
            if !mixins.contains(found) {
                mixins.push(found.clone());
            }
        }
        Ok(mixins)
    }

    /// What the mixins that a draft names do to those of an entity. Those that it leaves out stay, or go if `may_go` and
    /// nothing else keeps them.
    pub(super) fn plan_mixins(
        &self,
        entity: &Entity,
        draft: &EntityDraft,
        may_go: impl Fn(&Mixin) -> bool,
    ) -> Result<MixinPlan, Violation> {
        let named = self.find_mixins(&draft.mixins, &entity.mixins, "")?;
        let added: Vec<_> = named.iter().filter(|id| !entity.mixins.contains(id)).cloned().collect();
        for mixin in &added {
            self.check_association(&entity.kind, mixin, Stage::Later)?;
        }
        let replaced = |id: &TypeId| {
            let family = self.family(id);
            family.is_some() && added.iter().any(|added| self.family(added) == family)
        };
        // A template that its backend offers no more is unknown, and still what the entity was made from.
        let goes = |id: &TypeId| self.mixin(id.as_str()).is_some_and(|mixin| may_go(mixin));
        let omitted = |id: &TypeId| !named.contains(id) && goes(id) && !self.behaves(id.as_str(), |row| row.kept);
        let (removed, mut result): (Vec<_>, Vec<_>) = entity
            .mixins
            .iter()
            .cloned()
            .partition(|id| replaced(id) || omitted(id));
        result.extend(added.iter().cloned());
        if !added.is_empty() && result.len() >= MAX_CATEGORIES {
            let message = format!(
                "it would have {} mixins; an entity may have {MAX_CATEGORIES} categories, its kind included",
                result.len()
            );
            return Err(Violation::new(ViolationKind::TooLarge, "mixins", message));
        }
        Ok(MixinPlan {
            named,
            added,
            removed,
            result,
        })
    }

    /// Whether the values of `mixin` win over the client's.
    pub(crate) fn overrides(&self, mixin: &TypeId) -> bool {
        self.behaves(mixin.as_str(), |row| row.overrides)
    }

    fn is_exclusive(&self, mixin: &str) -> bool {
        self.rows().mixins.get(mixin).is_some_and(|row| row.exclusive)
    }

    /// The parent whose children replace each other, if `mixin` is such a child.
    pub(super) fn family(&self, mixin: &TypeId) -> Option<&TypeId> {
        let closure = self.depends_closure(mixin.as_str());
        let parent = closure
            .into_iter()
            .find(|parent| parent.id != *mixin && self.is_exclusive(parent.id.as_str()))?;
        Some(&parent.id)
    }

    fn check_one_per_family(&self, named: &[TypeId], at: &str) -> Result<(), Violation> {
        for (index, mixin) in named.iter().enumerate() {
            let Some(family) = self.family(mixin) else { continue };
            if let Some(other) = named[..index].iter().find(|other| self.family(other) == Some(family)) {
                return Err(Violation::conflict(
                    format!("{at}mixins"),
                    format!("{other} and {mixin} are both of {}; name one", family.term()),
                ));
            }
        }
        Ok(())
    }

    /// What is right by itself but not together: two templates, a mixin and its twin.
    pub(super) fn check_conflicts(&self, named: &[TypeId], result: &[TypeId], at: &str) -> Result<(), Violation> {
        self.check_one_per_family(named, at)?;
        for mixin in named {
            let twin = self.rows().mixins.get(mixin.as_str()).and_then(|row| row.twin);
            if let Some(twin) = result.iter().find(|id| twin.is_some_and(|twin| **id == *twin)) {
                return Err(Violation::conflict(
                    format!("{at}mixins"),
                    format!("{mixin} and {twin} mean the same; use one"),
                ));
            }
        }
        Ok(())
    }

    /// The names of all attributes that these mixins define, with all that they depend on.
    pub(super) fn names_of<'r, 'a>(&'r self, mixins: impl IntoIterator<Item = &'a TypeId>) -> HashSet<&'r str> {
        let closure = self.closure_of(mixins);
        let attributes = closure.into_iter().flat_map(|mixin| &mixin.attributes);
        attributes.map(|attribute| attribute.name.as_str()).collect()
    }
}
