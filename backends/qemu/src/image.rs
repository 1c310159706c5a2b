//! Disk images: what there is to boot from.
//!
//! An image can name other files (a backing file, an external data file), and QEMU would read them with its own
//! rights; so images in the catalogue must not name any. Their format is said, never guessed by QEMU: only a raw file
//! can be made to look like something else, and of a template nothing is ever written.

use crate::error::Failure;
use occi_model::Term;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

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
    let refuse = |reason: &str| Failure::Image {
        image: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        reason: reason.to_owned(),
    };
    let mut file = File::open(path).map_err(Failure::host(format!("open {}", path.display())))?;
    let length = file
        .metadata()
        .map_err(Failure::host(format!("open {}", path.display())))?
        .len();
    let mut head = Vec::new();
    file.by_ref()
        .take(80)
        .read_to_end(&mut head)
        .map_err(Failure::host(format!("read {}", path.display())))?;
    let named_qcow2 = path.extension().is_some_and(|extension| extension == "qcow2");
    if !head.starts_with(b"QFI\xfb") {
        return match (named_qcow2, length) {
            (true, _) => Err(refuse("it is no qcow2 image")),
            (false, 0) => Err(refuse("it is empty")),
            (false, size) => Ok(Header {
                format: Format::Raw,
                size,
            }),
        };
    }
    parse_qcow2(&head).map_err(refuse)
}

/// The fixed part of a qcow2 header (docs/interop/qcow2.txt): magic, version (4), backing file offset (8), ...,
/// size at 24, incompatible features at 72 from version 3 on.
fn parse_qcow2(head: &[u8]) -> Result<Header, &'static str> {
    const EXTERNAL_DATA_FILE: u64 = 1 << 2;
    let number = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or("its header is cut off")
    };
    let version = number(0)? & 0xFFFF_FFFF;
    if !matches!(version, 2 | 3) {
        return Err("its qcow2 version is unknown");
    }
    if number(8)? != 0 {
        return Err("it names a backing file; flatten it with `qemu-img convert`");
    }
    if version == 3 && number(72)? & EXTERNAL_DATA_FILE != 0 {
        return Err("it keeps its data in another file; convert it with `qemu-img convert`");
    }
    Ok(Header {
        format: Format::Qcow2,
        size: number(24)?,
    })
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

/// What is found in directories of images.
#[derive(Debug, Default)]
pub struct Images {
    /// By name.
    pub images: Vec<Image>,
    /// What was left out, and why.
    pub refused: Vec<Failure>,
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
}

/// Reads the directories, in order; of two images with one name the first counts. A directory that is not there is
/// empty.
pub fn scan<'a>(directories: impl IntoIterator<Item = &'a Path>) -> Images {
    let mut found = Images::default();
    for directory in directories {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_image(path))
            .collect();
        paths.sort();
        for path in paths {
            match read(&path) {
                Ok(image) if found.get(image.term.as_str()).is_none() => found.images.push(image),
                Ok(_hidden) => {}
                Err(failure) => found.refused.push(failure),
            }
        }
    }
    found
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    matches!(extension, Some("qcow2" | "raw" | "img")) && !hidden && path.is_file()
}

fn read(path: &Path) -> Result<Image, Failure> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let term: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    let refuse = |reason: String| Failure::Image {
        image: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        reason,
    };
    let term = term
        .trim_start_matches(['-', '_', '.'])
        .parse()
        .map_err(|_| refuse("its name makes no term".to_owned()))?;
    let description = match fs::read_to_string(path.with_extension("toml")) {
        Ok(text) => toml::from_str(&text).map_err(|error| refuse(format!("its description: {}", error.message())))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Description::default(),
        Err(error) => return Err(refuse(format!("its description: {error}"))),
    };
    if let Some(other) = description.architecture.as_deref().filter(|name| *name != "x86_64") {
        return Err(refuse(format!("it is for {other}, and this engine emulates x86_64")));
    }
    Ok(Image {
        term,
        path: path.to_owned(),
        header: read_header(path)?,
        description,
    })
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

        let found = scan([directory.path(), Path::new("/no/such/directory")]);
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
        let reasons = found
            .refused
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        for reason in [
            "thief.qcow2: it names a backing file",
            "split.qcow2: it keeps its data",
            "titel",
            "cut off",
            "no qcow2",
        ] {
            assert!(reasons.contains(reason), "{reason} is missing in\n{reasons}");
        }
    }
}
