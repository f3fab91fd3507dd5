//! Media timing and repair: pure values in, values out. Knows messages' contents, not peers.

pub mod clock;
pub mod depacketizer;
pub mod nack;
pub mod packetizer;
