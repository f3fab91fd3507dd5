//! Some MCUs of a band: what they show is what the whole band shows there, and nothing else is touched.

use super::*;
use crate::codec::bands::Bands;
use crate::codec::decoder::{self, Decoded, Decoder, RgbMut};
use crate::codec::testing::{self, Random, SAMPLINGS, planes_from};
use eyeline_proto::media::jpeg::tables;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::wire::mcus::Selection;
use eyeline_proto::wire::slice::{Head, Tables};

/// What was there before.
const OLD: u32 = 0x0012_3456;

/// Whole numbers of MCUs and all remainders that matter.
const SIZES: [(u32, u32); 10] = [(1, 1), (1, 17), (17, 1), (2, 3), (15, 16), (33, 47), (64, 48), (127, 33), (160, 96), (641, 61)];

const SHRINKS: [Shrink; 4] = [Shrink::Whole, Shrink::Half, Shrink::Quarter, Shrink::Eighth];

/// Of a band of so many MCUs, each with this chance in ten.
fn some(random: &mut Random, band: usize, chance: usize) -> Vec<usize> {
    (0..band).filter(|_| random.below(10) < chance).collect()
}

/// Calls `each(planes, head of a band, MCUs of it)` for bands of many pictures, and of each for several choices.
fn bands(mut each: impl FnMut(&[u8], &Head<'_>, &[usize])) {
    let mut random = Random(7);
    for sampling in SAMPLINGS {
        for (width, height) in SIZES {
            let size = Size { width, height };
            let planes = testing::planes(size, sampling, 11);
            let step = 2 * sampling.mcu().height;
            for top in (0..height).step_by(step as usize) {
                let rows = step.min(height - top);
                let head = testing::head(size, sampling, 80, top, rows);
                let band = sampling.mcus(Size { width, height: rows });
                for chance in [0, 1, 5, 10] {
                    each(&planes, &head, &some(&mut random, (band.width * band.height) as usize, chance));
                }
            }
        }
    }
}

/// The pixels or samples of these MCUs in a band's plane of this size, where an MCU has `block`; by place.
fn inside(chosen: &[usize], size: Size, block: Size) -> Vec<bool> {
    let across = size.width.div_ceil(block.width.max(1)) as usize;
    let mut inside = vec![false; size.width as usize * size.height as usize];
    for (at, inside) in inside.iter_mut().enumerate() {
        let (x, y) = (at % size.width as usize, at / size.width as usize);
        *inside = chosen.binary_search(&(y / block.height as usize * across + x / block.width as usize)).is_ok();
    }
    inside
}

/// Holds while colour is repeated, not interpolated (`TJPARAM_FASTUPSAMPLE`).
#[test]
fn packed_mcus_are_drawn_byte_for_byte_as_in_their_band_and_nothing_else_is() {
    let (mut decoder, mut drawn) = (Decoder::new().unwrap(), 0);
    bands(|planes, head, chosen| {
        let [packed, whole] = [testing::packed(planes, head, chosen), testing::slice(planes, head)];
        let band = Size { height: head.rows.into(), ..head.size };
        for shrink in SHRINKS {
            let (seen, block) = (shrink.size(band), shrink.size(head.sampling.mcu()));
            let stride = seen.width as usize + 3;
            let [some, all] = [packed.clone(), whole.clone()].map(|slice| {
                let mut out = vec![OLD; stride * seen.height as usize];
                let decoded = decoder.decode_rgb(&slice, RgbMut { out: &mut out, stride, shrink }).unwrap();
                assert_eq!(decoded, Decoded { rows: band.height, partial: false, suspect: false });
                out
            });
            let inside = inside(chosen, seen, block);
            for (at, (some, all)) in some.iter().zip(&all).enumerate() {
                let (x, y) = (at % stride, at / stride);
                let is_in = x < seen.width as usize && inside[y * seen.width as usize + x];
                assert_eq!(*some, if is_in { *all } else { OLD }, "{:?} {band} {shrink:?} column {x} row {y}", head.sampling);
                drawn += usize::from(is_in);
            }
        }
    });
    assert!(drawn > 100_000, "{drawn} pixels");
}

#[test]
fn and_so_they_are_in_planes() {
    let mut decoder = Decoder::new().unwrap();
    bands(|planes, head, chosen| {
        let (sampling, band) = (head.sampling, Size { height: head.rows.into(), ..head.size });
        let [some, all] = [testing::packed(planes, head, chosen), testing::slice(planes, head)].map(|slice| {
            let mut out = vec![1; planes.len()];
            decoder.decode_planes(&slice, planes_from(&mut out, head.size, sampling, head.top.into())).unwrap();
            out
        });
        let [some, all] = [some, all].map(|mut out| {
            let PlanesMut { planes, strides } = planes_from(&mut out, head.size, sampling, head.top.into());
            planes.into_iter().zip(strides).map(|(plane, stride)| (plane.to_vec(), stride)).collect::<Vec<_>>()
        });
        let planes =
            some.iter().zip(&all).zip(sizes(sampling, band)).zip(blocks(sampling)).filter(|((_, size), _)| *size != NONE);
        for (plane, ((((some, stride), (all, _)), size), block)) in planes.enumerate() {
            assert_eq!(*stride, size.width as usize);
            for (at, inside) in inside(chosen, size, block).into_iter().enumerate() {
                assert_eq!(some[at], if inside { all[at] } else { 1 }, "{sampling:?} {band} plane {plane} sample {at}");
            }
            // What is below the band.
            assert!(some[stride * size.height as usize..].iter().all(|sample| *sample == 1));
        }
    });
}

/// A slice of many MCUs, what the whole band shows, and which MCUs those are.
fn many(sampling: Sampling, random: &mut Random) -> (Slice, Vec<u32>, Vec<usize>) {
    let size = Size { width: 640, height: 64 };
    let planes = testing::planes(size, sampling, 5);
    let head = testing::head(size, sampling, 80, 0, 64);
    let band = sampling.mcus(size);
    let chosen = some(random, (band.width * band.height) as usize, 6);
    (testing::packed(&planes, &head, &chosen), testing::drawn(&testing::slice(&planes, &head), size), chosen)
}

#[test]
fn of_a_slice_that_is_cut_whole_intervals_are_drawn_and_the_others_touch_nothing() {
    let (size, mut random, mut decoder) = (Size { width: 640, height: 64 }, Random(3), Decoder::new().unwrap());
    for sampling in SAMPLINGS {
        let (packed, all, chosen) = many(sampling, &mut random);
        let (len, inside) = (packed.scan().len(), inside(&chosen, size, sampling.mcu()));
        let mut most = 0;
        for _ in 0..60 {
            let hole = random.below(len);
            let present = [0..hole, (hole + 50).min(len)..len];
            let mut some = vec![OLD; all.len()];
            let decoded = decoder.decode_rgb_part(&packed, &present, true, RgbMut::whole(&mut some, 640)).unwrap();
            assert_eq!((decoded.rows, decoded.partial), (0, true));
            let drawn: Vec<usize> = (0..some.len()).filter(|at| some[*at] != OLD).collect();
            assert!(drawn.iter().all(|at| some[*at] == all[*at] && inside[*at]), "{sampling:?} {hole}");
            most = most.max(drawn.len());
        }
        let area = (sampling.mcu().width * sampling.mcu().height) as usize;
        assert!(most > (chosen.len() - 3 * usize::from(RESTART)) * area, "{sampling:?}: {most} of {}", chosen.len() * area);
    }
}

#[test]
fn whatever_is_in_the_scan_only_named_mcus_are_touched() {
    let (size, mut random, mut decoder) = (Size { width: 640, height: 64 }, Random(5), Decoder::new().unwrap());
    let (mut good, mut bad) = (0, 0);
    for round in 0..2000 {
        let (packed, ..) = many(SAMPLINGS[round % 5], &mut random);
        let mut hostile = packed.bytes()[eyeline_proto::media::slice::LENGTH_PREFIX..].to_vec();
        let head = packed.head().encoded_len();
        for _ in 0..=random.below(6) {
            // Places and counts of MCUs, too.
            let begin = if random.below(3) == 0 { 25 } else { head };
            let at = begin + random.below(hostile.len() - begin);
            hostile[at] = random.next() as u8;
        }
        let Ok(hostile) = testing::read(&hostile) else { continue };
        let head = hostile.head();
        let named: Vec<usize> = head.mcus.expect("it is still packed").iter().collect();
        let inside = inside(&named, size, head.sampling.mcu());
        let mut out = vec![OLD; 640 * 64];
        match decoder.decode_rgb(&hostile, RgbMut::whole(&mut out, 640)) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        assert!(out.iter().zip(inside).all(|(pixel, inside)| inside || *pixel == OLD), "round {round}");
    }
    assert!(good > 500, "{good} drawn, {bad} refused");
}

#[test]
fn all_mcus_packed_cost_little_more_than_the_band() {
    let size = Size { width: 1280, height: 720 };
    let planes = testing::planes(size, Sampling::Yuv420, 1);
    let bands = Bands::new(size, Sampling::Yuv420, 150_000, 2);
    let (mut packed, mut whole) = (0, 0);
    for index in 0..bands.count() {
        let (top, rows) = bands.band(index);
        let head = testing::head(size, Sampling::Yuv420, 80, top, rows);
        let all: Vec<usize> = (0..(80 * rows.div_ceil(16)) as usize).collect();
        packed += testing::packed(&planes, &head, &all).bytes().len();
        whole += testing::slice(&planes, &head).bytes().len();
    }
    assert!(packed * 50 <= whole * 51, "{packed} bytes packed, {whole} as bands");
}

#[test]
fn no_mcu_is_no_scan_and_draws_nothing() {
    let size = Size { width: 64, height: 32 };
    let none =
        testing::packed(&testing::planes(size, Sampling::Yuv420, 5), &testing::head(size, Sampling::Yuv420, 80, 0, 32), &[]);
    assert!(none.scan().is_empty());
    let (mut decoder, decoded) = (Decoder::new().unwrap(), Decoded { rows: 32, partial: false, suspect: false });
    assert_eq!(decoder.decode_rgb(&none, RgbMut::whole(&mut [], 64)), Ok(decoded));
    assert_eq!(decoder.decode_rgb_part(&none, &[], true, RgbMut::whole(&mut [], 64)), Ok(decoded));
}

#[test]
fn a_few_bytes_cannot_cost_a_long_row_and_a_buffer_too_small_is_told() {
    let (size, mut decoder) = (Size { width: 8192, height: 128 }, Decoder::new().unwrap());
    let head = testing::head(size, Sampling::Yuv420, 80, 0, 128);
    let selection = Selection::new(4096, 0..4000).unwrap();
    for restart in [0, 1, RESTART] {
        let slice = Slice::new(0, 0, 1, &Head { mcus: Some(selection.mcus()), restart, ..head }, &[0x12; 40]);
        let decoded = decoder.decode_rgb(&slice, RgbMut::whole(&mut [], 8192));
        assert_eq!(decoded, Ok(Decoded { rows: 0, partial: true, suspect: false }), "{restart}");
    }
    let small = Size { width: 64, height: 32 };
    let packed = testing::packed(
        &testing::planes(small, Sampling::Yuv420, 5),
        &testing::head(small, Sampling::Yuv420, 80, 0, 32),
        &[0, 3, 7],
    );
    let mut out = vec![OLD; 64 * 31];
    let error = decoder.decode_rgb(&packed, RgbMut::whole(&mut out, 64)).unwrap_err();
    assert!(matches!(error, decoder::Error::Raw(Error::Room { .. })), "{error}");
    assert!(out.iter().all(|pixel| *pixel == OLD));
}

/// As many MCUs as libjpeg takes in a row; and a camera's tables with them.
#[test]
fn the_longest_row_is_drawn_and_so_is_one_with_a_cameras_tables() {
    let size = Size { width: 8192, height: 256 };
    let (planes, head) = (testing::planes(size, Sampling::Yuv422, 5), testing::head(size, Sampling::Yuv422, 80, 0, 256));
    let longest: Vec<usize> = (1..4094).collect();
    let slice = testing::packed(&planes, &head, &longest);
    let all = testing::drawn(&testing::slice(&planes, &head), size);
    let mut segments = Vec::new();
    tables::header(&mut segments, 80, Sampling::Yuv422, size, RESTART);
    let segments = segments.split_off(tables::SEGMENTS_AT);
    let foreign = Slice::new(0, 0, 1, &Head { tables: Tables::Foreign(&segments), ..slice.head() }, slice.scan());
    let inside = inside(&longest, size, Sampling::Yuv422.mcu());
    for slice in [slice, foreign] {
        let mut some = vec![OLD; all.len()];
        let decoded = Decoder::new().unwrap().decode_rgb(&slice, RgbMut::whole(&mut some, 8192)).unwrap();
        assert_eq!(decoded, Decoded { rows: 256, partial: false, suspect: false });
        assert!(some.iter().zip(&all).zip(&inside).all(|((some, all), inside)| some == if *inside { all } else { &OLD }));
    }
}
