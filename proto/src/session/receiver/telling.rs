//! What a receiver tells its sender (reports, what it misses, what sound it wants) and the application (quiet, statistics), and
//! when it has to be woken for that.

use super::{Event, Session};
use crate::session::path::{Control, QUIET};
use crate::session::stats::{ReceiverStats, TrackStats};
use crate::wire::record::OWN_TRACK;
use crate::wire::report::TrackReport;
use std::time::{Duration, Instant};

/// Between two reports.
pub(super) const REPORT: Duration = Duration::from_millis(100);

/// A picture of which nothing came for so long has passed, or lost its end.
pub(super) const TRAIN_OVER: Duration = Duration::from_millis(20);

/// Between two statistics.
pub(super) const STATS: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn want_sound(&mut self, now: Instant) {
        let Some(source) = self.source.as_mut().filter(|source| source.wants_copies) else { return };
        if let Some(wanted) = source.hearing.poll(now) {
            self.endpoint.control(source.connection.link, Control::Wanted(OWN_TRACK, wanted));
        }
    }

    pub(super) fn ask(&mut self, now: Instant) {
        let Some(source) = &mut self.source else { return };
        let measured = self.endpoint.path(source.connection.link).map(|path| path.rtt()).unwrap_or_default();
        if !source.asks(now, measured.smoothed) {
            return;
        }
        let rtt = measured.smoothed + measured.deviation;
        let patience = (source.depacketizer.wait() + source.connection.tracker.window(now)).as_millis() as u16;
        // A film's sender keeps what is not settled, however old; live, a late answer is of no use.
        let patience = if source.depacketizer.is_patient() { u16::MAX } else { patience.saturating_mul(2) };
        if let Some(nack) = source.connection.tracker.poll(now, rtt, patience) {
            source.received.nacks += 1;
            self.endpoint.control(source.connection.link, Control::Nack(Box::new(nack)));
        }
    }

    pub(super) fn report(&mut self, now: Instant) {
        let Some(source) = self.source.as_mut().filter(|source| now >= source.next_report) else { return };
        source.next_report = now + REPORT;
        let (settled, connection) = (source.depacketizer.settled(), &mut source.connection);
        let report = &mut connection.report;
        report.highest = connection.tracker.next_expected().saturating_sub(1);
        report.lost = connection.tracker.lost();
        let settled = source.written.map_or(settled, |written| settled.min(written));
        let wait_ms = if source.depacketizer.is_patient() { u16::MAX } else { source.depacketizer.wait().as_millis() as u16 };
        report.tracks.put(TrackReport { track: OWN_TRACK, settled, shown: connection.shown, wait_ms });
        let now_us = self.endpoint.epoch().media_time(now).as_nanos() / 1000;
        report.trains = connection.trains.take(now_us, TRAIN_OVER.as_micros() as u64);
        self.endpoint.control(connection.link, Control::Report(Box::new(*report)));
        let narrow = connection.watch_narrow(now).filter(|_| self.wants.pictures);
        if let Some((narrow, address)) = narrow.zip(self.endpoint.path(connection.link).and_then(|path| path.address())) {
            self.events.push_back(Event::Narrow { peer: source.track.peer, address, narrow });
        }
    }

    pub(super) fn watch_quiet(&mut self, now: Instant) {
        let Some(source) = &mut self.source else { return };
        let quiet = self.endpoint.path(source.connection.link).is_none_or(|path| path.heard().is_some() && path.is_quiet(now));
        if quiet != source.quiet {
            source.quiet = quiet;
            self.events.push_back(Event::Quiet(source.track.peer, quiet));
        }
    }

    pub(super) fn report_stats(&mut self, now: Instant) {
        if now < self.next_stats {
            return;
        }
        self.next_stats = (self.next_stats + STATS).max(now);
        self.tell_stats();
    }

    /// What was counted so far.
    pub(super) fn tell_stats(&mut self) {
        let mut stats = ReceiverStats { total: self.gone, counters: self.endpoint.counters(), ..ReceiverStats::default() };
        if let Some(source) = &self.source {
            let rtt = self.endpoint.path(source.connection.link).map_or(Duration::ZERO, |path| path.rtt().smoothed);
            let (track, received, quiet) = (source.track, source.received(), source.quiet);
            stats.total += &received;
            stats.tracks.push(TrackStats { track, received, rtt, quiet });
        }
        self.events.push_back(Event::Stats(Box::new(stats)));
    }

    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let mut deadlines = vec![self.next_stats];
        deadlines.extend(self.endpoint.deadline());
        if let Some(source) = &self.source {
            deadlines.push(source.next_report);
            deadlines.extend(source.end_deadline());
            deadlines.extend(source.depacketizer.deadline());
            deadlines.extend(source.hearing.deadline(now).filter(|_| source.wants_copies));
            let link = source.connection.link;
            let measured = self.endpoint.path(link).map(|path| path.rtt()).unwrap_or_default();
            if let Some(source) = self.source.as_ref().filter(|source| source.asks(now, measured.smoothed)) {
                deadlines.extend(source.connection.tracker.deadline(now, measured.smoothed + measured.deviation));
            }
            if let Some(heard) = self.endpoint.path(link).and_then(|path| path.heard())
                && self.source.as_ref().is_some_and(|source| !source.quiet)
            {
                deadlines.push(heard + QUIET);
            }
        }
        deadlines.into_iter().min()
    }
}
