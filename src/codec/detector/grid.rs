//! Where a picture's MCUs lie in its tight planes.

use eyeline_proto::picture::{Sampling, Size};
use std::ops::Range;

/// One plane and an MCU's part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Its first byte among all planes.
    at: usize,
    pub width: usize,
    height: usize,
    /// Width and height of an MCU in it.
    mcu: (usize, usize),
}

impl Plane {
    /// Width of an MCU in this plane.
    pub fn mcu_width(&self) -> usize {
        self.mcu.0
    }

    /// Height of an MCU in this plane.
    pub fn mcu_height(&self) -> usize {
        self.mcu.1
    }

    /// The bytes of a row of MCUs; the last may have fewer rows of pixels than others.
    pub fn row(&self, row: usize) -> Range<usize> {
        let line = |row: usize| self.at + (row * self.mcu.1).min(self.height) * self.width;
        line(row)..line(row + 1)
    }

    /// The bytes of some neighbours in a row of MCUs, line by line.
    pub fn lines(&self, row: usize, columns: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let column = |column: usize| (column * self.mcu.0).min(self.width);
        let (left, right) = (column(columns.start), column(columns.end));
        self.row(row).step_by(self.width.max(1)).map(move |line| line + left..line + right)
    }
}

/// See the module text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub sampling: Sampling,
    pub size: Size,
    /// Luma, Cb, Cr; the last two are empty where there is no colour.
    pub planes: [Plane; 3],
    /// Columns of MCUs.
    pub columns: usize,
    /// Rows of MCUs.
    pub rows: usize,
}

impl Grid {
    pub fn new(sampling: Sampling, size: Size) -> Self {
        let (mcu, mcus) = (sampling.mcu(), sampling.mcus(size));
        let chroma = sampling.chroma(size).unwrap_or(Size { width: 0, height: 0 });
        let plane = |at, size: Size, mcu| Plane { at, width: size.width as usize, height: size.height as usize, mcu };
        let area = |size: Size| size.width as usize * size.height as usize;
        // An MCU has one block of each colour plane, whatever the sampling.
        let planes = [
            plane(0, size, (mcu.width as usize, mcu.height as usize)),
            plane(area(size), chroma, (8, 8)),
            plane(area(size) + area(chroma), chroma, (8, 8)),
        ];
        Grid { sampling, size, planes, columns: mcus.width as usize, rows: mcus.height as usize }
    }

    /// MCUs of the picture.
    pub fn len(&self) -> usize {
        self.columns * self.rows
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> usize {
        self.sampling.bytes(self.size)
    }

    /// Whether all pixels of an MCU lie inside the picture.
    pub fn is_whole(&self, row: usize, column: usize) -> bool {
        let Plane { width, height, mcu, .. } = self.planes[0];
        (column + 1) * mcu.0 <= width && (row + 1) * mcu.1 <= height
    }

    /// Whether anything of this MCU is another in two pictures.
    pub fn differs(&self, one: &[u8], other: &[u8], mcu: usize) -> bool {
        let (row, column) = (mcu / self.columns, mcu % self.columns);
        let mut lines = self.planes.iter().flat_map(|plane| plane.lines(row, &(column..column + 1)));
        lines.any(|line| one[line.clone()] != other[line])
    }

    /// Takes a run of neighbours over from one picture into another.
    pub fn copy(&self, from: &[u8], to: &mut [u8], run: Range<usize>) {
        let mut at = run.start;
        while at < run.end {
            let (row, column) = (at / self.columns, at % self.columns);
            let columns = column..(column + run.end - at).min(self.columns);
            for line in self.planes.iter().flat_map(|plane| plane.lines(row, &columns)) {
                to[line.clone()].copy_from_slice(&from[line]);
            }
            at += columns.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_of_every_plane_belongs_to_one_mcu() {
        for sampling in crate::codec::testing::SAMPLINGS {
            for (width, height) in [(1, 1), (7, 50), (16, 16), (33, 17), (64, 47)] {
                let grid = Grid::new(sampling, Size { width, height });
                let from = vec![1; grid.bytes()];
                let mut all = vec![0; grid.bytes()];
                for mcu in 0..grid.len() {
                    let mut to = vec![0; grid.bytes()];
                    grid.copy(&from, &mut to, mcu..mcu + 1);
                    all.iter_mut().zip(to).for_each(|(all, to)| *all += to);
                }
                assert_eq!(all, from, "{sampling:?} {width}x{height}");
                let mut at_once = vec![0; grid.bytes()];
                grid.copy(&from, &mut at_once, 0..grid.len());
                assert_eq!(at_once, from);
            }
        }
    }
}
