//! Paths that drop what is over their rate and queue nothing: what many providers and home routers do to what is "too much".

use super::ceilings::check;
use super::netem::{Params, Policer};
use super::rates::share;
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, secs};
use super::sending::Stream;
use std::time::Duration;

/// A fast line behind a policer of so many Mbit/s that lets `bucket` bytes through at once.
fn policed(mbit: u64, bucket: u64) -> Params {
    let policer = Some(Policer { rate: mbit * 1_000_000, bucket });
    Params { delay: ms(10), jitter: ms(1), rate: 1_000_000_000, queue: ms(20), policer, ..Params::default() }
}

/// What happened to a pair between two moments.
struct Span {
    /// Of what the path carries.
    used: f64,
    /// Of the packets that were sent.
    dropped: f64,
    /// Of the pictures that were settled.
    whole: f64,
}

fn span(pair: &mut Pair, from: Duration, to: Duration, mbit: u64) -> Span {
    pair.world.run_until(from);
    let counts = |pair: &Pair| {
        let watched = pair.watched.borrow();
        (pair.world.fate(CAMERA, SCREEN), watched.whole, watched.settled.len() as u64)
    };
    let ((offered, dropped), whole, settled) = counts(pair);
    let used = share(pair, from, to, mbit);
    let ((offered2, dropped2), whole2, settled2) = counts(pair);
    let of = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let (dropped, whole) = (of(dropped2 - dropped, offered2 - offered), of(whole2 - whole, settled2 - settled));
    println!("{from:?} to {to:?}: {used:.3} of {mbit} Mbit/s used, {dropped:.4} dropped, {whole:.4} of the pictures whole");
    Span { used, dropped, whole }
}

/// 24 Mbit/s of camera: within two seconds the path is used and what is sent passes, however the dice fall.
fn held_to(name: &str, of: u64, mbit: u64, bucket: u64) {
    for of in [of, of + 100, of + 200] {
        let mut pair = Pair::new(of, &policed(mbit, bucket), Skews::USUAL, Stream::camera());
        let early = span(&mut pair, secs(2), secs(5), mbit);
        let late = span(&mut pair, secs(5), secs(20), mbit);
        for span in [early, late] {
            assert!(span.used >= 0.8, "{} used", span.used);
            assert!(span.dropped < 0.05, "{} dropped", span.dropped);
            assert!(span.whole >= 0.95, "{} whole", span.whole);
        }
        check(name, &pair.figures());
    }
}

#[test]
fn policer_5() {
    held_to("policer_5", 50, 5, 20_000);
}

#[test]
fn policer_5_deep() {
    held_to("policer_5_deep", 51, 5, 150_000);
}

#[test]
fn policer_10() {
    held_to("policer_10", 52, 10, 40_000);
}

/// It also loses at random, as the radio before it does: the rate is held, and the rest is mended.
#[test]
fn policer_10_loss_3() {
    let params = Params { loss: 0.03, ..policed(10, 40_000) };
    let mut pair = Pair::new(53, &params, Skews::USUAL, Stream::camera());
    let span = span(&mut pair, secs(2), secs(30), 10);
    assert!(span.used >= 0.8, "{} used", span.used);
    assert!(span.dropped < 0.03 + 0.05, "{} dropped", span.dropped);
    assert!(span.whole >= 0.9, "{} whole", span.whole);
    check("policer_10_loss_3", &pair.figures());
}

/// The policer goes: the room is found, and then nothing is held.
#[test]
fn policer_then_free() {
    let mut pair = Pair::new(54, &policed(5, 40_000), Skews::USUAL, Stream::camera());
    span(&mut pair, secs(2), secs(10), 5);
    pair.world.retune(CAMERA, SCREEN, |params| params.policer = None);
    let taken = span(&mut pair, secs(25), secs(40), 26);
    assert!(taken.used >= 0.9, "{} of the camera's 26 Mbit/s are taken", taken.used);
    assert!(taken.whole >= 0.99, "{} whole", taken.whole);
    check("policer_then_free", &pair.figures());
}

/// A policer comes in the middle.
#[test]
fn free_then_policer() {
    let mut pair = Pair::new(55, &policed(200, 400_000), Skews::USUAL, Stream::camera());
    pair.world.run_until(secs(10));
    assert!(pair.source.borrow().targets.is_empty(), "{:?}", pair.source.borrow().targets);
    pair.world.retune(CAMERA, SCREEN, |params| params.policer = policed(8, 30_000).policer);
    let span = span(&mut pair, secs(12), secs(30), 8);
    assert!(span.used >= 0.8, "{} used", span.used);
    assert!(span.dropped < 0.05, "{} dropped", span.dropped);
    assert!(span.whole >= 0.95, "{} whole", span.whole);
    check("free_then_policer", &pair.figures());
}
