//! Writes and listings in any order, against a model that fits on a page.

use crate::fixture::*;
use occi_store::{Change, EventQuery, Observation, OperationState, Refresh, Usage, Write};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

behaviours![writes_and_listings_in_any_order_lead_where_the_model_leads];

const NAMES: [&str; 3] = ["a", "b", "c"];
const STATES: [&str; 3] = ["active", "inactive", "error"];

const ONE: Usage = Usage {
    instances: 1,
    cores: 0,
    memory_mib: 0,
    volume_gib: 0,
    addresses: 0,
};

#[derive(Clone, Debug)]
enum Action {
    Insert(usize),
    /// Sets the state.
    Update(usize, usize),
    /// Opens an operation, or ends the one that is open.
    Operate(usize),
    /// Hides, or shows again.
    Hide(usize),
    Remove(usize),
    /// A listing begins.
    Begin,
    /// A listing that began so many beginnings ago arrives, and shows these in these states.
    Arrive {
        back: usize,
        complete: bool,
        shown: Vec<(usize, usize)>,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let name = 0..NAMES.len();
    let state = 0..STATES.len();
    let shown = proptest::collection::btree_map(name.clone(), state.clone(), 0..=NAMES.len());
    let arrive = (0..3_usize, any::<bool>(), shown).prop_map(|(back, complete, shown)| Action::Arrive {
        back,
        complete,
        shown: shown.into_iter().collect(),
    });
    prop_oneof![
        2 => name.clone().prop_map(Action::Insert),
        2 => (name.clone(), state).prop_map(|(name, state)| Action::Update(name, state)),
        2 => name.clone().prop_map(Action::Operate),
        1 => name.clone().prop_map(Action::Hide),
        1 => name.prop_map(Action::Remove),
        4 => Just(Action::Begin),
        8 => arrive,
    ]
}

/// What must be known of an entity. Times: the k-th listing begins at 2k, what we write after that happens at 2k + 1.
#[derive(Clone, Debug)]
struct Known {
    state: usize,
    generation: i64,
    operation: Option<Uuid>,
    hidden: bool,
    /// Listings that began at this time or before know less.
    fence: i64,
    missed: Option<i64>,
}

#[derive(Default)]
struct Model {
    known: BTreeMap<usize, Known>,
    /// Removed by us; no listing of this minute brings it back.
    buried: BTreeSet<usize>,
    as_of: Option<i64>,
    /// When the listings began, in milliseconds.
    begun: Vec<i64>,
}

impl Model {
    fn now(&self) -> i64 {
        2 * i64::try_from(self.begun.len()).unwrap() - 1
    }

    /// A write of ours: it is seen, and no older listing counts.
    fn write(&mut self, name: usize, change: impl FnOnce(&mut Known)) {
        let now = self.now();
        if let Some(known) = self.known.get_mut(&name) {
            change(known);
            known.fence = now;
            known.missed = None;
        }
    }

    fn arrive(&mut self, began: i64, complete: bool, shown: &[(usize, usize)]) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut changed, mut gone) = (BTreeSet::new(), BTreeSet::new());
        if self.as_of.is_some_and(|as_of| as_of > began) {
            return (changed, gone);
        }
        if complete {
            self.as_of = Some(began);
        }
        for &(name, state) in shown {
            match self.known.get_mut(&name) {
                Some(known) if known.may_be_touched(began) => {
                    if known.state != state || known.missed.is_some() {
                        known.fence = known.fence.max(began - 1);
                    }
                    if known.state != state {
                        known.state = state;
                        known.generation += 1;
                        changed.insert(name);
                    }
                    known.missed = None;
                }
                Some(_) => {}
                None if self.buried.contains(&name) => {}
                None => {
                    let known = Known {
                        state,
                        generation: 1,
                        operation: None,
                        hidden: false,
                        fence: began - 1,
                        missed: None,
                    };
                    self.known.insert(name, known);
                    changed.insert(name);
                }
            }
        }
        if complete {
            for (name, known) in &mut self.known {
                if known.may_be_touched(began) && shown.iter().all(|(shown, _)| shown != name) {
                    match known.missed {
                        None => known.missed = Some(began),
                        Some(first) if first < began => drop(gone.insert(*name)),
                        Some(_) => {}
                    }
                }
            }
            self.known.retain(|name, _| !gone.contains(name));
        }
        (changed, gone)
    }
}

impl Known {
    fn may_be_touched(&self, began: i64) -> bool {
        self.operation.is_none() && !self.hidden && self.fence < began
    }
}

async fn writes_and_listings_in_any_order_lead_where_the_model_leads(store: Shared) {
    let case = AtomicU32::new(0);
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let actions = proptest::collection::vec(action(), 1..40);
    tokio::task::block_in_place(|| {
        let ran = TestRunner::new(config).run(&actions, |actions| {
            let prefix = format!("k{}-", case.fetch_add(1, Ordering::Relaxed));
            tokio::runtime::Handle::current().block_on(play(&store, &prefix, actions))
        });
        if let Err(failed) = ran {
            panic!("{failed}");
        }
    });
}

/// Plays one case in entities of its own.
async fn play(store: &Shared, prefix: &str, actions: Vec<Action>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let name = |index: usize| format!("{prefix}{}", NAMES[index]);
    let row = |index: usize, state: usize| {
        let mut row = compute(&name(index));
        row.backend = Some(prefix.into());
        row.state = Some(STATES[state].into());
        row
    };
    let first = store.events(&EventQuery::after(0, 0)).await.unwrap().newest;
    for action in actions {
        match action {
            Action::Insert(index) => {
                let made = write(store, [using(row(index, 0), ONE)]).await;
                prop_assert_eq!(made.is_ok(), !model.known.contains_key(&index), "{:?}", made);
                let fence = model.now();
                model.known.entry(index).or_insert_with(|| Known {
                    state: 0,
                    generation: 1,
                    operation: None,
                    hidden: false,
                    fence,
                    missed: None,
                });
            }
            Action::Update(index, state) => {
                let change = Change {
                    state: Some(STATES[state].into()),
                    ..Change::default()
                };
                let written = write(store, [update(&name(index), change)]).await;
                prop_assert_eq!(written.is_ok(), model.known.contains_key(&index));
                model.write(index, |known| {
                    known.generation += i64::from(known.state != state);
                    known.state = state;
                });
            }
            Action::Operate(index) => {
                let Some(known) = model.known.get(&index) else { continue };
                let next = match known.operation {
                    None => {
                        let opened = operation(&name(index));
                        let (id, change) = (
                            opened.id,
                            Change {
                                operation: Some(Some(opened.id)),
                                ..Change::default()
                            },
                        );
                        let writes = [Write::InsertOperation(Box::new(opened)), update(&name(index), change)];
                        write(store, writes).await.unwrap();
                        Some(id)
                    }
                    Some(open) => {
                        let change = Change {
                            operation: Some(None),
                            ..Change::default()
                        };
                        let writes = [finish(open, OperationState::Succeeded), update(&name(index), change)];
                        write(store, writes).await.unwrap();
                        None
                    }
                };
                model.write(index, |known| {
                    known.operation = next;
                    known.generation += 1;
                });
            }
            Action::Hide(index) => {
                let Some(known) = model.known.get(&index) else { continue };
                let change = Change {
                    hidden: Some(!known.hidden),
                    ..Change::default()
                };
                write(store, [update(&name(index), change)]).await.unwrap();
                model.write(index, |known| {
                    known.hidden = !known.hidden;
                    known.generation += 1;
                });
            }
            Action::Remove(index) => {
                let Some(known) = model.known.remove(&index) else {
                    continue;
                };
                let end = known.operation.map(|open| finish(open, OperationState::Succeeded));
                write(store, end.into_iter().chain([Write::RemoveEntity(id(&name(index)))]))
                    .await
                    .unwrap();
                model.buried.insert(index);
            }
            Action::Begin => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                model.begun.push(store.now_ms().await.unwrap());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Action::Arrive { back, complete, shown } => {
                let Some(listing) = model.begun.len().checked_sub(1 + back) else {
                    continue;
                };
                let began_ms = model.begun[listing];
                let observations = shown.iter().map(|&(index, state)| Observation {
                    row: row(index, state),
                    owned: vec![],
                    owned_mixins: vec![],
                    usage: ONE,
                    adopt: true,
                });
                let refresh = Refresh {
                    backend: prefix.into(),
                    native_project: String::new(),
                    kind: type_id("compute"),
                    began_ms,
                    complete,
                    observations: observations.collect(),
                };
                let refreshed = store.refresh(refresh).await.unwrap();
                let (changed, gone) = model.arrive(2 * i64::try_from(listing).unwrap(), complete, &shown);
                let ids = |names: BTreeSet<usize>| names.into_iter().map(|index| id(&name(index))).collect::<Vec<_>>();
                let sorted = |mut ids: Vec<_>| {
                    ids.sort();
                    ids
                };
                prop_assert_eq!(sorted(refreshed.changed), ids(changed));
                prop_assert_eq!(sorted(refreshed.gone), ids(gone));
            }
        }
        for (index, short) in NAMES.iter().enumerate() {
            let found = store.entity(&id(&name(index))).await.unwrap();
            let found = found.map(|row| (row.state.unwrap(), row.generation, row.operation, row.hidden));
            let known = model.known.get(&index);
            let expected = known.map(|known| {
                (
                    STATES[known.state].to_owned(),
                    known.generation,
                    known.operation,
                    known.hidden,
                )
            });
            prop_assert_eq!(found, expected, "{}", short);
        }
    }

    // Who followed the events knows what there is.
    let mut followed = BTreeMap::new();
    for event in events_after(store, first).await {
        let of = event.entity.unwrap();
        match event.what.as_str() {
            "deleted" => drop(followed.remove(&of)),
            _ => drop(followed.insert(of, event.generation)),
        }
    }
    let shown = model.known.iter().filter(|(_, known)| !known.hidden);
    let expected: BTreeMap<_, _> = shown
        .map(|(&index, known)| (id(&name(index)), known.generation))
        .collect();
    prop_assert_eq!(followed, expected);
    for (index, known) in &model.known {
        if let Some(open) = known.operation {
            let change = Change {
                operation: Some(None),
                ..Change::default()
            };
            write(
                store,
                [finish(open, OperationState::Succeeded), update(&name(*index), change)],
            )
            .await
            .unwrap();
        }
    }
    Ok(())
}
