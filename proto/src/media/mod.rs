//! Media timing and repair: pure values in, values out. Knows messages' contents, not peers.

pub mod assemble;
pub mod audio_buffer;
pub mod backlog;
pub mod clock;
pub mod conceal;
pub mod depacketizer;
pub mod drift;
pub mod fec;
pub mod hold;
pub mod hold_queue;
pub mod jitter;
pub mod ladder;
pub mod limiter;
pub mod loss;
pub mod nack;
pub mod pacer;
pub mod packetizer;
pub mod playout;
pub mod policer;
pub mod rate_control;
pub mod recovery;
pub mod reel;
pub mod requests;
pub mod resampler;
pub mod sound_pieces;
pub mod train;
