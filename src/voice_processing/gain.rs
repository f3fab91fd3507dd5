//! Gain control (AGC2 of WebRTC, in Rust: `sonora`): who is too low is raised, at most 6 dB a second.
//!
//! **Problem.** It takes an echo that was left for a voice, and raises it. **Choice.** While the others speak, and half a second
//! longer, it is at work only where that cannot happen ([`Gate`]): the canceller says itself that it takes out ten decibels and
//! more, which it says late and never where it fails; or there is no echo, as with headphones, for it is quiet at the
//! microphone while the others speak. Else sound passes as it is. The reference leads its echo: so the gain is gone before that
//! comes.
//! **Rejected.** The detector of residual echo (WebRTC's RED): it needs seconds to see what it is there to prevent.

use sonora::config::{AdaptiveDigital, GainController2};
use sonora::{AudioProcessing, Config};

use super::shape::{Channel, pipeline, stream};
use eyeline_proto::media::resampler::CHANNELS;
use eyeline_proto::sound::BLOCK_FRAMES;

/// From this on the canceller is believed, until it says less than the other, dB. Where it fails it was never seen to say more
/// than nine (reference too late, echo too late), where it works it says ten after five to eight seconds of speech.
const BELIEVED: f64 = 10.0;
const DOUBTED: f64 = 6.0;
/// What is played is heard above this: mean square of a block, -50 dB of full scale.
const AUDIBLE: f32 = 1e-5;
/// Blocks for which an echo of what was played may still come: 500 ms.
const ECHOES: u32 = 50;
/// Blocks of what is played over which it must have been audible, so that its echo is surely there.
const SURELY: u32 = 40;
/// What comes back is no echo worth the name where it is quieter than what is played by so much: 35 dB.
const QUIETER: f32 = 3.2e-4;
/// So many blocks without an echo must have been seen before that is believed; one that may have one, or a voice, takes a tenth
/// off.
const SEEN: u32 = 500;
const QUIET: u32 = 10;

/// See the module text.
pub struct Gain {
    gate: Gate,
    processing: AudioProcessing,
    raised: [Channel; CHANNELS],
    on: bool,
}

impl Gain {
    /// For a microphone of so many channels.
    pub fn new(channels: usize) -> Self {
        // What is too low is raised from where it is: fifteen decibels at once, as it is set by itself, are a shout.
        let adaptive = AdaptiveDigital { initial_gain_db: 0.0, ..AdaptiveDigital::default() };
        let control = GainController2 { adaptive_digital: Some(adaptive), ..GainController2::default() };
        let config = Config { pipeline: pipeline(), gain_controller2: Some(control), ..Config::default() };
        let builder = AudioProcessing::builder().config(config);
        let processing = builder.capture_config(stream(channels)).render_config(stream(1)).build();
        Gain { gate: Gate::default(), processing, raised: [[0.0; BLOCK_FRAMES]; CHANNELS], on: true }
    }

    /// Whether it was at work on the last block.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Raises `clean`, where that may be: of the echo this is known.
    pub fn process(&mut self, heard: Heard, clean: &mut [Channel]) {
        let was = std::mem::replace(&mut self.on, self.gate.opens(heard));
        if !was && !self.on {
            return;
        }
        let mut sources: [&[f32]; CHANNELS] = [&[]; CHANNELS];
        sources.iter_mut().zip(clean.iter()).for_each(|(source, channel)| *source = channel);
        let mut raised = self.raised.each_mut().map(|channel| channel.as_mut_slice());
        let count = clean.len();
        if self.processing.process_capture_f32(&sources[..count], &mut raised[..count]).is_err() {
            return;
        }
        let (from, to) = (f32::from(u8::from(was)), f32::from(u8::from(self.on)));
        for (channel, raised) in clean.iter_mut().zip(&self.raised) {
            for (n, (sample, raised)) in channel.iter_mut().zip(raised).enumerate() {
                let much = from + (to - from) * n as f32 / BLOCK_FRAMES as f32;
                *sample += (raised - *sample) * much;
            }
        }
    }
}

/// What is known of an echo, of one block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    /// By how much the canceller says that the echo is quieter, dB.
    pub enhancement: f64,
    /// Mean squares of what is played and of what the microphone hears.
    pub played: f32,
    pub caught: f32,
}

/// When sound may be raised. See the module text.
#[derive(Debug, Default)]
struct Gate {
    believed: bool,
    /// Blocks since what is played was audible, and for which it has been.
    since: Option<u32>,
    lasted: u32,
    /// Means over the last half second.
    played: f32,
    caught: f32,
    /// Tenths of blocks without an echo where there should have been one, less those with something that may be one.
    echoless: u32,
}

impl Gate {
    fn opens(&mut self, heard: Heard) -> bool {
        let Heard { enhancement, played, caught } = heard;
        self.believed = enhancement >= if self.believed { DOUBTED } else { BELIEVED };
        self.played += (played - self.played) / ECHOES as f32;
        self.caught += (caught - self.caught) / ECHOES as f32;
        if played > AUDIBLE {
            self.since = Some(0);
        } else {
            self.since = self.since.map(|since| since + 1).filter(|since| *since < ECHOES);
        }
        self.lasted = if self.since.is_some() { self.lasted + 1 } else { 0 };
        if self.lasted > SURELY && self.played > AUDIBLE {
            let quiet = self.caught < self.played * QUIETER;
            self.echoless = if quiet { (self.echoless + QUIET).min(2 * SEEN) } else { self.echoless.saturating_sub(1) };
        }
        self.since.is_none() || self.believed || self.echoless >= SEEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: f32 = 1e-2;
    const SOFT: f32 = 1e-7;

    fn heard(enhancement: f64, played: f32, caught: f32) -> Heard {
        Heard { enhancement, played, caught }
    }

    /// Whether it is open after so many blocks alike.
    fn opens(gate: &mut Gate, blocks: u32, like: Heard) -> bool {
        (0..blocks).fold(false, |_, _| gate.opens(like))
    }

    #[test]
    fn it_is_open_while_nobody_else_speaks_and_half_a_second_after_he_did() {
        let mut gate = Gate::default();
        assert!(opens(&mut gate, 1, heard(0.0, 0.0, LOUD)));
        assert!(!opens(&mut gate, 1, heard(0.0, LOUD, SOFT)), "with the first block, before its echo is there");
        assert!(!opens(&mut gate, ECHOES - 1, heard(0.0, SOFT, LOUD)));
        assert!(opens(&mut gate, 1, heard(0.0, SOFT, LOUD)));
    }

    #[test]
    fn while_others_speak_it_is_open_from_ten_decibels_on_and_until_there_are_less_than_six() {
        let mut gate = Gate::default();
        let open = [9.0, 10.0, 7.0, 5.0, 7.0, 12.0].map(|enhancement| opens(&mut gate, 1, heard(enhancement, LOUD, LOUD)));
        assert_eq!(open, [false, true, true, false, false, true]);
    }

    #[test]
    fn with_headphones_it_opens_within_two_seconds_of_others_and_stays_open_for_who_interrupts_them() {
        let mut gate = Gate::default();
        assert!(opens(&mut gate, 200, heard(0.0, LOUD, SOFT)));
        assert!(opens(&mut gate, 300, heard(0.0, LOUD, LOUD)), "three seconds of both");
        assert!(!opens(&mut gate, 2000, heard(0.0, LOUD, LOUD)), "or the headphones were laid down");
    }

    #[test]
    fn an_echo_that_comes_300_milliseconds_later_is_one() {
        let mut gate = Gate::default();
        // Words of 600 ms with pauses of 400, far longer than it takes to be believed.
        for n in 0..6000 {
            let says = |n: i32| if n.rem_euclid(100) < 60 { LOUD } else { SOFT };
            let open = gate.opens(heard(0.0, says(n), says(n - 30) / 4.0));
            assert!(!open || n < 2, "block {n}");
        }
    }
}
