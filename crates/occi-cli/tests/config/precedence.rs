//! Who is asked, and who asks, when several say so.

use crate::certificates::Authority;
use crate::person::{PASSWORD, Person, TOKEN};
use crate::stub::Stub;

const BASIC: &str = "ann by pa55word";

pub(crate) async fn ways() {
    let person = Person::new();
    let stub = Stub::of("one").await;
    let endpoint = ("OCCI_ENDPOINT", stub.url.as_str());
    let password = ("OCCI_PASSWORD", PASSWORD);
    for (variables, options, who) in [
        (&[][..], "", "nobody"),
        (&[][..], "--user ann --password-file ~/password", BASIC),
        (&[password], "--user ann", BASIC),
        (
            &[password, ("OCCI_USER", "ann")],
            "--project atlas",
            "ann by pa55word, atlas",
        ),
        (
            &[("OCCI_PROJECT", "atlas")],
            "--token-file ~/token",
            "bearer t0ken, atlas",
        ),
        (&[("OCCI_TOKEN", TOKEN)], "", "bearer t0ken"),
        (&[("OCCI_TOKEN", "")], "", "nobody"),
        (&[], "--auth-token-file ~/token", "token t0ken"),
        // Options go before the environment.
        (&[("OCCI_TOKEN", TOKEN)], "--user ann --password-file ~/password", BASIC),
        (
            &[password, ("OCCI_USER", "bob")],
            "--token-file ~/token",
            "bearer t0ken",
        ),
        (&[password, ("OCCI_USER", "bob")], "--user ann", BASIC),
    ] {
        let variables = [&[endpoint], variables].concat();
        let said = person
            .with(&variables, &format!("{options} --debug api GET /who"))
            .await;
        assert_eq!(said.out, format!("one: {who}\n"), "{options} {said:?}");
    }
    let words = [
        "--endpoint",
        &stub.url,
        "--user",
        "ann",
        "--password-file",
        "-",
        "api",
        "GET",
        "/who",
    ];
    let said = person.run(&[], &words, &format!("{PASSWORD}\n")).await;
    assert_eq!(said.out, format!("one: {BASIC}\n"), "{said:?}");
}

pub(crate) async fn order() {
    let person = Person::new();
    let (current, other, cloud) = (
        Stub::of("current").await,
        Stub::of("other").await,
        Stub::of("cloud").await,
    );
    person
        .good(&format!("login {} --auth-token-file ~/token --name other", other.url))
        .await;
    person
        .good(&format!(
            "login {} --user ann --password-file ~/password --name current",
            current.url
        ))
        .await;
    person.write(
        "clouds.yaml",
        &format!(
            "clouds:\n  lab:\n    auth_type: http_basic\n    auth: {{ username: eve, password: s3cret-cloud }}\n    \
             occi_endpoint_override: {}\n",
            cloud.url
        ),
    );
    let (certificate, key) = Authority::new().signed();
    person.write("both.pem", &format!("{certificate}{key}"));
    let endpoint = ("OCCI_ENDPOINT", other.url.as_str());
    let context = ("OCCI_CONTEXT", "other");
    let os_cloud = ("OS_CLOUD", "lab");
    let token = ("OCCI_TOKEN", "s3cret-environment");
    let at_other = format!("--endpoint {}", other.url);
    for (variables, options, who) in [
        (&[][..], "", "current: ann by pa55word"),
        (&[os_cloud], "", "cloud: eve by cloud"),
        (&[os_cloud, context], "", "other: token t0ken"),
        (&[os_cloud, context, endpoint], "", "other: nobody"),
        (&[os_cloud, endpoint], "--context current", "current: ann by pa55word"),
        (&[context, endpoint], "--cloud lab", "cloud: eve by cloud"),
        // What a context says of who asks stays with its server.
        (&[], at_other.as_str(), "other: nobody"),
        (&[token], at_other.as_str(), "other: bearer environment"),
        (&[token], "", "current: bearer environment"),
        // And what the environment says is for who is named there.
        (&[token, endpoint], "--context current", "current: ann by pa55word"),
        (
            &[("OCCI_PASSWORD", "s3cret-environment")],
            "--context current",
            "current: ann by pa55word",
        ),
        // Somebody else, at the server of the context.
        (&[("OCCI_PASSWORD", "s3cret-bob")], "--user bob", "current: bob by bob"),
        (
            &[],
            "--context other --user ann --password-file ~/password",
            "other: ann by pa55word",
        ),
        (
            &[],
            "--context other --token-file ~/token --project atlas",
            "other: bearer t0ken, atlas",
        ),
        // A certificate says who asks, and no password of the context goes along.
        (&[], "--certificate ~/both.pem", "current: nobody"),
        (&[], "--context other --certificate ~/both.pem", "other: nobody"),
        (
            &[],
            "--context other --certificate ~/both.pem --user ann --password-file ~/password",
            "other: ann by pa55word",
        ),
    ] {
        let said = person.with(variables, &format!("{options} api GET /who")).await;
        assert_eq!(said.out, format!("{who}\n"), "{variables:?} {options} {said:?}");
    }
    // Nothing is kept of this one, and what the environment says may be meant for another server.
    person
        .good(&format!(
            "login {} --user ann --password-file ~/password --name bare",
            other.url
        ))
        .await;
    person.good("logout bare").await;
    person.good("context use current").await;
    other.lines();
    let variables = [("OCCI_PASSWORD", "s3cret-environment")];
    for options in [
        "--context bare",
        "--context bare --user ann",
        "--context bare --user bob",
    ] {
        let said = person.with(&variables, &format!("{options} api GET /who")).await;
        said.fails(options, 2, &["a password is needed"]);
    }
    assert_eq!(other.lines(), [""; 0]);
    let said = person
        .with(&[variables[0], ("OCCI_CONTEXT", "bare")], "api GET /who")
        .await;
    assert_eq!(said.out, "other: ann by environment\n", "{said:?}");
}
