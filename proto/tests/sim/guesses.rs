//! Somebody dials on and on with keys that may be right.

use super::by_hand::{answer, drain, private, sender};
use super::oscillator::Base;
use super::scenarios::{ms, secs};
use eyeline_proto::crypto::{Handshake, Psk, Side};
use eyeline_proto::session::{Core, Session, SocketId};
use eyeline_proto::wire::preamble::{Opening, Refusal};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Says its opening over this connection.
fn knocks(session: &mut Session, now: Instant, socket: SocketId, from: SocketAddr, key: &Psk) {
    let opening = Opening::new(true, 48).encode();
    let mut handshake = Handshake::new(Side::Dialler, Some(key), &opening).expect("starts");
    session.handle_accepted(now, socket, from, false);
    session.handle_bytes(now, socket, &[&opening[..], &handshake.write().expect("writes")].concat());
}

/// How long it is until the answer to an opening comes, and what it is.
fn answered(session: &mut Session, now: &mut Instant, socket: SocketId) -> (Duration, Option<Refusal>) {
    let begun = *now;
    loop {
        let came = drain(session, *now).written;
        if let Some((_, bytes)) = came.iter().find(|(to, _)| *to == socket) {
            return (*now - begun, answer(bytes).0.refusal);
        }
        *now += ms(5);
        assert!(*now < begun + secs(6), "never answered");
        session.handle_timeout(*now);
    }
}

#[test]
fn wrong_keys_are_answered_ever_later_and_the_right_one_gets_in() {
    let mut now = Base::new().instant(1_000_000_000);
    let (right, wrong) = (Psk::derive("right").expect("a key"), Psk::derive("wrong").expect("a key"));
    let mut session = sender(now, 0, Some(&right));
    let (begun, mut socket, mut waits) = (now, 0, Vec::new());
    while now < begun + secs(60) {
        socket += 1;
        knocks(&mut session, now, SocketId(socket), private(7, 50_000), &wrong);
        let (wait, refusal) = answered(&mut session, &mut now, SocketId(socket));
        assert_eq!(refusal, Some(Refusal::KeyWrong));
        session.handle_closed(now, SocketId(socket));
        waits.push(wait.as_millis());
    }
    assert_eq!(waits[..5], [0, 0, 0, 125, 250], "somebody may mistype");
    assert!(waits.len() < 45, "{} guesses in a minute", waits.len());
    knocks(&mut session, now, SocketId(1000), private(8, 50_000), &right);
    assert_eq!(answered(&mut session, &mut now, SocketId(1000)), (Duration::ZERO, None), "nobody else waits");
    knocks(&mut session, now, SocketId(1001), private(7, 50_001), &right);
    let (wait, refusal) = answered(&mut session, &mut now, SocketId(1001));
    assert!(refusal.is_none() && wait <= secs(2), "who shares the address waits, and is let in: {wait:?}");
    knocks(&mut session, now, SocketId(1002), private(7, 50_002), &right);
    session.handle_bytes(now, SocketId(1002), &[0; 60_000]);
    let (_, refusal) = answered(&mut session, &mut now, SocketId(1002));
    assert!(refusal.is_none(), "what it says too early is not kept");
}

#[test]
fn who_shares_an_address_with_a_guesser_keeps_the_place_it_got() {
    let mut now = Base::new().instant(1_000_000_000);
    let (right, wrong) = (Psk::derive("right").expect("a key"), Psk::derive("wrong").expect("a key"));
    let mut session = sender(now, 0, Some(&right));
    for socket in 0..20 {
        knocks(&mut session, now, SocketId(socket), private(7, 50_000), &wrong);
        answered(&mut session, &mut now, SocketId(socket));
        session.handle_closed(now, SocketId(socket));
    }
    (100..103).for_each(|socket| knocks(&mut session, now, SocketId(socket), private(7, 50_000), &wrong));
    now += ms(500);
    knocks(&mut session, now, SocketId(200), private(7, 50_001), &right);
    now += ms(500);
    (300..320).for_each(|socket| knocks(&mut session, now, SocketId(socket), private(7, 50_002), &wrong));
    let turned_away = drain(&mut session, now).closed;
    assert!((300..320).all(|socket| turned_away.contains(&SocketId(socket))), "they are one guess more: {turned_away:?}");
    let (wait, refusal) = answered(&mut session, &mut now, SocketId(200));
    assert!(refusal.is_none() && wait < secs(2), "it is let in: {wait:?}");
}
