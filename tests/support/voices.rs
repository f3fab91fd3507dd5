//! Somebody who speaks, made of nothing: syllables of a buzz through three formants and of hiss, words and pauses between them.
//! The same for the same seed, mono, 48 kHz, about 22 dB below full scale while it speaks.

#![allow(dead_code, reason = "each test program uses its part")]

const RATE: f64 = 48_000.0;

/// The dice.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// From -1 to 1.
    pub fn noise(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}

/// Two poles: one formant.
#[derive(Default)]
struct Formant {
    a: f64,
    b: f64,
    gain: f64,
    before: [f64; 2],
}

impl Formant {
    fn tune(&mut self, hertz: f64, width: f64) {
        let radius = (-std::f64::consts::PI * width / RATE).exp();
        self.a = 2.0 * radius * (std::f64::consts::TAU * hertz / RATE).cos();
        self.b = -radius * radius;
        self.gain = 1.0 - radius;
    }

    fn pass(&mut self, x: f64) -> f64 {
        let y = self.gain * x + self.a * self.before[0] + self.b * self.before[1];
        self.before = [y, self.before[0]];
        y
    }
}

pub struct Voice {
    dice: Dice,
    pitch: f64,
    phase: f64,
    formants: [Formant; 3],
    /// Samples of the syllable, or pause, and how many are over.
    length: usize,
    at: usize,
    /// Syllables until the next pause.
    word: usize,
    kind: Kind,
    bend: f64,
    last: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Vowel,
    Hiss,
    Pause,
}

impl Voice {
    pub fn new(seed: u64, pitch: f64) -> Self {
        let formants = Default::default();
        Voice {
            dice: Dice::new(seed),
            pitch,
            phase: 0.0,
            formants,
            length: 0,
            at: 0,
            word: 3,
            kind: Kind::Pause,
            bend: 1.0,
            last: 0.0,
        }
    }

    fn next_part(&mut self) {
        self.at = 0;
        if self.word == 0 {
            self.word = 2 + (self.dice.unit() * 4.0) as usize;
            self.kind = Kind::Pause;
            self.length = (self.dice.between(0.08, 0.35) * RATE) as usize;
            return;
        }
        if self.kind != Kind::Hiss && self.dice.unit() < 0.5 {
            self.kind = Kind::Hiss;
            self.length = (self.dice.between(0.04, 0.1) * RATE) as usize;
            self.formants[0].tune(self.dice.between(3500.0, 6500.0), 2500.0);
            return;
        }
        self.word -= 1;
        self.kind = Kind::Vowel;
        self.length = (self.dice.between(0.12, 0.3) * RATE) as usize;
        self.bend = self.dice.between(0.85, 1.2);
        let centres = [self.dice.between(280.0, 800.0), self.dice.between(900.0, 2300.0), self.dice.between(2400.0, 3300.0)];
        for (formant, (centre, width)) in self.formants.iter_mut().zip(centres.into_iter().zip([80.0, 110.0, 170.0])) {
            formant.tune(centre, width);
        }
    }
}

impl Iterator for Voice {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        if self.at == self.length {
            self.next_part();
        }
        let place = self.at as f64 / self.length as f64;
        self.at += 1;
        let envelope = (std::f64::consts::PI * place).sin().powf(0.5);
        let sound = match self.kind {
            Kind::Pause => 0.0,
            Kind::Hiss => {
                let noise = self.dice.noise();
                0.5 * self.formants[0].pass(noise)
            }
            Kind::Vowel => {
                self.phase += self.pitch * (self.bend + 0.08 * (place - 0.5)) / RATE;
                let pulse = if self.phase >= 1.0 { 20.0 } else { 0.0 };
                self.phase %= 1.0;
                let breath = 0.15 * self.dice.noise();
                let buzz = 0.9 * self.last + pulse + breath;
                self.last = buzz;
                let [a, b, c] = &mut self.formants;
                1.6 * a.pass(buzz) + 0.9 * b.pass(buzz) + 0.5 * c.pass(buzz)
            }
        };
        Some((sound * envelope * LEVEL).clamp(-0.98, 0.98))
    }
}

const LEVEL: f64 = 0.04;
