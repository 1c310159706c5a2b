//! An `occid` with the engine in memory.

use crate::run::Run;
use crate::world::{Said, World};
use std::fmt::Write;

fn line(world: &World, line: &str) -> Run {
    Run::new(&format!(
        "-e {} -n basic -u admin -p {} {line}",
        world.url, world.password
    ))
}

fn occi(world: &World, said: &str) -> Said {
    line(world, said).said()
}

fn good(world: &World, said: &str) -> String {
    let answer = occi(world, said);
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (Some(0), ""),
        "occi {said}: {answer:?}"
    );
    answer.out
}

fn make(world: &World, said: &str) -> String {
    let location = good(world, said).trim_end().to_owned();
    assert!(location.starts_with(&world.url), "{location}");
    location
}

/// Without what differs from run to run: the address, and ids in the order in which they come.
fn masked(world: &World, text: &str) -> String {
    let text = text.replace(&world.url, "http://occid");
    let mut ids: Vec<String> = Vec::new();
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        match rest.get(..36).filter(|word| uuid::Uuid::try_parse(word).is_ok()) {
            Some(id) => {
                let number = ids.iter().position(|known| known == id).unwrap_or_else(|| {
                    ids.push(id.to_owned());
                    ids.len() - 1
                });
                let _ = write!(masked, "<id {}>", number + 1);
                rest = &rest[36..];
            }
            None => {
                masked.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    masked
}

/// Every format of everything that is printed.
pub(crate) async fn outputs() {
    let world = World::new();
    let storage = make(
        &world,
        "-a create -r storage -t occi.core.title=data -t occi.storage.size='num(10)' -w 60",
    );
    let network = make(&world, "-a create -r network -t occi.core.title=lan -w 60");
    let compute = make(
        &world,
        &format!(
            "-a create -r compute -M os_tpl#tiny,resource_tpl#small -t 'occi.core.title=\"web, 1\"' -j {network} -j {storage} -w 60"
        ),
    );
    let links = good(&world, "-a list -r storagelink");
    let link = links.trim_end();
    for (name, what) in [
        (
            "list",
            "list -r compute|list -r network|list -r storage|list -r os_tpl|list -r resource_tpl|list -r ipreservation",
        ),
        ("compute", &format!("describe -r {compute}")),
        ("network", &format!("describe -r {network}")),
        ("storage", "describe -r storage"),
        ("link", &format!("describe -r {link}")),
        (
            "templates",
            "describe -r os_tpl|describe -r resource_tpl#small|describe -r ipreservation",
        ),
        ("discover", "discover -i link"),
    ] {
        let mut text = String::new();
        for what in what.split('|') {
            for format in ["plain", "json", "json_pretty"] {
                let out = good(&world, &format!("-a {what} -o {format}"));
                let what = masked(&world, what);
                let _ = write!(text, "$ occi -a {what} -o {format}\n{}", masked(&world, &out));
            }
            // Links are whole in all of them, and locations are pretty in one only.
            let [json, pretty, extended, extended_pretty] =
                ["json", "json_pretty", "json_extended", "json_extended_pretty"]
                    .map(|format| good(&world, &format!("-a {what} -o {format}")));
            assert_eq!(extended, json, "{what}");
            let is_list = what.starts_with("list");
            assert_eq!(&extended_pretty, if is_list { &json } else { &pretty }, "{what}");
            let [json, pretty]: [serde_json::Value; 2] =
                [json, pretty].map(|text| serde_json::from_str(&text).unwrap());
            assert_eq!(json, pretty, "{what}");
        }
        insta::assert_snapshot!(name, text);
    }
    let filter = "-m -F http://schemas.ogf.org/occi/infrastructure#storagelink";
    let text = good(&world, filter) + &good(&world, &format!("{filter} -o json"));
    insta::assert_snapshot!("dump", masked(&world, &text));
    let all = good(&world, "-m");
    assert!(all.contains("Dumping \"@actions\":\n\nstart;scheme="), "{all}");
}

/// The life of a machine by each of the media types.
pub(crate) async fn renderings() {
    let world = World::new();
    for media in [
        "text/plain",
        "text/occi",
        "text/plain,text/occi",
        "application/occi+json",
    ] {
        let with = |said: &str| good(&world, &format!("{said} -y {media}"));
        let compute = with("-a create -r compute -M os_tpl#tiny -M resource_tpl#small -t occi.core.title=x -w 60");
        let compute = compute.trim_end();
        let shown = with(&format!("-a describe -r {compute} -o json"));
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let at = |path: &str| shown.pointer(path).cloned().unwrap_or_default();
        assert_eq!(at("/0/attributes/occi/compute/state"), "active", "{media}: {shown}");
        assert_eq!(at("/0/attributes/occi/compute/hostname"), "x", "{media}");
        assert!(at("/0/attributes/occi/compute/cores").is_i64(), "{media}");
        assert_eq!(good(&world, "-a list -r compute"), format!("{compute}\n"));
        assert_eq!(with(&format!("-a trigger -r {compute} -g stop -t method=poweroff")), "");
        assert_eq!(with(&format!("-a update -r {compute} -M resource_tpl#large")), "");
        let saved = with(&format!("-a trigger -r {compute} -g save -t name=gold"));
        assert!(saved.contains("os_tpl#gold"), "{media}: {saved}");
        assert_eq!(with(&format!("-a delete -r {compute}")), "");
        let gone = occi(&world, &format!("-a describe -r {compute} -y {media}"));
        assert_eq!(gone.code, Some(1));
        assert!(gone.err.contains("[404] Not Found"), "{gone:?}");
    }
}

/// The one exception to what always was.
pub(crate) async fn delete_all() {
    let world = World::new();
    let create = || {
        make(
            &world,
            "-a create -r storage -t occi.core.title=data -t occi.storage.size=1 -w 60",
        )
    };
    let storage = create();
    let url = &world.url;
    for what in [
        "storage",
        "http://schemas.ogf.org/occi/infrastructure#storage",
        "/storage/",
        "/storage",
        "//storage//",
        "/storage/.",
        "/storage/?x=y",
        "/storage?x=y",
        "/compute/../storage",
        "/",
        "/mixin/os_tpl/tiny",
        &format!("{url}/storage/"),
        &format!("{url}/storage"),
        &format!("{url}/"),
        url,
    ] {
        let refused = occi(&world, &format!("-a delete -r {what}"));
        let printed = (refused.code, refused.out.as_str());
        assert_eq!(printed, (Some(1), ""), "{what}: {refused:?}");
        assert!(
            refused.err.contains("--yes or OCCI_LEGACY_DELETE_ALL=1"),
            "{what}: {refused:?}"
        );
        let answered = line(&world, &format!("-a delete -r {what}")).stdin("y\n").said();
        assert_eq!(answered.code, Some(1), "an answer comes from a terminal");
    }
    // The modern form has a verb for one thing, and --all for everything.
    for what in [
        "/storage/",
        "/storage",
        "//storage//",
        "/storage/.",
        "/storage/x/..",
        "/storage/%2e",
        "/storage/?x=y",
        "/storage?x=y",
        "/compute/../storage",
        "/networklink",
        "/",
        &format!("{url}/storage/."),
        url,
    ] {
        for line in [
            format!("delete --yes {what}"),
            format!("act offline {what}"),
            format!("update {what} title=x"),
            format!("delete operation {what}"),
            format!("detach {what}"),
        ] {
            let refused = world.occi(&line);
            assert_eq!(refused.code, Some(2), "{line}: {refused:?}");
        }
    }
    let kept = world.good("list storage -o jsonpath=$[*]['title','state']");
    assert_eq!(kept, "data\nonline\n");
    assert_eq!(good(&world, "-a list -r storage"), format!("{storage}\n"));
    for what in ["storage", "/storage/", "/storage", "/"] {
        let meant = line(&world, &format!("-a delete -r {what}"))
            .env("OCCI_LEGACY_DELETE_ALL", "1")
            .said();
        assert_eq!(meant.code, Some(0), "{what}: {meant:?}");
        assert_eq!(good(&world, "-a list -r storage"), "\n", "{what}");
        create();
    }
    assert_eq!(good(&world, "-a unlink -r storage --yes"), "");
    assert_eq!(good(&world, "-a list -r storage"), "\n");
}
