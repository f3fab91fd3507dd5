//! `--output` and `--audio-output`: pictures are collected until they are settled, decoded in order on a thread of their own
//! (`decoding.rs`), and written on another; sound goes to its writer as it comes.
//!
//! Capacity: [`PICTURES`] settled pictures of [`PICTURE_BYTES`] wait to be decoded; a film's sender stops far below that, for
//! it is told only of pictures that are written ([`Command::Written`]). Of a live stream the oldest are dropped when the disk
//! is slower than the camera, and the writer fills the hole. [`BLOCKS`] blocks of sound likewise.

mod decoding;

use super::super::args::recv::Recv;
use super::super::failure::{Code, Failure};
use super::super::notes::Notes;
use super::super::status::ExitCode;
use super::Note;
use crate::net::Commands;
use crate::pipeline::decode::Ready;
use crate::present::exit_hook::ExitHook;
use crate::present::writers::{self, PATIENCE, Progress, Rate, Target, Threaded, Timeline, Written, wav};
use crate::slot::Slot;
use decoding::{Collected, Decoding, Told, Unit};
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::session::receiver::{Command, SenderId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Format;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
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

/// See the module text.
pub struct Files {
    pictures: Option<Writing<Unit>>,
    sound: Option<Writing<wav::Block>>,
    notes: Notes<Note>,
    commands: Back,
    written: Arc<AtomicU32>,
    timeline: Timeline,
    /// Since when nothing more is taken.
    closed: Option<Instant>,
    /// Where there is a window: Xlib may end the process.
    _exit: Option<ExitHook>,
}

/// The way back to the session: known once the net thread is there.
pub type Back = Arc<OnceLock<Commands<Command>>>;

impl Files {
    /// Opens what is asked for; `None` if nothing is.
    pub fn open(config: &Recv, ready: &Arc<Slot<Ready>>, notes: &Notes<Note>) -> Result<Option<Files>, Failure> {
        if config.output.is_none() && config.audio_output.is_none() {
            return Ok(None);
        }
        // Both names, before anything is made.
        let claim = |path: Option<&Path>| Target::claim(path, config.overwrite).code(ExitCode::Failed);
        let pictures = config.output.as_ref().map(|output| Ok((output.format, claim(output.path.as_deref())?))).transpose()?;
        let sound = config.audio_output.as_deref().map(|path| claim(Some(path))).transpose()?;
        let timeline = Timeline::new();
        let (commands, written) = (Back::default(), Arc::default());
        let notes_to = notes.clone();
        let mut files =
            Files { pictures: None, sound: None, notes: notes_to, commands, written, timeline, closed: None, _exit: None };
        // Dropped by each writer's thread when its file is finished.
        let (finished, all_finished) = mpsc::channel::<()>();
        if let Some(target) = sound {
            let lead = if pictures.is_some() { wav::Lead::Pictures } else { wav::Lead::Sound };
            let writer = wav::Writer::new(target, lead, files.timeline.clone());
            files.sound = Some(spawn("write-sound", Slot::dropping(BLOCKS), writer, &finished)?);
        }
        if let Some((format, target)) = pictures {
            let told = Told {
                ready: (!config.window).then(|| ready.clone()),
                back: files.commands.clone(),
                written: files.written.clone(),
                notes: notes.clone(),
            };
            let decoding = Decoding::new(format, target, files.timeline.clone(), told).code(ExitCode::Failed)?;
            let queue = Slot::dropping_bytes(PICTURES, PICTURE_BYTES, |unit: &Unit| unit.collected.bytes);
            files.pictures = Some(spawn("write-decode", queue, decoding, &finished)?);
        }
        drop(finished);
        if config.window {
            let Inlet { pictures, sound, .. } = files.inlet();
            files._exit = Some(ExitHook::new(move || {
                if let Some(pictures) = pictures {
                    pictures.close();
                }
                if let Some(sound) = sound {
                    sound.close();
                }
                // Nothing is ever sent: it ends when all are dropped.
                let finished = match all_finished.recv_timeout(PATIENCE) {
                    Err(RecvTimeoutError::Timeout) => "the files could not be finished",
                    _ => "the files are finished",
                };
                // What a thread keeps for itself is gone on this one, the log's buffer too.
                let _ = writeln!(std::io::stderr(), "error: the display is gone, or it took the window away; {finished}");
            }));
        }
        Ok(Some(files))
    }

    /// For the net thread.
    pub fn inlet(&self) -> Inlet {
        Inlet {
            pictures: self.pictures.as_ref().map(|(queue, _)| queue.clone()),
            sound: self.sound.as_ref().map(|(queue, _)| queue.clone()),
            collected: BTreeMap::new(),
            bytes: 0,
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

    /// Writes what came and says what the files hold; whether they hold anything. Who takes nothing is waited for no longer than
    /// [`PATIENCE`]. `told`: we were told to stop, and what takes longer than [`HURRY`] is left out.
    pub fn finish(mut self, told: bool) -> Result<bool, Failure> {
        let since = self.close();
        if let Some((queue, thread)) = self.pictures.as_mut().filter(|_| told)
            && !thread.ends_within(HURRY.saturating_sub(since.elapsed()))
        {
            self.timeline.hurry();
            queue.discard();
            tracing::warn!("told to stop: the last pictures that came were not written in time");
        }
        let sound = self.sound.map(|(_, mut thread)| ("sound", thread.finish()));
        let pictures = self.pictures.map(|(_, mut thread)| ("picture", thread.finish()));
        let mut anything = Ok(false);
        for (what, outcome) in pictures.into_iter().chain(sound) {
            match outcome {
                Ok(written) if written.units > 0 => {
                    anything = anything.map(|_| true);
                    tracing::info!("{}", written.sentence);
                }
                Ok(_) => tracing::warn!("no {what} came: nothing is written"),
                Err(error @ writers::Error::ReaderGone) => {
                    anything = anything.map(|_| true);
                    tracing::info!("{error}");
                }
                Err(error) => {
                    tracing::error!("{error}");
                    anything = Err(Failure::new(ExitCode::Failed, error.to_string()).said());
                }
            }
        }
        anything
    }
}

/// A writer behind this queue.
fn spawn<W>(name: &str, queue: Arc<Slot<W::Unit>>, writer: W, finished: &Sender<()>) -> Result<Writing<W::Unit>, Failure>
where
    W: writers::Writer<Unit: Send + 'static> + Send + 'static,
{
    let writer = Finishing { writer, _finished: finished.clone() };
    let thread = Threaded::spawn(name, queue.clone(), writer).code(ExitCode::Failed)?;
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

/// On the net thread: collects slices until their picture is settled. Never waits.
pub struct Inlet {
    pictures: Option<Arc<Slot<Unit>>>,
    sound: Option<Arc<Slot<wav::Block>>>,
    /// Slices of unsettled pictures: as many as the session assembles.
    collected: BTreeMap<u64, Collected>,
    /// Of all of them.
    bytes: usize,
    session: u64,
    film: bool,
    format: Format,
    notes: Notes<Note>,
    told: bool,
}

impl Inlet {
    /// Another sender, or the same started anew.
    pub fn start_over(&mut self, sender: SenderId, film: bool) {
        self.session = sender.0;
        self.film = film;
        self.collected.clear();
        self.bytes = 0;
    }

    /// What the stream is.
    pub fn format(&mut self, format: Format) {
        self.format = format;
    }

    /// A slice is whole.
    pub fn slice(&mut self, slice: &Slice, received: Instant) {
        if self.pictures.is_some() && self.make_room(slice.picture, slice.body().len()) {
            let collected = self.collected.entry(slice.picture).or_insert_with(|| Collected::new(slice.count, received));
            collected.received = received;
            if let Some(place) = collected.slices.get_mut(usize::from(slice.index)) {
                collected.bytes += slice.body().len();
                self.bytes += slice.body().len();
                *place = Some(slice.body().to_vec());
            }
        }
    }

    /// What came of an unfinished slice.
    pub fn part(&mut self, part: &Part, received: Instant) {
        if self.pictures.is_some() && self.make_room(part.picture, part.body.len()) {
            let collected = self.collected.entry(part.picture).or_insert_with(|| Collected::new(part.count, received));
            collected.bytes += part.body.len();
            self.bytes += part.body.len();
            collected.parts.push(part.clone());
        }
    }

    /// Whether so many bytes more of this picture may be kept; older ones that are not settled go first.
    fn make_room(&mut self, picture: u64, bytes: usize) -> bool {
        while self.bytes + bytes > PICTURE_BYTES {
            match self.collected.first_entry().filter(|oldest| *oldest.key() < picture) {
                Some(oldest) => self.bytes -= oldest.remove().bytes,
                None => return false,
            }
        }
        true
    }

    /// A picture is complete or will not become so.
    pub fn settled(&mut self, settled: Settled) {
        let Some(pictures) = &self.pictures else { return };
        let collected = self.collected.remove(&settled.picture);
        self.collected = self.collected.split_off(&settled.picture);
        self.bytes = self.collected.values().map(|collected| collected.bytes).sum();
        // Nothing came of it: the gap in the numbers tells the writer.
        let Some(collected) = collected else { return };
        let rate = Rate::new(self.format.rate.0, self.format.rate.1);
        let unit = Unit { session: self.session, picture: settled.picture, collected, rate };
        if pictures.push(unit).is_err() {
            self.tell();
        }
    }

    /// A block of sound came.
    pub fn sound(&mut self, number: u64, captured: MediaTime, channels: u8, samples: &[u8]) {
        let Some(sound) = &self.sound else { return };
        let samples = samples.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let (session, film, received) = (self.session, self.film, Instant::now());
        let block = wav::Block { session, number, captured, received, channels, samples, film };
        if sound.push(block).is_err() {
            self.tell();
        }
    }

    /// A writer ended early: `Files::finish` knows why.
    fn tell(&mut self) {
        if !self.told {
            self.told = true;
            self.notes.tell(Note::FileEnded);
        }
    }
}
