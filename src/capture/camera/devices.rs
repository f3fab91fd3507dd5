//! The cameras of this machine: which there are, what each can do, who holds one, and setting a mode before streaming.
//!
//! Nothing here streams, so the camera's light stays off. Nodes are found by name in /dev (a camera's metadata node answers
//! "no capture" and is left out), asked through the V4L2 library nokhwa itself is built on, because nokhwa's own list panics
//! on an odd name, invents rates and sizes, and refuses a camera for the format it was left in. That library panics where a
//! driver gives a number it does not know; such a panic is caught and told as the device's error.

use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, FourCC, Fraction};

use super::Error;
use super::controls::{Offers, Settings};
use super::modes::{self, Format, Mode, Steps, Wish};
use super::raw::Colours;
use eyeline_proto::picture::Size;
use eyeline_proto::rate::Rate;

/// More modes than any camera has; a driver that offers more is not asked on.
const MAX_MODES: usize = 2000;

/// A device node `/dev/videoN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(pub u32);

impl Node {
    pub fn path(self) -> PathBuf {
        PathBuf::from(format!("/dev/video{}", self.0))
    }

    /// The node of a path like /dev/video0, or of a link to one.
    pub fn of_path(path: &Path) -> Option<Node> {
        let direct = |path: &Path| path.parent()?.eq(Path::new("/dev")).then(|| node_number(path.file_name()?.to_str()?))?;
        direct(path).or_else(|| direct(&path.canonicalize().ok()?)).map(Node)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/video{}", self.0)
    }
}

fn node_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("video")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Every video node, in order of its number.
pub(super) fn nodes() -> Vec<Node> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut nodes: Vec<Node> = entries.filter_map(|entry| node_number(entry.file_name().to_str()?)).map(Node).collect();
    nodes.sort();
    nodes
}

/// What `--list` says of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its node, e.g. /dev/video0.
    pub path: PathBuf,
    /// What it calls itself.
    pub name: String,
    /// The name that stays when nodes are numbered anew, where udev made one.
    pub by_id: Option<PathBuf>,
    /// What it can do and Eyeline can use.
    pub modes: Vec<Mode>,
    /// Formats it has that Eyeline does not use.
    pub other_formats: Vec<String>,
    /// What can be set of it beside its mode.
    pub controls: Offers,
    /// Why it cannot be used now, or who uses it.
    pub note: Option<String>,
}

impl fmt::Display for Description {
    /// `Name (/dev/video0)`, then one indented line for each size of each format and for each control.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.path.display())?;
        if let Some(by_id) = &self.by_id {
            write!(f, "\n    {}", by_id.display())?;
        }
        let mut shown: Vec<(Format, Size)> = Vec::new();
        for mode in &self.modes {
            if shown.contains(&(mode.format, mode.size)) {
                continue;
            }
            shown.push((mode.format, mode.size));
            let same = |other: &&Mode| (other.format, other.size) == (mode.format, mode.size);
            let mut rates: Vec<Rate> = self.modes.iter().filter(same).map(|mode| mode.rate).collect();
            rates.sort_by(|a, b| b.cmp(a));
            let rates: Vec<String> = rates.iter().map(Rate::to_string).collect();
            write!(f, "\n    {:<5} {:<9} {} fps", mode.format.to_string(), mode.size.to_string(), rates.join(", "))?;
        }
        write!(f, "{}", self.controls)?;
        if !self.other_formats.is_empty() {
            write!(f, "\n    not used: {}", few(&self.other_formats))?;
        }
        if let Some(note) = &self.note {
            write!(f, "\n    {note}")?;
        }
        Ok(())
    }
}

/// The first of a long list of names, and how many more.
pub(super) fn few(names: &[String]) -> String {
    const FEW: usize = 8;
    match names.len().checked_sub(FEW) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..FEW].join(", ")),
    }
}

/// Runs `work` on the V4L2 library, whose panics become errors.
pub(super) fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(io::Error::other("the driver gave an answer the V4L2 library does not understand")))
}

/// Asks one node. `None` where it is no camera (metadata, output, codec).
pub(super) fn describe(node: Node, wish: Wish) -> Option<Result<Description, Error>> {
    let asked = guarded(|| {
        let device = Device::with_path(node.path())?;
        let caps = device.query_caps()?;
        let flags = caps.capabilities;
        use v4l::capability::Flags;
        let camera = flags.is_empty() || flags.intersects(Flags::VIDEO_CAPTURE | Flags::VIDEO_CAPTURE_MPLANE);
        if !camera || flags.intersects(Flags::VIDEO_M2M | Flags::VIDEO_M2M_MPLANE) {
            return Ok(None);
        }
        let (modes, other_formats) = offers(&device, wish)?;
        if flags.is_empty() && modes.is_empty() {
            return Ok(None);
        }
        let note = flags
            .contains(Flags::VIDEO_CAPTURE_MPLANE)
            .then(|| "its driver speaks only V4L2's multi-planar interface, which is not supported".to_string());
        let (path, name, by_id, controls) = (node.path(), tidy(&caps.card), by_id(node), Offers::of(&device));
        Ok(Some(Description { path, name, by_id, modes, other_formats, controls, note }))
    });
    match asked {
        Ok(description) => description.map(Ok),
        Err(error) => Some(Err(Error::of_io(&label(node), node, "open", &error))),
    }
}

/// Every camera, also those that cannot be opened.
pub(super) fn list() -> Vec<Description> {
    let described = nodes().into_iter().filter_map(|node| {
        Some(match describe(node, Wish::default())? {
            Ok(mut description) => {
                let in_use = || holder(&node.path()).map(|holder| format!("in use by {holder}"));
                description.note = description.note.or_else(in_use);
                description
            }
            Err(error) => Description {
                path: node.path(),
                name: sys_name(node).unwrap_or_else(|| "camera".to_string()),
                by_id: by_id(node),
                modes: Vec::new(),
                other_formats: Vec::new(),
                controls: Offers::default(),
                note: Some(error.to_string()),
            },
        })
    });
    described.collect()
}

/// How a device is named to people before it could be asked for its name.
pub(super) fn label(node: Node) -> String {
    match sys_name(node) {
        Some(name) => format!("{name} ({node})"),
        None => node.to_string(),
    }
}

fn sys_name(node: Node) -> Option<String> {
    let name = std::fs::read_to_string(format!("/sys/class/video4linux/video{}/name", node.0)).ok()?;
    Some(tidy(name.trim())).filter(|name| !name.is_empty())
}

/// The first of udev's stable names that leads to `node`.
fn by_id(node: Node) -> Option<PathBuf> {
    let links = std::fs::read_dir("/dev/v4l/by-id").ok()?.flatten().map(|entry| entry.path());
    let mut same: Vec<PathBuf> = links.filter(|link| Node::of_path(link) == Some(node)).collect();
    same.sort();
    same.into_iter().next()
}

/// What the driver offers: the modes we can use, and the names of other formats.
fn offers(device: &Device, wish: Wish) -> io::Result<(Vec<Mode>, Vec<String>)> {
    let (mut offered, mut others) = (Vec::new(), Vec::new());
    for description in device.enum_formats()? {
        match Format::of_fourcc(&description.fourcc.repr) {
            Some(format) => offered.extend(modes_of(device, format, wish)),
            None => others.push(fourcc_name(description.fourcc.repr)),
        }
    }
    offered.truncate(MAX_MODES);
    Ok((offered, others))
}

/// A format's code as people write it; the big-endian twin of one has bit 31 set.
fn fourcc_name(mut code: [u8; 4]) -> String {
    let big_endian = code[3] & 0x80 != 0;
    code[3] &= 0x7F;
    format!("{}{}", String::from_utf8_lossy(&code).trim_end(), if big_endian { "-BE" } else { "" })
}

/// UVC drivers say "Name: Name"; once is enough.
fn tidy(name: &str) -> String {
    match name.split_once(": ") {
        Some((first, second)) if !second.is_empty() && first.starts_with(second) => first.to_string(),
        _ => name.trim().to_string(),
    }
}

fn modes_of(device: &Device, format: Format, wish: Wish) -> Vec<Mode> {
    let fourcc = FourCC::new(format.fourcc());
    let mut sizes = Vec::new();
    for offer in device.enum_framesizes(fourcc).unwrap_or_default() {
        match offer.size {
            FrameSizeEnum::Discrete(size) => sizes.push(Size { width: size.width, height: size.height }),
            FrameSizeEnum::Stepwise(s) => {
                let width = Steps { min: s.min_width, max: s.max_width, step: s.step_width };
                let height = Steps { min: s.min_height, max: s.max_height, step: s.step_height };
                sizes.extend(modes::stepwise_sizes(width, height, wish.size));
            }
        }
    }
    // A loopback device that is fed names no sizes, but has one.
    if sizes.is_empty()
        && let Ok(current) = device.format()
        && current.fourcc == fourcc
    {
        sizes.push(Size { width: current.width, height: current.height });
    }
    sizes.retain(|size| size.is_possible());
    let with_rates = |size: Size| rates_of(device, fourcc, size, wish).into_iter().map(move |rate| Mode { format, size, rate });
    sizes.into_iter().flat_map(with_rates).take(MAX_MODES).collect()
}

fn rates_of(device: &Device, fourcc: FourCC, size: Size, wish: Wish) -> Vec<Rate> {
    let rate = |interval: &Fraction| Rate::new(interval.denominator, interval.numerator);
    let mut rates = Vec::new();
    for offer in device.enum_frameintervals(fourcc, size.width, size.height).unwrap_or_default() {
        match offer.interval {
            FrameIntervalEnum::Discrete(interval) => rates.extend(rate(&interval)),
            FrameIntervalEnum::Stepwise(steps) => {
                if let (Some(fastest), Some(slowest)) = (rate(&steps.min), rate(&steps.max)) {
                    rates.extend(modes::stepwise_rates(slowest, fastest, wish.fps));
                }
            }
        }
    }
    // A driver that names no rate has one all the same; 30 is what it most likely is.
    if rates.is_empty() {
        let current = device.params().ok().and_then(|params| rate(&params.interval));
        rates.push(current.unwrap_or(Rate::DEFAULT));
    }
    rates
}

/// What a mode's buffers look like, as the driver says once it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes a line, 0 where unknown.
    pub stride: usize,
    pub colours: Colours,
}

/// Sets `mode` on an open device, and checks that it was taken.
pub(super) fn set_mode(device: &Device, mode: &Mode) -> io::Result<Layout> {
    let wanted = v4l::Format::new(mode.size.width, mode.size.height, FourCC::new(mode.format.fourcc()));
    let format = device.set_format(&wanted)?;
    let size = Size { width: format.width, height: format.height };
    if size != mode.size || format.fourcc != wanted.fourcc {
        return Err(io::Error::other(format!("asked for {mode}, it gives {} {size}", format.fourcc)));
    }
    // A driver counts the time of one picture.
    let params = device.set_params(&Parameters::new(Fraction::new(mode.rate.den(), mode.rate.num())))?;
    let given = Rate::new(params.interval.denominator, params.interval.numerator);
    if given.is_some_and(|given| given != mode.rate) {
        return Err(io::Error::other(format!("asked for {mode}, it gives another rate")));
    }
    use v4l::format::{Colorspace, Quantization};
    let full_range = match format.quantization {
        Quantization::FullRange => true,
        Quantization::LimitedRange => false,
        Quantization::Default => matches!(format.colorspace, Colorspace::JPEG),
    };
    let bt709 = matches!(format.colorspace, Colorspace::Rec709);
    Ok(Layout { stride: format.stride as usize, colours: Colours { full_range, bt709 } })
}

/// Sets `mode` and lets the device go again: what is set stays with it.
pub(super) fn preset(node: Node, mode: &Mode) -> io::Result<Layout> {
    guarded(|| set_mode(&Device::with_path(node.path())?, mode))
}

/// Sets what a user wishes beside the mode; an error with the flag whose wish the driver does not take.
pub(super) fn set(node: Node, settings: &Settings) -> Result<(), (&'static str, io::Error)> {
    match guarded(|| Device::with_path(node.path())) {
        Ok(device) => settings.apply(&device),
        Err(error) => settings.first().map_or(Ok(()), |flag| Err((flag, error))),
    }
}

/// Another process that has `path` open, as "name (pid N)", as far as /proc lets us see.
pub(super) fn holder(path: &Path) -> Option<String> {
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| pid != own).find_map(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let mut targets = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        targets.any(|target| target == path).then(|| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::query::Range;
    use super::*;

    #[test]
    fn only_numbered_nodes_are_cameras() {
        assert_eq!(node_number("video12"), Some(12));
        for odd in ["video", "video-links", "video1a", "vid0", "video99999999999"] {
            assert_eq!(node_number(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_link_leads_to_its_node() {
        assert_eq!(Node::of_path(Path::new("/dev/video3")), Some(Node(3)));
        assert_eq!(Node::of_path(Path::new("/tmp/video3")), None);
        assert_eq!(Node::of_path(Path::new("/dev/null")), None);
    }

    #[test]
    fn the_process_that_holds_a_file_is_named() {
        let path = std::env::temp_dir().join(format!("eyeline-held-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
        let found = holder(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder(&path), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found, Some(format!("sleep (pid {})", child.id())));
    }

    #[test]
    fn names_are_tidied_and_long_lists_cut() {
        assert_eq!(tidy("HD Webcam: HD Webcam"), "HD Webcam");
        assert_eq!(tidy("Integrated Camera: Integrated C"), "Integrated Camera");
        assert_eq!(tidy("USB: Video"), "USB: Video");
        assert_eq!((fourcc_name(*b"Y16 "), fourcc_name([b'Y', b'1', b'6', 0xA0])), ("Y16".to_string(), "Y16-BE".to_string()));
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(few(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(few(&names[..8]), "0, 1, 2, 3, 4, 5, 6, 7");
    }

    #[test]
    fn a_panic_of_the_library_is_an_error() {
        let error = guarded(|| -> io::Result<()> { panic!("Invalid colorspace") }).unwrap_err();
        assert!(error.to_string().contains("does not understand"));
    }

    #[test]
    fn a_description_groups_the_rates_of_a_size() {
        let mode = |fps| Mode { format: Format::Mjpeg, size: Size { width: 640, height: 480 }, rate: Rate::new(fps, 1).unwrap() };
        let description = Description {
            path: "/dev/video0".into(),
            name: "Cam".into(),
            by_id: Some("/dev/v4l/by-id/usb-cam".into()),
            modes: vec![mode(15), mode(30)],
            other_formats: vec!["H264".into()],
            controls: Offers { zoom: Some(Range { min: 100, max: 500, step: 1 }), ..Offers::default() },
            note: Some("in use by x (pid 1)".into()),
        };
        let lines = "Cam (/dev/video0)\n    /dev/v4l/by-id/usb-cam\n    MJPEG 640x480   30, 15 fps\n    --zoom     100 to 500 (1x to 5x)\n    not used: H264\n    in use by x (pid 1)";
        assert_eq!(description.to_string(), lines);
    }
}
