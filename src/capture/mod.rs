//! capture

#![allow(clippy::disallowed_methods)] // at the edge: asks the time
pub mod file;
pub mod pattern;
pub mod rate;
pub mod y4m;
