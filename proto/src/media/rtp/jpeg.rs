//! A JPEG as payloads of RTP (RFC 2435), and the headers of such a payload.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | type-specific |          offset of the scan's bytes           |  always (§3.1)
//! |     type      |       Q       |   width / 8   |  height / 8   |
//! |       restart interval        |F|L|       restart count       |  types 64 to 127 (§3.1.7)
//! |       0       |   precision   |            length             |  where Q is 128 or more, at offset 0 (§3.1.8)
//! |          quantisation tables, 64 bytes each, zigzag           |
//! |                        bytes of the scan                      |
//! ```
//!
//! Only the scan travels: what is in front of it is Annex K's or follows from these. So this is of some JPEGs only ([`Unfit`] says
//! what of one does not fit), and whoever has another decodes it and encodes it anew.
//!
//! Where the scan has restart markers it is cut between them: a packet holds as many whole intervals as it has room for, or an
//! interval that is longer than a packet has packets of its own. The marker is the last of the interval before it. So a
//! receiver can show what is whole of a picture of which packets were lost. Today's players do not; it costs 15 % more packets than
//! cutting anywhere.

use crate::media::jpeg::segments::{self, Layout, Refusal};
use crate::media::jpeg::tables::{self, DHT, DQT, EOI, RST0, SOF0, SOS};
use crate::picture::{Sampling, Size};
use std::ops::Range;

/// RFC 3551 gives it to JPEGs.
pub const PAYLOAD_TYPE: u8 = 26;

/// Ticks of a timestamp in a second.
pub const RATE: u32 = 90_000;

/// The two types there are, to which [`WITH_RESTART`] is added where the scan has restart markers.
const TYPE_422: u8 = 0;
const TYPE_420: u8 = 1;
const WITH_RESTART: u8 = 64;

/// The value of Q that says that the tables come with each picture.
const TABLES_EACH: u8 = 255;

/// Values of Q from here on have tables on the way.
pub const TABLES_FROM: u8 = 128;

/// The restart count that says that packets begin and end anywhere.
pub const ANYWHERE: u16 = 0x3FFF;

/// The longest side: 255 times 8.
const LONGEST_SIDE: u32 = 2040;

/// Three bytes say where in the scan a packet begins.
const LONGEST_SCAN: usize = (1 << 24) - 1;

/// The two quantisation tables, of luma and colour, in zigzag order.
pub type Quantisers = [[u8; 64]; 2];

/// Bytes of them, and of all headers of the first packet.
const TABLES_LEN: usize = 128;
const MOST_HEAD: usize = 8 + 4 + 4 + TABLES_LEN;

/// Why a JPEG cannot be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no baseline JPEG of one scan.
    #[error(transparent)]
    Jpeg(#[from] Refusal),
    /// RTP has one way to halve colours horizontally, and one to halve them in both directions.
    #[error("its colours are sampled as {0:?}; RTP carries 4:2:0 and 4:2:2")]
    Sampling(Sampling),
    /// 4:2:2 said with MCUs twice as high.
    #[error("its MCUs are higher than those of RTP")]
    Mcus,
    #[error("it is {0}; RTP carries pictures of at most 2040x2040, whose sides are multiples of 8")]
    Size(Size),
    #[error("its Huffman tables are its own; RTP carries those of JPEG's Annex K")]
    Huffman,
    #[error("its two colours have different quantisation tables; RTP carries one for both")]
    Quantisers,
    #[error("its restart markers are not what it announces")]
    Markers,
    #[error("its scan is longer than 16 MiB")]
    Long,
}

/// The fields of a payload that all of one picture have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub sampling: Sampling,
    /// The value of Q.
    pub quality: u8,
    pub size: Size,
    /// MCUs between restart markers, 0 for none.
    pub restart: u16,
}

impl Kind {
    /// MCUs of the picture.
    pub fn mcus(self) -> usize {
        let mcus = self.sampling.mcus(self.size);
        (mcus.width * mcus.height) as usize
    }

    /// Restart intervals of the picture.
    pub fn intervals(self) -> usize {
        if self.restart == 0 { 1 } else { self.mcus().div_ceil(self.restart.into()) }
    }
}

/// Which restart intervals a packet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// It begins with the begin of an interval, and ends with the end of one.
    pub begins: bool,
    pub ends: bool,
    /// The number of the first, from 0; [`ANYWHERE`] where that is not said.
    pub first: u16,
}

/// Which intervals a packet is of that begins and ends anywhere.
const UNALIGNED: Intervals = Intervals { begins: true, ends: true, first: ANYWHERE };

/// A payload, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    pub kind: Kind,
    /// Where in the scan its bytes belong.
    pub offset: usize,
    /// Where the scan has restart markers.
    pub intervals: Option<Intervals>,
    /// Tables that come with it.
    pub quantisers: Option<Quantisers>,
    /// Bytes of the scan.
    pub scan: &'a [u8],
}

impl<'a> Payload<'a> {
    /// `None` where it is none of RFC 2435's, or of a kind that is not understood: a field of an interlaced picture, types and
    /// values of Q without a meaning, tables of 16 bits.
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (&[specific, o2, o1, o0, kind, quality, width, height], mut rest) = payload.split_first_chunk()?;
        let sampling = match kind & !WITH_RESTART {
            TYPE_422 => Sampling::Yuv422,
            TYPE_420 => Sampling::Yuv420,
            _ => return None,
        };
        let is_field = matches!(specific, 1 | 2);
        if is_field || width == 0 || height == 0 || matches!(quality, 0 | 100..TABLES_FROM) {
            return None;
        }
        let (mut restart, mut intervals) = (0, None);
        if kind & WITH_RESTART != 0 {
            let (&[r1, r0, c1, c0], behind) = rest.split_first_chunk()?;
            (rest, restart) = (behind, u16::from_be_bytes([r1, r0]));
            let first = u16::from_be_bytes([c1 & 0x3F, c0]);
            intervals = Some(Intervals { begins: c1 & 0x80 != 0, ends: c1 & 0x40 != 0, first });
            if restart == 0 {
                return None;
            }
        }
        let offset = u32::from_be_bytes([0, o2, o1, o0]) as usize;
        let mut quantisers = None;
        if quality >= TABLES_FROM && offset == 0 {
            let (&[_, precision, l1, l0], behind) = rest.split_first_chunk()?;
            let (tables, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
            rest = behind;
            quantisers = read_quantisers(tables, precision)?;
        }
        let size = Size { width: 8 * u32::from(width), height: 8 * u32::from(height) };
        Some(Payload { kind: Kind { sampling, quality, size, restart }, offset, intervals, quantisers, scan: rest })
    }
}

/// `None` where they cannot be; `Some(None)` where those that came before are meant. Some send a third, which nothing uses.
fn read_quantisers(tables: &[u8], precision: u8) -> Option<Option<Quantisers>> {
    let Some((luma, rest)) = tables.split_first_chunk::<64>() else { return tables.is_empty().then_some(None) };
    let colour = rest.first_chunk::<64>().unwrap_or(luma);
    let can_be = precision & 3 == 0 && !luma.contains(&0) && !colour.contains(&0);
    can_be.then_some(Some([*luma, *colour]))
}

/// A JPEG that fits.
#[derive(Debug)]
pub struct Picture<'a> {
    kind: Kind,
    /// Those that travel.
    quantisers: Option<Quantisers>,
    scan: &'a [u8],
    /// Where each interval ends, its marker included.
    ends: Vec<usize>,
    /// Where it is not, there are more than have a number in a header: all count as one.
    aligned: bool,
}

/// A packet's part of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    scan: Range<usize>,
    intervals: Intervals,
}

impl<'a> Picture<'a> {
    /// Looks whether a JPEG fits, and where it is cut.
    pub fn new(jpeg: &'a [u8]) -> Result<Self, Unfit> {
        let (kept, begin) = segments::of(jpeg)?;
        let layout = segments::parse(&kept)?;
        let Layout { sampling, size, restart, tall, .. } = layout;
        if !matches!(sampling, Sampling::Yuv420 | Sampling::Yuv422) {
            return Err(Unfit::Sampling(sampling));
        }
        if tall {
            return Err(Unfit::Mcus);
        }
        let fits = |side: u32| side.is_multiple_of(8) && side <= LONGEST_SIDE;
        if !fits(size.width) || !fits(size.height) {
            return Err(Unfit::Size(size));
        }
        let quantisers = quantisers(&kept)?;
        let quality = (1..100).find(|quality| tables::quantisers(*quality) == quantisers);
        let travel = quality.is_none().then_some(quantisers);
        let kind = Kind { sampling, quality: quality.unwrap_or(TABLES_EACH), size, restart };
        let behind = &jpeg[begin..];
        let (mut ends, len) = markers(behind)?;
        if len > LONGEST_SCAN {
            return Err(Unfit::Long);
        }
        let intervals = kind.intervals();
        // Some cameras write one more behind the last interval.
        let trails = ends.len() == intervals && ends.last() == Some(&len) && intervals > 1;
        if ends.len() + 1 != intervals && !trails {
            return Err(Unfit::Markers);
        }
        let aligned = intervals <= usize::from(ANYWHERE);
        ends.truncate(if aligned { intervals - 1 } else { 0 });
        ends.push(len);
        Ok(Picture { kind, quantisers: travel, scan: &behind[..len], ends, aligned })
    }

    /// What its packets have in common.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The parts that its packets carry, in order, of payloads that are at most so long (and at least a little longer than their
    /// headers).
    pub fn fragments(&self, longest: usize) -> Vec<Fragment> {
        let longest = longest.max(2 * MOST_HEAD);
        let mut fragments = Vec::new();
        let (mut at, mut next) = (0, 0);
        while let Some(&end) = self.ends.get(next) {
            let room = longest - self.head_len(at);
            let whole = self.ends[next..].iter().take_while(|end| **end - at <= room).count();
            let first = next;
            next += whole.max(1);
            let end = if whole > 0 { self.ends[next - 1] } else { end };
            let mut begins = true;
            while at < end {
                let to = end.min(at + longest - self.head_len(at));
                let aligned = Intervals { begins, ends: to == end, first: first as u16 };
                let intervals = if self.aligned { aligned } else { UNALIGNED };
                fragments.push(Fragment { scan: at..to, intervals });
                (at, begins) = (to, false);
            }
        }
        fragments
    }

    /// Bytes in front of the scan's, in a packet of the scan from here on.
    fn head_len(&self, at: usize) -> usize {
        let tables = if at == 0 && self.quantisers.is_some() { 4 + TABLES_LEN } else { 0 };
        8 + if self.kind.restart != 0 { 4 } else { 0 } + tables
    }

    /// Appends a packet's payload.
    pub fn write(&self, fragment: &Fragment, out: &mut Vec<u8>) {
        let Kind { sampling, quality, size, restart } = self.kind;
        let kind = if sampling == Sampling::Yuv422 { TYPE_422 } else { TYPE_420 };
        let kind = kind | if restart != 0 { WITH_RESTART } else { 0 };
        // At most 16 MiB: no bits but these three bytes'.
        out.extend_from_slice(&(fragment.scan.start as u32).to_be_bytes());
        out.extend_from_slice(&[kind, quality, (size.width / 8) as u8, (size.height / 8) as u8]);
        if restart != 0 {
            let Intervals { begins, ends, first } = fragment.intervals;
            let count = u16::from(begins) << 15 | u16::from(ends) << 14 | first;
            out.extend_from_slice(&restart.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
        if let Some(quantisers) = self.quantisers.filter(|_| fragment.scan.start == 0) {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&(TABLES_LEN as u16).to_be_bytes());
            out.extend_from_slice(quantisers.as_flattened());
        }
        out.extend_from_slice(&self.scan[fragment.scan.clone()]);
    }
}

/// The quantisation tables of segments that were believed, if these have Annex K's Huffman tables.
fn quantisers(kept: &[u8]) -> Result<Quantisers, Unfit> {
    let mut quantisers = [[0; 64]; 4];
    // Which of Annex K's each table is, by class and id: of luma, or of colour.
    let mut annex_k = [[[false; 2]; 4]; 2];
    let (mut of, mut at) = ([0; 3], 0);
    while at < kept.len() {
        let segment = segments::next(kept, at)?;
        at += segment.bytes.len();
        let payload = segment.payload();
        match segment.marker {
            DQT => {
                for table in payload.chunks_exact(65) {
                    quantisers[usize::from(table[0] & 3)].copy_from_slice(&table[1..]);
                }
            }
            DHT => segments::huffman_tables(payload, &mut |class, id, lengths, symbols| {
                annex_k[class][id] = [0, 1].map(|which| tables::annex_k(class, which) == (lengths, symbols));
            })?,
            SOF0 => of = [8, 11, 14].map(|at| usize::from(payload[at] & 3)),
            SOS => {
                for (component, selector) in [2, 4, 6].map(|at| payload[at]).into_iter().enumerate() {
                    let [dc, ac] = [selector >> 4, selector & 15].map(usize::from);
                    let which = component.min(1);
                    if !annex_k[0][dc & 3][which] || !annex_k[1][ac & 3][which] {
                        return Err(Unfit::Huffman);
                    }
                }
            }
            _ => {}
        }
    }
    let [luma, cb, cr] = of.map(|table| quantisers[table]);
    if cb == cr { Ok([luma, cb]) } else { Err(Unfit::Quantisers) }
}

/// Where in a scan its restart markers end, if they count as they should, and where the scan ends.
fn markers(behind: &[u8]) -> Result<(Vec<usize>, usize), Unfit> {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let next = behind[at..].iter().position(|byte| *byte == 0xFF).map(|next| at + next);
        let (marker, code) = match next.map(|next| (next, behind.get(next + 1))) {
            Some((marker, Some(code))) => (marker, *code),
            _ => return Err(Refusal::Damaged("it has no end").into()),
        };
        match code {
            0x00 => at = marker + 2,
            0xFF => at = marker + 1,
            EOI => return Ok((found, marker)),
            code if code == RST0 + (found.len() % 8) as u8 => {
                at = marker + 2;
                found.push(at);
            }
            code if (RST0..RST0 + 8).contains(&code) => return Err(Unfit::Markers),
            _ => return Err(Refusal::Unfit("it has more than one scan").into()),
        }
    }
}

#[cfg(test)]
#[path = "jpeg_tests.rs"]
mod tests;
