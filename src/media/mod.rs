//! media

pub mod clock;
