//! Peers that say they are one who is here already.

use super::scenarios::{ms, secs};
use super::sending::identity;
use super::stranger::{Stranger, Victim, process};
use eyeline_proto::crypto::prove_same;
use eyeline_proto::session::link::HANDSHAKE;
use eyeline_proto::session::{Event, HostId, MOST_SENDERS, SocketId};
use eyeline_proto::wire::record::{Hello, Media, OWN_TRACK, Record, Text};

/// A call that dials two hosts.
fn victim() -> Victim {
    Victim::dialling(identity("screen", Media::LIVE, Media::LIVE), MOST_SENDERS, 2)
}

/// Comes as the process of an id; `dialled`: the victim dials it.
fn come(victim: &mut Victim, who: (u8, u16), dialled: bool) -> Stranger {
    let (host, socket) = (HostId(usize::from(who.0) - 1), who.0.into());
    if dialled { Stranger::answer_as(victim, who, socket, host) } else { Stranger::takes_part_as(victim, who, socket) }
}

fn say(stranger: &mut Stranger, victim: &mut Victim, id: u8, line: &str) {
    let text = Text { origin: [id; 16], name: String::new(), line: line.to_string() };
    stranger.record(victim, &Record::Text(text));
}

fn lines(victim: &Victim) -> Vec<&str> {
    let pairs = victim.events.iter().map(|event| match event {
        Event::Text { line, .. } => Some(line.as_str()),
        _ => None,
    });
    pairs.flatten().collect()
}

fn slices(victim: &Victim) -> usize {
    victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count()
}

/// Whoever says the id of a living peer, whichever of both was dialled, gets nothing: it is not seen, heard or read, is sent
/// nothing, and is told to go. The peer notices nothing.
#[test]
fn who_takes_the_id_of_a_living_peer_gets_nothing() {
    for (true_dialled, false_dialled) in [(false, false), (false, true), (true, false), (true, true)] {
        let case = format!("the true one is dialled: {true_dialled}, the false one: {false_dialled}");
        let mut victim = victim();
        let mut peer = come(&mut victim, (1, 1), true_dialled);
        peer.format(&mut victim);
        let mut thief = come(&mut victim, (2, 1), false_dialled);
        for number in 0..=HANDSHAKE.as_millis() as u32 / 100 {
            for (stranger, line) in [(&mut peer, "true"), (&mut thief, "false")] {
                if !victim.closed.contains(&stranger.socket()) {
                    say(stranger, &mut victim, 1, line);
                    stranger.picture(&mut victim, number);
                    stranger.sound(&mut victim, number.into());
                }
            }
            if number == 3 {
                thief.format(&mut victim);
                thief.record(&mut victim, &Record::Same([7; 32]));
                // What it is told itself is no proof, either.
                for told in thief.told(&mut victim) {
                    let record = Record::decode(&told).expect("a record");
                    assert!(matches!(record, Record::Same(_)), "{case}: {record:?}");
                    thief.record(&mut victim, &record);
                }
            }
            victim.pass(ms(100));
        }
        victim.pass(secs(1));
        assert_eq!(victim.names(), ["host 1"], "{case}");
        assert_eq!(victim.closed, [SocketId(2)], "{case}");
        assert_eq!(slices(&victim), 51, "{case}");
        let read = lines(&victim);
        assert!(read.len() > 20 && read.iter().all(|line| *line == "true"), "{case}: {read:?}");
        assert!(thief.told(&mut victim).iter().all(|told| matches!(Record::decode(told), Ok(Record::Goodbye(..)))), "{case}");
        assert!(peer.tracks(&mut victim).iter().any(|track| track.number == OWN_TRACK), "{case}: it is sent ours");
        let refused = |event: &&Event| matches!(event, Event::TurnedAway(..) | Event::Unreachable { fatal: false, .. });
        assert_eq!(victim.events.iter().filter(refused).count(), 1, "{case}: somebody is told why");
    }
}

/// Who proves over the second connection, or over the first, to be at both is there once, over the one dialled by the smaller id;
/// what it said over the second before is taken.
#[test]
fn who_proves_to_be_at_both_connections_is_there_once() {
    for (first_dialled, over_second) in [(false, false), (false, true), (true, false), (true, true)] {
        let case = format!("first dialled: {first_dialled}, proved over the second: {over_second}");
        let mut victim = victim();
        let mut first = come(&mut victim, (1, 1), first_dialled);
        first.format(&mut victim);
        let mut second = come(&mut victim, (2, 1), !first_dialled);
        second.format(&mut victim);
        say(&mut second, &mut victim, 1, "early");
        assert_eq!((victim.names(), lines(&victim)), (vec!["host 1".to_string()], vec![]), "{case}");
        let theirs = |over: &Stranger, of: &Stranger| Record::Same(prove_same(&of.token, &over.hash, &of.hash));
        if over_second {
            second.record(&mut victim, &theirs(&second, &first));
        } else {
            first.record(&mut victim, &theirs(&first, &second));
        }
        // The peer's id is smaller than ours.
        let (kept, names) =
            if first_dialled { (&mut second, vec!["host 1", "host 2 again"]) } else { (&mut first, vec!["host 1"]) };
        kept.picture(&mut victim, 0);
        say(kept, &mut victim, 1, "late");
        victim.pass(ms(1100));
        assert_eq!(victim.names(), names, "{case}");
        let read = if first_dialled { vec!["early", "late"] } else { vec!["late"] };
        assert_eq!((lines(&victim), slices(&victim)), (read, 1), "{case}");
        assert_eq!(victim.closed, [SocketId(if first_dialled { 1 } else { 2 })], "{case}");
    }
}

/// A process that forgot its earlier connection, or a program that knows no proofs, follows it from its address once it is dead,
/// and not before.
#[test]
fn who_proves_nothing_follows_a_dead_connection_from_its_address() {
    let mut victim = victim();
    let mut first = come(&mut victim, (1, 1), false);
    for number in 0..10 {
        first.picture(&mut victim, number);
        victim.pass(ms(100));
    }
    let mut second = Stranger::come_as(&mut victim, (1, 1), 2, [0; 16]);
    second.picture(&mut victim, 10);
    victim.pass(ms(500));
    assert_eq!(victim.names(), ["host 1"]);
    victim.pass(ms(200));
    second.picture(&mut victim, 11);
    assert_eq!(victim.names(), ["host 1", "host 1 again"]);
    assert_eq!(slices(&victim), 11);
}

/// A peer's connection is silent, and somebody elsewhere says its id: it comes back to its place all the same.
#[test]
fn who_is_silent_keeps_its_place_from_who_comes_from_elsewhere() {
    let mut victim = victim();
    let mut peer = come(&mut victim, (1, 1), false);
    peer.format(&mut victim);
    peer.picture(&mut victim, 0);
    victim.pass(secs(1));
    let mut thief = come(&mut victim, (2, 1), false);
    thief.format(&mut victim);
    thief.picture(&mut victim, 1);
    victim.pass(secs(1));
    let mut back = Stranger::come_as(&mut victim, (1, 1), 3, peer.token);
    back.format(&mut victim);
    back.picture(&mut victim, 1);
    victim.pass(HANDSHAKE);
    assert_eq!(victim.names(), ["host 1", "host 1 again"]);
    assert_eq!((slices(&victim), victim.closed.as_slice()), (2, &[SocketId(1), SocketId(2)][..]));
}

/// What somebody says before it is known who it is is kept, and not without end.
#[test]
fn who_says_much_before_it_is_known_is_let_go() {
    let mut victim = victim();
    let _peer = come(&mut victim, (1, 1), true);
    let mut thief = come(&mut victim, (2, 1), false);
    for number in 0..2000 {
        if victim.closed.is_empty() {
            thief.sound(&mut victim, number);
        }
    }
    assert_eq!((victim.names(), victim.closed.as_slice()), (vec!["host 1".to_string()], &[SocketId(2)][..]));
}

/// Somebody comes from the machine of one who is coming back, and both are let in at the same moment: whose link is replaced is
/// there again, and keeps the place that only one can have.
#[test]
fn who_comes_back_keeps_its_place_from_who_comes_at_the_same_moment() {
    let mut victim = Victim::new(false);
    let mut peer = Stranger::come_as(&mut victim, (1, 1), 11, [0; 16]);
    peer.format(&mut victim);
    peer.picture(&mut victim, 0);
    let mut back = Stranger::come_as(&mut victim, (1, 1), 12, [0; 16]);
    victim.pass(ms(700));
    // The driver is late: what came is read before the moment that was asked for is told.
    victim.now += ms(100);
    let other = |hello: &mut Hello| (hello.id, hello.name) = (process(2), "another".to_string());
    Stranger::come_with(&mut victim, 1, other).format(&mut victim);
    back.format(&mut victim);
    back.picture(&mut victim, 1);
    assert_eq!(victim.names(), ["host 1", "host 1 again"]);
    assert_eq!(slices(&victim), 2);
}
