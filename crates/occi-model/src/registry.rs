//! Everything that a service offers, found by identifier and by location.

use crate::check::MAX_DEPENDS;
use crate::table::{ActionRow, AttributeRow, KindRow, MixinRow};
use crate::{
    Action, Category, Class, IdentError, Kind, Lifecycle, Location, Mixin, Origin, RegistryBuilder, TypeId,
    ViolationKind, core,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Why a model was refused when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {reason}")]
pub struct ModelError {
    /// The category at fault.
    pub id: TypeId,
    /// What is wrong with it, and what to do.
    pub reason: String,
    /// What that is where a user asked for the category: `TooLarge` for too many dependencies, else `Conflict`.
    pub kind: ViolationKind,
}

/// Why a category that somebody named was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Scheme and term make no identifier.
    #[error(transparent)]
    Malformed(#[from] IdentError),
    /// Nobody defines it.
    #[error("{0} is unknown")]
    Unknown(TypeId),
    /// A document defines it, but this service leaves it out.
    #[error("{0} is not offered by this service")]
    LeftOut(TypeId),
    /// It is something else than the class says.
    #[error("{id} is of class {is}, not {expected}")]
    WrongClass {
        /// The category.
        id: TypeId,
        /// What it is.
        is: Class,
        /// What was asked for.
        expected: Class,
    },
}

/// The kinds, mixins and actions of a service, in the order in which they are advertised.
///
/// Immutable: a change makes a new one, and cheaply so, because categories are shared.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: Vec<Arc<Kind>>,
    mixins: Vec<Arc<Mixin>>,
    actions: Vec<Arc<Action>>,
    by_id: HashMap<TypeId, Category>,
    by_location: HashMap<Location, TypeId>,
    offer: Arc<Offer>,
}

/// What stays the same when mixins come and go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    /// The rows of the documents, for what the categories themselves do not say.
    pub(crate) rows: Rows,
    /// What the documents define and this service leaves out.
    pub(crate) left_out: HashSet<TypeId>,
    /// Whether `resource` and `link` may have instances of their own.
    pub(crate) base_kinds: bool,
}

/// The rows of the documents, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) kinds: HashMap<&'static str, &'static KindRow>,
    pub(crate) mixins: HashMap<&'static str, &'static MixinRow>,
    pub(crate) actions: HashMap<TypeId, &'static ActionRow>,
    pub(crate) attributes: HashMap<&'static str, &'static AttributeRow>,
    /// Other spellings of identifiers and attribute names.
    pub(crate) aliases: HashMap<&'static str, &'static str>,
}

impl Registry {
    /// All that the documents and the published extensions define, the six sizes of the profile included.
    #[expect(
        clippy::expect_used,
        reason = "built from constants of this crate, and its tests call it"
    )]
    pub fn standard() -> Self {
        Self::builder()
            .documents()
            .build()
            .expect("the built-in tables make a valid model")
    }

    /// Puts a registry together from documents, what a provider adds, and what a service leaves out.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Indexes categories without looking at them, and reports the first identifier or location that is taken.
    pub(crate) fn assemble(
        kinds: Vec<Arc<Kind>>,
        mixins: Vec<Arc<Mixin>>,
        actions: Vec<Arc<Action>>,
        offer: Arc<Offer>,
    ) -> Result<Self, ModelError> {
        let mut registry = Self {
            by_id: HashMap::with_capacity(kinds.len() + mixins.len() + actions.len()),
            by_location: HashMap::with_capacity(kinds.len() + mixins.len()),
            offer,
            ..Self::default()
        };
        for kind in &kinds {
            registry.index(Category::Kind(kind.clone()), Some(&kind.location))?;
        }
        for mixin in &mixins {
            registry.index(Category::Mixin(mixin.clone()), Some(&mixin.location))?;
        }
        for action in &actions {
            registry.index(Category::Action(action.clone()), None)?;
        }
        Ok(Self {
            kinds,
            mixins,
            actions,
            ..registry
        })
    }

    fn index(&mut self, category: Category, location: Option<&Location>) -> Result<(), ModelError> {
        let id = category.id().clone();
        let refuse = |reason| {
            Err(ModelError {
                id: id.clone(),
                reason,
                kind: ViolationKind::Conflict,
            })
        };
        if self.by_id.contains_key(&id) {
            return refuse("is defined twice".to_owned());
        }
        if let Some(location) = location {
            if let Some(holder) = self.by_location.get(location) {
                return refuse(format!("its location {location} belongs to {holder} already"));
            }
            self.by_location.insert(location.clone(), id.clone());
        }
        self.by_id.insert(id, category);
        Ok(())
    }

    /// This registry with more mixins: templates of a backend, mixins of users. They are checked as at load.
    pub fn with(&self, mixins: impl IntoIterator<Item = Mixin>) -> Result<Self, ModelError> {
        let added: Vec<_> = mixins.into_iter().map(Arc::new).collect();
        let all = self.mixins.iter().chain(&added).cloned().collect();
        let registry = Self::assemble(self.kinds.clone(), all, self.actions.clone(), self.offer.clone())?;
        let types = registry.types();
        for mixin in &added {
            registry.check_mixin_at_load(mixin, &types)?;
        }
        registry.check_dependencies()?;
        Ok(registry)
    }

    /// This registry without one mixin. What depends on it stays, and loses what it had from it.
    pub fn without(&self, id: &TypeId) -> Self {
        self.retain_mixins(|mixin| mixin.id != *id)
    }

    /// This registry without the mixins for which `keep` is false: all templates of a backend, all of a project.
    pub fn retain_mixins(&self, keep: impl Fn(&Mixin) -> bool) -> Self {
        let mut registry = self.clone();
        registry.mixins.retain(|mixin| keep(mixin));
        for gone in self.mixins.iter().filter(|mixin| !keep(mixin)) {
            registry.by_id.remove(&gone.id);
            registry.by_location.remove(&gone.location);
        }
        registry
    }

    /// The kinds, base kinds first.
    pub fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }
    /// The mixins.
    pub fn mixins(&self) -> &[Arc<Mixin>] {
        &self.mixins
    }
    /// The actions.
    pub fn actions(&self) -> &[Arc<Action>] {
        &self.actions
    }
    /// The category named `id`.
    pub fn category(&self, id: &str) -> Option<&Category> {
        self.by_id.get(id)
    }
    /// The kind named `id`.
    pub fn kind(&self, id: &str) -> Option<&Arc<Kind>> {
        match self.by_id.get(id) {
            Some(Category::Kind(kind)) => Some(kind),
            _ => None,
        }
    }
    /// The mixin named `id`.
    pub fn mixin(&self, id: &str) -> Option<&Arc<Mixin>> {
        match self.by_id.get(id) {
            Some(Category::Mixin(mixin)) => Some(mixin),
            _ => None,
        }
    }
    /// The action named `id`.
    pub fn action(&self, id: &str) -> Option<&Arc<Action>> {
        match self.by_id.get(id) {
            Some(Category::Action(action)) => Some(action),
            _ => None,
        }
    }
    /// The kind or mixin whose collection is at `location`. Other servers' places are understood after
    /// [`crate::infrastructure::canonical_path`].
    pub fn at_location(&self, location: &str) -> Option<&Category> {
        self.by_location.get(location).and_then(|id| self.by_id.get(id))
    }

    /// Whether a document defines `id` and this service leaves it out.
    pub fn is_left_out(&self, id: &str) -> bool {
        self.offer.left_out.contains(id)
    }

    /// The category that a client means by scheme and term.
    ///
    /// Tolerates a scheme without `#` or with the term behind it, known misspellings, and a term whose case differs, if
    /// only one fits. Where a class is given it must agree.
    pub fn resolve(&self, scheme: &str, term: &str, class: Option<Class>) -> Result<&Category, ResolveError> {
        self.resolve_id(&TypeId::new(scheme, term)?, class)
    }

    /// The category that a client means by an identifier, as tolerant as [`Registry::resolve`].
    pub fn resolve_id(&self, id: &TypeId, class: Option<Class>) -> Result<&Category, ResolveError> {
        let exact = || self.by_id.get(id);
        let alias = || self.by_id.get(*self.offer.rows.aliases.get(id.as_str())?);
        let Some(category) = exact().or_else(alias).or_else(|| self.in_another_case(id, class)) else {
            return Err(if self.offer.left_out.contains(id) {
                ResolveError::LeftOut(id.clone())
            } else {
                ResolveError::Unknown(id.clone())
            });
        };
        match class {
            Some(expected) if expected != category.class() => Err(ResolveError::WrongClass {
                id: category.id().clone(),
                is: category.class(),
                expected,
            }),
            _ => Ok(category),
        }
    }

    fn in_another_case(&self, id: &TypeId, class: Option<Class>) -> Option<&Category> {
        let mut matches = self.by_id.values().filter(|category| {
            let other = category.id();
            other.scheme() == id.scheme()
                && other.term().eq_ignore_ascii_case(id.term())
                && class.is_none_or(|class| class == category.class())
        });
        let first = matches.next();
        if matches.next().is_none() { first } else { None }
    }

    /// The kind itself, its parent, and so on up to `entity`.
    pub fn lineage<'r>(&'r self, kind: &str) -> impl Iterator<Item = &'r Arc<Kind>> + use<'r> {
        std::iter::successors(self.kind(kind), |kind| self.kind(kind.parent.as_ref()?.as_str()))
    }

    /// The kinds above `kind`, its parent first.
    pub fn ancestors<'r>(&'r self, kind: &str) -> impl Iterator<Item = &'r Arc<Kind>> + use<'r> {
        self.lineage(kind).skip(1)
    }

    /// Whether `kind` is `ancestor` or descends from it.
    pub fn descends_from(&self, kind: &str, ancestor: &str) -> bool {
        self.lineage(kind).any(|kind| kind.id == *ancestor)
    }

    /// Whether entities of `kind` are links.
    pub fn is_link(&self, kind: &str) -> bool {
        self.descends_from(kind, core::LINK)
    }

    /// The states of `kind`: its own, or those of its nearest ancestor that has some.
    pub fn lifecycle(&self, kind: &str) -> Option<&Arc<Lifecycle>> {
        self.lineage(kind).find_map(|kind| kind.lifecycle.as_ref())
    }

    /// `mixin` and all that it depends on, the depended-on first and each once. What is unknown is left out.
    pub fn depends_closure(&self, mixin: &str) -> Vec<&Arc<Mixin>> {
        self.mixin(mixin)
            .map(|mixin| self.closure_of([&mixin.id]))
            .unwrap_or_default()
    }

    /// The closures of several mixins in one list, each mixin once.
    pub(crate) fn closure_of<'a>(&self, mixins: impl IntoIterator<Item = &'a TypeId>) -> Vec<&Arc<Mixin>> {
        let mut closure = Vec::new();
        let mut seen = HashSet::new();
        // The way down, each mixin with how many of those it depends on are done. No recursion: users chain mixins as they like.
        let mut way: Vec<(&Arc<Mixin>, usize)> = Vec::new();
        let mut first = |id: &str| self.mixin(id).filter(|mixin| seen.insert(&mixin.id));
        for mixin in mixins {
            way.extend(first(mixin.as_str()).map(|mixin| (mixin, 0)));
            while let Some((mixin, done)) = way.last_mut() {
                match mixin.depends.get(*done) {
                    Some(depended) => {
                        *done += 1;
                        way.extend(first(depended.as_str()).map(|mixin| (mixin, 0)));
                    }
                    None => {
                        closure.push(*mixin);
                        way.pop();
                    }
                }
            }
        }
        closure
    }

    /// Refuses a mixin that depends on itself, and one of a user that depends on too many.
    pub(crate) fn check_dependencies(&self) -> Result<(), ModelError> {
        let refuse = |mixin: &Mixin, kind, reason| {
            let id = mixin.id.clone();
            Err(ModelError { id, reason, kind })
        };
        let closure = self.closure_of(self.mixins.iter().map(|mixin| &mixin.id));
        let place: HashMap<_, _> = closure.iter().enumerate().map(|(at, mixin)| (&mixin.id, at)).collect();
        for (at, mixin) in closure.iter().enumerate() {
            // Where there is no circle, what is depended on comes before.
            if let Some(depended) = mixin
                .depends
                .iter()
                .find(|id| place.get(id).is_some_and(|place| *place >= at))
            {
                let reason = format!("depends on itself through {depended}");
                return refuse(mixin, ViolationKind::Conflict, reason);
            }
            if matches!(mixin.origin, Origin::User { .. }) && self.depends_on_more_than(MAX_DEPENDS, mixin) {
                let reason = format!("depends on more than {MAX_DEPENDS} mixins, directly or not");
                return refuse(mixin, ViolationKind::TooLarge, reason);
            }
        }
        Ok(())
    }

    pub(crate) fn depends_on_more_than(&self, most: usize, mixin: &Mixin) -> bool {
        let mut found: Vec<&TypeId> = mixin.depends.iter().collect();
        let mut next = 0;
        while next < found.len() && found.len() <= most {
            let further = self.mixin(found[next].as_str()).map_or(&[][..], |mixin| &mixin.depends);
            for id in further {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
            next += 1;
        }
        found.len() > most
    }

    /// Whether `mixin` is `parent` or depends on it, directly or not.
    pub fn depends_on(&self, mixin: &str, parent: &str) -> bool {
        mixin == parent || self.depends_closure(mixin).iter().any(|mixin| mixin.id == *parent)
    }

    /// Whether `mixin` may be added to entities of `kind`: it, and all that it depends on, applies to the kind or to
    /// one of its ancestors, or to any (GFD.221, section 4.3.4).
    pub fn covers(&self, mixin: &str, kind: &str) -> bool {
        self.depends_closure(mixin).iter().all(|mixin| {
            mixin.applies.is_empty() || self.lineage(kind).any(|ancestor| mixin.applies.contains(&ancestor.id))
        })
    }

    /// The actions of an entity, in the order of rendering: those of its kind, inherited ones first, then those of its
    /// mixins. Where a kind defines an action whose term it also inherits, its own takes the place: `up` of an
    /// `ipreservation` is the reservation's, not the network's.
    pub fn actions_of<'a>(&self, kind: &str, mixins: impl IntoIterator<Item = &'a TypeId>) -> Vec<&Arc<Action>> {
        let mut actions: Vec<&Arc<Action>> = Vec::new();
        let mut lineage: Vec<_> = self.lineage(kind).collect();
        lineage.reverse();
        for action in lineage.iter().flat_map(|kind| &kind.actions) {
            let Some(action) = self.action(action.as_str()) else {
                continue;
            };
            match actions.iter_mut().find(|other| other.id.term() == action.id.term()) {
                Some(inherited) => *inherited = action,
                None => actions.push(action),
            }
        }
        for action in self.closure_of(mixins).iter().flat_map(|mixin| &mixin.actions) {
            let Some(action) = self.action(action.as_str()) else {
                continue;
            };
            if !actions.iter().any(|other| other.id == action.id) {
                actions.push(action);
            }
        }
        actions
    }

    /// The kind of link that joins a resource to one of kind `target`: the first whose targets include it, else the
    /// base kind `link`. For links of which a client says only where they lead.
    pub fn link_kind_to(&self, target: &str) -> Option<&Arc<Kind>> {
        self.kinds
            .iter()
            .find(|kind| {
                let row = self.offer.rows.kinds.get(kind.id.as_str());
                row.and_then(|row| row.ends)
                    .is_some_and(|ends| self.descends_from(target, ends.target))
            })
            .or_else(|| self.kind(core::LINK))
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.offer.rows
    }

    pub(crate) fn base_kinds_have_instances(&self) -> bool {
        self.offer.base_kinds
    }
}
