//! `occi apply`, `occi diff`, `occi delete -f`.

use crate::world::{World, said};
use std::io::{BufRead, BufReader};
use std::process::Command;

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDiGZw5z0X7x3u3o4m6vC8cM1rJq4Q6p3fC7yqz0a3bT me@example.org\n";

/// Machines first: the order is for the program to find.
const WEB: &str = r##"
- compute: web1
  os: debian12
  size: small
  networks: [{network: lan, address: 10.1.0.7}]
  volumes: [{storage: data, device: /dev/vdb}]
  key: "@id.pub"
  user_data: "#!/bin/true"
  attributes: {occi.compute.hostname: web1}
- compute: web2
  cores: 2
  memory: 512M
  networks: [lan]
- network: lan
  address: 10.1.0.0/24
  gateway: 10.1.0.1
- storage: data
  size: 10G
- network: dmz
"##;

/// That of `docs/apply.md`.
pub(crate) fn example() -> String {
    let document = include_str!("../../../../docs/apply.md");
    let mut parts = document.split("```");
    let example = parts.find_map(|part| part.strip_prefix("yaml\n"));
    example.expect("an example").to_owned()
}

/// The methods of the requests that a command sends.
pub(crate) fn methods(world: &World, line: &str) -> Vec<String> {
    let said = world.occi(&format!("{line} --debug"));
    assert_eq!(said.code, Some(0), "{said:?}");
    let sent = said.err.lines().filter_map(|line| line.strip_prefix("> "));
    let sent = sent.filter(|line| line.contains(" http://"));
    sent.map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

pub(crate) fn what_is_missing_is_made_in_order_and_then_nothing_differs() {
    let world = World::new();
    world.file("id.pub", KEY);
    world.file("web.yaml", WEB);

    let diff = world.occi("diff -f web.yaml");
    assert_eq!((diff.code, diff.err.as_str()), (Some(1), ""), "{diff:?}");
    let would = world.good("apply -f web.yaml --dry-run");
    assert_eq!(diff.out, would);
    let place = |words: &str| would.find(words).unwrap_or_else(|| panic!("no {words:?} in {would}"));
    assert!(place("+ network lan\n") < place("+ compute web1\n"), "{would}");
    assert!(place("+ storage data\n") < place("+ compute web1\n"), "{would}");
    assert!(!would.contains("AAAAC3"), "{would}");
    assert_eq!(world.good("list -o name"), "", "a dry run makes nothing");

    // Nothing is taken away, so nobody is asked.
    world.good("apply -f web.yaml");
    let json = world.good("show compute/web1 -o json");
    for part in ["/dev/vdb", "10.1.0.7", "os_tpl#debian12", "\"active\""] {
        assert!(json.contains(part), "{part}: {json}");
    }
    assert_eq!(world.good("apply -f web.yaml"), "nothing differs\n");
    let sent = methods(&world, "apply -f web.yaml");
    assert!(
        !sent.is_empty() && sent.iter().all(|method| method == "GET"),
        "{sent:?}"
    );
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");

    // What the file does not name is left alone.
    world.good("update web2 summary=mine --wait");
    world.good("attach web2 storage/data --dry-run");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");
}

pub(crate) fn what_differs_is_changed_and_nothing_else() {
    let world = World::new();
    world.file("id.pub", KEY);
    world.file("web.yaml", WEB);
    world.good("apply -f web.yaml");
    let changed = WEB
        .replace("10G", "20G")
        .replace("memory: 512M", "memory: 1\n  summary: second")
        .replace("networks: [lan]", "networks: [network/dmz]\n  volumes: []");
    world.file("web.yaml", &changed);

    let would = world.good("apply -f web.yaml --dry-run");
    let lines: Vec<_> = would
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "~ storage data",
            "~ occi.storage.size: 10 GiB -> 20 GiB",
            "~ compute web2",
            "~ occi.compute.memory: 512 MiB -> 1 GiB",
            "+ occi.core.summary: second",
            "+ networkinterface to dmz",
            "- networkinterface to lan",
        ]
    );
    // A network is taken away, and there is nobody to ask.
    let refused = world.occi("apply -f web.yaml");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("--yes"), "{refused:?}");
    let told = world.good("apply -f web.yaml --yes -o csv");
    let changes: Vec<_> = told.lines().filter(|line| line.starts_with("changed,")).collect();
    assert_eq!(changes.len(), 2, "{told}");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");
    assert_eq!(
        world.good("show data -o jsonpath=$.attributes['occi.storage.size']"),
        "20.0\n"
    );

    // A template is for ever.
    world.file("web.yaml", &changed.replace("debian12", "tiny"));
    let refused = world.occi("apply -f web.yaml");
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("web.yaml:2: compute web1"), "{refused:?}");

    // What is refused on the way says how far it came, and the next run goes on.
    let broken =
        format!("- storage: more\n  size: 1G\n{changed}- network: bad\n  address: 127.0.0.0/8\n").replace("20G", "30G");
    world.file("web.yaml", &broken);
    let stopped = world.occi("apply -f web.yaml");
    assert_ne!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.err.contains("error: network bad: "), "{stopped:?}");
    assert!(stopped.err.contains("  done: storage more"), "{stopped:?}");
    assert!(stopped.err.contains("  not done: network bad"), "{stopped:?}");
    world.file("web.yaml", &broken.replace("127.0.0.0/8", "10.7.0.0/24"));
    let made = world.good("apply -f web.yaml");
    assert!(
        made.starts_with("network bad: created") && made.lines().count() == 1,
        "{made}"
    );

    // What cannot become smaller is refused before anything is done.
    world.file("web.yaml", &broken.replace("30G", "5G").replace("bad", "other"));
    let smaller = world.occi("apply -f web.yaml --dry-run");
    assert_eq!(smaller.code, Some(5), "{smaller:?}");
    assert!(smaller.err.contains("storage data: a volume only grows"), "{smaller:?}");
    world.file("web.yaml", &broken.replace("127.0.0.0/8", "10.7.0.0/24"));

    // In the other direction, and what has gone already is no failure.
    world.good("delete web2 --wait");
    let would = world.good("delete -f web.yaml --dry-run");
    assert!(!would.contains("web2") && would.contains("web1"), "{would}");
    assert_eq!(world.occi("delete -f web.yaml").code, Some(2));
    world.good("delete -f web.yaml --yes");
    assert_eq!(world.good("list -o name"), "");
    world.good("delete -f web.yaml --yes");
}

pub(crate) fn what_is_said_once_is_refused_where_it_is_otherwise() {
    let world = World::new();
    let machine = |links: &str| format!("- network: lan\n- compute: a\n  networks: [{links}]\n");
    world.file("web.yaml", &machine("{network: lan, interface: eth0}"));
    let would = world.good("apply -f web.yaml --dry-run");
    assert!(would.contains("occi.networkinterface.interface: eth0"), "{would}");
    world.good("apply -f web.yaml");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");

    let other = machine("{network: lan, interface: eth7}");
    let alone = "- network: lan\n- networkinterface:\n  source: compute/a\n  target: lan\n  interface: eth7\n";
    for (text, place) in [
        (other.as_str(), "web.yaml:3: compute a: "),
        (alone, "web.yaml:2: networkinterface "),
    ] {
        world.file("web.yaml", &format!("{text}- network: more\n"));
        let refused = world.occi("apply -f web.yaml --yes");
        assert_eq!(refused.code, Some(5), "{refused:?}");
        for words in [
            place,
            "occi.networkinterface.interface is eth0 and not eth7",
            "cannot be changed once it is there",
            "occi delete /networkinterface/",
        ] {
            assert!(refused.err.contains(words), "{words}: {refused:?}");
        }
        assert_eq!(world.good("list network -o name").lines().count(), 1);
    }

    // One more between the same two is no change of the first, whichever the file names first.
    world.file(
        "web.yaml",
        &machine("{network: lan, interface: eth1}, {network: lan, interface: eth0}"),
    );
    world.good("apply -f web.yaml");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");
    assert_eq!(world.good("list networkinterface -o name").lines().count(), 2);
}

pub(crate) fn what_was_broken_off_goes_on() {
    // A cloud that takes its time.
    let world = World::with(&["--backend", "memory"], "[backend.memory]\npersonality = \"remote\"\n");
    world.file("id.pub", KEY);
    world.file("web.yaml", WEB);
    let mut first = world.command("apply -f web.yaml").spawn().expect("occi starts");
    let mut line = String::new();
    let stdout = first.stdout.as_mut().expect("occi has a stdout");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("occi says something");
    assert!(line.contains("created"), "{line}");
    let interrupted = Command::new("kill").args(["-INT", &first.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    let first = said(first);
    assert_eq!(first.code, Some(130));
    let made = line.split(':').next().unwrap_or_default();
    assert!(first.err.contains(&format!("  done: {made}")), "{first:?}");
    assert!(
        first.err.contains("  not done: ") && first.err.contains("compute web1"),
        "{first:?}"
    );

    world.good("apply -f web.yaml");
    assert_eq!(world.good("diff -f web.yaml"), "nothing differs\n");
    for (kind, number) in [
        ("compute", 2),
        ("network", 2),
        ("storage", 1),
        ("networkinterface", 2),
        ("storagelink", 1),
    ] {
        let all = world.good(&format!("list {kind} -o name"));
        assert_eq!(all.lines().count(), number, "{kind}: {all}");
    }
}

pub(crate) fn what_has_been_done_is_told_if_something_fails() {
    let world = World::new();
    world.file(
        "web.yaml",
        "- storage: one\n  size: 1G\n- storage: two\n  size: 1G\n\
         - compute: a\n  volumes: [one]\n- compute: b\n  volumes: [two]\n",
    );
    world.good("apply -f web.yaml");
    // A is less; b is less and something else; of the rest the first is refused by the server.
    world.file(
        "web.yaml",
        "- network: bad\n  address: 127.0.0.0/24\n- network: good\n  address: 10.2.0.0/24\n\
         - compute: a\n  volumes: []\n- compute: b\n  volumes: []\n  networks: [good]\n",
    );
    let failed = world.occi("apply -f web.yaml --yes");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for line in [
        "  done: compute a\n",
        "  done in part: compute b\n",
        "  not done: network bad, network good\n",
    ] {
        assert!(failed.err.contains(line), "{line}: {failed:?}");
    }
}

pub(crate) fn what_was_exported_can_be_applied_here_and_elsewhere() {
    let (here, elsewhere) = (World::new(), World::new());
    here.file("id.pub", KEY);
    here.file("web.yaml", WEB);
    here.good("apply -f web.yaml");
    // In the network that the project has of its own, which has no title.
    here.good("create compute alone --wait");
    let exported = here.good("list -o occi");
    let again = here.reading(&exported, "apply -f -");
    assert_eq!(
        (again.code, again.out.as_str()),
        (Some(0), "nothing differs\n"),
        "{again:?}"
    );

    let imported = elsewhere.reading(&exported, "apply -f -");
    assert_eq!(imported.code, Some(0), "{imported:?}");
    elsewhere.file("id.pub", KEY);
    elsewhere.file("web.yaml", WEB);
    assert_eq!(elsewhere.good("diff -f web.yaml"), "nothing differs\n");
    let again = elsewhere.reading(&exported, "diff -f -");
    assert_eq!(
        (again.code, again.out.as_str()),
        (Some(0), "nothing differs\n"),
        "{again:?}"
    );
    let one = elsewhere.good("show compute/web1 -o occi");
    let again = elsewhere.reading(&one, "diff -f -");
    assert_eq!(
        (again.code, again.out.as_str()),
        (Some(0), "nothing differs\n"),
        "{again:?}"
    );
}

pub(crate) fn an_id_of_another_server_is_not_taken_for_ones_own() {
    let world = World::new();
    world.good("create storage theirs --size 1G --wait");
    let id = world.good("list storage -o jsonpath=$[0].id");
    let file = |title: &str, size: u8| {
        let kind = "http://schemas.ogf.org/occi/infrastructure#storage";
        format!(
            "{{\"resources\": [{{\"kind\": \"{kind}\", \"id\": \"{}\", {title} \"attributes\": {{\"occi.storage.size\": {size}}}}}]}}",
            id.trim()
        )
    };
    let mine = "\"title\": \"mine\",";
    for verb in ["apply -f - --yes", "diff -f -", "delete -f - --yes"] {
        let refused = world.reading(&file(mine, 2), verb);
        assert_eq!(refused.code, Some(2), "{verb}: {refused:?}");
        assert!(refused.err.contains("is called \"theirs\""), "{verb}: {refused:?}");
    }
    // What goes by the title is meant, whatever its id; without a title the id says it.
    world.good("create storage mine --size 1G --wait");
    let sizes = |expected: &str| {
        let all = "list storage --sort title --columns title,size -o csv";
        assert_eq!(world.good(all), format!("title,occi.storage.size\n{expected}"));
    };
    assert_eq!(world.reading(&file(mine, 2), "apply -f -").code, Some(0));
    sizes("mine,2.0\ntheirs,1.0\n");
    assert_eq!(world.reading(&file("", 3), "apply -f -").code, Some(0));
    sizes("mine,2.0\ntheirs,3.0\n");
}

pub(crate) fn what_makes_no_sense_is_refused_with_its_line() {
    let world = World::new();
    world.good("create network twin --wait");
    world.good("create network twin --wait");
    for (text, words) in [
        (
            "- compute: a\n  coers: 2\n",
            "bad.yaml:2: \"coers\" means nothing for a compute",
        ),
        ("- compote: a\n", "bad.yaml:1: \"compote\" is no kind"),
        (
            "- compute: a\n  cores: many\n",
            "bad.yaml:2: occi.compute.cores is a number",
        ),
        ("- compute: a\n  memory: 2X\n", "bad.yaml:2: "),
        (
            "- compute: a\n  os: nothing\n",
            "bad.yaml:2: the server offers no os_tpl \"nothing\"",
        ),
        (
            "- compute: a\n  state: active\n",
            "bad.yaml:2: occi.compute.state is for the server to say",
        ),
        ("- compute: a\n  mixins: [nothing]\n", "bad.yaml:2: "),
        ("- compute: a\n  networks:\n  - nowhere\n", "bad.yaml:3: there is no"),
        (
            "- compute: a\n  networks:\n  - twin\n",
            "bad.yaml:3: \"twin\" could be any of 2",
        ),
        (
            "- compute: a\n  networks: [{storage: b}]\n",
            "bad.yaml:2: a network is meant here",
        ),
        (
            "- compute: a\n  links: [b]\n",
            "bad.yaml:2: say the kind of what this leads to",
        ),
        (
            "- storage: a\n",
            "bad.yaml:1: a storage has occi.storage.size, which is missing",
        ),
        (
            "- compute: a\n  networks: [/network/nope]\n",
            "bad.yaml:2: /network/nope: ",
        ),
        (
            "- compute: a\n  mixins: [small, medium]\n",
            "bad.yaml:1: small and medium",
        ),
        ("- compute:\n  cores: 1\n", "bad.yaml:1: a compute without a title"),
        (
            "- network: a\n- network: a\n",
            "bad.yaml:2: network a is at bad.yaml:1 already",
        ),
        (
            "- network: twin\n",
            "bad.yaml:1: there are 2 of that name: network twin",
        ),
        ("- storage: a\n  size: 1G\n  size: 2G\n", "bad.yaml:3: duplicate"),
        (
            "- storagelink:\n  source: a\n",
            "bad.yaml:1: a storagelink has a source and a target",
        ),
        (
            "- compute: a\n  links: [compute/b]\n- compute: b\n  links: [compute/a]\n",
            "bad.yaml:1: these refer to each other",
        ),
        ("compute: a\n", "bad.yaml:1: a file is a list of things"),
        ("hello\n", "bad.yaml:1: a file is a list of things"),
        ("- [a\n", "bad.yaml:1: "),
        (
            "- &a\n  compute: x\n  links: [*a]\n",
            "bad.yaml:3: this refers to itself",
        ),
        (
            "- compute: a\n  size: abc\n",
            "bad.yaml:2: the server offers no resource_tpl \"abc\"",
        ),
        ("- storage: a\n  size: abc\n", "bad.yaml:2: occi.storage.size is "),
        ("{\"resources\": [{\"id\": \"1\"}]}", "bad.yaml:1: an entity has a kind"),
        ("{\"resources\": [], \"linx\": []}", "bad.yaml:1: \"linx\" is no member"),
    ] {
        world.file("bad.yaml", text);
        let said = world.occi("apply -f bad.yaml --yes");
        assert_eq!(said.code.map(|code| code > 1), Some(true), "{text}: {said:?}");
        assert!(said.err.starts_with(&format!("error: {words}")), "{text}: {}", said.err);
    }
    assert_eq!(world.good("list -o name").lines().count(), 2);
    assert_eq!(world.occi("apply -f nofile.yaml").code, Some(1));
    std::fs::write(world.path("bad.yaml"), b"- network: a\n  summary: \xff\n").expect("a file");
    let said = world.occi("apply -f bad.yaml");
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(2), "error: bad.yaml:2: this is no text in UTF-8\n")
    );
    let levels = (1..9).map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9)));
    world.file("bad.yaml", &format!("a0: &a0 [x]\n{}", levels.collect::<String>()));
    let said = world.occi("apply -f bad.yaml");
    assert!(
        said.err.contains(": this is too much for one file") && said.err.len() < 200,
        "{said:?}"
    );
    world.file("bad.yaml", "- compute: a\n  key: '@nofile'\n");
    let said = world.occi("apply -f bad.yaml");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("bad.yaml:2: nofile: No such file"), "{said:?}");

    // Several files, and a directory of them.
    std::fs::create_dir(world.path("all")).expect("a directory");
    world.file("all/a.yaml", "- compute: a\n  networks: [b]\n");
    world.file("all/b.json", "[{\"address\": \"10.9.0.0/24\", \"network\": \"b\"}]");
    world.file("all/notes.txt", "no things");
    world.file("c.yaml", "- storage: 1.10\n  size: 1\n");
    world.good("apply -f all -f c.yaml");
    assert_eq!(world.good("list storage -o jsonpath=$[*].title"), "1.10\n");
    assert_eq!(world.good("diff -f all -f c.yaml"), "nothing differs\n");
}
