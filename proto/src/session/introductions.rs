//! What a meeting point tells its guests of each other, so that their datagrams go directly, and what it relays between them.
//!
//! Two guests are introduced where both can be (capability [`DIRECT`](crate::wire::record::DIRECT)), their addresses are proved,
//! one has something that the other wants, and neither plays a film or writes a file. Each has at most [`MOST_DIRECT`] others, for it
//! sends to each what it would send here once; who came first is introduced first. What becomes of it they find out themselves,
//! and go on by way of us meanwhile. Where one of them closes their connection they are introduced again after [`AGAIN`], then
//! after twice as long, and at last every [`SELDOM`]; where one has come back over another connection, at once.
//!
//! What two guests say to each other goes through us unread, sealed from end to end. Capacity: none is kept but in the queue of the
//! link it goes out on, where it waits behind no more than any line of text does; of each direction of a pair [`BURST`] records at
//! once and [`A_SECOND`] more a second. Where there is more, the connection is closed.

use super::endpoint::{Endpoint, MOST_DIRECT};
use super::link::LinkId;
use crate::crypto;
use crate::wire::record::{Hello, Record, Relayed, Rendezvous};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Two whose connection was closed are introduced again after so long, …
const AGAIN: Duration = Duration::from_secs(10);

/// … and at last so seldom.
const SELDOM: Duration = Duration::from_secs(640);

/// Records of one direction of a pair at once: a handshake, hellos and what is said of a track. Of all pairs of a guest they
/// fit into the queue of a link.
const BURST: f64 = 24.0;

/// And so many a second.
const A_SECOND: f64 = 20.0;

type Process = [u8; 16];

/// Two processes, the one with the smaller id first.
type Two = (Process, Process);

#[derive(Default)]
pub(super) struct Introductions {
    pairs: BTreeMap<Two, Pair>,
    attempts: u32,
    /// Somebody came, went or is somewhere else.
    news: bool,
}

struct Pair {
    links: (LinkId, LinkId),
    attempt: u32,
    /// What each may still say, and since when.
    left: [f64; 2],
    since: Instant,
    /// Their connection is closed: they are introduced again then.
    again: Option<Instant>,
    /// How long they wait for that.
    wait: Duration,
}

/// One that may be introduced.
struct Guest {
    link: LinkId,
    address: SocketAddr,
    offers: bool,
    wants: bool,
}

fn guest(hello: &Hello, link: LinkId, address: SocketAddr) -> Option<Guest> {
    let lossless = hello.offers.lossless || hello.wants.lossless;
    let (offers, wants) = (!hello.offers.is_none(), !hello.wants.is_none());
    (hello.goes_directly() && !lossless).then_some(Guest { link, address, offers, wants })
}

impl Introductions {
    /// Somebody came, went or is somewhere else.
    pub fn look_soon(&mut self) {
        self.news = true;
    }

    /// Introduces those who are to be.
    pub fn look(&mut self, now: Instant, links: impl Iterator<Item = LinkId>, endpoint: &mut Endpoint) {
        let due = self.pairs.values().any(|pair| pair.again.is_some_and(|again| now >= again));
        if !std::mem::take(&mut self.news) && !due {
            return;
        }
        let mut guests: BTreeMap<Process, Guest> = BTreeMap::new();
        for link in links.filter(|link| !endpoint.is_direct(*link)).collect::<Vec<_>>() {
            let Some(address) = endpoint.path(link).and_then(|path| path.address()) else { continue };
            let Some(hello) = endpoint.hello(link) else { continue };
            guests.extend(guest(hello, link, address).map(|guest| (hello.id, guest)));
        }
        self.pairs.retain(|(one, other), _| guests.contains_key(one) && guests.contains_key(other));
        let mut in_order: Vec<Process> = guests.keys().copied().collect();
        in_order.sort_by_key(|process| guests[process].link);
        for (place, one) in in_order.iter().enumerate() {
            for other in &in_order[..place] {
                self.introduce(now, (*one.min(other), *one.max(other)), &guests, endpoint);
            }
        }
    }

    fn introduce(&mut self, now: Instant, two: Two, guests: &BTreeMap<Process, Guest>, endpoint: &mut Endpoint) {
        let (one, other) = (&guests[&two.0], &guests[&two.1]);
        let links = (one.link, other.link);
        let wait = match self.pairs.get(&two) {
            Some(pair) if pair.links == links && pair.again.is_none_or(|again| now < again) => return,
            Some(pair) if pair.links == links => (pair.wait * 2).min(SELDOM),
            Some(_) => AGAIN,
            None if !(one.offers && other.wants || other.offers && one.wants) => return,
            None if [two.0, two.1].into_iter().any(|process| self.others(&process) >= MOST_DIRECT) => return,
            None => AGAIN,
        };
        self.attempts = self.attempts.wrapping_add(1);
        let (attempt, key) = (self.attempts, crypto::random());
        let tells = |guest: Process, dials, address| {
            Record::Rendezvous(Rendezvous { guest, attempt, key, dials, addresses: vec![address] })
        };
        endpoint.send(one.link, &tells(two.1, true, other.address));
        endpoint.send(other.link, &tells(two.0, false, one.address));
        self.pairs.insert(two, Pair { links, attempt, left: [BURST; 2], since: now, again: None, wait });
    }

    /// With how many a guest was introduced.
    fn others(&self, process: &Process) -> usize {
        self.pairs.keys().filter(|(one, other)| one == process || other == process).count()
    }

    /// One guest says something to another. Whether it may.
    pub fn relay(&mut self, now: Instant, link: LinkId, said: Relayed, endpoint: &mut Endpoint) -> bool {
        let Some(from) = endpoint.hello(link).map(|hello| hello.id) else { return false };
        let two = (from.min(said.guest), from.max(said.guest));
        let Some(pair) = self.pairs.get_mut(&two).filter(|pair| pair.attempt == said.attempt && pair.again.is_none()) else {
            return false;
        };
        let (direction, to) = match pair.links {
            (one, other) if one == link => (0, other),
            (one, other) if other == link => (1, one),
            _ => return false,
        };
        let passed = now.saturating_duration_since(pair.since).as_secs_f64();
        pair.left.iter_mut().for_each(|left| *left = (*left + passed * A_SECOND).min(BURST));
        (pair.since, pair.left[direction]) = (now, pair.left[direction] - 1.0);
        let closes = said.bytes.is_empty();
        let relayed = Relayed { guest: from, ..said };
        if pair.left[direction] >= 0.0 && endpoint.relay_to(to, relayed) && !closes {
            return true;
        }
        pair.again = Some(now + pair.wait);
        if !closes {
            let (attempt, bytes) = (pair.attempt, Vec::new());
            endpoint.send(link, &Record::Relayed(Relayed { guest: if two.0 == from { two.1 } else { two.0 }, attempt, bytes }));
            endpoint.send(to, &Record::Relayed(Relayed { guest: from, attempt, bytes: Vec::new() }));
        }
        true
    }

    /// When [`Introductions::look`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.pairs.values().filter_map(|pair| pair.again).min()
    }
}
