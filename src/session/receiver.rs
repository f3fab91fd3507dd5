//! The receiving side: one sender is shown, what it sends is put together, what is missing is asked for.
//!
//! Slices leave as events the moment they are whole; pictures are settled in order. Another sender that dials in while one is
//! shown is told "busy"; when the shown one's connection broke, the newcomer is taken. All state of a sender is in
//! [`Source`], so that several could be kept one day.

mod events;
mod telling;

pub use events::{Command, Config, Event};

use super::endpoint::{self, Endpoint, Incoming, Notice};
use super::hearing::Hearing;
use super::link::LinkId;
use super::stats::ReceiverStats;
use super::unreachable::DialError;
use super::{Core, HostId, Output, StreamId};
use crate::media::clock::Estimate;
use crate::media::depacketizer::{Depacketizer, Limits, Pushed};
use crate::media::nack::Tracker;
use crate::media::recovery::Recovery;
use crate::media::train::Collector;
use crate::time::MediaTime;
use crate::wire::datagram::{FragmentHead, Message};
use crate::wire::record::{End, Format, Reason, Record};
use crate::wire::report::Report;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A picture is shown in part one picture period after it should have come, within these bounds.
const LIVE_WAIT: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(50));

/// Live pictures being put together at once, and their bytes.
const LIVE_LIMITS: Limits = Limits { pictures: 2, bytes: 16 << 20, wait: LIVE_WAIT.1, newest_wins: true };

/// A file that is written waits for a retransmission this long; the pictures of that time at 120 a second, and their bytes.
const PATIENT_LIMITS: Limits = Limits { pictures: 256, bytes: 64 << 20, wait: Duration::from_secs(2), newest_wins: false };

/// What a second sender is told, after the receiver's name.
const BUSY: &str = "already shows another sender: stop that one, or start another recv there with another --port";

/// After the end record the rest is waited for this long.
const END_WAIT: Duration = Duration::from_secs(2);

/// All state of the sender that is shown.
struct Source {
    link: LinkId,
    /// The link before it, of which the last may still be on its way.
    former: Option<LinkId>,
    id: [u8; 16],
    clock: Estimate,
    depacketizer: Depacketizer,
    tracker: Tracker,
    trains: Collector,
    recovery: Recovery,
    report: Report,
    next_report: Instant,
    quiet: bool,
    hearing: Hearing,
    /// Copies of sound help: nothing of it waits for what TCP brings late.
    wants_copies: bool,
    blocks: Option<u64>,
    last_picture: Option<(Instant, Duration)>,
    end: Option<(End, Instant)>,
}

/// See the module text.
pub struct Session {
    endpoint: Endpoint,
    patient: bool,
    sound: bool,
    pictures: bool,
    source: Option<Source>,
    events: VecDeque<Event>,
    stats: ReceiverStats,
    shown: u32,
    /// Where a file is written, the sender is told of pictures in it, not of pictures that came.
    written: Option<u64>,
    next_stats: Instant,
}

impl Source {
    /// Whether anything that is missing is wanted: of a picture that began and whose deadline an answer meets, or, patient, of any.
    fn asks(&self, now: Instant, rtt: Duration) -> bool {
        let in_time = || self.depacketizer.last_deadline().is_some_and(|deadline| now + rtt <= deadline);
        self.depacketizer.is_patient() || (self.depacketizer.is_waiting() && in_time())
    }

    /// A datagram came, `data` if it carried a piece of a picture.
    fn number_came(&mut self, now: Instant, number: u64, data: bool) {
        self.report.received += 1;
        self.tracker.received(now, number, data);
        self.hearing.datagram_came(now, number);
    }
}

impl Session {
    /// A receiver nobody has found yet.
    pub fn new(now: Instant, config: Config) -> Self {
        let Config { me, hosts, reconnect, epoch } = config;
        let (patient, sound, pictures) = (me.patient, me.sound, me.pictures);
        Session {
            endpoint: Endpoint::new(now, endpoint::Config { me, hosts, reconnect, epoch }),
            patient,
            sound,
            pictures,
            source: None,
            events: VecDeque::new(),
            stats: ReceiverStats::default(),
            shown: 0,
            written: None,
            next_stats: now + telling::STATS,
        }
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some(notice) = self.endpoint.poll_notice() {
            match notice {
                Notice::Up { link, replaces } => self.sender_up(now, link, replaces),
                Notice::Path(link) if self.is_source(link) => self.events.push_back(Event::Path),
                Notice::Path(_) => {}
                Notice::NoUdp(link, address) if self.is_source(link) => self.events.push_back(Event::NoUdp(address)),
                Notice::NoUdp(..) => {}
                Notice::Down(link, reason, sentence) if self.is_source(link) => {
                    self.finish_end(now, true);
                    self.source = None;
                    self.events.push_back(Event::SenderDown { reason, sentence });
                }
                Notice::Down(..) => {}
                Notice::TurnedAway(from, sentence) => self.events.push_back(Event::TurnedAway(from, sentence)),
                Notice::Unreachable { host, error, fatal } => {
                    self.events.push_back(Event::Unreachable { host, error, fatal });
                }
            }
        }
    }

    fn is_source(&self, link: LinkId) -> bool {
        self.source.as_ref().is_some_and(|source| source.link == link)
    }

    /// Whether pictures that come over `link` are the source's.
    fn is_of_source(&self, link: LinkId) -> bool {
        self.source.as_ref().is_some_and(|source| source.link == link || source.former == Some(link))
    }

    fn sender_up(&mut self, now: Instant, link: LinkId, replaces: Option<LinkId>) {
        let Some(hello) = self.endpoint.hello(link) else { return };
        let (id, name, film, pictures) = (hello.id, hello.name.clone(), hello.patient, hello.pictures);
        let patient = film || self.patient;
        let address = self.endpoint.link(link).map_or(SocketAddr::from(([0; 4], 0)), |link| link.remote);
        if let Some(source) = &mut self.source {
            if replaces == Some(source.link) || (source.id == id && source.link != link) {
                // The same process came back: its numbers go on, its packet numbers start afresh.
                source.former = Some(std::mem::replace(&mut source.link, link));
                source.tracker = Tracker::new(source.depacketizer.is_patient());
                source.hearing.reconnected();
                source.trains = Collector::default();
                self.events.push_back(Event::SenderUp { name, address, again: true, film, pictures });
                return;
            }
            // Its connection closed, or nothing is heard of it: a machine that lost its power closes nothing.
            let shown = source.link;
            let gone = self.endpoint.link(shown).is_none_or(|link| link.is_gone(now, address.ip()));
            if !gone {
                self.endpoint.leave(link, Reason::Busy, BUSY);
                return;
            }
            let old = source.link;
            self.endpoint.leave(old, Reason::Replaced, "");
            self.source = None;
            let sentence = "another sender took its place".to_string();
            self.events.push_back(Event::SenderDown { reason: None, sentence });
        }
        self.written = None;
        let limits = if patient { PATIENT_LIMITS } else { LIVE_LIMITS };
        self.source = Some(Source {
            link,
            former: None,
            id,
            clock: Estimate::new(),
            depacketizer: Depacketizer::new(limits),
            tracker: Tracker::new(patient),
            trains: Collector::default(),
            recovery: Recovery::default(),
            report: Report::default(),
            next_report: now + telling::REPORT,
            quiet: false,
            hearing: Hearing::new(),
            wants_copies: self.sound && !(film && self.patient),
            blocks: None,
            last_picture: None,
            end: None,
        });
        self.events.push_back(Event::SenderUp { name, address, again: false, film, pictures });
    }

    fn handle_message(&mut self, now: Instant, (link, number): (LinkId, u64), message: &Message<'_>, bytes: usize) {
        let Some(source) = &mut self.source else { return };
        source.report.bytes += bytes as u64;
        self.stats.datagrams += 1;
        self.stats.bytes += bytes as u64;
        if link == source.link {
            source.number_came(now, number, matches!(message, Message::Fragment(..)));
        }
        match message {
            Message::Fragment(head, payload) if self.pictures => {
                source.trains.push(head.picture, number, bytes, self.endpoint.epoch().media_time(now).as_nanos() / 1000);
                source.recovery.push_fragment(now, *head, payload);
                self.take_fragment(now, *head, payload);
                self.take_recovered(now);
                self.settle(now);
            }
            Message::Shard(shard) if self.pictures => {
                source.recovery.push_shard(now, shard);
                self.take_recovered(now);
                self.settle(now);
            }
            Message::Piece(piece) if self.sound => {
                if let Some(whole) = source.hearing.piece_came(now, piece) {
                    self.take_sound(whole.number, whole.capture, whole.channels, whole.samples);
                }
            }
            // A receiver is asked for nothing; the rest is the path's.
            _ => {}
        }
    }

    fn take_fragment(&mut self, now: Instant, head: FragmentHead, payload: &[u8]) {
        let Some(source) = &mut self.source else { return };
        match source.depacketizer.push(now, head, payload) {
            Pushed::Stored => {}
            Pushed::Slice { slice, whole } => {
                self.stats.slices += 1;
                self.events.push_back(Event::Slice(slice, whole));
            }
            Pushed::Late => self.stats.late += 1,
            Pushed::Bad => self.stats.bad += 1,
        }
    }

    fn take_recovered(&mut self, now: Instant) {
        while let Some((head, payload)) = self.source.as_mut().and_then(|source| source.recovery.poll()) {
            self.stats.recovered += 1;
            self.take_fragment(now, head, &payload);
        }
    }

    /// The first copy of a block is here.
    fn take_sound(&mut self, number: u64, capture: MediaTime, channels: u8, samples: Vec<u8>) {
        let Some(source) = &mut self.source else { return };
        source.blocks = source.blocks.max(Some(number.saturating_add(1)));
        self.stats.blocks += 1;
        self.events.push_back(Event::Sound { number, capture, channels, samples });
    }

    fn settle(&mut self, now: Instant) {
        let Some(source) = &mut self.source else { return };
        while let Some(settled) = source.depacketizer.poll_settled(now) {
            if settled.is_whole() {
                self.stats.whole += 1;
            } else if settled.count > 0 {
                self.stats.partial += 1;
            } else {
                self.stats.lost += 1;
            }
            if settled.count > 0 && !self.patient {
                // The wait follows the picture period as it is seen.
                let period = source
                    .last_picture
                    .map_or(LIVE_WAIT.1, |(at, period)| (period * 7 + now.saturating_duration_since(at).min(LIVE_WAIT.1)) / 8);
                source.last_picture = Some((now, period));
                if !source.depacketizer.is_patient() {
                    source.depacketizer.set_wait(period.clamp(LIVE_WAIT.0, LIVE_WAIT.1));
                }
            }
            self.events.extend(std::iter::from_fn(|| source.depacketizer.poll_part()).map(Event::Part));
            self.events.push_back(Event::Settled(settled));
        }
        if !source.depacketizer.is_waiting() {
            source.tracker.settle(now);
        }
    }

    /// After the end record: finished when both last numbers are there, or the wait is over, or (`gone`) nothing more can come.
    fn finish_end(&mut self, now: Instant, gone: bool) {
        let Some(source) = &mut self.source else { return };
        let Some((end, deadline)) = source.end else { return };
        let pictures = !self.pictures || source.depacketizer.settled() >= end.pictures;
        let blocks = !self.sound || source.blocks.unwrap_or(0) >= end.blocks;
        if (pictures && blocks) || now >= deadline || gone {
            source.end = None;
            while let Some(settled) = source.depacketizer.give_up(end.pictures) {
                self.events.extend(std::iter::from_fn(|| source.depacketizer.poll_part()).map(Event::Part));
                self.stats.partial += u64::from(settled.count > 0);
                self.stats.lost += u64::from(settled.count == 0);
                self.events.push_back(Event::Settled(settled));
            }
            self.events.push_back(Event::Finished);
        }
    }
}

impl Core for Session {
    type Command = Command;
    type Event = Event;

    fn handle_command(&mut self, _now: Instant, command: Command) {
        match command {
            Command::Shown(count) => self.shown = count,
            Command::Written(next) => self.written = Some(next),
            Command::Recycle(bytes) => {
                if let Some(source) = &mut self.source {
                    source.depacketizer.recycle(bytes);
                }
            }
            Command::Stop(sentence) => {
                self.tell_stats();
                self.endpoint.stop(&sentence);
                self.source = None;
            }
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        let len = bytes.len();
        match self.endpoint.handle_datagram(now, from, bytes) {
            Some((link, Incoming::Message(number, message))) if self.is_of_source(link) => {
                self.handle_message(now, (link, number), &message, len);
            }
            Some((link, Incoming::Clock { number, asked, received, replied })) if self.is_source(link) => {
                let Some(source) = &mut self.source else { return };
                source.number_came(now, number, false);
                source.clock.sample(now, asked, received, replied);
                self.events.extend(source.clock.mapping().map(Event::Clock));
            }
            Some((link, Incoming::Control(number))) if self.is_source(link) => {
                if let Some(source) = &mut self.source {
                    source.number_came(now, number, false);
                }
            }
            _ => {}
        }
        self.ask(now);
        self.want_sound(now);
    }

    fn handle_accepted(&mut self, now: Instant, stream: StreamId, from: SocketAddr) {
        self.endpoint.handle_accepted(now, stream, from);
    }

    fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(StreamId, SocketAddr), DialError>) {
        self.endpoint.handle_dialled(now, host, outcome);
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, bytes: &[u8]) {
        let Some(link) = self.endpoint.handle_stream(now, stream, bytes) else { return };
        loop {
            // Sound is copied out of the endpoint's buffer, for taking it needs the rest of us.
            enum Got {
                Format(Format),
                Sound(u64, MediaTime, u8, Vec<u8>),
                End(End),
            }
            let got = match self.endpoint.next_record(now, link) {
                Some(Record::Format(format)) => Got::Format(format),
                Some(Record::Sound(sound)) => Got::Sound(sound.number, sound.capture, sound.channels, sound.samples.to_vec()),
                Some(Record::End(end)) => Got::End(end),
                Some(Record::Hello(_) | Record::Goodbye(..) | Record::Heard(_)) => continue,
                None => break,
            };
            // The hello of this link may have come in the same bytes.
            self.take_notices(now);
            if !self.is_source(link) {
                continue;
            }
            match got {
                Got::Format(format) => {
                    if let Some(source) = self.source.as_mut().filter(|source| source.depacketizer.is_patient()) {
                        source.depacketizer.begin_at(now, format.first);
                    }
                    self.events.push_back(Event::Format(format));
                }
                Got::Sound(number, capture, channels, samples) => {
                    let frames = samples.len() / (2 * usize::from(channels));
                    let Some(source) = self.source.as_mut().filter(|_| self.sound) else { continue };
                    if source.hearing.block_came(now, number, capture, frames) {
                        self.take_sound(number, capture, channels, samples);
                    }
                }
                Got::End(end) => {
                    if let Some(source) = &mut self.source {
                        source.end = Some((end, now + END_WAIT));
                        source.depacketizer.expect_up_to(now, end.pictures);
                    }
                    self.events.push_back(Event::End(end));
                }
            }
        }
    }

    fn handle_stream_closed(&mut self, now: Instant, stream: StreamId) {
        self.endpoint.handle_stream_closed(now, stream);
    }

    fn handle_writable(&mut self, _now: Instant, stream: StreamId, writable: bool) {
        self.endpoint.handle_writable(stream, writable);
    }

    fn handle_timeout(&mut self, now: Instant) {
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
        Output::Wait(self.deadline(now))
    }
}
