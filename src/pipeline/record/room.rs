//! What pictures may weigh that wait to be written: those of all tracks together, and of each.
//!
//! Every track has a share that is its own whatever others do: of a film more, for its sender has so much under way until it is
//! told what is written, and nothing of it is skipped. What is left over goes to who needs it first. The pictures themselves, as
//! a writer of planes keeps them, have a room of their own, by their area.

use crate::threads::lock;
use eyeline_proto::picture::MAX_SIDE;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Bytes of all tracks, where films do not need more: one may take all of it, and a picture may claim 128 slices of 4 MiB.
const BYTES: usize = 128 << 20;

/// Bytes that are a track's own: of sixteen all there are.
const LIVE: usize = BYTES / 16;

/// Of a film: what its sender lets be under way (24 MiB), and a picture more.
const FILM: usize = 28 << 20;

/// Pixels of all tracks: one picture of the largest there are.
const PIXELS: u64 = MAX_SIDE as u64 * MAX_SIDE as u64;

/// Pixels that are a track's own: 1920x1080.
const OWN_PIXELS: u64 = PIXELS / 32;

struct Share {
    least: usize,
    bytes: usize,
    pixels: u64,
}

impl Share {
    fn takes(&self) -> usize {
        self.least.max(self.bytes)
    }
}

#[derive(Default)]
struct Shares {
    of: BTreeMap<u64, Share>,
    next: u64,
}

/// See the module text. Clones are the same room.
#[derive(Clone, Default)]
pub struct Room(Arc<Mutex<Shares>>);

/// One track's place in it.
pub struct Tenant {
    room: Room,
    key: u64,
}

impl Room {
    /// One track more.
    pub fn tenant(&self, film: bool) -> Arc<Tenant> {
        let mut shares = lock(&self.0);
        let key = shares.next;
        shares.next += 1;
        shares.of.insert(key, Share { least: if film { FILM } else { LIVE }, bytes: 0, pixels: 0 });
        Arc::new(Tenant { room: self.clone(), key })
    }
}

impl Tenant {
    /// Bytes more that it may hold now.
    pub fn free(&self) -> usize {
        let shares = lock(&self.room.0);
        let others: usize = shares.of.iter().filter(|(key, _)| **key != self.key).map(|(_, share)| share.takes()).sum();
        let Some(share) = shares.of.get(&self.key) else { return 0 };
        share.least.max(BYTES.saturating_sub(others)).saturating_sub(share.bytes)
    }

    /// Holds so many bytes more, for as long as what it gives is kept.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        let mut held = Held { tenant: self.clone(), bytes: 0 };
        held.set(bytes);
        held
    }

    /// Whether there is room for pictures of so many pixels. Where there was once it stays, whoever comes later.
    pub fn takes_pixels(&self, pixels: u64) -> bool {
        let mut shares = lock(&self.room.0);
        let others: u64 = shares.of.iter().filter(|(key, _)| **key != self.key).map(|(_, share)| share.pixels).sum();
        let Some(share) = shares.of.get_mut(&self.key) else { return false };
        let fits = pixels <= share.pixels.max(OWN_PIXELS).max(PIXELS.saturating_sub(others));
        if fits {
            share.pixels = share.pixels.max(pixels);
        }
        fits
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        lock(&self.room.0).of.remove(&self.key);
    }
}

/// Bytes that a track holds.
pub struct Held {
    tenant: Arc<Tenant>,
    bytes: usize,
}

impl Held {
    /// It is so many now.
    pub fn set(&mut self, bytes: usize) {
        if let Some(share) = lock(&self.tenant.room.0).of.get_mut(&self.tenant.key) {
            share.bytes = share.bytes - self.bytes + bytes;
        }
        self.bytes = bytes;
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whose they are.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_track_may_hold_all_of_it_and_many_what_is_their_own() {
        let room = Room::default();
        let first = room.tenant(false);
        let all = first.hold(BYTES);
        assert_eq!(first.free(), 0);
        let others: Vec<_> = (0..15).map(|_| room.tenant(false)).collect();
        assert!(others.iter().all(|other| other.free() == LIVE), "nobody can take what is theirs");
        let film = room.tenant(true);
        assert_eq!(film.free(), FILM);
        drop(all);
        assert_eq!(first.free(), LIVE, "no more is left by so many");
        drop((others, film));
        assert_eq!(first.free(), BYTES);
    }

    #[test]
    fn what_is_held_is_free_again_when_it_is_written_also_when_its_sender_is_gone() {
        let room = Room::default();
        let (one, other) = (room.tenant(false), room.tenant(false));
        let mut held = one.hold(BYTES / 2);
        drop(one);
        assert_eq!(other.free(), BYTES / 2, "what is left of it still waits");
        held.set(LIVE);
        assert_eq!((other.free(), held.bytes()), (BYTES - LIVE, LIVE));
        drop(held);
        assert_eq!(other.free(), BYTES);
    }

    #[test]
    fn one_enormous_picture_has_room_and_not_beside_another_and_usual_ones_always() {
        let room = Room::default();
        let mut tracks: Vec<_> = (0..16).map(|_| room.tenant(false)).collect();
        assert!(tracks[1].takes_pixels(3840 * 2160) && tracks[2].takes_pixels(3840 * 2160));
        assert!(!tracks[0].takes_pixels(PIXELS) && tracks[0].takes_pixels(PIXELS / 2));
        assert!(tracks.iter().all(|track| track.takes_pixels(1920 * 1080)));
        assert!(tracks[1].takes_pixels(3840 * 2160), "it goes on");
        assert!(!tracks[3].takes_pixels(3840 * 2160));
        tracks.truncate(1);
        assert!(tracks[0].takes_pixels(PIXELS));
    }
}
