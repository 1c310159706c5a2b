//! What the contract suite cannot see: that there are real machines behind it, and that they outlive the server.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod changes;
mod console;
mod devices;
mod full_disk;
mod given_up;
mod images;
mod isolation;
#[path = "../lab/mod.rs"]
mod lab;
mod network;
mod queue;
mod survival;
mod world;

use lab::Lab;
use libtest_mimic::{Arguments, Trial};
use occi_backend_qemu::QemuConfig;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("serve") => return survival::serve(Path::new(&args.next().unwrap())),
        Some("serve-console") => return console::serve(Path::new(&args.next().unwrap())),
        Some(full_disk::INNER) => return full_disk::inner(Path::new(&args.next().unwrap())),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trial = |name: &str, test: AsyncTest| {
        let ignored = lab::images().err();
        if let Some(why) = &ignored {
            println!("skipped: {why}");
        }
        let run = move || {
            let lab = Lab::new();
            let config = lab.config()?;
            let runtime = tokio::runtime::Runtime::new()?;
            let tested =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test(&lab, config))));
            runtime.block_on(lab.end());
            tested.map_err(|_| "see above".into())
        };
        Trial::test(name, run).with_ignored_flag(ignored.is_some())
    };
    let trials = vec![
        trial("a_helper_sees_its_own_directory_and_nothing_else", |lab, config| {
            Box::pin(isolation::bounds(lab, config))
        }),
        trial("a_helper_ends_with_the_server", |lab, config| {
            Box::pin(isolation::ends_with_the_server(lab, config))
        }),
        trial(
            "a_launcher_that_is_late_starts_nothing_where_all_was_ended",
            |lab, config| Box::pin(isolation::late_launcher(lab, config)),
        ),
        trial(
            "a_qemu_that_was_taken_over_reaches_no_file_outside_of_its_directory",
            |lab, config| Box::pin(isolation::prison(lab, config)),
        ),
        trial("a_restart_whose_end_nobody_saw_is_not_done_again", |lab, config| {
            Box::pin(changes::restarted_once(lab, config))
        }),
        trial(
            "two_servers_of_one_host_run_no_machines_as_the_same_user",
            |lab, config| Box::pin(isolation::two_servers(lab, config)),
        ),
        trial(
            "guests_of_a_project_reach_each_other_and_not_the_hosts_loopback",
            |lab, config| Box::pin(network::neighbours(lab, config)),
        ),
        trial(
            "a_guest_that_is_twice_on_a_network_is_reached_at_both_addresses",
            |lab, config| Box::pin(network::twice(lab, config)),
        ),
        trial(
            "guests_of_two_projects_reach_each_other_on_a_shared_network_and_nowhere_else",
            |lab, config| Box::pin(network::strangers(lab, config)),
        ),
        trial(
            "an_address_that_is_given_again_leads_to_the_new_machine_by_another_port",
            |lab, config| Box::pin(network::given_again(lab, config)),
        ),
        trial(
            "a_guest_sees_what_is_plugged_and_continues_after_a_hibernation_and_its_copy_boots",
            |lab, config| Box::pin(devices::devices(lab, config)),
        ),
        trial(
            "infra_41_user_data_of_each_kind_runs_last_and_the_key_logs_in",
            |lab, config| Box::pin(network::infra_42_the_key_logs_in_and_user_data_runs(lab, config)),
        ),
        trial(
            "links_come_and_go_while_a_guest_is_held_in_memory_or_on_disk",
            |lab, config| Box::pin(devices::held(lab, config)),
        ),
        trial(
            "infra_7_a_compute_in_error_recovers_by_start_and_by_stop",
            |lab, config| {
                Box::pin(survival::infra_7_a_compute_in_error_recovers_by_start_and_by_stop(
                    lab, config,
                ))
            },
        ),
        trial(
            "a_qemu_that_ends_at_its_start_is_an_error_at_once_with_its_words",
            |lab, config| Box::pin(survival::dies_at_its_start(lab, config)),
        ),
        trial(
            "infra_6_a_disk_whose_file_is_gone_is_an_error_with_a_message_until_it_is_back",
            |lab, config| Box::pin(survival::lost_files(lab, config)),
        ),
        trial("an_image_that_a_client_has_brought_boots", |lab, config| {
            Box::pin(images::brought(lab, config))
        }),
        trial("a_project_saves_no_more_than_it_may_have_of_images", |_, config| {
            Box::pin(images::bounded(config))
        }),
        trial(
            "a_machine_that_could_fill_more_than_the_disk_is_not_made",
            |_, config| Box::pin(images::vast(config)),
        ),
        trial("an_image_that_keeps_the_image_tool_busy_is_not_taken", |lab, config| {
            Box::pin(images::busy(lab, config))
        }),
        trial(
            "a_machine_that_ends_at_any_moment_is_read_and_deleted",
            |lab, config| Box::pin(survival::sudden_ends(lab, config)),
        ),
        trial(
            "a_machine_that_waits_for_its_turn_is_stopped_and_deleted_at_once",
            |lab, config| Box::pin(queue::queue(lab, config)),
        ),
        trial(
            "a_guest_answers_at_its_console_also_after_the_server_died_that_had_it_open",
            |lab, config| Box::pin(console::console(lab, config)),
        ),
        trial(
            "a_change_that_is_broken_off_at_any_step_is_completed_by_the_next_start",
            |lab, config| Box::pin(changes::broken_off(lab, config)),
        ),
        trial(
            "a_volume_goes_offline_or_its_machine_has_it_and_both_know_which",
            |lab, config| Box::pin(devices::offline_or_used(lab, config)),
        ),
        trial(
            "image_tools_wait_until_a_machine_that_starts_has_opened_its_volumes",
            |lab, config| Box::pin(devices::tools_wait(lab, config)),
        ),
        trial(
            "a_machine_waits_for_image_tools_and_is_looked_at_and_deleted_meanwhile",
            |lab, config| Box::pin(devices::machines_wait(lab, config)),
        ),
        trial("two_backups_of_one_machine_do_not_meet", |lab, config| {
            Box::pin(devices::backups(lab, config))
        }),
        trial(
            "what_is_kept_of_a_machine_is_given_up_without_a_trace_when_nobody_wants_it_any_more",
            |lab, config| Box::pin(given_up::given_up(lab, config)),
        ),
        trial(
            "a_copy_that_comes_further_takes_its_time_and_one_that_stands_still_is_given_up",
            |lab, config| Box::pin(given_up::slow(lab, config)),
        ),
        trial(
            "sizes_that_no_host_has_are_refused_and_hardware_addresses_are_a_networks_own",
            |lab, config| Box::pin(network::bounds_and_addresses(lab, config)),
        ),
        trial("a_burst_of_creates_gets_no_more_than_there_is", |lab, config| {
            Box::pin(network::burst(lab, config))
        }),
        trial(
            "after_a_boot_of_the_host_what_ran_runs_again_or_stays_off_as_the_operator_says",
            |lab, config| Box::pin(survival::host_boot(lab, config)),
        ),
        trial(
            "a_full_disk_is_told_and_leaves_nothing_half_made_and_guests_go_on_when_there_is_room",
            |lab, config| Box::pin(full_disk::full_disk(lab, config)),
        ),
        trial(
            "machines_and_networks_outlive_the_server_and_their_ends_are_told_apart",
            |lab, config| Box::pin(survival::survival(lab, config)),
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

type AsyncTest = for<'a> fn(&'a Lab, QemuConfig) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
