//! How links end: by a fault, a farewell, or their age; what is still said, who is told, whether the host is dialled again.

use super::super::HostId;
use super::super::fault::Fault;
use super::super::keyring::Proof;
use super::super::link::{Link, LinkId};
use super::super::unreachable::Unreachable;
use super::{Endpoint, Notice};
use crate::wire::preamble::Refusal;
use crate::wire::record::Reason;
use std::net::SocketAddr;
use std::time::Instant;

impl Endpoint {
    pub(super) fn fail(&mut self, now: Instant, id: LinkId, fault: Fault) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.liveness.is_retired() {
            return;
        }
        if link.direct.is_some() {
            return self.direct_failed(id, fault);
        }
        let (remote, began) = (link.remote, link.began);
        let host = self.dialer.of(id);
        match fault {
            Fault::TurnedAway(refusal, sentence) => {
                if refusal == Refusal::KeyWrong {
                    self.guesses.wrong(now, remote.ip());
                }
                link.turn_away(refusal, &sentence);
                self.counters.turned_away += 1;
                self.notices.push_back(Notice::TurnedAway(remote, sentence));
                self.remove(id);
            }
            Fault::Refused(error) => {
                self.remove(id);
                if let Some(host) = host {
                    self.refused(now, host, error, false);
                }
            }
            Fault::Unfit(misfit) => {
                let (sentence, proved) = (misfit.to_string(), link.proof != Proof::Nothing);
                self.leave(id, Reason::Failed, &sentence);
                match host {
                    Some(host) => self.refused(now, host, Unreachable::Unfit { from: remote, misfit }, proved),
                    None => {
                        self.counters.turned_away += 1;
                        self.notices.push_back(Notice::TurnedAway(remote, sentence));
                    }
                }
            }
            Fault::Protocol(sentence) => {
                let greeted = link.is_met();
                self.goodbye(id, Reason::Protocol, &sentence);
                match (greeted, host) {
                    (true, _) => {
                        if let Some(host) = host {
                            self.dialer.turned_away(now, host);
                        }
                        self.down(id, Some(Reason::Protocol), sentence);
                    }
                    (false, Some(host)) => {
                        self.remove(id);
                        self.refused(now, host, Unreachable::Broken { from: remote, sentence }, false);
                    }
                    (false, None) => {
                        self.counters.turned_away += 1;
                        self.notices.push_back(Notice::TurnedAway(remote, sentence));
                        self.remove(id);
                    }
                }
            }
            Fault::Left(reason, sentence) => {
                let greeted = link.is_met();
                match (reason, host) {
                    // Of one who was never asked it is a goodbye like others.
                    (Reason::Declined, Some(host)) if link.claim.asked_until().is_some() => {
                        let others = self.dialer.give_up_wholly(host);
                        self.down(id, Some(reason), sentence.clone());
                        others.into_iter().filter(|other| *other != id).for_each(|other| self.remove(other));
                        let error = Unreachable::Declined { from: remote, sentence };
                        return self.notices.push_back(Notice::Unreachable { host, error, fatal: true });
                    }
                    // It is gone before it is said that nobody is reached there.
                    (Reason::Busy | Reason::Full, Some(host)) => {
                        let (from, proved) = (remote, reason == Reason::Busy && link.proof != Proof::Nothing);
                        let error = match reason {
                            Reason::Busy => Unreachable::Busy { from, sentence: sentence.clone() },
                            _ => Unreachable::Full { from, sentence: sentence.clone() },
                        };
                        self.down(id, Some(reason), sentence);
                        return self.refused(now, host, error, proved);
                    }
                    (Reason::Replaced, _) | (_, None) => {}
                    (_, Some(host)) => {
                        if greeted {
                            self.dialer.met(host);
                        }
                        self.dialer.broke(now, host, began, false);
                    }
                }
                self.down(id, Some(reason), sentence);
            }
        }
    }

    /// A direct link ends: its guest's datagrams go by way of the meeting point again.
    fn direct_failed(&mut self, id: LinkId, fault: Fault) {
        let (reason, sentence) = match fault {
            Fault::Left(reason, sentence) => (reason, sentence),
            Fault::Protocol(sentence) => {
                self.goodbye(id, Reason::Protocol, &sentence);
                (Reason::Protocol, sentence)
            }
            Fault::TurnedAway(_, sentence) => (Reason::Failed, sentence),
            Fault::Refused(error) => (Reason::Failed, error.to_string()),
            Fault::Unfit(misfit) => (Reason::Failed, misfit.to_string()),
        };
        self.down(id, Some(reason), sentence);
    }

    /// What answers has had its one try at the code that was typed.
    pub(super) fn code_spent(&mut self, id: LinkId, remote: SocketAddr) {
        let host = self.dialer.of(id);
        self.remove(id);
        if let Some(host) = host {
            self.dialer.give_up(host);
            self.notices.push_back(Notice::Unreachable { host, error: Unreachable::CodeSpent(remote), fatal: true });
        }
    }

    /// Says goodbye to a peer of whom nothing more is wanted, or nothing now; its host, if it has one, is dialled again: as after
    /// a goodbye of its own, or as one that has no place for us.
    pub fn part(&mut self, now: Instant, id: LinkId, reason: Reason, sentence: &str) {
        let Some(began) = self.links.get(&id).map(|link| link.began) else { return };
        if let Some(host) = self.dialer.of(id) {
            match reason {
                Reason::Busy | Reason::Full => self.dialer.rests(now, host),
                _ => self.dialer.broke(now, host, began, false),
            }
        }
        self.leave(id, reason, sentence);
    }

    /// What answers for a host does not want us, or is no peer. Without a proof (`proved`) anybody on the path can say so: it
    /// ends a dialler only where nothing speaks against it, and never one that has a key or was connected before. Those dial on,
    /// ever more seldom; and so does who finds all places taken, for that passes.
    pub(super) fn refused(&mut self, now: Instant, host: HostId, error: Unreachable, proved: bool) {
        let keyed = self.keys.proves(host);
        let passes = matches!(error, Unreachable::Full { .. } | Unreachable::Taken(_));
        let fatal = !passes && !self.dialer.was_met(host) && (proved || !keyed);
        if fatal {
            self.dialer.give_up(host)
        } else {
            self.dialer.turned_away(now, host)
        }
        self.notices.push_back(Notice::Unreachable { host, error, fatal });
    }

    /// A link is gone and its host, if it has one, is dialled anew.
    pub(super) fn lose(&mut self, now: Instant, id: LinkId, why: &str) {
        let Some(began) = self.links.get(&id).map(|link| link.began) else { return };
        if let Some(host) = self.dialer.of(id) {
            self.dialer.broke(now, host, began, true);
        }
        self.down(id, None, why.to_string());
    }

    /// A peer has to leave, and is told why.
    pub(super) fn turn_out(&mut self, id: LinkId, why: &str) {
        self.goodbye(id, Reason::Failed, why);
        self.down(id, Some(Reason::Failed), why.to_string());
    }

    pub(super) fn down(&mut self, id: LinkId, reason: Option<Reason>, sentence: String) {
        let greeted = self.links.get(&id).is_some_and(Link::is_met);
        self.remove(id);
        if greeted {
            self.notices.push_back(Notice::Down(id, reason, sentence));
        }
    }

    /// Forgets a link; what it still had to say is written before its connection closes.
    pub(super) fn remove(&mut self, id: LinkId) {
        if self.is_asked(id) {
            self.notices.push_back(Notice::RingOver(id));
        }
        self.relays_no_more(id);
        self.close_relayed(id);
        let Some(mut link) = self.links.remove(&id) else { return };
        self.by_connection.remove(&link.connection());
        if let Some(hello) = link.hello.as_ref().filter(|hello| hello.forwards() && link.direct.is_none()) {
            self.point_is_gone(hello.id);
        }
        self.warned.remove(&id);
        if let Some(socket) = link.liveness.socket() {
            self.by_socket.remove(&socket);
            if link.direct.is_some() {
                return;
            }
            let mut last = Vec::new();
            if link.writable {
                link.poll_bytes(&mut last);
            }
            if !last.is_empty() {
                self.farewells.push_back((socket, last));
            }
            self.closes.push_back(socket);
        }
        self.dialer.removed(id);
    }
}
