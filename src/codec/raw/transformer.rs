//! JPEG → JPEG turned, without decoding it: its coefficients change places and signs.

use super::{Error, Handle, Info, MAX_SIDE, Outcome, check_size, gave_up};
use eyeline_proto::picture::{Buffer, BufferPool, Sampling, Size, Turn};
use std::ffi::{c_int, c_uchar};
use turbojpeg::raw;

/// No MCU of a sampling of ours has a longer side; a picture of less has none that is whole.
const WHOLE: u32 = 16;

/// Room beyond this is given back after use: a JPEG of 4K has at most six bytes a pixel (`tj3JPEGBufSize`, in full colour).
const KEPT: usize = 3840 * 2160 * 6 + 2048;

/// What of a picture may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// What is beyond the whole MCUs of a side that comes to lie on the left or on top.
    Edges,
    /// Nothing: what would lose something is not turned.
    Nothing,
}

/// See the module text.
pub struct Transformer {
    handle: Handle,
    /// As long as a JPEG of the last picture's size can be.
    room: Vec<u8>,
}

impl Transformer {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let settings = [
            (raw::TJPARAM_TJPARAM_MAXPIXELS, (MAX_SIDE * MAX_SIDE) as c_int),
            (raw::TJPARAM_TJPARAM_SCANLIMIT, super::Decompressor::SCANS),
            (raw::TJPARAM_TJPARAM_NOREALLOC, 1),
            // A marker a row: it is cut into slices there.
            (raw::TJPARAM_TJPARAM_RESTARTROWS, 1),
        ];
        Ok(Transformer { handle: Handle::new(raw::TJINIT_TJINIT_TRANSFORM, &settings)?, room: Vec::new() })
    }

    /// A JPEG turned: its size, less what may be left out; itself, baseline with Annex K's Huffman tables; and whether its data was
    /// odd. Fails where it is not of a sampling of ours, too small, or would lose what it may not.
    pub fn turn(&mut self, jpeg: &[u8], turn: Turn, loss: Loss, buffers: &BufferPool) -> Result<(Size, Buffer, Outcome), Error> {
        let turned = self.try_turn(jpeg, turn, loss).map(|(size, len, outcome)| {
            let mut buffer = buffers.take(len);
            buffer.copy_from_slice(&self.room[..len]);
            (size, buffer, outcome)
        });
        // A picture that is merely refused had a good header, which leaves nothing behind.
        let is_clean = matches!(turned, Ok((.., Outcome::Clean)) | Err(Error::Sampling | Error::Edges(_) | Error::Limits(_)));
        if !is_clean {
            self.handle = Self::new()?.handle;
        }
        if self.room.len() > KEPT {
            self.room = Vec::new();
        }
        turned
    }

    fn try_turn(&mut self, jpeg: &[u8], turn: Turn, loss: Loss) -> Result<(Size, usize, Outcome), Error> {
        let Info { size, sampling, ycbcr } = self.handle.header(jpeg)?;
        check_size(size)?;
        let ours = sampling.filter(|sampling| ycbcr || *sampling == Sampling::Grey);
        let Some(ours) = ours.filter(|_| size.width >= WHOLE && size.height >= WHOLE) else { return Err(Error::Sampling) };
        if loss == Loss::Nothing && loses(size, ours, turn) {
            return Err(Error::Edges(size));
        }
        // Whatever it is coded like, it comes out baseline.
        for param in [raw::TJPARAM_TJPARAM_PROGRESSIVE, raw::TJPARAM_TJPARAM_ARITHMETIC, raw::TJPARAM_TJPARAM_OPTIMIZE] {
            self.handle.set(param, 0)?;
        }
        let transform = raw::tjtransform {
            r: raw::tjregion { x: 0, y: 0, w: 0, h: 0 },
            op: operation(turn) as c_int,
            options: (raw::TJXOPT_TRIM | raw::TJXOPT_COPYNONE) as c_int,
            data: std::ptr::null_mut(),
            customFilter: None,
        };
        // SAFETY: the handle and the transform are alive; 0 where the library cannot say.
        let needed = unsafe { raw::tj3TransformBufSize(self.handle.as_ptr(), &transform) } as usize;
        if needed == 0 {
            return Err(self.handle.error());
        }
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
        let (mut buffer, room): (*mut c_uchar, _) = (self.room.as_mut_ptr(), self.room.len() as raw::size_t);
        let mut len = room;
        // SAFETY: reads at most `jpeg.len()` bytes of the JPEG, and the one transform; with NOREALLOC it writes at most `len` bytes at
        // `buffer`. The addresses of these two it keeps, and sets anew before it uses them.
        let code = unsafe {
            raw::tj3Transform(
                self.handle.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as raw::size_t,
                1,
                &mut buffer,
                &mut len,
                &transform,
            )
        };
        let outcome = self.handle.outcome(code)?;
        // The library says the same of a mere warning and of giving up after one, and then it does not say how long the JPEG is.
        if len >= room {
            return Err(gave_up());
        }
        let turned = self.handle.header(&self.room[..len as usize])?;
        Ok((turned.size, len as usize, outcome))
    }
}

/// Whether a side that comes to lie on the left or on top is no whole number of MCUs.
fn loses(size: Size, sampling: Sampling, turn: Turn) -> bool {
    let (columns, rows) = if turn.transposed { (turn.flip_y, turn.flip_x) } else { (turn.flip_x, turn.flip_y) };
    let mcu = sampling.mcu();
    (columns && !size.width.is_multiple_of(mcu.width)) || (rows && !size.height.is_multiple_of(mcu.height))
}

fn operation(turn: Turn) -> raw::TJXOP {
    match (turn.transposed, turn.flip_x, turn.flip_y) {
        (false, false, false) => raw::TJXOP_TJXOP_NONE,
        (false, true, false) => raw::TJXOP_TJXOP_HFLIP,
        (false, false, true) => raw::TJXOP_TJXOP_VFLIP,
        (false, true, true) => raw::TJXOP_TJXOP_ROT180,
        (true, false, false) => raw::TJXOP_TJXOP_TRANSPOSE,
        (true, true, false) => raw::TJXOP_TJXOP_ROT90,
        (true, false, true) => raw::TJXOP_TJXOP_ROT270,
        (true, true, true) => raw::TJXOP_TJXOP_TRANSVERSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{self, camera_jpeg};

    #[test]
    fn the_handle_is_made_anew_after_broken_data_and_not_after_a_picture_that_is_refused() {
        let mut transformer = Transformer::new().unwrap();
        let jpeg = |width, height| {
            let size = Size { width, height };
            camera_jpeg(&testing::planes(size, Sampling::Grey, 3), size, Sampling::Grey, 50, 0)
        };
        let mut is_renewed = |jpeg: &[u8]| {
            let before = transformer.handle.as_ptr();
            let turned = transformer.turn(jpeg, Turn::from_exif(3), Loss::Nothing, &BufferPool::new());
            (turned.map(drop).err(), transformer.handle.as_ptr() != before)
        };
        let edges = Size { width: 65, height: 64 };
        assert_eq!(is_renewed(&jpeg(8, 8)), (Some(Error::Sampling), false));
        assert_eq!(is_renewed(&jpeg(65, 64)), (Some(Error::Edges(edges)), false));
        assert_eq!(is_renewed(&jpeg(64, 64)), (None, false));
        let whole = jpeg(64, 64);
        assert!(matches!(is_renewed(&whole[..20]), (Some(Error::Fatal(_)), true)));
    }

    #[test]
    fn a_large_jpeg_leaves_no_room_behind_and_one_of_4k_does() {
        let mut transformer = Transformer::new().unwrap();
        for (size, kept) in [((3840, 2160), true), ((8192, 4096), false), ((64, 64), true)] {
            let size = Size { width: size.0, height: size.1 };
            let jpeg = camera_jpeg(&testing::planes(size, Sampling::Grey, 3), size, Sampling::Grey, 50, 0);
            let turned = transformer.turn(&jpeg, Turn::from_exif(3), Loss::Edges, &BufferPool::new()).unwrap();
            assert_eq!((turned.0, transformer.room.capacity() > 0), (size, kept));
            assert!(transformer.room.capacity() <= KEPT);
        }
    }
}
