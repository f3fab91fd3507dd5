//! Meetings: one who waits forwards each one's pictures and sound to all others.

use super::calls::Gathering;
use super::ceilings::{Figures, check};
use super::netem::Params;
use super::rates::narrow;
use super::receiving::View;
use super::scenarios::{lossy, ms, secs};
use super::sending::Stream;
use eyeline_proto::session::Command;
use eyeline_proto::session::stats::ReceiverStats;

pub const POINT: &str = "10.0.4.1";

/// Where the others are.
pub const OTHERS: [(&str, &str); 3] = [("10.0.4.2", "bob"), ("10.0.4.3", "cid"), ("10.0.4.4", "dan")];

/// Ann waits; bob, cid and dan dial her, over such paths.
pub fn meeting(of: u64, paths: [&Params; 3]) -> Gathering {
    let mut gathering = Gathering::new(of);
    gathering.call(POINT, "ann", Stream::call(), &[]);
    for ((ip, name), params) in OTHERS.into_iter().zip(paths) {
        gathering.world.connect(POINT, ip, params);
        gathering.pass(ms(7));
        gathering.call(ip, name, Stream::call(), &[POINT]);
    }
    gathering
}

pub const ALL: [&str; 4] = ["ann", "bob", "cid", "dan"];

/// Everybody sees all others, and each once.
fn all_meet(gathering: &Gathering) {
    all_see_once(gathering, &[0, 1, 2, 3]);
}

/// These do.
fn all_see_once(gathering: &Gathering, who: &[usize]) {
    for who in who {
        let others: Vec<&str> = ALL.into_iter().filter(|other| *other != ALL[*who]).collect();
        assert_eq!(gathering.sees(*who), others, "{}: {:?}", ALL[*who], gathering.members[*who].common.borrow().log);
    }
}

/// How those of `who` see and hear those of `whose`.
fn seen(gathering: &Gathering, who: &[usize], whose: &[usize]) -> Figures {
    let pairs = who.iter().flat_map(|who| whose.iter().map(move |whose| (*who, *whose)));
    Figures::worst(pairs.filter(|(who, whose)| who != whose).map(|(who, whose)| gathering.figures(who, ALL[whose])))
}

/// Whom `who` sees of `whose` lost nothing and stood never still.
pub fn undisturbed(gathering: &Gathering, who: &[usize], whose: &[usize]) {
    let of = seen(gathering, who, whose);
    assert!(of.lost + of.partial == 0.0 && of.frozen_ms < 60.0 && of.gap_ms < 1.0, "{of:?}");
    for who in who {
        for whose in whose.iter().filter(|whose| *whose != who) {
            let view = gathering.view(*who, ALL[*whose]);
            assert!(!view.watched.borrow().log.iter().any(|(_, what)| what.contains("quiet")), "{who} sees {whose}");
        }
    }
}

/// By how much the times of what came were off.
fn stamp_error_us(gathering: &Gathering) -> u64 {
    let of = |view: &View| view.watched.borrow().stamp_error;
    gathering.members.iter().filter_map(|member| member.views.borrow().iter().map(of).max()).max().unwrap_or(0) / 1000
}

/// What is forwarded takes two hops and a slice, loses nothing, and says truly when it was caught.
#[test]
fn meeting_of_4() {
    let lan = Params::lan();
    let mut gathering = meeting(100, [&lan, &lan, &lan]);
    gathering.pass(secs(6));
    all_meet(&gathering);
    let direct = Figures::worst([seen(&gathering, &[0], &[1, 2, 3]), seen(&gathering, &[1, 2, 3], &[0])]);
    let forwarded = seen(&gathering, &[1, 2, 3], &[1, 2, 3]);
    check("meeting_of_4_direct", &direct);
    check("meeting_of_4", &forwarded);
    // A slice is ready each millisecond.
    assert!(forwarded.p95_ms < direct.p95_ms + 1.0 + 0.5, "{} ms, direct {} ms", forwarded.p95_ms, direct.p95_ms);
    assert!(stamp_error_us(&gathering) < 500, "{} µs", stamp_error_us(&gathering));
    for member in &gathering.members {
        assert_eq!(member.views.borrow().len(), 3, "nobody was seen twice, nor himself");
        assert_eq!(member.common.borrow().counters, Default::default());
    }
    undisturbed(&gathering, &[0, 1, 2, 3], &[0, 1, 2, 3]);
}

/// Over 20 ms to the meeting point: twice that, and no more.
#[test]
fn what_is_forwarded_takes_two_hops_and_one_slice() {
    let far = Params { delay: ms(20), ..Params::lan() };
    let mut gathering = meeting(101, [&far, &far, &far]);
    gathering.pass(secs(4));
    all_meet(&gathering);
    let (direct, forwarded) = (seen(&gathering, &[1, 2, 3], &[0]), seen(&gathering, &[1, 2, 3], &[1, 2, 3]));
    assert!(forwarded.p95_ms < direct.p95_ms + 20.0 + 1.0 + 0.5, "{} ms, direct {} ms", forwarded.p95_ms, direct.p95_ms);
    check("meeting_of_4_far", &forwarded);
}

/// One loses 5 % both ways: what it lost is mended on its hop, and the others notice nothing of each other.
#[test]
fn of_a_meeting_one_loses_5_percent() {
    let lan = Params::lan();
    let mut gathering = meeting(102, [&lossy(0.05), &lan, &lan]);
    gathering.pass(secs(8));
    all_meet(&gathering);
    undisturbed(&gathering, &[0, 2, 3], &[0, 2, 3]);
    check("meeting_lossy_sees", &seen(&gathering, &[1], &[0, 2, 3]));
    check("meeting_sees_lossy", &seen(&gathering, &[0, 2, 3], &[1]));
}

/// One has 6 Mbit/s for what takes 11, of three. It sees all three, none late for long, and the others notice nothing of each
/// other.
#[test]
fn of_a_meeting_one_has_a_narrow_path() {
    let lan = Params::lan();
    let mut gathering = meeting(109, [&lan, &lan, &narrow(6)]);
    gathering.pass(secs(10));
    all_meet(&gathering);
    undisturbed(&gathering, &[0, 1, 2], &[0, 1, 2]);
    for name in ["ann", "bob", "cid"] {
        let view = gathering.view(3, name);
        let watched = view.watched.borrow();
        let shown = watched.shown.iter().filter(|shown| shown.at > secs(4).as_nanos() as u64);
        let mut latencies: Vec<u64> = shown.map(|shown| shown.latency / 1_000_000).collect();
        latencies.sort_unstable();
        let (p50, p95) = (latencies[latencies.len() / 2], latencies[latencies.len() * 95 / 100]);
        // Sound takes 2.3 Mbit/s, so eight pictures a second of each are left. One takes 20 ms, and waits for those of the two
        // others.
        println!("narrow: {} pictures of {name} in six seconds, p50 {p50} ms, p95 {p95} ms", latencies.len());
        assert!(
            latencies.len() > 36 && p50 < 80 && p95 < 120,
            "{name}: {} pictures, p50 {p50} ms, p95 {p95} ms",
            latencies.len()
        );
    }
}

/// A picture that takes a third of a second to one of them is kept for him until he has it, also where the meeting point has no
/// camera.
#[test]
fn who_has_a_very_narrow_path_sees_whole_pictures_at_a_point_without_a_person() {
    let mut gathering = Gathering::new(115);
    gathering.call(POINT, "point", Stream::none(), &[]);
    let large = Stream { slice_bytes: 10_000, channels: 0, ..Stream::call() };
    gathering.call("10.0.4.2", "bob", large, &[POINT]);
    gathering.world.connect(POINT, "10.0.4.3", &narrow(1));
    let cid = gathering.call("10.0.4.3", "cid", Stream::none(), &[POINT]);
    gathering.pass(secs(8));
    let whole = gathering.view(cid, "bob").watched.borrow().whole;
    assert!(whole >= 12, "{whole} pictures");
}

/// Two lose 5 % both ways: what one sends the other loses on two hops.
#[test]
fn of_a_meeting_two_lose_5_percent() {
    let lan = Params::lan();
    let mut gathering = meeting(103, [&lossy(0.05), &lossy(0.05), &lan]);
    gathering.pass(secs(8));
    all_meet(&gathering);
    check("meeting_two_lossy", &seen(&gathering, &[1, 2], &[1, 2]));
}

/// One is stopped for ten seconds. The others notice nothing of each other; after it all see it, and it sees all, as before.
#[test]
fn of_a_meeting_one_stands_still() {
    let lan = Params::lan();
    let mut gathering = meeting(104, [&lan, &lan, &lan]);
    gathering.pass(secs(2));
    let node = gathering.members[2].node;
    gathering.world.stop(node);
    gathering.pass(secs(10));
    undisturbed(&gathering, &[0, 1, 3], &[0, 1, 3]);
    gathering.world.go_on(node);
    let back = gathering.world.now;
    gathering.pass(secs(3));
    all_meet(&gathering);
    undisturbed(&gathering, &[0, 1, 3], &[0, 1, 3]);
    for (who, whose) in [(0, 2), (1, 2), (3, 2), (2, 0), (2, 1), (2, 3)] {
        let view = gathering.view(who, ALL[whose]);
        assert!(view.came < secs(2).as_nanos() as u64, "{who} sees {whose} as before");
        let watched = view.watched.borrow();
        let since = watched.whole_at.iter().filter(|at| **at > back).collect::<Vec<_>>();
        let first = (*since[0] - back) / 1_000_000;
        assert!(first < 700 && since.len() > 65, "{who} sees {whose} after {first} ms, {} pictures", since.len());
        let latest: Vec<u64> =
            watched.shown.iter().filter(|shown| shown.at > back + 1_000_000_000).map(|shown| shown.latency).collect();
        assert!(latest.iter().max() < Some(&100_000_000), "{who} sees {whose} late: {latest:?}");
    }
}

/// One leaves: it is gone for all, and they notice nothing else. Another comes in its place.
#[test]
fn of_a_meeting_one_leaves_and_another_comes() {
    let lan = Params::lan();
    let mut gathering = meeting(105, [&lan, &lan, &lan]);
    gathering.pass(secs(2));
    gathering.command(3, Command::Stop(String::new()));
    gathering.pass(ms(100));
    assert_eq!([0, 1, 2].map(|who| gathering.sees(who)), [["bob", "cid"], ["ann", "cid"], ["ann", "bob"]]);
    let eve = gathering.call("10.0.4.5", "eve", Stream::call(), &[POINT]);
    gathering.pass(secs(2));
    assert_eq!(gathering.sees(eve), ["ann", "bob", "cid"]);
    assert_eq!([0, 1, 2].map(|who| gathering.sees(who)), [["bob", "cid", "eve"], ["ann", "cid", "eve"], ["ann", "bob", "eve"]]);
    undisturbed(&gathering, &[0, 1, 2], &[0, 1, 2]);
    for who in [0, 1, 2] {
        let view = gathering.view(who, "eve");
        let watched = view.watched.borrow();
        assert!(
            watched.whole > 50 && watched.lost + watched.partial <= 1,
            "{} {} {}",
            watched.whole,
            watched.partial,
            watched.lost
        );
    }
}

/// One is killed, says no goodbye, and is started again: all see him once, at once.
#[test]
fn of_a_meeting_one_is_killed_and_started_again() {
    let lan = Params::lan();
    let mut gathering = meeting(114, [&lan, &lan, &lan]);
    gathering.pass(secs(2));
    let node = gathering.members[1].node;
    gathering.world.kill(node);
    gathering.pass(secs(1));
    let (ip, name) = OTHERS[0];
    let again = gathering.call(ip, name, Stream::call(), &[POINT]);
    gathering.pass(ms(500));
    assert_eq!(gathering.sees(again), ["ann", "cid", "dan"]);
    all_see_once(&gathering, &[0, 2, 3]);
    gathering.pass(secs(2));
    all_see_once(&gathering, &[0, 2, 3]);
    undisturbed(&gathering, &[0, 2, 3], &[0, 2, 3]);
    for who in [0, 2, 3] {
        assert!(gathering.view(who, name).watched.borrow().whole > 60, "{} sees {name}", ALL[who]);
    }
}

/// The meeting point is killed and started again on its machine: all meet again, by themselves.
#[test]
fn a_meeting_point_is_killed_and_started_again() {
    let lan = Params::lan();
    let mut gathering = meeting(106, [&lan, &lan, &lan]);
    gathering.pass(secs(2));
    let node = gathering.members[0].node;
    gathering.world.kill(node);
    gathering.pass(secs(1));
    gathering.call(POINT, "ann again", Stream::call(), &[]);
    let began = gathering.world.now;
    gathering.pass(secs(4));
    let again = gathering.members.len() - 1;
    assert_eq!(gathering.sees(again), ["bob", "cid", "dan"]);
    for (who, whose) in [(1, ["ann again", "cid", "dan"]), (2, ["ann again", "bob", "dan"]), (3, ["ann again", "bob", "cid"])] {
        assert_eq!(gathering.sees(who), whose, "{:?}", gathering.members[who].common.borrow().log);
        for name in whose {
            let view = gathering.view(who, name);
            let watched = view.watched.borrow();
            let back = watched.whole_at.iter().find(|at| **at > began).map(|at| (at - began) / 1_000_000);
            assert!(back.is_some_and(|back| back < 1500), "{who} sees {name} after {back:?} ms: {:?}", watched.log);
            let late = watched.shown.iter().filter(|shown| shown.at > began + 2_000_000_000).map(|shown| shown.latency).max();
            assert!(late < Some(50_000_000), "{who} sees {name} {late:?} late");
        }
    }
}

/// It is stopped for ten seconds and goes on: everybody sees all again.
#[test]
fn a_meeting_point_stands_still() {
    let lan = Params::lan();
    let mut gathering = meeting(107, [&lan, &lan, &lan]);
    gathering.pass(secs(2));
    let node = gathering.members[0].node;
    gathering.world.stop(node);
    gathering.pass(secs(10));
    gathering.world.go_on(node);
    let back = gathering.world.now;
    gathering.pass(secs(4));
    all_meet(&gathering);
    for (who, whose) in (0..4).flat_map(|who| (0..4).map(move |whose| (who, whose))).filter(|(who, whose)| who != whose) {
        let view = gathering.view(who, ALL[whose]);
        let watched = view.watched.borrow();
        let since: Vec<u64> = watched.whole_at.iter().filter(|at| **at > back).map(|at| (at - back) / 1_000_000).collect();
        assert!(since.len() > 80 && since[0] < 1000, "{who} sees {whose}: {} pictures, {:?}", since.len(), since.first());
    }
}

/// A meeting point that has no camera itself forwards to a `recv` and from a `send` as well: `recv` gets all, `send` is seen by
/// all.
#[test]
fn recv_and_send_meet_at_a_point_without_a_person() {
    let mut gathering = Gathering::new(108);
    let point = gathering.call(POINT, "point", Stream::none(), &[]);
    gathering.pass(ms(7));
    let bob = gathering.call("10.0.4.2", "bob", Stream::call(), &[POINT]);
    gathering.pass(ms(7));
    let cid = gathering.call("10.0.4.3", "cid", Stream::call(), &[POINT]);
    gathering.pass(ms(7));
    let camera = gathering.send("10.0.4.4", "camera", Stream::call(), &[POINT]);
    gathering.pass(ms(7));
    let wall = gathering.recv("10.0.4.5", "wall", &[POINT]);
    gathering.pass(secs(4));
    assert_eq!(gathering.sees(point), ["bob", "camera", "cid"]);
    assert_eq!(gathering.sees(bob), ["camera", "cid"]);
    assert_eq!(gathering.sees(cid), ["bob", "camera"]);
    assert_eq!(gathering.sees(wall), ["bob", "camera", "cid"]);
    let all = [(bob, "camera"), (bob, "cid"), (cid, "bob"), (wall, "bob"), (wall, "camera"), (wall, "cid")];
    check("meeting_without_a_person", &Figures::worst(all.map(|(who, whose)| gathering.figures(who, whose))));
    assert!(gathering.members[camera].source.as_ref().is_some_and(|source| source.borrow().watched));
}

/// A file has room for one sender: of those at a meeting point the first is written, it is said of the others that they are not,
/// once, and when the first leaves the next follows. What came of who left stays counted.
#[test]
fn who_has_room_for_one_takes_one_of_a_meeting() {
    let mut gathering = Gathering::new(130);
    gathering.point(POINT, "point");
    let still = Stream { channels: 0, ..Stream::call() };
    for (ip, name) in OTHERS {
        gathering.pass(ms(7));
        gathering.send(ip, name, still.clone(), &[POINT]);
    }
    gathering.pass(secs(1));
    let file = gathering.recv_one("10.0.4.5", "file", &[POINT]);
    gathering.pass(secs(2));
    let shared = gathering.members[file].common.clone();
    let said = |what: &str| shared.borrow().log.iter().filter(|(_, line)| line == what).count();
    let room = ["bob", "cid", "dan"].map(|name| said(&format!("no room for {name}")));
    assert_eq!((room, gathering.sees(file)), ([0, 1, 1], vec!["bob".to_string()]), "{:?}", shared.borrow().log);
    let before = shared.borrow().stats.clone();
    assert!(before.tracks.len() == 1 && before.total.whole > 25, "{before:?}");
    gathering.command(1, Command::Stop(String::new()));
    gathering.pass(secs(2));
    let after = shared.borrow().stats.clone();
    assert_eq!(gathering.sees(file), ["cid"]);
    assert!(after.tracks.len() == 1 && after.tracks[0].received.whole < after.total.whole, "what it has sent itself: {after:?}");
    let counts = |stats: &ReceiverStats| [stats.total.whole, stats.total.slices, stats.total.bytes, stats.total.datagrams];
    let grown = counts(&after).into_iter().zip(counts(&before)).all(|(after, before)| after > before + before / 2);
    assert!(grown, "{:?}, before {:?}", after.total, before.total);
    assert_eq!(said("no room for dan"), 1);
}

/// One sends pictures of 3.5 MB, whatever is wanted of it, and another small ones. Who has 8 Mbit/s sees all those of the other,
/// which take a quarter of them, and soon; only what is too large is lost.
#[test]
fn large_pictures_take_nothing_from_the_small_ones_of_another() {
    let large = Stream { period: ms(500), slices: 16, slice_bytes: 220_000, encode: ms(400), channels: 0, ..Stream::camera() };
    beside_large_pictures(128, large);
}

/// The same with pictures that take a tenth of a second of the path each, twenty a second.
#[test]
fn pictures_that_are_too_many_and_too_large_take_nothing_from_the_small_ones_of_another() {
    let large = Stream { period: ms(50), slices: 12, slice_bytes: 8200, encode: ms(6), channels: 0, ..Stream::camera() };
    beside_large_pictures(129, large);
}

fn beside_large_pictures(of: u64, large: Stream) {
    let mut gathering = Gathering::new(of);
    gathering.point(POINT, "point");
    let small = Stream { slice_bytes: 2000, ..Stream::call() };
    gathering.call("10.0.4.2", "bob", small, &[POINT]);
    gathering.world.connect(POINT, "10.0.4.3", &Params { queue: ms(100), ..narrow(8) });
    let cid = gathering.recv("10.0.4.3", "cid", &[POINT]);
    gathering.pass(secs(3));
    gathering.call("10.0.4.4", "dan", large, &[POINT]);
    // It is found out within two seconds what the path takes.
    gathering.pass(secs(3));
    let seen = gathering.view(cid, "bob");
    let before = (seen.watched.borrow().whole, seen.watched.borrow().shown.len());
    gathering.pass(secs(10));
    let watched = seen.watched.borrow();
    let whole = watched.whole - before.0;
    let mut latencies: Vec<u64> = watched.shown[before.1..].iter().map(|shown| shown.latency / 1_000_000).collect();
    latencies.sort_unstable();
    let (p50, p95) = (latencies[latencies.len() / 2], latencies[latencies.len() * 95 / 100]);
    println!("beside large pictures: {whole} of 300 small ones whole, p50 {p50} ms, p95 {p95} ms");
    assert!(whole >= 285 && p50 < 60 && p95 < 90, "{whole} of 300 whole, p50 {p50} ms, p95 {p95} ms");
}
