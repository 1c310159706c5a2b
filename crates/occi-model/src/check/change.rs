//! Changes of entities: partial updates, replacements, dissociation.

use super::Violation;
use super::addresses::{ADDRESS, GATEWAY, check_addresses};
use super::ends::{is_own_location, refuse_ends, refuse_links};
use super::given::{Given, attribute_path, check_limits, immutable, is_state, missing};
use super::mixins::MixinPlan;
use crate::{
    AttributeDefinition, AttributeName, Attributes, Definitions, Entity, EntityDraft, EntityId, Input, Kind, LinkEnd,
    Mixin, NewLink, Registry, Shape, TypeId, Value, core,
};
use std::collections::HashSet;
use std::sync::Arc;

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

impl Registry {
    /// Checks a partial update (POST on an entity; GFD.223): what is given changes, everything else
    /// stays. Adding a template replaces the one that is there. JSON's `null` unsets an optional attribute. Adding an
    /// entity to a mixin's collection is the partial update that names the mixin alone.
    ///
    /// Links that the entity has (by `self`) are ignored, others are new.
    pub fn check_update(&self, entity: &Entity, draft: &EntityDraft) -> Result<Change, Violation> {
        check_limits(draft, "")?;
        let kind = self.same_entity(entity, draft)?;
        let plan = self.plan_mixins(entity, draft, |_| false)?;
        let before = self.definitions(kind.id.as_str(), &entity.mixins);
        let after = self.definitions(kind.id.as_str(), &plan.result);
        let given = self.given(&after, draft, Some(&entity.attributes), "")?;
        let mut change = Change::default();
        let fresh = self.names_of(&plan.added);
        let sized = self.names_of(plan.named.iter().filter(|id| self.overrides(id)));

        self.refuse_immutable(entity, &given, &sized, |_| false)?;
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
            set_if_new(&mut change, entity, name, chosen(given, &value, entity, &sized));
        }
        apply_fresh(&mut change, entity, &after, &fresh, &nulled);
        for one in after.iter().filter(|one| fresh.contains(one.attribute.name.as_str())) {
            let name = one.attribute.name.as_str();
            if one.attribute.required && change.set.get(name).or_else(|| entity.attributes.get(name)).is_none() {
                return Err(missing(&kind, one.attribute, ""));
            }
        }
        unset_gone(&mut change, entity, &before, &after);
        name_gateway(&mut change, entity, &given);
        check_addresses(&entity.attributes, &change.set, "")?;

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
        self.check_conflicts(&plan.named, &plan.result, "")?;
        Ok(plan.finish(change))
    }

    /// Checks a replacement (PUT on an entity; GFD.223): what is not given goes back to its default or
    /// goes away, and so do mixins that are not named. Templates, keys and user data stay with their attributes, and so
    /// does an omitted attribute that `keeps` names, those that an engine owns, or a mixin with such attributes alone.
    /// Links stay as they are; a link that the entity does not have is refused.
    pub fn check_replace(
        &self,
        entity: &Entity,
        draft: &EntityDraft,
        keeps: impl Fn(&AttributeName) -> bool,
    ) -> Result<Change, Violation> {
        check_limits(draft, "")?;
        let kind = self.same_entity(entity, draft)?;
        let is_kept = |mixin: &Mixin| {
            let mut names = mixin.attributes.iter().map(|one| &one.name);
            !mixin.attributes.is_empty() && names.all(&keeps)
        };
        let plan = self.plan_mixins(entity, draft, |mixin| !is_kept(mixin))?;
        let before = self.definitions(kind.id.as_str(), &entity.mixins);
        let after = self.definitions(kind.id.as_str(), &plan.result);
        let given = self.given(&after, draft, Some(&entity.attributes), "")?;
        let mut change = Change::default();
        let fresh = self.names_of(&plan.added);
        let sized = self.names_of(plan.named.iter().filter(|id| self.overrides(id)));

        self.refuse_immutable(entity, &given, &sized, is_state)?;
        for given in &given {
            if given.definition().creation_only || !given.definition().mutable {
                continue;
            }
            let value = self.read(given, "")?;
            set_if_new(&mut change, entity, given.name(), chosen(given, &value, entity, &sized));
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
        name_gateway(&mut change, entity, &given);
        check_addresses(&entity.attributes, &change.set, "")?;

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
        self.check_conflicts(&plan.named, &plan.result, "")?;
        Ok(plan.finish(change))
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
            named: Vec::new(),
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

    /// Refuses what would change an attribute that a client may not, or not any more, change.
    fn refuse_immutable(
        &self,
        entity: &Entity,
        given: &[Given<'_, '_>],
        sized: &HashSet<&str>,
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
            let overridden = sized.contains(name.as_str()) && given.overriding().is_some();
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

/// The client's value, or that of a resource template which the request names too: the template wins. What the entity
/// has already may be sent back next to its template though it was changed since. So a request that is sent twice ends
/// where it ended the first time.
fn chosen<'v>(given: &Given<'v, '_>, value: &'v Value, entity: &Entity, sized: &HashSet<&str>) -> &'v Value {
    let name = given.name().as_str();
    match given.overriding() {
        Some(template) if sized.contains(name) && entity.attributes.get(name) != Some(value) => template,
        _ => value,
    }
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

/// A gateway that is named next to new addresses is part of the change though it stays what it is: one that is not named
/// may move with them.
fn name_gateway(change: &mut Change, entity: &Entity, given: &[Given<'_, '_>]) {
    let named = given.iter().map(Given::name).find(|name| name.as_str() == GATEWAY);
    if let (Some(_), Some(name)) = (change.set.get(ADDRESS), named)
        && change.set.get(GATEWAY).is_none()
        && !change.unset.contains(name)
        && let Some(gateway) = entity.attributes.get(GATEWAY)
    {
        change.set.set(name.clone(), gateway.clone());
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
