//! The sending side: one log of slices and one of sound for all peers, and a cursor into each for every peer.
//!
//! Live, the newest picture wins: a peer whose cursor fell behind jumps to the newest picture, and loses what is between. Patient
//! (a film), nothing is skipped: what is sent is kept until every responsive peer has settled it, and [`Event::Pressure`] holds the
//! film's reader back meanwhile. One peer never slows another: each has its own cursor, and a silent one stops counting.

mod events;
mod film;
mod target;

pub use super::sound_log::SoundBlock;
pub use events::{Command, Config, Event};

use super::endpoint::{self, Endpoint, Incoming, Notice};
use super::flow::Flow;
use super::link::LinkId;
use super::parity::Parity;
use super::peer::{Peer, Shared};
use super::repairs::Repairs;
use super::sound_copies;
use super::sound_log::{self, SoundLog};
use super::stats::{PeerStats, SenderStats};
use super::unreachable::DialError;
use super::{Core, HostId, Output, StreamId};
use crate::media::packetizer::{Cursor, Limits, Log, Slice};
use crate::media::rate_control::Bitrate;
use crate::time::MediaTime;
use crate::wire::datagram::{Message, Nack};
use crate::wire::record::{End, Format, Media, OWN_TRACK, Record, Track};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// See the module text.
pub struct Session {
    endpoint: Endpoint,
    patient: bool,
    format: Format,
    log: Log,
    parity: Parity,
    sound: SoundLog,
    pictures: u64,
    peers: BTreeMap<LinkId, Peer>,
    events: VecDeque<Event>,
    watched: bool,
    pressure: bool,
    cap: Option<Bitrate>,
    target: Option<Bitrate>,
    end: Option<(End, Instant)>,
    finished: bool,
    turn: Option<LinkId>,
    next_stats: Instant,
    scratch: Vec<u8>,
    stats: SenderStats,
}

const STATS_PERIOD: Duration = Duration::from_secs(1);

impl Session {
    /// A sender nobody has found yet.
    pub fn new(now: Instant, config: Config) -> Self {
        let patient = config.me.offers.lossless;
        let limits = match patient {
            // A film's log is cut by what is settled; these only bound what a vanished peer leaves behind.
            true => Limits { age: Duration::from_secs(6), bytes: 2 * film::WINDOW_BYTES },
            false => Limits { age: target::LIVE_AGE, bytes: 16 << 20 },
        };
        let epoch = config.epoch;
        let endpoint = endpoint::Config { me: config.me, hosts: config.hosts, reconnect: config.reconnect, epoch };
        Session {
            endpoint: Endpoint::new(now, endpoint),
            patient,
            format: config.format,
            log: Log::new(limits),
            parity: Parity::default(),
            sound: SoundLog::new(patient),
            pictures: 0,
            peers: BTreeMap::new(),
            events: VecDeque::new(),
            watched: false,
            pressure: false,
            cap: config.cap,
            target: None,
            end: None,
            finished: false,
            turn: None,
            next_stats: now + STATS_PERIOD,
            scratch: Vec::new(),
            stats: SenderStats::default(),
        }
    }

    fn push_slice(&mut self, slice: Slice) {
        if slice.picture >= self.pictures {
            self.pictures = slice.picture + 1;
            self.stats.pictures += 1;
        }
        self.stats.slices += 1;
        self.log.push(slice);
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some(notice) = self.endpoint.poll_notice() {
            match notice {
                Notice::Up { link, replaces } => self.peer_up(now, link, replaces),
                Notice::Path(link) => {
                    if let Some(peer) = self.peers.get_mut(&link) {
                        if !peer.validated && !self.patient {
                            peer.cursor = self.log.newest_picture();
                        }
                        peer.validated = true;
                        if let Some(path) = self.endpoint.path(link).filter(|_| peer.pictures) {
                            path.search(now);
                        }
                    }
                }
                Notice::NoUdp(_, address) => self.events.push_back(Event::NoUdp(address)),
                Notice::Down(link, reason, sentence) => {
                    if let Some(peer) = self.peers.remove(&link) {
                        let (name, complete) = (peer.stats.name, peer.end_sent);
                        self.events.push_back(Event::PeerDown { peer: link, name, reason, sentence, complete });
                    }
                }
                Notice::TurnedAway(from, sentence) => self.events.push_back(Event::TurnedAway(from, sentence)),
                Notice::Unreachable { host, error, fatal } => {
                    self.events.push_back(Event::Unreachable { host, error, fatal });
                }
            }
        }
        self.update_watched(now);
    }

    fn peer_up(&mut self, now: Instant, link: LinkId, replaces: Option<LinkId>) {
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (name, pictures, wants_sound) = (hello.name.clone(), hello.wants.pictures, hello.wants.sound);
        let address = self.endpoint.link(link).map(|link| link.remote).unwrap_or(SocketAddr::from(([0; 4], 0)));
        let earlier = replaces.and_then(|old| self.peers.remove(&old));
        let again = earlier.is_some();
        let (cursor, sound) = match (&earlier, self.patient) {
            // What was on its way when the connection broke cannot be asked for under the new packet numbers.
            (Some(earlier), true) => (self.log.picture(earlier.track.settled), self.sound.first()),
            (None, true) if self.stats.peers_seen == 0 => (self.log.clamp(Cursor { slice: 0, fragment: 0 }), self.sound.first()),
            (_, false) | (None, true) => (self.log.newest_picture(), self.sound.end()),
        };
        self.stats.peers_seen += 1;
        let first = self.log.slice(cursor.slice).map_or(self.pictures, |slice| slice.picture);
        let settled = earlier.as_ref().map_or(first, |earlier| earlier.track.settled);
        let stats = PeerStats { name: name.clone(), address: address.to_string(), ..PeerStats::default() };
        let repairs = earlier.map_or_else(|| Repairs::new(now, self.patient), |earlier| earlier.repairs);
        let flow = (Flow::new(now, self.cap), repairs);
        let peer = Peer::new(now, (cursor, sound), (pictures, wants_sound), settled, stats, flow);
        self.peers.insert(link, peer);
        self.update_target(now);
        self.endpoint.send(link, &Record::Track(self.track(first)));
        self.events.push_back(Event::PeerUp { peer: link, name, address, host: self.endpoint.host(link), again });
    }

    /// What our track is, from this picture on.
    fn track(&self, first: u64) -> Track {
        let me = self.endpoint.me();
        let (format, origin, label) = (Format { first, ..self.format }, me.id, me.name.clone());
        Track { number: OWN_TRACK, media: Media { sound: format.channels > 0, ..me.offers }, origin, label, format }
    }

    fn update_watched(&mut self, now: Instant) {
        let endpoint = &mut self.endpoint;
        let watched =
            self.peers.iter().any(|(id, peer)| peer.validated && endpoint.path(*id).is_some_and(|path| !path.is_quiet(now)));
        if watched != self.watched {
            self.watched = watched;
            self.events.push_back(Event::Watched(watched));
        }
    }

    fn handle_message(&mut self, now: Instant, link: LinkId, message: &Message<'_>) {
        let sound = self.sound_rate();
        let Some(peer) = self.peers.get_mut(&link) else { return };
        match message {
            Message::Report(report) => {
                if report.highest >= peer.report.highest {
                    let moved = report.tracks.get(OWN_TRACK).is_some_and(|told| peer.handle_track(told, self.pictures));
                    let epoch = self.endpoint.epoch();
                    if let Some(path) = self.endpoint.path(link) {
                        peer.handle_report(now, report, &epoch, (path, sound));
                    }
                    if moved {
                        self.wait_on(now);
                    }
                }
                self.update_pressure(now);
                self.update_target(now);
            }
            Message::Nack(nack) => self.handle_nack(now, link, nack),
            Message::Wanted(_, wanted) => peer.copies.handle_wanted(now, *wanted, &self.sound),
            // A sender takes no media; the rest is the path's.
            _ => {}
        }
    }

    fn handle_nack(&mut self, now: Instant, link: LinkId, nack: &Nack) {
        let Some(path) = self.endpoint.path(link) else { return };
        let rtt = path.rtt().smoothed;
        let Some((_, size)) = path.carries(now) else { return };
        let horizon = self.endpoint.epoch().media_time(now).saturating_sub(Duration::from_millis(u64::from(nack.patience_ms)));
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.handle_nack(now, nack, (rtt, size), horizon, &self.log);
        }
    }

    /// One run of datagrams for the next peer in turn that wants any.
    fn poll_media(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<(SocketAddr, usize)> {
        loop {
            let (id, (to, size)) = self.next_in_turn(now)?;
            self.turn = Some(id);
            let (Some(peer), Some(path)) = (self.peers.get_mut(&id), self.endpoint.path(id)) else { return None };
            let mut shared = Shared { log: &self.log, patient: self.patient, parity: &mut self.parity };
            let before = peer.cursor;
            let segment = peer.fill(now, &mut shared, (path, size), buffer);
            let moved = peer.cursor > before;
            // Nothing comes of a peer whose fragments to repeat have left the log; then it wants nothing any more.
            if segment > 0 {
                if moved {
                    self.wait_on(now);
                }
                return Some((to, segment));
            }
        }
    }

    /// The next peer after the last one served that has something to be sent, where it is, and the longest datagram for it.
    fn next_in_turn(&self, now: Instant) -> Option<(LinkId, (SocketAddr, usize))> {
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.turn.map_or(Bound::Excluded(LinkId(0)), Bound::Included);
        let in_turn = self.peers.range((after, Bound::Unbounded)).chain(self.peers.range((Bound::Unbounded, until)));
        let mut wanting = in_turn.filter(|(_, peer)| peer.wants_pictures(&self.log) && peer.holds(now, &self.log).is_none());
        wanting.find_map(|(id, _)| Some((*id, self.endpoint.link(*id)?.path.as_ref()?.carries(now)?)))
    }

    /// Sound for the next peer whose TCP connection takes any.
    fn poll_sound(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<StreamId> {
        let (media, sound, live) = (self.endpoint.epoch().media_time(now), self.sound_rate(), !self.patient);
        for (id, peer) in &mut self.peers {
            if !peer.skip_gone_sound(&self.sound) {
                continue;
            }
            let stale = media.saturating_sub(sound_log::stale_behind(peer.flow.queue(now)));
            let rtt = self.endpoint.path(*id).map_or(Duration::ZERO, |path| path.rtt().smoothed);
            // TCP takes nothing of a peer that stands still, either: its buffers are full.
            let steady = self.endpoint.path(*id).is_some_and(|path| path.is_steady(now));
            let Some((stream, link)) = self.endpoint.writable(*id) else {
                let waiting = self.sound.block(peer.sound);
                if steady
                    && !self.patient
                    && waiting.is_some_and(|block| media.saturating_since(block.capture) > sound_copies::BEHIND)
                {
                    peer.copies.tcp_is_behind(now, peer.sound, &self.sound);
                }
                continue;
            };
            let speed = peer.flow.known().0.filter(|_| live).map(Bitrate::bytes);
            let hold = if self.end.is_some() { Duration::ZERO } else { peer.copies.hold(now, rtt, (speed, sound)) };
            let until = film::sound_until(self.patient, peer, &self.log, &self.sound).min(media.saturating_sub(hold));
            peer.fill_stream((stale, until), &self.sound, link, &mut self.scratch, buffer);
            if !buffer.is_empty() {
                self.wait_on(now);
                return Some(stream);
            }
        }
        None
    }

    /// Copies of sound for a peer that wants them.
    fn poll_copies(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<(SocketAddr, usize)> {
        let media = self.endpoint.epoch().media_time(now);
        let sound = self.sound_rate();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.wants_sound && peer.copies.is_on(now)) {
            if let Some(speed) = peer.flow.known().0 {
                peer.copies.keep_below(speed.bytes(), sound);
            }
            let Some(path) = self.endpoint.path(*id) else { continue };
            let Some(to) = path.usable(now) else {
                if !self.patient {
                    peer.copies.skip_to(self.sound.end());
                }
                continue;
            };
            let stale = sound_log::stale_behind(peer.flow.queue(now));
            let stale = if self.patient { MediaTime::ZERO } else { media.saturating_sub(stale) };
            let until = film::sound_until(self.patient, peer, &self.log, &self.sound);
            let segment = peer.copies.fill(now, (stale, until), &self.sound, path, buffer);
            if let Some(pieces) = buffer.len().checked_div(segment) {
                peer.stats.copies += pieces as u64;
                peer.stats.datagrams += pieces as u64;
                peer.stats.bytes += buffer.len() as u64;
                peer.flow.sent_sound(now, pieces, buffer.len(), sound);
                let fresh = (buffer.len() as f64 * peer.copies.fresh_share()) as usize;
                peer.repairs.sent(now, fresh);
                peer.repairs.took(now, buffer.len() - fresh);
                return Some((to, segment));
            }
        }
        None
    }

    fn report_stats(&mut self, now: Instant) {
        if now < self.next_stats {
            return;
        }
        self.next_stats = (self.next_stats + STATS_PERIOD).max(now);
        self.tell_stats(now);
    }

    /// What was counted so far.
    fn tell_stats(&mut self, now: Instant) {
        let mut stats = self.stats.clone();
        stats.log_bytes = self.log.bytes() as u64;
        stats.counters = self.endpoint.counters();
        for (id, peer) in &mut self.peers {
            let mut one = peer.stats.clone();
            if let Some(path) = self.endpoint.path(*id) {
                one.rtt = path.rtt().smoothed;
                one.quiet = path.is_quiet(now);
                if one.quiet {
                    peer.forget();
                }
                one.path_mtu = path.size().unwrap_or(0) as u64;
                if path.is_too_narrow() != peer.too_narrow {
                    peer.too_narrow = path.is_too_narrow();
                    let (name, address) = (one.name.clone(), path.address().unwrap_or(SocketAddr::from(([0; 4], 0))));
                    self.events.push_back(Event::Narrow { name, address, narrow: peer.too_narrow });
                }
                one.address = path.address().map_or(one.address, |address| address.to_string());
            }
            (one.report, one.track) = (peer.report, peer.track);
            (one.capacity, one.queue) = peer.flow.known();
            stats.peers.push(one);
        }
        self.events.push_back(Event::Stats(Box::new(stats)));
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let end = self.end.filter(|_| !self.finished).map(|(_, deadline)| deadline);
        let usable = |id: &LinkId| {
            self.endpoint.link(*id).is_some_and(|link| link.path.as_ref().is_some_and(|p| p.carries(now).is_some()))
        };
        let held = self.peers.iter().filter(|(id, peer)| peer.wants_pictures(&self.log) && usable(id));
        let held = held.filter_map(|(_, peer)| peer.holds(now, &self.log)).min();
        self.endpoint.deadline().into_iter().chain([self.next_stats]).chain(end).chain(held).min()
    }
}

impl Core for Session {
    type Command = Command;
    type Event = Event;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.endpoint.wakes(now);
        match command {
            Command::Slice(slice) => {
                self.push_slice(slice);
                self.update_pressure(now);
            }
            Command::Sound(block) => {
                self.sound.push(block);
                self.stats.blocks += 1;
            }
            Command::Format(format) => {
                self.format = format;
                let track = Record::Track(self.track(self.pictures));
                for id in self.peers.keys() {
                    self.endpoint.send(*id, &track);
                }
            }
            Command::Closed => self.log.clear(),
            Command::End => {
                let blocks = self.sound.end();
                self.end = Some((End { pictures: self.pictures, blocks }, now + film::LAST_CALL));
            }
            Command::Stop(sentence) => {
                self.tell_stats(now);
                self.endpoint.stop(&sentence);
                self.peers.clear();
            }
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.endpoint.wakes(now);
        // The endpoint lends the message, so what it needs of us is taken out first.
        if let Some((link, Incoming::Message(_, message))) = self.endpoint.handle_datagram(now, from, bytes) {
            self.handle_message(now, link, &message);
        }
    }

    fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize) {
        self.endpoint.wakes(now);
        self.endpoint.handle_too_long(now, to, len);
    }

    fn handle_accepted(&mut self, now: Instant, stream: StreamId, from: SocketAddr) {
        self.endpoint.wakes(now);
        self.endpoint.handle_accepted(now, stream, from);
    }

    fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(StreamId, SocketAddr), DialError>) {
        self.endpoint.wakes(now);
        self.endpoint.handle_dialled(now, host, outcome);
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, bytes: &[u8]) {
        self.endpoint.wakes(now);
        if let Some(link) = self.endpoint.handle_stream(now, stream, bytes) {
            // A receiver's records are all the endpoint's; others are ignored.
            while self.endpoint.next_record(now, link).is_some() {}
        }
    }

    fn handle_stream_closed(&mut self, now: Instant, stream: StreamId) {
        self.endpoint.wakes(now);
        self.endpoint.handle_stream_closed(now, stream);
    }

    fn handle_writable(&mut self, now: Instant, stream: StreamId, writable: bool) {
        self.endpoint.wakes(now);
        self.endpoint.handle_writable(stream, writable);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.wakes(now);
        self.endpoint.handle_timeout(now);
        self.update_pressure(now);
        self.report_stats(now);
    }

    fn poll(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Output<Event> {
        buffer.clear();
        self.take_notices(now);
        self.update_end(now);
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(output) = self.endpoint.poll(now, buffer) {
            return output;
        }
        if let Some(stream) = self.poll_sound(now, buffer) {
            return Output::Stream { stream };
        }
        if let Some((to, segment)) = self.poll_copies(now, buffer).or_else(|| self.poll_media(now, buffer)) {
            return Output::Datagrams { to, segment, len: buffer.len() };
        }
        let deadline = self.deadline(now);
        self.endpoint.waits(deadline);
        Output::Wait(deadline)
    }
}
