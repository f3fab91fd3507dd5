//! How reception goes, in the receiver's words: the body of message 8 (PROTOCOL.md §5.8). What is of the path comes first, then what
//! is of each track that the receiver takes.

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

/// The most tracks in a report: as many as are shown at once.
pub const MAX_TRACKS: usize = 16;

/// How far a receiver is with a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackReport {
    /// The sender's number of it.
    pub track: u8,
    /// Every picture below this number is settled: shown, written or given up.
    pub settled: u64,
    /// Pictures shown or written.
    pub shown: u32,
    /// How long after it should have come a picture is waited for, ms.
    pub wait_ms: u16,
    /// Of the 64 pictures below `settled` those that did not all get onto the canvas, the last one in the lowest bit.
    pub missed: u64,
}

/// At once when a picture of a track was missed; the next reports say it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misses {
    /// As in [`TrackReport`].
    pub settled: u64,
    /// As in [`TrackReport`].
    pub missed: u64,
}

impl Misses {
    /// Appends its bytes, kind and track left to the caller.
    pub fn encode(self, out: &mut Vec<u8>) {
        [self.settled, self.missed].iter().for_each(|field| out.extend_from_slice(&field.to_be_bytes()));
    }

    /// The rest of a message.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Misses, Error> {
        Ok(Misses { settled: reader.u64("settled picture")?, missed: reader.u64("missed pictures")? })
    }
}

/// Tracks, each of them once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackReports {
    tracks: [TrackReport; MAX_TRACKS],
    len: usize,
}

impl TrackReports {
    /// Puts this in the place of what was said of the same track. What there is no room for is left out.
    pub fn put(&mut self, report: TrackReport) {
        match self.tracks[..self.len].iter_mut().find(|earlier| earlier.track == report.track) {
            Some(earlier) => *earlier = report,
            None if self.len < MAX_TRACKS => {
                self.tracks[self.len] = report;
                self.len += 1;
            }
            None => {}
        }
    }

    /// What is said of this track.
    pub fn get(&self, track: u8) -> Option<TrackReport> {
        self.as_slice().iter().find(|report| report.track == track).copied()
    }

    /// What is in it.
    pub fn as_slice(&self) -> &[TrackReport] {
        &self.tracks[..self.len]
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
    /// How the pictures since the last report arrived.
    pub trains: Trains,
    /// How far its tracks are.
    pub tracks: TrackReports,
}

impl Report {
    /// Appends its bytes, kind left to the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for field in [self.highest, self.received, self.lost, self.bytes] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.push(self.trains.as_slice().len() as u8);
        for train in self.trains.as_slice() {
            out.extend_from_slice(&train.first.to_be_bytes());
            out.extend_from_slice(&train.packets.to_be_bytes());
            for field in [train.at_us, train.span_us, train.bytes] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        }
        out.push(self.tracks.as_slice().len() as u8);
        for TrackReport { track, settled, shown, wait_ms, missed } in self.tracks.as_slice() {
            out.push(*track);
            out.extend_from_slice(&settled.to_be_bytes());
            out.extend_from_slice(&shown.to_be_bytes());
            out.extend_from_slice(&wait_ms.to_be_bytes());
            out.extend_from_slice(&missed.to_be_bytes());
        }
    }

    /// The rest of a message.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Report, Error> {
        let mut report = Report {
            highest: reader.u64("highest number")?,
            received: reader.u64("received count")?,
            lost: reader.u64("lost count")?,
            bytes: reader.u64("byte count")?,
            trains: Trains::default(),
            tracks: TrackReports::default(),
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
        let len = usize::from(reader.u8("track count")?);
        if len > MAX_TRACKS {
            return Err(reader.invalid("track count", len as u64, 1));
        }
        for place in 0..len {
            let track = reader.u8("track")?;
            if report.tracks.get(track).is_some() {
                return Err(reader.invalid("track", u64::from(track), 1));
            }
            let (settled, shown) = (reader.u64("settled picture")?, reader.u32("shown count")?);
            let (wait_ms, missed) = (reader.u16("wait")?, reader.u64("missed pictures")?);
            report.tracks.tracks[place] = TrackReport { track, settled, shown, wait_ms, missed };
            report.tracks.len = place + 1;
        }
        Ok(report)
    }
}
