//! Live pictures on stdin: y4m (8 bit), or baseline JPEGs one after the other, with or without the heads of a multipart stream
//! (`multipart/x-mixed-replace`) between them. What they are is seen from their first bytes.
//!
//! Live means: each picture is stamped when its first byte arrived, and is given on as soon as its last one has; the writer sets
//! the pace. There is no sound. A y4m picture is read straight into a pooled buffer, and widened to full range part by part while
//! the rest still comes.

mod companions;
mod header;
mod input;
mod jpeg_notes;
pub mod jpegs;
mod left_out;
mod range;

use std::io::{IsTerminal, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use tracing::{info, warn};

use self::companions::Companions;
use self::input::{Input, Stop};
use self::jpegs::{MAX_PICTURE, Step, Walker};
use self::left_out::{LeftOut, Why};
use crate::slot::Slot;
use crate::threads::lock;
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, View};
use eyeline_proto::rate::Rate;

/// Enough for most pictures of a stream of JPEGs; grows for larger ones.
const CHUNK: usize = 256 << 10;

/// Line ends, or the head of an HTTP answer or of its first part, before the first JPEG.
const PREAMBLES: [&[u8]; 6] = [b"\r", b"\n", b" ", b"--", b"HTTP/", b"Content-"];

/// Why stdin gives no pictures.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody pipes anything in.
    #[error(
        "stdin is a terminal; `--file -` takes y4m or JPEGs from a pipe, as from: ffmpeg ... -f yuv4mpegpipe - | send --file -"
    )]
    Terminal,
    /// The input ended before it began.
    #[error("nothing came on stdin; does the program before the pipe run?")]
    Nothing,
    /// Neither y4m nor JPEG.
    #[error(
        "what comes on stdin is neither y4m nor JPEGs; let ffmpeg write `-f yuv4mpegpipe` or `-f mjpeg` (a film: --file FILM)"
    )]
    Unknown,
    /// A y4m header that cannot be.
    #[error("the y4m header on stdin is wrong: {0}")]
    Header(String),
    /// More than 8 bit, or a sampling JPEG does not have.
    #[error(
        "y4m pictures of kind C{0} are not taken; convert them with `-pix_fmt yuv420p` (C420, C422, C444 and Cmono of 8 bit are)"
    )]
    Colour(String),
    /// No FRAME where one was due.
    #[error("the y4m stream on stdin lost its step: no FRAME where picture {0} should begin")]
    Step(u64),
    /// Progressive and the like.
    #[error(
        "the JPEGs on stdin are {0}; baseline ones of at most 8192x8192 are taken: let ffmpeg convert them, \
         `-f mjpeg -pix_fmt yuvj420p`"
    )]
    Jpeg(&'static str),
    /// It began like pictures, and had none.
    #[error("there was not one whole picture on stdin; what comes must be y4m or JPEGs")]
    NoPicture,
    /// The system says so.
    #[error("cannot read stdin: {0}")]
    Read(String),
}

/// Pictures from a pipe. Dropping it ends its thread at once, even where the pipe is silent, and closes the slot.
pub struct Live {
    reading: Arc<Reading>,
    /// Closed to stop the thread.
    tell: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// What a y4m header says.
pub struct Stated(Arc<Reading>);

impl Stated {
    /// The nominal rate.
    pub fn rate(&self) -> Option<Rate> {
        self.0.rate.get().copied()
    }
}

struct Reading {
    pictures: Arc<Slot<Picture>>,
    rate: OnceLock<Rate>,
    /// JPEGs that were left out.
    left_out: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Live {
    /// From this process's stdin; refuses a terminal.
    pub fn stdin(pictures: Arc<Slot<Picture>>) -> Result<Live, Error> {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            return Err(Error::Terminal);
        }
        let fd = stdin.as_fd().try_clone_to_owned().map_err(|error| Error::Read(error.to_string()))?;
        Self::open(fd, pictures)
    }

    /// From any pipe. The slot should be [`Slot::newest`]; it is closed at the end.
    pub fn open(input: OwnedFd, pictures: Arc<Slot<Picture>>) -> Result<Live, Error> {
        let failed = |error: std::io::Error| Error::Read(error.to_string());
        let (told, tell) = std::io::pipe().map_err(failed)?;
        let reading =
            Arc::new(Reading { pictures, rate: OnceLock::new(), left_out: AtomicU64::new(0), failure: Mutex::default() });
        let input = Input::new(input, told);
        let thread = {
            let reading = reading.clone();
            std::thread::Builder::new().name("stdin".into()).spawn(move || reading.run(input)).map_err(failed)?
        };
        Ok(Live { reading, tell: Some(tell), thread: Some(thread) })
    }

    /// What the stream says of itself, once it has.
    pub fn header(&self) -> Stated {
        Stated(self.reading.clone())
    }

    /// JPEGs that were left out: damaged ones, and such of a kind that is not taken.
    pub fn left_out(&self) -> u64 {
        self.reading.left_out.load(Ordering::Relaxed)
    }

    /// Why it ended, if neither at the end of its input nor because it was told to.
    pub fn failed(&self) -> Option<Error> {
        lock(&self.reading.failure).clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tell.take();
        self.reading.pictures.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How reading ended.
enum End {
    /// The input did.
    Clean,
    /// Nobody wants more.
    Told,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Failed(error)
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Told => End::Told,
            // A writer that was interrupted; everything before was given.
            Stop::Cut => {
                warn!("stdin ended in the middle of a picture");
                End::Clean
            }
            Stop::NoLine => End::Failed(Error::Header("it has no end".into())),
            Stop::Failed(error) => End::Failed(Error::Read(error.to_string())),
        }
    }
}

impl From<crate::slot::Closed> for End {
    fn from(_: crate::slot::Closed) -> Self {
        End::Told
    }
}

impl Reading {
    fn run(&self, input: Input) {
        let mut given = 0;
        let failed = match self.read(input, &mut given) {
            End::Failed(error) => Some(error),
            End::Clean if given == 0 => Some(Error::NoPicture),
            End::Clean | End::Told => None,
        };
        *lock(&self.failure) = failed;
        self.pictures.close();
    }

    /// Reads to the end; `given` counts the pictures.
    fn read(&self, mut input: Input, given: &mut u64) -> End {
        let ended = match input.peek(header::MAGIC.len()) {
            Err(stop) => return stop.into(),
            Ok([]) => return Error::Nothing.into(),
            Ok(first) if first == header::MAGIC => self.read_y4m(&mut input, given),
            Ok([0xFF, 0xD8, ..]) => self.read_jpegs(&mut input, given),
            Ok(first) if PREAMBLES.iter().any(|preamble| first.starts_with(preamble)) => self.read_jpegs(&mut input, given),
            Ok(_) => return Error::Unknown.into(),
        };
        ended.unwrap_or_else(|end| end)
    }

    fn read_y4m(&self, input: &mut Input, given: &mut u64) -> Result<End, End> {
        let Some((line, _)) = input.line(header::MAX_LINE)? else { return Ok(End::Clean) };
        let header = header::parse(&line)?;
        if let Some(rate) = header.rate {
            let _ = self.rate.set(rate);
        }
        let view = View::PLAIN.with_aspect(header.aspect);
        let rate = header.rate.map_or(String::new(), |rate| format!(", {rate} pictures a second"));
        info!("stdin: y4m, {}{rate}", view.seen(header.size));
        let (bytes, luma) = (header.sampling.bytes(header.size), Sampling::Grey.bytes(header.size));
        let pool = BufferPool::new();
        for number in 0.. {
            let line = match input.line(header::MAX_LINE) {
                Err(Stop::NoLine) => return Err(Error::Step(number).into()),
                line => line?,
            };
            let Some((line, captured)) = line else { break };
            if line != b"FRAME" && !line.starts_with(b"FRAME ") {
                return Err(Error::Step(number).into());
            }
            let mut planes = pool.take(bytes);
            input.exact(&mut planes, |part, from| {
                if !header.full_range {
                    range::widen(part, from, luma);
                }
            })?;
            let picture = Picture::new(captured, header.size, Body::Planes(header.sampling, planes));
            self.pictures.push(Picture { view, ..picture })?;
            *given += 1;
        }
        Ok(End::Clean)
    }

    fn read_jpegs(&self, input: &mut Input, given: &mut u64) -> Result<End, End> {
        let (mut walker, pool) = (Walker::default(), BufferPool::new());
        let mut buffer = vec![0; CHUNK];
        let (mut start, mut end, mut skipped) = (0, 0, 0u64);
        // What follows a picture that broke off is the rest of it.
        let (mut left_out, mut in_rest) = (LeftOut::new(&self.left_out), false);
        let (mut companions, mut adjacent) = (Companions::default(), false);
        // When the byte at `start` came: it was in the last read whenever a picture or garbage has just ended before it.
        let mut came = Instant::now();
        loop {
            match walker.walk(&buffer[start..end]) {
                Step::More => {
                    if start == end {
                        (start, end) = (0, 0);
                    } else if end == buffer.len() && start > 0 {
                        buffer.copy_within(start..end, 0);
                        (start, end) = (0, end - start);
                    } else if end == buffer.len() {
                        buffer.resize((2 * buffer.len()).min(MAX_PICTURE), 0);
                    }
                    let fresh = start == end;
                    let n = input.some(&mut buffer[end..])?;
                    if n == 0 {
                        break;
                    }
                    if fresh {
                        came = input.arrived();
                    }
                    end += n;
                }
                Step::Garbage(n) => {
                    if buffer[start..start + n].starts_with(&[0xFF, 0xD8]) {
                        in_rest = true;
                        left_out.note(Why::Broken, came);
                    } else if !in_rest && !is_text(&buffer[start..start + n]) {
                        if skipped == 0 {
                            warn!("skipping what lies between the JPEGs on stdin and belongs to none");
                        }
                        skipped += n as u64;
                    }
                    adjacent = false;
                    start += n;
                    came = input.arrived();
                }
                Step::Picture(n, jpeg) => {
                    if !companions.is_one(&jpeg, n, adjacent) {
                        let mut bytes = pool.take(n);
                        bytes.copy_from_slice(&buffer[start..start + n]);
                        let picture = Picture::new(came, jpeg.size, Body::Jpeg(bytes));
                        let view = jpeg.view();
                        if *given == 0 {
                            info!("stdin: JPEGs, {}", view.seen(jpeg.size));
                        }
                        self.pictures.push(Picture { view, ..picture })?;
                        *given += 1;
                    }
                    (adjacent, in_rest) = (true, false);
                    start += n;
                    came = input.arrived();
                }
                // One of another kind among good ones costs itself.
                Step::Refused(n, why) if *given > 0 => {
                    left_out.note(Why::Kind(why), came);
                    (adjacent, in_rest) = (false, false);
                    start += n;
                    came = input.arrived();
                }
                Step::Refused(_, why) => return Err(Error::Jpeg(why).into()),
            }
        }
        if start < end {
            warn!("stdin ended in the middle of a picture");
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        left_out.end();
        if skipped > 0 {
            warn!("{skipped} bytes on stdin belonged to no picture");
        }
        Ok(End::Clean)
    }
}

/// Whether it can be the head of a part, or line ends.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | b' '..=b'~'))
}

#[cfg(test)]
mod tests;
