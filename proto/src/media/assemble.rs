//! Slices → whole pictures in order: what a file is made of.
//!
//! Slices and what came of unfinished ones are kept until the session settles their picture, which it does in order, each once;
//! then they are one [`AccessUnit`]. A picture of which no slice is whole gives none: the gap in the numbers tells the writer.
//! Bytes are shared, never copied.
//!
//! Capacity: so many bytes of pictures that are not settled yet, as whoever has it says; above it the oldest goes, never for the
//! sake of an older one.

use super::depacketizer::Settled;
use super::reel::Ready;
use super::slice::{Part, Slice};
use crate::picture::{Sampling, Size};
use crate::time::MediaTime;
use crate::wire::slice::Head;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// All that came of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// The picture's number.
    pub number: u64,
    pub size: Size,
    /// How its colours are sampled.
    pub sampling: Sampling,
    /// When the light was caught, on the sender's clock.
    pub capture: MediaTime,
    /// Its time in its film; `None` of a live one.
    pub position: Option<Duration>,
    /// From capture to the encoder.
    pub queued: Duration,
    /// From there until its last slice was encoded.
    pub encoded: Duration,
    /// When the last slice of it came.
    pub received: Instant,
    /// Its slices by their index; `None` where one did not come whole.
    pub slices: Vec<Option<Slice>>,
    /// What came of others.
    pub parts: Vec<Part>,
    bytes: usize,
}

impl AccessUnit {
    /// Nothing of the picture is in it yet that this slice is of.
    fn new(slice: &Slice, received: Instant) -> Self {
        let Head { size, sampling, capture, position, queued, encoded, .. } = slice.head();
        let (number, slices, parts) = (slice.picture, vec![None; usize::from(slice.count)], Vec::new());
        AccessUnit { number, size, sampling, capture, position, queued, encoded, received, slices, parts, bytes: 0 }
    }

    /// Bytes of all slices and parts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.slices.iter().all(Option::is_some)
    }

    /// The moments of its way, where it was decoded at this one and was never held.
    pub fn ready(&self, decoded: Instant) -> Ready {
        let &AccessUnit { number: picture, size, capture, position, queued, encoded, received, .. } = self;
        Ready { picture, size, capture, position, queued, encoded, received, released: received, decoded, whole: self.is_whole() }
    }
}

pub struct Assembly {
    units: BTreeMap<u64, AccessUnit>,
    bytes: usize,
    limit: usize,
}

impl Assembly {
    /// Nothing has come. It holds so many bytes.
    pub fn new(limit: usize) -> Self {
        Assembly { units: BTreeMap::new(), bytes: 0, limit }
    }

    /// It holds so many bytes from now on. What is there already stays until the next slice comes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes of all slices and parts that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A slice is whole.
    pub fn slice(&mut self, slice: Slice, received: Instant) {
        let (len, encoded) = (slice.bytes().len(), slice.head().encoded);
        let Some(unit) = self.unit(&slice, received) else { return };
        let index = usize::from(slice.index);
        let Some(place) = unit.slices.get_mut(index) else { return };
        unit.received = received;
        unit.encoded = unit.encoded.max(encoded);
        let before = place.replace(slice).map_or(0, |before| before.bytes().len());
        unit.bytes = unit.bytes + len - before;
        self.bytes = self.bytes + len - before;
    }

    /// What came of an unfinished slice.
    pub fn part(&mut self, part: Part, received: Instant) {
        let len = part.slice.bytes().len();
        let Some(unit) = self.unit(&part.slice, received) else { return };
        unit.bytes += len;
        unit.parts.push(part);
        self.bytes += len;
    }

    /// A picture is complete or will not become so: what there is of it. Older ones are forgotten.
    pub fn settled(&mut self, settled: Settled) -> Option<AccessUnit> {
        let unit = self.units.remove(&settled.picture);
        self.units = self.units.split_off(&settled.picture);
        self.bytes = self.units.values().map(AccessUnit::bytes).sum();
        unit.filter(|unit| unit.slices.iter().any(Option::is_some))
    }

    /// The picture of a slice, where the bytes of that may be kept, too; older ones go first.
    fn unit(&mut self, slice: &Slice, now: Instant) -> Option<&mut AccessUnit> {
        while self.bytes + slice.bytes().len() > self.limit {
            let oldest = self.units.first_entry().filter(|oldest| *oldest.key() < slice.picture)?;
            self.bytes -= oldest.remove().bytes;
        }
        Some(self.units.entry(slice.picture).or_insert_with(|| AccessUnit::new(slice, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::slice::testing::{self, EMPTY};
    use super::*;

    /// One that took so many ms to encode.
    fn slice(picture: u64, index: u8, encoded: u64, scan: usize) -> Slice {
        let mut slice = testing::slice(picture, index, 2, EMPTY + scan);
        slice.stamp_capture(MediaTime::from_nanos(picture));
        slice.stamp_times(Duration::from_millis(1), Duration::from_millis(encoded));
        slice
    }

    fn part(picture: u64, index: u8) -> Part {
        Part { slice: slice(picture, index, 1, 30), present: vec![0..20, 25..30], ended: false }
    }

    fn settled(picture: u64, slices: u8) -> Settled {
        Settled { picture, slices, count: 2, unsent: false }
    }

    #[test]
    fn a_settled_picture_has_what_came_of_it_each_slice_in_its_place() {
        let (mut assembly, start) = (Assembly::new(1 << 20), Instant::now());
        let later = start + Duration::from_millis(5);
        assembly.slice(slice(3, 1, 9, 100), start);
        assembly.slice(slice(4, 0, 1, 100), start);
        assembly.slice(slice(3, 0, 4, 50), later);
        let unit = assembly.settled(settled(3, 2)).expect("all of it came");
        assert!(unit.is_whole() && unit.number == 3 && unit.capture == MediaTime::from_nanos(3) && unit.received == later);
        assert_eq!(unit.slices, [Some(slice(3, 0, 4, 50)), Some(slice(3, 1, 9, 100))]);
        let ready = unit.ready(later);
        assert!(ready.whole && ready.encoded == Duration::from_millis(9) && ready.received == ready.released);
        assembly.part(part(4, 1), later);
        let unit = assembly.settled(settled(4, 1)).expect("half of it came");
        assert!(!unit.is_whole() && unit.parts == [part(4, 1)] && unit.slices == [Some(slice(4, 0, 1, 100)), None]);
        assert_eq!(unit.received, start, "by its last whole slice");
        assert_eq!(assembly.bytes, 0);
    }

    #[test]
    fn a_picture_without_a_whole_slice_is_a_gap_and_what_is_older_is_forgotten() {
        let (mut assembly, now) = (Assembly::new(1 << 20), Instant::now());
        assembly.slice(slice(1, 0, 1, 10), now);
        assembly.part(part(2, 0), now);
        assembly.slice(slice(2, 2, 1, 10), now);
        assert_eq!(assembly.settled(settled(2, 0)), None, "no such place");
        assert_eq!((assembly.settled(settled(1, 1)), assembly.bytes), (None, 0));
    }

    #[test]
    fn what_is_over_the_limit_goes_the_oldest_first_and_never_for_an_older_one() {
        let (mut assembly, now) = (Assembly::new(1000), Instant::now());
        (1..=4).for_each(|picture| assembly.slice(slice(picture, 0, 1, 300), now));
        assert!(assembly.bytes <= 1000);
        assembly.slice(slice(1, 1, 1, 600), now);
        assert_eq!(assembly.settled(settled(1, 1)), None, "it was the oldest");
        assert!(assembly.settled(settled(3, 1)).is_some() && assembly.settled(settled(4, 1)).is_some());
    }

    #[test]
    fn a_slice_that_comes_twice_counts_once() {
        let (mut assembly, now) = (Assembly::new(1000), Instant::now());
        (0..10).for_each(|_| assembly.slice(slice(1, 0, 1, 300), now));
        assert_eq!(assembly.settled(settled(1, 1)).map(|unit| unit.bytes()), Some(EMPTY + 300));
    }
}
