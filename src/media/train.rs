//! Packet trains: what the receiver tells of how pictures arrived, and what the sender makes of it.
//!
//! A picture leaves as a burst, and the narrowest link on its way spreads the burst out to its own speed (packet dispersion: Keshav
//! 1991; Dovrolis, Ramanathan, Moore 2001). So each picture measures the path: when its first packet came, how long the others took
//! and how many bytes that was. The sender knows when those packets left; with both it has the path's delay, its growth
//! and its speed. Rejected: a time stamp in each datagram (bytes on every path for what few paths need), and the receiver's own
//! estimate (it does not know when a packet left).
//!
//! Capacity: [`MAX_TRAINS`] a report; the oldest go.

use crate::wire::report::{MAX_TRAINS, Train, Trains};
use std::time::Duration;

/// The receiver's side: fragments in, trains out.
#[derive(Default)]
pub struct Collector {
    done: Trains,
    current: Option<(u32, Open)>,
}

#[derive(Clone, Copy)]
struct Open {
    first: u64,
    last: u64,
    at_us: u64,
    last_us: u64,
    bytes: u32,
}

impl Collector {
    /// A fragment of `picture` (low half of its number) came in packet `number` of `len` bytes, at `at_us` of the receiver's clock.
    pub fn push(&mut self, picture: u32, number: u64, len: usize, at_us: u64) {
        match &mut self.current {
            Some((of, open)) if *of == picture => {
                // What was overtaken, or comes again, says nothing of the path's speed.
                if number > open.last && at_us >= open.last_us {
                    open.last = number;
                    open.last_us = at_us;
                    open.bytes = open.bytes.saturating_add(len as u32);
                }
            }
            // Pictures' numbers wrap; what is behind is a late packet of an earlier one.
            Some((of, _)) if (picture.wrapping_sub(*of) as i32) < 0 => {}
            _ => {
                self.close();
                self.current = Some((picture, Open { first: number, last: number, at_us, last_us: at_us, bytes: 0 }));
            }
        }
    }

    fn close(&mut self) {
        if let Some((_, open)) = self.current.take() {
            let packets = u16::try_from(open.last - open.first).unwrap_or(u16::MAX);
            let span_us = u32::try_from(open.last_us - open.at_us).unwrap_or(u32::MAX);
            self.done.push(Train { first: open.first as u32, packets, at_us: open.at_us as u32, span_us, bytes: open.bytes });
        }
    }

    /// The trains since the last call; the one that may still be under way stays, unless it ended `quiet_us` ago.
    pub fn take(&mut self, now_us: u64, quiet_us: u64) -> Trains {
        if self.current.is_some_and(|(_, open)| now_us >= open.last_us + quiet_us) {
            self.close();
        }
        std::mem::take(&mut self.done)
    }
}

/// A train as the sender understands it.
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
}

impl Passage {
    /// Nothing passed.
    pub const NONE: Passage = Passage { first_us: 0, last_us: 0, span: Duration::ZERO, bytes: 0 };

    /// Of a train whose first and last packet left at these times of the sender's clock, µs.
    pub fn new(train: &Train, first_left_us: u64, last_left_us: u64) -> Passage {
        // The receiver's clock travels in 32 bits, so the difference is taken around a circle of 71 minutes; what matters is how it
        // changes, and it does not change by half an hour.
        let first_us = i64::from(train.at_us.wrapping_sub(first_left_us as u32) as i32);
        let sending = last_left_us.saturating_sub(first_left_us) as i64;
        let last_us = first_us + i64::from(train.span_us) - sending;
        Passage { first_us, last_us, span: Duration::from_micros(train.span_us.into()), bytes: train.bytes }
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

const _: () = assert!(MAX_TRAINS >= 6, "60 pictures a second are six a report");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_train_and_what_comes_late_is_none() {
        let mut collector = Collector::default();
        for (picture, number, at) in
            [(7, 100, 1000), (7, 101, 1500), (7, 103, 2000), (6, 104, 2100), (7, 102, 2200), (8, 105, 9000)]
        {
            collector.push(picture, number, 1200, at);
        }
        let trains = collector.take(9001, 4000);
        let train = Train { first: 100, packets: 3, at_us: 1000, span_us: 1000, bytes: 2400 };
        assert_eq!(trains.as_slice(), [train]);
        assert!(collector.take(12_999, 4000).as_slice().is_empty(), "8 may be under way");
        assert_eq!(collector.take(13_000, 4000).as_slice().len(), 1);
        assert!(collector.take(99_000, 4000).as_slice().is_empty());
    }

    #[test]
    fn of_many_trains_the_newest_are_told() {
        let mut collector = Collector::default();
        for picture in 0..40 {
            collector.push(picture, picture.into(), 1200, u64::from(picture) * 1000);
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
}
