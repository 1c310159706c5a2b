//! Images to boot from, to a server with the qemu engine and from it.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

#[expect(dead_code, reason = "shared with the tests of apply")]
#[path = "../apply/world.rs"]
mod world;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;
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
        ("what_is_no_image_is_refused_with_words_and_leaves_nothing", refusals),
        ("a_server_without_images_says_so", without),
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
    lab.good(&format!("image delete {name}"));
    assert_eq!(lab.occi(&format!("image download {name}")).code, Some(3));
}

/// The file of a download that broke off at once.
fn begun_download(lab: &World, name: &str) -> std::path::PathBuf {
    let head = lab.good(&format!("api HEAD /-/image/{name} --include"));
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let tag: String = etag.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    lab.path(&format!("second.raw.{tag}.part"))
}

fn broken_off() {
    let lab = lab();
    let bytes = disk(96);
    std::fs::write(lab.path("large.raw"), &bytes).unwrap();
    let offset = || {
        let found = lab.good("image list --uploads -o jsonpath=$[?@.state=='receiving'].offset");
        found.trim().parse::<usize>().unwrap_or_default()
    };
    let mut upload = lab.command("image upload large.raw").spawn().unwrap();
    let begun = Instant::now();
    while offset() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing arrives");
        assert!(
            upload.try_wait().unwrap().is_none(),
            "it was too fast: {:?}",
            said(upload)
        );
    }
    upload.kill().unwrap();
    upload.wait().unwrap();
    let there = offset();
    assert!(there > 0 && there < bytes.len(), "{there}");
    let again = lab.occi("image upload large.raw");
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.err.contains("large: goes on after"), "{again:?}");
    lab.good(&format!("image download {} whole.raw", again.out.trim()));
    assert!(std::fs::read(lab.path("whole.raw")).unwrap() == bytes);
}

fn refusals() {
    let lab = lab();
    let mut backed = b"QFI\xfb\0\0\0\x03\0\0\0\0\0\0\0\x68".to_vec();
    backed.resize(1024, 0);
    std::fs::write(lab.path("backed.qcow2"), backed).unwrap();
    std::fs::write(lab.path("text.img"), "no image at all").unwrap();
    std::fs::write(lab.path("empty.img"), "").unwrap();
    std::fs::create_dir(lab.path("directory")).unwrap();
    for (file, code, words) in [
        ("backed.qcow2", 2, "names a backing file"),
        ("text.img", 1, "is not taken"),
        ("empty.img", 1, "is not taken"),
        ("directory", 2, "is no file"),
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
