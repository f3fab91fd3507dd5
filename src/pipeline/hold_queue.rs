//! The thread around [`HoldQueue`]: slices that are due already, and all while nothing is held, pass on the net thread's call; the others
//! when their time has come.

use super::decode::{self, Job, SharedReel};
use super::lock;
use eyeline_proto::media::hold_queue::HoldQueue;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

enum Item {
    Slice(Job),
    SettledInPart(Arc<SharedReel>, u64),
}

#[derive(Default)]
struct State {
    queue: HoldQueue<Item>,
    /// The thread is handing on what it took: nothing may overtake it.
    passing: bool,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    inlet: decode::Inlet,
}

/// Puts slices in; cheap to clone.
#[derive(Clone)]
pub struct Inlet(Arc<Shared>);

/// Dropping it drops what waits, and joins.
pub struct Thread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Inlet {
    /// What passes goes to `inlet`.
    pub fn new(inlet: decode::Inlet) -> std::io::Result<(Inlet, Thread)> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), inlet });
        let ours = shared.clone();
        let thread = thread::Builder::new().name("hold".into()).spawn(move || ours.keep())?;
        Ok((Inlet(shared.clone()), Thread { shared, thread: Some(thread) }))
    }

    /// A slice of a picture that is to be seen at `due`, or at once.
    pub fn push(&self, job: Job, due: Option<Instant>) {
        self.0.pass(Item::Slice(job), due);
    }

    /// Nothing more will come of this picture; what came of it may wait here.
    pub fn settled_in_part(&self, reel: &Arc<SharedReel>, picture: u64) {
        self.0.pass(Item::SettledInPart(reel.clone(), picture), None);
    }

    /// Another sender: what waits is of the last one.
    pub fn clear(&self) {
        lock(&self.0.state).queue.clear();
    }

    /// A picture was shown so long after its last slice was let go.
    pub fn took(&self, lead: Duration) {
        lock(&self.0.state).queue.took(lead);
    }
}

impl Shared {
    fn pass(&self, item: Item, due: Option<Instant>) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if !state.passing && state.queue.passes(now, due) {
            // Still under the lock: the thread finds nothing meanwhile. What is not held was released as it came.
            return self.hand_on(item);
        }
        state.queue.push(now, due, item.len(), item);
        drop(state);
        self.changed.notify_one();
    }

    fn hand_on(&self, item: Item) {
        match item {
            Item::Slice(job) => self.inlet.push(job),
            Item::SettledInPart(reel, picture) => self.inlet.settled_in_part(&reel, picture),
        }
    }

    fn keep(&self) {
        let mut state = lock(&self.state);
        while !state.closed {
            let now = Instant::now();
            if let Some(mut item) = state.queue.pop(now) {
                state.passing = true;
                drop(state);
                if let Item::Slice(job) = &mut item {
                    job.released = Instant::now();
                }
                self.hand_on(item);
                state = lock(&self.state);
                state.passing = false;
                continue;
            }
            state = match state.queue.deadline() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => self.changed.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Item::Slice(job) => job.body.len(),
            Item::SettledInPart(..) => 0,
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        if let Some(Err(payload)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::decode::Pool;
    use crate::slot::Slot;
    use eyeline_proto::session::TrackId;
    use std::sync::mpsc;

    /// A queue before a pool that decodes nothing; the bodies come back in the order in which they passed.
    fn queue() -> (Inlet, Thread, Pool, mpsc::Receiver<(Instant, Vec<u8>)>) {
        let (to, passed) = mpsc::channel();
        let recycle = move |body| to.send((Instant::now(), body)).unwrap();
        let pool = Pool::new(1, Slot::newest(), recycle).unwrap();
        let (inlet, thread) = Inlet::new(pool.inlet()).unwrap();
        (inlet, thread, pool, passed)
    }

    fn job(number: u8, len: usize) -> Job {
        let (received, present) = (Instant::now(), None);
        let body = [&[number][..], &vec![0; len]].concat();
        let reel = SharedReel::new(TrackId::default());
        Job { reel, picture: u64::from(number), count: 1, body, start: 0, present, received, released: received }
    }

    #[test]
    fn what_is_due_passes_at_once_and_what_is_not_waits_for_its_time_in_order() {
        let (inlet, _thread, _pool, passed) = queue();
        let start = Instant::now();
        inlet.push(job(0, 10), None);
        assert_eq!(passed.recv().unwrap().1[0], 0);
        inlet.push(job(1, 10), Some(start + Duration::from_millis(60)));
        inlet.push(job(2, 10), Some(start + Duration::from_millis(120)));
        inlet.settled_in_part(&SharedReel::new(TrackId::default()), 2);
        inlet.push(job(3, 10), None);
        for (number, after) in [(1, 60), (2, 120), (3, 120)] {
            let (at, body) = passed.recv().unwrap();
            assert_eq!(body[0], number);
            assert!(at >= start + Duration::from_millis(after), "{number} passed {:?} after the start", at - start);
        }
    }
}
