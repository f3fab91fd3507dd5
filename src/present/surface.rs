//! Pixels on a window: minifb makes the window and its events, softbuffer carries the pixels to it.
//!
//! softbuffer shares memory with the display server and is five times faster than minifb's own way (0.6 ms against 3 ms for
//! 1080p on Xvfb), which is kept for displays softbuffer cannot serve. This is the one place that lends minifb's raw handles
//! out: [`Surface`] owns both, never gives the window away, and drops softbuffer's half first.

#![allow(unsafe_code)] // two borrowed raw handles, see `lend`

use std::num::NonZeroU32;

use raw_window_handle::{DisplayHandle, HandleError, HasDisplayHandle, HasWindowHandle, RawWindowHandle, WindowHandle};
use tracing::warn;

use super::scale::Rect;
use eyeline_proto::picture::{MAX_SIDE, Size};

type Shared = softbuffer::Surface<DisplayHandle<'static>, WindowHandle<'static>>;

/// See the module text. Fields drop in this order: what borrows the window's handles goes before the window.
pub(super) struct Surface {
    shared: Option<Shared>,
    plain: Vec<u32>,
    window: minifb::Window,
}

impl Surface {
    /// Takes the window over; where `plain`, or where softbuffer cannot serve it, pixels go minifb's way.
    pub(super) fn new(window: minifb::Window, plain: bool) -> Self {
        let shared = if plain { None } else { Self::share(&window) };
        Surface { shared, plain: Vec::new(), window }
    }

    fn share(window: &minifb::Window) -> Option<Shared> {
        let made = lend(window).map_err(|error| error.to_string()).and_then(|(display, handle)| {
            let context = softbuffer::Context::new(display).map_err(|error| error.to_string())?;
            softbuffer::Surface::new(&context, handle).map_err(|error| error.to_string())
        });
        made.inspect_err(|error| warn!("pictures go to the window the slow way: {error}")).ok()
    }

    /// The window's size, held between one pixel and the largest picture.
    pub(super) fn size(&self) -> Size {
        let (width, height) = self.window.get_size();
        let side = |length: usize| u32::try_from(length).unwrap_or(MAX_SIDE).clamp(1, MAX_SIDE);
        Size { width: side(width), height: side(height) }
    }

    /// Lets `draw` fill every pixel of the window, and returns once the display has taken them.
    pub(super) fn paint(&mut self, draw: impl FnOnce(&mut [u32], Size)) -> Result<(), String> {
        let size = self.size();
        if let Some(shared) = &mut self.shared {
            let painted = paint_shared(shared, size, draw);
            painted.unwrap_or_else(|error| self.give_up_sharing(&error));
            return Ok(());
        }
        self.plain.resize(size.width as usize * size.height as usize, 0);
        draw(&mut self.plain, size);
        // This polls the events as well: nothing is lost by it, for keys come over the second connection.
        self.window.update_with_buffer(&self.plain, size.width as usize, size.height as usize).map_err(|error| error.to_string())
    }

    /// Whether what [`Surface::paint`] drew last is at hand, so that parts of it can be renewed.
    pub(super) fn can_repaint(&mut self) -> bool {
        let size = self.size();
        let Some(Ok(buffer)) = self.shared.as_mut().map(Shared::buffer_mut) else { return false };
        buffer.age() == 1 && buffer.len() == size.width as usize * size.height as usize
    }

    /// Lets `draw` renew these parts of what [`Surface::paint`] drew last, which [must be at hand](Surface::can_repaint), and
    /// returns once the display has taken them.
    pub(super) fn repaint(&mut self, parts: &[Rect], draw: impl FnOnce(&mut [u32])) {
        if let Some(shared) = &mut self.shared {
            let painted = repaint_shared(shared, parts, draw);
            painted.unwrap_or_else(|error| self.give_up_sharing(&error));
        }
    }

    /// For one: a display over the network that takes no picture of this size at once; minifb cuts it up. The last picture is not
    /// shown, the next one is. Where the display itself is gone Xlib says so and ends the program, here.
    fn give_up_sharing(&mut self, error: &str) {
        self.window.update();
        warn!("pictures go to the window the slow way from now on: {error}");
        self.shared = None;
    }

    pub(super) fn update(&mut self) {
        self.window.update();
    }

    pub(super) fn is_open(&self) -> bool {
        self.window.is_open()
    }

    pub(super) fn set_title(&mut self, title: &str) {
        self.window.set_title(title);
    }

    pub(super) fn show_cursor(&mut self, visible: bool) {
        self.window.set_cursor_visibility(visible);
    }

    /// The display's number for the window.
    pub(super) fn id(&self) -> Option<u32> {
        match self.window.window_handle().ok()?.as_raw() {
            RawWindowHandle::Xlib(handle) => u32::try_from(handle.window).ok(),
            _ => None,
        }
    }
}

fn paint_shared(shared: &mut Shared, size: Size, draw: impl FnOnce(&mut [u32], Size)) -> Result<(), String> {
    let side = |length: u32| NonZeroU32::new(length).unwrap_or(NonZeroU32::MIN);
    let text = |error: softbuffer::SoftBufferError| error.to_string();
    shared.resize(side(size.width), side(size.height)).map_err(text)?;
    let mut buffer = shared.buffer_mut().map_err(text)?;
    draw(&mut buffer, size);
    buffer.present().map_err(text)?;
    // `present` leaves the request in the connection's buffer. Asking for the next buffer sends it and waits until the
    // display has read this one, which is the moment that counts as shown.
    shared.buffer_mut().map(drop).map_err(text)
}

fn repaint_shared(shared: &mut Shared, parts: &[Rect], draw: impl FnOnce(&mut [u32])) -> Result<(), String> {
    let text = |error: softbuffer::SoftBufferError| error.to_string();
    let mut buffer = shared.buffer_mut().map_err(text)?;
    draw(&mut buffer);
    let side = |length: u32| NonZeroU32::new(length).unwrap_or(NonZeroU32::MIN);
    let part = |Rect { x, y, size }: &Rect| softbuffer::Rect { x: *x, y: *y, width: side(size.width), height: side(size.height) };
    buffer.present_with_damage(&parts.iter().map(part).collect::<Vec<_>>()).map_err(text)?;
    // As in `paint_shared`.
    shared.buffer_mut().map(drop).map_err(text)
}

/// The window's handles without their lifetime.
fn lend(window: &minifb::Window) -> Result<(DisplayHandle<'static>, WindowHandle<'static>), HandleError> {
    let (display, handle) = (window.display_handle()?.as_raw(), window.window_handle()?.as_raw());
    // SAFETY: both handles stay valid until the window is dropped. Only `Surface::new` calls this; the window then lives in
    // the same `Surface` as what holds the handles, cannot be taken out of it, and is dropped after it. Moving the window
    // moves neither the display connection nor the window's number.
    unsafe { Ok((DisplayHandle::borrow_raw(display), WindowHandle::borrow_raw(handle))) }
}
