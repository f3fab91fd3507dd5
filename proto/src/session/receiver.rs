//! The receiving side: what every sender sends is put together, what is missing is asked for.
//!
//! All state of one sender is in an [`Inbound`], and goes with it; none hears of another. Who has a place, where more senders want to
//! be than there are, is `contest`'s text; what all of them together may have us hold is `budget`'s.
//!
//! A datagram costs the same however many there are: only the sender it is of is asked what it wants. Sixteen links are looked
//! through in a row, which is nothing beside opening it.

mod budget;
mod contest;
mod events;
mod inbound;

pub use events::{Command, Config, Event};

use self::contest::{Waiter, Waiting};
use self::inbound::{Block, Feedback, Inbound, Shared, Wants};
use super::endpoint::{self, Endpoint, Incoming, Notice};
use super::link::LinkId;
use super::path::Path;
use super::stats::{Received, ReceiverStats, TrackStats};
use super::unreachable::DialError;
use super::{Core, HostId, Output, PeerId, StreamId, TrackId};
use crate::wire::datagram::Message;
use crate::wire::record::{End, Reason, Record, Track};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The most senders that are received from at once: as many tiles as a window has room for that somebody still sees something in, and
/// as many voices as are mixed.
pub const MOST_SENDERS: usize = 16;

/// Between two statistics.
const STATS: Duration = Duration::from_secs(1);

/// See the module text.
pub struct Session {
    endpoint: Endpoint,
    wants: Wants,
    /// How many there may be at once.
    senders: usize,
    /// In the order in which they came.
    inbound: Vec<Inbound>,
    waiting: Waiting,
    next_peer: u64,
    shared: Shared,
    /// What came of senders that are gone.
    gone: Received,
    next_stats: Instant,
}

impl Session {
    /// A receiver nobody has found yet.
    pub fn new(now: Instant, config: Config) -> Self {
        let Config { me, hosts, senders, reconnect, epoch } = config;
        let wants = Wants { pictures: me.wants.pictures, sound: me.wants.sound, patient: me.wants.lossless };
        Session {
            endpoint: Endpoint::new(now, endpoint::Config { me, hosts, reconnect, epoch }),
            wants,
            senders: senders.clamp(1, MOST_SENDERS),
            inbound: Vec::new(),
            waiting: Waiting::default(),
            next_peer: 0,
            shared: Shared::default(),
            gone: Received::default(),
            next_stats: now + STATS,
        }
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some(notice) = self.endpoint.poll_notice() {
            match notice {
                Notice::Up { link, replaces } => self.sender_up(now, link, replaces),
                Notice::NoUdp(link, address) => {
                    let peer = self.inbound.iter().find(|inbound| inbound.link() == link).map(|inbound| inbound.track.peer);
                    self.shared.events.extend(peer.map(|peer| Event::NoUdp(peer, address)));
                }
                Notice::Path(_) => {}
                Notice::Down(link, reason, sentence) => {
                    if let Some(place) = self.place(link) {
                        self.inbound[place].finish_end(now, true, &mut self.shared);
                        self.sender_down(now, place, reason, sentence);
                    } else {
                        self.waiting.remove(link);
                    }
                }
                Notice::TurnedAway(from, sentence) => self.shared.events.push_back(Event::TurnedAway(from, sentence)),
                Notice::Unreachable { host, error, fatal } => {
                    self.shared.events.push_back(Event::Unreachable { host, error, fatal });
                }
            }
        }
    }

    /// Where the sender is whose link in use this is.
    fn place(&self, link: LinkId) -> Option<usize> {
        self.inbound.iter().position(|inbound| inbound.link() == link)
    }

    fn of_track(&mut self, track: TrackId) -> Option<&mut Inbound> {
        self.inbound.iter_mut().find(|inbound| inbound.track == track)
    }

    /// An input comes.
    fn wakes(&mut self, now: Instant) {
        if self.endpoint.wakes(now) {
            self.inbound.iter_mut().for_each(|inbound| inbound.stood_still(now));
        }
    }

    /// A sender said hello.
    fn sender_up(&mut self, now: Instant, link: LinkId, replaces: Option<LinkId>) {
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (name, film, pictures) = (hello.name.clone(), hello.offers.lossless, hello.offers.pictures);
        let (address, host) = (self.address(link), self.endpoint.host(link));
        if let Some(waited) = replaces {
            self.waiting.remove(waited);
        }
        if let Some(inbound) = self.inbound.iter_mut().find(|inbound| replaces == Some(inbound.link())) {
            // The same process came back, by its token: its id others know as well. Its numbers go on, its packet numbers
            // start afresh.
            inbound.reconnected(link);
            let peer = inbound.track.peer;
            self.shared.events.push_back(Event::SenderUp { peer, name, address, host, again: true, film, pictures });
            return;
        }
        let waiter = Waiter { feedback: Feedback::new(link, film || self.wants.patient), described: None };
        if self.inbound.len() >= self.senders {
            // Its connection closed, or nothing is heard of it: a machine that lost its power closes nothing.
            let is_gone =
                |inbound: &Inbound| self.endpoint.link(inbound.link()).is_none_or(|link| link.is_gone(now, address.ip()));
            let Some(place) = self.inbound.iter().position(is_gone) else {
                if self.inbound.iter().all(|inbound| inbound.proof.is_proven() && !inbound.proof.gives_way(now)) {
                    self.turn_away(now, link);
                } else {
                    self.waiting.add(waiter);
                }
                return;
            };
            self.endpoint.leave(self.inbound[place].link(), Reason::Replaced, "");
            self.drop_sender(place, None, "another sender took its place");
        }
        self.receive_from(now, waiter);
    }

    fn address(&self, link: LinkId) -> SocketAddr {
        self.endpoint.link(link).map_or(SocketAddr::from(([0; 4], 0)), |link| link.remote)
    }

    /// There is no place for this one.
    fn turn_away(&mut self, now: Instant, link: LinkId) {
        let (reason, sentence) = contest::no_place(self.senders);
        self.endpoint.part(now, link, reason, &sentence);
    }

    /// From now on this sender has a place.
    fn receive_from(&mut self, now: Instant, Waiter { feedback, described }: Waiter) {
        let link = feedback.link;
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (film, pictures) = (hello.offers.lossless, hello.offers.pictures);
        let name = hello.name.clone();
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        let mut inbound = Inbound::new(now, TrackId::only(peer), film, feedback, self.wants);
        let (address, host) = (self.address(link), self.endpoint.host(link));
        self.shared.events.push_back(Event::SenderUp { peer, name, address, host, again: false, film, pictures });
        if let Some(track) = described {
            inbound.described(track, &mut self.shared);
        }
        self.inbound.push(inbound);
    }

    /// A sender is gone; who waited longest is next.
    fn sender_down(&mut self, now: Instant, place: usize, reason: Option<Reason>, sentence: String) {
        self.drop_sender(place, reason, &sentence);
        if let Some(waiter) = self.waiting.first().and_then(|link| self.waiting.remove(link)) {
            self.receive_from(now, waiter);
        }
    }

    /// It loses its place.
    fn drop_sender(&mut self, place: usize, reason: Option<Reason>, sentence: &str) -> Waiter {
        let inbound = self.inbound.remove(place);
        self.gone += &Received { assembly_bytes: 0, ..inbound.received() };
        let (peer, sentence) = (inbound.track.peer, sentence.to_string());
        self.shared.events.push_back(Event::SenderDown { peer, reason, sentence });
        let (feedback, described) = inbound.leave(&mut self.shared);
        Waiter { feedback, described }
    }

    /// Sound or a piece of a picture came from a sender that waits: it takes the place of one that sends nothing.
    fn media_came(&mut self, now: Instant, link: LinkId) {
        let Some(place) = self.inbound.iter().position(|inbound| inbound.proof.gives_way(now)) else { return };
        let Some(waiter) = self.waiting.remove(link) else { return };
        let idler = self.drop_sender(place, None, "it sends nothing, and another sender does");
        self.waiting.add(idler);
        self.receive_from(now, waiter);
        // Half a block of sound took it the place: like a piece of a picture it counts as an attempt, or two who send no more than
        // halves would change places with every one.
        if let Some(inbound) = self.inbound.last_mut() {
            inbound.proof.tries(now);
        }
    }

    /// A slice or a block came of one that had sent none. Where all places are proved to be needed, nobody waits for one any longer.
    fn proved(&mut self, now: Instant) {
        let all = self.inbound.len() >= self.senders;
        if all && self.inbound.iter().all(|inbound| inbound.proof.is_proven()) {
            for link in std::mem::take(&mut self.waiting).into_links() {
                self.turn_away(now, link);
            }
        }
    }

    fn take_incoming(&mut self, now: Instant, link: LinkId, incoming: &Incoming<'_>, len: usize) {
        let (number, data) = match incoming {
            Incoming::Message(number, message) => (*number, matches!(message, Message::Fragment(..) | Message::Piece(..))),
            Incoming::Clock { number, .. } | Incoming::Control(number) | Incoming::Probe { number, .. } => (*number, false),
        };
        if data && !self.waiting.is_empty() {
            self.media_came(now, link);
        }
        if let Some(waiter) = self.waiting.get(link) {
            if let Incoming::Probe { lost, .. } = incoming {
                waiter.feedback.is_no_loss(now, *lost);
            }
            return waiter.feedback.datagram_came(now, number, len, data);
        }
        let Some(place) = self.inbound.iter().position(|inbound| inbound.is_of(link)) else { return };
        let (inbound, shared) = (&mut self.inbound[place], &mut self.shared);
        if let Incoming::Message(number, message) = incoming {
            let at_us = self.endpoint.epoch().media_time(now).as_nanos() / 1000;
            if inbound.message(now, (link, *number), message, (len, at_us), shared) {
                self.proved(now);
            }
        } else if inbound.link() == link {
            if let Incoming::Probe { lost, .. } = incoming {
                inbound.is_no_loss(now, *lost);
            }
            inbound.datagram_came(now, number, len, false);
            if let Incoming::Clock { asked, received, replied, .. } = incoming {
                inbound.clock_came(now, *asked, *received, *replied, shared);
            }
        }
        self.request(now, place);
    }

    /// What is missing of this sender is asked for.
    fn request(&mut self, now: Instant, place: usize) {
        let Some(inbound) = self.inbound.get_mut(place) else { return };
        let rtt = self.endpoint.path(inbound.link()).map(|path| path.rtt()).unwrap_or_default();
        let link = inbound.link();
        for control in inbound.requests(now, rtt) {
            self.endpoint.control(link, control);
        }
    }

    /// Finishes streams that have ended. A film, or what a file is written of, is over with it; a live sender whom somebody only
    /// watches is left, and the next one may come.
    fn finish_ends(&mut self, now: Instant) {
        // Who takes the place of one that is left has not ended.
        for place in (0..self.inbound.len()).rev() {
            let inbound = &mut self.inbound[place];
            if inbound.finish_end(now, false, &mut self.shared) && inbound.is_watched() {
                self.endpoint.part(now, inbound.link(), Reason::Quit, "");
                self.sender_down(now, place, Some(Reason::Quit), "its stream is over".to_string());
            }
        }
    }

    fn take_track(&mut self, link: LinkId, track: Track) {
        if let Some(waiter) = self.waiting.get(link) {
            waiter.described = Some(track);
        } else if let Some(place) = self.place(link) {
            self.inbound[place].described(track, &mut self.shared);
        }
    }

    fn take_block(&mut self, now: Instant, link: LinkId, block: Block) {
        if !self.wants.sound {
            return;
        }
        self.media_came(now, link);
        let Some(place) = self.place(link) else { return };
        if self.inbound[place].block_came(now, block, &mut self.shared) {
            self.proved(now);
        }
    }

    /// All that time alone brings.
    fn tend(&mut self, now: Instant) {
        let at_us = self.endpoint.epoch().media_time(now).as_nanos() / 1000;
        for place in 0..self.inbound.len() {
            self.inbound[place].settle(now, &mut self.shared);
            self.request(now, place);
            let inbound = &mut self.inbound[place];
            let report = inbound.report(now, at_us);
            let reported = report.is_some();
            if let Some(report) = report {
                self.endpoint.control(inbound.link(), report);
            }
            let path = self.endpoint.path(inbound.link()).map(|path| &*path);
            inbound.watch(now, path, reported, &mut self.shared);
        }
        if now >= self.next_stats {
            self.next_stats = (self.next_stats + STATS).max(now);
            self.tell_stats();
        }
    }

    /// What was counted so far.
    fn tell_stats(&mut self) {
        let mut stats = ReceiverStats { total: self.gone, counters: self.endpoint.counters(), ..ReceiverStats::default() };
        for inbound in &self.inbound {
            let rtt = self.endpoint.path(inbound.link()).map_or(Duration::ZERO, |path| path.rtt().smoothed);
            let (track, received, quiet) = (inbound.track, inbound.received(), inbound.is_quiet());
            stats.total += &received;
            stats.tracks.push(TrackStats { track, received, rtt, quiet });
        }
        self.shared.events.push_back(Event::Stats(Box::new(stats)));
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let endpoint = &mut self.endpoint;
        let inbound = self.inbound.iter().filter_map(|inbound| {
            let path: Option<&Path> = endpoint.path(inbound.link()).map(|path| &*path);
            inbound.deadline(now, path.map(Path::rtt).unwrap_or_default(), path.and_then(Path::heard))
        });
        let first = inbound.chain([self.next_stats]).min();
        first.into_iter().chain(endpoint.deadline()).min()
    }
}

impl Core for Session {
    type Command = Command;
    type Event = Event;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.wakes(now);
        match command {
            Command::Shown(track, more) => {
                if let Some(inbound) = self.of_track(track) {
                    inbound.shown(more);
                }
            }
            Command::Written(track, next) => {
                if let Some(inbound) = self.of_track(track) {
                    inbound.written(next);
                }
            }
            Command::Stop(sentence) => {
                self.tell_stats();
                self.endpoint.stop(&sentence);
                self.inbound.clear();
                (self.waiting, self.shared.budget) = Default::default();
            }
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.wakes(now);
        let len = bytes.len();
        if let Some((link, incoming)) = self.endpoint.handle_datagram(now, from, bytes) {
            self.take_incoming(now, link, &incoming, len);
        }
    }

    fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize) {
        self.wakes(now);
        self.endpoint.handle_too_long(now, to, len);
    }

    fn handle_accepted(&mut self, now: Instant, stream: StreamId, from: SocketAddr) {
        self.wakes(now);
        self.endpoint.handle_accepted(now, stream, from);
    }

    fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(StreamId, SocketAddr), DialError>) {
        self.wakes(now);
        self.endpoint.handle_dialled(now, host, outcome);
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, bytes: &[u8]) {
        self.wakes(now);
        let Some(link) = self.endpoint.handle_stream(now, stream, bytes) else { return };
        loop {
            // Sound is copied out of the endpoint's buffer, for taking it needs the rest of us.
            enum Got {
                Track(Track),
                Sound(Block),
                End(End),
            }
            let got = match self.endpoint.next_record(now, link) {
                Some(Record::Track(track)) => Got::Track(track),
                Some(Record::Sound(_, sound)) => {
                    let (number, capture, channels, samples) =
                        (sound.number, sound.capture, sound.channels, sound.samples.to_vec());
                    Got::Sound(Block { number, capture, channels, samples })
                }
                Some(Record::End(_, end)) => Got::End(end),
                Some(Record::Hello(_) | Record::Goodbye(..) | Record::Heard(_)) => continue,
                None => break,
            };
            // The hello of this link may have come in the same bytes.
            self.take_notices(now);
            match got {
                Got::Track(track) => self.take_track(link, track),
                Got::Sound(block) => self.take_block(now, link, block),
                Got::End(end) => {
                    if let Some(place) = self.place(link) {
                        self.inbound[place].end_said(now, end);
                    }
                }
            }
        }
    }

    fn handle_stream_closed(&mut self, now: Instant, stream: StreamId) {
        self.wakes(now);
        self.endpoint.handle_stream_closed(now, stream);
    }

    fn handle_writable(&mut self, now: Instant, stream: StreamId, writable: bool) {
        self.wakes(now);
        self.endpoint.handle_writable(stream, writable);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wakes(now);
        self.endpoint.handle_timeout(now);
        self.tend(now);
    }

    fn poll(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Output<Event> {
        buffer.clear();
        self.take_notices(now);
        self.finish_ends(now);
        if let Some(event) = self.shared.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(output) = self.endpoint.poll(now, buffer) {
            return output;
        }
        let deadline = self.deadline(now);
        self.endpoint.waits(deadline);
        Output::Wait(deadline)
    }
}
