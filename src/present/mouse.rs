//! The mouse: where it is in the window, the clicks of its left button, and the turns of its wheel.
//!
//! Every press counts, however short: a touch pad, or a remote desktop, lets go in the same instant, and the toolkit only tells
//! whether the button is down now. A window's button events go to one client, which is the toolkit; so presses are heard as raw
//! events of the X input extension (XI 2.1), which any client may have. That a press is meant for this window follows from what
//! the server says of the pointer entering and leaving it.

use std::time::Instant;

use x11rb::connection::RequestConnection;
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, EventMask, Mapping, Window};
use x11rb::rust_connection::RustConnection;

use super::clicks::{Clicked, Clicks};
use super::keys::Action;

/// What of the window's own events is needed here; any number of clients may ask for these.
pub(super) const EVENTS: [EventMask; 3] = [EventMask::ENTER_WINDOW, EventMask::LEAVE_WINDOW, EventMask::POINTER_MOTION];

pub(super) struct Mouse {
    /// In the window's pixels, while it is over the window.
    place: Option<(i16, i16)>,
    moved: Instant,
    /// The number of the button that counts as the left one; another for the left-handed.
    left: u32,
    clicks: Clicks,
    actions: Vec<Action>,
}

impl Mouse {
    /// A mouse of which nothing is known.
    pub(super) fn new(now: Instant) -> Self {
        Mouse { place: None, moved: now, left: 1, clicks: Clicks::default(), actions: Vec::new() }
    }

    /// Asks to be told of presses; whether this display can. What it says is for [`Mouse::handle`].
    pub(super) fn listen(&mut self, connection: &RustConnection, root: Window, window: Window) -> Result<bool, ReplyError> {
        if connection.extension_information(xinput::X11_EXTENSION_NAME)?.is_none() {
            return Ok(false);
        }
        let version = connection.xinput_xi_query_version(2, 1)?.reply()?;
        if (version.major_version, version.minor_version) < (2, 1) {
            return Ok(false);
        }
        let mask = vec![xinput::XIEventMask::RAW_BUTTON_PRESS | xinput::XIEventMask::RAW_BUTTON_RELEASE];
        let deviceid = xinput::Device::ALL_MASTER.into();
        connection.xinput_xi_select_events(root, &[xinput::EventMask { deviceid, mask }])?.check()?;
        self.ask_which_is_left(connection)?;
        // The window may have come up under it.
        self.ask_where(connection, window)?;
        Ok(true)
    }

    /// One thing the server said, of the mouse or of something else.
    pub(super) fn handle(
        &mut self,
        event: &Event,
        (connection, window): (&RustConnection, Window),
        now: Instant,
    ) -> Result<(), ReplyError> {
        match event {
            Event::EnterNotify(event) => (self.place, self.moved) = (Some((event.event_x, event.event_y)), now),
            Event::MotionNotify(event) => (self.place, self.moved) = (Some((event.event_x, event.event_y)), now),
            Event::LeaveNotify(_) => self.place = None,
            Event::XinputRawButtonPress(event) if event.detail == self.left => self.press(now),
            Event::XinputRawButtonPress(event) => self.turn(event.detail),
            // While a button is held only the toolkit is told where the pointer goes, and nobody when the window goes under it.
            Event::XinputRawButtonRelease(_) | Event::ConfigureNotify(_) if self.place.is_some() => {
                self.ask_where(connection, window)?;
            }
            Event::MappingNotify(event) if event.request == Mapping::POINTER => self.ask_which_is_left(connection)?,
            _ => {}
        }
        Ok(())
    }

    fn press(&mut self, now: Instant) {
        let Some((x, y)) = self.place else { return };
        self.actions.push(match self.clicks.press((f32::from(x), f32::from(y)), now) {
            Clicked::Once => Action::Click { x: u32::try_from(x).unwrap_or(0), y: u32::try_from(y).unwrap_or(0) },
            Clicked::Twice => Action::ToggleFullscreen,
        });
    }

    /// X11 counts the wheel among the buttons: 4 is away from the hand.
    fn turn(&mut self, button: u32) {
        let action = match button {
            4 => Action::VolumeUp,
            5 => Action::VolumeDown,
            _ => return,
        };
        if self.place.is_some() {
            self.actions.push(action);
        }
    }

    fn ask_where(&mut self, connection: &RustConnection, window: Window) -> Result<(), ReplyError> {
        let (at, size) = (connection.query_pointer(window)?, connection.get_geometry(window)?);
        let (at, size) = (at.reply()?, size.reply()?);
        let inside = |at: i16, length: u16| u16::try_from(at).is_ok_and(|at| at < length);
        self.place = (inside(at.win_x, size.width) && inside(at.win_y, size.height)).then_some((at.win_x, at.win_y));
        Ok(())
    }

    fn ask_which_is_left(&mut self, connection: &RustConnection) -> Result<(), ReplyError> {
        let map = connection.get_pointer_mapping()?.reply()?.map;
        self.left = map.iter().position(|&means| means == 1).map_or(1, |place| place as u32 + 1);
        Ok(())
    }

    /// What was clicked since the last call.
    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Where it is in the window, in its pixels, while it is over it.
    pub(super) fn place(&self) -> Option<(i16, i16)> {
        self.place
    }

    /// When it was moved last.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }
}
