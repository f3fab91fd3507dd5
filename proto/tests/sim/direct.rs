//! Guests of a meeting whose datagrams go directly: how they find each other, what it costs, and how they go back.

use super::calls::Gathering;
use super::ceilings::{Figures, check};
use super::meetings::POINT;
use super::mosaic::in_call;
use super::netem::Params;
use super::rates::narrow;
use super::scenarios::{lossy, ms, secs};
use super::sending::Stream;
use eyeline_proto::session::Command;
use eyeline_proto::session::endpoint::Discarded;
use eyeline_proto::session::sound_form::Wish;
use eyeline_proto::wire::record::Want;
use std::collections::BTreeSet;

const BOB: &str = "10.0.4.2";
const CID: &str = "10.0.4.3";

/// Members, in the order in which they come.
const POINT_IS: usize = 0;
const BOB_IS: usize = 1;
const CID_IS: usize = 2;

/// A meeting point without a person; bob and cid are its guests, far from it and near each other.
fn guests(of: u64, between: &Params) -> Gathering {
    let mut gathering = Gathering::new(of);
    gathering.direct = true;
    let far = Params { delay: ms(15), ..Params::lan() };
    gathering.world.connect(POINT, BOB, &far);
    gathering.world.connect(POINT, CID, &far);
    gathering.world.connect(BOB, CID, between);
    gathering.point(POINT, "point");
    for (ip, name) in [(BOB, "bob"), (CID, "cid")] {
        gathering.pass(ms(7));
        gathering.call(ip, name, Stream::call(), &[POINT]);
    }
    gathering
}

/// When what `who` sees of `whose` went directly, or no longer.
fn turns(gathering: &Gathering, who: usize, whose: &str) -> Vec<(u64, bool)> {
    let view = gathering.view(who, whose);
    let watched = view.watched.borrow();
    let of = |(at, what): &(u64, String)| what.strip_prefix("direct ").map(|direct| (*at, direct == "true"));
    watched.log.iter().filter_map(of).collect()
}

/// How both see each other.
fn both(gathering: &Gathering) -> Figures {
    Figures::worst([gathering.figures(BOB_IS, "cid"), gathering.figures(CID_IS, "bob")])
}

/// Nothing was lost of either, settled twice, or heard twice or not at all; nobody was seen twice.
fn nothing_is_missing(gathering: &Gathering) {
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let view = gathering.view(who, whose);
        let watched = view.watched.borrow();
        assert_eq!((watched.lost, watched.partial), (0, 0), "{whose}: {:?}", watched.log);
        // Before these who forwards them learns of whom they are.
        let heard = watched.blocks.iter().copied().filter(|block| *block >= 20);
        let blocks: BTreeSet<u64> = heard.clone().collect();
        assert_eq!(blocks.len(), heard.count(), "a block of {whose} was heard twice");
        let (first, last) = (blocks.first().unwrap(), blocks.last().unwrap());
        let missing: Vec<u64> = (*first..*last).filter(|block| !blocks.contains(block)).collect();
        assert_eq!(missing, [], "blocks of {whose} that began with {first} at {} ms", view.came / 1_000_000);
        assert_eq!(gathering.members[who].views.borrow().len(), 1);
        // A challenge may come before the hello that tells what it is sealed with.
        let counters = gathering.members[who].common.borrow().counters;
        assert_eq!(Discarded { unknown: 0, ..counters }, Discarded::default());
    }
}

/// Two that reach each other see each other in a third of the time, nothing is missing at the change, and nothing of them goes
/// through the meeting point any more.
#[test]
fn guests_that_reach_each_other_are_seen_directly() {
    let mut gathering = guests(300, &Params::lan());
    gathering.pass(secs(4));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(matches!(turns[..], [(at, true)] if at < 2000), "{turns:?}");
    }
    nothing_is_missing(&gathering);
    let before = [gathering.world.fate(BOB, POINT), gathering.world.fate(POINT, BOB)].map(|(offered, _)| offered);
    let began = gathering.world.now;
    gathering.pass(secs(4));
    let after = [gathering.world.fate(BOB, POINT), gathering.world.fate(POINT, BOB)].map(|(offered, _)| offered);
    let passed = [after[0] - before[0], after[1] - before[1]];
    assert!(passed.iter().all(|packets| *packets < 4 * 60), "{passed:?} packets to and from the meeting point in four seconds");
    let view = gathering.view(BOB_IS, "cid");
    let watched = view.watched.borrow();
    let mut latencies: Vec<u64> = watched.shown.iter().filter(|shown| shown.at > began).map(|shown| shown.latency).collect();
    latencies.sort_unstable();
    assert!(latencies.len() > 100 && latencies[latencies.len() / 2] < 8_000_000, "{} ns", latencies[latencies.len() / 2]);
    drop(watched);
    gathering.pass(secs(20));
    let began = gathering.world.now - 2_000_000_000;
    let speaker = view.speaker.borrow();
    let late: Vec<u64> =
        speaker.latencies.iter().filter(|(at, _)| *at > began).map(|(_, latency)| *latency / 1_000_000).collect();
    assert!(late.len() > 100 && late.iter().all(|late| *late < 52), "{late:?}");
    drop(speaker);
    gathering.command(BOB_IS, Command::Text("hello".to_string()));
    gathering.pass(ms(100));
    let lines = |who: usize| {
        gathering.members[who].common.borrow().lines.iter().map(|(_, name, line)| format!("{name}: {line}")).collect::<Vec<_>>()
    };
    assert_eq!([lines(POINT_IS), lines(CID_IS)], [["bob: hello"], ["bob: hello"]]);
    nothing_is_missing(&gathering);
    check("direct_pair", &both(&gathering));
}

/// Behind firewalls, or NATs, that let in only answers: both begin at once.
#[test]
fn guests_behind_firewalls_reach_each_other() {
    let mut gathering = guests(301, &Params::lan());
    for ip in [BOB, CID] {
        gathering.world.firewalled.insert(ip.parse().unwrap(), BTreeSet::new());
    }
    gathering.pass(secs(4));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(matches!(turns[..], [(at, true)] if at < 2000), "{turns:?}");
    }
    nothing_is_missing(&gathering);
}

/// The way between them is cut: pictures stand for less than 0.3 s, and go directly again soon after it is back; where it was cut
/// for so long that they gave each other up, after they were introduced anew.
#[test]
fn what_cannot_go_directly_any_more_is_forwarded_again_at_once() {
    for (back, again) in [(6000, 6000..7000), (10_000, 16_000..19_000)] {
        let mut gathering = guests(302, &Params { outages: vec![(secs(4), ms(back))], ..Params::lan() });
        gathering.pass(secs(22));
        for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
            let turns = turns(&gathering, who, whose);
            let [(_, true), (cut, false), (back, true)] = turns[..] else { panic!("{turns:?}") };
            assert!((4000..4250).contains(&cut) && again.contains(&back), "{turns:?}");
            let view = gathering.view(who, whose);
            let watched = view.watched.borrow();
            let worst = watched.whole_at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).max();
            println!("direct: cut, {whose} stood for {worst:?} ms");
            assert!(worst < Some(300), "{whose} stood for {worst:?} ms");
        }
        check("direct_cut", &both(&gathering));
    }
}

/// Where nothing passes between them all goes on by way of the meeting point, and hardly anything is tried.
#[test]
fn guests_that_do_not_reach_each_other_are_forwarded_as_before() {
    let mut gathering = guests(303, &Params { loss: 1.0, ..Params::lan() });
    gathering.pass(secs(30));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        assert_eq!(turns(&gathering, who, whose), []);
    }
    nothing_is_missing(&gathering);
    let (tried, _) = gathering.world.fate(BOB, CID);
    assert!(tried < 150, "{tried} datagrams were tried");
    check("direct_never", &both(&gathering));
    assert_eq!(gathering.sees(POINT_IS), ["bob", "cid"]);
}

/// A direct way that takes less than what is sent is left where the meeting point's has room, and kept where that has none either.
#[test]
fn a_direct_way_that_is_too_narrow_is_left_where_the_other_is_better() {
    let mut gathering = guests(304, &narrow(2));
    gathering.pass(secs(20));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(matches!(turns[..2], [(_, true), (..9000, false)]), "{turns:?}");
        let view = gathering.view(who, whose);
        let watched = view.watched.borrow();
        let since = watched.shown.iter().filter(|shown| shown.at > secs(10).as_nanos() as u64).count();
        assert!(since > 230, "{since} pictures of {whose} in ten seconds");
    }
    let mut gathering = guests(305, &narrow(2));
    for ip in [BOB, CID] {
        gathering.world.retune(POINT, ip, |params| *params = Params { delay: ms(15), ..narrow(2) });
    }
    gathering.pass(secs(60));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        // It is left once, for it is not known yet that the meeting point's is no better.
        assert!(matches!(turns[..], [(_, true)] | [(_, true), (_, false), (_, true)]), "{turns:?}");
    }
}

/// Opus packets, a loss of one in twenty, somebody who is muted or has closed his camera: directly as otherwise, and no way is given
/// up for it.
#[test]
fn what_goes_directly_bears_what_other_paths_bear() {
    let mut gathering = Gathering::new(306);
    (gathering.direct, gathering.opus) = (true, Some(Wish::Opus));
    let far = Params { delay: ms(15), ..Params::lan() };
    gathering.world.connect(POINT, BOB, &far);
    gathering.world.connect(POINT, CID, &far);
    gathering.world.connect(BOB, CID, &lossy(0.05));
    gathering.point(POINT, "point");
    for (ip, name) in [(BOB, "bob"), (CID, "cid")] {
        gathering.pass(ms(7));
        gathering.call(ip, name, Stream::call(), &[POINT]);
    }
    gathering.pass(secs(20));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(matches!(turns[..], [(_, true)]), "{turns:?}");
    }
    check("direct_loss_5", &both(&gathering));
    gathering.command(BOB_IS, Command::Silence { muted: true, closed: true });
    gathering.pass(secs(10));
    gathering.command(BOB_IS, Command::Silence { muted: false, closed: false });
    let back = gathering.world.now;
    gathering.pass(secs(2));
    assert!(matches!(turns(&gathering, CID_IS, "bob")[..], [(_, true)]));
    let view = gathering.view(CID_IS, "bob");
    let watched = view.watched.borrow();
    let first = watched.whole_at.iter().find(|at| **at > back).map(|at| (at - back) / 1_000_000);
    assert!(first < Some(150), "the picture was back after {first:?} ms");
}

/// Pictures that are only what changed: at each change of the way all of the picture is right again at once, and nothing stays wrong.
#[test]
fn mosaic_changes_its_way() {
    let mut gathering = Gathering::new(307);
    gathering.direct = true;
    let far = Params { delay: ms(15), ..Params::lan() };
    for ip in [BOB, CID] {
        gathering.world.connect(POINT, ip, &far);
    }
    let outages = vec![(secs(4), ms(5500)), (secs(10), secs(11)), (secs(16), ms(16_300))];
    gathering.world.connect(BOB, CID, &Params { outages, ..Params::lan() });
    gathering.point(POINT, "point");
    for (ip, name) in [(BOB, "bob"), (CID, "cid")] {
        gathering.pass(ms(7));
        gathering.call(ip, name, in_call(30), &[POINT]);
    }
    gathering.pass(secs(30));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(turns.len() >= 6 && turns.iter().enumerate().all(|(turn, (_, direct))| *direct == (turn % 2 == 0)), "{turns:?}");
        let view = gathering.view(who, whose);
        let watched = view.watched.borrow();
        println!("direct: {whose} was wrong for {} ms at most, {turns:?}", watched.ghost / 1_000_000);
        assert_eq!(watched.wrong, 0, "{whose}");
        assert!(watched.ghost < 400_000_000, "{whose} was wrong for {} ms", watched.ghost / 1_000_000);
    }
}

/// Six, of whom one is killed, one leaves and one comes: everybody sees all others directly, once, whatever happens to a third.
#[test]
fn of_a_meeting_everybody_sees_all_others_directly() {
    let mut gathering = Gathering::new(308);
    gathering.direct = true;
    gathering.point(POINT, "point");
    let names = ["ann", "bob", "cid", "dan", "eve", "fay"];
    let ip = |number: usize| format!("10.0.4.{}", 20 + number);
    for (number, name) in names.iter().enumerate() {
        gathering.call(&ip(number), name, Stream::tile(), &[POINT]);
        gathering.pass(ms(60));
    }
    gathering.pass(secs(4));
    let all_direct = |gathering: &Gathering, of: &[usize]| {
        for who in of {
            for whose in of.iter().filter(|whose| *whose != who) {
                let turns = turns(gathering, who + 1, names[*whose]);
                assert!(turns.last().is_some_and(|(_, direct)| *direct), "{} sees {}: {turns:?}", names[*who], names[*whose]);
            }
        }
    };
    all_direct(&gathering, &[0, 1, 2, 3, 4, 5]);
    let node = gathering.members[1].node;
    gathering.world.kill(node);
    gathering.command(2, Command::Stop(String::new()));
    gathering.pass(secs(6));
    all_direct(&gathering, &[2, 3, 4, 5]);
    for (who, whose) in [(2, 3), (3, 4), (4, 5), (5, 2)] {
        let view = gathering.view(who + 1, names[whose]);
        let watched = view.watched.borrow();
        assert_eq!((watched.lost, watched.partial), (0, 0), "{} sees {}", names[who], names[whose]);
        assert!(watched.frozen < 60_000_000, "{} sees {}: {} ms", names[who], names[whose], watched.frozen / 1_000_000);
    }
}

/// The meeting point is killed and started again: all meet again by themselves, and go directly again.
#[test]
fn a_meeting_point_of_those_who_go_directly_is_killed_and_started_again() {
    let mut gathering = guests(309, &Params::lan());
    gathering.pass(secs(3));
    let node = gathering.members[POINT_IS].node;
    gathering.world.kill(node);
    gathering.pass(secs(2));
    gathering.point(POINT, "point again");
    gathering.pass(secs(6));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        assert_eq!(gathering.sees(who), [whose]);
        let turns = turns(&gathering, who, whose);
        assert!(turns.last().is_some_and(|(_, direct)| *direct), "{turns:?}");
        let view = gathering.view(who, whose);
        let watched = view.watched.borrow();
        let latest = watched.shown.iter().rev().take(30).map(|shown| shown.latency / 1_000_000).max();
        assert!(latest < Some(10) && watched.whole_at.last() > Some(&(gathering.world.now - 100_000_000)), "{latest:?} ms");
    }
}

/// The connection to the meeting point is lost, as where another network is joined: what goes directly goes on, and is said to come by
/// way of it where the other breaks as well.
#[test]
fn who_comes_back_to_the_meeting_point_sees_all_as_before() {
    for both in [false, true] {
        let mut gathering = Gathering::new(310);
        gathering.direct = true;
        let far = Params { delay: ms(15), ..Params::lan() };
        gathering.world.connect(POINT, CID, &far);
        gathering.world.connect(POINT, BOB, &Params { outages: vec![(secs(4), secs(7))], ..far });
        let between = if both { vec![(secs(4), secs(60))] } else { Vec::new() };
        gathering.world.connect(BOB, CID, &Params { outages: between, ..Params::lan() });
        gathering.point(POINT, "point");
        for (ip, name) in [(BOB, "bob"), (CID, "cid")] {
            gathering.pass(ms(7));
            gathering.call(ip, name, Stream::call(), &[POINT]);
        }
        gathering.pass(secs(12));
        for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
            assert_eq!(gathering.members[who].views.borrow().len(), 1, "{whose} was seen all the time");
            let view = gathering.view(who, whose);
            let watched = view.watched.borrow();
            let turns = turns(&gathering, who, whose);
            let (from, until) = (watched.whole_at.iter(), gathering.world.now);
            let since = from.filter(|at| **at > 7_600_000_000).count();
            assert!(
                since > 125 && watched.whole_at.last() > Some(&(until - 100_000_000)),
                "{both}: {since} of {whose}, {turns:?}"
            );
            let worst = watched.whole_at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).max();
            // Where both are gone nothing can be seen; where one is, hardly anything is noticed.
            let most = if both { 3700 } else { 100 };
            assert!(both || matches!(turns[..], [(_, true)]), "{turns:?}");
            assert!(worst < Some(most), "{both}: {whose} stood for {worst:?} ms");
        }
    }
}

/// Two that are guests of two meeting points go directly once, and the two do not take turns at it.
#[test]
fn guests_of_two_meeting_points_go_directly_once() {
    let mut gathering = Gathering::new(311);
    gathering.direct = true;
    const SECOND: &str = "10.0.4.9";
    gathering.point(POINT, "point");
    gathering.point(SECOND, "second");
    for (ip, name) in [(BOB, "bob"), (CID, "cid")] {
        gathering.pass(ms(7));
        gathering.call(ip, name, Stream::call(), &[POINT, SECOND]);
    }
    gathering.pass(secs(40));
    for (who, whose) in [(2, "cid"), (3, "bob")] {
        let turns = turns(&gathering, who, whose);
        assert!(matches!(turns[..], [(_, true)]), "{turns:?}");
    }
}

/// A guest joins another network, from which only the meeting point is reached: all goes by way of it again.
#[test]
fn who_is_in_another_network_is_forwarded_to_where_nothing_goes_directly() {
    const ELSEWHERE: &str = "10.0.5.77";
    let mut gathering = guests(312, &Params::lan());
    gathering.world.connect(ELSEWHERE, CID, &Params { loss: 1.0, ..Params::lan() });
    gathering.pass(secs(4));
    let node = gathering.members[BOB_IS].node;
    gathering.world.move_to(node, ELSEWHERE);
    let moved = gathering.world.now;
    gathering.pass(secs(8));
    for (who, whose) in [(BOB_IS, "cid"), (CID_IS, "bob")] {
        let view = gathering.view(who, whose);
        let watched = view.watched.borrow();
        let worst = watched.whole_at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).max();
        let since = watched.whole_at.iter().filter(|at| **at > moved + 3_000_000_000).count();
        assert!(since > 140, "{since} of {whose}, {:?}", turns(&gathering, who, whose));
        assert!(worst < Some(2000), "{whose} stood for {worst:?} ms");
    }
}

/// Both lose the meeting point and come back one after the other: they are told of each other once both are there, and what is wanted
/// then is said.
#[test]
fn guests_that_come_back_one_after_the_other_are_introduced_once_both_are_there() {
    const WHERE_TO: [&str; 2] = ["10.0.5.2", "10.0.5.3"];
    let mut gathering = guests(313, &Params::lan());
    gathering.pass(secs(4));
    for (who, ip) in [(BOB_IS, WHERE_TO[0]), (CID_IS, WHERE_TO[1])] {
        let node = gathering.members[who].node;
        gathering.world.move_to(node, ip);
        gathering.pass(ms(1500));
    }
    gathering.pass(secs(4));
    let turns = turns(&gathering, BOB_IS, "cid");
    assert!(turns.last().is_some_and(|(_, direct)| *direct), "{turns:?}");
    // What is wanted reaches who sends it.
    let track = gathering.view(BOB_IS, "cid").track;
    let whole = |gathering: &Gathering| gathering.view(BOB_IS, "cid").watched.borrow().whole;
    gathering.command(BOB_IS, Command::Want(track, Want { pictures: false, ..Want::ALL }));
    gathering.pass(ms(300));
    let before = whole(&gathering);
    gathering.pass(secs(1));
    assert_eq!(whole(&gathering), before, "no picture is wanted");
    gathering.command(BOB_IS, Command::Want(track, Want::ALL));
    gathering.pass(secs(1));
    assert!(whole(&gathering) > before + 20, "they are wanted again");
}
