//! Fills a store without the server, for the cases that need many entities.

use anyhow::Result;
use occi_model::{Attributes, EntityId, Value, infrastructure};
use occi_store::{Commit, EntityRow, SqliteStore, Store, Usage, Visibility, Write};
use std::path::Path;

/// So many rows in one commit.
const GROUP: usize = 500;

/// Adds `number` computes that the store alone holds (no engine knows them) to the database in `file`, in groups that
/// are each durable. Returns their paths.
///
/// Their ids are random and come in their order: each page of the indexes is written about once. In another order nearly
/// every row would change two pages of its own, which is tens of gigabytes for a million.
pub(crate) async fn computes(file: &Path, project: &str, number: usize) -> Result<Vec<String>> {
    let store = SqliteStore::open(file)?;
    let mut ids: Vec<_> = (0..number).map(|_| uuid::Uuid::new_v4()).collect();
    ids.sort_unstable();
    let mut paths = Vec::with_capacity(number);
    for group in ids.chunks(GROUP) {
        let writes = group
            .iter()
            .map(|id| {
                let row = compute(project, EntityId::from(*id), paths.len())?;
                paths.push(row.path.clone());
                Ok(Write::InsertEntity {
                    row: Box::new(row),
                    usage: Usage::default(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        store
            .commit(Commit {
                writes,
                ..Commit::default()
            })
            .await?;
    }
    Ok(paths)
}

fn compute(project: &str, id: EntityId, index: usize) -> Result<EntityRow> {
    let mut attributes = Attributes::new();
    let values: [(&str, Value); 6] = [
        ("occi.core.title", format!("machine {index}").into()),
        ("occi.compute.architecture", "x64".into()),
        ("occi.compute.cores", 1.into()),
        ("occi.compute.memory", 1.0.into()),
        ("occi.compute.hostname", format!("machine-{index}").into()),
        ("occi.compute.state", "inactive".into()),
    ];
    for (name, value) in values {
        attributes.set(name.parse()?, value);
    }
    Ok(EntityRow {
        seq: 0,
        path: format!("/compute/{id}"),
        id,
        kind: infrastructure::COMPUTE.parse()?,
        project: project.to_owned(),
        owner: "admin".to_owned(),
        visibility: Visibility::Project,
        backend: None,
        native_project: String::new(),
        native_id: None,
        mixins: Vec::new(),
        attributes,
        source: None,
        target: None,
        target_id: None,
        state: Some("inactive".to_owned()),
        created_ms: 0,
        modified_ms: 0,
        generation: 1,
        operation: None,
        hidden: false,
        untouched: false,
    })
}
