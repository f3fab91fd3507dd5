//! What a report's trains say, picture by picture, once it is known what was sent.

use super::sent::{Packet, Sent};
use crate::media::clock::Epoch;
use crate::media::train::Passage;
use crate::wire::report::{MAX_TRAINS, Report, Train};
use std::time::{Duration, Instant};

/// A picture that lost more than this has holes.
const HOLES: f64 = 0.2;

struct Half<'a> {
    train: &'a Train,
    first: Packet,
    passage: Passage,
}

/// How the pictures passed that the trains of a report tell of, oldest first.
pub(super) fn passages(report: &Report, sent: &Sent, epoch: &Epoch) -> Vec<Passage> {
    let micros = |at: Instant| epoch.media_time(at).as_nanos() / 1000;
    let mut pictures: Vec<(Half<'_>, Option<Half<'_>>)> = Vec::with_capacity(MAX_TRAINS);
    for train in report.trains.as_slice() {
        let last = train.first.wrapping_add(train.packets.into());
        let (Some(first), Some(last)) = (sent.packet(train.first), sent.packet(last)) else { continue };
        let half = Half { train, first, passage: Passage::new(train, micros(first.left), micros(last.left)) };
        match pictures.last_mut() {
            Some((begin, end @ None)) if begin.first.picture == first.picture => *end = Some(half),
            _ => pictures.push((half, None)),
        }
    }
    pictures.iter().map(|(begin, end)| passage(begin, end.as_ref(), sent)).collect()
}

fn passage(begin: &Half<'_>, end: Option<&Half<'_>>, sent: &Sent) -> Passage {
    let bytes = |half: &Half<'_>| f64::from(half.first.len) + f64::from(half.train.bytes);
    let came = bytes(begin) + end.map_or(0.0, bytes);
    let holed = came < (1.0 - HOLES) * f64::from(sent.bytes_from(&begin.first));
    let passage = end.map_or(begin.passage, |end| {
        let after = end.train.at_us.wrapping_sub(begin.train.at_us) as i32;
        begin.passage.and(&end.passage, Duration::from_micros(after.max(0) as u64), end.first.len)
    });
    Passage { holed, ..passage }
}

#[cfg(test)]
mod tests {
    use super::super::sent::SentFragment;
    use super::*;

    /// A picture of forty packets, of which only those named come: 1 ms apart, 5 ms after they left.
    fn seen(came: impl Fn(u64) -> bool) -> Passage {
        let (start, mut sent, mut report) = (Instant::now(), Sent::new(), Report::default());
        let epoch = Epoch::new(start);
        for number in 0..50 {
            let picture = 7 + number / 40;
            let at = start + Duration::from_millis(number);
            sent.record(at, number, SentFragment { track: 0, slice: picture, fragment: 0, cut: 1165, again: 0 }, picture, 1000);
        }
        for half in [0..20, 20..40] {
            let numbers: Vec<u64> = half.filter(|number| came(*number)).collect();
            let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { continue };
            report.trains.push(Train {
                first: *first as u32,
                packets: (last - first) as u16,
                at_us: (first * 1000 + 5000) as u32,
                span_us: ((last - first) * 1000) as u32,
                bytes: (numbers.len() as u32 - 1) * 1000,
            });
        }
        let seen = passages(&report, &sent, &epoch);
        assert_eq!(seen.len(), 1, "two trains of one picture are one");
        seen[0]
    }

    #[test]
    fn two_halves_are_one_picture() {
        let passage = seen(|_| true);
        assert_eq!((passage.first_us, passage.last_us, passage.bytes), (5000, 5000, 39_000));
        assert_eq!((passage.span, passage.holed), (Duration::from_millis(39), false));
    }

    #[test]
    fn a_picture_that_lost_much_has_holes() {
        assert!(seen(|number| number % 4 == 0).holed);
        assert!(seen(|number| number < 20).holed, "nothing of the second half came");
        assert!(!seen(|number| number != 33).holed, "one packet is an accident");
    }
}
