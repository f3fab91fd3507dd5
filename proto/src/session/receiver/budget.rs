//! How much of unfinished pictures all senders together may have us hold.
//!
//! **Problem.** One sender may hold 64 MiB ([`COMMON`]), for a film's pictures wait for what is missing; sixteen that each do so would
//! be a gigabyte, by nothing but their own word. **Choice.** [`SHARE`] is every sender's own, whatever the others do. What it needs
//! beyond that it takes of [`COMMON`], as long as there is some: first come, first served. Who finds none settles its oldest picture as
//! it is; nobody else is touched by that. **Rejected.** To divide all by the number of senders: one sender of large pictures would be
//! worse off for being let in beside fifteen places that are empty. To take back what another holds: its picture would be lost for
//! somebody else's.

/// Each sender's own: two pictures of 3840x2160 at quality 80, or the eleven of 1280x720 that may be under way where packets
/// overtake each other. Half of it is left where shards come, for what is kept for them is held twice.
pub(super) const SHARE: usize = 2 << 20;

/// For all together beyond their own: what one alone may hold (`LOSSLESS_LIMITS`), so that nobody is worse off alone than before
/// there were many.
pub(super) const COMMON: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Budget {
    /// Bytes taken of [`COMMON`].
    taken: usize,
}

impl Budget {
    /// Bytes that a sender may hold that holds so many now.
    pub fn room(&self, held: usize) -> usize {
        held.max(SHARE) + COMMON.saturating_sub(self.taken)
    }

    /// A sender held so many bytes, and holds so many now.
    pub fn changed(&mut self, before: usize, now: usize) {
        self.taken = self.taken + now.saturating_sub(SHARE) - before.saturating_sub(SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_much_takes_what_is_free_and_never_what_is_anothers_own() {
        let mut budget = Budget::default();
        let (large, all) = (SHARE + COMMON, [SHARE; 16]);
        assert_eq!(budget.room(0), large, "one alone may hold as much as there is");
        budget.changed(0, large);
        for held in all {
            assert_eq!(budget.room(0), held);
            budget.changed(0, held);
            assert_eq!(budget.room(held), held, "and no more");
        }
        budget.changed(large, SHARE + 1);
        assert_eq!(budget.room(SHARE), large - 1, "what is given back is anybody's");
        budget.changed(SHARE + 1, 0);
        all.into_iter().for_each(|held| budget.changed(held, 0));
        assert_eq!(budget.taken, 0);
    }
}
