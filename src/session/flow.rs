//! How fast one receiver may be sent to: its reports go in, out come the pace of its bursts and what is left for pictures.
//!
//! It joins [`rate_control`](crate::media::rate_control), [`pacer`](crate::media::pacer) and the user's cap, and keeps the accounts both
//! need: what was offered between two reports, and how much of it was pictures sent for the first time.

use super::sent::Sent;
use crate::media::clock::Epoch;
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
}

/// How much of what is sent is lost, and whether asking mends it.
struct Loss {
    /// Means over about one second and about ten.
    means: [f64; 2],
    /// The shares of the last reports: losses come in bursts.
    last: [f64; RECENT],
    at: usize,
    /// Reports so far.
    reports: f64,
    /// How often a lost packet can be sent until its picture is given up.
    chances: i32,
}

/// Reports whose worst counts as a burst: three seconds.
const RECENT: usize = 30;

/// Reports of them with a loss that make it a habit of the path: what happens once is over when shards could follow.
const HABIT: usize = 3;

/// Where more than this is lost, nothing passes for a while; no redundancy helps, and none is needed afterwards.
const OUTAGE: f64 = 0.5;

/// Asking once takes this much longer than a round trip: until a gap counts as a loss, and the answer's place in the queue.
const ASKING: Duration = Duration::from_millis(6);

/// More askings than any path needs.
const MANY: i32 = 16;

/// Less is an accident, not the path's way.
const LEAST_LOSS: f64 = 0.002;

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
            loss: Loss { means: [0.0; 2], last: [0.0; RECENT], at: 0, reports: 0.0, chances: MANY },
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

    /// What was lost between two reports; whether that can be mended by asking depends on how long the receiver waits.
    pub fn note_loss(&mut self, before: &Report, now: &Report, rtt: Duration) {
        // Every datagram has a number, so what is missing between the highest ones was lost, or will be counted as come next time.
        let (sent, came) = (now.highest.saturating_sub(before.highest), now.received.saturating_sub(before.received));
        let wait = Duration::from_millis(now.wait_ms.into());
        let asked = if now.wait_ms == u16::MAX { f64::INFINITY } else { wait.as_secs_f64() / (rtt + ASKING).as_secs_f64() };
        // The last answer may come too late, so it is not counted on.
        self.loss.chances = (asked as i32).clamp(1, MANY);
        if sent < 10 {
            return;
        }
        let share = sent.saturating_sub(came) as f64 / sent as f64;
        if share > OUTAGE {
            return;
        }
        self.loss.reports += 1.0;
        for (mean, of) in self.loss.means.iter_mut().zip([10.0, 100.0]) {
            *mean += (share - *mean) / self.loss.reports.min(of);
        }
        self.loss.last[self.loss.at] = share;
        self.loss.at = (self.loss.at + 1) % RECENT;
    }

    /// The share of packets that are lost however often there is time to ask: what forward error correction is for.
    pub fn unmended_loss(&self) -> f64 {
        let [fast, slow] = self.loss.means;
        let mean = fast.max(slow);
        let left = |loss: f64| loss.powi(self.loss.chances);
        let lossy = self.loss.last.iter().filter(|share| **share > 0.0).count();
        if left(mean) < LEAST_LOSS || lossy < HABIT.min(self.loss.reports as usize) {
            return 0.0;
        }
        // Dice alone make the worst of thirty reports nearly twice the mean; what is beyond that comes in bursts.
        let worst = self.loss.last.iter().copied().fold(0.0, f64::max);
        left(mean.max(worst * 0.5))
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
