//! A loop of webcam-like frames: a still room with soft texture and some hard
//! edges, a head and shoulders that sway, and fresh sensor noise in every frame.
//! Everything follows from width, height and loop length: two runs show the same pictures.

use crate::code::{BLOCK, COLUMNS, ROW_COLUMNS, ROWS};

/// Size of a picture and length of the loop.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Pictures in the loop.
    pub frames: usize,
    /// Whether each row of blocks is marked.
    pub rows_marked: bool,
}

impl Shape {
    /// A picture of this size in a loop of `frames`; refuses what the barcode or 4:2:0 does not fit.
    pub fn new(width: usize, height: usize, frames: usize) -> Result<Shape, String> {
        if !width.is_multiple_of(16) || !height.is_multiple_of(4) {
            return Err(format!("{width}x{height}: the width must be a multiple of 16, the height of 4"));
        }
        if width < COLUMNS * BLOCK || height < (ROWS + 2) * BLOCK {
            return Err(format!("the barcode needs at least {}x{}", COLUMNS * BLOCK, (ROWS + 2) * BLOCK));
        }
        Ok(Shape { width, height, frames, rows_marked: false })
    }

    /// Bytes of the luma plane.
    pub fn luma_len(&self) -> usize {
        self.width * self.height
    }

    /// Bytes of a 4:2:0 picture.
    pub fn yuv_len(&self) -> usize {
        self.luma_len() * 3 / 2
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ self.0 >> 33;
        (x.wrapping_mul(0xff51afd7ed558ccd) >> 32) as u32
    }

    fn unit(&mut self) -> f32 {
        self.next() as f32 / u32::MAX as f32 - 0.5
    }
}

/// Sum of smooth noise octaves, each half as coarse and `fade` as strong as the last; about -1..1.
fn texture(width: usize, height: usize, coarsest: usize, octaves: u32, fade: f32, seed: u64) -> Vec<f32> {
    let mut out = vec![0.0; width * height];
    let mut random = Random(seed);
    let mut strength = 1.0;
    for octave in 0..octaves {
        let cell = (coarsest >> octave).max(1);
        let columns = width / cell + 2;
        let lattice: Vec<f32> = (0..columns * (height / cell + 2)).map(|_| random.unit() * 2.0).collect();
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        for y in 0..height {
            let (row, ty) = (y / cell, smooth((y % cell) as f32 / cell as f32));
            for x in 0..width {
                let (column, tx) = (x / cell, smooth((x % cell) as f32 / cell as f32));
                let at = row * columns + column;
                let above = lattice[at] + (lattice[at + 1] - lattice[at]) * tx;
                let below = lattice[at + columns] + (lattice[at + columns + 1] - lattice[at + columns]) * tx;
                out[y * width + x] += (above + (below - above) * ty) * strength;
            }
        }
        strength *= fade;
    }
    out
}

/// The loop, as I420 frames in limited range. The barcode areas are grey.
pub fn render(shape: Shape) -> Vec<Vec<u8>> {
    let Shape { width, height, frames, rows_marked } = shape;
    let unit = height as f32 / 720.0;
    let coarsest = (256.0 * unit) as usize;

    let room = texture(width, height, coarsest, 7, 0.55, 1);
    let skin = texture(width, height, coarsest / 2, 6, 0.55, 2);
    let tint_u = texture(width / 2, height / 2, coarsest, 3, 0.5, 3);
    let tint_v = texture(width / 2, height / 2, coarsest, 3, 0.5, 4);

    // Shelf edges and picture frames behind the speaker.
    let mut random = Random(5);
    let boxes: Vec<[f32; 5]> = (0..14)
        .map(|_| {
            let (x, y) = ((random.unit() + 0.5) * width as f32, (random.unit() + 0.5) * height as f32);
            let (w, h) = ((random.unit() + 0.6) * 260.0 * unit, (random.unit() + 0.6) * 200.0 * unit);
            [x, y, x + w, y + h, random.unit() * 90.0]
        })
        .collect();
    let mut back = vec![0u8; shape.luma_len()];
    for y in 0..height {
        for x in 0..width {
            let mut value = 118.0 + room[y * width + x] * 42.0;
            for b in &boxes {
                if (x as f32) > b[0] && (x as f32) < b[2] && (y as f32) > b[1] && (y as f32) < b[3] {
                    value += b[4];
                }
            }
            back[y * width + x] = value.clamp(24.0, 228.0) as u8;
        }
    }
    // Gaussian-like noise of sigma about 1.1, taken from a different place for each frame.
    let noise: Vec<i8> =
        (0..shape.luma_len() + 65536).map(|_| ((random.unit() + random.unit() + random.unit()) * 2.2).round() as i8).collect();

    (0..frames)
        .map(|frame| {
            let turn = frame as f32 / frames as f32 * std::f32::consts::TAU;
            let (dx, dy) = ((turn.sin() * 70.0 * unit) as isize, ((2.0 * turn).sin() * 18.0 * unit) as isize);
            let mut yuv = vec![128u8; shape.yuv_len()];
            let (luma, chroma) = yuv.split_at_mut(shape.luma_len());
            luma.copy_from_slice(&back);

            // Head and shoulders: two ellipses with their own texture, which moves along.
            let (cx, cy) = (width as f32 * 0.5 + dx as f32, height as f32 * 0.45 + dy as f32);
            let inside = |x: f32, y: f32| {
                let head = ((x - cx) / (135.0 * unit)).powi(2) + ((y - cy) / (185.0 * unit)).powi(2) < 1.0;
                let body = ((x - cx * 0.5 - width as f32 * 0.25) / (330.0 * unit)).powi(2)
                    + ((y - height as f32) / (230.0 * unit)).powi(2)
                    < 1.0;
                (head, body)
            };
            let left = ((cx - 400.0 * unit).max(0.0)) as usize;
            let right = ((cx + 400.0 * unit) as usize).min(width);
            for y in 0..height {
                for x in left..right {
                    let (head, body) = inside(x as f32, y as f32);
                    if head || body {
                        let sy = (y as isize - dy).clamp(0, height as isize - 1) as usize;
                        let sx = (x as isize - dx).clamp(0, width as isize - 1) as usize;
                        let base = if head { 165.0 } else { 75.0 };
                        luma[y * width + x] = (base + skin[sy * width + sx] * 34.0).clamp(24.0, 228.0) as u8;
                    }
                }
            }
            let offset = frame * 7919 % 65536;
            for (pixel, noise) in luma.iter_mut().zip(&noise[offset..]) {
                *pixel = pixel.saturating_add_signed(*noise);
            }

            let (u, v) = chroma.split_at_mut(width * height / 4);
            for y in 0..height / 2 {
                for x in 0..width / 2 {
                    let at = y * width / 2 + x;
                    let (head, _) = inside(x as f32 * 2.0, y as f32 * 2.0);
                    let (base_u, base_v) = if head { (112.0, 150.0) } else { (128.0, 126.0) };
                    u[at] = (base_u + tint_u[at] * 14.0) as u8;
                    v[at] = (base_v + tint_v[at] * 14.0) as u8;
                }
            }
            let code_rows = (0..ROWS * BLOCK).chain(height - BLOCK..height);
            let marked = if rows_marked { ROWS * BLOCK..height - BLOCK } else { 0..0 };
            for y in marked {
                for plane in [&mut *u, &mut *v] {
                    plane[y / 2 * width / 2..][..ROW_COLUMNS * BLOCK / 2].fill(128);
                }
            }
            for y in code_rows {
                luma[y * width..][..COLUMNS * BLOCK].fill(128);
                for plane in [&mut *u, &mut *v] {
                    plane[y / 2 * width / 2..][..COLUMNS * BLOCK / 2].fill(128);
                }
            }
            yuv
        })
        .collect()
}

/// Sample points for the damage check: the mean of 4 x 4 luma pixels every 32 pixels.
pub struct Probes {
    points: Vec<(usize, usize)>,
    expected: Vec<Vec<u8>>,
}

fn mean4(luma: impl Fn(usize, usize) -> u8, x: usize, y: usize) -> u8 {
    let sum: u32 = (0..16).map(|i| luma(x + i % 4, y + i / 4) as u32).sum();
    (sum / 16) as u8
}

impl Probes {
    /// What the pictures of `frames` (luma first, `shape` large) should look like.
    pub fn new(shape: Shape, frames: &[Vec<u8>]) -> Probes {
        let mut points = Vec::new();
        for y in (8..shape.height - 4).step_by(32) {
            for x in (8..shape.width - 4).step_by(32) {
                let in_code = x < COLUMNS * BLOCK && (y < ROWS * BLOCK + 4 || y + 8 > shape.height - BLOCK);
                let in_mark = shape.rows_marked && x < ROW_COLUMNS * BLOCK + 4;
                if !in_code && !in_mark {
                    points.push((x, y));
                }
            }
        }
        let expected = frames
            .iter()
            .map(|frame| points.iter().map(|&(x, y)| mean4(|x, y| frame[y * shape.width + x], x, y)).collect())
            .collect();
        Probes { points, expected }
    }

    /// Share of probes of picture `id` that are wrong, after the best fit of gain and offset, because programs differ in how
    /// they treat the luma range.
    pub fn wrong(&self, id: u16, luma: impl Fn(usize, usize) -> u8) -> f32 {
        let expected = &self.expected[id as usize % self.expected.len()];
        let seen: Vec<f32> = self.points.iter().map(|&(x, y)| mean4(&luma, x, y) as f32).collect();
        let n = seen.len() as f32;
        let (mut sx, mut sy, mut sxx, mut sxy) = (0.0f32, 0.0, 0.0, 0.0);
        for (&e, &s) in expected.iter().zip(&seen) {
            let e = e as f32;
            sx += e;
            sy += s;
            sxx += e * e;
            sxy += e * s;
        }
        let gain = ((n * sxy - sx * sy) / (n * sxx - sx * sx)).clamp(0.8, 1.3);
        let offset = (sy - gain * sx) / n;
        let wrong = expected.iter().zip(&seen).filter(|&(&e, &s)| (gain * e as f32 + offset - s).abs() > 24.0).count();
        wrong as f32 / n
    }
}
