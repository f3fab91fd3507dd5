//! Stamps of drivers and desktops → moments on our clock.

use std::time::{Duration, Instant};

/// A stamp older than this is a driver's mistake, not the age of a picture.
const OLDEST: Duration = Duration::from_secs(1);

/// The clock most stamps are of, now.
pub fn monotonic() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// When a picture was caught, on our clock: `stamp` and `clock` (now) are of one clock, whichever. A stamp that is missing,
/// in the future, or ancient counts as now.
pub fn moment(stamp: Option<Duration>, clock: Duration, now: Instant) -> Instant {
    let age = stamp.and_then(|stamp| clock.checked_sub(stamp)).filter(|age| *age <= OLDEST);
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_becomes_an_age_and_an_impossible_one_becomes_now() {
        let (now, clock) = (Instant::now(), Duration::from_secs(1_000_000));
        let age = |millis: i64| {
            let stamp =
                if millis >= 0 { clock - Duration::from_millis(millis as u64) } else { clock + Duration::from_millis(40) };
            now - moment(Some(stamp), clock, now)
        };
        assert_eq!(age(7), Duration::from_millis(7));
        assert_eq!(age(1000), Duration::from_millis(1000));
        assert_eq!(age(1001), Duration::ZERO);
        assert_eq!(age(-40), Duration::ZERO);
        assert_eq!(moment(None, clock, now), now);
    }
}
