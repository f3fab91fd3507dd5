//! Pictures of any size and sampling made to fit one of a given size and sampling: scaled as a whole, black bars where
//! the shape differs. Planes are full-range Y, Cb, Cr, tight, one after the other; each is scaled for itself, so a change of
//! sampling is nothing but another size of the two colour planes.

use fast_image_resize::images::{CroppedImageMut, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use eyeline_proto::picture::{Sampling, Size};

/// Full-range black, and no colour.
const BLACK: [u8; 3] = [0, 128, 128];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rectangle {
    left: u32,
    top: u32,
    size: Size,
}

/// Scales into one size and sampling; keeps its working memory.
pub struct Fit {
    size: Size,
    sampling: Sampling,
    resizer: Resizer,
}

impl Fit {
    /// Makes pictures of this size and sampling.
    pub fn into(size: Size, sampling: Sampling) -> Self {
        Fit { size, sampling, resizer: Resizer::new() }
    }

    /// The planes of a picture of `size` and `sampling`, as planes of ours.
    pub fn convert(&mut self, size: Size, sampling: Sampling, planes: &[u8]) -> Vec<u8> {
        self.draw(self.inner(size), size, sampling, planes)
    }

    /// As [`Fit::convert`], but without bars: for a picture whose pixels are not square, and for one whose aspect is ours but for
    /// rounding.
    pub fn fill(&mut self, size: Size, sampling: Sampling, planes: &[u8]) -> Vec<u8> {
        self.draw(Rectangle { left: 0, top: 0, size: self.size }, size, sampling, planes)
    }

    fn draw(&mut self, inner: Rectangle, size: Size, sampling: Sampling, planes: &[u8]) -> Vec<u8> {
        let mut fitted = Vec::with_capacity(self.sampling.bytes(self.size));
        let (luma, colours) = planes.split_at(size.width as usize * size.height as usize);
        self.plane(size, luma, self.size, inner, BLACK[0], &mut fitted);
        let Some(chroma) = self.sampling.chroma(self.size) else { return fitted };
        // Odd sizes round their colour planes up; so does the inner rectangle, which stays inside.
        let across = self.size.width.div_ceil(chroma.width);
        let down = self.size.height.div_ceil(chroma.height);
        let inner = Rectangle {
            left: inner.left / across,
            top: inner.top / down,
            size: Size { width: inner.size.width.div_ceil(across), height: inner.size.height.div_ceil(down) },
        };
        let from = sampling.chroma(size);
        let half = colours.len() / 2;
        for colour in 0..2 {
            let empty = BLACK[1 + colour];
            match from {
                Some(from) => self.plane(from, &colours[colour * half..][..half], chroma, inner, empty, &mut fitted),
                None => fitted.resize(fitted.len() + chroma.width as usize * chroma.height as usize, empty),
            }
        }
        fitted
    }

    /// The largest rectangle of the picture's shape, in the middle, on even places (where colour planes have samples too).
    fn inner(&self, from: Size) -> Rectangle {
        let (width, height) = (u64::from(self.size.width), u64::from(self.size.height));
        let (from_width, from_height) = (u64::from(from.width.max(1)), u64::from(from.height.max(1)));
        let wider = from_width * height > from_height * width;
        let (inner_width, inner_height) = if wider {
            (width, (width * from_height / from_width).max(1))
        } else {
            ((height * from_width / from_height).max(1), height)
        };
        let even = |margin: u64| (margin / 2) as u32 & !1;
        let size = Size { width: inner_width as u32, height: inner_height as u32 };
        Rectangle { left: even(width - inner_width), top: even(height - inner_height), size }
    }

    /// Appends one plane: `empty` around, the scaled picture inside.
    fn plane(&mut self, from: Size, plane: &[u8], to: Size, inner: Rectangle, empty: u8, out: &mut Vec<u8>) {
        let start = out.len();
        let whole = Rectangle { left: 0, top: 0, size: to };
        if from == to && inner == whole {
            out.extend_from_slice(plane);
            return;
        }
        out.resize(start + to.width as usize * to.height as usize, empty);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let Rectangle { left, top, size } = inner;
        // Each of these fails only where a plane has not the bytes its size says, or a rectangle leaves it: neither is possible for
        // planes checked by the writer. Should it happen all the same the picture is black, not the program gone.
        let Ok(source) = ImageRef::new(from.width, from.height, plane, PixelType::U8) else { return };
        let Ok(mut target) = Image::from_slice_u8(to.width, to.height, &mut out[start..], PixelType::U8) else { return };
        let Ok(mut inside) = CroppedImageMut::new(&mut target, left, top, size.width, size.height) else { return };
        let _ = self.resizer.resize(&source, &mut inside, &options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLINGS: [Sampling; 5] = [Sampling::Grey, Sampling::Yuv420, Sampling::Yuv422, Sampling::Yuv444, Sampling::Yuv440];

    fn flat(size: Size, sampling: Sampling, colour: [u8; 3]) -> Vec<u8> {
        let luma = size.width as usize * size.height as usize;
        let chroma = (sampling.bytes(size) - luma) / 2;
        [vec![colour[0]; luma], vec![colour[1]; chroma], vec![colour[2]; chroma]].concat()
    }

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn another_size_of_the_same_shape_fills_the_picture() {
        for from in SAMPLINGS {
            for to in SAMPLINGS {
                let mut fit = Fit::into(size(64, 48), to);
                let fitted = fit.convert(size(32, 24), from, &flat(size(32, 24), from, [90, 40, 200]));
                let colour = if from == Sampling::Grey { [90, 128, 128] } else { [90, 40, 200] };
                assert_eq!(fitted, flat(size(64, 48), to, colour), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn another_shape_gets_black_bars_in_every_plane() {
        let wide = size(64, 16);
        let mut fit = Fit::into(size(64, 48), Sampling::Yuv420);
        let fitted = fit.convert(wide, Sampling::Yuv444, &flat(wide, Sampling::Yuv444, [90, 40, 200]));
        let row = |y: usize| (fitted[y * 64], fitted[64 * 48 + (y / 2) * 32], fitted[64 * 48 + 32 * 24 + (y / 2) * 32]);
        assert_eq!((row(0), row(15), row(32), row(47)), ((0, 128, 128), (0, 128, 128), (0, 128, 128), (0, 128, 128)));
        assert_eq!((row(16), row(31)), ((90, 40, 200), (90, 40, 200)));
    }

    #[test]
    fn bars_end_where_colour_samples_do() {
        // 15 rows of bar on each side would share a row of colour with the picture.
        let wide = size(64, 18);
        let fitted = Fit::into(size(64, 48), Sampling::Yuv420).convert(
            wide,
            Sampling::Yuv420,
            &flat(wide, Sampling::Yuv420, [90, 40, 200]),
        );
        let row = |y: usize| (fitted[y * 64], fitted[64 * 48 + (y / 2) * 32]);
        assert_eq!([row(13), row(14), row(31), row(32)], [(0, 128), (90, 40), (90, 40), (0, 128)]);
    }

    #[test]
    fn odd_and_extreme_shapes_keep_every_plane_whole() {
        let shapes = [(1, 1), (5, 3), (3, 5), (17, 33), (64, 1), (1, 64), (640, 3)];
        for from in shapes.map(|(w, h)| size(w, h)) {
            for to in shapes.map(|(w, h)| size(w, h)) {
                for sampling in SAMPLINGS {
                    let planes = flat(from, Sampling::Yuv420, [255, 0, 255]);
                    let fitted = Fit::into(to, sampling).convert(from, Sampling::Yuv420, &planes);
                    assert_eq!(fitted.len(), sampling.bytes(to), "{from} to {to} {sampling:?}");
                    let luma = &fitted[..to.width as usize * to.height as usize];
                    assert!(luma.contains(&255), "{from} to {to}: nothing was drawn");
                }
            }
        }
    }
}
