//! Tells a loopback device who writes to it.
//!
//! **Problem.** `v4l2loopback` 0.12.7 takes pictures from whoever calls `write`, and forgets that the node takes any; when
//! the file is closed it remembers only of one that it knows for a writer. It knows one by `VIDIOC_STREAMON`. So a node that
//! was written to without it was a camera for ever, and took no second writer before the module was loaded anew (its issues 442
//! and 470).
//!
//! **Choice.** That one call, bare, before the first `write`. Versions for which it means nothing without buffers refuse it, which
//! changes nothing for them. **Rejected.** The `v4l` crate's streams, which make the same call: they ask for buffers first, and
//! newer versions take no `write` from who has some.

#![allow(unsafe_code)] // one `ioctl`

use std::ffi::c_int;
use v4l::Device;

/// `V4L2_BUF_TYPE_VIDEO_OUTPUT`.
const OUTPUT: c_int = 2;

mod raw {
    nix::ioctl_write_ptr!(stream_on, b'V', 18, std::ffi::c_int);
}

/// From now on it is known for its writer, where it has to be told.
pub fn stream_on(device: &Device) {
    let handle = device.handle();
    // SAFETY: VIDIOC_STREAMON reads one int, which lives until it returns, and writes nothing. The file is open as long as
    // `handle` is held; of what it is the kernel makes sure.
    if let Err(error) = unsafe { raw::stream_on(handle.fd(), &OUTPUT) } {
        tracing::debug!("VIDIOC_STREAMON: {error}");
    }
}
