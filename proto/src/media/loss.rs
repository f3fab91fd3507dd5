//! How much of what is sent is lost for good: what forward error correction is to be sized for.
//!
//! **Problem.** Redundancy must be there before the loss, follow it up within a report and down again, cost nothing where asking
//! mends it, and not follow an outage, which no redundancy survives. **Choice.** The share of packet numbers that did not come
//! between two reports, as two means (one second, ten) of which the greater counts, and the worst of three seconds at half its
//! worth, for losses come in bursts (Gilbert 1960). What asking mends is taken off: where a picture is waited for long enough to
//! be asked for `n` times, a share `p` leaves `p^n`. Losses count once they are a habit ([`HABIT`]). **Rejected.** The receiver's
//! count of packets given up: comes late, and does not know what was mended; a maximum over ten seconds: one scan of a Wi-Fi card
//! would cost a quarter more bytes for ten.

use std::time::Duration;

/// Packets that never came, told from those that are only late, out of how many are missing at each report.
///
/// On a path that keeps order, what is missing is lost. Where packets overtake, some are always missing and come: there only what
/// was missing through two reports counts, and only what is more than ever was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Missing {
    last: u64,
    counted: u64,
    /// Reports for which overtaking is still believed in.
    overtaking: u32,
}

/// Ten seconds of reports.
const OVERTAKING: u32 = 100;

impl Missing {
    /// At a report so many packets below the highest are missing, since the beginning. Says how many of them were lost since the
    /// last call.
    pub fn note(&mut self, missing: u64) -> u64 {
        let late = missing < self.last;
        self.overtaking = if late { OVERTAKING } else { self.overtaking.saturating_sub(1) };
        let lost = if self.overtaking > 0 { missing.min(self.last) } else { missing };
        self.last = missing;
        let fresh = lost.saturating_sub(self.counted);
        self.counted += fresh;
        fresh
    }
}

/// Reports whose worst counts as a burst: three seconds.
const RECENT: usize = 30;

/// Reports of them with a loss that make it a habit of the path: what happens once is over when shards could follow.
const HABIT: usize = 3;

/// Where more than this is lost, nothing passes for a while; no redundancy helps, and none is needed afterwards.
const OUTAGE: f64 = 0.5;

/// Asking once takes this much longer than a round trip: until a gap counts as a loss, and the answer's place in the queue.
const ASKING: Duration = Duration::from_millis(6);

/// More askings than any path needs.
const MANY: i32 = 16;

/// Less is an accident, not the path's way.
const LEAST: f64 = 0.002;

/// Fewer packets between two reports say nothing.
const FEW: u64 = 10;

pub struct Loss {
    /// Means over about one second and about ten.
    means: [f64; 2],
    /// The shares of the last reports.
    last: [f64; RECENT],
    at: usize,
    /// Reports so far.
    reports: f64,
    /// How often a lost packet can be sent until its picture is given up.
    chances: i32,
}

impl Loss {
    /// Nothing was lost yet.
    pub fn new() -> Self {
        Loss { means: [0.0; 2], last: [0.0; RECENT], at: 0, reports: 0.0, chances: MANY }
    }

    /// Between two reports `sent` packets left and `came` of them arrived; the receiver waits for a picture for `wait`, or as
    /// long as it takes.
    pub fn note(&mut self, sent: u64, came: u64, wait: Option<Duration>, rtt: Duration) {
        let asked = wait.map_or(f64::INFINITY, |wait| wait.as_secs_f64() / (rtt + ASKING).as_secs_f64());
        // The last answer may come too late, so it is not counted on.
        self.chances = (asked as i32).clamp(1, MANY);
        if sent < FEW {
            return;
        }
        let share = sent.saturating_sub(came) as f64 / sent as f64;
        if share > OUTAGE {
            return;
        }
        self.reports += 1.0;
        for (mean, of) in self.means.iter_mut().zip([10.0, 100.0]) {
            *mean += (share - *mean) / self.reports.min(of);
        }
        self.last[self.at] = share;
        self.at = (self.at + 1) % RECENT;
    }

    /// The share of packets that are lost however often there is time to ask.
    pub fn unmended(&self) -> f64 {
        let [fast, slow] = self.means;
        let mean = fast.max(slow);
        let left = |loss: f64| loss.powi(self.chances);
        let lossy = self.last.iter().filter(|share| **share > 0.0).count();
        if left(mean) < LEAST || lossy < HABIT.min(self.reports as usize) {
            return 0.0;
        }
        // Dice alone make the worst of thirty reports nearly twice the mean; what is beyond that comes in bursts.
        let worst = self.last.iter().copied().fold(0.0, f64::max);
        left(mean.max(worst * 0.5))
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Option<Duration> = Some(Duration::from_millis(33));
    const NEAR: Duration = Duration::from_millis(2);
    const FAR: Duration = Duration::from_millis(60);

    fn after(reports: impl IntoIterator<Item = u64>, wait: Option<Duration>, rtt: Duration) -> f64 {
        let mut loss = Loss::new();
        reports.into_iter().for_each(|lost| loss.note(100, 100 - lost, wait, rtt));
        loss.unmended()
    }

    #[test]
    fn what_asking_mends_needs_no_redundancy() {
        assert_eq!(after([5; 30], WAIT, NEAR), 0.0, "four times one in twenty");
        assert!((after([5; 30], WAIT, FAR) - 0.05).abs() < 1e-9);
        assert!((after([25; 30], WAIT, NEAR) - 0.25_f64.powi(4)).abs() < 1e-9);
        assert_eq!(after([20; 30], None, FAR), 0.0, "a file is waited for");
    }

    #[test]
    fn it_is_seen_at_once_and_forgotten_in_ten_seconds() {
        assert!(after([5], WAIT, FAR) > 0.04);
        let forgotten = after([5; 30].into_iter().chain([0; 400]), WAIT, FAR);
        assert_eq!(forgotten, 0.0);
    }

    #[test]
    fn bursts_count_for_more_than_their_mean() {
        let bursts = [30, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(3);
        assert!((after(bursts, WAIT, FAR) - 0.15).abs() < 1e-9);
    }

    #[test]
    fn neither_an_accident_nor_an_outage_is_a_habit() {
        assert_eq!(after([0; 20].into_iter().chain([40, 0]), WAIT, FAR), 0.0);
        assert_eq!(after([0; 20].into_iter().chain([100; 30]).chain([80, 0, 0]), WAIT, FAR), 0.0);
    }

    #[test]
    fn what_is_only_late_is_not_lost() {
        let (mut missing, mut lost) = (Missing::default(), 0);
        for report in 0..300 {
            // Up to thirty of them are under way behind others; from the hundredth report on five are lost in each.
            lost += missing.note((report * 7919) % 31 + 5 * u64::saturating_sub(report, 100));
        }
        assert!((960..1040).contains(&lost), "{lost}");
        let mut in_order = Missing::default();
        assert_eq!([3, 3, 10].map(|total| in_order.note(total)), [3, 0, 7], "in order, nothing is waited for");
    }

    #[test]
    fn a_peer_that_claims_nonsense_gets_a_number() {
        let mut loss = Loss::new();
        for (sent, came) in [(u64::MAX, 0), (0, u64::MAX), (100, u64::MAX), (u64::MAX, u64::MAX)] {
            loss.note(sent, came, WAIT, Duration::MAX / 2);
            assert!((0.0..=1.0).contains(&loss.unmended()));
        }
    }
}
