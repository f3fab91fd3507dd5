//! One who watches what a sender sends: in place of decoder, window and writer what notes when something would have been seen.
//!
//! Decoding and handing to the display take a fixed time after a picture's last slice was let go.

use super::harness::{Moment, Tick};
use super::oscillator::{Base, Oscillator};
use super::source::{Source, fill_scan};
use super::speaker::Speaker;
use eyeline_proto::media::assemble::Assembly;
use eyeline_proto::media::backlog::Backlog;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::hold_queue::HoldQueue;
use eyeline_proto::media::reel::{Decoded, Ready, Reel, Turn};
use eyeline_proto::session::endpoint::Discarded;
use eyeline_proto::session::stats::ReceiverStats;
use eyeline_proto::session::{Command, TrackId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Track;
use eyeline_proto::wire::slice::Head;
use std::cell::RefCell;
use std::collections::BTreeMap;
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
    pub counters: Discarded,
    pub log: Vec<(u64, String)>,
    pub finished: Option<u64>,
    /// It says of nothing that it has it: its disk is full.
    pub stuck: bool,
    /// By how much a block of sound that came was ahead of the newest picture shown, at most, once there was one.
    pub sound_ahead: Duration,
    pub senders: Vec<(u64, String)>,
    /// By how much the time that slices said they were caught at was off at most: of what is forwarded it is by another clock.
    pub stamp_error: u64,
    /// What was said of the track, each time.
    pub told: Vec<Track>,
    /// Lines that people said: true time, who, what.
    pub lines: Vec<(u64, String, String)>,
}

/// A picture on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: u64,
    pub picture: u64,
    pub latency: u64,
}

/// What all viewers of a machine have in common.
pub struct Desk {
    pub writes: bool,
    pub clock: Oscillator,
    pub base: Base,
    pub commands: Vec<Command>,
    pub ticks: Vec<(u64, Tick)>,
    /// When the queues are looked at next.
    pub wakes: Option<u64>,
    pub scan: Vec<u8>,
}

/// All that is kept of one sender.
pub struct Viewer {
    /// Tells its speaker from others'.
    pub number: u64,
    pub track: TrackId,
    pub shown_source: Option<Rc<RefCell<Source>>>,
    /// By whose clock it is told when things were caught: the sender's own, or a forwarder's.
    pub clock_source: Option<Rc<RefCell<Source>>>,
    pub watched: Rc<RefCell<Watched>>,
    pub speaker: Rc<RefCell<Speaker>>,
    /// It was asked for sound.
    pub speaking: bool,
    pub mapping: Option<(u64, Mapping)>,
    /// As it is before anything is measured.
    pub hold: Option<Hold>,
    pub newest: Option<MediaTime>,
    /// The sender skips nothing, and nothing of it is skipped here.
    pub film: bool,
    pub backlog: Backlog,
    pub queue: HoldQueue<Waiting>,
    pub reel: Reel,
    /// Slices that came of pictures that are not settled.
    pub came: BTreeMap<u64, u8>,
    /// What is written: whole pictures, in order, as they are settled.
    pub assembly: Assembly,
}

/// What waits until its picture is due, and when it came.
pub struct Waiting {
    what: What,
    came: Moment,
}

pub enum What {
    Slice(Slice),
    Part(u64),
    SettledInPart(u64),
}

impl Viewer {
    pub fn new(number: u64, watched: Rc<RefCell<Watched>>, speaker: Rc<RefCell<Speaker>>) -> Viewer {
        Viewer {
            number,
            speaking: false,
            track: TrackId::default(),
            shown_source: None,
            clock_source: None,
            watched,
            speaker,
            mapping: None,
            hold: None,
            newest: None,
            film: false,
            backlog: Backlog::default(),
            queue: HoldQueue::default(),
            reel: Reel::default(),
            came: BTreeMap::new(),
            assembly: Assembly::new(64 << 20),
        }
    }

    /// Another sender: nothing that is kept of the last one is of use for it.
    pub fn start_over(&mut self) {
        self.mapping = None;
        self.speaker.borrow_mut().reset();
        let fresh = self.hold.get_or_insert_with(|| self.watched.borrow().hold.clone()).clone();
        self.watched.borrow_mut().hold = fresh;
        (self.backlog, self.reel) = (Backlog::default(), Reel::default());
        self.assembly = Assembly::new(64 << 20);
        self.came.clear();
        self.queue = HoldQueue::default();
    }

    pub fn take_sound(&mut self, at: Moment, (number, capture, channels): (u64, MediaTime, u8), samples: &[u8]) {
        let mut watched = self.watched.borrow_mut();
        watched.blocks.push(number);
        let ahead = self.newest.map_or(Duration::ZERO, |newest| capture.saturating_since(newest));
        watched.sound_ahead = watched.sound_ahead.max(ahead);
        drop(watched);
        self.speaker.borrow_mut().push(at, number, capture, channels, samples);
    }

    pub fn take_slice(&mut self, at: Moment, slice: Slice, desk: &mut Desk) {
        let came = self.came.entry(slice.picture).or_default();
        *came += 1;
        let whole = *came == slice.count;
        let (head, scan) = Head::decode(&slice.body).expect("a slice of ours has a head");
        desk.scan.resize(scan.len(), 0);
        fill_scan(self.salt(), slice.picture, slice.index, &mut desk.scan);
        assert!(desk.scan == scan, "picture {} slice {}: another content than was sent", slice.picture, slice.index);
        let capture = head.capture;
        self.check_stamp(at, slice.picture, capture);
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
        if desk.writes {
            self.newest = self.newest.max(whole.then_some(capture));
            return self.assembly.slice(slice, at.local);
        }
        if stale {
            return;
        }
        if whole {
            self.newest = self.newest.max(Some(capture));
        }
        let (due, len) = (self.due(at, capture), slice.body.len());
        self.pass(at, What::Slice(slice), (due, len), desk);
    }

    fn salt(&self) -> u64 {
        self.shown_source.as_ref().map_or(0, |source| source.borrow().salt)
    }

    /// A picture says that it was caught then.
    fn check_stamp(&mut self, at: Moment, picture: u64, capture: MediaTime) {
        let settled = self.mapping.is_some_and(|(since, _)| at.true_ns >= since + CLOCK_SETTLES);
        if let (Some(clock), Some(source), true) = (&self.clock_source, &self.shown_source, settled) {
            let (said, caught) = (clock.borrow().true_time(capture), source.borrow().captures[picture as usize]);
            let mut watched = self.watched.borrow_mut();
            watched.stamp_error = watched.stamp_error.max(said.abs_diff(caught));
        }
    }

    /// What came of a slice stands where it belongs.
    pub fn take_part(&mut self, at: Moment, part: Part, desk: &mut Desk) {
        let (head, scan) = Head::decode(&part.body).expect("the head is there");
        let scan_at = part.body.len() - scan.len();
        let due = self.due(at, head.capture);
        desk.scan.resize(scan.len(), 0);
        fill_scan(self.salt(), part.picture, part.index, &mut desk.scan);
        for range in &part.present {
            let range = range.start.max(scan_at) - scan_at..range.end - scan_at;
            assert!(desk.scan[range.clone()] == scan[range.clone()], "picture {} slice {}: {range:?}", part.picture, part.index);
        }
        self.watched.borrow_mut().parts += 1;
        if desk.writes {
            return self.assembly.part(part, at.local);
        }
        self.pass(at, What::Part(part.picture), (due, part.body.len()), desk);
    }

    /// When a picture that was caught then is to be seen; `None`: at once.
    fn due(&self, at: Moment, capture: MediaTime) -> Option<Instant> {
        let held = self.watched.borrow().hold.picture_due()?;
        let (_, mapping) = self.mapping?;
        mapping.captured(capture, at.local)?.min(at.local).checked_add(held)
    }

    fn pass(&mut self, at: Moment, what: What, (due, len): (Option<Instant>, usize), desk: &mut Desk) {
        let waiting = Waiting { what, came: at };
        if self.queue.passes(at.local, due) {
            return self.let_go(at, waiting, desk);
        }
        self.queue.push(at.local, due, len, waiting);
        self.wake_when_due(at, desk);
    }

    /// What is due is decoded at once.
    pub fn let_go(&mut self, at: Moment, Waiting { what, came }: Waiting, desk: &mut Desk) {
        let ready = match what {
            What::Slice(slice) => self.decode(at, came, &slice),
            What::Part(picture) => {
                self.reel.came(picture);
                self.reel.turn(picture);
                None
            }
            What::SettledInPart(picture) => self.reel.settled_in_part(picture),
        };
        if let Some(ready) = ready {
            self.see(at, came, &ready, desk);
        }
    }

    fn decode(&mut self, at: Moment, came: Moment, slice: &Slice) -> Option<Ready> {
        let picture = slice.picture;
        self.reel.came(picture);
        if self.reel.turn(picture) != Turn::Decode {
            return None;
        }
        let (head, _) = Head::decode(&slice.body).expect("it had a head when it came");
        let (count, received, released) = (slice.count, came.local, at.local);
        let decoded = released + Duration::from_nanos(DECODE);
        self.reel.decoded(&Decoded { picture, count, head: &head, received, released, decoded })
    }

    pub fn wake_when_due(&self, at: Moment, desk: &mut Desk) {
        let Some(due) = self.queue.deadline() else { return };
        let due = desk.clock.when(desk.base.nanos(due)).max(at.true_ns + 1000);
        if desk.wakes.is_none_or(|wakes| due < wakes) {
            desk.wakes = Some(due);
            desk.ticks.push((due, Tick::Due));
        }
    }

    /// A picture whose last slice came at `came` and was let go at `at`: it is on the display as soon as that is decoded.
    fn see(&mut self, at: Moment, came: Moment, ready: &Ready, desk: &mut Desk) {
        let Some(source) = &self.shown_source else { return };
        let captured = source.borrow().captures[ready.picture as usize];
        let mut watched = self.watched.borrow_mut();
        let shown = (at.true_ns + DECODE).max(watched.shown_at.last().copied().unwrap_or(0));
        watched.latencies.push(shown.saturating_sub(captured));
        watched.shown_at.push(shown);
        watched.shown.push(Shown { at: came.true_ns, picture: ready.picture, latency: shown.saturating_sub(captured) });
        watched.held.push(shown - DECODE - came.true_ns);
        desk.commands.push(Command::Shown(self.track, 1));
        self.queue.took(Duration::from_nanos(DECODE));
        let seen = at.local + Duration::from_nanos(DECODE);
        let Some(captured) = self.mapping.and_then(|(_, mapping)| mapping.captured(ready.capture, seen)) else { return };
        let held = ready.released.saturating_duration_since(ready.received);
        watched.hold.picture_was(seen, seen.saturating_duration_since(captured).saturating_sub(held));
        let mut speaker = self.speaker.borrow_mut();
        speaker.set_target(watched.hold.sound_due());
        watched.hold.sound_is(speaker.latency());
    }

    pub fn settle(&mut self, at: Moment, settled: Settled, desk: &mut Desk) {
        let mut watched = self.watched.borrow_mut();
        watched.settled.push(settled);
        self.came.remove(&settled.picture);
        match settled {
            whole if whole.is_whole() => watched.whole += 1,
            Settled { slices: 0, .. } => watched.lost += 1,
            _ => watched.partial += 1,
        }
        drop(watched);
        if desk.writes {
            if let Some(picture) = self.assembly.settled(settled) {
                self.see(at, at, &picture.ready(at.local + Duration::from_nanos(DECODE)), desk);
            }
        } else if !settled.is_whole() {
            self.pass(at, What::SettledInPart(settled.picture), (None, 0), desk);
        }
    }

    /// Each new estimate replaces the last, which is measured at the end of its life, where it is worst.
    pub fn take_clock(&mut self, at: Moment, mapping: Mapping, desk: &Desk) {
        let Some(source) = &self.clock_source else { return };
        self.watched.borrow_mut().skew_ppm = mapping.skew_ppm();
        self.speaker.borrow_mut().set_mapping(mapping);
        let since = match &self.mapping {
            Some((since, old)) if at.true_ns >= since + CLOCK_SETTLES => {
                let truth = source.borrow().media(at.true_ns);
                for mapping in [old, &mapping] {
                    let error = desk.base.nanos(mapping.to_local(truth)).abs_diff(desk.clock.shows(at.true_ns));
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
