//! A camera's own marker segments between SOI and the scan: told apart, and believed only if they make one baseline picture.
//!
//! Invariant: what [`parse`] accepts is DQT, SOF0, DHT, DRI and SOS segments, each well-formed (T.81 B.2), that describe exactly
//! one interleaved baseline scan of 8-bit samples in one of our samplings, with every table it needs. Nothing else reaches the
//! decoder. Bytes may come from a hostile peer.

use super::bits::BitWriter;
use super::tables::{self, DHT, DQT, DRI, SOF0, SOI, SOS};
use crate::picture::{Sampling, Size};
use crate::wire::slice::MAX_TABLES;

/// Why a JPEG is not one that travels as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Bytes are missing or were changed: nobody could show it.
    #[error("the JPEG is damaged: {0}")]
    Damaged(&'static str),
    /// A JPEG of a kind that slices cannot carry; it has to be decoded and encoded again.
    #[error("the JPEG cannot be passed through: {0}")]
    Unfit(&'static str),
}

use Refusal::{Damaged, Unfit};

/// What the segments say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Colour sampling.
    pub sampling: Sampling,
    pub size: Size,
    /// MCUs between restart markers, 0 for none.
    pub restart: u16,
    /// Where the two bytes of the frame's height stand; those of its width follow.
    pub height_at: usize,
    /// MCUs are twice as high as the sampling needs.
    pub tall: bool,
    /// Where Annex K's Huffman tables would stand, of which there are none.
    pub implied: Option<usize>,
}

/// One marker segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// The marker's second byte.
    pub marker: u8,
    /// Marker, length and payload.
    pub bytes: &'a [u8],
    /// Its payload's first byte counted from the start.
    pub at: usize,
}

impl<'a> Segment<'a> {
    /// What follows the length.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[4..]
    }
}

/// The segment that begins at `at`, after any fill bytes.
pub fn next(jpeg: &[u8], mut at: usize) -> Result<Segment<'_>, Refusal> {
    while jpeg.get(at) == Some(&0xFF) && jpeg.get(at + 1) == Some(&0xFF) {
        at += 1;
    }
    let head = jpeg.get(at..at + 4).ok_or(Damaged("its header is cut off"))?;
    if head[0] != 0xFF || matches!(head[1], 0x00 | 0x01 | 0xD0..=0xD9) {
        return Err(Damaged("a marker is missing in its header"));
    }
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let bytes = jpeg.get(at..at + 2 + len).filter(|_| len >= 2).ok_or(Damaged("a segment is cut off"))?;
    Ok(Segment { marker: head[1], bytes, at: at + 4 })
}

/// The size that a whole JPEG says it has; nothing else of it is judged.
pub fn size(jpeg: &[u8]) -> Option<Size> {
    let mut at = jpeg.starts_with(&[0xFF, 0xD8]).then_some(2)?;
    loop {
        let segment = next(jpeg, at).ok()?;
        if let (0xC0..=0xC2, [_, h1, h0, w1, w0, ..]) = (segment.marker, segment.payload()) {
            let side = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
            return Some(Size { width: side(w1, w0), height: side(h1, h0) });
        }
        at = segment.at - 4 + segment.bytes.len();
    }
}

/// Takes from a whole JPEG the segments that describe its first scan, with Annex K's Huffman tables where it has none; they are
/// not believed yet. Also says where the scan begins.
pub fn of(jpeg: &[u8]) -> Result<(Vec<u8>, usize), Refusal> {
    if !jpeg.starts_with(&[0xFF, SOI]) {
        return Err(Damaged("it does not begin with SOI"));
    }
    let mut kept = Vec::with_capacity(1024);
    let mut has_huffman = false;
    let mut at = 2;
    loop {
        let segment = next(jpeg, at)?;
        at = segment.at - 4 + segment.bytes.len();
        match segment.marker {
            0xE0..=0xED | 0xEF | 0xFE => continue,
            0xEE if segment.payload().starts_with(b"Adobe") && segment.payload().get(11) == Some(&0) => {
                return Err(Unfit("its components are red, green and blue"));
            }
            0xEE => continue,
            DHT => has_huffman = true,
            SOS if !has_huffman => tables::huffman(&mut kept, Sampling::Yuv444),
            DQT | DRI | SOF0 | SOS => {}
            _ => return Err(Unfit("it is not baseline, or has segments that slices do not carry")),
        }
        kept.extend_from_slice(segment.bytes);
        if kept.len() > MAX_TABLES {
            return Err(Unfit("its tables are longer than 4096 bytes"));
        }
        if segment.marker == SOS {
            return Ok((kept, at));
        }
    }
}

/// The frame header's part of what is known so far.
struct Frame {
    layout: Layout,
    /// Identifier and quantisation table of each component.
    components: [(u8, u8); 3],
    count: usize,
}

/// Checks the segments of one picture (see the module text) and says what they describe.
pub fn parse(segments: &[u8]) -> Result<Layout, Refusal> {
    let layout = parse_packed(segments)?;
    if layout.implied.is_some() { Err(Damaged("a component has no tables")) } else { Ok(layout) }
}

/// As [`parse`], of a packed slice: one without Huffman tables has Annex K's.
pub fn parse_packed(segments: &[u8]) -> Result<Layout, Refusal> {
    let (mut quantisation, mut huffman) = ([false; 4], [[false; 4]; 2]);
    let (mut frame, mut restart) = (None, None);
    let mut at = 0;
    loop {
        let segment = next(segments, at)?;
        at = segment.at - 4 + segment.bytes.len();
        let payload = segment.payload();
        match segment.marker {
            DQT => quantisation_tables(payload, &mut quantisation)?,
            DHT => huffman_tables(payload, &mut |class, id, _, _| huffman[class][id] = true)?,
            DRI if restart.is_some() => return Err(Unfit("it has two restart intervals")),
            DRI => {
                let interval = <[u8; 2]>::try_from(payload).map_err(|_| Damaged("its restart interval has a wrong length"))?;
                restart = Some(u16::from_be_bytes(interval));
            }
            SOF0 if frame.is_some() => return Err(Damaged("it has two frame headers")),
            SOF0 => frame = Some(frame_header(payload, segment.at)?),
            SOS => {
                let frame = frame.ok_or(Damaged("its frame header is missing"))?;
                if frame.layout.tall && restart.is_some_and(|interval| interval > 0) {
                    return Err(Unfit("its MCUs are higher than its sampling says, and cut by restart markers"));
                }
                let implied = (huffman == [[false; 4]; 2]).then(|| segment.at - 4);
                if implied.is_some() {
                    huffman = [[true, true, false, false]; 2];
                }
                scan_header(payload, &frame, &quantisation, &huffman)?;
                if at != segments.len() {
                    return Err(Damaged("something follows the scan header"));
                }
                return Ok(Layout { restart: restart.unwrap_or(0), implied, ..frame.layout });
            }
            _ => return Err(Unfit("it is not baseline, or has segments that slices do not carry")),
        }
    }
}

fn quantisation_tables(mut payload: &[u8], seen: &mut [bool; 4]) -> Result<(), Refusal> {
    while let Some((&head, rest)) = payload.split_first() {
        if head >> 4 != 0 {
            return Err(Unfit("it has quantisation tables of 16 bits"));
        }
        let (table, rest) = rest.split_at_checked(64).ok_or(Damaged("a quantisation table is cut off"))?;
        let seen = seen.get_mut(usize::from(head)).ok_or(Damaged("it has more than four quantisation tables"))?;
        if table.contains(&0) {
            return Err(Damaged("a quantisation table has a zero"));
        }
        *seen = true;
        payload = rest;
    }
    Ok(())
}

/// Calls `each(class, id, lengths, symbols)` for every table of a DHT segment; class 0 is DC, 1 AC.
pub fn huffman_tables(mut payload: &[u8], each: &mut impl FnMut(usize, usize, &[u8], &[u8])) -> Result<(), Refusal> {
    while let Some((&head, rest)) = payload.split_first() {
        let (class, id) = (usize::from(head >> 4), usize::from(head & 15));
        let (lengths, rest) = rest.split_at_checked(16).ok_or(Damaged("a Huffman table is cut off"))?;
        let count = lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
        let (symbols, rest) = rest.split_at_checked(count).ok_or(Damaged("a Huffman table is cut off"))?;
        // A code tree may not have more leaves than it has room for, and no code is all ones (T.81 C.2).
        let used = lengths.iter().zip(1..).map(|(&length, bits)| u32::from(length) << (16 - bits)).sum::<u32>();
        let dc_out_of_range = class == 0 && symbols.iter().any(|&symbol| symbol > 11);
        if class > 1 || id > 3 || count == 0 || count > 256 || used >= 1 << 16 || dc_out_of_range {
            return Err(Damaged("a Huffman table cannot be"));
        }
        each(class, id, lengths, symbols);
        payload = rest;
    }
    Ok(())
}

fn frame_header(payload: &[u8], at: usize) -> Result<Frame, Refusal> {
    let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = payload else {
        return Err(Damaged("its frame header is cut off"));
    };
    let count = usize::from(count);
    if rest.len() != 3 * count {
        return Err(Damaged("its frame header has a wrong length"));
    }
    let size = Size { width: u16::from_be_bytes([w1, w0]).into(), height: u16::from_be_bytes([h1, h0]).into() };
    if precision != 8 || !size.is_possible() {
        return Err(Unfit("its samples are not of 8 bits, or its size is beyond 8192 by 8192"));
    }
    let mut components = [(0, 0); 3];
    let mut factors = [0; 3];
    for ((component, factor), bytes) in components.iter_mut().zip(&mut factors).zip(rest.chunks_exact(3)) {
        (*component, *factor) = ((bytes[0], bytes[2]), bytes[1]);
    }
    let sampling = match (count, factors) {
        (1, [0x11, ..]) => Sampling::Grey,
        (3, [0x22, 0x11, 0x11]) => Sampling::Yuv420,
        (3, [0x21, 0x11, 0x11]) => Sampling::Yuv422,
        (3, [0x12, 0x11, 0x11]) => Sampling::Yuv440,
        (3, [0x11, 0x11, 0x11]) => Sampling::Yuv444,
        // The same said with MCUs twice as high as they need be (ffmpeg, and cameras that copied it).
        (3, [0x22, 0x12, 0x12]) => Sampling::Yuv422,
        (3, [0x12, 0x12, 0x12]) => Sampling::Yuv444,
        _ => return Err(Unfit("its colours are sampled in a way that slices do not carry")),
    };
    let tall = count == 3 && factors[2] == 0x12;
    let [(first, _), (second, _), (third, _)] = components;
    if count == 3 && (first == second || second == third || first == third) {
        return Err(Damaged("two components have the same identifier"));
    }
    if components.map(|(id, _)| id) == *b"RGB" {
        return Err(Unfit("its components are red, green and blue"));
    }
    Ok(Frame { layout: Layout { sampling, size, restart: 0, height_at: at + 1, tall, implied: None }, components, count })
}

fn scan_header(payload: &[u8], frame: &Frame, quantisation: &[bool; 4], huffman: &[[bool; 4]; 2]) -> Result<(), Refusal> {
    let count = frame.count;
    if payload.first() != Some(&(count as u8)) || payload.len() != 4 + 2 * count {
        return Err(Unfit("its components come in scans of their own"));
    }
    if payload[1 + 2 * count..] != [0, 63, 0] {
        return Err(Unfit("it is progressive"));
    }
    for ((id, table), selector) in frame.components[..count].iter().zip(payload[1..].chunks_exact(2)) {
        let (dc, ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
        let there = |tables: &[bool; 4], id: usize| tables.get(id).copied().unwrap_or(false);
        if selector[0] != *id || !there(quantisation, usize::from(*table)) || !there(&huffman[0], dc) || !there(&huffman[1], ac) {
            return Err(Damaged("a component has no tables"));
        }
    }
    Ok(())
}

/// The scan of a flat grey band of `mcus`, with a restart marker each `restart` MCUs, coded with the tables of `segments`; `None`
/// where those have no code for it. Every block is "no difference, end of block".
pub fn grey_scan(segments: &[u8], layout: &Layout, mcus: usize) -> Option<Vec<u8>> {
    // (code, bits) of DC category 0 and of the AC end of block, by table.
    let mut codes = [[None; 4]; 2];
    let mut selectors: &[u8] = &[];
    let mut at = 0;
    while at < segments.len() {
        let segment = next(segments, at).ok()?;
        at = segment.at - 4 + segment.bytes.len();
        match segment.marker {
            DHT => huffman_tables(segment.payload(), &mut |class, id, lengths, symbols| {
                codes[class][id] = code_of(0, lengths, symbols);
            })
            .ok()?,
            SOS => selectors = &segment.payload()[1..],
            _ => {}
        }
    }
    let luma = tables::blocks(layout.sampling).saturating_sub(2).max(1);
    let repeats = [luma, 1, 1];
    let mut unit = Vec::new();
    let count = if layout.sampling == Sampling::Grey { 1 } else { 3 };
    for (component, selector) in selectors.chunks_exact(2).take(count).enumerate() {
        let (dc, ac) = (codes[0][usize::from(selector[1] >> 4)]?, codes[1][usize::from(selector[1] & 15)]?);
        for _ in 0..repeats[component] {
            unit.extend([dc, ac]);
        }
    }
    let mut out = BitWriter::default();
    for mcu in 0..mcus {
        if mcu > 0 && layout.restart > 0 && mcu % usize::from(layout.restart) == 0 {
            out.pad();
            out.bytes.extend_from_slice(&[0xFF, tables::RST0 + ((mcu / usize::from(layout.restart) - 1) % 8) as u8]);
        }
        for &(code, bits) in &unit {
            out.put(code.into(), bits.into());
        }
    }
    out.pad();
    Some(out.bytes)
}

/// The code of `symbol` and its length (T.81 C.2).
pub fn code_of(symbol: u8, lengths: &[u8], symbols: &[u8]) -> Option<(u16, u8)> {
    let (mut code, mut index) = (0u32, 0);
    for (&count, bits) in lengths.iter().zip(1..) {
        for _ in 0..count {
            if symbols[index] == symbol {
                return Some((code as u16, bits));
            }
            (code, index) = (code + 1, index + 1);
        }
        code <<= 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tables::header;
    use super::*;
    use crate::picture::SAMPLINGS;

    const SIZE: Size = Size { width: 40, height: 24 };

    fn ours(sampling: Sampling, restart: u16) -> Vec<u8> {
        let mut out = Vec::new();
        header(&mut out, 80, sampling, SIZE, restart);
        out.split_off(tables::SEGMENTS_AT)
    }

    #[test]
    fn our_own_segments_are_understood() {
        for sampling in SAMPLINGS {
            let segments = ours(sampling, 5);
            let layout = parse(&segments).unwrap();
            assert_eq!((layout.sampling, layout.size, layout.restart), (sampling, SIZE, 5));
            assert_eq!(segments[layout.height_at..][..2], [0, 24]);
        }
    }

    #[test]
    fn mcus_higher_than_need_be_are_understood_where_no_restart_marker_cuts_them() {
        let tall = |restart| {
            let mut segments = ours(Sampling::Yuv422, restart);
            let frame = parse(&segments).unwrap().height_at;
            for (at, factors) in [(6, 0x22), (9, 0x12), (12, 0x12)] {
                segments[frame + at] = factors;
            }
            parse(&segments)
        };
        assert_eq!(tall(0).map(|layout| (layout.sampling, layout.size)), Ok((Sampling::Yuv422, SIZE)));
        assert!(matches!(tall(5), Err(Unfit(_))));
    }

    #[test]
    fn only_packed_slices_may_leave_annex_ks_huffman_tables_out() {
        for sampling in SAMPLINGS {
            let all = ours(sampling, 5);
            let (mut without, mut at) = (Vec::new(), 0);
            while at < all.len() {
                let segment = next(&all, at).unwrap();
                at += segment.bytes.len();
                if segment.marker != DHT {
                    without.extend_from_slice(segment.bytes);
                }
            }
            assert_eq!(parse(&without), Err(Damaged("a component has no tables")));
            let layout = parse_packed(&without).unwrap();
            assert_eq!(without[layout.implied.unwrap()..][..2], [0xFF, SOS]);
            assert_eq!(parse_packed(&all), parse(&all));
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let segments = ours(Sampling::Yuv420, 5);
        for len in 0..segments.len() {
            assert!(parse(&segments[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn what_is_not_one_baseline_scan_is_refused() {
        let good = ours(Sampling::Yuv420, 5);
        let frame = parse(&good).unwrap().height_at;
        let scan = good.len() - 10;
        let refused = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(parse(&bad).is_err(), "byte {byte} at {at}");
        };
        refused(frame - 4, 0xC2); // progressive
        refused(frame - 1, 12); // 12 bits
        refused(frame, 0x40); // 16384 rows
        refused(frame + 9, 0x12); // one colour plane unlike the other
        refused(frame + 6, 0x41); // 4:1:1
        refused(frame + 7, 2); // a quantisation table that is not there
        refused(frame + 8, 1); // two components 1
        refused(scan + 1, 9); // a component that is not there
        refused(scan + 2, 0x22); // Huffman tables that are not there
        refused(good.len() - 2, 5); // spectral selection
        refused(4, 0x10); // 16-bit quantisation
        refused(30, 0); // a quantiser of zero
        let mut extra = good.clone();
        extra.extend_from_slice(&[0xFF, 0xFE, 0, 2]);
        assert!(parse(&extra).is_err());
    }

    /// As libjpeg refuses and takes them.
    #[test]
    fn a_code_tree_with_too_many_leaves_or_a_code_of_all_ones_is_refused() {
        let taken = |lengths: &[u8]| {
            let mut dht = vec![0x00];
            dht.extend((0..16).map(|at| lengths.get(at).copied().unwrap_or(0)));
            dht.extend(0..lengths.iter().sum());
            huffman_tables(&dht, &mut |_, _, _, _| {}).is_ok()
        };
        assert!(!taken(&[3]) && !taken(&[2]) && !taken(&[1, 2]) && !taken(&[1, 1, 1, 2]));
        assert!(taken(&[1]) && taken(&[1, 1]) && taken(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]));
    }
}
