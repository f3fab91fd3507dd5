//! The receiving half of a session: what every sender sends is put together, what is missing is asked for.
//!
//! All state of one sender is in an [`Inbound`], and goes with it; none hears of another. Who has a place, where more senders
//! want to be than there are, is `contest`'s text; what all of them together may have us hold is `budget`'s; which of the tracks
//! that are told of are received, `choice`'s.
//!
//! A datagram costs the same however many senders there are: only the one it is of is asked what it wants. Sixteen links are
//! looked through in a row, which is nothing beside opening it.

mod begins;
mod budget;
mod choice;
mod contest;
mod inbound;
mod ways;

use self::contest::{Waiter, Waiting};
use self::inbound::{AcrossSenders, Described, Feedback, Inbound, REPORT, Reception, Wants};
use self::ways::Ways;
use super::endpoint::{Endpoint, Incoming};
use super::events::{Config, Event, MOST_SENDERS};
use super::link::LinkId;
use super::path::{Control, Path};
use super::stats::{Received, ReceiverStats, TrackStats};
use super::{PeerId, TrackId};
use crate::picture::mcu_set::Owed;
use crate::sound::{Numbered, Packet};
use crate::time::MediaTime;
use crate::wire::datagram::Message;
use crate::wire::record::{End, Film, OWN_TRACK, Reason, Record, Steer, Track, Want};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) struct Receiver {
    wants: Wants,
    me: [u8; 16],
    /// How many there may be at once.
    senders: usize,
    /// In the order in which they came.
    inbound: Vec<Inbound>,
    waiting: Waiting,
    across: AcrossSenders,
    /// What came of senders that are gone.
    gone: Received,
    /// Links that were left: the other half has to let go of them, too.
    left: Vec<(LinkId, Reason)>,
    /// A track that is to be received had to wait.
    owed: bool,
    /// Which tracks come directly that a meeting point forwards, too.
    ways: Ways,
}

impl Receiver {
    /// A receiver nobody has found yet.
    pub fn new(config: &Config) -> Self {
        let wants = config.me.wants;
        Receiver {
            wants: Wants {
                pictures: wants.pictures,
                sound: wants.sound,
                lossless: wants.lossless,
                packets: config.me.opus && !wants.lossless,
                leaves: config.me.offers.is_none() && !config.me.forwards,
            },
            me: config.me.id,
            senders: config.senders.clamp(1, MOST_SENDERS),
            inbound: Vec::new(),
            waiting: Waiting::default(),
            across: AcrossSenders::default(),
            gone: Received::default(),
            left: Vec::new(),
            owed: false,
            ways: Ways::default(),
        }
    }

    /// What is to be told, oldest first.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        loop {
            if let Some(event) = self.ways.poll() {
                self.count(&event);
                return Some(event);
            }
            let event = self.across.events.pop_front()?;
            self.ways.pass(now, event);
        }
    }

    /// What the application is told of counts. Not before: of two ways by which it may have come, only one is told of.
    fn count(&mut self, event: &Event) {
        match event {
            Event::Settled(track, settled) => match self.reception(*track) {
                Some(reception) => reception.told(settled),
                None => self.gone.count(settled),
            },
            Event::Sound(track, _) => self.reception(*track).into_iter().for_each(|reception| reception.told_sound(false)),
            Event::Packet { track, first: true, .. } => {
                self.reception(*track).into_iter().for_each(|reception| reception.told_sound(true));
            }
            _ => {}
        }
    }

    /// What comes of this track by way of whom it is known by.
    fn reception(&mut self, of: TrackId) -> Option<&mut Reception> {
        self.inbound.iter_mut().find(|inbound| inbound.peer == of.peer)?.reception(of.track)
    }

    /// How many have a place: those that are told of by a meeting point are there in its stead.
    fn places(&self) -> usize {
        self.inbound.iter().filter(|inbound| !inbound.direct).count()
    }

    /// A link that was left since the last call, and why.
    pub fn poll_left(&mut self) -> Option<(LinkId, Reason)> {
        self.left.pop()
    }

    /// Where the sender is whose link in use this is.
    fn place(&self, link: LinkId) -> Option<usize> {
        self.inbound.iter().position(|inbound| inbound.link() == link)
    }

    fn of_peer(&mut self, peer: PeerId) -> Option<&mut Inbound> {
        self.inbound.iter_mut().find(|inbound| inbound.peer == peer)
    }

    /// So many more pictures of a track were shown.
    pub fn shown(&mut self, track: TrackId, more: u32) {
        let track = self.ways.source(track, None);
        if let Some(reception) = self.of_peer(track.peer).and_then(|inbound| inbound.reception(track.track)) {
            reception.shown(more);
        }
    }

    /// Every picture of a track below is written.
    pub fn written(&mut self, track: TrackId, next: u64) {
        if let Some(reception) = self.of_peer(track.peer).and_then(|inbound| inbound.reception(track.track)) {
            reception.written(next);
        }
    }

    /// A picture of a track was not drawn: who sends it is told.
    pub fn missed(&mut self, now: Instant, track: TrackId, picture: u64, endpoint: &mut Endpoint) {
        let source = self.ways.source(track, Some(picture));
        let Some(place) = self.inbound.iter().position(|inbound| inbound.peer == source.peer) else { return };
        let Some(reception) = self.inbound[place].reception(source.track) else { return };
        if reception.was_missed(picture) {
            self.ask_to_refresh(source, Owed::All, endpoint);
        } else {
            self.request(now, place, endpoint);
        }
    }

    /// Who sends a track is asked to send again what is lacking of it.
    pub fn refresh(&mut self, track: TrackId, owed: Owed, endpoint: &mut Endpoint) {
        let source = self.ways.source(track, None);
        self.ask_to_refresh(source, owed, endpoint);
    }

    fn ask_to_refresh(&mut self, track: TrackId, owed: Owed, endpoint: &mut Endpoint) {
        if let Some(inbound) = self.of_peer(track.peer).filter(|inbound| inbound.receives(track.track)) {
            endpoint.send(inbound.link(), &Record::Refresh(track.track, owed));
        }
    }

    /// What is wanted of a film is said to who plays it.
    pub fn steer(&mut self, track: TrackId, steer: Steer, endpoint: &mut Endpoint) {
        if let Some(inbound) = self.of_peer(track.peer).filter(|inbound| inbound.receives(track.track)) {
            endpoint.send(inbound.link(), &Record::Steer(track.track, steer));
        }
    }

    /// What there is use for of a track is said to its sender.
    pub fn want(&mut self, track: TrackId, want: Want, endpoint: &mut Endpoint) {
        if !self.ways.want(track, want) {
            self.say_want(track, want, endpoint);
        }
    }

    fn say_want(&mut self, track: TrackId, want: Want, endpoint: &mut Endpoint) {
        if let Some(inbound) = self.of_peer(track.peer) {
            if let Some(reception) = inbound.reception(track.track) {
                reception.hears(want.sound);
            }
            endpoint.send(inbound.link(), &Record::Want(track.track, want));
        }
    }

    /// This process stood still until now.
    pub fn stood_still(&mut self, now: Instant) {
        self.inbound.iter_mut().for_each(|inbound| inbound.stood_still(now));
        self.ways.stood_still(now);
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
    fn sender_down(&mut self, now: Instant, place: usize, reason: Option<Reason>, sentence: &str, endpoint: &mut Endpoint) {
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
    fn media_came(&mut self, now: Instant, link: LinkId, endpoint: &mut Endpoint) {
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
    fn proved(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let all = self.places() >= self.senders;
        if all && self.inbound.iter().all(|inbound| inbound.direct || inbound.proof.is_proven()) {
            for link in self.waiting.take_hopeless() {
                self.turn_away(now, link, endpoint);
            }
        }
    }

    /// A datagram of so many bytes came. Whether it was of a track that is received, or of none.
    pub fn take_incoming(
        &mut self,
        now: Instant,
        link: LinkId,
        incoming: &Incoming<'_>,
        len: usize,
        endpoint: &mut Endpoint,
    ) -> bool {
        let (number, data) = match incoming {
            Incoming::Message(number, message) => {
                (*number, matches!(message, Message::Fragment(..) | Message::Piece(..) | Message::Packets(..)))
            }
            Incoming::Clock { number, .. } | Incoming::Control(number) | Incoming::Probe { number, .. } => (*number, false),
        };
        if data && !self.waiting.is_empty() {
            self.media_came(now, link, endpoint);
        }
        let at_us = endpoint.epoch().media_time(now).as_nanos() / 1000;
        if let Some(waiter) = self.waiting.get(link) {
            if let Incoming::Probe { lost, .. } = incoming {
                waiter.feedback.is_no_loss(now, *lost);
            }
            waiter.feedback.datagram_came(now, number, len, data);
            if let Incoming::Message(_, Message::Fragment(track, head, _)) = incoming {
                waiter.feedback.piece_came(now, (*track, head), (number, len), at_us);
            }
            return true;
        }
        let Some(place) = self.inbound.iter().position(|inbound| inbound.is_of(link)) else { return true };
        let (inbound, across) = (&mut self.inbound[place], &mut self.across);
        let mut known = true;
        if let Incoming::Message(number, message) = incoming {
            known = match message {
                Message::Packets(track, _) => inbound.reception(*track).is_some_and(|reception| reception.takes_packets()),
                message => !data || message.track().is_none_or(|track| inbound.reception(track).is_some()),
            };
            if inbound.message(now, (link, *number), message, (len, at_us), across) {
                self.proved(now, endpoint);
            }
        } else if inbound.link() == link {
            if let Incoming::Probe { lost, .. } = incoming {
                inbound.is_no_loss(now, *lost);
            }
            inbound.datagram_came(now, number, len, false);
            if let Incoming::Clock { asked, received, replied, .. } = incoming {
                inbound.clock_came(now, *asked, *received, *replied, across);
            }
        }
        self.request(now, place, endpoint);
        known
    }

    /// What is missing of this sender is asked for.
    fn request(&mut self, now: Instant, place: usize, endpoint: &mut Endpoint) {
        let Some(inbound) = self.inbound.get_mut(place) else { return };
        let rtt = endpoint.path(inbound.link()).map(|path| path.rtt()).unwrap_or_default();
        let link = inbound.link();
        for control in inbound.requests(now, rtt) {
            endpoint.control(link, control);
        }
    }

    /// Looks whether what is forwarded comes directly, and says so to those who send it.
    pub fn look_at_ways(&mut self, now: Instant, endpoint: &mut Endpoint) {
        for place in (0..self.inbound.len()).filter(|place| self.inbound[*place].direct) {
            let (guest, peer) = (self.inbound[place].process, self.inbound[place].peer);
            let point = endpoint.introduced_by(self.inbound[place].link());
            let forwards = |inbound: &Inbound| inbound.forwards_of(&guest).filter(|_| Some(inbound.process) == point);
            let told = self.inbound.iter().find_map(forwards);
            self.ways.is_forwarded_as(now, peer, told);
        }
        let Receiver { ways, inbound, .. } = self;
        let path = |peer| {
            let link = endpoint.link(inbound.iter().find(|inbound| inbound.peer == peer)?.link())?;
            Some((link.path.as_ref()?, link.liveness.socket().is_some()))
        };
        ways.tend(now, path);
        for said in self.ways.take_said() {
            self.say_want(said.track, said.want, endpoint);
        }
    }

    /// Asks for all of what is received anew, and finishes streams that have ended. A film, or what a file is written of, is over
    /// with it; a live sender whom somebody only watches is left, and the next one may come.
    pub fn finish_ends(&mut self, now: Instant, endpoint: &mut Endpoint) {
        for track in std::mem::take(&mut self.across.anew) {
            self.refresh(track, Owed::All, endpoint);
        }
        // Who takes the place of one that is left has not ended.
        for place in (0..self.inbound.len()).rev() {
            let inbound = &mut self.inbound[place];
            if inbound.finish_ends(now, false, &mut self.across) && inbound.is_watched() {
                let link = inbound.link();
                endpoint.part(now, link, Reason::Quit, "");
                self.left.push((link, Reason::Quit));
                self.sender_down(now, place, Some(Reason::Quit), "its stream is over", endpoint);
            }
        }
    }

    /// A sender tells of a track. Whether it may: who does not forward has its own alone, and that is its own whatever it says.
    pub fn take_track(&mut self, now: Instant, link: LinkId, mut track: Track, endpoint: &Endpoint) -> bool {
        let Some(hello) = endpoint.hello(link) else { return true };
        if track.number == OWN_TRACK {
            track.origin = hello.id;
        } else if !hello.forwards() {
            return false;
        }
        if let Some(waiter) = self.waiting.get(link) {
            waiter.described.told(track);
        } else if let Some(place) = self.place(link) {
            let (inbound, number, over) = (&mut self.inbound[place], track.number, track.media.is_none());
            if inbound.told(track, &mut self.across) {
                if number == OWN_TRACK {
                    inbound.has_own = !over;
                }
                self.choose_tracks(now);
            }
        }
        true
    }

    /// A sender says where its film is. Whether it plays one.
    pub fn take_film(&mut self, link: LinkId, (track, film): (u8, Film), endpoint: &Endpoint) -> bool {
        if track != OWN_TRACK || !endpoint.hello(link).is_some_and(|hello| hello.offers.lossless) {
            return false;
        }
        if let Some(waiter) = self.waiting.get(link) {
            waiter.described.film = Some(film);
        } else if let Some(place) = self.place(link) {
            self.inbound[place].film_told(film, &mut self.across);
        }
        true
    }

    /// A block of sound came over TCP. Whether its track is received, or no sound is wanted.
    pub fn take_block(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        sound: Numbered<MediaTime>,
        endpoint: &mut Endpoint,
    ) -> bool {
        self.take_sound(now, (link, track), endpoint, |inbound, across| inbound.block_came(now, track, sound, across))
    }

    /// The same as an Opus packet. Whether it may be one, too.
    pub fn take_packet(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        sound: Numbered<MediaTime, Packet>,
        endpoint: &mut Endpoint,
    ) -> bool {
        let may = |inbound: &mut Inbound| inbound.reception(track).is_none_or(|reception| reception.takes_packets());
        if self.wants.sound && self.place(link).is_some_and(|place| !may(&mut self.inbound[place])) {
            return false;
        }
        self.take_sound(now, (link, track), endpoint, |inbound, across| inbound.packet_came(now, track, sound, across))
    }

    /// Sound `came` to its sender's half, which says whether it proves that it sends.
    fn take_sound(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        endpoint: &mut Endpoint,
        came: impl FnOnce(&mut Inbound, &mut AcrossSenders) -> bool,
    ) -> bool {
        if !self.wants.sound {
            return true;
        }
        self.media_came(now, link, endpoint);
        let Some(place) = self.place(link) else { return true };
        let inbound = &mut self.inbound[place];
        let known = inbound.reception(track).is_some();
        if came(inbound, &mut self.across) {
            self.proved(now, endpoint);
        }
        known
    }

    /// A sender says how much there is of a track in all.
    pub fn take_end(&mut self, now: Instant, link: LinkId, track: u8, end: End) {
        if let Some(place) = self.place(link) {
            self.inbound[place].end_said(now, track, end);
        }
    }

    /// All that time alone brings.
    pub fn tend(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let at_us = endpoint.epoch().media_time(now).as_nanos() / 1000;
        let mut changed = false;
        for place in 0..self.inbound.len() {
            self.inbound[place].settle(now, &mut self.across);
            self.request(now, place, endpoint);
            let inbound = &mut self.inbound[place];
            let report = inbound.report(now, at_us);
            let reported = report.is_some();
            if let Some(report) = report {
                endpoint.control(inbound.link(), report);
            }
            let path = endpoint.path(inbound.link()).map(|path| &*path);
            let was_quiet = inbound.is_quiet();
            inbound.watch(now, path, reported && !inbound.direct, &mut self.across);
            changed |= inbound.forget_untold(now) || inbound.is_quiet() != was_quiet;
        }
        for waiter in self.waiting.staying().filter(|waiter| now >= waiter.next_report) {
            waiter.next_report = now + REPORT;
            waiter.feedback.settle(now);
            let report = waiter.feedback.report(at_us, std::iter::empty());
            endpoint.control(waiter.feedback.link, Control::Report(Box::new(report)));
        }
        if changed || self.owed {
            self.choose_tracks(now);
        }
    }

    /// What was counted so far.
    pub fn stats(&self, endpoint: &mut Endpoint) -> ReceiverStats {
        let mut stats = ReceiverStats { total: self.gone, ..ReceiverStats::default() };
        // What comes directly is counted with what is forwarded of the same track.
        for inbound in self.inbound.iter().filter(|inbound| !inbound.direct).chain(self.inbound.iter().filter(|of| of.direct)) {
            let rtt = endpoint.path(inbound.link()).map_or(Duration::ZERO, |path| path.rtt().smoothed);
            stats.total += &inbound.received_in_all();
            let quiet = inbound.is_quiet();
            for (track, received, form) in inbound.received() {
                let Some((told, direct)) = self.ways.told(inbound.peer) else {
                    if !inbound.direct {
                        stats.tracks.push(TrackStats { track, received, rtt, quiet, form });
                    }
                    continue;
                };
                let Some(of) = stats.tracks.iter_mut().find(|of| of.track == told) else { continue };
                of.received += &received;
                if direct {
                    (of.rtt, of.quiet, of.form) = (rtt, quiet, form);
                }
            }
        }
        stats
    }

    /// When something is to be done although nothing comes.
    pub fn deadline(&self, now: Instant, endpoint: &mut Endpoint) -> Option<Instant> {
        let of = |inbound: &Inbound| {
            let path: Option<&Path> = endpoint.path(inbound.link()).map(|path| &*path);
            inbound.deadline(now, path.map(Path::rtt).unwrap_or_default(), path.and_then(Path::heard))
        };
        let senders = self.inbound.iter().filter_map(of).chain(self.waiting.next_report()).min();
        let path = |peer| {
            let link = self.inbound.iter().find(|inbound| inbound.peer == peer)?.link();
            endpoint.link(link)?.path.as_ref()
        };
        senders.into_iter().chain(self.ways.deadline(path)).min()
    }

    /// Everybody is left.
    pub fn stop(&mut self) {
        self.inbound.clear();
        (self.waiting, self.across.budget) = Default::default();
    }
}

fn address(endpoint: &Endpoint, link: LinkId) -> SocketAddr {
    endpoint.link(link).map_or(SocketAddr::from(([0; 4], 0)), |link| link.remote)
}
