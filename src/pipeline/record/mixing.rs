//! On the net thread: a track's sound to the file of all, each block with the moment it was caught on our clock. Nothing here
//! waits.

use super::super::sink::{EncodedSink, Sound};
use crate::present::writers::mix;
use crate::slot::Slot;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::session::TrackId;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Blocks of all tracks that wait: as many as sixteen may have there, of each 3 s ([`mix::Ticket`]).
pub(super) const BLOCKS: usize = 4800;

/// See the module text.
pub(super) struct Mixing {
    blocks: Arc<Slot<mix::Block>>,
    waiting: Arc<AtomicUsize>,
    id: TrackId,
    /// Until its clock is known the first block was caught when it came.
    mapping: Option<Mapping>,
}

impl Mixing {
    pub fn new(blocks: Arc<Slot<mix::Block>>, id: TrackId) -> Self {
        Mixing { blocks, waiting: Arc::default(), id, mapping: None }
    }
}

impl EncodedSink for Mixing {
    fn clock(&mut self, mapping: Mapping) {
        self.mapping = Some(mapping);
    }

    fn sound(&mut self, sound: &Sound<'_>) {
        let &Sound { number, capture, channels, received, .. } = sound;
        let mapping = self.mapping.get_or_insert_with(|| Mapping::assumed(received, capture));
        let Some(captured) = mapping.captured(capture, received) else { return };
        let Some(ticket) = mix::Ticket::take(&self.waiting) else { return };
        let (track, samples) = (self.id.peer.0, sound.samples.to_vec());
        // Closed where its writer ended early, which who made it finds out.
        let _ = self.blocks.push(mix::Block { track, number, captured, received, channels, samples, ticket });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::time::MediaTime;
    use std::time::{Duration, Instant};

    #[test]
    fn a_block_was_caught_when_it_came_until_its_senders_clock_is_known() {
        let blocks = Slot::dropping(BLOCKS);
        let mut mixing = Mixing::new(blocks.clone(), TrackId::default());
        let (now, capture) = (Instant::now(), MediaTime::from_nanos(5_000_000_000));
        let sound = |number: u64| Sound {
            number,
            capture: capture.saturating_add(Duration::from_millis(10 * number)),
            channels: 1,
            samples: &[1; 480],
            received: now + Duration::from_millis(10 * number),
        };
        mixing.sound(&sound(0));
        mixing.clock(Mapping::assumed(now, capture.saturating_add(Duration::from_millis(40))));
        mixing.sound(&sound(1));
        mixing.sound(&Sound { capture: MediaTime::from_nanos(u64::MAX), ..sound(2) });
        let caught: Vec<_> = std::iter::from_fn(|| blocks.try_take()).map(|block| (block.number, block.captured)).collect();
        let [at, earlier] = [now, now - Duration::from_millis(30)];
        assert_eq!(caught, [(0, at), (1, earlier)], "and none at a time that cannot be");
    }
}
