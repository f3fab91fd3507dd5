//! What the window toolkit lacks: screen size, full screen, a place, exposures, keys by symbol and place, every click, and a screen
//! that stays awake.
//!
//! A second connection to the X server, in safe Rust, on the window that minifb made. Full screen is asked of the window
//! manager (EWMH 1.5, `_NET_WM_STATE`); where none is running the window itself is laid over the screen.

use std::time::Instant;

use tracing::{debug, warn};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::Event;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, Gravity,
    StackMode, Window,
};
use x11rb::rust_connection::RustConnection;

use super::canvas::View;
use super::direct::Direct;
use super::drop::Drops;
use super::frame::{Frame, pixel_scale};
use super::geometry::{Geometry, Offset};
use super::keymap::Keymap;
use super::keys::{Action, Keys};
use super::mouse::{self, Mouse};
use super::scale::Rect;
use eyeline_proto::picture::Size;

/// What the server said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    pub anything: bool,
    /// A part of the window was uncovered and must be painted again.
    pub exposed: bool,
}

x11rb::atom_manager! {
    /// Names the window manager and we agree on.
    Atoms: AtomsCookie {
        _NET_SUPPORTED,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
    }
}

pub(super) struct Desktop {
    connection: RustConnection,
    root: Window,
    atoms: Atoms,
    window: Window,
    is_fullscreen: bool,
    /// Some managers unmap a window that is minimized, others only say so.
    is_unmapped: bool,
    is_minimized: bool,
    /// Where the window was before it was laid over the screen; only without a window manager.
    before: Option<Rect>,
    frame: Option<Frame>,
    drops: Option<Drops>,
    dropped: Vec<Action>,
    is_awake: bool,
    direct: Direct,
    keymap: Keymap,
    mouse: Mouse,
}

impl Desktop {
    /// Connects to the display `$DISPLAY` names.
    pub(super) fn connect() -> Result<Self, String> {
        let (connection, screen) = RustConnection::connect(None).map_err(|error| error.to_string())?;
        let root = connection.setup().roots.get(screen).ok_or("it has no screen")?.root;
        let atoms = Atoms::new(&connection).map_err(|error| error.to_string())?.reply().map_err(|error| error.to_string())?;
        Ok(Desktop {
            connection,
            root,
            atoms,
            window: x11rb::NONE,
            is_fullscreen: false,
            is_unmapped: false,
            is_minimized: false,
            before: None,
            frame: None,
            drops: None,
            dropped: Vec::new(),
            is_awake: false,
            direct: Direct::default(),
            keymap: Keymap::default(),
            mouse: Mouse::new(Instant::now()),
        })
    }

    /// The monitors' places, the primary one first; the whole screen where the server knows of none.
    fn monitors(&self) -> Vec<Rect> {
        let place = |x: i16, y: i16, width: u16, height: u16| Rect {
            x: u32::try_from(x).unwrap_or(0),
            y: u32::try_from(y).unwrap_or(0),
            size: Size { width: u32::from(width.max(1)), height: u32::from(height.max(1)) },
        };
        let reply = self.connection.randr_get_monitors(self.root, true).ok().and_then(|cookie| cookie.reply().ok());
        let mut monitors = reply.map(|reply| reply.monitors).unwrap_or_default();
        monitors.sort_by_key(|monitor| !monitor.primary);
        let mut places: Vec<_> = monitors.iter().map(|it| place(it.x, it.y, it.width, it.height)).collect();
        if places.is_empty() {
            places.push(self.whole());
        }
        places
    }

    /// All of the display.
    fn whole(&self) -> Rect {
        let screen = self.connection.setup().roots.iter().find(|screen| screen.root == self.root);
        // What it was when we came: a monitor that is plugged in later makes it larger.
        let asked = self.connection.get_geometry(self.root).ok().and_then(|cookie| cookie.reply().ok());
        let size = asked.map(|it| (it.width, it.height)).or(screen.map(|it| (it.width_in_pixels, it.height_in_pixels)));
        let (width, height) = size.unwrap_or((1, 1));
        Rect { x: 0, y: 0, size: Size { width: u32::from(width), height: u32::from(height) } }
    }

    /// The size of the primary monitor.
    pub(super) fn screen(&self) -> Option<Size> {
        self.monitors().first().map(|monitor| monitor.size)
    }

    /// Takes charge of a window: hears of its keys, clicks and exposures, and tells its manager what it is.
    pub(super) fn adopt(&mut self, window: Window) -> Result<(), ReplyError> {
        self.window = window;
        match Keymap::listen(&self.connection)? {
            true => self.keymap = Keymap::ask(&self.connection)?,
            false => warn!("the keys of the window do nothing: this display has no keyboard extension (XKEYBOARD)"),
        }
        let keys = EventMask::KEY_PRESS | EventMask::KEY_RELEASE;
        let own = EventMask::EXPOSURE | EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY;
        let events = mouse::EVENTS.iter().fold(keys | own, |all, &event| all | event);
        // What was painted stays where it is while the window is resized, instead of flashing black.
        let attributes = ChangeWindowAttributesAux::new().event_mask(events).bit_gravity(Gravity::CENTER);
        self.connection.change_window_attributes(window, &attributes)?.check()?;
        if !self.mouse.listen(&self.connection, self.root, window)? {
            warn!("clicks in the window do nothing: this display has no input extension (XInput 2.1)");
        }
        self.frame = Some(Frame::new(&self.connection, self.root, window)?);
        self.connection.flush()?;
        Ok(())
    }

    /// Puts the window, of this size, where it is asked to stand, `above` others where that is wanted.
    pub(super) fn place_window(&self, geometry: &Geometry, size: Size, above: bool) -> Result<(), ReplyError> {
        let Some(frame) = &self.frame else { return Ok(()) };
        frame.put(&self.connection, (geometry, size), (self.whole().size, &self.monitors()))?;
        if above {
            frame.keep_above(&self.connection)?;
        }
        self.connection.flush()?;
        Ok(())
    }

    /// Where the window stands, with its frame; `None` while it covers a monitor.
    pub(super) fn standing(&self) -> Option<(Offset, Offset)> {
        if self.is_fullscreen {
            return None;
        }
        self.frame.as_ref()?.place(&self.connection).ok().flatten()
    }

    /// How many pixels of the display are as large as one is meant to be.
    pub(super) fn pixel_scale(&self) -> f32 {
        pixel_scale(&self.connection)
    }

    /// Keeps the screen awake from now on, or lets it sleep when it likes. Ends with this connection. Not every server has it, and
    /// a screen that sleeps is no reason to stop.
    pub(super) fn keep_awake(&mut self, awake: bool) {
        if awake == self.is_awake {
            return;
        }
        self.is_awake = awake;
        if let Ok(cookie) = self.connection.screensaver_suspend(u32::from(awake)) {
            cookie.ignore_error();
        }
        if let Err(error) = self.connection.flush() {
            debug!("the screen may sleep: the display said: {error}");
        }
    }

    /// The mouse over the window.
    pub(super) fn mouse(&self) -> &Mouse {
        &self.mouse
    }

    /// From now on the window takes files that are dropped on it.
    pub(super) fn take_drops(&mut self) {
        match Drops::take(&self.connection, self.root, self.window) {
            Ok(drops) => self.drops = Some(drops),
            Err(error) => debug!("nothing can be dropped on the window: the display said: {error}"),
        }
    }

    /// What was done with the mouse since the last call: clicks, turns of the wheel, files that were dropped.
    pub(super) fn take_moused(&mut self) -> Vec<Action> {
        let mut actions = self.mouse.take();
        actions.append(&mut self.dropped);
        actions
    }

    /// Handles what the server said since, keys to `keys`.
    pub(super) fn poll(&mut self, keys: &mut Keys, now: Instant) -> Result<Heard, ReplyError> {
        let mut heard = Heard::default();
        while let Some(event) = self.connection.poll_for_event()? {
            heard.anything = true;
            self.mouse.handle(&event, (&self.connection, self.window), now)?;
            if let Some(drops) = &mut self.drops {
                self.dropped.extend(drops.handle(&event, &self.connection)?.into_iter().map(Action::Dropped));
            }
            match event {
                Event::Expose(_) => heard.exposed = true,
                Event::KeyPress(event) => keys.press(&self.keymap, event.detail, event.state, now),
                Event::KeyRelease(event) => keys.release(event.detail),
                Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_) => self.keymap = Keymap::ask(&self.connection)?,
                Event::PropertyNotify(event) if event.atom == self.atoms._NET_WM_STATE => {
                    let states = self.states()?;
                    self.is_fullscreen = states.contains(&self.atoms._NET_WM_STATE_FULLSCREEN);
                    self.is_minimized = states.contains(&self.atoms._NET_WM_STATE_HIDDEN);
                }
                Event::UnmapNotify(_) => self.is_unmapped = true,
                Event::MapNotify(_) => self.is_unmapped = false,
                _ => {}
            }
        }
        Ok(heard)
    }

    /// Shows these parts of the picture on the window, which must be as large as that; see [`Direct::show`].
    pub(super) fn show(&mut self, view: &View<'_>, parts: &[Rect]) -> bool {
        self.direct.show(&self.connection, self.window, view, parts)
    }

    /// Whether the window covers its monitor, as far as the window manager has said.
    pub(super) fn is_fullscreen(&self) -> bool {
        self.is_fullscreen
    }

    /// Whether nothing of the window is seen, for it is minimized.
    pub(super) fn is_hidden(&self) -> bool {
        self.is_unmapped || self.is_minimized
    }

    /// Covers the monitor the window is on, or puts the window back where it was.
    pub(super) fn set_fullscreen(&mut self, on: bool) -> Result<(), ReplyError> {
        if on == self.is_fullscreen {
            return Ok(());
        }
        if self.before.is_none() && self.manager_does_fullscreen()? {
            // 1 and 0: add and remove; the last 1: asked by an ordinary application.
            let state = [u32::from(on), self.atoms._NET_WM_STATE_FULLSCREEN, 0, 1, 0];
            let message = ClientMessageEvent::new(32, self.window, self.atoms._NET_WM_STATE, state);
            let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
            self.connection.send_event(false, self.root, mask, message)?;
        } else if on {
            let place = self.place()?;
            let middle = (place.x + place.size.width / 2, place.y + place.size.height / 2);
            if let Some(monitor) = self.monitor_at((middle.0.into(), middle.1.into())) {
                self.before = Some(place);
                self.put(monitor)?;
            }
        } else if let Some(before) = self.before.take() {
            self.put(before)?;
        }
        self.is_fullscreen = on;
        self.connection.flush()?;
        Ok(())
    }

    fn put(&self, place: Rect) -> Result<(), ConnectionError> {
        let configure = ConfigureWindowAux::new()
            .x(place.x as i32)
            .y(place.y as i32)
            .width(place.size.width)
            .height(place.size.height)
            .stack_mode(StackMode::ABOVE);
        self.connection.configure_window(self.window, &configure).map(drop)
    }

    /// Asks for another size of the window, around the same middle but on its monitor as far as it fits; one that was `put` keeps
    /// the corner that was named. The server says later what came of it.
    pub(super) fn resize(&self, size: Size, put: bool) -> Result<(), ReplyError> {
        let configure = ConfigureWindowAux::new().width(size.width).height(size.height);
        let configure = if put { configure } else { self.around_its_middle(size, configure)? };
        self.connection.configure_window(self.window, &configure)?;
        self.connection.flush()?;
        Ok(())
    }

    fn around_its_middle(&self, size: Size, configure: ConfigureWindowAux) -> Result<ConfigureWindowAux, ReplyError> {
        let old = self.place()?.size;
        // Within the manager's frame the place is another than on the screen.
        let corner = self.connection.translate_coordinates(self.window, self.root, 0, 0)?.reply()?;
        let (x, y) = (i64::from(corner.dst_x), i64::from(corner.dst_y));
        let middle = (x + i64::from(old.width) / 2, y + i64::from(old.height) / 2);
        let Some(monitor) = self.monitor_at(middle) else { return Ok(configure) };
        let keep = |corner: i64, (old, new): (u32, u32), first: u32, length: u32| {
            let most = i64::from(first) + i64::from(length) - i64::from(new);
            (corner + (i64::from(old) - i64::from(new)) / 2).min(most).max(i64::from(first)) as i32
        };
        let x = keep(x, (old.width, size.width), monitor.x, monitor.size.width);
        let y = keep(y, (old.height, size.height), monitor.y, monitor.size.height);
        Ok(configure.x(x).y(y))
    }

    /// The monitor on which a point is, or the primary one.
    fn monitor_at(&self, (x, y): (i64, i64)) -> Option<Rect> {
        let monitors = self.monitors();
        let within = |at: i64, first: u32, length: u32| (i64::from(first)..i64::from(first) + i64::from(length)).contains(&at);
        let holds = |it: &&Rect| within(x, it.x, it.size.width) && within(y, it.y, it.size.height);
        monitors.iter().find(holds).or(monitors.first()).copied()
    }

    fn place(&self) -> Result<Rect, ReplyError> {
        let geometry = self.connection.get_geometry(self.window)?.reply()?;
        let size = Size { width: u32::from(geometry.width), height: u32::from(geometry.height) };
        Ok(Rect { x: u32::try_from(geometry.x).unwrap_or(0), y: u32::try_from(geometry.y).unwrap_or(0), size })
    }

    fn states(&self) -> Result<Vec<Atom>, ReplyError> {
        self.values(self.window, self.atoms._NET_WM_STATE, AtomEnum::ATOM)
    }

    /// A manager that left may have left its properties behind; a living one keeps a window that names itself (EWMH).
    fn manager_does_fullscreen(&self) -> Result<bool, ReplyError> {
        let check = self.atoms._NET_SUPPORTING_WM_CHECK;
        let Some(&manager) = self.values(self.root, check, AtomEnum::WINDOW)?.first() else { return Ok(false) };
        let is_alive = self.values(manager, check, AtomEnum::WINDOW).is_ok_and(|itself| itself == [manager]);
        let supported = self.values(self.root, self.atoms._NET_SUPPORTED, AtomEnum::ATOM)?;
        Ok(is_alive && supported.contains(&self.atoms._NET_WM_STATE_FULLSCREEN))
    }

    fn values(&self, window: Window, property: Atom, kind: AtomEnum) -> Result<Vec<u32>, ReplyError> {
        // 1024 words hold any window manager's list of what it supports.
        let reply = self.connection.get_property(false, window, property, kind, 0, 1024)?.reply()?;
        Ok(reply.value32().map(|values| values.collect()).unwrap_or_default())
    }
}
