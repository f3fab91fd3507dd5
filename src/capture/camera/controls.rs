//! What is set of a camera beside its mode: exposure, the rate in dim light, zoom and focus, V4L2's camera controls.
//!
//! What a user wishes becomes numbers for the driver by what the camera offers, without asking it again: pure, so that every odd camera
//! can be a test. A wish that cannot be met is an error with what could be. Numbers are set before the camera streams, when a refusal
//! is still told, and each time its stream is made anew: many a camera forgets them then.

use std::fmt;
use std::io;
use std::time::Duration;

use v4l::Device;
use v4l::control::{Control, Value};

use super::query::{self, Range};

/// `V4L2_CID_EXPOSURE_AUTO`: who chooses exposure time and iris.
const EXPOSURE_AUTO: u32 = 0x009a_0901;
/// `V4L2_CID_EXPOSURE_ABSOLUTE`: in units of [`EXPOSURE_UNIT`].
const EXPOSURE: u32 = 0x009a_0902;
/// `V4L2_CID_EXPOSURE_AUTO_PRIORITY`, "Exposure, Dynamic Framerate": lets a camera halve its rate in dim light.
const DYNAMIC_FRAMERATE: u32 = 0x009a_0903;
/// `V4L2_CID_FOCUS_ABSOLUTE`: larger is nearer, in no unit.
const FOCUS: u32 = 0x009a_090a;
const FOCUS_AUTO: u32 = 0x009a_090c;
/// `V4L2_CID_ZOOM_ABSOLUTE`: in no unit; UVC cameras that say hundreds mean hundredths.
const ZOOM: u32 = 0x009a_090d;

const EXPOSURE_UNIT: Duration = Duration::from_micros(100);
/// The camera chooses the time (the aperture is the user's, or is none); else both.
const EXPOSURE_IS_AUTO: [i64; 2] = [3, 0];
/// The user chooses both; else the time alone.
const EXPOSURE_IS_MANUAL: [i64; 2] = [1, 2];

/// How long each picture is exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// As the camera sees fit.
    Auto,
    Time(Duration),
}

/// How much of the scene is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoom {
    /// So many hundredths of what it is at its widest.
    Hundredths(u32),
    /// In the camera's own numbers.
    At(i64),
}

/// What is sharp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// What the camera takes for the subject.
    Auto,
    /// What is far.
    Infinity,
    /// What is as near as the camera can.
    Near,
    /// In the camera's own numbers.
    At(i64),
}

/// What a user wishes; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controls {
    /// `--exposure`.
    pub exposure: Option<Exposure>,
    /// `--keep-fps`: no fewer pictures a second in dim light. Where nothing is said it is kept if the camera knows how.
    pub keep_fps: Option<bool>,
    /// `--zoom`.
    pub zoom: Option<Zoom>,
    /// `--focus`.
    pub focus: Option<Focus>,
}

impl Range {
    /// The one next to this, which lies within.
    fn near(self, number: i64) -> Option<i64> {
        let above = number.checked_sub(self.min).filter(|_| number <= self.max)?;
        let down = Some(above % self.step.max(1)).filter(|_| above >= 0)?;
        let (below, step) = (number - down, self.step.max(1));
        let next = below.checked_add(step).filter(|next| *next <= self.max && down > step - down);
        Some(next.unwrap_or(below))
    }
}

/// What a camera can be set to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// It can choose its exposure itself.
    pub exposure_auto: bool,
    /// In units of 100 µs.
    pub exposure: Option<Range>,
    /// It has a switch for its rate in dim light.
    pub keep_fps: bool,
    pub zoom: Option<Range>,
    /// It can focus by itself.
    pub focus_auto: bool,
    /// Larger is nearer.
    pub focus: Option<Range>,
}

impl Offers {
    pub(super) fn of(device: &Device) -> Offers {
        let range = |id| query::range(device, id);
        Offers {
            exposure_auto: range(EXPOSURE_AUTO).is_some(),
            exposure: range(EXPOSURE),
            keep_fps: range(DYNAMIC_FRAMERATE).is_some(),
            zoom: range(ZOOM),
            focus_auto: range(FOCUS_AUTO).is_some(),
            focus: range(FOCUS),
        }
    }

    /// A line for each that it has, in the words of the flags.
    pub fn lines(&self) -> Vec<String> {
        let all = [("--exposure", self.exposures()), ("--zoom", self.zooms()), ("--focus", self.focuses())];
        let mut lines: Vec<String> = all.into_iter().filter_map(|(flag, takes)| Some(format!("{flag:<10} {}", takes?))).collect();
        if self.keep_fps {
            lines.push("--keep-fps".to_string());
        }
        lines
    }

    fn exposures(&self) -> Option<String> {
        either(self.exposure_auto, self.exposure.map(|range| format!("{} to {}", time(range.min), time(range.max))))
    }

    fn zooms(&self) -> Option<String> {
        let range = self.zoom?;
        let widest = range.min as f64;
        let times = if range.min > 0 { format!(" (1x to {}x)", decimals(range.max as f64 / widest)) } else { String::new() };
        Some(format!("{} to {}{times}", range.min, range.max))
    }

    fn focuses(&self) -> Option<String> {
        either(self.focus_auto, self.focus.map(|range| format!("{} (infinity) to {} (near)", range.min, range.max)))
    }
}

fn either(auto: bool, numbers: Option<String>) -> Option<String> {
    match (auto, numbers) {
        (true, Some(numbers)) => Some(format!("auto, {numbers}")),
        (true, None) => Some("auto".to_string()),
        (false, numbers) => numbers,
    }
}

/// Units of exposure as a user would write them.
fn time(units: i64) -> String {
    let millis = units as f64 / 10.0;
    if millis >= 1000.0 { format!("{}s", decimals(millis / 1000.0)) } else { format!("{}ms", decimals(millis)) }
}

/// With two decimals at most.
fn decimals(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// One number for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    /// Whose wish it is; `None` where nobody will miss it.
    flag: Option<&'static str>,
    control: u32,
    /// The first that the driver takes.
    values: [i64; 2],
}

/// All that is set of one camera, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(Vec<Setting>);

impl Settings {
    /// What meets the wishes on a camera with these offers, or what to say of the first that it cannot meet: "has no …".
    pub fn new(wishes: &Controls, offers: &Offers) -> Result<Settings, String> {
        let mut all = Vec::new();
        let mut set = |flag, control, values| all.push(Setting { flag: Some(flag), control, values });
        let flag = "--exposure";
        match (wishes.exposure, offers.exposure) {
            (None, _) => {}
            (Some(Exposure::Auto), _) if offers.exposure_auto => set(flag, EXPOSURE_AUTO, EXPOSURE_IS_AUTO),
            (Some(Exposure::Time(wish)), Some(range)) => {
                let units = i64::try_from((wish + EXPOSURE_UNIT / 2).as_nanos() / EXPOSURE_UNIT.as_nanos()).unwrap_or(i64::MAX);
                let near = range.near(units).ok_or_else(|| beyond(flag, offers.exposures(), &time(units)))?;
                if offers.exposure_auto {
                    set(flag, EXPOSURE_AUTO, EXPOSURE_IS_MANUAL);
                }
                set(flag, EXPOSURE, [near; 2]);
            }
            (Some(_), _) => return Err(lacks(flag, offers.exposures())),
        }
        match wishes.keep_fps {
            Some(_) if !offers.keep_fps => {
                let otherwise = "; an --exposure shorter than a picture lasts keeps the rate, too";
                let otherwise = offers.exposure.map_or("", |_| otherwise);
                return Err(format!("has no switch for its rate in dim light: leave out --keep-fps{otherwise}"));
            }
            Some(keep) => set("--keep-fps", DYNAMIC_FRAMERATE, [i64::from(!keep); 2]),
            None => all.push(Setting { flag: None, control: DYNAMIC_FRAMERATE, values: [0; 2] }),
        }
        let mut set = |flag, control, values| all.push(Setting { flag: Some(flag), control, values });
        if let Some(wish) = wishes.zoom {
            let range = offers.zoom.ok_or_else(|| lacks("--zoom", None))?;
            set("--zoom", ZOOM, [zoom(wish, range, offers)?; 2]);
        }
        let flag = "--focus";
        match (wishes.focus, offers.focus) {
            (None, _) => {}
            (Some(Focus::Auto), _) if offers.focus_auto => set(flag, FOCUS_AUTO, [1; 2]),
            (Some(wish @ (Focus::Infinity | Focus::Near | Focus::At(_))), Some(range)) => {
                let near = match wish {
                    Focus::At(number) => range.near(number).ok_or_else(|| beyond(flag, offers.focuses(), &number.to_string()))?,
                    Focus::Near => range.max,
                    _ => range.min,
                };
                if offers.focus_auto {
                    set(flag, FOCUS_AUTO, [0; 2]);
                }
                set(flag, FOCUS, [near; 2]);
            }
            (Some(_), _) => return Err(lacks(flag, offers.focuses())),
        }
        Ok(Settings(all))
    }

    /// The first flag that is met by these.
    pub fn first(&self) -> Option<&'static str> {
        self.0.iter().find_map(|setting| setting.flag)
    }

    /// Sets them; an error with the flag whose wish the driver does not take.
    pub fn apply(&self, device: &Device) -> Result<(), (&'static str, io::Error)> {
        for Setting { flag, control, values } in &self.0 {
            let set = |value| device.set_control(Control { id: *control, value: Value::Integer(value) });
            let taken = set(values[0]).or_else(|error| if values[0] == values[1] { Err(error) } else { set(values[1]) });
            match (taken, flag) {
                (Err(error), Some(flag)) => return Err((flag, error)),
                (Err(error), None) => tracing::debug!("the camera has no switch for its rate in dim light ({error})"),
                (Ok(()), _) => {}
            }
        }
        Ok(())
    }
}

fn zoom(wish: Zoom, range: Range, offers: &Offers) -> Result<i64, String> {
    let takes = offers.zooms();
    let (number, said) = match wish {
        Zoom::At(number) => (number, number.to_string()),
        Zoom::Hundredths(_) if range.min <= 0 => {
            return Err(format!("counts its zoom from {} to {}, not in times: write one of these", range.min, range.max));
        }
        Zoom::Hundredths(hundredths) => {
            let number = (range.min.saturating_mul(i64::from(hundredths)).saturating_add(50)) / 100;
            (number, format!("{}x", decimals(f64::from(hundredths) / 100.0)))
        }
    };
    range.near(number).ok_or_else(|| beyond("--zoom", takes, &said))
}

fn beyond(flag: &str, takes: Option<String>, wish: &str) -> String {
    format!("takes {flag} {}, not {wish}", takes.unwrap_or_default())
}

/// It has nothing of the kind, or only these.
fn lacks(flag: &str, takes: Option<String>) -> String {
    match takes {
        Some(takes) => format!("takes {flag} {takes}, and nothing else"),
        None => format!(
            "has nothing to set with {flag}: leave it out, or choose another with `--camera` (`--list` shows what each has)"
        ),
    }
}

impl fmt::Display for Offers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

#[cfg(test)]
#[path = "controls_tests.rs"]
mod tests;
