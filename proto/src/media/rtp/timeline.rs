//! Timestamps of a stream → moments of our clock, and two streams of one sender brought together.
//!
//! A timestamp counts ticks of its stream alone. Where they begin on our clock is told by the earliest arrivals ([`Base`]). Sender
//! reports say which moment of the sender's clock a timestamp is of; then both streams are on that clock, and of the two beginnings
//! that follow the earlier one is right: the other stream is only longer on its way. Reports of two machines whose clocks are
//! not set alike would tear them apart, so what is more than [`MOST_APART`] is not believed.

use crate::media::arrival::{Base, Caught};
use std::time::{Duration, Instant};

/// Streams that belong together do not come further apart.
const MOST_APART: i64 = 2_000_000_000;

/// By so much at most what comes late is said to be earlier: pictures by all of it, sound by less than makes it stale (`session`
/// drops live sound that is older than 200 ms).
pub const MOST_SHIFT: (Duration, Duration) = (Duration::from_nanos(MOST_APART as u64), Duration::from_millis(150));

/// Ticks are counted from here, so that those before the first have a number, too.
const FROM: i64 = 3600;

/// A stream that jumps by more seconds has begun anew.
const JUMP: i64 = 10;

/// A shift that would change by no more than this, in nanoseconds, stays: reports and arrivals tremble, sound is not to, and nobody
/// notices (ITU-R BT.1359).
const TREMBLE: i64 = 20_000_000;

/// Of one stream.
#[derive(Debug)]
pub struct Timeline {
    /// Ticks in a second.
    rate: i64,
    /// Nanoseconds.
    most_shift: i64,
    /// The newest timestamp and its ticks.
    newest: Option<(u32, i64)>,
    base: Base,
    caught: Caught,
    /// The moment of the zeroth tick.
    zero: Option<Instant>,
    /// A moment of the sender's clock, in nanoseconds, and its ticks.
    report: Option<(i64, i64)>,
    /// By how much all is earlier, for it comes later than the other stream; nanoseconds.
    shift: Option<i64>,
}

impl Timeline {
    /// Of so many ticks in a second, which is said to be earlier by so much at most.
    pub fn new(rate: u32, most_shift: Duration) -> Self {
        let (base, caught, most_shift) = (Base::new(false), Caught::default(), most_shift.as_nanos() as i64);
        Timeline { rate: rate.into(), most_shift, newest: None, base, caught, zero: None, report: None, shift: None }
    }

    fn ticks(&self, timestamp: u32) -> i64 {
        let (newest, ticks) = self.newest.unwrap_or((timestamp, FROM * self.rate));
        // Half a day of 90 kHz before and behind the newest: it wraps.
        ticks + i64::from(timestamp.wrapping_sub(newest) as i32)
    }

    fn nanos(&self, ticks: i64) -> i64 {
        // Years of them fit.
        (i128::from(ticks) * 1_000_000_000 / i128::from(self.rate)) as i64
    }

    /// Something of this timestamp has come.
    pub fn arrived(&mut self, timestamp: u32, now: Instant) {
        let mut ticks = self.ticks(timestamp);
        if self.newest.is_some_and(|(_, newest)| (ticks - newest).abs() > JUMP * self.rate) {
            (self.newest, self.base, self.report, self.shift) = (None, Base::new(false), None, None);
            ticks = self.ticks(timestamp);
        }
        if self.newest.is_none_or(|(_, newest)| newest < ticks) {
            self.newest = Some((timestamp, ticks));
        }
        let stamp = Duration::from_nanos(self.nanos(ticks).max(0) as u64);
        self.zero = Some(self.base.arrived(stamp, now));
    }

    /// A sender report: this timestamp is of that moment, as NTP has it. It counts once something has come.
    pub fn reported(&mut self, timestamp: u32, ntp: u64) {
        let nanos = (i128::from(ntp) * 1_000_000_000) >> 32;
        // Until the year 2036 they fit, and a clock that begins again then is one that was set.
        self.report = self.newest.map(|_| (nanos as i64, self.ticks(timestamp)));
    }

    /// Where the zero of the sender's clock lies on ours, in nanoseconds from `since`.
    fn sender_zero(&self, since: Instant) -> Option<i64> {
        let ((nanos, ticks), zero) = (self.report?, self.zero?);
        let zero = match zero.checked_duration_since(since) {
            Some(later) => later.as_nanos() as i64,
            None => -(since.duration_since(zero).as_nanos() as i64),
        };
        zero.checked_add(self.nanos(ticks))?.checked_sub(nanos)
    }

    /// Brings it together with the other stream of its sender, where both have been reported.
    pub fn join(&mut self, other: &Timeline, now: Instant) {
        let (ours, theirs) = (self.sender_zero(now), other.sender_zero(now));
        let apart = ours.zip(theirs).and_then(|(ours, theirs)| ours.checked_sub(theirs));
        let Some(apart) = apart.filter(|apart| apart.unsigned_abs() <= MOST_APART as u64) else {
            self.shift = None;
            return;
        };
        let wanted = apart.clamp(0, self.most_shift);
        self.shift = Some(match self.shift {
            Some(shift) if (wanted - shift).abs() < TREMBLE => shift,
            _ => wanted,
        });
    }

    /// When what has this timestamp was caught: never before what was asked about before, nor after now.
    pub fn caught(&mut self, timestamp: u32, now: Instant) -> Instant {
        let Some(zero) = self.zero else { return now };
        let nanos = self.nanos(self.ticks(timestamp)) - self.shift.unwrap_or(0);
        self.caught.at(zero, Duration::from_nanos(nanos.max(0) as u64), now)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A sender's clock at so many milliseconds, as NTP has it.
    fn ntp(ms: u64) -> u64 {
        (3_900_000_000 << 32) + (ms << 32) / 1000
    }

    /// Pictures, which come 180 ms after they were caught, and sound, which comes after 20; how far their times are apart at the end.
    fn apart(reports: impl Fn(&mut Timeline, &mut Timeline)) -> i64 {
        let begin = Instant::now();
        let (mut pictures, mut sound) = (Timeline::new(90_000, MOST_SHIFT.0), Timeline::new(48_000, MOST_SHIFT.1));
        let mut apart = 0;
        for at in (0..3000).step_by(40) {
            let (seen, heard) = (7_u32.wrapping_add(at * 90), u32::MAX.wrapping_add(at * 48));
            let (came, sounded) = (begin + ms(u64::from(at) + 180), begin + ms(u64::from(at) + 20));
            sound.arrived(heard, sounded);
            sound.join(&pictures, sounded);
            let heard = sound.caught(heard, sounded);
            pictures.arrived(seen, came);
            if at == 400 {
                reports(&mut pictures, &mut sound);
            }
            pictures.join(&sound, came);
            let seen = pictures.caught(seen, came);
            apart = (seen - begin).as_millis() as i64 - (heard - begin).as_millis() as i64;
        }
        apart
    }

    #[test]
    fn without_reports_both_are_as_late_as_they_come_and_with_them_they_are_together() {
        assert!((158..=162).contains(&apart(|_, _| {})), "{}", apart(|_, _| {}));
        let both = |pictures: &mut Timeline, sound: &mut Timeline| {
            // Of 80 ms after the beginning, and of before it.
            pictures.reported(7 + 80 * 90, ntp(80));
            sound.reported(u32::MAX.wrapping_sub(48), ntp(0) - (1 << 32) / 1000);
        };
        assert!(apart(both).abs() <= 3, "{}", apart(both));
        let one = |pictures: &mut Timeline, _: &mut Timeline| pictures.reported(7, ntp(0));
        assert!(apart(one) > 150);
        let foreign = |pictures: &mut Timeline, sound: &mut Timeline| {
            pictures.reported(7, ntp(60_000));
            sound.reported(u32::MAX, 5);
        };
        assert!(apart(foreign) > 150, "clocks that are not set alike");
    }

    #[test]
    fn timestamps_wrap_and_a_stream_that_begins_anew_goes_on_from_now() {
        let begin = Instant::now();
        let mut pictures = Timeline::new(90_000, MOST_SHIFT.0);
        let mut last = begin;
        for at in 0..200_u32 {
            let (timestamp, now) = ((u32::MAX - 90_000).wrapping_add(at * 3600), begin + ms(u64::from(at) * 40));
            pictures.arrived(timestamp, now);
            last = pictures.caught(timestamp, now);
            assert!(now.duration_since(last) < ms(1), "{at}");
        }
        let now = last + ms(40);
        pictures.arrived(1 << 31, now);
        assert_eq!(pictures.caught(1 << 31, now), now);
        assert_eq!(pictures.caught(0, now + ms(1)), now, "never back");
    }
}
