//! What becomes of a voice between the microphone and whoever hears it: echo cancellation, noise suppression, gain control.
//!
//! ```text
//! speaker's callback: mixer, volume, limiter → card
//!                                            └ reference (a ring) ┐
//! microphone's thread: blocks of 10 ms ───────────────→ aligner, stage → blocks of 10 ms, caught a little earlier
//! ```
//!
//! [`VoiceProcessing`] is what those who open devices share: the speaker writes what it is given into its [`Reference`], the
//! microphone's thread has a [`Processor`] made for each device it opens. Which frames belong to a block is decided in
//! `media/echo_aligner.rs`. **Rejected:** a reference of left and right. AEC3 begins anew when it first hears a difference
//! between them, three seconds of echo, and microphones of laptops always have one; told their mean it takes out 60 dB of those.
//! Below `capture` and `present`, which may not import each other.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::threads::lock;
use eyeline_proto::media::echo_aligner::{self, Aligner};
use eyeline_proto::sound::{BLOCK_FRAMES, Block};

mod bands;
mod canceller;
mod gain;
mod noise;
mod reference;
mod shape;
mod stage;

pub use canceller::Echo;
pub use reference::{Reference, Writer};
pub use shape::Config;
pub use stage::Stage;

/// The canceller's word for how late an echo is is taken after so many blocks: a second.
const AT_ONCE: u32 = 100;

/// What it does just now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub echo: Echo,
    /// Whether gain control is at work.
    pub raises: bool,
    /// Frames of the reference that were not known in time, or no more, since the microphone was opened.
    pub missing: u64,
}

/// See the module text. Clones are the same.
#[derive(Clone)]
pub struct VoiceProcessing {
    config: Config,
    reference: Reference,
    /// While a microphone is open.
    figures: Arc<Mutex<Option<Figures>>>,
}

impl VoiceProcessing {
    /// Of what `reference` is given, where echo is to be cancelled.
    pub fn new(config: Config, reference: Reference) -> Self {
        VoiceProcessing { config, reference, figures: Arc::default() }
    }

    /// For a microphone that was just opened.
    pub fn processor(&self, channels: u16) -> Processor {
        self.reference.skip();
        Processor {
            shared: self.clone(),
            aligner: self.config.echo.then(Aligner::new),
            stage: Stage::new(self.config, channels.clamp(1, 2) as u8),
            reference: Box::new([0.0; BLOCK_FRAMES]),
            at_once: 0,
        }
    }

    /// What it does just now; `None` while no microphone is open, or where no echo is cancelled.
    pub fn figures(&self) -> Option<Figures> {
        lock(&self.figures).filter(|_| self.config.echo)
    }
}

/// Of one microphone while it is open.
pub struct Processor {
    shared: VoiceProcessing,
    /// Where echo is cancelled.
    aligner: Option<Aligner>,
    stage: Stage,
    reference: Box<echo_aligner::Reference>,
    /// Blocks for which the canceller has said that the echo comes at once.
    at_once: u32,
}

impl Processor {
    /// What is sent instead of `block`. Its capture time is that of its own first sample.
    pub fn process(&mut self, block: Block<Instant>) -> Block<Instant> {
        let Block { capture, channels, samples } = block;
        let mut samples = samples.to_vec();
        let reference = self.aligner.as_mut().map(|aligner| {
            self.shared.reference.read(aligner);
            aligner.take(capture, &mut self.reference);
            &*self.reference
        });
        self.stage.process(reference, &mut samples);
        self.follow(capture);
        *lock(&self.shared.figures) = Some(self.figures());
        Block { capture: capture.checked_sub(self.stage.delay()).unwrap_or(capture), channels, samples: samples.into() }
    }

    /// An echo that the canceller finds at no distance at all may be one that came before its reference.
    fn follow(&mut self, capture: Instant) {
        let at_once = self.stage.echo().is_some_and(|echo| echo.delay_ms == 0);
        self.at_once = if at_once { self.at_once + 1 } else { 0 };
        if self.at_once >= AT_ONCE {
            self.at_once = 0;
            self.aligner.iter_mut().for_each(|aligner| aligner.lead_more(capture));
        }
    }

    /// What it does just now.
    pub fn figures(&self) -> Figures {
        let missing = self.aligner.as_ref().map_or(0, Aligner::missing);
        Figures { echo: self.stage.echo().unwrap_or_default(), raises: self.stage.raises(), missing }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        *lock(&self.shared.figures) = None;
    }
}
