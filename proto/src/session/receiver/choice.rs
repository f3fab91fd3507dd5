//! Which of the tracks that are told of are received: everybody's own; of those that are forwarded each origin once, none of one who is linked
//! to us himself, and never our own; and no more than [`MOST_SENDERS`] in all.
//!
//! What is received already stays, whatever others tell of: nobody loses his tile to one who comes later and forwards many; where one comes
//! with a track of his own and there is no room, the sender that came last loses one. Of the rest that one is asked first. Who is not heard of keeps nothing that others have: a meeting point that was killed
//! says no goodbye, and the one that is started in its place forwards the same people.
//!
//! A track that begins costs a decoder, a voice and a tile; how often those of one sender begin anew is bounded ([`Begins`]).

use super::Receiver;
use super::inbound::Inbound;
use crate::session::events::MOST_SENDERS;
use crate::wire::record::OWN_TRACK;
use std::time::Instant;

/// So many tracks of a sender may begin at once: as many as there are, and some that are used again. Of one that does not forward, a few.
const AT_ONCE: (f64, f64) = (2.0 * MOST_SENDERS as f64, 4.0);

/// And so many a second.
const A_SECOND: f64 = 1.0;

/// How many tracks of a sender may begin now.
pub(super) struct Begins {
    left: f64,
    most: f64,
    since: Instant,
}

impl Begins {
    pub fn new(now: Instant, forwards: bool) -> Self {
        let most = if forwards { AT_ONCE.0 } else { AT_ONCE.1 };
        Begins { left: most, most, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.left, self.since) = ((self.left + passed * A_SECOND).min(self.most), now);
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}

/// Who is asked first: whose track is received, whose is not, who is not heard of.
fn rank(inbound: &Inbound, track: u8) -> u8 {
    match (inbound.is_quiet(), inbound.receives(track)) {
        (false, true) => 0,
        (false, false) => 1,
        (true, _) => 2,
    }
}

impl Receiver {
    /// Which of the tracks that are told of are received, and of the others which are not any more.
    pub(super) fn choose_tracks(&mut self, now: Instant) {
        let own = self.inbound.iter().filter(|inbound| inbound.has_own);
        let mut room = MOST_SENDERS.saturating_sub(own.clone().count());
        let mut origins: Vec<[u8; 16]> = own.filter(|own| !own.is_quiet()).map(|own| own.process).collect();
        origins.push(self.me);
        let mut chosen: Vec<Vec<u8>> =
            self.inbound.iter().map(|of| of.has_own.then_some(OWN_TRACK).into_iter().collect()).collect();
        for turn in 0..3 {
            let mut places: Vec<usize> = (0..self.inbound.len()).collect();
            if turn > 0 {
                places.reverse();
            }
            for place in places {
                let (inbound, chosen) = (&self.inbound[place], &mut chosen[place]);
                for track in inbound.described.iter().filter(|track| track.number != OWN_TRACK) {
                    if room > 0 && rank(inbound, track.number) == turn && !origins.contains(&track.origin) {
                        origins.push(track.origin);
                        chosen.push(track.number);
                        room -= 1;
                    }
                }
            }
        }
        for (inbound, chosen) in self.inbound.iter_mut().zip(&chosen) {
            let over: Vec<u8> = inbound.tracks().filter(|track| !chosen.contains(track)).collect();
            over.into_iter().for_each(|track| inbound.let_go(track, &mut self.pool));
        }
        self.owed = false;
        for (inbound, chosen) in self.inbound.iter_mut().zip(chosen) {
            for track in chosen {
                if inbound.receives(track) {
                    continue;
                }
                if inbound.begins.take(now) {
                    inbound.receive(track, &mut self.pool);
                } else {
                    self.owed = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn tracks_that_are_used_again_and_again_begin_once_a_second() {
        let start = Instant::now();
        let mut begins = Begins::new(start, false);
        let mut taken = |millis| (0..10).filter(|_| begins.take(start + Duration::from_millis(millis))).count();
        assert_eq!([0, 0, 500, 1000, 1500, 2000, 60_000].map(&mut taken), [4, 0, 0, 1, 0, 1, 4]);
    }
}
