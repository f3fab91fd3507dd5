//! Pictures for tests: smooth shading, soft texture and hard edges, as a lens gives them; and what tests do with them.

use super::band_encoder::BandEncoder;
use super::decoder::{Decoded, Decoder, RgbMut};
use super::packed;
use super::raw::{Compressor, Planes, PlanesMut, plane_sizes};
use super::settings::Settings;
use eyeline_proto::media::jpeg::tables;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire;
use eyeline_proto::wire::mcus::Selection;
use eyeline_proto::wire::slice::{Head, Tables};
use std::time::{Duration, Instant};

pub const SAMPLINGS: [Sampling; 5] = [Sampling::Grey, Sampling::Yuv420, Sampling::Yuv422, Sampling::Yuv444, Sampling::Yuv440];

pub const SETTINGS: Settings = Settings { quality: 80, position: None };

/// A small generator of numbers (xorshift64*): the same seed, the same picture.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}

/// One plane: value noise of three octaves on a slope, two discs with hard edges, ±3 of sensor noise.
fn plane(out: &mut Vec<u8>, size: Size, seed: u64, contrast: f32) {
    let lattice = |x: i32, y: i32, octave: u64| {
        let mut random = Random(seed ^ (x as u64) << 32 ^ (y as u64) << 8 ^ octave << 60 | 1);
        random.next();
        (random.next() >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let noise = |x: f32, y: f32, octave: u64| {
        let (x0, y0) = (x.floor(), y.floor());
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (smooth(x - x0), smooth(y - y0));
        let at = |dx: i32, dy: i32| lattice(x0 as i32 + dx, y0 as i32 + dy, octave);
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(mix(at(0, 0), at(1, 0), u), mix(at(0, 1), at(1, 1), u), v)
    };
    let mut sensor = Random(seed | 1);
    for y in 0..size.height {
        for x in 0..size.width {
            let (fx, fy) = (x as f32, y as f32);
            let mut value = 128.0 + contrast * (fx / size.width as f32 - 0.5) * 60.0;
            for (octave, (scale, height)) in [(90.0, 80.0), (23.0, 25.0), (6.0, 8.0)].into_iter().enumerate() {
                value += contrast * height * noise(fx / scale, fy / scale, octave as u64);
            }
            let disc = |cx: f32, cy: f32, r: f32| {
                let (dx, dy) = (fx - cx * size.width as f32, fy - cy * size.height as f32);
                dx * dx + dy * dy < (r * size.height as f32).powi(2)
            };
            value += if disc(0.3, 0.4, 0.2) { 50.0 * contrast } else { 0.0 };
            value -= if disc(0.7, 0.6, 0.15) { 60.0 * contrast } else { 0.0 };
            out.push((value + sensor.below(7) as f32 - 3.0).clamp(0.0, 255.0) as u8);
        }
    }
}

pub fn planes(size: Size, sampling: Sampling, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    plane(&mut out, size, seed, 1.0);
    if let Some(chroma) = sampling.chroma(size) {
        plane(&mut out, chroma, seed + 1, 0.4);
        plane(&mut out, chroma, seed + 2, -0.4);
    }
    out
}

pub fn picture(size: Size, body: Body) -> Picture {
    Picture::new(Instant::now(), size, body)
}

/// The head of a slice of ours.
pub fn head(size: Size, sampling: Sampling, quality: u8, top: u32, rows: u32) -> Head<'static> {
    Head {
        sampling,
        tables: Tables::Own(quality),
        size,
        top: top as u16,
        rows: rows as u16,
        restart: sampling.mcus(size).width as u16,
        capture: MediaTime::from_nanos(7),
        queued: Duration::ZERO,
        encoded: Duration::ZERO,
        shared: 1,
        owed: 128,
        position: None,
        mcus: None,
    }
}

/// A slice of ours, as if it were all of picture 0.
pub fn slice(planes: &[u8], head: &Head<'_>) -> Slice {
    Slice::new(0, 0, 1, head, BandEncoder::new().unwrap().encode(planes, head).unwrap())
}

/// One of these MCUs of the band.
pub fn packed(planes: &[u8], head: &Head<'_>, chosen: &[usize]) -> Slice {
    let band = head.sampling.mcus(Size { height: head.rows.into(), ..head.size });
    let selection = Selection::new((band.width * band.height) as usize, chosen.iter().copied()).unwrap();
    slice(planes, &Head { mcus: Some(selection.mcus()), restart: packed::RESTART, ..*head })
}

/// What comes of a slice's head and scan, or of any bytes.
pub fn read(body: &[u8]) -> Result<Slice, wire::Error> {
    Slice::read(0, 0, 1, [&[0; LENGTH_PREFIX], body].concat().into())
}

/// The slice whose scan is so much of its own.
pub fn cut(slice: &Slice, scan: usize) -> Slice {
    Slice::new(slice.picture, slice.index, slice.count, &slice.head(), &slice.scan()[..scan])
}

/// The parts of tight planes from `top` on.
pub fn planes_from(planes: &mut [u8], size: Size, sampling: Sampling, top: u32) -> PlanesMut<'_> {
    let width = size.width as usize;
    let (luma, colour) = planes.split_at_mut(width * size.height as usize);
    let (cb, cr) = colour.split_at_mut(colour.len() / 2);
    let stride = sampling.chroma(size).map_or(0, |chroma| chroma.width as usize);
    let skip = sampling.chroma_row(top as usize);
    let planes = [&mut luma[top as usize * width..], &mut cb[skip * stride..], &mut cr[skip * stride..]];
    PlanesMut { planes, strides: [width, stride, stride] }
}

/// Peak signal-to-noise ratio in dB.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / sum.max(1e-9)).log10()
}

/// A camera's 4:2:0 slice of a whole picture with `restart` MCUs between markers (0 for none): tables travel.
pub fn foreign_slice(planes: &[u8], size: Size, restart: u16) -> Slice {
    let ours = slice(planes, &head(size, Sampling::Yuv420, 80, 0, size.height));
    let head = ours.head();
    let mut segments = Vec::new();
    tables::header(&mut segments, 80, head.sampling, size, restart);
    let segments = segments.split_off(tables::SEGMENTS_AT);
    let scan = if restart == 0 { without_restarts(planes, size) } else { ours.scan().to_vec() };
    Slice::new(0, 0, 1, &Head { tables: Tables::Foreign(&segments), restart, ..head }, &scan)
}

/// The scan of a 4:2:0 JPEG of quality 80 without restart markers, as many cameras make them.
pub fn without_restarts(planes: &[u8], size: Size) -> Vec<u8> {
    let (width, area) = (size.width as usize, (size.width * size.height) as usize);
    let yuv = turbojpeg::YuvPlanesImage {
        y_plane: &planes[..area],
        u_plane: &planes[area..area * 5 / 4],
        v_plane: &planes[area * 5 / 4..area * 3 / 2],
        y_stride: width,
        u_stride: width / 2,
        v_stride: width / 2,
        width,
        height: size.height as usize,
        subsamp: turbojpeg::Subsamp::Sub2x2,
    };
    let jpeg = turbojpeg::compress_yuv_planes(&yuv, 80).unwrap();
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, tables::SOS]).unwrap() + 14;
    jpeg[scan..jpeg.len() - 2].to_vec()
}

/// A camera's JPEG of tight planes, with `restart` MCUs between markers.
pub fn camera_jpeg(planes: &[u8], size: Size, sampling: Sampling, quality: u8, restart: u16) -> Vec<u8> {
    let [luma, colour, _] = plane_sizes(sampling, size);
    let plane = |size: Size, padded: Size, samples: &[u8]| -> Vec<u8> {
        let row = |y: u32| &samples[(y.min(size.height - 1) * size.width) as usize..][..size.width as usize];
        let padded_row = |y| row(y).iter().copied().chain(std::iter::repeat(row(y)[size.width as usize - 1]));
        (0..padded.height).flat_map(|y| padded_row(y).take(padded.width as usize)).collect()
    };
    let area = (size.width * size.height) as usize;
    let colours = (planes.len() - area) / 2;
    let y = plane(size, luma, &planes[..area]);
    let (cb, cr) = planes[area..].split_at(colours);
    let strides = [luma, colour, colour].map(|plane| plane.width as usize);
    let mut jpeg = vec![0; Compressor::bound(size, sampling)];
    let planes = Planes { planes: [&y, cb, cr], strides };
    let len = Compressor::new().unwrap().compress(planes, sampling, size, quality, restart, &mut jpeg).unwrap();
    jpeg.truncate(len);
    jpeg
}

/// Draws a whole picture's only slice.
pub fn drawn(slice: &Slice, size: Size) -> Vec<u32> {
    let mut out = vec![0; (size.width * size.height) as usize];
    let decoded = Decoder::new().unwrap().decode_rgb(slice, RgbMut::whole(&mut out, size.width as usize)).unwrap();
    assert_eq!(decoded, Decoded { rows: size.height, partial: false, suspect: false });
    out
}
