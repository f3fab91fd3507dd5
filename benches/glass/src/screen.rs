//! Watches a live Xvfb framebuffer (an XWD file that Xvfb maps) for barcodes.

use crate::clock::{now_us, sharpen_timers, sleep_until};
use crate::code::{self, Picture};
use crate::scene::{Probes, Shape};
use crate::stats::{Log, Shown};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often the pixels are looked at.
const POLL_US: u64 = 250;

/// The X server's own pixels, mapped.
pub struct Framebuffer {
    map: *const u8,
    pixels: usize,
    stride: usize,
    width: usize,
    height: usize,
    length: usize,
}

// SAFETY: the mapping is only read, by volatile loads, and lives as long as the value.
unsafe impl Sync for Framebuffer {}
// SAFETY: see above.
unsafe impl Send for Framebuffer {}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        // SAFETY: what `open` mapped, once.
        unsafe { libc::munmap(self.map as *mut _, self.length) };
    }
}

impl Framebuffer {
    /// Of an Xvfb started with `-fbdir directory`.
    pub fn open(directory: &Path) -> Result<Framebuffer, String> {
        let path = directory.join("Xvfb_screen0");
        let file = std::fs::File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let length = file.metadata().map_err(|e| e.to_string())?.len() as usize;
        // SAFETY: a read-only mapping of a file we opened, of its length; it is unmapped when dropped.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED || length < 100 {
            return Err(format!("{}: cannot map", path.display()));
        }
        let map = map as *const u8;
        // SAFETY: the file is at least 100 bytes long, and no field above 24 is asked for.
        let field = |i: usize| u32::from_be(unsafe { (map as *const u32).add(i).read_volatile() }) as usize;
        let (header, version, width, height, bits, stride, colours) =
            (field(0), field(1), field(4), field(5), field(11), field(12), field(19));
        let pixels = header + colours * 12;
        if version != 7 || bits != 32 || pixels + stride * height > length || width * 4 > stride || pixels % 4 != 0 {
            return Err(format!("{}: not a 32-bit XWD file", path.display()));
        }
        Ok(Framebuffer { map, pixels, stride, width, height, length })
    }

    /// A snapshot may catch a frame half drawn, so two must agree.
    fn find_code(&self) -> Option<(usize, usize)> {
        let mut last = code::find(&self.snapshot())?;
        for _ in 0..10 {
            sleep_until(now_us() + 7_000);
            let next = code::find(&self.snapshot())?;
            if next == last {
                return Some(next);
            }
            last = next;
        }
        None
    }

    /// Our own copy, so that a search does not race with drawing.
    fn snapshot(&self) -> Snapshot {
        let mut luma = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            luma.extend((0..self.width).map(|x| self.luma(x, y)));
        }
        Snapshot { luma, width: self.width, height: self.height }
    }
}

impl Picture for Framebuffer {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn luma(&self, x: usize, y: usize) -> u8 {
        let at = self.pixels + y * self.stride + x * 4;
        // SAFETY: callers stay within width and height, and `open` checked that these lie within the mapping.
        let [b, g, r, _] = unsafe { (self.map.add(at) as *const u32).read_volatile() }.to_le_bytes();
        ((77 * r as u32 + 150 * g as u32 + 29 * b as u32) >> 8) as u8
    }
}

struct Snapshot {
    luma: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture for Snapshot {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn luma(&self, x: usize, y: usize) -> u8 {
        self.luma[y * self.width + x]
    }
}

/// Watches until `over` says so. `seen_us` is set when the first picture of the loop shows up.
pub fn watch(screen: &Framebuffer, shape: Shape, probes: &Probes, seen_us: &AtomicU64, over: &AtomicBool) -> Log {
    let mut log = Log::default();
    sharpen_timers();
    let mut corner: Option<(usize, usize)> = None;
    let mut readable_at = 0;
    let mut pending: Option<u16> = None;
    let mut newest: Option<u16> = None;
    let mut looked_again = 0;
    let mut next = now_us();
    while !over.load(Ordering::Relaxed) {
        let now = now_us();
        next = (next + POLL_US).max(now);
        let top = corner.and_then(|(x, y)| code::read_top(screen, x, y));
        if let (Some(last), Some((x, y)), true) = (newest, corner, shape.rows_marked)
            && let Some(id) = code::newest_row(screen, x, y, shape.height, last)
        {
            newest = Some(id);
            log.fresh.push(now);
        }
        if let (Some(mark), Some((x, y))) = (top, corner) {
            readable_at = now;
            let bottom = code::read_bottom(screen, x, y, shape.height);
            // The lower code's few check bits let damage through now and then, but hardly as a number near the upper one's.
            let below = bottom.filter(|id| id.wrapping_sub(mark.id).wrapping_add(64) < 128);
            for id in [Some(mark.id), below].into_iter().flatten() {
                // As sequence numbers: newer, across the wrap.
                if newest.is_none_or(|newest| (1..0x8000).contains(&id.wrapping_sub(newest))) {
                    newest = Some(id);
                    log.fresh.push(now);
                }
            }
            let look = || {
                let wrong = probes.wrong(mark.id, |px, py| screen.luma(x + px, y + py));
                let rows = if shape.rows_marked { code::wrong_rows(screen, x, y, shape.height, mark.id) } else { 0 };
                Shown { mark, seen_us: now_us(), wrong, wrong_rows: rows }
            };
            if pending.is_some_and(|id| id != mark.id) {
                log.torn += 1;
                pending = None;
            }
            if log.last() != Some(mark.id) {
                let _ = seen_us.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                pending = Some(mark.id);
                if bottom == Some(mark.id) {
                    let seen_us = now_us();
                    log.shown.push(Shown { seen_us, ..look() });
                    pending = None;
                }
            } else if let Some(last) = log.shown.last_mut().filter(|last| !last.is_whole() && now > looked_again + 2_000) {
                // A hole may still be filled. It is whole as late as that.
                looked_again = now;
                let again = look();
                if again.is_whole() && code::read_top(screen, x, y) == Some(last.mark) {
                    *last = again;
                }
            }
        } else if now > readable_at + 300_000 {
            // Not seen yet, or the window has moved.
            corner = screen.find_code().filter(|&(x, y)| x + shape.width <= screen.width && y + shape.height <= screen.height);
            if corner.is_none() {
                next = now_us() + 50_000;
            }
        }
        sleep_until(next);
    }
    log
}
