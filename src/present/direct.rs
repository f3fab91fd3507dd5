//! The canvas shown as it lies: the display server copies from the canvas's own memory (MIT-SHM 1.2, a passed descriptor), and
//! the picture is not copied on this side at all.
//!
//! For 1080p that copy is 8 MB, between the last decoded band and the screen. It can be left out only where the window is exactly
//! as large as the picture and nothing is drawn over it; otherwise, and where the server cannot do it, the window goes the way of
//! `surface`. Asking for whatever the server says about the request also waits until it has read the pixels.

use std::os::fd::AsFd;

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::shm::{self, ConnectionExt as _, Seg};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Gcontext, ImageFormat, ImageOrder, VisualClass, Window};
use x11rb::rust_connection::RustConnection;

use super::canvas::View;
use super::scale::Rect;

#[derive(Default)]
pub(super) struct Direct {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Untried,
    Ready(Target),
    Refused,
}

struct Target {
    gc: Gcontext,
    depth: u8,
    /// The memory the server has mapped, by its number.
    segment: Option<(u64, Seg)>,
}

impl Direct {
    /// Shows these parts of the picture on the window, which must be as large as that, and returns once the server has read them.
    /// `false`: it was not shown and has to go the other way, now and from now on.
    pub(super) fn show(&mut self, connection: &RustConnection, window: Window, view: &View<'_>, parts: &[Rect]) -> bool {
        if matches!(self.state, State::Untried) {
            self.state = match prepare(connection, window) {
                Ok(Some(target)) => State::Ready(target),
                Ok(None) => State::Refused,
                Err(error) => {
                    tracing::debug!("the display does not read the canvas itself: {error}");
                    State::Refused
                }
            };
        }
        let State::Ready(target) = &mut self.state else { return false };
        match target.show(connection, window, view, parts) {
            Ok(shown) => shown,
            Err(error) => {
                tracing::debug!("the display does not read the canvas itself any more: {error}");
                self.state = State::Refused;
                false
            }
        }
    }
}

/// Whether the server shares memory by descriptor and the window's pixels are words as the canvas has them.
fn prepare(connection: &RustConnection, window: Window) -> Result<Option<Target>, ReplyOrIdError> {
    if connection.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
        return Ok(None);
    }
    let version = connection.shm_query_version()?;
    let attributes = connection.get_window_attributes(window)?;
    let depth = connection.get_geometry(window)?.reply()?.depth;
    let (version, visual) = (version.reply()?, attributes.reply()?.visual);
    let setup = connection.setup();
    let native = if cfg!(target_endian = "little") { ImageOrder::LSB_FIRST } else { ImageOrder::MSB_FIRST };
    let words = setup.image_byte_order == native
        && setup
            .pixmap_formats
            .iter()
            .any(|format| (format.depth, format.bits_per_pixel, format.scanline_pad) == (depth, 32, 32));
    let mut visuals = setup.roots.iter().flat_map(|root| &root.allowed_depths).flat_map(|depth| &depth.visuals);
    let rgb = visuals.any(|kind| {
        let masks = (kind.red_mask, kind.green_mask, kind.blue_mask);
        kind.visual_id == visual && kind.class == VisualClass::TRUE_COLOR && masks == (0xFF_0000, 0xFF00, 0xFF)
    });
    if (version.major_version, version.minor_version) < (1, 2) || !words || !rgb {
        return Ok(None);
    }
    let gc = connection.generate_id()?;
    connection.create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))?.check()?;
    Ok(Some(Target { gc, depth, segment: None }))
}

impl Target {
    fn show(
        &mut self,
        connection: &RustConnection,
        window: Window,
        view: &View<'_>,
        parts: &[Rect],
    ) -> Result<bool, ReplyOrIdError> {
        let Some(memory) = view.memory() else { return Ok(false) };
        let segment = match self.segment {
            Some((id, segment)) if id == memory.id => segment,
            _ => {
                if let Some((_, old)) = self.segment.take() {
                    connection.shm_detach(old)?;
                }
                let Ok(file) = memory.file.as_fd().try_clone_to_owned() else { return Ok(false) };
                let segment = connection.generate_id()?;
                connection.shm_attach_fd(segment, file, true)?.check()?;
                self.segment = Some((memory.id, segment));
                segment
            }
        };
        // No side of a picture is longer than 8192.
        let (width, height) = (view.size().width as u16, view.size().height as u16);
        let (format, offset) = (ImageFormat::Z_PIXMAP.into(), memory.offset);
        let put = |part: &Rect| {
            let (x, y, wide, high) = (part.x as u16, part.y as u16, part.size.width as u16, part.size.height as u16);
            let (left, top) = (x as i16, y as i16);
            connection.shm_put_image(
                window, self.gc, width, height, x, y, wide, high, left, top, self.depth, format, false, segment, offset,
            )
        };
        let Some((last, others)) = parts.split_last() else { return Ok(true) };
        for part in others {
            put(part)?;
        }
        // The server answers in order: once it has read the last part it has read all.
        put(last)?.check()?;
        Ok(true)
    }
}
