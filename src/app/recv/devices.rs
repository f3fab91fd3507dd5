//! What others are seen and heard with: opened before anybody is told that we are here.

use super::super::args::showing::{Showing, Speaker as Wanted};
use super::super::failure::Failure;
use super::super::screen::Screen;
use super::super::status::ExitCode;
use super::super::windows::Remembered;
use super::files::Files;
use super::virtual_camera::Shown;
use crate::pipeline::decode::Announced;
use crate::pipeline::fair_queue::FairQueue;
use crate::present::keys::Bindings;
use crate::present::speaker::Speaker;
use crate::voice_processing::Reference;
use eyeline_proto::media::playout;

pub struct Devices {
    pub ready: Announced,
    pub screen: Option<Screen>,
    pub speaker: Option<Speaker>,
    pub files: Option<Files>,
    /// The virtual camera.
    pub camera: Option<Shown>,
}

impl Devices {
    /// Opens the virtual camera, the window, whose keys mean this, and the speaker, where they are wanted; what
    /// the speaker plays is told to the reference, if any.
    pub fn open(
        showing: &Showing,
        (bindings, remembered): (Bindings, Remembered),
        ready: Announced,
        files: Option<Files>,
        reference: Option<&Reference>,
    ) -> Result<Self, Failure> {
        let camera = showing.v4l2_sink.as_deref().map(Shown::open).transpose()?;
        let screen = showing.window.then(|| Screen::open(showing, bindings, remembered)).transpose()?;
        let speaker = open_speaker(&showing.speaker, reference)?;
        Ok(Devices { ready, screen, speaker, files, camera })
    }
}

/// Where pictures that are ready are announced.
pub fn announced() -> Announced {
    FairQueue::newest()
}

/// The speaker that is asked for, if it is there.
fn open_speaker(wanted: &Wanted, reference: Option<&Reference>) -> Result<Option<Speaker>, Failure> {
    let which = match wanted {
        Wanted::Off => return Ok(None),
        Wanted::Default => None,
        Wanted::Named(name) => Some(name.as_str()),
    };
    match Speaker::open(which, playout::Config::default(), reference) {
        Ok(speaker) => {
            tracing::info!("speaker {}", speaker.name());
            Ok(Some(speaker))
        }
        // Asked for by name it must be there; else pictures go on without it.
        Err(error) if which.is_some() => {
            Err(Failure::new(ExitCode::Device, format!("{error}, or leave out --speaker to go on without sound")))
        }
        Err(error) => {
            tracing::warn!("going on without sound: {error}, or say --no-audio");
            Ok(None)
        }
    }
}
