//! What the documentation and the help show is what happens.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod cut;
mod documents;
#[expect(dead_code, reason = "shared with the tests of the client")]
#[path = "../../../occi-client/tests/occid/server.rs"]
mod server;
mod shells;

use cut::Cut;
use libtest_mimic::{Arguments, Trial};
use regex::Regex;
use server::Occid;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use tempfile::TempDir;

const OCCI: &str = env!("CARGO_BIN_EXE_occi");

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trials = vec![
        trial("the_session_of_the_documentation_is_what_happens", documentation),
        trial("every_example_of_the_help_works", examples),
        trial("what_acts_on_several_prints_one_document", documents::documents),
        trial("a_shell_completes_names_of_the_server", completion),
        trial("the_shells_themselves_offer_them", shells::shells),
        trial("what_is_completed_is_a_word_that_no_shell_carries_out", harmless),
        trial(
            "a_kind_may_stand_in_front_of_names_with_every_verb_in_both_orders",
            orders,
        ),
        trial("an_id_goes_before_a_title_and_its_beginning_after", names),
        trial("a_service_below_a_path_is_like_any_other", below),
        trial("listings_are_filtered_sorted_and_cut_by_what_there_is", listings),
        trial("a_question_names_what_it_is_about", asked),
        trial("what_is_waited_for_is_a_state_or_the_value_of_an_attribute", waited),
        trial("what_came_to_the_server_a_moment_ago_is_found", new),
        trial("what_was_made_before_a_failure_is_told", told),
        trial("a_create_whose_answer_is_lost_is_made_once", lost),
        trial("an_interruption_says_what_goes_on_if_anything_does", interrupted),
        trial("what_only_the_server_sets_is_refused_before_it_is_sent", read_only),
        trial("a_machine_that_runs_is_saved_while_it_runs", saved),
        trial("what_cannot_be_is_refused_before_anything_is_sent", refused),
        trial("what_would_be_sent_is_shown_as_a_document_without_secrets", would),
        trial("a_template_goes_by_the_same_names_with_every_verb", template_names),
        trial("what_another_changed_meanwhile_is_not_overwritten", meanwhile),
        trial("the_manual_has_a_page_for_each_verb", manual),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, || {
        test();
        Ok(())
    })
}

/// A person with a home and a server.
struct Person {
    occid: Occid,
    home: TempDir,
}

impl Person {
    fn new() -> Self {
        Self::at(Occid::start())
    }

    fn at(occid: Occid) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUTHFVXjvVvJdqtX4GCL8LRTyC8cXgbVgMhcf0wzkeT ann@example";
        let files = [
            (".ssh/id_ed25519.pub", key),
            ("init.yaml", "#cloud-config\n"),
            ("commands.txt", "uname -a\n"),
            ("compute.txt", COMPUTE),
            // What the scene below has.
            (
                "web.yaml",
                "- network: lan\n  address: 10.1.0.0/24\n- storage: data\n  size: 10G\n",
            ),
        ];
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        for (name, content) in files {
            std::fs::write(home.path().join(name), content).unwrap();
        }
        Self { occid, home }
    }

    /// The environment, which is nothing but this.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let home = self.home.path().display().to_string();
        let bin = Path::new(OCCI).parent().unwrap().display();
        vec![
            ("HOME", home),
            ("PATH", format!("{bin}:/usr/bin:/bin")),
            ("OCCI_ENDPOINT", self.occid.url.clone()),
            ("OCCI_USER", "admin".to_owned()),
            ("OCCI_PASSWORD", self.occid.password()),
        ]
    }

    /// Types a line into a shell.
    fn types(&self, line: &str) -> Output {
        self.runs("sh", &["-c", line]).output().unwrap()
    }

    fn occi(&self, arguments: &[&str]) -> Command {
        self.runs(OCCI, arguments)
    }

    fn runs(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Types a line into a terminal, and sees all that it prints and how it ends.
    fn prints(&self, line: &str) -> String {
        let output = self.types(&format!("exec 2>&1; {line}"));
        let mut text = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(0) => {}
            code => text.push_str(&format!("? {}\n", code.unwrap_or(-1))),
        }
        text
    }

    /// Types a line that works, and reads what it prints.
    fn reads(&self, line: &str) -> String {
        let output = self.types(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {} {stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

const COMPUTE: &str = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n";

/// `docs/command-line.md`, line by line: what stands below a `$ line` is what it prints, on stdout and on stderr; `? 3` is
/// how it ends. With `UPDATE_SESSION=1` what happens is written into the page, for a person to look at.
fn documentation() {
    let person = Person::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut happened = String::new();
    let mut is_session = false;
    let mut is_output = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_session = line == "```console";
            is_output = false;
        }
        let typed = line.strip_prefix("$ ").filter(|_| is_session);
        if is_output && typed.is_none() && !line.is_empty() {
            continue;
        }
        is_output = false;
        happened.push_str(line);
        happened.push('\n');
        if let Some(typed) = typed {
            happened.push_str(&masked(&person.prints(typed)));
            is_output = true;
        }
    }
    if std::env::var_os("UPDATE_SESSION").is_some() {
        std::fs::write(&file, happened).unwrap();
        return;
    }
    let mut said = page.lines();
    for line in happened.lines() {
        assert_eq!(
            said.next(),
            Some(line),
            "docs/command-line.md; all that happened:\n{happened}"
        );
    }
}

/// What differs from time to time, by names.
fn masked(text: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[ID]"),
        (r"(?m)\b[0-9a-f]{8}-[0-9a-f]{1,6}$", "[REQUEST]"),
        (r"(?m)\b[0-9a-f]{8}$", "[SHORT]"),
        (r"http://127\.0\.0\.1:[0-9]+", "[SERVER]"),
    ];
    masks.iter().fold(text.to_owned(), |text, (pattern, name)| {
        Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
    })
}

/// Each line below `Examples:` of each verb, typed where there is what it names.
fn examples() {
    let verbs = Command::new(OCCI).arg("--help").output().unwrap().stdout;
    let verbs = String::from_utf8(verbs).unwrap();
    let verbs = verbs.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.take_while(|line| line.starts_with("  "));
    let verbs: Vec<_> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    let mut lines = Vec::new();
    for verb in verbs {
        let help = Command::new(OCCI).args([verb, "--help"]).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let found = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let found: Vec<_> = found
            .take_while(|line| line.starts_with("  "))
            .map(str::to_owned)
            .collect();
        let is_plain = ["help", "image"].contains(&verb);
        assert!(!found.is_empty() || is_plain, "{verb} --help has no examples");
        lines.extend(found);
    }
    assert!(lines.len() > 40, "{lines:?}");
    let person = Person::new();
    let mut is_set = false;
    for line in lines {
        // What stands in brackets after the line is a remark.
        let line = line.split("  (").next().unwrap().trim().to_owned();
        assert!(line.starts_with("occi "), "{line}");
        if !is_set {
            person.reads(SCENE_AWAY);
            person.reads(SCENE);
        }
        is_set = LOOKING.iter().any(|verb| line.starts_with(&format!("occi {verb}")));
        let operation = person.reads("occi list operation --limit 1 -o jsonpath='$[0].id'");
        let line = line.replace("01a22653-56dc-7318-b8a2-eb429ecadc35", operation.trim());
        // Log-ins are about servers of others: the tests of the configuration have those.
        if line.starts_with("occi login") {
            continue;
        }
        let output = person.types(&line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {} {stderr}", output.status);
    }
}

/// The verbs that leave everything as it is.
const LOOKING: [&str; 8] = [
    "list",
    "show",
    "log",
    "describe",
    "model",
    "api GET",
    "completion",
    "man",
];

/// Takes away what the last example left.
const SCENE_AWAY: &str = "
occi delete compute --all --yes --wait -q
occi delete storage --all --yes --wait -q
for network in $(occi list network -o name --filter title=lan); do occi delete $network --wait -q; done
for mixin in blue green gold; do occi api DELETE /-/ -H 'Content-Type: text/plain' -q \
  --data \"Category: $mixin; scheme=\\\"http://example.org/tags#\\\"; class=\\\"mixin\\\"\" >/dev/null 2>&1 || :; done
for old in old gold; do occi delete os_tpl#$old -q 2>/dev/null || :; done
";

/// Two machines, a network, volumes, mixins, a context.
const SCENE: &str = "
set -e
for mixin in blue green; do occi api POST /-/ -H 'Content-Type: text/plain' --data \
  \"Category: $mixin; scheme=\\\"http://example.org/tags#\\\"; class=\\\"mixin\\\"; location=\\\"/tags/$mixin/\\\"\"; done
occi create network lan --address 10.1.0.0/24 --gateway 10.1.0.1 --wait -q
occi create storage data --size 10G --wait -q
occi create compute web1 --no-cache --mixin green --volume disk:1G --wait -q
occi create compute web2 --wait -q
occi save web2 --as old --wait -q
occi login $OCCI_ENDPOINT --name lab >/dev/null
";

fn completion() {
    let person = Person::new();
    person.reads(SCENE);
    let offered = |words: &str, at: usize| {
        let line = format!("_CLAP_COMPLETE_INDEX={at} _CLAP_IFS='\n' COMPLETE=bash occi -- {words}");
        let words = person.reads(&line);
        let words = words.lines().filter(|word| !word.starts_with("--"));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered("occi show we", 2), ["web1", "web2"]);
    assert_eq!(offered("occi create compute x --os t", 5), ["tiny"]);
    for (words, at, found) in [
        ("occi list -o js", 3, &["json", "jsonpath="][..]),
        ("occi list compute --columns me", 4, &["memory", "message"]),
        ("occi list compute --columns title,cor", 4, &["title,cores"]),
        ("occi list compute --sort -mem", 4, &["-memory"]),
        ("occi list operation --columns pro", 4, &["progress"]),
        // Machines, and those that can be stopped or started.
        ("occi stop ''", 2, &["web1", "web2"]),
        ("occi start ''", 2, &[]),
        ("occi act online ''", 3, &[]),
        ("occi act offline ''", 3, &["data", "disk"]),
    ] {
        assert_eq!(offered(words, at), found, "{words}");
    }
    person.reads("occi stop web1 --wait");
    assert_eq!(offered("occi stop ''", 2), ["web2"]);
    assert_eq!(offered("occi start web2 ''", 3), ["web1"]);
    assert!(offered("occi list ''", 2).contains(&"storagelink".to_owned()));
    // What can be made, and what is attached: to anything, or to the one that is named.
    let kinds = person.reads("occi list kind -o jsonpath='$[*].term'");
    let abstract_kinds = ["entity", "resource", "link"];
    let mut makeable: Vec<_> = kinds.lines().filter(|kind| !abstract_kinds.contains(kind)).collect();
    makeable.push("mixin");
    makeable.sort_unstable();
    assert_eq!(offered("occi create ''", 2), makeable);
    let usual = person.reads("occi show web1 -o jsonpath='$.links[*].target' | sed -n 's|/network/||p'");
    person.reads("occi attach web2 lan --wait; occi create storage loose --size 1G --wait");
    for (words, at, found) in [
        ("occi detach ''", 2, &["disk", "lan", usual.trim(), "web1", "web2"][..]),
        ("occi detach web1 ''", 3, &["disk", usual.trim()]),
        ("occi detach compute web2 l", 4, &["lan"]),
        ("occi detach network/lan ''", 3, &["web2"]),
    ] {
        assert_eq!(offered(words, at), found, "{words}");
    }
    // Without a server there is nothing to offer, and nothing to complain about.
    let line = "_CLAP_COMPLETE_INDEX=2 _CLAP_IFS='\n' COMPLETE=bash occi -- occi show we";
    let output = person.types(&format!("OCCI_ENDPOINT=http://127.0.0.1:1 {line}"));
    assert!(
        output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    // The keys that are pressed are no password.
    let line = "_CLAP_COMPLETE_INDEX=6 COMPLETE=bash timeout 10 occi -- occi --user ann --password-file - show we";
    assert_eq!(person.reads(&format!("mkfifo keys && exec 3<>keys; {line} <&3")), "");
    // Nor is a command run that may ask for one.
    let login = "occi login $OCCI_ENDPOINT --user admin --name asks --password-command 'touch asked; cat password'";
    person.reads(&format!("echo $OCCI_PASSWORD >password; {login} && rm asked"));
    let line = "_CLAP_COMPLETE_INDEX=4 COMPLETE=bash occi -- occi --context asks show we; test ! -e asked";
    assert_eq!(person.reads(line), "");
}

fn harmless() {
    let person = Person::new();
    let create = |title: &str| {
        let create = ["create", "storage", "--size", "1G", "-o", "jsonpath=$.id", "--", title];
        let output = person.occi(&create).output().unwrap();
        assert!(output.status.success(), "{title}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let strange = [
        "web; touch pwned",
        "web$(touch pwned)",
        "web`touch pwned`",
        "-web",
        "web|pwned",
        "web&'\"",
        " web",
    ];
    let ids = strange.map(create);
    let _ = ["web a", "web --all --yes"].map(create);
    let offered = |word: &str| {
        let line = format!("_CLAP_COMPLETE_INDEX=2 _CLAP_IFS='\n' COMPLETE=bash occi -- occi show {word}");
        let words = person.reads(&line);
        words.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for word in ["we", "''", "\"'we\"", "'\"web '"] {
        for offered in offered(word) {
            let is_plain = |text: &str| {
                let mut bytes = text.bytes();
                bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._@:/+-".contains(&byte))
            };
            // A quote that is open quotes spaces too.
            let space = if word.len() > 2 { " " } else { "\\ " };
            assert!(is_plain(&offered.replace(space, "")), "{word}: {offered:?}");
        }
    }
    assert_eq!(offered("we"), ["web\\ --all\\ --yes", "web\\ a"]);
    assert_eq!(offered("'\"web '"), ["web --all --yes", "web a"]);
    assert_eq!(offered("'\"we\"b'"), [""; 0]);
    // What shells could carry out is offered by its id.
    let all = offered("''");
    assert!(ids.iter().all(|id| all.contains(id)), "{ids:?} {all:?}");
}

fn orders() {
    let person = Person::new();
    person.reads(SCENE);
    for (verb, kind, rest) in [
        ("stop", "compute", "web1 web2 --method poweroff --dry-run"),
        ("start", "compute", "web1 --dry-run"),
        ("restart", "compute", "web1 --method cold --dry-run"),
        ("suspend", "compute", "web1 --dry-run"),
        ("save", "compute", "web1 --as golden --dry-run"),
        ("resize", "compute", "web1 medium --dry-run"),
        ("resize", "storage", "data 11G --dry-run"),
        ("update", "compute", "web1 summary=x --dry-run"),
        ("attach", "compute", "web1 data --dry-run"),
        ("detach", "compute", "web1 disk --dry-run"),
        ("delete", "storage", "data --dry-run"),
        ("create", "compute", "another --dry-run"),
    ] {
        for line in [
            format!("occi {verb} {kind} {rest}"),
            format!("occi {kind} {verb} {rest}"),
        ] {
            let said = person.reads(&line);
            assert!(said.starts_with("would "), "{line}: {said}");
        }
    }
    for (verb, kind, rest) in [
        ("wait", "compute", "web1"),
        ("show", "compute", "web1"),
        ("watch", "compute", "web1 --until active"),
        ("list", "compute", ""),
        ("describe", "compute", ""),
    ] {
        for line in [
            format!("occi {verb} {kind} {rest}"),
            format!("occi {kind} {verb} {rest}"),
        ] {
            person.reads(&line);
        }
    }
    person.reads("occi storage resize data 11G --wait && occi compute update web1 web2 summary=x");
    assert_eq!(
        person.reads("occi show data -o jsonpath='$.attributes[\"occi.storage.size\"]'"),
        "11.0\n"
    );
    // A dry run shows all that would be done, and refuses what would be refused.
    let would = person.reads("occi update web1 --mixin blue --without green title=x --dry-run");
    let wanted = [
        "tags#blue",
        "occi.core.title",
        "would take http://example.org/tags#green from web1 (/compute/",
    ];
    assert!(wanted.iter().all(|words| would.contains(words)), "{would}");
    let would = person.reads("occi update web1 --without green --dry-run");
    assert!(
        would.starts_with("would take ") && would.lines().count() == 1,
        "{would}"
    );
    assert!(person.reads("occi show web1 -o json").contains("tags#green"));
    assert_eq!(
        person.types("occi resize data nonsense --dry-run").status.code(),
        Some(2)
    );
    assert_eq!(
        person.types("occi resize web1 nonsense --dry-run").status.code(),
        Some(3)
    );
    // A title may be called like anything.
    person.reads("occi create storage a/b --size 1G --wait && occi show a/b && occi delete storage a/b");
}

fn names() {
    let person = Person::new();
    let id = person.reads("occi create compute web1 --wait -o jsonpath='$.id'");
    let id = id.trim();
    person.reads(&format!("occi create storage {id} --size 1G --wait"));
    assert_eq!(person.reads(&format!("occi show {id} -o jsonpath='$.title'")), "web1\n");
    assert_eq!(
        person.reads(&format!("occi show storage {id} -o jsonpath='$.title'")),
        format!("{id}\n")
    );
    let beginning = &id[..4];
    assert!(
        person
            .prints(&format!("occi show compute {beginning} -o name"))
            .contains(id)
    );
    let short = person.types(&format!("occi delete compute {}", &id[..3]));
    assert_eq!(
        short.status.code(),
        Some(3),
        "three characters are too few to delete by"
    );
    person.reads("occi create compute web1 --wait");
    let ambiguous = person.types("occi delete web1");
    let words = String::from_utf8_lossy(&ambiguous.stderr);
    assert_eq!(
        (ambiguous.status.code(), words.matches("- /compute/").count()),
        (Some(2), 2),
        "{words}"
    );
    // More than one thing is asked about.
    for line in [
        "occi delete compute --all",
        "occi delete operation 01a22653-56dc-7318-b8a2-eb429ecadc35 01a22653-56dc-7318-b8a2-eb429ecadc36",
    ] {
        assert_eq!(person.types(line).status.code(), Some(2), "{line}");
    }
}

fn below() {
    let person = Person::at(Occid::with("[http]\nbase_path = \"/occi\"\n[engine]\npage_limit = 2\n"));
    person.reads("occi create compute web1 --wait && occi create storage data --size 1G --wait");
    let place = person.reads("occi list -o name --filter title=web1");
    assert!(place.starts_with("/occi/compute/"), "{place}");
    for (line, words) in [
        ("show web1 -o jsonpath='$.state'", "active"),
        ("show ${id%%????????}", "web1"),
        ("show $id", "web1"),
        ("show $place", "web1"),
        ("show data", "data"),
        ("stop web1 --wait", "stop done"),
        ("start $id --wait", "start done"),
        ("list event --filter title=data", "created"),
        ("watch --until active,online --for 20s 2>&1", "watching "),
        ("watch web1 --until active --for 20s 2>&1", "watching one thing"),
        ("log web1", "booted"),
        ("wait web1 -o json", "web1"),
        ("delete data --wait", "data: deleted"),
    ] {
        let said = person.reads(&format!("place={place}id=${{place##*/}}\nocci {line} 2>&1"));
        assert!(said.contains(words), "{line}: {said}");
    }
    for (words, found) in [("occi show we", "web1\n"), ("occi stop ''", "web1\n")] {
        let offered = person.reads(&format!(
            "_CLAP_COMPLETE_INDEX=2 _CLAP_IFS='\n' COMPLETE=bash occi -- {words}"
        ));
        let offered: String = offered
            .lines()
            .filter(|word| !word.starts_with("--"))
            .map(|word| format!("{word}\n"))
            .collect();
        assert_eq!(offered, found, "{words}");
    }
    person.reads("occi delete web1 --wait");
}

fn asked() {
    let person = Person::new();
    person.reads("for title in one two two; do occi create storage $title --size 1G --wait; done");
    let place = person.reads("occi list storage --filter title=one -o name");
    let asked = person.prints("occi delete storage --all");
    let lines: Vec<_> = asked.lines().take(3).collect();
    assert_eq!(
        lines.iter().filter(|line| **line == "  storage one").count(),
        1,
        "{asked}"
    );
    let is_second = |line: &&&str| line.starts_with("  storage two  /storage/");
    assert_eq!(lines.iter().filter(is_second).count(), 2, "{asked}");
    let named =
        person.prints(&format!("occi create network lan --wait -q; occi delete {place} lan").replace('\n', " "));
    assert!(
        named.contains("  storage one\n") && named.contains("  network lan\n"),
        "{named}"
    );
    person.reads("for title in $(seq 20); do occi create storage v$title --size 1G; done");
    let many = person.prints("occi delete storage --all");
    assert!(many.contains("  and 3 more\n"), "{many}");
}

fn waited() {
    let person = Person::new();
    person.reads("occi create compute web1 --cores 2 --memory 1G --wait");
    for until in [
        "active",
        "state=active",
        "occi.compute.state=inactive,active",
        "cores=2",
        "memory=1024M",
        "title=web1",
    ] {
        person.reads(&format!("occi wait web1 --for {until} --within 5s"));
    }
    for (until, code, words) in [
        ("state=inactive", 6, "did not become inactive"),
        ("cores=3", 6, "did not become occi.compute.cores=3"),
        ("coers=3", 2, "no attribute \"coers\""),
        ("cores=many", 2, "\"many\" does not fit"),
    ] {
        let said = person.prints(&format!("occi wait web1 --for {until} --within 100ms"));
        assert!(
            said.contains(words) && said.ends_with(&format!("? {code}\n")),
            "{until}: {said}"
        );
    }
}

fn listings() {
    let person = Person::new();
    person.reads(
        "set -e
        occi create compute a --memory 4G --cores 1 --wait
        occi create compute b --memory 1G --cores 2 --wait
        occi create compute c --memory 2G --cores 3 --wait",
    );
    let titles = |rest: &str| {
        let all = person.reads(&format!("occi list compute {rest} -o jsonpath='$[*].title'"));
        all.split_whitespace().collect::<String>()
    };
    for (rest, found) in [
        ("--sort memory", "bca"),
        ("--sort -memory --limit 1", "a"),
        ("--sort -cores --limit 2", "cb"),
        ("--filter memory=4G", "a"),
        ("--filter memory=1024M", "b"),
        ("--filter cores=3 --filter state=active", "c"),
        ("--filter title~b", "b"),
        ("--filter os=tiny --filter cores=7", ""),
    ] {
        assert_eq!(titles(rest), found, "{rest}");
    }
    for line in [
        "occi list compute --columns nosuch",
        "occi list compute --columns occi.compute.memry",
        "occi list compute --sort nosuch",
        "occi list compute --filter nosuch=1",
        "occi list compute --filter cores=many",
        "occi list --columns nosuch",
        "occi list kind --filter nosuch=x",
        "occi list operation --columns nosuch",
    ] {
        let output = person.types(line);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{line}: {output:?}"
        );
    }
    let output = person.types("occi --project nosuch list compute");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0), "{output:?}");
    assert!(said.contains("there is no project \"nosuch\""), "{said}");
}

fn new() {
    let person = Person::new();
    // What the server offers is known by now, and believed for a minute.
    person.reads("occi create compute web1 --wait && occi save web1 --as gold --method hot --wait");
    person.reads("occi create compute web2 --os gold --wait");
    let listed = person.reads("occi save web2 --as silver --method hot --wait && occi list os_tpl -o name");
    assert!(listed.contains("#silver"), "{listed}");
    person.reads("occi delete os_tpl#silver");
    assert!(!person.reads("occi list os_tpl -o name").contains("#silver"));
}

fn told() {
    let person = Person::new();
    person.reads("occi create storage data --size 1G --wait");
    let there = person.types("occi create compute web1 --volume data:1G");
    assert_eq!(there.status.code(), Some(2), "{there:?}");
    let refused = person.prints("occi create compute web1 --volume disk:1G --at /-/web1");
    assert!(
        refused.contains("the volume disk has been made and stays: occi delete /storage/"),
        "{refused}"
    );
    let strange = person.types("occi create ipreservation r1 --address 192.0.2.1");
    assert_eq!(strange.status.code(), Some(2), "{strange:?}");
}

/// The server knows the second request by its key, and answers as it would have the first time.
fn lost() {
    let person = Person::new();
    for (begin, what, number) in [
        ("POST /network/", "network one", 1),
        ("POST /storage/", "storage one --size 1G", 2),
        ("POST /compute/", "compute one", 3),
    ] {
        let way = Cut::new(&person.occid.url, begin, number);
        let create = format!("occi --endpoint {} create {what} --wait -o name", way.url);
        let location = person.reads(&create);
        assert_eq!(way.lost(), number, "{what}");
        let kind = what.split(' ').next().unwrap();
        let list = format!("occi list {kind} --filter title=one -o name");
        assert_eq!(person.reads(&list), location);
    }
    // One that never hears the answer says so, and what was made is there once.
    let way = Cut::new(&person.occid.url, "POST /network/", usize::MAX);
    let deaf = person.prints(&format!("occi --endpoint {} create network two", way.url));
    assert!(deaf.contains("broke off") && deaf.ends_with("? 1\n"), "{deaf}");
    assert!(way.lost() > 1);
    assert_eq!(
        person
            .reads("occi list network --filter title=two -o name")
            .lines()
            .count(),
        1
    );
}

fn interrupted() {
    let person = Person::new();
    person.reads("occi create network one --wait");
    let after_a_second = "timeout --preserve-status -s INT 1";
    let waiting = person.prints(&format!("{after_a_second} occi wait one --for gone"));
    assert_eq!(waiting, "error: interrupted\n? 130\n");
    // What was waited for before is over.
    let way = Cut::new(&person.occid.url, "POST /compute/", usize::MAX);
    let after = format!(
        "{after_a_second} occi --endpoint {} create compute x --volume disk:1G -q",
        way.url
    );
    let said = person.prints(&after);
    assert!(way.lost() > 0 && !said.contains("occi wait"), "{said}");
    assert!(said.contains("goes on: occi list operation"), "{said}");
    // The answer is lost, and the request is sent again and again.
    let way = Cut::new(&person.occid.url, "POST /network/", usize::MAX);
    let deaf = format!("{after_a_second} occi --endpoint {} create network two", way.url);
    assert_eq!(
        person.prints(&deaf),
        "error: interrupted\n  what the server has accepted goes on: occi list operation\n? 130\n"
    );
}

fn read_only() {
    let person = Person::new();
    person.reads("occi create compute web1 --wait && occi create network lan --wait");
    for (line, words) in [
        (
            "update web1 state=inactive",
            "occi.compute.state cannot be set: occi stop web1",
        ),
        (
            "update compute/web1 title=x state=active --dry-run",
            "occi start compute/web1",
        ),
        (
            "update lan state=inactive",
            "occi.network.state cannot be set: occi act down lan",
        ),
        ("update web1 state=nosuch", "occi.compute.state cannot be set"),
        ("update web1 occi.core.id=x", "occi.core.id cannot be set"),
        (
            "create compute web2 -a state=inactive",
            "occi.compute.state cannot be set",
        ),
    ] {
        let said = person.prints(&format!("occi --debug {line}"));
        let error = said.find("error: ").unwrap_or_else(|| panic!("{line}: {said}"));
        assert!(said[error..].contains(words), "{line}: {said}");
        assert!(
            said.ends_with("? 2\n") && said[error..].lines().count() == 2,
            "{line}: {said}"
        );
        assert!(!said.contains("> POST"), "{line}: {said}");
    }
    assert_eq!(person.reads("occi list compute -o jsonpath='$[*].title'"), "web1\n");
    // A wish of who makes it.
    person.reads("occi create networkinterface --source web1 --target lan -a interface=eth1 --dry-run");
}

fn saved() {
    let person = Person::new();
    person.reads("occi create compute web1 --wait && occi create compute web2 --wait && occi stop web2 --wait");
    let said = |line: &str| person.prints(&format!("occi {line} 2>&1"));
    assert!(said("save web1 --as a --dry-run").ends_with("): it goes on running meanwhile\n"));
    assert!(
        said("save web1 --method deferred --dry-run").ends_with("): it is stopped for its copy and started again\n")
    );
    assert!(said("save web2 --dry-run").ends_with(")\n"));
    let hot = said("--debug save web1 --as a --wait");
    assert!(hot.contains("\"hot\"") && hot.contains("web1: save done"), "{hot}");
    let deferred = said("--debug save web1 --as b --method deferred --wait");
    assert!(
        deferred.contains("web1 is stopped for its copy and started again"),
        "{deferred}"
    );
    let off = said("--debug save web2 --as c --wait");
    assert!(!off.contains("\"hot\"") && off.contains("web2: save done"), "{off}");
    let wild = said("save web1 --method wild");
    assert!(wild.contains("hot, deferred") && wild.ends_with("? 2\n"), "{wild}");
}

fn refused() {
    let person = Person::new();
    person.reads("occi create compute web1 --wait && occi create storage data --size 1G --wait");
    for (line, code, words) in [
        ("create compute x --os small", 3, &["os_tpl", "tiny"][..]),
        ("create compute x --size tiny", 3, &["resource_tpl", "small"]),
        (
            "create compute x -m small -m medium",
            2,
            &["small and medium", "resource_tpl"],
        ),
        (
            "create compute x --os tiny -m debian12 --dry-run",
            2,
            &["tiny", "debian12", "os_tpl"],
        ),
        ("update web1 -m small -m medium", 2, &["small and medium"]),
        ("create storage x", 2, &["occi.storage.size", "--size"]),
        ("create storage x --dry-run", 2, &["occi.storage.size", "--size"]),
        ("act resize data", 2, &["size", "--parameter size=VALUE"]),
        ("update web1 colour=blue --dry-run", 2, &["colour is not an attribute"]),
        (
            "create compute x -a colour=blue --dry-run",
            2,
            &["colour is not an attribute"],
        ),
        ("create compute x --network /network/nope", 3, &["/network/nope"]),
        (
            "create compute x --volume /storage/nope --dry-run",
            3,
            &["/storage/nope"],
        ),
        ("attach web1 /network/nope", 3, &["/network/nope"]),
        ("create compute x --network nope", 3, &["nope"]),
        (
            "create compute x --user-data @/dev/zero",
            1,
            &["/dev/zero has more than 16 MiB"],
        ),
        (
            "create compute x --key @/dev/zero",
            1,
            &["/dev/zero has more than 64 KiB"],
        ),
        ("create compute x --key @nofile", 1, &["nofile: No such file"]),
        ("apply -f /dev/zero", 1, &["/dev/zero has more than 16 MiB"]),
        (
            "api POST /compute/ -d @/dev/zero",
            1,
            &["/dev/zero has more than 256 MiB"],
        ),
        ("api GET /-/ -o json", 2, &["--output"]),
        ("stop web1 --wait 5", 3, &["--wait=5"]),
    ] {
        let said = person.prints(&format!("occi --debug {line}"));
        let error = said.find("error: ").unwrap_or_else(|| panic!("{line}: {said}"));
        assert!(words.iter().all(|word| said[error..].contains(word)), "{line}: {said}");
        assert!(said.ends_with(&format!("? {code}\n")), "{line}: {said}");
        assert!(!said.contains("> POST"), "{line}: {said}");
    }
    assert_eq!(person.reads("occi list compute -o jsonpath='$[*].title'"), "web1\n");
    // One grammar of times.
    for line in [
        "stop web1 --wait 90s",
        "start --wait 1m web1",
        "stop web1 --wait=90",
        "start web1 --wait",
    ] {
        person.reads(&format!("occi {line}"));
    }
    for wait in ["--wait", "--wait 90s", "--wait=90"] {
        assert!(
            person.reads(&format!("occi apply -f web.yaml {wait}")).ends_with('\n'),
            "{wait}"
        );
    }
}

fn would() {
    let person = Person::new();
    let create = "occi create compute x --user-data s3cret --dry-run";
    let people = person.prints(create);
    assert!(
        people.starts_with("would create {") && people.contains("(not shown)"),
        "{people}"
    );
    assert!(!people.contains("czNjcmV0"), "{people}");
    let json: serde_json::Value = serde_json::from_str(&person.reads(&format!("{create} -o json"))).unwrap();
    assert_eq!(json["attributes"]["occi.compute.userdata"], "czNjcmV0");
    let yaml = person.reads(&format!("{create} -o yaml"));
    assert!(
        !yaml.contains("would") && !yaml.contains('{') && yaml.contains("occi.compute.userdata: czNjcmV0"),
        "{yaml}"
    );
    person.reads("occi create compute web1 --user-data s3cret --wait");
    let shown = person.reads("occi show web1");
    assert!(!shown.contains("czNjcmV0"), "{shown}");
    let api = "occi api POST /compute/ -H 'Authorization: Basic zzzz' -H 'X-Other: seen' --dry-run";
    let api = person.reads(api);
    assert!(api.contains("authorization: ***\nx-other: seen\n"), "{api}");
}

fn template_names() {
    let person = Person::new();
    person.reads("occi create compute web1 --wait && occi save web1 --as 'Gold 1.2' --method hot --wait");
    let id = person.reads("occi list os_tpl --filter title='Gold 1.2' -o name");
    let id = id.trim();
    let (_, term) = id.split_once('#').unwrap();
    let in_family = format!("os_tpl#{term}");
    for name in ["Gold 1.2", "gold 1.2", term, "os_tpl#Gold 1.2", &in_family, id] {
        let file = format!("- compute: web2\n  os: \"{name}\"\n- compute: web3\n  mixins: [\"{name}\"]\n");
        std::fs::write(person.home.path().join("gold.yaml"), file).unwrap();
        for line in [
            "create compute x --os 'NAME' --dry-run",
            "create compute x --mixin 'NAME' --dry-run",
            "update web1 --mixin 'NAME' --dry-run",
            "show mixin 'NAME' -o json",
            "delete mixin 'NAME' --dry-run",
            "describe 'NAME' -o json",
        ] {
            let said = person.reads(&format!("occi {}", line.replace("NAME", name)));
            assert!(said.contains(id), "{line} with {name}: {said}");
        }
        assert_eq!(
            person.reads("occi apply -f gold.yaml --dry-run").matches(term).count(),
            2,
            "{name}"
        );
        assert_eq!(person.reads(&format!("occi list '{name}' -o name")), "");
    }
    for words in ["os_tpl 'Gold 1.2'", &format!("os_tpl {term}"), "'os_tpl#Gold 1.2'"] {
        for verb in ["show", "delete --dry-run"] {
            let said = person.reads(&format!("occi {verb} {words}"));
            assert!(said.contains(id), "{verb} {words}: {said}");
        }
    }
    person.reads("occi delete os_tpl 'Gold 1.2'");
    assert!(!person.reads("occi list os_tpl -o name").contains(id));
}

fn meanwhile() {
    let person = Person::new();
    person.reads("occi create compute web1 --wait && occi create storage data --size 1G --wait");
    for (file, text) in [
        ("mine.yaml", "- compute: web1\n  summary: mine\n"),
        ("size.yaml", "- storage: data\n  size: 2G\n"),
    ] {
        std::fs::write(person.home.path().join(file), text).unwrap();
    }
    let while_another = |begin, line: &str, others: &str| {
        let other = person.environment();
        let words: Vec<_> = others.split(' ').map(str::to_owned).collect();
        let does = move || {
            let status = Command::new(OCCI).args(&words).env_clear().envs(other.clone()).status();
            assert!(status.unwrap().success(), "{words:?}");
        };
        let url = cut::before(&person.occid.url, begin, does);
        person.prints(&format!("occi --endpoint {url} {line}"))
    };
    for (begin, line, others, what) in [
        (
            "POST /compute/",
            "update web1 summary=mine",
            "update web1 summary=a --wait -q",
            "occi.core.summary",
        ),
        (
            "POST /compute/",
            "apply -f mine.yaml --yes",
            "update web1 summary=b --wait -q",
            "occi.core.summary",
        ),
        (
            "POST /storage/",
            "apply -f size.yaml --yes",
            "resize data 3G --wait -q",
            "occi.storage.size",
        ),
    ] {
        let said = while_another(begin, line, others);
        let words = format!("somebody else has changed {what} meanwhile");
        assert!(said.contains(&words) && said.ends_with("? 5\n"), "{line}: {said}");
    }
    let summary = || person.reads("occi show web1 -o jsonpath='$.summary'");
    assert_eq!(summary(), "b\n");
    assert_eq!(
        person.reads("occi show data -o jsonpath=\"$.attributes['occi.storage.size']\""),
        "3.0\n"
    );
    // What has nothing to do with it keeps nobody from it.
    for line in ["update web1 summary=mine", "apply -f mine.yaml --yes"] {
        person.reads("occi update web1 summary=theirs --wait -q");
        let said = while_another("POST /compute/", line, "update web1 hostname=other --wait -q");
        assert!(!said.contains("? "), "{line}: {said}");
        assert_eq!(summary(), "mine\n", "{line}");
    }
}

fn manual() {
    let person = Person::new();
    person.reads("occi man man1");
    let help = person.reads("occi --help");
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for verb in verbs.filter(|verb| *verb != "help") {
        let page = std::fs::read_to_string(person.home.path().join(format!("man1/occi-{verb}.1")));
        let page = page.unwrap_or_else(|error| panic!("{verb}: {error}"));
        let head = format!(".TH OCCI-{} 1 \" \" \"occi ", verb.to_uppercase());
        assert!(page.lines().any(|line| line.starts_with(&head)), "{verb}: {page}");
        let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let expected = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "COMMANDS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "FILES",
            "ENVIRONMENT",
            "\"SEE ALSO\"",
        ];
        let is_there = |section: &&str| !["COMMANDS", "EXAMPLES"].contains(section) || sections.contains(section);
        let expected: Vec<_> = expected.into_iter().filter(is_there).collect();
        assert_eq!(sections, expected, "{verb}");
        // What is printed as it is typed stands in lines of its own.
        assert!(verb == "image" || page.contains(".nf\nocci "), "{verb}: {page}");
    }
    // The formatter has nothing to say about them.
    let said = person.prints(
        "command -v groff >/dev/null || exit 0; cd man1; for page in *; do groff -man -ww -Kutf8 -Tutf8 -z $page; done",
    );
    assert_eq!(said, "");
}
