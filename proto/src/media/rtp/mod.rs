//! RTP to players and from cameras that are not ours (RFC 3550): pictures as RFC 2435 has them, sound as L16 (RFC 3551), sender
//! reports, and the session description (RFC 8866) that a player is given.
//!
//! ```text
//! JPEG ─ jpeg ─ payloads ─┐
//! sound ── pcm ─ payloads ┴ packet ─ UDP ~~▶
//!
//! ~~▶ UDP ─ receiver ┬ depacketizer ─ JPEG
//!    (who, when)     └ joiner ─ sound
//! ```
//!
//! Nothing here is encrypted, and nothing asks the time: times are [`Duration`](std::time::Duration)s from a moment that the caller
//! chose, the same for all streams of a session.

pub mod depacketizer;
pub mod joiner;
pub mod jpeg;
pub mod packet;
pub mod pcm;
pub mod receiver;
pub mod rtcp;
pub mod sdp;
#[cfg(test)]
mod testing;
mod timeline;
