//! A virtual camera (`v4l2loopback`): what somebody sends, as a camera that meeting programs choose from their list.
//!
//! The device is opened once and its format set once, by the first picture. `write-v4l2` reads the newest picture off its canvas, as the window does, and writes it;
//! where none comes it writes the last again, for a reader that waits too long takes the camera for broken. A slow device holds
//! nobody up.

mod frame;
mod stream_on;

use crate::present::canvas::Canvas;
use crate::slot::{Slot, Taken};
use crate::threads::{join, lock};
use eyeline_proto::picture::Size;
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

/// What it says of its rate. Pictures come as they come.
const RATE: u32 = 30;

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
    #[error("{path} does not take pictures of {size} (YU12); load it anew: {again}", again = AGAIN)]
    Format { path: PathBuf, size: Size },
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
    shots: Arc<Slot<Shot>>,
    failed: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualCamera {
    /// Opens it. Readers see it from the first picture on.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let device = Device::with_path(path).map_err(|error| not_opened(path, &error))?;
        let capabilities = device.query_caps().map_err(|error| not_opened(path, &error))?;
        judge(path, &capabilities.driver, &capabilities.card, capabilities.capabilities)?;
        let (shots, failed) = (Slot::newest(), Arc::<Mutex<Option<Error>>>::default());
        let (theirs, outcome, mut node) = (shots.clone(), failed.clone(), Node { path: path.into(), device, size: None });
        let thread = std::thread::Builder::new().name("write-v4l2".into()).spawn(move || {
            if let Err(error) = run(&theirs, |size, frame| node.write(size, frame)) {
                *lock(&outcome) = Some(error);
                theirs.close();
            }
        });
        let thread = thread.map_err(|error| Error::System { path: path.into(), reason: error.to_string() })?;
        Ok(VirtualCamera { path: path.into(), shots, failed, thread: Some(thread) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
fn run(shots: &Slot<Shot>, mut write: impl FnMut(Size, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut frames = Frames::default();
    loop {
        match shots.take_until(Instant::now() + REPEAT, Instant::now) {
            Taken::Value(Shot::Picture(canvas)) => {
                let view = canvas.view();
                frames.picture(view.pixels(), view.size());
            }
            Taken::Value(Shot::Nothing) => frames.nothing(),
            Taken::TimedOut => {}
            Taken::Closed => return Ok(()),
        }
        if let Some((size, frame)) = frames.last() {
            write(size, frame)?;
        }
    }
}

/// The open device.
struct Node {
    path: PathBuf,
    device: Device,
    /// Once its format is set.
    size: Option<Size>,
}

impl Node {
    fn write(&mut self, size: Size, frame: &[u8]) -> Result<(), Error> {
        if self.size.is_none() {
            self.set_format(size)?;
        }
        match self.device.write(frame) {
            // A reader that is behind gets the next.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(not_opened(&self.path, &error)),
            Ok(_) => Ok(()),
        }
    }

    fn set_format(&mut self, size: Size) -> Result<(), Error> {
        let yu12 = FourCC::new(b"YU12");
        let mut format = v4l::Format::new(size.width, size.height, yu12);
        (format.field_order, format.colorspace) = (FieldOrder::Progressive, Colorspace::SMPTE170M);
        (format.quantization, format.size) = (Quantization::LimitedRange, size.width * size.height * 3 / 2);
        format.stride = size.width;
        let got = self.device.set_format(&format).map_err(|error| match error.raw_os_error() {
            Some(22) => Error::Taken(self.path.clone()),
            _ => not_opened(&self.path, &error),
        })?;
        if (got.width, got.height, got.fourcc) != (size.width, size.height, yu12) {
            return Err(Error::Format { path: self.path.clone(), size });
        }
        // Only what it says of itself; some versions take no rate.
        let _ = self.device.set_params(&Parameters::with_fps(RATE));
        stream_on::stream_on(&self.device);
        self.size = Some(size);
        Ok(())
    }
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
    fn the_last_picture_is_written_again_and_nothing_before_the_first() {
        let (shots, (to, frames)) = (Slot::newest(), channel());
        let theirs = shots.clone();
        let writer = std::thread::spawn(move || {
            run(&theirs, |size, frame| {
                // The test has seen enough.
                let _ = to.send((size, frame[0]));
                Ok(())
            })
        });
        let canvas = Arc::new(Canvas::new());
        shots.push(Shot::Nothing).unwrap();
        shots.push(Shot::Picture(canvas.clone())).unwrap();
        let size = Size { width: 32, height: 16 };
        canvas.rows(1, size, 0..16).unwrap().pixels().fill(0x00ff_ffff);
        shots.push(Shot::Picture(canvas)).unwrap();
        let next = || frames.recv_timeout(Duration::from_secs(20)).unwrap();
        let seen: Vec<_> = (0..4).map(|_| next()).collect();
        assert_eq!(seen, [(size, 235); 4], "it is written on, though nothing comes");
        shots.push(Shot::Nothing).unwrap();
        while next().1 == 235 {}
        shots.close();
        assert!(writer.join().unwrap().is_ok());
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
