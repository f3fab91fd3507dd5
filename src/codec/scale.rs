//! A picture as it is to be seen, and at another size (`--width`, a narrow path): planes are turned and scaled, a camera's JPEG
//! is decoded for it. What a source says of its pictures is carried over: one in which nothing changed is not scaled again, and
//! what changed is found in the scaled one.

use super::settings::Error;
use super::{passthrough, turn};
use crate::fit::Fit;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, Size, Turn, View};
use std::ops::Range;

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

/// Scales pictures that come one after the other.
#[derive(Default)]
pub struct Scaler {
    /// A picture in which nothing changed, as long as nothing does.
    last: Option<Scaled>,
    unchanged: bool,
}

struct Scaled {
    from: Size,
    size: Size,
    sampling: Sampling,
    planes: Vec<u8>,
}

impl Scaler {
    /// This picture comes. To be told also of those that are not scaled.
    pub fn comes(&mut self, picture: &Picture) {
        self.unchanged = picture.view == View::PLAIN && picture.changed.as_ref().is_some_and(McuSet::is_empty);
        if !self.unchanged {
            self.last = None;
        }
    }

    /// As [`to_size`], of the picture that came last.
    pub fn scale(&mut self, picture: Picture, size: Size, pool: &BufferPool) -> Result<Picture, Error> {
        let from = picture.size;
        if let Some(last) = self.last.as_ref().filter(|last| (last.from, last.size) == (from, size)) {
            let mut planes = pool.take(last.planes.len());
            planes.copy_from_slice(&last.planes);
            return Ok(Picture::new(picture.captured, size, Body::Planes(last.sampling, planes)));
        }
        let scaled = to_size(picture, size, pool)?;
        if let (true, Body::Planes(sampling, planes)) = (self.unchanged, &scaled.body) {
            self.last = Some(Scaled { from, size, sampling: *sampling, planes: planes.to_vec() });
        }
        Ok(scaled)
    }
}

/// What of a scaled picture may have changed, where this much of the picture before it did: all that the filter reaches.
pub fn carried(changed: &McuSet, size: Size, sampling: Sampling) -> McuSet {
    if changed.is_of(size, sampling) {
        return changed.clone();
    }
    let mut carried = McuSet::new(size, sampling);
    let (from, of) = (changed.size(), changed.sampling());
    let (mcu, columns) = (of.mcu(), of.mcus(from).width as usize);
    let (to, to_columns) = (sampling.mcu(), sampling.mcus(size).width as usize);
    for row in 0..of.mcus(from).height as usize {
        let mut down = None;
        for run in changed.runs(row * columns..(row + 1) * columns) {
            let columns = run.start - row * columns..run.end - row * columns;
            let across = reached(columns, (mcu.width, from.width), (to.width, size.width));
            let down = down.get_or_insert_with(|| reached(row..row + 1, (mcu.height, from.height), (to.height, size.height)));
            carried.insert_runs(down.clone().map(|row| row * to_columns + across.start..row * to_columns + across.end));
        }
    }
    carried
}

/// Along one side, which MCUs of a scaled picture have samples that are made of these MCUs'. Of both pictures: pixels of an MCU
/// and of the side.
fn reached(mcus: Range<usize>, (mcu, from): (u32, u32), (to_mcu, to): (u32, u32)) -> Range<usize> {
    // The filter is as wide as two samples of the smaller picture; a sample of colour is two pixels; and colours of odd sides are
    // scaled by a little more than the rest.
    let reach = 4 * (from.div_ceil(to.max(1)) as usize + 1);
    let (mcu, from, to_mcu, to) = (mcu as usize, from.max(1) as usize, to_mcu as usize, to as usize);
    let start = (mcus.start * mcu).saturating_sub(reach) * to / from;
    let end = ((mcus.end * mcu + reach) * to).div_ceil(from).min(to);
    start / to_mcu..end.div_ceil(to_mcu)
}

#[cfg(test)]
mod tests {
    use super::super::stitch;
    use super::super::testing::{self, SAMPLINGS};
    use super::*;
    use eyeline_proto::media::jpeg::segments;
    use proptest::prelude::*;
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

    const SIDES: Range<u32> = 33..150;

    fn planes(picture: &Picture) -> &[u8] {
        let Body::Planes(_, planes) = &picture.body else { panic!("it was scaled") };
        planes
    }

    proptest! {
        #[test]
        fn what_changed_is_found_in_the_scaled_picture(
            from in (SIDES, SIDES), to in (SIDES, SIDES), place in (0_u32..150, 0_u32..150), full in any::<bool>(),
        ) {
            let [from, to] = [from, to].map(|(width, height)| Size { width, height });
            let sampling = if full { Sampling::Yuv444 } else { Sampling::Yuv420 };
            let (x, y) = (place.0 % from.width, place.1 % from.height);
            let before = vec![128; sampling.bytes(from)];
            let mut after = before.clone();
            after[(y * from.width + x) as usize] = 0;
            let chroma = sampling.chroma(from).unwrap();
            let (across, down) = (from.width.div_ceil(chroma.width), from.height.div_ceil(chroma.height));
            after[(from.width * from.height + y / down * chroma.width + x / across) as usize] = 255;
            let scaled = |planes: &[u8]| Fit::into(to, sampling).fill(from, sampling, planes);
            let (before, after) = (scaled(&before), scaled(&after));
            let mcu = sampling.mcu();
            let mut changed = McuSet::new(from, sampling);
            changed.insert((y / mcu.height * sampling.mcus(from).width + x / mcu.width) as usize);
            let carried = carried(&changed, to, sampling);
            let (area, to_chroma) = ((to.width * to.height) as usize, sampling.chroma(to).unwrap());
            for at in (0..area + (to_chroma.width * to_chroma.height) as usize).filter(|at| before[*at] != after[*at]) {
                let (x, y) = match at.checked_sub(area) {
                    None => (at as u32 % to.width, at as u32 / to.width),
                    Some(at) => (at as u32 % to_chroma.width * across, at as u32 / to_chroma.width * down),
                };
                let at = y / mcu.height * sampling.mcus(to).width + x / mcu.width;
                prop_assert!(carried.contains(at as usize), "{} to {}: {} {} is not among {:?}", from, to, x, y, carried);
            }
        }
    }

    #[test]
    fn of_a_large_picture_little_is_carried_over_where_little_changed() {
        let (from, to) = (Size { width: 1920, height: 1080 }, Size { width: 960, height: 540 });
        let mut changed = McuSet::new(from, Sampling::Yuv444);
        changed.insert(240 * 60 + 100);
        let carried = carried(&changed, to, Sampling::Yuv444);
        assert!((1..=9).contains(&carried.len()), "{}", carried.len());
        let nothing = McuSet::new(from, Sampling::Yuv444);
        assert!(super::carried(&nothing, to, Sampling::Yuv444).is_empty());
    }

    #[test]
    fn a_picture_in_which_nothing_changed_is_not_scaled_again() {
        let (from, to, sampling) = (Size { width: 64, height: 64 }, Size { width: 32, height: 32 }, Sampling::Yuv444);
        let (mut scaler, pool) = (Scaler::default(), BufferPool::new());
        // What is not looked at is not seen: each picture is of another grey.
        let mut give = |grey: u8, changed: Option<&[usize]>, to: Size| {
            let mut picture = Picture::new(Instant::now(), from, Body::Planes(sampling, vec![grey; sampling.bytes(from)].into()));
            picture.changed = changed.map(|mcus| {
                let mut set = McuSet::new(from, sampling);
                mcus.iter().for_each(|mcu| set.insert(*mcu));
                set
            });
            scaler.comes(&picture);
            let scaled = scaler.scale(picture, to, &pool).unwrap();
            assert_eq!((scaled.size, planes(&scaled).len()), (to, sampling.bytes(to)));
            planes(&scaled)[0]
        };
        let smaller = Size { width: 16, height: 16 };
        assert_eq!([give(1, None, to), give(2, Some(&[]), to), give(3, Some(&[]), to)], [1, 2, 2]);
        assert_eq!([give(4, Some(&[]), smaller), give(5, Some(&[]), smaller)], [4, 4], "of another size it is");
        assert_eq!([give(6, Some(&[3]), to), give(7, Some(&[]), to), give(8, None, to)], [6, 7, 8]);
    }
}
