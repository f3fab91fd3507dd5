//! Films: any file the `ffmpeg` program can read, every picture once and with its own time, its sound on the same clock.
//!
//! ```text
//!  ffmpeg ── pipe ── film reader ── feed ─┬─ film pictures ── Slot<Picture>
//!  (raw pictures and PCM in Matroska)     └─ film sound ───── Slot<Block<Instant>>
//! ```
//!
//! ffmpeg decodes, deinterlaces, turns upright, squares the pixels, lays what is transparent on black, fits each picture into the
//! first one's shape and converts to full-range BT.601; here times are made exact (`timeline.rs`), waited for (`clock.rs`) and
//! kept from blocking each other (`feed.rs`). Each pass of a looped film begins where the longer of the last pass's pictures and
//! sound ended, so the two never drift apart. A short one is decoded once and kept (`kept.rs`); else each pass is a child of its
//! own. A still is decoded once and given again at a low rate. A film that
//! goes elsewhere (`Film::go_to`) is played by another child from there, and its clock counts on. What comes live from an address has no clock of ours:
//! `address.rs`.
//!
//! A picture is pushed when its time has come. Where a slot makes us wait, the clock of the whole film moves later: nothing is
//! skipped.

pub mod address;
mod clock;
mod command;
mod feed;
mod kept;
mod matroska;
mod opening;
mod origin;
mod places;
mod player;
mod probe;
mod silence;
mod stderr;
mod timeline;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use self::origin::{Origin, is_address};
pub use self::player::Jump;
use self::player::Player;
pub use self::probe::{Playback, Sound, Treatment, Video};
use crate::slot::Slot;
use eyeline_proto::picture::{Picture, Size};
use eyeline_proto::sound::Block;

/// How far a stamp in milliseconds can be from its picture's exact time: it and the first one were each rounded by half of one.
const STAMP_ERROR: Duration = Duration::from_micros(1100);

/// What to do with a film.
#[derive(Debug, Clone)]
pub struct Options {
    /// Scale to this width; the aspect is kept.
    pub width: Option<u32>,
    /// Without `width`: scale to fit into this; the aspect is kept.
    pub size: Option<Size>,
    /// Start again at the end.
    pub looped: bool,
    /// Play its pictures, if it has some.
    pub want_video: bool,
    /// Play its sound, if it has some.
    pub want_audio: bool,
    /// How long a single picture is shown; without, until it is stopped.
    pub still: Option<Duration>,
}

impl Options {
    /// How long a single picture is shown where nobody says so.
    pub const STILL: Duration = Duration::from_secs(5);
}

impl Default for Options {
    fn default() -> Self {
        Options { width: None, size: None, looped: false, want_video: true, want_audio: true, still: Some(Options::STILL) }
    }
}

/// Why a film cannot be played, or was not played to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// ffmpeg is not installed.
    #[error("cannot find the program `{program}`, which films need: apt install ffmpeg")]
    NoProgram {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
    },
    /// It is, but does not run.
    #[error("cannot run `{program}`, which films need: {why}")]
    NotStarted {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// What the system says.
        why: String,
    },
    /// No such file.
    #[error("there is no file {}{cure}", path.display())]
    NoFile {
        /// The name given.
        path: PathBuf,
        /// What to do, where that can be told from the name.
        cure: &'static str,
    },
    /// It cannot be opened.
    #[error("cannot read {}: {why}", address::shown(path))]
    Unreadable {
        /// The name given.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// ffmpeg makes nothing of it.
    #[error("{} is not a film that ffmpeg can play: {why}", address::shown(path))]
    NotFilm {
        /// The name given.
        path: PathBuf,
        /// What ffmpeg says.
        why: String,
    },
    /// It has nothing of what is wanted.
    #[error("{} has no {wanted}", address::shown(path))]
    Nothing {
        /// The name given.
        path: PathBuf,
        /// What was wanted of it.
        wanted: &'static str,
    },
    /// Its pictures have more than 8192 pixels on a side.
    #[error("the pictures of {} would be {size}; at most 8192x8192 can be sent: scale them with --width", address::shown(path))]
    TooLarge {
        /// The name given.
        path: PathBuf,
        size: Size,
    },
    /// An address gives nothing, or nothing more.
    #[error("cannot read {}: {why}", address::shown(address))]
    Address {
        /// The address given.
        address: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// ffmpeg gave up.
    #[error("{} could not be played to its end: ffmpeg says: {why}", address::shown(path))]
    Broken {
        /// The name given.
        path: PathBuf,
        /// Its last line.
        why: String,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// A film being played. Dropping it ends its child and its threads, and closes both slots.
pub struct Film {
    player: Arc<Player>,
    reader: Option<JoinHandle<()>>,
}

impl Film {
    /// Learns what the film is made of. Takes some tenths of a second; plays nothing.
    pub fn probe(path: &Path, options: &Options) -> Result<Playback, Error> {
        Self::probe_at(Origin::of(path)?, options)
    }

    /// As [`Film::probe`], of a film on stdin or at an address.
    pub fn probe_at(origin: Origin, options: &Options) -> Result<Playback, Error> {
        probe::probe(origin, options)
    }

    /// Starts to play: the first picture's time is a moment after ffmpeg gives it. Slots should be [`Slot::waiting`]; both are
    /// closed at the end.
    pub fn open(playback: Playback, pictures: Arc<Slot<Picture>>, sound: Arc<Slot<Block<Instant>>>) -> Result<Film, Error> {
        let (video, audio) = (playback.video.is_some(), playback.sound.is_some());
        let player = Arc::new(Player::new(playback, pictures, sound));
        let pipes = player.start()?;
        // From here on, dropping the film kills the child whatever happens.
        let mut film = Film { player: player.clone(), reader: None };
        let mut givers = Vec::new();
        if video {
            givers.push(spawn("film pictures", &player, Player::give_pictures)?);
        }
        if audio {
            givers.push(spawn("film sound", &player, Player::give_sound)?);
        }
        film.reader = Some(spawn("film reader", &player, move |player| player.run(pipes, givers))?);
        Ok(film)
    }

    /// Somebody new watches: a still is given again at once.
    pub fn show_again(&self) {
        self.player.show_again();
    }

    /// It stands still, or goes on with the next picture and the next sample; false where all of it was given out.
    pub fn pause(&self, on: bool) -> bool {
        self.player.pause(on)
    }

    /// It goes on at this place. `tell` is told before anything is given out of there; nothing is told, and nothing changes, where
    /// all of it was given out.
    pub fn go_to(&self, place: Duration, tell: impl FnOnce(Jump)) {
        self.player.go_to(place, tell);
    }

    /// The time of its clock of what is heard, where it has no pictures.
    pub fn heard(&self) -> Option<Duration> {
        self.player.heard()
    }

    /// Where it is at this time of its clock, which is the position of a picture: since which time it has not been sought, nor
    /// begun again, and at which place it was then.
    pub fn place(&self, played: Duration) -> (Duration, Duration) {
        self.player.place(played)
    }

    /// Why it ended, if neither at its end nor because it was told to.
    pub fn failed(&self) -> Option<Error> {
        self.player.failed()
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        self.player.stop();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.player.reap();
    }
}

fn spawn(name: &str, player: &Arc<Player>, run: impl FnOnce(&Player) + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let player = player.clone();
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&player));
    thread.map_err(|error| Error::Thread(error.to_string()))
}
