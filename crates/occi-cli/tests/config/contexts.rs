//! `occi login`, `logout` and `context`, against an `occid`.

use crate::certificates::Authority;
use crate::occid::launch;
use crate::person::{PASSWORD, Person, TOKEN};
use crate::stub::{Stub, model, text};
use serde_json::Value as Json;
use std::process::Child;

const CONFIG: &str = ".config/occi/config.toml";
const CREDENTIALS: &str = ".config/occi/credentials.toml";

/// An `occid` where a person's own is. It ends with the value.
struct Occid {
    process: Child,
    url: String,
}

impl Occid {
    fn of(person: &Person) -> Self {
        let data = person.path(".local/state/occid");
        let (process, url) = launch(&person.path(""), &data, "127.0.0.1:0", &["--backend", "memory"]);
        Self { process, url }
    }
}

impl Drop for Occid {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) async fn log_in() {
    let person = Person::new();
    let occid = Occid::of(&person);
    let password = person.read(".local/state/occid/initial-admin-password");
    let line = format!(
        "login {} --user admin --password-file ~/.local/state/occid/initial-admin-password --name lab -o json",
        occid.url
    );
    let shown = json(&person.good(&line).await);
    assert_eq!(
        (&shown["name"], &shown["user"], &shown["auth"], &shown["current"]),
        (&"lab".into(), &"admin".into(), &"basic".into(), &true.into())
    );
    assert!(!shown.to_string().contains(password.trim()));
    assert_eq!((person.mode(CONFIG), person.mode(CREDENTIALS)), (0o600, 0o600));
    assert_eq!(person.mode(".config/occi"), 0o700);
    assert!(!person.read(CONFIG).contains(password.trim()));
    // From now on nothing has to be said.
    let made = person.good("create network net1 -o json").await;
    assert_eq!(json(&made)["title"], "net1");
    assert!(person.good("list network -o json").await.contains("net1"));

    person.good("logout").await;
    assert!(!person.read(CREDENTIALS).contains(password.trim()));
    let said = person.occi("list network").await;
    said.fails(
        "after the log-out",
        2,
        &["context lab", "password", "occi login http://127.0.0.1"],
    );
    // The one who knows the password can still say it.
    let said = person.with(&[("OCCI_PASSWORD", password.trim())], "list network").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.err.contains(password.trim()));
}

pub(crate) async fn several() {
    let person = Person::new();
    let (one, two) = (Stub::of("one").await, Stub::of("two").await);
    person.good("context").await;
    person
        .good(&format!(
            "login {} --user ann --password-file ~/password --name one",
            one.url
        ))
        .await;
    let config = person.read(CONFIG);
    // People write into this file, and it may be a link to where they keep such files.
    let config = config.replace(
        "[contexts.one]",
        "# where ann works\n[contexts.one]\noutput = \"json\" # for scripts",
    );
    person.write("dotfiles/occi.toml", &config);
    std::fs::remove_file(person.path(CONFIG)).unwrap();
    std::os::unix::fs::symlink(person.path("dotfiles/occi.toml"), person.path(CONFIG)).unwrap();
    person
        .good(&format!(
            "login {} --auth-token-file ~/token --project atlas --name two",
            two.url
        ))
        .await;

    let listed = json(&person.good("context list -o json").await);
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["current"]))
        .collect();
    assert_eq!(names, [(&"one".into(), &false.into()), (&"two".into(), &true.into())]);
    assert_eq!(person.good("api GET /who").await, "two: token t0ken, atlas\n");
    person.good("context use one").await;
    assert_eq!(person.good("api GET /who").await, "one: ann by pa55word\n");
    assert!(
        person.good("list kind").await.starts_with('['),
        "the context says how to print"
    );
    assert!(
        !person.good("list kind -o name").await.starts_with('['),
        "an option says otherwise"
    );
    person.good("context rename one first").await;
    assert_eq!(person.good("api GET /who").await, "one: ann by pa55word\n");
    assert_eq!(json(&person.good("context show -o json").await)["name"], "first");
    let text = person.read("dotfiles/occi.toml");
    assert!(
        text.contains("# where ann works") && text.contains("# for scripts"),
        "{text}"
    );
    assert!(person.path(CONFIG).is_symlink());

    for (line, code, word) in [
        ("context use nope", 3, "first, two"),
        ("context rename two first", 5, "already"),
        ("context rename two ../x", 2, "no name for a context"),
        ("context remove nope", 3, "no context"),
    ] {
        person.occi(line).await.fails(line, code, &[word]);
    }
    // What cannot be forgotten stays known.
    person.set_mode(CREDENTIALS, 0o644);
    for line in ["context remove first", "context rename first last", "logout first"] {
        person.occi(line).await.fails(line, 1, &["open to others"]);
    }
    person.set_mode(CREDENTIALS, 0o600);
    for line in ["context remove first --dry-run", "logout first --dry-run"] {
        assert!(person.good(line).await.starts_with("would forget"), "{line}");
    }
    assert_eq!(
        person.good("--context first api GET /who").await,
        "one: ann by pa55word\n"
    );
    person.good("context remove first").await;
    assert!(!person.read(CREDENTIALS).contains(PASSWORD) && person.read(CREDENTIALS).contains(TOKEN));
    assert_eq!(json(&person.good("context -o json").await).as_array().unwrap().len(), 1);
    person
        .occi("context show")
        .await
        .fails("no current one", 2, &["occi context"]);
    // The host's name is the usual name, and is not taken away from another server.
    let login = |stub: &Stub| format!("login {} --token-file ~/token", stub.url);
    person.good(&login(&one)).await;
    assert_eq!(json(&person.good("context show -o json").await)["name"], "127.0.0.1");
    person.good(&login(&one)).await;
    person
        .occi(&login(&two))
        .await
        .fails("a name that is taken", 5, &["--name"]);
}

pub(crate) async fn refused() {
    let person = Person::new();
    let stub = Stub::start(|seen| match seen.header("authorization") {
        "Bearer s3cret-t0ken" => model(),
        _ => text(401, "who are you?"),
    })
    .await;
    let login = format!("login {} ", stub.url);
    for (options, code, words) in [
        ("", 4, &["who are you?", "--user", "--oidc"][..]),
        (
            "--user ann --password-file ~/password",
            4,
            &[
                stub.url.as_str(),
                "does not accept the user \"ann\"",
                "it says: who are you?",
                "occi login URL --user",
            ],
        ),
        ("--user ann", 2, &["password", "no terminal"]),
        ("--token-file ~/nothing", 1, &["nothing", "No such file"]),
        ("--token-file ~/token --name bad/name", 2, &["no name for a context"]),
    ] {
        person
            .occi(&format!("{login}{options}"))
            .await
            .fails(options, code, words);
        assert!(
            person.read(CONFIG).is_empty() && person.read(CREDENTIALS).is_empty(),
            "{options}"
        );
    }
    person.good(&format!("{login}--token-file ~/token")).await;
}

/// Who logs in again keeps what he wrote there himself.
pub(crate) async fn again() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    let login = format!("login {} --name lab --user", stub.url);
    person
        .good(&format!("{login} ann --password-file ~/password --project atlas"))
        .await;
    person.write("ca.pem", &Authority::new().pem());
    let written = person
        .read(CONFIG)
        .replace("user = \"ann\"", "# not bob\nuser = \"ann\" # she")
        + "# for my eyes\noutput = \"csv\"\n";
    let ca_file = format!("ca_file = {:?} # ours\n", person.path("ca.pem"));
    person.write(CONFIG, &format!("{written}{ca_file}"));
    person.good(&format!("{login} bob --password-file ~/password")).await;
    let config = person.read(CONFIG);
    for line in [
        "# not bob",
        "user = \"bob\" # she",
        "# for my eyes",
        "output = \"csv\"",
        ca_file.trim(),
    ] {
        assert!(config.lines().any(|one| one == line), "{line}: {config}");
    }
    assert!(!config.contains("atlas"), "{config}");
    // Of another server nothing is kept.
    let other = Stub::of("two").await;
    person.good(&format!("login {} --name lab", other.url)).await;
    let config = person.read(CONFIG);
    assert!(!config.contains("csv") && !config.contains("ca_file"), "{config}");
}

pub(crate) async fn command() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    person.write(
        "pass",
        "echo s3cret-from-pass; echo and a second line; echo of the command >&2",
    );
    let url = stub.url.as_str();
    let words = [
        "login",
        url,
        "--user",
        "ann",
        "--name",
        "lab",
        "--password-command",
        "sh ~/pass",
    ];
    let said = person.run(&[], &words, "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("of the command"),
        "what it says is for the user: {said:?}"
    );
    assert!(person.read(CREDENTIALS).is_empty());
    assert_eq!(person.good("api GET /who").await, "one: ann by pass\n");
    for (script, words) in [
        ("exit 3", &["context lab", "password_command", "exit status: 3"]),
        ("true", &["context lab", "password_command", "printed nothing"]),
    ] {
        person.write("pass", script);
        person.occi("api GET /who").await.fails(script, 1, words);
    }
}

pub(crate) async fn local() {
    let person = Person::new();
    let occid = Occid::of(&person);
    let made = person.good("create network net1 -o json").await;
    assert_eq!(json(&made)["title"], "net1");
    person.good("context").await;
    // Whoever says where is not sent there.
    let stub = Stub::of("one").await;
    assert_eq!(
        person.good(&format!("--endpoint {} api GET /who", stub.url)).await,
        "one: nobody\n"
    );
    drop(occid);
}
