//! The canvas's table of who holds what.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::*;
use eyeline_proto::picture::MAX_SIDE;

const SIZE: Size = Size { width: 4, height: 32 };

/// Which picture rows show that lie beside each other, top first.
fn shown(canvas: &Canvas) -> Vec<(Option<u64>, Range<u32>)> {
    let mut shown: Vec<(Option<u64>, Range<u32>)> = Vec::new();
    for (y, number) in (0..).zip(&canvas.lock().rows) {
        match shown.last_mut() {
            Some((last, rows)) if last == number => rows.end = y + 1,
            _ => shown.push((*number, y..y + 1)),
        }
    }
    shown
}

fn paint(canvas: &Canvas, number: u64, rows: Range<u32>) {
    canvas.band(number, SIZE, rows).unwrap().pixels().fill(number as u32);
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
fn a_late_band_is_refused_where_newer_rows_are_shown_and_taken_where_not() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..32);
    paint(&canvas, 3, 0..16);
    assert!(canvas.band(2, SIZE, 8..24).is_none());
    assert!(canvas.band(2, SIZE, 16..32).is_some());
    assert!(canvas.band(3, SIZE, 0..16).is_some(), "the same picture may come again");
}

#[test]
fn an_aborted_band_keeps_its_old_number() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..32);
    canvas.band(2, SIZE, 0..16).unwrap().abort();
    assert_eq!(shown(&canvas), [(Some(1), 0..32)]);
}

#[test]
fn a_new_size_stretches_the_old_picture_and_an_older_size_is_late() {
    let canvas = Canvas::new();
    paint(&canvas, 1, 0..16);
    paint(&canvas, 2, 16..32);
    let large = Size { width: 8, height: 64 };
    drop(canvas.band(3, large, 0..8).unwrap());
    assert!(canvas.band(2, SIZE, 0..8).is_none());
    let view = canvas.view();
    assert_eq!((view.size(), view.pixels()[8 * 31], view.pixels()[8 * 32]), (large, 1, 2));
    drop(view);
    assert_eq!(shown(&canvas), [(Some(3), 0..8), (Some(1), 8..32), (Some(2), 32..64)]);
}

#[test]
fn impossible_sizes_and_rows_are_refused() {
    let canvas = Canvas::new();
    let (empty, high) = (Size { width: 0, height: 8 }, Size { width: 8, height: MAX_SIDE + 1 });
    assert!(canvas.band(1, empty, 0..8).is_none());
    assert!(canvas.band(1, high, 0..8).is_none());
    assert!(canvas.band(1, SIZE, 24..33).is_none());
    assert!(canvas.band(1, SIZE, 8..8).is_none());
    assert_eq!(canvas.size(), Size { width: 0, height: 0 });
}

#[test]
fn the_same_rows_are_lent_to_one_thread_at_a_time() {
    let canvas = Canvas::new();
    let held = canvas.band(1, SIZE, 0..16).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let other = sender.clone();
        let canvas = &canvas;
        scope.spawn(move || {
            let _second = canvas.band(1, SIZE, 8..24).unwrap();
            other.send("second").unwrap();
        });
        // The rows below do not overlap: they are lent while the first are held.
        drop(canvas.band(1, SIZE, 24..32).unwrap());
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
                        if let Some(mut rows) = canvas.band(number, size_of(number), rows) {
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
