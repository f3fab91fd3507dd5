//! Limited range (luma 16 to 235, chroma 16 to 240; BT.601) to full range, in place.
//!
//! Sixteen-bit multiplications that compilers turn into vector ones (`pmulhuw`), with constants found by search; a test compares all 256
//! values with the exact quotients. A table would be as exact and several times slower.

/// `(x << 8) * factor >> 16`: x times `factor` / 256, here with seven binary places.
fn scale(x: u16, factor: u16) -> u16 {
    ((u32::from(x << 8) * u32::from(factor)) >> 16) as u16
}

/// `(y - 16) * 255 / 219`, rounded, held at 0 and 255.
fn luma(y: u8) -> u8 {
    let above_black = u16::from(y).saturating_sub(16).min(219);
    ((scale(above_black, 38_154) + 64) >> 7) as u8
}

/// `128 + (c - 128) * 255 / 224`, rounded, held at 0 and 255.
fn chroma(c: u8) -> u8 {
    (scale(u16::from(c), 37_300).saturating_sub(2202) >> 7).min(255) as u8
}

/// Widens the part of a picture that begins at byte `from` of it; luma ends at byte `luma_len`.
pub fn widen(part: &mut [u8], from: usize, luma_len: usize) {
    let (y, c) = part.split_at_mut(luma_len.saturating_sub(from).min(part.len()));
    y.iter_mut().for_each(|byte| *byte = luma(*byte));
    c.iter_mut().for_each(|byte| *byte = chroma(*byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_the_nearest_to_the_exact_ones() {
        for x in 0..=255u8 {
            let exact = ((f64::from(x) - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0);
            assert!((f64::from(luma(x)) - exact).abs() <= 0.5 + 1e-9, "luma {x}");
            let exact = (128.0 + (f64::from(x) - 128.0) * 255.0 / 224.0).clamp(0.0, 255.0);
            assert!((f64::from(chroma(x)) - exact).abs() <= 0.5 + 1e-9, "chroma {x}");
        }
        assert_eq!([16, 235].map(luma), [0, 255]);
        assert_eq!(chroma(128), 128);
    }

    #[test]
    fn a_picture_widened_in_parts_is_the_same_as_widened_whole() {
        let picture: Vec<u8> = (0..600).map(|k| (k % 251) as u8).collect();
        let mut whole = picture.clone();
        widen(&mut whole, 0, 400);
        for cut in 0..600 {
            let mut parts = picture.clone();
            let (a, b) = parts.split_at_mut(cut);
            widen(a, 0, 400);
            widen(b, cut, 400);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }
}
