//! What time alone brings to the links: each one's deadline, and what is due then.

use super::super::link::{HANDSHAKE, LinkId};
use super::super::unreachable::Unreachable;
use super::{Endpoint, Notice};
use crate::wire::record::Reason;
use std::time::{Duration, Instant};

/// No datagram so long after TCP was up: something blocks UDP.
const UDP_PATIENCE: Duration = Duration::from_secs(2);

impl Endpoint {
    /// Whatever is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.links.get_mut(&id) else { continue };
            if let Some(until) = link.liveness.retired_until() {
                if now >= until {
                    self.remove(id);
                }
                continue;
            }
            if link.direct.is_some() {
                self.tend_direct(now, id);
                continue;
            }
            let silent_since = link.last_datagram().or_hello();
            let Some(path) = &mut link.path else {
                let held = link.held_until();
                if now >= link.began + HANDSHAKE {
                    self.handshake_expired(now, id);
                } else if held.is_some_and(|until| now >= until) {
                    // It gets as far as our answer: nothing for the role can be behind an opening.
                    self.next_record(now, id);
                }
                continue;
            };
            let proved = path.handle_timeout(now);
            if link.claim.is_open() {
                self.judge(now, id);
                continue;
            }
            if proved {
                self.notices.push_back(Notice::Path(id));
            }
            if path.awaited_since().is_some_and(|since| now >= since + UDP_PATIENCE) && !self.warned.contains(&id) {
                self.warned.insert(id);
                self.notices.push_back(Notice::NoUdp(id, link.remote));
            }
            if link.keys_end().is_some_and(|end| now >= end) {
                self.goodbye(id, Reason::Renew, "the keys have grown old");
                self.lose(now, id, "it did not come back");
                continue;
            }
            if link.first_sign_deadline().is_some_and(|deadline| now >= deadline) {
                self.turn_out(id, "nothing of it came by UDP, nor by TCP after its hello");
                continue;
            }
            if !link.liveness.is_detached() {
                self.watch_udp(now, id, silent_since);
            }
            self.look_for_silence(now, id);
        }
    }

    fn handshake_expired(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (remote, began) = (link.remote, link.began);
        if link.spent {
            return self.code_spent(id, remote);
        }
        let host = self.dialer.of(id);
        self.remove(id);
        match host {
            Some(host) => {
                if self.dialer.link(host).is_none() {
                    self.notices.push_back(Notice::Unreachable { host, error: Unreachable::Silent(remote), fatal: false });
                }
                self.dialer.broke(now, host, began, false);
            }
            None => self.counters.turned_away += 1,
        }
    }

    /// When [`Endpoint::handle_timeout`] or [`Endpoint::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(|(id, link)| {
            if let Some(until) = link.liveness.retired_until() {
                return Some(until);
            }
            if link.direct.is_some() {
                return self.direct_deadline(link);
            }
            let Some(path) = &link.path else {
                return link.held_until().into_iter().chain([link.began + HANDSHAKE]).min();
            };
            if link.claim.is_open() {
                return self.claim_deadline(*id).into_iter().chain(path.deadline()).min();
            }
            let complaint = path.awaited_since().filter(|_| !self.warned.contains(id)).map(|since| since + UDP_PATIENCE);
            let silence = self.dialer.using(*id).and_then(|_| link.silence_deadline());
            let ends = link.keys_end().into_iter().chain(link.first_sign_deadline());
            complaint.into_iter().chain(ends).chain(silence).chain(link.udp_deadline()).chain(path.deadline()).min()
        });
        links.chain(self.dialer.deadline()).min()
    }
}
