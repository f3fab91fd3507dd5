//! When a screen is looked at: how often pictures are given, what was drawn is asked, and the mouse is looked for.
//!
//! Pictures keep a grid: one that comes a little late does not put off those after it. What was drawn is asked no sooner than a
//! picture may be given, and once a period where it was drawn elsewhere: each question costs round trips. Pure.

use std::time::{Duration, Instant};

/// Between two pictures in which nothing changed, and between two looks for what is not there.
pub const REST: Duration = Duration::from_secs(1);

/// Between two looks for the mouse, whatever the rate.
const LOOKS: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(100));

/// See the module text.
pub struct Pace {
    /// At least between two pictures.
    period: Duration,
    /// The last picture's place on the grid.
    given: Option<Instant>,
    /// When it was asked what was drawn, and that gave no picture.
    asked: Option<Instant>,
    /// When the mouse was looked for.
    looked: Option<Instant>,
}

impl Pace {
    /// Before the first picture.
    pub fn new(period: Duration) -> Pace {
        Pace { period, given: None, asked: None, looked: None }
    }

    /// Whether it is time for a picture, which is `new`, or as the one before.
    pub fn is_due(&self, now: Instant, new: bool) -> bool {
        self.until_due(now, new).is_zero()
    }

    /// Whether it is time to ask what was drawn.
    pub fn may_ask(&self, now: Instant) -> bool {
        self.until_ask(now).is_zero()
    }

    /// Whether it is time to look for the mouse.
    pub fn may_look(&self, now: Instant) -> bool {
        self.until_look(now).is_zero()
    }

    /// A picture is given now.
    pub fn gives(&mut self, now: Instant) {
        let place = self.given.map(|given| given + self.period).filter(|place| now < *place + self.period);
        (self.given, self.asked) = (Some(place.unwrap_or(now)), None);
    }

    /// It is asked what was drawn.
    pub fn asks(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// The mouse is looked for.
    pub fn looks(&mut self, now: Instant) {
        self.looked = Some(now);
    }

    /// How long nothing is to be done but to listen, where something was `drawn` of which nobody asked yet what, and where the
    /// next picture is `new`.
    pub fn rest(&self, now: Instant, drawn: bool, new: bool) -> Duration {
        let ask = if drawn { self.until_ask(now) } else { Duration::MAX };
        self.until_due(now, new).min(self.until_look(now)).min(ask)
    }

    /// How long it is until the next picture, which is `new`, or as the one before.
    pub fn until_due(&self, now: Instant, new: bool) -> Duration {
        left(self.given, if new { self.period } else { self.period.max(REST) }, now)
    }

    fn until_ask(&self, now: Instant) -> Duration {
        self.until_due(now, true).max(left(self.asked, self.period, now))
    }

    fn until_look(&self, now: Instant) -> Duration {
        left(self.looked, self.period.clamp(LOOKS.0, LOOKS.1), now)
    }
}

fn left(last: Option<Instant>, apart: Duration, now: Instant) -> Duration {
    last.map_or(Duration::ZERO, |last| (last + apart).saturating_duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One that gave a picture, and looked for the mouse, then.
    fn running(period: Duration, at: Instant) -> Pace {
        let mut pace = Pace::new(period);
        pace.gives(at);
        pace.looks(at);
        pace
    }

    #[test]
    fn what_is_new_is_given_a_period_after_the_last_and_what_is_not_once_a_second() {
        let start = Instant::now();
        assert!(Pace::new(millis(40)).is_due(start, false), "the first at once");
        let mut pace = running(millis(40), start);
        assert_eq!([39, 40].map(|at| pace.is_due(start + millis(at), true)), [false, true]);
        assert_eq!([999, 1000].map(|at| pace.is_due(start + millis(at), false)), [false, true]);
        assert_eq!(pace.rest(start + millis(10), false, true), millis(30));
        assert_eq!(pace.rest(start + millis(10), false, false), millis(30), "then the mouse is looked for");
        pace.looks(start + millis(980));
        assert_eq!(pace.rest(start + millis(990), false, false), millis(10));
        // Slower than once a second, and faster than anybody moves a mouse.
        let slow = running(millis(5000), start);
        assert!(!slow.is_due(start + millis(1000), false) && slow.is_due(start + millis(5000), false));
        assert_eq!([slow, running(millis(2), start)].map(|pace| pace.rest(start, false, false)), [millis(100), millis(16)]);
    }

    #[test]
    fn a_thread_that_always_wakes_a_little_late_gives_the_whole_rate_all_the_same() {
        let (start, period) = (Instant::now(), Duration::from_micros(33_333));
        let mut pace = running(period, start);
        let (mut now, mut given) = (start, 0);
        while now < start + millis(10_000) {
            now += pace.rest(now, true, true) + millis(1);
            if pace.is_due(now, true) {
                pace.gives(now);
                given += 1;
            }
        }
        assert_eq!(given, 300);
        // After a pause there is nothing to catch up with.
        pace.gives(now + millis(500));
        assert!(!pace.is_due(now + millis(533), true) && pace.is_due(now + millis(534), true));
    }

    #[test]
    fn what_was_drawn_is_asked_when_a_picture_may_be_given_and_once_a_period_where_that_gave_none() {
        let start = Instant::now();
        let mut pace = running(millis(40), start);
        assert_eq!([39, 40].map(|at| pace.may_ask(start + millis(at))), [false, true]);
        pace.asks(start + millis(45));
        assert_eq!([84, 85].map(|at| pace.may_ask(start + millis(at))), [false, true]);
        pace.looks(start + millis(60));
        assert_eq!(pace.rest(start + millis(60), true, false), millis(25));
        pace.gives(start + millis(46));
        assert!(pace.may_ask(start + millis(80)), "a picture came of it: the next has its place on the grid");
    }
}
