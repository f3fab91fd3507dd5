//! What the fuzzers do with their bytes, and what `tests/fuzz_corpus.rs` does with the committed corpus.
//!
//! Nothing here may panic, whatever the bytes. What is accepted is written again and must come out the same.

use eyeline_proto::crypto::{Handshake, Key, Sealer, Side, Transport};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Config, Core, Event, Output, Session, StreamId};
use eyeline_proto::wire::datagram::{Header, Message};
use eyeline_proto::wire::preamble::{Answer, Opening};
use eyeline_proto::wire::record::{Hello, Media, Record};
use eyeline_proto::wire::slice::{Head, MAX_LEN};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An opened datagram.
pub fn datagram(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.encode(), data[..8]);
    }
    if let Ok(message) = Message::decode(data) {
        let mut again = Vec::new();
        message.encode(&mut again);
        // A probe's padding does not come back.
        assert!(data.starts_with(&again) && (again.len() == data.len() || matches!(message, Message::Probe(_))));
    }
}

/// An opened record.
pub fn record(data: &[u8]) {
    let Ok(record) = Record::decode(data) else { return };
    let mut again = Vec::new();
    record.encode(&mut again);
    // What is not UTF-8 in a text was replaced and may have grown too long, but then it stays what it is.
    let first = Record::decode(&again).expect("what we write we can read");
    let mut once_more = Vec::new();
    first.encode(&mut once_more);
    assert_eq!(again, once_more);
}

/// Head and scan of a slice.
pub fn slice_head(data: &[u8]) {
    let Ok((head, scan)) = Head::decode(data) else { return };
    assert!(u32::from(head.top) + u32::from(head.rows) <= head.size.height);
    let mut again = Vec::new();
    head.encode(&mut again);
    again.extend_from_slice(scan);
    assert_eq!(again, data);
}

/// In the first byte of a script: the sender says that it has a film, of which nothing is skipped.
pub const FILM: u8 = 0x80;

/// A sender with valid keys that says anything: `data` is a script of steps, each `kind u8 ++ length u16 ++ bytes`.
///
/// One sender a script, for joining costs two handshakes, more than most scripts.
pub fn receiver(data: &[u8]) {
    let Some(first) = data.first() else { return };
    let mut sender = Sender::join(first & FILM != 0);
    let mut rest = data;
    for _ in 0..1000 {
        let Some((head, more)) = rest.split_first_chunk::<3>() else { return };
        let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let kind = (head[0] & !FILM) % 6;
        let (bytes, more) = if kind == 4 { (&[][..], more) } else { more.split_at(len.min(more.len())) };
        match kind {
            0 => sender.datagram(bytes),
            1 => sender.record(bytes),
            2 => sender.session.handle_datagram(sender.now, sender.address, &mut bytes.to_vec()),
            3 => sender.session.handle_stream(sender.now, STREAM, bytes),
            4 => sender.wait(Duration::from_millis(len as u64)),
            _ => sender.session.handle_stream_closed(sender.now, STREAM),
        }
        sender.drain();
        rest = more;
    }
}

const STREAM: StreamId = StreamId(1);

/// The hostile sender, and the receiver it talks to.
struct Sender {
    session: Session,
    now: Instant,
    address: SocketAddr,
    transport: Option<Transport>,
    sealer: Option<Sealer>,
    connection: u32,
    next: u64,
    said: Vec<u8>,
}

impl Sender {
    fn join(film: bool) -> Sender {
        #[allow(clippy::disallowed_methods)] // one real instant to count from
        let now = Instant::now() + Duration::from_secs(1000);
        let me =
            Identity { offers: Media::NONE, wants: Media::LIVE, forwards: false, psk: None, id: [1; 16], name: String::new() };
        let session = Session::new(now, Config { senders: 1, ..Config::new(me, Epoch::new(now)) });
        let address = SocketAddr::from(([10, 0, 0, 1], 9688));
        let mut sender =
            Sender { session, now, address, transport: None, sealer: None, connection: 0, next: 0, said: Vec::new() };
        sender.session.handle_accepted(now, STREAM, address);
        let opening = Opening::new(false, 32).encode();
        let mut handshake = Handshake::new(Side::Dialler, None, &opening).expect("starts");
        let first = [&opening[..], &handshake.write().expect("writes")].concat();
        sender.session.handle_stream(now, STREAM, &first);
        sender.drain();
        let said = std::mem::take(&mut sender.said);
        let (answer, rest) = said.split_first_chunk().expect("an answer");
        let len = usize::from(Answer::decode(answer).expect("Eyeline").len);
        handshake.read(&rest[..len]).expect("shakes");
        let mut transport = handshake.into_transport().expect("shaken");
        let mut plain = Vec::new();
        transport.open(&rest[len + 2..], &mut plain).expect("their hello opens");
        let Ok(Record::Hello(hello)) = Record::decode(&plain) else { unreachable!("they say hello first") };
        (sender.connection, sender.sealer) = (hello.connection, Some(Sealer::new(&Key::from_bytes(hello.key))));
        sender.transport = Some(transport);
        let offers = Media { lossless: film, ..Media::LIVE };
        let ours = Hello { offers, wants: Media::NONE, connection: 7, key: [7; 32], id: [2; 16], ..hello };
        plain.clear();
        Record::Hello(ours).encode(&mut plain);
        sender.record(&plain);
        sender.drain();
        sender
    }

    fn datagram(&mut self, message: &[u8]) {
        let Some(sealer) = &self.sealer else { return };
        let header = Header { connection: self.connection, number: self.next as u32 }.encode();
        let mut body = message.to_vec();
        let tag = sealer.seal(self.next, &header, &mut body);
        self.next += 1;
        self.session.handle_datagram(self.now, self.address, &mut [&header[..], &body, &tag].concat());
    }

    fn record(&mut self, plain: &[u8]) {
        let Some(transport) = &mut self.transport else { return };
        let mut sealed = Vec::new();
        if transport.seal(plain, &mut sealed).is_ok() {
            self.session.handle_stream(self.now, STREAM, &sealed);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
    }

    /// Drains to `Wait`; memory stays within the limits, and nobody asks to be woken in the past for ever.
    fn drain(&mut self) {
        let mut buffer = Vec::new();
        for _ in 0..1000 {
            loop {
                match self.session.poll(self.now, &mut buffer) {
                    Output::Stream { .. } => self.said.extend_from_slice(&buffer),
                    Output::Event(Event::Stats(stats)) => {
                        assert!(stats.receiving.total.assembly_bytes <= 2 * ((16 << 20) + MAX_LEN as u64))
                    }
                    Output::Wait(deadline) if deadline.is_none_or(|deadline| deadline > self.now) => return,
                    Output::Wait(_) => break,
                    _ => {}
                }
            }
            self.session.handle_timeout(self.now);
        }
        panic!("it asks to be woken now for ever");
    }
}
