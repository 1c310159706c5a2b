//! The help of the old form, and its examples.

use super::spec::{SPECS, Spec, Wants};
use std::fmt::Write;

/// The column in which the words begin.
const COLUMN: usize = 38;

/// All options.
pub(super) fn usage() -> String {
    let mut text = String::from("Usage: occi [OPTIONS]\n\nOptions:\n");
    for spec in SPECS {
        let option = option(spec);
        let pad = COLUMN.saturating_sub(option.len() + 1);
        let _ = write!(text, "{option} {:pad$}{}", "", spec.help);
        if let Wants::Word(_, words) = spec.wants {
            let _ = write!(text, ": {}", words.join("|"));
        }
        text.push('\n');
    }
    text.push_str("\nThis is the command line of rOCCI-cli; occi --help shows the modern one.\n");
    text
}

fn option(spec: &Spec) -> String {
    let short = match spec.short {
        Some(short) => format!("-{short}, "),
        None => "    ".to_owned(),
    };
    match spec.wants {
        Wants::Nothing => format!("    {short}--{}", spec.long),
        Wants::Value(name) | Wants::Word(name, _) => format!("    {short}--{} {name}", spec.long),
    }
}

/// What `--examples` shows.
pub(super) const EXAMPLES: &str = "\
What there is:
  occi -e https://cloud.example.org:11443/ -a list -r compute
  occi -e https://cloud.example.org:11443/ -a describe -r /compute/42 -o json_pretty
  occi -e https://cloud.example.org:11443/ -a describe -r os_tpl
  occi -e https://cloud.example.org:11443/ -a discover -i link
  occi -e https://cloud.example.org:11443/ -m

A machine, a volume and what holds them together:
  occi -e https://cloud.example.org:11443/ -a create -r compute -M os_tpl#debian -M resource_tpl#small \\
       -t occi.core.title=web1 -T public_key=file:///home/ann/.ssh/id_ed25519.pub -w 600
  occi -e https://cloud.example.org:11443/ -a create -r storage -t occi.core.title=data -t 'occi.storage.size=num(10)'
  occi -e https://cloud.example.org:11443/ -a link -r /compute/42 -j /storage/7
  occi -e https://cloud.example.org:11443/ -a unlink -r /storagelink/9

Changes, and the end:
  occi -e https://cloud.example.org:11443/ -a trigger -r /compute/42 -g stop -t method=graceful
  occi -e https://cloud.example.org:11443/ -a update -r /compute/42 -M resource_tpl#large
  occi -e https://cloud.example.org:11443/ -a delete -r /compute/42

Who asks:
  occi -e https://cloud.example.org:11443/ -n basic -u ann -p - -a list -r compute <password
  occi -e https://cloud.example.org:11443/ -n x509 -x /tmp/x509up_u1000 -X -a list -r compute
  occi -e https://cloud.example.org:11443/ -n token -q - -a list -r compute <token
  occi -e https://cloud.example.org:11443/ -n oauth2 -q - -a list -r compute <token
";
