//! Slices → canvas, on several threads, each slice as it comes.
//!
//! A picture is *ready* when its last slice is decoded, or, in part, when the session settles it without the rest. Only the
//! newest ready picture is kept for the screen. Capacity: [`WAITING`] slices of [`WAITING_BYTES`]; when decoding is that far
//! behind, the oldest are dropped, and newer pictures cover the place. After a stall (the process stopped, a window that
//! blocked) the sockets give seconds of pictures at once: those that did not begin to be decoded and are two behind the newest
//! are passed over.

use crate::codec::decoder::Decoder;
use crate::present::canvas::Canvas;
use crate::slot::Slot;
use eyeline_proto::picture::Size;
use eyeline_proto::session::receiver::SenderId;
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::Head;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Slices waiting to be decoded: two pictures of as many slices as there can be.
const WAITING: usize = 2 * eyeline_proto::wire::slice::MAX_SLICES;

/// Their bytes: more than two pictures of any camera; a slice may have 4 MiB.
const WAITING_BYTES: usize = 64 << 20;

/// Pictures whose slices are counted at once: the session assembles two, and one more may be in the queue.
const COUNTED: usize = 8;

/// At the end a thread has so long to finish its slice.
const PATIENCE: Duration = Duration::from_millis(200);

/// One slice to decode.
pub struct Job {
    /// Whose picture it is of.
    pub reel: Arc<Reel>,
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

/// A picture on the canvas, with the moments of its way.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Whose picture it is.
    pub sender: SenderId,
    /// Its number.
    pub picture: u64,
    /// Its size.
    pub size: Size,
    /// When the light was caught, on the sender's clock.
    pub capture: MediaTime,
    /// From capture to the encoder.
    pub queued: Duration,
    /// From there until its last slice was encoded.
    pub encoded: Duration,
    /// When its last slice came.
    pub received: Instant,
    /// When that was let go to be decoded.
    pub released: Instant,
    /// When that was decoded.
    pub decoded: Instant,
    /// Nothing is missing.
    pub whole: bool,
}

struct Count {
    ready: Ready,
    done: u8,
    of: u8,
    announced: bool,
}

/// One sender's pictures: the canvas they go to, what is counted of them, which are worth decoding. Another sender counts its
/// pictures from its own start, so it gets a reel of its own; what is under way of the one before goes to the one before.
pub struct Reel {
    sender: SenderId,
    canvas: Arc<Canvas>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Another sender is shown.
    ended: bool,
    order: Order,
    counts: VecDeque<Count>,
    /// The newest picture that was announced.
    newest: Option<u64>,
}

struct Shared {
    ready: Arc<Slot<Ready>>,
    jobs: Arc<Slot<Job>>,
    recycle: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    passed_over: AtomicU64,
    running: Mutex<usize>,
    ended: Condvar,
}

/// Which pictures are worth decoding. One that began is finished, so that a slow decoder shows whole pictures, too.
#[derive(Default)]
struct Order {
    newest: u64,
    begun: Option<u64>,
}

impl Order {
    fn came(&mut self, picture: u64) {
        self.newest = self.newest.max(picture);
    }

    /// Whether this picture is (still) worth decoding.
    fn begins(&mut self, picture: u64) -> bool {
        if self.begun.is_some_and(|begun| picture <= begun) {
            return true;
        }
        let worth = picture + 1 >= self.newest;
        if worth {
            self.begun = Some(picture);
        }
        worth
    }
}

impl Reel {
    /// Nothing of this sender has come yet.
    pub fn new(sender: SenderId) -> Arc<Self> {
        Arc::new(Reel { sender, canvas: Arc::default(), state: Mutex::default() })
    }

    /// Whose it is.
    pub fn sender(&self) -> SenderId {
        self.sender
    }

    /// Where its pictures are drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    /// Another sender is shown: nothing more of this one is decoded or gets ready.
    pub fn end(&self) {
        lock(&self.state).ended = true;
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
    ) -> anyhow::Result<Self> {
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
        lock(&job.reel.state).order.came(job.picture);
        // Closed only when the program ends.
        let _ = self.0.jobs.push(job);
    }

    /// Nothing more will come of this picture: show what there is.
    pub fn settled_in_part(&self, reel: &Reel, picture: u64) {
        let mut state = lock(&reel.state);
        if let Some(place) = state.counts.iter().position(|count| count.ready.picture == picture) {
            state.announce(place, &self.0.ready);
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
            let begins = lock(&job.reel.state).begins(job.picture);
            match begins {
                Some(true) => self.decode(&mut decoder, &job),
                Some(false) => drop(self.passed_over.fetch_add(1, Ordering::Relaxed)),
                None => {}
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
        let decoded = Instant::now();
        let mut state = lock(&job.reel.state);
        let place = match state.counts.iter().position(|count| count.ready.picture == job.picture) {
            Some(place) => place,
            None => {
                if state.counts.len() == COUNTED {
                    state.counts.pop_front();
                }
                let ready = Ready {
                    sender: job.reel.sender,
                    picture: job.picture,
                    size: head.size,
                    capture: head.capture,
                    queued: head.queued,
                    encoded: head.encoded,
                    received: job.received,
                    released: job.released,
                    decoded,
                    whole: false,
                };
                state.counts.push_back(Count { ready, done: 0, of: job.count, announced: false });
                state.counts.len() - 1
            }
        };
        let count = &mut state.counts[place];
        count.done = count.done.saturating_add(1);
        count.ready.encoded = count.ready.encoded.max(head.encoded);
        count.ready.received = count.ready.received.max(job.received);
        count.ready.released = count.ready.released.max(job.released);
        count.ready.decoded = decoded;
        if count.done == count.of {
            count.ready.whole = true;
            state.announce(place, &self.ready);
        }
    }
}

impl State {
    /// Whether this picture is worth decoding; `None`: nothing of this sender is any more.
    fn begins(&mut self, picture: u64) -> Option<bool> {
        (!self.ended).then(|| self.order.begins(picture))
    }

    /// The picture counted at `place` is ready, where it is not older than one that was.
    fn announce(&mut self, place: usize, ready: &Slot<Ready>) {
        let Some(count) = self.counts.get_mut(place).filter(|count| !count.announced && !self.ended) else { return };
        count.announced = true;
        if self.newest.is_none_or(|newest| newest < count.ready.picture) {
            self.newest = Some(count.ready.picture);
            // Closed only when the program ends.
            let _ = ready.push(count.ready);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing;
    use crate::slot::Taken;
    use eyeline_proto::picture::Sampling;
    use std::sync::mpsc;

    const SIZE: Size = Size { width: 16, height: 16 };

    /// A picture of one slice.
    fn job(reel: &Arc<Reel>, picture: u64, size: Size) -> Job {
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
        let (former, newcomer) = (Reel::new(SenderId(0)), Reel::new(SenderId(1)));
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
        while seen.last() != Some(&(SenderId(1), 5)) {
            let Taken::Value(ready) = ready.take_until(Instant::now() + Duration::from_secs(20), Instant::now) else {
                panic!("after {seen:?} nothing more gets ready");
            };
            seen.push((ready.sender, ready.picture));
        }
        assert_eq!(seen, [(SenderId(0), 17_999), (SenderId(1), 4), (SenderId(1), 5)], "of a backlog the newest two");
        assert_eq!(newcomer.canvas().coverage().newest, Some(5));
        assert_eq!(newcomer.canvas().size(), SIZE);
    }

    #[test]
    fn at_the_end_nobody_waits_for_what_is_not_decoded_yet() {
        let (tell, told) = mpsc::channel::<usize>();
        let pool = Pool::new(1, Slot::newest(), move |body: Vec<u8>| tell.send(body.len()).unwrap_or_default()).unwrap();
        let (reel, inlet, large) = (Reel::new(SenderId(0)), pool.inlet(), Size { width: 4096, height: 4096 });
        let first = job(&reel, 0, large);
        for picture in 0..40 {
            let (received, body) = (first.received, first.body.clone());
            let released = received;
            inlet.push(Job { reel: reel.clone(), picture, count: 1, body, start: 0, present: None, received, released });
        }
        drop((pool, inlet));
        assert!(told.iter().count() < 5, "nearly all was dropped");
    }

    #[test]
    fn of_a_backlog_only_the_newest_is_decoded_and_what_began_is_finished() {
        let mut order = Order::default();
        order.came(10);
        assert!(order.begins(10));
        (11..=130).for_each(|picture| order.came(picture));
        assert!(order.begins(10), "its other slices");
        let worth: Vec<u64> = (11..=130).filter(|picture| order.begins(*picture)).collect();
        assert_eq!(worth, [129, 130]);
    }

    #[test]
    fn a_decoder_that_never_keeps_up_still_shows_every_other_picture_or_so() {
        let (mut order, mut worth) = (Order::default(), Vec::new());
        // Three pictures come while one is decoded.
        for picture in 0..300 {
            order.came((picture + 1) * 3);
            let next = worth.last().map_or(0, |last| last + 1);
            worth.extend((next..=(picture + 1) * 3).find(|picture| order.begins(*picture)));
        }
        assert!(worth.len() == 300 && worth.last() >= Some(&896), "{:?}", worth.last());
    }
}
