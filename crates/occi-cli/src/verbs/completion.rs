//! `occi completion`.

use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

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

/// Where the script for bash takes the word that is typed, of which bash hides the quote in front.
const BASH_WORD: &str = r#"        words[COMP_CWORD]="$2""#;
/// What shows it.
const BASH_QUOTE: &str = r#"        case "${COMP_WORDS[COMP_CWORD]}" in
            [\"\']*) words[COMP_CWORD]="${COMP_WORDS[COMP_CWORD]:0:1}$2" ;;
        esac"#;

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
        if self.shell == Shell::Bash {
            let text = String::from_utf8_lossy(&script);
            script = text
                .replace(BASH_WORD, &format!("{BASH_WORD}\n{BASH_QUOTE}"))
                .into_bytes();
        }
        output.bytes(&script)
    }
}
