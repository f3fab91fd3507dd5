//! The sound that has come and is not yet played: blocks in the order of their numbers, read frame by frame.
//!
//! Holds at most [`CAPACITY`] blocks from the one being read (2.56 s); what is older than the reader is late, what is beyond is
//! refused, what is there already is a duplicate; each is counted. Time inside the buffer is the sender's: every block says
//! when it was caught, and a block caught later than the one before it ended leaves a *hole* of that length, whether blocks were
//! lost on the way or the microphone was away. So the reader's place is always a media time, and playout needs no other.
//!
//! Invariant: everything is allocated in [`AudioBuffer::new`]; blocks are copied in, and mono becomes stereo when it is read.

use std::time::Duration;

use crate::sound::{Block, Inline, Numbered, RATE};
use crate::time::MediaTime;

/// Blocks in the buffer at most.
pub const CAPACITY: usize = 256;
/// Capture times of neighbours may be off by so much (nanoseconds) and still join: stamps are smoothed, not perfect.
const JOIN_NANOS: i64 = 5_000_000;
/// A longer hole is played at this length: nobody waits in silence because of a strange stamp.
const LONGEST_HOLE_NANOS: i64 = 2_000_000_000;
/// After so many late blocks in a row the sender is believed to count anew.
const RENUMBERED: u32 = 100;
/// In a place that never held a block.
const NOBODY: u64 = u64::MAX;
const NANOS_A_SECOND: i64 = 1_000_000_000;

/// What became of a pushed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in.
    Kept,
    /// It was in already.
    Duplicate,
    /// The reader is past it.
    Late,
    /// The buffer was too far behind it and was emptied for it.
    Restarted,
}

/// What the reader finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Frame {
    /// A frame, left and right.
    Sound([f32; 2]),
    /// Between two blocks: nothing was caught, or it was lost.
    Hole,
    /// After the last block: nothing has come yet.
    Empty,
}

#[derive(Clone, Copy)]
struct Place {
    /// Its number stays after it was read, so that a second copy is known for one.
    sound: Numbered<MediaTime, Inline>,
    /// The block is there, and not read to its end.
    is_full: bool,
}

impl Place {
    /// All of it written, so that its memory is there before a callback needs it.
    const EMPTY: Place = Place {
        sound: Numbered { number: NOBODY, block: Block { capture: MediaTime::ZERO, channels: 1, samples: Inline::EMPTY } },
        is_full: false,
    };

    fn capture(&self) -> MediaTime {
        self.sound.block.capture
    }

    fn frames(&self) -> i64 {
        self.sound.block.frames() as i64
    }

    /// Left and right of a frame, and whether it is the last.
    fn frame(&self, at: usize) -> Option<([i16; 2], bool)> {
        let Block { channels, samples, .. } = &self.sound.block;
        let frame = samples.get(at * usize::from(*channels)..)?;
        match (channels, frame) {
            (1, [both, rest @ ..]) => Some(([*both; 2], rest.is_empty())),
            (_, [left, right, rest @ ..]) => Some(([*left, *right], rest.is_empty())),
            _ => None,
        }
    }
}

pub struct AudioBuffer {
    places: Box<[Place]>,
    /// Number of the block being read, or to be read next.
    head: u64,
    /// Frames of it already read.
    at: i64,
    /// Frames of hole still before them.
    wait: i64,
    started: bool,
    /// End of the last block read, for the hole to the next.
    ended: Option<MediaTime>,
    /// Number and end of the newest block.
    newest: Option<(u64, MediaTime)>,
    late_in_a_row: u32,
}

fn frames_in(nanos: i64) -> i64 {
    (i128::from(nanos) * i128::from(RATE) / i128::from(NANOS_A_SECOND)) as i64
}

fn after(time: MediaTime, frames: i64) -> MediaTime {
    let nanos = Duration::from_nanos((frames.unsigned_abs()).saturating_mul(NANOS_A_SECOND as u64) / u64::from(RATE));
    if frames >= 0 { time.saturating_add(nanos) } else { time.saturating_sub(nanos) }
}

impl AudioBuffer {
    pub fn new() -> Self {
        AudioBuffer {
            places: vec![Place::EMPTY; CAPACITY].into_boxed_slice(),
            head: 0,
            at: 0,
            wait: 0,
            started: false,
            ended: None,
            newest: None,
            late_in_a_row: 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| (place.is_full, place.sound.number) = (false, NOBODY));
        (self.head, self.at, self.wait, self.started) = (0, 0, 0, false);
        (self.ended, self.newest, self.late_in_a_row) = (None, None, 0);
    }

    /// Passes over all blocks below this number, whether or not they came: the next that is read begins without a hole.
    pub fn pass_to(&mut self, number: u64) {
        if number <= self.head {
            return;
        }
        self.places.iter_mut().filter(|place| place.sound.number < number).for_each(|place| place.is_full = false);
        (self.head, self.at, self.wait, self.started) = (number, 0, 0, true);
        self.ended = None;
    }

    /// Puts a block in its place.
    pub fn push(&mut self, sound: &Numbered<MediaTime, Inline>) -> Pushed {
        let (number, block) = (sound.number, &sound.block);
        let mut outcome = Pushed::Kept;
        if !self.started && self.newest.is_none_or(|_| number < self.head) {
            // Nothing is read yet: the earliest that fits is the first.
            if self.newest.is_some_and(|(newest, _)| newest - number >= CAPACITY as u64) {
                return Pushed::Late;
            }
            self.head = number;
        }
        if number < self.head {
            if self.places[(number % CAPACITY as u64) as usize].sound.number == number {
                return Pushed::Duplicate;
            }
            self.late_in_a_row += 1;
            if self.late_in_a_row < RENUMBERED {
                return Pushed::Late;
            }
            self.restart(number);
            outcome = Pushed::Restarted;
        } else if number - self.head >= CAPACITY as u64 {
            self.restart(number);
            outcome = Pushed::Restarted;
        }
        let place = &mut self.places[(number % CAPACITY as u64) as usize];
        if place.is_full && place.sound.number == number {
            return Pushed::Duplicate;
        }
        self.late_in_a_row = 0;
        *place = Place { sound: *sound, is_full: block.frames() > 0 };
        if self.newest.is_none_or(|(newest, _)| number >= newest) {
            self.newest = Some((number, after(block.capture, block.frames() as i64)));
        }
        outcome
    }

    fn restart(&mut self, sequence: u64) {
        self.clear();
        self.head = sequence;
    }

    fn place(&self, sequence: u64) -> Option<&Place> {
        let place = &self.places[(sequence % CAPACITY as u64) as usize];
        (place.is_full && place.sound.number == sequence).then_some(place)
    }

    /// Number of the first block there is from `sequence` on.
    fn next_from(&self, sequence: u64) -> Option<u64> {
        let (newest, _) = self.newest?;
        (sequence..=newest).find(|&s| self.place(s).is_some())
    }

    /// When the frame that will be read next was caught, less the hole before it; `None` when nothing is there to read.
    pub fn head_time(&self) -> Option<MediaTime> {
        let sequence = self.next_from(self.head)?;
        let place = self.place(sequence)?;
        if sequence == self.head {
            return Some(after(place.capture(), self.at - self.wait));
        }
        Some(self.ended.map_or(place.capture(), |ended| ended.min(place.capture())))
    }

    /// When the first sound from the reader on was caught, whatever hole is before it.
    pub fn first_sound(&self) -> Option<MediaTime> {
        let sequence = self.next_from(self.head)?;
        let read = if sequence == self.head { self.at } else { 0 };
        self.place(sequence).map(|place| after(place.capture(), read))
    }

    /// End of the newest block.
    pub fn newest_time(&self) -> Option<MediaTime> {
        self.newest.map(|(_, end)| end)
    }

    /// Number of the newest block.
    pub fn newest(&self) -> Option<u64> {
        self.newest.map(|(number, _)| number)
    }

    /// Sound and holes between the reader and the newest block.
    pub fn level(&self) -> Duration {
        match (self.head_time(), self.newest_time()) {
            (Some(head), Some(newest)) => newest.saturating_since(head),
            _ => Duration::ZERO,
        }
    }

    /// The next frame.
    pub fn read(&mut self) -> Frame {
        if self.place(self.head).is_none() && !self.enter() {
            return Frame::Empty;
        }
        self.started = true;
        if self.wait > 0 {
            self.wait -= 1;
            return Frame::Hole;
        }
        let place = &self.places[(self.head % CAPACITY as u64) as usize];
        let Some(([left, right], is_last)) = place.frame(self.at as usize) else { return Frame::Empty };
        self.at += 1;
        if is_last {
            let ended = after(place.capture(), self.at);
            self.leave(ended);
        }
        Frame::Sound([f32::from(left) / 32768.0, f32::from(right) / 32768.0])
    }

    /// The block at the head is done with; goes on to the next if that is here.
    fn leave(&mut self, ended: MediaTime) {
        self.places[(self.head % CAPACITY as u64) as usize].is_full = false;
        self.ended = Some(ended);
        (self.head, self.at, self.wait) = (self.head.saturating_add(1), 0, 0);
        if self.place(self.head).is_some() {
            self.enter();
        }
    }

    /// Goes on to the next block there is; the time between is a hole. False when there is none.
    fn enter(&mut self) -> bool {
        let Some(sequence) = self.next_from(self.head) else { return false };
        let Some(place) = self.place(sequence) else { return false };
        let gap = self.ended.map_or(0, |ended| place.capture().signed_since(ended));
        (self.head, self.at) = (sequence, 0);
        self.wait = if gap > JOIN_NANOS { frames_in(gap.min(LONGEST_HOLE_NANOS)) } else { 0 };
        true
    }

    /// Reads a hole of `frames` more before the next sound.
    pub fn hold(&mut self, frames: i64) {
        self.wait = self.wait.saturating_add(frames.max(0)).min(frames_in(LONGEST_HOLE_NANOS));
    }

    /// Goes to the first sound there is, without the hole before it.
    pub fn skip_hole(&mut self) {
        if self.place(self.head).is_some() || self.enter() {
            self.wait = 0;
        }
    }

    /// Goes to the frame caught at `time`, or to the first after it; answers how many frames of sound were passed over. Never
    /// goes back, nor beyond the newest block.
    pub fn seek(&mut self, time: MediaTime) -> u64 {
        let mut passed = 0;
        while let Some(sequence) = self.next_from(self.head) {
            let Some(place) = self.place(sequence) else { break };
            let (capture, frames) = (place.capture(), place.frames());
            let read = if sequence == self.head { self.at } else { 0 };
            let within = frames_in(time.signed_since(capture));
            let last = self.newest.is_some_and(|(newest, _)| newest <= sequence);
            if within < frames || last {
                let to = within.clamp(read, (frames - 1).max(read));
                passed += (to - read).unsigned_abs();
                (self.head, self.at, self.started) = (sequence, to, true);
                self.wait = (-within).clamp(0, frames_in(LONGEST_HOLE_NANOS));
                break;
            }
            passed += (frames - read).unsigned_abs();
            self.head = sequence;
            self.leave(after(capture, frames));
        }
        passed
    }
}

impl Default for AudioBuffer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "audio_buffer_tests.rs"]
mod tests;
