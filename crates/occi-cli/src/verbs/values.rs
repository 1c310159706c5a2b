//! Values as people write them: `NAME=VALUE`, `@FILE`, `10G`.

use crate::failure::{Failure, Result};
use crate::read;
use crate::session::Session;
use occi_client::{AttributeName, Category, EntityDraft, Input, Kind, Mixin, Model, TypeId};
use occi_model::AttributeDefinition;
use occi_model::templates::{OS_TPL, RESOURCE_TPL};

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl std::str::FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok(Self {
                name: name.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("it is written NAME=VALUE".to_owned()),
        }
    }
}

/// The content of `@FILE`, of stdin for `@-`, of `most` bytes at most; other text is meant as it is.
pub(crate) fn text_or_file(text: &str, most: u64) -> Result<Vec<u8>> {
    match text.strip_prefix('@') {
        Some("-") => read::stdin(most),
        Some(file) => read::file(&home(file), most),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// The shell leaves the tilde of `@~/.ssh/id.pub` as it is.
fn home(file: &str) -> std::path::PathBuf {
    match (file.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => file.into(),
    }
}

/// A size in GiB: `10`, `10G`, `10GiB`, `512M`, `1.5T`.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "k" | "ki" | "kib" => 1.0 / (1024.0 * 1024.0),
        "m" | "mi" | "mib" => 1.0 / 1024.0,
        "" | "g" | "gi" | "gib" => 1.0,
        "t" | "ti" | "tib" => 1024.0,
        _ => return Err(format!("{unit:?} is no unit of size: K, M, G or T")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * factor),
        _ => Err("a size is 10, 10G, 512M or 1.5T".to_owned()),
    }
}

/// The attributes that entities of a kind may have: its own, those of what it descends from, and those of mixins for it.
pub(crate) fn definitions_of<'m>(kind: &Kind, model: &'m Model) -> Vec<&'m AttributeDefinition> {
    let lineage: Vec<_> = model.lineage(kind.id.as_str()).map(|kind| &kind.id).collect();
    let may_have = |mixin: &&Mixin| mixin.applies.iter().any(|id| lineage.contains(&id));
    let mixins = model.mixins().iter().filter(may_have);
    let mixins: Vec<_> = mixins.map(|mixin| mixin.id.clone()).collect();
    model.attributes_of(&kind.id, &mixins)
}

/// The full name of an attribute: `cores` is `occi.compute.cores` where that is what there is.
///
/// # Errors
/// Several end so.
pub(crate) fn attribute_name(short: &str, definitions: &[&AttributeDefinition]) -> Result<String> {
    let names = definitions.iter().map(|definition| definition.name.as_str());
    let ends_so = |name: &&str| name.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'));
    if short.contains('.') && names.clone().any(|name| name == short) {
        return Ok(short.to_owned());
    }
    let mut found: Vec<_> = names.filter(ends_so).collect();
    // `state` is `occi.compute.state`, not `occi.compute.state.message`; of two, that of the kind is the shortest.
    found.sort_by_key(|name| (name.split('.').count(), *name));
    found.dedup();
    match found.as_slice() {
        [] => Ok(short.to_owned()),
        [only] => Ok((*only).to_owned()),
        [first, second, ..] if first.split('.').count() < second.split('.').count() => Ok((*first).to_owned()),
        several => {
            let mut failure = Failure::usage(format!("{short:?} could be any of {} attributes", several.len()));
            failure.hints = several.iter().map(|name| format!("- {name}")).collect();
            Err(failure)
        }
    }
}

/// Whether there is at most one template of each family.
///
/// # Errors
/// There are several: a machine boots from one, and has one size.
pub(crate) fn one_of_each_family(mixins: &[TypeId], model: &Model) -> Result<()> {
    for family in [OS_TPL, RESOURCE_TPL] {
        let of_family = model.dependants(family).filter(|mixin| mixins.contains(&mixin.id));
        let terms: Vec<_> = of_family.map(|mixin| mixin.id.term()).collect();
        if terms.len() > 1 {
            let family = family.rsplit('#').next().unwrap_or(family);
            let message = format!("{} are each a {family}, of which there can be one", terms.join(" and "));
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

/// Refuses what is no attribute of anything, where it is known that the server would.
pub(crate) async fn are_known(draft: &EntityDraft, session: &Session) -> Result<()> {
    if !session.client.dialect().is_occid {
        return Ok(());
    }
    let strange = |model: &Model| {
        let mut names = draft.attributes.iter().map(|(name, _)| name);
        let is_defined = |name: &AttributeName| {
            let mut all = model.categories().flat_map(Category::attributes);
            name.as_str().starts_with("occi.core.") || all.any(|definition| definition.name == *name)
        };
        names.find(|name| !is_defined(name)).cloned()
    };
    // What defines it may have come a moment ago.
    let found = match strange(&*session.model().await?) {
        Some(_) => strange(&*session.current_model().await?),
        None => None,
    };
    match (found, &draft.kind) {
        (None, _) => Ok(()),
        (Some(name), kind) => {
            let kind = kind.as_ref().map_or("KIND", |kind| kind.term());
            Err(Failure::usage(format!("{name} is not an attribute of anything here"))
                .with_hint(format!("occi describe {kind} shows which there are")))
        }
    }
}

/// Refuses what lacks an attribute that has to be given.
pub(crate) fn is_complete(draft: &EntityDraft, model: &Model, is_occid: bool) -> Result<()> {
    let Some(kind) = &draft.kind else { return Ok(()) };
    // Elsewhere a template may say it, and its defaults are not told.
    if !is_occid && !draft.mixins.is_empty() {
        return Ok(());
    }
    let is_given = |name: &AttributeName| draft.attributes.iter().any(|(given, _)| given == name);
    let definitions = model.attributes_of(kind, &draft.mixins);
    let missing = definitions.into_iter().find(|definition| {
        let is_needed = definition.required && definition.mutable && definition.default.is_none();
        is_needed && !definition.name.as_str().starts_with("occi.core.") && !is_given(&definition.name)
    });
    match missing {
        None => Ok(()),
        Some(definition) => {
            let hint = match definition.name.as_str() {
                "occi.storage.size" => "--size 10G says it".to_owned(),
                name => format!("--attribute {name}=VALUE says it"),
            };
            let message = format!("a {} has {}, which is missing", kind.term(), definition.name);
            Err(Failure::usage(message).with_hint(hint))
        }
    }
}

/// An attribute that only the server sets.
pub(crate) fn read_only(name: &str) -> Failure {
    Failure::usage(format!("{name} cannot be set: it is for the server to say"))
}

/// A value as its definition wants it; sizes with units where GiB are meant. An empty one takes the attribute away.
///
/// # Errors
/// It does not fit.
pub(crate) fn input(name: &str, text: &str, model: &Model) -> Result<Input> {
    if text.is_empty() {
        return Ok(Input::Null);
    }
    let is_gib = crate::output::Look::of_attribute(name) == crate::output::Look::Gib;
    if is_gib && let Ok(size) = gib(text) {
        return Ok(Input::Typed(size.into()));
    }
    // The casts of the old command line.
    for cast in ["num", "float", "bool"] {
        let inner = text.strip_prefix(cast).and_then(|rest| rest.strip_prefix('('));
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix(')')) {
            return Ok(Input::Token(inner.to_owned()));
        }
    }
    let Some(value_type) = model.value_type(name) else {
        return Ok(Input::Token(text.to_owned()));
    };
    match value_type.read(&Input::Token(text.to_owned())) {
        Some(value) => Ok(Input::Typed(value)),
        None => {
            let what = value_type.json_type();
            Err(Failure::usage(format!("{name} is a {what}, and {text:?} does not fit"))
                .with_hint(format!("occi describe {name} says what does")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_gib_and_may_have_units() {
        for (text, size) in [
            ("10", 10.0),
            ("10G", 10.0),
            ("512M", 0.5),
            ("1.5TiB", 1536.0),
            (" 2 gib", 2.0),
        ] {
            assert_eq!(gib(text), Ok(size), "{text}");
        }
        for wrong in ["", "G", "10X", "-1", "0", "1e400", "NaN"] {
            assert!(gib(wrong).is_err(), "{wrong}");
        }
    }
}
