//! The canvas's table of who holds what, and of which picture what is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use eyeline_proto::picture::{MAX_SIDE, Sampling};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::mcus::Selection;
use eyeline_proto::wire::slice::Tables;
use proptest::prelude::*;

const SIZE: Size = Size { width: 4, height: 32 };

/// Which picture rows show that lie beside each other, top first.
fn shown(canvas: &Canvas) -> Vec<(Option<u64>, Range<u32>)> {
    let mut shown: Vec<(Option<u64>, Range<u32>)> = Vec::new();
    let state = canvas.lock();
    for (y, number) in (0..state.size.height).map(|y| (y, state.coverage.shown(y as usize))) {
        match shown.last_mut() {
            Some((last, rows)) if *last == number => rows.end = y + 1,
            _ => shown.push((number, y..y + 1)),
        }
    }
    shown
}

fn paint(canvas: &Canvas, number: u64, rows: Range<u32>) {
    canvas.rows(number, SIZE, rows).unwrap().pixels().fill(number as u32);
}

#[test]
fn a_band_is_shown_once_it_is_dropped_and_the_rest_is_as_before() {
    let canvas = Canvas::new();
    paint(&canvas, 7, 0..32);
    paint(&canvas, 8, 8..16);
    let view = canvas.view();
    assert_eq!(&view.pixels()[7 * 4..9 * 4], [7, 7, 7, 7, 8, 8, 8, 8]);
    drop(view);
    assert_eq!(shown(&canvas), [(Some(7), 0..8), (Some(8), 8..16), (Some(7), 16..32)]);
    paint(&canvas, 8, 0..8);
    paint(&canvas, 8, 16..32);
    assert_eq!(shown(&canvas), [(Some(8), 0..32)]);
}

#[test]
fn a_late_band_is_drawn_where_nothing_newer_is_shown_and_refused_where_all_is() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..32);
    paint(&canvas, 3, 0..16);
    assert!(canvas.rows(2, SIZE, 0..16).is_none() && canvas.rows(2, SIZE, 4..8).is_none());
    paint(&canvas, 2, 8..24);
    assert_eq!(shown(&canvas), [(Some(3), 0..16), (Some(2), 16..24), (Some(1), 24..32)]);
    assert_eq!([15, 16, 23, 24].map(|y| canvas.view().pixels()[y * 4]), [3, 2, 2, 1]);
    paint(&canvas, 3, 0..16);
    assert_eq!(shown(&canvas)[0], (Some(3), 0..16), "the same picture may come again");
}

#[test]
fn what_is_newer_stays_where_a_late_band_is_given_back_unwritten_or_its_thread_panics() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..32);
    paint(&canvas, 3, 0..16);
    let mut band = canvas.rows(2, SIZE, 8..24).unwrap();
    band.pixels().fill(2);
    band.abort();
    let panics = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            let mut band = canvas.rows(2, SIZE, 8..24).unwrap();
            band.pixels().fill(2);
            panic!("the test wants it");
        });
        late.join().is_err()
    });
    assert!(panics && shown(&canvas) == [(Some(3), 0..16), (Some(1), 16..32)]);
    assert!(canvas.view().pixels()[..16 * 4].iter().all(|pixel| *pixel == 3));
}

/// The picture that is cut for the following: three MCUs across and four down at an eighth, the last ones narrow and low.
const PICTURE: Size = Size { width: 37, height: 50 };

/// The head of the rows `top..end` of that, whole or of some MCUs.
fn head(sampling: Sampling, (top, end): (u32, u32), mcus: Option<&Selection>) -> Head<'_> {
    let (queued, encoded) = (Duration::ZERO, Duration::ZERO);
    let (tables, capture, size) = (Tables::Own(80), MediaTime::ZERO, PICTURE);
    let (top, rows, mcus) = (top as u16, (end - top) as u16, mcus.map(Selection::mcus));
    Head { sampling, tables, size, top, rows, restart: 3, capture, queued, encoded, shared: 1, owed: 1, position: None, mcus }
}

/// Draws a slice: its number in each pixel of its MCUs, and nothing elsewhere.
fn draw(canvas: &Canvas, number: u64, head: &Head<'_>, divisor: u32) {
    let Ok(mut band) = canvas.band(number, head, divisor) else { return };
    let (mcu, grid, stride) = (head.sampling.mcu(), head.grid(), band.stride());
    let runs: Vec<usize> = head.runs().flatten().collect();
    let top = u32::from(head.top) / divisor;
    for (at, pixel) in band.pixels().iter_mut().enumerate() {
        let (x, y) = (at % stride, at / stride + top as usize);
        let (column, row) = (x / (mcu.width / divisor) as usize, y / (mcu.height / divisor) as usize);
        if runs.contains(&(row * grid.width as usize + column)) {
            *pixel = number as u32;
        }
    }
}

proptest! {
    /// Slices of pictures 1 to 5, of the whole band or of some of its MCUs, in any order, some twice.
    #[test]
    fn each_mcu_shows_the_newest_picture_that_had_it_whatever_the_order(
        slices in prop::collection::vec((1_u64..6, 0_u32..4, prop::option::of(prop::collection::vec(any::<bool>(), 3))), 0..30),
        divisor in prop::sample::select(vec![1_u32, 2, 4, 8]),
    ) {
        let canvas = Canvas::new();
        let mut newest = [0; 12];
        for (number, row, some) in &slices {
            let chosen = some.as_ref().map(|some| Selection::new(3, (0..3).filter(|mcu| some[*mcu])).unwrap());
            draw(&canvas, *number, &head(Sampling::Yuv420, (row * 16, (row * 16 + 16).min(50)), chosen.as_ref()), divisor);
            for mcu in (0..3).filter(|mcu| some.as_ref().is_none_or(|some| some[*mcu])) {
                let newest = &mut newest[*row as usize * 3 + mcu];
                *newest = (*number).max(*newest);
            }
        }
        let (view, mcu) = (canvas.view(), 16 / divisor);
        for (at, pixel) in view.pixels().iter().enumerate() {
            let (x, y) = (at as u32 % view.size().width, at as u32 / view.size().width);
            prop_assert_eq!(u64::from(*pixel), newest[(y / mcu * 3 + x / mcu) as usize], "{} {}", x, y);
        }
    }
}

#[test]
fn a_slice_without_mcus_is_drawn_nowhere_and_one_of_another_sampling_begins_anew() {
    let canvas = Canvas::new();
    let none = Selection::new(3, std::iter::empty()).unwrap();
    assert_eq!(canvas.band(1, &head(Sampling::Yuv420, (0, 16), Some(&none)), 1).err(), Some(Refused::Late));
    assert_eq!(canvas.size(), Size { width: 0, height: 0 });
    draw(&canvas, 5, &head(Sampling::Yuv420, (0, 50), None), 1);
    draw(&canvas, 6, &head(Sampling::Grey, (0, 8), None), 1);
    assert_eq!(canvas.lock().coverage.grid(), Sampling::Grey.mcus(PICTURE));
    assert_eq!(canvas.band(5, &head(Sampling::Yuv420, (0, 50), None), 1).err(), Some(Refused::Late), "divided otherwise");
    let smaller = canvas.band(5, &head(Sampling::Grey, (0, 8), None), 2).err();
    assert_eq!(smaller, Some(Refused::Resized), "it would be drawn as the newest is");
    let view = canvas.view();
    assert_eq!((view.pixels()[0], view.pixels()[37 * 8]), (6, 5), "what was shown stays");
}

#[test]
fn an_aborted_band_keeps_its_old_number() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..32);
    canvas.rows(2, SIZE, 0..16).unwrap().abort();
    assert_eq!(shown(&canvas), [(Some(1), 0..32)]);
}

#[test]
fn a_new_size_stretches_the_old_picture_and_an_older_size_is_late() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..16);
    paint(&canvas, 2, 16..32);
    let large = Size { width: 8, height: 64 };
    drop(canvas.rows(3, large, 0..8).unwrap());
    assert!(canvas.rows(2, SIZE, 0..8).is_none());
    let view = canvas.view();
    assert_eq!((view.size(), view.pixels()[8 * 31], view.pixels()[8 * 32]), (large, 1, 2));
    drop(view);
    assert_eq!(shown(&canvas), [(Some(3), 0..8), (None, 8..64)]);
}

#[test]
fn impossible_sizes_and_rows_are_refused() {
    let canvas = Canvas::new();
    let (empty, high) = (Size { width: 0, height: 8 }, Size { width: 8, height: MAX_SIDE + 1 });
    assert!(canvas.rows(1, empty, 0..8).is_none());
    assert!(canvas.rows(1, high, 0..8).is_none());
    assert!(canvas.rows(1, SIZE, 24..33).is_none());
    assert!(canvas.rows(1, SIZE, 8..8).is_none());
    assert_eq!(canvas.size(), Size { width: 0, height: 0 });
}

#[test]
fn the_same_rows_are_lent_to_one_thread_at_a_time() {
    let canvas = Canvas::new();
    let held = canvas.rows(1, SIZE, 0..16).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let other = sender.clone();
        let canvas = &canvas;
        scope.spawn(move || {
            let _second = canvas.rows(1, SIZE, 8..24).unwrap();
            other.send("second").unwrap();
        });
        // The rows below do not overlap: they are lent while the first are held.
        drop(canvas.rows(1, SIZE, 24..32).unwrap());
        let early = receiver.recv_timeout(std::time::Duration::from_millis(50));
        sender.send("first").unwrap();
        drop(held);
        assert!(early.is_err(), "lent twice");
    });
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn threads_writing_bands_and_sizes_never_show_a_torn_row_to_a_reader() {
    const PICTURES: u64 = if cfg!(miri) { 8 } else { 2000 };
    let canvas = Canvas::new();
    let writers_are_done = AtomicBool::new(false);
    let size_of = |number: u64| Size { width: 4 + (number / 5 % 3) as u32, height: 32 };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u32)
            .map(|band| {
                let canvas = &canvas;
                scope.spawn(move || {
                    for number in 0..PICTURES {
                        let rows = band * 8..band * 8 + 8;
                        if let Some(mut rows) = canvas.rows(number, size_of(number), rows) {
                            rows.pixels().fill(number as u32);
                        }
                    }
                })
            })
            .collect();
        let (canvas, done) = (&canvas, &writers_are_done);
        let reader = scope.spawn(move || {
            let mut views = 0;
            while !done.load(Ordering::Acquire) || views == 0 {
                let view = canvas.view();
                let width = view.size().width.max(1) as usize;
                for band in view.pixels().chunks(width * 8) {
                    assert!(band.iter().all(|pixel| *pixel == band[0]), "a torn band");
                }
                views += 1;
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        writers_are_done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    let view = canvas.view();
    assert!(view.pixels().iter().all(|pixel| u64::from(*pixel) == PICTURES - 1));
}
