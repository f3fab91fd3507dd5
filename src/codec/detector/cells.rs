//! A row of MCUs of two pictures → what differs in each MCU.
//!
//! Planes are cut into cells of 8x4 pixels. Noise cancels in the sum of a cell's differences, while a change of brightness and
//! an edge that moved stay in it; fine texture that moved stays in the sum of absolute differences (SAD). What counts of an MCU
//! is its most different cell: a caret is in one of eight. A cell at the right or lower edge with fewer pixels counts as if it
//! were whole, but none more than twice what it has: of few pixels noise alone would make a change.

use super::grid::{Grid, Plane};
use super::sums::{self, Sums, WIDTH};

const HEIGHT: usize = 4;

/// Pixels of a cell.
pub const PIXELS: usize = WIDTH * HEIGHT;

/// What differs in one MCU. Sums are of a cell, levels are 0 to 255.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mcu {
    /// The largest difference of a luma cell's sums, either way.
    pub sum: u16,
    /// The largest SAD of a luma cell.
    pub sad: u16,
    /// The same of colour.
    pub colour_sum: u16,
    pub colour_sad: u16,
    /// Mean luma.
    pub level: f32,
    /// By how much it is brighter than before, on average.
    pub shift: f32,
    /// That, without what is expected of a lamp that flickers.
    pub drift: f32,
    /// Mean SAD of a luma pixel.
    pub noise: f32,
    /// Mean SAD of a colour pixel.
    pub colour_noise: f32,
}

/// One row's means to be measured with; after the first row it allocates nothing.
#[derive(Default)]
pub struct Row {
    strips: [Vec<Sums>; 4],
    totals: Vec<Sums>,
    /// Of each column of cells the most different.
    most: Vec<Most>,
    /// What is expected of each column in one strip, in 65,536ths.
    gains: Vec<i16>,
}

/// By how much brighter an MCU is for a reason that is no change, as a share.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gain {
    /// In its middle.
    pub middle: f32,
    /// How much more it is from top to bottom.
    pub slope: f32,
}

/// The largest difference of sums, and the largest SAD.
#[derive(Debug, Clone, Copy, Default)]
struct Most {
    sum: u16,
    sad: u16,
}

impl Most {
    fn or(self, other: Most) -> Most {
        Most { sum: self.sum.max(other.sum), sad: self.sad.max(other.sad) }
    }
}

/// The sum of a cell that has no colour.
const GREY: i16 = (128 * PIXELS) as i16;

impl Row {
    /// Measures row `row` of two pictures. `gains` is told how bright each MCU is and says what was expected; `None` where
    /// nothing was.
    pub fn measure<'a>(
        &mut self,
        (now, before): (&[u8], &[u8]),
        grid: &Grid,
        row: usize,
        mcus: &mut [Mcu],
        gains: impl FnOnce(&[Mcu]) -> Option<&'a [Gain]>,
    ) {
        let [luma, colour @ ..] = &grid.planes;
        let per = luma.mcu_width() / WIDTH;
        let pixels = (luma.mcu_width() * luma.mcu_height()) as f32;
        let strips = self.add_up(now, before, luma, row);
        for (mcu, totals) in mcus.iter_mut().zip(self.totals.chunks(per)) {
            let total = totals[1..].iter().fold(totals[0], |total, sums| total.plus(*sums));
            let level = f32::from(total.now()) / pixels;
            let shift = (f32::from(total.now()) - f32::from(total.before())) / pixels;
            *mcu = Mcu { level, shift, drift: shift, noise: f32::from(total.sad()) / pixels, ..Mcu::default() };
        }
        let gains = gains(mcus);
        for (mcu, gain) in mcus.iter_mut().zip(gains.into_iter().flatten()) {
            mcu.drift -= gain.middle * (mcu.level - mcu.shift);
        }
        self.find_most(strips, gains, per, 0);
        for (mcu, most) in mcus.iter_mut().zip(self.most.chunks(per)) {
            let most = most[1..].iter().fold(most[0], |most, other| most.or(*other));
            (mcu.sum, mcu.sad) = (most.sum, most.sad);
        }
        for plane in colour.iter().filter(|plane| plane.width > 0) {
            let strips = self.add_up(now, before, plane, row);
            self.find_most(strips, gains, 1, GREY);
            for ((mcu, most), total) in mcus.iter_mut().zip(&self.most).zip(&self.totals) {
                (mcu.colour_sum, mcu.colour_sad) = (mcu.colour_sum.max(most.sum), mcu.colour_sad.max(most.sad));
                mcu.colour_noise += f32::from(total.sad()) / (2 * 64) as f32;
            }
        }
    }

    /// The cells of a plane's part of the row, and their totals; says how many strips of them there are.
    fn add_up(&mut self, now: &[u8], before: &[u8], plane: &Plane, row: usize) -> usize {
        let (bytes, columns) = (plane.row(row), plane.width.div_ceil(WIDTH));
        let lines = plane.width * HEIGHT;
        let pairs = now[bytes.clone()].chunks(lines).zip(before[bytes].chunks(lines));
        clear(&mut self.totals, columns);
        let mut count = 0;
        for (strip, (now, before)) in self.strips.iter_mut().zip(pairs) {
            clear(strip, columns);
            for (now, before) in now.chunks_exact(plane.width).zip(before.chunks_exact(plane.width)) {
                sums::add(strip, now, before);
            }
            complete(strip, plane.width, now.len() / plane.width);
            self.totals.iter_mut().zip(&*strip).for_each(|(total, sums)| *total = total.plus(*sums));
            count += 1;
        }
        count
    }

    /// Finds the most different cell of each column in so many strips; `per` columns are an MCU's. What is expected of a cell,
    /// counted from the sum `zero`, is taken off.
    fn find_most(&mut self, strips: usize, gains: Option<&[Gain]>, per: usize, zero: i16) {
        clear(&mut self.most, self.totals.len());
        for (index, strip) in self.strips[..strips].iter().enumerate() {
            let columns = self.most.iter_mut().zip(strip);
            let Some(gains) = gains else {
                columns
                    .for_each(|(most, sums)| *most = most.or(Most { sum: sums.now().abs_diff(sums.before()), sad: sums.sad() }));
                continue;
            };
            let below_middle = (index as f32 + 0.5) / strips as f32 - 0.5;
            let each = |gain: &Gain| std::iter::repeat_n(((gain.middle + gain.slope * below_middle) * 65536.0) as i16, per);
            self.gains.clear();
            self.gains.extend(gains.iter().flat_map(each));
            for ((most, sums), gain) in columns.zip(&self.gains) {
                let (now, before) = (sums.now() as i16, sums.before() as i16);
                let expected = ((i32::from(before - zero) * i32::from(*gain)) >> 16) as i16;
                let sum = (now - before - expected).unsigned_abs();
                *most = most.or(Most { sum, sad: sums.sad().saturating_sub(expected.unsigned_abs()) });
            }
        }
    }
}

fn clear<T: Clone + Default>(all: &mut Vec<T>, len: usize) {
    all.clear();
    all.resize(len, T::default());
}

/// See the module text, on cells with fewer pixels.
fn complete(strip: &mut [Sums], width: usize, height: usize) {
    let (whole, narrow) = strip.split_at_mut(width / WIDTH);
    let grow = |sums: &mut Sums, pixels: usize| {
        let grow = |sum: u16| (usize::from(sum) * PIXELS / pixels.max(PIXELS / 2)) as u16;
        *sums = Sums::new(grow(sums.now()), grow(sums.before()), grow(sums.sad()));
    };
    if height < HEIGHT {
        whole.iter_mut().for_each(|sums| grow(sums, WIDTH * height));
    }
    narrow.iter_mut().for_each(|sums| grow(sums, width % WIDTH * height));
}
