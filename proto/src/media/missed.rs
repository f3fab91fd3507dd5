//! Which pictures did not all get onto the canvas: what a sender is told, so that it sends again what was in them.
//!
//! Where a picture is only what changed, one that is lost leaves a hole which the next does not cover. So every picture is told
//! of until [`TOLD`] more are settled: a report that is lost costs nothing.

use std::collections::VecDeque;

/// Pictures below the next one to be settled of which it is told whether they were missed: a bit each.
pub const TOLD: u64 = 64;

/// A picture that was said to have come may turn out to be missed while fewer than so many after it are settled: half of those
/// told of, so that a report says it again where the message that said it is lost.
pub const LATEST: u64 = TOLD / 2;

/// Pictures that are missed before they are settled: more than are put together at once.
const EARLY: usize = 64;

/// See the module text.
#[derive(Debug)]
pub struct Missed {
    /// Number after the last picture that was settled; `None` before the first.
    settled: Option<u64>,
    /// Those before it, the last one in the lowest bit.
    bits: u64,
    /// Those that are missed and not settled yet.
    early: VecDeque<u64>,
}

impl Default for Missed {
    /// Nothing came yet: whatever was sent before the first picture that is settled was missed.
    fn default() -> Self {
        Missed { settled: None, bits: u64::MAX, early: VecDeque::new() }
    }
}

/// What became of a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was told already.
    Before,
    /// It is told with what is told next.
    Next,
    /// The picture is too long ago: nobody can say any more what was in it.
    TooLate,
}

impl Missed {
    /// Every picture below this is settled. Those between that and what was settled before were missed, for nobody said that they
    /// came.
    pub fn settled_up_to(&mut self, next: u64) {
        let ahead = next.saturating_sub(*self.settled.get_or_insert(next));
        if ahead > 0 {
            self.bits = if ahead >= TOLD { u64::MAX } else { self.bits << ahead | ((1 << ahead) - 1) };
            self.settled = Some(next);
        }
        self.early.retain(|early| *early >= next);
    }

    /// A picture is settled, and all of it came, or not. Says whether it is missed.
    pub fn settled(&mut self, picture: u64, whole: bool) -> bool {
        let missed = !whole || self.early.contains(&picture);
        self.settled.get_or_insert(picture);
        self.settled_up_to(picture + 1);
        if !missed {
            self.bits &= !1;
        }
        missed
    }

    /// Something of this picture came and was not drawn.
    pub fn missed(&mut self, picture: u64) -> Told {
        let before = self.settled.and_then(|settled| settled.checked_sub(picture + 1));
        match before {
            Some(before) if before >= LATEST => Told::TooLate,
            Some(before) if self.bits >> before & 1 != 0 => Told::Before,
            Some(before) => {
                self.bits |= 1 << before;
                Told::Next
            }
            None if self.early.contains(&picture) => Told::Before,
            None => {
                if self.early.len() == EARLY {
                    self.early.pop_front();
                    self.bits = u64::MAX;
                }
                self.early.push_back(picture);
                // It is told when it is settled.
                Told::Before
            }
        }
    }

    /// The same of the pictures below this one, which is below the next to be settled: what is later is told later.
    pub fn bits_below(&self, next: u64) -> u64 {
        let later = self.settled.map_or(0, |settled| settled.saturating_sub(next));
        if later < TOLD { self.bits >> later } else { 0 }
    }

    /// What is told: of the [`TOLD`] pictures below the next to be settled those that were missed, the last one in the lowest
    /// bit.
    pub fn bits(&self) -> u64 {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_in_part_or_never_spoken_of_is_missed_and_told_for_64_pictures() {
        let mut missed = Missed::default();
        assert!(!missed.settled(7, true) && missed.settled(8, false) && !missed.settled(9, true));
        assert_eq!(missed.bits(), u64::MAX << 3 | 0b010, "and all before the first");
        assert!(!missed.settled(12, true));
        assert_eq!(missed.bits(), u64::MAX << 6 | 0b010110, "10 and 11 were passed over");
        assert_eq!([13, 12, 11, 9].map(|next| missed.bits_below(next) & 0b1111), [0b0110, 0b1011, 0b0101, 0b0101 | 0b1000]);
        missed.settled_up_to(13 + 60);
        assert_eq!((missed.bits_below(13), missed.bits_below(8)), (0b0110, 0));
        assert_eq!(missed.bits(), 0b0110 << 60 | ((1 << 60) - 1));
        missed.settled_up_to(1 << 40);
        assert_eq!(missed.bits(), u64::MAX);
    }

    #[test]
    fn what_came_and_was_not_drawn_is_told_before_or_after_it_is_settled_unless_it_is_too_long_ago() {
        let mut missed = Missed::default();
        (0..100).for_each(|picture| assert!(!missed.settled(picture, true)));
        assert_eq!([99, 99, 68, 67, 0].map(|picture| missed.missed(picture)), {
            [Told::Next, Told::Before, Told::Next, Told::TooLate, Told::TooLate]
        });
        assert_eq!(missed.bits(), 1 | 1 << 31);
        missed.missed(101);
        assert!(!missed.settled(100, true) && missed.settled(101, true) && !missed.settled(102, true));
        assert_eq!(missed.bits(), 1 << 34 | 0b1010);
    }
}
