//! A display, spoken to in safe Rust: what it has, what was drawn on it (DAMAGE), its pixels (MIT-SHM), its cursor (XFIXES).
//!
//! The display writes pixels into a file without a name (`memfd`), from which they are read, not mapped: nothing changes under
//! our hands, and it takes no unsafe code. Where the display is not on this machine pixels come over its connection. What is
//! drawn after its damage was taken is told again, so whoever takes damage first and fetches then misses nothing.

use super::Error;
use super::damage::Rect;
use super::which::{self, Monitor, Which};
use eyeline_proto::picture::{MAX_SIDE, Size};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask, GetCursorImageReply};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageFormat, ImageOrder, MapState, Window,
};
use x11rb::protocol::{ErrorKind, Event, damage, xfixes};
use x11rb::rust_connection::RustConnection;

/// Bytes read at once: they stay in the second cache until they are converted.
const STRIP: usize = 64 << 10;

/// A place on the screen, from its left and top, and the size of what was drawn there.
pub type Drawn = ((i64, i64), (u32, u32));

/// What is looked at, and where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub window: Window,
    /// The picture's upper left in that window.
    pub corner: (u32, u32),
    /// And on the whole of the display.
    pub on_root: (i64, i64),
    pub size: Size,
    /// What of the picture can be fetched: a window may reach beyond the display, or be hidden.
    pub seen: Option<Rect>,
}

/// See the module text.
pub struct Display {
    pub connection: RustConnection,
    root: Window,
    /// What was drawn, and where it is put when it is taken.
    damage: Option<(damage::Damage, xfixes::Region)>,
    memory: Option<Memory>,
    /// It cannot, and is not asked again.
    shares_none: bool,
    strip: Vec<u8>,
}

/// What the display writes pixels into.
struct Memory {
    file: File,
    segment: shm::Seg,
    bytes: usize,
}

/// What programs are shown on here.
pub enum Desktop {
    X11(Display),
    /// And where X programs are shown on it, if they are.
    Wayland(Option<Display>),
}

impl Desktop {
    /// What the environment names: an X display that answers, though a Wayland desktop runs beside it, was chosen by the user.
    pub fn find() -> Result<Desktop, Error> {
        let session = std::env::var_os("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland");
        match Display::connect() {
            Ok(display) if display.is_wayland() => Ok(Desktop::Wayland(Some(display))),
            Ok(display) => Ok(Desktop::X11(display)),
            Err(_) if session || is_set("WAYLAND_DISPLAY") => Ok(Desktop::Wayland(None)),
            Err(error) => Err(error),
        }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

impl Display {
    /// The display `$DISPLAY` names, with all that it takes.
    pub fn connect() -> Result<Display, Error> {
        if !is_set("DISPLAY") {
            return Err(Error::NoDisplay);
        }
        let (connection, screen) = RustConnection::connect(None).map_err(|error| Error::Connect(error.to_string()))?;
        let screen = connection.setup().roots.get(screen).ok_or_else(|| Error::Connect("it has no screen".into()))?;
        let (root, depth) = (screen.root, screen.root_depth);
        let little = connection.setup().image_byte_order == ImageOrder::LSB_FIRST;
        let words = connection.setup().pixmap_formats.iter().any(|format| (format.depth, format.bits_per_pixel) == (depth, 32));
        let mut visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
        let visual = visuals.find(|visual| visual.visual_id == screen.root_visual);
        let rgb =
            visual.is_some_and(|visual| (visual.red_mask, visual.green_mask, visual.blue_mask) == (0xFF_0000, 0xFF00, 0xFF));
        if !(little && words && rgb) {
            return Err(Error::Pixels(depth));
        }
        for name in [damage::X11_EXTENSION_NAME, xfixes::X11_EXTENSION_NAME] {
            if connection.extension_information(name).map_err(lost)?.is_none() {
                return Err(Error::Lacks(name));
            }
        }
        // They answer nothing before they are asked for their version.
        connection.xfixes_query_version(5, 0).map_err(lost)?.reply().map_err(lost)?;
        connection.damage_query_version(1, 1).map_err(lost)?.reply().map_err(lost)?;
        Ok(Display { connection, root, damage: None, memory: None, shares_none: false, strip: Vec::new() })
    }

    /// Whether it is a Wayland desktop's, which has windows of X programs and no screen.
    fn is_wayland(&self) -> bool {
        let extension = self.connection.query_extension(b"XWAYLAND").ok().and_then(|cookie| cookie.reply().ok());
        extension.is_some_and(|extension| extension.present)
            || self.monitors().iter().any(|monitor| monitor.name.starts_with("XWAYLAND"))
    }

    /// What stands beside each other on it; nothing where it does not say.
    pub fn monitors(&self) -> Vec<Monitor> {
        let known = self.connection.extension_information(randr::X11_EXTENSION_NAME).is_ok_and(|known| known.is_some());
        let reply = known.then(|| self.connection.randr_get_monitors(self.root, true).ok()?.reply().ok()).flatten();
        let side = |at: i16| u32::try_from(at).unwrap_or(0);
        let monitor = |info: randr::MonitorInfo| {
            let name = self.connection.get_atom_name(info.name).ok().and_then(|cookie| cookie.reply().ok());
            let size = Size { width: info.width.into(), height: info.height.into() };
            Monitor {
                name: name.map(|name| String::from_utf8_lossy(&name.name).into_owned()).unwrap_or_default(),
                primary: info.primary,
                place: Rect { x: side(info.x), y: side(info.y), size },
            }
        };
        reply.map(|reply| reply.monitors.into_iter().map(monitor).collect()).unwrap_or_default()
    }

    /// The window that has the keyboard: what the window manager says, or the one below the root that holds the focus.
    pub fn focused(&self) -> Result<Window, Error> {
        let active = self.connection.intern_atom(false, b"_NET_ACTIVE_WINDOW").map_err(lost)?.reply().map_err(lost)?.atom;
        let reply = self.connection.get_property(false, self.root, active, AtomEnum::WINDOW, 0, 1).map_err(lost)?.reply();
        let managed = reply.ok().and_then(|reply| reply.value32()?.next()).filter(|window| *window != x11rb::NONE);
        if let Some(window) = managed {
            return Ok(window);
        }
        let mut window = self.connection.get_input_focus().map_err(lost)?.reply().map_err(lost)?.focus;
        // 0 and 1: nothing, and whatever is under the mouse.
        while window > 1 && window != self.root {
            let parent = self.connection.query_tree(window).map_err(lost)?.reply().map_err(|_| Error::NoFocus)?.parent;
            if parent == self.root {
                return Ok(window);
            }
            window = parent;
        }
        Err(Error::NoFocus)
    }

    /// Where that is now.
    pub fn find(&self, which: &Which) -> Result<Target, Error> {
        let whole = self.connection.get_geometry(self.root).map_err(lost)?.reply().map_err(lost)?;
        let whole = Size { width: whole.width.into(), height: whole.height.into() };
        let target = match which {
            Which::Window(window) => self.find_window(*window, whole)?,
            which => {
                let place = which::find(which, &self.monitors(), whole)?;
                let (corner, on_root) = ((place.x, place.y), (place.x.into(), place.y.into()));
                Target { window: self.root, corner, on_root, size: place.size, seen: Some(Rect::all(place.size)) }
            }
        };
        if target.size.is_possible() { Ok(target) } else { Err(Error::Size { size: target.size, most: MAX_SIDE }) }
    }

    fn find_window(&self, window: Window, whole: Size) -> Result<Target, Error> {
        let gone = |error: ReplyError| match error {
            ReplyError::ConnectionError(error) => lost(error),
            ReplyError::X11Error(_) => Error::NoWindow(window),
        };
        let geometry = self.connection.get_geometry(window).map_err(lost)?;
        let attributes = self.connection.get_window_attributes(window).map_err(lost)?;
        let corner = self.connection.translate_coordinates(window, self.root, 0, 0).map_err(lost)?;
        let (geometry, attributes) = (geometry.reply().map_err(gone)?, attributes.reply().map_err(gone)?);
        let corner = corner.reply().map_err(gone)?;
        if ![24, 32].contains(&geometry.depth) {
            return Err(Error::Pixels(geometry.depth));
        }
        let size = Size { width: geometry.width.into(), height: geometry.height.into() };
        let on_root = (i64::from(corner.dst_x), i64::from(corner.dst_y));
        // What of the display lies in the window.
        let seen = Rect::within(size, (-on_root.0, -on_root.1), (whole.width, whole.height));
        let seen = seen.filter(|_| attributes.map_state == MapState::VIEWABLE);
        Ok(Target { window, corner: (0, 0), on_root, size, seen })
    }

    /// Hears of what is drawn there, of where it goes, of monitors, and of the cursor's look.
    pub fn watch(&mut self, which: &Which) -> Result<(), Error> {
        let window = if let Which::Window(window) = which { *window } else { self.root };
        let watched = || -> Result<_, ReplyOrIdError> {
            let events = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
            self.connection.change_window_attributes(window, &events)?.check()?;
            if window != self.root {
                self.connection.change_window_attributes(self.root, &events)?.check()?;
            }
            if self.connection.extension_information(randr::X11_EXTENSION_NAME)?.is_some() {
                let changes = randr::NotifyMask::SCREEN_CHANGE | randr::NotifyMask::CRTC_CHANGE;
                self.connection.randr_select_input(self.root, changes)?.check()?;
            }
            self.connection.xfixes_select_cursor_input(self.root, CursorNotifyMask::DISPLAY_CURSOR)?.check()?;
            let (damage, region) = (self.connection.generate_id()?, self.connection.generate_id()?);
            self.connection.xfixes_create_region(region, &[])?.check()?;
            self.connection.damage_create(damage, window, ReportLevel::NON_EMPTY)?.check()?;
            Ok((damage, region))
        };
        self.damage = Some(watched().map_err(|error| Error::Lost(error.to_string()))?);
        Ok(())
    }

    /// What was drawn since this was asked last, in the window's pixels: corner and size of each.
    pub fn drawn(&self) -> Result<Vec<Drawn>, Error> {
        let Some((damage, region)) = self.damage else { return Ok(Vec::new()) };
        self.connection.damage_subtract(damage, x11rb::NONE, region).map_err(lost)?;
        let reply = self.connection.xfixes_fetch_region(region).map_err(lost)?.reply().map_err(lost)?;
        let rectangle =
            |it: x11rb::protocol::xproto::Rectangle| ((it.x.into(), it.y.into()), (it.width.into(), it.height.into()));
        Ok(reply.rectangles.into_iter().map(rectangle).collect())
    }

    /// Where the mouse points, in pixels of the whole.
    pub fn pointer(&self) -> Result<(i64, i64), Error> {
        let reply = self.connection.query_pointer(self.root).map_err(lost)?.reply().map_err(lost)?;
        Ok((reply.root_x.into(), reply.root_y.into()))
    }

    /// What the mouse looks like.
    pub fn cursor(&self) -> Result<GetCursorImageReply, Error> {
        self.connection.xfixes_get_cursor_image().map_err(lost)?.reply().map_err(lost)
    }

    /// What happened, if anything did.
    pub fn event(&self) -> Result<Option<Event>, Error> {
        self.connection.poll_for_event().map_err(lost)
    }

    /// Fetches a part of the picture and gives it row by row, with each row's number. `false`: it cannot be seen now.
    pub fn fetch(&mut self, target: &Target, part: Rect, mut row: impl FnMut(u32, &[u8])) -> Result<bool, Error> {
        let line = part.size.width as usize * super::colour::PIXEL;
        let all = line * part.size.height as usize;
        let (x, y) = (target.corner.0 + part.x, target.corner.1 + part.y);
        // No side of a display is longer than 32,767.
        let (x, y, width, height) = (x as i16, y as i16, part.size.width as u16, part.size.height as u16);
        let format = ImageFormat::Z_PIXMAP;
        let hidden = |error: ReplyError| match error {
            ReplyError::X11Error(error) if matches!(error.error_kind, ErrorKind::Match | ErrorKind::Drawable) => Ok(false),
            error => Err(lost(error)),
        };
        if !self.share(target.size) {
            let image = self.connection.get_image(format, target.window, x, y, width, height, !0).map_err(lost)?;
            let image = match image.reply() {
                Ok(image) => image.data,
                Err(error) => return hidden(error),
            };
            (0..).zip(image.chunks_exact(line)).take(part.size.height as usize).for_each(|(number, pixels)| row(number, pixels));
            return Ok(true);
        }
        let Some(memory) = self.memory.as_ref().filter(|memory| memory.bytes >= all) else { return Ok(false) };
        let asked = self.connection.shm_get_image(target.window, x, y, width, height, !0, format.into(), memory.segment, 0);
        if let Err(error) = asked.map_err(lost)?.reply() {
            return hidden(error);
        }
        let lines = (STRIP / line).max(1);
        self.strip.resize(lines * line, 0);
        let mut number = 0;
        while number < part.size.height {
            let strip = &mut self.strip[..lines.min((part.size.height - number) as usize) * line];
            memory.file.read_exact_at(strip, u64::from(number) * line as u64).map_err(|error| Error::Lost(error.to_string()))?;
            for pixels in strip.chunks_exact(line) {
                row(number, pixels);
                number += 1;
            }
        }
        Ok(true)
    }

    /// Whether the display writes pixels into memory of ours, which holds a picture of this size.
    fn share(&mut self, size: Size) -> bool {
        let bytes = size.width as usize * size.height as usize * super::colour::PIXEL;
        if self.memory.as_ref().is_some_and(|memory| memory.bytes >= bytes) {
            return true;
        }
        if self.shares_none {
            return false;
        }
        if let Some(old) = self.memory.take() {
            let _ = self.connection.shm_detach(old.segment);
        }
        let shared = || -> Result<Option<Memory>, ReplyOrIdError> {
            if self.connection.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
                return Ok(None);
            }
            let version = self.connection.shm_query_version()?.reply()?;
            let file = memfd_create(c"eyeline-screen", MFdFlags::MFD_CLOEXEC).ok().map(File::from);
            let file = file
                .filter(|file| file.set_len(bytes as u64).is_ok() && (version.major_version, version.minor_version) >= (1, 2));
            let Some((file, given)) = file.and_then(|file| Some((file.as_fd().try_clone_to_owned().ok()?, file))) else {
                return Ok(None);
            };
            let segment = self.connection.generate_id()?;
            self.connection.shm_attach_fd(segment, file, false)?.check()?;
            Ok(Some(Memory { file: given, segment, bytes }))
        };
        match shared() {
            Ok(memory) => self.memory = memory,
            Err(error) => tracing::debug!("the display shares no memory: {error}"),
        }
        self.shares_none = self.memory.is_none();
        self.memory.is_some()
    }
}

fn lost(error: impl std::fmt::Display) -> Error {
    Error::Lost(error.to_string())
}
