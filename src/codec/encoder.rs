//! Pictures → slices, by several threads at once, each slice handed on the moment it is ready.
//!
//! Bands are taken from an atomic counter, top first, so no thread waits while there is work. The caller works too: with `n`
//! workers `n - 1` threads are woken, and a picture costs one wake-up less on its critical path. Between pictures the threads are
//! parked. A camera's own JPEG goes through [`passthrough`]; one that cannot is decoded and encoded. A panic in a worker goes on
//! in the caller.

use super::bands::{Bands, Estimate};
use super::passthrough;
use super::raw::{self, Compressor, Planes, plane_sizes};
use super::segments::Refusal;
use super::tables;
use crate::picture::{self, Body, Buffer, Picture, Sampling, Size};
use crate::time::MediaTime;
use crate::wire::slice::{self, FIXED_LEN, Head, Tables};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Why a picture gave no slices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder refused it.
    #[error(transparent)]
    Raw(#[from] raw::Error),
    /// The camera's JPEG is broken.
    #[error("{0}; the next one may be whole")]
    Refused(#[from] Refusal),
    /// The source gave fewer bytes than its size and sampling take.
    #[error("a picture of {size} came with {len} bytes instead of {needed}: its source is at fault")]
    Short {
        /// Its size.
        size: Size,
        /// What came.
        len: usize,
        /// What it takes.
        needed: usize,
    },
    /// No thread could be started.
    #[error("cannot start an encoder thread ({0}): ask for fewer workers or raise the limit on processes")]
    Thread(std::io::Error),
}

/// One slice, ready for the packetizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSlice {
    /// The picture's number.
    pub picture: u64,
    /// Place in the picture, from the top.
    pub index: u8,
    /// Slices of the picture.
    pub count: u8,
    /// When the picture was caught.
    pub capture: MediaTime,
    /// `u32 length of the rest ++ head ++ scan` (`wire::slice`).
    pub body: Vec<u8>,
}

/// What can change from picture to picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// 1–100; of no effect on what is passed through.
    pub quality: u8,
    /// Nominal time to the next picture; zero if unknown.
    pub period: Duration,
    /// How long after capture a slice will still be retransmitted.
    pub keep: Duration,
}

/// What a picture became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Slices.
    pub slices: usize,
    /// Bytes of all their bodies.
    pub bytes: usize,
    /// Whether they are the camera's own scan data.
    pub passed_through: bool,
}

type OnSlice = dyn Fn(EncodedSlice) + Send + Sync;

/// The encoding threads. Dropping it joins them.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    front: Mutex<Front>,
}

/// What belongs to the picture being encoded; its lock keeps two callers apart.
struct Front {
    encoder: BandEncoder,
    estimate: Estimate,
}

struct Shared {
    on_slice: Box<OnSlice>,
    post: Mutex<Post>,
    buffers: picture::Pool,
}

/// Where the threads look when they are woken.
#[derive(Default)]
struct Post {
    job: Option<Arc<Job>>,
    stop: bool,
}

/// One picture in work.
struct Job {
    number: u64,
    planes: Buffer,
    sampling: Sampling,
    size: Size,
    capture: MediaTime,
    begun: Instant,
    queued: Duration,
    settings: Settings,
    bands: Bands,
    /// The next band to be taken.
    next: AtomicUsize,
    /// Bands not finished.
    left: AtomicUsize,
    bytes: AtomicUsize,
    failure: Mutex<Option<Failure>>,
    caller: Thread,
}

enum Failure {
    Error(raw::Error),
    Panic(Box<dyn Any + Send>),
}

/// What a lock guards here stays whole when its holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// `workers` (at least 1) bands are encoded at once, one of them by the thread that calls [`Pool::encode`]. `on_slice` is called from
    /// all of them.
    pub fn new(workers: usize, on_slice: impl Fn(EncodedSlice) + Send + Sync + 'static) -> Result<Pool, Error> {
        let shared = Shared { on_slice: Box::new(on_slice), post: Mutex::default(), buffers: picture::Pool::new() };
        let front = Mutex::new(Front { encoder: BandEncoder::new()?, estimate: Estimate::default() });
        let mut pool = Pool { shared: Arc::new(shared), threads: Vec::new(), front };
        for number in 1..workers {
            let (shared, mut encoder) = (pool.shared.clone(), BandEncoder::new()?);
            let thread = thread::Builder::new().name(format!("encode-{number}"));
            pool.threads.push(thread.spawn(move || shared.serve(&mut encoder)).map_err(Error::Thread)?);
        }
        Ok(pool)
    }

    /// Encodes a picture and returns when all its slices were handed on. Slices of two pictures never mix; those of one come in
    /// any order.
    pub fn encode(&self, number: u64, picture: Picture, capture: MediaTime, settings: Settings) -> Result<Encoded, Error> {
        let begun = Instant::now();
        let queued = begun.saturating_duration_since(picture.captured);
        let (size, sampling, planes) = match picture.body {
            Body::Planes(sampling, planes) => (picture.size, sampling, planes),
            Body::Jpeg(jpeg) => match self.pass_through(number, &jpeg, capture, (begun, queued), settings) {
                Err(Refusal::Unfit(_)) => passthrough::decode(&jpeg, &self.shared.buffers)?,
                passed => return Ok(passed?),
            },
        };
        let needed = sampling.bytes(size);
        if planes.len() < needed {
            return Err(Error::Short { size, len: planes.len(), needed });
        }
        let mut front = lock(&self.front);
        let front = &mut *front;
        let quality = settings.quality.clamp(1, 100);
        let bands = front.estimate.bands(size, sampling, quality, self.threads.len() + 1);
        let job = Arc::new(Job {
            number,
            planes,
            sampling,
            size,
            capture,
            begun,
            queued,
            settings: Settings { quality, ..settings },
            bands,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(bands.count()),
            bytes: AtomicUsize::new(0),
            failure: Mutex::new(None),
            caller: thread::current(),
        });
        lock(&self.shared.post).job = Some(job.clone());
        for thread in self.threads.iter().take(bands.count() - 1) {
            thread.thread().unpark();
        }
        job.work(&mut front.encoder, &*self.shared.on_slice);
        while job.left.load(Ordering::Acquire) != 0 {
            thread::park();
        }
        lock(&self.shared.post).job = None;
        match lock(&job.failure).take() {
            Some(Failure::Panic(payload)) => resume_unwind(payload),
            Some(Failure::Error(error)) => return Err(error.into()),
            None => {}
        }
        let bytes = job.bytes.load(Ordering::Relaxed);
        front.estimate.learn(size, sampling, quality, bytes);
        Ok(Encoded { slices: bands.count(), bytes, passed_through: false })
    }

    fn pass_through(
        &self,
        number: u64,
        jpeg: &[u8],
        capture: MediaTime,
        (begun, queued): (Instant, Duration),
        settings: Settings,
    ) -> Result<Encoded, Refusal> {
        let bodies = passthrough::split(jpeg, capture, settings)?;
        let (slices, bytes) = (bodies.len(), bodies.iter().map(Vec::len).sum());
        for (index, mut body) in bodies.into_iter().enumerate() {
            slice::stamp_times(&mut body[4..], queued, begun.elapsed());
            (self.shared.on_slice)(EncodedSlice { picture: number, index: index as u8, count: slices as u8, capture, body });
        }
        Ok(Encoded { slices, bytes, passed_through: true })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.post).stop = true;
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if let Err(payload) = thread.join()
                && !thread::panicking()
            {
                resume_unwind(payload);
            }
        }
    }
}

impl Shared {
    /// The life of a thread.
    fn serve(&self, encoder: &mut BandEncoder) {
        loop {
            let job = {
                let post = lock(&self.post);
                if post.stop {
                    return;
                }
                post.job.clone().filter(|job| job.next.load(Ordering::Relaxed) < job.bands.count())
            };
            match job {
                Some(job) => job.work(encoder, &*self.on_slice),
                None => thread::park(),
            }
        }
    }
}

impl Job {
    /// Encodes bands until none is left to take.
    fn work(&self, encoder: &mut BandEncoder, on_slice: &OnSlice) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.bands.count() {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| self.band(index, encoder, on_slice)));
            let failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Failure::Error(error)),
                Err(payload) => Some(Failure::Panic(payload)),
            };
            if failure.is_some() {
                *lock(&self.failure) = failure;
            }
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.caller.unpark();
            }
        }
    }

    fn band(&self, index: usize, encoder: &mut BandEncoder, on_slice: &OnSlice) -> Result<(), raw::Error> {
        let (top, rows) = self.bands.band(index);
        let head = Head {
            sampling: self.sampling,
            tables: Tables::Own(self.settings.quality),
            size: self.size,
            top: top as u16,
            rows: rows as u16,
            restart: tables::mcus(self.sampling, self.size).width as u16,
            capture: self.capture,
            period: self.settings.period,
            keep: self.settings.keep,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
        };
        let mut body = encoder.encode(&self.planes, &head)?;
        self.bytes.fetch_add(body.len(), Ordering::Relaxed);
        slice::stamp_times(&mut body[4..], self.queued, self.begun.elapsed());
        let (index, count) = (index as u8, self.bands.count() as u8);
        on_slice(EncodedSlice { picture: self.number, index, count, capture: self.capture, body });
        Ok(())
    }
}

/// One thread's means to encode a band. After the first bands of a size only the bodies are allocated: they live as long as they
/// may be retransmitted, and the allocator serves that size from its lists.
pub struct BandEncoder {
    compressor: Compressor,
    jpeg: Vec<u8>,
    luma: Vec<u8>,
}

impl BandEncoder {
    /// A new one.
    pub fn new() -> Result<Self, raw::Error> {
        Ok(BandEncoder { compressor: Compressor::new()?, jpeg: Vec::new(), luma: Vec::new() })
    }

    /// Encodes the band that `head` names (own tables, a restart marker each MCU row) out of a whole picture's tight `planes` into
    /// a slice's body with its length in front.
    pub fn encode(&mut self, planes: &[u8], head: &Head<'_>) -> Result<Vec<u8>, raw::Error> {
        let Tables::Own(quality) = head.tables else {
            return Err(raw::Error::Fatal("a camera's tables cannot be encoded with".into()));
        };
        let band = Size { width: head.size.width, height: u32::from(head.rows) };
        let mut planes = band_planes(planes, head)?;
        let [padded, ..] = plane_sizes(head.sampling, band);
        if padded != band {
            planes.planes[0] = pad(planes.planes[0], band, padded, &mut self.luma);
            planes.strides[0] = padded.width as usize;
        }
        let bound = Compressor::bound(band, head.sampling);
        if self.jpeg.len() < bound {
            self.jpeg.resize(bound, 0);
        }
        let len = self.compressor.compress(planes, head.sampling, band, quality, &mut self.jpeg)?;
        let scan = &self.jpeg[tables::header_len(head.sampling)..len - 2];
        let mut body = Vec::with_capacity(4 + FIXED_LEN + scan.len());
        body.extend_from_slice(&((FIXED_LEN + scan.len()) as u32).to_be_bytes());
        head.encode(&mut body);
        body.extend_from_slice(scan);
        Ok(body)
    }
}

/// The band's part of each plane.
fn band_planes<'a>(planes: &'a [u8], head: &Head<'_>) -> Result<Planes<'a>, raw::Error> {
    let room = raw::Error::Room { what: "picture", len: planes.len(), needed: head.sampling.bytes(head.size) };
    let (luma_len, width) = (head.size.width as usize * head.size.height as usize, head.size.width as usize);
    let (luma, colour) = planes.split_at_checked(luma_len).ok_or(room.clone())?;
    let luma = luma.get(usize::from(head.top) * width..).ok_or(room.clone())?;
    let Some(chroma) = head.sampling.chroma(head.size) else {
        return Ok(Planes { planes: [luma, &[], &[]], strides: [width, 0, 0] });
    };
    let stride = chroma.width as usize;
    let (cb, cr) = colour.split_at_checked(stride * chroma.height as usize).ok_or(room.clone())?;
    let top = if head.sampling == Sampling::Yuv420 { usize::from(head.top) / 2 } else { usize::from(head.top) };
    let rows = |plane: &'a [u8]| plane.get(top * stride..).ok_or(room.clone());
    Ok(Planes { planes: [luma, rows(cb)?, rows(cr)?], strides: [width, stride, stride] })
}

/// Luma of odd width or height, with its last column and row repeated up to whole chroma samples.
fn pad<'a>(luma: &[u8], band: Size, padded: Size, out: &'a mut Vec<u8>) -> &'a [u8] {
    out.clear();
    for row in luma.chunks_exact(band.width as usize).take(band.height as usize) {
        out.extend_from_slice(row);
        out.resize(out.len() + (padded.width - band.width) as usize, row[row.len() - 1]);
    }
    if padded.height > band.height {
        out.extend_from_within(out.len() - padded.width as usize..);
    }
    out
}
