//! Voices played through a mixer without a device, 10 ms at a time.

use super::*;
use crate::present::voice::{RAMP, RING};
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::echo_aligner::{self, Aligner};
use eyeline_proto::media::playout::Playout;
use eyeline_proto::media::requests::Requests;
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use std::time::{Duration, Instant};

/// Where each of a rig's steps is in time.
fn at(start: Instant, n: u64) -> (Instant, MediaTime) {
    (start + Duration::from_millis(10 * n), MediaTime::from_nanos(n * 10_000_000))
}

fn block(number: u64, capture: MediaTime, channels: u8, samples: &[i16]) -> Numbered<MediaTime> {
    Numbered { number, block: Block { capture, channels, samples: samples.into() } }
}

const AHEAD: Duration = Duration::from_millis(20);

struct Rig {
    mixer: Mixer,
    renderer: Renderer,
    feeds: Vec<Feed>,
    start: Instant,
    n: u64,
}

impl Rig {
    fn new(voices: usize) -> Self {
        let (mixer, renderer) = Mixer::detached(2, Config::default(), None);
        let feeds = (0..voices).map(|_| mixer.voice().unwrap()).collect();
        Rig { mixer, renderer, feeds, start: Instant::now(), n: 0 }
    }

    /// Each feed says this; gives what is heard.
    fn step(&mut self, sound: &[i16]) -> Vec<f32> {
        let (now, capture) = at(self.start, self.n);
        for feed in &mut self.feeds {
            feed.block(now, &block(self.n, capture, 1, sound));
        }
        let mut out = vec![0.0f32; 960];
        self.renderer.render(now, AHEAD, &mut out);
        self.n += 1;
        out
    }

    /// Each feed says a constant of one quarter.
    fn run(&mut self, steps: usize) -> Vec<f32> {
        (0..steps).flat_map(|_| self.step(&[8192; 480])).collect()
    }
}

fn near(sample: Option<&f32>, wanted: f32) -> bool {
    sample.is_some_and(|sample| (sample - wanted).abs() < 1e-3)
}

/// Of stereo frames, the largest difference between neighbours.
fn step(out: &[f32]) -> f32 {
    out.windows(3).map(|w| (w[2] - w[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn one_voice_alone_passes_bit_for_bit_as_its_playout_made_it() {
    for channels in [1, 2, 6] {
        let (mixer, mut renderer) = Mixer::detached(channels, Config::default(), None);
        let mut feed = mixer.voice().unwrap();
        let (mut playout, mut requests, start) = (Playout::new(Config::default()), Requests::new(), Instant::now());
        for n in 0..100 {
            let (now, capture) = at(start, n);
            let sound: Vec<i16> =
                (0..960).map(|i| ((n * 480 + i / 2) as f64 * 0.05 + (i % 2) as f64).sin() * 29_000.0).map(|s| s as i16).collect();
            let sound = block(n, capture, 2, &sound);
            assert!(feed.block(now, &sound));
            playout.push(now, &sound.inline().unwrap());
            let mut out = vec![1.0f32; 480 * usize::from(channels)];
            renderer.render(now, AHEAD, &mut out);
            let mut expected = [0.0f32; 960];
            playout.fill(&requests.next(now, now + AHEAD, 480), &mut expected);
            for (out, expected) in out.chunks(usize::from(channels)).zip(expected.chunks(2)) {
                match *out {
                    [mono] => assert_eq!(mono, (expected[0] + expected[1]) / 2.0),
                    [left, right, ref others @ ..] => {
                        assert_eq!([left, right], expected);
                        assert!(others.iter().all(|other| *other == 0.0));
                    }
                    [] => unreachable!(),
                }
            }
        }
        assert!(feed.stats().latency.is_none() && feed.stats().target > Duration::ZERO);
    }
}

#[test]
fn volume_and_mute_of_one_and_of_all_arrive_in_a_ramp_without_a_step() {
    let mut rig = Rig::new(2);
    rig.run(50);
    assert!(near(rig.run(1).last(), 0.5));
    rig.feeds[0].volume(0.5);
    let mut seen = rig.run(5);
    assert!(near(seen.last(), 0.375));
    rig.feeds[0].mute(true);
    seen.extend(rig.run(5));
    assert!(near(seen.last(), 0.25));
    rig.mixer.volume(0.5);
    seen.extend(rig.run(5));
    assert!(near(seen.last(), 0.125));
    rig.mixer.mute(true);
    seen.extend(rig.run(5));
    assert_eq!(seen.last(), Some(&0.0));
    rig.feeds[0].volume(f32::NAN);
    rig.feeds[0].mute(false);
    seen.extend(rig.run(5));
    rig.mixer.volume(1.0);
    rig.mixer.mute(false);
    seen.extend(rig.run(5));
    assert!(near(seen.last(), 0.5));
    assert!(step(&seen) <= 0.5 * RAMP * 1.1, "{}", step(&seen));
}

#[test]
fn a_sum_of_loud_voices_is_within_full_scale_and_no_rectangle() {
    let mut rig = Rig::new(VOICES);
    let mut heard = Vec::new();
    for n in 0..100 {
        let sound: Vec<i16> = (0..480).map(|i| ((f64::from(n * 480 + i) * 0.0575).sin() * 32_000.0) as i16).collect();
        heard.extend(rig.step(&sound));
    }
    assert!(heard.iter().all(|sample| sample.abs() <= 1.0));
    let settled = &heard[50 * 960..];
    let power = settled.iter().map(|s| s * s).sum::<f32>() / settled.len() as f32;
    assert!((0.4..0.55).contains(&power), "a tone's is 0.5, a rectangle's 1: {power}");
}

#[test]
fn sixteen_take_a_voice_each_and_the_next_has_one_when_one_leaves() {
    let mut rig = Rig::new(VOICES);
    assert!(rig.mixer.voice().is_none());
    rig.run(20);
    rig.feeds.remove(3);
    assert!(rig.mixer.voice().is_some());
    assert!(rig.mixer.voice().is_some(), "it was dropped again");
}

#[test]
fn who_leaves_fades_out_and_who_comes_in_its_place_begins_anew() {
    let mut rig = Rig::new(1);
    let mut seen = rig.run(50);
    assert!(near(seen.last(), 0.25));
    rig.feeds[0].mute(true);
    rig.feeds[0].mute(false);
    rig.feeds[0].target(Some(Duration::from_millis(400)));
    rig.feeds.clear();
    let faded = rig.run(2);
    assert!(faded[..100].iter().all(|s| *s > 0.2) && faded[960..].iter().all(|s| *s == 0.0));
    seen.extend(faded);
    // All take a voice, so that one gets that place.
    let feeds: Vec<_> = (0..VOICES).map(|_| rig.mixer.voice().unwrap()).collect();
    assert!(feeds.iter().all(|feed| feed.stats() == Default::default() && feed.dropped() == 0));
    rig.feeds = feeds;
    rig.feeds.iter_mut().for_each(|feed| feed.volume(1.0 / 16.0));
    let again = rig.run(30);
    assert!(near(again.last(), 0.25), "each begins at its least latency: {:?}", again.last());
    seen.extend(again);
    assert!(rig.feeds.iter().all(|feed| feed.stats().late == 0 && feed.stats().overflows == 0));
    assert!(step(&seen) < 0.25 * RAMP * 4.0, "{}", step(&seen));
}

#[test]
fn what_a_holder_left_in_the_ring_is_not_the_next_ones() {
    let mut rig = Rig::new(VOICES);
    rig.run(1);
    // No callback comes, rings are full; then all places change hands.
    for n in 0..200 {
        rig.feeds.iter_mut().for_each(|feed| {
            feed.block(rig.start, &block(1000 + n, MediaTime::ZERO, 1, &[8192; 480]));
        });
    }
    assert!(rig.feeds.iter().all(|feed| (200 - RING as u64..=201).contains(&feed.dropped())));
    rig.feeds.clear();
    // Some come and go between two callbacks.
    rig.run(2);
    let brief: Vec<_> = (0..VOICES).map(|_| rig.mixer.voice().unwrap()).collect();
    for mut feed in brief {
        assert!(feed.block(rig.start, &block(5000, MediaTime::ZERO, 1, &[8192; 480])));
    }
    rig.feeds = (0..VOICES).map(|_| rig.mixer.voice().unwrap()).collect();
    rig.feeds.iter_mut().for_each(|feed| feed.mute(true));
    rig.feeds[0].mute(false);
    let heard = rig.run(50);
    assert!(near(heard.last(), 0.25));
    assert!(rig.feeds.iter().all(|feed| feed.stats().overflows + feed.stats().late == 0), "none of the blocks of before");
}

#[test]
fn what_is_held_for_its_time_is_not_heard_once_it_is_flushed() {
    for (flushed, of_it) in [(true, 0..200), (false, 20_000..28_000)] {
        let mut rig = Rig::new(1);
        let latency = Duration::from_secs(1);
        rig.feeds[0].mapping(Mapping::assumed(rig.start, MediaTime::ZERO));
        rig.feeds[0].target(Some(latency));
        assert!(rig.run(50).iter().all(|sample| *sample == 0.0), "half a second of a second");
        if flushed {
            rig.feeds[0].flush(50);
        }
        let after: Vec<f32> = (0..200).flat_map(|_| rig.step(&[16384; 480])).collect();
        let lefts = || after.iter().step_by(2);
        let before = lefts().filter(|sample| near(Some(sample), 0.25)).count();
        assert!(of_it.contains(&before), "{before} frames, flushed: {flushed}");
        assert!(near(after.last(), 0.5), "what came then is heard");
        let heard = lefts().position(|sample| near(Some(sample), 0.5)).unwrap() as f64 / 48_000.0;
        assert!((heard - 1.0).abs() < 0.05, "at its time: after {heard} s");
    }
}

#[test]
fn a_ring_nobody_empties_drops_new_blocks_and_counts_them() {
    let mut rig = Rig::new(1);
    let kept = (0..200).filter(|n| rig.feeds[0].block(rig.start, &block(*n, MediaTime::ZERO, 1, &[0; 480]))).count();
    assert_eq!(kept, RING);
    assert_eq!(rig.feeds[0].dropped(), 200 - kept as u64);
    assert!(!rig.feeds[0].block(rig.start, &block(0, MediaTime::ZERO, 3, &[0; 480])), "three channels are no block");
}

#[test]
fn a_new_renderer_is_told_what_the_old_one_knew_and_counters_go_on() {
    let mut rig = Rig::new(2);
    rig.run(50);
    rig.feeds[1].mute(true);
    rig.mixer.volume(0.5);
    rig.n += 200; // two seconds of nothing: underflow
    rig.run(50);
    let before = rig.feeds[0].stats();
    rig.renderer = rig.mixer.renderer(2, Config::default());
    let out = rig.run(50);
    assert!(out.iter().all(|s| s.abs() < 0.125 * 1.01) && near(out.last(), 0.125), "still muted, and half as loud");
    assert!(before.concealed > 0 && rig.feeds[0].stats().concealed >= before.concealed, "{before:?}");
    // A place that was given back while the renderer changed works for the next.
    rig.renderer = rig.mixer.renderer(2, Config::default());
    rig.feeds.clear();
    rig.feeds = (0..VOICES).map(|_| rig.mixer.voice().unwrap()).collect();
    rig.feeds.iter_mut().for_each(|feed| feed.volume(1.0 / 16.0));
    assert!(near(rig.run(50).last(), 0.125));
}

#[test]
fn levels_are_of_each_voice_alone_and_before_the_listeners_volume() {
    let mut rig = Rig::new(2);
    rig.feeds[0].mute(true);
    rig.run(50);
    rig.feeds.iter_mut().for_each(|feed| drop(feed.levels()));
    rig.run(10);
    // A quarter of full scale is -12 dBFS.
    for feed in &mut rig.feeds {
        let levels: Vec<u8> = feed.levels().collect();
        assert!((4..=6).contains(&levels.len()) && levels.iter().all(|level| (114..=115).contains(level)), "{levels:?}");
        assert_eq!(feed.levels().count(), 0);
    }
    // Nobody says anything: silence is a level too.
    rig.n += 100;
    let mut out = vec![0.0f32; 960];
    for step in 0..100 {
        rig.renderer.render(at(rig.start, rig.n + step).0, AHEAD, &mut out);
    }
    assert_eq!(rig.feeds[1].levels().collect::<Vec<_>>(), [0; 7]);
    // The next holder of the place has levels of its own.
    rig.feeds.clear();
    rig.n += 100;
    rig.run(2);
    rig.feeds = (0..VOICES).map(|_| rig.mixer.voice().unwrap()).collect();
    assert!(rig.feeds.iter_mut().all(|feed| feed.levels().count() == 0));
}

#[test]
fn an_echo_canceller_is_told_what_the_card_is_given_after_volume_mute_and_limiter() {
    for (channels, expected) in [(1, [0.25, 0.0, 1.0]), (2, [0.25, 0.0, 1.0])] {
        let reference = Reference::default();
        let mut rig = Rig::new(2);
        (rig.mixer, rig.renderer) = Mixer::detached(channels, Config::default(), Some(reference.clone()));
        rig.feeds = (0..2).map(|_| rig.mixer.voice().unwrap()).collect();
        let mut aligner = Aligner::new();
        let mut told = |rig: &Rig| {
            reference.read(&mut aligner);
            let (now, _) = at(rig.start, rig.n);
            let mut out: echo_aligner::Reference = [9.0; 480];
            // Long enough ago that it left the speaker.
            (0..10).for_each(|n| aligner.take(now - Duration::from_millis(200 - 10 * n), &mut out));
            assert!(out.windows(2).all(|w| near(Some(&w[0]), w[1])));
            out[0]
        };
        rig.renderer.warm_up(4800);
        rig.run(10);
        assert!(near(Some(&told(&rig)), 0.0), "a device's beginning is silence");
        rig.mixer.volume(0.5);
        rig.run(60);
        let mut seen = vec![told(&rig)];
        rig.mixer.mute(true);
        rig.run(60);
        seen.push(told(&rig));
        rig.mixer.mute(false);
        rig.mixer.volume(2.0);
        for _ in 0..60 {
            rig.step(&[30_000; 480]);
        }
        seen.push(told(&rig));
        assert!(seen.iter().zip(expected).all(|(seen, expected)| near(Some(seen), expected)), "{channels}: {seen:?}");
    }
}
