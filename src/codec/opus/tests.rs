//! Sines through encoder and decoder: what is played is where it was caught, whatever form its blocks came in.

use super::decoder::{Decoder, Error};
use super::*;
use eyeline_proto::sound::{BLOCK_FRAMES, Numbered};
use eyeline_proto::time::MediaTime;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

const AMPLITUDE: f64 = 12_000.0;

/// A sine of so many Hz at a time, and in the other channel one half as loud.
fn sine(hz: f64, seconds: f64, channel: usize) -> f64 {
    AMPLITUDE / (channel + 1) as f64 * (TAU * hz * seconds).sin()
}

/// Who catches a sine, from `start` on.
struct Rig {
    start: Instant,
    hz: f64,
    channels: u8,
    encoder: Encoder,
    caught: u64,
}

/// What is sent of a block.
#[derive(Clone)]
struct Out {
    number: u64,
    block: Block<Instant>,
    packet: Option<Packet>,
}

impl Out {
    fn packet(&self) -> Numbered<MediaTime, Packet> {
        let (samples, capture) = (self.packet.clone().expect("a packet"), MediaTime::from_nanos(self.number * 10_000_000));
        Numbered { number: self.number, block: Block { capture, channels: self.block.channels, samples } }
    }
}

impl Rig {
    fn new(hz: f64, channels: u8) -> Rig {
        Rig { start: Instant::now() + Duration::from_secs(1), hz, channels, encoder: Encoder::default(), caught: 0 }
    }

    fn catch(&mut self, blocks: u64, wanted: bool) -> Vec<Out> {
        let mut catch = || {
            let number = self.caught;
            self.caught += 1;
            let frames = (number * 480..(number + 1) * 480).map(|frame| frame as f64 / 48_000.0);
            let (hz, channels) = (self.hz, usize::from(self.channels));
            let of = |seconds| (0..channels).map(move |channel| sine(hz, seconds, channel) as i16);
            let samples = frames.flat_map(of).collect();
            let capture = self.start + Duration::from_millis(10 * number);
            let (block, packet) = self.encoder.push(Block { capture, channels: self.channels, samples }, wanted);
            Out { number, block, packet }
        };
        (0..blocks).map(|_| catch()).collect()
    }

    /// By how much samples that begin at this capture time are off the sine, at most.
    fn off(&self, block: &Block<Instant>, samples: &[i16]) -> f64 {
        let began = block.capture.duration_since(self.start).as_secs_f64();
        let off = samples.chunks(usize::from(self.channels)).enumerate().flat_map(|(frame, both)| {
            let at = began + frame as f64 / 48_000.0;
            both.iter().enumerate().map(move |(channel, sample)| (f64::from(*sample) - sine(self.hz, at, channel)).abs())
        });
        off.fold(0.0, f64::max)
    }
}

/// The largest step between two samples of one channel.
fn step(samples: &[i16], channels: u8) -> f64 {
    let channels = usize::from(channels);
    let steps = samples.iter().zip(&samples[channels.min(samples.len())..]);
    steps.map(|(one, next)| (f64::from(*next) - f64::from(*one)).abs()).fold(0.0, f64::max)
}

/// Samples, then packets behind them, then samples again, as a receiver plays them, and by how much each block is off.
fn there_and_back(hz: f64, channels: u8) -> (Vec<i16>, Vec<f64>) {
    let (mut rig, mut decoder) = (Rig::new(hz, channels), Decoder::default());
    let mut out = rig.catch(30, false);
    out.extend(rig.catch(250, true));
    let first = out.iter().position(|out| out.packet.is_some()).expect("packets");
    assert_eq!(first, 30 + 50, "half a second after they were wanted");
    let (from, back) = (first + 20, 180);
    let (mut played, mut off) = (Vec::new(), Vec::new());
    for (place, out) in out.iter().enumerate() {
        // Two blocks come in both forms.
        let decoded = (from - 2..back).contains(&place).then(|| decoder.decode(out.block.capture, &out.packet()).expect("ours"));
        let samples = decoded.filter(|_| place >= from).unwrap_or(out.block.samples.clone());
        off.push(rig.off(&out.block, &samples));
        played.extend_from_slice(&samples);
    }
    (played, off)
}

#[test]
fn a_change_of_form_is_no_step_and_every_sample_is_where_it_was_caught() {
    for (hz, channels) in [(440.0, 1), (997.0, 1), (997.0, 2), (3000.0, 1)] {
        let (played, off) = there_and_back(hz, channels);
        // The sine's own step, and what the codec adds anywhere.
        let (own, noise) = (AMPLITUDE * TAU * hz / 48_000.0, off[110..170].iter().copied().fold(0.0, f64::max));
        let (step, worst) = (step(&played, channels), off.iter().copied().fold(0.0, f64::max));
        let at_change = off[97..106].iter().copied().fold(0.0, f64::max);
        println!(
            "{hz} Hz, {channels}: own step {own:.0}, largest {step:.0}; codec off by {noise:.0}, at the change {at_change:.0}, worst {worst:.0}"
        );
        assert!(step <= own + 2.0 * noise + 2.0, "{hz} Hz: a step of {step}, of its own {own} and noise {noise}");
        assert!(at_change <= noise * 1.2, "{hz} Hz: off by {at_change} at the change, in between by {noise}");
        // A block that is stretched is two frames and a half shorter than the time it has.
        let stretch = AMPLITUDE * TAU * hz * 51e-6;
        assert!(worst <= noise.max(stretch), "{hz} Hz: off by {worst}, in between by {noise}");
        assert!(noise < AMPLITUDE / 12.0, "{hz} Hz: the codec is off by {noise}");
    }
}

#[test]
fn a_source_that_begins_while_packets_are_wanted_has_them_from_its_first_block() {
    let mut rig = Rig::new(997.0, 1);
    let out = rig.catch(30, true);
    assert!(out.iter().all(|out| out.packet.is_some()));
    assert_eq!(out[1].block.capture.duration_since(rig.start), Duration::from_micros(7500));
    let mut decoder = Decoder::default();
    let off: Vec<f64> =
        out.iter().map(|out| rig.off(&out.block, &decoder.decode(out.block.capture, &out.packet()).expect("ours"))).collect();
    assert!(off[1..].iter().all(|off| *off < AMPLITUDE / 12.0), "{off:?}");
    let bytes: usize = out[10..].iter().map(|out| out.packet.as_ref().map_or(0, |packet| packet.len())).sum();
    assert!(bytes / 20 <= 110, "{} bytes a packet", bytes / 20);
}

#[test]
fn while_nobody_wants_packets_sound_is_as_it_comes_and_none_is_made() {
    let mut rig = Rig::new(997.0, 2);
    let out = rig.catch(5, false);
    assert!(out.iter().all(|out| out.packet.is_none() && rig.off(&out.block, &out.block.samples) < 1.0));
    assert_eq!(out[3].block.capture.duration_since(rig.start), Duration::from_millis(30));
    rig.catch(60, true);
    let after = rig.catch(3, false);
    assert!(after.iter().all(|out| out.packet.is_none()), "nobody wants them any more");
    assert!(after.iter().all(|out| rig.off(&out.block, &out.block.samples) < 2.0), "and it stays as late as it is");
}

#[test]
fn what_was_before_a_pause_is_not_heard_after_it() {
    let mut rig = Rig::new(997.0, 1);
    rig.catch(5, true);
    rig.caught += 100;
    let out = rig.catch(1, true).remove(0);
    assert!(out.block.samples[..LOOKAHEAD].iter().all(|sample| *sample == 0));
    assert!(out.block.samples[LOOKAHEAD..].iter().any(|sample| *sample != 0));
}

/// Packets of a sine.
fn packets(blocks: u64) -> (Rig, Vec<Out>) {
    let mut rig = Rig::new(997.0, 1);
    let out = rig.catch(blocks, true);
    (rig, out)
}

#[test]
fn a_packet_that_comes_late_is_as_good_as_one_in_time_and_so_are_those_behind_its_follower() {
    let (rig, out) = packets(80);
    let mut decoder = Decoder::default();
    let order = (0..40).chain([41, 42, 40, 43, 45, 44]).chain(46..60);
    let off: Vec<(usize, f64)> = order
        .map(|at| (at, rig.off(&out[at].block, &decoder.decode(out[at].block.capture, &out[at].packet()).expect("ours"))))
        .collect();
    let of = |number: usize| off.iter().find(|(at, _)| *at == number).map_or(f64::MAX, |(_, off)| *off);
    println!("late: {:.0} and {:.0}; before it came {:.0}, {:.0}, after {:.0}", of(40), of(44), of(41), of(42), of(43));
    let most = AMPLITUDE / 12.0;
    assert!([40, 42, 43, 44, 46, 47].into_iter().all(|number| of(number) < most), "{off:?}");
}

#[test]
fn after_a_hole_the_sound_is_whole_again_with_the_second_packet() {
    for lost in [1, 3, 4, 50] {
        let (rig, out) = packets(200);
        let mut decoder = Decoder::default();
        for out in &out[..40] {
            decoder.decode(out.block.capture, &out.packet()).expect("ours");
        }
        let off: Vec<f64> = out[40 + lost..]
            .iter()
            .map(|out| rig.off(&out.block, &decoder.decode(out.block.capture, &out.packet()).expect("ours")))
            .collect();
        println!("after {lost} lost: {:.0?}", &off[..6]);
        assert!(off.iter().all(|off| *off < AMPLITUDE * 1.5), "nothing is louder than it was: {off:?}");
        assert!(off[1..].iter().all(|off| *off < AMPLITUDE / 12.0), "{lost} lost: {off:?}");
    }
}

/// Behind a mute numbers go on and time has passed. The decoder that heard what was before would end that now.
#[test]
fn behind_a_mute_nothing_is_heard_of_what_was_before_it() {
    let (mut rig, mut decoder) = (Rig::new(997.0, 1), Decoder::default());
    for out in rig.catch(40, true) {
        decoder.decode(out.block.capture, &out.packet()).expect("ours");
    }
    rig.start += Duration::from_secs(3);
    let mut silent = Rig { hz: 0.0, ..rig };
    let loudest = silent.catch(3, true).into_iter().map(|out| {
        let mut sound = out.packet();
        sound.block.capture = sound.block.capture.saturating_add(Duration::from_secs(3));
        let samples = decoder.decode(out.block.capture, &sound).expect("ours");
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default()
    });
    let loudest: Vec<u16> = loudest.collect();
    assert!(loudest.iter().all(|loudest| *loudest < 10), "{loudest:?}");
}

/// A peer that sends a thousand at once costs the net thread what a second of sound does, and no more.
#[test]
fn of_more_packets_than_sound_has_only_some_are_decoded_and_a_second_that_comes_late_is_whole() {
    let (rig, out) = packets(400);
    let mut decoder = Decoder::default();
    let mut decoded = |now: Instant, numbers: std::ops::Range<usize>| {
        let packets = out[numbers].iter().map(|out| decoder.decode(now, &out.packet()));
        packets.filter(|decoded| !matches!(decoded, Err(Error::TooMany))).count()
    };
    assert_eq!(decoded(rig.start, 0..100), 100);
    assert!(decoded(rig.start, 100..300) < 30, "a second's worth is used up");
    let later = rig.start + Duration::from_millis(400);
    assert_eq!(decoded(later, 300..400), 100, "and there again");
}

#[test]
fn what_is_no_packet_is_no_sound_and_the_next_one_is() {
    let (rig, out) = packets(60);
    let mut decoder = Decoder::default();
    let mut take = |number: u64, channels: u8, bytes: &[u8]| {
        let samples: Packet = bytes.into();
        let capture = MediaTime::from_nanos(number.saturating_mul(10_000_000));
        decoder.decode(Instant::now(), &Numbered { number, block: Block { capture, channels, samples } })
    };
    // A frame of 20 ms, two of 10 ms, lengths that contradict themselves, none at all.
    let bad: [&[u8]; 5] = [&[0xF8, 1, 2, 3], &[0xF1, 1, 2], &[0xF3], &[0xFF; 1275], &[0xF2, 200, 1]];
    for (number, bytes) in bad.into_iter().enumerate() {
        let refused = take(number as u64, 1 + (number % 2) as u8, bytes);
        assert!(matches!(refused, Err(Error::Refused(_) | Error::Length(_))), "{bytes:?}: {refused:?}");
    }
    assert!(take(u64::MAX, 2, &[0xF0; 9]).is_ok(), "any bytes behind a head that is right are sound");
    assert!(matches!(take(u64::MAX - 1000, 1, &[0xF0; 9]), Err(Error::Late)));
    let mut decoder = Decoder::default();
    let off: Vec<f64> =
        out.iter().map(|out| rig.off(&out.block, &decoder.decode(out.block.capture, &out.packet()).expect("ours"))).collect();
    assert!(off[1..].iter().all(|off| *off < AMPLITUDE / 12.0));
}

#[test]
fn however_packets_come_what_is_kept_of_them_is_bounded() {
    let (_, out) = packets(60);
    let mut decoder = Decoder::default();
    let mut dice = 7_u64;
    for number in 0..2000 {
        let now = out[0].block.capture + Duration::from_millis(10 * number);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut sound = out[(dice >> 40) as usize % 60].packet();
        sound.number = (dice >> 33) % 400;
        let samples: Arc<[i16]> = match decoder.decode(now, &sound) {
            Ok(samples) => samples,
            Err(error) => {
                assert!(matches!(error, Error::Late), "{error}");
                continue;
            }
        };
        assert_eq!(samples.len(), BLOCK_FRAMES);
    }
}
