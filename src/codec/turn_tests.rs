use super::*;
use crate::codec::passthrough;
use crate::codec::testing::{self, SAMPLINGS, camera_jpeg};
use eyeline_proto::media::jpeg::segments;
use eyeline_proto::picture::mcu_set::McuSet;
use proptest::prelude::*;

fn all_turns() -> impl Iterator<Item = Turn> {
    (1..=8).map(Turn::from_exif)
}

/// One plane turned, sample by sample.
fn naive(size: Size, plane: &[u8], turn: Turn) -> Vec<u8> {
    let turned = turn.turned(size);
    let place = |at: u32| {
        let (x, y) = (at % turned.width, at / turned.width);
        let x = if turn.flip_x { turned.width - 1 - x } else { x };
        let y = if turn.flip_y { turned.height - 1 - y } else { y };
        let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
        (y * size.width + x) as usize
    };
    (0..size.width * size.height).map(|at| plane[place(at)]).collect()
}

fn decoded(jpeg: &[u8]) -> (Size, Sampling, Buffer) {
    let (size, sampling, planes, outcome) = passthrough::decode(jpeg, &BufferPool::new()).unwrap();
    assert_eq!(outcome, Outcome::Clean);
    (size, sampling, planes)
}

fn turned(jpeg: &[u8], turn: Turn) -> (Size, Vec<u8>) {
    let mut transformer = Transformer::new().unwrap();
    let (size, turned, outcome) = transformer.turn(jpeg, turn, Loss::Edges, &BufferPool::new()).unwrap();
    assert_eq!(outcome, Outcome::Clean);
    (size, turned.to_vec())
}

fn is_near(one: &[u8], other: &[u8], what: &str) {
    assert_eq!(one.len(), other.len(), "{what}");
    // The library's inverse transform rounds between columns and rows.
    let most = one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max();
    assert!(most <= Some(2), "{what}: {most:?}");
}

proptest! {
    #[test]
    fn every_sample_of_planes_lies_where_the_turn_puts_it(
        width in 1_u32..40, height in 1_u32..40, sampling in 0_usize..5, orientation in 1_u16..9, seed: u64,
    ) {
        let (size, sampling, turn) = (Size { width, height }, SAMPLINGS[sampling], Turn::from_exif(orientation));
        let mut random = testing::Random(seed | 1);
        let source: Vec<u8> = (0..sampling.bytes(size)).map(|_| random.next() as u8).collect();
        let turned = planes(size, sampling, &source, turn, &BufferPool::new());
        let (luma, colours) = source.split_at((width * height) as usize);
        let mut wanted = naive(size, luma, turn);
        if let Some(chroma) = sampling.chroma(size) {
            colours.chunks(colours.len() / 2).for_each(|plane| wanted.extend(naive(chroma, plane, turn)));
        }
        prop_assert_eq!(&turned[..], &wanted[..]);
        prop_assert_eq!(turned.len(), sampling.turned(turn).bytes(turn.turned(size)));
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_comes_of_them_is_a_jpeg(at in 0_usize..3000, byte: u8, len in 0_usize..3000, orientation in 1_u16..9) {
        let size = Size { width: 48, height: 32 };
        let mut jpeg = camera_jpeg(&testing::planes(size, Sampling::Yuv422, 3), size, Sampling::Yuv422, 80, 0);
        jpeg.truncate(len.max(1));
        let at = at % jpeg.len();
        jpeg[at] = byte;
        let mut transformer = Transformer::new().unwrap();
        if let Ok((_, turned, _)) = transformer.turn(&jpeg, Turn::from_exif(orientation), Loss::Edges, &BufferPool::new()) {
            prop_assert!(turned.starts_with(&[0xFF, 0xD8]) && turned.ends_with(&[0xFF, 0xD9]));
        }
        // It keeps nothing of it.
        let good = camera_jpeg(&testing::planes(size, Sampling::Yuv420, 3), size, Sampling::Yuv420, 80, 0);
        prop_assert!(transformer.turn(&good, Turn::NONE, Loss::Nothing, &BufferPool::new()).is_ok());
    }
}

#[test]
fn a_jpeg_is_turned_without_loss_and_goes_on_as_it_is() {
    let size = Size { width: 96, height: 64 };
    for sampling in SAMPLINGS {
        let jpeg = camera_jpeg(&testing::planes(size, sampling, 5), size, sampling, 80, 0);
        let (_, _, before) = decoded(&jpeg);
        let whole = turned(&jpeg, Turn::NONE).1;
        assert_eq!(&decoded(&whole).2[..], &before[..], "{sampling:?}");
        for turn in all_turns() {
            let (turned_size, once) = turned(&jpeg, turn);
            assert_eq!(turned_size, turn.turned(size));
            let (found, found_sampling, after) = decoded(&once);
            assert_eq!((found, found_sampling), (turned_size, sampling.turned(turn)));
            is_near(&after, &planes(size, sampling, &before, turn, &BufferPool::new()), &format!("{sampling:?} {turn:?}"));
            // Turned on until it is upright again it has the same coefficients: nothing was rounded.
            let back = all_turns().find(|back| turn.then(*back) == Turn::NONE).unwrap();
            assert_eq!(turned(&once, back).1, whole, "{sampling:?} {turn:?}");
            let slices = passthrough::split(&once, 1, eyeline_proto::time::MediaTime::ZERO, testing::SETTINGS);
            assert!(slices.is_ok(), "{sampling:?} {turn:?}: {slices:?}");
            let restart = passthrough::take_apart(&once).unwrap().layout.restart;
            assert_eq!(u32::from(restart), sampling.turned(turn).mcus(turned_size).width, "a marker a row");
        }
    }
}

#[test]
fn what_is_beyond_whole_mcus_is_left_out_of_the_side_that_comes_to_lie_first() {
    let (size, sampling) = (Size { width: 90, height: 70 }, Sampling::Yuv420);
    let jpeg = camera_jpeg(&testing::planes(size, sampling, 5), size, sampling, 90, 0);
    let (_, _, before) = decoded(&jpeg);
    let whole = Size { width: 80, height: 64 };
    for turn in all_turns() {
        let (flips_columns, flips_rows) = if turn.transposed { (turn.flip_y, turn.flip_x) } else { (turn.flip_x, turn.flip_y) };
        let kept = Size {
            width: if flips_columns { whole.width } else { size.width },
            height: if flips_rows { whole.height } else { size.height },
        };
        let (found, once) = turned(&jpeg, turn);
        assert_eq!(found, turn.turned(kept), "{turn:?}");
        let luma: Vec<u8> = before[..90 * 70]
            .chunks(90)
            .take(kept.height as usize)
            .flat_map(|row| &row[..kept.width as usize])
            .copied()
            .collect();
        let area = (kept.width * kept.height) as usize;
        is_near(&decoded(&once).2[..area], &naive(kept, &luma, turn), &format!("{turn:?}"));
    }
}

#[test]
fn what_is_decoded_in_any_case_is_turned_as_it_is_only_where_that_loses_nothing() {
    for (size, sampling) in [((90, 70), Sampling::Yuv420), ((64, 72), Sampling::Yuv422), ((64, 72), Sampling::Yuv420)] {
        let size = Size { width: size.0, height: size.1 };
        let jpeg = camera_jpeg(&testing::planes(size, sampling, 5), size, sampling, 90, 0);
        for turn in all_turns() {
            let picture = || testing::picture(size, Body::Jpeg(jpeg.clone().into()));
            let (trimmed, _) = Turner::new(turn).picture(picture(), Loss::Edges).unwrap();
            let mut turner = Turner::new(turn);
            let (whole, _) = turner.picture(picture(), Loss::Nothing).unwrap();
            assert_eq!((whole.seen(), turner.seen(&picture())), (turn.turned(size), turn.turned(size)), "{size} {turn:?}");
            assert_eq!(whole.view == View::PLAIN, trimmed.size == turn.turned(size), "{size} {turn:?}");
        }
    }
}

#[test]
fn a_turner_turns_what_it_can_at_once_and_says_of_the_rest_how_it_is_turned() {
    let (size, quarter) = (Size { width: 64, height: 48 }, Turn::from_exif(6));
    let mut turner = Turner::new(quarter);
    let mut one = McuSet::new(size, Sampling::Yuv422);
    one.insert(0);
    let raw = Body::Planes(Sampling::Yuv422, testing::planes(size, Sampling::Yuv422, 3).into());
    let raw = Picture { changed: Some(one), ..testing::picture(size, raw) };
    let (seen, _) = turner.picture(raw, Loss::Edges).unwrap();
    assert_eq!((seen.size, seen.view), (quarter.turned(size), View::PLAIN));
    assert!(matches!(seen.body, Body::Planes(Sampling::Yuv440, _)));
    // The upper left comes to lie on the upper right, on two MCUs of half the width.
    let changed = seen.changed.unwrap();
    assert!(changed.is_of(seen.size, Sampling::Yuv440));
    assert_eq!(changed.iter().collect::<Vec<_>>(), [5]);
    // What says itself that it lies on its side is upright then, and JPEGs stay JPEGs.
    let jpeg = camera_jpeg(&testing::planes(size, Sampling::Yuv420, 3), size, Sampling::Yuv420, 80, 0);
    let aside = |jpeg: &[u8], view| Picture { view, ..testing::picture(size, Body::Jpeg(jpeg.to_vec().into())) };
    let lying = View { turn: Turn::from_exif(8), ..View::PLAIN };
    let (seen, _) = turner.picture(aside(&jpeg, lying), Loss::Edges).unwrap();
    assert!(matches!(&seen.body, Body::Jpeg(same) if same[..] == jpeg[..]) && seen.view == View::PLAIN && seen.size == size);
    let (seen, _) = turner.picture(aside(&jpeg, View::PLAIN), Loss::Edges).unwrap();
    assert!(matches!(seen.body, Body::Jpeg(_)) && seen.view == View::PLAIN && seen.size == quarter.turned(size));
    // Neither what is no picture nor what has long pixels is turned at once.
    assert!(segments::next(&jpeg, 2).is_ok());
    let (seen, _) = turner.picture(aside(&jpeg[..100], View::PLAIN), Loss::Edges).unwrap();
    assert_eq!((seen.view.turn, seen.size), (quarter, size));
    let (seen, _) = turner.picture(aside(&jpeg, View::PLAIN.with_aspect((4, 3))), Loss::Edges).unwrap();
    assert_eq!((seen.view.turn, seen.size, seen.seen()), (quarter, size, Size { width: 48, height: 85 }));
}
