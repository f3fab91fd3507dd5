//! capture

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod microphone;
