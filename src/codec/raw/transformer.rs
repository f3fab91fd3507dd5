//! JPEG → JPEG turned, without decoding it: its coefficients change places and signs.

use super::{Error, Handle, Info, MAX_SIDE, Outcome, check_size, gave_up};
use eyeline_proto::picture::{Sampling, Size, Turn};
use std::ffi::{c_int, c_uchar};
use turbojpeg::raw;

/// No MCU of a sampling of ours has a longer side; a picture of less has none that is whole.
const WHOLE: u32 = 16;

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

    /// A JPEG turned: its size, less what is beyond the whole MCUs of a side that comes to lie on the left or on top; itself, baseline
    /// with Annex K's Huffman tables; and whether its data was odd. Fails where it is not of a sampling of ours, or too small.
    pub fn turn(&mut self, jpeg: &[u8], turn: Turn) -> Result<(Size, &[u8], Outcome), Error> {
        match self.try_turn(jpeg, turn) {
            Ok((size, len, outcome)) => {
                if outcome == Outcome::Warned {
                    self.handle = Self::new()?.handle;
                }
                Ok((size, &self.room[..len], outcome))
            }
            Err(error) => {
                self.handle = Self::new()?.handle;
                Err(error)
            }
        }
    }

    fn try_turn(&mut self, jpeg: &[u8], turn: Turn) -> Result<(Size, usize, Outcome), Error> {
        let Info { size, sampling, ycbcr } = self.handle.header(jpeg)?;
        check_size(size)?;
        let ours = sampling.filter(|sampling| ycbcr || *sampling == Sampling::Grey);
        if ours.is_none() || size.width < WHOLE || size.height < WHOLE {
            return Err(Error::Sampling);
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
