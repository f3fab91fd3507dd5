//! Pictures → slices, by several threads at once, each slice handed on the moment it is ready.
//!
//! Parts of it are taken from an atomic counter, top first, so no thread waits while there is work. The caller works too: with
//! `n` workers `n - 1` threads are woken, and a picture costs one wake-up less on its critical path. Between pictures the threads
//! are parked. A camera's own JPEG goes through [`passthrough`]; one that cannot is decoded and encoded. A panic in a worker goes
//! on in the caller.

use super::band_encoder::BandEncoder;
use super::bands::{Bands, Estimate};
use super::coefficients::Coefficients;
use super::packed;
use super::passthrough;
use super::raw;
use super::settings::{Error, Settings};
use crate::threads::{join, lock};
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::media::parts::{Parts, Why};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Body, Buffer, BufferPool, Picture, Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::mcus::Selection;
use eyeline_proto::wire::slice::{Head, Tables};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Of a picture of which less than this part is coded the bytes say nothing of the rest.
const TELLING: usize = 50;

/// A thread is woken for so many MCUs: 0.4 ms of work. For less the caller is done as soon.
const WORTH_A_WAKE: usize = 600;

/// What a picture became.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Encoded {
    pub slices: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// What changed, or all of it, for every receiver.
    pub changed: Lot,
    /// What was refined, for every receiver, too.
    pub refined: Lot,
    /// Whether they are the camera's own scan data.
    pub passed_through: bool,
}

/// Some MCUs of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lot {
    /// Which share of its MCUs.
    pub share: f64,
    /// Bytes of their slices.
    pub bytes: usize,
}

/// What of a picture is coded. A camera's own JPEG is passed through whole.
#[derive(Debug, Clone, Copy)]
pub enum Coded<'a> {
    All,
    /// What changed, in the picture's quality. No MCU is in two of these.
    Some {
        changed: &'a McuSet,
        /// What is sent once more, better.
        refined: At<'a>,
        /// What is owed to some receivers beside that.
        owed: At<'a>,
        /// Where somebody wants all of it: that comes behind these, of this quality.
        whole: Option<u8>,
    },
}

/// Some MCUs, and a quality of their own, 1 to 100.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pub mcus: &'a McuSet,
    pub quality: u8,
}

type OnSlice = dyn Fn(Slice) + Send + Sync;

/// The encoding threads. Dropping it joins them.
pub struct EncoderThreads {
    state: Arc<EncoderState>,
    threads: Vec<JoinHandle<()>>,
    front: Mutex<Front>,
}

/// What belongs to the picture being encoded; its lock keeps two callers apart.
struct Front {
    encoder: BandEncoder,
    estimate: Estimate,
}

struct EncoderState {
    on_slice: Box<OnSlice>,
    post: Mutex<Post>,
    /// Bands not begun yet are left out.
    stopped: AtomicBool,
    buffers: BufferPool,
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
    position: Option<Duration>,
    /// By [`Why`].
    qualities: [u8; 4],
    parts: Parts,
    /// The next part to be taken.
    next: AtomicUsize,
    /// Parts not finished.
    left: AtomicUsize,
    /// Of slices, by [`Why`].
    bytes: [AtomicUsize; 4],
    failure: Mutex<Option<Failure>>,
    /// Parts that could not be encoded.
    failed: Mutex<Vec<usize>>,
    caller: Thread,
}

enum Failure {
    Error(raw::Error),
    Panic(Box<dyn Any + Send>),
}

impl EncoderThreads {
    /// `workers` (at least 1) bands are encoded at once, one of them by the thread that calls [`EncoderThreads::encode`].
    /// `on_slice` is called from all of them.
    pub fn new(workers: usize, on_slice: impl Fn(Slice) + Send + Sync + 'static) -> Result<EncoderThreads, Error> {
        let state = EncoderState {
            on_slice: Box::new(on_slice),
            post: Mutex::default(),
            stopped: AtomicBool::new(false),
            buffers: BufferPool::new(),
        };
        let front = Mutex::new(Front { encoder: BandEncoder::new()?, estimate: Estimate::default() });
        let mut pool = EncoderThreads { state: Arc::new(state), threads: Vec::new(), front };
        for number in 1..workers {
            let (state, mut encoder) = (pool.state.clone(), BandEncoder::new()?);
            let thread = thread::Builder::new().name(format!("encode-{number}"));
            pool.threads.push(thread.spawn(move || state.serve(&mut encoder)).map_err(Error::Thread)?);
        }
        Ok(pool)
    }

    /// Encodes a picture and returns when all its slices were handed on. Slices of two pictures never mix; those of one come in
    /// any order.
    pub fn encode(
        &self,
        number: u64,
        picture: Picture,
        capture: MediaTime,
        settings: Settings,
        coded: Coded<'_>,
    ) -> Result<Encoded, Error> {
        let begun = Instant::now();
        let queued = begun.saturating_duration_since(picture.captured);
        let (size, sampling, planes) = match picture.body {
            Body::Planes(sampling, planes) => (picture.size, sampling, planes),
            Body::Jpeg(jpeg) => match self.pass_through(number, &jpeg, capture, (begun, queued), settings) {
                Err(Refusal::Unfit(_)) => {
                    let (size, sampling, planes, _) = passthrough::decode(&jpeg, &self.state.buffers)?;
                    (size, sampling, planes)
                }
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
        let grid = sampling.mcus(size);
        let mcus = grid.width as usize * grid.height as usize;
        let workers = self.threads.len() + 1;
        let (parts, qualities) = match coded {
            Coded::All => {
                let bands = front.estimate.bands(size, sampling, quality, workers);
                (Parts::whole(bands.iter(), mcus), [quality; 4])
            }
            Coded::Some { changed, refined, owed, whole } => {
                let per_mcu = front.estimate.bytes(size, sampling, quality) / mcus as f64;
                let parts = Parts::some([changed, refined.mcus, owed.mcus], per_mcu);
                let others = [refined.quality, owed.quality, whole.unwrap_or(quality)].map(|quality| quality.clamp(1, 100));
                let parts = match whole {
                    Some(_) => parts.and_whole(front.estimate.bands(size, sampling, others[2], workers).iter(), mcus),
                    None => parts,
                };
                (parts, [quality, others[0], others[1], others[2]])
            }
        };
        let (slices, coded) = (parts.parts.len(), [Why::Changed, Why::Refined].map(|why| parts.coded(why)));
        let job = Arc::new(Job {
            number,
            planes,
            sampling,
            size,
            capture,
            begun,
            queued,
            position: settings.position,
            qualities,
            parts,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(slices),
            bytes: Default::default(),
            failure: Mutex::new(None),
            failed: Mutex::default(),
            caller: thread::current(),
        });
        lock(&self.state.post).job = Some(job.clone());
        let worth = job.parts.parts.iter().map(|part| part.coded).sum::<usize>() / WORTH_A_WAKE;
        for thread in self.threads.iter().take((slices - 1).min(worth)) {
            thread.thread().unpark();
        }
        job.work(&mut front.encoder, &self.state);
        while job.left.load(Ordering::Acquire) != 0 {
            thread::park();
        }
        lock(&self.state.post).job = None;
        match lock(&job.failure).take() {
            Some(Failure::Panic(payload)) => resume_unwind(payload),
            Some(Failure::Error(error)) => return Err(job.end_torn(error, &*self.state.on_slice)),
            None => {}
        }
        let [changed, refined, owed, whole] = job.bytes.each_ref().map(|bytes| bytes.load(Ordering::Relaxed));
        if coded[0] * TELLING >= mcus {
            front.estimate.learn(size, sampling, quality, changed * mcus / coded[0]);
        }
        let lot = |coded: usize, bytes: usize| Lot { share: coded as f64 / mcus as f64, bytes };
        Ok(Encoded {
            slices,
            bytes: changed + refined + owed + whole,
            changed: lot(coded[0], changed),
            refined: lot(coded[1], refined),
            passed_through: false,
        })
    }

    /// As [`EncoderThreads::encode`], of a camera's JPEG that was read, and was caught then: its MCUs are sent as they were made.
    pub fn cut(
        &self,
        number: u64,
        (picture, captured): (&Coefficients, Instant),
        capture: MediaTime,
        settings: Settings,
        some: Option<[&McuSet; 2]>,
    ) -> Result<Encoded, Error> {
        let begun = Instant::now();
        let queued = begun.saturating_duration_since(captured);
        let (sampling, size) = picture.kind().ok_or(Refusal::Unfit("it was not read"))?;
        let _front = lock(&self.front);
        let none = McuSet::new(size, sampling);
        let mcus = none.of();
        let parts = match some {
            None => Parts::whole(Bands::new(size, sampling, picture.bytes(), 1).iter(), mcus),
            Some([changed, owed]) => Parts::some([changed, &none, owed], picture.bytes() as f64 / mcus as f64),
        };
        let share = parts.coded(Why::Changed) as f64 / mcus as f64;
        let (mut bytes, mut changed) = (0, Lot { share, bytes: 0 });
        for (index, mut slice) in picture.slices(number, capture, settings, &parts)?.into_iter().enumerate() {
            bytes += slice.bytes().len();
            changed.bytes += if index < parts.shared { slice.bytes().len() } else { 0 };
            slice.stamp_times(queued, begun.elapsed());
            (self.state.on_slice)(slice);
        }
        Ok(Encoded { slices: parts.parts.len(), bytes, changed, refined: Lot::default(), passed_through: false })
    }

    /// At the end: of the picture in work, and of any that follows, no more is encoded. A large one takes a second.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::Relaxed);
    }

    fn pass_through(
        &self,
        number: u64,
        jpeg: &[u8],
        capture: MediaTime,
        (begun, queued): (Instant, Duration),
        settings: Settings,
    ) -> Result<Encoded, Refusal> {
        let slices = passthrough::split(jpeg, number, capture, settings)?;
        let bytes = slices.iter().map(|slice| slice.bytes().len()).sum();
        let (changed, refined) = (Lot { share: 1.0, bytes }, Lot::default());
        let encoded = Encoded { slices: slices.len(), bytes, changed, refined, passed_through: true };
        for mut slice in slices {
            slice.stamp_times(queued, begun.elapsed());
            (self.state.on_slice)(slice);
        }
        Ok(encoded)
    }
}

impl Drop for EncoderThreads {
    fn drop(&mut self) {
        lock(&self.state.post).stop = true;
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            join(thread);
        }
    }
}

impl EncoderState {
    /// The life of a thread.
    fn serve(&self, encoder: &mut BandEncoder) {
        loop {
            let job = {
                let post = lock(&self.post);
                if post.stop {
                    return;
                }
                post.job.clone().filter(|job| job.next.load(Ordering::Relaxed) < job.parts.parts.len())
            };
            match job {
                Some(job) => job.work(encoder, self),
                None => thread::park(),
            }
        }
    }
}

impl Job {
    /// Encodes parts until none is left to take.
    fn work(&self, encoder: &mut BandEncoder, state: &EncoderState) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.parts.parts.len() {
                return;
            }
            let outcome = match state.stopped.load(Ordering::Relaxed) {
                true => Ok(Ok(())),
                false => catch_unwind(AssertUnwindSafe(|| self.part(index, encoder, &*state.on_slice))),
            };
            let failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Failure::Error(error)),
                Err(payload) => Some(Failure::Panic(payload)),
            };
            if failure.is_some() {
                lock(&self.failed).push(index);
                *lock(&self.failure) = failure;
            }
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.caller.unpark();
            }
        }
    }

    fn part(&self, index: usize, encoder: &mut BandEncoder, on_slice: &OnSlice) -> Result<(), raw::Error> {
        let head = self.head(index, self.parts.parts[index].mcus.as_ref());
        let scan = encoder.encode(&self.planes, &head)?;
        self.hand_on(index, &head, scan, on_slice);
        Ok(())
    }

    /// Something of the picture was not encoded. Where other parts were handed on it has its number, so slices of nothing stand
    /// for what is missing: receivers show there what was before, until the next picture.
    fn end_torn(&self, error: raw::Error, on_slice: &OnSlice) -> Error {
        let failed = lock(&self.failed);
        if failed.len() == self.parts.parts.len() {
            return error.into();
        }
        for index in failed.iter().copied() {
            let band = self.sampling.mcus(Size { height: self.parts.parts[index].rows, ..self.size });
            let nothing = Selection::new((band.width * band.height) as usize, std::iter::empty());
            self.hand_on(index, &self.head(index, nothing.as_ref()), &[], on_slice);
        }
        Error::Torn(error)
    }

    /// The head of a part of which these MCUs are coded; `None`: all.
    fn head<'a>(&'a self, index: usize, mcus: Option<&'a Selection>) -> Head<'a> {
        let part = &self.parts.parts[index];
        Head {
            sampling: self.sampling,
            tables: Tables::Own(self.qualities[part.why as usize]),
            size: self.size,
            top: part.top as u16,
            rows: part.rows as u16,
            restart: if mcus.is_some() { packed::RESTART } else { self.sampling.mcus(self.size).width as u16 },
            capture: self.capture,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: self.parts.shared as u8,
            owed: self.parts.owed as u8,
            position: self.position,
            mcus: mcus.map(Selection::mcus),
        }
    }

    fn hand_on(&self, index: usize, head: &Head<'_>, scan: &[u8], on_slice: &OnSlice) {
        let mut slice = Slice::new(self.number, index as u8, self.parts.parts.len() as u8, head, scan);
        self.bytes[self.parts.parts[index].why as usize].fetch_add(slice.bytes().len(), Ordering::Relaxed);
        slice.stamp_times(self.queued, self.begun.elapsed());
        on_slice(slice);
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
