//! The shells themselves: what is offered when the key is pressed, after the line that the help tells to add.

use crate::{Person, SCENE};

/// Types into an interactive zsh, and shows all that it prints.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; autoload -U compinit; compinit -u -D; LISTMAX=1000; zstyle ':completion:*' list-colors ''"
zpty -w shell 'eval "$(occi completion zsh)"; echo be''gun'
zpty -r shell seen '*begun*'
zpty -w -n shell $'occi show we\t\t'
zpty -r shell seen '(*web1*web2*|*web2*web1*)'
print -r -- "$seen"
zpty -d shell
"#;

pub(crate) fn shells() {
    let person = Person::new();
    person.reads(SCENE);
    let bash = r#"eval "$(occi completion bash)"
COMP_WORDS=(occi show we); COMP_CWORD=2; COMP_LINE="occi show we"; COMP_POINT=${#COMP_LINE}
type=$(complete -p occi); type=${type#*-F }; COMP_TYPE=9
${type%% *} occi we show; printf '%s\n' "${COMPREPLY[@]}""#;
    let fish = r#"occi completion fish | source; complete -C "occi show we""#;
    for (shell, script) in [("bash", bash), ("zsh", ZSH), ("fish", fish)] {
        if !std::path::Path::new("/usr/bin").join(shell).exists() && !std::path::Path::new("/bin").join(shell).exists()
        {
            println!("skipped: there is no {shell} here (scripts/setup test)");
            continue;
        }
        let output = person
            .runs("timeout", &["60", shell, "-c", script])
            .env("TERM", "dumb")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let is_offered = |name: &str| said.contains(name);
        assert!(
            is_offered("web1") && is_offered("web2") && !is_offered("data"),
            "{shell}: {output:?}"
        );
    }
}
