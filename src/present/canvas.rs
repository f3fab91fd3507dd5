//! The picture of one sender being shown: `0x00RRGGBB` words which decode threads write and the presenter reads.
//!
//! Every decoded slice goes straight into its rows, so a picture is never copied on its way to the window. The canvas remembers
//! of which picture each MCU is ([`Coverage`]): a lost slice leaves the MCUs of an older picture standing, and a late one never
//! covers a newer one. Where some of the MCUs of a late slice are newer, what they show is put aside while its rows are lent.
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

use super::damage::Damage;
use super::pixels::{LEAD, Pixels};
use super::scale::{Rect, Scaler};
use crate::threads::{lock, wait};
use eyeline_proto::media::coverage::Coverage;
use eyeline_proto::picture::Size;
use eyeline_proto::wire::slice::Head;

pub struct Canvas {
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    size: Size,
    grid: Grid,
    /// `size.width * size.height` words, replaced only while nobody holds a row.
    pixels: Pixels,
    /// Of which picture each MCU is.
    coverage: Coverage,
    /// The newest picture any band was asked for: only a newer one may change the size or the grid.
    newest: Option<u64>,
    bands: Vec<Range<u32>>,
    /// What was written since somebody asked.
    damage: Damage,
    views: usize,
    waiting_views: usize,
}

/// Why nothing of a slice may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Newer pictures cover all of it, or are of another size; or it has no MCU at all. Nothing lacks.
    Late,
    /// A newer picture has made the canvas larger or smaller: this one is to be drawn as that is.
    Resized,
}

/// How a picture is divided: MCUs across and down, and the pixels of one on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    mcus: Size,
    mcu: Size,
}

impl Grid {
    const NONE: Grid = Grid { mcus: Size { width: 0, height: 0 }, mcu: Size { width: 0, height: 0 } };

    /// Where the rows of an MCU lie among the words of these rows of a picture so wide.
    fn words(&self, mcu: usize, width: u32, rows: &Range<u32>) -> impl Iterator<Item = Range<usize>> + use<> {
        let (column, row) = (mcu as u32 % self.mcus.width, mcu as u32 / self.mcus.width);
        let [left, right] = [column, column + 1].map(|column| (column * self.mcu.width).min(width));
        let [top, end] = [row, row + 1].map(|row| (row * self.mcu.height).clamp(rows.start, rows.end));
        let first = rows.start;
        (top..end).map(move |y| {
            let row = (y - first) as usize * width as usize;
            row + left as usize..row + right as usize
        })
    }
}

impl Grid {
    /// The smallest part of a picture of this size that holds a run of MCUs.
    fn place(&self, run: &Range<usize>, size: Size) -> Rect {
        let place = |mcu: usize| (mcu as u32 % self.mcus.width, mcu as u32 / self.mcus.width);
        let ((first, top), (last, bottom)) = (place(run.start), place(run.end.max(run.start + 1) - 1));
        let (first, last) = if top == bottom { (first, last) } else { (0, self.mcus.width - 1) };
        let across = |column: u32| (column * self.mcu.width).min(size.width);
        let down = |row: u32| (row * self.mcu.height).min(size.height);
        let (x, y) = (across(first), down(top));
        Rect { x, y, size: Size { width: across(last + 1) - x, height: down(bottom + 1) - y } }
    }
}

impl Canvas {
    /// A canvas of no size, showing nothing.
    pub fn new() -> Self {
        let state = State {
            size: Grid::NONE.mcus,
            grid: Grid::NONE,
            pixels: Pixels::new(0),
            coverage: Coverage::new(Grid::NONE.mcus),
            newest: None,
            bands: Vec::new(),
            damage: Damage::default(),
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

    /// Lends the rows of picture `number` that the slice of this head is drawn to, for writing; waits for whoever holds them.
    /// They are `divisor` times fewer than the picture has, and so are its columns.
    ///
    /// Of MCUs some of which show a newer picture already, those stay as they are, whatever is drawn. A newer picture of another
    /// size resizes the canvas; what it showed is stretched to fit, so that MCUs still missing do not show black.
    pub fn band(&self, number: u64, head: &Head<'_>, divisor: u32) -> Result<BandMut<'_>, Refused> {
        let side = |side: u32| side.div_ceil(divisor);
        let scaled = |size: Size| Size { width: side(size.width), height: side(size.height) };
        let top = u32::from(head.top);
        let rows = top / divisor..side(top + u32::from(head.rows));
        let grid = Grid { mcus: head.grid(), mcu: scaled(head.sampling.mcu()) };
        self.lend_band(number, (scaled(head.size), grid), rows, head.runs().collect())
    }

    /// The same of a picture without MCUs, which is `size` large: each of the rows is new or not. `None` where all are newer, and
    /// where `size` is that of an older picture, empty or above [`MAX_SIDE`](eyeline_proto::picture::MAX_SIDE), or `rows` do not
    /// lie within it.
    pub fn rows(&self, number: u64, size: Size, rows: Range<u32>) -> Option<BandMut<'_>> {
        let grid = Grid { mcus: Size { width: 1, ..size }, mcu: Size { height: 1, ..size } };
        let run = rows.start as usize..rows.end as usize;
        self.lend_band(number, (size, grid), rows, vec![run]).ok()
    }

    fn lend_band(
        &self,
        number: u64,
        shape: (Size, Grid),
        rows: Range<u32>,
        runs: Vec<Range<usize>>,
    ) -> Result<BandMut<'_>, Refused> {
        let (size, grid) = shape;
        if !size.is_possible() || rows.start >= rows.end || rows.end > size.height {
            return Err(Refused::Late);
        }
        let mut state = self.lock();
        loop {
            if state.is_late(number, shape, &runs) {
                let resized = !runs.is_empty() && shape.0 != state.size && shape.1.mcus == state.grid.mcus;
                return Err(if resized { Refused::Resized } else { Refused::Late });
            }
            let held = state.views > 0 || state.waiting_views > 0;
            if shape != (state.size, state.grid) && !held && state.bands.is_empty() {
                state.reshape(shape);
            }
            if shape == (state.size, state.grid) && !held && !state.bands.iter().any(|band| overlap(band, &rows)) {
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
        let newer: Vec<Range<usize>> = state.newer(number, &runs).flat_map(|mcu| grid.words(mcu, size.width, &rows)).collect();
        drop(state);
        let (width, aside, lifetime) = (size.width, Vec::new(), PhantomData);
        let mut band = BandMut { canvas: self, number, rows, width, pixels, runs, newer, aside, written: true, lifetime };
        band.put_aside();
        Ok(band)
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

    /// `drawn`: the picture that these MCUs show from now on, but for those that are newer.
    fn release_band(&self, rows: &Range<u32>, drawn: Option<u64>, runs: &[Range<usize>]) {
        let mut state = self.lock();
        state.bands.retain(|band| band != rows);
        for run in runs {
            let part = state.grid.place(run, state.size);
            state.damage.add(part);
        }
        if let Some(number) = drawn {
            state.coverage.drawn(number, runs.iter().cloned());
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
    /// Nothing of this may be drawn, or there is nothing.
    fn is_late(&self, number: u64, shape: (Size, Grid), runs: &[Range<usize>]) -> bool {
        if shape != (self.size, self.grid) {
            return runs.is_empty() || self.newest.is_some_and(|newest| number <= newest);
        }
        !runs.iter().cloned().flatten().any(|mcu| self.coverage.takes(number, mcu))
    }

    /// Those of these MCUs that are newer.
    fn newer(&self, number: u64, runs: &[Range<usize>]) -> impl Iterator<Item = usize> {
        let runs = if self.coverage.takes_all(number, runs.iter().cloned()) { &[] } else { runs };
        runs.iter().cloned().flatten().filter(move |mcu| !self.coverage.takes(number, *mcu))
    }

    /// Only while nobody holds a row. What is stretched is of the pictures that it was of, as far as it has the same MCUs:
    /// nothing older may cover it.
    fn reshape(&mut self, (size, grid): (Size, Grid)) {
        if size != self.size {
            let pixels = Pixels::new(size.width as usize * size.height as usize);
            if self.size.is_possible() {
                // SAFETY: all the words of either, which nobody else holds: the new ones are unknown to others, and of the old
                // ones no row is lent, as the caller says.
                let (new, old) = unsafe {
                    let old = std::slice::from_raw_parts(self.pixels.first().as_ptr(), self.pixels.len());
                    (std::slice::from_raw_parts_mut(pixels.first().as_ptr(), pixels.len()), old)
                };
                Scaler::new().stretch(old, self.size, new, size);
            }
            (self.size, self.pixels, self.damage) = (size, pixels, Damage::all(size));
        }
        if grid.mcus != self.grid.mcus {
            self.coverage = Coverage::new(grid.mcus);
        }
        self.grid = grid;
    }
}

/// Rows of one picture, lent for writing. Dropping it says that the MCUs they were lent for now show that picture.
pub struct BandMut<'a> {
    canvas: &'a Canvas,
    number: u64,
    rows: Range<u32>,
    width: u32,
    pixels: NonNull<[u32]>,
    /// The MCUs that are drawn.
    runs: Vec<Range<usize>>,
    /// Where among the pixels those of them lie that show a newer picture, and what they show.
    newer: Vec<Range<usize>>,
    aside: Vec<u32>,
    /// Whether they show this picture when they are given back.
    written: bool,
    lifetime: PhantomData<&'a mut [u32]>,
}

// SAFETY: it is an exclusive reference to `u32`s, and those may go to another thread.
unsafe impl Send for BandMut<'_> {}

impl BandMut<'_> {
    /// The rows' pixels, tight, top row first. They hold what was shown before. Nothing is to be written outside the MCUs that
    /// the slice has.
    pub fn pixels(&mut self) -> &mut [u32] {
        // SAFETY: the pointer came from a live slice of the canvas, which outlives `'a` and is not reallocated while a band
        // is held. The table holds these rows for this value alone until it is dropped, and `&mut self` lends them once.
        unsafe { self.pixels.as_mut() }
    }

    /// Words from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize
    }

    fn put_aside(&mut self) {
        let newer = std::mem::take(&mut self.newer);
        let mut aside = Vec::new();
        newer.iter().for_each(|words| aside.extend_from_slice(&self.pixels()[words.clone()]));
        (self.newer, self.aside) = (newer, aside);
    }

    fn put_back(&mut self) {
        let (newer, aside) = (std::mem::take(&mut self.newer), std::mem::take(&mut self.aside));
        let mut rest = &aside[..];
        for words in newer {
            let (these, behind) = rest.split_at(words.len());
            self.pixels()[words].copy_from_slice(these);
            rest = behind;
        }
    }

    /// Gives the rows back as still showing what they showed, whatever was written to them.
    pub fn abort(mut self) {
        self.written = false;
    }
}

impl Drop for BandMut<'_> {
    fn drop(&mut self) {
        self.put_back();
        let drawn = (self.written && !std::thread::panicking()).then_some(self.number);
        self.canvas.release_band(&self.rows, drawn, &self.runs);
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

    /// What was written since this was asked last.
    pub(super) fn take_damage(&self) -> Damage {
        std::mem::take(&mut self.canvas.lock().damage)
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
