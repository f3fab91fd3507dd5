//! What is done with a voice, and the shape in which `sonora` takes it.

use sonora::StreamConfig;
use sonora::config::{MaxProcessingRate, Pipeline};

use eyeline_proto::sound::{BLOCK_FRAMES, RATE};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What the speaker plays is taken out of what the microphone hears.
    pub echo: bool,
    /// What goes on evenly, a fan, is made quieter.
    pub noise: bool,
    /// Who is too low is raised.
    pub gain: bool,
}

/// One channel, one block.
pub(super) type Channel = [f32; BLOCK_FRAMES];

pub(super) fn stream(channels: usize) -> StreamConfig {
    StreamConfig::new(RATE, channels as u16)
}

/// `sonora` would by itself leave nothing above 16 kHz.
pub(super) fn pipeline() -> Pipeline {
    Pipeline { maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz, ..Pipeline::default() }
}
