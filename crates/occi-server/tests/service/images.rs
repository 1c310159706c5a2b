//! Images, brought and taken away over HTTP; the engine is the real one, and its image tool looks at them.

use crate::client::{Answer, Client};
use crate::occid::{Occid, Setup, wait_until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use occi_store::{AuditQuery, SqliteStore, Store as _};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn setup() -> Setup {
    let path = std::env::var("PATH").unwrap();
    Setup::default().flags(&["--backend", "qemu"]).variable("PATH", &path)
}

/// So many bytes that nothing packs, of a disk that could boot.
fn raw(length: usize) -> Vec<u8> {
    let random = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes()).flatten();
    let mut bytes: Vec<u8> = random.take(length).collect();
    bytes[..2].copy_from_slice(b"\xfa\xeb");
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    bytes
}

fn qemu_img(directory: &Path, args: &[&str]) {
    let ran = Command::new("qemu-img")
        .args(args)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// `Repr-Digest` of these bytes.
fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    format!("sha-256=:{}:", STANDARD.encode(digest.as_ref()))
}

/// Begins an upload of so many bytes; its path.
#[track_caller]
fn begin(client: &Client, name: &str, length: usize) -> String {
    let begun = client
        .clone()
        .with("Upload-Complete", "?0")
        .with("Upload-Length", &length.to_string())
        .send("POST", &format!("/-/image/?name={name}"), "");
    begun.expect(201).location()
}

fn patch(client: &Client, upload: &str, offset: usize, complete: &str, bytes: &[u8]) -> Answer {
    client
        .clone()
        .with("Content-Type", "application/partial-upload")
        .with("Upload-Offset", &offset.to_string())
        .with("Upload-Complete", complete)
        .send("PATCH", upload, bytes)
}

fn offset(client: &Client, upload: &str) -> usize {
    let told = client.send("HEAD", upload, "").expect(204);
    told.header("upload-offset").unwrap().parse().unwrap()
}

/// The whole in one request.
fn upload(client: &Client, name: &str, bytes: &[u8]) -> Answer {
    client.send("POST", &format!("/-/image/?name={name}"), bytes)
}

fn images(client: &Client) -> Vec<serde_json::Value> {
    client.get("/-/image/").expect(200).json()["images"]
        .as_array()
        .unwrap()
        .clone()
}

/// The files that the engine keeps of images and uploads.
fn files(occid: &Occid) -> Vec<String> {
    let mut left = vec![
        occid.setup.data().join("qemu/saved"),
        occid.setup.data().join("qemu/upload"),
    ];
    let mut found = Vec::new();
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false => found.push(path.file_name().unwrap().to_string_lossy().into_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_image_comes_in_parts_is_a_template_of_its_project_and_is_given_back_as_it_was() {
    let occid = setup().start();
    let alice = occid.user("alice", &["--project", "physics"]);
    let reader = occid.user("rita", &["--project", "elsewhere"]);
    let member = ["project", "member", "add", "physics", "rita", "--role", "reader"];
    occid.setup.run(&member).good();
    let reader = reader.with("X-OCCI-Project", "physics");
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let directory = occid.setup.home();
    std::fs::write(directory.join("content"), raw(3 << 20)).unwrap();
    qemu_img(
        directory,
        &["convert", "-f", "raw", "-O", "qcow2", "content", "x.qcow2"],
    );
    let bytes = std::fs::read(directory.join("x.qcow2")).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2 + 7);

    let begun = alice
        .clone()
        .with("Upload-Complete", "?0")
        .with("Upload-Length", &bytes.len().to_string())
        .with("Repr-Digest", &digest(&bytes))
        .send(
            "POST",
            "/-/image/?name=Debian%2012&title=Our%20own&default_user=debian",
            "",
        )
        .expect(201);
    assert_eq!(begun.header("upload-complete"), Some("?0"));
    assert_eq!(begun.header("upload-offset"), Some("0"));
    assert!(
        begun
            .header("upload-limit")
            .unwrap()
            .starts_with("max-size=68719476736, max-age=86")
    );
    let place = begun.location();
    let (own, seen) = (alice.get(&place).json(), occid.admin().get(&place).json());
    let ssh = serde_json::Value::Null;
    for (field, value, to_admin) in [
        ("mine", &true.into(), &false.into()),
        ("title", &"Our own".into(), &"Our own".into()),
        ("default_user", &"debian".into(), &"debian".into()),
        ("ssh", &ssh, &ssh),
    ] {
        assert_eq!((&own[field], &seen[field]), (value, to_admin), "{field}");
    }

    let part = patch(&alice, &place, 0, "?0", first).expect(204);
    assert_eq!(part.header("upload-offset"), Some(first.len().to_string().as_str()));
    // At another place it says nothing, whatever length would follow from it.
    for bytes in [first, &first[..first.len() - 1]] {
        let wrong = patch(&alice, &place, 0, "?1", bytes).expect(409);
        assert_eq!(wrong.header("upload-offset"), Some(first.len().to_string().as_str()));
    }
    let told = alice.send("HEAD", &place, "").expect(204);
    assert_eq!(told.header("upload-complete"), Some("?0"));
    assert_eq!(told.header("upload-length"), Some(bytes.len().to_string().as_str()));
    assert_eq!(told.header("cache-control"), Some("no-store"));
    // It is nobody else's, and no image yet.
    for other in [&bob, &reader] {
        other.send("HEAD", &place, "").expect(404);
        patch(other, &place, first.len(), "?1", rest).expect(404);
        other.delete(&place).expect(404);
    }
    assert!(images(&alice).is_empty());
    let early = patch(&alice, &place, first.len(), "?1", &rest[1..]).expect(400);
    assert!(early.body.contains("contradict"), "{early:?}");

    let made = patch(&alice, &place, first.len(), "?1", rest).expect(201);
    let (image, document) = (made.location(), made.json());
    let name = document["name"].as_str().unwrap();
    assert!(name.starts_with("debian-12-"), "{name}");
    assert_eq!(image, format!("/-/image/{name}"));
    assert_eq!(document["project"], "physics");
    assert_eq!(document["format"], "qcow2");
    assert_eq!(document["disk_size"], 3 << 20);
    assert_eq!(images(&alice), std::slice::from_ref(&document));
    let ended = alice.send("HEAD", &place, "").expect(204);
    assert_eq!(ended.header("upload-complete"), Some("?1"));
    assert_eq!(ended.location(), image);
    patch(&alice, &place, bytes.len(), "?0", b"").expect(409);
    patch(&alice, &place, 0, "?1", b"").expect(409);
    // Who has missed the answer asks again.
    let again = patch(&alice, &place, bytes.len(), "?1", b"").expect(201);
    assert_eq!((again.location(), again.json()), (image.clone(), document.clone()));
    let template = document["template"].as_str().unwrap();
    let (scheme, _) = template.split_once('#').unwrap();
    let line = format!("{name}; scheme=\"{scheme}#\"");
    assert!(alice.get("/-/").expect(200).body.contains(&line));
    assert!(!bob.get("/-/").expect(200).body.contains(name));

    // Away again, whole and in part.
    for who in [&alice, &reader] {
        let whole = who.get(&image).expect(200);
        assert!(whole.bytes == bytes, "{} bytes for {}", whole.bytes.len(), bytes.len());
        assert_eq!(whole.header("repr-digest"), Some(digest(&bytes).as_str()));
        assert_eq!(whole.header("content-length"), Some(bytes.len().to_string().as_str()));
    }
    let head = alice.send("HEAD", &image, "").expect(200);
    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
    let tag = head.header("etag").unwrap();
    alice.clone().with("If-None-Match", tag).get(&image).expect(304);
    let tail = alice
        .clone()
        .with("Range", "bytes=1000-")
        .with("If-Range", tag)
        .get(&image)
        .expect(206);
    assert!(tail.bytes == bytes[1000..]);
    let range = format!("bytes 1000-{}/{}", bytes.len() - 1, bytes.len());
    assert_eq!(tail.header("content-range"), Some(range.as_str()));
    let other = alice.clone().with("Range", "bytes=1000-").with("If-Range", "\"other\"");
    assert!(other.get(&image).expect(200).bytes == bytes);
    let beyond = alice.clone().with("Range", "bytes=99999999-").get(&image).expect(416);
    assert_eq!(
        beyond.header("content-range"),
        Some(format!("bytes */{}", bytes.len()).as_str())
    );

    bob.get(&image).expect(404);
    assert!(images(&bob).is_empty());
    let refused = upload(&reader, "mine", &bytes).expect(403);
    assert!(refused.body.contains("readers"), "{}", refused.body);

    // It goes as the mixin that it is, also after a restart.
    let occid = occid.stop().start();
    let alice = occid.client("alice", "alice");
    assert_eq!(images(&alice), std::slice::from_ref(&document));
    let category = format!("Category: {name}; scheme=\"{scheme}#\"; class=\"mixin\"");
    let removing = alice.clone().with("Content-Type", "text/plain");
    removing.send("DELETE", "/-/", &category).expect(200);
    alice.get(&image).expect(404);
    assert_eq!(files(&occid), ["record.json"]);
}

#[test]
fn a_project_that_is_made_again_finds_nothing_of_the_one_before() {
    let occid = setup().start();
    let setup = &occid.setup;
    let alice = occid.user("alice", &["--project", "physics"]);
    let bytes = raw(1 << 20);
    let image = upload(&alice, "golden", &bytes).expect(201).location();
    let open = begin(&alice, "other", bytes.len());
    let term = image.rsplit('/').next().unwrap();
    let remove = ["project", "remove", "physics"];
    let words = setup.run(&remove).bad();
    for told in ["1 image (", term, "1 open upload (", "/-/upload/ID"] {
        assert!(words.contains(told), "{told}: {words}");
    }
    alice.delete(&open).expect(204);
    let template = images(&alice)[0]["template"].as_str().unwrap().to_owned();
    let (scheme, _) = template.split_once('#').unwrap();
    let category = format!("Category: {term}; scheme=\"{scheme}#\"; class=\"mixin\"");
    let removing = alice.clone().with("Content-Type", "text/plain");
    removing.send("DELETE", "/-/", &category).expect(200);
    setup.run(&remove).good();
    alice.get("/-/image/").expect(403);

    setup.run(&["project", "add", "physics"]).good();
    setup.run(&["project", "member", "add", "physics", "alice"]).good();
    let found = alice.get("/-/image/").expect(200).json();
    assert_eq!(found["images"], serde_json::json!([]), "{found}");
    assert_eq!(found["uploads"], serde_json::json!([]), "{found}");
}

#[test]
fn what_is_no_image_that_can_be_trusted_is_refused_with_its_reason_and_leaves_nothing() {
    let occid = setup().start();
    let admin = occid.admin();
    let directory = occid.setup.home();
    std::fs::write(directory.join("content"), raw(1 << 20)).unwrap();
    qemu_img(
        directory,
        &["convert", "-f", "raw", "-O", "qcow2", "content", "good.qcow2"],
    );
    let thief = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "/etc/passwd",
        "thief",
        "1M",
    ];
    qemu_img(directory, &thief);
    let split = ["create", "-q", "-f", "qcow2", "-o", "data_file=other", "split", "1M"];
    qemu_img(directory, &split);
    qemu_img(directory, &["convert", "-f", "raw", "-O", "vmdk", "content", "foreign"]);
    let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let good = read("good.qcow2");
    let cut = good[..good.len() / 2].to_vec();
    let mut damaged = good.clone();
    // Its counts of clusters.
    let counts = u64::from_be_bytes(good[48..56].try_into().unwrap());
    damaged[usize::try_from(counts).unwrap()..][..8].fill(0xff);
    // Small files of which a guest can make more than there is.
    qemu_img(
        directory,
        &["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", "vast", "100T"],
    );
    std::fs::copy(directory.join("good.qcow2"), directory.join("layered")).unwrap();
    qemu_img(directory, &["snapshot", "-q", "-c", "earlier", "layered"]);
    let reasons: [(&str, Vec<u8>, &str); 11] = [
        ("vast", read("vast"), "at most 1024"),
        ("layered", read("layered"), "snapshots"),
        ("backing", read("thief"), "names a backing file"),
        ("data-file", read("split"), "keeps its data in another file"),
        ("cut", cut, "cut off"),
        ("damaged", damaged, "qemu-img"),
        ("foreign", read("foreign"), "VMDK"),
        ("packed", [&b"\x1f\x8b"[..], &[7; 1022]].concat(), "gzip"),
        ("text", b"<!DOCTYPE html>".repeat(512), "neither a qcow2 image nor"),
        ("half-sector", raw(1000), "neither a qcow2 image nor"),
        ("one-byte", b"x".to_vec(), "neither a qcow2 image nor"),
    ];
    for (name, bytes, reason) in reasons {
        let refused = upload(&admin, name, &bytes).expect(400);
        assert!(refused.body.contains(reason), "{name}: {}", refused.body);
        assert_eq!(refused.header("upload-complete"), Some("?1"), "{name}");
        assert_eq!(files(&occid), [""; 0], "{name}");
    }
    let empty = admin
        .clone()
        .with("Upload-Complete", "?1")
        .send("POST", "/-/image/?name=x", "")
        .expect(400);
    assert!(empty.body.contains("empty"), "{}", empty.body);

    // Other bytes than those that were sent, as said at the beginning or at the end.
    let other = digest(b"other");
    let refused = upload(&admin.clone().with("Repr-Digest", &other), "x", &good).expect(400);
    assert!(refused.body.contains("SHA-256"), "{}", refused.body);
    let place = begin(&admin, "x", good.len());
    let said = admin.clone().with("Repr-Digest", &other);
    patch(&said, &place, 0, "?1", &good).expect(400);
    // Who has missed the answer is told again.
    let gone = admin.get(&place).expect(200).json();
    assert_eq!(gone["state"], "refused");
    assert!(gone["reason"].as_str().unwrap().contains("SHA-256"), "{gone}");
    admin.send("HEAD", &place, "").expect(410);
    let again = patch(&admin, &place, good.len(), "?1", b"").expect(400);
    assert!(again.body.contains("SHA-256"), "{}", again.body);
    assert_eq!(again.header("upload-complete"), Some("?1"));
    assert_eq!(files(&occid), ["record.json"]);
    assert!(images(&admin).is_empty());

    for (headers, target, status, words) in [
        (&[][..], "/-/image/", 400, "name"),
        (&[], "/-/image/?name=x&nam=y", 400, "\"nam\""),
        // The bytes are not kept, and a repetition could have others.
        (&[("Idempotency-Key", "k")], "/-/image/?name=x", 400, "Idempotency-Key"),
        (&[], "/-/image/?name=x&ssh=perhaps", 400, "ssh"),
        (&[], "/-/image/?name=x&default_user=a%20b", 400, "default_user"),
        (
            &[("Upload-Complete", "yes")],
            "/-/image/?name=x",
            400,
            "upload-complete",
        ),
        (&[("Upload-Length", "-1")], "/-/image/?name=x", 400, "upload-length"),
        (&[("Upload-Length", "9")], "/-/image/?name=x", 400, "Upload-Length is 9"),
        (&[("Repr-Digest", "sha-512=:AA==:")], "/-/image/?name=x", 400, "sha-256"),
        (
            &[("Repr-Digest", "sha-256=:AA==:")],
            "/-/image/?name=x",
            400,
            "32 bytes",
        ),
    ] {
        let mut client = admin.clone();
        for (name, value) in headers {
            client = client.with(name, value);
        }
        let refused = client.send("POST", target, b"0123456789").expect(status);
        assert!(refused.body.contains(words), "{target} {headers:?}: {}", refused.body);
    }
}

#[test]
fn uploads_are_bounded_in_size_and_number_and_end_when_they_are_given_up() {
    let occid = setup().config("[http]\nimage_limit = \"1 MiB\"").start();
    let alice = occid.user("alice", &["--project", "physics"]);
    let large = alice
        .clone()
        .with("Upload-Complete", "?0")
        .with("Upload-Length", "1048577");
    let refused = large.send("POST", "/-/image/?name=x", "").expect(413);
    assert_eq!(refused.header("upload-limit"), Some("max-size=1048576"));
    upload(&alice, "x", &raw(1_048_576 + 512)).expect(413);
    // Of a length that nobody said.
    let unsaid = alice.clone().with("Upload-Complete", "?0");
    let place = unsaid
        .send("POST", "/-/image/?name=x", raw(1 << 20))
        .expect(201)
        .location();
    patch(&alice, &place, 1 << 20, "?1", b"x").expect(413);
    assert_eq!(offset(&alice, &place), 1 << 20);
    alice.delete(&place).expect(204);
    alice.send("HEAD", &place, "").expect(404);

    // What came late says nothing of the whole.
    let place = unsaid
        .send("POST", "/-/image/?name=late", &raw(1024)[..600])
        .expect(201)
        .location();
    for bytes in [&[0; 700][..], &[0; 10], &[0; 1 << 20 | 1]] {
        let late = patch(&alice, &place, 0, "?1", bytes).expect(409);
        assert_eq!(late.header("upload-offset"), Some("600"));
    }
    patch(&alice, &place, 600, "?1", &[0; 424]).expect(201);
    alice.delete(&place).expect(204);

    let place = begin(&alice, "x", 1000);
    let more = patch(&alice, &place, 0, "?0", &[0; 1001]).expect(400);
    assert!(more.body.contains("1000 bytes"), "{}", more.body);
    let plain = alice.clone().with("Content-Type", "text/plain");
    plain.send("PATCH", &place, "x").expect(415);
    let bare = alice.clone().with("Content-Type", "application/partial-upload");
    bare.send("PATCH", &place, "x").expect(400);
    let options = alice.send("OPTIONS", "/-/image/", "").expect(204);
    assert_eq!(options.header("accept-patch"), Some("application/partial-upload"));
    alice.send("PUT", &place, "x").expect(405);

    let others: Vec<_> = (0..7).map(|number| begin(&alice, &format!("x{number}"), 1)).collect();
    let refused = alice
        .clone()
        .with("Upload-Complete", "?0")
        .send("POST", "/-/image/?name=x", "")
        .expect(403);
    assert!(refused.body.contains("8 uploads"), "{}", refused.body);
    // Of another project: its own.
    let bob = occid.user("bob", &["--project", "chemistry"]);
    begin(&bob, "x", 1);
    let listed = alice.get("/-/image/").expect(200).json();
    assert_eq!(listed["uploads"].as_array().unwrap().len(), 8);
    // An operator sees whose they are, and clears up.
    let admin = occid.admin();
    let seen = admin.get("/-/image/?project=physics").expect(200).json();
    assert_eq!(seen["uploads"][0]["owner"], "alice");
    for other in others {
        admin.delete(&other).expect(204);
    }
    begin(&alice, "x", 1);
    // Nobody goes on with it for a day.
    let left = begin(&bob, "left", 1);
    let (kept, setup_of_old) = (begin(&bob, "kept", 1), occid.stop());
    let record = setup_of_old.data().join("qemu").join(&left[3..]).join("record.json");
    let mut old: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    old["touched_ms"] = (old["touched_ms"].as_i64().unwrap() - 25 * 3_600_000).into();
    std::fs::write(&record, old.to_string()).unwrap();
    let occid = setup_of_old.start();
    let bob = occid.client("bob", "bob");
    wait_until("the end of an old upload", || {
        (bob.get(&left).status == 404).then_some(())
    });
    assert_eq!(offset(&bob, &kept), 0);

    // A disk has an end.
    let occid = setup().config("[http]\nimage_limit = \"999999 GiB\"").start();
    let begun = occid
        .admin()
        .with("Upload-Complete", "?0")
        .with("Upload-Length", "900000000000000");
    let full = begun.send("POST", "/-/image/?name=x", "").expect(507);
    assert!(full.body.contains("no room on the disk"), "{}", full.body);
    // What is promised to one is not promised to another, also where it is announced late.
    let disk = rustix::fs::statvfs(occid.setup.data().as_path()).unwrap();
    let most = disk.f_bavail * disk.f_frsize / 10 * 7;
    let admin = occid.admin();
    let unsaid = || {
        let client = admin.clone().with("Upload-Complete", "?0");
        client.send("POST", "/-/image/?name=x", "").expect(201).location()
    };
    let (first, second) = (unsaid(), unsaid());
    let announced = |place: &str| {
        let client = admin.clone().with("Upload-Length", &most.to_string());
        patch(&client, place, 0, "?0", b"")
    };
    announced(&first).expect(204);
    announced(&second).expect(507);
    admin.delete(&first).expect(204);
    announced(&second).expect(204);
}

#[test]
fn two_uploads_are_looked_at_at_a_time() {
    // The image tool is a shell: `check` is a script beside the upload, which ends when it is told to.
    let occid = setup().config("[backend.qemu]\nqemu_img = \"sh\"").start();
    let admin = &occid.admin();
    let bytes = {
        let directory = tempfile::tempdir().unwrap();
        qemu_img(directory.path(), &["create", "-q", "-f", "qcow2", "x.qcow2", "1M"]);
        std::fs::read(directory.path().join("x.qcow2")).unwrap()
    };
    let (length, script) = (bytes.len(), "echo >begun; until [ -e go ]; do sleep 0.02; done");
    let uploads: Vec<_> = (0..3)
        .map(|_| {
            let place = begin(admin, "x", length);
            patch(admin, &place, 0, "?0", &bytes).expect(204);
            let inside = occid.setup.data().join("qemu").join(&place[3..]).join("inside");
            std::fs::write(inside.join("check"), script).unwrap();
            // It may run as another user.
            std::fs::write(inside.join("begun"), "").unwrap();
            std::fs::set_permissions(inside.join("begun"), Permissions::from_mode(0o666)).unwrap();
            (place, inside)
        })
        .collect();
    let is_begun = |inside: &Path| std::fs::metadata(inside.join("begun")).is_ok_and(|begun| begun.len() > 0);
    let go = |inside: &Path| std::fs::write(inside.join("go"), "").unwrap();
    std::thread::scope(|scope| {
        for (place, _) in &uploads {
            // Whoever asks how far it is takes over from what has not come to its end yet.
            scope.spawn(move || while patch(admin, place, length, "?1", b"").status == 409 {});
        }
        let mut begun = uploads.iter().filter(|(_, inside)| is_begun(inside));
        wait_until("two that are looked at", || (begun.clone().count() == 2).then_some(()));
        let (place, waits) = uploads.iter().find(|(_, inside)| !is_begun(inside)).unwrap();
        // Somebody is at it, and goes on being for seconds.
        wait_until("the end of the third", || {
            (admin.send("HEAD", place, "").status == 503).then_some(())
        });
        assert!(!is_begun(waits));
        go(&begun.next().unwrap().1);
        wait_until("the look at the third", || is_begun(waits).then_some(()));
        uploads
            .iter()
            .for_each(|(_, inside)| drop(std::fs::write(inside.join("go"), "")));
    });
    assert_eq!(images(admin).len(), 3);
}

#[test]
fn whoever_has_missed_where_an_upload_is_begins_it_again_with_the_same_key() {
    let occid = setup().start();
    let bytes = raw(1024);
    let keyed = |occid: &Occid, length: &str| {
        let client = occid.admin().with("Upload-Complete", "?0");
        client.with("Upload-Length", length).with("Idempotency-Key", "\"k\"")
    };
    let began = |client: &Client| client.send("POST", "/-/image/?name=x", "").expect(201);
    let place = began(&keyed(&occid, "1024")).location();
    let occid = occid.kill().start();
    let once = keyed(&occid, "1024");
    patch(&occid.admin(), &place, 0, "?0", &bytes[..512]).expect(204);
    let again = began(&once);
    assert_eq!(
        (again.location(), again.header("upload-offset")),
        (place.clone(), Some("512"))
    );
    let uploads = occid.admin().get("/-/image/").expect(200).json()["uploads"].clone();
    assert_eq!(uploads.as_array().unwrap().len(), 1, "{uploads}");
    // Of another image, of other bytes, in another project, by somebody else.
    once.send("POST", "/-/image/?name=y", "").expect(422);
    keyed(&occid, "1025").send("POST", "/-/image/?name=x", "").expect(422);
    let alice = occid.user("alice", &["--project", "physics"]);
    let hers = alice.with("Upload-Complete", "?0").with("Idempotency-Key", "k");
    assert_ne!(began(&hers).location(), place);
    // What is added is known by where it goes.
    patch(&once, &place, 512, "?1", &bytes[512..]).expect(400);
    patch(&occid.admin(), &place, 512, "?1", &bytes[512..]).expect(201);
}

#[test]
fn what_a_crash_leaves_of_an_upload_is_gone_on_with_or_goes() {
    let occid = setup().start();
    let bytes = raw(1024);
    let place = begin(&occid.admin(), "x", bytes.len());
    let (setup, uploads) = (occid.kill(), "qemu/upload");
    let uploads = setup.data().join(uploads);
    // Of one that has just begun there is the record and nothing else.
    let _not_made = std::fs::remove_dir_all(uploads.join(&place["/-/upload/".len()..]).join("inside"));
    // Of one that was being removed the bytes are left.
    let half = uploads.join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(half.join("inside")).unwrap();
    std::fs::write(half.join("inside/image"), &bytes).unwrap();
    let occid = setup.start();
    assert!(!half.exists());
    patch(&occid.admin(), &place, 0, "?1", &bytes).expect(201);
}

#[test]
fn an_image_of_which_a_power_cut_took_what_is_said_of_it_is_shown_to_nobody() {
    let occid = setup().start();
    let alice = occid.user("alice", &["--project", "physics"]);
    occid.user("bob", &["--project", "chemistry"]);
    let image = upload(&alice, "secret", &raw(1024)).expect(201).json();
    let name = image["name"].as_str().unwrap().to_owned();
    let mut setup = occid.stop();
    let described = setup.data().join("qemu/saved").join(format!("{name}.toml"));
    for lost in [Some(""), None] {
        match lost {
            Some(text) => std::fs::write(&described, text).unwrap(),
            None => std::fs::remove_file(&described).unwrap(),
        }
        let occid = setup.start();
        for who in ["alice", "bob"] {
            let client = occid.client(who, who);
            assert!(images(&client).is_empty(), "{who}");
            client.get(&format!("/-/image/{name}")).expect(404);
        }
        wait_until("a word to the operator", || {
            occid
                .log()
                .contains(&format!("the image {name} is left out"))
                .then_some(())
        });
        setup = occid.stop();
    }
}

#[test]
fn downloads_have_places_that_others_keep_their_share_of() {
    let occid = setup().config("[http]\nconnections = 16").start();
    let admin = occid.admin();
    let bytes = raw(64 << 20);
    let image = upload(&admin, "x", &bytes).expect(201).location();
    let begun = || {
        let mut slow = occid.raw();
        slow.write_all(format!("GET {image} HTTP/1.1\r\n{}\r\n", admin.head()));
        slow.answer_to("HEAD").unwrap().expect(200);
        slow
    };
    // More than the sockets between us hold, and nobody reads it: half of the places for what lasts.
    let slow: Vec<_> = (0..4).map(|_| begun()).collect();
    admin.get(&image).expect(429);
    admin.send("HEAD", &image, "").expect(200);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    bob.get("/-/image/").expect(200);
    drop(slow);
    let whole = wait_until("a place", || {
        Some(admin.get(&image)).filter(|answer| answer.status == 200)
    });
    assert!(whole.bytes == bytes);
}

#[test]
fn an_upload_outlives_connections_that_break_or_hang() {
    let occid = setup().config("[http]\nbody_timeout = \"2s\"").start();
    let admin = occid.admin();
    let bytes = raw(2 << 20);
    let place = begin(&admin, "x", bytes.len());
    // All that is left is announced, and what announces it has been read.
    let begun = |occid: &Occid, from: usize| {
        let mut raw = occid.raw();
        raw.write_all(format!(
            "PATCH {place} HTTP/1.1\r\n{}Content-Type: application/partial-upload\r\nUpload-Offset: {from}\r\n\
             Upload-Complete: ?1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            occid.admin().head(),
            bytes.len() - from
        ));
        assert_eq!(raw.answer().unwrap().status, 100);
        raw
    };

    // It breaks off.
    let mut broken = begun(&occid, 0);
    broken.write_all(&bytes[..1_500_000]);
    broken.end();
    drop(broken);
    // Who looks without a wish to go on disturbs nobody.
    wait_until("what came", || {
        let seen = admin.get(&place).expect(200).json();
        (seen["offset"].as_u64().unwrap() > 0).then_some(())
    });
    let there = offset(&admin, &place);
    assert!(there <= 1_500_000, "{there}");

    // It hangs, and whoever comes next does not wait for it.
    let mut hanging = begun(&occid, there);
    hanging.write_all(&bytes[there..there + 100_000]);
    let now = offset(&admin, &place);
    assert!((there..=there + 100_000).contains(&now), "{there}, then {now}");
    assert_eq!(hanging.answer().unwrap().status, 409);
    let there = now;

    // It hangs, and nobody comes.
    let mut silent = begun(&occid, there);
    silent.write_all(&bytes[there..there + 1000]);
    assert_eq!(silent.answer().unwrap().status, 408);
    let there = offset(&admin, &place);

    // A stop does not wait for it.
    let mut stopped = begun(&occid, there);
    stopped.write_all(&bytes[there..there + 1000]);
    let occid = occid.stop().start();
    assert_eq!(stopped.answer().unwrap().status, 503);
    let admin = occid.admin();
    let there = offset(&admin, &place);

    let image = patch(&admin, &place, there, "?1", &bytes[there..])
        .expect(201)
        .location();
    assert!(admin.get(&image).expect(200).bytes == bytes);
}

#[test]
fn an_upload_in_one_request_that_breaks_off_leaves_nothing() {
    let occid = setup().start();
    let bytes = raw(1 << 20);
    let begun = |length: usize| {
        wait_until("the end of those before", || {
            let mut raw = occid.raw();
            raw.write_all(format!(
                "POST /-/image/?name=x HTTP/1.1\r\n{}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
                occid.admin().head()
            ));
            (raw.answer().unwrap().status == 100).then_some(raw)
        })
    };
    // More than a user may have open, of those who break off in the middle, and of those who do not wait for an answer.
    for _ in 0..9 {
        begun(bytes.len()).write_all(&bytes[..1000]);
    }
    let junk = vec![b'x'; 8 << 20];
    for _ in 0..9 {
        begun(junk.len()).write_all(&junk);
    }
    let admin = occid.admin();
    wait_until("the end of what nobody knows of", || {
        let listed = admin.get("/-/image/").expect(200).json();
        listed["uploads"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(files(&occid), [""; 0]);
    upload(&admin, "x", &bytes).expect(201);
}

#[test]
fn no_byte_that_was_acknowledged_is_lost_when_the_service_is_killed() {
    let occid = setup().start();
    let admin = occid.admin();
    let bytes = raw(96 << 20);
    let begun = admin
        .clone()
        .with("Upload-Complete", "?0")
        .with("Repr-Digest", &digest(&bytes));
    let place = begun
        .send("POST", "/-/image/?name=x", &bytes[..1000])
        .expect(201)
        .location();
    let mut sending = occid.raw();
    sending.write_all(format!(
        "PATCH {place} HTTP/1.1\r\n{}Content-Type: application/partial-upload\r\nUpload-Offset: 1000\r\n\
         Upload-Complete: ?1\r\nContent-Length: {}\r\n\r\n",
        admin.head(),
        bytes.len() - 1000
    ));
    sending.write_all(&bytes[1000..80 << 20]);
    // What was not asked for is counted now and then.
    let told = wait_until("a part", || {
        let now = admin.get(&place).expect(200).json()["offset"].as_u64().unwrap();
        (now > 1000).then_some(now)
    });
    let occid = occid.kill().start();
    let admin = occid.admin();
    let there = offset(&admin, &place);
    assert!(
        there as u64 >= told && there <= 80 << 20,
        "{told} were told, {there} are there"
    );
    let image = patch(&admin, &place, there, "?1", &bytes[there..])
        .expect(201)
        .location();
    // Killed after that, it is an image still.
    let occid = occid.kill().start();
    let admin = occid.admin();
    let whole = admin.get(&image).expect(200);
    assert_eq!(whole.header("repr-digest"), Some(digest(&bytes).as_str()));
    assert!(whole.bytes == bytes);
    assert_eq!(offset(&admin, &place), bytes.len());
}

#[test]
fn a_project_has_no_more_bytes_of_images_than_the_operator_says() {
    let occid = setup().config("[backend.qemu]\nproject_image_gib = 1").start();
    let alice = occid.user("alice", &["--project", "physics"]);
    let bob = occid.user("bob", &["--project", "chemistry"]);
    let beginning = |client: &Client, length: usize| {
        let client = client.clone().with("Upload-Complete", "?0");
        let client = client.with("Upload-Length", &length.to_string());
        client.send("POST", "/-/image/?name=x", "")
    };
    let refused = |answer: Answer| {
        let refused = answer.expect(403);
        assert!(refused.body.contains("1 GiB of images"), "{}", refused.body);
    };
    // An image counts, and what is announced.
    let image = upload(&alice, "small", &raw(1024)).expect(201).json();
    refused(beginning(&alice, 1 << 30));
    let most = beginning(&alice, (1 << 30) - 1024).expect(201).location();
    refused(beginning(&alice, 1));
    beginning(&bob, 1 << 30).expect(201);
    // Also what is announced late, and for what is there already.
    alice.delete(&most).expect(204);
    let unsaid = alice.clone().with("Upload-Complete", "?0");
    let late = unsaid
        .send("POST", "/-/image/?name=late", &raw(1024)[..600])
        .expect(201)
        .location();
    let announced = |length: usize| {
        let client = alice.clone().with("Upload-Length", &length.to_string());
        patch(&client, &late, 600, "?0", b"")
    };
    refused(announced((1 << 30) - 1023));
    announced((1 << 30) - 1024).expect(204);
    alice.delete(&late).expect(204);
    // What is removed counts no more.
    let (scheme, name) = image["template"].as_str().unwrap().split_once('#').unwrap();
    let category = format!("Category: {name}; scheme=\"{scheme}#\"; class=\"mixin\"");
    let removing = alice.clone().with("Content-Type", "text/plain");
    removing.send("DELETE", "/-/", &category).expect(200);
    beginning(&alice, 1 << 30).expect(201);
}

#[test]
fn what_became_of_an_upload_is_on_record() {
    let occid = setup().config("[http]\nimage_limit = \"1 MiB\"").start();
    let admin = occid.admin();
    upload(&admin, "good", &raw(1024)).expect(201);
    upload(&admin, "bad", b"no image").expect(400);
    let given_up = begin(&admin, "given-up", 1);
    admin.delete(&given_up).expect(204);
    for number in 0..8 {
        begin(&admin, &format!("open{number}"), 1);
    }
    upload(&admin, "ninth", &raw(1024)).expect(403);
    let setup = occid.stop();
    let store = SqliteStore::open(setup.data().join("occid.db")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let records = runtime.block_on(store.audit(&AuditQuery::default())).unwrap();
    let of = |name: &str| -> Vec<_> {
        let about = records.iter().rev().filter(|record| record.path == "/-/image/");
        let about = about.filter(|record| record.verb.ends_with(" upload") && record.detail.starts_with(name));
        about
            .map(|record| (record.verb.as_str(), record.outcome.as_str()))
            .collect()
    };
    let begun = ("begin upload", "accepted");
    assert_eq!(of("good"), [begun, ("finish upload", "accepted")], "{records:#?}");
    assert_eq!(
        of("bad"),
        [begun, ("finish upload", "refused"), ("abandon upload", "accepted")]
    );
    assert_eq!(of("given-up"), [begun, ("abandon upload", "accepted")]);
    assert_eq!(of("ninth"), [("begin upload", "refused")]);
}

#[test]
fn an_engine_without_images_says_so() {
    let occid = Occid::start();
    let admin = occid.admin();
    for answer in [admin.get("/-/image/"), upload(&admin, "x", b"x")] {
        let refused = answer.expect(501);
        assert!(refused.body.contains("memory"), "{}", refused.body);
    }
    admin.get("/-/image/x").expect(404);
    admin.get("/-/upload/00000000-0000-4000-8000-000000000000").expect(501);
}
