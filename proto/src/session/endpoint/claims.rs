//! Peers whose hello has the `id` of one that is here already.
//!
//! **Problem.** Everybody at a meeting knows everybody's id, and could take the place of another by saying it. But whoever dials
//! us while we dial it says an id that is here as well, and has no token to come back with.
//!
//! **Choice.** Such a link is *open*: nothing of it reaches the role, which is not told of it, and it has no place. Each side
//! says over it of each link with that id a proof ([`crypto::prove_same`](crate::crypto::prove_same)) that it is at the other end
//! of both. Which of two links is greeted first may differ between the two sides, so a proof counts whichever of them it came
//! over. Where it is made, both drop the same link (`resumption`). Where it is not made in the time of a handshake, the link is
//! refused, and dialled again as where there is no place.
//!
//! A program that knows no proofs, or a process that has forgotten the earlier link, makes none. So an open link follows an
//! earlier one that no longer lives (its connection broke or hangs, or its datagrams stopped coming for [`SILENT`]) where we
//! dialled it, or it comes from the same address; and only with the same key as the earlier one, or as it without any, and not
//! where somebody is asked before anybody is let in. Tokens of the earlier link stay good: whoever it was comes back by them.
//!
//! **Rejected.** Saying the handshake hash of the new link over the earlier one: needs one that works, and hashes are no secret,
//! so that somebody who came first with another's id could repeat what it is told. Saying the token itself: it would be told to
//! whoever asks.

use super::super::link::{HANDSHAKE, Link, LinkId};
use super::super::liveness::SILENT;
use super::super::unreachable::Unreachable;
use super::{Endpoint, Notice};
use crate::crypto::Side;
use crate::wire::record::Reason;
use std::time::Instant;

/// What a peer is told whose id is taken.
const TAKEN: &str = "a peer with this id is here already, and it is not proved to be the same one";

impl Endpoint {
    /// Links that are of one process with this one, if what both peers say is true, and that are its peer's now.
    fn rivals(&self, id: LinkId) -> Vec<LinkId> {
        let Some(hello) = self.hello(id) else { return Vec::new() };
        let is_rival =
            |(other, link): &(&LinkId, &Link)| **other != id && link.is_met() && link.direct.is_none() && link.is_of(&hello.id);
        self.links.iter().filter(is_rival).map(|(other, _)| *other).collect()
    }

    /// Says over one link that we are at the other as well.
    fn tell_same(&mut self, id: LinkId, other: LinkId) {
        let Some(of) = self.links.get(&other).and_then(|link| Some((link.hash, link.hello.as_ref()?.token))) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        let (over, told) = (link.hash, &mut link.claim);
        if let Some(record) = told.tell(&over, (&of.0, &of.1)) {
            self.send(id, &record);
        }
    }

    /// A peer said that it is at another link as well.
    pub(super) fn told_same(&mut self, now: Instant, id: LinkId, proof: [u8; 32]) {
        if self.links.get_mut(&id).is_some_and(|link| link.claim.hear(now, proof)) {
            self.judge_all(now);
        }
    }

    fn is_proved(&self, id: LinkId, other: LinkId) -> bool {
        let (Some(one), Some(other)) = (self.links.get(&id), self.links.get(&other)) else { return false };
        let said = |over: &Link, of: &Link| over.claim.proves(&over.hash, (&of.hash, &of.tokens.given()));
        said(one, other) || said(other, one)
    }

    /// Until when an open link keeps out of the place of its rival, though it is not proved to be of the same peer.
    fn guards_until(&self, id: LinkId, rival: LinkId) -> Option<Instant> {
        let (link, rival) = (self.links.get(&id)?, self.links.get(&rival)?);
        let asked = self.me.asks && link.side == Side::Listener;
        let there = link.side == Side::Dialler || link.remote.ip() == rival.remote.ip();
        let likely = there && link.proof == rival.proof && !asked;
        let end = link.began + HANDSHAKE;
        let dead = rival.liveness.dead_from(rival.last_datagram(), SILENT);
        Some(if !likely { end } else { dead.map_or(end, |dead| dead.min(end)) })
    }

    /// When [`Endpoint::judge`] has something to do, of an open link.
    pub(super) fn claim_deadline(&self, id: LinkId) -> Option<Instant> {
        if let Some(until) = self.links.get(&id).and_then(|link| link.claim.asked_until()) {
            return Some(until);
        }
        let rivals = self.rivals(id);
        let began = self.links.get(&id).map(|link| link.began);
        rivals.into_iter().filter_map(|rival| self.guards_until(id, rival)).max().or(began)
    }

    /// Settles what can be.
    pub(super) fn judge_all(&mut self, now: Instant) {
        let open: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.claim.is_open()).map(|(id, _)| *id).collect();
        for id in open {
            self.judge(now, id);
        }
    }

    /// Settles whose an open link is, if that can be said by now.
    pub(super) fn judge(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id).filter(|link| link.claim.is_open()) else { return };
        if link.claim.asked_until().is_some() {
            return self.look_at_ring(now, id);
        }
        let end = link.began + HANDSHAKE;
        let rivals = self.rivals(id);
        for rival in &rivals {
            self.tell_same(id, *rival);
        }
        if let Some(rival) = rivals.iter().find(|rival| self.is_proved(id, **rival)) {
            self.same(now, id, *rival);
        } else if rivals.is_empty() {
            self.comes_new(now, id);
        } else if now >= end {
            self.refuse(now, id);
        } else if rivals.iter().all(|rival| self.guards_until(id, *rival).is_none_or(|until| now >= until)) {
            self.replace(now, id, rivals[0], false);
        }
    }

    /// It says our own id. Where the other end of its connection is here as well, we dialled ourselves, and dialling on is of no
    /// use; else somebody says so who knows it.
    pub(super) fn meets_itself(&mut self, now: Instant, id: LinkId) {
        let Some((remote, hash)) = self.links.get(&id).map(|link| (link.remote, link.hash)) else { return };
        let is_ours = self.links.iter().any(|(other, link)| *other != id && link.hash == hash);
        let host = self.dialer.of(id);
        self.leave(id, Reason::Failed, "this is the program that it dialled");
        match host {
            Some(host) if is_ours => {
                self.dialer.give_up(host);
                self.notices.push_back(Notice::Unreachable { host, error: Unreachable::Ourselves(remote), fatal: true });
            }
            Some(host) => self.refused(now, host, Unreachable::Taken(remote), false),
            None => self.counters.turned_away += 1,
        }
    }

    /// It has not proved to be who it says.
    pub(super) fn refuse(&mut self, now: Instant, id: LinkId) {
        let Some(remote) = self.links.get(&id).map(|link| link.remote) else { return };
        let host = self.dialer.of(id);
        self.leave(id, Reason::Full, TAKEN);
        match host {
            Some(host) => self.refused(now, host, Unreachable::Taken(remote), false),
            None => {
                self.counters.turned_away += 1;
                self.notices.push_back(Notice::TurnedAway(remote, TAKEN.to_string()));
            }
        }
    }

    /// Keeps what the peer of an open link said until it is settled.
    pub(super) fn hold(&mut self, now: Instant, id: LinkId) {
        // A copy has no room to spare.
        let plain = self.plain.clone();
        if self.links.get_mut(&id).is_some_and(|link| !link.claim.hold(plain)) {
            self.refuse(now, id);
        }
    }
}
