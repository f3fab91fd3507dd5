//! What is written to files: pictures are collected until they are settled, decoded in order on a thread of their own
//! (`decoding.rs`), and written on another; sound goes to its writer as it comes.
//!
//! Capacity: [`PICTURES`] settled pictures of [`PICTURE_BYTES`] wait to be decoded; a film's sender stops far below that, for
//! it is told only of pictures that are written ([`Command::Written`]). Of a live stream the oldest are dropped when the disk
//! is slower than the camera, and the writer fills the hole. [`BLOCKS`] blocks of sound likewise.

mod decoding;

use super::decode::Announced;
use super::sink::{EncodedSink, Sound};
use crate::codec::{raw, stitch};
use crate::net::Commands;
use crate::present::writers::{self, PATIENCE, Progress, Rate, Target, Threaded, Timeline, Written, wav};
use crate::slot::Slot;
use decoding::{Decoding, Told, Unit};
use eyeline_proto::media::assemble::Assembly;
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::session::TrackId;
use eyeline_proto::session::receiver::Command;
use eyeline_proto::wire::record::Format as StreamFormat;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Settled pictures waiting: four times what a film's sender lets be under way.
const PICTURES: usize = 240;

/// Their bytes, and those of pictures that are not settled yet: twice what a film's sender lets be under way, and what is over is
/// dropped, the oldest first. A picture may claim 128 slices of 4 MiB.
const PICTURE_BYTES: usize = 64 << 20;

/// Whoever is told to stop decodes what waits for so long: all of it, where decoding keeps up.
const HURRY: Duration = Duration::from_millis(300);

/// Blocks of sound waiting: ten seconds.
const BLOCKS: usize = 1000;

/// A writer's thread and what it takes from.
type Writing<U> = (Arc<Slot<U>>, Threaded<U>);

/// What pictures are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Decoded planes, YUV4MPEG2.
    Y4m,
    /// JPEGs as they came, one after the other.
    Mjpeg,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread, or what the writers say.
    #[error(transparent)]
    Writer(#[from] writers::Error),
    /// The library gives no decoder.
    #[error(transparent)]
    Decoder(#[from] raw::Error),
}

/// What is told while files are written, on the thread where it happens.
pub enum Note {
    /// A file is not written any more; [`Recorder::finish`] tells why.
    Ended,
    /// A picture was not written.
    LeftOut {
        /// Its number.
        picture: u64,
        /// Why.
        error: stitch::Error,
    },
}

/// Who is told.
pub type Tell = Arc<dyn Fn(Note) + Send + Sync>;

/// What is to be written where.
pub struct Config {
    /// Pictures.
    pub pictures: Option<(Format, Target)>,
    /// Sound.
    pub sound: Option<Target>,
    /// Where pictures that are written are announced, if anywhere.
    pub ready: Option<Announced>,
    /// Who is told what happens.
    pub tell: Tell,
}

/// See the module text.
pub struct Recorder {
    pictures: Option<Writing<Unit>>,
    sound: Option<Writing<wav::Block>>,
    tell: Tell,
    commands: Back,
    written: Arc<AtomicU32>,
    timeline: Timeline,
    /// Since when nothing more is taken.
    closed: Option<Instant>,
    all_finished: Option<Receiver<()>>,
}

/// The way back to the session: known once the net thread is there.
pub type Back = Arc<OnceLock<Commands<Command>>>;

/// What became of the files.
pub struct Outcome {
    /// Of pictures, where any were to be written.
    pub pictures: Option<Result<Written, writers::Error>>,
    /// Of sound.
    pub sound: Option<Result<Written, writers::Error>>,
    /// Pictures that came were left out, for there was no time.
    pub hurried: bool,
}

/// Brings the files to their end when nobody else can any more.
pub struct LastResort {
    pictures: Option<Arc<Slot<Unit>>>,
    sound: Option<Arc<Slot<wav::Block>>>,
    all_finished: Receiver<()>,
}

impl LastResort {
    /// Takes nothing more and waits until all is written, for [`PATIENCE`] at most; whether it is.
    pub fn finish(&self) -> bool {
        if let Some(pictures) = &self.pictures {
            pictures.close();
        }
        if let Some(sound) = &self.sound {
            sound.close();
        }
        // Nothing is ever sent: it ends when all are dropped.
        !matches!(self.all_finished.recv_timeout(PATIENCE), Err(RecvTimeoutError::Timeout))
    }
}

impl Recorder {
    /// Starts the threads that write.
    pub fn start(config: Config) -> Result<Recorder, Error> {
        let Config { pictures, sound, ready, tell } = config;
        let timeline = Timeline::new();
        let (commands, written) = (Back::default(), Arc::<AtomicU32>::default());
        // Dropped by each writer's thread when its file is finished.
        let (finished, all_finished) = mpsc::channel::<()>();
        let lead = if pictures.is_some() { wav::Lead::Pictures } else { wav::Lead::Sound };
        let sound = sound.map(|target| {
            let writer = wav::Writer::new(target, lead, timeline.clone());
            spawn("write-sound", Slot::dropping(BLOCKS), writer, &finished)
        });
        let sound = sound.transpose()?;
        let pictures = pictures.map(|(format, target)| {
            let told = Told {
                ready: ready.map(|ready| ready.lane()),
                back: commands.clone(),
                written: written.clone(),
                tell: tell.clone(),
            };
            let decoding = Decoding::new(format, target, timeline.clone(), told)?;
            let queue = Slot::dropping_bytes(PICTURES, PICTURE_BYTES, |unit: &Unit| unit.picture.bytes());
            spawn("write-decode", queue, decoding, &finished)
        });
        let pictures = pictures.transpose()?;
        let all_finished = Some(all_finished);
        Ok(Recorder { pictures, sound, tell, commands, written, timeline, closed: None, all_finished })
    }

    /// For whoever sees the process end without us; once.
    pub fn last_resort(&mut self) -> Option<LastResort> {
        let all_finished = self.all_finished.take()?;
        let Inlets { pictures, sound, .. } = self.inlets();
        Some(LastResort { pictures, sound, all_finished })
    }

    /// For the net thread.
    pub fn inlets(&self) -> Inlets {
        Inlets {
            pictures: self.pictures.as_ref().map(|(queue, _)| queue.clone()),
            sound: self.sound.as_ref().map(|(queue, _)| queue.clone()),
            tell: self.tell.clone(),
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

    /// Takes nothing more; what came is written from now on. Neither file waits for the other. Since when that is.
    pub fn close(&mut self) -> Instant {
        if let Some((queue, _)) = &self.pictures {
            queue.close();
        }
        if let Some((queue, _)) = &self.sound {
            queue.close();
        }
        *self.closed.get_or_insert_with(Instant::now)
    }

    /// Writes what came. Who takes nothing is waited for no longer than [`PATIENCE`]. `told`: we were told to stop, and what takes
    /// longer than [`HURRY`] is left out.
    pub fn finish(mut self, told: bool) -> Outcome {
        let since = self.close();
        let mut hurried = false;
        if let Some((queue, thread)) = self.pictures.as_mut().filter(|_| told)
            && !thread.ends_within(HURRY.saturating_sub(since.elapsed()))
        {
            self.timeline.hurry();
            queue.discard();
            hurried = true;
        }
        let sound = self.sound.map(|(_, mut thread)| thread.finish());
        let pictures = self.pictures.map(|(_, mut thread)| thread.finish());
        Outcome { pictures, sound, hurried }
    }
}

/// A writer behind this queue.
fn spawn<W>(name: &str, queue: Arc<Slot<W::Unit>>, writer: W, finished: &Sender<()>) -> Result<Writing<W::Unit>, Error>
where
    W: writers::Writer<Unit: Send + 'static> + Send + 'static,
{
    let writer = Finishing { writer, _finished: finished.clone() };
    let thread = Threaded::spawn(name, queue.clone(), writer)?;
    Ok((queue, thread))
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

    fn progress(&self) -> Progress {
        self.writer.progress()
    }
}

/// What tracks' inlets are made of.
#[derive(Clone)]
pub struct Inlets {
    pictures: Option<Arc<Slot<Unit>>>,
    sound: Option<Arc<Slot<wav::Block>>>,
    tell: Tell,
}

impl Inlets {
    /// For one track. Tracks follow each other in the files.
    pub fn track(&self, id: TrackId, film: bool) -> Inlet {
        let (assembly, format) = (Assembly::new(PICTURE_BYTES), StreamFormat::default());
        Inlet { to: self.clone(), assembly, id, film, format, told: false }
    }
}

/// Of one track, on the net thread: collects slices until their picture is settled. Never waits.
pub struct Inlet {
    to: Inlets,
    assembly: Assembly,
    id: TrackId,
    film: bool,
    format: StreamFormat,
    told: bool,
}

impl Inlet {
    /// A writer ended early: [`Recorder::finish`] tells why.
    fn tell_ended(&mut self) {
        if !self.told {
            self.told = true;
            (self.to.tell)(Note::Ended);
        }
    }
}

impl EncodedSink for Inlet {
    fn format(&mut self, format: StreamFormat) {
        self.format = format;
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        if self.to.pictures.is_some() {
            self.assembly.slice(slice.clone(), received);
        }
    }

    fn part(&mut self, part: &Part, received: Instant) {
        if self.to.pictures.is_some() {
            self.assembly.part(part.clone(), received);
        }
    }

    fn settled(&mut self, settled: Settled) {
        let Some(pictures) = &self.to.pictures else { return };
        // Nothing came of it: the gap in the numbers tells the writer.
        let Some(picture) = self.assembly.settled(settled) else { return };
        let rate = Rate::new(self.format.rate.0, self.format.rate.1);
        if pictures.push(Unit { track: self.id, picture, rate }).is_err() {
            self.tell_ended();
        }
    }

    fn sound(&mut self, sound: &Sound<'_>) {
        let Some(blocks) = &self.to.sound else { return };
        let &Sound { number, capture: captured, channels, received, .. } = sound;
        let (session, film, samples) = (self.id.peer.0, self.film, sound.samples.to_vec());
        if blocks.push(wav::Block { session, number, captured, received, channels, samples, film }).is_err() {
            self.tell_ended();
        }
    }
}
