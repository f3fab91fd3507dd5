//! Media timing and repair: pure values in, values out. Knows messages' contents, not peers.

pub mod audio_buffer;
pub mod clock;
pub mod depacketizer;
pub mod nack;
pub mod packetizer;
pub mod conceal;
pub mod drift;
pub mod jitter;
pub mod playout;
pub mod resampler;
