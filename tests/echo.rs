//! Echo, without devices and faster than time: what the programs run between the rings of speaker and microphone, with two
//! crystals, a room, and people in it.
//!
//! `cargo test --test echo -- --nocapture` prints what is measured. `EYELINE_SIM_LONG=1` makes five minutes an hour.

#![allow(clippy::disallowed_methods, reason = "one real instant to count from")]

#[path = "support/room.rs"]
mod room;
#[path = "support/voices.rs"]
mod voices;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use eyeline::capture::microphone;
use eyeline::voice_processing::{Config, Figures, Reference, Stage, VoiceProcessing};
use eyeline_proto::media::clock::{offset, seconds_between};
use eyeline_proto::sound::BLOCK_FRAMES;
use nix::time::{ClockId, clock_gettime};
use room::{Path, Room};
use voices::{Dice, Voice};

const RATE: f64 = 48_000.0;
const ECHO: Config = Config { echo: true, noise: false, gain: false };
const NOISE: Config = Config { echo: false, noise: true, gain: false };
const BOTH: Config = Config { echo: true, noise: true, gain: false };
const ALL: Config = Config { echo: true, noise: true, gain: true };
/// A laptop's speaker and microphone.
const ROOM: Path = Path { delay: 0.08, level: -6.0, distortion: 0.0, seed: 3 };

#[derive(Clone, Copy)]
struct World {
    config: Config,
    path: Path,
    /// Of the speaker's and the microphone's crystal.
    ppm: (f64, f64),
    /// How far stamps wander, and by how much those of the speaker are wrong, seconds.
    wander: f64,
    wrong: f64,
    /// How far ahead the speaker is given sound, and how late the microphone brings its own, seconds.
    ahead: f64,
    behind: f64,
    /// Noise in the room, and how loud we are, dB.
    noise: f64,
    near: f64,
    seconds: f64,
    /// When the others and when we speak.
    far_speaks: fn(f64) -> bool,
    near_speaks: fn(f64) -> bool,
    /// The speaker is opened anew, and its sound is this much later from then on.
    opened_anew: Option<(f64, f64)>,
    stereo: Stereo,
}

/// What is played left and right.
#[derive(Clone, Copy, PartialEq)]
enum Stereo {
    /// The same.
    None,
    /// One voice, half a millisecond later and 3 dB quieter on the right: two microphones of a laptop.
    Microphones,
    /// Two voices.
    Voices,
}

impl World {
    /// The others speak and speak, and nobody here does.
    fn new() -> Self {
        World {
            config: BOTH,
            path: ROOM,
            ppm: (50.0, -50.0),
            wander: 1e-3,
            wrong: 0.0,
            ahead: 0.03,
            behind: 0.005,
            noise: -75.0,
            near: 0.0,
            seconds: 20.0,
            far_speaks: |_| true,
            near_speaks: |_| false,
            opened_anew: None,
            stereo: Stereo::None,
        }
    }
}

/// What came of it, by the microphone's samples.
#[derive(Default)]
struct Outcome {
    echo: Vec<f32>,
    near: Vec<f32>,
    out: Vec<f32>,
    /// At the end of each second.
    figures: Vec<Figures>,
    /// By how much earlier than blocks are those that came of them said to be caught, seconds.
    delay: f64,
}

fn run(world: World) -> Outcome {
    let begin = Instant::now() + Duration::from_secs(100);
    let at = |seconds: f64| offset(begin, (seconds * 1e9) as i64);
    let reference = Reference::default();
    let mut writer = reference.writer();
    let mut opened_anew = world.opened_anew;
    let voice = VoiceProcessing::new(world.config, reference.clone());
    let mut processor = voice.processor(1);
    let (mut tap, mut packer) = microphone::ring(1);
    let (mut far, mut other, mut near) = (Voice::new(11, 120.0), Voice::new(33, 150.0), Voice::new(22, 190.0));
    let mut dice = Dice::new(99);
    let (mut left, mut right) = (Room::new(world.path), Room::new(Path { seed: 8, ..world.path }));
    let (speaker, microphone) = (RATE * (1.0 + world.ppm.0 * 1e-6), RATE * (1.0 + world.ppm.1 * 1e-6));
    let (noise, level) = (10f64.powf(world.noise / 20.0) * 3f64.sqrt(), 10f64.powf(world.near / 20.0));
    let mut outcome = Outcome::default();
    let (mut given, mut caught, mut later) = (0usize, 0usize, VecDeque::from([0.0; 24]));
    while (caught as f64) < world.seconds * RATE {
        let now = (caught + 480) as f64 / microphone + world.behind;
        while given as f64 / speaker - world.ahead <= now {
            let leaves = given as f64 / speaker;
            if let Some((_, later)) = opened_anew.take_if(|(when, _)| *when <= leaves) {
                writer = reference.writer();
                for room in [&mut left, &mut right] {
                    room.furnish(Path { delay: world.path.delay + later, ..world.path });
                }
            }
            let mut piece = [0.0f32; 960];
            for (n, frame) in piece.chunks_exact_mut(2).enumerate() {
                let speaks = (world.far_speaks)((given + n) as f64 / speaker);
                let samples = [&mut far, &mut other].map(|voice| voice.next().unwrap() * f64::from(u8::from(speaks)));
                later.push_back(samples[0]);
                let second = later.pop_front().unwrap_or_default() * 0.7;
                let samples = match world.stereo {
                    Stereo::None => [samples[0]; 2],
                    Stereo::Microphones => [samples[0], second],
                    Stereo::Voices => samples,
                };
                left.play(samples[0]);
                right.play(samples[1]);
                frame.copy_from_slice(&samples.map(|sample| sample as f32));
            }
            writer.write(at(leaves + world.wrong + world.wander * dice.noise()), &piece);
            given += 480;
        }
        let mut piece = [0i16; 480];
        for (n, sample) in piece.iter_mut().enumerate() {
            let t = (caught + n) as f64 / microphone;
            let both = if world.stereo == Stereo::None { &[&left][..] } else { &[&left, &right] };
            let echo: f64 = both.iter().map(|room| room.hear(t * speaker)).sum();
            let voice = near.next().unwrap() * level;
            let near = if (world.near_speaks)(t) { voice } else { 0.0 };
            outcome.echo.push(echo as f32);
            outcome.near.push(near as f32);
            *sample = ((echo + near + noise * dice.noise()) * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
        }
        let age = now - caught as f64 / microphone + world.wander * dice.noise();
        tap.capture(at(now), Duration::from_secs_f64(age), &piece);
        caught += 480;
        let pumped = packer.pump(|block| {
            let caught = block.capture;
            let block = processor.process(block);
            outcome.delay = seconds_between(caught, block.capture);
            outcome.out.extend(block.samples.iter().map(|sample| f32::from(*sample) / 32_768.0));
            Ok(())
        });
        pumped.unwrap();
        if caught.is_multiple_of(48_000) {
            outcome.figures.push(processor.figures());
        }
    }
    outcome
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-12).log10()
}

impl Outcome {
    /// By how much quieter an echo was sent than it was heard, between two moments in which only the others spoke.
    fn erle(&self, from: f64, to: f64) -> f64 {
        let range = (from * RATE) as usize..(to * RATE) as usize;
        db(energy(&self.echo[range.clone()]) / energy(&self.out[range]))
    }

    /// Of each 20 ms in which we spoke between two moments, by how much louder we were sent: in the middle, and worst of the best
    /// nine tenths; and of all together. What is left of an echo is in it.
    fn kept(&self, from: f64, to: f64) -> (f64, f64, f64) {
        let (from, to, behind) = ((from * RATE) as usize, (to * RATE) as usize, (self.delay * RATE) as usize);
        let audible = energy(&self.near[from..to]) / 10.0;
        let piece = |sound: &[f32], at: usize| energy(&sound[at..at + 960]);
        let at = (from..to - 960 - behind).step_by(960).filter(|at| piece(&self.near, *at) > audible);
        let mut kept: Vec<_> = at.map(|at| db(piece(&self.out, at + behind) / piece(&self.near, at))).collect();
        kept.sort_by(f64::total_cmp);
        let all = db(energy(&self.out[from + behind..to]) / energy(&self.near[from..to - behind]));
        (kept[kept.len() / 2], kept[kept.len() / 10], all)
    }

    /// How much later what was sent is than what we said, seconds.
    fn later(&self, from: f64, to: f64) -> f64 {
        let (from, to) = ((from * RATE) as usize, (to * RATE) as usize);
        let likeness = |lag: usize| {
            let pairs = self.near[from..to].iter().zip(&self.out[from + lag..]);
            pairs.map(|(said, sent)| f64::from(*said) * f64::from(*sent)).sum::<f64>()
        };
        let best = (0..1920).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)));
        best.unwrap() as f64 / RATE
    }
}

#[test]
fn two_seconds_after_somebody_began_to_speak_his_echo_is_thirty_decibels_quieter() {
    for config in [ECHO, BOTH] {
        for delay in [0.04, 0.15, 0.3] {
            for (ppm, distortion) in [(0.0, 0.0), (50.0, 0.0), (-50.0, 1.0), (50.0, 1.0)] {
                let path = Path { delay, distortion, ..ROOM };
                let outcome = run(World { config, path, ppm: (ppm, -ppm), ..World::new() });
                let erle =
                    [(0.0, 1.0), (1.0, 2.0), (2.0, 5.0), (5.0, 20.0), (2.0, 20.0)].map(|(from, to)| outcome.erle(from, to));
                println!(
                    "{delay} s, {} ppm, distortion {distortion}, {}: {:.1}, {:.1}, {:.1}, {:.1} dB",
                    2.0 * ppm,
                    if config.noise { "noise suppressed" } else { "echo alone" },
                    erle[0],
                    erle[1],
                    erle[2],
                    erle[3]
                );
                assert!(erle[4] >= 30.0, "{:.1} dB", erle[4]);
                assert_eq!(outcome.figures.last().unwrap().missing, 0);
            }
        }
    }
}

#[test]
fn for_an_hour_two_crystals_a_hundred_parts_per_million_apart_do_it_no_harm() {
    let seconds = if std::env::var_os("EYELINE_SIM_LONG").is_some() { 3600.0 } else { 300.0 };
    let path = Path { distortion: 1.0, ..ROOM };
    let outcome = run(World { seconds, path, ..World::new() });
    let minutes: Vec<_> = (0..seconds as usize / 60).map(|n| outcome.erle((n * 60 + 2) as f64, (n * 60 + 60) as f64)).collect();
    println!("{}", minutes.iter().map(|erle| format!("{erle:.1}")).collect::<Vec<_>>().join(" "));
    assert!(minutes.iter().all(|erle| *erle >= 30.0));
}

#[test]
fn who_speaks_alone_loses_less_than_a_decibel_and_his_words_keep_their_time() {
    for config in [ECHO, NOISE, BOTH, Config { gain: true, ..BOTH }] {
        let alone = World { config, far_speaks: |_| false, near_speaks: |_| true, ..World::new() };
        let outcome = run(alone);
        let ((_, _, kept), later) = (outcome.kept(5.0, 19.0), outcome.later(5.0, 19.0));
        println!("{config:?}: {kept:.2} dB, later by {:.2} ms, said to be {:.2}", later * 1e3, outcome.delay * 1e3);
        assert!((later - outcome.delay).abs() < 0.2e-3);
        assert!(kept > -1.0 && (kept < 1.0 || config.gain));
    }
}

#[test]
fn who_interrupts_others_is_heard_with_headphones_and_over_a_loud_speaker_less() {
    // Of a loud speaker, a laptop's, one far away, headphones: what is lost at most in the middle, and in all but the worst
    // tenth.
    for (level, seed, most, worst_most) in
        [(0.0, 3, 9.0, 60.0), (-6.0, 5, 3.0, 30.0), (-12.0, 4, 3.0, 20.0), (-20.0, 3, 3.0, 12.0), (-30.0, 7, 3.0, 12.0)]
    {
        let path = Path { level, seed, distortion: 0.5, ..ROOM };
        let outcome = run(World { path, seconds: 45.0, near_speaks: |t| (15.0..40.0).contains(&t), ..World::new() });
        let (median, worst, all) = outcome.kept(15.0, 40.0);
        let (before, after) = (outcome.erle(5.0, 14.5), outcome.erle(41.0, 45.0));
        println!(
            "echo of {level} dB: {median:.1} dB, worst tenth {worst:.1}, of all {all:.1}; erle {before:.1}, then {after:.1} dB"
        );
        assert!(before >= 30.0 && after >= 30.0);
        assert!(median > -most && worst > -worst_most);
    }
}

#[test]
fn a_speaker_whose_stamps_are_wrong_is_found_out() {
    // It plays sooner than it says, and its echo comes before the reference would.
    for wrong in [0.012, 0.02, 0.03] {
        let path = Path { delay: 0.005, ..ROOM };
        let outcome = run(World { path, wrong, seconds: 30.0, ..World::new() });
        let (before, after) = (outcome.erle(2.0, 6.0), outcome.erle(20.0, 30.0));
        println!("wrong by {:.0} ms: {before:.1}, then {after:.1} dB", wrong * 1e3);
        assert!(after >= 30.0);
    }
}

#[test]
fn a_speaker_that_is_opened_anew_is_followed() {
    let outcome = run(World { opened_anew: Some((10.0, 0.06)), ..World::new() });
    let (before, after) = (outcome.erle(2.0, 9.5), outcome.erle(12.5, 20.0));
    println!("{before:.1}, and two seconds after {after:.1} dB");
    assert!(before >= 30.0 && after >= 30.0);
}

/// Left and right are told as their mean. Of two voices, each on one side, that says little: where it fails for a moment that is
/// heard.
#[test]
fn who_has_two_microphones_does_not_hear_himself_and_two_who_are_left_and_right_rarely() {
    let outcome = run(World { stereo: Stereo::Microphones, ..World::new() });
    let erle = outcome.erle(2.0, 20.0);
    println!("two microphones: {erle:.1} dB");
    assert!(erle >= 30.0);
    let outcome = run(World { stereo: Stereo::Voices, ..World::new() });
    let mut seconds: Vec<_> = (2..20).map(|n| outcome.erle(n as f64, (n + 1) as f64)).collect();
    seconds.sort_by(f64::total_cmp);
    println!("two voices, second by second: {seconds:.0?} dB, of all {:.1}", outcome.erle(2.0, 20.0));
    assert!(seconds[4] >= 30.0);
}

#[test]
fn who_is_too_low_is_raised_and_an_echo_is_not() {
    let low = World { config: ALL, near: -20.0, ..World::new() };
    let turns = run(World { seconds: 40.0, far_speaks: |t| t % 10.0 < 5.0, near_speaks: |t| t % 10.0 >= 5.0, ..low });
    let ((_, _, raised), erle) = (turns.kept(35.0, 40.0), turns.erle(30.5, 35.0));
    println!("raised by {raised:.1} dB, the echo is quieter by {erle:.1}");
    assert!(raised > 5.0 && erle >= 30.0);

    // The echo comes later than any canceller looks for it.
    let path = Path { delay: 0.6, ..ROOM };
    let outcomes = [BOTH, ALL].map(|config| run(World { config, path, seconds: 40.0, near: -90.0, ..low }));
    let [plain, raised] = outcomes.map(|outcome| energy(&outcome.out));
    println!("an echo that is not found is louder by {:.1} dB", db(raised / plain));
    assert!(raised < 1.05 * plain);
}

#[test]
fn a_speaker_that_falls_silent_costs_no_more_than_one_that_plays() {
    let (mut stage, mut far, mut near) = (Stage::new(ECHO, 1), Voice::new(11, 120.0), Voice::new(22, 190.0));
    let clock = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    // What five seconds take of the processor.
    let mut cost = |plays: bool| {
        let begun = clock();
        for _ in 0..500 {
            let reference = std::array::from_fn(|_| if plays { far.next().unwrap() as f32 } else { 0.0 });
            let mut heard: Vec<i16> = near.by_ref().take(BLOCK_FRAMES).map(|sample| (sample * 32_767.0) as i16).collect();
            stage.process(Some(&reference), &mut heard);
        }
        clock() - begun
    };
    let plays = cost(true);
    // What was played rings out.
    cost(false);
    let silent = cost(false);
    println!("five seconds: {plays:.0?} while it plays, {silent:.0?} while it is silent");
    assert!(silent < plays * 2);
}
