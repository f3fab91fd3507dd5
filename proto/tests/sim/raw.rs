//! A receiver made by hand, at a sender.

use super::by_hand::{Drained, challenge, drain, of_a_later_program, private};
use eyeline_proto::crypto::{Handshake, Key, Opener, Psk, Sealer, Side, Transport};
use eyeline_proto::session::{Core, Event, Session, SocketId};
use eyeline_proto::wire::datagram::{Header, Message};
use eyeline_proto::wire::preamble::{Answer, Opening};
use eyeline_proto::wire::record::{ASKS, FORWARDS, Hello, Media, Record};
use std::net::SocketAddr;
use std::time::Instant;

/// A receiver made by hand, which does what no honest one would.
pub(super) struct Raw {
    pub transport: Transport,
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
        (host, socket): (u8, u64),
        psk: Option<&Psk>,
    ) -> (Option<Raw>, Drained<Event>) {
        // A process of its own.
        let mut id = [9; 16];
        id[..8].copy_from_slice(&socket.to_be_bytes());
        let (address, socket) = (private(host, 9688), SocketId(socket));
        let len = if psk.is_some() { 48 } else { 32 };
        let opening = Opening::new(psk.is_some(), len).encode();
        let mut handshake = Handshake::new(Side::Dialler, psk, &opening).expect("starts");
        session.handle_accepted(now, socket, private(host, 50_000), false);
        session.handle_bytes(now, socket, &[&opening[..], &handshake.write().expect("writes")].concat());
        let accepted = drain(session, now);
        if accepted.closed.contains(&socket) {
            return (None, accepted);
        }
        let came: Vec<u8> = accepted.written.concat_bytes();
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
            capabilities: !(FORWARDS | ASKS),
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
        session.handle_bytes(now, socket, &sealed);
        let greeted = drain(session, now);
        let (opener, sealer) = (Opener::new(&key), Sealer::new(&Key::from_bytes(theirs.key)));
        (Some(Raw { transport, opener, sealer, connection: theirs.connection, next: 0, address }), greeted)
    }

    pub fn send(&mut self, session: &mut Session, now: Instant, message: &Message<'_>) {
        let mut body = Vec::new();
        message.encode(&mut body);
        self.say(session, now, body);
    }

    pub fn say(&mut self, session: &mut Session, now: Instant, mut body: Vec<u8>) {
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

trait ConcatBytes {
    fn concat_bytes(self) -> Vec<u8>;
}

impl ConcatBytes for Vec<(SocketId, Vec<u8>)> {
    fn concat_bytes(self) -> Vec<u8> {
        self.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}
