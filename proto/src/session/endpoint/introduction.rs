//! Who a peer is, as far as its keys prove it: what the role is told before it is told of the peer.

use super::super::PeerId;
use super::super::events::Event;
use super::super::keyring::{Pair, Proof};
use super::super::link::LinkId;
use super::{Endpoint, Notice};
use crate::crypto::Side;

impl Endpoint {
    /// Whoever said hello over a handshake that a code opened is a pair of ours from now on: it has seen that our code is the same,
    /// and we that its is.
    pub(super) fn keep_pair(&mut self, id: LinkId) {
        let host = self.dialer.of(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Proof::Pairing(key), Some(hello)) = (&link.proof, &link.hello) else { return };
        let pair = Pair { name: hello.name.clone(), key: key.clone() };
        link.proof = Proof::Paired(pair.clone());
        self.keys.paired(pair.clone(), host);
        self.notices.push_back(Notice::Paired(pair, host));
    }

    /// What is to be said of who a peer is, if anything.
    pub fn introduction(&self, id: LinkId, peer: PeerId) -> Option<Event> {
        let link = self.links.get(&id)?;
        let name = &link.hello.as_ref()?.name;
        match &link.proof {
            Proof::Paired(pair) => Some(Event::Known(peer, pair.name.clone())),
            _ if self.keys.knows_name(name) => {
                let dialled = link.side == Side::Dialler;
                Some(Event::Unproved { name: name.clone(), address: link.remote, dialled })
            }
            _ => None,
        }
    }
}
