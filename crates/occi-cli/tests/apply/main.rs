//! What `occi` makes of a file, and of links, against an `occid`.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::expect_used, reason = "in a test a panic is the report")]

mod attach;
mod files;
mod machines;
mod mistakes;
mod watch;
#[expect(dead_code, reason = "shared with the tests of images")]
mod world;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Machines and networks of the qemu engine are started through this program too.
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let mut trials = vec![
        trial(
            "a_link_of_a_machine_is_none_that_stands_alone",
            attach::a_link_of_a_machine_is_none_that_stands_alone,
        ),
        trial("links_come_and_go_by_name", attach::links_come_and_go_by_name),
        trial(
            "what_is_missing_is_made_in_order_and_then_nothing_differs",
            files::what_is_missing_is_made_in_order_and_then_nothing_differs,
        ),
        trial(
            "what_differs_is_changed_and_nothing_else",
            files::what_differs_is_changed_and_nothing_else,
        ),
        trial(
            "what_has_been_done_is_told_if_something_fails",
            files::what_has_been_done_is_told_if_something_fails,
        ),
        trial(
            "what_is_said_once_is_refused_where_it_is_otherwise",
            files::what_is_said_once_is_refused_where_it_is_otherwise,
        ),
        trial("what_was_broken_off_goes_on", files::what_was_broken_off_goes_on),
        trial(
            "what_was_exported_can_be_applied_here_and_elsewhere",
            files::what_was_exported_can_be_applied_here_and_elsewhere,
        ),
        trial(
            "an_id_of_another_server_is_not_taken_for_ones_own",
            files::an_id_of_another_server_is_not_taken_for_ones_own,
        ),
        trial(
            "links_between_the_same_ends_are_told_apart",
            attach::links_between_the_same_ends_are_told_apart,
        ),
        trial(
            "what_makes_no_sense_is_refused_with_its_line",
            files::what_makes_no_sense_is_refused_with_its_line,
        ),
        trial(
            "a_mistake_is_called_what_it_is",
            mistakes::a_mistake_is_called_what_it_is,
        ),
        trial("changes_are_told_as_they_come", watch::changes_are_told_as_they_come),
    ];
    let ignored = machines::images().err();
    if let Some(why) = &ignored {
        println!("skipped: {why}");
    }
    let real = [
        trial(
            "a_network_a_volume_and_two_machines_are_there_after_one_file",
            machines::a_network_a_volume_and_two_machines_are_there_after_one_file,
        ),
        trial(
            "what_the_server_cannot_change_is_left_and_the_rest_done",
            machines::what_the_server_cannot_change_is_left_and_the_rest_done,
        ),
    ];
    trials.extend(real.map(|trial| trial.with_ignored_flag(ignored.is_some())));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
