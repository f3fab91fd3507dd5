//! A block of sound: 10 ms of s16 samples at 48 kHz, the same from a source to the session's log, and from what came to speaker
//! and files.
//!
//! Its samples are shared and never changed, so whoever passes a block on copies none of them; [`Block::at`] says its time by
//! another clock. An audio callback may free nothing: it is given [`Inline`] samples instead. As bytes they are only in
//! `wire/sound.rs`.

use std::ops::Deref;
use std::sync::Arc;

/// Samples a second and channel, everywhere in Eyeline. Devices and films are converted at the edge.
pub const RATE: u32 = 48_000;

/// Frames (samples of one channel) in a block: 10 ms.
pub const BLOCK_FRAMES: usize = 480;

/// A block as an Opus packet of its own (RFC 6716). Decoded behind those before it, it is the block's samples, less what the
/// codec takes off them. What is in one only `codec` above this crate knows.
pub type Packet = Arc<[u8]>;

/// How a block travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As samples.
    Pcm,
    /// As an Opus packet.
    Opus,
}

/// One block, its time as `T`: an [`Instant`](std::time::Instant) is of this machine's clock, a `MediaTime` of its sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<T, S = Arc<[i16]>> {
    /// When its first sample was caught.
    pub capture: T,
    /// 1 or 2.
    pub channels: u8,
    /// Interleaved; `BLOCK_FRAMES * channels` of them, fewer only in a film's last block.
    pub samples: S,
}

/// A block and the number its sender gave it: 0, 1, 2…, so that a gap is a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered<T, S = Arc<[i16]>> {
    /// Counted apart from whatever carries it.
    pub number: u64,
    /// What was caught.
    pub block: Block<T, S>,
}

/// The samples of one block, at most 10 ms of stereo, without a heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Inline {
    len: u16,
    samples: [i16; 2 * BLOCK_FRAMES],
}

impl<T, S> Block<T, S> {
    /// The same sound, its time by another clock.
    pub fn at<U>(self, capture: U) -> Block<U, S> {
        Block { capture, channels: self.channels, samples: self.samples }
    }
}

impl<T, S: Deref<Target = [i16]>> Block<T, S> {
    /// Whole frames in it.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// Whether it has 1 or 2 channels and at most [`BLOCK_FRAMES`] frames, all of them whole: a peer may say anything.
    pub fn is_possible(&self) -> bool {
        let channels = usize::from(self.channels);
        matches!(channels, 1 | 2) && self.samples.len().is_multiple_of(channels) && self.frames() <= BLOCK_FRAMES
    }
}

impl<T: Copy, S: Deref<Target = [i16]>> Numbered<T, S> {
    /// A copy that may be dropped in an audio callback; `None` where the block is empty or impossible.
    pub fn inline(&self) -> Option<Numbered<T, Inline>> {
        let Numbered { number, block: Block { capture, channels, ref samples } } = *self;
        if samples.is_empty() || !self.block.is_possible() {
            return None;
        }
        let mut inline = Inline { len: samples.len() as u16, samples: [0; 2 * BLOCK_FRAMES] };
        inline.samples[..samples.len()].copy_from_slice(samples);
        Some(Numbered { number, block: Block { capture, channels, samples: inline } })
    }
}

impl Inline {
    /// None: of a place that no block has come to yet.
    pub const EMPTY: Inline = Inline { len: 0, samples: [0; 2 * BLOCK_FRAMES] };
}

impl Deref for Inline {
    type Target = [i16];

    fn deref(&self) -> &[i16] {
        &self.samples[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_for_a_callback_has_the_same_samples_and_none_is_made_of_what_is_no_block() {
        let numbered =
            |channels, samples: &'static [i16]| Numbered { number: 7, block: Block { capture: (), channels, samples } };
        let stereo = numbered(2, &[1; 2 * BLOCK_FRAMES]);
        let inline = stereo.inline().unwrap();
        assert_eq!((inline.number, inline.block.frames(), &*inline.block.samples), (7, BLOCK_FRAMES, stereo.block.samples));
        assert_eq!(&*numbered(1, &[5, -5]).inline().unwrap().block.samples, [5, -5], "a film's last block is shorter");
        let none = [(0, &[1][..]), (3, &[1, 1, 1]), (2, &[1]), (1, &[]), (1, &[1; BLOCK_FRAMES + 1])];
        assert!(none.into_iter().all(|(channels, samples)| numbered(channels, samples).inline().is_none()));
    }

    #[test]
    fn by_another_clock_it_shares_its_samples() {
        let block: Block<u8> = Block { capture: 1, channels: 1, samples: [1; BLOCK_FRAMES].into() };
        let again = block.clone().at("later");
        assert!(again.capture == "later" && Arc::ptr_eq(&again.samples, &block.samples));
    }
}
