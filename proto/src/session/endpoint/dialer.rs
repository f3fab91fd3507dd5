//! Whom we dial, and when.
//!
//! **Problem.** After an outage the picture comes back by itself, as UDP is probed four times a second. TCP does not: its
//! retransmission timer has doubled all along (RFC 6298 §5.5), so its next try may be a minute away, and where the cable was
//! pulled or the address changed nothing ever says that the connection is dead. Sound would be gone for as long.
//!
//! **Choice.** A host whose connection broke, or whose peer has been silent for three probes (`endpoint` says which), is *lost*:
//! it is dialled every [`REDIAL`], each time with a fresh connection beside those under way, for the old ones sit in the same
//! back-off. When a datagram comes again it is dialled at once. The first connection to say hello wins, the others are dropped. A
//! host never met is dialled one connection at a time, so that its failure is told.
//!
//! **Rejected.** A TCP user timeout or keepalive: set by the kernel's clock, in seconds, and says nothing of when the path is
//! back. Waiting for TCP: 1.2 s after an outage of 5 s, up to a minute after longer ones.
//!
//! Capacity: [`MAX_ATTEMPTS`] connections of a host that shake hands. One that is dialled because a datagram came takes the
//! oldest's place.

use super::super::HostId;
use super::super::link::LinkId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two tries to dial a host.
pub const REDIAL: Duration = Duration::from_millis(500);

/// A connection that had lasted is dialled again after this: the other side may be closing its own end still.
const REDIAL_LASTED: Duration = Duration::from_millis(50);

/// A host whose answers help nobody is dialled again after [`REDIAL`], then after twice as long, and at last so seldom.
pub const SELDOM: Duration = Duration::from_secs(10);

/// A name without an address is looked up again after [`REDIAL`], then after twice as long, and at last so seldom: a robot that
/// was just switched on is met within seconds, and name servers are not asked twice a second for ever.
pub const LOOK_UP: Duration = Duration::from_secs(5);

/// Connections of one host shaking hands at once: one less than a waiting side lets one address have (`admission`).
pub const MAX_ATTEMPTS: usize = 3;

struct Host {
    /// It was asked to be dialled since, and there is no answer.
    dialling: Option<Instant>,
    /// When it was last asked to be.
    dialled: Option<Instant>,
    /// When to dial next.
    next: Option<Instant>,
    /// Dial on and on, beside what is under way.
    lost: bool,
    /// The connection in use.
    link: Option<LinkId>,
    /// Those shaking hands, oldest first.
    attempts: VecDeque<LinkId>,
    /// What we come back with.
    resume: [u8; 16],
    /// What the peer gave us over the connection in use.
    given: [u8; 16],
    /// It was connected once: more than a hello, for who shows another sender says hello as well.
    met: bool,
    /// Answers in a row that did not want us, some of which said hello first.
    refusals: u32,
    /// Look-ups in a row that found no address.
    unknown: u32,
}

pub(super) struct Dialer {
    hosts: Vec<Host>,
    reconnect: bool,
}

impl Dialer {
    /// So many hosts, to be dialled from `now` on; `reconnect`: and again.
    pub fn new(now: Instant, count: usize, reconnect: bool) -> Self {
        Dialer { hosts: std::iter::repeat_with(|| Host::new(now)).take(count).collect(), reconnect }
    }

    /// One more host, to be dialled from `now` on: its number is the next, or it is there already.
    pub fn add(&mut self, now: Instant, host: HostId) {
        if host.0 == self.hosts.len() {
            self.hosts.push(Host::new(now));
        }
    }

    /// The host a link belongs to.
    pub fn of(&self, link: LinkId) -> Option<HostId> {
        self.hosts.iter().position(|host| host.link == Some(link) || host.attempts.contains(&link)).map(HostId)
    }

    /// The host that this link is in use for.
    pub fn using(&self, link: LinkId) -> Option<HostId> {
        self.hosts.iter().position(|host| host.link == Some(link)).map(HostId)
    }

    /// The link in use for a host.
    pub fn link(&self, host: HostId) -> Option<LinkId> {
        self.hosts.get(host.0)?.link
    }

    /// What a link's peer gave us to come back with; zeros if nothing.
    pub fn resume(&self, link: LinkId) -> [u8; 16] {
        self.of(link).map_or([0; 16], |host| self.hosts[host.0].resume)
    }

    /// A dial brought this connection. Gives the attempt that makes room for it; `Err`: it is not wanted any more.
    pub fn connected(&mut self, host: HostId, link: LinkId) -> Result<Option<LinkId>, ()> {
        let host = self.hosts.get_mut(host.0).ok_or(())?;
        (host.dialling, host.unknown) = (None, 0);
        if host.link.is_some() && !host.lost {
            return Err(());
        }
        if !host.lost {
            host.next = None;
        }
        let evicted = if host.attempts.len() >= MAX_ATTEMPTS { host.attempts.pop_front() } else { None };
        host.attempts.push_back(link);
        Ok(evicted)
    }

    /// A dial failed; `found`: at an address, else none was found.
    pub fn failed(&mut self, now: Instant, host: HostId, found: bool) {
        let Some(host) = self.hosts.get_mut(host.0) else { return };
        // What turned us away answers no more.
        host.refusals = 0;
        host.unknown = if found { 0 } else { host.unknown.saturating_add(1) };
        let took_long = host.dialling.take().is_some_and(|began| now >= began + REDIAL);
        if self.reconnect && (host.link.is_none() || host.lost) {
            let pause = host.dialled.map_or(now, |dialled| dialled + host.pause());
            host.next = Some(if took_long && found { now } else { pause.max(now) });
        }
    }

    /// A connection said hello: it is in use from now on. Gives those that came too late.
    pub fn greeted(&mut self, host: HostId, link: LinkId, token: [u8; 16]) -> Vec<LinkId> {
        let Some(host) = self.hosts.get_mut(host.0) else { return Vec::new() };
        (host.link, host.given, host.lost, host.next) = (Some(link), token, false, None);
        if host.resume == [0; 16] {
            host.resume = token;
        }
        host.attempts.drain(..).filter(|other| *other != link).collect()
    }

    /// The peer showed that it read our hello over this link: it knows by now what it gave us there. One that stood still answers
    /// many attempts at once and may drop this one unread; what it gave before is known there until this is said.
    pub fn confirmed(&mut self, link: LinkId) {
        for host in self.hosts.iter_mut().filter(|host| host.link == Some(link)) {
            host.resume = host.given;
        }
    }

    /// The connection in use, or an attempt, ended and lives by its keys at most: dialled again, at once where it had lasted, for
    /// one that ends as soon as it began would be dialled without a pause. `keeps`: by its keys the link goes on.
    pub fn broke(&mut self, now: Instant, host: HostId, began: Instant, keeps: bool) {
        let soon = now + if now >= began + REDIAL { REDIAL_LASTED } else { REDIAL };
        for host in self.names_of(host).into_iter().flatten() {
            host.next = Some(host.next.map_or(soon, |next| next.min(soon)));
            host.lost |= keeps;
        }
    }

    /// A host, and those that have its connection in use, too: one process that was given under several names, of which each may
    /// be the one that answers next time. `None` where nobody is dialled again.
    fn names_of(&mut self, host: HostId) -> Option<impl Iterator<Item = &mut Host>> {
        let link = self.hosts.get(host.0)?.link;
        let is_one = move |(place, other): &(usize, &mut Host)| *place == host.0 || (link.is_some() && other.link == link);
        self.reconnect.then(|| self.hosts.iter_mut().enumerate().filter(is_one).map(|(_, host)| host))
    }

    /// Nothing is heard through the connection in use.
    pub fn silent(&mut self, now: Instant, host: HostId) {
        for host in self.names_of(host).into_iter().flatten().filter(|host| !host.lost) {
            host.lost = true;
            host.next = Some(host.next.map_or(now, |next| next.min(now)));
        }
    }

    /// Something was heard after a silence: whatever stood in the way is gone. Gives the attempt that makes room for a fresh one.
    pub fn heard_again(&mut self, now: Instant, host: HostId) -> Option<LinkId> {
        let host = self.hosts.get_mut(host.0).filter(|host| self.reconnect && host.lost)?;
        host.next = Some(now);
        if host.attempts.len() >= MAX_ATTEMPTS { host.attempts.pop_front() } else { None }
    }

    /// The connection in use works after all.
    pub fn well(&mut self, host: HostId) {
        for host in self.names_of(host).into_iter().flatten() {
            (host.lost, host.next) = (false, None);
        }
    }

    /// A link is gone. A host that is lost stays so: with its keys grown old it is met anew. What becomes of the one that it was
    /// in use for is said elsewhere; other names of the same process are dialled again.
    pub fn removed(&mut self, link: LinkId) {
        let has_it = |host: &&mut Host| host.link == Some(link) || host.attempts.contains(&link);
        for (index, host) in self.hosts.iter_mut().filter(has_it).enumerate() {
            host.link = host.link.filter(|used| *used != link);
            host.attempts.retain(|attempt| *attempt != link);
            let is_idle = host.link.is_none() && host.attempts.is_empty() && host.dialling.is_none();
            if index > 0 && is_idle && self.reconnect {
                host.next = host.next.or(host.dialled.map(|dialled| dialled + REDIAL));
            }
        }
    }

    /// A link of it did what links are for.
    pub fn met(&mut self, host: HostId) {
        if let Some(host) = self.hosts.get_mut(host.0) {
            (host.met, host.refusals) = (true, 0);
        }
    }

    /// Whether one ever did.
    pub fn was_met(&self, host: HostId) -> bool {
        self.hosts.get(host.0).is_some_and(|host| host.met)
    }

    /// What answers for it does not want us, or is no peer.
    pub fn turned_away(&mut self, now: Instant, host: HostId) {
        let Some(host) = self.hosts.get_mut(host.0).filter(|_| self.reconnect) else { return };
        host.refusals = host.refusals.saturating_add(1);
        host.next = Some(now + host.pause());
    }

    /// There is no place for it now: it is looked for again after a while.
    pub fn rests(&mut self, now: Instant, host: HostId) {
        if let Some(host) = self.hosts.get_mut(host.0).filter(|_| self.reconnect) {
            host.next = Some(now + SELDOM);
        }
    }

    /// Dialling it again is of no use.
    pub fn give_up(&mut self, host: HostId) {
        if let Some(host) = self.hosts.get_mut(host.0) {
            (host.lost, host.next) = (false, None);
        }
    }

    /// The same, and whatever is under way is of no use either: these links.
    pub fn give_up_wholly(&mut self, host: HostId) -> Vec<LinkId> {
        self.give_up(host);
        self.hosts.get_mut(host.0).map(|host| host.attempts.drain(..).collect()).unwrap_or_default()
    }

    /// Somebody is asked about us over this link: nobody else is dialled there meanwhile. Gives the other attempts, which are of
    /// no use.
    pub fn rings(&mut self, host: HostId, link: LinkId) -> Vec<LinkId> {
        let Some(host) = self.hosts.get_mut(host.0) else { return Vec::new() };
        (host.lost, host.next) = (false, None);
        let others = host.attempts.iter().copied().filter(|attempt| *attempt != link).collect();
        host.attempts.retain(|attempt| *attempt == link);
        others
    }

    /// Nobody is dialled any more.
    pub fn stop(&mut self) {
        self.reconnect = false;
        for host in &mut self.hosts {
            (host.next, host.lost) = (None, false);
        }
    }

    /// When [`Dialer::poll`] has somebody to dial.
    pub fn deadline(&self) -> Option<Instant> {
        self.hosts.iter().filter(|host| host.may_dial()).filter_map(|host| host.next).min()
    }

    /// Whom to dial now.
    pub fn poll(&mut self, now: Instant) -> Option<HostId> {
        let due = |host: &Host| host.may_dial() && host.next.is_some_and(|next| now >= next);
        let place = self.hosts.iter().position(due)?;
        let host = &mut self.hosts[place];
        host.dialling.get_or_insert(now);
        host.dialled = Some(now);
        host.next = host.lost.then(|| now + host.pause());
        Some(HostId(place))
    }
}

impl Host {
    fn new(now: Instant) -> Self {
        Host {
            dialling: None,
            dialled: None,
            next: Some(now),
            lost: false,
            link: None,
            attempts: VecDeque::new(),
            resume: [0; 16],
            given: [0; 16],
            met: false,
            refusals: 0,
            unknown: 0,
        }
    }

    /// Between two tries.
    fn pause(&self) -> Duration {
        // A shift by more than this is beyond the longest anyway.
        let after = |tries: u32, longest: Duration| (REDIAL * (1 << tries.saturating_sub(1).min(8))).min(longest);
        after(self.refusals, SELDOM).max(after(self.unknown, LOOK_UP))
    }

    fn may_dial(&self) -> bool {
        if self.lost { self.attempts.len() < MAX_ATTEMPTS } else { self.dialling.is_none() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostId = HostId(0);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// One host, met at `start` over link 0.
    fn met(start: Instant) -> Dialer {
        let mut dialer = Dialer::new(start, 1, true);
        assert_eq!(dialer.poll(start), Some(HOST));
        assert_eq!(dialer.connected(HOST, LinkId(0)), Ok(None));
        assert_eq!(dialer.greeted(HOST, LinkId(0), [1; 16]), []);
        assert_eq!((dialer.poll(start + ms(9000)), dialer.deadline()), (None, None));
        dialer
    }

    #[test]
    fn a_host_that_is_named_later_is_dialled_from_then_on_beside_the_others() {
        let start = Instant::now();
        let mut dialer = Dialer::new(start, 0, true);
        assert_eq!((dialer.deadline(), dialer.poll(start)), (None, None));
        dialer.add(start, HOST);
        dialer.add(start, HOST);
        dialer.add(start, HostId(7));
        assert_eq!([dialer.poll(start), dialer.poll(start)], [Some(HOST), None], "each once, and none without its number");
        dialer.failed(start, HOST, true);
        assert_eq!(dialer.poll(start + REDIAL), Some(HOST));
    }

    #[test]
    fn a_host_never_met_is_dialled_one_connection_at_a_time() {
        let start = Instant::now();
        let mut dialer = Dialer::new(start, 1, true);
        assert_eq!(dialer.poll(start), Some(HOST));
        assert_eq!((dialer.poll(start + ms(2000)), dialer.deadline()), (None, None), "its answer is waited for");
        dialer.failed(start + ms(3000), HOST, true);
        assert_eq!(dialer.poll(start + ms(3000)), Some(HOST), "a dial that took long is followed by the next");
        dialer.failed(start + ms(3001), HOST, true);
        assert_eq!(dialer.deadline(), Some(start + ms(3500)), "one that was refused is not repeated at once");
    }

    #[test]
    fn a_lost_host_is_dialled_twice_a_second_whatever_became_of_the_dials_before() {
        let start = Instant::now();
        let mut dialer = met(start);
        dialer.silent(start + ms(10_000), HOST);
        let mut dials = 0;
        for at in (10_000..12_000).step_by(50) {
            dials += usize::from(dialer.poll(start + ms(at)).is_some());
        }
        assert_eq!(dials, 4);
        assert_eq!(dialer.heard_again(start + ms(12_010), HOST), None);
        assert_eq!(dialer.poll(start + ms(12_010)), Some(HOST), "at once when something is heard");
    }

    #[test]
    fn of_two_names_of_one_process_both_are_dialled_again() {
        let (start, other) = (Instant::now(), HostId(1));
        let both = || {
            let mut dialer = Dialer::new(start, 2, true);
            assert_eq!([dialer.poll(start), dialer.poll(start)], [Some(HOST), Some(other)]);
            assert_eq!(dialer.connected(HOST, LinkId(0)), Ok(None));
            assert_eq!(dialer.connected(other, LinkId(1)), Ok(None));
            dialer.greeted(HOST, LinkId(0), [1; 16]);
            // The second is found to be the first.
            dialer.removed(LinkId(1));
            dialer.greeted(other, LinkId(0), [2; 16]);
            dialer.greeted(HOST, LinkId(0), [2; 16]);
            dialer.confirmed(LinkId(0));
            assert!(dialer.hosts.iter().all(|host| host.resume == [2; 16]), "whichever is dialled says what is known there");
            assert_eq!(dialer.deadline(), None);
            dialer
        };
        let dialled = |dialer: &mut Dialer| [dialer.poll(start + ms(10_100)), dialer.poll(start + ms(10_100))];
        let mut dialer = both();
        dialer.silent(start + ms(10_000), HOST);
        assert_eq!(dialled(&mut dialer), [Some(HOST), Some(other)], "nothing is heard: either may be the one that leads there");
        let mut dialer = both();
        dialer.broke(start + ms(10_000), HOST, start, false);
        dialer.removed(LinkId(0));
        assert_eq!(dialled(&mut dialer), [Some(HOST), Some(other)], "it broke");
        let mut dialer = both();
        dialer.removed(LinkId(0));
        dialer.turned_away(start + ms(10_000), HOST);
        assert_eq!(dialled(&mut dialer), [Some(other), None], "the first waits, as it was told to");
        let mut dialer = both();
        dialer.silent(start + ms(10_000), HOST);
        dialer.well(HOST);
        assert_eq!(dialled(&mut dialer), [None, None]);
    }

    #[test]
    fn connections_that_hang_are_few_and_the_oldest_gives_way_when_the_path_is_back() {
        let start = Instant::now();
        let mut dialer = met(start);
        dialer.silent(start, HOST);
        for link in 1..=MAX_ATTEMPTS as u64 {
            assert_eq!(dialer.connected(HOST, LinkId(link)), Ok(None));
        }
        assert_eq!((dialer.poll(start + ms(5000)), dialer.deadline()), (None, None));
        assert_eq!(dialer.heard_again(start + ms(5000), HOST), Some(LinkId(1)));
        assert_eq!(dialer.poll(start + ms(5000)), Some(HOST));
        assert_eq!(dialer.connected(HOST, LinkId(9)), Ok(None));
        assert_eq!(dialer.greeted(HOST, LinkId(9), [2; 16]), [LinkId(2), LinkId(3)], "the first hello wins");
        assert_eq!(dialer.connected(HOST, LinkId(10)), Err(()), "what comes later is not wanted");
        assert_eq!((dialer.resume(LinkId(9)), dialer.deadline()), ([1; 16], None), "it may not have read our hello");
        dialer.confirmed(LinkId(9));
        assert_eq!(dialer.resume(LinkId(9)), [2; 16]);
    }

    #[test]
    fn what_turns_us_away_is_dialled_ever_more_seldom_until_a_link_is_of_use_whether_it_says_hello_or_not() {
        let start = Instant::now();
        let mut dialer = met(start);
        dialer.removed(LinkId(0));
        let (mut now, mut pauses) = (start, Vec::new());
        for link in 1..=7 {
            dialer.turned_away(now, HOST);
            let next = dialer.deadline().expect("it is dialled again");
            pauses.push((next - now).as_millis());
            assert_eq!(dialer.poll(next), Some(HOST));
            assert_eq!(dialer.connected(HOST, LinkId(link)), Ok(None));
            if link % 2 == 0 {
                dialer.greeted(HOST, LinkId(link), [2; 16]);
            }
            dialer.removed(LinkId(link));
            now = next;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(dialer.connected(HOST, LinkId(9)), Ok(None));
        dialer.greeted(HOST, LinkId(9), [3; 16]);
        dialer.met(HOST);
        dialer.turned_away(now, HOST);
        assert_eq!(dialer.deadline(), Some(now + REDIAL), "it did what links are for");
    }

    #[test]
    fn a_name_without_an_address_is_looked_up_ever_more_seldom_until_one_is_found() {
        let start = Instant::now();
        let mut dialer = Dialer::new(start, 1, true);
        let (mut now, mut pauses) = (start, Vec::new());
        for took in [1, 1, 1, 1, 1, 7000, 1] {
            assert_eq!(dialer.poll(now), Some(HOST));
            dialer.failed(now + ms(took), HOST, false);
            let next = dialer.deadline().expect("it is looked up again");
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 5000, 7000, 5000], "at once where the look-up itself took longer");
        assert_eq!(dialer.poll(now), Some(HOST));
        dialer.failed(now, HOST, true);
        assert_eq!(dialer.deadline(), Some(now + REDIAL), "it has an address, and is dialled as any other");
    }

    #[test]
    fn a_connection_that_had_lasted_is_dialled_again_at_once_and_one_that_had_not_after_a_pause() {
        let start = Instant::now();
        let mut dialer = met(start);
        dialer.broke(start + ms(9000), HOST, start, true);
        assert_eq!(dialer.deadline(), Some(start + ms(9050)));
        let mut dialer = met(start);
        dialer.broke(start + ms(20), HOST, start, false);
        assert_eq!(dialer.deadline(), Some(start + ms(520)));
        dialer.stop();
        assert_eq!(dialer.deadline(), None);
    }
}
