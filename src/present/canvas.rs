//! The picture being shown: `0x00RRGGBB` words which decode threads write and the presenter reads.
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

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::picture::Size;

/// The longest side of a picture: four times 1080p each way, and 256 MiB of pixels at most.
pub const MAX_SIDE: u32 = 8192;

/// See the module text.
pub struct Canvas {
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    size: Size,
    /// `size.width * size.height` words, replaced only while nobody holds a row.
    pixels: Vec<UnsafeCell<u32>>,
    /// Which picture each row is of; `None` where there was none yet.
    rows: Vec<Option<u64>>,
    /// The newest picture any band was asked for: only a newer one may change the size.
    newest: Option<u64>,
    /// Counts the senders, so that a band of the one before cannot commit its number.
    sender: u64,
    bands: Vec<Range<u32>>,
    views: usize,
    waiting_views: usize,
}

/// How much of the newest picture the canvas shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The newest picture of which a row is shown.
    pub newest: Option<u64>,
    /// The oldest picture of which a row is still shown; `None` also while some row shows none at all.
    pub oldest: Option<u64>,
    /// The rows that are not of the newest picture, top first, adjoining ones joined.
    pub stale: Vec<Range<u32>>,
}

impl Coverage {
    /// Whether every row is of the newest picture.
    pub fn is_whole(&self) -> bool {
        self.newest.is_some() && self.stale.is_empty()
    }
}

impl Canvas {
    /// A canvas of no size, showing nothing.
    pub fn new() -> Self {
        let state = State {
            size: Size { width: 0, height: 0 },
            pixels: Vec::new(),
            rows: Vec::new(),
            newest: None,
            sender: 0,
            bands: Vec::new(),
            views: 0,
            waiting_views: 0,
        };
        Canvas { state: Mutex::new(state), released: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the table half changed: each critical section changes one entry of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.released.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends `rows` of picture `number`, which is `size` large, for writing; waits for whoever holds them.
    ///
    /// `None` where these rows show a newer picture already, where `size` is that of an older picture, and where `size` is
    /// empty or above [`MAX_SIDE`] or `rows` do not lie within it. A newer picture of another size resizes the canvas;
    /// what it showed is stretched to fit, so that bands still missing do not show black.
    pub fn band(&self, number: u64, size: Size, rows: Range<u32>) -> Option<BandMut<'_>> {
        let fits = (1..=MAX_SIDE).contains(&size.width) && (1..=MAX_SIDE).contains(&size.height);
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
        // Through `UnsafeCell`, so no reference to these pixels is made here.
        let pixels = NonNull::from(&state.pixels[first..last]);
        let pixels = NonNull::slice_from_raw_parts(pixels.cast::<u32>(), last - first);
        let sender = state.sender;
        Some(BandMut { canvas: self, sender, number, rows, width: size.width, pixels, keep: None, lifetime: PhantomData })
    }

    /// Lends the whole picture for reading; waits for the bands being written, and writers wait meanwhile.
    pub fn view(&self) -> View<'_> {
        let mut state = self.lock();
        state.waiting_views += 1;
        while !state.bands.is_empty() {
            state = self.wait(state);
        }
        state.waiting_views -= 1;
        state.views += 1;
        let pixels = NonNull::from(state.pixels.as_slice());
        let pixels = NonNull::slice_from_raw_parts(pixels.cast::<u32>(), state.pixels.len());
        View { canvas: self, size: state.size, coverage: state.coverage(), pixels, lifetime: PhantomData }
    }

    /// How much of the newest picture is there, without waiting for the bands being written.
    pub fn coverage(&self) -> Coverage {
        self.lock().coverage()
    }

    /// The size of the picture shown; 0x0 before the first.
    pub fn size(&self) -> Size {
        self.lock().size
    }

    /// Forgets which picture each row is of, but keeps the pixels: another sender counts its pictures from its own start.
    /// Bands held at that moment will not count; no more of the former sender's may be asked for.
    pub fn forget_numbers(&self) {
        let mut state = self.lock();
        state.newest = None;
        state.sender += 1;
        state.rows.fill(None);
    }

    fn release_band(&self, sender: u64, number: u64, rows: &Range<u32>, count: u32) {
        let mut state = self.lock();
        state.bands.retain(|band| band != rows);
        if state.sender == sender {
            let last = rows.end.min(rows.start.saturating_add(count));
            state.rows[rows.start as usize..last as usize].fill(Some(number));
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
        let mut pixels = Vec::with_capacity(width * height);
        let mut rows = Vec::with_capacity(height);
        for y in 0..height {
            if old_width == 0 || old_height == 0 {
                pixels.extend((0..width).map(|_| UnsafeCell::new(0)));
                rows.push(None);
                continue;
            }
            let old_y = y * old_height / height;
            let row = &mut self.pixels[old_y * old_width..(old_y + 1) * old_width];
            pixels.extend((0..width).map(|x| UnsafeCell::new(*row[x * old_width / width].get_mut())));
            rows.push(self.rows[old_y]);
        }
        (self.size, self.pixels, self.rows) = (size, pixels, rows);
    }

    fn coverage(&self) -> Coverage {
        let newest = self.rows.iter().copied().max().flatten();
        let oldest = self.rows.iter().copied().min().flatten();
        let mut stale: Vec<Range<u32>> = Vec::new();
        for (y, _) in (0..).zip(&self.rows).filter(|(_, shown)| newest.is_none() || **shown != newest) {
            match stale.last_mut() {
                Some(last) if last.end == y => last.end = y + 1,
                _ => stale.push(y..y + 1),
            }
        }
        Coverage { newest, oldest, stale }
    }
}

/// Rows of one picture, lent for writing. Dropping it says they now show that picture.
pub struct BandMut<'a> {
    canvas: &'a Canvas,
    sender: u64,
    number: u64,
    rows: Range<u32>,
    width: u32,
    pixels: NonNull<[u32]>,
    /// How many of the rows were written, top first; all unless said otherwise.
    keep: Option<u32>,
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

    /// The same pixels as bytes: blue, green, red, unused on a little-endian machine.
    pub fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self.pixels())
    }

    /// Words from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize
    }

    /// The rows this is.
    pub fn rows(&self) -> Range<u32> {
        self.rows.clone()
    }

    /// Gives the rows back as still showing what they showed, whatever was written to them.
    pub fn abort(mut self) {
        self.keep = Some(0);
    }

    /// Gives the rows back with only the first `count` of them showing this picture: a slice cut short.
    pub fn commit_first(mut self, count: u32) {
        self.keep = Some(count);
    }
}

impl Drop for BandMut<'_> {
    fn drop(&mut self) {
        let count = if std::thread::panicking() { 0 } else { self.keep.unwrap_or(u32::MAX) };
        self.canvas.release_band(self.sender, self.number, &self.rows, count);
    }
}

/// The whole picture, lent for reading.
pub struct View<'a> {
    canvas: &'a Canvas,
    size: Size,
    coverage: Coverage,
    pixels: NonNull<[u32]>,
    lifetime: PhantomData<&'a [u32]>,
}

impl View<'_> {
    /// The pixels, tight, top row first.
    pub fn pixels(&self) -> &[u32] {
        // SAFETY: the pointer came from the live slice of the canvas, which outlives `'a` and is not reallocated while a
        // view is held. No band exists or is given out before this value is dropped, so nobody writes.
        unsafe { self.pixels.as_ref() }
    }

    /// The picture's size; 0x0 before the first.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Which pictures the rows are of.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.canvas.release_view();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    const SIZE: Size = Size { width: 4, height: 32 };

    fn paint(canvas: &Canvas, number: u64, rows: Range<u32>) {
        canvas.band(number, SIZE, rows).unwrap().pixels().fill(number as u32);
    }

    #[test]
    fn a_band_is_shown_once_it_is_dropped_and_the_rest_is_reported_stale() {
        let canvas = Canvas::new();
        paint(&canvas, 7, 0..32);
        paint(&canvas, 8, 8..16);
        let view = canvas.view();
        assert_eq!(&view.pixels()[7 * 4..9 * 4], [7, 7, 7, 7, 8, 8, 8, 8]);
        assert_eq!(*view.coverage(), Coverage { newest: Some(8), oldest: Some(7), stale: vec![0..8, 16..32] });
        drop(view);
        paint(&canvas, 8, 0..8);
        paint(&canvas, 8, 16..32);
        assert!(canvas.coverage().is_whole());
    }

    #[test]
    fn a_late_band_is_refused_where_newer_rows_are_shown_and_taken_where_not() {
        let canvas = Canvas::new();
        paint(&canvas, 1, 0..32);
        paint(&canvas, 3, 0..16);
        assert!(canvas.band(2, SIZE, 8..24).is_none());
        assert!(canvas.band(2, SIZE, 16..32).is_some());
        assert!(canvas.band(3, SIZE, 0..16).is_some(), "the same picture may come again");
    }

    #[test]
    fn an_aborted_band_keeps_its_old_number_and_a_cut_one_only_its_first_rows() {
        let canvas = Canvas::new();
        paint(&canvas, 1, 0..32);
        canvas.band(2, SIZE, 0..16).unwrap().abort();
        assert_eq!(canvas.coverage().newest, Some(1));
        canvas.band(2, SIZE, 16..32).unwrap().commit_first(8);
        assert_eq!(canvas.coverage().stale, [0..16, 24..32]);
    }

    #[test]
    fn a_new_size_stretches_the_old_picture_and_an_older_size_is_late() {
        let canvas = Canvas::new();
        paint(&canvas, 1, 0..16);
        paint(&canvas, 2, 16..32);
        let large = Size { width: 8, height: 64 };
        drop(canvas.band(3, large, 0..8).unwrap());
        assert!(canvas.band(2, SIZE, 0..8).is_none());
        let view = canvas.view();
        assert_eq!((view.size(), view.pixels()[8 * 31], view.pixels()[8 * 32]), (large, 1, 2));
        assert_eq!((view.coverage().newest, view.coverage().oldest), (Some(3), Some(1)));
    }

    #[test]
    fn impossible_sizes_and_rows_are_refused() {
        let canvas = Canvas::new();
        let (empty, high) = (Size { width: 0, height: 8 }, Size { width: 8, height: MAX_SIDE + 1 });
        assert!(canvas.band(1, empty, 0..8).is_none());
        assert!(canvas.band(1, high, 0..8).is_none());
        assert!(canvas.band(1, SIZE, 24..33).is_none());
        assert!(canvas.band(1, SIZE, 8..8).is_none());
        assert_eq!(canvas.size(), Size { width: 0, height: 0 });
    }

    #[test]
    fn another_sender_may_count_from_its_own_start() {
        let canvas = Canvas::new();
        paint(&canvas, 9, 0..32);
        let mut held = canvas.band(10, SIZE, 0..8).unwrap();
        held.pixels().fill(10);
        canvas.forget_numbers();
        drop(held);
        assert_eq!(canvas.coverage().newest, None);
        paint(&canvas, 0, 0..8);
        let view = canvas.view();
        assert_eq!((view.coverage().newest, view.coverage().oldest, view.pixels()[8 * 4]), (Some(0), None, 9));
    }

    #[test]
    fn the_same_rows_are_lent_to_one_thread_at_a_time() {
        let canvas = Canvas::new();
        let held = canvas.band(1, SIZE, 0..16).unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let other = sender.clone();
            let canvas = &canvas;
            scope.spawn(move || {
                let _second = canvas.band(1, SIZE, 8..24).unwrap();
                other.send("second").unwrap();
            });
            // The rows below do not overlap: they are lent while the first are held.
            drop(canvas.band(1, SIZE, 24..32).unwrap());
            let early = receiver.recv_timeout(std::time::Duration::from_millis(50));
            sender.send("first").unwrap();
            drop(held);
            assert!(early.is_err(), "lent twice");
        });
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn threads_writing_bands_and_sizes_never_show_a_torn_row_to_a_reader() {
        const PICTURES: u64 = if cfg!(miri) { 8 } else { 2000 };
        let canvas = Canvas::new();
        let writers_are_done = AtomicBool::new(false);
        let size_of = |number: u64| Size { width: 4 + (number / 5 % 3) as u32, height: 32 };
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4u32)
                .map(|band| {
                    let canvas = &canvas;
                    scope.spawn(move || {
                        for number in 0..PICTURES {
                            let rows = band * 8..band * 8 + 8;
                            if let Some(mut rows) = canvas.band(number, size_of(number), rows) {
                                rows.pixels().fill(number as u32);
                            }
                        }
                    })
                })
                .collect();
            let (canvas, done) = (&canvas, &writers_are_done);
            let reader = scope.spawn(move || {
                let mut views = 0;
                while !done.load(Ordering::Acquire) || views == 0 {
                    let view = canvas.view();
                    let width = view.size().width.max(1) as usize;
                    for band in view.pixels().chunks(width * 8) {
                        assert!(band.iter().all(|pixel| *pixel == band[0]), "a torn band");
                    }
                    views += 1;
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            writers_are_done.store(true, Ordering::Release);
            reader.join().unwrap();
        });
        let view = canvas.view();
        assert!(view.coverage().is_whole());
        assert!(view.pixels().iter().all(|pixel| u64::from(*pixel) == PICTURES - 1));
    }
}
