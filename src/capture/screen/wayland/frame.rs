//! A buffer of PipeWire's, taken as what another program says of it: where its rows lie is checked before one is read. Pure.

use super::super::colour::{self, PIXEL};
use super::super::damage::Rect;
use eyeline_proto::picture::Size;
use std::io;

/// What is said of a buffer's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// How long it is.
    pub length: u32,
    /// Where in that pixels begin, and from row to row.
    pub offset: u32,
    pub stride: i32,
}

/// Where rows lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    first: u64,
    stride: u64,
}

impl Rows {
    /// Of a picture of this size; `None`: they cannot lie there.
    pub fn new(said: Said, size: Size) -> Option<Rows> {
        let line = u64::from(size.width) * PIXEL as u64;
        let stride = u64::try_from(said.stride).ok().filter(|stride| *stride >= line)?;
        let first = u64::from(said.offset);
        let end = first + stride * u64::from(size.height.checked_sub(1)?) + line;
        (end <= u64::from(said.length)).then_some(Rows { first, stride })
    }

    /// Reads a part of what the planes show into them; the upper left of that is at `corner` of the picture. `read` reads bytes
    /// from a place on, `line` is room for a row.
    pub fn read(
        self,
        read: impl Fn(&mut [u8], u64) -> io::Result<()>,
        (part, corner): (Rect, (u32, u32)),
        red_first: bool,
        line: &mut Vec<u8>,
        planes: &mut colour::Planes<'_>,
    ) -> io::Result<()> {
        line.resize(part.size.width as usize * PIXEL, 0);
        let left = u64::from(corner.0 + part.x) * PIXEL as u64;
        for row in 0..part.size.height {
            read(line, self.first + u64::from(corner.1 + part.y + row) * self.stride + left)?;
            if red_first {
                line.as_chunks_mut::<PIXEL>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
            }
            planes.row(part, row, line, row + 1 == part.size.height);
        }
        Ok(())
    }
}

/// What of a buffer is seen: all of it, or the part it names, where that lies in it.
pub fn seen(size: Size, crop: Option<Rect>) -> Rect {
    crop.and_then(|crop| crop.and(Rect::all(size))).unwrap_or(Rect::all(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::picture::Sampling;
    use proptest::prelude::*;

    #[test]
    fn rows_that_do_not_fit_or_overlap_are_refused() {
        let size = Size { width: 4, height: 3 };
        let said = |offset, stride, length| Said { length, offset, stride };
        assert_eq!(Rows::new(said(8, 20, 8 + 56), size), Some(Rows { first: 8, stride: 20 }));
        for (offset, stride, length) in
            [(8, 20, 63), (9, 20, 64), (0, 15, 4096), (0, -16, 4096), (0, 0, 4096), (u32::MAX, 16, 64)]
        {
            assert_eq!(Rows::new(said(offset, stride, length), size), None, "{offset} {stride} {length}");
        }
        assert_eq!(Rows::new(said(0, 16, 4096), Size { width: 4, height: 0 }), None);
    }

    #[test]
    fn a_part_of_what_is_seen_is_read_whichever_way_its_words_are_and_what_cannot_be_read_is_an_error() {
        // Red grows to the right, green downwards; what is seen begins at (1, 1).
        let (width, height) = (6_u8, 5_u8);
        let pixel = |x: u8, y: u8| [x * 20, y * 20, 0, 0];
        let bytes: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        let read = |to: &mut [u8], at: u64| {
            to.copy_from_slice(&bytes[at as usize..at as usize + to.len()]);
            Ok(())
        };
        let said = Said { length: bytes.len() as u32, offset: 0, stride: i32::from(width) * 4 };
        let rows = Rows::new(said, Size { width: 6, height: 5 }).unwrap();
        let size = Size { width: 4, height: 4 };
        let mut planes = vec![0; Sampling::Yuv444.bytes(size)];
        let part = Rect { x: 1, y: 2, size: Size { width: 2, height: 2 } };
        let mut line = Vec::new();
        let mut into = colour::Planes::new(&mut planes, Sampling::Yuv444, size);
        rows.read(read, (part, (1, 1)), true, &mut line, &mut into).unwrap();
        for (x, y) in (0..4_u16).flat_map(|x| (0..4_u16).map(move |y| (x, y))) {
            let inside = (1..3).contains(&x) && (2..4).contains(&y);
            let wanted = if inside { colour::luma((x + 1) * 20, (y + 1) * 20, 0) } else { 0 };
            assert_eq!(planes[usize::from(y * 4 + x)], wanted, "{x} {y}");
        }
        let shorter = |_: &mut [u8], _| Err(io::ErrorKind::UnexpectedEof.into());
        let mut into = colour::Planes::new(&mut planes, Sampling::Yuv444, size);
        assert!(rows.read(shorter, (part, (1, 1)), true, &mut line, &mut into).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_said_no_row_ends_behind_the_memory(
            length in any::<u32>(), offset in any::<u32>(), stride in any::<i32>(),
            width in 1_u32..8192, height in 1_u32..8192,
        ) {
            if let Some(rows) = Rows::new(Said { length, offset, stride }, Size { width, height }) {
                let end = rows.first + rows.stride * u64::from(height - 1) + u64::from(width) * 4;
                prop_assert!(end <= u64::from(length));
            }
        }

        #[test]
        fn what_is_seen_lies_in_the_buffer(x in any::<u16>(), y in any::<u16>(), width in 0_u32..9000, height in 0_u32..9000) {
            let size = Size { width: 800, height: 600 };
            let crop = Rect { x: x.into(), y: y.into(), size: Size { width, height } };
            let seen = seen(size, Some(crop));
            prop_assert_eq!(seen.and(Rect::all(size)), Some(seen));
        }
    }
}
