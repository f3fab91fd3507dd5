//! Slices → canvas, on several threads, each slice as it comes.
//!
//! Which are worth decoding and when a picture is ready decides [`Reel`]; only the newest ready picture is kept for the screen.
//! Capacity: [`WAITING`] slices of [`WAITING_BYTES`]; when decoding is that far behind, the oldest are dropped, and newer pictures
//! cover the place.

use super::lock;
use crate::codec::decoder::Decoder;
use crate::codec::raw;
use crate::present::canvas::Canvas;
use crate::slot::Slot;
use eyeline_proto::media::reel::{self, Reel, Turn};
use eyeline_proto::session::TrackId;
use eyeline_proto::wire::slice::Head;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Slices waiting to be decoded: two pictures of as many slices as there can be.
const WAITING: usize = 2 * eyeline_proto::wire::slice::MAX_SLICES;

/// Their bytes: more than two pictures of any camera; a slice may have 4 MiB.
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
    /// Whose picture it is of, and where it goes.
    pub reel: Arc<SharedReel>,
    /// The picture's number.
    pub picture: u64,
    /// Slices the picture has.
    pub count: u8,
    /// Head and scan.
    pub body: Vec<u8>,
    /// Where head and scan start in `body`.
    pub start: usize,
    /// Of an unfinished slice, the ranges of `body` that came, and whether its end did.
    pub present: Option<(Vec<Range<usize>>, bool)>,
    /// When it was whole, or given up.
    pub received: Instant,
    /// When it was let go to be decoded: then, or later where pictures are held.
    pub released: Instant,
}

/// A picture on a canvas.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Whose it is.
    pub track: TrackId,
    /// What it is, with the moments of its way.
    pub picture: reel::Ready,
}

/// One sender's [`Reel`] and the canvas its pictures go to. What is under way of a sender goes to its own when another is shown.
pub struct SharedReel {
    track: TrackId,
    canvas: Arc<Canvas>,
    reel: Mutex<Reel>,
}

struct Shared {
    ready: Arc<Slot<Ready>>,
    jobs: Arc<Slot<Job>>,
    recycle: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    passed_over: AtomicU64,
    running: Mutex<usize>,
    ended: Condvar,
}

impl SharedReel {
    /// Nothing of this sender has come yet.
    pub fn new(track: TrackId) -> Arc<Self> {
        Arc::new(SharedReel { track, canvas: Arc::default(), reel: Mutex::default() })
    }

    /// Whose it is.
    pub fn track(&self) -> TrackId {
        self.track
    }

    /// Where its pictures are drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    /// Another sender is shown: nothing more of this one is decoded or gets ready.
    pub fn end(&self) {
        lock(&self.reel).end();
    }
}

/// The threads. Dropping it drops what waits and joins them; one that is still at a picture after [`PATIENCE`] is left behind.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `workers` threads decode and announce on `ready`; used buffers go to `recycle`.
    pub fn new(
        workers: usize,
        ready: Arc<Slot<Ready>>,
        recycle: impl Fn(Vec<u8>) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let jobs = Slot::dropping_bytes(WAITING, WAITING_BYTES, |job: &Job| job.body.len());
        let shared = Arc::new(Shared {
            ready,
            jobs,
            recycle: Box::new(recycle),
            passed_over: AtomicU64::new(0),
            running: Mutex::new(0),
            ended: Condvar::new(),
        });
        let mut pool = Pool { shared, threads: Vec::new() };
        for number in 0..workers {
            let (shared, decoder) = (pool.shared.clone(), Decoder::new()?);
            let thread = thread::Builder::new().name(format!("decode-{number}"));
            pool.threads.push(thread.spawn(move || shared.serve(decoder))?);
            *lock(&pool.shared.running) += 1;
        }
        Ok(pool)
    }

    /// Where jobs go; cheap to clone, for the net thread.
    pub fn inlet(&self) -> Inlet {
        Inlet(self.shared.clone())
    }

    /// Slices dropped because decoding was behind.
    pub fn dropped(&self) -> u64 {
        self.shared.jobs.dropped() + self.shared.passed_over.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.jobs.discard();
        let running = lock(&self.shared.running);
        // A large picture takes a second to decode; nobody waits for it at the end.
        let waited = self.shared.ended.wait_timeout_while(running, PATIENCE, |running| *running > 0);
        let all = waited.is_ok_and(|(running, _)| *running == 0);
        for thread in self.threads.drain(..).filter(|thread| all || thread.is_finished()) {
            if let Err(payload) = thread.join()
                && !thread::panicking()
            {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

/// Puts slices in.
#[derive(Clone)]
pub struct Inlet(Arc<Shared>);

impl Inlet {
    /// Decode this.
    pub fn push(&self, job: Job) {
        lock(&job.reel.reel).came(job.picture);
        // Closed only when the program ends.
        let _ = self.0.jobs.push(job);
    }

    /// Nothing more will come of this picture: show what there is.
    pub fn settled_in_part(&self, reel: &SharedReel, picture: u64) {
        let mut pictures = lock(&reel.reel);
        if let Some(ready) = pictures.settled_in_part(picture) {
            self.0.announce(reel.track, ready);
        }
    }
}

impl Shared {
    fn serve(&self, mut decoder: Decoder) {
        /// However it ends, nobody waits for this thread any more.
        struct Running<'a>(&'a Shared);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                *lock(&self.0.running) -= 1;
                self.0.ended.notify_all();
            }
        }
        let _running = Running(self);
        while let Some(job) = self.jobs.take() {
            let turn = lock(&job.reel.reel).turn(job.picture);
            match turn {
                Turn::Decode => self.decode(&mut decoder, &job),
                Turn::PassOver => drop(self.passed_over.fetch_add(1, Ordering::Relaxed)),
                Turn::Ended => {}
            }
            (self.recycle)(job.body);
        }
    }

    fn decode(&self, decoder: &mut Decoder, job: &Job) {
        let body = &job.body[job.start..];
        let head = match Head::decode(body) {
            Ok((head, _)) => head,
            Err(error) => {
                tracing::debug!("a slice of picture {} was no slice: {error}", job.picture);
                return;
            }
        };
        let rows = u32::from(head.top)..u32::from(head.top) + u32::from(head.rows);
        if let Some(mut band) = job.reel.canvas.band(job.picture, head.size, rows) {
            let stride = band.stride();
            let decoded = match &job.present {
                None => decoder.decode_rgb(body, band.pixels(), stride),
                Some((present, ended)) => decoder.decode_rgb_part(body, present, *ended, band.pixels(), stride),
            };
            match decoded {
                Ok(decoded) if !decoded.partial => drop(band),
                // Good rows are drawn, the others show what was there; the band as a whole does not count as new.
                Ok(_) => band.abort(),
                Err(error) => {
                    band.abort();
                    tracing::debug!("a slice of picture {} did not decode: {error}", job.picture);
                    return;
                }
            }
        }
        if job.present.is_none() {
            self.count(job, &head);
        }
    }

    fn count(&self, job: &Job, head: &Head<'_>) {
        let Job { picture, count, received, released, .. } = *job;
        let mut pictures = lock(&job.reel.reel);
        let slice = reel::Decoded { picture, count, head, received, released, decoded: Instant::now() };
        if let Some(ready) = pictures.decoded(&slice) {
            self.announce(job.reel.track, ready);
        }
    }

    /// Under the lock of the sender's reel: of two that get ready at once the newer is told last.
    fn announce(&self, track: TrackId, picture: reel::Ready) {
        // Closed only when the program ends.
        let _ = self.ready.push(Ready { track, picture });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing;
    use crate::slot::Taken;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::session::PeerId;
    use std::sync::mpsc;

    const SIZE: Size = Size { width: 16, height: 16 };

    fn track(peer: u64) -> TrackId {
        TrackId::only(PeerId(peer))
    }

    /// A picture of one slice.
    fn job(reel: &Arc<SharedReel>, picture: u64, size: Size) -> Job {
        let planes = testing::planes(size, Sampling::Grey, picture);
        let body = testing::slice(&planes, &testing::head(size, Sampling::Grey, 80, 0, size.height));
        let (received, present) = (Instant::now(), None);
        Job { reel: reel.clone(), picture, count: 1, body, start: 0, present, received, released: received }
    }

    /// A sender that has counted far is started again while decoding is behind: what of it waits, and what comes after its end,
    /// takes no place from the pictures of the new one, which are counted from 0.
    #[test]
    fn a_sender_that_is_started_again_is_seen_at_once_however_far_decoding_is_behind() {
        // A decoder that is slow as long as we want: it gives its first buffer back only when it is let.
        let (go, gate) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel::<usize>();
        let gate = Mutex::new(gate);
        let ready = Slot::dropping(64);
        let recycle = move |body: Vec<u8>| {
            let _ = tell.send(body.len());
            let _ = lock(&gate).recv();
        };
        let pool = Pool::new(1, ready.clone(), recycle).unwrap();
        let (former, newcomer) = (SharedReel::new(track(0)), SharedReel::new(track(1)));
        let inlet = pool.inlet();
        inlet.push(job(&former, 17_999, SIZE));
        told.recv().unwrap();
        let larger = Size { width: 32, height: 16 };
        (18_000..18_010).for_each(|picture| inlet.push(job(&former, picture, larger)));
        former.end();
        (0..5).for_each(|picture| inlet.push(job(&newcomer, picture, SIZE)));
        // What a thread had in its hands when the sender changed.
        inlet.push(job(&former, 18_010, larger));
        inlet.settled_in_part(&former, 18_010);
        inlet.push(job(&newcomer, 5, SIZE));
        drop(go);
        let mut seen = Vec::new();
        while seen.last() != Some(&(track(1), 5)) {
            let Taken::Value(ready) = ready.take_until(Instant::now() + Duration::from_secs(20), Instant::now) else {
                panic!("after {seen:?} nothing more gets ready");
            };
            seen.push((ready.track, ready.picture.picture));
        }
        assert_eq!(seen, [(track(0), 17_999), (track(1), 4), (track(1), 5)], "of a backlog the newest two");
        assert_eq!(newcomer.canvas().coverage().newest, Some(5));
        assert_eq!(newcomer.canvas().size(), SIZE);
    }

    #[test]
    fn at_the_end_nobody_waits_for_what_is_not_decoded_yet() {
        let (tell, told) = mpsc::channel::<usize>();
        let pool = Pool::new(1, Slot::newest(), move |body: Vec<u8>| tell.send(body.len()).unwrap_or_default()).unwrap();
        let (reel, inlet, large) = (SharedReel::new(track(0)), pool.inlet(), Size { width: 4096, height: 4096 });
        let first = job(&reel, 0, large);
        for picture in 0..40 {
            let (received, body) = (first.received, first.body.clone());
            let released = received;
            inlet.push(Job { reel: reel.clone(), picture, count: 1, body, start: 0, present: None, received, released });
        }
        drop((pool, inlet));
        assert!(told.iter().count() < 5, "nearly all was dropped");
    }
}
