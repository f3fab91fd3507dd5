//! How late things come: the least of ten seconds, and what to be ready for.
//!
//! **Problem.** A buffer must cover the jitter there is, rise to it quickly and fall slowly; but one stall of 300 ms must not
//! make every later second 300 ms later.
//!
//! **Choice.** What counts is not blocks but *excursions*. One lateness and everything that comes in its shadow (twice its
//! height, so the burst that ends a stall) is one excursion of its highest value; and what to be ready for is the **second
//! highest** excursion of the last ten seconds. Two are a habit and count within milliseconds; one is an accident. However many
//! excursions there are, they are one once it shows that between them nothing came in time: a queue that filled and drained holds
//! up everything for a second or three, and is gone for good. While it stands, it counts. What comes just after a silence is what
//! an outage held up: its lateness is the outage's, and does not count.
//!
//! **Rejected.** A percentile over blocks (NetEq): the burst after a stall is thirty late blocks. A decaying maximum or mean
//! plus deviations (RFC 3550): moved by one stall, or blind to rare regular ones.
//!
//! Invariant: fixed size, allocates nothing.

use std::time::{Duration, Instant};

/// The window has so many seconds, each kept by itself.
const SECONDS: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// The shadow of an excursion is at least and at most so long.
const SHADOW_LEAST_S: f64 = 0.02;
const SHADOW_MOST_S: f64 = 0.5;

/// Nothing for so long is an outage.
const SILENCE: Duration = Duration::from_millis(500);
/// What it held up has come after this: a sender keeps 200 ms of sound.
const AFTERMATH: Duration = Duration::from_millis(300);

/// In time is what is late by less than this, or than this share of the excursions before.
const IN_TIME_S: f64 = 0.005;
const IN_TIME_SHARE: f64 = 0.05;

/// What a second of the window keeps: its least lateness, and its two highest excursions.
#[derive(Debug, Clone, Copy)]
struct Second {
    least: f64,
    highest: [f64; 2],
}

const EMPTY: Second = Second { least: f64::INFINITY, highest: [f64::NEG_INFINITY; 2] };

impl Second {
    fn keep(&mut self, peak: f64) {
        self.highest = two_highest(self.highest, peak);
    }
}

fn two_highest([first, second]: [f64; 2], peak: f64) -> [f64; 2] {
    [first.max(peak), second.max(first.min(peak))]
}

/// A window over lateness in seconds. The zero is the caller's, and may be anywhere.
#[derive(Debug, Clone)]
pub struct Lateness {
    seconds: [Second; SECONDS],
    current: usize,
    began: Option<Instant>,
    /// The excursion going on: its highest value and until when it casts its shadow.
    open: Option<(f64, Instant)>,
    /// Something came in time since it reached that value.
    returned: bool,
    /// The two highest of the excursions between which nothing came in time, and since when.
    hill: Option<([f64; 2], Instant)>,
    last: Option<Instant>,
    aftermath: Option<Instant>,
}

impl Lateness {
    pub fn new() -> Self {
        Lateness {
            seconds: [EMPTY; SECONDS],
            current: 0,
            began: None,
            open: None,
            returned: false,
            hill: None,
            last: None,
            aftermath: None,
        }
    }

    /// Something was late by `value` seconds.
    pub fn record(&mut self, now: Instant, value: f64) {
        self.turn(now);
        let second = &mut self.seconds[self.current];
        second.least = second.least.min(value);
        if self.last.replace(now).is_some_and(|last| now >= last + SILENCE) {
            self.aftermath = Some(now + AFTERMATH);
        }
        if self.aftermath.is_some_and(|until| now < until) {
            return;
        }
        let least = self.least().unwrap_or(value);
        let height = value - least;
        match self.open {
            Some((peak, until)) if now < until => {
                if value > peak {
                    (self.open, self.returned) = (Some((value, now + shadow(height))), false);
                }
            }
            open => {
                match open {
                    Some((peak, _)) if self.returned => self.seconds[self.current].keep(peak),
                    Some((peak, _)) => {
                        let (peaks, _) = self.hill.get_or_insert(([f64::NEG_INFINITY; 2], now));
                        *peaks = two_highest(*peaks, peak);
                    }
                    None => {}
                }
                (self.open, self.returned) = (Some((value, now + shadow(height))), false);
            }
        }
        self.end_hill(now, value, least);
    }

    /// What comes in time ends a hill: it was one excursion, with the one that goes on. One that lasts for as long as anything is
    /// remembered is how the path is.
    fn end_hill(&mut self, now: Instant, value: f64, least: f64) {
        let peak = self.open.map_or(value, |(peak, _)| peak);
        let highest = self.hill.map_or(peak, |([highest, _], _)| highest.max(peak));
        let in_time = value - least <= ((highest - least) * IN_TIME_SHARE).max(IN_TIME_S);
        let second = &mut self.seconds[self.current];
        match self.hill {
            Some(_) if in_time => {
                second.keep(highest);
                // The rest of its shadow hides nothing but what comes now.
                self.open = self.open.map(|(_, until)| (value, until));
                self.hill = None;
            }
            Some((peaks, since)) if now >= since + SECOND * SECONDS as u32 => {
                second.highest = two_highest(two_highest(second.highest, peaks[0]), peaks[1]);
                self.hill = None;
            }
            _ => {}
        }
        self.returned |= in_time;
    }

    /// Makes room for `now`: seconds older than the window are emptied.
    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_secs().min(SECONDS as u64) as u32;
        for _ in 0..passed {
            self.current = (self.current + 1) % SECONDS;
            self.seconds[self.current] = EMPTY;
        }
        if passed > 0 {
            let far = now.saturating_duration_since(began) > SECOND * SECONDS as u32;
            self.began = Some(if far { now } else { began + SECOND * passed });
        }
    }

    /// The least of the window; `None` when it is empty.
    pub fn least(&self) -> Option<f64> {
        let least = self.seconds.iter().map(|second| second.least).fold(f64::INFINITY, f64::min);
        least.is_finite().then_some(least)
    }

    /// What to be ready for: the second highest excursion, or the least where there was only one.
    pub fn ready_for(&self) -> Option<f64> {
        let least = self.least()?;
        let mut both = EMPTY;
        let open = self.open.map(|(peak, _)| peak);
        let hill = self.hill.into_iter().flat_map(|(peaks, _)| peaks);
        for peak in self.seconds.iter().flat_map(|second| second.highest).chain(hill).chain(open) {
            both.keep(peak);
        }
        Some(both.highest[1].max(least))
    }

    /// The caller's zero moved: every value kept is now `by` more.
    pub fn shift(&mut self, by: f64) {
        for second in &mut self.seconds {
            second.least += by;
            second.highest = second.highest.map(|peak| peak + by);
        }
        self.open = self.open.map(|(peak, until)| (peak + by, until));
        self.hill = self.hill.map(|(peaks, since)| (peaks.map(|peak| peak + by), since));
    }
}

impl Default for Lateness {
    fn default() -> Self {
        Self::new()
    }
}

fn shadow(height: f64) -> Duration {
    Duration::from_secs_f64((2.0 * height).clamp(SHADOW_LEAST_S, SHADOW_MOST_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn one_stall_and_its_burst_are_an_accident_and_two_are_a_habit() {
        let (start, mut window) = (start(), Lateness::new());
        for n in 0..1000u64 {
            let at = n * 10;
            // From 5.00 s nothing comes for 300 ms, then everything at once.
            let late = if (5000..5300).contains(&at) { 5300 - at } else { n % 3 };
            window.record(start + ms(at + late), late as f64 * 1e-3);
            assert!(window.ready_for().unwrap() <= 2e-3 + 1e-9, "{:?} at {at}", window.ready_for());
        }
        window.record(start + ms(10_250), 0.25);
        assert!((window.ready_for().unwrap() - 0.25).abs() < 1e-9, "the second within ten seconds counts at once");
    }

    #[test]
    fn a_queue_that_fills_and_drains_counts_while_it_stands_and_is_one_accident_afterwards() {
        let (start, mut window) = (start(), Lateness::new());
        for n in 0..1400u64 {
            // From 2 to 3 s a queue grows to half a second, stands there for two seconds, then drains in one.
            let late = match n {
                200..300 => (n - 200) * 5,
                300..500 => 500 - n % 3,
                500..600 => (600 - n) * 5,
                _ => n % 3,
            };
            window.record(start + ms(n * 10 + late), late as f64 * 1e-3);
            let ready = window.ready_for().unwrap();
            match n {
                410..570 => assert!(ready >= 0.4, "{ready} at {n}"),
                600.. => assert!(ready <= 0.5 * IN_TIME_SHARE, "{ready} at {n}"),
                _ => {}
            }
        }
    }

    /// An outage longer than the window, so that nothing is known after it; then 200 ms of backlog in two bursts.
    #[test]
    fn what_an_outage_held_up_is_no_jitter() {
        let (start, mut window) = (start(), Lateness::new());
        for n in (0..1000u64).chain(3000..3500) {
            let at = n * 10;
            let late = match at {
                30_000..30_100 => 30_180 - at,
                30_100..30_200 => 30_210 - at,
                _ => n % 3,
            };
            window.record(start + ms(at + late), late as f64 * 1e-3);
        }
        assert!(window.ready_for().unwrap() <= 2e-3 + 1e-9, "{:?}", window.ready_for());
    }

    #[test]
    fn jitter_counts_within_a_fifth_of_a_second_and_is_forgotten_after_ten() {
        let (start, mut window) = (start(), Lateness::new());
        for n in 0..3000u64 {
            let late = if (1000..1500).contains(&n) { [0, 30, 10, 25, 5][n as usize % 5] } else { 0 };
            window.record(start + ms(n * 10 + late), late as f64 * 1e-3);
            let ready = window.ready_for().unwrap();
            if (1020..1500).contains(&n) {
                assert!((ready - 0.030).abs() < 1e-6, "{ready} at {n}");
            }
            if n > 2610 {
                assert!(ready < 1e-6, "{ready} at {n}");
            }
        }
    }

    #[test]
    fn a_path_that_got_longer_is_known_after_its_second_excursion() {
        let (start, mut window) = (start(), Lateness::new());
        for n in 0..200u64 {
            let late = if n >= 100 { 50 } else { 0 };
            window.record(start + ms(n * 10 + late), late as f64 * 1e-3);
        }
        assert_eq!(window.ready_for(), Some(0.05));
    }

    #[test]
    fn after_a_long_silence_nothing_old_is_left_and_shifting_moves_everything() {
        let (start, mut window) = (start(), Lateness::new());
        window.record(start, 0.4);
        window.record(start + ms(900), 0.3);
        window.shift(1.0);
        assert_eq!((window.least(), window.ready_for()), (Some(1.3), Some(1.3)));
        window.record(start + ms(60_000), 0.1);
        assert_eq!(window.least(), Some(0.1));
    }
}
