//! `occi completion` and `occi man`.

use crate::args::Cli;
use crate::complete;
use crate::failure::{Exit, Failure, Result, file_failure};
use crate::output::Output;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::env::Shells;
use std::path::PathBuf;

/// Print what makes a shell complete the words of this program
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi completion bash                       (into ~/.bashrc: eval \"$(occi completion bash)\")
  occi completion zsh                        (into ~/.zshrc, after compinit)
  occi completion fish                       (into ~/.config/fish/completions/occi.fish)")]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that can be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Completion {
    pub(crate) fn run(self, output: &Output) -> Result<()> {
        let name = self.shell.to_possible_value();
        let name = name.as_ref().map(|value| value.get_name()).unwrap_or_default();
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(name) else {
            return Err(Failure::usage(format!("{name} cannot be completed")));
        };
        let mut script = Vec::new();
        let written = shell.write_registration(complete::VARIABLE, "occi", "occi", "occi", &mut script);
        written.map_err(|error| Failure::new(Exit::Failure, format!("the script cannot be written: {error}")))?;
        output.bytes(&script)
    }
}

/// Write the manual: a page for the program and one for each verb
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi man man1                              (then: man -l man1/occi-list.1)")]
pub(crate) struct Man {
    /// Into this directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, output: &Output) -> Result<()> {
        let failed = |error: std::io::Error| file_failure(&self.directory, &error);
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.directory).map_err(failed)?;
        output.note(format!("the manual is in {}", self.directory.display()));
        Ok(())
    }
}
