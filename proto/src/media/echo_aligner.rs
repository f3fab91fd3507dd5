//! The reference of an echo canceller: of what the speaker was given, the 10 ms that belong to a microphone's block.
//!
//! **Problem.** A canceller takes what is played and what is heard in step, 10 ms of each, and finds the room between them by
//! itself. But speaker and microphone are two cards with two crystals, their sound comes in pieces of any size, much earlier than
//! it is played and somewhat later than it was caught, and either may have gaps. A reference that comes *after* its echo cannot
//! be used at all: with sonora the echo then grows louder instead of quieter.
//!
//! **Choice.** Nothing is asked of the order in which pieces arrive. Each frame that was played has a moment at which it leaves
//! the speaker, from its card's own stamps ([`Card`]), each block the moment it was caught, likewise. For a block the frames are
//! taken that leave the speaker [`LEAD`] *later* than the block was caught: so the reference leads its echo by that and the way
//! through the room, for ever. Where the cards drift apart the reading is steered, critically damped ([`SPEED`]), and resampled
//! ([`Resampler`]), as playout is, but sooner: both times are smooth, and nobody hears it. Where it is off by more than
//! [`JUMP_S`], one of the cards had a gap and the reading goes where it belongs at once. What was never played, or is not known
//! yet, is silence.
//!
//! Stamps may be wrong, each card's by its own constant. Where what is wanted is never known in time, the reading goes back until
//! it is ([`WINDOW`]); where the canceller says that an echo comes at once, it is told to go on ([`Aligner::lead_more`]).
//!
//! **Rejected.** A queue between the two (moq's): its fill is the delay, so it must be emptied when it grows, each time a step in
//! the echo's path, and two crystals fill it within minutes. Dropping or doubling single frames for the drift: a step in the path
//! several times a second.
//!
//! Invariant: memory is [`HISTORY`] frames, whatever comes.

use std::time::{Duration, Instant};

use super::clock::{offset, seconds_between};
use super::drift::{Card, MAX_CORRECTION};
use super::resampler::Resampler;
use crate::sound::{BLOCK_FRAMES, RATE};

/// By so much the reference leads what it is an echo of: more than stamps wander, less than a card plays ahead. A sound server
/// that is asked for 10 ms at a time plays 10 to 20 ms ahead of the end of a block, less what its callbacks are late.
pub const LEAD: Duration = Duration::from_millis(5);
/// A reading that is off by more is not steered but moved. Stamps of two cards that run wander by less.
const JUMP_S: f64 = 4e-3;
/// Natural frequency of the steering, rad/s: of 100 ppm it takes a tenth of a millisecond.
const SPEED: f64 = 0.5;
/// Of so many blocks, a second, half were not known in time: that is no accident.
const WINDOW: u32 = 100;
/// The reading goes on by so much where an echo comes at once.
const MORE_S: f64 = 10e-3;
/// What is known in time must be so with so much to spare: the speaker asks for a block at once, and which moment of the
/// microphone's that is wanders through all there are.
const MARGIN_S: f64 = BLOCK_S;
/// Nobody's stamps are wrong by more.
const MOST_LEAD_S: f64 = 0.1;
/// Frames that are kept: of the most a card plays ahead (2 s) and the longest that blocks wait before they come here.
const HISTORY: usize = 5 * RATE as usize / 2;
/// One block, seconds.
const BLOCK_S: f64 = BLOCK_FRAMES as f64 / RATE as f64;

/// One channel, one block.
pub type Reference = [f32; BLOCK_FRAMES];

/// See the module text.
pub struct Aligner {
    played: Played,
    card: Card,
    resampler: Resampler,
    /// How much faster than the microphone's card the speaker's runs.
    learnt: f64,
    /// The frame the resampler takes next.
    next: Option<i64>,
    /// Seconds; see [`LEAD`].
    lead: f64,
    short: Short,
    moves: u64,
    missing: u64,
}

impl Aligner {
    /// Of a speaker that has played nothing yet.
    pub fn new() -> Self {
        Aligner {
            played: Played::new(),
            card: Card::new(RATE),
            resampler: Resampler::of(1),
            learnt: 0.0,
            next: None,
            lead: LEAD.as_secs_f64(),
            short: Short::default(),
            moves: 0,
            missing: 0,
        }
    }

    /// The speaker was opened anew: its frames are counted from the beginning.
    pub fn restart(&mut self) {
        self.played.clear();
        self.card = Card::new(RATE);
        self.learnt = 0.0;
        self.next = None;
        self.lead = LEAD.as_secs_f64();
        self.short = Short::default();
    }

    /// What the speaker was given next, the mean of its channels, of which the first frame leaves it at `at`; `lost`: frames
    /// before it that it was given and nobody told of.
    pub fn push(&mut self, at: Instant, lost: u64, samples: &[f32]) {
        self.played.skip(lost);
        self.card.observe(self.played.end, at);
        self.played.push(samples);
    }

    /// More of what was pushed last.
    pub fn append(&mut self, samples: &[f32]) {
        self.played.push(samples);
    }

    /// The reference for the next block of the microphone, which was caught from `capture` on.
    pub fn take(&mut self, capture: Instant, out: &mut Reference) {
        let Some(wanted) = self.card.frame(offset(capture, (self.lead * 1e9) as i64)) else { return out.fill(0.0) };
        // What the resampler gives next it took so long ago.
        let inside = self.resampler.delay() as i64;
        let late = self.next.map(|next| (wanted - (next - inside) as f64) / f64::from(RATE));
        let faster = match late {
            Some(late) if late.abs() < JUMP_S => {
                self.learnt = (self.learnt + SPEED * SPEED * late * BLOCK_S).clamp(-MAX_CORRECTION, MAX_CORRECTION);
                2.0 * SPEED * late + self.learnt
            }
            _ => {
                self.next = Some(wanted.round() as i64 + inside);
                self.moves += 1;
                self.learnt
            }
        };
        let (played, next, missing) = (&self.played, &mut self.next, &mut self.missing);
        self.resampler.fill(faster, out, |frames| {
            let from = next.unwrap_or_default();
            *missing += played.copy(from, frames);
            *next = Some(from + frames.len() as i64);
        });
        self.go_back();
    }

    /// Where what is wanted is not known in time again and again, its stamps or the microphone's are wrong.
    fn go_back(&mut self) {
        let next = self.next.and_then(|next| u64::try_from(next).ok()).unwrap_or_default();
        if let Some(frames) = self.short.note(self.played.end, next) {
            self.lead -= frames / f64::from(RATE) + MARGIN_S;
            self.next = None;
        }
    }

    /// The echo comes with its reference, or before it: from now on the reference comes earlier, where that is known by then.
    pub fn lead_more(&mut self, capture: Instant) {
        let more = MORE_S;
        if self.lead < MOST_LEAD_S && self.ahead(capture).is_some_and(|ahead| ahead > BLOCK_S + more + MARGIN_S) {
            self.lead += more;
            self.next = None;
        }
    }

    /// How often the reading was moved instead of steered, the first time included.
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Frames that were wanted and not known yet, or no more.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// By how much what is known of the speaker is ahead of what is taken for a block caught at `capture`, in seconds: below the
    /// length of a block something is missing.
    fn ahead(&self, capture: Instant) -> Option<f64> {
        let end = self.card.instant(self.played.end)?;
        Some(seconds_between(end, capture) - self.lead)
    }
}

/// What was wanted and not known in time, of the last blocks.
#[derive(Debug, Default)]
struct Short {
    /// Frames that were known at the last.
    known: u64,
    blocks: u32,
    /// Those that lacked something, and how much all of them.
    lacking: u32,
    frames: u64,
}

impl Short {
    /// For a block everything before `wanted` was wanted, and everything before `known` is. Says how much half of all blocks and
    /// more lack, in frames. A speaker that stands still says nothing.
    fn note(&mut self, known: u64, wanted: u64) -> Option<f64> {
        let plays = std::mem::replace(&mut self.known, known) < known;
        self.blocks += 1;
        if plays && wanted > known {
            self.lacking += 1;
            self.frames += wanted - known;
        }
        if self.blocks < WINDOW {
            return None;
        }
        let Short { lacking, frames, .. } = std::mem::replace(self, Short { known, ..Short::default() });
        (lacking > WINDOW / 2).then(|| frames as f64 / f64::from(lacking))
    }
}

impl Default for Aligner {
    fn default() -> Self {
        Self::new()
    }
}

/// The newest [`HISTORY`] frames.
struct Played {
    /// Frame `n` is at `n % HISTORY`.
    samples: Box<[f32]>,
    /// Frames so far.
    end: u64,
}

impl Played {
    fn new() -> Self {
        Played { samples: vec![0.0; HISTORY].into_boxed_slice(), end: 0 }
    }

    fn clear(&mut self) {
        self.samples.fill(0.0);
        self.end = 0;
    }

    /// So many frames of silence.
    fn skip(&mut self, frames: u64) {
        for _ in 0..frames.min(HISTORY as u64) {
            self.push(&[0.0]);
        }
        self.end += frames.saturating_sub(HISTORY as u64);
    }

    fn push(&mut self, samples: &[f32]) {
        for sample in samples {
            self.samples[(self.end % HISTORY as u64) as usize] = *sample;
            self.end += 1;
        }
    }

    /// Fills `out` from frame `from` on; says of how many nothing is known.
    fn copy(&self, from: i64, out: &mut [f32]) -> u64 {
        let mut unknown = 0;
        for (sample, at) in out.iter_mut().zip(from..) {
            let known = u64::try_from(at).ok().filter(|at| *at < self.end && self.end - at <= HISTORY as u64);
            *sample = known.map_or(0.0, |at| self.samples[(at % HISTORY as u64) as usize]);
            unknown += u64::from(known.is_none());
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a frame is its number, started again so often that it stays exact.
    const TURN: u64 = 96_000;

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(1000)
    }

    fn noise(n: u64) -> f64 {
        let x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    /// Speaker and microphone, each with its own crystal, and what their stamps say.
    struct Cards {
        aligner: Aligner,
        start: Instant,
        /// Frames a second.
        speaker: f64,
        microphone: f64,
        /// How far ahead the speaker is given sound, and how late blocks are brought, seconds.
        ahead: f64,
        behind: f64,
        /// How far stamps wander, and by how much the speaker's and the microphone's are wrong.
        wander: f64,
        wrong: (f64, f64),
        /// The speaker stands still, from one moment to another.
        stall: (f64, f64),
        clock: Card,
        given: u64,
        caught: u64,
    }

    impl Cards {
        fn new(ppm: f64) -> Self {
            Cards {
                aligner: Aligner::new(),
                start: start(),
                speaker: 48_000.0 * (1.0 + ppm * 1e-6),
                microphone: 48_000.0 * (1.0 - ppm * 1e-6),
                ahead: 0.03,
                behind: 0.005,
                wander: 2e-3,
                wrong: (0.0, 0.0),
                stall: (f64::MAX, f64::MAX),
                clock: Card::new(RATE),
                given: 0,
                caught: 0,
            }
        }

        fn at(&self, seconds: f64) -> Instant {
            offset(self.start, (seconds * 1e9) as i64)
        }

        /// When a frame truly leaves the speaker.
        fn leaves(&self, frame: u64) -> f64 {
            let at = frame as f64 / self.speaker;
            if at >= self.stall.0 { at + self.stall.1 - self.stall.0 } else { at }
        }

        /// One block: by how much the frame that is taken for its middle leaves the speaker later than that was caught, seconds.
        /// None where the numbers start again, or there is silence.
        fn block(&mut self) -> Option<f64> {
            let now = (self.caught + 480) as f64 / self.microphone + self.behind;
            while self.leaves(self.given) - self.ahead <= now {
                let samples: Vec<f32> = (self.given..self.given + 480).map(|n| (n % TURN) as f32 + 1.0).collect();
                let stamp = self.leaves(self.given) + self.wrong.0 + self.wander * noise(self.given);
                let at = self.at(stamp);
                self.aligner.push(at, 0, &samples);
                self.given += 480;
            }
            let stamp = self.caught as f64 / self.microphone + self.wrong.1 + self.wander * noise(self.caught + 7);
            self.clock.observe(self.caught, self.at(stamp));
            let mut out = [0.0; BLOCK_FRAMES];
            self.aligner.take(self.clock.instant(self.caught).unwrap(), &mut out);
            let middle = (self.caught + 240) as f64 / self.microphone;
            self.caught += 480;
            let value = f64::from(out[240]) - 1.0;
            let smooth = out.windows(2).all(|w| (w[1] - w[0] - 1.0).abs() < 0.1);
            let around = (middle * self.speaker) as i64 - value as i64;
            let turns = (around as f64 / TURN as f64).round();
            smooth.then(|| self.leaves((value + turns * TURN as f64) as u64) - middle)
        }

        fn blocks(&mut self, seconds: u64) -> Vec<f64> {
            (0..seconds * 100).filter_map(|_| self.block()).collect()
        }
    }

    fn spread(values: &[f64]) -> (f64, f64) {
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(*v), most.max(*v)))
    }

    #[test]
    fn for_hours_the_reference_leads_its_echo_by_five_milliseconds_whatever_two_crystals_do() {
        for ppm in [-200.0, 0.0, 200.0] {
            let mut cards = Cards::new(ppm);
            cards.blocks(120);
            let seconds = if std::env::var_os("EYELINE_SIM_LONG").is_some() { 6 * 3600 } else { 1200 };
            let leads = cards.blocks(seconds);
            let (least, most) = spread(&leads);
            println!("{ppm} ppm: {:.3} to {:.3} ms, moved {} times", least * 1e3, most * 1e3, cards.aligner.moves());
            assert!(leads.len() as u64 > seconds * 97 && least > 4.5e-3 && most < 5.5e-3);
            assert_eq!((cards.aligner.moves(), cards.aligner.missing()), (1, 0));
        }
    }

    #[test]
    fn from_the_first_block_on_it_comes_before_its_echo() {
        for ppm in [-200.0, 200.0] {
            let mut cards = Cards::new(ppm);
            cards.wander = 6e-3;
            let (least, _) = spread(&cards.blocks(60));
            assert!(least > 1e-3, "{least}");
        }
    }

    #[test]
    fn a_speaker_that_stood_still_is_followed_at_once() {
        let mut cards = Cards::new(50.0);
        cards.stall = (30.0, 30.3);
        cards.blocks(31);
        let (least, most) = spread(&cards.blocks(10));
        assert!(least > 3e-3 && most < 7e-3, "{least} to {most}");
    }

    #[test]
    fn a_gap_in_what_is_told_of_the_speaker_is_silence_and_moves_nothing() {
        let mut cards = Cards::new(0.0);
        cards.blocks(20);
        let (at, lost) = (cards.leaves(cards.given + 24_000), 24_000);
        cards.given += lost;
        let frame = cards.given;
        cards.aligner.push(cards.at(at), lost, &[(frame % TURN) as f32 + 1.0]);
        cards.given += 1;
        let moves = cards.aligner.moves();
        let (least, most) = spread(&cards.blocks(10)[100..]);
        assert!(least > 4e-3 && most < 6e-3 && cards.aligner.moves() == moves, "{least} to {most}");
    }

    #[test]
    fn stamps_that_want_more_than_is_known_in_time_are_believed_so_far_as_they_can_be() {
        let mut cards = Cards::new(50.0);
        // Of the microphone: as if it had heard 60 ms later than it did.
        cards.wrong = (0.0, 0.06);
        cards.blocks(5);
        let missing = cards.aligner.missing();
        let (least, most) = spread(&cards.blocks(100));
        assert_eq!(cards.aligner.missing(), missing, "all that is wanted is known from now on");
        assert!(least > 0.015 && most < 0.06, "{least} to {most}");
    }

    #[test]
    fn who_is_told_that_echoes_come_at_once_leads_more_but_never_by_what_is_not_known() {
        let mut cards = Cards::new(50.0);
        // Of the speaker: as if it played 40 ms later than it does.
        (cards.wrong, cards.ahead) = ((0.04, 0.0), 0.03);
        let before = cards.blocks(10);
        assert!(*before.last().unwrap() < -0.02, "it is too late");
        for _ in 0..20 {
            let caught = cards.at(cards.caught as f64 / cards.microphone);
            cards.aligner.lead_more(caught);
            cards.blocks(1);
        }
        let missing = cards.aligner.missing();
        let (least, most) = spread(&cards.blocks(10));
        assert!(least > 5e-3 && most < 0.1 && cards.aligner.missing() == missing, "{least} to {most}");
    }

    #[test]
    fn nothing_known_is_silence() {
        let mut aligner = Aligner::new();
        let mut out = [1.0; BLOCK_FRAMES];
        aligner.take(start(), &mut out);
        assert!(out.iter().all(|sample| *sample == 0.0));
        // Of a speaker that was opened anew nothing old is given.
        aligner.push(start(), 0, &[0.5; 480]);
        aligner.restart();
        aligner.push(start(), u64::MAX / 4, &[0.0; 480]);
        aligner.take(start(), &mut out);
        assert!(out.iter().all(|sample| *sample == 0.0));
    }
}
