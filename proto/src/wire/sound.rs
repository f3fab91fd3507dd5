//! Sound on the wire: a block as TCP carries it (`record.rs`), as samples or as an Opus packet; what a datagram carries of it, a
//! piece or its packet and the one before; and the request for such datagrams. Between machines samples become bytes, and bytes
//! samples, here alone.
//!
//! A block of stereo is 1920 bytes, and a datagram that passes everywhere 1000; so beside TCP a block travels in halves.
//! [`Piece::index`] 0 and 1 are the halves, 2 and 3 what makes good for two that are lost (`media/sound_pieces.rs`).

use super::{Error, Reader};
use crate::sound::{BLOCK_FRAMES, Block, Numbered, Packet};
use crate::time::MediaTime;
use std::sync::Arc;

/// The most bytes of samples in a block: 10 ms of stereo.
pub const MAX_SAMPLE_BYTES: usize = BLOCK_FRAMES * 2 * 2;

/// The most bytes in a packet of one frame (RFC 6716, 3.2.1).
pub const MAX_PACKET: usize = 1275;

/// Pieces of a block: two halves, two to recover them from.
pub const PIECES: usize = 4;

/// In the last byte before a piece's payload: which piece it is, …
const INDEX: u8 = 0x03;
/// … that the block has two channels, …
const STEREO: u8 = 0x04;
/// … and that its last frame is half of a pair.
const ODD: u8 = 0x08;

/// The bytes of samples: s16, little endian.
pub fn bytes(samples: impl Iterator<Item = i16>) -> impl Iterator<Item = u8> {
    samples.flat_map(i16::to_le_bytes)
}

/// The samples of bytes; half a sample at the end is left out.
pub fn samples(bytes: &[u8]) -> Arc<[i16]> {
    bytes.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
}

/// What stands before the samples or the packet of a block.
fn encode_head<S>(sound: &Numbered<MediaTime, S>, out: &mut Vec<u8>) {
    out.extend_from_slice(&sound.number.to_be_bytes());
    out.extend_from_slice(&sound.block.capture.as_nanos().to_be_bytes());
    out.push(sound.block.channels);
}

/// The same: number, capture time and channels.
fn decode_head(reader: &mut Reader<'_>) -> Result<(u64, MediaTime, u8), Error> {
    let number = reader.u64("block number")?;
    let capture = MediaTime::from_nanos(reader.u64("capture time")?);
    match reader.u8("channels")? {
        channels @ 1..=2 => Ok((number, capture, channels)),
        channels => Err(reader.invalid("channels", u64::from(channels), 1)),
    }
}

/// Appends the bytes of a block, kind and track left to the caller.
pub fn encode(sound: &Numbered<MediaTime>, out: &mut Vec<u8>) {
    encode_head(sound, out);
    out.extend(bytes(sound.block.samples.iter().copied()));
}

/// A block: the rest of a message.
pub fn decode(mut reader: Reader<'_>) -> Result<Numbered<MediaTime>, Error> {
    let (number, capture, channels) = decode_head(&mut reader)?;
    let bytes = reader.rest();
    if bytes.is_empty() || bytes.len() > MAX_SAMPLE_BYTES || !bytes.len().is_multiple_of(2 * usize::from(channels)) {
        return Err(reader.invalid("sample bytes", bytes.len() as u64, bytes.len()));
    }
    Ok(Numbered { number, block: Block { capture, channels, samples: samples(bytes) } })
}

/// Appends the bytes of a block that is an Opus packet, kind and track left to the caller.
pub fn encode_packet(sound: &Numbered<MediaTime, Packet>, out: &mut Vec<u8>) {
    encode_head(sound, out);
    out.extend_from_slice(&sound.block.samples);
}

/// A block that is an Opus packet: the rest of a message.
pub fn decode_packet(mut reader: Reader<'_>) -> Result<Numbered<MediaTime, Packet>, Error> {
    let (number, capture, channels) = decode_head(&mut reader)?;
    let bytes = reader.rest();
    let samples = packet_bytes(&reader, bytes)?.into();
    Ok(Numbered { number, block: Block { capture, channels, samples } })
}

fn packet_bytes<'a>(reader: &Reader<'_>, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    match bytes.len() {
        1..=MAX_PACKET => Ok(bytes),
        len => Err(reader.invalid("packet", len as u64, 0)),
    }
}

/// In [`Packets`]: the block has two channels, …
const PACKET_STEREO: u8 = 0x01;
/// … the packet of the block before it is there, …
const BEFORE: u8 = 0x02;
/// … and has two channels.
const BEFORE_STEREO: u8 = 0x04;

/// A block as an Opus packet, as a datagram carries it: packet by packet what one loses the next one brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets<'a> {
    /// The block's number.
    pub number: u64,
    pub newest: Block<MediaTime, &'a [u8]>,
    /// That of the block numbered one less.
    pub before: Option<Block<MediaTime, &'a [u8]>>,
}

impl<'a> Packets<'a> {
    /// Bytes of the message but for the packets, kind and track included, where there are two.
    pub const HEAD_LEN: usize = 29;

    /// Appends its bytes, kind and track left to the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.number > 0 || self.before.is_none(), "there is none before the first");
        out.extend_from_slice(&self.number.to_be_bytes());
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let before_stereo = self.before.is_some_and(|before| before.channels == 2);
        out.push(
            bit(self.newest.channels == 2, PACKET_STEREO)
                | bit(self.before.is_some(), BEFORE)
                | bit(before_stereo, BEFORE_STEREO),
        );
        out.extend_from_slice(&self.newest.capture.as_nanos().to_be_bytes());
        if let Some(before) = &self.before {
            out.extend_from_slice(&before.capture.as_nanos().to_be_bytes());
            out.extend_from_slice(&(before.samples.len() as u16).to_be_bytes());
            out.extend_from_slice(before.samples);
        }
        out.extend_from_slice(self.newest.samples);
    }

    /// The rest of a message.
    pub fn decode(mut reader: Reader<'a>) -> Result<Self, Error> {
        let number = reader.u64("block number")?;
        let form = reader.u8("packets")?;
        let has_before = form & BEFORE != 0;
        let contradicts = if has_before { number == 0 } else { form & BEFORE_STEREO != 0 };
        if form & !(PACKET_STEREO | BEFORE | BEFORE_STEREO) != 0 || contradicts {
            return Err(reader.invalid("packets", u64::from(form), 1));
        }
        let channels = |bit: u8| if form & bit != 0 { 2 } else { 1 };
        let capture = MediaTime::from_nanos(reader.u64("capture time")?);
        let before = match has_before {
            true => {
                let capture = MediaTime::from_nanos(reader.u64("capture time before")?);
                let len = usize::from(reader.u16("length of the packet before")?);
                let bytes = reader.bytes(len, "packet before")?;
                Some(Block { capture, channels: channels(BEFORE_STEREO), samples: packet_bytes(&reader, bytes)? })
            }
            false => None,
        };
        let bytes = reader.rest();
        let newest = Block { capture, channels: channels(PACKET_STEREO), samples: packet_bytes(&reader, bytes)? };
        Ok(Packets { number, newest, before })
    }
}

/// A piece of a block of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The block's number; 40 bits of it travel, enough for 300 years.
    pub number: u64,
    /// When the block's first sample was caught.
    pub capture: MediaTime,
    /// 1 or 2.
    pub channels: u8,
    /// Frames in the whole block, 1–480.
    pub frames: u16,
    /// Which piece, below [`PIECES`].
    pub index: u8,
    /// Half of the block's bytes, rounded up to whole frames; the second half may be padded with zeros.
    pub payload: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Bytes of the message before the payload, kind and track included: with those around a message (`session::path`) a half of 10 ms of
    /// stereo has 1000, as much as passes everywhere.
    pub const HEAD_LEN: usize = 16;

    /// Bytes of every piece of a block.
    pub fn len_of(frames: u16, channels: u8) -> usize {
        usize::from(frames.div_ceil(2)) * 2 * usize::from(channels)
    }

    /// Appends its bytes, kind and track left to the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.number < 1 << 40, "blocks are counted from 0");
        out.extend_from_slice(&self.number.to_be_bytes()[3..]);
        out.extend_from_slice(&self.capture.as_nanos().to_be_bytes());
        let odd = if self.frames % 2 == 1 { ODD } else { 0 };
        out.push(self.index | if self.channels == 2 { STEREO } else { 0 } | odd);
        out.extend_from_slice(self.payload);
    }

    /// The rest of a message.
    pub fn decode(mut reader: Reader<'a>) -> Result<Self, Error> {
        let mut number = [0; 8];
        number[3..].copy_from_slice(reader.bytes(5, "block number")?);
        let capture = MediaTime::from_nanos(reader.u64("capture time")?);
        let form = reader.u8("piece")?;
        if form & !(INDEX | STEREO | ODD) != 0 {
            return Err(reader.invalid("piece", u64::from(form), 1));
        }
        let (index, channels) = (form & INDEX, if form & STEREO != 0 { 2 } else { 1 });
        let payload = reader.rest();
        let halves = payload.len() / (2 * usize::from(channels));
        let frames = (2 * halves).saturating_sub(usize::from(form & ODD != 0));
        if !payload.len().is_multiple_of(2 * usize::from(channels)) || !(1..=BLOCK_FRAMES).contains(&frames) {
            return Err(reader.invalid("piece's payload", payload.len() as u64, payload.len()));
        }
        Ok(Piece { number: u64::from_be_bytes(number), capture, channels, frames: frames as u16, index, payload })
    }
}

/// What a receiver wants of sound beside TCP, and what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundRequest {
    /// Every block below this number came, or is not waited for any more.
    pub next: u64,
    /// Pieces wanted of each block from there on, in the order of their index: 0 for none, or 2 to [`PIECES`].
    pub pieces: u8,
}

impl SoundRequest {
    /// Appends its bytes, kind and track left to the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.next.to_be_bytes());
        out.push(self.pieces);
    }

    /// The rest of a message.
    pub fn decode(mut reader: Reader<'_>) -> Result<Self, Error> {
        let next = reader.u64("next block")?;
        let pieces = reader.u8("pieces")?;
        if pieces == 1 || usize::from(pieces) > PIECES {
            return Err(reader.invalid("pieces", u64::from(pieces), 1));
        }
        reader.end().map(|()| SoundRequest { next, pieces })
    }
}
