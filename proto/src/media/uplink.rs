//! What the way to a relay takes, found out at its beginning: what is put in against what goes out.
//!
//! A relay reports nothing of how pictures arrive, and a transport's own estimate is of its window, about twice what the path takes.
//! But what is put in and does not go out waits. Where that is more than [`QUEUE`] of what goes out, the path takes what goes out,
//! and a little less is said, so that what waits is sent; else a little more is tried. What grows too old is given up before
//! it is sent ([`AGE`]), so no more than that waits. What is put in and asked for no more does not go out either: so the path
//! is to be seen to be full, by a round trip that has grown ([`GROWN`]).

use super::rate_control::Bitrate;
use std::time::Duration;

/// What may wait.
const QUEUE: Duration = Duration::from_millis(60);

/// What is older does not wait any more.
const AGE: Duration = Duration::from_millis(300);

/// A round trip that takes so much more than one and a half of the shortest there was is behind a queue.
const GROWN: Duration = Duration::from_millis(10);

/// Of what goes out through a path that is full.
const SHARE: f64 = 0.85;

/// By so much more is tried in a second.
const RISES: f64 = 1.08;

/// After it was said that a path takes less, no more is tried for so long.
const HOLDS: Duration = Duration::from_secs(1);

/// Only where so much of what it takes is put in, it is known to take that: who takes fewer pictures for a while says nothing of it.
const TRIED: f64 = 0.7;

/// Bits a second that every path takes.
const LEAST: f64 = 200_000.0;

/// What went out in so many turns before is looked at, too.
const LATELY: usize = 8;

/// See the module text.
#[derive(Debug, Default)]
pub struct Uplink {
    /// Bits a second.
    takes: Option<f64>,
    /// Bits that wait.
    waits: f64,
    hold: Duration,
    /// What went out lately, bits a second: who takes less for a moment says nothing of the path.
    lately: [f64; LATELY],
    /// The shortest round trip.
    shortest: Option<Duration>,
}

impl Uplink {
    /// In this time so many bytes were put in, and so many went out, and a round trip takes so long now. What it takes; `None`: all.
    pub fn passed(&mut self, time: Duration, (put_in, went_out): (u64, u64), trip: Duration) -> Option<Bitrate> {
        let shortest = self.shortest.map_or(trip, |shortest| shortest.min(trip));
        self.shortest = Some(shortest);
        let is_full = trip >= shortest + shortest / 2 + GROWN;
        let seconds = time.as_secs_f64().max(0.001);
        let (put_in, went_out) = (put_in as f64 * 8.0 / seconds, went_out as f64 * 8.0 / seconds);
        let most = put_in.max(went_out) * AGE.as_secs_f64();
        self.waits = (self.waits + (put_in - went_out) * seconds).clamp(0.0, most);
        self.lately.rotate_right(1);
        self.lately[0] = went_out;
        self.hold = self.hold.saturating_sub(time);
        if is_full && self.waits > went_out.max(LEAST) * QUEUE.as_secs_f64() {
            let most = self.lately.iter().copied().fold(went_out, f64::max);
            self.takes = Some((most * SHARE).max(LEAST));
            (self.waits, self.hold) = (0.0, HOLDS);
        } else if let Some(takes) = self.takes.filter(|takes| self.hold.is_zero() && put_in > TRIED * takes) {
            self.takes = Some(takes * RISES.powf(seconds));
        }
        self.takes.map(|takes| Bitrate(takes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(250);

    /// A camera of so many bits a second on a line of so many, for so many turns: the shares of the line that were put in, and the
    /// longest that something waited, after the first seconds.
    fn play(camera: f64, line: f64, turns: usize) -> (Vec<f64>, f64) {
        let (mut uplink, mut takes, mut queue) = (Uplink::default(), None, 0.0_f64);
        let (mut shares, mut longest) = (Vec::new(), 0.0_f64);
        // The connection is made before anything is put in.
        uplink.passed(TURN, (0, 0), Duration::from_millis(2));
        for turn in 0..turns {
            let rate = takes.map_or(camera, |Bitrate(takes)| camera.min(takes as f64));
            let seconds = TURN.as_secs_f64();
            // What is too old is not sent.
            queue = (queue + rate * seconds).min(line * (seconds + AGE.as_secs_f64()));
            let out = queue.min(line * seconds);
            queue -= out;
            // Heads and acknowledgements go out, too.
            let trip = Duration::from_millis(2) + Duration::from_secs_f64(queue / line);
            takes = uplink.passed(TURN, ((rate * seconds / 8.0) as u64, (out * 1.03 / 8.0) as u64), trip);
            if turn > 20 {
                shares.push(rate / line);
                longest = longest.max(queue / line);
            }
        }
        (shares, longest)
    }

    #[test]
    fn a_line_that_takes_less_is_filled_and_little_waits() {
        let (shares, longest) = play(17e6, 4e6, 400);
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!(mean > 0.85 && mean < 1.05, "{mean}");
        assert!(longest < 0.2, "{longest} s");
    }

    #[test]
    fn of_a_line_that_takes_all_nothing_is_said() {
        let (shares, longest) = play(17e6, 100e6, 400);
        assert!(shares.iter().all(|share| (share - 0.17).abs() < 1e-9) && longest == 0.0);
    }

    #[test]
    fn a_line_that_is_mended_is_filled_again() {
        let mut uplink = Uplink::default();
        let (idle, full) = (Duration::from_millis(3), Duration::from_millis(90));
        assert_eq!(uplink.passed(TURN, (500_000, 100_000), idle), None, "nobody asks for the rest");
        (0..8).for_each(|_| _ = uplink.passed(TURN, (500_000, 100_000), full));
        let mut takes = uplink.passed(TURN, (500_000, 100_000), full).expect("it takes less");
        let before = takes;
        for _ in 0..40 {
            takes = uplink.passed(TURN, (takes.0 / 100, takes.0 / 100), idle).expect("it is not known to take more");
        }
        assert_eq!(takes, before, "a third of it says nothing");
        for _ in 0..200 {
            let put_in = takes.0.min(16_000_000) / 32;
            takes = uplink.passed(TURN, (put_in, put_in), idle).expect("it takes so much");
        }
        assert!(takes.0 > 16_000_000, "{takes:?}");
    }
}
