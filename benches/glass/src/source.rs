//! The live source: pictures on a pipe in real time, like a camera. One that cannot be written on time is dropped, never queued.

use crate::clock::{now_us, sharpen_timers, sleep_until};
use crate::code::Mark;
use crate::piece::Piece;
use crate::scene::Shape;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

const FRAME_WORD: &[u8] = b"FRAME\n";

/// A quarter of a megabyte: the pipe itself must not become a queue of pictures. A reader may ask for more.
const PIPE: i32 = 256 * 1024;

/// The quality of the JPEGs a camera would make, and of every peer.
pub const QUALITY: i32 = 80;

/// How pictures are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YUV4MPEG2, 4:2:0.
    Y4m,
    /// Whole JPEGs, encoded ahead, as a camera with an encoder of its own gives them.
    Jpegs,
}

/// What went out.
#[derive(Debug, Default, Clone, Copy)]
pub struct Written {
    /// Pictures.
    pub emitted: u64,
    /// Pictures not written because the reader was still at an earlier one.
    pub dropped: u64,
}

/// Writes the loop of `frames` of a piece at `fps` until `stop` or the reader goes away.
pub fn run(
    piece: &impl Piece,
    frames: &mut [Vec<u8>],
    fps: u64,
    format: Format,
    mut out: File,
    stop: &AtomicBool,
) -> Result<Written, String> {
    let shape = piece.shape();
    let mut jpeg = JpegSource::new(shape)?;
    sharpen_timers();
    // SAFETY: a descriptor we own and a number.
    unsafe { libc::fcntl(out.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) };
    let Shape { width, height, .. } = shape;
    let mut written = Written::default();
    if format == Format::Y4m {
        let header = format!("YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n");
        if out.write_all(header.as_bytes()).is_err() {
            return Ok(written);
        }
    }
    let start = now_us() + 20_000;
    let due = |tick: u64| start + tick * 1_000_000 / fps;
    let mut tick = 0;
    let mut y4m = FRAME_WORD.to_vec();
    while !stop.load(Ordering::Relaxed) {
        let id = tick as u16;
        let frame = &mut frames[tick as usize % shape.frames];
        let payload: &[u8] = match format {
            Format::Jpegs => {
                piece.mark(&mut frame[..shape.luma_len()], Mark { emit_us: due(tick), id });
                jpeg.encode(frame)?;
                sleep_until(due(tick));
                &jpeg.buffer
            }
            Format::Y4m => {
                y4m.truncate(FRAME_WORD.len());
                y4m.extend_from_slice(frame);
                sleep_until(due(tick));
                let mark = Mark { emit_us: now_us(), id };
                piece.mark(&mut y4m[FRAME_WORD.len()..][..shape.luma_len()], mark);
                &y4m
            }
        };
        if out.write_all(payload).is_err() {
            break;
        }
        written.emitted += 1;
        tick += 1;
        while now_us() > due(tick + 1) {
            tick += 1;
            written.dropped += 1;
        }
    }
    Ok(written)
}

struct JpegSource {
    compressor: turbojpeg::Compressor,
    shape: Shape,
    buffer: Vec<u8>,
}

impl JpegSource {
    fn new(shape: Shape) -> Result<JpegSource, String> {
        let mut compressor = turbojpeg::Compressor::new().map_err(|e| e.to_string())?;
        compressor.set_quality(QUALITY).map_err(|e| e.to_string())?;
        Ok(JpegSource { compressor, shape, buffer: Vec::new() })
    }

    fn encode(&mut self, i420: &[u8]) -> Result<(), String> {
        let Shape { width, height, .. } = self.shape;
        let image = turbojpeg::YuvImage { pixels: i420, width, align: 1, height, subsamp: turbojpeg::Subsamp::Sub2x2 };
        self.buffer = self.compressor.compress_yuv_to_vec(image).map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// Mean bytes of the pictures as plain whole JPEGs: what Eyeline's payload is compared with.
pub fn plain_jpeg_bytes(shape: Shape, frames: &[Vec<u8>]) -> Result<f64, String> {
    let mut jpeg = JpegSource::new(shape)?;
    let mut bytes = 0;
    for frame in frames {
        jpeg.encode(frame)?;
        bytes += jpeg.buffer.len();
    }
    Ok(bytes as f64 / frames.len() as f64)
}
