//! Slices → pixels of their band, as words for a window or as planes for a file.
//!
//! The JPEG around the scan is made here, from our own tables or from a camera's that [`parse`] believed, so whatever a peer
//! sends, libjpeg sees one baseline picture of exactly the band's size. Of a slice that is not all there only restart intervals
//! that are whole are drawn, each run of them as a JPEG of its own; all other pixels stay as they were. MCUs that are packed are
//! drawn beside each other, and then each is brought to its place. One decoder serves one thread.

use super::packed::{self, Places, Row};
use super::passthrough::renumber;
use super::raw::{self, Decompressor, Outcome, PlanesMut, plane_sizes};
use super::scan::{self, Run};
use super::shrink::Shrink;
use eyeline_proto::media::jpeg::segments::{Layout, Refusal, parse, parse_packed};
use eyeline_proto::media::jpeg::tables::{self, EOI, SOI};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::mcus::Mcus;
use eyeline_proto::wire::slice::{Head, MAX_LEN, Tables};
use std::ops::Range;

/// Scratch memory beyond this many pixels (4K) is given back after use.
const KEPT_PIXELS: usize = 3840 * 2160;

/// Why a slice gave no pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
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
    /// Rows drawn; of packed MCUs all that the band has, or 0 where some of the MCUs are missing.
    pub rows: u32,
    /// Some rows of the band, or MCUs of the slice, were not drawn and are as before.
    pub partial: bool,
    /// The library complained about the data; pixels may be wrong. Some cameras' pictures always do this.
    pub suspect: bool,
}

/// Where words `0x00RRGGBB` go (the top byte is not meaningful): the first is the first of the band.
#[derive(Debug)]
pub struct RgbMut<'a> {
    /// Row after row.
    pub out: &'a mut [u32],
    /// Words from one row to the next.
    pub stride: usize,
    /// The band is made smaller by so much, rounded up at its right and lower edge.
    pub shrink: Shrink,
}

impl<'a> RgbMut<'a> {
    /// As large as the picture is.
    pub fn whole(out: &'a mut [u32], stride: usize) -> Self {
        RgbMut { out, stride, shrink: Shrink::Whole }
    }
}

/// Where pixels go.
enum Target<'a> {
    Rgb(RgbMut<'a>),
    Planes(PlanesMut<'a>),
}

impl Target<'_> {
    /// The part from `row` (at an MCU's edge) on.
    fn below(&mut self, sampling: Sampling, row: usize) -> Target<'_> {
        match self {
            Target::Rgb(RgbMut { out, stride, shrink }) => {
                let row = row / shrink.divisor() as usize;
                let out = out.get_mut(row.saturating_mul(*stride)..).unwrap_or_default();
                Target::Rgb(RgbMut { out, stride: *stride, shrink: *shrink })
            }
            Target::Planes(planes) => {
                let [luma, cb, cr] = &mut planes.planes;
                let chroma = sampling.chroma_row(row);
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
    /// Pixels that are only looked at, or have yet to come to their places.
    pixels: Vec<u32>,
    /// The same as planes.
    row: Row,
}

/// A slice's head, checked.
struct Band<'a> {
    head: Head<'a>,
    /// Where the frame's height stands in a camera's tables.
    height_at: usize,
    /// Where Annex K's Huffman tables belong among them, if they have none.
    implied: Option<usize>,
    mcus: Size,
    mcu_height: u32,
    intervals: usize,
}

impl<'a> Band<'a> {
    fn new(head: Head<'a>) -> Result<Self, Error> {
        let mcu_height = head.sampling.mcu().height;
        let (top, rows) = (u32::from(head.top), u32::from(head.rows));
        if top % mcu_height != 0 || (rows % mcu_height != 0 && top + rows != head.size.height) {
            return Err(Error::Contradiction("its band does not end where an MCU does"));
        }
        let (height_at, implied) = match head.tables {
            Tables::Own(_) => (0, None),
            Tables::Foreign(tables) => {
                let parsed = if head.mcus.is_some() { parse_packed(tables)? } else { parse(tables)? };
                let Layout { sampling, size, restart, height_at, tall, implied } = parsed;
                if (sampling, size, restart) != (head.sampling, head.size, head.restart) {
                    return Err(Error::Contradiction("its head and its frame header differ"));
                }
                if tall && head.mcus.is_some() {
                    return Err(Error::Contradiction("its MCUs are higher than those it names"));
                }
                (height_at, implied)
            }
        };
        let mcus = head.sampling.mcus(Size { width: head.size.width, height: rows });
        let count = head.mcus.map_or((mcus.width * mcus.height) as usize, |mcus| mcus.count());
        let intervals = if head.restart == 0 { 1 } else { count.div_ceil(usize::from(head.restart)) };
        Ok(Band { head, height_at, implied, mcus, mcu_height, intervals })
    }

    /// The most MCU rows that so many bytes can code: a block takes two bits at least. Keeps a few bytes from costing much.
    fn most_mcu_rows(&self, bytes: usize) -> u32 {
        let row = self.mcus.width as usize * tables::blocks(self.head.sampling) * 2;
        (bytes * 8).div_ceil(row).min(self.mcus.height as usize) as u32
    }

    /// Restart intervals that can be told to be whole; none where there are no markers.
    fn runs(&self, scan: &[u8], present: &[Range<usize>], ended: bool) -> Vec<Run> {
        if self.head.restart == 0 { Vec::new() } else { scan::runs(scan, present, self.intervals, ended) }
    }

    /// Whether so many bytes can code so many MCUs, for the same reason.
    fn can_have(&self, mcus: usize, bytes: usize) -> bool {
        mcus * tables::blocks(self.head.sampling) * 2 <= bytes * 8
    }

    /// In pixels.
    fn size(&self) -> Size {
        Size { width: self.head.size.width, height: self.head.rows.into() }
    }

    /// Rows of pixels in the MCU rows before `mcu_row`.
    fn rows(&self, mcu_row: u32) -> u32 {
        (mcu_row * self.mcu_height).min(u32::from(self.head.rows))
    }

    /// The JPEG of `size` that this scan data is of, whose first interval is number `first` of the slice.
    fn jpeg(&self, out: &mut Vec<u8>, size: Size, scan: &[u8], first: usize) {
        out.clear();
        match self.head.tables {
            Tables::Own(quality) => tables::header(out, quality, self.head.sampling, size, self.head.restart),
            Tables::Foreign(tables) => {
                out.extend_from_slice(&[0xFF, SOI]);
                let height_at = out.len() + self.height_at;
                let (front, behind) = tables.split_at(self.implied.unwrap_or(tables.len()));
                out.extend_from_slice(front);
                if self.implied.is_some() {
                    tables::huffman(out, Sampling::Yuv444);
                }
                out.extend_from_slice(behind);
                let [height, width] = [size.height, size.width].map(|side| (side as u16).to_be_bytes());
                out[height_at..height_at + 4].copy_from_slice(&[height, width].concat());
            }
        }
        let begin = out.len();
        out.extend_from_slice(scan);
        renumber(&mut out[begin..], first, 0);
        out.extend_from_slice(&[0xFF, EOI]);
    }
}

/// The scan, as far as slices may be long: with the holes in it a part may be longer.
fn looked_at(slice: &Slice) -> &[u8] {
    let scan = slice.scan();
    scan.get(..MAX_LEN).unwrap_or(scan)
}

impl Decoder {
    /// A new one.
    pub fn new() -> Result<Self, raw::Error> {
        let (jpeg, luma, pixels, row) = (Vec::new(), Vec::new(), Vec::new(), Row::default());
        Ok(Decoder { decompressor: Decompressor::new()?, jpeg, luma, pixels, row })
    }

    /// Draws a slice that is all there.
    pub fn decode_rgb(&mut self, slice: &Slice, out: RgbMut<'_>) -> Result<Decoded, Error> {
        self.whole(slice, Target::Rgb(out))
    }

    /// As [`Decoder::decode_rgb`], of a slice of whose scan only the byte ranges `present` have come, in order; its bytes may end
    /// before the slice does, as `ended` tells.
    pub fn decode_rgb_part(
        &mut self,
        slice: &Slice,
        present: &[Range<usize>],
        ended: bool,
        out: RgbMut<'_>,
    ) -> Result<Decoded, Error> {
        self.part(slice, present, ended, Target::Rgb(out))
    }

    /// As [`Decoder::decode_rgb`], into planes that begin at the band's first row.
    pub fn decode_planes(&mut self, slice: &Slice, out: PlanesMut<'_>) -> Result<Decoded, Error> {
        self.whole(slice, Target::Planes(out))
    }

    /// As [`Decoder::decode_rgb_part`], into planes that begin at the band's first row.
    pub fn decode_planes_part(
        &mut self,
        slice: &Slice,
        present: &[Range<usize>],
        ended: bool,
        out: PlanesMut<'_>,
    ) -> Result<Decoded, Error> {
        self.part(slice, present, ended, Target::Planes(out))
    }

    fn whole(&mut self, slice: &Slice, mut target: Target<'_>) -> Result<Decoded, Error> {
        let (head, scan) = (slice.head(), looked_at(slice));
        let band = Band::new(head)?;
        let all = 0..scan.len();
        let present = std::slice::from_ref(&all);
        if let Some(mcus) = head.mcus {
            let whole = scan::whole(scan, band.intervals).map(|end| Run { first: 0, count: band.intervals, bytes: 0..end });
            let runs = whole.map_or_else(|| band.runs(scan, present, false), |whole| vec![whole]);
            return self.packed(&band, mcus, scan, runs, &mut target);
        }
        match scan::whole(scan, band.intervals) {
            Some(end) if band.most_mcu_rows(end) == band.mcus.height => {
                let rows = u32::from(head.rows);
                band.jpeg(&mut self.jpeg, band.size(), &scan[..end], 0);
                let outcome = self.draw(&band, rows, target)?;
                Ok(Decoded { rows, partial: false, suspect: outcome == Outcome::Warned })
            }
            _ => self.runs(&band, scan, present, false, &mut target),
        }
    }

    fn part(&mut self, slice: &Slice, present: &[Range<usize>], ended: bool, mut target: Target<'_>) -> Result<Decoded, Error> {
        let (head, scan) = (slice.head(), looked_at(slice));
        let band = Band::new(head)?;
        match head.mcus {
            Some(mcus) => self.packed(&band, mcus, scan, band.runs(scan, present, ended), &mut target),
            None => self.runs(&band, scan, present, ended, &mut target),
        }
    }

    /// Draws those of the packed MCUs that these runs of restart intervals have.
    fn packed(
        &mut self,
        band: &Band<'_>,
        mcus: Mcus<'_>,
        scan: &[u8],
        runs: Vec<Run>,
        target: &mut Target<'_>,
    ) -> Result<Decoded, Error> {
        let places = Places::all(band.head.sampling, band.size(), mcus);
        let restart = if band.head.restart == 0 { mcus.count() } else { band.head.restart.into() };
        let (mut drawn, mut suspect) = (0, false);
        for Run { first, count, bytes } in runs {
            let places = Places { which: first * restart..((first + count) * restart).min(mcus.count()), ..places.clone() };
            if !places.which.is_empty() && band.can_have(places.which.len(), bytes.len()) {
                band.jpeg(&mut self.jpeg, places.row(), &scan[bytes], first);
                suspect |= self.draw_packed(&places, target)? == Outcome::Warned;
                drawn += places.which.len();
            }
        }
        let partial = drawn < mcus.count();
        Ok(Decoded { rows: if partial { 0 } else { band.head.rows.into() }, partial, suspect })
    }

    /// Decodes `self.jpeg`, of these MCUs side by side, and brings each to its place.
    fn draw_packed(&mut self, places: &Places<'_>, target: &mut Target<'_>) -> Result<Outcome, Error> {
        let size = places.row();
        Ok(match target {
            Target::Rgb(RgbMut { out, stride, shrink }) => {
                let Size { width, height } = shrink.size(size);
                self.pixels.resize(width as usize * height as usize, 0);
                let outcome = self.decompressor.rgb(&self.jpeg, (size, *shrink), &mut self.pixels, width as usize)?;
                packed::scatter_words(&self.pixels, (out, *stride), *shrink, places)?;
                outcome
            }
            Target::Planes(planes) => {
                let row = self.row.planes_mut(places);
                let outcome = self.decompressor.planes(&self.jpeg, places.sampling, size, row)?;
                self.row.scatter(planes, places)?;
                outcome
            }
        })
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
        for Run { first, count, bytes } in band.runs(scan, present, ended) {
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
        band.jpeg(&mut self.jpeg, Size { height: rows, ..band.size() }, scan, first);
        self.draw(band, rows, target.below(band.head.sampling, top as usize))?;
        Ok(())
    }

    /// The start of a scan without restart markers: how far it goes is seen from where libjpeg, out of data, begins to fill with
    /// grey. One MCU row too few may be drawn, where the picture itself is that grey or the data happens to end with a row.
    fn prefix(&mut self, band: &Band<'_>, scan: &[u8], target: &mut Target<'_>) -> Result<Decoded, Error> {
        let partial = Decoded { rows: 0, partial: true, suspect: false };
        let mcu_rows = band.most_mcu_rows(scan.len());
        if mcu_rows == 0 {
            return Ok(partial);
        }
        let size = Size { width: band.head.size.width, height: band.rows(mcu_rows) };
        let width = size.width as usize;
        self.pixels.resize(width * size.height as usize, 0);
        band.jpeg(&mut self.jpeg, size, scan, 0);
        self.decompressor.rgb(&self.jpeg, (size, Shrink::Whole), &mut self.pixels, width)?;
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
            Target::Rgb(RgbMut { out, stride, shrink }) => {
                return Ok(self.decompressor.rgb(&self.jpeg, (size, shrink), out, stride)?);
            }
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
#[path = "decoder_tests.rs"]
mod tests;
