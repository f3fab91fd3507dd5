//! One band of a picture, or some MCUs of it, → one slice's scan.
//!
//! Nothing is copied on the way in, except luma of odd sizes, which libjpeg-turbo wants padded, and MCUs that are packed; on the
//! way out the scan is lent from a scratch buffer that stays in the cache, and moves once, into a slice of its own length.

use super::packed::{Places, Row};
use super::raw::{self, Compressor, Planes, plane_sizes};
use eyeline_proto::media::jpeg::tables;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::{Head, Tables};

/// One thread's means to encode a band. After the first bands of a size it allocates nothing.
pub struct BandEncoder {
    compressor: Compressor,
    jpeg: Vec<u8>,
    luma: Vec<u8>,
    row: Row,
}

impl BandEncoder {
    /// A new one.
    pub fn new() -> Result<Self, raw::Error> {
        let (jpeg, luma, row) = (Vec::new(), Vec::new(), Row::default());
        Ok(BandEncoder { compressor: Compressor::new()?, jpeg, luma, row })
    }

    /// Encodes the band that `head` names, or those of its MCUs that it names, out of a whole picture's tight `planes`: with our
    /// own tables, and with restart markers. Lends its scan, which is empty where no MCU is named.
    pub fn encode(&mut self, planes: &[u8], head: &Head<'_>) -> Result<&[u8], raw::Error> {
        let Tables::Own(quality) = head.tables else {
            return Err(raw::Error::Fatal("a camera's tables cannot be encoded with".into()));
        };
        if head.restart == 0 {
            return Err(raw::Error::Fatal("a scan without restart markers is not made here".into()));
        }
        if !head.size.is_possible() {
            return Err(raw::Error::Limits(head.size));
        }
        let sampling = head.sampling;
        let band = Size { width: head.size.width, height: u32::from(head.rows) };
        let mut planes = band_planes(planes, head)?;
        let size = match head.mcus {
            Some(mcus) if mcus.count() == 0 => return Ok(&[]),
            Some(mcus) => {
                let places = Places::all(sampling, band, mcus);
                planes = self.row.gather(planes, &places)?;
                places.row()
            }
            None => {
                fetch(&planes, sampling, band);
                let [padded, ..] = plane_sizes(sampling, band);
                if padded != band {
                    planes.planes[0] = pad(planes.planes[0], band, padded, &mut self.luma);
                    planes.strides[0] = padded.width as usize;
                }
                band
            }
        };
        let bound = Compressor::bound(size, sampling);
        if self.jpeg.len() < bound {
            self.jpeg.resize(bound, 0);
        }
        let len = self.compressor.compress(planes, sampling, size, quality, head.restart, &mut self.jpeg)?;
        Ok(&self.jpeg[tables::header_len(sampling)..len - 2])
    }
}

/// Reads the band from front to end, a byte of each cache line. Another thread has just written it, so it lies in that thread's
/// or in the shared cache; libjpeg-turbo takes it eight rows at a time, too many streams for the processor to fetch ahead of.
/// Read in order it is, and a fifth of the encoder's time is saved.
fn fetch(planes: &Planes<'_>, sampling: Sampling, band: Size) {
    const LINE: usize = 64;
    let mut any = 0;
    for ((plane, stride), size) in planes.planes.iter().zip(planes.strides).zip(plane_sizes(sampling, band)) {
        let len = (stride * size.height as usize).min(plane.len());
        any = plane[..len].iter().step_by(LINE).fold(any, |any, byte| any | byte);
    }
    std::hint::black_box(any);
}

/// The band's part of each plane.
fn band_planes<'a>(planes: &'a [u8], head: &Head<'_>) -> Result<Planes<'a>, raw::Error> {
    let room = raw::Error::Room { what: "picture", len: planes.len(), needed: head.sampling.bytes(head.size) };
    let (luma_len, width) = (head.size.width as usize * head.size.height as usize, head.size.width as usize);
    let (luma, colour) = planes.split_at_checked(luma_len).ok_or(room.clone())?;
    let luma = luma.get(usize::from(head.top) * width..).ok_or(room.clone())?;
    let Some(chroma) = head.sampling.chroma(head.size) else {
        return Ok(Planes { planes: [luma, &[], &[]], strides: [width, 0, 0] });
    };
    let stride = chroma.width as usize;
    let (cb, cr) = colour.split_at_checked(stride * chroma.height as usize).ok_or(room.clone())?;
    let top = head.sampling.chroma_row(usize::from(head.top));
    let rows = |plane: &'a [u8]| plane.get(top * stride..).ok_or(room.clone());
    Ok(Planes { planes: [luma, rows(cb)?, rows(cr)?], strides: [width, stride, stride] })
}

/// Luma of odd width or height, with its last column and row repeated up to whole chroma samples.
fn pad<'a>(luma: &[u8], band: Size, padded: Size, out: &'a mut Vec<u8>) -> &'a [u8] {
    out.clear();
    for row in luma.chunks_exact(band.width as usize).take(band.height as usize) {
        out.extend_from_slice(row);
        out.resize(out.len() + (padded.width - band.width) as usize, row[row.len() - 1]);
    }
    if padded.height > band.height {
        out.extend_from_within(out.len() - padded.width as usize..);
    }
    out
}
