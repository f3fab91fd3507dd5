//! The camera of `send`: find it, choose a mode, stream it into a slot where the newest picture wins.
//!
//! [`Camera::probe`] looks without streaming (the light stays off) and answers with a [`Setup`]; [`Camera::open`] streams.
//! Inside, one thread does nothing but wait for buffers (`reader`), a second watches that they come (`watchdog`): the libraries
//! below wait without a limit. What goes wrong and may pass (errors, stalls, damaged pictures) is mended here and counted;
//! what does not (unplugged) ends the camera: [`Camera::failed`] says why and the slot is closed. The app may then probe and
//! open anew, with a new slot. MJPEG goes on as it came, raw formats as planes; encoding is somebody else's.

mod controls;
mod devices;
mod health;
mod mjpeg;
mod modes;
mod query;
mod raw;
mod reader;
mod source;
mod watchdog;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use controls::{Controls, Exposure, Focus, Offers, Zoom};
pub use devices::Description;
pub use modes::{Format, Mode};
pub use query::Range;

use crate::slot::Slot;
use controls::Settings;
use devices::Node;
use eyeline_proto::picture::{Picture, Size};
use eyeline_proto::rate::Rate;
use modes::Wish;

/// Modes tried in turn when a driver refuses what it offered.
const MAX_TRIES: usize = 8;

/// Which camera, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The number of its node, a part of its name (in any case), or a path; `None` is the first that can be used.
    pub which: Option<String>,
    /// The nearest size is taken.
    pub size: Option<Size>,
    /// The nearest rate is taken.
    pub fps: Option<u32>,
    /// What is set beside these.
    pub controls: Controls,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// E.g. "HD Webcam (/dev/video0)".
    pub device: String,
    /// Of every picture.
    pub size: Size,
    /// Pictures a second, rounded.
    pub fps: u32,
    /// Pictures a second as the driver says it.
    pub rate: Rate,
    /// What the camera delivers.
    pub format: Format,
    /// Half a sentence for the user.
    pub why: String,
}

impl Chosen {
    fn new(device: &str, mode: &Mode, why: String) -> Chosen {
        Chosen {
            device: device.to_string(),
            size: mode.size,
            fps: mode.rate.rounded(),
            rate: mode.rate,
            format: mode.format,
            why,
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} at {} fps ({})", self.device, self.format, self.size, self.rate, self.why)
    }
}

/// Why there is no camera, or no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing that captures.
    #[error("no camera found ({seen}); plug one in, or send a test picture with `--test`")]
    NoCamera {
        /// Which video devices there are instead.
        seen: String,
    },
    /// `--camera` names none.
    #[error("there is no camera `{which}`; there is: {there} (`--list` shows more, `--test` needs none)")]
    Unknown {
        /// What was asked for.
        which: String,
        /// The cameras there are.
        there: String,
    },
    /// May not be opened.
    #[error(
        "no permission to open {device}: add yourself to the group `video` (`sudo usermod -aG video $USER`) and log in again"
    )]
    Permission { device: String },
    /// Another program streams from it.
    #[error("{device} is busy: {holder} uses it; close that, or choose another with `--camera`")]
    Busy {
        device: String,
        /// Who, e.g. "cheese (pid 123)".
        holder: String,
    },
    /// It offers nothing we can use.
    #[error("{device} offers no MJPEG, YUYV or NV12 (it has: {offered}); choose another with `--camera`, or use `--test`")]
    NoMode { device: String, offered: String },
    /// It cannot be set as the user wishes.
    #[error("{device} {why}")]
    Control {
        device: String,
        /// What it lacks and what could be, e.g. "takes --zoom 100 to 500 (1x to 5x), not 7x".
        why: String,
    },
    /// It was pulled out.
    #[error("{device} is unplugged; plug it in again")]
    Unplugged { device: String },
    /// Its driver no longer answers.
    #[error("the driver of {device} hangs; unplug the camera and plug it in again")]
    Hangs { device: String },
    /// Anything else a driver says.
    #[error("cannot {what} {device}: {cause}; try unplugging it and plugging it in again, or another `--size` or `--fps`")]
    Driver {
        device: String,
        /// What was tried, e.g. "open".
        what: &'static str,
        /// The driver's words.
        cause: String,
    },
}

impl Error {
    /// The camera is there, and something else keeps it from being used.
    pub fn is_of_one_that_is_there(&self) -> bool {
        !matches!(self, Error::NoCamera { .. } | Error::Unknown { .. } | Error::Unplugged { .. })
    }

    fn of_io(device: &str, node: Node, what: &'static str, error: &io::Error) -> Error {
        let device = device.to_string();
        match error.raw_os_error() {
            Some(nix::libc::EACCES | nix::libc::EPERM) => Error::Permission { device },
            Some(nix::libc::EBUSY) => Error::busy(&device, node),
            Some(nix::libc::ENODEV | nix::libc::ENXIO | nix::libc::ENOENT) => Error::Unplugged { device },
            _ => Error::Driver { device, what, cause: error.to_string() },
        }
    }

    /// Its driver does not take what was asked for with this flag.
    fn of_control(device: &str, node: Node, flag: &str, error: &io::Error) -> Error {
        // Of a control the other codes mean other things: one that is not to be set now, or that somebody else holds.
        match Error::of_io(device, node, "set", error) {
            gone @ Error::Unplugged { .. } => gone,
            _ => {
                let why = format!("refuses {flag} ({error}): leave it out, or try another value");
                Error::Control { device: device.to_string(), why }
            }
        }
    }

    fn busy(device: &str, node: Node) -> Error {
        let holder = devices::holder(&node.path()).unwrap_or_else(|| "another program".to_string());
        Error::Busy { device: device.to_string(), holder }
    }
}

/// A camera and the mode it will be opened in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    node: Node,
    /// The chosen mode, then what to fall back to.
    modes: Vec<Mode>,
    chosen: Chosen,
    settings: Settings,
    again: Request,
}

impl Setup {
    /// Finds this very camera again after it was unplugged, wherever it comes back: by its lasting name.
    pub fn again(&self) -> &Request {
        &self.again
    }

    /// Its device.
    pub fn path(&self) -> PathBuf {
        self.node.path()
    }

    /// What will be opened, if the driver keeps its word.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pictures given to the slot.
    pub pictures: u64,
    /// Left out: damaged, cut short, or of the wrong size.
    pub damaged: u64,
    /// Lost in the driver for want of a buffer, where it says.
    pub missed: Option<u64>,
    /// How often the stream was made anew after an error or a stall.
    pub reopened: u64,
}

/// Every capture device, for `--list`, also those that cannot be used now (with a note why).
pub fn list() -> Vec<Description> {
    devices::list()
}

/// A streaming camera. Dropping it stops it; a driver that does not let go within 200 ms is left behind.
pub struct Camera {
    chosen: Chosen,
    watch: watchdog::Watchdog,
}

impl Camera {
    /// Chooses a camera and its mode and sets it, without streaming.
    pub fn probe(request: &Request) -> Result<Setup, Error> {
        let wish = Wish { size: request.size, fps: request.fps };
        let mut trouble = None;
        for candidate in candidates(request, wish)? {
            match candidate.and_then(|(node, description)| setup(node, &description, request)) {
                Ok(setup) => {
                    if let Some(skipped) = &trouble {
                        tracing::warn!("taking another camera: {skipped}");
                    }
                    return Ok(setup);
                }
                // Another could be set so, and shows something else.
                Err(error @ Error::Control { .. }) => return Err(error),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(trouble.unwrap_or_else(|| match &request.which {
            Some(which) => Error::Unknown { which: which.clone(), there: names(&list()) },
            None => Error::NoCamera { seen: seen(&devices::nodes()) },
        }))
    }

    /// Opens and streams into `pictures`; returns once the camera streams, or cannot.
    pub fn open(setup: &Setup, pictures: Arc<Slot<Picture>>) -> Result<Camera, Error> {
        let (watch, chosen) = watchdog::Watchdog::start(setup, pictures)?;
        if chosen != setup.chosen {
            tracing::info!("camera {chosen}");
        }
        Ok(Camera { chosen, watch })
    }

    /// What is streamed.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.watch.counters()
    }

    /// Why the camera is gone for good, once it is; the slot is closed too.
    pub fn failed(&self) -> Option<Error> {
        self.watch.failed()
    }
}

type Candidate = Result<(Node, Description), Error>;

/// The cameras `request` may mean, in order.
fn candidates(request: &Request, wish: Wish) -> Result<Vec<Candidate>, Error> {
    let describe = |node: Node| Some(devices::describe(node, wish)?.map(|description| (node, description)));
    let all = || devices::nodes().into_iter().filter_map(describe);
    let Some(which) = &request.which else { return Ok(all().collect()) };
    let unknown = || Error::Unknown { which: which.clone(), there: names(&list()) };
    if which.starts_with('/') {
        return Ok(Node::of_path(which.as_ref()).and_then(describe).into_iter().collect());
    }
    if let Ok(number) = which.parse() {
        let node = devices::nodes().into_iter().find(|node| *node == Node(number)).ok_or_else(unknown)?;
        return Ok(describe(node).into_iter().collect());
    }
    // One that cannot be opened has the name the system gave it.
    Ok(devices::nodes()
        .into_iter()
        .filter_map(|node| {
            let candidate = describe(node)?;
            let name = candidate.as_ref().map_or_else(|_| devices::label(node), |(_, d)| d.name.clone());
            let by_id = candidate.as_ref().ok().and_then(|(_, d)| d.by_id.as_ref()?.to_str().map(str::to_string));
            means(which, &name, by_id.as_deref()).then_some(candidate)
        })
        .collect())
}

fn means(which: &str, name: &str, by_id: Option<&str>) -> bool {
    let which = which.to_lowercase();
    name.to_lowercase().contains(&which) || by_id.is_some_and(|id| id.to_lowercase().contains(&which))
}

/// The first of a camera's modes that its driver takes, and those after it.
fn setup(node: Node, description: &Description, request: &Request) -> Result<Setup, Error> {
    let wish = Wish { size: request.size, fps: request.fps };
    let device = format!("{} ({node})", description.name);
    let controls = request.controls;
    let settings =
        Settings::new(&controls, &description.controls).map_err(|why| Error::Control { device: device.clone(), why })?;
    let mut modes = modes::ranked(&description.modes, wish);
    let Some(first) = modes.first().copied() else {
        let offered = description.note.clone().unwrap_or_else(|| devices::few(&description.other_formats));
        return Err(Error::NoMode { device, offered });
    };
    let mut refusal = None;
    while let Some(mode) = modes.first().copied().filter(|_| description.modes.len() - modes.len() < MAX_TRIES) {
        match devices::preset(node, &mode) {
            Ok(_) => {
                let why = match &refusal {
                    None => modes::reason(&mode, &description.modes, wish),
                    Some(_) => format!("its driver refuses {first}"),
                };
                modes.truncate(MAX_TRIES);
                let lasting = description.by_id.as_ref().and_then(|link| link.to_str()).unwrap_or(&description.name);
                let again = Request { which: Some(lasting.to_string()), size: wish.size, fps: wish.fps, controls };
                devices::set(node, &settings).map_err(|(flag, error)| Error::of_control(&device, node, flag, &error))?;
                return Ok(Setup { node, chosen: Chosen::new(&device, &mode, why), modes, settings, again });
            }
            Err(error) => match Error::of_io(&device, node, "set a mode of", &error) {
                driver @ Error::Driver { .. } => refusal = refusal.or(Some(driver)),
                other => return Err(other),
            },
        }
        modes.remove(0);
    }
    Err(refusal.unwrap_or(Error::NoMode { device, offered: String::new() }))
}

fn names(cameras: &[Description]) -> String {
    let names: Vec<String> = cameras.iter().map(|camera| format!("{} ({})", camera.name, camera.path.display())).collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

fn seen(nodes: &[Node]) -> String {
    let paths: Vec<String> = nodes.iter().map(Node::to_string).collect();
    if paths.is_empty() { "there is no /dev/video*".to_string() } else { format!("{} captures nothing", paths.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_found_by_a_part_of_either_of_its_names() {
        assert!(means("c920", "HD Pro Webcam C920", None));
        assert!(means("046d", "Webcam", Some("/dev/v4l/by-id/usb-046d_HD-video-index0")));
        assert!(!means("brio", "HD Pro Webcam C920", Some("/dev/v4l/by-id/usb-046d")));
    }

    #[test]
    fn every_error_says_what_to_do() {
        let device = || "Cam (/dev/video0)".to_string();
        let errors = [
            Error::NoCamera { seen: seen(&[]) },
            Error::Unknown { which: "x".into(), there: names(&[]) },
            Error::Permission { device: device() },
            Error::Busy { device: device(), holder: "cheese (pid 7)".into() },
            Error::NoMode { device: device(), offered: "H264".into() },
            Error::Control { device: device(), why: "has nothing to set with --zoom: leave it out".into() },
            Error::Unplugged { device: device() },
            Error::Hangs { device: device() },
            Error::Driver { device: device(), what: "open", cause: "Input/output error (os error 5)".into() },
        ];
        let cures = [
            "--test",
            "--list",
            "usermod -aG video",
            "close that",
            "--camera",
            "leave it out",
            "plug it in",
            "unplug",
            "another `--size`",
        ];
        for (error, cure) in errors.iter().zip(cures) {
            assert!(error.to_string().contains(cure), "{error}");
        }
    }

    #[test]
    fn the_kernels_refusals_are_told_apart() {
        let of = |code| Error::of_io("Cam", Node(0), "open", &io::Error::from_raw_os_error(code));
        assert!(matches!(of(nix::libc::EACCES), Error::Permission { .. }));
        assert!(matches!(of(nix::libc::EBUSY), Error::Busy { .. }));
        assert!(matches!(of(nix::libc::ENODEV), Error::Unplugged { .. }));
        assert!(matches!(of(nix::libc::EIO), Error::Driver { .. }));
    }
}
