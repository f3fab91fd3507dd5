//! Paths whose delay varies though they are not full: jitter, reordering; and a queue that was full and is not any more.

use super::ceilings::check_middle;
use super::netem::Params;
use super::rates::{latency, narrow};
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, run, secs};
use super::sending::Stream;
use std::time::Duration;

/// 640×480 at 30 pictures a second: 6.9 Mbit/s.
fn small_camera() -> Stream {
    Stream { slices: 8, slice_bytes: 3560, ..Stream::camera() }
}

/// Packets are up to 100 ms late and keep their order, on a path that takes anything: nothing is held back. Whether the first
/// packet of all was late decides what the path's delay is thought to be, so dice are rolled several times.
fn jittery(name: &str, of: u64, jitter: Duration, stream: &Stream) {
    let params = Params { delay: ms(5), jitter, ..Params::default() };
    for of in of..of + 6 {
        let pair = run(name, Pair::new(of, &params, Skews::USUAL, stream.clone()), secs(15));
        let targets = &pair.source.borrow().targets;
        assert!(targets.iter().all(|(_, target)| target.is_none()), "{of}: jitter is no bottleneck: {targets:?}");
    }
}

#[test]
fn jitter_100() {
    jittery("jitter_100", 600, ms(100), &Stream::camera());
}

#[test]
fn jitter_100_small() {
    jittery("jitter_100_small", 610, ms(100), &small_camera());
}

#[test]
fn jitter_30() {
    jittery("jitter_30", 620, ms(30), &small_camera());
}

/// 95th percentile of capture to display from 13 s on, ms.
fn shown_late(pair: &Pair) -> f64 {
    let watched = pair.watched.borrow();
    let late = watched.shown.iter().filter(|shown| shown.at > 13_000_000_000).map(|shown| shown.latency);
    let mut late: Vec<u64> = late.collect();
    late.sort_unstable();
    late[late.len() * 95 / 100] as f64 / 1e6
}

/// From 30 Mbit/s to few, before a deep queue: it is found and drained, and three seconds later pictures are hardly later than
/// where the path was never wider.
fn narrowing(name: &str, of: u64, mbit: u64, queue: Duration) {
    check_middle(name, of, |of| {
        let params = |mbit| Params { queue, ..narrow(mbit) };
        let mut always = Pair::new(of, &params(mbit), Skews::USUAL, small_camera());
        always.world.run_until(secs(25));
        let own = shown_late(&always);
        let mut pair = Pair::new(of, &params(30), Skews::USUAL, small_camera());
        pair.world.at(secs(10), move |world| world.retune(CAMERA, SCREEN, move |params| params.rate = mbit * 1_000_000));
        pair.world.run_until(secs(25));
        let drained = {
            let watched = pair.watched.borrow();
            let late = watched.shown.iter().zip(&watched.held).rev().find(|(shown, held)| shown.latency - **held > 200_000_000);
            late.map_or(0, |(shown, _)| shown.at / 1_000_000)
        };
        let (after, unheld) = (shown_late(&pair), latency(&pair, secs(13), 95));
        println!(
            "{name}: {own:.1} ms always, {after:.1} from 13 s on ({unheld:.1} but for the sound); the last picture in the queue at {drained} ms"
        );
        assert!(drained < 11_500, "the queue stood until {drained} ms");
        assert!(after <= 1.5 * own, "{after} ms, where the path's own is {own}");
        pair.figures()
    });
}

#[test]
fn narrowing_30_3() {
    narrowing("narrowing_30_3", 63, 3, ms(500));
}

#[test]
fn narrowing_30_2() {
    narrowing("narrowing_30_2", 64, 2, ms(1000));
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
