//! A receiving process: the shipped `receiver::Session`, and in place of decoder, window and speaker what notes when something
//! would have been seen or heard.
//!
//! Decoding and handing to the display take a fixed time after a picture's last slice was let go. The speaker is in `speaker.rs`.

use super::harness::{Moment, Program, Tick};
use super::oscillator::{Base, Oscillator};
use super::sending::{Source, a_receiver, fill_scan};
use super::speaker::Speaker;
use eyeline_proto::media::assemble::Assembly;
use eyeline_proto::media::backlog::Backlog;
use eyeline_proto::media::clock::{Epoch, Mapping};
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::hold_queue::HoldQueue;
use eyeline_proto::media::reel::{Decoded, Ready, Reel, Turn};
use eyeline_proto::session::receiver::{Command, Config, Event, Session};
use eyeline_proto::session::stats::ReceiverStats;
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Core, HostId, Output, StreamId, TrackId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::Head;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Decoding the last slice and handing the pixels to the display.
const DECODE: u64 = 2_000_000;

/// How long after the first exchange the clock estimate has to settle before it is measured.
const CLOCK_SETTLES: u64 = 2_000_000_000;

/// What was seen and heard.
#[derive(Default)]
pub struct Watched {
    /// Capture to display, in true time, of pictures that were shown whole or in part.
    pub latencies: Vec<u64>,
    /// When each of them was shown, and by how much it was held for that.
    pub shown_at: Vec<u64>,
    pub held: Vec<u64>,
    /// Decides when what is whole is shown; a scenario may put another in its place before it starts.
    pub hold: Hold,
    pub whole: u64,
    pub partial: u64,
    pub lost: u64,
    /// True time at which a band was shown last, and the longest such gap.
    pub last_band: Option<u64>,
    pub frozen: u64,
    /// The largest error of the clock estimate, once settled.
    pub clock_error: u64,
    pub skew_ppm: f64,
    /// Unfinished slices that were drawn as far as they came.
    pub parts: u64,
    pub settled: Vec<Settled>,
    pub blocks: Vec<u64>,
    /// True time of the first whole picture.
    pub first_whole: Option<u64>,
    /// True times at which pictures were whole, where a scenario asks.
    pub whole_at: Vec<u64>,
    /// Every picture shown, in order.
    pub shown: Vec<Shown>,
    /// The most bytes of unfinished slices.
    pub assembly_bytes: u64,
    pub stats: ReceiverStats,
    pub log: Vec<(u64, String)>,
    pub finished: Option<u64>,
    /// It says of nothing that it has it: its disk is full.
    pub stuck: bool,
    /// By how much a block of sound that came was ahead of the newest picture shown, at most, once there was one.
    pub sound_ahead: Duration,
    pub senders: Vec<(u64, String)>,
}

/// A picture on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: u64,
    pub picture: u64,
    pub latency: u64,
}

pub struct Receiving {
    session: Session,
    writes: bool,
    clock: Oscillator,
    base: Base,
    sources: Sources,
    shown_source: Option<Rc<RefCell<Source>>>,
    watched: Rc<RefCell<Watched>>,
    speaker: Rc<RefCell<Speaker>>,
    ticks: Vec<(u64, Tick)>,
    speaking: bool,
    mapping: Option<(u64, Mapping)>,
    commands: Vec<Command>,
    track: TrackId,
    /// As it is before anything is measured.
    hold: Option<Hold>,
    newest: Option<MediaTime>,
    scan: Vec<u8>,
    /// The sender skips nothing, and nothing of it is skipped here.
    film: bool,
    backlog: Backlog,
    queue: HoldQueue<Waiting>,
    /// When the queue is looked at next.
    wakes: Option<u64>,
    reel: Reel,
    /// Slices that came of pictures that are not settled.
    came: BTreeMap<u64, u8>,
    /// What is written: whole pictures, in order, as they are settled.
    assembly: Assembly,
}

/// What waits until its picture is due, and when it came.
struct Waiting {
    what: What,
    came: Moment,
}

enum What {
    Slice(Slice),
    Part(u64),
    SettledInPart(u64),
}

/// The senders there are, by name; a scenario may add to them.
pub type Sources = Rc<RefCell<Vec<Rc<RefCell<Source>>>>>;

pub type Shared = (Rc<RefCell<Watched>>, Rc<RefCell<Speaker>>);

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
        let now = base.instant(clock.shows(start));
        let me = a_receiver(name, patient);
        let watched = Rc::new(RefCell::new(Watched::default()));
        let speaker = Rc::new(RefCell::new(Speaker::new(base, speaker)));
        let receiving = Receiving {
            session: Session::new(now, Config { me, hosts, reconnect: true, epoch: Epoch::new(now) }),
            writes: patient,
            clock,
            base,
            sources: sources.clone(),
            shown_source: None,
            watched: watched.clone(),
            speaker: speaker.clone(),
            ticks: Vec::new(),
            speaking: false,
            mapping: None,
            commands: Vec::new(),
            track: TrackId::default(),
            hold: None,
            newest: None,
            scan: Vec::new(),
            film: false,
            backlog: Backlog::default(),
            queue: HoldQueue::default(),
            wakes: None,
            reel: Reel::default(),
            came: BTreeMap::new(),
            assembly: Assembly::new(64 << 20),
        };
        (Box::new(receiving), (watched, speaker))
    }

    fn take_slice(&mut self, at: Moment, slice: Slice) {
        let came = self.came.entry(slice.picture).or_default();
        *came += 1;
        let whole = *came == slice.count;
        let (head, scan) = Head::decode(slice.body()).expect("a slice of ours has a head");
        self.scan.resize(scan.len(), 0);
        fill_scan(slice.picture, slice.index, &mut self.scan);
        assert!(self.scan == scan, "picture {} slice {}: another content than was sent", slice.picture, slice.index);
        let capture = head.capture;
        let captured = self.mapping.filter(|_| !self.film).and_then(|(_, mapping)| mapping.captured(capture, at.local));
        let stale = captured.is_some_and(|captured| self.backlog.holds(at.local, at.local.saturating_duration_since(captured)));
        let mut watched = self.watched.borrow_mut();
        let since = watched.last_band.map_or(0, |last| at.true_ns - last);
        watched.frozen = watched.frozen.max(since);
        watched.last_band = Some(at.true_ns);
        if whole {
            watched.first_whole.get_or_insert(at.true_ns);
            watched.whole_at.push(at.true_ns);
        }
        drop(watched);
        if self.writes {
            self.newest = self.newest.max(whole.then_some(capture));
            return self.assembly.slice(slice, at.local);
        }
        if stale {
            return self.commands.push(Command::Recycle(slice.into_bytes()));
        }
        if whole {
            self.newest = self.newest.max(Some(capture));
        }
        let (due, len) = (self.due(at, capture), slice.body().len());
        self.pass(at, What::Slice(slice), due, len);
    }

    /// What came of a slice stands where it belongs.
    fn take_part(&mut self, at: Moment, part: Part) {
        let (head, scan) = Head::decode(&part.body).expect("the head is there");
        let scan_at = part.body.len() - scan.len();
        let due = self.due(at, head.capture);
        self.scan.resize(scan.len(), 0);
        fill_scan(part.picture, part.index, &mut self.scan);
        for range in &part.present {
            let range = range.start.max(scan_at) - scan_at..range.end - scan_at;
            assert!(self.scan[range.clone()] == scan[range.clone()], "picture {} slice {}: {range:?}", part.picture, part.index);
        }
        self.watched.borrow_mut().parts += 1;
        if self.writes {
            return self.assembly.part(part, at.local);
        }
        self.pass(at, What::Part(part.picture), due, part.body.len());
    }

    /// When a picture that was caught then is to be seen; `None`: at once.
    fn due(&self, at: Moment, capture: MediaTime) -> Option<Instant> {
        let held = self.watched.borrow().hold.picture_due()?;
        let (_, mapping) = self.mapping?;
        mapping.captured(capture, at.local)?.min(at.local).checked_add(held)
    }

    fn pass(&mut self, at: Moment, what: What, due: Option<Instant>, len: usize) {
        let waiting = Waiting { what, came: at };
        if self.queue.passes(at.local, due) {
            return self.let_go(at, waiting);
        }
        self.queue.push(at.local, due, len, waiting);
        self.wake_when_due(at);
    }

    /// What is due is decoded at once.
    fn let_go(&mut self, at: Moment, Waiting { what, came }: Waiting) {
        let ready = match what {
            What::Slice(slice) => {
                let ready = self.decode(at, came, &slice);
                self.commands.push(Command::Recycle(slice.into_bytes()));
                ready
            }
            What::Part(picture) => {
                self.reel.came(picture);
                self.reel.turn(picture);
                None
            }
            What::SettledInPart(picture) => self.reel.settled_in_part(picture),
        };
        if let Some(ready) = ready {
            self.see(at, came, &ready);
        }
    }

    fn decode(&mut self, at: Moment, came: Moment, slice: &Slice) -> Option<Ready> {
        let picture = slice.picture;
        self.reel.came(picture);
        if self.reel.turn(picture) != Turn::Decode {
            return None;
        }
        let (head, _) = Head::decode(slice.body()).expect("it had a head when it came");
        let (count, received, released) = (slice.count, came.local, at.local);
        let decoded = released + Duration::from_nanos(DECODE);
        self.reel.decoded(&Decoded { picture, count, head: &head, received, released, decoded })
    }

    fn tell(&mut self, at: Moment) {
        for command in std::mem::take(&mut self.commands) {
            self.session.handle_command(at.local, command);
        }
    }

    fn wake_when_due(&mut self, at: Moment) {
        let Some(due) = self.queue.deadline() else { return };
        let due = self.clock.when(self.base.nanos(due)).max(at.true_ns + 1000);
        if self.wakes.is_none_or(|wakes| due < wakes) {
            self.wakes = Some(due);
            self.ticks.push((due, Tick::Due));
        }
    }

    /// A picture whose last slice came at `came` and was let go at `at`: it is on the display as soon as that is decoded.
    fn see(&mut self, at: Moment, came: Moment, ready: &Ready) {
        let Some(source) = &self.shown_source else { return };
        let captured = source.borrow().true_time(ready.capture);
        let mut watched = self.watched.borrow_mut();
        let shown = (at.true_ns + DECODE).max(watched.shown_at.last().copied().unwrap_or(0));
        watched.latencies.push(shown.saturating_sub(captured));
        watched.shown_at.push(shown);
        watched.shown.push(Shown { at: came.true_ns, picture: ready.picture, latency: shown.saturating_sub(captured) });
        watched.held.push(shown - DECODE - came.true_ns);
        self.commands.push(Command::Shown(self.track, 1));
        self.queue.took(Duration::from_nanos(DECODE));
        let seen = at.local + Duration::from_nanos(DECODE);
        let Some(captured) = self.mapping.and_then(|(_, mapping)| mapping.captured(ready.capture, seen)) else { return };
        let held = ready.released.saturating_duration_since(ready.received);
        watched.hold.picture_was(seen, seen.saturating_duration_since(captured).saturating_sub(held));
        let mut speaker = self.speaker.borrow_mut();
        speaker.set_target(watched.hold.sound_due());
        watched.hold.sound_is(speaker.latency());
    }

    fn settle(&mut self, at: Moment, settled: Settled) {
        let mut watched = self.watched.borrow_mut();
        watched.settled.push(settled);
        self.came.remove(&settled.picture);
        match settled {
            whole if whole.is_whole() => watched.whole += 1,
            Settled { slices: 0, .. } => watched.lost += 1,
            _ => watched.partial += 1,
        }
        drop(watched);
        if self.writes {
            if let Some(picture) = self.assembly.settled(settled) {
                self.see(at, at, &picture.ready(at.local + Duration::from_nanos(DECODE)));
            }
        } else if !settled.is_whole() {
            self.pass(at, What::SettledInPart(settled.picture), None, 0);
        }
    }

    fn handle_event(&mut self, at: Moment, event: Event) {
        let mut sentence = None;
        match event {
            Event::Slice(_, slice) => self.take_slice(at, slice),
            Event::Part(_, part) => self.take_part(at, part),
            Event::Settled(_, settled) => self.settle(at, settled),
            Event::Sound { number, capture, channels, samples, .. } => {
                let mut watched = self.watched.borrow_mut();
                watched.blocks.push(number);
                let ahead = self.newest.map_or(Duration::ZERO, |newest| capture.saturating_since(newest));
                watched.sound_ahead = watched.sound_ahead.max(ahead);
                drop(watched);
                self.speaker.borrow_mut().push(at, number, capture, channels, &samples);
            }
            Event::Clock(_, mapping) => self.take_clock(at, mapping),
            Event::SenderUp { peer, name, again, film, .. } => {
                (self.track, self.film) = (TrackId::only(peer), film);
                self.shown_source = self.sources.borrow().iter().find(|source| source.borrow().name == name).cloned();
                self.watched.borrow_mut().senders.push((at.true_ns, name.clone()));
                if self.watched.borrow().stuck {
                    self.commands.push(Command::Written(self.track, 0));
                }
                if !again {
                    self.mapping = None;
                    self.speaker.borrow_mut().reset();
                    let fresh = self.hold.get_or_insert_with(|| self.watched.borrow().hold.clone()).clone();
                    self.watched.borrow_mut().hold = fresh;
                    (self.backlog, self.reel) = (Backlog::default(), Reel::default());
                    self.assembly.clear();
                    self.came.clear();
                    self.queue.clear();
                }
                sentence = Some(format!("up {name}{}", if again { " again" } else { "" }));
            }
            Event::SenderDown { reason, sentence: why, .. } => sentence = Some(format!("down {reason:?} {why}")),
            Event::Track(_, track) => {
                let format = track.format;
                if format.channels > 0 && !std::mem::replace(&mut self.speaking, true) {
                    self.ticks.push((self.speaker.borrow_mut().begin(at.true_ns), Tick::Speaker(0)));
                }
                sentence = Some(format!("format first={}", format.first));
            }
            Event::Finished(_) => {
                self.watched.borrow_mut().finished = Some(at.true_ns);
                sentence = Some("finished".to_string());
            }
            Event::Quiet(_, on) => sentence = Some(format!("quiet {on}")),
            Event::NoUdp(_, address) => sentence = Some(format!("no udp {address}")),
            Event::Narrow { narrow, .. } => sentence = Some(format!("narrow {narrow}")),
            Event::TurnedAway(from, why) => sentence = Some(format!("turned away {from}: {why}")),
            Event::Unreachable { error: why, fatal, .. } => sentence = Some(format!("unreachable fatal={fatal}: {why}")),
            Event::Stats(stats) => {
                let mut watched = self.watched.borrow_mut();
                watched.assembly_bytes = watched.assembly_bytes.max(stats.total.assembly_bytes);
                watched.stats = *stats;
            }
        }
        if let Some(sentence) = sentence {
            self.watched.borrow_mut().log.push((at.true_ns / 1_000_000, sentence));
        }
    }

    /// Each new estimate replaces the last, which is measured at the end of its life, where it is worst.
    fn take_clock(&mut self, at: Moment, mapping: Mapping) {
        let Some(source) = &self.shown_source else { return };
        self.watched.borrow_mut().skew_ppm = mapping.skew_ppm();
        self.speaker.borrow_mut().set_mapping(mapping);
        let since = match &self.mapping {
            Some((since, old)) if at.true_ns >= since + CLOCK_SETTLES => {
                let truth = source.borrow().media(at.true_ns);
                for mapping in [old, &mapping] {
                    let error = self.base.nanos(mapping.to_local(truth)).abs_diff(self.clock.shows(at.true_ns));
                    let mut watched = self.watched.borrow_mut();
                    watched.clock_error = watched.clock_error.max(error);
                }
                *since
            }
            Some((since, _)) => *since,
            None => at.true_ns,
        };
        self.mapping = Some((since, mapping));
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
                self.wakes = self.wakes.filter(|wakes| *wakes > at.true_ns);
                while let Some(waiting) = self.queue.pop(at.local) {
                    self.let_go(at, waiting);
                }
                self.wake_when_due(at);
                return self.tell(at);
            }
            _ => unreachable!("a receiver wants no {tick:?}"),
        };
        let mut speaker = self.speaker.borrow_mut();
        let source = self.shown_source.as_ref().map(|source| source.borrow());
        speaker.fill(at, self.clock, source.as_deref());
        self.ticks.push((speaker.request(request + 1), Tick::Speaker(request + 1)));
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
        self.wakes = None;
        self.wake_when_due(at);
        if self.speaking {
            self.ticks.push((self.speaker.borrow_mut().begin(at.true_ns), Tick::Speaker(0)));
        }
    }

    fn take_ticks(&mut self) -> Vec<(u64, Tick)> {
        std::mem::take(&mut self.ticks)
    }
}
