//! Who is let in, and what who is not is told.

use super::by_hand::{answer, connect, drain, meet, private, receiver, sender, until_it_dials};
use super::oscillator::Base;
use super::scenarios::{ms, secs};
use super::sending::{a_receiver, a_sender};
use eyeline_proto::crypto::Psk;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::admission::{MAX_HANDSHAKES, MAX_PER_ADDRESS};
use eyeline_proto::session::link::HANDSHAKE;
use eyeline_proto::session::{Config, Core, Event, HostId, Session, SocketId};
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::preamble::{Answer, MAX_BODY, Opening, Refusal};
use std::net::SocketAddr;

/// Forty connections that say nothing, from ten addresses: the places are [`MAX_HANDSHAKES`], the oldest give way, and after the
/// time for a handshake all are gone.
#[test]
fn half_open_connections_are_bounded_and_the_oldest_give_way() {
    let start = Base::new().instant(0);
    let mut session = sender(start, 0, None);
    let mut closed = Vec::new();
    for socket in 0..40u64 {
        let now = start + ms(socket);
        session.handle_accepted(now, SocketId(socket), private((socket % 10) as u8, 40_000 + socket as u16), false);
        closed.extend(drain(&mut session, now).closed);
    }
    let oldest: Vec<_> = (0..40 - MAX_HANDSHAKES as u64).map(SocketId).collect();
    assert_eq!(closed, oldest, "those beyond {MAX_HANDSHAKES}, oldest first");
    let end = start + ms(39) + HANDSHAKE;
    session.handle_timeout(end);
    let rest = drain(&mut session, end).closed;
    assert_eq!(rest, (40 - MAX_HANDSHAKES as u64..40).map(SocketId).collect::<Vec<_>>(), "nobody may dawdle");
}

#[test]
fn one_address_has_few_half_open_connections_and_takes_no_place_of_others() {
    let start = Base::new().instant(0);
    let mut session = sender(start, 0, None);
    session.handle_accepted(start, SocketId(100), private(200, 1), false);
    let mut closed = Vec::new();
    for socket in 0..10u64 {
        let now = start + ms(socket + 1);
        session.handle_accepted(now, SocketId(socket), private(7, 40_000 + socket as u16), false);
        closed.extend(drain(&mut session, now).closed);
    }
    assert_eq!(
        closed,
        (0..10 - MAX_PER_ADDRESS as u64).map(SocketId).collect::<Vec<_>>(),
        "{MAX_PER_ADDRESS} at a time, its own"
    );
}

/// The connection is closed before a byte of what it promises has come; so nobody holds a place for the time of a handshake that
/// none can be.
#[test]
fn who_promises_more_than_a_handshake_has_is_closed_at_once() {
    let now = Base::new().instant(0);
    for len in [MAX_BODY as u16 + 1, u16::MAX] {
        let mut session = sender(now, 0, None);
        session.handle_accepted(now, SocketId(1), private(1, 50_000), false);
        session.handle_bytes(now, SocketId(1), &Opening::new(false, len).encode());
        let did = drain(&mut session, now);
        assert_eq!((did.closed, did.written), (vec![SocketId(1)], vec![]), "{len} bytes");
    }
}

#[test]
fn without_a_key_a_public_address_is_told_to_use_one_unless_it_is_this_machines_own() {
    let start = Base::new().instant(0);
    let public = SocketAddr::from(([203, 0, 113, 9], 555));
    let mut open = sender(start, 0, None);
    open.handle_accepted(start, SocketId(1), public, false);
    let drained = drain(&mut open, start);
    assert_eq!(drained.closed, [SocketId(1)]);
    let (answer, sentence) = answer(&drained.written[0].1);
    assert_eq!(answer.refusal, Some(Refusal::Address));
    assert!(sentence.contains("--key"), "{sentence}");
    assert!(matches!(&drained.events[..], [Event::TurnedAway(from, _)] if *from == public));

    let mut own = sender(start, 0, None);
    own.handle_accepted(start, SocketId(1), public, true);
    let opening = [&Opening::new(false, 32).encode()[..], &[9; 32]].concat();
    own.handle_bytes(start, SocketId(1), &opening);
    let drained = drain(&mut own, start);
    assert!(drained.closed.is_empty(), "this machine's own address is let in");
    assert_eq!(super::by_hand::answer(&drained.written[0].1).0.refusal, None);

    let key = Psk::derive("k").expect("a key");
    let mut keyed = sender(start, 0, Some(&key));
    keyed.handle_accepted(start, SocketId(1), public, false);
    assert_eq!(drain(&mut keyed, start).closed, [], "with a key everybody may try");
}

fn refusals(events: &[Event]) -> Vec<(String, bool)> {
    let refused = |event: &Event| match event {
        Event::Unreachable { error, fatal, .. } => Some((error.to_string(), *fatal)),
        _ => None,
    };
    events.iter().filter_map(refused).collect()
}

/// Both sides learn in words what is wrong with the keys. A dialler without one does not try again; one that has a key does, for
/// whoever turns it away has proved nothing.
#[test]
fn keys_that_do_not_fit_are_told_in_words() {
    let now = Base::new().instant(0);
    let (one, other) = (Psk::derive("one").expect("a key"), Psk::derive("other").expect("a key"));
    for (waits, dials, words) in [
        (Some(&one), None, "the waiting side wants a key"),
        (None, Some(&one), "the dialling side has a key and the waiting side has none"),
        (Some(&one), Some(&other), "the two sides have different keys"),
    ] {
        let (mut waiter, mut dialler) = (sender(now, 0, waits), receiver(now, 1, dials));
        let (to_dialler, to_waiter) = meet(&mut dialler, &mut waiter, now);
        let refused = refusals(&to_dialler);
        let told = matches!(&refused[..], [(sentence, fatal)] if sentence.contains(words) && *fatal == dials.is_none());
        assert!(told, "{words}: {refused:?}");
        assert!(matches!(&to_waiter[..], [Event::TurnedAway(_, sentence)] if sentence.contains(words)), "{to_waiter:?}");
        dialler.handle_timeout(now + secs(10));
        assert_eq!(drain(&mut dialler, now + secs(10)).dials, usize::from(dials.is_some()), "{words}");
    }
    let (mut waiter, mut dialler) = (sender(now, 0, Some(&one)), receiver(now, 1, Some(&one)));
    let (to_dialler, _) = meet(&mut dialler, &mut waiter, now);
    assert!(to_dialler.iter().any(|event| matches!(event, Event::SenderUp { .. })), "equal keys meet");
}

/// What answers proves nothing before the handshake: whatever it says, a dialler that was connected before, or has a key, dials
/// on, ever more seldom, and is connected again when its peer is.
#[test]
fn a_refusal_after_a_good_session_is_redialled() {
    let key = Psk::derive("one").expect("a key");
    let answer =
        |version, refusal, body: &[u8]| [&Answer { version, refusal, len: body.len() as u16 }.encode()[..], body].concat();
    let answers = [
        answer(VERSION, Some(Refusal::KeyWrong), b"the two sides have different keys"),
        answer(1, Some(Refusal::Version), b"update the older"),
        answer(VERSION, Some(Refusal::Other), b""),
        answer(9, None, &[7; 48]),
        answer(VERSION, None, &[7; 48]),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\0\x17\xff".to_vec(),
    ];
    for psk in [None, Some(&key)] {
        let start = Base::new().instant(0);
        let (mut waiter, mut dialler) = (sender(start, 0, psk), receiver(start, 1, psk));
        meet(&mut dialler, &mut waiter, start);
        let broke = start + secs(1);
        dialler.handle_closed(broke, SocketId(1));
        waiter.handle_closed(broke, SocketId(2));
        let (mut now, mut pauses) = (broke, Vec::new());
        for (socket, bytes) in (10..).zip(&answers) {
            let dials = until_it_dials(&mut dialler, now);
            pauses.push((dials - now).as_millis());
            now = dials;
            dialler.handle_dialled(now, HostId(0), Ok((SocketId(socket), private(1, 9688))));
            drain(&mut dialler, now);
            dialler.handle_bytes(now, SocketId(socket), bytes);
            let told = refusals(&drain(&mut dialler, now).events);
            assert!(matches!(&told[..], [(_, false)]), "it is not given up: {told:?}");
        }
        assert_eq!(pauses, [50, 500, 1000, 2000, 4000, 8000, 10_000]);
        let now = until_it_dials(&mut dialler, now);
        let (to_dialler, _) = connect(&mut dialler, &mut waiter, now, (SocketId(90), SocketId(91)));
        assert!(to_dialler.iter().any(|event| matches!(event, Event::SenderUp { .. })), "its peer is there again");
    }
}

#[test]
fn two_that_have_nothing_for_each_other_are_told_what_to_run() {
    let now = Base::new().instant(0);
    let (mut waiter, mut dialler) = (receiver(now, 0, None), receiver(now, 1, None));
    let (to_dialler, to_waiter) = meet(&mut dialler, &mut waiter, now);
    let refused = refusals(&to_dialler);
    assert!(matches!(&refused[..], [(sentence, true)] if sentence.contains("both sides run `recv`")), "{refused:?}");
    assert!(matches!(&to_waiter[..], [Event::TurnedAway(_, sentence)] if sentence.contains("both sides run `recv`")));
    // One has sound alone, the other wants pictures alone: it hears so, for the one may have pictures later.
    let mut me = a_sender("microphone", false);
    me.offers.pictures = false;
    let config = Config::new(me, Epoch::new(now));
    let mut waiter = Session::new(now, config);
    let mut me = a_receiver("screen", false);
    me.wants.sound = false;
    let mut dialler = Session::new(now, Config { hosts: 1, senders: 1, ..Config::new(me, Epoch::new(now)) });
    let (to_dialler, to_waiter) = meet(&mut dialler, &mut waiter, now);
    assert!(to_dialler.iter().any(|event| matches!(event, Event::SenderUp { pictures: false, .. })));
    assert!(to_waiter.iter().any(|event| matches!(event, Event::PeerUp { .. })));
}

/// What Eyeline 0.1 says first when it dials, and what it answers to an opening of this version: its words, byte for byte.
#[test]
fn eyeline_0_1_is_told_apart_and_told_what_to_do() {
    let now = Base::new().instant(0);
    for flags in [0, 1, 2, 3] {
        let mut session = sender(now, 0, None);
        session.handle_accepted(now, SocketId(5), private(3, 3), false);
        let opening = [&b"EYEL\x01"[..], &[flags], b"\x00\x20", &[7; 32]].concat();
        session.handle_bytes(now, SocketId(5), &opening);
        let drained = drain(&mut session, now);
        // It shows the sentence of any answer whose status is not 0, whatever its version.
        let sentence =
            "the dialling side speaks protocol 1 (Eyeline 0.1) and the waiting side protocol 2: update the dialling side";
        assert_eq!(drained.written[0].1, [b"EYEL\x02\x01\x00\x6b", sentence.as_bytes()].concat());
        assert_eq!(drained.closed, [SocketId(5)]);
        assert!(matches!(&drained.events[..], [Event::TurnedAway(_, told)] if told == sentence), "{:?}", drained.events);
    }
    let its_answer = b"this side speaks version 1 of the protocol and the dialling side 2: update the older";
    let full = b"all 256 places are taken";
    for (status, words) in [(1, &its_answer[..]), (6, &full[..])] {
        let mut session = receiver(now, 1, None);
        assert_eq!(drain(&mut session, now).dials, 1);
        session.handle_dialled(now, HostId(0), Ok((SocketId(1), private(1, 9688))));
        drain(&mut session, now);
        let answer = [&b"EYEL\x01"[..], &[status, 0, words.len() as u8], words].concat();
        session.handle_bytes(now, SocketId(1), &answer);
        let refused = refusals(&drain(&mut session, now).events);
        let sentence = "the peer at 10.0.1.1:9688 speaks protocol 1 (Eyeline 0.1): update it";
        assert!(matches!(&refused[..], [(told, true)] if told == sentence), "{refused:?}");
    }
}

/// A browser, another version, an endless opening: a sentence or a goodbye, and the connection closes.
#[test]
fn what_is_not_this_version_of_eyeline_is_told_so() {
    let now = Base::new().instant(0);
    let newer = [&Opening { version: 9, keyed: false, pairs: false, len: 32 }.encode()[..], &[0; 32]].concat();
    let endless = Opening::new(false, 60_000).encode().to_vec();
    let garbled = [&Opening::new(false, 31).encode()[..], &[0; 31]].concat();
    for (bytes, refusal, words) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), Some(Refusal::Other), "not Eyeline"),
        (
            newer,
            Some(Refusal::Version),
            "the dialling side speaks protocol 9 and the waiting side protocol 2: update the waiting side",
        ),
        (endless, None, ""),
        (garbled, None, ""),
    ] {
        let mut session = sender(now, 0, None);
        session.handle_accepted(now, SocketId(5), private(3, 3), false);
        session.handle_bytes(now, SocketId(5), &bytes);
        let drained = drain(&mut session, now);
        assert_eq!(drained.closed, [SocketId(5)], "{words}");
        assert_eq!(drained.events.len(), 1, "{words}");
        match refusal {
            Some(refusal) => {
                let (answer, sentence) = answer(&drained.written[0].1);
                assert_eq!((answer.refusal, sentence.contains(words)), (Some(refusal), true), "{sentence}");
            }
            None => assert!(drained.written.is_empty(), "no words for what cannot be read"),
        }
    }
}
