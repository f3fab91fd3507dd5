//! Eyeline: a live camera and microphone, moved from one machine to another.
//!
//! Two small binaries over two crates: devices, codecs, sockets and threads are here, what is decided is in `eyeline_proto`. The layers,
//! each importing only what is below it (`tests/layers.rs` checks both crates):
//!
//! ```text
//! bin → app → pipeline → {capture, codec, present, net, relay, web} → {fit, voice_processing} → sound_card → {slot → threads, eyeline_proto}
//! ```
//!
//! See ARCHITECTURE.md for the house and PROTOCOL.md for the bytes.

#![allow(rustdoc::private_intra_doc_links)] // the texts are read beside the code, and name constants that are nobody else's
#![cfg_attr(test, allow(clippy::disallowed_methods))] // a test needs some moment to count from

pub mod app;
pub mod capture;
pub mod codec;
pub mod fit;
pub mod net;
pub mod pipeline;
pub mod present;
#[cfg(feature = "relay")]
pub mod relay;
pub mod slot;
pub mod sound_card;
pub mod threads;
pub mod voice_processing;
pub mod web;
