//! Tests: slices that are cut, have holes, or were sent to do harm, tens of thousands of them, through one decoder.

#![expect(clippy::single_range_in_vec_init, reason = "a slice whose only range is its start")]

use super::coefficients::Coefficients;
use super::decoder::{Decoder, RgbMut};
use super::scan;
use super::testing::{self, Random, SAMPLINGS, drawn, planes_from};
use eyeline_proto::media::parts::{Part, Parts, Why};
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::mcus::Selection;

const SIZE: Size = Size { width: 160, height: 96 };
/// What was on the canvas before.
const OLD: u32 = 0x0012_3456;

fn one_slice(sampling: Sampling) -> Slice {
    testing::slice(&testing::planes(SIZE, sampling, 3), &testing::head(SIZE, sampling, 80, 0, SIZE.height))
}

#[test]
fn every_prefix_draws_its_whole_mcu_rows_and_touches_no_other_pixel() {
    let mut decoder = Decoder::new().unwrap();
    for sampling in SAMPLINGS {
        let slice = one_slice(sampling);
        let whole = drawn(&slice, SIZE);
        let mcu_height = sampling.mcu().height;
        for len in 0..slice.scan().len() {
            let mut out = vec![OLD; whole.len()];
            let cut = testing::cut(&slice, len);
            let decoded = decoder.decode_rgb_part(&cut, &[0..len], false, RgbMut::whole(&mut out, 160)).unwrap();
            let rows = scan::markers(cut.scan()).count() as u32 * mcu_height;
            assert_eq!((decoded.rows, decoded.partial), (rows, true), "{sampling:?} {len}");
            // The last row may take its colours from the row below, which is not there.
            let sure = (rows.saturating_sub(1) * SIZE.width) as usize;
            assert_eq!(out[..sure], whole[..sure], "{sampling:?} {len}");
            assert!(out[(rows * SIZE.width) as usize..].iter().all(|pixel| *pixel == OLD), "{sampling:?} {len}");
        }
    }
}

#[test]
fn rows_behind_a_hole_are_drawn_where_they_belong() {
    let slice = one_slice(Sampling::Yuv422);
    let whole = drawn(&slice, SIZE);
    let mut decoder = Decoder::new().unwrap();
    let (mut planes, mut reference) = (vec![0; Sampling::Yuv422.bytes(SIZE)], vec![0; Sampling::Yuv422.bytes(SIZE)]);
    decoder.decode_planes(&slice, planes_from(&mut reference, SIZE, Sampling::Yuv422, 0)).unwrap();
    let len = slice.scan().len();
    let present = [0..len / 3, len / 3 + 100..len];
    let mut out = vec![OLD; whole.len()];
    let decoded = decoder.decode_rgb_part(&slice, &present, true, RgbMut::whole(&mut out, 160)).unwrap();
    assert!(decoded.partial && decoded.rows >= SIZE.height - 24, "{decoded:?}");
    let kept = out.chunks(160).filter(|row| row.iter().all(|pixel| *pixel == OLD)).count() as u32;
    assert_eq!(kept, SIZE.height - decoded.rows);
    assert!(out.iter().zip(&whole).all(|(pixel, whole)| pixel == whole || *pixel == OLD));
    let again = decoder.decode_planes_part(&slice, &present, true, planes_from(&mut planes, SIZE, Sampling::Yuv422, 0)).unwrap();
    assert_eq!(again, decoded);
    assert!(planes.iter().zip(&reference).all(|(sample, whole)| sample == whole || *sample == 0));
}

#[test]
fn a_cut_scan_without_restart_markers_draws_what_came_before_the_cut() {
    let planes = testing::planes(SIZE, Sampling::Yuv420, 3);
    let slice = testing::foreign_slice(&planes, SIZE, 0);
    let whole = drawn(&slice, SIZE);
    let mut decoder = Decoder::new().unwrap();
    let mut best = 0;
    for len in (0..slice.scan().len()).step_by(37) {
        let mut out = vec![OLD; whole.len()];
        let cut = testing::cut(&slice, len);
        let decoded = decoder.decode_rgb_part(&cut, &[0..len], false, RgbMut::whole(&mut out, 160)).unwrap();
        let sure = (decoded.rows.saturating_sub(1) * SIZE.width) as usize;
        assert_eq!(out[..sure], whole[..sure], "{len}");
        assert!(out[(decoded.rows * SIZE.width) as usize..].iter().all(|pixel| *pixel == OLD), "{len}");
        best = best.max(decoded.rows);
    }
    assert_eq!(best, SIZE.height - 16, "all but the MCU row that was cut");
}

/// These MCUs of a camera's JPEG.
fn cut_out(planes: &[u8], mcus: &[usize]) -> Slice {
    let mut picture = Coefficients::default();
    picture.read(&testing::camera_jpeg(planes, SIZE, Sampling::Yuv420, 80, 0)).unwrap();
    let mcus = Selection::new(60, mcus.iter().copied());
    let part = Part { why: Why::Changed, top: 0, rows: SIZE.height, mcus, coded: 30 };
    let parts = Parts { parts: vec![part], shared: 1, owed: 1 };
    picture.slices(0, MediaTime::ZERO, testing::SETTINGS, &parts).unwrap().remove(0)
}

#[test]
fn no_mutation_panics_or_spoils_the_next_slice() {
    let mut random = Random(99);
    let planes = testing::planes(SIZE, Sampling::Yuv420, 3);
    let every_other: Vec<usize> = (0..60).step_by(2).collect();
    let slices = [
        one_slice(Sampling::Yuv420),
        one_slice(Sampling::Grey),
        testing::foreign_slice(&planes, SIZE, 10),
        testing::foreign_slice(&planes, SIZE, 0),
        testing::packed(&planes, &testing::head(SIZE, Sampling::Yuv420, 80, 0, SIZE.height), &every_other),
        cut_out(&planes, &every_other),
    ];
    let good: Vec<_> = slices.iter().map(|slice| drawn(slice, SIZE)).collect();
    let mut decoder = Decoder::new().unwrap();
    let mut out = vec![0; 160 * 96];
    let mut scratch = vec![0; Sampling::Yuv444.bytes(SIZE)];
    let (mut refused, mut suspect) = (0, 0);
    for round in 0..20_000 {
        let which = random.below(slices.len());
        // Head and scan.
        let mut bad = slices[which].bytes()[LENGTH_PREFIX..].to_vec();
        for _ in 0..=random.below(4) {
            let end = if round % 2 == 0 { bad.len().min(700) } else { bad.len() };
            let at = random.below(end);
            bad[at] = if random.below(2) == 0 { random.next() as u8 } else { bad[at] ^ 1 << random.below(8) };
        }
        if random.below(3) == 0 {
            bad.truncate(random.below(bad.len()));
        }
        if let Ok(bad) = testing::read(&bad) {
            let len = bad.scan().len();
            let cut = random.below(len + 1);
            let present = [0..cut, cut + random.below(300)..len];
            let result = match random.below(4) {
                0 => decoder.decode_rgb_part(&bad, &present, true, RgbMut::whole(&mut out, 160)),
                1 => decoder.decode_planes(&bad, planes_from(&mut scratch, SIZE, Sampling::Yuv444, 0)),
                _ => decoder.decode_rgb(&bad, RgbMut::whole(&mut out, 160)),
            };
            refused += usize::from(result.is_err());
            suspect += usize::from(result.is_ok_and(|decoded| decoded.suspect || decoded.partial));
        } else {
            refused += 1;
        }
        if round % 10 == 0 {
            out.fill(0);
            decoder.decode_rgb(&slices[which], RgbMut::whole(&mut out, 160)).unwrap();
            assert_eq!(out, good[which], "after round {round}");
        }
    }
    assert!(refused > 1000 && suspect > 1000, "{refused} refused, {suspect} suspect");
}
