//! Pictures as a webcam takes them, made from numbers: a room with textures and hard edges, a head that moves in it, light that
//! changes, and the sensor's noise. The same seed gives the same pictures; without noise it is the *clean* scene to compare with.
//!
//! Knows nothing of Eyeline: it gives tight planes Y, Cb, Cr, so tests and benches of any crate can include it by path.

use std::f32::consts::TAU;

/// A small generator of numbers (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// Any seed does.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.roll();
        dice
    }

    /// 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / (1 << 24) as f32
    }
}

/// The sensor's noise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noise {
    /// Standard deviation of luma at mid-grey; it is a third light's own (Poisson) and two thirds the sensor's (Gaussian) there.
    pub sigma: f32,
    /// As a camera leaves it that smooths: neighbours have some of it in common.
    pub smooth: bool,
}

/// Light that goes bright and dark with the mains, row after row as a rolling shutter reads them.
#[derive(Debug, Clone, Copy)]
pub struct Flicker {
    /// Twice the mains' frequency.
    pub hertz: f32,
    /// Pictures a second.
    pub rate: f32,
    /// By what share it becomes brighter and darker.
    pub depth: f32,
}

/// What the camera sees in one picture.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// How bright it is: 1 as the room was painted.
    pub light: f32,
    pub flicker: Option<Flicker>,
    /// How much larger all is, around the middle: a lens that focuses breathes.
    pub zoom: f32,
    /// By how many pixels the camera has turned to the right.
    pub pan: f32,
    /// Where the middle of the head is, as shares of width and height.
    pub head: Option<(f32, f32)>,
    /// A dark line of one pixel's width, a 30th of the picture high.
    pub caret: bool,
    pub noise: Noise,
}

impl Default for Moment {
    fn default() -> Self {
        Moment { light: 1.0, flicker: None, zoom: 1.0, pan: 0.0, head: None, caret: false, noise: Noise::default() }
    }
}

/// The room, painted once.
pub struct Room {
    width: usize,
    height: usize,
    planes: Vec<Plane>,
    normal: Vec<f32>,
    smooth: Vec<f32>,
    seed: u64,
}

/// One plane of it.
struct Plane {
    /// 0 of luma, 1 of Cb, 2 of Cr.
    index: usize,
    width: usize,
    height: usize,
    /// Pixels of the picture that a sample is of.
    across: usize,
    down: usize,
    base: Vec<f32>,
}

/// Normally distributed numbers, and what a row may take from any place on.
const NORMAL: usize = 1 << 18;
const LONGEST: usize = 8192;

impl Room {
    /// Of so many pixels; `colour` says how many pixels across and down a sample of Cb and Cr is of, `None` that there are none.
    pub fn new(width: usize, height: usize, colour: Option<(usize, usize)>, seed: u64) -> Self {
        let plane = |index: usize, (across, down): (usize, usize)| {
            let (width, height) = (width.div_ceil(across), height.div_ceil(down));
            Plane { index, width, height, across, down, base: Vec::new() }
        };
        let mut planes = vec![plane(0, (1, 1))];
        planes.extend(colour.into_iter().flat_map(|colour| [plane(1, colour), plane(2, colour)]));
        for plane in &mut planes {
            for at in 0..plane.width * plane.height {
                let (x, y) = plane.place(at % plane.width, at / plane.width);
                plane.base.push(painted(plane.index, x / height as f32, y / height as f32, seed));
            }
        }
        let normal = normal(seed);
        let smooth = smoothed(&normal);
        Room { width, height, planes, normal, smooth, seed }
    }

    /// Picture `number`, which decides on noise and flicker alone: planes Y, Cb, Cr one after the other.
    pub fn picture(&self, number: u64, moment: &Moment) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.planes.iter().map(|plane| plane.width * plane.height).sum());
        let mut dice = Dice::new(self.seed ^ number.wrapping_mul(0x1234_5677));
        let source = if moment.noise.smooth { &self.smooth } else { &self.normal };
        for plane in &self.planes {
            let places: Vec<usize> = (0..plane.height + 2).map(|_| dice.roll() as usize % NORMAL).collect();
            for row in 0..plane.height {
                let line = |row: usize| &source[places[row]..][..plane.width];
                let (above, this, below) = (line(row), line(row + 1), line(row + 2));
                let noise = |column: usize| match moment.noise.smooth {
                    true => (above[column] + 2.0 * this[column] + below[column]) / 6.0_f32.sqrt(),
                    false => this[column],
                };
                let light =
                    moment.light * moment.flicker.map_or(1.0, |flicker| self.flickered(flicker, number, row * plane.down));
                for column in 0..plane.width {
                    let noise = noise(column);
                    let value = self.seen(plane, column, row, moment);
                    out.push(match plane.index {
                        0 => {
                            let lit = (value * light).clamp(0.0, 255.0);
                            let sigma = moment.noise.sigma * (2.0 / 3.0 + lit / (3.0 * 128.0)).sqrt();
                            (lit + sigma * noise).round() as u8
                        }
                        _ => (128.0 + value * light + moment.noise.sigma / 2.0 * noise).round() as u8,
                    });
                }
            }
        }
        out
    }

    fn flickered(&self, flicker: Flicker, number: u64, row: usize) -> f32 {
        /// Of a picture's period, what the shutter takes to read all rows.
        const READOUT: f32 = 0.8;
        let seconds = (number as f32 + READOUT * row as f32 / self.height as f32) / flicker.rate;
        1.0 + flicker.depth * (TAU * flicker.hertz * seconds).sin()
    }

    /// A sample without light and noise.
    fn seen(&self, plane: &Plane, column: usize, row: usize, moment: &Moment) -> f32 {
        let (x, y) = plane.place(column, row);
        let unit = self.height as f32;
        if moment.caret
            && plane.index == 0
            && column == self.width / 3
            && (row as i64 - self.height as i64 / 2).unsigned_abs() < unit as u64 / 60
        {
            return plane.base[row * plane.width + column] - 40.0;
        }
        let behind = if moment.zoom == 1.0 && moment.pan == 0.0 {
            plane.base[row * plane.width + column]
        } else {
            plane.between(
                (x - self.width as f32 / 2.0) / moment.zoom + self.width as f32 / 2.0 + moment.pan,
                (y - unit / 2.0) / moment.zoom + unit / 2.0,
            )
        };
        let Some((middle_x, middle_y)) = moment.head else { return behind };
        let (dx, dy) = ((x - middle_x * self.width as f32) / unit, (y - middle_y * unit) / unit);
        let (cover, colour) = head(plane.index, dx, dy);
        behind + (colour - behind) * cover
    }
}

impl Plane {
    /// The middle of a sample, in pixels of the picture.
    fn place(&self, column: usize, row: usize) -> (f32, f32) {
        let middle = |at: usize, each: usize| (at * each) as f32 + (each - 1) as f32 / 2.0;
        (middle(column, self.across), middle(row, self.down))
    }

    /// What was painted at any place; beyond the edge it is mirrored.
    fn between(&self, x: f32, y: f32) -> f32 {
        let inside = |at: i32, len: usize| {
            let at = at.rem_euclid(2 * len as i32) as usize;
            at.min(2 * len - 1 - at)
        };
        let (x, y) = (x / self.across as f32, y / self.down as f32);
        let (left, top) = (x.floor(), y.floor());
        let at = |dx: i32, dy: i32| {
            self.base[inside(top as i32 + dy, self.height) * self.width + inside(left as i32 + dx, self.width)]
        };
        mix(mix(at(0, 0), at(1, 0), x - left), mix(at(0, 1), at(1, 1), x - left), y - top)
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Three octaves of value noise on a slope of light, a shelf with books, a window and a lamp. The picture is 1 high.
fn painted(plane: usize, x: f32, y: f32, seed: u64) -> f32 {
    let seed = seed ^ (plane as u64) << 32;
    let soft = |size: f32| value_noise(x / size, y / size, seed ^ size.to_bits() as u64);
    if plane > 0 {
        return if plane == 1 { -10.0 } else { 6.0 } + 40.0 * soft(0.3) + 8.0 * soft(0.04);
    }
    let wall = 90.0 + 50.0 * (x / 1.8) + 60.0 * soft(0.25);
    let texture = 14.0 * soft(0.03) + 10.0 * soft(0.008);
    let on_shelf = (0.55..0.9).contains(&x) && (0.1..0.6).contains(&y);
    let book = (x * 45.0).floor();
    if on_shelf && (y * 6.0).fract() > 0.12 {
        return 40.0 + 150.0 * (Dice::new(seed ^ book as u64).share()) + texture;
    }
    if (1.25..1.6).contains(&x) && (0.08..0.4).contains(&y) {
        return 236.0;
    }
    let lamp = ((x - 0.2).powi(2) + (y - 0.3).powi(2)).sqrt() < 0.1;
    wall + if lamp { 70.0 } else { texture }
}

fn value_noise(x: f32, y: f32, seed: u64) -> f32 {
    let lattice = |x: i32, y: i32| Dice::new(seed ^ (x as u64) << 20 ^ y as u64 ^ (y as u64) << 41).share() - 0.5;
    let smooth = |share: f32| share * share * (3.0 - 2.0 * share);
    let (left, top) = (x.floor(), y.floor());
    let at = |dx: i32, dy: i32| lattice(left as i32 + dx, top as i32 + dy);
    let (u, v) = (smooth(x - left), smooth(y - top));
    mix(mix(at(0, 0), at(1, 0), u), mix(at(0, 1), at(1, 1), u), v)
}

/// How much of a place the head and shoulders cover, and their colour there. Distances from its middle, the picture is 1 high.
fn head(plane: usize, x: f32, y: f32) -> (f32, f32) {
    let soft = |distance: f32| (0.5 - distance * 150.0).clamp(0.0, 1.0);
    let face = ((x / 0.14).powi(2) + (y / 0.19).powi(2)).sqrt();
    if face < 1.1 {
        let eye = (((x.abs() - 0.055) / 0.02).powi(2) + ((y + 0.03) / 0.012).powi(2)).sqrt();
        let skin = [165.0 + 25.0 * (x * 9.0).sin() + 6.0 * (y * 160.0).sin() - 90.0 * soft((eye - 1.0) * 0.02), -14.0, 22.0];
        return (soft((face - 1.0) * 0.14), skin[plane]);
    }
    let body = ((x / 0.32).powi(2) + ((y - 0.55) / 0.36).powi(2)).sqrt();
    (soft((body - 1.0) * 0.3), [60.0 + 12.0 * (x * 200.0).sin(), 14.0, -6.0][plane])
}

/// By Box and Muller.
fn normal(seed: u64) -> Vec<f32> {
    let mut dice = Dice::new(!seed);
    let mut one = || (-2.0 * (1.0 - dice.share()).ln()).sqrt() * (TAU * dice.share()).cos();
    (0..NORMAL + LONGEST).map(|_| one()).collect()
}

/// Each with its neighbours along the row, of the same deviation.
fn smoothed(normal: &[f32]) -> Vec<f32> {
    let end = normal.len() - 1;
    let mean = |at: usize| (normal[at.max(1) - 1] + 2.0 * normal[at] + normal[(at + 1).min(end)]) / 6.0_f32.sqrt();
    (0..=end).map(mean).collect()
}

/// Peak signal-to-noise ratio of some samples against others, dB.
pub fn psnr(one: &[u8], other: &[u8]) -> f64 {
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mean = one.iter().zip(other).map(square).sum::<f64>() / one.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}
