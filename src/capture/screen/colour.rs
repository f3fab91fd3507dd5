//! A display's pixels, words of blue, green and red, into the planes the encoder takes: full-range BT.601.
//!
//! In 16 bits, which the compiler turns into vectors: within one level of the exact values, and grey stays grey. Of 4:2:0 four
//! neighbours have the mean of their colours. Pure.

use super::damage::Rect;
use eyeline_proto::picture::{Sampling, Size};

/// Bytes of a pixel: blue, green, red, and one that says nothing.
pub const PIXEL: usize = 4;

/// What of a plane a row of pixels is written to, and what of the picture's planes there are.
pub struct Planes<'a> {
    luma: &'a mut [u8],
    blue: &'a mut [u8],
    red: &'a mut [u8],
    width: usize,
    sampling: Sampling,
    /// Of 4:2:0, the row above.
    above: Vec<u8>,
}

impl<'a> Planes<'a> {
    /// The planes of a picture of `size`: 4:4:4, or 4:2:0.
    pub fn new(planes: &'a mut [u8], sampling: Sampling, size: Size) -> Self {
        let (luma, chroma) = planes.split_at_mut(size.width as usize * size.height as usize);
        let each = chroma.len() / 2;
        let (blue, red) = chroma.split_at_mut(each);
        Planes { luma, blue, red, width: size.width as usize, sampling, above: Vec::new() }
    }

    /// Writes row `row` of a part of the picture; its rows come one after the other. Of 4:2:0 the part begins at an even place,
    /// and ends at one or with the picture.
    pub fn row(&mut self, part: Rect, row: u32, pixels: &[u8], last: bool) {
        let (x, y, width) = (part.x as usize, (part.y + row) as usize, part.size.width as usize);
        let at = y * self.width + x;
        let pixels = &pixels[..width * PIXEL];
        each(&mut self.luma[at..at + width], pixels, luma);
        match self.sampling {
            Sampling::Yuv420 if y.is_multiple_of(2) && !last => {
                self.above.clear();
                self.above.extend_from_slice(pixels);
            }
            Sampling::Yuv420 => {
                let half = self.width.div_ceil(2);
                let (at, width) = (y / 2 * half + x / 2, width.div_ceil(2));
                let above = if y.is_multiple_of(2) { pixels } else { &self.above };
                let mean: Vec<u8> = means(above, pixels);
                each(&mut self.blue[at..at + width], &mean, blue);
                each(&mut self.red[at..at + width], &mean, red);
            }
            _ => {
                each(&mut self.blue[at..at + width], pixels, blue);
                each(&mut self.red[at..at + width], pixels, red);
            }
        }
    }
}

#[inline(always)]
fn each(to: &mut [u8], pixels: &[u8], of: impl Fn(u16, u16, u16) -> u8) {
    for (to, [b, g, r, _]) in to.iter_mut().zip(pixels.as_chunks::<PIXEL>().0) {
        *to = of(u16::from(*r), u16::from(*g), u16::from(*b));
    }
}

/// Of two rows the means of two pixels side by side each.
fn means(above: &[u8], below: &[u8]) -> Vec<u8> {
    let pairs = above.chunks(2 * PIXEL).zip(below.chunks(2 * PIXEL));
    pairs
        .flat_map(|(above, below)| {
            let (right, sum) = (above.len() - PIXEL, |at: usize, row: &[u8]| u16::from(row[at]));
            std::array::from_fn::<u8, PIXEL, _>(|at| {
                let four = sum(at, above) + sum(right + at, above) + sum(at, below) + sum(right + at, below);
                ((four + 2) / 4) as u8
            })
        })
        .collect()
}

/// 0.299 R + 0.587 G + 0.114 B.
#[inline(always)]
pub fn luma(r: u16, g: u16, b: u16) -> u8 {
    ((77 * r + 150 * g + 29 * b + 128) >> 8) as u8
}

/// 128 - 0.1687 R - 0.3313 G + 0.5 B.
#[inline(always)]
fn blue(r: u16, g: u16, b: u16) -> u8 {
    ((32_895 + 128 * b - 43 * r - 85 * g) >> 8) as u8
}

/// 128 + 0.5 R - 0.4187 G - 0.0813 B.
#[inline(always)]
fn red(r: u16, g: u16, b: u16) -> u8 {
    ((32_895 + 128 * r - 107 * g - 21 * b) >> 8) as u8
}

/// How far a colour of premultiplied light is from none: luma, and blue and red around 0.
pub fn light(r: u16, g: u16, b: u16) -> [i32; 3] {
    [i32::from(luma(r, g, b)), i32::from(blue(r, g, b)) - 128, i32::from(red(r, g, b)) - 128]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(r: f64, g: f64, b: f64) -> [f64; 3] {
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402]
    }

    #[test]
    fn colours_are_within_a_level_of_the_exact_ones_and_grey_stays_grey() {
        let steps = || (0..=255_u16).step_by(5);
        for (r, g, b) in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| (r, g, b)))) {
            let exact = exact(f64::from(r), f64::from(g), f64::from(b));
            let made = [luma(r, g, b), blue(r, g, b), red(r, g, b)];
            for (made, exact) in made.into_iter().zip(exact) {
                assert!((f64::from(made) - exact).abs() < 1.6, "{made} for {exact} of {r} {g} {b}");
            }
        }
        for grey in 0..=255 {
            assert_eq!([luma(grey, grey, grey), blue(grey, grey, grey), red(grey, grey, grey)], [grey as u8, 128, 128]);
        }
    }

    /// A part of another colour in black.
    fn drawn(sampling: Sampling, size: Size, part: Rect, [r, g, b]: [u8; 3]) -> Vec<u8> {
        let mut planes = vec![0; sampling.bytes(size)];
        let area = (size.width * size.height) as usize;
        planes[area..].fill(128);
        let pixels = [b, g, r, 0].repeat(part.size.width as usize);
        let mut into = Planes::new(&mut planes, sampling, size);
        (0..part.size.height).for_each(|row| into.row(part, row, &pixels, row + 1 == part.size.height));
        planes
    }

    #[test]
    fn a_part_is_written_to_its_place_in_every_plane_and_nowhere_else() {
        let colour = [200, 40, 90];
        let [y, cb, cr] = [luma(200, 40, 90), blue(200, 40, 90), red(200, 40, 90)];
        for (sampling, step) in [(Sampling::Yuv444, 1), (Sampling::Yuv420, 2)] {
            let size = Size { width: 21, height: 13 };
            let part = Rect { x: 8, y: 6, size: Size { width: 13, height: 7 } };
            let planes = drawn(sampling, size, part, colour);
            let (luma, chroma) = planes.split_at(21 * 13);
            for (at, luma) in luma.iter().enumerate() {
                assert_eq!(*luma, if at % 21 >= 8 && at / 21 >= 6 { y } else { 0 }, "{sampling:?} {at}");
            }
            let columns = 21_usize.div_ceil(step);
            for (plane, wanted) in chroma.chunks(chroma.len() / 2).zip([cb, cr]) {
                for (at, value) in plane.iter().enumerate() {
                    let inside = at % columns >= 8 / step && at / columns >= 6 / step;
                    assert_eq!(*value, if inside { wanted } else { 128 }, "{sampling:?} {at}");
                }
            }
        }
    }
}
