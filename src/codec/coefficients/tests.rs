use super::super::decoder::{Decoder, RgbMut};
use super::super::encoder::EncoderThreads;
use super::super::raw::Decompressor;
use super::super::scenes::{Moment, Noise, Room};
use super::super::shrink::Shrink;
use super::super::stitch;
use super::super::testing::{self, SAMPLINGS, SETTINGS, camera_jpeg, psnr};
use super::*;
use eyeline_proto::media::jpeg::bits;
use eyeline_proto::media::jpeg::tables::{EOI, SOI};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::time::MediaTime;
use proptest::prelude::*;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What is drawn before anything came.
const OLD: u32 = 0x0012_3456;

fn read(jpeg: &[u8]) -> Coefficients {
    let mut coefficients = Coefficients::default();
    coefficients.read(jpeg).unwrap();
    coefficients
}

fn cut(picture: &Coefficients, coded: Option<[&McuSet; 2]>) -> Vec<Slice> {
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(1, move |slice| sender.send(slice).unwrap()).unwrap();
    let encoded = pool.cut(3, (picture, Instant::now()), MediaTime::from_nanos(7), SETTINGS, coded).unwrap();
    let slices: Vec<Slice> = receiver.try_iter().collect();
    assert_eq!((encoded.slices, encoded.bytes), (slices.len(), slices.iter().map(|slice| slice.bytes().len()).sum()));
    slices
}

fn pixels(jpeg: &[u8], size: Size) -> Vec<u32> {
    let mut out = vec![0; (size.width * size.height) as usize];
    Decompressor::new().unwrap().rgb(jpeg, (size, Shrink::Whole), &mut out, size.width as usize).unwrap();
    out
}

/// Draws slices on what is there, after they travelled.
fn draw(slices: &[Slice], size: Size, canvas: &mut [u32]) {
    let mut decoder = Decoder::new().unwrap();
    for slice in slices {
        let slice = testing::read(&slice.bytes()[eyeline_proto::media::slice::LENGTH_PREFIX..]).unwrap();
        let out = &mut canvas[usize::from(slice.head().top) * size.width as usize..];
        let decoded = decoder.decode_rgb(&slice, RgbMut::whole(out, size.width as usize)).unwrap();
        assert!(!decoded.partial && !decoded.suspect);
    }
}

/// The MCU that each pixel is in.
fn mcu_of(sampling: Sampling, size: Size, pixel: usize) -> usize {
    let (x, y) = (pixel as u32 % size.width, pixel as u32 / size.width);
    (y / sampling.mcu().height * sampling.mcus(size).width + x / sampling.mcu().width) as usize
}

fn some(size: Size, sampling: Sampling, mcus: impl IntoIterator<Item = usize>) -> McuSet {
    let mut set = McuSet::new(size, sampling);
    mcus.into_iter().for_each(|mcu| set.insert(mcu));
    set
}

/// Whatever is cut out of this JPEG is what it shows, and nothing else is drawn.
fn is_lossless(jpeg: &[u8], sampling: Sampling, size: Size, every: usize) {
    let picture = read(jpeg);
    assert_eq!(picture.kind(), Some((sampling, size)));
    let whole = pixels(jpeg, size);
    let mut changed = some(size, sampling, []);
    (0..changed.of()).step_by(every).for_each(|mcu| changed.insert(mcu));
    let owed = some(size, sampling, (0..changed.of()).filter(|mcu| mcu % 7 == 3 && mcu % every != 0));
    let mut canvas = vec![OLD; whole.len()];
    let slices = cut(&picture, Some([&changed, &owed]));
    draw(&slices, size, &mut canvas);
    for (at, (drawn, whole)) in canvas.iter().zip(&whole).enumerate() {
        let mcu = mcu_of(sampling, size, at);
        let packed = slices.iter().all(|slice| slice.head().mcus.is_some());
        let sent = changed.contains(mcu) || owed.contains(mcu);
        assert!(if sent { drawn == whole } else { *drawn == OLD || !packed }, "{sampling:?} {size}, MCU {mcu}");
    }
}

const SIZES: [Size; 4] = [
    Size { width: 160, height: 96 },
    Size { width: 161, height: 97 },
    Size { width: 37, height: 21 },
    Size { width: 1, height: 1 },
];

#[test]
fn what_is_cut_out_is_what_the_camera_made_of_all_samplings_and_odd_sizes() {
    for sampling in SAMPLINGS {
        for size in SIZES {
            for (restart, quality) in [(0, 80), (sampling.mcus(size).width as u16, 95), (7, 30)] {
                let jpeg = camera_jpeg(&testing::planes(size, sampling, 9), size, sampling, quality, restart);
                for every in [1, 2, 5] {
                    is_lossless(&jpeg, sampling, size, every);
                }
            }
        }
    }
}

#[test]
fn a_picture_that_goes_whole_goes_in_bands_that_join_to_one_jpeg_again() {
    let size = Size { width: 640, height: 480 };
    for sampling in SAMPLINGS {
        let jpeg = camera_jpeg(&testing::planes(size, sampling, 9), size, sampling, 90, 0);
        let slices = cut(&read(&jpeg), None);
        assert!(slices.len() > 3);
        let joined = stitch::jpeg(&slices.iter().collect::<Vec<_>>()).unwrap();
        assert!(pixels(&joined, size) == pixels(&jpeg, size), "{sampling:?}");
        assert_eq!(read(&joined).low, read(&jpeg).low);
    }
}

/// With tables made for this very picture, as a few cameras do.
#[test]
fn codes_that_are_the_cameras_own_travel_and_those_of_annex_k_do_not() {
    let size = Size { width: 160, height: 96 };
    let rgb: Vec<u8> = (0..160 * 96 * 4_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8 + (at / 640) as u8).collect();
    let image = turbojpeg::Image { pixels: &rgb[..], width: 160, pitch: 640, height: 96, format: turbojpeg::PixelFormat::BGRX };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::Sub2x1).unwrap();
    compressor.set_optimize(true).unwrap();
    let own = compressor.compress_to_vec(image).unwrap();
    is_lossless(&own, Sampling::Yuv422, size, 3);
    let annex_k = camera_jpeg(&testing::planes(size, Sampling::Yuv422, 9), size, Sampling::Yuv422, 80, 0);
    let len = |jpeg: &[u8]| read(jpeg).tables(20, true).len();
    assert_eq!(len(&annex_k), 2 * 69 + 19 + 6 + 14);
    assert!(len(&own) > len(&annex_k) + 100 && read(&annex_k).tables(20, false).len() > len(&annex_k) + 400);
    // One decoder draws both, though libjpeg keeps the tables that it was given before.
    let every_other = some(size, Sampling::Yuv422, (0..120).step_by(2));
    let none = some(size, Sampling::Yuv422, []);
    let coded = Some([&every_other, &none]);
    let slices = [&own, &annex_k].map(|jpeg| cut(&read(jpeg), coded));
    let mut canvas = vec![OLD; 160 * 96];
    draw(&slices.concat(), size, &mut canvas);
    let whole = pixels(&annex_k, size);
    let drawn = |at: &usize| every_other.contains(mcu_of(Sampling::Yuv422, size, *at));
    assert!((0..canvas.len()).filter(drawn).all(|at| canvas[at] == whole[at]));
}

/// The same coefficients in MCUs of twice the height, as ffmpeg writes 4:2:2 and 4:4:4.
#[test]
fn mcus_higher_than_need_be_are_taken_apart() {
    for (sampling, factors) in [(Sampling::Yuv422, [0x22, 0x12, 0x12]), (Sampling::Yuv444, [0x12, 0x12, 0x12])] {
        for size in [Size { width: 160, height: 96 }, Size { width: 33, height: 41 }] {
            let jpeg = camera_jpeg(&testing::planes(size, sampling, 9), size, sampling, 80, 0);
            let flat = read(&jpeg);
            let grid = sampling.mcus(size);
            let (columns, rows) = (grid.width as usize, grid.height as usize);
            // Each high MCU as a row of blocks that the writer takes for MCUs of a grey picture: luma, then the colours.
            let all = tables::blocks(sampling);
            let mut tall = Coefficients { kind: flat.kind, scan: flat.scan.clone(), ..Coefficients::default() };
            for mcu in 0..columns * rows.div_ceil(2) {
                let (row, column) = (mcu / columns * 2, mcu % columns);
                let half = |half: usize| &flat.blocks[((row + half).min(rows - 1) * columns + column) * all..][..all];
                let (upper, lower) = (half(0), half(1));
                let luma = all - 2;
                let parts = [
                    &upper[..luma],
                    &lower[..luma],
                    &upper[luma..=luma],
                    &lower[luma..=luma],
                    &upper[all - 1..],
                    &lower[all - 1..],
                ];
                tall.blocks.extend(parts.concat());
            }
            let mut segments = flat.tables(0, false);
            let frame = segments::parse(&segments).unwrap().height_at;
            for (at, factor) in [6, 9, 12].into_iter().zip(factors) {
                segments[frame + at] = factor;
            }
            let jpeg = [&[0xFF, SOI], &segments[..], &tall.tall_scan(sampling), &[0xFF, EOI]].concat();
            is_lossless(&jpeg, sampling, size, 3);
            assert_eq!(read(&jpeg).low, flat.low);
        }
    }
}

impl Coefficients {
    /// As [`Coefficients::scan`] of all, of MCUs of twice as many blocks.
    fn tall_scan(&self, sampling: Sampling) -> Vec<u8> {
        let all = tables::blocks(sampling);
        let mut out = bits::BitWriter::default();
        let mut before = [0; 3];
        for (at, block) in self.blocks.iter().enumerate() {
            let component = (at % (2 * all)).saturating_sub(2 * (all - 2) - 2) / 2;
            let difference = i32::from(block.dc) - std::mem::replace(&mut before[component], i32::from(block.dc));
            let size = 32 - difference.unsigned_abs().leading_zeros();
            let (code, length) = tables::dc_code(component > 0, size as u8);
            out.put(code.into(), length.into());
            out.put((difference + if difference < 0 { (1 << size) - 1 } else { 0 }) as u32, size);
            bits::copy(&self.scan, block.at as usize, block.bits.into(), &mut out);
        }
        out.pad();
        out.bytes
    }
}

/// Blocks of the same bits over and over.
#[test]
fn a_slice_that_would_be_too_long_is_refused_before_any_is_sent() {
    let size = Size { width: 320, height: 240 };
    let mut picture = read(&camera_jpeg(&testing::planes(size, Sampling::Grey, 9), size, Sampling::Grey, 80, 0));
    picture.scan = vec![0x55; 9000];
    picture.blocks.iter_mut().take(600).for_each(|block| *block = Block { dc: 0, bits: u16::MAX, at: 0 });
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(1, move |slice| sender.send(slice).unwrap()).unwrap();
    let send = |mcus| {
        let (some, none) = (some(size, Sampling::Grey, mcus), some(size, Sampling::Grey, []));
        let moment = (MediaTime::ZERO, SETTINGS);
        pool.cut(3, (&picture, Instant::now()), moment.0, moment.1, Some([&some, &none])).map(|_| receiver.try_iter().count())
    };
    assert_eq!(send(590..1000).ok(), Some(1));
    assert!(matches!(send(0..1000), Err(crate::codec::settings::Error::Refused(Unfit(_)))));
    assert_eq!(send(1000..1001).ok(), Some(1), "nothing of what was refused");
}

/// An MCU that has more coefficients is more of the bytes.
#[test]
fn the_share_of_some_mcus_is_that_of_their_bytes() {
    let size = Size { width: 640, height: 360 };
    let mut planes = testing::planes(size, Sampling::Yuv420, 9);
    planes[..640 * 240].fill(90);
    let picture = read(&camera_jpeg(&planes, size, Sampling::Yuv420, 85, 0));
    let of = picture.blocks.len() / 6;
    let lower = some(size, Sampling::Yuv420, of * 2 / 3..of);
    let none = some(size, Sampling::Yuv420, []);
    let bytes: usize = cut(&picture, Some([&lower, &none])).iter().map(|slice| slice.scan().len()).sum();
    let (share, true_share) = (picture.share(&lower), bytes as f64 / picture.bytes() as f64);
    assert!(share > 0.5 && (share / true_share - 1.0).abs() < 0.15, "{share}, {true_share}");
    let all = some(size, Sampling::Yuv420, 0..of);
    assert_eq!((picture.share(&all), picture.share(&none)), (1.0, 0.0));
}

fn small() -> Vec<u8> {
    let size = Size { width: 48, height: 40 };
    camera_jpeg(&testing::planes(size, Sampling::Yuv420, 9), size, Sampling::Yuv420, 60, 4)
}

/// Reads what may be anything, and cuts out what was read.
fn survives(coefficients: &mut Coefficients, changes: &mut Changes, jpeg: &[u8]) -> bool {
    match coefficients.read(jpeg) {
        Ok(()) => {
            let (sampling, size) = coefficients.kind().unwrap();
            let mut changed = McuSet::new(size, sampling);
            changes.look(coefficients, &mut changed);
            changes.sent(coefficients, &changed);
            let none = McuSet::new(size, sampling);
            for slice in cut(coefficients, Some([&changed, &none])) {
                let mut canvas = vec![0; (size.width * size.height) as usize];
                let top = usize::from(slice.head().top) * size.width as usize;
                let out = RgbMut::whole(&mut canvas[top..], size.width as usize);
                let decoded = Decoder::new().unwrap().decode_rgb(&slice, out).unwrap();
                assert!(!decoded.partial && !decoded.suspect, "what is read is whole");
            }
            true
        }
        Err(_) => {
            assert_eq!(coefficients.kind(), None);
            assert!(coefficients.scan(0..1, 20).is_empty());
            false
        }
    }
}

#[test]
fn a_cut_jpeg_and_one_with_any_byte_changed_is_read_or_refused() {
    let good = small();
    let (mut coefficients, mut changes) = (Coefficients::default(), Changes::default());
    for len in 0..good.len() {
        assert!(!survives(&mut coefficients, &mut changes, &good[..len]), "{len}");
    }
    let mut read = 0;
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            read += usize::from(survives(&mut coefficients, &mut changes, &bad));
        }
    }
    // A bit of a coefficient is as good as another.
    assert!(read > good.len() / 2 && read < 3 * good.len() - 200, "{read} of {}", 3 * good.len());
    assert!(survives(&mut coefficients, &mut changes, &good));
}

proptest! {
    #[test]
    fn no_scan_makes_it_panic(scan in prop::collection::vec(any::<u8>(), 0..800), restart in 0_u8..9, sampling in 0_usize..5) {
        let size = Size { width: 48, height: 40 };
        let good = camera_jpeg(&testing::planes(size, SAMPLINGS[sampling], 9), size, SAMPLINGS[sampling], 60, restart.into());
        let parts = passthrough::take_apart(&good).unwrap();
        let jpeg = [&good[..parts.scan.start], &scan, &[0xFF, EOI]].concat();
        survives(&mut Coefficients::default(), &mut Changes::default(), &jpeg);
    }
}

#[test]
fn kinds_that_are_not_baseline_are_refused_before_anything_is_allocated() {
    let mut coefficients = Coefficients::default();
    let good = small();
    let frame = good.windows(2).position(|pair| pair == [0xFF, SOF0]).unwrap();
    // Progressive, arithmetic, 12 bits, four components, one huge, of another sampling.
    for (at, bytes) in [(1, &[0xC2][..]), (1, &[0xC9]), (4, &[12]), (9, &[4]), (5, &[0x1F, 0xFF, 0x1F, 0xFF]), (11, &[0x41])] {
        let mut bad = good.clone();
        bad[frame + at..][..bytes.len()].copy_from_slice(bytes);
        assert!(coefficients.read(&bad).is_err(), "{at} {bytes:?}");
        assert!(coefficients.blocks.capacity() == 0 && coefficients.low.capacity() == 0);
    }
}

/// A webcam's pictures as JPEGs.
struct Webcam {
    room: Room,
    size: Size,
    quality: u8,
}

impl Webcam {
    fn new(quality: u8) -> Self {
        let size = Size { width: 640, height: 360 };
        Webcam { room: Room::new(640, 360, Some((2, 2)), 5), size, quality }
    }

    fn jpeg(&self, number: u64, moment: &Moment) -> Vec<u8> {
        camera_jpeg(&self.room.picture(number, moment), self.size, Sampling::Yuv420, self.quality, 0)
    }
}

fn head(number: u64) -> Option<(f32, f32)> {
    Some((0.5 + 0.1 * (number as f32 / 9.0).sin(), 0.55))
}

/// What a receiver is shown of some pictures: of each the share that was sent, and how it differs from the clean scene, against
/// how the camera's own picture does.
fn shown(webcam: &Webcam, moment: impl Fn(u64) -> Moment) -> Vec<(f64, f64, f64)> {
    let (mut replenisher, mut coefficients) = (Replenisher::default(), Coefficients::default());
    let (size, start) = (webcam.size, Instant::now());
    let mut canvas = vec![0; (size.width * size.height) as usize];
    let luma = |pixels: &[u32]| -> Vec<u8> { pixels.iter().map(|pixel| (pixel >> 8) as u8).collect() };
    (0..25)
        .map(|number| {
            let moment = moment(number);
            let jpeg = webcam.jpeg(number, &moment);
            coefficients.read(&jpeg).unwrap();
            let now = start + Duration::from_millis(33 * number);
            let parts = replenisher.look(&coefficients, (Sampling::Yuv420, size), &Owed::Nothing, now);
            let share = parts.map_or(1.0, |(changed, _)| changed.len() as f64 / changed.of() as f64);
            let coded = parts.map(|(changed, owed)| [changed, owed]);
            draw(&cut(&coefficients, coded), size, &mut canvas);
            let clean = Moment { noise: Noise::default(), ..moment };
            let clean = luma(&pixels(&camera_jpeg(&webcam.room.picture(number, &clean), size, Sampling::Yuv420, 98, 0), size));
            (share, psnr(&luma(&canvas), &clean), psnr(&luma(&pixels(&jpeg, size)), &clean))
        })
        .collect()
}

/// The mean of what [`shown`] gives, once the noise is known.
fn settled(pictures: &[(f64, f64, f64)]) -> (f64, f64, f64) {
    let last = &pictures[8..];
    let mean = |of: fn(&(f64, f64, f64)) -> f64| last.iter().map(of).sum::<f64>() / last.len() as f64;
    (mean(|picture| picture.0), mean(|picture| picture.1), mean(|picture| picture.2))
}

#[test]
fn noise_is_no_change_and_of_a_head_no_more_is_sent_than_moves_though_nothing_is_seen_to_lack() {
    for (quality, sigma, smooth) in [(50, 2.5, true), (75, 4.0, false), (85, 0.0, false), (85, 2.5, true), (95, 2.5, false)] {
        let (webcam, noise) = (Webcam::new(quality), Noise { sigma, smooth });
        // A hundredth of a picture is due for its age.
        let (share, ..) = settled(&shown(&webcam, |_| Moment { noise, ..Moment::default() }));
        assert!(share < 0.035, "{quality}, {noise:?}: {share}");
        let (share, shown, whole) = settled(&shown(&webcam, |number| Moment { noise, head: head(number), ..Moment::default() }));
        println!("quality {quality}, {noise:?}: {share:.3} sent, {shown:.2} dB of {whole:.2}");
        assert!((0.1..0.2).contains(&share) && shown > whole - 0.25, "{quality}, {noise:?}: {share} {shown} {whole}");
    }
}

/// What is said to have changed in one picture after another.
fn changed(changes: &mut Changes, jpeg: &[u8], size: Size) -> McuSet {
    let picture = read(jpeg);
    let mut changed = McuSet::new(size, Sampling::Yuv420);
    changes.look(&picture, &mut changed);
    changes.sent(&picture, &changed);
    changed
}

#[test]
fn a_caret_is_seen_and_a_picture_of_another_size_is_all_new() {
    let (webcam, mut changes) = (Webcam::new(80), Changes::default());
    let caret = |caret| webcam.jpeg(0, &Moment { caret, ..Moment::default() });
    assert_eq!(changed(&mut changes, &caret(false), webcam.size).len(), 40 * 23);
    assert_eq!(changed(&mut changes, &caret(false), webcam.size).len(), 0);
    assert!((1..=2).contains(&changed(&mut changes, &caret(true), webcam.size).len()));
    let size = Size { width: 320, height: 180 };
    let other = camera_jpeg(&testing::planes(size, Sampling::Yuv420, 9), size, Sampling::Yuv420, 80, 0);
    assert_eq!(changed(&mut changes, &other, size).len(), 20 * 12);
}

/// As cameras do that hold their rate.
#[test]
fn a_little_more_or_less_of_quality_is_no_change_and_twice_as_fine_is_all_new() {
    let room = Webcam::new(0);
    let jpeg = |number, quality| {
        let noise = Noise { sigma: 1.0, smooth: false };
        Webcam { room: Room::new(640, 360, Some((2, 2)), 5), quality, ..room }
            .jpeg(number, &Moment { noise, ..Moment::default() })
    };
    let mut changes = Changes::default();
    let of = 40 * 23;
    assert_eq!(changed(&mut changes, &jpeg(0, 75), room.size).len(), of);
    for (number, quality) in [(1, 75), (2, 77), (3, 70), (4, 80), (5, 75)] {
        let changed = changed(&mut changes, &jpeg(number, quality), room.size).len();
        assert!(changed < of / 50, "{changed} at quality {quality}");
    }
    assert_eq!(changed(&mut changes, &jpeg(6, 90), room.size).len(), of);
    assert!(changed(&mut changes, &jpeg(7, 90), room.size).len() < of / 50);
}

#[test]
fn what_is_owed_and_what_is_due_is_sent_beside_what_changed() {
    let webcam = Webcam::new(80);
    let (mut replenisher, picture, start) = (Replenisher::default(), read(&webcam.jpeg(0, &Moment::default())), Instant::now());
    let kind = (Sampling::Yuv420, webcam.size);
    assert!(replenisher.look(&picture, kind, &Owed::Nothing, start).is_none(), "the first is all new");
    let owed = Owed::Some(some(webcam.size, Sampling::Yuv420, [3, 400, 800]));
    let (changed, lacking) = replenisher.look(&picture, kind, &owed, start).unwrap();
    assert_eq!((changed.len(), lacking.iter().collect::<Vec<_>>()), (0, vec![3, 400, 800]));
    let mut seen = some(webcam.size, Sampling::Yuv420, []);
    for number in 1..=100 {
        let (changed, _) = replenisher.look(&picture, kind, &Owed::Nothing, start + Duration::from_millis(33 * number)).unwrap();
        seen.add(changed);
    }
    assert_eq!(seen.len(), seen.of(), "each once in three seconds");
}
