//! How fast one receiver may be sent to: its reports go in, out come the pace of its bursts and what is left for pictures.
//!
//! It joins [`rate_control`](crate::media::rate_control) (paths that queue what is too much), [`policer`](crate::media::policer)
//! (paths that drop it), [`pacer`](crate::media::pacer) and the user's cap, and keeps the accounts they need: what was offered
//! between two reports, what of it came, and how much of it was pictures sent for the first time.

use super::arrivals;
use super::path::Path;
use super::sent::Sent;
use crate::media::clock::Epoch;
use crate::media::loss::{Loss, Missing};
use crate::media::pacer::{self, Pacer};
use crate::media::policer::{Detector, Seen};
use crate::media::rate_control::{Bitrate, Controller, SHARE};
use crate::wire::report::Report;
use std::time::{Duration, Instant};

/// Whatever sound and repairs take, pictures keep this share of the path.
const LEAST_SHARE: f64 = 0.25;

/// Headers of IPv4 and UDP around each datagram, bytes.
const HEADERS: usize = 28;

/// Of the path's speed sound is thought to take this much at most.
const MOST_SOUND: f64 = 0.6;

/// A cap is a promise, an encoder's aim is not that good.
const BELOW_CAP: f64 = 0.97;

/// What waits longer than this on its way waits in a queue.
const QUEUED: Duration = Duration::from_millis(15);

/// What a report is understood by.
pub(super) struct Told<'a> {
    /// What was sent.
    pub sent: &'a Sent,
    pub epoch: &'a Epoch,
    /// How it gets there: the round-trip time, and which losses were probes.
    pub path: &'a mut Path,
    /// Bytes a second of sound that go over TCP.
    pub sound: f64,
    /// Bytes a second of pictures if all of each were sent.
    pub whole: f64,
    /// How long after it should have come a picture is waited for; `None` where nothing is given up soon.
    pub wait: Option<Duration>,
}

/// Bytes sent with every header.
#[derive(Clone, Copy, Default)]
struct Account {
    pictures: u64,
    /// Of slices for the first time, without headers.
    fresh: u64,
    /// Of copies of sound.
    copies: u64,
}

pub(super) struct Flow {
    controller: Controller,
    policer: Detector,
    pacer: Pacer,
    cap: Option<Bitrate>,
    sent: Account,
    /// When the last report came, and `sent` as it was then.
    reported: (Instant, Account),
    /// Slices sent for the first time among all that was sent of pictures, a second's mean; `None` where it is to be learnt anew.
    fresh_share: Option<f64>,
    /// Copies of sound, bytes a second, a mean over some reports.
    copies: f64,
    loss: Loss,
    missing: Missing,
    /// When pictures last told what the path takes.
    measured: Option<Instant>,
}

impl Flow {
    /// A path nothing is known of; `cap` is the user's.
    pub fn new(now: Instant, cap: Option<Bitrate>) -> Self {
        let mut pacer = Pacer::new(now);
        pacer.set_speed(now, cap.map(Bitrate::bytes));
        Flow {
            controller: Controller::new(),
            policer: Detector::new(),
            pacer,
            cap,
            sent: Account::default(),
            reported: (now, Account::default()),
            fresh_share: Some(1.0),
            copies: 0.0,
            loss: Loss::new(),
            missing: Missing::default(),
            measured: None,
        }
    }

    /// The receiver told how pictures arrived, after what it told `before`; beside that it is sent `sound` bytes a second over
    /// TCP.
    pub fn handle_report(&mut self, now: Instant, (before, report): (&Report, &Report), told: Told<'_>) {
        let Told { sent, epoch, path, sound, whole, wait } = told;
        let rtt = path.rtt().smoothed;
        // Every datagram has a number, so what is missing below the highest one was lost, or is late.
        let packets = report.highest.saturating_sub(before.highest);
        let below = report.highest.saturating_add(u64::from(report.received > 0));
        let lost = self.missing.note(below.saturating_sub(report.received)).min(packets);
        let lost = lost - path.forgive(lost);
        if path.take_narrowed() {
            // What was lost was too long. Neither does a policer drop it, nor does the path lose what fits.
            (self.policer, self.loss, self.fresh_share) = (Detector::new(), Loss::new(), None);
        }
        self.loss.note(packets, packets - lost, wait, rtt);
        let (since, counted) = self.reported;
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        if elapsed < 0.01 {
            return;
        }
        let a_second = |now: u64, then: u64| (now - then) as f64 / elapsed;
        let pictures = a_second(self.sent.pictures, counted.pictures);
        let copies = a_second(self.sent.copies, counted.copies);
        if pictures > 0.0 {
            let share = a_second(self.sent.fresh, counted.fresh) / pictures;
            self.fresh_share = Some(self.fresh_share.map_or(share, |mean| mean + (share - mean) / 10.0));
        }
        self.copies += (copies - self.copies) / 3.0;
        self.reported = (now, self.sent);
        let offered = pictures + copies;
        let came = report.received.saturating_sub(before.received);
        let bytes = report.bytes.saturating_sub(before.bytes).saturating_add(came.saturating_mul(HEADERS as u64));
        let arrived = bytes as f64 / elapsed;
        let passages = arrivals::passages(report, sent, epoch);
        if !passages.is_empty() {
            self.measured = Some(now);
        }
        let excess = self.controller.handle_report(now, &passages, (offered, arrived, whole), rtt);
        let arrived = arrived + sound;
        let queued = self.controller.standing() > QUEUED;
        let before = self.policer.limit();
        let ours = self.policer.handle_report(now, Seen { packets, lost, arrived, offered: offered + sound, queued, rtt });
        if ours {
            // What was lost by our own doing calls for less, not for more.
            self.loss = Loss::new();
        }
        if ours || self.policer.limit().is_some_and(|limit| before.is_none_or(|before| limit < before)) {
            self.fresh_share = None;
        }
        self.pacer.set_speed(now, self.limits().min().map(Bitrate::bytes));
        self.pacer.set_faster(if self.policer.limit().is_some() { pacer::POLICED } else { pacer::FASTER });
        if let Some(excess) = excess {
            self.pacer.add_queued(now, excess);
        }
    }

    /// The speeds that bursts may not exceed for long.
    fn limits(&self) -> impl Iterator<Item = Bitrate> {
        let policed = self.policer.limit().map(Bitrate::from_bytes);
        self.controller.capacity().into_iter().chain(policed).chain(self.cap)
    }

    /// The least of what the path itself takes, where that is known to matter, and when that was last measured: where no pictures
    /// go, it is only supposed.
    pub fn found(&self) -> (Option<Bitrate>, Option<Instant>) {
        let policed = self.policer.limit().map(Bitrate::from_bytes);
        (self.controller.capacity().into_iter().chain(policed).min(), self.measured)
    }

    /// The share of packets that forward error correction is for.
    pub fn unmended_loss(&self) -> f64 {
        self.loss.unmended()
    }

    /// What pictures may take beside `sound` bytes a second of sound; `None` for no limit.
    pub fn for_pictures(&self, sound: f64) -> Option<Bitrate> {
        let cap = self.cap.map(|cap| Bitrate::from_bytes(cap.bytes() * BELOW_CAP));
        let policed = self.policer.limit().map(|limit| Bitrate::from_bytes(limit * SHARE));
        let rate = self.controller.rate().into_iter().chain(policed).chain(cap).min()?.bytes();
        let left = (rate - sound - self.copies).max(rate * LEAST_SHARE);
        Some(Bitrate::from_bytes(left * self.fresh_share.unwrap_or(1.0).max(LEAST_SHARE)))
    }

    /// Until when nothing may be sent; `None` for now. `new`: what is next begins a picture. What is sent again never does.
    pub fn holds(&self, now: Instant, new: bool) -> Option<Instant> {
        let run = self.pacer.holds(now);
        let picture = if new { self.pacer.holds_picture(now) } else { None };
        run.into_iter().chain(picture).max()
    }

    /// A run of so many datagrams and bytes left, with `fresh` bytes of slices that were not sent before.
    pub fn sent(&mut self, now: Instant, (datagrams, bytes): (usize, usize), fresh: usize) {
        let bytes = bytes + datagrams * HEADERS;
        self.pacer.sent(now, bytes);
        self.sent.pictures += bytes as u64;
        self.sent.fresh += fresh as u64;
    }

    /// Sound left beside the pictures, `rate` bytes a second of it. It waits for nothing, and on a path that is thought to take
    /// hardly more than sound it may not hold pictures back for ever.
    pub fn sent_sound(&mut self, now: Instant, datagrams: usize, bytes: usize, rate: f64) {
        let bytes = bytes + datagrams * HEADERS;
        let share = self.pacer.speed().map_or(1.0, |speed| (speed * MOST_SOUND / rate.max(1.0)).min(1.0));
        self.pacer.add_queued(now, bytes as f64 * share);
        self.sent.copies += bytes as u64;
    }

    /// Whether runs have to be short.
    pub fn is_paced(&self) -> bool {
        self.pacer.is_on()
    }

    /// What the path takes, where that is known to matter, and the queue that stands in it.
    pub fn known(&self) -> (Option<Bitrate>, Duration) {
        let policed = self.policer.limit().map(Bitrate::from_bytes);
        (self.controller.capacity().into_iter().chain(policed).min(), self.controller.standing())
    }

    /// How long what leaves now will wait on a path whose bottleneck is known to queue.
    pub fn queue(&self, now: Instant) -> Duration {
        if self.controller.capacity().is_some() { self.pacer.queue(now) } else { Duration::ZERO }
    }
}
