//! Which guest is sent to directly and had better not be.
//!
//! What goes directly goes up once for each guest, what is forwarded once for all. So a direct way that turns out to be too narrow
//! for what is sent is left: the meeting point's may have room, and if it is this machine's own line that has not, there is one
//! copy less on it. Only where nothing else goes up, and the meeting point's way was as narrow when pictures went that way, a detour
//! would help nobody.

use super::Sender;
use crate::media::rate_control::Bitrate;
use crate::session::endpoint::Endpoint;
use crate::session::link::LinkId;
use crate::session::peer::{Peer, Subscription};
use crate::wire::record::OWN_TRACK;

/// So many seconds in a row a way is too narrow before it is left.
const PATIENCE: u32 = 3;

/// A way that takes twice as much is worth a detour; what both take is known no better.
const WORTH: f64 = 2.0;

fn is_sent_pictures(peer: &Peer) -> bool {
    peer.wants.pictures && peer.subscriptions.iter().any(|known| known.track() == OWN_TRACK && Subscription::sees(known))
}

impl Sender {
    /// Asked once a second: the guest whose direct way is to be left.
    pub fn crowded(&mut self, endpoint: &mut Endpoint) -> Option<LinkId> {
        let mut passes_none = |(link, peer): &(&LinkId, &Peer)| {
            peer.direct && is_sent_pictures(peer) && endpoint.path(**link).is_some_and(|path| path.is_too_narrow())
        };
        if let Some((link, _)) = self.peers.iter().find(|one| passes_none(one)) {
            return Some(*link);
        }
        for peer in self.peers.values_mut().filter(|peer| !peer.direct && is_sent_pictures(peer)) {
            // Where no pictures go it would only be supposed.
            peer.took = peer.flow.found().0;
        }
        let copies = self.peers.values().filter(|peer| is_sent_pictures(peer)).count();
        let unlimited = Bitrate(u64::MAX);
        let forwarded = self.peers.values().filter(|peer| !peer.direct).map(|peer| peer.took.unwrap_or(unlimited)).max();
        for peer in self.peers.values_mut().filter(|peer| peer.direct) {
            let narrow = peer.flow.known().0.filter(|_| is_sent_pictures(peer));
            let better = |takes: Bitrate| copies > 1 || forwarded.is_some_and(|other| other.bytes() > takes.bytes() * WORTH);
            peer.narrow_for = if narrow.is_some_and(better) { peer.narrow_for + 1 } else { 0 };
        }
        let narrow = self.peers.iter().filter(|(_, peer)| peer.narrow_for >= PATIENCE);
        narrow.min_by_key(|(_, peer)| peer.flow.known().0).map(|(link, _)| *link)
    }
}
