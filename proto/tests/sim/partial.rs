//! A camera whose pictures are only what changed, by dice: in place of detector and encoder what says which MCUs a picture has,
//! and fills the slices that the shipped [`Parts`] make of them and of what is owed ([`PartialEncoder`]); and what is known of
//! when each MCU changed ([`Coded`]), by which a viewer's canvas is judged ([`Coded::wrong_since`]).

use super::netem::Dice;
use super::scan::fill_scan;
use eyeline_proto::media::coverage::Coverage;
use eyeline_proto::media::ladder::{Ladder, Step};
use eyeline_proto::media::parts::{MOST, Parts, Why};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Whole;
use eyeline_proto::wire::slice::{Head, Tables};
use std::time::Duration;

/// Bands of a picture of which all is coded.
const BANDS: u32 = 12;

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
    /// Who wants every picture whole.
    pub whole: Whole,
    size: Option<Size>,
    /// Where the block that wanders is.
    place: (f64, f64),
}

impl PartialEncoder {
    pub fn new(changes: Changes, salt: u64) -> PartialEncoder {
        PartialEncoder {
            changes,
            dice: Dice::new(salt),
            owed: Owed::Nothing,
            whole: Whole::Nobody,
            size: None,
            place: (0.3, 0.3),
        }
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
        let all = self.size.replace(size) != Some(size) || self.changes.cuts.contains(&picture);
        let mut changed = self.changed(picture, size, all || self.whole == Whole::Everybody);
        if changed.len() as f64 >= MOST * changed.of() as f64 {
            changed.fill();
        }
        coded.note((picture, at), SAMPLING.mcus(size), &changed);
        let (mut owed, none) = (self.owed.of(size, SAMPLING), McuSet::new(size, SAMPLING));
        owed.remove_all(&changed);
        let mcus = changed.of();
        let share = |set: &McuSet| set.len() as f64 / mcus as f64;
        let quality = ladder.quality_of(step, share(&changed));
        let owed_quality = ladder.quality_of(step, share(&changed) + share(&owed));
        let whole_quality = ladder.quality_beside(step, share(&changed));
        let bytes_of = |quality: u8| per_mcu * (f64::from(quality) / 80.0).powf(0.9);
        let rows = SAMPLING.mcus(size).height;
        let edge = |band: u32| rows * band / BANDS * 16;
        let bands = (0..BANDS).map(|band| (edge(band), edge(band + 1) - edge(band)));
        let parts = match self.whole {
            _ if share(&changed) == 1.0 => Parts::whole(bands, mcus),
            Whole::Somebody => Parts::some([&changed, &none, &owed], bytes_of(quality)).and_whole(bands, mcus),
            Whole::Nobody | Whole::Everybody => Parts::some([&changed, &none, &owed], bytes_of(quality)),
        };
        let (shared, owed, count) = (parts.shared as u8, parts.owed as u8, parts.parts.len() as u8);
        let mut slices = Vec::new();
        for (index, part) in (0..).zip(&parts.parts) {
            let quality = match index {
                index if index < shared => quality,
                index if index < owed => owed_quality,
                _ => whole_quality,
            };
            let head = Head {
                sampling: SAMPLING,
                tables: Tables::Own(quality),
                size,
                top: part.top as u16,
                rows: part.rows as u16,
                restart: 20,
                capture,
                queued: Duration::ZERO,
                encoded: Duration::ZERO,
                shared,
                owed,
                position: None,
                mcus: part.mcus.as_ref().map(|some| some.mcus()),
            };
            let mut scan = vec![0; (part.coded as f64 * bytes_of(quality)) as usize];
            fill_scan(salt, picture, index, &mut scan);
            slices.push(Slice::new(picture, index, count, &head, &scan));
        }
        let bytes = slices[..parts.shared].iter().map(|slice| slice.bytes().len()).sum();
        ladder.note_part(Step { quality, ..step }, parts.coded(Why::Changed) as f64 / mcus as f64, bytes, 0);
        slices
    }

    fn changed(&mut self, picture: u64, size: Size, all: bool) -> McuSet {
        let mut changed = McuSet::new(size, SAMPLING);
        let grid = SAMPLING.mcus(size);
        if all {
            changed.fill();
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
