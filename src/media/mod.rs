//! media

pub mod audio_buffer;
pub mod clock;
pub mod conceal;
pub mod drift;
pub mod jitter;
pub mod playout;
pub mod resampler;
