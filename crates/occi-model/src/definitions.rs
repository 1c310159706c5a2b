//! The effective definitions of an entity: what its kind, the kind's ancestors and its mixins say together (GFD.221,
//! sections 4.3 and 4.4).

use crate::{AttributeDefinition, Registry, TypeId, Value};

/// What holds for one attribute of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'r> {
    /// The definition: that of the last mixin that has one, else that of the kind nearest to the entity's.
    pub attribute: &'r AttributeDefinition,
    /// Used when the client gives none: the last default of all definitions.
    pub default: Option<&'r Value>,
    /// The value that a resource template sets, whatever the client says.
    pub overriding: Option<&'r Value>,
    /// The definition of the kind or its ancestors, where they have one.
    pub of_kind: Option<&'r AttributeDefinition>,
}

/// The effective definitions of one combination of kind and mixins, ordered as they are rendered: those of `entity`
/// first, then down to the kind, then those of each mixin.
///
/// Borrowed from the registry: making one clones no definition.
#[derive(Clone, Debug, Default)]
pub struct Definitions<'r> {
    effective: Vec<Effective<'r>>,
}

impl<'r> Definitions<'r> {
    /// What holds for the attribute `name`.
    pub fn get(&self, name: &str) -> Option<&Effective<'r>> {
        self.effective.iter().find(|one| one.attribute.name.as_str() == name)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Effective<'r>> {
        self.effective.iter()
    }

    fn define(&mut self, attribute: &'r AttributeDefinition, by_kind: bool, overrides: bool) {
        let default = attribute.default.as_ref();
        let overriding = default.filter(|_| overrides);
        match self
            .effective
            .iter_mut()
            .find(|one| one.attribute.name == attribute.name)
        {
            Some(one) => {
                one.attribute = attribute;
                one.default = default.or(one.default);
                one.overriding = overriding.or(one.overriding);
                if by_kind {
                    one.of_kind = Some(attribute);
                }
            }
            None => self.effective.push(Effective {
                attribute,
                default,
                overriding,
                of_kind: by_kind.then_some(attribute),
            }),
        }
    }
}

impl Registry {
    /// The effective definitions of entities of `kind` with `mixins`: ancestors from the root down, the kind, then each
    /// mixin in order, what it depends on before it. Later definitions win by name; a later one without a default keeps
    /// the earlier default. Mixins that are unknown add nothing.
    pub fn definitions<'a>(&self, kind: &str, mixins: impl IntoIterator<Item = &'a TypeId>) -> Definitions<'_> {
        let mut definitions = Definitions::default();
        let mut lineage: Vec<_> = self.lineage(kind).collect();
        lineage.reverse();
        for attribute in lineage.iter().flat_map(|kind| &kind.attributes) {
            definitions.define(attribute, true, false);
        }
        for mixin in self.closure_of(mixins) {
            let overrides = self.overrides(&mixin.id);
            for attribute in &mixin.attributes {
                definitions.define(attribute, false, overrides);
            }
        }
        definitions
    }

    /// Whether `mixin`, or something it depends on, has a trait that its document's row gives it.
    pub(crate) fn behaves(&self, mixin: &str, has: impl Fn(&crate::table::MixinRow) -> bool) -> bool {
        self.depends_closure(mixin)
            .iter()
            .any(|mixin| self.rows().mixins.get(mixin.id.as_str()).is_some_and(|row| has(row)))
    }
}
