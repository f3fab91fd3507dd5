//! In which form each peer is sent sound, and whether our own is to be encoded for anybody. What decides is `sound_form`'s.

use super::{Event, LinksAndEvents, Sender};
use crate::session::link::LinkId;
use crate::session::outbound::Outbound;
use crate::session::peer::{Peer, Subscription};
use crate::session::sound_form::Wish;
use crate::sound::Form;
use crate::wire::record::OWN_TRACK;
use std::time::Instant;

impl Peer {
    /// Whether packets of a track are of use to the peer, and to those it passes them on to.
    fn takes(&self, subscription: &Subscription) -> bool {
        self.takes_packets && self.wants.sound && subscription.hears() && !subscription.want().samples
    }

    /// Looks in which form it is to be sent our own track; whether as packets.
    fn looks_at_form(&mut self, now: Instant, own: &Outbound, wish: Wish) -> bool {
        let (path, Some(place)) = (self.flow.found(), self.place_of(own.number())) else { return false };
        let may = self.takes(&self.subscriptions[place]) && !own.lossless;
        let form = &mut self.subscriptions[place].form;
        form.look(now, (may, wish), path);
        form.follow(own.sound.end(), own.sound.has_packets());
        form.wants_packets()
    }

    /// A track that is forwarded is another, or is wanted otherwise: what comes of it goes on as it came.
    pub fn passes_on(&mut self, track: u8) {
        if let Some(place) = self.place_of(track).filter(|_| track != OWN_TRACK) {
            let may = self.takes(&self.subscriptions[place]);
            self.subscriptions[place].form.pass_on(may);
        }
    }

    fn place_of(&self, track: u8) -> Option<usize> {
        self.subscriptions.iter().position(|subscription| subscription.track() == track)
    }

    /// In which form it is sent a track, if it is.
    pub fn form(&self, track: &Outbound) -> Option<Form> {
        let subscription = self.subscriptions.iter().find(|known| known.track() == track.number())?;
        (self.wants.sound && subscription.hears()).then(|| subscription.form(&track.sound))
    }
}

impl Sender {
    /// Something happened by which this peer may be sent another form of our own sound than before, or it is gone.
    pub fn update_form(&mut self, now: Instant, link: LinkId, shared: &mut LinksAndEvents<'_>) {
        let own = self.tracks.first().filter(|own| own.number() == OWN_TRACK);
        let wants = match (self.peers.get_mut(&link), own) {
            (Some(peer), Some(own)) => peer.looks_at_form(now, own, self.sound),
            _ => false,
        };
        let before = self.encodes_for.is_empty();
        _ = if wants { self.encodes_for.insert(link) } else { self.encodes_for.remove(&link) };
        if self.encodes_for.is_empty() != before {
            shared.events.push_back(Event::WantsPackets(before));
        }
    }

    /// The same for every peer.
    pub fn update_forms(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let links: Vec<LinkId> = self.peers.keys().copied().collect();
        links.into_iter().for_each(|link| self.update_form(now, link, shared));
    }

    /// Whether some who hear a track can do nothing with its packets.
    pub fn lacks_packets(&self, number: u8) -> bool {
        let hears = |peer: &&Peer| {
            let of = peer.subscriptions.iter().find(|subscription| subscription.track() == number);
            peer.wants.sound && of.is_some_and(Subscription::hears)
        };
        let lacks = |peer: &Peer| {
            !peer.takes_packets || peer.subscriptions.iter().any(|known| known.track() == number && known.want().samples)
        };
        self.peers.values().filter(hears).any(lacks)
    }
}
