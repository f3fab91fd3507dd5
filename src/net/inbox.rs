//! What other threads have for the net thread: commands, looked-up names, and the word to stop.
//!
//! Capacity: [`CAPACITY`] commands; with more the pusher waits, and nothing is dropped. The net thread takes everything at
//! once and is woken only for the first of a batch. What is [left](Inbox::leave) wakes it not at all: it is taken with the next
//! thing that does.

use crate::threads::{lock, wait};
use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use polling::Poller;

use super::Host;
use eyeline_proto::session::HostId;
use eyeline_proto::session::unreachable::DialError;

/// Commands that may wait: a quarter of a second of the finest slicing there is (128 slices a picture at 30 a second).
pub(super) const CAPACITY: usize = 1024;

/// A looked-up name.
pub(super) type Resolved = (HostId, Result<Vec<SocketAddr>, DialError>);

pub(super) struct Inbox<Command> {
    state: Mutex<State<Command>>,
    room: Condvar,
    poller: Arc<Poller>,
    owner: OnceLock<ThreadId>,
}

struct State<Command> {
    commands: VecDeque<Command>,
    resolved: Vec<Resolved>,
    /// Hosts that may be dialled from now on, of which commands behind them speak.
    hosts: Vec<Host>,
    stop: bool,
    /// It was woken since it last took.
    woken: bool,
    /// Nobody takes anything any more.
    ended: bool,
}

impl<Command> Inbox<Command> {
    pub(super) fn new(poller: Arc<Poller>) -> Arc<Self> {
        let state =
            State { commands: VecDeque::new(), resolved: Vec::new(), hosts: Vec::new(), stop: false, woken: false, ended: false };
        Arc::new(Inbox { state: Mutex::new(state), room: Condvar::new(), poller, owner: OnceLock::new() })
    }

    /// Names the thread that takes, which is never made to wait.
    pub(super) fn belong_to(&self, owner: ThreadId) {
        let _ = self.owner.set(owner);
    }

    pub(super) fn push(&self, command: Command) {
        self.put(command, true);
    }

    /// As [`Inbox::push`] for what is not urgent, while there is plenty of room.
    pub(super) fn leave(&self, command: Command) {
        self.put(command, false);
    }

    fn put(&self, command: Command, urgent: bool) {
        let mut state = self.lock();
        while state.commands.len() >= CAPACITY && !state.ended && self.owner.get() != Some(&thread::current().id()) {
            state = wait(&self.room, state);
        }
        if state.ended {
            return;
        }
        state.commands.push_back(command);
        let wakes = !state.woken && (urgent || state.commands.len() >= CAPACITY / 2);
        state.woken |= wakes;
        drop(state);
        if wakes {
            self.wake();
        }
    }

    pub(super) fn push_resolved(&self, resolved: Resolved) {
        self.lock().resolved.push(resolved);
        self.wake();
    }

    pub(super) fn push_host(&self, host: Host) {
        self.lock().hosts.push(host);
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.wake();
    }

    /// Swaps the waiting commands, names and hosts with these, which must be empty. `true`: to be stopped after them.
    pub(super) fn take(&self, commands: &mut VecDeque<Command>, resolved: &mut Vec<Resolved>, hosts: &mut Vec<Host>) -> bool {
        let mut state = self.lock();
        mem::swap(&mut state.commands, commands);
        mem::swap(&mut state.resolved, resolved);
        mem::swap(&mut state.hosts, hosts);
        let stop = state.stop;
        state.woken = false;
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

    /// Waits until commands are dropped, so long at most.
    pub(super) fn wait_for_end(&self, limit: Duration) {
        let _ = self.room.wait_timeout_while(self.lock(), limit, |state| !state.ended);
    }

    fn wake(&self) {
        if let Err(error) = self.poller.notify() {
            tracing::error!("the net thread cannot be woken ({error}): please report this");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<Command>> {
        // A panic elsewhere cannot leave the queues half changed: every critical section is one push or swap.
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polling::Events;
    use std::time::Instant;

    /// Whether the poller is woken within 20 ms.
    fn is_woken(poller: &Poller) -> bool {
        let (begun, limit) = (Instant::now(), Duration::from_millis(20));
        poller.wait(&mut Events::new(), Some(limit)).expect("waits");
        begun.elapsed() < limit
    }

    fn take(inbox: &Inbox<u32>) -> VecDeque<u32> {
        let mut commands = VecDeque::new();
        inbox.take(&mut commands, &mut Vec::new(), &mut Vec::new());
        commands
    }

    #[test]
    fn what_is_left_wakes_nobody_until_half_the_room_is_taken_and_keeps_its_place() {
        let poller = Arc::new(Poller::new().expect("a poller"));
        let inbox = Inbox::new(poller.clone());
        inbox.leave(1);
        assert!(!is_woken(&poller));
        inbox.push(2);
        assert!(is_woken(&poller), "something urgent behind it");
        inbox.push(3);
        assert!(!is_woken(&poller), "once is enough");
        assert_eq!(take(&inbox), [1, 2, 3]);
        (0..CAPACITY as u32 / 2).for_each(|number| inbox.leave(number));
        assert!(is_woken(&poller));
        assert_eq!(take(&inbox).len(), CAPACITY / 2);
    }
}
