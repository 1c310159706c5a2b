//! Servers that say one thing of an image and do another, and directories in which others may write.

use crate::stub::{Seen, Stub, answer, json, model, with};
use crate::world::{Said, said};
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as value};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The SHA-256 of `IMAGE`.
const SHA256: &str = "44f8354494a5ba03ba1792a8d3e9c534c47a9181980fde7a3f44b06ef2ae7c7f";
const IMAGE: &[u8] = &[b'x'; 1000];

/// A server, and somebody who uses it from a directory.
struct Scene {
    stub: Stub,
    directory: TempDir,
    _runtime: Runtime,
}

impl Scene {
    fn new(answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + Sync + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let stub = runtime.block_on(Stub::start(move |seen| answer(seen).unwrap_or_else(model)));
        Self {
            stub,
            directory: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        }
    }

    /// One that has this image, and gives it away like this.
    fn giving(image: Value, give: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self::new(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/-/image/") => Some(json(200, &value!({"images": [image], "uploads": []}))),
            ("HEAD", "/-/image/x") => Some(with(answer(200, "application/octet-stream", ""), "etag", "\"tag\"")),
            ("GET", "/-/image/x") => Some(give(seen)),
            _ => None,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn occi(&self, line: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occi"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("OCCI_ENDPOINT", &self.stub.url)
            .env("OCCI_USER", "ann")
            .env("OCCI_PASSWORD", "secret")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        said(command.spawn().unwrap())
    }

    /// Runs what must fail with these words.
    #[track_caller]
    fn refused(&self, line: &str, code: i32, words: &str) {
        let said = self.occi(line);
        assert_eq!(
            (said.code, said.err.contains(words)),
            (Some(code), true),
            "{line}: {words:?}: {said:?}"
        );
    }

    /// What lies in the directory.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "home").collect();
        names.sort();
        names
    }
}

fn image(sha256: Option<&str>) -> Value {
    value!({"name": "x", "path": "/-/image/x", "format": "raw", "size": 1000, "sha256": sha256})
}

fn whole(bytes: impl Into<Bytes>) -> Response<Body> {
    answer(200, "application/octet-stream", bytes.into())
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn a_download_writes_no_file_but_its_own() {
    let scene = Scene::giving(image(None), |_| whole(IMAGE));
    let (victim, part) = (scene.path("victim"), scene.path("x.raw.tag.part"));
    let is_intact = || std::fs::read(&victim).unwrap() == b"mine";
    write(&victim, b"mine");
    std::os::unix::fs::symlink("victim", &part).unwrap();
    scene.refused("image download x", 2, "is no download of yours");
    std::fs::remove_file(&part).unwrap();
    std::fs::hard_link(&victim, &part).unwrap();
    scene.refused("image download x", 2, "is no download of yours");
    std::fs::remove_file(&part).unwrap();
    std::fs::create_dir(&part).unwrap();
    scene.refused("image download x", 1, "x.raw.tag.part");
    std::fs::remove_dir(&part).unwrap();
    std::os::unix::fs::symlink("nowhere", scene.path("x.raw")).unwrap();
    scene.refused("image download x", 2, "there is a file x.raw already");
    std::fs::remove_file(scene.path("x.raw")).unwrap();
    let other = std::fs::File::create(&part).unwrap();
    other.lock().unwrap();
    scene.refused("image download x", 5, "another download");
    drop(other);
    assert_eq!(scene.names(), ["victim", "x.raw.tag.part"]);
    assert!(is_intact());
    assert_eq!(scene.occi("image download x").out, "x.raw\n");
    assert!(std::fs::read(scene.path("x.raw")).unwrap() == IMAGE);

    // Somebody makes the file meanwhile.
    let place = Mutex::new(PathBuf::new());
    let place = std::sync::Arc::new(place);
    let made = place.clone();
    let scene = Scene::giving(image(None), move |_| {
        write(&made.lock().unwrap(), b"meanwhile");
        whole(IMAGE)
    });
    *place.lock().unwrap() = scene.path("copy");
    scene.refused("image download x copy", 2, "copy.tag.part");
    assert_eq!(std::fs::read(scene.path("copy")).unwrap(), b"meanwhile");
    assert!(std::fs::read(scene.path("copy.tag.part")).unwrap() == IMAGE);

    // The server names none.
    for (member, odd) in [("format", "raw/../../x"), ("name", "../x"), ("name", ".x")] {
        let mut image = image(None);
        image[member] = odd.into();
        let name = image["name"].as_str().unwrap().to_owned();
        let scene = Scene::giving(image, |_| whole(IMAGE));
        scene.refused(&format!("image download {name}"), 2, "say into which FILE");
        assert_eq!(scene.names(), [""; 0]);
    }
}

pub(crate) fn a_server_that_lies_about_an_image_is_not_believed() {
    let endless = |_: &Seen| {
        let bytes = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 300])));
        Response::new(Body::from_stream(bytes))
    };
    let scene = Scene::giving(image(None), endless);
    scene.refused("image download x", 1, "more bytes than it says");
    assert_eq!(scene.names(), [""; 0]);

    let scene = Scene::giving(image(Some(SHA256)), |_| whole(vec![b'y'; 1000]));
    scene.refused("image download x", 1, "damaged");
    assert_eq!(scene.names(), [""; 0]);

    // What is asked for after what is there.
    let begun = |give: fn(&Seen) -> Response<Body>| {
        let scene = Scene::giving(image(None), give);
        write(&scene.path("x.raw.tag.part"), &IMAGE[..400]);
        scene
    };
    let range = |range: &str| {
        with(
            answer(206, "application/octet-stream", &IMAGE[400..]),
            "content-range",
            range,
        )
    };
    let scene = begun(|_| answer(416, "text/plain", ""));
    scene.refused("image download x", 1, "fewer bytes than it says");
    for give in [
        (|_| answer(206, "application/octet-stream", &IMAGE[400..])) as fn(&Seen) -> _,
        |_| with(answer(206, "a/b", &IMAGE[400..]), "content-range", "bytes 0-599/1000"),
        |_| with(answer(206, "a/b", &IMAGE[400..]), "content-range", "bytes 400-999/2000"),
    ] {
        let scene = begun(give);
        scene.refused("image download x", 1, "other bytes than it was asked for");
        assert_eq!(scene.names(), ["x.raw.tag.part"]);
    }
    // One that tells the truth, also where it ends too early once, or begins anew.
    let calls = Mutex::new(0);
    let scene = Scene::giving(image(None), move |seen| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        match (*calls, seen.header("range")) {
            (1, "") => {
                let short = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(&IMAGE[..400]))]);
                Response::new(Body::from_stream(short))
            }
            (2, "bytes=400-") => range("bytes 400-999/1000"),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(scene.occi("image download x").out, "x.raw\n");
    assert!(std::fs::read(scene.path("x.raw")).unwrap() == IMAGE);
    let scene = begun(|_| whole(IMAGE));
    assert_eq!(scene.occi("image download x").out, "x.raw\n");
    assert!(std::fs::read(scene.path("x.raw")).unwrap() == IMAGE);
}

/// A server on which uploads have been begun, and that answers to what is added like this.
fn taking(uploads: Value, patch: fn(&Seen) -> Response<Body>) -> Scene {
    let scene = Scene::new(move |seen| {
        let target = seen.target.split('?').next().unwrap();
        match (seen.method.as_str(), target) {
            ("GET", "/-/image/") => Some(json(200, &value!({"images": [], "uploads": uploads}))),
            ("POST", "/-/image/") => Some(with(answer(201, "text/plain", ""), "location", "/-/upload/new")),
            ("PATCH", _) => Some(patch(seen)),
            ("HEAD", "/-/upload/refused") => Some(answer(410, "text/plain", "")),
            ("GET", "/-/upload/refused") => Some(json(200, &value!({"state": "refused", "reason": "it is a cake"}))),
            ("HEAD", _) => Some(with(answer(204, "text/plain", ""), "upload-offset", "0")),
            _ => None,
        }
    });
    write(&scene.path("x.raw"), IMAGE);
    scene
}

/// An upload of that file, with other members.
fn begun(path: &str, others: &Value) -> Value {
    let mut upload = value!({
        "path": path, "name": "x", "mine": true, "state": "receiving", "offset": 0, "length": 1000,
        "sha256": SHA256, "title": null, "default_user": null, "ssh": null, "min_memory_mib": null,
    });
    for (key, value) in others.as_object().unwrap() {
        upload[key] = value.clone();
    }
    upload
}

fn done(_: &Seen) -> Response<Body> {
    json(201, &value!({"name": "x-1"}))
}

pub(crate) fn an_upload_goes_on_only_if_the_same_was_said_of_it() {
    let others = value!([
        begun("/-/upload/0", &value!({"mine": false})),
        begun("/-/upload/1", &value!({"title": "Other"})),
        begun("/-/upload/2", &value!({"state": "refused"})),
        begun("/-/upload/3", &value!({"sha256": "00"})),
        begun("/-/upload/4", &value!({"default_user": "ann"})),
        begun(
            "/-/upload/5",
            &value!({"default_user": "ann", "ssh": false, "min_memory_mib": 512})
        ),
    ]);
    let scene = taking(others, done);
    for (line, place) in [
        ("image upload x.raw", "new"),
        ("image upload x.raw --title Other", "1"),
        ("image upload x.raw --title Mine", "new"),
        ("image upload x.raw --default-user ann", "4"),
        ("image upload x.raw --default-user ann --no-ssh", "new"),
        ("image upload x.raw --default-user ann --no-ssh --min-memory 512M", "5"),
        ("image upload x.raw --default-user ann --no-ssh --min-memory 1G", "new"),
    ] {
        scene.stub.lines();
        let said = scene.occi(line);
        assert_eq!(said.out, "x-1\n", "{line}: {said:?}");
        let lines = scene.stub.lines();
        assert!(lines.contains(&format!("PATCH /-/upload/{place}")), "{line}: {lines:?}");
    }
}

pub(crate) fn an_upload_that_gets_nowhere_ends_with_words() {
    // Some of it was taken before a part failed, and then it was refused.
    let refused = value!([begun("/-/upload/refused", &value!({}))]);
    taking(refused, done).refused("image upload x.raw", 1, "the image is not taken: it is a cake");
    for offset in ["0", "99999999"] {
        let told: fn(&Seen) -> Response<Body> = match offset {
            "0" => |_| with(answer(204, "text/plain", ""), "upload-offset", "0"),
            _ => |_| with(answer(204, "text/plain", ""), "upload-offset", "99999999"),
        };
        let scene = taking(value!([]), told);
        // More than one part.
        write(&scene.path("long.raw"), &vec![b'x'; 9 << 20]);
        scene.refused("image upload long.raw", 1, &format!("says that it has {offset} bytes"));
    }
}
