//! What the engine declares, as people read it.

use occi_backend::{Backend, support_table};
use occi_backend_memory::{Config, Memory};

/// `support.md` is written anew when `BLESS` is set.
#[test]
fn the_support_table_is_as_reviewed() {
    let local = Memory::open(Config::local()).unwrap();
    let remote = Memory::open(Config::remote()).unwrap();
    let table = support_table(&[("local", local.capabilities()), ("remote", remote.capabilities())]);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support.md"), &table).unwrap();
    }
    assert_eq!(table, include_str!("support.md"));
}
