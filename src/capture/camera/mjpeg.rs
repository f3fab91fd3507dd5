//! The JPEG inside a camera's buffer: where it ends, whether it is whole, and the tables it leaves out.
//!
//! A driver's buffer holds a picture and, behind it, the tail of an older one, so the end is found by walking the markers to
//! the *first* EOI. Motion JPEG may leave out its Huffman tables (ISO/IEC 10918-1 annex K.3 is meant; USB Video Class,
//! Payload MJPEG 3.3): they are put in, so that what goes on is a JPEG by itself. What passes is baseline, 8 bit, one
//! interleaved scan with all its tables; nothing here decodes.

use super::super::jpeg_kind;
use eyeline_proto::picture::{Buffer, BufferPool, Size};

/// Less than this is no picture (the shortest header with tables is longer).
const TINY: usize = 128;

/// Why a buffer holds no usable picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Shorter than any picture.
    #[error("the picture is too short to be one")]
    Tiny,
    /// Does not begin with SOI.
    #[error("the picture does not begin like a JPEG")]
    Start,
    /// A segment's length or content makes no sense, or a marker is where none may be.
    #[error("the JPEG's markers are damaged")]
    Marker,
    /// Nothing is broken, but it is of a kind that is not taken: this one.
    #[error("the JPEG is {0}; only baseline ones of 8 bit with one scan are taken")]
    Unfit(&'static str),
    /// Refers to a quantization or Huffman table that nobody defined.
    #[error("the JPEG refers to a table it does not have")]
    Table,
    #[error("the JPEG has no end")]
    End,
}

/// What a whole JPEG looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What the frame header says.
    pub size: Size,
    /// Its bytes: just behind the first EOI.
    pub len: usize,
    /// Whether the annex K tables must be put in.
    pub lacks_tables: bool,
}

/// Walks the markers of the JPEG at the beginning of `bytes`.
pub fn inspect(bytes: &[u8]) -> Result<Shape, Damage> {
    if bytes.len() < TINY {
        return Err(Damage::Tiny);
    }
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(Damage::Start);
    }
    let mut at = 2;
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    loop {
        let (marker, body, next) = segment(bytes, at)?;
        match marker {
            0xC0 if frame.is_none() => frame = Some(Frame::parse(body)?),
            0xC4 => tables.huffman(body)?,
            0xDB => tables.quantization(body)?,
            0xDD if body.len() == 2 => {}
            0xDA => {
                let frame = frame.as_ref().ok_or(Damage::Marker)?;
                let lacks_tables = tables.lacks_for(frame, body)?;
                return Ok(Shape { size: frame.size, len: end_of_scan(bytes, next)?, lacks_tables });
            }
            0xC1..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => {
                let precision = body.first().copied().unwrap_or(0);
                return Err(jpeg_kind::unfit(marker, precision).map_or(Damage::Marker, Damage::Unfit));
            }
            0xE0..=0xFE => {}
            _ => return Err(Damage::Marker),
        }
        at = next;
    }
}

/// The JPEG alone, from SOI to EOI, with the tables it lacks, in a buffer of `pool`.
pub fn extract(bytes: &[u8], shape: &Shape, pool: &BufferPool) -> Buffer {
    let tables: &[u8] = if shape.lacks_tables { &ANNEX_K } else { &[] };
    let mut jpeg = pool.take(shape.len + tables.len());
    let (start, rest) = bytes[..shape.len].split_at(2);
    jpeg[..2].copy_from_slice(start);
    // Right behind SOI: a table the picture does define comes later and counts.
    jpeg[2..2 + tables.len()].copy_from_slice(tables);
    jpeg[2 + tables.len()..].copy_from_slice(rest);
    jpeg
}

/// The marker at `at` (behind any fill bytes), its segment's body, and where the next one begins.
fn segment(bytes: &[u8], mut at: usize) -> Result<(u8, &[u8], usize), Damage> {
    if *bytes.get(at).ok_or(Damage::End)? != 0xFF {
        return Err(Damage::Marker);
    }
    while bytes.get(at + 1) == Some(&0xFF) {
        at += 1;
    }
    let marker = *bytes.get(at + 1).ok_or(Damage::End)?;
    if matches!(marker, 0x00..=0xBF | 0xD0..=0xD9) {
        return Err(Damage::Marker); // stuffing, restarts, SOI and EOI have no place before a scan
    }
    let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return Err(Damage::End) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len < 2 {
        return Err(Damage::Marker);
    }
    let next = at + 2 + len;
    Ok((marker, bytes.get(at + 4..next).ok_or(Damage::End)?, next))
}

/// Just behind the EOI that ends the entropy-coded data at `at`. Restart markers and stuffed bytes belong to the data.
fn end_of_scan(bytes: &[u8], mut at: usize) -> Result<usize, Damage> {
    /// Bytes looked at in one step: a fixed length lets the compiler compare them all at once.
    const STEP: usize = 32;
    loop {
        while let Some(step) = bytes.get(at..at + STEP)
            && !step.iter().fold(false, |found, &byte| found | (byte == 0xFF))
        {
            at += STEP;
        }
        at += bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)).ok_or(Damage::End)?;
        match bytes.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(0xD9) => return Ok(at + 2),
            // A second scan; anything else (SOI of all) is the seam to an older picture.
            Some(0xDA | 0xC4 | 0xDB) => return Err(Damage::Unfit("cut into several scans")),
            Some(_) => return Err(Damage::Marker),
            None => return Err(Damage::End),
        }
    }
}

/// Of SOF0: the size, and each component's id and quantization table.
struct Frame {
    size: Size,
    components: Vec<(u8, u8)>,
}

impl Frame {
    fn parse(body: &[u8]) -> Result<Frame, Damage> {
        let [precision, h1, h0, w1, w0, count, components @ ..] = body else { return Err(Damage::Marker) };
        let size = Size { width: u32::from(u16::from_be_bytes([*w1, *w0])), height: u32::from(u16::from_be_bytes([*h1, *h0])) };
        if components.len() != usize::from(*count) * 3 || size.width == 0 || size.height == 0 {
            return Err(Damage::Marker);
        }
        if *precision != 8 {
            return Err(jpeg_kind::unfit(0xC0, *precision).map_or(Damage::Marker, Damage::Unfit));
        }
        if !matches!(count, 1 | 3) {
            return Err(Damage::Unfit("neither grey nor of three components"));
        }
        let mut parsed = Vec::with_capacity(3);
        for component in components.chunks_exact(3) {
            let (horizontal, vertical) = (component[1] >> 4, component[1] & 15);
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || component[2] > 3 {
                return Err(Damage::Marker);
            }
            parsed.push((component[0], component[2]));
        }
        Ok(Frame { size, components: parsed })
    }
}

/// Which tables were defined, one bit each: quantization by id, Huffman by class and id.
#[derive(Default)]
struct Tables {
    quantization: u8,
    dc: u8,
    ac: u8,
}

impl Tables {
    fn quantization(&mut self, mut body: &[u8]) -> Result<(), Damage> {
        while let Some((&head, rest)) = body.split_first() {
            if head > 3 {
                return Err(if head >> 4 == 1 { Damage::Unfit("one with tables of 16 bit") } else { Damage::Marker });
            }
            self.quantization |= 1 << head;
            body = rest.get(64..).ok_or(Damage::Marker)?;
        }
        Ok(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Result<(), Damage> {
        while let Some((&head, rest)) = body.split_first() {
            let counts = rest.get(..16).ok_or(Damage::Marker)?;
            let codes: usize = counts.iter().map(|&count| usize::from(count)).sum();
            if head >> 4 > 1 || head & 15 > 3 || codes > 256 {
                return Err(Damage::Marker);
            }
            *(if head >> 4 == 0 { &mut self.dc } else { &mut self.ac }) |= 1 << (head & 15);
            body = rest.get(16 + codes..).ok_or(Damage::Marker)?;
        }
        Ok(())
    }

    /// Whether a scan header refers to Huffman tables that only annex K defines.
    fn lacks_for(&self, frame: &Frame, scan: &[u8]) -> Result<bool, Damage> {
        let count = frame.components.len();
        if scan.len() != 4 + 2 * count || usize::from(scan[0]) != count {
            return Err(if scan.first().is_some_and(|&n| usize::from(n) < count) {
                Damage::Unfit("cut into several scans")
            } else {
                Damage::Marker
            });
        }
        let mut lacks = false;
        for (selector, &(id, quantization)) in scan[1..].chunks_exact(2).zip(&frame.components) {
            let (dc, ac) = (selector[1] >> 4, selector[1] & 15);
            if selector[0] != id || dc > 3 || ac > 3 {
                return Err(Damage::Marker);
            }
            if self.quantization & (1 << quantization) == 0 {
                return Err(Damage::Table);
            }
            let undefined = self.dc & (1 << dc) == 0 || self.ac & (1 << ac) == 0;
            if undefined && (dc > 1 || ac > 1) {
                return Err(Damage::Table);
            }
            lacks |= undefined;
        }
        Ok(lacks)
    }
}

/// The DHT segment of ISO/IEC 10918-1 tables K.3 to K.6.
#[rustfmt::skip]
const ANNEX_K: [u8; 420] = [
    0xFF, 0xC4, 0x01, 0xA2,
    // DC, luma
    0x00, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    // AC, luma
    0x10, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D,
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91,
    0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A,
    0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53,
    0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79,
    0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5,
    0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9,
    0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2,
    0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    // DC, chroma
    0x01, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    // AC, chroma
    0x11, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77,
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14,
    0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17,
    0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A,
    0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
    0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
    0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7,
    0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2,
    0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: Size = Size { width: 64, height: 48 };

    /// A picture as libjpeg writes it: one DHT segment a table, the tables of annex K.
    fn jpeg() -> Vec<u8> {
        let pixels: Vec<u8> = (0..64 * 48 * 3u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
        let image =
            turbojpeg::Image { pixels: &pixels[..], width: 64, pitch: 64 * 3, height: 48, format: turbojpeg::PixelFormat::RGB };
        turbojpeg::compress(image, 85, turbojpeg::Subsamp::Sub2x1).unwrap().to_vec()
    }

    /// The marker segments before the scan, each with its marker, and the rest.
    fn segments(jpeg: &[u8]) -> (Vec<&[u8]>, &[u8]) {
        let (mut at, mut found) = (2, Vec::new());
        loop {
            let (marker, _, next) = segment(jpeg, at).unwrap();
            if marker == 0xDA {
                return (found, &jpeg[at..]);
            }
            found.push(&jpeg[at..next]);
            at = next;
        }
    }

    fn without(jpeg: &[u8], marker: u8) -> Vec<u8> {
        let (segments, scan) = segments(jpeg);
        let kept: Vec<u8> = segments.into_iter().filter(|segment| segment[1] != marker).flatten().copied().collect();
        [&[0xFF, 0xD8], &kept[..], scan].concat()
    }

    #[test]
    fn the_tail_of_an_older_picture_is_cut_off() {
        let whole = jpeg();
        let buffer = [&whole[..], &whole[whole.len() / 2..], &[0; 500]].concat();
        let shape = inspect(&buffer).unwrap();
        assert_eq!(shape, Shape { size: SIZE, len: whole.len(), lacks_tables: false });
        assert_eq!(extract(&buffer, &shape, &BufferPool::new())[..], whole[..]);
    }

    #[test]
    fn the_tables_put_in_are_those_of_annex_k_as_libjpeg_writes_them() {
        let whole = jpeg();
        let written: Vec<&[u8]> = segments(&whole).0.into_iter().filter(|segment| segment[1] == 0xC4).collect();
        let tables: Vec<u8> = written.iter().flat_map(|segment| segment[4..].to_vec()).collect();
        assert_eq!(ANNEX_K[4..], tables[..]);
        let bare = without(&whole, 0xC4);
        let shape = inspect(&bare).unwrap();
        assert!(shape.lacks_tables);
        let repaired = extract(&bare, &shape, &BufferPool::new());
        assert!(!inspect(&repaired).unwrap().lacks_tables);
        let pixels = |jpeg: &[u8]| turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::RGB).unwrap().pixels;
        assert_eq!(pixels(&repaired), pixels(&whole));
    }

    #[test]
    fn damage_is_told_apart() {
        let whole = jpeg();
        assert_eq!(inspect(&whole[..100]), Err(Damage::Tiny));
        assert_eq!(inspect(&whole[1..]), Err(Damage::Start));
        assert_eq!(inspect(&whole[..whole.len() - 2]), Err(Damage::End));
        assert_eq!(inspect(&without(&whole, 0xDB)), Err(Damage::Table));
        assert_eq!(inspect(&without(&whole, 0xC0)), Err(Damage::Marker));
        let frame = whole.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        for (at, value, kind) in
            [(frame + 1, 0xC2, "progressive"), (frame + 4, 12, "of 12 bit"), (frame + 1, 0xC9, "arithmetic coded")]
        {
            let mut odd = whole.clone();
            odd[at] = value;
            assert_eq!(inspect(&odd), Err(Damage::Unfit(kind)));
        }
    }

    #[test]
    fn a_cut_picture_that_runs_into_the_next_one_is_damaged() {
        let whole = jpeg();
        let spliced = [&whole[..whole.len() - 200], &whole[..]].concat();
        assert_eq!(inspect(&spliced), Err(Damage::Marker));
    }

    #[test]
    fn restart_markers_fill_bytes_and_application_segments_belong_to_the_picture() {
        let whole = jpeg();
        let (_, scan) = segments(&whole);
        let scan_at = whole.len() - scan.len();
        let mut odd = whole[..scan_at].to_vec();
        odd.extend([0xFF, 0xFF, 0xE0, 0, 6, b'A', b'V', b'I', b'1']);
        odd.extend(&scan[..scan.len() - 2]);
        odd.extend([0xFF, 0xD3, 0x12, 0xFF, 0xFF, 0xD9]);
        assert_eq!(inspect(&odd).unwrap().len, odd.len());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = inspect(&bytes);
            let _ = inspect(&[&[0xFF, 0xD8, 0xFF, 0xC4], &bytes[..]].concat());
        }

        #[test]
        fn a_mutated_picture_never_panics_and_never_grows(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()) {
            let mut bytes = jpeg();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            if let Ok(shape) = inspect(&bytes) {
                prop_assert!(shape.len <= bytes.len());
                let jpeg = extract(&bytes, &shape, &BufferPool::new());
                prop_assert_eq!(inspect(&jpeg), Ok(Shape { len: jpeg.len(), lacks_tables: false, ..shape }));
            }
        }
    }
}
