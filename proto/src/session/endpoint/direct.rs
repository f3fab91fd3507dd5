//! Links to other guests of a meeting, whom the meeting point tells of: their datagrams go directly, their connection through it.
//!
//! **Problem.** Two guests behind two NATs reach the meeting point and not each other: no connection can be made from either
//! side. Datagrams can, once both have sent some (hole punching, RFC 5128), and pictures are datagrams.
//!
//! **Choice.** The meeting point tells both at the same time where the other is seen, and a key made for the two. Between them a
//! connection is relayed in records over their links to it, and over that goes what goes over TCP elsewhere: opening, handshake,
//! hello, records. So a direct link is a link as others are, sealed from end to end, but for its *socket*, which is none of
//! the driver's: what is written to it becomes [`Relayed`] records, and what comes as those is read from it. Both challenge all
//! addresses they were told, until one answers.
//!
//! A direct link is nobody's place and nobody's host, comes back by no token and rings nowhere: the meeting point has let both
//! in. It goes where no datagram passes within [`PUNCHES`], where none came for as long as one is quiet, and where the guest is linked
//! to us in another way; where the connection to the meeting point breaks, its datagrams go on. A new attempt by the same meeting point
//! goes on where the one before is; another one's is refused while that one works.
//!
//! A meeting point can have us send challenges to addresses of its choice: [`MOST_ADDRESSES`] in an attempt, thirty to each, and
//! [`Attempts`] bounds those. Without a key only private addresses are taken, as everywhere.
//!
//! [`MOST_ADDRESSES`]: crate::wire::record::MOST_ADDRESSES

use super::super::addresses::is_private;
use super::super::fault::Fault;
use super::super::link::{Direct, Link, LinkId};
use super::{Endpoint, Notice};
use crate::session::SocketId;
use crate::wire::record::{Hello, MOST_RELAYED, Reason, Record, Relayed, Rendezvous};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Guests that one has direct links to: what is sent goes up as many times (eight people in a mesh).
pub const MOST_DIRECT: usize = 7;

/// Hole punching is given up after so long.
const PUNCHES: Duration = Duration::from_secs(4);

/// Sockets from here on are relayed connections: no driver counts so far.
const FIRST_RELAYED: u64 = 1 << 63;

/// How many attempts may begin: as many at once as there are guests, and some anew.
pub(super) struct Attempts {
    left: f64,
    since: Option<Instant>,
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts { left: Self::MOST, since: None }
    }
}

impl Attempts {
    /// At once.
    const MOST: f64 = 2.0 * MOST_DIRECT as f64;
    /// A second.
    const RATE: f64 = 0.5;

    fn take(&mut self, now: Instant) -> bool {
        let passed = self.since.replace(now).map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        self.left = (self.left + passed * Self::RATE).min(Self::MOST);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

/// Where a guest of a meeting can be.
pub(in crate::session) fn is_place(address: &SocketAddr, keyed: bool) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let one = !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast && address.port() != 0;
    one && (keyed || is_private(ip))
}

impl Endpoint {
    /// A meeting point tells of another guest. Whether it may: only one that we dialled is believed, for whoever dials us can say
    /// that he is one, and everybody's id.
    pub fn meets(&mut self, now: Instant, via: LinkId, mut met: Rendezvous) -> bool {
        let is_point = |hello: &Hello| hello.forwards() && hello.goes_directly();
        let Some(point) = self.hello(via).filter(|hello| is_point(hello)).map(|hello| hello.id) else { return false };
        if !self.me.direct || self.is_direct(via) {
            return false;
        }
        if self.dialer.of(via).is_none() || met.guest == self.me.id || met.guest == point {
            self.relay(via, met.guest, met.attempt, &[]);
            return true;
        }
        // An attempt before this one that has not come to a hello is given up by the other side as well.
        let is_late =
            |link: &Link| link.direct.as_ref().is_some_and(|of| of.guest == met.guest && of.point == point) && !link.is_met();
        let late: Vec<LinkId> = self.links.iter().filter(|(_, link)| is_late(link)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.remove(id));
        let others =
            self.links.values().filter(|link| link.direct.as_ref().is_some_and(|direct| direct.guest != met.guest)).count();
        let linked = self.links.values().any(|link| link.is_met() && link.direct.is_none() && link.is_of(&met.guest));
        let known = self.links.values().any(|link| {
            let through_another = |direct: &Direct| direct.guest == met.guest && direct.point != point;
            link.direct.as_ref().is_some_and(through_another) && link.path.as_ref().is_some_and(|path| path.usable(now).is_some())
        });
        let keyed = self.keys.has_any();
        met.addresses.retain(|address| is_place(address, keyed));
        let (guest, attempt) = (met.guest, met.attempt);
        let full = others >= MOST_DIRECT || self.attempts_at(&guest) >= 2;
        if self.stopped || linked || known || full || met.addresses.is_empty() || !self.attempts.take(now) {
            self.relay(via, guest, attempt, &[]);
            return true;
        }
        let (socket, connection) = (SocketId(FIRST_RELAYED + self.next_link), self.free_connection());
        match Link::direct(now, (via, point), met, socket, connection) {
            Ok(Some(link)) => _ = self.insert(socket, connection, link),
            Ok(None) | Err(_) => self.relay(via, guest, attempt, &[]),
        }
        true
    }

    /// Links to this guest, and those that shake hands.
    fn attempts_at(&self, guest: &[u8; 16]) -> usize {
        let is_of = |link: &&Link| !link.liveness.is_retired() && link.direct.as_ref().is_some_and(|of| of.guest == *guest);
        self.links.values().filter(is_of).count()
    }

    /// What came of a relayed connection over a link to a meeting point. The link to read records of, if there is one.
    pub fn relayed(&mut self, now: Instant, via: LinkId, Relayed { guest, attempt, bytes }: Relayed) -> Option<LinkId> {
        let is_of = |link: &Link| link.direct.as_ref().is_some_and(|of| (of.via, of.guest, of.attempt) == (via, guest, attempt));
        let (id, link) = self.links.iter_mut().find(|(_, link)| is_of(link))?;
        let id = *id;
        if bytes.is_empty() {
            if let Some(socket) = link.liveness.socket() {
                self.by_socket.remove(&socket);
                link.liveness.closed();
            }
            self.down(id, None, "the other side closed it".to_string());
            return None;
        }
        link.receive(now, &bytes);
        Some(id)
    }

    /// Says a record of a relayed connection to the meeting point; nothing means that the connection is closed.
    fn relay(&mut self, via: LinkId, guest: [u8; 16], attempt: u32, bytes: &[u8]) {
        self.send(via, &Record::Relayed(Relayed { guest, attempt, bytes: bytes.to_vec() }));
    }

    /// What is to be written to a relayed connection, and `closes`: that it is closed then.
    fn write_relayed(&mut self, id: LinkId, bytes: &[u8], closes: bool) {
        let Some(direct) = self.links.get(&id).and_then(|link| link.direct.as_ref()) else { return };
        let (via, guest, attempt) = (direct.via, direct.guest, direct.attempt);
        bytes.chunks(MOST_RELAYED).for_each(|chunk| self.relay(via, guest, attempt, chunk));
        if closes {
            self.relay(via, guest, attempt, &[]);
        }
    }

    /// All that waits on relayed connections becomes records of their meeting points'.
    pub(super) fn write_all_relayed(&mut self) {
        // What waits here is joined by what is said of the same track.
        let takes =
            |link: &Link| self.links.get(&link.direct.as_ref()?.via).filter(|via| via.writable && via.takes_more()).map(|_| ());
        let waits = |link: &Link| link.has_outgoing() && link.liveness.socket().is_some() && takes(link).is_some();
        let waiting: Vec<LinkId> = self.links.iter().filter(|(_, link)| waits(link)).map(|(id, _)| *id).collect();
        for id in waiting {
            let mut bytes = Vec::new();
            if let Some(link) = self.links.get_mut(&id) {
                link.poll_bytes(&mut bytes);
            }
            self.write_relayed(id, &bytes, false);
        }
    }

    /// A direct link is about to be forgotten: its last words, and that it is closed, are said.
    pub(super) fn close_relayed(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.direct.is_some()) else { return };
        if link.liveness.socket().is_some() {
            let mut last = Vec::new();
            link.poll_bytes(&mut last);
            self.write_relayed(id, &last, true);
        }
    }

    /// The direct links to this guest but one: in use, or shaking hands.
    fn direct_to(&self, guest: &[u8; 16], but: LinkId) -> Vec<LinkId> {
        let is_of =
            |link: &Link| !link.liveness.is_retired() && link.direct.as_ref().is_some_and(|direct| direct.guest == *guest);
        self.links.iter().filter(|(id, link)| **id != but && is_of(link)).map(|(id, _)| *id).collect()
    }

    /// A direct link's guest said hello.
    pub(super) fn guest_greeted(&mut self, now: Instant, id: LinkId) {
        let Some((direct, hello)) = self.links.get(&id).and_then(|link| link.direct.as_ref().zip(link.hello.as_ref())) else {
            return;
        };
        if hello.id != direct.guest {
            return self.fail(now, id, Fault::Protocol("another guest than the one it was told of".to_string()));
        }
        let guest = direct.guest;
        // A new attempt goes on where the one before is.
        let mut former = None;
        for other in self.direct_to(&guest, id) {
            match self.links.get(&other).is_some_and(Link::is_met) {
                true => former = Some(other),
                false => self.remove(other),
            }
        }
        match former {
            Some(former) => self.replace(now, id, former, true),
            None => self.comes_up(now, id, None),
        }
    }

    /// A peer is linked to us in the usual way: what was told of it before is of no use.
    pub(super) fn needs_no_direct(&mut self, id: LinkId) {
        let Some(process) = self.hello(id).map(|hello| hello.id) else { return };
        for direct in self.direct_to(&process, id) {
            self.turn_out_direct(direct, "it is linked to us in another way");
        }
    }

    /// The connection to a meeting point is gone, and with it those that were relayed over it. What is said in datagrams goes on
    /// until two are introduced anew, or none come.
    pub(super) fn relays_no_more(&mut self, via: LinkId) {
        let mut unmet = Vec::new();
        for (id, link) in self.links.iter_mut().filter(|(_, link)| link.direct.as_ref().is_some_and(|direct| direct.via == via)) {
            self.by_socket.retain(|_, of| of != id);
            link.liveness.closed();
            unmet.extend((!link.is_met()).then_some(*id));
        }
        unmet.into_iter().for_each(|id| self.remove(id));
    }

    /// A link is forgotten. Where it was the last one to a meeting point, those whom it told of are left.
    pub(super) fn point_is_gone(&mut self, process: [u8; 16]) {
        if self.links.values().any(|link| link.is_met() && link.direct.is_none() && link.is_of(&process)) {
            return;
        }
        let told_of = |link: &Link| link.direct.as_ref().is_some_and(|direct| direct.point == process);
        let gone: Vec<LinkId> = self.links.iter().filter(|(_, link)| told_of(link)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.down(id, None, "the meeting point is gone".to_string()));
    }

    /// Leaves a guest: its datagrams go by way of the meeting point again.
    pub fn turn_out_direct(&mut self, id: LinkId, why: &str) {
        self.goodbye(id, Reason::Quit, why);
        self.down(id, Some(Reason::Quit), why.to_string());
    }

    /// Whatever is due of a direct link. `false`: it is gone.
    pub(super) fn tend_direct(&mut self, now: Instant, id: LinkId) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        let began = link.began;
        let Some(path) = &mut link.path else {
            if now >= began + PUNCHES {
                self.turn_out_direct(id, "its guest does not answer");
                return false;
            }
            return true;
        };
        if path.handle_timeout(now) {
            self.notices.push_back(Notice::Path(id));
        }
        let why = match path.address() {
            None if now >= began + PUNCHES => "no datagram passes",
            Some(_) if path.is_quiet(now) => "no datagram passes any more",
            _ => return true,
        };
        self.turn_out_direct(id, why);
        false
    }

    /// When [`Endpoint::tend_direct`] has something to do.
    pub(super) fn direct_deadline(&self, link: &Link) -> Option<Instant> {
        let path = link.path.as_ref();
        let punched = path.and_then(|path| path.address()).is_some();
        let gives_up = (!punched).then(|| link.began + PUNCHES);
        let quiet = path.filter(|_| punched).and_then(|path| path.heard()).map(|heard| heard + super::super::liveness::QUIET);
        gives_up.into_iter().chain(quiet).chain(path.and_then(|path| path.deadline())).min()
    }

    /// The process of the meeting point that told of the guest at the end of this link.
    pub fn introduced_by(&self, id: LinkId) -> Option<[u8; 16]> {
        Some(self.links.get(&id)?.direct.as_ref()?.point)
    }

    /// Another guest to whom datagrams go directly is at the end of this link.
    pub fn is_direct(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.direct.is_some())
    }

    /// Whether anything can be said over a link now: there is a connection.
    pub fn is_connected(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.liveness.socket().is_some())
    }

    /// Says a record for another guest to one, where its link takes more. Whether it does.
    pub fn relay_to(&mut self, id: LinkId, relayed: Relayed) -> bool {
        let takes = self.links.get(&id).is_some_and(Link::takes_more);
        if takes {
            self.send(id, &Record::Relayed(relayed));
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn attempts_are_few() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let mut taken = |seconds| (0..100).filter(|_| attempts.take(start + Duration::from_secs(seconds))).count();
        assert_eq!([0, 1, 2, 10, 1000].map(&mut taken), [14, 0, 1, 4, 14]);
    }

    #[test]
    fn nobody_is_at_an_address_that_is_none() {
        let is = |address: &str, keyed| is_place(&address.parse().unwrap(), keyed);
        for address in ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1", "8.8.8.8:0"] {
            assert!(!is(address, true), "{address}");
        }
        assert!(is("8.8.8.8:1", true) && !is("8.8.8.8:1", false) && is("192.168.1.2:1", false));
    }
}
