//! Draws boxes of words on `0x00RRGGBB` words, cut at every border, in an 8x8 font.

use font8x8::{BASIC_FONTS, BLOCK_FONTS, BOX_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

use super::WHITE;
use super::layout::{GLYPH, Placed};
use eyeline_proto::picture::Size;

/// The part of a bar that is not filled.
const EMPTY: u32 = 0x0050_5050;

pub(super) struct Page<'a> {
    pixels: &'a mut [u32],
    width: i64,
    height: i64,
}

impl<'a> Page<'a> {
    /// `pixels` holds `size.width * size.height` words.
    pub(super) fn new(pixels: &'a mut [u32], size: Size) -> Self {
        Page { pixels, width: i64::from(size.width), height: i64::from(size.height) }
    }

    /// A dark box with its words, and its bar if it has one.
    pub(super) fn boxed(&mut self, placed: &Placed) {
        let (area, style) = (placed.area, placed.style);
        self.shade(area.x, area.y, area.width, area.height);
        let left = area.x + style.side;
        let mut top = area.y + style.top;
        for line in &placed.lines {
            let mut at = left;
            for (colour, text) in line {
                at = self.text(at, top, style.scale, *colour, text);
            }
            top += style.pitch;
        }
        if let Some(percent) = placed.bar {
            let (y, width, thick) = (top - style.scale, area.width - 2 * style.side, 3 * style.scale);
            self.fill(left, y, width, thick, EMPTY);
            self.fill(left, y, width * i64::from(percent) / 100, thick, WHITE);
        }
    }

    /// The part of a span that lies within `0..end`.
    fn within(start: i64, length: i64, end: i64) -> std::ops::Range<usize> {
        let (first, last) = (start.clamp(0, end), (start + length).clamp(0, end));
        first as usize..last.max(first) as usize
    }

    fn rows(&mut self, x: i64, y: i64, width: i64, height: i64) -> impl Iterator<Item = &mut [u32]> {
        let columns = Self::within(x, width, self.width);
        let rows = Self::within(y, height, self.height);
        let stride = self.width as usize;
        self.pixels.chunks_exact_mut(stride).take(rows.end).skip(rows.start).map(move |row| &mut row[columns.clone()])
    }

    fn fill(&mut self, x: i64, y: i64, width: i64, height: i64, colour: u32) {
        self.rows(x, y, width, height).for_each(|row| row.fill(colour));
    }

    /// A quarter of the light stays: the picture is still seen, and white letters read on it.
    fn shade(&mut self, x: i64, y: i64, width: i64, height: i64) {
        self.rows(x, y, width, height).flatten().for_each(|pixel| *pixel = *pixel >> 2 & 0x003f_3f3f);
    }

    /// Says where the text ended.
    fn text(&mut self, mut x: i64, y: i64, scale: i64, colour: u32, text: &str) -> i64 {
        for character in text.chars() {
            for (row, dots) in (0..).zip(glyph(character)) {
                for column in (0..GLYPH).filter(|column| dots >> column & 1 == 1) {
                    self.fill(x + column * scale, y + row * scale, scale, scale, colour);
                }
            }
            x += GLYPH * scale;
        }
        x
    }
}

/// The eight rows of a character, leftmost dot in the lowest bit; a question mark where the font has none.
pub(super) fn glyph(character: char) -> [u8; 8] {
    let found = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character)).or_else(|| GREEK_FONTS.get(character));
    let found = found.or_else(|| BOX_FONTS.get(character)).or_else(|| BLOCK_FONTS.get(character));
    found.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default()
}
