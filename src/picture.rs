//! A captured picture on its way from a source to the encoder: planar YUV, or the JPEG a camera made.
//!
//! Planes are full-range BT.601 (what JPEG means by YCbCr; JFIF 1.02), top row first, each row tight. Sources convert to
//! that; nothing after them asks for range or matrix again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
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
}

impl Sampling {
    /// The size of the two colour planes for a luma plane of `size`, rounded up for odd sizes; `None` where there are none.
    pub fn chroma(self, size: Size) -> Option<Size> {
        match self {
            Sampling::Grey => None,
            Sampling::Yuv420 => Some(Size { width: size.width.div_ceil(2), height: size.height.div_ceil(2) }),
            Sampling::Yuv422 => Some(Size { width: size.width.div_ceil(2), height: size.height }),
            Sampling::Yuv444 => Some(size),
        }
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

/// One picture as a source gives it.
pub struct Picture {
    /// When the light was caught (the driver's stamp where there is one), on this machine's clock.
    pub captured: Instant,
    /// Size in pixels; for a JPEG, what its frame header says.
    pub size: Size,
    /// The pixels.
    pub body: Body,
}

/// Bytes that go back to their [`Pool`] when dropped, so that a picture costs no allocation and no page faults.
pub struct Buffer {
    bytes: Vec<u8>,
    home: Option<Pool>,
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

/// Buffers waiting to be used again: at most [`Pool::SPARE`], more are freed.
#[derive(Clone, Default)]
pub struct Pool {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// A picture being captured, one in the slot, one being encoded, one more for an uneven moment.
    pub const SPARE: usize = 4;

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
        if spare.len() < Self::SPARE {
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
        assert_eq!(Sampling::Grey.bytes(size), 15);
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = Pool::new();
        let first = pool.take(1000).as_ptr();
        assert_eq!(pool.take(900).as_ptr(), first);
    }
}
