//! The images of the projects: made by `save`, and brought by clients.

use crate::error::Failure;
use crate::host::durable::{self, or_remove};
use crate::image::FORMATS;
use crate::label::label;
use crate::site::{SAVED, Site};
use std::fs;
use std::path::Path;

/// The name of an image that `operation` makes and a client wants to call `wish`: the same for every try, and no other's.
pub(crate) fn term(wish: &str, operation: &str) -> String {
    let slug = label(wish, 40);
    let short: String = operation.chars().filter(char::is_ascii_alphanumeric).collect();
    let short = short.get(short.len().saturating_sub(8)..).unwrap_or_default();
    if slug.is_empty() {
        format!("saved-{short}")
    } else {
        format!("{slug}-{short}")
    }
}

/// Whether the file of a saved image is there.
pub(crate) fn is_saved(site: &Site, term: &str) -> bool {
    Path::exists(&site.config.directory.join(SAVED).join(format!("{term}.qcow2")))
}

/// Makes a file that nobody changes any more the image `done`. What is said of it is there for good before it is: an image
/// without that would have lost whose it is.
pub(crate) fn publish(file: &Path, description: &str, done: &Path) -> Result<(), Failure> {
    let described = done.with_extension("toml");
    let published = durable::write(&described, description.as_bytes()).and_then(|()| durable::rename(file, done));
    match done.exists() {
        true => published,
        false => or_remove(published, &described),
    }
}

/// Removes what a server has left in the directory of saved images that ended while it made one or took one away:
/// descriptions of nothing, and what was to become one.
pub(crate) fn clear_up(saved: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(saved).map_err(Failure::host("read the saved images"))?;
    for file in entries.flatten().map(|entry| entry.path()) {
        let is_left = match file.extension().and_then(|extension| extension.to_str()) {
            Some("new") => true,
            Some("toml") => !FORMATS.iter().any(|format| file.with_extension(format).exists()),
            _ => false,
        };
        if is_left {
            fs::remove_file(&file).map_err(Failure::host("remove what is left of an image"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_whose_image_never_came_goes_with_the_next_start() {
        let saved = tempfile::tempdir().unwrap();
        let files = [
            "gold.toml",
            "gold.new",
            "kept.toml",
            "kept.qcow2",
            "own.v2.toml",
            "own.v2.raw",
        ];
        for name in files {
            fs::write(saved.path().join(name), "").unwrap();
        }
        clear_up(saved.path()).unwrap();
        let left = |name: &&&str| saved.path().join(name).exists();
        assert_eq!(
            files.iter().filter(left).collect::<Vec<_>>(),
            files[2..].iter().collect::<Vec<_>>()
        );
    }
}
