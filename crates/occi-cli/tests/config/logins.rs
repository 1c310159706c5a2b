//! The log-ins that the help shows, at servers of a few lines.

use crate::person::{PASSWORD, Person, TOKEN};
use crate::stub::Stub;
use crate::{clouds, provider};
use serde_json::Value as Json;
use std::time::Duration;

/// Each is understood, asks in the way that it says, and is kept.
pub(crate) async fn help() {
    let person = Person::new();
    let (server, behind) = (Stub::of("one").await, clouds::server("near").await);
    let keystone = clouds::keystone(&behind.url, &behind.url).await;
    let issuer = provider::provider("http", Duration::ZERO).await;
    person.write("token.txt", TOKEN);
    let signed = rcgen::generate_simple_self_signed(["ann".to_owned()]).unwrap();
    let proxy = signed.cert.pem() + &signed.signing_key.serialize_pem();
    person.write("x509up_u1000", &proxy);
    person.write(
        "bin/pass",
        &format!("#!/bin/sh\n[ \"$*\" = 'show occi/lab' ] && echo {PASSWORD}\n"),
    );
    person.set_mode("bin/pass", 0o700);
    let path = format!("{}:/usr/bin:/bin", person.path("bin").display());

    let help = person.good("login --help").await;
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines: Vec<_> = lines.take_while(|line| line.starts_with("  occi login ")).collect();
    assert_eq!(lines.len(), 6, "{help}");
    for line in lines {
        let has = |option: &str| line.contains(option);
        let (at, auth, who) = match () {
            () if has("--keystone") => (&behind, "keystone", "near: ann@Default-p1\n"),
            () if has("--oidc") => (&server, "oidc", "one: bearer 1\n"),
            () if has("--token-file") => (&server, "bearer", "one: bearer t0ken\n"),
            () if has("--certificate") => (&server, "none", "one: nobody\n"),
            () => (&server, "basic", "one: ann by pa55word\n"),
        };
        let line = line
            .replace("https://cloud.example.org:5000", &keystone.url)
            .replace("https://cloud.example.org:11443/", &at.url)
            .replace("https://cloud.example.org", &at.url)
            .replace("https://id.example.org/lab", &format!("{}realm", issuer.url))
            .replace("/tmp/x509up_u1000", &person.path("x509up_u1000").display().to_string());
        assert!(!line.contains("example.org"), "{line}");
        // Quotes are round what holds spaces.
        let words = line
            .split('\'')
            .enumerate()
            .flat_map(|(number, part)| match number % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![part],
            });
        let words: Vec<_> = words.skip(1).chain(["-o", "json"]).collect();
        let asked = has("--user") && !has("--password-command");
        let password = asked.then_some(("OCCI_PASSWORD", PASSWORD));
        let variables: Vec<_> = [("PATH", path.as_str())].into_iter().chain(password).collect();
        let said = person.run(&variables, &words, "").await;
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        let shown: Json = serde_json::from_str(&said.out).unwrap();
        assert_eq!(shown["auth"], auth, "{line}");
        assert_eq!(shown["certificate"].is_string(), has("--certificate"), "{line}");
        if has("--name lab") {
            assert_eq!(shown["name"], "lab", "{line}");
        }
        let said = person
            .run(&[("PATH", path.as_str())], &["api", "GET", "/who"], "")
            .await;
        assert_eq!(said.out, who, "{line}: {said:?}");
        let name = shown["name"].as_str().unwrap();
        person.good(&format!("context remove {name}")).await;
    }
}
