//! The net thread's end of a voice, and who has which.
//!
//! The speaker has [`VOICES`] places. [`Feed`] holds one: blocks and the sender's clock go in through a ring, volume and target through
//! atomics, figures come back through atomics. Dropped, it gives its place back: the voice fades out and is as new for the next.
//!
//! A ring holds 128 messages (1.28 s of blocks). When it is full, because no callback came for so long, new blocks are dropped and
//! counted: playout sheds the old ones anyway when it runs again. A fresh renderer (the device was lost) makes fresh rings; each feed
//! notices, and says again what it had said.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::meter;
use super::voice::{Dials, Gauges, Message, NOBODY, Said, Voice};
use crate::threads::lock;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::playout::{Config, Stats};
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;

/// Voices at once: as many as senders are shown.
pub const VOICES: usize = 16;
/// Loudest: +6 dB.
const LOUDEST: f32 = 2.0;

/// A volume as it may be set: 1 where it is no number.
pub(super) fn held(volume: f32) -> f32 {
    if volume.is_finite() { volume.clamp(0.0, LOUDEST) } else { 1.0 }
}

/// `s` with the counters of `past` added.
fn with_past(s: Stats, past: &Stats) -> Stats {
    Stats {
        underflows: s.underflows + past.underflows,
        concealed: s.concealed + past.concealed,
        late: s.late + past.late,
        duplicates: s.duplicates + past.duplicates,
        overflows: s.overflows + past.overflows,
        shed: s.shed + past.shed,
        ..s
    }
}

/// All voices, as feeds and the thread that looks after the device share them. No callback comes here.
pub(super) struct Places {
    /// How many renderers there have been. Changes only under the lock.
    generation: AtomicU64,
    table: Mutex<Table>,
}

struct Table {
    places: [Place; VOICES],
    /// The number of the last holder.
    holders: u64,
}

struct Place {
    dials: Arc<Dials>,
    gauges: Arc<Gauges>,
    /// While no feed has it.
    outbox: Option<rtrb::Producer<Said>>,
    /// What the holder's playout counted in renderers before.
    past: Stats,
    /// Who had it last.
    last: u64,
}

impl Place {
    fn new() -> Self {
        let (dials, gauges) = (Arc::new(Dials::new()), Arc::default());
        Place { dials, gauges, outbox: None, past: Stats::default(), last: NOBODY }
    }

    fn stats(&self) -> Stats {
        with_past(self.gauges.load(self.dials.holder()), &self.past)
    }
}

impl Table {
    /// The place is someone's else from now on.
    fn lend(&mut self, place: usize) -> u64 {
        self.holders += 1;
        self.places[place].last = self.holders;
        self.places[place].dials.set_holder(self.holders);
        self.holders
    }
}

impl Places {
    pub(super) fn new() -> Self {
        let table = Table { places: std::array::from_fn(|_| Place::new()), holders: NOBODY };
        Places { generation: AtomicU64::new(0), table: Mutex::new(table) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// The voices of a fresh renderer, and each feed's way to its own.
    pub(super) fn voices(&self, config: Config) -> Box<[Voice]> {
        let mut table = self.lock();
        let fresh = |place: &mut Place| {
            place.past = place.stats();
            place.gauges = Arc::default();
            let (outbox, voice) = Voice::new(place.dials.clone(), place.gauges.clone(), config);
            place.outbox = Some(outbox);
            voice
        };
        let voices = table.places.iter_mut().map(fresh).collect();
        self.generation.fetch_add(1, Ordering::Release);
        voices
    }
}

/// A voice of the speaker. See the module text.
pub struct Feed {
    places: Arc<Places>,
    place: usize,
    holder: u64,
    dials: Arc<Dials>,
    generation: u64,
    outbox: Option<rtrb::Producer<Said>>,
    mapping: Option<Mapping>,
    /// What is not said yet: blocks below this number are not to be heard.
    flushes: Option<u64>,
    volume: f32,
    muted: bool,
    dropped: u64,
    /// Levels that were read, as the meter counts them.
    levels: u8,
}

impl Feed {
    /// A free place, that which has been free for longest; `None` where there is none.
    pub(super) fn take(places: &Arc<Places>) -> Option<Feed> {
        let mut table = places.lock();
        let free = (0..VOICES).filter(|place| table.places[*place].dials.holder() == NOBODY);
        let place = free.min_by_key(|place| table.places[*place].last)?;
        let dials = table.places[place].dials.clone();
        dials.set_gain(1.0);
        dials.set_target(None);
        table.places[place].past = Stats::default();
        let outbox = table.places[place].outbox.take();
        let (holder, generation) = (table.lend(place), places.generation.load(Ordering::Acquire));
        Some(Feed {
            places: places.clone(),
            place,
            holder,
            dials,
            generation,
            outbox,
            mapping: None,
            flushes: None,
            volume: 1.0,
            muted: false,
            dropped: 0,
            levels: 0,
        })
    }

    /// A block that `arrived` now, by the sender's clock. False when it was dropped: malformed, or nobody plays.
    pub fn block(&mut self, arrived: Instant, sound: &Numbered<MediaTime>) -> bool {
        self.say_flush();
        let kept = sound.inline().is_some_and(|sound| self.say(Message::Block(arrived, sound)));
        self.dropped += u64::from(!kept);
        kept
    }

    /// How the sender's clock runs. To be said after every ping.
    pub fn mapping(&mut self, mapping: Mapping) {
        self.mapping = Some(mapping);
        self.say(Message::Mapping(mapping));
    }

    /// No block below this number is to be heard any more: its sender went to another place.
    pub fn flush(&mut self, first: u64) {
        self.flushes = Some(first);
        self.say_flush();
    }

    /// Where there is no place it is said before the next block.
    fn say_flush(&mut self) {
        if let Some(first) = self.flushes
            && self.say(Message::Flush(first))
        {
            self.flushes = None;
        }
    }

    /// Capture to speaker, at least; `None`: as little as jitter allows.
    pub fn target(&mut self, latency: Option<Duration>) {
        self.dials.set_target(latency);
    }

    /// Of this voice alone: 1 is as it came, 0 silence, 2 the loudest.
    pub fn volume(&mut self, volume: f32) {
        self.volume = held(volume);
        self.set_gain();
    }

    /// Silence of this voice, whatever the volume.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
        self.set_gain();
    }

    fn set_gain(&self) {
        self.dials.set_gain(if self.muted { 0.0 } else { self.volume });
    }

    /// What playout is doing; counters since this feed was made.
    pub fn stats(&self) -> Stats {
        self.places.lock().places[self.place].stats()
    }

    /// How loud the voice was since the last call, before volume and mute: a level each 20 ms, as
    /// [`speech`](eyeline_proto::media::speech) counts them; the newest seven where there were more.
    pub fn levels(&mut self) -> impl Iterator<Item = u8> + use<> {
        let newest = self.places.lock().places[self.place].gauges.levels(self.holder);
        meter::levels(newest, &mut self.levels)
    }

    /// Blocks dropped before they reached the callback.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn say(&mut self, message: Message) -> bool {
        if self.places.generation.load(Ordering::Acquire) != self.generation {
            let mut table = self.places.lock();
            self.generation = self.places.generation.load(Ordering::Acquire);
            self.outbox = table.places[self.place].outbox.take();
            // What a new renderer does not know; the ring is empty.
            if let (Some(outbox), Some(mapping)) = (&mut self.outbox, self.mapping) {
                let _ = outbox.push((self.holder, Message::Mapping(mapping)));
            }
        }
        self.outbox.as_mut().is_some_and(|outbox| outbox.push((self.holder, message)).is_ok())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut table = self.places.lock();
        self.dials.set_holder(NOBODY);
        // Else the ring is that of a renderer that is gone, and the place has a newer one.
        if self.places.generation.load(Ordering::Acquire) == self.generation {
            table.places[self.place].outbox = self.outbox.take();
        }
    }
}
