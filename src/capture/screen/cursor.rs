//! The mouse's cursor, which no fetched picture of a screen has: drawn into the planes.
//!
//! Its pixels are words of alpha, red, green and blue, colours multiplied by alpha. What is made of light is linear in them, so
//! it is blended in the planes as it would be on the screen. Of 4:2:0 four neighbours have the mean of their colours. Pure.

use super::colour;
use super::damage::Rect;
use eyeline_proto::picture::{Sampling, Size};

/// A cursor's picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    width: u32,
    height: u32,
    /// The pixel that points, from its upper left.
    hot: (i64, i64),
    /// Alpha, and light as planes have it, of each pixel.
    pixels: Vec<[i32; 4]>,
}

impl Cursor {
    /// From the display's words. Of too few nothing is seen.
    pub fn new((width, height): (u16, u16), hot: (u16, u16), words: &[u32]) -> Self {
        if words.len() < usize::from(width) * usize::from(height) {
            return Cursor::default();
        }
        let pixel = |word: &u32| {
            let [b, g, r, alpha] = word.to_le_bytes();
            let [y, cb, cr] = colour::light(r.into(), g.into(), b.into());
            [i32::from(alpha), y, cb, cr]
        };
        let hot = (hot.0.into(), hot.1.into());
        Cursor { width: width.into(), height: height.into(), hot, pixels: words.iter().map(pixel).collect() }
    }

    /// What it covers of a picture of this size where it points at this place of it.
    pub fn covers(&self, size: Size, at: (i64, i64)) -> Option<Rect> {
        Rect::within(size, (at.0 - self.hot.0, at.1 - self.hot.1), (self.width, self.height))
    }

    /// Draws it, pointing at this place of a picture.
    pub fn draw(&self, planes: &mut [u8], sampling: Sampling, size: Size, at: (i64, i64)) {
        let Some(part) = self.covers(size, at) else { return };
        let (left, top) = (at.0 - self.hot.0, at.1 - self.hot.1);
        let pixel = |x: u32, y: u32| {
            let inside = |at: i64, length: u32| u32::try_from(at).ok().filter(|at| *at < length);
            let column = inside(i64::from(x) - left, self.width).filter(|_| x < size.width)?;
            let row = inside(i64::from(y) - top, self.height).filter(|_| y < size.height)?;
            self.pixels.get((row * self.width + column) as usize)
        };
        let (luma, chroma) = planes.split_at_mut(size.width as usize * size.height as usize);
        let (right, bottom) = (part.x + part.size.width, part.y + part.size.height);
        for (x, y) in (part.y..bottom).flat_map(|y| (part.x..right).map(move |x| (x, y))) {
            let Some([alpha, light, ..]) = pixel(x, y) else { continue };
            let under = &mut luma[(y * size.width + x) as usize];
            *under = blend(i32::from(*under), *alpha, *light);
        }
        let Some(small) = sampling.chroma(size) else { return };
        let (across, down) = (size.width.div_ceil(small.width), size.height.div_ceil(small.height));
        let (blue, red) = chroma.split_at_mut(small.width as usize * small.height as usize);
        for (x, y) in
            (part.y / down..bottom.div_ceil(down)).flat_map(|y| (part.x / across..right.div_ceil(across)).map(move |x| (x, y)))
        {
            let covered = (0..down).flat_map(|dy| (0..across).map(move |dx| (across * x + dx, down * y + dy)));
            let (mut sums, samples) = ([0; 3], (across * down) as i32);
            for [alpha, _, cb, cr] in covered.filter_map(|(x, y)| pixel(x, y)) {
                sums = [sums[0] + alpha, sums[1] + cb, sums[2] + cr];
            }
            let [alpha, cb, cr] = sums.map(|sum| sum / samples);
            for (plane, light) in [(&mut *blue, cb), (&mut *red, cr)] {
                let under = &mut plane[(y * small.width + x) as usize];
                // Around no colour.
                *under = (i32::from(blend(i32::from(*under), alpha, light + alpha * 128 / 255))).clamp(0, 255) as u8;
            }
        }
    }
}

/// Light of so much, over what is seen through.
fn blend(under: i32, alpha: i32, light: i32) -> u8 {
    (light + (under * (255 - alpha) + 127) / 255).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 32, height: 20 };

    fn grey(sampling: Sampling) -> Vec<u8> {
        let mut planes = vec![128; sampling.bytes(SIZE)];
        planes[..640].fill(100);
        planes
    }

    fn drawn(sampling: Sampling, word: u32, at: (i64, i64)) -> Vec<u8> {
        let mut planes = grey(sampling);
        Cursor::new((4, 6), (1, 2), &[word; 24]).draw(&mut planes, sampling, SIZE, at);
        planes
    }

    #[test]
    fn what_is_opaque_covers_what_is_clear_does_not_and_half_is_half() {
        for sampling in [Sampling::Yuv444, Sampling::Yuv420] {
            assert_eq!(drawn(sampling, 0, (10, 10)), grey(sampling));
            let white = drawn(sampling, 0xffff_ffff, (11, 10));
            let covered: Vec<usize> = (0..640).filter(|at| white[*at] == 255).collect();
            let wanted: Vec<usize> = (8..14).flat_map(|y| (10..14).map(move |x| y * 32 + x)).collect();
            assert_eq!(covered, wanted);
            assert!(white[640..].iter().all(|colour| *colour == 128), "white has no colour");
            let half = drawn(sampling, 0x8080_8080, (11, 10));
            assert!(wanted.iter().all(|at| half[*at].abs_diff(178) <= 1), "{}", half[wanted[0]]);
            assert!(half[640..].iter().all(|colour| colour.abs_diff(128) <= 1));
        }
    }

    #[test]
    fn a_red_one_is_red_in_every_sampling() {
        for (sampling, columns) in [(Sampling::Yuv444, 32), (Sampling::Yuv420, 16)] {
            let red = drawn(sampling, 0xffff_0000, (11, 10));
            let step = 32 / columns;
            let at = 640 + (8 / step) * columns + 10 / step;
            let plane = (red.len() - 640) / 2;
            assert!(red[at].abs_diff(85) <= 2 && red[at + plane] >= 254, "{} {}", red[at], red[at + plane]);
        }
    }

    #[test]
    fn at_an_edge_what_is_outside_is_left_out() {
        for sampling in [Sampling::Yuv444, Sampling::Yuv420] {
            for at in [(0, 0), (31, 19), (-3, 5), (40, 40), (-1000, 3)] {
                let planes = drawn(sampling, 0xffff_ffff, at);
                let covered = Cursor::new((4, 6), (1, 2), &[0; 24]).covers(SIZE, at);
                let area = covered.map_or(0, |part| part.size.width * part.size.height);
                assert_eq!(planes[..640].iter().filter(|luma| **luma == 255).count(), area as usize, "{at:?}");
            }
        }
        assert_eq!(Cursor::new((4, 6), (0, 0), &[0; 23]), Cursor::default());
    }
}
