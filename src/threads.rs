//! Locks, waits and joins between threads that carry on when another panics.
//!
//! A poisoned lock is taken all the same: whoever uses these keeps what a lock guards whole at any moment, so that a panic
//! elsewhere leaves nothing half changed. The panic itself is not lost: whoever joins its thread goes on with it ([`join`]).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Takes a lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until it is woken, for whatever reason.
pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until it is woken, for whatever reason, or so long.
pub fn wait_for<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
    changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `condition` holds, no longer than so long.
pub fn wait_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    changed.wait_timeout_while(guard, time, condition).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits for the end of a thread, and panics as it did, unless this one is panicking already.
pub fn join(thread: JoinHandle<()>) {
    if let Err(payload) = thread.join()
        && !thread::panicking()
    {
        std::panic::resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_lock_whose_holder_panicked_is_taken_and_the_panic_is_the_joiners() {
        let mutex = std::sync::Arc::new(Mutex::new(1));
        let held = mutex.clone();
        let thread = thread::spawn(move || {
            let _guard = held.lock();
            std::panic::resume_unwind(Box::new("mine"));
        });
        let joined = catch_unwind(AssertUnwindSafe(|| join(thread))).unwrap_err();
        assert_eq!((joined.downcast_ref(), *lock(&mutex)), (Some(&"mine"), 1));
    }
}
