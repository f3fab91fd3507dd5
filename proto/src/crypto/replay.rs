//! The replay window: which packet numbers of one direction have been seen (RFC 6479).
//!
//! Invariant: no number is accepted twice, and none that is [`SIZE`] or more behind the highest accepted one. The bitmap is a ring
//! of words with one word more than the window needs, so moving forward clears whole words and never shifts.
//!
//! Use: ask [`ReplayWindow::would_accept`] before opening a packet (a replay then costs no decryption), open it, and only when it
//! opened call [`ReplayWindow::accept`]: a forged number must not move the window.

/// How far behind the highest number a late packet may be: at 10,000 packets a second that is 0.4 s of reordering.
const SIZE: u64 = 4096;
/// Words of the ring: the window, and the word being entered.
const WORDS: u64 = SIZE / 64 + 1;

/// The packet numbers seen of one direction.
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    /// One more than the highest number accepted.
    next: u64,
    /// Bit `n % 64` of word `n / 64 % WORDS` says that `n` was seen, for every `n` the window still covers.
    words: [u64; WORDS as usize],
}

impl ReplayWindow {
    /// Nothing seen yet.
    pub fn new() -> ReplayWindow {
        ReplayWindow { next: 0, words: [0; WORDS as usize] }
    }

    /// Whether this number is neither seen nor too old. `u64::MAX` is never accepted: there is no number after it.
    pub fn would_accept(&self, number: u64) -> bool {
        if number >= self.next {
            return number != u64::MAX;
        }
        self.next - number <= SIZE && self.words[slot(number)] & bit(number) == 0
    }

    /// Marks a number as seen. `false`: it was seen already or is too old, and the packet must be dropped.
    pub fn accept(&mut self, number: u64) -> bool {
        if !self.would_accept(number) {
            return false;
        }
        if number >= self.next {
            // Words that come into the window still hold bits of a lap ago. Nothing was accepted before `next == 0`.
            let entered = if self.next == 0 { 0 } else { (self.next - 1) / 64 + 1 };
            let fresh = (number / 64 + 1).saturating_sub(entered).min(WORDS);
            for word in 0..fresh {
                self.words[slot(number - word * 64)] = 0;
            }
            self.next = number + 1;
        }
        self.words[slot(number)] |= bit(number);
        true
    }

    /// The number that comes next if nothing is lost: what `seq::widen` wants to know.
    pub fn next_expected(&self) -> u64 {
        self.next
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        ReplayWindow::new()
    }
}

fn slot(number: u64) -> usize {
    (number / 64 % WORDS) as usize
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The definition, without the cleverness.
    #[derive(Default)]
    struct Model {
        seen: HashSet<u64>,
        next: u64,
    }

    impl Model {
        fn accept(&mut self, number: u64) -> bool {
            let fits = number != u64::MAX && (number >= self.next || self.next - number <= SIZE);
            if !fits || !self.seen.insert(number) {
                return false;
            }
            self.next = self.next.max(number + 1);
            true
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_all_numbers_ever_seen(
            start in prop_oneof![Just(0u64), Just(u64::MAX - 20_000), any::<u64>()],
            steps in proptest::collection::vec(
                prop_oneof![4 => -200i64..200, 2 => -5000i64..5000, 1 => Just(64i64), 1 => Just(-4096i64), 1 => Just(4096i64)],
                1..400,
            ),
        ) {
            let (mut window, mut model) = (ReplayWindow::new(), Model::default());
            let mut number = start;
            for step in steps {
                number = number.saturating_add_signed(step);
                prop_assert_eq!(window.would_accept(number), model.seen.iter().all(|seen| *seen != number)
                    && number != u64::MAX && (number >= model.next || model.next - number <= SIZE));
                prop_assert_eq!(window.accept(number), model.accept(number), "number {}", number);
                prop_assert_eq!(window.next_expected(), model.next);
            }
        }
    }

    #[test]
    fn the_oldest_number_of_the_window_is_accepted_once_and_the_one_before_it_never() {
        let mut window = ReplayWindow::new();
        assert!(window.accept(10_000));
        assert!(window.accept(10_000 - SIZE + 1));
        assert!(!window.accept(10_000 - SIZE + 1));
        assert!(!window.accept(10_000 - SIZE));
    }

    #[test]
    fn a_leap_over_the_whole_ring_forgets_what_was_before() {
        let mut window = ReplayWindow::new();
        assert!((0..SIZE * 2).all(|number| window.accept(number)));
        assert!(window.accept(1 << 40));
        assert!(((1 << 40) - SIZE + 1..1 << 40).all(|number| window.accept(number)));
        assert!(((1 << 40) - SIZE * 2..=1 << 40).all(|number| !window.accept(number)));
    }

    #[test]
    fn the_last_number_of_all_is_refused_and_breaks_nothing() {
        let mut window = ReplayWindow::new();
        assert!(!window.accept(u64::MAX));
        assert!(window.accept(u64::MAX - 1));
        assert_eq!(window.next_expected(), u64::MAX);
        assert!(!window.accept(u64::MAX));
    }
}
