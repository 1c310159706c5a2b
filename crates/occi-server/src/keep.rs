//! Files that are there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `file` with this content, in the place of what was there. Nobody sees a part of it, nor anybody whom `mode` keeps
/// out.
pub(crate) fn write(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    // One that is there is of a start that came to nothing, and may be open to others.
    remove(part)?;
    let written = File::options()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(part)
        .and_then(|mut new| new.write_all(content).and_then(|()| new.sync_all()))
        .and_then(|()| fs::rename(part, file));
    if written.is_err() {
        drop(remove(part));
    }
    written.and_then(|()| sync_directory(file))
}

/// Removes `file` if it is there.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| sync_directory(file)),
    }
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_kept_is_whole_and_for_whom_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, part) = (folder.path().join("key"), folder.path().join("key.part"));
        fs::write(&file, "an old one, open to others").unwrap();
        fs::write(&part, "of a start that came to nothing").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o644)).unwrap();
        write(&file, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!part.exists());

        // What cannot take its place leaves nothing, and what was there as it was.
        let directory = folder.path().join("directory");
        fs::create_dir(&directory).unwrap();
        assert!(write(&directory, b"new", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
