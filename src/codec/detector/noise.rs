//! How noisy the camera is: the standard deviation σ of a pixel that shows the same thing again, at each brightness.
//!
//! Of two pictures of what stands still a pixel differs by 1.128 σ on average (the mean of |N(0, 2σ²)|), so most MCUs' mean SAD
//! tells σ and those that changed tell more: a low percentile over the picture is the noise. Where brightness drifts a mean SAD
//! is larger; the drift, known from the MCU's mean, is taken off. What is nearly black or white is cut off there and left out.
//!
//! A sensor's noise grows with light, and its gamma lifts that of shadows, so one number is too low for half of a picture. It is
//! estimated anew in each eighth of the range; one that holds little of the picture, or something that always moves, says
//! nothing, so none may stray far from the number of all.
//!
//! An MCU that is the very same as before has no noise, or it is the very same picture: cameras and players repeat some, and a
//! short film comes again. So a few of them say nothing, and where they are many it must be so for a while.
//!
//! How much of it is left in the mean of a cell depends on the camera: σ/4 where pixels are noisy each for itself, two and a half
//! times that where it has been smoothed, as most do. A cell's SAD wavers by 0.15 σ, or twice that. Both are found in the same
//! way, from each MCU's most different cell.

use super::cells::{Mcu, PIXELS};

/// More than a camera has that is any use. Above it, everything has changed.
pub const MOST: f32 = 5.0;

/// Parts of the range of brightness with a σ each.
pub const PARTS: usize = 8;

/// Mean of |N(0, 2)|, and its standard deviation.
pub const SAD: f32 = 1.128;
const SPREAD: f32 = 0.853;

/// The part of MCUs assumed to be still, and how far below the mean of a normal distribution it ends.
const PERCENTILE: f32 = 0.1;
const BELOW_MEAN: f32 = 1.28;

/// The same percentile of the largest of so many |N(0, 1)|: where their distribution function to that power is 0.1.
const LARGEST: [(usize, f32); 3] = [(2, 0.407), (4, 0.776), (8, 1.150)];

/// Which MCUs tell σ, by mean luma.
const UNCUT: std::ops::RangeInclusive<f32> = 20.0..=235.0;

/// What σ rises by a picture, at least. It falls by up to half: what is estimated too high is missed.
const RISE: f32 = 1.1;
const LEAST_RISE: f32 = 0.05;
const FALL: f32 = 0.5;

/// What a part's σ may be of that of all. With σ² in proportion to light, σ at 220 is 1.9 times that at 60.
const STRAY: std::ops::RangeInclusive<f32> = 0.7..=2.0;

/// A part says something from so many MCUs on.
const LEAST: u32 = 24;

/// Mean SADs are sorted by sixteenths, up to what [`MOST`] gives and as much again.
const STEPS: usize = 192;
const STEP: f32 = 1.0 / 16.0;

/// What noise makes of a difference, in levels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    /// Standard deviation of a pixel.
    pub sigma: f32,
    /// Standard deviation of the difference of a cell's means.
    pub mean: f32,
    /// Standard deviation of a cell's mean SAD.
    pub spread: f32,
}

impl Level {
    /// What is given is of two pictures.
    pub fn against(self, against: Against) -> Level {
        let deviation = against.deviation();
        Level { sigma: self.sigma * deviation, mean: self.mean * deviation, spread: self.spread * deviation }
    }
}

/// Pixels and cells of an MCU.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub pixels: usize,
    pub cells: usize,
}

/// What a whole MCU has of colour, Cb and Cr together.
const COLOUR: Shape = Shape { pixels: 128, cells: 4 };

/// Of a camera that smooths, until more is known: of σ, and of the SAD.
const UNKNOWN_MEAN: f32 = 0.5;
const UNKNOWN_SPREAD: f32 = 0.25;

/// Shares are counted as so many levels.
const SHARES: f32 = 8.0;

/// Where many MCUs are the very same for so many pictures in a row, there is no noise: no camera repeats one that often.
const REPEATED: u32 = 8;

/// A mean is of so many pictures.
pub const MEAN_OF: usize = 16;

/// What an MCU is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// One picture, as noisy as it is.
    Picture,
    /// The mean of [`MEAN_OF`].
    Mean,
}

impl Against {
    pub fn of(mean: bool) -> Self {
        if mean { Against::Mean } else { Against::Picture }
    }

    /// The deviation of differences, of that of two pictures'.
    fn deviation(self) -> f32 {
        match self {
            Against::Picture => 1.0,
            Against::Mean => ((1.0 + 1.0 / MEAN_OF as f32) / 2.0).sqrt(),
        }
    }
}

/// See the module text.
#[derive(Debug, Clone)]
pub struct Noise {
    /// σ.
    luma: Estimate,
    parts: [f32; PARTS],
    colour: Estimate,
    /// Deviations of cells' means, of luma and of colour.
    means: [Estimate; 2],
    /// Deviations of cells' SADs, as a share of it.
    spreads: [Estimate; 2],
    counts: Vec<[u32; STEPS]>,
    /// Pictures in a row in which many MCUs were the very same.
    repeated: u32,
}

/// Where in `counts` others than parts' are: colour's, and of luma and of colour the largest means and SADs.
const COLOURS: usize = PARTS;
const MEANS: [usize; 2] = [PARTS + 1, PARTS + 2];
const SPREADS: [usize; 2] = [PARTS + 3, PARTS + 4];

/// A deviation that follows what is found.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate(Option<f32>);

impl Estimate {
    fn learn(&mut self, found: Option<f32>) {
        let Some(found) = found.map(|found| found.min(MOST)) else { return };
        self.0 = Some(match self.0 {
            None => found,
            Some(known) => found.clamp(known * FALL, (known * RISE).max(known + LEAST_RISE)),
        });
    }

    fn value(self) -> f32 {
        self.0.unwrap_or_default()
    }
}

impl Noise {
    /// A camera without noise, until more is known.
    pub fn new() -> Self {
        let (new, counts) = (Estimate(None), vec![[0; STEPS]; PARTS + 5]);
        Noise { luma: new, parts: [0.0; PARTS], colour: new, means: [new; 2], spreads: [new; 2], counts, repeated: 0 }
    }

    /// Learns from the MCUs of a picture, of such luma each. Where light is not steady, cells tell nothing of noise.
    pub fn learn<'a>(&mut self, luma: Shape, steady: bool, mcus: impl Iterator<Item = (&'a Mcu, Against)>) {
        self.counts.iter_mut().for_each(|counts| counts.fill(0));
        let (mut same, mut others) = ([0; PARTS], 0);
        for (mcu, against) in mcus.filter(|(mcu, _)| UNCUT.contains(&mcu.level)) {
            if mcu.noise == 0.0 && mcu.colour_noise == 0.0 {
                same[part(mcu.level)] += 1;
            } else {
                self.count(mcu, against);
                others += 1;
            }
        }
        let all_same = same.iter().sum::<u32>();
        // As many as decide on the percentile.
        let many = all_same as f32 > PERCENTILE * (all_same + others) as f32;
        self.repeated = if many { self.repeated + 1 } else { 0 };
        if self.repeated >= REPEATED {
            self.counts.iter_mut().zip(same).for_each(|(counts, same)| counts[0] += same);
            self.counts[PARTS..].iter_mut().for_each(|counts| counts[0] += all_same);
        } else if self.repeated > 0 {
            return;
        }
        let mut all = [0; STEPS];
        for counts in &self.counts[..PARTS] {
            all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        }
        let began = self.luma.0.is_some();
        self.luma.learn(percentile(&all).map(|sad| sad / still_sad(luma)));
        self.colour.learn(percentile(&self.counts[COLOURS]).map(|sad| sad / still_sad(COLOUR)));
        for (index, shape) in [luma, COLOUR].into_iter().enumerate().filter(|_| steady) {
            self.means[index].learn(percentile(&self.counts[MEANS[index]]).map(|mean| mean / largest(shape)));
            self.spreads[index].learn(percentile(&self.counts[SPREADS[index]]).map(|share| share / SHARES / largest(shape)));
        }
        let known = self.sigma();
        if !began {
            self.parts.fill(known);
        }
        // A part that says nothing is as the next darker one that does.
        let mut near = known;
        for (part, counts) in self.parts.iter_mut().zip(&self.counts) {
            let found = percentile(counts).map_or(near, |sad| sad / still_sad(luma));
            near = found;
            // It follows slower than that of all: it is of fewer.
            *part += (found - *part) / 4.0;
            *part = part.clamp(known * STRAY.start(), known * STRAY.end()).min(MOST);
        }
    }

    /// One that is not the very same as before.
    fn count(&mut self, mcu: &Mcu, against: Against) {
        let deviation = against.deviation();
        if let Some(still) = without_drift(mcu.noise, mcu.shift) {
            self.counts[part(mcu.level)][step(still / deviation)] += 1;
        }
        self.counts[COLOURS][step(mcu.colour_noise / deviation)] += 1;
        for (index, (sum, sad, mean)) in
            [(mcu.sum, mcu.sad, mcu.noise), (mcu.colour_sum, mcu.colour_sad, mcu.colour_noise)].into_iter().enumerate()
        {
            let of = |sum: u16| f32::from(sum) / PIXELS as f32;
            self.counts[MEANS[index]][step(of(sum) / deviation)] += 1;
            self.counts[SPREADS[index]][step(SHARES * (of(sad) / mean.max(f32::MIN_POSITIVE) - 1.0))] += 1;
        }
    }

    /// σ of luma over the whole picture: the quiet part of it.
    pub fn sigma(&self) -> f32 {
        self.luma.value()
    }

    /// Of luma in each part of the range.
    pub fn luma(&self) -> [Level; PARTS] {
        self.parts.map(|sigma| self.level(0, sigma, sigma / self.sigma().max(f32::MIN_POSITIVE)))
    }

    /// Of both colours.
    pub fn colour(&self) -> Level {
        self.level(1, self.colour.value(), 1.0)
    }

    fn level(&self, index: usize, sigma: f32, share: f32) -> Level {
        let mean = self.means[index].0.map_or(UNKNOWN_MEAN * sigma, |mean| share * mean);
        Level { sigma, mean, spread: self.spreads[index].0.unwrap_or(UNKNOWN_SPREAD) * SAD * sigma }
    }
}

/// The part of the range that a mean luma lies in.
pub fn part(level: f32) -> usize {
    (level as usize * PARTS / 256).min(PARTS - 1)
}

fn step(sad: f32) -> usize {
    ((sad / STEP) as usize).min(STEPS - 1)
}

/// What the mean SAD of an MCU would be had its brightness not shifted; `None` where it says little about noise. For a shift
/// small against s, the standard deviation of differences, the mean of |N(shift, s²)| is √(2/π) (s + shift² / 2s).
fn without_drift(sad: f32, shift: f32) -> Option<f32> {
    const ROOT: f32 = 0.798;
    let mean = sad / ROOT;
    let square = mean * mean - 2.0 * shift * shift;
    (square >= 0.5 * mean * mean).then(|| ROOT * (mean + square.sqrt()) / 2.0)
}

/// Mean SAD of a still MCU at σ 1, at the percentile.
fn still_sad(shape: Shape) -> f32 {
    SAD - BELOW_MEAN * SPREAD / (shape.pixels as f32).sqrt()
}

/// Largest of its cells' differences where their deviation is 1, at the percentile.
fn largest(shape: Shape) -> f32 {
    let known = LARGEST.iter().rev().find(|(cells, _)| *cells <= shape.cells);
    known.unwrap_or(&LARGEST[0]).1
}

/// What a tenth of those counted lies below; `None` where they are few.
fn percentile(counts: &[u32; STEPS]) -> Option<f32> {
    let total: u32 = counts.iter().sum();
    if total < LEAST {
        return None;
    }
    let (wanted, mut below) = (PERCENTILE * total as f32, 0.0);
    for (index, count) in counts.iter().enumerate() {
        let count = *count as f32;
        if below + count >= wanted {
            return Some((index as f32 + (wanted - below) / count.max(1.0)) * STEP);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::scenes::Dice;

    #[test]
    fn a_mean_sad_tells_the_noise_where_the_light_drifts_or_that_it_does_not_tell() {
        let mut dice = Dice::new(1);
        // Nearly normal, of deviation 1: the sum of twelve.
        let normal: Vec<f32> = (0..20_000).map(|_| (0..12).map(|_| dice.share()).sum::<f32>() - 6.0).collect();
        let sad = |shift: f32| normal.iter().map(|one| (2.0 * one + shift).abs()).sum::<f32>() / normal.len() as f32;
        let still = sad(0.0);
        for shift in [-0.9, -0.5, 0.5, 0.9] {
            assert!(sad(shift) > 1.02 * still);
            let found = without_drift(sad(shift), shift).unwrap();
            assert!((found / still - 1.0).abs() < 0.015, "{found} for {still}, drifted by {shift}");
        }
        assert_eq!(without_drift(sad(4.0), 4.0), None, "all of it is drift");
    }
}
