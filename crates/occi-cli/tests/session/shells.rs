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
zpty -w -n shell $'\C-u'
zpty -w shell 'say() { print -r -- "ta''ken <$2>" }; compdef _clap_dynamic_completer_occi say; echo re''ady'
zpty -r shell seen '*ready*'
for word in 'web\ o' '"web o' "'web o"; do
    zpty -w -n shell "say show $word"$'\t\n'
    zpty -r shell seen '*taken <*>*'
    print -r -- "$seen"
done
zpty -d shell
"#;

/// Presses the key after words that are quoted in each way, and shows what becomes of the line.
const BASH: &str = r#"
eval "$(occi completion bash)"
type=$(complete -p occi); type=${type#*-F }; COMP_TYPE=9
for word in we '"we' 'web\ o' "'web o"; do
    COMP_WORDS=(occi show "$word"); COMP_CWORD=2; COMP_LINE="occi show $word"; COMP_POINT=${#COMP_LINE}
    quote=${word%%[!\"\']*}
    ${type%% *} occi "${word#[\"\']}" show
    for reply in "${COMPREPLY[@]}"; do eval "set -- $quote$reply$quote"; [ $# = 1 ] && echo "taken <$1>" || echo "taken <several>"; done
done
"#;

const FISH: &str = r#"
occi completion fish | source
complete -C "occi show we"
for found in (complete -C 'occi show web\ o') (complete -C 'occi show "web o') (complete -C "occi show 'web o")
    echo "taken <"(string split -f 1 \t -- $found)">"
end
"#;

pub(crate) fn shells() {
    let person = Person::new();
    person.reads(SCENE);
    person.reads("occi create compute 'web own' --wait");
    for (shell, script) in [("bash", BASH), ("zsh", ZSH), ("fish", FISH)] {
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
        // A title with a space is one word, however it was begun.
        let taken: Vec<_> = said
            .split("taken <")
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
            .collect();
        assert!(
            taken.iter().filter(|title| **title == "web own").count() >= 3
                && taken.iter().all(|title| ["web1", "web2", "web own"].contains(title)),
            "{shell}: {taken:?} {output:?}"
        );
    }
}
