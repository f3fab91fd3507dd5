//! Makes sound as late as what a decoder will make of its packets, once and for good, without a jump.
//!
//! **Problem.** Until somebody wants packets sound is given out as it comes, for 2.5 ms is 2.5 ms. When somebody does, it must
//! come [`LOOKAHEAD`] frames later in both forms, and those who hear samples must not hear how that comes about.
//!
//! **Choice.** For half a second the samples are stretched by half a percent, what playout's resampler may do at any time, too
//! (`media/playout.rs`): each block has 480 frames made of a little less, and its true capture time. The curve between samples is
//! a cubic (Catmull–Rom): off by less than 1/500 of what is below 4 kHz. A source that begins while packets are wanted is late
//! from its first block on.
//!
//! **Rejected.** Packets made of the block that follows: a block late each. Leaving the 2.5 ms out at a change: a click, either
//! way. Late always: everybody would pay for who is on a narrow path.

use super::LOOKAHEAD;
use eyeline_proto::sound::{BLOCK_FRAMES, Block, RATE};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks in which it comes about: 200 frames become 201.
const BLOCKS: usize = 50;

/// Frames given out for so many taken in less one.
const STRETCH: usize = BLOCKS * BLOCK_FRAMES / LOOKAHEAD;

/// Between two blocks there may be so much more or less than 10 ms, and they still belong together; else what was before is not
/// heard.
const JOINS: Duration = Duration::from_millis(5);

/// See the module text.
#[derive(Default)]
pub struct Delay {
    /// Blocks given out since it began, up to [`BLOCKS`]; `None` before.
    since: Option<usize>,
    before: Option<Block<Instant>>,
}

/// What is given out for a block.
pub struct Delayed {
    pub block: Block<Instant>,
    /// It is as late as it will be.
    pub is_late: bool,
    /// It follows the one before.
    pub joins: bool,
}

impl Delay {
    /// A block was caught; it begins if it is `wanted`.
    pub fn push(&mut self, block: Block<Instant>, wanted: bool) -> Delayed {
        if wanted && self.since.is_none() {
            self.since = Some(if self.before.is_some() { 0 } else { BLOCKS });
        }
        let joins = |before: &Block<Instant>| {
            let off = block.capture.checked_duration_since(before.capture).map(|since| since.abs_diff(lasts(BLOCK_FRAMES)));
            before.channels == block.channels && before.frames() == BLOCK_FRAMES && off.is_some_and(|off| off < JOINS)
        };
        let before = self.before.replace(block.clone()).filter(joins);
        let (block, is_late) = match &mut self.since {
            None => (block, false),
            // A source's last block, after which nothing comes.
            Some(_) if block.frames() != BLOCK_FRAMES => (block, false),
            Some(since) if *since < BLOCKS => {
                let late = stretched(&block, before.as_ref(), *since);
                *since += 1;
                (late, false)
            }
            Some(_) => (later(&block, before.as_ref()), true),
        };
        Delayed { block, is_late, joins: before.is_some() }
    }
}

/// How long so many frames are.
fn lasts(frames: usize) -> Duration {
    Duration::from_nanos(frames as u64 * 1_000_000_000 / u64::from(RATE))
}

/// A sample of a block, or of the one before it, which is silence where there was none.
fn sample(block: &Block<Instant>, before: Option<&Block<Instant>>, frame: isize, channel: usize) -> f32 {
    let of = |block: &Block<Instant>, frame: isize| {
        let at = usize::try_from(frame).ok().map(|frame| frame * usize::from(block.channels) + channel);
        at.and_then(|at| block.samples.get(at)).map_or(0.0, |sample| f32::from(*sample))
    };
    if frame >= 0 { of(block, frame) } else { before.map_or(0.0, |before| of(before, frame + BLOCK_FRAMES as isize)) }
}

/// Block `since` of those that are stretched.
fn stretched(block: &Block<Instant>, before: Option<&Block<Instant>>, since: usize) -> Block<Instant> {
    let behind = since * BLOCK_FRAMES;
    let samples: Arc<[i16]> = (0..BLOCK_FRAMES)
        .flat_map(|frame| (0..usize::from(block.channels)).map(move |channel| (frame, channel)))
        .map(|(frame, channel)| {
            // In parts of a frame, from the first frame of this block on.
            let at = (frame * STRETCH) as isize - (behind + frame) as isize;
            let (whole, part) = (at.div_euclid(STRETCH as isize), at.rem_euclid(STRETCH as isize) as f32 / STRETCH as f32);
            let [a, b, c, d] = [-1, 0, 1, 2].map(|next| sample(block, before, whole + next, channel));
            let curve = b + 0.5 * part * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)));
            curve.round() as i16
        })
        .collect();
    let late = lasts(behind) / STRETCH as u32;
    Block { capture: earlier(block.capture, late), channels: block.channels, samples }
}

/// The end of the block before, and all of this one but as much.
fn later(block: &Block<Instant>, before: Option<&Block<Instant>>) -> Block<Instant> {
    let len = LOOKAHEAD * usize::from(block.channels);
    let silence = vec![0; len];
    let end = before.map_or(&silence[..], |before| &before.samples[before.samples.len() - len..]);
    let samples = end.iter().chain(&block.samples[..block.samples.len() - len]).copied().collect();
    Block { capture: earlier(block.capture, lasts(LOOKAHEAD)), channels: block.channels, samples }
}

fn earlier(at: Instant, by: Duration) -> Instant {
    at.checked_sub(by).unwrap_or(at)
}
