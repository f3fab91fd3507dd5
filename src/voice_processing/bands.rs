//! One block as WebRTC's processing takes it: three bands of 8 kHz each, the lowest without what is below a voice.

use sonora::high_pass_filter::HighPassFilter;
use sonora::three_band_filter_bank::{NUM_BANDS, SPLIT_BAND_SIZE, ThreeBandFilterBank};

use super::shape::Channel;

pub(super) use sonora::three_band_filter_bank::NUM_BANDS as BANDS;

/// Samples a second of each band, and of a whole block's in a band.
pub(super) const BAND_RATE: i32 = 16_000;
pub(super) const BAND_FRAMES: usize = SPLIT_BAND_SIZE;
/// What full scale is in there.
pub(super) const FULL: f32 = 32_768.0;

/// One block's samples by band, of one channel.
pub(super) type Split = [[f32; BAND_FRAMES]; NUM_BANDS];

/// Splits the blocks of one channel and joins them again, 0.75 ms later.
pub(super) struct Bands {
    bank: ThreeBandFilterBank,
    high_pass: HighPassFilter,
    /// Of the lowest band, in the shape that is filtered.
    low: [Vec<f32>; 1],
}

impl Bands {
    pub fn new() -> Self {
        let low = [vec![0.0; BAND_FRAMES]];
        Bands { bank: ThreeBandFilterBank::new(), high_pass: HighPassFilter::new(BAND_RATE, 1), low }
    }

    pub fn split(&mut self, block: &Channel) -> Split {
        let mut split = [[0.0; BAND_FRAMES]; NUM_BANDS];
        self.bank.analysis(&block.map(|sample| sample * FULL), &mut split);
        split
    }

    /// Takes out of the lowest band what is below a voice: rumble, and what a card adds to nothing.
    pub fn high_pass(&mut self, split: &mut Split) {
        self.low[0].copy_from_slice(&split[0]);
        self.high_pass.process_channels(&mut self.low);
        split[0].copy_from_slice(&self.low[0]);
    }

    pub fn join(&mut self, split: &Split) -> Channel {
        let mut block: Channel = [0.0; _];
        self.bank.synthesis(split, &mut block);
        block.map(|sample| sample / FULL)
    }
}
