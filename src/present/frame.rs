//! What the window manager is told of a window: its class and icon, where it is to stand, that it stays above others; and where it
//! says that it stands (ICCCM 4.1.2.3, EWMH 1.5).
//!
//! All of it are wishes: a tiling manager, or none at all, may do nothing of it.

use super::geometry::{Geometry, Offset};
use super::scale::Rect;
use eyeline_proto::picture::Size;
use std::io::Cursor;
use x11rb::errors::ReplyError;
use x11rb::properties::{WmSizeHints, WmSizeHintsSpecification};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, Gravity, PropMode, Window,
};
use x11rb::resource_manager;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// 128 pixels a side, of `packaging/eyeline.svg`.
const ICON: &[u8] = include_bytes!("../../assets/icon.png");

/// At which a pixel is what programs mean by one.
const USUAL_DPI: f32 = 96.0;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        _NET_FRAME_EXTENTS,
        _NET_WM_BYPASS_COMPOSITOR,
        _NET_WM_ICON,
        _NET_WM_STATE,
        _NET_WM_STATE_ABOVE,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
    }
}

/// A window as its manager sees it.
pub(super) struct Frame {
    root: Window,
    window: Window,
    atoms: Atoms,
}

impl Frame {
    /// Of a window on this root, which is given its class and icon.
    pub(super) fn new(connection: &RustConnection, root: Window, window: Window) -> Result<Frame, ReplyError> {
        let atoms = Atoms::new(connection)?.reply()?;
        let class = b"eyeline\0Eyeline\0";
        connection.change_property8(PropMode::REPLACE, window, AtomEnum::WM_CLASS, AtomEnum::STRING, class)?;
        // 1: no compositor between a full-screen window and the screen; it costs a picture period.
        let bypass = atoms._NET_WM_BYPASS_COMPOSITOR;
        connection.change_property32(PropMode::REPLACE, window, bypass, AtomEnum::CARDINAL, &[1])?;
        if let Some(icon) = icon() {
            connection.change_property32(PropMode::REPLACE, window, atoms._NET_WM_ICON, AtomEnum::CARDINAL, &icon)?;
        }
        Ok(Frame { root, window, atoms })
    }

    /// Keeps it above others. Asked of a window that is mapped (EWMH, `_NET_WM_STATE`).
    pub(super) fn keep_above(&self, connection: &RustConnection) -> Result<(), ReplyError> {
        // 1: add; the last 1: asked by an ordinary application.
        let state = [1, self.atoms._NET_WM_STATE_ABOVE, 0, 1, 0];
        let message = ClientMessageEvent::new(32, self.window, self.atoms._NET_WM_STATE, state);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        connection.send_event(false, self.root, mask, message)?;
        Ok(())
    }

    /// Moves the window, of this size, to where the geometry says, its frame with it; nowhere if it would not be seen there.
    pub(super) fn put(
        &self,
        connection: &RustConnection,
        (geometry, size): (&Geometry, Size),
        (whole, monitors): (Size, &[Rect]),
    ) -> Result<(), ReplyError> {
        let Some((x, y)) = geometry.corner(size, whole, monitors) else { return Ok(()) };
        let is_begin = |offset: (Offset, Offset)| (matches!(offset.0, Offset::Begin(_)), matches!(offset.1, Offset::Begin(_)));
        // By which corner of the frame the place goes: what is counted from the right ends there with its frame.
        let gravity = match geometry.place.map(is_begin) {
            Some((false, true)) => Gravity::NORTH_EAST,
            Some((true, false)) => Gravity::SOUTH_WEST,
            Some((false, false)) => Gravity::SOUTH_EAST,
            _ => Gravity::NORTH_WEST,
        };
        let hints = WmSizeHints {
            position: Some((WmSizeHintsSpecification::UserSpecified, x, y)),
            win_gravity: Some(gravity),
            ..WmSizeHints::new()
        };
        hints.set_normal_hints(connection, self.window)?;
        connection.configure_window(self.window, &ConfigureWindowAux::new().x(x).y(y))?;
        Ok(())
    }

    /// Where its frame stands; `None` while it fills a monitor, for that is not where it goes back to.
    pub(super) fn place(&self, connection: &RustConnection) -> Result<Option<(Offset, Offset)>, ReplyError> {
        let state = self.values(connection, self.atoms._NET_WM_STATE, AtomEnum::ATOM)?;
        if [self.atoms._NET_WM_STATE_MAXIMIZED_HORZ, self.atoms._NET_WM_STATE_MAXIMIZED_VERT].iter().any(|it| state.contains(it))
        {
            return Ok(None);
        }
        let corner = connection.translate_coordinates(self.window, self.root, 0, 0)?.reply()?;
        // Left, right, top, bottom.
        let frame = self.values(connection, self.atoms._NET_FRAME_EXTENTS, AtomEnum::CARDINAL)?;
        let width = |side: usize| frame.get(side).and_then(|width| i16::try_from(*width).ok()).unwrap_or(0);
        let (x, y) = (corner.dst_x.saturating_sub(width(0)), corner.dst_y.saturating_sub(width(2)));
        Ok(Some((Offset::Begin(x), Offset::Begin(y))))
    }

    fn values(&self, connection: &RustConnection, property: Atom, kind: AtomEnum) -> Result<Vec<u32>, ReplyError> {
        let reply = connection.get_property(false, self.window, property, kind, 0, 64)?.reply()?;
        Ok(reply.value32().map(|values| values.collect()).unwrap_or_default())
    }
}

/// How many pixels of the display are as large as one is meant to be: `Xft.dpi`, which desktops set for large screens.
pub(super) fn pixel_scale(connection: &RustConnection) -> f32 {
    let resources = resource_manager::new_from_resource_manager(connection).ok().flatten();
    let dpi = resources.and_then(|resources| resources.get_value::<f32>("Xft.dpi", "").ok().flatten());
    // A display that says nonsense is not believed.
    dpi.map_or(1.0, |dpi| dpi / USUAL_DPI).clamp(1.0, 4.0)
}

/// Width, height and pixels as `0xAARRGGBB` (EWMH, `_NET_WM_ICON`).
fn icon() -> Option<Vec<u32>> {
    let mut reader = png::Decoder::new(Cursor::new(ICON)).read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut pixels).ok()?;
    let words = pixels.chunks_exact(4).map(|rgba| u32::from_be_bytes([rgba[3], rgba[0], rgba[1], rgba[2]]));
    Some([info.width, info.height].into_iter().chain(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_an_eye_on_a_dark_ground_with_clear_corners() {
        let icon = icon().expect("a PNG of four channels");
        let [width, height] = [icon[0], icon[1]];
        assert_eq!((width, height, icon.len()), (128, 128, 2 + 128 * 128));
        let at = |x: u32, y: u32| icon[(2 + y * width + x) as usize];
        assert_eq!((at(0, 0) >> 24, at(64, 20)), (0, 0xff14_213d));
        assert_eq!(at(50, 50) & 0xff00_0000, 0xff00_0000);
    }
}
