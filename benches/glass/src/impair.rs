//! A bad link in one direction, without any IO: packets and times in, packets out when they are due.
//!
//! A packet may be lost (at random, or in bursts), then waits for its turn at the bottleneck (a drop-tail queue) or is dropped there at
//! once (a policer, a token bucket as in RFC 2697), then flies (delay, jitter). It is the model of `tc netem` with a `tbf` before it,
//! written anew because a kernel may lack both, and because what the bench has to know is inside: what waits, and for how long. Every
//! die is rolled by one generator from one seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What a link does to packets. [`Conditions::CLEAN`] does nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Whether anything passes at all: false is a pulled cable, which also loses what is under way.
    pub up: bool,
    /// Share of packets lost, each by itself.
    pub loss: f64,
    /// Losses that come together.
    pub bursts: Option<Bursts>,
    /// Time a packet flies, us.
    pub delay_us: u64,
    /// It flies up to this much longer, evenly spread; packets stay in order.
    pub jitter_us: u64,
    /// Share of packets that are held back by `reorder_us`, so that later ones overtake them.
    pub reorder: f64,
    /// See there.
    pub reorder_us: u64,
    /// Share of packets that come twice.
    pub duplicate: f64,
    /// Bits a second through the bottleneck; no bottleneck without.
    pub rate: Option<u64>,
    /// How much may wait before the bottleneck; what comes on top is lost.
    pub queue: Queue,
}

impl Conditions {
    /// A cable of no length.
    pub const CLEAN: Conditions = Conditions {
        up: true,
        loss: 0.0,
        bursts: None,
        delay_us: 0,
        jitter_us: 0,
        reorder: 0.0,
        reorder_us: 5_000,
        duplicate: 0.0,
        rate: None,
        queue: Queue::Time(200_000),
    };
}

/// The Gilbert–Elliott model: a good state that loses nothing and a bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Chance, at each packet, that the good state ends.
    pub enter: f64,
    /// Chance, at each packet, that the bad state ends.
    pub leave: f64,
    /// Share of packets lost in the bad state.
    pub loss: f64,
}

/// How long a drop-tail queue may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// In bytes, as routers count.
    Bytes(u64),
    /// In the time, us, the bottleneck needs for it at its present rate.
    Time(u64),
    /// Nothing waits: a policer passes what its bucket has tokens for, a byte each, and holds so many of them at most.
    Bucket(u64),
}

/// What happened to the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Packets that were put in.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets lost on the way.
    pub lost: u64,
    /// Packets that did not fit into the queue.
    pub dropped: u64,
    /// Bytes that came through.
    pub passed: u64,
}

/// xorshift64*: small, seeded, good enough for dice.
struct Random(u64);

impl Random {
    /// Even in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with that chance. Rolls nothing where there is nothing to decide.
    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.unit() < chance
    }
}

/// One direction of a link. All times are microseconds on one clock.
pub struct Link {
    conditions: Conditions,
    random: Random,
    in_burst: bool,
    /// Before the bottleneck; the first is being served.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: u64,
    /// When the first of `waiting` is through.
    served_us: u64,
    /// Bytes that a policer lets pass at once, times 8,000,000, and when they were counted.
    tokens: (u64, u64),
    /// Through the bottleneck: when each arrives, the order they went in, and the packet.
    flying: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    number: u64,
    /// When the last packet arrives that kept the order.
    last_us: u64,
    counts: Counts,
}

impl Link {
    /// A clean one; `seed` decides what is lost later.
    pub fn new(seed: u64) -> Link {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // Neighbouring seeds begin alike.
        for _ in 0..8 {
            random.unit();
        }
        Link {
            conditions: Conditions::CLEAN,
            random,
            in_burst: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            served_us: 0,
            tokens: (0, 0),
            flying: BinaryHeap::new(),
            number: 0,
            last_us: 0,
            counts: Counts::default(),
        }
    }

    /// From `now` on the link is like that. What flies already arrives as it would have, unless the link is pulled.
    pub fn set(&mut self, now: u64, conditions: Conditions) {
        self.advance(now);
        self.settle_tokens(now);
        let begins = !matches!(self.conditions.queue, Queue::Bucket(_)) || self.conditions.rate.is_none();
        if let Queue::Bucket(size) = conditions.queue
            && begins
        {
            self.tokens = (size * 8_000_000, now);
        }
        self.conditions = conditions;
        if !conditions.up {
            self.counts.lost += (self.waiting.len() + self.flying.len()) as u64;
            self.waiting.clear();
            self.waiting_bytes = 0;
            self.flying.clear();
        }
    }

    /// A packet comes to the link.
    pub fn push(&mut self, now: u64, packet: Vec<u8>) {
        self.advance(now);
        self.counts.packets += 1;
        self.counts.bytes += packet.len() as u64;
        if !self.arrives() {
            self.counts.lost += 1;
            return;
        }
        if self.random.happens(self.conditions.duplicate) {
            self.enqueue(now, packet.clone());
        }
        self.enqueue(now, packet);
    }

    /// The next packet that has arrived by `now`.
    pub fn pop(&mut self, now: u64) -> Option<Vec<u8>> {
        self.advance(now);
        if self.flying.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        let Reverse((_, _, packet)) = self.flying.pop()?;
        self.counts.passed += packet.len() as u64;
        Some(packet)
    }

    /// When to call `pop` again.
    pub fn due(&self) -> Option<u64> {
        let served = (!self.waiting.is_empty()).then_some(self.served_us);
        let arrives = self.flying.peek().map(|Reverse((at, ..))| *at);
        served.into_iter().chain(arrives).min()
    }

    /// How long a packet that came now would wait for the bottleneck, us.
    pub fn standing_us(&mut self, now: u64) -> u64 {
        self.advance(now);
        let behind = self.waiting_bytes - self.waiting.front().map_or(0, |first| first.len() as u64);
        if self.waiting.is_empty() { 0 } else { self.served_us.saturating_sub(now) + self.service_us(behind) }
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a packet is not lost.
    fn arrives(&mut self) -> bool {
        let Conditions { up, loss, bursts, .. } = self.conditions;
        if let Some(bursts) = bursts {
            let turns = if self.in_burst { bursts.leave } else { bursts.enter };
            self.in_burst ^= self.random.happens(turns);
            if self.in_burst && self.random.happens(bursts.loss) {
                return false;
            }
        }
        up && !self.random.happens(loss)
    }

    fn service_us(&self, bytes: u64) -> u64 {
        self.conditions.rate.map_or(0, |rate| bytes * 8_000_000 / rate.max(1))
    }

    fn enqueue(&mut self, now: u64, packet: Vec<u8>) {
        if self.conditions.rate.is_none() && self.waiting.is_empty() {
            self.fly(now, packet);
            return;
        }
        if matches!(self.conditions.queue, Queue::Bucket(_)) {
            return self.police(now, packet);
        }
        let bytes = self.waiting_bytes + packet.len() as u64;
        let full = match self.conditions.queue {
            Queue::Bytes(most) => bytes > most,
            Queue::Time(most) => self.service_us(bytes) > most,
            Queue::Bucket(_) => false,
        };
        // An empty queue takes any packet, or a small one would pass nothing at all.
        if full && !self.waiting.is_empty() {
            self.counts.dropped += 1;
            return;
        }
        if self.waiting.is_empty() {
            self.served_us = now + self.service_us(packet.len() as u64);
        }
        self.waiting_bytes = bytes;
        self.waiting.push_back(packet);
    }

    /// Tokens since they were last counted, at the rate of then.
    fn settle_tokens(&mut self, now: u64) {
        if let (Some(rate), Queue::Bucket(size)) = (self.conditions.rate, self.conditions.queue) {
            let more = now.saturating_sub(self.tokens.1).saturating_mul(rate);
            self.tokens = (self.tokens.0.saturating_add(more).min(size * 8_000_000), now);
        }
    }

    fn police(&mut self, now: u64, packet: Vec<u8>) {
        self.settle_tokens(now);
        let costs = packet.len() as u64 * 8_000_000;
        match self.tokens.0.checked_sub(costs) {
            Some(left) => {
                self.tokens.0 = left;
                self.fly(now, packet);
            }
            None => self.counts.dropped += 1,
        }
    }

    /// Lets through the bottleneck what is through by `now`.
    fn advance(&mut self, now: u64) {
        while self.served_us <= now {
            let Some(packet) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= packet.len() as u64;
            let through = self.served_us;
            self.fly(through, packet);
            if let Some(next) = self.waiting.front() {
                self.served_us = through + self.service_us(next.len() as u64);
            }
        }
    }

    fn fly(&mut self, from: u64, packet: Vec<u8>) {
        let Conditions { delay_us, jitter_us, reorder, reorder_us, .. } = self.conditions;
        let jitter = if jitter_us > 0 { (self.random.unit() * jitter_us as f64) as u64 } else { 0 };
        let mut at = (from + delay_us + jitter).max(self.last_us);
        if self.random.happens(reorder) {
            at += reorder_us;
        } else {
            self.last_us = at;
        }
        self.flying.push(Reverse((at, self.number, packet)));
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of `bytes`, `gap` us apart, the number of each in its first bytes; when each came out, and its number.
    fn through(link: &mut Link, number: u32, bytes: usize, gap: u64) -> Vec<(u64, u32)> {
        let mut out = Vec::new();
        let mut drain = |link: &mut Link, until: u64| {
            while let Some(at) = link.due().filter(|at| *at <= until) {
                while let Some(packet) = link.pop(at) {
                    assert_eq!(packet.len(), bytes);
                    out.push((at, u32::from_be_bytes(packet[..4].try_into().unwrap())));
                }
            }
        };
        for i in 0..number {
            let now = u64::from(i) * gap;
            drain(link, now);
            let mut packet = vec![0; bytes];
            packet[..4].copy_from_slice(&i.to_be_bytes());
            link.push(now, packet);
        }
        drain(link, u64::MAX - 1);
        out
    }

    fn link(conditions: Conditions) -> Link {
        let mut link = Link::new(1);
        link.set(0, conditions);
        link
    }

    fn numbers(out: &[(u64, u32)]) -> Vec<u32> {
        out.iter().map(|(_, number)| *number).collect()
    }

    #[test]
    fn a_clean_link_passes_everything_at_once_and_in_order() {
        let out = through(&mut link(Conditions::CLEAN), 100, 1000, 10);
        assert_eq!(out, (0..100).map(|i| (u64::from(i) * 10, i)).collect::<Vec<_>>());
    }

    #[test]
    fn delay_is_added_to_each_packet() {
        let out = through(&mut link(Conditions { delay_us: 30_000, ..Conditions::CLEAN }), 10, 100, 7);
        assert!(out.iter().all(|(at, i)| *at == u64::from(*i) * 7 + 30_000), "{out:?}");
    }

    #[test]
    fn jitter_spreads_packets_and_keeps_their_order() {
        let out = through(&mut link(Conditions { jitter_us: 9_000, ..Conditions::CLEAN }), 1000, 100, 1000);
        assert_eq!(numbers(&out), (0..1000).collect::<Vec<_>>());
        let extra: Vec<u64> = out.iter().map(|(at, i)| at - u64::from(*i) * 1000).collect();
        assert!(extra.iter().max() > Some(&8_500) && extra.iter().all(|extra| *extra <= 9_000), "{extra:?}");
    }

    #[test]
    fn reordered_packets_are_overtaken_and_none_is_lost() {
        let out = through(&mut link(Conditions { reorder: 0.1, reorder_us: 5_000, ..Conditions::CLEAN }), 10_000, 100, 1000);
        let late = out.iter().filter(|(at, i)| *at == u64::from(*i) * 1000 + 5_000).count();
        assert!((900..1100).contains(&late), "{late}");
        let mut sorted = numbers(&out);
        assert_ne!(sorted, (0..10_000).collect::<Vec<_>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_duplicate_is_the_same_packet_twice() {
        let out = through(&mut link(Conditions { duplicate: 0.05, ..Conditions::CLEAN }), 10_000, 100, 1000);
        assert!((10_400..10_600).contains(&out.len()), "{}", out.len());
        let mut once = numbers(&out);
        once.dedup();
        assert_eq!(once, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn the_share_lost_is_as_asked_and_follows_from_the_seed() {
        let lossy = |seed| {
            let mut link = Link::new(seed);
            link.set(0, Conditions { loss: 0.05, ..Conditions::CLEAN });
            numbers(&through(&mut link, 20_000, 100, 10))
        };
        let out = lossy(3);
        assert!((0.045..0.055).contains(&(1.0 - out.len() as f64 / 20_000.0)), "{}", out.len());
        assert_eq!(out, lossy(3));
        assert_ne!(out, lossy(4));
    }

    #[test]
    fn bursts_are_as_long_and_as_many_as_asked() {
        let bursts = Bursts { enter: 0.01, leave: 0.25, loss: 1.0 };
        let out = numbers(&through(&mut link(Conditions { bursts: Some(bursts), ..Conditions::CLEAN }), 100_000, 100, 10));
        let gaps: Vec<u32> = out.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
        let mean = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
        assert!((3.7..4.3).contains(&mean), "mean burst {mean}");
        assert!((850..1070).contains(&gaps.len()), "{} bursts", gaps.len());
    }

    #[test]
    fn a_bottleneck_spaces_packets_and_says_what_waits() {
        let mut link = link(Conditions { rate: Some(8_000_000), ..Conditions::CLEAN });
        for i in 0..10u32 {
            link.push(0, [&i.to_be_bytes()[..], &[0; 996]].concat());
        }
        assert_eq!((link.standing_us(0), link.due()), (10_000, Some(1_000)));
        assert!(link.pop(999).is_none() && link.pop(1_000).is_some() && link.pop(1_000).is_none());
        assert_eq!(link.standing_us(3_500), 6_500);
        assert_eq!((0..9).map_while(|_| link.pop(10_000)).count(), 9);
        assert_eq!((link.standing_us(10_000), link.due()), (0, None));
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        for queue in [Queue::Bytes(5_000), Queue::Time(5_000)] {
            let mut link = link(Conditions { rate: Some(8_000_000), queue, ..Conditions::CLEAN });
            let out = numbers(&through(&mut link, 20, 1000, 0));
            assert_eq!(out, [0, 1, 2, 3, 4], "{queue:?}");
            assert_eq!(link.counts().dropped, 15);
        }
    }

    #[test]
    fn a_policer_passes_its_bucket_at_once_then_its_rate_and_delays_nothing() {
        let policer = Conditions { rate: Some(8_000_000), queue: Queue::Bucket(5_000), ..Conditions::CLEAN };
        let mut link = link(policer);
        // It begins full; then one of two passes, of what comes twice as fast as it may.
        let at = |i: u64| i.saturating_sub(4) * 500;
        let passed: Vec<u64> = (0..24)
            .filter(|i| {
                link.push(at(*i), vec![0; 1000]);
                link.pop(at(*i)).is_some()
            })
            .collect();
        assert_eq!(passed, [0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
        assert_eq!(link.counts().dropped, 10);
    }

    #[test]
    fn a_new_rate_counts_from_the_next_packet_on() {
        let mut link = link(Conditions { rate: Some(8_000_000), ..Conditions::CLEAN });
        (0..3).for_each(|_| link.push(0, vec![0; 1000]));
        link.set(500, Conditions { rate: Some(800_000), ..Conditions::CLEAN });
        let times: Vec<u64> = std::iter::from_fn(|| link.due().inspect(|at| drop(link.pop(*at)))).collect();
        assert_eq!(times, [1_000, 11_000, 21_000]);
    }

    #[test]
    fn a_bottleneck_that_goes_away_keeps_the_order() {
        let mut link = link(Conditions { rate: Some(800_000), ..Conditions::CLEAN });
        (0..2u32).for_each(|i| link.push(0, [&i.to_be_bytes()[..], &[0; 996]].concat()));
        link.set(1_000, Conditions::CLEAN);
        link.push(1_000, [&2u32.to_be_bytes()[..], &[0; 996]].concat());
        let order: Vec<u8> = std::iter::from_fn(|| link.due().and_then(|at| link.pop(at))).map(|packet| packet[3]).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn a_pulled_link_loses_everything_and_comes_back_empty() {
        let mut link = link(Conditions { rate: Some(800_000), delay_us: 5_000, ..Conditions::CLEAN });
        (0..5).for_each(|_| link.push(0, vec![0; 1000]));
        link.set(12_000, Conditions { up: false, ..Conditions::CLEAN });
        link.push(13_000, vec![0; 1000]);
        assert_eq!((link.pop(100_000), link.due(), link.standing_us(100_000)), (None, None, 0));
        assert_eq!(link.counts().lost, 6);
        link.set(100_000, Conditions::CLEAN);
        link.push(100_000, vec![0; 10]);
        assert_eq!(link.pop(100_000), Some(vec![0; 10]));
    }
}
