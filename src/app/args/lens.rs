//! What is set of a camera beside its mode, and how pictures are turned before they are sent.

use super::units;
use crate::capture::camera::{Controls, Exposure, Focus, Zoom};
use eyeline_proto::picture::Turn;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What drivers count in (`V4L2_CID_EXPOSURE_ABSOLUTE`).
const SHORTEST: Duration = Duration::from_micros(100);

/// Longer than any camera exposes.
const LONGEST: Duration = Duration::from_secs(3600);

/// How much larger than at its widest the scene may be.
const TIMES: RangeInclusive<f64> = 1.0..=1000.0;

/// See the module text.
#[derive(clap::Args, Debug)]
pub(super) struct LensFlags {
    /// How long each picture is exposed, like 10ms or 1/100 (s), or auto; shorter is less blur and less light
    #[arg(
        long,
        value_name = "auto|TIME",
        value_parser = exposure,
        conflicts_with_all = ["file", "screen", "test", "no_video"],
        help_heading = "Camera"
    )]
    exposure: Option<Exposure>,

    /// Keep the camera's rate in dim light, and refuse one that cannot; =off lets it take longer and brighter pictures [default: kept
    /// where it can be]
    #[arg(
        long,
        value_name = "on|off",
        value_parser = keep_fps,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        conflicts_with_all = ["file", "screen", "test", "no_video"],
        help_heading = "Camera"
    )]
    keep_fps: Option<bool>,

    /// How much of the scene the camera shows: 2x, or one of its own numbers (--list)
    #[arg(
        long,
        value_name = "Nx|N",
        value_parser = zoom,
        conflicts_with_all = ["file", "screen", "test", "no_video"],
        help_heading = "Camera"
    )]
    zoom: Option<Zoom>,

    /// What is sharp: auto, infinity, near, or one of the camera's own numbers (--list)
    #[arg(
        long,
        value_name = "auto|infinity|near|N",
        value_parser = focus,
        allow_negative_numbers = true,
        conflicts_with_all = ["file", "screen", "test", "no_video"],
        help_heading = "Camera"
    )]
    focus: Option<Focus>,

    /// Turn pictures by a quarter, a half or three quarters, clockwise
    #[arg(long, value_name = "90|180|270", value_parser = rotation, help_heading = "Picture")]
    rotate: Option<Turn>,

    /// Left for right, as in a mirror; after --rotate
    #[arg(long, help_heading = "Picture")]
    mirror: bool,

    /// Upside down: top for bottom; after --rotate
    #[arg(long, help_heading = "Picture")]
    flip: bool,
}

impl LensFlags {
    /// What is to be set of the camera.
    pub fn controls(&self) -> Controls {
        Controls { exposure: self.exposure, keep_fps: self.keep_fps, zoom: self.zoom, focus: self.focus }
    }

    /// How pictures are turned.
    pub fn turn(&self) -> Turn {
        self.rotate.unwrap_or_default().then(Turn { transposed: false, flip_x: self.mirror, flip_y: self.flip })
    }
}

/// `auto`, or a time: `10ms`, `0.01s`, `1/100`.
fn exposure(text: &str) -> Result<Exposure, String> {
    let wrong = || "write auto, or how long each picture is exposed: 10ms, 0.01s or 1/100 (of a second)".to_string();
    if text == "auto" {
        return Ok(Exposure::Auto);
    }
    let time = match text.split_once('/') {
        Some((number, of)) => {
            let of = of.strip_suffix('s').unwrap_or(of);
            let seconds = units::decimal(number).zip(units::decimal(of)).map(|(number, of)| number / of);
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(wrong)?
        }
        None if units::decimal(text).is_some() => return Err(format!("a time needs its unit: {text}ms or {text}s")),
        None => units::duration(text).map_err(|_| wrong())?,
    };
    if time < SHORTEST {
        return Err(format!("{text} is too short: cameras count in steps of 0.1ms; write at least that, like 0.5ms or 1/100"));
    }
    if time > LONGEST {
        return Err(format!("{text} is too long: no camera exposes a picture for more than an hour; write a time like 10ms"));
    }
    Ok(Exposure::Time(time))
}

fn keep_fps(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on, to keep the rate in dim light, or off, for brighter pictures and fewer".into()),
    }
}

/// `2x`, `1.5x`, or a number of the camera's.
fn zoom(text: &str) -> Result<Zoom, String> {
    let wrong = || {
        "write how much larger the scene is to be, like 2x or 1.5x (1x is all of it), or a number that --list shows for the camera"
            .to_string()
    };
    match text.strip_suffix(['x', 'X', '×']) {
        Some(times) => match units::decimal(times).ok_or_else(wrong)? {
            times if TIMES.contains(&times) => Ok(Zoom::Hundredths((times * 100.0).round() as u32)),
            times if times < 1.0 => Err(format!("{text} would show more than the camera sees: 1x is all of it, 2x half as wide")),
            _ => Err(format!("{text} is too much: from 1x, which is all the camera sees, to 1000x; --list shows what it can")),
        },
        None => text.parse::<i32>().map(|number| Zoom::At(number.into())).map_err(|_| wrong()),
    }
}

fn focus(text: &str) -> Result<Focus, String> {
    match text {
        "auto" => Ok(Focus::Auto),
        "infinity" => Ok(Focus::Infinity),
        "near" => Ok(Focus::Near),
        _ => text
            .parse::<i32>()
            .map(|number| Focus::At(number.into()))
            .map_err(|_| "write auto, infinity, near, or a number that --list shows for the camera".into()),
    }
}

/// Clockwise, as Exif numbers it.
fn rotation(text: &str) -> Result<Turn, String> {
    match text {
        "90" => Ok(Turn::from_exif(6)),
        "180" => Ok(Turn::from_exif(3)),
        "270" => Ok(Turn::from_exif(8)),
        _ => Err("write 90, 180 or 270: degrees clockwise".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_exposure_are_read_as_cameras_and_programs_write_them() {
        let of = |text| exposure(text).ok();
        for text in ["10ms", "0.01s", "1/100", "1/100s", "10000us"] {
            assert_eq!(of(text), Some(Exposure::Time(Duration::from_millis(10))), "{text}");
        }
        assert_eq!((of("auto"), of("2s")), (Some(Exposure::Auto), Some(Exposure::Time(Duration::from_secs(2)))));
        for text in ["", "0ms", "1/0", "0/1", "-1ms", "1/", "/100", "Auto", "2h", "1e-2s"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert!(exposure("10").unwrap_err().contains("10ms or 10s"));
        assert_eq!(of("0.1ms"), Some(Exposure::Time(SHORTEST)));
        let said = |text| exposure(text).unwrap_err();
        for text in ["1us", "0ms", "0s", "0/1"] {
            assert!(said(text).starts_with(&format!("{text} is too short: cameras count in steps of 0.1ms")), "{}", said(text));
        }
        assert!(said("2h").starts_with("2h is too long: no camera exposes a picture for more than an hour"));
        assert!(said("soon").ends_with("10ms, 0.01s or 1/100 (of a second)"));
    }

    #[test]
    fn zoom_and_focus_are_words_or_the_cameras_numbers() {
        assert_eq!(
            (zoom("2x"), zoom("1.25X"), zoom("300")),
            (Ok(Zoom::Hundredths(200)), Ok(Zoom::Hundredths(125)), Ok(Zoom::At(300)))
        );
        assert!(["0.5x", "x", "2.5", "", "1001x", "99999999999"].iter().all(|text| zoom(text).is_err()));
        let said = |text| zoom(text).unwrap_err();
        assert_eq!(said("0.5x"), "0.5x would show more than the camera sees: 1x is all of it, 2x half as wide");
        assert!(said("1001x").starts_with("1001x is too much: from 1x") && said("wide").contains("like 2x or 1.5x"));
        let all = ["auto", "infinity", "near", "30", "-5"].map(|text| focus(text).unwrap());
        assert_eq!(all, [Focus::Auto, Focus::Infinity, Focus::Near, Focus::At(30), Focus::At(-5)]);
        assert!(focus("far").is_err());
    }

    #[test]
    fn pictures_are_rotated_and_then_mirrored_and_flipped() {
        let lens = |rotate: Option<&str>, mirror, flip| {
            let rotate = rotate.map(|text| rotation(text).unwrap());
            LensFlags { exposure: None, keep_fps: None, zoom: None, focus: None, rotate, mirror, flip }.turn()
        };
        assert_eq!(lens(None, false, false), Turn::NONE);
        assert_eq!(lens(None, true, true), rotation("180").unwrap());
        assert_eq!(lens(Some("180"), true, true), Turn::NONE);
        // By a quarter the upper left comes to lie on the upper right, and mirrored where it was.
        assert_eq!(lens(Some("90"), false, false), Turn { transposed: true, flip_x: true, flip_y: false });
        assert_eq!(lens(Some("90"), true, false), Turn { transposed: true, flip_x: false, flip_y: false });
        assert!(["45", "360", "0", "-90"].iter().all(|text| rotation(text).is_err()));
    }
}
