//! One list of behaviours, run on every database. PostgreSQL takes part where `OCCI_TEST_POSTGRES_URL` names one
//! (`scripts/with-postgres` starts one); each test has a file or a schema of its own.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod accounts;
mod entities;
mod fixture;
mod listings;
mod model;
mod operations;
mod postgres;
mod refreshes;
mod sqlite;

use fixture::Behaviour;
use libtest_mimic::{Arguments, Trial};

fn main() {
    if sqlite::child() {
        return;
    }
    let behaviours: Vec<(&'static str, Behaviour)> = [
        entities::ALL,
        operations::ALL,
        listings::ALL,
        refreshes::ALL,
        accounts::ALL,
        model::ALL,
    ]
    .concat();
    let mut trials: Vec<Trial> = behaviours
        .iter()
        .map(|&(name, behaviour)| Trial::test(format!("sqlite::{name}"), move || fixture::on_sqlite(behaviour)))
        .collect();
    trials.extend(sqlite::trials());
    trials.extend(postgres::trials(&behaviours));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
