//! Slices decoded, whole and in part, and what is refused.

use super::*;
use crate::codec::raw::Compressor;
use crate::codec::testing::{self, SAMPLINGS, drawn, planes_from, psnr};
use eyeline_proto::media::slice::LENGTH_PREFIX;

const SIZE: Size = Size { width: 160, height: 96 };
const OLD: u32 = 0x0012_3456;

#[test]
fn all_samplings_and_odd_sizes_come_back_as_they_went() {
    let mut decoder = Decoder::new().unwrap();
    for sampling in SAMPLINGS {
        for (width, height) in [(1, 1), (1, 17), (17, 1), (2, 3), (15, 16), (33, 47), (64, 49), (65, 64)] {
            let size = Size { width, height };
            let planes = testing::planes(size, sampling, 5);
            let mut back = vec![0; planes.len()];
            let mcu_height = sampling.mcu().height;
            for top in (0..height).step_by(2 * mcu_height as usize) {
                let rows = (2 * mcu_height).min(height - top);
                let slice = testing::slice(&planes, &testing::head(size, sampling, 98, top, rows));
                let decoded = decoder.decode_planes(&slice, planes_from(&mut back, size, sampling, top)).unwrap();
                assert_eq!(decoded, Decoded { rows, partial: false, suspect: false });
            }
            assert!(psnr(&planes, &back) > 40.0, "{sampling:?} {size}: {:.1} dB", psnr(&planes, &back));
        }
    }
}

/// The mean of each square of so many words, colour by colour.
fn averaged(words: &[u32], size: Size, shrink: Shrink) -> Vec<u32> {
    let (seen, by) = (shrink.size(size), shrink.divisor());
    let mean = |left: u32, top: u32| {
        let (right, low) = ((left + by).min(size.width), (top + by).min(size.height));
        let square = || (top..low).flat_map(|y| (left..right).map(move |x| words[(y * size.width + x) as usize]));
        let of = |shift: u32| square().map(|word| word >> shift & 255).sum::<u32>() / ((right - left) * (low - top));
        of(16) << 16 | of(8) << 8 | of(0)
    };
    (0..seen.height).flat_map(|y| (0..seen.width).map(move |x| (x * by, y * by))).map(|(x, y)| mean(x, y)).collect()
}

#[test]
fn a_picture_made_smaller_is_the_same_picture_band_by_band_and_in_part() {
    let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(3)).collect::<Vec<_>>();
    let mut decoder = Decoder::new().unwrap();
    for sampling in SAMPLINGS {
        for (width, height) in [(640, 352), (333, 207)] {
            let size = Size { width, height };
            let planes = testing::planes(size, sampling, 5);
            let whole = drawn(&testing::slice(&planes, &testing::head(size, sampling, 95, 0, height)), size);
            for shrink in [Shrink::Half, Shrink::Quarter, Shrink::Eighth] {
                let seen = shrink.size(size);
                let stride = seen.width as usize;
                let mut small = vec![OLD; stride * seen.height as usize];
                for top in (0..height).step_by(32) {
                    let rows = 32.min(height - top);
                    let slice = testing::slice(&planes, &testing::head(size, sampling, 95, top, rows));
                    let out = &mut small[(top / shrink.divisor()) as usize * stride..];
                    let out = &mut out[..shrink.side(rows) as usize * stride];
                    let decoded = decoder.decode_rgb(&slice, RgbMut { out, stride, shrink }).unwrap();
                    assert_eq!(decoded, Decoded { rows, partial: false, suspect: false });
                }
                let near = psnr(&bytes(&averaged(&whole, size, shrink)), &bytes(&small));
                assert!(near > 27.0, "{sampling:?} {size} {shrink:?}: {near:.1} dB");
                // Of the first band the first row of MCUs, and nothing else.
                let slice = testing::slice(&planes, &testing::head(size, sampling, 95, 0, 32));
                let mut part = vec![OLD; stride * shrink.side(32) as usize];
                let end = slice.scan().len() - 3;
                let out = RgbMut { out: &mut part, stride, shrink };
                let decoded = decoder.decode_rgb_part(&slice, std::slice::from_ref(&(0..end)), false, out).unwrap();
                let there = (decoded.rows / shrink.divisor()) as usize * stride;
                assert!(decoded.partial && decoded.rows >= 16, "{decoded:?}");
                assert!(part[there..].iter().all(|word| *word == OLD) && part[..there].iter().all(|word| *word != OLD));
                // The next as it was, for nothing of the scale stays.
                assert_eq!(
                    drawn_by(&mut decoder, &testing::slice(&planes, &testing::head(size, sampling, 95, 0, height)), size),
                    whole
                );
            }
        }
    }
}

fn drawn_by(decoder: &mut Decoder, slice: &Slice, size: Size) -> Vec<u32> {
    let mut out = vec![0; (size.width * size.height) as usize];
    decoder.decode_rgb(slice, RgbMut::whole(&mut out, size.width as usize)).unwrap();
    out
}

#[test]
fn words_are_what_the_planes_say() {
    let grey = Size { width: 24, height: 16 };
    let mut planes = vec![76; 24 * 16];
    planes.resize(Sampling::Yuv444.bytes(grey), 85);
    planes[2 * 24 * 16..].fill(255);
    let slice = testing::slice(&planes, &testing::head(grey, Sampling::Yuv444, 95, 0, 16));
    for word in drawn(&slice, grey) {
        let (red, green, blue) = (word >> 16 & 255, word >> 8 & 255, word & 255);
        assert!(red > 250 && green < 6 && blue < 6, "{word:#x}");
    }
}

#[test]
fn heads_and_tables_that_contradict_each_other_are_refused() {
    let planes = testing::planes(SIZE, Sampling::Yuv420, 3);
    let slice = testing::foreign_slice(&planes, SIZE, 10);
    drawn(&slice, SIZE);
    let mut out = vec![OLD; 160 * 96];
    let mut refused = |at: usize, byte: u8| {
        let mut bad = slice.bytes()[LENGTH_PREFIX..].to_vec();
        bad[at] = byte;
        let bad = testing::read(&bad).unwrap();
        let error = Decoder::new().unwrap().decode_rgb(&bad, RgbMut::whole(&mut out, 160)).unwrap_err();
        assert!(matches!(error, Error::Contradiction(_)), "{error}");
    };
    refused(0, 0x82); // 4:2:2
    refused(3, 161); // width
    refused(5, 97); // height
    refused(9, 95); // rows
    refused(11, 11); // restart interval
    assert!(out.iter().all(|pixel| *pixel == OLD));
}

#[test]
fn a_few_bytes_cannot_cost_a_giant_picture() {
    let giant = Size { width: 8192, height: 8192 };
    for restart in [0, 1, 512, u16::MAX] {
        let head = Head { restart, ..testing::head(giant, Sampling::Yuv420, 80, 0, 8192) };
        let mut decoder = Decoder::new().unwrap();
        let decoded = decoder.decode_rgb(&Slice::new(0, 0, 1, &head, &[0x12; 40]), RgbMut::whole(&mut [], 8192));
        assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.rows == 0), "{restart}");
        assert!(decoder.pixels.len() <= 8192 * 16, "{restart}: {} pixels", decoder.pixels.len());
    }
}

#[test]
fn the_size_of_slices_is_that_of_one_jpeg() {
    let size = Size { width: 1280, height: 720 };
    let planes = testing::planes(size, Sampling::Yuv420, 1);
    let mut jpeg = vec![0; Compressor::bound(size, Sampling::Yuv420)];
    let input = crate::codec::raw::Planes {
        planes: [&planes, &planes[1280 * 720..], &planes[1280 * 720 * 5 / 4..]],
        strides: [1280, 640, 640],
    };
    let whole = Compressor::new().unwrap().compress(input, Sampling::Yuv420, size, 90, 80, &mut jpeg).unwrap();
    let bands = crate::codec::bands::Bands::new(size, Sampling::Yuv420, whole, 4);
    let mut back = vec![0; planes.len()];
    let (mut sum, mut decoder) = (0, Decoder::new().unwrap());
    for index in 0..bands.count() {
        let (top, rows) = bands.band(index);
        let slice = testing::slice(&planes, &testing::head(size, Sampling::Yuv420, 90, top, rows));
        sum += slice.bytes().len();
        decoder.decode_planes(&slice, planes_from(&mut back, size, Sampling::Yuv420, top)).unwrap();
    }
    let (ratio, luma) = (sum as f64 / whole as f64, psnr(&planes[..1280 * 720], &back[..1280 * 720]));
    println!("{} slices: {sum} bytes, one JPEG {whole}, ratio {ratio:.4}; luma {luma:.1} dB at quality 90", bands.count());
    assert!(whole > 100_000 && ratio <= 1.02, "{whole}, {ratio}");
    assert!(luma >= 40.0, "{luma}");
}

#[test]
fn colours_halved_and_brought_back_are_close_to_what_they_were() {
    let size = Size { width: 640, height: 352 };
    let full = testing::planes(size, Sampling::Yuv444, 1);
    let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(3)).collect::<Vec<_>>();
    let before = bytes(&drawn(&testing::slice(&full, &testing::head(size, Sampling::Yuv444, 100, 0, size.height)), size));
    let (luma, colour) = full.split_at(640 * 352);
    let mut halved = luma.to_vec();
    for rows in colour.chunks_exact(2 * 640) {
        let (upper, lower) = rows.split_at(640);
        let sum = |pair: &[u8]| u32::from(pair[0]) + u32::from(pair[1]);
        halved.extend(upper.chunks_exact(2).zip(lower.chunks_exact(2)).map(|(a, b)| ((sum(a) + sum(b) + 2) / 4) as u8));
    }
    for (quality, least) in [(50, 34.8), (80, 35.8), (95, 37.0)] {
        let slice = testing::slice(&halved, &testing::head(size, Sampling::Yuv420, quality, 0, size.height));
        let after = psnr(&before, &bytes(&drawn(&slice, size)));
        println!("quality {quality}: {after:.2} dB");
        assert!(after >= least, "quality {quality}: {after:.2} dB");
    }
}

/// The greatest and the mean difference of a colour between a picture decoded whole and band by band, in the rows beside the
/// bands' borders; and the greatest elsewhere.
fn seam(planes: &[u8], size: Size, quality: u8) -> (u32, f64, u32) {
    let width = size.width as usize;
    let whole = drawn(&testing::slice(planes, &testing::head(size, Sampling::Yuv420, quality, 0, size.height)), size);
    let mut banded = vec![0; whole.len()];
    for top in (0..size.height).step_by(32) {
        let slice = testing::slice(planes, &testing::head(size, Sampling::Yuv420, quality, top, 32.min(size.height - top)));
        Decoder::new().unwrap().decode_rgb(&slice, RgbMut::whole(&mut banded[top as usize * width..], width)).unwrap();
    }
    let (mut beside, mut sum, mut count, mut elsewhere) = (0, 0, 0, 0);
    for (at, (a, b)) in whole.iter().zip(&banded).enumerate() {
        let row = at / width;
        for shift in [0, 8, 16] {
            let difference = (a >> shift & 255).abs_diff(b >> shift & 255);
            if matches!(row % 32, 0 | 31) && row > 0 && row + 1 < size.height as usize {
                (beside, sum, count) = (beside.max(difference), sum + difference, count + 1);
            } else {
                elsewhere = elsewhere.max(difference);
            }
        }
    }
    (beside, f64::from(sum) / f64::from(count), elsewhere)
}

#[test]
fn bands_meet_without_a_seam() {
    let size = Size { width: 640, height: 352 };
    let lens = testing::planes(size, Sampling::Yuv420, 1);
    // Colour that runs from one end of its range to the other over the picture's height.
    let mut ramp = vec![128; 640 * 352];
    let chroma = |row: usize| std::iter::repeat_n((row * 255 / 175) as u8, 320);
    ramp.extend((0..2 * 176).flat_map(|row| chroma(row % 176)));
    for (name, planes, most) in [("lens", lens, 16), ("ramp", ramp, 4)] {
        let (beside, mean, elsewhere) = seam(&planes, size, 80);
        println!("{name}: beside a border at most {beside}, {mean:.3} in the mean; elsewhere at most {elsewhere}");
        assert!(beside <= most && mean < 1.0 && elsewhere == 0, "{name}: {beside}, {mean}, {elsewhere}");
    }
}
