//! The speaker: what net threads hand over, each sender's a voice of its [`Mixer`], played at its time.
//!
//! A [`Renderer`] plays them in the audio callback. The thread here opens the device and, when it is lost (unplugged, server
//! restarted), opens it again for ever, each time with a fresh renderer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait as _, StreamTrait as _};
use cpal::{FromSample, SampleFormat, SizedSample};

use super::mixer::Mixer;
use super::renderer::Renderer;
use crate::sound_card::{self, Chosen, DeviceThread, Direction, Listed, Pulse, Watchdog};
use crate::voice_processing::Reference;
use eyeline_proto::media::playout::Config;

pub use super::mixer::Feed;
pub use crate::sound_card::Error;

/// How often the thread looks after the stream.
const LOOK: Duration = Duration::from_millis(100);
/// A speaker that is open, or being got back. Dropped: closed.
pub struct Speaker {
    name: String,
    mixer: Mixer,
    _thread: DeviceThread,
}

impl Speaker {
    /// Opens the device called `which` (number, name, part of a name; `None`: the default). Returns once it plays; what it is
    /// given is told to the reference, if any.
    pub fn open(which: Option<&str>, config: Config, reference: Option<&Reference>) -> Result<Speaker, Error> {
        let mixer = Mixer::new(reference.cloned());
        let shared = mixer.clone();
        let which = which.map(str::to_owned);
        let (opened, outcome) = mpsc::sync_channel(1);
        let keeper =
            DeviceThread::start("speaker", move |stop| keep(which, &shared, config, stop, &opened)).map_err(|_| Error::Hangs)?;
        let name = outcome.recv_timeout(sound_card::PATIENCE).map_err(|_| Error::Hangs)??;
        Ok(Speaker { name, mixer, _thread: keeper })
    }

    /// What it plays.
    pub fn mixer(&self) -> &Mixer {
        &self.mixer
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The speakers there are.
pub fn list() -> Vec<Listed> {
    sound_card::list(Direction::Output)
}

struct Active {
    stream: cpal::Stream,
    chosen: Chosen,
    watch: Watchdog,
}

/// The thread's life: open, watch, get back.
fn keep(mut which: Option<String>, mixer: &Mixer, config: Config, stop: &AtomicBool, opened: &SyncSender<Result<String, Error>>) {
    let mut active = match open(which.as_deref(), 0, mixer, config) {
        Ok(active) => active,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let _ = opened.send(Ok(active.chosen.name.clone()));
    if which.is_some() {
        which = Some(active.chosen.id.clone()); // numbers move when a device goes
    }
    let mut shortest = 0;
    while sound_card::pause(stop, LOOK) {
        let Some(lost) = active.watch.lost(Instant::now()) else { continue };
        let name = active.chosen.name;
        sound_card::retire(active.stream, active.chosen.alsa);
        let open = |shortest| open(which.as_deref(), shortest, mixer, config);
        let Some(again) = sound_card::get_back((Direction::Output, &name), &lost, &mut shortest, stop, open) else { return };
        mixer.note_reopened();
        active = again;
    }
    sound_card::retire(active.stream, active.chosen.alsa);
}

/// Opens with the first of the buffer sizes from `shortest` on that is taken.
fn open(which: Option<&str>, shortest: usize, mixer: &Mixer, config: Config) -> Result<Active, Error> {
    let chosen = sound_card::choose(Direction::Output, which)?;
    let mut refused = None;
    for size in sound_card::BUFFER_SIZES.into_iter().skip(shortest) {
        let mut renderer = mixer.renderer(chosen.channels, config);
        renderer.warm_up(sound_card::WARM_UP);
        let pulse = Arc::new(Pulse::default());
        let stream_config = chosen.config(size);
        let built = match chosen.format {
            SampleFormat::I16 => build::<i16>(&chosen.device, stream_config, renderer, &pulse),
            SampleFormat::I32 => build::<i32>(&chosen.device, stream_config, renderer, &pulse),
            _ => build::<f32>(&chosen.device, stream_config, renderer, &pulse),
        };
        match built.and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => return Ok(Active { stream, chosen, watch: Watchdog::new(pulse, shortest) }),
            Err(error) => refused = Some(error),
        }
    }
    let reason = refused.unwrap_or_else(|| cpal::Error::new(cpal::ErrorKind::Other));
    Err(Error::Refused { direction: Direction::Output, name: chosen.name, reason })
}

fn build<T>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut renderer: Renderer,
    pulse: &Arc<Pulse>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
{
    let (beats, errors) = (pulse.clone(), pulse.clone());
    device.build_output_stream(
        config,
        move |out: &mut [T], info: &cpal::OutputCallbackInfo| {
            beats.beat();
            let stamp = info.timestamp();
            let ahead = stamp.playback.checked_duration_since(stamp.callback).unwrap_or_default();
            // cpal unwinds a second time when a stream whose callback panicked is dropped; this one is opened anew instead.
            if catch_unwind(AssertUnwindSafe(|| renderer.render(Instant::now(), ahead, out))).is_err() {
                out.fill(T::EQUILIBRIUM);
                beats.broken();
            }
        },
        move |error| errors.error(&error),
        Some(sound_card::BUILD_TIMEOUT),
    )
}
