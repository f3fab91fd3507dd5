//! Some MCUs of a picture of one size and sampling, and what a receiver is owed.

use super::{Sampling, Size};
use std::ops::Range;

/// See the module text. MCUs are numbered row by row from the upper left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McuSet {
    size: Size,
    sampling: Sampling,
    words: Vec<u64>,
}

/// What somebody lacks of the picture as it was sent last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// These.
    Some(McuSet),
    /// All of it, whatever its size.
    All,
}

impl McuSet {
    /// Of pictures of this size: none.
    pub fn new(size: Size, sampling: Sampling) -> Self {
        let grid = sampling.mcus(size);
        let mcus = grid.width as usize * grid.height as usize;
        McuSet { size, sampling, words: vec![0; mcus.div_ceil(64)] }
    }

    /// Whether it is of such pictures.
    pub fn is_of(&self, size: Size, sampling: Sampling) -> bool {
        (self.size, self.sampling) == (size, sampling)
    }

    /// The size of the pictures it is of.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How their colours are sampled.
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// How many MCUs such a picture has.
    pub fn of(&self) -> usize {
        let grid = self.sampling.mcus(self.size);
        grid.width as usize * grid.height as usize
    }

    /// One more. Beyond the picture there is none.
    pub fn insert(&mut self, mcu: usize) {
        if mcu < self.of() {
            self.words[mcu / 64] |= 1 << (mcu % 64);
        }
    }

    /// All of these, as far as the picture has them.
    pub fn insert_runs(&mut self, runs: impl Iterator<Item = Range<usize>>) {
        runs.flatten().for_each(|mcu| self.insert(mcu));
    }

    /// Without this one.
    pub fn remove(&mut self, mcu: usize) {
        if let Some(word) = self.words.get_mut(mcu / 64) {
            *word &= !(1 << (mcu % 64));
        }
    }

    /// Whether it has this one.
    pub fn contains(&self, mcu: usize) -> bool {
        self.words.get(mcu / 64).is_some_and(|word| word >> (mcu % 64) & 1 != 0)
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Those it has, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            std::iter::successors(Some(*word), |left| Some(left & left.wrapping_sub(1)))
                .take_while(|left| *left != 0)
                .map(move |left| 64 * at + left.trailing_zeros() as usize)
        })
    }
}

impl Owed {
    /// What either is owed. Of pictures of two sizes that is all of them.
    pub fn and(self, other: Owed) -> Owed {
        match (self, other) {
            (Owed::Nothing, owed) | (owed, Owed::Nothing) => owed,
            (Owed::Some(mut one), Owed::Some(other)) if one.is_of(other.size, other.sampling) => {
                one.words.iter_mut().zip(other.words).for_each(|(word, others)| *word |= others);
                Owed::Some(one)
            }
            _ => Owed::All,
        }
    }

    /// Whether all of it is in the other, too.
    pub fn is_within(&self, other: &Owed) -> bool {
        match (self, other) {
            (Owed::Nothing, _) | (_, Owed::All) => true,
            (Owed::Some(one), Owed::Some(other)) => {
                one.is_of(other.size, other.sampling) && one.words.iter().zip(&other.words).all(|(one, other)| one & !other == 0)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 161, height: 100 };

    fn set(mcus: &[usize]) -> McuSet {
        let mut set = McuSet::new(SIZE, Sampling::Yuv420);
        mcus.iter().for_each(|mcu| set.insert(*mcu));
        set
    }

    #[test]
    fn what_was_put_in_is_there_in_order_and_nothing_beyond_the_picture() {
        let mut some = set(&[76, 0, 63, 64, 77, 200]);
        assert_eq!((some.of(), some.len(), some.is_empty()), (77, 4, false));
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 63, 64, 76]);
        some.remove(63);
        some.insert_runs([2..5, 75..90].into_iter());
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 2, 3, 4, 64, 75, 76]);
        assert!(some.contains(75) && !some.contains(63) && !some.contains(1000));
    }

    #[test]
    fn what_two_are_owed_is_what_either_lacks() {
        let (one, other) = (Owed::Some(set(&[1, 2])), Owed::Some(set(&[2, 70])));
        assert_eq!(one.clone().and(other.clone()), Owed::Some(set(&[1, 2, 70])));
        assert_eq!(one.clone().and(Owed::Nothing), one);
        assert_eq!(one.clone().and(Owed::All), Owed::All);
        let larger = Owed::Some(McuSet::new(Size { width: 400, ..SIZE }, Sampling::Yuv420));
        assert_eq!(one.clone().and(larger.clone()), Owed::All);
        assert!(one.is_within(&one) && !one.is_within(&other) && one.is_within(&Owed::All) && !one.is_within(&larger));
        assert!(Owed::Nothing.is_within(&one) && !Owed::All.is_within(&one) && !one.is_within(&Owed::Nothing));
    }
}
