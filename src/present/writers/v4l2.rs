//! A virtual camera (`v4l2loopback`): what somebody sends, as a camera that meeting programs choose from their list.
//!
//! The device is opened once and its format set at once, whatever is sent later: programs list a camera that shows something, and
//! none expects it to change its size. One that keeps a size of its own is given that. `write-v4l2` reads the newest picture off
//! its canvas, as the window does, and writes it; where none comes it writes the last again, for a reader that waits too long
//! takes the camera for broken, and grey before the first. A slow device holds nobody up.

mod frame;
mod stream_on;

use crate::present::canvas::Canvas;
use crate::slot::{Slot, Taken};
use crate::threads::{join, lock};
use eyeline_proto::picture::{Sampling, Size};
use frame::Frames;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use v4l::Device;
use v4l::capability::Flags;
use v4l::format::{Colorspace, FieldOrder, FourCC, Quantization};
use v4l::video::Output as _;
use v4l::video::output::Parameters;

/// Between two pictures that a reader gets, at most.
const REPEAT: Duration = Duration::from_millis(80);

/// What is asked of a device for a size: what most meeting programs send, and all take.
const WANTED: Size = Size { width: 1280, height: 720 };

/// What it says of its rate. Pictures come as they come.
const RATE: u32 = 30;

/// What it takes: planes of luma, blue and red.
const YU12: &[u8; 4] = b"YU12";

/// How a virtual camera is made.
const RECIPE: &str =
    "sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback video_nr=10 card_label=Eyeline exclusive_caps=1";

/// And made anew, where nothing else helps.
const AGAIN: &str = "sudo modprobe -r v4l2loopback; sudo modprobe v4l2loopback video_nr=10 card_label=Eyeline exclusive_caps=1";

/// Why there is no virtual camera. Every text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("there is no {path}; a virtual camera is made by: {recipe}", path = .0.display(), recipe = RECIPE)]
    Missing(PathBuf),
    #[error(
        "{path} may not be opened: you must be in the group video (sudo usermod -aG video $USER, then log in again)",
        path = .0.display()
    )]
    Permission(PathBuf),
    /// What it is called.
    #[error("{path} is {card:?}, which shows no pictures of others; a virtual camera is made by: {recipe}", recipe = RECIPE)]
    NotLoopback { path: PathBuf, card: String },
    #[error(
        "{path} is written to by another program: end that, or, where there is none, load it anew: {again}",
        path = .0.display(),
        again = AGAIN
    )]
    Taken(PathBuf),
    /// What it takes instead.
    #[error("{path} takes no pictures of YU12 with even sides, but {format}; load it anew: {again}", again = AGAIN)]
    Format { path: PathBuf, format: String },
    /// What the system says.
    #[error("{path}: {reason}")]
    System { path: PathBuf, reason: String },
}

/// What is to be seen.
enum Shot {
    Picture(Arc<Canvas>),
    Nothing,
}

/// A virtual camera at work. Dropped: closed.
pub struct VirtualCamera {
    path: PathBuf,
    size: Size,
    shots: Arc<Slot<Shot>>,
    failed: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualCamera {
    /// Opens it, and shows grey. An error says what to do.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let device = Device::with_path(path).map_err(|error| not_opened(path, &error))?;
        let capabilities = device.query_caps().map_err(|error| not_opened(path, &error))?;
        judge(path, &capabilities.driver, &capabilities.card, capabilities.capabilities)?;
        let size = set_format(&device, path)?;
        stream_on::stream_on(&device);
        let (shots, failed) = (Slot::newest(), Arc::<Mutex<Option<Error>>>::default());
        let (theirs, outcome, mut node) = (shots.clone(), failed.clone(), Node { path: path.into(), device });
        let thread = std::thread::Builder::new().name("write-v4l2".into()).spawn(move || {
            if let Err(error) = run(&theirs, size, |frame| node.write(frame)) {
                *lock(&outcome) = Some(error);
                theirs.close();
            }
        });
        let thread = thread.map_err(|error| Error::System { path: path.into(), reason: error.to_string() })?;
        Ok(VirtualCamera { path: path.into(), size, shots, failed, thread: Some(thread) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of what size it is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// A picture is ready on this canvas.
    pub fn show(&self, canvas: &Arc<Canvas>) {
        // One that failed has said so.
        let _ = self.shots.push(Shot::Picture(canvas.clone()));
    }

    /// There is nobody to be seen.
    pub fn show_nothing(&self) {
        let _ = self.shots.push(Shot::Nothing);
    }

    /// Why it is over, once.
    pub fn take_failure(&self) -> Option<Error> {
        lock(&self.failed).take()
    }
}

impl Drop for VirtualCamera {
    fn drop(&mut self) {
        self.shots.close();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// Writes what is to be seen, newest first, and again where nothing new comes.
fn run(shots: &Slot<Shot>, size: Size, mut write: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut frames = Frames::new(size);
    loop {
        write(frames.frame())?;
        match shots.take_until(Instant::now() + REPEAT, Instant::now) {
            Taken::Value(Shot::Picture(canvas)) => {
                let view = canvas.view();
                frames.read(view.pixels(), view.size());
            }
            Taken::Value(Shot::Nothing) => frames.nothing(),
            Taken::TimedOut => {}
            Taken::Closed => return Ok(()),
        }
    }
}

/// The open device.
struct Node {
    path: PathBuf,
    device: Device,
}

impl Node {
    fn write(&mut self, frame: &[u8]) -> Result<(), Error> {
        match self.device.write(frame) {
            // A reader that is behind gets the next.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(not_opened(&self.path, &error)),
            Ok(_) => Ok(()),
        }
    }
}

/// Sets a device's format; of what size its pictures are.
fn set_format(device: &Device, path: &Path) -> Result<Size, Error> {
    let mut format = v4l::Format::new(WANTED.width, WANTED.height, FourCC::new(YU12));
    (format.field_order, format.colorspace) = (FieldOrder::Progressive, Colorspace::SMPTE170M);
    (format.quantization, format.size) = (Quantization::LimitedRange, Sampling::Yuv420.bytes(WANTED) as u32);
    format.stride = WANTED.width;
    let got = device.set_format(&format).map_err(|error| match error.raw_os_error() {
        Some(22) => Error::Taken(path.into()),
        _ => not_opened(path, &error),
    })?;
    let size = adopt(&got)
        .ok_or_else(|| Error::Format { path: path.into(), format: format!("{} of {}x{}", got.fourcc, got.width, got.height) })?;
    // Only what it says of itself; some versions take no rate.
    let _ = device.set_params(&Parameters::with_fps(RATE));
    Ok(size)
}

/// The size of pictures that a device takes, where we can write them: one that is kept by somebody else, or by its own
/// settings, keeps its format whatever it is asked for.
fn adopt(got: &v4l::Format) -> Option<Size> {
    let size = Size { width: got.width, height: got.height };
    let even = size.width.is_multiple_of(2) && size.height.is_multiple_of(2);
    let tight = got.stride == size.width && got.size as usize >= Sampling::Yuv420.bytes(size);
    (got.fourcc == FourCC::new(YU12) && size.is_possible() && even && tight).then_some(size)
}

/// Whether a device of these capabilities takes pictures.
fn judge(path: &Path, driver: &str, card: &str, capabilities: Flags) -> Result<(), Error> {
    if capabilities.contains(Flags::VIDEO_OUTPUT) {
        return Ok(());
    }
    // One that shows what another program writes is a camera and nothing else.
    if driver.contains("loopback") {
        Err(Error::Taken(path.into()))
    } else {
        Err(Error::NotLoopback { path: path.into(), card: card.into() })
    }
}

fn not_opened(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.into()),
        io::ErrorKind::PermissionDenied => Error::Permission(path.into()),
        io::ErrorKind::ResourceBusy => Error::Taken(path.into()),
        // ENXIO, ENODEV: a name without a device; ENOTTY: a file that is none.
        _ if matches!(error.raw_os_error(), Some(6 | 19)) => Error::Missing(path.into()),
        _ if error.raw_os_error() == Some(25) => Error::NotLoopback { path: path.into(), card: "no camera".into() },
        _ => Error::System { path: path.into(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn it_is_grey_before_the_first_picture_and_the_last_is_written_again() {
        let (shots, (to, frames)) = (Slot::newest(), channel());
        let (theirs, size) = (shots.clone(), Size { width: 32, height: 16 });
        let writer = std::thread::spawn(move || {
            run(&theirs, size, |frame| {
                // The test has seen enough.
                let _ = to.send((frame.len(), frame[0]));
                Ok(())
            })
        });
        let next = || frames.recv_timeout(Duration::from_secs(20)).unwrap();
        let grey = next();
        assert_eq!((grey.0, [next(), next()]), (32 * 16 * 3 / 2, [grey; 2]), "though nobody was ever seen");
        let canvas = Arc::new(Canvas::new());
        canvas.rows(1, size, 0..16).unwrap().pixels().fill(0x00ff_ffff);
        shots.push(Shot::Picture(canvas)).unwrap();
        while next().1 != 235 {}
        assert_eq!([next(), next()], [(grey.0, 235); 2], "it is written on, though nothing comes");
        shots.push(Shot::Nothing).unwrap();
        while next() != grey {}
        shots.close();
        assert!(writer.join().unwrap().is_ok());
    }

    #[test]
    fn a_size_that_a_device_keeps_is_taken_where_pictures_can_be_made_to_fit() {
        let format = |width: u32, height: u32, fourcc: &[u8; 4], stride, size| {
            let mut format = v4l::Format::new(width, height, FourCC::new(fourcc));
            (format.stride, format.size) = (stride, size);
            adopt(&format).map(|size| size.to_string())
        };
        assert_eq!(format(640, 480, YU12, 640, 460_800).as_deref(), Some("640x480"));
        assert_eq!(format(640, 480, YU12, 640, 462_848).as_deref(), Some("640x480"), "whole pages");
        for (width, height, fourcc, stride, size) in [
            (640, 480, b"YUYV", 1280, 614_400),
            (640, 480, YU12, 704, 506_880),
            (640, 480, YU12, 640, 460_799),
            (641, 480, YU12, 641, 600_000),
            (640, 481, YU12, 640, 600_000),
            (0, 0, YU12, 0, 0),
        ] {
            assert_eq!(format(width, height, fourcc, stride, size), None, "{width}x{height} {stride} {size}");
        }
    }

    #[test]
    fn what_is_no_virtual_camera_is_told_with_what_to_do() {
        let path = Path::new("/dev/video10");
        let judged = |driver, capabilities| judge(path, driver, "Lid", capabilities).map_err(|error| error.to_string());
        assert_eq!(judged("v4l2 loopback", Flags::VIDEO_OUTPUT | Flags::STREAMING), Ok(()));
        assert!(judged("v4l2 loopback", Flags::VIDEO_CAPTURE).unwrap_err().contains("by another program: end that"));
        assert!(judged("uvcvideo", Flags::VIDEO_CAPTURE).unwrap_err().contains("\"Lid\", which shows no pictures of others"));
        for (number, words) in
            [(2, "modprobe v4l2loopback video_nr=10"), (13, "group video"), (16, "end that"), (25, "no camera"), (5, "error 5")]
        {
            let error = not_opened(path, &io::Error::from_raw_os_error(number)).to_string();
            assert!(error.contains(words) && error.contains("/dev/video10"), "{number}: {error}");
        }
        let missing = VirtualCamera::open(Path::new("/nonexistent/video10")).err().unwrap().to_string();
        assert!(missing.contains("exclusive_caps=1"), "{missing}");
    }
}
