//! What changed in a picture, MCU by MCU, against what was last *sent*.
//!
//! A camera's noise changes every pixel of every picture, so "different" must mean "more than noise makes it", and no fixed
//! limit does: one that lets a quiet camera's faint shadows through sends all of a noisy one's picture. So σ is estimated
//! ([`noise`]), and an MCU has changed where in one of its cells ([`cells`]) the difference of the means, in which noise
//! cancels, or the mean of the differences is more than a multiple of σ. Limits are weaker beside an MCU that changed, as the
//! rim of what moves is often faint.
//!
//! The comparison is with what was sent, not with the picture before: a slow change adds up until it is sent, and what is below
//! the limit stays below it. The caller says what it sent, as it was in one picture ([`Detector::sent`]) or as the mean of many
//! ([`Detector::sent_mean`]); nothing else becomes the reference. An MCU that never was sent has always changed. Of a mean only
//! the new picture has noise: differences are smaller, and so are limits, or the same change would be found later.
//!
//! Light that drifts (the camera's exposure, a fade) makes all MCUs cross the limit at some time, each at another: a mottled
//! wall. So where many drift the same way the limit is nearer to the noise: more is sent in finer steps. A lamp that flickers is
//! expected ([`flicker`]). Where nearly everything changes for long (a film, a pan) comparing is a waste: the detector keeps no
//! reference, says that everything changed, and looks at a quarter of the rows a picture until they are calm.
//!
//! A source that knows where it drew says so, and has no noise ([`Detector::look_within`]): only there is anything compared,
//! and any difference is a change.
//!
//! Pure: one thread, no time, no IO. What is done with the MCUs is the encoder's affair.

use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Sampling, Size};

mod cells;
mod flicker;
pub(super) mod grid;
pub(super) mod noise;
mod sums;

#[cfg(test)]
mod tests;

use cells::{Mcu, PIXELS, Row};
use flicker::Flicker;
use grid::Grid;
use noise::{Against, Level, Noise, PARTS, SAD, Shape, part};

/// From which difference on a cell has changed, in levels a pixel: so much, and so many deviations of what noise makes of it.
struct Rule {
    /// Of the means: fixed, deviations, and at least so many σ.
    mean: (f32, f32, f32),
    /// Of the mean of the absolute differences, beyond what noise makes of it on average: fixed, and deviations, of which there
    /// are more: they are not as rare as a normal distribution's.
    sad: (f32, f32),
}

/// One cell's mean in 150,000 is off by 4.5 deviations, and an MCU has eight of them in 4:2:0.
const STEADY: Rule = Rule { mean: (1.25, 4.5, 1.5), sad: (0.75, 7.0) };

/// Where light drifts.
const DRIFTING: Rule = Rule { mean: (0.6, 4.0, 1.2), sad: (0.75, 7.0) };

/// What of these limits counts beside an MCU that changed.
const WEAK_SUM: f32 = 0.6;
const WEAK_SAD: f32 = 0.7;

/// Light drifts where the means of this share of the MCUs moved the same way, of three times fewer the other way...
const DRIFT: f32 = 0.25;
/// ...each by more than noise can make it: 256 pixels' mean differs by σ/11.
const DRIFT_LEAST: (f32, f32) = (0.3, 0.25);
/// And for so many pictures after that, until what is behind has been sent.
const DRIFT_LASTS: u32 = 15;

/// Above this share everything moves...
const BUSY: f32 = 0.6;
/// ...after so many pictures in a row.
const BUSY_FOR: u32 = 8;
/// One row of MCUs in so many is looked at then...
const SAMPLED: usize = 4;
/// ...in one picture of so many: it was kept in the one before.
const SAMPLES_REST: u32 = 4;
/// Below this share in as many pictures in a row as it takes to see all rows it is calm again.
const CALM: f32 = 0.4;

/// Of a picture of more MCUs every second row tells the noise, in turns.
const LEARNT_ALL: usize = 2000;

/// What a picture is of before there is one.
const NOTHING: Size = Size { width: 0, height: 0 };

/// What a picture is like.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scene {
    /// σ of the camera's noise in luma, in the quieter part of the picture.
    pub sigma: f32,
    /// Of the MCUs that were looked at and had been sent before, those that changed: 0 to 1.
    pub share: f32,
    /// Light drifts: limits are nearer to the noise, and a mean of several pictures would be of none of them.
    pub drifting: bool,
    /// The mains make the light flicker.
    pub flickering: bool,
    /// Nearly everything moves: it was not looked at everywhere, and all is said to have changed.
    pub sampled: bool,
}

/// See the module text.
pub struct Detector {
    grid: Grid,
    /// Planes as they were sent; while sampling, some rows as they were in the picture before.
    reference: Vec<u8>,
    /// MCUs of which the reference has nothing.
    unsent: McuSet,
    /// MCUs of which it is the mean of many pictures.
    means: McuSet,
    row: Row,
    mcus: Vec<Mcu>,
    verdicts: Vec<Verdict>,
    noise: Noise,
    flicker: Flicker,
    /// Pictures for which light still counts as drifting.
    drifting: u32,
    watch: Watch,
    /// Whether the odd rows tell the noise.
    turn: bool,
}

/// How closely it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// Everywhere. So many pictures in a row were busy.
    All { busy: u32 },
    /// At every [`SAMPLED`]th row from `next` on, if the picture before left these rows. So many looks in a row were calm; before
    /// the next one so many pictures are let go by.
    Samples { next: usize, left: bool, calm: u32, rest: u32 },
}

/// Of one MCU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Verdict {
    Calm,
    /// Changed beside one that did.
    Weak,
    Changed,
}

/// A rule at one level of noise, in sums of a cell.
#[derive(Debug, Clone, Copy)]
struct Limits {
    sum: u16,
    sad: u16,
}

impl Limits {
    fn new(rule: &Rule, noise: Level) -> Self {
        let ((fixed, deviations, least), (fixed_sad, deviations_sad)) = (rule.mean, rule.sad);
        let mean = fixed + (deviations * noise.mean).max(least * noise.sigma);
        let sad = fixed_sad + SAD * noise.sigma + deviations_sad * noise.spread;
        Limits { sum: (mean * PIXELS as f32) as u16, sad: (sad * PIXELS as f32) as u16 }
    }

    fn verdict(self, sum: u16, sad: u16) -> Verdict {
        let weak = |limit: u16, share: f32| (f32::from(limit) * share) as u16;
        if sum > self.sum || sad > self.sad {
            Verdict::Changed
        } else if sum > weak(self.sum, WEAK_SUM) || sad > weak(self.sad, WEAK_SAD) {
            Verdict::Weak
        } else {
            Verdict::Calm
        }
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Detector {
            grid: Grid::new(Sampling::Grey, NOTHING),
            reference: Vec::new(),
            unsent: McuSet::new(NOTHING, Sampling::Grey),
            means: McuSet::new(NOTHING, Sampling::Grey),
            row: Row::default(),
            mcus: Vec::new(),
            verdicts: Vec::new(),
            noise: Noise::new(),
            flicker: Flicker::default(),
            drifting: 0,
            watch: Watch::All { busy: 0 },
            turn: false,
        }
    }

    /// Says which MCUs of a picture (tight `planes`, at least [`Sampling::bytes`] of them) are to be sent. Of a first picture,
    /// and of one of another size or sampling, all are.
    pub fn look(&mut self, planes: &[u8], changed: &mut McuSet) -> Scene {
        if !changed.is_of(self.grid.size, self.grid.sampling) {
            self.begin(Grid::new(changed.sampling(), changed.size()));
        }
        let planes = &planes[..self.grid.bytes()];
        changed.fill();
        match self.watch {
            // Nothing to compare with: the first picture, or none was sent.
            Watch::All { .. } if self.unsent == *changed => self.scene(1.0),
            Watch::All { busy } => self.compare(planes, busy, changed),
            Watch::Samples { next, left, calm, .. } => self.sample(planes, next, left, calm),
        }
    }

    /// As [`Detector::look`], of a picture without noise that is as it was but for what lies `within`: only there is it compared
    /// with what was sent, and has changed where anything differs.
    pub fn look_within(&mut self, planes: &[u8], within: &McuSet, changed: &mut McuSet) -> Scene {
        if !changed.is_of(self.grid.size, self.grid.sampling) {
            self.begin(Grid::new(changed.sampling(), changed.size()));
        }
        if matches!(self.watch, Watch::Samples { .. }) {
            // Of some rows there is the picture before, and of others nothing.
            self.unsent.fill();
            self.means.clear();
        }
        self.watch = Watch::All { busy: 0 };
        self.drifting = 0;
        if self.flicker.is_seen() {
            self.flicker.reset(self.grid.rows, self.grid.columns);
        }
        changed.clear();
        let differs = |mcu: &usize| self.grid.differs(planes, &self.reference, *mcu);
        within.iter().filter(|mcu| !self.unsent.contains(*mcu)).filter(differs).for_each(|mcu| changed.insert(mcu));
        let share = changed.len() as f32 / (self.grid.len() - self.unsent.len()).max(1) as f32;
        changed.add(&self.unsent);
        self.scene(share)
    }

    /// These MCUs are sent as they are in the `planes` last looked at: they are the reference from now on.
    pub fn sent(&mut self, planes: &[u8], sent: &McuSet) {
        let planes = &planes[..self.grid.bytes()];
        let columns = self.grid.columns;
        if let Watch::Samples { next, calm, rest, .. } = self.watch
            && (calm as usize) < SAMPLED
        {
            if rest > 0 {
                self.watch = Watch::Samples { next, left: false, calm, rest: rest - 1 };
                return;
            }
            for row in (next..self.grid.rows).step_by(SAMPLED) {
                self.grid.copy(planes, &mut self.reference, row * columns..(row + 1) * columns);
            }
            self.watch = Watch::Samples { next, left: true, calm, rest };
            return;
        }
        if matches!(self.watch, Watch::Samples { .. }) {
            self.watch = Watch::All { busy: 0 };
            self.flicker.reset(self.grid.rows, columns);
        }
        for row in 0..self.grid.rows {
            for run in sent.runs(row * columns..(row + 1) * columns) {
                self.grid.copy(planes, &mut self.reference, run.clone());
                self.flicker.sent(row, run);
            }
        }
        self.unsent.remove_all(sent);
        self.means.remove_all(sent);
    }

    /// These are sent as they are in `planes`, which have the mean of many pictures there.
    pub fn sent_mean(&mut self, planes: &[u8], sent: &McuSet) {
        self.sent(planes, sent);
        self.means.add(sent);
    }

    /// The MCUs that were sent as the mean of many pictures.
    pub fn means(&self) -> &McuSet {
        &self.means
    }

    /// Puts these of a picture back to what was sent.
    pub fn recall(&self, planes: &mut [u8], mcus: &McuSet) {
        mcus.runs(0..self.grid.len()).for_each(|run| self.grid.copy(&self.reference, planes, run));
    }

    /// The camera's noise.
    pub(super) fn noise(&self) -> &Noise {
        &self.noise
    }

    /// Nothing is known of pictures like these, but the camera's noise.
    fn begin(&mut self, grid: Grid) {
        self.grid = grid;
        self.reference.clear();
        self.reference.resize(grid.bytes(), 0);
        self.unsent = McuSet::new(grid.size, grid.sampling);
        self.unsent.fill();
        self.means = McuSet::new(grid.size, grid.sampling);
        self.mcus.resize(grid.len(), Mcu::default());
        self.verdicts.resize(grid.len(), Verdict::Calm);
        self.flicker.reset(grid.rows, grid.columns);
        self.drifting = 0;
        self.watch = Watch::All { busy: 0 };
    }

    fn scene(&self, share: f32) -> Scene {
        Scene {
            sigma: self.noise.sigma(),
            share,
            drifting: self.drifting > 0,
            flickering: self.flicker.is_seen(),
            sampled: matches!(self.watch, Watch::Samples { .. }),
        }
    }

    fn compare(&mut self, planes: &[u8], busy: u32, changed: &mut McuSet) -> Scene {
        let Grid { rows, columns, .. } = self.grid;
        for row in 0..rows {
            let (flicker, mcus) = (&mut self.flicker, &mut self.mcus[row * columns..(row + 1) * columns]);
            self.row.measure((planes, &self.reference), &self.grid, row, mcus, |mcus| flicker.row(row, mcus));
        }
        self.flicker.picture();
        self.follow_drift();
        self.turn = !self.turn;
        let (first, step) = if self.grid.len() > LEARNT_ALL { (usize::from(self.turn), 2) } else { (0, 1) };
        self.learn(first, step);
        self.judge(0, 1);
        changed.clear();
        for row in 0..rows {
            for mcu in row * columns..(row + 1) * columns {
                let moved = match self.verdicts[mcu] {
                    Verdict::Changed => true,
                    Verdict::Weak => self.is_beside_change(row, mcu - row * columns),
                    Verdict::Calm => false,
                };
                if moved || self.flicker.is_due(mcu, row, self.mcus[mcu].level) {
                    changed.insert(mcu);
                }
            }
        }
        changed.remove_all(&self.unsent);
        let share = changed.len() as f32 / (self.grid.len() - self.unsent.len()) as f32;
        changed.add(&self.unsent);
        let busy = if share > BUSY { busy + 1 } else { 0 };
        self.watch = Watch::All { busy };
        if busy >= BUSY_FOR {
            self.watch = Watch::Samples { next: 0, left: false, calm: 0, rest: 0 };
            self.unsent.fill();
            self.means.clear();
            changed.fill();
        }
        self.scene(share)
    }

    fn sample(&mut self, planes: &[u8], first: usize, left: bool, calm: u32) -> Scene {
        let next = (first + 1) % SAMPLED.min(self.grid.rows);
        if !left {
            return self.scene(1.0);
        }
        let Grid { rows, columns, .. } = self.grid;
        for row in (first..rows).step_by(SAMPLED) {
            let mcus = &mut self.mcus[row * columns..(row + 1) * columns];
            self.row.measure((planes, &self.reference), &self.grid, row, mcus, |_| None);
        }
        self.learn(first, SAMPLED);
        self.judge(first, SAMPLED);
        let (mut looked, mut moved) = (0, 0);
        for row in (first..rows).step_by(SAMPLED) {
            let verdicts = &self.verdicts[row * columns..(row + 1) * columns];
            moved += verdicts.iter().filter(|verdict| **verdict == Verdict::Changed).count();
            looked += columns;
        }
        let share = moved as f32 / looked as f32;
        let calm = if share < CALM { calm + 1 } else { 0 };
        self.watch = Watch::Samples { next, left: false, calm, rest: SAMPLES_REST - 1 };
        self.scene(share)
    }

    /// Learns the noise from every `step`th row that was measured. MCUs that reach beyond the picture, or have no reference, do
    /// not count.
    fn learn(&mut self, first: usize, step: usize) {
        let (grid, unsent, means) = (&self.grid, &self.unsent, &self.means);
        let sampled = matches!(self.watch, Watch::Samples { .. });
        let pixels = grid.planes[0].mcu_width() * grid.planes[0].mcu_height();
        let shape = Shape { pixels, cells: pixels / PIXELS };
        let mcus = self.mcus.chunks(grid.columns).enumerate().skip(first).step_by(step).flat_map(|(row, mcus)| {
            let known = move |column: &usize| sampled || !unsent.contains(row * grid.columns + column);
            let against = move |column: usize| Against::of(means.contains(row * grid.columns + column));
            let whole = (0..mcus.len()).filter(move |column| grid.is_whole(row, *column)).filter(known);
            whole.map(move |column| (&mcus[column], against(column)))
        });
        self.noise.learn(shape, self.drifting == 0 && !self.flicker.is_seen(), mcus);
    }

    /// Whether light drifts, from all MCUs that have a reference.
    fn follow_drift(&mut self) {
        let least = DRIFT_LEAST.0 + DRIFT_LEAST.1 * self.noise.sigma();
        let (mut up, mut down) = (0, 0);
        for (_, mcu) in self.mcus.iter().enumerate().filter(|(at, _)| !self.unsent.contains(*at)) {
            up += u32::from(mcu.drift > least);
            down += u32::from(mcu.drift < -least);
        }
        let (more, fewer) = (up.max(down), up.min(down));
        if more as f32 > DRIFT * self.mcus.len() as f32 && more > 3 * fewer {
            self.drifting = DRIFT_LASTS;
        } else {
            self.drifting = self.drifting.saturating_sub(1);
        }
    }

    /// Compares what was measured in every `step`th row with what noise makes of it.
    fn judge(&mut self, first: usize, step: usize) {
        let rule = if self.drifting > 0 { &DRIFTING } else { &STEADY };
        let limits = |against: Against| {
            let luma: [Limits; PARTS] = self.noise.luma().map(|noise| Limits::new(rule, noise.against(against)));
            (luma, Limits::new(rule, self.noise.colour().against(against)))
        };
        let limits = [limits(Against::Picture), limits(Against::Mean)];
        let columns = self.grid.columns;
        let rows = self.mcus.chunks(columns).zip(self.verdicts.chunks_mut(columns)).enumerate();
        for (row, (mcus, verdicts)) in rows.skip(first).step_by(step) {
            for (column, (mcu, verdict)) in mcus.iter().zip(verdicts).enumerate() {
                let (luma, colour) = &limits[usize::from(self.means.contains(row * columns + column))];
                let luma = luma[part(mcu.level)].verdict(mcu.sum, mcu.sad);
                let colour = colour.verdict(mcu.colour_sum, mcu.colour_sad);
                *verdict = if luma > colour { luma } else { colour };
            }
        }
    }

    /// Whether one of the up to eight MCUs around this one changed.
    fn is_beside_change(&self, row: usize, column: usize) -> bool {
        let Grid { rows, columns, .. } = self.grid;
        let around = |at: usize, end: usize| at.saturating_sub(1)..(at + 2).min(end);
        around(row, rows).any(|row| {
            let row = &self.verdicts[row * columns..(row + 1) * columns];
            row[around(column, columns)].contains(&Verdict::Changed)
        })
    }
}
