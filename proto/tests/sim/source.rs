//! What the world knows of a sender ([`Source`]), shared between its camera, those who watch it, and the scenario: when what it
//! says was really caught, what its pictures hold, and what it counted and was told.

use super::netem::Dice;
use super::oscillator::Oscillator;
use super::partial::Coded;
use eyeline_proto::media::ladder::Step;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::session::endpoint::Discarded;
use eyeline_proto::session::stats::SenderStats;
use eyeline_proto::sound::RATE;
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::{Steer, Want};

/// See the module text.
pub struct Source {
    pub name: String,
    pub clock: Oscillator,
    epoch_shows: u64,
    /// The microphone's crystal, and what it showed at its first frame; a film has none.
    microphone: Option<(Oscillator, u64)>,
    pub pictures: u64,
    /// The true time at which each of them was caught.
    pub captures: Vec<u64>,
    /// Tells its pictures from all others'.
    pub salt: u64,
    pub body_bytes: u64,
    pub blocks: u64,
    pub stats: SenderStats,
    pub counters: Discarded,
    pub log: Vec<(u64, String)>,
    pub finished: Option<u64>,
    pub pressed: u32,
    pub watched: bool,
    /// What the encoder was told, and when.
    pub targets: Vec<(u64, Option<Bitrate>)>,
    /// What it was told that anybody has use for, and when.
    pub wanted: Vec<(u64, Want)>,
    /// Whether it was to make Opus packets of its sound, and since when.
    pub packets: Vec<(u64, bool)>,
    /// What the viewer of its film wanted, and when.
    pub steered: Vec<(u64, Steer)>,
    /// How each picture was encoded: true time of capture and step; pictures left out have none.
    pub steps: Vec<(u64, Step)>,
    /// Where its pictures are only what changed: when that was.
    pub coded: Coded,
}

impl Source {
    /// It starts at true time `start`, and its microphone is heard from a millisecond later on.
    pub fn new(name: &str, start: u64, clock: Oscillator, microphone: Option<Oscillator>) -> Source {
        Source {
            name: name.to_string(),
            clock,
            epoch_shows: clock.shows(start),
            microphone: microphone.map(|microphone| (microphone, microphone.shows(start + 1_000_000))),
            pictures: 0,
            captures: Vec::new(),
            salt: salt(name),
            body_bytes: 0,
            blocks: 0,
            stats: SenderStats::default(),
            counters: Discarded::default(),
            log: Vec::new(),
            finished: None,
            pressed: 0,
            watched: false,
            targets: Vec::new(),
            wanted: Vec::new(),
            packets: Vec::new(),
            steered: Vec::new(),
            steps: Vec::new(),
            coded: Coded::default(),
        }
    }

    /// The true time of a capture stamp.
    pub fn true_time(&self, capture: MediaTime) -> u64 {
        self.clock.when(self.epoch_shows + capture.as_nanos())
    }

    /// What its media clock shows.
    pub fn media(&self, true_ns: u64) -> MediaTime {
        MediaTime::from_nanos(self.clock.shows(true_ns).saturating_sub(self.epoch_shows))
    }

    /// The frame the microphone catches at a true time.
    pub fn frame_now(&self, true_ns: u64) -> Option<f64> {
        let (clock, first) = self.microphone?;
        Some((clock.shows(true_ns) as f64 - first as f64) * f64::from(RATE) / 1e9)
    }

    pub fn has_microphone(&self) -> bool {
        self.microphone.is_some()
    }

    pub fn resent(&self) -> u64 {
        self.stats.peers.iter().map(|peer| peer.resent).sum()
    }
}

/// Of a name.
fn salt(name: &str) -> u64 {
    let sum = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
    Dice::new(sum).next()
}
