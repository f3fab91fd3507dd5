//! L16 → blocks of 10 ms, whatever the lengths of the packets.
//!
//! **Problem.** Without a session description nobody says how many channels there are. **Choice.** They follow from two packets, one
//! behind the other: so many bytes went by in so many ticks of the timestamp, each of which is a frame. What fits neither one channel
//! nor two is no L16.
//!
//! A short hole is filled with silence, and what comes late is dropped; behind a long hole it begins anew. What is kept is less
//! than a block.

use super::packet::Header;
use crate::sound::BLOCK_FRAMES;

/// Holes of at most so many frames are filled, a tenth of a second: a block is whole, and no listener's clock is torn.
const FILLED: u32 = 4800;

/// A packet this far behind is late; one that is further is of a sender that began anew (RFC 3550 A.1: MAX_MISORDER).
const LATE: u16 = 100;

/// Packets in a row that do not fit: it is no L16.
const UNFIT: u32 = 50;

/// Packets in a row that fit another number of channels: it is another now.
const CHANGED: u32 = 3;

#[derive(Debug, Default)]
pub struct Joiner {
    /// The newest packet: its number, its timestamp, and its length.
    newest: Option<(u16, u32, usize)>,
    channels: Option<u8>,
    /// What the last packets fit that did not fit `channels`, and how many those were.
    others: (Option<u8>, u32),
    /// The timestamp of the first of these samples, or of the next one; `None` where it begins anew.
    at: Option<u32>,
    samples: Vec<i16>,
}

/// Whether what comes is L16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Yes,
    /// It is not, and that has just turned out.
    No,
}

impl Joiner {
    /// Takes a packet; gives each whole block: the timestamp of its first frame, its channels and its samples.
    pub fn push(&mut self, header: &Header, payload: &[u8], mut give: impl FnMut(u32, u8, &[i16])) -> Fit {
        let Header { sequence, timestamp, .. } = *header;
        let before = self.newest;
        if before.is_some_and(|(newest, ..)| newest.wrapping_sub(sequence) < LATE) {
            return Fit::Yes;
        }
        self.newest = Some((sequence, timestamp, payload.len()));
        let mut fit = Fit::Yes;
        if let Some((newest, then, len)) = before
            && sequence == newest.wrapping_add(1)
        {
            fit = self.judge(len, timestamp.wrapping_sub(then));
        }
        let Some(channels) = self.channels else { return fit };
        let mut at = self.place(timestamp, channels);
        self.samples.extend(payload.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])));
        // A frame that is cut off would turn the channels round.
        self.samples.truncate(self.samples.len() / usize::from(channels) * usize::from(channels));
        let len = BLOCK_FRAMES * usize::from(channels);
        let whole = self.samples.len() / len * len;
        for block in self.samples[..whole].chunks_exact(len) {
            give(at, channels, block);
            at = at.wrapping_add(BLOCK_FRAMES as u32);
        }
        self.samples.drain(..whole);
        self.at = Some(at);
        fit
    }

    /// A packet of so many bytes lasted so many ticks.
    fn judge(&mut self, len: usize, ticks: u32) -> Fit {
        let fits = |channels: u8| len > 0 && len as u64 == 2 * u64::from(channels) * u64::from(ticks);
        let fitting = [1, 2].into_iter().find(|channels| fits(*channels));
        if fitting.is_some() && fitting == self.channels {
            self.others = (None, 0);
            return Fit::Yes;
        }
        let in_a_row = if self.others.0 == fitting { self.others.1 + 1 } else { 1 };
        self.others = (fitting, in_a_row);
        match fitting {
            Some(_) if self.channels.is_none() || in_a_row >= CHANGED => {
                self.channels = fitting;
                self.at = None;
                self.others = (None, 0);
                Fit::Yes
            }
            None if in_a_row == UNFIT => {
                self.channels = None;
                Fit::No
            }
            _ => Fit::Yes,
        }
    }

    /// Makes way for samples of this timestamp; gives that of the first sample there is.
    fn place(&mut self, timestamp: u32, channels: u8) -> u32 {
        let channels = usize::from(channels);
        if let Some(at) = self.at {
            let missing = timestamp.wrapping_sub(at.wrapping_add((self.samples.len() / channels) as u32));
            if missing <= FILLED {
                self.samples.resize(self.samples.len() + missing as usize * channels, 0);
                return at;
            }
        }
        self.samples.clear();
        timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Beginning, Stream};
    use super::super::pcm::{PAYLOAD_TYPE, Pcm};
    use super::*;
    use crate::sound::{Block, RATE};
    use proptest::prelude::*;
    use std::time::Duration;

    type Packets = Vec<(Header, Vec<u8>)>;

    /// Packets of `frames` frames each, of a sawtooth.
    fn packets(channels: usize, frames: usize, count: usize) -> Packets {
        let one = |number: usize| {
            let samples = (number * frames * channels..(number + 1) * frames * channels).map(|at| at as i16);
            let (sequence, timestamp) = ((number as u16).wrapping_sub(5), (number * frames) as u32);
            let header = Header { marker: false, payload_type: 97, sequence, timestamp, ssrc: 1 };
            (header, samples.flat_map(i16::to_be_bytes).collect())
        };
        (0..count).map(one).collect()
    }

    fn joined(packets: &Packets) -> Vec<(u32, u8, Vec<i16>)> {
        let (mut joiner, mut blocks) = (Joiner::default(), Vec::new());
        for (header, payload) in packets {
            joiner.push(header, payload, |at, channels, samples| blocks.push((at, channels, samples.to_vec())));
        }
        blocks
    }

    #[test]
    fn blocks_are_whole_whatever_the_packets_and_the_channels_follow_from_their_times() {
        for (channels, frames) in [(1, 480), (2, 240), (1, 360), (2, 360), (2, 1), (1, 3000)] {
            let blocks = joined(&packets(channels, frames, (7000 / frames).max(4)));
            assert!(blocks.len() >= 8, "{channels} {frames}");
            for (number, (at, of, samples)) in blocks.iter().enumerate() {
                // The first packet had no other behind it.
                let begin = frames + 480 * number;
                let expected: Vec<i16> = (begin * channels..(begin + 480) * channels).map(|at| at as i16).collect();
                assert_eq!((*at, usize::from(*of), samples), (begin as u32, channels, &expected));
            }
        }
    }

    #[test]
    fn ours_comes_back() {
        for channels in [1, 2] {
            let beginning = Beginning { ssrc: 1, sequence: u16::MAX, timestamp: u32::MAX - 1000 };
            let (mut pcm, mut sent) = (Pcm::new(Stream::new(PAYLOAD_TYPE, RATE, beginning), channels), Vec::new());
            let block =
                |number: u64| (0..480 * i64::from(channels)).map(|at| (at * 7 + number as i64 * 31) as i16).collect::<Vec<_>>();
            for number in 0..5 {
                let block = Block { capture: Duration::from_millis(10 * number), channels, samples: block(number).into() };
                pcm.push(&block, |packet| {
                    let (header, payload) = Header::decode(packet).unwrap();
                    sent.push((header, payload.to_vec()));
                });
            }
            let came: Vec<i16> = joined(&sent).into_iter().flat_map(|(_, _, samples)| samples).collect();
            let all: Vec<i16> = (0..5).flat_map(block).collect();
            let first = sent[0].1.len() / 2;
            assert!(came.len() >= 3 * 480 * usize::from(channels) && came[..] == all[first..first + came.len()]);
        }
    }

    #[test]
    fn a_short_hole_is_silence_a_long_one_a_new_beginning_and_late_ones_are_dropped() {
        let mut some = packets(1, 480, 30);
        let lost = some.remove(10);
        some.insert(12, lost);
        let blocks = joined(&some);
        assert_eq!(blocks.len(), 28 + 1);
        assert!(blocks[9].2.iter().all(|sample| *sample == 0) && blocks[10].2[0] == (11 * 480) as i16);
        let mut some = packets(1, 360, 60);
        some.drain(10..30);
        let blocks = joined(&some);
        let at: Vec<u32> = blocks.iter().map(|(at, ..)| *at).collect();
        assert!(at.contains(&(30 * 360)) && at.iter().all(|at| *at < 10 * 360 || *at >= 30 * 360), "{at:?}");
    }

    #[test]
    fn what_is_no_l16_is_told_once_and_another_number_of_channels_is_followed() {
        let mut joiner = Joiner::default();
        let opus = |number: u16| Header {
            marker: false,
            payload_type: 97,
            sequence: number,
            timestamp: 960 * u32::from(number),
            ssrc: 1,
        };
        let told = (0..500).filter(|number| joiner.push(&opus(*number), &[0; 161], |_, _, _| panic!("no sound")) == Fit::No);
        assert_eq!(told.count(), 1);
        let mut both = packets(1, 480, 10);
        let count = both.len() as u16;
        both.extend(packets(2, 240, 20).into_iter().map(|(header, payload)| {
            let (sequence, timestamp) = (header.sequence.wrapping_add(count), header.timestamp + 4800);
            (Header { sequence, timestamp, ..header }, payload)
        }));
        let blocks = joined(&both);
        assert_eq!((blocks[0].1, blocks.last().map(|block| block.1)), (1, Some(2)));
    }

    proptest! {
        #[test]
        fn any_packets_are_survived_and_little_is_kept(some in prop::collection::vec((any::<u16>(), any::<u32>(), 0_usize..3000), 0..60)) {
            let mut joiner = Joiner::default();
            for (sequence, timestamp, len) in some {
                let header = Header { marker: false, payload_type: 97, sequence: sequence % 7, timestamp: timestamp % 3000, ssrc: 1 };
                joiner.push(&header, &vec![1; len], |_, channels, samples| {
                    assert_eq!(samples.len(), BLOCK_FRAMES * usize::from(channels));
                });
                prop_assert!(joiner.samples.len() < 2 * BLOCK_FRAMES);
            }
        }
    }
}
