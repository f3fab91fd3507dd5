//! How fast a path is, when that matters: one controller a receiver.
//!
//! **Problem.** A live picture should be as good as the path takes, and not one bit better: what the path cannot take waits in
//! some router's queue and makes everything late. A path has to be left alone while it is fast enough (pacing and caution cost
//! latency), must be understood within a second when it is not, and found again when it grows.
//!
//! **Choice.** Each picture is a burst, and each burst measures the path ([`super::train`]): its first packet shows the queue
//! that stood there before it, its spreading the speed of the narrowest link.
//! * *No bottleneck* is where we begin: no rate, no pacing. [`STREAK`] pictures in a row that were held up, on a path whose speed
//!   our bytes nearly fill, show one.
//! * *Held*: the capacity is the median of the last trains' speeds. A queue that stands through a whole report (its least
//!   delay, as in CoDel, RFC 8289: bursts come and go, a standing queue stays) means too much: the capacity is what came
//!   through, and what stands in the queue is taken off the pictures to come, so the delay is gone after a few of them. No
//!   queue means room: the capacity follows faster trains by 8 % a report (they are paced at 2.5 times the capacity, so new
//!   room shows at once) and, as fast, where trains are not spread at all; else it creeps up 0.5 %.
//! * A path that takes for three seconds twice what our pictures would take whole is no bottleneck any more. Pictures that are
//!   only what changed leave it idle, and say nothing of what it takes: meanwhile its speed is neither forgotten, nor creeps up.
//!
//! Delay is measured against the least of the last ten to twenty seconds, which follows the skew of two clocks, and against twice
//! the usual scatter: on Wi-Fi a packet is late for many reasons. Loss alone is no evidence: radio loses packets on idle paths,
//! and what it loses FEC and NACKs bring back; a full queue loses packets, too, but shows in the delay first.
//!
//! **Rejected.** Loss-based control (fills the queue until it overflows: 200 ms late). GCC's trendline filter
//! (draft-ietf-rmcat-gcc): needs the arrival of every packet and seconds to grow back. BBR: probes by sending more for whole
//! round trips; our bursts probe anyway.

use super::train::Passage;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// From bytes a second.
    pub fn from_bytes(bytes: f64) -> Self {
        Bitrate((bytes * 8.0) as u64)
    }

    /// Bytes a second.
    pub fn bytes(self) -> f64 {
        self.0 as f64 / 8.0
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => write!(f, "{} kbit/s", self.0 / 1000),
            _ => write!(f, "{:.1} Mbit/s", self.0 as f64 / 1e6),
        }
    }
}

/// Pictures in a row that were held up before a bottleneck is believed in.
const STREAK: u32 = 4;

/// Two trains in a row that took longer than this from one end to the other, evenly and at about one speed, show a bottleneck,
/// too: the first picture is whole, and of those after it there may be too little to hold up anything.
const LONG: Duration = Duration::from_millis(100);

/// A picture held up for longer than this, and three times the usual scatter, waited behind others.
const HELD_UP: Duration = Duration::from_millis(8);

/// One held up for longer than this, and by so much longer than the one before, counts as two.
const FAR: Duration = Duration::from_millis(60);
const GROWS: Duration = Duration::from_millis(10);

/// A queue that stands for longer than this, and twice the usual scatter, is too long.
const TOO_LONG: Duration = Duration::from_millis(15);

/// The scatter counts up to this: with a fast rise of the delay it rises, too, and must not hide it.
const MAX_SCATTER: Duration = Duration::from_micros(12_500);

/// Trains whose median is the capacity.
const SPEEDS: usize = 5;

/// Trains in a row that were not spread after which the path is believed to have room.
const UNSPREAD: u32 = 4;

/// A train of fewer bytes or less time measures the clock.
const LEAST_TRAIN: (u32, Duration) = (2400, Duration::from_millis(1));

/// Of its capacity a path is given this much: what it is not given drains what bursts left.
pub const SHARE: f64 = 0.92;

/// No path is held to less: sound and control alone need as much. Bytes a second.
const LEAST: f64 = 12_500.0;

/// A path that takes more is no bottleneck. Bytes a second: 10 Gbit/s.
const MOST: f64 = 1.25e9;

/// After a standing queue faster trains are not followed for so long, twice as long after each further one up to the second: what
/// they show belongs to somebody else.
const BAR: Duration = Duration::from_millis(250);
const MAX_BAR: Duration = Duration::from_secs(2);

/// How long a path must have taken more than twice what it got before it is no bottleneck any more.
const ROOMY: Duration = Duration::from_secs(3);

/// No queue is believed to be longer.
const LONGEST: Duration = Duration::from_secs(1);

/// Half of the window of the least delay.
const WINDOW: Duration = Duration::from_secs(10);

pub struct Controller {
    capacity: Option<f64>,
    speeds: VecDeque<f64>,
    streak: u32,
    /// Long trains in a row, and the speed of the last one.
    long: (u32, f64),
    /// By how much the last picture was held up, µs.
    late: i64,
    /// Trains in a row that were not spread.
    unspread: u32,
    /// The least delay of this window and of the one before, µs on the difference of two clocks.
    least: [Option<i64>; 2],
    window_ends: Option<Instant>,
    /// Mean difference of the delays of two pictures' first packets, µs.
    scatter: f64,
    last_first: Option<i64>,
    deaf_until: Option<Instant>,
    /// Faster trains are not followed until then; and for so long after the next standing queue.
    barred_until: Option<Instant>,
    bar: Duration,
    roomy_since: Option<Instant>,
    standing: Duration,
}

impl Controller {
    /// Knows of no bottleneck.
    pub fn new() -> Self {
        Controller {
            capacity: None,
            speeds: VecDeque::with_capacity(SPEEDS),
            streak: 0,
            long: (0, 0.0),
            late: 0,
            unspread: 0,
            least: [None; 2],
            window_ends: None,
            scatter: 0.0,
            last_first: None,
            deaf_until: None,
            barred_until: None,
            bar: BAR,
            roomy_since: None,
            standing: Duration::ZERO,
        }
    }

    /// What may be sent; `None` where no bottleneck is known.
    pub fn rate(&self) -> Option<Bitrate> {
        self.capacity.map(|capacity| Bitrate::from_bytes(capacity * SHARE))
    }

    /// The path's speed as far as it is known: what bursts are paced by.
    pub fn capacity(&self) -> Option<Bitrate> {
        self.capacity.map(Bitrate::from_bytes)
    }

    /// The queue that stood on the path through the last report.
    pub fn standing(&self) -> Duration {
        self.standing
    }

    /// A report came: how pictures passed, while `offered` bytes a second were sent, `arrived` came, and `whole` would be sent if
    /// all of each picture were. Says how many bytes stand in a queue and are to be held back.
    pub fn handle_report(
        &mut self,
        now: Instant,
        passages: &[Passage],
        (offered, arrived, whole): (f64, f64, f64),
        rtt: Duration,
    ) -> Option<f64> {
        let (mut standing, mut newest) = (i64::MAX, 0);
        let mut uneven = 0;
        for passage in passages {
            let base = self.note_delay(now, passage);
            standing = standing.min(passage.first_us.min(passage.last_us) - base);
            let held_up = micros(HELD_UP) + 3 * self.scatter();
            let shape = Shape::of(passage);
            uneven += usize::from(shape == Shape::AsItLeft);
            let late = passage.first_us - base;
            // A queue that grows from picture to picture cannot be waited for: its end comes later and later.
            let grows = late > micros(FAR) && late > self.late + micros(GROWS);
            self.late = late;
            // What waited in a queue leaves it one by one; what comes all at once waited for one late packet. Where most of it
            // was lost, two that came together were perhaps neighbours in a queue that hands packets on in runs.
            let at_once = !passage.holed && passage.bytes >= LEAST_TRAIN.0 && passage.span < LEAST_TRAIN.1;
            self.streak = match late > held_up && shape != Shape::AsItLeft && !at_once {
                true => self.streak + 1 + u32::from(grows),
                false => 0,
            };
            self.note_long(passage, shape);
            // The queue grew while this was on its way here as it did while it was on its way there, unless it was full.
            newest = (passage.last_us - base).saturating_mul(if passage.holed { 1 } else { 2 });
            self.note_speed(passage, shape);
            self.unspread = if shape == Shape::Spread { 0 } else { self.unspread.saturating_add(1) };
        }
        if passages.is_empty() {
            // Nothing was held up, for nothing was let through: the next one will tell. Not so while a queue drains.
            let draining = self.deaf_until.is_some_and(|until| now < until);
            let growing = self.capacity.filter(|_| !draining);
            self.capacity = growing
                .map(|capacity| capacity * 1.02)
                .filter(|capacity| *capacity < MOST)
                .or(self.capacity.filter(|_| draining));
            return None;
        }
        // What one late packet holds up is no queue, however long it is.
        let standing = if uneven * 2 > passages.len() { 0 } else { standing };
        self.standing = Duration::from_micros(standing.max(0) as u64);
        let median = self.median();
        match self.capacity {
            None => {
                // Too little is left of pictures before a full queue to show its speed, but what leaves it is that.
                let holed = passages.iter().all(|passage| passage.holed);
                let speed = median.or(holed.then_some(arrived))?;
                let shown = self.streak >= STREAK && offered > 0.7 * speed || self.long.0 >= 2 && whole > 0.7 * speed;
                shown.then(|| self.shrink(now, newest, speed, rtt))
            }
            Some(capacity) => {
                self.hold(now, standing, (capacity, median.unwrap_or(capacity)), (offered, whole.max(offered)), rtt)
            }
        }
    }

    fn hold(
        &mut self,
        now: Instant,
        standing: i64,
        (capacity, median): (f64, f64),
        (offered, whole): (f64, f64),
        rtt: Duration,
    ) -> Option<f64> {
        if standing > micros(TOO_LONG) + 2 * self.scatter() {
            self.roomy_since = None;
            if self.deaf_until.is_some_and(|until| now < until) {
                return None;
            }
            // Who shares the path (our own sound over TCP does) makes trains look faster than what is left for us.
            let speed = if median < 0.92 * capacity { median } else { (capacity * 0.92).max(median * 0.5) };
            self.barred_until = Some(now + self.bar);
            self.bar = (self.bar * 2).min(MAX_BAR);
            return Some(self.shrink(now, standing, speed, rtt));
        }
        let barred = self.barred_until.is_some_and(|until| now < until);
        if !barred && self.barred_until.is_some_and(|until| now > until + MAX_BAR) {
            self.bar = BAR;
        }
        // Trains that were not spread, or too small to tell, say that there is room, not how much.
        let unspread = self.unspread >= UNSPREAD;
        let idle = offered * 2.0 < capacity && whole > offered * 1.5;
        let grown = match (barred, unspread, median > 1.05 * capacity) {
            (false, _, true) if idle => (capacity * 1.08).min(median),
            _ if idle => capacity,
            (false, true, _) => capacity * 1.08,
            (false, false, true) => (capacity * 1.08).min(median),
            _ => capacity * 1.005,
        };
        self.capacity = Some(grown).filter(|grown| *grown < MOST);
        if whole * 2.0 > grown {
            self.roomy_since = None;
        } else if now >= *self.roomy_since.get_or_insert(now) + ROOMY {
            *self = Controller { least: self.least, window_ends: self.window_ends, scatter: self.scatter, ..Controller::new() };
        }
        None
    }

    /// The path takes `speed` and no more; what stands in its queue is the answer.
    fn shrink(&mut self, now: Instant, standing: i64, speed: f64, rtt: Duration) -> f64 {
        self.capacity = Some(speed.max(LEAST));
        let queue = Duration::from_micros(standing.clamp(0, micros(LONGEST)) as u64);
        // What was sent before the sender knew still arrives late; it is not evidence of anything new.
        self.deaf_until = Some(now + rtt + queue + Duration::from_millis(150));
        speed * queue.as_secs_f64()
    }

    /// Says the least delay there was lately.
    fn note_delay(&mut self, now: Instant, passage: &Passage) -> i64 {
        if now >= *self.window_ends.get_or_insert(now + WINDOW) {
            self.window_ends = Some(now + WINDOW);
            self.least = [None, self.least[0]];
        }
        let delay = passage.first_us.min(passage.last_us);
        self.least[0] = Some(self.least[0].map_or(delay, |least| least.min(delay)));
        if let Some(last) = self.last_first.replace(passage.first_us) {
            let difference = passage.first_us.saturating_sub(last).unsigned_abs().min(MAX_SCATTER.as_micros() as u64 * 4);
            self.scatter += (difference as f64 - self.scatter) / 32.0;
        }
        self.least.into_iter().flatten().min().unwrap_or(delay)
    }

    fn scatter(&self) -> i64 {
        (self.scatter as i64).min(micros(MAX_SCATTER))
    }

    fn note_speed(&mut self, passage: &Passage, shape: Shape) {
        if self.capacity.is_none() && self.streak == 0 {
            // Only of pictures that were held up it is known that they had the path's speed.
            self.speeds.clear();
        }
        let speed = passage.speed();
        let tells = match shape {
            Shape::Small => false,
            Shape::Spread => true,
            Shape::AsItLeft => self.capacity.is_none_or(|capacity| speed > capacity),
        };
        if tells {
            if self.speeds.len() == SPEEDS {
                self.speeds.pop_front();
            }
            self.speeds.push_back(speed);
        }
    }

    fn note_long(&mut self, passage: &Passage, shape: Shape) {
        let speed = passage.speed();
        let alike = self.long.0 == 0 || (0.75..1.33).contains(&(speed / self.long.1));
        match shape {
            Shape::Small => {}
            Shape::Spread if passage.span >= LONG && alike => self.long = (self.long.0 + 1, speed),
            Shape::Spread | Shape::AsItLeft => self.long = (0, 0.0),
        }
    }

    fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.speeds.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// What the path did to a train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Too small to tell.
    Small,
    /// It arrived slower than it left, all along: its speed is the path's.
    Spread,
    /// It was not held up by the path, or only its beginning was, by a late packet: the path is faster, nobody knows how much.
    AsItLeft,
}

impl Shape {
    fn of(passage: &Passage) -> Shape {
        if passage.bytes < LEAST_TRAIN.0 || passage.span < LEAST_TRAIN.1 {
            Shape::Small
        } else if passage.growth() * 10 > passage.span * 3 && (passage.even || passage.holed) {
            Shape::Spread
        } else {
            Shape::AsItLeft
        }
    }
}

impl Default for Controller {
    fn default() -> Self {
        Self::new()
    }
}

fn micros(duration: Duration) -> i64 {
    duration.as_micros() as i64
}

#[cfg(test)]
#[path = "rate_control_tests.rs"]
mod tests;
