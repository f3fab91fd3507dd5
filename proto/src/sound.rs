//! A block of captured sound on its way from a source to the session: 10 ms of s16 samples at 48 kHz.

use std::time::Instant;

/// Samples a second and channel, everywhere in Eyeline. Devices and films are converted at the edge.
pub const RATE: u32 = 48_000;

/// Frames (samples of one channel) in a block: 10 ms.
pub const BLOCK_FRAMES: usize = 480;

/// One block as a source gives it.
#[derive(Debug, Clone)]
pub struct Block {
    /// When its first sample was caught, on this machine's clock.
    pub captured: Instant,
    /// 1 or 2.
    pub channels: u8,
    /// Interleaved; `BLOCK_FRAMES * channels` of them, fewer only in a film's last block.
    pub samples: Vec<i16>,
}
