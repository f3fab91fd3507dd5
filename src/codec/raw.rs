//! The one place that talks to libjpeg-turbo: a safe, thin cover over `turbojpeg::raw::tj3*`.
//!
//! The crate's own safe API hides what live pictures need: restart markers, whether an error was a mere warning, and limits. Every
//! call here checks first that the buffers hold what the library will touch, so no bytes can make it write elsewhere. A
//! decompressor that has met any error is replaced: libjpeg keeps state of a broken header and would refuse good pictures after it.

#![allow(unsafe_code)]

pub mod transformer;

use super::shrink::Shrink;
use eyeline_proto::picture::{MAX_SIDE, Sampling, Size};
use eyeline_proto::wire::slice::LONGEST_ROW;
use std::ffi::{CStr, c_int, c_uchar, c_uint};
use std::ptr::NonNull;
use turbojpeg::raw;

/// Why the library could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The library's own words.
    #[error("libjpeg-turbo gave up: {0}")]
    Fatal(String),
    /// A buffer is smaller than the picture in it would be.
    #[error("a {what} buffer of {len} is too small, {needed} are needed")]
    Room {
        what: &'static str,
        /// What was given, in elements.
        len: usize,
        /// What it takes.
        needed: usize,
    },
    /// The JPEG's header does not say what it was said to say.
    #[error("the JPEG is {found}, not {expected} as announced: drop it")]
    Size {
        /// What its header says.
        found: Size,
        /// What was announced.
        expected: Size,
    },
    /// A side of 0 or more than [`MAX_SIDE`].
    #[error("a picture of {0} cannot be handled: each side has 1 to {MAX_SIDE} pixels")]
    Limits(Size),
    /// The JPEG's colour sampling is not what it was said to be.
    #[error("the JPEG's colours are not sampled as announced: drop it")]
    Sampling,
    /// Turned as it is, it would lose some of its edges.
    #[error("a JPEG of {0} has sides of no whole MCUs, which cannot be turned without loss: decode it")]
    Edges(Size),
}

/// How a decode that gave pixels went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Clean,
    /// The data was cut or odd: some pixels may be wrong, but all are of this picture.
    Warned,
}

/// Three planes (Y, Cb, Cr; the last two unused for grey) and the distance between their rows.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Samples, from the first row wanted on.
    pub planes: [&'a [u8]; 3],
    /// Samples from one row to the next.
    pub strides: [usize; 3],
}

/// As [`Planes`], to be written.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Samples, from the first row wanted on.
    pub planes: [&'a mut [u8]; 3],
    /// Samples from one row to the next.
    pub strides: [usize; 3],
}

/// The width and height of the planes as the library reads and writes them: luma is rounded up to whole chroma samples.
pub fn plane_sizes(sampling: Sampling, size: Size) -> [Size; 3] {
    let none = Size { width: 0, height: 0 };
    let even = |side: u32| side.next_multiple_of(2);
    let luma = match sampling {
        Sampling::Grey | Sampling::Yuv444 => size,
        Sampling::Yuv420 => Size { width: even(size.width), height: even(size.height) },
        Sampling::Yuv422 => Size { width: even(size.width), height: size.height },
        Sampling::Yuv440 => Size { width: size.width, height: even(size.height) },
    };
    let chroma = sampling.chroma(size).unwrap_or(none);
    [luma, chroma, chroma]
}

/// The pixel layout that makes a native-endian word `0x00RRGGBB` (the top byte is not meaningful; the library writes 0xFF).
const WORD: raw::TJPF = if cfg!(target_endian = "little") { raw::TJPF_TJPF_BGRX } else { raw::TJPF_TJPF_XRGB };

fn subsamp(sampling: Sampling) -> c_int {
    match sampling {
        Sampling::Grey => raw::TJSAMP_TJSAMP_GRAY,
        Sampling::Yuv420 => raw::TJSAMP_TJSAMP_420,
        Sampling::Yuv422 => raw::TJSAMP_TJSAMP_422,
        Sampling::Yuv444 => raw::TJSAMP_TJSAMP_444,
        Sampling::Yuv440 => raw::TJSAMP_TJSAMP_440,
    }
}

/// Every plane must reach to the end of its last row.
fn check_rows(sampling: Sampling, size: Size, lens: [usize; 3], strides: [usize; 3]) -> Result<(), Error> {
    const NAMES: [&str; 3] = ["luma", "Cb", "Cr"];
    for (index, plane) in plane_sizes(sampling, size).into_iter().enumerate() {
        let (width, height) = (plane.width as usize, plane.height as usize);
        if height == 0 {
            continue;
        }
        let needed = strides[index].checked_mul(height - 1).and_then(|rows| rows.checked_add(width)).unwrap_or(usize::MAX);
        if strides[index] < width || strides[index] > c_int::MAX as usize || lens[index] < needed {
            return Err(Error::Room { what: NAMES[index], len: lens[index], needed });
        }
    }
    Ok(())
}

fn check_size(size: Size) -> Result<(), Error> {
    if size.is_possible() { Ok(()) } else { Err(Error::Limits(size)) }
}

/// A picture, or packed MCUs side by side, which may be a longer row than any picture has.
fn check_drawn(size: Size) -> Result<(), Error> {
    let is_row = (1..=16).contains(&size.height) && (1..=LONGEST_ROW).contains(&size.width);
    if is_row { Ok(()) } else { check_size(size) }
}

/// After a warning; the library's words may be either's.
fn gave_up() -> Error {
    Error::Fatal("its data is broken, and the rest of it makes no sense".into())
}

/// An owned `tjhandle`.
struct Handle(NonNull<std::ffi::c_void>);

// SAFETY: a handle is a heap object without thread affinity; the library keeps no thread-local state but what the processor can do,
// found anew on each thread, and its last message, which is read on the thread and right after the call that wrote it.
unsafe impl Send for Handle {}

impl Handle {
    fn new(kind: raw::TJINIT, settings: &[(raw::TJPARAM, c_int)]) -> Result<Handle, Error> {
        // SAFETY: takes a plain number and gives a handle or null.
        let handle = unsafe { raw::tj3Init(kind as c_int) };
        let handle = Handle(NonNull::new(handle).ok_or_else(|| Error::Fatal("out of memory".into()))?);
        for (param, value) in settings {
            handle.set(*param, *value)?;
        }
        Ok(handle)
    }

    fn as_ptr(&self) -> raw::tjhandle {
        self.0.as_ptr()
    }

    fn set(&self, param: raw::TJPARAM, value: c_int) -> Result<(), Error> {
        // SAFETY: the handle is alive; the library checks parameter and value.
        match unsafe { raw::tj3Set(self.as_ptr(), param as c_int, value) } {
            0 => Ok(()),
            _ => Err(self.error()),
        }
    }

    fn param(&self, param: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is alive; the library checks the parameter.
        unsafe { raw::tj3Get(self.as_ptr(), param as c_int) }
    }

    /// Reads the header.
    fn header(&self, jpeg: &[u8]) -> Result<Info, Error> {
        // SAFETY: reads at most `len` bytes at the pointer, which it keeps and sets anew before the next read. Of tables without a
        // picture it says the size of the picture before; whoever decodes them is told that there is no picture.
        let code = unsafe { raw::tj3DecompressHeader(self.as_ptr(), jpeg.as_ptr(), jpeg.len() as raw::size_t) };
        if code != 0 {
            return Err(self.error());
        }
        let side = |param| u32::try_from(self.param(param)).unwrap_or(0);
        let size = Size { width: side(raw::TJPARAM_TJPARAM_JPEGWIDTH), height: side(raw::TJPARAM_TJPARAM_JPEGHEIGHT) };
        let found = self.param(raw::TJPARAM_TJPARAM_SUBSAMP);
        let ours = [Sampling::Grey, Sampling::Yuv420, Sampling::Yuv422, Sampling::Yuv444, Sampling::Yuv440];
        let sampling = ours.into_iter().find(|sampling| subsamp(*sampling) == found);
        let ycbcr = self.param(raw::TJPARAM_TJPARAM_COLORSPACE) == raw::TJCS_TJCS_YCbCr as c_int;
        Ok(Info { size, sampling, ycbcr })
    }

    fn error(&self) -> Error {
        // SAFETY: the handle is alive; the message is a NUL-terminated string that stays until the next call on this thread.
        let text = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.as_ptr())) };
        Error::Fatal(text.to_string_lossy().into_owned())
    }

    /// What a call's return code meant.
    fn outcome(&self, code: c_int) -> Result<Outcome, Error> {
        if code == 0 {
            return Ok(Outcome::Clean);
        }
        // SAFETY: the handle is alive.
        let severity = unsafe { raw::tj3GetErrorCode(self.as_ptr()) };
        if severity as c_uint == raw::TJERR_TJERR_WARNING { Ok(Outcome::Warned) } else { Err(self.error()) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after.
        unsafe { raw::tj3Destroy(self.as_ptr()) }
    }
}

/// Planes → baseline JPEG with Annex K tables and restart markers.
pub struct Compressor {
    handle: Handle,
    set: Option<(Sampling, u8, u16)>,
}

impl Compressor {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let settings = [(raw::TJPARAM_TJPARAM_NOREALLOC, 1)];
        Ok(Compressor { handle: Handle::new(raw::TJINIT_TJINIT_COMPRESS, &settings)?, set: None })
    }

    /// The longest JPEG that a picture can become.
    pub fn bound(size: Size, sampling: Sampling) -> usize {
        // SAFETY: takes plain numbers; 0 for an impossible size.
        unsafe { raw::tj3JPEGBufSize(size.width as c_int, size.height as c_int, subsamp(sampling)) as usize }
    }

    fn set(&mut self, sampling: Sampling, quality: u8, restart: u16) -> Result<(), Error> {
        if self.set != Some((sampling, quality, restart)) {
            self.set = None;
            self.handle.set(raw::TJPARAM_TJPARAM_RESTARTBLOCKS, c_int::from(restart))?;
            self.handle.set(raw::TJPARAM_TJPARAM_SUBSAMP, subsamp(sampling))?;
            self.handle.set(raw::TJPARAM_TJPARAM_QUALITY, c_int::from(quality))?;
            self.set = Some((sampling, quality, restart));
        }
        Ok(())
    }

    /// Compresses `size` pixels into `out`, of at least [`Compressor::bound`] bytes, and says how many were written. The planes are
    /// [`plane_sizes`] large. `restart`: MCUs between two restart markers, 0 for none.
    pub fn compress(
        &mut self,
        planes: Planes<'_>,
        sampling: Sampling,
        size: Size,
        quality: u8,
        restart: u16,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        check_drawn(size)?;
        check_rows(sampling, size, planes.planes.map(<[u8]>::len), planes.strides)?;
        let needed = Self::bound(size, sampling);
        if out.len() < needed {
            return Err(Error::Room { what: "JPEG", len: out.len(), needed });
        }
        self.set(sampling, quality, restart)?;
        let sources = planes.planes.map(<[u8]>::as_ptr);
        let strides = planes.strides.map(|stride| stride as c_int);
        let mut buffer: *mut c_uchar = out.as_mut_ptr();
        let mut len = out.len() as raw::size_t;
        // SAFETY: each source has the rows of `plane_sizes` at its stride (checked above), which is what the library reads; with
        // NOREALLOC it writes at most `len` bytes at `buffer`. The addresses of these two it keeps, and sets anew before it uses them.
        let code = unsafe {
            raw::tj3CompressFromYUVPlanes8(
                self.handle.as_ptr(),
                sources.as_ptr(),
                size.width as c_int,
                strides.as_ptr(),
                size.height as c_int,
                &mut buffer,
                &mut len,
            )
        };
        if code != 0 { Err(self.handle.error()) } else { Ok(len as usize) }
    }

    /// Words `0x00RRGGBB` (tight rows) → full-range BT.601 planes 4:4:4 (tight rows, Y then Cb then Cr).
    pub fn planes_from_rgb(&mut self, rgb: &[u32], size: Size, out: &mut [u8]) -> Result<(), Error> {
        check_size(size)?;
        let area = size.width as usize * size.height as usize;
        if rgb.len() < area {
            return Err(Error::Room { what: "RGB", len: rgb.len(), needed: area });
        }
        if out.len() < 3 * area {
            return Err(Error::Room { what: "plane", len: out.len(), needed: 3 * area });
        }
        self.set(Sampling::Yuv444, 100, 0)?;
        let (luma, rest) = out.split_at_mut(area);
        let (cb, cr) = rest.split_at_mut(area);
        let mut planes = [luma.as_mut_ptr(), cb.as_mut_ptr(), cr.as_mut_ptr()];
        let mut strides = [size.width as c_int; 3];
        // SAFETY: `rgb` holds `area` words of 4 bytes and each plane `area` bytes, both in tight rows; 4:4:4 pads nothing.
        let code = unsafe {
            raw::tj3EncodeYUVPlanes8(
                self.handle.as_ptr(),
                rgb.as_ptr().cast(),
                size.width as c_int,
                0,
                size.height as c_int,
                WORD as c_int,
                planes.as_mut_ptr(),
                strides.as_mut_ptr(),
            )
        };
        if code != 0 { Err(self.handle.error()) } else { Ok(()) }
    }
}

/// What a JPEG's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    pub size: Size,
    /// Its sampling, where it is one of ours.
    pub sampling: Option<Sampling>,
    /// Whether its three components are luma and two colour differences.
    pub ycbcr: bool,
}

/// JPEG → words or planes.
pub struct Decompressor {
    handle: Handle,
    shrink: Shrink,
}

impl Decompressor {
    /// More scans than any still camera's progressive picture has; each costs a pass over the picture.
    const SCANS: c_int = 100;

    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let pixels = (MAX_SIDE * MAX_SIDE) as c_int;
        let settings = [
            (raw::TJPARAM_TJPARAM_MAXPIXELS, pixels),
            (raw::TJPARAM_TJPARAM_SCANLIMIT, Self::SCANS),
            (raw::TJPARAM_TJPARAM_SAVEMARKERS, 0),
            // Colour repeated instead of interpolated, in one pass with the conversion to words: a seventh of the time for 0.1 dB.
            (raw::TJPARAM_TJPARAM_FASTUPSAMPLE, 1),
        ];
        Ok(Decompressor { handle: Handle::new(raw::TJINIT_TJINIT_DECOMPRESS, &settings)?, shrink: Shrink::Whole })
    }

    /// Reads the header. Fails where it is not one of a picture of at most [`MAX_SIDE`]².
    pub fn info(&mut self, jpeg: &[u8]) -> Result<Info, Error> {
        let info = self.header(jpeg)?;
        check_size(info.size)?;
        Ok(info)
    }

    fn header(&mut self, jpeg: &[u8]) -> Result<Info, Error> {
        match self.handle.header(jpeg) {
            Ok(info) => Ok(info),
            Err(error) => {
                *self = Self::new()?;
                Err(error)
            }
        }
    }

    fn expect(&mut self, jpeg: &[u8], expected: Size) -> Result<Info, Error> {
        let info = self.header(jpeg)?;
        if info.size == expected { Ok(info) } else { Err(Error::Size { found: info.size, expected }) }
    }

    fn finish(&mut self, code: c_int) -> Result<Outcome, Error> {
        let outcome = self.handle.outcome(code);
        if code != 0 {
            *self = Self::new()?;
        }
        outcome
    }

    fn set_shrink(&mut self, shrink: Shrink) -> Result<(), Error> {
        if self.shrink != shrink {
            let factor = raw::tjscalingfactor { num: 1, denom: shrink.divisor() as c_int };
            // SAFETY: the handle is alive; the library checks the factor, and has these four.
            if unsafe { raw::tj3SetScalingFactor(self.handle.as_ptr(), factor) } != 0 {
                return Err(self.handle.error());
            }
            self.shrink = shrink;
        }
        Ok(())
    }

    /// Decodes a JPEG of `size`, made smaller by `shrink`, into words `0x00RRGGBB`, rows `stride` words apart.
    pub fn rgb(&mut self, jpeg: &[u8], (size, shrink): (Size, Shrink), out: &mut [u32], stride: usize) -> Result<Outcome, Error> {
        check_drawn(size)?;
        let seen = shrink.size(size);
        let needed = stride.saturating_mul(seen.height as usize - 1).saturating_add(seen.width as usize);
        if out.len() < needed || stride < seen.width as usize || stride > c_int::MAX as usize / 4 {
            return Err(Error::Room { what: "pixel", len: out.len(), needed });
        }
        self.expect(jpeg, size)?;
        self.set_shrink(shrink)?;
        // The library says the same of a mere warning and of giving up after one, and then the rest is what was in the buffer before. It
        // sets the top byte of every word it writes, the last one of the last row at the end.
        let last = needed - 1;
        let before = std::mem::replace(&mut out[last], 0);
        // SAFETY: the header of these very bytes says `size`, and `out` holds the rows of `stride` words that a picture of `size`
        // has at this scale, rounded up as the library does (both checked above), so the library, which parses the same header
        // again, stays inside; it reads at most `len` bytes of the JPEG.
        let code = unsafe {
            raw::tj3Decompress8(
                self.handle.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as raw::size_t,
                out.as_mut_ptr().cast(),
                (stride * 4) as c_int,
                WORD as c_int,
            )
        };
        let outcome = match self.finish(code) {
            Ok(Outcome::Warned) if out[last] == 0 => Err(gave_up()),
            outcome => outcome,
        };
        if outcome.is_err() && out[last] == 0 {
            out[last] = before;
        }
        outcome
    }

    /// Decodes a JPEG of `size` into planes of [`plane_sizes`].
    pub fn planes(&mut self, jpeg: &[u8], sampling: Sampling, size: Size, out: PlanesMut<'_>) -> Result<Outcome, Error> {
        check_drawn(size)?;
        check_rows(sampling, size, out.planes.each_ref().map(|plane| plane.len()), out.strides)?;
        if self.expect(jpeg, size)?.sampling != Some(sampling) {
            return Err(Error::Sampling);
        }
        self.set_shrink(Shrink::Whole)?;
        let mut strides = out.strides.map(|stride| stride as c_int);
        let luma = plane_sizes(sampling, size)[0];
        let last = out.strides[0] * (luma.height as usize - 1) + luma.width as usize - 1;
        let [y, cb, cr] = out.planes;
        let before = y[last];
        // As in `rgb`, but a sample may well be what was put there: twice it cannot be, for the same bytes give the same picture.
        for mark in [0x55, 0xAA] {
            y[last] = mark;
            let mut planes = [y.as_mut_ptr(), cb.as_mut_ptr(), cr.as_mut_ptr()];
            // SAFETY: the header of these very bytes says `size` and `sampling`, and the planes hold the rows of `plane_sizes` for
            // them (all checked above), which is what the library writes; it reads at most `len` bytes of the JPEG.
            let code = unsafe {
                raw::tj3DecompressToYUVPlanes8(
                    self.handle.as_ptr(),
                    jpeg.as_ptr(),
                    jpeg.len() as raw::size_t,
                    planes.as_mut_ptr(),
                    strides.as_mut_ptr(),
                )
            };
            let outcome = self.finish(code);
            if outcome == Ok(Outcome::Clean) || y[last] != mark {
                return outcome;
            }
            y[last] = before;
            outcome?;
        }
        Err(gave_up())
    }
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
