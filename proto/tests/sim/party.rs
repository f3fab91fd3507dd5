//! A process: the shipped `Session` with what it has of a [`Camera`] and a [`Screen`]. A sender has the one, a receiver the
//! other, a party of a call both.

use super::harness::{Moment, Program, Tick};
use super::oscillator::{Base, Oscillator};
use super::receiving::{Screen, Shared, Sources, Views};
use super::sending::{Camera, Stream, a_receiver, a_sender, identity};
use super::source::Source;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::sound_form::Wish;
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Command, Config, Core, Event, HostId, MOST_SENDERS, Output, Session, SocketId};
use eyeline_proto::wire::record::{Media, Want};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// See the module text.
pub struct Party {
    session: Session,
    camera: Option<Camera>,
    screen: Option<Screen>,
}

/// Where and when a process starts: the true time, and how many hosts it dials.
#[derive(Clone, Copy)]
pub struct Start {
    pub base: Base,
    pub at: u64,
    pub hosts: usize,
    /// It decodes Opus, and sends sound as its user wishes.
    pub opus: Option<Wish>,
    /// Datagrams may go directly to other guests of a meeting.
    pub direct: bool,
}

/// The clocks of a machine, its microphone and its speaker.
#[derive(Clone, Copy)]
pub struct Clocks {
    pub machine: Oscillator,
    pub microphone: Oscillator,
    pub speaker: Oscillator,
}

impl Party {
    /// `send`.
    pub fn sending(
        start: Start,
        name: &str,
        (clock, microphone): (Oscillator, Oscillator),
        stream: Stream,
    ) -> (Box<Party>, Rc<RefCell<Source>>) {
        let (me, format, cap) = (a_sender(name, stream.film.is_some()), stream.format(), stream.cap);
        let (camera, source) = Camera::new(start.at, name, (clock, microphone), stream);
        let config = |config: Config| Config { format, cap, ..config };
        (Party::new(start, clock, me, config, Some(camera), None), source)
    }

    /// `recv`, of so many senders at once, and with as many viewers: one of all who follow each other, or one of each track. It
    /// may write what comes; `want`: what there is use for.
    pub fn receiving(
        start: Start,
        name: &str,
        (clock, speaker): (Oscillator, Oscillator),
        (senders, viewers): (usize, usize),
        (lossless, want): (bool, Want),
        sources: &Sources,
    ) -> (Box<Party>, Shared, Views) {
        let (screen, shared, views) = Screen::new(start.base, (clock, speaker), viewers, lossless, sources);
        let config = |config: Config| Config { senders, want, ..config };
        (Party::new(start, clock, a_receiver(name, lossless), config, None, Some(screen)), shared, views)
    }

    /// `call`: it has a camera, or none ([`Stream::none`]), and wants everybody's; and it forwards. `want`: what there is use for
    /// at itself.
    pub fn calling(
        start: Start,
        name: &str,
        clocks: Clocks,
        (stream, want): (Stream, Want),
        sources: &Sources,
    ) -> (Box<Party>, Rc<RefCell<Source>>, Shared, Views) {
        let me = Identity { forwards: true, ..identity(name, stream.media(), Media::LIVE) };
        let (format, cap) = (stream.format(), stream.cap);
        let (screen, shared, views) = Screen::new(start.base, (clocks.machine, clocks.speaker), MOST_SENDERS, false, sources);
        let (camera, source) = Camera::new(start.at, name, (clocks.machine, clocks.microphone), stream);
        let config = |config: Config| Config { format, cap, want, ..config };
        (Party::new(start, clocks.machine, me, config, Some(camera), Some(screen)), source, shared, views)
    }

    fn new(
        start: Start,
        clock: Oscillator,
        mut me: Identity,
        config: impl FnOnce(Config) -> Config,
        camera: Option<Camera>,
        screen: Option<Screen>,
    ) -> Box<Party> {
        let now = start.base.instant(clock.shows(start.at));
        // One that is started again under its name is another process.
        me.id.iter_mut().zip(start.at.to_le_bytes()).for_each(|(byte, started)| *byte ^= started);
        (me.opus, me.direct) = (start.opus.is_some(), start.direct);
        let sound = start.opus.unwrap_or_default();
        let config = config(Config { hosts: start.hosts, sound, ..Config::new(me, Epoch::new(now)) });
        Box::new(Party { session: Session::new(now, config), camera, screen })
    }

    fn handle_event(&mut self, at: Moment, event: Event) {
        let what = format!("{:?}", std::mem::discriminant(&event));
        let mut known = self.camera.as_mut().is_some_and(|camera| camera.handle_event(at, &event));
        known |= self.screen.as_mut().is_some_and(|screen| screen.handle_event(at, event));
        assert!(known, "it is none of its business: {what}");
    }

    /// What camera and screen want of the session.
    fn tell(&mut self, at: Moment) {
        let said = self.camera.as_mut().map(|camera| std::mem::take(&mut camera.commands));
        let noted = self.screen.as_mut().map(|screen| std::mem::take(&mut screen.desk.commands));
        for command in said.into_iter().chain(noted).flatten() {
            self.session.handle_command(at.local, command);
        }
    }
}

impl Program for Party {
    fn handle_datagram(&mut self, at: Moment, from: SocketAddr, bytes: &mut [u8]) {
        self.session.handle_datagram(at.local, from, bytes);
    }

    fn handle_too_long(&mut self, at: Moment, to: SocketAddr, len: usize) {
        self.session.handle_too_long(at.local, to, len);
    }

    fn handle_accepted(&mut self, at: Moment, socket: SocketId, from: SocketAddr) {
        self.session.handle_accepted(at.local, socket, from, false);
    }

    fn handle_dialled(&mut self, at: Moment, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>) {
        self.session.handle_dialled(at.local, host, outcome);
    }

    fn handle_bytes(&mut self, at: Moment, socket: SocketId, bytes: &[u8]) {
        self.session.handle_bytes(at.local, socket, bytes);
    }

    fn handle_closed(&mut self, at: Moment, socket: SocketId) {
        self.session.handle_closed(at.local, socket);
    }

    fn handle_writable(&mut self, at: Moment, socket: SocketId, writable: bool) {
        self.session.handle_writable(at.local, socket, writable);
    }

    fn handle_timeout(&mut self, at: Moment) {
        self.session.handle_timeout(at.local);
    }

    fn tick(&mut self, at: Moment, tick: Tick) {
        match (tick, &mut self.camera, &mut self.screen) {
            (Tick::Speaker(..) | Tick::Due, _, Some(screen)) => screen.tick(at, tick),
            (_, Some(camera), _) => camera.tick(at, tick),
            (_, _, _) => unreachable!("nobody here wants {tick:?}"),
        }
        self.tell(at);
    }

    fn command(&mut self, at: Moment, command: Command) {
        if let (Command::Silence { muted, closed }, Some(camera)) = (&command, &mut self.camera) {
            camera.silence(*muted, *closed);
        }
        self.session.handle_command(at.local, command);
    }

    fn poll(&mut self, at: Moment, buffer: &mut Vec<u8>) -> Option<Output<()>> {
        match self.session.poll(at.local, buffer) {
            Output::Event(event) => {
                self.handle_event(at, event);
                self.tell(at);
                None
            }
            Output::Datagrams { to, segment, len } => Some(Output::Datagrams { to, segment, len }),
            Output::Bytes { socket } => Some(Output::Bytes { socket }),
            Output::Close { socket } => Some(Output::Close { socket }),
            Output::Dial { host, also } => Some(Output::Dial { host, also }),
            Output::Wait(deadline) => Some(Output::Wait(deadline)),
        }
    }

    fn wake(&mut self, at: Moment) {
        if let Some(camera) = &mut self.camera {
            camera.wake(at);
        }
        if let Some(screen) = &mut self.screen {
            screen.wake(at);
        }
    }

    fn take_ticks(&mut self) -> Vec<(u64, Tick)> {
        let mut ticks = self.camera.as_mut().map(|camera| std::mem::take(&mut camera.ticks)).unwrap_or_default();
        ticks.extend(self.screen.as_mut().map(|screen| std::mem::take(&mut screen.desk.ticks)).unwrap_or_default());
        ticks
    }
}
