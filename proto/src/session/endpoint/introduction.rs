//! Who a peer is, as far as its keys prove it: what the role is told before it is told of the peer.

use super::super::keyring::{Pair, Proof, Standing};
use super::super::link::LinkId;
use super::{Endpoint, Notice};
use crate::crypto::Side;
use std::net::SocketAddr;

/// What is told of who a peer is.
pub struct Introduction {
    pub name: String,
    pub address: SocketAddr,
    pub standing: Standing,
    /// We dialled it.
    pub dialled: bool,
}

impl Endpoint {
    /// Whoever said hello over a handshake that a code opened is a pair of ours from now on: it has seen that our code is the
    /// same, and we that its is.
    pub(super) fn keep_pair(&mut self, id: LinkId) {
        let host = self.dialer.of(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let (Proof::Pairing(key), Some(hello)) = (&link.proof, &link.hello) else { return };
        let pair = Pair { name: hello.name.clone(), key: key.clone() };
        link.proof = Proof::Paired(pair.clone());
        self.keys.paired(pair.clone(), host);
        self.notices.push_back(Notice::Paired(pair, host));
    }

    fn standing(&self, id: LinkId, name: &str) -> Standing {
        match self.links.get(&id).map(|link| &link.proof) {
            Some(Proof::Paired(pair)) => Standing::Paired(pair.name.clone()),
            // It becomes one under this name.
            Some(Proof::Pairing(_)) => Standing::Paired(name.to_string()),
            _ if self.keys.knows_name(name) => Standing::Unproved,
            _ => Standing::Unknown,
        }
    }

    /// Who a peer is.
    pub fn introduction(&self, id: LinkId) -> Option<Introduction> {
        let link = self.links.get(&id)?;
        let name = link.hello.as_ref()?.name.clone();
        let (standing, dialled) = (self.standing(id, &name), link.side == Side::Dialler);
        Some(Introduction { name, address: link.remote, standing, dialled })
    }
}
