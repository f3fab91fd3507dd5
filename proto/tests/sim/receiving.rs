//! What receives in a process ([`Screen`]): a [`Viewer`] of what its sender sends, or one of each track of many. `party.rs`
//! drives the shipped `Session` with it. The speaker is in `speaker.rs`.

use super::harness::{Moment, Tick};
use super::oscillator::{Base, Oscillator};
use super::source::Source;
use super::speaker::Speaker;
use super::viewer::{Desk, Viewer, Watched};
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::hold_queue;
use eyeline_proto::session::{Command, Event, PeerId, TrackId};
use eyeline_proto::wire::record::Track;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// See the module text.
pub struct Screen {
    pub desk: Desk,
    sources: Sources,
    /// How many senders may be received from at once.
    senders: usize,
    speaker: Oscillator,
    /// What is seen of the only sender there can be, whoever that is, and what the session says of nobody.
    shared: Shared,
    viewers: Vec<Viewer>,
    /// Of many senders each track has its own.
    views: Views,
    /// Whose clock a peer's times are by, and how it maps to ours as far as that is known.
    clocks: BTreeMap<PeerId, Clock>,
}

type Clock = (Option<Rc<RefCell<Source>>>, Option<Mapping>);

/// The senders there are, by name; a scenario may add to them.
pub type Sources = Rc<RefCell<Vec<Rc<RefCell<Source>>>>>;

pub type Shared = (Rc<RefCell<Watched>>, Rc<RefCell<Speaker>>);

/// What was seen and heard of each track of many, in the order in which they came.
pub type Views = Rc<RefCell<Vec<View>>>;

/// What was seen and heard of a track.
#[derive(Clone)]
pub struct View {
    /// Whose it is.
    pub name: String,
    pub track: TrackId,
    pub watched: Rc<RefCell<Watched>>,
    pub speaker: Rc<RefCell<Speaker>>,
    /// True times at which it came, and was over.
    pub came: u64,
    pub gone: Option<u64>,
}

impl Screen {
    /// One that receives from so many senders at once.
    pub fn new(
        base: Base,
        (clock, speaker): (Oscillator, Oscillator),
        senders: usize,
        patient: bool,
        sources: &Sources,
    ) -> (Screen, Shared, Views) {
        let watched = Rc::new(RefCell::new(Watched::default()));
        let shared = (watched, Rc::new(RefCell::new(Speaker::new(base, speaker))));
        let (commands, ticks, wakes, scan) = (Vec::new(), Vec::new(), None, Vec::new());
        let views = Views::default();
        let mut screen = Screen {
            desk: Desk { writes: patient, clock, base, commands, ticks, wakes, scan },
            sources: sources.clone(),
            senders,
            speaker,
            shared: shared.clone(),
            viewers: Vec::new(),
            views: views.clone(),
            clocks: BTreeMap::new(),
        };
        if senders == 1 {
            screen.viewers.push(Viewer::new(0, shared.0.clone(), shared.1.clone()));
        }
        (screen, shared, views)
    }

    /// Who watches this track.
    fn viewer(&mut self, track: TrackId) -> (&mut Viewer, &mut Desk) {
        let place = self.viewers.iter().position(|viewer| self.senders == 1 || viewer.track == track);
        (&mut self.viewers[place.expect("it came")], &mut self.desk)
    }

    fn source(&self, name: &str) -> Option<Rc<RefCell<Source>>> {
        self.sources.borrow().iter().rfind(|source| source.borrow().name == name).cloned()
    }

    fn sender_up(&mut self, at: Moment, peer: PeerId, name: &str, (again, film): (bool, bool)) {
        let source = self.source(name);
        self.clocks.entry(peer).or_insert((source.clone(), None));
        if self.senders == 1 {
            let (viewer, desk) = self.viewer(TrackId::own(peer));
            (viewer.track, viewer.film) = (TrackId::own(peer), film);
            (viewer.shown_source, viewer.clock_source) = (source.clone(), source);
            viewer.watched.borrow_mut().senders.push((at.true_ns, name.to_string()));
            if viewer.watched.borrow().stuck {
                desk.commands.push(Command::Written(viewer.track, 0));
            }
            if !again {
                viewer.start_over();
            }
        }
        self.note(at, Some(peer), &format!("up {name}{}", if again { " again" } else { "" }));
    }

    fn track_up(&mut self, at: Moment, track: TrackId, name: String, film: bool) {
        if self.senders == 1 {
            return;
        }
        let watched = Rc::new(RefCell::new(Watched::default()));
        let speaker = Rc::new(RefCell::new(Speaker::new(self.desk.base, self.speaker)));
        watched.borrow_mut().log.push((at.true_ns / 1_000_000, format!("up {name}")));
        let mut views = self.views.borrow_mut();
        let mut viewer = Viewer::new(views.len() as u64, watched.clone(), speaker.clone());
        (viewer.track, viewer.film, viewer.shown_source) = (track, film, self.source(&name));
        views.push(View { name, track, watched, speaker, came: at.true_ns, gone: None });
        let (clock, mapping) = self.clocks.get(&track.peer).cloned().expect("its sender came before");
        viewer.clock_source = clock;
        if let Some(mapping) = mapping {
            viewer.take_clock(at, mapping, &self.desk);
        }
        self.viewers.push(viewer);
    }

    fn track_down(&mut self, at: Moment, track: TrackId) {
        if self.senders > 1 {
            self.viewers.retain(|viewer| viewer.track != track);
            let mut views = self.views.borrow_mut();
            let of_it = |view: &&mut View| view.track == track && view.gone.is_none();
            views.iter_mut().find(of_it).expect("it came").gone = Some(at.true_ns);
        }
    }

    fn described(&mut self, at: Moment, track: TrackId, said: Track) {
        let format = said.format;
        let (viewer, desk) = self.viewer(track);
        if format.channels > 0 && !std::mem::replace(&mut viewer.speaking, true) {
            desk.ticks.push((viewer.speaker.borrow_mut().begin(at.true_ns), Tick::Speaker(viewer.number, 0)));
        }
        let mut watched = viewer.watched.borrow_mut();
        watched.log.push((at.true_ns / 1_000_000, format!("format first={}", format.first)));
        watched.told.push(said);
    }

    /// For the log of this peer's viewers, or of nobody's.
    fn note(&mut self, at: Moment, peer: Option<PeerId>, what: &str) {
        let log = |watched: &Rc<RefCell<Watched>>| watched.borrow_mut().log.push((at.true_ns / 1_000_000, what.to_string()));
        let of_peer = self.viewers.iter().filter(|viewer| peer == Some(viewer.track.peer));
        let logged = of_peer.map(|viewer| log(&viewer.watched)).count();
        if logged == 0 || self.senders > 1 {
            log(&self.shared.0);
        }
    }

    /// What a session tells its application; whether it is for who receives.
    pub fn handle_event(&mut self, at: Moment, event: Event) -> bool {
        match event {
            Event::Slice(track, slice) => {
                let (viewer, desk) = self.viewer(track);
                viewer.take_slice(at, slice, desk);
            }
            Event::Part(track, part) => {
                let (viewer, desk) = self.viewer(track);
                viewer.take_part(at, part, desk);
            }
            Event::Settled(track, settled) => {
                let (viewer, desk) = self.viewer(track);
                viewer.settle(at, settled, desk);
            }
            Event::Sound { track, number, capture, channels, samples } => {
                self.viewer(track).0.take_sound(at, (number, capture, channels), &samples);
            }
            Event::Clock(peer, mapping) => {
                self.clocks.entry(peer).or_default().1 = Some(mapping);
                for viewer in self.viewers.iter_mut().filter(|viewer| viewer.track.peer == peer) {
                    viewer.take_clock(at, mapping, &self.desk);
                }
            }
            Event::SenderUp { peer, name, again, film, .. } => self.sender_up(at, peer, &name, (again, film)),
            Event::SenderDown { peer, reason, sentence } => {
                self.note(at, Some(peer), &format!("down {reason:?} {sentence}"));
                self.clocks.remove(&peer);
            }
            Event::TrackUp { track, name, film } => self.track_up(at, track, name, film),
            Event::TrackDown { track, .. } => self.track_down(at, track),
            Event::Track(track, said) => self.described(at, track, said),
            Event::Ended(track) => {
                self.viewer(track).0.watched.borrow_mut().finished = Some(at.true_ns);
                self.note(at, Some(track.peer), "finished");
            }
            Event::Quiet(peer, on) => self.note(at, Some(peer), &format!("quiet {on}")),
            Event::NoUdp(address) => self.note(at, None, &format!("no udp {address}")),
            Event::Narrow { narrow, .. } => self.note(at, None, &format!("narrow {narrow}")),
            Event::TurnedAway(from, why) => self.note(at, None, &format!("turned away {from}: {why}")),
            Event::Unreachable { error: why, fatal, .. } => self.note(at, None, &format!("unreachable fatal={fatal}: {why}")),
            Event::Text { name, line } => self.shared.0.borrow_mut().lines.push((at.true_ns, name, line)),
            Event::TextLeftOut(count) => self.note(at, None, &format!("{count} lines left out")),
            Event::Stats(stats) => {
                let mut watched = self.shared.0.borrow_mut();
                watched.assembly_bytes = watched.assembly_bytes.max(stats.receiving.total.assembly_bytes);
                (watched.stats, watched.counters) = (stats.receiving, stats.counters);
            }
            _ => return false,
        }
        true
    }

    /// Something is due.
    pub fn tick(&mut self, at: Moment, tick: Tick) {
        let (of, request) = match tick {
            Tick::Speaker(of, request) => (of, request),
            Tick::Due => {
                self.desk.wakes = self.desk.wakes.filter(|wakes| *wakes > at.true_ns);
                for viewer in &mut self.viewers {
                    while let Some(waiting) = viewer.queue.pop(at.local, hold_queue::MOST_BYTES) {
                        viewer.let_go(at, waiting, &mut self.desk);
                    }
                    viewer.wake_when_due(at, &mut self.desk);
                }
                return;
            }
            _ => unreachable!("a screen wants no {tick:?}"),
        };
        let Some(viewer) = self.viewers.iter().find(|viewer| viewer.number == of) else { return };
        let mut speaker = viewer.speaker.borrow_mut();
        let source = viewer.shown_source.as_ref().map(|source| source.borrow());
        speaker.fill(at, self.desk.clock, source.as_deref());
        self.desk.ticks.push((speaker.request(request + 1), Tick::Speaker(of, request + 1)));
    }

    /// The machine was suspended and goes on: nothing of what was wanted while it slept has come.
    pub fn wake(&mut self, at: Moment) {
        self.desk.wakes = None;
        for viewer in &self.viewers {
            viewer.wake_when_due(at, &mut self.desk);
            if viewer.speaking {
                let begins = viewer.speaker.borrow_mut().begin(at.true_ns);
                self.desk.ticks.push((begins, Tick::Speaker(viewer.number, 0)));
            }
        }
    }
}
