//! Putting a [`Registry`] together, and the rules that a model must keep to be loaded.

use crate::infrastructure::canonical_path;
use crate::registry::{Offer, Rows};
use crate::table::{Table, documented};
use crate::{
    Action, AttributeDefinition, AttributeName, Kind, Location, Mixin, ModelError, Origin, Registry, TypeId, ValueType,
    ViolationKind, core,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What only the documents may define: everything under this (GFD.221, section 4.3.1).
pub const RESERVED_SCHEME: &str = "http://schemas.ogf.org/occi/";

/// Paths of the service itself, with everything below them.
pub const RESERVED_PATHS: [&str; 12] = [
    "/-",
    "/.well-known",
    "/ui",
    "/auth",
    "/v3",
    "/v2.0",
    "/task",
    "/events",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
];

/// Whether `path` belongs to the service itself, so that no entity and no collection may have it.
pub fn is_reserved_path(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.is_empty()
        || RESERVED_PATHS.iter().any(|reserved| {
            let below = path.strip_prefix(reserved);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
}

/// Collects categories, then checks and indexes them. Their order is that of the query interface.
#[derive(Debug, Default)]
pub struct RegistryBuilder {
    kinds: Vec<Kind>,
    mixins: Vec<Mixin>,
    actions: Vec<Action>,
    /// The kinds and actions that documents define; mixins say so themselves.
    standard: HashSet<TypeId>,
    offer: Offer,
}

/// The type that every attribute has, by name: attribute names are one flat namespace.
pub(crate) type Types<'r> = HashMap<&'r AttributeName, &'r ValueType>;

impl RegistryBuilder {
    /// Adds all documents and published extensions, in the order of the query interface.
    pub fn documents(self) -> Self {
        crate::table::DOCUMENTS.into_iter().fold(self, Self::table)
    }

    /// Adds a document.
    pub fn table(mut self, table: &'static Table) -> Self {
        let Rows {
            kinds,
            mixins,
            actions,
            attributes,
            aliases,
        } = &mut self.offer.rows;
        for row in table.kinds {
            kinds.insert(row.id, row);
            self.kinds.push(row.kind());
        }
        for row in table.mixins {
            mixins.insert(row.id, row);
            aliases.extend(row.aliases.iter().map(|alias| (*alias, row.id)));
            self.mixins.push(row.mixin());
        }
        for row in table.attributes() {
            attributes.entry(row.name).or_insert(row);
            aliases.extend(row.aliases.iter().map(|alias| (*alias, row.name)));
        }
        for (action, row) in table.actions() {
            actions.insert(action.id.clone(), row);
            self.standard.insert(action.id.clone());
            self.actions.push(action);
        }
        self.standard
            .extend(table.kinds.iter().map(|row| crate::table::named::<TypeId>(row.id)));
        self
    }

    /// Adds a kind of the provider.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Adds a mixin of the provider.
    pub fn mixin(mut self, mixin: Mixin) -> Self {
        self.mixins.push(mixin);
        self
    }

    /// Adds an action of the provider; its kind or mixin names it.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Of the kinds added so far, leaves out those for which `keep` is false. The base kinds stay. Actions, mixins and
    /// `applies` that are about nothing else go with them.
    pub fn retain_kinds(mut self, keep: impl Fn(&TypeId) -> bool) -> Self {
        let Offer { rows, left_out, .. } = &mut self.offer;
        self.kinds.retain(|kind| {
            let base = rows.kinds.get(kind.id.as_str()).is_some_and(|row| row.base);
            base || keep(&kind.id) || !left_out.insert(kind.id.clone())
        });
        self
    }

    /// Of the mixins added so far, leaves out those for which `keep` is false.
    pub fn retain_mixins(mut self, keep: impl Fn(&TypeId) -> bool) -> Self {
        let left_out = &mut self.offer.left_out;
        self.mixins
            .retain(|mixin| keep(&mixin.id) || !left_out.insert(mixin.id.clone()));
        self
    }

    /// Of the actions added so far, leaves out those for which `keep` is false; kinds and states lose them too.
    pub fn retain_actions(mut self, keep: impl Fn(&TypeId) -> bool) -> Self {
        let left_out = &mut self.offer.left_out;
        self.actions
            .retain(|action| keep(&action.id) || !left_out.insert(action.id.clone()));
        self
    }

    /// Lets clients make plain `resource` entities. They cannot by default; plain links they always can.
    pub fn base_kinds_have_instances(mut self) -> Self {
        self.offer.base_kinds = true;
        self
    }

    /// Checks all and gives the registry, or the first fault.
    ///
    /// Refused are: identifiers or locations that are taken; what a provider defines under
    /// [`RESERVED_SCHEME`], its new attributes that begin with `occi.` or have no prefix, and its locations that are
    /// reserved; parents, `depends`, `applies` and actions that do not exist; cycles; kinds that do not descend from
    /// `entity`; an attribute that changes type; a default that its own definition does not allow.
    pub fn build(mut self) -> Result<Registry, ModelError> {
        self.prune();
        let registry = Registry::assemble(
            shared(self.kinds),
            shared(self.mixins),
            shared(self.actions),
            Arc::new(self.offer),
        )?;
        let types = registry.types();
        for kind in registry.kinds() {
            registry.check_kind_at_load(kind, self.standard.contains(&kind.id), &types)?;
        }
        for mixin in registry.mixins() {
            registry.check_mixin_at_load(mixin, &types)?;
        }
        registry.check_dependencies()?;
        for action in registry.actions() {
            check_names(&action.id, &action.attributes)?;
            if !self.standard.contains(&action.id) {
                check_scheme(&action.id)?;
            }
        }
        Ok(registry)
    }

    /// Follows what was left out: references to it go, and so does what is about nothing else.
    fn prune(&mut self) {
        let left_out = &mut self.offer.left_out;
        self.mixins.retain_mut(|mixin| {
            let applied = !mixin.applies.is_empty();
            mixin.applies.retain(|kind| !left_out.contains(kind));
            let about_nothing = applied && mixin.applies.is_empty();
            !about_nothing || !left_out.insert(mixin.id.clone())
        });
        let owners = self.kinds.iter_mut().map(|kind| &mut kind.actions);
        let mut owned = HashSet::new();
        for actions in owners.chain(self.mixins.iter_mut().map(|mixin| &mut mixin.actions)) {
            actions.retain(|action| !left_out.contains(action));
            owned.extend(actions.iter().cloned());
        }
        self.actions
            .retain(|action| owned.contains(&action.id) || !left_out.insert(action.id.clone()));
        for lifecycle in self.kinds.iter_mut().filter_map(|kind| kind.lifecycle.as_mut()) {
            if lifecycle.transitions.iter().any(|t| left_out.contains(&t.action)) {
                let lifecycle = Arc::make_mut(lifecycle);
                lifecycle.transitions.retain(|t| !left_out.contains(&t.action));
                lifecycle.bring_up.take_if(|action| left_out.contains(action));
            }
        }
    }
}

fn shared<T>(items: Vec<T>) -> Vec<Arc<T>> {
    items.into_iter().map(Arc::new).collect()
}

fn refuse<T>(id: &TypeId, reason: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError {
        id: id.clone(),
        reason: reason.into(),
        kind: ViolationKind::Conflict,
    })
}

fn check_scheme(id: &TypeId) -> Result<(), ModelError> {
    if id.as_str().starts_with(RESERVED_SCHEME) {
        return refuse(
            id,
            format!("schemes under {RESERVED_SCHEME} belong to the OCCI documents; use one of your own"),
        );
    }
    Ok(())
}

fn check_location(id: &TypeId, location: &Location) -> Result<(), ModelError> {
    if is_reserved_path(location.as_str()) || canonical_path(location.as_str()) != location.as_str() {
        return refuse(id, format!("its location {location} is reserved"));
    }
    Ok(())
}

fn check_names(id: &TypeId, attributes: &[AttributeDefinition]) -> Result<(), ModelError> {
    for (index, attribute) in attributes.iter().enumerate() {
        if attributes[..index].iter().any(|other| other.name == attribute.name) {
            return refuse(id, format!("defines {} twice", attribute.name));
        }
        if let Some(default) = &attribute.default
            && attribute.value_type.check(default).is_none()
        {
            return refuse(
                id,
                format!(
                    "the default {default} of {} must be {}",
                    attribute.name,
                    attribute.value_type.expected()
                ),
            );
        }
    }
    Ok(())
}

fn check_prefixes(id: &TypeId, attributes: &[AttributeDefinition]) -> Result<(), ModelError> {
    for AttributeDefinition { name, .. } in attributes {
        if documented(name).is_some() {
            continue;
        }
        if name.as_str().starts_with("occi.") {
            return refuse(
                id,
                format!("new attributes such as {name} must not begin with occi., which belongs to the OCCI documents"),
            );
        }
        if !name.as_str().contains('.') {
            return refuse(
                id,
                format!("the attribute {name} needs a prefix, such as com.example.{name}"),
            );
        }
    }
    Ok(())
}

impl Registry {
    /// The type of every attribute of kinds and mixins: that of its first definition.
    pub(crate) fn types(&self) -> Types<'_> {
        let mut types = Types::new();
        let of_kinds = self.kinds().iter().flat_map(|kind| &kind.attributes);
        for attribute in of_kinds.chain(self.mixins().iter().flat_map(|mixin| &mixin.attributes)) {
            types.entry(&attribute.name).or_insert(&attribute.value_type);
        }
        types
    }

    fn check_attributes_at_load(
        &self,
        id: &TypeId,
        attributes: &[AttributeDefinition],
        types: &Types<'_>,
    ) -> Result<(), ModelError> {
        check_names(id, attributes)?;
        for attribute in attributes {
            if let Some(first) = types.get(&attribute.name)
                && !attribute.value_type.narrows(first)
            {
                return refuse(
                    id,
                    format!(
                        "{} is {} elsewhere; its type must not change",
                        attribute.name,
                        first.expected()
                    ),
                );
            }
        }
        Ok(())
    }

    fn check_actions_at_load(&self, id: &TypeId, actions: &[TypeId]) -> Result<(), ModelError> {
        match actions.iter().find(|action| self.action(action.as_str()).is_none()) {
            Some(action) => refuse(id, format!("its action {action} is not defined")),
            None => Ok(()),
        }
    }

    fn check_kind_at_load(&self, kind: &Kind, standard: bool, types: &Types<'_>) -> Result<(), ModelError> {
        let id = &kind.id;
        if !standard {
            check_scheme(id)?;
            check_location(id, &kind.location)?;
            check_prefixes(id, &kind.attributes)?;
        }
        let mut seen = vec![id];
        let mut parent = &kind.parent;
        while let Some(next) = parent {
            if seen.contains(&next) {
                return refuse(id, "is its own ancestor");
            }
            seen.push(next);
            match self.kind(next.as_str()) {
                Some(ancestor) => parent = &ancestor.parent,
                None => return refuse(id, format!("its ancestor {next} is not defined")),
            }
        }
        if seen.last().is_none_or(|root| **root != *core::ENTITY) {
            return refuse(id, format!("does not descend from {}", core::ENTITY));
        }
        self.check_actions_at_load(id, &kind.actions)?;
        self.check_attributes_at_load(id, &kind.attributes, types)
    }

    pub(crate) fn check_mixin_at_load(&self, mixin: &Mixin, types: &Types<'_>) -> Result<(), ModelError> {
        let id = &mixin.id;
        if mixin.origin != Origin::Standard {
            check_scheme(id)?;
            check_location(id, &mixin.location)?;
            check_prefixes(id, &mixin.attributes)?;
        }
        let by_user = matches!(mixin.origin, Origin::User { .. });
        if by_user && !(mixin.attributes.is_empty() && mixin.actions.is_empty()) {
            return refuse(id, "a mixin of a user has no attributes and no actions");
        }
        for depended in &mixin.depends {
            if !by_user && self.mixin(depended.as_str()).is_none() {
                return refuse(id, format!("depends on {depended}, which is not defined"));
            }
        }
        if let Some(kind) = mixin.applies.iter().find(|kind| self.kind(kind.as_str()).is_none()) {
            return refuse(id, format!("applies to {kind}, which is not defined"));
        }
        self.check_actions_at_load(id, &mixin.actions)?;
        self.check_attributes_at_load(id, &mixin.attributes, types)
    }
}
