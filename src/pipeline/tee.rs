//! What comes of all tracks, and what we send ourselves, as whole pictures and sound with their times by our clock, for whoever
//! takes it so: a recording, one picture, a page for browsers.
//!
//! Each taker has a [`Tap`], and gets each [`Unit`] on the thread on which it comes; it must not wait there. While there is no
//! tap nothing is collected, and others are not asked for whole pictures.

mod by_source;
mod intake;
mod own;
mod shot;

pub use by_source::BySource;
pub use own::Own;
pub use shot::{Shot, Still};

use super::back::Back;
use super::record::Room;
use super::sink::EncodedSink;
/// Whose pictures and sound there are.
pub use crate::present::writers::mkv::Source;
use crate::threads::lock;
use eyeline_proto::media::assemble::AccessUnit;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use eyeline_proto::session::{Command, TrackId};
use intake::Intake;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// A picture or a block of sound of somebody.
pub struct Unit {
    pub source: Arc<Source>,
    /// When it was caught, by our clock.
    pub at: Instant,
    pub content: Content,
}

pub enum Content {
    /// What came of a picture.
    Slices(AccessUnit),
    Jpeg(Size, Arc<[u8]>),
    /// Its channels, and samples for each in turn.
    Sound(u8, Arc<[i16]>),
}

/// What a unit weighs beside its content.
const BESIDE: usize = size_of::<Unit>() + 64;

impl Unit {
    /// With what is kept beside its bytes.
    pub fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Slices(unit) => unit.bytes() + unit.slices.len() * size_of::<Option<Slice>>(),
            Content::Jpeg(_, jpeg) => jpeg.len(),
            Content::Sound(_, samples) => 2 * samples.len(),
        };
        content + BESIDE
    }
}

/// Who takes units.
type Take = Box<dyn FnMut(&Arc<Unit>) + Send>;

/// See the module text. Clones are the same.
#[derive(Clone, Default)]
pub struct Tee(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// There is a tap.
    on: AtomicBool,
    taps: Mutex<Taps>,
    /// Whose units may come.
    sources: Mutex<Vec<Weak<Source>>>,
    room: Room,
    /// Where the session is told of pictures that are not taken.
    back: Back,
}

#[derive(Default)]
struct Taps {
    of: BTreeMap<u64, Take>,
    next: u64,
    /// Nobody gets anything any more.
    ended: bool,
}

/// While it is there, its taker gets what comes.
pub struct Tap {
    tee: Tee,
    key: u64,
}

impl Tee {
    /// What is collected shares `room` with what else waits to be written.
    pub fn new(room: Room) -> Self {
        Tee(Arc::new(Shared { room, ..Shared::default() }))
    }

    /// Where the session is told of pictures that did not come whole.
    pub fn connect(&self, tell: impl Fn(Command) + Send + Sync + 'static) {
        self.0.back.connect(tell);
    }

    /// Whether anybody takes anything: pictures are wanted whole.
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// What collects a track of this name.
    pub fn sink(&self, id: TrackId, name: &str, film: bool) -> Box<dyn EncodedSink> {
        Box::new(Intake::new(self.clone(), id, name, film))
    }

    /// From now on `take` gets what comes.
    pub fn tap(&self, take: impl FnMut(&Arc<Unit>) + Send + 'static) -> Tap {
        let mut taps = lock(&self.0.taps);
        let key = taps.next;
        taps.next += 1;
        if !taps.ended {
            taps.of.insert(key, Box::new(take));
            self.0.on.store(true, Ordering::Relaxed);
        }
        Tap { tee: self.clone(), key }
    }

    /// One more of whom units may come, of this name.
    fn source(&self, name: &str) -> Arc<Source> {
        let source = Source::new(name);
        let mut sources = lock(&self.0.sources);
        sources.retain(|source| source.strong_count() > 0);
        sources.push(Arc::downgrade(&source));
        source
    }

    /// What those are called of whom units may come, whether or not anybody takes them.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0.sources).iter().filter_map(Weak::upgrade).map(|source| source.name.clone()).collect()
    }

    /// The next whole picture of one of this name, or of anybody.
    pub fn shot(&self, of: Option<&str>) -> Shot {
        Shot::new(self, of)
    }

    /// Nobody gets anything any more.
    pub fn end(&self) {
        let mut taps = lock(&self.0.taps);
        taps.ended = true;
        let taken = std::mem::take(&mut taps.of);
        self.0.on.store(false, Ordering::Relaxed);
        // What a taker owns may end others, who look here.
        drop(taps);
        drop(taken);
    }

    fn push(&self, unit: Unit) {
        let unit = Arc::new(unit);
        lock(&self.0.taps).of.values_mut().for_each(|take| take(&unit));
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut taps = lock(&self.tee.0.taps);
        let taken = taps.of.remove(&self.key);
        self.tee.0.on.store(!taps.of.is_empty(), Ordering::Relaxed);
        drop(taps);
        drop(taken);
    }
}
