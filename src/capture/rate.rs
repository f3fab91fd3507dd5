//! A picture rate as a fraction: 24000/1001 is not 23.976, and a film told in the latter drifts.

use std::time::Duration;

const NANOS: u128 = 1_000_000_000;

/// Pictures a second; both parts are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// More pictures a second than any film, camera or display has; more is a mistake in a header.
    pub const MAX: u32 = 1000;

    /// What most cameras give: 30.
    pub const DEFAULT: Rate = Rate { num: 30, den: 1 };

    /// What a film plays at that does not say: 25, as ffmpeg takes it.
    pub const PAL: Rate = Rate { num: 25, den: 1 };

    /// Two a second: often enough for what does not move.
    pub const TWO: Rate = Rate { num: 2, den: 1 };

    /// `num / den` pictures a second, if that is more than one a minute and at most [`Rate::MAX`] a second.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let (num64, den64) = (u64::from(num), u64::from(den));
        (den > 0 && num64 * 60 >= den64 && num64 <= den64 * u64::from(Self::MAX)).then_some(Rate { num, den })
    }

    /// From `30000/1001` or `30000:1001`, as ffprobe and y4m headers write it.
    pub fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once(['/', ':'])?;
        Self::new(num.parse().ok()?, den.parse().ok()?)
    }

    /// The numerator.
    pub fn num(self) -> u32 {
        self.num
    }

    /// The denominator.
    pub fn den(self) -> u32 {
        self.den
    }

    /// When picture `k` is due after picture 0. Exact to the nanosecond for any `k`: no period is added up.
    pub fn at(self, k: u64) -> Duration {
        let nanos = u128::from(k) * u128::from(self.den) * NANOS / u128::from(self.num);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The time between two pictures.
    pub fn period(self) -> Duration {
        self.at(1)
    }

    /// The picture nearest to `time` after picture 0.
    pub fn nearest(self, time: Duration) -> u64 {
        let scaled = time.as_nanos() * u128::from(self.num);
        let unit = u128::from(self.den) * NANOS;
        u64::try_from((scaled + unit / 2) / unit).unwrap_or(u64::MAX)
    }

    /// Pictures a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.num.is_multiple_of(self.den) {
            write!(f, "{}", self.num / self.den)
        } else {
            write!(f, "{:.2}", self.per_second())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_ntsc_pictures_ends_where_it_should() {
        let rate = Rate::parse("30000/1001").unwrap();
        assert_eq!(rate.at(30_000 * 86), Duration::from_secs(1001 * 86));
        assert_eq!(rate.nearest(rate.at(2_589_410)), 2_589_410);
    }

    #[test]
    fn senseless_rates_are_refused() {
        for text in ["0/0", "1/0", "0/1", "90000/1", "1/61", "30", "-3/1", "a/b", "4294967296/1"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
