//! How reception goes, in the receiver's words: the body of message 8 (PROTOCOL.md §5.8).

use super::{Error, Reader};

/// How one picture's packets arrived: what `media/train.rs` needs to know of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Train {
    /// Low half of its first packet's number.
    pub first: u32,
    /// How many numbers further its last one is.
    pub packets: u16,
    /// When the first came, µs of the receiver's clock, low half.
    pub at_us: u32,
    /// From then until the last came, µs.
    pub span_us: u32,
    /// Bytes of datagrams that came after the first.
    pub bytes: u32,
}

/// The most trains in a report: a tenth of a second of 80 pictures a second.
pub const MAX_TRAINS: usize = 8;

/// Trains, oldest first; where there are too many, the oldest go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trains {
    trains: [Train; MAX_TRAINS],
    len: usize,
}

impl Trains {
    /// Adds one behind those already there.
    pub fn push(&mut self, train: Train) {
        if self.len == MAX_TRAINS {
            self.trains.rotate_left(1);
            self.len -= 1;
        }
        self.trains[self.len] = train;
        self.len += 1;
    }

    /// What is in it.
    pub fn as_slice(&self) -> &[Train] {
        &self.trains[..self.len]
    }
}

/// How reception goes; every 100 ms, and what ends a film's wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The highest packet number that came.
    pub highest: u64,
    /// Datagrams opened, duplicates not counted.
    pub received: u64,
    /// Packet numbers given up as lost.
    pub lost: u64,
    /// Bytes of datagrams opened.
    pub bytes: u64,
    /// Every picture below this number is settled: shown, written or given up.
    pub settled: u64,
    /// Pictures shown or written.
    pub shown: u32,
    /// How long after it should have come a picture is waited for, ms.
    pub wait_ms: u16,
    /// How the pictures since the last report arrived.
    pub trains: Trains,
}

impl Report {
    /// Appends its bytes, kind left to the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.highest, self.received, self.lost, self.bytes, self.settled] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&self.shown.to_be_bytes());
        out.extend_from_slice(&self.wait_ms.to_be_bytes());
        out.push(self.trains.as_slice().len() as u8);
        for train in self.trains.as_slice() {
            out.extend_from_slice(&train.first.to_be_bytes());
            out.extend_from_slice(&train.packets.to_be_bytes());
            for field in [train.at_us, train.span_us, train.bytes] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        }
    }

    /// The rest of a message.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Report, Error> {
        let mut report = Report {
            highest: reader.u64("highest number")?,
            received: reader.u64("received count")?,
            lost: reader.u64("lost count")?,
            bytes: reader.u64("byte count")?,
            settled: reader.u64("settled picture")?,
            shown: reader.u32("shown count")?,
            wait_ms: reader.u16("wait")?,
            trains: Trains::default(),
        };
        let len = reader.u8("train count")?;
        if usize::from(len) > MAX_TRAINS {
            return Err(reader.invalid("train count", u64::from(len), 1));
        }
        for _ in 0..len {
            report.trains.push(Train {
                first: reader.u32("train start")?,
                packets: reader.u16("train length")?,
                at_us: reader.u32("train time")?,
                span_us: reader.u32("train span")?,
                bytes: reader.u32("train bytes")?,
            });
        }
        Ok(report)
    }
}
