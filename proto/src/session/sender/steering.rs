//! A film and those who watch it: where it is, is said to each of them; what its only viewer wants of it, to the application.
//!
//! Who has it for himself may steer it. Where others watch too nobody may, for it would stand still, or jump, for all of them; and
//! who forwards it has others behind him. A film that one has paused goes on when he leaves, or another comes: nobody else could
//! let it go on.
//!
//! A jump costs the application a decoder that is started anew, so it is told of what is wanted every [`LEAST`] at most: what is
//! wanted meanwhile is joined, and the newest counts. Whoever wants it must be alone still when it is told.

use super::target::is_gone;
use super::{Event, LinksAndEvents, Sender};
use crate::session::PeerId;
use crate::session::link::LinkId;
use crate::wire::record::{Film, OWN_TRACK, Record, Steer};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two times that the application is told: four jumps a second are more than anybody watches.
const LEAST: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Steering {
    /// Where our film is; `None` where we play none, or it cannot be steered.
    film: Option<Film>,
    /// What each peer was told of it.
    told: BTreeMap<LinkId, Film>,
    /// What is wanted, and by whom, that the application was not told of yet.
    wanted: Option<(PeerId, Steer)>,
    /// When it may be told.
    next: Option<Instant>,
    /// Who has paused it.
    paused_by: Option<PeerId>,
}

impl Steering {
    /// When the application is to be told.
    pub fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| self.wanted.is_some())
    }
}

impl Sender {
    /// Our film is there now; `jumped`: all that was sent of it before is of another place.
    pub fn set_film(&mut self, now: Instant, film: Film, jumped: bool, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.tracks.first_mut().filter(|own| own.number() == OWN_TRACK && own.lossless) else { return };
        let (mut first, mut first_block) = self.steering.film.map_or((0, 0), |before| (before.first, before.first_block));
        if jumped {
            (first, first_block) = (own.pictures, own.sound.end());
            own.log.clear();
            own.sound.clear();
        }
        self.steering.film = Some(Film { first, first_block, ..film });
        self.tell_film(now, shared);
    }

    /// A peer wants something of a film. Whether it is of a track that we have.
    pub fn handle_steer(
        &mut self,
        now: Instant,
        link: LinkId,
        (track, steer): (u8, Steer),
        shared: &mut LinksAndEvents<'_>,
    ) -> bool {
        if track != OWN_TRACK || self.own().is_none() {
            return false;
        }
        let Some(peer) = self.peers.get(&link).map(|peer| peer.id) else { return true };
        if !self.ending.is_open() || !self.film_for(now, link, shared).is_some_and(|film| film.steered) {
            // It is told once more that it may not, with the next second.
            self.steering.told.remove(&link);
            return true;
        }
        // What another wanted, who is gone since, is nothing to him.
        let before = self.steering.wanted.filter(|(by, _)| *by == peer).map_or(Steer::default(), |(_, before)| before);
        self.steering.wanted = Some((peer, before.then(steer)));
        self.update_steering(now, shared);
        true
    }

    /// The application is told what is wanted, where it may be by now, and if whoever wants it still may: another may have come
    /// meanwhile, or the film be over.
    pub fn update_steering(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        if self.steering.next.is_some_and(|next| now < next) {
            return;
        }
        let Some((peer, steer)) = self.steering.wanted.take() else { return };
        let link = self.peers.iter().find(|(_, known)| known.id == peer).map(|(link, _)| *link);
        if !link.and_then(|link| self.film_for(now, link, shared)).is_some_and(|film| film.steered) {
            return;
        }
        self.steering.next = Some(now + LEAST);
        if let Some(paused) = steer.paused {
            self.steering.paused_by = paused.then_some(peer);
        }
        shared.events.push_back(Event::Steer(steer));
    }

    /// Those who watch have changed, or may have: who is silent for long is gone.
    pub fn update_viewers(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        if self.steering.film.is_none() {
            return;
        }
        if let Some(by) = self.steering.paused_by {
            let left = !self.peers.values().any(|peer| peer.id == by);
            let another = self.peers.iter().any(|(link, peer)| peer.id != by && !is_gone(now, *link, shared));
            if left || another {
                self.steering.paused_by = None;
                self.steering.wanted = None;
                shared.events.push_back(Event::Steer(Steer { paused: Some(false), to: None }));
            }
        }
        self.tell_film(now, shared);
    }

    fn tell_film(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let links: Vec<LinkId> = self.peers.keys().copied().collect();
        self.steering.told.retain(|link, _| links.contains(link));
        for link in links {
            if let Some(film) = self.film_for(now, link, shared)
                && self.steering.told.insert(link, film) != Some(film)
            {
                shared.endpoint.send(link, &Record::Film(OWN_TRACK, film));
            }
        }
    }

    /// What a peer is told of our film.
    fn film_for(&self, now: Instant, link: LinkId, shared: &LinksAndEvents<'_>) -> Option<Film> {
        let film = self.steering.film?;
        let others = self.peers.keys().filter(|other| **other != link && !is_gone(now, **other, shared)).count();
        let forwards = shared.endpoint.hello(link).is_some_and(|hello| hello.forwards());
        let others = u16::try_from(others).unwrap_or(u16::MAX);
        Some(Film { steered: others == 0 && !forwards && self.ending.is_open(), others, ..film })
    }
}
