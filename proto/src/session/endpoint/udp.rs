//! Whether datagrams pass as TCP does, link by link: what [`UdpWatch`](super::super::udp_watch::UdpWatch) wants done.

use super::super::link::{Link, LinkId};
use super::super::udp_watch::Todo;
use super::{Endpoint, Notice};
use crate::wire::record::Record;
use std::time::Instant;

impl Endpoint {
    /// Whatever is due of a link that was last heard by a datagram, or its hello, at `heard`.
    pub(super) fn watch_udp(&mut self, now: Instant, id: LinkId, heard: Instant) {
        while let Some(todo) = self.links.get_mut(&id).and_then(|link| link.udp.poll(now, heard)) {
            self.carry_out(id, todo);
        }
    }

    /// A datagram of a link opened.
    pub(super) fn udp_is_heard(&mut self, id: LinkId) {
        if let Some(todo) = self.links.get_mut(&id).and_then(|link| link.udp.datagram_came()) {
            self.carry_out(id, todo);
        }
    }

    /// The peer of a link says whether it hears our datagrams.
    pub(super) fn told_heard(&mut self, now: Instant, id: LinkId, heard: bool) {
        // Where none came yet, that is said by itself in time.
        let is_heard = |link: &&mut Link| link.path.as_ref().is_some_and(|path| path.awaited_since().is_none());
        let Some(link) = self.links.get_mut(&id).filter(is_heard) else { return };
        if let Some(todo) = link.udp.told(now, heard) {
            self.carry_out(id, todo);
        }
    }

    fn carry_out(&mut self, id: LinkId, todo: Todo) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.liveness.is_retired()) else { return };
        match todo {
            Todo::Tell(heard) => {
                if !link.send(&Record::Heard(heard)) {
                    self.overfull.push_back(id);
                }
            }
            // Where no datagram ever came, that is said once in any case.
            Todo::Complain
                if link.path.as_ref().is_some_and(|path| path.awaited_since().is_some()) && !self.warned.insert(id) => {}
            Todo::Complain => self.notices.push_back(Notice::NoUdp(id, link.remote)),
        }
    }
}
