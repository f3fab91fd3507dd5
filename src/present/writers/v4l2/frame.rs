//! What a virtual camera is given: pictures of one size for ever, YU12 of BT.601 in limited range.
//!
//! Its first picture decides the size, which no program that reads it expects to change: what comes later is made to fit, with
//! black bars where the shape differs. Sides are even, for programs that take no others. Where nothing is to be seen it is
//! grey. Pure.

use crate::fit::Fit;
use eyeline_proto::picture::{Sampling, Size};

/// What is seen where nobody sends: a grey of which no camera makes a picture.
const GREY: u8 = 96;

/// The least luma of limited range.
const BLACK: u8 = 16;

/// See the module text.
#[derive(Default)]
pub struct Frames {
    shape: Option<(Size, Fit)>,
    last: Vec<u8>,
}

impl Frames {
    /// A picture of words of red, green and blue, `0x00RRGGBB`; one without pixels is none.
    pub fn picture(&mut self, pixels: &[u32], size: Size) {
        let area = size.width as usize * size.height as usize;
        if !size.is_possible() || pixels.len() < area {
            return;
        }
        let (shape, fit) = self.shape.get_or_insert_with(|| {
            let shape = Size { width: size.width.next_multiple_of(2), height: size.height.next_multiple_of(2) };
            (shape, Fit::into(shape, Sampling::Yuv420))
        });
        let planes = yu12(&pixels[..area], size);
        if *shape == size {
            self.last = planes;
            return;
        }
        self.last = fit.convert(size, Sampling::Yuv420, &planes);
        let luma = shape.width as usize * shape.height as usize;
        // Bars are black of full range.
        self.last[..luma].iter_mut().for_each(|luma| *luma = (*luma).max(BLACK));
    }

    /// Nobody sends.
    pub fn nothing(&mut self) {
        if let Some((shape, _)) = &self.shape {
            let luma = shape.width as usize * shape.height as usize;
            self.last.fill(128);
            self.last[..luma].fill(GREY);
        }
    }

    /// What is seen now, and its size; `None` before the first picture.
    pub fn last(&self) -> Option<(Size, &[u8])> {
        self.shape.as_ref().map(|(size, _)| (*size, &self.last[..]))
    }
}

/// Planes of luma, blue and red, four pixels sharing the mean of their colours.
fn yu12(pixels: &[u32], size: Size) -> Vec<u8> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut planes = Vec::with_capacity(Sampling::Yuv420.bytes(size));
    planes.extend(pixels.iter().map(|pixel| luma(split(*pixel))));
    let (mut blue, mut red) = (Vec::new(), Vec::new());
    for above in (0..height).step_by(2) {
        let below = (above + 1).min(height - 1);
        let (above, below) = (&pixels[above * width..][..width], &pixels[below * width..][..width]);
        for (above, below) in above.chunks(2).zip(below.chunks(2)) {
            let four = [above[0], above[above.len() - 1], below[0], below[below.len() - 1]].map(split);
            let mean = |at: usize| (four.iter().map(|pixel| pixel[at]).sum::<i32>() + 2) / 4;
            let [cb, cr] = colour([mean(0), mean(1), mean(2)]);
            blue.push(cb);
            red.push(cr);
        }
    }
    planes.append(&mut blue);
    planes.append(&mut red);
    planes
}

fn split(pixel: u32) -> [i32; 3] {
    [16, 8, 0].map(|shift| (pixel >> shift & 255) as i32)
}

/// 16 to 235.
fn luma([r, g, b]: [i32; 3]) -> u8 {
    (16 + ((66 * r + 129 * g + 25 * b + 128) >> 8)) as u8
}

/// Blue and red, 16 to 240.
fn colour([r, g, b]: [i32; 3]) -> [u8; 2] {
    [(-38 * r - 74 * g + 112 * b), (112 * r - 94 * g - 18 * b)].map(|light| (128 + ((light + 128) >> 8)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    fn flat(size: Size, colour: u32) -> Vec<u32> {
        vec![colour; (size.width * size.height) as usize]
    }

    #[test]
    fn colours_are_limited_range_within_a_level_of_the_exact_ones() {
        for colour in (0..1 << 24).step_by(4099) {
            let [r, g, b] = split(colour);
            let made = [luma([r, g, b]), super::colour([r, g, b])[0], super::colour([r, g, b])[1]];
            let [r, g, b] = [r, g, b].map(f64::from);
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            let exact =
                [16.0 + y * 219.0 / 255.0, 128.0 + (b - y) / 1.772 * 224.0 / 255.0, 128.0 + (r - y) / 1.402 * 224.0 / 255.0];
            for (made, exact) in made.into_iter().zip(exact) {
                assert!((f64::from(made) - exact).abs() < 1.3, "{made} for {exact} of {colour:#x}");
            }
        }
        assert_eq!([luma([0; 3]), luma([255; 3])], [16, 235]);
        assert_eq!([super::colour([0; 3]), super::colour([255; 3])], [[128, 128]; 2]);
    }

    #[test]
    fn the_first_size_is_the_size_for_ever_and_even() {
        let mut frames = Frames::default();
        frames.nothing();
        frames.picture(&[], size(0, 0));
        assert!(frames.last().is_none(), "there is no size yet");
        frames.picture(&flat(size(63, 47), 0x00ff_ffff), size(63, 47));
        let (shape, planes) = frames.last().unwrap();
        assert_eq!((shape, planes.len()), (size(64, 48), 64 * 48 * 3 / 2));
        assert!(planes[64 * 24 + 32] == 235);
        for other in [size(640, 360), size(64, 48), size(31, 200), size(1, 1)] {
            frames.picture(&flat(other, 0x00ff_ffff), other);
            let (shape, planes) = frames.last().unwrap();
            assert_eq!((shape, planes.len(), planes[64 * 24 + 32]), (size(64, 48), 64 * 48 * 3 / 2, 235), "{other}");
            assert!(planes[..64 * 48].iter().all(|luma| (16..=235).contains(luma)), "{other}: bars are black of limited range");
        }
    }

    #[test]
    fn what_is_wider_stands_between_bars_and_where_nobody_sends_it_is_grey() {
        let mut frames = Frames::default();
        frames.picture(&flat(size(64, 48), 0x00ff_0000), size(64, 48));
        let red = (luma([255, 0, 0]), super::colour([255, 0, 0]));
        let at = |frames: &Frames, x: usize, y: usize| {
            let planes = frames.last().unwrap().1;
            let chroma = 64 * 48 + y / 2 * 32 + x / 2;
            (planes[y * 64 + x], [planes[chroma], planes[chroma + 32 * 24]])
        };
        assert_eq!(at(&frames, 0, 0), red);
        frames.picture(&flat(size(64, 16), 0x00ff_0000), size(64, 16));
        assert_eq!([at(&frames, 32, 24), at(&frames, 32, 4)], [red, (16, [128, 128])]);
        frames.nothing();
        assert_eq!([at(&frames, 0, 0), at(&frames, 32, 24)], [(GREY, [128, 128]); 2]);
    }
}
