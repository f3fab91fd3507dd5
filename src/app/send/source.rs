//! What is sent: planned at the start without touching a device's stream, opened when somebody watches.

use super::super::args;
use super::super::args::send::{Sound as SoundSource, Source};
use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::encode::Encoder;
use super::films::{a_second, at, options, planned};
use super::keeper::{Keeper, SharedPlan};
use crate::capture::camera::{self, Camera};
use crate::capture::file::address::{Address, Connection};
use crate::capture::file::{self, Film, Origin};
use crate::capture::microphone::Microphone;
use crate::capture::pattern::{self, Pattern};
use crate::capture::rate::Rate;
use crate::capture::y4m::Live;
use crate::slot::Slot;
use eyeline_proto::picture::{Picture, Size};
use eyeline_proto::sound::Block;
use eyeline_proto::wire::record::Format;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The test picture's size and rate where the user asks for none.
const TEST: (Size, (u32, u32)) = (Size { width: 1280, height: 720 }, (30, 1));

/// Pictures of a film decoded ahead: one being encoded, one ready.
const FILM_AHEAD: usize = 2;

/// Blocks of sound between capture and the session; 20 are 200 ms, after which live sound is stale.
const SOUND_AHEAD: usize = 20;

/// Where pictures come from, made ready.
pub enum Pictures {
    Camera(SharedPlan),
    Film(file::Plan),
    /// Live, from an address: connected until it is started.
    Address {
        connection: Mutex<Option<Box<Connection>>>,
        size: Option<Size>,
        channels: u8,
    },
    Stdin(Option<(u32, u32)>),
    Test(Size, (u32, u32)),
    None,
}

/// See the module text.
pub struct Plan {
    pictures: Pictures,
    /// Whether pictures are wanted of it.
    video: bool,
    /// Which one, as typed; opened once already, to see that it works.
    microphone: Option<Option<String>>,
    channels: u8,
    /// What was said to a user about the width.
    pub width: Option<u32>,
}

impl Plan {
    /// Finds out what there is, and says so; devices stay closed.
    pub fn make(config: &args::Send) -> Result<Plan, Failure> {
        let size = config.size;
        let own_sound = matches!(config.sound, Some(SoundSource::Source));
        let pictures = match &config.source {
            Source::Film { path, .. } => at(config, path)?,
            Source::Stdin if Origin::stdin().is_some() => {
                if config.sound.is_some() && !own_sound {
                    return Err(Failure::new(ExitCode::Usage, "a film on stdin has its own sound: leave out --mic"));
                }
                let origin = Origin::stdin().ok_or_else(|| Failure::new(ExitCode::Failed, "stdin is closed"))?;
                planned(Film::probe_at(origin, &options(config)).code(ExitCode::Failed)?)
            }
            _ if !config.video && config.source != Source::Test => Pictures::None,
            Source::Camera(which) => {
                let fps = config.fps.map(|fps| fps.num.div_ceil(fps.den));
                let request = camera::Request { which: which.clone(), size, fps };
                let plan = Camera::probe(&request).code(ExitCode::Device)?;
                tracing::info!("camera {}", plan.chosen());
                Pictures::Camera(Arc::new(Mutex::new(plan)))
            }
            Source::Stdin => Pictures::Stdin(config.fps.map(|fps| (fps.num, fps.den))),
            Source::Test => {
                let size = size.unwrap_or(TEST.0);
                let size = config.width.map_or(size, |width| scaled(size, width));
                let rate = config.fps.map_or(TEST.1, |fps| (fps.num, fps.den));
                let what = if config.video { format!("{size}, {}", a_second(rate)) } else { "no picture".into() };
                tracing::info!("test picture: {what}, {}", if own_sound { "with a tone" } else { "without a tone" });
                Pictures::Test(size, rate)
            }
        };
        // Without either there is no going on.
        let required = match &pictures {
            Pictures::None => Some("leave out --no-video"),
            _ => config.require_audio.then_some("leave out --require-audio to go on without sound"),
        };
        let microphone = match &config.sound {
            Some(SoundSource::Microphone(which)) => find_microphone(which.as_deref(), required)?,
            _ => None,
        };
        let channels = match (&pictures, &config.sound) {
            (_, None) => 0,
            (Pictures::Film(plan), _) => plan.sound.as_ref().map_or(0, |sound| sound.channels),
            (Pictures::Address { channels, .. }, _) => *channels,
            (Pictures::Test(..), Some(SoundSource::Source)) => 1,
            (_, Some(SoundSource::Microphone(_))) => microphone.as_ref().map_or(0, |(_, channels)| *channels),
            _ => 0,
        };
        if config.require_audio && channels == 0 {
            return Err(Failure::new(ExitCode::Device, "there is no sound to send, and --require-audio asks for it"));
        }
        let microphone = microphone.map(|(which, _)| which);
        Ok(Plan { pictures, video: config.video, microphone, channels, width: config.width })
    }

    /// Whether pictures will be sent.
    pub fn has_pictures(&self) -> bool {
        match &self.pictures {
            Pictures::Film(plan) => plan.video.is_some(),
            Pictures::Address { size, .. } => size.is_some(),
            Pictures::None => false,
            _ => self.video,
        }
    }

    /// Whether sound will be sent.
    pub fn has_sound(&self) -> bool {
        self.channels > 0
    }

    /// Whether nothing may be skipped.
    pub fn is_film(&self) -> bool {
        matches!(self.pictures, Pictures::Film(_))
    }

    /// Whether it runs from the start: who writes to our stdin must not be held up, nor a connection that was made.
    pub fn runs_unwatched(&self) -> bool {
        matches!(self.pictures, Pictures::Stdin(_) | Pictures::Address { .. })
    }

    /// What to call it.
    pub fn what(&self) -> &'static str {
        match &self.pictures {
            Pictures::Camera(_) => "the camera",
            Pictures::Film(_) => "the film",
            Pictures::Address { .. } => "the stream",
            Pictures::Stdin(_) => "stdin",
            Pictures::Test(..) => "the test picture",
            Pictures::None => "the microphone",
        }
    }

    /// What peers are told.
    pub fn format(&self) -> Format {
        let (size, rate, variable) = match &self.pictures {
            Pictures::Camera(plan) => {
                let plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                (Some(plan.chosen().size), (plan.chosen().fps, 1), false)
            }
            Pictures::Film(plan) => plan
                .video
                .as_ref()
                .map_or((None, (0, 1), false), |video| (Some(video.size), (video.grid.num(), video.grid.den()), video.variable)),
            Pictures::Address { size, .. } => (*size, (0, 1), true),
            Pictures::Stdin(rate) => (None, rate.unwrap_or((0, 1)), true),
            Pictures::Test(size, rate) if self.video => (Some(*size), *rate, false),
            Pictures::Test(..) => (None, (0, 1), false),
            Pictures::None => (None, (0, 1), false),
        };
        let size = size.map(|size| self.width.filter(|_| !self.is_film()).map_or(size, |width| scaled(size, width)));
        let size = size.map_or((0, 0), |size| (size.width as u16, size.height as u16));
        Format { rate, variable, size, channels: self.channels, first: 0 }
    }
}

/// `size` at another width, with the same aspect.
pub fn scaled(size: Size, width: u32) -> Size {
    let height = (u64::from(size.height) * u64::from(width) + u64::from(size.width) / 2) / u64::from(size.width.max(1));
    Size { width, height: u32::try_from(height).unwrap_or(u32::MAX).clamp(1, eyeline_proto::wire::slice::MAX_SIDE.into()) }
}

/// Which one and its channels, if there is one to open later. None is no reason to stop, unless it is `required`: then this is what else
/// the user can do.
fn find_microphone(which: Option<&str>, required: Option<&str>) -> Result<Option<(Option<String>, u8)>, Failure> {
    match Microphone::open(which, Slot::dropping(1)) {
        Ok(microphone) => {
            tracing::info!("microphone {}", microphone.name());
            Ok(Some((which.map(str::to_string), microphone.channels().clamp(1, 2) as u8)))
        }
        Err(error) => {
            if let Some(way_out) = required {
                return Err(Failure::new(ExitCode::Device, format!("{error}, or {way_out}")));
            }
            tracing::warn!("going on without sound: {error}, or say --no-audio");
            Ok(None)
        }
    }
}

enum Device {
    Camera(Arc<Keeper>),
    Film(Film),
    Address(Address),
    Stdin(Live),
    Test { _pattern: Pattern },
    None,
}

/// What sources lost before it came to be encoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Pictures replaced by a newer one before they were encoded.
    pub replaced: u64,
    /// Damaged pictures a camera gave.
    pub damaged: u64,
    /// Pictures a camera's driver lost for want of a buffer; `None` where no driver says.
    pub missed: Option<u64>,
    /// Frames of sound lost on the way out of the microphone's callback.
    pub lost_frames: u64,
    /// Blocks of sound dropped because nobody took them in time.
    pub dropped_blocks: u64,
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, more: Counts) -> Counts {
        Counts {
            replaced: self.replaced + more.replaced,
            damaged: self.damaged + more.damaged,
            missed: self.missed.into_iter().chain(more.missed).reduce(|a, b| a + b),
            lost_frames: self.lost_frames + more.lost_frames,
            dropped_blocks: self.dropped_blocks + more.dropped_blocks,
        }
    }
}

/// A source at work: device threads, and the threads that carry what they give to the encoder and the session.
pub struct Running {
    device: Device,
    microphone: Option<Microphone>,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block>>,
    carriers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Opens the source. `ended` is called once it came to its end by itself.
    pub fn start(
        plan: &Plan,
        config: &args::Send,
        encoder: &Arc<Encoder>,
        ended: impl Fn() + Send + 'static,
    ) -> Result<Running, Failure> {
        let (pictures, sound) = match plan.is_film() {
            true => (Slot::waiting(FILM_AHEAD), Slot::waiting(SOUND_AHEAD)),
            false => (Slot::newest(), Slot::dropping(SOUND_AHEAD)),
        };
        let device = match &plan.pictures {
            Pictures::Camera(camera) => {
                Device::Camera(Keeper::open(camera, config.common.reconnect, plan.has_sound()).code(ExitCode::Device)?)
            }
            Pictures::Film(plan) => {
                Device::Film(Film::open(plan.clone(), pictures.clone(), sound.clone()).code(ExitCode::Failed)?)
            }
            Pictures::Address { connection, .. } => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner).take();
                let connection = connection.ok_or_else(|| Failure::new(ExitCode::Failed, "the stream was closed"))?;
                Device::Address(Address::open(*connection, pictures.clone(), sound.clone()).code(ExitCode::Failed)?)
            }
            Pictures::Stdin(_) => Device::Stdin(Live::stdin(pictures.clone()).code(ExitCode::Failed)?),
            Pictures::Test(size, rate) => {
                let give_sound = plan.microphone.is_none() && config.sound.is_some();
                let rate = Rate::new(rate.0, rate.1).unwrap_or(Rate::DEFAULT);
                let options = pattern::Options { size: *size, rate, want_video: config.video, want_audio: give_sound };
                // The pattern closes the slot of what is not wanted of it; the microphone's is not its own.
                let tone = if give_sound { sound.clone() } else { Slot::dropping(1) };
                let pattern = Pattern::start(&options, pictures.clone(), tone).code(ExitCode::Failed)?;
                Device::Test { _pattern: pattern }
            }
            Pictures::None => Device::None,
        };
        let microphone = match &plan.microphone {
            // It was there when we started; if it is not now, pictures go on without it.
            Some(which) => Microphone::open(which.as_deref(), sound.clone())
                .map_err(|error| tracing::warn!("going on without sound: {error}"))
                .ok(),
            None => None,
        };
        let mut running = Running { device, microphone, pictures, sound, carriers: Vec::new() };
        running.carry(encoder, ended).code(ExitCode::Failed)?;
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
        let keeper = match &self.device {
            Device::Camera(keeper) => Some(keeper.clone()),
            _ => None,
        };
        let watch_pictures = !matches!(self.device, Device::None);
        let header = match &self.device {
            Device::Stdin(live) => Some(live.header()),
            _ => None,
        };
        // A microphone never ends; it has nothing to go with once the camera is gone or stdin at its end.
        let end_sound = matches!(self.device, Device::Camera(_) | Device::Stdin(_)).then(|| self.sound.clone());
        self.carriers.push(thread::Builder::new().name("encode-0".into()).spawn(move || {
            if watch_pictures {
                let next = || keeper.as_ref().map_or_else(|| slot.take(), |keeper| keeper.take());
                while let Some(picture) = next() {
                    // Known by its first picture, if ever.
                    if let Some(rate) = header.as_ref().and_then(|header| header.rate()) {
                        to.set_rate((rate.num(), rate.den()));
                    }
                    to.encode(picture);
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
        if let Device::Film(film) = &self.device {
            film.show_again();
        }
    }

    /// What it lost so far.
    pub fn counts(&self) -> Counts {
        let camera = match &self.device {
            Device::Camera(keeper) => keeper.counts(),
            _ => Counts { replaced: self.pictures.dropped(), ..Counts::default() },
        };
        let lost_frames = self.microphone.as_ref().map_or(0, Microphone::lost_frames);
        Counts { lost_frames, dropped_blocks: self.sound.dropped(), ..camera }
    }

    /// Why it ended.
    pub fn outcome(&self) -> Result<(), Failure> {
        let failed = match &self.device {
            Device::Camera(keeper) => keeper.failed().map(|error| Err(error).code(ExitCode::Device)),
            Device::Film(film) => film.failed().map(|error| Err(error).code(ExitCode::Failed)),
            Device::Address(address) => address.failed().map(|error| Err(error).code(ExitCode::Failed)),
            Device::Stdin(stdin) => stdin.failed().map(|error| Err(error).code(ExitCode::Failed)),
            Device::Test { .. } | Device::None => None,
        };
        failed.unwrap_or(Ok(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The slots' ends: the device's threads and ours both notice.
        self.pictures.close();
        self.sound.close();
        if let Device::Camera(keeper) = &self.device {
            keeper.stop();
        }
        self.device = Device::None;
        for carrier in self.carriers.drain(..) {
            let finished = carrier.join();
            debug_assert!(finished.is_ok(), "the encoder panicked");
        }
    }
}
