//! Pictures → slices, by several threads at once, each slice handed on the moment it is ready.
//!
//! Parts of it are taken from an atomic counter, top first, so no thread waits while there is work. The caller works too: with
//! `n` workers `n - 1` threads are woken, and a picture costs one wake-up less on its critical path. Between pictures the threads
//! are parked. A camera's own JPEG goes through [`passthrough`]; one that cannot is decoded and encoded. A panic in a worker goes
//! on in the caller.

use super::band_encoder::BandEncoder;
use super::bands::Estimate;
use super::packed;
use super::passthrough;
use super::raw;
use super::segments::Refusal;
use super::settings::{Error, Settings};
use crate::threads::{join, lock};
use eyeline_proto::media::parts::Parts;
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

/// What a picture became.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Encoded {
    pub slices: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// Bytes of those that are for every receiver, and the share of its MCUs that is in them.
    pub shared_bytes: usize,
    pub share: f64,
    /// Whether they are the camera's own scan data.
    pub passed_through: bool,
}

/// What of a picture is coded. A camera's own JPEG is passed through whole.
#[derive(Debug, Clone, Copy)]
pub enum Coded<'a> {
    All,
    /// What changed, and what is owed to some receivers beside that.
    Some {
        changed: &'a McuSet,
        owed: &'a McuSet,
        /// Of what is owed; what changed has the picture's.
        owed_quality: u8,
        /// Where somebody wants all of it: that comes behind these, of this quality.
        whole: Option<u8>,
    },
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
    settings: Settings,
    /// Of what is owed, and of all of it again.
    qualities: [u8; 2],
    parts: Parts,
    /// The next part to be taken.
    next: AtomicUsize,
    /// Parts not finished.
    left: AtomicUsize,
    bytes: AtomicUsize,
    shared_bytes: AtomicUsize,
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
                Err(Refusal::Unfit(_)) => passthrough::decode(&jpeg, &self.state.buffers)?,
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
                (Parts::whole(bands.iter(), mcus), [quality; 2])
            }
            Coded::Some { changed, owed, owed_quality, whole } => {
                let per_mcu = front.estimate.bytes(size, sampling, quality) / mcus as f64;
                let parts = Parts::some(changed, owed, per_mcu);
                let qualities = [owed_quality, whole.unwrap_or(quality)].map(|quality| quality.clamp(1, 100));
                let parts = match whole {
                    Some(_) => parts.and_whole(front.estimate.bands(size, sampling, qualities[1], workers).iter(), mcus),
                    None => parts,
                };
                (parts, qualities)
            }
        };
        let (slices, coded_mcus) = (parts.parts.len(), parts.coded());
        let job = Arc::new(Job {
            number,
            planes,
            sampling,
            size,
            capture,
            begun,
            queued,
            settings: Settings { quality, ..settings },
            qualities,
            parts,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(slices),
            bytes: AtomicUsize::new(0),
            shared_bytes: AtomicUsize::new(0),
            failure: Mutex::new(None),
            failed: Mutex::default(),
            caller: thread::current(),
        });
        lock(&self.state.post).job = Some(job.clone());
        for thread in self.threads.iter().take(slices - 1) {
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
        let bytes = job.bytes.load(Ordering::Relaxed);
        let shared_bytes = job.shared_bytes.load(Ordering::Relaxed);
        if coded_mcus * TELLING >= mcus {
            front.estimate.learn(size, sampling, quality, shared_bytes * mcus / coded_mcus);
        }
        Ok(Encoded { slices, bytes, shared_bytes, share: coded_mcus as f64 / mcus as f64, passed_through: false })
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
        let encoded = Encoded { slices: slices.len(), bytes, shared_bytes: bytes, share: 1.0, passed_through: true };
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

    /// Something of the picture was not encoded. Where other parts were handed on it has its number, so slices of nothing stand for
    /// what is missing: receivers show there what was before, until the next picture.
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
        let quality = match index {
            index if index < self.parts.shared => self.settings.quality,
            index if index < self.parts.owed => self.qualities[0],
            _ => self.qualities[1],
        };
        Head {
            sampling: self.sampling,
            tables: Tables::Own(quality),
            size: self.size,
            top: part.top as u16,
            rows: part.rows as u16,
            restart: if mcus.is_some() { packed::RESTART } else { self.sampling.mcus(self.size).width as u16 },
            capture: self.capture,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: self.parts.shared as u8,
            owed: self.parts.owed as u8,
            position: self.settings.position,
            mcus: mcus.map(Selection::mcus),
        }
    }

    fn hand_on(&self, index: usize, head: &Head<'_>, scan: &[u8], on_slice: &OnSlice) {
        let mut slice = Slice::new(self.number, index as u8, self.parts.parts.len() as u8, head, scan);
        self.bytes.fetch_add(slice.bytes().len(), Ordering::Relaxed);
        if index < self.parts.shared {
            self.shared_bytes.fetch_add(slice.bytes().len(), Ordering::Relaxed);
        }
        slice.stamp_times(self.queued, self.begun.elapsed());
        on_slice(slice);
    }
}

#[cfg(test)]
mod tests {
    use super::super::decoder::Decoder;
    use super::super::testing::{self, SAMPLINGS, SETTINGS, picture, planes_from, psnr};
    use super::super::{stitch, tables};
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    const SIZE: Size = Size { width: 641, height: 361 };

    fn pool(workers: usize) -> (EncoderThreads, Receiver<Slice>) {
        let (sender, receiver) = channel();
        let pool = EncoderThreads::new(workers, move |slice| sender.send(slice).expect("the test receives")).unwrap();
        (pool, receiver)
    }

    fn encode(pool: &EncoderThreads, number: u64, size: Size, body: Body) -> Result<Encoded, Error> {
        pool.encode(number, picture(size, body), MediaTime::from_nanos(number), SETTINGS, Coded::All)
    }

    #[test]
    fn a_pool_that_is_stopped_leaves_out_what_it_has_not_begun() {
        let (pool, receiver) = pool(2);
        let body = || Body::Planes(Sampling::Grey, vec![7; SIZE.width as usize * SIZE.height as usize].into());
        let whole = encode(&pool, 0, SIZE, body()).unwrap();
        assert_eq!(receiver.try_iter().count(), whole.slices);
        pool.stop();
        encode(&pool, 1, SIZE, body()).unwrap();
        assert_eq!(receiver.try_iter().count(), 0);
    }

    #[test]
    fn pictures_go_through_the_pool_and_come_back() {
        for workers in [1, 4] {
            let (pool, slices) = pool(workers);
            for (number, sampling) in SAMPLINGS.into_iter().cycle().take(24).enumerate() {
                let (number, planes) = (number as u64, testing::planes(SIZE, sampling, number as u64));
                let encoded = encode(&pool, number, SIZE, Body::Planes(sampling, planes.clone().into())).unwrap();
                let got: Vec<_> = slices.try_iter().collect();
                assert_eq!((got.len(), encoded.passed_through), (encoded.slices, false));
                assert!(got.len() >= workers);
                assert_eq!(got.iter().map(|slice| slice.bytes().len()).sum::<usize>(), encoded.bytes);
                let mut back = vec![0; planes.len()];
                let mut seen = vec![false; got.len()];
                for slice in got {
                    assert_eq!((slice.picture, usize::from(slice.count)), (number, encoded.slices));
                    assert!(!std::mem::replace(&mut seen[usize::from(slice.index)], true));
                    assert_eq!(slice.capture(), MediaTime::from_nanos(number));
                    let out = planes_from(&mut back, SIZE, sampling, u32::from(slice.head().top));
                    assert!(!Decoder::new().unwrap().decode_planes(&slice, out).unwrap().suspect);
                }
                assert!(psnr(&planes, &back) > 36.0, "{sampling:?}: {}", psnr(&planes, &back));
            }
        }
    }

    /// What is drawn over a picture before is, MCU by MCU, what all of the new one would be, or as before.
    #[test]
    fn what_changed_is_coded_for_all_and_what_is_owed_in_slices_behind_that_and_of_a_quality_of_its_own() {
        let (pool, slices) = pool(2);
        let encode = |number, seed, coded| {
            let body = Body::Planes(Sampling::Yuv420, testing::planes(SIZE, Sampling::Yuv420, seed).into());
            let encoded = pool.encode(number, picture(SIZE, body), MediaTime::ZERO, SETTINGS, coded).unwrap();
            (encoded, slices.try_iter().collect::<Vec<Slice>>())
        };
        let draw = |planes: &mut [u8], slice: &Slice| {
            let out = planes_from(planes, SIZE, Sampling::Yuv420, u32::from(slice.head().top));
            assert!(!Decoder::new().unwrap().decode_planes(slice, out).unwrap().partial);
        };
        let (mut canvas, mut whole) = (vec![0; Sampling::Yuv420.bytes(SIZE)], vec![0; Sampling::Yuv420.bytes(SIZE)]);
        encode(0, 1, Coded::All).1.iter().for_each(|slice| draw(&mut canvas, slice));
        encode(1, 2, Coded::All).1.iter().for_each(|slice| draw(&mut whole, slice));
        let before = canvas.clone();
        let set = |of: usize| {
            let mut set = McuSet::new(SIZE, Sampling::Yuv420);
            (0..set.of()).filter(|mcu| mcu % 7 == of).for_each(|mcu| set.insert(mcu));
            set
        };
        let (changed, owed) = (set(2), set(5));
        let (encoded, parts) = encode(2, 2, Coded::Some { changed: &changed, owed: &owed, owed_quality: 80, whole: None });
        assert_eq!(parts.len(), encoded.slices);
        assert!(encoded.shared_bytes < encoded.bytes && (0.13..0.16).contains(&encoded.share), "{encoded:?}");
        for slice in &parts {
            let head = slice.head();
            let of = if slice.index < head.shared { &changed } else { &owed };
            assert!(head.runs().flatten().all(|mcu| of.contains(mcu)));
            draw(&mut canvas, slice);
        }
        let width = SIZE.width as usize;
        for (at, ((new, old), now)) in whole.iter().zip(&before).zip(&canvas).enumerate().take(width * SIZE.height as usize) {
            let mcu = at / width / 16 * 41 + at % width / 16;
            let drawn = changed.contains(mcu) || owed.contains(mcu);
            assert_eq!(now, if drawn { new } else { old }, "sample {at}, MCU {mcu}");
        }
        // All of it again, for who wants it whole, comes last and is one JPEG by itself.
        let (encoded, parts) = encode(4, 2, Coded::Some { changed: &changed, owed: &owed, owed_quality: 30, whole: Some(80) });
        let again: Vec<&Slice> = parts.iter().filter(|slice| slice.index >= slice.head().owed).collect();
        assert!(again.len() > 1 && encoded.share < 0.16 && encoded.shared_bytes * 4 < encoded.bytes, "{encoded:?}");
        let joined = stitch::jpeg(&again).unwrap();
        assert_eq!(stitch::Stitcher::new().unwrap().push(&parts.iter().collect::<Vec<_>>()).unwrap(), joined);
        canvas.fill(0);
        again.iter().for_each(|slice| draw(&mut canvas, slice));
        assert!(canvas == whole, "as if it had been coded for all");
        let (_, parts) = encode(3, 3, Coded::Some { changed: &changed, owed: &owed, owed_quality: 30, whole: None });
        for head in parts.iter().map(|slice| (slice.index, slice.head())) {
            let quality = if head.0 < head.1.shared { 80 } else { 30 };
            assert_eq!(head.1.tables, Tables::Own(quality));
        }
    }

    /// What is owed is of a larger picture, and so beyond the planes.
    #[test]
    fn a_picture_of_which_a_part_fails_is_ended_with_a_slice_of_nothing_and_one_that_fails_at_once_is_not_begun() {
        let (pool, slices) = pool(2);
        let set = |height, mcu| {
            let mut set = McuSet::new(Size { height, ..SIZE }, Sampling::Yuv420);
            set.insert(mcu);
            set
        };
        let (within, beyond) = (set(SIZE.height, 5), set(4000, 41 * 200));
        let encode = |number, changed, owed| {
            let body = Body::Planes(Sampling::Yuv420, testing::planes(SIZE, Sampling::Yuv420, 1).into());
            let coded = Coded::Some { changed, owed, owed_quality: 80, whole: None };
            pool.encode(number, picture(SIZE, body), MediaTime::ZERO, SETTINGS, coded)
        };
        assert!(matches!(encode(4, &within, &beyond), Err(Error::Torn(raw::Error::Room { .. }))));
        let mut came: Vec<Slice> = slices.try_iter().collect();
        came.sort_by_key(|slice| slice.index);
        assert!(came.len() == 2 && came.iter().all(|slice| (slice.picture, slice.count) == (4, 2)), "it has its number");
        assert_eq!(came.iter().map(|slice| slice.head().runs().flatten().count()).collect::<Vec<_>>(), [1, 0]);
        assert!(matches!(encode(5, &beyond, &beyond), Err(Error::Raw(raw::Error::Room { .. }))));
        assert!(slices.try_recv().is_err(), "nothing of it was handed on");
    }

    #[test]
    fn slices_become_about_eight_datagrams_long() {
        let (pool, slices) = pool(4);
        let size = Size { width: 1920, height: 1080 };
        let planes = testing::planes(size, Sampling::Yuv420, 1);
        for number in 0..3 {
            encode(&pool, number, size, Body::Planes(Sampling::Yuv420, planes.clone().into())).unwrap();
        }
        let last: Vec<_> = slices.try_iter().filter(|slice| slice.picture == 2).map(|slice| slice.bytes().len()).collect();
        let mean = last.iter().sum::<usize>() / last.len();
        assert!((7 * 1200..9 * 1200).contains(&mean), "{mean} bytes, {} slices", last.len());
    }

    #[test]
    fn a_cameras_jpeg_is_passed_through_and_one_that_cannot_be_is_encoded_again() {
        let (pool, slices) = pool(2);
        let size = Size { width: 64, height: 48 };
        let flat = testing::slice(&testing::planes(size, Sampling::Yuv420, 1), &testing::head(size, Sampling::Yuv420, 80, 0, 48));
        let jpeg = stitch::jpeg(&[&flat]).unwrap();
        assert!(encode(&pool, 1, size, Body::Jpeg(jpeg.clone().into())).unwrap().passed_through);
        let passed = slices.recv().unwrap();
        assert!(stitch::jpeg(&[&passed]).unwrap()[2..] == jpeg[tables::SEGMENTS_AT..]);
        let mut wrong_interval = jpeg.clone();
        let interval = jpeg.windows(2).position(|pair| pair == [0xFF, tables::DRI]).unwrap();
        wrong_interval[interval + 5] = 2;
        let again = encode(&pool, 2, size, Body::Jpeg(wrong_interval.into())).unwrap();
        assert!(!again.passed_through && again.slices == slices.try_iter().count());
        let cut = jpeg[..jpeg.len() / 2].to_vec();
        assert!(matches!(encode(&pool, 3, size, Body::Jpeg(cut.into())), Err(Error::Refused(Refusal::Damaged(_)))));
        assert!(slices.try_recv().is_err(), "nothing of a damaged picture is sent");
    }

    #[test]
    fn a_short_picture_is_refused() {
        let (pool, _slices) = pool(2);
        let short = vec![0; Sampling::Yuv420.bytes(SIZE) - 1];
        assert!(matches!(encode(&pool, 1, SIZE, Body::Planes(Sampling::Yuv420, short.into())), Err(Error::Short { .. })));
        let giant = Size { width: 8193, height: 8 };
        let planes = vec![0; Sampling::Grey.bytes(giant)];
        let refused = encode(&pool, 2, giant, Body::Planes(Sampling::Grey, planes.into()));
        assert!(matches!(refused, Err(Error::Raw(raw::Error::Limits(_)))));
    }

    #[test]
    fn a_panic_in_a_worker_goes_on_in_the_caller_and_the_pool_lives() {
        let pool = EncoderThreads::new(3, |slice| assert!(slice.picture != 1 || slice.index != 2, "on purpose")).unwrap();
        let planes = testing::planes(SIZE, Sampling::Yuv420, 1);
        let body = || Body::Planes(Sampling::Yuv420, planes.clone().into());
        let panic = catch_unwind(AssertUnwindSafe(|| encode(&pool, 1, SIZE, body()))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert!(encode(&pool, 2, SIZE, body()).is_ok());
    }
}
