//! Where a film lies, as `ffmpeg` is told it: a file under any name, a file on stdin, or an address it reads over the network.
//!
//! `ffmpeg` reads meaning into names: a scheme, options, `%03d` for a row of pictures. A file is given as `file:NAME`, which ends
//! all but the last; where there is a `%`, it is opened here and given as the child's stdin, which has no name at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::Error;

/// What a child opens to read its own stdin from the beginning, with seeking.
const OWN_STDIN: &str = "file:/proc/self/fd/0";

#[derive(Debug, Clone)]
pub struct Origin {
    /// What people call it.
    pub name: PathBuf,
    url: OsString,
    network: bool,
    file: Option<Arc<File>>,
}

impl Origin {
    /// By its name, or its address.
    pub fn of(path: &Path) -> Result<Origin, Error> {
        let name = path.to_path_buf();
        if is_address(path.as_os_str()) {
            return Ok(Origin { name, url: path.into(), network: true, file: None });
        }
        check_readable(path)?;
        if path.as_os_str().as_bytes().contains(&b'%') {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            return Ok(Origin { name, url: OWN_STDIN.into(), network: false, file: Some(Arc::new(file)) });
        }
        let mut url = OsString::from("file:");
        url.push(path);
        Ok(Origin { name, url, network: false, file: None })
    }

    /// This process's stdin, if that is a file.
    pub fn stdin() -> Option<Origin> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        let regular = file.metadata().is_ok_and(|meta| meta.is_file());
        regular.then(|| Origin { name: "stdin".into(), url: OWN_STDIN.into(), network: false, file: Some(Arc::new(file)) })
    }

    /// Names it as the input of an `ffmpeg` or `ffprobe`, so that it opens nothing on a network in the name of a file.
    pub fn arguments(&self, command: &mut Command) {
        if !self.network {
            command.args(["-protocol_whitelist", "file"]);
        }
        command.arg("-i").arg(&self.url);
        let file = self.file.as_ref().and_then(|file| file.try_clone().ok());
        command.stdin(file.map_or_else(Stdio::null, Stdio::from));
    }
}

/// Whether this is an address (`rtsp://…`), not the name of a file.
pub fn is_address(text: &OsStr) -> bool {
    let Some((scheme, _)) = text.to_str().and_then(|text| text.split_once("://")) else { return false };
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(sound)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let tilde = path.as_os_str().as_bytes().starts_with(b"~");
            let cure =
                if tilde { "; the shell did not replace the `~`: write it without quotes and without `=` before it" } else { "" };
            Error::NoFile { path: path.into(), cure }
        }
        _ => Error::Unreadable { path: path.into(), why: error.to_string() },
    }
}

fn check_readable(path: &Path) -> Result<(), Error> {
    let meta = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if meta.is_dir() {
        return Err(Error::Unreadable { path: path.into(), why: "it is a directory; name one film in it".into() });
    }
    if !meta.is_file() {
        return Err(Error::Unreadable { path: path.into(), why: "it is not a regular file; pipe it into `--file -`".into() });
    }
    if meta.len() == 0 {
        return Err(Error::NotFilm { path: path.into(), why: "it is empty".into() });
    }
    File::open(path).map_err(|error| unreadable(path, &error)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_name_has_not() {
        for text in ["rtsp://door/", "http://127.0.0.1:80/a.mp4", "srt+x://a"] {
            assert!(is_address(text.as_ref()), "{text}");
        }
        for text in ["a.mp4", "./http://x", "a b://c", "://x", "1a://x", "c:/x", "-x://y", "%03d.png"] {
            assert!(!is_address(text.as_ref()), "{text}");
        }
    }

    #[test]
    fn a_tilde_that_the_shell_left_says_what_to_do() {
        let said = |name: &str| Origin::of(Path::new(name)).unwrap_err().to_string();
        assert!(said("~/no-such-film").contains("the shell did not replace the `~`"));
        assert_eq!(said("no-such-film"), "there is no file no-such-film");
    }
}
