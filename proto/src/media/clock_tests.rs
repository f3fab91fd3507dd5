//! The clock estimate against a fabricated sender and path.

#![expect(clippy::disallowed_methods)] // one real instant to count from

use super::*;

/// xorshift64*: the same figures on every run.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A sender whose clock runs `ppm` fast and showed `ahead` seconds when ours showed zero.
struct World {
    start: Instant,
    ahead: f64,
    ppm: f64,
    estimate: Estimate,
    dice: Dice,
}

impl World {
    fn new(ppm: f64) -> Self {
        World { start: Instant::now(), ahead: 1234.5, ppm, estimate: Estimate::new(), dice: Dice(0x5EED) }
    }

    fn local(&self, at: f64) -> Instant {
        self.start + Duration::from_secs_f64(at)
    }

    fn media(&self, at: f64) -> MediaTime {
        MediaTime::from_nanos(((self.ahead + at * (1.0 + self.ppm * 1e-6)) * 1e9) as u64)
    }

    /// A ping that leaves at `at` and takes `there` and `back` seconds.
    fn ping(&mut self, at: f64, there: f64, back: f64) {
        let held = 100e-6;
        let end = at + there + held + back;
        assert!(self.estimate.sample(self.local(end), self.local(at), self.media(at + there), self.media(at + there + held)));
    }

    /// How far the estimate is from the truth, in seconds.
    fn error(&self, at: f64) -> f64 {
        self.estimate.to_media(self.local(at)).unwrap().signed_since(self.media(at)) as f64 * 1e-9
    }
}

#[test]
fn an_epoch_goes_there_and_back_and_is_held_at_zero() {
    let start = Instant::now();
    let epoch = Epoch::new(start);
    let later = start + Duration::from_millis(1500);
    assert_eq!(epoch.media_time(later), MediaTime::from_nanos(1_500_000_000));
    assert_eq!(epoch.instant(epoch.media_time(later)), later);
    assert_eq!(epoch.media_time(start - Duration::from_secs(1)), MediaTime::ZERO);
}

#[test]
fn the_first_exchange_makes_it_usable_within_half_a_round_trip() {
    let mut world = World::new(300.0);
    assert_eq!((world.estimate.to_local(MediaTime::ZERO), world.estimate.rtt()), (None, None));
    world.ping(0.0, 0.004, 0.001);
    assert!(world.error(0.01).abs() <= 0.0025 + 1e-5, "{}", world.error(0.01));
    assert!(world.estimate.rtt().unwrap().abs_diff(Duration::from_millis(5)) < Duration::from_micros(1));
}

#[test]
fn on_a_lan_it_is_within_a_millisecond_after_one_second_and_knows_the_skew_after_twenty() {
    for ppm in [-300.0, 0.0, 300.0] {
        let mut world = World::new(ppm);
        let mut at = 0.0;
        while at < 30.0 {
            // A switched LAN: 0.3 ms, a little noise, now and then a queue on one way only.
            let (a, b) = (world.dice.unit() * 0.2e-3, world.dice.unit() * 0.2e-3);
            let spike = if world.dice.unit() < 0.1 { 5e-3 } else { 0.0 };
            world.ping(at, 0.3e-3 + a + spike, 0.3e-3 + b);
            at += if at < 1.0 { 0.1 } else { 0.25 };
            if at >= 1.0 {
                assert!(world.error(at).abs() < 0.5e-3, "{ppm} ppm: off by {} at {at}", world.error(at));
            }
            if at > 20.0 {
                assert!((world.estimate.skew_ppm() - ppm).abs() < 10.0, "{ppm} ppm: {}", world.estimate.skew_ppm());
            }
        }
    }
}

#[test]
fn jitter_of_thirty_milliseconds_leaves_it_within_seven_for_an_hour_without_a_step_over_one() {
    for ppm in [-300.0, 300.0] {
        let mut world = World::new(ppm);
        let mut at = 0.0;
        let mut worst = 0.0f64;
        while at < 3600.0 {
            let there = 5e-3 + world.dice.unit() * 30e-3;
            let back = 5e-3 + world.dice.unit() * 30e-3;
            let end = at + there + back + 100e-6;
            let before = world.estimate.mapping().map(|m| m.to_media(world.local(end)));
            world.ping(at, there, back);
            let after = world.estimate.to_media(world.local(end)).unwrap();
            if at > 3.0 {
                let step = after.signed_since(before.unwrap()).abs();
                assert!(step <= 1_000_000, "stepped by {step} ns at {at}");
            }
            at += 0.25;
            if at > 60.0 {
                worst = worst.max(world.error(at).abs());
            }
        }
        assert!(worst < 7e-3, "{ppm} ppm: off by {worst}");
        assert!((world.estimate.skew_ppm() - ppm).abs() < 80.0, "{ppm} ppm: {}", world.estimate.skew_ppm());
    }
}

#[test]
fn a_spike_on_one_way_moves_it_by_less_than_a_fifth_of_a_millisecond() {
    let mut world = World::new(50.0);
    for n in 0..120 {
        world.ping(f64::from(n) * 0.25, 0.5e-3, 0.5e-3);
    }
    let before = world.error(30.0);
    for n in 120..160 {
        world.ping(f64::from(n) * 0.25, 30e-3, 0.5e-3);
        assert!((world.error(f64::from(n) * 0.25) - before).abs() < 0.2e-3);
    }
}

#[test]
fn a_longer_path_and_a_shorter_one_are_both_followed() {
    let mut world = World::new(-200.0);
    for n in 0..2400 {
        let at = f64::from(n) * 0.25;
        let way = if (200.0..400.0).contains(&at) { 40e-3 } else { 2e-3 };
        let noise = world.dice.unit() * 1e-3;
        world.ping(at, way + noise, way);
        if at > 5.0 {
            assert!(world.error(at).abs() < 1e-3, "off by {} at {at}", world.error(at));
        }
    }
    assert!(world.estimate.min_rtt().unwrap() < Duration::from_millis(6));
}

#[test]
fn a_path_that_becomes_even_is_believed_in_steps_of_a_millisecond() {
    let mut world = World::new(0.0);
    for n in 0..240 {
        world.ping(f64::from(n) * 0.25, 12e-3, 2e-3);
    }
    assert!((world.error(60.0).abs() - 5e-3).abs() < 0.1e-3, "half of what the ways differ: {}", world.error(60.0));
    for n in 240..360 {
        let at = f64::from(n) * 0.25;
        let before = world.error(at + 0.01);
        world.ping(at, 2e-3, 2e-3);
        assert!((world.error(at + 0.01) - before).abs() <= 1.001e-3);
    }
    assert!(world.error(90.0).abs() < 0.3e-3, "{}", world.error(90.0));
}

#[test]
fn a_sender_that_was_suspended_is_followed_after_three_pings() {
    let mut world = World::new(0.0);
    for n in 0..40 {
        world.ping(f64::from(n) * 0.25, 1e-3, 1e-3);
    }
    world.ahead -= 600.0;
    for n in 40..43 {
        world.ping(f64::from(n) * 0.25, 1e-3, 1e-3);
    }
    assert!(world.error(10.8).abs() < 1e-3, "off by {}", world.error(10.8));
}

#[test]
fn no_number_a_peer_can_say_panics_or_stays() {
    let mut world = World::new(0.0);
    let (a, b) = (world.local(1.0), world.local(1.002));
    let end = MediaTime::from_nanos(u64::MAX);
    assert!(!world.estimate.sample(b, a, end, MediaTime::ZERO), "answered before it was asked");
    assert!(!world.estimate.sample(b, a, MediaTime::ZERO, end), "held for longer than the round trip");
    assert!(!world.estimate.sample(a, b, MediaTime::ZERO, MediaTime::ZERO), "came before it left");
    assert!(world.estimate.sample(b, a, end, end));
    let mapping = world.estimate.mapping().unwrap();
    let _ = (mapping.to_local(MediaTime::ZERO), mapping.to_local(end), mapping.to_media(a));
    for n in 8..12 {
        world.ping(f64::from(n) * 0.25, 1e-3, 1e-3);
    }
    assert!(world.error(3.0).abs() < 1e-3);
}

#[test]
fn a_mapping_goes_there_and_back_to_the_microsecond() {
    let mut world = World::new(250.0);
    for n in 0..100 {
        world.ping(f64::from(n) * 0.25, 1e-3, 1e-3);
    }
    let mapping = world.estimate.mapping().unwrap();
    for at in [0.0, 24.0, 25.0, 3600.0] {
        let there = mapping.to_media(world.local(at));
        assert!(nanos_between(mapping.to_local(there), world.local(at)).abs() < 1000);
    }
}
