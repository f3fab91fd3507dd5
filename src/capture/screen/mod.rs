//! A screen, a part of it or a window, as a source of live pictures: only what was drawn is fetched, and a still screen costs
//! nothing but a picture a second.
//!
//! X11. [`x11`] speaks with the display, [`which`] says what is meant, [`damage`] what of it was drawn, [`colour`] makes planes
//! of pixels, [`cursor`] draws the mouse, [`watch`] is the thread and [`pace`] says what it does when. With each picture travels
//! in which MCUs it may differ from the one before. Colours are sampled at every pixel (4:4:4), for text; of pictures with more
//! MCUs than may be sent one by one, every other.
//!
//! A Wayland desktop shows its screen through a portal of its own alone, which is not spoken to: an error says what else to do.
//! Not taken from a window: what a compositor keeps of it behind others; where none runs, what covers it is seen.

mod colour;
mod cursor;
mod damage;
mod pace;
mod watch;
mod which;
mod x11;

use crate::slot::Slot;
use crate::threads::join;
use eyeline_proto::picture::{Picture, Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::wire::slice::MOST_MCUS;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::threads::lock;
pub use damage::Rect;
pub use which::{Monitor, Which};
use x11::Display;

/// Why there is no screen to send. Every text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("there is no screen here: $DISPLAY names none; start this from a desktop, or name one: DISPLAY=:0")]
    NoDisplay,
    #[error(
        "a Wayland desktop shows its screen to no program through X11 (a window of an X program can be sent: --screen window): \
             in OBS add the source \"Screen Capture (PipeWire)\", press Start Virtual Camera, and send that: `send --camera OBS`; or \
             pipe in what a recorder makes of it, MJPEG or y4m: `RECORDER | send --file -`"
    )]
    Wayland,
    /// The system's words.
    #[error("the display does not open: {0}")]
    Connect(String),
    #[error("this display lacks {0}, which says what was drawn: send what a recorder makes of it, through --file -")]
    Lacks(&'static str),
    /// Bits of a pixel.
    #[error("pixels of {0} bits cannot be read: set the screen to 24 bits")]
    Pixels(u8),
    #[error("no monitor is called {which:?}; there are: {names} (`--screen all` is all of them; a HOST stands before --screen)")]
    NoMonitor { which: String, names: String },
    #[error("{place} is not on the screen, which is {size}")]
    Outside { place: String, size: Size },
    #[error("{size} is too large, no side may be longer than {most} pixels: choose a monitor, --list shows them")]
    Size { size: Size, most: u32 },
    #[error("no window has the keyboard: click into one, or give its number, which `xwininfo` says: --screen 0x1c00007")]
    NoFocus,
    #[error("window {0:#x} is not there any more")]
    NoWindow(u32),
    #[error("the display is lost: {0}")]
    Lost(String),
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// What is told of a screen at work, on its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It is not there now, and waited for: a monitor was unplugged, or switched off.
    Gone(String),
    /// A window is minimized, or outside the screen: its last picture stands until it is back.
    Hidden(String),
    /// It is back, of this size.
    Back(String, Size),
    /// It has another size.
    Resized(String, Size),
}

/// What is to be opened, found once already.
#[derive(Debug, Clone)]
pub struct Setup {
    which: Which,
    /// Its size then.
    pub size: Size,
    /// At most so many pictures a second.
    pub rate: Rate,
}

impl std::fmt::Display for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.which, self.size)
    }
}

/// Monitors, for `--list`; none where there is no display.
pub fn list() -> Vec<Monitor> {
    Display::connect().map(|display| display.monitors()).unwrap_or_default()
}

/// A screen at work. Dropped: its thread ends at once, and its slot is closed.
pub struct Screen {
    shared: Arc<Shared>,
    pictures: Arc<Slot<Picture>>,
    /// The connection, to be shut under the thread's hands.
    connection: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// Between a screen and its thread.
#[derive(Default)]
struct Shared {
    /// A picture is wanted though nothing was drawn.
    wanted: AtomicBool,
    replaced: AtomicU64,
    failed: Mutex<Option<Error>>,
}

impl Screen {
    /// Finds what is meant; it is looked at later.
    pub fn probe(which: &Which, rate: Rate) -> Result<Setup, Error> {
        let display = Display::connect()?;
        let which = match which {
            Which::Focused => Which::Window(display.focused()?),
            which => which.clone(),
        };
        if display.is_wayland() && !matches!(which, Which::Window(_)) {
            return Err(Error::Wayland);
        }
        let size = display.find(&which)?.size;
        Ok(Setup { which, size, rate })
    }

    /// Looks at it, and gives what it sees to `pictures` until that is closed or this dropped. What happens to it goes to `tell`.
    pub fn open(setup: &Setup, pictures: Arc<Slot<Picture>>, tell: impl Fn(Note) + Send + 'static) -> Result<Screen, Error> {
        let display = Display::connect()?;
        let connection =
            display.connection.stream().as_fd().try_clone_to_owned().map_err(|error| Error::Lost(error.to_string()))?;
        let (shared, slot) = (Arc::new(Shared::default()), pictures.clone());
        let (theirs, mut watcher) = (shared.clone(), watch::Watcher::new(display, setup, pictures.clone(), shared.clone())?);
        let thread = std::thread::Builder::new().name("screen".into()).spawn(move || {
            if let Err(error) = watcher.run(&tell)
                && !slot.is_closed()
            {
                *lock(&theirs.failed) = Some(error);
            }
            slot.close();
        });
        let thread = Some(thread.map_err(|error| Error::Thread(error.to_string()))?);
        Ok(Screen { shared, pictures, connection, thread })
    }

    /// Somebody lacks something of what stands still: a picture comes soon.
    pub fn show_again(&self) {
        self.again()();
    }

    /// The same, for another thread to ask.
    pub fn again(&self) -> impl Fn() + Send + 'static {
        let shared = self.shared.clone();
        move || shared.wanted.store(true, Ordering::Relaxed)
    }

    /// Pictures that were replaced by newer ones.
    pub fn replaced(&self) -> u64 {
        self.shared.replaced.load(Ordering::Relaxed)
    }

    /// Why it ended by itself.
    pub fn failed(&self) -> Option<Error> {
        lock(&self.shared.failed).clone()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.pictures.close();
        // A display that hangs would be waited for.
        let _ = socket2::SockRef::from(&self.connection).shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// How the colours of a picture of this size are sampled.
fn sampling(size: Size) -> Sampling {
    let mcus = Sampling::Yuv444.mcus(size);
    if mcus.width * mcus.height <= MOST_MCUS { Sampling::Yuv444 } else { Sampling::Yuv420 }
}
