//! Watches a live framebuffer for barcodes.

use crate::clock::{now_us, sharpen_timers, sleep_until};
use crate::code::{self, Mark, Picture};
use crate::framebuffer::Framebuffer;
use crate::piece::Piece;
use crate::scene::{Probes, Shape};
use crate::stats::{Log, Shown};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often the pixels are looked at.
const POLL_US: u64 = 250;

/// Pictures with a barcode each, in a loop.
pub struct Barcoded<'a> {
    /// Their size.
    pub shape: Shape,
    /// How they should look.
    pub probes: &'a Probes,
}

impl Piece for Barcoded<'_> {
    type Seen = Log;

    fn shape(&self) -> Shape {
        self.shape
    }

    fn mark(&self, luma: &mut [u8], mark: Mark) {
        let Shape { width, height, rows_marked, .. } = self.shape;
        code::draw(luma, width, height, mark);
        if rows_marked {
            code::draw_rows(luma, width, height, mark.id);
        }
    }

    fn watch(&self, screen: &Framebuffer, seen_us: &AtomicU64, over: &AtomicBool) -> Log {
        watch(screen, self.shape, self.probes, seen_us, over)
    }
}

/// Watches until `over` says so. `seen_us` is set when the first picture of the loop shows up.
fn watch(screen: &Framebuffer, shape: Shape, probes: &Probes, seen_us: &AtomicU64, over: &AtomicBool) -> Log {
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
            corner = screen.find((shape.width, shape.height), code::find);
            if corner.is_none() {
                next = now_us() + 50_000;
            }
        }
        sleep_until(next);
    }
    log
}
