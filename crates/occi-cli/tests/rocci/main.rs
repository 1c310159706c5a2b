//! The command line of rOCCI-cli: against an `occid`, and against servers of its time.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod auth;
mod historic;
mod modern;
mod occid;
mod run;
#[path = "../../../occi-client/tests/client/stub.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod stub;
mod usage;
#[path = "../apply/world.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trials = vec![
        trial("the_form_is_told_by_the_arguments", usage::forms),
        trial("a_mistake_is_said_on_stdout_with_the_usage", usage::mistakes),
        trial("options_are_read_as_ruby_reads_them", usage::ruby),
        trial("help_version_and_examples_are_printed", usage::printed),
        trial("cli_3_every_documented_invocation_works", historic::invocations),
        trial("cli_3_cli_4_rocci_2_and_ooi_are_understood", historic::others),
        trial("what_is_made_later_is_named_by_its_operation", historic::accepted),
        trial("a_key_goes_by_the_mixin_that_there_is", historic::contexts),
        trial("cli_3_recorded_answers_are_printed", historic::recordings),
        trial("the_modern_form_speaks_to_servers_of_that_time_too", modern::historic),
        trial("a_server_is_asked_once_what_it_offers", modern::once),
        trial("a_restart_is_waited_for_until_it_is_over", modern::restarts),
        trial("an_id_that_several_kinds_have_is_ambiguous", modern::same_ids),
        trial("failures_are_a_line_in_the_log", historic::failures),
        trial("cli_6_waiting_in_vain_is_a_failure_only_if_strict", historic::waiting),
        trial("secrets_come_from_anywhere_and_go_nowhere_else", auth::secrets),
        trial("a_secret_that_comes_back_is_not_logged", auth::echo),
        trial("cli_5_a_token_of_keystone_is_fetched_in_every_way", auth::keystone),
        trial("a_digest_is_answered", auth::digest),
        trial("a_certificate_is_shown", auth::certificates),
        trial("outputs_are_what_they_always_were", occid::outputs),
        trial("a_machine_lives_and_dies_in_every_rendering", occid::renderings),
        trial("a_whole_collection_is_not_deleted_by_mistake", occid::delete_all),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, || {
        // The servers of a test answer while the test waits for the program.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}
