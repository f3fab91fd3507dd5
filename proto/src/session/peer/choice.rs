//! Which slices of a picture a peer is sent.
//!
//! Those that are for all; those that refresh, where it lacks something as the picture begins; and all of the picture again,
//! where it wants each whole ([`Head::shared`], [`Head::owed`]). Fragments say how many slices a picture has, so what was chosen
//! stays chosen, for what is sent again, too. Of pictures that are only what changed one that comes is sent none before it can be
//! sent one of which it gets everything.
//!
//! Capacity: of [`TAKEN`] pictures that have slices which are not for all it is remembered what was chosen.
//!
//! [`Head::shared`]: crate::wire::slice::Head::shared
//! [`Head::owed`]: crate::wire::slice::Head::owed

use super::super::outbound::Outbound;
use crate::media::slice::Slice;
use crate::picture::mcu_set::McuSet;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One that comes waits no longer for a picture that has everything for it.
const BEGINS: Duration = Duration::from_secs(1);

/// As many as can be asked for again.
const TAKEN: usize = 128;

/// See the module text.
pub struct Choice {
    begin: Begin,
    /// The picture at the cursor, and how many of its slices are sent, from the first on.
    takes: (u64, u8),
    /// The same of pictures that have slices which are not for all.
    taken: VecDeque<(u64, u8)>,
}

/// Whether the peer was sent a picture by which what is only changed is of use.
#[derive(Clone, Copy)]
enum Begin {
    /// Nothing that it has use for.
    First,
    /// Nothing since then, for none had all for it.
    Waits(Instant),
    Begun,
}

impl Default for Choice {
    /// It was sent nothing.
    fn default() -> Self {
        Choice { begin: Begin::First, takes: (u64::MAX, 0), taken: VecDeque::new() }
    }
}

impl Choice {
    /// Whether it was sent nothing, and nothing was there to be sent.
    pub fn is_new(&self) -> bool {
        matches!(self.begin, Begin::First)
    }

    /// Where it is to go on that is at this slice of the log, if it has begun, or begins here: with a picture of which all slices
    /// are there, and those that it is sent have everything. So it may go back to the first of them. `whole`: it wants each so.
    pub fn begins_with(&mut self, now: Instant, at: u64, whole: bool, track: &Outbound) -> Option<u64> {
        if matches!(self.begin, Begin::Begun) {
            return Some(at);
        }
        let waited = matches!(self.begin, Begin::Waits(since) if now >= since + BEGINS);
        let first = match waited || !track.is_partial() {
            true => Some(at),
            false => has_all(&track.log.slices_of(at), whole).then(|| track.log.begin_of(at)),
        };
        self.begin = match self.begin {
            _ if first.is_some() => Begin::Begun,
            Begin::First => Begin::Waits(now),
            begin => begin,
        };
        first
    }

    /// How many slices of the picture of this one it is sent, which is the next; `lacks`: it lacks something now.
    pub fn takes(&mut self, slice: &Slice, lacks: bool, whole: bool) -> u8 {
        if self.takes.0 != slice.picture {
            let (head, count) = (slice.head(), slice.count);
            let before = self.chosen(slice.picture);
            let takes = match before {
                Some(takes) => takes,
                None if whole && head.owed < count => count,
                None => count.min(if lacks { head.owed } else { head.shared }),
            };
            if before.is_none() && head.shared < count {
                if self.taken.len() == TAKEN {
                    self.taken.pop_front();
                }
                self.taken.push_back((slice.picture, takes));
            }
            self.takes = (slice.picture, takes);
        }
        self.takes.1
    }

    /// How many slices the picture of this one has for it.
    pub fn count_of(&self, slice: &Slice) -> u8 {
        let shared = slice.head().shared;
        if shared < slice.count { self.chosen(slice.picture).unwrap_or(shared) } else { slice.count }
    }

    /// Whether it is decided what it is sent of this picture.
    pub fn is_made_of(&self, picture: u64) -> bool {
        self.takes.0 != u64::MAX && picture <= self.takes.0
    }

    fn chosen(&self, picture: u64) -> Option<u8> {
        self.taken.iter().rev().find(|(of, _)| *of == picture).map(|(_, takes)| *takes)
    }
}

/// Whether these slices of a picture are all there are of it, and those that one is sent who has nothing have all MCUs; in bands,
/// where it wants each picture `whole`.
fn has_all(slices: &[&Slice], whole: bool) -> bool {
    let Some((count, head)) = slices.first().map(|slice| (slice.count, slice.head())) else { return false };
    let used = match (whole, head.owed < count) {
        (true, true) => head.owed..count,
        (true, false) => 0..head.shared,
        (false, _) => 0..head.owed,
    };
    let mut has = McuSet::new(head.size, head.sampling);
    for slice in slices.iter().filter(|slice| used.contains(&slice.index)) {
        let head = slice.head();
        if !whole || head.mcus.is_none() {
            has.insert_runs(head.runs());
        }
    }
    slices.len() == usize::from(count) && has.len() == has.of()
}

/// What tests of this folder make tracks and pictures of.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::media::parts::{Part, Parts};
    use crate::media::slice::testing;
    use crate::picture::{Sampling, Size};
    use crate::wire::record::{Format, Media, Track};
    use crate::wire::slice::Head;

    pub const SIZE: Size = Size { width: 160, height: 96 };

    /// A live track of which nothing was caught.
    pub fn track() -> Outbound {
        let (origin, label, format) = ([0; 16], String::new(), Format::default());
        Outbound::new(Track { number: 1, media: Media::LIVE, muted: false, closed: false, origin, label, format }, false)
    }

    /// The slices of a picture of which these MCUs changed and those are owed, of 240; and, it may be, all of it again.
    pub fn slices(picture: u64, changed: &[usize], owed: impl Iterator<Item = usize>, whole: bool) -> Vec<Slice> {
        let (mut one, mut other) = (McuSet::new(SIZE, Sampling::Grey), McuSet::new(SIZE, Sampling::Grey));
        changed.iter().for_each(|mcu| one.insert(*mcu));
        owed.filter(|mcu| !changed.contains(mcu)).for_each(|mcu| other.insert(mcu));
        let none = McuSet::new(SIZE, Sampling::Grey);
        let mut parts = Parts::some([&one, &none, &other], 1.0);
        if whole {
            parts = parts.and_whole([(0, 48), (48, 48)], 240);
        }
        let (shared, owed, count) = (parts.shared as u8, parts.owed as u8, parts.parts.len() as u8);
        let slice = |(index, part): (u8, &Part)| {
            let (top, rows, mcus) = (part.top as u16, part.rows as u16, part.mcus.as_ref().map(|some| some.mcus()));
            let head = Head { size: SIZE, top, rows, shared, owed, mcus, ..testing::head() };
            Slice::new(picture, index, count, &head, &[7; 9])
        };
        (0..).zip(&parts.parts).map(slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{slices, track};
    use super::*;

    /// What one is sent of pictures as they come, slice by slice: which picture's which slices.
    fn sent(track: &mut Outbound, pictures: Vec<Vec<Slice>>, whole: bool) -> Vec<(u64, u8)> {
        #[expect(clippy::disallowed_methods)] // one real instant to count from
        let now = Instant::now();
        let (mut choice, mut at, mut sent) = (Choice::default(), 0, Vec::new());
        for slice in pictures.into_iter().flatten() {
            track.push_slice(slice);
            while let Some(slice) = track.log.slice(at) {
                match choice.begins_with(now, at, whole, track) {
                    Some(first) if first < at => at = first,
                    Some(_) if slice.index < choice.takes(slice, sent.is_empty(), whole) => {
                        sent.push((slice.picture, slice.index));
                        at += 1;
                    }
                    _ => at += 1,
                }
            }
        }
        sent
    }

    #[test]
    fn who_comes_begins_with_a_picture_that_has_everything_and_not_with_what_refreshes_somebody_else() {
        let pictures = || {
            let others = slices(1, &[3], [100, 101].into_iter(), false);
            vec![slices(0, &[5], std::iter::empty(), false), others, slices(2, &[9], 0..240, false), slices(3, &[9], 0..1, false)]
        };
        let whole = pictures()[2].len() as u8;
        let expected: Vec<(u64, u8)> = (0..whole).map(|index| (2, index)).chain([(3, 0)]).collect();
        assert_eq!(sent(&mut track(), pictures(), false), expected);
        // In whichever order its slices come.
        let mut turned = pictures();
        turned[2].reverse();
        let mut of_it = sent(&mut track(), turned, false);
        of_it.sort_unstable();
        assert_eq!(of_it, expected);
    }

    #[test]
    fn who_wants_them_whole_is_sent_all_of_each_and_who_lacks_something_only_that() {
        let pictures = || vec![slices(0, &[5], 0..240, true), slices(1, &[6], [8].into_iter(), true)];
        let all = |picture: usize| pictures()[picture].len() as u8;
        let (owed, shared) = (pictures()[0][0].head().owed, pictures()[1][0].head().shared);
        assert!(shared < pictures()[1][0].head().owed && owed < all(0));
        let expected: Vec<(u64, u8)> = (0..all(0)).map(|index| (0, index)).chain((0..all(1)).map(|index| (1, index))).collect();
        assert_eq!(sent(&mut track(), pictures(), true), expected);
        let expected: Vec<(u64, u8)> = (0..owed).map(|index| (0, index)).chain((0..shared).map(|index| (1, index))).collect();
        assert_eq!(sent(&mut track(), pictures(), false), expected);
    }

    #[test]
    fn what_was_chosen_of_a_picture_stays_so_for_what_is_sent_again() {
        let mut choice = Choice::default();
        let first = slices(7, &[5], [8].into_iter(), true);
        let (head, count) = (first[0].head(), first[0].count);
        assert_eq!(choice.takes(&first[0], true, false), head.owed);
        for picture in 8..100 {
            choice.takes(&slices(picture, &[5], [8].into_iter(), true)[0], false, false);
        }
        assert_eq!(choice.count_of(&first[1]), head.owed);
        assert!(choice.is_made_of(99) && choice.is_made_of(3) && !choice.is_made_of(100));
        assert_eq!((choice.takes(&first[1], false, true), count), (head.owed, 4));
    }
}
