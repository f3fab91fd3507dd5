//! Sound as L16 (RFC 3551 §4.5.11): samples of 16 bits, the higher byte first.
//!
//! **Problem.** A timestamp counts samples, as the crystal of a sound card does; a block also says when it was caught, by a clock
//! of ours, and with some jitter. Players take a jump of the timestamp for a hole. **Choice.** Timestamps go on by as many samples as
//! there are, so that no player hears jitter or drift; what the sender reports say of them ([`Stream::sent`]) follows the crystal,
//! slowly. Only where half a block or more is missing they jump, by as much as is missing.

use super::packet::{HEADER_LEN, Stream};
use crate::sound::{BLOCK_FRAMES, Block, RATE};
use std::time::Duration;

/// The type of its packets: the first of those that a session description gives a meaning.
pub const PAYLOAD_TYPE: u8 = 97;

/// A packet has so many bytes of samples at most: those of 10 ms of one channel, or of 5 ms of two. 10 ms of both are more than an
/// Ethernet frame holds.
const LONGEST: usize = 2 * BLOCK_FRAMES;

/// How long a packet of so many channels lasts, in milliseconds.
pub fn millis(channels: u8) -> usize {
    LONGEST / 2 / usize::from(channels.max(1)) * 1000 / RATE as usize
}

/// What is more is no jitter: half a block, in nanoseconds.
const MISSING: i64 = 1_000_000_000 / RATE as i64 * BLOCK_FRAMES as i64 / 2;

/// The moment follows the crystal by this part of what it is off, each block: within a second.
const FOLLOW: i64 = 64;

/// Makes packets of blocks.
#[derive(Debug)]
pub struct Pcm {
    stream: Stream,
    channels: u8,
    /// The timestamp of the next sample, and the moment at which it is caught.
    next: Option<(u32, Duration)>,
}

impl Pcm {
    /// Of a stream at 48 kHz, with 1 or 2 channels, whatever those of the blocks are.
    pub fn new(stream: Stream, channels: u8) -> Self {
        Pcm { stream, channels: channels.clamp(1, 2), next: None }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Gives `send` each packet of a block. One that is impossible is left out.
    pub fn push(&mut self, block: &Block<Duration>, mut send: impl FnMut(&[u8])) {
        if !block.is_possible() || block.samples.is_empty() {
            return;
        }
        let (mut timestamp, at) = self.place(block.capture);
        self.stream.set_timestamp(at, timestamp);
        let mut packet = Vec::with_capacity(HEADER_LEN + LONGEST);
        let width = usize::from(self.channels);
        let frames: Vec<&[i16]> = block.samples.chunks_exact(usize::from(block.channels)).collect();
        for some in frames.chunks(LONGEST / 2 / width) {
            let header = self.stream.header(timestamp, false, 2 * width * some.len());
            packet.clear();
            packet.extend_from_slice(&header.encode());
            for frame in some {
                write(frame, self.channels, &mut packet);
            }
            send(&packet);
            timestamp = timestamp.wrapping_add(some.len() as u32);
        }
        self.next = Some((timestamp, at + samples(frames.len() as u64)));
    }

    /// The timestamp of a block that was caught at this moment, and the moment that counts.
    fn place(&self, caught: Duration) -> (u32, Duration) {
        let Some((timestamp, due)) = self.next else { return (self.stream.timestamp(caught), caught) };
        let off = caught.as_nanos() as i64 - due.as_nanos() as i64;
        if off > MISSING {
            let missing = (off * i64::from(RATE) + 500_000_000) / 1_000_000_000;
            (timestamp.wrapping_add(missing as u32), caught)
        } else if off < -MISSING {
            (timestamp, caught)
        } else {
            let followed = due.as_nanos() as i64 + off / FOLLOW;
            (timestamp, Duration::from_nanos(followed.max(0) as u64))
        }
    }
}

/// How long so many samples last.
fn samples(count: u64) -> Duration {
    Duration::from_nanos(count * 1_000_000_000 / u64::from(RATE))
}

/// One frame with so many channels.
fn write(frame: &[i16], channels: u8, out: &mut Vec<u8>) {
    match (frame, channels) {
        ([left, right], 1) => {
            let middle = (i32::from(*left) + i32::from(*right)) / 2;
            out.extend_from_slice(&(middle as i16).to_be_bytes());
        }
        ([one], 2) => out.extend([one, one].iter().flat_map(|sample| sample.to_be_bytes())),
        _ => out.extend(frame.iter().flat_map(|sample| sample.to_be_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Beginning, Header};
    use super::*;

    fn pcm(channels: u8) -> Pcm {
        Pcm::new(Stream::new(PAYLOAD_TYPE, RATE, Beginning { ssrc: 1, sequence: 0, timestamp: 1000 }), channels)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Timestamp and samples' bytes of each packet.
    fn packets(pcm: &mut Pcm, at: Duration, channels: u8, samples: &[i16]) -> Vec<(u32, Vec<u8>)> {
        let mut sent = Vec::new();
        pcm.push(&Block { capture: at, channels, samples: samples.into() }, |packet| {
            let (header, payload) = Header::decode(packet).unwrap();
            assert!(!header.marker && header.payload_type == PAYLOAD_TYPE);
            sent.push((header.timestamp, payload.to_vec()));
        });
        sent
    }

    #[test]
    fn a_block_of_one_channel_is_a_packet_with_the_higher_bytes_first() {
        let mut block = [0; BLOCK_FRAMES];
        (block[0], block[479]) = (0x0102, -2);
        let sent = packets(&mut pcm(1), ms(0), 1, &block);
        let (timestamp, payload) = &sent[0];
        assert_eq!(
            (sent.len(), *timestamp, payload.len(), &payload[..2], &payload[958..]),
            (1, 1000, 960, &[1, 2][..], &[255, 254][..])
        );
    }

    #[test]
    fn one_of_two_channels_is_two_packets_each_of_whole_frames() {
        let block: Vec<i16> = (0..2 * BLOCK_FRAMES as i16).collect();
        let sent = packets(&mut pcm(2), ms(0), 2, &block);
        let shape: Vec<_> = sent.iter().map(|(timestamp, payload)| (*timestamp, payload.len())).collect();
        assert_eq!(shape, [(1000, 960), (1240, 960)]);
        assert_eq!(sent[1].1[..4], [1, 0xE0, 1, 0xE1]);
    }

    #[test]
    fn channels_are_made_what_was_announced() {
        assert_eq!(packets(&mut pcm(2), ms(0), 1, &[0x0102])[0].1, [1, 2, 1, 2]);
        assert_eq!(packets(&mut pcm(1), ms(0), 2, &[i16::MAX, i16::MAX, -3, 1])[0].1, [0x7F, 0xFF, 0xFF, 0xFF]);
        assert!(packets(&mut pcm(1), ms(0), 3, &[1, 2, 3]).is_empty());
    }

    #[test]
    fn timestamps_count_samples_through_jitter_and_drift_and_jump_only_where_sound_is_missing() {
        let mut pcm = pcm(1);
        let mut expected = 1000;
        // A crystal that is 200 ppm slow, and jitter of 4 ms.
        for block in 0..6000_u64 {
            let at = Duration::from_nanos(block * 10_002_000) + ms(4 * (block % 2));
            assert_eq!(packets(&mut pcm, at, 1, &[0; BLOCK_FRAMES])[0].0, expected, "block {block}");
            expected += 480;
        }
        // A report follows the crystal: after a minute it is 12 ms off.
        let caught = Duration::from_nanos(5999 * 10_002_000);
        let off = expected - 480 - pcm.stream.timestamp(caught);
        assert!(off < 200, "{off} samples off");
        let sent = packets(&mut pcm, Duration::from_nanos(6005 * 10_002_000), 1, &[0; BLOCK_FRAMES]);
        let jumped = sent[0].0 - expected;
        assert!((2200..2600).contains(&jumped), "five blocks are missing: {jumped}");
        let again = packets(&mut pcm, ms(3), 1, &[0; BLOCK_FRAMES])[0].0;
        assert_eq!(again, sent[0].0 + 480, "never back, whatever the clock does");
    }
}
