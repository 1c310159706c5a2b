//! Disk images: what there is to boot from.
//!
//! An image can name other files (a backing file, an external data file), and QEMU would read them with its own
//! rights; so images in the catalogue must not name any. Their format is said, never guessed by QEMU: only a raw file
//! can be made to look like something else, and of a template nothing is ever written.

pub(crate) mod bases;
pub(crate) mod qcow2;
pub(crate) mod saved;
pub(crate) mod templates;
pub(crate) mod upload;

use crate::error::{Failure, chain};
use crate::image::qcow2::Head;
use occi_model::Term;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The formats this engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// QEMU's own, copy-on-write.
    Qcow2,
    /// The bare bytes of a disk.
    Raw,
}

impl Format {
    /// The name that QEMU uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What an image says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its format.
    pub format: Format,
    /// The size of the disk that a guest sees, in bytes.
    pub size: u64,
}

/// Reads the head of the image at `path`.
///
/// # Errors
/// [`Failure::Image`] if it names other files or is damaged; [`Failure::Host`].
pub fn read_header(path: &Path) -> Result<Header, Failure> {
    open(path, |_, _| Ok(true))
}

/// The same, and checks that the file holds all that it speaks of: it may have been cut off, or a copy may not have ended.
///
/// # Errors
/// As [`read_header`].
pub(crate) fn read_whole(path: &Path) -> Result<Header, Failure> {
    open(path, |head, file| head.is_whole(file))
}

fn open(path: &Path, is_whole: impl FnOnce(&Head, &mut File) -> std::io::Result<bool>) -> Result<Header, Failure> {
    let host = |error| Failure::host(format!("read {}", path.display()))(error);
    let mut file = File::open(path).map_err(host)?;
    let named_qcow2 = path.extension().is_some_and(|extension| extension == "qcow2");
    let Some(head) = Head::read(&mut file).map_err(host)? else {
        return match (named_qcow2, file.metadata().map_err(host)?.len()) {
            (true, _) => Err(refusal(path, "it is no qcow2 image")),
            (false, 0) => Err(refusal(path, "it is empty")),
            (false, size) => Ok(Header {
                format: Format::Raw,
                size,
            }),
        };
    };
    let head = head.map_err(|reason| refusal(path, reason))?;
    if !is_whole(&head, &mut file).map_err(host)? {
        return Err(refusal(
            path,
            "it is cut off: its tables speak of more than the file has",
        ));
    }
    Ok(Header {
        format: Format::Qcow2,
        size: head.size,
    })
}

fn refusal(image: &Path, reason: impl Into<String>) -> Failure {
    Failure::Image {
        image: image.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        reason: reason.into(),
    }
}

/// The optional description next to an image, `NAME.toml`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Description {
    /// For people. Default: the file's name.
    pub title: Option<String>,
    /// The system, `debian`.
    pub os: Option<String>,
    /// Its version, `12`.
    pub version: Option<String>,
    /// The least memory that boots it, in MiB. Default 96.
    pub min_memory_mib: Option<u64>,
    /// The processor it is for. Default `x86_64`, the only one this engine emulates.
    pub architecture: Option<String>,
    /// The account that the key of a compute lets in. Default `root`.
    pub default_user: Option<String>,
    /// Whether it answers on port 22. Default true.
    pub ssh: Option<bool>,
    /// Of the image file, in hexadecimal; for people and for tools that fetch images.
    pub sha256: Option<String>,
    /// The project that alone may use it; none: everybody.
    pub project: Option<String>,
}

/// An image to boot from.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its name: the file's, made fit for a term.
    pub term: Term,
    /// Where it is.
    pub path: PathBuf,
    /// What it says about itself.
    pub header: Header,
    /// What is said about it.
    pub description: Description,
    /// The file that was read.
    pub(crate) facts: Facts,
}

/// The least memory of images that do not say, in MiB: the smallest guest known needs 80.
pub const LEAST_MEMORY_MIB: u64 = 96;

impl Image {
    /// The least memory that boots it, in MiB.
    pub fn min_memory_mib(&self) -> u64 {
        self.description.min_memory_mib.unwrap_or(LEAST_MEMORY_MIB)
    }

    /// For people.
    pub fn title(&self) -> String {
        self.description
            .title
            .clone()
            .unwrap_or_else(|| match (&self.description.os, &self.description.version) {
                (Some(os), Some(version)) => format!("{os} {version}"),
                (Some(os), None) => os.clone(),
                _ => self.term.to_string(),
            })
    }

    /// The account that the key lets in, if it answers on port 22.
    pub fn ssh_user(&self) -> Option<&str> {
        let user = self.description.default_user.as_deref().unwrap_or("root");
        self.description.ssh.unwrap_or(true).then_some(user)
    }
}

/// Why an image is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// For now: it may be half of what it will be.
    #[error("somebody writes to it; it is taken when that has ended")]
    Written,
    /// It cannot be used as it is.
    #[error("{0}")]
    Unfit(String),
}

/// What is found in directories of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Images {
    /// By name.
    pub images: Vec<Image>,
    /// What was left out: the name, and why.
    pub refused: Vec<(String, Refusal)>,
}

impl Images {
    /// The image called `term`.
    pub fn get(&self, term: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.term.as_str() == term)
    }

    /// The image for a compute that names none: the one called `configured`, else the first. Never one of the directory
    /// `saved`: what somebody has saved is booted by those who ask for it.
    pub fn default_of(&self, configured: Option<&str>, saved: &Path) -> Option<&Image> {
        let mut given = self.images.iter().filter(|image| !image.path.starts_with(saved));
        given.find(|image| configured.is_none_or(|name| image.term.as_str() == name))
    }

    /// Why the image called `term` is left out.
    pub fn refusal(&self, term: &str) -> Option<&Refusal> {
        let refused = self.refused.iter().find(|(name, _)| name == term);
        refused.map(|(_, why)| why)
    }
}

/// Directories of images, and what was found there last: only what has changed since is read again.
#[derive(Debug)]
pub struct Library {
    /// That of the projects' own images, first.
    saved: PathBuf,
    given: Vec<PathBuf>,
    known: Mutex<HashMap<PathBuf, (Stamp, Found)>>,
}

/// What a file is, or why it is left out.
type Found = Result<Image, Refusal>;

impl Library {
    /// The projects' own images are in `saved`, those of everybody in `given`. Of two images with one name the one in the
    /// earlier directory counts. A directory that is not there is empty.
    pub fn new(saved: PathBuf, given: Vec<PathBuf>) -> Self {
        Self {
            saved,
            given,
            known: Mutex::default(),
        }
    }

    /// What there is now.
    pub fn look(&self) -> Images {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        let mut found = Images::default();
        for directory in std::iter::once(&self.saved).chain(&self.given) {
            let read = if *directory == self.saved { read_saved } else { read };
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = entries
                .map(|entry| entry.path())
                .filter(|path| is_image(path))
                .collect();
            paths.sort();
            for path in paths {
                let stamp = Stamp::of(&path);
                let image = match before.remove(&path) {
                    Some((then, image)) if then == stamp => image,
                    _ if !stamp.rests => Err(Refusal::Written),
                    _ => read(&path).map_err(|failure| {
                        Refusal::Unfit(match failure {
                            Failure::Image { reason, .. } => reason,
                            other => chain(&other),
                        })
                    }),
                };
                match &image {
                    Ok(image) if found.get(image.term.as_str()).is_none() => found.images.push(image.clone()),
                    Ok(_hidden) => {}
                    Err(why) => found.refused.push((name(&path), why.clone())),
                }
                known.insert(path, (stamp, image));
            }
        }
        found
    }
}

/// An image file that may be written to is taken for whole when nobody has done so for this long.
const REST: Duration = Duration::from_secs(2);

/// Device, number, length and time of a file: of another one, or after it was written to, they are others.
pub(crate) type Facts = (u64, u64, u64, i64, i64);

pub(crate) fn facts(meta: &Metadata) -> Facts {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// What changes when an image or its description does.
#[derive(Debug, PartialEq)]
struct Stamp {
    files: [Option<Facts>; 2],
    rests: bool,
}

impl Stamp {
    fn of(image: &Path) -> Self {
        let meta = fs::metadata(image).ok();
        let description = fs::metadata(image.with_extension("toml")).ok();
        let rests = meta.as_ref().is_none_or(|meta| {
            let age = meta.modified().ok().and_then(|then| then.elapsed().ok());
            meta.mode() & 0o222 == 0 || age.is_none_or(|age| age >= REST)
        });
        Self {
            files: [meta, description].map(|meta| meta.as_ref().map(facts)),
            rests,
        }
    }
}

/// The name of an image, as a term has it.
fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    name.trim_start_matches(['-', '_', '.']).to_owned()
}

/// How the names of images end.
pub(crate) const FORMATS: [&str; 3] = ["qcow2", "raw", "img"];

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    extension.is_some_and(|extension| FORMATS.contains(&extension)) && !hidden && path.is_file()
}

/// Reads the image at `path`, and what is said beside it.
///
/// # Errors
/// As [`read_header`]; [`Failure::Image`] also if its name or its description cannot be used, or it is not whole.
pub fn read(path: &Path) -> Result<Image, Failure> {
    let term = name(path)
        .parse()
        .map_err(|_| refusal(path, "its name makes no term"))?;
    // Before the rest: what is written meanwhile makes it another.
    let meta = fs::metadata(path).map_err(Failure::host(format!("read {}", path.display())))?;
    let described = |error: &dyn std::fmt::Display| refusal(path, format!("its description: {error}"));
    let description = match fs::read_to_string(path.with_extension("toml")) {
        Ok(text) => toml::from_str(&text).map_err(|error: toml::de::Error| described(&error.message()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Description::default(),
        Err(error) => return Err(described(&error)),
    };
    if let Some(other) = description.architecture.as_deref().filter(|name| *name != "x86_64") {
        let reason = format!("it is for {other}, and this engine emulates x86_64");
        return Err(refusal(path, reason));
    }
    Ok(Image {
        term,
        path: path.to_owned(),
        header: read_whole(path)?,
        description,
        facts: facts(&meta),
    })
}

/// The same of an image that belongs to a project. One of which nobody can tell any more whose it is must not be everybody's.
///
/// # Errors
/// As [`read`]; [`Failure::Image`] also if its description names no project.
pub fn read_saved(path: &Path) -> Result<Image, Failure> {
    let image = read(path)?;
    match image.description.project {
        Some(_) => Ok(image),
        None => Err(refusal(
            path,
            "its description has no project; write `project = \"NAME\"` into the file of its name that ends in .toml",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu_img(directory: &Path, args: &[&str]) {
        let done = std::process::Command::new("qemu-img")
            .args(args)
            .current_dir(directory)
            .output();
        assert!(done.unwrap().status.success(), "{args:?}");
    }

    /// As if nobody had written to it for long.
    fn rest(file: &Path) {
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }

    #[test]
    fn the_catalogue_takes_what_it_can_trust_and_says_why_it_leaves_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        qemu_img(
            directory.path(),
            &["create", "-q", "-f", "qcow2", "good one.qcow2", "8M"],
        );
        qemu_img(
            directory.path(),
            &[
                "create",
                "-q",
                "-f",
                "qcow2",
                "-F",
                "raw",
                "-b",
                "/etc/passwd",
                "thief.qcow2",
                "1M",
            ],
        );
        qemu_img(
            directory.path(),
            &[
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "data_file=other",
                "split.qcow2",
                "1M",
            ],
        );
        fs::write(at("bare.img"), [0; 1024]).unwrap();
        fs::write(at("cut.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
        fs::write(at("liar.qcow2"), b"no image").unwrap();
        fs::write(at("odd.raw"), b"x").unwrap();
        fs::write(at("odd.toml"), "titel = \"x\"").unwrap();
        fs::write(
            at("good one.toml"),
            "title = \"Good\"\nmin_memory_mib = 512\ndefault_user = \"debian\"",
        )
        .unwrap();

        for file in fs::read_dir(directory.path()).unwrap() {
            rest(&file.unwrap().path());
        }
        let library = Library::new(
            "/no/such".into(),
            vec![directory.path().to_owned(), "/no/directory".into()],
        );
        let found = library.look();
        let names: Vec<_> = found.images.iter().map(|image| image.term.as_str()).collect();
        assert_eq!(names, ["bare", "good-one"]);
        let good = found.get("good-one").unwrap();
        assert_eq!(
            (good.title().as_str(), good.min_memory_mib(), good.ssh_user()),
            ("Good", 512, Some("debian"))
        );
        assert_eq!(
            good.header,
            Header {
                format: Format::Qcow2,
                size: 8 << 20
            }
        );
        assert_eq!(
            found.get("bare").unwrap().header,
            Header {
                format: Format::Raw,
                size: 1024
            }
        );
        let none = Path::new("/no/such/directory");
        let default = |name, saved| Some(found.default_of(name, saved)?.term.as_str());
        assert_eq!(default(None, none), Some("bare"));
        assert_eq!(default(Some("good-one"), none), Some("good-one"));
        assert_eq!(default(Some("gone"), none), None);
        // Saved ones are nobody's default, not even if there is no other.
        assert_eq!(default(None, directory.path()), None);
        for (name, reason) in [
            ("thief", "it names a backing file"),
            ("split", "it keeps its data"),
            ("odd", "titel"),
            ("cut", "cut off"),
            ("liar", "no qcow2"),
        ] {
            let said = found.refusal(name).unwrap().to_string();
            assert!(said.contains(reason), "{name}: {said}");
        }
        // Looked at again, it is what it has become.
        fs::write(at("odd.toml"), "title = \"Even\"").unwrap();
        assert_eq!(library.look().get("odd").unwrap().title(), "Even");
    }

    #[test]
    fn a_saved_image_of_which_nobody_can_tell_whose_it_is_is_shown_to_nobody() {
        let saved = tempfile::tempdir().unwrap();
        let at = |name: &str| saved.path().join(name);
        for name in ["own", "lost", "empty", "untold"] {
            fs::write(at(name).with_extension("raw"), [0; 512]).unwrap();
            rest(&at(name).with_extension("raw"));
        }
        // As a power cut leaves them.
        fs::write(at("own.toml"), "project = \"physics\"").unwrap();
        fs::write(at("empty.toml"), "").unwrap();
        fs::write(at("untold.toml"), "title = \"Gold\"").unwrap();
        let library = Library::new(saved.path().to_owned(), Vec::new());
        let found = library.look();
        let names: Vec<_> = found.images.iter().map(|image| image.term.as_str()).collect();
        assert_eq!(names, ["own"]);
        for name in ["lost", "empty", "untold"] {
            assert!(
                found.refusal(name).unwrap().to_string().contains("project"),
                "{found:?}"
            );
            assert!(read_saved(&at(name).with_extension("raw")).is_err());
        }
    }

    #[test]
    fn an_image_is_taken_when_it_is_whole_in_every_variant_that_qemu_makes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let random: Vec<u8> = (0..1 << 17).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect();
        fs::write(at("content"), random).unwrap();
        let library = Library::new("/no/such".into(), vec![directory.path().to_owned()]);
        for options in [
            &[][..],
            &["-c"],
            &["-o", "compat=0.10"],
            &["-o", "extended_l2=on"],
            &["-o", "cluster_size=512"],
            &["-o", "cluster_size=2M"],
            &["-o", "preallocation=metadata"],
        ] {
            let convert = [
                &["convert", "-f", "raw", "-O", "qcow2"],
                options,
                &["content", "x.qcow2"],
            ];
            qemu_img(directory.path(), &convert.concat());
            let image = at("x.qcow2");
            rest(&image);
            let whole = library.look();
            assert!(whole.get("x").is_some(), "{options:?}: {:?}", whole.refused);
            let length = fs::metadata(&image).unwrap().len();
            for part in [length / 4 * 3, length / 2, length / 4, 100] {
                File::options().write(true).open(&image).unwrap().set_len(part).unwrap();
                rest(&image);
                let said = library.look();
                let said = said
                    .refusal("x")
                    .unwrap_or_else(|| panic!("{options:?} at {part} of {length}"))
                    .to_string();
                assert!(said.contains("cut off"), "{said}");
            }
            fs::remove_file(&image).unwrap();
        }
    }

    #[test]
    fn an_image_to_which_somebody_writes_is_taken_when_that_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("x.raw");
        fs::write(&image, [0; 512]).unwrap();
        let library = Library::new("/no/such".into(), vec![directory.path().to_owned()]);
        assert_eq!(library.look().refusal("x"), Some(&Refusal::Written));
        rest(&image);
        assert!(library.look().get("x").is_some());
        // To this one nobody can.
        fs::write(&image, [1; 512]).unwrap();
        fs::set_permissions(&image, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        assert!(library.look().get("x").is_some());
    }
}
