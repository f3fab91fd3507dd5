//! What a camera's reader, its watch and its owner share: whether pictures come, what was counted, and what the reader is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Chosen, Counters, Error};
use crate::slot::Slot;
use crate::threads::{lock, wait_while};
use eyeline_proto::picture::Picture;

/// What the watch tells its reader, and sees of it.
#[derive(Default)]
pub(super) struct Orders {
    pub stop: AtomicBool,
    pub kicked: AtomicBool,
    pub returns: AtomicU64,
}

impl Orders {
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

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
pub(super) struct State {
    pub stop: bool,
    /// The reader in charge has ended.
    pub ended: bool,
    pub chosen: Option<Chosen>,
    pub failed: Option<Error>,
    /// A reader was left behind in its driver.
    pub left_behind: bool,
}

/// What the reader, its watch and the camera's owner share.
pub(super) struct Health {
    pictures: Arc<Slot<Picture>>,
    state: Mutex<State>,
    changed: Condvar,
    count: Count,
    started: Instant,
    /// Nanoseconds from `started` to the last picture.
    last_picture: AtomicU64,
}

impl Health {
    pub fn new(pictures: Arc<Slot<Picture>>) -> Self {
        let zero = || AtomicU64::new(0);
        let count = Count { pictures: zero(), damaged: zero(), reopened: zero(), missed: AtomicU64::new(UNKNOWN) };
        let (state, changed) = (Mutex::default(), Condvar::new());
        Health { pictures, state, changed, count, started: Instant::now(), last_picture: zero() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section is an assignment or two: a panic elsewhere leaves nothing half done.
        lock(&self.state)
    }

    pub fn count(&self) -> &Count {
        &self.count
    }

    /// What was counted until now.
    pub fn counters(&self) -> Counters {
        let count = &self.count;
        let missed = count.missed.load(Ordering::Relaxed);
        Counters {
            pictures: count.pictures.load(Ordering::Relaxed),
            damaged: count.damaged.load(Ordering::Relaxed),
            missed: (missed != UNKNOWN).then_some(missed),
            reopened: count.reopened.load(Ordering::Relaxed),
        }
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

    /// The watch is to end.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    pub fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Waits for `time`, or until `over` (which is asked whenever something changed).
    pub fn pause(&self, time: Duration, over: impl Fn() -> bool) {
        drop(wait_while(&self.changed, self.lock(), time, |_| !over()));
    }

    /// Waits for `time`, or until the state is `wanted`; whether it is.
    pub fn wait(&self, time: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        wanted(&wait_while(&self.changed, self.lock(), time, |state| !wanted(state)))
    }
}
