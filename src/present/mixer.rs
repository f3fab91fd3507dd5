//! Everything a speaker plays: [`VOICES`] voices, each lent to one sender, and one volume for all.
//!
//! The handle here is for any thread but the callback's; what is mixed, and how, stands in `renderer.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::feed::{self, Places};
use super::renderer::{Master, Renderer};
use crate::voice_processing::Reference;
use eyeline_proto::media::playout::Config;

pub use super::feed::{Feed, VOICES};

/// See the module text. Clones speak of the same speaker.
#[derive(Clone)]
pub struct Mixer {
    places: Arc<Places>,
    master: Arc<Master>,
    reopened: Arc<AtomicU64>,
    reference: Option<Reference>,
}

impl Mixer {
    /// Nobody speaks yet, and nobody plays it; what will be played is told to the reference, if any.
    pub(super) fn new(reference: Option<Reference>) -> Self {
        Mixer { places: Arc::new(Places::new()), master: Arc::new(Master::new()), reopened: Arc::default(), reference }
    }

    /// A mixer and a renderer with no device between them: what a test drives in the callback's place.
    pub fn detached(channels: u16, config: Config, reference: Option<Reference>) -> (Mixer, Renderer) {
        let mixer = Mixer::new(reference);
        let renderer = mixer.renderer(channels, config);
        (mixer, renderer)
    }

    /// What plays from now on, in place of the one before.
    pub(super) fn renderer(&self, channels: u16, config: Config) -> Renderer {
        let reference = self.reference.as_ref().map(Reference::writer);
        Renderer::new(self.places.voices(config), self.master.clone(), channels, reference)
    }

    /// A voice that nobody has; `None` where all are taken. It is free again when the feed is dropped.
    pub fn voice(&self) -> Option<Feed> {
        Feed::take(&self.places)
    }

    /// Of all voices together: 1 is as they came, 0 silence, 2 the loudest.
    pub fn volume(&self, volume: f32) {
        self.master.volume.store(feed::held(volume).to_bits(), Ordering::Relaxed);
    }

    /// Silence of all, whatever the volume.
    pub fn mute(&self, muted: bool) {
        self.master.muted.store(muted, Ordering::Relaxed);
    }

    /// How often the device was lost and came back.
    pub fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }

    pub(super) fn note_reopened(&self) {
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "mixer_tests.rs"]
mod tests;
