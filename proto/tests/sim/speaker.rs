//! The speaker: a crystal of its own that asks the shipped `media::playout::Playout` for 10 ms at a time, and what it really played.
//!
//! Each frame of the simulated microphone says its own number, modulo 65536 (1.37 s): what leaves the speaker thus tells when it was
//! caught, whatever the core believes.

use super::harness::Moment;
use super::oscillator::{Base, Oscillator};
use super::source::Source;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::playout::{Config, Playout, Stats};
use eyeline_proto::media::requests::Requests;
use eyeline_proto::sound::{BLOCK_FRAMES, Numbered, RATE};
use eyeline_proto::time::MediaTime;
use std::time::Duration;

/// How far the sound card plays ahead of what it asks for.
const AHEAD: u64 = 20_000_000;

/// The frame of a request that is looked at.
const LOOK: usize = 240;

/// What frame `number` of the microphone sounds like.
pub fn sample(number: u64) -> i16 {
    (number as u16).wrapping_sub(1 << 15) as i16
}

pub struct Speaker {
    playout: Playout,
    card: Requests,
    /// Frames without sound, and times there was none, of those that played before.
    past: (u64, u64),
    clock: Oscillator,
    base: Base,
    /// What its crystal showed at its first request; `None` before.
    first: Option<u64>,
    out: Vec<f32>,
    /// True capture-to-speaker times, nanoseconds, of one frame in each request that could be told.
    pub latencies: Vec<(u64, u64)>,
    blocks: u64,
    insisted: Option<Duration>,
    requests: u64,
    /// One in so many requests is looked at.
    each: u64,
    /// While the level is watched: sums of level less target over some requests, seconds, their number, and the worst mean.
    level: Option<(f64, u32, f64)>,
}

/// Requests over which the level is averaged: it saws by a block, and pictures of a network's jitter are no drift.
const LEVEL_OVER: u32 = 100;

impl Speaker {
    pub fn new(base: Base, clock: Oscillator) -> Speaker {
        let out = vec![0.0; BLOCK_FRAMES * 2];
        let playout = Playout::new(Config::default());
        Speaker {
            playout,
            card: Requests::new(),
            past: (0, 0),
            clock,
            base,
            first: None,
            out,
            latencies: Vec::new(),
            blocks: 0,
            insisted: None,
            requests: 0,
            each: 1,
            level: None,
        }
    }

    /// Asks from this true time on.
    pub fn begin(&mut self, at: u64) -> u64 {
        self.first = Some(self.clock.shows(at));
        at
    }

    /// Whether it asks.
    pub fn is_on(&self) -> bool {
        self.first.is_some()
    }

    /// True time of request `number`.
    pub fn request(&self, number: u64) -> u64 {
        self.clock.when(self.first.expect("it began") + number * 10_000_000)
    }

    pub fn push(&mut self, at: Moment, sound: &Numbered<MediaTime>) {
        self.playout.push(at.local, &sound.inline().expect("a block of ours"));
        self.blocks += 1;
    }

    pub fn set_mapping(&mut self, mapping: Mapping) {
        self.playout.set_mapping(mapping);
    }

    pub fn set_target(&mut self, latency: Option<Duration>) {
        self.playout.set_target(self.insisted.or(latency));
    }

    /// Sound is to be so late whatever the receiver says.
    pub fn insist(&mut self, latency: Option<Duration>) {
        self.insisted = latency;
    }

    /// Capture to speaker, as playout believes.
    pub fn latency(&self) -> Option<Duration> {
        self.playout.stats().latency
    }

    /// Its voice is lent to another track.
    pub fn reset(&mut self) {
        let stats = self.playout.stats();
        self.past = (self.past.0 + stats.concealed, self.past.1 + stats.underflows);
        self.playout.reset();
    }

    /// Sound that was not there when it was due.
    pub fn gap(&self) -> Duration {
        Duration::from_secs_f64((self.past.0 + self.playout.stats().concealed) as f64 / f64::from(RATE))
    }

    /// Looks at one request in so many only.
    pub fn look_at_each(&mut self, requests: u64) {
        self.each = requests;
    }

    /// Watches the level from here on.
    pub fn watch_level(&mut self) {
        self.level = Some((0.0, 0, 0.0));
    }

    /// By how much the mean level of a second was off its target at most, a block's half taken from the target: that is what waits just
    /// after a block came, and on the average half a block of it is played.
    pub fn level_off(&self) -> Duration {
        Duration::from_secs_f64(self.level.map_or(0.0, |(_, _, worst)| worst))
    }

    /// What playout says of itself.
    pub fn stats(&self) -> Stats {
        self.playout.stats()
    }

    /// Times there was nothing to play.
    pub fn underflows(&self) -> u64 {
        self.past.1 + self.playout.stats().underflows
    }

    /// The card asks. `host` is the clock of the machine it is in.
    pub fn fill(&mut self, at: Moment, host: Oscillator, source: Option<&Source>) {
        let before = self.playout.stats();
        let out_true = at.true_ns + AHEAD;
        let leaves = self.base.instant(host.shows(out_true));
        if !self.playout.fill(&self.card.next(at.local, leaves, BLOCK_FRAMES), &mut self.out) {
            self.out.fill(0.0);
        }
        let after = self.playout.stats();
        if let Some((sum, count, worst)) = &mut self.level {
            *sum += after.level.as_secs_f64() - after.target.as_secs_f64() + 0.005;
            *count += 1;
            if *count == LEVEL_OVER {
                *worst = worst.max((*sum / f64::from(LEVEL_OVER)).abs());
                (*sum, *count) = (0.0, 0);
            }
        }
        self.requests += 1;
        if !self.requests.is_multiple_of(self.each) {
            return;
        }
        if self.blocks > 0 && after.concealed == before.concealed && after.underflows == before.underflows {
            self.look(out_true, source);
        }
    }

    fn look(&mut self, out_true: u64, source: Option<&Source>) {
        let value = |frame: usize| f64::from(self.out[frame * 2]) * 32768.0;
        // A ramp: not a fade, a jump, or the place where the numbers wrap.
        let straight = [(40, 120), (120, LOOK), (LOOK, 440)].iter().all(|(from, to)| {
            let frames = (to - from) as f64;
            ((value(*to) - value(*from)) / frames - 1.0).abs() < 0.02
        });
        let Some(source) = source.filter(|_| straight) else { return };
        let Some(caught) = source.frame_now(out_true + LOOK as u64 * 1_000_000_000 / u64::from(RATE)) else { return };
        let frames = (caught - (value(LOOK) + 32768.0)).rem_euclid(65536.0);
        self.latencies.push((out_true, (frames * 1e9 / f64::from(RATE)) as u64));
    }
}
