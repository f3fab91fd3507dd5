//! When what comes live was caught: its stamps and when it came, put together.
//!
//! A stamp is a time on the clock of the source. Where that clock's zero lies on ours is told by the earliest arrivals, those of
//! the least delay; pictures then have the distances of their stamps, however unevenly they came. That holds as long as stamps
//! are times. Some formats have none, and ffmpeg counts their pictures at a rate it takes for granted; and some cameras stamp by
//! counting too. Such stamps run slower or faster than time goes by, and there a picture's time is when it came.

use std::time::{Duration, Instant};

/// At this distance it is looked whether stamps and arrivals still go together.
const WINDOW: Duration = Duration::from_secs(1);

/// How much all of a window may be later than the one before, or than the earliest. Clocks drift by less than a thousandth of
/// this.
const SLACK: Duration = Duration::from_millis(50);

/// So many windows in a row are no jam on the way any more.
const LASTING: u32 = 3;

/// So many windows in a row show that stamps are times after all: a jam has passed.
const PROVEN: u32 = 10;

/// What comes so much too late: the source stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// Where the zero of a source's stamps lies on our clock.
///
/// It rises by a thousandth of the time that goes by, more than two clocks drift apart, so that it follows a slower one too; it
/// follows a way that has become longer for good, and at once a source that stood still.
#[derive(Debug)]
pub struct Base {
    /// Whether stamps are counted, not read from a clock.
    counted: bool,
    /// The zero, and when it was last looked at.
    start: Option<(Instant, Instant)>,
    watch: Option<Watch>,
}

/// The times of one stream on our clock: they never go back, and nothing was caught after it came.
#[derive(Debug, Default)]
pub struct Caught {
    last: Option<Instant>,
}

impl Caught {
    /// When what lies at `time` behind `start` and came at `now` was caught.
    pub fn at(&mut self, start: Instant, time: Duration, now: Instant) -> Instant {
        let caught = (start + time).min(now);
        let caught = self.last.map_or(caught, |last| caught.max(last));
        self.last = Some(caught);
        caught
    }
}

/// The earliest zero of each window, compared with the one before.
#[derive(Debug)]
struct Watch {
    since: Instant,
    least: Instant,
    before: Option<Instant>,
    /// How many windows in a row were each later than the one before, as late as the one before, and later than the base.
    slipping: u32,
    steady: u32,
    late: u32,
    /// Whether stamps have shown to be no times.
    slipped: bool,
}

impl Base {
    /// For stamps that are `counted` where the format of the source has none.
    pub fn new(counted: bool) -> Self {
        Base { counted, start: None, watch: None }
    }

    /// What is stamped `stamp` arrived at `now`: gives the zero from then on.
    pub fn arrived(&mut self, stamp: Duration, now: Instant) -> Instant {
        let zero = now.checked_sub(stamp).unwrap_or(now);
        let moved = self.watch(zero, now);
        let slipped = self.watch.as_ref().is_some_and(|watch| watch.slipped);
        let start = match self.start {
            Some((start, noted)) if !self.counted && !slipped => {
                let start = moved.map_or(start, |moved| moved.max(start));
                let start = if zero.saturating_duration_since(start) < STOOD_STILL { start } else { zero };
                zero.min(start + (now - noted) / 1000)
            }
            _ => zero,
        };
        self.start = Some((start, now));
        start
    }

    /// Looks at the windows; gives the new zero where nothing has come near the old one for long.
    fn watch(&mut self, zero: Instant, now: Instant) -> Option<Instant> {
        let fresh = Watch { since: now, least: zero, before: None, slipping: 0, steady: 0, late: 0, slipped: false };
        let watch = self.watch.get_or_insert(fresh);
        if now - watch.since < WINDOW {
            watch.least = watch.least.min(zero);
            return None;
        }
        let least = std::mem::replace(&mut watch.least, zero);
        watch.since = now;
        let before = watch.before.replace(least);
        let row = |count: u32, another: bool| if another { count + 1 } else { 0 };
        let later_than = |than: Option<Instant>| than.is_some_and(|than| least > than + SLACK);
        watch.slipping = row(watch.slipping, later_than(before));
        watch.steady = row(watch.steady, before.is_some_and(|before| least.max(before) - least.min(before) <= SLACK));
        watch.late = row(watch.late, later_than(self.start.map(|(start, _)| start)));
        watch.slipped = watch.slipping >= LASTING || watch.slipped && watch.steady < PROVEN;
        let lasting = watch.late >= LASTING;
        if lasting {
            watch.late = 0;
        }
        lasting.then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of a source, one after the other.
    struct Source {
        zero: Instant,
        base: Base,
        caught: Caught,
    }

    impl Source {
        fn new(counted: bool) -> Self {
            let zero = Instant::now() + Duration::from_secs(100);
            Source { zero, base: Base::new(counted), caught: Caught::default() }
        }

        /// When what is stamped so and came so long after the beginning was caught, from the beginning on.
        fn caught(&mut self, stamp: Duration, came: Duration) -> Duration {
            let now = self.zero + came;
            let start = self.base.arrived(stamp, now);
            self.caught.at(start, stamp, now) - self.zero
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_picture_was_caught_where_the_least_delayed_one_says() {
        let mut source = Source::new(false);
        // The first comes 300 ms late, the others 20 ms: what was caught never goes back, and is never after it came.
        let caught: Vec<_> = [(0, 300), (40, 300), (80, 300), (400, 420), (440, 500), (480, 500)]
            .map(|(stamp, came)| source.caught(ms(stamp), ms(came)))
            .into();
        assert_eq!(caught[..4], [300, 300, 300, 420].map(ms));
        assert!(caught[4].abs_diff(ms(460)) < ms(1), "{caught:?}: delayed by 60 on the way");
        assert!(caught[5].abs_diff(ms(500)) < ms(1), "{caught:?}");
    }

    #[test]
    fn a_source_that_stood_still_goes_on_from_now() {
        let mut source = Source::new(false);
        source.caught(ms(0), ms(0));
        assert_eq!(source.caught(ms(40), ms(5000)), ms(5000));
        assert_eq!(source.caught(ms(80), ms(5040)), ms(5040));
    }

    #[test]
    fn a_slower_clock_is_followed() {
        let mut source = Source::new(false);
        for second in 0..600 {
            let came = Duration::from_micros(second * 1_000_200);
            let late = came - source.caught(Duration::from_secs(second), came);
            assert!(late < ms(1), "{late:?} after {second} s");
        }
    }

    #[test]
    fn where_stamps_are_counted_a_picture_was_caught_when_it_came() {
        let mut source = Source::new(true);
        // Ten a second, counted as 25; then 30 a second.
        for k in 0..300 {
            assert_eq!(source.caught(ms(40 * k), ms(100 * k)), ms(100 * k), "picture {k}");
        }
        for k in 0..300 {
            let came = ms(30_000 + 100 * k / 3);
            assert_eq!(source.caught(ms(12_000 + 40 * k), came), came, "picture {k}");
        }
    }

    #[test]
    fn stamps_that_turn_out_to_be_no_times_are_left_for_the_arrivals() {
        for (stamp, period) in [(40, 100), (40, 50), (50, 40)] {
            let mut source = Source::new(false);
            let late = (0..2000).map(|k| ms(period * k) - source.caught(ms(stamp * k), ms(period * k)));
            let late: Vec<_> = late.collect();
            let settled = usize::try_from(5000 / period).unwrap();
            assert!(late[settled..].iter().all(|late| late.is_zero()), "{stamp} for {period}: {late:?}");
            assert!(late.iter().all(|late| *late < STOOD_STILL), "{stamp} for {period}: {late:?}");
        }
    }

    #[test]
    fn stamps_that_run_a_little_slow_are_followed_closely() {
        // 25 a second counted where 24.5 come.
        let mut source = Source::new(false);
        for k in 0..5000 {
            let came = Duration::from_secs(k) * 2 / 49;
            let late = came - source.caught(ms(40 * k), came);
            assert!(late < ms(200), "{late:?} at picture {k}");
        }
    }

    #[test]
    fn what_comes_unevenly_keeps_the_distances_of_its_stamps() {
        let mut source = Source::new(false);
        let mut before = None;
        // Delays between 10 and 130 ms, and a second in which nothing comes, whose pictures come together after it.
        for k in 0..3000 {
            let delay = 10 + k * 7919 % 121;
            let stalled = (40 * k / 1000) % 20 == 19;
            let came = if stalled { 40_000 * (k / 1000 + 1) / 40 } else { 40 * k + delay };
            let (sent, came) = (40 * k, came.max(40 * k + 10));
            let caught = source.caught(ms(sent), ms(came));
            let distance = before.replace(caught).map(|before| caught - before);
            let settled = k > 100 && !stalled && (40 * k / 1000) % 20 > 2;
            assert!(!settled || distance.is_some_and(|distance| distance.abs_diff(ms(40)) < ms(12)), "{distance:?} at {k}");
        }
    }

    #[test]
    fn a_jam_does_not_take_the_stamps_away_for_good() {
        let mut source = Source::new(false);
        // The delay grows for ten seconds by a tenth of a second each, and shrinks again.
        let delay = |k: u64| if (250..500).contains(&k) { (k - 250) * 4 } else { (k % 5) * 10 };
        let mut before = Duration::ZERO;
        for k in 0..2000 {
            let caught = source.caught(ms(40 * k), ms(40 * k + delay(k)));
            assert!(k < 1000 || (caught - before).abs_diff(ms(40)) < ms(2), "{:?} at {k}", caught - before);
            before = caught;
        }
    }
}
