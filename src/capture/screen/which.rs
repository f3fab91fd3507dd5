//! What of a display is meant, and how that is said.

use super::Error;
use super::damage::Rect;
use eyeline_proto::picture::{MAX_SIDE, Size};
use std::fmt;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Which {
    /// The primary monitor, or the whole of a display that names none.
    #[default]
    Primary,
    /// All monitors, as they stand beside each other.
    All,
    /// One of the list, by its number or its name.
    Monitor(String),
    /// So large, so far from the left and the top of the whole.
    Place(Rect),
    /// The window that has the keyboard.
    Focused,
    /// A window by its number.
    Window(u32),
    /// What the user answers when a Wayland desktop asks once more.
    Ask,
}

impl Which {
    /// Reads `2`, `HDMI-1`, `800x600+10+20`, `all`, `window`, `0x1c00007` or `ask`; what is wrong with it where it is none of these.
    pub fn parse(text: &str) -> Result<Which, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("name a monitor, a place like 800x600+0+0, or window".into());
        }
        if let Some(number) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            let number = u32::from_str_radix(number, 16).ok().filter(|number| *number > 0);
            return number.map(Which::Window).ok_or_else(|| "write a window's number like 0x1c00007 (`xwininfo` says it)".into());
        }
        match text {
            "all" => Ok(Which::All),
            "window" => Ok(Which::Focused),
            "primary" => Ok(Which::Primary),
            "ask" => Ok(Which::Ask),
            _ => match place(text) {
                Some(place) if place.size.is_possible() => Ok(Which::Place(place)),
                Some(_) => Err(format!("each side must be between 1 and {MAX_SIDE} pixels")),
                None => Ok(Which::Monitor(text.into())),
            },
        }
    }

    /// Whether Xwayland shows it on a Wayland desktop: windows of X programs; where the desktop cannot be asked for one, also that
    /// which has the keyboard.
    pub fn is_of_x(&self) -> bool {
        matches!(self, Which::Window(_)) || (cfg!(not(feature = "wayland")) && *self == Which::Focused)
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Primary => f.write_str("the primary monitor"),
            Which::All => f.write_str("all monitors"),
            Which::Monitor(name) => write!(f, "monitor {name}"),
            Which::Place(Rect { x, y, size }) => write!(f, "{size}+{x}+{y}"),
            Which::Focused => f.write_str("the window with the keyboard"),
            Which::Window(number) => write!(f, "window {number:#x}"),
            Which::Ask => f.write_str("ask"),
        }
    }
}

/// `WxH+X+Y`; without a place, from the upper left.
fn place(text: &str) -> Option<Rect> {
    let (size, place) = text.split_once('+').unwrap_or((text, "0+0"));
    let ((width, height), (x, y)) = (size.split_once(['x', 'X'])?, place.split_once('+')?);
    let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some(Rect { x: whole(x)?, y: whole(y)?, size: Size { width: whole(width)?, height: whole(height)? } })
}

/// A monitor of the display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    pub name: String,
    pub primary: bool,
    /// In pixels of the whole.
    pub place: Rect,
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rect { x, y, size } = self.place;
        let primary = if self.primary { ", the primary one" } else { "" };
        write!(f, "{}  {size}+{x}+{y}{primary}", self.name)
    }
}

/// The place of what is meant, where it is no window, on a display of this size.
pub fn find(which: &Which, monitors: &[Monitor], whole: Size) -> Result<Rect, Error> {
    let all = Rect::all(whole);
    let inside = |place: Rect| place.and(all).ok_or(Error::Outside { place: which.to_string(), size: whole });
    match which {
        Which::Place(place) => inside(*place),
        Which::Monitor(name) => {
            let by_name = monitors.iter().find(|monitor| monitor.name.eq_ignore_ascii_case(name));
            let by_number = || name.parse::<usize>().ok().and_then(|number| monitors.get(number));
            let monitor =
                by_name.or_else(by_number).ok_or_else(|| Error::NoMonitor { which: name.clone(), names: names(monitors) })?;
            inside(monitor.place)
        }
        Which::Primary => {
            let monitor = monitors.iter().find(|monitor| monitor.primary).or(monitors.first());
            monitor.map_or(Ok(all), |monitor| inside(monitor.place))
        }
        // No display asks.
        Which::Ask => Err(Error::NoMonitor { which: which.to_string(), names: names(monitors) }),
        Which::All | Which::Focused | Which::Window(_) => Ok(all),
    }
}

fn names(monitors: &[Monitor]) -> String {
    let names: Vec<_> = monitors.iter().enumerate().map(|(number, monitor)| format!("{number} {}", monitor.name)).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, size: Size { width, height } }
    }

    fn monitors() -> Vec<Monitor> {
        let monitor = |name: &str, primary, place| Monitor { name: name.into(), primary, place };
        vec![monitor("eDP-1", false, rect(0, 0, 1920, 1200)), monitor("HDMI-1", true, rect(1920, 0, 2560, 1440))]
    }

    #[test]
    fn xwayland_shows_numbered_windows_and_the_focused_one_where_the_desktop_cannot_be_asked() {
        let shown = ["0x1c00007", "window", "primary", "all", "ask", "HDMI-1"].map(|text| Which::parse(text).unwrap().is_of_x());
        assert_eq!(shown, [true, cfg!(not(feature = "wayland")), false, false, false, false]);
    }

    #[test]
    fn what_is_meant_is_read_as_it_is_written() {
        for (text, which) in [
            ("0", Which::Monitor("0".into())),
            ("HDMI-1", Which::Monitor("HDMI-1".into())),
            ("800x600+10+20", Which::Place(rect(10, 20, 800, 600))),
            ("800x600", Which::Place(rect(0, 0, 800, 600))),
            (" window ", Which::Focused),
            ("all", Which::All),
            ("primary", Which::Primary),
            ("ask", Which::Ask),
            ("0x1c00007", Which::Window(0x1c0_0007)),
            ("DP-2x4", Which::Monitor("DP-2x4".into())),
        ] {
            assert_eq!(Which::parse(text), Ok(which), "{text}");
        }
        for text in ["", "0x", "0x0", "0xwindow", "0x600+0+0", "9000x600+0+0"] {
            assert!(Which::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_monitor_is_found_by_name_and_by_number_and_the_primary_one_without() {
        let whole = Size { width: 4480, height: 1440 };
        let find = |which: &str| find(&Which::parse(which).unwrap(), &monitors(), whole).map_err(|error| error.to_string());
        assert_eq!([find("edp-1"), find("0")], [Ok(rect(0, 0, 1920, 1200)), Ok(rect(0, 0, 1920, 1200))]);
        assert_eq!([find("primary"), find("HDMI-1")], [Ok(rect(1920, 0, 2560, 1440)), Ok(rect(1920, 0, 2560, 1440))]);
        assert_eq!(find("all"), Ok(rect(0, 0, 4480, 1440)));
        assert_eq!(find("800x600+4000+1000"), Ok(rect(4000, 1000, 480, 440)), "what of it is there");
        assert!(find("10x10+4480+0").unwrap_err().contains("4480x1440"));
        let error = find("VGA-1").unwrap_err();
        assert!(error.contains("VGA-1") && error.contains("0 eDP-1, 1 HDMI-1"), "{error}");
        assert_eq!(super::find(&Which::Primary, &[], whole).ok(), Some(Rect::all(whole)));
    }
}
