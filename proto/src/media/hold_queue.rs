//! Slices wait here, still compressed, until their picture is due: what `--latency` and late sound ask for ([`super::hold`]).
//!
//! They are let go so much earlier as decoding and presenting take, measured on the pictures before. What is due already goes straight
//! through; so does everything while nothing is held. Order is kept: a picture that is due before the one before it (the hold just shrank)
//! draws that one along, for newest wins; one whose time is over goes behind the last.
//!
//! Capacity: as whoever asks says, [`MOST_BYTES`] for all queues together; above it the oldest go on before their time, nothing is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Two seconds, the most `--latency` takes, of 250 Mbit/s.
pub const MOST_BYTES: usize = 64 << 20;

/// A stall of the display for longer is no reason to show the next pictures early.
const MOST_LEAD: Duration = Duration::from_millis(100);

pub struct HoldQueue<T> {
    /// When each is due, and how many bytes it has.
    items: VecDeque<(Instant, usize, T)>,
    bytes: usize,
    /// From an item's release until its picture is shown, smoothed.
    lead: Duration,
}

impl<T> Default for HoldQueue<T> {
    fn default() -> Self {
        HoldQueue { items: VecDeque::new(), bytes: 0, lead: Duration::ZERO }
    }
}

impl<T> HoldQueue<T> {
    /// When an item is to be let go whose picture is to be seen at `due`; `None`: now.
    fn release(&self, now: Instant, due: Option<Instant>) -> Option<Instant> {
        due.and_then(|due| due.checked_sub(self.lead)).filter(|release| *release > now)
    }

    /// Whether an item whose picture is to be seen at `due`, or at once, need not wait here.
    pub fn passes(&self, now: Instant, due: Option<Instant>) -> bool {
        self.items.is_empty() && self.release(now, due).is_none()
    }

    /// Keeps an item of so many bytes, whose picture is to be seen at `due` or at once.
    pub fn push(&mut self, now: Instant, due: Option<Instant>, bytes: usize, item: T) {
        let last = self.items.back().map_or(now, |(release, ..)| *release);
        let release = self.release(now, due).unwrap_or(last);
        for (earlier, ..) in self.items.iter_mut().rev().take_while(|(earlier, ..)| *earlier > release) {
            *earlier = release;
        }
        self.bytes += bytes;
        self.items.push_back((release, bytes, item));
    }

    /// The oldest item, if it is to be let go now, or if more than `most` bytes are kept.
    pub fn pop(&mut self, now: Instant, most: usize) -> Option<T> {
        let (release, ..) = self.items.front()?;
        if *release > now && self.bytes <= most {
            return None;
        }
        let (_, bytes, item) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    /// Drops those that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.items.retain(|(.., item)| keep(item));
        self.bytes = self.items.iter().map(|(_, bytes, _)| bytes).sum();
    }

    /// When [`HoldQueue::pop`], which had nothing, will have something.
    pub fn deadline(&self) -> Option<Instant> {
        self.items.front().map(|(release, ..)| *release)
    }

    /// A whole picture was shown so long after its last slice was let go.
    pub fn took(&mut self, lead: Duration) {
        self.lead = (self.lead * 7 + lead.min(MOST_LEAD)) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// All that is let go at `at`.
    fn passed(queue: &mut HoldQueue<u8>, at: Instant) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop(at, MOST_BYTES)).collect()
    }

    #[test]
    fn what_is_not_due_waits_for_its_time_in_order_and_what_follows_it_waits_with_it() {
        let (mut queue, start) = (HoldQueue::default(), Instant::now());
        assert!(queue.passes(start, None) && queue.passes(start, Some(start)) && !queue.passes(start, Some(start + ms(1))));
        queue.push(start, Some(start + ms(60)), 10, 1);
        queue.push(start, Some(start + ms(120)), 10, 2);
        assert!(!queue.passes(start, None), "it would overtake them");
        queue.push(start, None, 10, 3);
        assert_eq!((passed(&mut queue, start + ms(59)), queue.deadline()), (vec![], Some(start + ms(60))));
        assert_eq!((passed(&mut queue, start + ms(60)), queue.deadline()), (vec![1], Some(start + ms(120))));
        assert_eq!((passed(&mut queue, start + ms(120)), queue.deadline()), (vec![2, 3], None));
    }

    #[test]
    fn a_hold_that_shrinks_lets_go_what_waited_longer() {
        let (mut queue, start) = (HoldQueue::default(), Instant::now());
        queue.push(start, Some(start + ms(3_600_000)), 10, 1);
        queue.push(start, Some(start + ms(50)), 10, 2);
        assert_eq!(passed(&mut queue, start + ms(50)), [1, 2]);
    }

    #[test]
    fn more_than_it_may_hold_passes_before_its_time_the_oldest_first() {
        let (mut queue, start) = (HoldQueue::default(), Instant::now());
        (0..10).for_each(|item| queue.push(start, Some(start + ms(3_600_000)), MOST_BYTES / 8, item));
        assert_eq!(passed(&mut queue, start), [0, 1]);
        assert_eq!(queue.pop(start, MOST_BYTES / 2), Some(2), "a share of it");
    }

    #[test]
    fn what_is_dropped_has_no_place_any_more_and_the_rest_keeps_its_time() {
        let (mut queue, start) = (HoldQueue::default(), Instant::now());
        (0..4).for_each(|item| queue.push(start, Some(start + ms(60)), MOST_BYTES / 2, item));
        queue.retain(|item| *item >= 2);
        assert_eq!((passed(&mut queue, start), queue.deadline()), (vec![], Some(start + ms(60))));
        assert_eq!(passed(&mut queue, start + ms(60)), [2, 3]);
    }

    #[test]
    fn they_are_let_go_so_much_earlier_as_showing_them_takes_but_not_by_a_stall() {
        let (mut queue, start) = (HoldQueue::default(), Instant::now());
        (0..100).for_each(|_| queue.took(ms(20)));
        queue.push(start, Some(start + ms(60)), 10, 1);
        assert!((ms(39)..ms(42)).contains(&(queue.deadline().unwrap() - start)));
        (0..100).for_each(|_| queue.took(ms(3000)));
        queue.pop(start + ms(60), MOST_BYTES);
        queue.push(start, Some(start + ms(160)), 10, 1);
        assert!(queue.deadline().unwrap() - start >= ms(60));
    }
}
