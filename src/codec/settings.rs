//! What is asked of an encoder, and why it may refuse.

use super::raw;
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::picture::Size;
use std::time::Duration;

/// What can change from picture to picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// 1–100; of no effect on what is passed through.
    pub quality: u8,
    /// The picture's time in its film; `None` of a live one.
    pub position: Option<Duration>,
}

/// Why a picture gave no slices, or not all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder refused it.
    #[error(transparent)]
    Raw(#[from] raw::Error),
    /// The encoder refused some of it: the rest was handed on under the picture's number, with slices of nothing for what is
    /// missing.
    #[error("{0}; the next one mends what is missing of it")]
    Torn(raw::Error),
    /// The camera's JPEG is broken.
    #[error("{0}; the next one may be whole")]
    Refused(#[from] Refusal),
    /// The source gave fewer bytes than its size and sampling take.
    #[error("a picture of {size} came with {len} bytes instead of {needed}: its source is at fault")]
    Short {
        size: Size,
        len: usize,
        /// What it takes.
        needed: usize,
    },
    /// No thread could be started.
    #[error("cannot start an encoder thread ({0}): ask for fewer workers or raise the limit on processes")]
    Thread(std::io::Error),
}
