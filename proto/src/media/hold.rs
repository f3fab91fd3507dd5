//! When a picture that is whole is due, and how long sound is held at least: lips and voice together.
//!
//! **Problem.** Pictures and sound come by different ways, each as early as it can. A listener forgives sound that is late (it is so from
//! across the room) and hardly sound that is early: ITU-R BT.1359 says that from 45 ms early to 125 ms late nobody notices. To hold either
//! costs latency, which everybody notices.
//!
//! **Choice.** `auto`: a picture is due at once. Only where sound is later than the bound allows is the picture held, by what is beyond it;
//! only where sound would be earlier than the bound allows is sound held, by what is beyond that. Both with a [`MARGIN`]. What is held is told
//! by measured latencies, capture to display and capture to speaker, on the sender's one clock. Sound is moved by [`SLEW`], which a
//! resampler follows unheard, and jumps only over more than [`JUMP`].
//! A given latency: both at capture and so much; what is later than that is due at once.
//!
//! **Rejected.** Both at the later of the two, always (what players of files do): pictures would be 40 ms late on every LAN.
//! Percentiles of a picture's latency for the bound: two retransmissions in ten seconds would move the sound.
//!
//! Lip error is the picture's latency less the sound's: positive is sound early.

use std::time::{Duration, Instant};

/// Sound may be so much early and so much late (ITU-R BT.1359-1, detectability), seconds.
pub const EARLIEST: f64 = 0.045;
/// See [`EARLIEST`].
pub const LATEST: f64 = 0.125;
/// Kept from both bounds: a frame period's half, by which pictures scatter.
const MARGIN: f64 = 0.015;
/// The picture's latency is averaged over so many seconds.
const SMOOTH_S: f64 = 2.0;
/// How fast the time for which sound is held moves: less than the resampler's 5 ms/s.
const SLEW: f64 = 4e-3;
/// More than this is moved at once: it would take a quarter of a minute.
const JUMP: f64 = 0.06;
/// A latency beyond this is no habit of a path: the sender's machine slept and its clock is not known anew yet, or an outage just ended.
const BELIEVED_S: f64 = 1.0;
/// A silence longer than this says nothing about the time between.
const LONGEST_S: f64 = 1.0;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// As little as there can be.
    #[default]
    Auto,
    /// Both at capture and so much.
    Fixed(Duration),
}

#[derive(Debug, Clone, Default)]
pub struct Hold {
    latency: Latency,
    /// Capture to speaker as measured last, seconds.
    sound: Option<f64>,
    /// Capture to display as it would be unheld, smoothed, seconds.
    picture: Option<f64>,
    /// Capture to speaker at least, seconds.
    asked: Option<f64>,
    seen: Option<Instant>,
}

impl Hold {
    /// Nothing was measured yet.
    pub fn new(latency: Latency) -> Self {
        Hold { latency, ..Hold::default() }
    }

    /// For how long the user wants everything held.
    pub fn fixed(&self) -> Duration {
        if let Latency::Fixed(latency) = self.latency { latency } else { Duration::ZERO }
    }

    /// Capture to speaker, as measured; `None` while no sound is played.
    pub fn sound_is(&mut self, latency: Option<Duration>) {
        self.sound = latency.map(|latency| latency.as_secs_f64()).filter(|latency| *latency <= BELIEVED_S);
    }

    /// A picture was shown at `now`, so long after its capture as it would have been had it not been held.
    pub fn picture_was(&mut self, now: Instant, unheld: Duration) {
        if unheld.as_secs_f64() > BELIEVED_S {
            return;
        }
        let passed = self.seen.replace(now).map_or(0.0, |seen| now.saturating_duration_since(seen).as_secs_f64());
        let (passed, unheld) = (passed.min(LONGEST_S), unheld.as_secs_f64());
        let old = self.picture.unwrap_or(unheld);
        let picture = old + (unheld - old) * (passed / SMOOTH_S).min(1.0);
        self.picture = Some(picture);
        let least = picture - EARLIEST + MARGIN;
        self.asked = match self.asked {
            Some(asked) if (least - asked).abs() < JUMP => Some(asked + (least - asked).clamp(-SLEW * passed, SLEW * passed)),
            _ => Some(least),
        };
    }

    /// How long after its capture a picture is due; `None`: as soon as it is whole.
    pub fn picture_due(&self) -> Option<Duration> {
        match self.latency {
            Latency::Fixed(latency) => Some(latency),
            Latency::Auto => {
                let earliest = self.sound? - LATEST + MARGIN;
                (earliest > 0.0).then(|| Duration::from_secs_f64(earliest.min(1e6)))
            }
        }
    }

    /// How long after its capture sound is due at least; `None`: as soon as its jitter allows.
    pub fn sound_due(&self) -> Option<Duration> {
        match self.latency {
            Latency::Fixed(latency) => Some(latency),
            Latency::Auto => self.asked.filter(|asked| *asked > 0.0).map(|asked| Duration::from_secs_f64(asked.min(1e6))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    /// Pictures for so many seconds, thirty a second; what sound was held for after each.
    fn pictures(hold: &mut Hold, from: Instant, seconds: u64, unheld: Duration) -> Vec<Option<Duration>> {
        (0..seconds * 30)
            .map(|n| {
                hold.picture_was(from + ms(n * 1000 / 30), unheld);
                hold.sound_due()
            })
            .collect()
    }

    #[test]
    fn within_the_bounds_nothing_is_held() {
        let mut hold = Hold::new(Latency::Auto);
        assert_eq!((hold.picture_due(), hold.sound_due()), (None, None));
        for sound in [5, 50, 109] {
            hold.sound_is(Some(ms(sound)));
            assert_eq!(hold.picture_due(), None);
        }
        assert!(
            pictures(&mut hold, start(), 5, ms(29)).iter().all(Option::is_none),
            "a picture of 29 ms cannot be behind its sound"
        );
    }

    #[test]
    fn late_sound_holds_pictures_to_the_bound_and_no_longer() {
        let mut hold = Hold::new(Latency::Auto);
        hold.sound_is(Some(ms(400)));
        let held = hold.picture_due().expect("held");
        let lip = held.as_secs_f64() - 0.4;
        assert!((-LATEST..-LATEST + 0.02).contains(&lip), "{lip}");
        hold.sound_is(None);
        assert_eq!(hold.picture_due(), None, "without sound there is nothing to wait for");
    }

    #[test]
    fn a_clock_that_jumped_holds_nothing_for_seconds() {
        let mut hold = Hold::new(Latency::Auto);
        hold.sound_is(Some(ms(20_050)));
        assert!(pictures(&mut hold, start(), 5, ms(20_016)).iter().all(Option::is_none));
        assert_eq!(hold.picture_due(), None);
    }

    #[test]
    fn late_pictures_hold_sound_to_the_bound_and_move_it_slowly() {
        let (mut hold, start) = (Hold::new(Latency::Auto), start());
        let held = *pictures(&mut hold, start, 5, ms(300)).last().unwrap();
        let lip = 0.3 - held.expect("held").as_secs_f64();
        assert!((EARLIEST - 0.02..EARLIEST).contains(&lip), "{lip}");
        let mut last = held.unwrap().as_secs_f64();
        for held in pictures(&mut hold, start + ms(5000), 20, ms(320)) {
            let now = held.unwrap().as_secs_f64();
            assert!((now - last).abs() <= SLEW / 29.0, "a step of {}", now - last);
            last = now;
        }
        assert!((last - 0.290).abs() < 1e-3, "{last}");
        assert_eq!(pictures(&mut hold, start + ms(25_000), 30, ms(10)).last(), Some(&None), "and is let go again");
    }

    #[test]
    fn a_given_latency_is_that_of_both() {
        let mut hold = Hold::new(Latency::Fixed(ms(80)));
        hold.sound_is(Some(ms(700)));
        hold.picture_was(start(), ms(900));
        assert_eq!((hold.picture_due(), hold.sound_due()), (Some(ms(80)), Some(ms(80))));
    }
}
