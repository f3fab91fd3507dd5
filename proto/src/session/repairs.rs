//! How much may be repeated to one peer: what it asks for again, shards, and copies of sound, all from one account.
//!
//! **Problem.** What is repeated is what is not paid for: on a path that carries no picture, or to a peer that asks for everything,
//! resends alone are many times the stream. **Choice.** Every byte that is sent for the first time allows a share of bytes to be
//! repeated, acknowledged or not, within about the time in which repeating is of use; beside that there is a [`TRICKLE`]. So of `f`
//! bytes of stream no peer draws more than `f × (1 + share)` and the trickle, and a connection made anew changes nothing of it. What is
//! not repeated may be asked for again. **Rejected.** A limit for each kind: they mend the same holes. Repeating more where the peer says
//! that it came: a peer can say anything.

use std::time::{Duration, Instant};

/// Bytes of live pictures repeated for each byte sent for the first time: a path that loses half of everything needs as many again. On
/// a worse one no picture is whole in time at any price.
pub const SHARE: f64 = 1.0;

/// And of a film, which has time, and whose every picture is to be whole: where two thirds are lost, as of a burst that fills a queue.
pub const FILM_SHARE: f64 = 2.0;

/// Bytes a second that may be repeated in any case: a film that stands still until its last pictures are mended sends nothing else.
pub const TRICKLE: f64 = 32_000.0;

/// What was not repeated for so long is saved up no more. Live, pictures are asked for within a fraction of this.
const LIVE_MEMORY: Duration = Duration::from_secs(1);

/// Of a film as long as its log reaches back.
const FILM_MEMORY: Duration = Duration::from_secs(6);

pub struct Repairs {
    /// Bytes that may be repeated.
    credit: f64,
    /// Bytes sent for the first time lately: a mean over `memory`, times `memory`.
    fresh: f64,
    share: f64,
    memory: Duration,
    at: Instant,
}

impl Repairs {
    /// Nothing was sent yet, of a film or of something live.
    pub fn new(now: Instant, film: bool) -> Self {
        let (share, memory) = if film { (FILM_SHARE, FILM_MEMORY) } else { (SHARE, LIVE_MEMORY) };
        Repairs { credit: 0.0, fresh: 0.0, share, memory, at: now }
    }

    /// So many bytes left for the first time.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        self.pass(now);
        self.fresh += bytes as f64;
        self.credit += bytes as f64 * self.share;
    }

    /// Whether so many bytes may be repeated; if so, they are taken for repeated.
    pub fn take(&mut self, now: Instant, bytes: usize) -> bool {
        self.pass(now);
        let enough = self.credit >= bytes as f64;
        if enough {
            self.credit -= bytes as f64;
        }
        enough
    }

    /// So many bytes were repeated, allowed or not: what else there is to repeat has to wait for it.
    pub fn took(&mut self, now: Instant, bytes: usize) {
        self.pass(now);
        self.credit -= bytes as f64;
    }

    /// So many bytes that were taken are not repeated after all.
    pub fn give_back(&mut self, bytes: usize) {
        self.credit += bytes as f64;
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if passed == 0.0 {
            return;
        }
        self.at = now;
        self.fresh *= (-passed / self.memory.as_secs_f64()).exp();
        let most = self.fresh * self.share + TRICKLE;
        self.credit = (self.credit + passed * TRICKLE).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn never_more_is_repeated_than_the_share_whoever_asks() {
        let start = Instant::now();
        let mut repairs = Repairs::new(start, false);
        let (mut fresh, mut repeated) = (0, 0);
        for millis in 0..10_000u64 {
            let now = start + Duration::from_millis(millis);
            if millis.is_multiple_of(33) && millis < 5000 {
                repairs.sent(now, 100_000);
                fresh += 100_000;
            }
            while repairs.take(now, 1200) {
                repeated += 1200;
            }
        }
        let most = f64::from(fresh) * SHARE + TRICKLE * 10.0;
        assert!(f64::from(repeated) <= most && f64::from(repeated) > 0.95 * most, "{repeated} of {most}");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn of_a_film_of_which_two_thirds_are_lost_every_byte_may_be_mended() {
        let now = Instant::now();
        let mut repairs = Repairs::new(now, true);
        repairs.sent(now, 900_000);
        assert!([600_000, 400_000, 266_000, 177_000].into_iter().all(|lost| repairs.take(now, lost)));
        assert!(!repairs.take(now, 400_000));
        repairs.give_back(177_000);
        assert!(repairs.take(now, 400_000), "what was not sent after all is there again");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn what_was_not_repeated_is_not_saved_up_for_long() {
        let start = Instant::now();
        let mut repairs = Repairs::new(start, false);
        (0..100).for_each(|second| repairs.sent(start + Duration::from_secs(second), 1_000_000));
        let now = start + Duration::from_secs(99);
        assert!(!repairs.take(now, 2_000_000) && repairs.take(now, 1_500_000));
        repairs.took(now, 1_000_000);
        assert!(!repairs.take(now, 1), "others wait for it");
    }
}
