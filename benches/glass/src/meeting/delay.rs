//! How late one sound is in another: the lag at which they are most alike, two seconds by two seconds.

/// Samples a second of what was recorded.
pub const RATE: usize = 48_000;

/// So many samples are compared as one: an eighth of a millisecond is fine enough.
const JOINED: usize = 6;

/// Joined samples a second.
const COARSE: usize = RATE / JOINED;

/// The longest delay looked for.
const LONGEST: usize = COARSE * 7 / 10;

/// What is compared at once: in less, the lag may be off by a period of the voice.
const PIECE: usize = 2 * COARSE;

/// Quieter than this, nobody speaks: of full scale 1.
const SILENCE: f32 = 0.003;

/// The least likeness at which what was said counts as heard. Speech is as like itself at a wrong lag.
const HEARD: f32 = 0.35;

/// What was heard of what was said, a value for each piece in which somebody spoke; they overlap.
#[derive(Default)]
pub struct Delays {
    /// Of those that were heard.
    pub ms: Vec<f64>,
    /// Of all: 1 is the same, but for its loudness; where sound has a gap or jumps it is less.
    pub likeness: Vec<f64>,
}

/// Compares what was said and heard at the same moments, `said` and `heard` in each pair.
pub fn of(pairs: &[[i16; 2]]) -> Delays {
    let [said, heard] = [0, 1].map(|channel| coarse(pairs, channel));
    let mut delays = Delays::default();
    for from in (0..said.len().saturating_sub(PIECE + LONGEST)).step_by(COARSE / 2) {
        let piece = &said[from..from + PIECE];
        if root_mean_square(piece) < SILENCE {
            continue;
        }
        let (lag, likeness) = most_alike(piece, &heard[from..from + PIECE + LONGEST]);
        delays.likeness.push(likeness.into());
        if likeness >= HEARD {
            delays.ms.push(lag as f64 * 1e3 / COARSE as f64);
        }
    }
    delays
}

fn coarse(pairs: &[[i16; 2]], channel: usize) -> Vec<f32> {
    let mean = |pairs: &[[i16; 2]]| pairs.iter().map(|pair| f32::from(pair[channel]) / 32_768.0).sum::<f32>() / JOINED as f32;
    pairs.chunks_exact(JOINED).map(mean).collect()
}

fn energy(samples: &[f32]) -> f32 {
    product(samples, samples)
}

/// The sum of products, in lanes as a processor has them; what does not fill them all is left out.
fn product(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

fn root_mean_square(samples: &[f32]) -> f32 {
    (energy(samples) / samples.len() as f32).sqrt()
}

/// The lag of `said` in `heard`, and the normalised correlation there.
fn most_alike(said: &[f32], heard: &[f32]) -> (usize, f32) {
    let own = energy(said);
    let likeness = |lag: usize| {
        let heard = &heard[lag..lag + said.len()];
        product(said, heard) / (own * energy(heard)).sqrt().max(f32::MIN_POSITIVE)
    };
    (0..=heard.len() - said.len()).map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voices::Voice;

    fn recorded(delay: usize, loudness: f64) -> Vec<[i16; 2]> {
        let said: Vec<f64> = Voice::new(7, 130.0).take(6 * RATE).collect();
        let heard = std::iter::repeat_n(0.0, delay).chain(said.iter().copied());
        said.iter().zip(heard).map(|(said, heard)| [said * 32_767.0, heard * loudness * 32_767.0].map(|x| x as i16)).collect()
    }

    #[test]
    fn a_voice_that_comes_later_and_quieter_is_found_at_its_delay() {
        for ms in [0, 7, 61, 262] {
            let delays = of(&recorded(ms * RATE / 1000, 0.3));
            assert!(delays.ms.len() >= 4 && delays.ms.iter().all(|delay| (delay - ms as f64).abs() < 0.2), "{:?}", delays.ms);
            assert!(delays.likeness.iter().all(|likeness| *likeness > 0.98), "{:?}", delays.likeness);
        }
    }

    #[test]
    fn where_nothing_is_heard_there_is_no_delay() {
        let delays = of(&recorded(0, 0.0));
        assert!(delays.ms.is_empty() && delays.likeness.iter().all(|likeness| *likeness < 0.1));
    }

    #[test]
    fn sound_that_jumps_is_less_alike() {
        let mut pairs = recorded(2400, 1.0);
        // Every 20 ms, 5 ms are lost.
        let heard: Vec<i16> =
            pairs.chunks(960).flat_map(|piece| piece[..piece.len().min(720)].iter().map(|pair| pair[1])).collect();
        pairs.truncate(heard.len());
        pairs.iter_mut().zip(heard).for_each(|(pair, heard)| pair[1] = heard);
        let mut likeness = of(&pairs).likeness;
        assert!(crate::stats::quantile(&mut likeness, 0.5) < 0.7, "{likeness:?}");
    }
}
