//! Pictures through the pool and back.

use super::*;
use crate::codec::decoder::Decoder;
use crate::codec::stitch;
use crate::codec::testing::{self, SAMPLINGS, SETTINGS, picture, planes_from, psnr};
use eyeline_proto::media::jpeg::tables;
use std::sync::mpsc::{Receiver, channel};

const SIZE: Size = Size { width: 641, height: 361 };

fn pool(workers: usize) -> (EncoderThreads, Receiver<Slice>) {
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(workers, move |slice| sender.send(slice).expect("the test receives")).unwrap();
    (pool, receiver)
}

fn encode(pool: &EncoderThreads, number: u64, size: Size, body: Body) -> Result<Encoded, Error> {
    pool.encode(number, picture(size, body), MediaTime::from_nanos(number), SETTINGS, Coded::All)
}

#[test]
fn a_pool_that_is_stopped_leaves_out_what_it_has_not_begun() {
    let (pool, receiver) = pool(2);
    let body = || Body::Planes(Sampling::Grey, vec![7; SIZE.width as usize * SIZE.height as usize].into());
    let whole = encode(&pool, 0, SIZE, body()).unwrap();
    assert_eq!(receiver.try_iter().count(), whole.slices);
    pool.stop();
    encode(&pool, 1, SIZE, body()).unwrap();
    assert_eq!(receiver.try_iter().count(), 0);
}

#[test]
fn pictures_go_through_the_pool_and_come_back() {
    for workers in [1, 4] {
        let (pool, slices) = pool(workers);
        for (number, sampling) in SAMPLINGS.into_iter().cycle().take(24).enumerate() {
            let (number, planes) = (number as u64, testing::planes(SIZE, sampling, number as u64));
            let encoded = encode(&pool, number, SIZE, Body::Planes(sampling, planes.clone().into())).unwrap();
            let got: Vec<_> = slices.try_iter().collect();
            assert_eq!((got.len(), encoded.passed_through), (encoded.slices, false));
            assert!(got.len() >= workers);
            assert_eq!(got.iter().map(|slice| slice.bytes().len()).sum::<usize>(), encoded.bytes);
            let mut back = vec![0; planes.len()];
            let mut seen = vec![false; got.len()];
            for slice in got {
                assert_eq!((slice.picture, usize::from(slice.count)), (number, encoded.slices));
                assert!(!std::mem::replace(&mut seen[usize::from(slice.index)], true));
                assert_eq!(slice.capture(), MediaTime::from_nanos(number));
                let out = planes_from(&mut back, SIZE, sampling, u32::from(slice.head().top));
                assert!(!Decoder::new().unwrap().decode_planes(&slice, out).unwrap().suspect);
            }
            assert!(psnr(&planes, &back) > 36.0, "{sampling:?}: {}", psnr(&planes, &back));
        }
    }
}

/// What is drawn over a picture before is, MCU by MCU, what all of the new one would be, or as before.
#[test]
fn what_changed_and_is_refined_is_coded_for_all_and_what_is_owed_behind_that_each_in_a_quality_of_its_own() {
    let (pool, slices) = pool(2);
    let encode = |number, seed, coded| {
        let body = Body::Planes(Sampling::Yuv420, testing::planes(SIZE, Sampling::Yuv420, seed).into());
        let encoded = pool.encode(number, picture(SIZE, body), MediaTime::ZERO, SETTINGS, coded).unwrap();
        (encoded, slices.try_iter().collect::<Vec<Slice>>())
    };
    let draw = |planes: &mut [u8], slice: &Slice| {
        let out = planes_from(planes, SIZE, Sampling::Yuv420, u32::from(slice.head().top));
        assert!(!Decoder::new().unwrap().decode_planes(slice, out).unwrap().partial);
    };
    let (mut canvas, mut whole) = (vec![0; Sampling::Yuv420.bytes(SIZE)], vec![0; Sampling::Yuv420.bytes(SIZE)]);
    encode(0, 1, Coded::All).1.iter().for_each(|slice| draw(&mut canvas, slice));
    encode(1, 2, Coded::All).1.iter().for_each(|slice| draw(&mut whole, slice));
    let before = canvas.clone();
    let set = |of: usize| {
        let mut set = McuSet::new(SIZE, Sampling::Yuv420);
        (0..set.of()).filter(|mcu| mcu % 7 == of).for_each(|mcu| set.insert(mcu));
        set
    };
    let (changed, refined, owed) = (set(2), set(4), set(5));
    let some = |refined_quality, owed_quality| Coded::Some {
        changed: &changed,
        refined: At { mcus: &refined, quality: refined_quality },
        owed: At { mcus: &owed, quality: owed_quality },
        whole: None,
    };
    let (encoded, parts) = encode(2, 2, some(80, 80));
    assert_eq!(parts.len(), encoded.slices);
    assert!(encoded.changed.bytes + encoded.refined.bytes < encoded.bytes, "{encoded:?}");
    assert!([encoded.changed, encoded.refined].iter().all(|lot| (0.13..0.16).contains(&lot.share)), "{encoded:?}");
    let why = |slice: &Slice| match slice.head().runs().flatten().next().map_or(0, |mcu| mcu % 7) {
        2 => &changed,
        4 => &refined,
        _ => &owed,
    };
    for slice in &parts {
        let (of, head) = (why(slice), slice.head());
        assert!(head.runs().flatten().all(|mcu| of.contains(mcu)));
        assert_eq!(slice.index < head.shared, *of != owed);
        draw(&mut canvas, slice);
    }
    let width = SIZE.width as usize;
    for (at, ((new, old), now)) in whole.iter().zip(&before).zip(&canvas).enumerate().take(width * SIZE.height as usize) {
        let mcu = at / width / 16 * 41 + at % width / 16;
        let drawn = changed.contains(mcu) || refined.contains(mcu) || owed.contains(mcu);
        assert_eq!(now, if drawn { new } else { old }, "sample {at}, MCU {mcu}");
    }
    for slice in encode(3, 3, some(95, 30)).1 {
        let quality = match why(&slice) {
            of if *of == changed => 80,
            of if *of == refined => 95,
            _ => 30,
        };
        assert_eq!(slice.head().tables, Tables::Own(quality));
    }
}

/// For who wants it whole; it comes last, and is one JPEG by itself.
#[test]
fn all_of_a_picture_is_coded_behind_what_changed_and_counts_for_nobody_else() {
    let (pool, slices) = pool(2);
    let encode = |number, coded| {
        let body = Body::Planes(Sampling::Yuv420, testing::planes(SIZE, Sampling::Yuv420, 2).into());
        let encoded = pool.encode(number, picture(SIZE, body), MediaTime::ZERO, SETTINGS, coded).unwrap();
        (encoded, slices.try_iter().collect::<Vec<Slice>>())
    };
    let drawn = |slices: &[&Slice]| {
        let mut planes = vec![0; Sampling::Yuv420.bytes(SIZE)];
        for slice in slices {
            let out = planes_from(&mut planes, SIZE, Sampling::Yuv420, u32::from(slice.head().top));
            assert!(!Decoder::new().unwrap().decode_planes(slice, out).unwrap().partial);
        }
        planes
    };
    let whole = drawn(&encode(1, Coded::All).1.iter().collect::<Vec<_>>());
    let (mut some, none) = (McuSet::new(SIZE, Sampling::Yuv420), McuSet::new(SIZE, Sampling::Yuv420));
    (0..100).for_each(|mcu| some.insert(mcu));
    let at = |mcus| At { mcus, quality: 30 };
    let (encoded, parts) = encode(2, Coded::Some { changed: &some, refined: at(&none), owed: at(&none), whole: Some(80) });
    let again: Vec<&Slice> = parts.iter().filter(|slice| slice.index >= slice.head().owed).collect();
    assert!(again.len() > 1 && encoded.changed.share < 0.16 && encoded.changed.bytes * 4 < encoded.bytes, "{encoded:?}");
    let joined = stitch::jpeg(&again).unwrap();
    assert_eq!(stitch::Stitcher::new().unwrap().push(&parts.iter().collect::<Vec<_>>()).unwrap(), joined);
    assert!(drawn(&again) == whole, "as if it had been coded for all");
}

/// What is owed is of a larger picture, and so beyond the planes.
#[test]
fn a_picture_of_which_a_part_fails_is_ended_with_a_slice_of_nothing_and_one_that_fails_at_once_is_not_begun() {
    let (pool, slices) = pool(2);
    let set = |height, mcu| {
        let mut set = McuSet::new(Size { height, ..SIZE }, Sampling::Yuv420);
        set.insert(mcu);
        set
    };
    let (within, beyond, none) = (set(SIZE.height, 5), set(4000, 41 * 200), McuSet::new(SIZE, Sampling::Yuv420));
    let encode = |number, changed, owed| {
        let body = Body::Planes(Sampling::Yuv420, testing::planes(SIZE, Sampling::Yuv420, 1).into());
        let at = |mcus| At { mcus, quality: 80 };
        let coded = Coded::Some { changed, refined: at(&none), owed: at(owed), whole: None };
        pool.encode(number, picture(SIZE, body), MediaTime::ZERO, SETTINGS, coded)
    };
    assert!(matches!(encode(4, &within, &beyond), Err(Error::Torn(raw::Error::Room { .. }))));
    let mut came: Vec<Slice> = slices.try_iter().collect();
    came.sort_by_key(|slice| slice.index);
    assert!(came.len() == 2 && came.iter().all(|slice| (slice.picture, slice.count) == (4, 2)), "it has its number");
    assert_eq!(came.iter().map(|slice| slice.head().runs().flatten().count()).collect::<Vec<_>>(), [1, 0]);
    assert!(matches!(encode(5, &beyond, &beyond), Err(Error::Raw(raw::Error::Room { .. }))));
    assert!(slices.try_recv().is_err(), "nothing of it was handed on");
}

#[test]
fn slices_become_about_eight_datagrams_long() {
    let (pool, slices) = pool(4);
    let size = Size { width: 1920, height: 1080 };
    let planes = testing::planes(size, Sampling::Yuv420, 1);
    for number in 0..3 {
        encode(&pool, number, size, Body::Planes(Sampling::Yuv420, planes.clone().into())).unwrap();
    }
    let last: Vec<_> = slices.try_iter().filter(|slice| slice.picture == 2).map(|slice| slice.bytes().len()).collect();
    let mean = last.iter().sum::<usize>() / last.len();
    assert!((7 * 1200..9 * 1200).contains(&mean), "{mean} bytes, {} slices", last.len());
}

#[test]
fn a_cameras_jpeg_is_passed_through_and_one_that_cannot_be_is_encoded_again() {
    let (pool, slices) = pool(2);
    let size = Size { width: 64, height: 48 };
    let flat = testing::slice(&testing::planes(size, Sampling::Yuv420, 1), &testing::head(size, Sampling::Yuv420, 80, 0, 48));
    let jpeg = stitch::jpeg(&[&flat]).unwrap();
    assert!(encode(&pool, 1, size, Body::Jpeg(jpeg.clone().into())).unwrap().passed_through);
    let passed = slices.recv().unwrap();
    assert!(stitch::jpeg(&[&passed]).unwrap() == jpeg);
    let mut wrong_interval = jpeg.clone();
    let interval = jpeg.windows(2).position(|pair| pair == [0xFF, tables::DRI]).unwrap();
    wrong_interval[interval + 5] = 2;
    let again = encode(&pool, 2, size, Body::Jpeg(wrong_interval.into())).unwrap();
    assert!(!again.passed_through && again.slices == slices.try_iter().count());
    let cut = jpeg[..jpeg.len() / 2].to_vec();
    assert!(matches!(encode(&pool, 3, size, Body::Jpeg(cut.into())), Err(Error::Refused(Refusal::Damaged(_)))));
    assert!(slices.try_recv().is_err(), "nothing of a damaged picture is sent");
}

#[test]
fn a_short_picture_is_refused() {
    let (pool, _slices) = pool(2);
    let short = vec![0; Sampling::Yuv420.bytes(SIZE) - 1];
    assert!(matches!(encode(&pool, 1, SIZE, Body::Planes(Sampling::Yuv420, short.into())), Err(Error::Short { .. })));
    let giant = Size { width: 8193, height: 8 };
    let planes = vec![0; Sampling::Grey.bytes(giant)];
    let refused = encode(&pool, 2, giant, Body::Planes(Sampling::Grey, planes.into()));
    assert!(matches!(refused, Err(Error::Raw(raw::Error::Limits(_)))));
}

#[test]
fn a_panic_in_a_worker_goes_on_in_the_caller_and_the_pool_lives() {
    let pool = EncoderThreads::new(3, |slice| assert!(slice.picture != 1 || slice.index != 2, "on purpose")).unwrap();
    let planes = testing::planes(SIZE, Sampling::Yuv420, 1);
    let body = || Body::Planes(Sampling::Yuv420, planes.clone().into());
    let panic = catch_unwind(AssertUnwindSafe(|| encode(&pool, 1, SIZE, body()))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert!(encode(&pool, 2, SIZE, body()).is_ok());
}
