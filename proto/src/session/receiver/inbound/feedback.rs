//! What a sender is told of what came, and what is asked for again. All of it counts since its connection began (PROTOCOL.md
//! §5.8), and is made anew when it comes back over another.

use super::narrow::Narrow;
use crate::media::nack::Tracker;
use crate::media::train::Collector;
use crate::session::link::LinkId;
use crate::session::path::Rtt;
use crate::wire::datagram::{FragmentHead, Nack};
use crate::wire::report::{Report, TrackReport, TrackReports};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A picture of which nothing came for so long has passed, or lost its end.
const TRAIN_OVER: Duration = Duration::from_millis(20);

pub(in crate::session::receiver) struct Feedback {
    pub link: LinkId,
    tracker: Tracker,
    trains: Collector,
    report: Report,
    narrow: Narrow,
    /// Its sender knows us: it thinks that what was shown is shown still.
    pub known: bool,
    /// Tracks that were received over it.
    received: BTreeSet<u8>,
}

impl Feedback {
    /// Nothing has come over this connection. `lossless`: whatever is missing is asked for.
    pub fn new(link: LinkId, lossless: bool) -> Self {
        let (trains, report, narrow) = (Collector::default(), Report::default(), Narrow::default());
        Feedback { link, tracker: Tracker::new(lossless), trains, report, narrow, known: false, received: BTreeSet::new() }
    }

    /// This track is received from now on. Whether its sender may think that what was shown of it before is shown still.
    pub fn receives(&mut self, track: u8) -> bool {
        !self.received.insert(track) || self.known
    }

    /// A datagram of so many bytes opened, `data` if it carried a piece of a picture.
    pub fn datagram_came(&mut self, now: Instant, number: u64, bytes: usize, data: bool) {
        self.report.received += 1;
        self.report.bytes += bytes as u64;
        self.tracker.received(now, number, data);
    }

    /// This packet was a probe that was too long for the path.
    pub fn is_no_loss(&mut self, now: Instant, number: u64) {
        self.tracker.received(now, number, false);
    }

    /// It was this piece of a track, in packet `number` of so many bytes; at `at_us` on our media clock.
    pub fn piece_came(&mut self, now: Instant, (track, head): (u8, &FragmentHead), (number, bytes): (u64, usize), at_us: u64) {
        // The last ones of slices are short, and pass where no others do.
        if head.index < head.last_index || head.last_index == 0 {
            self.narrow.piece_came(now, self.report.received, self.missing());
        }
        self.trains.push(track, head, number, bytes, at_us);
    }

    /// Packets that did not come, of those whose numbers are known.
    fn missing(&self) -> u64 {
        self.tracker.next_expected().saturating_sub(self.report.received)
    }

    /// Packets given up.
    pub fn lost(&self) -> u64 {
        self.tracker.lost()
    }

    /// The number of the next packet in order.
    pub fn next_expected(&self) -> u64 {
        self.tracker.next_expected()
    }

    /// By how much packets are overtaken by later ones.
    pub fn overtaken(&self, now: Instant) -> Duration {
        self.tracker.window(now)
    }

    /// Whether a packet did not come while later ones did, and may come still.
    pub fn misses_any(&self) -> bool {
        self.tracker.misses_any()
    }

    /// No picture waits for anything that is missing.
    pub fn settle(&mut self, now: Instant) {
        self.tracker.settle(now);
    }

    /// What to ask for again, for pictures that are of use for so long after their capture, in ms.
    pub fn nack(&mut self, now: Instant, rtt: Rtt, patience_ms: u16) -> Option<Nack> {
        self.tracker.poll(now, rtt.smoothed + rtt.deviation, patience_ms)
    }

    /// When [`Feedback::nack`] has something to ask for.
    pub fn nack_deadline(&self, now: Instant, rtt: Rtt) -> Option<Instant> {
        self.tracker.deadline(now, rtt.smoothed + rtt.deviation)
    }

    /// How it went so far, and how far its tracks are.
    pub fn report(&mut self, at_us: u64, tracks: impl Iterator<Item = TrackReport>) -> Report {
        let report = &mut self.report;
        report.highest = self.tracker.next_expected().saturating_sub(1);
        report.lost = self.tracker.lost();
        report.tracks = TrackReports::default();
        tracks.for_each(|track| report.tracks.put(track));
        report.trains = self.trains.take(at_us, TRAIN_OVER.as_micros() as u64);
        *report
    }

    /// Whether nothing long comes although something else does, when that changes.
    pub fn watch_narrow(&mut self, now: Instant) -> Option<bool> {
        self.narrow.poll(now, self.report.received, self.missing())
    }
}
