//! Sample counts of one sound card against `Instant`, and the controller that keeps two cards together.
//!
//! **Problem.** A card's 48 000 samples a second are its own: two cards differ by up to a few hundred ppm, which fills or
//! empties any buffer within minutes. What can be seen of it is noisy: the time stamps of a sound server wander by
//! milliseconds, blocks arrive when the network likes.
//!
//! **Choice.** Two small loops, each with one job.
//! * [`Card`] is a phase-locked loop from a card's sample count to `Instant`. It first averages everything (gain 1/t), then
//!   with a time constant of 4 s, and follows the card's real rate; a stamp thus loses its noise and keeps its meaning. A
//!   stamp that stays off by more than 10 ms is a gap in the card's stream: the loop lets go and starts there. Microphone and
//!   speaker use the same loop, in opposite directions.
//! * [`Controller`] turns "this sample leaves the speaker too late by so much" into a resampling ratio: proportional and
//!   integral, critically damped at 0.1 rad/s, ten times as eager where more than 4 ms are missing; at most ±0.5 % (a twelfth
//!   of a semitone), reached in no less than a second. The integral learns how the cards differ; it learns only near the
//!   target, so a stall teaches it nothing.
//!
//! **Rejected.** Steering by buffer fill alone (scrcpy's regulator, roc's by default): the fill saws by a block and by the
//! network's jitter, so it must be averaged for tens of seconds, and says nothing about lip sync. Dropping or doubling single
//! samples: audible on tones. Asking the card for its rate: none tells.
//!
//! Sources: J. Smith et al., "Using a DLL to filter time" (F. Adriaensen, LAC 2005) for the loop; roc-toolkit's
//! `fe_resampler` notes for the controller's speed.

use std::time::Instant;

use super::clock::{offset, seconds_between};

/// Steady time constant of [`Card`], seconds.
const LOOP_S: f64 = 4.0;
/// Before this the card's rate is taken as nominal: noise over a shorter time looks like thousands of ppm.
const RATE_AFTER_S: f64 = 1.0;
/// Crystals differ by less; what asks for more is noise.
const MAX_CARD: f64 = 1000e-6;
/// What stamps wander by, for the rate.
const NOISE_S: f64 = 1e-3;
/// A stamp further off than this is a suspected gap.
const GAP_S: f64 = 10e-3;
/// One that stays off for so long, or by so much at once, is one.
const GAP_LASTS_S: f64 = 0.1;
const LARGE_GAP_S: f64 = 40e-3;
const LARGE_GAP_LASTS_S: f64 = 0.015;

/// Where a card's sample counter is in time.
#[derive(Debug, Clone)]
pub struct Card {
    nominal: f64,
    state: Option<Lock>,
}

#[derive(Debug, Clone, Copy)]
struct Lock {
    frame: u64,
    at: Instant,
    /// Seconds a frame, relative to nominal, less one.
    slow: f64,
    /// Seconds since the loop took hold.
    age: f64,
    /// Seconds for which stamps have been off by more than `GAP_S`.
    off: f64,
}

impl Card {
    /// A card said to make `rate` frames a second.
    pub fn new(rate: u32) -> Self {
        Card { nominal: 1.0 / f64::from(rate), state: None }
    }

    /// A stamp: `frame` is at the converter at about `at`. Frames never go backwards. True when this is a new beginning.
    pub fn observe(&mut self, frame: u64, at: Instant) -> bool {
        let fresh = Lock { frame, at, slow: 0.0, age: 0.0, off: 0.0 };
        let Some(lock) = &mut self.state else {
            self.state = Some(fresh);
            return true;
        };
        let frames = frame.saturating_sub(lock.frame) as f64;
        let passed = frames * self.nominal;
        let expected = offset(lock.at, (passed * (1.0 + lock.slow) * 1e9) as i64);
        let error = seconds_between(at, expected);
        lock.frame = lock.frame.max(frame);
        lock.at = expected;
        if error.abs() > GAP_S {
            lock.off += passed.max(1e-3);
            if lock.off > GAP_LASTS_S || (error.abs() > LARGE_GAP_S && lock.off > LARGE_GAP_LASTS_S) {
                self.state = Some(Lock { slow: lock.slow, ..fresh });
                return true;
            }
            return false;
        }
        lock.off = 0.0;
        lock.age += passed;
        let window = lock.age.clamp(passed.max(1e-3), LOOP_S);
        let step = (passed / window).min(1.0);
        // Critically damped: the phase takes 2·step of the error, the rate step².
        lock.at = offset(lock.at, (error * (2.0 * step).min(1.0) * 1e9) as i64);
        if lock.age > RATE_AFTER_S && passed > 0.0 {
            // A small gap is an error too, but none of the rate: it may not teach more than noise does.
            let drift = error.clamp(-NOISE_S, NOISE_S);
            lock.slow = (lock.slow + drift * step * step / passed).clamp(-MAX_CARD, MAX_CARD);
        }
        false
    }

    /// When `frame` is at the converter; `None` before the first stamp.
    pub fn instant(&self, frame: u64) -> Option<Instant> {
        let lock = self.state?;
        let frames = if frame >= lock.frame { (frame - lock.frame) as f64 } else { -((lock.frame - frame) as f64) };
        Some(offset(lock.at, (frames * self.nominal * (1.0 + lock.slow) * 1e9) as i64))
    }

    /// Which frame is at the converter at `at`, fractions of one included; `None` before the first stamp. Below zero for what was
    /// before the first frame.
    pub fn frame(&self, at: Instant) -> Option<f64> {
        let lock = self.state?;
        Some(lock.frame as f64 + seconds_between(at, lock.at) / (self.nominal * (1.0 + lock.slow)))
    }

    /// How much faster than nominal the card runs, in parts per million of this machine's clock.
    pub fn ppm(&self) -> f64 {
        self.state.map_or(0.0, |lock| -lock.slow * 1e6)
    }
}

/// Most the pitch is moved: 0.5 %, a twelfth of a semitone.
pub const MAX_CORRECTION: f64 = 5e-3;
/// Fastest the pitch moves, a second.
const MAX_SLEW: f64 = 5e-3;
/// Natural frequency of the loop, rad/s.
const SPEED: f64 = 0.1;
/// What is further off than this is hurried home, at this gain: it is not drift, the target moved.
const HURRY_S: f64 = 4e-3;
const HURRY: f64 = 1.0;
/// The error is averaged over so many seconds first.
const SMOOTH_S: f64 = 0.5;
/// Within this the integral learns.
const LEARN_S: f64 = 15e-3;
/// What two cards and two computers can differ by.
const MAX_LEARNT: f64 = 1500e-6;

/// Lateness in, relative speed out.
#[derive(Debug, Clone, Default)]
pub struct Controller {
    error: Option<f64>,
    learnt: f64,
    correction: f64,
}

impl Controller {
    pub fn new() -> Self {
        Self::default()
    }

    /// `late`: seconds by which sound leaves the speaker after its target, seen over the last `passed` seconds. Answers by how
    /// much faster than nominal to consume it (0.001: 0.1 % faster).
    pub fn update(&mut self, passed: f64, late: f64) -> f64 {
        let old = self.error.unwrap_or(late);
        let error = old + (late - old) * (passed / SMOOTH_S).min(1.0);
        self.error = Some(error);
        if error.abs() < LEARN_S {
            self.learnt = (self.learnt + SPEED * SPEED * error * passed).clamp(-MAX_LEARNT, MAX_LEARNT);
        }
        let hurry = HURRY * (error - error.clamp(-HURRY_S, HURRY_S));
        self.approach(passed, 2.0 * SPEED * error + hurry + self.learnt)
    }

    /// Nothing is seen (silence, a gap): goes on as learnt.
    pub fn coast(&mut self, passed: f64) -> f64 {
        self.error = None;
        self.approach(passed, self.learnt)
    }

    /// The place in the stream was changed by hand: what was seen before says nothing about it.
    pub fn moved(&mut self) {
        self.error = None;
    }

    fn approach(&mut self, passed: f64, wanted: f64) -> f64 {
        let step = MAX_SLEW * passed;
        let wanted = wanted.clamp(-MAX_CORRECTION, MAX_CORRECTION);
        self.correction += (wanted - self.correction).clamp(-step, step);
        self.correction
    }

    /// The ratio now, in parts per million.
    pub fn ppm(&self) -> f64 {
        self.correction * 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    fn noise(n: u64) -> f64 {
        let x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    #[test]
    fn a_card_is_known_to_a_third_of_a_millisecond_through_stamps_that_wander_by_four() {
        for ppm in [-300.0, 0.0, 300.0] {
            let (start, mut card) = (start() + Duration::from_secs(1), Card::new(48_000));
            let real = |frame: u64| frame as f64 / (48_000.0 * (1.0 + ppm * 1e-6));
            for n in 0..6000u64 {
                let frame = n * 480;
                let at = offset(start, ((real(frame) + noise(n) * 4e-3) * 1e9) as i64);
                assert_eq!(card.observe(frame, at), n == 0);
                if n > 1500 {
                    let off = seconds_between(card.instant(frame).unwrap(), start) - real(frame);
                    assert!(off.abs() < 0.33e-3, "{ppm} ppm: off by {off} at {n}");
                }
            }
            assert!((card.ppm() - ppm).abs() < 40.0, "{} of {ppm}", card.ppm());
            for frame in [2_800_000u64, 2_900_000] {
                let found = card.frame(card.instant(frame).unwrap()).unwrap();
                assert!((found - frame as f64).abs() < 1e-3, "{found} is {frame}");
            }
        }
    }

    #[test]
    fn a_gap_in_the_card_moves_its_time_within_a_tenth_of_a_second_and_a_single_bad_stamp_does_not() {
        let (start, mut card) = (start(), Card::new(48_000));
        let mut again = 0;
        for n in 0..400u64 {
            let gap = if n >= 200 { 0.3 } else { 0.0 };
            let bad = if n == 100 { 0.5 } else { 0.0 };
            again += u32::from(card.observe(n * 480, offset(start, ((n as f64 * 0.01 + gap + bad) * 1e9) as i64)));
            if n == 101 || n == 210 {
                let off = seconds_between(card.instant(n * 480).unwrap(), start) - (n as f64 * 0.01 + gap);
                assert!(off.abs() < 1e-3, "off by {off} at {n}");
            }
        }
        assert_eq!(again, 2, "the first stamp and the gap");
    }

    /// A buffer that drifts by `ppm` under the controller, for `seconds`; its lateness each 10 ms.
    fn run(controller: &mut Controller, ppm: f64, mut late: f64, seconds: u32) -> Vec<f64> {
        (0..seconds * 100)
            .map(|_| {
                let faster = controller.update(0.01, late);
                late += (ppm * 1e-6 - faster) * 0.01;
                late
            })
            .collect()
    }

    #[test]
    fn the_controller_takes_600_ppm_with_four_milliseconds_and_forgets_them() {
        for ppm in [-600.0, 600.0] {
            let mut controller = Controller::new();
            let late = run(&mut controller, ppm, 0.0, 200);
            assert!(late.iter().all(|l| l.abs() < 4e-3));
            assert!(late[15_000..].iter().all(|l| l.abs() < 0.1e-3));
            assert!((controller.ppm() - ppm).abs() < 5.0);
        }
    }

    #[test]
    fn fifty_milliseconds_are_gone_in_half_a_minute_without_a_step_or_more_than_half_a_percent() {
        let mut controller = Controller::new();
        let (mut late, mut before) = (0.05, 0.0);
        for _ in 0..3000 {
            let faster = controller.update(0.01, late);
            assert!((faster - before).abs() <= MAX_SLEW * 0.01 + 1e-12 && faster.abs() <= MAX_CORRECTION);
            before = faster;
            late -= faster * 0.01;
        }
        assert!(late.abs() < 3e-3, "{late}");
    }

    #[test]
    fn coasting_keeps_what_was_learnt() {
        let mut controller = Controller::new();
        run(&mut controller, 200.0, 0.0, 200);
        for _ in 0..1000 {
            controller.coast(0.01);
        }
        assert!((controller.ppm() - 200.0).abs() < 5.0);
    }
}
