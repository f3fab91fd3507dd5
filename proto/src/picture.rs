//! A captured picture on its way from a source to the encoder: planar YUV, or the JPEG a camera made.
//!
//! Planes are full-range BT.601 (what JPEG means by YCbCr; JFIF 1.02), top row first, each row tight. Sources convert to
//! that; nothing after them asks for range or matrix again.

pub mod mcu_set;

use mcu_set::McuSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest side of a picture, pixels: more than any camera gives live.
pub const MAX_SIDE: u32 = 8192;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    /// At another width, with the same aspect; at least a row, at most [`MAX_SIDE`] of them.
    pub fn at_width(self, width: u32) -> Size {
        let height = (u64::from(self.height) * u64::from(width) + u64::from(self.width) / 2) / u64::from(self.width.max(1));
        Size { width, height: u32::try_from(height).unwrap_or(u32::MAX).clamp(1, MAX_SIDE) }
    }

    /// Whether a picture may have this size: no side is empty or longer than [`MAX_SIDE`].
    pub fn is_possible(self) -> bool {
        (1..=MAX_SIDE).contains(&self.width) && (1..=MAX_SIDE).contains(&self.height)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How often the two colour planes are sampled against luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// Luma alone.
    Grey,
    /// Half in both directions (I420).
    Yuv420,
    /// Half horizontally.
    Yuv422,
    /// Every pixel.
    Yuv444,
    /// Half vertically: what 4:2:2 is when its rows become columns.
    Yuv440,
}

/// All there are, by their codes.
pub(crate) const SAMPLINGS: [Sampling; 5] =
    [Sampling::Grey, Sampling::Yuv420, Sampling::Yuv422, Sampling::Yuv444, Sampling::Yuv440];

impl Sampling {
    /// The size of the two colour planes for a luma plane of `size`, rounded up for odd sizes; `None` where there are none.
    pub fn chroma(self, size: Size) -> Option<Size> {
        match self {
            Sampling::Grey => None,
            Sampling::Yuv420 => Some(Size { width: size.width.div_ceil(2), height: size.height.div_ceil(2) }),
            Sampling::Yuv422 => Some(Size { width: size.width.div_ceil(2), height: size.height }),
            Sampling::Yuv440 => Some(Size { width: size.width, height: size.height.div_ceil(2) }),
            Sampling::Yuv444 => Some(size),
        }
    }

    /// The row of a colour plane that goes with this row of luma.
    pub fn chroma_row(self, row: usize) -> usize {
        if matches!(self, Sampling::Yuv420 | Sampling::Yuv440) { row / 2 } else { row }
    }

    /// What it is of a picture that is turned so.
    pub fn turned(self, turn: Turn) -> Sampling {
        match self {
            Sampling::Yuv422 if turn.transposed => Sampling::Yuv440,
            Sampling::Yuv440 if turn.transposed => Sampling::Yuv422,
            same => same,
        }
    }

    /// What it is called in messages.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The one of this name.
    pub(crate) fn of_code(code: u8) -> Option<Sampling> {
        SAMPLINGS.into_iter().find(|sampling| sampling.code() == code)
    }

    /// Width and height of an MCU in pixels (T.81 A.2.4).
    pub fn mcu(self) -> Size {
        let (width, height) = match self {
            Sampling::Grey | Sampling::Yuv444 => (8, 8),
            Sampling::Yuv420 => (16, 16),
            Sampling::Yuv422 => (16, 8),
            Sampling::Yuv440 => (8, 16),
        };
        Size { width, height }
    }

    /// Columns and rows of MCUs that cover a picture of `size`.
    pub fn mcus(self, size: Size) -> Size {
        let mcu = self.mcu();
        Size { width: size.width.div_ceil(mcu.width), height: size.height.div_ceil(mcu.height) }
    }

    /// Bytes of all planes of a picture of `size`.
    pub fn bytes(self, size: Size) -> usize {
        let area = |size: Size| size.width as usize * size.height as usize;
        area(size) + self.chroma(size).map_or(0, |chroma| 2 * area(chroma))
    }
}

/// What the picture is made of.
pub enum Body {
    /// Planes Y, Cb, Cr one after the other in one buffer of `sampling.bytes(size)`.
    Planes(Sampling, Buffer),
    /// One whole baseline JPEG from SOI to EOI, as the camera made it.
    Jpeg(Buffer),
}

/// How the stored pixels are to be turned to be seen: rows become columns if `transposed`, then each row, each column is
/// reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Rows become columns.
    pub transposed: bool,
    /// Then left and right change places.
    pub flip_x: bool,
    /// Then top and bottom change places.
    pub flip_y: bool,
}

impl Turn {
    /// From an orientation as Exif numbers them, 1 to 8; other numbers say nothing.
    pub fn from_exif(orientation: u16) -> Self {
        let (transposed, flip_x, flip_y) = match orientation {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Turn { transposed, flip_x, flip_y }
    }

    /// None at all.
    pub const NONE: Turn = Turn { transposed: false, flip_x: false, flip_y: false };

    /// This one, and then another.
    pub fn then(self, next: Turn) -> Self {
        let (flip_x, flip_y) = if next.transposed { (self.flip_y, self.flip_x) } else { (self.flip_x, self.flip_y) };
        Turn { transposed: self.transposed ^ next.transposed, flip_x: flip_x ^ next.flip_x, flip_y: flip_y ^ next.flip_y }
    }

    /// The size of a picture of this size, turned.
    pub fn turned(self, size: Size) -> Size {
        if self.transposed { Size { width: size.height, height: size.width } } else { size }
    }

    /// Whether it cannot be done by turning alone.
    pub fn is_mirrored(self) -> bool {
        self.transposed ^ self.flip_x ^ self.flip_y
    }
}

/// How stored pixels become the picture that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Width to height of a stored pixel.
    pub aspect: (u32, u32),
    /// How it is turned, after its pixels were made square.
    pub turn: Turn,
}

impl View {
    /// Square pixels, upright.
    pub const PLAIN: View = View { aspect: (1, 1), turn: Turn::NONE };

    /// Neither side of a pixel is more times as long as the other in anything that was ever made; more is a mistake in a header.
    const MOST: u64 = 16;

    /// With this aspect of a pixel, or square ones where it says nothing sensible.
    pub fn with_aspect(self, (across, down): (u32, u32)) -> Self {
        let (wide, high) = (u64::from(across), u64::from(down));
        let sound = wide > 0 && high > 0 && wide <= high * Self::MOST && high <= wide * Self::MOST;
        let aspect = if sound && across != down { (across, down) } else { (1, 1) };
        View { aspect, ..self }
    }

    /// The size at which a picture stored at this size is seen. The side that grows is changed, so that nothing is lost.
    pub fn seen(self, stored: Size) -> Size {
        let (across, down) = self.aspect;
        let stretch = |length: u32, by: u32, of: u32| {
            let stretched = (u64::from(length) * u64::from(by) + u64::from(of) / 2) / u64::from(of.max(1));
            u32::try_from(stretched).unwrap_or(u32::MAX)
        };
        let square = if across >= down {
            Size { width: stretch(stored.width, across, down), ..stored }
        } else {
            Size { height: stretch(stored.height, down, across), ..stored }
        };
        self.turn.turned(square)
    }
}

/// One picture as a source gives it.
pub struct Picture {
    /// When the light was caught (the driver's stamp where there is one), on this machine's clock.
    pub captured: Instant,
    /// Size in pixels as stored; for a JPEG, what its frame header says.
    pub size: Size,
    /// How it is meant to be seen.
    pub view: View,
    /// Its time in its film, all passes of a loop counted; `None` of a live one. `captured` says when it was played, and moves
    /// later for all that follows where the player had to stand still.
    pub position: Option<Duration>,
    /// The MCUs in which it may differ from the picture before it of the same source; `None` where the source knows of none in
    /// which it does not. Who says so sees no noise: what was not drawn anew is the same to the bit.
    pub changed: Option<McuSet>,
    pub body: Body,
}

impl Picture {
    /// One that is to be seen as it is stored.
    pub fn new(captured: Instant, size: Size, body: Body) -> Self {
        Picture { captured, size, view: View::PLAIN, position: None, changed: None, body }
    }

    /// Upright, with square pixels.
    pub fn seen(&self) -> Size {
        self.view.seen(self.size)
    }
}

/// Bytes that go back to their [`BufferPool`] when dropped, so that a picture costs no allocation and no page faults.
pub struct Buffer {
    bytes: Vec<u8>,
    home: Option<BufferPool>,
}

impl std::ops::Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Buffer { bytes, home: None }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put_back(std::mem::take(&mut self.bytes));
        }
    }
}

/// Buffers waiting to be used again: at most [`BufferPool::SPARE`], more are freed.
#[derive(Clone, Default)]
pub struct BufferPool {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl BufferPool {
    /// A picture being captured, one in the slot, one being encoded, one more for an uneven moment.
    pub const SPARE: usize = 4;

    /// A larger one is freed: 7680x4320 at 4:2:0.
    const SPARE_BYTES: usize = 48 << 20;

    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `len` bytes with any content.
    pub fn take(&self, len: usize) -> Buffer {
        let mut bytes = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        bytes.resize(len, 0);
        Buffer { bytes, home: Some(self.clone()) }
    }

    fn put_back(&self, bytes: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < Self::SPARE && bytes.capacity() <= Self::SPARE_BYTES {
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_their_chroma_up() {
        let size = Size { width: 5, height: 3 };
        assert_eq!(Sampling::Yuv420.bytes(size), 15 + 2 * 3 * 2);
        assert_eq!(Sampling::Yuv422.bytes(size), 15 + 2 * 3 * 3);
        assert_eq!(Sampling::Yuv440.bytes(size), 15 + 2 * 5 * 2);
        assert_eq!(Sampling::Grey.bytes(size), 15);
    }

    #[test]
    fn pixels_become_square_and_pictures_upright() {
        let stored = Size { width: 720, height: 576 };
        let seen =
            |aspect, orientation| View { turn: Turn::from_exif(orientation), ..View::PLAIN.with_aspect(aspect) }.seen(stored);
        assert_eq!(seen((64, 45), 1), Size { width: 1024, height: 576 });
        assert_eq!(seen((64, 45), 6), Size { width: 576, height: 1024 });
        assert_eq!(seen((1, 2), 4), Size { width: 720, height: 1152 });
        for senseless in [(0, 0), (0, 1), (1, 0), (1000, 1), (1, u32::MAX)] {
            assert_eq!(seen(senseless, 99), stored, "{senseless:?}");
        }
    }

    #[test]
    fn half_of_the_orientations_are_mirrored() {
        let mirrored: Vec<u16> = (1..=8).filter(|&number| Turn::from_exif(number).is_mirrored()).collect();
        assert_eq!(mirrored, [2, 4, 5, 7]);
    }

    #[test]
    fn turns_one_after_the_other_are_one_turn() {
        let all = || (1..=8).map(Turn::from_exif);
        // Where the sample at the upper left of a picture of 3x2 comes to lie, and the one beside it.
        let places = |turn: Turn, from: Size, (x, y): (u32, u32)| {
            let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
            let size = turn.turned(from);
            (if turn.flip_x { size.width - 1 - x } else { x }, if turn.flip_y { size.height - 1 - y } else { y })
        };
        let size = Size { width: 3, height: 2 };
        for (first, second) in all().flat_map(|first| all().map(move |second| (first, second))) {
            let both = first.then(second);
            assert_eq!(both.turned(size), second.turned(first.turned(size)));
            for at in [(0, 0), (1, 0)] {
                let after = places(second, first.turned(size), places(first, size, at));
                assert_eq!(places(both, size, at), after, "{first:?} then {second:?}");
            }
        }
        let quarter = Turn::from_exif(6);
        assert_eq!(quarter.then(quarter).then(quarter).then(quarter), Turn::NONE);
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = BufferPool::new();
        let first = pool.take(1000).as_ptr();
        assert_eq!(pool.take(900).as_ptr(), first);
    }
}
