//! Where what is to be known the next time is kept: `$XDG_STATE_HOME/eyeline`, else below `~/.local/state`.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file of that name; `None`: there is no place for it.
pub fn file(name: &str) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    folder.map(|folder| folder.join("eyeline").join(name))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// Another program that changes something there at the same time waits for us, or we for it, while this is held. `None`: it
/// cannot be had, and it is done without.
pub fn lock(file: &Path) -> Option<Flock<File>> {
    let folder = std::fs::create_dir_all(folder_of(file)).and_then(|()| File::open(folder_of(file))).ok()?;
    Flock::lock(folder, FlockArg::LockExclusive).ok()
}

/// Writes all of it or nothing, whoever reads it now, for this user alone.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(file))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let part = folder_of(file).join(format!("{name}.{}.part", std::process::id()));
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).and_then(|mut to| {
        // It may have been left by another with our number.
        to.set_permissions(Permissions::from_mode(0o600))?;
        to.write_all(text.as_bytes())?;
        to.sync_all()?;
        std::fs::rename(&part, file)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}
