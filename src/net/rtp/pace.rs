//! When the packets of a picture go: in a burst each millisecond, as small as is possible where all are to be gone after three
//! quarters of the time to the next picture.
//!
//! All at once they would overrun what is slower than we are, a Wi-Fi or a player's buffer. Spread over all of the time each
//! picture would come as late as the next begins; so a picture of few packets is not spread further than small bursts need.

use std::time::{Duration, Instant};

/// From burst to burst: what a thread can wait for without being late most of the time.
const STEP: Duration = Duration::from_millis(1);

/// The smallest burst. At 1400 bytes a packet it is 45 Mbit/s, which any network that carries JPEGs has.
const LEAST: usize = 4;

/// Pictures are never taken to be further apart: the first ones, those of a source that stood still.
const LONGEST_PERIOD: Duration = Duration::from_millis(200);

/// The bursts of one picture.
#[derive(Debug)]
pub struct Pace {
    begin: Instant,
    /// Packets of a burst.
    burst: usize,
}

impl Pace {
    /// Of so many packets, where the next picture is to come after `period`.
    pub fn new(begin: Instant, packets: usize, period: Duration) -> Self {
        let time = period.min(LONGEST_PERIOD) * 3 / 4;
        let bursts = (time.as_nanos() / STEP.as_nanos()).max(1) as usize;
        Pace { begin, burst: packets.div_ceil(bursts).max(LEAST) }
    }

    /// How many packets may be gone by now.
    pub fn due(&self, now: Instant) -> usize {
        let steps = now.saturating_duration_since(self.begin).as_nanos() / STEP.as_nanos();
        self.burst.saturating_mul(usize::try_from(steps).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// When the packet of this number goes.
    pub fn when(&self, packet: usize) -> Instant {
        self.begin + STEP * u32::try_from(packet / self.burst).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(40);

    #[test]
    fn a_small_picture_goes_in_the_smallest_bursts_and_a_large_one_in_three_quarters_of_the_period() {
        let begin = Instant::now();
        for (packets, last) in [(3, 0), (4, 0), (5, 1), (60, 14), (120, 29), (3000, 29)] {
            let pace = Pace::new(begin, packets, PERIOD);
            assert_eq!(pace.when(packets - 1), begin + last * STEP, "{packets} packets");
        }
    }

    #[test]
    fn a_packet_is_due_when_it_is_said_to_go_and_not_before() {
        let begin = Instant::now();
        let pace = Pace::new(begin, 500, PERIOD);
        for packet in 0..500 {
            let when = pace.when(packet);
            assert!(pace.due(when) > packet);
            assert!(packet < pace.burst || pace.due(when - Duration::from_nanos(1)) <= packet, "{packet}");
        }
        assert_eq!(pace.due(begin - STEP), pace.burst, "a clock that has not come there yet");
    }

    #[test]
    fn pictures_that_are_far_apart_or_come_at_once_are_bounded() {
        let begin = Instant::now();
        let still = Pace::new(begin, 6000, Duration::from_secs(3600));
        assert_eq!(still.when(5999), begin + 149 * STEP);
        assert_eq!(Pace::new(begin, 60, Duration::ZERO).when(59), begin);
    }
}
