//! Which parts of a picture were written since it was last shown: few rectangles that hold them all.
//!
//! Two that lie near each other become one, for each costs the display a request; two that lie apart stay two, for what lies
//! between them need not be scaled or copied again.

use super::scale::Rect;
use eyeline_proto::picture::Size;

/// More are joined.
const MOST: usize = 8;

/// Two become one where that is so much of both, in percent.
const NEAR: u64 = 130;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Damage(Vec<Rect>);

impl Damage {
    /// All of a picture.
    pub(super) fn all(size: Size) -> Self {
        let mut damage = Damage::default();
        damage.add(Rect { x: 0, y: 0, size });
        damage
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rectangles; some may overlap.
    pub(super) fn parts(&self) -> &[Rect] {
        &self.0
    }

    /// This part was written, too.
    pub(super) fn add(&mut self, part: Rect) {
        if area(part) == 0 {
            return;
        }
        let mut part = part;
        // What became larger may be near to others now.
        while let Some(at) = self.nearest(part) {
            part = union(self.0.swap_remove(at), part);
        }
        self.0.push(part);
    }

    /// The one this should be joined with.
    fn nearest(&self, part: Rect) -> Option<usize> {
        let share = |known: &Rect| area(union(*known, part)) * 100 / (area(*known) + area(part));
        let (at, share) = self.0.iter().map(share).enumerate().min_by_key(|(_, share)| *share)?;
        (share <= NEAR || self.0.len() == MOST).then_some(at)
    }
}

fn area(part: Rect) -> u64 {
    u64::from(part.size.width) * u64::from(part.size.height)
}

fn union(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let right = (a.x + a.size.width).max(b.x + b.size.width);
    let bottom = (a.y + a.size.height).max(b.y + b.size.height);
    Rect { x, y, size: Size { width: right - x, height: bottom - y } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, size: Size { width, height } }
    }

    #[test]
    fn neighbours_become_one_and_what_lies_apart_stays_apart() {
        let mut damage = Damage::default();
        damage.add(rect(0, 0, 64, 16));
        damage.add(rect(64, 0, 64, 16));
        damage.add(rect(600, 300, 16, 16));
        assert_eq!(damage.parts(), [rect(0, 0, 128, 16), rect(600, 300, 16, 16)]);
        damage.add(rect(0, 0, 0, 16));
        assert_eq!(damage.parts().len(), 2, "nothing was written");
        assert_eq!(Damage::all(Size { width: 8, height: 4 }).parts(), [rect(0, 0, 8, 4)]);
    }

    proptest! {
        #[test]
        fn few_rectangles_hold_all_that_was_written(
            parts in prop::collection::vec((0_u32..1000, 0_u32..1000, 1_u32..50, 1_u32..50), 1..60)
        ) {
            let mut damage = Damage::default();
            let parts: Vec<Rect> = parts.into_iter().map(|(x, y, width, height)| rect(x, y, width, height)).collect();
            parts.iter().for_each(|part| damage.add(*part));
            prop_assert!((1..=MOST).contains(&damage.parts().len()));
            for part in parts {
                prop_assert!(damage.parts().iter().any(|known| union(*known, part) == *known), "{part:?} is lost");
            }
        }
    }
}
