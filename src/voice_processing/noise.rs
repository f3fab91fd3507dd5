//! Noise suppression of one channel: WebRTC's, in Rust (`sonora-ns`). What goes on evenly becomes quieter by 12 dB, a voice keeps
//! what it has.

use sonora_ns::config::{NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::bands::{BANDS, Split};

/// See the module text.
pub(super) struct Noise(NoiseSuppressor);

impl Noise {
    pub fn new() -> Self {
        Noise(NoiseSuppressor::new_with_bands(NsConfig { target_level: SuppressionLevel::K12dB }, BANDS))
    }

    /// Looks at what is heard before its echo is taken out: what a canceller fills in is no noise.
    pub fn listen(&mut self, heard: &Split) {
        self.0.analyze(&heard[0]);
    }

    /// Suppresses it. It comes out 6 ms later.
    pub fn process(&mut self, clean: &mut Split) {
        let [low, high @ ..] = clean;
        self.0.process(low);
        let gain = self.0.upper_band_gain();
        for (band, samples) in high.iter_mut().enumerate() {
            self.0.process_upper_band(samples, band, gain);
            NoiseSuppressor::clamp_frame(samples);
        }
    }
}
