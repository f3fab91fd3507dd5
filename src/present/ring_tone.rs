//! The tone that says that somebody calls: a voice of the mixer, twice a short ring and then a pause, as telephones do it.

use super::mixer::Feed;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::sound::{BLOCK_FRAMES, Block, Numbered, RATE};
use eyeline_proto::time::MediaTime;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

/// Of one block.
const EACH: Duration = Duration::from_millis(10);

/// In blocks: a ring, a gap, a ring, and until the next two.
const RING: u64 = 40;
const GAP: u64 = 20;
const PERIOD: u64 = 300;

/// The two tones of it (BS 6305, the ringing of British telephones), and how loud each is: -18 dBFS, below a voice.
const TONES: [f64; 2] = [400.0, 450.0];
const LOUD: f64 = 0.125;

/// Blocks over which a ring comes and goes: no click.
const RAMP: f64 = 1.0;

/// More than this was missed, by a machine that stood still: it is left out.
const MOST_LATE: u64 = 10;

/// Rings until it is dropped.
pub struct RingTone {
    feed: Feed,
    began: Instant,
    /// The next block.
    next: u64,
}

impl RingTone {
    /// Begins now, on a voice that nobody else has.
    pub fn new(mut feed: Feed, now: Instant) -> RingTone {
        feed.mapping(Mapping::assumed(now, MediaTime::ZERO));
        RingTone { feed, began: now, next: 0 }
    }

    /// Gives the speaker what is due by now.
    pub fn turn(&mut self, now: Instant) {
        let due = (now.saturating_duration_since(self.began).as_nanos() / EACH.as_nanos()) as u64;
        self.next = self.next.max(due.saturating_sub(MOST_LATE));
        while self.next < due {
            let capture = MediaTime::from_nanos(self.next * EACH.as_nanos() as u64);
            let block = Block { capture, channels: 1, samples: samples(self.next).into() };
            self.feed.block(now, &Numbered { number: self.next, block });
            self.next += 1;
        }
    }
}

/// The samples of a block: every ring begins with both tones at zero.
fn samples(number: u64) -> Vec<i16> {
    let place = number % PERIOD;
    let ring = match place {
        place if place < RING => place,
        place if (RING + GAP..2 * RING + GAP).contains(&place) => place - RING - GAP,
        _ => return vec![0; BLOCK_FRAMES],
    };
    let sample = |frame: usize| {
        let at = ring as f64 + frame as f64 / BLOCK_FRAMES as f64;
        let envelope = (at / RAMP).min((RING as f64 - at) / RAMP).clamp(0.0, 1.0);
        let seconds = at * BLOCK_FRAMES as f64 / f64::from(RATE);
        let both: f64 = TONES.iter().map(|tone| (TAU * tone * seconds).sin()).sum();
        (both * envelope * LOUD * f64::from(i16::MAX)) as i16
    };
    (0..BLOCK_FRAMES).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_twice_and_pauses_without_a_click_and_again() {
        let all: Vec<i16> = (0..2 * PERIOD).flat_map(samples).collect();
        let loud = |block: u64| samples(block).iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        let sounds: Vec<u64> = (0..PERIOD).filter(|block| loud(*block) > 1000).collect();
        let ranges = (0..RING).chain(RING + GAP..2 * RING + GAP);
        assert_eq!(sounds, ranges.collect::<Vec<_>>());
        // The steepest that two such tones are.
        let steepest = TONES.iter().map(|tone| TAU * tone / f64::from(RATE)).sum::<f64>() * LOUD * f64::from(i16::MAX);
        assert!(all.windows(2).all(|two| f64::from(two[1].abs_diff(two[0])) <= steepest + 2.0));
        assert_eq!(all[..all.len() / 2], all[all.len() / 2..]);
    }
}
