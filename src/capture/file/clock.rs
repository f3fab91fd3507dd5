//! The one clock that a film's pictures and sound are given out by.
//!
//! It relates time in the film to this machine's: `captured = start + time`. Nothing is skipped: when a consumer makes us wait,
//! or ffmpeg is too slow, `start` moves later by what was lost, for both streams, so that they stay in step. While one stream's
//! push is stuck, the other is held after [`TOLERANCE`] at the latest: it must not run away from a picture that stands still.
//!
//! A pause moves `start` by its length. Where the film goes elsewhere an *era* begins: what was read in those before is given out
//! no more, and time goes on from where it was, so that neither it nor `captured` ever goes back.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::matroska::Stream;
use crate::threads::{lock, wait, wait_for};

/// A push may be this late before the clock gives in. Below it a late picture keeps its own time; above it the film has stood
/// still.
pub const TOLERANCE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct State {
    /// At this moment it is this time in the film; not known before the first packet of an era.
    start: Option<(Instant, Duration)>,
    stopped: bool,
    era: u64,
    /// Since when it stands still because somebody wants it so.
    paused: Option<Instant>,
    /// The first picture of this era is given out at once, also while the film stands still: somebody wants to see where it is.
    looks: bool,
    /// The latest time that was given out.
    reached: Duration,
    /// Since when each stream's push has been waiting for its consumer.
    stuck: [Option<Instant>; 2],
}

#[derive(Default)]
pub struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The first `time` of this era is at `start`, unless that was set before.
    pub fn begin(&self, era: u64, start: Instant, time: Duration) {
        let mut state = self.lock();
        if state.era == era && state.start.is_none() {
            state.start = Some((start, time));
            state.paused = state.paused.map(|_| start);
        }
    }

    /// The film stands still, or goes on.
    pub fn pause(&self, on: bool) {
        let mut state = self.lock();
        match (state.paused, on) {
            (None, true) => state.paused = Some(Instant::now()),
            (Some(since), false) => {
                let lasted = since.elapsed();
                state.paused = None;
                state.start = state.start.map(|(start, time)| (start + lasted, time));
            }
            _ => {}
        }
        self.changed.notify_all();
    }

    /// An era begins: its number, the moment, and the latest time that was given out by then.
    pub fn go_elsewhere(&self) -> (u64, Instant, Duration) {
        let mut state = self.lock();
        (state.era, state.start, state.looks) = (state.era + 1, None, true);
        self.changed.notify_all();
        (state.era, Instant::now(), state.reached)
    }

    /// Ends every wait, now and later.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether [`Clock::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// The latest time that was given out.
    pub fn reached(&self) -> Duration {
        self.lock().reached
    }

    /// Whether it was stopped, or is in another era.
    pub fn is_past(&self, era: u64) -> bool {
        let state = self.lock();
        state.stopped || state.era != era
    }

    /// As [`Clock::wait`], without waiting, of the first picture of an era but the first.
    pub fn look(&self, era: u64, time: Duration) -> Option<Instant> {
        let mut state = self.lock();
        let (start, zero) = state.start.filter(|_| !state.stopped && state.era == era && state.looks)?;
        (state.looks, state.reached) = (false, state.reached.max(time));
        Some(Instant::now().min(start + time.saturating_sub(zero)))
    }

    /// Waits until `time` in the film has come and says when that was; `None` once stopped, or in another era. `in_order` is
    /// false for a stray (`feed.rs`), which may be late and moves nothing.
    pub fn wait(&self, stream: Stream, era: u64, time: Duration, in_order: bool) -> Option<Instant> {
        let mut state = self.lock();
        loop {
            let (start, zero) = state.start.filter(|_| !state.stopped && state.era == era)?;
            if state.paused.is_some() {
                state = wait(&self.changed, state);
                continue;
            }
            let (due, now) = (start + time.saturating_sub(zero), Instant::now());
            let other_stuck = state.stuck[1 - stream as usize].map(|since| since + TOLERANCE);
            if other_stuck.is_some_and(|held| held <= now) {
                state = wait(&self.changed, state);
                continue;
            }
            if due <= now {
                let late = now - due;
                if !in_order {
                    return Some(due);
                }
                state.reached = state.reached.max(time);
                if late <= TOLERANCE {
                    return Some(due);
                }
                state.start = Some((start + late, zero));
                self.changed.notify_all();
                return Some(now);
            }
            let wake = other_stuck.map_or(due, |held| held.min(due));
            state = wait_for(&self.changed, state, wake - now);
        }
    }

    /// Does `push`, which may be stuck until a consumer has room. The time that takes is made good where something is late for
    /// it.
    pub fn pushing<T>(&self, stream: Stream, push: impl FnOnce() -> T) -> T {
        self.lock().stuck[stream as usize] = Some(Instant::now());
        let pushed = push();
        self.lock().stuck[stream as usize] = None;
        self.changed.notify_all();
        pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// These are the same moment; or, where this thread or another did not run for so long `since` then, it is right that the
    /// film stood still between them.
    fn assert_in_step(one: Instant, other: Instant, since: Instant) {
        let (apart, passed) = (one.max(other) - one.min(other), since.elapsed());
        assert!(apart.is_zero() || (TOLERANCE..=passed).contains(&apart), "{apart:?} apart, of {passed:?}");
    }

    #[test]
    fn a_late_push_moves_the_clock_for_both_and_a_punctual_one_does_not() {
        let clock = Clock::default();
        let zero = Instant::now();
        clock.begin(0, zero - Duration::from_secs(5), Duration::ZERO);
        let moved = clock.wait(Stream::Pictures, 0, Duration::from_secs(2), true).unwrap();
        assert!(moved >= zero, "three seconds late: it is given out now");
        let after = clock.wait(Stream::Sound, 0, Duration::from_secs(2), true).unwrap();
        // The other stream shares the move.
        assert_in_step(after, moved, zero);
        let punctual = clock.wait(Stream::Sound, 0, Duration::from_millis(2010), true).unwrap();
        assert_in_step(punctual, after + Duration::from_millis(10), zero);
    }

    #[test]
    fn what_the_film_has_at_the_wrong_place_moves_nothing() {
        let clock = Clock::default();
        let start = Instant::now() - Duration::from_secs(5);
        clock.begin(0, start, Duration::ZERO);
        assert_eq!(clock.wait(Stream::Sound, 0, Duration::from_secs(1), false), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_stuck_push_holds_the_other_stream_and_both_go_on_in_step() {
        let clock = Clock::default();
        let (release, released) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let clock = &clock;
            let stuck = scope.spawn(move || {
                clock.pushing(Stream::Pictures, || released.recv().unwrap());
                clock.wait(Stream::Pictures, 0, Duration::from_millis(200), true).unwrap()
            });
            while clock.lock().stuck[0].is_none() {
                std::thread::yield_now();
            }
            // Stuck before the beginning: held for more than TOLERANCE when 200 ms have come.
            let start = Instant::now();
            clock.begin(0, start, Duration::ZERO);
            let sound = scope.spawn(|| clock.wait(Stream::Sound, 0, Duration::from_millis(200), true).unwrap());
            // The consumer is busy for 300 ms: nobody sends on this channel.
            let (_nobody, busy) = mpsc::channel::<()>();
            assert!(busy.recv_timeout(Duration::from_millis(300)).is_err());
            let released = Instant::now();
            release.send(()).unwrap();
            let (picture, sound) = (stuck.join().unwrap(), sound.join().unwrap());
            assert_in_step(picture, sound, released);
            assert!(picture.min(sound) >= start + Duration::from_millis(300), "the clock stood still meanwhile");
        });
    }

    #[test]
    fn a_pause_moves_all_that_is_not_given_out_by_its_length_and_gives_nothing_out() {
        let clock = Clock::default();
        let start = Instant::now();
        clock.begin(0, start, Duration::ZERO);
        clock.wait(Stream::Pictures, 0, Duration::from_millis(1), true).unwrap();
        clock.pause(true);
        std::thread::scope(|scope| {
            let next = scope.spawn(|| clock.wait(Stream::Sound, 0, Duration::from_millis(2), true).unwrap());
            // Nobody sends on this channel: a pause of 50 ms.
            let (_nobody, silence) = mpsc::channel::<()>();
            assert!(silence.recv_timeout(Duration::from_millis(50)).is_err());
            let over = Instant::now();
            clock.pause(false);
            let given = next.join().unwrap();
            assert!(given >= start + Duration::from_millis(50) && given <= over.max(start) + over.elapsed(), "{given:?}");
        });
        let (one, other) = (Duration::from_millis(3), Duration::from_millis(5));
        let [one, other] = [one, other].map(|time| clock.wait(Stream::Pictures, 0, time, true).unwrap());
        assert_in_step(other, one + Duration::from_millis(2), start);
    }

    #[test]
    fn in_another_era_what_was_read_before_is_not_given_out_and_time_goes_on() {
        let clock = Clock::default();
        let start = Instant::now();
        clock.begin(0, start - Duration::from_secs(5), Duration::ZERO);
        clock.wait(Stream::Pictures, 0, Duration::from_secs(5), true).unwrap();
        let (era, at, reached) = clock.go_elsewhere();
        assert_eq!((era, reached), (1, Duration::from_secs(5)));
        assert_eq!(clock.wait(Stream::Sound, 0, Duration::from_secs(5), true), None, "it is over");
        assert_eq!(clock.look(1, reached), None, "nothing was read");
        clock.pause(true);
        clock.begin(1, at + Duration::from_secs(60), reached);
        let seen = clock.look(1, reached).expect("the first picture, in the middle of a pause");
        assert!(seen >= at && seen <= Instant::now());
        assert_eq!(clock.look(1, reached), None, "that one alone");
        clock.stop();
        assert_eq!(clock.wait(Stream::Pictures, 1, reached, true), None);
    }

    #[test]
    fn stopping_ends_a_wait_at_once() {
        let clock = Clock::default();
        clock.begin(0, Instant::now(), Duration::ZERO);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clock.wait(Stream::Pictures, 0, Duration::from_secs(3600), true));
            clock.stop();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(clock.stopped());
    }
}
