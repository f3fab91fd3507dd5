//! Media timing and repair: pure values in, values out. Knows messages' contents, not peers.

pub mod audio_buffer;
pub mod clock;
pub mod conceal;
pub mod depacketizer;
pub mod drift;
pub mod hold;
pub mod jitter;
pub mod nack;
pub mod packetizer;
pub mod playout;
pub mod resampler;
pub mod sound_pieces;
