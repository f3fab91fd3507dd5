//! A receiving process: the shipped `Session`, with a [`Viewer`] of what its sender sends, or one of each of many. The speaker is
//! in `speaker.rs`.

use super::harness::{Moment, Program, Tick};
use super::oscillator::{Base, Oscillator};
use super::sending::{Source, a_receiver};
use super::speaker::Speaker;
use super::viewer::{Desk, Viewer, Watched};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::hold_queue;
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Command, Config, Core, Event, HostId, Output, PeerId, Session, StreamId, TrackId};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

pub struct Receiving {
    session: Session,
    desk: Desk,
    sources: Sources,
    /// How many senders may be received from at once.
    senders: usize,
    /// What is seen of the only sender there can be, whoever that is, and what the session says of nobody.
    shared: Shared,
    viewers: Vec<Viewer>,
    /// Of many senders each has its own.
    views: Views,
    speaking: bool,
}

/// The senders there are, by name; a scenario may add to them.
pub type Sources = Rc<RefCell<Vec<Rc<RefCell<Source>>>>>;

pub type Shared = (Rc<RefCell<Watched>>, Rc<RefCell<Speaker>>);

/// What was seen of each of many senders, with its name, in the order in which they came.
pub type Views = Rc<RefCell<Vec<(String, Rc<RefCell<Watched>>)>>>;

impl Receiving {
    pub fn new(
        base: Base,
        start: u64,
        name: &str,
        (clock, speaker): (Oscillator, Oscillator),
        hosts: usize,
        patient: bool,
        sources: &Sources,
    ) -> (Box<Receiving>, Shared) {
        let mut receiving = Receiving::of_many(base, start, name, (clock, speaker), (hosts, 1), patient, sources).0;
        let (watched, speaker) = receiving.shared.clone();
        receiving.viewers.push(Viewer::new(watched, speaker));
        let shared = receiving.shared.clone();
        (receiving, shared)
    }

    /// One that receives from so many senders at once. They have no sound, for there is one speaker.
    pub fn of_many(
        base: Base,
        start: u64,
        name: &str,
        (clock, speaker): (Oscillator, Oscillator),
        (hosts, senders): (usize, usize),
        patient: bool,
        sources: &Sources,
    ) -> (Box<Receiving>, Views, Rc<RefCell<Watched>>) {
        let now = base.instant(clock.shows(start));
        let me = a_receiver(name, patient);
        let watched = Rc::new(RefCell::new(Watched::default()));
        let speaker = Rc::new(RefCell::new(Speaker::new(base, speaker)));
        let (commands, ticks, wakes, scan) = (Vec::new(), Vec::new(), None, Vec::new());
        let views = Views::default();
        let receiving = Receiving {
            session: Session::new(now, Config { hosts, senders, ..Config::new(me, Epoch::new(now)) }),
            desk: Desk { writes: patient, clock, base, commands, ticks, wakes, scan },
            sources: sources.clone(),
            senders,
            shared: (watched.clone(), speaker),
            viewers: Vec::new(),
            views: views.clone(),
            speaking: false,
        };
        (Box::new(receiving), views, watched)
    }

    fn tell(&mut self, at: Moment) {
        for command in std::mem::take(&mut self.desk.commands) {
            self.session.handle_command(at.local, command);
        }
    }

    /// Who watches what this peer sends.
    fn viewer(&mut self, peer: PeerId) -> (&mut Viewer, &mut Desk) {
        let place = self.viewers.iter().position(|viewer| self.senders == 1 || viewer.track.peer == peer);
        (&mut self.viewers[place.expect("it came")], &mut self.desk)
    }

    fn sender_up(&mut self, at: Moment, peer: PeerId, name: &str, (again, film): (bool, bool)) {
        if self.senders > 1 && !again {
            let watched = Rc::new(RefCell::new(Watched::default()));
            self.views.borrow_mut().push((name.to_string(), watched.clone()));
            let mut viewer = Viewer::new(watched, self.shared.1.clone());
            viewer.track = TrackId::own(peer);
            self.viewers.push(viewer);
        }
        let source = self.sources.borrow().iter().find(|source| source.borrow().name == name).cloned();
        let (viewer, desk) = self.viewer(peer);
        (viewer.track, viewer.film, viewer.shown_source) = (TrackId::own(peer), film, source);
        viewer.watched.borrow_mut().senders.push((at.true_ns, name.to_string()));
        if viewer.watched.borrow().stuck {
            desk.commands.push(Command::Written(viewer.track, 0));
        }
        if !again {
            viewer.start_over();
        }
    }

    /// `what` is for the log of this peer's viewer.
    fn note(&mut self, at: Moment, peer: PeerId, what: String) {
        self.viewer(peer).0.watched.borrow_mut().log.push((at.true_ns / 1_000_000, what));
    }

    fn handle_event(&mut self, at: Moment, event: Event) {
        let mut common = None;
        match event {
            Event::Slice(track, slice) => {
                let (viewer, desk) = self.viewer(track.peer);
                viewer.take_slice(at, slice, desk);
            }
            Event::Part(track, part) => {
                let (viewer, desk) = self.viewer(track.peer);
                viewer.take_part(at, part, desk);
            }
            Event::Settled(track, settled) => {
                let (viewer, desk) = self.viewer(track.peer);
                viewer.settle(at, settled, desk);
            }
            Event::Sound { track, number, capture, channels, samples } => {
                assert_eq!(self.senders, 1, "many senders have no sound here");
                self.viewer(track.peer).0.take_sound(at, (number, capture, channels), &samples);
            }
            Event::Clock(peer, mapping) => {
                let (viewer, desk) = self.viewer(peer);
                viewer.take_clock(at, mapping, desk);
            }
            Event::SenderUp { peer, name, again, film, .. } => {
                self.sender_up(at, peer, &name, (again, film));
                self.note(at, peer, format!("up {name}{}", if again { " again" } else { "" }));
            }
            Event::SenderDown { peer, reason, sentence } => {
                self.note(at, peer, format!("down {reason:?} {sentence}"));
                self.viewers.retain(|viewer| self.senders == 1 || viewer.track.peer != peer);
            }
            Event::Track(track, said) => {
                let format = said.format;
                if format.channels > 0 && !std::mem::replace(&mut self.speaking, true) {
                    self.desk.ticks.push((self.shared.1.borrow_mut().begin(at.true_ns), Tick::Speaker(0)));
                }
                self.note(at, track.peer, format!("format first={}", format.first));
            }
            Event::Ended(track) => {
                self.viewer(track.peer).0.watched.borrow_mut().finished = Some(at.true_ns);
                self.note(at, track.peer, "finished".to_string());
            }
            Event::Quiet(peer, on) => self.note(at, peer, format!("quiet {on}")),
            Event::NoUdp(address) => common = Some(format!("no udp {address}")),
            Event::Narrow { narrow, .. } => common = Some(format!("narrow {narrow}")),
            Event::TurnedAway(from, why) => common = Some(format!("turned away {from}: {why}")),
            Event::Unreachable { error: why, fatal, .. } => common = Some(format!("unreachable fatal={fatal}: {why}")),
            Event::Stats(stats) => {
                let mut watched = self.shared.0.borrow_mut();
                watched.assembly_bytes = watched.assembly_bytes.max(stats.receiving.total.assembly_bytes);
                (watched.stats, watched.counters) = (stats.receiving, stats.counters);
            }
            Event::TrackUp { .. } | Event::TrackDown(_) => {}
            event => unreachable!("a receiver is not told of {event:?}"),
        }
        if let Some(sentence) = common {
            self.shared.0.borrow_mut().log.push((at.true_ns / 1_000_000, sentence));
        }
    }
}

impl Program for Receiving {
    fn handle_datagram(&mut self, at: Moment, from: SocketAddr, bytes: &mut [u8]) {
        self.session.handle_datagram(at.local, from, bytes);
    }

    fn handle_too_long(&mut self, at: Moment, to: SocketAddr, len: usize) {
        self.session.handle_too_long(at.local, to, len);
    }

    fn handle_accepted(&mut self, at: Moment, stream: StreamId, from: SocketAddr) {
        self.session.handle_accepted(at.local, stream, from);
    }

    fn handle_dialled(&mut self, at: Moment, host: HostId, outcome: Result<(StreamId, SocketAddr), DialError>) {
        self.session.handle_dialled(at.local, host, outcome);
    }

    fn handle_stream(&mut self, at: Moment, stream: StreamId, bytes: &[u8]) {
        self.session.handle_stream(at.local, stream, bytes);
    }

    fn handle_stream_closed(&mut self, at: Moment, stream: StreamId) {
        self.session.handle_stream_closed(at.local, stream);
    }

    fn handle_writable(&mut self, at: Moment, stream: StreamId, writable: bool) {
        self.session.handle_writable(at.local, stream, writable);
    }

    fn handle_timeout(&mut self, at: Moment) {
        self.session.handle_timeout(at.local);
    }

    fn tick(&mut self, at: Moment, tick: Tick) {
        let request = match tick {
            Tick::Speaker(request) => request,
            Tick::Due => {
                self.desk.wakes = self.desk.wakes.filter(|wakes| *wakes > at.true_ns);
                for viewer in &mut self.viewers {
                    while let Some(waiting) = viewer.queue.pop(at.local, hold_queue::MOST_BYTES) {
                        viewer.let_go(at, waiting, &mut self.desk);
                    }
                    viewer.wake_when_due(at, &mut self.desk);
                }
                return self.tell(at);
            }
            _ => unreachable!("a receiver wants no {tick:?}"),
        };
        let mut speaker = self.shared.1.borrow_mut();
        let source = self.viewers[0].shown_source.as_ref().map(|source| source.borrow());
        speaker.fill(at, self.desk.clock, source.as_deref());
        self.desk.ticks.push((speaker.request(request + 1), Tick::Speaker(request + 1)));
    }

    fn poll(&mut self, at: Moment, buffer: &mut Vec<u8>) -> Option<Output<()>> {
        match self.session.poll(at.local, buffer) {
            Output::Event(event) => {
                self.handle_event(at, event);
                self.tell(at);
                None
            }
            Output::Datagrams { to, segment, len } => Some(Output::Datagrams { to, segment, len }),
            Output::Stream { stream } => Some(Output::Stream { stream }),
            Output::Close { stream } => Some(Output::Close { stream }),
            Output::Dial { host, also } => Some(Output::Dial { host, also }),
            Output::Wait(deadline) => Some(Output::Wait(deadline)),
        }
    }

    fn wake(&mut self, at: Moment) {
        // Nothing of what was wanted while it slept has come.
        self.desk.wakes = None;
        self.viewers.iter().for_each(|viewer| viewer.wake_when_due(at, &mut self.desk));
        if self.speaking {
            self.desk.ticks.push((self.shared.1.borrow_mut().begin(at.true_ns), Tick::Speaker(0)));
        }
    }

    fn take_ticks(&mut self) -> Vec<(u64, Tick)> {
        std::mem::take(&mut self.desk.ticks)
    }
}
