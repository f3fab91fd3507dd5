//! The sender's media clock, on both ends: [`Epoch`] where it is made, [`Estimate`] where it is guessed, [`Mapping`] what
//! everybody else needs of it. Alone in Eyeline this file relates `Instant` and [`MediaTime`].
//!
//! **Problem.** The receiver knows pings: when one left and when its answer came (its own clock), when the sender took it and
//! answered (the sender's). Each bounds the sender's clock to within half the path's part of the round trip, and is wrong by
//! half of what the two ways differ. Queues make most round trips long and lopsided; two computers' clocks differ by up to
//! ±300 ppm, which is a frame period in two minutes.
//!
//! **Choice.** The minimum filter of NTP (RFC 5905, §10): of each second only the exchange with the shortest round trip is
//! kept, for 64 s. Through these goes one straight line, offset *and* skew, by weighted least squares. A point's weight is its
//! own bound: the time by which its round trip exceeds the shortest known, halved, over a floor: 50 µs, or half the excess of
//! the better quarter where that is more, so that on a path that always jitters the one luckiest point does not rule alone. So
//! a lopsided spike weighs nothing, and when the path gets longer the old line goes on until the long round trips are the
//! shortest known. The slope starts from a prior (0 ± 100 ppm, what crystals do; later around what it used to be), which makes the
//! first exchange usable and the tenth second exact.
//!
//! What is given out follows the line by at most 1 ms a ping, so that who reads it hears no step; only in the first eight
//! exchanges, or when it is off by more than 20 ms, it jumps. The mapping is linear between pings and its steps are far smaller
//! than the time between them, so it goes backwards by at most 1 ms at the moment it is replaced.
//!
//! **Rejected.** A minimum-offset filter without slope (goes late at +100 ppm: the minimum is as old as its window); a Kalman
//! filter (its noise is not the one-sided noise of queues); slewing the slope instead of the offset (overshoots for as long as
//! pings stay away).
//!
//! A clock that really jumps (a sender suspended, another sender) contradicts the bound itself. Three such exchanges in a row
//! and the estimate starts anew. What a peer says is never trusted to be sane: nothing here panics on any number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::time::MediaTime;

/// For so long a point is kept. Crystals wander by a part per million in a minute, not more.
const WINDOW_S: f64 = 64.0;
/// Of so much time only the best exchange is kept.
const BUCKET_S: f64 = 1.0;
/// What scheduling does to the best of exchanges.
const FLOOR_S: f64 = 50e-6;
/// Standard deviation of the skew between two computers, around nothing at first and later around what it used to be.
const PRIOR_SKEW: f64 = 100e-6;
/// How slowly "what it used to be" follows.
const MEMORY_S: f64 = 60.0;
/// No two crystals differ by more; a slope beyond it is noise.
const MAX_SKEW: f64 = 1000e-6;
/// By more than this a mapping is not slewed but replaced.
const JUMP_S: f64 = 20e-3;
/// The largest step after one ping.
const STEP_S: f64 = 1e-3;
/// So many exchanges set the mapping directly.
const SETTLING: u64 = 8;
/// How far an exchange may lie outside the bounds before it contradicts the clock.
const CONTRADICTION_S: f64 = 10e-3;
/// So many contradictions in a row are a new clock.
const CONTRADICTIONS: u32 = 3;

/// Clocks are known to within far less: what was caught later than this from now was not.
const FUTURE: Duration = Duration::from_secs(1);
/// Nothing is longer on its way, nor kept so long by anybody.
const PAST: Duration = Duration::from_secs(60);

/// `a - b` in nanoseconds, signed, held at the ends of `i64` (292 years).
pub(crate) fn nanos_between(a: Instant, b: Instant) -> i64 {
    let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    if a >= b { nanos(a - b) } else { -nanos(b - a) }
}

/// `a - b` in seconds, signed.
pub fn seconds_between(a: Instant, b: Instant) -> f64 {
    nanos_between(a, b) as f64 * 1e-9
}

/// `at + nanos`, or `at` where the operating system cannot say such an instant.
pub fn offset(at: Instant, nanos: i64) -> Instant {
    let by = Duration::from_nanos(nanos.unsigned_abs());
    if nanos >= 0 { at.checked_add(by) } else { at.checked_sub(by) }.unwrap_or(at)
}

/// A sender's own clock: when its [`MediaTime::ZERO`] was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(Instant);

impl Epoch {
    /// Media time begins at `start`. Choose it before the devices are opened: what was caught earlier is held at zero.
    pub const fn new(start: Instant) -> Self {
        Epoch(start)
    }

    /// The media time of one of our instants.
    pub fn media_time(self, at: Instant) -> MediaTime {
        MediaTime::ZERO.saturating_add(at.saturating_duration_since(self.0))
    }

    /// Our instant of a media time.
    pub fn instant(self, media: MediaTime) -> Instant {
        offset(self.0, i64::try_from(media.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A sender's clock seen from here: one straight line. Small, `Copy`, to be handed to any thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapping {
    local: Instant,
    /// Media nanoseconds at `local`; below zero where the sender's epoch is still to come.
    media: i128,
    /// Media seconds a local second, less one.
    skew: f64,
}

impl Mapping {
    /// Says that `media` was at `local` and that both clocks run alike. What is assumed until a ping was answered.
    pub fn assumed(local: Instant, media: MediaTime) -> Self {
        Mapping { local, media: i128::from(media.as_nanos()), skew: 0.0 }
    }

    /// Our instant of a media time; beyond what `Instant` can say, the nearest known one.
    pub fn to_local(&self, media: MediaTime) -> Instant {
        let ahead = i128::from(media.as_nanos()) - self.media;
        let local = ahead - (ahead as f64 * (self.skew / (1.0 + self.skew))) as i128;
        offset(self.local, i64::try_from(local).unwrap_or(if local > 0 { i64::MAX } else { i64::MIN + 1 }))
    }

    /// When that which is here `now` was caught, on our clock; `None` where a peer says what cannot be.
    pub fn captured(&self, capture: MediaTime, now: Instant) -> Option<Instant> {
        let captured = self.to_local(capture);
        (captured.saturating_duration_since(now) <= FUTURE && now.saturating_duration_since(captured) <= PAST).then_some(captured)
    }

    /// The media time of our instant, held at the ends of the sender's clock.
    pub fn to_media(&self, at: Instant) -> MediaTime {
        MediaTime::from_nanos(u64::try_from(self.media_nanos(at).max(0)).unwrap_or(u64::MAX))
    }

    /// How much faster than ours the sender's clock runs, in parts per million.
    pub fn skew_ppm(&self) -> f64 {
        self.skew * 1e6
    }

    fn media_nanos(&self, at: Instant) -> i128 {
        let ahead = nanos_between(at, self.local);
        self.media + i128::from(ahead) + (ahead as f64 * self.skew) as i128
    }
}

/// One exchange worth keeping. Seconds; `at` since the origin, `offset` of the media clock over the local one.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: f64,
    offset: f64,
    rtt: f64,
}

/// A receiver's estimate of one sender's clock. See the module text.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    /// What points count from: an instant, and the media nanoseconds then.
    origin: Option<(Instant, i128)>,
    points: VecDeque<Point>,
    mapping: Option<Mapping>,
    /// The slope, remembered for longer than the points: the prior's middle.
    usual_skew: f64,
    smoothed_rtt: Option<f64>,
    samples: u64,
    contradictions: u32,
}

impl Estimate {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One answered ping: it left here at `sent` and its answer came at `now`; the sender took it at `remote_received` and
    /// answered at `remote_replied`. Says whether it made sense.
    pub fn sample(&mut self, now: Instant, sent: Instant, remote_received: MediaTime, remote_replied: MediaTime) -> bool {
        let held = remote_replied.signed_since(remote_received);
        let whole = nanos_between(now, sent);
        if whole < 0 || held < 0 || held > whole {
            return false;
        }
        let rtt = (whole - held) as f64 * 1e-9;
        let middle = offset(sent, whole / 2);
        let media = i128::from(remote_received.as_nanos()) + i128::from(held / 2);
        let (origin, media_then) = *self.origin.get_or_insert((middle, media));
        let local_since = nanos_between(middle, origin);
        let point =
            Point { at: local_since as f64 * 1e-9, offset: (media - media_then - i128::from(local_since)) as f64 * 1e-9, rtt };
        self.smoothed_rtt = Some(self.smoothed_rtt.map_or(rtt, |old| old + (rtt - old) / 8.0)); // RFC 6298, §2

        if let Some(mapping) = self.mapping {
            let off = (media - mapping.media_nanos(middle)) as f64 * 1e-9;
            if off.abs() > (rtt + self.least_rtt()) / 2.0 + CONTRADICTION_S {
                self.contradictions += 1;
                if self.contradictions >= CONTRADICTIONS {
                    *self = Estimate { smoothed_rtt: self.smoothed_rtt, ..Estimate::new() };
                    return self.sample(now, sent, remote_received, remote_replied);
                }
                return true;
            }
        }
        self.contradictions = 0;
        self.samples += 1;
        self.keep(point);
        self.follow(now);
        true
    }

    fn keep(&mut self, point: Point) {
        let bucket = |p: &Point| (p.at / BUCKET_S).floor();
        match self.points.back_mut() {
            Some(last) if bucket(last) >= bucket(&point) => {
                if point.rtt <= last.rtt {
                    *last = point;
                }
            }
            _ => self.points.push_back(point),
        }
        while self.points.front().is_some_and(|p| p.at < point.at - WINDOW_S) {
            self.points.pop_front();
        }
    }

    /// Moves the mapping towards the line.
    fn follow(&mut self, now: Instant) {
        let Some((origin, media_then)) = self.origin else { return };
        let at = seconds_between(now, origin);
        let (line, skew) = self.line(at);
        let since = self.mapping.map_or(0.0, |old| seconds_between(now, old.local).clamp(0.0, 1.0));
        self.usual_skew += (skew - self.usual_skew) * since / MEMORY_S;
        let local_since = i128::from(nanos_between(now, origin));
        let exact = |offset: f64| media_then + local_since + (offset * 1e9) as i128;
        let media = match self.mapping {
            Some(old) if self.samples > SETTLING => {
                let behind = (exact(line) - old.media_nanos(now)) as f64 * 1e-9;
                if behind.abs() > JUMP_S {
                    exact(line)
                } else {
                    old.media_nanos(now) + ((behind / 4.0).clamp(-STEP_S, STEP_S) * 1e9) as i128
                }
            }
            _ => exact(line),
        };
        self.mapping = Some(Mapping { local: now, media, skew });
    }

    /// The line's value at `at`, and its slope.
    fn line(&self, at: f64) -> (f64, f64) {
        let least = self.least_rtt();
        let floor = FLOOR_S.max(self.quartile_excess(least) / 2.0);
        let weight = |p: &Point| (floor + (p.rtt - least) / 2.0).powi(-2);
        let (mut sum, mut sum_at, mut sum_offset) = (0.0, 0.0, 0.0);
        for p in &self.points {
            let w = weight(p);
            sum += w;
            sum_at += w * p.at;
            sum_offset += w * p.offset;
        }
        if sum <= 0.0 {
            return (0.0, 0.0);
        }
        let (mean_at, mean_offset) = (sum_at / sum, sum_offset / sum);
        let (mut squares, mut products) = (PRIOR_SKEW.powi(-2), self.usual_skew * PRIOR_SKEW.powi(-2));
        for p in &self.points {
            let w = weight(p);
            squares += w * (p.at - mean_at).powi(2);
            products += w * (p.at - mean_at) * (p.offset - mean_offset);
        }
        let skew = (products / squares).clamp(-MAX_SKEW, MAX_SKEW);
        (mean_offset + skew * (at - mean_at), skew)
    }

    /// By how much the better quarter of the points exceeds the shortest round trip.
    fn quartile_excess(&self, least: f64) -> f64 {
        let mut excess: Vec<f64> = self.points.iter().map(|p| p.rtt - least).collect();
        excess.sort_unstable_by(f64::total_cmp);
        excess.get(excess.len() / 4).copied().unwrap_or(0.0)
    }

    fn least_rtt(&self) -> f64 {
        self.points.iter().map(|p| p.rtt).fold(f64::INFINITY, f64::min)
    }

    /// Our instant of a media time; `None` before the first exchange.
    pub fn to_local(&self, media: MediaTime) -> Option<Instant> {
        self.mapping.map(|m| m.to_local(media))
    }

    /// The media time of our instant; `None` before the first exchange.
    pub fn to_media(&self, at: Instant) -> Option<MediaTime> {
        self.mapping.map(|m| m.to_media(at))
    }

    /// What is known now, to be handed to another thread.
    pub fn mapping(&self) -> Option<Mapping> {
        self.mapping
    }

    /// The round trip, smoothed over about eight exchanges.
    pub fn rtt(&self) -> Option<Duration> {
        self.smoothed_rtt.map(Duration::from_secs_f64)
    }

    /// The shortest round trip of the last minute: the path without its queues.
    pub fn min_rtt(&self) -> Option<Duration> {
        (!self.points.is_empty()).then(|| Duration::from_secs_f64(self.least_rtt()))
    }

    /// How much faster than ours the sender's clock runs, in parts per million.
    pub fn skew_ppm(&self) -> f64 {
        self.mapping.map_or(0.0, |m| m.skew_ppm())
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
