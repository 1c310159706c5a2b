//! The rules that a request must keep (GFD.221, section 5): what a client describes becomes typed values or a
//! [`Violation`].
//!
//! The checks run in one order, so that a request with several faults always gets the same answer: limits, kind,
//! mixins, where they apply, attribute names, what is immutable, values, what is missing, links, conflicts. Whether a
//! link's target exists, whether a path is free and what the state allows is for the caller, who knows the entities.
//!
//! | attribute | create | partial update | replacement |
//! | --- | --- | --- | --- |
//! | mutable, given | set | set | set |
//! | mutable, absent | default or unset; required: refused | unchanged | default or unset; required: refused |
//! | immutable, absent | the provider's | unchanged | unchanged |
//! | immutable, as it is | refused | ignored | ignored |
//! | immutable, different | refused | refused | refused |
//! | `occi.core.id`, `*.state`, `*.state.message` | ignored | as any immutable | states ignored |
//!
//! A resource template's values win over the client's. Templates, keys and user data survive a replacement that does
//! not name them, with their attributes.

use crate::builder::{RESERVED_SCHEME, is_reserved_path};
use crate::infrastructure::canonical_path;
use crate::{AttributeDefinition, AttributeName, Location};
use crate::{
    Attributes, Class, Definitions, Effective, Entity, EntityDraft, EntityId, Input, Kind, LinkDraft, LinkEnd, Mixin,
    MixinDraft, Origin, Registry, ResolveError, Shape, TypeId, Value, ValueType, core,
};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The most attributes that a request may give one entity.
pub const MAX_ATTRIBUTES: usize = 256;
/// The most categories that a request may give one entity, its kind included.
pub const MAX_CATEGORIES: usize = 64;

/// What a caller branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// It contradicts the model: unknown, wrong, or missing.
    Invalid,
    /// The model does not permit it: immutable, not applicable to this kind, reserved.
    Forbidden,
    /// It contradicts itself or what is there: two templates, a name that is taken.
    Conflict,
    /// The documents define it and this service leaves it out.
    Unsupported,
    /// There is too much of it.
    TooLarge,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// What a caller branches on.
    pub kind: ViolationKind,
    /// The part at fault: `kind`, `mixins`, `source`, `attributes.occi.compute.cores`, `links[0].target`.
    pub path: String,
    /// One sentence that says what is wrong and what is expected.
    pub message: String,
}

impl Violation {
    fn new(kind: ViolationKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            message: message.into(),
        }
    }

    fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Invalid, path, message)
    }

    fn forbidden(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Forbidden, path, message)
    }

    fn conflict(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ViolationKind::Conflict, path, message)
    }

    fn of_category(error: &ResolveError, path: impl Into<String>) -> Self {
        let kind = match error {
            ResolveError::LeftOut(_) => ViolationKind::Unsupported,
            _ => ViolationKind::Invalid,
        };
        Self::new(kind, path, error.to_string())
    }
}

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

/// What a request changes on an entity; values that stay as they are do not appear.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// New values.
    pub set: Attributes,
    /// Attributes to remove.
    pub unset: Vec<AttributeName>,
    /// Mixins to add, in order.
    pub mixins_added: Vec<TypeId>,
    /// Mixins to remove; a template that another one replaces is here.
    pub mixins_removed: Vec<TypeId>,
    /// For a link: another source.
    pub source: Option<LinkEnd>,
    /// For a link: another target.
    pub target: Option<LinkEnd>,
    /// For a resource: links to make.
    pub links: Vec<NewLink>,
}

impl Change {
    /// Whether the request leaves everything as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

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

/// An attribute that a client gave, with what holds for it.
struct Given<'r, 'd> {
    effective: Effective<'r>,
    input: &'d Input,
}

impl<'r> Given<'r, '_> {
    fn definition(&self) -> &'r AttributeDefinition {
        self.effective.attribute
    }
    fn name(&self) -> &'r AttributeName {
        &self.effective.attribute.name
    }
    /// The value that a resource template puts in the place of the client's: only where the kind lets clients choose.
    fn overriding(&self) -> Option<&'r Value> {
        let chosen = self.effective.of_kind.is_some_and(|definition| definition.mutable);
        self.effective.overriding.filter(|_| chosen)
    }
}

/// How the mixins of an entity change.
struct MixinPlan {
    added: Vec<TypeId>,
    removed: Vec<TypeId>,
    result: Vec<TypeId>,
}

/// A state or its message: it moves by itself, so clients that send it back mean no harm.
fn is_state(attribute: &AttributeDefinition) -> bool {
    let name = attribute.name.as_str();
    !attribute.mutable && (name.ends_with(".state") || name.ends_with(".state.message"))
}

/// What a client wrote, short enough for a message.
fn shown(input: &Input) -> String {
    let (text, quoted) = match input {
        Input::Token(text) => (text.clone(), false),
        Input::Quoted(text) => (text.clone(), true),
        Input::Typed(value) => (value.to_string(), matches!(value, Value::String(_))),
        Input::Null => return "null".to_owned(),
    };
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    if quoted { format!("{short:?}") } else { short }
}

fn attribute_path(at: &str, name: impl fmt::Display) -> String {
    format!("{at}attributes.{name}")
}

fn check_limits(draft: &EntityDraft, at: &str) -> Result<(), Violation> {
    if draft.attributes.len() > MAX_ATTRIBUTES {
        return Err(Violation::new(
            ViolationKind::TooLarge,
            format!("{at}attributes"),
            format!(
                "{} attributes are given; an entity may have {MAX_ATTRIBUTES}",
                draft.attributes.len()
            ),
        ));
    }
    if draft.mixins.len() >= MAX_CATEGORIES {
        return Err(Violation::new(
            ViolationKind::TooLarge,
            format!("{at}mixins"),
            format!(
                "{} mixins are given; an entity may have {MAX_CATEGORIES} categories, its kind included",
                draft.mixins.len()
            ),
        ));
    }
    Ok(())
}

fn check_id(entity: &Entity, proposed: &str) -> Result<(), Violation> {
    // Some clients put the path where the id belongs.
    let bare = proposed.rsplit('/').next().unwrap_or(proposed);
    if bare.parse::<EntityId>().is_ok_and(|id| id == entity.id) {
        return Ok(());
    }
    Err(Violation::forbidden(
        attribute_path("", core::ID),
        format!("{} is {} and cannot be changed", core::ID, entity.id),
    ))
}

fn immutable(name: &AttributeName, at: &str) -> Violation {
    Violation::forbidden(
        attribute_path(at, name),
        format!("{name} is immutable: the service sets it"),
    )
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

    /// Checks a partial update (POST on an entity; GFD.223, section 5.5.3): what is given changes, everything else
    /// stays. Adding a template replaces the one that is there. JSON's `null` unsets an optional attribute. Adding an
    /// entity to a mixin's collection is the partial update that names the mixin alone.
    ///
    /// Links that the entity has (by `self`) are ignored, others are new.
    pub fn check_update(&self, entity: &Entity, draft: &EntityDraft) -> Result<Change, Violation> {
        check_limits(draft, "")?;
        let kind = self.same_entity(entity, draft)?;
        let plan = self.plan_mixins(entity, draft, false)?;
        let before = self.definitions(kind.id.as_str(), &entity.mixins);
        let after = self.definitions(kind.id.as_str(), &plan.result);
        let given = self.given(&after, draft, "")?;
        let mut change = Change::default();
        let fresh = self.names_of(&plan.added);

        self.refuse_immutable(entity, &given, &fresh, |_| false)?;
        let mut nulled = HashSet::new();
        for given in &given {
            let name = given.name();
            if given.definition().creation_only || !given.definition().mutable {
                continue;
            }
            if *given.input == Input::Null {
                if given.definition().required {
                    return Err(missing(&kind, given.definition(), ""));
                }
                nulled.insert(name.as_str());
                if entity.attributes.get(name.as_str()).is_some() {
                    change.unset.push(name.clone());
                }
                continue;
            }
            let value = self.read(given, "")?;
            if given.overriding().is_none() || !fresh.contains(name.as_str()) {
                set_if_new(&mut change, entity, name, &value);
            }
        }
        apply_fresh(&mut change, entity, &after, &fresh, &nulled);
        for one in after.iter().filter(|one| fresh.contains(one.attribute.name.as_str())) {
            let name = one.attribute.name.as_str();
            if one.attribute.required && change.set.get(name).or_else(|| entity.attributes.get(name)).is_none() {
                return Err(missing(&kind, one.attribute, ""));
            }
        }
        unset_gone(&mut change, entity, &before, &after);

        match &entity.shape {
            Shape::Link { source, target } => {
                refuse_links(draft, &kind)?;
                if draft.source.is_some() {
                    change.source = Some(self.source(draft, &kind)?).filter(|new| new.location != source.location);
                }
                if draft.target.is_some() || draft.target_kind.is_some() {
                    let new = self.target(draft, &kind, Some(target), "")?;
                    change.target = Some(new).filter(|new| new != target);
                }
            }
            Shape::Resource { links } => {
                refuse_ends(draft, &kind)?;
                for (index, link) in draft.links.iter().enumerate() {
                    if !links.iter().any(|known| is_own_location(link, known)) {
                        change
                            .links
                            .push(self.check_link(link, &kind.id, &format!("links[{index}]."))?);
                    }
                }
            }
        }
        self.check_conflicts(&plan.added, &plan.result, "")?;
        Ok(plan.finish(change))
    }

    /// Checks a replacement (PUT on an entity; GFD.223, section 5.5.2): what is not given goes back to its default or
    /// goes away, and so do mixins that are not named. Templates, keys and user data stay with their attributes, and so
    /// does an omitted attribute that `keeps` names: those that an engine owns. Links stay as they are; a link that the
    /// entity does not have is refused.
    pub fn check_replace(
        &self,
        entity: &Entity,
        draft: &EntityDraft,
        keeps: impl Fn(&AttributeName) -> bool,
    ) -> Result<Change, Violation> {
        check_limits(draft, "")?;
        let kind = self.same_entity(entity, draft)?;
        let plan = self.plan_mixins(entity, draft, true)?;
        let before = self.definitions(kind.id.as_str(), &entity.mixins);
        let after = self.definitions(kind.id.as_str(), &plan.result);
        let given = self.given(&after, draft, "")?;
        let mut change = Change::default();
        let fresh = self.names_of(&plan.added);

        self.refuse_immutable(entity, &given, &fresh, is_state)?;
        for given in &given {
            if given.definition().creation_only || !given.definition().mutable {
                continue;
            }
            let value = self.read(given, "")?;
            if given.overriding().is_none() || !fresh.contains(given.name().as_str()) {
                set_if_new(&mut change, entity, given.name(), &value);
            }
        }
        let kept_mixins = plan
            .result
            .iter()
            .filter(|id| self.behaves(id.as_str(), |row| row.kept));
        let kept: HashSet<_> = self.names_of(kept_mixins);
        for one in after.iter() {
            let name = &one.attribute.name;
            let omitted = one.attribute.mutable
                && !one.attribute.creation_only
                && !core::is_structural(name.as_str())
                && !given.iter().any(|given| given.name() == name);
            let value = entity.attributes.get(name.as_str());
            if !omitted || (kept.contains(name.as_str()) && value.is_some()) {
                continue;
            }
            match one.default {
                None if one.attribute.required => return Err(missing(&kind, one.attribute, "")),
                _ if keeps(name) => {}
                Some(default) => set_if_new(&mut change, entity, name, default),
                None if value.is_some() => change.unset.push(name.clone()),
                None => {}
            }
        }
        apply_fresh(&mut change, entity, &after, &fresh, &HashSet::new());
        unset_gone(&mut change, entity, &before, &after);

        match &entity.shape {
            Shape::Link { source, target } => {
                refuse_links(draft, &kind)?;
                change.source = Some(self.source(draft, &kind)?).filter(|new| new.location != source.location);
                let new = self.target(draft, &kind, Some(target), "")?;
                change.target = Some(new).filter(|new| new != target);
            }
            Shape::Resource { links } => {
                refuse_ends(draft, &kind)?;
                let unknown = draft
                    .links
                    .iter()
                    .position(|link| !links.iter().any(|known| self.is_known(link, known)));
                if let Some(index) = unknown {
                    return Err(Violation::invalid(
                        format!("links[{index}]"),
                        "a replacement leaves links as they are; make a new one with POST",
                    ));
                }
            }
        }
        self.check_conflicts(&plan.added, &plan.result, "")?;
        Ok(plan.finish(change))
    }

    /// Checks the parameters of an action, and adds the defaults.
    ///
    /// Whether the action belongs to the entity is for [`Registry::actions_of`], whether its state allows it for
    /// [`crate::Lifecycle`].
    pub fn check_action(&self, action: &TypeId, inputs: &[(AttributeName, Input)]) -> Result<Attributes, Violation> {
        let action = match self.resolve_id(action, Some(Class::Action)) {
            Ok(crate::Category::Action(action)) => action,
            Ok(other) => return Err(Violation::invalid("action", format!("{} is no action", other.id()))),
            Err(error) => return Err(Violation::of_category(&error, "action")),
        };
        if inputs.len() > MAX_ATTRIBUTES {
            return Err(Violation::new(
                ViolationKind::TooLarge,
                "attributes",
                format!("{} parameters are given; at most {MAX_ATTRIBUTES} may be", inputs.len()),
            ));
        }
        let ignored = self.rows().actions.get(&action.id).map_or(&[][..], |row| row.ignored);
        let mut parameters = Attributes::new();
        for (name, input) in inputs {
            let Some(definition) = action.attributes.iter().find(|one| one.name == *name) else {
                if ignored.contains(&name.as_str()) {
                    continue;
                }
                let known: Vec<&str> = action.attributes.iter().map(|one| one.name.as_str()).collect();
                let known = match known.as_slice() {
                    [] => "it has none".to_owned(),
                    _ => format!("it has {}", known.join(", ")),
                };
                return Err(Violation::invalid(
                    attribute_path("", name),
                    format!("{} has no parameter {name}; {known}", action.id.term()),
                ));
            };
            parameters.set(name.clone(), read_value(definition, input, None, "")?);
        }
        for definition in &action.attributes {
            if parameters.get(definition.name.as_str()).is_some() {
                continue;
            }
            if let Some(default) = &definition.default {
                parameters.set(definition.name.clone(), default.clone());
            } else if definition.required {
                return Err(Violation::invalid(
                    attribute_path("", &definition.name),
                    format!(
                        "{} needs the parameter {}: {}",
                        action.id.term(),
                        definition.name,
                        definition.value_type.expected()
                    ),
                ));
            }
        }
        Ok(parameters)
    }

    /// Checks whether `mixin` may come to an entity of `kind` now.
    pub fn check_association(&self, kind: &TypeId, mixin: &TypeId, stage: Stage) -> Result<(), Violation> {
        if !self.covers(mixin.as_str(), kind.as_str()) {
            let closure = self.depends_closure(mixin.as_str());
            let applies: Vec<&str> = closure
                .iter()
                .flat_map(|mixin| mixin.applies.iter().map(TypeId::term))
                .collect();
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

    /// What taking `entity` out of the collection of `mixin` changes: the mixin goes, with the attributes that nothing
    /// else defines. A template cannot go, only be replaced.
    pub fn check_dissociation(&self, entity: &Entity, mixin: &TypeId) -> Result<Change, Violation> {
        if !entity.mixins.contains(mixin) {
            return Ok(Change::default());
        }
        if self.family(mixin).is_some() {
            return Err(Violation::conflict(
                "mixins",
                format!(
                    "{mixin} is what the {} was made from; add another one to replace it",
                    entity.kind.term()
                ),
            ));
        }
        let plan = MixinPlan {
            added: Vec::new(),
            removed: vec![mixin.clone()],
            result: entity.mixins.iter().filter(|id| *id != mixin).cloned().collect(),
        };
        let mut change = Change::default();
        let before = self.definitions(entity.kind.as_str(), &entity.mixins);
        let after = self.definitions(entity.kind.as_str(), &plan.result);
        unset_gone(&mut change, entity, &before, &after);
        Ok(plan.finish(change))
    }

    /// Checks that a link of `kind` may join these kinds, as far as they are known. Descendants count: an
    /// `ipreservation` is a network.
    pub fn check_ends(&self, kind: &TypeId, source: Option<&TypeId>, target: Option<&TypeId>) -> Result<(), Violation> {
        self.check_ends_at(kind, source, target, "")
    }

    fn check_ends_at(
        &self,
        link: &TypeId,
        source: Option<&TypeId>,
        target: Option<&TypeId>,
        at: &str,
    ) -> Result<(), Violation> {
        let rows = &self.rows().kinds;
        let ends = self
            .lineage(link.as_str())
            .find_map(|kind| rows.get(kind.id.as_str())?.ends);
        let (source_root, target_root) =
            ends.map_or((core::RESOURCE, core::RESOURCE), |ends| (ends.source, ends.target));
        for (end, kind, root) in [("source", source, source_root), ("target", target, target_root)] {
            if let Some(kind) = kind.filter(|kind| self.kind(kind.as_str()).is_some())
                && !self.descends_from(kind.as_str(), root)
            {
                let (_, expected) = root.split_once('#').unwrap_or_default();
                return Err(Violation::invalid(
                    format!("{at}{end}"),
                    format!(
                        "the {end} of a {} must be a {expected}, not a {}",
                        link.term(),
                        kind.term()
                    ),
                ));
            }
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
        for depended in &mixin.depends {
            if depended == id || self.depends_on(depended.as_str(), id.as_str()) {
                return Err(Violation::invalid(
                    "rel",
                    format!("{id} would depend on itself through {depended}"),
                ));
            }
            if self.is_exclusive(depended.as_str()) || self.family(depended).is_some() {
                return Err(Violation::forbidden(
                    "rel",
                    format!("{depended} is for templates, which the provider makes"),
                ));
            }
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
        let is_base = self.rows().kinds.get(kind.id.as_str()).is_some_and(|row| row.base);
        if kind.id == *core::ENTITY || (is_base && !self.base_kinds_have_instances()) {
            return Err(Violation::invalid(
                format!("{at}kind"),
                format!(
                    "{} has no instances of its own; name one of the kinds that descend from it",
                    kind.id
                ),
            ));
        }
        let mixins = self.find_mixins(&draft.mixins, at)?;
        for mixin in &mixins {
            self.check_association(&kind.id, mixin, Stage::Creation)
                .map_err(|violation| violation.at(at))?;
        }
        let definitions = self.definitions(kind.id.as_str(), &mixins);
        let given = self.given(&definitions, draft, at)?;

        let ignored = |given: &Given<'_, '_>| given.name().as_str() == core::ID || is_state(given.definition());
        for given in given.iter().filter(|given| !ignored(given)) {
            let definition = given.definition();
            if !definition.mutable && !definition.creation_only && given.overriding().is_none() {
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
    fn check_link(&self, link: &LinkDraft, source: &TypeId, at: &str) -> Result<NewLink, Violation> {
        let mut draft = std::borrow::Cow::Borrowed(&link.entity);
        if draft.kind.is_none()
            && let Some(target) = &draft.target
        {
            let end = self.end(target, draft.target_kind.as_ref(), &format!("{at}target"))?;
            let kind = end.kind.and_then(|kind| self.link_kind_to(kind.as_str()));
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

    fn find_kind(&self, id: &TypeId, at: &str) -> Result<Arc<Kind>, Violation> {
        match self.resolve_id(id, Some(Class::Kind)) {
            Ok(crate::Category::Kind(kind)) => Ok(kind.clone()),
            Ok(other) => Err(Violation::invalid(
                format!("{at}kind"),
                format!("{} is no kind", other.id()),
            )),
            Err(error) => Err(Violation::invalid(format!("{at}kind"), error.to_string())),
        }
    }

    /// The mixins that a client named, each once.
    fn find_mixins(&self, ids: &[TypeId], at: &str) -> Result<Vec<TypeId>, Violation> {
        let mut mixins = Vec::with_capacity(ids.len());
        for id in ids {
            let found = self
                .resolve_id(id, Some(Class::Mixin))
                .map_err(|error| Violation::invalid(format!("{at}mixins"), error.to_string()))?
                .id();
            if !mixins.contains(found) {
                mixins.push(found.clone());
            }
        }
        Ok(mixins)
    }

    /// The kind of `entity`, after checking that the draft speaks of nothing else.
    fn same_entity(&self, entity: &Entity, draft: &EntityDraft) -> Result<Arc<Kind>, Violation> {
        if let Some(named) = &draft.kind {
            let kind = self.find_kind(named, "")?;
            if kind.id != entity.kind {
                return Err(Violation::invalid(
                    "kind",
                    format!("{} keeps its kind {} for life", entity.location, entity.kind),
                ));
            }
        }
        if let Some(id) = &draft.id {
            check_id(entity, id)?;
        }
        self.find_kind(&entity.kind, "")
    }

    /// What the mixins that a draft names do to those of an entity.
    fn plan_mixins(&self, entity: &Entity, draft: &EntityDraft, replace: bool) -> Result<MixinPlan, Violation> {
        let named = self.find_mixins(&draft.mixins, "")?;
        let added: Vec<_> = named.iter().filter(|id| !entity.mixins.contains(id)).cloned().collect();
        for mixin in &added {
            self.check_association(&entity.kind, mixin, Stage::Later)?;
        }
        self.check_one_per_family(&named, "")?;
        let replaced = |id: &TypeId| {
            let family = self.family(id);
            family.is_some() && added.iter().any(|added| self.family(added) == family)
        };
        let omitted = |id: &TypeId| replace && !named.contains(id) && !self.behaves(id.as_str(), |row| row.kept);
        let (removed, mut result): (Vec<_>, Vec<_>) = entity
            .mixins
            .iter()
            .cloned()
            .partition(|id| replaced(id) || omitted(id));
        result.extend(added.iter().cloned());
        Ok(MixinPlan { added, removed, result })
    }

    fn is_exclusive(&self, mixin: &str) -> bool {
        self.rows().mixins.get(mixin).is_some_and(|row| row.exclusive)
    }

    /// The parent whose children replace each other, if `mixin` is such a child.
    fn family(&self, mixin: &TypeId) -> Option<&TypeId> {
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
    fn check_conflicts(&self, named: &[TypeId], result: &[TypeId], at: &str) -> Result<(), Violation> {
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
    fn names_of<'r, 'a>(&'r self, mixins: impl IntoIterator<Item = &'a TypeId>) -> HashSet<&'r str> {
        let closure = self.closure_of(mixins);
        let attributes = closure.into_iter().flat_map(|mixin| &mixin.attributes);
        attributes.map(|attribute| attribute.name.as_str()).collect()
    }

    /// Every attribute of the draft with its definition; the last of a name wins.
    fn given<'r, 'd>(
        &'r self,
        definitions: &Definitions<'r>,
        draft: &'d EntityDraft,
        at: &str,
    ) -> Result<Vec<Given<'r, 'd>>, Violation> {
        let mut all: Vec<Given<'r, 'd>> = Vec::with_capacity(draft.attributes.len());
        for (name, input) in &draft.attributes {
            let alias = || definitions.get(self.rows().aliases.get(name.as_str())?);
            let Some(effective) = definitions.get(name.as_str()).or_else(alias).copied() else {
                return Err(self.unknown_attribute(name, at));
            };
            let given = Given { effective, input };
            if core::is_structural(given.name().as_str()) && given.name().as_str() != core::ID {
                return Err(Violation::invalid(
                    attribute_path(at, name),
                    format!("{name} is an end of the link, not a free attribute"),
                ));
            }
            match all.iter_mut().find(|other| other.name() == given.name()) {
                Some(other) => *other = given,
                None => all.push(given),
            }
        }
        Ok(all)
    }

    fn unknown_attribute(&self, name: &AttributeName, at: &str) -> Violation {
        let canonical = self.rows().aliases.get(name.as_str()).copied().unwrap_or(name.as_str());
        let defines = |mixin: &&Arc<Mixin>| mixin.attributes.iter().any(|one| one.name.as_str() == canonical);
        let message = match self.mixins().iter().find(defines) {
            Some(mixin) => format!(
                "{name} belongs to the mixin {}, which the entity does not have",
                mixin.id
            ),
            None => format!("{name} is not an attribute of this kind or its mixins"),
        };
        Violation::invalid(attribute_path(at, name), message)
    }

    /// Refuses what would change an attribute that a client may not, or not any more, change.
    fn refuse_immutable(
        &self,
        entity: &Entity,
        given: &[Given<'_, '_>],
        fresh: &HashSet<&str>,
        ignored: impl Fn(&AttributeDefinition) -> bool,
    ) -> Result<(), Violation> {
        for given in given {
            let (definition, name) = (given.definition(), given.name());
            if name.as_str() == core::ID {
                match given.input {
                    Input::Token(id) | Input::Quoted(id) | Input::Typed(Value::String(id)) => check_id(entity, id)?,
                    _ => return Err(immutable(name, "")),
                }
                continue;
            }
            let overridden = fresh.contains(name.as_str()) && given.overriding().is_some();
            if (definition.mutable && !definition.creation_only) || ignored(definition) || overridden {
                continue;
            }
            let current = entity.attributes.get(name.as_str()).or(given.effective.default);
            let same = match given.input {
                Input::Null => current.is_none(),
                input => current.is_some() && definition.value_type.read(input).as_ref() == current,
            };
            if !same {
                return Err(match definition.creation_only && definition.mutable {
                    true => {
                        Violation::forbidden(attribute_path("", name), format!("{name} can be set at creation only"))
                    }
                    false => immutable(name, ""),
                });
            }
        }
        Ok(())
    }

    /// The value that a client gave, by the definition and by what the document's row says beyond it.
    fn read(&self, given: &Given<'_, '_>, at: &str) -> Result<Value, Violation> {
        let row = self.rows().attributes.get(given.name().as_str());
        read_value(given.definition(), given.input, row.and_then(|row| row.check), at)
    }

    fn source(&self, draft: &EntityDraft, link: &Kind) -> Result<LinkEnd, Violation> {
        let Some(source) = &draft.source else {
            return Err(Violation::invalid(
                "source",
                format!("a {} needs a source: the path of a resource", link.id.term()),
            ));
        };
        let source = self.end(source, None, "source")?;
        if !source.location.starts_with('/') {
            return Err(Violation::invalid(
                "source",
                format!("the source of a {} must be a resource of this service", link.id.term()),
            ));
        }
        self.check_ends_at(&link.id, source.kind.as_ref(), None, "")?;
        Ok(source)
    }

    /// The target that a draft names; `current` stands in for what it leaves out.
    fn target(
        &self,
        draft: &EntityDraft,
        link: &Kind,
        current: Option<&LinkEnd>,
        at: &str,
    ) -> Result<LinkEnd, Violation> {
        let path = format!("{at}target");
        let only_kind = current.filter(|_| draft.target_kind.is_some());
        let Some(location) = draft
            .target
            .as_ref()
            .or_else(|| only_kind.map(|current| &current.location))
        else {
            return Err(Violation::invalid(
                path,
                format!("a {} needs a target: a path or an absolute URI", link.id.term()),
            ));
        };
        let mut target = self.end(location, draft.target_kind.as_ref(), &path)?;
        if let Some(current) = current
            && target.location == current.location
            && target.kind.is_none()
        {
            target.kind.clone_from(&current.kind);
        }
        self.check_ends_at(&link.id, None, target.kind.as_ref(), at)?;
        Ok(target)
    }

    /// One end of a link. The kind is what the location says, else what the client says.
    fn end(&self, location: &str, claimed: Option<&TypeId>, path: &str) -> Result<LinkEnd, Violation> {
        let malformed = || Violation::invalid(path, "must be a path of this service or an absolute URI");
        if ValueType::Uri.check(&location.into()).is_none() || location.contains("?action=") {
            return Err(malformed());
        }
        let claimed = claimed.map(|kind| {
            let known = self.resolve_id(kind, Some(Class::Kind));
            known.map_or_else(|_| kind.clone(), |known| known.id().clone())
        });
        if !location.starts_with('/') {
            if url::Url::parse(location).is_err() {
                return Err(malformed());
            }
            return Ok(LinkEnd {
                location: location.to_owned(),
                kind: claimed,
            });
        }
        let location = canonical_path(location).trim_end_matches('/').to_owned();
        let Some((collection, _)) = location.rsplit_once('/') else {
            return Err(malformed());
        };
        let kind = match self.at_location(&format!("{collection}/")) {
            Some(crate::Category::Kind(kind)) => Some(kind.id.clone()),
            _ => None,
        };
        if let (Some(kind), Some(claimed)) = (&kind, &claimed)
            && !self.descends_from(kind.as_str(), claimed.as_str())
        {
            return Err(Violation::invalid(
                path,
                format!("{location} is a {}, not a {}", kind.term(), claimed.term()),
            ));
        }
        Ok(LinkEnd {
            location,
            kind: kind.or(claimed),
        })
    }

    /// Whether a link of a replacement is one that the entity has: by `self`, or by kind and target.
    fn is_known(&self, link: &LinkDraft, known: &Entity) -> bool {
        let Shape::Link { target, .. } = &known.shape else {
            return false;
        };
        let same_kind = link.entity.kind.as_ref().is_none_or(|kind| {
            self.resolve_id(kind, Some(Class::Kind))
                .is_ok_and(|kind| *kind.id() == known.kind)
        });
        let same_target = link
            .entity
            .target
            .as_ref()
            .is_some_and(|location| canonical_path(location).trim_end_matches('/') == target.location);
        is_own_location(link, known) || (same_kind && same_target)
    }
}

/// What a new entity has before its links and ends.
struct NewParts {
    kind: Arc<Kind>,
    mixins: Vec<TypeId>,
    attributes: Attributes,
}

impl MixinPlan {
    fn finish(self, change: Change) -> Change {
        Change {
            mixins_added: self.added,
            mixins_removed: self.removed,
            ..change
        }
    }
}

impl Violation {
    fn at(mut self, at: &str) -> Self {
        self.path.insert_str(0, at);
        self
    }
}

fn read_value(
    definition: &AttributeDefinition,
    input: &Input,
    check: Option<crate::table::ValueCheck>,
    at: &str,
) -> Result<Value, Violation> {
    let name = &definition.name;
    let refuse = |expected: String| {
        let message = format!("{name} must be {expected}, not {}", shown(input));
        Violation::invalid(attribute_path(at, name), message)
    };
    let value = definition
        .value_type
        .read(input)
        .ok_or_else(|| refuse(definition.value_type.expected()))?;
    if let Some(check) = check {
        check(&value).map_err(refuse)?;
    }
    Ok(value)
}

fn missing(kind: &Kind, definition: &AttributeDefinition, at: &str) -> Violation {
    let (name, expected) = (&definition.name, definition.value_type.expected());
    Violation::invalid(
        attribute_path(at, name),
        format!("this {} needs {name}: {expected}", kind.id.term()),
    )
}

fn refuse_links(draft: &EntityDraft, kind: &Kind) -> Result<(), Violation> {
    if draft.links.is_empty() {
        return Ok(());
    }
    Err(Violation::invalid(
        "links",
        format!("a {} is a link and has no links of its own", kind.id.term()),
    ))
}

fn refuse_ends(draft: &EntityDraft, kind: &Kind) -> Result<(), Violation> {
    let end = match draft {
        EntityDraft { source: Some(_), .. } => "source",
        EntityDraft { target: Some(_), .. } => "target",
        EntityDraft {
            target_kind: Some(_), ..
        } => "target",
        _ => return Ok(()),
    };
    Err(Violation::invalid(
        end,
        format!("a {} is a resource and has no {end}", kind.id.term()),
    ))
}

fn is_own_location(link: &LinkDraft, known: &Entity) -> bool {
    link.own_location
        .as_ref()
        .is_some_and(|location| canonical_path(location).trim_end_matches('/') == known.location)
}

fn set_if_new(change: &mut Change, entity: &Entity, name: &AttributeName, value: &Value) {
    if entity.attributes.get(name.as_str()) != Some(value) {
        change.set.set(name.clone(), value.clone());
    }
}

/// The values that new mixins bring: a template's whatever there is, others where there is nothing.
fn apply_fresh(
    change: &mut Change,
    entity: &Entity,
    after: &Definitions<'_>,
    fresh: &HashSet<&str>,
    nulled: &HashSet<&str>,
) {
    for one in after.iter() {
        let name = &one.attribute.name;
        if !fresh.contains(name.as_str()) || is_state(one.attribute) {
            continue;
        }
        let absent = change.set.get(name.as_str()).is_none()
            && entity.attributes.get(name.as_str()).is_none()
            && !nulled.contains(name.as_str());
        match (one.overriding, one.default) {
            (Some(value), _) => set_if_new(change, entity, name, value),
            (None, Some(default)) if absent || !one.attribute.mutable => set_if_new(change, entity, name, default),
            _ => {}
        }
    }
}

/// Attributes that only mixins which went away defined go with them.
fn unset_gone(change: &mut Change, entity: &Entity, before: &Definitions<'_>, after: &Definitions<'_>) {
    for one in before.iter() {
        let name = &one.attribute.name;
        if after.get(name.as_str()).is_none() && entity.attributes.get(name.as_str()).is_some() {
            change.unset.push(name.clone());
        }
    }
}
