//! A screen, a part of it or a window, as a source of live pictures: only what was drawn is fetched, and a still screen costs
//! nothing but a picture a second.
//!
//! X11. [`x11`] speaks with the display, [`which`] says what is meant, [`damage`] what of it was drawn, [`colour`] makes planes
//! of pixels, [`sheet`] keeps them and gives pictures, [`cursor`] draws the mouse, [`watch`] is the thread and [`pace`] says what
//! it does when. With each picture travels in which MCUs it may differ from the one before. Colours are sampled at every pixel
//! (4:4:4), for text; of pictures with more MCUs than may be sent one by one, every other.
//!
//! A Wayland desktop shows its screen through its portal alone, to `wayland` where that is built in: else an error says what
//! else to do. A window of an X program on it is looked at through Xwayland. Not taken from a window of X11: what a compositor
//! keeps of it behind others; where none runs, what covers it is seen.

mod colour;
mod cursor;
mod damage;
mod pace;
mod sheet;
mod watch;
#[cfg(feature = "wayland")]
mod wayland;
mod which;
mod x11;

use crate::slot::Slot;
use crate::threads::join;
use eyeline_proto::picture::{Picture, Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::wire::slice::MOST_MCUS;
use sheet::Sheet;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use crate::threads::lock;
pub use damage::Rect;
pub use which::{Monitor, Which};
use x11::{Desktop, Display};

/// Why there is no screen to send. Every text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("there is no screen here: $DISPLAY names none; start this from a desktop, or name one: DISPLAY=:0")]
    NoDisplay,
    #[cfg(not(feature = "wayland"))]
    #[error(
        "a Wayland desktop shows its screen to no program through X11 (a window of an X program can be sent: --screen window): \
             in OBS add the source \"Screen Capture (PipeWire)\", press Start Virtual Camera, and send that: `send --camera OBS`; or \
             pipe in what a recorder makes of it, MJPEG or y4m: `RECORDER | send --file -`; or build Eyeline with \
             `--features wayland`"
    )]
    Wayland,
    #[cfg(feature = "wayland")]
    #[error(transparent)]
    Wayland(#[from] wayland::Error),
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
    /// A Wayland desktop asks the user what to show.
    Asks,
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
    place: Place,
    /// Its size then, where that is known before the first picture.
    pub size: Option<Size>,
    /// At most so many pictures a second.
    pub rate: Rate,
}

/// Where it is.
#[derive(Debug, Clone)]
enum Place {
    /// On an X display.
    Display(Which),
    /// Chosen in a Wayland desktop's dialog.
    #[cfg(feature = "wayland")]
    Portal(Arc<wayland::Session>),
}

impl std::fmt::Display for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Display(which) => write!(f, "{which}")?,
            #[cfg(feature = "wayland")]
            Place::Portal(session) => write!(f, "{session}")?,
        }
        self.size.map_or(Ok(()), |size| write!(f, ", {size}"))
    }
}

/// Monitors, for `--list`: none where there is no display. `None`: of a Wayland desktop, which names none.
pub fn list() -> Option<Vec<Monitor>> {
    match Desktop::find() {
        Ok(Desktop::X11(display)) => Some(display.monitors()),
        Ok(Desktop::Wayland(_)) => None,
        Err(_) => Some(Vec::new()),
    }
}

/// Whether a Wayland desktop shows this, and what it lets choose from; `None`: it has no part in it.
pub fn on_wayland(which: &Which) -> Option<Result<String, Error>> {
    match Desktop::find() {
        Ok(Desktop::Wayland(Some(_))) if which.is_of_x() => None,
        #[cfg(feature = "wayland")]
        Ok(Desktop::Wayland(_)) => Some(wayland::look(which).map_err(Error::Wayland)),
        #[cfg(not(feature = "wayland"))]
        Ok(Desktop::Wayland(_)) => Some(Err(Error::Wayland)),
        _ => None,
    }
}

/// A screen at work. Dropped: its thread ends at once, and its slot is closed.
pub struct Screen {
    shared: Arc<Shared>,
    pictures: Arc<Slot<Picture>>,
    /// Ends its thread's waiting, once the slot is closed.
    end: Box<dyn Fn() + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

/// Between a screen and its thread.
#[derive(Default)]
struct Shared {
    /// A picture is wanted though nothing was drawn.
    wanted: AtomicBool,
    /// Wakes a thread that would not soon look at that by itself.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    replaced: AtomicU64,
    failed: Mutex<Option<Error>>,
}

impl Screen {
    /// Finds what is meant; it is looked at later. Where a Wayland desktop asks the user, that is told before, and the choice is
    /// `kept` in that file.
    pub fn probe(which: &Which, rate: Rate, kept: Option<&Path>, tell: impl FnOnce(Note)) -> Result<Setup, Error> {
        match (Desktop::find()?, which) {
            (Desktop::X11(display), which) => on_display(&display, which, rate),
            (Desktop::Wayland(Some(display)), which) if which.is_of_x() => on_display(&display, which, rate),
            #[cfg(not(feature = "wayland"))]
            (Desktop::Wayland(_), _) => {
                let _ = (kept, tell);
                Err(Error::Wayland)
            }
            #[cfg(feature = "wayland")]
            (Desktop::Wayland(_), which) => {
                let session = wayland::ask(which, kept, tell)?;
                Ok(Setup { place: Place::Portal(Arc::new(session)), size: None, rate })
            }
        }
    }

    /// Looks at it, and gives what it sees to `pictures` until that is closed or this dropped. What happens to it goes to `tell`.
    pub fn open(setup: &Setup, pictures: Arc<Slot<Picture>>, tell: impl Fn(Note) + Send + 'static) -> Result<Screen, Error> {
        let shared = Arc::new(Shared::default());
        match &setup.place {
            Place::Display(which) => {
                let display = Display::connect()?;
                let connection =
                    display.connection.stream().as_fd().try_clone_to_owned().map_err(|error| Error::Lost(error.to_string()))?;
                // A display that hangs would be waited for.
                let end = move || drop(socket2::SockRef::from(&connection).shutdown(std::net::Shutdown::Both));
                let sheet = Sheet::new(pictures.clone(), shared.clone());
                let mut watcher = watch::Watcher::new(display, which, setup.rate, sheet)?;
                Screen::start(shared, pictures, Box::new(end), move || watcher.run(&tell))
            }
            #[cfg(feature = "wayland")]
            Place::Portal(session) => {
                let opened = wayland::open(session)?;
                shared.wake.get_or_init(|| Box::new(opened.waker()));
                let (end, rate) = (Box::new(opened.waker()), setup.rate);
                let (slot, theirs) = (pictures.clone(), shared.clone());
                Screen::start(shared, pictures, end, move || Ok(opened.run(rate, slot, theirs, &tell)?))
            }
        }
    }

    /// Starts its thread.
    fn start(
        shared: Arc<Shared>,
        pictures: Arc<Slot<Picture>>,
        end: Box<dyn Fn() + Send + Sync>,
        run: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<Screen, Error> {
        let (theirs, slot) = (shared.clone(), pictures.clone());
        let thread = std::thread::Builder::new().name("screen".into()).spawn(move || {
            if let Err(error) = run()
                && !slot.is_closed()
            {
                *lock(&theirs.failed) = Some(error);
            }
            slot.close();
        });
        let thread = Some(thread.map_err(|error| Error::Thread(error.to_string()))?);
        Ok(Screen { shared, pictures, end, thread })
    }

    /// Somebody lacks something of what stands still: a picture comes soon.
    pub fn show_again(&self) {
        self.again()();
    }

    /// The same, for another thread to ask.
    pub fn again(&self) -> impl Fn() + Send + 'static {
        let shared = self.shared.clone();
        move || {
            shared.wanted.store(true, Ordering::Relaxed);
            shared.wake.get().into_iter().for_each(|wake| wake());
        }
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
        (self.end)();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// Of what is seen on an X display.
fn on_display(display: &Display, which: &Which, rate: Rate) -> Result<Setup, Error> {
    let which = match which {
        Which::Focused => Which::Window(display.focused()?),
        which => which.clone(),
    };
    let size = Some(display.find(&which)?.size);
    Ok(Setup { place: Place::Display(which), size, rate })
}

/// How the colours of a picture of this size are sampled.
fn sampling(size: Size) -> Sampling {
    let mcus = Sampling::Yuv444.mcus(size);
    if mcus.width * mcus.height <= MOST_MCUS { Sampling::Yuv444 } else { Sampling::Yuv420 }
}
