//! Slices → canvas, on several threads, each slice as it comes.
//!
//! Which are worth decoding and when a picture is ready decides [`Reel`]; only the newest ready picture of a track is kept for
//! the screen. Tracks take turns. Capacity: [`WAITING`] slices a track, all of [`WAITING_BYTES`]; when decoding is that far
//! behind, the oldest of the track are dropped.
//!
//! A picture may have only what is new in it. So of each slice that came whole and is not drawn, whyever, its sender is told.

use super::back::Back;
use super::fair_queue::{FairQueue, Lane};
use super::sharpness::Sharpness;
use crate::codec::decoder::{self, Decoded, Decoder, RgbMut};
use crate::codec::raw;
use crate::codec::shrink::Shrink;
use crate::present::canvas::{BandMut, Canvas, Refused};
use crate::threads::{join, lock, wait_while};
use eyeline_proto::media::reel::{self, Reel, Turn};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::session::{Command, TrackId};
use eyeline_proto::wire::slice::Head;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Slices of a track waiting to be decoded: two pictures of as many slices as there can be.
const WAITING: usize = 2 * eyeline_proto::wire::slice::MAX_SLICES;

/// Bytes of those of all tracks: more than two pictures of any camera; a slice may have 4 MiB.
const WAITING_BYTES: usize = 64 << 20;

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
    sharpness: Mutex<Sharpness>,
    back: Back,
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
    /// Nothing of this track has come yet. What of it is not drawn is told `back`.
    pub fn new(id: TrackId, announced: &Announced, back: &Back) -> Arc<Self> {
        let (canvas, reel, ready, back) = (Arc::default(), Mutex::default(), announced.lane(), back.clone());
        Arc::new(SharedReel { id, canvas, reel, ready, sharpness: Mutex::default(), back })
    }

    /// Where its pictures are drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    /// It is seen on so many pixels from its next picture on; `None`: on as many as it has.
    pub fn seen_on(&self, pixels: Option<u32>) {
        let is_blurred = lock(&self.sharpness).seen_on(pixels);
        if is_blurred {
            self.back.tell(Command::Refresh(self.id));
        }
    }

    /// A slice of this picture came whole and is not drawn. Called under no lock of ours: it may wait for the net thread.
    pub fn missed(&self, picture: u64) {
        let tell = lock(&self.reel).missed(picture);
        if tell {
            self.back.tell(Command::Missed(self.id, picture));
        }
    }

    /// This is not decoded. Of what came of an unfinished slice the session knows itself that it is not whole.
    fn dropped(&self, job: &Job) {
        if job.present.is_none() {
            self.missed(job.slice.picture);
        }
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
        // Closed only when the program ends: then nobody need be told.
        let replaced = self.lane.push(Waiting { reel: self.reel.clone(), job }).unwrap_or_default();
        replaced.iter().for_each(|waiting| self.reel.dropped(&waiting.job));
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
                Turn::PassOver => {
                    self.passed_over.fetch_add(1, Ordering::Relaxed);
                    reel.dropped(&job);
                }
                Turn::Ended => {}
            }
        }
    }
}

impl SharedReel {
    fn decode(&self, decoder: &mut Decoder, job: &Job) {
        let head = job.slice.head();
        let all = match self.draw(decoder, job, &head) {
            Ok(all) => all,
            Err(error) => {
                tracing::debug!("a slice of picture {} did not decode: {error}", job.slice.picture);
                return self.dropped(job);
            }
        };
        if !all {
            self.dropped(job);
        }
        if job.present.is_none() {
            self.count(job, &head);
        }
    }

    /// Whether nothing lacks afterwards of what the slice has.
    fn draw(&self, decoder: &mut Decoder, job: &Job, head: &Head<'_>) -> Result<bool, decoder::Error> {
        let (mut band, shrink) = match self.band(job.slice.picture, head) {
            Ok(band) => band,
            Err(refused) => return Ok(refused == Refused::Late),
        };
        let stride = band.stride();
        let rgb = RgbMut { out: band.pixels(), stride, shrink };
        let decoded = match &job.present {
            None => decoder.decode_rgb(&job.slice, rgb),
            Some((present, ended)) => decoder.decode_rgb_part(&job.slice, present, *ended, rgb),
        };
        let all = matches!(decoded, Ok(Decoded { partial: false, .. }));
        if !all {
            // What is good of it is drawn, the rest shows what was there; it does not count as new.
            band.abort();
        }
        decoded.map(|_| all)
    }

    /// Where on the canvas a slice is drawn, and how it is made smaller.
    fn band(&self, picture: u64, head: &Head<'_>) -> Result<(BandMut<'_>, Shrink), Refused> {
        let shrink = || lock(&self.sharpness).of(picture, head.size);
        let mut before = shrink();
        loop {
            match self.canvas.band(picture, head, before.divisor()) {
                Ok(band) => return Ok((band, before)),
                Err(refused) => {
                    // Another thread may have begun a newer picture meanwhile, of another size.
                    let now = shrink();
                    if refused == Refused::Late || now == before {
                        return Err(refused);
                    }
                    before = now;
                }
            }
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
#[path = "decode_tests.rs"]
mod tests;
