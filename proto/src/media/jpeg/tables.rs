//! Our own JPEG headers: a function of quality, sampling, size and restart interval, so they need not travel (RFC 2435's idea).
//!
//! Invariant: [`header`] gives byte for byte what libjpeg-turbo writes in front of the scan for the same values. The tables are
//! those of ITU-T T.81 Annex K; quality scales them by the IJG's formula (`jpeg_set_quality`, `force_baseline`).

use crate::picture::{Sampling, Size};

/// Start of image.
pub const SOI: u8 = 0xD8;
/// End of image.
pub const EOI: u8 = 0xD9;
/// Start of scan.
pub const SOS: u8 = 0xDA;
pub const DQT: u8 = 0xDB;
pub const DRI: u8 = 0xDD;
/// Baseline frame header.
pub const SOF0: u8 = 0xC0;
pub const DHT: u8 = 0xC4;
/// First of the eight restart markers.
pub const RST0: u8 = 0xD0;

/// Blocks of 8×8 samples in an MCU.
pub fn blocks(sampling: Sampling) -> usize {
    match sampling {
        Sampling::Grey => 1,
        Sampling::Yuv444 => 3,
        Sampling::Yuv422 | Sampling::Yuv440 => 4,
        Sampling::Yuv420 => 6,
    }
}

/// Where the coefficient at each place of the zigzag sits in its block.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42,
    49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// T.81 table K.1, row by row.
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80,
    62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,
    112, 100, 103, 99,
];

/// T.81 table K.2, row by row.
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99,
];

/// A Huffman table as DHT lists it: codes of each length 1–16, and their symbols.
struct Huffman {
    class_and_id: u8,
    lengths: [u8; 16],
    symbols: &'static [u8],
}

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// T.81 tables K.3 to K.6, in the order the library writes them.
const HUFFMAN: [Huffman; 4] = [
    Huffman { class_and_id: 0x00, lengths: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: &DC_SYMBOLS },
    Huffman {
        class_and_id: 0x10,
        lengths: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D],
        symbols: &[
            0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14,
            0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09,
            0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A,
            0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65,
            0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
            0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9,
            0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA,
            0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA,
            0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
        ],
    },
    Huffman { class_and_id: 0x01, lengths: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], symbols: &DC_SYMBOLS },
    Huffman {
        class_and_id: 0x11,
        lengths: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        symbols: &[
            0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32,
            0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16,
            0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39,
            0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64,
            0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86,
            0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
            0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8,
            0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9,
            0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
        ],
    },
];

/// The quantisation tables of a quality (1–100), of luma and of colour, in zigzag order.
pub fn quantisers(quality: u8) -> [[u8; 64]; 2] {
    [quantisation(&LUMA, quality), quantisation(&CHROMA, quality)]
}

/// One of them.
fn quantisation(base: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality.clamp(1, 100));
    let scale = if quality < 50 { 5000 / quality } else { 200 - quality * 2 };
    ZIGZAG.map(|place| ((u32::from(base[usize::from(place)]) * scale + 50) / 100).clamp(1, 255) as u8)
}

/// Appends a marker segment.
pub fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let len = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&[0xFF, marker]);
    out.extend_from_slice(&(len as u16).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends Annex K's Huffman tables: all four, or the two that a grey picture needs.
pub fn huffman(out: &mut Vec<u8>, sampling: Sampling) {
    let count = if sampling == Sampling::Grey { 2 } else { 4 };
    for table in &HUFFMAN[..count] {
        segment(out, DHT, &[&[table.class_and_id], &table.lengths, table.symbols]);
    }
}

/// Annex K's table of this class (0 is DC, 1 AC) of luma (0) or colour (1), as DHT lists it: lengths, and symbols.
pub fn annex_k(class: usize, id: usize) -> (&'static [u8], &'static [u8]) {
    let table = &HUFFMAN[2 * id + class];
    (&table.lengths, table.symbols)
}

/// Appends Annex K's DC table of luma (0) or colour (1).
pub fn dc_table(out: &mut Vec<u8>, id: usize) {
    let table = &HUFFMAN[2 * id];
    segment(out, DHT, &[&[table.class_and_id], &table.lengths, table.symbols]);
}

/// Annex K's code of a DC difference of so many bits, at most 11, and its length.
pub fn dc_code(colour: bool, size: u8) -> (u16, u8) {
    DC_CODES[usize::from(colour)][usize::from(size)]
}

/// By luma and colour, and size. Symbols stand in order, so a code follows from how many are shorter (T.81 C.2).
const DC_CODES: [[(u16, u8); 12]; 2] = [dc_codes(&HUFFMAN[0].lengths), dc_codes(&HUFFMAN[2].lengths)];

const fn dc_codes(lengths: &[u8; 16]) -> [(u16, u8); 12] {
    let (mut codes, mut code, mut place, mut bits) = ([(0, 0); 12], 0, 0, 0);
    while bits < 16 {
        let mut left = lengths[bits];
        bits += 1;
        while left > 0 {
            codes[place] = (code, bits as u8);
            (code, place, left) = (code + 1, place + 1, left - 1);
        }
        code <<= 1;
    }
    codes
}

/// Appends everything from SOI to the scan of a JPEG of ours. `restart` is in MCUs, 0 for none.
pub fn header(out: &mut Vec<u8>, quality: u8, sampling: Sampling, size: Size, restart: u16) {
    header_with(out, &quantisers(quality), sampling, size, restart);
}

/// The same with any quantisation tables.
pub fn header_with(out: &mut Vec<u8>, quantisers: &[[u8; 64]; 2], sampling: Sampling, size: Size, restart: u16) {
    out.extend_from_slice(&[0xFF, SOI]);
    segment(out, 0xE0, &[b"JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00"]);
    let grey = sampling == Sampling::Grey;
    segment(out, DQT, &[&[0], &quantisers[0]]);
    if !grey {
        segment(out, DQT, &[&[1], &quantisers[1]]);
    }
    let mcu = sampling.mcu();
    let factors = ((mcu.width / 8) << 4 | (mcu.height / 8)) as u8;
    let (height, width) = ((size.height as u16).to_be_bytes(), (size.width as u16).to_be_bytes());
    let components: &[u8] = &[1, factors, 0, 2, 0x11, 1, 3, 0x11, 1];
    let selectors: &[u8] = &[1, 0x00, 2, 0x11, 3, 0x11];
    let count = if grey { 1 } else { 3 };
    segment(out, SOF0, &[&[8], &height, &width, &[count as u8], &components[..3 * count]]);
    huffman(out, sampling);
    if restart != 0 {
        segment(out, DRI, &[&restart.to_be_bytes()]);
    }
    segment(out, SOS, &[&[count as u8], &selectors[..2 * count], &[0, 63, 0]]);
}

/// The quality of a JPEG whose head is byte for byte what [`header`] writes.
pub fn quality_of(head: &[u8], sampling: Sampling, size: Size, restart: u16) -> Option<u8> {
    // Behind SOI, APP0, and what is in front of the first table.
    let luma = head.get(25..89)?;
    let quality = (1..=100).find(|quality| quantisation(&LUMA, *quality) == luma)?;
    let mut ours = Vec::with_capacity(head.len());
    header(&mut ours, quality, sampling, size, restart);
    (ours == head).then_some(quality)
}

/// Where the segments that a camera's tables would consist of begin in [`header`]: behind SOI and APP0.
pub const SEGMENTS_AT: usize = 20;

/// How long [`header`] is with a restart interval.
pub fn header_len(sampling: Sampling) -> usize {
    let (quantisation, frame, huffman, scan) = match sampling {
        Sampling::Grey => (69, 13, 33 + 183, 10),
        _ => (2 * 69, 19, 2 * (33 + 183), 14),
    };
    2 + 18 + quantisation + frame + huffman + 6 + scan
}
