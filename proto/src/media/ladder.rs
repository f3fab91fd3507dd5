//! What a picture may cost, and how to make it cost that: quality, then size, then frame rate.
//!
//! **Problem.** The path takes so many bytes a second; a JPEG encoder is told a quality and answers with bytes that depend on the
//! picture. **Choice.** The bytes of the last pictures, put back to what they would have been at quality 80 and full size,
//! predict the next one: relative costs of qualities and sizes hardly depend on the picture ([`COSTS`]). The quality is solved
//! for. Below [`FLOOR`] squares show, and a smaller picture scaled up looks better than squares: then the size goes down a step,
//! and up again when the larger one would have [`RISE`] (the distance between the two keeps it from swinging). At the smallest
//! size pictures are left out, evenly. **Rejected.** A control loop on the quality alone: takes seconds to settle and swings with
//! each cut of the scene; encoding twice: costs the latency we are after.
//!
//! Where a picture is only what changed, its size and rate follow the share that is coded mostly, and its quality what this one
//! has: that is known before it is encoded. What was not spent is saved for a picture of which more changed, up to [`SAVED`]
//! pictures' worth; what was spent beyond that is taken off the next ones. What stands still is sent once more, better, from what
//! could not be saved, where all that changed has its best quality; what that takes says nothing of what MCUs cost.
//!
//! What becomes of a camera's own JPEG, [`Foreign`] says.

use super::foreign::{Fitness, Foreign, Passthrough, Way};
use super::rate_control::Bitrate;
use std::time::Duration;

/// Relative bytes of qualities: `cargo bench --bench quality`, medians of a photograph, frames of films, fractals and test
/// pictures, 4:2:0.
const COSTS: [(u8, f64); 14] = [
    (5, 0.25),
    (10, 0.31),
    (20, 0.40),
    (30, 0.47),
    (40, 0.54),
    (50, 0.61),
    (60, 0.69),
    (70, 0.82),
    (75, 0.89),
    (80, 1.0),
    (85, 1.13),
    (90, 1.39),
    (95, 1.84),
    (100, 3.7),
];

/// Below this quality a size less is tried.
const FLOOR: f64 = 30.0;

/// A size more is tried when it would have this quality.
const RISE: f64 = 45.0;

/// The least quality, at the smallest size.
const LEAST: f64 = 10.0;

/// Sizes in eighths of the picture's side.
const SIZES: [u8; 5] = [8, 6, 4, 3, 2];

/// Bytes grow with the side to this power (the same bench): less than the area, for a smaller picture has more detail a pixel.
const POWER: f64 = 1.7;

/// What pictures that were only what changed left unspent is kept up to so many pictures' worth, and what they took too much up
/// to so many; and no picture has less than this part of its own, whatever those before it took.
const SAVED: f64 = 1.5;
const OWED: f64 = 4.0;
const LEAST_SHARE: f64 = 0.25;

/// What is refined is so much better than the best, and within these, but never worse than it. From 80 to 92 a clean MCU costs
/// half as much again; beyond 97 it is mostly rounding that is coded.
const FINER: u8 = 3;
const FINE: (u8, u8) = (92, 97);

/// The share that is coded is averaged over so many pictures; of less than [`TELLS`] the bytes say little of the rest.
const SHARES: f64 = 8.0;
const TELLS: f64 = 0.02;

/// At most so many pictures are left out for each that is sent.
const MOST_SKIPPED: u32 = 14;

/// How the next picture is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// JPEG quality.
    pub quality: u8,
    /// Side in eighths, 2 to 8.
    pub eighths: u8,
    /// One picture of so many is sent.
    pub every: u32,
    /// What becomes of a camera's own JPEG.
    pub foreign: Way,
}

pub struct Ladder {
    best: u8,
    /// Only the quality may change: a film skips nothing and keeps its size.
    quality_only: bool,
    target: Option<Bitrate>,
    /// Bytes of a picture at quality 80 and full size.
    whole: Option<f64>,
    /// The share of a picture that is coded, a mean over some, and that of the last picture.
    share: f64,
    last_share: f64,
    /// What the pictures so far may have taken and did not, bytes; below 0 they took more.
    saved: f64,
    foreign: Foreign,
    rung: usize,
    period: Duration,
    /// Pixels of a picture at full size, 0 before the first.
    pixels: u64,
}

impl Ladder {
    /// Quality `best` while nothing is held back; `period` from picture to picture, as far as it is known; `passthrough` is what
    /// may become of a camera's JPEGs.
    pub fn new(best: u8, quality_only: bool, period: Duration, passthrough: Passthrough) -> Self {
        let period = if period.is_zero() { Duration::from_micros(33_333) } else { period };
        let (best, pixels) = (best.max(1), 0);
        // A film is never worse than it is.
        let keeps = quality_only && passthrough == Passthrough::Auto;
        let (target, whole, foreign) = (None, None, Foreign::new(if keeps { Passthrough::On } else { passthrough }));
        let (share, last_share, saved, rung) = (1.0, 1.0, 0.0, 0);
        Ladder { best, quality_only, target, whole, share, last_share, saved, foreign, rung, period, pixels }
    }

    /// The quality of a picture while nothing is held back.
    pub fn best(&self) -> u8 {
        self.best
    }

    /// What the path takes for pictures; `None` for no limit.
    pub fn set_target(&mut self, target: Option<Bitrate>) {
        self.target = target;
    }

    /// The time between two pictures as the source gives them.
    pub fn note_period(&mut self, period: Duration) {
        if !period.is_zero() && period < Duration::from_secs(1) {
            self.period = (self.period * 15 + period) / 16;
        }
    }

    /// Full size is so many pixels from now on: what is known of the bytes of another size is kept.
    pub fn set_pixels(&mut self, pixels: u64) {
        let before = std::mem::replace(&mut self.pixels, pixels);
        self.whole = self.whole.map(|whole| whole * scaled(pixels, before));
    }

    /// A camera gave a JPEG of so many bytes and pixels.
    pub fn note_foreign(&mut self, bytes: usize, pixels: u64) {
        self.foreign.note(bytes, pixels);
    }

    /// Whether a picture is left out for what those before it took: where what changed of a camera's JPEGs is never encoded anew,
    /// a cut of the scene is paid back so. Each that is left out pays a picture's worth.
    pub fn pays(&mut self, step: Step) -> bool {
        let Some(budget) = self.budget() else { return false };
        let pays = step.foreign == Way::Changed && self.foreign.is_never_anew() && self.saved < -budget;
        self.saved += if pays { budget } else { 0.0 };
        pays
    }

    /// Of a camera's JPEG this share of the bytes changed; the path takes them as they are, or they are better encoded anew.
    pub fn affords(&self, share: f64) -> bool {
        let (Some(budget), Some((whole, _))) = (self.budget(), self.foreign.whole()) else { return true };
        self.foreign.is_never_anew() || share * whole <= budget + self.saved.max(0.0)
    }

    /// Of a camera's JPEG this share of the bytes changed. As they are, they took so many; `None` where they were encoded anew.
    pub fn note_changed(&mut self, step: Step, share: f64, bytes: Option<usize>) {
        let whole = self.foreign.whole().map(|(whole, _)| whole);
        let of_bytes = bytes.zip(whole).map(|(bytes, whole)| bytes as f64 / whole);
        self.foreign.note_changed(of_bytes.unwrap_or(share));
        if let Some(bytes) = bytes {
            self.save(step, bytes);
        }
    }

    /// A picture of quality and size `step` took so many bytes.
    pub fn note_encoded(&mut self, step: Step, bytes: usize) {
        let whole = bytes as f64 / (cost(f64::from(step.quality)) * size_cost(step.eighths));
        // A new scene is believed at once when it costs more: it is what fills the queue.
        self.whole = Some(self.whole.map_or(whole, |mean| if whole > mean { whole } else { mean + (whole - mean) / 4.0 }));
        (self.share, self.last_share, self.saved) = (1.0, 1.0, 0.0);
    }

    /// A picture of quality and size `step` of which only this share was coded took so many bytes, and so many more for what was
    /// refined.
    pub fn note_part(&mut self, step: Step, share: f64, bytes: usize, refined: usize) {
        // A cut, or a picture of another size, is one of its kind.
        let usual = share.min(std::mem::replace(&mut self.last_share, share));
        self.share += (usual - self.share) / SHARES;
        if share >= TELLS {
            let whole = bytes as f64 / (share * cost(f64::from(step.quality)) * size_cost(step.eighths));
            self.whole = Some(self.whole.map_or(whole, |mean| mean + (whole - mean) / 4.0));
        }
        self.save(step, bytes + refined);
    }

    fn save(&mut self, step: Step, bytes: usize) {
        if let Some(budget) = self.budget() {
            let saved = self.saved + budget * f64::from(step.every) - bytes as f64;
            self.saved = saved.clamp(-OWED * budget, SAVED * budget);
        }
    }

    /// The quality of a picture that is encoded otherwise as `step` says and of which this share is coded.
    pub fn quality_of(&self, step: Step, share: f64) -> u8 {
        let (Some(budget), Some(whole)) = (self.budget(), self.expected()) else { return step.quality };
        let may = (budget + self.saved).max(LEAST_SHARE * budget);
        self.within(may, whole * size_cost(step.eighths) * share.max(TELLS))
    }

    /// The quality of all of a picture beside this share of it that is coded for others: for each picture anew, so nothing is
    /// saved for it.
    pub fn quality_beside(&self, step: Step, share: f64) -> u8 {
        let (Some(budget), Some(whole)) = (self.budget(), self.whole) else { return step.quality };
        self.within(budget, whole * size_cost(step.eighths) * (1.0 + share))
    }

    /// The quality at which what costs so many bytes at quality 80 takes no more than it may.
    fn within(&self, may: f64, costs: f64) -> u8 {
        let best = f64::from(self.best);
        quality(may / costs).min(best).max(LEAST.min(best)) as u8
    }

    /// The quality of what is refined.
    pub fn finest(&self) -> u8 {
        (self.best + FINER).clamp(FINE.0, FINE.1).max(self.best)
    }

    /// Whether the size may still follow that less of each picture is coded than of those before.
    pub fn settles(&self) -> bool {
        self.share > TELLS
    }

    /// Whether there is room to refine all of a picture as `step` says, in which nothing changes, in so much time.
    pub fn refines(&self, step: Step, within: Duration) -> bool {
        let (Some(target), Some(whole)) = (self.target, self.whole) else { return true };
        target.bytes() * within.as_secs_f64() >= whole * size_cost(step.eighths) * cost(f64::from(self.finest()))
    }

    /// The share of a picture as `step` says that may be refined beside this share that changed: what moves comes first, then
    /// what is saved for it.
    pub fn spare(&self, step: Step, share: f64) -> f64 {
        let Some(budget) = self.budget() else { return 1.0 };
        let Some(whole) = self.whole.filter(|_| self.quality_of(step, share) >= self.best) else { return 0.0 };
        let picture = whole * size_cost(step.eighths);
        let changed = picture * share * cost(f64::from(self.best));
        let left = budget * f64::from(step.every) - changed + self.saved - SAVED * budget;
        (left / (picture * cost(f64::from(self.finest())))).clamp(0.0, 1.0)
    }

    /// Bytes of the next picture at quality 80 and full size. Until one was encoded, the camera's own is the best guess.
    fn expected(&self) -> Option<f64> {
        self.whole.or_else(|| self.foreign.whole().map(|(bytes, pixels)| bytes * scaled(self.pixels, pixels)))
    }

    /// Bytes of a picture, on a path whose rate is known.
    fn budget(&self) -> Option<f64> {
        self.target.map(|target| target.bytes() * self.period.as_secs_f64())
    }

    /// How to encode the next picture; where it is a camera's JPEG, it may be that.
    pub fn step(&mut self, fitness: Fitness) -> Step {
        let budget = self.budget();
        let foreign = self.foreign.next(budget, fitness, self.whole.map(|_| self.share));
        let best = Step { quality: self.best, eighths: 8, every: 1, foreign };
        let Some(budget) = budget else {
            self.rung = 0;
            return best;
        };
        if foreign != Way::Anew && self.foreign.whole().is_some() {
            self.rung = 0;
            let every = if self.quality_only { 1 } else { self.foreign.every(budget, MOST_SKIPPED + 1) };
            return Step { every, ..best };
        }
        let Some(whole) = self.expected().map(|whole| whole * self.share.max(TELLS)) else { return best };
        let quality_at = |rung: usize| quality(budget / (whole * size_cost(SIZES[rung])));
        let last = if self.quality_only { 0 } else { SIZES.len() - 1 };
        while self.rung < last && quality_at(self.rung) < FLOOR {
            self.rung += 1;
        }
        while self.rung > 0 && quality_at(self.rung - 1) >= RISE.min(f64::from(self.best)) {
            self.rung -= 1;
        }
        let quality = quality_at(self.rung).min(f64::from(self.best)).max(LEAST.min(f64::from(self.best)));
        let least = whole * size_cost(SIZES[self.rung]) * cost(quality);
        let every =
            if self.quality_only { 1 } else { ((least / budget) - 0.1).ceil().clamp(1.0, f64::from(MOST_SKIPPED + 1)) as u32 };
        Step { quality: quality as u8, eighths: SIZES[self.rung], every, foreign }
    }
}

/// Bytes of so many pixels relative to those of other ones, 1 where either is not known.
fn scaled(pixels: u64, of: u64) -> f64 {
    if pixels == 0 || of == 0 { 1.0 } else { (pixels as f64 / of as f64).sqrt().powf(POWER) }
}

fn size_cost(eighths: u8) -> f64 {
    (f64::from(eighths) / 8.0).powf(POWER)
}

/// Bytes relative to quality 80.
fn cost(quality: f64) -> f64 {
    let at = COSTS.iter().position(|(q, _)| f64::from(*q) >= quality).unwrap_or(COSTS.len() - 1).max(1);
    let ((q0, c0), (q1, c1)) = (COSTS[at - 1], COSTS[at]);
    let part = ((quality - f64::from(q0)) / f64::from(q1 - q0)).clamp(0.0, 1.0);
    c0 + part * (c1 - c0)
}

/// The quality of so many bytes relative to quality 80.
fn quality(relative: f64) -> f64 {
    let at = COSTS.iter().position(|(_, c)| *c >= relative).unwrap_or(COSTS.len() - 1).max(1);
    let ((q0, c0), (q1, c1)) = (COSTS[at - 1], COSTS[at]);
    let part = ((relative - c0) / (c1 - c0)).clamp(0.0, 1.0);
    f64::from(q0) + part * f64::from(q1 - q0)
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
