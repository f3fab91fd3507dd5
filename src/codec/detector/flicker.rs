//! Lamps that flicker with the mains.
//!
//! They go bright and dark 100 or 120 times a second. A camera that takes 30 pictures a second sees them at another moment of
//! that each time, and a rolling shutter at another moment in each row: bars of brightness that jump from picture to picture.
//! Against what was sent, most of the picture would be different for ever. But the jumps are the same all along a row, they are
//! a share of the brightness, and they come back: three pictures later all is as before (100 Hz at 30 a second; 120 Hz stands
//! still).
//!
//! So of each row of MCUs the median change of brightness since the picture before is followed. By how much the row is brighter
//! than it was on average in the last six pictures, a share, is its *phase*. Where rows swing, the phase of an MCU when it was
//! sent is remembered, and what it should have brightened since is no change. An MCU that was sent far from the middle of the
//! swing would look like a stain among its neighbours, so it is due again when its row comes near the middle. What is slow, as a
//! beat of 120 Hz against 29.97 pictures, is left to the detector.

use super::cells::{Gain, Mcu};

/// Pictures whose mean is the middle of the swing: whole swings of two, three and six pictures.
const MIDDLE: usize = 6;

/// Changes are compared with those of so many pictures before: a swing of up to six has its opposite among them.
const LAGS: usize = 3;

/// What a picture counts among those that tell whether rows swing.
const SHARE: f32 = 1.0 / 8.0;

/// Rows swing from so much a picture on (root mean square, a share of the brightness).
const LEAST: f32 = 0.003;

/// More than lamps do. Somebody has switched a light, or moved the camera.
const MOST: f32 = 0.15;

/// Changes must be opposite to earlier ones by so much to count as a swing, and are no more one below the other (correlations;
/// of a swing of three pictures it is -0.5).
const BEGINS: f32 = -0.35;
const ENDS: f32 = -0.2;

/// An MCU is a stain from so many levels on, where its row is this much nearer to the middle than when it was sent.
const STAIN: f32 = 1.5;
const NEARER: f32 = 0.6;

/// See the module text.
#[derive(Debug, Default)]
pub struct Flicker {
    /// Mean luma of each MCU in the picture before.
    levels: Vec<f32>,
    rows: Vec<Swing>,
    /// Phase in which each MCU was sent.
    sent: Vec<Gain>,
    power: f32,
    correlations: [f32; LAGS],
    swings: bool,
    gains: Vec<Gain>,
    changes: Vec<f32>,
}

/// One row of MCUs.
#[derive(Debug, Clone, Copy, Default)]
struct Swing {
    /// The last changes, newest first.
    changes: [f32; MIDDLE - 1],
}

impl Swing {
    fn push(&mut self, change: f32) {
        if change.abs() > MOST {
            self.changes.fill(0.0);
            return;
        }
        self.changes.rotate_right(1);
        self.changes[0] = change;
    }

    /// A change counts for all pictures before it among those whose mean is taken.
    fn phase(&self) -> f32 {
        let since = |(age, change): (usize, &f32)| change * (MIDDLE - 1 - age) as f32;
        self.changes.iter().enumerate().map(since).sum::<f32>() / MIDDLE as f32
    }
}

impl Flicker {
    /// Nothing is known of a picture of so many rows and columns of MCUs.
    pub fn reset(&mut self, rows: usize, columns: usize) {
        *self = Flicker::default();
        self.rows.resize(rows, Swing::default());
        self.sent.resize(rows * columns, Gain::default());
    }

    /// Whether rows swing.
    pub fn is_seen(&self) -> bool {
        self.swings
    }

    /// Learns from the brightness of a row of MCUs. Where rows swing, says by what share each should be brighter than when it was
    /// sent.
    pub fn row(&mut self, row: usize, mcus: &[Mcu]) -> Option<&[Gain]> {
        let at = row * mcus.len()..(row + 1) * mcus.len();
        self.changes.clear();
        if let Some(levels) = self.levels.get_mut(at.clone()) {
            let share = |mcu: &Mcu, level: f32| (mcu.level - level) / level.max(16.0);
            self.changes.extend(mcus.iter().zip(&*levels).map(|(mcu, level)| share(mcu, *level)));
            levels.iter_mut().zip(mcus).for_each(|(level, mcu)| *level = mcu.level);
        } else {
            self.levels.extend(mcus.iter().map(|mcu| mcu.level));
        }
        let middle = self.changes.len() / 2;
        let change = match self.changes.is_empty() {
            true => 0.0,
            false => *self.changes.select_nth_unstable_by(middle, f32::total_cmp).1,
        };
        let swing = &mut self.rows[row];
        swing.push(change);
        if !self.swings {
            return None;
        }
        let phase = self.phase(row);
        let since = |sent: &Gain| Gain {
            middle: (phase.middle - sent.middle).clamp(-MOST, MOST),
            slope: (phase.slope - sent.slope).clamp(-MOST, MOST),
        };
        self.gains.clear();
        self.gains.extend(self.sent[at].iter().map(since));
        Some(&self.gains)
    }

    /// The phase of a row of MCUs. A shutter takes so long for it that its top and bottom differ; what the row above tells of
    /// that is near enough.
    fn phase(&self, row: usize) -> Gain {
        let middle = self.rows[row].phase();
        let above = row.checked_sub(1).map_or(middle, |above| self.rows[above].phase());
        Gain { middle, slope: middle - above }
    }

    /// After the last row: whether rows swing.
    pub fn picture(&mut self) {
        let of = |lag: usize| self.rows.iter().map(|row| row.changes[0] * row.changes[lag]).sum::<f32>();
        let rows = self.rows.len().max(1) as f32;
        let follow = |known: &mut f32, now: f32| *known += (now / rows - *known) * SHARE;
        follow(&mut self.power, of(0));
        let now: [f32; LAGS] = std::array::from_fn(|lag| of(lag + 1));
        self.correlations.iter_mut().zip(now).for_each(|(known, now)| follow(known, now));
        let opposite = self.correlations.iter().copied().fold(0.0, f32::min) / self.power.max(f32::MIN_POSITIVE);
        let strong = self.power > LEAST * LEAST;
        let swung = self.swings;
        self.swings = strong && opposite < if swung { ENDS } else { BEGINS };
        if swung && !self.swings {
            self.sent.fill(Gain::default());
        }
    }

    /// Whether an MCU was sent so bright or dark that it is a stain, and is better sent now.
    pub fn is_due(&self, mcu: usize, row: usize, level: f32) -> bool {
        let sent = self.sent[mcu].middle.abs();
        self.swings && sent * level > STAIN && self.rows[row].phase().abs() < NEARER * sent
    }

    /// These MCUs of a row were sent as the last picture has them.
    pub fn sent(&mut self, row: usize, mcus: std::ops::Range<usize>) {
        let phase = if self.swings { self.phase(row) } else { Gain::default() };
        self.sent[mcus].fill(phase);
    }
}
