//! Slices → pixels of their band, as words for a window or as planes for a file.
//!
//! The JPEG around the scan is made here, from our own tables or from a camera's that [`parse`] believed, so whatever a peer sends,
//! libjpeg sees one baseline picture of exactly the band's size. Of a slice that is not all there only restart intervals that are
//! whole are drawn, each run of them as a JPEG of its own; all other pixels stay as they were. One decoder serves one thread.

use super::passthrough::renumber;
use super::raw::{self, Decompressor, Outcome, PlanesMut, plane_sizes};
use super::scan::{self, Run};
use super::segments::{Layout, Refusal, parse};
use super::tables::{self, EOI, SOI};
use crate::picture::{Sampling, Size};
use crate::wire;
use crate::wire::slice::{Head, MAX_LEN, Tables};
use std::ops::Range;

/// Scratch memory beyond this many pixels (4K) is given back after use.
const KEPT_PIXELS: usize = 3840 * 2160;

/// Why a slice gave no pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its head cannot be.
    #[error("the slice's head is wrong: {0}; drop it")]
    Head(#[from] wire::Error),
    /// The camera's tables in it cannot be.
    #[error("the slice's tables are wrong ({0}); drop it")]
    Tables(#[from] Refusal),
    /// Head and tables, or the band's edges and the MCUs, contradict each other.
    #[error("the slice contradicts itself: {0}; drop it")]
    Contradiction(&'static str),
    /// The library refused it, or a buffer was too small.
    #[error(transparent)]
    Raw(#[from] raw::Error),
}

/// What became of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Rows drawn.
    pub rows: u32,
    /// Some rows of the band were not drawn and are as before.
    pub partial: bool,
    /// The library complained about the data; pixels may be wrong. Some cameras' pictures always do this.
    pub suspect: bool,
}

/// Where pixels go.
enum Target<'a> {
    Rgb { out: &'a mut [u32], stride: usize },
    Planes(PlanesMut<'a>),
}

impl Target<'_> {
    /// The part from `row` (at an MCU's edge) on.
    fn below(&mut self, sampling: Sampling, row: usize) -> Target<'_> {
        match self {
            Target::Rgb { out, stride } => {
                Target::Rgb { out: out.get_mut(row.saturating_mul(*stride)..).unwrap_or_default(), stride: *stride }
            }
            Target::Planes(planes) => {
                let [luma, cb, cr] = &mut planes.planes;
                let chroma = if sampling == Sampling::Yuv420 { row / 2 } else { row };
                let strides = planes.strides;
                let luma = luma.get_mut(row.saturating_mul(strides[0])..).unwrap_or_default();
                let cb = cb.get_mut(chroma.saturating_mul(strides[1])..).unwrap_or_default();
                let cr = cr.get_mut(chroma.saturating_mul(strides[2])..).unwrap_or_default();
                Target::Planes(PlanesMut { planes: [luma, cb, cr], strides })
            }
        }
    }
}

/// See the module text. What it keeps between slices is memory, never state.
pub struct Decoder {
    decompressor: Decompressor,
    jpeg: Vec<u8>,
    /// Luma as the library pads it, for odd sizes.
    luma: Vec<u8>,
    /// Pixels that are only looked at.
    pixels: Vec<u32>,
}

/// A slice's head, checked.
struct Band<'a> {
    head: Head<'a>,
    /// Where the frame's height stands in a camera's tables.
    height_at: usize,
    mcus: Size,
    mcu_height: u32,
    intervals: usize,
}

impl<'a> Band<'a> {
    fn new(head: Head<'a>) -> Result<Self, Error> {
        let mcu_height = tables::mcu(head.sampling).height;
        let (top, rows) = (u32::from(head.top), u32::from(head.rows));
        if top % mcu_height != 0 || (rows % mcu_height != 0 && top + rows != head.size.height) {
            return Err(Error::Contradiction("its band does not end where an MCU does"));
        }
        let height_at = match head.tables {
            Tables::Own(_) => 0,
            Tables::Foreign(tables) => {
                let Layout { sampling, size, restart, height_at } = parse(tables)?;
                if (sampling, size, restart) != (head.sampling, head.size, head.restart) {
                    return Err(Error::Contradiction("its head and its frame header differ"));
                }
                height_at
            }
        };
        let mcus = tables::mcus(head.sampling, Size { width: head.size.width, height: rows });
        let intervals = match head.restart {
            0 => 1,
            restart => (mcus.width * mcus.height).div_ceil(u32::from(restart)) as usize,
        };
        Ok(Band { head, height_at, mcus, mcu_height, intervals })
    }

    /// The most MCU rows that so many bytes can code: a block takes two bits at least. Keeps a few bytes from costing much.
    fn most_mcu_rows(&self, bytes: usize) -> u32 {
        let row = self.mcus.width as usize * tables::blocks(self.head.sampling) * 2;
        (bytes * 8).div_ceil(row).min(self.mcus.height as usize) as u32
    }

    /// Rows of pixels in the MCU rows before `mcu_row`.
    fn rows(&self, mcu_row: u32) -> u32 {
        (mcu_row * self.mcu_height).min(u32::from(self.head.rows))
    }

    /// Appends the JPEG that decodes `rows` rows from this scan data, whose first interval is number `first` of the band.
    fn jpeg(&self, out: &mut Vec<u8>, rows: u32, scan: &[u8], first: usize) {
        out.clear();
        match self.head.tables {
            Tables::Own(quality) => {
                let size = Size { width: self.head.size.width, height: rows };
                tables::header(out, quality, self.head.sampling, size, self.head.restart);
            }
            Tables::Foreign(tables) => {
                out.extend_from_slice(&[0xFF, SOI]);
                let height_at = out.len() + self.height_at;
                out.extend_from_slice(tables);
                out[height_at..height_at + 2].copy_from_slice(&(rows as u16).to_be_bytes());
            }
        }
        let begin = out.len();
        out.extend_from_slice(scan);
        renumber(&mut out[begin..], first, 0);
        out.extend_from_slice(&[0xFF, EOI]);
    }
}

impl Decoder {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        Ok(Decoder { decompressor: Decompressor::new()?, jpeg: Vec::new(), luma: Vec::new(), pixels: Vec::new() })
    }

    /// Draws a slice that is all there (`body` is head and scan, without the length) as words `0x00RRGGBB` (the top byte is not
    /// meaningful) into `out`, whose first word is the first of the band and whose rows are `stride` apart.
    pub fn decode_rgb(&mut self, body: &[u8], out: &mut [u32], stride: usize) -> Result<Decoded, Error> {
        self.whole(body, Target::Rgb { out, stride })
    }

    /// As [`Decoder::decode_rgb`], of a slice of which only the byte ranges `present` have come, in order; `body` may end before the
    /// slice does, as `ended` tells. The head must be there.
    pub fn decode_rgb_part(
        &mut self,
        body: &[u8],
        present: &[Range<usize>],
        ended: bool,
        out: &mut [u32],
        stride: usize,
    ) -> Result<Decoded, Error> {
        self.part(body, present, ended, Target::Rgb { out, stride })
    }

    /// As [`Decoder::decode_rgb`], into planes that begin at the band's first row.
    pub fn decode_planes(&mut self, body: &[u8], out: PlanesMut<'_>) -> Result<Decoded, Error> {
        self.whole(body, Target::Planes(out))
    }

    /// As [`Decoder::decode_rgb_part`], into planes that begin at the band's first row.
    pub fn decode_planes_part(
        &mut self,
        body: &[u8],
        present: &[Range<usize>],
        ended: bool,
        out: PlanesMut<'_>,
    ) -> Result<Decoded, Error> {
        self.part(body, present, ended, Target::Planes(out))
    }

    fn whole(&mut self, body: &[u8], mut target: Target<'_>) -> Result<Decoded, Error> {
        let (head, scan) = Head::decode(body.get(..MAX_LEN).unwrap_or(body))?;
        let band = Band::new(head)?;
        match scan::whole(scan, band.intervals) {
            Some(end) if band.most_mcu_rows(end) == band.mcus.height => {
                let rows = u32::from(head.rows);
                band.jpeg(&mut self.jpeg, rows, &scan[..end], 0);
                let outcome = self.draw(&band, rows, target)?;
                Ok(Decoded { rows, partial: false, suspect: outcome == Outcome::Warned })
            }
            _ => self.runs(&band, scan, std::slice::from_ref(&(0..scan.len())), false, &mut target),
        }
    }

    fn part(&mut self, body: &[u8], present: &[Range<usize>], ended: bool, mut target: Target<'_>) -> Result<Decoded, Error> {
        let body = body.get(..MAX_LEN).unwrap_or(body);
        let first = present.first().filter(|range| range.start == 0).map_or(0, |range| range.end.min(body.len()));
        let (head, rest) = Head::decode(&body[..first])?;
        let skip = first - rest.len();
        let band = Band::new(head)?;
        let present: Vec<_> =
            present.iter().map(|range| range.start.saturating_sub(skip)..range.end.saturating_sub(skip)).collect();
        self.runs(&band, &body[skip..], &present, ended, &mut target)
    }

    /// Draws what can be told to be whole.
    fn runs(
        &mut self,
        band: &Band<'_>,
        scan: &[u8],
        present: &[Range<usize>],
        ended: bool,
        target: &mut Target<'_>,
    ) -> Result<Decoded, Error> {
        if band.head.restart == 0 {
            let first = present.first().filter(|range| range.start == 0).map_or(0, |range| range.end.min(scan.len()));
            let end = scan::markers(&scan[..first]).next().map_or(first, |marker| marker.at);
            return self.prefix(band, &scan[..end], target);
        }
        let (restart, width) = (u32::from(band.head.restart), band.mcus.width);
        let mut drawn = 0;
        for Run { first, count, bytes } in scan::runs(scan, present, band.intervals, ended) {
            // Intervals that do not end with a row of MCUs are of use only from the band's start.
            if restart % width != 0 && first != 0 {
                continue;
            }
            let mcu_row = |interval: usize| (interval as u32 * restart / width).min(band.mcus.height);
            let from = mcu_row(first);
            let end = if first + count == band.intervals { band.mcus.height } else { mcu_row(first + count) };
            let end = end.min(from + band.most_mcu_rows(bytes.len()));
            if from < end {
                self.piece(band, from..end, &scan[bytes], first, target)?;
                drawn += band.rows(end) - band.rows(from);
            }
        }
        Ok(Decoded { rows: drawn, partial: drawn < u32::from(band.head.rows), suspect: false })
    }

    /// Draws the MCU rows `from..end` out of scan data that begins with interval `first`.
    fn piece(
        &mut self,
        band: &Band<'_>,
        mcu_rows: Range<u32>,
        scan: &[u8],
        first: usize,
        target: &mut Target<'_>,
    ) -> Result<(), Error> {
        let top = band.rows(mcu_rows.start);
        let rows = band.rows(mcu_rows.end) - top;
        band.jpeg(&mut self.jpeg, rows, scan, first);
        self.draw(band, rows, target.below(band.head.sampling, top as usize))?;
        Ok(())
    }

    /// The start of a scan without restart markers: how far it goes is seen from where libjpeg, out of data, begins to fill with grey.
    /// One MCU row too few may be drawn, where the picture itself is that grey or the data happens to end with a row.
    fn prefix(&mut self, band: &Band<'_>, scan: &[u8], target: &mut Target<'_>) -> Result<Decoded, Error> {
        let partial = Decoded { rows: 0, partial: true, suspect: false };
        let mcu_rows = band.most_mcu_rows(scan.len());
        if mcu_rows == 0 {
            return Ok(partial);
        }
        let size = Size { width: band.head.size.width, height: band.rows(mcu_rows) };
        let width = size.width as usize;
        self.pixels.resize(width * size.height as usize, 0);
        band.jpeg(&mut self.jpeg, size.height, scan, 0);
        self.decompressor.rgb(&self.jpeg, size, &mut self.pixels, width)?;
        let filled = |pixel: &u32| pixel & 0x00FF_FFFF == 0x0080_8080;
        let last = self.pixels.rchunks_exact(width).position(|row| !row.iter().all(filled));
        // The MCU row above the fill is cut somewhere; its colours reach one pixel row into the fill.
        let last = last.map_or(0, |from_end| size.height as usize - 1 - from_end);
        let whole = (last.saturating_sub(1) / band.mcu_height as usize) as u32;
        if self.pixels.len() > KEPT_PIXELS {
            self.pixels = Vec::new();
        }
        if whole > 0 {
            self.piece(band, 0..whole, scan, 0, target)?;
        }
        Ok(Decoded { rows: band.rows(whole), ..partial })
    }

    /// Decodes `self.jpeg`, of `rows` rows.
    fn draw(&mut self, band: &Band<'_>, rows: u32, target: Target<'_>) -> Result<Outcome, Error> {
        let size = Size { width: band.head.size.width, height: rows };
        let sampling = band.head.sampling;
        let planes = match target {
            Target::Rgb { out, stride } => return Ok(self.decompressor.rgb(&self.jpeg, size, out, stride)?),
            Target::Planes(planes) => planes,
        };
        let [padded, ..] = plane_sizes(sampling, size);
        if padded == size {
            return Ok(self.decompressor.planes(&self.jpeg, sampling, size, planes)?);
        }
        let (width, stride) = (size.width as usize, padded.width as usize);
        let [out, cb, cr] = planes.planes;
        let needed = planes.strides[0].saturating_mul(rows as usize - 1).saturating_add(width);
        if out.len() < needed || planes.strides[0] < width {
            return Err(raw::Error::Room { what: "luma", len: out.len(), needed }.into());
        }
        self.luma.resize(stride * padded.height as usize, 0);
        let strides = [stride, planes.strides[1], planes.strides[2]];
        let padded = PlanesMut { planes: [&mut self.luma, cb, cr], strides };
        let outcome = self.decompressor.planes(&self.jpeg, sampling, size, padded)?;
        for (to, from) in out.chunks_mut(planes.strides[0]).zip(self.luma.chunks_exact(stride)).take(rows as usize) {
            to[..width].copy_from_slice(&from[..width]);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::raw::Compressor;
    use super::super::testing::{self, SAMPLINGS, drawn, planes_from, psnr};
    use super::*;

    const SIZE: Size = Size { width: 160, height: 96 };
    const OLD: u32 = 0x0012_3456;

    #[test]
    fn all_samplings_and_odd_sizes_come_back_as_they_went() {
        let mut decoder = Decoder::new().unwrap();
        for sampling in SAMPLINGS {
            for (width, height) in [(1, 1), (1, 17), (17, 1), (2, 3), (15, 16), (33, 47), (64, 49), (65, 64)] {
                let size = Size { width, height };
                let planes = testing::planes(size, sampling, 5);
                let mut back = vec![0; planes.len()];
                let mcu_height = tables::mcu(sampling).height;
                for top in (0..height).step_by(2 * mcu_height as usize) {
                    let rows = (2 * mcu_height).min(height - top);
                    let body = testing::slice(&planes, &testing::head(size, sampling, 98, top, rows));
                    let decoded = decoder.decode_planes(&body, planes_from(&mut back, size, sampling, top)).unwrap();
                    assert_eq!(decoded, Decoded { rows, partial: false, suspect: false });
                }
                assert!(psnr(&planes, &back) > 40.0, "{sampling:?} {size}: {:.1} dB", psnr(&planes, &back));
            }
        }
    }

    #[test]
    fn words_are_what_the_planes_say() {
        let grey = Size { width: 24, height: 16 };
        let mut planes = vec![76; 24 * 16];
        planes.resize(Sampling::Yuv444.bytes(grey), 85);
        planes[2 * 24 * 16..].fill(255);
        let body = testing::slice(&planes, &testing::head(grey, Sampling::Yuv444, 95, 0, 16));
        for word in drawn(&body, grey) {
            let (red, green, blue) = (word >> 16 & 255, word >> 8 & 255, word & 255);
            assert!(red > 250 && green < 6 && blue < 6, "{word:#x}");
        }
    }

    #[test]
    fn heads_and_tables_that_contradict_each_other_are_refused() {
        let planes = testing::planes(SIZE, Sampling::Yuv420, 3);
        let body = testing::foreign_slice(&planes, SIZE, 10);
        drawn(&body, SIZE);
        let mut out = vec![OLD; 160 * 96];
        let mut refused = |at: usize, byte: u8| {
            let mut bad = body.clone();
            bad[at] = byte;
            let error = Decoder::new().unwrap().decode_rgb(&bad, &mut out, 160).unwrap_err();
            assert!(matches!(error, Error::Contradiction(_)), "{error}");
        };
        refused(0, 0x82); // 4:2:2
        refused(3, 161); // width
        refused(5, 97); // height
        refused(9, 95); // rows
        refused(11, 11); // restart interval
        assert!(out.iter().all(|pixel| *pixel == OLD));
    }

    #[test]
    fn a_few_bytes_cannot_cost_a_giant_picture() {
        let giant = Size { width: 8192, height: 8192 };
        for restart in [0, 1, 512, u16::MAX] {
            let mut body = Vec::new();
            Head { restart, ..testing::head(giant, Sampling::Yuv420, 80, 0, 8192) }.encode(&mut body);
            body.extend_from_slice(&[0x12; 40]);
            let mut decoder = Decoder::new().unwrap();
            let decoded = decoder.decode_rgb(&body, &mut [], 8192);
            assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.rows == 0), "{restart}");
            assert!(decoder.pixels.len() <= 8192 * 16, "{restart}: {} pixels", decoder.pixels.len());
        }
    }

    #[test]
    fn the_size_of_slices_is_that_of_one_jpeg() {
        let size = Size { width: 1280, height: 720 };
        let planes = testing::planes(size, Sampling::Yuv420, 1);
        let mut jpeg = vec![0; Compressor::bound(size, Sampling::Yuv420)];
        let input = super::super::raw::Planes {
            planes: [&planes, &planes[1280 * 720..], &planes[1280 * 720 * 5 / 4..]],
            strides: [1280, 640, 640],
        };
        let whole = Compressor::new().unwrap().compress(input, Sampling::Yuv420, size, 90, &mut jpeg).unwrap();
        let bands = super::super::bands::Bands::new(size, Sampling::Yuv420, whole, 4);
        let mut back = vec![0; planes.len()];
        let (mut sum, mut decoder) = (0, Decoder::new().unwrap());
        for index in 0..bands.count() {
            let (top, rows) = bands.band(index);
            let body = testing::slice(&planes, &testing::head(size, Sampling::Yuv420, 90, top, rows));
            sum += body.len() + 4;
            decoder.decode_planes(&body, planes_from(&mut back, size, Sampling::Yuv420, top)).unwrap();
        }
        let (ratio, luma) = (sum as f64 / whole as f64, psnr(&planes[..1280 * 720], &back[..1280 * 720]));
        println!("{} slices: {sum} bytes, one JPEG {whole}, ratio {ratio:.4}; luma {luma:.1} dB at quality 90", bands.count());
        assert!(whole > 100_000 && ratio <= 1.02, "{whole}, {ratio}");
        assert!(luma >= 40.0, "{luma}");
    }

    /// The greatest and the mean difference of a colour between a picture decoded whole and band by band, in the rows beside the
    /// bands' borders; and the greatest elsewhere.
    fn seam(planes: &[u8], size: Size, quality: u8) -> (u32, f64, u32) {
        let width = size.width as usize;
        let whole = drawn(&testing::slice(planes, &testing::head(size, Sampling::Yuv420, quality, 0, size.height)), size);
        let mut banded = vec![0; whole.len()];
        for top in (0..size.height).step_by(32) {
            let body = testing::slice(planes, &testing::head(size, Sampling::Yuv420, quality, top, 32.min(size.height - top)));
            Decoder::new().unwrap().decode_rgb(&body, &mut banded[top as usize * width..], width).unwrap();
        }
        let (mut beside, mut sum, mut count, mut elsewhere) = (0, 0, 0, 0);
        for (at, (a, b)) in whole.iter().zip(&banded).enumerate() {
            let row = at / width;
            for shift in [0, 8, 16] {
                let difference = (a >> shift & 255).abs_diff(b >> shift & 255);
                if matches!(row % 32, 0 | 31) && row > 0 && row + 1 < size.height as usize {
                    (beside, sum, count) = (beside.max(difference), sum + difference, count + 1);
                } else {
                    elsewhere = elsewhere.max(difference);
                }
            }
        }
        (beside, f64::from(sum) / f64::from(count), elsewhere)
    }

    #[test]
    fn bands_meet_without_a_seam() {
        let size = Size { width: 640, height: 352 };
        let lens = testing::planes(size, Sampling::Yuv420, 1);
        // Colour that runs from one end of its range to the other over the picture's height.
        let mut ramp = vec![128; 640 * 352];
        let chroma = |row: usize| std::iter::repeat_n((row * 255 / 175) as u8, 320);
        ramp.extend((0..2 * 176).flat_map(|row| chroma(row % 176)));
        for (name, planes, most) in [("lens", lens, 16), ("ramp", ramp, 4)] {
            let (beside, mean, elsewhere) = seam(&planes, size, 80);
            println!("{name}: beside a border at most {beside}, {mean:.3} in the mean; elsewhere at most {elsewhere}");
            assert!(beside <= most && mean < 1.0 && elsewhere == 0, "{name}: {beside}, {mean}, {elsewhere}");
        }
    }
}
