//! Packets of one track to samples, in the order of their numbers.
//!
//! **Problem.** Neighbouring packets overlap by 2.5 ms, so what a decoder makes of one depends on the one before. Packets are
//! lost, and one that comes late comes behind its followers.
//!
//! **Choice.** For up to [`HOLE`] packets that are not there the decoder is told so and goes on. What it predicts for them is not
//! heard: what is, `media/conceal.rs` makes of the sound as it was played (libopus' own, measured over all, was further from what
//! was lost than silence is). After more it begins anew, and so it does where time went on and numbers did not: behind a mute
//! the encoder knows nothing of what was before, either. For one that comes late another decoder is given up to [`PRIMERS`]
//! packets before it, and then it; the one that went on is right again by then. So no packet waits for another.
//!
//! Capacity: [`KEPT`] packets of at most 1275 bytes. This runs on the net thread: libopus is called [`AT_ONCE`] times at once and
//! else once each [`EACH`], four times as often as sound needs it, and what comes beyond that is no sound. Bytes of a peer: what
//! libopus refuses, or is no block of 10 ms, is no sound, and the decoder begins anew.

use super::channels;
use eyeline_proto::sound::{BLOCK_FRAMES, Numbered, Packet, RATE};
use eyeline_proto::time::MediaTime;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets in a row that may not be there, for which the decoder goes on: 30 ms.
const HOLE: u64 = 3;

/// Packets another decoder is given before one that came late: with the second all is right.
const PRIMERS: usize = 2;

/// Packets kept for those that come late: what is later than 200 ms nobody sends.
const KEPT: usize = 24;

/// A packet's time.
const BLOCK: Duration = Duration::from_millis(10);

/// Its capture time may be off by so much, and it still follows the one before: where sound comes another way all at once (directly, or by
/// way of a meeting point) its clock is known by other round trips. Nobody mutes a microphone for less.
const JOINS: Duration = Duration::from_millis(25);

/// Calls of libopus: what comes after a second in which nothing came, or this process stood still, is decoded whole.
const AT_ONCE: u32 = 128;
const EACH: Duration = Duration::from_micros(2500);

/// What a decoder that is made anew counts, in calls.
const MADE: u32 = 1;

/// Why there is no sound of a packet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is damaged, or never was one.
    #[error("libopus: {0}")]
    Refused(#[from] ::opus::Error),
    /// It lasts another time than a block.
    #[error("{0} frames of sound are no block")]
    Length(usize),
    /// Those around it are forgotten.
    #[error("it came too late")]
    Late,
    /// More come than sound has.
    #[error("too many come at once")]
    TooMany,
}

/// One packet.
#[derive(Clone)]
struct Kept {
    number: u64,
    capture: MediaTime,
    channels: u8,
    packet: Packet,
}

/// libopus', and what it was given last.
struct Running {
    opus: ::opus::Decoder,
    channels: u8,
    /// The number it expects, and its capture time.
    next: u64,
    due: MediaTime,
}

/// See the module text.
#[derive(Default)]
pub struct Decoder {
    running: Option<Running>,
    /// In the order of their numbers.
    kept: VecDeque<Kept>,
    allowance: Allowance,
}

/// How often libopus may be called.
#[derive(Default)]
struct Allowance {
    /// Until then what was called is within [`EACH`].
    paid: Option<Instant>,
}

impl Allowance {
    /// So many calls are to be made now; whether they may.
    fn takes(&mut self, now: Instant, calls: u32) -> bool {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + EACH * calls;
        let may = paid <= now + EACH * AT_ONCE;
        if may {
            self.paid = Some(paid);
        }
        may
    }
}

impl Running {
    fn new(packet: &Kept) -> Result<Running, Error> {
        let Kept { number, capture, channels: of, .. } = *packet;
        Ok(Running { opus: ::opus::Decoder::new(RATE, channels(of))?, channels: of, next: number, due: capture })
    }

    /// How many are missing before this packet, where it can go on with it.
    fn hole(&self, packet: &Kept) -> Option<u64> {
        let hole = packet.number.checked_sub(self.next).filter(|hole| *hole <= HOLE)?;
        let due = self.due.saturating_add(BLOCK * hole as u32);
        let joins = packet.capture.signed_since(due).unsigned_abs() < JOINS.as_nanos() as u64;
        (self.channels == packet.channels && joins).then_some(hole)
    }

    fn decode(&mut self, &Kept { number, capture, ref packet, .. }: &Kept) -> Result<Arc<[i16]>, Error> {
        let mut samples = [0; 2 * BLOCK_FRAMES];
        let samples = &mut samples[..BLOCK_FRAMES * usize::from(self.channels)];
        for _ in self.next..number {
            self.opus.decode(&[], samples, false)?;
        }
        (self.next, self.due) = (number.saturating_add(1), capture.saturating_add(BLOCK));
        match self.opus.decode(packet, samples, false)? {
            BLOCK_FRAMES => Ok((&*samples).into()),
            frames => Err(Error::Length(frames)),
        }
    }
}

impl Decoder {
    /// The samples of a packet.
    pub fn decode(&mut self, now: Instant, sound: &Numbered<MediaTime, Packet>) -> Result<Arc<[i16]>, Error> {
        let (number, capture, channels) = (sound.number, sound.block.capture, sound.block.channels);
        let late = self.running.as_ref().is_some_and(|running| number < running.next);
        if late && self.kept.front().is_none_or(|oldest| number < oldest.number) {
            return Err(Error::Late);
        }
        let packet = Kept { number, capture, channels, packet: sound.block.samples.clone() };
        let hole = self.running.as_ref().and_then(|running| running.hole(&packet));
        let calls = match (late, hole) {
            (true, _) => PRIMERS as u32 + 1 + MADE,
            (false, Some(hole)) => 1 + hole as u32,
            (false, None) => 1 + MADE,
        };
        if !self.allowance.takes(now, calls) {
            return Err(Error::TooMany);
        }
        self.keep(packet.clone());
        let decoded = if late { self.decode_late(number) } else { self.go_on(&packet) };
        if decoded.is_err() {
            (self.running, self.kept) = (None, VecDeque::new());
        }
        decoded
    }

    fn keep(&mut self, packet: Kept) {
        let place = self.kept.partition_point(|kept| kept.number < packet.number);
        if self.kept.get(place).is_none_or(|kept| kept.number != packet.number) {
            self.kept.insert(place, packet);
        }
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    fn go_on(&mut self, packet: &Kept) -> Result<Arc<[i16]>, Error> {
        let running = match self.running.take().filter(|running| running.hole(packet).is_some()) {
            Some(running) => self.running.insert(running),
            None => self.running.insert(Running::new(packet)?),
        };
        running.decode(packet)
    }

    fn decode_late(&self, number: u64) -> Result<Arc<[i16]>, Error> {
        let place = self.kept.partition_point(|kept| kept.number < number);
        let mut aside: Option<Running> = None;
        let mut decoded = Err(Error::Late);
        for kept in self.kept.range(place.saturating_sub(PRIMERS)..=place) {
            let running = match aside.take().filter(|running| running.hole(kept).is_some()) {
                Some(running) => aside.insert(running),
                None => aside.insert(Running::new(kept)?),
            };
            decoded = running.decode(kept);
        }
        decoded
    }
}
