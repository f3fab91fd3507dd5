//! Slices → canvas, on several threads, each slice as it comes.
//!
//! Which are worth decoding and when a picture is ready decides [`Reel`]; only the newest ready picture of a track is kept for
//! the screen. Tracks take turns. Capacity: [`WAITING`] slices a track, all of [`WAITING_BYTES`]; when decoding is that far
//! behind, the oldest of the track are dropped, and newer pictures cover the place.

use super::fair_queue::{FairQueue, Lane};
use crate::codec::decoder::{Decoder, RgbMut};
use crate::codec::raw;
use crate::codec::shrink::Shrink;
use crate::present::canvas::Canvas;
use crate::threads::{join, lock, wait_while};
use eyeline_proto::media::reel::{self, Reel, Turn};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use eyeline_proto::wire::slice::Head;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Slices of a track waiting to be decoded: two pictures of as many slices as there can be.
const WAITING: usize = 2 * eyeline_proto::wire::slice::MAX_SLICES;

/// Bytes of those of all tracks: more than two pictures of any camera; a slice may have 4 MiB.
const WAITING_BYTES: usize = 64 << 20;

/// A track is seen on all the pixels it has.
const ALL: u32 = u32::MAX;

/// At the end a thread has so long to finish its slice.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why there are no threads that decode.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library gives no decoder.
    #[error(transparent)]
    Decoder(#[from] raw::Error),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

/// One slice to decode.
pub struct Job {
    /// What is decoded.
    pub slice: Slice,
    /// Of an unfinished slice, the ranges of its scan that came, and whether its end did.
    pub present: Option<(Vec<Range<usize>>, bool)>,
    /// When it was whole, or given up.
    pub received: Instant,
    /// When it was let go to be decoded: then, or later where pictures are held.
    pub released: Instant,
}

/// A picture on a canvas.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Of which track.
    pub track: TrackId,
    /// What it is, with the moments of its way.
    pub picture: reel::Ready,
}

/// Where pictures that are ready are announced: of each track the newest.
pub type Announced = Arc<FairQueue<Ready>>;

/// A track's [`Reel`] and the canvas its pictures go to.
pub struct SharedReel {
    id: TrackId,
    canvas: Arc<Canvas>,
    reel: Mutex<Reel>,
    ready: Lane<Ready>,
    /// On how many pixels it is seen, [`ALL`] for as many as it has.
    seen_on: AtomicU32,
    /// The newest picture that was begun, and how it is made smaller: all its slices must be alike.
    shrink: Mutex<(Option<u64>, Shrink)>,
}

/// What waits to be decoded, and where it goes.
struct Waiting {
    reel: Arc<SharedReel>,
    job: Job,
}

struct DecoderState {
    jobs: Arc<FairQueue<Waiting>>,
    passed_over: AtomicU64,
    running: Mutex<usize>,
    ended: Condvar,
}

impl SharedReel {
    /// Nothing of this track has come yet.
    pub fn new(id: TrackId, announced: &Announced) -> Arc<Self> {
        let (canvas, reel, ready, seen_on) = (Arc::default(), Mutex::default(), announced.lane(), AtomicU32::new(ALL));
        Arc::new(SharedReel { id, canvas, reel, ready, seen_on, shrink: Mutex::default() })
    }

    /// Where its pictures are drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    /// It is seen on so many pixels from its next picture on; `None`: on as many as it has.
    pub fn seen_on(&self, pixels: Option<u32>) {
        self.seen_on.store(pixels.map_or(ALL, |pixels| pixels.min(ALL - 1)), Ordering::Relaxed);
    }

    /// How this picture is made smaller. One older than that is drawn on a canvas that has its size already.
    fn shrink(&self, picture: u64, size: Size) -> Shrink {
        let mut shrink = lock(&self.shrink);
        if shrink.0.is_none_or(|newest| picture > newest) {
            let pixels = self.seen_on.load(Ordering::Relaxed);
            *shrink = (Some(picture), if pixels == ALL { Shrink::Whole } else { Shrink::to(size, pixels) });
        }
        shrink.1
    }

    /// The track is over: nothing more of it is decoded or gets ready.
    pub fn end(&self) {
        lock(&self.reel).end();
    }

    /// Under the reel's lock: of two that get ready at once the newer is told last.
    fn announce(&self, picture: reel::Ready) {
        // Closed only when the program ends.
        let _ = self.ready.push(Ready { track: self.id, picture });
    }
}

/// The threads. Dropping it drops what waits and joins them; one that is still at a picture after [`PATIENCE`] is left behind.
pub struct DecoderThreads {
    shared: Arc<DecoderState>,
    threads: Vec<JoinHandle<()>>,
}

impl DecoderThreads {
    /// So many threads decode.
    pub fn new(workers: usize) -> Result<Self, Error> {
        let jobs = FairQueue::dropping_bytes(WAITING, WAITING_BYTES, |waiting: &Waiting| waiting.job.slice.bytes().len());
        let (passed_over, running, ended) = (AtomicU64::new(0), Mutex::new(0), Condvar::new());
        let shared = Arc::new(DecoderState { jobs, passed_over, running, ended });
        let mut pool = DecoderThreads { shared, threads: Vec::new() };
        for number in 0..workers {
            let (shared, decoder) = (pool.shared.clone(), Decoder::new()?);
            let thread = thread::Builder::new().name(format!("decode-{number}"));
            pool.threads.push(thread.spawn(move || shared.serve(decoder))?);
            *lock(&pool.shared.running) += 1;
        }
        Ok(pool)
    }

    /// Where a track's slices go, for the net thread. What waits goes with it.
    pub fn inlet(&self, reel: Arc<SharedReel>) -> Inlet {
        Inlet { lane: self.shared.jobs.lane(), reel }
    }

    /// Slices dropped because decoding was behind.
    pub fn dropped(&self) -> u64 {
        self.shared.jobs.dropped() + self.shared.passed_over.load(Ordering::Relaxed)
    }
}

impl Drop for DecoderThreads {
    fn drop(&mut self) {
        self.shared.jobs.discard();
        // A large picture takes a second to decode; nobody waits for it at the end.
        let running = wait_while(&self.shared.ended, lock(&self.shared.running), PATIENCE, |running| *running > 0);
        let all = *running == 0;
        drop(running);
        self.threads.drain(..).filter(|thread| all || thread.is_finished()).for_each(join);
    }
}

/// Puts slices of one track in.
pub struct Inlet {
    lane: Lane<Waiting>,
    reel: Arc<SharedReel>,
}

impl Inlet {
    pub fn push(&self, job: Job) {
        lock(&self.reel.reel).came(job.slice.picture);
        // Closed only when the program ends.
        let _ = self.lane.push(Waiting { reel: self.reel.clone(), job });
    }

    /// Nothing more will come of this picture: show what there is.
    pub fn settled_in_part(&self, picture: u64) {
        let mut pictures = lock(&self.reel.reel);
        if let Some(ready) = pictures.settled_in_part(picture) {
            self.reel.announce(ready);
        }
    }
}

impl DecoderState {
    fn serve(&self, mut decoder: Decoder) {
        /// However it ends, nobody waits for this thread any more.
        struct Running<'a>(&'a DecoderState);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                *lock(&self.0.running) -= 1;
                self.0.ended.notify_all();
            }
        }
        let _running = Running(self);
        while let Some(Waiting { reel, job }) = self.jobs.take() {
            let turn = lock(&reel.reel).turn(job.slice.picture);
            match turn {
                Turn::Decode => reel.decode(&mut decoder, &job),
                Turn::PassOver => drop(self.passed_over.fetch_add(1, Ordering::Relaxed)),
                Turn::Ended => {}
            }
        }
    }
}

impl SharedReel {
    fn decode(&self, decoder: &mut Decoder, job: &Job) {
        let (slice, picture, head) = (&job.slice, job.slice.picture, job.slice.head());
        let shrink = self.shrink(picture, head.size);
        if let Ok(mut band) = self.canvas.band(picture, &head, shrink.divisor()) {
            let stride = band.stride();
            let rgb = RgbMut { out: band.pixels(), stride, shrink };
            let decoded = match &job.present {
                None => decoder.decode_rgb(slice, rgb),
                Some((present, ended)) => decoder.decode_rgb_part(slice, present, *ended, rgb),
            };
            match decoded {
                Ok(decoded) if !decoded.partial => drop(band),
                // Good rows are drawn, the others show what was there; the band as a whole does not count as new.
                Ok(_) => band.abort(),
                Err(error) => {
                    band.abort();
                    tracing::debug!("a slice of picture {picture} did not decode: {error}");
                    return;
                }
            }
        }
        if job.present.is_none() {
            self.count(job, &head);
        }
    }

    fn count(&self, job: &Job, head: &Head<'_>) {
        let &Job { slice: Slice { picture, count, .. }, received, released, .. } = job;
        let mut pictures = lock(&self.reel);
        let slice = reel::Decoded { picture, count, head, received, released, decoded: Instant::now() };
        if let Some(ready) = pictures.decoded(&slice) {
            self.announce(ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing;
    use crate::slot::Taken;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::session::PeerId;
    use std::sync::MutexGuard;

    const SIZE: Size = Size { width: 16, height: 16 };

    fn track(peer: u64) -> TrackId {
        TrackId::own(PeerId(peer))
    }

    /// A picture of one slice.
    fn job(picture: u64, size: Size) -> Job {
        let planes = testing::planes(size, Sampling::Grey, picture);
        let mut slice = testing::slice(&planes, &testing::head(size, Sampling::Grey, 80, 0, size.height));
        slice.picture = picture;
        let received = Instant::now();
        Job { slice, present: None, received, released: received }
    }

    /// Keeps a pool's only thread busy until what it gives is dropped: with a slice of a track whose reel is locked.
    fn busy<'a>(pool: &DecoderThreads, reel: &'a Arc<SharedReel>) -> (Inlet, MutexGuard<'a, Reel>) {
        let (inlet, locked) = (pool.inlet(reel.clone()), lock(&reel.reel));
        inlet.lane.push(Waiting { reel: reel.clone(), job: job(0, SIZE) }).unwrap();
        (inlet, locked)
    }

    fn next(announced: &Announced) -> (TrackId, u64) {
        match announced.take_until(Instant::now() + Duration::from_secs(20), Instant::now) {
            Taken::Value(ready) => (ready.track, ready.picture.picture),
            nothing => panic!("nothing more gets ready: {nothing:?}"),
        }
    }

    /// A sender that has counted far is started again while decoding is behind: what of it waits, and what comes after its end,
    /// takes no place from the pictures of the new one, which are counted from 0.
    #[test]
    fn a_sender_that_is_started_again_is_seen_at_once_however_far_decoding_is_behind() {
        let (announced, pool) = (FairQueue::newest(), DecoderThreads::new(1).unwrap());
        let blocking = SharedReel::new(track(9), &FairQueue::newest());
        let (_lane, decoding_is_behind) = busy(&pool, &blocking);
        let (former, newcomer) = (SharedReel::new(track(0), &announced), SharedReel::new(track(1), &announced));
        let (before, after) = (pool.inlet(former.clone()), pool.inlet(newcomer.clone()));
        let larger = Size { width: 32, height: 16 };
        (18_000..18_010).for_each(|picture| before.push(job(picture, larger)));
        former.end();
        (0..5).for_each(|picture| after.push(job(picture, SIZE)));
        // What a thread had in its hands when the sender changed.
        before.push(job(18_010, larger));
        before.settled_in_part(18_010);
        after.push(job(5, SIZE));
        drop(decoding_is_behind);
        while next(&announced) != (track(1), 5) {}
        assert_eq!(former.canvas().size(), Canvas::new().size(), "nothing was drawn");
        assert_eq!(newcomer.canvas().size(), SIZE);
    }

    #[test]
    fn at_the_end_nobody_waits_for_what_is_not_decoded_yet() {
        let (announced, pool) = (FairQueue::newest(), DecoderThreads::new(1).unwrap());
        let (reel, large) = (SharedReel::new(track(0), &announced), Size { width: 4096, height: 4096 });
        let inlet = pool.inlet(reel);
        let mut large = job(0, large).slice;
        large.count = 41;
        (0..40).for_each(|_| inlet.push(Job { slice: large.clone(), ..job(0, SIZE) }));
        let jobs = pool.shared.jobs.clone();
        drop(pool);
        assert!(jobs.take().is_none(), "what waits is dropped");
    }
}
