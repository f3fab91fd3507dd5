//! One track that is sent: our own camera and microphone, or somebody else's that we forward. One log of slices and one of sound
//! for all who are subscribed to it.

use super::parity::Parity;
use super::sound_log::{Logged, SoundLog};
use crate::media::packetizer::{Cursor, Limits, Log};
use crate::media::slice::Slice;
use crate::wire::record::Track;
use std::time::{Duration, Instant};

/// Nothing older than this is of use to a live receiver.
const LIVE_AGE: Duration = Duration::from_millis(300);

/// But to one on a slow path, which takes so long to be sent a picture made for better ones.
const SLOW_AGE: Duration = Duration::from_secs(2);

/// Bytes of a live track's slices.
const LIVE_BYTES: usize = 16 << 20;

/// Bytes of slices a film may have under way.
pub(super) const FILM_BYTES: usize = 24 << 20;

/// What is over in a film's log is cut by what is settled; this only bounds what a vanished peer leaves behind.
const FILM: Limits = Limits { age: Duration::from_secs(6), bytes: 2 * FILM_BYTES };

/// By then its origin has sent again what was lost on the way here, or the connection to it is lost.
const MENDED: Duration = Duration::from_secs(10);

/// Of a picture that has less than this part of its MCUs the bytes say nothing of the others: what stands still and is sent once
/// more, better, is less.
const TELLING: usize = 20;

/// No camera gives more pictures a second.
const MOST_RATE: f64 = 1000.0;

/// Bytes a second of a channel of sound, with what records, segments and headers add to it.
const SOUND_RATE: f64 = 96_000.0 * 1.06;

/// What a record, its segment and headers add to a packet of sound, bytes: each block is a segment of its own.
const AROUND_PACKET: f64 = 91.0;

/// Blocks a second.
const BLOCKS: f64 = 100.0;

pub(super) struct Outbound {
    /// Nothing is skipped: a film of ours.
    pub lossless: bool,
    /// What its receivers are told of it; the first picture is each one's own.
    pub track: Track,
    pub log: Log,
    pub parity: Parity,
    pub sound: SoundLog,
    /// Number after its newest picture.
    pub pictures: u64,
    /// The newest picture, and its bytes that are there.
    newest: Option<(u64, usize)>,
    /// Bytes of a picture, a mean over some.
    usual: usize,
    /// MCUs of the newest picture that are for all, of so many; their bytes; and bytes of one of which there are all MCUs, a mean
    /// over some.
    coded: (usize, usize),
    coded_bytes: usize,
    whole: f64,
    /// Slices of the newest picture, and of the one before, are of some MCUs alone.
    partial: (bool, bool),
    /// Of a track that is forwarded: not all of it came here, so until then what refreshes is for all.
    hole: Option<Instant>,
}

impl Outbound {
    /// Nothing of it was caught yet.
    pub fn new(track: Track, lossless: bool) -> Self {
        let limits = if lossless { FILM } else { Limits { age: LIVE_AGE, bytes: LIVE_BYTES } };
        let (log, parity, sound) = (Log::new(limits), Parity::new(track.number), SoundLog::new(track.number, lossless));
        Outbound {
            lossless,
            track,
            log,
            parity,
            sound,
            pictures: 0,
            newest: None,
            usual: 0,
            coded: (0, 0),
            coded_bytes: 0,
            whole: 0.0,
            partial: (false, false),
            hole: None,
        }
    }

    /// What its receivers call it.
    pub fn number(&self) -> u8 {
        self.track.number
    }

    /// A slice was encoded, or came.
    pub fn push_slice(&mut self, slice: Slice) {
        match &mut self.newest {
            Some((picture, bytes)) if slice.picture <= *picture => *bytes += slice.bytes().len(),
            newest => {
                let (_, whole) = newest.replace((slice.picture, slice.bytes().len())).unwrap_or_default();
                self.usual = if self.usual == 0 { whole } else { (self.usual * 3 + whole) / 4 };
                self.partial = (false, self.partial.0 || self.coded.0 < self.coded.1);
                (self.coded, self.coded_bytes) = ((0, 0), 0);
            }
        }
        self.note_whole(&slice);
        self.partial.0 |= slice.head().mcus.is_some();
        self.parity.partial = self.is_partial();
        self.pictures = self.pictures.max(slice.picture + 1);
        self.log.push(slice);
    }

    /// What a picture takes of which all MCUs are there is learnt from those that have some.
    fn note_whole(&mut self, slice: &Slice) {
        let head = slice.head();
        let late = self.newest.is_some_and(|(newest, _)| slice.picture < newest);
        if late || slice.index >= head.shared {
            return;
        }
        let (grid, mcus) = (head.grid(), head.runs().map(|run| run.len()).sum::<usize>());
        self.coded = (self.coded.0 + mcus, (grid.width * grid.height) as usize);
        self.coded_bytes += slice.scan().len();
        let (coded, all) = self.coded;
        if coded * TELLING >= all {
            self.whole += (self.coded_bytes as f64 / coded as f64 * all as f64 - self.whole) / 16.0;
        }
    }

    /// Bytes a second of its pictures if all of each were sent.
    pub fn whole_rate(&self) -> f64 {
        // A peer may say any rate.
        let rate = self.track.format.rate.map_or(30.0, |rate| f64::from(rate.num()) / f64::from(rate.den())).min(MOST_RATE);
        if self.track.closed { 0.0 } else { self.whole * rate }
    }

    /// Whether its pictures are only what changed: who lacks something is owed it.
    pub fn is_partial(&self) -> bool {
        (self.partial.0 || self.partial.1) && !self.lossless
    }

    /// A picture of it did not all come here, and nobody here knows what was in it.
    pub fn has_hole(&mut self, now: Instant) {
        self.hole = Some(now + MENDED);
    }

    /// Whether what refreshes is for all, for all may lack it.
    pub fn refreshes_all(&self, now: Instant) -> bool {
        self.hole.is_some_and(|until| now < until)
    }

    /// Bytes of a picture of it, a mean over some.
    pub fn usual(&self) -> usize {
        self.usual
    }

    /// A block of a track that is forwarded.
    pub fn put_sound(&mut self, number: u64, block: Logged) {
        self.sound.put(number, block);
    }

    /// Whether anybody needs pictures for longer, who is sent them slowly.
    pub fn keep_longer(&mut self, slow: bool) {
        if !self.lossless {
            self.log.set_age(if slow { SLOW_AGE } else { LIVE_AGE });
        }
    }

    /// Bytes a second of its sound as Opus packets.
    pub fn packet_rate(&self) -> f64 {
        (self.sound.packet_bytes() + AROUND_PACKET) * BLOCKS
    }

    /// Bytes a second of all channels, as samples.
    pub fn sound_rate(&self) -> f64 {
        f64::from(self.track.format.channels) * SOUND_RATE
    }

    /// Where one begins that comes now.
    pub fn newest(&self) -> (Cursor, u64) {
        // Of a picture that is only what changed nothing is to be seen.
        let pictures = if self.is_partial() { self.log.end() } else { self.log.newest_picture() };
        (pictures, self.sound.end())
    }
}
