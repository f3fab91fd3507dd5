//! Where a peer is: the address that proved itself, and one that has yet to.
//!
//! A peer is its keys, not its address. An address counts only after it echoed a random sealed challenge sent to it, so nobody
//! can aim our video at a third party (RFC 9000 §8.2); until then nothing but challenges and answers goes there, and never more than
//! [`AMPLIFIES`] times the bytes that came from it (§8.1).
//!
//! **Problem.** Somebody who sees a peer's datagrams can send copies on from an address of its own, faster than the path does, and
//! hand our challenge on to the peer, which answers it: the peer seems to have moved, and the sealed video goes through a machine
//! that may drop it.
//!
//! **Choice.** The address that is about to be left is challenged as well (§9.3.3). An answer to that, wherever it comes from,
//! shows that the peer gets what is sent to its old address: it stays there, and for [`STAYS`] nobody else is listened to. Only
//! where there is none in the time an answer takes, the new address is taken; an answer that comes later brings the old one back.
//!
//! **Rejected.** To believe whatever comes from the old address as well: of two copies the second is a replay and is not opened, and
//! in this attack the honest one is always the second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two challenges to one address.
const CHALLENGE: Duration = Duration::from_millis(100);

/// Challenges to an address that a datagram came from; the address we dialled is challenged for as long as the link lives.
const MAX_CHALLENGES: u32 = 10;

/// An address that was challenged has this long to answer: more than any round trip.
const ANSWERS: Duration = Duration::from_secs(3);

/// An address that we were told of is challenged for so long, unless another one has answered.
const TOLD: Duration = Duration::from_secs(3);

/// Bytes that may go to an address before it answered, for each byte that came from it.
const AMPLIFIES: usize = 3;

/// Bytes of a datagram with a challenge or an answer.
const CHALLENGE_LEN: usize = 33;

/// A peer that answered where it was is not looked for elsewhere for so long.
const STAYS: Duration = Duration::from_secs(1);

/// The old address may take this long to answer where the round trip is not known, and no longer where it is.
const OLD_ANSWERS: Duration = Duration::from_millis(250);

/// What an answer may take beside the round trip: both sides have other things to do. Every move costs it; for what takes longer there is
/// a way back.
const SLACK: Duration = Duration::from_millis(2);

/// Why an address is asked to prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// We were told to go there: never given up, and TCP has reached it.
    Dialled,
    /// It proved itself before, and the peer was silent for long.
    Proved,
    /// A datagram came from there.
    Seen,
}

struct Candidate {
    address: SocketAddr,
    token: [u8; 8],
    why: Why,
    began: Instant,
    sent: u32,
    next: Instant,
    /// Bytes that may still be sent there.
    credit: usize,
    /// What the old address would answer with.
    old_token: [u8; 8],
    /// It did, when the old address had yet to.
    answered: bool,
}

impl Candidate {
    fn new(now: Instant, address: SocketAddr, why: Why) -> Self {
        let (token, old_token) = (crate::crypto::random(), crate::crypto::random());
        Candidate { address, token, why, began: now, sent: 0, next: now, credit: 0, old_token, answered: false }
    }

    fn may_send(&self) -> bool {
        self.why != Why::Seen || self.credit >= CHALLENGE_LEN
    }
}

pub(super) struct Whereabouts {
    address: Option<SocketAddr>,
    /// Addresses that somebody else told us of, until one has answered: all are challenged, for a firewall or NAT lets in only
    /// what something was sent to first.
    told: Vec<Told>,
    candidate: Option<Candidate>,
    stays_until: Option<Instant>,
    left: Option<Left>,
}

/// An address that somebody else told us of.
struct Told {
    address: SocketAddr,
    token: [u8; 8],
    next: Instant,
    until: Instant,
}

/// The address before this one, which may still answer.
struct Left {
    address: SocketAddr,
    token: [u8; 8],
    until: Instant,
}

impl Whereabouts {
    /// Nothing is known; `dialled` is where we were told to go.
    pub fn new(now: Instant, dialled: Option<SocketAddr>) -> Self {
        let candidate = dialled.map(|address| Candidate::new(now, address, Why::Dialled));
        Whereabouts { address: None, told: Vec::new(), candidate, stays_until: None, left: None }
    }

    /// It may be at any of these addresses, says somebody whom both trust.
    pub fn may_be_at(&mut self, now: Instant, addresses: &[SocketAddr]) {
        let told =
            |address: &SocketAddr| Told { address: *address, token: crate::crypto::random(), next: now, until: now + TOLD };
        self.told = addresses.iter().map(told).collect();
    }

    /// Where the peer last proved to be.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// It proved to be there under keys of before.
    pub fn inherit(&mut self, address: Option<SocketAddr>) {
        self.address = address;
    }

    /// Asks the peer to prove again that it is where it was.
    pub fn challenge_anew(&mut self, now: Instant) {
        if let (Some(address), None) = (self.address, &self.candidate) {
            self.candidate = Some(Candidate::new(now, address, Why::Proved));
        }
    }

    /// A datagram of so many bytes opened that came from this address.
    pub fn came(&mut self, now: Instant, from: SocketAddr, bytes: usize) {
        let fixed = |candidate: &Candidate| candidate.why == Why::Dialled || candidate.answered;
        let known = self.candidate.as_ref().is_some_and(|candidate| candidate.address == from || fixed(candidate));
        let stays = self.stays_until.is_some_and(|until| now < until);
        let told = self.told.iter().any(|told| told.address == from);
        if self.address != Some(from) && !known && !stays && !told {
            self.candidate = Some(Candidate::new(now, from, Why::Seen));
        }
        if let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.address == from) {
            candidate.credit += AMPLIFIES * bytes;
        }
    }

    /// A challenge from this address is about to be answered there.
    pub fn answering(&mut self, to: SocketAddr) {
        if let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.address == to) {
            candidate.credit = candidate.credit.saturating_sub(CHALLENGE_LEN);
        }
    }

    /// An answer to a challenge came. Whether an address is proved by it.
    pub fn handle_response(&mut self, now: Instant, from: SocketAddr, token: [u8; 8], rtt: Option<Duration>) -> bool {
        if let Some(left) = self.left.take_if(|left| left.token == token && now < left.until) {
            // It came late: the peer is where it was all the time.
            (self.address, self.candidate, self.stays_until) = (Some(left.address), None, Some(now + STAYS));
            return true;
        }
        if self.told.iter().any(|told| told.address == from && told.token == token) {
            self.told.clear();
            (self.address, self.candidate) = (Some(from), None);
            return true;
        }
        let Some(candidate) = &mut self.candidate else { return false };
        let leaves = candidate.why == Why::Seen && self.address.is_some();
        if leaves && token == candidate.old_token {
            self.candidate = None;
            self.stays_until = Some(now + STAYS);
            return false;
        }
        if candidate.address != from || candidate.token != token {
            return false;
        }
        if !leaves {
            return self.take(now);
        }
        if !std::mem::replace(&mut candidate.answered, true) {
            candidate.next = (candidate.began + rtt.map_or(OLD_ANSWERS, |rtt| (rtt + SLACK).min(OLD_ANSWERS))).max(now);
        }
        self.decide(now)
    }

    fn take(&mut self, now: Instant) -> bool {
        let Some(candidate) = self.candidate.take() else { return false };
        self.told.clear();
        let before = self.address.replace(candidate.address).filter(|_| candidate.why == Why::Seen);
        self.left = before.map(|address| Left { address, token: candidate.old_token, until: now + ANSWERS });
        true
    }

    /// Takes a new address whose old one had its time to answer.
    fn decide(&mut self, now: Instant) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| candidate.answered && now >= candidate.next) && self.take(now)
    }

    /// Whatever is due by now: challenges, for `send`. Whether an address is proved by the time gone by.
    pub fn handle_timeout(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, [u8; 8])) -> bool {
        if self.decide(now) {
            return true;
        }
        self.told.retain(|told| now < told.until);
        for told in self.told.iter_mut().filter(|told| now >= told.next) {
            told.next = now + CHALLENGE;
            send(told.address, told.token);
        }
        let Some(candidate) = &mut self.candidate else { return false };
        if candidate.answered {
            return false;
        }
        let dialled = candidate.why == Why::Dialled;
        if !dialled && now >= candidate.began + ANSWERS {
            self.candidate = None;
        } else if now >= candidate.next && candidate.may_send() && (dialled || candidate.sent < MAX_CHALLENGES) {
            candidate.sent += 1;
            candidate.next = now + CHALLENGE;
            candidate.credit = candidate.credit.saturating_sub(CHALLENGE_LEN);
            send(candidate.address, candidate.token);
            if let Some(old) = self.address.filter(|_| candidate.why == Why::Seen) {
                send(old, candidate.old_token);
            }
        }
        false
    }

    /// When [`Whereabouts::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let of = |candidate: &Candidate| {
            let asks = candidate.may_send() && (candidate.why == Why::Dialled || candidate.sent < MAX_CHALLENGES);
            let next = (candidate.answered || asks).then_some(candidate.next);
            let end = (candidate.why != Why::Dialled && !candidate.answered).then_some(candidate.began + ANSWERS);
            next.into_iter().chain(end).min()
        };
        let told = self.told.iter().map(|told| told.next.min(told.until));
        self.candidate.as_ref().and_then(of).into_iter().chain(told).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "10.0.0.1:9688";
    const NEW: &str = "10.0.0.66:4444";
    const RTT: Option<Duration> = Some(Duration::from_millis(20));

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// All that is sent until then, with its time in ms.
    fn run(whereabouts: &mut Whereabouts, start: Instant, until: Instant) -> Vec<(u128, SocketAddr, [u8; 8])> {
        let mut sent = Vec::new();
        while let Some(at) = whereabouts.deadline().filter(|at| *at <= until) {
            whereabouts.handle_timeout(at.max(start), |to, token| sent.push(((at - start).as_millis(), to, token)));
        }
        sent
    }

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn at_old() -> (Whereabouts, Instant) {
        let start = Instant::now();
        let mut whereabouts = Whereabouts::new(start, None);
        whereabouts.came(start, at(OLD), 33);
        let [(0, _, token)] = run(&mut whereabouts, start, start)[..] else { panic!("one challenge at once") };
        assert!(whereabouts.handle_response(start, at(OLD), token, None));
        (whereabouts, start)
    }

    #[test]
    fn an_address_that_proved_nothing_gets_three_times_what_came_from_it_at_most() {
        let (mut whereabouts, start) = at_old();
        whereabouts.came(start, at(NEW), 33);
        let to_new = |sent: Vec<(u128, SocketAddr, [u8; 8])>| {
            sent.into_iter().filter(|(_, to, _)| *to == at(NEW)).map(|(at, ..)| at).collect::<Vec<_>>()
        };
        assert_eq!(to_new(run(&mut whereabouts, start, start + ms(900))), [0, 100, 200]);
        whereabouts.came(start + ms(900), at(NEW), 33);
        whereabouts.answering(at(NEW));
        assert_eq!(to_new(run(&mut whereabouts, start + ms(900), start + ms(2900))).len(), 2, "an answer counts as well");
        whereabouts.came(start + ms(2900), at(NEW), 1200);
        assert_eq!(to_new(run(&mut whereabouts, start + ms(2900), start + ms(9000))), [0], "and time ends it");
        assert_eq!((whereabouts.address(), whereabouts.deadline()), (Some(at(OLD)), None));
    }

    #[test]
    fn a_peer_that_answers_where_it_was_stays_there_whoever_answers_elsewhere() {
        let (mut whereabouts, start) = at_old();
        whereabouts.came(start, at(NEW), 200);
        let [(_, first, token), (_, second, old_token)] = run(&mut whereabouts, start, start)[..] else {
            panic!("two challenges")
        };
        assert_eq!((first, second), (at(NEW), at(OLD)));
        // The relay is faster both ways, and hands on the answer of the old address as well.
        assert!(!whereabouts.handle_response(start + ms(10), at(NEW), token, RTT));
        assert!(!whereabouts.handle_response(start + ms(12), at(NEW), old_token, RTT));
        assert_eq!((whereabouts.address(), whereabouts.deadline()), (Some(at(OLD)), None));
        whereabouts.came(start + ms(900), at(NEW), 200);
        assert_eq!(run(&mut whereabouts, start, start + ms(900)), [], "it is not asked again soon");
    }

    #[test]
    fn a_peer_that_is_no_more_where_it_was_is_followed_as_soon_as_that_is_known() {
        let (mut whereabouts, start) = at_old();
        whereabouts.came(start, at(NEW), 200);
        let [(_, _, token), _] = run(&mut whereabouts, start, start)[..] else { panic!("two challenges") };
        assert!(!whereabouts.handle_response(start + ms(20), at(NEW), token, RTT));
        assert_eq!(whereabouts.deadline(), Some(start + ms(22)), "a round trip and a little");
        // Nobody else is asked meanwhile.
        whereabouts.came(start + ms(21), at("10.0.0.77:7"), 1200);
        assert!(whereabouts.handle_timeout(start + ms(22), |_, _| panic!("nobody is asked")));
        assert_eq!((whereabouts.address(), whereabouts.deadline()), (Some(at(NEW)), None));
    }

    #[test]
    fn an_answer_of_the_old_address_that_is_late_brings_it_back() {
        let (mut whereabouts, start) = at_old();
        whereabouts.came(start, at(NEW), 200);
        let [(_, _, token), (_, _, old_token)] = run(&mut whereabouts, start, start)[..] else { panic!("two challenges") };
        assert!(whereabouts.handle_response(start + ms(30), at(NEW), token, RTT));
        assert_eq!(whereabouts.address(), Some(at(NEW)));
        assert!(whereabouts.handle_response(start + ms(60), at(NEW), old_token, RTT));
        assert_eq!(whereabouts.address(), Some(at(OLD)));
        assert!(!whereabouts.handle_response(start + ms(70), at(NEW), token, RTT));
    }

    #[test]
    fn an_answer_that_was_guessed_or_comes_from_elsewhere_proves_nothing() {
        let (mut whereabouts, start) = at_old();
        whereabouts.came(start, at(NEW), 200);
        let [(_, _, token), _] = run(&mut whereabouts, start, start)[..] else { panic!("two challenges") };
        assert!(!whereabouts.handle_response(start, at(NEW), [0; 8], RTT));
        assert!(!whereabouts.handle_response(start, at("10.0.0.77:7"), token, RTT));
        run(&mut whereabouts, start, start + ms(9000));
        assert_eq!(whereabouts.address(), Some(at(OLD)));
    }
}
