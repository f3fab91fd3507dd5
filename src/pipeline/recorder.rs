//! What is recorded into one Matroska file: pictures and sound of all tracks and of oneself, and the last seconds of them, which
//! are kept in memory where that is wished.
//!
//! A [`Recorder`] is there from the beginning; [`Recorder::start`] begins a file, which ends with its [`Recording`]. While nothing
//! is recorded and nothing kept it costs nothing. What comes is put into a queue, whose thread joins slices to JPEGs and writes.
//!
//! Capacity: [`WAITING`] units and bytes wait for the disk; the oldest go, and are counted. Kept are the last seconds, of at most
//! [`MOST_KEPT`] bytes.

mod writing;

/// Why nothing can be written.
pub use super::record::Error;
use super::tee::{Content, Tap, Tee, Unit};
use crate::present::writers::mkv::{self, Split};
use crate::present::writers::{self, PATIENCE, Target, Threaded, Written};
use crate::slot::Slot;
use crate::threads::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use writing::Writing;

/// Units waiting for the disk, and their bytes: ten seconds of four senders.
const WAITING: (usize, usize) = (6000, 128 << 20);

/// Bytes of the last seconds: 80 s at 25 Mbit/s.
const MOST_KEPT: usize = 256 << 20;

/// See the module text.
pub struct Recorder {
    tee: Tee,
    /// The last seconds, where they are kept.
    kept: Option<(Arc<Mutex<Kept>>, Tap)>,
}

/// The last seconds.
struct Kept {
    span: Duration,
    units: VecDeque<Arc<Unit>>,
    bytes: usize,
}

/// A file that is being written.
pub struct Recording {
    tap: Option<Tap>,
    queue: Arc<Slot<Arc<Unit>>>,
    thread: Threaded<Arc<Unit>>,
    began: Instant,
    refused: Arc<AtomicU64>,
    finished: Option<mpsc::Receiver<()>>,
}

/// What became of a file.
pub struct Outcome {
    pub written: Result<Written, writers::Error>,
    /// Pictures and blocks that the disk was too slow for.
    pub dropped: u64,
    /// Pictures that came and were not whole.
    pub refused: u64,
}

/// Brings a file to its end when nobody else can any more.
pub struct LastResort {
    queue: Arc<Slot<Arc<Unit>>>,
    finished: mpsc::Receiver<()>,
}

impl LastResort {
    /// Takes nothing more.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits until all is written, for [`PATIENCE`] since then at most; whether it is.
    pub fn finish(&self, since: Instant) -> bool {
        // Nothing is ever sent: it ends when the writer is dropped.
        !matches!(self.finished.recv_timeout(PATIENCE.saturating_sub(since.elapsed())), Err(RecvTimeoutError::Timeout))
    }
}

impl Recorder {
    /// Of what goes through this, of which the last seconds are kept, where that is wished.
    pub fn new(tee: Tee, keep: Option<Duration>) -> Self {
        let kept = keep.map(|span| {
            let kept = Arc::new(Mutex::new(Kept { span, units: VecDeque::new(), bytes: 0 }));
            let to = kept.clone();
            (kept, tee.tap(move |unit| lock(&to).push(unit.clone())))
        });
        Recorder { tee, kept }
    }

    /// Begins a file; where it is split, `next` says where it goes on.
    pub fn start(&self, first: Target, split: Split, next: mkv::Next) -> Result<Recording, Error> {
        let (units, bytes) = WAITING;
        let queue = Slot::dropping_bytes(units, bytes, |unit: &Arc<Unit>| unit.bytes());
        let (end, finished) = mpsc::channel();
        let writing = Writing::new(mkv::Writer::new(first, split, next), end)?;
        let refused = writing.refused();
        let thread = Threaded::spawn("write-mkv", queue.clone(), writing)?;
        let to = queue.clone();
        // Closed where its writer ended early, which whoever has the recording finds out.
        let tap = Some(self.tee.tap(move |unit| {
            let _ = to.push(unit.clone());
        }));
        let (began, finished) = (Instant::now(), Some(finished));
        Ok(Recording { tap, queue, thread, began, refused, finished })
    }

    /// Writes the last seconds to a file of their own; `None` where none are kept.
    pub fn write_kept(&self, target: Target) -> Result<Option<Saving>, Error> {
        let Some((kept, _)) = &self.kept else { return Ok(None) };
        let units: Vec<_> = lock(kept).units.iter().cloned().collect();
        let nothing_more = || Err(writers::Error::ReaderGone);
        let writer = mkv::Writer::new(target, Split::default(), Box::new(nothing_more));
        let queue = Slot::dropping(units.len().max(1));
        for unit in units {
            // It is open, and has room for all of them.
            let _ = queue.push(unit);
        }
        let thread = Threaded::spawn("write-last", queue, Writing::new(writer, mpsc::channel().0)?)?;
        Ok(Some(Saving(thread)))
    }
}

impl Kept {
    fn push(&mut self, unit: Arc<Unit>) {
        self.bytes += unit.bytes();
        let newest = unit.at;
        self.units.push_back(unit);
        let is_old = |oldest: &Arc<Unit>, bytes: usize| oldest.at + self.span < newest || bytes > MOST_KEPT;
        while let Some(oldest) = self.units.front().filter(|oldest| is_old(oldest, self.bytes)) {
            self.bytes -= oldest.bytes();
            self.units.pop_front();
        }
    }
}

impl Recording {
    /// Since when it runs.
    pub fn lasts(&self) -> Duration {
        self.began.elapsed()
    }

    /// For whoever sees the process end without us; once.
    pub fn last_resort(&mut self) -> Option<LastResort> {
        Some(LastResort { queue: self.queue.clone(), finished: self.finished.take()? })
    }

    /// Takes nothing more; what waits is written.
    pub fn close(&mut self) {
        self.tap = None;
        self.queue.close();
    }

    /// Whether it has come to its end, so or so; [`Recording::finish`] says how.
    pub fn has_ended(&mut self) -> bool {
        self.thread.has_ended()
    }

    /// Waits until what waits is written.
    pub fn finish(mut self) -> Outcome {
        self.close();
        let written = self.thread.finish();
        Outcome { written, dropped: self.queue.dropped(), refused: self.refused.load(Ordering::Relaxed) }
    }
}

/// The last seconds on their way to a file.
pub struct Saving(Threaded<Arc<Unit>>);

impl Saving {
    /// What became of it, once it is written.
    pub fn poll(&mut self) -> Option<Result<Written, writers::Error>> {
        self.0.ends_within(Duration::ZERO).then(|| self.0.finish())
    }

    /// Waits until it is written.
    pub fn finish(mut self) -> Result<Written, writers::Error> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests;
