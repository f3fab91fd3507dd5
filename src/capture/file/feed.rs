//! What was read from ffmpeg and is not due yet: two queues between the thread that reads and the two that give out.
//!
//! Pictures and sound come out of one pipe, so a full queue keeps the other stream's data from coming too. The rule that prevents a deadlock:
//! the reader waits for room in one queue only while the other has something to give. Where the film has its sound far behind
//! its pictures, even that ends at a limit ([`PICTURES_MOST`]); then the film is *uneven* and late sound no longer moves the clock.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::picture::Buffer;

/// A second of 720p, half of one of 1080p: enough for a decoder's uneven moments and for the next pass's child to start.
const PICTURES: usize = 48 << 20;

/// How much the pictures may take while there is no sound to give. Players allow about as much (mpv: 150 MiB of packets) for badly interleaved films.
const PICTURES_MOST: usize = 256 << 20;

/// Ten seconds: 2 MB.
const SOUNDS: usize = 1000;

/// One minute, while there is no picture to give: 12 MB.
const SOUNDS_MOST: usize = 6000;

/// A picture with its time in the film.
pub type TimedPicture = (Duration, Buffer);

/// A block's samples with their time in the film.
pub type TimedSound = (Duration, Vec<i16>);

/// The feed was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

#[derive(Default)]
struct State {
    pictures: VecDeque<TimedPicture>,
    picture_bytes: usize,
    sounds: VecDeque<TimedSound>,
    ended: bool,
    stopped: bool,
    uneven: bool,
}

/// See the module text.
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    /// Which streams somebody takes from.
    video: bool,
    sound: bool,
}

impl Feed {
    /// Empty queues for the streams a film is played with.
    pub fn new(video: bool, sound: bool) -> Self {
        Feed { state: Mutex::default(), changed: Condvar::new(), video, sound }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a picture; waits for room.
    pub fn push_picture(&self, time: Duration, pixels: Buffer) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let bytes = state.picture_bytes + pixels.len();
            let starving = self.sound && state.sounds.is_empty();
            // Two are always allowed, however large: one due and one to come.
            if bytes <= PICTURES || state.pictures.len() < 2 || (starving && bytes <= PICTURES_MOST) {
                break;
            }
            state.uneven |= starving;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.picture_bytes += pixels.len();
        state.pictures.push_back((time, pixels));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Appends a block; waits for room.
    pub fn push_sound(&self, time: Duration, samples: Vec<i16>) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let starving = self.video && state.pictures.is_empty();
            if state.sounds.len() < SOUNDS || (starving && state.sounds.len() < SOUNDS_MOST) {
                break;
            }
            state.uneven |= starving;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sounds.push_back((time, samples));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for the next picture; `None` at the end of the film or once stopped.
    pub fn pop_picture(&self) -> Option<TimedPicture> {
        self.pop(|state| {
            let picture = state.pictures.pop_front()?;
            state.picture_bytes -= picture.1.len();
            Some(picture)
        })
    }

    /// Waits for the next block; `None` at the end of the film or once stopped.
    pub fn pop_sound(&self) -> Option<TimedSound> {
        self.pop(|state| state.sounds.pop_front())
    }

    fn pop<T>(&self, take: impl Fn(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(taken) = take(&mut state) {
                drop(state);
                self.changed.notify_all();
                return Some(taken);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more will come; what is inside can still be taken.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Throws away what is inside and wakes everybody.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.pictures.clear();
        state.sounds.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the film has its streams further apart than the queues can hold.
    pub fn uneven(&self) -> bool {
        self.lock().uneven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(bytes: usize) -> Buffer {
        vec![0; bytes].into()
    }

    #[test]
    fn a_full_queue_waits_for_its_consumer_and_nothing_is_lost() {
        let feed = Feed::new(true, false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for k in 0..100 {
                    feed.push_picture(Duration::from_millis(k), picture(PICTURES / 3)).unwrap();
                }
                feed.end();
            });
            for k in 0..100 {
                assert_eq!(feed.pop_picture().unwrap().0, Duration::from_millis(k));
                assert!(feed.lock().picture_bytes <= PICTURES);
            }
            assert!(feed.pop_picture().is_none());
        });
        assert!(!feed.uneven());
    }

    #[test]
    fn pictures_go_on_to_the_far_limit_while_there_is_no_sound() {
        let feed = Feed::new(true, true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Far more than the near limit before the first block, as in a badly interleaved film.
                for k in 0..5 {
                    feed.push_picture(Duration::from_millis(k), picture(PICTURES)).unwrap();
                }
                feed.push_sound(Duration::ZERO, vec![1]).unwrap();
            });
            assert_eq!(feed.pop_sound().unwrap().1, [1], "no deadlock: nobody took a picture");
        });
        assert!(!feed.uneven());
    }

    #[test]
    fn stopping_frees_a_reader_that_waits_for_room() {
        let feed = Feed::new(true, false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| while feed.push_picture(Duration::ZERO, picture(PICTURES)).is_ok() {});
            assert!(feed.pop_picture().is_some());
            feed.stop();
            reader.join().unwrap();
        });
        assert!(feed.pop_picture().is_none());
    }
}
