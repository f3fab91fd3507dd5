//! When something was caught, by our clock, where whoever caught it cannot be asked for the time.
//!
//! All that is known of what comes one way is when it was caught by the other's clock, and when it came by ours. Of what came in the
//! last seconds that which was on its way for the least time says best how the two clocks lie: what that one took is left out. So
//! times that are given are too late by the shortest way there is, all alike: what lies between a picture and its sound stays.
//!
//! The estimate falls at once and rises slowly, by [`RISES`]: faster than two crystals go apart, and slower than is heard.

use crate::time::MediaTime;
use std::time::Duration;

/// The least is looked for in so much time, and in as much before that.
const WINDOW: Duration = Duration::from_secs(5);

/// So many nanoseconds in a microsecond it rises.
const RISES: i64 = 1;

/// See the module text.
#[derive(Debug, Clone, Default)]
pub struct OneWay {
    state: Option<State>,
}

#[derive(Debug, Clone)]
struct State {
    /// What is added to the other's times, ns.
    offset: i64,
    /// When that was said last.
    at: MediaTime,
    /// When this window began; the least in it, and in the one before.
    begun: MediaTime,
    least: (i64, i64),
}

impl OneWay {
    /// What was caught then by the other's clock came `now` by ours: when it was caught, by ours, and how much longer than the
    /// shortest it was on its way.
    pub fn came(&mut self, capture: MediaTime, now: MediaTime) -> (MediaTime, Duration) {
        let took = now.signed_since(capture);
        let state = self.state.get_or_insert(State { offset: took, at: now, begun: now, least: (took, took) });
        if now.saturating_since(state.begun) >= WINDOW {
            (state.begun, state.least) = (now, (took, state.least.0));
        }
        state.least.0 = state.least.0.min(took);
        let target = state.least.0.min(state.least.1);
        let may_rise = (now.saturating_since(state.at).as_micros() as i64).saturating_mul(RISES);
        state.offset = target.min(state.offset.saturating_add(may_rise));
        state.at = now;
        let local = MediaTime::from_nanos(capture.as_nanos().saturating_add_signed(state.offset)).min(now);
        (local, now.saturating_since(local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn what_took_the_least_says_how_the_clocks_lie_and_what_lies_between_stays() {
        let mut one_way = OneWay::default();
        assert_eq!(one_way.came(ms(1000), ms(5050)), (ms(5050), Duration::ZERO));
        assert_eq!(one_way.came(ms(1033), ms(5063)), (ms(5063), Duration::ZERO), "20 ms sooner");
        let (sound, took) = one_way.came(ms(1050), ms(5180));
        assert_eq!((sound, took), (ms(5080), Duration::from_millis(100)));
    }

    #[test]
    fn a_clock_that_goes_slow_is_followed_and_never_by_a_step_that_is_heard() {
        let (mut one_way, mut before) = (OneWay::default(), None);
        for block in 0..60_000u64 {
            // 100 ppm apart, and 0 to 20 ms of jitter.
            let (capture, late) =
                (block * 10_000_000, block * 1000 + (block.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 20_000_000);
            let (local, _) = one_way.came(MediaTime::from_nanos(capture), MediaTime::from_nanos(50_000_000 + capture + late));
            if let Some(before) = before.replace(local).filter(|_| block > 1000) {
                let step = local.signed_since(before) - 10_000_000;
                assert!(step.abs() < 300_000, "{step} ns at {block}");
            }
        }
        let behind = before.expect("times").as_nanos() as i64 - 59_999 * 10_000_000 - 50_000_000 - 60_000_000;
        assert!(behind.abs() < 3_000_000, "{behind} ns");
    }

    #[test]
    fn times_that_cannot_be_are_of_now_at_the_latest() {
        let mut one_way = OneWay::default();
        for (capture, now) in [(u64::MAX, 5), (0, u64::MAX), (u64::MAX, u64::MAX), (7, 9)] {
            let now = MediaTime::from_nanos(now);
            assert!(one_way.came(MediaTime::from_nanos(capture), now).0 <= now);
        }
    }
}
