//! The test picture. Everything that stands still is drawn once; what moves lies on grey ground, so that a picture is one copy and some luma.
//!
//! ```text
//!  0   +---------------------------------------+------------+
//!      |  seven colour bars of 75 %            |   flash    |   a square, 16-aligned, in the upper right corner, on dark ground
//!      |                                       +------------+
//!  45% +---------------------------------------+------------+
//!      |  12:34:56.789 UTC                                  |   the sender's wall clock when the picture is due
//!      |  #000123  1280x720 30                              |   picture number, size, rate
//!  65% +----------------------------------------------------+
//!      |  |   |   |  [#]  |   |   |   |   |   |   |   |   |   |   a bar that crosses in four seconds
//!  78% +-------------------------+--------------------------+
//!      |  grey ramp 0 to 255     |  texture                 |
//!      +-------------------------+--------------------------+
//!      |  32 squares: picture number, highest bit first     |   white is 1
//!      +----------------------------------------------------+
//! ```

use std::time::Duration;

use font8x8::UnicodeFonts;

use eyeline_proto::picture::{Sampling, Size};

/// Luma of the ground that things move on.
const GROUND: u8 = 24;

/// How long the bar takes to cross the picture.
const CROSSING: Duration = Duration::from_secs(4);

/// Longest text of a line, in characters: a clock is 16.
const COLUMNS: u32 = 22;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Its left column.
    pub x: u32,
    /// Its top row.
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// Where a machine finds what it measures in a test picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// White (255) in pictures caught in the first 100 ms of a second of the media clock, else black (0).
    pub flash: Rect,
    /// The picture number's first square (bit 31); 31 more follow to the right without a gap.
    pub number: Rect,
}

/// To multiples of 16: such squares touch no foreign block of a JPEG.
fn aligned(length: u32) -> u32 {
    length & !15
}

impl Layout {
    /// For test pictures of `size`, which is at least 64x64.
    pub fn of(size: Size) -> Self {
        let side = aligned(size.width.min(size.height) / 4).max(16);
        let flash = Rect { x: aligned(size.width) - side, y: 0, width: side, height: side };
        // Sixteen pixels where 32 of them fit, else the largest power of two that does.
        let bit = (0..=4).map(|shift| 16 >> shift).find(|bit| bit * 32 <= size.width).unwrap_or(1);
        Layout { flash, number: Rect { x: 0, y: aligned(size.height) - bit, width: bit, height: bit } }
    }
}

/// The picture number in the squares of a test picture's `luma`, however it was compressed.
pub fn read_number(luma: &[u8], size: Size) -> u32 {
    let Rect { x, y, width, height } = Layout::of(size).number;
    (0..32).fold(0, |number, bit| {
        // The middle half of the square; all of it where it is tiny.
        let (margin_x, margin_y) = (width / 4, height / 4);
        let rows = y + margin_y..y + height - margin_y;
        let columns = x + bit * width + margin_x..x + (bit + 1) * width - margin_x;
        let pixels = rows.flat_map(|y| columns.clone().map(move |x| (y * size.width + x) as usize));
        let (sum, count) = pixels.fold((0, 0), |(sum, count), at| (sum + luma.get(at).copied().map_or(0, u32::from), count + 1));
        number << 1 | u32::from(sum > 127 * count)
    })
}

/// Draws test pictures of one size.
pub struct Artist {
    size: Size,
    background: Vec<u8>,
    layout: Layout,
    text_top: u32,
    text_scale: u32,
    motion: Rect,
    /// The end of the second line.
    caption: String,
}

impl Artist {
    /// Draws what stands still. `rate` is only shown.
    pub fn new(size: Size, rate: &str) -> Self {
        let Size { width, height } = size;
        let part = |percent: u32| aligned(height * percent / 100);
        let (bars, text, motion) = (part(45), part(65), part(78));
        let layout = Layout::of(size);
        let text_scale = (width / (COLUMNS * 8)).min((text - bars) / 20).max(1);
        let motion = Rect { x: 0, y: text, width, height: motion - text };
        let mut background = vec![128; Sampling::Yuv420.bytes(size)];
        let (luma, chroma) = background.split_at_mut((width * height) as usize);
        draw_bars(luma, chroma, size, bars, layout.flash.x);
        let mut canvas = Canvas { luma, size };
        canvas.fill(Rect { x: 0, y: bars, width, height: motion.y + motion.height - bars }, GROUND);
        for tick in 0..16 {
            canvas.fill(Rect { x: tick * width / 16, y: motion.y, width: 1, height: motion.height / 4 }, 128);
        }
        draw_textures(&mut canvas, motion.y + motion.height);
        Artist { size, background, layout, text_top: bars, text_scale, motion, caption: format!("{size} {rate}") }
    }

    /// Bytes of a picture.
    pub fn bytes(&self) -> usize {
        self.background.len()
    }

    /// Draws picture `number`, due at `time` after the start and at `wall` since the Unix epoch, into `planes`.
    pub fn draw(&self, planes: &mut [u8], number: u32, time: Duration, wall: Duration) {
        planes.copy_from_slice(&self.background);
        let mut canvas = Canvas { luma: &mut planes[..(self.size.width * self.size.height) as usize], size: self.size };
        canvas.fill(self.layout.flash, if super::flashes(time) { 255 } else { 0 });
        let step = 10 * self.text_scale;
        let top = self.text_top + self.text_scale;
        canvas.text(self.text_scale * 4, top, self.text_scale, &clock(wall));
        canvas.text(self.text_scale * 4, top + step, self.text_scale, &format!("#{number:06} {}", self.caption));
        let crossed = time.as_nanos() % CROSSING.as_nanos() * u128::from(self.size.width) / CROSSING.as_nanos();
        let bar = Rect { x: u32::try_from(crossed).unwrap_or(0), width: (self.size.width / 40).max(2), ..self.motion };
        canvas.fill(bar, 235);
        let Rect { x, width, .. } = self.layout.number;
        for bit in 0..32 {
            let square = Rect { x: x + bit * width, ..self.layout.number };
            canvas.fill(square, if number >> (31 - bit) & 1 == 1 { 255 } else { 0 });
        }
    }
}

/// `HH:MM:SS.mmm UTC`.
fn clock(wall: Duration) -> String {
    let seconds = wall.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60, wall.subsec_millis())
}

/// Full-range BT.601 (JFIF 1.02).
fn ycc([r, g, b]: [f32; 3]) -> [u8; 3] {
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [y, 128.0 + (b - y) * 0.564_334, 128.0 + (r - y) * 0.713_267].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

/// Bars in the first `across` columns, an even number, and the first `end` rows. Beside them is the ground of the flash, with no bar that
/// is cut by it.
fn draw_bars(luma: &mut [u8], chroma: &mut [u8], size: Size, end: u32, across: u32) {
    // White, yellow, cyan, green, magenta, red, blue: the binary numbers from 7 to 1 in the order of their brightness.
    let colours = [0b111u8, 0b110, 0b011, 0b010, 0b101, 0b100, 0b001];
    let colours = colours.map(|bits| ycc([2, 1, 0].map(|bit| if bits >> bit & 1 == 1 { 191.0 } else { 0.0 })));
    let bar = |x: u32, width: u32| (x * 7 / width) as usize;
    for row in luma.chunks_exact_mut(size.width as usize).take(end as usize) {
        let (bars, ground) = row.split_at_mut(across as usize);
        bars.iter_mut().zip(0..).for_each(|(pixel, x)| *pixel = colours[bar(x, across)][0]);
        ground.fill(GROUND);
    }
    let half = Size { width: size.width.div_ceil(2), height: size.height.div_ceil(2) };
    for (plane, component) in chroma.chunks_exact_mut((half.width * half.height) as usize).zip([1, 2]) {
        for row in plane.chunks_exact_mut(half.width as usize).take(end as usize / 2) {
            row.iter_mut().zip(0..across / 2).for_each(|(pixel, x)| *pixel = colours[bar(x, across / 2)][component]);
        }
    }
}

fn draw_textures(canvas: &mut Canvas<'_>, top: u32) {
    let Size { width, height } = canvas.size;
    let half = width / 2;
    for y in top..height {
        for x in 0..width {
            let value = if x < half {
                x * 255 / half.max(1)
            } else {
                // Noise of three grains, so that some of it survives any compression.
                let grain = |shift: u32| noise(x >> shift, y >> shift);
                (grain(0) + 2 * grain(2) + 3 * grain(4)) / 6
            };
            canvas.luma[(y * width + x) as usize] = value.min(255) as u8;
        }
    }
}

/// A value of 0 to 255 that looks like chance and is the same every time (a multiplicative hash).
fn noise(x: u32, y: u32) -> u32 {
    let mixed = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE3D);
    mixed >> 24
}

struct Canvas<'a> {
    luma: &'a mut [u8],
    size: Size,
}

impl Canvas<'_> {
    /// Fills what of `rect` lies inside.
    fn fill(&mut self, rect: Rect, value: u8) {
        let left = rect.x.min(self.size.width);
        let right = (rect.x + rect.width).min(self.size.width);
        for y in rect.y..(rect.y + rect.height).min(self.size.height) {
            let row = (y * self.size.width) as usize;
            self.luma[row + left as usize..row + right as usize].fill(value);
        }
    }

    fn text(&mut self, x: u32, y: u32, scale: u32, text: &str) {
        for (place, glyph) in (0..).zip(text.chars().filter_map(|c| font8x8::BASIC_FONTS.get(c))) {
            for (line, bits) in (0..).zip(glyph) {
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let x = x + (place * 8 + column) * scale;
                    self.fill(Rect { x, y: y + line * scale, width: scale, height: scale }, 235);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(size: Size, number: u32, time: Duration) -> Vec<u8> {
        let artist = Artist::new(size, "30");
        let mut planes = vec![0; artist.bytes()];
        artist.draw(&mut planes, number, time, Duration::from_millis(45_296_789));
        planes
    }

    #[test]
    fn the_number_reads_back_at_any_size() {
        for (width, height) in [(1280, 720), (641, 359), (320, 240), (160, 120), (64, 64), (96, 1080), (1920, 64)] {
            let size = Size { width, height };
            for number in [0, 1, 0x8000_0000, 0xDEAD_BEEF, u32::MAX] {
                let planes = drawn(size, number, Duration::ZERO);
                assert_eq!(read_number(&planes, size), number, "{size}");
            }
        }
    }

    #[test]
    fn the_number_survives_the_coarsest_jpeg() {
        let size = Size { width: 1280, height: 720 };
        let planes = drawn(size, 0x1234_ABCD, Duration::ZERO);
        let image =
            turbojpeg::YuvImage { pixels: &planes[..], width: 1280, align: 1, height: 720, subsamp: turbojpeg::Subsamp::Sub2x2 };
        let jpeg = turbojpeg::compress_yuv(image, 5).unwrap();
        let decoded = turbojpeg::decompress_to_yuv(&jpeg).unwrap();
        assert_eq!(decoded.align, 4, "as wide as the picture all the same");
        assert_eq!(read_number(&decoded.pixels, size), 0x1234_ABCD);
    }

    #[test]
    fn the_flash_is_white_for_the_first_tenth_of_a_second_and_colourless_always() {
        let size = Size { width: 1280, height: 720 };
        let Rect { x, y, width, height } = Layout::of(size).flash;
        for (millis, wanted) in [(0, 255), (99, 255), (100, 0), (999, 0), (1000, 255), (7099, 255), (7100, 0)] {
            let planes = drawn(size, 7, Duration::from_millis(millis));
            for (at_x, at_y) in [(x, y), (x + width - 1, y + height - 1)] {
                assert_eq!(planes[(at_y * 1280 + at_x) as usize], wanted, "at {millis} ms");
                let chroma = 1280 * 720 + (at_y / 2 * 640 + at_x / 2) as usize;
                assert_eq!((planes[chroma], planes[chroma + 640 * 360]), (128, 128));
            }
        }
    }

    #[test]
    fn no_bar_is_cut_by_the_flash() {
        for (width, height) in [(1280, 720), (641, 359), (320, 240), (1000, 500)] {
            let size = Size { width, height };
            let (planes, flash) = (drawn(size, 7, Duration::from_millis(500)), Layout::of(size).flash);
            let half = width.div_ceil(2);
            let pixel = |x: u32, y: u32| {
                let chroma = (width * height + y / 2 * half + x / 2) as usize;
                [planes[(y * width + x) as usize], planes[chroma], planes[chroma + (half * height.div_ceil(2)) as usize]]
            };
            let row: Vec<_> = (0..width).map(|x| pixel(x, 2)[0]).collect();
            let runs: Vec<_> = row.chunk_by(|a, b| a == b).map(<[u8]>::len).collect();
            assert!(runs[..7].iter().all(|run| run.abs_diff(flash.x as usize / 7) <= 2), "{size}: seven bars alike, {runs:?}");
            assert!((flash.x..width).all(|x| pixel(x, flash.height + 2) == [GROUND, 128, 128]), "{size}");
        }
    }

    #[test]
    fn the_clock_is_read_off_as_it_is() {
        assert_eq!(clock(Duration::from_millis(45_296_789)), "12:34:56.789 UTC");
        assert_eq!(clock(Duration::from_millis(86_400_000 * 19_000 + 5)), "00:00:00.005 UTC");
    }

    #[test]
    fn something_moves_in_every_picture() {
        let size = Size { width: 1280, height: 720 };
        let band = |k: u64| drawn(size, 0, Duration::from_millis(k * 16))[1280 * 500..1280 * 540].to_vec();
        assert!((1..10).all(|k| band(k) != band(k - 1)));
    }
}
