//! Where pictures come from, found out about and not started.

use crate::capture::camera;
use crate::capture::file;
use crate::capture::file::address::Connection;
use eyeline_proto::picture::Size;
use std::sync::{Arc, Mutex};

/// What to open, and where that camera was seen last: it may come back elsewhere while nobody watches.
pub type SharedPlan = Arc<Mutex<camera::Plan>>;

/// Where pictures come from, made ready.
pub enum Pictures {
    Camera(SharedPlan),
    Film(file::Plan),
    /// Live, from an address: connected until it is started.
    Address {
        connection: Mutex<Option<Box<Connection>>>,
        size: Option<Size>,
        channels: u8,
    },
    Stdin(Option<(u32, u32)>),
    Test(Size, (u32, u32)),
    None,
}
