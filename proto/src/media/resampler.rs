//! f32 at a ratio near one that may change at any moment: the steered part of playout.
//!
//! A windowed sinc of 64 taps (`rubato`): flat to 19 kHz, 32 frames (0.7 ms) of delay, 15 µs for 10 ms. Every change of ratio is ramped over the frames it is asked for, so it has no edge. Invariant: after construction
//! nothing is allocated, whatever is asked. A polynomial would be cheaper and 30 dB dirtier above 10 kHz; dropping or doubling
//! single frames is heard on tones.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler as _, Resizable, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use super::drift::MAX_CORRECTION;

/// Channels of what is played.
pub const CHANNELS: usize = 2;
/// Most frames made at once; longer requests are cut.
const CHUNK: usize = 240;
/// Taps of the filter.
const TAPS: usize = 64;
/// Of half the rate. There is nothing to alias at a ratio of one, so the filter may reach further than for conversion.
const CUTOFF: f32 = 0.9;
/// Between so many phases of the filter it is linear: an error of -107 dB, at half the cost of a cubic.
const PHASES: usize = 512;
/// A little more than the controller asks for.
const RANGE: f64 = 1.0 + 2.0 * MAX_CORRECTION;

pub struct Resampler {
    inner: Async<f32>,
    channels: usize,
    input: Vec<f32>,
}

impl Resampler {
    /// At a ratio of one, for what is played.
    pub fn new() -> Self {
        Self::of(CHANNELS)
    }

    /// The same for so many channels.
    pub fn of(channels: usize) -> Self {
        let filter = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2)
            .f_cutoff(CUTOFF)
            .oversampling_factor(PHASES)
            .interpolation(SincInterpolationType::Linear);
        let inner = Async::new_sinc(1.0, RANGE, &filter, CHUNK, channels, FixedAsync::Output)
            .expect("the constants above are within the resampler's bounds");
        let input = vec![0.0; inner.input_frames_max() * channels];
        Resampler { inner, channels, input }
    }

    /// As new, in the memory there is.
    pub fn reset(&mut self) {
        self.inner.reset();
    }

    /// Frames between what goes in and what comes out.
    pub fn delay(&self) -> usize {
        self.inner.output_delay()
    }

    /// Fills `out` (interleaved), consuming by `faster` (0.001: 0.1 %) more than it makes; `pull` gives what it asks for.
    pub fn fill(&mut self, faster: f64, out: &mut [f32], mut pull: impl FnMut(&mut [f32])) {
        let ratio = 1.0 / (1.0 + faster.clamp(-MAX_CORRECTION, MAX_CORRECTION));
        for chunk in out.chunks_mut(CHUNK * self.channels) {
            if self.make(ratio, chunk, &mut pull).is_err() {
                debug_assert!(false, "the resampler refused a size it named itself");
                chunk.fill(0.0);
            }
        }
    }

    fn make(&mut self, ratio: f64, out: &mut [f32], pull: &mut impl FnMut(&mut [f32])) -> rubato::ResampleResult<()> {
        let (channels, frames) = (self.channels, out.len() / self.channels);
        if self.inner.output_frames_next() != frames {
            self.inner.set_chunk_size(frames)?;
        }
        self.inner.set_resample_ratio(ratio, true)?;
        let needed = self.inner.input_frames_next();
        let input = &mut self.input[..needed * channels];
        pull(input);
        let (Ok(input), Ok(mut output)) =
            (InterleavedSlice::new(input, channels, needed), InterleavedSlice::new_mut(out, channels, frames))
        else {
            return Ok(()); // sizes are counted right above
        };
        self.inner.process_into_buffer(&input, &mut output, None)?;
        Ok(())
    }
}

impl Default for Resampler {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(hertz: f64) -> impl FnMut(&mut [f32]) {
        let mut n = 0u32;
        move |out: &mut [f32]| {
            for frame in out.chunks_mut(CHANNELS) {
                frame.fill((TAU * hertz * f64::from(n) / 48_000.0).sin() as f32 * 0.5);
                n += 1;
            }
        }
    }

    #[test]
    fn requests_of_any_size_from_one_frame_up_make_the_same_sound() {
        let (mut one, mut other) = (Resampler::new(), Resampler::new());
        let (mut a, mut b) = (tone(997.0), tone(997.0));
        let (mut whole, mut parts) = (vec![0.0; 4800 * CHANNELS], Vec::new());
        one.fill(0.001, &mut whole, &mut a);
        for frames in [1, 1, 2, 7, 24, 480, 113, 960].into_iter().cycle() {
            let mut part = vec![0.0; frames * CHANNELS];
            other.fill(0.001, &mut part, &mut b);
            parts.extend(part);
            if parts.len() >= whole.len() {
                break;
            }
        }
        // The very first chunk ramps from one to the ratio, over a different length in each.
        let worst = whole.iter().zip(&parts).skip(600).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(worst < 0.02, "{worst}");
    }

    #[test]
    fn it_consumes_what_the_ratio_says() {
        for faster in [-0.005, 0.0, 0.0003, 0.005] {
            let (mut resampler, mut taken) = (Resampler::new(), 0);
            let mut out = vec![0.0; 480 * CHANNELS];
            for _ in 0..1000 {
                resampler.fill(faster, &mut out, |input| taken += input.len() / CHANNELS);
            }
            let wanted = 480_000.0 * (1.0 + faster);
            assert!((f64::from(taken as u32) - wanted).abs() < 5.0, "{faster}: {taken} of {wanted}");
        }
    }

    #[test]
    fn a_steered_tone_has_no_click() {
        let (mut resampler, mut source) = (Resampler::new(), tone(1000.0));
        let (mut out, mut last) = (vec![0.0; 480 * CHANNELS], Vec::new());
        for n in 0..2000 {
            let faster = 0.005 * (f64::from(n) / 50.0).sin();
            resampler.fill(faster, &mut out, &mut source);
            last.extend(out.iter().step_by(CHANNELS).copied());
        }
        // The curvature of a 1 kHz tone at half scale, plus half a percent.
        let bound = 0.5 * (TAU as f32 * 1005.1 / 48_000.0).powi(2) * 1.01;
        let worst = last[100..].windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
        assert!(worst < bound, "{worst} against {bound}");
    }
}
