//! Random kills: several clients write whatever comes to their minds, and `occid` is killed in the middle of it.

use crate::campaign::Campaign;
use crate::check::tags_of;
use crate::client::{Answer, Client};
use crate::deed::{ACTIONS, CORES, Deed, Effect, Kind, SUMMARY, action_named, make_tag};
use crate::dice::Dice;
use crate::journal::{Journal, Ref, with_key};
use anyhow::Result;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many kills between two looks.
const LOOK: u32 = 10;
/// The latest moment of a kill after the first requests.
const LATEST_MS: u64 = 300;
/// The same in the last round before a look: clients get into each other's way while nothing else disturbs them.
const LATEST_OF_LAST_MS: u64 = 4000;

impl Campaign {
    /// Kills at random.
    pub(crate) async fn run_rounds(&mut self) -> Result<()> {
        let occid = self.start(None).await?;
        let client = self.client(&occid);
        self.delete_everything("before the rounds", &client).await?;
        let plugs = self.plan.engine.plugs_by_itself();
        let mut clients = Vec::new();
        for number in 0..self.plan.clients {
            let tag = format!("client-{number}");
            if let Answer::Done { .. } = client.send(&make_tag(&tag)).await {
                clients.push(Hands::new(self.dice.fork(), plugs, tag));
            } else {
                self.finding("before the rounds", format!("the tag {tag} cannot be made"));
            }
        }
        occid.terminate().await?;
        for round in 1..=self.plan.kills {
            if !self.has_time() {
                let left = self.plan.kills - round + 1;
                self.report
                    .skipped
                    .insert(format!("{left} of {} random kills: no time", self.plan.kills));
                break;
            }
            let is_last = round % LOOK == 0 || round == self.plan.kills;
            let latest_ms = if is_last { LATEST_OF_LAST_MS } else { LATEST_MS };
            self.run_round(&mut clients, latest_ms).await?;
            self.report.kills += 1;
            if is_last {
                let at = format!("kill {round}");
                let occid = self.start(None).await?;
                let seen = self.check(&at, &occid).await?;
                self.count(&at, occid, &seen).await?;
                eprintln!("{:>5} s  {at}: {} entities", self.began.elapsed().as_secs(), seen.len());
            }
        }
        Ok(())
    }

    async fn run_round(&mut self, clients: &mut Vec<Hands>, latest_ms: u64) -> Result<()> {
        let starting = self.spawn(None)?;
        if self.dice.chance(10) {
            // What resumes is interrupted too.
            tokio::time::sleep(Duration::from_millis(self.dice.below(2 * LATEST_MS))).await;
            self.report.kills_at_start += 1;
            return starting.kill().await;
        }
        let occid = starting.listening().await?;
        let client = self.client(&occid);
        let workers: Vec<_> = std::mem::take(clients)
            .into_iter()
            .map(|hands| tokio::spawn(hands.work(client.clone(), self.journal.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(self.dice.below(latest_ms))).await;
        occid.kill().await?;
        for worker in workers {
            clients.push(worker.await?);
        }
        Ok(())
    }
}

/// A client: its dice, and what it works on. Nobody else touches its things, but all of them are tagged by everybody,
/// each client with its own tag.
struct Hands {
    dice: Dice,
    mine: Vec<Ref>,
    tag: String,
    /// See [`crate::Engine::plugs_by_itself`].
    plugs: bool,
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hands {
    fn new(dice: Dice, plugs: bool, tag: String) -> Self {
        Self {
            dice,
            mine: Vec::new(),
            tag,
            plugs,
        }
    }

    /// Writes until nobody answers.
    async fn work(mut self, client: Client, journal: Arc<Mutex<Journal>>) -> Self {
        loop {
            let deed = self.choose(&mut lock(&journal));
            let begun = lock(&journal).begin(&deed);
            let answer = client.send(&deed.request).await;
            lock(&journal).conclude(&deed, begun, &answer);
            if matches!(answer, Answer::Lost) || self.look(&client, &journal).await.is_err() {
                return self;
            }
            // Also a client that only gets refusals leaves the others some room.
            tokio::time::sleep(Duration::from_millis(self.dice.below(5))).await;
        }
    }

    /// Looks whether something that is there is tagged as this client was promised: nobody else has a hand in that.
    async fn look(&mut self, client: &Client, journal: &Mutex<Journal>) -> Result<()> {
        let (path, title, promised) = {
            let journal = lock(journal);
            let tagged: Vec<_> = everything(&journal)
                .filter(|thing| journal.things[*thing].facts.tags.contains_key(&self.tag))
                .collect();
            let picked = self.dice.pick(&tagged);
            let Some((thing, promised)) = picked.and_then(|thing| Some((thing, journal.has_tag(thing, &self.tag)?)))
            else {
                return Ok(());
            };
            (journal.path(thing), journal.things[thing].title.clone(), promised)
        };
        let Some(found) = client.read(&path).await? else {
            return Ok(());
        };
        let mut journal = lock(journal);
        journal.looks += 1;
        if tags_of(&found).contains(&self.tag) != promised {
            let (had, tag) = (if promised { "lost" } else { "got back" }, &self.tag);
            journal
                .broken
                .push(format!("{title} ({path}) has {had} the tag {tag} between two writes"));
        }
        Ok(())
    }

    fn choose(&mut self, journal: &mut Journal) -> Deed {
        let mut deed = loop {
            if let Some(deed) = self.wish(journal)
                && !journal.unsupported.contains(deed.name)
            {
                break deed;
            }
        };
        let is_create = !deed.made.is_empty();
        if is_create && self.dice.chance(50) {
            let key = format!("key-{}", self.dice.below(u64::MAX));
            deed.request = with_key(deed.request, &key);
        }
        let prefer = self
            .dice
            .pick(&[None, None, Some("wait=0"), Some("wait=5"), Some("respond-async")]);
        if let Some(prefer) = prefer.flatten() {
            deed.request = deed.request.field("prefer", prefer);
        }
        let made = deed.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Made));
        self.mine.extend(made.map(|(thing, _)| *thing));
        deed
    }

    fn there(&self, journal: &Journal, kind: Kind) -> Vec<Ref> {
        let there = |thing: &Ref| journal.kind(*thing) == kind && journal.things[*thing].is_there();
        self.mine.iter().copied().filter(there).collect()
    }

    /// Something that this client could do now, if it is possible at all.
    fn wish(&mut self, journal: &mut Journal) -> Option<Deed> {
        let computes = self.there(journal, Kind::Compute);
        let networks = self.there(journal, Kind::Network);
        let storages = self.there(journal, Kind::Storage);
        match self.dice.below(32) {
            0 | 1 if storages.len() < 3 => Some(journal.create_storage()),
            2 if networks.len() < 2 => Some(journal.create_network()),
            3..=5 if computes.len() < 3 => {
                let targets = [self.dice.pick(&storages), self.dice.pick(&networks)];
                let targets: Vec<_> = targets.into_iter().flatten().filter(|_| self.dice.chance(50)).collect();
                let targets: Vec<_> = targets
                    .into_iter()
                    .filter(|target| !is_taken(journal, *target))
                    .collect();
                let group = self.group(journal);
                Some(journal.create_compute(&group, &targets))
            }
            6 if computes.len() < 2 => {
                let group = self.group(journal);
                Some(journal.create_two(&group))
            }
            7 => {
                let source = self
                    .dice
                    .pick(&computes)
                    .filter(|source| self.may_plug(journal, *source))?;
                let target = self.dice.pick(&[storages, networks].concat())?;
                (!is_taken(journal, target)).then(|| journal.create_link(source, target))
            }
            8 => {
                let value = json!(1 + self.dice.below(3));
                self.dice
                    .pick(&computes)
                    .map(|compute| journal.update(compute, CORES, value))
            }
            9 => {
                let group = self.group(journal);
                self.dice
                    .pick(&computes)
                    .map(|compute| journal.update(compute, SUMMARY, json!(group)))
            }
            10 => {
                let sizes = [2.0, 3.0, 4.0];
                let size_gib = self.dice.pick(&sizes)?;
                self.dice
                    .pick(&storages)
                    .map(|storage| journal.resize(storage, size_gib))
            }
            11..=14 => {
                let thing = self.dice.pick(&[computes, networks, storages].concat())?;
                let kind = journal.kind(thing);
                let fitting: Vec<_> = ACTIONS.into_iter().filter(|action| action.kind == kind).collect();
                let action = self.dice.pick(&fitting)?;
                let state = journal.things[thing].state()?;
                (action.from.contains(&state) && (action.term != "save" || self.dice.chance(20)))
                    .then(|| journal.act(thing, action))
            }
            15 => {
                let member = self.dice.pick(&computes)?;
                let values = journal.things[member].facts.values.get(SUMMARY)?;
                let group = values.first().filter(|_| values.len() == 1)?.clone();
                let members = members_of(journal, &group);
                let all_there = members.iter().all(|member| computes.contains(member));
                let stop = action_named(Kind::Compute, "stop")?;
                all_there.then(|| journal.act_on_group(&group, &members, stop))
            }
            16 | 17 => {
                let links = [
                    self.there(journal, Kind::StorageLink),
                    self.there(journal, Kind::NetworkInterface),
                ];
                let all = [computes, networks, storages, links.concat()].concat();
                let thing = self.dice.pick(&all)?;
                let source = journal.things[thing].source;
                let may = !journal.is_used(thing) && source.is_none_or(|source| self.may_plug(journal, source));
                may.then(|| journal.delete(thing))
            }
            18 => self.dice.pick(&computes).map(|compute| journal.delete(compute)),
            19 if computes.len() > 1 => Some(journal.delete_several(&computes[..2])),
            20..=25 => {
                let recent: Vec<_> = journal.recent.iter().copied().collect();
                let all: Vec<_> = everything(journal)
                    .filter(|thing| recent.contains(thing) || self.dice.chance(10))
                    .collect();
                let thing = self.dice.pick(&all)?;
                let has = journal.has_tag(thing, &self.tag)?;
                Some(journal.tag(thing, &self.tag, !has))
            }
            26..=29 => {
                let stop = action_named(Kind::Compute, "stop")?;
                let untagged = |compute: &Ref| journal.has_tag(*compute, &self.tag) == Some(false);
                let fitting: Vec<_> = computes.iter().copied().filter(untagged).collect();
                let compute = self.dice.pick(&fitting)?;
                let value = json!(1 + self.dice.below(3));
                match journal.things[compute].state()? {
                    "inactive" => Some(journal.update_both(compute, value, &self.tag)),
                    "active" => Some(journal.act(compute, stop)),
                    _ => None,
                }
            }
            30 | 31 => {
                let is_off = |compute: &Ref| journal.things[*compute].state() == Some("inactive");
                let fitting: Vec<_> = computes.into_iter().filter(is_off).collect();
                let source = self.dice.pick(&fitting)?;
                let target = self.dice.pick(&[storages, networks].concat())?;
                let value = json!(1 + self.dice.below(3));
                (!is_taken(journal, target)).then(|| journal.update_with_link(source, target, value))
            }
            _ => None,
        }
    }

    /// Whether links of a compute can come and go now.
    fn may_plug(&self, journal: &Journal, compute: Ref) -> bool {
        self.plugs || journal.things[compute].state() == Some("inactive")
    }

    fn group(&self, journal: &mut Journal) -> String {
        journal.new_title(Kind::Compute)
    }
}

/// What is certainly there, whoever made it.
fn everything(journal: &Journal) -> impl Iterator<Item = Ref> {
    let things = journal.things.iter().enumerate();
    things
        .filter(|(_, thing)| thing.is_there() && !thing.kind.is_link())
        .map(|(at, _)| at)
}

/// A volume can be attached once.
fn is_taken(journal: &Journal, target: Ref) -> bool {
    journal.kind(target) == Kind::Storage && journal.is_used(target)
}

/// The computes that may be in a group.
fn members_of(journal: &Journal, group: &str) -> Vec<Ref> {
    let things = journal.things.iter().enumerate();
    things
        .filter(|(_, thing)| thing.kind == Kind::Compute && thing.facts.may_exist)
        .filter(|(_, thing)| {
            thing
                .facts
                .values
                .get(SUMMARY)
                .is_some_and(|values| values.contains(group))
        })
        .map(|(at, _)| at)
        .collect()
}
