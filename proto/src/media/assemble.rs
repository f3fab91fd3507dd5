//! Slices → whole pictures in order: what a file is made of.
//!
//! Slices and what came of unfinished ones are kept until the session settles their picture, which it does in order, each once;
//! then they are one [`AccessUnit`]. A slice whose head cannot be is as good as lost. A picture of which no slice is whole gives
//! none: the gap in the numbers tells the writer. Bodies are shared, never copied.
//!
//! Capacity: so many bytes of pictures that are not settled yet, as whoever has it says; above it the oldest goes, never for the
//! sake of an older one.

use super::depacketizer::{Part, Settled, Slice};
use super::reel::Ready;
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
    /// Its size.
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
    fn new(number: u64, count: u8, head: &Head<'_>, received: Instant) -> Self {
        let &Head { size, sampling, capture, position, queued, encoded, .. } = head;
        let (slices, parts) = (vec![None; usize::from(count)], Vec::new());
        AccessUnit { number, size, sampling, capture, position, queued, encoded, received, slices, parts, bytes: 0 }
    }

    /// Bytes of all bodies.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.slices.iter().all(Option::is_some)
    }

    /// The moments of its way, where it was decoded at this one and was never held.
    pub fn ready(&self, decoded: Instant) -> Ready {
        let &AccessUnit { number: picture, size, capture, queued, encoded, received, .. } = self;
        Ready { picture, size, capture, queued, encoded, received, released: received, decoded, whole: self.is_whole() }
    }
}

/// See the module text.
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

    /// Bytes of all bodies that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A slice is whole.
    pub fn slice(&mut self, slice: Slice, received: Instant) {
        let len = slice.body.len();
        let Ok((head, _)) = Head::decode(&slice.body) else { return };
        let encoded = head.encoded;
        let Some(unit) = self.unit(slice.picture, slice.count, &head, len, received) else { return };
        let index = usize::from(slice.index);
        let Some(place) = unit.slices.get_mut(index) else { return };
        unit.received = received;
        unit.encoded = unit.encoded.max(encoded);
        let before = place.replace(slice).map_or(0, |before| before.body.len());
        unit.bytes = unit.bytes + len - before;
        self.bytes = self.bytes + len - before;
    }

    /// What came of an unfinished slice.
    pub fn part(&mut self, part: Part, received: Instant) {
        let len = part.body.len();
        let Ok((head, _)) = Head::decode(&part.body) else { return };
        let Some(unit) = self.unit(part.picture, part.count, &head, len, received) else { return };
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

    /// The picture of this number, where so many bytes more of it may be kept; older ones go first.
    fn unit(&mut self, number: u64, count: u8, head: &Head<'_>, bytes: usize, now: Instant) -> Option<&mut AccessUnit> {
        while self.bytes + bytes > self.limit {
            let oldest = self.units.first_entry().filter(|oldest| *oldest.key() < number)?;
            self.bytes -= oldest.remove().bytes;
        }
        Some(self.units.entry(number).or_insert_with(|| AccessUnit::new(number, count, head, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::slice::Tables;

    /// Head and scan of a slice that took so many ms to encode.
    fn body(picture: u64, encoded: u64, scan: usize) -> Vec<u8> {
        let head = Head {
            sampling: Sampling::Grey,
            tables: Tables::Own(80),
            size: Size { width: 16, height: 16 },
            top: 0,
            rows: 8,
            restart: 1,
            capture: MediaTime::from_nanos(picture),
            queued: Duration::from_millis(1),
            encoded: Duration::from_millis(encoded),
            position: None,
        };
        let mut body = Vec::new();
        head.encode(&mut body);
        body.resize(body.len() + scan, 7);
        body
    }

    fn slice(picture: u64, index: u8, encoded: u64, scan: usize) -> Slice {
        Slice { picture, index, count: 2, body: body(picture, encoded, scan).into() }
    }

    fn settled(picture: u64, slices: u8) -> Settled {
        Settled { picture, slices, count: 2 }
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
        let part =
            Part { picture: 4, index: 1, count: 2, body: body(4, 1, 30).into(), present: vec![0..20, 25..40], ended: false };
        assembly.part(part.clone(), later);
        let unit = assembly.settled(settled(4, 1)).expect("half of it came");
        assert!(!unit.is_whole() && unit.parts == [part] && unit.slices == [Some(slice(4, 0, 1, 100)), None]);
        assert_eq!(unit.received, start, "by its last whole slice");
        assert_eq!(assembly.bytes, 0);
    }

    #[test]
    fn a_picture_without_a_whole_slice_is_a_gap_and_what_is_older_is_forgotten() {
        let (mut assembly, now) = (Assembly::new(1 << 20), Instant::now());
        assembly.slice(slice(1, 0, 1, 10), now);
        assembly.part(Part { picture: 2, index: 0, count: 2, body: body(2, 1, 9).into(), present: vec![], ended: true }, now);
        assembly.slice(Slice { picture: 2, index: 1, count: 2, body: [0; 9].into() }, now);
        assembly.slice(slice(2, 2, 1, 10), now);
        assert_eq!(assembly.settled(settled(2, 0)), None, "no head, no such place");
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
        assert_eq!(assembly.settled(settled(1, 1)).map(|unit| unit.bytes()), Some(body(1, 1, 300).len()));
    }
}
