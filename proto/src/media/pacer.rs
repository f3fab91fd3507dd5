//! When one receiver may be sent the next run of datagrams, and whether its next picture may begin.
//!
//! **Problem.** A burst of a whole picture overruns the queue before a slow link, and a picture that is begun while the last one is still
//! in that queue makes both late. **Choice.** Nothing is paced while no bottleneck is known. Then: runs of at most [`RUN`]
//! segments at [`FASTER`] times its speed (RFC 9002 §7.7: a pacer is a little faster than its controller, or it becomes the bottleneck;
//! this one is much faster, for each burst is also a measurement), and a model of the path's queue, which fills with what is
//! sent and drains at the path's speed: a live picture begins only when that queue is nearly empty. The pictures that come meanwhile are
//! replaced by the newest. **Rejected.** Pacing at the path's speed: the last datagram of each picture would be a whole period late,
//! and new room would never show.

use std::time::{Duration, Instant};

/// Segments in one paced run (DESIGN: bursts a switch's queue takes).
pub const RUN: usize = 8;

/// How much faster than the path bursts go.
pub const FASTER: f64 = 2.5;

/// Where what is too much is dropped, a burst is no measurement, and a shallow bucket takes hardly any.
pub const POLICED: f64 = 1.1;

/// A picture begins when no more than this stands in the queue.
const NEARLY_EMPTY: Duration = Duration::from_millis(12);

/// What is sent in one go builds no longer queue than this: a large picture on a slow path goes at the path's speed from there on.
const DEEPEST: Duration = Duration::from_millis(50);

/// The model never thinks of more: what is older was dropped by any queue.
const MOST: Duration = Duration::from_secs(1);

pub struct Pacer {
    /// Bytes a second: what bursts are measured by, and what the queue drains with.
    speed: Option<f64>,
    /// How much faster than that bursts go.
    faster: f64,
    next: Instant,
    /// Bytes in the queue as it was `at`.
    queued: f64,
    at: Instant,
}

impl Pacer {
    /// Lets everything through.
    pub fn new(now: Instant) -> Self {
        Pacer { speed: None, faster: FASTER, next: now, queued: 0.0, at: now }
    }

    /// The path's speed in bytes a second; `None` to let everything through.
    pub fn set_speed(&mut self, now: Instant, speed: Option<f64>) {
        self.drain(now);
        self.speed = speed;
        if speed.is_none() {
            self.queued = 0.0;
        }
    }

    /// How much faster than the path bursts go: [`FASTER`] or [`POLICED`].
    pub fn set_faster(&mut self, faster: f64) {
        self.faster = faster;
    }

    /// How long what leaves now is thought to wait.
    pub fn queue(&self, now: Instant) -> Duration {
        let Some(speed) = self.speed else { return Duration::ZERO };
        let left = self.queued - now.saturating_duration_since(self.at).as_secs_f64() * speed;
        Duration::from_secs_f64((left / speed).clamp(0.0, MOST.as_secs_f64()))
    }

    /// What it was told of the path.
    pub fn speed(&self) -> Option<f64> {
        self.speed
    }

    /// Whether anything is held back at all.
    pub fn is_on(&self) -> bool {
        self.speed.is_some()
    }

    /// So much more stands in the queue than was thought.
    pub fn add_queued(&mut self, now: Instant, bytes: f64) {
        self.drain(now);
        let speed = self.speed.unwrap_or(0.0);
        self.queued = (self.queued + bytes).min(speed * MOST.as_secs_f64());
    }

    /// Until when the next run has to wait; `None` if it need not.
    pub fn holds(&self, now: Instant) -> Option<Instant> {
        let until = self.next.max(self.drained_to(DEEPEST)?);
        (now < until).then_some(until)
    }

    /// Until when the next picture has to wait; `None` if it need not.
    pub fn holds_picture(&self, now: Instant) -> Option<Instant> {
        let until = self.drained_to(NEARLY_EMPTY)?;
        (now < until).then_some(until)
    }

    /// When the queue is no longer than `left`.
    fn drained_to(&self, left: Duration) -> Option<Instant> {
        let speed = self.speed?;
        let over = self.queued - speed * left.as_secs_f64();
        Some(self.at + Duration::from_secs_f64((over / speed).clamp(0.0, MOST.as_secs_f64())))
    }

    /// A run of so many bytes leaves.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        let Some(speed) = self.speed else { return };
        self.drain(now);
        self.queued += bytes as f64;
        // A late wake-up is made up for by one run at once, not by all that were missed.
        let from = self.next.max(now.checked_sub(Duration::from_millis(1)).unwrap_or(now));
        self.next = from + Duration::from_secs_f64(bytes as f64 / (speed * self.faster));
    }

    fn drain(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.at).as_secs_f64() * self.speed.unwrap_or(0.0);
        self.queued = (self.queued - gone).max(0.0);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_bottleneck_nothing_waits() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.sent(now, 10_000_000);
        assert_eq!((pacer.holds(now), pacer.holds_picture(now)), (None, None));
    }

    #[test]
    fn a_burst_goes_at_two_and_a_half_times_the_speed() {
        let start = Instant::now();
        let (mut now, mut pacer) = (start, Pacer::new(start));
        pacer.set_speed(now, Some(1e6));
        let mut go = |runs: u32| {
            let begun = now;
            for _ in 0..runs {
                now = pacer.holds(now).unwrap_or(now);
                pacer.sent(now, 8 * 1200);
            }
            f64::from(runs - 1) * 9600.0 / (now - begun).as_secs_f64()
        };
        let burst = go(8);
        assert!((2.4e6..2.9e6).contains(&burst), "{burst}");
        go(100);
        let picture = go(100);
        assert!((0.95e6..1.05e6).contains(&picture), "what is larger than the queue may be goes at the path's speed: {picture}");
    }

    #[test]
    fn a_picture_waits_until_the_one_before_has_left_the_queue() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.set_speed(now, Some(1e6));
        pacer.sent(now, 50_000);
        assert_eq!(pacer.holds_picture(now), Some(now + Duration::from_millis(38)), "50 ms of queue but for 12");
        assert_eq!(pacer.holds_picture(now + Duration::from_millis(38)), None);
        pacer.add_queued(now, 20_000.0);
        assert_eq!(pacer.holds_picture(now), Some(now + Duration::from_millis(58)));
        pacer.set_speed(now, None);
        pacer.set_speed(now, Some(1e6));
        assert_eq!(pacer.holds_picture(now), None, "without a bottleneck there is no queue");
    }
}
