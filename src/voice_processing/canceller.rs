//! The echo canceller: AEC3 of WebRTC, in Rust (`sonora-aec3`), driven block by block.
//!
//! **Why not through `sonora`.** Its one door to AEC3 lets nothing be set, and AEC3 as it is set mutes whoever interrupts: a band
//! that was muted for an echo opens from -100 dB, twice as far every 4 ms, so that half a syllable is over before it is heard.
//! Opened from [`FIRST`] it is heard 13 ms sooner. Measured with an echo half as loud as the voice near by: the worst tenth of
//! its pieces of 20 ms loses 19 dB instead of 26, with headphones 8 instead of 14; the echo while only others speak is louder by
//! 0 to 0.7 dB.
//! **Rejected.** Opening from -60 dB: 11 and 4 dB, but the echo of a speaker that distorts is louder by 1 to 4. Softer masks
//! while somebody speaks near by (`nearend_tuning`): the echo is heard in his pauses. Faster growth (`max_inc_factor`): both.

use sonora_aec3::block::Block;
use sonora_aec3::block_framer::BlockFramer;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::SUB_FRAME_LENGTH;
use sonora_aec3::config::EchoCanceller3Config;
use sonora_aec3::frame_blocker::FrameBlocker;

use super::bands::{BANDS, Bands, FULL, Split};
use super::shape::Channel;
use eyeline_proto::sound::RATE;

/// The least a muted band opens to: -80 dB.
const FIRST: f32 = 1e-4;
/// Added to what is played: a tone 200 dB below full scale, of half a period in so many samples (500 Hz). Where nothing is played,
/// AEC3's filters ring on until all it compares is denormal, and a block takes ten times as long. WebRTC has the processor flush
/// such numbers; from safe Rust that cannot be asked for. It is far below what AEC3 takes for sound, and within what it compares.
const HUM: f32 = 1e-10;
const HALF_PERIOD: usize = 48;
/// From this on a microphone is overdriven, and what it hears says nothing of the room.
const OVERDRIVEN: f32 = 32_700.0 / FULL;

/// What the canceller says of the echo.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Echo {
    /// By how much it comes out quieter than it went in, dB. It learns this slowly, and says far less than there is.
    pub enhancement: f64,
    /// From the reference to its echo.
    pub delay_ms: i32,
}

/// See the module text.
pub(super) struct Canceller {
    processor: BlockProcessor,
    bands: Bands,
    played: Blocks,
    heard: Blocks,
    clean: BlockFramer,
    overdriven: bool,
}

/// Cuts half blocks of sound into AEC3's own blocks, of 64 samples a band.
struct Blocks {
    blocker: FrameBlocker,
    block: Block,
}

impl Canceller {
    /// Of a microphone with so many channels.
    pub fn new(channels: usize) -> Self {
        let mut config = EchoCanceller3Config::default();
        config.suppressor.floor_first_increase = FIRST;
        Canceller {
            processor: BlockProcessor::new(&config, RATE as usize, 1, channels),
            bands: Bands::new(),
            played: Blocks::new(1),
            heard: Blocks::new(channels),
            clean: BlockFramer::new(BANDS, channels),
            overdriven: false,
        }
    }

    /// What is played, always before what is heard of it.
    pub fn play(&mut self, reference: &Channel) {
        let hum = |n: usize| if (n / HALF_PERIOD).is_multiple_of(2) { HUM } else { -HUM };
        let split = [self.bands.split(&std::array::from_fn(|n| reference[n] + hum(n)))];
        for half in 0..2 {
            self.played.push(&split, half);
            self.processor.buffer_render(&self.played.block);
        }
        if self.played.pop() {
            self.processor.buffer_render(&self.played.block);
        }
    }

    /// What the microphone hears, before it is split.
    pub fn listen(&mut self, heard: &[Channel]) {
        self.overdriven = heard.iter().flatten().any(|sample| sample.abs() >= OVERDRIVEN);
    }

    /// Takes the echo out of what is heard, each channel's bands. It comes out 8 ms later.
    pub fn process(&mut self, heard: &mut [Split]) {
        let mut clean = vec![vec![vec![0.0; SUB_FRAME_LENGTH]; heard.len()]; BANDS];
        for half in 0..2 {
            self.heard.push(heard, half);
            self.processor.process_capture(false, self.overdriven, None, &mut self.heard.block);
            self.clean.insert_block_and_extract_sub_frame(&self.heard.block, &mut clean);
            for (band, channels) in clean.iter().enumerate() {
                for (channel, samples) in channels.iter().enumerate() {
                    heard[channel][band][half * SUB_FRAME_LENGTH..][..SUB_FRAME_LENGTH].copy_from_slice(samples);
                }
            }
        }
        if self.heard.pop() {
            self.processor.process_capture(false, self.overdriven, None, &mut self.heard.block);
            self.clean.insert_block(&self.heard.block);
        }
    }

    /// What it says of the echo just now.
    pub fn echo(&self) -> Echo {
        let metrics = self.processor.get_metrics();
        Echo { enhancement: metrics.echo_return_loss_enhancement, delay_ms: metrics.delay_ms }
    }
}

impl Blocks {
    fn new(channels: usize) -> Self {
        Blocks { blocker: FrameBlocker::new(BANDS, channels), block: Block::new(BANDS, channels) }
    }

    /// Takes the first or second half of what was split; the next block is there.
    fn push(&mut self, split: &[Split], half: usize) {
        let part = half * SUB_FRAME_LENGTH..(half + 1) * SUB_FRAME_LENGTH;
        let of = |band: usize| split.iter().map(|channel| &channel[band][part.clone()]).collect();
        let view: Vec<Vec<&[f32]>> = (0..BANDS).map(of).collect();
        self.blocker.insert_sub_frame_and_extract_block(&view, &mut self.block);
    }

    /// Whether one more is: of five, one is left over.
    fn pop(&mut self) -> bool {
        let more = self.blocker.is_block_available();
        if more {
            self.blocker.extract_block(&mut self.block);
        }
        more
    }
}
