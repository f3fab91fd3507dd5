//! What the desktop gives for the choice that was made in its dialog: shown to it the next time, it does not ask again.
//!
//! It is kept in a file that the user alone can read, for whoever has it is shown the screen unasked. What cannot be read or
//! written costs the user a dialog, and no word. Each is good for once.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A longer one was not written here.
const LONGEST: u64 = 4096;

/// What was kept.
pub fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text.trim().to_string()).filter(|token| !token.is_empty() && !token.contains(char::is_control))
}

/// Keeps it, or forgets what was kept.
pub fn write(file: &Path, token: Option<&str>) {
    let written = match token {
        Some(token) => replace(file, token),
        None => std::fs::remove_file(file),
    };
    if let Err(error) = written {
        tracing::debug!("what the desktop's dialog was told is not kept: {}: {error}", file.display());
    }
}

/// All of it or nothing, whoever reads it now.
fn replace(file: &Path, token: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!("screen.{}.part", std::process::id()));
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).and_then(|mut to| {
        // It may have been left by another with our number.
        to.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(to, "{token}")?;
        std::fs::rename(&part, file)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_users_alone_and_what_is_none_is_not_read() {
        let folder = std::env::temp_dir().join(format!("eyeline-{}-token", std::process::id()));
        let file = folder.join("eyeline/screen");
        assert_eq!(read(&file), None);
        write(&file, Some("first"));
        write(&file, Some("8a7c-77"));
        assert_eq!(read(&file).as_deref(), Some("8a7c-77"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.join("eyeline")).unwrap().count(), 1, "nothing half written is left");
        for nonsense in ["", "\n", "a\u{7}b", "\u{fffd}\n\n"] {
            std::fs::write(&file, nonsense).unwrap();
            assert_eq!(read(&file).is_some(), nonsense.starts_with('\u{fffd}'), "{nonsense:?}");
        }
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(read(&file), None);
        write(&file, None);
        assert!(!file.exists());
        write(Path::new("/dev/null/eyeline/screen"), Some("x"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
