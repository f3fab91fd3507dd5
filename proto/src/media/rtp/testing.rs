//! JPEGs that only look like some: right headers and markers around bytes that mean nothing.

use super::jpeg::{Kind, Quantisers};
use crate::media::jpeg::tables::{self, EOI, RST0};
use crate::picture::{Sampling, Size};
use proptest::prelude::*;

/// A JPEG of these intervals.
pub fn jpeg(kind: Kind, quantisers: &Quantisers, intervals: &[Vec<u8>]) -> Vec<u8> {
    assert_eq!(intervals.len(), kind.intervals());
    let mut out = Vec::new();
    tables::header_with(&mut out, quantisers, kind.sampling, kind.size, kind.restart);
    for (number, interval) in intervals.iter().enumerate() {
        if number > 0 {
            out.extend([0xFF, RST0 + ((number - 1) % 8) as u8]);
        }
        out.extend(interval);
    }
    out.extend([0xFF, EOI]);
    out
}

#[derive(Debug, Clone)]
pub struct Made {
    pub kind: Kind,
    pub quantisers: Quantisers,
    pub intervals: Vec<Vec<u8>>,
    pub jpeg: Vec<u8>,
}

/// Bytes of an interval: 0xFF is followed by 0.
fn interval() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..900)
        .prop_map(|bytes| bytes.into_iter().flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] }).collect())
}

/// Any JPEG that fits, within reason.
pub fn made() -> impl Strategy<Value = Made> {
    let shape = (any::<bool>(), 1_u8..=255, 1_u32..20, 1_u32..12, 0_u16..6);
    shape.prop_flat_map(|(halved, quality, across, down, restart)| {
        let sampling = if halved { Sampling::Yuv420 } else { Sampling::Yuv422 };
        let quantisers = if quality < 100 { tables::quantisers(quality) } else { [[quality; 64], [quality - 1; 64]] };
        let size = Size { width: 8 * across, height: 8 * down };
        let kind = Kind { sampling, quality: if quality < 100 { quality } else { 255 }, size, restart };
        prop::collection::vec(interval(), kind.intervals()).prop_map(move |intervals| {
            let jpeg = jpeg(kind, &quantisers, &intervals);
            Made { kind, quantisers, intervals, jpeg }
        })
    })
}
