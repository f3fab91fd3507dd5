//! How tracks are shown and heard, in `recv` and in `call`: the window, the speaker, the latency.

use super::rtp::{RtpIn, RtpInFlags};
use super::window::{Frame, WindowFlags};
use super::{Idle, device, file, units};
use eyeline_proto::media::hold::Latency;
use std::path::PathBuf;
use std::time::Duration;

/// Where sound is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// Nowhere.
    Off,
    /// On the system's default.
    Default,
    /// Index or name as typed.
    Named(String),
}

/// How tracks are shown and heard, wherever they are.
#[derive(clap::Args, Debug)]
pub(super) struct ShowFlags {
    /// Open no window
    #[arg(long, conflicts_with = "fullscreen", help_heading = "What to do with it")]
    no_window: bool,

    /// Fill the screen
    #[arg(short, long, help_heading = "What to do with it")]
    fullscreen: bool,

    /// Speaker: index or part of its name [default: the system's]
    #[arg(long, value_name = "WHICH", value_parser = device, conflicts_with = "no_audio", help_heading = "What to do with it")]
    speaker: Option<String>,

    /// Be a camera for the programs of this machine: a v4l2loopback device, like /dev/video10, shows who is large, or the first
    #[arg(long, value_name = "DEVICE", value_parser = file(), help_heading = "What to do with it")]
    v4l2_sink: Option<PathBuf>,

    /// From camera and microphone to screen and speaker: as little as the network allows, or always so much (80ms, 1.5s; 2s at
    /// most)
    #[arg(long, value_name = "auto|DUR", value_parser = latency, default_value = "auto", help_heading = "What to do with it")]
    latency: Latency,

    #[command(flatten)]
    rtp_in: RtpInFlags,

    #[command(flatten)]
    frame: WindowFlags,
}

/// How tracks are shown and heard.
#[derive(Debug, Clone)]
pub struct Showing {
    /// Whether there is a window.
    pub window: bool,
    /// Whether it starts filling the screen.
    pub fullscreen: bool,
    /// What else is asked of it.
    pub frame: Frame,
    /// Where sound is played.
    pub speaker: Speaker,
    /// The virtual camera that shows them, if any.
    pub v4l2_sink: Option<PathBuf>,
    /// When pictures and sound are due.
    pub latency: Latency,
    /// Cameras that are not ours.
    pub rtp_in: Vec<RtpIn>,
}

impl ShowFlags {
    /// Whether a window is opened.
    pub fn has_window(&self) -> bool {
        !self.no_window
    }

    /// Those that have no use beside the others.
    pub fn idle(&self) -> impl Iterator<Item = Idle> + use<> {
        let idle = self.no_window.then(|| self.frame.idle("with --no-window there is no window"));
        idle.into_iter().flatten()
    }

    /// What they say; `silent`: no sound is to be played.
    pub fn resolve(self, silent: bool) -> Showing {
        let speaker = match self.speaker {
            _ if silent => Speaker::Off,
            None => Speaker::Default,
            Some(which) => Speaker::Named(which),
        };
        Showing {
            window: !self.no_window,
            fullscreen: self.fullscreen,
            frame: self.frame.resolve(),
            speaker,
            v4l2_sink: self.v4l2_sink,
            latency: self.latency,
            rtp_in: self.rtp_in.resolve(),
        }
    }
}

/// The longest latency: what is held fits memory, and nobody talks over more.
const MOST_LATENCY: Duration = Duration::from_secs(2);

fn latency(text: &str) -> Result<Latency, String> {
    if text == "auto" {
        return Ok(Latency::Auto);
    }
    if let Some(number) = units::decimal(text).filter(|number| *number > 0.0) {
        let units = [("s", 1.0), ("ms", 1000.0)].into_iter().filter(|(_, most)| number <= MOST_LATENCY.as_secs_f64() * most);
        let meant: Vec<_> = units.map(|(unit, _)| format!("{text}{unit}")).collect();
        let meant = if meant.is_empty() { "80ms".to_string() } else { meant.join(" or ") };
        return Err(format!("a time needs its unit: {meant}, or auto"));
    }
    match units::duration(text) {
        Ok(latency) if latency.is_zero() => Err("it cannot be nothing: `auto` is as little as the network allows".into()),
        Ok(latency) if latency > MOST_LATENCY => Err("at most 2s can be held".into()),
        Ok(latency) => Ok(Latency::Fixed(latency)),
        Err(_) => Err("write a time like 80ms or 1.5s, or auto".into()),
    }
}
