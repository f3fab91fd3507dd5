//! One TCP connection to a peer: opening, handshake, records both ways; and the datagram path it sets up.
//!
//! ```text
//!  dialler                                   listener
//!  opening + handshake 1  ───────────────▶
//!                         ◀───────────────   answer + handshake 2 (or a sentence, and close)
//!  hello                  ◀──────────────▶   hello          then records
//!  challenge (UDP)        ───────────────▶                  then datagrams
//! ```
//!
//! Knows nothing of other links; limits that need to see them all are `endpoint`'s.

use super::StreamId;
use super::claim::Claim;
use super::path::{Keys, Path, QUIET};
use super::tokens::Tokens;
use super::udp_watch::UdpWatch;
use super::unreachable::{Misfit, Unreachable};
use crate::crypto::{self, Handshake, Psk, Side, Transport};
use crate::wire::preamble::{self, Answer, Opening, Refusal};
use crate::wire::record::{FORWARDS, Hello, Media, Reason, Record};
use crate::wire::text::printable;
use crate::wire::{self, VERSION};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A peer that connected to us has this long after its hello to show any sign of life: a datagram, or a record where UDP does not
/// pass, which each side tells the other after half of that time (`udp_watch`).
pub const MUTE: Duration = Duration::from_secs(3);

/// Opening, handshake and hello must be done by then: a stranger may hold a place no longer.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// An opening and the longest handshake message.
const MAX_OPENING: usize = preamble::LEN + preamble::MAX_BODY;

/// Bytes of a sealed hello: 92, a name of 255 at most, the tag, and 661 for what a later program says of itself.
const MAX_HELLO: usize = 1024;

/// Memory for what comes that is kept from one read to the next.
const KEPT: usize = 4096;

/// Control records waiting to be written: a few dozen in honest use; more means the peer does not read, and its link is closed.
const MAX_QUEUED: usize = 256;

/// Behind so many a line of text is let go: what others say closes nobody's link who stands still meanwhile.
const MAX_BEFORE_TEXT: usize = 64;

/// Three probes and a little: a peer unheard for this long may be behind a connection that hangs.
pub const SILENT: Duration = Duration::from_millis(750);

/// One of us has changed its address: TCP gets this long to show that it came along, a probe's time.
const DOUBT: Duration = Duration::from_millis(250);

/// Names a link; never used twice in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Who we are, to every peer.
pub struct Identity {
    /// What we have.
    pub offers: Media,
    /// What we want.
    pub wants: Media,
    /// Each one's tracks are forwarded to all others.
    pub forwards: bool,
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

/// Why a link ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The other side turned us away, or what answers is not Eyeline.
    Refused(Unreachable),
    /// We turn the other side away: it is told this sentence.
    TurnedAway(Refusal, String),
    /// Neither of us has what the other wants.
    Unfit(Misfit),
    /// It broke the protocol.
    Protocol(String),
    /// It left, for this reason.
    Left(Reason, String),
}

enum Stage {
    /// A listener waiting for the opening.
    Listening,
    /// A dialler waiting for the answer.
    Dialling(Box<Handshake>),
    /// Handshake done, waiting for the peer's hello.
    Greeting(Box<Transport>),
    /// Records flow.
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

/// An opening or answer, and the handshake message or sentence behind it.
type Preamble = ([u8; preamble::LEN], Vec<u8>);

enum Outgoing {
    Clear(Vec<u8>),
    Record(Vec<u8>),
}

/// See the module text.
pub struct Link {
    /// Its TCP connection, while there is one.
    pub stream: Option<StreamId>,
    /// The address TCP reached, or was reached from.
    pub remote: SocketAddr,
    /// Who dialled.
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
    /// The handshake hash, zeros before: it names this connection at both ends.
    pub hash: [u8; 32],
    /// Until then it only takes what was on its way when another link replaced it.
    pub retired: Option<Instant>,
    /// Its TCP connection may hang.
    pub suspect: bool,
    /// Whether datagrams pass as TCP does.
    pub udp: UdpWatch,
    /// A record came behind the hello.
    pub told: bool,
    /// The opening is not looked at before.
    pub held_until: Option<Instant>,
    stream_heard: Instant,
    doubted: Option<Instant>,
    stage: Stage,
    inbox: Vec<u8>,
    outgoing: VecDeque<Outgoing>,
    local_key: crypto::Key,
    local_connection: u32,
}

impl Link {
    /// A link on a fresh TCP connection. `connection` is unused among our links; `resume` is what the peer gave us earlier.
    pub fn new(
        now: Instant,
        side: Side,
        stream: StreamId,
        remote: SocketAddr,
        connection: u32,
        me: &Identity,
    ) -> Result<Link, Fault> {
        let mut link = Link {
            stream: Some(stream),
            remote,
            side,
            began: now,
            writable: true,
            path: None,
            hello: None,
            tokens: Tokens::new(crypto::random()),
            claim: Claim::default(),
            hash: [0; 32],
            retired: None,
            suspect: false,
            udp: UdpWatch::default(),
            told: false,
            held_until: None,
            stream_heard: now,
            doubted: None,
            stage: Stage::Listening,
            inbox: Vec::new(),
            outgoing: VecDeque::new(),
            local_key: crypto::Key::random(),
            local_connection: connection,
        };
        if side == Side::Dialler {
            let keyed = me.psk.is_some();
            // The first message's length goes into the opening, and the opening is the prologue.
            let len = if keyed { 48 } else { 32 };
            let opening = Opening::new(keyed, len).encode();
            let mut handshake = Handshake::new(side, me.psk.as_ref(), &opening).map_err(broken)?;
            let message = handshake.write().map_err(broken)?;
            debug_assert_eq!(message.len(), usize::from(len));
            link.outgoing.push_back(Outgoing::Clear([&opening[..], &message].concat()));
            link.stage = Stage::Dialling(Box::new(handshake));
        }
        Ok(link)
    }

    /// Bytes came; [`Link::advance`] makes something of them.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        (self.stream_heard, self.suspect, self.doubted) = (now, false, None);
        self.udp.stream_came(now);
        // Nobody says more before the answer than an opening.
        let room = if self.held_until.is_some() { MAX_OPENING.saturating_sub(self.inbox.len()) } else { bytes.len() };
        if !matches!(self.stage, Stage::Over) {
            // Exactly, for hundreds may hold half a record each.
            self.inbox.reserve_exact(room.min(bytes.len()));
            self.inbox.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    /// One step on with the bytes that came. `resume` is the token the peer gave us earlier, zeros if none.
    pub fn advance(&mut self, now: Instant, me: &Identity, resume: [u8; 16], plain: &mut Vec<u8>) -> Result<Advance, Fault> {
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Over);
            let (stage, done) = match stage {
                Stage::Listening if self.held_until.is_some_and(|until| now < until) => (stage, Some(Advance::Hungry)),
                Stage::Listening => {
                    self.held_until = None;
                    self.answer(me, resume)?
                }
                Stage::Dialling(handshake) => self.hear_answer(*handshake, me, resume)?,
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

    /// Opening or answer, with its body, once whole. `Err` as soon as the first bytes are not ours.
    fn take_preamble(&mut self) -> Result<Option<Preamble>, Fault> {
        let seen = self.inbox.len().min(preamble::MAGIC.len());
        if self.inbox[..seen] != preamble::MAGIC[..seen] {
            return Err(match self.side {
                Side::Listener => {
                    let sentence = "This is Eyeline, a camera link; what came is not Eyeline.\n".to_string();
                    Fault::TurnedAway(Refusal::Other, sentence)
                }
                Side::Dialler => Fault::Refused(Unreachable::NotEyeline(self.remote)),
            });
        }
        let Some(head) = self.inbox.first_chunk::<{ preamble::LEN }>().copied() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([head[6], head[7]]));
        if len > preamble::MAX_BODY {
            return Err(Fault::Protocol(format!("a handshake message of {len} bytes")));
        }
        if self.inbox.len() < preamble::LEN + len {
            return Ok(None);
        }
        let body = self.inbox[preamble::LEN..preamble::LEN + len].to_vec();
        self.inbox.drain(..preamble::LEN + len);
        Ok(Some((head, body)))
    }

    fn answer(&mut self, me: &Identity, resume: [u8; 16]) -> Result<(Stage, Option<Advance>), Fault> {
        let Some((head, body)) = self.take_preamble()? else { return Ok((Stage::Listening, Some(Advance::Hungry))) };
        let opening = Opening::decode(&head).map_err(|error| Fault::Protocol(error.to_string()))?;
        let turned_away = |refusal, sentence: &str| Err(Fault::TurnedAway(refusal, sentence.to_string()));
        if opening.version != VERSION {
            let older = if opening.version < VERSION { "dialling" } else { "waiting" };
            let sentence = format!(
                "the dialling side speaks {} and the waiting side {}: update the {older} side",
                preamble::spoken(opening.version),
                preamble::spoken(VERSION)
            );
            return turned_away(Refusal::Version, &sentence);
        }
        if opening.keyed != me.psk.is_some() {
            return turned_away(
                Refusal::KeyMissing,
                match opening.keyed {
                    true => "the dialling side has a key and the waiting side has none: start both with the same --key",
                    false => "the waiting side wants a key: start the dialling side with the same --key",
                },
            );
        }
        let mut handshake = Handshake::new(self.side, me.psk.as_ref(), &head).map_err(broken)?;
        match handshake.read(&body) {
            Ok(()) => {}
            Err(error @ crypto::Error::KeysDiffer) => return turned_away(Refusal::KeyWrong, &error.to_string()),
            Err(error) => return Err(broken(error)),
        }
        let message = handshake.write().map_err(broken)?;
        let answer = Answer { version: VERSION, refusal: None, len: message.len() as u16 };
        self.outgoing.push_back(Outgoing::Clear([&answer.encode()[..], &message].concat()));
        self.hash = handshake.hash();
        self.say_hello(me, resume);
        Ok((Stage::Greeting(Box::new(handshake.into_transport().map_err(broken)?)), None))
    }

    fn hear_answer(
        &mut self,
        mut handshake: Handshake,
        me: &Identity,
        resume: [u8; 16],
    ) -> Result<(Stage, Option<Advance>), Fault> {
        let Some((head, body)) = self.take_preamble()? else {
            return Ok((Stage::Dialling(Box::new(handshake)), Some(Advance::Hungry)));
        };
        let answer = Answer::decode(&head).map_err(|error| Fault::Protocol(error.to_string()))?;
        // Another version's reasons are its own; where it goes on, what follows is another handshake.
        if answer.version != VERSION {
            return Err(Fault::Refused(Unreachable::Version { from: self.remote, version: answer.version }));
        }
        if let Some(refusal) = answer.refusal {
            let (from, sentence) = (self.remote, printable(&String::from_utf8_lossy(&body)));
            return Err(Fault::Refused(match refusal {
                Refusal::Full => Unreachable::Full { from, sentence },
                refusal => Unreachable::TurnedAway { from, refusal, sentence },
            }));
        }
        handshake.read(&body).map_err(broken)?;
        self.hash = handshake.hash();
        self.say_hello(me, resume);
        Ok((Stage::Greeting(Box::new(handshake.into_transport().map_err(broken)?)), None))
    }

    fn say_hello(&mut self, me: &Identity, resume: [u8; 16]) {
        let hello = Record::Hello(Hello {
            offers: me.offers,
            wants: me.wants,
            capabilities: if me.forwards { FORWARDS } else { 0 },
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
        self.path = Some(Path::new(now, &keys, (self.side == Side::Dialler).then_some(self.remote)));
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

    /// Queues a record; without a connection it is dropped, for the link that takes over is told everything anew. What a track
    /// is, or what is wanted of it, takes the place of what was said of that before and is not written yet. `false`: the peer
    /// does not read its records.
    pub fn send(&mut self, record: &Record<'_>) -> bool {
        if self.stream.is_none() {
            return true;
        }
        let mut plain = Vec::new();
        record.encode(&mut plain);
        if matches!(record, Record::Track(_) | Record::Want(..)) {
            // Both begin with their kind and the track's number.
            let of_it = |waiting: &&mut Outgoing| matches!(waiting, Outgoing::Record(bytes) if bytes.get(..2) == plain.get(..2));
            if let Some(waiting) = self.outgoing.iter_mut().find(of_it) {
                *waiting = Outgoing::Record(plain);
                return true;
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
        self.retired.is_none() && self.hello.as_ref().is_some_and(|hello| hello.id == *id)
    }

    /// From when on it does not live any more, if no more comes: its connection is gone or hangs, or datagrams came and are
    /// silent for so long.
    pub fn dead_from(&self, silence: Duration) -> Option<Instant> {
        if self.stream.is_none() || self.suspect {
            return Some(self.began);
        }
        self.path.as_ref().and_then(Path::heard).map(|heard| heard + silence)
    }

    /// When anything came last, also where UDP is blocked and it is told over TCP alone.
    pub fn unheard_since(&self) -> Instant {
        self.silent_since().max(self.stream_heard)
    }

    /// When a datagram, or its hello, came last.
    pub fn silent_since(&self) -> Instant {
        self.path.as_ref().and_then(Path::heard).map_or(self.began, |heard| heard.max(self.began))
    }

    /// One of us is at another address than before.
    pub fn doubt(&mut self, now: Instant) {
        self.doubted.get_or_insert(now);
    }

    /// Whether the connection is given up from now on: the peer was heard by datagrams once and is no more, or saw us move, and
    /// nothing came over TCP meanwhile.
    pub fn turns_suspect(&mut self, now: Instant) -> bool {
        let turns = self.silence_deadline().is_some_and(|deadline| now >= deadline);
        self.suspect |= turns;
        turns
    }

    /// Gives the connection up where nothing came over it since the last datagram before a silence.
    pub fn gave_nothing_since(&mut self, last: Instant) -> bool {
        self.suspect |= self.stream.is_some() && self.stream_heard <= last;
        self.suspect
    }

    /// Whether somebody else may have its place: its connection broke or hangs, or nothing is heard of it; of the newcomer's own
    /// machine it is believed sooner that it started again.
    pub fn is_gone(&self, now: Instant, newcomer: IpAddr) -> bool {
        let heard = self.path.as_ref().is_some_and(|path| path.heard().is_some());
        let quiet = heard && now >= self.unheard_since() + QUIET;
        let restarted = newcomer == self.remote.ip() && now >= self.unheard_since() + SILENT;
        self.stream.is_none() || self.suspect || quiet || restarted
    }

    /// When [`Link::turns_suspect`].
    pub fn silence_deadline(&self) -> Option<Instant> {
        let proved = self.path.as_ref().is_some_and(|path| path.address().is_some());
        if self.stream.is_none() || self.suspect || !proved {
            return None;
        }
        let silence = self.silent_since().max(self.stream_heard) + SILENT;
        Some(self.doubted.map_or(silence, |doubted| silence.min(doubted + DOUBT)))
    }

    /// Queues a sentence in clear for somebody turned away before the handshake.
    pub fn turn_away(&mut self, refusal: Refusal, sentence: &str) {
        let answer = Answer { version: VERSION, refusal: Some(refusal), len: sentence.len().min(preamble::MAX_BODY) as u16 };
        let sentence = &sentence.as_bytes()[..usize::from(answer.len)];
        self.outgoing.clear();
        self.outgoing.push_back(Outgoing::Clear([&answer.encode()[..], sentence].concat()));
        self.stage = Stage::Over;
    }

    /// The connection id the peer puts on datagrams to us.
    pub fn connection(&self) -> u32 {
        self.local_connection
    }

    /// Whether the other side has said anything that may be an opening.
    pub fn has_spoken(&self) -> bool {
        !matches!(self.stage, Stage::Listening) || !self.inbox.is_empty()
    }

    /// Until when a peer that connected to us and has shown no sign of life since its hello keeps its place.
    pub fn mute_deadline(&self) -> Option<Instant> {
        let mute_since = self.path.as_ref()?.mute_since()?;
        (self.side == Side::Listener && self.stream.is_some() && !self.told).then(|| mute_since + MUTE)
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
    pub fn poll_stream(&mut self, out: &mut Vec<u8>) {
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
    pub fn seal_record(&mut self, record: &Record<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        self.poll_stream(out);
        if let Stage::Up(transport) = &mut self.stage {
            scratch.clear();
            record.encode(scratch);
            let sealed = transport.seal(scratch, out);
            debug_assert!(sealed.is_ok(), "a record too long to seal");
        }
    }
}

fn broken(error: crypto::Error) -> Fault {
    Fault::Protocol(error.to_string())
}
