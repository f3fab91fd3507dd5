//! Draws boxes of words on `0x00RRGGBB` words, cut at every border.

use super::super::letters::{Ground, Letters};
use super::WHITE;
use super::layout::Placed;
use eyeline_proto::picture::Size;

/// The part of a bar that is not filled.
const EMPTY: u32 = 0x0050_5050;

pub(super) struct Page<'a> {
    letters: &'a Letters,
    pixels: &'a mut [u32],
    width: i64,
    height: i64,
}

impl<'a> Page<'a> {
    /// `pixels` holds `size.width * size.height` words.
    pub(super) fn new(letters: &'a Letters, pixels: &'a mut [u32], size: Size) -> Self {
        Page { letters, pixels, width: i64::from(size.width), height: i64::from(size.height) }
    }

    /// A dark box with its words, and its bar if it has one.
    pub(super) fn boxed(&mut self, placed: &Placed) {
        let (area, style) = (placed.area, placed.style);
        self.shade(area.x, area.y, area.width, area.height);
        let left = area.x + style.side;
        let mut top = area.y + style.top;
        let mut ground = Ground {
            pixels: self.pixels,
            stride: self.width,
            left: area.x.max(0),
            top: area.y.max(0),
            right: (area.x + area.width).min(self.width),
            bottom: (area.y + area.height).min(self.height),
        };
        for line in &placed.lines {
            for ((colour, text), column) in line.iter().zip(&placed.columns) {
                self.letters.draw(text, style.em, *colour, (left + column, top), &mut ground);
            }
            top += style.pitch();
        }
        if let Some(percent) = placed.bar {
            let (width, thick) = (area.width - 2 * style.side, (style.em / 4).max(1));
            self.fill(left, top, width, thick, EMPTY);
            self.fill(left, top, width * i64::from(percent) / 100, thick, WHITE);
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

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, x: i64, y: i64, width: i64, height: i64, colour: u32) {
        self.rows(x, y, width, height).for_each(|row| row.fill(colour));
    }

    /// A quarter of the light stays: the picture is still seen, and white letters read on it.
    fn shade(&mut self, x: i64, y: i64, width: i64, height: i64) {
        self.rows(x, y, width, height).flatten().for_each(|pixel| *pixel = *pixel >> 2 & 0x003f_3f3f);
    }
}
