//! Films and streams from `send` to the files of `recv`, through the real programs: every picture once, in order, as it was, with
//! its sound, on a good network and on a bad one. Needs `ffmpeg` and `ffprobe`; films play in real time, beside each other.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

mod files;
mod film;
mod films;
#[path = "../support/gate.rs"]
mod gate;
mod live;
mod measure;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/proxy.rs"]
mod proxy;
mod slow;
