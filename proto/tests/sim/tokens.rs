//! Tokens to come back with, and whole sessions, used by whom they were not meant for, or again.

use super::by_hand::{drain, private, receiver, sender};
use super::oscillator::Base;
use super::scenarios::{ms, secs};
use super::stranger::{Stranger, Victim};
use eyeline_proto::crypto::Psk;
use eyeline_proto::session::link::HANDSHAKE;
use eyeline_proto::session::{Core, Event, HostId, Session, SocketId};
use eyeline_proto::wire::record::{Reason, Record};

/// A sender that is shown, and sends.
fn shown() -> (Victim, Stranger) {
    let mut victim = Victim::new(false);
    let mut first = Stranger::join(&mut victim, 1);
    first.format(&mut victim);
    first.picture(&mut victim, 0);
    (victim, first)
}

#[test]
fn a_token_brings_back_only_the_process_it_was_given_to() {
    for (what, id, is_token) in [("another's token", 2, true), ("a stolen id", 1, false), ("a guess", 1, false)] {
        let (mut victim, mut first) = shown();
        let resume = match (is_token, what) {
            (true, _) => first.token,
            (false, "a guess") => [0xa5; 16],
            (false, _) => [0; 16],
        };
        let mut thief = Stranger::come_as(&mut victim, (2, id), 2, resume);
        thief.picture(&mut victim, 1);
        first.picture(&mut victim, 1);
        victim.pass(if is_token { ms(100) } else { HANDSHAKE });
        assert_eq!(victim.names(), ["host 1"], "{what}");
        assert_eq!(victim.closed, [SocketId(2)], "{what}: it is turned away");
    }
}

#[test]
fn a_token_brings_its_process_back_from_any_address_and_each_time_it_is_dialled_again() {
    let (mut victim, first) = shown();
    let mut moved = Stranger::come_as(&mut victim, (3, 1), 2, first.token);
    moved.picture(&mut victim, 1);
    assert_eq!(victim.names(), ["host 1", "host 3 again"]);
    // Its answers were lost, so it knows of no newer one.
    for attempt in 3..30 {
        moved = Stranger::come_as(&mut victim, (3, 1), attempt.into(), first.token);
        moved.picture(&mut victim, attempt);
        assert_eq!(victim.names().last().map(String::as_str), Some("host 3 again"), "attempt {attempt}");
    }
    victim.pass(secs(2));
    assert_eq!(victim.closed, (1..29).map(SocketId).collect::<Vec<_>>(), "one place, whatever it does");
    // A newer one was said: nobody needs the first any more.
    let mut last = Stranger::come_as(&mut victim, (3, 1), 40, moved.token);
    last.picture(&mut victim, 40);
    assert_eq!(victim.names().last().map(String::as_str), Some("host 3 again"));
    Stranger::come_as(&mut victim, (4, 1), 41, first.token);
    victim.pass(secs(2));
    assert!(!victim.names().iter().any(|name| name.starts_with("host 4")), "{:?}", victim.names());
}

#[test]
fn a_token_is_worth_nothing_after_a_goodbye() {
    let (mut victim, mut first) = shown();
    first.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    Stranger::come_as(&mut victim, (1, 1), 2, first.token);
    assert_eq!(victim.names(), ["host 1", "down", "host 1"], "it is shown as one that came for the first time");
}

/// Its hello and its goodbye come in the same bytes: the place that it comes back to is not left to nobody.
#[test]
fn who_comes_back_and_leaves_at_once_is_gone() {
    let (mut victim, first) = shown();
    Stranger::come_and_go(&mut victim, (3, 1), 2, first.token, &[]);
    assert_eq!(victim.names(), ["host 1", "down"]);
    victim.pass(secs(2));
    assert_eq!(victim.closed, [SocketId(2), SocketId(1)]);
    let mut next = Stranger::join(&mut victim, 4);
    next.picture(&mut victim, 0);
    assert_eq!(victim.names(), ["host 1", "down", "host 4"], "the one place there is is free");
}

/// All that a receiver with the key sent, by TCP and UDP.
struct Recording {
    written: Vec<Vec<u8>>,
    datagrams: Vec<Vec<u8>>,
}

/// One session, from the opening until datagrams go both ways.
fn recorded(session: &mut Session, key: &Psk, now: std::time::Instant) -> Recording {
    let mut dialler = receiver(now, 1, Some(key));
    drain(&mut dialler, now);
    dialler.handle_dialled(now, HostId(0), Ok((SocketId(1), private(1, 9688))));
    session.handle_accepted(now, SocketId(1), private(2, 40_000), false);
    let mut recording = Recording { written: Vec::new(), datagrams: Vec::new() };
    let mut answered = false;
    for _ in 0..10 {
        dialler.handle_timeout(now);
        let there = drain(&mut dialler, now);
        answered |= there.events.iter().any(|event| matches!(event, Event::Clock(..)));
        for (_, bytes) in there.written {
            session.handle_bytes(now, SocketId(1), &bytes);
            recording.written.push(bytes);
        }
        for (_, bytes) in there.datagrams {
            session.handle_datagram(now, private(2, 9688), &mut bytes.clone());
            recording.datagrams.push(bytes);
        }
        session.handle_timeout(now);
        let back = drain(session, now);
        for (_, bytes) in back.written {
            dialler.handle_bytes(now, SocketId(1), &bytes);
        }
        for (_, mut bytes) in back.datagrams {
            dialler.handle_datagram(now, private(1, 9688), &mut bytes);
        }
    }
    assert!(answered && recording.datagrams.len() > 3, "the session is one");
    recording
}

/// Recorded on the way, and said again to the same program and to one that was started anew, from the same address and another.
#[test]
fn a_recorded_keyed_session_opens_nothing_when_it_is_said_again() {
    let now = Base::new().instant(1_000_000_000);
    let key = Psk::derive("one").expect("a key");
    let mut same = sender(now, 0, Some(&key));
    let recording = recorded(&mut same, &key, now);
    for (mut session, host) in [(same, 2), (sender(now, 0, Some(&key)), 2), (sender(now, 0, Some(&key)), 66)] {
        let (socket, from) = (SocketId(7), private(host, 9688));
        session.handle_accepted(now, socket, private(host, 40_001), false);
        let (mut closed, mut events) = (Vec::new(), Vec::new());
        for bytes in &recording.written {
            session.handle_bytes(now, socket, bytes);
            let did = drain(&mut session, now);
            closed.extend(did.closed);
            events.extend(did.events);
        }
        assert_eq!(closed, [socket], "what follows the opening does not open");
        assert!(matches!(&events[..], [Event::TurnedAway(..)]), "{events:?}");
        for bytes in &recording.datagrams {
            session.handle_datagram(now, from, &mut bytes.clone());
            let did = drain(&mut session, now);
            assert!(did.datagrams.is_empty() && did.events.is_empty(), "no answer is sent to a replay");
        }
    }
}
