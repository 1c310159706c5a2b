//! The support table of the README is what the engines declare.

use occi_backend::{Backend, support_table};
use occi_backend_memory::{Config, Memory};
use occi_backend_qemu::{Qemu, QemuConfig};
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- written by the test `the_support_table_of_the_readme_is_what_the_engines_declare` -->\n\n";
const END: &str = "\n<!-- end of what the test writes -->\n";

/// The table is written anew when `BLESS` is set.
#[tokio::test]
async fn the_support_table_of_the_readme_is_what_the_engines_declare() {
    let data = tempfile::tempdir().unwrap();
    let qemu = Qemu::open(QemuConfig::new(data.path())).unwrap();
    let local = Memory::open(Config::local()).unwrap();
    let remote = Memory::open(Config::remote()).unwrap();
    let table = support_table(&[
        ("qemu", qemu.capabilities()),
        ("memory", local.capabilities()),
        ("memory, as if remote", remote.capabilities()),
    ]);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&readme, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "run this test with BLESS=1 and read what has changed");
    }
}
