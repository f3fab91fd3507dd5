//! What a picture costs to cut, encode and decode: `cargo bench --bench codec`.
//!
//! The picture is soft texture with sensor noise, 4:2:0 at quality 80, near 0.9 bits a pixel: a middling camera's. Times are wall
//! clock; another load on the machine shows.

#![expect(clippy::disallowed_methods, reason = "a picture says when it was captured")]

#[path = "support/scenes.rs"]
#[allow(dead_code, reason = "tests make use of more of it")]
mod scenes;

use divan::{Bencher, black_box};
use eyeline::codec::coefficients::{self, Coefficients};
use eyeline::codec::decoder::{Decoder, RgbMut};
use eyeline::codec::detector::Detector;
use eyeline::codec::encoder::{At, Coded, EncoderThreads};
use eyeline::codec::raw::PlanesMut;
use eyeline::codec::replenisher::Replenisher;
use eyeline::codec::settings::Settings;
use eyeline::codec::{passthrough, stitch};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, Size};
use eyeline_proto::time::MediaTime;
use scenes::{Moment, Noise, Room};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const SETTINGS: Settings = Settings { quality: 80, position: None };
const HEIGHTS: [u32; 2] = [720, 1080];

fn main() {
    divan::main();
}

fn size(height: u32) -> Size {
    Size { width: height * 16 / 9, height }
}

fn planes(size: Size) -> Vec<u8> {
    let mut noise = 1u32;
    let mut plane = |width: u32, height: u32, contrast: f32, out: &mut Vec<u8>| {
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (x as f32, y as f32);
                let wave = (x / 37.0 + (y / 61.0).sin()).sin() + 0.5 * (y / 11.0 + x / 19.0).sin() + 0.2 * (x / 3.0).sin();
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                out.push((128.0 + contrast * wave + (noise >> 24) as f32 / 28.0) as u8);
            }
        }
    };
    let mut out = Vec::with_capacity(Sampling::Yuv420.bytes(size));
    plane(size.width, size.height, 40.0, &mut out);
    plane(size.width / 2, size.height / 2, 15.0, &mut out);
    plane(size.width / 2, size.height / 2, -15.0, &mut out);
    out
}

fn picture(size: Size, planes: &[u8]) -> Picture {
    Picture::new(Instant::now(), size, Body::Planes(Sampling::Yuv420, planes.to_vec().into()))
}

/// The slices of one picture, once the estimate has settled.
fn slices(size: Size) -> Vec<Slice> {
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(4, move |slice| sender.send(slice).expect("received below")).expect("starts");
    let planes = planes(size);
    for number in 0..3 {
        pool.encode(number, picture(size, &planes), MediaTime::ZERO, SETTINGS, Coded::All).expect("encodes");
    }
    let mut slices: Vec<_> = receiver.try_iter().filter(|slice| slice.picture == 2).collect();
    slices.sort_by_key(|slice| slice.index);
    slices
}

#[divan::bench(args = HEIGHTS, consts = [1, 2, 3, 4], sample_count = 40)]
fn encode<const WORKERS: usize>(bencher: Bencher, height: u32) {
    let (size, planes) = (size(height), planes(size(height)));
    let pool = EncoderThreads::new(WORKERS, |slice| drop(black_box(slice))).expect("starts");
    bencher
        .with_inputs(|| picture(size, &planes))
        .bench_local_values(|picture| pool.encode(0, picture, MediaTime::ZERO, SETTINGS, Coded::All).expect("encodes"));
}

#[divan::bench(args = HEIGHTS, consts = [1, 4], sample_count = 40)]
fn decode_rgb<const WORKERS: usize>(bencher: Bencher, height: u32) {
    let size = size(height);
    let (width, slices) = (size.width as usize, slices(size));
    let mut canvas = vec![0u32; width * height as usize];
    let mut decoders: Vec<_> = (0..WORKERS).map(|_| Decoder::new().expect("starts")).collect();
    bencher.bench_local(|| {
        // Each thread gets one run of neighbouring slices and the rows they cover.
        let mut rest = &mut canvas[..];
        std::thread::scope(|scope| {
            for (decoder, slices) in decoders.iter_mut().zip(slices.chunks(slices.len().div_ceil(WORKERS))) {
                let rows: usize = slices.iter().map(|slice| usize::from(slice.head().rows)).sum();
                let mut band;
                (band, rest) = std::mem::take(&mut rest).split_at_mut(rows * width);
                let mut work = move || {
                    for slice in slices {
                        let decoded = decoder.decode_rgb(slice, RgbMut::whole(band, width)).expect("decodes");
                        band = &mut std::mem::take(&mut band)[decoded.rows as usize * width..];
                    }
                };
                if WORKERS == 1 { work() } else { drop(scope.spawn(work)) }
            }
        });
    });
}

#[divan::bench(args = HEIGHTS, sample_count = 40)]
fn decode_planes(bencher: Bencher, height: u32) {
    let size = size(height);
    let (width, slices) = (size.width as usize, slices(size));
    let mut planes = vec![0; Sampling::Yuv420.bytes(size)];
    let mut decoder = Decoder::new().expect("starts");
    bencher.bench_local(|| {
        for slice in &slices {
            let top = usize::from(slice.head().top);
            let (luma, colour) = planes.split_at_mut(width * height as usize);
            let (cb, cr) = colour.split_at_mut(colour.len() / 2);
            let planes = [&mut luma[top * width..], &mut cb[top / 2 * width / 2..], &mut cr[top / 2 * width / 2..]];
            decoder.decode_planes(slice, PlanesMut { planes, strides: [width, width / 2, width / 2] }).expect("decodes");
        }
    });
}

#[divan::bench(args = HEIGHTS, sample_count = 40)]
fn stitch_jpeg(bencher: Bencher, height: u32) {
    let slices = slices(size(height));
    let slices: Vec<&Slice> = slices.iter().collect();
    bencher.bench_local(|| stitch::jpeg(&slices).expect("joins"));
}

#[divan::bench(args = HEIGHTS, sample_count = 40)]
fn pass_through(bencher: Bencher, height: u32) {
    let slices = slices(size(height));
    let slices: Vec<&Slice> = slices.iter().collect();
    let jpeg = stitch::jpeg(&slices).expect("joins");
    println!("{height}: {} bytes, {} slices", jpeg.len(), slices.len());
    bencher.bench_local(|| passthrough::split(&jpeg, 0, MediaTime::ZERO, SETTINGS).expect("fits"));
}

/// The same head as a camera's JPEGs: what changed is found and cut out of them, or they are decoded, looked at and encoded.
fn webcam(size: Size) -> Vec<Vec<u8>> {
    let room = Room::new(size.width as usize, size.height as usize, Some((2, 2)), 1);
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(1, move |slice| sender.send(slice).expect("received below")).expect("starts");
    let jpeg = |number: u64| {
        let head = Some((0.5 + 0.01 * (number as f32).sin(), 0.5));
        let planes = room.picture(number, &Moment { head, noise: Noise { sigma: 2.5, smooth: false }, ..Moment::default() });
        let settings = Settings { quality: 85, position: None };
        pool.encode(number, picture(size, &planes), MediaTime::ZERO, settings, Coded::All).expect("encodes");
        let slices: Vec<Slice> = receiver.try_iter().collect();
        stitch::jpeg(&slices.iter().collect::<Vec<_>>()).expect("joins")
    };
    (0..6).map(jpeg).collect()
}

#[divan::bench(args = HEIGHTS, sample_count = 100)]
fn coefficients(bencher: Bencher, height: u32) {
    let (size, pool) = (size(height), EncoderThreads::new(1, |slice| drop(black_box(slice))).expect("starts"));
    let (jpegs, start) = (webcam(size), Instant::now());
    let (mut picture, mut replenisher) = (Coefficients::default(), coefficients::Replenisher::default());
    let (mut number, mut bytes, mut whole) = (0, 0, 0);
    bencher.bench_local(|| {
        let jpeg = &jpegs[number as usize % jpegs.len()];
        picture.read(jpeg).expect("it is ours");
        let captured = start + Duration::from_millis(33) * number;
        let changed = replenisher.look(&picture, (Sampling::Yuv420, size), &Owed::Nothing, captured);
        let coded = changed.map(|(changed, owed)| [changed, owed]);
        let encoded = pool.cut(number.into(), (&picture, captured), MediaTime::ZERO, SETTINGS, coded).expect("cuts");
        (number, bytes, whole) = (number + 1, bytes + encoded.bytes, whole + jpeg.len());
    });
    println!("{height}: {} of {} bytes a picture", bytes / number as usize, whole / number as usize);
}

/// Its parts.
#[divan::bench(args = HEIGHTS, sample_count = 100)]
fn coefficients_read(bencher: Bencher, height: u32) {
    let (jpegs, mut picture) = (webcam(size(height)), Coefficients::default());
    bencher.bench_local(|| picture.read(&jpegs[0]).expect("it is ours"));
}

#[divan::bench(args = HEIGHTS, sample_count = 100)]
fn decoded_and_encoded(bencher: Bencher, height: u32) {
    let (size, pool) = (size(height), EncoderThreads::new(1, |slice| drop(black_box(slice))).expect("starts"));
    let (jpegs, start) = (webcam(size), Instant::now());
    let (buffers, mut replenisher) = (BufferPool::new(), Replenisher::default());
    let (mut number, mut bytes) = (0, 0);
    bencher.bench_local(|| {
        let (size, sampling, mut planes, _) =
            passthrough::decode(&jpegs[number as usize % jpegs.len()], &buffers).expect("decodes");
        let captured = start + Duration::from_millis(33) * number;
        let due = replenisher.look(&mut planes, (sampling, size), &Owed::Nothing, captured, |_| 0.0);
        let coded = due.map_or(Coded::All, |due| {
            let at = |mcus| At { mcus, quality: 80 };
            Coded::Some { changed: &due.changed, refined: at(&due.refined), owed: at(&due.owed), whole: None }
        });
        let picture = Picture::new(captured, size, Body::Planes(sampling, planes));
        let encoded = pool.encode(number.into(), picture, MediaTime::ZERO, SETTINGS, coded).expect("encodes");
        (number, bytes) = (number + 1, bytes + encoded.bytes);
    });
    println!("{height}: {} bytes a picture", bytes / number as usize);
}

/// A head that moves in a noisy room, in as many buffers as a camera goes round in; what stands still was sent before these.
#[divan::bench(args = HEIGHTS, sample_count = 100)]
fn detect(bencher: Bencher, height: u32) {
    let size = size(height);
    let room = Room::new(size.width as usize, height as usize, Some((2, 2)), 1);
    let picture = |number: u64| {
        let head = Some((0.5 + 0.01 * (number as f32).sin(), 0.5));
        room.picture(number, &Moment { head, noise: Noise { sigma: 2.5, smooth: false }, ..Moment::default() })
    };
    let pictures: Vec<Vec<u8>> = (0..5).map(picture).collect();
    let (mut detector, mut changed) = (Detector::new(), McuSet::new(size, Sampling::Yuv420));
    let mut detect = |planes: &[u8]| {
        detector.look(planes, &mut changed);
        detector.sent(planes, &changed);
        changed.len() as f32 / changed.of() as f32
    };
    detect(&picture(5));
    let (mut looked, mut share) = (0, 0.0);
    bencher.bench_local(|| {
        share += detect(&pictures[looked % pictures.len()]);
        looked += 1;
    });
    println!("{height}: {:.1} % of the MCUs changed", 100.0 * share / looked as f32);
}

/// A still, noisy room: what says what of it is coded, `FROM` so many pictures on. Then all of it is being refined, or at rest.
#[divan::bench(args = HEIGHTS, consts = [20, 100], sample_count = 40, sample_size = 1)]
fn stand_still<const FROM: usize>(bencher: Bencher, height: u32) {
    let size = size(height);
    let room = Room::new(size.width as usize, height as usize, Some((2, 2)), 1);
    let moment = Moment { noise: Noise { sigma: 2.5, smooth: false }, ..Moment::default() };
    let pictures: Vec<Vec<u8>> = (0..30).map(|number| room.picture(number, &moment)).collect();
    let (mut replenisher, mut captured, mut looked, mut refined) = (Replenisher::default(), Instant::now(), 0, 0);
    let mut look = |planes: &mut Vec<u8>| {
        captured += Duration::from_micros(33_333);
        let due = replenisher.look(planes, (Sampling::Yuv420, size), &Owed::Nothing, captured, |_| 1.0);
        refined += due.map_or(0, |due| due.refined.len());
    };
    let picture = |looked: usize| pictures[looked % pictures.len()].clone();
    for looked in 0..FROM {
        look(&mut picture(looked));
    }
    let inputs = || {
        looked += 1;
        picture(FROM + looked)
    };
    bencher.with_inputs(inputs).bench_local_refs(look);
    println!("{height}: {refined} MCUs refined");
}
