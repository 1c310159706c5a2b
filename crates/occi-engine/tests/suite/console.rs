//! Who sits at a console is known, and whoever follows a machine that is being started sees it come.

use crate::fixture::{Fixture, blue, caller, caller_in, compute, refused, soon};
use futures::TryStreamExt;
use occi_backend::LogPart;
use occi_backend_memory::Config;
use occi_engine::{Caller, EngineConfig, FailureKind, Wait};
use occi_store::{AuditQuery, Role, Store};

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_console_is_in_the_audit_and_its_place_is_free_after_it() {
    let on = Fixture::local().await;
    let path = on.compute().await.location.clone();
    let reader = caller_in("red", Role::Reader, Wait::Accepted);
    let open = async |caller: Caller, force| on.engine.open_console(&caller, &path, force).await.map(drop);
    refused(open(blue(), false).await, FailureKind::NotFound);
    refused(open(reader, false).await, FailureKind::Forbidden);
    let console = on.engine.open_console(&caller(), &path, false).await.unwrap();
    refused(open(caller(), false).await, FailureKind::Conflict);
    let forced = on.engine.open_console(&caller(), &path, true).await.unwrap();
    assert!(console.taken.is_cancelled());
    drop(console);
    refused(open(caller(), false).await, FailureKind::Conflict);
    drop(forced);
    open(caller(), false).await.unwrap();
    let records = on.store.audit(&AuditQuery::default()).await.unwrap();
    let opened = records.iter().filter(|record| record.verb == "open console");
    let told: Vec<_> = opened
        .map(|record| (&*record.path, &*record.outcome, &*record.detail))
        .collect();
    let path = path.as_str();
    let expected = [
        (path, "accepted", ""),
        (path, "accepted", "by force"),
        (path, "accepted", ""),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_machine_that_is_being_started_sees_it_boot() {
    let slow = Config {
        work_ms: 300,
        ..Config::local()
    };
    let on = Fixture::new(slow, EngineConfig::default()).await;
    let made = on.create_as(&soon(), compute()).await.unwrap();
    let path = &made.entities[0].location;
    let follow = LogPart {
        follow: true,
        ..LogPart::default()
    };
    let mut log = on.engine.console_log(&caller(), path, follow).await.unwrap();
    assert_eq!(log.try_next().await.unwrap().unwrap(), "booted\r\n");
}
