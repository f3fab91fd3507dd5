//! How a peer's TCP connection is given the sound it has not been sent.
//!
//! Each block goes as samples, as an Opus packet, or as both (`sound_form.rs`).
//!
//! Where the cursor fell behind the log it goes on with what is left, and of that live sound older than [`STALE`] is dropped
//! before it is sealed. Both are counted as stale blocks.

use super::Peer;
use crate::session::link::Link;
use crate::session::sound_form::Picked;
#[cfg(doc)]
use crate::session::sound_log::STALE;
use crate::session::sound_log::SoundLog;
use crate::sound::{Block, Numbered};
use crate::time::MediaTime;
use crate::wire::record::Record;
use std::time::Instant;

/// Bytes of records handed to TCP at once: as much as TCP_NOTSENT_LOWAT lets it hold.
const STREAM_CHUNK: usize = 16 << 10;

impl Peer {
    /// Moves a subscription's cursor over what the peer cannot or does not want to be sent, or has; whether anything is left.
    pub fn skip_gone_sound(&mut self, place: usize, log: &SoundLog) -> bool {
        let subscription = &mut self.subscriptions[place];
        while subscription.copies.has(subscription.sound) && subscription.sound < log.end() {
            subscription.sound += 1;
        }
        let first = subscription.sound.max(log.first());
        self.stats.stale_blocks += first - subscription.sound;
        let hears = self.wants.sound && subscription.hears();
        if hears {
            subscription.pass_to(first, log);
        } else {
            subscription.sound = log.end();
        }
        hears && subscription.next_block(log).is_some()
    }

    /// Appends records from the cursor on; live, what was caught before `times.0` is dropped, and what was caught after `times.1`
    /// waits, for a copy may bring it.
    pub fn fill_stream(
        &mut self,
        place: usize,
        times: (MediaTime, MediaTime),
        log: &SoundLog,
        link: &mut Link,
        scratch: &mut Vec<u8>,
        buffer: &mut Vec<u8>,
    ) {
        let ((stale, held), subscription) = (times, &mut self.subscriptions[place]);
        while let Some((number, block)) = subscription.next_block(log) {
            if buffer.len() >= STREAM_CHUNK || block.capture > held {
                break;
            }
            if log.lossless || block.capture >= stale {
                let (capture, channels) = (block.capture, block.channels);
                let Picked { samples, packet } = subscription.form.pick(number, &block.samples);
                self.stats.blocks += u64::from(samples.is_some() || packet.is_some());
                self.stats.packets += u64::from(packet.is_some());
                // The packet behind the samples: it is for those that follow.
                if let Some(samples) = samples.cloned() {
                    let sound = Numbered { number, block: Block { capture, channels, samples } };
                    link.seal_record(&Record::Sound(log.track, sound), scratch, buffer);
                }
                if let Some(samples) = packet.cloned() {
                    let sound = Numbered { number, block: Block { capture, channels, samples } };
                    link.seal_record(&Record::Packet(log.track, sound), scratch, buffer);
                }
            } else {
                self.stats.stale_blocks += 1;
            }
            subscription.block_done(number, log);
        }
    }

    /// Pieces of sound left as datagrams, so many and of so many bytes, of which `fresh` are blocks themselves; `rate` is what
    /// they are in a second.
    pub fn copied(&mut self, now: Instant, (pieces, bytes): (usize, usize), fresh: usize, rate: f64) {
        self.stats.copies += pieces as u64;
        self.stats.datagrams += pieces as u64;
        self.stats.bytes += bytes as u64;
        self.flow.sent_sound(now, pieces, bytes, rate);
        self.repairs.sent(now, fresh);
        self.repairs.took(now, bytes - fresh);
    }
}
