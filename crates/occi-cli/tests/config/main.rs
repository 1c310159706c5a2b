//! Which server `occi` speaks to, who asks there, and what it says when a server or a file is bad.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod bad_input;
mod bad_servers;
mod certificates;
mod clouds;
mod contexts;
mod hostile;
mod lists;
mod logins;
#[expect(dead_code, reason = "shared with the tests of the client")]
#[path = "../../../occi-client/tests/occid/server.rs"]
mod occid;
mod person;
mod precedence;
mod provider;
mod stub;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let mut trials = vec![
        trial("a_log_in_is_kept_until_the_log_out", contexts::log_in),
        trial("contexts_are_listed_used_renamed_and_removed", contexts::several),
        trial("a_log_in_that_does_not_work_changes_nothing", contexts::refused),
        trial("a_new_log_in_leaves_what_a_person_wrote", contexts::again),
        trial("a_password_may_come_from_a_command", contexts::command),
        trial("an_occid_of_this_machine_is_found", contexts::local),
        trial("a_device_logs_in_and_the_tokens_are_renewed", provider::device),
        trial(
            "an_identity_provider_is_shown_no_certificate_of_ours",
            provider::certificate,
        ),
        trial("every_log_in_of_the_help_works", logins::help),
        trial("a_renewal_that_nobody_waits_for_is_kept", provider::impatient),
        trial("cli_5_every_way_to_say_who_asks_reaches_the_server", precedence::ways),
        trial(
            "options_go_before_the_environment_and_that_before_files",
            precedence::order,
        ),
        trial(
            "what_contradicts_is_refused_before_anything_is_sent",
            bad_input::contradictions,
        ),
        trial("a_private_key_stays_where_it_is", bad_input::private_key),
        trial("a_broken_file_is_named_with_its_line", bad_input::files),
        trial("clouds_yaml_says_who_asks_and_keystone_where", clouds::catalogue),
        trial("clouds_yaml_is_found_merged_and_understood", clouds::files),
        trial("no_word_of_a_server_moves_the_cursor", hostile::words),
        trial(
            "an_answer_that_repeats_a_credential_is_printed_without_it",
            hostile::echo,
        ),
        trial("a_full_disk_behind_stderr_ends_nothing", hostile::full),
        trial("debugging_shows_a_beginning_without_user_data", hostile::debug),
        trial("no_time_is_too_long", hostile::endless),
        trial("events_are_looked_for_in_all_that_are_kept", lists::events),
        trial("a_time_to_watch_begins_with_what_is_seen", lists::clock),
        trial("what_is_kept_of_servers_does_not_stay_for_ever", lists::kept),
        trial("certificates_are_shown_and_checked", certificates::shown),
        trial("a_servers_own_certificate_can_be_named", certificates::named),
    ];
    trials.extend(bad_servers::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}
