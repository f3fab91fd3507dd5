//! The screen of a Wayland desktop, which it shows through its portal and PipeWire.
//!
//! [`portal`] asks the desktop, which asks the user, unless [`token`] has what was chosen before. [`stream`] is the thread that
//! takes pictures out of PipeWire, in the form [`params`] asks for; [`frame`] checks where their rows lie, [`memory`] reads
//! them, and [`painter`] puts them on the sheet and says when it is given. The desktop draws the cursor.
//!
//! Pictures in a graphics card's memory are not taken: each would be fetched back to be encoded. What is turned by the desktop, a
//! monitor on its side, comes as PipeWire has it: `--rotate` turns it.

mod bell;
mod frame;
mod memory;
mod painter;
mod params;
mod portal;
mod stream;
mod token;

use super::sheet::Sheet;
use super::which::Which;
use super::{Note, Shared};
use crate::slot::Slot;
use bell::Bell;
use eyeline_proto::picture::Picture;
use eyeline_proto::rate::Rate;
use painter::Painter;
pub use portal::Session;
use std::path::Path;
use std::sync::Arc;

/// Why a Wayland desktop shows nothing. Every text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// What D-Bus says.
    #[error(
        "no portal answers here, through which a Wayland desktop shows its screen ({0}): install xdg-desktop-portal and what your \
             desktop has for it (xdg-desktop-portal-gnome, -kde or -wlr), log in again, and start this from the desktop, not over ssh"
    )]
    NoPortal(String),
    #[error(
        "this desktop's portal shows no screens: install what your desktop has for it (xdg-desktop-portal-gnome, -kde or -wlr), \
             and log in again"
    )]
    ShowsNone,
    #[error("this desktop's portal shows monitors and no windows: send one with --screen alone")]
    NoWindows,
    #[error("the desktop was told not to show its screen: start this again, and choose a monitor or a window in its dialog")]
    Refused,
    /// What the portal says.
    #[error("the desktop does not show its screen: {0}")]
    Portal(String),
    #[error("the desktop's portal does not answer: systemctl --user restart xdg-desktop-portal, and start this again")]
    Silent,
    /// What was asked for.
    #[error(
        "on a Wayland desktop {0} cannot be named, its dialog asks what to show: --screen alone, --screen window for windows, \
             --screen ask to be asked again"
    )]
    Named(Which),
    /// What the system says.
    #[error(
        "PipeWire, through which the desktop shows its screen, does not answer ({0}): systemctl --user start pipewire wireplumber"
    )]
    NoPipewire(String),
    #[error("PipeWire is lost, and the desktop's screen with it: {0}")]
    Lost(String),
    /// What PipeWire says of the stream alone, as where the desktop offers graphics memory and nothing else.
    #[error(
        "PipeWire does not give the screen: {0}; in OBS add the source \"Screen Capture (PipeWire)\", press Start Virtual Camera, \
             and send that: `send --camera OBS`"
    )]
    NotGiven(String),
    #[error("the desktop gives pictures that cannot be read: {0}")]
    Unreadable(String),
    #[error("the desktop ended the sharing of its screen: start this again to share it anew")]
    Ended,
}

/// Asks the desktop what to show. `kept`: where the choice is kept, so that it does not ask the next time. Where it will ask, that
/// is told before.
pub fn ask(which: &Which, kept: Option<&Path>, tell: impl FnOnce(Note)) -> Result<Session, Error> {
    let choice = choice(which)?;
    let (known, kept) = match which {
        Which::Primary => (kept.and_then(token::read), kept),
        Which::Ask => (None, kept),
        _ => (None, None),
    };
    Session::ask(choice, known.as_deref(), kept, || tell(Note::Asks))
}

/// What the desktop would let choose from for it.
pub fn look(which: &Which) -> Result<String, Error> {
    portal::look(choice(which)?)
}

fn choice(which: &Which) -> Result<portal::Choice, Error> {
    match which {
        Which::Primary | Which::Ask => Ok(portal::Choice::Any),
        Which::Focused => Ok(portal::Choice::Window),
        named => Err(Error::Named(named.clone())),
    }
}

/// A stream, connected and not looked at yet.
pub struct Opened {
    stream: stream::Opened,
    bell: Bell,
}

/// Connects to what was chosen.
pub fn open(session: &Arc<Session>) -> Result<Opened, Error> {
    let (bell, heard) = Bell::new().map_err(|error| Error::NoPipewire(error.to_string()))?;
    let remote = session.remote(bell.clone())?;
    Ok(Opened { stream: stream::Opened { session: session.clone(), remote, heard }, bell })
}

impl Opened {
    /// Wakes the thread that runs it.
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let bell = self.bell.clone();
        move || bell.ring()
    }

    /// Gives pictures until nobody takes them any more.
    pub(super) fn run(
        self,
        rate: Rate,
        pictures: Arc<Slot<Picture>>,
        shared: Arc<Shared>,
        tell: &dyn Fn(Note),
    ) -> Result<(), Error> {
        let name = self.stream.session.to_string();
        stream::run(self.stream, rate, Painter::new(Sheet::new(pictures, shared), name, rate.period()), tell)
    }
}
