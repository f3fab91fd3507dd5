//! Eyeline: a live camera and microphone, moved from one machine to another.
//!
//! One crate, two small binaries. The layers, each importing only what is below it (`tests/layers.rs` checks):
//!
//! ```text
//! bin → app → {capture, codec, present, net} → {fit, sound_card} → session → media → {wire, crypto} → {picture, sound, slot, time, seq}
//! ```
//!
//! `session` and everything below it is sans-IO: it never asks the time, opens a socket or starts a thread. It is given
//! values together with `now`, and is drained of values until it says until when it can wait. See ARCHITECTURE.md for the
//! house and PROTOCOL.md for the bytes.

#![warn(missing_docs)]
#![allow(rustdoc::private_intra_doc_links)] // the texts are read beside the code, and name constants that are nobody else's
#![cfg_attr(test, allow(clippy::disallowed_methods))] // a test needs some moment to count from

pub mod app;
pub mod capture;
pub mod codec;
pub mod crypto;
pub mod fit;
pub mod media;
pub mod net;
pub mod picture;
pub mod present;
pub mod seq;
pub mod session;
pub mod slot;
pub mod sound;
pub mod sound_card;
pub mod time;
pub mod wire;
