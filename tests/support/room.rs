//! From a speaker to a microphone: a delay, a room of which the reflections die away within 100 ms, a speaker that distorts, and
//! a crystal that differs.

#![allow(dead_code, reason = "each test program uses its part")]

use super::voices::Dice;

const RATE: f64 = 48_000.0;
/// Of the interpolation between samples.
const TAPS: usize = 32;
/// Longest a room is remembered.
const KEPT: usize = 1 << 16;

#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// From the speaker to the microphone, seconds.
    pub delay: f64,
    /// Of the echo against what was played, dB.
    pub level: f64,
    /// How much the speaker distorts: 0 not at all, 1 audibly.
    pub distortion: f64,
    /// Which room.
    pub seed: u64,
}

/// Samples in by the speaker's crystal, samples out wherever they are wanted.
pub struct Room {
    path: Path,
    reflections: Vec<(usize, f64)>,
    played: Vec<f64>,
    echo: Vec<f64>,
    /// Samples so far.
    count: usize,
    sinc: Vec<[f64; TAPS]>,
}

const PHASES: usize = 256;

impl Room {
    pub fn new(path: Path) -> Self {
        let mut room =
            Room { path, reflections: Vec::new(), played: vec![0.0; KEPT], echo: vec![0.0; KEPT], count: 0, sinc: Vec::new() };
        for phase in 0..=PHASES {
            let part = phase as f64 / PHASES as f64;
            room.sinc.push(std::array::from_fn(|tap| {
                let x = tap as f64 - (TAPS as f64 / 2.0 - 1.0) - part;
                let window = 0.5 + 0.5 * (std::f64::consts::TAU * x / (TAPS as f64 + 1.0)).cos();
                let sinc = if x.abs() < 1e-9 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
                sinc * window
            }));
        }
        room.furnish(path);
        room
    }

    /// Another room, or the same with somebody standing elsewhere.
    pub fn furnish(&mut self, path: Path) {
        self.path = path;
        let mut dice = Dice::new(path.seed);
        // The way itself, and 150 reflections that lose 60 dB in 150 ms.
        let mut taps = vec![(0, 1.0)];
        for _ in 0..150 {
            let at = dice.between(1e-3, 0.1);
            let strength = 0.5 * 10f64.powf(-at * 60.0 / 0.15 / 20.0);
            taps.push(((at * RATE) as usize, strength * dice.noise()));
        }
        let energy: f64 = taps.iter().map(|(_, strength)| strength * strength).sum();
        let scale = 10f64.powf(path.level / 20.0) / energy.sqrt();
        self.reflections = taps.into_iter().map(|(at, strength)| (at, strength * scale)).collect();
    }

    pub fn play(&mut self, sample: f64) {
        let distorted = match self.path.distortion {
            0.0 => sample,
            // A little of the second harmonic, and a limit.
            much => {
                let bent = sample + 0.05 * much * sample * sample;
                bent.clamp(-1.0 + 0.4 * much, 1.0 - 0.4 * much)
            }
        };
        let at = |n: usize| n % KEPT;
        self.played[at(self.count)] = distorted;
        let mut echo = 0.0;
        for (tap, strength) in &self.reflections {
            if let Some(n) = self.count.checked_sub(*tap) {
                echo += strength * self.played[at(n)];
            }
        }
        self.echo[at(self.count)] = echo;
        self.count += 1;
    }

    pub fn played(&self) -> usize {
        self.count
    }

    /// What is heard when the speaker plays its sample number `at`, the delay included.
    pub fn hear(&self, at: f64) -> f64 {
        let at = at - self.path.delay * RATE;
        let whole = at.floor();
        let part = (at - whole) * PHASES as f64;
        let phase = part as usize;
        let between = part - phase as f64;
        let mut sum = 0.0;
        for tap in 0..TAPS {
            let n = whole as i64 + tap as i64 - (TAPS as i64 / 2 - 1);
            if n < 0 || n as usize >= self.count || n as usize + KEPT <= self.count {
                continue;
            }
            let weight = self.sinc[phase][tap] * (1.0 - between) + self.sinc[(phase + 1).min(PHASES)][tap] * between;
            sum += weight * self.echo[n as usize % KEPT];
        }
        sum
    }
}
