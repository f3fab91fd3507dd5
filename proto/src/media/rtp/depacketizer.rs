//! Payloads of RTP (RFC 2435) → JPEGs, with the headers of its appendix B.
//!
//! A picture is whole when all bytes of its scan are there up to those of the packet with the marker. One that is not whole when
//! the next begins is shown as far as it can be: of a scan that was cut between its restart markers the intervals that came whole,
//! and for those that are missing the same of the picture before, or grey; another is dropped. Packets of a picture may come
//! in any order, and twice; what comes of an older one is dropped, and so is what is not understood.
//!
//! Bytes are anybody's. What is kept is at most [`LONGEST`] bytes of [`MOST_PACKETS`] packets, and the scan before; nothing is as
//! large as a header says it is.

use super::jpeg::{ANYWHERE, Intervals, Kind, Payload, Quantisers, TABLES_FROM};
use super::packet::Header;
use crate::media::jpeg::segments;
use crate::media::jpeg::tables::{self, EOI, RST0};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// The longest scan: as much as the longest slice of ours.
pub const LONGEST: usize = 4 << 20;

/// Packets of one picture: those of the longest scan, if they are no shorter than any path must carry (RFC 8200 §5).
pub const MOST_PACKETS: usize = LONGEST / 1024;

/// A packet this far behind is late; one that is further is of a sender that began anew (RFC 3550 A.1: MAX_MISORDER).
const LATE: u16 = 100;

/// A picture that came.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// When it was caught, in ticks of its sender's clock.
    pub timestamp: u32,
    /// Whether all of it is its own.
    pub whole: bool,
    pub jpeg: Vec<u8>,
}

/// See the module text.
#[derive(Debug, Default)]
pub struct Depacketizer {
    /// The newest picture, and whether it is done with.
    newest: Option<(Assembly, bool)>,
    /// Tables that stay the same for a value of Q (128 to 254, §4.2).
    known: BTreeMap<u8, Quantisers>,
    before: Option<Before>,
}

/// What came of a picture.
#[derive(Debug)]
struct Assembly {
    ssrc: u32,
    timestamp: u32,
    /// Of the packet that came first.
    sequence: u16,
    kind: Kind,
    quantisers: Option<Quantisers>,
    /// Bytes in the order in which they came, and which they are by where they belong.
    bytes: Vec<u8>,
    pieces: BTreeMap<usize, Piece>,
    /// The scan's length, once the packet with the marker is there.
    len: Option<usize>,
}

#[derive(Debug)]
struct Piece {
    at: Range<usize>,
    intervals: Option<Intervals>,
}

/// The picture before.
#[derive(Debug)]
struct Before {
    kind: Kind,
    quantisers: Quantisers,
    scan: Vec<u8>,
}

impl Depacketizer {
    /// Takes a packet; gives the pictures that are done with by it, two at most.
    pub fn push(&mut self, header: &Header, payload: &[u8]) -> Vec<Picture> {
        let mut done = Vec::new();
        let Some(payload) = Payload::decode(payload) else { return done };
        let Header { ssrc, timestamp, sequence, marker, .. } = *header;
        let newest = self.newest.as_ref().map(|(assembly, _)| (assembly.ssrc, assembly.timestamp, assembly.sequence));
        match newest {
            Some((its, when, _)) if (its, when) == (ssrc, timestamp) => {}
            Some((its, _, first)) if its == ssrc && (1..=LATE).contains(&first.wrapping_sub(sequence)) => return done,
            _ => {
                done.extend(self.settle());
                self.newest = Some((Assembly::new(header, payload.kind), false));
            }
        }
        if let Some((assembly, false)) = &mut self.newest
            && assembly.take(payload, marker)
        {
            done.extend(self.settle());
        }
        done
    }

    /// The picture that is under way, as it is: no more will come.
    pub fn finish(&mut self) -> Option<Picture> {
        self.settle()
    }

    /// Is done with the newest picture.
    fn settle(&mut self) -> Option<Picture> {
        let (assembly, is_done) = self.newest.as_mut().filter(|(_, is_done)| !is_done)?;
        *is_done = true;
        let (kind, timestamp) = (assembly.kind, assembly.timestamp);
        if let (Some(quantisers), TABLES_FROM..=254) = (assembly.quantisers, kind.quality) {
            self.known.insert(kind.quality, quantisers);
        }
        let quantisers = match kind.quality {
            quality @ ..TABLES_FROM => tables::quantisers(quality),
            quality => assembly.quantisers.or_else(|| self.known.get(&quality).copied())?,
        };
        let whole = assembly.whole();
        let (came, bytes) = (std::mem::take(&mut assembly.pieces), std::mem::take(&mut assembly.bytes));
        let before = self.before.take().filter(|before| (before.kind, before.quantisers) == (kind, quantisers));
        let scan = match &whole {
            Some(scan) => scan.clone(),
            None => filled(kind, &intervals(&came, &bytes), before.as_ref())?,
        };
        let mut jpeg = Vec::with_capacity(1024 + scan.len());
        tables::header_with(&mut jpeg, &quantisers, kind.sampling, kind.size, kind.restart);
        jpeg.extend_from_slice(&scan);
        jpeg.extend_from_slice(&[0xFF, EOI]);
        self.before = Some(Before { kind, quantisers, scan });
        Some(Picture { timestamp, whole: whole.is_some(), jpeg })
    }
}

impl Assembly {
    fn new(header: &Header, kind: Kind) -> Self {
        let Header { ssrc, timestamp, sequence, .. } = *header;
        let (quantisers, bytes, pieces, len) = (None, Vec::new(), BTreeMap::new(), None);
        Assembly { ssrc, timestamp, sequence, kind, quantisers, bytes, pieces, len }
    }

    /// Whether all is there with it.
    fn take(&mut self, payload: Payload<'_>, marker: bool) -> bool {
        let Payload { kind, offset, intervals, quantisers, scan } = payload;
        let room = self.pieces.len() < MOST_PACKETS && self.bytes.len() + scan.len() <= LONGEST;
        if kind != self.kind || !room || self.pieces.contains_key(&offset) {
            return false;
        }
        self.quantisers = self.quantisers.or(quantisers);
        if marker {
            self.len = self.len.or(Some(offset + scan.len()));
        }
        if !scan.is_empty() {
            let at = self.bytes.len()..self.bytes.len() + scan.len();
            self.bytes.extend_from_slice(scan);
            self.pieces.insert(offset, Piece { at, intervals });
        }
        self.len.is_some_and(|len| len > 0 && self.bytes.len() >= len)
    }

    /// The scan, if all of it is there.
    fn whole(&self) -> Option<Vec<u8>> {
        let len = self.len?;
        let mut scan = Vec::with_capacity(self.bytes.len());
        for (offset, piece) in self.pieces.range(..len) {
            if *offset != scan.len() {
                return None;
            }
            scan.extend_from_slice(&self.bytes[piece.at.clone()]);
        }
        let is_whole = scan.len() == len && len > 0;
        // It may say where it ends (§3.1.9).
        let end = if scan.ends_with(&[0xFF, EOI]) { len - 2 } else { len };
        scan.truncate(end);
        is_whole.then_some(scan)
    }
}

/// The intervals that came whole, by their number, without the markers between them.
fn intervals<'a>(pieces: &BTreeMap<usize, Piece>, bytes: &'a [u8]) -> BTreeMap<usize, Cow<'a, [u8]>> {
    let mut found = BTreeMap::new();
    // An interval that goes through several packets: its number, where it goes on, and its bytes.
    let mut open: Option<(u16, usize, Vec<u8>)> = None;
    for (offset, Piece { at, intervals }) in pieces {
        let Some(Intervals { begins, ends, first }) = *intervals else { continue };
        let bytes = &bytes[at.clone()];
        let behind = offset + bytes.len();
        match open.take() {
            _ if first == ANYWHERE => {}
            _ if begins && ends => {
                found.extend(split(bytes, first.into()).map(|(number, interval)| (number, Cow::Borrowed(interval))));
            }
            _ if begins => open = Some((first, behind, bytes.to_vec())),
            Some((number, goes_on, mut came)) if (number, goes_on) == (first, *offset) => {
                came.extend_from_slice(bytes);
                if ends {
                    found.extend(split(&came, first.into()).map(|(number, interval)| (number, Cow::Owned(interval.to_vec()))));
                } else {
                    open = Some((number, behind, came));
                }
            }
            _ => {}
        }
    }
    found
}

/// The intervals of bytes that begin with the one of this number, as far as the markers between them count as they should.
fn split(bytes: &[u8], first: usize) -> impl Iterator<Item = (usize, &[u8])> {
    // Some may write the marker in front of an interval instead of behind the one before it.
    let marker = |number: usize| [0xFF, RST0 + (number % 8) as u8];
    let mut rest = match first.checked_sub(1) {
        Some(before) => bytes.strip_prefix(&marker(before)).unwrap_or(bytes),
        None => bytes,
    };
    let mut number = first;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0 && pair[1] != 0xFF);
        let (interval, behind) = rest.split_at(end.unwrap_or(rest.len()));
        // Behind any other marker nothing is believed.
        rest = behind.strip_prefix(&marker(number)).unwrap_or_default();
        number += 1;
        (!interval.is_empty()).then_some((number - 1, interval))
    })
}

/// A scan of the intervals that came, of those before, and of grey; `None` where not one came.
fn filled(kind: Kind, came: &BTreeMap<usize, Cow<'_, [u8]>>, before: Option<&Before>) -> Option<Vec<u8>> {
    let (mcus, restart, count) = (kind.mcus(), usize::from(kind.restart), kind.intervals());
    came.range(..count).next().filter(|_| restart > 0)?;
    let before: Vec<&[u8]> = before.map_or(Vec::new(), |before| split(&before.scan, 0).map(|(_, bytes)| bytes).collect());
    let before = if before.len() == count { before } else { Vec::new() };
    let (grey, last_grey) = (grey(kind, restart)?, grey(kind, mcus - (count - 1) * restart)?);
    let mut scan = Vec::new();
    for number in 0..count {
        let grey = if number + 1 == count { &last_grey } else { &grey };
        scan.extend_from_slice(match (came.get(&number), before.get(number)) {
            (Some(bytes), _) => bytes,
            (None, Some(bytes)) => bytes,
            (None, None) => grey,
        });
        // Each picture may be filled up with the longest of all before.
        if scan.len() > LONGEST {
            return None;
        }
        if number + 1 < count {
            scan.extend_from_slice(&[0xFF, RST0 + (number % 8) as u8]);
        }
    }
    Some(scan)
}

/// A grey interval of so many MCUs.
fn grey(kind: Kind, mcus: usize) -> Option<Vec<u8>> {
    let mut header = Vec::new();
    tables::header(&mut header, 1, kind.sampling, kind.size, 0);
    let (kept, _) = segments::of(&header).ok()?;
    let layout = segments::parse(&kept).ok()?;
    segments::grey_scan(&kept, &layout, mcus)
}

#[cfg(test)]
#[path = "depacketizer_tests.rs"]
mod tests;
