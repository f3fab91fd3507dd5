//! Peers come, come back and go: what each is subscribed to, and where it begins.

use super::{Event, LinksAndEvents, Sender};
use crate::media::packetizer::Cursor;
use crate::session::PeerId;
use crate::session::flow::Flow;
use crate::session::link::LinkId;
use crate::session::peer::{Peer, Subscription};
use crate::session::repairs::Repairs;
use crate::session::stats::PeerStats;
use crate::wire::record::{Format, Reason, Record, Track, Want};
use std::net::SocketAddr;
use std::time::Instant;

impl Sender {
    /// A peer that wants something said hello over `link`, which replaces an earlier one of its.
    pub fn peer_up(
        &mut self,
        now: Instant,
        (link, id): (LinkId, PeerId),
        replaces: Option<LinkId>,
        shared: &mut LinksAndEvents<'_>,
    ) {
        let Some(hello) = shared.endpoint.hello(link) else { return };
        let (name, wants, process, knows_opus) = (hello.name.clone(), hello.wants, hello.id, hello.knows_opus());
        let direct = shared.endpoint.is_direct(link);
        let sends = !hello.offers.is_none() || hello.forwards();
        let address = shared.endpoint.link(link).map(|link| link.remote).unwrap_or(SocketAddr::from(([0; 4], 0)));
        let earlier = replaces.and_then(|old| self.peers.remove(&old));
        let again = earlier.is_some();
        let stats = PeerStats { name: name.clone(), address: address.to_string(), ..PeerStats::default() };
        let (mut earlier, repairs) = match earlier {
            Some(Peer { subscriptions, repairs, .. }) => (subscriptions, repairs),
            None => (Vec::new(), Repairs::new(now, self.is_patient())),
        };
        let mut peer = Peer::new(id, (process, wants, knows_opus), stats, (Flow::new(now, self.cap), repairs));
        peer.direct = direct;
        for track in &self.tracks {
            if !peer.is_for(track) {
                continue;
            }
            let place = earlier.iter().position(|earlier| earlier.track() == track.number());
            let earlier = place.map(|place| earlier.swap_remove(place));
            let (cursor, sound) = match (&earlier, track.lossless) {
                // What was on its way when the connection broke cannot be asked for under the new packet numbers.
                (Some(earlier), true) => (track.log.picture(earlier.report.settled), track.sound.first()),
                (None, true) if self.stats.peers_seen == 0 => {
                    (track.log.clamp(Cursor { slice: 0, fragment: 0 }), track.sound.first())
                }
                (_, false) | (None, true) => track.newest(),
            };
            let first = track.log.slice(cursor.slice).map_or(track.pictures, |slice| slice.picture);
            let settled = earlier.as_ref().map_or(first, |earlier| earlier.report.settled);
            let mut subscription = Subscription::new(now, track.number(), (cursor, sound), settled);
            subscription.want = earlier.as_ref().and_then(|earlier| earlier.want);
            if direct && earlier.is_none() {
                // It comes by way of the meeting point until it asks us.
                subscription.want = Some(Want::NOTHING);
            }
            subscription.writes = wants.lossless;
            if let Some(earlier) = earlier.filter(|_| track.is_partial()) {
                subscription.resume(earlier, &track.log);
            }
            peer.subscriptions.push(subscription);
            peer.passes_on(track.number());
            let format = Format { first, ..track.track.format };
            shared.endpoint.send(link, &Record::Track(Track { format, ..track.track.clone() }));
        }
        self.stats.peers_seen += 1;
        self.owes_anew = true;
        self.peers.insert(link, peer);
        self.update_target(now, shared);
        self.update_wanted(now, shared);
        self.update_form(now, link, shared);
        replaces.into_iter().for_each(|old| self.update_form(now, old, shared));
        let host = shared.endpoint.host(link);
        if !direct {
            shared.events.push_back(Event::PeerUp { peer: id, name, address, host, again, sends });
        }
        self.update_viewers(now, shared);
    }

    /// Datagrams go to a peer and back.
    pub fn path_up(&mut self, now: Instant, link: LinkId, shared: &mut LinksAndEvents<'_>) {
        self.owes_anew = true;
        let Some(peer) = self.peers.get_mut(&link) else { return };
        let first = !std::mem::replace(&mut peer.validated, true);
        for track in self.tracks.iter().filter(|track| first && !track.lossless) {
            if let Some(subscription) = peer.subscription(track.number()) {
                subscription.begin_at(track.newest().0);
            }
        }
        if let Some(path) = shared.endpoint.path(link).filter(|_| peer.wants.pictures) {
            path.search(now);
        }
    }

    /// A peer is gone.
    pub fn peer_down(
        &mut self,
        now: Instant,
        (link, reason): (LinkId, Option<Reason>),
        sentence: &str,
        shared: &mut LinksAndEvents<'_>,
    ) {
        let Some(peer) = self.peers.remove(&link) else { return };
        self.owes_anew = true;
        let complete = peer.subscriptions.iter().any(|subscription| subscription.end_sent);
        let (name, sentence) = (peer.stats.name, sentence.to_string());
        if !peer.direct {
            shared.events.push_back(Event::PeerDown { peer: peer.id, name, reason, sentence, complete });
        }
        self.update_wanted(now, shared);
        self.update_form(now, link, shared);
        self.update_viewers(now, shared);
    }
}
