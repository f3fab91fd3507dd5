//! A voice takes real time: a track's sound is taken no faster than it can have been spoken.
//!
//! Capacity: [`PACE`] blocks a second, and after a pause what it may have held back. What is more is let go and counted, before
//! anybody is given or sent anything of it: who sends sound a thousand times as fast fills neither memories nor others' paths.

use std::time::{Duration, Instant};

/// Blocks of 10 ms, and what a sound card may run too fast.
const PACE: f64 = 101.0;

/// The longest outage after which all that was said comes at once. Live senders keep less.
const OUTAGE: Duration = Duration::from_secs(5);

/// A film skips nothing: what its reader was ahead, and what waited for others.
const FILM: Duration = Duration::from_secs(60);

pub(super) struct Pace {
    most: f64,
    left: f64,
    since: Option<Instant>,
}

impl Pace {
    /// Of a track nothing came of.
    pub fn new(film: bool) -> Self {
        let most = PACE * if film { FILM } else { OUTAGE }.as_secs_f64();
        Pace { most, left: most, since: None }
    }

    /// One more block; whether it is taken.
    pub fn takes(&mut self, now: Instant) -> bool {
        let passed = self.since.replace(now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.left = (self.left + passed.as_secs_f64() * PACE).min(self.most);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_voice_is_taken_whole_and_who_speaks_faster_than_time_goes_is_not() {
        let start = Instant::now();
        let taken = |film, each: Duration, count: u32| {
            let mut pace = Pace::new(film);
            (0..count).filter(|at| pace.takes(start + each * *at)).count()
        };
        assert_eq!(taken(false, Duration::from_millis(10), 360_000), 360_000, "an hour");
        assert_eq!(taken(false, Duration::ZERO, 500), 500, "what an outage held back");
        let fast = taken(false, Duration::from_micros(200), 50_000);
        assert!((1505..=1516).contains(&fast), "{fast} of ten seconds at fifty times the pace");
        assert!(taken(true, Duration::ZERO, 50_000) <= 6060, "a film has its limit, too");
    }
}
