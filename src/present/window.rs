//! The window: shows the canvas with words over it, and says what the person at it wants.
//!
//! Lives on one thread, the main one. [`Window::show`] returns once the display has taken the pixels, so the moment it
//! reports is the one shown latency is measured to. Polling never sleeps; the caller waits for pictures and keeps to
//! [`Window::wants_paint`] when none comes.
//!
//! Xlib ends the process (exit code 1, nothing unwound) when the X server goes away or another client destroys the window;
//! that cannot be caught here. What must be done all the same is done in an [`super::exit_hook::ExitHook`].

use std::time::{Duration, Instant};

use minifb::{ScaleMode, WindowOptions};
use tracing::debug;

use super::bindings::is_of;
use super::canvas::View;
use super::compositor::Compositor;
use super::damage::Damage;
use super::desktop::{Desktop, Heard};
use super::geometry::{Geometry, grown, initial_size};
use super::keys::Keys;
pub use super::keys::{Action, Bindings};
use super::letters::Letters;
use super::overlay::{self, Beside, Notice, Overlay};
use super::scale::{Rect, Scaler, renewed};
use super::scene::{Scene, spoken};
use super::surface::Surface;
use eyeline_proto::picture::Size;
use eyeline_proto::wire::text::printable;

/// Without a new picture the window is painted this often: notes end, figures change, and a display may have lost it.
const REPAINT: Duration = Duration::from_millis(100);

/// Of many tiles only those that changed are painted, but all of them this often: a display may have lost some.
const REPAINT_ALL: Duration = Duration::from_secs(1);

/// The window toolkit looks for what only it is told at least so often.
const UPDATE: Duration = Duration::from_millis(100);

/// A pointer at rest this long over a full-screen picture is hidden.
const HIDE_POINTER: Duration = Duration::from_secs(2);

/// A pointer that moved so long ago still points at something.
const POINTS: Duration = Duration::from_secs(3);

/// Why there is no window, or no picture in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No display was named.
    #[error("there is no display to open a window on: DISPLAY is not set. Start it in a desktop session")]
    NoDisplay,
    /// The display named does not answer.
    #[error("cannot open the display {name:?}: {reason}. Check DISPLAY and the right to use it")]
    Display {
        /// What DISPLAY says.
        name: String,
        /// What connecting to it said.
        reason: String,
    },
    /// The display answers, but gives no window.
    #[error("cannot open a window: {0}. Install libX11 and libXcursor if they are missing")]
    Open(String),
    /// The display takes no more pictures.
    #[error("the display takes no more pictures: {0}. Start again once it works")]
    Present(String),
}

/// How a window begins.
#[derive(Debug, Clone)]
pub struct Options {
    pub title: String,
    /// The picture's size: the window's too, unless the screen is too small for it, or it is asked for another.
    pub size: Size,
    /// What else is asked of it.
    pub geometry: Geometry,
    /// Whether it covers the screen from the start.
    pub fullscreen: bool,
    /// Whether it stays above other windows.
    pub above: bool,
    /// Without a title bar and borders.
    pub borderless: bool,
}

impl Options {
    /// A window of no name for a picture of this size, of which nothing else is asked.
    pub fn of(size: Size) -> Options {
        let geometry = Geometry::default();
        Options { title: String::new(), size, geometry, fullscreen: false, above: false, borderless: false }
    }
}

/// How the picture is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look<'a> {
    /// The picture is this old and its sender silent: grey, with "no signal".
    pub greyed: Option<Duration>,
    /// What is waited for then; may be empty.
    pub awaited: &'a str,
}

/// What was handed to the display.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Whether the pixels were copied for it on this side; else the display read the canvas itself.
    pub copied: bool,
    /// When the display had taken it.
    pub at: Instant,
    /// The window's size.
    pub window: Size,
}

/// A picture that the display has, with nothing over it.
#[derive(Debug, Clone, Copy)]
struct Bare {
    /// The canvas's memory.
    memory: u64,
    picture: Size,
    window: Size,
    /// When the display got all of it.
    all: Instant,
}

impl Bare {
    /// `None` where the canvas cannot be told from another.
    fn new(view: &View<'_>, window: Size, all: Instant) -> Option<Bare> {
        view.memory().map(|memory| Bare { memory: memory.id, picture: view.size(), window, all })
    }

    fn is_of(&self, view: &View<'_>, window: Size) -> bool {
        let same = view.memory().is_some_and(|memory| memory.id == self.memory);
        same && view.size() == self.picture && window == self.window
    }
}

pub struct Window {
    surface: Surface,
    desktop: Desktop,
    /// No shared memory is wanted.
    plain: bool,
    scaler: Scaler,
    compositor: Compositor,
    letters: Letters,
    keys: Keys,
    title: String,
    /// The size it was opened with or asked for last: any other is what the user or the window manager wants.
    asked: Size,
    /// That size was named: no picture changes it.
    given: bool,
    /// Its place was.
    is_put: bool,
    exposed: bool,
    painted: Option<Shown>,
    /// When the toolkit last looked.
    updated: Option<Instant>,
    /// What stands in it, where that is one picture with nothing over it.
    bare: Option<Bare>,
    /// When all tiles were painted, with nothing over them, where that is what the window shows.
    tiled: Option<(Size, Instant)>,
    is_pointer_hidden: bool,
}

impl Window {
    /// Opens a window on the display `$DISPLAY` names.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_by(options, false)
    }

    /// As [`Window::open`], sending pixels through the connection instead of shared memory: for a display that has trouble
    /// with that. Five times slower.
    pub fn open_plain(options: &Options) -> Result<Self, Error> {
        Self::open_by(options, true)
    }

    fn open_by(options: &Options, plain: bool) -> Result<Self, Error> {
        let name = std::env::var("DISPLAY").unwrap_or_default();
        if name.is_empty() {
            return Err(Error::NoDisplay);
        }
        let mut desktop = Desktop::connect().map_err(|reason| Error::Display { name, reason })?;
        let size = options.geometry.size.unwrap_or_else(|| initial_size(options.size, desktop.screen()));
        let title = printable(&options.title);
        let how = WindowOptions {
            resize: true,
            scale_mode: ScaleMode::UpperLeft,
            borderless: options.borderless,
            ..WindowOptions::default()
        };
        let mut window = minifb::Window::new(&title, size.width as usize, size.height as usize, how)
            .map_err(|error| Error::Open(error.to_string()))?;
        window.set_target_fps(0); // else every poll sleeps
        // Its round trip puts the window on the screen before the requests below, which go another way, speak of it.
        window.update();
        let surface = Surface::new(window, plain);
        let id = surface.id().ok_or_else(|| Error::Open("it has no X11 number".into()))?;
        let adopted = desktop.adopt(id).and_then(|()| desktop.place_window(&options.geometry, size, options.above));
        adopted.map_err(|error| Error::Open(error.to_string()))?;
        let letters = Letters::new(desktop.pixel_scale());
        let mut window = Window {
            surface,
            desktop,
            plain,
            scaler: Scaler::new(),
            compositor: Compositor::new(),
            letters,
            keys: Keys::default(),
            title,
            asked: size,
            given: options.geometry.size.is_some(),
            is_put: options.geometry.place.is_some(),
            exposed: true,
            painted: None,
            updated: None,
            bare: None,
            tiled: None,
            is_pointer_hidden: false,
        };
        if options.fullscreen {
            window.set_fullscreen(true);
        }
        Ok(window)
    }

    /// Shows the picture with `overlay` over it; returns once the display has it. With nothing over it and a window of its size
    /// the display reads the canvas itself; else the view ends as soon as it is copied, so that decoding goes on while the
    /// display works.
    pub fn show(&mut self, view: View<'_>, overlay: &Overlay, look: Look<'_>) -> Result<Shown, Error> {
        let bare = !self.plain && look.greyed.is_none() && overlay.is_empty(Instant::now()) && self.keys.line().is_none();
        let (now, damage, window) = (Instant::now(), view.take_damage(), self.surface.size());
        // What the display has already of this canvas it does not get again.
        let known = self.bare.filter(|shown| shown.is_of(&view, window) && !self.exposed && now < shown.all + REPAINT_ALL);
        let (known, fresh) = if bare { (known, Bare::new(&view, window, now)) } else { (None, None) };
        let parts = if known.is_some() { damage } else { Damage::all(view.size()) };
        let copied = self.painted.is_some_and(|shown| shown.copied);
        if known.is_some() && parts.is_empty() {
            return Ok(self.note_bare(known, copied));
        }
        if bare && view.size() == window && self.desktop.show(&view, parts.parts()) {
            return Ok(self.note_bare(known.or(fresh), false));
        }
        if known.is_some() && copied && self.surface.can_repaint() {
            self.renew(view, &parts);
            return Ok(self.note_bare(known, true));
        }
        let (scaler, letters, beside) = (&mut self.scaler, &self.letters, beside(&self.keys));
        let paint = |pixels: &mut [u32], window: Size| {
            let size = view.size();
            if size.width == 0 || size.height == 0 {
                pixels.fill(0);
            } else {
                scaler.draw(view.pixels(), size, pixels, window);
            }
            drop(view);
            if let Some(silent) = look.greyed {
                overlay::grey(pixels);
                let text = match look.awaited {
                    "" => format!("no signal {}", spoken(silent)),
                    awaited => format!("no signal {}\n{awaited}", spoken(silent)),
                };
                let notice = Some(Notice { text: &text, hint: false });
                overlay.draw(letters, Instant::now(), Beside { notice, ..beside }, pixels, window);
            } else {
                overlay.draw(letters, Instant::now(), beside, pixels, window);
            }
        };
        self.surface.paint(paint).map_err(Error::Present)?;
        Ok(self.note_bare(fresh, true))
    }

    /// Draws these parts of the picture anew where it stands scaled in the window.
    fn renew(&mut self, view: View<'_>, parts: &Damage) {
        let (scaler, window, size) = (&mut self.scaler, self.surface.size(), view.size());
        let places: Vec<Rect> = parts.parts().iter().map(|part| renewed((size, *part), window)).collect();
        let renew = |pixels: &mut [u32]| {
            parts.parts().iter().for_each(|part| scaler.renew(view.pixels(), (size, *part), pixels, window));
            drop(view);
        };
        self.surface.repaint(&places, renew);
    }

    /// What was painted is a picture with nothing over it, or (`None`) is not.
    fn note_bare(&mut self, bare: Option<Bare>, copied: bool) -> Shown {
        let shown = self.note_painted(copied);
        self.bare = bare;
        shown
    }

    /// Shows all tiles of a scene, and one's own picture in a corner, with `overlay` over them; says which new pictures are with
    /// the display now. Of a tile whose canvas is being written the picture follows the next time. Where nobody but oneself is
    /// seen, `awaited` is said over one's own picture.
    pub fn show_scene<K: Copy + Eq>(
        &mut self,
        scene: &mut Scene<K>,
        awaited: &str,
        overlay: &Overlay,
    ) -> Result<(Shown, Vec<K>), Error> {
        let now = Instant::now();
        let size = self.surface.size();
        let seen = self.compositor.compose(scene, size, &self.letters, now);
        let bare = overlay.is_empty(now) && self.keys.line().is_none() && scene.own_place(size).is_none();
        let tiled = self.tiled.filter(|(tiled, all)| bare && !self.exposed && *tiled == size && now < *all + REPAINT_ALL);
        if let (Some(_), Some(parts)) = (tiled, self.compositor.changed())
            && self.surface.can_repaint()
        {
            self.surface.repaint(parts, |pixels| self.compositor.copy_parts(parts, pixels));
            let shown = self.note_painted(true);
            self.tiled = tiled;
            return Ok((shown, seen));
        }
        let (compositor, letters, beside) = (&self.compositor, &self.letters, beside(&self.keys));
        let alone = scene.own_fills();
        let paint = |pixels: &mut [u32], window: Size| {
            let own = compositor.copy_to(pixels);
            let notice = (alone && !awaited.is_empty()).then_some(Notice { text: awaited, hint: true });
            let covered = own.filter(|_| !alone);
            overlay.draw(letters, now, Beside { notice, covered, ..beside }, pixels, window);
        };
        self.surface.paint(paint).map_err(Error::Present)?;
        let shown = self.note_painted(true);
        self.tiled = bare.then_some((size, now));
        Ok((shown, seen))
    }

    /// Shows `text` on black: what is waited for before the first picture; below it, which keys help.
    pub fn show_nothing(&mut self, text: &str, overlay: &Overlay) -> Result<Shown, Error> {
        let (letters, beside) = (&self.letters, beside(&self.keys));
        let paint = |pixels: &mut [u32], window: Size| {
            pixels.fill(0);
            let notice = Some(Notice { text, hint: true });
            overlay.draw(letters, Instant::now(), Beside { notice, ..beside }, pixels, window);
        };
        self.surface.paint(paint).map_err(Error::Present)?;
        Ok(self.note_painted(true))
    }

    fn note_painted(&mut self, copied: bool) -> Shown {
        let shown = Shown { copied, at: Instant::now(), window: self.surface.size() };
        (self.painted, self.tiled, self.bare) = (Some(shown), None, None);
        self.exposed = false;
        shown
    }

    /// Whether the window should be painted although there is no new picture: it was uncovered or resized, or 100 ms passed.
    pub fn wants_paint(&self) -> bool {
        let stale = |shown: Shown| shown.at.elapsed() >= REPAINT || shown.window != self.surface.size();
        self.exposed || self.painted.is_none_or(stale)
    }

    /// What was asked for at the window since the last call; `now` tells a double click from two. Never sleeps; call it every 10
    /// ms or so.
    pub fn events(&mut self, now: Instant) -> Vec<Action> {
        let heard = self.desktop.poll(&mut self.keys, now).unwrap_or_else(|error| {
            debug!("the display said: {error}");
            Heard { anything: true, exposed: false }
        });
        self.exposed |= heard.exposed;
        // minifb asks where the pointer is each time, and waits for the answer; only that the window is closed it alone is told.
        if heard.anything || self.updated.is_none_or(|updated| now.saturating_duration_since(updated) >= UPDATE) {
            self.surface.update();
            self.updated = Some(now);
        }
        let mut actions = self.keys.take();
        // A preview has no volume; nothing else takes films.
        let is_of = |action: &Action| is_of(self.keys.bindings(), action);
        actions.extend(self.desktop.take_moused().into_iter().filter(is_of));
        self.hide_pointer(now);
        if !self.surface.is_open() {
            actions.push(Action::Quit);
        }
        actions
    }

    fn hide_pointer(&mut self, now: Instant) {
        let rests = now.duration_since(self.desktop.mouse().moved()) >= HIDE_POINTER;
        let hide = self.desktop.is_fullscreen() && rests;
        if hide != self.is_pointer_hidden {
            self.surface.show_cursor(!hide);
            self.is_pointer_hidden = hide;
        }
    }

    /// What keys mean from now on; the page of keys says so. A preview takes files that are dropped on it.
    pub fn bind(&mut self, bindings: Bindings) {
        self.keys.bind(bindings);
        if bindings == Bindings::Preview {
            self.desktop.take_drops();
        }
    }

    /// Covers the screen, or returns to the window's own size. The new size shows in a later [`Shown`].
    pub fn set_fullscreen(&mut self, on: bool) {
        if let Err(error) = self.desktop.set_fullscreen(on) {
            debug!("full screen: the display said: {error}");
        }
    }

    /// Whether the window covers its screen.
    pub fn is_fullscreen(&self) -> bool {
        self.desktop.is_fullscreen()
    }

    /// Whether it is minimized, and nothing of it is seen.
    pub fn is_hidden(&self) -> bool {
        self.desktop.is_hidden()
    }

    /// Makes the window as large as a picture, as when it is opened; the new size shows in a later [`Shown`]. False, and nothing
    /// is done, where it covers the screen, or has a size somebody else gave it.
    pub fn fit(&mut self, picture: Size) -> bool {
        self.resize(initial_size(picture, self.desktop.screen()))
    }

    /// As [`Window::fit`], but no side becomes shorter.
    pub fn grow(&mut self, picture: Size) -> bool {
        self.resize(grown(self.asked, initial_size(picture, self.desktop.screen())))
    }

    fn resize(&mut self, size: Size) -> bool {
        if self.given || self.is_fullscreen() || self.surface.size() != self.asked {
            return false;
        }
        if size != self.asked {
            match self.desktop.resize(size, self.is_put) {
                Ok(()) => self.asked = size,
                Err(error) => debug!("another size: the display said: {error}"),
            }
        }
        true
    }

    /// Sets the title, made printable.
    pub fn set_title(&mut self, title: &str) {
        let title = printable(title);
        if title != self.title {
            self.surface.set_title(&title);
            self.title = title;
        }
    }

    /// Where the pointer is in the window, in its pixels, if it was moved a moment ago, and after `since`: a mouse that lies
    /// about points at nothing, and what comes under it by itself is not what it points at.
    pub fn pointed(&self, since: Instant) -> Option<(u32, u32)> {
        let (mouse, Size { width, height }) = (self.desktop.mouse(), self.size());
        let (x, y) = mouse.place().filter(|_| mouse.moved() > since && mouse.moved().elapsed() < POINTS)?;
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        (x < width && y < height).then_some((x, y))
    }

    /// The window's size.
    pub fn size(&self) -> Size {
        self.surface.size()
    }

    /// Where it stands, and its size where the user chose that; `None` while it fills a monitor or is minimized, for then it will
    /// be elsewhere.
    pub fn geometry(&self) -> Option<Geometry> {
        let place = if self.is_hidden() { None } else { self.desktop.standing() };
        let size = Some(self.size()).filter(|size| self.given || *size != self.asked);
        place.map(|place| Geometry { size, place: Some(place) })
    }

    /// Whether the screen is to stay awake.
    pub fn keep_awake(&mut self, awake: bool) {
        self.desktop.keep_awake(awake);
    }
}

/// What the keyboard has to do with what is drawn.
fn beside(keys: &Keys) -> Beside<'_> {
    Beside { bindings: keys.bindings(), line: keys.line(), ..Beside::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_shows_what_cannot_be_printed_as_one_sign() {
        assert_eq!(printable("lab\0camera\u{202e} – 30 fps"), "lab\u{fffd}camera\u{fffd} – 30 fps");
    }
}
