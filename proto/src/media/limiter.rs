//! A sum of voices within full scale, without the sound of clipping.
//!
//! **Problem.** Two loud voices together are louder than a sample can say. **Choice.** A gain for both channels that is one as long as
//! nothing is too loud, so that one voice passes bit for bit. What is rendered at once is known before it is played: the gain falls in
//! straight lines that reach what a peak needs just as it comes; a peak that comes first has it fall at once. It stays for
//! [`HOLD`] frames, longer than half a wave of 20 Hz, so that it does not follow the wave itself, and returns within half a second.
//! **Rejected.** Clipping: harsh. A curve for each sample (`tanh`): colours every voice that is loud alone. Looking further ahead:
//! all sound would be later, always, for the rare moment when two shout at once.

use crate::sound::RATE;

use super::resampler::CHANNELS;

/// Frames for which the gain stays down: 50 ms.
const HOLD: u32 = RATE / 20;
/// Of what is missing to a gain of one, this much returns with each frame: a time constant of 100 ms.
const RETURN: f32 = 1.0 / (RATE as f32 / 10.0);
/// So near to one it is one.
const NEAR: f32 = 1e-3;
/// Frames that are looked at together: 10 ms.
const PART: usize = RATE as usize / 100;

/// See the module text. Fixed size: allocates nothing.
#[derive(Debug, Clone)]
pub struct Limiter {
    gain: f32,
    /// Frames for which the gain does not rise yet.
    held: u32,
}

impl Limiter {
    /// With a gain of one.
    pub fn new() -> Self {
        Limiter { gain: 1.0, held: 0 }
    }

    /// Brings `frames`, interleaved stereo of any height, within -1 to 1.
    pub fn limit(&mut self, frames: &mut [f32]) {
        for part in frames.chunks_mut(PART * CHANNELS) {
            if self.gain < 1.0 || part.iter().any(|sample| sample.abs() > 1.0) {
                self.bend(part);
            }
        }
    }

    /// At most [`PART`] frames.
    fn bend(&mut self, frames: &mut [f32]) {
        let mut line = [1.0; PART + 1];
        line[0] = self.gain;
        for (most, frame) in line[1..].iter_mut().zip(frames.chunks(CHANNELS)) {
            *most = allowed(frame);
        }
        let line = &line[..=frames.len() / CHANNELS];
        let least = line[1..].iter().fold(1.0f32, |least, most| least.min(*most));
        let mut frames = frames.chunks_mut(CHANNELS);
        let (corners, count) = lower_hull(line);
        for ends in corners[..count].windows(2) {
            let (from, to) = (ends[0], ends[1]);
            if line[to] >= line[from] {
                break;
            }
            for (at, frame) in (from + 1..=to).zip(&mut frames) {
                let part = (at - from) as f32 / (to - from) as f32;
                self.gain = line[from] + (line[to] - line[from]) * part;
                scale(frame, self.gain);
            }
            self.held = HOLD;
        }
        for frame in frames {
            self.rise(least);
            scale(frame, self.gain);
        }
    }

    /// One frame back towards one, or towards what a peak that is near allows.
    fn rise(&mut self, most: f32) {
        if self.held > 0 {
            self.held -= 1;
            return;
        }
        let risen = self.gain + (1.0 - self.gain) * RETURN;
        self.gain = if risen > 1.0 - NEAR { 1.0 } else { risen }.min(most);
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

/// The highest gain that keeps a frame within full scale.
fn allowed(frame: &[f32]) -> f32 {
    let peak = frame.iter().fold(1.0f32, |peak, sample| peak.max(sample.abs()));
    1.0 / peak
}

/// What is left over full scale comes of rounding.
fn scale(frame: &mut [f32], gain: f32) {
    frame.iter_mut().for_each(|sample| *sample = (*sample * gain).clamp(-1.0, 1.0));
}

/// The corners of the highest convex line that is nowhere above `line`, from its first point to its last, and how many there are
/// (monotone chain).
fn lower_hull(line: &[f32]) -> ([usize; PART + 1], usize) {
    let (mut corners, mut count) = ([0; PART + 1], 0);
    for at in 0..line.len() {
        let above = |before: usize, between: usize| {
            let rise = |from: usize, to: usize| (line[to] - line[from]) / (to - from) as f32;
            rise(before, between) >= rise(between, at)
        };
        while count >= 2 && above(corners[count - 2], corners[count - 1]) {
            count -= 1;
        }
        corners[count] = at;
        count += 1;
    }
    (corners, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    /// A tone of 440 Hz in both channels, this high, from frame `from` on.
    fn tone(height: f32, from: usize, frames: usize) -> Vec<f32> {
        let sample = |n: usize| (TAU * 440.0 * n as f32 / RATE as f32).sin() * height;
        (from..from + frames).flat_map(|n| [sample(n), -sample(n)]).collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.chunks(CHANNELS).collect::<Vec<_>>().windows(2).map(|pair| (pair[1][0] - pair[0][0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn what_is_within_full_scale_passes_bit_for_bit() {
        let mut limiter = Limiter::new();
        let sound = tone(1.0, 0, 4801);
        let mut out = sound.clone();
        limiter.limit(&mut out);
        assert!(out.iter().map(|s| s.to_bits()).eq(sound.iter().map(|s| s.to_bits())));
    }

    #[test]
    fn what_is_too_loud_is_made_quieter_without_a_step_and_returns() {
        let mut limiter = Limiter::new();
        let mut out = Vec::new();
        for part in 0..400 {
            let mut sound = tone(if (100..200).contains(&part) { 4.0 } else { 0.5 }, part * 480, 480);
            limiter.limit(&mut sound);
            out.extend(sound);
        }
        assert!(out.iter().all(|sample| sample.abs() <= 1.0));
        let loud = &out[120 * 960..200 * 960];
        let peak = |sound: &[f32]| sound.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        assert!(peak(loud) > 0.98, "as loud as can be: {}", peak(loud));
        // It is still a tone and no rectangle, whose mean square is near one.
        let power = loud.iter().map(|s| s * s).sum::<f32>() / loud.len() as f32;
        assert!((0.45..0.55).contains(&power), "{power}");
        // Never steeper than what came in, and soon no steeper than a tone within full scale is.
        let tones = TAU * 440.0 / RATE as f32;
        assert!(steepest(&out) < tones * 4.01 && steepest(&out[101 * 960..]) < tones * 1.05, "{}", steepest(&out[101 * 960..]));
        assert_eq!(out[360 * 960..], tone(0.5, 360 * 480, 40 * 480)[..], "after the noise all is as before");
    }

    #[test]
    fn the_gain_is_down_before_the_peak_comes_and_not_at_once() {
        let mut limiter = Limiter::new();
        let mut sound = vec![0.9; PART * CHANNELS];
        sound[400 * CHANNELS] = 3.0;
        limiter.limit(&mut sound);
        assert!((sound[400 * CHANNELS] - 1.0).abs() < 1e-5);
        let falls = sound.chunks(CHANNELS).take(400).collect::<Vec<_>>();
        assert!(falls.windows(2).all(|pair| (0.0..0.01).contains(&(pair[0][1] - pair[1][1]))), "{falls:?}");
    }

    #[test]
    fn no_sound_whatever_gets_beyond_full_scale() {
        let mut limiter = Limiter::new();
        let mut seed = 7u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed
        };
        for _ in 0..500 {
            let height = [0.1, 1.0, 3.0, 16.0, 1e30][next() as usize % 5];
            let mut sound: Vec<f32> =
                (0..2 * (next() as usize % 1000)).map(|_| (next() as f32 / u32::MAX as f32 - 0.5) * height).collect();
            sound.iter_mut().for_each(|s| {
                if next() % 501 == 0 {
                    *s = [f32::NAN, f32::INFINITY][next() as usize % 2]
                }
            });
            limiter.limit(&mut sound);
            assert!(sound.iter().all(|s| s.is_nan() || s.abs() <= 1.0), "{sound:?}");
        }
        let mut quiet = tone(0.5, 0, 10 * PART);
        (0..100).for_each(|_| limiter.limit(&mut quiet));
        quiet = tone(0.5, 0, PART);
        limiter.limit(&mut quiet);
        assert_eq!(quiet, tone(0.5, 0, PART), "and then sound is as it was");
    }
}
