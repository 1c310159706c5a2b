//! The documents as data: one row per category, one interpreter for all of them.
//!
//! A row says everything the model needs to know of a category, tolerances included, so that a new kind or mixin is a
//! new row in [`crate::infrastructure`], [`crate::templates`] or [`crate::production`] and no new code.

use crate::{
    Action, AttributeDefinition, AttributeName, IdentError, Kind, Lifecycle, Mixin, Origin, Transition, TypeId, Value,
    ValueType,
};
use std::str::FromStr;
use std::sync::Arc;

/// One document's categories. [`crate::RegistryBuilder::table`] reads it.
#[derive(Debug)]
pub struct Table {
    pub(crate) kinds: &'static [KindRow],
    pub(crate) mixins: &'static [MixinRow],
}

/// A kind, its actions and its states.
#[derive(Debug)]
pub(crate) struct KindRow {
    /// Scheme and term.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) parent: Option<&'static str>,
    pub(crate) location: &'static str,
    /// In the order in which they are rendered. A name that begins another one (`x.state`, `x.state.message`) comes after
    /// it: rOCCI-core 4 keeps attributes as a tree, where `x.state` would be lost with all that is below it put there later.
    pub(crate) attributes: &'static [AttributeRow],
    /// The scheme of the actions; empty without actions.
    pub(crate) action_scheme: &'static str,
    pub(crate) actions: &'static [ActionRow],
    pub(crate) states: Option<StatesRow>,
    /// For a link with fixed ends: what it may join.
    pub(crate) ends: Option<EndsRow>,
    /// Whether it stays when a service offers a selection only: the base kinds.
    pub(crate) base: bool,
}

impl KindRow {
    pub(crate) const NONE: Self = Self {
        id: "",
        title: "",
        parent: None,
        location: "",
        attributes: &[],
        action_scheme: "",
        actions: &[],
        states: None,
        ends: None,
        base: false,
    };
}

/// The kinds that a link joins; descendants count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndsRow {
    pub(crate) source: &'static str,
    pub(crate) target: &'static str,
}

/// A mixin, and how it behaves where it behaves unlike others. Mixins that depend on it behave alike.
#[derive(Debug)]
pub(crate) struct MixinRow {
    /// Scheme and term.
    pub(crate) id: &'static str,
    /// Other identifiers understood on input.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) title: &'static str,
    pub(crate) depends: &'static [&'static str],
    pub(crate) applies: &'static [&'static str],
    pub(crate) attributes: &'static [AttributeRow],
    /// The scheme of the actions; empty without actions.
    pub(crate) action_scheme: &'static str,
    pub(crate) actions: &'static [ActionRow],
    pub(crate) location: &'static str,
    /// A replacement that does not name it leaves it, and its attributes, in place.
    pub(crate) kept: bool,
    /// An entity has at most one of the mixins that depend on it; a new one takes the place of the old one.
    pub(crate) exclusive: bool,
    /// The values of the mixins that depend on it win over the client's.
    pub(crate) overrides: bool,
    /// It comes with a new entity or not at all.
    pub(crate) creation_only: bool,
    /// The mixin that means the same; an entity has one of the two.
    pub(crate) twin: Option<&'static str>,
}

impl MixinRow {
    pub(crate) const NONE: Self = Self {
        id: "",
        aliases: &[],
        title: "",
        depends: &[],
        applies: &[],
        attributes: &[],
        action_scheme: "",
        actions: &[],
        location: "",
        kept: false,
        exclusive: false,
        overrides: false,
        creation_only: false,
        twin: None,
    };
}

/// An action; its scheme is its owner's `action_scheme`.
#[derive(Debug)]
pub(crate) struct ActionRow {
    pub(crate) term: &'static str,
    pub(crate) title: &'static str,
    pub(crate) parameters: &'static [AttributeRow],
    /// Parameters that clients send without effect.
    pub(crate) ignored: &'static [&'static str],
}

pub(crate) const fn action(term: &'static str, title: &'static str) -> ActionRow {
    ActionRow {
        term,
        title,
        parameters: &[],
        ignored: &[],
    }
}

impl ActionRow {
    pub(crate) const fn parameters(mut self, parameters: &'static [AttributeRow]) -> Self {
        self.parameters = parameters;
        self
    }
    pub(crate) const fn ignores(mut self, ignored: &'static [&'static str]) -> Self {
        self.ignored = ignored;
        self
    }
}

/// Looks at a value beyond its type, and says what is expected.
pub(crate) type ValueCheck = fn(&Value) -> Result<(), String>;

/// An attribute or a parameter.
#[derive(Debug)]
pub(crate) struct AttributeRow {
    pub(crate) name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) mutable: bool,
    pub(crate) required: bool,
    pub(crate) default: Option<DefaultRow>,
    pub(crate) creation_only: bool,
    /// Other names understood on input.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) check: Option<ValueCheck>,
}

/// A default that fits in a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DefaultRow {
    Word(&'static str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// A mutable, optional attribute.
pub(crate) const fn attribute(name: &'static str, value_type: ValueType) -> AttributeRow {
    AttributeRow {
        name,
        value_type,
        mutable: true,
        required: false,
        default: None,
        creation_only: false,
        aliases: &[],
        check: None,
    }
}

impl AttributeRow {
    pub(crate) const fn immutable(mut self) -> Self {
        self.mutable = false;
        self
    }
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    pub(crate) const fn creation_only(mut self) -> Self {
        self.creation_only = true;
        self
    }
    pub(crate) const fn default(mut self, default: DefaultRow) -> Self {
        self.default = Some(default);
        self
    }
    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    pub(crate) const fn checked(mut self, check: ValueCheck) -> Self {
        self.check = Some(check);
        self
    }

    pub(crate) fn definition(&self) -> AttributeDefinition {
        AttributeDefinition {
            mutable: self.mutable,
            required: self.required,
            default: self.default.map(|default| match default {
                DefaultRow::Word(word) => word.into(),
                DefaultRow::Integer(number) => number.into(),
                DefaultRow::Float(number) => number.into(),
                DefaultRow::Boolean(truth) => truth.into(),
            }),
            creation_only: self.creation_only,
            ..AttributeDefinition::new(named(self.name), self.value_type.clone())
        }
    }
}

/// A word out of a list, without aliases.
pub(crate) const fn one_of(values: &'static [&'static str]) -> ValueType {
    ValueType::Enum { values, aliases: &[] }
}

/// A whole number of at least `min`.
pub(crate) const fn at_least(min: i64) -> ValueType {
    ValueType::Integer {
        min: Some(min),
        max: None,
    }
}

/// A number greater than zero.
pub(crate) const POSITIVE: ValueType = ValueType::Float { above: Some(0.0) };

/// The states of a kind.
#[derive(Debug)]
pub(crate) struct StatesRow {
    /// The attributes are `<prefix>.state` and `<prefix>.state.message`.
    pub(crate) prefix: &'static str,
    pub(crate) initial: &'static str,
    pub(crate) bring_up: Option<&'static str>,
    pub(crate) up: &'static str,
    pub(crate) transitions: &'static [TransitionRow],
}

/// An arrow: from, the action's term, to, and whether the action reaches a state.
#[derive(Debug)]
pub(crate) struct TransitionRow(&'static str, &'static str, &'static str, bool);

/// An action that brings to another state.
pub(crate) const fn leads(from: &'static str, action: &'static str, to: &'static str) -> TransitionRow {
    TransitionRow(from, action, to, true)
}

/// An action that ends in the state where it began.
pub(crate) const fn stays(state: &'static str, action: &'static str) -> TransitionRow {
    TransitionRow(state, action, state, false)
}

/// Reads a name that a table of this crate spells out.
#[expect(
    clippy::expect_used,
    reason = "tables are constants of this crate, and its tests load every one"
)]
pub(crate) fn named<T: FromStr<Err = IdentError>>(text: &str) -> T {
    text.parse().expect("the built-in tables hold valid names")
}

fn all_named<T: FromStr<Err = IdentError>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| named(text)).collect()
}

fn action_id(scheme: &str, term: &str) -> TypeId {
    named(&format!("{scheme}{term}"))
}

fn action_ids(scheme: &str, rows: &[ActionRow]) -> Vec<TypeId> {
    rows.iter().map(|row| action_id(scheme, row.term)).collect()
}

fn definitions(rows: &[AttributeRow]) -> Vec<AttributeDefinition> {
    rows.iter().map(AttributeRow::definition).collect()
}

impl KindRow {
    pub(crate) fn kind(&self) -> Kind {
        Kind {
            id: named(self.id),
            title: self.title.to_owned(),
            parent: self.parent.map(named),
            attributes: definitions(self.attributes),
            actions: action_ids(self.action_scheme, self.actions),
            location: named(self.location),
            lifecycle: self
                .states
                .as_ref()
                .map(|states| Arc::new(states.lifecycle(self.action_scheme))),
        }
    }
}

impl StatesRow {
    fn lifecycle(&self, action_scheme: &str) -> Lifecycle {
        Lifecycle {
            state: named(&format!("{}.state", self.prefix)),
            message: named(&format!("{}.state.message", self.prefix)),
            initial: self.initial,
            bring_up: self.bring_up.map(|term| action_id(action_scheme, term)),
            up: self.up,
            transitions: self
                .transitions
                .iter()
                .map(|TransitionRow(from, term, to, reaches)| Transition {
                    from,
                    action: action_id(action_scheme, term),
                    to,
                    reaches: *reaches,
                })
                .collect(),
        }
    }
}

impl MixinRow {
    pub(crate) fn mixin(&self) -> Mixin {
        Mixin {
            id: named(self.id),
            title: self.title.to_owned(),
            depends: all_named(self.depends),
            applies: all_named(self.applies),
            attributes: definitions(self.attributes),
            actions: action_ids(self.action_scheme, self.actions),
            location: named(self.location),
            origin: Origin::Standard,
        }
    }
}

impl Table {
    /// The actions of every row, with the rows they come from.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (Action, &'static ActionRow)> {
        let of_kinds = self.kinds.iter().map(|row| (row.action_scheme, row.actions));
        let of_mixins = self.mixins.iter().map(|row| (row.action_scheme, row.actions));
        of_kinds.chain(of_mixins).flat_map(|(scheme, rows)| {
            rows.iter().map(move |row| {
                let action = Action {
                    id: action_id(scheme, row.term),
                    title: row.title.to_owned(),
                    attributes: definitions(row.parameters),
                };
                (action, row)
            })
        })
    }

    /// The attributes of every kind and mixin.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &'static AttributeRow> {
        let of_kinds = self.kinds.iter().flat_map(|row| row.attributes);
        of_kinds.chain(self.mixins.iter().flat_map(|row| row.attributes))
    }
}

/// The row of the attribute `name`, in whichever document it is.
pub(crate) fn documented(name: &AttributeName) -> Option<&'static AttributeRow> {
    DOCUMENTS
        .iter()
        .flat_map(|table| table.attributes())
        .find(|row| row.name == name.as_str())
}

/// Every table of this crate, in the order of the query interface.
pub(crate) const DOCUMENTS: [&Table; 5] = [
    &crate::core::TABLE,
    &crate::templates::TABLE,
    &crate::infrastructure::TABLE,
    &crate::templates::PROFILE,
    &crate::production::TABLE,
];
