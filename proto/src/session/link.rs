//! One TCP connection to a peer: handshake, hello, records both ways; and the datagram path it sets up.
//!
//! ```text
//!  dialler                                   listener
//!  opening + handshake 1  ───────────────▶
//!                         ◀───────────────   answer + handshake 2 (or a sentence, and close)
//!  hello                  ◀──────────────▶   hello          then records
//!  challenge (UDP)        ───────────────▶                  then datagrams
//! ```
//!
//! What is clear in this is `handshake`'s, and whether the peer is still there says `liveness`. Knows nothing of other links;
//! limits that need to see them all are `endpoint`'s.

use super::SocketId;
use super::claim::Claim;
use super::fault::Fault;
use super::handshake::{self, Step};
use super::keyring::{Dial, Keyring, Proof};
use super::liveness::{FIRST_SIGN, LastDatagram, Liveness};
use super::path::{Keys, Path};
use super::tokens::Tokens;
use super::udp_watch::UdpWatch;
use super::unreachable::Misfit;
use crate::crypto::{self, Psk, Side, Transport};
use crate::wire;
use crate::wire::preamble::Refusal;
use crate::wire::record::{ASKS, DIRECT, FORWARDS, Hello, Media, OPUS, Record, Rendezvous};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Opening, handshake and hello must be done by then: a stranger may hold a place no longer.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// Bytes of a sealed hello: 92, a name of 255 at most, the tag, and 661 for what a later program says of itself.
const MAX_HELLO: usize = 1024;

/// Memory for what comes that is kept from one read to the next.
const KEPT: usize = 4096;

/// Control records waiting to be written: a few dozen in honest use; more means the peer does not read, and its link is closed.
const MAX_QUEUED: usize = 256;

/// Behind so many a line of text is let go: what others say closes nobody's link who stands still meanwhile.
const MAX_BEFORE_TEXT: usize = 64;

/// Names a link; never used twice in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Who we are, to every peer.
#[derive(Clone)]
pub struct Identity {
    /// What we have.
    pub offers: Media,
    /// What we want.
    pub wants: Media,
    /// Each one's tracks are forwarded to all others.
    pub forwards: bool,
    /// Whoever dials us is let in once somebody here says so.
    pub asks: bool,
    /// Sound may come as Opus packets: they are decoded here.
    pub opus: bool,
    /// A meeting point may tell others where we are, and us where they are.
    pub direct: bool,
    /// The shared key, where there is one.
    pub psk: Option<Psk>,
    /// Random, for the life of the process.
    pub id: [u8; 16],
    /// Shown at the other side.
    pub name: String,
}

impl Identity {
    /// Why a peer is of no use to us, nor we to it; `None` where one of us has something and the other wants something. What one
    /// has may be another thing than the other wants, sound and pictures say: that is seen at both ends, and may change.
    pub fn misfit(&self, peer: &Hello) -> Option<Misfit> {
        if self.wants.is_none() && peer.wants.is_none() {
            Some(Misfit::BothOffer)
        } else if self.offers.is_none() && !self.forwards && peer.offers.is_none() && !peer.forwards() {
            Some(Misfit::BothWant)
        } else {
            None
        }
    }
}

enum Stage {
    /// Opening and answer.
    Handshake(handshake::State),
    /// Handshake done, waiting for the peer's hello.
    Greeting(Box<Transport>),
    Up(Box<Transport>),
    /// Nothing more is read.
    Over,
}

/// What [`Link::advance`] came to.
pub enum Advance {
    /// More bytes are needed.
    Hungry,
    /// The peer's hello came: the path is set up.
    Greeted,
    /// A record lies in the caller's buffer, plain.
    Record,
}

/// A link to another guest of a meeting: its connection goes through the meeting point, its datagrams do not.
pub struct Direct {
    /// The link to the meeting point, and the id of its process.
    pub via: LinkId,
    pub point: [u8; 16],
    /// The id of the guest's process.
    pub guest: [u8; 16],
    /// What the meeting point calls this attempt of the two.
    pub attempt: u32,
    /// Where the guest may be.
    addresses: Vec<SocketAddr>,
}

enum Outgoing {
    Clear(Vec<u8>),
    Record(Vec<u8>),
}

pub struct Link {
    /// Whether its peer is there.
    pub liveness: Liveness,
    /// The address TCP reached, or was reached from.
    pub remote: SocketAddr,
    /// It comes from a private network, or from this very machine: it needs no key where there is none.
    pub near: bool,
    pub side: Side,
    /// When it began.
    pub began: Instant,
    /// The kernel takes more bytes.
    pub writable: bool,
    /// The datagram path, from the peer's hello on.
    pub path: Option<Path>,
    /// The peer's hello.
    pub hello: Option<Hello>,
    /// With these it may come back.
    pub tokens: Tokens,
    /// Whether its peer is the one it says, where another link's is, too.
    pub claim: Claim,
    /// How it is known who its peer is, from the handshake on.
    pub proof: Proof,
    /// The handshake hash, zeros before: it names this connection at both ends.
    pub hash: [u8; 32],
    /// Whether datagrams pass as TCP does.
    pub udp: UdpWatch,
    /// A record came behind the hello.
    pub told: bool,
    /// We have shown that we know the code which was typed: whatever answers could try one with it, and may not try another.
    pub spent: bool,
    /// Where it is one to another guest of a meeting.
    pub direct: Option<Direct>,
    stage: Stage,
    inbox: Vec<u8>,
    outgoing: VecDeque<Outgoing>,
    local_key: crypto::Key,
    local_connection: u32,
}

impl Link {
    /// A link on a fresh TCP connection, that was accepted or is dialled so. `connection` is unused among our links.
    pub fn new(now: Instant, dial: Option<Dial>, socket: SocketId, remote: SocketAddr, connection: u32) -> Result<Link, Fault> {
        let side = if dial.is_some() { Side::Dialler } else { Side::Listener };
        let (state, opening) = match dial {
            None => (handshake::State::Listening, None),
            Some(dial) => handshake::State::dial(dial).map(|(state, opening)| (state, Some(opening)))?,
        };
        Ok(Link::beginning(now, (side, state, opening), socket, remote, connection))
    }

    /// A link to another guest of the meeting that `via` leads to, over a connection that is relayed. `None`: it says of no
    /// address where the guest may be.
    pub fn direct(
        now: Instant,
        (via, point): (LinkId, [u8; 16]),
        met: Rendezvous,
        socket: SocketId,
        connection: u32,
    ) -> Result<Option<Link>, Fault> {
        let (psk, Rendezvous { guest, attempt, dials, addresses, .. }) = (Psk::from_bytes(met.key), met);
        let Some(remote) = addresses.first().copied() else { return Ok(None) };
        let begins = match dials {
            true => {
                let (state, opening) = handshake::State::dial(Dial::Keyed(psk, Proof::Nothing))?;
                (Side::Dialler, state, Some(opening))
            }
            false => (Side::Listener, handshake::State::Expecting(Box::new(psk)), None),
        };
        let direct = Some(Direct { via, point, guest, attempt, addresses });
        Ok(Some(Link { direct, ..Link::beginning(now, begins, socket, remote, connection) }))
    }

    fn beginning(
        now: Instant,
        (side, state, opening): (Side, handshake::State, Option<Vec<u8>>),
        socket: SocketId,
        remote: SocketAddr,
        connection: u32,
    ) -> Link {
        Link {
            liveness: Liveness::new(now, socket),
            remote,
            near: false,
            side,
            began: now,
            writable: true,
            path: None,
            hello: None,
            tokens: Tokens::new(crypto::random()),
            claim: Claim::default(),
            proof: Proof::Nothing,
            hash: [0; 32],
            udp: UdpWatch::default(),
            told: false,
            spent: false,
            direct: None,
            stage: Stage::Handshake(state),
            inbox: Vec::new(),
            outgoing: opening.into_iter().map(Outgoing::Clear).collect(),
            local_key: crypto::Key::random(),
            local_connection: connection,
        }
    }

    /// What it says is not looked at before this moment. Asked of a link that was just accepted.
    pub fn hold(&mut self, until: Instant) {
        self.stage = Stage::Handshake(handshake::State::Held(until));
    }

    /// Until when its opening is not looked at.
    pub fn held_until(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshake(state) => state.held_until(),
            Stage::Greeting(_) | Stage::Up(_) | Stage::Over => None,
        }
    }

    /// Bytes came; [`Link::advance`] makes something of them.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.liveness.bytes_came(now);
        self.udp.tcp_came(now);
        let room = match &self.stage {
            Stage::Handshake(state) => state.room().saturating_sub(self.inbox.len()),
            Stage::Greeting(_) | Stage::Up(_) => usize::MAX,
            Stage::Over => return,
        };
        let kept = &bytes[..room.min(bytes.len())];
        // Exactly, for hundreds may hold half a record each.
        self.inbox.reserve_exact(kept.len());
        self.inbox.extend_from_slice(kept);
    }

    /// One step on with the bytes that came. `resume` is the token the peer gave us earlier, zeros if none.
    pub fn advance(
        &mut self,
        now: Instant,
        (me, keys): (&Identity, &mut Keyring),
        resume: [u8; 16],
        plain: &mut Vec<u8>,
    ) -> Result<Advance, Fault> {
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Over);
            let (stage, done) = match stage {
                Stage::Handshake(state) => match state.step(now, (self.remote, self.near), keys, &mut self.inbox)? {
                    Step::Hungry(state) => (Stage::Handshake(state), Some(Advance::Hungry)),
                    Step::Said(state, bytes) => {
                        self.spent |= self.side == Side::Dialler;
                        self.outgoing.push_back(Outgoing::Clear(bytes));
                        (Stage::Handshake(state), None)
                    }
                    Step::Done { transport, hash, proof, answer } => {
                        (self.hash, self.proof) = (hash, proof);
                        self.outgoing.extend(answer.map(Outgoing::Clear));
                        self.say_hello(me, resume);
                        (Stage::Greeting(transport), None)
                    }
                },
                Stage::Greeting(transport) => self.greet(now, transport, plain)?,
                Stage::Up(mut transport) => {
                    let got = self.open_record(&mut transport, plain)?;
                    self.told |= got;
                    (Stage::Up(transport), Some(if got { Advance::Record } else { Advance::Hungry }))
                }
                Stage::Over => (Stage::Over, Some(Advance::Hungry)),
            };
            self.stage = stage;
            if let Some(done) = done {
                if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
                    self.inbox = Vec::new();
                }
                return Ok(done);
            }
        }
    }

    fn say_hello(&mut self, me: &Identity, resume: [u8; 16]) {
        let hello = Record::Hello(Hello {
            offers: me.offers,
            wants: me.wants,
            capabilities: [(me.forwards, FORWARDS), (me.opus, OPUS), (me.asks, ASKS), (me.direct, DIRECT)]
                .into_iter()
                .filter(|(can, _)| *can)
                .fold(0, |all, (_, bit)| all | bit),
            id: me.id,
            resume,
            token: self.tokens.given(),
            connection: self.local_connection,
            key: *self.local_key.as_bytes(),
            name: me.name.clone(),
        });
        self.send(&hello);
    }

    fn greet(
        &mut self,
        now: Instant,
        mut transport: Box<Transport>,
        plain: &mut Vec<u8>,
    ) -> Result<(Stage, Option<Advance>), Fault> {
        let claimed = self.inbox.first_chunk::<2>().map(|len| usize::from(u16::from_be_bytes(*len)));
        if claimed.is_some_and(|len| len > MAX_HELLO) {
            return Err(Fault::Protocol("no hello after the handshake".to_string()));
        }
        if !self.open_record(&mut transport, plain)? {
            return Ok((Stage::Greeting(transport), Some(Advance::Hungry)));
        }
        let hello = match Record::decode(plain).map_err(|error| self.nonsense(&error, plain.len()))? {
            Record::Hello(hello) => hello,
            Record::Goodbye(reason, sentence) => return Err(Fault::Left(reason, sentence)),
            _ => return Err(Fault::Protocol("no hello after the handshake".to_string())),
        };
        let keys = Keys {
            local_connection: self.local_connection,
            local_key: self.local_key.clone(),
            remote_connection: hello.connection,
            remote_key: crypto::Key::from_bytes(hello.key),
        };
        let dialled = self.side == Side::Dialler && self.direct.is_none();
        let mut path = Path::new(now, &keys, dialled.then_some(self.remote));
        if let Some(direct) = &self.direct {
            path.is_direct(now, &direct.addresses);
        }
        self.path = Some(path);
        self.hello = Some(hello);
        Ok((Stage::Up(transport), Some(Advance::Greeted)))
    }

    /// The next record, opened into `plain`; false if it is not whole yet.
    fn open_record(&mut self, transport: &mut Transport, plain: &mut Vec<u8>) -> Result<bool, Fault> {
        let Some(len) = self.inbox.first_chunk::<2>().map(|len| usize::from(u16::from_be_bytes(*len))) else { return Ok(false) };
        if self.inbox.len() < 2 + len {
            return Ok(false);
        }
        plain.clear();
        let opened = transport.open(&self.inbox[2..2 + len], plain);
        self.inbox.drain(..2 + len);
        opened.map_err(|error| Fault::Protocol(error.to_string())).map(|()| true)
    }

    /// A complaint that finds the record again in a capture.
    pub fn nonsense(&self, error: &wire::Error, len: usize) -> Fault {
        Fault::Protocol(format!("record of {len} bytes from {}: {error}", self.remote))
    }

    /// Whether a record for somebody else may be put behind what waits: there is a connection, and its peer reads.
    pub fn takes_more(&self) -> bool {
        self.is_up() && self.liveness.socket().is_some() && self.outgoing.len() < MAX_BEFORE_TEXT
    }

    /// Queues a record; without a connection it is dropped, for the link that takes over is told everything anew. What a track
    /// is, or what is wanted of it, takes the place of what was said of that before and is not written yet; what is lacking of it,
    /// or wanted of a film, joins that. `false`: the peer does not read its records.
    pub fn send(&mut self, record: &Record) -> bool {
        if self.liveness.socket().is_none() {
            return true;
        }
        let mut plain = Vec::new();
        record.encode(&mut plain);
        if matches!(record, Record::Track(_) | Record::Want(..) | Record::Film(..)) {
            // Both begin with their kind and the track's number.
            let of_it = |waiting: &&mut Outgoing| matches!(waiting, Outgoing::Record(bytes) if bytes.get(..2) == plain.get(..2));
            if let Some(waiting) = self.outgoing.iter_mut().find(of_it) {
                *waiting = Outgoing::Record(plain);
                return true;
            }
        }
        // What is lacking is said together with what was said before and is not written yet.
        if matches!(record, Record::Refresh(..) | Record::Steer(..)) {
            for waiting in &mut self.outgoing {
                if let Outgoing::Record(bytes) = waiting
                    && let Some(joined) = Record::decode(bytes).ok().and_then(|before| joined(before, record))
                {
                    bytes.clear();
                    joined.encode(bytes);
                    return true;
                }
            }
        }
        if matches!(record, Record::Text(_)) && self.outgoing.len() >= MAX_BEFORE_TEXT {
            return true;
        }
        let room = self.outgoing.len() < MAX_QUEUED;
        if room {
            self.outgoing.push_back(Outgoing::Record(plain));
        }
        room
    }

    /// Whether its peer said hello and is the one it says, for all that is known.
    pub fn is_met(&self) -> bool {
        self.hello.is_some() && !self.claim.is_open()
    }

    /// Whether it is in use and its peer says that it is the process of this id.
    pub fn is_of(&self, id: &[u8; 16]) -> bool {
        !self.liveness.is_retired() && self.hello.as_ref().is_some_and(|hello| hello.id == *id)
    }

    /// When a datagram, or its hello, came last.
    pub fn last_datagram(&self) -> LastDatagram {
        LastDatagram { last: self.path.as_ref().and_then(Path::heard), began: self.began }
    }

    /// Whether somebody at the address of `newcomer` may have its peer's place.
    pub fn is_gone(&self, now: Instant, newcomer: IpAddr) -> bool {
        self.liveness.is_gone(now, self.last_datagram(), newcomer == self.remote.ip())
    }

    /// When its connection is suspect, if nothing more comes: where the peer was heard by datagrams once.
    pub fn silence_deadline(&self) -> Option<Instant> {
        self.path.as_ref()?.address()?;
        self.liveness.silence_deadline(self.last_datagram())
    }

    /// Until when a peer that connected to us and has shown no sign of life since its hello keeps its place.
    pub fn first_sign_deadline(&self) -> Option<Instant> {
        let since = self.path.as_ref()?.awaited_since()?;
        (self.side == Side::Listener && !self.liveness.is_detached() && !self.told).then(|| since + FIRST_SIGN)
    }

    /// When its keys have grown old, from the peer's hello on.
    pub fn keys_end(&self) -> Option<Instant> {
        let blocked = self.path.as_ref()?.awaited_since().is_some();
        self.liveness.keys_end(self.last_datagram(), blocked)
    }

    /// When to look whether UDP is cut; only a TCP connection can tell.
    pub fn udp_deadline(&self) -> Option<Instant> {
        self.liveness.socket().and_then(|_| self.udp.deadline(self.last_datagram().or_hello()))
    }

    /// Queues a sentence in clear for somebody turned away before the handshake.
    pub fn turn_away(&mut self, refusal: Refusal, sentence: &str) {
        self.outgoing.clear();
        self.outgoing.push_back(Outgoing::Clear(handshake::refuse(refusal, sentence)));
        self.stage = Stage::Over;
    }

    /// The connection id the peer puts on datagrams to us.
    pub fn connection(&self) -> u32 {
        self.local_connection
    }

    /// Whether the other side has said anything that may be an opening.
    pub fn has_spoken(&self) -> bool {
        use handshake::State::{Held, Listening};
        !matches!(self.stage, Stage::Handshake(Held(_) | Listening)) || !self.inbox.is_empty()
    }

    /// Whether records may be sealed.
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(_))
    }

    /// Whether anything waits to be written.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Appends what waits to be written.
    pub fn poll_bytes(&mut self, out: &mut Vec<u8>) {
        while let Some(next) = self.outgoing.pop_front() {
            match (&next, &mut self.stage) {
                (Outgoing::Clear(bytes), _) => out.extend_from_slice(bytes),
                (Outgoing::Record(plain), Stage::Greeting(transport) | Stage::Up(transport)) => {
                    // Sealing fails only over the length, which every record of ours keeps, or after 2^64 records.
                    let sealed = transport.seal(plain, out);
                    debug_assert!(sealed.is_ok(), "a record too long to seal");
                }
                (Outgoing::Record(_), _) => {}
            }
        }
    }

    /// Seals a record straight into `out`, behind everything queued.
    pub fn seal_record(&mut self, record: &Record, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        self.poll_bytes(out);
        if let Stage::Up(transport) = &mut self.stage {
            scratch.clear();
            record.encode(scratch);
            let sealed = transport.seal(scratch, out);
            debug_assert!(sealed.is_ok(), "a record too long to seal");
        }
    }
}

/// What two records of one kind say together of the same track.
fn joined(before: Record, record: &Record) -> Option<Record> {
    match (before, record) {
        (Record::Refresh(of, before), Record::Refresh(track, owed)) if of == *track => {
            Some(Record::Refresh(of, before.and(owed.clone())))
        }
        (Record::Steer(of, before), Record::Steer(track, steer)) if of == *track => Some(Record::Steer(of, before.then(*steer))),
        _ => None,
    }
}
