//! How a picture is cut into bands: enough that a slice is about eight datagrams, more in large pictures, and that every worker
//! has one.
//!
//! A slice is lost when one of its datagrams is lost for good and sent when its last row is encoded, so slices should be small;
//! each costs a header's parsing, a head's bytes and half a datagram at its end, so not too small. Bands are whole MCU rows, near
//! equal in height. Pure; the estimate of a picture's bytes is carried from picture to picture by [`Estimate`].

use super::raw::Compressor;
use eyeline_proto::media::parts::{Band, ENOUGH, SLICE_BYTES};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::{MAX_LEN, MAX_SLICES};

/// A picture's bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    size: Size,
    mcu_height: u32,
    mcu_rows: u32,
    count: u32,
}

impl Bands {
    /// As many bands as `bytes` in all ask for, but not more than are [`ENOUGH`]; at least one per worker, at least so many that
    /// none can outgrow [`MAX_LEN`], at most [`MAX_SLICES`] and one per MCU row.
    pub fn new(size: Size, sampling: Sampling, bytes: usize, workers: usize) -> Bands {
        let (mcu_height, mcu_rows) = (sampling.mcu().height, sampling.mcus(size).height);
        let least = workers.max(Compressor::bound(size, sampling) / MAX_LEN + 1);
        let most = MAX_SLICES.min(mcu_rows as usize);
        let count = ((bytes + SLICE_BYTES / 2) / SLICE_BYTES).min(ENOUGH).max(least).min(most).max(1);
        Bands { size, mcu_height, mcu_rows, count: count as u32 }
    }

    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// First row and number of rows of band `index`.
    pub fn band(&self, index: usize) -> Band {
        let edge = |index: u32| (index * self.mcu_rows / self.count * self.mcu_height).min(self.size.height);
        let (top, end) = (edge(index as u32), edge(index as u32 + 1));
        (top, end - top)
    }

    /// All of them, from the top.
    pub fn iter(&self) -> impl Iterator<Item = Band> + '_ {
        (0..self.count()).map(|index| self.band(index))
    }
}

/// What the next picture will weigh, from what the last ones did.
#[derive(Debug, Default)]
pub struct Estimate {
    /// Bytes seen over bytes expected of a middling picture of that size and quality.
    ratio: Option<f64>,
    last: Option<(Sampling, usize, Bands)>,
}

impl Estimate {
    /// Share by which the best number of bands may differ from the present one before it is taken: bands that stay where they are
    /// let a receiver fill one from the picture before.
    const SLACK: f64 = 0.25;

    /// The bands for the next picture.
    pub fn bands(&mut self, size: Size, sampling: Sampling, quality: u8, workers: usize) -> Bands {
        let best = Bands::new(size, sampling, self.bytes(size, sampling, quality) as usize, workers);
        let bands = match self.last {
            Some((was, with, last)) if (was, with, last.size) == (sampling, workers, size) => {
                let change = (best.count() as f64 / last.count() as f64 - 1.0).abs();
                if change > Self::SLACK { best } else { last }
            }
            _ => best,
        };
        self.last = Some((sampling, workers, bands));
        bands
    }

    /// Bytes of the next picture, if all of it is coded.
    pub fn bytes(&self, size: Size, sampling: Sampling, quality: u8) -> f64 {
        typical(size, sampling, quality) * self.ratio.unwrap_or(1.0)
    }

    /// Learns what a picture became.
    pub fn learn(&mut self, size: Size, sampling: Sampling, quality: u8, bytes: usize) {
        let seen = bytes as f64 / typical(size, sampling, quality);
        self.ratio = Some(self.ratio.map_or(seen, |ratio| ratio + (seen - ratio) / 4.0));
    }
}

/// Bytes of a middling picture: about 0.8 bits a pixel for 4:2:0 at quality 80, and growing as quantisation gets finer (the IJG's
/// scale to the power −0.6, which follows measured pictures within a third from quality 30 to 98).
fn typical(size: Size, sampling: Sampling, quality: u8) -> f64 {
    let quality = f64::from(quality.clamp(1, 100));
    let scale = if quality < 50.0 { 50.0 / quality } else { 2.0 - quality / 50.0 };
    let colour = match sampling {
        Sampling::Grey => 0.085,
        Sampling::Yuv420 => 0.1,
        Sampling::Yuv422 | Sampling::Yuv440 => 0.115,
        Sampling::Yuv444 => 0.13,
    };
    f64::from(size.width) * f64::from(size.height) * colour * ((scale + 0.02) / 0.42).powf(-0.6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HD: Size = Size { width: 1920, height: 1080 };

    fn samplings() -> impl Strategy<Value = Sampling> {
        prop_oneof![
            Just(Sampling::Grey),
            Just(Sampling::Yuv420),
            Just(Sampling::Yuv422),
            Just(Sampling::Yuv444),
            Just(Sampling::Yuv440)
        ]
    }

    proptest! {
        #[test]
        fn bands_tile_the_picture_in_whole_mcu_rows(
            width in 1u32..=8192, height in 1u32..=8192, sampling in samplings(), bytes in 0usize..4_000_000, workers in 1usize..9,
        ) {
            let size = Size { width, height };
            let bands = Bands::new(size, sampling, bytes, workers);
            let mcu_rows = sampling.mcus(size).height as usize;
            prop_assert!(bands.count() <= MAX_SLICES.min(mcu_rows));
            prop_assert!(bands.count() >= workers.min(mcu_rows));
            let mut next = 0;
            for index in 0..bands.count() {
                let (top, rows) = bands.band(index);
                prop_assert_eq!(top, next);
                prop_assert!(rows > 0 && top % sampling.mcu().height == 0);
                let band = Size { width, height: rows };
                prop_assert!(mcu_rows < 128 || Compressor::bound(band, sampling) < MAX_LEN + MAX_LEN / 2);
                next = top + rows;
            }
            prop_assert_eq!(next, height);
        }
    }

    #[test]
    fn a_slice_is_about_eight_datagrams_and_there_are_no_more_than_enough() {
        assert_eq!(Bands::new(HD, Sampling::Yuv420, 96_000, 4).count(), 10);
        assert_eq!(Bands::new(HD, Sampling::Yuv420, 288_000, 4).count(), ENOUGH, "longer in large pictures");
        assert_eq!(Bands::new(HD, Sampling::Yuv420, 1000, 4).count(), 4, "one per worker");
        assert_eq!(Bands::new(HD, Sampling::Yuv420, 10_000_000, 99).count(), 68, "one per MCU row");
    }

    #[test]
    fn the_estimate_follows_the_pictures_but_bands_hold_still_for_small_changes() {
        let mut estimate = Estimate::default();
        for _ in 0..20 {
            estimate.learn(HD, Sampling::Yuv420, 80, 96_000);
        }
        let bands = estimate.bands(HD, Sampling::Yuv420, 80, 4);
        assert_eq!(bands.count(), 10);
        estimate.learn(HD, Sampling::Yuv420, 80, 107_000);
        assert_eq!(estimate.bands(HD, Sampling::Yuv420, 80, 4), bands);
        for _ in 0..20 {
            estimate.learn(HD, Sampling::Yuv420, 80, 48_000);
        }
        assert_eq!(estimate.bands(HD, Sampling::Yuv420, 80, 4).count(), 5);
    }
}
