//! What receivers lack of a track, and so are owed: the encoder is told of our own, and whoever sends us a track that we forward.

use super::{Event, LinksAndEvents, Sender};
use crate::picture::mcu_set::Owed;
use crate::session::link::LinkId;
use crate::wire::record::OWN_TRACK;
use crate::wire::report::Misses;
use std::time::Instant;

impl Sender {
    /// A receiver missed a picture. Whether it is of a track that we have.
    pub fn handle_misses(&mut self, link: LinkId, (number, misses): (u8, Misses)) -> bool {
        let Some(pictures) = self.tracks.iter().find(|track| track.number() == number).map(|track| track.pictures) else {
            return false;
        };
        if let Some(subscription) = self.peers.get_mut(&link).and_then(|peer| peer.subscription(number)) {
            subscription.missed(misses.settled, misses.missed, pictures);
            self.owes_anew |= subscription.delivery.take_changed();
        }
        true
    }

    /// A receiver says what it lacks. Whether it is of a track that we have.
    pub fn handle_refresh(&mut self, link: LinkId, (number, owed): (u8, &Owed)) -> bool {
        let Some(subscription) = self.peers.get_mut(&link).and_then(|peer| peer.subscription(number)) else { return false };
        subscription.delivery.lacks(owed);
        self.owes_anew |= subscription.delivery.take_changed();
        true
    }

    /// A picture of a track that is forwarded did not all come here.
    pub fn has_hole(&mut self, now: Instant, number: u8, picture: u64) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.number() == number) else { return };
        track.has_hole(now);
        for subscription in self.peers.values_mut().filter_map(|peer| peer.subscription(number)) {
            subscription.has_hole(picture, &track.log);
            self.owes_anew |= subscription.delivery.take_changed();
        }
    }

    /// The encoder is told what is owed of our own track, where that has changed. Whether anything may have changed of any.
    pub fn update_owed(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) -> bool {
        let changed = std::mem::take(&mut self.owes_anew);
        if changed && self.own().is_some() {
            let owed = self.owed_of(now, OWN_TRACK, shared);
            if owed != self.owed {
                self.owed = owed.clone();
                shared.events.push_back(Event::Owed(owed));
            }
        }
        changed
    }

    /// What any receiver lacks of a track: of one whose pictures are only what changed, for else the next has all.
    pub fn owed_of(&self, now: Instant, number: u8, shared: &mut LinksAndEvents<'_>) -> Owed {
        let partial = self.tracks.iter().any(|track| track.number() == number && track.is_partial());
        let endpoint = &mut *shared.endpoint;
        let watching = self.peers.iter().filter(|(id, peer)| {
            partial && peer.validated && peer.wants.pictures && endpoint.path(**id).is_some_and(|path| !path.is_quiet(now))
        });
        let subscriptions = watching.flat_map(|(_, peer)| &peer.subscriptions);
        // Who wants each picture whole is sent all of each, whatever it lacks.
        let seen = subscriptions.filter(|known| known.track() == number && known.sees() && !known.wants_whole());
        seen.fold(Owed::Nothing, |all, known| all.and(known.delivery.owed()))
    }
}
