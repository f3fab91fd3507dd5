//! Slices → canvas, on several threads, each slice as it comes.
//!
//! A picture is *ready* when its last slice is decoded, or, in part, when the session settles it without the rest. Only the newest
//! ready picture is kept for the screen. Capacity: [`WAITING`] slices; when decoding is that far behind, the oldest are dropped, and
//! newer pictures cover the place. After a stall (the process stopped, a window that blocked) the sockets give seconds of pictures at
//! once: those that did not begin to be decoded and are two behind the newest are passed over.

use crate::codec::decoder::Decoder;
use crate::picture::Size;
use crate::present::canvas::Canvas;
use crate::slot::Slot;
use crate::time::MediaTime;
use crate::wire::slice::Head;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Slices waiting to be decoded: two pictures of as many slices as there can be.
const WAITING: usize = 2 * crate::wire::slice::MAX_SLICES;

/// Pictures whose slices are counted at once: the session assembles two, and one more may be in the queue.
const COUNTED: usize = 8;

/// One slice to decode.
pub struct Job {
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
    /// The picture's number.
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

struct Shared {
    canvas: Arc<Canvas>,
    counts: Mutex<VecDeque<Count>>,
    ready: Arc<Slot<Ready>>,
    jobs: Arc<Slot<Job>>,
    recycle: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    newest: Mutex<Option<u64>>,
    order: Mutex<Order>,
    passed_over: AtomicU64,
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

/// The threads; dropping it joins them.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `workers` threads decode into `canvas` and announce on `ready`; used buffers go to `recycle`.
    pub fn new(
        workers: usize,
        canvas: Arc<Canvas>,
        ready: Arc<Slot<Ready>>,
        recycle: impl Fn(Vec<u8>) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let jobs = Slot::dropping(WAITING);
        let shared = Arc::new(Shared {
            canvas,
            counts: Mutex::default(),
            ready,
            jobs,
            recycle: Box::new(recycle),
            newest: Mutex::default(),
            order: Mutex::default(),
            passed_over: AtomicU64::new(0),
        });
        let mut pool = Pool { shared, threads: Vec::new() };
        for number in 0..workers {
            let (shared, decoder) = (pool.shared.clone(), Decoder::new()?);
            let thread = thread::Builder::new().name(format!("decode-{number}"));
            pool.threads.push(thread.spawn(move || shared.serve(decoder))?);
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
        self.shared.jobs.close();
        for thread in self.threads.drain(..) {
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
        lock(&self.0.order).came(job.picture);
        // Closed only when the program ends.
        let _ = self.0.jobs.push(job);
    }

    /// Nothing more will come of this picture: show what there is.
    pub fn settled_in_part(&self, picture: u64) {
        let mut counts = lock(&self.0.counts);
        if let Some(count) = counts.iter_mut().find(|count| count.ready.picture == picture) {
            self.0.announce(count);
        }
    }

    /// Another sender: its numbers start afresh.
    pub fn start_over(&self) {
        lock(&self.0.counts).clear();
        *lock(&self.0.newest) = None;
        *lock(&self.0.order) = Order::default();
        self.0.canvas.forget_numbers();
    }
}

impl Shared {
    fn serve(&self, mut decoder: Decoder) {
        while let Some(job) = self.jobs.take() {
            if lock(&self.order).begins(job.picture) {
                self.decode(&mut decoder, &job);
            } else {
                self.passed_over.fetch_add(1, Ordering::Relaxed);
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
        if let Some(mut band) = self.canvas.band(job.picture, head.size, rows) {
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
        let mut counts = lock(&self.counts);
        let place = match counts.iter().position(|count| count.ready.picture == job.picture) {
            Some(place) => place,
            None => {
                if counts.len() == COUNTED {
                    counts.pop_front();
                }
                let ready = Ready {
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
                counts.push_back(Count { ready, done: 0, of: job.count, announced: false });
                counts.len() - 1
            }
        };
        let count = &mut counts[place];
        count.done += 1;
        count.ready.encoded = count.ready.encoded.max(head.encoded);
        count.ready.received = count.ready.received.max(job.received);
        count.ready.released = count.ready.released.max(job.released);
        count.ready.decoded = decoded;
        if count.done == count.of {
            count.ready.whole = true;
            self.announce(count);
        }
    }

    fn announce(&self, count: &mut Count) {
        if count.announced {
            return;
        }
        count.announced = true;
        let mut newest = lock(&self.newest);
        if newest.is_none_or(|newest| newest < count.ready.picture) {
            *newest = Some(count.ready.picture);
            // Closed only when the program ends.
            let _ = self.ready.push(count.ready);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

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
