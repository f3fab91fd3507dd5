//! A sender made by hand, at a receiver that waits.

use super::by_hand::{challenge, drain, of_a_later_program, private};
use super::oscillator::Base;
use super::scenarios::ms;
use super::sending::a_receiver;
use eyeline_proto::crypto::{Handshake, Key, Opener, Sealer, Side, Transport};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Config, Core, Event, HostId, Session, SocketId};
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::datagram::{FragmentHead, Header, Message};
use eyeline_proto::wire::preamble::{Answer, Opening};
use eyeline_proto::wire::record::{ASKS, FORWARDS, Format, Hello, Media, OWN_TRACK, Reason, Record, Track};
use eyeline_proto::wire::report::Report;
use eyeline_proto::wire::slice::{Head, Tables};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The receiver, and what it did.
pub(super) struct Victim {
    pub session: Session,
    pub now: Instant,
    pub events: Vec<Event>,
    pub closed: Vec<SocketId>,
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// What was written to each connection and not read there.
    written: BTreeMap<SocketId, Vec<u8>>,
}

impl Victim {
    pub fn new(lossless: bool) -> Victim {
        Victim::of_many(lossless, 1)
    }

    /// One that receives from so many at once.
    pub fn of_many(lossless: bool, senders: usize) -> Victim {
        Victim::with(a_receiver("file", lossless), senders)
    }

    /// One that is this.
    pub fn with(me: Identity, senders: usize) -> Victim {
        Victim::dialling(me, senders, 0)
    }

    /// One that dials so many hosts.
    pub fn dialling(me: Identity, senders: usize, hosts: usize) -> Victim {
        let now = Base::new().instant(1_000_000_000);
        let session = Session::new(now, Config { senders, hosts, ..Config::new(me, Epoch::new(now)) });
        let (events, closed, datagrams, written) = Default::default();
        Victim { session, now, events, closed, datagrams, written }
    }

    pub fn drain(&mut self) -> Vec<u8> {
        let drained = drain(&mut self.session, self.now);
        self.events.extend(drained.events);
        self.closed.extend(drained.closed);
        self.datagrams.extend(drained.datagrams);
        for (socket, bytes) in &drained.written {
            self.written.entry(*socket).or_default().extend_from_slice(bytes);
        }
        drained.written.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// Time goes by, in steps of ten milliseconds.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(10);
            self.session.handle_timeout(self.now);
            self.drain();
        }
    }

    pub fn names(&self) -> Vec<String> {
        let up = |event: &Event| match event {
            Event::SenderUp { name, again, .. } => Some(format!("{name}{}", if *again { " again" } else { "" })),
            Event::SenderDown { .. } => Some("down".to_string()),
            Event::Ended(_) => Some("finished".to_string()),
            _ => None,
        };
        self.events.iter().filter_map(up).collect()
    }

    pub fn finished(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Ended(_))).count()
    }
}

/// The id of the so manieth process.
pub(super) fn process(number: u16) -> [u8; 16] {
    let [high, low] = number.to_be_bytes();
    let mut id = [low; 16];
    id[0] ^= high;
    id
}

/// A sender that says what it is told to.
pub(super) struct Stranger {
    socket: SocketId,
    address: SocketAddr,
    transport: Transport,
    opener: Opener,
    sealer: Sealer,
    mine: u32,
    theirs: u32,
    pub token: [u8; 16],
    /// The handshake hash.
    pub hash: [u8; 32],
    pub next: u64,
    started: Instant,
}

impl Stranger {
    pub fn join(victim: &mut Victim, host: u8) -> Stranger {
        Stranger::come(victim, host, u64::from(host), [0; 16], false)
    }

    /// Of its datagrams none arrives.
    pub fn join_without_udp(victim: &mut Victim, host: u8) -> Stranger {
        Stranger::greet(victim, host, u64::from(host), [0; 16], false)
    }

    /// Comes in as everybody does and proves its address.
    pub fn come(victim: &mut Victim, host: u8, socket: u64, resume: [u8; 16], lossless: bool) -> Stranger {
        let mut stranger = Stranger::greet(victim, host, socket, resume, lossless);
        stranger.prove(victim);
        stranger
    }

    /// The same, and it says that it is the process of this id.
    pub fn come_as(victim: &mut Victim, (host, id): (u8, u16), socket: u64, resume: [u8; 16]) -> Stranger {
        let mut stranger = Stranger::greet_with(victim, (host, id), socket, |hello| hello.resume = resume);
        stranger.prove(victim);
        stranger
    }

    /// The same, and it wants what the victim has.
    pub fn takes_part_as(victim: &mut Victim, who: (u8, u16), socket: u64) -> Stranger {
        let mut stranger = Stranger::greet_with(victim, who, socket, |hello| hello.wants = Media::LIVE);
        stranger.prove(victim);
        stranger
    }

    /// One whose hello says something else than others'.
    pub fn come_with(victim: &mut Victim, host: u8, change: impl FnOnce(&mut Hello)) -> Stranger {
        let mut stranger = Stranger::greet_with(victim, (host, host.into()), host.into(), change);
        stranger.prove(victim);
        stranger
    }

    /// Its connection, as the victim calls it.
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    fn prove(&mut self, victim: &mut Victim) {
        self.datagram(victim, &Message::Challenge([1; 8]));
        victim.session.handle_timeout(victim.now);
        victim.drain();
        let tokens: Vec<_> = self.heard(victim).iter().filter_map(|plain| challenge(plain)).collect();
        if let [.., token] = tokens[..] {
            self.datagram(victim, &Message::Response(token));
        }
    }

    fn greet(victim: &mut Victim, host: u8, socket: u64, resume: [u8; 16], lossless: bool) -> Stranger {
        let change = |hello: &mut Hello| (hello.resume, hello.offers.lossless) = (resume, lossless);
        Stranger::greet_with(victim, (host, host.into()), socket, change)
    }

    /// One that says its hello, this, and its goodbye at once.
    pub fn come_and_go(victim: &mut Victim, who: (u8, u16), socket: u64, resume: [u8; 16], says: &[Record]) {
        let shaken = Stranger::shake(victim, who.0, SocketId(socket));
        let (mut stranger, hello) = Stranger::make(victim, who, SocketId(socket), shaken, |hello| hello.resume = resume);
        let (mut plain, mut sealed) = (hello, Vec::new());
        stranger.transport.seal(&plain, &mut sealed).expect("seals");
        for record in says.iter().chain([&Record::Goodbye(Reason::Quit, String::new())]) {
            plain.clear();
            record.encode(&mut plain);
            stranger.transport.seal(&plain, &mut sealed).expect("seals");
        }
        victim.session.handle_bytes(victim.now, stranger.socket, &sealed);
        victim.drain();
    }

    fn greet_with(victim: &mut Victim, who: (u8, u16), socket: u64, change: impl FnOnce(&mut Hello)) -> Stranger {
        let shaken = Stranger::shake(victim, who.0, SocketId(socket));
        Stranger::meet(victim, who, SocketId(socket), shaken, change)
    }

    /// Dials and shakes hands; gives what the victim said after that, too.
    fn shake(victim: &mut Victim, host: u8, socket: SocketId) -> (Handshake, Vec<u8>) {
        let now = victim.now;
        let opening = Opening::new(false, 32).encode();
        let mut handshake = Handshake::new(Side::Dialler, None, &opening).expect("starts");
        victim.session.handle_accepted(now, socket, private(host, 50_000), false);
        victim.session.handle_bytes(now, socket, &[&opening[..], &handshake.write().expect("writes")].concat());
        let came = victim.drain();
        let (answer, body) = came.split_first_chunk::<8>().expect("an answer");
        let len = usize::from(Answer::decode(answer).expect("Eyeline").len);
        handshake.read(&body[..len]).expect("shakes");
        (handshake, body[len..].to_vec())
    }

    /// Is what the victim finds at a host that it dialled, says that it is the process of this id, and wants what the victim has.
    pub fn answer_as(victim: &mut Victim, who: (u8, u16), socket: u64, dialled: HostId) -> Stranger {
        Stranger::answer_with(victim, who, socket, dialled, |hello| hello.wants = Media::LIVE)
    }

    /// The same, and it says what it likes.
    pub fn answer_with(
        victim: &mut Victim,
        who: (u8, u16),
        socket: u64,
        dialled: HostId,
        change: impl FnOnce(&mut Hello),
    ) -> Stranger {
        let (socket, now) = (SocketId(socket), victim.now);
        victim.session.handle_dialled(now, dialled, Ok((socket, private(who.0, 9688))));
        let came = victim.drain();
        let (opening, body) = came.split_first_chunk::<8>().expect("an opening");
        let mut handshake = Handshake::new(Side::Listener, None, opening).expect("starts");
        handshake.read(body).expect("shakes");
        let message = handshake.write().expect("writes");
        let answer = Answer { version: VERSION, refusal: None, len: message.len() as u16 }.encode();
        victim.session.handle_bytes(now, socket, &[&answer[..], &message].concat());
        let came = victim.drain();
        let mut stranger = Stranger::meet(victim, who, socket, (handshake, came), change);
        stranger.prove(victim);
        stranger
    }

    /// After the handshake both say hello; the victim's has come.
    fn meet(
        victim: &mut Victim,
        who: (u8, u16),
        socket: SocketId,
        shaken: (Handshake, Vec<u8>),
        change: impl FnOnce(&mut Hello),
    ) -> Stranger {
        let (mut stranger, hello) = Stranger::make(victim, who, socket, shaken, change);
        stranger.raw_record(victim, &hello);
        stranger
    }

    /// One that has not said its hello yet, and that.
    fn make(
        victim: &mut Victim,
        (host, id): (u8, u16),
        socket: SocketId,
        (handshake, came): (Handshake, Vec<u8>),
        change: impl FnOnce(&mut Hello),
    ) -> (Stranger, Vec<u8>) {
        let (address, now) = (private(host, 9688), victim.now);
        let hash = handshake.hash();
        let mut transport = handshake.into_transport().expect("shaken");
        let mut plain = Vec::new();
        transport.open(&came[2..], &mut plain).expect("opens");
        let Ok(Record::Hello(theirs)) = Record::decode(&plain) else { panic!("no hello") };
        let (key, mine) = (Key::random(), 1000 + u32::from(host) * 16 + socket.0 as u32);
        let mut hello = Hello {
            offers: Media::LIVE,
            wants: Media::NONE,
            capabilities: !(FORWARDS | ASKS),
            id: process(id),
            resume: [0; 16],
            token: [host; 16],
            connection: mine,
            key: *key.as_bytes(),
            name: format!("host {host}"),
        };
        change(&mut hello);
        victim.written.remove(&socket);
        let (opener, sealer) = (Opener::new(&key), Sealer::new(&Key::from_bytes(theirs.key)));
        let (theirs, token) = (theirs.connection, theirs.token);
        let (next, started) = (0, now);
        let stranger = Stranger { socket, address, transport, opener, sealer, mine, theirs, token, hash, next, started };
        let mut plain = Vec::new();
        Record::Hello(hello).encode(&mut plain);
        (stranger, of_a_later_program(plain))
    }

    pub fn record(&mut self, victim: &mut Victim, record: &Record) {
        let mut plain = Vec::new();
        record.encode(&mut plain);
        self.raw_record(victim, &plain);
    }

    pub fn raw_record(&mut self, victim: &mut Victim, plain: &[u8]) {
        let mut sealed = Vec::new();
        self.transport.seal(plain, &mut sealed).expect("seals");
        victim.session.handle_bytes(victim.now, self.socket, &sealed);
        victim.drain();
    }

    /// Many records that come at once.
    pub fn records(&mut self, victim: &mut Victim, records: &[Record]) {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for record in records {
            plain.clear();
            record.encode(&mut plain);
            self.transport.seal(&plain, &mut sealed).expect("seals");
        }
        for read in sealed.chunks(16 << 10) {
            victim.session.handle_bytes(victim.now, self.socket, read);
            victim.drain();
        }
    }

    /// Says what a track of its is.
    pub fn tell(&mut self, victim: &mut Victim, track: Track) {
        self.record(victim, &Record::Track(track));
    }

    /// Tracks that it was told of since the last call.
    pub fn tracks(&mut self, victim: &mut Victim) -> Vec<Track> {
        let track = |plain: Vec<u8>| match Record::decode(&plain) {
            Ok(Record::Track(track)) => Some(track),
            _ => None,
        };
        self.told(victim).into_iter().filter_map(track).collect()
    }

    /// Records that it was told since the last call, plain.
    pub fn told(&mut self, victim: &mut Victim) -> Vec<Vec<u8>> {
        let (written, mut rest, mut told) = (victim.written.remove(&self.socket).unwrap_or_default(), 0, Vec::new());
        while let Some(len) = written.get(rest..rest + 2).map(|len| usize::from(u16::from_be_bytes([len[0], len[1]]))) {
            let mut plain = Vec::new();
            self.transport.open(&written[rest + 2..rest + 2 + len], &mut plain).expect("opens");
            told.push(plain);
            rest += 2 + len;
        }
        told
    }

    /// Its clock is asked, and it answers.
    pub fn answer_pings(&mut self, victim: &mut Victim) {
        victim.pass(ms(300));
        for plain in self.heard(victim) {
            if let Ok(Message::Ping(asked)) = Message::decode(&plain) {
                let shows = MediaTime::from_nanos((victim.now - self.started).as_nanos() as u64);
                self.datagram(victim, &Message::Pong { asked, received: shows, replied: shows });
            }
        }
    }

    pub fn datagram(&mut self, victim: &mut Victim, message: &Message<'_>) {
        let mut plain = Vec::new();
        message.encode(&mut plain);
        self.raw_datagram(victim, plain);
    }

    pub fn raw_datagram(&mut self, victim: &mut Victim, mut plain: Vec<u8>) {
        let header = Header { connection: self.theirs, number: self.next as u32 }.encode();
        let tag = self.sealer.seal(self.next, &header, &mut plain);
        self.next += 1;
        victim.session.handle_datagram(victim.now, self.address, &mut [&header[..], &plain, &tag].concat());
        victim.drain();
    }

    pub fn format(&mut self, victim: &mut Victim) {
        self.describe(victim, OWN_TRACK);
    }

    /// Says what a track is.
    pub fn describe(&mut self, victim: &mut Victim, number: u8) {
        let format =
            Format { rate: Rate::new(30, 1), size: Some(Size { width: 64, height: 48 }), channels: 1, ..Format::default() };
        let track = Track {
            number,
            media: Media::LIVE,
            muted: false,
            closed: false,
            origin: [1; 16],
            label: "camera".to_string(),
            format,
        };
        self.record(victim, &Record::Track(track));
    }

    /// A picture in one datagram.
    pub fn picture(&mut self, victim: &mut Victim, number: u32) {
        self.packed_picture(victim, (OWN_TRACK, number), 0);
    }

    /// One of a track.
    pub fn picture_of(&mut self, victim: &mut Victim, track: u8, number: u32) {
        self.packed_picture(victim, (track, number), 0);
    }

    /// The same, packed as the bits of its kind say.
    pub fn packed_picture(&mut self, victim: &mut Victim, (track, number): (u8, u32), packing: u8) {
        let capture = MediaTime::from_nanos((victim.now - self.started).as_nanos() as u64);
        let head = Head {
            sampling: Sampling::Grey,
            tables: Tables::Own(80),
            size: Size { width: 64, height: 48 },
            top: 0,
            rows: 48,
            restart: 0,
            capture,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: 1,
            owed: 1,
            position: None,
            mcus: None,
        };
        let mut slice = Slice::new(number.into(), 0, 1, &head, &[0; 100]).bytes().to_vec();
        slice[LENGTH_PREFIX] |= packing;
        let head = FragmentHead { picture: number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        self.datagram(victim, &Message::Fragment(track, head, &slice));
    }

    pub fn sound(&mut self, victim: &mut Victim, number: u64) {
        let capture = MediaTime::from_nanos(number * 10_000_000);
        self.record(
            victim,
            &Record::Sound(OWN_TRACK, Numbered { number, block: Block { capture, channels: 1, samples: [0; 480].into() } }),
        );
    }

    /// What it was sent since the last call, opened.
    pub fn heard(&self, victim: &mut Victim) -> Vec<Vec<u8>> {
        let mine = |bytes: &[u8]| Header::decode(bytes).is_ok_and(|header| header.connection == self.mine);
        let (ours, others) = std::mem::take(&mut victim.datagrams).into_iter().partition(|(_, bytes)| mine(bytes));
        victim.datagrams = others;
        let open = |(_, mut bytes): (SocketAddr, Vec<u8>)| {
            let number = u64::from(Header::decode(&bytes).expect("a header").number);
            let (head, sealed) = bytes.split_at_mut(8);
            self.opener.open(number, head, sealed).expect("opens").to_vec()
        };
        Vec::into_iter(ours).map(open).collect()
    }

    /// The last report it was sent.
    pub fn report(&self, victim: &mut Victim) -> Report {
        let report = |plain: &Vec<u8>| match Message::decode(plain) {
            Ok(Message::Report(report)) => Some(report),
            _ => None,
        };
        self.heard(victim).iter().rev().find_map(report).expect("a report every 100 ms")
    }
}
