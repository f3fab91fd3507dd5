//! The sound of a sender: one log of blocks for all peers, and how a peer's TCP connection is given what it has not been sent.
//!
//! Capacity: live [`LIVE_BLOCKS`], of a film [`PATIENT_BLOCKS`]; the oldest go. A peer whose cursor fell behind goes on with what is
//! left, and of that live sound older than [`STALE`] is dropped before it is sealed. Both are counted as its stale blocks.

use super::link::Link;
use super::peer::Peer;
use crate::time::MediaTime;
use crate::wire::record::Record;
use crate::wire::sound::Sound;
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

/// Bytes of records handed to TCP at once: as much as TCP_NOTSENT_LOWAT lets it hold.
const STREAM_CHUNK: usize = 16 << 10;

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
    patient: bool,
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

    /// Moves a peer's cursor over what it cannot or does not want to be sent, or has; whether anything is left.
    pub fn skip_gone(&self, peer: &mut Peer) -> bool {
        while peer.copies.has(peer.sound) && peer.sound < self.end() {
            peer.sound += 1;
        }
        let first = peer.sound.max(self.first);
        peer.stats.stale_blocks += first - peer.sound;
        peer.sound = if peer.wants_sound { first } else { self.end() };
        peer.sound < self.end()
    }

    /// Appends records for a peer, from its cursor on; live, what was caught before `times.0` is dropped, and what was caught after
    /// `times.1` waits, for a copy may bring it.
    pub fn fill_stream(
        &self,
        times: (MediaTime, MediaTime),
        peer: &mut Peer,
        link: &mut Link,
        scratch: &mut Vec<u8>,
        buffer: &mut Vec<u8>,
    ) {
        let (stale, held) = times;
        while let Some(block) = self.block(peer.sound) {
            if buffer.len() >= STREAM_CHUNK || block.capture > held {
                break;
            }
            if self.patient || block.capture >= stale {
                let sound =
                    Sound { number: peer.sound, capture: block.capture, channels: block.channels, samples: &block.samples };
                link.seal_record(&Record::Sound(sound), scratch, buffer);
                peer.stats.blocks += 1;
            } else {
                peer.stats.stale_blocks += 1;
            }
            peer.sound += 1;
        }
    }
}
