//! Where pictures and sound come from: each source runs threads of its own and fills the slots it is given.
//!
//! Pictures leave here as full-range BT.601 planes or as the camera's JPEG, sound as 10 ms blocks of s16 at 48 kHz, both stamped on this
//! machine's clock. A source that ends closes its slots and says why.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod camera;
pub mod file;
mod jpeg_kind;
pub mod microphone;
pub mod pattern;
pub mod rtp;
pub mod screen;
mod stamp;
pub mod y4m;
