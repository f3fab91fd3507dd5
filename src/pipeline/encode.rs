//! Between a source and the session: pictures become numbered slices, sound becomes blocks, both on the media clock.

use super::cutter::{Cutter, Treatment};
use super::sink::EncodedSink;
use super::steps::{Steps, Unsent, even, useful};
use super::tally::{EncoderCounts, Tally};
use super::tee::Own;
use crate::codec::ageing::AGE;
use crate::codec::encoder::{self, At, Coded, Encoded};
use crate::codec::opus;
use crate::codec::passthrough;
use crate::codec::raw::Outcome;
use crate::codec::raw::transformer::Loss;
use crate::codec::replenisher::{Due, Replenisher};
use crate::codec::scale::Scaler;
use crate::codec::settings::{Error, Settings};
use crate::codec::turn::Turner;
use crate::net::Commands;
use crate::threads::{lock, wait};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::foreign::{Passthrough, Way};
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::media::ladder::{Ladder, Step};
use eyeline_proto::media::layers;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Body, BufferPool, Picture, Size, Turn, View};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::{Command, Event};
use eyeline_proto::sound::{Block, Packet};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::{Film, Format, Want, Whole};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

mod jpegs;

/// More threads than this gain nothing: at 1080p a band is 0.4 ms of work by then.
const MAX_WORKERS: usize = 4;

/// How pictures are to be encoded.
pub struct Config {
    /// JPEG quality where the path allows it, 1 to 100.
    pub quality: u8,
    /// What the session was told of them.
    pub format: Format,
    /// Nothing may be skipped.
    pub film: bool,
    /// Turned so before anything else.
    pub turn: Turn,
    /// No wider than this.
    pub width: Option<u32>,
    /// This process's clock.
    pub epoch: Epoch,
    /// Only what changed is sent, where that is less.
    pub replenish: bool,
    /// What may become of a camera's own JPEGs.
    pub passthrough: Passthrough,
    /// What records our own, while that is wished.
    pub own: Option<Own>,
    /// Where all of it is published beside the session.
    pub published: Option<Arc<dyn Published>>,
}

/// Where pictures and sound go beside the session, in temporal layers ([`layers`]).
pub trait Published: Send + Sync {
    /// What is of use there now.
    fn uses(&self) -> Uses;
    /// A picture of this number comes, in slices; `whole`: all of it is coded, and no slice is for some receivers alone.
    fn picture(&self, number: u64, whole: bool);
    /// One of its slices.
    fn slice(&self, slice: &Slice);
    /// A block of sound, and its packet where there is one.
    fn sound(&self, block: &Block<MediaTime>, packet: Option<&Packet>);
}

/// What is of use where it is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    pub pictures: bool,
    pub sound: bool,
    /// Of so many layers also each picture whole.
    pub whole: usize,
    /// What the way there takes of pictures; `None` for no limit.
    pub takes: Option<Bitrate>,
}

pub struct Encoder {
    threads: encoder::EncoderThreads,
    commands: Commands<Command>,
    buffers: BufferPool,
    epoch: Epoch,
    steps: Mutex<Steps>,
    /// What says what changed, where only that is sent.
    replenisher: Option<Mutex<Replenisher>>,
    /// The same of a camera's JPEGs.
    cutter: Option<Mutex<Cutter>>,
    scaler: Mutex<Scaler>,
    passthrough: Passthrough,
    /// What becomes of those.
    treated: Mutex<Option<Treatment>>,
    /// What receivers lack.
    owed: Mutex<Owed>,
    film: bool,
    /// A sink of this process has use for every picture.
    seen_here: bool,
    own: Option<Own>,
    published: Option<Arc<dyn Published>>,
    /// What turns each picture, where any is to be turned.
    turner: Option<Mutex<Turner>>,
    width: Option<u32>,
    next: AtomicU64,
    /// Of a film the position of the last picture, ms.
    position: AtomicU64,
    announced: Mutex<Format>,
    held: Mutex<bool>,
    released: Condvar,
    tally: Tally,
    /// What makes packets of live sound, and whether anybody wants any.
    opus: Mutex<opus::Encoder>,
    wants_packets: AtomicBool,
    /// The user lets no sound, no pictures pass.
    silent: [AtomicBool; 2],
    /// Sound, pictures of a film that were caught until then are of another place; locked while one is on its way.
    void: [Mutex<Option<Instant>>; 2],
}

impl Encoder {
    /// Its threads wait for work. `sink` is given each slice as it is sent.
    pub fn new(config: Config, commands: Commands<Command>, sink: Option<Box<dyn EncodedSink>>) -> Result<Self, Error> {
        let Config { quality, format, film, turn, width, epoch, replenish, passthrough, own, published } = config;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
        let seen_here = sink.is_some();
        let (slices, sink, publishes) = (commands.clone(), sink.map(Mutex::new), published.clone());
        let on_slice = move |slice: Slice| {
            publishes.iter().for_each(|published| published.slice(&slice));
            // All of it again is for others.
            let owed = slice.head().owed;
            if let Some(sink) = sink.as_ref().filter(|_| slice.index < owed) {
                let mut ours = slice.clone();
                ours.count = slice.count.min(owed);
                lock(sink).slice(&ours, Instant::now());
            }
            slices.command(Command::Slice(slice));
        };
        let ladder = Ladder::new(quality, film, format.rate.map_or(Duration::ZERO, Rate::period), passthrough);
        let replenish = replenish && !film;
        Ok(Encoder {
            threads: encoder::EncoderThreads::new(workers, on_slice)?,
            commands,
            buffers: BufferPool::new(),
            epoch,
            steps: Mutex::new(Steps::new(ladder)),
            replenisher: replenish.then(Mutex::default),
            scaler: Mutex::default(),
            cutter: replenish.then(Mutex::default),
            passthrough,
            treated: Mutex::new(None),
            owed: Mutex::new(Owed::Nothing),
            film,
            seen_here,
            own,
            published,
            turner: (turn != Turn::NONE).then(|| Mutex::new(Turner::new(turn))),
            width,
            next: AtomicU64::new(0),
            position: AtomicU64::new(0),
            announced: Mutex::new(format),
            held: Mutex::new(false),
            released: Condvar::new(),
            tally: Tally::default(),
            opus: Mutex::default(),
            wants_packets: AtomicBool::new(false),
            silent: [const { AtomicBool::new(false) }; 2],
            void: [const { Mutex::new(None) }; 2],
        })
    }

    /// Encodes one picture and hands its slices on as they are ready. Waits while the session holds a film back. Whether what is
    /// seen now is not sent yet, or not as well as the path takes it: the same picture again would be of use.
    pub fn encode(&self, picture: Picture) -> bool {
        let Some(picture) = self.turned(picture) else { return false };
        lock(&self.scaler).comes(&picture);
        if let Some(replenisher) = &self.replenisher {
            lock(replenisher).comes(picture.changed.as_ref().filter(|_| picture.view == View::PLAIN));
        }
        let mut held = lock(&self.held);
        while *held {
            held = wait(&self.released, held);
        }
        drop(held);
        let void = lock(&self.void[1]);
        if self.silent[1].load(Ordering::Relaxed) || void.is_some_and(|until| picture.captured <= until) {
            return false;
        }
        self.own.iter().for_each(|own| own.picture(&picture));
        let (begun, position) = (Instant::now(), picture.position);
        let uses = self.uses();
        self.position.store(position.unwrap_or_default().as_millis() as u64, Ordering::Relaxed);
        let want = self.want(uses);
        let (wanted, whole) = (self.wanted(picture.seen(), want), want.whole);
        let may_cut = !uses.pictures && self.may_cut(&picture, wanted, whole);
        let step = match lock(&self.steps).next(&picture, (want, wanted), may_cut, (self.film, self.seen_here)) {
            Ok(step) => step,
            Err(unsent) => {
                self.left_out(&picture, unsent);
                return unsent == Unsent::NoRoom;
            }
        };
        let Some((picture, step)) = self.cut(picture, step, may_cut && step.eighths == 8, begun) else { return false };
        let why = matches!(picture.body, Body::Jpeg(_)).then(|| self.why_anew(&picture, wanted, step));
        let mut picture = match self.fit(picture, wanted, step) {
            Ok(picture) => picture,
            Err(error) => {
                self.lost(&error);
                return false;
            }
        };
        self.announce(picture.size);
        let capture = self.epoch.media_time(picture.captured);
        let number = self.next.load(Ordering::Relaxed);
        let mut replenisher = self.replenisher.as_ref().map(lock);
        replenisher.iter_mut().for_each(|replenisher| replenisher.layered(uses.pictures.then_some(number)));
        let Plan { coded, step, by_share } = self.plan(replenisher.as_deref_mut(), &mut picture, step, whole);
        let settings = Settings { quality: step.quality, position };
        self.published.iter().for_each(|published| published.picture(number, matches!(coded, Coded::All)));
        match self.threads.encode(number, picture, capture, settings, coded) {
            Ok(encoded) => {
                self.sent(number, &encoded, begun);
                if let Some(why) = why {
                    *lock(&self.treated) = Some(if encoded.passed_through { Treatment::Whole } else { Treatment::Anew(why) });
                }
                let ladder = &mut lock(&self.steps).ladder;
                match by_share {
                    _ if encoded.passed_through => {}
                    false => ladder.note_encoded(step, encoded.bytes),
                    true => ladder.note_part(step, encoded.changed.share, encoded.changed.bytes, encoded.refined.bytes),
                }
                let Some(replenisher) = replenisher.as_deref_mut().filter(|_| by_share) else { return false };
                replenisher.was_sent(step.quality >= ladder.best());
                (step.eighths < 8 && ladder.settles()) || (replenisher.is_waited_for() && ladder.refines(step, AGE))
            }
            Err(error) => {
                if matches!(error, Error::Torn(_)) {
                    // Some of it is sent.
                    self.next.store(number + 1, Ordering::Relaxed);
                }
                // What is taken for sent was not.
                replenisher.iter_mut().for_each(|replenisher| replenisher.forget());
                self.lost(&error);
                false
            }
        }
    }

    /// The picture as it is to be seen, where the user wants it turned.
    fn turned(&self, picture: Picture) -> Option<Picture> {
        let Some(turner) = &self.turner else { return Some(picture) };
        let mut turner = lock(turner);
        let (seen, want) = (turner.seen(&picture), self.want(self.uses()));
        let is_anew = self.passthrough == Passthrough::Off || self.wanted(seen, want) != seen;
        match turner.picture(picture, if is_anew { Loss::Nothing } else { Loss::Edges }) {
            Ok((turned, outcome)) => {
                if outcome == Outcome::Warned {
                    self.tally.damaged();
                }
                Some(turned)
            }
            Err(error) => {
                self.replenisher.iter().for_each(|replenisher| lock(replenisher).comes(None));
                self.lost(&error);
                None
            }
        }
    }

    fn left_out(&self, picture: &Picture, unsent: Unsent) {
        self.tally.left_out();
        if unsent == Unsent::NoRoom && self.passthrough == Passthrough::On && matches!(picture.body, Body::Jpeg(_)) {
            self.tally.withheld();
        }
    }

    /// A picture was encoded so. Only what was has a number: the session wants no gaps.
    fn sent(&self, number: u64, encoded: &Encoded, begun: Instant) {
        self.next.store(number + 1, Ordering::Relaxed);
        self.tally.encoded(encoded, begun.elapsed());
    }

    /// What of a picture is coded, and at which quality: what changed, is refined and is owed, unless everybody wants it `whole`.
    /// Means are drawn into it.
    fn plan<'a>(&self, replenisher: Option<&'a mut Replenisher>, picture: &mut Picture, step: Step, whole: Whole) -> Plan<'a> {
        let all = Plan { coded: Coded::All, step, by_share: false };
        let Some(replenisher) = replenisher else { return all };
        let Body::Planes(sampling, planes) = &mut picture.body else {
            replenisher.forget();
            return all;
        };
        if whole == Whole::Everybody {
            replenisher.forget();
            return all;
        }
        let owed = lock(&self.owed).clone();
        let room = |share| lock(&self.steps).ladder.spare(step, share);
        let due = replenisher.look(planes, (*sampling, picture.size), &owed, picture.captured, room);
        let ladder = &lock(&self.steps).ladder;
        let quality = |share| ladder.quality_of(step, share);
        let share = |set: &McuSet| set.len() as f64 / set.of().max(1) as f64;
        let (coded, changed) = match due {
            None => (Coded::All, 1.0),
            Some(Due { changed, refined, owed }) => {
                let refined = At { mcus: refined, quality: ladder.finest() };
                // What is owed takes nothing from those who are not sent it.
                let owed = At { mcus: owed, quality: quality(share(changed) + share(owed)) };
                let whole = (whole == Whole::Somebody).then(|| ladder.quality_beside(step, share(changed)));
                (Coded::Some { changed, refined, owed, whole }, share(changed))
            }
        };
        Plan { coded, step: Step { quality: quality(changed), ..step }, by_share: true }
    }

    /// What is of use where it is published.
    fn uses(&self) -> Uses {
        self.published.as_ref().map(|published| published.uses()).unwrap_or_default()
    }

    /// What anybody has use for, there and of receivers.
    fn want(&self, uses: Uses) -> Want {
        let mut want = lock(&self.steps).want;
        if uses.pictures {
            let rate = uses.takes.map_or(0, |takes| takes.0);
            want = Want { pictures: true, pixels: 0, rate, ..want };
        }
        if layers::of(self.next.load(Ordering::Relaxed)) < uses.whole && want.whole == Whole::Nobody {
            want.whole = Whole::Somebody;
        }
        want
    }

    /// The size that the user and those who see it want of what is seen at this one, where the path takes it.
    fn wanted(&self, seen: Size, want: Want) -> Size {
        let wanted = self.width.map_or(seen, |width| seen.at_width(width));
        if self.film { wanted } else { useful(wanted, want.pixels) }
    }

    /// The picture upright, with square pixels, of the `wanted` size or what the path takes of it; a camera's JPEG that may not
    /// go as it is becomes planes.
    fn fit(&self, picture: Picture, wanted: Size, step: Step) -> Result<Picture, Error> {
        let size = match step.eighths {
            8 => wanted,
            eighths => wanted.at_width(even(wanted.width * u32::from(eighths) / 8)),
        };
        let anew = picture.view != View::PLAIN || (matches!(picture.body, Body::Jpeg(_)) && step.foreign == Way::Anew);
        if size == picture.size && !anew {
            Ok(picture)
        } else {
            lock(&self.scaler).scale(self.decoded(picture)?, size, &self.buffers)
        }
    }

    /// A camera's JPEG as planes.
    fn decoded(&self, picture: Picture) -> Result<Picture, Error> {
        let Body::Jpeg(jpeg) = &picture.body else { return Ok(picture) };
        let (size, sampling, planes, outcome) = passthrough::decode(jpeg, &self.buffers)?;
        if outcome == Outcome::Warned {
            self.tally.damaged();
        }
        Ok(Picture { size, body: Body::Planes(sampling, planes), ..picture })
    }

    /// Does what the session says of how pictures and sound are to be.
    pub fn heed(&self, event: &Event) {
        match event {
            Event::Pressure(on) => self.hold(*on),
            Event::Target(target) => self.set_target(*target),
            Event::Wanted(want) => self.set_wanted(*want),
            Event::WantsPackets(wanted) => self.set_wants_packets(*wanted),
            Event::Owed(owed) => self.set_owed(owed.clone()),
            _ => {}
        }
    }

    /// What the best receiver's path takes for pictures.
    fn set_target(&self, target: Option<Bitrate>) {
        lock(&self.steps).target = target;
    }

    /// The most that anybody has use for: pictures are made no larger than they are shown, and none where none are.
    fn set_wanted(&self, want: Want) {
        let none = Want { pictures: false, ..Want::ALL };
        lock(&self.steps).want = if want.pictures { want } else { none };
    }

    /// What receivers lack: it is sent again.
    fn set_owed(&self, owed: Owed) {
        *lock(&self.owed) = owed;
    }

    /// Why there is nothing to see, where pictures came and none of them could be used.
    pub fn useless(&self) -> Option<String> {
        if self.next.load(Ordering::Relaxed) == 0 { self.tally.why_lost() } else { None }
    }

    /// What becomes of a camera's own JPEGs; `None` where none came.
    pub fn treated(&self) -> Option<Treatment> {
        *lock(&self.treated)
    }

    fn lost(&self, error: &Error) {
        if matches!(error, Error::Refused(Refusal::Damaged(_))) {
            self.tally.damaged();
        }
        self.tally.lost(error);
        tracing::debug!("a picture was left out: {error}");
    }

    /// The rate that a stream says of itself; what the user says of it stands.
    pub fn set_rate(&self, rate: Rate) {
        let mut announced = lock(&self.announced);
        if announced.rate.is_none() {
            announced.rate = Some(rate);
            self.commands.command(Command::Format(*announced));
        }
    }

    /// Tells the session when the size is another than it was told.
    fn announce(&self, size: Size) {
        let mut announced = lock(&self.announced);
        if announced.size != Some(size) {
            announced.size = Some(size);
            self.commands.command(Command::Format(*announced));
        }
    }

    /// Hands a block of sound to the session.
    pub fn send_sound(&self, block: Block<Instant>) {
        let void = lock(&self.void[0]);
        if self.silent[0].load(Ordering::Relaxed) || void.is_some_and(|until| block.capture <= until) {
            return;
        }
        let uses = self.uses();
        let wants_packets = self.wants_packets.load(Ordering::Relaxed) || (uses.sound && !self.film);
        let (block, packet) = lock(&self.opus).push(block, wants_packets);
        self.own.iter().for_each(|own| own.sound(&block));
        let capture = self.epoch.media_time(block.capture);
        let block = block.at(capture);
        if uses.sound {
            self.published.iter().for_each(|published| published.sound(&block, packet.as_ref()));
        }
        self.commands.command(Command::Sound(block, packet));
    }

    /// Whether anybody wants sound as Opus packets.
    fn set_wants_packets(&self, wanted: bool) {
        self.wants_packets.store(wanted, Ordering::Relaxed);
    }

    /// Lets no sound (`muted`), no pictures (`closed`) pass.
    pub fn silence(&self, muted: bool, closed: bool) {
        self.silent[0].store(muted, Ordering::Relaxed);
        self.silent[1].store(closed, Ordering::Relaxed);
    }

    /// A film goes elsewhere, as the session is told: what was caught `until` then is of another place, and of use to nobody. What
    /// comes next is at this position.
    pub fn jump(&self, until: Instant, position: Duration, film: Film) {
        let mut void = self.void.each_ref().map(lock);
        void.iter_mut().for_each(|void| **void = Some(until));
        self.position.store(position.as_millis() as u64, Ordering::Relaxed);
        self.commands.command(Command::Film { film, jumped: true });
    }

    /// A film's pictures wait (`true`) or go on.
    fn hold(&self, on: bool) {
        *lock(&self.held) = on;
        self.released.notify_all();
    }

    /// At the end: what is not encoded yet is left out, and nobody waits.
    pub fn stop(&self) {
        self.threads.stop();
        self.hold(false);
    }

    /// What it did since the start.
    pub fn counters(&self) -> EncoderCounts {
        EncoderCounts { size: lock(&self.announced).size, ..self.tally.counts() }
    }

    /// How far a film is.
    pub fn position(&self) -> Duration {
        Duration::from_millis(self.position.load(Ordering::Relaxed))
    }
}

/// How a picture is coded.
struct Plan<'a> {
    coded: Coded<'a>,
    step: Step,
    /// Its quality follows how much of it is coded.
    by_share: bool,
}

#[cfg(test)]
#[path = "encode/still_tests.rs"]
mod still_tests;
