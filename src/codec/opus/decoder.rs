//! Packets of one track to samples, in the order of their numbers.
//!
//! **Problem.** Neighbouring packets overlap by 2.5 ms, so what a decoder makes of one depends on the one before. Packets are
//! lost, and one that comes late comes behind its followers.
//!
//! **Choice.** For up to [`HOLE`] packets that are not there the decoder is told so and goes on. What it predicts for them is not
//! heard: what is, `media/conceal.rs` makes of the sound as it was played (libopus' own, measured over all, was further from what
//! was lost than silence is). After more it begins anew. For one that comes late another decoder is given up to [`PRIMERS`]
//! packets before it, and then it; the one that went on is right again by then. So no packet waits for another.
//!
//! Capacity: [`KEPT`] packets of at most 1275 bytes. Bytes of a peer: what libopus refuses, or is no block of 10 ms, is no sound,
//! and the decoder begins anew.

use super::channels;
use eyeline_proto::sound::{BLOCK_FRAMES, Numbered, Packet, RATE};
use std::collections::VecDeque;
use std::sync::Arc;

/// Packets in a row that may not be there, for which the decoder goes on: 30 ms.
const HOLE: u64 = 3;

/// Packets another decoder is given before one that came late: with the second all is right.
const PRIMERS: usize = 2;

/// Packets kept for those that come late: what is later than 200 ms nobody sends.
const KEPT: usize = 24;

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
}

/// One packet.
struct Kept {
    number: u64,
    channels: u8,
    packet: Packet,
}

/// libopus', and what it was given last.
struct Running {
    opus: ::opus::Decoder,
    channels: u8,
    /// The number it expects.
    next: u64,
}

/// See the module text.
#[derive(Default)]
pub struct Decoder {
    running: Option<Running>,
    /// In the order of their numbers.
    kept: VecDeque<Kept>,
}

impl Running {
    fn new(number: u64, of: u8) -> Result<Running, Error> {
        Ok(Running { opus: ::opus::Decoder::new(RATE, channels(of))?, channels: of, next: number })
    }

    /// Whether it can go on with this packet.
    fn goes_on(&self, number: u64, channels: u8) -> bool {
        self.channels == channels && number.checked_sub(self.next).is_some_and(|hole| hole <= HOLE)
    }

    fn decode(&mut self, number: u64, packet: &[u8]) -> Result<Arc<[i16]>, Error> {
        let mut samples = [0; 2 * BLOCK_FRAMES];
        let samples = &mut samples[..BLOCK_FRAMES * usize::from(self.channels)];
        for _ in self.next..number {
            self.opus.decode(&[], samples, false)?;
        }
        self.next = number.saturating_add(1);
        match self.opus.decode(packet, samples, false)? {
            BLOCK_FRAMES => Ok((&*samples).into()),
            frames => Err(Error::Length(frames)),
        }
    }
}

impl Decoder {
    /// The samples of a packet.
    pub fn decode<T>(&mut self, sound: &Numbered<T, Packet>) -> Result<Arc<[i16]>, Error> {
        let (number, channels) = (sound.number, sound.block.channels);
        let late = self.running.as_ref().is_some_and(|running| number < running.next);
        if late && self.kept.front().is_none_or(|oldest| number < oldest.number) {
            return Err(Error::Late);
        }
        self.keep(Kept { number, channels, packet: sound.block.samples.clone() });
        let decoded = if late { self.decode_late(number) } else { self.go_on(number, channels, &sound.block.samples) };
        if decoded.is_err() {
            *self = Decoder::default();
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

    fn go_on(&mut self, number: u64, channels: u8, packet: &[u8]) -> Result<Arc<[i16]>, Error> {
        let running = match self.running.take().filter(|running| running.goes_on(number, channels)) {
            Some(running) => self.running.insert(running),
            None => self.running.insert(Running::new(number, channels)?),
        };
        running.decode(number, packet)
    }

    fn decode_late(&self, number: u64) -> Result<Arc<[i16]>, Error> {
        let place = self.kept.partition_point(|kept| kept.number < number);
        let mut aside: Option<Running> = None;
        let mut decoded = Err(Error::Late);
        for kept in self.kept.range(place.saturating_sub(PRIMERS)..=place) {
            let running = match aside.take().filter(|running| running.goes_on(kept.number, kept.channels)) {
                Some(running) => aside.insert(running),
                None => aside.insert(Running::new(kept.number, kept.channels)?),
            };
            decoded = running.decode(kept.number, &kept.packet);
        }
        decoded
    }
}
