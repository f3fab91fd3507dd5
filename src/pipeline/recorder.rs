//! What is recorded into one Matroska file: pictures and sound of all tracks and of oneself, and the last seconds of them, which
//! are kept in memory where that is wished.
//!
//! A [`Recorder`] is there from the beginning; [`Recorder::start`] begins a file, which ends with its [`Recording`]. While nothing
//! is recorded and nothing kept it costs nothing. What comes is put into a queue, whose thread joins slices to JPEGs and writes.
//! Whoever wants one picture alone has a [`Shot`] of it.
//!
//! Capacity: [`WAITING`] units and bytes wait for the disk; the oldest go, and are counted. Kept are the last seconds, of at most
//! [`MOST_KEPT`] bytes.

mod intake;
mod own;
mod shot;
mod writing;

pub use own::Own;
pub use shot::{Shot, Still};

use super::back::Back;
/// Why nothing can be written.
pub use super::record::Error;
use super::record::Room;
use super::sink::EncodedSink;
use crate::present::writers::mkv::{self, Source, Split};
use crate::present::writers::{self, PATIENCE, Target, Threaded, Written};
use crate::slot::Slot;
use crate::threads::lock;
use eyeline_proto::media::assemble::AccessUnit;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use intake::Intake;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use writing::Writing;

/// Units waiting for the disk, and their bytes: ten seconds of four senders.
const WAITING: (usize, usize) = (6000, 128 << 20);

/// What a unit weighs beside its content.
const BESIDE: usize = size_of::<Unit>() + 64;

/// Pictures that wait for who wants one of them whole.
const SHOTS: usize = 4;

/// Bytes of the last seconds: 80 s at 25 Mbit/s.
const MOST_KEPT: usize = 256 << 20;

/// A picture or a block of sound of somebody.
struct Unit {
    source: Arc<Source>,
    /// When it was caught, by our clock.
    at: Instant,
    content: Content,
}

enum Content {
    /// What came of a picture.
    Slices(AccessUnit),
    Jpeg(Size, Arc<[u8]>),
    /// Its channels, and samples for each in turn.
    Sound(u8, Arc<[i16]>),
}

impl Unit {
    /// With what is kept beside its bytes.
    fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Slices(unit) => unit.bytes() + unit.slices.len() * size_of::<Option<Slice>>(),
            Content::Jpeg(_, jpeg) => jpeg.len(),
            Content::Sound(_, samples) => 2 * samples.len(),
        };
        content + BESIDE
    }
}

/// See the module text. Clones are the same.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    /// Anything is recorded or kept.
    on: AtomicBool,
    state: Mutex<State>,
    next_shot: AtomicU64,
    room: Room,
    /// Where the session is told of pictures that are not written.
    back: Back,
}

#[derive(Default)]
struct State {
    to: Option<Arc<Slot<Arc<Unit>>>>,
    kept: Option<Kept>,
    shots: Vec<Asked>,
}

/// Whose next pictures are wanted; `None`: anybody's.
struct Asked {
    key: u64,
    of: Option<String>,
    to: SyncSender<Arc<Unit>>,
}

/// The last seconds.
struct Kept {
    span: Duration,
    units: VecDeque<Arc<Unit>>,
    bytes: usize,
}

/// A file that is being written.
pub struct Recording {
    recorder: Recorder,
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
    /// Keeps the last seconds, where it is to; `room` is what all that waits for disks shares.
    pub fn new(keep: Option<Duration>, room: Room, back: Back) -> Self {
        let kept = keep.map(|span| Kept { span, units: VecDeque::new(), bytes: 0 });
        let (on, state) = (AtomicBool::new(kept.is_some()), Mutex::new(State { to: None, kept, shots: Vec::new() }));
        Recorder(Arc::new(Shared { on, state, next_shot: AtomicU64::new(0), room, back }))
    }

    /// Whether anything is recorded, or kept: pictures are wanted whole.
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// What records a track of this name.
    pub fn sink(&self, id: TrackId, name: &str, film: bool) -> Box<dyn EncodedSink> {
        Box::new(Intake::new(self.clone(), id, name, film))
    }

    /// Begins a file; where it is split, `next` says where it goes on.
    pub fn start(&self, first: Target, split: Split, next: mkv::Next) -> Result<Recording, Error> {
        let (units, bytes) = WAITING;
        let queue = Slot::dropping_bytes(units, bytes, |unit: &Arc<Unit>| unit.bytes());
        let (end, finished) = mpsc::channel();
        let writing = Writing::new(mkv::Writer::new(first, split, next), end)?;
        let refused = writing.refused();
        let thread = Threaded::spawn("write-mkv", queue.clone(), writing)?;
        lock(&self.0.state).to = Some(queue.clone());
        self.0.on.store(true, Ordering::Relaxed);
        let (recorder, began, finished) = (self.clone(), Instant::now(), Some(finished));
        Ok(Recording { recorder, queue, thread, began, refused, finished })
    }

    /// Writes the last seconds to a file of their own; `None` where none are kept.
    pub fn write_kept(&self, target: Target) -> Result<Option<Saving>, Error> {
        let units: Vec<_> = match &lock(&self.0.state).kept {
            Some(kept) => kept.units.iter().cloned().collect(),
            None => return Ok(None),
        };
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

    /// The next whole picture of one of this name, or of anybody.
    pub fn shot(&self, of: Option<&str>) -> Shot {
        let (to, units) = mpsc::sync_channel(SHOTS);
        let key = self.0.next_shot.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.state).shots.push(Asked { key, of: of.map(str::to_string), to });
        self.0.on.store(true, Ordering::Relaxed);
        Shot::new(self.clone(), key, units)
    }

    /// Nobody waits for any any more.
    pub fn forget_shots(&self) {
        let mut state = lock(&self.0.state);
        state.shots.clear();
        self.0.on.store(state.is_on(), Ordering::Relaxed);
    }

    /// Nobody waits for this one any more.
    fn forget_shot(&self, key: u64) {
        let mut state = lock(&self.0.state);
        state.shots.retain(|asked| asked.key != key);
        self.0.on.store(state.is_on(), Ordering::Relaxed);
    }

    fn push(&self, unit: Unit) {
        let unit = Arc::new(unit);
        let mut state = lock(&self.0.state);
        if !state.shots.is_empty() && !matches!(unit.content, Content::Sound(..)) {
            let is_of = |asked: &Asked| asked.of.as_ref().is_none_or(|of| *of == unit.source.name);
            for asked in state.shots.iter().filter(|asked| is_of(asked)) {
                // It has enough to look at, or just had what it wants.
                let _ = asked.to.try_send(unit.clone());
            }
        }
        if let Some(to) = &state.to {
            // Closed where its writer ended early, which whoever has the recording finds out.
            let _ = to.push(unit.clone());
        }
        if let Some(kept) = &mut state.kept {
            kept.push(unit);
        }
    }

    fn stop(&self, queue: &Arc<Slot<Arc<Unit>>>) {
        let mut state = lock(&self.0.state);
        state.to = state.to.take().filter(|to| !Arc::ptr_eq(to, queue));
        self.0.on.store(state.is_on(), Ordering::Relaxed);
    }
}

impl State {
    fn is_on(&self) -> bool {
        self.to.is_some() || self.kept.is_some() || !self.shots.is_empty()
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
        self.recorder.stop(&self.queue);
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
