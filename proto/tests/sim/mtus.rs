//! Paths that take shorter datagrams than Ethernet, or longer ones, or from one moment to the next another length.

use super::ceilings::check;
use super::netem::Params;
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, receiving, run, secs};
use super::sending::Stream;
use std::time::Duration;

/// IPv4 and UDP headers.
const HEADERS: u64 = 28;

/// A path that lets packets of so many bytes pass, their IP header included, and loses longer ones without a word.
fn path(mtu: usize) -> Params {
    Params { mtu, ..Params { delay: ms(5), jitter: ms(1), rate: 100_000_000, queue: ms(50), ..Params::default() } }
}

/// What the sender knows that the path takes.
fn found(pair: &Pair) -> u64 {
    pair.source.borrow().stats.peers[0].path_mtu
}

fn whole_since(pair: &Pair, since: Duration) -> usize {
    pair.watched.borrow().whole_at.iter().filter(|at| **at >= since.as_nanos() as u64).count()
}

fn bytes_to_screen(pair: &Pair) -> u64 {
    let to_screen = pair.world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == SCREEN);
    to_screen.map(|(_, traffic)| traffic.bytes).sum()
}

/// The first picture is whole, for nothing longer than what every path takes was sent; then the length is found.
#[test]
fn a_tunnel_of_1100_bytes_shows_every_picture() {
    let pair = run("mtu_1100", Pair::new(70, &path(1100), Skews::USUAL, Stream::camera()), secs(10));
    let most = 1100 - HEADERS;
    assert!((most - 16..=most).contains(&found(&pair)), "{} of {most}", found(&pair));
    let source = pair.source.borrow();
    assert_eq!(source.resent(), 0, "no piece of a picture was too long");
    let peer = &source.stats.peers[0];
    assert_eq!((peer.parity, peer.copies, peer.report.lost), (0, 0, 0), "a lost probe is no loss: {peer:?}");
}

#[test]
fn ethernet_is_used_to_its_last_byte_but_for_what_ipv6_takes() {
    let pair = run("mtu_1500", Pair::new(71, &path(1500), Skews::USUAL, Stream::camera()), secs(5));
    assert_eq!(found(&pair), 1452);
}

/// A seventh of the datagrams, and no byte more at once.
#[test]
fn jumbo_frames_are_used() {
    let datagrams = |interface: usize| {
        let mut pair = Pair::new(72, &path(9000), Skews::USUAL, Stream::camera());
        pair.world.interface_mtu = interface;
        let pair = run("mtu_9000", pair, secs(10));
        assert_eq!(found(&pair) + 48, interface as u64);
        assert_eq!(pair.source.borrow().resent(), 0);
        pair.source.borrow().stats.peers[0].datagrams
    };
    let (short, long) = (datagrams(1500), datagrams(9000));
    assert!(long * 5 < short, "{long} datagrams instead of {short}");
}

/// A VPN comes up in mid-run: packets longer than 1100 bytes vanish from one moment to the next.
#[test]
fn a_black_hole_is_left_within_a_second() {
    let mut pair = Pair::new(73, &path(1500), Skews::USUAL, Stream::camera());
    pair.world.at(secs(5), |world| world.retune(CAMERA, SCREEN, |params| params.mtu = 1100));
    pair.world.run_until(secs(12));
    check("mtu_1500_to_1100", &pair.figures());
    assert!(pair.watched.borrow().frozen < 1_000_000_000, "{} ms", pair.watched.borrow().frozen / 1_000_000);
    assert!(whole_since(&pair, secs(6)) > 6 * 30 - 6, "{} whole", whole_since(&pair, secs(6)));
    assert!((1040..=1072).contains(&found(&pair)), "{}", found(&pair));
    let targets = &pair.source.borrow().targets;
    assert!(targets.iter().all(|(_, target)| target.is_none()), "what was too long was dropped by no policer: {targets:?}");
}

/// The same for a film: slices that were begun are cut anew, and not one is missing.
#[test]
fn a_film_comes_whole_through_a_black_hole() {
    let film = Stream { period: ms(20), slices: 4, slice_bytes: 9000, film: Some(400), ..Stream::camera() };
    let mut pair = Pair::new(74, &path(1500), Skews::USUAL, film);
    pair.world.at(secs(4), |world| world.retune(CAMERA, SCREEN, |params| params.mtu = 1100));
    pair.world.run_until(secs(20));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let numbers: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>(), "{:?}\n{:?}", source.log, watched.log);
    let broken: Vec<_> = watched.settled.iter().filter(|settled| !settled.is_whole()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

/// Nothing that could carry a picture passes: it is said, next to nothing is sent in vain, and when it passes, pictures are
/// there.
#[test]
fn a_path_that_takes_nothing_large_is_said_and_not_flooded() {
    let mut pair = Pair::new(75, &path(900), Skews::USUAL, Stream { channels: 0, ..Stream::camera() });
    pair.world.run_until(secs(3));
    let before = bytes_to_screen(&pair);
    pair.world.run_until(secs(10));
    let in_vain = (bytes_to_screen(&pair) - before) * 8 / 7;
    assert!(in_vain < 100_000, "{in_vain} bit/s");
    // While it was not known, at most the share of the stream was repeated.
    assert!(before < 3 * 2 * 3_000_000, "{before} bytes");
    let said =
        |what: &str| pair.source.borrow().log.iter().filter(|(_, said)| said == what).map(|(at, _)| *at).collect::<Vec<_>>();
    assert!(matches!(said("narrow true")[..], [at] if at < 3000), "{:?}", pair.source.borrow().log);
    let seen = |pair: &Pair| pair.watched.borrow().log.iter().filter(|(_, said)| said.starts_with("narrow")).count();
    assert_eq!(seen(&pair), 1, "{:?}", pair.watched.borrow().log);
    pair.world.retune(CAMERA, SCREEN, |params| params.mtu = 1500);
    pair.world.run_until(secs(13));
    assert_eq!(seen(&pair), 2, "and that it is over: {:?}", pair.watched.borrow().log);
    assert!(whole_since(&pair, secs(11)) > 58, "{} whole", whole_since(&pair, secs(11)));
}

/// Two viewers, one behind a tunnel, both of them losing a twentieth too far away to ask: each is sent shards over its own cut.
#[test]
fn each_viewer_has_its_own_cut_and_its_own_shards() {
    let far = |mtu| Params { delay: ms(30), loss: 0.05, ..path(mtu) };
    let mut pair = Pair::new(76, &far(1500), Skews::USUAL, Stream::camera());
    pair.world.connect(CAMERA, "10.0.0.3", &far(1100));
    let (_, (other, _)) = receiving(&mut pair.world, "10.0.0.3", Skews::USUAL, false, &pair.sources, &[CAMERA]);
    pair.world.run_until(secs(20));
    for watched in [pair.watched.borrow(), other.borrow()] {
        let all = watched.whole + watched.partial + watched.lost;
        assert!(watched.whole * 100 >= all * 98 && watched.stats.total.bad == 0, "{} of {all} whole", watched.whole);
        assert!(watched.stats.total.recovered > 100, "{}", watched.stats.total.recovered);
    }
}
