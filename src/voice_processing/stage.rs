//! Echo cancellation, noise suppression and gain control of one microphone: 10 ms in, 10 ms out.
//!
//! It allocates some fifty times a block and takes 0.2 ms: nothing for an audio callback. What comes out was caught earlier than
//! what went in, by [`Stage::delay`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::bands::{BAND_FRAMES, BANDS, Bands, Split};
use super::canceller::{Canceller, Echo};
use super::gain::{Gain, Heard};
use super::noise::Noise;
use super::shape::{Channel, Config};
use eyeline_proto::media::echo_aligner::Reference;
use eyeline_proto::media::resampler::CHANNELS;
use eyeline_proto::sound::BLOCK_FRAMES;

/// How much later each makes what it is given, as measured (`tests/echo.rs` does it again): bands are split and joined, echoes
/// are looked for in blocks of their own length, noise in spectra that overlap.
const BANDS_DELAY: Duration = Duration::from_micros(750);
const ECHO_DELAY: Duration = Duration::from_micros(8000);
const NOISE_DELAY: Duration = Duration::from_micros(6000);

/// What full scale is in a block.
const FULL: f32 = 32_768.0;

/// See the module text.
pub struct Stage {
    config: Config,
    bands: Vec<Bands>,
    canceller: Option<Canceller>,
    noises: Vec<Noise>,
    gain: Option<Gain>,
    sound: [Channel; CHANNELS],
    split: [Split; CHANNELS],
}

impl Stage {
    /// For a microphone of one channel or two.
    pub fn new(config: Config, channels: u8) -> Self {
        let channels = usize::from(channels).clamp(1, CHANNELS);
        Stage {
            config,
            bands: (0..channels).map(|_| Bands::new()).collect(),
            canceller: config.echo.then(|| Canceller::new(channels)),
            noises: (0..channels).filter(|_| config.noise).map(|_| Noise::new()).collect(),
            gain: config.gain.then(|| Gain::new(channels)),
            sound: [[0.0; BLOCK_FRAMES]; CHANNELS],
            split: [[[0.0; BAND_FRAMES]; BANDS]; CHANNELS],
        }
    }

    /// By how much earlier what comes out was caught than what went in.
    pub fn delay(&self) -> Duration {
        let Config { echo, noise, .. } = self.config;
        let parts = [(echo || noise, BANDS_DELAY), (echo, ECHO_DELAY), (noise, NOISE_DELAY)];
        parts.into_iter().filter(|(does, _)| *does).map(|(_, delay)| delay).sum()
    }

    /// Cleans one block, interleaved and as long as blocks are; `reference` is what belongs to it of what was played.
    pub fn process(&mut self, reference: Option<&Reference>, samples: &mut [i16]) {
        if samples.len() != BLOCK_FRAMES * self.bands.len() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.try_process(reference, samples))).is_err() {
            // A microphone that falls silent for good would be worse than a block with its echo in it.
            *self = Stage::new(self.config, self.bands.len() as u8);
        }
    }

    fn try_process(&mut self, reference: Option<&Reference>, samples: &mut [i16]) {
        let channels = self.bands.len();
        let sound = &mut self.sound[..channels];
        for (of, channel) in sound.iter_mut().enumerate() {
            let heard = samples[of..].iter().step_by(channels);
            channel.iter_mut().zip(heard).for_each(|(to, from)| *to = f32::from(*from) / FULL);
        }
        let caught = power(sound);
        if let (Some(canceller), Some(reference)) = (&mut self.canceller, reference) {
            canceller.play(reference);
            canceller.listen(sound);
        }
        if self.config.echo || self.config.noise {
            let split = &mut self.split[..channels];
            for ((bands, split), sound) in self.bands.iter_mut().zip(&mut *split).zip(&*sound) {
                *split = bands.split(sound);
                bands.high_pass(split);
            }
            self.noises.iter_mut().zip(&*split).for_each(|(noise, split)| noise.listen(split));
            self.canceller.iter_mut().for_each(|canceller| canceller.process(split));
            self.noises.iter_mut().zip(&mut *split).for_each(|(noise, split)| noise.process(split));
            for ((bands, split), sound) in self.bands.iter_mut().zip(split).zip(&mut *sound) {
                *sound = bands.join(split);
            }
        }
        let enhancement = self.canceller.as_ref().map_or(0.0, |canceller| canceller.echo().enhancement);
        if let Some(gain) = &mut self.gain {
            let played = reference.map_or(0.0, |played| power(std::slice::from_ref(played)));
            gain.process(Heard { enhancement, played, caught }, sound);
        }
        for (n, frame) in samples.chunks_exact_mut(channels).enumerate() {
            for (sample, channel) in frame.iter_mut().zip(&*sound) {
                *sample = (channel[n] * FULL).round() as i16;
            }
        }
    }

    /// What the canceller says of the echo just now; `None` where there is none.
    pub fn echo(&self) -> Option<Echo> {
        self.canceller.as_ref().map(Canceller::echo)
    }

    /// Whether gain control was at work on the last block.
    pub fn raises(&self) -> bool {
        self.gain.as_ref().is_some_and(Gain::is_on)
    }
}

/// Mean square of all.
fn power(channels: &[Channel]) -> f32 {
    let sum: f32 = channels.iter().flatten().map(|sample| sample * sample).sum();
    sum / (channels.len().max(1) * BLOCK_FRAMES) as f32
}
