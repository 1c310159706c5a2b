//! The table of the cases, and how one is run.

use super::lab::{End, Lab, Verdict};
use super::{actions, consoles, creation, events, images, interruption, links, readings, updates};
use crate::names::{
    COMPUTE, IPRESERVATION, NETWORK, NETWORKINTERFACE, SECURITYGROUP, SECURITYGROUPLINK, STORAGE, STORAGELINK,
};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use occi_model::TypeId;
use tokio::time::timeout;

type OfBackend = for<'a> fn(&'a Lab) -> LocalBoxFuture<'a, Verdict>;
type OfKind = for<'a> fn(&'a Lab, &'a TypeId) -> LocalBoxFuture<'a, Verdict>;

macro_rules! cases {
    (backend: $($case:path),* $(,)?) => {
        &[$((stringify!($case), (|lab| $case(lab).boxed_local()) as OfBackend)),*]
    };
    (kind: $($case:path),* $(,)?) => {
        &[$((stringify!($case), (|lab, kind| $case(lab, kind).boxed_local()) as OfKind)),*]
    };
}

const OF_BACKEND: &[(&str, OfBackend)] = cases!(backend:
    readings::health_is_told_quickly,
    readings::the_catalogue_is_consistent,
    readings::every_declared_kind_is_listed,
    readings::projects_are_told_as_declared,
    creation::what_is_not_declared_is_unsupported,
    actions::an_ignored_graceful_stop_leaves_it_active,
    actions::a_saved_compute_is_a_template,
    events::a_guest_that_powers_itself_off_is_told,
    consoles::what_a_machine_writes_is_kept,
    consoles::what_is_typed_arrives,
    links::an_interface_leads_to_a_network_of_another_project,
    images::an_image_comes_in_parts_and_goes_whole,
    images::what_is_no_image_becomes_none,
);
const OF_COMPUTES: &[(&str, OfKind)] = cases!(kind: creation::an_unknown_system_is_refused);
const OF_SIZES: &[(&str, OfKind)] = cases!(kind: creation::what_never_fits_is_too_large);
const OF_RESOURCES: &[(&str, OfKind)] = cases!(kind:
    creation::made_twice_is_made_once,
    creation::admission_has_no_effect,
    creation::what_is_missing_is_not_found,
    interruption::stopped_verbs_continue,
    interruption::stopped_creates_are_removed_whole,
    interruption::stopped_actions_continue,
    interruption::stopped_changes_continue,
    actions::actions_lead_where_the_model_says,
    updates::changes_happen_in_declared_states_only,
);
const OF_LINKS: &[(&str, OfKind)] = cases!(kind:
    creation::what_is_missing_is_not_found,
    links::links_live_and_die_with_their_compute,
);

/// A case that is to be run.
pub(super) struct Case {
    pub(super) name: String,
    body: Body,
}

enum Body {
    OfBackend(OfBackend),
    OfKind(OfKind, TypeId),
}

impl Case {
    /// All cases for the backend `name`.
    pub(super) fn all(name: &str) -> Vec<Self> {
        let mut all = Vec::new();
        for (case, body) in OF_BACKEND {
            all.push(Self {
                name: format!("{name}::{}", last(case)),
                body: Body::OfBackend(*body),
            });
        }
        let mut of_kinds = |kinds: &[&TypeId], cases: &[(&str, OfKind)]| {
            for kind in kinds {
                for (case, body) in cases {
                    all.push(Self {
                        name: format!("{name}::{}::{}", kind.term(), last(case)),
                        body: Body::OfKind(*body, (*kind).clone()),
                    });
                }
            }
        };
        of_kinds(&[&COMPUTE], OF_COMPUTES);
        of_kinds(&[&COMPUTE, &STORAGE], OF_SIZES);
        of_kinds(
            &[&COMPUTE, &NETWORK, &STORAGE, &IPRESERVATION, &SECURITYGROUP],
            OF_RESOURCES,
        );
        of_kinds(&[&NETWORKINTERFACE, &STORAGELINK, &SECURITYGROUPLINK], OF_LINKS);
        all
    }

    /// Runs the case and removes what it made; a case that succeeds must leave nothing.
    pub(super) async fn run(self, lab: &Lab) -> Verdict {
        let limit = lab.config.case_timeout;
        let verdict = match &self.body {
            Body::OfBackend(body) => timeout(limit, body(lab)).await,
            Body::OfKind(body, kind) => timeout(limit, body(lab, kind)).await,
        };
        let too_long = |what: &str| End::Fail(format!("{what} takes longer than {limit:?}"));
        let verdict = verdict.unwrap_or_else(|_| Err(too_long("it")));
        let clean = timeout(limit, lab.clean())
            .await
            .unwrap_or_else(|_| Err(too_long("cleaning up")));
        verdict.and(clean)
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path).trim()
}
