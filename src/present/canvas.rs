//! The picture of one sender being shown: `0x00RRGGBB` words which decode threads write and the presenter reads.
//!
//! Every decoded band goes straight into its rows, so a picture is never copied on its way to the window. Each row
//! remembers which picture it is of: a lost band leaves the rows of an older picture standing, and a late band never
//! overwrites a newer one.
//!
//! Invariant: at any moment a row is held by at most one [`BandMut`], or by any number of [`View`]s, never by both. One
//! mutex guards the table of who holds what; the pixels themselves are touched outside it. A thread holds one band or one
//! view at a time: a view waits for all bands, and while it waits no new band is given out.
//!
//! Decoding and presenting are left to others; so is deciding when a picture is whole enough to be shown.

#![allow(unsafe_code)] // rows of one buffer are lent to several threads; see `BandMut` and `View`

use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::pixels::{LEAD, Pixels};
use crate::threads::{lock, wait};
use eyeline_proto::picture::Size;

pub struct Canvas {
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    size: Size,
    /// `size.width * size.height` words, replaced only while nobody holds a row.
    pixels: Pixels,
    /// Which picture each row is of; `None` where there was none yet.
    rows: Vec<Option<u64>>,
    /// The newest picture any band was asked for: only a newer one may change the size.
    newest: Option<u64>,
    bands: Vec<Range<u32>>,
    views: usize,
    waiting_views: usize,
}

impl Canvas {
    /// A canvas of no size, showing nothing.
    pub fn new() -> Self {
        let state = State {
            size: Size { width: 0, height: 0 },
            pixels: Pixels::new(0),
            rows: Vec::new(),
            newest: None,
            bands: Vec::new(),
            views: 0,
            waiting_views: 0,
        };
        Canvas { state: Mutex::new(state), released: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the table half changed: each critical section changes one entry of it.
        lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        wait(&self.released, state)
    }

    /// Lends `rows` of picture `number`, which is `size` large, for writing; waits for whoever holds them.
    ///
    /// `None` where these rows show a newer picture already, where `size` is that of an older picture, and where `size` is
    /// empty or above [`MAX_SIDE`](eyeline_proto::picture::MAX_SIDE) or `rows` do not lie within it. A newer picture of another size resizes the canvas;
    /// what it showed is stretched to fit, so that bands still missing do not show black.
    pub fn band(&self, number: u64, size: Size, rows: Range<u32>) -> Option<BandMut<'_>> {
        let fits = size.is_possible();
        if !fits || rows.start >= rows.end || rows.end > size.height {
            return None;
        }
        let mut state = self.lock();
        loop {
            if state.is_late(number, size, &rows) {
                return None;
            }
            let held = state.views > 0 || state.waiting_views > 0;
            if size != state.size && !held && state.bands.is_empty() {
                state.resize(size);
            }
            if size == state.size && !held && !state.bands.iter().any(|band| overlap(band, &rows)) {
                break;
            }
            state = self.wait(state);
        }
        state.newest = state.newest.max(Some(number));
        state.bands.push(rows.clone());
        let (first, last) = (rows.start as usize * size.width as usize, rows.end as usize * size.width as usize);
        assert!(last <= state.pixels.len(), "the canvas is as large as its size says");
        // SAFETY: within the pixels, by the line above. No reference to them is made here.
        let pixels = NonNull::slice_from_raw_parts(unsafe { state.pixels.first().add(first) }, last - first);
        Some(BandMut { canvas: self, number, rows, width: size.width, pixels, written: true, lifetime: PhantomData })
    }

    /// Lends the whole picture for reading; waits for the bands being written, and writers wait meanwhile.
    pub fn view(&self) -> View<'_> {
        let mut state = self.lock();
        state.waiting_views += 1;
        while !state.bands.is_empty() {
            state = self.wait(state);
        }
        state.waiting_views -= 1;
        self.lend(state)
    }

    /// As [`Canvas::view`], but `None` where a band is being written.
    pub fn try_view(&self) -> Option<View<'_>> {
        let state = self.lock();
        state.bands.is_empty().then(|| self.lend(state))
    }

    fn lend(&self, mut state: MutexGuard<'_, State>) -> View<'_> {
        state.views += 1;
        let pixels = NonNull::slice_from_raw_parts(state.pixels.first(), state.pixels.len());
        let memory = |file: &Arc<File>| Memory { id: state.pixels.id(), file: Arc::clone(file), offset: LEAD as u32 };
        let memory = state.pixels.file().map(memory);
        View { canvas: self, size: state.size, pixels, memory, lifetime: PhantomData }
    }

    /// The size of the picture shown; 0x0 before the first.
    pub fn size(&self) -> Size {
        self.lock().size
    }

    /// `shown`: the picture that these rows show from now on.
    fn release_band(&self, rows: &Range<u32>, shown: Option<u64>) {
        let mut state = self.lock();
        state.bands.retain(|band| band != rows);
        if shown.is_some() {
            state.rows[rows.start as usize..rows.end as usize].fill(shown);
        }
        drop(state);
        self.released.notify_all();
    }

    fn release_view(&self) {
        self.lock().views -= 1;
        self.released.notify_all();
    }
}

impl Default for Canvas {
    fn default() -> Self {
        Self::new()
    }
}

fn overlap(a: &Range<u32>, b: &Range<u32>) -> bool {
    a.start < b.end && b.start < a.end
}

impl State {
    fn is_late(&self, number: u64, size: Size, rows: &Range<u32>) -> bool {
        if size != self.size {
            return self.newest.is_some_and(|newest| number <= newest);
        }
        self.rows[rows.start as usize..rows.end as usize].iter().any(|shown| shown.is_some_and(|shown| shown > number))
    }

    /// Only while nobody holds a row. Nearest neighbour: what it makes is seen for one picture at most.
    fn resize(&mut self, size: Size) {
        let (width, height) = (size.width as usize, size.height as usize);
        let (old_width, old_height) = (self.size.width as usize, self.size.height as usize);
        let pixels = Pixels::new(width * height);
        let mut rows = vec![None; height];
        if old_width > 0 && old_height > 0 {
            // SAFETY: all the words of either, which nobody else holds: the new ones are unknown to others, and of the old ones no
            // row is lent, as the caller says.
            let (new, old) = unsafe {
                let old = std::slice::from_raw_parts(self.pixels.first().as_ptr(), self.pixels.len());
                (std::slice::from_raw_parts_mut(pixels.first().as_ptr(), pixels.len()), old)
            };
            for (y, (row, number)) in new.chunks_exact_mut(width).zip(&mut rows).enumerate() {
                let old_y = y * old_height / height;
                let old = &old[old_y * old_width..(old_y + 1) * old_width];
                row.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = old[x * old_width / width]);
                *number = self.rows[old_y];
            }
        }
        (self.size, self.pixels, self.rows) = (size, pixels, rows);
    }
}

/// Rows of one picture, lent for writing. Dropping it says they now show that picture.
pub struct BandMut<'a> {
    canvas: &'a Canvas,
    number: u64,
    rows: Range<u32>,
    width: u32,
    pixels: NonNull<[u32]>,
    /// Whether they show this picture when they are given back.
    written: bool,
    lifetime: PhantomData<&'a mut [u32]>,
}

// SAFETY: it is an exclusive reference to `u32`s, and those may go to another thread.
unsafe impl Send for BandMut<'_> {}

impl BandMut<'_> {
    /// The rows' pixels, tight, top row first. They hold what was shown before.
    pub fn pixels(&mut self) -> &mut [u32] {
        // SAFETY: the pointer came from a live slice of the canvas, which outlives `'a` and is not reallocated while a band
        // is held. The table holds these rows for this value alone until it is dropped, and `&mut self` lends them once.
        unsafe { self.pixels.as_mut() }
    }

    /// Words from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize
    }

    /// Gives the rows back as still showing what they showed, whatever was written to them.
    pub fn abort(mut self) {
        self.written = false;
    }
}

impl Drop for BandMut<'_> {
    fn drop(&mut self) {
        let shown = (self.written && !std::thread::panicking()).then_some(self.number);
        self.canvas.release_band(&self.rows, shown);
    }
}

/// The whole picture, lent for reading.
pub struct View<'a> {
    canvas: &'a Canvas,
    size: Size,
    pixels: NonNull<[u32]>,
    memory: Option<Memory>,
    lifetime: PhantomData<&'a [u32]>,
}

/// Where a view's pixels lie, for a display server on this machine.
#[derive(Clone)]
pub(super) struct Memory {
    /// Changes when the memory does.
    pub(super) id: u64,
    pub(super) file: Arc<File>,
    /// Of the first pixel in the file, in bytes.
    pub(super) offset: u32,
}

impl View<'_> {
    /// The pixels, tight, top row first.
    pub fn pixels(&self) -> &[u32] {
        // SAFETY: the pointer came from the live slice of the canvas, which outlives `'a` and is not reallocated while a
        // view is held. No band exists or is given out before this value is dropped, so nobody writes.
        unsafe { self.pixels.as_ref() }
    }

    /// The memory the pixels lie in, where it can be shared; to be read only while this view lives.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// The picture's size; 0x0 before the first.
    pub fn size(&self) -> Size {
        self.size
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.canvas.release_view();
    }
}

#[cfg(test)]
#[path = "canvas_tests.rs"]
mod tests;
