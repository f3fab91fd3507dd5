//! In which form each peer is sent sound, and whether our own is to be encoded for anybody. What decides is `sound_form`'s.

use super::{Event, LinksAndEvents, Sender};
use crate::session::outbound::Outbound;
use crate::session::peer::{Peer, Subscription};
use crate::sound::Form;
use crate::wire::record::OWN_TRACK;
use std::time::Instant;

impl Peer {
    /// Whether packets of a track are of use to the peer, and to those it passes them on to.
    fn takes(&self, subscription: &Subscription) -> bool {
        self.takes_packets && self.wants.sound && subscription.hears() && !subscription.want().samples
    }

    /// In which form it is sent a track, if it is.
    pub fn form(&self, track: &Outbound) -> Option<Form> {
        let subscription = self.subscriptions.iter().find(|known| known.track() == track.number())?;
        (self.wants.sound && subscription.hears()).then(|| subscription.form(&track.sound))
    }
}

impl Sender {
    /// Something happened by which a peer may be sent another form of sound than before.
    pub fn update_form(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let Sender { peers, tracks, sound, .. } = self;
        let mut wants_packets = false;
        for peer in peers.values_mut() {
            let path = peer.flow.found();
            for place in 0..peer.subscriptions.len() {
                let may = peer.takes(&peer.subscriptions[place]);
                let subscription = &mut peer.subscriptions[place];
                let Some(track) = tracks.iter().find(|track| track.number() == subscription.track()) else { continue };
                if track.number() != OWN_TRACK {
                    subscription.form.pass_on(may);
                    continue;
                }
                subscription.form.look(now, (may && !track.lossless, *sound), path);
                subscription.form.follow(track.sound.end(), track.sound.has_packets());
                wants_packets |= subscription.form.wants_packets();
            }
        }
        if wants_packets != self.wants_packets {
            self.wants_packets = wants_packets;
            shared.events.push_back(Event::WantsPackets(wants_packets));
        }
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
