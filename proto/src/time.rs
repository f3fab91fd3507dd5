//! `MediaTime`: a moment on one sender's media clock.
//!
//! Three clocks exist and are never mixed: `std::time::Instant` (this machine), [`MediaTime`] (one sender) and sample
//! counts (one sound card). `media/clock.rs` alone relates the first two, `media/drift.rs` the last.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since the epoch of one sender's media clock (the start of its session). 64 bits last 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The sender's epoch.
    pub const ZERO: MediaTime = MediaTime(0);

    /// From nanoseconds since the sender's epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        MediaTime(nanos)
    }

    /// Nanoseconds since the sender's epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `self + by`, held at the end of time instead of wrapping: a peer's number must not panic us.
    pub fn saturating_add(self, by: Duration) -> Self {
        MediaTime(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// `self - by`, held at the epoch.
    pub fn saturating_sub(self, by: Duration) -> Self {
        MediaTime(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn saturating_since(self, earlier: MediaTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self - other` in nanoseconds, signed, held at the ends of `i64`.
    pub fn signed_since(self, other: MediaTime) -> i64 {
        i64::try_from(i128::from(self.0) - i128::from(other.0)).unwrap_or(if self.0 > other.0 { i64::MAX } else { i64::MIN })
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_held_at_the_ends() {
        let end = MediaTime::from_nanos(u64::MAX);
        assert_eq!(end.saturating_add(Duration::from_secs(1)), end);
        assert_eq!(MediaTime::ZERO.saturating_sub(Duration::from_secs(1)), MediaTime::ZERO);
        assert_eq!(MediaTime::ZERO.saturating_since(end), Duration::ZERO);
        assert_eq!(MediaTime::ZERO.signed_since(end), i64::MIN);
        assert_eq!(MediaTime::from_nanos(5).signed_since(MediaTime::from_nanos(7)), -2);
    }
}
