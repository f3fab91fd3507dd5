//! How early or late sound is beside the pictures of a track, by the second and in a run.

use super::super::stats::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lip errors: each picture's latency less that of the sound heard as it was shown, ms. Those of one second as they are, at most
/// [`Lips::MOST`]; those of the run counted by whole milliseconds, to [`Lips::WIDEST`] either way.
#[derive(Default)]
pub struct Lips {
    second: Vec<f64>,
    run: BTreeMap<i16, u64>,
}

impl Lips {
    /// As many as pictures are measured.
    const MOST: usize = 1200;

    /// Sound is held for 2 s at most.
    const WIDEST: f64 = 5000.0;

    /// Of one picture, and the sound heard as it was shown: so old was each.
    pub fn push(&mut self, picture: Duration, sound: Duration) {
        let lip = (picture.as_secs_f64() - sound.as_secs_f64()) * 1e3;
        if self.second.len() < Self::MOST {
            self.second.push(lip);
        }
        *self.run.entry(lip.clamp(-Self::WIDEST, Self::WIDEST).round() as i16).or_default() += 1;
    }

    /// The 5th, 50th and 95th percentile by nearest rank.
    pub fn percentiles(&mut self, span: Span) -> Option<[f64; 3]> {
        match span {
            Span::Second => {
                self.second.sort_unstable_by(f64::total_cmp);
                let at = |percent: usize| self.second.get((self.second.len() * percent).div_ceil(100).saturating_sub(1)).copied();
                Some([at(5)?, at(50)?, at(95)?])
            }
            Span::Run => {
                let total: u64 = self.run.values().sum();
                let at = |percent: u64| {
                    let mut left = (total * percent).div_ceil(100).max(1);
                    self.run.iter().find_map(|(lip, count)| {
                        left = left.saturating_sub(*count);
                        (left == 0).then(|| f64::from(*lip))
                    })
                };
                Some([at(5)?, at(50)?, at(95)?])
            }
        }
    }

    /// The second is over.
    pub fn next_second(&mut self) {
        self.second.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lip_errors_of_a_run_are_counted_by_the_millisecond() {
        let mut lips = Lips::default();
        assert_eq!(lips.percentiles(Span::Run), None);
        for picture in 1..=100 {
            lips.push(Duration::from_millis(picture), Duration::from_millis(50));
            lips.next_second();
        }
        assert_eq!((lips.percentiles(Span::Second), lips.percentiles(Span::Run)), (None, Some([-45.0, 0.0, 45.0])));
    }
}
