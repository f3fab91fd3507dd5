//! Entropy-coded data seen from outside: where its markers stand, and which restart intervals of a damaged scan are whole.
//!
//! Within a scan 0xFF is followed by 0x00 (stuffing) or a marker (T.81 B.1.1.5); restart markers count modulo 8. So a scan with
//! holes still tells which of its intervals are there in full, and nearly always which ones they are; an interval is named only
//! if there is one possibility. Nothing here looks at the coefficients.

use eyeline_proto::media::jpeg::tables::RST0;
use std::ops::Range;

/// A marker inside a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Where its 0xFF stands.
    pub at: usize,
    /// Its second byte.
    pub code: u8,
}

impl Marker {
    /// Its number, if it is a restart marker.
    pub fn restart(self) -> Option<u8> {
        (RST0..RST0 + 8).contains(&self.code).then(|| self.code - RST0)
    }
}

/// The markers of `data`, in order.
pub fn markers(data: &[u8]) -> impl Iterator<Item = Marker> + '_ {
    memchr::memchr_iter(0xFF, data).filter_map(|at| match data.get(at + 1) {
        Some(&code) if code != 0x00 && code != 0xFF => Some(Marker { at, code }),
        _ => None,
    })
}

/// Where the scan ends, if it holds exactly `intervals` intervals with their markers in order. One restart marker behind the
/// last interval is let pass: some cameras write it.
pub fn whole(scan: &[u8], intervals: usize) -> Option<usize> {
    let mut seen = 0;
    let mut end = scan.len();
    for marker in markers(scan) {
        match marker.restart() {
            Some(number) if usize::from(number) == seen % 8 => seen += 1,
            Some(_) => return None,
            None => {
                end = marker.at;
                break;
            }
        }
        if seen == intervals && marker.at + 2 != scan.len() {
            return None;
        }
    }
    (end > 0 && (seen + 1 == intervals || (seen == intervals && intervals > 1))).then_some(end)
}

/// Whole intervals one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Number of the first, from 0.
    pub first: usize,
    pub count: usize,
    /// Their data: without the marker in front and the one behind, with those between.
    pub bytes: Range<usize>,
}

/// A run whose place is not known yet.
struct Chain {
    /// The number of the marker in front of it; none at the scan's start.
    opened_by: Option<u8>,
    count: usize,
    bytes: Range<usize>,
    /// It reaches the scan's end.
    last: bool,
    /// Intervals that begin behind its last whole one, as far as they show.
    behind: usize,
}

impl Chain {
    fn new(opened_by: Option<u8>, at: usize) -> Self {
        Chain { opened_by, count: 0, bytes: at..at, last: false, behind: 0 }
    }

    /// The number of the marker that closes the interval after the whole ones.
    fn closing(&self) -> u8 {
        ((self.opened_by.map_or(0, |number| usize::from(number) + 1) + self.count) % 8) as u8
    }

    fn close(&mut self, at: usize) {
        self.count += 1;
        self.bytes.end = at;
    }

    /// Which interval it begins with, if only one is possible. `lowest` is the first that can be.
    fn place(&self, lowest: usize, intervals: usize) -> Option<usize> {
        let Some(number) = self.opened_by else {
            return (if self.last { self.count == intervals } else { self.count <= intervals }).then_some(0);
        };
        let highest = intervals.checked_sub(self.count + self.behind)?;
        let lowest = if self.last { highest.max(lowest) } else { lowest };
        let mut possible = (lowest..=highest).filter(|first| first % 8 == (usize::from(number) + 1) % 8);
        let first = possible.next()?;
        possible.next().is_none().then_some(first)
    }
}

/// The runs that can be told from the bytes `present` (in order) of a scan of `intervals`. `ended` says that the scan's length is
/// its true one, not that of what came first.
pub fn runs(scan: &[u8], present: &[Range<usize>], intervals: usize, ended: bool) -> Vec<Run> {
    let mut chains: Vec<Chain> = Vec::new();
    for range in merged(present, scan.len()) {
        chains_of(scan, range, ended, (intervals, &mut chains));
    }
    // Each but the first has a marker in front: it is no scan of so few intervals.
    if chains.len() > intervals + 1 {
        return Vec::new();
    }
    let mut behind = 0;
    for chain in chains.iter_mut().rev() {
        behind += chain.behind;
        chain.behind = behind;
        behind += chain.count;
    }
    let mut runs = Vec::new();
    let mut lowest = 1;
    for chain in chains {
        let Some(first) = chain.place(lowest, intervals) else { continue };
        lowest = first + chain.count + 1;
        if chain.count > 0 {
            runs.push(Run { first, count: chain.count, bytes: chain.bytes });
        }
    }
    runs
}

/// Splits one present range into chains of consecutively numbered whole intervals; into no more than two more than there are
/// intervals, for all the markers that it may have.
fn chains_of(scan: &[u8], range: Range<usize>, ended: bool, (intervals, chains): (usize, &mut Vec<Chain>)) {
    let mut open = (range.start == 0).then(|| Chain::new(None, 0));
    let mut begin = range.start;
    let mut end = range.end;
    let mut ended = ended && range.end == scan.len();
    for marker in markers(&scan[range.clone()]) {
        let at = range.start + marker.at;
        let Some(number) = marker.restart() else {
            (end, ended) = (at, true);
            break;
        };
        begin = at + 2;
        if chains.len() > intervals + 1 {
            return;
        }
        match &mut open {
            Some(chain) if chain.closing() == number => chain.close(at),
            _ => {
                if let Some(chain) = open.replace(Chain::new(Some(number), begin)) {
                    chains.push(Chain { behind: 1, ..chain });
                }
            }
        }
    }
    let Some(mut chain) = open else { return };
    if !ended {
        chain.behind = 1;
    } else {
        chain.last = true;
        if begin < end {
            chain.close(end);
        }
    }
    chains.push(chain);
}

/// In bounds, without empty ones, and touching ranges as one. Ranges out of order are dropped.
fn merged(present: &[Range<usize>], len: usize) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for range in present {
        let range = range.start..range.end.min(len);
        match out.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if range.start < last.end => {}
            Some(last) if range.start == last.end => last.end = range.end,
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a scan of which one part is there")]
mod tests {
    use super::*;

    /// Intervals `from..to` as `[number, stuffing, number]` with markers between; interval `n` is the bytes `7n..7n + 5`.
    fn scan(intervals: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for interval in 0..intervals {
            out.extend_from_slice(&[interval as u8, 0xFF, 0x00, interval as u8, 1]);
            if interval + 1 < intervals {
                out.extend_from_slice(&[0xFF, RST0 + (interval % 8) as u8]);
            }
        }
        out
    }

    fn found(scan: &[u8], present: &[Range<usize>], intervals: usize, ended: bool) -> Vec<(usize, usize)> {
        let runs = runs(scan, present, intervals, ended);
        for run in &runs {
            assert_eq!(run.bytes, 7 * run.first..7 * (run.first + run.count) - 2, "{run:?}");
        }
        runs.iter().map(|run| (run.first, run.count)).collect()
    }

    #[test]
    fn a_scan_is_whole_only_with_all_its_intervals_in_order() {
        assert_eq!(whole(&scan(20), 20), Some(20 * 7 - 2));
        assert_eq!(whole(&scan(20), 19), None);
        assert_eq!(whole(&scan(20), 21), None);
        assert_eq!(whole(&scan(1), 1), Some(5));
        assert_eq!(whole(&[], 1), None);
        let mut swapped = scan(20);
        swapped[6] = RST0 + 1;
        assert_eq!(whole(&swapped, 20), None);
        let mut trailing = scan(3);
        trailing.extend_from_slice(&[0xFF, RST0 + 2]);
        assert_eq!(whole(&trailing, 3), Some(trailing.len()), "a marker behind the last interval");
        let mut foreign = scan(3);
        foreign.extend_from_slice(&[0xFF, 0xD9, 1, 2, 0xFF, RST0]);
        assert_eq!(whole(&foreign, 3), Some(19), "nothing behind the scan is looked at");
    }

    #[test]
    fn a_prefix_gives_its_whole_intervals() {
        let scan = scan(20);
        for len in 0..scan.len() {
            let expected = if len < 7 { vec![] } else { vec![(0, len / 7)] };
            assert_eq!(found(&scan[..len], &[0..len], 20, false), expected, "{len}");
        }
    }

    #[test]
    fn what_follows_a_hole_is_named_by_its_markers() {
        let scan = scan(20);
        let end = scan.len();
        assert_eq!(found(&scan, &[0..30, 40..end], 20, true), [(0, 4), (6, 14)]);
        assert_eq!(found(&scan, &[0..30, 40..60, 70..end], 20, true), [(0, 4), (6, 2), (11, 9)], "10 has lost its marker");
        assert_eq!(found(&scan, &[40..end], 20, true), [(6, 14)], "the start is lost");
        assert_eq!(found(&scan, &[0..30, 40..60], 20, false), [(0, 4)], "6 or 14: not to be told, so not used");
        assert_eq!(found(&scan, &[0..30, 40..60, 60..61], 13, false), [(0, 4), (6, 2)], "of 13 it can only be 6");
    }

    #[test]
    fn every_hole_leaves_only_intervals_that_are_truly_whole() {
        let scan = scan(20);
        let end = scan.len();
        for from in 0..end {
            for to in from + 1..end {
                for (first, count) in found(&scan, &[0..from, to..end], 20, true) {
                    let bytes = 7 * first..7 * (first + count) - 2;
                    assert!(bytes.end <= from || bytes.start >= to, "{from}..{to}: {first}+{count}");
                }
            }
        }
    }

    #[test]
    fn a_scan_of_nothing_but_markers_takes_no_memory_for_each_of_them() {
        let scan = [0xFF, RST0 + 5].repeat(1 << 20);
        let mut chains = Vec::new();
        chains_of(&scan, 0..scan.len(), true, (6, &mut chains));
        assert!(chains.len() <= 8, "{}", chains.len());
        assert_eq!(runs(&scan, &[0..scan.len()], 6, true), []);
    }

    #[test]
    fn markers_out_of_order_break_a_run() {
        let mut scan = scan(6);
        scan[13] = RST0 + 5;
        assert_eq!(found(&scan, &[0..20], 6, false), [(0, 1)]);
    }
}
