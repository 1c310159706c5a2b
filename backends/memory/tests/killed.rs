//! A process is killed at every point of a create and of a delete; the cloud goes on in its file. What the next process
//! does ends where one undisturbed call would have ended: nothing is made twice and nothing is left.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use occi_backend::layers::{Faults, Layered};
use occi_backend::names::{COMPUTE, NETWORKINTERFACE};
use occi_backend::suite::Silent;
use occi_backend::{Backend, Context, Create, CreateLink, Deadline, Scope, Target};
use occi_backend_memory::{Config, Memory, Personality};
use occi_model::Attributes;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Where the killed process finds its cloud.
const CLOUD: &str = "MEMORY_TEST_CLOUD";

fn context(attempt: u32) -> Context {
    Context {
        scope: Scope {
            project: "lab".to_owned(),
        },
        operation: uuid::Uuid::nil(),
        attempt,
        deadline: Deadline::new(Duration::from_secs(60)),
        journal: Arc::new(Silent),
    }
}

fn compute() -> Create {
    Create {
        mark: uuid::Uuid::from_u128(1).into(),
        kind: COMPUTE.clone(),
        os_template: None,
        resource_template: None,
        mixins: Vec::new(),
        attributes: Attributes::new(),
        links: vec![CreateLink {
            mark: uuid::Uuid::from_u128(2).into(),
            kind: NETWORKINTERFACE.clone(),
            mixins: Vec::new(),
            attributes: Attributes::new(),
            target: None,
        }],
        ends: None,
        bring_up: true,
    }
}

fn target() -> Target {
    Target {
        kind: COMPUTE.clone(),
        mark: compute().mark,
        native_id: None,
        project: None,
    }
}

fn cloud(path: PathBuf) -> Memory {
    Memory::open(Config {
        personality: Personality::Remote,
        work_ms: 1,
        path: Some(path),
        ..Config::default()
    })
    .unwrap()
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn the_process_that_is_killed() {
    let Some(path) = std::env::var_os(CLOUD) else {
        return;
    };
    let cloud = Layered::new(Arc::new(cloud(path.into())), Faults::from_env().unwrap());
    cloud.create(&context(1), &compute()).await.unwrap();
    cloud.delete(&context(1), &target()).await.unwrap();
}

/// Runs the process; whether it was killed.
fn is_killed(cloud: &Path, fault: &str) -> bool {
    let arguments = ["--exact", "--ignored", "the_process_that_is_killed"];
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(arguments).env(CLOUD, cloud).env(Faults::VARIABLE, fault);
    let output = process.output().unwrap();
    assert!(output.status.success() || output.status.code().is_none(), "{output:?}");
    output.status.code().is_none()
}

#[tokio::test]
async fn nothing_is_made_twice_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let numbered = (1..20).flat_map(|number| [format!("-{number}"), number.to_string()]);
    let points = ["start".to_owned(), "end".to_owned()].into_iter().chain(numbered);
    let mut kills = 0;
    for point in points {
        for verb in ["create", "delete"] {
            let path = folder.path().join(format!("{verb}{point}"));
            if !is_killed(&path, &format!("{verb}:{point}:kill")) {
                continue;
            }
            kills += 1;
            let cloud = cloud(path);
            let count = |kind| cloud.control().count("lab", kind);
            if verb == "create" {
                cloud.create(&context(2), &compute()).await.unwrap();
                assert_eq!((count(&COMPUTE), count(&NETWORKINTERFACE)), (1, 1), "{verb} {point}");
            }
            cloud.delete(&context(2), &target()).await.unwrap();
            assert_eq!((count(&COMPUTE), count(&NETWORKINTERFACE)), (0, 0), "{verb} {point}");
        }
    }
    assert!(kills > 12, "only {kills} points were reached");
}
