//! The shared key: from `--key`, `--key-file`, `$EYELINE_KEY` or the config file: first the flags, then the environment.
//!
//! What becomes of it is the business of `crypto`; here it is only found, checked and kept out of every message.

use super::super::spoken;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The name of the environment variable.
pub const VARIABLE: &str = "EYELINE_KEY";

/// A key file's first line is read up to here: far more than any passphrase, far less than a wrong file.
const MAX_LINE: usize = 4096;

/// Shorter keys are taken, with a warning: whoever records the start of a session can try keys at leisure.
const SHORT: usize = 12;

/// A passphrase. Never printed, and overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<String>);

impl Key {
    /// The passphrase, to make the key of the handshake of.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Where a key may come from: at most one of the first two (clap sees to it).
pub(super) struct Sources<'a> {
    pub flag: Option<&'a str>,
    pub file: Option<&'a Path>,
    pub variable: Option<&'a OsStr>,
    pub config: Option<&'a Key>,
    /// Where the service manager keeps what it gives us, and nobody else.
    pub credentials: Option<&'a Path>,
}

/// The key in use, if any. What the user should know is added to `warnings`.
pub(super) fn find(from: Sources<'_>, warnings: &mut Vec<String>) -> Result<Option<Key>, String> {
    let key = match from {
        Sources { flag: Some(key), .. } => check(key, "--key")?,
        Sources { file: Some(path), .. } => {
            check(&first_line(path, from.credentials, warnings)?, &format!("key file {}", path.display()))?
        }
        Sources { variable: Some(key), .. } => {
            let key = key.to_str().ok_or_else(|| format!("${VARIABLE} is not UTF-8 text"))?;
            check(key, &format!("${VARIABLE}"))?
        }
        Sources { config: Some(key), .. } => key.clone(),
        _ => return Ok(None),
    };
    let key = match spoken::normal(key.expose()) {
        Ok(normal) => normal.map_or(key, |words| Key(Zeroizing::new(words))),
        Err(sentence) => {
            warnings.push(sentence);
            key
        }
    };
    if key.0.chars().count() < SHORT {
        warnings.push(format!(
            "the key is shorter than {SHORT} characters and can be guessed by whoever records a session's start; `--key new` prints a strong one"
        ));
    }
    Ok(Some(key))
}

pub(super) fn check(key: &str, place: &str) -> Result<Key, String> {
    let key = key.trim();
    match key {
        "" => Err(format!(
            "{place} is empty: without a key leave it out, with one it must hold it; `--key new` prints a strong one"
        )),
        "new" => Err(format!("{place} holds the word `new`, which is no key: `--key new` prints a strong one to put there")),
        key => Ok(Key(Zeroizing::new(key.into()))),
    }
}

fn first_line(path: &Path, credentials: Option<&Path>, warnings: &mut Vec<String>) -> Result<Zeroizing<String>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read key file {}: {error}", path.display());
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    // Of a credential systemd shows an access list's mask as the group's rights.
    let is_credential = credentials.is_some_and(|folder| path.starts_with(folder));
    let others = if is_credential { 0o007 } else { 0o077 };
    if about.is_file() && about.mode() & others != 0 {
        warnings.push(format!("key file {0} can be read by others on this machine: chmod 600 {0}", path.display()));
    }
    // Neither a buffer of the library's nor growing leaves a copy behind. No more is read than its line: it may be a pipe.
    let (mut bytes, mut len) = (Zeroizing::new([0; MAX_LINE]), 0);
    let end = loop {
        let read = file.read(&mut bytes[len..]).map_err(unreadable)?;
        len += read;
        match bytes[..len].iter().position(|byte| *byte == b'\n') {
            Some(end) => break end,
            None if read == 0 => break len,
            None => {}
        }
    };
    if end == MAX_LINE {
        return Err(format!(
            "the first line of key file {} is longer than {MAX_LINE} bytes: is it the right file?",
            path.display()
        ));
    }
    let line = std::str::from_utf8(&bytes[..end]);
    line.map(|line| Zeroizing::new(line.into())).map_err(|_| format!("key file {} is not UTF-8 text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    const NOWHERE: Sources<'_> = Sources { flag: None, file: None, variable: None, config: None, credentials: None };

    fn from_file(name: &str, content: &[u8], mode: u32) -> (Result<Option<Key>, String>, Vec<String>) {
        let path = std::env::temp_dir().join(format!("eyeline-key-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut warnings = Vec::new();
        let key = find(Sources { file: Some(&path), ..NOWHERE }, &mut warnings);
        std::fs::remove_file(&path).unwrap();
        (key, warnings)
    }

    #[test]
    fn the_first_line_of_a_key_file_is_the_key_without_its_white_space() {
        let (key, warnings) = from_file("first", b"  correct horse battery \r\nsecond line\n", 0o600);
        assert_eq!((key.unwrap().unwrap().expose(), warnings), ("correct horse battery", vec![]));
    }

    #[test]
    fn a_key_file_others_can_read_is_named_in_a_warning() {
        let (key, warnings) = from_file("open", b"correct horse battery\n", 0o640);
        assert!(key.unwrap().is_some());
        assert!(warnings.len() == 1 && warnings[0].contains("chmod 600 "), "{warnings:?}");
    }

    #[test]
    fn of_a_credential_only_the_rights_of_all_others_are_named() {
        let folder = std::env::temp_dir().join(format!("eyeline-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        std::fs::write(&path, "correct horse battery").unwrap();
        let warned = |mode, credentials| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut warnings = Vec::new();
            find(Sources { file: Some(&path), credentials, ..NOWHERE }, &mut warnings).unwrap();
            warnings.len()
        };
        let seen = [
            warned(0o440, None),
            warned(0o440, Some(&*folder)),
            warned(0o444, Some(&*folder)),
            warned(0o440, Some(Path::new("/run"))),
        ];
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(seen, [1, 0, 1, 1]);
    }

    #[test]
    fn a_key_file_that_cannot_be_one_is_refused() {
        for (name, content) in
            [("empty", &b"\n secret\n"[..]), ("long", &[b'x'; 5000]), ("binary", &[0xff, 0xfe, b'\n']), ("new", b"new\n")]
        {
            assert!(from_file(name, content, 0o600).0.is_err(), "{name}");
        }
        let missing = Sources { file: Some(Path::new("/nonexistent/key")), ..NOWHERE };
        let error = find(missing, &mut Vec::new()).unwrap_err();
        assert!(error.starts_with("cannot read key file /nonexistent/key: "), "{error}");
    }

    #[test]
    fn the_environment_is_asked_last_and_may_not_be_empty() {
        let variable = Some(OsStr::new("from the environment"));
        let find = |flag, variable| find(Sources { flag, variable, ..NOWHERE }, &mut Vec::new());
        assert_eq!(find(Some("from the flag"), variable).unwrap().unwrap().expose(), "from the flag");
        assert_eq!(find(None, variable).unwrap().unwrap().expose(), "from the environment");
        assert_eq!(find(None, None), Ok(None));
        assert!(find(None, Some(OsStr::new(""))).unwrap_err().starts_with("$EYELINE_KEY is empty"));
        assert!(find(Some(" "), None).unwrap_err().starts_with("--key is empty"));
    }

    #[test]
    fn a_short_key_is_taken_with_a_warning() {
        let mut warnings = Vec::new();
        let key = find(Sources { flag: Some("1234"), ..NOWHERE }, &mut warnings).unwrap();
        assert!(key.is_some() && warnings[0].contains("--key new"));
    }

    #[test]
    fn a_passphrase_is_overwritten_when_it_is_dropped() {
        fn is_overwritten(_: &impl zeroize::ZeroizeOnDrop) {}
        let Key(passphrase) = find(Sources { flag: Some("correct horse"), ..NOWHERE }, &mut Vec::new()).unwrap().unwrap();
        is_overwritten(&passphrase);
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{:?}", Key(Zeroizing::new("secret".into()))), "Key(..)");
    }
}
