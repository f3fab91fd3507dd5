//! The receiving side: one sender is shown, what it sends is put together, what is missing is asked for.
//!
//! Slices leave as events the moment they are whole; pictures are settled in order. Who is shown, where several senders want to
//! be, is `contest`'s text. All state of the sender that is shown is in [`Source`], and goes with it.

mod contest;
mod events;
mod narrow;
mod proof;
mod source;
mod telling;

pub use events::{Command, Config, Event};

use self::contest::{Waiter, Waiting};
use self::source::{Connection, LIVE_WAIT, Source, Wants};
use super::endpoint::{self, Endpoint, Incoming, Notice};
use super::link::LinkId;
use super::stats::Received;
use super::unreachable::DialError;
use super::{Core, HostId, Output, PeerId, StreamId, TrackId};
use crate::media::depacketizer::{Pushed, Slice};
use crate::time::MediaTime;
use crate::wire::datagram::{FragmentHead, Message};
use crate::wire::record::{End, Reason, Record, Track};
use crate::wire::slice::Head;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// What a second sender is told, after the receiver's name.
const BUSY: &str = "already shows another sender: stop that one, or start another recv there with another --port";

/// See the module text.
pub struct Session {
    endpoint: Endpoint,
    wants: Wants,
    source: Option<Source>,
    waiting: Waiting,
    next_peer: u64,
    events: VecDeque<Event>,
    /// What came of senders that are gone.
    gone: Received,
    next_stats: Instant,
}

impl Session {
    /// A receiver nobody has found yet.
    pub fn new(now: Instant, config: Config) -> Self {
        let Config { me, hosts, reconnect, epoch } = config;
        let wants = Wants { pictures: me.wants.pictures, sound: me.wants.sound, patient: me.wants.lossless };
        Session {
            endpoint: Endpoint::new(now, endpoint::Config { me, hosts, reconnect, epoch }),
            wants,
            source: None,
            waiting: Waiting::default(),
            next_peer: 0,
            events: VecDeque::new(),
            gone: Received::default(),
            next_stats: now + telling::STATS,
        }
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some(notice) = self.endpoint.poll_notice() {
            match notice {
                Notice::Up { link, replaces } => self.sender_up(now, link, replaces),
                Notice::NoUdp(link, address) => {
                    let shown = self.source.as_ref().filter(|source| source.connection.link == link);
                    self.events.extend(shown.map(|source| Event::NoUdp(source.track.peer, address)));
                }
                Notice::Path(_) => {}
                Notice::Down(link, reason, sentence) if self.is_source(link) => {
                    self.finish_end(now, true);
                    self.sender_down(now, reason, sentence);
                }
                Notice::Down(link, ..) => {
                    self.waiting.remove(link);
                }
                Notice::TurnedAway(from, sentence) => self.events.push_back(Event::TurnedAway(from, sentence)),
                Notice::Unreachable { host, error, fatal } => {
                    self.events.push_back(Event::Unreachable { host, error, fatal });
                }
            }
        }
    }

    fn is_source(&self, link: LinkId) -> bool {
        self.source.as_ref().is_some_and(|source| source.connection.link == link)
    }

    /// Whether pictures that come over `link` are the source's.
    fn is_of_source(&self, link: LinkId) -> bool {
        self.source.as_ref().is_some_and(|source| source.connection.link == link || source.former == Some(link))
    }

    /// An input comes.
    fn wakes(&mut self, now: Instant) {
        if self.endpoint.wakes(now)
            && let Some(source) = &mut self.source
        {
            source.hearing.stood_still(now);
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
        if let Some(source) = &mut self.source {
            let shown = source.connection.link;
            if replaces == Some(shown) {
                // The same process came back, by its token: its id others know as well. Its numbers go on, its packet numbers
                // start afresh.
                source.reconnected(link);
                let peer = source.track.peer;
                self.events.push_back(Event::SenderUp { peer, name, address, host, again: true, film, pictures });
                return;
            }
            // Its connection closed, or nothing is heard of it: a machine that lost its power closes nothing.
            let gone = self.endpoint.link(shown).is_none_or(|link| link.is_gone(now, address.ip()));
            if !gone {
                if source.proof.is_proven() && !source.proof.gives_way(now) {
                    self.endpoint.leave(link, Reason::Busy, BUSY);
                } else {
                    let connection = Connection::new(link, film || self.wants.patient);
                    self.waiting.add(Waiter { connection, described: None });
                }
                return;
            }
            self.endpoint.leave(shown, Reason::Replaced, "");
            self.drop_source(None, "another sender took its place".to_string());
        }
        let connection = Connection::new(link, film || self.wants.patient);
        self.show(now, Waiter { connection, described: None });
    }

    fn address(&self, link: LinkId) -> SocketAddr {
        self.endpoint.link(link).map_or(SocketAddr::from(([0; 4], 0)), |link| link.remote)
    }

    /// From now on this sender is the one that is shown.
    fn show(&mut self, now: Instant, waiter: Waiter) {
        let Waiter { connection, described } = waiter;
        let link = connection.link;
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (film, pictures) = (hello.offers.lossless, hello.offers.pictures);
        let name = hello.name.clone();
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        self.source = Some(Source::new(now, TrackId::only(peer), film, connection, self.wants));
        let (address, host) = (self.address(link), self.endpoint.host(link));
        self.events.push_back(Event::SenderUp { peer, name, address, host, again: false, film, pictures });
        if let Some(track) = described {
            self.take_track(track);
        }
    }

    /// The sender that is shown is gone; who waited longest is next.
    fn sender_down(&mut self, now: Instant, reason: Option<Reason>, sentence: String) {
        self.drop_source(reason, sentence);
        if let Some(waiter) = self.waiting.first().and_then(|link| self.waiting.remove(link)) {
            self.show(now, waiter);
        }
    }

    /// What there was of it is told as its.
    fn drop_source(&mut self, reason: Option<Reason>, sentence: String) {
        let Some(source) = self.source.take() else { return };
        self.gone += &Received { assembly_bytes: 0, ..source.received() };
        self.events.push_back(Event::SenderDown { peer: source.track.peer, reason, sentence });
    }

    /// Sound or a piece of a picture came from a sender that waits: it takes the place of one that sends nothing.
    fn media_came(&mut self, now: Instant, link: LinkId) {
        if self.source.as_ref().is_none_or(|source| !source.proof.gives_way(now)) {
            return;
        }
        let Some(waiter) = self.waiting.remove(link) else { return };
        if let Some(source) = self.source.take() {
            self.gone += &Received { assembly_bytes: 0, ..source.received() };
            self.waiting.add(Waiter { connection: source.connection, described: source.described });
            let sentence = "it sends nothing, and another sender does".to_string();
            self.events.push_back(Event::SenderDown { peer: source.track.peer, reason: None, sentence });
        }
        self.show(now, waiter);
        // Half a block of sound took it the place: like a piece of a picture it counts as an attempt, or two who send no more than
        // halves would change places with every one.
        if let Some(source) = &mut self.source {
            source.proof.tries(now);
        }
    }

    /// A slice or a block of the source came. The first settles who is shown.
    fn sent(&mut self, now: Instant) {
        if self.source.as_mut().is_some_and(|source| source.proof.sent(now)) {
            for link in self.waiting.take() {
                self.endpoint.leave(link, Reason::Busy, BUSY);
            }
        }
    }

    fn take_track(&mut self, track: Track) {
        let Some(source) = &mut self.source else { return };
        if source.depacketizer.is_patient() {
            source.depacketizer.begin_at(track.format.first);
        }
        // A sender may say it as often as it likes; it is news once.
        if source.described.as_ref() != Some(&track) {
            source.described = Some(track.clone());
            self.events.push_back(Event::Track(source.track, track));
        }
    }

    fn take_incoming(&mut self, now: Instant, link: LinkId, incoming: &Incoming<'_>, len: usize) {
        let (number, data) = match incoming {
            Incoming::Message(number, message) => (*number, matches!(message, Message::Fragment(..) | Message::Piece(..))),
            Incoming::Clock { number, .. } | Incoming::Control(number) | Incoming::Probe { number, .. } => (*number, false),
        };
        if data {
            self.media_came(now, link);
        }
        if let Some(waiter) = self.waiting.get(link) {
            if let Incoming::Probe { lost, .. } = incoming {
                waiter.connection.is_no_loss(now, *lost);
            }
            return waiter.connection.datagram_came(now, number, len, data);
        }
        match incoming {
            Incoming::Message(number, message) if self.is_of_source(link) => {
                self.handle_message(now, (link, *number), message, len);
            }
            Incoming::Clock { number, asked, received, replied } if self.is_source(link) => {
                let Some(source) = &mut self.source else { return };
                source.datagram_came(now, *number, len, false);
                source.clock.sample(now, *asked, *received, *replied);
                self.events.extend(source.clock.mapping().map(|mapping| Event::Clock(source.track.peer, mapping)));
            }
            Incoming::Control(number) if self.is_source(link) => {
                if let Some(source) = &mut self.source {
                    source.datagram_came(now, *number, len, false);
                }
            }
            Incoming::Probe { number, lost } if self.is_source(link) => {
                if let Some(source) = &mut self.source {
                    source.is_no_loss(now, *lost);
                    source.datagram_came(now, *number, len, false);
                }
            }
            _ => {}
        }
    }

    fn handle_message(&mut self, now: Instant, (link, number): (LinkId, u64), message: &Message<'_>, bytes: usize) {
        let Some(source) = &mut self.source else { return };
        source.received.datagrams += 1;
        source.received.bytes += bytes as u64;
        // Packet numbers, and what is told of them, are a connection's.
        let current = link == source.connection.link;
        if current {
            source.datagram_came(now, number, bytes, matches!(message, Message::Fragment(..)));
        }
        match message {
            // All of it comes over the new connection, cut for that.
            Message::Fragment(..) if source.film && !current => {}
            Message::Fragment(_, head, payload) if self.wants.pictures => {
                source.proof.tries(now);
                if current {
                    source.connection.piece_came(now, *head);
                    let at = self.endpoint.epoch().media_time(now).as_nanos() / 1000;
                    source.connection.trains.push(head, number, bytes, at);
                }
                source.recovery.push_fragment(now, *head, payload);
                self.take_fragment(now, *head, payload);
                self.take_recovered(now);
                self.settle(now);
            }
            Message::Shard(_, shard) if self.wants.pictures => {
                source.recovery.push_shard(now, shard);
                self.take_recovered(now);
                self.settle(now);
            }
            Message::Piece(_, piece) if self.wants.sound => {
                if let Some(whole) = source.hearing.piece_came(now, piece) {
                    self.take_sound(now, whole.number, whole.capture, whole.channels, whole.samples);
                }
            }
            // A receiver is asked for nothing; the rest is the path's.
            _ => {}
        }
    }

    fn take_fragment(&mut self, now: Instant, head: FragmentHead, payload: &[u8]) {
        let Some(source) = &mut self.source else { return };
        match source.depacketizer.push(now, head, payload) {
            Pushed::Stored => source.goes_on(now),
            Pushed::Slice(slice) => {
                source.goes_on(now);
                let evidence = source.proof.wants_evidence(now) && is_one(&slice);
                source.received.slices += 1;
                self.events.push_back(Event::Slice(source.track, slice));
                if evidence {
                    self.sent(now);
                }
            }
            Pushed::Late => source.received.late += 1,
            Pushed::Bad => source.received.bad += 1,
        }
    }

    fn take_recovered(&mut self, now: Instant) {
        while let Some(source) = &mut self.source
            && let Some((head, payload)) = source.recovery.poll()
        {
            source.received.recovered += 1;
            self.take_fragment(now, head, &payload);
        }
    }

    /// The first copy of a block is here.
    fn take_sound(&mut self, now: Instant, number: u64, capture: MediaTime, channels: u8, samples: Vec<u8>) {
        let Some(source) = &mut self.source else { return };
        source.goes_on(now);
        source.blocks = source.blocks.max(number.saturating_add(1));
        source.received.blocks += 1;
        let track = source.track;
        self.sent(now);
        self.events.push_back(Event::Sound { track, number, capture, channels, samples });
    }

    fn settle(&mut self, now: Instant) {
        let Some(source) = &mut self.source else { return };
        let track = source.track;
        while let Some(settled) = source.depacketizer.poll_settled(now) {
            if settled.is_whole() {
                source.received.whole += 1;
            } else if settled.count > 0 {
                source.received.partial += 1;
            } else {
                source.received.lost += 1;
            }
            if settled.count > 0 && !self.wants.patient {
                // The wait follows the picture period as it is seen.
                let period = source
                    .last_picture
                    .map_or(LIVE_WAIT.1, |(at, period)| (period * 7 + now.saturating_duration_since(at).min(LIVE_WAIT.1)) / 8);
                source.last_picture = Some((now, period));
                if !source.depacketizer.is_patient() {
                    source.depacketizer.set_wait(period.clamp(LIVE_WAIT.0, LIVE_WAIT.1));
                    source.depacketizer.set_overtaken(source.connection.tracker.window(now), period);
                }
            }
            self.events.extend(std::iter::from_fn(|| source.depacketizer.poll_part()).map(|part| Event::Part(track, part)));
            self.events.push_back(Event::Settled(track, settled));
        }
        if !source.depacketizer.is_waiting() {
            source.connection.tracker.settle(now);
        }
    }

    /// Finishes a stream that has ended. `gone`: nothing more can come. A film, or what a file is written of, is over with it; a
    /// live sender whom somebody only watches is left, and the next one may come.
    fn finish_end(&mut self, now: Instant, gone: bool) {
        let wants = self.wants;
        let Some(source) = &mut self.source else { return };
        let Some(end) = source.has_ended(now, wants, gone) else { return };
        let track = source.track;
        while let Some(settled) = source.depacketizer.give_up(end) {
            self.events.extend(std::iter::from_fn(|| source.depacketizer.poll_part()).map(|part| Event::Part(track, part)));
            source.received.partial += u64::from(settled.count > 0);
            source.received.lost += u64::from(settled.count == 0);
            self.events.push_back(Event::Settled(track, settled));
        }
        self.events.push_back(Event::Finished(track));
        let (link, watched) = (source.connection.link, !source.film && !wants.patient);
        if watched && !gone {
            self.endpoint.part(now, link, "");
            self.sender_down(now, Some(Reason::Quit), "its stream is over".to_string());
        }
    }
}

/// Whether it can be a slice of a picture: any bytes can be called one.
fn is_one(slice: &Slice) -> bool {
    Head::decode(slice.body()).is_ok()
}

impl Core for Session {
    type Command = Command;
    type Event = Event;

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.wakes(now);
        let of = |track: TrackId| move |source: &&mut Source| source.track == track;
        match command {
            Command::Shown(track, more) => {
                if let Some(source) = self.source.as_mut().filter(of(track)) {
                    source.connection.shown = source.connection.shown.saturating_add(more);
                }
            }
            Command::Written(track, next) => {
                if let Some(source) = self.source.as_mut().filter(of(track)) {
                    source.written = Some(next);
                }
            }
            Command::Recycle(bytes) => {
                if let Some(source) = &mut self.source {
                    source.depacketizer.recycle(bytes);
                }
            }
            Command::Stop(sentence) => {
                self.tell_stats();
                self.endpoint.stop(&sentence);
                self.source = None;
                self.waiting = Waiting::default();
            }
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.wakes(now);
        let len = bytes.len();
        if let Some((link, incoming)) = self.endpoint.handle_datagram(now, from, bytes) {
            self.take_incoming(now, link, &incoming, len);
        }
        self.ask(now);
        self.want_sound(now);
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
                Sound(u64, MediaTime, u8, Vec<u8>),
                End(End),
            }
            let got = match self.endpoint.next_record(now, link) {
                Some(Record::Track(track)) => Got::Track(track),
                Some(Record::Sound(_, sound)) => Got::Sound(sound.number, sound.capture, sound.channels, sound.samples.to_vec()),
                Some(Record::End(_, end)) => Got::End(end),
                Some(Record::Hello(_) | Record::Goodbye(..) | Record::Heard(_)) => continue,
                None => break,
            };
            // The hello of this link may have come in the same bytes.
            self.take_notices(now);
            match &got {
                Got::Sound(..) if self.wants.sound => self.media_came(now, link),
                Got::Sound(..) | Got::End(_) => {}
                Got::Track(track) => {
                    if let Some(waiter) = self.waiting.get(link) {
                        waiter.described = Some(track.clone());
                    }
                }
            }
            if !self.is_source(link) {
                continue;
            }
            match got {
                Got::Track(track) => self.take_track(track),
                Got::Sound(number, capture, channels, samples) => {
                    let frames = samples.len() / (2 * usize::from(channels));
                    let Some(source) = self.source.as_mut().filter(|_| self.wants.sound) else { continue };
                    if source.hearing.block_came(now, number, capture, frames) {
                        self.take_sound(now, number, capture, channels, samples);
                    }
                }
                Got::End(end) => {
                    if let Some(source) = &mut self.source {
                        source.end_said(now, end);
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
        self.settle(now);
        self.ask(now);
        self.want_sound(now);
        self.report(now);
        self.watch_quiet(now);
        self.report_stats(now);
    }

    fn poll(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Output<Event> {
        buffer.clear();
        self.take_notices(now);
        self.finish_end(now, false);
        if let Some(event) = self.events.pop_front() {
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
