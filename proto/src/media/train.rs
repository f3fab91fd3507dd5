//! Packet trains: what the receiver tells of how pictures arrived, and what the sender makes of it.
//!
//! A picture leaves as a burst, and the narrowest link on its way spreads the burst out to its own speed (packet dispersion:
//! Keshav 1991; Dovrolis, Ramanathan, Moore 2001). So each picture measures the path: when its first packet came, how long the
//! others took and how many bytes that was. The sender knows when those packets left; with both it has the path's delay, its
//! growth and its speed. A picture of more than a few packets is told of in two halves: what a narrow link spreads it spreads
//! evenly, while jitter that keeps order holds up one packet and lets the rest come at once behind it
//! ([`Passage::even`]). Rejected: a time stamp in each datagram (bytes on every path for what few paths need), and the receiver's
//! own estimate (it does not know when a packet left).
//!
//! Where pictures of several tracks share a path their packets interleave. A train is still of one picture, begun by its first
//! packet that is newer than all of its track; what comes of other tracks meanwhile passed the same narrowest link and counts
//! among its bytes.
//!
//! Capacity: [`MAX_TRAINS`] a report; the oldest go. The newest pictures of [`MAX_TRACKS`] tracks are known.

use crate::wire::datagram::FragmentHead;
use crate::wire::report::{MAX_TRAINS, Train, Trains};
use std::time::Duration;

/// The receiver's side: fragments in, trains out.
#[derive(Default)]
pub struct Collector {
    done: Trains,
    current: Option<Open>,
    /// The newest picture of each track.
    newest: Vec<(u8, u32)>,
}

/// More tracks than are received of a sender.
const MAX_TRACKS: usize = 32;

/// A half of fewer bytes is not told of by itself.
const LEAST_HALF: u32 = 2400;

#[derive(Clone, Copy)]
struct Open {
    picture: (u8, u32),
    /// It has reached the picture's second half.
    second: bool,
    first: u64,
    last: u64,
    at_us: u64,
    last_us: u64,
    bytes: u32,
    /// Bytes of other tracks since.
    between: u32,
}

impl Collector {
    /// A fragment of a track came in packet `number` of `len` bytes, at `at_us` of the receiver's clock.
    pub fn push(&mut self, track: u8, head: &FragmentHead, number: u64, len: usize, at_us: u64) {
        let (picture, second) = ((track, head.picture), is_of_second_half(head));
        let is_newer = self.is_newer(picture);
        match &mut self.current {
            // Pictures' numbers wrap; what is behind is a late packet of an earlier one.
            Some(open) if open.picture.0 == track && (head.picture.wrapping_sub(open.picture.1) as i32) < 0 => {}
            // What was overtaken, or comes again.
            Some(open) if open.picture == picture && open.second && !second => {}
            Some(open) if open.picture == picture && (open.second || !second || open.bytes < LEAST_HALF) => {
                // What was overtaken says nothing of the path's speed.
                if number > open.last && at_us >= open.last_us {
                    open.last = number;
                    open.last_us = at_us;
                    open.bytes = open.bytes.saturating_add(std::mem::take(&mut open.between)).saturating_add(len as u32);
                    open.second |= second;
                }
            }
            // The rest of a picture into which another track's came.
            Some(open) if open.picture.0 != track && !is_newer => open.between = open.between.saturating_add(len as u32),
            _ => {
                self.close();
                let (first, last, last_us, bytes, between) = (number, number, at_us, 0, 0);
                self.current = Some(Open { picture, second, first, last, at_us, last_us, bytes, between });
            }
        }
    }

    /// Whether a picture is newer than all that came of its track; it is the newest from now on.
    fn is_newer(&mut self, (track, picture): (u8, u32)) -> bool {
        let Some((_, newest)) = self.newest.iter_mut().find(|(of, _)| *of == track) else {
            if self.newest.len() == MAX_TRACKS {
                self.newest.remove(0);
            }
            self.newest.push((track, picture));
            return true;
        };
        let newer = picture.wrapping_sub(*newest) as i32 > 0;
        if newer {
            *newest = picture;
        }
        newer
    }

    fn close(&mut self) {
        if let Some(open) = self.current.take() {
            let packets = u16::try_from(open.last - open.first).unwrap_or(u16::MAX);
            let span_us = u32::try_from(open.last_us - open.at_us).unwrap_or(u32::MAX);
            self.done.push(Train { first: open.first as u32, packets, at_us: open.at_us as u32, span_us, bytes: open.bytes });
        }
    }

    /// The trains since the last call; the one that may still be under way stays, unless it ended `quiet_us` ago.
    pub fn take(&mut self, now_us: u64, quiet_us: u64) -> Trains {
        if self.current.is_some_and(|open| now_us >= open.last_us + quiet_us) {
            self.close();
        }
        std::mem::take(&mut self.done)
    }
}

/// Of the slices, or of the only slice's fragments.
fn is_of_second_half(head: &FragmentHead) -> bool {
    match head.last_slice {
        0 => u32::from(head.index) * 2 > u32::from(head.last_index),
        last => u32::from(head.slice) * 2 > u32::from(last),
    }
}

/// How a picture passed, as the sender understands it: one train, or the two of its halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// From leaving to arriving of its first packet, µs, plus what the two clocks differ: worth comparing only.
    pub first_us: i64,
    /// The same of its last packet.
    pub last_us: i64,
    /// From the first arrival to the last.
    pub span: Duration,
    /// Bytes that came after the first packet.
    pub bytes: u32,
    /// Both its halves were spread alike, as far as is known: the path's speed did that, and not one late packet.
    pub even: bool,
    /// It lost so many of its packets that those that came say little of its shape.
    pub holed: bool,
}

/// What grew by less is not looked at for evenness, µs.
const LEAST_GROWTH: i64 = 2000;

impl Passage {
    pub const NONE: Passage = Passage { first_us: 0, last_us: 0, span: Duration::ZERO, bytes: 0, even: true, holed: false };

    /// Of a train whose first and last packet left at these times of the sender's clock, µs.
    pub fn new(train: &Train, first_left_us: u64, last_left_us: u64) -> Passage {
        // The receiver's clock travels in 32 bits, so the difference is taken around a circle of 71 minutes; what matters is how
        // it changes, and it does not change by half an hour.
        let first_us = i64::from(train.at_us.wrapping_sub(first_left_us as u32) as i32);
        let sending = last_left_us.saturating_sub(first_left_us) as i64;
        let last_us = first_us + i64::from(train.span_us) - sending;
        let span = Duration::from_micros(train.span_us.into());
        Passage { first_us, last_us, span, bytes: train.bytes, even: true, holed: false }
    }

    /// With the second half behind it, whose first packet came `after` this one's and had so many bytes.
    pub fn and(&self, second: &Passage, after: Duration, bytes: u32) -> Passage {
        let grew = |half: &Passage| half.last_us.saturating_sub(half.first_us);
        let a_byte = |half: &Passage| grew(half) as f64 / f64::from(half.bytes.max(1));
        let tells = second.bytes >= LEAST_HALF && grew(self).max(grew(second)) >= LEAST_GROWTH;
        let (slower, faster) = if a_byte(self) > a_byte(second) { (self, second) } else { (second, self) };
        Passage {
            first_us: self.first_us,
            last_us: second.last_us,
            span: after + second.span,
            bytes: self.bytes.saturating_add(bytes).saturating_add(second.bytes),
            even: !tells || a_byte(faster) >= a_byte(slower) / 2.0,
            holed: false,
        }
    }

    /// How much longer its last packet was under way than its first.
    pub fn growth(&self) -> Duration {
        Duration::from_micros((self.last_us - self.first_us).max(0) as u64)
    }

    /// Bytes a second.
    pub fn speed(&self) -> f64 {
        f64::from(self.bytes) / self.span.as_secs_f64().max(1e-6)
    }
}

const _: () = assert!(MAX_TRAINS >= 2 * 3, "30 pictures a second are three a report, of two halves");

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment of a picture's first slice of `last_slice + 1`.
    fn head(picture: u32, slice: u8, last_slice: u8) -> FragmentHead {
        FragmentHead { picture, slice, last_slice, index: 0, last_index: 9 }
    }

    #[test]
    fn a_picture_is_a_train_and_what_comes_late_is_none() {
        let mut collector = Collector::default();
        for (picture, number, at) in
            [(7, 100, 1000), (7, 101, 1500), (7, 103, 2000), (6, 104, 2100), (7, 102, 2200), (8, 105, 9000)]
        {
            collector.push(0, &head(picture, 0, 1), number, 1200, at);
        }
        let trains = collector.take(9001, 4000);
        let train = Train { first: 100, packets: 3, at_us: 1000, span_us: 1000, bytes: 2400 };
        assert_eq!(trains.as_slice(), [train]);
        assert!(collector.take(12_999, 4000).as_slice().is_empty(), "8 may be under way");
        assert_eq!(collector.take(13_000, 4000).as_slice().len(), 1);
        assert!(collector.take(99_000, 4000).as_slice().is_empty());
    }

    #[test]
    fn pictures_of_two_tracks_that_interleave_are_a_train_each_with_all_that_passed() {
        let mut collector = Collector::default();
        // Track 1's picture begins, track 2's comes in between, and both go on by turns.
        let came = [(1, 7), (1, 7), (2, 90), (1, 7), (2, 90), (1, 7), (2, 90)];
        for (number, (track, picture)) in came.into_iter().enumerate() {
            collector.push(track, &head(picture, 0, 1), number as u64, 1200, number as u64 * 100);
        }
        // What was lost of the one before comes again.
        collector.push(1, &head(6, 0, 1), 7, 1200, 700);
        let trains = collector.take(99_000, 0);
        let trains: Vec<_> =
            trains.as_slice().iter().map(|train| (train.first, train.packets, train.span_us, train.bytes)).collect();
        assert_eq!(trains, [(0, 1, 100, 1200), (2, 4, 400, 4 * 1200)], "12 bytes a microsecond, both");
        collector.push(1, &head(8, 0, 1), 8, 1200, 100_000);
        assert_eq!(collector.take(199_000, 0).as_slice().len(), 1, "the next picture is one again");
    }

    #[test]
    fn of_many_trains_the_newest_are_told() {
        let mut collector = Collector::default();
        for picture in 0..40 {
            collector.push(0, &head(picture, 0, 1), picture.into(), 1200, u64::from(picture) * 1000);
        }
        let trains = collector.take(1_000_000, 0);
        assert_eq!(trains.as_slice().len(), MAX_TRAINS);
        assert_eq!(trains.as_slice().last().map(|train| train.first), Some(39));
    }

    #[test]
    fn the_senders_clock_and_the_receivers_wrap_together() {
        let train = Train { first: 0, packets: 9, at_us: 500, span_us: 10_000, bytes: 9 * 1200 };
        let passage = Passage::new(&train, (1 << 32) + 100, (1 << 32) + 4100);
        assert_eq!((passage.first_us, passage.last_us), (400, 6400));
        assert_eq!(passage.growth(), Duration::from_millis(6));
        assert!((passage.speed() - 1_080_000.0).abs() < 1.0);
    }

    #[test]
    fn a_picture_of_many_packets_is_two_trains_and_of_few_one() {
        let trains = |packets: u64| {
            let mut collector = Collector::default();
            for number in 0..packets {
                collector.push(0, &head(7, u8::from(number >= packets / 2), 1), number, 1200, number * 100);
            }
            // A packet of the first half that was lost comes again.
            collector.push(0, &head(7, 0, 1), packets, 1200, packets * 100);
            let trains = collector.take(99_000, 0);
            trains.as_slice().iter().map(|train| (train.first, train.packets, train.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(trains(20), [(0, 9, 9 * 1200), (10, 9, 9 * 1200)]);
        assert_eq!(trains(4), [(0, 3, 3 * 1200)], "halves of two packets measure nothing");
    }

    #[test]
    fn a_narrow_link_spreads_evenly_and_a_late_packet_does_not() {
        let half =
            |first_us, last_us| Passage { first_us, last_us, span: Duration::from_millis(9), bytes: 12_000, ..Passage::NONE };
        let both = |one: Passage, two: Passage| one.and(&two, Duration::from_millis(10), 1200);
        let narrow = both(half(0, 9_000), half(10_000, 19_000));
        assert_eq!((narrow.first_us, narrow.last_us, narrow.bytes, narrow.even), (0, 19_000, 25_200, true));
        assert_eq!(narrow.span, Duration::from_millis(19));
        assert!(!both(half(60_000, 95_000), half(95_000, 99_000)).even);
        assert!(!both(half(60_000, 61_000), half(61_000, 99_000)).even, "the late packet was in its second half");
        assert!(both(half(500, 900), half(900, 100)).even, "a fast path spreads nothing");
    }
}
