//! All of one sender that is shown and heard: its canvas, schedule and voice. Another sender, or the same one started anew, is
//! a new [`Track`]; nothing is ever reset. The end of one is a drop, and what is under way of it goes with it.

use super::back::Back;
use super::decode::{Announced, DecoderThreads, Ready, SharedReel};
use super::hold_queue;
use crate::present::canvas::Canvas;
use crate::present::mixer::Feed;
use crate::threads::lock;
use eyeline_proto::media::playout;
use eyeline_proto::media::schedule::{Schedule, Shown};
use eyeline_proto::media::speech::Speech;
use eyeline_proto::session::TrackId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub struct Track {
    id: TrackId,
    reel: Arc<SharedReel>,
    /// When its pictures and its sound are due.
    pub(super) schedule: Mutex<Schedule>,
    /// Where it is heard; `None` without a speaker.
    pub(super) voice: Option<Mutex<Feed>>,
    /// Blocks of sound that could not be decoded.
    undecoded: AtomicU64,
    /// Where it is seen; `None` where nothing is decoded.
    pub(super) pictures: Option<hold_queue::Inlet>,
}

/// The threads that tracks of pictures share.
pub struct Screening {
    decoders: DecoderThreads,
    thread: hold_queue::Thread,
}

impl Screening {
    /// Decodes on so many threads, and holds what is to be shown later on one more.
    pub fn start(workers: usize) -> Result<Self, super::decode::Error> {
        Ok(Screening { decoders: DecoderThreads::new(workers)?, thread: hold_queue::Thread::start()? })
    }

    /// Slices dropped because decoding was behind.
    pub fn dropped(&self) -> u64 {
        self.decoders.dropped()
    }
}

impl Track {
    /// Nothing has come of it yet. `back`: where it is told what of it was not drawn.
    pub fn new(
        id: TrackId,
        schedule: Schedule,
        (announced, back): (&Announced, &Back),
        screening: Option<&Screening>,
        mut voice: Option<Feed>,
    ) -> Arc<Self> {
        let reel = SharedReel::new(id, announced, back);
        let pictures = screening.map(|screening| screening.thread.inlet(screening.decoders.inlet(reel.clone())));
        if let Some(voice) = &mut voice {
            voice.target(schedule.sound_due());
        }
        let voice = voice.map(Mutex::new);
        Arc::new(Track { id, reel, schedule: Mutex::new(schedule), voice, undecoded: AtomicU64::new(0), pictures })
    }

    /// Which it is.
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// Where its pictures are drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        self.reel.canvas()
    }

    /// It is seen on so many pixels; `None`: on as many as it has.
    pub fn seen_on(&self, pixels: Option<u32>) {
        self.reel.seen_on(pixels);
    }

    /// A slice of this picture is not to be drawn.
    pub(super) fn missed(&self, picture: u64) {
        self.reel.missed(picture);
    }

    /// What is heard of it: what playout is doing, and blocks dropped before it, or not decoded; `None` without a speaker.
    pub fn sound(&self) -> Option<(playout::Stats, u64)> {
        let undecoded = self.undecoded.load(Ordering::Relaxed);
        self.voice.as_ref().map(|voice| lock(voice)).map(|voice| (voice.stats(), voice.dropped() + undecoded))
    }

    /// A block of its sound could not be decoded.
    pub(super) fn undecoded(&self) {
        self.undecoded.fetch_add(1, Ordering::Relaxed);
    }

    /// How loud it is played, as [`Feed::volume`]; nothing without a speaker.
    pub fn volume(&self, volume: f32) {
        if let Some(voice) = &self.voice {
            lock(voice).volume(volume);
        }
    }

    /// Whether it is silent, whatever its volume; nothing without a speaker.
    pub fn mute(&self, muted: bool) {
        if let Some(voice) = &self.voice {
            lock(voice).mute(muted);
        }
    }

    /// How loud it was since it was asked for last, as [`Feed::levels`]; `None` without a speaker.
    fn levels(&self) -> Option<impl Iterator<Item = u8> + use<>> {
        self.voice.as_ref().map(|voice| lock(voice).levels())
    }

    /// A picture of it was with the display at `at`: from this follows when the next ones, and sound, are due.
    pub fn shown(&self, ready: &Ready, at: Instant) -> Shown {
        let picture = &ready.picture;
        if let (Some(pictures), Some(lead)) = (&self.pictures, picture.lead(at)) {
            pictures.took(lead);
        }
        lock(&self.schedule).shown(picture, at, |due| {
            let mut voice = lock(self.voice.as_ref()?);
            voice.target(due);
            voice.stats().latency
        })
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        self.reel.end();
    }
}

/// The tracks there are: the net thread opens and ends them, the main thread looks.
#[derive(Clone, Default)]
pub struct Tracks(Arc<Mutex<BTreeMap<TrackId, Arc<Track>>>>);

impl Tracks {
    pub(super) fn add(&self, track: Arc<Track>) {
        lock(&self.0).insert(track.id, track);
    }

    pub(super) fn remove(&self, id: TrackId) {
        let ended = lock(&self.0).remove(&id);
        drop(ended);
    }

    /// The one that was opened last.
    pub fn newest(&self) -> Option<Arc<Track>> {
        lock(&self.0).values().next_back().cloned()
    }

    /// Tells how loud each was since it was asked for last.
    pub fn heard(&self, speech: &mut Speech<TrackId>) {
        for (id, track) in lock(&self.0).iter() {
            track.levels().into_iter().flatten().for_each(|level| speech.heard(*id, level));
        }
    }

    /// The one of this name, while there is one.
    pub fn get(&self, id: TrackId) -> Option<Arc<Track>> {
        lock(&self.0).get(&id).cloned()
    }
}
