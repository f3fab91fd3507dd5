//! A path that drops what is over its rate and queues nothing (a policer), found by its losses: one detector a receiver.
//!
//! **Problem.** A policer (a token bucket: Flach et al., "An Internet-Wide Analysis of Traffic Policing", 2016) shows nothing in
//! the delay: [`super::rate_control`] sees a fast path. What is sent above the rate is lost, so asking and forward error
//! correction send yet more of it, and no picture is ever whole. But loss alone is no evidence: radio loses as much on an idle
//! path, and to send less mends nothing there.
//!
//! **Choice.** A policer's losses follow from what is sent, dice do not: so a suspicion is *tested*. Less is sent than what
//! arrives, which is what a policer passes, and if most of the loss goes with it, it was one.
//! * *Suspicion*: no queue, and report after report loses more than any code mends ([`HEAVY`]). Less is not waited for: what is
//!   lost is sent again and insured, so whatever is above a policer's rate soon becomes as much.
//! * *Test*: [`CAREFUL`] of what arrived, for a third of a second. What is lost even so is the path's own (`residual`). If it is
//!   little, or no less than in the test before, that is the end; else what arrives now is tested, for a full bucket made the
//!   first measurement too high.
//! * *Held*: room is looked for as slowly as a deep bucket asks for, after a rest that doubles as long as the limit is found
//!   where it was. More loss than the residual then is another suspicion; at a limit that has held, only if it lasts. Who has had
//!   more than twice what is sent for a while is held no more.
//!
//! **Rejected.** Loss as the rate's measure on every path (TCP's way): 1 % of dice at 60 ms would leave 2 Mbit/s. Two lossy
//! intervals of equal throughput (BBR's long-term sampler): a camera sends the same all the time, so dice look like that, too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reports that are looked at together, and how many of them are enough.
const WINDOW: usize = 5;
const ENOUGH: usize = 3;

/// What no code mends: `fec.rs` sends 0.6 shards for each original at most.
const HEAVY: f64 = 0.3;

/// Less loss is no reason to hold anything back.
const LITTLE: f64 = 0.02;

/// With more loss than this left, what is sent in a test may still be too much.
const MUCH: f64 = 0.05;

/// Of what arrived so much is sent in a test: the rest fills the bucket.
const CAREFUL: f64 = 0.85;

/// Of the loss there was, a test of what was the reason leaves at most this share; with more than that it may have been part of
/// the reason.
const LEFT: f64 = 0.5;
const LESS: f64 = 0.7;

/// What left before a test still arrives, or does not, for a round trip and so long, and is told in the report after that.
const DEAF: Duration = Duration::from_millis(250);

/// After a test that failed the next one waits so long, and twice as long each time.
const REFUTED: Duration = Duration::from_secs(10);
const MOST_REFUTED: Duration = Duration::from_secs(320);

/// Rests before room is looked for: the first one, and those after a limit was found again.
const FIRST_REST: Duration = Duration::from_millis(500);
const REST: Duration = Duration::from_secs(2);
const MOST_REST: Duration = Duration::from_secs(8);

/// Reports in a row with losses at a limit that has held: one bad moment of a radio is no other limit.
const LASTING: u32 = 10;

/// A limit no more than this above the last one is the same.
const SAME: f64 = 1.25;

/// How fast room is looked for, a report: a bucket of a quarter of a second is empty when the limit is 10 % too high, which costs
/// as much of half a second every few. Of a limit that was measured once, faster; and where room was found.
const GROWTH: f64 = 1.002;
const FIRST_GROWTH: f64 = 1.005;
const FOUND_GROWTH: f64 = 1.06;

/// Room is looked for while so much of the limit is used.
const USED: f64 = 0.7;

/// How long a path must have had more than twice what is sent before it is held no more.
const ROOMY: Duration = Duration::from_secs(10);

/// Fewer packets between two reports say nothing.
const FEW: u64 = 10;

/// So many reports are taken together at most: a second.
const MERGED: f64 = 10.0;

/// What passes less, bytes a second, passes nothing: sound and control alone need as much.
const LOWEST: f64 = 12_500.0;

/// What was seen between two reports.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Packets that left.
    pub packets: u64,
    /// Those of them that did not come.
    pub lost: u64,
    /// Bytes a second that arrived with every header, of all that passes to this receiver.
    pub arrived: f64,
    /// Bytes a second that were sent.
    pub offered: f64,
    /// Packets waited in a queue: whatever was lost, a policer did not do it.
    pub queued: bool,
    /// Round-trip time.
    pub rtt: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No limit is known, and none is suspected before this.
    Free(Option<Instant>),
    Test(Test),
    Held(Held),
}

/// The path is suspected to pass `rate` bytes a second.
#[derive(Debug, Clone, Copy)]
struct Test {
    rate: f64,
    /// The loss that is to go: of the test before, and of the suspicion.
    loss: f64,
    worst: f64,
    /// What left from then on is judged.
    from: Instant,
    /// A rate that took most of the loss.
    found: Option<f64>,
    /// What was before.
    held: Option<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    limit: f64,
    /// Where it was when losses were seen last, and whether they were more than once.
    base: f64,
    again: bool,
    /// The share of packets the path loses anyway, and reports in a row with more.
    residual: f64,
    lossy: u32,
    /// How long the limit stays after losses, and until when it does.
    rest: Duration,
    rests_until: Instant,
    roomy_since: Option<Instant>,
}

impl Held {
    /// Room is being looked for: losses tell of where it ends, and not that what passed until now is too much.
    fn is_sure(&self) -> bool {
        self.again && self.limit > self.base
    }
}

pub struct Detector {
    state: State,
    window: VecDeque<Seen>,
    /// Reports of too few packets, taken together, and how many they are.
    few: Option<(f64, Seen)>,
    /// How long nothing will be suspected after a test that fails.
    refuted: Duration,
}

impl Detector {
    pub fn new() -> Self {
        Detector { state: State::Free(None), window: VecDeque::with_capacity(WINDOW), few: None, refuted: REFUTED }
    }

    /// What may be sent, bytes a second; `None` where nothing is known to limit it.
    pub fn limit(&self) -> Option<f64> {
        match self.state {
            State::Free(_) => None,
            State::Test(test) => Some(test.rate * CAREFUL),
            State::Held(held) => Some(held.limit),
        }
    }

    /// A report came. Says whether losses so far were of our own making: what was learnt from them is to be forgotten.
    pub fn handle_report(&mut self, now: Instant, seen: Seen) -> bool {
        let Some(seen) = self.merge(seen) else { return false };
        let early = matches!(self.state, State::Test(test) if now < test.from);
        // A tenth of a second in which hardly anything came is an outage's edge.
        let outage = seen.packets >= FEW && seen.arrived < LOWEST;
        if seen.queued || early || outage {
            self.window.clear();
        } else if seen.packets >= FEW {
            if self.window.len() == WINDOW {
                self.window.pop_front();
            }
            self.window.push_back(seen);
        }
        let judged = seen.packets >= FEW && self.window.len() >= ENOUGH;
        match self.state {
            State::Free(not_before) => {
                if judged && not_before.is_none_or(|until| now >= until) && self.is_suspect() {
                    self.test(now, seen.rtt, None, None);
                }
                false
            }
            // Nothing is left to judge by: what was before holds on.
            State::Test(test) if seen.queued || seen.packets < FEW => {
                self.state = test.held.map_or(State::Free(None), State::Held);
                false
            }
            State::Test(test) => judged && self.judge(now, seen.rtt, test),
            State::Held(held) => {
                self.hold(now, seen, held, judged);
                false
            }
        }
    }

    /// Reports of few packets are taken together until they say something, or [`MERGED`] of them said nothing.
    fn merge(&mut self, seen: Seen) -> Option<Seen> {
        let (count, sum) = match self.few.take() {
            None => (1.0, seen),
            Some((count, sum)) => {
                let mean = |a: f64, b: f64| (a * count + b) / (count + 1.0);
                let merged = Seen {
                    packets: sum.packets + seen.packets,
                    lost: sum.lost + seen.lost,
                    arrived: mean(sum.arrived, seen.arrived),
                    offered: mean(sum.offered, seen.offered),
                    queued: sum.queued || seen.queued,
                    rtt: seen.rtt,
                };
                (count + 1.0, merged)
            }
        };
        if sum.packets < FEW && count < MERGED {
            self.few = Some((count, sum));
            return None;
        }
        Some(sum)
    }

    /// The last [`ENOUGH`] reports.
    fn last(&self) -> impl Iterator<Item = &Seen> {
        self.window.iter().rev().take(ENOUGH)
    }

    /// The middle one of the last arrivals: a bucket that was full makes the first one too high.
    fn arrived(&self) -> f64 {
        let mut arrived: Vec<f64> = self.last().map(|seen| seen.arrived).collect();
        arrived.sort_unstable_by(f64::total_cmp);
        arrived.get(arrived.len() / 2).copied().unwrap_or(LOWEST)
    }

    fn is_suspect(&self) -> bool {
        self.last().all(|seen| seen.lost as f64 > HEAVY * seen.packets as f64)
    }

    fn test(&mut self, now: Instant, rtt: Duration, held: Option<Held>, before: Option<Test>) {
        let (found, worst) = before.map_or((None, None), |test| (Some(test.rate), Some(test.worst)));
        let (rate, loss) = (self.arrived(), share(self.last()));
        self.state = State::Test(Test { rate, loss, worst: worst.unwrap_or(loss), from: now + rtt + DEAF, found, held });
        self.window.clear();
    }

    fn judge(&mut self, now: Instant, rtt: Duration, test: Test) -> bool {
        let loss = share(self.last());
        let less = loss <= test.loss * LESS;
        if less && loss > MUCH {
            self.test(now, rtt, test.held, Some(test));
            return true;
        }
        let found = if less { Some(test.rate) } else { test.found }.filter(|_| loss <= test.worst * LEFT);
        self.state = match (found, test.held) {
            (Some(rate), held) => {
                let limit = rate / (1.0 - loss.min(LEFT));
                let limit = held.filter(Held::is_sure).map_or(limit, |held| limit.max(held.base));
                let rest = match held {
                    None => FIRST_REST,
                    Some(held) if held.again && held.limit < held.base * SAME => (held.rest * 2).min(MOST_REST),
                    Some(_) => REST,
                };
                let (again, rests_until) = (held.is_some(), now + rest);
                State::Held(Held { limit, base: limit, again, residual: loss, lossy: 0, rest, rests_until, roomy_since: None })
            }
            (None, Some(held)) => State::Held(Held { residual: loss, lossy: 0, rests_until: now + held.rest, ..held }),
            (None, None) => State::Free(Some(now + self.refuted)),
        };
        self.refuted = if found.is_some() { REFUTED } else { (self.refuted * 2).min(MOST_REFUTED) };
        self.window.clear();
        found.is_some()
    }

    fn hold(&mut self, now: Instant, seen: Seen, mut held: Held, judged: bool) {
        if judged {
            let (loss, packets) = (share(self.window.iter()), self.window.iter().map(|seen| seen.packets).sum::<u64>());
            let dice = 2.0 * ((held.residual + 0.01) / packets as f64).sqrt();
            let excess = loss > held.residual + LITTLE + dice;
            held.lossy = if excess { held.lossy + 1 } else { 0 };
            if excess && (held.is_sure() || !held.again || held.lossy >= LASTING) {
                self.test(now, seen.rtt, Some(held), None);
                return;
            }
            held.residual = held.residual.min(held.residual * 0.9 + loss * 0.1);
        }
        let found = held.limit > held.base * SAME;
        // What nobody uses shows nothing.
        if now >= held.rests_until && (found || seen.offered > held.limit * USED) {
            held.limit *= match (found, held.again) {
                (true, _) => FOUND_GROWTH,
                (_, true) => GROWTH,
                (_, false) => FIRST_GROWTH,
            };
        }
        let roomy = seen.offered * 2.0 < held.limit;
        held.roomy_since = if roomy { held.roomy_since.or(Some(now)) } else { None };
        match held.roomy_since {
            Some(since) if now >= since + ROOMY => *self = Detector::new(),
            _ => self.state = State::Held(held),
        }
    }
}

/// Of what left so much did not come.
fn share<'a>(reports: impl Iterator<Item = &'a Seen>) -> f64 {
    let (lost, packets) = reports.fold((0, 0), |(lost, all), seen| (lost + seen.lost, all + seen.packets));
    lost as f64 / packets.max(1) as f64
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "policer_tests.rs"]
mod tests;
