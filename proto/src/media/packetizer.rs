//! What was encoded lately, ready to be cut into datagrams: one log for all peers, a cursor for each.
//!
//! A [`Slice`] is stored as it is, and shared; a fragment is a range of its bytes, so nothing is cut in advance and nothing
//! is copied but into the datagram itself. Peers hold a [`Cursor`] and what they sent, by packet number; a retransmission
//! names the same range again. Capacity: [`Limits`]; the oldest pictures go first, and a cursor that pointed at them moves on
//! (its peer loses those pictures, nobody else does).

use super::slice::Slice;
use crate::wire::datagram::FragmentHead;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// A place in the log: the next fragment a peer has not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Slice, counted from the start of the session.
    pub slice: u64,
    /// Fragment of it.
    pub fragment: u16,
}

/// What the log may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long after its capture a picture is kept.
    pub age: Duration,
    /// Bytes of all slices.
    pub bytes: usize,
}

pub struct Log {
    slices: VecDeque<Slice>,
    first: u64,
    bytes: usize,
    limits: Limits,
    /// The newest picture and its first slice. What is forwarded may come in another order, late slices of older pictures behind
    /// it.
    newest: Option<(u64, u64)>,
}

impl Log {
    /// An empty log.
    pub fn new(limits: Limits) -> Self {
        Log { slices: VecDeque::new(), first: 0, bytes: 0, limits, newest: None }
    }

    /// How long pictures are kept from now on.
    pub fn set_age(&mut self, age: Duration) {
        self.limits.age = age;
    }

    /// Adds a slice as it comes from the encoder and forgets what is over the limits.
    pub fn push(&mut self, slice: Slice) {
        let newest = slice.picture;
        if self.newest.is_none_or(|(known, _)| newest > known) {
            self.newest = Some((newest, self.end().slice));
        }
        self.bytes += slice.bytes().len();
        let horizon = slice.capture().saturating_sub(self.limits.age);
        self.slices.push_back(slice);
        while let Some(oldest) = self.slices.front() {
            let over = oldest.capture() < horizon || self.bytes > self.limits.bytes;
            if !over || oldest.picture == newest {
                break;
            }
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(old) = self.slices.pop_front() {
            self.first += 1;
            self.bytes -= old.bytes().len();
        }
    }

    /// Forgets pictures below `picture`: everybody has them.
    pub fn settle(&mut self, picture: u64) {
        while self.slices.front().is_some_and(|slice| slice.picture < picture) {
            self.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        while !self.slices.is_empty() {
            self.pop_front();
        }
    }

    /// The place behind everything.
    pub fn end(&self) -> Cursor {
        Cursor { slice: self.first + self.slices.len() as u64, fragment: 0 }
    }

    /// The first slice of the newest picture: where a new or late peer begins.
    pub fn newest_picture(&self) -> Cursor {
        match self.newest {
            Some((_, slice)) if !self.slices.is_empty() => self.clamp(Cursor { slice, fragment: 0 }),
            _ => self.end(),
        }
    }

    /// The first slice that is of `picture` or a later one.
    pub fn picture(&self, picture: u64) -> Cursor {
        let earlier = self.slices.partition_point(|slice| slice.picture < picture) as u64;
        Cursor { slice: self.first + earlier, fragment: 0 }
    }

    /// `cursor`, or the oldest place still there.
    pub fn clamp(&self, cursor: Cursor) -> Cursor {
        cursor.max(Cursor { slice: self.first, fragment: 0 })
    }

    /// The slice at a place, if it is (still) there.
    pub fn slice(&self, slice: u64) -> Option<&Slice> {
        self.slices.get(usize::try_from(slice.checked_sub(self.first)?).ok()?)
    }

    /// All slices there are of the picture that the slice at a place belongs to, by their index.
    pub fn slices_of(&self, any: u64) -> Vec<&Slice> {
        let Some(at) = any.checked_sub(self.first).map(|at| at as usize).filter(|at| *at < self.slices.len()) else {
            return Vec::new();
        };
        let number = self.slices[at].picture;
        let before = self.slices.range(..at).rev().take_while(|slice| slice.picture == number);
        let after = self.slices.range(at..).take_while(|slice| slice.picture == number);
        let mut slices: Vec<&Slice> = before.chain(after).collect();
        slices.sort_unstable_by_key(|slice| slice.index);
        slices
    }

    /// The place of the first slice there is of the picture that the slice at a place belongs to.
    pub fn begin_of(&self, any: u64) -> u64 {
        let picture = self.slice(any).map(|slice| slice.picture);
        let is_of_it = |place: &u64| self.slice(*place).map(|slice| slice.picture) == picture;
        (self.first..any).rev().take_while(is_of_it).last().unwrap_or(any)
    }

    /// Slices held, for the stats.
    pub fn len(&self) -> usize {
        self.slices.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Bytes held, for the stats.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Slice {
    /// How many fragments of `payload` bytes it takes.
    pub fn fragments(&self, payload: usize) -> u16 {
        // 4 MiB in fragments of 1 KiB is far below 65,536; the encoder keeps to `wire::slice::MAX_LEN`.
        self.bytes().len().div_ceil(payload) as u16
    }

    /// Head and bytes of one fragment.
    pub fn fragment(&self, index: u16, payload: usize) -> (FragmentHead, &[u8]) {
        let head = FragmentHead {
            picture: self.picture as u32,
            slice: self.index,
            last_slice: self.count - 1,
            index,
            last_index: self.fragments(payload) - 1,
        };
        (head, &self.bytes()[range(index, payload, self.bytes().len())])
    }
}

/// Bytes of fragment `index` of a slice of `len`.
fn range(index: u16, payload: usize, len: usize) -> Range<usize> {
    let start = usize::from(index) * payload;
    start..(start + payload).min(len)
}

#[cfg(test)]
mod tests {
    use super::super::slice::testing;
    use super::*;
    use crate::time::MediaTime;

    fn slice(picture: u64, index: u8, count: u8, bytes: usize) -> Slice {
        let mut slice = testing::slice(picture, index, count, bytes);
        slice.stamp_capture(MediaTime::from_nanos(picture * 33_000_000));
        slice
    }

    fn log() -> Log {
        Log::new(Limits { age: Duration::from_millis(100), bytes: 1 << 20 })
    }

    #[test]
    fn fragments_cover_the_slice_exactly() {
        let slice = slice(7, 1, 3, 2500);
        let parts: Vec<_> = (0..slice.fragments(1000)).map(|index| slice.fragment(index, 1000)).collect();
        assert_eq!(parts.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert!(parts.iter().all(|(head, _)| head.last_index == 2 && head.last_slice == 2));
    }

    #[test]
    fn old_pictures_go_and_a_late_cursor_moves_on() {
        let mut log = log();
        let begin = log.end();
        for picture in 0..10 {
            for index in 0..2 {
                log.push(slice(picture, index, 2, 100));
            }
        }
        assert_eq!(log.slice(begin.slice).map(|slice| slice.picture), None);
        let oldest = log.clamp(begin);
        assert_eq!(log.slice(oldest.slice).map(|slice| slice.picture), Some(6), "100 ms before picture 9");
        assert_eq!(log.slice(log.newest_picture().slice).map(|slice| (slice.picture, slice.index)), Some((9, 0)));
    }

    #[test]
    fn the_byte_limit_holds_but_for_the_newest_picture() {
        let mut log = Log::new(Limits { age: Duration::from_secs(10), bytes: 1000 });
        for picture in 0..5 {
            log.push(slice(picture, 0, 1, 400));
        }
        assert_eq!((log.bytes(), log.len()), (800, 2));
        log.push(slice(5, 0, 1, 5000));
        assert_eq!(log.len(), 1);
    }
}
