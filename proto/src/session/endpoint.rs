//! All links of a process: who is let in, who is dialled again, which datagram belongs to whom. The same for both roles.
//!
//! A stranger costs little and for a short time: [`admission::MAX_HANDSHAKES`] connections before their hello,
//! [`admission::MAX_PER_ADDRESS`] of one address, each for [`HANDSHAKE`](super::link::HANDSHAKE); the oldest gives way, but where
//! keys are guessed. Without a key a waiting side lets in only loopback, link-local and private addresses. Where all places are
//! taken, who is of the least use gives way ([`places`]). A link whose TCP connection broke without a goodbye lives on by its
//! keys ([`liveness`](super::liveness)): its datagrams go on, and the peer comes back with its resume token (`resumption`). Whom
//! we dial and when says `dialer`.

mod claims;
mod dialer;
mod direct;
mod introduction;
mod notices;
mod resumption;
mod ring;
mod teardown;
mod timeouts;
mod udp;

pub use direct::MOST_DIRECT;
pub(super) use direct::is_place;
pub use introduction::Introduction;
pub use notices::{Discarded, Incoming, Notice};

use self::dialer::Dialer;
use super::addresses::is_private;
use super::admission::{self, Room};
use super::fault::Fault;
use super::guesses::Guesses;
use super::handshake::KEYLESS;
use super::keyring::{Dial, Invitation, Keyring, Keys, Pair};
use super::link::{Advance, Identity, Link, LinkId};
use super::path::{Control, Opened, Path, Rejected};
use super::places;
use super::standstill::Standstill;
use super::unreachable::{DialError, Unreachable};
use super::{HostId, Output, SocketId};
use crate::crypto;
use crate::media::clock::Epoch;
use crate::wire;
use crate::wire::datagram::Header;
use crate::wire::preamble::Refusal;
use crate::wire::record::{Hello, Reason, Record};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// How an endpoint is set up.
pub struct Config {
    /// Who we are.
    pub me: Identity,
    /// How many hosts to dial.
    pub hosts: usize,
    /// Dial again when a link is lost.
    pub reconnect: bool,
    /// This process's media clock.
    pub epoch: Epoch,
    /// What it has beside the shared key.
    pub keys: Keys,
}

/// What is said of a peer whose place the same program took, started again: its `Event::SenderDown` or `Event::PeerDown` has
/// no reason and this sentence.
pub const STARTED_AGAIN: &str = "was started again";

pub struct Endpoint {
    me: Identity,
    reconnect: bool,
    epoch: Epoch,
    keys: Keyring,
    links: BTreeMap<LinkId, Link>,
    by_socket: BTreeMap<SocketId, LinkId>,
    by_connection: BTreeMap<u32, LinkId>,
    dialer: Dialer,
    closes: VecDeque<SocketId>,
    /// Last words of links that are gone: (socket, bytes).
    farewells: VecDeque<(SocketId, Vec<u8>)>,
    notices: VecDeque<Notice>,
    /// Links that the role was told of: what they said before waits to be read.
    admitted: VecDeque<LinkId>,
    warned: BTreeSet<LinkId>,
    /// Links whose queue of records is full: they do not read what they are told.
    overfull: VecDeque<LinkId>,
    next_link: u64,
    plain: Vec<u8>,
    counters: Discarded,
    guesses: Guesses,
    attempts: direct::Attempts,
    /// Addresses whose call was declined, each until it may ring again.
    declined: Vec<(IpAddr, Instant)>,
    standstill: Standstill,
    stopped: bool,
}

impl Endpoint {
    /// Dials its hosts from the first poll on.
    pub fn new(now: Instant, config: Config) -> Self {
        let Config { mut me, hosts, reconnect, epoch, keys } = config;
        let dialer = Dialer::new(now, hosts, reconnect);
        let keys = Keyring::new(me.psk.take(), keys);
        Endpoint {
            me,
            reconnect,
            epoch,
            keys,
            links: BTreeMap::new(),
            by_socket: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            dialer,
            closes: VecDeque::new(),
            farewells: VecDeque::new(),
            notices: VecDeque::new(),
            admitted: VecDeque::new(),
            warned: BTreeSet::new(),
            overfull: VecDeque::new(),
            next_link: 0,
            plain: Vec::new(),
            counters: Discarded::default(),
            guesses: Guesses::default(),
            attempts: direct::Attempts::default(),
            declined: Vec::new(),
            standstill: Standstill::default(),
            stopped: false,
        }
    }

    /// This process's media clock.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who we are.
    pub fn me(&self) -> &Identity {
        &self.me
    }

    /// A code to be shown, if there is another one.
    pub fn poll_invitation(&mut self) -> Option<Invitation> {
        self.keys.poll_news()
    }

    /// What was turned away so far.
    pub fn counters(&self) -> Discarded {
        self.counters
    }

    /// A datagram or record was of a track that is not there, or said too much: it was skipped.
    pub fn skipped(&mut self) {
        self.counters.skipped += 1;
    }

    /// A link, if it is (still) there.
    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    /// A link's hello.
    pub fn hello(&self, id: LinkId) -> Option<&Hello> {
        self.links.get(&id)?.hello.as_ref()
    }

    /// The host that a link belongs to, where we dialled.
    pub fn host(&self, id: LinkId) -> Option<HostId> {
        self.dialer.of(id)
    }

    /// A link's datagram path.
    pub fn path(&mut self, id: LinkId) -> Option<&mut Path> {
        self.links.get_mut(&id)?.path.as_mut()
    }

    /// When anything that opened last came from a link's peer by UDP; where nothing has, when the link began.
    pub fn last_heard(&self, id: LinkId) -> Option<Instant> {
        let link = self.links.get(&id)?;
        Some(link.path.as_ref().and_then(Path::heard).unwrap_or(link.began))
    }

    /// The role waits until then, or until something comes.
    pub fn waits(&mut self, deadline: Option<Instant>) {
        self.standstill.waits(deadline);
    }

    /// To be asked before each input: whether this process stood still until now. What did not come meanwhile, or comes late, is
    /// no evidence about the network: it lay in the sockets.
    pub fn wakes(&mut self, now: Instant) -> bool {
        let stood_still = self.standstill.wakes(now);
        if stood_still {
            self.links.values_mut().filter_map(|link| link.path.as_mut()).for_each(|path| path.stood_still(now));
        }
        stood_still
    }

    /// What happened, oldest first.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub fn handle_accepted(&mut self, now: Instant, socket: SocketId, from: SocketAddr, own: bool) {
        match admission::room(&self.links, from.ip()) {
            Room::Free => {}
            Room::InPlaceOf(evicted) => {
                self.counters.turned_away += 1;
                self.remove(evicted);
            }
            Room::Full => {
                self.counters.turned_away += 1;
                self.closes.push_back(socket);
                return;
            }
        }
        let Some(id) = self.add(now, None, socket, from) else { return };
        let near = own || is_private(from.ip());
        self.links.get_mut(&id).into_iter().for_each(|link| link.near = near);
        if !self.keys.has_any() && !near {
            self.fail(now, id, Fault::TurnedAway(Refusal::Address, KEYLESS.to_string()));
        } else if let Some(limit) = places::none(now, &self.links, from.ip(), !self.keys.lets_in_unknown()) {
            self.fail(now, id, Fault::TurnedAway(Refusal::Full, limit.to_string()));
        } else if let Some(wait) = self.guesses.wait(now, from.ip())
            && let Some(link) = self.links.get_mut(&id)
        {
            link.hold(now + wait);
        }
    }

    /// How a dial ended.
    pub fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>) {
        match outcome {
            Ok((socket, _)) if self.stopped => self.closes.push_back(socket),
            Ok((socket, remote)) => {
                let Some(id) = self.add(now, Some(self.keys.dial(host)), socket, remote) else {
                    return self.dialer.failed(now, host, true);
                };
                match self.dialer.connected(host, id) {
                    Ok(Some(evicted)) => self.remove(evicted),
                    Ok(None) => {}
                    Err(()) => self.remove(id),
                }
            }
            Err(error) => {
                let fatal = error.is_final();
                if fatal {
                    self.dialer.give_up(host)
                } else {
                    self.dialer.failed(now, host, error.has_address())
                }
                self.notices.push_back(Notice::Unreachable { host, error: error.into(), fatal });
            }
        }
    }

    fn add(&mut self, now: Instant, dial: Option<Dial>, socket: SocketId, remote: SocketAddr) -> Option<LinkId> {
        let connection = self.free_connection();
        match Link::new(now, dial, socket, remote, connection) {
            Ok(link) => Some(self.insert(socket, connection, link)),
            Err(_) => {
                self.closes.push_back(socket);
                None
            }
        }
    }

    /// A connection id that is unused.
    fn free_connection(&self) -> u32 {
        loop {
            let connection = u32::from_be_bytes(crypto::random());
            if !self.by_connection.contains_key(&connection) {
                return connection;
            }
        }
    }

    fn insert(&mut self, socket: SocketId, connection: u32, link: Link) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(id, link);
        self.by_socket.insert(socket, id);
        self.by_connection.insert(connection, id);
        id
    }

    /// Bytes came over TCP. Follow with [`Endpoint::next_record`] until it says `None`.
    pub fn handle_bytes(&mut self, now: Instant, socket: SocketId, bytes: &[u8]) -> Option<LinkId> {
        let id = *self.by_socket.get(&socket)?;
        self.links.get_mut(&id)?.receive(now, bytes);
        self.tcp_lives(id);
        Some(id)
    }

    /// The next record on a link that is for the role.
    pub fn next_record(&mut self, now: Instant, id: LinkId) -> Option<Record> {
        loop {
            let resume = self.dialer.resume(id);
            let link = self.links.get_mut(&id)?;
            let advanced = match link.claim.next() {
                Some(held) => {
                    self.plain = held;
                    Ok(Advance::Record)
                }
                None => link.advance(now, (&self.me, &mut self.keys), resume, &mut self.plain),
            };
            let open = link.claim.is_open();
            match advanced {
                Ok(Advance::Hungry) => return None,
                Ok(Advance::Greeted) => match link.hello.as_ref().and_then(|hello| self.me.misfit(hello)) {
                    Some(misfit) => self.fail(now, id, Fault::Unfit(misfit)),
                    None if self.is_direct(id) => self.guest_greeted(now, id),
                    None => self.greeted(now, id),
                },
                Ok(Advance::Record) => match Record::decode(&self.plain) {
                    Ok(Record::Goodbye(reason, sentence)) => self.fail(now, id, Fault::Left(reason, sentence)),
                    Ok(Record::Hello(_)) => self.fail(now, id, Fault::Protocol("a second hello".to_string())),
                    Ok(Record::Heard(heard)) => self.told_heard(now, id, heard),
                    Ok(Record::Same(proof)) => self.told_same(now, id, proof),
                    Ok(Record::Taken) => self.told_taken(now, id),
                    Ok(_) if open => {
                        self.hold(now, id);
                        self.told_taken(now, id);
                    }
                    Ok(record) => {
                        self.dialer.confirmed(id);
                        return Some(record);
                    }
                    Err(wire::Error::Unknown { .. }) => self.counters.skipped += 1,
                    Err(error) => {
                        let fault = link.nonsense(&error, self.plain.len());
                        self.fail(now, id, fault);
                    }
                },
                Err(fault) => self.fail(now, id, fault),
            }
        }
    }

    /// A link to read records of again: the role has been told of it since.
    pub fn poll_admitted(&mut self) -> Option<LinkId> {
        self.admitted.pop_front()
    }

    /// A TCP connection is gone.
    pub fn handle_closed(&mut self, now: Instant, socket: SocketId) {
        let Some(id) = self.by_socket.remove(&socket) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        link.liveness.closed();
        if link.liveness.is_retired() {
            return;
        }
        self.relays_no_more(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let (remote, began, greeted) = (link.remote, link.began, link.is_met());
        if link.spent && link.hello.is_none() {
            return self.code_spent(id, remote);
        }
        let keeps = greeted && self.reconnect;
        if let Some(host) = self.dialer.of(id) {
            if greeted {
                self.dialer.met(host);
            }
            if !greeted && self.dialer.link(host).is_none() {
                self.notices.push_back(Notice::Unreachable { host, error: Unreachable::HungUp(remote), fatal: false });
            }
            self.dialer.broke(now, host, began, keeps);
        } else if !greeted {
            self.counters.turned_away += 1;
        }
        if !keeps {
            self.down(id, None, "the connection broke".to_string());
        }
    }

    /// The kernel takes more, or does not.
    pub fn handle_writable(&mut self, socket: SocketId, writable: bool) {
        if let Some(link) = self.by_socket.get(&socket).and_then(|id| self.links.get_mut(id)) {
            link.writable = writable;
        }
    }

    /// A datagram came; what is for the role is handed back.
    pub fn handle_datagram<'a>(&mut self, now: Instant, from: SocketAddr, bytes: &'a mut [u8]) -> Option<(LinkId, Incoming<'a>)> {
        let Ok(header) = Header::decode(bytes) else {
            self.counters.unknown += 1;
            return None;
        };
        let id = self.by_connection.get(&header.connection).copied();
        let path = id.and_then(|id| self.links.get_mut(&id)?.path.as_mut());
        let (Some(id), Some(path)) = (id, path) else {
            self.counters.unknown += 1;
            return None;
        };
        let heard = path.heard();
        let opened = path.open(now, &self.epoch, from, header, bytes);
        if self.links.get(&id).is_some_and(|link| link.claim.is_open()) {
            // Only its address is proved meanwhile.
            return None;
        }
        if opened.is_ok() {
            self.heard(now, id, heard);
        }
        match opened {
            Ok(Opened::Message(number, message)) => Some((id, Incoming::Message(number, message))),
            Ok(Opened::Clock(number, asked, received, replied)) => {
                Some((id, Incoming::Clock { number, asked, received, replied }))
            }
            Ok(Opened::Validated(number)) => {
                if let Some(host) = self.dialer.of(id) {
                    self.dialer.met(host);
                }
                self.dialer.confirmed(id);
                self.notices.push_back(Notice::Path(id));
                Some((id, Incoming::Control(number)))
            }
            Ok(Opened::Done(number)) => Some((id, Incoming::Control(number))),
            Ok(Opened::Probe { number, lost }) => Some((id, Incoming::Probe { number, lost })),
            // Of no kind that is known.
            Ok(Opened::Skipped(number)) => {
                self.counters.skipped += 1;
                Some((id, Incoming::Control(number)))
            }
            Err(Rejected::Replayed) => {
                self.counters.replayed += 1;
                None
            }
            Err(Rejected::Forged) => {
                self.counters.forged += 1;
                None
            }
            Err(Rejected::Short) => {
                self.counters.unknown += 1;
                None
            }
        }
    }

    /// The kernel takes no datagram of this length to this address.
    pub fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize) {
        for path in self.links.values_mut().filter_map(|link| link.path.as_mut()).filter(|path| path.address() == Some(to)) {
            path.refused(now, len);
        }
    }

    /// Queues a record on a link.
    pub fn send(&mut self, id: LinkId, record: &Record) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.send(record) {
            self.overfull.push_back(id);
        }
    }

    /// Queues a control datagram on a link.
    pub fn control(&mut self, id: LinkId, control: Control) {
        if let Some(path) = self.path(id) {
            path.queue(control);
        }
    }

    /// Says goodbye and closes: the link is gone when this returns.
    pub fn leave(&mut self, id: LinkId, reason: Reason, sentence: &str) {
        self.goodbye(id, reason, sentence);
        self.remove(id);
    }

    fn goodbye(&mut self, id: LinkId, reason: Reason, sentence: &str) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.is_up()) {
            link.send(&Record::Goodbye(reason, sentence.to_string()));
        }
    }

    /// One more host is to be dialled, from now on.
    pub fn dial(&mut self, now: Instant, host: HostId, pair: Option<Pair>) {
        if !self.stopped {
            self.keys.means(host, pair);
            self.dialer.add(now, host);
        }
    }

    /// Leaves everybody; nobody is dialled any more.
    pub fn stop(&mut self, sentence: &str) {
        self.stopped = true;
        self.dialer.stop();
        let all: Vec<LinkId> = self.links.keys().copied().collect();
        for id in all {
            self.leave(id, Reason::Quit, sentence);
        }
    }

    /// The next thing to do about connections and control datagrams; `None` when there is nothing left.
    pub fn poll<Event>(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Output<Event>> {
        while let Some(id) = self.overfull.pop_front() {
            self.lose(now, id, "it does not read what it is told");
        }
        if let Some((socket, bytes)) = self.farewells.pop_front() {
            buffer.extend_from_slice(&bytes);
            return Some(Output::Bytes { socket });
        }
        if let Some(socket) = self.closes.pop_front() {
            return Some(Output::Close { socket });
        }
        if let Some(host) = self.dialer.poll(now) {
            return Some(Output::Dial { host, also: self.proved_place(host) });
        }
        self.write_all_relayed();
        for link in self.links.values_mut() {
            if let Some(socket) = link.liveness.socket().filter(|_| link.writable && link.has_outgoing() && link.direct.is_none())
            {
                link.poll_bytes(buffer);
                return Some(Output::Bytes { socket });
            }
            if let Some(path) = link.path.as_mut().filter(|_| !link.liveness.is_retired())
                && let Some(to) = path.poll_control(now, &self.epoch, buffer)
            {
                return Some(Output::Datagrams { to, segment: buffer.len(), len: buffer.len() });
            }
        }
        None
    }

    /// A link to seal sound on, if it takes any now.
    pub fn writable(&mut self, id: LinkId) -> Option<(SocketId, &mut Link)> {
        let link = self.links.get_mut(&id).filter(|link| link.is_up() && link.writable && link.direct.is_none())?;
        Some((link.liveness.socket()?, link))
    }
}
