//! Watches that a camera's pictures come, and does what can be done when they do not.
//!
//! A driver that stalls blocks its reader for ever, so the reader is never waited for without a limit. After
//! [`PATIENCE`] without a picture its wait is interrupted, which makes it restart the stream, then the camera; a reader that
//! does not even answer to that is left behind, holding whatever it holds, and a new one tries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::reader::{Orders, Reader};
use super::{Chosen, Counters, Error, Plan};
use crate::slot::Slot;
use eyeline_proto::picture::Picture;

/// Without a picture for this long a camera counts as stalled (or four of its picture periods, if it is that slow).
const PATIENCE: Duration = Duration::from_secs(2);
/// Before its first picture a camera may need longer: some take seconds to wake.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// Attempts to wake a camera that stays silent become this rare.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// A driver that opens a camera for longer than this hangs.
const OPENING: Duration = Duration::from_secs(10);
/// How long a reader may take to answer or to stop before it is left behind.
const LET_GO: Duration = Duration::from_millis(200);
/// `missed` while the source cannot say.
const UNKNOWN: u64 = u64::MAX;

/// The live counters.
pub(super) struct Count {
    pub pictures: AtomicU64,
    pub damaged: AtomicU64,
    pub reopened: AtomicU64,
    missed: AtomicU64,
}

impl Count {
    pub fn set_missed(&self, missed: Option<u64>) {
        self.missed.store(missed.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    stop: bool,
    /// The reader in charge has ended.
    ended: bool,
    chosen: Option<Chosen>,
    failed: Option<Error>,
    /// A reader was left behind in its driver.
    left_behind: bool,
}

/// What the reader, its watch and the camera's owner share.
pub(super) struct Shared {
    pictures: Arc<Slot<Picture>>,
    state: Mutex<State>,
    changed: Condvar,
    count: Count,
    started: Instant,
    /// Nanoseconds from `started` to the last picture.
    last_picture: AtomicU64,
}

impl Shared {
    fn new(pictures: Arc<Slot<Picture>>) -> Self {
        let zero = || AtomicU64::new(0);
        let count = Count { pictures: zero(), damaged: zero(), reopened: zero(), missed: AtomicU64::new(UNKNOWN) };
        let (state, changed) = (Mutex::default(), Condvar::new());
        Shared { pictures, state, changed, count, started: Instant::now(), last_picture: zero() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section is an assignment or two: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self) -> &Count {
        &self.count
    }

    pub fn pictures(&self) -> &Slot<Picture> {
        &self.pictures
    }

    /// Hands a picture on.
    pub fn give(&self, picture: Picture) {
        self.last_picture.store(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
        self.count.pictures.fetch_add(1, Ordering::Relaxed);
        // A closed slot is seen by the reader after each buffer.
        let _ = self.pictures.push(picture);
    }

    /// Since the last picture, or the start.
    pub fn silence(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_nanos(self.last_picture.load(Ordering::Acquire)))
    }

    pub fn opened(&self, orders: &Orders, chosen: Chosen) {
        if !orders.stopped() {
            self.lock().chosen = Some(chosen);
            self.changed.notify_all();
        }
    }

    pub fn was_opened(&self) -> bool {
        self.lock().chosen.is_some()
    }

    pub fn left_behind(&self) -> bool {
        self.lock().left_behind
    }

    /// The camera is gone for good; what a reader that was left behind says no longer counts.
    pub fn fail(&self, orders: &Orders, error: Error) {
        if !orders.stopped() {
            self.lock().failed.get_or_insert(error);
            self.pictures.close();
            self.changed.notify_all();
        }
    }

    pub fn ended(&self, orders: &Orders) {
        if !orders.stopped() {
            self.lock().ended = true;
        }
        self.changed.notify_all();
    }

    pub fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Waits for `time`, or until `over` (which is asked whenever something changed).
    pub fn pause(&self, time: Duration, over: impl Fn() -> bool) {
        let waiting = self.changed.wait_timeout_while(self.lock(), time, |_| !over());
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for `time`, or until the state is `wanted`; whether it is.
    fn wait(&self, time: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !wanted(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A streaming camera's threads. Dropped, they are stopped.
pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Opens the camera and waits until it streams.
    pub fn start(plan: &Plan, pictures: Arc<Slot<Picture>>) -> Result<(Watch, Chosen), Error> {
        let shared = Arc::new(Shared::new(pictures));
        let reader = Reader::spawn(&shared, plan)?;
        shared.wait(OPENING, |state| state.chosen.is_some() || state.failed.is_some());
        let (chosen, failed) = {
            let state = shared.lock();
            (state.chosen.clone(), state.failed.clone())
        };
        let Some(chosen) = chosen.filter(|_| failed.is_none()) else {
            reader.stop(&shared, LET_GO);
            return Err(failed.unwrap_or(Error::Hangs { device: plan.chosen.device.clone() }));
        };
        let thread = {
            let (shared, plan) = (shared.clone(), plan.clone());
            std::thread::Builder::new().name("camera-watch".to_string()).spawn(move || run(&shared, &plan, reader))
        };
        let refused =
            |error: std::io::Error| Error::Driver { device: chosen.device.clone(), what: "watch", cause: error.to_string() };
        Ok((Watch { shared, thread: Some(thread.map_err(refused)?) }, chosen))
    }

    pub fn counters(&self) -> Counters {
        let count = &self.shared.count;
        let missed = count.missed.load(Ordering::Relaxed);
        Counters {
            pictures: count.pictures.load(Ordering::Relaxed),
            damaged: count.damaged.load(Ordering::Relaxed),
            missed: (missed != UNKNOWN).then_some(missed),
            reopened: count.reopened.load(Ordering::Relaxed),
        }
    }

    pub fn failed(&self) -> Option<Error> {
        self.shared.lock().failed.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Arc<Shared>, plan: &Plan, mut reader: Reader) {
    let period = Duration::from_secs(1) / plan.chosen.fps.max(1);
    let steady = PATIENCE.max(period * 4);
    let mut patience = FIRST_PATIENCE.max(steady);
    // What the silence is counted from: the last attempt, or a picture after it.
    let mut attempt = Instant::now();
    loop {
        let silence = shared.silence().min(attempt.elapsed());
        if shared.silence() < attempt.elapsed() {
            patience = steady;
        }
        if silence < patience {
            // Looked at often enough to see that the first picture has come and less patience is due.
            if shared.wait((patience - silence).min(steady), |state| state.stop || state.ended || state.failed.is_some()) {
                break;
            }
            continue;
        }
        let device = &plan.chosen.device;
        tracing::warn!("no picture from {device} for {:.0} s; opening it anew", shared.silence().as_secs_f64());
        attempt = Instant::now();
        patience = (patience * 2).clamp(FIRST_PATIENCE, LONGEST_PATIENCE);
        if reader.kick(shared, LET_GO) {
            continue;
        }
        tracing::warn!("the driver of {device} does not answer; trying beside it");
        shared.lock().left_behind = true;
        match Reader::spawn(shared, plan) {
            Ok(beside) => drop(std::mem::replace(&mut reader, beside).stop(shared, Duration::ZERO)),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    if !reader.stop(shared, LET_GO) {
        tracing::warn!("the driver of {} does not let go of it", plan.chosen.device);
    }
}
