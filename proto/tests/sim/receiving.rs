//! What receives in a process ([`Screen`]): a [`Viewer`] of each track. `party.rs` drives the shipped `Session` with it. The
//! speaker is in `speaker.rs`.
//!
//! As in `pipeline::fanout` a track that comes is a new viewer, and one that is gone is seen until another comes.

use super::harness::{Moment, Tick};
use super::oscillator::{Base, Oscillator};
use super::source::Source;
use super::speaker::Speaker;
use super::viewer::{Desk, Viewer};
use super::watched::Watched;
use eyeline_proto::session::{Command, Event, PeerId, TrackId};
use eyeline_proto::wire::record::Track;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Tracks that are gone, and seen until another comes.
    left: BTreeSet<TrackId>,
    /// Of many senders each track has its own.
    views: Views,
    /// Whose clock a peer's times are by, where the world knows it.
    clocks: BTreeMap<PeerId, Option<Rc<RefCell<Source>>>>,
}

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
        lossless: bool,
        sources: &Sources,
    ) -> (Screen, Shared, Views) {
        let watched = Rc::new(RefCell::new(Watched::default()));
        let shared = (watched, Rc::new(RefCell::new(Speaker::new(base, speaker))));
        let (commands, ticks, wakes, scan) = (Vec::new(), Vec::new(), None, Vec::new());
        let views = Views::default();
        let screen = Screen {
            desk: Desk { writes: lossless, clock, base, commands, ticks, wakes, scan },
            sources: sources.clone(),
            senders,
            speaker,
            shared: shared.clone(),
            viewers: Vec::new(),
            left: BTreeSet::new(),
            views: views.clone(),
            clocks: BTreeMap::new(),
        };
        (screen, shared, views)
    }

    /// Who watches this track.
    fn viewer(&mut self, track: TrackId) -> (&mut Viewer, &mut Desk) {
        let viewer = self.viewers.iter_mut().find(|viewer| viewer.track == track);
        (viewer.expect("it came"), &mut self.desk)
    }

    fn source(&self, name: &str) -> Option<Rc<RefCell<Source>>> {
        self.sources.borrow().iter().rfind(|source| source.borrow().name == name).cloned()
    }

    fn sender_up(&mut self, at: Moment, peer: PeerId, name: &str, again: bool) {
        let source = self.source(name);
        self.clocks.entry(peer).or_insert(source);
        let mut watched = self.shared.0.borrow_mut();
        watched.senders.push((at.true_ns, name.to_string()));
        if watched.stuck {
            self.desk.commands.push(Command::Written(TrackId::own(peer), 0));
        }
        drop(watched);
        self.note(at, Some(peer), &format!("up {name}{}", if again { " again" } else { "" }));
    }

    /// A track is there. Those that were left are over now.
    fn track_up(&mut self, at: Moment, track: TrackId, name: String, film: bool) {
        let left = std::mem::take(&mut self.left);
        self.viewers.retain(|viewer| !left.contains(&viewer.track));
        let (number, (watched, speaker)) = self.watched_by(at, track, &name);
        let clock = self.clocks.get(&track.peer).cloned().expect("its sender came before");
        self.viewers.push(Viewer::new(number, (track, film), [self.source(&name), clock], watched, speaker));
    }

    /// What notes of a track what is seen and heard, and the number of its speaker: of the only one there can be always the same.
    fn watched_by(&mut self, at: Moment, track: TrackId, name: &str) -> (u64, Shared) {
        if self.senders == 1 {
            self.shared.1.borrow_mut().reset();
            return (0, self.shared.clone());
        }
        let watched = Rc::new(RefCell::new(Watched::default()));
        let speaker = Rc::new(RefCell::new(Speaker::new(self.desk.base, self.speaker)));
        watched.borrow_mut().log.push((at.true_ns / 1_000_000, format!("up {name}")));
        let mut views = self.views.borrow_mut();
        let (name, came, gone) = (name.to_string(), at.true_ns, None);
        views.push(View { name, track, watched: watched.clone(), speaker: speaker.clone(), came, gone });
        (views.len() as u64 - 1, (watched, speaker))
    }

    fn track_down(&mut self, at: Moment, track: TrackId) {
        self.left.insert(track);
        let mut views = self.views.borrow_mut();
        if let Some(view) = views.iter_mut().find(|view| view.track == track && view.gone.is_none()) {
            view.gone = Some(at.true_ns);
        }
    }

    fn described(&mut self, at: Moment, track: TrackId, said: Track) {
        let format = said.format;
        let (viewer, desk) = self.viewer(track);
        let mut speaker = viewer.speaker.borrow_mut();
        if format.channels > 0 && !speaker.is_on() {
            desk.ticks.push((speaker.begin(at.true_ns), Tick::Speaker(viewer.number, 0)));
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
            Event::Sound(track, sound) => self.viewer(track).0.take_sound(at, &sound),
            Event::Packet { track, sound, first } => self.viewer(track).0.take_packet(at, sound, first),
            Event::Clock(peer, mapping) => {
                for viewer in self.viewers.iter_mut().filter(|viewer| viewer.track.peer == peer) {
                    viewer.take_clock(at, mapping, &self.desk);
                }
            }
            Event::SenderUp { peer, name, again, .. } => self.sender_up(at, peer, &name, again),
            Event::SenderDown { peer, reason, sentence } => {
                self.note(at, Some(peer), &format!("down {reason:?} {sentence}"));
                self.clocks.remove(&peer);
            }
            Event::TrackUp { track, name, film } => self.track_up(at, track, name, film),
            Event::TrackDown { track, .. } => self.track_down(at, track),
            Event::Direct(track, direct) => {
                let log = &mut self.viewer(track).0.watched.borrow_mut().log;
                log.push((at.true_ns / 1_000_000, format!("direct {direct}")));
            }
            Event::NoRoom(peer, name) => self.note(at, Some(peer), &format!("no room for {name}")),
            Event::Track(track, said) => self.described(at, track, said),
            Event::Film(track, film) => self.viewer(track).0.watched.borrow_mut().films.push((at.true_ns, film)),
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
                return self.viewers.iter_mut().for_each(|viewer| viewer.go_on(at, &mut self.desk));
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
            let mut speaker = viewer.speaker.borrow_mut();
            if speaker.is_on() {
                self.desk.ticks.push((speaker.begin(at.true_ns), Tick::Speaker(viewer.number, 0)));
            }
        }
    }
}
