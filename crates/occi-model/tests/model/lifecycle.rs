//! The state machines, every state with every action (GFD.224).

use crate::common::*;
use occi_model::{Registry, production};
use rstest::rstest;

/// The diagram as a table: for each state the actions in the order of rendering, and where they lead.
type Diagram = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const COMPUTE_STATES: Diagram = &[
    ("inactive", &[("start", "active"), ("save", "inactive")]),
    (
        "active",
        &[
            ("stop", "inactive"),
            ("restart", "active"),
            ("suspend", "suspended"),
            ("save", "active"),
        ],
    ),
    ("suspended", &[("start", "active")]),
    ("error", &[("start", "active"), ("stop", "inactive")]),
];

const STORAGE_STATES: Diagram = &[
    ("offline", &[("online", "online"), ("resize", "offline")]),
    (
        "online",
        &[
            ("offline", "offline"),
            ("backup", "online"),
            ("snapshot", "online"),
            ("resize", "online"),
        ],
    ),
    ("error", &[("online", "online"), ("offline", "offline")]),
];

const UP_DOWN: Diagram = &[
    ("inactive", &[("up", "active")]),
    ("active", &[("down", "inactive")]),
    ("error", &[("up", "active"), ("down", "inactive")]),
];

const ONLINE_OFFLINE: Diagram = &[
    ("inactive", &[("online", "active")]),
    ("active", &[("offline", "inactive")]),
    ("error", &[("online", "active"), ("offline", "inactive")]),
];

#[rstest]
#[case::infra_5_and_infra_7(COMPUTE, COMPUTE_STATES)]
#[case::infra_10(NETWORK, UP_DOWN)]
#[case::infra_12_and_infra_13(STORAGE, STORAGE_STATES)]
#[case::infra_15(NIC, UP_DOWN)]
#[case::infra_18(STORAGELINK, ONLINE_OFFLINE)]
#[case::infra_32(production::IPRESERVATION, UP_DOWN)]
fn transitions_are_exactly_those_of_the_tables(#[case] kind: &str, #[case] diagram: Diagram) {
    let model = Registry::standard();
    let lifecycle = model.lifecycle(kind).unwrap();
    let actions = model.actions_of(kind, []);
    for (state, arrows) in diagram {
        let applicable: Vec<_> = lifecycle.applicable(state).map(|action| action.term()).collect();
        let expected: Vec<_> = arrows.iter().map(|(term, _)| *term).collect();
        assert_eq!(applicable, expected, "{state}");
        for action in &actions {
            let expected = arrows.iter().find(|(term, _)| *term == action.id.term());
            let found = lifecycle.transition(state, &action.id);
            assert_eq!(
                found.map(|arrow| arrow.to),
                expected.map(|(_, to)| *to),
                "{state} {}",
                action.id
            );
        }
    }
    // No arrow leaves a state that the diagram does not have.
    assert_eq!(
        lifecycle.transitions.len(),
        diagram.iter().map(|(_, arrows)| arrows.len()).sum::<usize>()
    );
    // Every state is a value of the state attribute, and nothing else is.
    let definitions = model.definitions(kind, []);
    let state = definitions.get(lifecycle.state.as_str()).unwrap().attribute;
    for (word, _) in diagram {
        assert!(state.value_type.check(&(*word).into()).is_some(), "{word}");
    }
    assert!(!state.mutable);
    assert!(
        definitions
            .get(lifecycle.message.as_str())
            .is_some_and(|one| !one.attribute.mutable)
    );
}

#[rstest]
#[case(COMPUTE, "inactive", Some("start"), "active")]
#[case(NETWORK, "inactive", Some("up"), "active")]
#[case(STORAGE, "offline", Some("online"), "online")]
#[case(NIC, "inactive", None, "active")]
#[case(STORAGELINK, "inactive", None, "active")]
#[case(production::IPRESERVATION, "inactive", Some("up"), "active")]
#[case(production::SECURITYGROUP, "inactive", None, "active")]
fn infra_38_what_is_created_is_down_and_knows_how_to_come_up(
    #[case] kind: &str,
    #[case] initial: &str,
    #[case] bring_up: Option<&str>,
    #[case] up: &str,
) {
    let model = Registry::standard();
    let lifecycle = model.lifecycle(kind).unwrap();
    assert_eq!((lifecycle.initial, lifecycle.up), (initial, up));
    assert_eq!(lifecycle.bring_up.as_ref().map(|action| action.term()), bring_up);
}

#[rstest]
#[case(COMPUTE, "start", Some("active"))]
#[case(COMPUTE, "suspend", Some("suspended"))]
#[case(COMPUTE, "restart", None)]
#[case(COMPUTE, "save", None)]
#[case(STORAGE, "offline", Some("offline"))]
#[case(STORAGE, "snapshot", None)]
fn http_78_actions_that_reach_a_state_say_which(#[case] kind: &str, #[case] term: &str, #[case] target: Option<&str>) {
    let model = Registry::standard();
    let actions = model.actions_of(kind, []);
    let action = actions.iter().find(|action| action.id.term() == term).unwrap();
    assert_eq!(model.lifecycle(kind).unwrap().target(&action.id), target);
}

#[rstest]
#[case("stop", &[], "method=poweroff")]
#[case("stop", &[("method", "graceful")], "method=graceful")]
#[case("stop", &[("method", "hibernate")], "method must be one of graceful, acpioff, poweroff, not hibernate")]
#[case("stop", &[("speed", "fast")], "stop has no parameter speed; it has method")]
#[case("restart", &[], "method=cold")]
#[case("suspend", &[], "method=suspend")]
#[case("save", &[("name", "golden")], "method=deferred name=golden")]
#[case("save", &[("method", "deffered")], "method=deferred")]
#[case("start", &[("method", "graceful")], "")]
#[case("start", &[("when", "now")], "start has no parameter when; it has none")]
fn infra_3_and_infra_8_parameters_are_checked_and_defaulted(
    #[case] term: &str,
    #[case] given: &[(&str, &str)],
    #[case] expected: &str,
) {
    let action = id(&format!("{}{term}", occi_model::infrastructure::COMPUTE_ACTION));
    let inputs: Vec<_> = given
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), token(value)))
        .collect();
    let outcome = match Registry::standard().check_action(&action, &inputs) {
        Ok(parameters) => {
            let pairs: Vec<_> = parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(" ")
        }
        Err(violation) => violation.message,
    };
    assert_eq!(outcome, expected);
}

#[test]
fn infra_13_resize_needs_a_size() {
    let model = Registry::standard();
    let resize = id(&format!("{}resize", occi_model::infrastructure::STORAGE_ACTION));
    let check = |size: &[&str]| {
        let inputs: Vec<_> = size.iter().map(|size| ("size".parse().unwrap(), token(size))).collect();
        model.check_action(&resize, &inputs)
    };
    assert_eq!(check(&[]).unwrap_err().path, "attributes.size");
    assert!(check(&["-1"]).is_err());
    assert_eq!(text(&check(&["20"]).unwrap(), "size").unwrap(), "20.0");
}
