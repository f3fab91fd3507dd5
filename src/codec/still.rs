//! A source's picture → one ordinary JPEG, upright and with square pixels: a camera's own byte for byte where it is that already,
//! else encoded with a restart marker a row of blocks, so that it can be sent again in slices.

use super::band_encoder::BandEncoder;
use super::raw::Decompressor;
use super::settings::Error;
use super::shrink::Shrink;
use super::{raw, scale};
use eyeline_proto::media::jpeg::tables;
use eyeline_proto::picture::{Body, BufferPool, Picture, Size, View};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::{Head, Tables};
use std::time::Duration;

/// One thread's means to make them.
pub struct Stills {
    encoder: BandEncoder,
    buffers: BufferPool,
}

impl Stills {
    pub fn new() -> Result<Self, raw::Error> {
        Ok(Stills { encoder: BandEncoder::new()?, buffers: BufferPool::new() })
    }

    /// The JPEG, and its size. `quality`, from 1 to 100, is that of what is encoded.
    pub fn jpeg(&mut self, picture: Picture, quality: u8) -> Result<(Size, Vec<u8>), Error> {
        if let (View::PLAIN, Body::Jpeg(jpeg)) = (picture.view, &picture.body) {
            return Ok((picture.size, jpeg.to_vec()));
        }
        let seen = picture.seen();
        let picture = scale::to_size(picture, seen, &self.buffers)?;
        let Body::Planes(sampling, planes) = &picture.body else { return Err(Error::Raw(raw::Error::Limits(seen))) };
        let (sampling, restart) = (*sampling, sampling.mcus(seen).width as u16);
        let head = Head {
            sampling,
            tables: Tables::Own(quality),
            size: seen,
            top: 0,
            rows: seen.height as u16,
            restart,
            capture: MediaTime::ZERO,
            position: None,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: 1,
            owed: 1,
            mcus: None,
        };
        let scan = self.encoder.encode(planes, &head)?;
        let mut jpeg = Vec::with_capacity(tables::header_len(sampling) + scan.len() + 2);
        tables::header(&mut jpeg, quality, sampling, seen, restart);
        jpeg.extend_from_slice(scan);
        jpeg.extend_from_slice(&[0xFF, tables::EOI]);
        Ok((seen, jpeg))
    }
}

/// A JPEG of this size as a PNG.
pub fn png(size: Size, jpeg: &[u8]) -> Result<Vec<u8>, raw::Error> {
    let mut pixels = vec![0; size.width as usize * size.height as usize];
    Decompressor::new()?.rgb(jpeg, (size, Shrink::Whole), &mut pixels, size.width as usize)?;
    let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| [pixel >> 16, pixel >> 8, *pixel].map(|part| part as u8)).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| raw::Error::Fatal(error.to_string()))?;
    writer.write_image_data(&bytes).map_err(|error| raw::Error::Fatal(error.to_string()))?;
    writer.finish().map_err(|error| raw::Error::Fatal(error.to_string()))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use eyeline_proto::picture::Sampling;

    const SIZE: Size = Size { width: 48, height: 32 };

    #[test]
    fn a_png_shows_what_the_jpeg_does() {
        // Red, by full-range BT.601.
        let planes = [vec![76; 48 * 32], vec![85; 24 * 16], vec![255; 24 * 16]].concat();
        let picture = testing::picture(SIZE, Body::Planes(Sampling::Yuv420, planes.into()));
        let (size, jpeg) = Stills::new().unwrap().jpeg(picture, 95).unwrap();
        let png = png(size, &jpeg).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (48, 32));
        assert!(pixels.chunks(3).all(|pixel| pixel[0] > 250 && pixel[1] < 5 && pixel[2] < 5), "{:?}", &pixels[..3]);
    }
}
