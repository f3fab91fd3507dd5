//! Which packets are missing, and when to ask for them again.
//!
//! Problem: tell loss from reordering quickly, ask in time, and never ask for ever. Choice: gaps in the packet numbers are the
//! evidence (every datagram has one, whatever it carries, RFC 9002 §6.1): a number is lost once [`REORDER_PACKETS`] later ones
//! came or [`REORDER_TIME`] went by; on a path that is seen to overtake, once as long went by as it does, and a quarter (RFC 8985
//! §6.2 has such a window): by a few milliseconds after the first time, by more once it is a habit. Pictures are waited for as
//! much longer. It is asked for at once, and again after one and a half round trips, for the question itself can be lost; the
//! answer travels under a new number, so if *it* is lost that shows as a gap of its own. The end of a picture has nothing behind
//! it that would show the gap, so a picture that stays unfinished for [`TAIL_TIME`] asks for "whatever you sent after the last I
//! have". Live, four questions are enough: later ones would be answered too late. A file that is written asks for as long as its
//! pictures are waited for, ever more seldom. Rejected: asking by picture, slice and fragment: needs to know what a wholly lost
//! slice or picture would have looked like; acknowledging everything, as QUIC does: costs bytes on a clean link.

use crate::wire::datagram::{Nack, Ranges};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Later packets after which a missing one counts as lost (RFC 9002 §6.1.1, kPacketThreshold).
const REORDER_PACKETS: u64 = 3;

/// Time after which it does when fewer come: longer than a switch or a Wi-Fi aggregate reorders.
const REORDER_TIME: Duration = Duration::from_millis(3);

/// A packet that was only overtaken though it was asked for makes gaps be given up to this, for this long after it last happened.
const SOON_OVERTAKEN: Duration = Duration::from_millis(10);
const OVERTAKEN_FOR: Duration = Duration::from_secs(10);

/// Longer ones count once there were so many of them in [`OVERTAKEN_FOR`]: one packet that took another way makes no later loss
/// wait.
const HABIT: usize = 4;

/// And no gap is given longer than this: what is so late is of no use to a live picture.
const MOST_OVERTAKEN: Duration = Duration::from_millis(150);

/// Quiet time in an unfinished picture after which its tail is asked for: an encoder's pause between slices is shorter.
const TAIL_TIME: Duration = Duration::from_millis(8);

/// The least time between two questions for one packet.
const MIN_REPEAT: Duration = Duration::from_millis(8);

/// Live questions for one packet: if four got no answer, the link is worse than asking can mend.
const MAX_ASKED: u8 = 4;

/// Lossless, each question doubles the time to the next one, up to this: an outage may be long, its end should show soon.
const MAX_REPEAT: Duration = Duration::from_millis(200);

/// Missing packets remembered; on overflow the oldest are given up. Live, more than a picture's are of no use.
const MAX_MISSING: usize = 2048;

/// Lossless, as many as the sender remembers: after an outage hundreds are missing that are on their way again under other
/// numbers, and the oldest is the one that is waited for.
const MAX_MISSING_LOSSLESS: usize = 8192;

/// Lost packets counted of one gap: three seconds of 400 Mbit/s, after which a peer is quiet and sent nothing. More is a number
/// that jumped.
const MOST_LOST: u64 = 100_000;

/// Live, a packet missing for so long is given up where pictures of some track are always waited for: nobody would send it again.
const LIVE_GIVE_UP: Duration = Duration::from_millis(500);

/// Lossless, a packet missing for so long belongs to a picture that is given up: as long as the receiver waits for one.
const GIVE_UP: Duration = Duration::from_secs(2);

struct Missing {
    number: u64,
    noticed: Instant,
    asked: u8,
    last_asked: Option<Instant>,
}

pub struct Tracker {
    lossless: bool,
    next: u64,
    missing: VecDeque<Missing>,
    /// When the tail is asked for (next), if pieces of a picture came.
    tail_due: Option<Instant>,
    tail_asked: u8,
    lost: u64,
    /// How long packets are overtaken on this path, and until when that is believed.
    overtaken: Option<(Duration, Instant)>,
    /// The longest times of this half of [`OVERTAKEN_FOR`] and of the one before, longest first; and when this half ends.
    longest: [[Duration; HABIT]; 2],
    half_ends: Option<Instant>,
}

impl Tracker {
    /// Expects packet number 0 next. `lossless` asks until [`Tracker::settle`], else a few times.
    pub fn new(lossless: bool) -> Self {
        Tracker {
            lossless,
            next: 0,
            missing: VecDeque::new(),
            tail_due: None,
            tail_asked: 0,
            lost: 0,
            overtaken: None,
            longest: [[Duration::ZERO; HABIT]; 2],
            half_ends: None,
        }
    }

    /// A packet came (not a duplicate); `data` if it carried a piece of a picture.
    pub fn received(&mut self, now: Instant, number: u64, data: bool) {
        if number >= self.next {
            let most = if self.lossless { MAX_MISSING_LOSSLESS } else { MAX_MISSING };
            let from = self.next.max(number.saturating_sub(most as u64));
            self.lost += (from - self.next).min(MOST_LOST);
            for number in from..number {
                if self.missing.len() == most {
                    self.missing.pop_front();
                    self.lost += 1;
                }
                self.missing.push_back(Missing { number, noticed: now, asked: 0, last_asked: None });
            }
            self.next = number + 1;
        } else if let Ok(at) = self.missing.binary_search_by_key(&number, |missing| missing.number)
            && let Some(missing) = self.missing.remove(at)
        {
            let by = now.saturating_duration_since(missing.noticed);
            if missing.asked > 0 {
                self.was_only_overtaken(now, by);
            }
            self.note_overtaken(now, by);
        }
        if data {
            self.tail_due = Some(now + TAIL_TIME.max(self.window(now)));
            self.tail_asked = 0;
        }
    }

    /// Every picture that began is whole or given up. Live, nothing that is missing is wanted any more; lossless, it may be all
    /// there is of a picture that did not begin.
    pub fn settle(&mut self, now: Instant) {
        self.tail_due = None;
        if self.lossless {
            return self.give_up(now);
        }
        // What might still be on its way, only out of order, is kept.
        while self.missing.front().is_some_and(|missing| self.is_lost(missing, now)) {
            self.missing.pop_front();
            self.lost += 1;
        }
    }

    fn give_up(&mut self, now: Instant) {
        let after = if self.lossless { GIVE_UP } else { LIVE_GIVE_UP };
        while self.missing.front().is_some_and(|missing| now >= missing.noticed + after) {
            self.missing.pop_front();
            self.lost += 1;
        }
    }

    /// It was asked for and was not lost: on this path a gap is given so long, and a quarter, for a while.
    fn was_only_overtaken(&mut self, now: Instant, by: Duration) {
        let before = self.overtaken.filter(|(_, until)| now < *until).map_or(Duration::ZERO, |(window, _)| window);
        self.overtaken = Some((before.max(by + by / 4).min(SOON_OVERTAKEN), now + OVERTAKEN_FOR));
    }

    fn note_overtaken(&mut self, now: Instant, by: Duration) {
        self.turn(now);
        let longest = &mut self.longest[0];
        let at = longest.partition_point(|longer| *longer >= by);
        if at < HABIT {
            longest[at..].rotate_right(1);
            longest[at] = by;
        }
    }

    /// Forgets what is older than [`OVERTAKEN_FOR`].
    fn turn(&mut self, now: Instant) {
        let ends = *self.half_ends.get_or_insert(now + OVERTAKEN_FOR / 2);
        if now >= ends {
            let before = if now >= ends + OVERTAKEN_FOR / 2 { [Duration::ZERO; HABIT] } else { self.longest[0] };
            self.longest = [[Duration::ZERO; HABIT], before];
            self.half_ends = Some(now + OVERTAKEN_FOR / 2);
        }
    }

    /// How long a gap is given on a path that overtakes.
    pub fn window(&self, now: Instant) -> Duration {
        let soon = self.overtaken.filter(|(_, until)| now < *until).map_or(Duration::ZERO, |(window, _)| window);
        let old = self.half_ends.is_none_or(|ends| now >= ends + OVERTAKEN_FOR / 2);
        let habit = if old { Duration::ZERO } else { nth_longest(&self.longest) };
        soon.max((habit + habit / 4).min(MOST_OVERTAKEN))
    }

    fn is_lost(&self, missing: &Missing, now: Instant) -> bool {
        now >= self.lost_at(missing, now)
    }

    fn lost_at(&self, missing: &Missing, now: Instant) -> Instant {
        let many_later = self.next > missing.number + REORDER_PACKETS;
        missing.noticed + if many_later { self.window(now) } else { REORDER_TIME.max(self.window(now)) }
    }

    /// When [`Tracker::poll`] will have something to ask, if it is to be polled.
    pub fn deadline(&self, now: Instant, rtt: Duration) -> Option<Instant> {
        let packets = self.missing.iter().filter(|missing| self.may_ask(missing.asked)).map(|missing| match missing.last_asked {
            Some(asked) => asked + self.repeat_after(rtt, missing.asked),
            None => self.lost_at(missing, now),
        });
        packets.chain(self.tail_due).min()
    }

    fn may_ask(&self, asked: u8) -> bool {
        self.lossless || asked < MAX_ASKED
    }

    /// How long after the question of this number (from 1) it is asked again.
    fn repeat_after(&self, rtt: Duration, asked: u8) -> Duration {
        let first = (rtt * 3 / 2).max(MIN_REPEAT);
        let doublings = if self.lossless { u32::from(asked.saturating_sub(1)).min(8) } else { 0 };
        first.saturating_mul(1 << doublings).min(MAX_REPEAT.max(first))
    }

    /// What to ask for now. Call while pictures are unfinished; lossless, always.
    pub fn poll(&mut self, now: Instant, rtt: Duration, patience_ms: u16) -> Option<Nack> {
        let highest = self.next.checked_sub(1)?;
        self.give_up(now);
        let mut ranges = Ranges::new();
        for at in 0..self.missing.len() {
            let missing = &self.missing[at];
            let due = missing.last_asked.is_none_or(|last| now >= last + self.repeat_after(rtt, missing.asked));
            // What was asked for once counts as lost, however long gaps are given meanwhile.
            if (missing.asked == 0 && !self.is_lost(missing, now)) || !due || !self.may_ask(missing.asked) {
                continue;
            }
            if !ranges.push(missing.number) {
                break;
            }
            let missing = &mut self.missing[at];
            missing.asked = missing.asked.saturating_add(1);
            missing.last_asked = Some(now);
        }
        let tail = self.tail_due.is_some_and(|due| now >= due);
        if tail {
            self.tail_asked = self.tail_asked.saturating_add(1);
            self.tail_due = self.may_ask(self.tail_asked).then(|| now + self.repeat_after(rtt, self.tail_asked));
        }
        let asks = tail || !ranges.as_slice().is_empty();
        asks.then_some(Nack { highest, tail, patience_ms, missing: ranges })
    }

    /// One more than the highest number that came.
    pub fn next_expected(&self) -> u64 {
        self.next
    }

    /// Whether a packet did not come while later ones did, and is not given up.
    pub fn misses_any(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Packets given up.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// The [`HABIT`]th longest of both, each of which has the longest first.
fn nth_longest([one, other]: &[[Duration; HABIT]; 2]) -> Duration {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut longest = Duration::ZERO;
    for _ in 0..HABIT {
        let next = if one.peek() >= other.peek() { one.next() } else { other.next() };
        longest = next.copied().unwrap_or_default();
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram::Range;

    const RTT: Duration = Duration::from_millis(4);

    fn asked(nack: Option<Nack>) -> Vec<Range> {
        nack.map(|nack| nack.missing.as_slice().to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_gap_is_asked_for_after_three_packets_and_again_if_no_answer_comes() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        for number in [0, 1, 4, 5, 6] {
            tracker.received(start, number, true);
        }
        // 2 has four later packets, 3 only three.
        assert_eq!(asked(tracker.poll(start, RTT, 50)), [Range { first: 2, count: 2 }]);
        assert_eq!(asked(tracker.poll(start, RTT, 50)), []);
        let later = tracker.deadline(start, RTT).unwrap();
        assert_eq!(later, start + MIN_REPEAT);
        assert_eq!(asked(tracker.poll(later, RTT, 50)), [Range { first: 2, count: 2 }]);
    }

    #[test]
    fn reordering_is_not_loss() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        for number in [0, 2, 3, 1, 4] {
            tracker.received(start, number, true);
            assert_eq!(tracker.poll(start, RTT, 50), None);
        }
        assert_eq!(tracker.lost(), 0);
    }

    #[test]
    fn on_a_path_that_overtakes_a_gap_is_given_as_long() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        let ms = Duration::from_millis;
        for number in [0, 2, 3, 4, 5] {
            tracker.received(start, number, true);
        }
        assert_eq!(asked(tracker.poll(start, RTT, 50)), [Range { first: 1, count: 1 }]);
        tracker.received(start + ms(4), 1, true);
        for number in [7, 8, 9, 10] {
            tracker.received(start + ms(5), number, true);
        }
        assert_eq!(asked(tracker.poll(start + ms(5), RTT, 50)), []);
        assert_eq!(tracker.deadline(start + ms(5), RTT), Some(start + ms(10)), "4 ms and a quarter");
        assert_eq!(asked(tracker.poll(start + ms(10), RTT, 50)), [Range { first: 6, count: 1 }]);
        // Nothing was overtaken for long: the next gap is a loss at once.
        let later = start + Duration::from_secs(11);
        for number in [12, 13, 14, 15] {
            tracker.received(later, number, true);
        }
        assert!(asked(tracker.poll(later, RTT, 50)).contains(&Range { first: 11, count: 1 }));
    }

    #[test]
    fn a_path_that_overtakes_by_much_is_given_as_much_once_it_does_so_again_and_again() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        let ms = Duration::from_millis;
        for turn in 0..HABIT as u64 {
            let at = start + ms(100 * turn);
            assert!(tracker.window(at) <= SOON_OVERTAKEN, "{:?} after {turn}", tracker.window(at));
            for number in [1, 2, 3, 4] {
                tracker.received(at, 10 * turn + number, true);
            }
            tracker.received(at + ms(40), 10 * turn, true);
        }
        assert_eq!(tracker.window(start + ms(400)), ms(50), "40 ms and a quarter");
        assert_eq!(tracker.window(start + ms(4000)), ms(50));
        assert!(tracker.window(start + ms(11_000)) <= SOON_OVERTAKEN, "it is forgotten");
    }

    #[test]
    fn what_is_missing_for_long_is_given_up_though_some_picture_is_always_waited_for() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        for number in [0, 2, 3, 4, 5] {
            tracker.received(start, number, true);
        }
        assert_eq!(asked(tracker.poll(start, RTT, 50)), [Range { first: 1, count: 1 }]);
        tracker.poll(start + LIVE_GIVE_UP, RTT, 50);
        assert_eq!(tracker.lost(), 1);
    }

    #[test]
    fn the_end_of_an_unfinished_picture_is_asked_for_when_it_stays_quiet() {
        let (mut tracker, start) = (Tracker::new(false), Instant::now());
        tracker.received(start, 0, true);
        assert_eq!(tracker.poll(start, RTT, 50), None);
        let nack = tracker.poll(tracker.deadline(start, RTT).unwrap(), RTT, 50).unwrap();
        assert_eq!((nack.tail, nack.highest, nack.missing.as_slice()), (true, 0, &[][..]));
    }

    #[test]
    fn live_asks_four_times_and_patient_ever_more_seldom_but_for_as_long_as_it_takes() {
        for (lossless, expected) in [(false, [4, 4]), (true, [6, 14])] {
            let (mut tracker, start) = (Tracker::new(lossless), Instant::now());
            for number in [0, 2, 3, 4, 5] {
                tracker.received(start, number, true);
            }
            let (mut gaps, mut tails, mut last) = (Vec::new(), 0, start);
            while let Some(due) = tracker.deadline(start, RTT).filter(|due| *due < start + Duration::from_secs(2)) {
                let nack = tracker.poll(due, RTT, 50).expect("what is due is asked");
                gaps.extend((!nack.missing.as_slice().is_empty()).then(|| due - std::mem::replace(&mut last, due)));
                tails += u32::from(nack.tail);
            }
            let early = gaps.iter().filter(|gap| **gap < Duration::from_millis(200)).count();
            assert_eq!([early, gaps.len()], expected, "lossless: {lossless}, {gaps:?}");
            assert_eq!(tails as usize, gaps.len(), "the tail is asked for as often");
        }
    }

    /// After an outage a pong may be the first to come: what it shows to be missing is a picture of which nothing came.
    #[test]
    fn a_gap_before_any_picture_began_is_forgotten_live_and_asked_for_patient() {
        for lossless in [false, true] {
            let (mut tracker, start) = (Tracker::new(lossless), Instant::now());
            tracker.received(start, 0, true);
            tracker.received(start, 30, false);
            let later = start + Duration::from_millis(5);
            tracker.settle(later);
            let asked = asked(tracker.poll(later, RTT, 50));
            assert_eq!(asked, if lossless { vec![Range { first: 1, count: 29 }] } else { Vec::new() });
            let end = start + GIVE_UP;
            tracker.settle(end);
            assert_eq!((tracker.deadline(start, RTT), tracker.lost()), (None, 29), "patience ends, too");
        }
    }

    #[test]
    fn a_jump_of_a_billion_packets_costs_bounded_memory() {
        for (lossless, most) in [(false, MAX_MISSING), (true, MAX_MISSING_LOSSLESS)] {
            let (mut tracker, start) = (Tracker::new(lossless), Instant::now());
            tracker.received(start, 0, true);
            tracker.received(start, 1_000_000_000, true);
            assert_eq!(tracker.missing.len(), most);
            assert_eq!(tracker.lost(), MOST_LOST, "a number that jumps is no loss of a billion packets");
        }
    }
}
