//! What is received, written to files and pipes: [`y4m`] and [`mjpeg`] for pictures, [`wav`] for sound, [`mix`] for that of all.
//!
//! Each writer takes whole units (a picture, a block of sound) in the order of their numbers and leaves a well-formed file behind
//! whatever happens: a unit that could not be written whole is cut off again. Each unit is placed by its time; where that lies in
//! the files is settled by the [`Timeline`] both share, so that picture and sound start together and stay together. Writing may
//! block on a disk or a pipe, so each runs on a [`Threaded`] of its own.

pub mod mix;
pub mod mjpeg;
pub mod mkv;
mod placing;
mod riff;
mod sink;
mod target;
mod timeline;
pub mod v4l2;
pub mod wav;
pub mod y4m;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crate::slot::{Closed, Slot};
use crate::threads::join;
use eyeline_proto::picture::Size;

pub use sink::Progress;
pub use target::{Overwrite, Target};
pub use timeline::{Moment, Timeline};

/// Where nothing comes, neither pictures nor sound, the hole is filled (pictures repeated, silence) up to this long; a longer one
/// is cut to it. An outage of a few seconds keeps its length.
pub const LONGEST_HOLE: Duration = Duration::from_secs(10);

/// Holes make no file longer than the time since its first unit came by more than this: no number and no time that a peer invents
/// fills the disk. What a sender kept for us comes at once, of a film 10 s of sound, and lost packets were waited for before it.
pub const LONGEST_LEAD: Duration = Duration::from_secs(20);

/// A pipe or a disk that takes nothing for so long is given up at the end.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why a writer ended early. What was written whole before stays and is well-formed. Each sentence is complete: no error stands
/// behind it that would be printed a second time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be made.
    #[error("cannot create {}: {}", path.display(), target::cure(path, cause))]
    Create {
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Something is there already that is not simply written over.
    #[error("{} {what}; give another name, or say --overwrite", path.display())]
    Taken {
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// No space, no quota, or larger than this file system allows.
    #[error("no space left for {name} ({cause}); it keeps {kept}: free some space, or write elsewhere")]
    Full {
        /// The file, or stdout.
        name: String,
        /// What is in it.
        kept: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Anything else the system refuses.
    #[error("cannot go on writing {name}: {cause}; it keeps {kept}")]
    Write {
        /// The file, or stdout.
        name: String,
        /// What is in it.
        kept: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A WAV file counts its bytes with 32 bits.
    #[error("{name} is as long as a WAV file can be (4 GiB); it keeps {kept}: what follows is not written")]
    TooLong {
        name: String,
        /// What is in it.
        kept: String,
    },
    /// Planes of pictures are kept to fill holes with, and there is no room for so many.
    #[error("{name}: pictures of {size} are too large to be written beside those of the other senders; write .mjpeg")]
    TooLarge {
        name: String,
        /// Of the pictures.
        size: Size,
    },
    /// Nobody reads the pipe any more: a normal end.
    #[error("whoever read the pictures went away")]
    ReaderGone,
    /// Nothing went into it for [`PATIENCE`]: a pipe nobody reads, a disk that hangs.
    #[error("{name} takes nothing any more; what was not written by now is lost")]
    Stuck {
        /// The file, or `stdout`.
        name: String,
    },
    /// No thread could be started.
    #[error("cannot start a thread to write files: {0}; is there a limit on processes?")]
    Thread(std::io::Error),
}

/// What a writer left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file, or `stdout`.
    pub name: String,
    /// Units in it, those of `filled` included: pictures, or frames of sound.
    pub units: u64,
    /// Units put in for lost ones.
    pub filled: u64,
    /// Units that came but were left out: late, or more than the rate has room for.
    pub left_out: u64,
    /// All of this for the user.
    pub sentence: String,
}

/// Takes units in order.
pub trait Writer {
    /// A picture or a block of sound.
    type Unit;
    /// Writes one; after an error the writer takes no more.
    fn write(&mut self, unit: Self::Unit) -> Result<(), Error>;
    /// Brings the file to its end.
    fn finish(self) -> Result<Written, Error>;
    /// Of the file that is written in the end.
    fn progress(&self) -> Progress;
}

/// A writer on its own named thread behind a bounded queue.
///
/// What a full queue does is the choice of who made the [`Slot`]: [`Slot::waiting`] pushes back (a film: nothing is skipped),
/// [`Slot::dropping`] gives up the oldest (live: a slow disk must not hold up the screen; the writer then fills the hole).
pub struct Threaded<Unit> {
    queue: Arc<Slot<Unit>>,
    outcome: Receiver<Result<Written, Error>>,
    /// It ended before it was asked how.
    early: Option<Result<Written, Error>>,
    thread: Option<std::thread::JoinHandle<()>>,
    progress: Progress,
    patience: Duration,
}

impl<Unit: Send + 'static> Threaded<Unit> {
    /// Starts the thread. `name` has at most 15 bytes (what Linux shows).
    pub fn spawn<W>(name: &str, queue: Arc<Slot<Unit>>, mut writer: W) -> Result<Self, Error>
    where
        W: Writer<Unit = Unit> + Send + 'static,
    {
        let (tell, outcome) = mpsc::channel();
        let progress = writer.progress();
        let units = queue.clone();
        let work = move || {
            let result = loop {
                let Some(unit) = units.take() else { break writer.finish() };
                if let Err(error) = writer.write(unit) {
                    units.close();
                    while units.try_take().is_some() {}
                    break Err(error);
                }
            };
            // Nobody listens when the owner gave up waiting.
            let _ = tell.send(result);
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work).map_err(Error::Thread)?;
        Ok(Threaded { queue, outcome, early: None, thread: Some(thread), progress, patience: PATIENCE })
    }

    /// Hands over one unit; `Closed` once the writer has ended early: [`Threaded::finish`] says why.
    pub fn push(&self, unit: Unit) -> Result<(), Closed> {
        self.queue.push(unit)
    }

    /// Whether the writer has ended early.
    pub fn ended(&self) -> bool {
        self.queue.is_closed()
    }

    /// Of its file.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl<Unit> Threaded<Unit> {
    /// Writes what is queued, ends the file and the thread. A slow disk is waited for; a thread that hangs in one, or in a pipe,
    /// is abandoned after [`PATIENCE`]. To be called once.
    pub fn finish(&mut self) -> Result<Written, Error> {
        self.queue.close();
        let outcome = match self.early.take() {
            Some(outcome) => Ok(outcome),
            None => while_moving(|| self.outcome.recv_timeout(self.patience), || self.progress.bytes()),
        };
        if matches!(outcome, Err(RecvTimeoutError::Timeout)) {
            self.thread = None;
        }
        // A thread that ended without a word panicked; this lets everybody hear it.
        self.join();
        outcome.unwrap_or_else(|_| Err(Error::Stuck { name: self.progress.name().into() }))
    }

    /// Whether its file has come to its end, so or so; [`Threaded::finish`] says how.
    pub fn has_ended(&mut self) -> bool {
        match self.outcome.try_recv() {
            Ok(outcome) => self.early = Some(outcome),
            Err(TryRecvError::Empty) => return self.early.is_some(),
            // Without a word: it panicked, which `finish` lets everybody hear; or it was said before.
            Err(TryRecvError::Disconnected) => {}
        }
        true
    }

    /// Whether what is queued is written, and the file brought to its end, in this time. Nothing more is taken.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        self.queue.close();
        if self.early.is_some() {
            return true;
        }
        match self.outcome.recv_timeout(time) {
            Ok(outcome) => self.early = Some(outcome),
            // Without a word: it panicked, which `finish` lets everybody hear.
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => return false,
        }
        true
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

impl<Unit> Drop for Threaded<Unit> {
    /// Ends the file like [`Threaded::finish`], without a word.
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.finish();
        }
    }
}

/// What `wait` says in the end: after a timeout it is asked again, as long as `bytes` has moved.
fn while_moving<T>(
    mut wait: impl FnMut() -> Result<T, RecvTimeoutError>,
    bytes: impl Fn() -> u64,
) -> Result<T, RecvTimeoutError> {
    loop {
        let before = bytes();
        match wait() {
            Err(RecvTimeoutError::Timeout) if bytes() != before => {}
            outcome => return outcome,
        }
    }
}

/// When what was caught at this time of a sender's clock is here, in tests.
#[cfg(test)]
fn arrival(nanos: u64) -> std::time::Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    *START.get_or_init(std::time::Instant::now) + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers units; refuses the one called "bad"; hangs on "hang" until the test ends.
    #[derive(Default)]
    struct Memory {
        units: Vec<&'static str>,
        hang: Option<Receiver<()>>,
        progress: Progress,
    }

    impl Writer for Memory {
        type Unit = &'static str;
        fn write(&mut self, unit: &'static str) -> Result<(), Error> {
            match unit {
                "bad" => return Err(Error::ReaderGone),
                "hang" => drop(self.hang.take().unwrap().recv()),
                unit => self.units.push(unit),
            }
            self.progress.add(unit.len());
            Ok(())
        }
        fn finish(self) -> Result<Written, Error> {
            let units = self.units.len() as u64;
            Ok(Written { name: "memory".into(), units, filled: 0, left_out: 0, sentence: self.units.join(" ") })
        }
        fn progress(&self) -> Progress {
            self.progress.clone()
        }
    }

    #[test]
    fn a_writer_is_asked_whether_it_ends_in_time_and_finished_either_way() {
        let (release, hang) = mpsc::channel();
        let memory = || Memory { hang: None, ..Memory::default() };
        let mut slow = Threaded::spawn("memory", Slot::waiting(2), Memory { hang: Some(hang), ..memory() }).unwrap();
        slow.push("hang").unwrap();
        slow.push("last").unwrap();
        assert!(!slow.ends_within(Duration::from_millis(1)));
        drop(release);
        assert_eq!(slow.finish().unwrap().sentence, "last");
        let mut quick = Threaded::spawn("memory", Slot::waiting(2), memory()).unwrap();
        quick.push("all").unwrap();
        assert!(quick.ends_within(Duration::from_secs(60)));
        assert_eq!(quick.finish().unwrap().sentence, "all");
    }

    #[test]
    fn what_was_pushed_is_written_in_order_before_finish_returns() {
        let mut threaded = Threaded::spawn("memory", Slot::waiting(2), Memory::default()).unwrap();
        for unit in ["a", "b", "c", "d", "e"] {
            threaded.push(unit).unwrap();
        }
        assert_eq!(threaded.finish().unwrap().sentence, "a b c d e");
    }

    #[test]
    fn after_an_error_nothing_is_taken_and_finish_says_why() {
        let mut threaded = Threaded::spawn("memory", Slot::waiting(1), Memory::default()).unwrap();
        threaded.push("bad").unwrap();
        // The queue holds one: somewhere in the next three the writer is gone, and the producer is not left waiting.
        let closed = (0..3).any(|_| threaded.push("more").is_err());
        assert!(closed && threaded.ended());
        assert!(matches!(threaded.finish(), Err(Error::ReaderGone)));
    }

    #[test]
    fn whether_it_has_ended_can_be_asked_as_often_as_one_likes() {
        let (release, hang) = mpsc::channel();
        let mut threaded = Threaded::spawn("memory", Slot::waiting(2), Memory { hang: Some(hang), ..Memory::default() }).unwrap();
        threaded.push("hang").unwrap();
        assert!(!threaded.has_ended());
        drop(release);
        assert!(threaded.ends_within(Duration::from_secs(60)));
        assert!(threaded.has_ended() && threaded.has_ended() && threaded.ends_within(Duration::ZERO));
        assert_eq!(threaded.finish().unwrap().sentence, "");
    }

    /// One that hangs until what comes with it is dropped.
    fn hanging() -> (Threaded<&'static str>, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel();
        let memory = Memory { hang: Some(held), progress: Progress::of("a pipe"), ..Memory::default() };
        let mut threaded = Threaded::spawn("memory", Slot::waiting(1), memory).unwrap();
        threaded.patience = Duration::from_millis(1);
        threaded.push("hang").unwrap();
        (threaded, release)
    }

    #[test]
    fn a_writer_that_hangs_is_abandoned_when_patience_ends() {
        let (mut threaded, release) = hanging();
        let error = threaded.finish().unwrap_err();
        assert!(matches!(&error, Error::Stuck { name } if name == "a pipe"), "{error}");
        drop(release);
        let (threaded, release) = hanging();
        drop(threaded);
        drop(release);
    }

    #[test]
    fn a_writer_that_is_only_slow_is_waited_for() {
        let bytes = std::cell::Cell::new(0);
        let wait = |slow: u64, left: u64| {
            let calls = std::cell::Cell::new(0);
            let wait = || {
                calls.set(calls.get() + 1);
                bytes.set(bytes.get() + u64::from(calls.get() <= slow));
                if calls.get() > left { Ok(calls.get()) } else { Err(RecvTimeoutError::Timeout) }
            };
            while_moving(wait, || bytes.get())
        };
        assert_eq!(wait(100, 100), Ok(101), "something was written in each of a hundred times");
        assert_eq!(wait(3, 100), Err(RecvTimeoutError::Timeout), "in three, and then no more");
    }
}
