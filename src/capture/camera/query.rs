//! What numbers a camera's control takes: one question to its driver.
//!
//! The V4L2 library only asks for all controls at once, and panics at the first of a type that it does not know (a rectangle, which
//! webcams have since Linux 6.16), so that such a camera would have none.

#![allow(unsafe_code)] // one `ioctl`

use v4l::Device;
use v4l::control::Flags;
use v4l::v4l_sys::v4l2_query_ext_ctrl;
use v4l::v4l2::{self, vidioc};

/// Numbers that a control takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub min: i64,
    pub max: i64,
    /// From one to the next; at least 1.
    pub step: i64,
}

/// What this control takes, where the camera has it and it can be set.
pub(super) fn range(device: &Device, id: u32) -> Option<Range> {
    // SAFETY: numbers, and bytes of a name: all zero is a value of it.
    let mut query: v4l2_query_ext_ctrl = unsafe { std::mem::zeroed() };
    query.id = id;
    // SAFETY: the handle is open, and the request is of this very structure, which lives until it returns.
    let asked = unsafe { v4l2::ioctl(device.handle().fd(), vidioc::VIDIOC_QUERY_EXT_CTRL, (&raw mut query).cast()) };
    let settable = !Flags::from(query.flags).intersects(Flags::DISABLED | Flags::READ_ONLY);
    let range = Range { min: query.minimum, max: query.maximum, step: i64::try_from(query.step).unwrap_or(1).max(1) };
    asked.ok().filter(|()| settable && range.min <= range.max).map(|()| range)
}
