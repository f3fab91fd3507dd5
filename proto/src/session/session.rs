//! The one session of a process: its links, what it sends over them and what it receives.
//!
//! Every program is a configuration of it. Who offers something has tracks in the [`Sender`], who wants something takes others'
//! with the [`Receiver`], who does both is a party of a call, and who forwards ([`Forward`]) besides is its meeting point. The
//! two halves do not know each other: a link's datagrams and records go to the one they are for, its coming and going to both.

use super::endpoint::{self, Endpoint, Incoming, Introduction, Notice};
use super::events::{Command, Config, Event};
use super::forward::Forward;
use super::introductions::Introductions;
use super::keyring::Standing;
use super::link::LinkId;
use super::receiver::Receiver;
use super::sender::{self, Sender};
use super::shared::LinksAndEvents;
use super::stats::Stats;
use super::talk::Talk;
use super::unreachable::DialError;
use super::{Core, HostId, Output, PeerId, SocketId, TrackId};
use crate::picture::mcu_set::Owed;
use crate::wire::record::{Hello, MOST_ADDRESSES, Reason, Record, Relayed, Text, Want};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two statistics.
const STATS: Duration = Duration::from_secs(1);

pub struct Session {
    endpoint: Endpoint,
    sender: Sender,
    receiver: Receiver,
    forward: Option<Forward>,
    /// Where we forward, and may tell guests of each other.
    introductions: Option<Introductions>,
    /// Where our socket is by our machine's own account.
    addresses: Vec<SocketAddr>,
    talk: Talk,
    /// Every link that said hello, and whose it is.
    peers: BTreeMap<LinkId, PeerId>,
    next_peer: u64,
    /// What the application has use for of others' tracks, where it said so.
    asked: BTreeMap<TrackId, Want>,
    /// And where it did not.
    unasked: Want,
    events: VecDeque<Event>,
    next_stats: Instant,
}

/// What is said of who a peer is before it is told of, if anything.
fn introduces(peer: PeerId, introduction: Introduction) -> Option<Event> {
    let Introduction { name, address, standing, dialled } = introduction;
    match standing {
        Standing::Paired(pair) => Some(Event::Known(peer, pair)),
        Standing::Unproved => Some(Event::Unproved { peer, name, address, dialled }),
        Standing::Unknown => None,
    }
}

impl Session {
    /// Of a process nobody has found yet.
    pub fn new(now: Instant, config: Config) -> Self {
        let (sender, receiver) = (Sender::new(&config), Receiver::new(&config));
        let Config { me, hosts, reconnect, epoch, want, keys, .. } = config;
        let forward = me.forwards.then(Forward::new);
        let introductions = (me.forwards && me.direct).then(Introductions::default);
        Session {
            endpoint: Endpoint::new(now, endpoint::Config { me, hosts, reconnect, epoch, keys }),
            sender,
            receiver,
            forward,
            introductions,
            addresses: Vec::new(),
            talk: Talk::default(),
            peers: BTreeMap::new(),
            next_peer: 0,
            asked: BTreeMap::new(),
            unasked: want,
            events: VecDeque::new(),
            next_stats: now + STATS,
        }
    }

    /// An input comes.
    fn wakes(&mut self, now: Instant) {
        if self.endpoint.wakes(now) {
            self.receiver.stood_still(now);
        }
    }

    fn take_notices(&mut self, now: Instant) {
        // Those who left, or broke the protocol, in the bytes of their hello: under which link each is known, if it came back.
        let mut left_at_once = BTreeMap::new();
        while let Some(notice) = self.endpoint.poll_notice() {
            match notice {
                Notice::Up { link, replaces } if self.endpoint.hello(link).is_none() => {
                    left_at_once.extend(replaces.map(|former| (link, former)));
                }
                Notice::Up { link, replaces } => self.peer_up(now, link, replaces),
                Notice::Rings(link) => {
                    let ring =
                        |Introduction { name, address, standing, .. }| Event::Rings { call: link, name, address, standing };
                    self.events.extend(self.endpoint.introduction(link).map(ring));
                }
                Notice::RingOver(link) => self.events.push_back(Event::RingOver(link)),
                Notice::Calling(host, link) => {
                    let name = self.endpoint.hello(link).map(|hello| hello.name.clone());
                    self.events.extend(name.map(|name| Event::Calling { host, name }));
                }
                Notice::Paired(pair, host) => self.events.push_back(Event::Paired(pair, host)),
                Notice::Path(link) => {
                    self.guests_changed(now);
                    let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
                    self.sender.path_up(now, link, &mut shared);
                }
                Notice::NoUdp(link, address) => {
                    if self.peers.contains_key(&link) {
                        self.events.push_back(Event::NoUdp(address));
                    }
                }
                Notice::Down(link, reason, sentence) => {
                    let link = left_at_once.remove(&link).unwrap_or(link);
                    self.receiver.peer_down(now, link, reason, &sentence, &mut self.endpoint);
                    self.forget(now, link, reason, &sentence);
                }
                Notice::TurnedAway(from, sentence) => self.events.push_back(Event::TurnedAway(from, sentence)),
                Notice::Unreachable { host, error, fatal } => {
                    self.events.push_back(Event::Unreachable { host, error, fatal });
                }
            }
        }
        while let Some((link, reason)) = self.receiver.poll_left() {
            self.forget(now, link, Some(reason), "");
        }
        self.events.extend(self.endpoint.poll_invitation().map(Event::Invitation));
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        self.sender.update_watched(now, &mut shared);
    }

    fn peer_up(&mut self, now: Instant, link: LinkId, replaces: Option<LinkId>) {
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (wants, has) = (!hello.wants.is_none(), !hello.offers.is_none() || hello.forwards());
        let id = replaces.and_then(|former| self.peers.remove(&former)).unwrap_or_else(|| {
            self.next_peer += 1;
            PeerId(self.next_peer - 1)
        });
        if let Some(former) = replaces {
            self.talk.moved(former, link);
            self.introductions.iter_mut().for_each(|introductions| introductions.forget(now, former));
        }
        self.peers.insert(link, id);
        if !self.endpoint.is_direct(link) {
            self.events.extend(self.endpoint.introduction(link).and_then(|introduction| introduces(id, introduction)));
        }
        let me = self.endpoint.me();
        let (offer, want) = (!me.offers.is_none() || me.forwards, !me.wants.is_none());
        if wants && offer {
            let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
            self.sender.peer_up(now, (link, id), replaces, &mut shared);
        }
        if has && want {
            self.receiver.peer_up(now, (link, id), replaces, &mut self.endpoint);
            if replaces.is_some() {
                // What was said while it was away did not reach it.
                let asked: Vec<TrackId> = self.asked.keys().filter(|track| track.peer == id).copied().collect();
                asked.into_iter().for_each(|track| self.tell_want(track));
            }
        }
        self.look_at_wants(now);
        self.guests_changed(now);
        self.tell_addresses(link);
    }

    /// A meeting point is told where we are by our own account.
    fn tell_addresses(&mut self, link: LinkId) {
        let is_point = |hello: &Hello| hello.forwards() && hello.goes_directly();
        let tells =
            self.endpoint.me().direct && !self.endpoint.is_direct(link) && self.endpoint.hello(link).is_some_and(is_point);
        if tells {
            self.endpoint.send(link, &Record::Addresses(self.addresses.clone()));
        }
    }

    /// Who is forwarded to has changed, or what they want.
    fn look_at_wants(&mut self, now: Instant) {
        if let Some(forward) = &mut self.forward {
            forward.look_soon(now);
        }
    }

    /// Who is there has changed, or where.
    fn guests_changed(&mut self, now: Instant) {
        self.introductions.iter_mut().for_each(|introductions| introductions.look_soon(now));
    }

    /// A link is no more.
    fn forget(&mut self, now: Instant, link: LinkId, reason: Option<Reason>, sentence: &str) {
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        self.sender.peer_down(now, (link, reason), sentence, &mut shared);
        self.talk.forget(now, link);
        self.introductions.iter_mut().for_each(|introductions| introductions.forget(now, link));
        if let Some(peer) = self.peers.remove(&link) {
            self.asked.retain(|track, _| track.peer != peer);
        }
    }

    /// What there is use for of a track, by us and by those we forward it to, is said to its sender.
    fn tell_want(&mut self, track: TrackId) {
        let ours = self.asked.get(&track).copied().unwrap_or(self.unasked);
        let others = self.forward.as_ref().and_then(|forward| forward.want_of(track.peer)).filter(|_| track.is_own());
        let want = others.map_or(ours, |others| sender::most(ours, others));
        self.receiver.want(track, want, &mut self.endpoint);
    }

    /// What others lack of tracks that we forward is asked for.
    fn ask_to_refresh(&mut self, now: Instant) {
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        let asked = self.forward.as_mut().map(|forward| forward.refresh(now, &self.sender, &mut shared)).unwrap_or_default();
        for (track, owed) in asked {
            self.receiver.refresh(track, owed, &mut self.endpoint);
        }
    }

    /// What came over a link.
    fn take_records(&mut self, now: Instant, link: LinkId) {
        while let Some(record) = self.endpoint.next_record(now, link) {
            // The hello of this link may have come in the same bytes.
            self.take_notices(now);
            self.take_record(now, link, record);
        }
    }

    fn take_record(&mut self, now: Instant, link: LinkId, record: Record) {
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        let known = match record {
            Record::Track(track) => self.receiver.take_track(now, link, track, &self.endpoint),
            Record::Sound(track, sound) => self.receiver.take_block(now, (link, track), sound, &mut self.endpoint),
            Record::Packet(track, sound) => self.receiver.take_packet(now, (link, track), sound, &mut self.endpoint),
            Record::End(track, end) => {
                self.receiver.take_end(now, link, track, end);
                true
            }
            Record::Want(track, want) => {
                let known = self.sender.handle_want(now, link, (track, want), &mut shared);
                self.look_at_wants(now);
                known
            }
            Record::Steer(track, steer) => self.sender.handle_steer(now, link, (track, steer), &mut shared),
            Record::Film(track, film) => self.receiver.take_film(link, (track, film), &self.endpoint),
            Record::Refresh(track, owed) => self.sender.handle_refresh(link, (track, &owed)),
            Record::Text(text) => self.take_text(now, link, text),
            Record::Rendezvous(met) => self.endpoint.meets(now, link, met),
            Record::Relayed(said) => return self.take_relayed(now, link, said),
            Record::Addresses(addresses) => {
                self.introductions.iter_mut().for_each(|introductions| introductions.are_at(now, link, addresses.clone()));
                true
            }
            // The endpoint's own.
            Record::Hello(_) | Record::Goodbye(..) | Record::Heard(_) | Record::Same(_) | Record::Taken => return,
        };
        if !known {
            self.endpoint.skipped();
        }
    }

    /// What two guests say to each other: we are one of them, or pass it on.
    fn take_relayed(&mut self, now: Instant, link: LinkId, said: Relayed) {
        let known = match &mut self.introductions {
            Some(introductions) => introductions.relay(now, link, said.clone(), &mut self.endpoint),
            None => false,
        };
        if known {
            return;
        }
        if let Some(direct) = self.endpoint.relayed(now, link, said) {
            self.take_records(now, direct);
        }
    }

    /// Somebody says something; whether it is taken.
    fn take_text(&mut self, now: Instant, link: LinkId, text: Text) -> bool {
        if self.endpoint.is_direct(link) {
            return false;
        }
        let met = self.endpoint.link(link).and_then(|link| Some((link.remote.ip(), link.hello.as_ref()?)));
        let Some((remote, hello)) = met else { return true };
        // Who is linked to us says for itself what it says; guests say it by way of the meeting point.
        let of_other = |other: &LinkId| {
            let hello = self.endpoint.hello(*other).filter(|_| *other != link && !self.endpoint.is_direct(*other));
            hello.is_some_and(|hello| hello.id == text.origin)
        };
        let of_another = self.endpoint.me().id == text.origin || self.peers.keys().any(of_other);
        if of_another || !self.talk.takes(now, (link, remote), hello, &text) {
            return false;
        }
        let (origin, direct) = (text.origin, text.origin == hello.id);
        let name = if direct { hello.name.clone() } else { text.name };
        self.events.push_back(Event::Text { name: name.clone(), line: text.line.clone() });
        if self.forward.is_some() && direct {
            let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
            self.sender.say(&Record::Text(Text { origin, name, line: text.line }), Some(link), origin, &mut shared);
        }
        true
    }

    /// All that time alone brings.
    fn tend(&mut self, now: Instant) {
        self.receiver.tend(now, &mut self.endpoint);
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        self.sender.update_pressure(now, &mut shared);
        self.sender.update_steering(now, &mut shared);
        if let Some(forward) = &mut self.forward {
            for track in forward.look(now, &mut self.sender, &mut shared) {
                self.tell_want(track);
            }
            self.ask_to_refresh(now);
        }
        if now >= self.next_stats {
            self.next_stats = (self.next_stats + STATS).max(now);
            self.tell_stats(now);
            if let Some(link) = self.sender.crowded(&mut self.endpoint) {
                self.endpoint.turn_out_direct(link, "the way takes less than is sent");
            }
            self.events.extend(self.talk.take_left_out(now).map(Event::TextLeftOut));
        }
    }

    /// What was counted so far.
    fn tell_stats(&mut self, now: Instant) {
        let receiving = self.receiver.stats(&mut self.endpoint);
        let counters = self.endpoint.counters();
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        let sending = self.sender.take_stats(now, &mut shared);
        self.events.push_back(Event::Stats(Box::new(Stats { sending, receiving, counters })));
    }

    fn poll_event(&mut self, now: Instant) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let event = self.receiver.poll_event(now)?;
        if let Some(forward) = &mut self.forward {
            let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
            forward.pass(now, &event, &mut self.sender, &mut shared);
        }
        if let Event::TrackDown { track, .. } = &event {
            // Its number may be another's from now on.
            self.asked.remove(track);
        }
        if let Event::TrackUp { track, .. } = &event
            && (self.unasked != Want::ALL || self.endpoint.me().wants.lossless)
        {
            // Each of those is told, also to who comes back; and of who writes, of whom whole pictures are thought to be wanted.
            self.asked.entry(*track).or_insert(self.unasked);
            self.tell_want(*track);
        }
        Some(event)
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let introduced = self.introductions.as_ref().and_then(Introductions::deadline);
        let forward = self.forward.as_ref().and_then(Forward::deadline).into_iter().chain(introduced).min();
        let halves = [self.sender.deadline(now, &self.endpoint), self.receiver.deadline(now, &mut self.endpoint), forward];
        halves.into_iter().flatten().chain(self.endpoint.deadline()).chain([self.next_stats]).min()
    }
}

impl Core for Session {
    type Command = Command;
    type Event = Event;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.wakes(now);
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        match command {
            Command::Slice(slice) => self.sender.push_slice(now, slice, &mut shared),
            Command::Sound(block, packet) => self.sender.push_sound(now, block, packet, &mut shared),
            Command::Format(format) => self.sender.set_format(format, &mut shared),
            Command::Silence { muted, closed } => self.sender.set_silence(muted, closed, &mut shared),
            Command::Closed => self.sender.closed(),
            Command::Film { film, jumped } => self.sender.set_film(now, film, jumped, &mut shared),
            Command::End => self.sender.end(now),
            Command::Shown(track, more) => self.receiver.shown(track, more),
            Command::Missed(track, picture) => self.receiver.missed(now, track, picture, &mut self.endpoint),
            Command::Refresh(track) => self.receiver.refresh(track, Owed::All, &mut self.endpoint),
            Command::Written(track, next) => self.receiver.written(track, next),
            Command::Want(track, want) => {
                self.asked.insert(track, want);
                self.tell_want(track);
            }
            Command::Steer(track, steer) => self.receiver.steer(track, steer, &mut self.endpoint),
            Command::Measure(peer) => {
                let links = self.peers.iter().filter(|(_, of)| **of == peer).map(|(link, _)| *link);
                links.for_each(|link| self.endpoint.path(link).into_iter().for_each(|path| path.measure(now)));
            }
            Command::Dial(host, pair) => self.endpoint.dial(now, host, pair),
            Command::Answer { call, taken } => self.endpoint.answer(now, call, taken),
            Command::Addresses(mut addresses) => {
                addresses.truncate(MOST_ADDRESSES - 1);
                if std::mem::replace(&mut self.addresses, addresses) != self.addresses {
                    let links: Vec<LinkId> = self.peers.keys().copied().collect();
                    links.into_iter().for_each(|link| self.tell_addresses(link));
                }
            }
            Command::Text(line) => {
                let (origin, name) = (self.endpoint.me().id, self.endpoint.me().name.clone());
                let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
                self.sender.say(&Record::Text(Text { origin, name, line }), None, origin, &mut shared);
            }
            Command::Stop(sentence) => {
                self.tell_stats(now);
                self.endpoint.stop(&sentence);
                self.sender.stop();
                self.receiver.stop();
                self.peers.clear();
            }
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.wakes(now);
        let len = bytes.len();
        // The endpoint lends the message, so both halves look at what is theirs of it.
        let Some((link, incoming)) = self.endpoint.handle_datagram(now, from, bytes) else { return };
        let mut known = true;
        if let Incoming::Message(_, message) = &incoming {
            let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
            known = self.sender.handle_message(now, link, message, &mut shared);
        }
        known &= self.receiver.take_incoming(now, link, &incoming, len, &mut self.endpoint);
        if !known {
            self.endpoint.skipped();
        }
    }

    fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize) {
        self.wakes(now);
        self.endpoint.handle_too_long(now, to, len);
    }

    fn handle_accepted(&mut self, now: Instant, socket: SocketId, from: SocketAddr, own: bool) {
        self.wakes(now);
        self.endpoint.handle_accepted(now, socket, from, own);
    }

    fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>) {
        self.wakes(now);
        self.endpoint.handle_dialled(now, host, outcome);
    }

    fn handle_bytes(&mut self, now: Instant, socket: SocketId, bytes: &[u8]) {
        self.wakes(now);
        if let Some(link) = self.endpoint.handle_bytes(now, socket, bytes) {
            self.take_records(now, link);
        }
    }

    fn handle_closed(&mut self, now: Instant, socket: SocketId) {
        self.wakes(now);
        self.endpoint.handle_closed(now, socket);
    }

    fn handle_writable(&mut self, now: Instant, socket: SocketId, writable: bool) {
        self.wakes(now);
        self.endpoint.handle_writable(socket, writable);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wakes(now);
        self.endpoint.handle_timeout(now);
        self.tend(now);
    }

    fn poll(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Output<Event> {
        buffer.clear();
        while let Some(link) = self.endpoint.poll_admitted() {
            self.take_records(now, link);
        }
        self.take_notices(now);
        if let Some(introductions) = &mut self.introductions {
            introductions.look(now, self.peers.keys().copied(), &mut self.endpoint);
        }
        self.receiver.look_at_ways(now, &mut self.endpoint);
        self.receiver.finish_ends(now, &mut self.endpoint);
        let mut shared = LinksAndEvents { endpoint: &mut self.endpoint, events: &mut self.events };
        self.sender.update_end(now, &mut shared);
        let changed = self.sender.update_owed(now, &mut shared);
        if changed && self.forward.is_some() {
            self.ask_to_refresh(now);
        }
        if let Some(event) = self.poll_event(now) {
            return Output::Event(event);
        }
        if let Some(output) = self.endpoint.poll(now, buffer) {
            return output;
        }
        if let Some(socket) = self.sender.poll_sound(now, &mut self.endpoint, buffer) {
            return Output::Bytes { socket };
        }
        if let Some((to, segment)) = self.sender.poll_datagrams(now, &mut self.endpoint, buffer) {
            return Output::Datagrams { to, segment, len: buffer.len() };
        }
        let deadline = self.deadline(now);
        self.endpoint.waits(deadline);
        Output::Wait(deadline)
    }
}
