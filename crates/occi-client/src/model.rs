//! What a server offers, found by the names that people use.

use crate::error::{Error, ErrorKind, Result};
use occi_model::{
    Action, AttributeDefinition, AttributeName, Class, Input, Kind, Mixin, Registry, TypeId, Value, ValueType, core,
    infrastructure, production,
};
use occi_rendering::response;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The documents, for what a server leaves out.
static DOCUMENTS: LazyLock<Registry> = LazyLock::new(Registry::standard);

/// The types of what the documents define: text renderings say nothing of types.
static TYPES: LazyLock<HashMap<AttributeName, ValueType>> = LazyLock::new(|| {
    let kinds = DOCUMENTS.kinds().iter().flat_map(|kind| &kind.attributes);
    let mixins = DOCUMENTS.mixins().iter().flat_map(|mixin| &mixin.attributes);
    let actions = DOCUMENTS.actions().iter().flat_map(|action| &action.attributes);
    types(kinds.chain(mixins).chain(actions))
});

fn types<'d>(definitions: impl Iterator<Item = &'d AttributeDefinition>) -> HashMap<AttributeName, ValueType> {
    let mut types = HashMap::new();
    for definition in definitions {
        types
            .entry(definition.name.clone())
            .or_insert_with(|| definition.value_type.clone());
    }
    types
}

/// The kinds, mixins and actions of a server.
///
/// A category goes by its term (`compute`), by the last part of its scheme or the term of what it depends on, and its
/// term (`os_tpl#debian12`, `resource_tpl#small`), by its identifier, and by its location (`/compute/`). A mixin goes by
/// its title instead of its term too, where that is no other's term (`Debian 12`, `os_tpl#Debian 12`).
#[derive(Clone, Debug, Default)]
pub struct Model {
    kinds: Vec<Kind>,
    mixins: Vec<Mixin>,
    actions: Vec<Action>,
    by_id: HashMap<TypeId, At>,
    /// The types that the server tells; `String` is what a text rendering says of everything, which is nothing.
    types: HashMap<AttributeName, ValueType>,
}

/// Where a category is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Kind(usize),
    Mixin(usize),
    Action(usize),
}

/// A category of a model.
#[derive(Clone, Copy, Debug)]
pub enum Category<'m> {
    /// A kind.
    Kind(&'m Kind),
    /// A mixin.
    Mixin(&'m Mixin),
    /// An action.
    Action(&'m Action),
}

impl<'m> Category<'m> {
    /// Scheme and term.
    pub fn id(self) -> &'m TypeId {
        match self {
            Self::Kind(kind) => &kind.id,
            Self::Mixin(mixin) => &mixin.id,
            Self::Action(action) => &action.id,
        }
    }

    /// Which of the three.
    pub fn class(self) -> Class {
        match self {
            Self::Kind(_) => Class::Kind,
            Self::Mixin(_) => Class::Mixin,
            Self::Action(_) => Class::Action,
        }
    }

    /// For people; may be empty.
    pub fn title(self) -> &'m str {
        match self {
            Self::Kind(kind) => &kind.title,
            Self::Mixin(mixin) => &mixin.title,
            Self::Action(action) => &action.title,
        }
    }

    /// Where its collection is; actions have none.
    pub fn location(self) -> Option<&'m str> {
        match self {
            Self::Kind(kind) => Some(kind.location.as_str()),
            Self::Mixin(mixin) => Some(mixin.location.as_str()),
            Self::Action(_) => None,
        }
    }

    /// The attributes that it defines, or the parameters that it takes.
    pub fn attributes(self) -> &'m [AttributeDefinition] {
        match self {
            Self::Kind(kind) => &kind.attributes,
            Self::Mixin(mixin) => &mixin.attributes,
            Self::Action(action) => &action.attributes,
        }
    }
}

impl From<response::Model> for Model {
    fn from(model: response::Model) -> Self {
        let response::Model { kinds, mixins, actions } = model;
        let mut by_id = HashMap::new();
        let kinds_at = kinds.iter().enumerate().map(|(at, kind)| (&kind.id, At::Kind(at)));
        let mixins_at = mixins.iter().enumerate().map(|(at, mixin)| (&mixin.id, At::Mixin(at)));
        let actions_at = actions
            .iter()
            .enumerate()
            .map(|(at, action)| (&action.id, At::Action(at)));
        for (id, at) in kinds_at.chain(mixins_at).chain(actions_at) {
            by_id.entry(id.clone()).or_insert(at);
        }
        let mut model = Self {
            kinds,
            mixins,
            actions,
            by_id,
            types: HashMap::new(),
        };
        let definitions = model.categories().flat_map(Category::attributes);
        model.types = types(definitions.filter(|definition| definition.value_type != ValueType::String));
        model
    }
}

impl Model {
    /// The kinds, in the server's order.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The mixins.
    pub fn mixins(&self) -> &[Mixin] {
        &self.mixins
    }

    /// The actions.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// All categories, in the order of rendering.
    pub fn categories(&self) -> impl Iterator<Item = Category<'_>> {
        let kinds = self.kinds.iter().map(Category::Kind);
        let mixins = self.mixins.iter().map(Category::Mixin);
        kinds.chain(mixins).chain(self.actions.iter().map(Category::Action))
    }

    /// The category with this identifier.
    pub fn get(&self, id: &str) -> Option<Category<'_>> {
        Some(match *self.by_id.get(id)? {
            At::Kind(at) => Category::Kind(&self.kinds[at]),
            At::Mixin(at) => Category::Mixin(&self.mixins[at]),
            At::Action(at) => Category::Action(&self.actions[at]),
        })
    }

    /// The kind or mixin whose collection is at a location.
    pub fn at(&self, location: &str) -> Option<Category<'_>> {
        let location = location.trim_end_matches('/');
        self.categories().find(|category| {
            category
                .location()
                .is_some_and(|own| own.trim_end_matches('/') == location)
        })
    }

    /// The kind that a name means.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Ambiguous`].
    pub fn kind(&self, name: &str) -> Result<&Kind> {
        match self.find("kind", name, self.kinds.iter().map(Category::Kind))? {
            Category::Kind(kind) => Ok(kind),
            _ => Err(not_found("kind", name)),
        }
    }

    /// The mixin that a name means.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Ambiguous`].
    pub fn mixin(&self, name: &str) -> Result<&Mixin> {
        match self.find("mixin", name, self.mixins.iter().map(Category::Mixin))? {
            Category::Mixin(mixin) => Ok(mixin),
            _ => Err(not_found("mixin", name)),
        }
    }

    /// The action that a name means, among those of a kind and of mixins, or among all.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Ambiguous`].
    pub fn action(&self, name: &str, of: Option<(&TypeId, &[TypeId])>) -> Result<&Action> {
        let found = match of {
            Some((kind, mixins)) => {
                let own = self.actions_of(kind, mixins);
                match self.find("action", name, own.iter().copied().map(Category::Action)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        let terms: Vec<_> = own.iter().map(|action| action.id.term()).collect();
                        let missing = Error::new(error.kind(), format!("a {} has no action {name:?}", kind.term()));
                        return Err(match terms.as_slice() {
                            [] => missing.with_hint("it has none at all"),
                            terms => missing.with_hint(format!("it has {}", terms.join(", "))),
                        });
                    }
                    found => found?,
                }
            }
            None => self.find("action", name, self.actions.iter().map(Category::Action))?,
        };
        match found {
            Category::Action(action) => Ok(action),
            _ => Err(not_found("action", name)),
        }
    }

    /// The category that a name means: a kind before a mixin, and these before an action.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Ambiguous`].
    pub fn category(&self, name: &str) -> Result<Category<'_>> {
        let kind = self.find("kind", name, self.kinds.iter().map(Category::Kind));
        let mixin = || self.find("mixin", name, self.mixins.iter().map(Category::Mixin));
        let action = || self.find("category", name, self.actions.iter().map(Category::Action));
        let is_missing =
            |found: &Result<Category<'_>>| matches!(found, Err(error) if error.kind() == ErrorKind::NotFound);
        let mut found = kind;
        if is_missing(&found) {
            found = mixin();
        }
        if is_missing(&found) {
            found = action();
        }
        found
    }

    /// The template that a name means, among the mixins that depend on `parent`. Where a server does not say what depends
    /// on that, any mixin that depends on nothing will do.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Ambiguous`].
    pub fn template(&self, parent: &str, name: &str) -> Result<&Mixin> {
        let is_missing = |error: &Error| error.kind() == ErrorKind::NotFound;
        let found = match self.find("template", name, self.dependants(parent).map(Category::Mixin)) {
            Err(error) if is_missing(&error) && self.dependants(parent).next().is_none() => {
                let free = self.mixins.iter().filter(|mixin| mixin.depends.is_empty());
                self.find("template", name, free.map(Category::Mixin))
            }
            found => found,
        };
        match found.map_err(|error| match is_missing(&error) {
            true => self.no_template(parent, name),
            false => error,
        })? {
            Category::Mixin(mixin) => Ok(mixin),
            _ => Err(self.no_template(parent, name)),
        }
    }

    fn no_template(&self, parent: &str, name: &str) -> Error {
        let family = parent.rsplit('#').next().unwrap_or(parent);
        let terms: Vec<_> = self.dependants(parent).take(12).map(|mixin| mixin.id.term()).collect();
        match terms.is_empty() {
            true => Error::new(ErrorKind::NotFound, format!("the server offers no {family} at all")),
            false => not_found(family, name).with_hint(format!("it has {}", terms.join(", "))),
        }
    }

    fn find<'m>(&'m self, what: &str, name: &str, among: impl Iterator<Item = Category<'m>>) -> Result<Category<'m>> {
        let name = name.trim();
        let all: Vec<Category<'_>> = among.collect();
        let same_case = |a: &str, b: &str| a == b;
        let any_case = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let by_term = |category: Category<'_>| self.goes_by(category, category.id().term(), name, same_case);
        let by_title = |category: Category<'_>| self.is_titled(category, name, same_case);
        let by_any = |category: Category<'_>| {
            self.goes_by(category, category.id().term(), name, any_case) || self.is_titled(category, name, any_case)
        };
        for is_meant in [&by_term as &dyn Fn(Category<'_>) -> bool, &by_title, &by_any] {
            let found: Vec<_> = all.iter().copied().filter(|category| is_meant(*category)).collect();
            match found.as_slice() {
                [] => {}
                [only] => return Ok(*only),
                several => {
                    let names = several.iter().map(|category| category.id().to_string()).collect();
                    return Err(Error::new(
                        ErrorKind::Ambiguous,
                        format!("{name:?} could be any of {} {what}s", several.len()),
                    )
                    .with_candidates(names));
                }
            }
        }
        Err(not_found(what, name))
    }

    /// Whether a name is a mixin's, with the title in the place of the term.
    fn is_titled(&self, category: Category<'_>, name: &str, same: fn(&str, &str) -> bool) -> bool {
        let title = category.title();
        let is_mixin = category.class() == Class::Mixin && !title.is_empty();
        is_mixin && (same(title, name) || self.goes_by(category, title, name, same))
    }

    fn goes_by(&self, category: Category<'_>, own: &str, name: &str, same: fn(&str, &str) -> bool) -> bool {
        let id = category.id();
        if let Some((scheme, term)) = name.split_once('#') {
            return same(id.as_str(), name)
                || same(own, term)
                    && (same(short(id.scheme()), scheme) || self.parents(category).any(|parent| same(parent, scheme)));
        }
        if name.starts_with('/') {
            let own = category.location().unwrap_or_default();
            return !own.is_empty() && own.trim_end_matches('/') == name.trim_end_matches('/');
        }
        same(own, name)
    }

    /// The terms of what a category is a special case of.
    fn parents<'m>(&'m self, category: Category<'m>) -> impl Iterator<Item = &'m str> {
        let depends = match category {
            Category::Mixin(mixin) => mixin.depends.as_slice(),
            _ => &[],
        };
        depends.iter().map(TypeId::term)
    }

    /// The kind itself, its parent, and so on, as far as the server describes them.
    pub fn lineage<'m>(&'m self, kind: &str) -> impl Iterator<Item = &'m Kind> + use<'m> {
        let find = |id: &str| match self.get(id) {
            Some(Category::Kind(kind)) => Some(kind),
            _ => None,
        };
        let steps = self.kinds.len();
        std::iter::successors(find(kind), move |kind| find(kind.parent.as_ref()?.as_str())).take(steps)
    }

    /// Whether `kind` is `ancestor` or descends from it; the documents answer for what the server does not describe.
    pub fn descends_from(&self, kind: &str, ancestor: &str) -> bool {
        kind == ancestor
            || self
                .lineage(kind)
                .any(|kind| kind.id == *ancestor || kind.parent.as_ref().is_some_and(|parent| *parent == *ancestor))
            || DOCUMENTS.descends_from(kind, ancestor)
    }

    /// Whether entities of `kind` are links.
    pub fn is_link(&self, kind: &str) -> bool {
        self.descends_from(kind, core::LINK)
    }

    /// The kind of the entities at and below a path: that with the longest location in front of it.
    pub fn kind_at(&self, path: &str) -> Option<&Kind> {
        let path = infrastructure::canonical_path(path);
        self.kinds
            .iter()
            .filter(|kind| path.starts_with(kind.location.as_str()))
            .max_by_key(|kind| kind.location.as_str().len())
    }

    /// The kind of link that leads to resources of kind `target`: one of the documents', if the server has it.
    pub fn link_kind_to(&self, target: &str) -> Option<&Kind> {
        let pairs = [
            (infrastructure::NETWORK, infrastructure::NETWORKINTERFACE),
            (production::IPRESERVATION, infrastructure::NETWORKINTERFACE),
            (infrastructure::STORAGE, infrastructure::STORAGELINK),
            (production::SECURITYGROUP, production::SECURITYGROUPLINK),
        ];
        let link = pairs
            .iter()
            .find(|(end, _)| self.descends_from(target, end))
            .map(|(_, link)| *link);
        match self.get(link.unwrap_or(core::LINK)) {
            Some(Category::Kind(kind)) => Some(kind),
            _ => None,
        }
    }

    /// The kind to which links of `kind` lead, where the documents say so.
    pub fn target_kind_of(&self, kind: &str) -> Option<TypeId> {
        let pairs = [
            (infrastructure::NETWORKINTERFACE, infrastructure::NETWORK),
            (infrastructure::STORAGELINK, infrastructure::STORAGE),
            (production::SECURITYGROUPLINK, production::SECURITYGROUP),
        ];
        let target = pairs
            .iter()
            .find(|(link, _)| self.descends_from(kind, link))
            .map(|(_, target)| *target)?;
        target.parse().ok()
    }

    /// The actions of an entity: those of its kind and what that descends from, then those of its mixins. Where a kind
    /// has an action whose term it also inherits, its own takes the place.
    pub fn actions_of(&self, kind: &TypeId, mixins: &[TypeId]) -> Vec<&Action> {
        let mut found: Vec<&Action> = Vec::new();
        for id in self.lineage(kind.as_str()).flat_map(|kind| &kind.actions) {
            if let Some(Category::Action(action)) = self.get(id.as_str())
                && !found.iter().any(|other| other.id.term() == action.id.term())
            {
                found.push(action);
            }
        }
        for mixin in mixins {
            let Some(Category::Mixin(mixin)) = self.get(mixin.as_str()) else {
                continue;
            };
            for id in &mixin.actions {
                if let Some(Category::Action(action)) = self.get(id.as_str())
                    && !found.iter().any(|other| other.id == action.id)
                {
                    found.push(action);
                }
            }
        }
        found
    }

    /// The action by which an entity of `kind` gets into a state, where the documents say so and the server offers it.
    pub fn action_to(&self, kind: &TypeId, state: &str) -> Option<&Action> {
        let lifecycle = self
            .lineage(kind.as_str())
            .find_map(|kind| DOCUMENTS.lifecycle(kind.id.as_str()))?;
        let leads_there = |action: &&Action| lifecycle.target(&action.id) == Some(state);
        self.actions_of(kind, &[]).into_iter().find(leads_there)
    }

    /// Whether a client may give an attribute when an entity is made: one that may change, that has to be given, or that
    /// the documents leave to who makes it.
    pub fn is_given_at_creation(&self, definition: &AttributeDefinition) -> bool {
        let is_for_creation = |kind: &Kind| {
            let mut own = kind.attributes.iter();
            own.any(|own| own.name == definition.name && own.creation_only)
        };
        definition.mutable || definition.required || DOCUMENTS.kinds().iter().any(|kind| is_for_creation(kind))
    }

    /// The attributes of an entity, as its kind, what that descends from and its mixins define them; the last definition
    /// of a name counts, which is the most special.
    pub fn attributes_of(&self, kind: &TypeId, mixins: &[TypeId]) -> Vec<&AttributeDefinition> {
        let mut lineage: Vec<_> = self.lineage(kind.as_str()).collect();
        lineage.reverse();
        let own = lineage.into_iter().flat_map(|kind| &kind.attributes);
        let mixed = mixins.iter().filter_map(|mixin| match self.get(mixin.as_str()) {
            Some(Category::Mixin(mixin)) => Some(&mixin.attributes),
            _ => None,
        });
        let mut found: Vec<&AttributeDefinition> = Vec::new();
        for definition in own.chain(mixed.flatten()) {
            match found.iter_mut().find(|other| other.name == definition.name) {
                Some(other) => *other = definition,
                None => found.push(definition),
            }
        }
        found
    }

    /// The mixins that depend on `parent`: the templates of `os_tpl`, the sizes of `resource_tpl`.
    pub fn dependants(&self, parent: &str) -> impl Iterator<Item = &Mixin> {
        self.mixins
            .iter()
            .filter(move |mixin| mixin.depends.iter().any(|depends| *depends == *parent))
    }

    /// The type of an attribute's values: the document's, which says more than a server can, else the server's.
    pub fn value_type(&self, name: &str) -> Option<&ValueType> {
        TYPES.get(name).or_else(|| self.types.get(name))
    }

    /// A value as its definition types it; one that does not fit, or that nobody defines, by its look.
    pub fn read_value(&self, name: &str, input: &Input) -> Option<Value> {
        // A server's value is never refused: one outside of the bounds that a document sets is still what the server has.
        let typed = self.value_type(name).and_then(|value_type| value_type.read(input));
        typed.map(|value| as_written(value, input)).or_else(|| match input {
            Input::Typed(value) => Some(value.clone()),
            Input::Quoted(text) => Some(text.as_str().into()),
            Input::Token(text) => [ValueType::Boolean, ValueType::Float { above: None }]
                .iter()
                .find_map(|value_type| value_type.read(input))
                .map(whole)
                .or_else(|| Some(text.as_str().into())),
            Input::Null => None,
        })
    }
}

/// A whole number stays one where a fraction could be: `2048` is not `2048.0`.
fn as_written(value: Value, input: &Input) -> Value {
    let whole = match (&value, input) {
        (Value::Float(_), Input::Token(text)) => text.trim().parse().ok(),
        (Value::Float(_), Input::Typed(Value::Integer(number))) => Some(*number),
        _ => None,
    };
    whole.map_or(value, Value::Integer)
}

/// A whole number stays one.
fn whole(value: Value) -> Value {
    match value.as_i64() {
        Some(number) => number.into(),
        None => value,
    }
}

/// The last part of a scheme: `os_tpl` of `http://cloud.example.org/occi/infrastructure/os_tpl#`.
fn short(scheme: &str) -> &str {
    let scheme = scheme.trim_end_matches(['#', '/']);
    scheme.rsplit('/').next().unwrap_or(scheme)
}

fn not_found(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("the server offers no {what} {name:?}"))
}
