//! The one clock that a film's pictures and sound are given out by.
//!
//! It relates time in the film to this machine's: `captured = start + time`. Nothing is skipped: when a consumer makes us wait,
//! or ffmpeg is too slow, `start` moves later by what was lost, for both streams, so that they stay in step. While one stream's
//! push is stuck, the other is held after [`TOLERANCE`] at the latest: it must not run away from a picture that stands still.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::matroska::Stream;
use crate::threads::{lock, wait, wait_for};

/// A push may be this late before the clock gives in. Below it a late picture keeps its own time; above it the film has stood
/// still.
pub const TOLERANCE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct State {
    start: Option<Instant>,
    stopped: bool,
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

    /// The film's zero is at `start`, unless it was set before.
    pub fn begin(&self, start: Instant) {
        self.lock().start.get_or_insert(start);
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

    /// Waits until `time` in the film has come and says when that was; `None` once stopped. `in_order` is false for a stray
    /// (`feed.rs`), which may be late and moves nothing.
    pub fn wait(&self, stream: Stream, time: Duration, in_order: bool) -> Option<Instant> {
        let mut state = self.lock();
        loop {
            let start = state.start.filter(|_| !state.stopped)?;
            let (due, now) = (start + time, Instant::now());
            let other_stuck = state.stuck[1 - stream as usize].map(|since| since + TOLERANCE);
            if other_stuck.is_some_and(|held| held <= now) {
                state = wait(&self.changed, state);
                continue;
            }
            if due <= now {
                let late = now - due;
                if late <= TOLERANCE || !in_order {
                    return Some(due);
                }
                state.start = Some(start + late);
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
        clock.begin(zero - Duration::from_secs(5));
        let moved = clock.wait(Stream::Pictures, Duration::from_secs(2), true).unwrap();
        assert!(moved >= zero, "three seconds late: it is given out now");
        let after = clock.wait(Stream::Sound, Duration::from_secs(2), true).unwrap();
        // The other stream shares the move.
        assert_in_step(after, moved, zero);
        let punctual = clock.wait(Stream::Sound, Duration::from_millis(2010), true).unwrap();
        assert_in_step(punctual, after + Duration::from_millis(10), zero);
    }

    #[test]
    fn what_the_film_has_at_the_wrong_place_moves_nothing() {
        let clock = Clock::default();
        let start = Instant::now() - Duration::from_secs(5);
        clock.begin(start);
        assert_eq!(clock.wait(Stream::Sound, Duration::from_secs(1), false), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn a_stuck_push_holds_the_other_stream_and_both_go_on_in_step() {
        let clock = Clock::default();
        let (release, released) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let clock = &clock;
            let stuck = scope.spawn(move || {
                clock.pushing(Stream::Pictures, || released.recv().unwrap());
                clock.wait(Stream::Pictures, Duration::from_millis(200), true).unwrap()
            });
            while clock.lock().stuck[0].is_none() {
                std::thread::yield_now();
            }
            // Stuck before the beginning: held for more than TOLERANCE when 200 ms have come.
            let start = Instant::now();
            clock.begin(start);
            let sound = scope.spawn(|| clock.wait(Stream::Sound, Duration::from_millis(200), true).unwrap());
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
    fn stopping_ends_a_wait_at_once() {
        let clock = Clock::default();
        clock.begin(Instant::now());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clock.wait(Stream::Pictures, Duration::from_secs(3600), true));
            clock.stop();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(clock.stopped());
    }
}
