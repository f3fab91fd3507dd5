//! The bytes of a file or of stdout, written unit by unit: a unit that does not fit is cut off again, so that what is there
//! stays well-formed. What was claimed (`target.rs`) is written over only when there is a first unit. Knows no format.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Error, Target};

/// Bytes written at once: so little that the slowest disk there is shows progress.
const CHUNK: usize = 1 << 20;

/// What units are written to. A file; in tests something smaller.
pub(super) trait Medium: Write + Send {
    /// Cuts everything from `len` on.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Writes over what is there already.
    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Whether [`Medium::truncate`] works: what went into a pipe is gone.
    fn can_be_cut(&self) -> bool;
}

impl Medium for File {
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        io::Seek::seek(self, io::SeekFrom::Start(len)).map(drop)
    }

    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn can_be_cut(&self) -> bool {
        self.metadata().is_ok_and(|file| file.is_file())
    }
}

/// stdout: what a shell redirected it to is not ours to cut.
pub(super) struct Stdout(pub File);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Medium for Stdout {
    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn rewrite(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::NotSeekable.into())
    }

    fn can_be_cut(&self) -> bool {
        false
    }
}

/// How much went into a file, for who waits for its end: it stands still where nobody reads a pipe, or a disk hangs.
#[derive(Clone, Default)]
pub struct Progress {
    name: Arc<str>,
    bytes: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn of(name: impl Into<Arc<str>>) -> Self {
        Progress { name: name.into(), bytes: Arc::default() }
    }

    /// The path as given, or `stdout`; of files that follow each other the first.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes written so far, those of cut units too.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

enum State {
    /// Nothing was to be written yet.
    Claimed(Target),
    Open(Box<dyn Medium>),
}

pub(super) struct Sink {
    progress: Progress,
    state: State,
    /// Bytes of whole units.
    whole: u64,
    /// A file that was not there before: gone again if nothing was written.
    new: Option<PathBuf>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(path) = self.new.take().filter(|_| self.whole == 0) {
            let _ = fs::remove_file(path);
        }
    }
}

impl Sink {
    /// Leaves everything as it is until the first unit.
    pub fn new(target: Target) -> Self {
        Sink { progress: Progress::of(target.name()), state: State::Claimed(target), whole: 0, new: None }
    }

    /// The next of files that follow each other: its bytes count where those of the one before did.
    pub fn behind(target: Target, before: &Progress) -> Self {
        let progress = Progress { name: target.name().into(), bytes: before.bytes.clone() };
        Sink { progress, state: State::Claimed(target), whole: 0, new: None }
    }

    #[cfg(test)]
    pub fn to(medium: impl Medium + 'static) -> Self {
        Sink { progress: Progress::of("test"), state: State::Open(Box::new(medium)), whole: 0, new: None }
    }

    /// The path as given, or `stdout`.
    pub fn name(&self) -> &str {
        self.progress.name()
    }

    /// Moves with every part of a unit.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn medium(&mut self) -> io::Result<&mut Box<dyn Medium>> {
        if let State::Claimed(target) = &mut self.state {
            let new = target.made().map(Path::to_path_buf);
            let medium = target.open()?;
            (self.state, self.new) = (State::Open(medium), new);
        }
        match &mut self.state {
            State::Open(medium) => Ok(medium),
            State::Claimed(_) => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Whether what is written may be written over later.
    pub fn can_go_back(&mut self) -> io::Result<bool> {
        Ok(self.medium()?.can_be_cut())
    }

    /// Bytes of whole units.
    pub fn len(&self) -> u64 {
        self.whole
    }

    /// Writes one unit made of parts, whole or not at all.
    pub fn unit(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.unit_unless(|| false, parts).map(drop)
    }

    /// The same, and given up in the middle, if it can be, once `hurries` says so. Whether it is written.
    pub fn unit_unless(&mut self, hurries: impl Fn() -> bool, parts: &[&[u8]]) -> io::Result<bool> {
        let (whole, progress) = (self.whole, self.progress.clone());
        let medium = self.medium()?;
        for (at, part) in parts.iter().flat_map(|part| part.chunks(CHUNK)).enumerate() {
            // What is small is done as soon as cut.
            if part.len() == CHUNK && at > 0 && hurries() && medium.can_be_cut() {
                medium.truncate(whole)?;
                return Ok(false);
            }
            if let Err(error) = medium.write_all(part) {
                // A pipe or a device cannot be cut; the error that led here says more than that one.
                let _ = medium.truncate(whole);
                return Err(error);
            }
            progress.add(part.len());
        }
        self.whole += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(true)
    }

    /// Writes over bytes of an earlier unit; nothing where there is none.
    pub fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.whole == 0 { Ok(()) } else { self.medium()?.rewrite(at, bytes) }
    }

    /// The error for the user; `kept` says what is in the file.
    pub fn error(&self, cause: io::Error, kept: String) -> Error {
        let name = self.name().to_string();
        match cause.kind() {
            _ if matches!(self.state, State::Claimed(_)) => Error::Create { path: name.into(), cause },
            ErrorKind::BrokenPipe => Error::ReaderGone,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { name, kept, cause },
            _ => Error::Write { name, kept, cause },
        }
    }
}

/// What the writers' tests share.
#[cfg(test)]
pub(super) mod tests {
    use super::super::Overwrite;
    use super::*;
    use std::sync::Mutex;

    /// A disk of so many bytes; the last write is taken in part, as a real one does.
    #[derive(Clone)]
    pub struct SmallDisk {
        pub bytes: Arc<Mutex<Vec<u8>>>,
        pub room: usize,
    }

    impl SmallDisk {
        pub fn of(room: usize) -> Self {
            SmallDisk { bytes: Arc::default(), room }
        }

        pub fn content(&self) -> Vec<u8> {
            self.bytes.lock().unwrap().clone()
        }
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut content = self.bytes.lock().unwrap();
            let taken = bytes.len().min(self.room - content.len());
            content.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Medium for SmallDisk {
        fn truncate(&mut self, len: u64) -> io::Result<()> {
            self.bytes.lock().unwrap().truncate(len as usize);
            Ok(())
        }

        fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.bytes.lock().unwrap()[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn can_be_cut(&self) -> bool {
            true
        }
    }

    /// A path of this test alone, removed at its end.
    pub struct Temporary(pub std::path::PathBuf);

    impl Temporary {
        pub fn new(name: &str) -> Self {
            Temporary(std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id())))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// A name that may be written to.
    pub fn target(path: impl AsRef<Path>) -> Target {
        Target::claim(Some(path.as_ref()), Overwrite::Own).unwrap()
    }

    #[test]
    fn a_file_that_was_not_there_is_gone_again_if_nothing_was_written() {
        let path = Temporary::new("gone");
        let claimed = target(&path.0);
        assert!(path.0.exists(), "whether it can be made is found out at the start");
        drop(claimed);
        assert!(!path.0.exists());
        drop(Sink::new(target(&path.0)));
        assert!(!path.0.exists());
        Sink::new(target(&path.0)).unit(&[b"something"]).unwrap();
        assert!(path.0.exists());
    }

    #[test]
    fn a_unit_that_does_not_fit_leaves_no_trace() {
        let disk = SmallDisk::of(10);
        let mut sink = Sink::to(disk.clone());
        sink.unit(&[b"1234", b"56"]).unwrap();
        let error = sink.unit(&[b"789", b"abc"]).unwrap_err();
        assert_eq!((disk.content(), sink.whole), (b"123456".to_vec(), 6));
        assert!(matches!(sink.error(error, "one unit".into()), Error::Full { kept, .. } if kept == "one unit"));
        sink.unit(&[b"7890"]).unwrap();
        assert_eq!(disk.content(), b"1234567890");
    }

    #[test]
    fn a_large_unit_is_given_up_in_the_middle_where_there_is_a_hurry_and_none_of_a_pipe_is() {
        let (disk, large) = (SmallDisk::of(8 * CHUNK), vec![7; 3 * CHUNK]);
        let mut sink = Sink::to(disk.clone());
        sink.unit(&[b"whole"]).unwrap();
        let chunks = std::cell::Cell::new(0);
        let hurries = || chunks.replace(chunks.get() + 1) == 1;
        assert!(!sink.unit_unless(hurries, &[&large]).unwrap());
        assert_eq!((disk.content(), sink.whole, chunks.get()), (b"whole".to_vec(), 5, 2));
        assert!(sink.unit_unless(|| true, &[b"small"]).unwrap());
        assert!(sink.unit_unless(|| false, &[&large]).unwrap());
        let pipe = Temporary::new("hurried");
        let mut sink = Sink::new(target("/dev/null"));
        assert!(sink.unit_unless(|| true, &[&large]).unwrap(), "half a picture in it would spoil what follows");
        let mut sink = Sink::new(target(&pipe.0));
        assert!(!sink.unit_unless(|| true, &[&large]).unwrap());
        drop(sink);
        assert!(!pipe.0.exists(), "nothing was written");
    }

    #[test]
    fn a_real_file_is_cut_and_goes_on_at_the_cut() {
        let path = Temporary::new("cut");
        let mut file = File::create(&path.0).unwrap();
        file.write_all(b"whole and a half").unwrap();
        Medium::truncate(&mut file, 5).unwrap();
        file.write_all(b"!").unwrap();
        file.rewrite(0, b"W").unwrap();
        assert_eq!(std::fs::read(&path.0).unwrap(), b"Whole!");
    }

    #[test]
    fn a_full_device_a_missing_folder_and_a_reader_that_left_are_told_apart() {
        let mut full = Sink::new(target("/dev/full"));
        let error = full.unit(&[b"anything"]).unwrap_err();
        let sentence = full.error(error, "nothing".into()).to_string();
        assert!(sentence.starts_with("no space left for /dev/full (") && sentence.contains("it keeps nothing"), "{sentence}");
        assert!(std::error::Error::source(&full.error(ErrorKind::StorageFull.into(), String::new())).is_none(), "said twice");
        let missing = Target::claim(Some(Path::new("/nonexistent/a.y4m")), Overwrite::Own).map(drop).unwrap_err();
        assert!(missing.to_string().starts_with("cannot create /nonexistent/a.y4m: "), "{missing}");
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut pipe = Sink::to(file);
        let error = pipe.unit(&[b"anything"]).unwrap_err();
        assert!(matches!(pipe.error(error, String::new()), Error::ReaderGone));
    }
}
