//! The verbs of the contract as values, for layers, metrics and fault plans.

use std::fmt;
use std::str::FromStr;

/// One method of [`crate::Backend`] that reaches the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// [`crate::Backend::catalogue`].
    Catalogue,
    /// [`crate::Backend::health`].
    Health,
    /// [`crate::Backend::admit`].
    Admit,
    /// [`crate::Backend::admit_change`].
    AdmitChange,
    /// [`crate::Backend::projects`].
    Projects,
    /// [`crate::Backend::list`].
    List,
    /// [`crate::Backend::find`].
    Find,
    /// [`crate::Backend::create`].
    Create,
    /// [`crate::Backend::update`].
    Update,
    /// [`crate::Backend::act`].
    Act,
    /// [`crate::Backend::delete`].
    Delete,
    /// [`crate::Backend::remove_template`].
    RemoveTemplate,
}

impl Verb {
    /// All of them, reads first.
    pub const ALL: [Self; 12] = [
        Self::Catalogue,
        Self::Health,
        Self::Admit,
        Self::AdmitChange,
        Self::Projects,
        Self::List,
        Self::Find,
        Self::Create,
        Self::Update,
        Self::Act,
        Self::Delete,
        Self::RemoveTemplate,
    ];

    /// The method's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Health => "health",
            Self::Admit => "admit",
            Self::AdmitChange => "admit_change",
            Self::Projects => "projects",
            Self::List => "list",
            Self::Find => "find",
            Self::Create => "create",
            Self::Update => "update",
            Self::Act => "act",
            Self::Delete => "delete",
            Self::RemoveTemplate => "remove_template",
        }
    }

    /// Whether it may change something in the engine.
    pub fn writes(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Update | Self::Act | Self::Delete | Self::RemoveTemplate
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no verb of a backend"))
    }
}
