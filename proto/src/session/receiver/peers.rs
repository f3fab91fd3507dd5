//! Senders come, take their places or wait for one, and go. Who has a place where more want one is `contest`'s text.

use super::contest::{self, Waiter};
use super::inbound::{Described, Feedback, Inbound};
use super::{Receiver, address};
use crate::session::PeerId;
use crate::session::endpoint::Endpoint;
use crate::session::events::Event;
use crate::session::link::LinkId;
use crate::session::stats::Received;
use crate::wire::record::{OWN_TRACK, Reason};
use std::time::Instant;

impl Receiver {
    /// How many have a place: those that are told of by a meeting point are there in its stead.
    pub(super) fn places(&self) -> usize {
        self.inbound.iter().filter(|inbound| !inbound.direct).count()
    }

    /// A peer that has something for us said hello over `link`, which replaces an earlier one of its.
    pub fn peer_up(&mut self, now: Instant, (link, peer): (LinkId, PeerId), replaces: Option<LinkId>, endpoint: &mut Endpoint) {
        let Some(hello) = endpoint.hello(link) else { return };
        let (film, name) = (hello.offers.lossless, hello.name.clone());
        let stays = replaces.and_then(|waited| self.waiting.remove(waited)).is_some_and(|waiter| waiter.stays);
        if let Some(place) = self.inbound.iter().position(|inbound| replaces == Some(inbound.link())) {
            // The same process came back, by its token: its id others know as well. Its numbers go on, its packet numbers
            // start afresh.
            self.inbound[place].reconnected(now, link, name);
            self.ways.came_back(peer);
            self.tell_up(place, true, endpoint);
            return;
        }
        let mut feedback = Feedback::new(link, film || self.wants.lossless);
        feedback.known = replaces.is_some();
        let waiter = Waiter { peer, feedback, described: Described::default(), stays, next_report: now };
        if endpoint.is_direct(link) {
            self.ways.add(peer);
        } else if self.places() >= self.senders {
            let address = address(endpoint, link);
            // Its connection closed, or nothing is heard of it: a machine that lost its power closes nothing.
            let is_gone = |inbound: &Inbound| endpoint.link(inbound.link()).is_none_or(|link| link.is_gone(now, address.ip()));
            let Some(place) = self.inbound.iter().position(|inbound| !inbound.direct && is_gone(inbound)) else {
                let keeps = |inbound: &Inbound| inbound.direct || inbound.proof.is_proven() && !inbound.proof.gives_way(now);
                if !stays && self.inbound.iter().all(keeps) {
                    self.turn_away(now, link, endpoint);
                } else {
                    self.waiting.add(waiter);
                }
                return;
            };
            let gone = self.inbound[place].link();
            endpoint.leave(gone, Reason::Replaced, "");
            self.left.push((gone, Reason::Replaced));
            self.drop_sender(now, place, None, "another sender took its place");
        }
        self.receive_from(now, waiter, endpoint);
    }

    /// There is no place for this one.
    fn turn_away(&mut self, now: Instant, link: LinkId, endpoint: &mut Endpoint) {
        let (reason, sentence) = contest::no_place(self.senders);
        let told = Event::TurnedAway(address(endpoint, link), contest::turned_away(self.senders));
        self.across.events.push_back(told);
        endpoint.part(now, link, reason, &sentence);
        self.left.push((link, reason));
    }

    /// From now on this sender has a place.
    fn receive_from(&mut self, now: Instant, Waiter { peer, feedback, described, .. }: Waiter, endpoint: &mut Endpoint) {
        let Some(hello) = endpoint.hello(feedback.link) else { return };
        let mut inbound = Inbound::new(now, peer, hello, feedback, self.wants);
        inbound.described = described;
        inbound.direct = self.ways.hides(peer);
        inbound.has_own = !hello.offers.is_none();
        self.inbound.push(inbound);
        let place = self.inbound.len() - 1;
        self.tell_up(place, false, endpoint);
        let inbound = &mut self.inbound[place];
        if inbound.has_own {
            inbound.receive(OWN_TRACK, &mut self.across);
        }
        self.choose_tracks(now);
    }

    fn tell_up(&mut self, place: usize, again: bool, endpoint: &Endpoint) {
        let inbound = &self.inbound[place];
        let link = inbound.link();
        let (peer, name, forwards) = (inbound.peer, inbound.name.clone(), inbound.forwards);
        let offers = endpoint.hello(link).map(|hello| hello.offers).unwrap_or_default();
        let (film, pictures) = (offers.lossless, offers.pictures);
        let (address, host) = (address(endpoint, link), endpoint.host(link));
        self.across.events.push_back(Event::SenderUp { peer, name, address, host, again, film, pictures, forwards });
    }

    /// A sender is gone; who waited longest is next.
    pub(super) fn sender_down(
        &mut self,
        now: Instant,
        place: usize,
        reason: Option<Reason>,
        sentence: &str,
        endpoint: &mut Endpoint,
    ) {
        let Waiter { peer, .. } = self.drop_sender(now, place, reason, sentence);
        if self.ways.hides(peer) {
            return self.ways.left(now, peer);
        }
        if let Some(waiter) = self.waiting.first().and_then(|link| self.waiting.remove(link)) {
            self.receive_from(now, waiter, endpoint);
        }
    }

    /// It loses its place.
    fn drop_sender(&mut self, now: Instant, place: usize, reason: Option<Reason>, sentence: &str) -> Waiter {
        let inbound = self.inbound.remove(place);
        let received = Received { assembly_bytes: 0, ..inbound.received_in_all() };
        let told = self.ways.told(inbound.peer);
        match told.and_then(|(track, _)| self.reception(track)) {
            Some(reception) => reception.came_besides(&received),
            None => self.gone += &received,
        }
        let (peer, sentence) = (inbound.peer, sentence.to_string());
        let (feedback, described) = inbound.leave(&mut self.across);
        self.across.events.push_back(Event::SenderDown { peer, reason, sentence });
        self.choose_tracks(now);
        Waiter { peer, feedback, described, stays: false, next_report: now }
    }

    /// A link is gone for good.
    pub fn peer_down(&mut self, now: Instant, link: LinkId, reason: Option<Reason>, sentence: &str, endpoint: &mut Endpoint) {
        if let Some(place) = self.place(link) {
            self.inbound[place].finish_ends(now, true, &mut self.across);
            self.sender_down(now, place, reason, sentence, endpoint);
        } else {
            self.waiting.remove(link);
        }
    }

    /// Sound or a piece of a picture came from a sender that waits: it takes the place of one that sends nothing.
    pub(super) fn media_came(&mut self, now: Instant, link: LinkId, endpoint: &mut Endpoint) {
        let gives_way = |inbound: &Inbound| !inbound.direct && inbound.proof.gives_way(now);
        let Some(place) = self.inbound.iter().position(gives_way) else { return };
        let Some(waiter) = self.waiting.remove(link) else { return };
        let mut idler = self.drop_sender(now, place, None, "it sends nothing, and another sender does");
        idler.stays = !self.wants.leaves && endpoint.hello(idler.feedback.link).is_some_and(|hello| !hello.wants.is_none());
        self.waiting.add(idler);
        self.receive_from(now, waiter, endpoint);
        // Half a block of sound took it the place: like a piece of a picture it counts as an attempt, or two who send no more
        // than halves would change places with every one.
        if let Some(inbound) = self.inbound.last_mut() {
            inbound.proof.tries(now);
        }
    }

    /// A slice or a block came of one that had sent none. Where all places are proved to be needed, nobody waits for one any
    /// longer.
    pub(super) fn proved(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let all = self.places() >= self.senders;
        if all && self.inbound.iter().all(|inbound| inbound.direct || inbound.proof.is_proven()) {
            for link in self.waiting.take_hopeless() {
                self.turn_away(now, link, endpoint);
            }
        }
    }
}
