//! Where buffers come from: nokhwa, and for what nokhwa refuses, the V4L2 library underneath it.
//!
//! nokhwa 0.10 cannot open a camera at a rate that is no whole number (a capture stick at 59.94) or whose driver rounds
//! what it is asked for; such a mode is read directly. Both keep the driver's four buffers and both are broken for good by
//! any error while waiting (the library queues a buffer the driver still owns), so after an error the stream is made anew:
//! [`Source::restart`]. Both wait without a limit; `watchdog` sees to that.

use std::time::{Duration, Instant, SystemTime};

use nokhwa::utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution};
use v4l::buffer::{Flags, Type};
use v4l::io::traits::CaptureStream;
use v4l::prelude::MmapStream;

use super::super::stamp;
use super::devices::{self, Layout, Node};
use super::modes::{Format, Mode};

/// Why no buffer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The device is no longer there (ENODEV, ENXIO, or its node is gone).
    Gone,
    /// Another program streams from it (EBUSY).
    Busy,
    /// Anything else; the stream may work again when restarted.
    Failed(String),
}

impl Broken {
    fn of_text(text: String) -> Broken {
        let has = |code: i32| text.contains(&format!("(os error {code})"));
        match () {
            () if has(nix::libc::ENODEV) || has(nix::libc::ENXIO) || has(nix::libc::ENOENT) => Broken::Gone,
            () if has(nix::libc::EBUSY) => Broken::Busy,
            () => Broken::Failed(text),
        }
    }

    fn of_io(error: &std::io::Error) -> Broken {
        Broken::of_text(error.to_string())
    }
}

/// One buffer as the driver filled it.
pub(super) struct Filled<'a> {
    /// All of the buffer where its true length is not known (nokhwa), else what the driver used of it.
    pub bytes: &'a [u8],
    /// When the driver says it was caught.
    pub captured: Instant,
    /// The driver itself calls it corrupt.
    pub corrupt: bool,
}

/// Buffers of a streaming camera, oldest first.
pub(super) trait Source {
    /// Waits for the next buffer, without a limit, and shows it to `look`.
    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> Result<(), Broken>;
    /// Makes the stream anew.
    fn restart(&mut self) -> Result<(), Broken>;
    /// Pictures the driver had no buffer for, where it says.
    fn missed(&self) -> Option<u64>;
}

/// Sets `mode` and streams: through nokhwa where it can, else directly.
pub(super) fn open(node: Node, mode: &Mode) -> Result<(Box<dyn Source>, Layout), Broken> {
    // nokhwa reads the current format and rate before it sets them, and gives up on one it does not know: set them first.
    let layout = devices::preset(node, mode).map_err(|error| Broken::of_io(&error))?;
    if let Some(fps) = mode.rate.whole() {
        match Nokhwa::open(node, mode, fps) {
            Ok(source) => return Ok((Box::new(source), layout)),
            Err(Broken::Failed(why)) => tracing::debug!("nokhwa does not open {node} as {mode} ({why}); reading it directly"),
            Err(gone_or_busy) => return Err(gone_or_busy),
        }
    }
    let (source, layout) = Direct::open(node, mode)?;
    Ok((Box::new(source), layout))
}

struct Nokhwa {
    camera: nokhwa::Camera,
}

impl Nokhwa {
    fn open(node: Node, mode: &Mode, fps: u32) -> Result<Self, Broken> {
        let format = match mode.format {
            Format::Mjpeg => FrameFormat::MJPEG,
            Format::Yuyv => FrameFormat::YUYV,
            Format::Nv12 => FrameFormat::NV12,
        };
        let exact = CameraFormat::new(Resolution::new(mode.size.width, mode.size.height), format, fps);
        let request = RequestedFormat::with_formats(RequestedFormatType::Exact(exact), std::slice::from_ref(&format));
        let broken = |error: nokhwa::NokhwaError| Broken::of_text(error.to_string());
        let mut camera = nokhwa::Camera::new(CameraIndex::Index(node.0), request).map_err(broken)?;
        camera.open_stream().map_err(broken)?;
        Ok(Nokhwa { camera })
    }
}

impl Source for Nokhwa {
    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> Result<(), Broken> {
        let buffer = self.camera.frame().map_err(|error| Broken::of_text(error.to_string()))?;
        // Wall clock, which may be set at any moment: turned into an age at once.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let captured = stamp::moment(buffer.capture_timestamp(), wall, Instant::now());
        look(Filled { bytes: buffer.buffer(), captured, corrupt: false });
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Broken> {
        let again = self.camera.stop_stream().and_then(|()| self.camera.open_stream());
        again.map_err(|error| Broken::of_text(error.to_string()))
    }

    fn missed(&self) -> Option<u64> {
        None
    }
}

struct Direct {
    device: v4l::Device,
    stream: Option<MmapStream<'static>>,
    last_sequence: Option<u32>,
    missed: u64,
}

impl Direct {
    fn open(node: Node, mode: &Mode) -> Result<(Self, Layout), Broken> {
        let opened = devices::guarded(|| {
            let device = v4l::Device::with_path(node.path())?;
            let layout = devices::set_mode(&device, mode)?;
            let stream = MmapStream::new(&device, Type::VideoCapture)?;
            Ok((Direct { device, stream: Some(stream), last_sequence: None, missed: 0 }, layout))
        });
        opened.map_err(|error| Broken::of_io(&error))
    }
}

impl Source for Direct {
    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> Result<(), Broken> {
        let Some(stream) = &mut self.stream else { return Err(Broken::Failed("the stream is not started".to_string())) };
        let (bytes, meta) = stream.next().map_err(|error| Broken::of_io(&error))?;
        let gap = self.last_sequence.map_or(0, |last| meta.sequence.wrapping_sub(last).wrapping_sub(1));
        // A camera that starts counting again has not missed four thousand million pictures.
        self.missed += if gap < u32::MAX / 2 { u64::from(gap) } else { 0 };
        self.last_sequence = Some(meta.sequence);
        let used = if meta.bytesused == 0 { bytes.len() } else { bytes.len().min(meta.bytesused as usize) };
        let captured = stamp::moment(Some(Duration::from(meta.timestamp)), stamp::monotonic(), Instant::now());
        look(Filled { bytes: &bytes[..used], captured, corrupt: meta.flags.contains(Flags::ERROR) });
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Broken> {
        self.stream = None;
        self.last_sequence = None;
        let stream = MmapStream::new(&self.device, Type::VideoCapture).map_err(|error| Broken::of_io(&error))?;
        self.stream = Some(stream);
        Ok(())
    }

    fn missed(&self) -> Option<u64> {
        Some(self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_number() {
        let of = |code| Broken::of_io(&std::io::Error::from_raw_os_error(code));
        assert_eq!((of(nix::libc::ENODEV), of(nix::libc::EBUSY)), (Broken::Gone, Broken::Busy));
        assert_eq!(of(nix::libc::ENOENT), Broken::Gone);
        assert!(matches!(of(nix::libc::EINTR), Broken::Failed(_)));
        assert!(matches!(Broken::of_text("CameraFormat: Failed to Fufill".into()), Broken::Failed(_)));
    }
}
