//! Sound where the network is bad: what TCP is late with comes beside it, and on a good network nothing does.

use super::clocks::lips;
use super::netem::{Bursts, Params};
use super::scenarios::{Pair, Skews, lossy, ms, run, secs};
use super::sending::Stream;
use eyeline_proto::media::hold::{Hold, Latency};
use std::time::Duration;

fn copies(pair: &Pair) -> u64 {
    pair.source.borrow().stats.peers.iter().map(|peer| peer.copies).sum()
}

/// Mean latency of the sound heard between two moments, milliseconds.
fn latency(pair: &Pair, from: Duration, to: Duration) -> f64 {
    let within = from.as_nanos() as u64..to.as_nanos() as u64;
    let speaker = pair.speaker.borrow();
    let heard: Vec<f64> =
        speaker.latencies.iter().filter(|(at, _)| within.contains(at)).map(|(_, ns)| *ns as f64 / 1e6).collect();
    heard.iter().sum::<f64>() / heard.len() as f64
}

/// At 5 % and 60 ms TCP carries a megabit at most (Mathis et al. 1997), and stereo is one and a half.
#[test]
fn sound_loss_5_rtt60() {
    let params = Params { delay: ms(30), ..lossy(0.05) };
    let pair = run("sound_loss_5_rtt60", Pair::new(40, &params, Skews::USUAL, Stream::camera()), secs(30));
    assert!(copies(&pair) > 5000);
}

#[test]
fn sound_loss_20_rtt30() {
    let params = Params { delay: ms(15), ..lossy(0.2) };
    run("sound_loss_20_rtt30", Pair::new(41, &params, Skews::USUAL, Stream::camera()), secs(20));
}

/// Hardly any pictures, so that hardly any loss shows but in the sound itself.
#[test]
fn sound_alone_loss_5() {
    let stream = Stream { channels: 2, period: secs(1), ..Stream::small() };
    run("sound_alone_loss_5", Pair::new(42, &lossy(0.05), Skews::USUAL, stream), secs(30));
}

#[test]
fn sound_alone_in_bursts() {
    let bursts = Bursts { enter: 0.005, leave: 0.1, loss: 0.7 };
    let stream = Stream { channels: 2, period: secs(1), ..Stream::small() };
    run("sound_alone_in_bursts", Pair::new(43, &Params { bursts, ..lossy(0.0) }, Skews::USUAL, stream), secs(30));
}

/// Where TCP is in time nothing goes beside it and nothing is asked, whatever the jitter and the order.
#[test]
fn a_path_that_loses_nothing_carries_no_copy() {
    let wifi = Params { jitter: ms(30), ..lossy(0.0) };
    let reorder = Params { reorder: 0.05, reorder_by: ms(1), ..lossy(0.0) };
    for (of, params) in [(44, Params::lan()), (45, wifi), (46, reorder)] {
        let mut pair = Pair::new(of, &params, Skews::USUAL, Stream::camera());
        pair.world.tap = Some(Vec::new());
        pair.world.run_until(secs(30));
        assert_eq!(copies(&pair), 0, "scenario {of} {:?} resent {}", pair.source.borrow().targets, pair.source.borrow().resent());
        let stats = &pair.watched.borrow().stats.total;
        assert_eq!((stats.copied_blocks, stats.duplicate_blocks), (0, 0), "scenario {of}");
        assert!(stats.blocks > 2800, "{}", stats.blocks);
    }
}

/// TCP alone stands still. There is one gap, of what it takes to notice; then copies come, and once TCP is back they end.
#[test]
fn a_stalled_tcp_makes_one_gap_and_the_latency_is_what_it_was() {
    for stall in [ms(300), ms(1500)] {
        let mut pair = Pair::new(47, &Params::lan(), Skews::USUAL, Stream::camera());
        pair.world.tcp_outage = Some((secs(5), secs(5) + stall));
        pair.world.run_until(secs(30));
        let gap = pair.speaker.borrow().gap();
        assert!(gap < ms(25), "{gap:?} at a stall of {stall:?}");
        assert_eq!(pair.speaker.borrow().underflows(), 1, "one gap");
        let (before, after, end) =
            (latency(&pair, secs(4), secs(5)), latency(&pair, secs(10), secs(11)), latency(&pair, secs(29), secs(30)));
        assert!((after - before).abs() < 4.0 && (end - before).abs() < 2.0, "{before} ms, then {after}, then {end}");
        let pieces = copies(&pair);
        // Ten seconds of two pieces a block, and what was asked for anew where the stall went on.
        assert!((1900..2400).contains(&pieces), "{pieces} pieces");
        let stats = &pair.watched.borrow().stats.total;
        assert!(stats.blocks > 2880 && stats.duplicate_blocks < 60, "{} blocks, {} twice", stats.blocks, stats.duplicate_blocks);
    }
}

#[test]
fn every_block_is_told_once() {
    let params = Params { delay: ms(30), duplicate: 0.05, ..lossy(0.05) };
    let mut pair = Pair::new(48, &params, Skews::USUAL, Stream::camera());
    pair.world.run_until(secs(10));
    let mut numbers = pair.watched.borrow().blocks.clone();
    let came = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), came);
    assert!(came > 960, "{came}");
}

/// After five seconds of nothing the sound that comes first is late, and what comes then is not.
#[test]
fn after_an_outage_sound_is_as_late_as_before() {
    let params = Params { outages: vec![(secs(4), secs(9))], ..Params::lan() };
    let mut pair = Pair::new(49, &params, Skews::USUAL, Stream::camera());
    pair.world.run_until(secs(12));
    let (before, after) = (latency(&pair, secs(3), secs(4)), latency(&pair, ms(9500), secs(10)));
    assert!((after - before).abs() < 4.0, "{before} ms, then {after}");
    let gap = pair.speaker.borrow().gap();
    assert!(gap < ms(5050), "{gap:?}");
}

/// With a latency given both come at it, whatever the network loses meanwhile.
#[test]
fn a_latency_of_150_ms_is_met_by_both_at_5_percent_and_60_ms() {
    let params = Params { delay: ms(30), ..lossy(0.05) };
    let mut pair = Pair::new(50, &params, Skews::USUAL, Stream::camera());
    pair.watched.borrow_mut().hold = Hold::new(Latency::Fixed(ms(150)));
    pair.world.run_until(secs(30));
    let lips = lips(&pair, secs(5));
    let (low, high) = (lips[lips.len() / 40], lips[lips.len() - lips.len() / 40 - 1]);
    assert!(low > -5.0 && high < 5.0, "{low} to {high} ms");
    let sound = latency(&pair, secs(5), secs(30));
    assert!((sound - 150.0).abs() < 3.0, "{sound} ms");
    let held = pair.watched.borrow().held.iter().filter(|held| **held == 0).count();
    assert!(held < 5, "{held} pictures came too late to be held");
}

/// Sound 300 ms late, by jitter of TCP's own, holds the picture to the edge of what nobody notices; once it is back, so is the picture.
#[test]
fn pictures_wait_for_sound_only_as_long_as_it_is_beyond_the_bound() {
    let mut pair = Pair::new(51, &Params::lan(), Skews::USUAL, Stream::camera());
    pair.world.run_until(secs(5));
    assert!(pair.watched.borrow().held.iter().all(|held| *held == 0), "nothing is held without need");
    pair.speaker.borrow_mut().insist(Some(ms(400)));
    pair.world.run_until(secs(10));
    let late = lips(&pair, ms(9000));
    assert!(late[0] > -125.0 && late[late.len() - 1] < -100.0, "{late:?}");
    pair.speaker.borrow_mut().insist(None);
    pair.world.run_until(secs(15));
    assert_eq!(pair.watched.borrow().held.last(), Some(&0), "and is let go");
}
