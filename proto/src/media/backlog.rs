//! Tells a backlog from a picture: what lay in the kernel while this process stood still is not shown.
//!
//! **Problem.** A process that was stopped or starved for seconds finds a socket buffer full of pictures. Decoded one after the other they
//! would all be seen, each for a moment: a second of the past, in a hurry.
//!
//! **Choice.** After [`SILENCE`] without a slice, for [`AFTERMATH`], pictures older than usual by [`TOO_OLD`] are left out. Their age is told by the
//! sender's clock. A path that was cut brings fresh pictures when it is back, for the sender skips; a path that is slow all the time has an
//! age that is usual; one that has become slow is seen after the aftermath. Rejected: waiting a little for something newer, which
//! would cost every picture of a slow path that little.

use std::time::{Duration, Instant};

/// No slice for so long: a stall, here or on the way.
const SILENCE: Duration = Duration::from_millis(250);
/// Reading what the kernel holds takes a few milliseconds.
const AFTERMATH: Duration = Duration::from_millis(100);
/// Beyond the usual age.
const TOO_OLD: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct Backlog {
    last: Option<Instant>,
    until: Option<Instant>,
    usual: Duration,
}

impl Backlog {
    /// A slice came at `now`, so long after its picture was caught. Whether it lay there.
    pub fn holds(&mut self, now: Instant, age: Duration) -> bool {
        if self.last.replace(now).is_some_and(|last| now >= last + SILENCE) {
            self.until = Some(now + AFTERMATH);
        }
        if self.until.is_some_and(|until| now < until) {
            return age > self.usual + TOO_OLD;
        }
        self.usual = (self.usual * 15 + age) / 16;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_lay_in_the_kernel_is_left_out_and_the_first_fresh_picture_is_not() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        for picture in 0..100 {
            assert!(!backlog.holds(start + ms(picture * 33), ms(20)));
        }
        let back = start + ms(99 * 33 + 3000);
        for (n, age) in (0..10).map(|n| (n, 3000 - n * 33)) {
            assert!(backlog.holds(back + ms(n) / 4, ms(age)), "{age} ms old");
        }
        assert!(!backlog.holds(back + ms(5), ms(25)), "the newest");
    }

    #[test]
    fn a_path_that_is_slow_or_has_become_so_is_seen() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        for picture in 0..100 {
            assert!(!backlog.holds(start + ms(picture * 33), ms(400)));
        }
        let back = start + ms(99 * 33 + 500);
        assert!(!backlog.holds(back, ms(450)));
        let seen = (0..6).filter(|n| !backlog.holds(back + ms(1 + n * 33), ms(900))).count();
        assert!(seen >= 2, "a hundred milliseconds later");
    }
}
