//! Every MCU is sent again from time to time, changed or not.
//!
//! What a receiver lacks is told and repaired at once. This is for what nobody knows of, and for what is left below the
//! detector's limits: no fault stands longer than [`AGE`], on a screen for which there is no room twice as long. All come in
//! turn, a few a picture, in a stride across the picture: a front of MCUs sent row by row would be seen to wander over a
//! still scene. Some neighbours come together, which takes fewer bytes. Pure: the caller says how much time passed.

use std::time::Duration;

/// At most so old is anything that is shown.
pub const AGE: Duration = Duration::from_secs(3);

/// Neighbours that come together.
pub const RUN: usize = 8;

/// See the module text.
#[derive(Debug, Clone, Default)]
pub struct Ageing {
    turn: Turn,
    /// How often all came.
    rounds: usize,
    /// What of a run is due already, in runs times nanoseconds of [`AGE`].
    due: u128,
}

impl Ageing {
    /// The MCUs of a picture of so many that are due since the last call, each once.
    pub fn due(&mut self, mcus: usize, passed: Duration) -> impl Iterator<Item = usize> + use<> {
        let runs = mcus.div_ceil(RUN);
        let due = self.due + passed.as_nanos() * runs as u128;
        let count = ((due / AGE.as_nanos()) as usize).min(runs);
        self.due = if count == runs { 0 } else { due % AGE.as_nanos() };
        self.rounds += usize::from(self.turn.next + count >= runs);
        let turn = self.turn.take(runs, count);
        turn.flat_map(move |run| run * RUN..((run + 1) * RUN).min(mcus))
    }

    /// Of those that come in this round, one run in `each`, and another in the next one.
    pub fn is_one_of(&self, mcu: usize, each: usize) -> bool {
        (mcu / RUN + self.rounds).is_multiple_of(each)
    }
}

/// Whose turn it is of many that all come before one comes again, neighbours far from each other.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    of: usize,
    stride: usize,
    next: usize,
}

impl Turn {
    /// The next `count` of so many, which are at least as many.
    pub fn take(&mut self, of: usize, count: usize) -> impl Iterator<Item = usize> + use<> {
        if self.of != of {
            *self = Turn { of, stride: stride(of), next: 0 };
        }
        let (first, stride) = (self.next, self.stride);
        self.next = (first + count) % of.max(1);
        (first..first + count).map(move |turn| turn * stride % of)
    }
}

/// A step of about 0.38 of all (the golden section spreads best) that comes to every one before it comes to one again.
fn stride(of: usize) -> usize {
    let common = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let about = of * 382 / 1000;
    (about..).find(|stride| common(*stride, of) <= 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn nothing_grows_older_than_three_seconds_whatever_the_rate_and_the_size() {
        for mcus in [1, 2, 7, 64, 1200, 3600, 8160] {
            for millis in [4, 16, 33, 100, 700] {
                let (mut ageing, mut seen, mut now) = (Ageing::default(), BTreeMap::new(), Duration::ZERO);
                let period = Duration::from_millis(millis);
                while now < 3 * AGE {
                    now += period;
                    let due: Vec<usize> = ageing.due(mcus, period).collect();
                    let most = mcus * millis as usize / AGE.as_millis() as usize + 2 * RUN;
                    assert!(due.len() <= most, "they come a few at a time: {}", due.len());
                    for mcu in due {
                        let last = seen.insert(mcu, now).unwrap_or_default();
                        assert!(mcu < mcus && now > last && now - last <= AGE + period, "{mcu} of {mcus} after {:?}", now - last);
                    }
                }
                assert_eq!(seen.len(), mcus);
            }
        }
    }

    #[test]
    fn after_a_long_pause_every_mcu_is_due_once() {
        let mut due: Vec<usize> = Ageing::default().due(3600, Duration::from_secs(100)).collect();
        due.sort_unstable();
        assert_eq!(due, (0..3600).collect::<Vec<_>>());
        assert_eq!(Ageing::default().due(0, AGE).count(), 0);
    }
}
