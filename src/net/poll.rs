//! Sockets the net thread waits for.
//!
//! Invariant: a socket is taken out of the poller before it is closed, because whoever wraps it in a [`Watched`] cannot do
//! otherwise. That is what `polling` asks for with its `unsafe fn add`, and the reason this module exists. Watching is
//! level-triggered: what was not read in one turn is announced again in the next.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polling::{Event, PollMode, Poller};

/// Hands sockets to the poller, each under a key never used before.
#[derive(Clone)]
pub(super) struct Watcher {
    poller: Arc<Poller>,
    next_key: Arc<AtomicUsize>,
}

impl Watcher {
    pub(super) fn new() -> io::Result<Watcher> {
        Ok(Watcher { poller: Arc::new(Poller::new()?), next_key: Arc::new(AtomicUsize::new(1)) })
    }

    pub(super) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Watches a socket until the returned value is dropped. It belongs to the returned value.
    pub(super) fn watch<S: AsFd + AsRawFd + 'static>(&self, source: S, readable: bool, writable: bool) -> io::Result<Watched<S>> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the source must be deleted from the poller before it is closed. It moves into a `Watched`, which gives it out
        // by shared reference only and deletes it when dropped, before its fields are. It owns it (`'static`): one that is
        // forgotten closes nothing.
        unsafe { self.poller.add_with_mode(&source, Event::new(key, readable, writable), PollMode::Level)? };
        let interest = Cell::new((readable, writable));
        Ok(Watched { poller: Arc::clone(&self.poller), key, interest, source })
    }
}

/// A socket the poller knows.
pub(super) struct Watched<S: AsFd + AsRawFd> {
    poller: Arc<Poller>,
    key: usize,
    interest: Cell<(bool, bool)>,
    source: S,
}

impl<S: AsFd + AsRawFd> Watched<S> {
    /// What its events carry.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    pub(super) fn get(&self) -> &S {
        &self.source
    }

    /// Which events to announce from now on. Errors and hang-ups are announced in any case.
    pub(super) fn set_interest(&self, readable: bool, writable: bool) {
        if self.interest.replace((readable, writable)) == (readable, writable) {
            return;
        }
        let event = Event::new(self.key, readable, writable);
        if let Err(error) = self.poller.modify_with_mode(&self.source, event, PollMode::Level) {
            tracing::warn!("a socket could not be watched any longer: {error}; its connection may hang until it is made anew");
        }
    }
}

impl<S: AsFd + AsRawFd> Drop for Watched<S> {
    fn drop(&mut self) {
        let _ = self.poller.delete(&self.source); // fails only when it is not in there
    }
}
