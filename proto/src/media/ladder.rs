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

/// What pictures that were only what changed left unspent is kept up to so many pictures' worth, and what they took too much up to so
/// many; and no picture has less than this part of its own, whatever those before it took.
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
        let (target, whole, foreign) = (None, None, Foreign::new(passthrough));
        let (share, last_share, saved, rung) = (1.0, 1.0, 0.0, 0);
        Ladder { best, quality_only, target, whole, share, last_share, saved, foreign, rung, period, pixels }
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

    /// Whether a picture is left out for what those before it took: where what changed of a camera's JPEGs is never encoded anew, a
    /// cut of the scene is paid back so. Each that is left out pays a picture's worth.
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

    /// The quality of all of a picture beside this share of it that is coded for others: for each picture anew, so nothing is saved
    /// for it.
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
            return Step { every: self.foreign.every(budget, MOST_SKIPPED + 1), ..best };
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
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_micros(33_333);

    /// What an encoder would answer for a picture of `whole` bytes at quality 80, whose costs are a little unlike ours.
    fn encode(whole: f64, step: Step) -> usize {
        (whole * cost(f64::from(step.quality)).powf(1.15) * size_cost(step.eighths).powf(0.9)) as usize
    }

    fn settle(ladder: &mut Ladder, whole: f64) -> (Step, f64) {
        let (mut step, mut rate) = (ladder.step(Fitness::Changed), 0.0);
        for _ in 0..30 {
            step = ladder.step(Fitness::Changed);
            let bytes = encode(whole, step);
            ladder.note_encoded(step, bytes);
            rate = bytes as f64 / PERIOD.as_secs_f64() / f64::from(step.every);
        }
        (step, rate)
    }

    #[test]
    fn without_a_target_all_is_at_its_best() {
        let mut ladder = Ladder::new(90, false, PERIOD, Passthrough::Auto);
        let (step, _) = settle(&mut ladder, 1e6);
        assert_eq!(step, Step { quality: 90, eighths: 8, every: 1, foreign: Way::Whole });
    }

    #[test]
    fn quality_goes_first_then_size_then_rate_and_each_target_is_met() {
        let mut seen = Vec::new();
        for target in [30_000_000, 12_000_000, 5_000_000, 2_000_000, 800_000, 200_000] {
            let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
            ladder.set_target(Some(Bitrate(target)));
            let (step, rate) = settle(&mut ladder, 100_000.0);
            assert!(rate <= 1.1 * target as f64 / 8.0, "{target}: {rate} with {step:?}");
            assert!(rate >= (0.5 * target as f64 / 8.0).min(0.95 * 3e6), "{target}: {rate} with {step:?}");
            seen.push((step.quality, step.eighths, step.every));
        }
        assert!(seen[0] == (80, 8, 1) && (35..60).contains(&seen[1].0) && seen[1].1 == 8, "{seen:?}");
        assert!(seen.is_sorted_by_key(|(_, eighths, every)| (8 - eighths, *every)), "{seen:?}");
        assert!(seen[5].1 == 2 && seen[5].2 > 1, "{seen:?}");
    }

    #[test]
    fn a_target_that_swings_a_little_does_not_change_the_size() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        let mut sizes = Vec::new();
        for turn in 0..200 {
            ladder.set_target(Some(Bitrate(9_500_000 + 1_000_000 * (turn % 3))));
            let step = ladder.step(Fitness::Changed);
            ladder.note_encoded(step, encode(100_000.0, step));
            sizes.push(step.eighths);
        }
        sizes.dedup();
        assert!(sizes.len() <= 2, "{sizes:?}");
    }

    #[test]
    fn pictures_of_another_size_are_at_once_of_the_quality_that_is_theirs() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.set_pixels(1280 * 720);
        settle(&mut ladder, 100_000.0);
        // A ninth of the pixels, which cost 15,450 bytes at quality 80, and may cost 12,500.
        ladder.set_pixels(1280 * 720 / 9);
        ladder.set_target(Some(Bitrate(3_000_000)));
        let first = ladder.step(Fitness::Changed);
        let (settled, _) = settle(&mut ladder, 100_000.0 * (1.0_f64 / 3.0).powf(POWER));
        assert!((60..80).contains(&settled.quality), "{settled:?}");
        assert!(first.quality.abs_diff(settled.quality) <= 5 && first.eighths == 8, "{first:?}, then {settled:?}");
        // Of a camera's own JPEGs no more is known than their bytes.
        let mut camera = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        camera.note_foreign(100_000, 1280 * 720);
        camera.set_pixels(1280 * 720 / 9);
        camera.set_target(Some(Bitrate(3_000_000)));
        let guessed = camera.step(Fitness::Anew);
        assert!(guessed.quality.abs_diff(settled.quality) <= 5 && guessed.eighths == 8, "{guessed:?}");
        // And back: the first picture does not fill the queue.
        ladder.set_pixels(1280 * 720);
        ladder.set_target(Some(Bitrate(12_000_000)));
        let first = ladder.step(Fitness::Changed);
        assert!((encode(100_000.0, first) as f64) < 1.1 * 12e6 / 8.0 / 30.0, "{first:?}");
    }

    /// On 2 Mbit/s a head by which 12 % changes is encoded well and at full size, and a cut of the scene costs no more than what
    /// was saved, and what the least quality takes.
    #[test]
    fn of_a_picture_that_is_only_what_changed_the_quality_is_chosen_by_how_much_that_is() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.set_target(Some(Bitrate(2_000_000)));
        let budget = 2e6 / 8.0 / 30.0;
        let mut picture = |share: f64| {
            let step = ladder.step(Fitness::Changed);
            let step = Step { quality: ladder.quality_of(step, share), ..step };
            let bytes = (encode(100_000.0, step) as f64 * share) as usize;
            ladder.note_part(step, share, bytes, 0);
            (step, bytes as f64)
        };
        let head: Vec<(Step, f64)> = (0..90).map(|_| picture(0.12)).skip(60).collect();
        assert!(
            head.iter().all(|(step, _)| (step.eighths, step.every) == (8, 1) && (40..70).contains(&step.quality)),
            "{head:?}"
        );
        let mean = head.iter().map(|(_, bytes)| bytes).sum::<f64>() / 30.0;
        assert!((0.8..1.05).contains(&(mean / budget)), "{} of the budget", mean / budget);
        for _ in 0..30 {
            picture(0.0);
        }
        let (cut, bytes) = picture(1.0);
        assert!(cut.quality == 10 && cut.eighths == 8 && bytes < 4.0 * budget, "{cut:?} {bytes}");
        // That is paid back, and then the head is as good as it was.
        let after: Vec<(Step, f64)> = (0..30).map(|_| picture(0.12)).collect();
        assert!(after[0].1 < 0.5 * budget, "{after:?}");
        assert!(after[20..].iter().all(|(step, _)| (40..70).contains(&step.quality)), "{after:?}");
    }

    /// Twice the same on a narrow path, and once all that may be is refined: what moves is as good, in each picture.
    #[test]
    fn what_is_refined_takes_nothing_from_what_moves() {
        let (mut with, mut without) =
            (Ladder::new(80, false, PERIOD, Passthrough::Auto), Ladder::new(80, false, PERIOD, Passthrough::Auto));
        let mut refined = [0.0; 4];
        for number in 0..400 {
            let moves = number / 100;
            // Nothing, a finger, a head, nothing.
            let share = if number == 0 { 1.0 } else { [0.0, 0.03, 0.12, 0.0][moves] };
            let mut qualities = Vec::new();
            for (ladder, refines) in [(&mut with, true), (&mut without, false)] {
                ladder.set_target(Some(Bitrate(2_000_000)));
                let step = ladder.step(Fitness::Anew);
                let spare = if refines { ladder.spare(step, share) } else { 0.0 };
                let step = Step { quality: ladder.quality_of(step, share), ..step };
                let fine = (100_000.0 * cost(92.0) * spare) as usize;
                ladder.note_part(step, share, (encode(100_000.0, step) as f64 * share) as usize, fine);
                refined[moves] += spare / 100.0;
                qualities.push((step.eighths, step.every, step.quality));
            }
            assert_eq!(qualities[0], qualities[1], "picture {number}");
        }
        assert!(refined[0] > 0.03 && refined[1] > 0.02 && refined[2] < 0.001 && refined[3] > 0.03, "{refined:?}");
        // Where nothing is held back there is room, and before anything is known there is none.
        assert_eq!(Ladder::new(80, false, PERIOD, Passthrough::Auto).spare(with.step(Fitness::Anew), 0.1), 1.0);
        let mut unknown = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        unknown.set_target(Some(Bitrate(2_000_000)));
        assert_eq!(unknown.spare(with.step(Fitness::Anew), 0.1), 0.0);
    }

    #[test]
    fn what_is_refined_is_better_than_the_best_or_as_good() {
        let finest = |best| Ladder::new(best, false, PERIOD, Passthrough::Auto).finest();
        assert_eq!([10, 80, 89, 92, 95, 98, 100].map(finest), [92, 92, 92, 95, 97, 98, 100]);
    }

    /// Each change of size is a picture of which all is coded: it does not lead to the next.
    #[test]
    fn a_size_that_is_found_is_kept_though_each_change_of_it_codes_all() {
        for target in [2_000_000, 5_000_000, 10_000_000] {
            let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
            ladder.set_target(Some(Bitrate(target)));
            let (mut sizes, mut last) = (Vec::new(), 0);
            for _ in 0..600 {
                let step = ladder.step(Fitness::Changed);
                let share = if step.eighths == last { 0.13 } else { 1.0 };
                last = step.eighths;
                let step = Step { quality: ladder.quality_of(step, share), ..step };
                ladder.note_part(step, share, (encode(100_000.0, step) as f64 * share) as usize, 0);
                sizes.push(step.eighths);
            }
            sizes.dedup();
            assert!(sizes.len() <= 6, "{target}: {sizes:?}");
        }
    }

    #[test]
    fn a_film_keeps_its_size_and_all_its_pictures() {
        let mut ladder = Ladder::new(80, true, PERIOD, Passthrough::Auto);
        ladder.set_target(Some(Bitrate(500_000)));
        let (step, _) = settle(&mut ladder, 100_000.0);
        assert_eq!((step.eighths, step.every, step.quality), (8, 1, 10));
    }

    #[test]
    fn a_cameras_jpeg_is_encoded_anew_only_while_it_does_not_fit() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.note_foreign(100_000, 1280 * 720);
        let mut way = |target: Option<u64>| {
            ladder.set_target(target.map(Bitrate));
            ladder.step(Fitness::Whole).foreign
        };
        assert_eq!([way(None), way(Some(30_000_000))], [Way::Whole; 2]);
        assert_eq!(way(Some(20_000_000)), Way::Anew);
        assert_eq!(way(Some(25_000_000)), Way::Anew, "it would be cut again at once");
        assert_eq!(way(Some(30_000_000)), Way::Whole);
    }

    /// What changed goes as it is; a cut of the scene, which would take ten pictures' time, is encoded anew.
    #[test]
    fn of_a_cameras_jpeg_what_changed_is_afforded_and_a_cut_is_not() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.set_target(Some(Bitrate(4_000_000)));
        for _ in 0..30 {
            ladder.note_foreign(160_000, 1280 * 720);
            let step = ladder.step(Fitness::Changed);
            assert_eq!((step.foreign, step.eighths, step.every), (Way::Changed, 8, 1));
            assert!(ladder.affords(0.1) && !ladder.affords(1.0));
            ladder.note_changed(step, 0.08, Some(13_000));
        }
        let step = ladder.step(Fitness::Changed);
        assert!(ladder.affords(0.15) && ladder.quality_of(step, 1.0) < 40, "what was saved is spent");
        ladder.note_changed(step, 1.0, None);
        assert_eq!(ladder.step(Fitness::Changed).foreign, Way::Changed);
    }

    #[test]
    fn all_of_a_picture_beside_what_changed_takes_what_a_picture_may_and_nothing_of_what_was_saved() {
        let mut ladder = Ladder::new(95, false, PERIOD, Passthrough::Auto);
        let step = ladder.step(Fitness::Anew);
        assert_eq!(ladder.quality_beside(step, 0.1), step.quality, "as good as can be, while nothing is held back");
        ladder.note_encoded(Step { quality: 80, ..step }, 100_000);
        ladder.set_target(Some(Bitrate(24_000_000)));
        for _ in 0..20 {
            ladder.note_part(Step { quality: 80, ..step }, 0.1, 10_000, 0);
        }
        let (beside, alone) = (ladder.quality_beside(step, 0.1), ladder.quality_of(step, 1.1));
        let bytes = 110_000.0 * cost(f64::from(beside));
        assert!((90_000.0..=100_000.0).contains(&bytes) && alone > beside, "{beside}: {bytes} bytes, {alone}");
    }

    /// Nothing is encoded anew, and no debt grows without end.
    #[test]
    fn where_nothing_is_encoded_anew_pictures_are_left_out_after_a_cut_of_the_scene() {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::On);
        ladder.set_target(Some(Bitrate(4_000_000)));
        let mut picture = |bytes: usize| {
            ladder.note_foreign(160_000, 1280 * 720);
            let step = ladder.step(Fitness::Changed);
            assert_eq!(step.foreign, Way::Changed);
            let sent = !ladder.pays(step);
            if sent {
                ladder.note_changed(step, bytes as f64 / 160_000.0, Some(bytes));
            }
            sent
        };
        assert!((0..30).all(|_| picture(13_000)));
        assert!(picture(160_000), "ten pictures' worth");
        let left_out = (0..30).filter(|_| !picture(13_000)).count();
        assert_eq!(left_out, 3, "what was owed beyond a picture's worth");
    }
}
