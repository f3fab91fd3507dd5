//! How large a datagram the path takes: packetization layer path MTU discovery (RFC 8899).
//!
//! **Problem.** A path that takes less than a picture's datagrams shows nothing and says nothing, for ICMP is filtered or forged;
//! one that takes more is sent more datagrams than it needs. **Choice.** Nothing larger than was acknowledged is sent: it begins
//! with [`FLOOR`], and probes of the sizes that paths usually have ([`USUAL`]) go out at once, so a path that takes them is used
//! a round trip later. Each is followed by a short one: where that is acknowledged and the long one is not, the long one was
//! lost, however late answers are (RFC 9002 §6.1 finds loss by what came later, too); in an outage neither is, and nothing is
//! learnt. What lies between two usual sizes is bisected. Where three quarters of what is large do not come
//! ([`Search::reported`]), three probes of the size in use ask whether it passes; where it does not, it goes back to [`FLOOR`]
//! and asks for what passed before, which costs little if that was an error. **Rejected.** Beginning with 1200 and looking for
//! trouble (RFC 9000 §14): the first second of a picture is the worst to lose; padding data to probe: a lost probe would be a
//! lost piece of a picture; believing ICMP: anybody can send it; waiting for an answer for some round trips: while jitter grows,
//! every size in use is doubted and left.
//!
//! Sizes are those of a datagram's UDP payload, so that IP headers, whichever they are, are in none of them. Capacity: the usual
//! sizes and the floor looked into at once, [`REMEMBERED`] probes whose acknowledgement is still understood.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The least a path has to take (RFC 8899 `MIN_PLPMTU`): an IP MTU of 1048, less than any tunnel in use leaves.
pub const FLOOR: usize = 1000;

/// The most that is looked for: a jumbo frame of 9000 bytes less 48 of IPv6 and UDP.
pub const MOST: usize = 8952;

/// Less IPv6 and UDP: the least MTU of IPv6 (1280), Ethernet (1500), jumbo frames. What lies between the last two is not looked
/// for.
const USUAL: [usize; 3] = [1280 - 48, ETHERNET, MOST];

/// See [`USUAL`].
const ETHERNET: usize = 1500 - 48;

/// Two sizes nearer than this are as good as one: 1 %.
const RESOLUTION: usize = 16;

/// Probes of one size before it counts as too large (RFC 8899 §5.1.2 `MAX_PROBES`).
const TRIES: u8 = 3;

/// And of [`FLOOR`], below which there is nothing: on a path that loses a fifth both ways eight in a row are lost once in 3,000.
const FLOOR_TRIES: u8 = 8;

/// Between two probes of [`FLOOR`].
const FLOOR_EVERY: Duration = Duration::from_millis(125);

/// Between two probes of the size in use when it is doubted: a black hole is to be found within a second.
const DOUBT_EVERY: Duration = Duration::from_millis(25);

/// Where the short probe came back, the long one before it may be as much later: packets overtake each other.
const OVERTAKEN: Duration = Duration::from_millis(10);

/// Neither probe nor follower of a size came back, which says nothing of it: it is asked again so much after a round trip, at
/// least.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The size in use is not doubted again for this long: where much is lost it would be asked for without end.
const DOUBT_AGAIN: Duration = Duration::from_millis(300);

/// A path may take more one day (RFC 8899 §5.1.1 `PMTU_RAISE_TIMER`).
const RAISE: Duration = Duration::from_secs(600);

/// How often a path that takes nothing large is asked whether it does now.
const BLOCKED_EVERY: Duration = Duration::from_millis(500);

/// Datagrams longer than this share of the size in use are *large*: pieces of pictures, but for the last of each slice, which may
/// be short and pass where no others do.
const LARGE: f64 = 7.0 / 8.0;

/// Fewer large datagrams say nothing about the path.
const FEW: u64 = 4;

/// Probes whose acknowledgement is still understood.
const REMEMBERED: usize = 32;

/// A size that may pass.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    size: usize,
    /// Probes still to be sent, before an answer is waited for.
    left: u8,
    /// So many are to be known to be lost before it counts as too large.
    to_miss: u8,
    /// Between two of them; zero to wait for the answer of each.
    every: Duration,
    /// When the next one is due, or, where none is left, when it is asked again for want of any answer.
    next: Instant,
}

/// A probe that was sent and not acknowledged.
#[derive(Debug, Clone, Copy)]
struct Probe {
    number: u16,
    size: usize,
    /// When it counts as lost: the short one that followed it was acknowledged.
    lost: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct Search {
    /// It was begun.
    on: bool,
    /// The largest size that was acknowledged since it began, or [`FLOOR`].
    confirmed: usize,
    /// The least that is known not to pass.
    too_large: usize,
    candidates: Vec<Candidate>,
    probes: VecDeque<Probe>,
    next_number: u16,
    /// Not even [`FLOOR`] passes.
    blocked: bool,
    /// A size in use passes no more, and nobody has been told.
    left: bool,
    raise: Option<Instant>,
    doubted: Option<Instant>,
    /// Datagrams that left, large ones among them, and datagrams that came, at the last look.
    seen: (u64, u64, u64),
    /// Probes sent, less those acknowledged and those forgiven.
    unanswered: u64,
}

impl Search {
    /// Begins: nothing is known of the path, or it passes large datagrams again.
    fn begin(&mut self, now: Instant) {
        self.on = true;
        self.too_large = MOST + 1;
        self.restart(now);
    }

    /// The path proved itself, and may be another one from `now` on. What passed is used until it is known not to: most often
    /// only a NAT forgot something.
    pub fn path_may_be_another(&mut self, now: Instant) {
        if !self.on || self.blocked {
            return self.begin(now);
        }
        (self.too_large, self.raise) = (MOST + 1, None);
        self.candidates.clear();
        self.probes.clear();
        self.ask_for_usual(now);
        self.doubt(now);
    }

    /// Nothing is known to pass any more. What did not pass before does not pass now.
    fn restart(&mut self, now: Instant) {
        (self.blocked, self.confirmed, self.raise) = (false, FLOOR, None);
        self.candidates.clear();
        self.ask_for_usual(now);
        self.candidates.push(Candidate { every: FLOOR_EVERY, ..Candidate::new(now, FLOOR, FLOOR_TRIES) });
    }

    /// The largest first: where it is lost, that shows at once by those behind it, and not in the middle of a picture.
    fn ask_for_usual(&mut self, now: Instant) {
        let (confirmed, too_large) = (self.confirmed, self.too_large);
        let open = USUAL.iter().rev().filter(|size| **size > confirmed && **size < too_large);
        self.candidates.extend(open.map(|size| Candidate::new(now, *size, TRIES)));
    }

    /// Whether a datagram of this length is one of those by which the size in use is judged.
    pub fn is_large(&self, len: usize) -> bool {
        len as f64 > self.confirmed.max(FLOOR) as f64 * LARGE
    }

    /// Whether a size that was in use was found not to pass, since the last call: what was lost of it was too long for the path,
    /// and tells nothing else of it.
    pub fn take_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }

    /// The longest datagram that may be sent; `None` where nothing large passes.
    pub fn size(&self) -> Option<usize> {
        (!self.blocked).then_some(self.confirmed.max(FLOOR))
    }

    /// A probe's number came back, or that of the short one after it. `deviation` is that of the round trip.
    pub fn acknowledged(&mut self, now: Instant, number: u16, deviation: Duration) {
        let long = number & !1;
        let Some(at) = self.probes.iter().position(|probe| probe.number == long) else { return };
        if number != long {
            self.probes[at].lost.get_or_insert(now + OVERTAKEN.max(deviation * 4));
            return;
        }
        let Some(Probe { size, .. }) = self.probes.remove(at) else { return };
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.blocked {
            self.begin(now);
        }
        self.confirmed = self.confirmed.max(size);
        self.too_large = self.too_large.max(size + 1);
        self.candidates.retain(|candidate| candidate.size > size);
        self.go_on(now);
    }

    /// The interface, or what the kernel knows of the path, takes no datagram of this length.
    pub fn refused(&mut self, now: Instant, len: usize) {
        if !self.on || len > MOST {
            return;
        }
        self.too_large = self.too_large.min(len);
        self.candidates.retain(|candidate| candidate.size < len);
        if len <= FLOOR {
            (self.blocked, self.left) = (true, true);
            self.candidates = vec![Candidate::blocked(now)];
        } else if len <= self.confirmed {
            self.left = true;
            self.restart(now);
        } else {
            self.go_on(now);
        }
    }

    /// By now so many datagrams have left, so many large ones among them, and the peer reports that so many came: is it time to
    /// doubt?
    pub fn reported(&mut self, now: Instant, sent: u64, large: u64, came: u64) {
        let (left, of_them) = (sent.saturating_sub(self.seen.0), large.saturating_sub(self.seen.1));
        if of_them < FEW {
            return;
        }
        let missing = left.saturating_sub(came.saturating_sub(self.seen.2));
        self.seen = (sent, large, came);
        let lately = self.doubted.is_some_and(|doubted| now < doubted + DOUBT_AGAIN);
        if !self.on || self.blocked || missing * 4 <= of_them * 3 || lately {
            return;
        }
        self.doubt(now);
    }

    /// Asks whether the size in use passes.
    fn doubt(&mut self, now: Instant) {
        self.doubted = Some(now);
        let size = self.confirmed.max(FLOOR);
        if self.candidates.iter().all(|candidate| candidate.size != size) {
            let (left, every) = if size > FLOOR { (TRIES, DOUBT_EVERY) } else { (FLOOR_TRIES, FLOOR_EVERY) };
            self.candidates.push(Candidate { every, ..Candidate::new(now, size, left) });
        }
    }

    /// The next probe that is due: number and size. The number after it is that of a short one that follows it and tells, where
    /// it comes, that the one before was a probe. `rtt` is what an answer takes.
    pub fn poll(&mut self, now: Instant, rtt: Duration) -> Option<(u16, usize)> {
        if self.raise.is_some_and(|raise| now >= raise) {
            (self.raise, self.too_large) = (None, MOST + 1);
            self.ask_for_usual(now);
        }
        self.judge(now);
        let answer = rtt * 3 / 2 + ASK_AGAIN;
        let candidate = self.candidates.iter_mut().find(|candidate| now >= candidate.next)?;
        let size = candidate.size;
        candidate.left = candidate.left.max(1) - 1;
        let waits = candidate.left == 0 || candidate.every.is_zero();
        candidate.next = now + if waits { candidate.every.max(answer) } else { candidate.every };
        let number = self.next_number;
        self.next_number = number.wrapping_add(2);
        if self.probes.len() == REMEMBERED {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe { number, size, lost: None });
        self.unanswered += 1;
        Some((number, size))
    }

    /// Probes that are known to be lost by now are held against their size.
    fn judge(&mut self, now: Instant) {
        while let Some(at) = self.probes.iter().position(|probe| probe.lost.is_some_and(|lost| now >= lost)) {
            let Some(Probe { size, .. }) = self.probes.remove(at) else { return };
            let Some(at) = self.candidates.iter().position(|candidate| candidate.size == size) else { continue };
            let candidate = &mut self.candidates[at];
            candidate.to_miss = candidate.to_miss.saturating_sub(1);
            if candidate.to_miss == 0 {
                self.candidates.remove(at);
                self.failed(now, size);
            } else if candidate.every.is_zero() {
                candidate.next = now;
            }
        }
    }

    fn failed(&mut self, now: Instant, size: usize) {
        if size <= FLOOR {
            (self.blocked, self.left) = (true, true);
            self.candidates = vec![Candidate::blocked(now)];
        } else if size <= self.confirmed {
            self.left = true;
            self.restart(now);
        } else {
            self.too_large = self.too_large.min(size);
            self.go_on(now);
        }
    }

    /// Bisects once nothing is open: below Ethernet tunnels have any size.
    fn go_on(&mut self, now: Instant) {
        if self.blocked || self.candidates.iter().any(|candidate| candidate.size > self.confirmed) {
            return;
        }
        let top = self.too_large;
        if self.confirmed < ETHERNET && top > self.confirmed + RESOLUTION {
            let middle = self.confirmed + (top.min(ETHERNET + RESOLUTION) - self.confirmed) / 2;
            self.candidates.push(Candidate::new(now, middle.min(ETHERNET), TRIES));
        } else if self.confirmed < MOST {
            self.raise = Some(now + RAISE);
        }
    }

    /// When [`Search::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let judged = self.probes.iter().filter_map(|probe| probe.lost);
        self.candidates.iter().map(|candidate| candidate.next).chain(judged).chain(self.raise).min()
    }

    /// Nothing is asked of a peer that is not heard.
    pub fn postpone(&mut self, until: Instant) {
        self.candidates.iter_mut().for_each(|candidate| candidate.next = candidate.next.max(until));
        self.raise = self.raise.map(|raise| raise.max(until));
    }

    /// Of `missing` packets so many may have been probes, which say nothing of the path's loss. Each is told once.
    pub fn forgive(&mut self, missing: u64) -> u64 {
        let forgiven = missing.min(self.unanswered);
        self.unanswered -= forgiven;
        forgiven
    }
}

impl Candidate {
    fn new(now: Instant, size: usize, left: u8) -> Self {
        Candidate { size, left, to_miss: left, every: Duration::ZERO, next: now }
    }

    /// Asks from time to time whether the floor passes by now.
    fn blocked(now: Instant) -> Self {
        Candidate { every: BLOCKED_EVERY, next: now + BLOCKED_EVERY, ..Candidate::new(now, FLOOR, u8::MAX) }
    }
}

#[cfg(test)]
#[path = "mtu_tests.rs"]
mod tests;
