//! Matroska (RFC 9559) as it is recorded: which bytes go where. Nothing is written here.
//!
//! **Problem.** A recording ends when it is stopped, when its program is killed, or when the disk is full; it is to be played, and
//! sought in, at each moment until then. **Choice.** Whatever is known only later has a place of a fixed length in front: the
//! duration, the tracks, and the cues (where to go on reading from a time). Behind it blocks are appended, each at once, in
//! clusters of about a second, which are begun with an unknown size. As a cluster ends its size, the duration and the cues are
//! written over. So a file that ends anywhere lacks a second of its cues, and the block that was cut off. Where the cues have no
//! more place every second one is left out, and half as many come from then on. **Rejected.** Cues at the end, as most write
//! them: a file that was not brought to its end would have none.
//!
//! What cannot be gone back in, a pipe, is given no cues and no duration; its tracks are those known when it begins.
//!
//! All blocks can be decoded alone. Times are counted in milliseconds from the file's beginning ([`Muxer::block`]).

mod ebml;

use crate::picture::Size;
use std::time::Duration;

/// What is kept in front for tracks: fifty of the longest names.
const TRACKS_LEN: usize = 8 << 10;

/// A name is cut to so many bytes.
const MOST_NAME: usize = 64;

/// Numbers of tracks that are one byte in a block.
const MOST_TRACKS: usize = 126;

/// For cues: of one sender each second of three quarters of an hour, or each minute of two days.
const CUES_LEN: usize = 64 << 10;

/// What is around cues: their own id and size, and a void behind them.
const AROUND: usize = 32;

/// A cluster is over when a picture comes after so long; or anything, after twice as long.
const CLUSTER: Duration = Duration::from_secs(1);

/// Blocks say their time as sixteen bits of milliseconds from their cluster's.
const FURTHEST: i64 = i16::MAX as i64;

/// Seconds from 1970, where Unix counts from, to 2001, where Matroska does.
const TO_2001: u64 = 978_307_200;

/// A track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Whose it is, for people.
    pub name: String,
    pub media: Media,
    /// Players are to take it where nobody chooses.
    pub default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// JPEGs; the size of the first.
    Jpegs(Size),
    /// s16le at 48 kHz.
    Pcm { channels: u8 },
}

/// What is to be done for a block, in this order.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Goes to the end, and what is in the block behind it.
    pub head: Vec<u8>,
    /// Once that is written, these are written over what is there at these places.
    pub over: Vec<(u64, Vec<u8>)>,
}

pub struct Muxer {
    can_go_back: bool,
    tracks: Vec<Track>,
    /// Bytes so far.
    end: u64,
    cluster: Option<Cluster>,
    /// Each as it is written.
    cues: Vec<Vec<u8>>,
    /// One cluster in so many is a cue, and how many there were since the last.
    one_in: (u32, u32),
    /// Where the last block begins, in milliseconds.
    last: u64,
    places: Places,
}

/// The cluster that is being written.
#[derive(Clone, Copy)]
struct Cluster {
    at: u64,
    time: u64,
    /// The tracks that have a picture in it, as bits.
    pictures: u128,
    /// The track it began with.
    first: usize,
}

/// Where in the file things are that are written over.
#[derive(Default)]
struct Places {
    segment: u64,
    duration: u64,
    tracks: u64,
    cues: u64,
}

impl Muxer {
    /// A file that begins at this time since 1970, and the bytes it begins with. `program` wrote it. Of these tracks it has as many
    /// as there is a place for, from the first on ([`Muxer::tracks`]); a file may be given more later.
    pub fn new(can_go_back: bool, began: Duration, program: &str, mut tracks: Vec<Track>) -> (Self, Vec<u8>) {
        while !fits(&tracks) {
            tracks.pop();
        }
        let mut muxer = Muxer {
            can_go_back,
            tracks,
            end: 0,
            cluster: None,
            cues: Vec::new(),
            one_in: (1, 0),
            last: 0,
            places: Places::default(),
        };
        let head = muxer.head(began, program);
        muxer.end = head.len() as u64;
        (muxer, head)
    }

    fn head(&mut self, began: Duration, program: &str) -> Vec<u8> {
        let mut out = Vec::new();
        ebml::master(&mut out, 0x1A45_DFA3, |out| {
            [(0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8)].into_iter().for_each(|(id, value)| ebml::uint(out, id, value));
            ebml::bytes(out, 0x4282, b"matroska");
            ebml::uint(out, 0x4287, 4);
            ebml::uint(out, 0x4285, 2);
        });
        ebml::id(&mut out, 0x1853_8067);
        out.extend_from_slice(&ebml::UNKNOWN);
        self.places.segment = out.len() as u64;
        let seek_head = if self.can_go_back { self.seek_head([0; 3]) } else { Vec::new() };
        let info = out.len() + seek_head.len();
        let mut about = Vec::new();
        ebml::master(&mut about, 0x1549_A966, |out| {
            ebml::uint(out, 0x2A_D7B1, 1_000_000);
            let since_2001 = began.saturating_sub(Duration::from_secs(TO_2001)).as_nanos();
            ebml::bytes(out, 0x4461, &(i64::try_from(since_2001).unwrap_or(i64::MAX)).to_be_bytes());
            ebml::bytes(out, 0x4D80, b"Eyeline");
            ebml::bytes(out, 0x5741, program.as_bytes());
            if self.can_go_back {
                // Last, so that its place is counted from the end. It may not be 0.
                ebml::float(out, 0x4489, 1.0);
            }
        });
        self.places.duration = (info + about.len() - 8) as u64;
        self.places.tracks = (info + about.len()) as u64;
        self.places.cues = self.places.tracks + TRACKS_LEN as u64;
        if self.can_go_back {
            let places = [info as u64, self.places.tracks, self.places.cues].map(|place| place - self.places.segment);
            out.extend(self.seek_head(places));
        }
        out.extend(about);
        if self.can_go_back {
            out.extend(in_place(&entries(&self.tracks), 0x1654_AE6B, TRACKS_LEN));
            out.resize(self.places.cues as usize, 0);
            ebml::void(&mut out, CUES_LEN);
            out.resize(self.places.cues as usize + CUES_LEN, 0);
        } else {
            ebml::bytes(&mut out, 0x1654_AE6B, &entries(&self.tracks));
        }
        out
    }

    /// Always of the same length.
    fn seek_head(&self, places: [u64; 3]) -> Vec<u8> {
        let mut out = Vec::new();
        ebml::master(&mut out, 0x114D_9B74, |out| {
            for (name, place) in [0x1549_A966_u32, 0x1654_AE6B, 0x1C53_BB6B].into_iter().zip(places) {
                ebml::master(out, 0x4DBB, |out| {
                    ebml::bytes(out, 0x53AB, &name.to_be_bytes());
                    ebml::wide_uint(out, 0x53AC, place);
                });
            }
        });
        out
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// How long it is by now: where its last block begins.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.last)
    }

    /// The tracks there are.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// One track more: its number, and what is written over for it. `None` where there is no place for it.
    pub fn add_track(&mut self, track: Track) -> Option<(usize, (u64, Vec<u8>))> {
        if !self.can_go_back {
            return None;
        }
        let index = self.tracks.len();
        self.tracks.push(track);
        if !fits(&self.tracks) {
            self.tracks.pop();
            return None;
        }
        Some((index, (self.places.tracks, in_place(&entries(&self.tracks), 0x1654_AE6B, TRACKS_LEN))))
    }

    /// A block of so many bytes, of this track, which begins at this time of the file. What cannot be said of times, more than 32
    /// seconds before another block of its cluster, is moved.
    ///
    /// It counts as written: where it is not, the file has come to its end, and [`Muxer::end`] is told so.
    pub fn block(&mut self, track: usize, at: Duration, len: usize) -> Step {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).min(i64::MAX as u64);
        let is_picture = matches!(self.tracks.get(track).map(|track| track.media), Some(Media::Jpegs(_)));
        let longest = CLUSTER * if is_picture { 1 } else { 2 };
        let is_over = |cluster: &Cluster| at.saturating_sub(cluster.time) >= longest.as_millis() as u64;
        let (mut head, mut over) = (Vec::new(), Vec::new());
        let track = track.min(MOST_TRACKS - 1);
        let mut cluster = match self.cluster.filter(|cluster| !is_over(cluster)) {
            Some(cluster) => cluster,
            None => {
                if let Some(before) = self.cluster {
                    over.extend(self.ended(before));
                }
                ebml::id(&mut head, 0x1F43_B675);
                head.extend_from_slice(&ebml::UNKNOWN);
                ebml::uint(&mut head, 0xE7, at);
                let cluster = Cluster { at: self.end, time: at, pictures: 0, first: track };
                if self.can_go_back && self.cues.is_empty() {
                    // Not every reader takes it that there are none where they are said to be.
                    over.push((self.places.cues, in_place(&self.cue_to(cluster), 0x1C53_BB6B, CUES_LEN)));
                }
                cluster
            }
        };
        cluster.pictures |= u128::from(is_picture) << track;
        self.cluster = Some(cluster);
        let relative = (at as i64 - cluster.time as i64).clamp(-FURTHEST, FURTHEST) as i16;
        ebml::id(&mut head, 0xA3);
        ebml::size(&mut head, len as u64 + 4);
        head.push(0x80 | (track as u8 + 1));
        head.extend_from_slice(&relative.to_be_bytes());
        // A key frame.
        head.push(0x80);
        self.end += (head.len() + len) as u64;
        self.last = self.last.max(at);
        Step { head, over }
    }

    /// The file is over, and has so many bytes: what is written over. `lasts`: how long its last block does.
    pub fn end(&mut self, len: u64, lasts: Duration) -> Vec<(u64, Vec<u8>)> {
        if !self.can_go_back {
            return Vec::new();
        }
        self.end = len;
        self.last += lasts.as_millis() as u64;
        let mut over = Vec::new();
        if let Some(cluster) = self.cluster.take().filter(|cluster| cluster.at + 12 < len) {
            over.extend(self.ended(cluster));
        }
        over.push((self.places.segment - 8, ebml::wide_size(len - self.places.segment).to_vec()));
        over
    }

    /// The size of a cluster that is over, how long the file is, and the cues, where there is one more.
    fn ended(&mut self, cluster: Cluster) -> Vec<(u64, Vec<u8>)> {
        if !self.can_go_back {
            return Vec::new();
        }
        let size = ebml::wide_size(self.end - cluster.at - 12).to_vec();
        let mut over = vec![(cluster.at + 4, size), (self.places.duration, (self.last as f64).max(1.0).to_be_bytes().to_vec())];
        if self.cue(cluster) {
            over.push((self.places.cues, in_place(&self.cues.concat(), 0x1C53_BB6B, CUES_LEN)));
        }
        over
    }

    /// Adds where the pictures of each track go on, where it is this cluster's turn.
    fn cue(&mut self, cluster: Cluster) -> bool {
        let (one_in, since) = &mut self.one_in;
        *since += 1;
        if *since < *one_in && !self.cues.is_empty() {
            return false;
        }
        *since = 0;
        let cue = self.cue_to(cluster);
        self.cues.push(cue);
        while self.cues.iter().map(Vec::len).sum::<usize>() > CUES_LEN - AROUND {
            let mut index = 0;
            self.cues.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.one_in.0 = self.one_in.0.saturating_mul(2);
        }
        true
    }

    /// A cue, as it is written.
    fn cue_to(&self, cluster: Cluster) -> Vec<u8> {
        let of_pictures = (0..MOST_TRACKS).filter(|track| cluster.pictures >> track & 1 == 1);
        let alone = (cluster.pictures == 0).then_some(cluster.first);
        let mut cue = Vec::new();
        ebml::master(&mut cue, 0xBB, |out| {
            ebml::uint(out, 0xB3, cluster.time);
            for track in of_pictures.chain(alone) {
                ebml::master(out, 0xB7, |out| {
                    ebml::uint(out, 0xF7, track as u64 + 1);
                    ebml::uint(out, 0xF1, cluster.at - self.places.segment);
                });
            }
        });
        cue
    }
}

/// Whether there is a place for these, in front of a file as in a pipe.
fn fits(tracks: &[Track]) -> bool {
    tracks.len() <= MOST_TRACKS && entries(tracks).len() <= TRACKS_LEN - AROUND
}

/// An element of this content, and a void behind it that fills its place; of that the head.
fn in_place(content: &[u8], name: u32, place: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 24);
    ebml::id(&mut out, name);
    out.extend_from_slice(&ebml::wide_size(content.len() as u64));
    out.extend_from_slice(content);
    let left = place - out.len();
    ebml::void(&mut out, left);
    out
}

/// What is said of tracks.
fn entries(tracks: &[Track]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, Track { name, media, default }) in (1..).zip(tracks) {
        ebml::master(&mut out, 0xAE, |out| {
            ebml::uint(out, 0xD7, number);
            ebml::uint(out, 0x73C5, number);
            ebml::uint(out, 0x88, u64::from(*default));
            ebml::uint(out, 0x9C, 0);
            ebml::bytes(out, 0x22_B59C, b"und");
            if !name.is_empty() {
                let cut = (0..=MOST_NAME.min(name.len())).rev().find(|cut| name.is_char_boundary(*cut)).unwrap_or(0);
                ebml::bytes(out, 0x536E, &name.as_bytes()[..cut]);
            }
            match media {
                Media::Jpegs(size) => {
                    ebml::uint(out, 0x83, 1);
                    ebml::bytes(out, 0x86, b"V_MJPEG");
                    ebml::master(out, 0xE0, |out| {
                        ebml::uint(out, 0xB0, u64::from(size.width));
                        ebml::uint(out, 0xBA, u64::from(size.height));
                        // Full range, BT.601, as JPEGs are (JFIF).
                        ebml::master(out, 0x55B0, |out| {
                            ebml::uint(out, 0x55B1, 5);
                            ebml::uint(out, 0x55B9, 2);
                        });
                    });
                }
                Media::Pcm { channels } => {
                    ebml::uint(out, 0x83, 2);
                    ebml::bytes(out, 0x86, b"A_PCM/INT/LIT");
                    ebml::master(out, 0xE1, |out| {
                        ebml::float(out, 0xB5, f64::from(crate::sound::RATE));
                        ebml::uint(out, 0x9F, u64::from(*channels));
                        ebml::uint(out, 0x6264, 16);
                    });
                }
            }
        });
    }
    out
}

#[cfg(test)]
#[path = "matroska_tests.rs"]
mod tests;
