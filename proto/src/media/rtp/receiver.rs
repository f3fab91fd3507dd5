//! What comes to a port for pictures and one for sound → JPEGs and blocks of sound, each with the moment at which it was caught.
//!
//! Nothing in RTP proves who sends. So one source is taken at a time, which is an address and the number it gives its stream:
//! whoever sends what is understood first, until it says goodbye or nothing was heard of it for [`SILENCE`]; pictures and sound
//! are taken of one machine. What others send meanwhile is dropped, and told of once. Whoever can forge an address can still
//! interfere: the ports are for a network that is trusted.
//!
//! Bytes are anybody's. What is kept is what the [`Depacketizer`] and the [`Joiner`] keep.

use super::depacketizer::Depacketizer;
use super::joiner::{Fit, Joiner};
use super::jpeg::{self, Payload};
use super::packet::Header;
use super::rtcp::{self, Told};
use super::timeline::{MOST_SHIFT, Timeline};
use crate::sound::{Block, RATE};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// After so long another source may take the place.
pub const SILENCE: Duration = Duration::from_secs(2);

/// After so long nothing comes any more.
pub const GONE: Duration = Duration::from_secs(5);

/// Sources follow each other no sooner: who says goodbye and comes again and again costs little.
const APART: Duration = Duration::from_millis(500);

/// Types of packets from here on mean what the two sides agreed on (RFC 3551 §6).
const DYNAMIC: u8 = 96;

/// L16 at 44.1 kHz (RFC 3551 §6).
const L16_44100: [u8; 2] = [10, 11];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Pictures,
    Sound,
}

/// Why packets are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Packets of this type are no JPEGs.
    NotJpeg(u8),
    /// L16, at 44.1 kHz.
    Rate,
    /// Packets of this type are no L16.
    NotL16(u8),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// From now on it is taken from there.
    Came(Medium, SocketAddr),
    /// A JPEG, and when it was caught.
    Picture(Instant, Vec<u8>),
    Sound(Block<Instant>),
    /// Nothing comes any more.
    Gone(Medium),
    /// Somebody else sends there as well, and is not taken.
    Other(Medium, SocketAddr),
    Unfit(Medium, SocketAddr, Unfit),
}

/// See the module text.
#[derive(Debug)]
pub struct Receiver {
    pictures: Stream<Depacketizer>,
    sound: Stream<Joiner>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Stream<Work> {
    medium: Medium,
    /// Ticks in a second.
    rate: u32,
    most_shift: Duration,
    source: Option<Source<Work>>,
    /// The last report that came before its stream: of whom, its number, and what it says.
    early: Option<(IpAddr, u32, u32, u64)>,
    /// When the last source came.
    came: Option<Instant>,
    /// It was said why packets are of no use.
    refused: bool,
}

#[derive(Debug)]
struct Source<Work> {
    from: SocketAddr,
    ssrc: u32,
    heard: Instant,
    timeline: Timeline,
    work: Work,
    /// It was said that there is another.
    disputed: bool,
}

impl<Work: Default> Stream<Work> {
    fn new(medium: Medium, rate: u32, most_shift: Duration) -> Self {
        Stream { medium, rate, most_shift, source: None, early: None, came: None, refused: false }
    }

    /// The one that has its place now.
    fn live(&self, now: Instant) -> Option<&Source<Work>> {
        self.source.as_ref().filter(|source| now.saturating_duration_since(source.heard) < SILENCE)
    }

    /// What somebody sends has a place here; `machine`: the only one whose has.
    fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        ssrc: u32,
        machine: Option<IpAddr>,
        events: &mut VecDeque<Event>,
    ) -> Option<&mut Source<Work>> {
        let medium = self.medium;
        let is_same = self.source.as_ref().is_some_and(|source| (source.from, source.ssrc) == (from, ssrc));
        if !is_same && (self.live(now).is_some() || machine.is_some_and(|machine| machine != from.ip())) {
            if let Some(source) = self.source.as_mut().filter(|source| !source.disputed) {
                source.disputed = true;
                events.push_back(Event::Other(medium, from));
            }
            return None;
        }
        if !is_same {
            if self.came.is_some_and(|came| now.saturating_duration_since(came) < APART) {
                return None;
            }
            self.came = Some(now);
            events.push_back(Event::Came(medium, from));
            let (timeline, work, disputed) = (Timeline::new(self.rate, self.most_shift), Work::default(), false);
            self.source = Some(Source { from, ssrc, heard: now, timeline, work, disputed });
            self.refused = false;
        }
        let source = self.source.as_mut()?;
        source.heard = now;
        Some(source)
    }

    /// What was said of a stream before it came.
    fn report_early(&mut self) {
        if let (Some(source), Some((ip, ssrc, timestamp, ntp))) = (&mut self.source, self.early)
            && (source.from.ip(), source.ssrc) == (ip, ssrc)
        {
            source.timeline.reported(timestamp, ntp);
            self.early = None;
        }
    }

    /// Whether that was a farewell of the one that is taken.
    fn told(&mut self, from: IpAddr, told: Told) -> bool {
        let ours = self.source.as_mut().filter(|source| source.from.ip() == from);
        match (told, ours) {
            (Told::Report { ssrc, ntp, timestamp }, Some(source)) if source.ssrc == ssrc => {
                source.timeline.reported(timestamp, ntp);
                false
            }
            (Told::Report { ssrc, ntp, timestamp }, _) => {
                self.early = Some((from, ssrc, timestamp, ntp));
                false
            }
            (Told::Bye { ssrc }, Some(source)) => source.ssrc == ssrc,
            (Told::Bye { .. }, None) => false,
        }
    }

    /// Packets of this kind are of no use, which is said once.
    fn refuse(&mut self, from: SocketAddr, why: Unfit, events: &mut VecDeque<Event>) {
        if self.source.is_none() && !self.refused {
            self.refused = true;
            events.push_back(Event::Unfit(self.medium, from, why));
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.source.as_ref().is_some_and(|source| now.saturating_duration_since(source.heard) >= GONE)
    }
}

impl Default for Receiver {
    fn default() -> Self {
        let (pictures, sound) =
            (Stream::new(Medium::Pictures, jpeg::RATE, MOST_SHIFT.0), Stream::new(Medium::Sound, RATE, MOST_SHIFT.1));
        Receiver { pictures, sound, events: VecDeque::new() }
    }
}

impl Receiver {
    /// A packet came to the port of pictures, or of sound.
    pub fn handle_packet(&mut self, now: Instant, medium: Medium, from: SocketAddr, packet: &[u8]) {
        let Some((header, payload)) = Header::decode(packet) else { return };
        match medium {
            Medium::Pictures => self.take_picture(now, from, &header, payload),
            Medium::Sound => self.take_sound(now, from, &header, payload),
        }
    }

    /// A packet came to the port of reports beside it.
    pub fn handle_report(&mut self, medium: Medium, from: SocketAddr, compound: &[u8]) {
        let mut is_over = false;
        rtcp::read(compound, |told| {
            is_over |= match medium {
                Medium::Pictures => self.pictures.told(from.ip(), told),
                Medium::Sound => self.sound.told(from.ip(), told),
            };
        });
        if is_over {
            self.end(medium);
        }
    }

    /// Time went by.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (medium, is_over) in [(Medium::Pictures, self.pictures.is_over(now)), (Medium::Sound, self.sound.is_over(now))] {
            if is_over {
                self.end(medium);
            }
        }
    }

    /// When [`Receiver::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let heard =
            [self.pictures.source.as_ref().map(|source| source.heard), self.sound.source.as_ref().map(|source| source.heard)];
        heard.into_iter().flatten().min().map(|heard| heard + GONE)
    }

    /// What became of what came; to be asked until there is nothing more.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn take_picture(&mut self, now: Instant, from: SocketAddr, header: &Header, payload: &[u8]) {
        if header.payload_type != jpeg::PAYLOAD_TYPE {
            return self.pictures.refuse(from, Unfit::NotJpeg(header.payload_type), &mut self.events);
        }
        if Payload::decode(payload).is_none() {
            return;
        }
        let machine = self.sound.live(now).map(|source| source.from.ip());
        let Some(source) = self.pictures.take(now, from, header.ssrc, machine, &mut self.events) else { return };
        source.timeline.arrived(header.timestamp, now);
        let done = source.work.push(header, payload);
        self.pictures.report_early();
        let Some(source) = &mut self.pictures.source else { return };
        if let Some(sound) = self.sound.source.as_ref().filter(|sound| sound.from.ip() == from.ip()) {
            source.timeline.join(&sound.timeline, now);
        }
        for picture in done {
            let caught = source.timeline.caught(picture.timestamp, now);
            self.events.push_back(Event::Picture(caught, picture.jpeg));
        }
    }

    fn take_sound(&mut self, now: Instant, from: SocketAddr, header: &Header, payload: &[u8]) {
        match header.payload_type {
            DYNAMIC.. => {}
            kind if L16_44100.contains(&kind) => return self.sound.refuse(from, Unfit::Rate, &mut self.events),
            kind => return self.sound.refuse(from, Unfit::NotL16(kind), &mut self.events),
        }
        let machine = self.pictures.live(now).map(|source| source.from.ip());
        let Some(source) = self.sound.take(now, from, header.ssrc, machine, &mut self.events) else { return };
        source.timeline.arrived(header.timestamp, now);
        self.sound.report_early();
        let Some(source) = &mut self.sound.source else { return };
        if let Some(pictures) = self.pictures.source.as_ref().filter(|pictures| pictures.from.ip() == from.ip()) {
            source.timeline.join(&pictures.timeline, now);
        }
        let (timeline, events) = (&mut source.timeline, &mut self.events);
        let fit = source.work.push(header, payload, |timestamp, channels, samples| {
            let capture = timeline.caught(timestamp, now);
            events.push_back(Event::Sound(Block { capture, channels, samples: samples.into() }));
        });
        if fit == Fit::No {
            events.push_back(Event::Unfit(Medium::Sound, from, Unfit::NotL16(header.payload_type)));
        }
    }

    /// A stream is over; what of its last picture is there is shown.
    fn end(&mut self, medium: Medium) {
        let was_there = match medium {
            Medium::Pictures => self.pictures.source.take().map(|mut source| {
                if let Some(picture) = source.work.finish() {
                    let caught = source.timeline.caught(picture.timestamp, source.heard);
                    self.events.push_back(Event::Picture(caught, picture.jpeg));
                }
            }),
            Medium::Sound => self.sound.source.take().map(drop),
        };
        self.events.extend(was_there.map(|()| Event::Gone(medium)));
    }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
