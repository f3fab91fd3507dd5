//! Copies of sound beside TCP, for one peer: what it wants, what it has, and which pieces it is sent.
//!
//! Copies are made for as long as the peer says that it wants them (`hearing.rs` decides that there), each request good for
//! [`GOOD_FOR`]; and by the sender's own evidence, when TCP takes nothing or is gone. A block's halves are sent as soon as it is caught, its
//! recovery pieces with the next block, so that one burst does not take both. While copies flow TCP is given only what they did not bring:
//! a block waits for [`SoundCopies::hold`] until the peer may have said that it has it.
//!
//! Holds no block: a number, and the log is asked.

use super::path::Path;
use super::sound_log::SoundLog;
use crate::media::sound_pieces;
use crate::time::MediaTime;
use crate::wire::datagram::Message;
use crate::wire::sound::{Piece, Wanted};
use std::time::{Duration, Instant};

/// A request is repeated every 40 ms; when so many in a row are lost the peer is not there.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// A peer says what it has every 40 ms, and blocks come every 10.
const SAID_WITHIN: Duration = Duration::from_millis(70);

/// Live, TCP must have it before it is stale (200 ms).
const MOST_HELD: Duration = Duration::from_millis(150);

/// A block TCP has not taken for so long is behind.
pub(super) const BEHIND: Duration = Duration::from_millis(35);

/// Datagrams in one run: 16 KiB, a fraction of what GSO takes, so that pictures are not kept waiting.
const MAX_RUN: usize = 16;

/// Blocks copied at most when copies begin: live, older ones are stale.
const MOST_BEHIND: u64 = 20;

/// See the module text.
#[derive(Default)]
pub(super) struct SoundCopies {
    until: Option<Instant>,
    /// Pieces of each block.
    pieces: u8,
    /// The next block to be copied, and its next piece; the recovery pieces of the block before come behind its halves.
    next: u64,
    piece: u8,
    /// Every block below is there.
    have: u64,
}

impl SoundCopies {
    /// The peer says what it wants and has.
    pub fn handle_wanted(&mut self, now: Instant, wanted: Wanted, log: &SoundLog) {
        self.have = self.have.max(wanted.next.min(log.end()));
        match wanted.pieces {
            0 => self.until = None,
            pieces => self.begin(now, wanted.next, pieces, log),
        }
    }

    /// TCP takes nothing, and `next` is the first block it did not.
    pub fn tcp_is_behind(&mut self, now: Instant, next: u64, log: &SoundLog) {
        let pieces = self.pieces.max(2);
        self.begin(now, next, pieces, log);
    }

    fn begin(&mut self, now: Instant, next: u64, pieces: u8, log: &SoundLog) {
        if !self.is_on(now) {
            (self.next, self.piece) = (self.next.max(next).max(log.end().saturating_sub(MOST_BEHIND)), 0);
        }
        self.pieces = pieces;
        self.until = self.until.max(Some(now + GOOD_FOR));
    }

    /// Nothing passes: what was caught meanwhile is not copied when it does again, for it would be late by the outage, and sound with it.
    pub fn skip_to(&mut self, next: u64) {
        (self.next, self.piece) = (self.next.max(next), 0);
    }

    /// Whether copies flow.
    pub fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether the peer has said that this block is there.
    pub fn has(&self, number: u64) -> bool {
        number < self.have
    }

    /// For how long after its capture a block is kept from TCP, `rtt` away.
    pub fn hold(&self, now: Instant, rtt: Duration) -> Duration {
        if self.is_on(now) { (rtt + SAID_WITHIN).min(MOST_HELD) } else { Duration::ZERO }
    }

    /// Appends pieces of one length and says it; 0 if there is nothing to send. What was caught before `stale` is left out.
    pub fn fill(&mut self, now: Instant, stale: MediaTime, log: &SoundLog, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        if !self.is_on(now) {
            return 0;
        }
        let (mut segment, mut run) = (0, 0);
        self.next = self.next.max(log.first());
        while let Some(block) = log.block(self.next) {
            let turn = self.piece;
            // Halves of this block, then what recovers the one before.
            let (number, index) = if turn < 2 { (Some(self.next), turn) } else { (self.next.checked_sub(1), turn) };
            let block = if turn < 2 { Some(block) } else { number.and_then(|number| log.block(number)) };
            let block = block
                .filter(|block| block.capture >= stale && turn < self.pieces && number.is_some_and(|number| !self.has(number)));
            if let (Some(block), Some(number)) = (block, number) {
                let (channels, frames) = (block.channels, block.frames());
                let len = Piece::len_of(frames, channels);
                if run == MAX_RUN || (segment != 0 && len != segment) {
                    break;
                }
                (segment, run) = (len, run + 1);
                let (capture, samples) = (block.capture, &block.samples);
                path.seal(buffer, |out| {
                    Message::Piece(Piece { number, capture, channels, frames, index, payload: &[] }).encode(out);
                    sound_pieces::cut(samples, frames, channels, index, out);
                });
            }
            (self.next, self.piece) = if turn + 1 < self.pieces.max(2) { (self.next, turn + 1) } else { (self.next + 1, 0) };
        }
        if segment == 0 { 0 } else { segment + Path::OVERHEAD + Piece::HEAD_LEN }
    }
}
