//! What is sent: planned at the start without touching a device's stream.

use super::super::args;
use super::super::args::send::{Sound as SoundSource, Source};
use super::super::failure::{Code, Failure};
use super::super::state;
use super::super::status::ExitCode;
use super::films::{a_second, at, options, planned};
use crate::capture::camera::{self, Camera};
use crate::capture::file::{Film, Origin};
use crate::capture::microphone::{self, Microphone};
use crate::capture::pattern::Pattern;
use crate::capture::screen::{self, Screen};
use crate::pipeline::pictures::Pictures;
use crate::pipeline::source;
use crate::slot::Slot;
use crate::threads::lock;
use eyeline_proto::picture::{Size, Turn};
use eyeline_proto::rate::Rate;
use eyeline_proto::wire::record::{Format, Media};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The test picture's size and rate where the user asks for none.
const TEST: (Size, Rate) = (Size { width: 1280, height: 720 }, Rate::DEFAULT);

pub struct Plan {
    pictures: Pictures,
    /// Whether pictures are wanted of it.
    video: bool,
    /// Opened once already, to see that it works.
    microphone: Option<microphone::Known>,
    channels: u8,
    /// How pictures are turned before they are sent.
    turn: Turn,
    /// What was said to a user about the width.
    width: Option<u32>,
}

impl Plan {
    /// Finds out what there is, and says so; devices stay closed. `watches`: others are seen and heard as well, so it need not be
    /// anything.
    pub fn make(config: &args::Send, watches: bool) -> Result<Plan, Failure> {
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
                let setup = Camera::probe(&request(config, which.as_deref())).map_err(|error| without(error, watches))?;
                tracing::info!("camera {}", setup.chosen());
                Pictures::Camera(Arc::new(Mutex::new(setup)))
            }
            Source::Stdin => Pictures::Stdin(config.fps),
            Source::Screen(which) => {
                let (rate, kept) = (config.fps.unwrap_or(Rate::DEFAULT), state::file("screen"));
                let tell = |note| say_of_screen(&note);
                let setup = Screen::probe(which, rate, kept.as_deref(), tell).code(ExitCode::Device)?;
                tracing::info!("screen: {setup}, at most {}", a_second(setup.rate));
                Pictures::Screen(setup)
            }
            Source::Test => {
                let size = size.unwrap_or(TEST.0);
                let drawn = config.width.filter(|_| !config.turn.transposed);
                let size = drawn.map_or(size, |width| size.at_width(width));
                if config.video {
                    Pattern::check(size).code(ExitCode::Usage)?;
                }
                let rate = config.fps.unwrap_or(TEST.1);
                let what = if config.video { format!("{size}, {}", a_second(rate)) } else { "no picture".into() };
                tracing::info!("test picture: {what}, {}", if own_sound { "with a tone" } else { "without a tone" });
                Pictures::Test(size, rate)
            }
        };
        // Without either there is no going on, and what was asked for by its name must be there.
        let named = matches!(config.sound, Some(SoundSource::Microphone(Some(_))));
        let alone = matches!(pictures, Pictures::None) && !watches;
        let microphone = match &config.sound {
            Some(SoundSource::Microphone(which)) => {
                find_microphone(which.as_deref(), way_out(named, alone, config.require_audio))?
            }
            _ => None,
        };
        let channels = match (&pictures, &config.sound) {
            (_, None) => 0,
            (Pictures::Film(playback), _) => playback.sound.as_ref().map_or(0, |sound| sound.channels),
            (Pictures::Address { channels, .. }, _) => *channels,
            (Pictures::Test(..), Some(SoundSource::Source)) => 1,
            (_, Some(SoundSource::Microphone(_))) => microphone.as_ref().map_or(0, |known| known.channels as u8),
            _ => 0,
        };
        if config.require_audio && channels == 0 {
            return Err(Failure::new(ExitCode::Device, "there is no sound to send, and --require-audio asks for it"));
        }
        Ok(Plan { pictures, video: config.video, microphone, channels, turn: config.turn, width: config.width })
    }

    /// Whether its pictures can be closed while its sound goes on.
    pub fn can_close(&self) -> bool {
        matches!(self.pictures, Pictures::Camera(_) | Pictures::Screen(_) | Pictures::Test(..))
    }

    /// How it is opened; `closed`: without its pictures, where it can be.
    pub fn source<'a>(&'a self, config: &args::Send, closed: bool) -> source::Config<'a> {
        let test = (self.video && !closed, self.microphone.is_none() && config.sound.is_some());
        let without = closed && matches!(self.pictures, Pictures::Camera(_) | Pictures::Screen(_));
        let (pictures, microphone) = (if without { &Pictures::None } else { &self.pictures }, self.microphone.as_ref());
        source::Config { pictures, microphone, voice: None, film: self.is_film(), reconnect: config.common.reconnect, test }
    }

    /// The width to which pictures are scaled once they were turned; a film has it already, unless its rows become columns.
    pub fn scaled_to(&self) -> Option<u32> {
        self.width.filter(|_| !self.is_film() || self.turn.transposed)
    }

    /// Whether pictures will be sent.
    pub fn has_pictures(&self) -> bool {
        match &self.pictures {
            Pictures::Film(playback) => playback.video.is_some(),
            Pictures::Address { size, .. } => size.is_some(),
            Pictures::None => false,
            _ => self.video,
        }
    }

    /// Whether sound will be sent.
    pub fn has_sound(&self) -> bool {
        self.channels > 0
    }

    /// Whether that comes from a microphone.
    pub fn has_microphone(&self) -> bool {
        self.microphone.is_some()
    }

    /// What peers are offered.
    pub fn offers(&self) -> Media {
        Media { pictures: self.has_pictures(), sound: self.has_sound(), lossless: self.is_film() }
    }

    /// Whether nothing may be skipped.
    pub fn is_film(&self) -> bool {
        matches!(self.pictures, Pictures::Film(_))
    }

    /// Of a film that moves its length, where that is known.
    pub fn film_length(&self) -> Option<Option<Duration>> {
        let Pictures::Film(playback) = &self.pictures else { return None };
        let still = playback.video.as_ref().is_some_and(|video| video.still);
        (!still).then_some(playback.length)
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
            Pictures::Screen(_) => "the screen",
            Pictures::Test(..) => "the test picture",
            Pictures::None => "the microphone",
        }
    }

    /// What peers are told.
    pub fn format(&self) -> Format {
        let (size, rate, variable) = match &self.pictures {
            Pictures::Camera(setup) => {
                let setup = lock(setup);
                (Some(setup.chosen().size), Rate::new(setup.chosen().fps, 1), false)
            }
            Pictures::Film(playback) => {
                playback.video.as_ref().map_or((None, None, false), |video| (Some(video.size), Some(video.grid), video.variable))
            }
            Pictures::Address { size, .. } => (*size, None, true),
            Pictures::Stdin(rate) => (None, *rate, true),
            Pictures::Screen(setup) => (setup.size, Some(setup.rate), true),
            Pictures::Test(size, rate) if self.video => (Some(*size), Some(*rate), false),
            Pictures::Test(..) => (None, None, false),
            Pictures::None => (None, None, false),
        };
        let turned = size.map(|size| self.turn.turned(size));
        let size = turned.map(|size| self.scaled_to().map_or(size, |width| size.at_width(width)));
        Format { rate, variable, size, channels: self.channels, first: 0 }
    }
}

/// What happens to a screen.
pub fn say_of_screen(note: &screen::Note) {
    match note {
        screen::Note::Asks => tracing::info!("the desktop asks what to show: choose it in its dialog"),
        screen::Note::Gone(what) => tracing::warn!("{what} is off (it then goes on by itself)"),
        screen::Note::Hidden(what) => tracing::warn!("{what} cannot be seen now, and stands still (it then goes on by itself)"),
        screen::Note::Back(what, size) => tracing::info!("{what} is back: {size}"),
        screen::Note::Resized(what, size) => tracing::info!("{what} is {size} now"),
    }
}

/// The camera that is asked for, and how.
pub fn request(config: &args::Send, which: Option<&str>) -> camera::Request {
    let (size, fps) = (config.size, config.fps.map(Rate::rounded_up));
    camera::Request { which: which.map(str::to_owned), size, fps, controls: config.controls }
}

/// What to do where a microphone is not there that must be: it was asked for by its name, it is `alone`, without pictures, or it
/// is `required`.
fn way_out(named: bool, alone: bool, required: bool) -> Option<&'static str> {
    match (named, alone, required) {
        (true, false, false) => Some("leave out --mic to go on without it"),
        (true, ..) => Some("leave out --mic to take the system's own"),
        (false, true, _) => Some("leave out --no-video"),
        (false, false, true) => Some("leave out --require-audio to go on without sound"),
        (false, false, false) => None,
    }
}

/// There is no such camera; `watches`: one can do without.
fn without(error: camera::Error, watches: bool) -> Failure {
    let way_out = if watches { ", or take part without one: `--no-video`" } else { "" };
    Failure::new(ExitCode::Device, format!("{error}{way_out}"))
}

/// Which one and its channels, if there is one to open later. None is no reason to stop, unless it is `required`: then this is
/// what else the user can do.
fn find_microphone(which: Option<&str>, required: Option<&str>) -> Result<Option<microphone::Known>, Failure> {
    match Microphone::open(which, Slot::dropping(1)) {
        Ok(microphone) => {
            tracing::info!("microphone {}", microphone.name());
            Ok(Some(microphone.known().clone()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_the_size_of_what_is_turned_and_then_scaled() {
        let told = |orientation, width| {
            let (turn, pictures) = (Turn::from_exif(orientation), Pictures::Test(TEST.0, TEST.1));
            Plan { pictures, video: true, microphone: None, channels: 0, turn, width }.format().size.map(|size| size.to_string())
        };
        assert_eq!(told(6, None).as_deref(), Some("720x1280"));
        assert_eq!(told(8, Some(360)).as_deref(), Some("360x640"));
        assert_eq!(told(3, Some(640)).as_deref(), Some("640x360"));
    }

    #[test]
    fn the_way_out_of_a_missing_microphone_is_one_that_leads_out() {
        for (alone, required) in [(false, true), (true, false), (true, true)] {
            assert!(way_out(true, alone, required).is_some_and(|way| way.contains("--mic")), "another may be there");
        }
        assert_eq!(way_out(true, false, false), Some("leave out --mic to go on without it"));
        assert_eq!(way_out(false, true, false), Some("leave out --no-video"));
        assert_eq!(way_out(false, false, false), None);
    }
}
