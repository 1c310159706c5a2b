//! `occi man`.

use crate::args::Cli;
use crate::failure::{Result, file_failure};
use crate::output::Output;
use clap::{Args, Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::{Path, PathBuf};

/// Write the manual: a page for the program and one for each verb
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi man man1                              (then: man -l man1/occi-list.1)
  occi man ~/.local/share/man/man1           (then: man occi-list)")]
pub(crate) struct Man {
    /// Into this directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// How the process ends: as of `Exit`.
const EXIT_STATUS: [(&str, &str); 9] = [
    ("0", "It is done."),
    ("1", "It did not work; of occi diff, there is a difference."),
    (
        "2",
        "The command makes no sense as it stands, or a name in it means several things.",
    ),
    ("3", "There is no such thing, or it may not be seen."),
    ("4", "The server does not accept who asks, or does not let him."),
    ("5", "Not in this state, or somebody else was faster."),
    ("6", "It took too long."),
    ("7", "Nobody answers, or the server cannot do it now."),
    (
        "130",
        "Ctrl-C; where that is the usual end (occi log -f, and occi watch without --until and --for) it is 0.",
    ),
];

const FILES: [(&str, &str); 4] = [
    (
        "~/.config/occi/config.toml",
        "The servers that occi login has made known.",
    ),
    (
        "~/.config/occi/credentials.toml",
        "Their passwords and tokens; nobody else may read it.",
    ),
    (
        "~/.cache/occi/",
        "What servers offer, from the last time; it can be lost.",
    ),
    (
        "clouds.yaml, secure.yaml",
        "The clouds of --cloud: in the current directory, in ~/.config/openstack or in /etc/openstack.",
    ),
];

const ENVIRONMENT: [(&str, &str); 9] = [
    ("OCCI_ENDPOINT", "The server, as of --endpoint."),
    ("OCCI_CONTEXT", "The same, as of --context."),
    (
        "OS_CLOUD",
        "The same, as of --cloud; OS_CLIENT_CONFIG_FILE names the file.",
    ),
    ("OCCI_USER", "Who asks, as of --user."),
    ("OCCI_PASSWORD", "His password."),
    ("OCCI_TOKEN", "A bearer token, as of --token-file."),
    ("OCCI_PROJECT", "The project that everything is about, as of --project."),
    (
        "NO_COLOR",
        "If it is not empty, nothing is coloured unless --color says so.",
    ),
    ("XDG_CONFIG_HOME, XDG_CACHE_HOME", "Instead of ~/.config and ~/.cache."),
];

impl Man {
    pub(crate) fn run(self, output: &Output) -> Result<()> {
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| write_pages(&program, None, &self.directory))
            .map_err(|error| file_failure(&self.directory, &error))?;
        output.note(format!("the manual is in {}", self.directory.display()));
        Ok(())
    }
}

/// The page of a command and those of the commands below it.
fn write_pages(command: &Command, parent: Option<&Command>, directory: &Path) -> io::Result<()> {
    let shown = || command.get_subcommands().filter(|below| !below.is_hide_set());
    for below in shown() {
        write_pages(below, Some(command), directory)?;
    }
    let related = parent.into_iter().chain(shown()).map(page_name).collect();
    let page = page(command, related)?;
    std::fs::write(directory.join(format!("{}.1", page_name(command))), page)
}

fn page_name(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn page(command: &Command, related: Vec<String>) -> io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, remarks) = examples_and_remarks(&after);
    // All options stand below; here they would be longer than all else.
    let mut command = command.clone();
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let page = clap_mangen::Man::new(
        command
            .clone()
            .override_usage(usage)
            .subcommand_help_heading("COMMANDS"),
    )
    .title(page_name(&command).to_uppercase())
    // There is none; what is empty would leave its place to the next.
    .date(" ")
    .source(format!("occi {}", env!("CARGO_PKG_VERSION")))
    .manual("OCCI");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    let mut roff = Roff::default();
    for paragraph in remarks {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff.to_writer(&mut text)?;
    let mut options = Vec::new();
    page.render_options_section(&mut options)?;
    text.extend(below_options(&String::from_utf8_lossy(&options)).into_bytes());
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::default();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for example in examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
    }
    listed(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    listed(&mut roff, "FILES", &FILES);
    listed(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    if !related.is_empty() {
        roff.control("SH", ["SEE ALSO"]);
        let mut names = Vec::new();
        for name in related {
            let comma = if names.is_empty() { "" } else { ", " };
            names.extend([roman(comma), bold(name), roman("(1)")]);
        }
        roff.text(names);
    }
    roff.to_writer(&mut text)?;
    Ok(text)
}

/// What the help says after the options: lines below `Examples:`, and paragraphs.
fn examples_and_remarks(after: &str) -> (Vec<&str>, Vec<String>) {
    let mut examples = Vec::new();
    let mut remarks = Vec::new();
    for paragraph in after.split("\n\n") {
        match paragraph.trim_start().strip_prefix("Examples:\n") {
            Some(lines) => examples.extend(lines.lines().map(str::trim_start)),
            None if paragraph.trim().is_empty() => {}
            None => remarks.push(paragraph.lines().collect::<Vec<_>>().join(" ")),
        }
    }
    (examples, remarks)
}

/// What all verbs understand is a part of the options, and no section beside them.
fn below_options(options: &str) -> String {
    let mut text = String::new();
    let mut is_first = true;
    for line in options.lines() {
        let heading = line.strip_prefix(".SH ").filter(|_| !std::mem::take(&mut is_first));
        match heading {
            Some(heading) => {
                let heading = heading.trim_matches('"').to_lowercase();
                let (first, rest) = heading.split_at(heading.len().min(1));
                text.push_str(&format!(".SS \"{}{rest}\"\n", first.to_uppercase()));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn listed(roff: &mut Roff, heading: &str, items: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (item, words) in items {
        roff.control("TP", []);
        roff.text([bold(*item)]);
        roff.text([roman(*words)]);
    }
}
