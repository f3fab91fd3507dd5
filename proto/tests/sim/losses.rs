//! Paths that lose much, or lose where no question is quick enough.

use super::netem::{Bursts, Params};
use super::scenarios::{Pair, Skews, ms, run, secs};
use super::sending::Stream;
use std::time::Duration;

fn path(rtt: Duration, loss: f64) -> Params {
    Params { delay: rtt / 2, jitter: ms(1), loss, rate: 100_000_000, queue: ms(50), ..Params::default() }
}

fn lossy(name: &str, of: u64, params: &Params) -> Pair {
    let pair = run(name, Pair::new(of, params, Skews::USUAL, Stream::camera()), secs(30));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let parity: u64 = source.stats.peers.iter().map(|peer| peer.parity).sum();
    println!(
        "{name}: {:.2} % whole, {} shards sent, {} fragments recovered",
        whole(&pair),
        parity,
        watched.stats.total.recovered
    );
    assert!(source.targets.iter().all(|(_, target)| target.is_none()), "dice are no policer: {:?}", source.targets);
    drop((watched, source));
    pair
}

/// Of a hundred pictures so many were whole.
fn whole(pair: &Pair) -> f64 {
    let watched = pair.watched.borrow();
    100.0 * watched.whole as f64 / (watched.whole + watched.partial + watched.lost) as f64
}

fn parity(pair: &Pair) -> u64 {
    pair.source.borrow().stats.peers.iter().map(|peer| peer.parity).sum()
}

/// A question fits many times into the wait: hardly a shard is sent.
#[test]
fn loss_5_rtt_2() {
    let pair = lossy("loss_5_rtt_2", 40, &path(ms(2), 0.05));
    assert!(parity(&pair) < 300, "asking is cheaper: {}", parity(&pair));
    assert!(whole(&pair) >= 99.0, "{}", whole(&pair));
}

/// It fits once, which is not enough.
#[test]
fn loss_5_rtt_30() {
    let pair = lossy("loss_5_rtt_30", 41, &path(ms(30), 0.05));
    assert!(whole(&pair) >= 99.0, "{}", whole(&pair));
}

/// Of a hundred pictures 99 whole, for a quarter more bytes: what the network bench asks for.
#[test]
fn loss_5_rtt_60() {
    let pair = lossy("loss_5_rtt_60", 42, &path(ms(60), 0.05));
    assert!(parity(&pair) > 0);
    assert!(whole(&pair) >= 99.0, "{}", whole(&pair));
}

#[test]
fn loss_5_rtt_150() {
    let pair = lossy("loss_5_rtt_150", 43, &path(ms(150), 0.05));
    assert!(whole(&pair) >= 97.5, "{}", whole(&pair));
}

#[test]
fn loss_20() {
    let pair = lossy("loss_20", 44, &path(ms(4), 0.2));
    assert!(pair.watched.borrow().parts > 0, "what came of unfinished slices is drawn");
}

#[test]
fn bursts_rtt_60() {
    let bursts = Bursts { enter: 0.001, leave: 0.05, loss: 0.5 };
    lossy("bursts_rtt_60", 45, &Params { bursts, ..path(ms(60), 0.0) });
}

/// A radio cell: packets scatter by up to 30 ms, losses come in bursts, and every 30 s it looks for other channels for 200 ms.
#[test]
fn wifi() {
    let bursts = Bursts { enter: 0.0005, leave: 0.1, loss: 0.5 };
    let scans = (1..4).map(|turn| (secs(10 * turn), secs(10 * turn) + ms(200))).collect();
    let params = Params { jitter: ms(30), bursts, outages: scans, ..path(ms(4), 0.002) };
    let pair = run("wifi", Pair::new(46, &params, Skews::USUAL, Stream::camera()), secs(40));
    let targets = &pair.source.borrow().targets;
    assert!(targets.iter().all(|(_, target)| target.is_none()), "scatter is no bottleneck: {targets:?}");
}
