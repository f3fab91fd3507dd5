//! The header of a packet (RFC 3550 §5.1), and a stream of them: numbers, timestamps, and what a sender report tells of it.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! ```

use std::time::Duration;

/// Bytes of a header of ours: without contributing sources, without an extension.
pub const HEADER_LEN: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of pictures: this is the last packet of one.
    pub marker: bool,
    /// What is in it, 7 bits.
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    /// Of which stream it is.
    pub ssrc: u32,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 2 << 6;
        bytes[1] = u8::from(self.marker) << 7 | (self.payload_type & 0x7F);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }

    /// The header and the payload behind it; contributing sources, an extension and padding are left out. `None` where it is no
    /// packet of RTP's version 2.
    pub fn decode(packet: &[u8]) -> Option<(Header, &[u8])> {
        let (&[first, second, s1, s0, t3, t2, t1, t0, c3, c2, c1, c0], rest) = packet.split_first_chunk()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut payload = rest.get(4 * usize::from(first & 0x0F)..)?;
        if first & 0x10 != 0 {
            let (&[_, _, l1, l0], behind) = payload.split_first_chunk()?;
            payload = behind.get(4 * usize::from(u16::from_be_bytes([l1, l0]))..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            payload = payload.get(..payload.len().checked_sub(padding)?).filter(|_| padding > 0)?;
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s1, s0]),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            ssrc: u32::from_be_bytes([c3, c2, c1, c0]),
        };
        Some((header, payload))
    }
}

/// Where a stream begins to count: random, so that nobody can tell them beforehand and no two streams are taken for one (RFC 3550
/// §5.1, §8).
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

impl From<[u8; 10]> for Beginning {
    fn from([a, b, c, d, e, f, g, h, i, j]: [u8; 10]) -> Self {
        let (ssrc, timestamp) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        Beginning { ssrc, sequence: u16::from_be_bytes([i, j]), timestamp }
    }
}

/// The packets of one medium.
#[derive(Debug)]
pub struct Stream {
    payload_type: u8,
    /// Ticks of its timestamps in a second.
    rate: u32,
    ssrc: u32,
    sequence: u16,
    /// A moment and its timestamp.
    anchor: (Duration, u32),
    packets: u32,
    octets: u32,
}

/// What a sender report says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub ssrc: u32,
    /// The timestamp of the moment that the report is of.
    pub timestamp: u32,
    pub packets: u32,
    /// Of payloads.
    pub octets: u32,
}

impl Stream {
    pub fn new(payload_type: u8, rate: u32, beginning: Beginning) -> Self {
        let Beginning { ssrc, sequence, timestamp } = beginning;
        Stream { payload_type, rate, ssrc, sequence, anchor: (Duration::ZERO, timestamp), packets: 0, octets: 0 }
    }

    /// The timestamp of a moment.
    pub fn timestamp(&self, at: Duration) -> u32 {
        let (moment, timestamp) = self.anchor;
        let nanos = at.as_nanos() as i128 - moment.as_nanos() as i128;
        // Timestamps wrap; so do these.
        timestamp.wrapping_add((nanos * i128::from(self.rate)).div_euclid(1_000_000_000) as u32)
    }

    /// From now on this moment has this timestamp: the clock that counts is another than the one that tells moments.
    pub fn set_timestamp(&mut self, at: Duration, timestamp: u32) {
        self.anchor = (at, timestamp);
    }

    /// The next packet's header, before a payload of so many bytes.
    pub fn header(&mut self, timestamp: u32, marker: bool, payload: usize) -> Header {
        let (payload_type, sequence, ssrc) = (self.payload_type, self.sequence, self.ssrc);
        self.sequence = sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        Header { marker, payload_type, sequence, timestamp, ssrc }
    }

    /// For a report at this moment.
    pub fn sent(&self, at: Duration) -> Sent {
        let Stream { ssrc, packets, octets, .. } = *self;
        Sent { ssrc, timestamp: self.timestamp(at), packets, octets }
    }

    /// Whether it has a packet.
    pub fn has_begun(&self) -> bool {
        self.packets > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header { marker: true, payload_type: 26, sequence: 0x0102, timestamp: 0x0304_0506, ssrc: 0x0708_090A };

    #[test]
    fn a_header_is_the_twelve_bytes_of_rfc_3550() {
        assert_eq!(HEADER.encode(), [0x80, 0x9A, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn sources_extensions_and_padding_of_others_are_left_out() {
        let mut packet = [&HEADER.encode()[..], &[0; 8], &[0xBE, 0xDE, 0, 1, 9, 9, 9, 9], b"payload", &[0, 0, 3]].concat();
        packet[0] |= 0x20 | 0x10 | 2;
        assert_eq!(Header::decode(&packet), Some((HEADER, &b"payload"[..])));
        for len in 0..12 + 8 + 4 + 4 {
            assert_eq!(Header::decode(&packet[..len]), None, "{len}");
        }
        packet[0] = 0x40;
        assert_eq!(Header::decode(&packet), None, "another version");
    }

    #[test]
    fn numbers_and_timestamps_wrap_and_a_report_counts_payloads() {
        let beginning = Beginning { ssrc: 7, sequence: u16::MAX, timestamp: u32::MAX - 89_999 };
        let mut stream = Stream::new(26, 90_000, beginning);
        assert!(!stream.has_begun());
        let timestamp = stream.timestamp(Duration::from_secs(1));
        assert_eq!(timestamp, 0);
        let sequences = [stream.header(timestamp, false, 100).sequence, stream.header(timestamp, true, 50).sequence];
        assert_eq!(sequences, [u16::MAX, 0]);
        let sent = Sent { ssrc: 7, timestamp: 45_000, packets: 2, octets: 150 };
        assert_eq!(stream.sent(Duration::from_millis(1500)), sent);
        stream.set_timestamp(Duration::from_secs(2), 5);
        assert_eq!(stream.timestamp(Duration::from_secs(1)), 5_u32.wrapping_sub(90_000), "before it as after it");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_ours_come_back(bytes in prop::collection::vec(any::<u8>(), 0..60), sequence: u16, marker: bool) {
            let _ = Header::decode(&bytes);
            let header = Header { sequence, marker, ..HEADER };
            let packet = [&header.encode()[..], &bytes].concat();
            prop_assert_eq!(Header::decode(&packet), Some((header, &bytes[..])));
        }
    }
}
