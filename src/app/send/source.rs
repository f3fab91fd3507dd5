//! A source at work, opened when somebody watches.

use super::super::args;
use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::counts::Counts;
use super::encode::Encoder;
use super::keeper::Keeper;
use super::pictures::Pictures;
use super::plan::Plan;
use crate::capture::file::Film;
use crate::capture::file::address::Address;
use crate::capture::microphone::Microphone;
use crate::capture::pattern::{self, Pattern};
use crate::capture::rate::Rate;
use crate::capture::y4m::Live;
use crate::slot::Slot;
use eyeline_proto::picture::Picture;
use eyeline_proto::sound::Block;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

/// Pictures of a film decoded ahead: one being encoded, one ready.
const FILM_AHEAD: usize = 2;

/// Blocks of sound between capture and the session; 20 are 200 ms, after which live sound is stale.
const SOUND_AHEAD: usize = 20;

enum Device {
    Camera(Arc<Keeper>),
    Film(Film),
    Address(Address),
    Stdin(Live),
    Test { _pattern: Pattern },
    None,
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
            // It was there when we started; if it is not now, pictures go on and it is waited for.
            Some(known) => {
                Microphone::reopen(known, sound.clone()).map_err(|error| tracing::warn!("going on without sound: {error}")).ok()
            }
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
