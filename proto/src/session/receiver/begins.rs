//! How often tracks of one sender begin: each costs a decoder, a voice and a tile.

use crate::session::events::MOST_SENDERS;
use std::time::Instant;

/// So many tracks of a sender may begin at once: as many as there are, and some that are used again. Of one that does not
/// forward, a few.
const AT_ONCE: (f64, f64) = (2.0 * MOST_SENDERS as f64, 4.0);

/// And so many a second.
const A_SECOND: f64 = 1.0;

/// How many tracks of a sender may begin now.
pub(super) struct Begins {
    left: f64,
    most: f64,
    since: Instant,
}

impl Begins {
    /// Of a sender none of whose has begun.
    pub fn new(now: Instant, forwards: bool) -> Self {
        let most = if forwards { AT_ONCE.0 } else { AT_ONCE.1 };
        Begins { left: most, most, since: now }
    }

    /// One is to begin; whether it may.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.left, self.since) = ((self.left + passed * A_SECOND).min(self.most), now);
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn tracks_that_are_used_again_and_again_begin_once_a_second() {
        let start = Instant::now();
        let mut begins = Begins::new(start, false);
        let mut taken = |millis| (0..10).filter(|_| begins.take(start + Duration::from_millis(millis))).count();
        assert_eq!([0, 0, 500, 1000, 1500, 2000, 60_000].map(&mut taken), [4, 0, 0, 1, 0, 1, 4]);
    }
}
