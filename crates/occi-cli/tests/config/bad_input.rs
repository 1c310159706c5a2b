//! What the user got wrong: one sentence that says what, and what to do.

use crate::person::Person;
use crate::stub::Stub;

pub(crate) async fn contradictions() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    let endpoint = format!("--endpoint {}", stub.url);
    let login = format!("login {}", stub.url);
    for (line, words) in [
        (
            format!("{endpoint} --context lab list compute"),
            &["--endpoint", "--context"][..],
        ),
        (
            format!("{endpoint} --cloud lab list compute"),
            &["--endpoint", "--cloud"],
        ),
        (
            "--context lab --cloud lab list compute".to_owned(),
            &["--context", "--cloud"],
        ),
        (
            format!("{endpoint} --user ann --token-file ~/token list compute"),
            &["--user", "--token-file"],
        ),
        (
            format!("{endpoint} --auth-token-file ~/token --token-file ~/token list compute"),
            &["--token-file", "--auth-token-file"],
        ),
        (
            format!("{endpoint} --password-file - --token-file - list compute"),
            &["--password-file", "--token-file"],
        ),
        (
            format!("{endpoint} --user ann --password-file - --certificate x --passphrase-file - list compute"),
            &["--password-file -", "--passphrase-file -", "stdin"],
        ),
        (
            format!("{endpoint} --password-file ~/password list compute"),
            &["--password-file needs --user"],
        ),
        (
            format!("{endpoint} --certificate-key ~/token list compute"),
            &["--certificate-key", "--certificate"],
        ),
        (
            format!("{endpoint} --user a:b --password-file ~/password list compute"),
            &["colon"],
        ),
        (
            format!("{endpoint} --user ann list compute"),
            &["password", "--password-file", "OCCI_PASSWORD"],
        ),
        (format!("{endpoint} --timeout soon list compute"), &["--timeout", "90s"]),
        (format!("{endpoint} list compute -o xml"), &["formats are"]),
        (format!("{endpoint} list compute --columns nope"), &["nope"]),
        (
            format!("{endpoint} list compute -o json --columns title"),
            &["--columns", "table, wide or csv", "jsonpath"],
        ),
        (format!("{endpoint} list compute --limit 0"), &["--limit", "from 1"]),
        (
            "--endpoint cloud.example.org list compute".to_owned(),
            &["endpoint", "https://"],
        ),
        (
            "--endpoint https://ann:s3cret-pa55word@cloud.example.org/ list compute".to_owned(),
            &["must not hold"],
        ),
        (format!("{login} --endpoint {}", stub.url), &["login", "--endpoint"]),
        (
            format!("{login} --oidc {} --client-id occi --user ann", stub.url),
            &["--oidc"],
        ),
        (format!("{login} --application-credential c-1"), &["--keystone"]),
        (
            format!("{login} --password-command true"),
            &["--password-command", "--user"],
        ),
    ] {
        // Only that of unknown columns has to ask what there is.
        let said = person.occi(&line).await;
        said.fails(&line, 2, words);
        assert!(stub.lines().is_empty() || line.contains("--columns"), "{line}");
    }
    let both = [
        ("OCCI_USER", "ann"),
        ("OCCI_TOKEN", "s3cret-t0ken"),
        ("OCCI_ENDPOINT", stub.url.as_str()),
    ];
    let said = person.with(&both, "list compute").await;
    said.fails("two in the environment", 2, &["OCCI_USER", "OCCI_TOKEN"]);
    // A warning for who is not looked at, each time.
    let said = person
        .occi("--endpoint https://127.0.0.1:1/ --insecure --timeout 1 list compute")
        .await;
    said.fails(
        "insecure",
        7,
        &["warning: the certificate of https://127.0.0.1:1/ is not checked"],
    );
    let said = person
        .occi("--endpoint https://127.0.0.1:1/ --insecure --timeout 1 -q list compute")
        .await;
    assert!(!said.err.contains("warning"), "{said:?}");
    // Nor is it where nothing is encrypted, beyond this machine: there, nobody is at this address either.
    const PLAIN: &str = "warning: http://0.0.0.0:1/ is not encrypted";
    let ann = "--user ann --password-file ~/password";
    for (line, is_warned) in [
        (format!("--endpoint http://0.0.0.0:1/ {ann} list compute"), true),
        (format!("--endpoint http://0.0.0.0:1/ {ann} -q list compute"), false),
        (format!("--endpoint http://127.0.0.1:1/ {ann} list compute"), false),
        ("--endpoint http://0.0.0.0:1/ list compute".to_owned(), false),
        ("login http://0.0.0.0:1/ --name lab".to_owned(), true),
        (format!("login http://0.0.0.0:1/ --name lab {ann}"), true),
    ] {
        let said = person.occi(&format!("--timeout 1 {line}")).await;
        said.fails(&line, 7, &["cannot be reached"]);
        assert_eq!(
            said.err.matches(PLAIN).count(),
            usize::from(is_warned),
            "{line}: {said:?}"
        );
    }
}

pub(crate) async fn files() {
    const CONFIG: &str = ".config/occi/config.toml";
    const CREDENTIALS: &str = ".config/occi/credentials.toml";
    let stub = Stub::of("one").await;
    let good = format!("current = \"lab\"\n\n[contexts.lab]\nendpoint = \"{}\"\n", stub.url);
    let with = |lines: &str| format!("{good}{lines}\n");
    for (what, file, text, code, words) in [
        (
            "no TOML",
            CONFIG,
            "current = \"lab\n".to_owned(),
            1,
            &["config.toml, line 1", "mend"][..],
        ),
        (
            "an unknown key",
            CONFIG,
            with("insecur = true"),
            1,
            &["config.toml, line 5", "insecur", "insecure"],
        ),
        (
            "a password",
            CONFIG,
            with("password = \"s3cret-pa55word\""),
            1,
            &["line 5", "password", "occi login"],
        ),
        (
            "a wrong type",
            CONFIG,
            with("insecure = \"yes\""),
            1,
            &["config.toml, line 5", "boolean"],
        ),
        (
            "a wrong method",
            CONFIG,
            with("auth = \"magic\""),
            1,
            &["line 5", "magic", "keystone"],
        ),
        (
            "a wrong format",
            CONFIG,
            with("output = \"xml\""),
            1,
            &["line 5", "formats are"],
        ),
        (
            "a wrong endpoint",
            CONFIG,
            good.replace("http:", "gopher:"),
            2,
            &["context lab", "gopher"],
        ),
        (
            "no endpoint",
            CONFIG,
            "current = \"lab\"\n[contexts.lab]\n".to_owned(),
            2,
            &["context lab", "endpoint"],
        ),
        (
            "no such context",
            CONFIG,
            good.replace("\"lab\"", "\"bal\""),
            3,
            &["\"bal\"", "there are: lab"],
        ),
        ("no user", CONFIG, with("auth = \"basic\""), 2, &["context lab", "user"]),
        (
            "no token",
            CONFIG,
            with("auth = \"bearer\""),
            2,
            &["context lab", "token", "occi login"],
        ),
        (
            "no issuer",
            CONFIG,
            with("auth = \"oidc\""),
            2,
            &["context lab", "token_endpoint"],
        ),
        (
            "a missing certificate",
            CONFIG,
            with("certificate = \"/nowhere/cert.pem\""),
            1,
            &["/nowhere/cert.pem", "No such file"],
        ),
        (
            "no TOML",
            CREDENTIALS,
            "[contexts.lab]\npassword = s3cret\n".to_owned(),
            1,
            &["credentials.toml, line 2"],
        ),
        (
            "a wrong type",
            CREDENTIALS,
            "[contexts.lab]\npassword = [\"s3cret\"]\n".to_owned(),
            1,
            &["line 2", "occi login"],
        ),
        (
            "no text",
            CREDENTIALS,
            "\u{0}s3cret".to_owned(),
            1,
            &["credentials.toml"],
        ),
    ] {
        let person = Person::new();
        person.write(CONFIG, &good);
        person.write(file, &text);
        let what = format!("{what} in {file}");
        person.occi("list compute").await.fails(&what, code, words);
        assert_eq!(person.read(file), text, "{what}: nothing is lost");
        if code == 1 && file == CONFIG && !what.contains("certificate") {
            person.occi("context use lab").await.fails(&what, 1, &["config.toml"]);
            assert_eq!(person.read(file), text, "{what}: nothing is lost");
        }
        stub.lines();
    }
    let person = Person::new();
    person.write(CONFIG, &good);
    person.write(CREDENTIALS, "[contexts.lab]\ntoken = \"s3cret-t0ken\"\n");
    for (file, mode) in [(CREDENTIALS, 0o644), (CREDENTIALS, 0o640), (CONFIG, 0o620)] {
        person.set_mode(file, mode);
        let said = person.occi("list compute").await;
        said.fails(&format!("{file} {mode:o}"), 1, &["open to others", "chmod 600", file]);
        person.set_mode(file, 0o600);
    }
    // What somebody else has written names a command of his. Only root can give a file away.
    for file in [CREDENTIALS, CONFIG] {
        if std::os::unix::fs::chown(person.path(file), Some(65_534), None).is_ok() {
            let said = person.occi("list compute").await;
            said.fails(file, 1, &["belongs to somebody else", file]);
            std::os::unix::fs::chown(person.path(file), Some(0), None).unwrap();
        }
    }
    assert!(stub.lines().is_empty());
    // Others may read what holds no secret.
    person.set_mode(CONFIG, 0o644);
    person.good("list compute").await;
    // A directory where a file should be, and nothing where one is named.
    std::fs::create_dir(person.path("directory")).unwrap();
    let endpoint = format!("--endpoint {}", stub.url);
    for (line, code, words) in [
        ("--token-file ~/directory", 1, &["directory"][..]),
        ("--token-file ~/missing", 1, &["missing", "No such file"]),
        ("--user ann --password-file /dev/null", 2, &["/dev/null", "no secret"]),
        ("--certificate ~/token", 2, &["token", "PEM"]),
        ("--certificate ~/missing", 1, &["missing: No such file"]),
        (
            "--certificate ~/token --certificate-key ~/missing",
            1,
            &["missing: No such file"],
        ),
        ("--ca-file ~/missing", 1, &["missing: No such file"]),
        ("--ca-file ~/directory", 1, &["directory: Is a directory"]),
        ("--ca-file /dev/zero", 1, &["/dev/zero has more than 1 MiB"]),
        ("--certificate /dev/zero", 1, &["/dev/zero has more than 1 MiB"]),
        ("--token-file /dev/zero", 1, &["/dev/zero has more than 64 KiB"]),
        (
            "--user ann --password-file /dev/zero",
            1,
            &["/dev/zero has more than 64 KiB"],
        ),
    ] {
        person
            .occi(&format!("{endpoint} {line} list compute"))
            .await
            .fails(line, code, words);
    }
    let said = person
        .occi("--endpoint https://127.0.0.1:1/ --ca-file ~/token list compute")
        .await;
    said.fails("no authority", 2, &["token", "no certificate"]);
    let said = person
        .with(&[("OS_CLIENT_CONFIG_FILE", "/dev/zero")], "--cloud lab list compute")
        .await;
    said.fails("clouds.yaml", 1, &["/dev/zero has more than 16 MiB"]);
    let old = format!(
        "-e {} -a create -r compute -t occi.core.title=x -T user_data=file:///dev/zero",
        stub.url
    );
    let said = person.occi(&old).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("/dev/zero has more than 16 MiB"), "{said:?}");
    // Who has no home has no configuration, and can go on without.
    let said = person.with(&[("HOME", "")], &format!("{endpoint} api GET /who")).await;
    assert_eq!(said.out, "one: nobody\n", "{said:?}");
}

/// The file beside the one that is meant.
pub(crate) async fn private_key() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    person.write(
        "id",
        "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----\n",
    );
    let create = format!("--endpoint {} create compute web1 --key @~/id", stub.url);
    let old = format!(
        "-e {} -a create -r compute -t occi.core.title=x -T public_key=file://~/id",
        stub.url
    );
    let said = person.occi(&create).await;
    said.fails(&create, 2, &["private key", ".pub"]);
    let said = person.occi(&old).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("private key") && said.out.contains(".pub"),
        "{said:?}"
    );
    assert!(!stub.lines().iter().any(|line| line.starts_with("POST")));
}
