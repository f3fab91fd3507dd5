//! What was read from ffmpeg and is not due yet: two queues between the thread that reads and the two that give out.
//!
//! Pictures and sound come out of one pipe, so a full queue keeps the other stream's data from coming too. The rule that prevents a deadlock:
//! the reader waits for room in one queue only while the other has something to give, or at a far limit.
//!
//! Where the film goes elsewhere, what was read until then is thrown away, and who reads on is told ([`Feed::flush`]).
//!
//! What comes long after the other stream's data of its time is a *stray*: the end of a short sound track, which ffmpeg gives up at the end of
//! the film, or the sound of a film that has it at the wrong place. A stray that is late must not make the film wait for it.

use crate::threads::{lock, wait};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use eyeline_proto::picture::Buffer;

/// A second of 720p, half of one of 1080p: enough for a decoder's uneven moments and for the next pass's child to start.
const PICTURES: usize = 48 << 20;

/// How much the pictures may take while there is no sound to give. Players allow about as much (mpv: 150 MiB of packets) for badly interleaved films.
const PICTURES_MOST: usize = 128 << 20;

/// Ten seconds: 2 MB.
const SOUNDS: usize = 1000;

/// One minute, while there is no picture to give: 12 MB.
const SOUNDS_MOST: usize = 6000;

/// How far apart ffmpeg leaves its streams when it can order them: its `-max_interleave_delta`, and as much again for long packets.
const STRAY: Duration = Duration::from_secs(1);

/// A picture's or a block's data with its time in the film.
pub struct Timed<T> {
    /// In which era (`clock.rs`) it was read.
    pub era: u64,
    /// When it is due.
    pub time: Duration,
    /// Whether it came at the wrong place.
    pub stray: bool,
    /// The pixels or samples.
    pub data: T,
}

/// The feed was stopped, or takes what is of another era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

#[derive(Default)]
struct State {
    pictures: VecDeque<Timed<Buffer>>,
    picture_bytes: usize,
    sounds: VecDeque<Timed<Arc<[i16]>>>,
    era: u64,
    ended: bool,
    stopped: bool,
    /// The latest time of each stream so far.
    newest_picture: Duration,
    newest_sound: Duration,
}

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
        lock(&self.state)
    }

    /// Appends a picture; waits for room.
    pub fn push_picture(&self, era: u64, time: Duration, pixels: Buffer) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.era != era {
                return Err(Stopped);
            }
            let bytes = state.picture_bytes + pixels.len();
            let starving = self.sound && state.sounds.is_empty();
            // Two are always allowed, however large: one due and one to come.
            if bytes <= PICTURES || state.pictures.len() < 2 || (starving && bytes <= PICTURES_MOST) {
                break;
            }
            state = wait(&self.changed, state);
        }
        state.picture_bytes += pixels.len();
        let stray = time + STRAY < state.newest_sound;
        state.newest_picture = time;
        state.pictures.push_back(Timed { era, time, stray, data: pixels });
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Appends a block; waits for room.
    pub fn push_sound(&self, era: u64, time: Duration, samples: Arc<[i16]>) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.era != era {
                return Err(Stopped);
            }
            let starving = self.video && state.pictures.is_empty();
            if state.sounds.len() < SOUNDS || (starving && state.sounds.len() < SOUNDS_MOST) {
                break;
            }
            state = wait(&self.changed, state);
        }
        let stray = time + STRAY < state.newest_picture;
        state.newest_sound = time;
        state.sounds.push_back(Timed { era, time, stray, data: samples });
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for the next picture; `None` at the end of the film or once stopped.
    pub fn pop_picture(&self) -> Option<Timed<Buffer>> {
        self.pop(|state| {
            let picture = state.pictures.pop_front()?;
            state.picture_bytes -= picture.data.len();
            Some(picture)
        })
    }

    /// Waits for the next block; `None` at the end of the film or once stopped.
    pub fn pop_sound(&self) -> Option<Timed<Arc<[i16]>>> {
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
            state = wait(&self.changed, state);
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

    /// Throws away what is inside: from now on it takes what is of this era.
    pub fn flush(&self, era: u64) {
        let mut state = self.lock();
        if !state.stopped {
            *state = State { era, ended: state.ended, ..State::default() };
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The latest time of what came of this era.
    pub fn newest(&self) -> Duration {
        let state = self.lock();
        state.newest_picture.max(state.newest_sound)
    }

    /// Waits until all of this era was taken; false where it is over before, or stopped.
    pub fn is_drained(&self, era: u64) -> bool {
        let mut state = self.lock();
        loop {
            if state.stopped || state.era != era {
                return false;
            }
            if state.pictures.is_empty() && state.sounds.is_empty() {
                return true;
            }
            state = wait(&self.changed, state);
        }
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
                    feed.push_picture(0, Duration::from_millis(k), picture(PICTURES / 3)).unwrap();
                }
                feed.end();
            });
            for k in 0..100 {
                assert_eq!(feed.pop_picture().unwrap().time, Duration::from_millis(k));
                assert!(feed.lock().picture_bytes <= PICTURES);
            }
            assert!(feed.pop_picture().is_none());
        });
    }

    #[test]
    fn pictures_go_on_to_the_far_limit_while_there_is_no_sound() {
        let feed = Feed::new(true, true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Far more than the near limit before the first block, as in a badly interleaved film.
                for k in 0..5 {
                    feed.push_picture(0, Duration::from_millis(k), picture(PICTURES / 2)).unwrap();
                }
                feed.push_sound(0, Duration::ZERO, [1].into()).unwrap();
            });
            assert_eq!(feed.pop_sound().unwrap().data[..], [1], "no deadlock: nobody took a picture");
        });
    }

    #[test]
    fn stopping_frees_a_reader_that_waits_for_room() {
        let feed = Feed::new(true, false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| while feed.push_picture(0, Duration::ZERO, picture(PICTURES)).is_ok() {});
            assert!(feed.pop_picture().is_some());
            feed.stop();
            reader.join().unwrap();
        });
        assert!(feed.pop_picture().is_none());
    }

    #[test]
    fn what_was_read_of_another_place_is_thrown_away_and_its_reader_is_told() {
        let feed = Feed::new(true, false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| while feed.push_picture(0, Duration::ZERO, picture(PICTURES)).is_ok() {});
            assert!(feed.pop_picture().is_some());
            let drained = scope.spawn(|| feed.is_drained(0));
            feed.flush(1);
            reader.join().unwrap();
            assert!(!drained.join().unwrap() && feed.is_drained(1));
        });
        feed.push_picture(1, Duration::from_secs(9), picture(1)).unwrap();
        assert_eq!(feed.pop_picture().map(|taken| (taken.era, taken.time)), Some((1, Duration::from_secs(9))));
    }

    #[test]
    fn what_comes_long_after_its_time_is_a_stray_and_the_usual_order_is_none() {
        let feed = Feed::new(true, true);
        for millis in [0, 400, 2000] {
            feed.push_picture(0, Duration::from_millis(millis), picture(1)).unwrap();
            feed.push_sound(0, Duration::from_millis(millis.saturating_sub(500)), [0].into()).unwrap();
        }
        feed.push_sound(0, Duration::from_millis(900), [0].into()).unwrap();
        let strays: Vec<bool> = (0..4).map(|_| feed.pop_sound().unwrap().stray).collect();
        assert_eq!(strays, [false, false, false, true]);
    }
}
