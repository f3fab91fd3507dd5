//! What the encoder is told to aim at: the best receiver's share, or the user's cap.

use super::{Event, Session};
use crate::media::rate_control::Bitrate;
use crate::session::peer::Peer;
use std::time::{Duration, Instant};

/// Nothing older than this is of use to a live receiver.
pub(super) const LIVE_AGE: Duration = Duration::from_millis(300);

/// But to one on a slow path, which takes so long to be sent a picture made for better ones.
const SLOW_AGE: Duration = Duration::from_secs(2);

/// Bytes a second of a channel of sound, with what records, segments and headers add to it.
const SOUND_RATE: f64 = 96_000.0 * 1.06;

/// More than any path.
const UNLIMITED: Bitrate = Bitrate(u64::MAX);

impl Session {
    /// Bytes a second of all channels.
    pub(super) fn sound_rate(&self) -> f64 {
        f64::from(self.format.channels) * SOUND_RATE
    }

    /// The encoder follows the best receiver. What nothing may be left out of, a film, follows the user's cap alone.
    pub(super) fn update_target(&mut self, now: Instant) {
        let sound = self.sound_rate();
        let target = if self.patient {
            self.cap.map(|cap| Bitrate::from_bytes((cap.bytes() - sound).max(cap.bytes() / 4.0)))
        } else {
            let slow = self.peers.values().any(Peer::is_slow);
            self.log.set_age(if slow { SLOW_AGE } else { LIVE_AGE });
            let endpoint = &mut self.endpoint;
            let watching = self.peers.iter().filter(|(id, peer)| {
                peer.validated && peer.pictures && endpoint.path(**id).is_some_and(|path| !path.is_quiet(now))
            });
            let targets = watching.map(|(_, peer)| peer.flow.for_pictures(peer.over_tcp(now, sound)).unwrap_or(UNLIMITED));
            targets.max().or(self.target).filter(|target| *target < UNLIMITED)
        };
        let near = |a: Bitrate, b: Bitrate| a.0.abs_diff(b.0) * 50 < a.0;
        if !matches!((target, self.target), (Some(new), Some(old)) if near(new, old)) && target != self.target {
            self.target = target;
            self.events.push_back(Event::Target(target));
        }
    }
}
