//! When the pictures and the sound of one track are due: its sender's clock, the hold of lips and voice, and what lay in the
//! kernel while this process stood still, joined.
//!
//! [`Schedule::slice`] says of a slice that came when its picture is to be seen. Until then it waits in a [`HoldQueue`]; from
//! there it goes through the [`Reel`]. Once its picture was seen, [`Schedule::shown`] tells the [`Hold`], which moves when the
//! next ones, and sound, are due.
//!
//! Nothing is ever reset. Another sender, or the same one started anew, is a new schedule: neither the clock nor the latencies of
//! the one before are of use for it.
//!
//! [`HoldQueue`]: super::hold_queue::HoldQueue
//! [`Reel`]: super::reel::Reel

use super::backlog::Backlog;
use super::clock::Mapping;
use super::hold::Hold;
use super::reel::Ready;
use crate::time::MediaTime;
use std::time::{Duration, Instant};

pub struct Schedule {
    hold: Hold,
    /// The sender's clock as it is known now; `None` before the first answer to a ping.
    mapping: Option<Mapping>,
    backlog: Backlog,
    /// The sender skips nothing, and nothing of it is skipped here.
    film: bool,
}

/// A slice lay in the kernel while this process stood still: it is not to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// What is known of a picture that was shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    /// When it was caught, on our clock; `None` while the sender's is not known.
    pub captured: Option<Instant>,
    /// From capture to the speaker, of the sound that is played now.
    pub sound: Option<Duration>,
}

impl Schedule {
    /// Nothing of the track has come. `hold` is as it is before anything is measured.
    pub fn new(hold: Hold, film: bool) -> Self {
        Schedule { hold, mapping: None, backlog: Backlog::default(), film }
    }

    /// The sender's clock is now known to run so.
    pub fn clock(&mut self, mapping: Mapping) {
        self.mapping = Some(mapping);
    }

    /// A slice came `now` whose picture was caught at `capture`. When that is to be seen; `None`: at once.
    pub fn slice(&mut self, now: Instant, capture: MediaTime) -> Result<Option<Instant>, Stale> {
        let captured = self.captured(now, capture);
        let age = captured.filter(|_| !self.film).map(|captured| now.saturating_duration_since(captured));
        if age.is_some_and(|age| self.backlog.holds(now, age)) {
            return Err(Stale);
        }
        Ok(self.due(now, captured))
    }

    /// The same of what came of an unfinished slice. It was given up by the session's own clock, so it lay nowhere.
    pub fn part(&self, now: Instant, capture: MediaTime) -> Option<Instant> {
        self.due(now, self.captured(now, capture))
    }

    /// How long after its capture sound is due at least; `None`: as soon as its jitter allows.
    pub fn sound_due(&self) -> Option<Duration> {
        self.hold.sound_due()
    }

    /// A picture was with the display at `at`. `voice` is told what [`Schedule::sound_due`] says after it, and says how long
    /// after its capture sound is heard; it is not asked while the sender's clock is not known.
    pub fn shown(&mut self, picture: &Ready, at: Instant, voice: impl FnOnce(Option<Duration>) -> Option<Duration>) -> Shown {
        let Some(captured) = self.captured(at, picture.capture) else { return Shown::default() };
        self.hold.picture_was(at, at.saturating_duration_since(captured).saturating_sub(picture.held()));
        let sound = voice(self.hold.sound_due());
        self.hold.sound_is(sound);
        Shown { captured: Some(captured), sound }
    }

    fn captured(&self, now: Instant, capture: MediaTime) -> Option<Instant> {
        self.mapping?.captured(capture, now)
    }

    /// When a picture that was caught then is to be seen. Nothing is caught in the future, so no sender has us wait longer than
    /// we hold.
    fn due(&self, now: Instant, captured: Option<Instant>) -> Option<Instant> {
        let held = self.hold.picture_due()?;
        captured?.min(now).checked_add(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hold::{LATEST, Latency};
    use super::*;
    use crate::picture::Size;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn media(ms: u64) -> MediaTime {
        MediaTime::from_nanos(ms * 1_000_000)
    }

    /// A schedule, and a moment at which the sender's clock shows 900 s; it is known where `known` says so.
    fn schedule(latency: Latency, film: bool, known: bool) -> (Schedule, Instant) {
        #[expect(clippy::disallowed_methods)] // one real instant to count from
        let start = Instant::now();
        let mut schedule = Schedule::new(Hold::new(latency), film);
        if known {
            schedule.clock(Mapping::assumed(start, media(900_000)));
        }
        (schedule, start)
    }

    /// A picture that came at `received`, was let go at `released` and decoded at once.
    fn ready(capture: MediaTime, received: Instant, released: Instant) -> Ready {
        let size = Size { width: 16, height: 16 };
        let (queued, encoded) = (Duration::ZERO, Duration::ZERO);
        Ready { picture: 0, size, capture, position: None, queued, encoded, received, released, decoded: released, whole: true }
    }

    #[test]
    fn a_picture_is_due_so_long_after_its_capture_and_at_once_while_that_is_not_known() {
        let (mut unknown, start) = schedule(Latency::Fixed(ms(200)), false, false);
        assert_eq!(unknown.slice(start, media(900_000)), Ok(None));
        let (mut known, start) = schedule(Latency::Fixed(ms(200)), false, true);
        let due = Some(start + ms(200));
        assert_eq!(known.slice(start + ms(20), media(900_000)), Ok(due));
        assert_eq!(known.part(start + ms(20), media(900_000)), due);
        let (mut auto, start) = schedule(Latency::Auto, false, true);
        assert_eq!(auto.slice(start + ms(20), media(900_000)), Ok(None));
    }

    #[test]
    fn what_says_that_it_is_caught_in_the_future_waits_no_longer_than_what_is_caught_now() {
        let (mut schedule, start) = schedule(Latency::Fixed(ms(200)), false, true);
        assert_eq!(schedule.slice(start, media(900_900)), Ok(Some(start + ms(200))));
    }

    #[test]
    fn what_lay_in_the_kernel_is_stale_but_for_a_film() {
        for (film, of_it) in [(false, Err(Stale)), (true, Ok(None))] {
            let (mut schedule, start) = schedule(Latency::Auto, film, true);
            for at in (0..3000).step_by(33) {
                assert_eq!(schedule.slice(start + ms(at + 20), media(900_000 + at)), Ok(None));
            }
            let back = start + ms(6000);
            assert_eq!(schedule.slice(back, media(903_000)), of_it, "film: {film}");
            assert_eq!(schedule.slice(back + ms(1), media(905_980)), Ok(None), "the newest");
            assert_eq!(schedule.part(back + ms(1), media(903_000)), None, "it was given up now");
        }
    }

    #[test]
    fn sound_that_is_late_holds_the_pictures_that_follow_and_their_own_wait_is_not_theirs() {
        let (mut schedule, start) = schedule(Latency::Auto, false, true);
        let first = ready(media(900_000), start + ms(20), start + ms(20));
        let shown = schedule.shown(&first, start + ms(30), |_| Some(ms(400)));
        assert_eq!(shown, Shown { captured: Some(start), sound: Some(ms(400)) });
        let due = schedule.slice(start + ms(60), media(900_040)).unwrap().expect("it is held");
        let lip = (due - (start + ms(40))).as_secs_f64() - 0.4;
        assert!((-LATEST..-LATEST + 0.02).contains(&lip), "{lip}");
        // Held for 300 ms it is no later than others: sound must not be held for it in turn.
        for picture in 1..=300 {
            let caught = start + ms(picture * 33);
            let held = ready(media(900_000 + picture * 33), caught + ms(20), caught + ms(320));
            schedule.shown(&held, caught + ms(330), |due| {
                assert_eq!(due, None, "picture {picture}");
                Some(ms(400))
            });
        }
    }

    #[test]
    fn pictures_that_are_late_hold_sound() {
        let (mut schedule, start) = schedule(Latency::Auto, false, true);
        let mut told = None;
        schedule.shown(&ready(media(900_000), start + ms(290), start + ms(290)), start + ms(300), |due| {
            told = due;
            None
        });
        assert!(told.is_some_and(|told| (ms(255)..ms(300)).contains(&told)), "{told:?}");
        assert_eq!(schedule.sound_due(), told);
    }

    #[test]
    fn while_its_clock_is_not_known_a_picture_teaches_nothing() {
        let (mut schedule, start) = schedule(Latency::Auto, false, false);
        let picture = ready(media(900_000), start, start);
        let shown = schedule.shown(&picture, start + ms(300), |_| panic!("it is not asked"));
        assert_eq!((shown, schedule.sound_due()), (Shown::default(), None));
    }
}
