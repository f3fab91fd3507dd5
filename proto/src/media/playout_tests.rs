//! Playout in virtual time: a microphone, two computers, a path and a speaker, each with an oscillator of its own.

#![expect(clippy::disallowed_methods)] // one real instant to count from

use super::*;
use crate::media::clock::{Epoch, Estimate};
use crate::media::requests::Requests;
use crate::sound::Block;
use crate::time::MediaTime;

fn inline(number: u64, capture: MediaTime, channels: u8, samples: &[i16]) -> Numbered<MediaTime, Inline> {
    Numbered { number, block: Block { capture, channels, samples } }.inline().unwrap()
}

/// Parts per million by which each clock is fast.
#[derive(Clone, Copy, Default)]
struct Clocks {
    microphone: f64,
    sender: f64,
    receiver: f64,
    speaker: f64,
}

/// What the microphone hears: sample `n`.
type Sound = fn(u64) -> i16;

/// 1 kHz.
fn tone(n: u64) -> i16 {
    static PERIOD: std::sync::LazyLock<[i16; 48]> =
        std::sync::LazyLock::new(|| std::array::from_fn(|n| ((std::f64::consts::TAU * n as f64 / 48.0).sin() * 16000.0) as i16));
    PERIOD[(n % 48) as usize]
}

/// Each frame says its own number, modulo 1.37 s: what is heard says when it was caught.
fn numbers(n: u64) -> i16 {
    ((n % 65536) as i32 - 32768) as i16
}

/// Everything in seconds of true time.
struct World {
    base: Instant,
    epoch: Epoch,
    clocks: Clocks,
    sound: Sound,
    playout: Playout,
    requests: Requests,
    estimate: Estimate,
    pings: bool,
    /// The way of block `n` caught at `t`, and whether it arrives.
    path: fn(u64, f64) -> Option<f64>,
    /// What the speaker does at `t`: how late its callback is.
    lag: fn(u64, f64) -> f64,
    /// Frames a callback asks for.
    period: fn(u64) -> u64,
    block: u64,
    arrives: f64,
    callback: u64,
    asked: u64,
    next_ping: f64,
    out: Vec<f32>,
    samples: Vec<i16>,
}

/// How far the speaker plays ahead of what it asks for.
const DEVICE_S: f64 = 0.02;

fn noise(n: u64, salt: u64) -> f64 {
    let x = (n ^ salt.rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x >> 11) as f64 / (1u64 << 53) as f64
}

impl World {
    fn new(clocks: Clocks, sound: Sound) -> Self {
        let base = Instant::now() + Duration::from_secs(100_000);
        World {
            base,
            epoch: Epoch::new(base),
            clocks,
            sound,
            playout: Playout::new(Config::default()),
            requests: Requests::new(),
            estimate: Estimate::new(),
            pings: true,
            path: |n, _| Some(1e-3 + noise(n, 1) * 3e-3),
            lag: |n, _| noise(n, 2) * 2e-3,
            period: |_| 480,
            block: 0,
            arrives: 0.0,
            callback: 0,
            asked: 0,
            next_ping: 0.0,
            out: Vec::new(),
            samples: Vec::new(),
        }
    }

    fn here(&self, t: f64) -> Instant {
        offset(self.base, (t * (1.0 + self.clocks.receiver * 1e-6) * 1e9) as i64)
    }

    fn media(&self, t: f64) -> MediaTime {
        self.epoch.media_time(offset(self.base, ((t + 3600.0) * (1.0 + self.clocks.sender * 1e-6) * 1e9) as i64))
    }

    fn caught(&self, frame: f64) -> f64 {
        frame / (48_000.0 * (1.0 + self.clocks.microphone * 1e-6))
    }

    /// Blocks and pings up to `t`.
    fn arrive(&mut self, t: f64) {
        while self.pings && self.next_ping < t {
            let (at, way) = (self.next_ping, 0.5e-3 + noise(self.block, 3) * 0.2e-3);
            let remote = self.media(at + way);
            self.estimate.sample(self.here(at + 2.0 * way), self.here(at), remote, remote);
            self.playout.set_mapping(self.estimate.mapping().unwrap());
            self.next_ping += if at < 1.0 { 0.1 } else { 0.25 };
        }
        loop {
            let end = self.caught(((self.block + 1) * 480) as f64);
            if end > t {
                return;
            }
            if let Some(way) = (self.path)(self.block, end) {
                let arrives = (end + way).max(self.arrives); // in order, as TCP does
                if arrives > t {
                    return;
                }
                self.arrives = arrives;
                let first = self.block * 480;
                self.samples.clear();
                self.samples.extend((first..first + 480).map(self.sound));
                let capture = self.media(self.caught(first as f64));
                let block = inline(self.block, capture, 1, &self.samples);
                let now = self.here(arrives);
                self.playout.push(now, &block);
            }
            self.block += 1;
        }
    }

    /// One callback of the speaker; its true time, and when its first frame is heard.
    fn step(&mut self) -> (f64, f64) {
        let due = self.asked as f64 / (48_000.0 * (1.0 + self.clocks.speaker * 1e-6));
        let t = due + (self.lag)(self.callback, due);
        let heard = due + DEVICE_S;
        self.arrive(t);
        let frames = (self.period)(self.callback);
        self.out.resize(frames as usize * 2, 0.0);
        let stamp = self.here(heard + (noise(self.callback, 4) - 0.5) * 4e-3);
        let now = self.here(t);
        let request = self.requests.next(now, stamp, frames as usize);
        if !self.playout.fill(&request, &mut self.out) {
            self.out.fill(0.0);
        }
        self.callback += 1;
        self.asked += frames;
        (t, heard)
    }

    fn run(&mut self, until: f64, mut seen: impl FnMut(&Self, f64, f64)) {
        loop {
            let (t, heard) = self.step();
            seen(self, t, heard);
            if t > until {
                return;
            }
        }
    }

    /// Latency of the first frame of the last callback, told by the frame itself.
    fn true_latency(&self, heard: f64) -> f64 {
        let number = f64::from(self.out[0]) * 32768.0 + 32768.0;
        let about = (heard - 0.1) * 48_000.0 * (1.0 + self.clocks.microphone * 1e-6);
        let frame = number + 65536.0 * ((about - number) / 65536.0).round();
        heard - self.caught(frame)
    }
}

fn off_target(stats: &Stats) -> f64 {
    stats.latency.unwrap().as_secs_f64() - stats.target_latency.unwrap().as_secs_f64()
}

/// The largest step between neighbours that a 1 kHz tone at 16000, half a percent fast, makes.
const STEP: f32 = 16000.0 / 32768.0 * std::f32::consts::TAU * 1005.0 / 48_000.0;

#[test]
fn for_an_hour_at_300_ppm_the_buffer_stays_within_ten_milliseconds_without_underflow_or_click() {
    let mut world = World::new(Clocks { microphone: 300.0, sender: -300.0, receiver: 300.0, speaker: -300.0 }, tone);
    let (mut last, mut worst, mut step) = (0.0f32, 0.0f64, 0.0f32);
    world.run(3600.0, |world, t, _| {
        for frame in world.out.chunks_exact(2) {
            step = step.max((frame[0] - last).abs());
            last = frame[0];
        }
        if t > 1.0 {
            worst = worst.max(off_target(&world.playout.stats()).abs());
        }
    });
    let stats = world.playout.stats();
    println!("worst {worst}, step {step}, {stats:?}");
    assert!(worst < 10e-3, "off its target by {worst}");
    assert!(step < STEP + 1.0 / 240.0 * 0.5, "a step of {step}");
    assert_eq!((stats.underflows, stats.shed, stats.late, stats.overflows), (0, 0, 0, 0));
    assert!((stats.correction_ppm - 600.0).abs() < 60.0, "{}", stats.correction_ppm);
    assert!(stats.target < Duration::from_millis(35), "{:?}", stats.target);
}

#[test]
fn every_sign_of_every_clock_settles_with_and_without_pings() {
    for signs in 0..32u32 {
        let ppm = |bit: u32| if signs >> bit & 1 == 0 { 300.0 } else { -300.0 };
        let clocks = Clocks { microphone: ppm(0), sender: ppm(1), receiver: ppm(2), speaker: ppm(3) };
        let mut world = World::new(clocks, numbers);
        world.pings = signs >> 4 == 0;
        world.run(30.0, |_, _, _| {});
        let before = world.playout.stats();
        assert_eq!((before.underflows, before.shed), (0, 0), "{signs:05b}");
        assert!(before.level < Duration::from_millis(45) && before.level > Duration::from_millis(10), "{:?}", before.level);
    }
}

#[test]
fn the_latency_said_is_the_latency_heard() {
    let clocks = Clocks { microphone: 100.0, sender: -200.0, receiver: 150.0, speaker: -50.0 };
    let mut world = World::new(clocks, numbers);
    let mut seen = 0;
    world.run(30.0, |world, t, heard| {
        let out = &world.out;
        let plain = out.chunks_exact(2).take(64).zip(out.chunks_exact(2).skip(1)).all(|(a, b)| (b[0] - a[0]).abs() < 1e-4);
        if t > 5.0 && plain {
            let (said, is) = (world.playout.stats().latency.unwrap().as_secs_f64(), world.true_latency(heard));
            assert!((said - is).abs() < 1e-3, "said {said}, is {is} at {t}");
            seen += 1;
        }
    });
    assert!(seen > 2000, "{seen}");
    println!("latency {:?} of which 20 ms device", world.playout.stats().latency);
}

#[test]
fn a_stall_of_300_ms_is_one_gap_and_latency_is_back_within_a_second() {
    let mut world = World::new(Clocks { speaker: 200.0, ..Clocks::default() }, tone);
    world.path = |n, t| Some(if (20.0..20.3).contains(&t) { 20.3 - t } else { 1e-3 + noise(n, 1) * 3e-3 });
    let (mut before, mut quiet, mut gaps, mut silent) = (0.0, 0, 0, false);
    world.run(60.0, |world, t, _| {
        let stats = world.playout.stats();
        if t < 20.0 {
            before = stats.latency.map_or(0.0, |l| l.as_secs_f64());
        }
        if t > 21.3 {
            let now = stats.latency.unwrap().as_secs_f64();
            assert!((now - before).abs() < 10e-3, "{before} before, {now} at {t}");
        }
        let now_silent = t > 1.0 && world.out.iter().all(|s| s.abs() < 1e-3);
        quiet += u32::from(now_silent);
        gaps += u32::from(now_silent && !silent);
        silent = now_silent;
    });
    let stats = world.playout.stats();
    println!("{quiet} silent callbacks, {stats:?}");
    assert_eq!((stats.underflows, gaps), (1, 1));
    assert!((20..32).contains(&quiet), "{quiet}");
    assert!(stats.shed > 200 * 48 && stats.shed < 310 * 48, "{}", stats.shed);
}

#[test]
fn an_underflow_drops_nothing_later() {
    let mut world = World::new(Clocks::default(), numbers);
    world.path = |_, t| Some(if (5.0..5.06).contains(&t) { 5.06 - t } else { 1e-3 });
    let mut previous = None;
    world.run(20.0, |world, t, _| {
        for frame in world.out.chunks_exact(2).filter(|_| t > 5.2) {
            let number = frame[0] * 32768.0;
            if let Some(previous) = previous.replace(number).filter(|p| p.abs().max(number.abs()) < 28_000.0) {
                let step: f32 = number - previous;
                assert!((0.9..1.1).contains(&step), "{step} frames at {t}");
            }
        }
    });
    let stats = world.playout.stats();
    assert_eq!((stats.underflows, stats.shed, stats.late), (1, 0, 0));
}

#[test]
fn jitter_raises_the_buffer_within_two_seconds_and_it_comes_back_down() {
    let mut world = World::new(Clocks::default(), tone);
    world.path = |n, t| Some(1e-3 + noise(n, 1) * if (10.0..40.0).contains(&t) { 60e-3 } else { 2e-3 });
    let (mut learning, mut high) = (0, Duration::ZERO);
    world.run(90.0, |world, t, _| {
        let stats = world.playout.stats();
        if t < 12.0 {
            learning = stats.underflows;
        } else if t < 40.0 {
            high = high.max(stats.target);
            assert_eq!(stats.underflows, learning, "ran empty again at {t}");
        }
    });
    let stats = world.playout.stats();
    println!("{learning} underflows while learning, up to {high:?}, then {:?}", stats.target);
    assert!(learning <= 6 && high < Duration::from_millis(110) && high > Duration::from_millis(70));
    assert!(stats.target < Duration::from_millis(35), "{:?}", stats.target);
}

#[test]
fn a_lost_block_is_covered_and_costs_no_latency() {
    let mut world = World::new(Clocks::default(), tone);
    world.path = |n, _| (n % 100 != 99).then_some(1e-3);
    let (mut last, mut step) = (0.0f32, 0.0f32);
    world.run(20.0, |world, _, _| {
        for frame in world.out.chunks_exact(2) {
            step = step.max((frame[0] - last).abs());
            last = frame[0];
        }
    });
    let stats = world.playout.stats();
    assert!((18 * 480..=20 * 480).contains(&stats.concealed), "{}", stats.concealed);
    assert_eq!(stats.shed, 0);
    assert!(step < STEP * 1.3, "a step of {step}");
    assert!(off_target(&stats).abs() < 3e-3);
}

#[test]
fn a_speaker_that_stood_still_sheds_what_waited() {
    let mut world = World::new(Clocks::default(), tone);
    world.run(10.0, |_, _, _| {});
    let before = world.playout.stats().latency.unwrap();
    // Half a second in which nothing is asked for, and no frame is played.
    world.asked += 24_017;
    let (mut last, mut step) = (world.out[958], 0.0f32);
    world.run(11.0, |world, _, _| {
        for frame in world.out.chunks_exact(2) {
            step = step.max((frame[0] - last).abs());
            last = frame[0];
        }
    });
    assert!(step < STEP * 1.3, "a step of {step}");
    let after = world.playout.stats();
    assert!(after.latency.unwrap().abs_diff(before) < Duration::from_millis(10), "{before:?}, then {after:?}");
    assert_eq!(after.underflows, 0);
    assert!(after.shed > 450 * 48);
}

#[test]
fn a_path_that_grows_by_100_ms_costs_two_gaps_at_most_and_no_sound() {
    let mut world = World::new(Clocks::default(), tone);
    world.path = |n, t| Some(noise(n, 1) * 3e-3 + if t > 10.0 { 101e-3 } else { 1e-3 });
    world.run(40.0, |_, _, _| {});
    let stats = world.playout.stats();
    assert!(stats.underflows <= 2 && stats.shed < 20 * 48, "{stats:?}");
    assert!(off_target(&stats).abs() < 5e-3 && stats.target < Duration::from_millis(35), "{stats:?}");
}

#[test]
fn a_clock_that_is_corrected_by_40_ms_is_not_heard() {
    for by in [-40, 40] {
        let mut world = World::new(Clocks::default(), tone);
        world.run(10.0, |_, _, _| {});
        let before = world.playout.stats();
        world.pings = false;
        let now = world.here(10.0);
        let media = world.estimate.to_media(offset(now, by * 1_000_000)).unwrap();
        world.playout.set_mapping(Mapping::assumed(now, media));
        world.run(15.0, |world, t, _| {
            let (stats, level) = (world.playout.stats(), world.playout.stats().level);
            assert_eq!((stats.underflows, stats.shed, stats.concealed), (0, 0, before.concealed), "{by} at {t}");
            assert!(level.abs_diff(before.level) < Duration::from_millis(12), "{level:?} at {t}");
        });
        let moved = world.playout.stats().latency.unwrap().as_secs_f64() - before.latency.unwrap().as_secs_f64();
        assert!((moved - by as f64 * 1e-3).abs() < 5e-3, "only what is said of it changes: {moved}");
    }
}

#[test]
fn one_block_that_comes_a_second_late_into_silence_is_not_played() {
    let mut world = World::new(Clocks::default(), tone);
    world.path = |n, t| (t < 5.0 || n == 500).then_some(if n == 500 { 1.0 } else { 1e-3 });
    world.run(8.0, |world, t, _| {
        assert!(t < 5.2 || world.out.iter().all(|s| *s == 0.0), "heard at {t}");
    });
    assert!(world.playout.stats().underflows == 1 && world.block > 500);
}

#[test]
fn callbacks_of_one_frame_and_of_twenty_milliseconds_both_play_everything() {
    for period in [|_| 1u64, |_| 24, |n| [480, 112, 12, 960, 1][n as usize % 5]] as [fn(u64) -> u64; 3] {
        let mut world = World::new(Clocks { speaker: 100.0, ..Clocks::default() }, tone);
        world.period = period;
        world.lag = |n, _| noise(n, 2) * 0.2e-3;
        world.run(0.5, |_, _, _| {});
        let begun = world.playout.stats();
        world.run(5.0, |_, _, _| {});
        let stats = world.playout.stats();
        assert_eq!((stats.underflows, stats.shed), (begun.underflows, begun.shed));
        assert!(off_target(&stats).abs() < 5e-3, "{stats:?}");
    }
}

#[test]
fn a_wanted_latency_is_met_at_once_and_given_up_at_once() {
    let mut world = World::new(Clocks::default(), tone);
    world.run(5.0, |_, _, _| {});
    let least = world.playout.stats().latency.unwrap();
    world.playout.set_target(Some(Duration::from_millis(250)));
    world.run(7.0, |_, _, _| {});
    let held = world.playout.stats().latency.unwrap();
    assert!(held.abs_diff(Duration::from_millis(250)) < Duration::from_millis(3), "{held:?}");
    world.playout.set_target(None);
    world.run(8.0, |_, _, _| {});
    assert!(world.playout.stats().latency.unwrap().abs_diff(least) < Duration::from_millis(5));
    world.playout.set_target(Some(Duration::from_millis(1)));
    world.run(9.0, |_, _, _| {});
    assert_eq!(world.playout.stats().underflows, 0, "jitter is made ready for whatever is wanted");
}

#[test]
fn nothing_a_sender_says_panics() {
    let (mut playout, mut requests, start) = (Playout::new(Config::default()), Requests::new(), Instant::now());
    let mut out = [0.0; 960];
    let strange = [0, 1, 77, u64::MAX, u64::MAX / 2, 1 << 40];
    for (n, (&sequence, &capture)) in
        strange.iter().flat_map(|s| strange.iter().map(move |c| (s, c))).cycle().take(2000).enumerate()
    {
        let now = start + Duration::from_millis(n as u64 * 5);
        playout.push(now, &inline(sequence, MediaTime::from_nanos(capture), 1, &[7; 480]));
        if n % 7 == 0 {
            playout.set_mapping(Mapping::assumed(now, MediaTime::from_nanos(capture)));
        }
        playout.fill(&requests.next(now, now, 480), &mut out);
        assert!(out.iter().all(|s| s.is_finite() && s.abs() <= 1.5));
        let _ = playout.stats();
    }
    playout.fill(&requests.next(start, start, 0), &mut []);
}

/// Blocks of a constant, each pushed as it is caught, then nothing; what 10 ms requests made of it.
fn said(
    playout: &mut Playout,
    requests: &mut Requests,
    start: Instant,
    (first, blocks, silent): (u64, u64, u64),
) -> Vec<[f32; 2]> {
    let mut heard = Vec::new();
    for n in 0..blocks + silent {
        let now = start + Duration::from_millis(10 * n);
        if n < blocks {
            let capture = MediaTime::from_nanos((first + n) * 10_000_000);
            playout.push(now, &inline(first + n, capture, 2, &[8192; 960]));
        }
        let mut out = [0.0; 960];
        playout.fill(&requests.next(now, now + Duration::from_millis(20), 480), &mut out);
        heard.extend(out.as_chunks().0);
    }
    heard
}

#[test]
fn silence_is_not_resampled_and_nothing_is_lost_of_the_sound_around_it() {
    let (mut playout, mut requests, start) = (Playout::new(Config::default()), Requests::new(), Instant::now());
    assert!(!playout.fill(&requests.next(start, start, 480), &mut [0.0; 960]), "nothing was ever said");
    let heard = said(&mut playout, &mut requests, start, (0, 50, 20));
    let loud = heard.iter().filter(|frame| frame[0] > 0.24).count();
    assert!((48 * 480..51 * 480).contains(&loud), "{loud}");
    let later = start + Duration::from_secs(1);
    assert!(!playout.fill(&requests.next(later, later, 480), &mut [0.0; 960]), "all was said");
    let before = playout.stats().concealed;
    playout.fill(&requests.next(later, later, 480), &mut [0.0; 960]);
    assert_eq!(playout.stats().concealed, before + 480, "what is not heard is counted all the same");
    let again = said(&mut playout, &mut requests, start + Duration::from_secs(2), (200, 50, 20));
    assert!(again.iter().filter(|frame| frame[0] > 0.24).count() > 45 * 480);
    let step = heard
        .iter()
        .chain(&again)
        .map(|frame| frame[0])
        .collect::<Vec<_>>()
        .windows(2)
        .map(|w| (w[1] - w[0]).abs())
        .fold(0.0, f32::max);
    assert!(step < 0.01, "a step of {step}");
}

#[test]
fn a_voice_that_was_reset_is_as_new() {
    let (mut old, mut requests, start) = (Playout::new(Config::default()), Requests::new(), Instant::now());
    old.set_target(Some(Duration::from_millis(300)));
    old.set_mapping(Mapping::assumed(start, MediaTime::from_nanos(5)));
    said(&mut old, &mut requests, start, (7, 33, 0));
    old.reset();
    assert_eq!(old.stats(), Playout::new(Config::default()).stats());
    let mut new = Playout::new(Config::default());
    let (mut one, mut other) = (Requests::new(), Requests::new());
    let later = start + Duration::from_secs(9);
    assert_eq!(said(&mut old, &mut one, later, (0, 40, 10)), said(&mut new, &mut other, later, (0, 40, 10)));
    assert_eq!(old.stats(), new.stats());
}
