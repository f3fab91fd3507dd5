//! The head of a slice: what the receiver needs to rebuild a band's JPEG around its scan data, and when it was caught.
//!
//! A slice travels as `u32 length ++ head ++ scan`, cut into fragments (`datagram.rs`). Our own JPEG tables are a function of
//! `quality` and do not travel (the idea of RFC 2435); a camera's do, as the marker segments it wrote.
//!
//! ```text
//!  0      1       2       4        6     8      10         12        20      22       24      25    26
//!  kind   quality width   height   top   rows   restart    capture   queued  encoded  shared  owed  [position] [MCUs] [u16
//! length ++ tables] scan…
//!  u8     u8      u16     u16      u16   u16    u16        u64 ns    u16     u16      u8      u8    u64 ns
//! ```
//!
//! `kind`: bits 0–2 sampling (0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4, 4 4:4:0), bits 3–5 packing, bit 6 of a film (its position follows), bit 7
//! foreign (tables follow). The packing says what the scan is of: 0, the rows of the band; 1, some MCUs of it, which `mcus.rs`
//! names, as a picture one MCU high; of none there is no scan. A slice packed in a way that is not known cannot be drawn, and is
//! refused alone. `queued` is the time from capture until the encoder took the picture, `encoded` from then until this slice was
//! ready, both in units of 10 µs, so that the receiver can split the latency it shows by stage. `shared` says how many slices of
//! the picture are for every receiver, `owed` how many are for who lacks anything; those behind them are all of it again, for who
//! wants each picture whole. For whom slices are not the picture has as many less. `position` is the picture's time in its film:
//! `capture` says when it was played, and a player that stood still plays the rest of its film later.

use super::mcus::Mcus;
use super::{Error, Reader};
use crate::picture::{MAX_SIDE, Sampling, Size};
use crate::time::MediaTime;
use std::ops::Range;
use std::time::Duration;

/// Bytes of the fixed part.
pub const FIXED_LEN: usize = 26;

/// Where the time of capture lies, and the two of encoding.
const CAPTURE: Range<usize> = 12..20;
const QUEUED: Range<usize> = 20..22;
const ENCODED: Range<usize> = 22..24;
/// How many slices are shared, and owed.
const SHARES: Range<usize> = 24..26;

/// The longest length prefix + head + scan: no camera's picture at 8192×8192 comes near it.
pub const MAX_LEN: usize = 4 << 20;

/// The most slices a picture is cut into: fits a byte with room, and keeps the overhead of heads small.
pub const MAX_SLICES: usize = 128;

/// The longest row of MCUs that libjpeg takes for a picture, in pixels: no packed slice has more.
pub const LONGEST_ROW: u32 = 65_500;

/// The most MCUs of a picture of which some alone are sent: 4096x2160 in 4:2:2, or 8192x2048 in 4:2:0. Of each the state is kept
/// for each receiver.
pub const MOST_MCUS: u32 = 1 << 16;

/// The most bytes of foreign tables: four DQT of 16 bits, four full DHT pairs and the frame header take under 3 KiB.
pub const MAX_TABLES: usize = 4096;

/// Bytes of the length in front of them.
pub(crate) const TABLES_LEN: usize = 2;

const FOREIGN: u8 = 0x80;
/// Bits of the packing.
const PACKING: u8 = 0x38;
/// The packing of a slice that has some MCUs of its band.
const PACKED: u8 = 0x08;
const FILM: u8 = 0x40;

/// How the JPEG around the scan is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables<'a> {
    /// Annex K Huffman tables and quantisation scaled by the IJG's formula for this quality (1–100).
    Own(u8),
    /// The marker segments between SOI and the scan: DQT, SOF0, DHT, DRI, SOS. Of a camera's JPEG that goes as it is they are
    /// those that it wrote (Annex K's DHT where it wrote none); of MCUs that were cut out of one, and of its bands where all of
    /// them were, they are written anew, with the camera's quantisers and AC codes. Packed slices whose codes are Annex K's have
    /// no DHT. The frame header's height is that of the whole picture.
    Foreign(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Colour sampling.
    pub sampling: Sampling,
    /// The JPEG's tables.
    pub tables: Tables<'a>,
    /// The whole picture's size.
    pub size: Size,
    /// First row of the band: a multiple of the MCU's height.
    pub top: u16,
    /// Rows of the band; all but the last band have a multiple of the MCU's height.
    pub rows: u16,
    /// MCUs between restart markers, 0 for none.
    pub restart: u16,
    /// When the light was caught, on the sender's media clock.
    pub capture: MediaTime,
    /// From capture until the encoder took the picture. Kept in units of 10 µs, at most 0.65 s.
    pub queued: Duration,
    /// From then until this slice was ready. Kept likewise.
    pub encoded: Duration,
    /// So many slices of the picture are for every receiver, at least 1.
    pub shared: u8,
    /// So many, those among them, are for who lacks anything; those behind are all of it again, for who wants each picture whole.
    pub owed: u8,
    /// The picture's time in its film, all passes of a loop counted; `None` of a live one.
    pub position: Option<Duration>,
    /// The MCUs of the band that the scan is of; `None`: all.
    pub mcus: Option<Mcus<'a>>,
}

/// Time in units of 10 µs, held at the end of 16 bits.
fn tens_of_micros(time: Duration) -> u16 {
    u16::try_from(time.as_micros() / 10).unwrap_or(u16::MAX)
}

/// What is left of `queued` or `encoded` in a head.
pub(crate) fn kept(time: Duration) -> Duration {
    Duration::from_micros(u64::from(tens_of_micros(time)) * 10)
}

/// Writes `queued` and `encoded` into a head that has its bytes already: how long it took is known only afterwards.
pub fn stamp_times(head: &mut [u8], queued: Duration, encoded: Duration) {
    head[QUEUED].copy_from_slice(&tens_of_micros(queued).to_be_bytes());
    head[ENCODED].copy_from_slice(&tens_of_micros(encoded).to_be_bytes());
}

/// Writes another time into a head that has one: by the clock of who passes the slice on.
pub fn stamp_capture(head: &mut [u8], capture: MediaTime) {
    head[CAPTURE].copy_from_slice(&capture.as_nanos().to_be_bytes());
}

/// Writes into a head that all of its picture's slices, so many, are for every receiver.
pub fn stamp_shares(head: &mut [u8], slices: u8) {
    head[SHARES].fill(slices);
}

impl<'a> Head<'a> {
    /// Bytes of the head.
    pub fn encoded_len(&self) -> usize {
        let tables = if let Tables::Foreign(tables) = self.tables { TABLES_LEN + tables.len() } else { 0 };
        FIXED_LEN + if self.position.is_some() { 8 } else { 0 } + self.mcus.map_or(0, |mcus| mcus.encoded_len()) + tables
    }

    /// Appends the head's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.resize(begin + self.encoded_len(), 0);
        self.write(&mut out[begin..]);
    }

    /// Writes the head's bytes, [`Head::encoded_len`] of them, into `out`, which has as many or more.
    pub fn write(&self, out: &mut [u8]) {
        let sampling = self.sampling.code();
        let (foreign, quality) = match self.tables {
            Tables::Own(quality) => (0, quality),
            Tables::Foreign(_) => (FOREIGN, 0),
        };
        let film = if self.position.is_some() { FILM } else { 0 };
        let packing = if self.mcus.is_some() { PACKED } else { 0 };
        let mut rest = out;
        let mut put = |bytes: &[u8]| {
            let (field, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            field.copy_from_slice(bytes);
            rest = behind;
        };
        put(&[sampling | packing | film | foreign, quality]);
        for field in [self.size.width as u16, self.size.height as u16, self.top, self.rows, self.restart] {
            put(&field.to_be_bytes());
        }
        put(&self.capture.as_nanos().to_be_bytes());
        put(&tens_of_micros(self.queued).to_be_bytes());
        put(&tens_of_micros(self.encoded).to_be_bytes());
        put(&[self.shared, self.owed]);
        if let Some(position) = self.position {
            put(&u64::try_from(position.as_nanos()).unwrap_or(u64::MAX).to_be_bytes());
        }
        if let Some(mcus) = self.mcus {
            let (front, places) = mcus.fields();
            put(&front);
            put(places);
        }
        if let Tables::Foreign(tables) = self.tables {
            debug_assert!(tables.len() <= MAX_TABLES, "the codec limits what it passes through");
            put(&(tables.len() as u16).to_be_bytes());
            put(tables);
        }
    }

    /// Columns and rows of MCUs of the whole picture.
    pub fn grid(&self) -> Size {
        self.sampling.mcus(self.size)
    }

    /// The MCUs that the scan is of, run by run: their numbers in the picture, row by row from its upper left.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<'a> {
        let band = self.sampling.mcus(Size { height: self.rows.into(), ..self.size });
        let first = (u32::from(self.top) / self.sampling.mcu().height * band.width) as usize;
        let all = self.mcus.is_none().then_some(0..(band.width * band.height) as usize);
        let named = self.mcus.into_iter().flat_map(|mcus| mcus.runs());
        all.into_iter().chain(named).map(move |run| first + run.start..first + run.end)
    }

    /// The head and the scan data behind it.
    pub fn decode(body: &'a [u8]) -> Result<(Head<'a>, &'a [u8]), Error> {
        let mut reader = Reader::new(body);
        let kind = reader.u8("slice kind")?;
        let packed = match kind & PACKING {
            0 => false,
            PACKED => true,
            packing => return Err(reader.invalid("packing", packing.into(), 1)),
        };
        let code = kind & !(FOREIGN | FILM | PACKING);
        let Some(sampling) = Sampling::of_code(code) else { return Err(reader.invalid("sampling", code.into(), 1)) };
        let quality = reader.u8("quality")?;
        let foreign = kind & FOREIGN != 0;
        if foreign != (quality == 0) || quality > 100 {
            return Err(reader.invalid("quality", u64::from(quality), 1));
        }
        let side = |reader: &mut Reader<'a>, field| match reader.u16(field)? {
            side if (1..=MAX_SIDE).contains(&side.into()) => Ok(side),
            side => Err(reader.invalid(field, u64::from(side), 2)),
        };
        let width = side(&mut reader, "picture width")?;
        let height = side(&mut reader, "picture height")?;
        let top = reader.u16("band top")?;
        let rows = side(&mut reader, "band rows")?;
        if u32::from(top) + u32::from(rows) > u32::from(height) {
            return Err(reader.invalid("band rows", u64::from(rows), 2));
        }
        let restart = reader.u16("restart interval")?;
        let capture = MediaTime::from_nanos(reader.u64("capture time")?);
        let queued = Duration::from_micros(u64::from(reader.u16("queued time")?) * 10);
        let encoded = Duration::from_micros(u64::from(reader.u16("encoded time")?) * 10);
        let shared = match reader.u8("shared slices")? {
            0 => return Err(reader.invalid("shared slices", 0, 1)),
            shared => shared,
        };
        let owed = match reader.u8("owed slices")? {
            owed if owed < shared => return Err(reader.invalid("owed slices", owed.into(), 1)),
            owed => owed,
        };
        let position = if kind & FILM != 0 { Some(Duration::from_nanos(reader.u64("position")?)) } else { None };
        let size = Size { width: u32::from(width), height: u32::from(height) };
        let mcus = if packed {
            let (all, band) = (sampling.mcus(size), sampling.mcus(Size { height: rows.into(), ..size }));
            if all.width * all.height > MOST_MCUS {
                return Err(reader.invalid("MCUs of the picture", u64::from(all.width * all.height), 0));
            }
            let mcus = Mcus::decode(&mut reader, (band.width * band.height) as usize)?;
            if mcus.count() * sampling.mcu().width as usize > LONGEST_ROW as usize {
                return Err(reader.invalid("MCU count", mcus.count() as u64, mcus.encoded_len()));
            }
            Some(mcus)
        } else {
            None
        };
        let tables = if foreign {
            let len = usize::from(reader.u16("table length")?);
            if len > MAX_TABLES {
                return Err(reader.invalid("table length", len as u64, 2));
            }
            Tables::Foreign(reader.bytes(len, "tables")?)
        } else {
            Tables::Own(quality)
        };
        let head = Head { sampling, tables, size, top, rows, restart, capture, queued, encoded, shared, owed, position, mcus };
        Ok((head, reader.rest()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::mcus::Selection;
    use super::*;

    fn head() -> Head<'static> {
        Head {
            sampling: Sampling::Yuv420,
            tables: Tables::Own(80),
            size: Size { width: 1280, height: 720 },
            top: 48,
            rows: 32,
            restart: 80,
            capture: MediaTime::from_nanos(0x0102_0304_0506_0708),
            queued: Duration::from_micros(1_230),
            encoded: Duration::from_micros(45_670),
            shared: 3,
            owed: 5,
            position: None,
            mcus: None,
        }
    }

    #[test]
    fn a_head_comes_back_with_its_scan() {
        let foreign = Head { tables: Tables::Foreign(&[1, 2, 3]), sampling: Sampling::Grey, ..head() };
        let film = Head { position: Some(Duration::from_nanos(0x2122_2324_2526_2728)), ..foreign };
        let some = Selection::new(160, [0, 1, 81, 159].into_iter()).unwrap();
        let none = Selection::new(160, std::iter::empty()).unwrap();
        let (packed, empty) = (Head { mcus: Some(some.mcus()), ..head() }, Head { mcus: Some(none.mcus()), ..head() });
        let all = Head { mcus: packed.mcus, tables: Tables::Foreign(&[1, 2, 3]), position: film.position, ..packed };
        for head in [head(), foreign, film, packed, empty, all] {
            let mut body = Vec::new();
            head.encode(&mut body);
            assert_eq!(body.len(), head.encoded_len());
            body.extend_from_slice(b"scan");
            assert_eq!(Head::decode(&body), Ok((head, &b"scan"[..])));
        }
    }

    #[test]
    fn mcus_are_numbered_through_the_picture() {
        let some = Selection::new(160, [3, 4, 90].into_iter()).unwrap();
        assert_eq!(head().grid(), Size { width: 80, height: 45 });
        assert!(head().runs().eq(std::iter::once(240..400)), "all of two rows, below three");
        let packed = Head { mcus: Some(some.mcus()), ..head() };
        assert_eq!(packed.runs().flatten().collect::<Vec<_>>(), [243, 244, 330]);
        // A head may say that its band begins amid an MCU: no decoder draws it, and it stays within the picture all the same.
        for (top, rows) in [(719, 1), (1, 719), (15, 705), (17, 16)] {
            let last = Head { top, rows, ..head() }.runs().last().expect("one");
            assert!(last.end <= 80 * 45, "{top}+{rows}");
        }
    }

    #[test]
    fn every_truncated_head_is_refused() {
        let mut body = Vec::new();
        let some = Selection::new(160, [3, 4, 90].into_iter()).unwrap();
        let mcus = Some(some.mcus());
        Head { tables: Tables::Foreign(&[7; 9]), position: Some(Duration::ZERO), mcus, ..head() }.encode(&mut body);
        for len in 0..body.len() {
            assert!(Head::decode(&body[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_packing_and_a_sampling_of_later_programs_are_refused() {
        let mut body = Vec::new();
        head().encode(&mut body);
        for bits in 2..8 {
            let later = [&[body[0] | bits << 3][..], &body[1..]].concat();
            assert!(matches!(Head::decode(&later), Err(Error::Invalid { field: "packing", at: 0, .. })), "{bits}");
        }
        for sampling in 5..8 {
            let later = [&[sampling][..], &body[1..]].concat();
            assert!(matches!(Head::decode(&later), Err(Error::Invalid { field: "sampling", .. })), "{sampling}");
        }
    }

    #[test]
    fn bands_outside_the_picture_and_giant_pictures_are_refused() {
        let refused = |head: Head<'_>| {
            let mut body = Vec::new();
            head.encode(&mut body);
            Head::decode(&body).unwrap_err()
        };
        assert!(matches!(refused(Head { top: 700, ..head() }), Error::Invalid { field: "band rows", .. }));
        assert!(matches!(refused(Head { rows: 0, ..head() }), Error::Invalid { field: "band rows", .. }));
        let giant = Size { width: 8193, height: 720 };
        assert!(matches!(refused(Head { size: giant, ..head() }), Error::Invalid { field: "picture width", value: 8193, at: 2 }));
        assert!(matches!(refused(Head { tables: Tables::Own(101), ..head() }), Error::Invalid { field: "quality", .. }));
        let beyond = Selection::new(161, [160].into_iter()).unwrap();
        assert!(matches!(refused(Head { mcus: Some(beyond.mcus()), ..head() }), Error::Invalid { field: "places", .. }));
        let wide = Selection::new(8192, 0..4094).unwrap();
        let large = Head { size: Size { width: 8192, height: 256 }, top: 0, rows: 256, ..head() };
        assert!(matches!(refused(Head { mcus: Some(wide.mcus()), ..large }), Error::Invalid { field: "MCU count", .. }));
        let giant = Head { size: Size { width: 8192, height: 8192 }, rows: 16, mcus: Some(wide.mcus()), ..head() };
        assert!(matches!(refused(giant), Error::Invalid { field: "MCUs of the picture", .. }));
        assert!(matches!(refused(Head { shared: 0, ..head() }), Error::Invalid { field: "shared slices", .. }));
        assert!(matches!(refused(Head { owed: 2, ..head() }), Error::Invalid { field: "owed slices", .. }));
    }
}
