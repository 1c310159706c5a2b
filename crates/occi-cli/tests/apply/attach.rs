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
