//! What senders are told of their tracks: what became of pictures, and what is wanted. It is told to whom the track comes from now:
//! the meeting point, the guest himself, or both (`ways`).

use super::Receiver;
use super::inbound::Inbound;
use crate::picture::mcu_set::Owed;
use crate::session::TrackId;
use crate::session::endpoint::Endpoint;
use crate::wire::record::{Record, Steer, Want};
use std::time::Instant;

impl Receiver {
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
}
