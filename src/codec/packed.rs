//! Some MCUs of a band as a picture of their own, one MCU high: gathered from planes before it is encoded, and scattered to where
//! they belong after it was decoded (conditional replenishment; McCanne, Jacobson: vic, 1995).
//!
//! Invariant: a packed MCU is encoded from the very samples that the whole band would be encoded from, repeated beyond the
//! picture's edges as libjpeg repeats them; and nothing is written outside the MCUs that are named, their band and the picture.

use super::raw::{Error, Planes, PlanesMut};
use super::shrink::Shrink;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::mcus::Mcus;
use std::ops::Range;

/// MCUs between two restart markers of a packed slice. So many fill a datagram or two at least, and of a slice of which one is
/// lost the others are drawn. A marker costs three bytes and the differences to the MCU before: two hundredths in all.
pub const RESTART: u16 = 20;

/// The plane that a grey picture has not.
const NONE: Size = Size { width: 0, height: 0 };

/// Width and height of each plane's part of an MCU, in samples; 0 where there is none.
fn blocks(sampling: Sampling) -> [Size; 3] {
    let luma = sampling.mcu();
    let chroma = sampling.chroma(luma).unwrap_or(NONE);
    [luma, chroma, chroma]
}

/// Width and height of each plane of a picture; 0 where there is none.
fn sizes(sampling: Sampling, size: Size) -> [Size; 3] {
    let chroma = sampling.chroma(size).unwrap_or(NONE);
    [size, chroma, chroma]
}

/// A band, and some of the MCUs that its slice names.
#[derive(Clone)]
pub struct Places<'a> {
    pub sampling: Sampling,
    /// Of the band, in pixels.
    pub band: Size,
    pub mcus: Mcus<'a>,
    /// Which of those: the first that is named is number 0.
    pub which: Range<usize>,
}

impl<'a> Places<'a> {
    /// All that are named.
    pub fn all(sampling: Sampling, band: Size, mcus: Mcus<'a>) -> Self {
        Places { sampling, band, mcus, which: 0..mcus.count() }
    }

    /// The picture that these make side by side.
    pub fn row(&self) -> Size {
        let mcu = self.sampling.mcu();
        Size { width: mcu.width * self.which.len() as u32, height: mcu.height }
    }

    /// Neighbours together: of these what is next to each other in the band lies side by side in the row, too.
    fn neighbours(&self) -> impl Iterator<Item = Neighbours> + use<'a> {
        let across = self.sampling.mcus(self.band).width as usize;
        let mut mcus = self.mcus.iter().skip(self.which.start).take(self.which.len()).peekable();
        let mut place = 0;
        std::iter::from_fn(move || {
            let first = mcus.next()?;
            let mut count = 1;
            while (first + count) % across != 0 && mcus.next_if_eq(&(first + count)).is_some() {
                count += 1;
            }
            place += count;
            Some(Neighbours { place: place - count, column: first % across, row: first / across, count })
        })
    }
}

/// MCUs of one row of a band that follow each other.
struct Neighbours {
    /// Which one the first is among all that are named.
    place: usize,
    /// Where that one is in the band.
    column: usize,
    row: usize,
    count: usize,
}

/// Planes of MCUs side by side.
#[derive(Default)]
pub struct Row {
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
}

impl Row {
    /// Room for these MCUs, whatever is in it.
    fn resize(&mut self, places: &Places<'_>) {
        for ((plane, stride), block) in self.planes.iter_mut().zip(&mut self.strides).zip(blocks(places.sampling)) {
            *stride = block.width as usize * places.which.len();
            plane.resize(*stride * block.height as usize, 0);
        }
    }

    /// The samples of these MCUs of a band whose planes begin with its first row.
    pub fn gather(&mut self, from: Planes<'_>, places: &Places<'_>) -> Result<Planes<'_>, Error> {
        let sizes = sizes(places.sampling, places.band);
        for ((plane, stride), size) in from.planes.iter().zip(from.strides).zip(sizes) {
            let needed = stride * (size.height as usize).saturating_sub(1) + size.width as usize;
            if plane.len() < needed || stride < size.width as usize {
                return Err(Error::Room { what: "plane", len: plane.len(), needed });
            }
        }
        let rows = places.sampling.mcus(places.band).height as usize;
        if places.neighbours().any(|some| some.row >= rows) {
            return Err(Error::Fatal("an MCU is named that its band has not".into()));
        }
        self.resize(places);
        let planes = self.planes.iter_mut().zip(self.strides).zip(from.planes.iter().zip(from.strides));
        for (((to, from), block), size) in planes.zip(blocks(places.sampling)).zip(sizes).filter(|(_, size)| *size != NONE) {
            gather_plane(from, to, (block, size), places);
        }
        Ok(Planes { planes: self.planes.each_ref().map(Vec::as_slice), strides: self.strides })
    }

    /// What these MCUs are decoded to.
    pub fn planes_mut(&mut self, places: &Places<'_>) -> PlanesMut<'_> {
        self.resize(places);
        PlanesMut { planes: self.planes.each_mut().map(Vec::as_mut_slice), strides: self.strides }
    }

    /// Copies each MCU to its place in a band whose planes begin with its first row.
    pub fn scatter(&self, to: &mut PlanesMut<'_>, places: &Places<'_>) -> Result<(), Error> {
        let planes = self.planes.iter().zip(self.strides).zip(to.planes.iter_mut().zip(to.strides));
        for ((((from, from_stride), (to, to_stride)), block), size) in
            planes.zip(blocks(places.sampling)).zip(sizes(places.sampling, places.band))
        {
            scatter_plane((from, from_stride), (to, to_stride), (block, size), places)?;
        }
        Ok(())
    }
}

/// Blocks of a plane, each repeated beyond the plane's edges, side by side.
fn gather_plane(
    (from, from_stride): (&&[u8], usize),
    (to, to_stride): (&mut Vec<u8>, usize),
    (block, size): (Size, Size),
    places: &Places<'_>,
) {
    let (width, height, last) = (block.width as usize, block.height as usize, size.height as usize - 1);
    for Neighbours { place, column, row, count } in places.neighbours() {
        let (left, wide) = (column * width, count * width);
        let there = wide.min(size.width as usize - left);
        for y in 0..height {
            let begin = (row * height + y).min(last) * from_stride + left;
            let (samples, beyond) = to[y * to_stride + place * width..][..wide].split_at_mut(there);
            samples.copy_from_slice(&from[begin..begin + there]);
            beyond.fill(samples[there - 1]);
        }
    }
}

/// Copies blocks that stand side by side to their places in a plane, cut off at its edges.
fn scatter_plane<T: Copy>(
    (from, from_stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
    (block, size): (Size, Size),
    places: &Places<'_>,
) -> Result<(), Error> {
    let (width, height) = (block.width as usize, block.height as usize);
    let needed = to_stride.saturating_mul((size.height as usize).saturating_sub(1)).saturating_add(size.width as usize);
    if to.len() < needed || to_stride < size.width as usize {
        return Err(Error::Room { what: "band", len: to.len(), needed });
    }
    for Neighbours { place, column, row, count } in places.neighbours() {
        let (left, top) = (column * width, row * height);
        let wide = (count * width).min((size.width as usize).saturating_sub(left));
        for y in 0..height.min((size.height as usize).saturating_sub(top)) {
            let from = &from[y * from_stride + place * width..][..wide];
            to[(top + y) * to_stride + left..][..wide].copy_from_slice(from);
        }
    }
    Ok(())
}

/// As [`Row::scatter`], of words for a window made smaller by `shrink`, MCUs and band alike.
pub fn scatter_words(row: &[u32], to: (&mut [u32], usize), shrink: Shrink, places: &Places<'_>) -> Result<(), Error> {
    let (block, size) = (shrink.size(places.sampling.mcu()), shrink.size(places.band));
    scatter_plane((row, block.width as usize * places.which.len()), to, (block, size), places)
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
