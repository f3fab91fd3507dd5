//! How loud one voice is, measured in the audio callback and read by any other thread: a level every 20 ms, before the listener's volume.
//!
//! The newest levels and their count are one word, so that an atomic carries them: the count in the lowest byte, and above it the newest
//! [`KEPT`] levels, the newest lowest. Whoever looks less often than every 140 ms misses some. Nothing here allocates, locks or frees.

use eyeline_proto::media::resampler::CHANNELS;
use eyeline_proto::media::speech::{self, SPAN};
use eyeline_proto::sound::RATE;

/// Frames of a level.
const FRAMES: usize = RATE as usize * SPAN.as_millis() as usize / 1000;
/// Levels that have room beside their count.
const KEPT: u8 = 7;

#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    /// Of the level that is under way.
    squares: f32,
    frames: usize,
    newest: u64,
}

impl Meter {
    /// The next frames, interleaved stereo, as they sound.
    pub(super) fn sound(&mut self, mut frames: &[f32]) {
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min((FRAMES - self.frames) * CHANNELS));
            self.squares += now.iter().map(|sample| sample * sample).sum::<f32>();
            self.pass(now.len() / CHANNELS);
            frames = rest;
        }
    }

    /// The next frames, which are silent.
    pub(super) fn silence(&mut self, mut frames: usize) {
        while frames > 0 {
            let now = frames.min(FRAMES - self.frames);
            self.pass(now);
            frames -= now;
        }
    }

    fn pass(&mut self, frames: usize) {
        self.frames += frames;
        if self.frames == FRAMES {
            let level = speech::level(self.squares / (FRAMES * CHANNELS) as f32);
            let count = (self.newest as u8).wrapping_add(1);
            self.newest = self.newest >> 8 << 16 | u64::from(level) << 8 | u64::from(count);
            (self.squares, self.frames) = (0.0, 0);
        }
    }

    /// The newest levels: what [`levels`] reads.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }
}

/// The levels since `seen` of them had been read, the oldest first; `seen` is then as many as there are now.
pub(super) fn levels(newest: u64, seen: &mut u8) -> impl Iterator<Item = u8> + use<> {
    let count = newest as u8;
    let new = count.wrapping_sub(*seen).min(KEPT);
    *seen = count;
    (1..=new).rev().map(move |back| (newest >> (8 * back)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_comes_every_20_ms_whatever_the_callbacks_are_as_large_as() {
        let (mut meter, mut seen) = (Meter::default(), 0);
        let sine: Vec<f32> = (0..48_000).flat_map(|n| [(n as f32 * 0.05).sin() * 0.1; 2]).collect();
        let mut heard = Vec::new();
        let mut rest = &sine[..];
        for frames in [1, 480, 7, 1200, 960, 333].into_iter().cycle() {
            let (now, later) = rest.split_at((frames * 2).min(rest.len()));
            meter.sound(now);
            heard.extend(levels(meter.newest(), &mut seen));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(heard.len(), 50);
        // A tenth of full scale is -20 dB, a sine's mean square 3 dB below its peak.
        assert!(heard.iter().all(|level| (103..=105).contains(level)), "{heard:?}");
        meter.silence(2000);
        assert_eq!(levels(meter.newest(), &mut seen).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(levels(meter.newest(), &mut seen).count(), 0);
    }

    #[test]
    fn who_looks_seldom_has_the_newest_levels_in_their_order() {
        let (mut meter, mut seen) = (Meter::default(), 0);
        for n in 0..300_u32 {
            let height = (n as f32 / 300.0).max(1e-3);
            meter.sound(&vec![height; FRAMES * CHANNELS]);
        }
        let newest: Vec<u8> = levels(meter.newest(), &mut seen).collect();
        assert_eq!(newest.len(), usize::from(KEPT));
        assert!(newest.is_sorted() && newest[6] == 126, "{newest:?}");
    }
}
