//! Datagrams: a clear header, and behind the seal one message.
//!
//! ```text
//!  0                 4                   8
//!  connection id u32 packet number u32   sealed message ++ 16 bytes of tag
//! ```
//!
//! The header is what the seal authenticates beside the message; the packet number, widened to 64 bits, is its nonce. The
//! connection id is the one the receiver of the datagram chose. Messages are drawn in PROTOCOL.md §5.

use super::report::{Misses, Report};
use super::sound::{Packets, Piece, SoundRequest};
use super::{Error, Reader};
use crate::time::MediaTime;

/// Bytes before the sealed message.
pub const HEADER_LEN: usize = 8;

/// Bytes of a fragment before its payload, kind and track included.
pub const FRAGMENT_LEN: usize = 12;

/// Bytes of a shard before its last indices, likewise.
pub const SHARD_LEN: usize = 11;

/// The most missing ranges a NACK names: what does not fit is named by the next one.
pub const MAX_RANGES: usize = 64;

/// The clear header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the side this datagram goes to.
    pub connection: u32,
    /// Low half of the packet number.
    pub number: u32,
}

impl Header {
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.connection.to_be_bytes());
        bytes[4..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// From the first bytes of a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Header, Error> {
        let mut reader = Reader::new(bytes);
        Ok(Header { connection: reader.u32("connection id")?, number: reader.u32("packet number")? })
    }
}

/// Which piece of which slice a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentHead {
    /// Low half of the picture's number.
    pub picture: u32,
    /// Which slice of the picture.
    pub slice: u8,
    /// The picture's last slice.
    pub last_slice: u8,
    /// Which fragment of the slice.
    pub index: u16,
    /// The slice's last fragment. All fragments but the last have one length.
    pub last_index: u16,
}

impl FragmentHead {
    fn encode(&self, track: u8) -> [u8; FRAGMENT_LEN] {
        let mut bytes = [0; FRAGMENT_LEN];
        bytes[..2].copy_from_slice(&[kind::FRAGMENT, track]);
        bytes[2..6].copy_from_slice(&self.picture.to_be_bytes());
        bytes[6] = self.slice;
        bytes[7] = self.last_slice;
        bytes[8..10].copy_from_slice(&self.index.to_be_bytes());
        bytes[10..].copy_from_slice(&self.last_index.to_be_bytes());
        bytes
    }
}

/// Packet numbers that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    /// How many, at least one.
    pub count: u16,
}

/// Missing ranges, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    ranges: [Range; MAX_RANGES],
    len: usize,
}

impl Ranges {
    pub fn new() -> Self {
        Ranges { ranges: [Range { first: 0, count: 0 }; MAX_RANGES], len: 0 }
    }

    /// Adds a number behind those already there; says whether there was room.
    pub fn push(&mut self, number: u64) -> bool {
        if let Some(last) = self.ranges[..self.len].last_mut()
            && last.first + u64::from(last.count) == number
            && last.count < u16::MAX
        {
            last.count += 1;
            return true;
        }
        let room = self.len < MAX_RANGES;
        if room {
            self.ranges[self.len] = Range { first: number, count: 1 };
            self.len += 1;
        }
        room
    }

    /// What is in it.
    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.len]
    }
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}

/// A request to send again what did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    /// The highest packet number that came.
    pub highest: u64,
    /// What was sent after `highest` is missed too: the end of a picture did not come.
    pub tail: bool,
    /// How long after capture a picture is still of use to this receiver, in ms.
    pub patience_ms: u16,
    /// What is missing below `highest`.
    pub missing: Ranges,
}

/// A recovery or original shard of forward error correction over a run of fragments of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard<'a> {
    /// Low half of the picture's number.
    pub picture: u32,
    /// The picture's last slice.
    pub last_slice: u8,
    /// First slice of the protected run.
    pub first_slice: u8,
    /// Which recovery shard of the run this is.
    pub index: u8,
    /// How many recovery shards the run has.
    pub recovery: u8,
    /// For each slice of the run, the index of its last fragment: two bytes each.
    pub last_indices: &'a [u8],
    /// The shard: over `length(u16) ++ payload` of each fragment, padded with zeros to the longest.
    pub payload: &'a [u8],
}

/// What lies behind a datagram's seal. What is of one track says its number first.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one call; a box would allocate for each datagram")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A piece of a slice of a track of the sender's.
    Fragment(u8, FragmentHead, &'a [u8]),
    /// Forward error correction of a track of the sender's.
    Shard(u8, Shard<'a>),
    /// Send again, please.
    Nack(Nack),
    /// Prove that you are where this arrives.
    Challenge([u8; 8]),
    /// The proof: the challenge's bytes.
    Response([u8; 8]),
    /// What is the time with you? Carries the asker's clock, which comes back.
    Ping(u64),
    Pong {
        /// The asker's clock when it asked.
        asked: u64,
        /// The answerer's clock when the question came.
        received: MediaTime,
        /// The answerer's clock when it answered.
        replied: MediaTime,
    },
    /// How reception goes.
    Report(Report),
    /// A datagram of a size that may not fit the path, padded with zeros (RFC 8899). Its number comes back if it does.
    Probe(u16),
    /// A probe of this number came.
    ProbeAck(u16),
    /// A piece of a block of sound that TCP is late with, of a track of the sender's.
    Piece(u8, Piece<'a>),
    /// A block of sound as an Opus packet, and the one before it, of a track of the sender's: beside TCP, too.
    Packets(u8, Packets<'a>),
    /// Send such pieces or packets, please, or no more of them, of a track of yours.
    SoundRequest(u8, SoundRequest),
    /// A picture of a track of yours did not all get onto my canvas.
    Misses(u8, Misses),
}

mod kind {
    pub const FRAGMENT: u8 = 1;
    pub const SHARD: u8 = 2;
    pub const NACK: u8 = 3;
    pub const CHALLENGE: u8 = 4;
    pub const RESPONSE: u8 = 5;
    pub const PING: u8 = 6;
    pub const PONG: u8 = 7;
    pub const REPORT: u8 = 8;
    pub const PROBE: u8 = 10;
    pub const PROBE_ACK: u8 = 11;
    pub const PIECE: u8 = 12;
    pub const SOUND_REQUEST: u8 = 13;
    pub const MISSES: u8 = 14;
    pub const PACKETS: u8 = 15;
}

impl<'a> Message<'a> {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Message::Fragment(track, head, payload) => {
                out.extend_from_slice(&head.encode(*track));
                out.extend_from_slice(payload);
            }
            Message::Shard(track, shard) => {
                out.extend_from_slice(&[kind::SHARD, *track]);
                shard.encode(out);
            }
            Message::Nack(nack) => nack.encode(out),
            Message::Challenge(token) => put_token(out, kind::CHALLENGE, token),
            Message::Response(token) => put_token(out, kind::RESPONSE, token),
            Message::Ping(asked) => {
                out.push(kind::PING);
                out.extend_from_slice(&asked.to_be_bytes());
            }
            Message::Pong { asked, received, replied } => {
                out.push(kind::PONG);
                for time in [*asked, received.as_nanos(), replied.as_nanos()] {
                    out.extend_from_slice(&time.to_be_bytes());
                }
            }
            Message::Report(report) => {
                out.push(kind::REPORT);
                report.encode(out);
            }
            Message::Piece(track, piece) => {
                out.extend_from_slice(&[kind::PIECE, *track]);
                piece.encode(out);
            }
            Message::Packets(track, packets) => {
                out.extend_from_slice(&[kind::PACKETS, *track]);
                packets.encode(out);
            }
            Message::SoundRequest(track, wanted) => {
                out.extend_from_slice(&[kind::SOUND_REQUEST, *track]);
                wanted.encode(out);
            }
            Message::Misses(track, misses) => {
                out.extend_from_slice(&[kind::MISSES, *track]);
                misses.encode(out);
            }
            Message::Probe(number) => {
                out.push(kind::PROBE);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Message::ProbeAck(number) => {
                out.push(kind::PROBE_ACK);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    /// From an opened datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Message<'a>, Error> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("message kind")?;
        let message = match kind {
            kind::FRAGMENT => return Self::decode_fragment(reader),
            kind::SHARD => return Ok(Message::Shard(reader.u8("track")?, Shard::decode(reader)?)),
            kind::PIECE => return Ok(Message::Piece(reader.u8("track")?, Piece::decode(reader)?)),
            kind::PACKETS => return Ok(Message::Packets(reader.u8("track")?, Packets::decode(reader)?)),
            kind::SOUND_REQUEST => return Ok(Message::SoundRequest(reader.u8("track")?, SoundRequest::decode(reader)?)),
            // The padding behind a probe's number is its point.
            kind::PROBE => return Ok(Message::Probe(reader.u16("probe number")?)),
            kind::NACK => Message::Nack(Nack::decode(&mut reader)?),
            kind::CHALLENGE => Message::Challenge(reader.array("challenge")?),
            kind::RESPONSE => Message::Response(reader.array("response")?),
            kind::PING => Message::Ping(reader.u64("ping time")?),
            kind::PONG => Message::Pong {
                asked: reader.u64("ping time")?,
                received: MediaTime::from_nanos(reader.u64("pong received")?),
                replied: MediaTime::from_nanos(reader.u64("pong replied")?),
            },
            kind::REPORT => Message::Report(Report::decode(&mut reader)?),
            kind::MISSES => Message::Misses(reader.u8("track")?, Misses::decode(&mut reader)?),
            kind::PROBE_ACK => Message::ProbeAck(reader.u16("probe number")?),
            kind => return Err(Error::Unknown { field: "message kind", kind }),
        };
        reader.end().map(|()| message)
    }

    /// The track it is of, where it is of one.
    pub fn track(&self) -> Option<u8> {
        match self {
            Message::Fragment(track, ..)
            | Message::Shard(track, _)
            | Message::Piece(track, _)
            | Message::Packets(track, _)
            | Message::SoundRequest(track, _)
            | Message::Misses(track, _) => Some(*track),
            _ => None,
        }
    }

    fn decode_fragment(mut reader: Reader<'a>) -> Result<Message<'a>, Error> {
        let track = reader.u8("track")?;
        let head = FragmentHead {
            picture: reader.u32("picture number")?,
            slice: reader.u8("slice")?,
            last_slice: reader.u8("last slice")?,
            index: reader.u16("fragment")?,
            last_index: reader.u16("last fragment")?,
        };
        if usize::from(head.last_slice) >= super::slice::MAX_SLICES {
            return Err(Error::Invalid { field: "last slice", value: u64::from(head.last_slice), at: 7 });
        }
        if head.slice > head.last_slice {
            return Err(Error::Invalid { field: "slice", value: u64::from(head.slice), at: 6 });
        }
        if head.index > head.last_index {
            return Err(Error::Invalid { field: "fragment", value: u64::from(head.index), at: 8 });
        }
        match reader.rest() {
            [] => Err(Error::Truncated { field: "fragment payload", len: FRAGMENT_LEN }),
            payload => Ok(Message::Fragment(track, head, payload)),
        }
    }
}

fn put_token(out: &mut Vec<u8>, kind: u8, token: &[u8; 8]) {
    out.push(kind);
    out.extend_from_slice(token);
}

impl Nack {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(kind::NACK);
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.push(u8::from(self.tail));
        out.extend_from_slice(&self.patience_ms.to_be_bytes());
        out.push(self.missing.as_slice().len() as u8);
        for range in self.missing.as_slice() {
            out.extend_from_slice(&range.first.to_be_bytes());
            out.extend_from_slice(&range.count.to_be_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Nack, Error> {
        let highest = reader.u64("highest number")?;
        let tail = match reader.u8("tail flag")? {
            flag @ 0..=1 => flag == 1,
            flag => return Err(reader.invalid("tail flag", u64::from(flag), 1)),
        };
        let patience_ms = reader.u16("patience")?;
        let len = usize::from(reader.u8("range count")?);
        if len > MAX_RANGES {
            return Err(reader.invalid("range count", len as u64, 1));
        }
        let mut missing = Ranges { len, ..Ranges::new() };
        for range in &mut missing.ranges[..len] {
            *range = Range { first: reader.u64("range start")?, count: reader.u16("range length")? };
            if range.count == 0 || range.first.checked_add(u64::from(range.count)).is_none() {
                return Err(reader.invalid("range length", u64::from(range.count), 2));
            }
        }
        Ok(Nack { highest, tail, patience_ms, missing })
    }
}

impl<'a> Shard<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.picture.to_be_bytes());
        let slices = (self.last_indices.len() / 2) as u8;
        out.extend_from_slice(&[self.last_slice, self.first_slice, slices, self.index, self.recovery]);
        out.extend_from_slice(self.last_indices);
        out.extend_from_slice(self.payload);
    }

    fn decode(mut reader: Reader<'a>) -> Result<Self, Error> {
        let picture = reader.u32("picture number")?;
        let last_slice = reader.u8("last slice")?;
        // What a shard mends is a fragment, and is held to what fragments are.
        if usize::from(last_slice) >= super::slice::MAX_SLICES {
            return Err(reader.invalid("last slice", u64::from(last_slice), 1));
        }
        let first_slice = reader.u8("first slice")?;
        let slices = reader.u8("slice count")?;
        if slices == 0 || u16::from(first_slice) + u16::from(slices) > u16::from(last_slice) + 1 {
            return Err(reader.invalid("slice count", u64::from(slices), 1));
        }
        let index = reader.u8("shard")?;
        let recovery = reader.u8("shard count")?;
        if index >= recovery {
            return Err(reader.invalid("shard count", u64::from(recovery), 1));
        }
        let last_indices = reader.bytes(2 * usize::from(slices), "last fragments")?;
        let payload = reader.rest();
        if payload.len() < 2 || !payload.len().is_multiple_of(2) {
            return Err(reader.invalid("shard length", payload.len() as u64, payload.len()));
        }
        Ok(Shard { picture, last_slice, first_slice, index, recovery, last_indices, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_neighbours_and_say_when_they_are_full() {
        let mut ranges = Ranges::new();
        assert!([4, 5, 6, 9].into_iter().all(|number| ranges.push(number)));
        assert_eq!(ranges.as_slice(), [Range { first: 4, count: 3 }, Range { first: 9, count: 1 }]);
        let full = (0..).take_while(|index| ranges.push(100 + 2 * index)).count();
        assert_eq!((full, ranges.as_slice().len()), (MAX_RANGES - 2, MAX_RANGES));
    }

    #[test]
    fn a_fragment_that_contradicts_itself_is_refused() {
        let refused = |head: FragmentHead| {
            let mut bytes = Vec::new();
            Message::Fragment(3, head, b"x").encode(&mut bytes);
            Message::decode(&bytes).unwrap_err()
        };
        let good = FragmentHead { picture: 9, slice: 1, last_slice: 3, index: 0, last_index: 7 };
        assert!(matches!(refused(FragmentHead { slice: 4, ..good }), Error::Invalid { field: "slice", .. }));
        assert!(matches!(refused(FragmentHead { index: 8, ..good }), Error::Invalid { field: "fragment", .. }));
        assert!(matches!(refused(FragmentHead { last_slice: 128, ..good }), Error::Invalid { field: "last slice", .. }));
    }

    #[test]
    fn a_shard_of_more_slices_than_a_picture_can_have_is_refused() {
        let decoded = |last_slice: u8| {
            let [last_indices, payload] = [&[0, 3][..], b"even"];
            let shard = Shard { picture: 9, last_slice, first_slice: 0, index: 0, recovery: 1, last_indices, payload };
            let mut bytes = Vec::new();
            Message::Shard(3, shard).encode(&mut bytes);
            Message::decode(&bytes).map(drop)
        };
        assert_eq!(decoded(127), Ok(()));
        for last_slice in [128, 255] {
            assert!(matches!(decoded(last_slice), Err(Error::Invalid { field: "last slice", at: 6, .. })), "{last_slice}");
        }
    }
}
