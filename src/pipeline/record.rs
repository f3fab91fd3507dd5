//! What is written to files: pictures are collected until they are settled (`inlets.rs`), decoded in order on a thread of their
//! own (`decoding.rs`), and written on another; sound goes to its writer as it comes. A [`Recorder`] is of one set of files: of
//! all senders that follow each other, of one, or of the sound of all of them mixed.

mod decoding;
mod inlets;
mod mixing;
mod room;

pub use inlets::{Inlets, Queues, What};
pub use room::{Held, Room, Tenant};

use super::back::Back;
use super::decode::Announced;
use crate::codec::{raw, stitch};
use crate::present::writers::{self, PATIENCE, Progress, Target, Threaded, Timeline, Written, mix, wav};
use crate::slot::Slot;
use decoding::{Decoding, Told};
use inlets::Unit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Whoever is told to stop decodes what waits for so long: all of it, where decoding keeps up.
const HURRY: Duration = Duration::from_millis(300);

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

/// A picture was not written.
pub struct LeftOut {
    pub picture: u64,
    pub error: stitch::Error,
}

/// Who is told, on the thread where it happens.
pub type Tell = Arc<dyn Fn(LeftOut) + Send + Sync>;

/// What is to be written where.
pub struct Config {
    pub queues: Queues,
    /// Where pictures go, where any are to be written.
    pub pictures: Option<(Format, Target)>,
    /// Where sound goes.
    pub sound: Option<Target>,
    /// Where the mix goes.
    pub mix: Option<Target>,
    /// Bytes of decoded pictures that wait for the disk, beyond one.
    pub decoded: usize,
    /// Where pictures that are written are announced, if anywhere.
    pub ready: Option<Announced>,
    /// Where the session is told of them.
    pub back: Back,
    /// Who is told what happens.
    pub tell: Tell,
}

pub struct Recorder {
    queues: Queues,
    pictures: Option<Threaded<Unit>>,
    sound: Option<Threaded<wav::Unit>>,
    mix: Option<Threaded<mix::Unit>>,
    written: Arc<AtomicU32>,
    timeline: Timeline,
    /// Since when nothing more is taken.
    closed: Option<Instant>,
    all_finished: Option<Receiver<()>>,
}

/// What became of the files.
pub struct Outcome {
    /// Of pictures, where any were to be written.
    pub pictures: Option<Result<Written, writers::Error>>,
    /// Of sound, mixed or not.
    pub sound: Option<Result<Written, writers::Error>>,
    /// Pictures that came were left out, for there was no time.
    pub hurried: bool,
}

/// Brings the files to their end when nobody else can any more.
pub struct LastResort {
    queues: Queues,
    all_finished: Receiver<()>,
}

impl LastResort {
    /// Takes nothing more.
    pub fn close(&self) {
        self.queues.close();
    }

    /// Waits until all is written, for [`PATIENCE`] since then at most; whether it is.
    pub fn finish(&self, since: Instant) -> bool {
        // Nothing is ever sent: it ends when all are dropped.
        !matches!(self.all_finished.recv_timeout(PATIENCE.saturating_sub(since.elapsed())), Err(RecvTimeoutError::Timeout))
    }
}

impl Recorder {
    /// Starts the threads that write.
    pub fn start(config: Config) -> Result<Recorder, Error> {
        let Config { queues, pictures, sound, mix, decoded, ready, back, tell } = config;
        let timeline = Timeline::new();
        let written = Arc::<AtomicU32>::default();
        // Dropped by each writer's thread when its file is finished.
        let (finished, all_finished) = mpsc::channel::<()>();
        let lead = if pictures.is_some() { wav::Lead::Pictures } else { wav::Lead::Sound };
        let sound = sound.zip(queues.sound.clone()).map(|(target, queue)| {
            let writer = wav::Writer::new(target, lead, timeline.clone());
            spawn("write-sound", queue, writer, &finished)
        });
        let sound = sound.transpose()?;
        let mix =
            mix.zip(queues.mix.clone()).map(|(target, queue)| spawn("write-mix", queue, mix::Writer::new(target), &finished));
        let mix = mix.transpose()?;
        let pictures = pictures.zip(queues.pictures.clone()).map(|((format, target), queue)| {
            let told = Told { ready: ready.map(|ready| ready.lane()), back, written: written.clone(), tell };
            let decoding = Decoding::new(format, target, decoded, timeline.clone(), told)?;
            spawn("write-decode", queue, decoding, &finished)
        });
        let pictures = pictures.transpose()?;
        Ok(Recorder { queues, pictures, sound, mix, written, timeline, closed: None, all_finished: Some(all_finished) })
    }

    /// For whoever sees the process end without us; once.
    pub fn last_resort(&mut self) -> Option<LastResort> {
        let all_finished = self.all_finished.take()?;
        Some(LastResort { queues: self.queues.clone(), all_finished })
    }

    /// Pictures handed to the writer so far.
    pub fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether a file has come to its end; [`Recorder::finish`] tells how. Then nothing more is taken for the other.
    pub fn has_ended(&mut self) -> bool {
        let pictures = self.pictures.as_mut().map(Threaded::has_ended);
        let sound = self.sound.as_mut().map(Threaded::has_ended);
        let ended = [pictures, sound, self.mix.as_mut().map(Threaded::has_ended)];
        if ended.contains(&Some(true)) {
            self.close();
        }
        !ended.contains(&Some(false))
    }

    /// Takes nothing more; what came is written from now on. Neither file waits for the other. Since when that is.
    pub fn close(&mut self) -> Instant {
        self.queues.close();
        *self.closed.get_or_insert_with(Instant::now)
    }

    /// Writes what came. Who takes nothing is waited for no longer than [`PATIENCE`]. `told`: we were told to stop, and what
    /// takes longer than [`HURRY`] is left out.
    pub fn finish(mut self, told: bool) -> Outcome {
        let since = self.close();
        let mut hurried = false;
        if let Some(thread) = self.pictures.as_mut().filter(|_| told)
            && !thread.ends_within(HURRY.saturating_sub(since.elapsed()))
        {
            self.timeline.hurry();
            if let Some(queue) = &self.queues.pictures {
                queue.discard();
            }
            hurried = true;
        }
        let sound = self.sound.map(|mut thread| thread.finish());
        let sound = sound.or(self.mix.map(|mut thread| thread.finish()));
        let pictures = self.pictures.map(|mut thread| thread.finish());
        Outcome { pictures, sound, hurried }
    }
}

/// A writer behind this queue.
fn spawn<W>(name: &str, queue: Arc<Slot<W::Unit>>, writer: W, finished: &Sender<()>) -> Result<Threaded<W::Unit>, Error>
where
    W: writers::Writer<Unit: Send + 'static> + Send + 'static,
{
    let writer = Finishing { writer, _finished: finished.clone() };
    Ok(Threaded::spawn(name, queue, writer)?)
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
