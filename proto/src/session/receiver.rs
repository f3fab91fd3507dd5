//! The receiving half of a session: what every sender sends is put together, what is missing is asked for.
//!
//! All state of one sender is in an [`Inbound`], and goes with it; none hears of another. How they come and go is `peers`' text;
//! who has a place, where more want one than there are, `contest`'s; what all of them together may have us hold, `budget`'s; which of
//! the tracks that are told of are received, `choice`'s; by which way each comes, `ways`'; what their senders are told, `wanted`'s.
//!
//! A datagram costs the same however many senders there are: only the one it is of is asked what it wants. Sixteen links are
//! looked through in a row, which is nothing beside opening it.

mod begins;
mod budget;
mod choice;
mod contest;
mod counts;
mod inbound;
mod peers;
mod sound;
mod wanted;
mod ways;

use self::contest::Waiting;
use self::inbound::{AcrossSenders, Inbound, REPORT, Reception, Wants};
use self::ways::Ways;
use super::endpoint::{Endpoint, Incoming};
use super::events::{Config, Event, MOST_SENDERS};
use super::link::LinkId;
use super::path::{Control, Path};
use super::stats::Received;
use super::{PeerId, TrackId};
use crate::picture::mcu_set::Owed;
use crate::wire::datagram::Message;
use crate::wire::record::{End, Film, OWN_TRACK, Reason, Track};
use std::net::SocketAddr;
use std::time::Instant;

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

    /// What comes of this track by way of whom it is known by.
    fn reception(&mut self, of: TrackId) -> Option<&mut Reception> {
        self.inbound.iter_mut().find(|inbound| inbound.peer == of.peer)?.reception(of.track)
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

    /// This process stood still until now.
    pub fn stood_still(&mut self, now: Instant) {
        self.inbound.iter_mut().for_each(|inbound| inbound.stood_still(now));
        self.ways.stood_still(now);
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
