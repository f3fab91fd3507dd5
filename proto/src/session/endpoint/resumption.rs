//! How a peer comes back: noticing that its connection hangs, and putting a new link in the place of the old one.
//!
//! A new link replaces an earlier one to the same process where the peer shows the token it was given, where we dialled the same
//! host again, or where it proves to be the same (`claims`). What was proved of the peer's address holds on, so that pictures go
//! on at once under the new keys; the earlier link is *retired*: for a second it still opens what was on its way, then it
//! goes without a word.
//!
//! A process that was killed says no goodbye, and its link would live on by its keys. Where another is met in its place it goes
//! at once ([`Endpoint::drop_former`]), or whoever was started again would be there twice.
//!
//! Where both sides dial each other two links come up at once. Both must drop the same one: kept is the one dialled by the
//! process with the smaller id. Which is greeted first differs between the two, so nothing else would do.

use super::super::link::{Link, LinkId};
use super::super::liveness::SILENT;
use super::super::places::{self, Place};
use super::{Endpoint, Notice, STARTED_AGAIN};
use crate::crypto::Side;
use crate::wire::record::Reason;
use std::net::SocketAddr;
use std::time::Instant;

impl Endpoint {
    /// A link's peer said hello.
    pub(super) fn greeted(&mut self, now: Instant, id: LinkId) {
        let Some((link, hello)) = self.links.get(&id).and_then(|link| Some((link, link.hello.as_ref()?))) else { return };
        if hello.id == self.me.id {
            return self.meets_itself(now, id);
        }
        let in_use = self.dialer.of(id).and_then(|host| self.dialer.link(host));
        // It comes back by the token we gave it, or because we dialled it again.
        let comes_back = |(other, earlier): &(&LinkId, &Link)| match link.side {
            Side::Listener => earlier.tokens.know(&hello.resume),
            Side::Dialler => in_use == Some(**other),
        };
        let mut earlier = self
            .links
            .iter()
            .filter(|(other, earlier)| **other != id && earlier.is_met() && earlier.is_of(&hello.id) && earlier.direct.is_none());
        match earlier.find(comes_back).map(|(other, earlier)| (*other, earlier.side != link.side)) {
            Some((other, true)) => self.same(now, id, other),
            Some((other, false)) => self.replace(now, id, other, true),
            None => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.claim.open();
                }
                self.judge(now, id);
            }
        }
        self.judge_all(now);
    }

    /// A link is of the same process as another one is: one of them is kept.
    pub(super) fn same(&mut self, now: Instant, id: LinkId, other: LinkId) {
        let (Some(link), Some(earlier)) = (self.links.get(&id), self.links.get(&other)) else { return };
        let smaller = link.hello.as_ref().is_some_and(|hello| self.me.id < hello.id);
        let comes_first = match (link.side, earlier.side) {
            (Side::Dialler, Side::Listener) => smaller,
            (Side::Listener, Side::Dialler) => !smaller,
            _ => link.hash < earlier.hash,
        };
        if comes_first || earlier.liveness.is_lost() {
            return self.replace(now, id, other, true);
        }
        let host = self.dialer.of(id);
        let token = self.hello(other).map_or([0; 16], |hello| hello.token);
        self.retire(now, id);
        if let Some(host) = host {
            self.take_over(host, other, token);
            // They dialled it, and know what they gave; or it is in use already.
            self.dialer.confirmed(other);
        }
    }

    /// A link takes the place of another one; `proved`: both are of one process.
    pub(super) fn replace(&mut self, now: Instant, id: LinkId, other: LinkId, proved: bool) {
        let Some((side, hello)) = self.links.get(&id).and_then(|link| Some((link.side, link.hello.clone()?))) else { return };
        self.inherit(now, id, (other, &hello.resume), proved);
        let host = self.dialer.using(other);
        let from_there =
            self.links.get(&id).zip(self.links.get(&other)).is_some_and(|(one, former)| one.remote.ip() == former.remote.ip());
        self.retire(now, other);
        match host {
            Some(host) if proved || from_there => {
                self.take_over(host, id, hello.token);
                if side == Side::Listener {
                    self.dialer.confirmed(id);
                }
            }
            // It may be another that answers elsewhere: the peer is looked for where it was.
            Some(host) => self.dialer.broke(now, host, now, true),
            None => {}
        }
        self.comes_up(now, id, Some(other));
    }

    /// A link is of a process that has none yet.
    pub(super) fn comes_new(&mut self, now: Instant, id: LinkId) {
        let in_use = self.dialer.of(id).and_then(|host| self.dialer.link(host));
        self.drop_former(now, id, in_use);
        if !self.rings(now, id) {
            self.let_in(now, id);
        }
    }

    /// It is one more from now on, if there is a place.
    pub(super) fn let_in(&mut self, now: Instant, id: LinkId) {
        if self.links.get(&id).is_some_and(|link| link.side == Side::Dialler) || self.find_place(now, id) {
            self.comes_up(now, id, None);
        }
    }

    /// The role is told of a link.
    pub(super) fn comes_up(&mut self, now: Instant, id: LinkId, replaces: Option<LinkId>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.claim.settle();
        let token = link.hello.as_ref().map_or([0; 16], |hello| hello.token);
        let proved = link.path.as_ref().is_some_and(|path| path.address().is_some());
        if let Some(host) = self.dialer.of(id) {
            self.take_over(host, id, token);
        }
        if !self.is_direct(id) {
            self.needs_no_direct(id);
            self.keep_pair(id);
            self.tell_taken(id);
        }
        self.notices.push_back(Notice::Up { link: id, replaces });
        if proved {
            if let Some(host) = self.dialer.of(id) {
                self.dialer.met(host);
            }
            self.dialer.confirmed(id);
            self.notices.push_back(Notice::Path(id));
        }
        self.admitted.push_back(id);
        self.rings_no_more(now, id);
    }

    /// A process that we do not know is here, over link `id`. Who answers where we dialled again is there instead of the one
    /// before, whose link was `dialled`; who comes from the machine of one whose connection is gone, or who is silent, under the
    /// same name, is that one, started again.
    fn drop_former(&mut self, now: Instant, id: LinkId, dialled: Option<LinkId>) {
        let Some(link) = self.links.get(&id) else { return };
        let Some(name) = link.hello.as_ref().map(|hello| hello.name.clone()) else { return };
        let (ip, proof) = (link.remote.ip(), link.proof.clone());
        let named = |link: &Link| link.hello.as_ref().is_some_and(|hello| hello.name == name);
        let is_former = |(former, link): (&LinkId, &Link)| {
            let silent = link.liveness.is_silent(now, link.last_datagram());
            let started_again =
                named(link) && silent && link.remote.ip() == ip && link.side == Side::Listener && link.proof == proof;
            *former != id
                && link.is_met()
                && link.direct.is_none()
                && !link.liveness.is_retired()
                && (dialled == Some(*former) || started_again)
        };
        let former: Vec<_> =
            self.links.iter().filter(|link| is_former(*link)).map(|(former, link)| (*former, named(link))).collect();
        for (former, named) in former {
            self.down(former, None, if named { STARTED_AGAIN } else { "another program answers there now" }.to_string());
        }
    }

    /// Makes place for a peer that is none that comes back; `false`: there is none, and the peer is gone.
    fn find_place(&mut self, now: Instant, id: LinkId) -> bool {
        let Some(remote) = self.links.get(&id).map(|link| link.remote) else { return false };
        match places::place(now, &self.links, remote.ip(), !self.keys.lets_in_unknown(), Some(id)) {
            Place::Free => true,
            Place::Of(idler) => {
                self.turn_out(idler, "all places were taken, and somebody else needed one");
                true
            }
            Place::Taken(limit) => {
                let sentence = limit.to_string();
                self.leave(id, Reason::Failed, &sentence);
                self.counters.turned_away += 1;
                self.notices.push_back(Notice::TurnedAway(remote, sentence));
                false
            }
        }
    }

    fn take_over(&mut self, host: super::HostId, id: LinkId, token: [u8; 16]) {
        for late in self.dialer.greeted(host, id, token) {
            self.remove(late);
        }
    }

    fn inherit(&mut self, now: Instant, id: LinkId, (from, token): (LinkId, &[u8; 16]), proved: bool) {
        let Some(mut former) = self.links.remove(&from) else { return };
        if let Some(link) = self.links.get_mut(&id) {
            link.tokens.follow(&former.tokens, token, proved);
            let same = proved && !former.tokens.are_of_former(token);
            if let (Some(path), Some(before), true) = (&mut link.path, &mut former.path, same) {
                path.inherit(now, before, now.checked_sub(SILENT).unwrap_or(now));
            }
        }
        self.links.insert(from, former);
    }

    fn retire(&mut self, now: Instant, id: LinkId) {
        self.relays_no_more(id);
        if let Some(link) = self.links.get_mut(&id) {
            link.liveness.retire(now);
            link.claim.settle();
        }
        self.dialer.removed(id);
    }

    /// A datagram of this link opened; `before`: when one did last.
    pub(super) fn heard(&mut self, now: Instant, id: LinkId, before: Option<Instant>) {
        self.udp_is_heard(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.path.as_mut().is_some_and(super::Path::take_moved) {
            link.liveness.moved(now);
        }
        let Some(before) = before.filter(|before| now >= *before + SILENT) else { return };
        let hangs = link.liveness.silence_ended(before);
        let Some(host) = self.dialer.using(id) else {
            // We cannot dial, and the other side may have slept and know of no silence: a challenge tells it to look at its
            // connection.
            if let Some(path) = link.path.as_mut().filter(|_| hangs) {
                path.challenge_anew(now);
            }
            return;
        };
        if hangs {
            // We may have been asleep ourselves, and not have noticed the silence before it ended.
            self.dialer.silent(now, host);
        }
        if let Some(evicted) = self.dialer.heard_again(now, host) {
            self.remove(evicted);
        }
    }

    /// Bytes came over TCP: it does not hang.
    pub(super) fn tcp_lives(&mut self, id: LinkId) {
        if let Some(host) = self.dialer.using(id) {
            self.dialer.well(host);
        }
    }

    /// Where a host's peer proved by datagrams to be: a waiting side that moved is known there before its name is, and an address
    /// that was given for it will never be its own again. TCP has the port that was dialled, for a waiting side has UDP and TCP
    /// on one port.
    pub(super) fn proved_place(&self, host: super::HostId) -> Option<SocketAddr> {
        let link = self.links.get(&self.dialer.link(host)?)?;
        let proved = link.path.as_ref()?.address()?;
        let mut place = link.remote;
        if proved.ip() != place.ip() {
            place = proved;
            place.set_port(link.remote.port());
        }
        Some(place)
    }

    /// Dials afresh beside a connection that seems to hang.
    pub(super) fn look_for_silence(&mut self, now: Instant, id: LinkId) {
        let Some(host) = self.dialer.using(id) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.silence_deadline().is_some_and(|deadline| now >= deadline) {
            link.liveness.hangs();
            self.dialer.silent(now, host);
        }
    }
}
