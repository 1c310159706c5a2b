//! `occi update`.

use super::each;
use super::values::{Assignment, are_known, attribute_name, input, one_of_each_family, read_only};
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found};
use crate::output::Record;
use crate::progress::Waiting;
use crate::session::Session;
use clap::Args;
use occi_client::{Done, Entity, EntityDraft, Model, Until, Write};
use serde_json::json;

/// Change attributes and mixins
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi update web1 title=web
  occi update web1 cores=2 memory=2G --wait
  occi update web1 summary=          (takes it away)
  occi update web1 --mixin blue --without green")]
pub(crate) struct Update {
    /// What is changed, then what it shall be; a kind may stand in front, and nothing after the = takes it away
    #[arg(value_name = "[KIND] NAME... ATTRIBUTE=VALUE", required = true, num_args = 1.., add = complete::names(None))]
    words: Vec<String>,
    /// A mixin more
    #[arg(short, long = "mixin", value_name = "NAME", add = complete::mixins())]
    mixins: Vec<String>,
    /// A mixin less
    #[arg(long, value_name = "NAME", add = complete::mixins())]
    without: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Update {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let place = self
            .words
            .iter()
            .position(|word| word.contains('=') && !word.starts_with('/'));
        let (names, attributes) = self.words.split_at(place.unwrap_or(self.words.len()));
        if names.is_empty() {
            return Err(Failure::usage("what is to be changed?").with_hint("for example: occi update web1 title=web"));
        }
        let attributes: Vec<Assignment> = attributes
            .iter()
            .map(|word| {
                word.parse()
                    .map_err(|error| Failure::usage(format!("{word:?}: {error}")))
            })
            .collect::<Result<_>>()?;
        if attributes.is_empty() && self.mixins.is_empty() && self.without.is_empty() {
            return Err(Failure::usage("nothing is to be changed").with_hint("for example: occi update web1 title=web"));
        }
        let mut without = Vec::new();
        for name in &self.without {
            let id = session
                .look_up(|model| model.mixin(name).map(|mixin| mixin.id.clone()))
                .await?;
            without.push(id);
        }
        each(names, &Among::All, session, async |found| {
            let entity = session.client.show(&found.location).await?;
            let mut draft = EntityDraft::default();
            for name in &self.mixins {
                draft.mixins.push(
                    session
                        .look_up(|model| model.mixin(name).map(|mixin| mixin.id.clone()))
                        .await?,
                );
            }
            let model = session.model().await?;
            let all: Vec<_> = entity.mixins.iter().chain(&draft.mixins).cloned().collect();
            let definitions = match &entity.kind {
                Some(kind) => model.attributes_of(kind, &all),
                None => Vec::new(),
            };
            for Assignment { name, value } in &attributes {
                let name = attribute_name(name, &definitions)?;
                let definition = definitions.iter().find(|definition| definition.name.as_str() == name);
                if definition.is_some_and(|definition| !definition.mutable) {
                    return Err(refused(&name, value, &found.name, &entity, &model));
                }
                let value = input(&name, value, &model)?;
                draft
                    .attributes
                    .push((name.parse().map_err(occi_client::Error::from)?, value));
            }
            let is_changed = !draft.attributes.is_empty() || !draft.mixins.is_empty();
            one_of_each_family(&draft.mixins, &model)?;
            are_known(&draft, session).await?;
            if self.dry_run {
                let mut records = match is_changed {
                    true => session.would("update", &draft, Some(&found.location))?,
                    false => Vec::new(),
                };
                for id in &without {
                    let Found { name, location } = &found;
                    let what = json!({ "would": "take", "name": name, "location": location, "mixin": id.as_str() });
                    let line = format_args!("take {id} from {name} ({location})");
                    records.extend(session.output.would(line, what)?);
                }
                return Ok(records);
            }
            let mut operation = None;
            if is_changed {
                let change = async |write: &Write| session.client.update(&found.location, &draft, write).await;
                operation = guarded(&entity, &draft, self.waiting, session, change).await?.operation;
            }
            for id in &without {
                session
                    .client
                    .dissociate(id.as_str(), std::slice::from_ref(&found.location))
                    .await?;
            }
            if let (Some(limit), Some(operation)) = (self.waiting.wait, &operation) {
                session
                    .wait(&found.name, &found.location, Some(operation), &Until::Up, limit)
                    .await?;
            }
            if session.output.is_for_people() {
                session.output.note(format!("{}: updated", found.name));
                return Ok(Vec::new());
            }
            let entity = session.client.show(&found.location).await?;
            Ok(vec![Record::entity(&entity, &model)])
        })
        .await
    }
}

/// So often what has nothing to do with a change may come in between.
const TRIES: usize = 5;

/// Changes what has been seen, unless somebody else has changed the same meanwhile. Where the server gives tags, the change
/// goes with that of what was seen.
///
/// # Errors
/// [`Exit::Conflict`]: somebody else was faster.
pub(super) async fn guarded(
    seen: &Entity,
    draft: &EntityDraft,
    waiting: Waiting,
    session: &Session,
    change: impl AsyncFn(&Write) -> occi_client::Result<Done>,
) -> Result<Done> {
    let conflict = |why: String| {
        Failure::new(Exit::Conflict, why).with_hint(format!("see: occi show {}, and do it again", seen.location))
    };
    let mut etag = seen.etag.clone();
    // Listings have no tags of their members.
    let mut is_old = etag.is_none() && session.client.dialect().is_occid;
    for _ in 0..TRIES {
        if is_old {
            let now = session.client.show(&seen.location).await?;
            if let Some(what) = changed_of(draft, seen, &now) {
                return Err(conflict(format!("somebody else has changed {what} meanwhile")));
            }
            etag = now.etag;
        }
        let mut write = waiting.write();
        // A weak one never matches (RFC 9110, 13.1.1).
        write.if_match = etag.take().filter(|etag| !etag.starts_with("W/"));
        match change(&write).await {
            Err(error) if error.status() == Some(412) && write.if_match.is_some() => is_old = true,
            done => return Ok(done?),
        }
    }
    Err(conflict(
        "others change it all the time: it was left as it is".to_owned(),
    ))
}

/// What of that which a draft says is not as it was seen.
fn changed_of<'d>(draft: &'d EntityDraft, seen: &Entity, now: &Entity) -> Option<&'d str> {
    let has_all = |one: &Entity, other: &Entity| other.mixins.iter().all(|id| one.mixins.contains(id));
    let are_same = has_all(seen, now) && has_all(now, seen);
    if !draft.mixins.is_empty() && !are_same {
        return Some("its mixins");
    }
    let mut names = draft.attributes.iter().map(|(name, _)| name.as_str());
    names.find(|name| seen.attribute(name) != now.attribute(name))
}

/// An attribute that cannot be set; a state has a verb that leads to it.
fn refused(attribute: &str, value: &str, name: &str, entity: &Entity, model: &Model) -> Failure {
    let is_state = entity
        .state_attribute(model)
        .is_some_and(|state| state.as_str() == attribute);
    let kind = entity.kind.as_ref().filter(|_| is_state);
    match kind.and_then(|kind| model.action_to(kind, value)) {
        Some(action) => {
            let term = action.id.term();
            let verb = match ["start", "stop", "suspend"].contains(&term) {
                true => term.to_owned(),
                false => format!("act {term}"),
            };
            Failure::usage(format!(
                "{attribute} cannot be set: occi {verb} {name} makes it {value}"
            ))
        }
        None => read_only(attribute),
    }
}
