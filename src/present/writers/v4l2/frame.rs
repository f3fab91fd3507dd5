//! What a virtual camera is given: pictures of one size for ever, YU12 of BT.601 in limited range.
//!
//! No program that reads it expects its size to change: whatever comes is made to fit, with black bars where the shape differs.
//! Where nothing is to be seen it is grey. A canvas is held only while its pixels are read, and scaled afterwards. Pure.

use crate::fit::Fit;
use eyeline_proto::picture::{Sampling, Size};

/// What is seen where nobody sends: a grey of which no camera makes a picture.
const GREY: u8 = 96;

/// The least luma of limited range.
const BLACK: u8 = 16;

/// See the module text.
pub struct Frames {
    size: Size,
    fit: Fit,
    /// A picture that was read and not yet made to fit, and its size.
    read: Vec<u8>,
    unfit: Option<Size>,
    frame: Vec<u8>,
}

impl Frames {
    /// Of this size, with even sides; nothing is to be seen yet.
    pub fn new(size: Size) -> Frames {
        let mut frames =
            Frames { size, fit: Fit::into(size, Sampling::Yuv420), read: Vec::new(), unfit: None, frame: Vec::new() };
        frames.nothing();
        frames
    }

    /// Reads a picture of words of red, green and blue, `0x00RRGGBB`; one without pixels is none.
    pub fn read(&mut self, pixels: &[u32], size: Size) {
        let area = size.width as usize * size.height as usize;
        if size.is_possible() && pixels.len() >= area {
            yu12(&pixels[..area], size, &mut self.read);
            self.unfit = Some(size);
        }
    }

    /// Nobody sends.
    pub fn nothing(&mut self) {
        self.unfit = None;
        self.frame.clear();
        self.frame.resize(self.luma(), GREY);
        self.frame.resize(Sampling::Yuv420.bytes(self.size), 128);
    }

    /// What is seen now.
    pub fn frame(&mut self) -> &[u8] {
        match self.unfit.take() {
            Some(size) if size == self.size => std::mem::swap(&mut self.frame, &mut self.read),
            Some(size) => {
                self.frame = self.fit.convert(size, Sampling::Yuv420, &self.read);
                // Bars are black of full range.
                let luma = self.luma();
                self.frame[..luma].iter_mut().for_each(|luma| *luma = (*luma).max(BLACK));
            }
            None => {}
        }
        &self.frame
    }

    fn luma(&self) -> usize {
        self.size.width as usize * self.size.height as usize
    }
}

/// Planes of luma, blue and red, four pixels sharing the mean of their colours.
fn yu12(pixels: &[u32], size: Size, planes: &mut Vec<u8>) {
    let (width, height) = (size.width as usize, size.height as usize);
    planes.resize(Sampling::Yuv420.bytes(size), 0);
    let (lumas, colours) = planes.split_at_mut(width * height);
    lumas.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = luma(split(*pixel)));
    let (blues, reds) = colours.split_at_mut(colours.len() / 2);
    let half = width.div_ceil(2);
    for ((above, blue), red) in (0..height).step_by(2).zip(blues.chunks_mut(half)).zip(reds.chunks_mut(half)) {
        let below = (above + 1).min(height - 1);
        let (above, below) = (&pixels[above * width..][..width], &pixels[below * width..][..width]);
        for (((above, below), blue), red) in above.chunks(2).zip(below.chunks(2)).zip(blue).zip(red) {
            let four = [above[0], above[above.len() - 1], below[0], below[below.len() - 1]].map(split);
            let mean = |at: usize| (four.iter().map(|pixel| pixel[at]).sum::<i32>() + 2) / 4;
            [*blue, *red] = colour([mean(0), mean(1), mean(2)]);
        }
    }
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
    fn pictures_of_any_size_fill_one_size_and_before_the_first_it_is_grey() {
        let mut frames = Frames::new(size(64, 48));
        let grey = [vec![GREY; 64 * 48], vec![128; 64 * 24]].concat();
        assert_eq!(frames.frame(), grey);
        frames.read(&[], size(0, 0));
        assert_eq!(frames.frame(), grey, "that was no picture");
        for other in [size(63, 47), size(640, 360), size(64, 48), size(31, 200), size(1, 1)] {
            frames.read(&flat(other, 0x00ff_ffff), other);
            let planes = frames.frame();
            assert_eq!((planes.len(), planes[64 * 24 + 32]), (64 * 48 * 3 / 2, 235), "{other}");
            assert!(planes[..64 * 48].iter().all(|luma| (16..=235).contains(luma)), "{other}: bars are black of limited range");
        }
    }

    #[test]
    fn what_is_wider_stands_between_bars_and_where_nobody_sends_it_is_grey() {
        let mut frames = Frames::new(size(64, 48));
        frames.read(&flat(size(64, 48), 0x00ff_0000), size(64, 48));
        let red = (luma([255, 0, 0]), super::colour([255, 0, 0]));
        let at = |frames: &mut Frames, x: usize, y: usize| {
            let planes = frames.frame();
            let chroma = 64 * 48 + y / 2 * 32 + x / 2;
            (planes[y * 64 + x], [planes[chroma], planes[chroma + 32 * 24]])
        };
        assert_eq!(at(&mut frames, 0, 0), red);
        frames.read(&flat(size(64, 16), 0x00ff_0000), size(64, 16));
        assert_eq!([at(&mut frames, 32, 24), at(&mut frames, 32, 4)], [red, (16, [128, 128])]);
        frames.nothing();
        assert_eq!([at(&mut frames, 0, 0), at(&mut frames, 32, 24)], [(GREY, [128, 128]); 2]);
    }

    #[test]
    fn each_colour_is_written_to_its_place_also_of_odd_sides() {
        let (wide, mut planes) = (size(5, 3), vec![7; 99]);
        let mut pixels = flat(wide, 0);
        // The last of the last row: its colour stands for itself alone.
        pixels[14] = 0x0000_00ff;
        yu12(&pixels, wide, &mut planes);
        let [blue, red] = super::colour([0, 0, 255]);
        assert_eq!(planes[..15], [vec![16; 14], vec![luma([0, 0, 255])]].concat());
        assert_eq!(planes[15..], [128, 128, 128, 128, 128, blue, 128, 128, 128, 128, 128, red]);
    }
}
