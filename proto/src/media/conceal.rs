//! What is heard where there is no sound: no click, no hole with edges.
//!
//! When sound ends before the next begins, the last 10 ms are played backwards, forwards and so on, fading to nothing within
//! 20 ms: a mirror joins without a jump whatever the sound was. When sound comes back it fades in over 5 ms while the
//! concealment goes on fading out. The same covers a jump in the stream, where both sides are sound. One lost block of 10 ms is
//! thus mostly covered, and silence is all that is left of a longer gap. (G.711 appendix I would find the pitch first: better
//! for voice by a shade, and 3.75 ms later.)
//!
//! Invariant: fixed size, allocates nothing; the output never steps by more than its input does.

/// What is mirrored: 10 ms.
const MIRROR: usize = 480;
/// Frames until a concealment is silent.
const FADE_OUT: usize = 960;
/// Frames until returning sound is alone.
const FADE_IN: usize = 240;

pub struct Concealer {
    /// The last frames given out, a ring.
    recent: Box<[[f32; 2]; MIRROR]>,
    next: usize,
    /// The last frames before the gap, newest first.
    mirror: Box<[[f32; 2]; MIRROR]>,
    /// Frames of concealment made.
    made: usize,
    /// Frames of returning sound mixed in; `FADE_IN` when it is alone.
    mixed: usize,
}

impl Concealer {
    /// Silent: the first sound fades in.
    pub fn new() -> Self {
        Concealer {
            recent: Box::new([[0.0; 2]; MIRROR]),
            next: 0,
            mirror: Box::new([[0.0; 2]; MIRROR]),
            made: FADE_OUT,
            mixed: 0,
        }
    }

    /// As new, in the memory there is.
    pub fn reset(&mut self) {
        self.recent.fill([0.0; 2]);
        self.mirror.fill([0.0; 2]);
        (self.next, self.made, self.mixed) = (0, FADE_OUT, 0);
    }

    /// One frame out, for one frame in where there is one.
    pub fn frame(&mut self, sound: Option<[f32; 2]>) -> [f32; 2] {
        let out = match sound {
            Some(sound) if self.mixed >= FADE_IN => sound,
            Some(sound) => {
                self.mixed += 1;
                let weight = self.mixed as f32 / FADE_IN as f32;
                let hidden = self.conceal();
                [0, 1].map(|c| sound[c] * weight + hidden[c] * (1.0 - weight))
            }
            None => {
                self.cut();
                self.conceal()
            }
        };
        self.recent[self.next] = out;
        self.next = (self.next + 1) % MIRROR;
        out
    }

    /// The next frame is not the follower of the last one: fades over between them.
    pub fn cut(&mut self) {
        if self.mixed == 0 {
            return; // concealing already
        }
        for (age, frame) in self.mirror.iter_mut().enumerate() {
            *frame = self.recent[(self.next + 2 * MIRROR - 1 - age) % MIRROR];
        }
        (self.made, self.mixed) = (0, 0);
    }

    fn conceal(&mut self) -> [f32; 2] {
        if self.made >= FADE_OUT {
            return [0.0; 2];
        }
        self.made += 1;
        let turn = 2 * (MIRROR - 1);
        let place = self.made % turn;
        let gain = 1.0 - self.made as f32 / FADE_OUT as f32;
        self.mirror[place.min(turn - place)].map(|s| s * gain)
    }
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(n: usize) -> [f32; 2] {
        [(n as f32 * 0.1309).sin(); 2] // 1 kHz
    }

    /// The largest step between neighbours.
    fn step(out: &[[f32; 2]]) -> f32 {
        out.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_lost_block_at_any_place_of_a_tone_makes_no_step_larger_than_the_tones_own() {
        for place in 1000..1048 {
            let mut concealer = Concealer::new();
            let out: Vec<_> = (0..3000).map(|n| concealer.frame((!(place..place + 480).contains(&n)).then(|| tone(n)))).collect();
            assert!(step(&out) < 0.1309 + 1.0 / 240.0 + 1e-3, "{} at {place}", step(&out));
            let heard = out[place..place + 480].iter().map(|f| f[0] * f[0]).sum::<f32>() / 480.0;
            assert!(heard > 0.2, "a lost block is covered, not silent: {heard}");
        }
    }

    /// A chord, gaps of any length at any distance: what is added to its own largest step is the slope of the fades and no more.
    #[test]
    fn whatever_is_missing_of_a_chord_no_step_is_larger_than_its_own_and_a_fades() {
        let chord = |n: usize| {
            let sine = |hertz: f64| (std::f64::consts::TAU * hertz * n as f64 / 48_000.0).sin() / 3.0;
            [(sine(311.0) + sine(997.0) + sine(2503.0)) as f32; 2]
        };
        let own = step(&(0..48_000).map(chord).collect::<Vec<_>>());
        let fades = 2.0 / FADE_IN as f32 + 1.0 / FADE_OUT as f32;
        let mut dice = 7u32;
        let mut roll = |most: usize| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 8) as usize % most + 1
        };
        // Blocks lost of a stream that plays; and shreds, where a fade is mirrored into the next before it ended.
        for (block, sound, times) in [(480, 720, 1.0), (1, 1, 1.0)] {
            let (mut concealer, mut out, mut n) = (Concealer::new(), Vec::new(), 0);
            for _ in 0..2000 {
                for (frames, there) in [(sound + roll(300), true), (block * roll(300 / block + 3), false)] {
                    for _ in 0..frames {
                        out.push(concealer.frame(there.then(|| chord(n))));
                        n += 1;
                    }
                }
            }
            assert!(step(&out) < own + times * fades, "{} against {own} and {fades}", step(&out));
        }
    }

    #[test]
    fn a_long_gap_is_silent_after_twenty_milliseconds_and_full_again_five_after_its_end() {
        let mut concealer = Concealer::new();
        let out: Vec<_> = (0..6000).map(|n| concealer.frame((!(1000..4000).contains(&n)).then(|| tone(n)))).collect();
        assert!(out[1960..4000].iter().all(|f| *f == [0.0; 2]));
        assert!((4240..6000).all(|n| out[n] == tone(n)));
        assert!(step(&out) < 0.1309 + 1.0 / 240.0 + 1e-3);
    }

    #[test]
    fn a_jump_and_a_gap_within_a_fade_make_no_step() {
        let mut concealer = Concealer::new();
        let mut out = Vec::new();
        for n in 0..4000 {
            if n == 1000 || n == 1100 {
                concealer.cut();
            }
            let jumped = if n >= 1100 { n + 24 } else { n };
            out.push(concealer.frame((!(2000..2100).contains(&n) && !(2150..2170).contains(&n)).then(|| tone(jumped))));
        }
        assert!(step(&out) < 0.1309 + 2.0 / 240.0 + 1e-3, "{}", step(&out));
    }
}
