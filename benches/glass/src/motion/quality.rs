//! How near what was shown is to the clean scene: PSNR and SSIM of luma, and blocks that stay wrong.

use super::numbered::Look;

/// Side of a block whose mean is looked at.
const BLOCK: usize = 8;

/// A block is wrong whose mean is off by more levels.
const WRONG: f64 = 6.0;

/// One look in so many is taken for SSIM, which is slow.
const SSIM_EVERY: usize = 8;

/// What is left out at the top and bottom: the numbers.
const EDGE: usize = crate::code::BLOCK;

/// See the module text.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// Of all whole pictures together, dB.
    pub psnr: f64,
    /// Mean.
    pub ssim: f64,
    /// How far the mean of a block was off at worst, levels.
    pub residue: f64,
    /// How long a block was wrong without a break, ms.
    pub age_ms: f64,
}

/// Measures looks at a loop whose luma should be `clean`. Programs differ in how they treat the range of luma, so the best fit of
/// gain and offset is taken off first.
pub fn measure(looks: &[Look], clean: &[Vec<u8>], width: usize) -> Option<Quality> {
    let of = |look: &Look| &clean[usize::from(look.id) % clean.len()];
    let whole: Vec<&Look> = looks.iter().filter(|look| look.whole).collect();
    let fit = Fit::of(whole.iter().map(|look| (&**of(look), &*look.luma)))?;
    let mut fitted = Vec::new();
    let (mut squares, mut samples, mut ssims, mut residue) = (0.0, 0, Vec::new(), 0.0f64);
    for (index, look) in whole.iter().enumerate() {
        fit.apply(&look.luma, &mut fitted);
        let (shown, wanted) = (inside(&fitted, width), inside(of(look), width));
        squares += shown.iter().zip(wanted).map(|(a, b)| f64::from(a - f32::from(*b)).powi(2)).sum::<f64>();
        samples += shown.len();
        if index % SSIM_EVERY == 0 {
            ssims.push(ssim(shown, wanted, width));
        }
        residue = means(shown, wanted, width).into_iter().fold(residue, |worst, mean| worst.max(mean.abs()));
    }
    let psnr = 10.0 * (255.0 * 255.0 / (squares / samples as f64).max(1e-9)).log10();
    let ssim = ssims.iter().sum::<f64>() / ssims.len() as f64;
    Some(Quality { psnr, ssim, residue, age_ms: age_ms(looks, clean, width, &fit) })
}

fn inside<T>(picture: &[T], width: usize) -> &[T] {
    &picture[EDGE * width..picture.len() - EDGE * width]
}

/// Shown = gain x wanted + offset.
struct Fit {
    gain: f64,
    offset: f64,
}

impl Fit {
    /// By least squares; `None` without pictures.
    fn of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Fit> {
        // Enough of the pixels, and of every column.
        const STEP: usize = 7;
        let (mut n, mut x, mut y, mut xx, mut xy) = (0u64, 0u64, 0u64, 0u64, 0u64);
        for (wanted, shown) in pairs {
            for (wanted, shown) in wanted.iter().zip(shown).step_by(STEP) {
                let (wanted, shown) = (u64::from(*wanted), u64::from(*shown));
                (n, x, y, xx, xy) = (n + 1, x + wanted, y + shown, xx + wanted * wanted, xy + wanted * shown);
            }
        }
        let [n, x, y, xx, xy] = [n, x, y, xx, xy].map(|sum| sum as f64);
        let spread = n * xx - x * x;
        (spread > 0.0).then(|| {
            let gain = (n * xy - x * y) / spread;
            Fit { gain, offset: (y - gain * x) / n }
        })
    }

    fn apply(&self, shown: &[u8], out: &mut Vec<f32>) {
        out.clear();
        out.extend(shown.iter().map(|shown| ((f64::from(*shown) - self.offset) / self.gain) as f32));
    }
}

/// How far each block's mean is off.
fn means(shown: &[f32], wanted: &[u8], width: usize) -> Vec<f64> {
    let rows = shown.chunks_exact(width * BLOCK).zip(wanted.chunks_exact(width * BLOCK));
    rows.flat_map(|(shown, wanted)| {
        let mut sums = vec![0.0; width / BLOCK];
        for (shown, wanted) in shown.chunks_exact(width).zip(wanted.chunks_exact(width)) {
            let blocks = shown.chunks_exact(BLOCK).zip(wanted.chunks_exact(BLOCK));
            for (sum, (shown, wanted)) in sums.iter_mut().zip(blocks) {
                *sum += shown.iter().zip(wanted).map(|(a, b)| f64::from(a - f32::from(*b))).sum::<f64>();
            }
        }
        sums.into_iter().map(|sum| sum / (BLOCK * BLOCK) as f64)
    })
    .collect()
}

/// The longest time that any block was wrong in look after look.
fn age_ms(looks: &[Look], clean: &[Vec<u8>], width: usize, fit: &Fit) -> f64 {
    let (mut since, mut worst, mut fitted): (Vec<Option<u64>>, _, _) = (Vec::new(), 0, Vec::new());
    for look in looks {
        fit.apply(&look.luma, &mut fitted);
        let means = means(inside(&fitted, width), inside(&clean[usize::from(look.id) % clean.len()], width), width);
        since.resize(means.len(), None);
        for (since, mean) in since.iter_mut().zip(means) {
            *since = if mean.abs() > WRONG { Some(since.unwrap_or(look.at_us)) } else { None };
            worst = worst.max(since.map_or(0, |since| look.at_us.saturating_sub(since)));
        }
    }
    worst as f64 / 1e3
}

/// Mean structural similarity (Wang et al. 2004) over windows of 8x8, every four pixels.
fn ssim(shown: &[f32], wanted: &[u8], width: usize) -> f64 {
    const WINDOW: usize = 8;
    const STEP: usize = 4;
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let height = shown.len() / width;
    let (mut sum, mut windows) = (0.0, 0u32);
    for top in (0..=height - WINDOW).step_by(STEP) {
        for left in (0..=width - WINDOW).step_by(STEP) {
            let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0f32, 0.0, 0.0, 0.0, 0.0);
            for y in top..top + WINDOW {
                let at = y * width + left;
                for (shown, wanted) in shown[at..at + WINDOW].iter().zip(&wanted[at..at + WINDOW]) {
                    // Around mid-grey, so that single precision is enough.
                    let (s, w) = (shown - 128.0, f32::from(*wanted) - 128.0);
                    (a, b, aa, bb, ab) = (a + s, b + w, aa + s * s, bb + w * w, ab + s * w);
                }
            }
            let n = (WINDOW * WINDOW) as f64;
            let [a, b, aa, bb, ab] = [a, b, aa, bb, ab].map(|sum| f64::from(sum) / n);
            let (var_a, var_b, cov) = (aa - a * a, bb - b * b, ab - a * b);
            let (a, b) = (a + 128.0, b + 128.0);
            sum += (2.0 * a * b + c1) * (2.0 * cov + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2));
            windows += 1;
        }
    }
    sum / f64::from(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;

    fn scene(seed: usize) -> Vec<u8> {
        (0..WIDTH * 96).map(|at| ((at * 7919 + seed * 31) % 199) as u8 + 20).collect()
    }

    fn look(number: u16, luma: Vec<u8>) -> Look {
        Look { id: number, whole: true, at_us: u64::from(number) * 33_000, luma }
    }

    #[test]
    fn what_is_shown_as_it_should_be_in_another_range_is_all_right() {
        let clean = vec![scene(1), scene(2)];
        let looks: Vec<Look> = (0..4)
            .map(|id| look(id, clean[usize::from(id) % 2].iter().map(|v| (f32::from(*v) * 0.8 + 16.0).round() as u8).collect()))
            .collect();
        let quality = measure(&looks, &clean, WIDTH).unwrap();
        assert!(quality.psnr > 55.0 && quality.ssim > 0.999 && quality.residue < 0.5, "{quality:?}");
        assert_eq!(quality.age_ms, 0.0);
    }

    #[test]
    fn noise_has_the_psnr_that_its_deviation_says() {
        let clean = vec![scene(1)];
        let noisy = clean[0].iter().enumerate().map(|(at, v)| if at % 2 == 0 { v + 4 } else { v - 4 }).collect();
        let quality = measure(&[look(0, noisy)], &clean, WIDTH).unwrap();
        assert!((quality.psnr - 36.09).abs() < 0.1, "{quality:?}");
        assert!(quality.residue < 0.5 && quality.ssim < 1.0);
    }

    #[test]
    fn a_block_that_stays_wrong_is_as_old_as_that() {
        let clean = vec![scene(1)];
        let mut looks: Vec<Look> = (0..10).map(|id| look(id, clean[0].clone())).collect();
        for look in &mut looks[3..7] {
            for y in 40..48 {
                look.luma[y * WIDTH + 16..y * WIDTH + 24].iter_mut().for_each(|v| *v = v.saturating_sub(20));
            }
        }
        let quality = measure(&looks, &clean, WIDTH).unwrap();
        assert!((quality.age_ms - 99.0).abs() < 1.0 && (18.0..21.0).contains(&quality.residue), "{quality:?}");
    }
}
