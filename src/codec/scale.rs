//! A picture as it is to be seen, and at another size (`--width`, a narrow path): planes are turned and scaled, a camera's JPEG
//! is decoded for it.

use super::settings::Error;
use super::{passthrough, turn};
use crate::fit::Fit;
use eyeline_proto::picture::{Body, BufferPool, Picture, Size, Turn};

/// The picture as it is meant to be seen, with square pixels, at `size`, which has (nearly) the aspect of [`Picture::seen`].
pub fn to_size(picture: Picture, size: Size, pool: &BufferPool) -> Result<Picture, Error> {
    let (mut from, mut sampling, mut planes) = match picture.body {
        Body::Planes(sampling, planes) => (picture.size, sampling, planes),
        Body::Jpeg(jpeg) => {
            let (size, sampling, planes, _) = passthrough::decode(&jpeg, pool)?;
            (size, sampling, planes)
        }
    };
    let needed = sampling.bytes(from);
    if planes.len() < needed {
        return Err(Error::Short { size: from, len: planes.len(), needed });
    }
    let turn = picture.view.turn;
    if turn != Turn::NONE {
        planes = turn::planes(from, sampling, &planes, turn, pool);
        (from, sampling) = (turn.turned(from), sampling.turned(turn));
    }
    if from != size {
        planes = Fit::into(size, sampling).fill(from, sampling, &planes).into();
    }
    Ok(Picture::new(picture.captured, size, Body::Planes(sampling, planes)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, SAMPLINGS};
    use super::super::{segments, stitch};
    use super::*;
    use eyeline_proto::picture::{Sampling, View};
    use std::time::Instant;

    /// A white quarter above on the left of black, as planes.
    fn corner(size: Size, sampling: Sampling) -> Vec<u8> {
        let luma = (0..size.width * size.height).map(|at| {
            let (x, y) = (at % size.width, at / size.width);
            if x < size.width / 2 && y < size.height / 2 { 255 } else { 0 }
        });
        let mut planes: Vec<u8> = luma.collect();
        planes.resize(sampling.bytes(size), 128);
        planes
    }

    /// In which corner the white is: left or right, above or below.
    fn white(picture: &Picture) -> (bool, bool) {
        let Body::Planes(sampling, planes) = &picture.body else { panic!("it was decoded") };
        assert_eq!(planes.len(), sampling.bytes(picture.size));
        let (width, height) = (picture.size.width as usize, picture.size.height as usize);
        let lit = |x: usize, y: usize| planes[y * width + x] > 128;
        let corners = [(2, 2), (width - 3, 2), (2, height - 3), (width - 3, height - 3)];
        let found: Vec<_> = corners.into_iter().filter(|&(x, y)| lit(x, y)).collect();
        let [(x, y)] = found[..] else { panic!("{found:?} are white") };
        (x == 2, y == 2)
    }

    #[test]
    fn a_picture_of_any_orientation_and_aspect_is_seen_upright_and_in_its_shape() {
        let stored = Size { width: 64, height: 32 };
        let expected = [
            (true, true),
            (false, true),
            (false, false),
            (true, false),
            (true, true),
            (false, true),
            (false, false),
            (true, false),
        ];
        for sampling in SAMPLINGS {
            for (orientation, expected) in (1..).zip(expected) {
                let turn = Turn::from_exif(orientation);
                for aspect in [(1, 1), (3, 2), (1, 2)] {
                    let view = View { turn, ..View::PLAIN.with_aspect(aspect) };
                    let body = Body::Planes(sampling, corner(stored, sampling).into());
                    let picture = Picture { view, ..Picture::new(Instant::now(), stored, body) };
                    let seen = picture.seen();
                    let shown = to_size(picture, seen, &BufferPool::new()).unwrap();
                    assert_eq!((shown.size, shown.view), (seen, View::PLAIN));
                    assert_eq!(white(&shown), expected, "{sampling:?}, orientation {orientation}, pixels {aspect:?}");
                }
            }
        }
    }

    #[test]
    fn a_jpeg_is_turned_too_and_planes_that_are_too_short_are_refused() {
        let size = Size { width: 64, height: 48 };
        let flat = testing::slice(&corner(size, Sampling::Yuv422), &testing::head(size, Sampling::Yuv422, 80, 0, 48));
        let jpeg = stitch::jpeg(&[&flat]).unwrap();
        assert!(segments::next(&jpeg, 2).is_ok());
        let turned = View { turn: Turn::from_exif(6), ..View::PLAIN };
        let picture = Picture { view: turned, ..Picture::new(Instant::now(), size, Body::Jpeg(jpeg.into())) };
        let shown = to_size(picture, turned.seen(size), &BufferPool::new()).unwrap();
        assert_eq!((shown.size, white(&shown)), (Size { width: 48, height: 64 }, (false, true)));
        let short =
            Picture { view: turned, ..Picture::new(Instant::now(), size, Body::Planes(Sampling::Yuv444, vec![0; 9].into())) };
        assert!(matches!(to_size(short, size, &BufferPool::new()), Err(Error::Short { .. })));
    }
}
