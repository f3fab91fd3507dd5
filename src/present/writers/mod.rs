//! What is received, written to files and pipes: [`y4m`] and [`mjpeg`] for pictures, [`wav`] for sound.
//!
//! Each writer takes whole units (a picture, a block of sound) in the order of their numbers and leaves a well-formed file behind
//! whatever happens: a unit that could not be written whole is cut off again. Each unit is placed by its time; where that lies in
//! the files is settled by the [`Timeline`] both share, so that picture and sound start together and stay together. Writing may
//! block on a disk or a pipe, so each runs on a [`Threaded`] of its own.

pub mod mjpeg;
mod placing;
mod sink;
mod timeline;
pub mod wav;
pub mod y4m;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::slot::{Closed, Slot};

pub use placing::Rate;
pub use sink::{Overwrite, Target};
pub use timeline::{Moment, Timeline};

/// Where nothing comes, neither pictures nor sound, the hole is filled (pictures repeated, silence) up to this long; a longer one
/// is cut to it. An outage of a few seconds keeps its length, and no number a peer invents can fill the disk.
pub const LONGEST_HOLE: Duration = Duration::from_secs(10);

/// Why a writer ended early. What was written whole before stays and is well-formed. Each sentence is complete: no error stands
/// behind it that would be printed a second time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be made.
    #[error("cannot create {}: {cause}; does its folder exist, and may you write there?", path.display())]
    Create {
        /// As given.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Something is there already that is not simply written over.
    #[error("{} {what}; give another name, or say --overwrite", path.display())]
    Taken {
        /// As given.
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
        /// The file.
        name: String,
        /// What is in it.
        kept: String,
    },
    /// Nobody reads the pipe any more: a normal end.
    #[error("whoever read the pictures went away")]
    ReaderGone,
    /// The rest could not be written in the time given: a pipe nobody reads, a disk that hangs.
    #[error("{name} takes nothing any more; what was not written by now is lost")]
    Stuck {
        /// The thread's name, which says what it writes.
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
}

/// A writer on its own named thread behind a bounded queue.
///
/// What a full queue does is the choice of who made the [`Slot`]: [`Slot::waiting`] pushes back (a film: nothing is skipped),
/// [`Slot::dropping`] gives up the oldest (live: a slow disk must not hold up the screen; the writer then fills the hole).
pub struct Threaded<Unit> {
    name: String,
    queue: Arc<Slot<Unit>>,
    outcome: Receiver<Result<Written, Error>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl<Unit: Send + 'static> Threaded<Unit> {
    /// Starts the thread. `name` has at most 15 bytes (what Linux shows).
    pub fn spawn<W>(name: &str, queue: Arc<Slot<Unit>>, mut writer: W) -> Result<Self, Error>
    where
        W: Writer<Unit = Unit> + Send + 'static,
    {
        let (tell, outcome) = mpsc::channel();
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
        Ok(Threaded { name: name.into(), queue, outcome, thread: Some(thread) })
    }

    /// Hands over one unit; `Closed` once the writer has ended early: [`Threaded::finish`] says why.
    pub fn push(&self, unit: Unit) -> Result<(), Closed> {
        self.queue.push(unit)
    }

    /// Whether the writer has ended early.
    pub fn ended(&self) -> bool {
        self.queue.is_closed()
    }

    /// Writes what is queued, ends the file and the thread. A thread that hangs in a pipe or a disk for longer than `patience` is
    /// abandoned.
    pub fn finish(mut self, patience: Duration) -> Result<Written, Error> {
        self.queue.close();
        match self.outcome.recv_timeout(patience) {
            Ok(result) => {
                self.join();
                result
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.thread = None;
                Err(Error::Stuck { name: self.name.clone() })
            }
            // The thread ended without a word: it panicked, and `join` lets everybody hear it.
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                self.join();
                Err(Error::Stuck { name: self.name.clone() })
            }
        }
    }
}

impl<Unit> Threaded<Unit> {
    fn join(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(std::thread::JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl<Unit> Drop for Threaded<Unit> {
    /// Ends the file like [`Threaded::finish`], without a limit and without a word.
    fn drop(&mut self) {
        self.queue.close();
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers units; refuses the one called "bad"; hangs on "hang" until the test ends.
    struct Memory(Vec<&'static str>, Option<Receiver<()>>);

    impl Writer for Memory {
        type Unit = &'static str;
        fn write(&mut self, unit: &'static str) -> Result<(), Error> {
            match unit {
                "bad" => return Err(Error::ReaderGone),
                "hang" => drop(self.1.take().unwrap().recv()),
                unit => self.0.push(unit),
            }
            Ok(())
        }
        fn finish(self) -> Result<Written, Error> {
            let units = self.0.len() as u64;
            Ok(Written { name: "memory".into(), units, filled: 0, left_out: 0, sentence: self.0.join(" ") })
        }
    }

    #[test]
    fn what_was_pushed_is_written_in_order_before_finish_returns() {
        let threaded = Threaded::spawn("memory", Slot::waiting(2), Memory(vec![], None)).unwrap();
        for unit in ["a", "b", "c", "d", "e"] {
            threaded.push(unit).unwrap();
        }
        assert_eq!(threaded.finish(Duration::from_secs(60)).unwrap().sentence, "a b c d e");
    }

    #[test]
    fn after_an_error_nothing_is_taken_and_finish_says_why() {
        let threaded = Threaded::spawn("memory", Slot::waiting(1), Memory(vec![], None)).unwrap();
        threaded.push("bad").unwrap();
        // The queue holds one: somewhere in the next three the writer is gone, and the producer is not left waiting.
        let closed = (0..3).any(|_| threaded.push("more").is_err());
        assert!(closed && threaded.ended());
        assert!(matches!(threaded.finish(Duration::from_secs(60)), Err(Error::ReaderGone)));
    }

    #[test]
    fn a_writer_that_hangs_is_abandoned_when_patience_ends() {
        let (release, held) = mpsc::channel();
        let threaded = Threaded::spawn("memory", Slot::waiting(1), Memory(vec![], Some(held))).unwrap();
        threaded.push("hang").unwrap();
        let error = threaded.finish(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(&error, Error::Stuck { name } if name == "memory"), "{error}");
        drop(release);
    }
}
