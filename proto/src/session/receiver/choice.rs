//! Which of the tracks that are told of are received: everybody's own; of those that are forwarded each origin once, none of one
//! who is linked to us himself, and never our own; and no more in all than there may be senders: where one alone is taken, as a
//! file has room for no more, one alone of those that a meeting point forwards. Of each for whom there is no room it is told.
//!
//! What is received already stays, whatever others tell of: nobody loses his tile to one who comes later and forwards many; where
//! one comes with a track of his own and there is no room, the sender that came last loses one. Of the rest that one is asked
//! first. Who is not heard of keeps nothing that others have: a meeting point that was killed says no goodbye, and the one that
//! is started in its place forwards the same people.
//!
//! Another guest of a meeting whose datagrams come directly takes no room: his track is the one that is forwarded (`ways.rs`).
//!
//! A track that begins costs a decoder, a voice and a tile; how often those of one sender begin anew is bounded (`begins.rs`).

use super::Receiver;
use super::inbound::Inbound;
use super::ways::Ways;
use crate::session::TrackId;
use crate::wire::record::OWN_TRACK;
use std::collections::BTreeSet;
use std::time::Instant;

/// Who is asked first: whose track is received, whose is not, who is not heard of.
fn rank(inbound: &Inbound, track: u8, ways: &Ways) -> u8 {
    let direct = ways.is_direct(TrackId { peer: inbound.peer, track });
    match (inbound.is_quiet() && !direct, inbound.receives(track)) {
        (false, true) => 0,
        (false, false) => 1,
        (true, _) => 2,
    }
}

impl Receiver {
    /// Which of the tracks that are told of are received, and of the others which are not any more.
    pub(super) fn choose_tracks(&mut self, now: Instant) {
        let own = self.inbound.iter().filter(|inbound| inbound.has_own && !inbound.direct);
        let mut room = self.senders.saturating_sub(own.clone().count());
        let mut origins: Vec<[u8; 16]> = own.filter(|own| !own.is_quiet()).map(|own| own.process).collect();
        origins.push(self.me);
        let mut chosen: Vec<Vec<u8>> =
            self.inbound.iter().map(|of| of.has_own.then_some(OWN_TRACK).into_iter().collect()).collect();
        let mut roomless: Vec<BTreeSet<u8>> = vec![BTreeSet::new(); self.inbound.len()];
        for turn in 0..3 {
            let mut places: Vec<usize> = (0..self.inbound.len()).filter(|place| !self.inbound[*place].direct).collect();
            if turn > 0 {
                places.reverse();
            }
            for place in places {
                let (inbound, chosen) = (&self.inbound[place], &mut chosen[place]);
                for track in inbound.described.iter().filter(|track| track.number != OWN_TRACK) {
                    if rank(inbound, track.number, &self.ways) != turn || origins.contains(&track.origin) {
                        continue;
                    }
                    if room == 0 {
                        roomless[place].insert(track.number);
                        continue;
                    }
                    origins.push(track.origin);
                    chosen.push(track.number);
                    room -= 1;
                }
            }
        }
        for (inbound, chosen) in self.inbound.iter_mut().zip(&chosen) {
            let over: Vec<u8> = inbound.tracks().filter(|track| !chosen.contains(track)).collect();
            over.into_iter().for_each(|track| inbound.let_go(track, &mut self.across));
        }
        for (inbound, roomless) in self.inbound.iter_mut().zip(roomless) {
            inbound.has_no_room(roomless, &mut self.across);
        }
        self.owed = false;
        for (inbound, chosen) in self.inbound.iter_mut().zip(chosen) {
            for track in chosen {
                if inbound.receives(track) {
                    continue;
                }
                if inbound.begins.take(now) {
                    inbound.receive(track, &mut self.across);
                } else {
                    self.owed = true;
                }
            }
        }
    }
}
