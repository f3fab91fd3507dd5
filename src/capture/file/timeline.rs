//! Exact times from stamps in whole milliseconds, and sound in blocks that are counted, not stamped.

use std::sync::Arc;
use std::time::Duration;

use super::STAMP_ERROR;
use eyeline_proto::rate::Rate;
use eyeline_proto::sound::{BLOCK_FRAMES, RATE};

/// The times of one pass through a film's pictures.
pub struct Pictures {
    rate: Option<Rate>,
    usual: Duration,
    first: Option<Duration>,
    last: Duration,
    end: Duration,
}

impl Pictures {
    /// For a film with constant `rate`; `None` where times are as stamped, with `usual` the average distance.
    pub fn new(rate: Option<Rate>, usual: Duration) -> Self {
        Pictures { rate, usual, first: None, last: Duration::ZERO, end: Duration::ZERO }
    }

    /// The exact time of the picture stamped `stamp`: the nearest `first + k / rate` where one is near enough.
    pub fn time(&mut self, stamp: Duration) -> Duration {
        let first = *self.first.get_or_insert(stamp);
        let exact = self.rate.map(|rate| first + rate.at(rate.nearest(stamp.saturating_sub(first))));
        let time = exact.filter(|exact| exact.abs_diff(stamp) <= STAMP_ERROR).unwrap_or(stamp);
        // Times never go back: a film whose stamps do is shown in the order it is stored in.
        let time = time.max(self.last);
        self.last = time;
        self.end = match self.rate {
            Some(rate) => first + rate.at(rate.nearest(time - first) + 1),
            None => time + self.usual,
        };
        time
    }

    /// When the last picture has been shown as long as a picture is.
    pub fn end(&self) -> Duration {
        self.end
    }
}

/// Frames of half a second: the pictures of most films end so much after their sound. Silence for it is still made in time.
const SHORT_HOLE: u64 = RATE as u64 / 2;

/// A film's sound over all its passes, as one row of samples.
pub struct Sounds {
    channels: usize,
    /// The time of the row's first sample.
    first: Option<Duration>,
    /// Frames of the row before `pending`.
    given: u64,
    pending: Vec<i16>,
}

impl Sounds {
    /// For interleaved samples of `channels`.
    pub fn new(channels: u8) -> Self {
        Sounds { channels: usize::from(channels), first: None, given: 0, pending: Vec::new() }
    }

    /// What follows lies at `time`: gives blocks of silence that lead there, one a call, until it answers `None`.
    ///
    /// A hole longer than [`SHORT_HOLE`] is left open after the block that was begun: there is no sound there.
    pub fn begin_pass(&mut self, time: Duration) -> Option<(Duration, Arc<[i16]>)> {
        let first = *self.first.get_or_insert(time);
        let nanos = time.saturating_sub(first).as_nanos();
        let wanted = u64::try_from((nanos * u128::from(RATE) + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX);
        let missing = wanted.saturating_sub(self.frames());
        if missing > SHORT_HOLE && self.pending.is_empty() {
            (self.first, self.given) = (Some(time), 0);
            return None;
        }
        let room = BLOCK_FRAMES - self.pending.len() / self.channels;
        let add = usize::try_from(missing).unwrap_or(room).min(room);
        self.pending.resize(self.pending.len() + add * self.channels, 0);
        self.pop()
    }

    /// Appends s16le samples; a cut one at the end is left out.
    pub fn append(&mut self, bytes: &[u8]) {
        let whole = bytes.len() - bytes.len() % (2 * self.channels);
        self.pending.extend(bytes[..whole].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    }

    /// The next full block with its time.
    pub fn pop(&mut self) -> Option<(Duration, Arc<[i16]>)> {
        (self.pending.len() >= BLOCK_FRAMES * self.channels).then(|| self.take(BLOCK_FRAMES))
    }

    /// What is left after the last full block, if anything is.
    pub fn rest(&mut self) -> Option<(Duration, Arc<[i16]>)> {
        let frames = self.pending.len() / self.channels;
        (frames > 0).then(|| self.take(frames))
    }

    fn take(&mut self, frames: usize) -> (Duration, Arc<[i16]>) {
        let time = self.time_of(self.given);
        let samples = self.pending.drain(..frames * self.channels).collect();
        self.given += frames as u64;
        (time, samples)
    }

    fn frames(&self) -> u64 {
        self.given + (self.pending.len() / self.channels) as u64
    }

    fn time_of(&self, frame: u64) -> Duration {
        let nanos = u128::from(frame) * 1_000_000_000 / u128::from(RATE);
        self.first.unwrap_or_default() + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the last sample so far ends.
    pub fn end(&self) -> Duration {
        self.time_of(self.frames())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millisecond_stamps_become_exact_times_for_hours() {
        for text in ["24000/1001", "24/1", "25/1", "30000/1001", "60/1", "120/1"] {
            let rate = Rate::parse(text).unwrap();
            // Sound may begin first, at a time that is itself rounded.
            for begin in [0, 21, 83] {
                let mut pictures = Pictures::new(Some(rate), rate.period());
                for k in 0..300_000u64 {
                    let stamp = Duration::from_millis(begin + (rate.at(k).as_nanos() as u64 + 500_000) / 1_000_000);
                    assert_eq!(pictures.time(stamp), Duration::from_millis(begin) + rate.at(k), "{text}, picture {k}");
                }
                assert_eq!(pictures.end(), Duration::from_millis(begin) + rate.at(300_000));
            }
        }
    }

    #[test]
    fn a_stamp_that_is_on_no_grid_is_kept() {
        let mut pictures = Pictures::new(Rate::new(25, 1), Duration::from_millis(40));
        let times = [0, 40, 97, 120].map(|ms| pictures.time(Duration::from_millis(ms)).as_millis());
        assert_eq!(times, [0, 40, 97, 120]);
        let mut uneven = Pictures::new(None, Duration::from_millis(40));
        assert_eq!([5, 38, 20].map(|ms| uneven.time(Duration::from_millis(ms)).as_millis()), [5, 38, 38]);
        assert_eq!(uneven.end(), Duration::from_millis(78));
    }

    #[test]
    fn blocks_are_counted_and_loops_keep_their_place_to_the_sample() {
        let mut sounds = Sounds::new(2);
        assert!(sounds.begin_pass(Duration::from_millis(21)).is_none());
        sounds.append(&[1; 4 * 500]);
        let (time, samples) = sounds.pop().unwrap();
        assert_eq!((time, samples.len()), (Duration::from_millis(21), 960));
        assert!(sounds.pop().is_none());
        // The next pass begins at 61 ms: 20 frames are left over, 1420 of silence come between.
        let mut blocks = Vec::new();
        while let Some(block) = sounds.begin_pass(Duration::from_millis(61)) {
            blocks.push(block);
        }
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0].0, Duration::from_millis(31));
        assert_eq!(blocks[0].1[..42], [[257; 40].as_slice(), &[0; 2]].concat());
        assert_eq!(sounds.end(), Duration::from_millis(61));
        sounds.append(&[2; 4 * 30]);
        let (time, rest) = sounds.rest().unwrap();
        assert_eq!((time, rest.len(), rest[0]), (Duration::from_millis(61), 60, 514));
        assert!(sounds.rest().is_none());
    }

    #[test]
    fn a_long_hole_between_passes_is_left_open() {
        let mut sounds = Sounds::new(1);
        assert!(sounds.begin_pass(Duration::ZERO).is_none());
        sounds.append(&[1; 2 * 100]);
        let (time, block) = sounds.begin_pass(Duration::from_secs(9)).unwrap();
        assert_eq!((time, block.len(), block[99], block[100]), (Duration::ZERO, 480, 257, 0));
        assert!(sounds.begin_pass(Duration::from_secs(9)).is_none());
        sounds.append(&[2; 2 * 480]);
        assert_eq!(sounds.pop().unwrap().0, Duration::from_secs(9));
    }
}
