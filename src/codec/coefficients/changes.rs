//! What changed in a camera's JPEG, MCU by MCU, against what was last sent of it: as the
//! [`Detector`](super::super::detector::Detector) does with pixels, by the first coefficients of each block.
//!
//! Of each block two things count: its DC, eight times its mean, in which noise cancels; and the sum of the absolute differences
//! of its lowest AC coefficients, where edges and texture that moved show. A coefficient that a little noise moves over the edge
//! of a step differs by one step, so of each difference one step is taken off: of a quiet camera nothing is left. Of a noisy one
//! some is, about the same in all that stands still, so a low percentile over the picture is the noise; and in each quarter of
//! the range of brightness, for a sensor's noise grows with light. The limits are multiples of it. They are weaker beside an MCU
//! that changed, as the rim of what moves is often faint.
//!
//! What a camera quantises coarser from picture to picture is compared by the coarser steps. Where its steps become, on average,
//! half as large, what stands there is coarser than it need be: all has changed. So it has after a change of size or sampling.
//! The coarser steps stay until then, also where all that was sent by them has aged away: one picture of a camera that quantises
//! coarser for once makes small changes go unseen, which ageing mends, and one that goes to and fro by more than twice is sent
//! whole each time.
//!
//! Not followed, as the detector does: light that drifts or flickers. Ageing mends in three seconds what that leaves.

use super::{COMPARED, Coefficients, Low};
use eyeline_proto::media::jpeg::tables;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Sampling, Size};

/// From which difference on a block has changed, beyond a step of each coefficient: so much, so many steps, so many times the
/// noise, and so many times the root of noise times step, for what is left of noise comes in steps. By these less than two of 100
/// MCUs that stand still are sent, of cameras with σ up to 2.5 and quality 50 to 95, smoothed or not; with σ 4, smoothed, up to
/// five, and at quality 85 more (pictures of `benches/support/scenes.rs`).
struct Rule {
    least: f32,
    steps: f32,
    noise: f32,
    root: f32,
}

/// Of the sum of the AC coefficients.
const AC: Rule = Rule { least: 6.0, steps: 1.5, noise: 1.6, root: 5.0 };
/// Of the DC: eight are a level.
const LUMA_DC: Rule = Rule { least: 4.0, steps: 1.0, noise: 0.35, root: 1.0 };
/// Colours have larger steps, which hide what noise they have.
const COLOUR_DC: Rule = Rule { least: 4.0, steps: 2.5, noise: 0.6, root: 1.0 };

/// What of these limits counts beside an MCU that changed.
const WEAK: f32 = 0.6;

/// The part of MCUs assumed to be still.
const PERCENTILE: usize = 10;

/// Parts of the range of brightness, and so many MCUs at least tell the noise of one, which may be so many times that of all.
const PARTS: usize = 4;
const LEAST: usize = 48;
const STRAY: std::ops::RangeInclusive<f32> = 0.5..=2.5;

/// What noise rises by a picture, at most. It falls at once by half: what is estimated too high is missed.
const RISE: f32 = 1.1;
const LEAST_RISE: f32 = 1.0;
const FALL: f32 = 0.5;

/// More noise than a camera has that is any use. Above it, everything has changed.
const MOST: f32 = 120.0;

/// What differs in one MCU: the largest of its blocks.
#[derive(Debug, Clone, Copy, Default)]
struct Mcu {
    luma: Difference,
    colour: Difference,
    /// Of luma, the mean over its blocks.
    mean: f32,
    /// The part of the range it is in.
    part: usize,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, Default)]
struct Difference {
    dc: f32,
    ac: f32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Calm,
    /// Changed beside one that did.
    Weak,
    Changed,
}

/// See the module text.
#[derive(Default)]
pub struct Changes {
    kind: Option<(Sampling, Size)>,
    /// As it was sent.
    reference: Vec<Low>,
    /// MCUs of which nothing was sent.
    unsent: Option<McuSet>,
    /// Steps that are taken off, of each component: the coarsest of what stands there.
    steps: Vec<[u16; COMPARED]>,
    mcus: Vec<Mcu>,
    /// What is left of noise in the sum of a block, of luma in each part of the range, and of colour.
    noise: Noise,
    values: Vec<f32>,
}

#[derive(Default)]
struct Noise {
    all: Option<f32>,
    parts: [f32; PARTS],
    colour: Option<f32>,
}

impl Changes {
    /// Says which MCUs of a picture that was read changed.
    pub fn look(&mut self, picture: &Coefficients, changed: &mut McuSet) {
        if self.kind != picture.kind || self.is_finer(picture) {
            self.begin(picture);
        }
        let unsent = self.unsent.get_or_insert_with(|| changed.clone());
        changed.fill();
        if unsent == changed {
            return;
        }
        self.measure(picture);
        self.learn();
        self.judge(changed);
    }

    /// These MCUs are sent as they are in the picture last looked at.
    pub fn sent(&mut self, picture: &Coefficients, sent: &McuSet) {
        let Some((sampling, _)) = picture.kind else { return };
        let all = tables::blocks(sampling);
        for run in sent.runs(0..sent.of()) {
            let blocks = run.start * all..run.end * all;
            self.reference[blocks.clone()].copy_from_slice(&picture.low[blocks]);
        }
        if let Some(unsent) = &mut self.unsent {
            unsent.remove_all(sent);
        }
    }
}

impl Changes {
    /// Whether the camera quantises twice as finely, all in all, as what stands there. Coarser steps count from now on.
    fn is_finer(&mut self, picture: &Coefficients) -> bool {
        let pairs = picture.components.iter().zip(&mut self.steps);
        let (mut fine, mut coarse) = (0, 0);
        for (now, step) in pairs.flat_map(|(component, steps)| component.quantiser.iter().zip(steps)) {
            fine += u32::from(*now);
            coarse += u32::from(*step);
            *step = (*step).max((*now).into());
        }
        2 * fine <= coarse
    }

    /// Nothing is known of pictures like this one, but the camera's noise.
    fn begin(&mut self, picture: &Coefficients) {
        self.kind = picture.kind;
        self.steps =
            picture.components.iter().map(|component| std::array::from_fn(|at| component.quantiser[at].into())).collect();
        self.reference.clear();
        self.reference.resize(picture.low.len(), Low::default());
        self.unsent = self.kind.map(|(sampling, size)| {
            let mut unsent = McuSet::new(size, sampling);
            unsent.fill();
            unsent
        });
        self.mcus.clear();
        self.mcus.resize(self.unsent.as_ref().map_or(0, McuSet::of), Mcu::default());
    }

    fn measure(&mut self, picture: &Coefficients) {
        let Some((sampling, _)) = self.kind else { return };
        let all = tables::blocks(sampling);
        let luma = all.saturating_sub(2).max(1);
        let pairs = picture.low.chunks_exact(all).zip(self.reference.chunks_exact(all));
        for (mcu, (now, before)) in self.mcus.iter_mut().zip(pairs) {
            *mcu = Mcu::default();
            let mut level = 0;
            for (index, (now, before)) in now.iter().zip(before).enumerate() {
                let component = (index + 1).saturating_sub(luma);
                let found = difference(now, before, &self.steps[component]);
                let most = if component == 0 { &mut mcu.luma } else { &mut mcu.colour };
                *most = Difference { dc: most.dc.max(found.dc), ac: most.ac.max(found.ac) };
                if component == 0 {
                    mcu.mean += found.ac / luma as f32;
                    level += i32::from(now[0]);
                }
            }
            // A DC of -1024 is black.
            let level = (level / luma as i32 + 1024).clamp(0, 2047) as usize;
            mcu.part = level * PARTS / 2048;
        }
    }

    /// Learns the noise from what was sent before.
    fn learn(&mut self) {
        let Changes { mcus, unsent, values, noise, .. } = self;
        let mut percentile = |of: &dyn Fn(&Mcu) -> Option<f32>| {
            let known = mcus.iter().enumerate().filter(|(at, _)| !unsent.as_ref().is_some_and(|unsent| unsent.contains(*at)));
            values.clear();
            values.extend(known.filter_map(|(_, mcu)| of(mcu)));
            let at = values.len() / PERCENTILE;
            (values.len() >= LEAST).then(|| *values.select_nth_unstable_by(at, f32::total_cmp).1)
        };
        let began = noise.all.is_some();
        follow(&mut noise.all, percentile(&|mcu| Some(mcu.mean)));
        follow(&mut noise.colour, percentile(&|mcu| Some(mcu.colour.ac)));
        let all = noise.all.unwrap_or_default();
        for (part, known) in noise.parts.iter_mut().enumerate() {
            let found = percentile(&|mcu| (mcu.part == part).then_some(mcu.mean)).unwrap_or(all);
            *known += (found - *known) / if began { 4.0 } else { 1.0 };
            *known = known.clamp(all * STRAY.start(), all * STRAY.end());
        }
    }

    fn judge(&mut self, changed: &mut McuSet) {
        let Some((sampling, size)) = self.kind else { return };
        let steps = |component: usize| self.steps.get(component).copied().unwrap_or_default();
        let luma = self.noise.parts.map(|noise| Limits::new(&LUMA_DC, noise, &steps(0)));
        let colour = Limits::new(&COLOUR_DC, self.noise.colour.unwrap_or_default(), &steps(1));
        for mcu in &mut self.mcus {
            let (luma, colour) = (luma[mcu.part].excess(mcu.luma), colour.excess(mcu.colour));
            mcu.verdict = match luma.max(colour) {
                excess if excess > 1.0 => Verdict::Changed,
                excess if excess > WEAK => Verdict::Weak,
                _ => Verdict::Calm,
            };
        }
        changed.clear();
        let (columns, rows) = (sampling.mcus(size).width as usize, sampling.mcus(size).height as usize);
        let around = |at: usize, end: usize| at.saturating_sub(1)..(at + 2).min(end);
        for (at, mcu) in self.mcus.iter().enumerate() {
            let (row, column) = (at / columns, at % columns);
            let is_beside = || {
                around(row, rows).any(|row| {
                    let row = &self.mcus[row * columns..(row + 1) * columns];
                    row[around(column, columns)].iter().any(|mcu| mcu.verdict == Verdict::Changed)
                })
            };
            if mcu.verdict == Verdict::Changed || (mcu.verdict == Verdict::Weak && is_beside()) {
                changed.insert(at);
            }
        }
        if let Some(unsent) = &self.unsent {
            changed.add(unsent);
        }
    }
}

/// What differs in a block, but for a step of each coefficient.
#[inline]
fn difference(now: &Low, before: &Low, steps: &[u16; COMPARED]) -> Difference {
    let mut parts = [0_u16; COMPARED];
    for (part, ((now, before), step)) in parts.iter_mut().zip(now.iter().zip(before).zip(steps)) {
        *part = now.abs_diff(*before).saturating_sub(*step);
    }
    let all: u32 = parts.iter().map(|part| u32::from(*part)).sum();
    Difference { dc: f32::from(parts[0]), ac: (all - u32::from(parts[0])) as f32 }
}

/// What is found rises slowly.
fn follow(known: &mut Option<f32>, found: Option<f32>) {
    let Some(found) = found.map(|found| found.min(MOST)) else { return };
    *known = Some(match *known {
        None => found,
        Some(known) => found.clamp(known * FALL, (known * RISE).max(known + LEAST_RISE)),
    });
}

/// From where on a block has changed.
#[derive(Debug, Clone, Copy)]
struct Limits {
    dc: f32,
    ac: f32,
}

impl Limits {
    fn new(dc: &Rule, noise: f32, steps: &[u16; COMPARED]) -> Self {
        let mean = steps[1..].iter().map(|step| f32::from(*step)).sum::<f32>() / (COMPARED - 1) as f32;
        let limit =
            |rule: &Rule, step: f32| rule.least + rule.steps * step + rule.noise * noise + rule.root * (noise * step).sqrt();
        Limits { dc: limit(dc, steps[0].into()), ac: limit(&AC, mean) }
    }

    /// How far beyond them: 1 is at the limit.
    fn excess(self, found: Difference) -> f32 {
        (found.dc / self.dc).max(found.ac / self.ac)
    }
}
