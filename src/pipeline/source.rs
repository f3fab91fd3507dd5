//! A source at work, opened when somebody watches.

use super::camera_supervisor::{self, Supervisor};
use super::counts::Counts;
use super::encode::Encoder;
use super::pictures::Pictures;
use crate::capture::camera;
use crate::capture::file::address::Address;
use crate::capture::file::{self, Film};
use crate::capture::microphone::{self, Known, Microphone};
use crate::capture::pattern::{self, Pattern};
use crate::capture::screen::{self, Screen};
use crate::capture::y4m::{self, Live};
use crate::slot::Slot;
use crate::threads::lock;
use crate::voice_processing::VoiceProcessing;
use eyeline_proto::picture::Picture;
use eyeline_proto::sound::Block;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Pictures of a film decoded ahead: one being encoded, one ready.
const FILM_AHEAD: usize = 2;

/// Blocks of sound between capture and the session; 20 are 200 ms, after which live sound is stale.
const SOUND_AHEAD: usize = 20;

/// Why a source cannot be opened, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Camera(#[from] camera::Error),
    /// The film, or what is at an address.
    #[error(transparent)]
    Film(#[from] file::Error),
    #[error(transparent)]
    Stdin(#[from] y4m::Error),
    #[error(transparent)]
    Screen(#[from] screen::Error),
    /// The test picture.
    #[error(transparent)]
    Test(#[from] pattern::Error),
    /// The connection to an address was used before.
    #[error("the stream was closed")]
    Closed,
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

/// What is told of a source at work, on its threads.
pub enum Note {
    /// Of the camera.
    Camera(camera_supervisor::Note),
    /// Of the screen.
    Screen(screen::Note),
    /// The microphone that was there cannot be opened now; pictures go on.
    NoSound(microphone::Error),
    /// It came to its end by itself.
    Ended,
}

/// What is to be opened, and how.
pub struct Config<'a> {
    /// Where pictures come from.
    pub pictures: &'a Pictures,
    /// Where sound comes from, beside what comes with the pictures.
    pub microphone: Option<&'a Known>,
    /// What becomes of what it hears.
    pub voice: Option<&'a VoiceProcessing>,
    /// Nothing may be skipped.
    pub film: bool,
    /// A camera that is gone is waited for.
    pub reconnect: bool,
    /// Of a test source, pictures and the tone.
    pub test: (bool, bool),
}

enum Device {
    Camera(Arc<Supervisor>),
    Film(Film),
    Address(Address),
    Stdin(Live),
    Screen(Screen),
    Test { _pattern: Pattern },
    None,
}

/// A source at work: device threads, and the threads that carry what they give to the encoder and the session.
pub struct Running {
    device: Device,
    microphone: Option<Microphone>,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    carriers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Opens the source.
    pub fn start(
        config: &Config<'_>,
        encoder: &Arc<Encoder>,
        tell: impl Fn(Note) + Send + Sync + 'static,
    ) -> Result<Running, Error> {
        let tell = Arc::new(tell);
        let (pictures, sound) = match config.film {
            true => (Slot::waiting(FILM_AHEAD), Slot::waiting(SOUND_AHEAD)),
            false => (Slot::newest(), Slot::dropping(SOUND_AHEAD)),
        };
        let device = match config.pictures {
            Pictures::Camera(camera) => {
                let tell = tell.clone();
                Device::Camera(Supervisor::open(camera, config.reconnect, move |note| tell(Note::Camera(note)))?)
            }
            Pictures::Film(playback) => Device::Film(Film::open(playback.clone(), pictures.clone(), sound.clone())?),
            Pictures::Address { connection, .. } => {
                let connection = lock(connection).take().ok_or(Error::Closed)?;
                Device::Address(Address::open(*connection, pictures.clone(), sound.clone())?)
            }
            Pictures::Stdin(_) => Device::Stdin(Live::stdin(pictures.clone())?),
            Pictures::Screen(setup) => {
                let tell = tell.clone();
                Device::Screen(Screen::open(setup, pictures.clone(), move |note| tell(Note::Screen(note)))?)
            }
            Pictures::Test(size, rate) => {
                let (give_pictures, give_sound) = config.test;
                let options = pattern::Options { size: *size, rate: *rate, want_video: give_pictures, want_audio: give_sound };
                // The pattern closes the slot of what is not wanted of it; the microphone's is not its own.
                let tone = if give_sound { sound.clone() } else { Slot::dropping(1) };
                let pattern = Pattern::start(&options, pictures.clone(), tone)?;
                Device::Test { _pattern: pattern }
            }
            Pictures::None => Device::None,
        };
        // It was there when we started; if it is not now, pictures go on and it is waited for.
        let microphone = config
            .microphone
            .map(|known| Microphone::reopen(known, sound.clone(), config.voice.cloned()))
            .and_then(|opened| opened.map_err(|error| tell(Note::NoSound(error))).ok());
        let mut running = Running { device, microphone, pictures, sound, carriers: Vec::new() };
        running.carry(encoder, move || tell(Note::Ended))?;
        Ok(running)
    }

    fn carry(&mut self, encoder: &Arc<Encoder>, ended: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let (slot, to) = (self.sound.clone(), encoder.clone());
        let sound = thread::Builder::new().name("sound".into()).spawn(move || {
            while let Some(block) = slot.take() {
                to.send_sound(block);
            }
        })?;
        let (slot, to) = (self.pictures.clone(), encoder.clone());
        let supervisor = match &self.device {
            Device::Camera(supervisor) => Some(supervisor.clone()),
            _ => None,
        };
        // A screen gives no other picture before something is drawn: what it showed last is to be seen as it is.
        let again = match &self.device {
            Device::Screen(screen) => Some(screen.again()),
            _ => None,
        };
        let watch_pictures = !matches!(self.device, Device::None);
        let header = match &self.device {
            Device::Stdin(live) => Some(live.header()),
            _ => None,
        };
        // A microphone never ends; it has nothing to go with once the camera is gone or stdin at its end.
        let end_sound =
            matches!(self.device, Device::Camera(_) | Device::Stdin(_) | Device::Screen(_)).then(|| self.sound.clone());
        self.carriers.push(thread::Builder::new().name("encode-0".into()).spawn(move || {
            if watch_pictures {
                let next = || supervisor.as_ref().map_or_else(|| slot.take(), |supervisor| supervisor.take());
                while let Some(picture) = next() {
                    // Known by its first picture, if ever.
                    if let Some(rate) = header.as_ref().and_then(|header| header.rate()) {
                        to.set_rate(rate);
                    }
                    if to.encode(picture) {
                        again.iter().for_each(|again| again());
                    }
                }
            }
            if let Some(sound) = end_sound {
                sound.close();
            }
            // A source is over when both of its streams are.
            let finished = sound.join();
            debug_assert!(finished.is_ok(), "the sound carrier panicked");
            ended();
        })?);
        Ok(())
    }

    /// Somebody new watches: what does not move is given again at once.
    pub fn show_again(&self) {
        match &self.device {
            Device::Film(film) => film.show_again(),
            _ => self.show_more(),
        }
    }

    /// Something is to be sent of what does not move: a screen gives a picture sooner than it would.
    pub fn show_more(&self) {
        if let Device::Screen(screen) = &self.device {
            screen.show_again();
        }
    }

    /// The film, where it is one.
    pub fn film(&self) -> Option<&Film> {
        match &self.device {
            Device::Film(film) => Some(film),
            _ => None,
        }
    }

    /// What it lost so far.
    pub fn counts(&self) -> Counts {
        let camera = match &self.device {
            Device::Camera(supervisor) => supervisor.counts(),
            Device::Screen(screen) => Counts { replaced: screen.replaced(), ..Counts::default() },
            Device::Stdin(live) => Counts { replaced: self.pictures.dropped(), damaged: live.left_out(), ..Counts::default() },
            _ => Counts { replaced: self.pictures.dropped(), ..Counts::default() },
        };
        let lost_frames = self.microphone.as_ref().map_or(0, Microphone::lost_frames);
        Counts { lost_frames, dropped_blocks: self.sound.dropped(), ..camera }
    }

    /// Why it ended.
    pub fn outcome(&self) -> Result<(), Error> {
        let failed = match &self.device {
            Device::Camera(supervisor) => supervisor.failed().map(Error::Camera),
            Device::Film(film) => film.failed().map(Error::Film),
            Device::Address(address) => address.failed().map(Error::Film),
            Device::Stdin(stdin) => stdin.failed().map(Error::Stdin),
            Device::Screen(screen) => screen.failed().map(Error::Screen),
            Device::Test { .. } | Device::None => None,
        };
        failed.map_or(Ok(()), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The slots' ends: the device's threads and ours both notice.
        self.pictures.close();
        self.sound.close();
        if let Device::Camera(supervisor) = &self.device {
            supervisor.stop();
        }
        self.device = Device::None;
        for carrier in self.carriers.drain(..) {
            let finished = carrier.join();
            debug_assert!(finished.is_ok(), "the encoder panicked");
        }
    }
}
