//! `--output` and `--audio-output`: pictures are collected until they are settled, decoded in order on a thread of their own, and
//! written on another; sound goes to its writer as it comes.
//!
//! Capacity: [`PICTURES`] settled pictures wait to be decoded; a film's sender stops far below that, for it is told only of pictures
//! that are written ([`Command::Written`]). Of a live stream the oldest are dropped when the disk is slower than the camera, and the
//! writer fills the hole. [`BLOCKS`] blocks of sound likewise.

use super::super::args::recv::{Format as Kind, Recv};
use super::super::decode::Ready;
use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::Note;
use crate::codec::decoder::Decoder;
use crate::codec::raw::PlanesMut;
use crate::codec::stitch::Stitcher;
use crate::media::depacketizer::{Part, Settled, Slice};
use crate::net::Commands;
use crate::picture::{Pool, Sampling, Size};
use crate::present::exit_hook::ExitHook;
use crate::present::writers::{self, Moment, Rate, Target, Threaded, Timeline, Written, mjpeg, wav, y4m};
use crate::session::receiver::{Command, SenderId};
use crate::slot::Slot;
use crate::time::MediaTime;
use crate::wire::record::Format;
use crate::wire::slice::Head;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Settled pictures waiting: four times what a film's sender lets be under way.
const PICTURES: usize = 240;

/// Blocks of sound waiting: ten seconds.
const BLOCKS: usize = 1000;

/// Decoded pictures between decoder and disk.
const DECODED: usize = 4;

/// How long a disk may take to write the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// A settled picture: its number, and what came of it.
struct Unit {
    session: u64,
    picture: u64,
    collected: Collected,
    /// Of the stream, where the sender says one.
    rate: Option<Rate>,
}

type WriterThread = JoinHandle<Result<Option<Written>, writers::Error>>;

/// See the module text.
pub struct Files {
    units: Option<Arc<Slot<Unit>>>,
    pictures: Option<WriterThread>,
    sound: Option<(Arc<Slot<wav::Block>>, Threaded<wav::Block>)>,
    notes: Sender<Note>,
    commands: Back,
    written: Arc<AtomicU32>,
    /// Where there is a window: Xlib may end the process.
    _exit: Option<ExitHook>,
}

/// The way back to the session: known once the net thread is there.
pub type Back = Arc<OnceLock<Commands<Command>>>;

impl Files {
    /// Opens what is asked for; `None` if nothing is.
    pub fn open(config: &Recv, ready: &Arc<Slot<Ready>>, notes: &Sender<Note>) -> Result<Option<Files>, Failure> {
        if config.output.is_none() && config.audio_output.is_none() {
            return Ok(None);
        }
        // Both names, before anything is made.
        let claim = |path: Option<&Path>| Target::claim(path, config.overwrite).code(ExitCode::Failed);
        let pictures = config.output.as_ref().map(|output| Ok((output.format, claim(output.path.as_deref())?))).transpose()?;
        let sound = config.audio_output.as_deref().map(|path| claim(Some(path))).transpose()?;
        let timeline = Timeline::new();
        let commands = Back::default();
        let written = Arc::default();
        let mut files = Files { units: None, pictures: None, sound: None, notes: notes.clone(), commands, written, _exit: None };
        // Dropped by each writer's thread when its file is finished.
        let (finished, all_finished) = mpsc::channel::<()>();
        if let Some(target) = sound {
            let lead = if pictures.is_some() { wav::Lead::Pictures } else { wav::Lead::Sound };
            let writer = wav::Writer::new(target, lead, timeline.clone());
            let queue = Slot::dropping(BLOCKS);
            let writer = Finishing { writer, _finished: finished.clone() };
            let thread = Threaded::spawn("write-sound", queue.clone(), writer).code(ExitCode::Failed)?;
            files.sound = Some((queue, thread));
        }
        if let Some((format, target)) = pictures {
            let units = Slot::dropping(PICTURES);
            let worker = Worker {
                format,
                units: units.clone(),
                // Where there is a window, latency is what the window shows.
                ready: (!config.window).then(|| ready.clone()),
                timeline,
                back: files.commands.clone(),
                written: files.written.clone(),
                notes: notes.clone(),
            };
            let decoder = Decoder::new().code(ExitCode::Failed)?;
            let thread = thread::Builder::new().name("write-decode".into()).spawn(move || {
                let outcome = worker.run(target, decoder);
                drop(finished);
                outcome
            });
            files.pictures = Some(thread.code(ExitCode::Failed)?);
            files.units = Some(units);
        } else {
            drop(finished);
        }
        if config.window {
            let (units, sound) = (files.units.clone(), files.sound.as_ref().map(|(queue, _)| queue.clone()));
            files._exit = Some(ExitHook::new(move || {
                if let Some(units) = units {
                    units.close();
                }
                if let Some(sound) = sound {
                    sound.close();
                }
                // Nothing is ever sent: it ends when all are dropped.
                let _ = all_finished.recv_timeout(PATIENCE);
                // What a thread keeps for itself is gone on this one, the log's buffer too.
                let _ =
                    writeln!(std::io::stderr(), "error: the display is gone, or it took the window away; the files are finished");
            }));
        }
        Ok(Some(files))
    }

    /// For the net thread.
    pub fn inlet(&self) -> Inlet {
        Inlet {
            units: self.units.clone(),
            sound: self.sound.as_ref().map(|(queue, _)| queue.clone()),
            collected: BTreeMap::new(),
            session: 0,
            film: false,
            format: Format::default(),
            notes: self.notes.clone(),
            told: false,
        }
    }

    /// Where the session is told what is written.
    pub fn back(&self) -> Back {
        self.commands.clone()
    }

    /// Pictures handed to the writer so far.
    pub fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// Writes what came and says what the files hold.
    pub fn finish(mut self) -> Result<(), Failure> {
        let mut outcomes = Vec::new();
        if let Some(units) = &self.units {
            units.close();
        }
        if let Some(thread) = self.pictures.take() {
            match thread.join() {
                Ok(outcome) => outcomes.push(("picture", outcome)),
                Err(payload) => std::panic::resume_unwind(payload),
            }
        }
        if let Some((_, thread)) = self.sound.take() {
            outcomes.push(("sound", thread.finish(PATIENCE).map(Some)));
        }
        let mut failed = Ok(());
        for (what, outcome) in outcomes {
            match outcome {
                Ok(Some(written)) if written.units > 0 => tracing::info!("{}", written.sentence),
                Ok(_) => tracing::warn!("no {what} came: nothing is written"),
                Err(error @ writers::Error::ReaderGone) => tracing::info!("{error}"),
                Err(error) => {
                    tracing::error!("{error}");
                    failed = Err(Failure::new(ExitCode::Failed, error.to_string()).said());
                }
            }
        }
        failed
    }
}

impl Drop for Files {
    /// Of a run that ended before anything could come: the writers let go of what they claimed.
    fn drop(&mut self) {
        if let Some(units) = &self.units {
            units.close();
        }
        if let Some(thread) = self.pictures.take() {
            let _ = thread.join();
        }
    }
}

/// A writer that is heard of when its file is finished.
struct Finishing<W> {
    writer: W,
    _finished: Sender<()>,
}

impl<W: writers::Writer> writers::Writer for Finishing<W> {
    type Unit = W::Unit;

    fn write(&mut self, unit: W::Unit) -> Result<(), writers::Error> {
        self.writer.write(unit)
    }

    fn finish(self) -> Result<Written, writers::Error> {
        self.writer.finish()
    }
}

/// What came of a picture, and when the last of it did.
struct Collected {
    slices: Vec<Option<Vec<u8>>>,
    parts: Vec<Part>,
    received: Instant,
}

/// On the net thread: collects slices until their picture is settled. Never waits.
pub struct Inlet {
    units: Option<Arc<Slot<Unit>>>,
    sound: Option<Arc<Slot<wav::Block>>>,
    /// Slices of unsettled pictures: as many as the session assembles.
    collected: BTreeMap<u64, Collected>,
    session: u64,
    film: bool,
    format: Format,
    notes: Sender<Note>,
    told: bool,
}

impl Inlet {
    /// Another sender, or the same started anew.
    pub fn start_over(&mut self, sender: SenderId, film: bool) {
        self.session = sender.0;
        self.film = film;
        self.collected.clear();
    }

    /// What the stream is.
    pub fn format(&mut self, format: Format) {
        self.format = format;
    }

    /// A slice is whole.
    pub fn slice(&mut self, slice: &Slice, received: Instant) {
        if self.units.is_some() {
            let none = || Collected { slices: vec![None; usize::from(slice.count)], parts: Vec::new(), received };
            let collected = self.collected.entry(slice.picture).or_insert_with(none);
            collected.received = received;
            if let Some(place) = collected.slices.get_mut(usize::from(slice.index)) {
                *place = Some(slice.body().to_vec());
            }
        }
    }

    /// What came of an unfinished slice.
    pub fn part(&mut self, part: &Part, received: Instant) {
        if self.units.is_some() {
            let none = || Collected { slices: vec![None; usize::from(part.count)], parts: Vec::new(), received };
            self.collected.entry(part.picture).or_insert_with(none).parts.push(part.clone());
        }
    }

    /// A picture is complete or will not become so.
    pub fn settled(&mut self, settled: Settled) {
        let Some(units) = &self.units else { return };
        let collected = self.collected.remove(&settled.picture);
        self.collected = self.collected.split_off(&settled.picture);
        // Nothing came of it: the gap in the numbers tells the writer.
        let Some(collected) = collected else { return };
        let rate = Rate::new(self.format.rate.0, self.format.rate.1);
        let unit = Unit { session: self.session, picture: settled.picture, collected, rate };
        if units.push(unit).is_err() {
            self.tell();
        }
    }

    /// A block of sound came.
    pub fn sound(&mut self, number: u64, captured: MediaTime, channels: u8, samples: &[u8]) {
        let Some(sound) = &self.sound else { return };
        let samples = samples.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let block = wav::Block { session: self.session, number, captured, channels, samples, film: self.film };
        if sound.push(block).is_err() {
            self.tell();
        }
    }

    /// A writer ended early: `Files::finish` knows why.
    fn tell(&mut self) {
        if !self.told {
            self.told = true;
            let _ = self.notes.send(Note::FileEnded);
        }
    }
}

/// Decodes settled pictures and hands them to the writer's thread.
struct Worker {
    format: Kind,
    units: Arc<Slot<Unit>>,
    ready: Option<Arc<Slot<Ready>>>,
    timeline: Timeline,
    back: Back,
    written: Arc<AtomicU32>,
    notes: Sender<Note>,
}

enum Sink {
    Y4m(Threaded<y4m::Picture>),
    Mjpeg(Threaded<mjpeg::Picture>),
}

/// The picture as it stands: bands that did not come keep their last good pixels.
struct Planes {
    size: Size,
    sampling: Sampling,
    bytes: Vec<u8>,
}

impl Worker {
    fn run(self, target: Target, mut decoder: Decoder) -> Result<Option<Written>, writers::Error> {
        let (mut sink, mut target) = (None, Some(target));
        let mut planes: Option<Planes> = None;
        let mut stitcher = None;
        let pool = Pool::new();
        while let Some(unit) = self.units.take() {
            let Collected { slices, parts, received } = &unit.collected;
            let heads: Vec<_> = slices.iter().flatten().filter_map(|body| Head::decode(body).ok()).collect();
            let Some(head) = heads.first().map(|(head, _)| *head) else { continue };
            let encoded = heads.iter().map(|(head, _)| head.encoded).max().unwrap_or_default();
            if let Some(target) = target.take() {
                sink = Some(self.open(target)?);
            }
            let Some(sink) = &sink else { continue };
            let moment = Moment { session: unit.session, captured: head.capture, position: head.position };
            let (number, rate) = (unit.picture, unit.rate);
            let taken = match sink {
                Sink::Y4m(thread) => {
                    let planes = planes.get_or_insert_with(|| Planes::grey(head.size, head.sampling));
                    planes.draw(&mut decoder, slices, parts);
                    let mut copy = pool.take(planes.bytes.len());
                    copy.copy_from_slice(&planes.bytes);
                    let (size, sampling) = (planes.size, planes.sampling);
                    thread.push(y4m::Picture { moment, number, rate, size, sampling, planes: copy })
                }
                Sink::Mjpeg(thread) => match join(&mut stitcher, slices) {
                    Ok(jpeg) => thread.push(mjpeg::Picture { moment, number, rate, jpeg }),
                    Err(error) => {
                        tracing::warn!("picture {} is left out of the file: {error}", unit.picture);
                        Ok(())
                    }
                },
            };
            if taken.is_err() {
                break;
            }
            let decoded = Instant::now();
            self.written.fetch_add(1, Ordering::Relaxed);
            if let Some(commands) = self.back.get() {
                commands.command(Command::Written(SenderId(unit.session), unit.picture + 1));
            }
            if let Some(ready) = &self.ready {
                let whole = slices.iter().all(Option::is_some);
                let (picture, capture, queued, received) = (unit.picture, head.capture, head.queued, *received);
                // Closed only when the program ends.
                let (size, released) = (head.size, received);
                let sender = SenderId(unit.session);
                let _ = ready.push(Ready { sender, picture, size, capture, queued, encoded, received, released, decoded, whole });
            }
        }
        // After an early end nobody need collect any more.
        self.units.close();
        let _ = self.notes.send(Note::FileEnded);
        match sink {
            Some(Sink::Y4m(thread)) => thread.finish(PATIENCE).map(Some),
            Some(Sink::Mjpeg(thread)) => thread.finish(PATIENCE).map(Some),
            None => Ok(None),
        }
    }

    fn open(&self, target: Target) -> Result<Sink, writers::Error> {
        let timeline = self.timeline.clone();
        Ok(match self.format {
            Kind::Y4m => {
                let writer = y4m::Writer::new(target, timeline);
                Sink::Y4m(Threaded::spawn("write-y4m", Slot::waiting(DECODED), writer)?)
            }
            Kind::Mjpeg => {
                let writer = mjpeg::Writer::new(target, timeline);
                Sink::Mjpeg(Threaded::spawn("write-mjpeg", Slot::waiting(DECODED), writer)?)
            }
        })
    }
}

/// One JPEG of a picture's slices; the stitcher remembers what fills the holes.
fn join(stitcher: &mut Option<Stitcher>, slices: &[Option<Vec<u8>>]) -> anyhow::Result<Vec<u8>> {
    let stitcher = match stitcher {
        Some(stitcher) => stitcher,
        none => none.insert(Stitcher::new()?),
    };
    let bodies: Vec<&[u8]> = slices.iter().flatten().map(Vec::as_slice).collect();
    Ok(stitcher.push(&bodies)?)
}

impl Planes {
    /// Black luma, neutral colour.
    fn grey(size: Size, sampling: Sampling) -> Self {
        let luma = size.width as usize * size.height as usize;
        let mut bytes = vec![128; sampling.bytes(size)];
        bytes[..luma].fill(0);
        Planes { size, sampling, bytes }
    }

    /// The planes from a luma row on.
    fn band(&mut self, top: u32) -> PlanesMut<'_> {
        let (luma, rest) = self.bytes.split_at_mut(self.size.width as usize * self.size.height as usize);
        let chroma = self.sampling.chroma(self.size).unwrap_or(Size { width: 0, height: 0 });
        let (cb, cr) = rest.split_at_mut(chroma.width as usize * chroma.height as usize);
        let down = self.size.height.div_ceil(chroma.height.max(1));
        let strides = [self.size.width as usize, chroma.width as usize, chroma.width as usize];
        let rows = [top as usize, (top / down) as usize, (top / down) as usize];
        let [luma, cb, cr] = [(luma, 0), (cb, 1), (cr, 2)].map(|(plane, at)| &mut plane[rows[at] * strides[at]..]);
        PlanesMut { planes: [luma, cb, cr], strides }
    }

    /// Draws the slices that came.
    fn draw(&mut self, decoder: &mut Decoder, slices: &[Option<Vec<u8>>], parts: &[Part]) {
        let whole = slices.iter().flatten().map(|body| (body.as_slice(), None));
        for (body, part) in whole.chain(parts.iter().map(|part| (part.body.as_slice(), Some(part)))) {
            let Ok((head, _)) = Head::decode(body) else { continue };
            if (head.size, head.sampling) != (self.size, self.sampling) {
                *self = Planes::grey(head.size, head.sampling);
            }
            let band = self.band(u32::from(head.top));
            let drawn = match part {
                None => decoder.decode_planes(body, band),
                Some(part) => decoder.decode_planes_part(body, &part.present, part.ended, band),
            };
            if let Err(error) = drawn {
                tracing::debug!("a slice did not decode: {error}");
            }
        }
    }
}
