//! Paths whose delay varies though they are not full.

use super::netem::Params;
use super::scenarios::{Pair, Skews, ms, run, secs};
use super::sending::Stream;

/// 640×480 at 30 pictures a second: 6.9 Mbit/s.
fn small_camera() -> Stream {
    Stream { slices: 8, slice_bytes: 3560, ..Stream::camera() }
}

/// What reordering costs: bytes beyond those of a path that keeps order, and pictures.
fn reordered(name: &str, of: u64, params: &Params) {
    let pair = run(name, Pair::new(of, params, Skews::USUAL, small_camera()), secs(20));
    let watched = pair.watched.borrow();
    let whole = watched.whole as f64 / watched.settled.len() as f64;
    println!("{name}: {whole:.4} whole, {} partial, {} resent", watched.partial, pair.source.borrow().resent());
    assert!(whole >= 0.98, "{whole} of the pictures whole");
}

#[test]
fn reorder_by_30() {
    let params = Params { delay: ms(5), reorder: 0.1, reorder_by: ms(30), rate: 100_000_000, queue: ms(50), ..Params::default() };
    reordered("reorder_by_30", 65, &params);
}

#[test]
fn scatter_30() {
    reordered("scatter_30", 66, &Params { delay: ms(5), scatter: ms(30), ..Params::default() });
}

#[test]
fn scatter_100() {
    reordered("scatter_100", 67, &Params { delay: ms(5), scatter: ms(100), ..Params::default() });
}

/// Loss on a path that overtakes is still mended.
#[test]
fn scatter_30_loss_2() {
    let params = Params { delay: ms(5), scatter: ms(30), loss: 0.02, ..Params::default() };
    reordered("scatter_30_loss_2", 68, &params);
}
