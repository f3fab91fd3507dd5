//! Pictures that carry their number alone, so that what changes in them is the scene; and what of them is on the screen.

use crate::clock::{now_us, sharpen_timers, sleep_until};
use crate::code::{self, Mark};
use crate::framebuffer::Framebuffer;
use crate::piece::Piece;
use crate::scene::Shape;
use crate::stats::{Log, Shown};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often the pixels are looked at.
const POLL_US: u64 = 250;

/// A display may draw parts in any order: the rest of a picture is there so long after its numbers.
const DRAWN_US: u64 = 4_000;

/// A picture that is not whole by then is kept as it is.
const TORN_US: u64 = 15_000;

/// One look in so many is kept in colour.
const COLOUR_EVERY: usize = 24;

/// Numbers whose time is known.
const NUMBERS: usize = 1 << 16;

/// What was on the screen at one time.
pub struct Look {
    /// The newest number on it.
    pub id: u16,
    /// It stood above and below.
    pub whole: bool,
    /// Since then.
    pub at_us: u64,
    /// Luma, in full range.
    pub luma: Vec<u8>,
}

/// What was seen of a piece.
#[derive(Default)]
pub struct Seen {
    /// When.
    pub log: Log,
    /// What it looked like, while that was asked for.
    pub looks: Vec<Look>,
    /// Some of these in colour: number, and pixels with blue in the lowest byte.
    pub pictures: Vec<(u16, Vec<u32>)>,
}

/// The newest picture on the screen.
struct Newest {
    id: u16,
    /// When one of its numbers came.
    since: u64,
    /// When both were there.
    whole: Option<u64>,
    /// It was looked at.
    kept: bool,
}

/// See the module text.
pub struct Numbered {
    shape: Shape,
    /// When each number was written.
    emitted: Vec<AtomicU64>,
    /// What red, green and blue are of luma, in 256ths.
    luma: [u32; 3],
    /// What is shown is to be kept.
    pub keep: AtomicBool,
}

impl Numbered {
    /// Pictures of this size in a loop of this length, shown by somebody who converts colours so.
    pub fn new(shape: Shape, luma: [u32; 3]) -> Numbered {
        let emitted = (0..NUMBERS).map(|_| AtomicU64::new(0)).collect();
        Numbered { shape, emitted, luma, keep: AtomicBool::new(false) }
    }

    fn mark_of(&self, id: u16) -> Mark {
        Mark { emit_us: self.emitted[usize::from(id)].load(Ordering::Relaxed), id }
    }

    fn look(&self, screen: &Framebuffer, corner: (usize, usize), id: u16, at_us: u64, pixels: &mut Vec<u32>) -> Look {
        let Shape { width, height, .. } = self.shape;
        screen.copy(corner, (width, height), pixels);
        let [red, green, blue] = self.luma;
        let luma = |pixel: &u32| {
            let [b, g, r, _] = pixel.to_le_bytes().map(u32::from);
            ((red * r + green * g + blue * b + 128) >> 8) as u8
        };
        Look { id, whole: false, at_us, luma: pixels.iter().map(luma).collect() }
    }
}

impl Piece for Numbered {
    type Seen = Seen;

    fn shape(&self) -> Shape {
        self.shape
    }

    fn mark(&self, luma: &mut [u8], mark: Mark) {
        code::draw_number(luma, self.shape.width, self.shape.height, mark.id);
        self.emitted[usize::from(mark.id)].store(mark.emit_us, Ordering::Relaxed);
    }

    fn watch(&self, screen: &Framebuffer, seen_us: &AtomicU64, over: &AtomicBool) -> Seen {
        let Shape { width, height, .. } = self.shape;
        let mut seen = Seen::default();
        sharpen_timers();
        let mut pixels = Vec::new();
        let (mut corner, mut readable_at): (Option<(usize, usize)>, u64) = (None, 0);
        let mut newest: Option<Newest> = None;
        let mut next = now_us();
        while !over.load(Ordering::Relaxed) {
            let now = now_us();
            next = (next + POLL_US).max(now);
            let above = corner.and_then(|(x, y)| code::read_number(screen, x, y));
            let below = corner.and_then(|(x, y)| code::read_bottom(screen, x, y, height));
            for id in [above, below].into_iter().flatten() {
                // As sequence numbers. Few bits guard a number, so one that is far ahead is not believed.
                let ahead = newest.as_ref().map(|newest| id.wrapping_sub(newest.id));
                if ahead.is_none_or(|ahead| (1..0x400).contains(&ahead)) {
                    newest = Some(Newest { id, since: now, whole: None, kept: false });
                    seen.log.fresh.push(now);
                }
            }
            if above.is_some() || below.is_some() {
                readable_at = now;
            }
            if let (Some(corner), Some(newest)) = (corner, &mut newest) {
                if newest.whole.is_none() && above == Some(newest.id) && below == above {
                    newest.whole = Some(now);
                    let _ = seen_us.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                    seen.log.shown.push(Shown { mark: self.mark_of(newest.id), seen_us: now, wrong: 0.0, wrong_rows: 0 });
                }
                let due = newest.whole.map_or(newest.since + TORN_US, |whole| whole + DRAWN_US);
                if !newest.kept && now >= due && self.keep.load(Ordering::Relaxed) {
                    newest.kept = true;
                    let look = self.look(screen, corner, newest.id, newest.since, &mut pixels);
                    let numbers =
                        [code::read_number(screen, corner.0, corner.1), code::read_bottom(screen, corner.0, corner.1, height)];
                    if seen.looks.len() % COLOUR_EVERY == 0 {
                        seen.pictures.push((newest.id, pixels.clone()));
                    }
                    let still = numbers == [Some(newest.id); 2];
                    seen.looks.push(Look { whole: newest.whole.is_some() && still, ..look });
                }
            }
            if now > readable_at + 300_000 {
                // Not seen yet, or the window has moved.
                corner = screen.find((width, height), |seen| code::find_number(seen, height));
                if corner.is_none() {
                    next = now_us() + 50_000;
                }
            }
            sleep_until(next);
        }
        seen
    }
}
