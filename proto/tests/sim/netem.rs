//! One direction of a link: delay, jitter, loss (single and in bursts), reordering, duplicates, a rate with a drop-tail queue or
//! with none at all (a policer), and outages. Seeded: the same seed gives the same fate to the same packets.
//!
//! Jitter keeps order, as queues do; only `reorder` and `scatter` let a packet be overtaken. Names and meanings follow Linux'
//! `tc-netem` and the `police` action of `tc`.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for dice.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Loss in bursts (Gilbert 1960, Elliott 1963): a good state that loses nothing and a bad one.
#[derive(Clone, Copy, Default)]
pub struct Bursts {
    /// Probability, for each packet, of going from good to bad.
    pub enter: f64,
    /// And back.
    pub leave: f64,
    /// Loss while bad.
    pub loss: f64,
}

/// What is over the rate is dropped, nothing waits: a token bucket (RFC 2697's committed burst).
#[derive(Clone, Copy)]
pub struct Policer {
    /// Bits a second.
    pub rate: u64,
    /// Bytes that may come at once.
    pub bucket: u64,
}

#[derive(Clone, Default)]
pub struct Params {
    pub delay: Duration,
    /// Uniform, added to the delay.
    pub jitter: Duration,
    pub loss: f64,
    pub bursts: Bursts,
    /// Probability of being overtaken: `reorder_by` is added to the delay and what comes later does not wait.
    pub reorder: f64,
    pub reorder_by: Duration,
    /// Uniform, added to the delay of each packet by itself: order is not kept.
    pub scatter: Duration,
    pub duplicate: f64,
    /// Bits a second; 0 for no limit.
    pub rate: u64,
    /// What does not fit into so much queueing is dropped.
    pub queue: Duration,
    pub policer: Option<Policer>,
    /// Longer packets, IP header included, vanish without a word (a black hole of RFC 2923); 0 for no limit.
    pub mtu: usize,
    /// From, to: nothing passes.
    pub outages: Vec<(Duration, Duration)>,
}

impl Params {
    /// A switch in the same room.
    pub fn lan() -> Params {
        Params {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(100),
            rate: 1_000_000_000,
            queue: Duration::from_millis(20),
            ..Params::default()
        }
    }
}

pub struct Link {
    pub params: Params,
    dice: Dice,
    /// The transmitter is busy until then.
    busy: u64,
    /// Bytes the policer has left, and when it had them.
    tokens: (f64, u64),
    bad: bool,
    last_arrival: u64,
    pub offered: u64,
    pub dropped: u64,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Link {
    pub fn new(params: Params, seed: u64) -> Link {
        let tokens = (f64::INFINITY, 0);
        Link { params, dice: Dice::new(seed), busy: 0, tokens, bad: false, last_arrival: 0, offered: 0, dropped: 0 }
    }

    /// When a packet of `len` bytes that leaves at `now` arrives: never, once, or twice.
    pub fn transit(&mut self, now: u64, len: usize) -> [Option<u64>; 2] {
        self.offered += 1;
        let arrival = self.survive(now, len);
        self.dropped += u64::from(arrival.is_none());
        let copy = arrival.filter(|_| self.dice.happens(self.params.duplicate));
        [arrival, copy.map(|at| at + 50_000)]
    }

    fn survive(&mut self, now: u64, len: usize) -> Option<u64> {
        let p = &self.params;
        if p.outages.iter().any(|(from, to)| (nanos(*from)..nanos(*to)).contains(&now)) {
            return None;
        }
        if p.mtu > 0 && len > p.mtu {
            return None;
        }
        if let Some(policer) = p.policer {
            let (left, at) = self.tokens;
            let fresh = policer.rate as f64 / 8.0 * (now - at) as f64 / 1e9;
            let left = (left + fresh).min(policer.bucket as f64);
            let passes = left >= len as f64;
            self.tokens = (if passes { left - len as f64 } else { left }, now);
            if !passes {
                return None;
            }
        }
        let begin = self.busy.max(now);
        if let Some(sending) = (len as u64 * 8 * 1_000_000_000).checked_div(p.rate) {
            if begin - now > nanos(p.queue) {
                return None;
            }
            self.busy = begin + sending;
        }
        let sent = self.busy.max(now);
        let turn = if self.bad { p.bursts.leave } else { p.bursts.enter };
        if self.dice.happens(turn) {
            self.bad = !self.bad;
        }
        if self.dice.happens(p.loss) || (self.bad && self.dice.happens(p.bursts.loss)) {
            return None;
        }
        let arrival = sent + nanos(p.delay) + (self.dice.unit() * nanos(p.jitter) as f64) as u64;
        if self.dice.happens(p.reorder) {
            return Some(arrival + nanos(p.reorder_by));
        }
        if p.scatter > Duration::ZERO {
            return Some(arrival + (self.dice.unit() * nanos(p.scatter) as f64) as u64);
        }
        self.last_arrival = self.last_arrival.max(arrival);
        Some(self.last_arrival)
    }
}
