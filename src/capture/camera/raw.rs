//! A camera's raw pictures, YUYV and NV12, into the planes the encoder takes: full-range BT.601, never through RGB.
//!
//! V4L2's Y'CbCr is limited range unless it says otherwise (`V4L2_MAP_QUANTIZATION_DEFAULT`), so 16–235/240 is stretched to
//! 0–255 on the way, correctly rounded, in 16-bit arithmetic that the compiler turns into vectors (a table would not be).
//! Rows may be padded. A buffer too short for its rows is refused.

use eyeline_proto::picture::{Buffer, BufferPool, Sampling, Size};

/// How a raw picture's numbers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Colours {
    /// 0–255 instead of 16–235/240.
    pub full_range: bool,
    /// The BT.709 matrix instead of BT.601's.
    pub bt709: bool,
}

/// The buffer holds fewer rows than the picture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the picture is cut short: {have} bytes where {need} are needed")]
pub struct Short {
    pub have: usize,
    pub need: usize,
}

/// Bytes from one row to the next: what the driver says; where it says nothing or nonsense, what the buffer's length says if
/// that comes out even; else the row itself.
fn stride(said: usize, row: usize, buffer: usize, rows: usize) -> usize {
    let derived = buffer.checked_div(rows).filter(|_| buffer.is_multiple_of(rows.max(1)));
    if said >= row { said } else { derived.filter(|&stride| stride >= row && stride <= 2 * row).unwrap_or(row) }
}

/// YUYV into 4:2:2 planes. `stride` is the driver's bytes a line, 0 where unknown.
pub fn yuyv(bytes: &[u8], size: Size, stride_said: usize, colours: Colours, pool: &BufferPool) -> Result<Buffer, Short> {
    let (width, height) = (size.width as usize, size.height as usize);
    let half = width.div_ceil(2);
    let stride = stride(stride_said, half * 4, bytes.len(), height);
    let need = stride * height.saturating_sub(1) + half * 4;
    if bytes.len() < need {
        return Err(Short { have: bytes.len(), need });
    }
    let mut planes = pool.take(Sampling::Yuv422.bytes(size));
    let (luma, chroma) = planes.split_at_mut(width * height);
    let (blue, red) = chroma.split_at_mut(half * height);
    let rows = luma.chunks_exact_mut(width).zip(blue.chunks_exact_mut(half)).zip(red.chunks_exact_mut(half));
    for (((luma, blue), red), row) in rows.zip(bytes.chunks(stride)) {
        let row = &row[..half * 4];
        if colours.full_range {
            unpack_yuyv(row, luma, blue, red, |y| y, |c| c);
        } else {
            unpack_yuyv(row, luma, blue, red, stretch_luma, stretch_chroma);
        }
    }
    if colours.bt709 {
        to_bt601(luma, blue, red, width, 1);
    }
    Ok(planes)
}

/// NV12 into 4:2:0 planes. `stride` is the driver's bytes a line of either plane, 0 where unknown.
pub fn nv12(bytes: &[u8], size: Size, stride_said: usize, colours: Colours, pool: &BufferPool) -> Result<Buffer, Short> {
    let (width, height) = (size.width as usize, size.height as usize);
    let (half, half_rows) = (width.div_ceil(2), height.div_ceil(2));
    let stride = stride(stride_said, half * 2, bytes.len(), height + half_rows);
    let need = stride * (height + half_rows).saturating_sub(1) + half * 2;
    if bytes.len() < need {
        return Err(Short { have: bytes.len(), need });
    }
    let (source_luma, source_chroma) = bytes.split_at(stride * height);
    let mut planes = pool.take(Sampling::Yuv420.bytes(size));
    let (luma, chroma) = planes.split_at_mut(width * height);
    let (blue, red) = chroma.split_at_mut(half * half_rows);
    for (luma, row) in luma.chunks_exact_mut(width).zip(source_luma.chunks(stride)) {
        if colours.full_range {
            luma.copy_from_slice(&row[..width]);
        } else {
            map(luma, &row[..width], stretch_luma);
        }
    }
    for ((blue, red), row) in blue.chunks_exact_mut(half).zip(red.chunks_exact_mut(half)).zip(source_chroma.chunks(stride)) {
        if colours.full_range {
            unzip(&row[..half * 2], blue, red, |c| c);
        } else {
            unzip(&row[..half * 2], blue, red, stretch_chroma);
        }
    }
    if colours.bt709 {
        to_bt601(luma, blue, red, width, 2);
    }
    Ok(planes)
}

/// Luma 16–235 to 0–255: `(y - 16) * 255 / 219` rounded, as `n + (24 n + 73) / 146` with the division by 73 as a product.
#[inline(always)]
fn stretch_luma(y: u8) -> u8 {
    let n = u16::from(y.saturating_sub(16));
    let part = ((u32::from((24 * n + 73) >> 1) * 898) >> 16) as u16;
    (n + part).min(255) as u8
}

/// Chroma 16–240 to 0–255 around 128: `(c - 128) * 255 / 224` rounded, as `c + (62 c + 352) / 448 - 18`, the division by 7 a
/// product.
#[inline(always)]
fn stretch_chroma(c: u8) -> u8 {
    let c = u16::from(c);
    let part = ((u32::from((62 * c + 352) >> 6) * 9363) >> 16) as u16;
    (c + part).saturating_sub(18).min(255) as u8
}

#[inline(always)]
fn map(to: &mut [u8], from: &[u8], change: impl Fn(u8) -> u8) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = change(*from);
    }
}

/// One row: three passes over bytes that are in the first cache, each of a shape the compiler knows how to vectorise.
#[inline(always)]
fn unpack_yuyv(row: &[u8], luma: &mut [u8], blue: &mut [u8], red: &mut [u8], y: impl Fn(u8) -> u8, c: impl Fn(u8) -> u8) {
    for (luma, pair) in luma.iter_mut().zip(row.as_chunks::<2>().0) {
        *luma = y(pair[0]);
    }
    for (blue, quad) in blue.iter_mut().zip(row.as_chunks::<4>().0) {
        *blue = c(quad[1]);
    }
    for (red, quad) in red.iter_mut().zip(row.as_chunks::<4>().0) {
        *red = c(quad[3]);
    }
}

#[inline(always)]
fn unzip(row: &[u8], blue: &mut [u8], red: &mut [u8], c: impl Fn(u8) -> u8) {
    for (blue, pair) in blue.iter_mut().zip(row.as_chunks::<2>().0) {
        *blue = c(pair[0]);
    }
    for (red, pair) in red.iter_mut().zip(row.as_chunks::<2>().0) {
        *red = c(pair[1]);
    }
}

/// Full-range BT.709 to full-range BT.601, in place. Grey stays; the rest is one linear map, from both standards' luma weights:
///
/// ```text
/// Y'  = Y  + 0.10158 Cb + 0.19608 Cr
/// Cb' =      0.98985 Cb - 0.11065 Cr
/// Cr' =    - 0.07245 Cb + 0.98340 Cr
/// ```
fn to_bt601(luma: &mut [u8], blue: &mut [u8], red: &mut [u8], width: usize, luma_rows: usize) {
    let half = width.div_ceil(2);
    let mut lift = vec![0i16; half];
    let rows = luma.chunks_mut(width * luma_rows).zip(blue.chunks_exact_mut(half)).zip(red.chunks_exact_mut(half));
    for ((luma, blue), red) in rows {
        for ((lift, blue), red) in lift.iter_mut().zip(blue).zip(red) {
            let (b, r) = (i16::from(*blue) - 128, i16::from(*red) - 128);
            *lift = (52 * b + 100 * r + 256) >> 9;
            *blue = (128 + b - ((10 * b + 113 * r + 512) >> 10)).clamp(0, 255) as u8;
            *red = (128 + r - ((74 * b + 17 * r + 512) >> 10)).clamp(0, 255) as u8;
        }
        for row in luma.chunks_mut(width) {
            for (pair, lift) in row.chunks_mut(2).zip(&lift) {
                for luma in pair {
                    *luma = (i16::from(*luma) + lift).clamp(0, 255) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITED: Colours = Colours { full_range: false, bt709: false };
    const FULL: Colours = Colours { full_range: true, bt709: false };

    fn luma_reference(y: u8) -> u8 {
        ((f64::from(y) - 16.0) * 255.0 / 219.0 + 0.5).floor().clamp(0.0, 255.0) as u8
    }

    fn chroma_reference(c: u8) -> u8 {
        ((f64::from(c) - 128.0) * 255.0 / 224.0 + 128.5).floor().clamp(0.0, 255.0) as u8
    }

    #[test]
    fn every_value_is_stretched_to_the_correctly_rounded_one() {
        for value in 0..=255 {
            assert_eq!(stretch_luma(value), luma_reference(value), "luma {value}");
            assert_eq!(stretch_chroma(value), chroma_reference(value), "chroma {value}");
        }
        assert_eq!((stretch_luma(16), stretch_luma(235), stretch_chroma(128)), (0, 255, 128));
    }

    /// The planes, one sample at a time.
    fn reference(bytes: &[u8], size: Size, stride: usize, full: bool, packed: bool) -> Vec<u8> {
        let (width, height) = (size.width as usize, size.height as usize);
        let (half, rows) = (width.div_ceil(2), if packed { height } else { height.div_ceil(2) });
        let luma = |y: u8| if full { y } else { luma_reference(y) };
        let chroma = |c: u8| if full { c } else { chroma_reference(c) };
        let mut planes = Vec::new();
        for y in 0..height {
            planes.extend((0..width).map(|x| luma(bytes[y * stride + if packed { 2 * x } else { x }])));
        }
        for plane in 0..2 {
            for y in 0..rows {
                let at =
                    |x: usize| if packed { y * stride + 4 * x + 1 + 2 * plane } else { (height + y) * stride + 2 * x + plane };
                planes.extend((0..half).map(|x| chroma(bytes[at(x)])));
            }
        }
        planes
    }

    proptest! {
        #[test]
        fn both_formats_unpack_like_the_naive_loop(width in 1..70u32, height in 1..9u32, pad in 0..40usize, full: bool, seed: u64) {
            let size = Size { width, height };
            let colours = if full { FULL } else { LIMITED };
            let noise = |len: usize| -> Vec<u8> {
                (0..len as u64).map(|i| ((i ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
            };
            let stride = width.div_ceil(2) as usize * 4 + pad;
            let bytes = noise(stride * height as usize);
            let planes = yuyv(&bytes, size, stride, colours, &BufferPool::new()).unwrap();
            prop_assert_eq!(&planes[..], &reference(&bytes, size, stride, full, true)[..]);
            let stride = width.div_ceil(2) as usize * 2 + pad;
            let bytes = noise(stride * (height + height.div_ceil(2)) as usize);
            let planes = nv12(&bytes, size, stride, colours, &BufferPool::new()).unwrap();
            prop_assert_eq!(&planes[..], &reference(&bytes, size, stride, full, false)[..]);
        }

        #[test]
        fn a_short_buffer_is_refused_and_never_panics(len in 0..3000usize, width in 1..70u32, height in 1..30u32, said in 0..300usize) {
            let (bytes, size, pool) = (vec![0; len], Size { width, height }, BufferPool::new());
            let least = width.div_ceil(2) as usize * 4 * height as usize;
            prop_assert!(len >= least || yuyv(&bytes, size, said, LIMITED, &pool).is_err());
            let least = width.div_ceil(2) as usize * 2 * (height + height.div_ceil(2)) as usize;
            prop_assert!(len >= least || nv12(&bytes, size, said, LIMITED, &pool).is_err());
        }
    }

    #[test]
    fn padding_the_driver_hides_is_found_from_the_buffer_length() {
        let size = Size { width: 4, height: 2 };
        let bytes: Vec<u8> = (0..24).collect();
        let planes = yuyv(&bytes, size, 0, FULL, &BufferPool::new()).unwrap();
        assert_eq!(planes[..8], [0, 2, 4, 6, 12, 14, 16, 18]);
    }

    #[test]
    fn bt709_becomes_bt601_within_a_step() {
        let rgb = |y: f64, b: f64, r: f64, kr: f64, kb: f64| {
            let (red, blue) = (y + 2.0 * (1.0 - kr) * r, y + 2.0 * (1.0 - kb) * b);
            [red, (y - kr * red - kb * blue) / (1.0 - kr - kb), blue]
        };
        for (y, b, r) in [(128u8, 128u8, 128u8), (180, 100, 150), (90, 160, 110), (120, 128, 200), (63, 140, 120)] {
            let bytes = [y, b, y, r];
            let size = Size { width: 2, height: 1 };
            let planes = yuyv(&bytes, size, 4, Colours { full_range: true, bt709: true }, &BufferPool::new()).unwrap();
            let want = rgb(f64::from(y), f64::from(b) - 128.0, f64::from(r) - 128.0, 0.2126, 0.0722);
            let got = rgb(f64::from(planes[0]), f64::from(planes[2]) - 128.0, f64::from(planes[3]) - 128.0, 0.299, 0.114);
            for (want, got) in want.iter().zip(got) {
                assert!((want - got).abs() < 2.0, "{y} {b} {r}: {want} became {got}");
            }
        }
    }
}
