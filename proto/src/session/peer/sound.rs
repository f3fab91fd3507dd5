//! How a peer's TCP connection is given the sound it has not been sent.
//!
//! Where the cursor fell behind the log it goes on with what is left, and of that live sound older than [`STALE`] is dropped before it is
//! sealed. Both are counted as stale blocks.

use super::Peer;
use crate::session::link::Link;
#[cfg(doc)]
use crate::session::sound_log::STALE;
use crate::session::sound_log::SoundLog;
use crate::time::MediaTime;
use crate::wire::record::{OWN_TRACK, Record};
use crate::wire::sound::Sound;

/// Bytes of records handed to TCP at once: as much as TCP_NOTSENT_LOWAT lets it hold.
const STREAM_CHUNK: usize = 16 << 10;

impl Peer {
    /// Moves the cursor over what it cannot or does not want to be sent, or has; whether anything is left.
    pub fn skip_gone_sound(&mut self, log: &SoundLog) -> bool {
        while self.copies.has(self.sound) && self.sound < log.end() {
            self.sound += 1;
        }
        let first = self.sound.max(log.first());
        self.stats.stale_blocks += first - self.sound;
        self.sound = if self.wants_sound { first } else { log.end() };
        self.sound < log.end()
    }

    /// Appends records from the cursor on; live, what was caught before `times.0` is dropped, and what was caught after `times.1`
    /// waits, for a copy may bring it.
    pub fn fill_stream(
        &mut self,
        times: (MediaTime, MediaTime),
        log: &SoundLog,
        link: &mut Link,
        scratch: &mut Vec<u8>,
        buffer: &mut Vec<u8>,
    ) {
        let (stale, held) = times;
        while let Some(block) = log.block(self.sound) {
            if buffer.len() >= STREAM_CHUNK || block.capture > held {
                break;
            }
            if log.patient || block.capture >= stale {
                let (number, channels) = (self.sound, block.channels);
                let sound = Sound { number, capture: block.capture, channels, samples: &block.samples };
                link.seal_record(&Record::Sound(OWN_TRACK, sound), scratch, buffer);
                self.stats.blocks += 1;
            } else {
                self.stats.stale_blocks += 1;
            }
            self.sound += 1;
        }
    }
}
