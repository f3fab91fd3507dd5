//! `Rate`: pictures a second as a fraction. 24000/1001 is not 23.976, and a film told in the latter drifts.
//!
//! In lowest terms and never zero, so that two rates are equal where they mean the same. Nobody's word is judged here but that of
//! a header ([`Rate::parse`]): what a user may ask for, what a camera can do and what a peer is believed are others' business.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

const NANOS: u128 = 1_000_000_000;

/// Pictures a second; both parts are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// What most cameras give: 30.
    pub const DEFAULT: Rate = Rate { num: 30, den: 1 };

    /// What a film plays at that does not say: 25, as ffmpeg takes it.
    pub const PAL: Rate = Rate { num: 25, den: 1 };

    /// One a minute: of anything slower each picture is a still.
    pub const LEAST: Rate = Rate { num: 1, den: 60 };

    /// More pictures a second than any film, camera or display has: 1000.
    pub const MOST: Rate = Rate { num: 1000, den: 1 };

    /// `num / den` pictures a second; `None` where either is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let (mut shared, mut rest) = (num, den);
        while rest != 0 {
            (shared, rest) = (rest, shared % rest);
        }
        Some(Rate { num: num / shared, den: den / shared })
    }

    /// From `30000/1001` or `30000:1001`, as ffprobe and y4m headers write it. Outside [`Rate::LEAST`] to [`Rate::MOST`] it is a
    /// mistake, and `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (num, den) = text.split_once(['/', ':'])?;
        Self::new(whole(num)?, whole(den)?).filter(|rate| (Self::LEAST..=Self::MOST).contains(rate))
    }

    pub const fn num(self) -> u32 {
        self.num
    }

    pub const fn den(self) -> u32 {
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

    /// As a whole number, where it is one.
    pub fn whole(self) -> Option<u32> {
        (self.den == 1).then_some(self.num)
    }

    /// The nearest whole number, at least 1.
    pub fn rounded(self) -> u32 {
        let rounded = (u64::from(self.num) + u64::from(self.den) / 2) / u64::from(self.den);
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    }

    /// The next whole number that is not below it.
    pub fn rounded_up(self) -> u32 {
        self.num.div_ceil(self.den)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let crossed = |a: &Rate, b: &Rate| u64::from(a.num) * u64::from(b.den);
        crossed(self, other).cmp(&crossed(other, self))
    }
}

/// Pictures a second as people say it: `30`, `29.97`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => write!(f, "{whole}"),
            None => write!(f, "{:.2}", self.per_second()),
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
        for text in ["0/0", "1/0", "0/1", "90000/1", "1/61", "30", "-3/1", "+3/1", "a/b", "4294967296/1"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        assert_eq!((Rate::new(0, 1), Rate::new(30, 0), Rate::new(0, 0)), (None, None, None));
    }

    #[test]
    fn rates_reduce_compare_and_round() {
        assert_eq!(Rate::new(60, 2).unwrap().whole(), Some(30));
        let ntsc = Rate::new(30_000, 1001).unwrap();
        assert_eq!(Rate::parse("60000:2002"), Some(ntsc));
        assert!(ntsc < Rate::DEFAULT && Rate::PAL < ntsc);
        assert_eq!((ntsc.rounded(), ntsc.rounded_up(), ntsc.to_string().as_str()), (30, 30, "29.97"));
        let slow = Rate::new(1, 10).unwrap();
        assert_eq!((slow.rounded(), slow.rounded_up(), slow.to_string().as_str()), (1, 1, "0.10"));
        let half = Rate::new(25, 2).unwrap();
        assert_eq!((half.rounded(), half.rounded_up(), half.to_string().as_str()), (13, 13, "12.50"));
        assert_eq!(Rate::PAL.period(), Duration::from_millis(40));
    }
}
