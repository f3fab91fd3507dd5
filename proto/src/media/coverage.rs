//! What a canvas shows: of each MCU, of which picture it is.
//!
//! Slices are of some MCUs, and are drawn in any order: one that comes late draws what no newer one has drawn. So a loss leaves
//! an older picture's MCUs standing, and nothing older ever covers what is newer.

use crate::picture::Size;
use std::ops::Range;

/// See the module text. MCUs are numbered row by row from the upper left.
#[derive(Debug, Clone)]
pub struct Coverage {
    grid: Size,
    /// The number after that of the picture each MCU is of; 0 of none.
    after: Vec<u64>,
}

impl Coverage {
    /// So many columns and rows of which nothing is shown.
    pub fn new(grid: Size) -> Self {
        Coverage { grid, after: vec![0; grid.width as usize * grid.height as usize] }
    }

    /// Columns and rows.
    pub fn grid(&self) -> Size {
        self.grid
    }

    /// Of which picture an MCU is.
    pub fn shown(&self, mcu: usize) -> Option<u64> {
        self.after.get(mcu)?.checked_sub(1)
    }

    /// Whether none of these is of a newer picture: all may be drawn.
    pub fn takes_all(&self, picture: u64, mut runs: impl Iterator<Item = Range<usize>>) -> bool {
        runs.all(|run| self.after.get(run).is_some_and(|known| known.iter().all(|after| *after <= picture + 1)))
    }

    /// Whether this one is of no newer picture.
    pub fn takes(&self, picture: u64, mcu: usize) -> bool {
        self.after.get(mcu).is_some_and(|after| *after <= picture + 1)
    }

    /// These were drawn, but for those that are of a newer picture already.
    pub fn drawn(&mut self, picture: u64, runs: impl Iterator<Item = Range<usize>>) {
        for run in runs {
            let known = self.after.get_mut(run).into_iter().flatten();
            known.for_each(|after| *after = (*after).max(picture + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_draws_what_nothing_newer_has_drawn() {
        let mut coverage = Coverage::new(Size { width: 4, height: 2 });
        coverage.drawn(5, std::iter::once(2..6));
        assert!(coverage.takes_all(5, std::iter::once(0..8)), "of the same picture");
        assert!(!coverage.takes_all(4, std::iter::once(0..8)) && coverage.takes_all(4, [0..2, 6..8].into_iter()));
        coverage.drawn(4, std::iter::once(0..8));
        let shown: Vec<Option<u64>> = (0..8).map(|mcu| coverage.shown(mcu)).collect();
        assert_eq!(shown, [4, 4, 5, 5, 5, 5, 4, 4].map(Some));
        assert!(coverage.takes(4, 0) && !coverage.takes(4, 2) && !coverage.takes(9, 8), "there is no such MCU");
        assert_eq!((coverage.shown(8), Coverage::new(Size { width: 0, height: 0 }).shown(0)), (None, None));
    }
}
