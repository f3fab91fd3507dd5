//! The sound of a track: one log of blocks for all peers, of each its samples, its Opus packet, or both. Which of them a peer is
//! sent is `sound_form.rs`'s.
//!
//! Of what is caught here every block is kept; of a track that is forwarded those that came, and what did not leaves a hole that
//! cursors pass over ([`SoundLog::held_from`]).
//!
//! Capacity: live [`LIVE_BLOCKS`], of a film [`LOSSLESS_BLOCKS`]; the oldest go. A peer whose cursor fell behind goes on with
//! what is left (`peer/sound.rs`).

use crate::sound::{Block, Packet};
use crate::time::MediaTime;
use std::collections::VecDeque;
use std::sync::Arc;
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
pub(super) const LOSSLESS_BLOCKS: usize = 1000;

/// Numbers of blocks end here, so that those after them can be counted: longer than anything lasts.
const MOST_BLOCKS: u64 = 1 << 62;

/// What there is of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forms {
    pub samples: Option<Arc<[i16]>>,
    pub packet: Option<Packet>,
}

/// A block of a log.
pub(super) type Logged = Block<MediaTime, Forms>;

/// A block of which there are samples alone.
pub(super) fn of_samples(block: Block<MediaTime>) -> Logged {
    let Block { capture, channels, samples } = block;
    Block { capture, channels, samples: Forms { samples: Some(samples), packet: None } }
}

/// A block of which there is the packet alone.
pub(super) fn of_packet(block: Block<MediaTime, Packet>) -> Logged {
    let Block { capture, channels, samples } = block;
    Block { capture, channels, samples: Forms { samples: None, packet: Some(samples) } }
}

/// Bytes of a packet, a mean over some, before any is there: 10 ms at 64 kbit/s.
const USUAL_PACKET: f64 = 80.0;

pub(super) struct SoundLog {
    /// The track, as its peers call it.
    pub track: u8,
    pub lossless: bool,
    first: u64,
    blocks: VecDeque<Option<Logged>>,
    /// Bytes of a packet, a mean over some.
    packet: f64,
}

impl SoundLog {
    /// Nothing was caught yet. `lossless`: nothing grows stale.
    pub fn new(track: u8, lossless: bool) -> Self {
        SoundLog { track, lossless, first: 0, blocks: VecDeque::new(), packet: USUAL_PACKET }
    }

    fn capacity(&self) -> usize {
        if self.lossless { LOSSLESS_BLOCKS } else { LIVE_BLOCKS }
    }

    /// The next block was caught.
    pub fn push(&mut self, block: Logged) {
        self.note(&block);
        self.blocks.push_back(Some(block));
        while self.blocks.len() > self.capacity() {
            self.blocks.pop_front();
            self.first += 1;
        }
    }

    /// Forgets everything; numbers go on.
    pub fn clear(&mut self) {
        (self.first, self.blocks) = (self.end(), VecDeque::new());
    }

    fn note(&mut self, block: &Logged) {
        if let Some(packet) = &block.samples.packet {
            self.packet += (packet.len() as f64 - self.packet) / 64.0;
        }
    }

    /// Bytes of a packet, a mean over some.
    pub fn packet_bytes(&self) -> f64 {
        self.packet
    }

    /// Whether the newest block has a packet: who is to be sent them can be.
    pub fn has_packets(&self) -> bool {
        self.blocks.back().is_some_and(|block| block.as_ref().is_some_and(|block| block.samples.packet.is_some()))
    }

    /// A block came whose number somebody else gave it, or another form of one that is there. One that is older than all that is
    /// kept is let go.
    pub fn put(&mut self, number: u64, block: Logged) {
        if number > MOST_BLOCKS {
            return;
        }
        self.note(&block);
        let capacity = self.capacity() as u64;
        if self.blocks.is_empty() || number >= self.end().saturating_add(capacity) {
            (self.first, self.blocks) = (number, VecDeque::from([Some(block)]));
            return;
        }
        let Some(place) = number.checked_sub(self.first) else { return };
        while self.end() <= number {
            self.blocks.push_back(None);
        }
        match self.blocks.get_mut(place as usize) {
            Some(hole @ None) => *hole = Some(block),
            Some(Some(known)) => {
                let Forms { samples, packet } = block.samples;
                known.samples.samples = known.samples.samples.take().or(samples);
                known.samples.packet = known.samples.packet.take().or(packet);
            }
            None => {}
        }
        while self.blocks.len() as u64 > capacity {
            self.blocks.pop_front();
            self.first += 1;
        }
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
    pub fn block(&self, number: u64) -> Option<&Logged> {
        self.blocks.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?.as_ref()
    }

    /// The number of the first block from `number` on that is kept, or of the next that will be.
    pub fn held_from(&self, number: u64) -> u64 {
        let from = number.max(self.first);
        (from..self.end()).find(|number| self.block(*number).is_some()).unwrap_or(from.max(self.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> Logged {
        of_samples(Block { capture: MediaTime::from_nanos(number * 10_000_000), channels: 1, samples: [0; 480].into() })
    }

    #[test]
    fn what_did_not_come_of_a_forwarded_track_leaves_a_hole_that_is_passed_over_and_may_be_filled() {
        let mut log = SoundLog::new(3, false);
        for number in [100, 101, 104] {
            log.put(number, block(number));
        }
        assert_eq!((log.first(), log.end()), (100, 105));
        assert_eq!([100, 101, 102, 103, 104, 105].map(|number| log.held_from(number)), [100, 101, 104, 104, 104, 105]);
        log.put(102, block(102));
        assert_eq!(log.held_from(102), 102, "it came late");
        log.put(99, block(99));
        assert_eq!(log.first(), 100, "nobody waits for what came before the first");
        log.put(10_000, block(10_000));
        assert_eq!((log.first(), log.end()), (10_000, 10_001), "no peer makes us count through a gap");
        log.put(10_031, block(10_031));
        log.put(10_032, block(10_032));
        assert_eq!((log.first(), log.end()), (10_001, 10_033), "as many as are kept of any");
        log.put(u64::MAX, block(0));
        assert_eq!(log.first(), 10_001, "nor is a number from nowhere believed");
    }
}
