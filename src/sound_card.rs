//! Sound cards as microphone and speaker both need them: which there are, which is meant, how it is opened, when to try again.
//!
//! Through `cpal`. A PulseAudio (or PipeWire) server is spoken to natively; ALSA is used only where there is none, and not at
//! all where the kernel has no card: its plugins hang when a server dies and talk on stderr. Nothing here plays or records.
//!
//! Below `capture` and `present`, which may not import each other.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait as _, HostTrait as _};
use cpal::{BufferSize, HostId, SampleFormat, StreamConfig};

use eyeline_proto::sound::RATE;

pub mod ring;
mod supervisor;

pub use supervisor::{DeviceThread, Lost, Pulse, Watchdog, get_back, pause, retire};

/// A server that does not answer for so long is taken for dead.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// cpal's own limit for building a stream; below `PATIENCE` so that its error is the one seen.
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(3);
/// The beginning of a stream, in frames (100 ms): servers fill their buffers, and their first time stamps say nothing.
pub const WARM_UP: u64 = 4800;
/// 10 ms; 20 where that is refused (kernel loopback, USB); what the driver likes.
pub const BUFFER_SIZES: [BufferSize; 3] = [BufferSize::Fixed(480), BufferSize::Fixed(960), BufferSize::Default];

/// Which way sound goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Input,
    Output,
}

impl Direction {
    fn noun(self) -> &'static str {
        match self {
            Direction::Input => "microphone",
            Direction::Output => "speaker",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Direction::Input => "--mic",
            Direction::Output => "--speaker",
        }
    }
}

/// Why there is no sound. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has none.
    #[error("there is no {what}: plug one in or start the sound server (PulseAudio, PipeWire)", what = .0.noun())]
    NoDevice(Direction),
    /// The machine has none that was meant.
    #[error("no {what} is called {which:?}; there are: {names} (choose one with {flag})", what = .direction.noun(), flag = .direction.flag())]
    NotFound {
        direction: Direction,
        /// What was asked for.
        which: String,
        /// What there is.
        names: String,
    },
    /// What this machine plays cannot be had.
    #[error(
        "what this machine plays is heard only through a sound server (PulseAudio, PipeWire), which says here of no speaker \
             what it plays: --list shows what there is, or leave out --mic speakers"
    )]
    NoMonitor,
    /// It cannot do what Eyeline needs.
    #[error("{name} offers no 48 kHz sound that Eyeline can read: choose another with {flag}, or \"default\"", flag = .direction.flag())]
    NoFormat { direction: Direction, name: String },
    /// It does not open.
    #[error("{name} does not open: {reason}; close what else uses it, or choose another with {flag}", flag = .direction.flag())]
    Refused {
        direction: Direction,
        name: String,
        /// What the system says.
        reason: cpal::Error,
    },
    /// The server hangs.
    #[error("the sound server does not answer within {} s: restart it", PATIENCE.as_secs())]
    Hangs,
}

/// What stands for what this machine plays, among microphones.
pub const PLAYED: &str = "speakers";

/// One line of `--list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, to be given instead of a name.
    pub index: usize,
    /// What people call it.
    pub name: String,
    /// What the system calls it.
    pub id: String,
    /// Taken when none is named.
    pub default: bool,
    /// It is the monitor of a speaker: what this machine plays.
    pub monitor: bool,
    /// Channels it has.
    pub channels: u16,
}

/// A device, and how to open it.
pub struct Chosen {
    pub device: cpal::Device,
    /// What people call it.
    pub name: String,
    /// What finds it again after it was away.
    pub id: String,
    /// Of its samples.
    pub format: SampleFormat,
    /// Of its frames.
    pub channels: u16,
    /// Opened through ALSA: dropping it may hang.
    pub alsa: bool,
}

impl Chosen {
    /// The stream to ask for, with a buffer of this size.
    pub fn config(&self, buffer_size: BufferSize) -> StreamConfig {
        StreamConfig { channels: self.channels, sample_rate: RATE, buffer_size }
    }
}

fn host() -> Option<cpal::Host> {
    if let Ok(host) = cpal::host_from_id(HostId::PulseAudio) {
        return Some(host);
    }
    let cards = std::fs::read_dir("/dev/snd").into_iter().flatten().flatten();
    let kernel = cards.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("pcm"));
    // A server that is not on this machine is reached only through ALSA's plugin.
    let remote = std::env::var("PULSE_SERVER").is_ok_and(|s| !s.is_empty() && !s.starts_with("unix:"));
    (kernel || remote).then(|| cpal::host_from_id(HostId::Alsa).ok()).flatten()
}

fn id(device: &cpal::Device) -> String {
    device.id().map(|id| id.id().to_owned()).unwrap_or_default()
}

fn name(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| id(device), |d| d.name().to_owned())
}

fn is_monitor(device: &cpal::Device) -> bool {
    id(device).ends_with(".monitor")
}

/// ALSA has a dozen names for each card, and looking at each opens it. These are the ones that convert what they must.
fn worth_listing(host: &cpal::Host, device: &cpal::Device) -> bool {
    let id = id(device);
    host.id() != HostId::Alsa || ["default", "pipewire", "pulse"].contains(&id.as_str()) || id.starts_with("plughw:")
}

/// All of one direction, real microphones before monitors of speakers.
fn devices(host: &cpal::Host, direction: Direction) -> Vec<cpal::Device> {
    let Ok(all) = host.devices() else { return Vec::new() };
    let mut devices: Vec<_> = all
        .filter(|device| worth_listing(host, device))
        .filter(|device| match direction {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        })
        .collect();
    devices.sort_by_key(is_monitor);
    devices
}

/// What is taken when none is named: the system's default, but never a monitor for a microphone, for nobody means by that
/// what the machine itself plays.
fn default(host: &cpal::Host, direction: Direction) -> Option<cpal::Device> {
    match direction {
        Direction::Output => host.default_output_device(),
        Direction::Input => host
            .default_input_device()
            .filter(|device| !is_monitor(device))
            .or_else(|| devices(host, direction).into_iter().find(|device| !is_monitor(device))),
    }
    .filter(|device| channels(device, direction).is_some())
}

fn channels(device: &cpal::Device, direction: Direction) -> Option<u16> {
    match direction {
        Direction::Input => device.default_input_config(),
        Direction::Output => device.default_output_config(),
    }
    .ok()
    .map(|config| config.channels())
}

/// What there is, in the order of its numbers. Empty where there is no sound, or a server that hangs.
pub fn list(direction: Direction) -> Vec<Listed> {
    let listed = move || {
        let host = host()?;
        let default = default(&host, direction).map(|device| id(&device));
        let listed = devices(&host, direction).into_iter().enumerate().map(|(index, device)| Listed {
            index,
            name: name(&device),
            id: id(&device),
            default: default.as_deref() == Some(&id(&device)),
            monitor: is_monitor(&device),
            channels: channels(&device, direction).unwrap_or(0),
        });
        Some(listed.collect())
    };
    bounded(PATIENCE, listed).flatten().unwrap_or_default()
}

/// Runs what may hang in a server on a thread of its own; `None` when it does.
fn bounded<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("sound-query".into())
        .spawn(move || {
            let _ = done.send(work());
        })
        .ok()?;
    result.recv_timeout(limit).ok()
}

/// What it is called that is meant (see [`choose`]), and who gives it to us.
pub fn look(direction: Direction, which: Option<&str>) -> Result<(String, &'static str), Error> {
    let which = which.map(str::to_owned);
    let look = move || {
        let chosen = choose(direction, which.as_deref())?;
        Ok((chosen.name, if chosen.alsa { "ALSA" } else { "the sound server" }))
    };
    bounded(PATIENCE, look).unwrap_or(Err(Error::Hangs))
}

/// Finds what is meant: `None` the default, a number from the list, a name, an id, or a part of either in any case.
pub fn choose(direction: Direction, which: Option<&str>) -> Result<Chosen, Error> {
    let host = host().ok_or(Error::NoDevice(direction))?;
    let device = match which {
        None => default(&host, direction).ok_or(Error::NoDevice(direction))?,
        Some(which) => named(&host, direction, which)?,
    };
    let name = name(&device);
    let Some((format, channels)) = shape(&device, direction, host.id() == HostId::PulseAudio) else {
        return Err(Error::NoFormat { direction, name });
    };
    Ok(Chosen { id: id(&device), name, format, channels, alsa: host.id() == HostId::Alsa, device })
}

fn named(host: &cpal::Host, direction: Direction, which: &str) -> Result<cpal::Device, Error> {
    // A name of ALSA's own, listed or not.
    let exact = |device: &cpal::Device| host.id() == HostId::Alsa && id(device) == which;
    if let Some(device) = host.devices().ok().and_then(|mut all| all.find(exact)) {
        return Ok(device);
    }
    let mut devices = devices(host, direction);
    if devices.is_empty() {
        return Err(if which == PLAYED { Error::NoMonitor } else { Error::NoDevice(direction) });
    }
    let names: Vec<(String, String)> = devices.iter().map(|d| (name(d).to_lowercase(), id(d).to_lowercase())).collect();
    if direction == Direction::Input && which == PLAYED {
        let played = host.default_output_device().map(|device| id(&device));
        let at = played.and_then(|played| monitor_of(&names, &played)).ok_or(Error::NoMonitor)?;
        return Ok(devices.swap_remove(at));
    }
    match position(&names, which) {
        Some(at) => Ok(devices.swap_remove(at)),
        None => {
            let names = devices.iter().enumerate().map(|(n, d)| format!("{n} {}", name(d))).collect::<Vec<_>>().join(", ");
            Err(Error::NotFound { direction, which: which.to_owned(), names })
        }
    }
}

/// Where in a list of lower-case (name, id) somebody's word for a device is.
fn position(names: &[(String, String)], which: &str) -> Option<usize> {
    if let Some(index) = which.parse::<usize>().ok().filter(|index| *index < names.len()) {
        return Some(index);
    }
    let which = which.to_lowercase();
    names
        .iter()
        .position(|(name, id)| *name == which || *id == which)
        .or_else(|| names.iter().position(|(name, id)| name.contains(&which) || id.contains(&which)))
}

/// Where in a list of lower-case (name, id) the monitor of this speaker is, as PulseAudio and PipeWire call it.
fn monitor_of(names: &[(String, String)], speaker: &str) -> Option<usize> {
    let monitor = format!("{}.monitor", speaker.to_lowercase());
    names.iter().position(|(_, id)| *id == monitor)
}

/// Format and channels to open a device with. A server converts whatever is asked; a card must be asked for what it has.
fn shape(device: &cpal::Device, direction: Direction, server: bool) -> Option<(SampleFormat, u16)> {
    let own = channels(device, direction)?;
    let wanted = match direction {
        Direction::Input => own.clamp(1, 2),
        Direction::Output => 2,
    };
    if server {
        return Some((SampleFormat::F32, wanted));
    }
    let ranges: Vec<_> = match direction {
        Direction::Input => device.supported_input_configs().ok()?.collect(),
        Direction::Output => device.supported_output_configs().ok()?.collect(),
    };
    let rank = |format| [SampleFormat::F32, SampleFormat::I16, SampleFormat::I32].iter().position(|f| *f == format);
    ranges
        .into_iter()
        .filter(|r| (r.min_sample_rate()..=r.max_sample_rate()).contains(&RATE))
        .filter_map(|r| Some((r.channels().abs_diff(wanted), rank(r.sample_format())?, r.sample_format(), r.channels())))
        .min_by_key(|(distance, rank, ..)| (*distance, *rank))
        .map(|(_, _, format, channels)| (format, channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<(String, String)> {
        [("built-in audio", "alsa_input.pci"), ("usb mic 2", "alsa_input.usb"), ("2", "odd")]
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .to_vec()
    }

    #[test]
    fn a_device_is_found_by_number_then_by_name_then_by_a_part_of_it_in_any_case() {
        for (which, at) in
            [("1", Some(1)), ("USB", Some(1)), ("Alsa_Input", Some(0)), ("odd", Some(2)), ("7", None), ("", Some(0))]
        {
            assert_eq!(position(&names(), which), at, "{which:?}");
        }
        assert_eq!(position(&names(), "2"), Some(2));
    }
}
