//! Notices that this process stood still: stopped, starved, swapped out.
//!
//! What comes late because we did not look is no evidence about the network. A core says when it wants to be woken; who wakes it
//! much later than that, with a timer or with anything else, did not run in between.

use std::time::{Duration, Instant};

/// More than a busy machine makes anybody wait for its turn, less than what shows as a picture that stands.
const MUCH: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Standstill {
    due: Option<Instant>,
}

impl Standstill {
    /// Nothing is to be done until `deadline`.
    pub fn waits(&mut self, deadline: Option<Instant>) {
        self.due = deadline;
    }

    /// An input comes. Whether we stood still until now.
    pub fn wakes(&mut self, now: Instant) -> bool {
        self.due.take().is_some_and(|due| now >= due + MUCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn only_the_first_input_after_a_deadline_long_gone_says_that_we_stood_still() {
        let (mut standstill, start) = (Standstill::default(), Instant::now());
        standstill.waits(Some(start + MUCH));
        assert!(!standstill.wakes(start + MUCH), "an input before the deadline, or at it");
        standstill.waits(Some(start + MUCH));
        assert!(standstill.wakes(start + 3 * MUCH));
        assert!(!standstill.wakes(start + 3 * MUCH), "what lay in the sockets");
        standstill.waits(None);
        assert!(!standstill.wakes(start + 99 * MUCH), "nothing was due");
    }
}
