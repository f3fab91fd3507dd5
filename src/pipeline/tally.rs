//! What the encoder did since the start, counted by the thread that encodes and read by any.

use crate::codec::encoder::Encoded;
use crate::threads::lock;
use eyeline_proto::picture::Size;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// See the module text.
#[derive(Default)]
pub struct Tally {
    encode_us: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    damaged: AtomicU64,
    /// The last failure.
    why_failed: Mutex<Option<String>>,
    passed: AtomicU64,
    coded_permille: AtomicU64,
    left_out: AtomicU64,
    withheld: AtomicU64,
}

impl Tally {
    /// A picture was encoded so, which took so long.
    pub fn encoded(&self, encoded: &Encoded, took: Duration) {
        self.bytes.fetch_add(encoded.bytes as u64, Ordering::Relaxed);
        self.passed.fetch_add(u64::from(encoded.passed_through), Ordering::Relaxed);
        self.encode_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        self.coded_permille.fetch_add(((encoded.changed.share + encoded.refined.share) * 1000.0) as u64, Ordering::Relaxed);
    }

    /// A picture could not be encoded.
    pub fn lost(&self, error: &dyn Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *lock(&self.why_failed) = Some(error.to_string());
    }

    /// Something is wrong with a camera's JPEG, whatever became of it.
    pub fn damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// The path does not take a picture.
    pub fn left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// That one might have been encoded anew, and the user does not want it.
    pub fn withheld(&self) {
        self.withheld.fetch_add(1, Ordering::Relaxed);
    }

    /// Why none of the pictures that came could be used.
    pub fn why_lost(&self) -> Option<String> {
        let why = lock(&self.why_failed).clone()?;
        Some(format!("not one of {} pictures could be used: {why}", self.failed.load(Ordering::Relaxed)))
    }

    /// All of it.
    pub fn counts(&self) -> EncoderCounts {
        EncoderCounts {
            encode_us: self.encode_us.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            passed_through: self.passed.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
            withheld: self.withheld.load(Ordering::Relaxed),
            coded: self.coded_permille.load(Ordering::Relaxed) as f64 / 1000.0,
            size: None,
        }
    }
}

/// What the encoder did since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct EncoderCounts {
    /// Time spent, µs.
    pub encode_us: u64,
    /// Bytes of slices.
    pub bytes: u64,
    /// Pictures left out because they could not be encoded.
    pub failed: u64,
    /// A camera's JPEGs in which bytes are missing or wrong, as far as they were looked into.
    pub damaged: u64,
    /// Pictures passed through as the camera made them.
    pub passed_through: u64,
    /// Pictures left out because the path does not take them.
    pub left_out: u64,
    /// Of those a camera's JPEGs, which may not be encoded anew.
    pub withheld: u64,
    /// Of all pictures' MCUs those that were coded, in pictures.
    pub coded: f64,
    /// What pictures are now, once it is known.
    pub size: Option<Size>,
}
