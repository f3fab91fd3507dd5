//! Where a screen was drawn anew → what of it is fetched, and which MCUs of the picture may have changed.
//!
//! A display tells of damage in rectangles, of a line of text one a letter. Few are fetched, for each costs a round trip: two
//! that lie near each other become one. MCUs are marked for what is fetched, not for what lay between. Pure.

use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Sampling, Size};

/// More are joined.
const MOST: usize = 8;

/// Two become one where that is so much of both, in percent.
const NEAR: u64 = 150;

/// A part of a picture, in pixels from its upper left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub size: Size,
}

impl Rect {
    /// All of a picture.
    pub fn all(size: Size) -> Rect {
        Rect { x: 0, y: 0, size }
    }

    /// What of a rectangle anywhere lies in a picture of this size; `None`: nothing.
    pub fn within(size: Size, (x, y): (i64, i64), (width, height): (u32, u32)) -> Option<Rect> {
        let cut = |at: i64, length: u32, end: u32| {
            let (from, to) = (at.clamp(0, end.into()), (at + i64::from(length)).clamp(0, end.into()));
            (from as u32, (to - from) as u32)
        };
        let ((x, width), (y, height)) = (cut(x, width, size.width), cut(y, height, size.height));
        (width > 0 && height > 0).then_some(Rect { x, y, size: Size { width, height } })
    }

    /// What of it lies in another.
    pub fn and(self, other: Rect) -> Option<Rect> {
        let at = (i64::from(self.x) - i64::from(other.x), i64::from(self.y) - i64::from(other.y));
        let inside = Rect::within(other.size, at, (self.size.width, self.size.height))?;
        Some(Rect { x: inside.x + other.x, y: inside.y + other.y, ..inside })
    }

    /// Right and lower edge.
    fn end(self) -> (u32, u32) {
        (self.x + self.size.width, self.y + self.size.height)
    }

    fn area(self) -> u64 {
        u64::from(self.size.width) * u64::from(self.size.height)
    }

    /// The smallest that holds both.
    fn with(self, other: Rect) -> Rect {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let ((right, bottom), (other_right, other_bottom)) = (self.end(), other.end());
        Rect { x, y, size: Size { width: right.max(other_right) - x, height: bottom.max(other_bottom) - y } }
    }

    /// It, grown to whole MCUs as far as the picture has them.
    pub fn in_mcus(self, sampling: Sampling, size: Size) -> Rect {
        let mcu = sampling.mcu();
        let (x, y) = (self.x / mcu.width * mcu.width, self.y / mcu.height * mcu.height);
        let (right, bottom) = self.end();
        let width = right.next_multiple_of(mcu.width).min(size.width) - x;
        let height = bottom.next_multiple_of(mcu.height).min(size.height) - y;
        Rect { x, y, size: Size { width, height } }
    }
}

/// What was drawn since it was fetched last, as few rectangles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage(Vec<Rect>);

impl Damage {
    /// Whether nothing was drawn.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This was drawn, too.
    pub fn add(&mut self, part: Rect) {
        let mut part = part;
        // What became larger may be near to others now.
        while let Some(at) = self.nearest(part) {
            part = self.0.swap_remove(at).with(part);
        }
        self.0.push(part);
    }

    /// The one this should be joined with.
    fn nearest(&self, part: Rect) -> Option<usize> {
        let share = |known: &Rect| known.with(part).area() * 100 / (known.area() + part.area()).max(1);
        let (at, share) = self.0.iter().map(share).enumerate().min_by_key(|(_, share)| *share)?;
        (share <= NEAR || self.0.len() >= MOST).then_some(at)
    }

    /// All of it, which is forgotten.
    pub fn take(&mut self) -> Vec<Rect> {
        std::mem::take(&mut self.0)
    }
}

/// Marks every MCU that has a pixel in this part of the picture.
pub fn mark(part: Rect, mcus: &mut McuSet) {
    let (mcu, columns) = (mcus.sampling().mcu(), mcus.sampling().mcus(mcus.size()).width as usize);
    let (right, bottom) = part.end();
    let across = (part.x / mcu.width) as usize..right.div_ceil(mcu.width) as usize;
    let down = (part.y / mcu.height) as usize..bottom.div_ceil(mcu.height) as usize;
    mcus.insert_runs(down.map(|row| row * columns + across.start..row * columns + across.end.min(columns)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: Size = Size { width: 333, height: 205 };

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, size: Size { width, height } }
    }

    #[test]
    fn a_rectangle_is_cut_to_the_picture() {
        assert_eq!(Rect::within(SIZE, (-10, 200), (30, 30)), Some(rect(0, 200, 20, 5)));
        assert_eq!(Rect::within(SIZE, (-10, 0), (10, 30)), None);
        assert_eq!(Rect::within(SIZE, (333, 0), (10, 30)), None);
        assert_eq!(rect(10, 10, 20, 20).and(rect(20, 5, 100, 10)), Some(rect(20, 10, 10, 5)));
        assert_eq!(rect(10, 10, 20, 20).and(rect(30, 10, 100, 10)), None);
    }

    #[test]
    fn letters_beside_each_other_are_one_part_and_what_lies_apart_stays_two() {
        let mut damage = Damage::default();
        (0..10).for_each(|letter| damage.add(rect(20 + 8 * letter, 40, 8, 16)));
        damage.add(rect(300, 190, 4, 4));
        assert_eq!(damage.take(), [rect(20, 40, 80, 16), rect(300, 190, 4, 4)]);
        assert!(damage.is_empty());
    }

    #[test]
    fn parts_grow_to_whole_mcus_within_the_picture() {
        assert_eq!(rect(9, 9, 1, 1).in_mcus(Sampling::Yuv444, SIZE), rect(8, 8, 8, 8));
        assert_eq!(rect(320, 199, 13, 2).in_mcus(Sampling::Yuv420, SIZE), rect(320, 192, 13, 13));
    }

    proptest! {
        #[test]
        fn every_pixel_that_was_drawn_is_fetched_and_its_mcu_is_marked(
            parts in prop::collection::vec((0_u32..333, 0_u32..205, 1_u32..120, 1_u32..90), 1..30), subsampled in any::<bool>(),
        ) {
            let sampling = if subsampled { Sampling::Yuv420 } else { Sampling::Yuv444 };
            let mut damage = Damage::default();
            let inside = |(x, y, width, height): (u32, u32, u32, u32)| Rect::within(SIZE, (x.into(), y.into()), (width, height));
            let drawn: Vec<Rect> = parts.into_iter().filter_map(inside).collect();
            drawn.iter().for_each(|part| damage.add(*part));
            let fetched = damage.take();
            prop_assert!(fetched.len() <= MOST);
            let mut mcus = McuSet::new(SIZE, sampling);
            fetched.iter().for_each(|part| mark(*part, &mut mcus));
            for part in drawn {
                prop_assert!(fetched.iter().any(|one| part.and(*one) == Some(part)), "{:?} of {:?}", part, fetched);
                let mut own = McuSet::new(SIZE, sampling);
                mark(part, &mut own);
                let (mcu, columns) = (sampling.mcu(), sampling.mcus(SIZE).width);
                let wanted = (0..own.of() as u32).filter(|at| {
                    let place = rect(at % columns * mcu.width, at / columns * mcu.height, mcu.width, mcu.height);
                    part.and(place).is_some()
                });
                prop_assert_eq!(own.iter().map(|mcu| mcu as u32).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
                own.remove_all(&mcus);
                prop_assert!(own.is_empty());
            }
        }
    }
}
