//! The threads that join what does not know each other: devices and encoder, network and decoder, decoder and files. It says
//! nothing to people and knows no flags: what goes wrong is an error, what was counted a number, and `app` turns both into words.

#![allow(clippy::disallowed_methods)] // between devices: asks the time

pub mod back;
pub mod camera_supervisor;
pub mod counts;
pub mod cutter;
pub mod decode;
pub mod encode;
pub mod fair_queue;
pub mod fanout;
pub mod guest;
pub mod hold_queue;
pub mod incoming;
pub mod pictures;
pub mod player;
pub mod record;
pub mod recorder;
#[cfg(feature = "relay")]
pub mod room;
pub mod sharpness;
pub mod show;
pub mod sink;
pub mod source;
mod steps;
pub mod tally;
pub mod tee;
pub mod track;
mod visit;
#[cfg(feature = "web")]
pub mod webcast;
