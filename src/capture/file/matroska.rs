//! The Matroska stream that `ffmpeg` writes into a pipe, packet by packet.
//!
//! `matroska-demuxer` wants a file to seek in. All it does is look at the head more than once and step over a block before reading it, so
//! [`Pipe`] keeps the head and is lazy about seeking; nothing but the head is ever held. Allocation is bounded by
//! [`Packets::open`]'s `largest`: the stream seems never longer than that.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

use matroska_demuxer::{DemuxError, Frame, MatroskaFile, TrackType};

/// Header, tracks and the first cluster's head as `ffmpeg` writes them take about 700 bytes; the crate goes back no further.
const HEAD: usize = 64 << 10;

/// Which of the two streams a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Pictures,
    /// Interleaved s16le.
    Sound,
}

/// One packet: its stream, its time and its bytes.
pub type Packet<'a> = (Stream, Duration, &'a [u8]);

/// A pipe that can be read like a file as far as `matroska-demuxer` goes.
struct Pipe<R> {
    inner: BufReader<R>,
    /// What was read first, up to [`HEAD`] bytes.
    head: Vec<u8>,
    /// Bytes taken out of `inner`.
    taken: u64,
    /// Where the next read happens.
    at: u64,
    /// How far beyond `at` the stream claims to end.
    largest: u64,
}

impl<R: Read> Pipe<R> {
    fn read_inner(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        let keep = n.min(HEAD - self.head.len());
        // Only what follows the head without a gap belongs to it, and everything is read in order, so it always does.
        self.head.extend_from_slice(&into[..keep]);
        self.taken += n as u64;
        Ok(n)
    }
}

impl<R: Read> Read for Pipe<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at < self.taken {
            let from = usize::try_from(self.at).unwrap_or(usize::MAX);
            let Some(kept) = self.head.get(from..).filter(|kept| !kept.is_empty()) else {
                return Err(io::Error::other("a pipe cannot go back"));
            };
            let n = kept.len().min(into.len());
            into[..n].copy_from_slice(&kept[..n]);
            self.at += n as u64;
            return Ok(n);
        }
        let mut skipped = [0; 4096];
        while self.taken < self.at {
            let n = usize::try_from(self.at - self.taken).unwrap_or(usize::MAX).min(skipped.len());
            if self.read_inner(&mut skipped[..n])? == 0 {
                return Ok(0);
            }
        }
        let n = self.read_inner(into)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: Read> Seek for Pipe<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.at.saturating_add(self.largest).checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.at)
    }
}

/// The packets of a stream with at most one video and one audio track.
pub struct Packets<R: Read> {
    file: MatroskaFile<Pipe<R>>,
    video: Option<u64>,
    audio: Option<u64>,
    /// Nanoseconds in a tick of the stream's stamps.
    tick: u64,
    frame: Frame,
}

impl<R: Read> Packets<R> {
    /// Reads the head of the stream. No packet may be larger than `largest` bytes.
    pub fn open(inner: R, largest: usize) -> Result<Self, DemuxError> {
        // The head's own elements must fit too.
        let largest = (largest.max(HEAD) + 64) as u64;
        let inner = BufReader::with_capacity(32 << 10, inner);
        let file = MatroskaFile::open(Pipe { inner, head: Vec::new(), taken: 0, at: 0, largest })?;
        let track = |kind| file.tracks().iter().find(|track| track.track_type() == kind).map(|track| track.track_number().get());
        let (video, audio) = (track(TrackType::Video), track(TrackType::Audio));
        let tick = file.info().timestamp_scale().get();
        Ok(Packets { file, video, audio, tick, frame: Frame::default() })
    }

    /// The pictures' size, if there are pictures; as the head says, which the caller checks against what comes.
    pub fn size(&self) -> Option<(u64, u64)> {
        let track = self.file.tracks().iter().find(|track| track.track_type() == TrackType::Video)?;
        track.video().map(|video| (video.pixel_width().get(), video.pixel_height().get()))
    }

    /// The sound's channels, if there is sound.
    pub fn channels(&self) -> Option<u64> {
        let track = self.file.tracks().iter().find(|track| track.track_type() == TrackType::Audio)?;
        track.audio().map(|audio| audio.channels().get())
    }

    /// The next packet; `None` at the end, clean or not.
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, DemuxError> {
        while self.file.next_frame(&mut self.frame)? {
            let track = Some(self.frame.track);
            let stream = match track {
                _ if track == self.video => Stream::Pictures,
                _ if track == self.audio => Stream::Sound,
                _ => continue,
            };
            let time = Duration::from_nanos(self.frame.timestamp.saturating_mul(self.tick));
            return Ok(Some((stream, time, &self.frame.data)));
        }
        Ok(None)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An EBML element; sizes as eight bytes, as nobody writes them and everybody must read them.
    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        let size = (1u64 << 56 | body.len() as u64).to_be_bytes();
        [id, &size, body].concat()
    }

    pub fn block(track: u8, at: i16, body: &[u8]) -> Vec<u8> {
        element(&[0xA3], &[&[0x80 | track], &at.to_be_bytes()[..], &[0x80], body].concat())
    }

    pub fn stream(clusters: &[u8]) -> Vec<u8> {
        let doc = element(&[0x42, 0x82], b"matroska");
        let versions = [element(&[0x42, 0x87], &[4]), element(&[0x42, 0x85], &[2])].concat();
        let head = element(&[0x1A, 0x45, 0xDF, 0xA3], &[doc, versions].concat());
        // A SeekHead that names something harmless keeps the crate from walking the whole stream for one.
        let seek = [element(&[0x53, 0xAB], &[0x15, 0x49, 0xA9, 0x66]), element(&[0x53, 0xAC], &[60])].concat();
        let seek_head = element(&[0x11, 0x4D, 0x9B, 0x74], &element(&[0x4D, 0xBB], &seek));
        let info_body = [element(&[0x4D, 0x80], b"x"), element(&[0x57, 0x41], b"y")].concat();
        let info = element(&[0x15, 0x49, 0xA9, 0x66], &info_body);
        let track = |number: u8, kind: u8, rest: Vec<u8>| {
            let common = [element(&[0xD7], &[number]), element(&[0x73, 0xC5], &[number]), element(&[0x83], &[kind])].concat();
            element(&[0xAE], &[common, element(&[0x86], b"V_UNCOMPRESSED"), rest].concat())
        };
        let video = element(&[0xE0], &[element(&[0xB0], &[4]), element(&[0xBA], &[4])].concat());
        let audio = element(&[0xE1], &[element(&[0xB5], &48_000f64.to_be_bytes()), element(&[0x9F], &[1])].concat());
        let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &[track(1, 1, video), track(2, 2, audio)].concat());
        // The seek head must say where things are; its own length does not depend on what it says.
        let mut seek_head = seek_head;
        let info_at = seek_head.len() + element(&[0x4D, 0xBB], &tracks_seek(0)).len();
        let info_len = info.len();
        *seek_head.last_mut().unwrap() = info_at as u8;
        let mut entries = seek_head[12..].to_vec();
        entries.extend(element(&[0x4D, 0xBB], &tracks_seek((info_at + info_len) as u8)));
        let seek_head = element(&[0x11, 0x4D, 0x9B, 0x74], &entries);
        let segment = [&[0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF][..]].concat();
        [head, segment, seek_head, info, tracks, clusters.to_vec()].concat()
    }

    fn tracks_seek(at: u8) -> Vec<u8> {
        [element(&[0x53, 0xAB], &[0x16, 0x54, 0xAE, 0x6B]), element(&[0x53, 0xAC], &[at])].concat()
    }

    pub fn cluster(at: u8, blocks: &[Vec<u8>]) -> Vec<u8> {
        element(&[0x1F, 0x43, 0xB6, 0x75], &[element(&[0xE7], &[at]), blocks.concat()].concat())
    }

    /// Gives a few bytes a read, as a pipe may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = into.len().min(7).min(self.0.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn packets_come_through_a_pipe_in_order_with_their_times() {
        let clusters =
            [cluster(0, &[block(1, 0, b"first"), block(2, 0, b"sound")]), cluster(100, &[block(1, 33, &[7; 100_000])])].concat();
        let bytes = stream(&clusters);
        let mut packets = Packets::open(Dribble(&bytes), 100_000).unwrap();
        assert_eq!(packets.next().unwrap(), Some((Stream::Pictures, Duration::ZERO, &b"first"[..])));
        assert_eq!(packets.next().unwrap(), Some((Stream::Sound, Duration::ZERO, &b"sound"[..])));
        assert_eq!(packets.next().unwrap(), Some((Stream::Pictures, Duration::from_millis(133), &[7; 100_000][..])));
        assert_eq!(packets.next().unwrap(), None);
    }

    #[test]
    fn a_packet_larger_than_agreed_is_refused_not_allocated() {
        let mut huge = vec![0xA3, 0x01, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        huge.extend([0x81, 0, 0, 0x80]);
        let bytes = stream(&cluster(0, &[huge]));
        let mut packets = Packets::open(&bytes[..], 1000).unwrap();
        assert!(packets.next().is_err());
    }

    #[test]
    fn a_stream_cut_anywhere_ends_without_a_panic() {
        let bytes = stream(&cluster(0, &[block(1, 0, b"first"), block(2, 0, b"sound")]));
        let mut whole = 0;
        for end in 0..=bytes.len() {
            if let Ok(mut packets) = Packets::open(&bytes[..end], 1000) {
                whole = 0;
                while let Ok(Some(_)) = packets.next() {
                    whole += 1;
                }
            }
        }
        assert_eq!(whole, 2);
    }
}
