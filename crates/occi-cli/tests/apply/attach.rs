//! `occi attach` and `occi detach`.

use crate::world::World;

pub(crate) fn links_come_and_go_by_name() {
    let world = World::new();
    world.good("create network lan --address 10.1.0.0/24 --wait");
    world.good("create storage data --size 1G --wait");
    world.good("create compute web1 --wait");

    let would = world.good("attach web1 data --dry-run");
    assert!(would.starts_with("would create"), "{would}");
    assert_eq!(world.good("list storagelink -o name"), "");

    let link = world.good("attach web1 data --device /dev/vdb --wait");
    assert!(link.starts_with("/storagelink/"), "{link}");
    let again = world.occi("attach web1 storage/data");
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    assert!(again.err.contains("already"), "{again:?}");
    let link = world.good(
        "attach web1 network/lan --address 10.1.0.9 --wait -o jsonpath=$.attributes['occi.networkinterface.address']",
    );
    assert_eq!(link, "10.1.0.9\n");
    let strange = world.occi("attach web1 lan --device /dev/vdc");
    assert_eq!(strange.code, Some(2), "{strange:?}");

    // The kinds say which of the two is the machine.
    for (first, second) in [("web1", "data"), ("data", "web1")] {
        world.good(&format!("detach {first} {second} --wait"));
        assert_eq!(world.good("list storagelink -o name"), "");
        let link = world.good(&format!("attach {second} {first} --wait"));
        assert!(link.starts_with("/storagelink/"), "{link}");
    }
    world.good("create compute web2 --wait");
    for line in ["attach data lan", "attach web1 web2"] {
        let senseless = world.occi(line);
        assert_eq!(senseless.code, Some(2), "{line}: {senseless:?}");
        assert_eq!(senseless.err.lines().count(), 1, "{line}: {senseless:?}");
    }
    let links = world.good("list link -o name");
    assert!(!links.contains("/link/"), "{links}");

    world.good("detach web1 data --wait");
    assert_eq!(world.good("list storagelink -o name"), "");
    let gone = world.occi("detach web1 data");
    assert_eq!(gone.code, Some(3), "{gone:?}");
    let all = world.good("list networkinterface --filter occi.networkinterface.address=10.1.0.9 -o name");
    let link = all.trim();
    world.good(&format!("detach {link} --wait"));
    assert_eq!(
        world.good("list networkinterface --filter occi.networkinterface.address=10.1.0.9 -o name"),
        ""
    );
}

pub(crate) fn links_between_the_same_ends_are_told_apart() {
    let world = World::new();
    world.good("create compute web1 --wait");
    world.good("create network lan --address 10.1.0.0/24 --wait");
    let link =
        |address: &str| format!("- networkinterface:\n  source: web1\n  target: network/lan\n  address: {address}\n");
    let two = world.file("two.yaml", &(link("10.1.0.7") + &link("10.1.0.8")));
    world.good(&format!("apply -f {two}"));
    let addresses =
        || world.good("list networkinterface -o csv --columns addresses --sort addresses --filter target~network");
    let both = addresses();
    assert!(both.contains("10.1.0.7") && both.contains("10.1.0.8"), "{both}");
    // Whichever stands first.
    let turned = world.file("turned.yaml", &(link("10.1.0.8") + &link("10.1.0.7")));
    assert_eq!(world.good(&format!("diff -f {turned}")), "nothing differs\n");
    // What says nothing leaves to each of the others what is its own.
    let bare = "- networkinterface:\n  source: web1\n  target: network/lan\n";
    let inside = |links: &[&str]| format!("- compute: web1\n  links: [{}]\n", links.join(", "));
    let (any, seven, nine) = (
        "network/lan",
        "{network: lan, address: 10.1.0.7}",
        "{network: lan, address: 10.1.0.9}",
    );
    for text in [bare.to_owned() + &link("10.1.0.7"), inside(&[any, seven])] {
        world.file("bare.yaml", &text);
        let diff = world.occi("diff -f bare.yaml");
        assert_eq!(diff.out, "nothing differs\n", "{text}");
    }
    // Of one of them nobody can say which it was.
    for text in [link("10.1.0.9"), bare.to_owned() + &link("10.1.0.9")] {
        world.file("other.yaml", &text);
        let refused = world.occi("apply -f other.yaml --yes");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("could be any of 2"), "{refused:?}");
    }
    assert_eq!(addresses(), both);
    for text in [
        link("10.1.0.7") + &link("10.1.0.9"),
        link("10.1.0.9") + &link("10.1.0.7"),
        inside(&[nine, seven]),
        inside(&[nine, "{network: lan, address: 10.1.0.8}"]),
    ] {
        world.file("other.yaml", &text);
        let would = world.good("apply -f other.yaml --dry-run");
        let changed = match text.contains("10.1.0.7") {
            true => "10.1.0.8 -> 10.1.0.9",
            false => "10.1.0.7 -> 10.1.0.9",
        };
        assert!(would.contains(changed), "{text}{would}");
        assert_eq!(would.matches("->").count(), 1, "{text}{would}");
    }
    // With one of them gone, it is the other that is missing.
    let eight = world.good("list networkinterface --filter occi.networkinterface.address=10.1.0.8 -o name");
    world.good(&format!("delete {} --wait", eight.trim()));
    for text in [inside(&[any, seven]), bare.to_owned() + &link("10.1.0.7")] {
        world.file("bare.yaml", &text);
        let would = world.good("apply -f bare.yaml --dry-run");
        assert!(would.contains("+ ") && !would.contains("10.1.0"), "{text}{would}");
    }
    world.good("apply -f bare.yaml");
    assert!(addresses().contains("10.1.0.7"));
    assert_eq!(world.good("diff -f bare.yaml"), "nothing differs\n");
}

pub(crate) fn a_link_of_a_machine_is_none_that_stands_alone() {
    let world = World::new();
    world.good("create network lan --address 10.1.0.0/24 --wait");
    let seven = "  address: 10.1.0.7\n";
    let alone = |more: &str| format!("- networkinterface:\n  source: web1\n  target: lan\n{more}");
    let file = |networks: &str, alone: &str| format!("- compute: web1\n  networks: [{networks}]\n{alone}");
    world.file("web.yaml", &file("", &alone(seven)));
    world.good("apply -f web.yaml");
    // What the one says is not what the other takes.
    world.file("web.yaml", &file("lan", &alone(seven)));
    let would = world.good("apply -f web.yaml --dry-run");
    assert!(would.contains("+     networkinterface to lan\n"), "{would}");
    world.good("apply -f web.yaml --yes");
    for (networks, more) in [
        ("lan", seven),
        ("{network: lan, address: 10.1.0.7}", ""),
        ("{network: lan, address: 10.1.0.7}, lan", ""),
    ] {
        let text = file(networks, &alone(more));
        world.file("web.yaml", &text);
        let would = world.good("apply -f web.yaml --dry-run");
        let expected = match networks.ends_with(", lan") {
            true => "+ networkinterface web1 to lan\n",
            false => "nothing differs\n",
        };
        assert_eq!(would, expected, "{text}");
    }
    // What is a link of the machine does not become what stands alone.
    world.file("web.yaml", &file("{network: lan, address: 10.1.0.7}", ""));
    world.good("apply -f web.yaml --yes");
    world.file(
        "web.yaml",
        &file("{network: lan, address: 10.1.0.7}", &alone("  address: 10.1.0.9\n")),
    );
    let would = world.good("apply -f web.yaml --dry-run");
    assert!(would.starts_with("+ networkinterface web1 to lan\n"), "{would}");
}
