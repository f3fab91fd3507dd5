//! Coming back: whatever goes away and returns, the picture returns by itself, within half a second, and at the latency it had.
//!
//! A scenario says when the path (or the process, or the machine) is back. From then on it is measured: until the first whole
//! picture (`back_ms`), that picture's latency (a backlog would be old), and the latency of the rest against that before.

use super::ceilings::{Figures, check};
use super::harness::World;
use super::netem::Params;
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, receiving, secs, seed, sending};
use super::sending::Stream;
use super::watched::Shown;
use eyeline_proto::media::hold::{Hold, Latency};
use std::time::Duration;

/// A second address of the receiver.
const CABLE: &str = "10.0.0.22";

/// A picture that missed the first datagram's way back, milliseconds: one period and a little.
const FRESH: f64 = 40.0;

/// And in the first second.
const LEARNING: f64 = 500.0;

/// The receiver's link is a home network: 5 ms each way.
fn home() -> Params {
    Params { delay: ms(5), jitter: ms(1), rate: 100_000_000, queue: ms(50), ..Params::default() }
}

fn median(shown: &[Shown]) -> f64 {
    let mut latencies: Vec<u64> = shown.iter().map(|shown| shown.latency).collect();
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
}

/// Runs until `length`; the path was well until `goes` and is again from `returns` on.
fn comes_back(name: &str, mut pair: Pair, goes: Duration, returns: Duration, length: Duration) -> Pair {
    pair.world.run_until(length);
    let (goes, returns) = (goes.as_nanos() as u64, returns.as_nanos() as u64);
    let watched = pair.watched.borrow();
    let story = || format!("{name}\nreceiver {:?}\nsender {:?}", watched.log, pair.source.borrow().log);
    let before: Vec<Shown> = watched.shown.iter().filter(|shown| shown.at < goes).copied().collect();
    let after: Vec<Shown> = watched.shown.iter().filter(|shown| shown.at >= returns).copied().collect();
    let first = after.first().unwrap_or_else(|| panic!("nothing came back: {}", story()));
    let (was, is) = (median(&before[30..]), median(&after));
    println!(
        "{name:<28} back after {:>4} ms, the first at {:>5.1} ms, p50 {was:>5.1} before and {is:>5.1} ms after",
        (first.at - returns) / 1_000_000,
        first.latency as f64 / 1e6
    );
    // A picture that was on its way when the sender died may come later than it would have. A clock that stood still is known
    // anew after three pings; until then lips may be kept with a voice that is measured wrongly.
    let limit = |shown: &Shown| was + if shown.at < returns + 1_000_000_000 { LEARNING } else { FRESH };
    let fresh = after
        .iter()
        .filter(|shown| shown.latency as f64 / 1e6 > limit(shown))
        .map(|shown| (shown.at / 1_000_000, shown.latency / 1_000_000))
        .collect::<Vec<_>>();
    assert_eq!(fresh, [], "old pictures were shown: {}", story());
    assert!(is < was + 1.0, "latency went from {was} to {is} ms: {}", story());
    let mut last = None;
    for shown in &watched.shown {
        // Another sender counts from 0 again.
        let ascends = last.is_none_or(|last: Shown| shown.picture > last.picture) || watched.senders.len() > 1;
        assert!(ascends, "picture {} after {last:?}", shown.picture);
        last = Some(*shown);
    }
    assert!(watched.assembly_bytes < 2 << 20, "{} bytes of unfinished slices", watched.assembly_bytes);
    assert!(pair.source.borrow().stats.log_bytes < 16 << 20);
    let expected = (length.as_nanos() as u64 - returns) / 33_333_333;
    assert!(after.len() as u64 + 20 > expected, "{} pictures of {expected} after it: {}", after.len(), story());
    let back_ms = (first.at - returns) as f64 / 1e6;
    drop(watched);
    let mut figures = Figures { back_ms, ..pair.figures() };
    if name.ends_with("sleeps") {
        // A clock stood still: the estimate of before is wrong by that, until the first pings say so.
        figures.clock_us = 0.0;
    }
    check(name, &figures);
    pair
}

/// Sound is heard again so soon after the path is back.
fn sound_is_back(pair: &Pair, returns: Duration, within: Duration) {
    let (speaker, returns) = (pair.speaker.borrow(), returns.as_nanos() as u64);
    let first = speaker.latencies.iter().find(|(at, _)| *at >= returns);
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let after = first.map(|(at, _)| Duration::from_nanos(at - returns));
    println!("{:<28} sound back after {after:?}", "");
    assert!(after.is_some_and(|after| after <= within), "sound came back after {after:?}\n{:?}\n{:?}", watched.log, source.log);
}

fn vanishes(name: &str, of: u64, outage: Duration) -> Pair {
    let (goes, returns) = (secs(4), secs(4) + outage);
    let params = Params { outages: vec![(goes, returns)], ..home() };
    let pair = Pair::new(of, &params, Skews::USUAL, Stream::camera());
    let pair = comes_back(name, pair, goes, returns, returns + secs(8));
    assert_eq!(pair.watched.borrow().senders.last().map(|(_, name)| name.as_str()), Some("camera at 0 ms"));
    assert!(!pair.watched.borrow().log.iter().any(|(_, what)| what.starts_with("down")), "{:?}", pair.watched.borrow().log);
    assert!(no_udp(&pair).iter().all(Vec::is_empty), "TCP was gone as well");
    pair
}

/// When each side said that no UDP comes through.
fn no_udp(pair: &Pair) -> [Vec<u64>; 2] {
    let said = |log: &[(u64, String)]| log.iter().filter(|(_, what)| what.starts_with("no udp")).map(|(at, _)| *at).collect();
    [said(&pair.watched.borrow().log), said(&pair.source.borrow().log)]
}

/// UDP is cut in the middle of a run, one way or both, and TCP goes on: both sides say so, once and in time, whoever dials, with
/// sound and without.
#[test]
fn udp_that_is_cut_in_mid_run_is_named_by_both_sides_within_three_seconds() {
    for (of, sound) in [(65, true), (66, false)] {
        for sender_dials in [false, true] {
            for blocked_to in [None, Some(CAMERA), Some(SCREEN)] {
                let mut world = World::new(seed(of), Params::lan());
                world.connect(CAMERA, SCREEN, &home());
                let stream = if sound { Stream::camera() } else { Stream::small() };
                let sources = super::receiving::Sources::default();
                let (to_camera, to_screen): (&[&str], &[&str]) = if sender_dials { (&[], &[SCREEN]) } else { (&[CAMERA], &[]) };
                let wait_first = |world: &mut World| receiving(world, SCREEN, Skews::USUAL, false, &sources, to_camera);
                let early = sender_dials.then(|| wait_first(&mut world));
                let (sender, source) = sending(&mut world, CAMERA, Skews::USUAL, stream, to_screen);
                sources.borrow_mut().push(source.clone());
                let (receiver, (watched, speaker)) = early.unwrap_or_else(|| wait_first(&mut world));
                let mut pair = Pair { world, sender, receiver, source, sources: sources.clone(), watched, speaker };
                pair.world.at(secs(4), move |world| match blocked_to {
                    None => world.udp_blocked = true,
                    Some(to) => world.udp_blocked_to = Some(to.parse().expect("an address")),
                });
                pair.world.run_until(secs(8));
                let case = format!("sound {sound}, sender dials {sender_dials}, blocked to {blocked_to:?}");
                let said = no_udp(&pair);
                println!("{case}: {said:?}");
                let story = || format!("{case}: {:?}\n{:?}", pair.watched.borrow().log, pair.source.borrow().log);
                assert!(said.iter().all(|said| matches!(said[..], [4000..=7000])), "{said:?} {}", story());
            }
        }
    }
}

#[test]
fn vanish_1s() {
    let pair = vanishes("vanish_1s", 40, secs(1));
    sound_is_back(&pair, secs(5), ms(700));
    assert!(!pair.watched.borrow().log.iter().any(|(_, what)| what.starts_with("quiet")), "a second is not worth a word");
}

#[test]
fn vanish_10s() {
    let pair = vanishes("vanish_10s", 41, secs(10));
    sound_is_back(&pair, secs(14), ms(700));
    let watched = pair.watched.borrow();
    let quiet: Vec<_> = watched.log.iter().filter(|(_, what)| what.starts_with("quiet")).collect();
    assert!(matches!(&quiet[..], [(6900..7200, _), (14_000..14_500, _)]), "said once each way: {quiet:?}");
}

/// Keys live for a quarter of an hour: the same link goes on.
#[test]
fn vanish_10min() {
    let pair = vanishes("vanish_10min", 42, secs(600));
    sound_is_back(&pair, secs(604), ms(700));
}

/// After twenty minutes both sides have given the keys up, and meet anew.
#[test]
fn vanish_20min() {
    let (goes, returns) = (secs(4), secs(1204));
    let params = Params { outages: vec![(goes, returns)], ..home() };
    let pair = Pair::new(43, &params, Skews::USUAL, Stream::small());
    let pair = comes_back("vanish_20min", pair, goes, returns, returns + secs(8));
    let watched = pair.watched.borrow();
    let said: Vec<_> = watched.log.iter().filter(|(_, what)| what.starts_with("down") || what.starts_with("up")).collect();
    assert!(matches!(&said[..], [_, (903_900..905_000, _), (1_204_000..1_204_500, _)]), "{said:?}");
}

/// The sender dials: it never hears anything over TCP that would tell it how its connection is.
#[test]
fn vanish_10s_dialled_by_the_sender() {
    let (goes, returns) = (secs(4), secs(14));
    let mut world = World::new(seed(44), Params::lan());
    world.connect(CAMERA, SCREEN, &Params { outages: vec![(goes, returns)], ..home() });
    let sources = super::receiving::Sources::default();
    let (receiver, (watched, speaker)) = receiving(&mut world, SCREEN, Skews::USUAL, false, &sources, &[]);
    let (sender, source) = sending(&mut world, CAMERA, Skews::USUAL, Stream::camera(), &[SCREEN]);
    sources.borrow_mut().push(source.clone());
    let pair = Pair { world, sender, receiver, source, sources, watched, speaker };
    let pair = comes_back("vanish_10s_sender_dials", pair, goes, returns, secs(22));
    sound_is_back(&pair, returns, ms(700));
}

fn replaced(name: &str, of: u64, kill: bool, pick: fn(&Pair) -> usize, again: fn(&mut Pair)) {
    let mut pair = Pair::new(of, &home(), Skews::USUAL, Stream::camera());
    let gone = pick(&pair);
    pair.world.at(secs(4), move |world| if kill { world.kill(gone) } else { world.power_off(gone) });
    pair.world.run_until(secs(6));
    again(&mut pair);
    comes_back(name, pair, secs(4), secs(6), secs(12));
}

fn new_sender(pair: &mut Pair) {
    let (node, second) = sending(&mut pair.world, CAMERA, Skews { sender: 40.0, ..Skews::USUAL }, Stream::camera(), &[]);
    pair.sources.borrow_mut().push(second.clone());
    (pair.sender, pair.source) = (node, second);
}

fn new_receiver(pair: &mut Pair) {
    let before = pair.watched.borrow().shown.clone();
    let (node, (watched, speaker)) = receiving(&mut pair.world, SCREEN, Skews::USUAL, false, &pair.sources, &[CAMERA]);
    watched.borrow_mut().shown = before;
    (pair.receiver, pair.watched, pair.speaker) = (node, watched, speaker);
}

#[test]
fn sender_killed_and_restarted() {
    replaced("sender_killed", 45, true, |pair| pair.sender, new_sender);
}

#[test]
fn sender_loses_power_and_is_restarted() {
    replaced("sender_off_and_on", 46, false, |pair| pair.sender, new_sender);
}

#[test]
fn receiver_killed_and_restarted() {
    replaced("receiver_killed", 47, true, |pair| pair.receiver, new_receiver);
}

#[test]
fn receiver_loses_power_and_is_restarted() {
    replaced("receiver_off_and_on", 48, false, |pair| pair.receiver, new_receiver);
}

/// From Wi-Fi to cable: another address, and the old TCP connection is dead without anybody saying so.
#[test]
fn the_receivers_address_changes_and_tcp_is_dead() {
    let mut pair = Pair::new(49, &home(), Skews::USUAL, Stream::camera());
    pair.world.connect(CAMERA, CABLE, &home());
    let receiver = pair.receiver;
    pair.world.at(secs(4), move |world| world.move_to(receiver, CABLE));
    let pair = comes_back("wifi_to_cable", pair, secs(4), secs(4), secs(12));
    sound_is_back(&pair, ms(4100), ms(1200));
    assert_eq!(pair.watched.borrow().log.iter().filter(|(_, what)| what.starts_with("up")).count(), 2, "it resumed once");
}

/// The sender, which waits, gets another address that its receiver cannot know; it comes back to the old one.
#[test]
fn the_senders_address_goes_and_comes_back_and_tcp_is_dead() {
    let mut pair = Pair::new(50, &home(), Skews::USUAL, Stream::camera());
    let sender = pair.sender;
    pair.world.at(secs(4), move |world| world.move_to(sender, "10.0.0.11"));
    pair.world.at(ms(4900), move |world| world.move_to(sender, CAMERA));
    let pair = comes_back("sender_moves", pair, secs(4), ms(4900), secs(12));
    sound_is_back(&pair, ms(5000), ms(1500));
}

/// Where the waiting side moves to, and stays.
const ELSEWHERE: &str = "10.0.0.11";

/// From the fourth second on nothing is at the old address.
fn deserted() -> Params {
    Params { outages: vec![(secs(4), secs(1000))], ..home() }
}

fn moves_for_good(name: &str, mut pair: Pair, waits: usize) {
    pair.world.at(secs(4), move |world| world.move_to(waits, ELSEWHERE));
    let pair = comes_back(name, pair, secs(4), secs(4), secs(12));
    sound_is_back(&pair, secs(4), ms(1500));
    // Sound comes by datagrams meanwhile: what follows is the connection.
    let again = |(at, what): &(u64, String)| (4000..5500).contains(at) && what.starts_with("up") && what.ends_with("again");
    assert!(pair.watched.borrow().log.iter().any(again), "TCP is back: {:?}", pair.watched.borrow().log);
    let log = [pair.watched.borrow().log.clone(), pair.source.borrow().log.clone()].concat();
    assert!(!log.iter().any(|(_, what)| what.starts_with("unreachable")), "no warning stands while pictures run: {log:?}");
}

/// The waiting sender gets another address for good: its receiver learns by datagrams where it is, and dials it there.
#[test]
fn the_waiting_sender_moves_for_good_and_tcp_follows() {
    let mut pair = Pair::new(63, &deserted(), Skews::USUAL, Stream::camera());
    pair.world.connect(ELSEWHERE, SCREEN, &home());
    let sender = pair.sender;
    moves_for_good("sender_moves_away", pair, sender);
}

#[test]
fn the_waiting_receiver_moves_for_good_and_tcp_follows() {
    let mut world = World::new(seed(64), Params::lan());
    world.connect(CAMERA, SCREEN, &deserted());
    world.connect(CAMERA, ELSEWHERE, &home());
    let sources = super::receiving::Sources::default();
    let (receiver, (watched, speaker)) = receiving(&mut world, SCREEN, Skews::USUAL, false, &sources, &[]);
    let (sender, source) = sending(&mut world, CAMERA, Skews::USUAL, Stream::camera(), &[SCREEN]);
    sources.borrow_mut().push(source.clone());
    let pair = Pair { world, sender, receiver, source, sources, watched, speaker };
    moves_for_good("receiver_moves_away", pair, receiver);
}

/// A NAT gives datagrams another port; TCP does not notice, and is left alone.
#[test]
fn a_nat_rebinds_datagrams_only() {
    let mut pair = Pair::new(51, &home(), Skews::USUAL, Stream::camera());
    let receiver = pair.receiver;
    pair.world.at(secs(4), move |world| world.rebind(receiver, "10.0.0.2:50505".parse().unwrap()));
    let pair = comes_back("nat_rebinding", pair, secs(4), secs(4), secs(10));
    assert_eq!(pair.watched.borrow().senders.len(), 1, "one connection all the time: {:?}", pair.watched.borrow().log);
    assert_eq!(pair.speaker.borrow().gap(), Duration::ZERO, "TCP does not care");
}

/// Datagrams stop passing for a while, TCP goes on: the sound is not disturbed by it.
#[test]
fn datagrams_are_dead_for_a_while() {
    let mut pair = Pair::new(52, &home(), Skews::USUAL, Stream::camera());
    pair.world.at(secs(4), |world| world.udp_blocked = true);
    pair.world.at(secs(9), |world| world.udp_blocked = false);
    let pair = comes_back("udp_dead_5s", pair, secs(4), secs(9), secs(14));
    assert_eq!(pair.speaker.borrow().gap(), Duration::ZERO);
    assert_eq!(pair.watched.borrow().senders.len(), 1, "{:?}", pair.watched.borrow().log);
}

/// The machine sleeps. `stands`: its clock stood still meanwhile, as Linux' does; else it has jumped.
fn suspended(name: &str, of: u64, sender: bool, stands: bool) {
    let (from, to) = (secs(5), secs(25));
    let pause = if stands { (from, to) } else { (Duration::ZERO, Duration::ZERO) };
    let none = (Duration::ZERO, Duration::ZERO);
    let mut pair = Pair::with_pauses(of, &home(), if sender { (pause, none) } else { (none, pause) });
    let node = if sender { pair.sender } else { pair.receiver };
    pair.world.at(from, move |world| world.suspend(node));
    pair.world.at(to, move |world| world.wake(node));
    let pair = comes_back(name, pair, from, to, secs(33));
    sound_is_back(&pair, to, ms(2500));
    let lip = pair.speaker.borrow().latencies.iter().filter(|(at, _)| *at > 28_000_000_000).map(|(_, latency)| *latency).max();
    assert!(lip.is_some_and(|latency| latency < 130_000_000), "sound is {lip:?} ns late after it");
}

#[test]
fn the_sender_is_suspended_and_its_clock_stands_still() {
    suspended("sender_sleeps", 53, true, true);
}

#[test]
fn the_sender_is_stopped_and_its_clock_goes_on() {
    suspended("sender_stopped", 54, true, false);
}

#[test]
fn the_receiver_is_suspended_and_its_clock_stands_still() {
    suspended("receiver_sleeps", 55, false, true);
}

#[test]
fn the_receiver_is_stopped_and_its_clock_goes_on() {
    suspended("receiver_stopped", 56, false, false);
}

/// Both sides dial each other and both wait: two links come up at once, both drop the same one, and what remains resumes after an
/// outage.
#[test]
fn both_sides_dial_each_other() {
    for (of, late) in [(57, 0), (58, 1), (59, 7), (60, 12), (61, 15), (62, 400)] {
        let mut world = World::new(seed(of), Params::lan());
        let (goes, returns) = (secs(4), secs(8));
        world.connect(CAMERA, SCREEN, &Params { outages: vec![(goes, returns)], ..home() });
        let sources = super::receiving::Sources::default();
        let (sender, source) = sending(&mut world, CAMERA, Skews::USUAL, Stream::camera(), &[SCREEN]);
        sources.borrow_mut().push(source.clone());
        world.listen(sender);
        world.run_until(ms(late));
        let (receiver, (watched, speaker)) = receiving(&mut world, SCREEN, Skews::USUAL, false, &sources, &[CAMERA]);
        world.listen(receiver);
        let mut pair = Pair { world, sender, receiver, source, sources, watched, speaker };
        pair.world.run_until(secs(3));
        assert_eq!(pair.source.borrow().stats.peers.len(), 1, "one peer, whoever dialled: {:?}", pair.source.borrow().log);
        let pair = comes_back("both_dial", pair, goes, returns, secs(16));
        sound_is_back(&pair, returns, ms(700));
        assert_eq!(pair.source.borrow().stats.peers.len(), 1, "{:?}", pair.source.borrow().log);
        let down = pair.watched.borrow().log.iter().filter(|(_, what)| what.starts_with("down")).count();
        assert_eq!(down, 0, "{:?}", pair.watched.borrow().log);
    }
}

/// A process that stood still makes nothing late, and nothing lost, on the network: no copies of sound are asked for, and no
/// firewall is blamed.
#[test]
fn a_standstill_is_not_the_networks() {
    for (of, receiver, length) in [(60, true, ms(300)), (61, true, secs(3)), (62, false, ms(300)), (63, false, secs(3))] {
        let mut pair = Pair::new(of, &home(), Skews::USUAL, Stream::camera());
        pair.world.run_until(secs(6));
        let node = if receiver { pair.receiver } else { pair.sender };
        pair.world.stop(node);
        pair.world.run_until(secs(6) + length);
        let shown = pair.watched.borrow().shown.len();
        pair.world.go_on(node);
        pair.world.run_until(secs(12) + length);
        let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
        let story = format!("receiver: {receiver}, {length:?}: {:?} {:?}", watched.log, source.log);
        assert!(watched.shown.len() > shown + 120, "it goes on: {story}");
        assert_eq!(
            (watched.stats.total.copied_blocks, watched.stats.total.duplicate_blocks),
            (0, 0),
            "copies were sent: {story}"
        );
        let blamed = |log: &[(u64, String)]| log.iter().any(|(_, what)| what.starts_with("no udp"));
        assert!(!blamed(&watched.log) && !blamed(&source.log), "{story}");
    }
}

/// A decoder takes longer for a picture than the next one needs to come, so that it always has something in hand and more before
/// it; with `--latency` pictures are held before it, too. A sender is killed and another started on its machine. Nothing of the
/// former is taken for the other's, whose numbers begin anew, and its first is seen as soon as it may be.
#[test]
fn sender_swap_under_slow_decoder() {
    for (of, latency, held) in [(124, Latency::Auto, 0), (125, Latency::Fixed(ms(500)), 500)] {
        let stream = Stream { channels: 0, ..Stream::camera() };
        let mut pair = Pair::new(of, &home(), Skews::USUAL, stream.clone());
        // 45 ms a picture.
        let slice = ms(45) / stream.slices.into();
        (pair.watched.borrow_mut().hold, pair.watched.borrow_mut().decoding) = (Hold::new(latency), slice);
        let sender = pair.sender;
        pair.world.at(secs(6), move |world| world.kill(sender));
        pair.world.run_until(ms(6100));
        let (_, second) = sending(&mut pair.world, CAMERA, Skews::USUAL, stream, &[]);
        pair.sources.borrow_mut().push(second.clone());
        pair.world.run_until(secs(10));
        let watched = pair.watched.borrow();
        assert_eq!(watched.senders.len(), 2, "{:?}", watched.log);
        let up = watched.senders[1].0;
        let (of_first, of_second): (Vec<Shown>, Vec<Shown>) = watched.shown.iter().partition(|shown| shown.at < up);
        let seen = |shown: &[Shown], seconds: u64| (seconds * 15..seconds * 25).contains(&(shown.len() as u64));
        assert!(seen(&of_first, 6), "{} pictures: it is no slow decoder, or one that shows nothing", of_first.len());
        assert!(seen(&of_second, 4), "{} pictures", of_second.len());
        // One before it in the decoder, itself, 5 ms on the way; and it is held.
        let first = watched.shown_at.iter().find(|at| **at > up + 1_000_000 * held * 4 / 5).map(|at| (at - up) / 1_000_000);
        println!(
            "held {held} ms: seen {first:?} ms after it came: {:?}; {} and {}",
            of_second[0],
            of_first.len(),
            of_second.len()
        );
        assert!(first.is_some_and(|first| first < held + 150), "seen {first:?} ms after it came");
        assert!(of_second[0].picture < 60, "from {:?} on", of_second[0]);
        for shown in [&of_first, &of_second] {
            assert!(shown.windows(2).all(|pair| pair[1].picture > pair[0].picture), "in order");
        }
        let late = of_second.iter().map(|shown| shown.latency / 1_000_000).max();
        assert!(late < Some(held + 150), "{late:?} ms");
    }
}
