//! A clock for upper bounds of measured time: it counts waits of 5 ms, one after the other, in a thread of its own.
//!
//! A wait that the machine answers late counts for no more than its 5 ms, so the clock is never ahead of real time and falls
//! behind it by what the machine keeps any waiting thread from running. It is the control of a thread that mostly waits, not of
//! one that computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(5);

pub struct Ticks {
    count: Arc<AtomicU32>,
    /// Dropped, it ends the thread.
    _stop: Sender<()>,
}

impl Ticks {
    pub fn start() -> Ticks {
        let count = Arc::<AtomicU32>::default();
        let (stop, stopped) = mpsc::channel();
        let counted = count.clone();
        std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ticks { count, _stop: stop }
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        TICK * self.count.load(Ordering::Relaxed)
    }
}
