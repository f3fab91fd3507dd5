//! What a meeting point tells its guests of each other, so that their datagrams go directly, and what it relays between them.
//!
//! Two guests are introduced where both can be (capability [`DIRECT`](crate::wire::record::DIRECT)), their addresses are proved,
//! both have said which they have themselves (two behind one router reach each other there, and not by its own), one has something that the other wants, and neither plays a film or writes a file. Each has at most [`MOST_DIRECT`] others, for it
//! sends to each what it would send here once; who came first is introduced first. What becomes of it they find out themselves,
//! and go on by way of us meanwhile. Where one of them closes their connection they are introduced again after [`AGAIN`], then
//! after twice as long, and at last every [`SELDOM`]; where one has come back over another connection, at once.
//!
//! What two guests say to each other goes through us unread, sealed from end to end. Capacity: none is kept but in the queue of the
//! link it goes out on, where it waits behind no more than any line of text does; of each direction of a pair [`BURST`] records at
//! once and [`A_SECOND`] more a second. Where there is more, the connection is closed.

use super::endpoint::{Endpoint, MOST_DIRECT, is_place};
use super::link::LinkId;
use crate::crypto;
use crate::wire::record::{Hello, MOST_ADDRESSES, Record, Relayed, Rendezvous};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Two whose connection was closed are introduced again after so long, …
const AGAIN: Duration = Duration::from_secs(10);

/// … and at last so seldom.
const SELDOM: Duration = Duration::from_secs(640);

/// Two who went directly for so long are introduced again as if it were the first time.
const LASTED: Duration = Duration::from_secs(60);

/// Between two looks: at most 256 guests come and go as often as they like.
const LOOK: Duration = Duration::from_millis(200);

/// Records of one direction of a pair at once: a handshake, hellos and what is said of a track. Of all pairs of a guest they
/// fit into the queue of a link.
const BURST: f64 = 24.0;

/// And so many a second.
const A_SECOND: f64 = 20.0;

/// A record counts as one for each so many of its bytes, and for what it begins of them: 12 KiB at once, 10 KiB a second.
const BYTES: usize = 512;

type Process = [u8; 16];

/// Two processes, the one with the smaller id first.
type Two = (Process, Process);

#[derive(Default)]
pub(super) struct Introductions {
    pairs: BTreeMap<Two, Pair>,
    /// What guests say of where they are.
    own: BTreeMap<LinkId, Vec<SocketAddr>>,
    attempts: u32,
    /// Somebody came, went or is somewhere else.
    news: Option<Instant>,
    looked: Option<Instant>,
}

struct Pair {
    links: (LinkId, LinkId),
    attempt: u32,
    /// What each may still say, and since when.
    left: [f64; 2],
    since: Instant,
    /// When they were introduced.
    began: Instant,
    /// Their connection is closed: they are introduced again then.
    again: Option<Instant>,
    /// How long they wait for that.
    wait: Duration,
}

/// One that may be introduced.
struct Guest {
    link: LinkId,
    addresses: Vec<SocketAddr>,
    offers: bool,
    wants: bool,
    /// With how many it was introduced.
    others: usize,
}

fn guest(hello: &Hello, link: LinkId, addresses: Vec<SocketAddr>) -> Option<Guest> {
    let lossless = hello.offers.lossless || hello.wants.lossless;
    let (offers, wants) = (!hello.offers.is_none(), !hello.wants.is_none());
    (hello.goes_directly() && !lossless).then_some(Guest { link, addresses, offers, wants, others: 0 })
}

impl Introductions {
    /// Somebody came, went or is somewhere else.
    pub fn look_soon(&mut self, now: Instant) {
        self.news.get_or_insert(now);
    }

    /// A guest says where it is by its own account.
    pub fn are_at(&mut self, now: Instant, link: LinkId, addresses: Vec<SocketAddr>) {
        self.own.insert(link, addresses);
        self.look_soon(now);
    }

    /// A link is gone.
    pub fn forget(&mut self, now: Instant, link: LinkId) {
        self.own.remove(&link);
        self.look_soon(now);
    }

    /// Introduces those who are to be.
    pub fn look(&mut self, now: Instant, links: impl Iterator<Item = LinkId>, endpoint: &mut Endpoint) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        (self.news, self.looked) = (None, Some(now));
        let mut guests: BTreeMap<Process, Guest> = BTreeMap::new();
        let mut here: BTreeSet<Process> = BTreeSet::new();
        // Whom we dialled ourselves does not take our word for it.
        let may_be = |link: &LinkId| !endpoint.is_direct(*link) && endpoint.host(*link).is_none();
        for link in links.filter(may_be).collect::<Vec<_>>() {
            here.extend(endpoint.hello(link).map(|hello| hello.id));
            if !endpoint.is_connected(link) {
                // It is told when it is back.
                continue;
            }
            let Some(seen) = endpoint.path(link).and_then(|path| path.address()) else { continue };
            let (Some(hello), Some(own)) = (endpoint.hello(link), self.own.get(&link)) else { continue };
            let mut addresses = vec![seen];
            addresses.extend(own.iter().copied().filter(|own| *own != seen && is_place(own, true)));
            addresses.truncate(MOST_ADDRESSES);
            guests.extend(guest(hello, link, addresses).map(|guest| (hello.id, guest)));
        }
        self.pairs.retain(|(one, other), _| here.contains(one) && here.contains(other));
        // Who was introduced in vain holds no place.
        for (one, other) in self.pairs.iter().filter(|(_, pair)| pair.again.is_none()).map(|(two, _)| two) {
            for process in [one, other] {
                guests.entry(*process).and_modify(|guest| guest.others += 1);
            }
        }
        let mut in_order: Vec<Process> = guests.keys().copied().collect();
        in_order.sort_by_key(|process| guests[process].link);
        for (place, one) in in_order.iter().enumerate() {
            for other in &in_order[..place] {
                self.introduce(now, (*one.min(other), *one.max(other)), &mut guests, endpoint);
            }
        }
    }

    fn introduce(&mut self, now: Instant, two: Two, guests: &mut BTreeMap<Process, Guest>, endpoint: &mut Endpoint) {
        let (one, other) = (&guests[&two.0], &guests[&two.1]);
        let links = (one.link, other.link);
        let (wait, holds) = match self.pairs.get(&two) {
            Some(pair) if pair.links == links && pair.again.is_none_or(|again| now < again) => return,
            Some(pair) if pair.links == links => ((pair.wait * 2).min(SELDOM), false),
            Some(pair) => (AGAIN, pair.again.is_none()),
            None if !(one.offers && other.wants || other.offers && one.wants) => return,
            None => (AGAIN, false),
        };
        if !holds && one.others.max(other.others) >= MOST_DIRECT {
            // Others go directly instead; who is one of these may go.
            if let Some(pair) = self.pairs.get_mut(&two) {
                pair.again = Some(now + AGAIN);
            }
            return;
        }
        self.attempts = self.attempts.wrapping_add(1);
        let (attempt, key) = (self.attempts, crypto::random());
        let tells = |guest: Process, dials, addresses: &Vec<SocketAddr>| {
            Record::Rendezvous(Rendezvous { guest, attempt, key, dials, addresses: addresses.clone() })
        };
        endpoint.send(one.link, &tells(two.1, true, &other.addresses));
        endpoint.send(other.link, &tells(two.0, false, &one.addresses));
        for process in [two.0, two.1].into_iter().filter(|_| !holds) {
            guests.entry(process).and_modify(|guest| guest.others += 1);
        }
        self.pairs.insert(two, Pair { links, attempt, left: [BURST; 2], since: now, began: now, again: None, wait });
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
        (pair.since, pair.left[direction]) = (now, pair.left[direction] - said.bytes.len().div_ceil(BYTES).max(1) as f64);
        let closes = said.bytes.is_empty();
        if !closes && !endpoint.is_connected(to) {
            // Once it is back they are introduced anew, and until then their datagrams go on.
            return true;
        }
        let relayed = Relayed { guest: from, ..said };
        if pair.left[direction] >= 0.0 && endpoint.relay_to(to, relayed) && !closes {
            return true;
        }
        if now >= pair.began + LASTED {
            pair.wait = AGAIN;
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
        let due = self.pairs.values().filter_map(|pair| pair.again).chain(self.news).min();
        due.map(|due| self.looked.map_or(due, |looked| due.max(looked + LOOK)))
    }
}
