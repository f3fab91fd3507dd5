//! One slice of a picture: from the encoder to the log, and from the depacketizer to canvas, files and who it is forwarded to.
//!
//! Its bytes are what travels, `u32 length ++ head ++ scan` (`wire::slice`), in one allocation that clones share. The head is
//! parsed where a slice is made of bytes that came ([`Slice::read`]), and kept beside them: bytes without a head that can be are
//! no slice, and nobody parses again.

use crate::time::MediaTime;
use crate::wire::Error;
use crate::wire::slice::{Head, TABLES_LEN, Tables, kept, stamp_capture, stamp_shares, stamp_times};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the length in front of a slice.
pub const LENGTH_PREFIX: usize = 4;

/// One slice of one picture. Clones share its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The picture's number, from 0, without gaps.
    pub picture: u64,
    /// Which slice of it, from the top.
    pub index: u8,
    /// How many slices the picture has, at least 1.
    pub count: u8,
    bytes: Arc<[u8]>,
    parsed: Parsed,
}

/// What came of a slice whose picture was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The slice as far as anything came, with zeros in the holes of its scan. All of its head came.
    pub slice: Slice,
    /// The bytes of its scan that came, in order.
    pub present: Vec<Range<usize>>,
    /// The slice's last byte came.
    pub ended: bool,
}

/// Where something lies in a slice's bytes, of which there are a few MiB: small, for slices are handed on by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    from: u32,
    to: u32,
}

impl Place {
    fn new(from: usize, to: usize) -> Place {
        Place { from: from as u32, to: to as u32 }
    }

    fn range(self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// A head without the bytes it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parsed {
    /// Of a camera's tables, and of MCUs, it says only that there are some.
    head: Head<'static>,
    /// Where in the slice's bytes the places of those lie.
    places: Place,
    /// And those tables. The scan begins behind them.
    tables: Place,
}

impl Parsed {
    /// Of the head of a slice whose scan begins at byte `scan`.
    fn new(head: &Head<'_>, scan: usize) -> Parsed {
        let (tables, len, front) = match head.tables {
            Tables::Own(quality) => (Tables::Own(quality), 0, 0),
            Tables::Foreign(tables) => (Tables::Foreign(&[]), tables.len(), TABLES_LEN),
        };
        let (mcus, named) = head.mcus.map(|mcus| mcus.apart()).unzip();
        let &Head { sampling, size, top, rows, restart, capture, shared, owed, position, .. } = head;
        let (queued, encoded) = (kept(head.queued), kept(head.encoded));
        let head = Head { sampling, tables, size, top, rows, restart, capture, queued, encoded, shared, owed, position, mcus };
        let places = scan - len - front;
        Parsed { head, places: Place::new(places - named.unwrap_or(0), places), tables: Place::new(scan - len, scan) }
    }
}

impl Slice {
    /// A slice that was encoded. Head and scan are written into its one allocation.
    pub fn new(picture: u64, index: u8, count: u8, head: &Head<'_>, scan: &[u8]) -> Slice {
        let at = LENGTH_PREFIX + head.encoded_len();
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, at + scan.len()).collect();
        // Nobody shares them yet.
        let (front, behind) = Arc::make_mut(&mut bytes).split_at_mut(at);
        let len = front.len() - LENGTH_PREFIX + behind.len();
        front[..LENGTH_PREFIX].copy_from_slice(&(len as u32).to_be_bytes());
        head.write(&mut front[LENGTH_PREFIX..]);
        behind.copy_from_slice(scan);
        Slice { picture, index, count, bytes, parsed: Parsed::new(head, at) }
    }

    /// A slice out of bytes that came, or why they are none. The length in front is not looked at.
    pub fn read(picture: u64, index: u8, count: u8, bytes: Arc<[u8]>) -> Result<Slice, Error> {
        let (head, scan) = Head::decode(bytes.get(LENGTH_PREFIX..).unwrap_or_default())?;
        let parsed = Parsed::new(&head, bytes.len() - scan.len());
        Ok(Slice { picture, index, count, bytes, parsed })
    }

    /// All of it: `u32 length ++ head ++ scan`.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What it says of itself.
    pub fn head(&self) -> Head<'_> {
        let Parsed { head, places, tables } = &self.parsed;
        let tables = match head.tables {
            Tables::Own(quality) => Tables::Own(quality),
            Tables::Foreign(_) => Tables::Foreign(&self.bytes[tables.range()]),
        };
        Head { tables, mcus: head.mcus.map(|mcus| mcus.with(&self.bytes[places.range()])), ..*head }
    }

    /// The scan behind the head.
    pub fn scan(&self) -> &[u8] {
        &self.bytes[self.parsed.tables.range().end..]
    }

    /// The same, to be written. Where others share the bytes they are copied first, here and in what follows.
    pub fn scan_mut(&mut self) -> &mut [u8] {
        &mut Arc::make_mut(&mut self.bytes)[self.parsed.tables.range().end..]
    }

    /// When its picture was caught.
    pub fn capture(&self) -> MediaTime {
        self.parsed.head.capture
    }

    /// Its picture was caught then, by the clock of who passes the slice on.
    pub fn stamp_capture(&mut self, capture: MediaTime) {
        stamp_capture(&mut Arc::make_mut(&mut self.bytes)[LENGTH_PREFIX..], capture);
        self.parsed.head.capture = capture;
    }

    /// The same as slice `index` of `count` of this picture, which is for every receiver and has no others.
    pub fn alone(mut self, picture: u64, index: u8, count: u8) -> Slice {
        stamp_shares(&mut Arc::make_mut(&mut self.bytes)[LENGTH_PREFIX..], count);
        (self.parsed.head.shared, self.parsed.head.owed) = (count, count);
        Slice { picture, index, count, ..self }
    }

    /// How long it took from capture until the encoder began, and until the slice was ready: that is known only afterwards.
    pub fn stamp_times(&mut self, queued: Duration, encoded: Duration) {
        stamp_times(&mut Arc::make_mut(&mut self.bytes)[LENGTH_PREFIX..], queued, encoded);
        (self.parsed.head.queued, self.parsed.head.encoded) = (kept(queued), kept(encoded));
    }
}

/// What tests of other files make slices of.
#[cfg(test)]
pub mod testing {
    use super::Slice;
    use crate::picture::{Sampling, Size};
    use crate::time::MediaTime;
    use crate::wire::slice::{FIXED_LEN, Head, Tables};
    use std::time::Duration;

    /// Bytes of a slice of these that is all head.
    pub const EMPTY: usize = super::LENGTH_PREFIX + FIXED_LEN;

    /// Of all of a grey picture of 16x16.
    pub fn head() -> Head<'static> {
        Head {
            sampling: Sampling::Grey,
            tables: Tables::Own(80),
            size: Size { width: 16, height: 16 },
            top: 0,
            rows: 16,
            restart: 1,
            capture: MediaTime::ZERO,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: 1,
            owed: 1,
            position: None,
            mcus: None,
        }
    }

    /// One of so many bytes, at least [`EMPTY`], with its place in every other byte of its scan.
    pub fn slice(picture: u64, index: u8, count: u8, bytes: usize) -> Slice {
        let scan: Vec<u8> = (0..bytes - EMPTY).map(|at| (at * 7 + usize::from(index)) as u8).collect();
        Slice::new(picture, index, count, &Head { owed: count, ..head() }, &scan)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::head;
    use super::*;
    use crate::wire::mcus::Selection;

    #[test]
    fn what_was_encoded_is_what_comes_of_its_bytes() {
        let foreign = Head { tables: Tables::Foreign(b"the camera's"), position: Some(Duration::from_secs(3)), ..head() };
        let uneven = Head { queued: Duration::from_nanos(1_234_567), encoded: Duration::from_secs(9), ..head() };
        let some = Selection::new(2, [1].into_iter()).unwrap();
        let packed = Head { mcus: Some(some.mcus()), ..head() };
        let both = Head { mcus: Some(some.mcus()), ..foreign };
        for head in [head(), foreign, uneven, packed, both] {
            let mut slice = Slice::new(7, 1, 3, &head, b"scan");
            let (len, body) = slice.bytes().split_first_chunk().unwrap();
            assert_eq!((u32::from_be_bytes(*len) as usize, Head::decode(body)), (body.len(), Ok((slice.head(), &b"scan"[..]))));
            assert_eq!((slice.head().tables, slice.scan()), (head.tables, &b"scan"[..]));
            assert_eq!(slice.head().mcus, head.mcus);
            slice.stamp_times(Duration::from_nanos(7_654_321), Duration::from_millis(2));
            slice.stamp_capture(MediaTime::from_nanos(99));
            slice.scan_mut()[0] = b'S';
            assert_eq!(Slice::read(7, 1, 3, slice.bytes().clone()), Ok(slice.clone()));
            assert_eq!((slice.capture(), slice.scan()), (MediaTime::from_nanos(99), &b"Scan"[..]));
            assert_eq!(slice.head().queued, Duration::from_micros(7650));
            let alone = slice.alone(8, 0, 2);
            assert_eq!((alone.head().shared, alone.head().owed), (2, 2));
            assert_eq!(Slice::read(8, 0, 2, alone.bytes().clone()), Ok(alone));
        }
    }

    #[test]
    fn bytes_are_shared_until_one_of_those_who_have_them_writes() {
        let first = Slice::new(7, 1, 3, &head(), b"scan");
        let mut later = first.clone();
        assert!(Arc::ptr_eq(first.bytes(), later.bytes()));
        later.stamp_capture(MediaTime::from_nanos(5));
        assert_eq!((first.capture(), later.capture()), (MediaTime::ZERO, MediaTime::from_nanos(5)));
        let at = Arc::as_ptr(later.bytes());
        later.stamp_capture(MediaTime::from_nanos(6));
        assert!(std::ptr::eq(at, Arc::as_ptr(later.bytes())), "nobody else had them");
    }

    #[test]
    fn what_has_no_head_that_can_be_is_no_slice() {
        let whole = Slice::new(7, 1, 3, &head(), &[]);
        for len in 0..whole.bytes().len() {
            assert!(Slice::read(7, 1, 3, whole.bytes()[..len].into()).is_err(), "{len}");
        }
        let mut later = whole.bytes().to_vec();
        later[LENGTH_PREFIX] |= 0x10;
        assert!(Slice::read(7, 1, 3, later.into()).is_err(), "packed in a way that is not known");
    }
}
