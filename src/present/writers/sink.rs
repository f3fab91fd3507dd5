//! The bytes of a file or of stdout, written unit by unit: a unit that does not fit is cut off again, so that what is there
//! stays well-formed. Knows no format.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Error;

/// What units are written to. A file; in tests something smaller.
pub(super) trait Medium: Write + Send {
    /// Cuts everything from `len` on.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Writes over what is there already.
    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
}

impl Medium for File {
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        io::Seek::seek(self, io::SeekFrom::Start(len)).map(drop)
    }

    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
}

/// stdout: what a shell redirected it to is not ours to cut.
struct Stdout(File);

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
}

/// See the module text.
pub(super) struct Sink {
    name: String,
    medium: Box<dyn Medium>,
    /// Bytes of whole units.
    whole: u64,
}

impl Sink {
    /// A new file, or stdout where no path is given.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            // Not `std::io::Stdout`: it looks for line ends in every picture.
            let file = io::stdout().as_fd().try_clone_to_owned();
            let file = file.map_err(|cause| Error::Create { path: "/dev/stdout".into(), cause })?;
            return Ok(Sink { name: "stdout".into(), medium: Box::new(Stdout(file.into())), whole: 0 });
        };
        let file = File::create(path).map_err(|cause| Error::Create { path: path.into(), cause })?;
        Ok(Sink { name: path.display().to_string(), medium: Box::new(file), whole: 0 })
    }

    #[cfg(test)]
    pub fn to(medium: impl Medium + 'static) -> Self {
        Sink { name: "test".into(), medium: Box::new(medium), whole: 0 }
    }

    /// The path as given, or `stdout`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes one unit made of parts, whole or not at all.
    pub fn unit(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            if let Err(error) = self.medium.write_all(part) {
                // A pipe or a device cannot be cut; the error that led here says more than that one.
                let _ = self.medium.truncate(self.whole);
                return Err(error);
            }
        }
        self.whole += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Writes over bytes of an earlier unit.
    pub fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.medium.rewrite(at, bytes)
    }

    /// The error for the user; `kept` says what is in the file.
    pub fn error(&self, cause: io::Error, kept: String) -> Error {
        let name = self.name.clone();
        match cause.kind() {
            ErrorKind::BrokenPipe => Error::ReaderGone,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { name, kept, cause },
            _ => Error::Write { name, kept, cause },
        }
    }
}

/// What the writers' tests share.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

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
        let mut full = Sink::open(Some(Path::new("/dev/full"))).unwrap();
        let error = full.unit(&[b"anything"]).unwrap_err();
        let sentence = full.error(error, "nothing".into()).to_string();
        assert!(sentence.starts_with("no space left for /dev/full (") && sentence.contains("it keeps nothing"), "{sentence}");
        assert!(std::error::Error::source(&full.error(ErrorKind::StorageFull.into(), String::new())).is_none(), "said twice");
        let missing = Sink::open(Some(Path::new("/nonexistent/a.y4m"))).map(drop).unwrap_err();
        assert!(missing.to_string().starts_with("cannot create /nonexistent/a.y4m: "), "{missing}");
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut pipe = Sink::to(file);
        let error = pipe.unit(&[b"anything"]).unwrap_err();
        assert!(matches!(pipe.error(error, String::new()), Error::ReaderGone));
    }
}
