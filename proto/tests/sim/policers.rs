//! Paths that drop what is over their rate and queue nothing: what many providers and home routers do to what is "too much".

use super::ceilings::{check_middle, middle};
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

/// What happened between two moments of a pair, of each of some pairs.
#[derive(Default)]
struct Spans {
    /// Of what the path carries.
    used: Vec<f64>,
    /// Of the packets that were sent.
    dropped: Vec<f64>,
    /// Of the pictures that were settled.
    whole: Vec<f64>,
}

impl Spans {
    fn measure(&mut self, pair: &mut Pair, from: Duration, to: Duration, mbit: u64) {
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
        self.used.push(used);
        self.dropped.push(dropped);
        self.whole.push(whole);
    }

    /// Of the middle: at least so much is used, at most so much dropped, at least so many are whole.
    fn hold(self, used: f64, dropped: f64, whole: f64) {
        let [is_used, is_dropped, are_whole] = [self.used, self.dropped, self.whole].map(middle);
        assert!(is_used >= used, "{is_used} used");
        assert!(is_dropped < dropped, "{is_dropped} dropped");
        assert!(are_whole >= whole, "{are_whole} whole");
    }
}

/// 24 Mbit/s of camera: within two seconds the path is used and what is sent passes.
fn held_to(name: &str, of: u64, mbit: u64, bucket: u64) {
    let (mut early, mut late) = (Spans::default(), Spans::default());
    check_middle(name, of, |of| {
        let mut pair = Pair::new(of, &policed(mbit, bucket), Skews::USUAL, Stream::camera());
        early.measure(&mut pair, secs(2), secs(5), mbit);
        late.measure(&mut pair, secs(5), secs(20), mbit);
        pair.figures()
    });
    early.hold(0.8, 0.05, 0.95);
    late.hold(0.8, 0.05, 0.95);
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
    let mut spans = Spans::default();
    check_middle("policer_10_loss_3", 53, |of| {
        let params = Params { loss: 0.03, ..policed(10, 40_000) };
        let mut pair = Pair::new(of, &params, Skews::USUAL, Stream::camera());
        spans.measure(&mut pair, secs(2), secs(30), 10);
        pair.figures()
    });
    spans.hold(0.8, 0.03 + 0.05, 0.9);
}

/// The policer goes: the room is found, and then nothing is held.
#[test]
fn policer_then_free() {
    let mut spans = Spans::default();
    check_middle("policer_then_free", 54, |of| {
        let mut pair = Pair::new(of, &policed(5, 40_000), Skews::USUAL, Stream::camera());
        pair.world.run_until(secs(10));
        pair.world.retune(CAMERA, SCREEN, |params| params.policer = None);
        spans.measure(&mut pair, secs(25), secs(40), 26);
        pair.figures()
    });
    spans.hold(0.9, 0.05, 0.99);
}

/// A policer comes in the middle.
#[test]
fn free_then_policer() {
    let mut spans = Spans::default();
    check_middle("free_then_policer", 55, |of| {
        let mut pair = Pair::new(of, &policed(200, 400_000), Skews::USUAL, Stream::camera());
        pair.world.run_until(secs(10));
        assert!(pair.source.borrow().targets.is_empty(), "{:?}", pair.source.borrow().targets);
        pair.world.retune(CAMERA, SCREEN, |params| params.policer = policed(8, 30_000).policer);
        spans.measure(&mut pair, secs(12), secs(30), 8);
        pair.figures()
    });
    spans.hold(0.8, 0.05, 0.95);
}
