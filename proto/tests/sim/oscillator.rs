//! A crystal of its own for whatever has one: each host, the microphone, the speaker.
//!
//! True time is virtual nanoseconds since the start of the simulation; an oscillator shows `offset + true × (1 + ppm)`. A harness
//! with one clock for all cannot show that a timing scheme goes late when the clocks drift apart.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Oscillator {
    offset: u64,
    ppb: i64,
    /// From, to, in true time: it stands still, as the monotonic clock of a suspended machine.
    stands: (u64, u64),
}

impl Oscillator {
    pub fn new(offset: Duration, ppm: f64) -> Self {
        Oscillator { offset: offset.as_nanos() as u64, ppb: (ppm * 1000.0) as i64, stands: (0, 0) }
    }

    /// The same, but it stands still for a while.
    pub fn standing(self, from: Duration, to: Duration) -> Self {
        Oscillator { stands: (from.as_nanos() as u64, to.as_nanos() as u64), ..self }
    }

    fn runs(&self, at: u64) -> u64 {
        let (from, to) = self.stands;
        at - (at.clamp(from, to) - from)
    }

    /// What it shows at a true time, in nanoseconds.
    pub fn shows(&self, at: u64) -> u64 {
        let at = self.runs(at);
        let drift = i128::from(at) * i128::from(self.ppb) / 1_000_000_000;
        self.offset + (i128::from(at) + drift) as u64
    }

    /// The first true time at which it shows at least this.
    pub fn when(&self, shown: u64) -> u64 {
        let since = i128::from(shown.saturating_sub(self.offset));
        let mut at = (since * 1_000_000_000 / (1_000_000_000 + i128::from(self.ppb))) as u64;
        let (from, to) = self.stands;
        if to > from && at >= from {
            at += to - from;
        }
        at = at.saturating_sub(1);
        while self.shows(at) < shown {
            at += 1;
        }
        at
    }
}

/// The instant all hosts' clocks count from.
#[derive(Clone, Copy)]
pub struct Base(Instant);

impl Base {
    #[expect(clippy::disallowed_methods, reason = "one real instant to count from")]
    pub fn new() -> Base {
        Base(Instant::now())
    }

    pub fn instant(self, shown: u64) -> Instant {
        self.0 + Duration::from_nanos(shown)
    }

    pub fn nanos(self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.0).as_nanos() as u64
    }
}

#[test]
fn a_true_time_is_found_again_from_what_the_clock_shows() {
    for ppm in [-150.0, -0.5, 0.0, 20.0, 300.0] {
        let clock = Oscillator::new(Duration::from_secs(1000), ppm);
        for at in [0, 1, 999_999, 3_600_000_000_000, 86_400_000_000_001] {
            let shown = clock.shows(at);
            let found = clock.when(shown);
            assert!(clock.shows(found) >= shown && at - found <= 1, "{ppm} ppm, {at}");
        }
    }
    let fast = Oscillator::new(Duration::ZERO, 100.0);
    assert_eq!(fast.shows(3_600_000_000_000) - 3_600_000_000_000, 360_000_000, "0.36 s an hour");
}
