//! Paths that take less than the camera gives, now or always.

use super::ceilings::check;
use super::netem::Params;
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, receiving, run, secs};
use super::sending::Stream;
use eyeline_proto::media::rate_control::Bitrate;
use std::time::Duration;

/// A link of so many Mbit/s with 200 ms of drop-tail queue.
pub fn narrow(mbit: u64) -> Params {
    Params { delay: ms(5), jitter: ms(1), rate: mbit * 1_000_000, queue: ms(200), ..Params::default() }
}

/// Which share of a path of so many Mbit/s what arrived from `from` to `to` is.
pub fn share(pair: &mut Pair, from: Duration, to: Duration, mbit: u64) -> f64 {
    let sent = |pair: &Pair| {
        let to_screen = pair.world.arrived.iter().filter(|(to, _)| to.to_string() == SCREEN);
        to_screen.map(|(_, bytes)| *bytes).sum::<u64>()
    };
    pair.world.run_until(from);
    let before = sent(pair);
    pair.world.run_until(to);
    (sent(pair) - before) as f64 * 8.0 / (to - from).as_secs_f64() / (mbit as f64 * 1e6)
}

/// Pictures shown from `from` on: percentile of their latency but for what they were held for the sound, ms.
pub fn latency(pair: &Pair, from: Duration, percent: usize) -> f64 {
    let watched = pair.watched.borrow();
    let shown = watched.shown_at.iter().zip(watched.latencies.iter().zip(&watched.held));
    let shown = shown.filter(|(at, _)| **at >= from.as_nanos() as u64);
    let mut sorted: Vec<u64> = shown.map(|(_, (latency, held))| latency - held).collect();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)] as f64 / 1e6
}

/// 100 → 8 → 40 Mbit/s: the bottleneck is found within two seconds, filled to 85 %, its queue stays short; new room is taken within five.
#[test]
fn cliff() {
    let mut pair = Pair::new(30, &narrow(100), Skews::USUAL, Stream::camera());
    for (at, mbit) in [(5, 8), (20, 40)] {
        pair.world.at(secs(at), move |world| world.retune(CAMERA, SCREEN, move |params| params.rate = mbit * 1_000_000));
    }
    pair.world.run_until(secs(7));
    let used = share(&mut pair, secs(7), secs(20), 8);
    let queued = latency(&pair, secs(7), 50);
    // 24 Mbit/s of pictures and 1.6 of sound are all there is.
    let taken = share(&mut pair, secs(25), secs(30), 26);
    println!(
        "cliff: {used:.3} of 8 Mbit/s used, latency {queued:.1} ms, then {taken:.3} of 26; {} targets",
        pair.source.borrow().targets.len()
    );
    assert!((0.85..=1.0).contains(&used), "{used}");
    // 5 ms of path, 6 of encoding, 2 of decoding, and a picture of 33 KB takes 33 ms on such a link.
    assert!(queued < 5.0 + 6.0 + 2.0 + 34.0 + 30.0, "{queued}");
    assert!(taken >= 0.9, "{taken}");
    check("cliff", &pair.figures());
}

/// A path that never takes what the camera gives.
#[test]
fn narrow_from_the_start() {
    let pair = run("narrow_from_the_start", Pair::new(31, &narrow(4), Skews::USUAL, Stream::camera()), secs(20));
    assert!(latency(&pair, secs(4), 95) < 90.0, "{}", latency(&pair, secs(4), 95));
}

/// The user's cap holds on a path that takes far more.
#[test]
fn capped() {
    let stream = Stream { cap: Some(Bitrate(6_000_000)), ..Stream::camera() };
    let mut pair = Pair::new(32, &Params::lan(), Skews::USUAL, stream);
    let used = share(&mut pair, secs(1), secs(15), 6);
    assert!((0.85..=1.0).contains(&used), "{used}");
}

/// Fifteen receivers in the room and one behind a slow link: it gets fewer pictures, they notice nothing.
#[test]
fn one_slow_of_sixteen() {
    let mut pair = Pair::new(33, &narrow(6), Skews::USUAL, Stream::camera());
    let mut others = Vec::new();
    for other in 3..18 {
        others.push(receiving(&mut pair.world, &format!("10.0.0.{other}"), Skews::USUAL, false, &pair.sources, &[CAMERA]).1);
    }
    pair.world.run_until(secs(15));
    for (watched, _) in &others {
        let watched = watched.borrow();
        assert!(watched.lost == 0 && watched.partial == 0 && watched.whole > 15 * 30 - 8, "{} whole", watched.whole);
        assert!(watched.frozen < 36_000_000, "{} us", watched.frozen / 1000);
    }
    assert!(
        pair.source.borrow().steps.iter().all(|(_, step)| step.quality == 80 && step.eighths == 8),
        "the encoder follows the best"
    );
    let watched = pair.watched.borrow();
    // A picture of 100 KB takes 130 ms of such a link, beside 1.6 Mbit/s of sound and its copies 200 to 300.
    assert!(watched.whole >= 35, "{} whole, {} partial", watched.whole, watched.partial);
    assert!(watched.partial <= 24, "{} whole, {} partial", watched.whole, watched.partial);
    // What it was not sent is not lost.
    let came = watched.stats.total;
    println!(
        "one_slow_of_sixteen: {} whole, {} partial, {} lost, {} left out",
        came.whole, came.partial, came.lost, came.left_out
    );
    assert!(came.left_out > 200 && came.lost * 4 < came.left_out, "{} left out, {} lost", came.left_out, came.lost);
}
