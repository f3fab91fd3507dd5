//! How fast one receiver may be sent to: its reports go in, out come the pace of its bursts and what is left for pictures.
//!
//! It joins [`rate_control`](crate::media::rate_control), [`pacer`](crate::media::pacer) and the user's cap, and keeps the accounts both
//! need: what was offered between two reports, and how much of it was pictures sent for the first time.

use super::sent::Sent;
use crate::media::clock::Epoch;
use crate::media::loss::{Loss, Missing};
use crate::media::pacer::Pacer;
use crate::media::rate_control::{Bitrate, Controller};
use crate::media::train::Passage;
use crate::wire::report::{MAX_TRAINS, Report};
use std::time::{Duration, Instant};

/// Whatever sound and repairs take, pictures keep this share of the path.
const LEAST_SHARE: f64 = 0.25;

/// Headers of IPv4 and UDP around each datagram, bytes.
const HEADERS: usize = 28;

/// Of the path's speed sound is thought to take this much at most.
const MOST_SOUND: f64 = 0.6;

/// A cap is a promise, an encoder's aim is not that good.
const BELOW_CAP: f64 = 0.97;

/// See the module text.
pub(super) struct Flow {
    controller: Controller,
    pacer: Pacer,
    cap: Option<Bitrate>,
    /// Bytes sent in all with every header, and of slices sent for the first time.
    sent: (u64, u64),
    /// When the last report came, and `sent` as it was then.
    reported: (Instant, (u64, u64)),
    /// Slices among all that was sent, a second's mean.
    fresh_share: f64,
    /// The picture that was begun last.
    begun: Option<u64>,
    loss: Loss,
    missing: Missing,
}

impl Flow {
    /// A path nothing is known of; `cap` is the user's.
    pub fn new(now: Instant, cap: Option<Bitrate>) -> Self {
        let mut pacer = Pacer::new(now);
        pacer.set_speed(now, cap.map(Bitrate::bytes));
        let controller = Controller::new();
        Flow {
            controller,
            pacer,
            cap,
            sent: (0, 0),
            reported: (now, (0, 0)),
            fresh_share: 1.0,
            begun: None,
            loss: Loss::new(),
            missing: Missing::default(),
        }
    }

    /// The receiver told how pictures arrived.
    pub fn handle_report(&mut self, now: Instant, report: &Report, sent: &Sent, epoch: &Epoch, rtt: Duration) {
        let mut passages = [Passage::NONE; MAX_TRAINS];
        let mut count = 0;
        for train in report.trains.as_slice() {
            let last = train.first.wrapping_add(train.packets.into());
            let (Some(first), Some(last)) = (sent.left(train.first), sent.left(last)) else { continue };
            let micros = |at: Instant| epoch.media_time(at).as_nanos() / 1000;
            passages[count] = Passage::new(train, micros(first), micros(last));
            count += 1;
        }
        let (since, (all, fresh)) = (self.reported.0, self.reported.1);
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        let (all, fresh) = ((self.sent.0 - all) as f64, (self.sent.1 - fresh) as f64);
        if elapsed < 0.01 {
            return;
        }
        self.reported = (now, self.sent);
        if all > 0.0 {
            self.fresh_share += (fresh / all - self.fresh_share) / 10.0;
        }
        let excess = self.controller.handle_report(now, &passages[..count], all / elapsed, rtt);
        let speed = self.controller.capacity().into_iter().chain(self.cap).min();
        self.pacer.set_speed(now, speed.map(Bitrate::bytes));
        if let Some(excess) = excess {
            self.pacer.add_queued(now, excess);
        }
    }

    /// What was lost between two reports.
    pub fn note_loss(&mut self, before: &Report, now: &Report, rtt: Duration) {
        let wait = (now.wait_ms < u16::MAX).then(|| Duration::from_millis(now.wait_ms.into()));
        // Every datagram has a number, so what is missing below the highest one was lost, or is late.
        let packets = now.highest.saturating_sub(before.highest);
        let below = now.highest.saturating_add(u64::from(now.received > 0));
        let lost = self.missing.note(below.saturating_sub(now.received)).min(packets);
        self.loss.note(packets, packets - lost, wait, rtt);
    }

    /// The share of packets that forward error correction is for.
    pub fn unmended_loss(&self) -> f64 {
        self.loss.unmended()
    }

    /// What pictures may take beside `sound` bytes a second of sound; `None` for no limit.
    pub fn for_pictures(&self, sound: f64) -> Option<Bitrate> {
        let cap = self.cap.map(|cap| Bitrate::from_bytes(cap.bytes() * BELOW_CAP));
        let rate = self.controller.rate().into_iter().chain(cap).min()?.bytes();
        Some(Bitrate::from_bytes((rate - sound).max(rate * LEAST_SHARE) * self.fresh_share.max(LEAST_SHARE)))
    }

    /// Until when nothing may be sent, `picture` being what is next; `None` for now. What is sent again belongs to no new picture.
    pub fn holds(&self, now: Instant, picture: Option<u64>) -> Option<Instant> {
        let new = picture.is_some_and(|picture| self.begun.is_none_or(|begun| picture > begun));
        let run = self.pacer.holds(now);
        let picture = if new { self.pacer.holds_picture(now) } else { None };
        run.into_iter().chain(picture).max()
    }

    /// A run of so many datagrams and bytes left, with `fresh` bytes of slices that were not sent before, of a picture.
    pub fn sent(&mut self, now: Instant, (datagrams, bytes): (usize, usize), fresh: Option<(u64, usize)>) {
        let bytes = bytes + datagrams * HEADERS;
        self.pacer.sent(now, bytes);
        self.sent.0 += bytes as u64;
        if let Some((picture, fresh)) = fresh {
            self.sent.1 += fresh as u64;
            self.begun = self.begun.max(Some(picture));
        }
    }

    /// Sound left beside the pictures, `rate` bytes a second of it. It waits for nothing, and on a path that is thought to take hardly more
    /// than sound it may not hold pictures back for ever.
    pub fn sent_sound(&mut self, now: Instant, datagrams: usize, bytes: usize, rate: f64) {
        let bytes = bytes + datagrams * HEADERS;
        let share = self.pacer.speed().map_or(1.0, |speed| (speed * MOST_SOUND / rate.max(1.0)).min(1.0));
        self.pacer.add_queued(now, bytes as f64 * share);
        self.sent.0 += bytes as u64;
    }

    /// Whether some of this picture was sent.
    pub fn began(&self, picture: u64) -> bool {
        self.begun == Some(picture)
    }

    /// Whether runs have to be short.
    pub fn is_paced(&self) -> bool {
        self.pacer.is_on()
    }

    /// What the path takes, where that is known to matter, and the queue that stands in it.
    pub fn known(&self) -> (Option<Bitrate>, Duration) {
        (self.controller.capacity(), self.controller.standing())
    }
}
