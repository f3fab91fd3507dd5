//! Some MCUs of a picture of one size and sampling, and what a receiver is owed.

use super::{Sampling, Size, Turn};
use std::ops::Range;

/// See the module text. MCUs are numbered row by row from the upper left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McuSet {
    size: Size,
    sampling: Sampling,
    mcus: usize,
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

impl Owed {
    /// Which MCUs these are of a picture of this size: where something of another is owed, of this one nobody has anything.
    pub fn of(&self, size: Size, sampling: Sampling) -> McuSet {
        match self {
            Owed::Some(set) if set.is_of(size, sampling) => set.clone(),
            _ => {
                let mut set = McuSet::new(size, sampling);
                if *self != Owed::Nothing {
                    set.fill();
                }
                set
            }
        }
    }
}

impl McuSet {
    /// Of pictures of this size: none.
    pub fn new(size: Size, sampling: Sampling) -> Self {
        let grid = sampling.mcus(size);
        let mcus = grid.width as usize * grid.height as usize;
        McuSet { size, sampling, mcus, words: vec![0; mcus.div_ceil(64)] }
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
        self.mcus
    }

    /// All there are.
    pub fn fill(&mut self) {
        self.words.fill(u64::MAX);
        if let Some(last) = self.words.last_mut().filter(|_| !self.mcus.is_multiple_of(64)) {
            *last = (1 << (self.mcus % 64)) - 1;
        }
    }

    /// None.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// One more. Beyond the picture there is none.
    pub fn insert(&mut self, mcu: usize) {
        if mcu < self.mcus {
            self.words[mcu / 64] |= 1 << (mcu % 64);
        }
    }

    /// All of these, as far as the picture has them.
    pub fn insert_runs(&mut self, runs: impl Iterator<Item = Range<usize>>) {
        for run in runs {
            let (start, end) = (run.start, run.end.min(self.mcus));
            let mut at = start;
            while at < end {
                let stop = (at / 64 * 64 + 64).min(end);
                let ones = if stop - at == 64 { u64::MAX } else { (1 << (stop - at)) - 1 };
                self.words[at / 64] |= ones << (at % 64);
                at = stop;
            }
        }
    }

    /// Without this one.
    pub fn remove(&mut self, mcu: usize) {
        if let Some(word) = self.words.get_mut(mcu / 64) {
            *word &= !(1 << (mcu % 64));
        }
    }

    /// These, of the picture turned: each MCU there that shows anything of one of these.
    pub fn turned(&self, turn: Turn) -> McuSet {
        let mut turned = McuSet::new(turn.turned(self.size), self.sampling.turned(turn));
        let (from, to) = (self.sampling.mcu(), turned.sampling.mcu());
        let (columns, across) = (self.sampling.mcus(self.size).width, turned.sampling.mcus(turned.size).width);
        // What of a line of so many pixels one of so many lies on, the other way round if it is flipped.
        let span = |at: u32, mcu: u32, of: u32, flip: bool| {
            let (first, end) = (at * mcu, ((at + 1) * mcu).min(of));
            if flip { of - end..of - first } else { first..end }
        };
        let (flip_across, flip_down) = if turn.transposed { (turn.flip_y, turn.flip_x) } else { (turn.flip_x, turn.flip_y) };
        for mcu in self.iter() {
            let (column, row) = (mcu as u32 % columns, mcu as u32 / columns);
            let x = span(column, from.width, self.size.width, flip_across);
            let y = span(row, from.height, self.size.height, flip_down);
            let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
            for row in y.start / to.height..y.end.div_ceil(to.height) {
                let first = row * across;
                let run = first + x.start / to.width..first + x.end.div_ceil(to.width);
                turned.insert_runs(std::iter::once(run.start as usize..run.end as usize));
            }
        }
        turned
    }

    /// Those of another of such pictures, too.
    pub fn add(&mut self, other: &McuSet) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// None of those of another of such pictures.
    pub fn remove_all(&mut self, other: &McuSet) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// Only those that another of such pictures has, too.
    pub fn keep_all(&mut self, other: &McuSet) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Only so many, the first.
    pub fn keep_first(&mut self, count: usize) {
        let Some(beyond) = self.iter().nth(count) else { return };
        self.words[beyond / 64] &= (1 << (beyond % 64)) - 1;
        self.words[beyond / 64 + 1..].fill(0);
    }

    /// Those among these, as runs of neighbours.
    pub fn runs(&self, mcus: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let end = mcus.end.min(self.mcus);
        let mut at = mcus.start;
        std::iter::from_fn(move || {
            let start = self.next(at, end, 0).filter(|start| *start < end)?;
            at = self.next(start, end, u64::MAX).map_or(end, |next| next.min(end));
            Some(start..at)
        })
    }

    /// The first bit from `at` on that is set in `word ^ flip`, where there is one before `end`'s word ends.
    fn next(&self, at: usize, end: usize, flip: u64) -> Option<usize> {
        let mut mask = u64::MAX << (at % 64);
        for index in at / 64..end.div_ceil(64) {
            let word = (self.words[index] ^ flip) & mask;
            if word != 0 {
                return Some(index * 64 + word.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
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
                one.add(&other);
                Owed::Some(one)
            }
            _ => Owed::All,
        }
    }

    /// What of it is not in the other.
    pub fn without(&self, other: &Owed) -> Owed {
        match (self, other) {
            (_, Owed::All) => Owed::Nothing,
            (Owed::Some(one), Owed::Some(other)) if one.is_of(other.size, other.sampling) => {
                let mut left = one.clone();
                left.remove_all(other);
                if left.is_empty() { Owed::Nothing } else { Owed::Some(left) }
            }
            (owed, _) => owed.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_turned_set_has_every_mcu_that_shows_something_of_it_and_no_other(
            width in 1_u32..70, height in 1_u32..70, orientation in 1_u16..9, chosen in prop::collection::btree_set(0_usize..30, 0..6),
            sampling in prop::sample::select(vec![Sampling::Yuv420, Sampling::Yuv422, Sampling::Yuv440, Sampling::Yuv444]),
        ) {
            let (size, turn) = (Size { width, height }, Turn::from_exif(orientation));
            let mut some = McuSet::new(size, sampling);
            chosen.iter().for_each(|mcu| some.insert(*mcu));
            let mcu_at = |size: Size, sampling: Sampling, x: u32, y: u32| {
                (y / sampling.mcu().height * sampling.mcus(size).width + x / sampling.mcu().width) as usize
            };
            let (to, turned_sampling) = (turn.turned(size), sampling.turned(turn));
            let mut wanted = McuSet::new(to, turned_sampling);
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                if some.contains(mcu_at(size, sampling, x, y)) {
                    let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
                    let x = if turn.flip_x { to.width - 1 - x } else { x };
                    let y = if turn.flip_y { to.height - 1 - y } else { y };
                    wanted.insert(mcu_at(to, turned_sampling, x, y));
                }
            }
            prop_assert_eq!(some.turned(turn), wanted);
        }

        #[test]
        fn runs_are_of_neighbours_and_of_all_among_these(
            chosen in prop::collection::btree_set(0_usize..77, 0..77), a in 0_usize..90, b in 0_usize..90,
        ) {
            let some = set(&chosen.iter().copied().collect::<Vec<_>>());
            let range = a.min(b)..a.max(b);
            let within: Vec<usize> = chosen.iter().copied().filter(|mcu| range.contains(mcu)).collect();
            let runs: Vec<_> = some.runs(range).collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", runs);
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), within);
            let mut first = some.clone();
            first.keep_first(a);
            prop_assert_eq!(first.iter().collect::<Vec<_>>(), some.iter().take(a).collect::<Vec<_>>());
            let (mut all, mut others) = (some.clone(), set(&[]));
            all.fill();
            prop_assert_eq!(all.len(), 77);
            others.add(&all);
            others.remove_all(&some);
            prop_assert_eq!(others.len() + some.len(), 77);
            let mut both = all.clone();
            both.keep_all(&some);
            prop_assert_eq!(&both, &some);
            both.keep_all(&others);
            prop_assert!(both.is_empty());
            all.clear();
            prop_assert!(all.is_empty());
        }
    }

    #[test]
    fn what_two_are_owed_is_what_either_lacks() {
        let (one, other) = (Owed::Some(set(&[1, 2])), Owed::Some(set(&[2, 70])));
        assert_eq!(one.clone().and(other.clone()), Owed::Some(set(&[1, 2, 70])));
        assert_eq!(one.clone().and(Owed::Nothing), one);
        assert_eq!(one.clone().and(Owed::All), Owed::All);
        let larger = Owed::Some(McuSet::new(Size { width: 400, ..SIZE }, Sampling::Yuv420));
        assert_eq!(one.clone().and(larger.clone()), Owed::All);
        assert_eq!(
            (one.without(&one), one.without(&Owed::All), one.without(&larger)),
            (Owed::Nothing, Owed::Nothing, one.clone())
        );
        assert_eq!((one.without(&other), Owed::All.without(&one)), (Owed::Some(set(&[1])), Owed::All));
    }
}
