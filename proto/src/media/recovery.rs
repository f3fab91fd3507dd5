//! The receiver's side of [`super::fec`]: keeps what came of the newest pictures until their shards make up for what did not.
//!
//! It does nothing until a first shard comes, so a clean link pays nothing for it; from then on each fragment is copied, for a slice
//! leaves the depacketizer the moment it is whole. What is recovered goes to the depacketizer like any fragment.
//!
//! Capacity: the [`PICTURES`] newest pictures, [`MAX_BYTES`] of fragments and shards each, or less in all where there is no room for so
//! much; what is over is not kept, and that picture cannot be mended.

use super::fec::{Decoder, MAX_ORIGINALS};
use crate::wire::datagram::{FragmentHead, Shard};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Pictures kept: as many as are put together at once.
const PICTURES: usize = 2;

/// Bytes kept of a picture: more than any that is worth being sent live.
const MAX_BYTES: usize = 8 << 20;

/// What is kept of a fragment beside its payload, which may be one byte: its place in a tree.
const PLACE: usize = 64;

/// So long after the last shard fragments are still copied: loss, and with it the need for shards, comes and goes.
const GOES_ON: Duration = Duration::from_secs(5);

/// (slice, fragment) → the slice's last fragment, and where in `bytes`.
type Fragments = BTreeMap<(u8, u16), (u16, Range<usize>)>;

#[derive(Default)]
struct Held {
    picture: u32,
    bytes: Vec<u8>,
    fragments: Fragments,
    runs: Vec<Run>,
}

/// One code: a run of slices and the shards over it that came.
struct Run {
    first_slice: u8,
    last_slice: u8,
    last_indices: Vec<u16>,
    recovery: u8,
    len: usize,
    shards: BTreeMap<u8, Range<usize>>,
    done: bool,
}

#[derive(Default)]
pub struct Recovery {
    on_until: Option<Instant>,
    held: VecDeque<Held>,
    decoder: Decoder,
    recovered: VecDeque<(FragmentHead, Vec<u8>)>,
    /// Bytes there may be of all pictures; none: as many as there can be.
    room: Option<usize>,
}

impl Recovery {
    /// From now on there may be so many bytes.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = Some(bytes);
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.held.iter().map(Held::weight).sum()
    }

    /// Whether so many bytes more may be kept.
    fn has_room(&self, bytes: usize) -> bool {
        self.room.is_none_or(|room| self.bytes() + bytes <= room)
    }

    /// A fragment came.
    pub fn push_fragment(&mut self, now: Instant, head: FragmentHead, payload: &[u8]) {
        if self.on_until.is_none_or(|until| now >= until) {
            if self.on_until.take().is_some() {
                self.held.clear();
            }
            return;
        }
        let has_room = self.has_room(payload.len() + PLACE);
        let Some(held) = self.picture(head.picture) else { return };
        let known = held.fragments.get(&(head.slice, head.index)).is_some_and(|(last, _)| *last >= head.last_index);
        if has_room && held.weight() + payload.len() <= MAX_BYTES && !known {
            let range = held.keep(payload);
            held.fragments.insert((head.slice, head.index), (head.last_index, range));
            self.mend(head.picture, head.slice);
        }
    }

    /// A shard came.
    pub fn push_shard(&mut self, now: Instant, shard: &Shard<'_>) {
        self.on_until = Some(now + GOES_ON);
        let has_room = self.has_room(shard.payload.len());
        let Some(held) = self.picture(shard.picture) else { return };
        if !has_room || held.bytes.len() + shard.payload.len() > MAX_BYTES {
            return;
        }
        let indices = shard.last_indices.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        if indices.clone().map(|last| usize::from(last) + 1).sum::<usize>() > MAX_ORIGINALS {
            return;
        }
        let range = held.bytes.len()..held.bytes.len() + shard.payload.len();
        let at = held.runs.iter().position(|run| run.first_slice == shard.first_slice).unwrap_or_else(|| {
            held.runs.push(Run {
                first_slice: shard.first_slice,
                last_slice: shard.last_slice,
                last_indices: indices.clone().collect(),
                recovery: shard.recovery,
                len: shard.payload.len(),
                shards: BTreeMap::new(),
                done: false,
            });
            held.runs.len() - 1
        });
        let run = &mut held.runs[at];
        // The first one says what the code is like; another that says otherwise belongs to no code of ours.
        let same = (run.recovery, run.len, run.last_slice) == (shard.recovery, shard.payload.len(), shard.last_slice);
        if run.done || !same || !indices.eq(run.last_indices.iter().copied()) {
            return;
        }
        run.shards.insert(shard.index, range);
        held.keep(shard.payload);
        self.mend(shard.picture, shard.first_slice);
    }

    /// The next fragment that was recovered, for the depacketizer.
    pub fn poll(&mut self) -> Option<(FragmentHead, Vec<u8>)> {
        self.recovered.pop_front()
    }

    /// What is held of a picture; `None` if it is older than all that is held.
    fn picture(&mut self, picture: u32) -> Option<&mut Held> {
        if let Some(at) = self.held.iter().position(|held| held.picture == picture) {
            return self.held.get_mut(at);
        }
        let newest = self.held.back().map(|held| held.picture);
        if newest.is_some_and(|newest| (picture.wrapping_sub(newest) as i32) < 0) {
            return None;
        }
        let mut held = if self.held.len() >= PICTURES { self.held.pop_front().unwrap_or_default() } else { Held::default() };
        held.picture = picture;
        held.bytes.clear();
        held.fragments.clear();
        held.runs.clear();
        self.held.push_back(held);
        self.held.back_mut()
    }

    /// Recovers what can be of the run this slice is in.
    fn mend(&mut self, picture: u32, slice: u8) {
        let Some(held) = self.held.iter_mut().find(|held| held.picture == picture) else { return };
        let Held { bytes, fragments, runs, .. } = held;
        let Some(run) = runs.iter_mut().find(|run| run.has(slice) && !run.done) else { return };
        let originals = run.originals();
        let came = run.of_code(fragments).count();
        if came + run.shards.len() < originals && came < originals {
            return;
        }
        if came >= originals {
            run.done = true;
            return;
        }
        let present: Vec<_> = run.of_code(fragments).map(|(place, range)| (place, &bytes[range.clone()])).collect();
        let shards = run.shards.iter().map(|(index, range)| (usize::from(*index), &bytes[range.clone()]));
        let recovered = &mut self.recovered;
        let code = (originals, usize::from(run.recovery), run.len);
        run.done = true;
        let run = &*run;
        self.decoder.decode(code, present.into_iter(), shards, |place, payload| {
            if let Some((slice, index, last_index)) = run.at(place).filter(|_| !payload.is_empty()) {
                recovered.push_back((
                    FragmentHead { picture, slice, last_slice: run.last_slice, index, last_index },
                    payload.to_vec(),
                ));
            }
        });
    }
}

impl Held {
    fn weight(&self) -> usize {
        self.bytes.len() + PLACE * self.fragments.len()
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl Run {
    fn originals(&self) -> usize {
        self.last_indices.iter().map(|last| usize::from(*last) + 1).sum()
    }

    fn end_slice(&self) -> u8 {
        // `Shard::decode` made sure that the run lies within the picture's slices.
        self.first_slice + (self.last_indices.len() - 1) as u8
    }

    /// The places of the fragments that are of this code: of a slice that was cut anew, those that were cut as the shards'.
    fn of_code<'a>(&'a self, fragments: &'a Fragments) -> impl Iterator<Item = (usize, &'a Range<usize>)> {
        let all = fragments.range((self.first_slice, 0)..=(self.end_slice(), u16::MAX));
        let of_code = all.filter(move |((slice, _), (last, _))| self.last_index(*slice) == Some(*last));
        of_code.filter_map(move |(at, (_, range))| Some((self.place(*at)?, range)))
    }

    fn last_index(&self, slice: u8) -> Option<u16> {
        self.last_indices.get(usize::from(slice.checked_sub(self.first_slice)?)).copied()
    }

    fn has(&self, slice: u8) -> bool {
        (self.first_slice..=self.end_slice()).contains(&slice)
    }

    /// Which original of the code a fragment is.
    fn place(&self, (slice, index): (u8, u16)) -> Option<usize> {
        let of = usize::from(slice.checked_sub(self.first_slice)?);
        let before: usize = self.last_indices.get(..of)?.iter().map(|last| usize::from(*last) + 1).sum();
        (index <= *self.last_indices.get(of)?).then(|| before + usize::from(index))
    }

    /// And back: its slice, its index and that slice's last index.
    fn at(&self, mut place: usize) -> Option<(u8, u16, u16)> {
        for (slice, last) in (self.first_slice..).zip(&self.last_indices) {
            if place <= usize::from(*last) {
                return Some((slice, place as u16, *last));
            }
            place -= usize::from(*last) + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fec::Encoder;

    type Pieces = Vec<(FragmentHead, Vec<u8>)>;

    /// Three slices of 3, 1 and 2 fragments, and the shards over them.
    fn picture(number: u32, recovery: u8) -> (Pieces, Vec<Vec<u8>>) {
        let mut fragments = Vec::new();
        for (slice, count) in [3u16, 1, 2].into_iter().enumerate() {
            for index in 0..count {
                let head = FragmentHead { picture: number, slice: slice as u8, last_slice: 2, index, last_index: count - 1 };
                fragments.push((head, vec![slice as u8 * 16 + index as u8; 100 + usize::from(index)]));
            }
        }
        let mut shards = Vec::new();
        let originals = fragments.iter().map(|(_, payload)| payload.as_slice());
        assert!(Encoder::default().encode(originals, recovery.into(), |_, shard| shards.push(shard.to_vec())));
        (fragments, shards)
    }

    fn shard(picture: u32, index: usize, shards: &[Vec<u8>]) -> Shard<'_> {
        Shard {
            picture,
            last_slice: 2,
            first_slice: 0,
            index: index as u8,
            recovery: shards.len() as u8,
            last_indices: &[0, 2, 0, 0, 0, 1],
            payload: &shards[index],
        }
    }

    #[test]
    fn what_is_lost_comes_back_whole_slices_too() {
        let now = Instant::now();
        let mut recovery = Recovery::default();
        recovery.push_shard(now, &shard(6, 0, &picture(6, 3).1));
        let (fragments, shards) = picture(7, 3);
        for at in [0, 2, 4] {
            recovery.push_fragment(now, fragments[at].0, &fragments[at].1);
        }
        for index in 0..3 {
            assert!(recovery.poll().is_none(), "{index} shards cannot suffice");
            recovery.push_shard(now, &shard(7, index, &shards));
        }
        let back: Vec<_> = std::iter::from_fn(|| recovery.poll()).collect();
        assert_eq!(back, [fragments[1].clone(), fragments[3].clone(), fragments[5].clone()]);
    }

    #[test]
    fn nothing_is_kept_before_a_shard_came_or_long_after_the_last() {
        let now = Instant::now();
        let mut recovery = Recovery::default();
        let (fragments, shards) = picture(7, 1);
        recovery.push_fragment(now, fragments[0].0, &fragments[0].1);
        assert!(recovery.held.is_empty());
        recovery.push_shard(now, &shard(7, 0, &shards));
        recovery.push_fragment(now + Duration::from_secs(4), fragments[0].0, &fragments[0].1);
        assert_eq!(recovery.held.len(), 1);
        recovery.push_fragment(now + Duration::from_secs(6), fragments[1].0, &fragments[1].1);
        assert!(recovery.held.is_empty());
    }

    #[test]
    fn pieces_of_another_cut_are_of_no_code() {
        let now = Instant::now();
        let mut recovery = Recovery::default();
        let (fragments, shards) = picture(7, 3);
        recovery.push_shard(now, &shard(7, 0, &shards));
        recovery.push_shard(now, &shard(7, 1, &shards));
        // Slice 0 came in four pieces before the path took three, or the other way round.
        for index in 0..3 {
            let head = FragmentHead { index, last_index: 3, ..fragments[0].0 };
            recovery.push_fragment(now, head, &[9; 60]);
        }
        for at in [3, 4, 5] {
            recovery.push_fragment(now, fragments[at].0, &fragments[at].1);
        }
        assert!(recovery.poll().is_none(), "three of six, and two shards");
        recovery.push_shard(now, &shard(7, 2, &shards));
        let back: Vec<_> = std::iter::from_fn(|| recovery.poll()).collect();
        assert_eq!(back, fragments[..3]);
    }

    #[test]
    fn shards_that_contradict_the_first_are_not_taken() {
        let now = Instant::now();
        let mut recovery = Recovery::default();
        let (_, shards) = picture(7, 2);
        recovery.push_shard(now, &shard(7, 0, &shards));
        recovery.push_shard(now, &Shard { last_indices: &[0, 9, 0, 9, 0, 9], ..shard(7, 1, &shards) });
        recovery.push_shard(now, &Shard { recovery: 9, ..shard(7, 1, &shards) });
        recovery.push_shard(now, &Shard { payload: &[0; 8], ..shard(7, 1, &shards) });
        assert_eq!(recovery.held[0].runs[0].shards.len(), 1);
        let huge = [0xFF; 6];
        recovery.push_shard(now, &Shard { picture: 8, last_indices: &huge, ..shard(7, 0, &shards) });
        assert!(recovery.held[1].runs.is_empty(), "a code of 196,608 originals is claimed, not sent");
        recovery.push_shard(now, &shard(3, 0, &shards));
        assert_eq!(recovery.held.len(), 2, "a picture older than all that is held is over");
    }
}
