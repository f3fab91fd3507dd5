//! The canceller itself (AEC3 of WebRTC, in Rust: `sonora`), noise suppression and gain control: 10 ms in, 10 ms out.
//!
//! It allocates some fifty times a block and takes 0.2 ms: nothing for an audio callback. What comes out was caught earlier than what
//! went in, by [`Stage::delay`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sonora::AudioProcessing;
use sonora::config::{EchoCanceller, NoiseSuppression};

use super::gain::{Gain, Heard};
use super::shape::{Channel, Config, pipeline, stream};
use eyeline_proto::media::echo_aligner::Reference;
use eyeline_proto::media::resampler::CHANNELS;
use eyeline_proto::sound::BLOCK_FRAMES;

/// What the stage does, as measured (`tests/echo.rs` does it again): bands are split and joined, echoes are looked for in blocks of
/// their own length, noise in spectra that overlap.
const ECHO_DELAY: Duration = Duration::from_micros(8750);
const NOISE_DELAY: Duration = Duration::from_micros(6750);
const BOTH_DELAY: Duration = Duration::from_micros(14_750);

/// What the canceller says of the echo.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Echo {
    /// By how much it comes out quieter than it went in, dB. It learns this slowly, and says far less than there is.
    pub enhancement: f64,
    /// From the reference to its echo.
    pub delay_ms: i32,
}

/// See the module text.
pub struct Stage {
    config: Config,
    channels: usize,
    processing: AudioProcessing,
    gain: Option<Gain>,
    microphone: [Channel; CHANNELS],
    clean: [Channel; CHANNELS],
    /// What the canceller gives back of the reference, which nobody wants.
    unused: Channel,
}

impl Stage {
    /// For a microphone of one channel or two.
    pub fn new(config: Config, channels: u8) -> Self {
        let silence = [[0.0; BLOCK_FRAMES]; CHANNELS];
        let channels = usize::from(channels).clamp(1, CHANNELS);
        Stage {
            config,
            channels,
            processing: processing(config, channels),
            gain: config.gain.then(|| Gain::new(channels)),
            microphone: silence,
            clean: silence,
            unused: [0.0; BLOCK_FRAMES],
        }
    }

    /// By how much earlier what comes out was caught than what went in.
    pub fn delay(&self) -> Duration {
        match (self.config.echo, self.config.noise) {
            (true, true) => BOTH_DELAY,
            (true, false) => ECHO_DELAY,
            (false, true) => NOISE_DELAY,
            (false, false) => Duration::ZERO,
        }
    }

    /// Cleans one block, interleaved and as long as blocks are; `reference` is what belongs to it of what was played.
    pub fn process(&mut self, reference: Option<&Reference>, samples: &mut [i16]) {
        if samples.len() != BLOCK_FRAMES * self.channels {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.try_process(reference, samples))).is_err() {
            // A microphone that falls silent for good would be worse than a block with its echo in it.
            *self = Stage::new(self.config, self.channels as u8);
        }
    }

    fn try_process(&mut self, reference: Option<&Reference>, samples: &mut [i16]) {
        let channels = self.channels;
        if let Some(reference) = reference {
            // These sizes are those it was made for.
            let _ = self.processing.process_render_f32(&[reference], &mut [&mut self.unused]);
        }
        for (of, channel) in self.microphone[..channels].iter_mut().enumerate() {
            let heard = samples[of..].iter().step_by(channels);
            channel.iter_mut().zip(heard).for_each(|(to, from)| *to = f32::from(*from) / 32_768.0);
        }
        let sources = self.microphone.each_ref().map(|channel| channel.as_slice());
        let [left, right] = &mut self.clean;
        let mut cleaned: [&mut [f32]; CHANNELS] = [left, right];
        if self.processing.process_capture_f32(&sources[..channels], &mut cleaned[..channels]).is_err() {
            return;
        }
        let enhancement = self.echo().enhancement;
        if let Some(gain) = &mut self.gain {
            let heard = Heard {
                enhancement,
                played: reference.map_or(0.0, |played| power(std::slice::from_ref(played))),
                caught: power(&self.microphone[..channels]),
            };
            gain.process(heard, &mut self.clean[..channels]);
        }
        for (n, frame) in samples.chunks_exact_mut(channels).enumerate() {
            for (sample, channel) in frame.iter_mut().zip(&self.clean) {
                *sample = (channel[n] * 32_768.0).round() as i16;
            }
        }
    }

    /// What the canceller says of the echo just now.
    pub fn echo(&self) -> Echo {
        let stats = self.processing.statistics();
        Echo { enhancement: stats.echo_return_loss_enhancement.unwrap_or_default(), delay_ms: stats.delay_ms.unwrap_or_default() }
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

fn processing(config: Config, channels: usize) -> AudioProcessing {
    let config = sonora::Config {
        pipeline: pipeline(),
        echo_canceller: config.echo.then(EchoCanceller::default),
        noise_suppression: config.noise.then(NoiseSuppression::default),
        ..sonora::Config::default()
    };
    AudioProcessing::builder().config(config).capture_config(stream(channels)).render_config(stream(1)).build()
}
