//! The sending half of a session: its tracks, each with one log for all peers, and the peers that are subscribed to them.
//!
//! Live, the newest picture wins: a peer whose cursor fell behind jumps to the newest picture, and loses what is between.
//! Lossless (a film), nothing is skipped: what is sent is kept until every responsive peer has settled it, and
//! [`Event::Pressure`] holds the film's reader back meanwhile. One peer never slows another: each has its own cursors, and a
//! silent one stops counting.
//!
//! Our own camera and microphone are the track [`OWN_TRACK`]; what is forwarded is added by `forward.rs`. A peer is subscribed to
//! every track but those of its own process.

mod crowded;
mod film;
mod form;
mod owed;
mod peers;
mod steering;
mod target;

use self::film::Ending;
use self::steering::Steering;
pub(super) use self::target::most;
use super::endpoint::Endpoint;
use super::events::{Config, Event};
use super::link::LinkId;
use super::outbound::Outbound;
use super::peer::{Peer, Subscription};
use super::shared::LinksAndEvents;
use super::sound_form::Wish;
use super::sound_log::{Forms, Logged};
use super::stats::SenderStats;
use super::{SocketId, sound_copies, sound_log};
use crate::media::rate_control::Bitrate;
use crate::media::slice::Slice;
use crate::picture::mcu_set::Owed;
use crate::sound::{Block, Form, Packet};
use crate::time::MediaTime;
use crate::wire::datagram::{Message, Nack};
use crate::wire::record::{Format, Media, OWN_TRACK, Record, Track, Want};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

pub(super) struct Sender {
    /// Our own track first, where there is one.
    tracks: Vec<Outbound>,
    peers: BTreeMap<LinkId, Peer>,
    watched: bool,
    pressure: bool,
    cap: Option<Bitrate>,
    /// In which form our live sound is sent, by the user's wish; and to whom as packets: whether to anybody, the application is
    /// told.
    sound: Wish,
    encodes_for: BTreeSet<LinkId>,
    target: Option<Bitrate>,
    wanted: Want,
    /// What the encoder was told that is owed of our own track.
    owed: Owed,
    /// Something happened by which a receiver may be owed something else.
    owes_anew: bool,
    ending: Ending,
    steering: Steering,
    turn: Option<LinkId>,
    scratch: Vec<u8>,
    stats: SenderStats,
}

impl Sender {
    /// A sender nobody has found yet.
    pub fn new(config: &Config) -> Self {
        let me = &config.me;
        let own = (!me.offers.is_none()).then(|| {
            let (format, origin, label) = (config.format, me.id, me.name.clone());
            let track = Track { number: OWN_TRACK, media: me.offers, muted: false, closed: false, origin, label, format };
            Outbound::new(described(track), me.offers.lossless)
        });
        Sender {
            tracks: own.into_iter().collect(),
            peers: BTreeMap::new(),
            watched: false,
            pressure: false,
            cap: config.cap,
            sound: config.sound,
            encodes_for: BTreeSet::new(),
            target: None,
            wanted: Want::ALL,
            owed: Owed::Nothing,
            owes_anew: false,
            ending: Ending::Open,
            steering: Steering::default(),
            turn: None,
            scratch: Vec::new(),
            stats: SenderStats::default(),
        }
    }

    /// Our own track.
    fn own(&mut self) -> Option<&mut Outbound> {
        self.tracks.first_mut().filter(|track| track.number() == OWN_TRACK)
    }

    /// Nothing of our own may be skipped.
    fn is_patient(&self) -> bool {
        self.tracks.first().is_some_and(|track| track.lossless)
    }

    /// A slice of our own is encoded.
    pub fn push_slice(&mut self, now: Instant, slice: Slice, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.own() else { return };
        let (before, partial) = (own.pictures, own.is_partial());
        own.push_slice(slice);
        self.owes_anew |= self.tracks[0].is_partial() != partial;
        self.stats.pictures += self.tracks[0].pictures - before;
        self.stats.slices += 1;
        self.update_pressure(now, shared);
    }

    /// A slice of a track that is forwarded came.
    pub fn forward_slice(&mut self, number: u8, slice: Slice) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.number() == number) else { return };
        let partial = track.is_partial();
        track.push_slice(slice);
        self.owes_anew |= track.is_partial() != partial;
    }

    /// A block of our own was caught, and made a packet of where that was wanted.
    pub fn push_sound(&mut self, now: Instant, block: Block<MediaTime>, packet: Option<Packet>, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.own() else { return };
        let had_packets = own.sound.has_packets();
        let Block { capture, channels, samples } = block;
        let forms = Forms { samples: Some(samples), packet };
        own.sound.push(Block { capture, channels, samples: forms });
        let has_packets = own.sound.has_packets();
        self.stats.blocks += 1;
        if has_packets != had_packets {
            self.update_forms(now, shared);
        }
    }

    /// Our own track is something else from now on.
    pub fn set_format(&mut self, format: Format, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.own() else { return };
        let track = described(Track { format, ..own.track.clone() });
        self.describe(track, shared);
    }

    /// Our microphone is muted, our camera closed, or no longer.
    pub fn set_silence(&mut self, muted: bool, closed: bool, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.own() else { return };
        if closed {
            // What was caught last would be shown to the next as if it were live.
            own.log.clear();
        }
        let track = Track { muted, closed, ..own.track.clone() };
        self.describe(track, shared);
    }

    /// The live source is closed.
    pub fn closed(&mut self) {
        if let Some(own) = self.own() {
            own.log.clear();
        }
    }

    /// A track is there, or is something else from now on. A new one is sent to all whose process it is not of.
    pub fn add(&mut self, now: Instant, track: Track, shared: &mut LinksAndEvents<'_>) {
        if self.tracks.iter().any(|known| known.number() == track.number) {
            return self.describe(track, shared);
        }
        let number = track.number;
        let mut outbound = Outbound::new(track, false);
        outbound.pictures = outbound.track.format.first;
        for (link, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_for(&outbound)) {
            let mut subscription = Subscription::new(now, number, outbound.newest(), 0);
            subscription.writes = peer.wants.lossless;
            peer.subscriptions.push(subscription);
            peer.passes_on(number);
            shared.endpoint.send(*link, &Record::Track(outbound.track.clone()));
        }
        self.tracks.push(outbound);
    }

    fn describe(&mut self, track: Track, shared: &mut LinksAndEvents<'_>) {
        let Some(outbound) = self.tracks.iter_mut().find(|known| known.number() == track.number) else { return };
        let first = outbound.pictures;
        outbound.track = track;
        let track = Record::Track(Track { format: Format { first, ..outbound.track.format }, ..outbound.track.clone() });
        for (link, _) in self.peers.iter().filter(|(_, peer)| peer.is_for(outbound)) {
            shared.endpoint.send(*link, &track);
        }
    }

    /// A track that was forwarded is over: who had it is told.
    pub fn remove(&mut self, number: u8, shared: &mut LinksAndEvents<'_>) {
        let Some(place) = self.tracks.iter().position(|track| track.number() == number) else { return };
        let track = self.tracks.remove(place).track;
        let over = Record::Track(Track { media: Media::NONE, format: Format::default(), ..track });
        for (link, peer) in &mut self.peers {
            if peer.subscription(number).is_some() {
                peer.unsubscribe(number);
                shared.endpoint.send(*link, &over);
            }
        }
    }

    /// A track that is forwarded.
    pub fn track(&mut self, number: u8) -> Option<&mut Outbound> {
        self.tracks.iter_mut().find(|track| track.number() == number)
    }

    /// A line that somebody wrote goes to all who want anything, but those it comes from.
    pub fn say(&self, text: &Record, from: Option<LinkId>, origin: [u8; 16], shared: &mut LinksAndEvents<'_>) {
        let hears = |peer: &Peer| !peer.direct && peer.process != origin;
        for (link, _) in self.peers.iter().filter(|(link, peer)| Some(**link) != from && hears(peer)) {
            shared.endpoint.send(*link, text);
        }
    }

    /// Whether anybody watches.
    pub fn update_watched(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let endpoint = &mut *shared.endpoint;
        let watched =
            self.peers.iter().any(|(id, peer)| peer.validated && endpoint.path(*id).is_some_and(|path| !path.is_quiet(now)));
        if watched != self.watched {
            self.watched = watched;
            shared.events.push_back(Event::Watched(watched));
        }
    }

    /// A datagram of a receiver's. Whether it was of a track that we have.
    pub fn handle_message(&mut self, now: Instant, link: LinkId, message: &Message<'_>, shared: &mut LinksAndEvents<'_>) -> bool {
        match message {
            Message::Report(report) => {
                let Some(peer) = self.peers.get_mut(&link) else { return true };
                if report.highest >= peer.report.highest {
                    let epoch = shared.endpoint.epoch();
                    if let Some(path) = shared.endpoint.path(link)
                        && peer.handle_report(now, report, &epoch, &self.tracks, path)
                    {
                        self.ending.goes_on(now);
                    }
                }
                self.owes_anew |= self.peers.get_mut(&link).is_some_and(Peer::owes_anew);
                self.update_pressure(now, shared);
                self.update_form(now, link, shared);
                self.update_target(now, shared);
            }
            Message::Nack(nack) => self.handle_nack(now, link, nack, shared),
            Message::SoundRequest(track, wanted) => {
                let Some(sound) = self.tracks.iter().find(|known| known.number() == *track).map(|known| &known.sound) else {
                    return false;
                };
                if let Some(subscription) = self.peers.get_mut(&link).and_then(|peer| peer.subscription(*track)) {
                    subscription.copies.handle_wanted(now, *wanted, sound);
                }
            }
            Message::Misses(track, misses) => return self.handle_misses(link, (*track, *misses)),
            // Media is the receiving half's; the rest is the path's.
            _ => {}
        }
        true
    }

    fn handle_nack(&mut self, now: Instant, link: LinkId, nack: &Nack, shared: &mut LinksAndEvents<'_>) {
        let Some(path) = shared.endpoint.path(link) else { return };
        let rtt = path.rtt().smoothed;
        let Some((_, size)) = path.carries(now) else { return };
        let horizon = shared.endpoint.epoch().media_time(now).saturating_sub(Duration::from_millis(u64::from(nack.patience_ms)));
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.handle_nack(now, nack, (rtt, size), horizon, &self.tracks);
        }
    }

    /// What a receiver has use for. Whether it is of a track that we have.
    pub fn handle_want(
        &mut self,
        now: Instant,
        link: LinkId,
        (track, want): (u8, Want),
        shared: &mut LinksAndEvents<'_>,
    ) -> bool {
        let Some(subscription) = self.peers.get_mut(&link).and_then(|peer| peer.subscription(track)) else { return false };
        subscription.want = Some(want);
        self.owes_anew = true;
        self.update_wanted(now, shared);
        match track {
            OWN_TRACK => self.update_form(now, link, shared),
            track => self.peers.get_mut(&link).into_iter().for_each(|peer| peer.passes_on(track)),
        }
        true
    }

    /// One run of datagrams for the next peer in turn that wants any.
    fn poll_media(&mut self, now: Instant, endpoint: &mut Endpoint, buffer: &mut Vec<u8>) -> Option<(SocketAddr, usize)> {
        loop {
            let (id, (to, size)) = self.next_in_turn(now, endpoint)?;
            self.turn = Some(id);
            let (Some(peer), Some(path)) = (self.peers.get_mut(&id), endpoint.path(id)) else { return None };
            let before = peer.place();
            let segment = peer.fill(now, &mut self.tracks, (path, size), buffer);
            let moved = peer.place() > before;
            self.owes_anew |= peer.owes_anew();
            // Nothing comes of a peer whose fragments to repeat have left the log; then it wants nothing any more.
            if segment > 0 {
                if moved {
                    self.ending.goes_on(now);
                }
                return Some((to, segment));
            }
        }
    }

    /// The next peer after the last one served that has something to be sent, where it is, and the longest datagram for it.
    fn next_in_turn(&self, now: Instant, endpoint: &Endpoint) -> Option<(LinkId, (SocketAddr, usize))> {
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.turn.map_or(Bound::Excluded(LinkId(0)), Bound::Included);
        let in_turn = self.peers.range((after, Bound::Unbounded)).chain(self.peers.range((Bound::Unbounded, until)));
        let mut wanting =
            in_turn.filter(|(_, peer)| peer.wants_pictures(&self.tracks) && peer.holds(now, &self.tracks).is_none());
        wanting.find_map(|(id, _)| Some((*id, endpoint.link(*id)?.path.as_ref()?.carries(now)?)))
    }

    /// Sound for the next peer whose TCP connection takes any.
    pub fn poll_sound(&mut self, now: Instant, endpoint: &mut Endpoint, buffer: &mut Vec<u8>) -> Option<SocketId> {
        let media = endpoint.epoch().media_time(now);
        for (id, peer) in &mut self.peers {
            let (queue, speed) = (peer.flow.queue(now), peer.flow.known().0.map(Bitrate::bytes));
            let rate = peer.sound_rate(&self.tracks);
            for track in &self.tracks {
                let Some(place) = peer.subscriptions.iter().position(|known| known.track() == track.number()) else { continue };
                if peer.direct {
                    peer.subscriptions[place].sound = track.sound.end();
                    continue;
                }
                if !peer.skip_gone_sound(place, &track.sound) {
                    continue;
                }
                let stale = media.saturating_sub(sound_log::stale_behind(queue));
                let rtt = endpoint.path(*id).map_or(Duration::ZERO, |path| path.rtt().smoothed);
                // TCP takes nothing of a peer that stands still, either: its buffers are full.
                let steady = endpoint.path(*id).is_some_and(|path| path.is_steady(now));
                let Some((socket, link)) = endpoint.writable(*id) else {
                    let subscription = &mut peer.subscriptions[place];
                    let waiting = track.sound.block(subscription.sound);
                    let late = |block: &Logged| media.saturating_since(block.capture) > sound_copies::BEHIND;
                    if steady && !track.lossless && waiting.is_some_and(late) {
                        subscription.copies.tcp_is_behind(now, subscription.sound, &track.sound);
                    }
                    continue;
                };
                let speed = speed.filter(|_| !track.lossless);
                let hold = match self.ending.is_open() {
                    false => Duration::ZERO,
                    true => peer.subscriptions[place].copies.hold(now, rtt, (speed, rate)),
                };
                let until = film::sound_until(peer, place, track).min(media.saturating_sub(hold));
                peer.fill_stream(place, (stale, until), &track.sound, link, &mut self.scratch, buffer);
                if !buffer.is_empty() {
                    self.ending.goes_on(now);
                    return Some(socket);
                }
            }
        }
        None
    }

    /// Copies of sound for a peer that wants them.
    fn poll_copies(&mut self, now: Instant, endpoint: &mut Endpoint, buffer: &mut Vec<u8>) -> Option<(SocketAddr, usize)> {
        let media = endpoint.epoch().media_time(now);
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.wants.sound) {
            let rate = peer.sound_rate(&self.tracks);
            for track in &self.tracks {
                let Some(place) = peer.subscriptions.iter().position(|known| known.track() == track.number()) else { continue };
                let subscription = &mut peer.subscriptions[place];
                if peer.direct && subscription.hears() {
                    subscription.copies.carry_all(now, &track.sound);
                }
                if !subscription.copies.is_on(now) || !subscription.hears() {
                    continue;
                }
                if let Some(speed) = peer.flow.known().0 {
                    peer.subscriptions[place].copies.keep_below(speed.bytes(), rate);
                }
                let Some(path) = endpoint.path(*id) else { continue };
                let Some(to) = path.usable(now) else {
                    if !track.lossless {
                        peer.subscriptions[place].copies.skip_to(track.sound.end());
                    }
                    continue;
                };
                let stale = sound_log::stale_behind(peer.flow.queue(now));
                let stale = if track.lossless { MediaTime::ZERO } else { media.saturating_sub(stale) };
                let until = film::sound_until(peer, place, track);
                let Subscription { copies, form, .. } = &mut peer.subscriptions[place];
                let segment = copies.fill(now, (stale, until), (&track.sound, form), path, buffer);
                if let Some(pieces) = buffer.len().checked_div(segment) {
                    let fresh = (buffer.len() as f64 * copies.fresh_share()) as usize;
                    peer.copied(now, (pieces, buffer.len()), fresh, rate);
                    return Some((to, segment));
                }
            }
        }
        None
    }

    /// The next datagrams: copies of sound, or pieces of pictures.
    pub fn poll_datagrams(&mut self, now: Instant, endpoint: &mut Endpoint, buffer: &mut Vec<u8>) -> Option<(SocketAddr, usize)> {
        self.poll_copies(now, endpoint, buffer).or_else(|| self.poll_media(now, endpoint, buffer))
    }

    /// What was counted so far.
    pub fn take_stats(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) -> SenderStats {
        // Who is silent now is made no pictures for.
        self.update_wanted(now, shared);
        self.update_viewers(now, shared);
        self.update_forms(now, shared);
        self.owes_anew = true;
        let own = self.tracks.first().filter(|own| own.number() == OWN_TRACK && own.track.media.sound);
        let forms: BTreeMap<LinkId, Form> =
            own.map(|own| self.peers.iter().filter_map(|(id, peer)| Some((*id, peer.form(own)?))).collect()).unwrap_or_default();
        let mut stats = self.stats.clone();
        stats.log_bytes = self.tracks.iter().map(|track| track.log.bytes() as u64).sum();
        for (id, peer) in &mut self.peers {
            let mut one = peer.stats.clone();
            if let Some(path) = shared.endpoint.path(*id) {
                one.rtt = path.rtt().smoothed;
                one.quiet = path.is_quiet(now);
                if one.quiet {
                    peer.forget();
                }
                one.path_mtu = path.size().unwrap_or(0) as u64;
                one.measured = path.measured();
                if !peer.direct && path.is_too_narrow() != peer.too_narrow {
                    peer.too_narrow = path.is_too_narrow();
                    let (name, address) = (one.name.clone(), path.address().unwrap_or(SocketAddr::from(([0; 4], 0))));
                    shared.events.push_back(Event::Narrow { name, address, narrow: peer.too_narrow });
                }
                one.address = path.address().map_or(one.address, |address| address.to_string());
            }
            one.form = forms.get(id).copied();
            one.report = peer.report;
            one.track = peer.subscription(OWN_TRACK).map(|own| own.report).unwrap_or_default();
            (one.capacity, one.queue) = peer.flow.known();
            stats.peers.push(one);
        }
        stats
    }

    /// When something is to be done although nothing comes.
    pub fn deadline(&self, now: Instant, endpoint: &Endpoint) -> Option<Instant> {
        let usable =
            |id: &LinkId| endpoint.link(*id).is_some_and(|link| link.path.as_ref().is_some_and(|p| p.carries(now).is_some()));
        let held = self.peers.iter().filter(|(id, peer)| peer.wants_pictures(&self.tracks) && usable(id));
        let held = held.filter_map(|(_, peer)| peer.holds(now, &self.tracks)).min();
        self.ending.deadline().into_iter().chain(self.steering.deadline()).chain(held).min()
    }

    /// Everybody is left.
    pub fn stop(&mut self) {
        self.peers.clear();
    }
}

/// A track whose sound is what its format says.
fn described(track: Track) -> Track {
    Track { media: Media { sound: track.format.channels > 0, ..track.media }, ..track }
}
