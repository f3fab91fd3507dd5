//! Two machines are paired by six digits, and know each other by the key that came of it.

use super::by_hand::{connect, drain, meet, private, sender};
use super::oscillator::Base;
use super::scenarios::secs;
use super::sending::{a_receiver, a_sender};
use eyeline_proto::crypto::{Code, Pairing, Psk, Side};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::keyring::{Invitation, Keys, MOST_TRIES, PAUSE, Pair};
use eyeline_proto::session::link::{HANDSHAKE, Identity};
use eyeline_proto::session::{Config, Core, Event, HostId, Session, SocketId};
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::preamble::{Answer, Opening, Refusal};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// The one that waits, called "kitchen".
fn waiting(now: Instant, keys: Keys) -> Session {
    Session::new(now, Config { keys, ..Config::new(a_sender("kitchen", false), Epoch::new(now)) })
}

/// The one that dials, called "desk".
fn dialling(now: Instant, keys: Keys) -> Session {
    Session::new(now, Config { hosts: 1, keys, ..Config::new(a_receiver("desk", false), Epoch::new(now)) })
}

fn inviting() -> Keys {
    Keys { invites: true, ..Keys::default() }
}

fn typed(code: &Code) -> Keys {
    Keys { typed: Some(code.clone()), ..Keys::default() }
}

fn shown(events: &[Event]) -> Option<Code> {
    events.iter().find_map(|event| match event {
        Event::Invitation(Invitation::Shown(code) | Invitation::Paused(code)) => Some(code.clone()),
        _ => None,
    })
}

fn invited(now: Instant) -> (Session, Code) {
    let mut kitchen = waiting(now, inviting());
    let code = shown(&drain(&mut kitchen, now).events).expect("it shows a code");
    (kitchen, code)
}

fn wrong(code: &Code) -> Code {
    let other = if code.spaced() == "000 000" { "000 001" } else { "000 000" };
    Code::parse(other).expect("a code")
}

fn paired(events: &[Event]) -> Option<(Pair, Option<HostId>)> {
    events.iter().find_map(|event| match event {
        Event::Paired(pair, host) => Some((pair.clone(), *host)),
        _ => None,
    })
}

fn meets(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::PeerUp { .. } | Event::SenderUp { .. }))
}

fn refusal(events: &[Event]) -> Option<(String, bool)> {
    events.iter().find_map(|event| match event {
        Event::Unreachable { error, fatal, .. } => Some((error.to_string(), *fatal)),
        _ => None,
    })
}

fn known(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Known(..)))
}

#[test]
fn a_code_typed_once_pairs_two_machines_which_then_meet_by_their_key_whoever_dials() {
    let now = Base::new().instant(0);
    let (mut kitchen, code) = invited(now);
    let mut desk = dialling(now, typed(&code));
    let (to_desk, to_kitchen) = meet(&mut desk, &mut kitchen, now);
    let (of_kitchen, host) = paired(&to_desk).expect("desk is paired");
    let (of_desk, dialled) = paired(&to_kitchen).expect("kitchen is paired");
    assert_eq!((of_kitchen.name.as_str(), host, of_desk.name.as_str(), dialled), ("kitchen", Some(HostId(0)), "desk", None));
    assert_eq!(of_kitchen.key, of_desk.key);
    assert!(meets(&to_desk) && meets(&to_kitchen), "and they are connected at once");
    assert!(known(&to_desk) && known(&to_kitchen));
    assert!(shown(&to_kitchen).is_some_and(|next| next != code), "the next one gets another code");

    // Later, with what each has kept.
    let mut kitchen = waiting(now, Keys { pairs: vec![of_desk.clone()], pairs_only: true, ..Keys::default() });
    let hosts = BTreeMap::from([(HostId(0), of_kitchen.clone())]);
    let mut desk = dialling(now, Keys { pairs: vec![of_kitchen.clone()], hosts, ..Keys::default() });
    let (to_desk, to_kitchen) = meet(&mut desk, &mut kitchen, now);
    assert!(known(&to_desk) && known(&to_kitchen));
    assert!(paired(&to_desk).is_none() && meets(&to_desk) && meets(&to_kitchen));

    // Who was dialled then dials now.
    let mut desk = waiting(now, Keys { pairs: vec![of_kitchen], ..Keys::default() });
    let hosts = BTreeMap::from([(HostId(0), of_desk.clone())]);
    let mut kitchen = dialling(now, Keys { pairs: vec![of_desk], hosts, ..Keys::default() });
    let (to_kitchen, to_desk) = meet(&mut kitchen, &mut desk, now);
    assert!(known(&to_kitchen) && known(&to_desk));
}

#[test]
fn a_machine_that_comes_back_after_it_was_paired_needs_no_code() {
    let now = Base::new().instant(0);
    let (mut kitchen, code) = invited(now);
    let mut desk = dialling(now, typed(&code));
    meet(&mut desk, &mut kitchen, now);
    let later = now + secs(1);
    desk.handle_closed(later, SocketId(1));
    kitchen.handle_closed(later, SocketId(2));
    let again = super::by_hand::until_it_dials(&mut desk, later);
    let (to_desk, to_kitchen) = connect(&mut desk, &mut kitchen, again, (SocketId(7), SocketId(8)));
    assert!(known(&to_desk) && known(&to_kitchen));
}

#[test]
fn a_wrong_code_is_told_at_once_and_ends_the_dialling() {
    let now = Base::new().instant(0);
    let (mut kitchen, code) = invited(now);
    let mut desk = dialling(now, typed(&wrong(&code)));
    let (to_desk, to_kitchen) = meet(&mut desk, &mut kitchen, now);
    let (sentence, fatal) = refusal(&to_desk).expect("it is told");
    assert!(fatal && sentence.contains("the code is wrong"), "{sentence}");
    assert!(!meets(&to_kitchen) && paired(&to_kitchen).is_none() && paired(&to_desk).is_none());
    assert!(to_kitchen.iter().any(|event| matches!(event, Event::TurnedAway(from, _) if *from == private(2, 40_000))));
    // One who waits for nobody to be paired says so.
    let mut closed = sender(now, 0, None);
    let mut desk = dialling(now, typed(&code));
    let (to_desk, _) = meet(&mut desk, &mut closed, now);
    let (sentence, fatal) = refusal(&to_desk).expect("it is told");
    assert!(fatal && sentence.contains("start it with --pair"), "{sentence}");
}

#[test]
fn ten_wrong_codes_from_any_addresses_and_nobody_is_paired_for_a_minute() {
    let now = Base::new().instant(0);
    let (mut kitchen, code) = invited(now);
    let mut at = now;
    let mut told = Vec::new();
    for _ in 0..MOST_TRIES {
        let mut guesser = dialling(at, typed(&wrong(&code)));
        told.extend(meet(&mut guesser, &mut kitchen, at).1);
        // Wrong keys of one address are slowed as well: this one takes its time.
        at += secs(20);
    }
    let next = shown(&told).expect("there is another code");
    let mut desk = dialling(at, typed(&next));
    let (to_desk, _) = meet(&mut desk, &mut kitchen, at);
    let (sentence, _) = refusal(&to_desk).expect("it is told");
    assert!(sentence.contains("too many wrong codes"), "{sentence}");
    at += PAUSE;
    let mut desk = dialling(at, typed(&next));
    assert!(paired(&meet(&mut desk, &mut kitchen, at).0).is_some());
}

#[test]
fn who_is_called_as_a_pair_and_does_not_prove_it_is_said_to_be_so() {
    let now = Base::new().instant(0);
    let kept = Pair { name: "Desk".into(), key: Psk::from_bytes([5; 32]) };
    let unproved = |events: &[Event]| {
        events.iter().any(|event| matches!(event, Event::Unproved { name, dialled: false, .. } if name == "desk"))
    };
    let mut kitchen = waiting(now, Keys { pairs: vec![kept.clone()], ..Keys::default() });
    let (_, to_kitchen) = meet(&mut dialling(now, Keys::default()), &mut kitchen, now);
    assert!(unproved(&to_kitchen) && meets(&to_kitchen), "it is let in as anybody is, and told apart");
    // Where only pairs are let in it is not.
    let mut kitchen = waiting(now, Keys { pairs: vec![kept], pairs_only: true, ..Keys::default() });
    let (to_desk, to_kitchen) = meet(&mut dialling(now, Keys::default()), &mut kitchen, now);
    assert!(!meets(&to_kitchen) && refusal(&to_desk).is_some_and(|(sentence, _)| sentence.contains("--pair")));
}

/// A key that nobody has is no advice: where there are pairs alone it is said how the waiting side is made to pair.
#[test]
fn who_was_forgotten_or_never_paired_is_told_to_start_the_waiting_side_with_pair_too() {
    let now = Base::new().instant(0);
    let pair = |name: &str, byte| Pair { name: name.into(), key: Psk::from_bytes([byte; 32]) };
    let only = || Keys { pairs: vec![pair("lab", 7)], pairs_only: true, ..Keys::default() };
    let desk = || Keys { hosts: BTreeMap::from([(HostId(0), pair("kitchen", 1))]), ..Keys::default() };
    for (waits, dials, words, keys) in [
        (only(), Keys::default(), "lets in only machines that it was paired with", false),
        (only(), desk(), "has a key that the waiting side does not know", true),
        (Keys::default(), desk(), "has a key and the waiting side has none", true),
    ] {
        let (to_dialler, to_waiter) = meet(&mut dialling(now, dials), &mut waiting(now, waits), now);
        let (told, _) = refusal(&to_dialler).expect("it is told");
        assert!(told.contains(words) && told.contains("start the waiting side with --pair"), "{told}");
        assert_eq!(told.contains("--key"), keys, "{told}");
        assert!(matches!(&to_waiter[..], [Event::TurnedAway(_, sentence)] if told.ends_with(sentence)), "{to_waiter:?}");
    }
}

#[test]
fn a_host_that_has_another_key_than_it_was_paired_with_is_never_met_and_dialled_on() {
    let now = Base::new().instant(0);
    let of = |byte| Pair { name: "kitchen".into(), key: Psk::from_bytes([byte; 32]) };
    for theirs in [Keys::default(), Keys { pairs: vec![of(2)], ..Keys::default() }] {
        let hosts = BTreeMap::from([(HostId(0), of(1))]);
        let mut desk = dialling(now, Keys { pairs: vec![of(1)], hosts, ..Keys::default() });
        let (to_desk, to_kitchen) = meet(&mut desk, &mut waiting(now, theirs), now);
        assert!(!meets(&to_desk) && !meets(&to_kitchen));
        assert!(refusal(&to_desk).is_some_and(|(_, fatal)| !fatal), "whoever answers proves nothing");
    }
}

#[test]
fn whatever_follows_a_pairing_message_lets_nobody_in() {
    let now = Base::new().instant(0);
    let public = SocketAddr::from(([203, 0, 113, 9], 555));
    let pairing = |body: &[u8]| [&Opening::pairing(body.len() as u16).encode()[..], body].concat();
    let point = Pairing::start(Side::Dialler, &Code::parse("000000").unwrap()).1;
    let plain = [&Opening::new(false, 32).encode()[..], &[9; 32]].concat();
    let keyed = [&Opening::new(true, 48).encode()[..], &[9; 48]].concat();
    let again = pairing(&point);
    for bytes in [
        pairing(&[]),
        pairing(&[0; 33]),
        pairing(&[7; 512]),
        [&again[..], &plain].concat(),
        [&again[..], &keyed].concat(),
        [&again[..], &again].concat(),
        [&again[..], &[7; 600]].concat(),
    ] {
        let (mut kitchen, _) = invited(now);
        kitchen.handle_accepted(now, SocketId(5), public, false);
        for byte in bytes.chunks(7) {
            kitchen.handle_bytes(now, SocketId(5), byte);
        }
        let drained = drain(&mut kitchen, now);
        assert_eq!(drained.closed, [SocketId(5)], "{bytes:?}");
        assert!(!meets(&drained.events) && paired(&drained.events).is_none());
    }
    // From a public address, too, who has no key is told so where others might have one.
    let (mut kitchen, _) = invited(now);
    kitchen.handle_accepted(now, SocketId(5), public, false);
    kitchen.handle_bytes(now, SocketId(5), &plain);
    let (answer, _) = super::by_hand::answer(&drain(&mut kitchen, now).written[0].1);
    assert_eq!(answer.refusal, Some(Refusal::Address));
}

/// Whatever answers learns once whether a code that it guesses is the one that was typed, and no more: hanging up then, or saying
/// nothing, brings it no second try.
#[test]
fn a_code_that_was_shown_to_what_answers_is_not_shown_again() {
    for hangs_up in [true, false] {
        let now = Base::new().instant(0);
        let mut desk = dialling(now, typed(&Code::parse("123456").unwrap()));
        drain(&mut desk, now);
        desk.handle_dialled(now, HostId(0), Ok((SocketId(1), private(1, 9688))));
        let opening = drain(&mut desk, now).written.concat_bytes();
        let body = &opening[8..];
        let (theirs, half) = Pairing::start(Side::Listener, &Code::parse("654321").unwrap());
        theirs.finish(body).expect("a point");
        let answer = Answer { version: VERSION, refusal: None, len: half.len() as u16 };
        desk.handle_bytes(now, SocketId(1), &[&answer.encode()[..], &half].concat());
        assert!(!drain(&mut desk, now).written.is_empty(), "its proof");
        let then = if hangs_up { now + secs(1) } else { now + HANDSHAKE };
        if hangs_up {
            desk.handle_closed(then, SocketId(1));
        } else {
            desk.handle_timeout(then);
        }
        let events = drain(&mut desk, then).events;
        assert!(
            refusal(&events).is_some_and(|(sentence, fatal)| fatal && sentence.contains("did not take the code")),
            "{events:?}"
        );
        desk.handle_timeout(then + secs(60));
        assert_eq!(drain(&mut desk, then + secs(60)).dials, 0);
    }
}

trait Written {
    fn concat_bytes(self) -> Vec<u8>;
}

impl Written for Vec<(SocketId, Vec<u8>)> {
    fn concat_bytes(self) -> Vec<u8> {
        self.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}

/// Everybody at a meeting knows everybody's id, and may stand behind one router: the place of a pair is its own all the same.
#[test]
fn who_says_the_id_of_a_pair_that_fell_silent_and_has_not_its_key_gets_no_place() {
    let now = Base::new().instant(0);
    let pair = Pair { name: "desk".into(), key: Psk::from_bytes([5; 32]) };
    let keys = || Keys { pairs: vec![pair.clone()], hosts: BTreeMap::from([(HostId(0), pair.clone())]), ..Keys::default() };
    let mut kitchen = waiting(now, Keys { pairs: vec![pair.clone()], ..Keys::default() });
    let me = a_receiver("desk", false);
    let id = me.id;
    let mut desk = Session::new(now, Config { hosts: 1, keys: keys(), ..Config::new(me, Epoch::new(now)) });
    assert!(known(&meet(&mut desk, &mut kitchen, now).1));
    // Its connection breaks, and nothing of it comes by UDP.
    kitchen.handle_closed(now + secs(1), SocketId(2));
    let me = Identity { id, ..a_receiver("another", false) };
    let mut mallory = Session::new(now, Config { hosts: 1, ..Config::new(me, Epoch::new(now)) });
    let mut at = now + secs(2);
    drain(&mut mallory, at);
    let (_, mut told) = connect(&mut mallory, &mut kitchen, at, (SocketId(7), SocketId(8)));
    while at < now + secs(2) + HANDSHAKE {
        at += secs(1);
        kitchen.handle_timeout(at);
        told.extend(drain(&mut kitchen, at).events);
    }
    assert!(!meets(&told), "{told:?}");
    assert!(told.iter().any(|event| matches!(event, Event::TurnedAway(..))), "{told:?}");
}
