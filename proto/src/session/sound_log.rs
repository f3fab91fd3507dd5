//! The sound of a sender: one log of blocks for all peers.
//!
//! Capacity: live [`LIVE_BLOCKS`], of a film [`PATIENT_BLOCKS`]; the oldest go. A peer whose cursor fell behind goes on with what is
//! left (`peer/sound.rs`).

use crate::time::MediaTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Live sound older than this is dropped before it is sealed: it could only be heard late.
pub(super) const STALE: Duration = Duration::from_millis(200);

/// The age from which it is, where what leaves now waits for so long in a queue on the path: behind a long one all sound would
/// come too late, and would only keep the queue from draining.
pub(super) fn stale_behind(queue: Duration) -> Duration {
    STALE.saturating_sub(queue)
}

/// Blocks of live sound kept: the stale limit and some.
const LIVE_BLOCKS: usize = 32;

/// Blocks of a film's sound kept: what `Pressure` lets run ahead, and some.
pub(super) const PATIENT_BLOCKS: usize = 1000;

/// Ten milliseconds of sound.
pub struct SoundBlock {
    /// When its first sample was caught.
    pub capture: MediaTime,
    /// 1 or 2.
    pub channels: u8,
    /// Interleaved s16, little endian.
    pub samples: Vec<u8>,
}

impl SoundBlock {
    /// Frames in it.
    pub(super) fn frames(&self) -> u16 {
        (self.samples.len() / (2 * usize::from(self.channels.max(1)))) as u16
    }
}

/// See the module text.
pub(super) struct SoundLog {
    pub patient: bool,
    first: u64,
    blocks: VecDeque<SoundBlock>,
}

impl SoundLog {
    /// Nothing was caught yet. `patient`: nothing grows stale.
    pub fn new(patient: bool) -> Self {
        SoundLog { patient, first: 0, blocks: VecDeque::new() }
    }

    /// A block was caught.
    pub fn push(&mut self, block: SoundBlock) {
        let capacity = if self.patient { PATIENT_BLOCKS } else { LIVE_BLOCKS };
        if self.blocks.len() == capacity {
            self.blocks.pop_front();
            self.first += 1;
        }
        self.blocks.push_back(block);
    }

    /// The number of the oldest block that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// One more than the number of the newest block.
    pub fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// A block, while it is kept.
    pub fn block(&self, number: u64) -> Option<&SoundBlock> {
        self.blocks.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}
