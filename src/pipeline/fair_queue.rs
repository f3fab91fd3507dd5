//! A bounded place between threads for values of several *lanes*, taken in turn: a lane that brings much does not keep the others
//! waiting, and loses only its own.
//!
//! Capacity: so many values a lane, and of the bytes that all may weigh an equal share each; the oldest of a lane makes room for
//! a newer one of the same lane, is counted, and given back to who brought that. With one value a lane it is
//! [`crate::slot::Slot::newest`] for many. A lane ends when its [`Lane`]s are dropped, with what waits in it. Not for audio
//! callbacks: it locks.

use crate::slot::{Closed, Taken};
use crate::threads::{lock, wait, wait_for};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

struct Waiting<T> {
    id: u64,
    values: VecDeque<T>,
    bytes: usize,
}

struct State<T> {
    lanes: Vec<Waiting<T>>,
    /// Place in `lanes` of the one whose turn it is.
    turn: usize,
    /// Names of lanes are never used twice.
    next: u64,
    dropped: u64,
    closed: bool,
}

/// What a queue holds, and how a value is weighed.
struct Limits<T> {
    values: usize,
    bytes: usize,
    weigh: fn(&T) -> usize,
}

pub struct FairQueue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    limits: Limits<T>,
}

/// Puts values in one lane; clones are the same lane.
pub struct Lane<T>(Arc<Ending<T>>);

/// Dropped with the last [`Lane`].
struct Ending<T> {
    queue: Arc<FairQueue<T>>,
    id: u64,
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Lane(self.0.clone())
    }
}

impl<T> FairQueue<T> {
    fn with(limits: Limits<T>) -> Arc<Self> {
        let state = State { lanes: Vec::new(), turn: 0, next: 0, dropped: 0, closed: false };
        Arc::new(FairQueue { state: Mutex::new(state), filled: Condvar::new(), limits })
    }

    /// One value a lane: a newer one replaces it.
    pub fn newest() -> Arc<Self> {
        Self::with(Limits { values: 1, bytes: usize::MAX, weigh: |_| 0 })
    }

    /// `values` a lane, and all lanes together `bytes`; one value always has a place.
    pub fn dropping_bytes(values: usize, bytes: usize, weigh: fn(&T) -> usize) -> Arc<Self> {
        Self::with(Limits { values, bytes, weigh })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every critical section leaves the lanes whole: a panic elsewhere changes nothing here.
        lock(&self.state)
    }

    /// One lane more.
    pub fn lane(self: &Arc<Self>) -> Lane<T> {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.lanes.push(Waiting { id, values: VecDeque::new(), bytes: 0 });
        Lane(Arc::new(Ending { queue: self.clone(), id }))
    }

    fn push(&self, lane: u64, value: T) -> Result<Vec<T>, Closed> {
        let weight = (self.limits.weigh)(&value);
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let share = self.limits.bytes / state.lanes.len().max(1);
        let mut replaced = Vec::new();
        let Some(waiting) = state.lanes.iter_mut().find(|waiting| waiting.id == lane) else { return Err(Closed) };
        while waiting.values.len() >= self.limits.values || waiting.bytes.saturating_add(weight) > share {
            let Some(oldest) = waiting.values.pop_front() else { break };
            waiting.bytes -= (self.limits.weigh)(&oldest);
            replaced.push(oldest);
        }
        waiting.bytes += weight;
        waiting.values.push_back(value);
        state.dropped += replaced.len() as u64;
        drop(state);
        self.filled.notify_one();
        Ok(replaced)
    }

    fn pop(&self, state: &mut State<T>) -> Option<T> {
        let lanes = state.lanes.len();
        let place = (0..lanes).map(|k| (state.turn + k) % lanes).find(|&place| !state.lanes[place].values.is_empty())?;
        let waiting = &mut state.lanes[place];
        let value = waiting.values.pop_front()?;
        waiting.bytes -= (self.limits.weigh)(&value);
        state.turn = (place + 1) % lanes;
        Some(value)
    }

    /// Waits for the oldest value of the lane whose turn it is; `None` once the queue is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(value) = self.pop(&mut state) {
                return Some(value);
            }
            if state.closed {
                return None;
            }
            state = wait(&self.filled, state);
        }
    }

    /// The same, but not past `deadline`.
    pub fn take_until(&self, deadline: Instant, now: impl Fn() -> Instant) -> Taken<T> {
        let mut state = self.lock();
        loop {
            if let Some(value) = self.pop(&mut state) {
                return Taken::Value(value);
            }
            if state.closed {
                return Taken::Closed;
            }
            let left = deadline.saturating_duration_since(now());
            if left == Duration::ZERO {
                return Taken::TimedOut;
            }
            state = wait_for(&self.filled, state, left);
        }
    }

    /// The value whose turn it is, if one is there.
    pub fn try_take(&self) -> Option<T> {
        self.pop(&mut self.lock())
    }

    /// Takes no more values; what is inside can still be taken. Wakes everybody.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// The same, and what is inside is dropped.
    pub fn discard(&self) {
        let mut state = self.lock();
        state.closed = true;
        let values: Vec<VecDeque<T>> = state.lanes.iter_mut().map(|waiting| std::mem::take(&mut waiting.values)).collect();
        state.lanes.iter_mut().for_each(|waiting| waiting.bytes = 0);
        drop(state);
        drop(values);
        self.filled.notify_all();
    }

    /// Values that made room for newer ones of their lane.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn end(&self, lane: u64) {
        let mut state = self.lock();
        let Some(place) = state.lanes.iter().position(|waiting| waiting.id == lane) else { return };
        let ended = state.lanes.remove(place);
        // Whose turn it is stays so.
        state.turn = if state.turn > place { state.turn - 1 } else { state.turn };
        drop(state);
        drop(ended);
    }
}

impl<T> Lane<T> {
    /// Puts a value in; says `Closed` once the queue was closed. Gives back those that made room for it, the oldest first.
    pub fn push(&self, value: T) -> Result<Vec<T>, Closed> {
        self.0.queue.push(self.0.id, value)
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.queue.end(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T>(queue: &FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.try_take()).collect()
    }

    #[test]
    fn lanes_are_taken_from_in_turn_and_each_in_its_order() {
        let queue = FairQueue::dropping_bytes(10, 1000, |_| 1);
        let (a, b, c) = (queue.lane(), queue.lane(), queue.lane());
        (0..4).for_each(|n| drop(a.push(("a", n)).unwrap()));
        b.push(("b", 0)).unwrap();
        (0..2).for_each(|n| drop(c.push(("c", n)).unwrap()));
        assert_eq!(all(&queue), [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2), ("a", 3)]);
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn a_lane_that_brings_too_much_loses_its_own_oldest_and_no_other_ones() {
        let queue = FairQueue::dropping_bytes(3, 100, |value: &(char, usize)| value.1);
        let (a, b) = (queue.lane(), queue.lane());
        b.push(('b', 50)).unwrap();
        let replaced: Vec<_> = (1..=5).flat_map(|n| a.push(('a', n)).unwrap()).collect();
        assert_eq!((replaced, queue.dropped()), (vec![('a', 1), ('a', 2)], 2), "three values a lane");
        assert_eq!(a.push(('A', 45)), Ok(vec![('a', 3), ('a', 4)]), "half of the bytes a lane");
        assert_eq!(a.push(('x', 400)), Ok(vec![('a', 5), ('A', 45)]));
        assert_eq!(queue.dropped(), 6);
        assert_eq!(all(&queue), [('x', 400), ('b', 50)], "one always has a place");
    }

    #[test]
    fn with_one_value_a_lane_the_newest_of_each_is_there() {
        let queue = FairQueue::newest();
        let (a, b) = (queue.lane(), queue.lane());
        (0..5).for_each(|n| drop(a.push(n).unwrap()));
        b.push(9).unwrap();
        assert_eq!(all(&queue), [4, 9]);
        let past = Instant::now();
        assert_eq!(queue.take_until(past, Instant::now), Taken::TimedOut);
    }

    #[test]
    fn a_lane_ends_with_its_last_handle_and_takes_what_waits_with_it() {
        let queue = FairQueue::dropping_bytes(10, 100, |_| 10);
        let (a, b, c) = (queue.lane(), queue.lane(), queue.lane());
        let again = a.clone();
        for n in 0..2 {
            [&a, &b, &c].into_iter().for_each(|lane| drop(lane.push(n).unwrap()));
        }
        assert_eq!(queue.try_take(), Some(0));
        drop(a);
        again.push(7).unwrap();
        drop(again);
        assert_eq!(all(&queue), [0, 0, 1, 1], "of b and c, in turn");
        b.push(1).unwrap();
        drop((b, c));
        assert_eq!(queue.try_take(), None);
    }

    #[test]
    fn closed_it_gives_what_is_inside_and_discarded_nothing() {
        let queue = FairQueue::newest();
        let lane = queue.lane();
        lane.push(1).unwrap();
        queue.close();
        assert_eq!((lane.push(2), queue.take(), queue.take()), (Err(Closed), Some(1), None));
        assert_eq!(queue.take_until(Instant::now(), Instant::now), Taken::Closed);
        let queue = FairQueue::newest();
        let lane = queue.lane();
        lane.push(1).unwrap();
        queue.discard();
        assert_eq!((lane.push(2), queue.take()), (Err(Closed), None));
    }

    #[test]
    fn a_thread_that_waits_is_woken_by_any_lane() {
        let queue = FairQueue::newest();
        let (_a, b) = (queue.lane(), queue.lane());
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| queue.take());
            b.push(5).unwrap();
            assert_eq!(taken.join().unwrap(), Some(5));
        });
    }
}
