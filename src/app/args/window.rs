//! What is asked of a window, in all programs: its title, its place, whether it stays above others.

use super::Idle;
use crate::present::geometry::Geometry;

/// What is asked of a window.
#[derive(clap::Args, Debug)]
pub(super) struct WindowFlags {
    /// What the window is called [default: who is seen]
    #[arg(long, value_name = "TEXT", value_parser = title, help_heading = "Window")]
    title: Option<String>,

    /// Size and place of the window: 1280x720, +100+50 or both, -0-0 is the lower right corner; or `picture`: as large as that, and
    /// anywhere [default: as it was the last time, else `picture`]
    #[arg(long, value_name = "WxH+X+Y", value_parser = geometry, allow_hyphen_values = true, help_heading = "Window")]
    geometry: Option<Wanted>,

    /// Keep the window above all others
    #[arg(long, help_heading = "Window")]
    always_on_top: bool,

    /// No title bar, no borders
    #[arg(long, help_heading = "Window")]
    borderless: bool,
}

/// Where the window is to stand, and how large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// As it did when it was closed.
    #[default]
    AsBefore,
    /// As it follows from its picture.
    Picture,
    There(Geometry),
}

/// What is asked of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// In place of who is seen.
    pub title: Option<String>,
    pub geometry: Wanted,
    /// Whether it stays above others.
    pub above: bool,
    pub borderless: bool,
}

impl WindowFlags {
    /// Those that are given, where there is no window, and `why` there is none.
    pub(super) fn idle(&self, why: &'static str) -> impl Iterator<Item = Idle> + use<> {
        let given = [
            ("title", self.title.is_some()),
            ("geometry", self.geometry.is_some()),
            ("always-on-top", self.always_on_top),
            ("borderless", self.borderless),
        ];
        given.into_iter().filter(|(_, given)| *given).map(move |(flag, _)| Idle(flag, why))
    }

    pub(super) fn resolve(self) -> Frame {
        let geometry = self.geometry.unwrap_or_default();
        Frame { title: self.title, geometry, above: self.always_on_top, borderless: self.borderless }
    }
}

fn title(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("write what the window is to be called, or leave the flag out".into());
    }
    Ok(text.into())
}

fn geometry(text: &str) -> Result<Wanted, String> {
    match text {
        "picture" => Ok(Wanted::Picture),
        text => text.parse().map(Wanted::There).map_err(|wrong| format!("{wrong}; or picture")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_that_is_named_or_that_of_the_last_time_or_the_pictures() {
        assert_eq!(geometry("picture"), Ok(Wanted::Picture));
        assert_eq!(geometry("640x480+10-0"), Ok(Wanted::There("640x480+10-0".parse().unwrap())));
        assert!(geometry("large").unwrap_err().ends_with("; or picture"));
        let none = "a window of 0x0 cannot be: each side has 16 to 8192 pixels; write one like 1280x720; or picture";
        assert_eq!(geometry("0x0").unwrap_err(), none);
        assert!(title(" ").is_err());
    }
}
