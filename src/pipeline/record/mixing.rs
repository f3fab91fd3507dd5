//! On the net thread: a track's sound to the file of all, each block with the moment it was caught on our clock. Nothing here
//! waits.

use super::super::sink::EncodedSink;
use crate::present::writers::mix;
use crate::slot::Slot;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// Blocks of all tracks that wait: as many as sixteen may have there, of each 3 s ([`mix::Ticket`]).
pub(super) const BLOCKS: usize = 4800;

pub(super) struct Mixing {
    blocks: Arc<Slot<mix::Unit>>,
    waiting: Arc<AtomicUsize>,
    /// Another one for each track, those of one peer, too.
    session: u64,
    /// Until its clock is known the first block was caught when it came.
    mapping: Option<Mapping>,
}

impl Mixing {
    pub fn new(blocks: Arc<Slot<mix::Unit>>, session: u64) -> Self {
        Mixing { blocks, waiting: Arc::default(), session, mapping: None }
    }
}

impl EncodedSink for Mixing {
    fn clock(&mut self, mapping: Mapping) {
        self.mapping = Some(mapping);
    }

    fn sound(&mut self, sound: &Numbered<MediaTime>, received: Instant) {
        let (Numbered { number, block }, capture) = (sound, sound.block.capture);
        let mapping = self.mapping.get_or_insert_with(|| Mapping::assumed(received, capture));
        let Some(captured) = mapping.captured(capture, received) else { return };
        let Some(ticket) = mix::Ticket::take(&self.waiting) else { return };
        let sound = Numbered { number: *number, block: block.clone().at(captured) };
        // Closed where its writer ended early, which who made it finds out.
        let _ = self.blocks.push(mix::Unit { track: self.session, sound, received, ticket });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::sound::{BLOCK_FRAMES, Block};
    use std::time::Duration;

    #[test]
    fn a_block_was_caught_when_it_came_until_its_senders_clock_is_known() {
        let blocks = Slot::dropping(BLOCKS);
        let mut mixing = Mixing::new(blocks.clone(), 0);
        let (now, capture) = (Instant::now(), MediaTime::from_nanos(5_000_000_000));
        let come = |mixing: &mut Mixing, number: u64, capture: MediaTime| {
            let block = Block { capture, channels: 1, samples: [1; BLOCK_FRAMES].into() };
            mixing.sound(&Numbered { number, block }, now + Duration::from_millis(10 * number));
        };
        come(&mut mixing, 0, capture);
        mixing.clock(Mapping::assumed(now, capture.saturating_add(Duration::from_millis(40))));
        come(&mut mixing, 1, capture.saturating_add(Duration::from_millis(10)));
        come(&mut mixing, 2, MediaTime::from_nanos(u64::MAX));
        let units = std::iter::from_fn(|| blocks.try_take());
        let caught: Vec<_> = units.map(|unit| (unit.sound.number, unit.sound.block.capture)).collect();
        let [at, earlier] = [now, now - Duration::from_millis(30)];
        assert_eq!(caught, [(0, at), (1, earlier)], "and none at a time that cannot be");
    }
}
