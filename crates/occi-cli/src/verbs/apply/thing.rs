//! What shall be there, in whichever form a file says it.

use super::node::Place;
use crate::failure::{Failure, Result};
use crate::verbs::values::{is_complete, one_of_each_family};
use occi_client::{Category, EntityDraft, Input, Model};
use occi_model::{AttributeName, TypeId};

/// An entity that shall be there.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) place: Place,
    pub(super) kind: TypeId,
    /// By which it is found again; links go by their ends too.
    pub(super) title: Option<String>,
    /// Its id on the server from which the file comes.
    pub(super) id: Option<String>,
    pub(super) body: Body,
    /// What is given when it is made and cannot be asked for later: a key, user data.
    pub(super) once: Body,
    /// Of a resource: the links that start at it.
    pub(super) links: Vec<Link>,
    /// The kinds of link of which there shall be no others.
    pub(super) whole: Vec<&'static str>,
    /// Of a link that stands alone: where it starts and where it leads.
    pub(super) ends: Option<(End, End)>,
}

/// Mixins and attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Body {
    pub(super) mixins: Vec<TypeId>,
    /// The title is not among them. What is null shall not be there.
    pub(super) attributes: Vec<(AttributeName, Input)>,
}

/// A link of a resource.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) place: Place,
    pub(super) kind: TypeId,
    pub(super) to: End,
    pub(super) body: Body,
}

/// An end of a link, as the file calls it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) name: String,
    /// If it is said.
    pub(super) kind: Option<TypeId>,
}

impl Thing {
    pub(super) fn new(place: Place, kind: TypeId) -> Self {
        Self {
            place,
            kind,
            title: None,
            id: None,
            body: Body::default(),
            once: Body::default(),
            links: Vec::new(),
            whole: Vec::new(),
            ends: None,
        }
    }

    /// `compute web1`
    pub(super) fn name(&self) -> String {
        let title = self.title.as_deref().or(self.id.as_deref());
        match (title, &self.ends) {
            (Some(title), _) => format!("{} {title}", self.kind.term()),
            (None, Some((from, to))) => format!("{} {} to {}", self.kind.term(), from.name, to.name),
            (None, None) => self.kind.term().to_owned(),
        }
    }

    /// Whether it can be made as it is said.
    pub(super) fn is_complete(&self, model: &Model, is_occid: bool) -> Result<()> {
        let draft = EntityDraft {
            kind: Some(self.kind.clone()),
            mixins: self.body.mixins.clone(),
            attributes: self.body.attributes.clone(),
            ..EntityDraft::default()
        };
        one_of_each_family(&draft.mixins, model)?;
        is_complete(&draft, model, is_occid)
    }
}

impl Body {
    pub(super) fn mixin(&mut self, id: &TypeId) {
        if !self.mixins.contains(id) {
            self.mixins.push(id.clone());
        }
    }
}

/// Whether a mixin of the model is a template of a family.
pub(super) fn is_template_of(parent: &str, id: &TypeId, model: &Model) -> bool {
    match model.get(id.as_str()) {
        Some(Category::Mixin(mixin)) => mixin.depends.iter().any(|depends| *depends == *parent),
        _ => false,
    }
}

/// The same failure with its place.
pub(super) fn at(place: &Place, failure: Failure) -> Failure {
    failure.about(place)
}
