//! What of a screen was fetched last, as planes, and how pictures of it are given.
//!
//! Each picture says in which MCUs it may differ from the one before, where that is known. One that nobody took is taken back, and
//! what may have changed in it is said of the next.

use super::{Shared, colour, sampling};
use crate::slot::Slot;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, Size};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// See the module text.
pub struct Sheet {
    pictures: Arc<Slot<Picture>>,
    shared: Arc<Shared>,
    pool: BufferPool,
    planes: Vec<u8>,
    size: Size,
    sampling: Sampling,
    /// There was a picture before the next one, of the same size.
    follows: bool,
}

impl Sheet {
    /// Of no size yet.
    pub fn new(pictures: Arc<Slot<Picture>>, shared: Arc<Shared>) -> Sheet {
        let (size, sampling) = (Size { width: 0, height: 0 }, Sampling::Yuv444);
        Sheet { pictures, shared, pool: BufferPool::new(), planes: Vec::new(), size, sampling, follows: false }
    }

    /// From now on it is so large, and black until something is written into it.
    pub fn resize(&mut self, size: Size) {
        (self.size, self.sampling, self.follows) = (size, sampling(size), false);
        self.planes = vec![128; self.sampling.bytes(size)];
        self.planes[..size.width as usize * size.height as usize].fill(0);
    }

    /// How its colours are sampled.
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// To be written into.
    pub fn planes(&mut self) -> colour::Planes<'_> {
        colour::Planes::new(&mut self.planes, self.sampling, self.size)
    }

    /// Whether nobody takes pictures any more.
    pub fn is_closed(&self) -> bool {
        self.pictures.is_closed()
    }

    /// Whether a picture is wanted though nothing was drawn.
    pub fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Gives it as a picture `caught` then, with what `draw` draws over it; `changed` since the one before, `None`: anything.
    pub fn give(&mut self, caught: Instant, changed: Option<McuSet>, draw: impl FnOnce(&mut [u8], Sampling)) {
        self.shared.wanted.store(false, Ordering::Relaxed);
        let mut planes = self.pool.take(self.planes.len());
        planes.copy_from_slice(&self.planes);
        draw(&mut planes, self.sampling);
        let mut picture = Picture::new(caught, self.size, Body::Planes(self.sampling, planes));
        picture.changed = changed.filter(|_| self.follows);
        self.follows = true;
        if let Some(missed) = self.pictures.try_take() {
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            picture.changed = in_either(picture.changed, missed.changed);
        }
        // Where it was closed whoever gives looks at that.
        let _ = self.pictures.push(picture);
    }
}

/// What may have changed in two pictures, of which only the later is given; `None`: anything.
fn in_either(later: Option<McuSet>, missed: Option<McuSet>) -> Option<McuSet> {
    let (mut later, missed) = (later?, missed?);
    if !missed.is_of(later.size(), later.sampling()) {
        return None;
    }
    later.add(&missed);
    Some(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_in_a_picture_that_nobody_took_is_said_of_the_next() {
        let set = |size, mcus: &[usize]| {
            let mut set = McuSet::new(size, Sampling::Yuv444);
            mcus.iter().for_each(|mcu| set.insert(*mcu));
            Some(set)
        };
        let (size, other) = (Size { width: 64, height: 64 }, Size { width: 72, height: 64 });
        assert_eq!(in_either(set(size, &[1, 2]), set(size, &[2, 9])), set(size, &[1, 2, 9]));
        for (later, missed) in [(None, set(size, &[1])), (set(size, &[1]), None), (set(size, &[1]), set(other, &[1]))] {
            assert_eq!(in_either(later, missed), None);
        }
    }
}
