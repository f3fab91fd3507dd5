//! What the fuzzers do with their bytes, and what `tests/fuzz_corpus.rs` does with the committed corpus.
//!
//! Nothing here may panic, whatever the bytes. What is accepted is written again and must come out the same.

use eyeline_proto::crypto::{Handshake, Key, Opener, Sealer, Side, Transport};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{Command, Config, Core, Event, Output, Session, SocketId};
use eyeline_proto::sound::Block;
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Header, Message};
use eyeline_proto::wire::preamble::{Answer, Opening};
use eyeline_proto::wire::record::{Format, Hello, Media, OWN_TRACK, Record, Track};
use eyeline_proto::wire::slice::{Head, MAX_LEN, Tables};
use std::collections::BTreeMap;
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

/// In the first byte of a script: what is sent is a film, of which nothing is skipped.
pub const FILM: u8 = 0x80;

/// The step that has no bytes, only a length: so many milliseconds go by.
const WAIT: u8 = 4;

/// A peer with valid keys that sends, and says anything: `data` is a script of steps, each `kind u8 ++ length u16 ++ bytes`.
///
/// One peer a script, for joining costs two handshakes, more than most scripts.
pub fn receiver(data: &[u8]) {
    let Some(first) = data.first() else { return };
    let mut victim = Victim::new(|now| Config { senders: 1, ..Config::new(identity(Media::NONE), Epoch::new(now)) });
    let offers = Media { lossless: first & FILM != 0, ..Media::LIVE };
    let mut sender = Peer::join(&mut victim, 1, (offers, Media::NONE));
    play(data, 6, |kind, bytes, time| {
        match kind {
            WAIT => victim.wait(time),
            kind => sender.step(&mut victim, kind, bytes),
        }
        victim.drain();
    });
}

/// A peer with valid keys that wants all, offers all and says anything, to one that sends and forwards: steps as in [`receiver`],
/// and two more, in which a picture is sent by the one it talks to, and by another peer whose pictures are forwarded.
pub fn sender(data: &[u8]) {
    talk_to_sender(data);
}

/// The same; the last statistics, if a second went by.
pub fn talk_to_sender(data: &[u8]) -> Option<Stats> {
    let first = data.first()?;
    let all = Media { lossless: first & FILM != 0, ..Media::LIVE };
    let format = Format { rate: Rate::new(30, 1), size: Some(Size { width: 64, height: 48 }), channels: 1, ..Format::default() };
    let me = Identity { forwards: true, ..identity(all) };
    let mut victim = Victim::new(|now| Config { format, ..Config::new(me, Epoch::new(now)) });
    let mut hostile = Peer::join(&mut victim, 1, (Media::LIVE, all));
    hostile.prove(&mut victim);
    let mut honest = Peer::join(&mut victim, 2, (Media::LIVE, Media::LIVE));
    let (media, label) = (Media::LIVE, String::new());
    let track = Track { number: OWN_TRACK, media, muted: false, closed: false, origin: [2; 16], label, format };
    let mut plain = Vec::new();
    Record::Track(track).encode(&mut plain);
    honest.record(&mut victim, &plain);
    let (mut own, mut forwarded) = (0, 0);
    play(data, 8, |kind, bytes, time| {
        match kind {
            WAIT => victim.wait(time),
            6 => {
                victim.sends(own, bytes);
                own += 1;
            }
            7 => {
                let head = FragmentHead { picture: forwarded, slice: 0, last_slice: 0, index: 0, last_index: 0 };
                let mut plain = Vec::new();
                let slice = slice(forwarded.into(), victim.clock(), bytes);
                Message::Fragment(OWN_TRACK, head, slice.bytes()).encode(&mut plain);
                honest.datagram(&mut victim, &plain);
                forwarded += 1;
            }
            kind => hostile.step(&mut victim, kind, bytes),
        }
        victim.drain();
    });
    victim.stats
}

/// Takes the steps of a script one by one: which of so many kinds, its bytes, and of a wait the time.
fn play(script: &[u8], kinds: u8, mut step: impl FnMut(u8, &[u8], Duration)) {
    let mut rest = script;
    for _ in 0..1000 {
        let Some((head, more)) = rest.split_first_chunk::<3>() else { return };
        let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let kind = (head[0] & !FILM) % kinds;
        let (bytes, more) = if kind == WAIT { (&[][..], more) } else { more.split_at(len.min(more.len())) };
        step(kind, bytes, Duration::from_millis(len as u64));
        rest = more;
    }
}

fn identity(offers: Media) -> Identity {
    Identity {
        offers,
        wants: Media::LIVE,
        forwards: false,
        asks: false,
        opus: true,
        direct: true,
        psk: None,
        id: [1; 16],
        name: String::new(),
    }
}

/// A picture of one slice, whose scan is this.
fn slice(picture: u64, capture: MediaTime, scan: &[u8]) -> Slice {
    let (sampling, tables, size) = (Sampling::Grey, Tables::Own(80), Size { width: 64, height: 48 });
    let (queued, encoded) = (Duration::ZERO, Duration::ZERO);
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
    Slice::new(picture, 0, 1, &head, scan)
}

/// The one that is talked to.
struct Victim {
    session: Session,
    began: Instant,
    now: Instant,
    /// What it wrote to each connection, until that is shaken hands over.
    said: BTreeMap<SocketId, Vec<u8>>,
    /// What it sent to each address, until that is proved.
    sent: BTreeMap<SocketAddr, Vec<Vec<u8>>>,
    stats: Option<Stats>,
}

impl Victim {
    fn new(config: impl FnOnce(Instant) -> Config) -> Victim {
        #[allow(clippy::disallowed_methods)] // one real instant to count from
        let now = Instant::now() + Duration::from_secs(1000);
        let session = Session::new(now, config(now));
        Victim { session, began: now, now, said: BTreeMap::new(), sent: BTreeMap::new(), stats: None }
    }

    fn clock(&self) -> MediaTime {
        MediaTime::from_nanos((self.now - self.began).as_nanos() as u64)
    }

    /// A picture of its own, and a block of sound.
    fn sends(&mut self, picture: u64, scan: &[u8]) {
        let capture = self.clock();
        self.session.handle_command(self.now, Command::Slice(slice(picture, capture, scan)));
        let block = Block { capture, channels: 1, samples: [0; 480].into() };
        self.session.handle_command(self.now, Command::Sound(block, Some([7; 60].into())));
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
                    Output::Bytes { socket } => {
                        if let Some(said) = self.said.get_mut(&socket) {
                            said.extend_from_slice(&buffer);
                        }
                    }
                    Output::Datagrams { to, segment, len } => {
                        if let Some(sent) = self.sent.get_mut(&to) {
                            sent.extend(buffer[..len].chunks(segment).map(<[u8]>::to_vec));
                        }
                    }
                    Output::Event(Event::Stats(stats)) => {
                        assert!(stats.receiving.total.assembly_bytes <= 2 * ((16 << 20) + MAX_LEN as u64));
                        assert!(stats.sending.log_bytes <= MOST_LOGGED);
                        self.stats = Some(*stats);
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

/// Bytes of pictures that are kept to be sent again: of a film, of what is forwarded beside it, and of each the last slice.
const MOST_LOGGED: u64 = ((48 + 16) << 20) + 2 * MAX_LEN as u64;

/// A peer made by hand.
struct Peer {
    socket: SocketId,
    address: SocketAddr,
    transport: Transport,
    sealer: Sealer,
    opener: Opener,
    connection: u32,
    next: u64,
}

impl Peer {
    /// Shakes hands and says hello, with what it offers and wants; its number is its connection, its address and its id.
    fn join(victim: &mut Victim, number: u8, (offers, wants): (Media, Media)) -> Peer {
        let (socket, now) = (SocketId(number.into()), victim.now);
        let address = SocketAddr::from(([10, 0, 0, number], 9688));
        victim.said.insert(socket, Vec::new());
        victim.session.handle_accepted(now, socket, address, false);
        let opening = Opening::new(false, 32).encode();
        let mut handshake = Handshake::new(Side::Dialler, None, &opening).expect("starts");
        let first = [&opening[..], &handshake.write().expect("writes")].concat();
        victim.session.handle_bytes(now, socket, &first);
        victim.drain();
        let said = victim.said.remove(&socket).unwrap_or_default();
        let (answer, rest) = said.split_first_chunk().expect("an answer");
        let len = usize::from(Answer::decode(answer).expect("Eyeline").len);
        handshake.read(&rest[..len]).expect("shakes");
        let mut transport = handshake.into_transport().expect("shaken");
        let mut plain = Vec::new();
        transport.open(&rest[len + 2..], &mut plain).expect("their hello opens");
        let Ok(Record::Hello(theirs)) = Record::decode(&plain) else { unreachable!("they say hello first") };
        let key = Key::from_bytes([7; 32]);
        let (sealer, opener, connection) = (Sealer::new(&Key::from_bytes(theirs.key)), Opener::new(&key), theirs.connection);
        let mut peer = Peer { socket, address, transport, sealer, opener, connection, next: 0 };
        let ours = Hello { offers, wants, connection: 6 + u32::from(number), key: [7; 32], id: [1 + number; 16], ..theirs };
        plain.clear();
        Record::Hello(ours).encode(&mut plain);
        peer.record(victim, &plain);
        victim.drain();
        peer
    }

    /// Shows that it gets what is sent to its address.
    fn prove(&mut self, victim: &mut Victim) {
        victim.sent.insert(self.address, Vec::new());
        let mut plain = Vec::new();
        Message::Challenge([1; 8]).encode(&mut plain);
        self.datagram(victim, &plain);
        victim.drain();
        for mut sent in victim.sent.remove(&self.address).unwrap_or_default() {
            let number = u64::from(Header::decode(&sent).expect("a header").number);
            let (head, sealed) = sent.split_at_mut(8);
            let Ok(Message::Challenge(token)) = Message::decode(self.opener.open(number, head, sealed).expect("opens")) else {
                continue;
            };
            plain.clear();
            Message::Response(token).encode(&mut plain);
            self.datagram(victim, &plain);
        }
        victim.drain();
    }

    /// One of the steps that are a peer's.
    fn step(&mut self, victim: &mut Victim, kind: u8, bytes: &[u8]) {
        match kind {
            0 => self.datagram(victim, bytes),
            1 => self.record(victim, bytes),
            2 => victim.session.handle_datagram(victim.now, self.address, &mut bytes.to_vec()),
            3 => victim.session.handle_bytes(victim.now, self.socket, bytes),
            _ => victim.session.handle_closed(victim.now, self.socket),
        }
    }

    fn datagram(&mut self, victim: &mut Victim, message: &[u8]) {
        let header = Header { connection: self.connection, number: self.next as u32 }.encode();
        let mut body = message.to_vec();
        let tag = self.sealer.seal(self.next, &header, &mut body);
        self.next += 1;
        victim.session.handle_datagram(victim.now, self.address, &mut [&header[..], &body, &tag].concat());
    }

    fn record(&mut self, victim: &mut Victim, plain: &[u8]) {
        let mut sealed = Vec::new();
        if self.transport.seal(plain, &mut sealed).is_ok() {
            victim.session.handle_bytes(victim.now, self.socket, &sealed);
        }
    }
}
