//! Which names may be written to, and what may be written over. Settled at the start, before there is anything to write
//! (`sink.rs`).

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::sink::{Medium, Stdout};

/// What may be written over. Devices, and pipes of this user or of root, are written to whatever is said: nothing of theirs is
/// lost. A pipe of somebody else would hand on what is seen here: who means it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Whatever the name leads to.
    Anything,
    /// Regular files of this user, by their own name: a script runs again, and a link that somebody laid leads nowhere.
    Own,
    /// No file: a person is there to be asked.
    Nothing,
}

/// A name made sure of before anything is written: a file that was there is untouched until then, one that was not is made, and
/// gone again if nothing is written.
pub struct Target {
    path: Option<PathBuf>,
    claim: Claim,
}

enum Claim {
    Stdout,
    New(File),
    Old(File),
    /// A pipe or a device: opening it may wait for its reader.
    Special(Overwrite),
    /// A file, pipe or device that was given to us open.
    Descriptor,
    Taken,
}

impl Target {
    /// For this path, or stdout where there is none.
    pub fn claim(path: Option<&Path>, overwrite: Overwrite) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Target { path: None, claim: Claim::Stdout }) };
        let create = |cause| Error::Create { path: path.into(), cause };
        let refuse = |what: String| Err(Error::Taken { path: path.into(), what });
        let mut options = OpenOptions::new();
        options.write(true);
        let there = match overwrite {
            Overwrite::Anything => fs::metadata(path),
            _ => fs::symlink_metadata(path),
        };
        let claim = match there {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A link that leads nowhere is followed by who says so, and never by accident.
                let options = if overwrite == Overwrite::Anything { options.create(true) } else { options.create_new(true) };
                Claim::New(options.open(path).map_err(create)?)
            }
            Err(error) => return Err(create(error)),
            Ok(there) if there.is_symlink() => {
                let end = fs::metadata(path).ok().filter(is_special);
                if is_descriptor(path) {
                    Claim::Descriptor
                } else if end.as_ref().is_some_and(|end| is_anothers_pipe(end, overwrite)) {
                    return refuse("leads to a pipe of another user".into());
                } else if end.is_some() {
                    Claim::Special(overwrite)
                } else {
                    let end = fs::read_link(path).unwrap_or_default();
                    return refuse(format!("is a link to {}", end.display()));
                }
            }
            Ok(there) if is_anothers_pipe(&there, overwrite) => return refuse("is a pipe of another user".into()),
            Ok(there) if is_special(&there) => Claim::Special(overwrite),
            Ok(there) if there.is_dir() => return Err(create(ErrorKind::IsADirectory.into())),
            Ok(_) if overwrite == Overwrite::Nothing => return refuse("is there already".into()),
            Ok(there) if overwrite == Overwrite::Own && there.uid() != nix::unistd::geteuid().as_raw() => {
                return refuse("belongs to another user".into());
            }
            Ok(_) => {
                let flags = if overwrite == Overwrite::Anything { 0 } else { nix::libc::O_NOFOLLOW };
                Claim::Old(options.custom_flags(flags).open(path).map_err(create)?)
            }
        };
        Ok(Target { path: Some(path.into()), claim })
    }
}

impl Target {
    /// For a file that is not there yet; `None` where anything is there by this name, even a link that leads nowhere.
    pub fn make(path: &Path) -> Result<Option<Self>, Error> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Some(Target { path: Some(path.into()), claim: Claim::New(file) })),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(cause) => Err(Error::Create { path: path.into(), cause }),
        }
    }
}

/// What keeps a file from being made by this name, and what to do.
pub(super) fn cure(path: &Path, cause: &io::Error) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = folder.display();
    match cause.kind() {
        _ if path.is_dir() => "it is a folder: name a file in it".into(),
        ErrorKind::IsADirectory => "it ends in /, as folders do: name a file in it".into(),
        ErrorKind::NotFound if !folder.exists() => {
            format!("there is no folder {named}: make it (mkdir -p {named}), or write elsewhere")
        }
        ErrorKind::NotADirectory => format!("{named} leads through a file that is no folder: write elsewhere"),
        ErrorKind::PermissionDenied if path.exists() => "you may not write to it: give another name".into(),
        ErrorKind::PermissionDenied => format!("you may not write in the folder {named}: write elsewhere"),
        ErrorKind::ReadOnlyFilesystem => {
            format!("nothing can be written in the folder {named}, it is read-only: write elsewhere")
        }
        _ => cause.to_string(),
    }
}

fn is_special(there: &Metadata) -> bool {
    !there.is_file() && !there.is_dir() && !there.is_symlink()
}

fn is_anothers_pipe(there: &Metadata, overwrite: Overwrite) -> bool {
    let ours = [0, nix::unistd::geteuid().as_raw()].contains(&there.uid());
    there.file_type().is_fifo() && !ours && overwrite != Overwrite::Anything
}

/// Whether it names what this process was given open: links, too, but none that anybody lays. What else lies below /dev is like
/// any other place: everybody may write to /dev/shm.
fn is_descriptor(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok());
    let among_them = [Path::new("/dev/fd"), Path::new("/proc/self/fd")].into_iter().any(|folder| path.parent() == Some(folder));
    path == Path::new("/dev/stdout") || path == Path::new("/dev/stderr") || (number && among_them)
}

impl Target {
    /// The path as given, or `stdout`.
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "stdout".into(), |path| path.display().to_string())
    }

    /// The file, if it was not there before.
    pub fn made(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| matches!(self.claim, Claim::New(_)))
    }

    /// What was there is gone from here on. May wait for the reader of a pipe.
    pub(super) fn open(&mut self) -> io::Result<Box<dyn Medium>> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        Ok(match std::mem::replace(&mut self.claim, Claim::Taken) {
            Claim::New(file) => Box::new(file),
            Claim::Old(file) => {
                file.set_len(0)?;
                Box::new(file)
            }
            Claim::Special(overwrite) => {
                let file = OpenOptions::new().write(true).open(path)?;
                // The name may lead elsewhere by now.
                let opened = file.metadata()?;
                if opened.is_file() {
                    return Err(io::Error::other("it was no file when recv began, and is one now"));
                } else if is_anothers_pipe(&opened, overwrite) {
                    return Err(io::Error::other("it is a pipe of another user now"));
                }
                Box::new(file)
            }
            Claim::Descriptor => Box::new(File::create(path)?),
            // Not `std::io::Stdout`: it looks for line ends in every picture.
            Claim::Stdout | Claim::Taken => Box::new(Stdout(io::stdout().as_fd().try_clone_to_owned()?.into())),
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(path) = self.made() {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::Sink;
    use super::super::sink::tests::Temporary;
    use super::*;

    fn refusal(path: &Path, overwrite: Overwrite) -> String {
        let error = Target::claim(Some(path), overwrite).map(drop).unwrap_err();
        assert!(matches!(error, Error::Taken { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn what_is_there_is_written_over_only_where_that_was_said() {
        let (file, link) = (Temporary::new("there"), Temporary::new("link"));
        fs::write(&file.0, "old").unwrap();
        std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
        let sentence = refusal(&file.0, Overwrite::Nothing);
        assert!(sentence.ends_with("is there already; give another name, or say --overwrite"), "{sentence}");
        for overwrite in [Overwrite::Own, Overwrite::Nothing] {
            let sentence = refusal(&link.0, overwrite);
            assert!(sentence.contains(&format!("is a link to {}", file.0.display())), "{sentence}");
        }
        drop(Target::claim(Some(&file.0), Overwrite::Own).unwrap());
        assert_eq!(fs::read(&file.0).unwrap(), b"old", "it is there until something is written");
        for (path, overwrite) in [(&file.0, Overwrite::Own), (&link.0, Overwrite::Anything)] {
            fs::write(&file.0, "quite old").unwrap();
            let mut sink = Sink::new(Target::claim(Some(path), overwrite).unwrap());
            sink.rewrite(0, b"new").unwrap();
            assert_eq!(fs::read(&file.0).unwrap(), b"quite old", "nothing is written yet");
            sink.unit(&[b"new"]).unwrap();
            assert_eq!(fs::read(&file.0).unwrap(), b"new");
        }
        fs::remove_file(&file.0).unwrap();
        refusal(&link.0, Overwrite::Own);
        assert!(!file.0.exists(), "a link that leads nowhere is not followed");
    }

    #[test]
    fn a_file_that_must_be_new_is_made_where_nothing_is_and_nowhere_else() {
        let (file, link, pipe) = (Temporary::new("made"), Temporary::new("made-link"), Temporary::new("made-pipe"));
        std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
        nix::unistd::mkfifo(&pipe.0, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!([&link, &pipe].into_iter().all(|there| Target::make(&there.0).unwrap().is_none()));
        let target = Target::make(&file.0).unwrap().expect("nothing is there");
        assert!(Target::make(&file.0).unwrap().is_none(), "it is there now");
        drop(target);
        assert!(!file.0.exists(), "and gone, for nothing was written");
        assert!(matches!(Target::make(Path::new("/nonexistent/a.y4m")), Err(Error::Create { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_why_and_what_to_do() {
        let (folder, file) = (Temporary::new("folder"), Temporary::new("file"));
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(&file.0, "").unwrap();
        let told = |path: &Path| Target::claim(Some(path), Overwrite::Own).map(drop).unwrap_err().to_string();
        assert_eq!(told(&folder.0), format!("cannot create {}: it is a folder: name a file in it", folder.0.display()));
        let missing = folder.0.join("deep");
        let sentence = format!("there is no folder {}: make it (mkdir -p ", missing.display());
        assert!(told(&missing.join("a.y4m")).contains(&sentence), "{}", told(&missing.join("a.y4m")));
        assert!(told(&file.0.join("a.y4m")).contains("leads through a file"), "{}", told(&file.0.join("a.y4m")));
        fs::remove_dir(&folder.0).unwrap();
        // Whoever runs the tests as root may write anywhere.
        let (denied, sealed) = (io::Error::from(ErrorKind::PermissionDenied), io::Error::from(ErrorKind::ReadOnlyFilesystem));
        assert_eq!(cure(&file.0, &denied), "you may not write to it: give another name");
        assert_eq!(cure(Path::new("a.y4m"), &denied), "you may not write in the folder .: write elsewhere");
        assert!(cure(Path::new("/mnt/a.y4m"), &sealed).contains("the folder /mnt, it is read-only"));
    }

    #[test]
    fn a_link_below_dev_is_followed_to_nothing_but_what_was_given_to_us_open() {
        let file = Temporary::new("kept");
        let link = Temporary(Path::new("/dev/shm").join(format!("eyeline-{}-link", std::process::id())));
        fs::write(&file.0, "precious").unwrap();
        let lead_to = |end: &Path| {
            let _ = fs::remove_file(&link.0);
            std::os::unix::fs::symlink(end, &link.0).unwrap();
        };
        lead_to(&file.0);
        for overwrite in [Overwrite::Own, Overwrite::Nothing] {
            refusal(&link.0, overwrite);
        }
        let given = OpenOptions::new().append(true).open(&file.0).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&given).to_string();
        for folder in ["/dev/fd", "/proc/self/fd"] {
            drop(Target::claim(Some(&Path::new(folder).join(&number)), Overwrite::Nothing).unwrap());
            refusal(&Path::new(folder).join("..").join("exe"), Overwrite::Nothing);
        }
        lead_to(Path::new("/dev/null"));
        let mut sink = Sink::new(Target::claim(Some(&link.0), Overwrite::Own).unwrap());
        lead_to(&file.0);
        let error = sink.unit(&[b"anything"]).unwrap_err();
        assert!(matches!(sink.error(error, String::new()), Error::Create { .. }));
        assert_eq!(fs::read(&file.0).unwrap(), b"precious");
    }

    #[test]
    fn files_of_other_users_are_refused_and_pipes_and_devices_are_not() {
        for overwrite in [Overwrite::Own, Overwrite::Nothing, Overwrite::Anything] {
            Sink::new(Target::claim(Some(Path::new("/dev/null")), overwrite).unwrap()).unit(&[b"anything"]).unwrap();
            drop(Target::claim(Some(Path::new("/dev/stdout")), overwrite).unwrap());
        }
        let pipe = Temporary::new("pipe");
        nix::unistd::mkfifo(&pipe.0, nix::sys::stat::Mode::S_IRWXU).unwrap();
        drop(Target::claim(Some(&pipe.0), Overwrite::Nothing).unwrap());
        assert!(pipe.0.exists());
        // Only root can give a pipe away.
        if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(&pipe.0, Some(nix::unistd::Uid::from_raw(12_345)), None).unwrap();
            let link = Temporary::new("pipe-link");
            std::os::unix::fs::symlink(&pipe.0, &link.0).unwrap();
            for overwrite in [Overwrite::Own, Overwrite::Nothing] {
                assert!(refusal(&pipe.0, overwrite).contains("is a pipe of another user"));
                assert!(refusal(&link.0, overwrite).contains("leads to a pipe of another user"));
            }
            drop(Target::claim(Some(&pipe.0), Overwrite::Anything).unwrap());
        }
        if !nix::unistd::geteuid().is_root() {
            assert!(refusal(Path::new("/etc/passwd"), Overwrite::Own).contains("belongs to another user"));
        }
    }
}
