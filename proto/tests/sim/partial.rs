//! A camera whose pictures are only what changed, by dice: in place of detector and encoder what says which MCUs a picture has,
//! and makes slices of them and of what is owed ([`PartialEncoder`]); and what is known of when each MCU changed ([`Coded`]), by
//! which a viewer's canvas is judged ([`Coded::wrong_since`]).

use super::netem::Dice;
use super::scan::fill_scan;
use eyeline_proto::media::coverage::Coverage;
use eyeline_proto::media::ladder::{Ladder, Step};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::mcus::Selection;
use eyeline_proto::wire::slice::{Head, Tables};
use std::time::Duration;

/// All is encoded anew, and none of it packed, where so much of a band is there.
const WHOLE: f64 = 0.6;

/// A slice is about so long.
const SLICE_BYTES: usize = 9600;

const SAMPLING: Sampling = Sampling::Yuv420;

/// What changes from picture to picture.
#[derive(Clone)]
pub struct Changes {
    /// A block of so much of the picture, which wanders.
    pub moving: f64,
    /// And so much of the rest, here and there.
    pub stray: f64,
    /// All of it, in these pictures.
    pub cuts: Vec<u64>,
    /// Nothing from this picture on.
    pub until: u64,
}

impl Changes {
    /// A head before a still room, for as long as is looked at it.
    pub fn head() -> Changes {
        Changes { moving: 0.12, stray: 0.005, cuts: Vec::new(), until: u64::MAX }
    }
}

/// When each MCU of a camera's picture was coded.
#[derive(Default)]
pub struct Coded {
    grid: Option<Size>,
    /// The first picture of this size, and when it was caught.
    first: (u64, u64),
    /// Of each MCU the pictures in which it changed, and when those were caught.
    changes: Vec<Vec<(u64, u64)>>,
}

impl Coded {
    fn note(&mut self, (picture, at): (u64, u64), grid: Size, changed: &McuSet) {
        if self.grid != Some(grid) {
            (self.grid, self.first) = (Some(grid), (picture, at));
            self.changes = vec![Vec::new(); changed.of()];
        }
        changed.iter().for_each(|mcu| self.changes[mcu].push((picture, at)));
    }

    /// How many MCUs a canvas shows that were coded anew since, and since when the first of them is wrong. `None`: it shows
    /// nothing yet.
    pub fn wrong_since(&self, canvas: Option<&Coverage>) -> (usize, Option<u64>) {
        let Some(grid) = self.grid else { return (0, None) };
        let Some(canvas) = canvas.filter(|canvas| canvas.grid() == grid) else {
            return (self.changes.len(), Some(self.first.1));
        };
        let next = |(mcu, changes): (usize, &Vec<(u64, u64)>)| {
            let shown = canvas.shown(mcu);
            changes.get(changes.partition_point(|(picture, _)| shown >= Some(*picture))).map(|(_, at)| *at)
        };
        self.changes
            .iter()
            .enumerate()
            .filter_map(next)
            .fold((0, None), |(wrong, first), at| (wrong + 1, Some(first.map_or(at, |first: u64| first.min(at)))))
    }
}

/// See the module text.
pub struct PartialEncoder {
    changes: Changes,
    dice: Dice,
    pub owed: Owed,
    /// Somebody wants every picture whole.
    pub whole: bool,
    size: Option<Size>,
    /// Where the block that wanders is.
    place: (f64, f64),
}

impl PartialEncoder {
    pub fn new(changes: Changes, salt: u64) -> PartialEncoder {
        PartialEncoder { changes, dice: Dice::new(salt), owed: Owed::Nothing, whole: false, size: None, place: (0.3, 0.3) }
    }

    /// The slices of a picture that was caught then, of which an MCU takes so many bytes at quality 80.
    pub fn encode(
        &mut self,
        (picture, capture, at): (u64, MediaTime, u64),
        (salt, per_mcu): (u64, f64),
        (ladder, step): (&mut Ladder, Step),
        coded: &mut Coded,
    ) -> Vec<Slice> {
        let size =
            Size { width: 1280 * u32::from(step.eighths) / 8 / 16 * 16, height: 720 * u32::from(step.eighths) / 8 / 16 * 16 };
        let all = self.whole || self.size.replace(size) != Some(size) || self.changes.cuts.contains(&picture);
        let changed = self.changed(picture, size, all);
        coded.note((picture, at), SAMPLING.mcus(size), &changed);
        let mut owed = McuSet::new(size, SAMPLING);
        match &self.owed {
            Owed::Some(set) if set.is_of(size, SAMPLING) => set.iter().for_each(|mcu| owed.insert(mcu)),
            Owed::All => owed.insert_runs(std::iter::once(0..owed.of())),
            Owed::Some(_) | Owed::Nothing => {}
        }
        changed.iter().for_each(|mcu| owed.remove(mcu));
        let share = (changed.len() + owed.len()) as f64 / changed.of() as f64;
        let step = Step { quality: ladder.quality_of(step, share), ..step };
        let per_mcu = per_mcu * (f64::from(step.quality) / 80.0).powf(0.9);
        let mut plans = bands(&changed, per_mcu);
        let shared = plans.len() as u8;
        if !owed.is_empty() {
            plans.extend(bands(&owed, per_mcu));
        }
        let count = plans.len() as u8;
        let slice = |(index, (rows, mcus)): (usize, (std::ops::Range<u32>, Vec<usize>))| {
            let columns = SAMPLING.mcus(size).width;
            let of = ((rows.end - rows.start) * columns) as usize;
            let bytes = (mcus.len() as f64 * per_mcu) as usize;
            let named = Selection::new(of, mcus.iter().copied()).expect("fewer than a head can count");
            let head = Head {
                sampling: SAMPLING,
                tables: Tables::Own(step.quality),
                size,
                top: (rows.start * 16) as u16,
                rows: ((rows.end - rows.start) * 16) as u16,
                restart: 20,
                capture,
                queued: Duration::ZERO,
                encoded: Duration::ZERO,
                shared,
                position: None,
                mcus: Some(named.mcus()).filter(|_| (mcus.len() as f64) < WHOLE * of as f64),
            };
            let mut scan = vec![0; bytes];
            fill_scan(salt, picture, index as u8, &mut scan);
            Slice::new(picture, index as u8, count, &head, &scan)
        };
        let slices: Vec<Slice> = plans.into_iter().enumerate().map(slice).collect();
        ladder.note_part(step, share, slices.iter().map(|slice| slice.bytes().len()).sum(), 0);
        slices
    }

    fn changed(&mut self, picture: u64, size: Size, all: bool) -> McuSet {
        let mut changed = McuSet::new(size, SAMPLING);
        let grid = SAMPLING.mcus(size);
        if all {
            changed.insert_runs(std::iter::once(0..changed.of()));
        } else if picture < self.changes.until {
            let side = self.changes.moving.sqrt();
            let mut wander = |at: f64| (at + (self.dice.unit() - 0.5) * 0.04).clamp(0.0, 1.0 - side);
            self.place = (wander(self.place.0), wander(self.place.1));
            for mcu in 0..changed.of() {
                let (x, y) = (mcu as u32 % grid.width, mcu as u32 / grid.width);
                let (x, y) = (f64::from(x) / f64::from(grid.width), f64::from(y) / f64::from(grid.height));
                let (left, top) = self.place;
                let moves = (left..left + side).contains(&x) && (top..top + side).contains(&y);
                if moves || self.dice.happens(self.changes.stray) {
                    changed.insert(mcu);
                }
            }
        }
        changed
    }
}

/// Bands of MCU rows of about one slice's length each, at least one, and which MCUs of each are in the set, by their numbers in
/// it; all of a band where most are.
fn bands(set: &McuSet, per_mcu: f64) -> Vec<(std::ops::Range<u32>, Vec<usize>)> {
    let grid = SAMPLING.mcus(set.size());
    let count = ((set.len() as f64 * per_mcu) as usize / SLICE_BYTES).clamp(1, 12) as u32;
    let band = |number: u32| {
        let rows = grid.height * number / count..grid.height * (number + 1) / count;
        let (first, end) = ((rows.start * grid.width) as usize, (rows.end * grid.width) as usize);
        let some: Vec<usize> = (first..end).filter(|mcu| set.contains(*mcu)).map(|mcu| mcu - first).collect();
        let most = some.len() as f64 >= WHOLE * (end - first) as f64;
        (rows, if most { (0..end - first).collect() } else { some })
    };
    (0..count).map(band).collect()
}
