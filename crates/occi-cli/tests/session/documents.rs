//! What a program reads of verbs that act: one document, however many things were named.

use crate::{Person, SCENE};
use serde_json::Value as Json;

pub(crate) fn documents() {
    let person = Person::new();
    person.reads(SCENE);
    person.reads("occi create storage more --size 1G --wait && occi create storage still --size 1G --wait");
    let json = |line: &str| -> Json {
        let text = person.reads(&format!("{line} -o json -q"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    };
    for line in [
        "occi stop web1 web2 --wait",
        "occi start web1 web2 --wait",
        "occi update web1 web2 summary=x --wait",
        "occi wait web1 web2",
        "occi wait $(occi list operation --limit 2 -o jsonpath='$[*].location')",
        "occi act offline more still --wait",
        "occi resize more still 2G --wait",
        "occi attach web1 data lan --wait",
        // One of them is attached already.
        "occi attach web1 data more --wait",
    ] {
        let all = json(line);
        let all = all.as_array().unwrap_or_else(|| panic!("{line}: {all}"));
        assert_eq!(all.len(), 2, "{line}: {all:?}");
    }
    for (line, member, expected) in [
        ("occi stop web1 --wait", "title", "web1"),
        ("occi update web1 summary=y", "title", "web1"),
        ("occi wait web1 --for inactive", "title", "web1"),
        ("occi attach web1 still --wait", "target", "/storage/"),
        ("occi resize still 3G --wait", "title", "still"),
        ("occi create storage new --size 1G --wait", "title", "new"),
        // What comes of it is a template.
        ("occi save web1 --as gold --wait", "id", "os_tpl#gold"),
    ] {
        let one = json(line);
        let found = one[member].as_str().unwrap_or_else(|| panic!("{line}: {one}"));
        assert!(found.contains(expected), "{line}: {one}");
    }
    // What would be done is a document too.
    let operation = person.reads("occi list operation --limit 1 -o jsonpath='$[0].id'");
    let cancel = format!("delete operation {}", operation.trim());
    for (line, would, name) in [
        ("stop web1 --method poweroff", "stop", "web1"),
        ("start web1", "start", "web1"),
        ("save web1 --as gold", "save", "web1"),
        ("act offline still", "offline", "still"),
        ("resize still 3G", "resize", "still"),
        ("detach web1 still", "detach", "still from web1"),
        ("delete still", "delete", "still"),
        (
            "delete os_tpl#gold",
            "delete",
            "http://occid.local/occi/infrastructure/os_tpl#gold",
        ),
        (&cancel, "cancel", operation.trim()),
        (
            "create mixin http://example.org/tags#red",
            "create",
            "http://example.org/tags#red",
        ),
        ("image upload commands.txt --name text", "upload", "text"),
        ("update web1 --without green", "take", "web1"),
        ("logout lab", "logout", "lab"),
        ("context remove lab", "remove", "lab"),
    ] {
        let one = json(&format!("occi {line} --dry-run"));
        assert_eq!((&one["would"], &one["name"]), (&would.into(), &name.into()), "{line}");
    }
    let stop = json("occi stop web1 --method poweroff --dry-run");
    assert_eq!(stop["parameters"], serde_json::json!({ "method": "poweroff" }));
    for line in ["stop web1 web2", "delete web1 still", "delete storage --all"] {
        let all = json(&format!("occi {line} --dry-run"));
        assert!(all.as_array().is_some_and(|all| all.len() > 1), "{line}: {all}");
    }
    // Of a file each thing is named as the file names it.
    let file = person.home.path().join("still.yaml");
    std::fs::write(&file, "- storage: still\n- storage: more\n- storage: nowhere\n").unwrap();
    let all = json("occi delete -f still.yaml --dry-run");
    let all: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["would"], &one["name"]))
        .collect();
    let delete = "delete".into();
    assert_eq!(
        all,
        [(&delete, &"storage more".into()), (&delete, &"storage still".into())]
    );
    std::fs::write(&file, "- storage: still\n").unwrap();
    let one = json("occi delete -f still.yaml --dry-run");
    let location = person.reads("occi show still -o name");
    assert_eq!((&one["would"], &one["location"]), (&delete, &location.trim().into()));
    // A volume that is made first is sent before its machine.
    let both = json("occi create compute db1 --volume journal:10G --dry-run");
    assert_eq!(both[0]["attributes"]["occi.storage.size"], 10.0, "{both}");
    let titles: Vec<_> = both
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["attributes"]["occi.core.title"])
        .collect();
    assert_eq!(titles, ["journal", "db1"], "{both}");
    assert_eq!(person.reads("occi delete still --dry-run -o name"), location);
    let csv = person.reads("occi delete web1 still --dry-run -o csv");
    assert!(csv.starts_with("would,name,location\ndelete,web1,/compute/"), "{csv}");
    let csv = person.reads("occi update web1 web2 summary=z -o csv -q");
    let titles: Vec<_> = csv.lines().filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(titles, ["title", "web1", "web2"], "{csv}");
    // What was done is told, also if the rest was not; what deletes has nothing to show.
    let output = person.types("occi update web1 web1 /compute/nobody summary=w -o json -q");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let done: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done[0]["title"], "web1");
    // All that failed is told in its order, and the first decides how it ends.
    person.reads("occi start web1 --wait -q && occi suspend web1 --wait");
    for (line, code) in [("suspend web1 /compute/nobody", 5), ("suspend /compute/nobody web1", 3)] {
        let output = person.types(&format!("occi {line}"));
        let said = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!((output.status.code(), errors.len()), (Some(code), 2), "{line}: {said}");
        assert_eq!(errors[0].contains("nobody"), code == 3, "{line}: {said}");
    }
    assert_eq!(person.reads("occi delete new web2 --yes --wait -o json -q"), "");
}
