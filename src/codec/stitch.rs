//! Slices of a picture → one ordinary JPEG: for `*.mjpeg`, recordings and stills.
//!
//! The scans are joined with the restart markers they were cut at, counted through the picture; nothing is decoded. A picture
//! that was passed through comes out with the camera's tables and scan data byte for byte. [`Stitcher`] fills bands that are
//! missing with what was there in the picture before, or with grey. Of a picture that is only what changed, and comes whole
//! behind that, it is what comes whole; the rest is left aside.

use super::band_encoder::BandEncoder;
use super::decoder::Decoder;
use super::passthrough::renumber;
use super::raw::{self, PlanesMut};
use super::scan;
use eyeline_proto::media::jpeg::segments::{self, Layout, Refusal, parse};
use eyeline_proto::media::jpeg::tables::{self, EOI, RST0, SOI};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::{Head, Tables};

/// Why slices did not make a picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A camera's tables cannot be.
    #[error("a slice's tables are wrong ({0}); drop the picture")]
    Tables(#[from] Refusal),
    /// There is no slice at all.
    #[error("no slice of the picture came: repeat the one before")]
    Empty,
    /// Bands are missing or overlap.
    #[error("the picture's slices do not cover it from row {0} on: fill the band or drop the picture")]
    Gap(u32),
    /// The slices are of different pictures.
    #[error("the slices are not of one picture: drop it")]
    Mixed,
    /// A slice has only some of its band.
    #[error("the slice at row {0} has only some of the picture there: ask for whole pictures")]
    Packed(u16),
    /// Restart markers are not where they should be.
    #[error("the slice at row {0} is damaged: leave it out")]
    Damaged(u16),
    /// A band could not be made anew.
    #[error("a missing band could not be filled: {0}")]
    Fill(#[from] raw::Error),
}

/// A slice's head and scan.
type Part<'a> = (Head<'a>, &'a [u8]);

/// Joins the slices of one picture, all of them, in any order.
pub fn jpeg(slices: &[&Slice]) -> Result<Vec<u8>, Error> {
    join(&parts(slices)?)
}

/// The slices from the top, of one picture as far as their heads say.
fn parts<'a>(slices: &[&'a Slice]) -> Result<Vec<Part<'a>>, Error> {
    let mut parts: Vec<Part<'a>> = slices.iter().map(|slice| (slice.head(), slice.scan())).collect();
    parts.sort_by_key(|(head, _)| head.top);
    let (first, _) = *parts.first().ok_or(Error::Empty)?;
    if let Some((packed, _)) = parts.iter().find(|(head, _)| head.mcus.is_some()) {
        return Err(Error::Packed(packed.top));
    }
    if !parts.iter().all(|(head, _)| alike(head, &first)) {
        return Err(Error::Mixed);
    }
    if let Tables::Foreign(tables) = first.tables {
        let Layout { sampling, size, restart, .. } = parse(tables)?;
        if (sampling, size, restart) != (first.sampling, first.size, first.restart) {
            return Err(Error::Mixed);
        }
    }
    Ok(parts)
}

/// Whether two slices could be of one JPEG.
fn alike(a: &Head<'_>, b: &Head<'_>) -> bool {
    (a.size, a.sampling, a.tables, a.restart) == (b.size, b.sampling, b.tables, b.restart)
}

/// MCUs above row `row`, which is an MCU's edge or the picture's.
fn mcus_above(head: &Head<'_>, row: u32) -> u32 {
    let mcus = head.sampling.mcus(Size { width: head.size.width, height: row });
    mcus.width * mcus.height
}

/// Restart intervals of the slice.
fn intervals(head: &Head<'_>) -> usize {
    let (top, end) = edges(head);
    let mcus = mcus_above(head, end) - mcus_above(head, top);
    if head.restart == 0 { 1 } else { mcus.div_ceil(u32::from(head.restart)) as usize }
}

fn join(parts: &[Part<'_>]) -> Result<Vec<u8>, Error> {
    let (first, _) = parts.first().ok_or(Error::Empty)?;
    let mut out = Vec::with_capacity(1024 + parts.iter().map(|(_, scan)| scan.len() + 2).sum::<usize>());
    match first.tables {
        Tables::Own(quality) => tables::header(&mut out, quality, first.sampling, first.size, first.restart),
        Tables::Foreign(tables) => {
            out.extend_from_slice(&[0xFF, SOI]);
            out.extend_from_slice(tables);
        }
    }
    let mut next = 0;
    for (head, scan) in parts {
        let (top, end) = edges(head);
        let last = end == head.size.height;
        if top != next {
            return Err(Error::Gap(next));
        }
        let (above, below) = (mcus_above(head, top), mcus_above(head, end));
        let restart = u32::from(head.restart);
        let edge = |mcus: u32| restart != 0 && mcus.is_multiple_of(restart);
        if (top != 0 && !edge(above)) || (!last && (!edge(below) || end % head.sampling.mcu().height != 0)) {
            return Err(Error::Damaged(head.top));
        }
        let intervals = intervals(head);
        let scan = scan::whole(scan, intervals).map(|len| &scan[..len]).ok_or(Error::Damaged(head.top))?;
        let marker_behind = scan::markers(scan).count() == intervals;
        if marker_behind && !last {
            return Err(Error::Damaged(head.top));
        }
        let before = above.checked_div(restart).unwrap_or(0) as usize;
        if before > 0 {
            out.extend_from_slice(&[0xFF, RST0 + ((before - 1) % 8) as u8]);
        }
        let begin = out.len();
        out.extend_from_slice(scan);
        renumber(&mut out[begin..], 0, before);
        next = end;
    }
    if next != first.size.height {
        return Err(Error::Gap(next));
    }
    out.extend_from_slice(&[0xFF, EOI]);
    Ok(out)
}

/// Joins picture after picture, and fills the bands that are missing: with the same band of the picture before, where tables and
/// edges are the same; else, for our own tables, with what the picture before showed there, encoded afresh; else with grey.
pub struct Stitcher {
    /// The slices of the picture before, filled ones too, from the top.
    last: Vec<Slice>,
    decoder: Decoder,
    encoder: BandEncoder,
}

impl Stitcher {
    /// With no picture before.
    pub fn new() -> Result<Self, raw::Error> {
        Ok(Stitcher { last: Vec::new(), decoder: Decoder::new()?, encoder: BandEncoder::new()? })
    }

    /// Joins the slices of the next picture, as many as there are, in any order. They are all there
    /// (the depacketizer knows); one that lacks restart intervals counts as missing.
    pub fn push(&mut self, slices: &[&Slice]) -> Result<Vec<u8>, Error> {
        // Behind what is owed, where anything is, there is all of it.
        let of_all = |slice: &&&Slice| {
            let owed = slice.head().owed;
            slice.index >= owed || owed >= slice.count
        };
        // What is packed is refused by its own name.
        let whole = |slice: &&Slice| {
            let head = slice.head();
            head.mcus.is_some() || scan::whole(slice.scan(), intervals(&head)).is_some()
        };
        let slices: Vec<&Slice> = slices.iter().filter(of_all).copied().filter(whole).collect();
        let parts = parts(&slices)?;
        let mut filled: Vec<Slice> = Vec::new();
        let mut next = 0;
        let (head, height) = (parts[0].0, parts[0].0.size.height);
        for (top, end) in parts.iter().map(|(head, _)| edges(head)).chain([(height, height)]) {
            if top > next {
                self.fill((slices[0], &head), next, top, &mut filled)?;
            }
            next = next.max(end);
        }
        let slices: Vec<&Slice> = slices.into_iter().chain(&filled).collect();
        let joined = jpeg(&slices)?;
        self.last = slices.into_iter().cloned().collect();
        self.last.sort_by_key(|slice| slice.head().top);
        Ok(joined)
    }

    /// Slices for the rows `top..end` of a picture of which there is one `like` that, with this head.
    fn fill(&mut self, (like, head): (&Slice, &Head<'_>), top: u32, end: u32, filled: &mut Vec<Slice>) -> Result<(), Error> {
        let last = parts(&self.last.iter().collect::<Vec<_>>()).unwrap_or_default();
        let inside = last.iter().zip(&self.last).filter(|((old, _), _)| alike(old, head));
        let inside: Vec<_> = inside.filter(|((old, _), _)| (edges(old).0 >= top) && (edges(old).1 <= end)).collect();
        let covered: u32 = inside.iter().map(|((old, _), _)| u32::from(old.rows)).sum();
        if covered == end - top {
            filled.extend(inside.into_iter().map(|(_, slice)| slice.clone()));
            return Ok(());
        }
        let band = Head { top: top as u16, rows: (end - top) as u16, ..*head };
        let same_kind = last.first().is_some_and(|(old, _)| (old.size, old.sampling) == (head.size, head.sampling));
        let slice = |scan: &[u8]| Slice::new(like.picture, like.index, like.count, &band, scan);
        filled.push(match head.tables {
            Tables::Own(_) if same_kind => {
                let planes = planes(&mut self.decoder, &self.last, head.size, head.sampling);
                slice(self.encoder.encode(&planes, &band)?)
            }
            _ => slice(&grey(&band).ok_or(Error::Gap(top))?),
        });
        Ok(())
    }
}

fn edges(head: &Head<'_>) -> (u32, u32) {
    (u32::from(head.top), u32::from(head.top) + u32::from(head.rows))
}

/// The scan of a flat grey slice.
fn grey(head: &Head<'_>) -> Option<Vec<u8>> {
    let own = |quality| {
        let mut header = Vec::new();
        tables::header(&mut header, quality, head.sampling, head.size, head.restart);
        header.split_off(tables::SEGMENTS_AT)
    };
    let segments = match head.tables {
        Tables::Own(quality) => own(quality),
        Tables::Foreign(tables) => tables.to_vec(),
    };
    let layout = parse(&segments).ok()?;
    let mcus = head.sampling.mcus(Size { width: head.size.width, height: u32::from(head.rows) });
    segments::grey_scan(&segments, &layout, (mcus.width * mcus.height) as usize)
}

/// What a picture's slices show, tight planes; grey where one does not decode.
fn planes(decoder: &mut Decoder, slices: &[Slice], size: Size, sampling: Sampling) -> Vec<u8> {
    let mut planes = vec![128; sampling.bytes(size)];
    let width = size.width as usize;
    let stride = sampling.chroma(size).map_or(0, |chroma| chroma.width as usize);
    for slice in slices {
        let top = usize::from(slice.head().top);
        let chroma_top = sampling.chroma_row(top);
        let (luma, colour) = planes.split_at_mut(width * size.height as usize);
        let (cb, cr) = colour.split_at_mut(colour.len() / 2);
        let planes = [&mut luma[top * width..], &mut cb[chroma_top * stride..], &mut cr[chroma_top * stride..]];
        if let Err(error) = decoder.decode_planes(slice, PlanesMut { planes, strides: [width, stride, stride] }) {
            tracing::debug!("a slice of the last picture does not decode: {error}");
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::super::bands::Bands;
    use super::super::raw::{Decompressor, Outcome};
    use super::super::testing::{self, SAMPLINGS, psnr};
    use super::*;

    const SIZE: Size = Size { width: 100, height: 90 };

    /// A picture's slices.
    fn slices(seed: u64, sampling: Sampling, size: Size, quality: u8, count: usize) -> Vec<Slice> {
        let planes = testing::planes(size, sampling, seed);
        let bands = Bands::new(size, sampling, 0, count);
        let band = |index| {
            let (top, rows) = bands.band(index);
            testing::slice(&planes, &testing::head(size, sampling, quality, top, rows))
        };
        (0..bands.count()).map(band).collect()
    }

    fn refs(slices: &[Slice]) -> Vec<&Slice> {
        slices.iter().collect()
    }

    /// The whole JPEG's planes, decoded by libjpeg-turbo in one go.
    fn decoded(jpeg: &[u8], sampling: Sampling) -> Vec<u8> {
        let mut planes = vec![0; sampling.bytes(SIZE)];
        let out = testing::planes_from(&mut planes, SIZE, sampling, 0);
        assert_eq!(Decompressor::new().unwrap().planes(jpeg, sampling, SIZE, out), Ok(Outcome::Clean));
        planes
    }

    #[test]
    fn joined_slices_decode_to_what_each_band_decodes_to() {
        for sampling in SAMPLINGS {
            let all = slices(1, sampling, SIZE, 80, 4);
            let mut in_any_order = refs(&all);
            in_any_order.reverse();
            let joined = jpeg(&in_any_order).unwrap();
            let bands = planes(&mut Decoder::new().unwrap(), &all, SIZE, sampling);
            assert_eq!(decoded(&joined, sampling), bands, "{sampling:?}");
        }
    }

    #[test]
    fn joined_slices_are_what_one_band_would_have_been() {
        for sampling in SAMPLINGS {
            let many = slices(1, sampling, Size { width: 64, height: 300 }, 80, 9);
            let one = slices(1, sampling, Size { width: 64, height: 300 }, 80, 1);
            assert!(many.len() == 9 && one.len() == 1);
            assert_eq!(jpeg(&refs(&many)).unwrap(), jpeg(&refs(&one)).unwrap(), "{sampling:?}");
        }
    }

    #[test]
    fn incomplete_or_mixed_pictures_are_refused() {
        let all = slices(1, Sampling::Yuv420, SIZE, 80, 4);
        let others = slices(1, Sampling::Yuv420, SIZE, 81, 4);
        assert!(matches!(jpeg(&refs(&all[1..])), Err(Error::Gap(0))));
        assert!(matches!(jpeg(&[&all[0], &all[2], &all[3]]), Err(Error::Gap(16))));
        assert!(matches!(jpeg(&refs(&all[..3])), Err(Error::Gap(64))));
        assert!(matches!(jpeg(&[&all[0], &others[1], &all[2], &all[3]]), Err(Error::Mixed)));
        assert!(matches!(jpeg(&[]), Err(Error::Empty)));
        let cut = testing::cut(&all[3], 36);
        assert!(matches!(jpeg(&[&all[0], &all[1], &all[2], &cut]), Err(Error::Damaged(64))));
        let some = testing::packed(&testing::planes(SIZE, Sampling::Yuv420, 1), &all[1].head(), &[0, 3]);
        let refused = [jpeg(&[&all[0], &some, &all[2], &all[3]]), Stitcher::new().unwrap().push(&[&all[0], &some])];
        assert!(refused.iter().all(|refused| matches!(refused, Err(Error::Packed(16)))), "{refused:?}");
    }

    #[test]
    fn a_missing_band_comes_from_the_picture_before() {
        let sampling = Sampling::Yuv420;
        let (before, after) = (slices(1, sampling, SIZE, 80, 4), slices(50, sampling, SIZE, 80, 4));
        let mut stitcher = Stitcher::new().unwrap();
        assert_eq!(stitcher.push(&refs(&before)).unwrap(), jpeg(&refs(&before)).unwrap());
        let cut = testing::cut(&after[1], after[1].scan().len() / 3);
        let gaps = stitcher.push(&[&after[3], &cut, &after[0]]).unwrap();
        assert!(gaps == jpeg(&[&after[0], &before[1], &before[2], &after[3]]).unwrap());
    }

    #[test]
    fn a_missing_band_is_encoded_afresh_when_quality_or_edges_have_changed() {
        let sampling = Sampling::Yuv420;
        let before = slices(1, sampling, SIZE, 90, 4);
        let after = slices(1, sampling, SIZE, 85, 3);
        let mut stitcher = Stitcher::new().unwrap();
        stitcher.push(&refs(&before)).unwrap();
        let joined = stitcher.push(&[&after[0], &after[2]]).unwrap();
        let quality = psnr(&decoded(&joined, sampling), &testing::planes(SIZE, sampling, 1));
        assert!(quality > 36.0, "{quality}");
    }

    #[test]
    fn with_no_picture_before_a_missing_band_is_grey() {
        let all = slices(1, Sampling::Yuv420, SIZE, 80, 4);
        let joined = Stitcher::new().unwrap().push(&[&all[0], &all[2], &all[3]]).unwrap();
        let planes = decoded(&joined, Sampling::Yuv420);
        let (top, rows) = (16, 16);
        assert!(planes[top * 100..(top + rows) * 100].iter().all(|sample| *sample == 128));
        assert!(planes[..top * 100].iter().any(|sample| *sample != 128));
    }
}
