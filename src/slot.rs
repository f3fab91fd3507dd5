//! Hand-over between threads: a bounded place that says what it does when it is full.
//!
//! Capacity and overflow are chosen where the slot is made: [`Slot::newest`] holds one value and a newer one replaces it
//! (live pictures: newest wins); [`Slot::dropping`] holds a few and drops the oldest (live sound); [`Slot::waiting`] makes
//! the producer wait (films: nothing is skipped). [`Slot::dropping_bytes`] and [`Slot::waiting_bytes`] are full by bytes as well,
//! where others say how large a value is. What was dropped is counted. Not for audio callbacks: it locks.

use crate::threads::{lock, wait, wait_for};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    DropOldest,
    Wait,
}

/// The consumer is gone, or somebody closed the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// What [`Slot::take_until`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The oldest value.
    Value(T),
    /// Nothing came in time.
    TimedOut,
    /// Closed, and everything pushed before was taken.
    Closed,
}

struct State<T> {
    values: VecDeque<T>,
    bytes: usize,
    closed: bool,
    dropped: u64,
}

/// Bytes that values may weigh together, and how one is weighed.
type MostBytes<T> = (usize, fn(&T) -> usize);

pub struct Slot<T> {
    state: Mutex<State<T>>,
    /// A value came, or it was closed. One value wakes one consumer.
    filled: Condvar,
    /// A value was taken, or it was closed.
    room: Condvar,
    capacity: usize,
    most_bytes: Option<MostBytes<T>>,
    overflow: Overflow,
}

impl<T> Slot<T> {
    fn with(capacity: usize, most_bytes: Option<MostBytes<T>>, overflow: Overflow) -> Arc<Self> {
        assert!(capacity > 0, "a slot holds at least one value");
        let state = State { values: VecDeque::with_capacity(capacity), bytes: 0, closed: false, dropped: 0 };
        let (filled, room) = (Condvar::new(), Condvar::new());
        Arc::new(Slot { state: Mutex::new(state), filled, room, capacity, most_bytes, overflow })
    }

    /// One place; a newer value replaces the one nobody took.
    pub fn newest() -> Arc<Self> {
        Self::with(1, None, Overflow::DropOldest)
    }

    /// `capacity` places; when full the oldest value is dropped.
    pub fn dropping(capacity: usize) -> Arc<Self> {
        Self::with(capacity, None, Overflow::DropOldest)
    }

    /// The same, and the oldest values are dropped as well while all weigh more than `bytes`; the last one always has a place.
    pub fn dropping_bytes(capacity: usize, bytes: usize, weigh: fn(&T) -> usize) -> Arc<Self> {
        Self::with(capacity, Some((bytes, weigh)), Overflow::DropOldest)
    }

    /// `capacity` places; when full the producer waits.
    pub fn waiting(capacity: usize) -> Arc<Self> {
        Self::with(capacity, None, Overflow::Wait)
    }

    /// The same, and it is full as well where one more value would make it weigh more than `bytes`; one always has a place.
    pub fn waiting_bytes(capacity: usize, bytes: usize, weigh: fn(&T) -> usize) -> Arc<Self> {
        Self::with(capacity, Some((bytes, weigh)), Overflow::Wait)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic elsewhere cannot leave the queue half changed: every critical section is one push or pop.
        lock(&self.state)
    }

    /// Puts a value in; says `Closed` once the slot was closed.
    pub fn push(&self, value: T) -> Result<(), Closed> {
        // Replaced values are dropped after the lock is gone: freeing a picture takes time.
        self.push_over(value).map(drop)
    }

    /// The same, and gives those that were dropped for it.
    pub fn push_over(&self, value: T) -> Result<impl Iterator<Item = T> + use<T>, Closed> {
        let (weight, mut state) = (self.weight(&value), self.lock());
        while self.overflow == Overflow::Wait && self.is_full(&state, weight) && !state.closed {
            state = wait(&self.room, state);
        }
        if state.closed {
            return Err(Closed);
        }
        let mut replaced = None;
        let mut more = Vec::new();
        while self.is_full(&state, weight)
            && let Some(oldest) = self.pop(&mut state)
        {
            state.dropped += 1;
            // A list is made only where one value does not make room for another.
            more.extend(replaced.replace(oldest));
        }
        state.bytes += weight;
        state.values.push_back(value);
        drop(state);
        self.filled.notify_one();
        Ok(replaced.into_iter().chain(more))
    }

    /// Waits for the oldest value; `None` once the slot is closed and empty.
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

    /// Waits for the oldest value, but not past `deadline`.
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

    /// Waits until nothing is inside, or it is closed.
    pub fn emptied(&self) {
        let mut state = self.lock();
        while !state.values.is_empty() && !state.closed {
            state = wait(&self.room, state);
        }
    }

    /// The oldest value, if one is there.
    pub fn try_take(&self) -> Option<T> {
        self.pop(&mut self.lock())
    }

    fn weight(&self, value: &T) -> usize {
        self.most_bytes.map_or(0, |(_, weigh)| weigh(value))
    }

    /// Whether a value of this weight has no place beside those inside.
    fn is_full(&self, state: &State<T>, weight: usize) -> bool {
        let heavy = self.most_bytes.is_some_and(|(most, _)| !state.values.is_empty() && state.bytes + weight > most);
        heavy || state.values.len() >= self.capacity
    }

    fn pop(&self, state: &mut State<T>) -> Option<T> {
        let value = state.values.pop_front()?;
        state.bytes -= self.weight(&value);
        if self.overflow == Overflow::Wait {
            // Who waits for room, and who waits until it is empty.
            self.room.notify_all();
        }
        Some(value)
    }

    /// No more values will be accepted; what is inside can still be taken. Wakes everybody.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.room.notify_all();
    }

    /// The same, and what is inside is dropped. How many values that were.
    pub fn discard(&self) -> usize {
        let mut state = self.lock();
        state.closed = true;
        state.bytes = 0;
        let values = std::mem::take(&mut state.values);
        drop(state);
        let count = values.len();
        drop(values);
        self.filled.notify_all();
        self.room.notify_all();
        count
    }

    /// Whether it was closed (values may still be inside).
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many values were replaced before anybody took them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_wins_and_the_loser_is_counted() {
        let slot = Slot::newest();
        slot.push(1).unwrap();
        slot.push(2).unwrap();
        assert_eq!((slot.take(), slot.dropped()), (Some(2), 1));
    }

    #[test]
    fn a_waiting_slot_loses_nothing_and_makes_the_producer_wait() {
        let slot = Slot::waiting(2);
        let producer = {
            let slot = slot.clone();
            std::thread::spawn(move || {
                for value in 0..1000 {
                    slot.push(value).unwrap();
                }
                slot.close();
            })
        };
        let mut seen = Vec::new();
        while let Some(value) = slot.take() {
            seen.push(value);
        }
        producer.join().unwrap();
        assert_eq!((seen, slot.dropped()), ((0..1000).collect(), 0));
    }

    #[test]
    fn every_value_finds_one_of_several_consumers() {
        let slot = Slot::waiting(3);
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let slot = slot.clone();
                std::thread::spawn(move || std::iter::from_fn(|| slot.take()).count())
            })
            .collect();
        (0..1000).for_each(|value| slot.push(value).unwrap());
        slot.close();
        assert_eq!(consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum::<usize>(), 1000);
    }

    #[test]
    fn a_slot_that_counts_bytes_drops_the_oldest_until_the_newest_fits_and_refuses_none() {
        let slot = Slot::dropping_bytes(8, 100, |value: &Vec<u8>| value.len());
        for len in [40, 40, 20, 70, 300, 1] {
            slot.push(vec![0; len]).unwrap();
        }
        assert_eq!((slot.take().map(|value| value.len()), slot.dropped()), (Some(1), 5));
        slot.push(vec![0; 99]).unwrap();
        slot.push(vec![0; 1]).unwrap();
        assert_eq!(slot.dropped(), 5, "what was taken weighs nothing any more");
    }

    #[test]
    fn a_slot_that_counts_bytes_makes_the_producer_wait_and_takes_one_however_heavy() {
        let slot = Slot::waiting_bytes(8, 100, |value: &Vec<u8>| value.len());
        let producer = {
            let slot = slot.clone();
            std::thread::spawn(move || {
                [300, 60, 60, 10].into_iter().for_each(|len| slot.push(vec![0; len]).unwrap());
                slot.close();
            })
        };
        let mut seen = Vec::new();
        while let Some(value) = slot.take() {
            seen.push(value.len());
            assert!(slot.lock().bytes <= 100);
        }
        producer.join().unwrap();
        assert_eq!((seen, slot.dropped()), (vec![300, 60, 60, 10], 0));
    }

    #[test]
    fn discarding_drops_what_nobody_took() {
        let slot = Slot::waiting(2);
        slot.push('a').unwrap();
        slot.discard();
        assert_eq!((slot.push('b'), slot.take()), (Err(Closed), None));
    }

    #[test]
    fn closing_lets_the_rest_be_taken_and_refuses_more() {
        let slot = Slot::dropping(4);
        slot.push('a').unwrap();
        slot.close();
        assert_eq!(slot.push('b'), Err(Closed));
        assert_eq!((slot.take(), slot.take()), (Some('a'), None));
    }
}
