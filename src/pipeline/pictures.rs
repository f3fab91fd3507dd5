//! Where pictures come from, found out about and not started.

use crate::capture::camera;
use crate::capture::file;
use crate::capture::file::address::Connection;
use crate::capture::screen;
use eyeline_proto::picture::Size;
use eyeline_proto::rate::Rate;
use std::sync::{Arc, Mutex};

/// What to open, and where that camera was seen last: it may come back elsewhere while nobody watches.
pub type SharedSetup = Arc<Mutex<camera::Setup>>;

/// Where pictures come from, made ready.
pub enum Pictures {
    Camera(SharedSetup),
    /// A file, with its sound.
    Film(file::Playback),
    /// Live, from an address: connected until it is started.
    Address {
        /// Taken by whoever starts it.
        connection: Mutex<Option<Box<Connection>>>,
        /// Of its pictures, where it has any.
        size: Option<Size>,
        /// Of its sound; 0 where it has none.
        channels: u8,
    },
    /// What somebody pipes in, and its rate where the user says so.
    Stdin(Option<Rate>),
    /// What is seen on this machine's screen.
    Screen(screen::Setup),
    /// The test picture.
    Test(Size, Rate),
    /// There are none, only sound.
    None,
}
