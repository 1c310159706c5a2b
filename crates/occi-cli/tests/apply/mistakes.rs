//! What cannot be is refused in words that name the mistake.

use crate::world::World;

pub(crate) fn a_mistake_is_called_what_it_is() {
    let world = World::new();
    world.good("create compute web1 --wait");
    for (line, code, words) in [
        (
            "compute frob web1",
            2,
            &["there is no verb \"frob\"", "occi act frob NAME"][..],
        ),
        ("compute", 2, &["compute is a kind", "occi list compute"]),
        ("act frob web1", 3, &["no action \"frob\"", "occi list action"]),
        ("act up web1", 3, &["a compute has no action \"up\"", "it has start, "]),
        ("act up nothing", 3, &["there is nothing called \"nothing\""]),
        (
            "act stop web1 -p method=nope",
            2,
            &["method of stop is one of graceful, acpioff, poweroff, and \"nope\" is none"],
        ),
        (
            "create compute web2 --network nope",
            3,
            &["there is no network called \"nope\""],
        ),
        (
            "get compute",
            3,
            &["called \"compute\"", "compute is a kind: occi list compute"],
        ),
        ("delete compute", 3, &["occi list compute", "occi delete compute --all"]),
        (
            "wait web1 --for nonsense",
            2,
            &[
                "no state \"nonsense\": it is active, inactive, suspended, error, or gone",
                "state=nonsense",
            ],
        ),
        (
            "wait web1 --for inactive,suspended --within 0s",
            6,
            &[
                "go on waiting: occi wait /compute/",
                " --for state=inactive,suspended\n",
            ],
        ),
        (
            "wait web1 --for state=nonsense --within 0s",
            6,
            &[" --for state=nonsense\n"],
        ),
        (
            "wait web1 --for cores=77 --within 0s",
            6,
            &[" --for 'occi.compute.cores=77'\n"],
        ),
        (
            "list compute --filter title~=a",
            2,
            &["a filter is NAME=VALUE or NAME~PART, and ~= is neither"],
        ),
        ("create storage s --size -1", 2, &["unexpected argument '-1' found"]),
        ("wait web1 --for gone --within 0s", 6, &[" --for gone\n"]),
    ] {
        let said = world.occi(line);
        assert_eq!(said.code, Some(code), "{line}: {said:?}");
        assert!(words.iter().all(|words| said.err.contains(words)), "{line}: {said:?}");
        for untrue in ["occi describe", "as a value"] {
            assert!(!said.err.contains(untrue), "{line}: {said:?}");
        }
    }
    // Another action's words are not those of this one.
    world.good("act restart web1 -p method=cold");
}
