//! The command line itself.

use crate::historic::MODEL;
use crate::run::{Run, occi};
use crate::stub::{Stub, text};

/// Which of the two forms is meant: a mistake in the old one ends with 1 and its usage, in the modern one with 2.
pub(crate) async fn forms() {
    for old in [
        "-a",
        "-a nonsense -r compute",
        "--action",
        "--act list",
        "--res compute",
        "-rcompute",
        "--resource=compute",
        "-e http://localhost:1/",
        "-ehttp://localhost:1/",
        "--end http://localhost:1/",
        "--endpoint http://localhost:1/ --action list",
        "--endpoint http://localhost:1/",
        "-d -a list",
        "-da list",
        "-q list -r compute -n token",
        "-o json -a list",
        "-m -F",
        "-q TOKEN -a list",
    ] {
        let said = occi(old);
        assert_eq!(said.code, Some(1), "occi {old}: {said:?}");
        assert!(
            said.out.contains("Usage: occi [OPTIONS]") && said.err.is_empty(),
            "occi {old}: {said:?}"
        );
    }
    for modern in [
        "--nonsense",
        "-n basic",
        "-q",
        "--endpoint http://localhost:1/ list --nonsense",
        "--endpoint=http://localhost:1/ list --nonsense",
        "--endpoint http://localhost:1/ compute list --nonsense",
        "-q create compute web1 --attribute",
        "-o json create compute web1 -a",
        "-o",
        "--",
    ] {
        let said = occi(modern);
        assert_eq!(said.code, Some(2), "occi {modern}: {said:?}");
        assert!(said.out.is_empty(), "occi {modern}: {said:?}");
    }
}

pub(crate) async fn mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("Missing").display().to_string();
    let directory = directory.path().display().to_string();
    for (line, first) in [
        ("-r compute", "Missing required arguments: action".to_owned()),
        ("-a list", "Missing required arguments: resource".to_owned()),
        (
            "-e http://x/",
            "Missing required arguments: resource, action".to_owned(),
        ),
        (
            "-a create -r compute",
            "Missing required arguments: links, attributes".to_owned(),
        ),
        (
            "-a create -r compute -M a#b -t x=y",
            "Missing required arguments: occi.core.title".to_owned(),
        ),
        ("-a link -r /compute/1", "Missing required arguments: links".to_owned()),
        (
            "-a trigger -r /compute/1",
            "Missing required arguments: trigger_action".to_owned(),
        ),
        (
            "-a update -r /compute/1",
            "Missing required arguments: mixins".to_owned(),
        ),
        ("-a discover", "Missing required arguments: entity_type".to_owned()),
        (
            "-a list -r compute -F x#y",
            "--filter goes with --dump-model only".to_owned(),
        ),
        ("-a", "Missing argument: -a".to_owned()),
        ("-a explode", "Invalid argument: -a explode".to_owned()),
        ("-a li", "Ambiguous argument: -a li".to_owned()),
        ("-r x --log y", "Ambiguous option: --log".to_owned()),
        ("-r x --nonsense", "Invalid option: --nonsense".to_owned()),
        ("-r x -E", "Invalid option: -E".to_owned()),
        ("-r x --debug=yes", "Needless argument: --debug=yes".to_owned()),
        ("-r x -n kerberos", "Invalid argument: -n kerberos".to_owned()),
        ("-r x -o yaml", "Invalid argument: -o yaml".to_owned()),
        ("-r x -y text/html", "Invalid argument: -y text/html".to_owned()),
        ("-r x -k soon", "Invalid argument: -k soon".to_owned()),
        ("-r x -k 0", "The time-out is at least one second".to_owned()),
        ("-r x -q ' '", "The token is blank".to_owned()),
        (
            "-e nowhere",
            "The endpoint is no URL: relative URL without a base".to_owned(),
        ),
        (
            "-e https://ann:pw@x/",
            "The endpoint must not hold a user name or a password".to_owned(),
        ),
        (
            "-r x -t title",
            "An attribute is NAME=VALUE, which \"title\" is not".to_owned(),
        ),
        (
            "-r x -t a.b=num(x)",
            "\"num(x)\" cannot be cast: num(12), float(1.5) and bool(true) can".to_owned(),
        ),
        (
            "-r x -T password=x",
            "\"password\" is no context variable: they are public_key and user_data".to_owned(),
        ),
        (
            "-r x -M '#small'",
            "A mixin is SCHEME#TERM, os_tpl#TERM or TERM, which \"#small\" is not".to_owned(),
        ),
        (
            "-r x -j compute/1",
            "\"compute/1\" is no URL and no path of an instance".to_owned(),
        ),
        (&format!("-r x -x {missing}"), format!("-x: {missing} is no file")),
        (&format!("-r x -f {directory}"), format!("-f: {directory} is no file")),
        (&format!("-r x -c {missing}"), format!("-c: {missing} is no directory")),
        (
            &format!("-r x -T user_data=file://{missing}"),
            format!("User_data: {missing}: No such file or directory (os error 2)"),
        ),
    ] {
        let said = occi(line);
        assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "occi {line}: {said:?}");
        assert_eq!(said.out.lines().next(), Some(first.as_str()), "occi {line}");
        assert_eq!(said.out.lines().nth(1), Some("Usage: occi [OPTIONS]"), "occi {line}");
    }
}

/// Long options may be cut and stuck to their values, their order is free, what is no option is passed over, and the
/// words of values may be cut too.
pub(crate) async fn ruby() {
    let stub = Stub::start(|seen| match seen.line().as_str() {
        "GET /-/" => text(200, MODEL),
        _ => text(200, ""),
    })
    .await;
    let url = &stub.url;
    for line in [
        format!("--end {url} --act list --res compute"),
        format!("--ENDPOINT={url} --action=list --resource=compute"),
        format!("-e{url} -alist -rcompute"),
        format!("-r compute stray -a list words -e {url}"),
        format!("-e {url} -a list -r network -r compute"),
        format!("-e {url} --w-f -5 --s-c -a list -r compute -o js -l stde"),
        format!("-da list -b fatal -e {url} -r compute"),
        format!("-X -e {url} -a list -r compute -- -r network"),
    ] {
        let said = occi(&line);
        assert_eq!(said.code, Some(0), "occi {line}: {said:?}");
        assert_eq!(
            stub.lines().last().map(String::as_str),
            Some("GET /compute/"),
            "occi {line}"
        );
    }
}

pub(crate) async fn printed() {
    let printed = |line: &str| {
        let said = occi(line);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "occi {line}: {said:?}");
        said.out
    };
    assert_eq!(printed("-v"), "4.3.10\n");
    assert_eq!(printed("-v -d"), "4.3.10\n");
    assert_eq!(printed("-d -v"), "CLI:  4.3.10\nAPI:  4.3.14\nCore: 4.3.6\n");
    assert_eq!(printed("-dv"), printed("-d -v"));
    assert_eq!(printed("-e http://x/ --version"), "4.3.10\n");
    assert!(printed("--version").starts_with("occi "));
    for modern in ["-h", "--help"] {
        assert!(printed(modern).contains("occi --help-rocci"), "{modern}");
    }
    insta::assert_snapshot!("help", printed("--help-rocci"));
    assert_eq!(printed("-a list -h"), printed("--help-rocci"));
    assert!(printed("-z").contains("-a describe -r os_tpl"));
    assert_eq!(printed("--exa"), printed("-z"));
    // What comes first counts.
    assert_eq!(Run::new("-a nonsense -h").said().code, Some(1));
}
