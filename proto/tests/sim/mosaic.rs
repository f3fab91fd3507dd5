//! Pictures that are only what changed, by dice: what is lost, skipped or dropped leaves no hole that stays.

use super::calls::Gathering;
use super::harness::World;
use super::meetings::{OTHERS, POINT};
use super::netem::Params;
use super::partial::Changes;
use super::rates::narrow;
use super::receiving::Shared;
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, receiving, secs};
use super::sending::Stream;
use super::watched::Watched;
use eyeline_proto::media::hold::{Hold, Latency};
use eyeline_proto::media::rate_control::Bitrate;
use std::time::Duration;

/// A hole in what is shown is mended by then, where the path takes what is sent.
pub const MENDED: Duration = Duration::from_millis(300);

/// A head before a still room, until the third second before the end.
pub fn stream(seconds: u64) -> Stream {
    let changes = Changes { until: 30 * (seconds - 3), ..Changes::head() };
    Stream { changes: Some(changes), ..Stream::camera() }
}

/// The same in a call.
pub fn in_call(seconds: u64) -> Stream {
    Stream { changes: stream(seconds).changes, ..Stream::call() }
}

pub fn path(rtt: u64, loss: f64) -> Params {
    Params { delay: ms(rtt / 2), jitter: ms(1), loss, rate: 100_000_000, queue: ms(50), ..Params::default() }
}

pub fn tell(name: &str, watched: &Watched) {
    println!(
        "{name}: whole {} partial {} lost {}; first wrong by {:?}, right at {:?} ms, ghost {} ms, {} times above 100 ms; wrong now {}",
        watched.whole,
        watched.partial,
        watched.lost,
        watched.wrong_at_first,
        watched.right_at.map(|at| at / 1_000_000),
        watched.ghost / 1_000_000,
        watched.ghosts.len(),
        watched.wrong
    );
}

/// Nothing is wrong at the end, and nothing was for longer than [`MENDED`], but in the time after `but.0` until `but.1`.
pub fn is_right(name: &str, watched: &Watched, but: (Duration, Duration)) {
    tell(name, watched);
    assert_eq!(watched.wrong, 0, "{name}: a hole that stays");
    let (from, to) = (but.0.as_nanos() as u64, but.1.as_nanos() as u64);
    let long = |(at, ghost): &&(u64, u64)| *ghost > MENDED.as_nanos() as u64 && !(from..to).contains(at);
    let late = watched.ghosts.iter().find(long).map(|(at, ghost)| (at / 1_000_000, ghost / 1_000_000));
    assert_eq!(late, None, "{name}: ms, and how long it was wrong");
}

pub const NEVER: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

pub fn pair(of: u64, params: &Params, seconds: u64) -> Pair {
    Pair::new(of, params, Skews::USUAL, stream(seconds))
}

fn run(name: &str, mut pair: Pair, seconds: u64, but: (Duration, Duration)) -> Pair {
    pair.world.run_until(secs(seconds));
    let (source, bytes) = (pair.source.borrow(), bytes_to(&pair.world, SCREEN));
    let peer = &source.stats.peers[0];
    println!(
        "{name}: {} kB for {} kB encoded, {} datagrams, {} sent again, {} shards",
        bytes / 1000,
        source.body_bytes / 1000,
        peer.datagrams,
        peer.resent,
        peer.parity
    );
    drop(source);
    is_right(name, &pair.watched.borrow(), but);
    pair
}

#[test]
fn mosaic_lan() {
    let pair = run("mosaic_lan", pair(700, &Params::lan(), 12), 12, NEVER);
    let watched = pair.watched.borrow();
    assert_eq!((watched.wrong_at_first, watched.lost, watched.partial), (Some(0), 0, 0));
    assert!(watched.ghost < 50_000_000);
}

#[test]
fn mosaic_loss_5_rtt_60() {
    run("mosaic_loss_5_rtt_60", pair(701, &path(60, 0.05), 30), 30, NEVER);
}

#[test]
fn mosaic_loss_20() {
    run("mosaic_loss_20", pair(702, &path(4, 0.2), 20), 20, NEVER);
}

/// What is overtaken, and comes twice.
#[test]
fn mosaic_reordered() {
    let params = Params { reorder: 0.1, reorder_by: ms(25), duplicate: 0.05, scatter: ms(10), ..path(20, 0.01) };
    let mut pair = pair(703, &params, 20);
    pair.world.run_until(secs(20));
    let watched = pair.watched.borrow();
    tell("mosaic_reordered", &watched);
    assert_eq!(watched.wrong, 0);
    // A picture is given up, and missed, only when what may have been overtaken has had its time.
    assert!(watched.ghost < (MENDED + ms(100)).as_nanos() as u64);
}

/// Nothing passes for two seconds: soon after that all is right.
#[test]
fn mosaic_outage() {
    let params = Params { outages: vec![(secs(6), secs(8))], ..path(20, 0.0) };
    run("mosaic_outage", pair(704, &params, 14), 14, (secs(6), secs(8) + MENDED));
}

/// Everything changes now and then: pictures of one that moves everywhere, and of one that hardly moves.
#[test]
fn mosaic_cuts() {
    let changes = Changes { cuts: vec![100, 101, 130, 200, 201, 202], until: 270, ..Changes::head() };
    let stream = Stream { changes: Some(changes), ..Stream::camera() };
    let pair = Pair::new(705, &path(20, 0.02), Skews::USUAL, stream);
    run("mosaic_cuts", pair, 12, NEVER);
}

/// Its decoder is too slow for what changes everywhere, and passes pictures over.
#[test]
fn mosaic_slow_decoder() {
    let changes = Changes { cuts: (100..130).collect(), until: 270, ..Changes::head() };
    let pair = Pair::new(706, &Params::lan(), Skews::USUAL, Stream { changes: Some(changes), ..Stream::camera() });
    pair.watched.borrow_mut().decoding = ms(12);
    run("mosaic_slow_decoder", pair, 14, (ms(3300), ms(5500)));
}

/// Pictures are held for 250 ms, as `--latency` asks: holes stand no longer for that.
#[test]
fn mosaic_held() {
    let mut pair = pair(707, &path(30, 0.05), 20);
    pair.watched.borrow_mut().hold = Hold::new(Latency::Fixed(ms(250)));
    pair.world.run_until(secs(20));
    let watched = pair.watched.borrow();
    tell("mosaic_held", &watched);
    assert_eq!(watched.wrong, 0);
    assert!(watched.ghost < (ms(250) + MENDED).as_nanos() as u64);
}

/// And for two seconds: what is missed is found out so late that reports speak of it no more.
#[test]
fn mosaic_held_for_2_s() {
    let changes = Changes { until: 450, ..Changes::head() };
    let mut pair = Pair::new(718, &path(30, 0.05), Skews::USUAL, Stream { changes: Some(changes), ..Stream::camera() });
    pair.watched.borrow_mut().hold = Hold::new(Latency::Fixed(secs(2)));
    pair.world.run_until(secs(20));
    let watched = pair.watched.borrow();
    tell("mosaic_held_for_2_s", &watched);
    assert_eq!(watched.wrong, 0);
    assert!(watched.ghost < (secs(2) + MENDED).as_nanos() as u64 && watched.whole > 550);
}

/// One that joins, on paths of their own.
pub fn join(pair: &mut Pair, ip: &str, params: &Params) -> Shared {
    pair.world.connect(CAMERA, ip, params);
    receiving(&mut pair.world, ip, Skews::USUAL, false, &pair.sources, &[CAMERA]).1
}

pub fn bytes_to(world: &World, ip: &str) -> u64 {
    world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == ip).map(|(_, traffic)| traffic.bytes).sum()
}

/// Who joins is right with the first picture that he sees, and the other is sent not a byte more for it.
#[test]
fn mosaic_joiner() {
    let bytes = |joins: bool| {
        let mut pair = pair(708, &Params::lan(), 12);
        pair.world.run_until(secs(5));
        let joiner = joins.then(|| join(&mut pair, "10.0.0.3", &Params::lan()));
        pair.world.run_until(secs(12));
        is_right("mosaic_joined", &pair.watched.borrow(), NEVER);
        if let Some((watched, _)) = joiner {
            let watched = watched.borrow();
            is_right("mosaic_joiner", &watched, NEVER);
            assert_eq!(watched.wrong_at_first, Some(0));
            let first = watched.shown.first().expect("something is seen").at - 5_000_000_000;
            assert!(first < 150_000_000, "after {} ms", first / 1_000_000);
        }
        bytes_to(&pair.world, SCREEN)
    };
    let (alone, joined) = (bytes(false), bytes(true));
    assert!(alone.abs_diff(joined) < alone / 1000, "{alone} and {joined} bytes");
}

/// One of two loses a tenth: it is mended, and the other is sent not a byte more for it.
#[test]
fn mosaic_one_of_two_loses() {
    let bytes = |loss: f64| {
        let mut pair = pair(709, &Params::lan(), 20);
        let (watched, _) = join(&mut pair, "10.0.0.3", &path(40, loss));
        pair.world.run_until(secs(20));
        is_right("mosaic_other", &pair.watched.borrow(), NEVER);
        is_right("mosaic_lossy", &watched.borrow(), NEVER);
        (bytes_to(&pair.world, SCREEN), bytes_to(&pair.world, "10.0.0.3"))
    };
    let ((clean, to_clean), (beside, to_lossy)) = (bytes(0.0), bytes(0.1));
    println!("mosaic_one_of_two_loses: {clean} and {beside} bytes to the one, {to_clean} and {to_lossy} to the other");
    assert!(clean.abs_diff(beside) < clean / 1000, "{clean} and {beside} bytes");
}

/// Its cable is pulled for twenty seconds, and it comes back by another connection.
#[test]
fn mosaic_comes_back() {
    let mut pair = pair(710, &Params::lan(), 36);
    pair.world.run_until(secs(5));
    pair.world.retune(CAMERA, SCREEN, |params| params.loss = 1.0);
    pair.world.run_until(secs(25));
    pair.world.retune(CAMERA, SCREEN, |params| params.loss = 0.0);
    let pair = run("mosaic_comes_back", pair, 36, (secs(5), secs(27)));
    assert!(pair.watched.borrow().whole > 300);
}

/// Of pictures shown from then until then the latencies in ms, sorted.
pub fn latencies(watched: &Watched, from: Duration, to: Duration) -> Vec<u64> {
    let time = from.as_nanos() as u64..to.as_nanos() as u64;
    let mut latencies: Vec<u64> =
        watched.shown.iter().filter(|shown| time.contains(&shown.at)).map(|shown| shown.latency / 1_000_000).collect();
    latencies.sort_unstable();
    latencies
}

/// By the user's wish no more than 2 Mbit/s: a head that talks is seen fluently at its full size.
#[test]
fn mosaic_cap_2() {
    let stream = Stream { cap: Some(Bitrate(2_000_000)), channels: 0, ..stream(20) };
    let mut pair = Pair::new(715, &path(10, 0.0), Skews::USUAL, stream);
    pair.world.run_until(secs(20));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    is_right("mosaic_cap_2", &watched, NEVER);
    let shown = latencies(&watched, secs(5), secs(15));
    let sizes: Vec<u8> = source.steps.iter().filter(|(at, _)| *at > 5_000_000_000).map(|(_, step)| step.eighths).collect();
    let rate = bytes_to(&pair.world, SCREEN) as f64 * 8.0 / 20e6;
    println!("mosaic_cap_2: {} pictures in ten seconds, p95 {} ms, {rate:.2} Mbit/s", shown.len(), shown[shown.len() * 95 / 100]);
    assert!(shown.len() >= 240 && shown[shown.len() * 95 / 100] < 80, "{} pictures", shown.len());
    assert!(sizes.iter().all(|eighths| *eighths >= 6), "{sizes:?}");
    assert!(rate < 2.1, "{rate} Mbit/s");
}

/// A path of 2 Mbit/s, found at the start, is remembered while hardly anything moves: a minute later all of the picture changes,
/// and is late for a moment alone.
#[test]
fn mosaic_narrow_2_still_then_a_cut() {
    let changes = Changes { moving: 0.01, stray: 0.0005, cuts: vec![2100], until: 2400 };
    let stream = Stream { changes: Some(changes), channels: 0, ..Stream::camera() };
    let mut pair = Pair::new(716, &Params { queue: ms(1000), ..narrow(2) }, Skews::USUAL, stream);
    pair.world.run_until(secs(85));
    let watched = pair.watched.borrow();
    tell("mosaic_narrow_2", &watched);
    let worst = |from, to| latencies(&watched, from, to).last().copied().unwrap_or(u64::MAX);
    let (start, still, cut, after) =
        (worst(secs(0), secs(4)), worst(secs(10), secs(69)), worst(secs(69), secs(73)), worst(secs(73), secs(80)));
    println!(
        "mosaic_narrow_2: the latest picture {start} ms at the start, {still} while still, {cut} at the cut, {after} after it"
    );
    assert_eq!(watched.wrong, 0);
    assert!(still < 100 && cut < 250 && after < 100);
}

/// A meeting whose point forwards what bob and cid catch, over such paths to it.
pub fn meeting(of: u64, paths: [&Params; 2], seconds: u64) -> Gathering {
    let mut gathering = Gathering::new(of);
    gathering.point(POINT, "ann");
    for ((ip, name), params) in OTHERS.into_iter().zip(paths) {
        gathering.world.connect(POINT, ip, params);
        gathering.pass(ms(7));
        gathering.call(ip, name, in_call(seconds), &[POINT]);
    }
    gathering
}

#[test]
fn mosaic_meeting() {
    let mut gathering = meeting(711, [&Params::lan(), &Params::lan()], 12);
    gathering.pass(secs(5));
    let joiner = gathering.recv("10.0.4.9", "eve", &[POINT]);
    gathering.pass(secs(7));
    for (who, whose) in [(1, "cid"), (2, "bob"), (joiner, "bob"), (joiner, "cid")] {
        let view = gathering.view(who, whose);
        is_right(&format!("mosaic_meeting {who} sees {whose}"), &view.watched.borrow(), NEVER);
        assert_eq!(view.watched.borrow().wrong_at_first, Some(0), "{who} sees {whose}");
    }
}

/// On the way to the point, or behind it, or both.
#[test]
fn mosaic_meeting_lossy() {
    for (of, loss) in [(712, [0.05, 0.0]), (713, [0.0, 0.05]), (714, [0.05, 0.05])] {
        let mut gathering = meeting(of, [&path(30, loss[0]), &path(30, loss[1])], 20);
        gathering.pass(secs(20));
        for (who, whose) in [(1, "cid"), (2, "bob")] {
            let name = format!("mosaic_meeting_lossy {loss:?}, {who} sees {whose}");
            let view = gathering.view(who, whose);
            tell(&name, &view.watched.borrow());
            assert_eq!(view.watched.borrow().wrong, 0, "{name}");
            assert!(view.watched.borrow().ghost < 2 * MENDED.as_nanos() as u64, "{name}: two hops");
        }
    }
}

/// On the way to the point packets overtake each other, and some are lost: what refreshes may be there before it is known that
/// anything is missing.
#[test]
fn mosaic_meeting_reordered() {
    for of in 719..723 {
        let params = Params { reorder: 0.2, reorder_by: ms(40), scatter: ms(15), ..path(20, 0.05) };
        let mut gathering = meeting(of, [&params, &Params::lan()], 20);
        gathering.pass(secs(20));
        for (who, whose) in [(1, "cid"), (2, "bob")] {
            let name = format!("mosaic_meeting_reordered {of}, {who} sees {whose}");
            let view = gathering.view(who, whose);
            tell(&name, &view.watched.borrow());
            assert_eq!(view.watched.borrow().wrong, 0, "{name}");
            assert!(view.watched.borrow().ghost < 3 * MENDED.as_nanos() as u64, "{name}");
        }
    }
}
