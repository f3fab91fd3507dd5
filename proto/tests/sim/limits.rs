//! Who is let in, and what one peer can cost: the session cores driven by hand, without a network.

use super::oscillator::Base;
use super::scenarios::{ms, secs};
use super::sending::{a_receiver, a_sender};
use super::strangers::{Stranger, UNKNOWN, Victim, of_a_later_program};
use eyeline_proto::crypto::{Handshake, Key, Opener, Psk, Sealer, Side, Transport};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::packetizer::Slice;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::session::admission::{MAX_HANDSHAKES, MAX_PER_ADDRESS};
use eyeline_proto::session::link::HANDSHAKE;
use eyeline_proto::session::repairs::{SHARE, TRICKLE};
use eyeline_proto::session::{Command, Config, Core, Event, HostId, Output, Session, StreamId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::datagram::{Header, Message, Nack, Ranges};
use eyeline_proto::wire::preamble::{Answer, MAX_BODY, Opening, Refusal};
use eyeline_proto::wire::record::{FORWARDS, Format, Hello, Media, Record};
use eyeline_proto::wire::slice::{Head, Tables};
use eyeline_proto::wire::sound::Wanted;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) fn sender(now: Instant, hosts: usize, psk: Option<&Psk>) -> Session {
    let mut me = a_sender("camera", false);
    me.psk = psk.cloned();
    Session::new(now, Config { hosts, ..Config::new(me, Epoch::new(now)) })
}

pub(super) fn receiver(now: Instant, hosts: usize, psk: Option<&Psk>) -> Session {
    let mut me = a_receiver("screen", false);
    me.psk = psk.cloned();
    Session::new(now, Config { hosts, senders: 1, ..Config::new(me, Epoch::new(now)) })
}

/// What a core wanted, drained.
pub(super) struct Drained<Event> {
    pub stream: Vec<(StreamId, Vec<u8>)>,
    pub closed: Vec<StreamId>,
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub events: Vec<Event>,
    pub dials: usize,
}

pub(super) fn drain<C: Core>(core: &mut C, now: Instant) -> Drained<C::Event> {
    let mut drained = Drained { stream: Vec::new(), closed: Vec::new(), datagrams: Vec::new(), events: Vec::new(), dials: 0 };
    let mut buffer = Vec::new();
    loop {
        match core.poll(now, &mut buffer) {
            Output::Datagrams { to, segment, len } => {
                drained.datagrams.extend(buffer[..len].chunks(segment).map(|datagram| (to, datagram.to_vec())));
            }
            Output::Stream { stream } => drained.stream.push((stream, buffer.clone())),
            Output::Close { stream } => drained.closed.push(stream),
            Output::Dial { .. } => drained.dials += 1,
            Output::Event(event) => drained.events.push(event),
            Output::Wait(_) => return drained,
        }
    }
}

pub(super) fn private(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, host], port))
}

/// Forty connections that say nothing, from ten addresses: the places are [`MAX_HANDSHAKES`], the oldest give way, and after the
/// time for a handshake all are gone.
#[test]
fn half_open_connections_are_bounded_and_the_oldest_give_way() {
    let start = Base::new().instant(0);
    let mut session = sender(start, 0, None);
    let mut closed = Vec::new();
    for stream in 0..40u64 {
        let now = start + ms(stream);
        session.handle_accepted(now, StreamId(stream), private((stream % 10) as u8, 40_000 + stream as u16));
        closed.extend(drain(&mut session, now).closed);
    }
    let oldest: Vec<_> = (0..40 - MAX_HANDSHAKES as u64).map(StreamId).collect();
    assert_eq!(closed, oldest, "those beyond {MAX_HANDSHAKES}, oldest first");
    let end = start + ms(39) + HANDSHAKE;
    session.handle_timeout(end);
    let rest = drain(&mut session, end).closed;
    assert_eq!(rest, (40 - MAX_HANDSHAKES as u64..40).map(StreamId).collect::<Vec<_>>(), "nobody may dawdle");
}

#[test]
fn one_address_has_few_half_open_connections_and_takes_no_place_of_others() {
    let start = Base::new().instant(0);
    let mut session = sender(start, 0, None);
    session.handle_accepted(start, StreamId(100), private(200, 1));
    let mut closed = Vec::new();
    for stream in 0..10u64 {
        let now = start + ms(stream + 1);
        session.handle_accepted(now, StreamId(stream), private(7, 40_000 + stream as u16));
        closed.extend(drain(&mut session, now).closed);
    }
    assert_eq!(
        closed,
        (0..10 - MAX_PER_ADDRESS as u64).map(StreamId).collect::<Vec<_>>(),
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
        session.handle_accepted(now, StreamId(1), private(1, 50_000));
        session.handle_stream(now, StreamId(1), &Opening::new(false, len).encode());
        let did = drain(&mut session, now);
        assert_eq!((did.closed, did.stream), (vec![StreamId(1)], vec![]), "{len} bytes");
    }
}

#[test]
fn without_a_key_a_public_address_is_told_to_use_one() {
    let start = Base::new().instant(0);
    let public = SocketAddr::from(([203, 0, 113, 9], 555));
    let mut open = sender(start, 0, None);
    open.handle_accepted(start, StreamId(1), public);
    let drained = drain(&mut open, start);
    assert_eq!(drained.closed, [StreamId(1)]);
    let (answer, sentence) = answer(&drained.stream[0].1);
    assert_eq!(answer.refusal, Some(Refusal::Address));
    assert!(sentence.contains("--key"), "{sentence}");
    assert!(matches!(&drained.events[..], [Event::TurnedAway(from, _)] if *from == public));

    let key = Psk::derive("k").expect("a key");
    let mut keyed = sender(start, 0, Some(&key));
    keyed.handle_accepted(start, StreamId(1), public);
    assert_eq!(drain(&mut keyed, start).closed, [], "with a key everybody may try");
}

pub(super) fn answer(bytes: &[u8]) -> (Answer, String) {
    let (head, body) = bytes.split_first_chunk().expect("an answer");
    (Answer::decode(head).expect("Eyeline"), String::from_utf8_lossy(body).into_owned())
}

/// Lets a dialling core and a waiting one meet, until both have nothing more to say over TCP. What each side was told.
fn meet<D: Core, W: Core>(dialler: &mut D, waiter: &mut W, now: Instant) -> (Vec<D::Event>, Vec<W::Event>) {
    let first = drain(dialler, now);
    assert_eq!(first.dials, 1);
    connect(dialler, waiter, now, (StreamId(1), StreamId(2)))
}

/// Brings what was dialled to the waiting side, over these connections.
fn connect<D: Core, W: Core>(
    dialler: &mut D,
    waiter: &mut W,
    now: Instant,
    (ours, theirs): (StreamId, StreamId),
) -> (Vec<D::Event>, Vec<W::Event>) {
    let (mut to_dialler, mut to_waiter) = (Vec::new(), Vec::new());
    dialler.handle_dialled(now, HostId(0), Ok((ours, private(1, 9688))));
    waiter.handle_accepted(now, theirs, private(2, 40_000));
    let mut open = [true, true];
    for _ in 0..10 {
        let there = drain(dialler, now);
        for (_, bytes) in there.stream {
            waiter.handle_stream(now, theirs, &bytes);
        }
        to_dialler.extend(there.events);
        if !there.closed.is_empty() && std::mem::take(&mut open[1]) {
            waiter.handle_stream_closed(now, theirs);
        }
        let back = drain(waiter, now);
        for (_, bytes) in back.stream {
            dialler.handle_stream(now, ours, &bytes);
        }
        to_waiter.extend(back.events);
        if !back.closed.is_empty() && std::mem::take(&mut open[0]) {
            dialler.handle_stream_closed(now, ours);
        }
    }
    (to_dialler, to_waiter)
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

/// Runs a core that wants to dial until it does.
pub(super) fn until_it_dials<C: Core>(core: &mut C, mut now: Instant) -> Instant {
    let begins = now;
    while drain(core, now).dials == 0 {
        now += ms(50);
        assert!(now < begins + secs(20), "it does not dial any more");
        core.handle_timeout(now);
    }
    now
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
        dialler.handle_stream_closed(broke, StreamId(1));
        waiter.handle_stream_closed(broke, StreamId(2));
        let (mut now, mut pauses) = (broke, Vec::new());
        for (stream, bytes) in (10..).zip(&answers) {
            let dials = until_it_dials(&mut dialler, now);
            pauses.push((dials - now).as_millis());
            now = dials;
            dialler.handle_dialled(now, HostId(0), Ok((StreamId(stream), private(1, 9688))));
            drain(&mut dialler, now);
            dialler.handle_stream(now, StreamId(stream), bytes);
            let told = refusals(&drain(&mut dialler, now).events);
            assert!(matches!(&told[..], [(_, false)]), "it is not given up: {told:?}");
        }
        assert_eq!(pauses, [50, 500, 1000, 2000, 4000, 8000, 10_000]);
        let now = until_it_dials(&mut dialler, now);
        let (to_dialler, _) = connect(&mut dialler, &mut waiter, now, (StreamId(90), StreamId(91)));
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
        session.handle_accepted(now, StreamId(5), private(3, 3));
        let opening = [&b"EYEL\x01"[..], &[flags], b"\x00\x20", &[7; 32]].concat();
        session.handle_stream(now, StreamId(5), &opening);
        let drained = drain(&mut session, now);
        // It shows the sentence of any answer whose status is not 0, whatever its version.
        let sentence =
            "the dialling side speaks protocol 1 (Eyeline 0.1) and the waiting side protocol 2: update the dialling side";
        assert_eq!(drained.stream[0].1, [b"EYEL\x02\x01\x00\x6b", sentence.as_bytes()].concat());
        assert_eq!(drained.closed, [StreamId(5)]);
        assert!(matches!(&drained.events[..], [Event::TurnedAway(_, told)] if told == sentence), "{:?}", drained.events);
    }
    let its_answer = b"this side speaks version 1 of the protocol and the dialling side 2: update the older";
    let full = b"all 256 places are taken";
    for (status, words) in [(1, &its_answer[..]), (6, &full[..])] {
        let mut session = receiver(now, 1, None);
        assert_eq!(drain(&mut session, now).dials, 1);
        session.handle_dialled(now, HostId(0), Ok((StreamId(1), private(1, 9688))));
        drain(&mut session, now);
        let answer = [&b"EYEL\x01"[..], &[status, 0, words.len() as u8], words].concat();
        session.handle_stream(now, StreamId(1), &answer);
        let refused = refusals(&drain(&mut session, now).events);
        let sentence = "the peer at 10.0.1.1:9688 speaks protocol 1 (Eyeline 0.1): update it";
        assert!(matches!(&refused[..], [(told, true)] if told == sentence), "{refused:?}");
    }
}

/// A browser, another version, an endless opening: a sentence or a goodbye, and the connection closes.
#[test]
fn what_is_not_this_version_of_eyeline_is_told_so() {
    let now = Base::new().instant(0);
    let newer = [&Opening { version: 9, keyed: false, len: 32 }.encode()[..], &[0; 32]].concat();
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
        session.handle_accepted(now, StreamId(5), private(3, 3));
        session.handle_stream(now, StreamId(5), &bytes);
        let drained = drain(&mut session, now);
        assert_eq!(drained.closed, [StreamId(5)], "{words}");
        assert_eq!(drained.events.len(), 1, "{words}");
        match refusal {
            Some(refusal) => {
                let (answer, sentence) = answer(&drained.stream[0].1);
                assert_eq!((answer.refusal, sentence.contains(words)), (Some(refusal), true), "{sentence}");
            }
            None => assert!(drained.stream.is_empty(), "no words for what cannot be read"),
        }
    }
}

/// A receiver made by hand, which does what no honest one would.
pub(super) struct Raw {
    transport: Transport,
    opener: Opener,
    sealer: Sealer,
    connection: u32,
    next: u64,
    pub address: SocketAddr,
}

impl Raw {
    /// Comes in as everybody does and proves its address.
    pub fn join(session: &mut Session, now: Instant) -> Raw {
        let mut raw = Raw::greet(session, now, (9, 9), None).0.expect("it is let in");
        raw.send(session, now, &Message::Challenge([1; 8]));
        session.handle_timeout(now);
        let datagrams = drain(session, now).datagrams;
        let tokens: Vec<_> = raw.open(datagrams).into_iter().filter_map(|(_, plain)| challenge(&plain)).collect();
        assert_eq!(tokens.len(), 1, "one challenge to a new address");
        raw.send(session, now, &Message::Response(tokens[0]));
        raw
    }

    /// Comes from this host over this connection and says hello, if it is let in so far; what the other side did meanwhile.
    pub fn greet(
        session: &mut Session,
        now: Instant,
        (host, stream): (u8, u64),
        psk: Option<&Psk>,
    ) -> (Option<Raw>, Drained<Event>) {
        // A process of its own.
        let mut id = [9; 16];
        id[..8].copy_from_slice(&stream.to_be_bytes());
        let (address, stream) = (private(host, 9688), StreamId(stream));
        let len = if psk.is_some() { 48 } else { 32 };
        let opening = Opening::new(psk.is_some(), len).encode();
        let mut handshake = Handshake::new(Side::Dialler, psk, &opening).expect("starts");
        session.handle_accepted(now, stream, private(host, 50_000));
        session.handle_stream(now, stream, &[&opening[..], &handshake.write().expect("writes")].concat());
        let accepted = drain(session, now);
        if accepted.closed.contains(&stream) {
            return (None, accepted);
        }
        let came: Vec<u8> = accepted.stream.concat_bytes();
        let (answer, body) = came.split_first_chunk::<8>().expect("an answer");
        let len = usize::from(Answer::decode(answer).expect("Eyeline").len);
        handshake.read(&body[..len]).expect("shakes");
        let mut transport = handshake.into_transport().expect("shaken");
        let mut plain = Vec::new();
        let hello_len = usize::from(u16::from_be_bytes([body[len], body[len + 1]]));
        transport.open(&body[len + 2..len + 2 + hello_len], &mut plain).expect("opens");
        let Ok(Record::Hello(theirs)) = Record::decode(&plain) else { panic!("no hello") };
        let key = Key::random();
        let hello = Hello {
            offers: Media::NONE,
            wants: Media { sound: false, ..Media::LIVE },
            capabilities: !FORWARDS,
            id,
            resume: [0; 16],
            token: [8; 16],
            connection: 99,
            key: *key.as_bytes(),
            name: "raw".to_string(),
        };
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        Record::Hello(hello).encode(&mut plain);
        transport.seal(&of_a_later_program(plain), &mut sealed).expect("seals");
        session.handle_stream(now, stream, &sealed);
        let greeted = drain(session, now);
        let (opener, sealer) = (Opener::new(&key), Sealer::new(&Key::from_bytes(theirs.key)));
        (Some(Raw { transport, opener, sealer, connection: theirs.connection, next: 0, address }), greeted)
    }

    pub fn send(&mut self, session: &mut Session, now: Instant, message: &Message<'_>) {
        let mut body = Vec::new();
        message.encode(&mut body);
        self.say(session, now, body);
    }

    fn say(&mut self, session: &mut Session, now: Instant, mut body: Vec<u8>) {
        let header = Header { connection: self.connection, number: self.next as u32 }.encode();
        let tag = self.sealer.seal(self.next, &header, &mut body);
        self.next += 1;
        session.handle_datagram(now, self.address, &mut [&header[..], &body, &tag].concat());
    }

    /// Packet numbers and plain messages.
    pub fn open(&self, datagrams: Vec<(SocketAddr, Vec<u8>)>) -> Vec<(u64, Vec<u8>)> {
        let open = |(to, mut bytes): (SocketAddr, Vec<u8>)| {
            assert_eq!(to, self.address);
            let header = Header::decode(&bytes).expect("a header");
            let (head, sealed) = bytes.split_at_mut(8);
            let number = u64::from(header.number);
            (number, self.opener.open(number, head, sealed).expect("opens").to_vec())
        };
        datagrams.into_iter().map(open).collect()
    }
}

pub(super) fn challenge(plain: &[u8]) -> Option<[u8; 8]> {
    match Message::decode(plain) {
        Ok(Message::Challenge(token)) => Some(token),
        _ => None,
    }
}

trait ConcatBytes {
    fn concat_bytes(self) -> Vec<u8>;
}

impl ConcatBytes for Vec<(StreamId, Vec<u8>)> {
    fn concat_bytes(self) -> Vec<u8> {
        self.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}

pub(super) fn picture(session: &mut Session, now: Instant, number: u64, bytes: usize) {
    let mut body = ((bytes - 4) as u32).to_be_bytes().to_vec();
    let size = Size { width: 64, height: 48 };
    let (sampling, tables, none) = (Sampling::Grey, Tables::Own(80), Duration::ZERO);
    let (capture, queued, encoded) = (MediaTime::ZERO, none, none);
    Head { sampling, tables, size, top: 0, rows: 48, restart: 0, capture, queued, encoded, position: None }.encode(&mut body);
    body.resize(bytes, 0);
    let slice = Slice { picture: number, index: 0, count: 1, capture: MediaTime::ZERO, body };
    session.handle_command(now, Command::Slice(slice));
}

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
    let raw = Raw::join(&mut session, now);
    let mut raw = Raw { address: private(77, 7), ..raw };
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
    raw.send(&mut session, now, &Message::Wanted(7, Wanted { next: 0, pieces: 2 }));
    for kind in UNKNOWN {
        raw.say(&mut session, now, [&[kind][..], &[7; 40]].concat());
        let mut sealed = Vec::new();
        raw.transport.seal(&[kind.max(65), 1, 2, 3], &mut sealed).expect("seals");
        session.handle_stream(now, StreamId(9), &sealed);
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
    session.handle_stream(now, StreamId(9), &sealed);
    let drained = drain(&mut session, now);
    assert_eq!(drained.closed, [StreamId(9)]);
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
        for (_, bytes) in back.stream {
            receiver.handle_stream(now, StreamId(1), &bytes);
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
        Event::Part(_, part) => Some(format!("part of {}", part.picture)),
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
    victim.session.handle_writable(victim.now, stranger.stream(), false);
    let asks: Vec<Record<'_>> = (0..256).map(|_| Record::Heard(false)).collect();
    stranger.records(&mut victim, &asks);
    assert_eq!(victim.closed, []);
    stranger.record(&mut victim, &Record::Heard(false));
    victim.pass(ms(10));
    assert_eq!(victim.closed, [stranger.stream()]);
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
    session.handle_writable(now, StreamId(9), false);
    for number in 0..1000 {
        session.handle_command(now, Command::Format(Format { channels: 1 + number as u8 % 2, ..Format::default() }));
        session.handle_command(now, Command::Text("so it is".to_string()));
    }
    assert_eq!(drain(&mut session, now).closed, []);
    session.handle_writable(now, StreamId(9), true);
    let written: usize = drain(&mut session, now).stream.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(written < 64 * 80, "{written} bytes");
}
