//! Images to boot from, to a server with the qemu engine and from it.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

mod lying;
#[expect(dead_code, reason = "shared with the tests of configuration")]
#[path = "../config/stub.rs"]
mod stub;
#[expect(dead_code, reason = "shared with the tests of apply")]
#[path = "../apply/world.rs"]
mod world;

use libtest_mimic::{Arguments, Trial};
use regex::Regex;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};
use world::{World, said};

const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trials = [
        ("an_image_comes_back_as_it_went", round_trip as fn()),
        ("an_upload_that_broke_off_goes_on_where_it_was", broken_off),
        ("an_upload_can_be_given_up", given_up),
        (
            "an_upload_goes_through_a_proxy_that_changes_the_name_of_the_server",
            renamed,
        ),
        ("an_upload_goes_on_by_itself_after_a_crash_of_the_server", crash),
        ("an_upload_shows_on_a_terminal_how_far_it_is_and_how_fast", progress),
        ("every_example_of_the_help_works", examples),
        ("what_is_no_image_is_refused_with_words_and_leaves_nothing", refusals),
        ("a_server_without_images_says_so", without),
        (
            "a_download_writes_no_file_but_its_own",
            lying::a_download_writes_no_file_but_its_own,
        ),
        (
            "a_server_that_lies_about_an_image_is_not_believed",
            lying::a_server_that_lies_about_an_image_is_not_believed,
        ),
        (
            "an_upload_goes_on_only_if_the_same_was_said_of_it",
            lying::an_upload_goes_on_only_if_the_same_was_said_of_it,
        ),
        (
            "an_upload_that_gets_nowhere_ends_with_words",
            lying::an_upload_that_gets_nowhere_ends_with_words,
        ),
    ];
    let trials = trials.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn lab() -> World {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("[backend.qemu]\nimages = [{:?}]\n", directory.path());
    World::with(&["--backend", "qemu"], &config)
}

/// The bytes of a disk that boots, as far as anybody looks: random, so that nothing packs them.
fn disk(mib: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(mib * MIB / 8)
    .flatten()
    .collect();
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    bytes
}

fn round_trip() {
    let lab = lab();
    let bytes = disk(20);
    std::fs::write(lab.path("disk.raw"), &bytes).unwrap();
    assert!(
        lab.good("image upload disk.raw --name mine --dry-run")
            .contains("would upload 20971520 bytes as mine")
    );
    let name = lab.good("image upload disk.raw --name mine --title My_disk --default-user ann --min-memory 128M");
    let name = name.trim();
    assert!(name.starts_with("mine-"), "{name}");
    let listed = lab.good("image list -o csv --color never");
    assert!(
        listed.contains(&format!("{name},raw,20971520,20971520,default,ready,My_disk")),
        "{listed}"
    );
    assert!(lab.good("list os_tpl -o name").contains(name));
    assert_eq!(lab.good(&format!("image download {name} copy.raw")), "copy.raw\n");
    assert!(std::fs::read(lab.path("copy.raw")).unwrap() == bytes);
    let out = lab.command(&format!("image download {name} -")).output().unwrap();
    assert!(out.status.success() && out.stdout == bytes && !lab.path("-").exists());
    let again = lab.occi(&format!("image download {name} copy.raw"));
    assert_eq!(
        (again.code, again.err.contains("there is a file copy.raw already")),
        (Some(2), true),
        "{again:?}"
    );
    // A part that is there is not asked for again, and one that is wrong is noticed.
    let part = begun_download(&lab, name);
    std::fs::write(&part, &bytes[..7 * MIB]).unwrap();
    lab.good(&format!("image download {name} second.raw"));
    assert!(std::fs::read(lab.path("second.raw")).unwrap() == bytes);
    std::fs::write(&part, &bytes[MIB..8 * MIB]).unwrap();
    std::fs::remove_file(lab.path("second.raw")).unwrap();
    let damaged = lab.occi(&format!("image download {name} second.raw"));
    assert_eq!(
        (damaged.code, damaged.err.contains("damaged")),
        (Some(1), true),
        "{damaged:?}"
    );
    assert!(!part.exists() && !lab.path("second.raw").exists());
    // Its name with the ending of the server or without, and nothing between.
    std::fs::write(lab.path("other.raw"), disk(1)).unwrap();
    let longer = lab.good("image upload other.raw --name mine-too");
    lab.good("image delete mine");
    assert_eq!(lab.occi(&format!("image download {name}")).code, Some(3));
    assert_eq!(lab.occi("image delete mine").code, Some(3));
    assert!(lab.good("image list").contains(longer.trim()));
}

/// The file of a download that broke off at once.
fn begun_download(lab: &World, name: &str) -> std::path::PathBuf {
    let head = lab.good(&format!("api HEAD /-/image/{name} --include"));
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let tag: String = etag.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    lab.path(&format!("second.raw.{tag}.part"))
}

/// How much is there of the only upload.
fn offset(lab: &World) -> usize {
    let found = lab.good("image list --uploads -o jsonpath=$[?@.state=='receiving'].offset");
    found.trim().parse().unwrap_or_default()
}

/// An upload of `large.raw`, some of which is there.
fn uploading(lab: &World) -> Child {
    let mut upload = lab.command("image upload large.raw").spawn().unwrap();
    let begun = Instant::now();
    while offset(lab) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing arrives");
        assert!(
            upload.try_wait().unwrap().is_none(),
            "it was too fast: {:?}",
            said(upload)
        );
    }
    upload
}

fn crash() {
    let mut lab = lab();
    let bytes = disk(96);
    std::fs::write(lab.path("large.raw"), &bytes).unwrap();
    let upload = uploading(&lab);
    lab.crash();
    let said = said(upload);
    assert_eq!(said.code, Some(0), "{said:?}");
    lab.good(&format!("image download {} whole.raw", said.out.trim()));
    assert!(std::fs::read(lab.path("whole.raw")).unwrap() == bytes);
}

fn progress() {
    let lab = lab();
    std::fs::write(lab.path("large.raw"), disk(64)).unwrap();
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let terminal = File::options().write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = lab.command("image upload large.raw");
    let upload = command.env("TERM", "xterm").stderr(terminal).spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    // It ends with an error, as terminals do.
    let _end = File::from(screen).read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen);
    let said = said(upload);
    assert_eq!(said.code, Some(0), "{said:?}: {seen}");
    let line = r"large \[=+>? *\] [0-9.]+ MiB/64.00 MiB [0-9.]+ [KMG]iB/s ";
    assert!(Regex::new(line).unwrap().is_match(&seen), "{seen:?}");
}

/// Each line below `Examples:` of each verb, typed where there is what it names.
fn examples() {
    let images = tempfile::tempdir().unwrap();
    let tiny = images.path().join("tiny.raw");
    std::fs::write(&tiny, disk(1)).unwrap();
    // Nobody is writing it any more.
    std::fs::set_permissions(&tiny, Permissions::from_mode(0o444)).unwrap();
    let lab = World::with(
        &["--backend", "qemu"],
        &format!("[backend.qemu]\nimages = [{:?}]\n", images.path()),
    );
    for file in ["debian-12.qcow2", "disk.raw"] {
        std::fs::write(lab.path(file), disk(1)).unwrap();
    }
    let name = lab.good("image upload disk.raw --name mine");
    for verb in ["list", "upload", "download", "cancel", "delete"] {
        let help = lab.good(&format!("image {verb} --help"));
        let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let lines: Vec<_> = lines.take_while(|line| line.starts_with("  occi ")).collect();
        assert!(!lines.is_empty(), "{help}");
        for line in lines {
            let line = line.replace("mine-1a2b3c4d", name.trim()).replace(" | sha256sum", "");
            if line.ends_with(" -") {
                // What comes is no text.
                let output = lab.command(line.trim().strip_prefix("occi ").unwrap()).output();
                assert!(output.unwrap().status.success());
                continue;
            }
            if verb == "cancel" {
                // Nothing is being brought here.
                assert_eq!(lab.occi(line.trim().strip_prefix("occi ").unwrap()).code, Some(3));
                continue;
            }
            lab.good(line.trim().strip_prefix("occi ").unwrap());
        }
    }
    assert!(lab.path("tiny.raw").exists() && lab.path("copy.qcow2").exists());
    assert!(!lab.good("image list").contains(name.trim()));
}

fn broken_off() {
    let lab = lab();
    let bytes = disk(96);
    std::fs::write(lab.path("large.raw"), &bytes).unwrap();
    let upload = uploading(&lab);
    let process = rustix::process::Pid::from_child(&upload);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let said = said(upload);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(said.err.contains("the same command goes on where it was"), "{said:?}");
    let there = offset(&lab);
    assert!(there > 0 && there < bytes.len(), "{there}");
    std::fs::write(lab.path("other.raw"), &bytes[..MIB]).unwrap();
    assert_eq!(lab.occi("image cancel other").code, Some(3));
    assert!(
        lab.good("image cancel large --dry-run")
            .starts_with("would give up large (/-/upload/")
    );
    assert_eq!(lab.occi("image list --uploads --filter nope=1").code, Some(2));
    assert_eq!(lab.good("image list --uploads --filter state=ready -o json"), "[]\n");
    let again = lab.occi("image upload large.raw");
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.err.contains("large: goes on after"), "{again:?}");
    lab.good(&format!("image download {} whole.raw", again.out.trim()));
    assert!(std::fs::read(lab.path("whole.raw")).unwrap() == bytes);
}

fn given_up() {
    let lab = lab();
    std::fs::write(lab.path("large.raw"), disk(96)).unwrap();
    let upload = uploading(&lab);
    rustix::process::kill_process(rustix::process::Pid::from_child(&upload), rustix::process::Signal::INT).unwrap();
    assert_eq!(said(upload).code, Some(130));
    let delete = lab.occi("image delete large");
    assert_eq!(delete.code, Some(3), "{delete:?}");
    assert!(delete.err.contains("occi image cancel large gives it up"), "{delete:?}");
    let would: serde_json::Value = serde_json::from_str(&lab.good("image cancel large --dry-run -o json")).unwrap();
    assert_eq!((&would["would"], &would["name"]), (&"cancel".into(), &"large".into()));
    // More than one thing is asked about.
    let mut upload = lab.command("image upload large.raw --name other").spawn().unwrap();
    let begun = Instant::now();
    let open = || lab.good("image list --uploads -o jsonpath=$[?@.state=='receiving'].name");
    while open().lines().count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60) && upload.try_wait().unwrap().is_none());
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&upload), rustix::process::Signal::INT).unwrap();
    assert_eq!(said(upload).code, Some(130));
    let asked = lab.occi("image cancel large other");
    assert!(asked.code == Some(2) && asked.err.contains("--yes"), "{asked:?}");
    lab.good("image cancel large other --yes");
    assert_eq!(lab.good("image list --uploads -o json"), "[]\n");
    assert_eq!(lab.occi("image cancel large").code, Some(3));
}

fn renamed() {
    let lab = World::with(
        &["--backend", "qemu"],
        "[http]\npublic_url = \"http://elsewhere.example\"\n",
    );
    std::fs::write(lab.path("disk.raw"), disk(1)).unwrap();
    let name = lab.good("image upload disk.raw");
    assert!(lab.good("image list -o csv").contains(name.trim()));
}

fn refusals() {
    let lab = lab();
    let mut backed = b"QFI\xfb\0\0\0\x03\0\0\0\0\0\0\0\x68".to_vec();
    backed.resize(1024, 0);
    std::fs::write(lab.path("backed.qcow2"), backed).unwrap();
    std::fs::write(lab.path("text.img"), "no image at all").unwrap();
    std::fs::write(lab.path("empty.img"), "").unwrap();
    std::fs::create_dir(lab.path("directory")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(lab.path("pipe")).status();
    assert!(pipe.unwrap().success());
    for (file, code, words) in [
        ("backed.qcow2", 2, "names a backing file"),
        ("text.img", 1, "is not taken"),
        ("empty.img", 1, "is not taken"),
        ("directory", 2, "is no file"),
        ("pipe", 2, "pipe is no file"),
        ("missing.img", 1, "missing.img"),
    ] {
        let said = lab.occi(&format!("image upload {file}"));
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{file}: {said:?}");
        assert!(said.err.contains(words), "{file}: {said:?}");
    }
    assert_eq!(lab.good("image list -o json"), "[]\n");
}

fn without() {
    let world = World::new();
    for line in ["image list", "image download tiny"] {
        let said = world.occi(line);
        assert_eq!(
            (said.code, said.err.contains("memory")),
            (Some(1), true),
            "{line}: {said:?}"
        );
    }
}
