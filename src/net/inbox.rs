//! What other threads have for the net thread: commands, looked-up names, and the word to stop.
//!
//! Capacity: [`CAPACITY`] commands; with more the pusher waits, and nothing is dropped. The net thread takes everything at
//! once and is woken only for the first of a batch.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use polling::Poller;

use crate::session::HostId;

/// Commands that may wait: a quarter of a second of the finest slicing there is (128 slices a picture at 30 a second).
pub(super) const CAPACITY: usize = 1024;

/// A looked-up name.
pub(super) type Resolved = (HostId, Result<Vec<SocketAddr>, String>);

pub(super) struct Inbox<Command> {
    state: Mutex<State<Command>>,
    room: Condvar,
    poller: Arc<Poller>,
    owner: OnceLock<ThreadId>,
}

struct State<Command> {
    commands: VecDeque<Command>,
    resolved: Vec<Resolved>,
    stop: bool,
    /// Nobody takes anything any more.
    ended: bool,
}

impl<Command> Inbox<Command> {
    pub(super) fn new(poller: Arc<Poller>) -> Arc<Self> {
        let state = State { commands: VecDeque::new(), resolved: Vec::new(), stop: false, ended: false };
        Arc::new(Inbox { state: Mutex::new(state), room: Condvar::new(), poller, owner: OnceLock::new() })
    }

    /// Names the thread that takes, which is never made to wait.
    pub(super) fn belong_to(&self, owner: ThreadId) {
        let _ = self.owner.set(owner);
    }

    pub(super) fn push(&self, command: Command) {
        let mut state = self.lock();
        while state.commands.len() >= CAPACITY && !state.ended && self.owner.get() != Some(&thread::current().id()) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended {
            return;
        }
        let first = state.commands.is_empty();
        state.commands.push_back(command);
        drop(state);
        if first {
            self.wake();
        }
    }

    pub(super) fn push_resolved(&self, resolved: Resolved) {
        self.lock().resolved.push(resolved);
        self.wake();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.wake();
    }

    /// Swaps the waiting commands and names with these, which must be empty. `true`: to be stopped after them.
    pub(super) fn take(&self, commands: &mut VecDeque<Command>, resolved: &mut Vec<Resolved>) -> bool {
        let mut state = self.lock();
        mem::swap(&mut state.commands, commands);
        mem::swap(&mut state.resolved, resolved);
        let stop = state.stop;
        drop(state);
        if commands.len() >= CAPACITY {
            self.room.notify_all();
        }
        stop
    }

    /// From now on commands are dropped, and nobody waits.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let left = mem::take(&mut state.commands);
        drop(state);
        drop(left); // may free pictures, and a command's drop may command again
        self.room.notify_all();
    }

    fn wake(&self) {
        if let Err(error) = self.poller.notify() {
            tracing::error!("the net thread cannot be woken ({error}): please report this");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<Command>> {
        // A panic elsewhere cannot leave the queues half changed: every critical section is one push or swap.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
