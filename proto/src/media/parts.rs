//! In which slices a picture is coded: all of it in bands, or some of its MCUs.
//!
//! What changed and what is refined is for every receiver; what is owed is for those who lack it, and comes in slices behind
//! those; all of it, in bands, is for those who want each picture whole, and comes last. A part is a band of MCU rows, no higher
//! than what it has, of which some MCUs are packed, or all are coded where all are due: never one that is not, for what was sent
//! of it is kept in mind. Parts of one kind have about as many MCUs each, so that threads end together.

use crate::picture::mcu_set::McuSet;
use crate::wire::mcus::Selection;
use crate::wire::slice::LONGEST_ROW;
use std::ops::Range;

/// What a slice should weigh: eight datagrams of 1200 bytes.
pub const SLICE_BYTES: usize = 8 * 1200;

/// Slices of a picture whose slices would be longer than [`SLICE_BYTES`]: four for each of four workers. More gain no time, and
/// cost a picture of 4K a quarter of a percent in bytes.
pub const ENOUGH: usize = 16;

/// Where so much of a picture is coded, all of it is: packing costs more than it saves there.
pub const MOST: f64 = 0.6;

/// So many MCUs are worth a second thread: two thirds of a millisecond.
const WORTH_A_THREAD: usize = 1024;

/// Why MCUs are coded, which decides on their quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Changed,
    /// Sent once more, better.
    Refined,
    /// Somebody lacks them.
    Owed,
    /// Somebody wants all of each picture.
    Whole,
}

/// First row of a band, and rows.
pub type Band = (u32, u32);

/// One slice to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub why: Why,
    /// First row of its band, and rows.
    pub top: u32,
    pub rows: u32,
    /// The MCUs of the band that are coded; `None`: all.
    pub mcus: Option<Selection>,
    /// How many that are.
    pub coded: usize,
}

/// All slices of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    pub parts: Vec<Part>,
    /// So many of them, from the first on, are for every receiver.
    pub shared: usize,
    /// So many, those among them, are for who lacks anything. The others are all of it again, for who wants it whole.
    pub owed: usize,
}

impl Parts {
    /// All of it, in these bands of a picture of `mcus` MCUs.
    pub fn whole(bands: impl IntoIterator<Item = Band>, mcus: usize) -> Parts {
        let parts = in_bands(Why::Changed, bands, mcus);
        Parts { shared: parts.len(), owed: parts.len(), parts }
    }

    /// What is due of pictures of one kind, an MCU taking about so many bytes. No MCU is in two of these.
    pub fn some([changed, refined, owed]: [&McuSet; 3], per_mcu: f64) -> Parts {
        let mut parts = split(Why::Changed, changed, per_mcu);
        parts.extend(split(Why::Refined, refined, per_mcu));
        if parts.is_empty() {
            // One of no MCUs tells that there is a picture, and when it was caught.
            let rows = changed.sampling().mcu().height.min(changed.size().height);
            let band = changed.sampling().mcus(changed.size()).width as usize;
            parts.push(Part { why: Why::Changed, top: 0, rows, mcus: Selection::new(band, std::iter::empty()), coded: 0 });
        }
        let shared = parts.len();
        parts.extend(split(Why::Owed, owed, per_mcu));
        Parts { shared, owed: parts.len(), parts }
    }

    /// And all of it once more, in these bands of a picture of `mcus` MCUs.
    pub fn and_whole(mut self, bands: impl IntoIterator<Item = Band>, mcus: usize) -> Parts {
        self.parts.extend(in_bands(Why::Whole, bands, mcus));
        self
    }

    /// MCUs that are coded for that reason.
    pub fn coded(&self, why: Why) -> usize {
        self.parts.iter().filter(|part| part.why == why).map(|part| part.coded).sum()
    }
}

/// A part for each of these bands.
fn in_bands(why: Why, bands: impl IntoIterator<Item = Band>, mcus: usize) -> Vec<Part> {
    let bands: Vec<Band> = bands.into_iter().collect();
    let coded = mcus / bands.len().max(1);
    bands.into_iter().map(|(top, rows)| Part { why, top, rows, mcus: None, coded }).collect()
}

/// Parts of about as many MCUs each; none of none.
fn split(why: Why, set: &McuSet, per_mcu: f64) -> Vec<Part> {
    let (grid, mcu) = (set.sampling().mcus(set.size()), set.sampling().mcu());
    let columns = grid.width as usize;
    let mut left = vec![0; grid.height as usize];
    set.iter().for_each(|mcu| left[mcu / columns] += 1);
    let (all, most) = (set.len(), (LONGEST_ROW / mcu.width) as usize);
    let count = ((all as f64 * per_mcu) as usize / SLICE_BYTES).max(all / WORTH_A_THREAD).clamp(1, ENOUGH);
    let each = all.div_ceil(count);
    let (mut parts, mut first, mut taken) = (Vec::new(), 0, 0);
    for row in 0..left.len() {
        let next = left.get(row + 1).copied().unwrap_or(0);
        taken += left[row];
        if taken > 0 && (row + 1 == left.len() || taken + next / 2 >= each || taken + next > most) {
            let rows = (first..row + 1).find(|row| left[*row] > 0).unwrap_or(row);
            let end = (first..row + 1).rfind(|row| left[*row] > 0).unwrap_or(row) + 1;
            parts.push(part(why, set, rows..end, taken));
            (first, taken) = (row + 1, 0);
        }
    }
    parts
}

/// The part of these MCU rows, in which so many MCUs are of the set.
fn part(why: Why, set: &McuSet, rows: Range<usize>, coded: usize) -> Part {
    let columns = set.sampling().mcus(set.size()).width as usize;
    let mcus = rows.start * columns..rows.end * columns;
    let height = set.sampling().mcu().height;
    let (top, end) = (rows.start as u32 * height, (rows.end as u32 * height).min(set.size().height));
    let named = set.runs(mcus.clone()).flatten().map(|mcu| mcu - mcus.start);
    let packed = (coded < mcus.len()).then(|| Selection::new(mcus.len(), named)).flatten();
    Part { why, top, rows: end - top, mcus: packed, coded }
}

#[cfg(test)]
mod tests {
    use super::super::slice::{Slice, testing};
    use super::*;
    use crate::picture::{Sampling, Size};
    use crate::wire::slice::Head;
    use proptest::prelude::*;

    const HD: Size = Size { width: 1280, height: 720 };

    fn set(size: Size, sampling: Sampling, mcus: impl IntoIterator<Item = usize>) -> McuSet {
        let mut set = McuSet::new(size, sampling);
        mcus.into_iter().for_each(|mcu| set.insert(mcu));
        set
    }

    /// The MCUs that parts code, in order of the parts.
    fn coded(parts: &[Part], columns: usize, height: u32) -> Vec<usize> {
        let of = |part: &Part| {
            let first = (part.top / height) as usize * columns;
            match &part.mcus {
                Some(some) => some.mcus().iter().map(|mcu| first + mcu).collect::<Vec<_>>(),
                None => (first..first + part.rows.div_ceil(height) as usize * columns).collect(),
            }
        };
        parts.iter().flat_map(of).collect()
    }

    proptest! {
        #[test]
        fn every_mcu_that_is_due_is_coded_once_for_its_reason_and_no_other_is(
            width in 1_u32..900, height in 1_u32..700, grey in any::<bool>(), of in 1_usize..40, seed in 0_usize..97,
        ) {
            let (size, sampling) = (Size { width, height }, if grey { Sampling::Grey } else { Sampling::Yuv420 });
            let all = set(size, sampling, []).of();
            let changed = set(size, sampling, (0..all).filter(|mcu| (mcu * 31 + seed) % (of + 1) == 0));
            let refined = set(size, sampling, (0..all).filter(|mcu| mcu / 9 % 5 == seed % 5 && !changed.contains(*mcu)));
            let owed = set(size, sampling, (0..all).filter(|mcu| {
                mcu % 7 == seed % 7 && !changed.contains(*mcu) && !refined.contains(*mcu)
            }));
            let Parts { parts, shared, .. } = Parts::some([&changed, &refined, &owed], 30.0);
            prop_assert!(shared >= 1 && parts.len() <= 3 * (ENOUGH + 1));
            prop_assert!(parts.iter().enumerate().all(|(index, part)| (index < shared) == (part.why != Why::Owed)));
            let (columns, mcu) = (sampling.mcus(size).width as usize, sampling.mcu().height);
            for (set, why) in [(&changed, Why::Changed), (&refined, Why::Refined), (&owed, Why::Owed)] {
                let of: Vec<Part> = parts.iter().filter(|part| part.why == why).cloned().collect();
                prop_assert_eq!(coded(&of, columns, mcu), set.iter().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), of.iter().map(|part| part.coded).sum::<usize>());
                prop_assert!(of.iter().all(|part| part.rows > 0 && part.top + part.rows <= height));
            }
        }
    }

    #[test]
    fn nothing_is_a_slice_of_nothing_and_all_is_whole_bands() {
        let none = set(HD, Sampling::Yuv420, []);
        let Parts { parts, shared, .. } = Parts::some([&none; 3], 30.0);
        assert_eq!((parts.len(), shared, parts[0].coded, parts[0].rows), (1, 1, 0, 16));
        let all = set(HD, Sampling::Yuv420, 0..3600);
        let Parts { parts, shared, .. } = Parts::some([&none, &none, &all], 30.0);
        assert!(shared == 1 && parts.len() > 8 && parts[1..].iter().all(|part| part.mcus.is_none()), "{parts:?}");
        assert_eq!(parts[1..].iter().map(|part| part.rows).sum::<u32>(), 720);
    }

    #[test]
    fn a_slice_of_nothing_is_one_that_a_receiver_can_read() {
        for (size, sampling) in [(HD, Sampling::Yuv420), (HD, Sampling::Grey), (Size { width: 8, height: 5 }, Sampling::Yuv422)] {
            let none = set(size, sampling, []);
            let Parts { parts, .. } = Parts::some([&none; 3], 30.0);
            let mcus = parts[0].mcus.as_ref().map(|some| some.mcus());
            let head = Head { size, sampling, top: parts[0].top as u16, rows: parts[0].rows as u16, mcus, ..testing::head() };
            let sent = Slice::new(7, 0, 1, &head, &[]);
            let came = Slice::read(7, 0, 1, sent.bytes().clone());
            assert_eq!(came.map(|slice| slice.head().runs().count()), Ok(0), "{size}");
        }
    }

    #[test]
    fn all_of_it_again_comes_behind_what_is_owed_and_counts_for_nobody_else() {
        let [changed, owed] = [&[1, 2][..], &[900]].map(|mcus| set(HD, Sampling::Yuv420, mcus.iter().copied()));
        let none = set(HD, Sampling::Yuv420, []);
        let some = Parts::some([&changed, &none, &owed], 30.0);
        let both = some.clone().and_whole([(0, 400), (400, 320)], 3600);
        assert_eq!((both.shared, both.owed, both.parts.len(), both.coded(Why::Changed)), (1, 2, 4, 2));
        assert_eq!(both.parts[..2], some.parts);
        let whole = |part: Part| Part { why: Why::Whole, ..part };
        let bands = Parts::whole([(0, 400), (400, 320)], 3600).parts.into_iter().map(whole);
        assert_eq!(both.parts[2..], bands.collect::<Vec<_>>());
    }

    #[test]
    fn a_head_is_a_part_no_higher_than_it_is_and_a_crowd_is_several_of_about_one_size() {
        let head = (10..30).flat_map(|row| (20..32).map(move |column| row * 80 + column));
        let none = set(HD, Sampling::Yuv420, []);
        let Parts { parts, .. } = Parts::some([&set(HD, Sampling::Yuv420, head), &none, &none], 30.0);
        assert_eq!((parts.len(), parts[0].top, parts[0].rows, parts[0].coded), (1, 160, 320, 240));
        let crowd = set(HD, Sampling::Yuv420, (0..3600).filter(|mcu| mcu % 3 == 0));
        let Parts { parts, .. } = Parts::some([&crowd, &none, &none], 30.0);
        assert!(parts.len() == 3 && parts.iter().all(|part| (350..450).contains(&part.coded)), "{parts:?}");
        // No strip is longer than libjpeg takes.
        let wide = Size { width: 8192, height: 2048 };
        let some = set(wide, Sampling::Yuv420, (0..65_536).filter(|mcu| mcu % 2 == 0));
        let none = set(wide, Sampling::Yuv420, []);
        let Parts { parts, .. } = Parts::some([&some, &none, &none], 0.01);
        assert!(parts.iter().all(|part| part.coded <= 4093 && part.mcus.is_some()), "{parts:?}");
    }
}
