//! The library's cover: room, broken headers, the layout of a word.

use super::*;
use crate::codec::testing::SAMPLINGS;
use eyeline_proto::media::jpeg::{segments, tables};

const SIZE: Size = Size { width: 32, height: 16 };

fn jpeg(out: &mut Vec<u8>) {
    let flat = [90; 512];
    let planes = Planes { planes: [&flat; 3], strides: [32, 16, 16] };
    out.resize(Compressor::bound(SIZE, Sampling::Yuv420), 0);
    let len = Compressor::new().unwrap().compress(planes, Sampling::Yuv420, SIZE, 80, 2, out).unwrap();
    out.truncate(len);
}

#[test]
fn buffers_that_are_too_small_are_refused_before_the_library_sees_them() {
    let (mut out, flat) = (vec![0; 100_000], [0; 512]);
    let mut compressor = Compressor::new().unwrap();
    let mut compress = |luma: &[u8], stride, out: &mut [u8]| {
        let planes = Planes { planes: [luma, &flat, &flat], strides: [stride, 16, 16] };
        compressor.compress(planes, Sampling::Yuv420, SIZE, 80, 2, out)
    };
    assert!(compress(&flat, 32, &mut out).is_ok());
    assert!(matches!(compress(&flat[1..], 32, &mut out), Err(Error::Room { what: "luma", .. })));
    assert!(matches!(compress(&flat, 31, &mut out), Err(Error::Room { what: "luma", .. })));
    assert!(matches!(compress(&flat, 32, &mut out[..600]), Err(Error::Room { what: "JPEG", .. })));
    let mut bytes = Vec::new();
    jpeg(&mut bytes);
    let mut decompressor = Decompressor::new().unwrap();
    let mut pixels = [0; 512];
    assert_eq!(decompressor.rgb(&bytes, (SIZE, Shrink::Whole), &mut pixels, 32), Ok(Outcome::Clean));
    assert!(matches!(decompressor.rgb(&bytes, (SIZE, Shrink::Whole), &mut pixels[1..], 32), Err(Error::Room { .. })));
    let half = Size { height: 8, ..SIZE };
    assert_eq!(
        decompressor.rgb(&bytes, (half, Shrink::Whole), &mut pixels, 32),
        Err(Error::Size { found: SIZE, expected: half })
    );
    let (mut luma, mut cb, mut cr) = ([0; 512], [0; 512], [0; 512]);
    let planes = PlanesMut { planes: [&mut luma, &mut cb, &mut cr], strides: [32; 3] };
    assert_eq!(decompressor.planes(&bytes, Sampling::Yuv444, SIZE, planes), Err(Error::Sampling));
}

#[test]
fn a_broken_header_does_not_spoil_the_next_picture() {
    let mut good = Vec::new();
    jpeg(&mut good);
    let mut decompressor = Decompressor::new().unwrap();
    let mut pixels = [0; 512];
    let mut refused = 0;
    for at in 2..600 {
        let mut bad = good.clone();
        bad[at] ^= 0xFF;
        refused += usize::from(decompressor.rgb(&bad, (SIZE, Shrink::Whole), &mut pixels, 32).is_err());
        assert_eq!(decompressor.rgb(&good, (SIZE, Shrink::Whole), &mut pixels, 32), Ok(Outcome::Clean), "after a flip at {at}");
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_word_is_red_green_blue_from_the_top_of_its_lower_three_bytes() {
    let mut planes = [0; 3];
    let one = Size { width: 1, height: 1 };
    Compressor::new().unwrap().planes_from_rgb(&[0x00FF_0000], one, &mut planes).unwrap();
    assert_eq!(planes, [76, 85, 255], "red in BT.601");
}

const SQUARE: Size = Size { width: 16, height: 16 };

/// A grey picture of several scans, of which the first is cut short, a mere warning, and the next begins with impossible tables.
fn hopeless() -> Vec<u8> {
    let mut jpeg = vec![0; Compressor::bound(SQUARE, Sampling::Grey)];
    let planes = Planes { planes: [&[90; 256], &[], &[]], strides: [16, 0, 0] };
    let len = Compressor::new().unwrap().compress(planes, Sampling::Grey, SQUARE, 80, 2, &mut jpeg).unwrap();
    jpeg.truncate(len);
    let at = |marker: u8| jpeg.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
    let (frame, scan) = (at(0xC0), at(0xDA));
    jpeg[frame + 1] = 0xC2;
    jpeg.truncate(scan + 10);
    jpeg[scan + 8] = 0;
    jpeg.extend_from_slice(&[0xFF, 0xC4, 0, 19, 0]);
    jpeg.extend_from_slice(&[0xFF; 16]);
    jpeg.extend_from_slice(&[0xFF, 0xD9]);
    jpeg
}

#[test]
fn a_picture_that_is_given_up_after_a_warning_is_an_error_and_leaves_nothing_to_be_taken_for_it() {
    let (mut decompressor, jpeg) = (Decompressor::new().unwrap(), hopeless());
    for old in [0xFF, 0x55, 0xAA, 0] {
        let mut pixels = vec![u32::from_ne_bytes([old; 4]); 256];
        let given_up = decompressor.rgb(&jpeg, (SQUARE, Shrink::Whole), &mut pixels, 16);
        assert!(matches!(given_up, Err(Error::Fatal(_))), "{given_up:?}");
        assert_eq!(pixels[255], u32::from_ne_bytes([old; 4]), "nor a mark of ours");
        let mut luma = vec![old; 256];
        let out = PlanesMut { planes: [&mut luma, &mut [], &mut []], strides: [16, 0, 0] };
        let given_up = decompressor.planes(&jpeg, Sampling::Grey, SQUARE, out);
        assert!(matches!(given_up, Err(Error::Fatal(_))), "{given_up:?}");
        assert!(luma.iter().all(|sample| *sample == old));
    }
}

#[test]
fn a_picture_that_is_merely_cut_is_drawn_to_its_end_whatever_its_last_sample_is() {
    for level in [0x55, 0xAA, 0] {
        let mut jpeg = vec![0; Compressor::bound(SQUARE, Sampling::Grey)];
        let planes = Planes { planes: [&[level; 256], &[], &[]], strides: [16, 0, 0] };
        let len = Compressor::new().unwrap().compress(planes, Sampling::Grey, SQUARE, 100, 2, &mut jpeg).unwrap();
        jpeg.truncate(len - 3);
        let mut decompressor = Decompressor::new().unwrap();
        let mut pixels = vec![0; 256];
        assert_eq!(decompressor.rgb(&jpeg, (SQUARE, Shrink::Whole), &mut pixels, 16), Ok(Outcome::Warned));
        let mut luma = vec![0; 256];
        let out = PlanesMut { planes: [&mut luma, &mut [], &mut []], strides: [16, 0, 0] };
        assert_eq!(decompressor.planes(&jpeg, Sampling::Grey, SQUARE, out), Ok(Outcome::Warned));
        assert!(luma[..64].iter().all(|found| found.abs_diff(level) < 3), "{level}");
    }
}

#[test]
fn every_header_of_ours_is_what_the_library_writes() {
    let mut compressor = Compressor::new().unwrap();
    let size = Size { width: 37, height: 21 };
    let flat = [128; 40 * 24];
    let planes = Planes { planes: [&flat; 3], strides: [40; 3] };
    for sampling in SAMPLINGS {
        let mut written = vec![0; Compressor::bound(size, sampling)];
        for quality in 1..=100 {
            let mut ours = Vec::new();
            tables::header(&mut ours, quality, sampling, size, 3);
            compressor.compress(planes, sampling, size, quality, 3, &mut written).unwrap();
            assert_eq!(ours.len(), tables::header_len(sampling));
            assert_eq!(ours, written[..ours.len()], "{sampling:?} at quality {quality}");
        }
    }
}

#[test]
fn a_grey_band_decodes_to_grey() {
    let size = Size { width: 40, height: 24 };
    let mut decompressor = Decompressor::new().unwrap();
    for sampling in SAMPLINGS {
        for restart in [0, 5, 7] {
            let mut jpeg = Vec::new();
            tables::header(&mut jpeg, 80, sampling, size, restart);
            let (segments, _) = segments::of(&jpeg).unwrap();
            let layout = segments::parse(&segments).unwrap();
            let mcus = sampling.mcus(size);
            jpeg.extend(segments::grey_scan(&segments, &layout, (mcus.width * mcus.height) as usize).unwrap());
            jpeg.extend([0xFF, tables::EOI]);
            let mut pixels = vec![0; 40 * 24];
            let outcome = decompressor.rgb(&jpeg, (size, Shrink::Whole), &mut pixels, 40);
            assert_eq!(outcome, Ok(Outcome::Clean), "{sampling:?} {restart}");
            assert!(pixels.iter().all(|pixel| pixel & 0xFF_FFFF == 0x80_8080), "{sampling:?} {restart}");
        }
    }
}
