//! All state of one sender: dropped and made anew with another. And of one connection to it, made anew when it comes back.

use super::narrow::Narrow;
use super::proof::Proof;
use super::telling;
use crate::media::clock::Estimate;
use crate::media::depacketizer::{Depacketizer, Limits};
use crate::media::nack::Tracker;
use crate::media::recovery::Recovery;
use crate::media::train::Collector;
use crate::session::TrackId;
use crate::session::hearing::Hearing;
use crate::session::link::LinkId;
use crate::session::stats::Received;
use crate::wire::datagram::FragmentHead;
use crate::wire::record::{End, Track};
use crate::wire::report::Report;
use std::time::{Duration, Instant};

/// A picture is shown in part one picture period after it should have come, within these bounds.
pub(super) const LIVE_WAIT: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(50));

/// Live pictures being put together at once, and their bytes.
const LIVE_LIMITS: Limits = Limits { pictures: 2, bytes: 16 << 20, wait: LIVE_WAIT.1, newest_wins: true };

/// A file that is written waits for a retransmission this long; the pictures of that time at 120 a second, and their bytes.
const PATIENT_LIMITS: Limits = Limits { pictures: 256, bytes: 64 << 20, wait: Duration::from_secs(2), newest_wins: false };

/// After the end record the rest is waited for this long from the last piece of it that came.
const END_WAIT: Duration = Duration::from_secs(2);

/// What is counted since the connection began (PROTOCOL.md §5.8).
pub(super) struct Connection {
    pub link: LinkId,
    pub tracker: Tracker,
    pub trains: Collector,
    pub report: Report,
    /// Pictures shown or written.
    pub shown: u32,
    narrow: Narrow,
}

impl Connection {
    pub fn new(link: LinkId, patient: bool) -> Self {
        let (trains, report, narrow) = (Collector::default(), Report::default(), Narrow::default());
        Connection { link, tracker: Tracker::new(patient), trains, report, shown: 0, narrow }
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

    /// It was this piece. The last ones of slices are short, and pass where no others do.
    pub fn piece_came(&mut self, now: Instant, head: FragmentHead) {
        if head.index < head.last_index || head.last_index == 0 {
            self.narrow.piece_came(now, self.report.received, self.missing());
        }
    }

    /// Packets that did not come, of those whose numbers are known.
    fn missing(&self) -> u64 {
        self.tracker.next_expected().saturating_sub(self.report.received)
    }

    /// Whether nothing long comes although something else does, when that changes.
    pub fn watch_narrow(&mut self, now: Instant) -> Option<bool> {
        self.narrow.poll(now, self.report.received, self.missing())
    }
}

/// How far a stream is from its end.
pub(super) enum Ending {
    /// Nothing was said of it.
    Open,
    /// So much there is in all; what is missing is waited for until then.
    Said(End, Instant),
    /// It is over.
    Over,
}

/// What we want of it.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub pictures: bool,
    pub sound: bool,
    /// A file is written.
    pub patient: bool,
}

/// See the module text.
pub(super) struct Source {
    pub track: TrackId,
    /// It skips nothing.
    pub film: bool,
    pub connection: Connection,
    /// The link before it, of which the last may still be on its way.
    pub former: Option<LinkId>,
    pub clock: Estimate,
    pub depacketizer: Depacketizer,
    pub recovery: Recovery,
    pub next_report: Instant,
    pub quiet: bool,
    pub hearing: Hearing,
    /// Copies of sound help: nothing of it waits for what TCP brings late.
    pub wants_copies: bool,
    /// Number after the last block of sound.
    pub blocks: u64,
    /// Where a file is written, the sender is told of pictures in it, not of pictures that came.
    pub written: Option<u64>,
    pub last_picture: Option<(Instant, Duration)>,
    /// What it says that it sends.
    pub described: Option<Track>,
    pub proof: Proof,
    pub ending: Ending,
    /// What is counted elsewhere is added by [`Source::received`].
    pub received: Received,
    /// Packets that its earlier connections lost.
    lost_before: u64,
}

impl Source {
    pub fn new(now: Instant, track: TrackId, film: bool, connection: Connection, wants: Wants) -> Self {
        let limits = if film || wants.patient { PATIENT_LIMITS } else { LIVE_LIMITS };
        Source {
            track,
            former: None,
            clock: Estimate::new(),
            depacketizer: Depacketizer::new(limits),
            recovery: Recovery::default(),
            next_report: now + telling::REPORT,
            quiet: false,
            hearing: Hearing::new(connection.tracker.next_expected()),
            wants_copies: wants.sound && !(film && wants.patient),
            blocks: 0,
            written: None,
            last_picture: None,
            described: None,
            proof: Proof::new(),
            ending: Ending::Open,
            film,
            connection,
            received: Received::default(),
            lost_before: 0,
        }
    }

    /// The same process came back: pictures and blocks go on, and all that is counted by connection starts afresh.
    pub fn reconnected(&mut self, link: LinkId) {
        self.lost_before += self.connection.tracker.lost();
        let fresh = Connection::new(link, self.depacketizer.is_patient());
        self.former = Some(std::mem::replace(&mut self.connection, fresh).link);
        self.hearing.reconnected();
        if self.film {
            // Nothing is skipped: the sender begins again with the oldest picture that is not settled.
            self.depacketizer.forget_pieces();
        }
    }

    /// What came of it so far.
    pub fn received(&self) -> Received {
        let heard = self.hearing.counts();
        Received {
            lost_packets: self.lost_before + self.connection.tracker.lost(),
            copied_blocks: heard.copied,
            duplicate_blocks: heard.duplicates,
            assembly_bytes: self.depacketizer.bytes() as u64,
            ..self.received
        }
    }

    /// A datagram came over the connection, `data` if it carried a piece of a picture.
    pub fn datagram_came(&mut self, now: Instant, number: u64, bytes: usize, data: bool) {
        self.connection.datagram_came(now, number, bytes, data);
        self.hearing.datagram_came(now, number, self.connection.tracker.window(now));
    }

    /// This packet was a probe that was too long for the path: it is asked for by nobody, and the path loses nothing.
    pub fn is_no_loss(&mut self, now: Instant, number: u64) {
        self.connection.is_no_loss(now, number);
        self.hearing.datagram_came(now, number, self.connection.tracker.window(now));
    }

    /// Whether anything that is missing is wanted: of a picture that began and whose deadline an answer meets, or, patient, of
    /// any.
    pub fn asks(&self, now: Instant, rtt: Duration) -> bool {
        let in_time = || self.depacketizer.last_deadline().is_some_and(|deadline| now + rtt <= deadline);
        self.depacketizer.is_patient() || (self.depacketizer.is_waiting() && in_time())
    }

    /// Something new came: if the end was told, the rest has time from now on.
    pub fn goes_on(&mut self, now: Instant) {
        if let Ending::Said(_, deadline) = &mut self.ending {
            *deadline = now + END_WAIT;
        }
    }

    /// The sender says that its stream ends. Believed once, of a sender that said what it sends, and not where more than that
    /// came; whether it sent anything at all is asked when the stream ends ([`Source::has_ended`]), for the record may overtake
    /// the last picture.
    pub fn end_said(&mut self, now: Instant, end: End) {
        let contradicts = end.pictures < self.depacketizer.end() || end.blocks < self.blocks;
        if !matches!(self.ending, Ending::Open) || self.described.is_none() || contradicts {
            return;
        }
        self.ending = Ending::Said(end, now + END_WAIT);
        self.depacketizer.expect_up_to(now, end.pictures);
    }

    /// Number after the last picture, once everything is here, or the wait is over, or (`gone`) nothing more can come. Said once.
    pub fn has_ended(&mut self, now: Instant, wants: Wants, gone: bool) -> Option<u64> {
        let Ending::Said(end, deadline) = self.ending else { return None };
        let pictures = !wants.pictures || self.depacketizer.settled() >= end.pictures;
        let blocks = !wants.sound || self.blocks >= end.blocks;
        let here = pictures && blocks && self.proof.is_proven();
        if !here && now < deadline && !gone {
            return None;
        }
        let proven = self.proof.is_proven();
        self.ending = if proven { Ending::Over } else { Ending::Open };
        proven.then_some(end.pictures)
    }

    /// When the end is waited for no longer.
    pub fn end_deadline(&self) -> Option<Instant> {
        match self.ending {
            Ending::Said(_, deadline) => Some(deadline),
            Ending::Open | Ending::Over => None,
        }
    }
}
