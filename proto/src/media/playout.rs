//! When each sample is heard: blocks from the network in, frames for the sound card out.
//!
//! **Problem.** Blocks come when the network likes, the card asks when it likes, four clocks run at four speeds (two sound
//! cards, two computers), and sound must come out early, whole, and at a known time after it was caught, for days.
//!
//! **Choice.** One number is steered: the *latency* of the frame about to be played, from its capture time (through
//! [`clock::Mapping`](super::clock::Mapping)) to the moment it leaves the speaker (the card's own, from
//! [`requests::Requests`](super::requests::Requests)). Neither depends on when anything arrived, so jitter does not enter the loop.
//! * **Target.** What was seen of arrivals (lateness of each block against its capture) and of requests (how far ahead and how
//!   much the card asks) is kept as [`jitter::Lateness`](super::jitter::Lateness). The target is the latency at which
//!   the second worst of both in ten seconds still meet, but never less than a buffer of [`Config::floor`]; it rises at once and
//!   falls by 3 ms/s, but at once where it is 100 ms too high.
//! * **Small errors** (60 ms late, 25 early) are resampled away, ±0.5 % at most.
//! * **Large ones** are jumped over or waited for with a crossfade: after a stall the backlog is shed at once, if there is one.
//! * **Nothing there**: fade out, wait until a block more than the next request is there. It is played from its beginning, late
//!   as it is: an underflow alone never drops sound. If the target rose meanwhile, waiting goes on until it is met: a gap that
//!   is there anyway pays for it.
//! * **A hole** (lost block, absent microphone) is played at its own length, concealed, so time stays right.
//!
//! Until the clock is known a local one is assumed from the first block: everything works but the latency's absolute value.
//! When the mapping changes, all that was measured against the old one is moved with it; the listener hears nothing.
//!
//! **Rejected.** Steering the fill of the buffer (saws by a block and by jitter, knows no lip sync); time-stretching (NetEq:
//! colours music, and at 30 ms has nothing left to win); dropping late blocks (turns every underflow into two gaps).
//!
//! One playout is one *voice*: what one sender says. Several play on one card, each with its own buffer, clock and latency; what they
//! all must know of the card comes with each request. A voice with nothing to say costs next to nothing: silence is not resampled.
//!
//! Invariant: after [`Playout::new`] nothing here allocates, frees, locks or blocks; it is driven from the audio callback.

use std::time::{Duration, Instant};

use super::audio_buffer::{AudioBuffer, Frame, Pushed};
use super::clock::{Mapping, offset, seconds_between};
use super::conceal::Concealer;
use super::drift::Controller;
use super::jitter::Lateness;
use super::requests::Request;
use super::resampler::{CHANNELS, Resampler};
use crate::sound::{BLOCK_FRAMES, Inline, Numbered, RATE};
use crate::time::MediaTime;

/// One block, seconds.
const BLOCK_S: f64 = BLOCK_FRAMES as f64 / RATE as f64;
/// Between what must meet: a wake-up of this thread, the resampler's rounding.
const MARGIN_S: f64 = 2e-3;
/// And so much of what they vary: the worst is still to come.
const SPREAD_MARGIN: f64 = 0.125;
/// How fast the target falls. The resampler could do 5 ms/s; below that it never saturates.
const FALL: f64 = 3e-3;
/// A target that would have to fall for longer than half a minute falls at once.
const FAR_S: f64 = 0.1;
/// An error beyond this is jumped over: it would be heard as late for longer than 12 s.
const JUMP_S: f64 = 60e-3;
/// Sound that much before its target is held: the buffer has just been too small, and would be for another five seconds.
const HOLD_S: f64 = 25e-3;
/// In the beginning, while the target is being learnt and nobody listens yet, this much is enough for either.
const BEGINNING_S: f64 = 0.5;
const BEGINNING_OFF_S: f64 = 4e-3;
/// A jump is worth a crossfade only if it gains so much.
const WORTH_S: f64 = 20e-3;
/// Sound older than its target by more is not begun with.
const STALE_S: f64 = 0.2;
/// For so long late sound waits for the block after it.
const PATIENCE_S: f64 = 0.03;
/// A mapping that moves by more is another clock: what was measured before says nothing.
const OTHER_CLOCK_S: f64 = 1.0;
/// A block that more than so many later ones overtook was lost and mended: to wait for its like would make all sound as late.
const OVERTAKEN: u64 = 2;
/// After so many frames of silence the resampler holds nothing else: more than twice its taps.
const SILENT: u32 = 480;

/// What playout may be told beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Least buffer, whatever the network is like. 30 ms: the block being filled, the block being taken, 10 ms of jitter. Not 20: what
    /// a card needs beyond that is added anyway, so it gains 3 ms, and paths that were clean until then (simulator: `mtu_1500`,
    /// `nat_rebinding`) have a gap of 14 ms where the first late block comes.
    pub floor: Duration,
    /// Most buffer that jitter can ask for; beyond it sound breaks up rather than fall behind a conversation.
    pub ceiling: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { floor: Duration::from_millis(30), ceiling: Duration::from_millis(500) }
    }
}

/// What playout is doing. Counters only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Sound waiting when the card last asked.
    pub level: Duration,
    /// What should be waiting just after a block came.
    pub target: Duration,
    /// Capture to speaker, once the sender's clock is known and while sound is played.
    pub latency: Option<Duration>,
    /// What that should be.
    pub target_latency: Option<Duration>,
    /// Jitter of arrivals made ready for.
    pub jitter: Duration,
    /// Consumed faster than nominal by so much.
    pub correction_ppm: f64,
    /// The card is faster than nominal by so much.
    pub card_ppm: f64,
    /// Times the buffer ran empty.
    pub underflows: u64,
    /// Frames played with no sound to play, since the first sound.
    pub concealed: u64,
    /// Blocks that came after their place was played.
    pub late: u64,
    /// Blocks that were there already.
    pub duplicates: u64,
    /// Times the buffer was overrun and emptied.
    pub overflows: u64,
    /// Frames skipped to get back to the target.
    pub shed: u64,
}

/// What the resampler draws from.
struct Source {
    buffer: AudioBuffer,
    concealer: Concealer,
    playing: bool,
    heard: bool,
    /// Frames of silence given out since the last that was none.
    silent: u32,
    underflows: u64,
    concealed: u64,
}

impl Source {
    fn new() -> Self {
        Source {
            buffer: AudioBuffer::new(),
            concealer: Concealer::new(),
            playing: false,
            heard: false,
            silent: SILENT,
            underflows: 0,
            concealed: 0,
        }
    }

    /// As new, in the memory there is.
    fn reset(&mut self) {
        self.buffer.clear();
        self.concealer.reset();
        (self.playing, self.heard, self.silent) = (false, false, SILENT);
        (self.underflows, self.concealed) = (0, 0);
    }

    /// Whether nothing but silence is left in the resampler, and nothing else comes.
    fn is_silent(&self) -> bool {
        !self.playing && self.silent >= SILENT
    }

    /// As many frames of nothing.
    fn pass(&mut self, frames: usize) {
        self.concealed += if self.heard { frames as u64 } else { 0 };
    }

    fn pull(&mut self, out: &mut [f32]) {
        for frame in out.chunks_exact_mut(CHANNELS) {
            let sound = match self.playing.then(|| self.buffer.read()) {
                Some(Frame::Sound(sound)) => {
                    self.heard = true;
                    Some(sound)
                }
                Some(Frame::Hole) | None => None,
                Some(Frame::Empty) => {
                    self.playing = false;
                    self.underflows += 1;
                    None
                }
            };
            self.concealed += u64::from(self.heard && sound.is_none());
            let out = self.concealer.frame(sound);
            self.silent = if out == [0.0; CHANNELS] { self.silent.saturating_add(1) } else { 0 };
            frame.copy_from_slice(&out);
        }
    }
}

pub struct Playout {
    config: Config,
    source: Source,
    resampler: Resampler,
    controller: Controller,
    mapping: Option<Mapping>,
    /// Whether the mapping came from pings.
    trusted: bool,
    arrivals: Lateness,
    /// What the card asked for last.
    request: Option<Request>,
    /// How long sound has been played since the network, the card or the sender was new, seconds.
    since: f64,
    /// How long sound has been there and was not begun with, seconds.
    waited: f64,
    /// Latency aimed at, seconds.
    target: Option<f64>,
    wanted: Option<Duration>,
    stats: Stats,
}

impl Playout {
    /// Silent, and knows nothing.
    pub fn new(config: Config) -> Self {
        Playout {
            config,
            source: Source::new(),
            resampler: Resampler::new(),
            controller: Controller::new(),
            mapping: None,
            trusted: false,
            arrivals: Lateness::new(),
            request: None,
            since: 0.0,
            waited: 0.0,
            target: None,
            wanted: None,
            stats: Stats::default(),
        }
    }

    /// A block that came at `now` (when it came, not when it is handed over here).
    pub fn push(&mut self, now: Instant, sound: &Numbered<MediaTime, Inline>) {
        let capture = sound.block.capture;
        let mapping = *self.mapping.get_or_insert_with(|| Mapping::assumed(now, capture));
        let late = seconds_between(now, mapping.to_local(capture)) - BLOCK_S;
        let overtaken = self.source.buffer.newest().is_some_and(|newest| newest > sound.number.saturating_add(OVERTAKEN));
        match self.source.buffer.push(sound) {
            Pushed::Kept => {}
            Pushed::Duplicate => {
                self.stats.duplicates += 1;
                return; // the first copy said when it came
            }
            Pushed::Late => self.stats.late += 1,
            Pushed::Restarted => {
                self.stats.overflows += 1;
                self.begin_anew();
                if !self.trusted {
                    self.mapping = Some(Mapping::assumed(now, capture));
                    return;
                }
            }
        }
        if !overtaken {
            self.arrivals.record(now, late);
        }
    }

    fn begin_anew(&mut self) {
        self.source.playing = false;
        // Against the sender's clock what was measured holds on; against one assumed from the first block it says nothing.
        if !self.trusted {
            self.arrivals = Lateness::new();
        }
        (self.target, self.since) = (None, 0.0);
        self.controller.moved();
    }

    /// No block below this number is to be heard: its sender went to another place. What comes next begins as after a silence.
    pub fn flush(&mut self, first: u64) {
        self.source.buffer.pass_to(first);
        (self.source.playing, self.waited) = (false, 0.0);
        self.controller.moved();
    }

    /// As new, for another sender, in the memory there is.
    pub fn reset(&mut self) {
        self.source.reset();
        self.resampler.reset();
        self.controller = Controller::new();
        (self.mapping, self.trusted, self.arrivals, self.request) = (None, false, Lateness::new(), None);
        (self.since, self.waited, self.target, self.wanted) = (0.0, 0.0, None, None);
        self.stats = Stats::default();
    }

    /// How the sender's clock runs, as pings say.
    pub fn set_mapping(&mut self, mapping: Mapping) {
        if let (Some(old), Some(capture)) = (self.mapping, self.source.buffer.newest_time()) {
            let earlier = seconds_between(old.to_local(capture), mapping.to_local(capture));
            if self.trusted && earlier.abs() > OTHER_CLOCK_S {
                self.arrivals = Lateness::new();
                self.target = None;
            } else {
                self.arrivals.shift(earlier);
                self.target = self.target.map(|target| target + earlier);
            }
        }
        (self.mapping, self.trusted) = (Some(mapping), true);
    }

    /// Sound is to leave the speaker `latency` after its capture, or as soon after that as its jitter allows; `None`: as soon
    /// as its jitter allows.
    pub fn set_target(&mut self, latency: Option<Duration>) {
        let seconds = |latency: Option<Duration>| latency.map_or(0.0, |latency| latency.as_secs_f64());
        // A large step is the user's, and is taken at once; a small one is followed as jitter is.
        if (seconds(self.wanted) - seconds(latency)).abs() > JUMP_S {
            self.target = None;
        }
        self.wanted = latency;
    }

    /// Fills `out`, interleaved stereo, with this voice's part of a request of as many frames. False where that is silence: then
    /// `out` is left as it was.
    pub fn fill(&mut self, request: &Request, out: &mut [f32]) -> bool {
        let passed = request.seconds();
        self.request = Some(*request);
        self.retarget(passed);
        self.stats.level = self.source.buffer.level();
        let faster = self.steer(request.at, passed);
        if self.source.is_silent() {
            self.source.pass(request.frames);
            return false;
        }
        let source = &mut self.source;
        self.resampler.fill(faster, out, |input| source.pull(input));
        true
    }

    /// Frames of the resampler, seconds.
    fn delay(&self) -> f64 {
        self.resampler.delay() as f64 / f64::from(RATE)
    }

    /// Least lateness of arrivals and least demand of requests: what no buffer is needed for.
    fn base(&self) -> Option<f64> {
        Some(self.arrivals.least()? + self.request?.least)
    }

    fn retarget(&mut self, passed: f64) {
        let (Some(base), Some(arrivals), Some(request)) = (self.base(), self.arrivals.ready_for(), self.request) else { return };
        let requests = request.ready_for;
        let floor = base + self.config.floor.as_secs_f64() - BLOCK_S;
        let ceiling = base + self.config.ceiling.as_secs_f64() - BLOCK_S;
        let spread = arrivals + requests - base;
        let meet = arrivals + requests + BLOCK_S + self.delay() + MARGIN_S + spread * SPREAD_MARGIN;
        let mut least = meet.min(ceiling).max(floor);
        if let (Some(wanted), true) = (self.wanted, self.trusted) {
            least = least.max(wanted.as_secs_f64());
        }
        // A path that has become far better is not waited for: the window has remembered it for ten seconds, and pictures wait for the sound.
        let fallen = |old: f64| if old - least > FAR_S { least } else { least.max(old - FALL * passed) };
        self.target = Some(self.target.map_or(least, fallen));
    }

    /// Decides from where to go on at `at`, and how fast.
    fn steer(&mut self, at: Instant, passed: f64) -> f64 {
        self.stats.latency = None;
        let (Some(mapping), Some(target)) = (self.mapping, self.target) else { return self.controller.coast(passed) };
        let out = offset(at, (self.delay() * 1e9) as i64);
        let buffer = &mut self.source.buffer;
        let head = if self.source.playing { buffer.head_time() } else { buffer.first_sound() };
        let (Some(head), Some(newest)) = (head, buffer.newest_time()) else { return self.controller.coast(passed) };
        let latency = |capture| seconds_between(out, mapping.to_local(capture));
        let late = latency(head) - target;
        self.since += if self.source.playing { passed } else { 0.0 };
        if self.trusted && self.source.playing {
            self.stats.latency = Some(Duration::from_secs_f64((late + target).clamp(0.0, 1e6)));
        }
        if !self.source.playing && latency(newest) > target + STALE_S {
            return self.controller.coast(passed);
        }
        // Late sound that has only just come would be followed by a gap, and another: a path that got longer brings no more than
        // it did. One block in hand ends that; a stall's burst brings it at once, and a stream's last block does not wait for it.
        let in_hand = latency(head) - latency(newest) >= passed + BLOCK_S + MARGIN_S;
        if !self.source.playing && late >= 0.0 && !in_hand && self.waited < PATIENCE_S {
            self.waited += passed;
            return self.controller.coast(passed);
        }
        // As far as the target says, and no further than there is sound for this request and the next block's coming.
        let spare = latency(head) - latency(newest) - passed - BLOCK_S - MARGIN_S;
        let jump = late.min(spare);
        let (too_late, too_early, worth) = match self.since < BEGINNING_S {
            true => (BEGINNING_OFF_S, BEGINNING_OFF_S, BEGINNING_OFF_S),
            false => (JUMP_S, HOLD_S, WORTH_S),
        };
        if late > too_late && jump > worth {
            let to = head.saturating_add(Duration::from_secs_f64(jump.clamp(0.0, 1e6)));
            self.source.concealer.cut();
            self.stats.shed += buffer.seek(to);
        } else if !self.source.playing {
            buffer.skip_hole();
            buffer.hold((-late * f64::from(RATE)) as i64);
        } else if late < -too_early {
            buffer.hold((-late * f64::from(RATE)) as i64);
        } else {
            return self.controller.update(passed, late);
        }
        (self.source.playing, self.waited) = (true, 0.0);
        self.controller.moved();
        self.controller.coast(passed)
    }

    /// What it is doing now.
    pub fn stats(&self) -> Stats {
        let seconds = |s: f64| Duration::from_secs_f64(s.clamp(0.0, 1e6));
        let target = self.target.zip(self.base()).map_or(0.0, |(target, base)| target - base + BLOCK_S);
        let jitter = self.arrivals.ready_for().zip(self.arrivals.least()).map_or(0.0, |(high, least)| high - least);
        Stats {
            target: seconds(target),
            target_latency: self.target.filter(|_| self.trusted).map(seconds),
            jitter: seconds(jitter),
            correction_ppm: self.controller.ppm(),
            card_ppm: self.request.map_or(0.0, |request| request.card_ppm),
            underflows: self.source.underflows,
            concealed: self.source.concealed,
            ..self.stats
        }
    }
}

#[cfg(test)]
#[path = "playout_tests.rs"]
mod tests;
