//! What the encoder is told to aim at: the best receiver's share, or the user's cap, and the most that any receiver has use for.

use super::{Event, LinksAndEvents, Sender};
use crate::media::rate_control::Bitrate;
use crate::session::link::LinkId;
use crate::session::outbound::Outbound;
use crate::session::peer::Peer;
use crate::wire::record::{OWN_TRACK, Want, Whole};
use std::time::{Duration, Instant};

/// A peer that is silent for so long is made no pictures for, beside others.
const GONE: Duration = Duration::from_secs(10);

/// More than any path.
const UNLIMITED: Bitrate = Bitrate(u64::MAX);

/// All that one of two has use for. Who has none for pictures limits none.
pub fn most(one: Want, other: Want) -> Want {
    // 0 is no limit.
    let larger = |a: u64, b: u64| if a == 0 || b == 0 { 0 } else { a.max(b) };
    let both = if one.whole == other.whole { one.whole } else { Whole::Somebody };
    let (pixels, rate, whole) = match (one.pictures, other.pictures) {
        (true, false) => (one.pixels, one.rate, one.whole),
        (false, true) => (other.pixels, other.rate, other.whole),
        _ => (larger(one.pixels.into(), other.pixels.into()) as u32, larger(one.rate, other.rate), both),
    };
    let (sound, samples) = (one.sound || other.sound, one.sound && one.samples || other.sound && other.samples);
    Want { pictures: one.pictures || other.pictures, sound, pixels, rate, whole, samples }
}

impl Sender {
    /// The encoder follows the best receiver. What nothing may be left out of, a film, follows the user's cap alone.
    pub fn update_target(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let slow = self.peers.values().any(Peer::is_slow);
        self.tracks.iter_mut().for_each(|track| track.keep_longer(slow));
        let Some(own) = self.tracks.first().filter(|own| own.number() == OWN_TRACK) else { return };
        let target = if own.lossless {
            let sound = own.sound_rate();
            self.cap.map(|cap| Bitrate::from_bytes((cap.bytes() - sound).max(cap.bytes() / 4.0)))
        } else {
            self.share(now, OWN_TRACK, shared).or(self.target).filter(|target| *target < UNLIMITED)
        };
        let near = |a: Bitrate, b: Bitrate| a.0.abs_diff(b.0) < a.0 / 50;
        if !matches!((target, self.target), (Some(new), Some(old)) if near(new, old)) && target != self.target {
            self.target = target;
            shared.events.push_back(Event::Target(target));
        }
    }

    /// What the best receiver's path takes for the pictures of a track, [`UNLIMITED`] where that is not known to matter; `None`
    /// where nobody sees them. A path is shared by the tracks that are sent on it.
    fn share(&self, now: Instant, number: u8, shared: &mut LinksAndEvents<'_>) -> Option<Bitrate> {
        let endpoint = &mut *shared.endpoint;
        let watching = self.peers.iter().filter(|(id, peer)| {
            peer.validated
                && peer.wants.pictures
                && peer.subscriptions.iter().any(|known| known.track() == number && known.sees())
                && endpoint.path(**id).is_some_and(|path| !path.is_quiet(now))
        });
        let shares = watching.map(|(_, peer)| {
            let among = peer.subscriptions.iter().filter(|known| known.sees()).count().max(1) as u64;
            let whole = peer.flow.for_pictures(peer.over_tcp(now, &self.tracks));
            whole.map_or(UNLIMITED, |whole| Bitrate(whole.0 / among))
        });
        shares.max()
    }

    /// The most that any receiver has use for of a track, and its path takes.
    pub fn wanted_of(&self, now: Instant, number: u8, shared: &mut LinksAndEvents<'_>) -> Want {
        let samples = self.lacks_packets(number);
        let want = Want { samples, ..self.wish(number, |id| !is_gone(now, *id, shared)) };
        match self.share(now, number, shared) {
            Some(share) if share < UNLIMITED && (want.rate == 0 || share.0 < want.rate) => Want { rate: share.0, ..want },
            _ => want,
        }
    }

    /// The most that any receiver has use for of a track, where it can see pictures; sound may come to it by TCP alone.
    fn wish(&self, number: u8, sees: impl Fn(&LinkId) -> bool) -> Want {
        let none = Want { pictures: false, sound: false, pixels: 1, rate: 1, whole: Whole::Nobody, samples: false };
        self.peers.iter().fold(none, |all, (id, peer)| {
            let Some(subscription) = peer.subscriptions.iter().find(|known| known.track() == number) else { return all };
            let want = subscription.want();
            let (pictures, sound) = (want.pictures && peer.wants.pictures && sees(id), want.sound && peer.wants.sound);
            most(all, Want { pictures, sound, ..want })
        })
    }

    /// The encoder is told of what has changed. Who comes next has said nothing yet, and has use for all there is; where nobody
    /// is heard of, pictures go on as they were.
    pub fn update_wanted(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        if self.tracks.first().is_none_or(|own: &Outbound| own.number() != OWN_TRACK) {
            return;
        }
        let is_gone = |id: &LinkId| is_gone(now, *id, shared);
        if !self.peers.is_empty() && self.peers.keys().all(is_gone) {
            return;
        }
        let wanted = if self.peers.is_empty() { Want::ALL } else { self.wish(OWN_TRACK, |id| !is_gone(id)) };
        if wanted != self.wanted {
            self.wanted = wanted;
            shared.events.push_back(Event::Wanted(wanted));
        }
    }
}

/// Whether nothing is heard of a peer, who may have lost its power: its keys live on for minutes.
pub(super) fn is_gone(now: Instant, peer: LinkId, shared: &LinksAndEvents<'_>) -> bool {
    shared.endpoint.last_heard(peer).is_some_and(|heard| now >= heard + GONE)
}
