//! Whoever dials is let in once somebody says so.

use super::by_hand::{connect, drain, exchange, meet, until_it_dials};
use super::oscillator::Base;
use super::scenarios::{ms, secs};
use super::sending::{a_receiver, a_sender};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::keyring::Standing;
use eyeline_proto::session::link::{Identity, LinkId};
use eyeline_proto::session::unreachable::Unreachable;
use eyeline_proto::session::{Command, Config, Core, Event, Session, SocketId};
use std::time::{Duration, Instant};

const SOCKETS: (SocketId, SocketId) = (SocketId(1), SocketId(2));

fn asking(now: Instant) -> Session {
    Session::new(now, Config::new(Identity { asks: true, ..a_sender("kitchen", false) }, Epoch::new(now)))
}

fn dialling(now: Instant) -> Session {
    Session::new(now, Config { hosts: 1, ..Config::new(a_receiver("desk", false), Epoch::new(now)) })
}

fn rings(events: &[Event]) -> Option<LinkId> {
    events.iter().find_map(|event| match event {
        Event::Rings { call, name, standing: Standing::Unknown, .. } if name == "desk" => Some(*call),
        _ => None,
    })
}

fn calling(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Calling { name, .. } if name == "kitchen"))
}

fn ring_is_over(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::RingOver(_)))
}

fn is_up(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::PeerUp { .. } | Event::SenderUp { .. }))
}

fn answer(session: &mut Session, now: Instant, call: LinkId, taken: bool) {
    session.handle_command(now, Command::Answer { call, taken });
}

/// It rings at both ends for so long; neither says anything of the other to its role.
fn ring_for(desk: &mut Session, kitchen: &mut Session, from: Instant, how_long: Duration) -> Instant {
    let mut now = from;
    while now < from + how_long {
        now += ms(100);
        desk.handle_timeout(now);
        kitchen.handle_timeout(now);
        let (to_desk, to_kitchen) = exchange(desk, kitchen, now, SOCKETS);
        assert!(!is_up(&to_desk) && !is_up(&to_kitchen) && !ring_is_over(&to_kitchen));
    }
    now
}

#[test]
fn it_rings_until_somebody_lets_it_in_and_then_both_are_told_of_each_other() {
    let start = Base::new().instant(0);
    let (mut kitchen, mut desk) = (asking(start), dialling(start));
    let (to_desk, to_kitchen) = meet(&mut desk, &mut kitchen, start);
    let call = rings(&to_kitchen).expect("it rings");
    assert!(calling(&to_desk) && !is_up(&to_desk) && !is_up(&to_kitchen));
    let now = ring_for(&mut desk, &mut kitchen, start, secs(50));
    answer(&mut kitchen, now, call, true);
    let (to_desk, to_kitchen) = exchange(&mut desk, &mut kitchen, now, SOCKETS);
    assert!(is_up(&to_desk) && is_up(&to_kitchen) && ring_is_over(&to_kitchen));
    // Who is here is not asked about when he comes back.
    let broke = now + secs(1);
    desk.handle_closed(broke, SOCKETS.0);
    kitchen.handle_closed(broke, SOCKETS.1);
    let again = until_it_dials(&mut desk, broke);
    let (to_desk, to_kitchen) = connect(&mut desk, &mut kitchen, again, (SocketId(7), SocketId(8)));
    assert!(is_up(&to_desk) && is_up(&to_kitchen) && rings(&to_kitchen).is_none());
}

#[test]
fn who_is_declined_is_told_so_and_does_not_dial_again() {
    let start = Base::new().instant(0);
    let (mut kitchen, mut desk) = (asking(start), dialling(start));
    let (_, to_kitchen) = meet(&mut desk, &mut kitchen, start);
    let now = ring_for(&mut desk, &mut kitchen, start, secs(2));
    answer(&mut kitchen, now, rings(&to_kitchen).expect("it rings"), false);
    let (to_desk, to_kitchen) = exchange(&mut desk, &mut kitchen, now, SOCKETS);
    let declined = |event: &Event| matches!(event, Event::Unreachable { error: Unreachable::Declined { sentence, .. }, fatal: true, .. } if sentence.contains("declined"));
    assert!(to_desk.iter().any(declined), "{to_desk:?}");
    assert!(ring_is_over(&to_kitchen) && !is_up(&to_kitchen) && !is_up(&to_desk));
    desk.handle_timeout(now + secs(60));
    assert_eq!(drain(&mut desk, now + secs(60)).dials, 0);
}

#[test]
fn who_hangs_up_or_whose_connection_breaks_before_the_answer_rings_no_more() {
    for hangs_up in [true, false] {
        let start = Base::new().instant(0);
        let (mut kitchen, mut desk) = (asking(start), dialling(start));
        let (_, to_kitchen) = meet(&mut desk, &mut kitchen, start);
        let call = rings(&to_kitchen).expect("it rings");
        if hangs_up {
            desk.handle_command(start + secs(1), Command::Stop(String::new()));
        } else {
            kitchen.handle_closed(start + secs(1), SOCKETS.1);
        }
        let (_, to_kitchen) = exchange(&mut desk, &mut kitchen, start + secs(1), SOCKETS);
        assert!(ring_is_over(&to_kitchen), "{to_kitchen:?}");
        answer(&mut kitchen, start + secs(2), call, true);
        assert!(!is_up(&drain(&mut kitchen, start + secs(2)).events), "an answer too late lets nobody in");
    }
}

#[test]
fn after_a_minute_nobody_is_there_and_both_say_so() {
    let start = Base::new().instant(0);
    let (mut kitchen, mut desk) = (asking(start), dialling(start));
    meet(&mut desk, &mut kitchen, start);
    let now = ring_for(&mut desk, &mut kitchen, start, secs(60) - ms(100)) + ms(100);
    kitchen.handle_timeout(now);
    let (to_desk, to_kitchen) = exchange(&mut desk, &mut kitchen, now, SOCKETS);
    assert!(ring_is_over(&to_kitchen));
    let told = |event: &Event| matches!(event, Event::Unreachable { error: Unreachable::Declined { sentence, .. }, fatal: true, .. } if sentence == "nobody answered");
    assert!(to_desk.iter().any(told), "{to_desk:?}");
}

#[test]
fn an_address_that_was_declined_does_not_ring_again_for_a_minute() {
    let start = Base::new().instant(0);
    let (mut kitchen, mut desk) = (asking(start), dialling(start));
    let (_, to_kitchen) = meet(&mut desk, &mut kitchen, start);
    answer(&mut kitchen, start, rings(&to_kitchen).expect("it rings"), false);
    for (after, rung) in [(secs(59), false), (secs(61), true)] {
        let mut again = dialling(start);
        drain(&mut again, start + after);
        let (_, to_kitchen) = connect(&mut again, &mut kitchen, start + after, (SocketId(7), SocketId(8)));
        assert_eq!(rings(&to_kitchen).is_some(), rung, "{after:?}");
        kitchen.handle_closed(start + after, SocketId(8));
    }
}
