//! Senders made by hand, at a receiver that waits: what they may say that it does not know, and what they do not get by it.

use super::limits::{challenge, drain, private};
use super::oscillator::Base;
use super::scenarios::{ms, secs};
use super::sending::a_receiver;
use eyeline_proto::crypto::{Handshake, Key, Opener, Sealer, Side, Transport};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Command, Config, Core, Event, HostId, PeerId, Session, StreamId, TrackId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::datagram::{FragmentHead, Header, Message, Shard};
use eyeline_proto::wire::preamble::{Answer, Opening};
use eyeline_proto::wire::record::{End, FORWARDS, Format, Hello, Media, OWN_TRACK, Reason, Record, Track};
use eyeline_proto::wire::report::Report;
use eyeline_proto::wire::slice::{Head, Tables};
use eyeline_proto::wire::sound::{Piece, Sound};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Kinds of datagrams that are not in use. From 65 on they are none of records, either.
pub(super) const UNKNOWN: [u8; 9] = [0, 9, 16, 63, 65, 90, 100, 200, 255];

/// The receiver, and what it did.
pub(super) struct Victim {
    pub session: Session,
    pub now: Instant,
    pub events: Vec<Event>,
    pub closed: Vec<StreamId>,
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// What was written to each connection and not read there.
    written: BTreeMap<StreamId, Vec<u8>>,
}

impl Victim {
    pub fn new(patient: bool) -> Victim {
        Victim::of_many(patient, 1)
    }

    /// One that receives from so many at once.
    pub fn of_many(patient: bool, senders: usize) -> Victim {
        Victim::with(a_receiver("file", patient), senders)
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

    fn drain(&mut self) -> Vec<u8> {
        let drained = drain(&mut self.session, self.now);
        self.events.extend(drained.events);
        self.closed.extend(drained.closed);
        self.datagrams.extend(drained.datagrams);
        for (stream, bytes) in &drained.stream {
            self.written.entry(*stream).or_default().extend_from_slice(bytes);
        }
        drained.stream.into_iter().flat_map(|(_, bytes)| bytes).collect()
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

    fn finished(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Ended(_))).count()
    }
}

/// What the so manieth sender sends.
fn track(number: u64) -> TrackId {
    TrackId::own(PeerId(number))
}

/// The id of the so manieth process.
fn process(number: u16) -> [u8; 16] {
    let [high, low] = number.to_be_bytes();
    let mut id = [low; 16];
    id[0] ^= high;
    id
}

/// A sender that says what it is told to.
pub(super) struct Stranger {
    stream: StreamId,
    address: SocketAddr,
    transport: Transport,
    opener: Opener,
    sealer: Sealer,
    mine: u32,
    theirs: u32,
    pub token: [u8; 16],
    /// The handshake hash.
    pub hash: [u8; 32],
    next: u64,
    started: Instant,
}

impl Stranger {
    pub fn join(victim: &mut Victim, host: u8) -> Stranger {
        Stranger::come(victim, host, u64::from(host), [0; 16], false)
    }

    /// Of its datagrams none arrives.
    fn join_without_udp(victim: &mut Victim, host: u8) -> Stranger {
        Stranger::greet(victim, host, u64::from(host), [0; 16], false)
    }

    /// Comes in as everybody does and proves its address.
    pub fn come(victim: &mut Victim, host: u8, stream: u64, resume: [u8; 16], patient: bool) -> Stranger {
        let mut stranger = Stranger::greet(victim, host, stream, resume, patient);
        stranger.prove(victim);
        stranger
    }

    /// The same, and it says that it is the process of this id.
    pub fn come_as(victim: &mut Victim, (host, id): (u8, u16), stream: u64, resume: [u8; 16]) -> Stranger {
        let mut stranger = Stranger::greet_with(victim, (host, id), stream, |hello| hello.resume = resume);
        stranger.prove(victim);
        stranger
    }

    /// The same, and it wants what the victim has.
    pub fn takes_part_as(victim: &mut Victim, who: (u8, u16), stream: u64) -> Stranger {
        let mut stranger = Stranger::greet_with(victim, who, stream, |hello| hello.wants = Media::LIVE);
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
    pub fn stream(&self) -> StreamId {
        self.stream
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

    fn greet(victim: &mut Victim, host: u8, stream: u64, resume: [u8; 16], patient: bool) -> Stranger {
        let change = |hello: &mut Hello| (hello.resume, hello.offers.lossless) = (resume, patient);
        Stranger::greet_with(victim, (host, host.into()), stream, change)
    }

    /// One that comes back and says its hello and its goodbye at once.
    pub fn come_and_go(victim: &mut Victim, who: (u8, u16), stream: u64, resume: [u8; 16]) {
        let shaken = Stranger::shake(victim, who.0, StreamId(stream));
        let (mut stranger, hello) = Stranger::make(victim, who, StreamId(stream), shaken, |hello| hello.resume = resume);
        let (mut goodbye, mut sealed) = (Vec::new(), Vec::new());
        Record::Goodbye(Reason::Quit, String::new()).encode(&mut goodbye);
        for plain in [hello, goodbye] {
            stranger.transport.seal(&plain, &mut sealed).expect("seals");
        }
        victim.session.handle_stream(victim.now, stranger.stream, &sealed);
        victim.drain();
    }

    fn greet_with(victim: &mut Victim, who: (u8, u16), stream: u64, change: impl FnOnce(&mut Hello)) -> Stranger {
        let shaken = Stranger::shake(victim, who.0, StreamId(stream));
        Stranger::meet(victim, who, StreamId(stream), shaken, change)
    }

    /// Dials and shakes hands; gives what the victim said after that, too.
    fn shake(victim: &mut Victim, host: u8, stream: StreamId) -> (Handshake, Vec<u8>) {
        let now = victim.now;
        let opening = Opening::new(false, 32).encode();
        let mut handshake = Handshake::new(Side::Dialler, None, &opening).expect("starts");
        victim.session.handle_accepted(now, stream, private(host, 50_000));
        victim.session.handle_stream(now, stream, &[&opening[..], &handshake.write().expect("writes")].concat());
        let came = victim.drain();
        let (answer, body) = came.split_first_chunk::<8>().expect("an answer");
        let len = usize::from(Answer::decode(answer).expect("Eyeline").len);
        handshake.read(&body[..len]).expect("shakes");
        (handshake, body[len..].to_vec())
    }

    /// Is what the victim finds at a host that it dialled, says that it is the process of this id, and wants what the victim has.
    pub fn answer_as(victim: &mut Victim, who: (u8, u16), stream: u64, dialled: HostId) -> Stranger {
        let (stream, now) = (StreamId(stream), victim.now);
        victim.session.handle_dialled(now, dialled, Ok((stream, private(who.0, 9688))));
        let came = victim.drain();
        let (opening, body) = came.split_first_chunk::<8>().expect("an opening");
        let mut handshake = Handshake::new(Side::Listener, None, opening).expect("starts");
        handshake.read(body).expect("shakes");
        let message = handshake.write().expect("writes");
        let answer = Answer { version: VERSION, refusal: None, len: message.len() as u16 }.encode();
        victim.session.handle_stream(now, stream, &[&answer[..], &message].concat());
        let came = victim.drain();
        let mut stranger = Stranger::meet(victim, who, stream, (handshake, came), |hello| hello.wants = Media::LIVE);
        stranger.prove(victim);
        stranger
    }

    /// After the handshake both say hello; the victim's has come.
    fn meet(
        victim: &mut Victim,
        who: (u8, u16),
        stream: StreamId,
        shaken: (Handshake, Vec<u8>),
        change: impl FnOnce(&mut Hello),
    ) -> Stranger {
        let (mut stranger, hello) = Stranger::make(victim, who, stream, shaken, change);
        stranger.raw_record(victim, &hello);
        stranger
    }

    /// One that has not said its hello yet, and that.
    fn make(
        victim: &mut Victim,
        (host, id): (u8, u16),
        stream: StreamId,
        (handshake, came): (Handshake, Vec<u8>),
        change: impl FnOnce(&mut Hello),
    ) -> (Stranger, Vec<u8>) {
        let (address, now) = (private(host, 9688), victim.now);
        let hash = handshake.hash();
        let mut transport = handshake.into_transport().expect("shaken");
        let mut plain = Vec::new();
        transport.open(&came[2..], &mut plain).expect("opens");
        let Ok(Record::Hello(theirs)) = Record::decode(&plain) else { panic!("no hello") };
        let (key, mine) = (Key::random(), 1000 + u32::from(host) * 16 + stream.0 as u32);
        let mut hello = Hello {
            offers: Media::LIVE,
            wants: Media::NONE,
            capabilities: !FORWARDS,
            id: process(id),
            resume: [0; 16],
            token: [host; 16],
            connection: mine,
            key: *key.as_bytes(),
            name: format!("host {host}"),
        };
        change(&mut hello);
        victim.written.remove(&stream);
        let (opener, sealer) = (Opener::new(&key), Sealer::new(&Key::from_bytes(theirs.key)));
        let (theirs, token) = (theirs.connection, theirs.token);
        let (next, started) = (0, now);
        let stranger = Stranger { stream, address, transport, opener, sealer, mine, theirs, token, hash, next, started };
        let mut plain = Vec::new();
        Record::Hello(hello).encode(&mut plain);
        (stranger, of_a_later_program(plain))
    }

    pub fn record(&mut self, victim: &mut Victim, record: &Record<'_>) {
        let mut plain = Vec::new();
        record.encode(&mut plain);
        self.raw_record(victim, &plain);
    }

    fn raw_record(&mut self, victim: &mut Victim, plain: &[u8]) {
        let mut sealed = Vec::new();
        self.transport.seal(plain, &mut sealed).expect("seals");
        victim.session.handle_stream(victim.now, self.stream, &sealed);
        victim.drain();
    }

    /// Many records that come at once.
    pub fn records(&mut self, victim: &mut Victim, records: &[Record<'_>]) {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for record in records {
            plain.clear();
            record.encode(&mut plain);
            self.transport.seal(&plain, &mut sealed).expect("seals");
        }
        for read in sealed.chunks(16 << 10) {
            victim.session.handle_stream(victim.now, self.stream, read);
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
        let (written, mut rest, mut told) = (victim.written.remove(&self.stream).unwrap_or_default(), 0, Vec::new());
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

    fn raw_datagram(&mut self, victim: &mut Victim, mut plain: Vec<u8>) {
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
    fn describe(&mut self, victim: &mut Victim, number: u8) {
        let format = Format { rate: (30, 1), size: (64, 48), channels: 1, ..Format::default() };
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
    fn packed_picture(&mut self, victim: &mut Victim, (track, number): (u8, u32), packing: u8) {
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
            position: None,
        };
        let mut body = vec![0; 4];
        head.encode(&mut body);
        body.resize(body.len() + 100, 0);
        let len = body.len() as u32 - 4;
        body[..4].copy_from_slice(&len.to_be_bytes());
        body[4] |= packing;
        let head = FragmentHead { picture: number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        self.datagram(victim, &Message::Fragment(track, head, &body));
    }

    pub fn sound(&mut self, victim: &mut Victim, number: u64) {
        let capture = MediaTime::from_nanos(number * 10_000_000);
        self.record(victim, &Record::Sound(OWN_TRACK, Sound { number, capture, channels: 1, samples: &[0; 960] }));
    }

    /// What it was sent since the last call, opened.
    fn heard(&self, victim: &mut Victim) -> Vec<Vec<u8>> {
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

/// A hello with media and fields that nobody knows yet.
pub(super) fn of_a_later_program(mut hello: Vec<u8>) -> Vec<u8> {
    (hello[1], hello[2]) = (hello[1] | 0xF8, hello[2] | 0xF8);
    hello.extend_from_slice(&[0, 0, 0, 77, 0, 5, 1, 2, 3, 4, 5]);
    hello
}

/// A later program's messages between pictures and sound: no NACK, no copy of sound, no loss in the reports, and the link goes
/// on.
#[test]
fn unknown_kind_is_no_loss() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    for number in 0..120 {
        newer.picture(&mut victim, number);
        for kind in UNKNOWN {
            newer.raw_datagram(&mut victim, [&[kind][..], &[7; 40]].concat());
            if kind >= 64 {
                newer.raw_record(&mut victim, &[kind, 1, 2, 3]);
            }
        }
        // Malformed ones of kinds it knows came as well.
        newer.raw_datagram(&mut victim, vec![1, 0, 0]);
        newer.raw_datagram(&mut victim, Vec::new());
        for block in 0..3 {
            newer.sound(&mut victim, u64::from(number) * 3 + block);
            victim.pass(ms(10));
        }
    }
    let heard = newer.heard(&mut victim);
    let asks = |plain: &&Vec<u8>| matches!(Message::decode(plain), Ok(Message::Nack(_) | Message::Wanted(..)));
    assert_eq!(heard.iter().filter(asks).count(), 0, "nothing is missing");
    victim.pass(ms(200));
    let report = newer.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (newer.next, newer.next, 0));
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
    let stats = victim.events.iter().rev().find_map(|event| match event {
        Event::Stats(stats) => Some(stats.counters),
        _ => None,
    });
    let counted = stats.map(|counters| (counters.unknown, counters.skipped > 1000));
    assert_eq!(counted, Some((0, true)), "skipped, and not taken for a stranger's");
}

/// A later program has more than one track. What is of another than its own is skipped: no mistake, no loss, nothing shown or
/// played.
#[test]
fn what_is_of_a_track_that_is_not_there_is_skipped() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    newer.describe(&mut victim, 7);
    for number in 0..60 {
        newer.picture(&mut victim, number);
        let head = FragmentHead { picture: 900 + number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        newer.datagram(&mut victim, &Message::Fragment(7, head, &[0, 0, 0, 4, 1, 2, 3, 4]));
        let [last_indices, payload] = [&[0, 0][..], b"even"];
        let shard = Shard { picture: number, last_slice: 0, first_slice: 0, index: 0, recovery: 1, last_indices, payload };
        newer.datagram(&mut victim, &Message::Shard(7, shard));
        let (number, capture) = (u64::from(number), MediaTime::ZERO);
        for index in 0..2 {
            let half = Piece { number, capture, channels: 1, frames: 480, index, payload: &[0; 480] };
            newer.datagram(&mut victim, &Message::Piece(7, half));
        }
        newer.record(&mut victim, &Record::Sound(7, Sound { number, capture, channels: 1, samples: &[0; 960] }));
        newer.record(&mut victim, &Record::End(7, End { pictures: 0, blocks: 0 }));
        victim.pass(ms(30));
    }
    victim.pass(ms(200));
    let slices = victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count();
    let sounds = victim.events.iter().filter(|event| matches!(event, Event::Sound { .. })).count();
    let described = victim.events.iter().filter(|event| matches!(event, Event::Track(..))).count();
    assert_eq!((slices, sounds, described), (60, 0, 1), "its own track alone");
    let report = newer.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (newer.next, newer.next, 0));
    assert_eq!(report.tracks.as_slice().iter().map(|track| (track.track, track.settled)).collect::<Vec<_>>(), [(OWN_TRACK, 60)]);
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
    let skipped = victim.events.iter().rev().find_map(|event| match event {
        Event::Stats(stats) => Some((stats.counters.unknown, stats.counters.skipped)),
        _ => None,
    });
    assert!(skipped.is_some_and(|(unknown, skipped)| unknown == 0 && skipped > 6 * 30), "{skipped:?}");
}

/// A slice that a later program packed in a way of its own cannot be drawn; what comes beside it can.
#[test]
fn a_slice_that_is_packed_in_an_unknown_way_costs_itself_alone() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    for number in 0..90 {
        newer.packed_picture(&mut victim, (OWN_TRACK, number), if number % 3 == 0 { 0x08 } else { 0 });
        victim.pass(ms(30));
    }
    let draws = |event: &Event| match event {
        Event::Slice(_, slice) => Some(Head::decode(&slice.body).is_ok()),
        _ => None,
    };
    let slices: Vec<bool> = victim.events.iter().filter_map(draws).collect();
    assert_eq!((slices.len(), slices.iter().filter(|draws| **draws).count()), (90, 60));
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
}

/// A hello, and then nothing but pings: a sender that sends takes its place, whenever it comes.
#[test]
fn a_mute_sender_gives_way() {
    for later in [ms(100), secs(20)] {
        let mut victim = Victim::new(false);
        let mut mute = Stranger::join(&mut victim, 1);
        for _ in 0..later.as_millis() / 100 {
            mute.datagram(&mut victim, &Message::Ping(5));
            victim.pass(ms(100));
        }
        let mut other_mute = Stranger::join(&mut victim, 2);
        let mut real = Stranger::join(&mut victim, 3);
        assert_eq!(victim.closed, [], "nobody is told that we are busy before anybody sends");
        real.format(&mut victim);
        other_mute.datagram(&mut victim, &Message::Ping(5));
        real.picture(&mut victim, 0);
        assert_eq!(victim.names(), ["host 1", "down", "host 3"]);
        assert!(victim.events.iter().any(|event| matches!(event, Event::Track(..))), "what it said while it waited is told");
        assert_eq!(victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count(), 1);
        let mut closed = std::mem::take(&mut victim.closed);
        closed.sort_unstable();
        assert_eq!(closed, [StreamId(1), StreamId(2)], "who sends nothing is told that we are busy");
        // Now there is one that sends: who comes later is told at once.
        Stranger::join(&mut victim, 4);
        assert_eq!(std::mem::take(&mut victim.closed), [StreamId(4)]);
        // Reports count the whole connection: a sender that waited has lost nothing.
        victim.pass(ms(200));
        let report = real.report(&mut victim);
        assert_eq!((report.highest + 1, report.received, report.lost), (real.next, real.next, 0));
        // It falls silent, and only pings; another sends.
        for _ in 0..60 {
            real.datagram(&mut victim, &Message::Ping(5));
            victim.pass(ms(100));
        }
        let mut next = Stranger::join(&mut victim, 5);
        next.sound(&mut victim, 0);
        assert_eq!(victim.names()[3..], ["down", "host 5"]);
        assert_eq!(victim.closed, [StreamId(3)]);
    }
}

/// Pieces that never make a slice, and slices that are none, hold a place no longer than a picture may take.
#[test]
fn who_sends_rubbish_gives_way_like_one_who_sends_nothing() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join(&mut victim, 1);
    for number in 0..30 {
        let head = FragmentHead { picture: number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        stranger.datagram(&mut victim, &Message::Fragment(OWN_TRACK, head, &[0, 0, 0, 4, 1, 2, 3, 4]));
        victim.pass(ms(100));
    }
    let mut real = Stranger::join(&mut victim, 2);
    real.picture(&mut victim, 0);
    assert_eq!(victim.names(), ["host 1", "down", "host 2"]);
}

/// An end is believed of a sender that said what it sends, sent some of it, and does not contradict what came; and once.
#[test]
fn an_end_without_media_ends_nothing() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::come(&mut victim, 1, 1, [0; 16], true);
    let end = |pictures, blocks| Record::End(OWN_TRACK, End { pictures, blocks });
    stranger.record(&mut victim, &end(0, 0));
    victim.pass(secs(3));
    stranger.format(&mut victim);
    for absurd in [0, 10, u64::MAX] {
        stranger.record(&mut victim, &end(absurd, absurd));
    }
    victim.pass(secs(3));
    stranger.record(&mut victim, &Record::Goodbye(Reason::Quit, "bye".to_string()));
    victim.pass(secs(3));
    assert_eq!(victim.names(), ["host 1", "down"], "nothing was sent, nothing ends");

    let mut real = Stranger::come(&mut victim, 2, 2, [0; 16], true);
    real.format(&mut victim);
    for number in 0..10 {
        real.picture(&mut victim, number);
        victim.pass(ms(30));
    }
    real.record(&mut victim, &end(9, 0));
    victim.pass(secs(3));
    assert_eq!(victim.finished(), 0, "more came than it says there is");
    real.record(&mut victim, &end(10, 0));
    victim.pass(ms(20));
    for _ in 0..3 {
        real.record(&mut victim, &end(10, 0));
        victim.pass(secs(3));
    }
    assert_eq!(victim.finished(), 1, "a stream ends once");
}

/// What is missing at the end is waited for two seconds, however often the end is said.
#[test]
fn an_end_that_is_said_again_and_again_is_not_put_off() {
    let mut victim = Victim::new(false);
    let mut sender = Stranger::join(&mut victim, 1);
    sender.format(&mut victim);
    sender.picture(&mut victim, 0);
    for _ in 0..4 {
        sender.record(&mut victim, &Record::End(OWN_TRACK, End { pictures: 1, blocks: 5 }));
        victim.pass(secs(1));
    }
    // A live sender that is only watched is left then, and the next may come.
    assert_eq!(victim.names(), ["host 1", "finished", "down"]);
    assert_eq!(victim.closed, [StreamId(1)]);
    Stranger::join(&mut victim, 2).picture(&mut victim, 0);
    assert_eq!(victim.names().last().map(String::as_str), Some("host 2"));
}

/// Everything in a report but the pictures counts from where its connection began, also where the last of the one before comes
/// late.
#[test]
fn a_report_counts_from_where_its_connection_began() {
    let mut victim = Victim::new(false);
    let mut first = Stranger::join(&mut victim, 1);
    first.format(&mut victim);
    for number in 0..100 {
        first.picture(&mut victim, number);
        victim.session.handle_command(victim.now, Command::Shown(track(0), 1));
        victim.pass(ms(30));
    }
    victim.pass(ms(200));
    assert_eq!(first.report(&mut victim).tracks.get(OWN_TRACK).map(|track| track.shown), Some(100));
    let mut second = Stranger::come(&mut victim, 1, 7, first.token, false);
    assert_eq!(victim.names(), ["host 1", "host 1 again"]);
    second.picture(&mut victim, 100);
    first.picture(&mut victim, 101);
    second.picture(&mut victim, 102);
    victim.session.handle_command(victim.now, Command::Shown(track(0), 3));
    victim.pass(ms(200));
    let report = second.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (second.next, second.next, 0));
    let track = report.tracks.get(OWN_TRACK).expect("its track");
    assert_eq!((track.settled, track.shown), (103, 3));
    assert!(report.bytes < 1000, "{} bytes of a few datagrams", report.bytes);
}

/// A disk that is slow to say that a film is written speaks of that film, not of the next.
#[test]
fn what_was_written_and_shown_of_a_former_sender_says_nothing_of_the_next() {
    let mut victim = Victim::new(true);
    let mut first = Stranger::come(&mut victim, 1, 1, [0; 16], true);
    first.format(&mut victim);
    first.picture(&mut victim, 0);
    first.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    let mut second = Stranger::come(&mut victim, 2, 2, [0; 16], true);
    second.format(&mut victim);
    for number in 0..5 {
        second.picture(&mut victim, number);
    }
    victim.session.handle_command(victim.now, Command::Written(track(1), 4));
    victim.session.handle_command(victim.now, Command::Written(track(0), 1));
    victim.session.handle_command(victim.now, Command::Shown(track(0), 9));
    victim.pass(ms(200));
    let report = second.report(&mut victim);
    let track = report.tracks.get(OWN_TRACK).expect("its track");
    assert_eq!((track.settled, track.shown), (4, 0));
}

/// The process is stopped before the first datagram comes: it did not look. Only time that it watched counts.
#[test]
fn a_standstill_is_not_called_a_firewall() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join_without_udp(&mut victim, 1);
    stranger.format(&mut victim);
    victim.pass(ms(300));
    victim.now += secs(5);
    victim.session.handle_timeout(victim.now);
    victim.drain();
    victim.pass(ms(1900));
    let blamed = |victim: &Victim| victim.events.iter().any(|event| matches!(event, Event::NoUdp(..)));
    assert!(!blamed(&victim), "two seconds have not been watched");
    victim.pass(ms(200));
    assert!(blamed(&victim));
}

/// Half a block takes the place of who sends nothing, and is an attempt: the next half takes it back from nobody.
#[test]
fn two_that_send_halves_of_blocks_do_not_change_places_with_each() {
    let mut victim = Victim::new(false);
    let mut first = Stranger::join(&mut victim, 1);
    let mut second = Stranger::join(&mut victim, 2);
    let half = [0; 480];
    for number in 0..50 {
        for stranger in [&mut second, &mut first] {
            let half = Piece { number, capture: MediaTime::ZERO, channels: 1, frames: 480, index: 0, payload: &half };
            stranger.datagram(&mut victim, &Message::Piece(OWN_TRACK, half));
        }
    }
    assert_eq!(victim.names().iter().filter(|name| *name == "down").count(), 1, "{:?}", victim.names());
}

/// Sound at many times the pace of time: what an outage may have held back is taken, then no more than is spoken meanwhile.
#[test]
fn sound_is_taken_no_faster_than_it_can_have_been_spoken() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join(&mut victim, 1);
    (0..3000).for_each(|number| stranger.sound(&mut victim, number));
    let taken = |victim: &Victim| victim.events.iter().filter(|event| matches!(event, Event::Sound { .. })).count();
    assert_eq!(taken(&victim), 505, "five seconds");
    victim.now += Duration::from_secs(1);
    (3000..6000).for_each(|number| stranger.sound(&mut victim, number));
    assert_eq!(taken(&victim), 606, "and one more");
    assert!(victim.closed.is_empty());
}
