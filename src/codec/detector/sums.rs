//! The hottest loop of the detector: a row of two pictures → sums over each eight pixels.
//!
//! SSE2's `psadbw` adds eight absolute differences at once, twice, and every x86-64 has it; AVX2's does it four times. The
//! compiler made it of no plain loop that was tried: the best of those, with 16-bit lanes, takes twice SSE2's time. Other
//! processors run the plain loop.

#![allow(unsafe_code)]

/// Pixels that are summed up.
pub const WIDTH: usize = 8;

/// Of eight pixels across, in up to 32 rows: from the lowest, 16 bits each for the sum of the new picture's pixels, of the older
/// one's, and of the absolute differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums(u64);

#[cfg(target_arch = "x86_64")]
const PAIR: usize = 2 * WIDTH;
#[cfg(target_arch = "x86_64")]
const QUAD: usize = 4 * WIDTH;

impl Sums {
    pub fn new(now: u16, before: u16, sad: u16) -> Self {
        Sums(u64::from(now) | u64::from(before) << 16 | u64::from(sad) << 32)
    }

    /// Of the new picture's pixels.
    pub fn now(self) -> u16 {
        self.0 as u16
    }

    /// Of the older picture's.
    pub fn before(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Of the absolute differences.
    pub fn sad(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Both together.
    pub fn plus(self, other: Sums) -> Sums {
        Sums(self.0 + other.0)
    }
}

/// Adds a row of both pictures. Where it is no multiple of eight long the last sums are of fewer pixels.
pub fn add(sums: &mut [Sums], now: &[u8], before: &[u8]) {
    let len = now.len().min(before.len());
    #[cfg(target_arch = "x86_64")]
    let done = add_vectors(sums, &now[..len], &before[..len]);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    add_any(&mut sums[done / WIDTH..], &now[done..len], &before[done..len]);
}

/// As many pixels from the left as vectors hold; says how many these are.
#[cfg(target_arch = "x86_64")]
fn add_vectors(sums: &mut [Sums], now: &[u8], before: &[u8]) -> usize {
    let quads = if is_x86_feature_detected!("avx2") { now.len() / QUAD * QUAD } else { 0 };
    let pairs = now.len() / PAIR * PAIR;
    let (wide, narrow) = sums[..pairs / WIDTH].split_at_mut(quads / WIDTH);
    // SAFETY: `quads` is 0 without AVX2, and every x86-64 has SSE2; nothing else is asked for.
    unsafe {
        if quads > 0 {
            add_quads(wide, &now[..quads], &before[..quads]);
        }
        add_pairs(narrow, &now[quads..pairs], &before[quads..pairs]);
    }
    pairs
}

/// Thirty-two pixels at a time. `psadbw` gives 64 bits for eight pixels, of which 16 are used.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_quads(sums: &mut [Sums], now: &[u8], before: &[u8]) {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_or_si256, _mm256_sad_epu8, _mm256_setzero_si256, _mm256_slli_epi64,
    };
    let zero = _mm256_setzero_si256();
    let pixels = now.as_chunks::<QUAD>().0.iter().zip(before.as_chunks::<QUAD>().0);
    for (sums, (now, before)) in sums.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
        let (now, before): (__m256i, __m256i) = (bytemuck::cast(*now), bytemuck::cast(*before));
        let (sum_now, sum_before) = (_mm256_sad_epu8(now, zero), _mm256_slli_epi64::<16>(_mm256_sad_epu8(before, zero)));
        let sad = _mm256_slli_epi64::<32>(_mm256_sad_epu8(now, before));
        let more = _mm256_or_si256(_mm256_or_si256(sum_now, sum_before), sad);
        let added: [u64; 4] = bytemuck::cast(_mm256_add_epi64(bytemuck::cast(sums.map(|sums| sums.0)), more));
        *sums = added.map(Sums);
    }
}

/// Sixteen pixels at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn add_pairs(sums: &mut [Sums], now: &[u8], before: &[u8]) {
    use std::arch::x86_64::{__m128i, _mm_add_epi64, _mm_or_si128, _mm_sad_epu8, _mm_setzero_si128, _mm_slli_epi64};
    let zero = _mm_setzero_si128();
    let pixels = now.as_chunks::<PAIR>().0.iter().zip(before.as_chunks::<PAIR>().0);
    for (sums, (now, before)) in sums.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
        let (now, before): (__m128i, __m128i) = (bytemuck::cast(*now), bytemuck::cast(*before));
        let (sum_now, sum_before) = (_mm_sad_epu8(now, zero), _mm_slli_epi64::<16>(_mm_sad_epu8(before, zero)));
        let sad = _mm_slli_epi64::<32>(_mm_sad_epu8(now, before));
        let more = _mm_or_si128(_mm_or_si128(sum_now, sum_before), sad);
        let [first, second] = sums;
        let added: [u64; 2] = bytemuck::cast(_mm_add_epi64(bytemuck::cast([first.0, second.0]), more));
        *sums = added.map(Sums);
    }
}

/// Any number of pixels.
fn add_any(sums: &mut [Sums], now: &[u8], before: &[u8]) {
    let sum = |pixels: &[u8]| pixels.iter().map(|pixel| u16::from(*pixel)).sum::<u16>();
    for (sums, (now, before)) in sums.iter_mut().zip(now.chunks(WIDTH).zip(before.chunks(WIDTH))) {
        let sad = now.iter().zip(before).map(|(now, before)| u16::from(now.abs_diff(*before))).sum();
        *sums = sums.plus(Sums::new(sum(now), sum(before), sad));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vectors_give_what_the_plain_loop_gives(rows in prop::collection::vec((any::<u8>(), any::<u8>()), 1..200)) {
            let (now, before): (Vec<u8>, Vec<u8>) = rows.into_iter().unzip();
            let mut fast = vec![Sums::default(); now.len().div_ceil(WIDTH)];
            let mut plain = fast.clone();
            for _ in 0..8 {
                add(&mut fast, &now, &before);
                add_any(&mut plain, &now, &before);
            }
            prop_assert_eq!(&fast, &plain);
            // What a processor without AVX2 does.
            #[cfg(target_arch = "x86_64")]
            {
                let (whole, mut narrow) = (now.len() / PAIR * PAIR, vec![Sums::default(); now.len() / PAIR * 2]);
                for _ in 0..8 {
                    // SAFETY: every x86-64 has SSE2.
                    unsafe { add_pairs(&mut narrow, &now[..whole], &before[..whole]) };
                }
                prop_assert_eq!(&narrow[..], &plain[..whole / WIDTH]);
            }
        }
    }
}
