//! One who watches what a sender sends: in place of decoder, window and writer what notes when something would have been seen.
//!
//! When a slice is due, which are decoded, and what is learnt from a picture that was seen say the shipped [`Schedule`],
//! [`HoldQueue`] and [`Reel`]. Another sender, or the same one started anew, is a new [`Viewer`], as it is a new track in the
//! programs.

use super::decoder::{Decoder, Job, What};
use super::harness::{Moment, Tick};
use super::oscillator::{Base, Oscillator};
use super::scan::fill_scan;
use super::sending::decoded;
use super::source::Source;
use super::speaker::Speaker;
use super::watched::{Shown, Watched};
use eyeline_proto::media::assemble::{AccessUnit, Assembly};
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::coverage::Coverage;
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::hold_queue::{self, HoldQueue};
use eyeline_proto::media::reel::{Decoded, Ready, Reel, Turn};
use eyeline_proto::media::schedule::Schedule;
use eyeline_proto::media::slice::{Part, Slice};
use eyeline_proto::session::{Command, TrackId};
use eyeline_proto::sound::{Numbered, Packet};
use eyeline_proto::time::MediaTime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// From a picture's last decoded slice until the display has it.
const PRESENT: u64 = 2_000_000;

/// What is sent is wrong on a canvas for so long at most, beside what it is held.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// How long after the first exchange the clock estimate has to settle before it is measured.
const CLOCK_SETTLES: u64 = 2_000_000_000;

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

/// All that is kept of one track.
pub struct Viewer {
    /// Tells its speaker from others'.
    pub number: u64,
    pub track: TrackId,
    pub shown_source: Option<Rc<RefCell<Source>>>,
    /// By whose clock it is told when things were caught: the sender's own, or a forwarder's.
    pub clock_source: Option<Rc<RefCell<Source>>>,
    pub watched: Rc<RefCell<Watched>>,
    pub speaker: Rc<RefCell<Speaker>>,
    /// What it was told of the sender's clock last, and since when anything is known of it.
    mapping: Option<(u64, Mapping)>,
    newest: Option<MediaTime>,
    schedule: Schedule,
    queue: HoldQueue<Waiting>,
    reel: Reel,
    decoder: Decoder,
    /// Slices that came of pictures that are not settled.
    came: BTreeMap<u64, u8>,
    /// What is written: whole pictures, in order, as they are settled.
    assembly: Assembly,
    /// Of which pictures the MCUs are that are shown, and the newest picture of this size.
    canvas: Option<(Coverage, u64)>,
}

/// What waits until its picture is due, and when it came.
struct Waiting {
    what: Item,
    came: Moment,
}

enum Item {
    Decode(What),
    SettledInPart(u64),
}

/// When what made a picture ready came, and was let go.
#[derive(Clone, Copy)]
struct Way {
    came: Moment,
    released: Moment,
}

impl Viewer {
    /// Nothing of this track has come. The sources: whose pictures they are, and by whose clock it is told when they were caught.
    pub fn new(
        number: u64,
        (track, film): (TrackId, bool),
        [shown_source, clock_source]: [Option<Rc<RefCell<Source>>>; 2],
        watched: Rc<RefCell<Watched>>,
        speaker: Rc<RefCell<Speaker>>,
    ) -> Viewer {
        let schedule = Schedule::new(watched.borrow().hold.clone(), film);
        speaker.borrow_mut().set_target(schedule.sound_due());
        Viewer {
            number,
            track,
            shown_source,
            clock_source,
            watched,
            speaker,
            mapping: None,
            newest: None,
            schedule,
            queue: HoldQueue::default(),
            reel: Reel::default(),
            decoder: Decoder::default(),
            came: BTreeMap::new(),
            assembly: Assembly::new(64 << 20),
            canvas: None,
        }
    }

    pub fn take_sound(&mut self, at: Moment, sound: &Numbered<MediaTime>) {
        let mut watched = self.watched.borrow_mut();
        watched.blocks.push(sound.number);
        let ahead = self.newest.map_or(Duration::ZERO, |newest| sound.block.capture.saturating_since(newest));
        watched.sound_ahead = watched.sound_ahead.max(ahead);
        drop(watched);
        self.speaker.borrow_mut().push(at, sound);
    }

    pub fn take_packet(&mut self, at: Moment, Numbered { number, block }: Numbered<MediaTime, Packet>, first: bool) {
        let mut watched = self.watched.borrow_mut();
        if first {
            watched.packets.push(number);
            drop(watched);
            self.take_sound(at, &Numbered { number, block: decoded(&block) });
        } else {
            watched.primers.push(number);
        }
    }

    pub fn take_slice(&mut self, at: Moment, slice: Slice, desk: &mut Desk) {
        let came = self.came.entry(slice.picture).or_default();
        *came += 1;
        let whole = *came == slice.count;
        let (capture, scan) = (slice.capture(), slice.scan());
        desk.scan.resize(scan.len(), 0);
        fill_scan(self.salt(), slice.picture, slice.index, &mut desk.scan);
        assert!(desk.scan == scan, "picture {} slice {}: another content than was sent", slice.picture, slice.index);
        self.check_stamp(at, slice.picture, capture);
        let due = self.schedule.slice(at.local, capture);
        let mut watched = self.watched.borrow_mut();
        let since = watched.last_band.map_or(0, |last| at.true_ns - last);
        watched.frozen = watched.frozen.max(since);
        watched.last_band = Some(at.true_ns);
        if whole {
            watched.first_whole.get_or_insert(at.true_ns);
            watched.whole_at.push(at.true_ns);
        }
        if watched.lies {
            desk.commands.extend([Command::Missed(self.track, slice.picture), Command::Refresh(self.track)]);
        }
        drop(watched);
        if desk.writes {
            self.newest = self.newest.max(whole.then_some(capture));
            return self.assembly.slice(slice, at.local);
        }
        let Ok(due) = due else { return self.missed(slice.picture, desk) };
        if whole {
            self.newest = self.newest.max(Some(capture));
        }
        let len = slice.bytes().len();
        self.pass(at, Item::Decode(What::Slice(slice)), (due, len), desk);
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
        let (picture, index, scan) = (part.slice.picture, part.slice.index, part.slice.scan());
        let due = self.schedule.part(at.local, part.slice.capture());
        desk.scan.resize(scan.len(), 0);
        fill_scan(self.salt(), picture, index, &mut desk.scan);
        for range in &part.present {
            assert!(desk.scan[range.clone()] == scan[range.clone()], "picture {picture} slice {index}: {range:?}");
        }
        self.watched.borrow_mut().parts += 1;
        if desk.writes {
            return self.assembly.part(part, at.local);
        }
        self.pass(at, Item::Decode(What::Part(picture)), (due, part.slice.bytes().len()), desk);
    }

    fn pass(&mut self, at: Moment, what: Item, (due, len): (Option<Instant>, usize), desk: &mut Desk) {
        let waiting = Waiting { what, came: at };
        if self.queue.passes(at.local, due) {
            self.let_go(at, waiting, desk);
        } else {
            self.queue.push(at.local, due, len, waiting);
        }
        self.wake_when_due(at, desk);
    }

    fn let_go(&mut self, at: Moment, Waiting { what, came }: Waiting, desk: &mut Desk) {
        match what {
            Item::Decode(what) => {
                let job = Job { what, came, released: at };
                self.reel.came(job.picture());
                self.decoder.push(job);
                self.decode(at, desk);
            }
            Item::SettledInPart(picture) => {
                if let Some(ready) = self.reel.settled_in_part(picture) {
                    self.see(at, Way { came, released: at }, &ready, desk);
                }
            }
        }
    }

    /// What was held, or decoded, until now goes on.
    pub fn go_on(&mut self, at: Moment, desk: &mut Desk) {
        while let Some(waiting) = self.queue.pop(at.local, hold_queue::MOST_BYTES) {
            self.let_go(at, waiting, desk);
        }
        self.decode(at, desk);
        self.wake_when_due(at, desk);
    }

    fn decode(&mut self, at: Moment, desk: &mut Desk) {
        loop {
            if let Some(Job { what: What::Slice(slice), came, released }) = self.decoder.done(at.local)
                && let Some(ready) = self.decoded(at, &slice, Way { came, released })
            {
                self.see(at, Way { came, released }, &ready, desk);
            }
            let Some(job) = self.decoder.next() else { return };
            match self.reel.turn(job.picture()) {
                Turn::Decode => {
                    let takes = self.watched.borrow().decoding;
                    self.decoder.begin(at.local, job, takes);
                }
                Turn::PassOver if matches!(job.what, What::Slice(_)) => self.missed(job.picture(), desk),
                Turn::PassOver | Turn::Ended => {}
            }
        }
    }

    /// A slice of this picture came and is not drawn.
    fn missed(&mut self, picture: u64, desk: &mut Desk) {
        if self.reel.missed(picture) {
            desk.commands.push(Command::Missed(self.track, picture));
        }
    }

    fn decoded(&mut self, at: Moment, slice: &Slice, way: Way) -> Option<Ready> {
        self.draw(at, slice);
        let (head, picture, count, received, released) =
            (slice.head(), slice.picture, slice.count, way.came.local, way.released.local);
        self.reel.decoded(&Decoded { picture, count, head: &head, received, released, decoded: at.local })
    }

    /// A slice is drawn: what no newer picture has drawn.
    fn draw(&mut self, at: Moment, slice: &Slice) {
        self.look(at);
        let head = slice.head();
        match &mut self.canvas {
            Some((coverage, newest)) if coverage.grid() == head.grid() => {
                coverage.drawn(slice.picture, head.runs());
                *newest = slice.picture.max(*newest);
            }
            Some((_, newest)) if *newest > slice.picture => {}
            canvas => {
                let mut coverage = Coverage::new(head.grid());
                coverage.drawn(slice.picture, head.runs());
                *canvas = Some((coverage, slice.picture));
            }
        }
        self.look(at);
    }

    /// What is wrong on the canvas.
    pub fn look(&mut self, at: Moment) {
        let Some(source) = &self.shown_source else { return };
        let (wrong, since) = source.borrow().coded.wrong_since(self.canvas.as_ref().map(|(coverage, _)| coverage));
        let mut watched = self.watched.borrow_mut();
        watched.wrong = wrong;
        let ghost = since.map_or(0, |since| at.true_ns - since);
        // What is under way is wrong for so long.
        if ghost < (UNDER_WAY + watched.hold.fixed()).as_nanos() as u64 && watched.wrong_at_first.is_some() {
            watched.right_at.get_or_insert(at.true_ns);
        }
        if watched.right_at.is_some() {
            watched.ghost = watched.ghost.max(ghost);
            if ghost > 100_000_000 {
                watched.ghosts.push((at.true_ns, ghost));
            }
        }
    }

    pub fn wake_when_due(&self, at: Moment, desk: &mut Desk) {
        let Some(due) = self.queue.deadline().into_iter().chain(self.decoder.deadline()).min() else { return };
        let due = desk.clock.when(desk.base.nanos(due)).max(at.true_ns + 1000);
        if desk.wakes.is_none_or(|wakes| due < wakes) {
            desk.wakes = Some(due);
            desk.ticks.push((due, Tick::Due));
        }
    }

    /// A picture is decoded at `at`: it is on the display soon.
    fn see(&mut self, at: Moment, way: Way, ready: &Ready, desk: &mut Desk) {
        self.look(at);
        let Some(source) = &self.shown_source else { return };
        let captured = source.borrow().captures[ready.picture as usize];
        let mut watched = self.watched.borrow_mut();
        let wrong = watched.wrong;
        watched.wrong_at_first.get_or_insert(wrong);
        let shown = (at.true_ns + PRESENT).max(watched.shown_at.last().copied().unwrap_or(0));
        watched.latencies.push(shown.saturating_sub(captured));
        watched.shown_at.push(shown);
        watched.shown.push(Shown { at: way.came.true_ns, picture: ready.picture, latency: shown.saturating_sub(captured) });
        watched.held.push(way.released.true_ns - way.came.true_ns);
        desk.commands.push(Command::Shown(self.track, 1));
        let seen = at.local + Duration::from_nanos(PRESENT);
        if let Some(lead) = ready.lead(seen) {
            self.queue.took(lead);
        }
        self.schedule.shown(ready, seen, |due| {
            let mut speaker = self.speaker.borrow_mut();
            speaker.set_target(due);
            speaker.latency()
        });
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
                picture.slices.iter().flatten().for_each(|slice| self.draw(at, slice));
                self.watched.borrow_mut().unjoined += u64::from(!joins(&picture));
                self.see(at, Way { came: at, released: at }, &picture.ready(at.local), desk);
            }
        } else if !settled.is_whole() {
            self.pass(at, Item::SettledInPart(settled.picture), (None, 0), desk);
        }
    }

    /// Each new estimate replaces the last, which is measured at the end of its life, where it is worst.
    pub fn take_clock(&mut self, at: Moment, mapping: Mapping, desk: &Desk) {
        self.schedule.clock(mapping);
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

/// Whether slices of a picture are bands that are all of it: those behind what is owed, where there are any.
fn joins(picture: &AccessUnit) -> bool {
    let slices = || picture.slices.iter().flatten();
    let again = slices().any(|slice| slice.index >= slice.head().owed);
    let bands = slices().filter(|slice| again == (slice.index >= slice.head().owed));
    let (mut rows, mut whole) = (0, true);
    for head in bands.map(Slice::head) {
        (rows, whole) = (rows + u32::from(head.rows), whole && head.mcus.is_none());
    }
    whole && rows == picture.size.height
}
