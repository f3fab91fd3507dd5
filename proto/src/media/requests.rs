//! What one sound card asks for, and when it plays it: known once, for all voices that are mixed for it.
//!
//! The card's stamps say when a frame leaves the speaker and lose their noise in a [`drift::Card`](super::drift::Card); how far ahead
//! and how much it asks is kept as [`jitter::Lateness`](super::jitter::Lateness). [`Request`] is what a voice must know of both.

use std::time::Instant;

use super::clock::seconds_between;
use super::drift::Card;
use super::jitter::Lateness;
use crate::sound::RATE;

/// A card that says it plays further ahead does not know.
const FAR_AHEAD_S: f64 = 2.0;

/// Frames that the card wants next, and what its requests have been like.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub frames: usize,
    /// When the first of them leaves the speaker.
    pub at: Instant,
    /// The least that a request needed at hand in the last ten seconds, from now to the end of what it asks for, in seconds.
    pub least: f64,
    /// What to be ready for, likewise.
    pub ready_for: f64,
    /// The card is faster than nominal by so much.
    pub card_ppm: f64,
}

impl Request {
    /// How long the frames last at the nominal rate, seconds.
    pub fn seconds(&self) -> f64 {
        seconds(self.frames)
    }
}

fn seconds(frames: usize) -> f64 {
    frames as f64 / f64::from(RATE)
}

/// See the module text. Fixed size: allocates nothing.
#[derive(Debug, Clone)]
pub struct Requests {
    card: Card,
    window: Lateness,
    /// Frames asked for so far.
    asked: u64,
}

impl Requests {
    /// Of a card that has asked for nothing yet.
    pub fn new() -> Self {
        Requests { card: Card::new(RATE), window: Lateness::new(), asked: 0 }
    }

    /// The card asks `now` for `frames` more, which it says leave the speaker from `at` on.
    pub fn next(&mut self, now: Instant, at: Instant, frames: usize) -> Request {
        self.card.observe(self.asked, at);
        let at = self.card.instant(self.asked).unwrap_or(at);
        self.asked += frames as u64;
        let needed = seconds_between(at, now).clamp(0.0, FAR_AHEAD_S) + seconds(frames);
        self.window.record(now, needed);
        Request {
            frames,
            at,
            least: self.window.least().unwrap_or(needed),
            ready_for: self.window.ready_for().unwrap_or(needed),
            card_ppm: self.card.ppm(),
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self::new()
    }
}
