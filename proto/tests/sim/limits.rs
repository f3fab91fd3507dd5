//! What one peer can cost, and what is done about one that talks nonsense or does not listen.

use super::by_hand::{UNKNOWN, challenge, drain, meet, picture, private, receiver, sender};
use super::oscillator::Base;
use super::raw::Raw;
use super::scenarios::{ms, secs};
use super::stranger::{Stranger, Victim};
use eyeline_proto::session::repairs::{SHARE, TRICKLE};
use eyeline_proto::session::{Command, Core, Event, Session, SocketId};
use eyeline_proto::wire::datagram::{Message, Nack, Ranges};
use eyeline_proto::wire::record::{Format, Record};
use eyeline_proto::wire::sound::SoundRequest;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn fragments(opened: &[(u64, Vec<u8>)]) -> Vec<u64> {
    let is_fragment = |plain: &[u8]| matches!(Message::decode(plain), Ok(Message::Fragment(..)));
    opened.iter().filter(|(_, plain)| is_fragment(plain)).map(|(number, _)| *number).collect()
}

/// A peer that asks for everything, again and again, gets each packet once more, not once for each question.
#[test]
fn a_packet_is_sent_again_at_most_once_however_often_it_is_asked_for() {
    let now = Base::new().instant(1_000_000_000);
    let mut session = sender(now, 0, None);
    let mut raw = Raw::join(&mut session, now);
    picture(&mut session, now, 0, 100_000);
    let sent = fragments(&raw.open(drain(&mut session, now).datagrams));
    assert_eq!(sent.len(), 108);
    let mut missing = Ranges::new();
    assert!(sent.iter().all(|number| missing.push(*number)));
    let nack = Nack { highest: sent[107], tail: false, patience_ms: u16::MAX, missing };
    let mut ask = |nack: Nack| {
        let mut again = Vec::new();
        for _ in 0..40 {
            raw.send(&mut session, now, &Message::Nack(nack));
            again.extend(fragments(&raw.open(drain(&mut session, now).datagrams)));
        }
        again.len()
    };
    assert_eq!(ask(nack), sent.len(), "what is missed is sent again, once");
    // What was sent after those is the resent packets: as much was repeated as was sent.
    let tail = Nack { tail: true, missing: Ranges::new(), ..nack };
    assert_eq!(ask(tail), 0);
}

/// A peer that asks three thousand times a second for everything it was sent in the last seconds, and says that nothing came.
#[test]
fn a_nack_storm_costs_at_most_a_share() {
    let base = Base::new();
    let start = base.instant(1_000_000_000);
    let mut session = sender(start, 0, None);
    let mut raw = Raw::join(&mut session, start);
    let (mut bytes, mut pictures, mut highest) = (0, 0, 0u64);
    for step in 0..15_000u64 {
        let now = start + Duration::from_micros(step * 333);
        if step.is_multiple_of(100) {
            picture(&mut session, now, pictures, 25_000);
            pictures += 1;
        }
        session.handle_timeout(now);
        let opened = raw.open(drain(&mut session, now).datagrams);
        bytes += opened.iter().map(|(_, plain)| plain.len() + 24).sum::<usize>();
        for (number, plain) in opened {
            highest = highest.max(number);
            if let Ok(Message::Probe(probe)) = Message::decode(&plain) {
                raw.send(&mut session, now, &Message::ProbeAck(probe));
            }
        }
        let mut missing = Ranges::new();
        assert!((highest.saturating_sub(4000)..=highest).all(|number| missing.push(number)));
        raw.send(
            &mut session,
            now,
            &Message::Nack(Nack { highest, tail: step.is_multiple_of(2), patience_ms: u16::MAX, missing }),
        );
    }
    let fresh = pictures as f64 * 25_000.0;
    // Headers, probes and pings beside it.
    let most = fresh * 1.06 * (1.0 + SHARE) + TRICKLE * 5.0 + 60_000.0;
    assert!((bytes as f64) < most, "{bytes} bytes of {most}, {fresh} of pictures");
}

/// Until it has proved that it gets what is sent to it, an address gets a challenge of 33 bytes and no picture.
#[test]
fn before_the_address_is_proved_no_picture_goes_there() {
    let now = Base::new().instant(1_000_000_000);
    let mut session = sender(now, 0, None);
    let mut raw = Raw::join(&mut session, now);
    raw.address = private(77, 7);
    picture(&mut session, now, 0, 100_000);
    let to_proved = drain(&mut session, now).datagrams;
    assert!(to_proved.len() > 60 && to_proved.iter().all(|(to, _)| *to == private(9, 9688)));
    raw.send(&mut session, now, &Message::Ping(0));
    session.handle_timeout(now);
    picture(&mut session, now, 1, 100_000);
    let mut to_strange = Vec::new();
    let mut check = |session: &mut Session, strange: SocketAddr| {
        let datagrams = drain(session, now).datagrams;
        assert!(datagrams.iter().filter(|(to, _)| *to == private(9, 9688)).count() > 60, "the proved address goes on");
        for (to, bytes) in datagrams.into_iter().filter(|(to, _)| *to != private(9, 9688)) {
            assert_eq!((to, bytes.len()), (strange, 33), "a challenge, and nothing else, to an address that proved nothing");
            to_strange.push((to, bytes));
        }
    };
    check(&mut session, private(77, 7));
    // It guesses.
    raw.send(&mut session, now, &Message::Response([0; 8]));
    picture(&mut session, now, 2, 100_000);
    check(&mut session, private(77, 7));
    // The right answer, but from somewhere else: that proves neither address.
    let token = raw.open(to_strange).into_iter().find_map(|(_, plain)| challenge(&plain)).expect("it was challenged");
    raw.address = private(78, 7);
    raw.send(&mut session, now, &Message::Response(token));
    picture(&mut session, now, 3, 100_000);
    let datagrams = drain(&mut session, now).datagrams;
    assert!(datagrams.iter().all(|(to, bytes)| *to == private(9, 9688) || bytes.len() == 33));
}

/// A receiver of a later version says more than we know: it goes on being sent to.
#[test]
fn what_a_later_receiver_says_is_skipped() {
    let now = Base::new().instant(1_000_000_000);
    let mut session = sender(now, 0, None);
    let mut raw = Raw::join(&mut session, now);
    drain(&mut session, now);
    raw.send(&mut session, now, &Message::SoundRequest(7, SoundRequest { next: 0, pieces: 2 }));
    for kind in UNKNOWN {
        raw.say(&mut session, now, [&[kind][..], &[7; 40]].concat());
        let mut sealed = Vec::new();
        raw.transport.seal(&[kind.max(71), 1, 2, 3], &mut sealed).expect("seals");
        session.handle_bytes(now, SocketId(9), &sealed);
    }
    picture(&mut session, now, 0, 5000);
    let drained = drain(&mut session, now);
    assert_eq!(drained.closed, []);
    assert!(fragments(&raw.open(drained.datagrams)).len() > 4, "it is sent pictures");
    let later = now + secs(1);
    session.handle_timeout(later);
    let stats = drain(&mut session, later).events.into_iter().find_map(|event| match event {
        Event::Stats(stats) => Some(stats.counters),
        _ => None,
    });
    let skipped = 2 * UNKNOWN.len() as u64 + 1;
    assert_eq!(stats.map(|counters| (counters.unknown, counters.skipped)), Some((0, skipped)));
}

/// A peer whose records are nonsense is told so and closed; nobody else notices.
#[test]
fn a_bad_record_closes_that_peer_with_a_reason() {
    let now = Base::new().instant(1_000_000_000);
    let mut session = sender(now, 0, None);
    let mut raw = Raw::join(&mut session, now);
    drain(&mut session, now);
    let mut sealed = Vec::new();
    // An end record that is cut off.
    raw.transport.seal(&[4, 0, 1, 2, 3], &mut sealed).expect("seals");
    session.handle_bytes(now, SocketId(9), &sealed);
    let drained = drain(&mut session, now);
    assert_eq!(drained.closed, [SocketId(9)]);
    let down = drained.events.iter().find_map(|event| match event {
        Event::PeerDown { sentence, .. } => Some(sentence.as_str()),
        _ => None,
    });
    assert!(down.is_some_and(|sentence| sentence.contains("picture count is cut off")), "{down:?}");
}

/// Carries datagrams both ways at one moment until both have nothing to say; `arrives` is asked for those to the receiver, and
/// hears how many went before.
fn exchange(receiver: &mut Session, sender: &mut Session, now: Instant, mut arrives: impl FnMut(usize) -> bool) -> Vec<Event> {
    let (mut count, mut events) = (0, Vec::new());
    for _ in 0..8 {
        let there = drain(receiver, now);
        for (_, mut bytes) in there.datagrams {
            sender.handle_datagram(now, private(2, 9688), &mut bytes);
        }
        events.extend(there.events);
        sender.handle_timeout(now);
        let back = drain(sender, now);
        for (_, mut bytes) in back.datagrams {
            count += 1;
            if arrives(count) {
                receiver.handle_datagram(now, private(1, 9688), &mut bytes);
            }
        }
        for (_, bytes) in back.written {
            receiver.handle_bytes(now, SocketId(1), &bytes);
        }
    }
    events
}

/// The sender says that its stream is over and leaves; what came of its last picture is shown.
#[test]
fn the_end_gives_out_what_came_of_the_last_picture() {
    let now = Base::new().instant(1_000_000_000);
    let (mut receiver, mut sender) = (receiver(now, 1, None), sender(now, 0, None));
    meet(&mut receiver, &mut sender, now);
    receiver.handle_timeout(now);
    exchange(&mut receiver, &mut sender, now, |_| true);
    picture(&mut sender, now, 0, 100_000);
    exchange(&mut receiver, &mut sender, now, |_| true);
    picture(&mut sender, now, 1, 400_000);
    let mut events = exchange(&mut receiver, &mut sender, now, |count| count < 40);
    // There is no time to ask for the rest.
    sender.handle_command(now, Command::End);
    events.extend(exchange(&mut receiver, &mut sender, now, |_| false));
    sender.handle_command(now, Command::Stop("the source is over".to_string()));
    events.extend(exchange(&mut receiver, &mut sender, now, |_| false));
    events.extend(drain(&mut receiver, now).events);
    let what = |event: &Event| match event {
        Event::Part(_, part) => Some(format!("part of {}", part.slice.picture)),
        Event::Settled(_, settled) => Some(format!("settled {} of {}", settled.slices, settled.count)),
        Event::Ended(_) => Some("finished".to_string()),
        _ => None,
    };
    let said: Vec<String> = events.iter().filter_map(what).collect();
    assert_eq!(said, ["part of 1", "settled 0 of 1", "finished"]);
}

/// A peer that keeps its connection, asks again and again whether it is heard and reads no answer is closed, with a reason.
#[test]
fn a_peer_that_reads_no_records_is_closed() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join(&mut victim, 9);
    victim.session.handle_writable(victim.now, stranger.socket(), false);
    let asks: Vec<Record> = (0..256).map(|_| Record::Heard(false)).collect();
    stranger.records(&mut victim, &asks);
    assert_eq!(victim.closed, []);
    stranger.record(&mut victim, &Record::Heard(false));
    victim.pass(ms(10));
    assert_eq!(victim.closed, [stranger.socket()]);
    let down = victim.events.iter().find_map(|event| match event {
        Event::SenderDown { sentence, .. } => Some(sentence.as_str()),
        _ => None,
    });
    assert_eq!(down, Some("it does not read what it is told"));
}

/// What a track is, told anew each moment, and what is said meanwhile close nobody's link who does not read for a while: of a
/// track the last is told, of lines the first ones.
#[test]
fn a_peer_that_does_not_read_for_a_while_is_told_how_things_stand_then() {
    let now = Base::new().instant(1_000_000_000);
    let mut session = sender(now, 0, None);
    let _raw = Raw::join(&mut session, now);
    drain(&mut session, now);
    session.handle_writable(now, SocketId(9), false);
    for number in 0..1000 {
        session.handle_command(now, Command::Format(Format { channels: 1 + number as u8 % 2, ..Format::default() }));
        session.handle_command(now, Command::Text("so it is".to_string()));
    }
    assert_eq!(drain(&mut session, now).closed, []);
    session.handle_writable(now, SocketId(9), true);
    let written: usize = drain(&mut session, now).written.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(written < 64 * 80, "{written} bytes");
}
