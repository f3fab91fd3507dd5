//! present

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod renderer;
pub mod speaker;
