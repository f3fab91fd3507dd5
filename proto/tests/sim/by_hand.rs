//! The session cores driven by hand, without a network: what goes in, and all that comes out.

use super::scenarios::{ms, secs};
use super::sending::{a_receiver, a_sender};
use eyeline_proto::crypto::Psk;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::session::{Command, Config, Core, HostId, Output, Session, SocketId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::Message;
use eyeline_proto::wire::preamble::Answer;
use eyeline_proto::wire::slice::{Head, Tables};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Kinds of datagrams that are not in use. From 71 on they are none of records, either.
pub(super) const UNKNOWN: [u8; 9] = [0, 9, 16, 63, 71, 90, 100, 200, 255];

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
    pub written: Vec<(SocketId, Vec<u8>)>,
    pub closed: Vec<SocketId>,
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub events: Vec<Event>,
    pub dials: usize,
}

pub(super) fn drain<C: Core>(core: &mut C, now: Instant) -> Drained<C::Event> {
    let mut drained = Drained { written: Vec::new(), closed: Vec::new(), datagrams: Vec::new(), events: Vec::new(), dials: 0 };
    let mut buffer = Vec::new();
    loop {
        match core.poll(now, &mut buffer) {
            Output::Datagrams { to, segment, len } => {
                drained.datagrams.extend(buffer[..len].chunks(segment).map(|datagram| (to, datagram.to_vec())));
            }
            Output::Bytes { socket } => drained.written.push((socket, buffer.clone())),
            Output::Close { socket } => drained.closed.push(socket),
            Output::Dial { .. } => drained.dials += 1,
            Output::Event(event) => drained.events.push(event),
            Output::Wait(_) => return drained,
        }
    }
}

pub(super) fn private(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, host], port))
}

pub(super) fn answer(bytes: &[u8]) -> (Answer, String) {
    let (head, body) = bytes.split_first_chunk().expect("an answer");
    (Answer::decode(head).expect("Eyeline"), String::from_utf8_lossy(body).into_owned())
}

pub(super) fn challenge(plain: &[u8]) -> Option<[u8; 8]> {
    match Message::decode(plain) {
        Ok(Message::Challenge(token)) => Some(token),
        _ => None,
    }
}

/// Lets a dialling core and a waiting one meet, until both have nothing more to say over TCP. What each side was told.
pub(super) fn meet<D: Core, W: Core>(dialler: &mut D, waiter: &mut W, now: Instant) -> (Vec<D::Event>, Vec<W::Event>) {
    let first = drain(dialler, now);
    assert_eq!(first.dials, 1);
    connect(dialler, waiter, now, (SocketId(1), SocketId(2)))
}

/// Brings what was dialled to the waiting side, over these connections.
pub(super) fn connect<D: Core, W: Core>(
    dialler: &mut D,
    waiter: &mut W,
    now: Instant,
    (ours, theirs): (SocketId, SocketId),
) -> (Vec<D::Event>, Vec<W::Event>) {
    dialler.handle_dialled(now, HostId(0), Ok((ours, private(1, 9688))));
    waiter.handle_accepted(now, theirs, private(2, 40_000), false);
    exchange(dialler, waiter, now, (ours, theirs))
}

/// Brings what each has to say over their connection to the other, until both have nothing more.
pub(super) fn exchange<D: Core, W: Core>(
    dialler: &mut D,
    waiter: &mut W,
    now: Instant,
    (ours, theirs): (SocketId, SocketId),
) -> (Vec<D::Event>, Vec<W::Event>) {
    let (mut to_dialler, mut to_waiter) = (Vec::new(), Vec::new());
    let mut open = [true, true];
    for _ in 0..10 {
        let there = drain(dialler, now);
        for (_, bytes) in there.written {
            waiter.handle_bytes(now, theirs, &bytes);
        }
        to_dialler.extend(there.events);
        if !there.closed.is_empty() && std::mem::take(&mut open[1]) {
            waiter.handle_closed(now, theirs);
        }
        let back = drain(waiter, now);
        for (_, bytes) in back.written {
            dialler.handle_bytes(now, ours, &bytes);
        }
        to_waiter.extend(back.events);
        if !back.closed.is_empty() && std::mem::take(&mut open[0]) {
            dialler.handle_closed(now, ours);
        }
    }
    (to_dialler, to_waiter)
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

/// Sends a picture of one slice of so many bytes.
pub(super) fn picture(session: &mut Session, now: Instant, number: u64, bytes: usize) {
    let size = Size { width: 64, height: 48 };
    let (sampling, tables, none) = (Sampling::Grey, Tables::Own(80), Duration::ZERO);
    let (capture, queued, encoded) = (MediaTime::ZERO, none, none);
    let head = Head {
        sampling,
        tables,
        size,
        top: 0,
        rows: 48,
        restart: 0,
        capture,
        queued,
        encoded,
        shared: 1,
        owed: 1,
        position: None,
        mcus: None,
    };
    let scan = vec![0; bytes - LENGTH_PREFIX - head.encoded_len()];
    session.handle_command(now, Command::Slice(Slice::new(number, 0, 1, &head, &scan)));
}

/// A hello with media and fields that nobody knows yet.
pub(super) fn of_a_later_program(mut hello: Vec<u8>) -> Vec<u8> {
    (hello[1], hello[2]) = (hello[1] | 0xF8, hello[2] | 0xF8);
    hello.extend_from_slice(&[0, 0, 0, 77, 0, 5, 1, 2, 3, 4, 5]);
    hello
}
