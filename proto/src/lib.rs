//! What Eyeline's programs decide about peers, packets, pictures and sound in time: everything below `net`, sans-IO.
//!
//! Nothing in here asks the time, opens a socket, starts a thread, or needs a codec or a device: it is given values together with
//! `now`, and is drained of values until it says until when it can wait. The layers, each importing only what is below it
//! (`tests/layers.rs` of the programs' crate checks both crates):
//!
//! ```text
//! session → media → {wire, crypto} → {picture, rate, sound, time, seq}
//! ```
//!
//! The simulator (`tests/sim`) and the fuzzers drive these types without libjpeg, X11 or PulseAudio. See ARCHITECTURE.md for the
//! house and PROTOCOL.md for the bytes.

#![allow(rustdoc::private_intra_doc_links)] // the texts are read beside the code, and name constants that are nobody else's
#![cfg_attr(test, allow(clippy::disallowed_methods))] // a test needs some moment to count from

pub mod crypto;
pub mod media;
pub mod picture;
pub mod rate;
pub mod seq;
pub mod session;
pub mod sound;
pub mod time;
pub mod wire;
