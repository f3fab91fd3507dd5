//! The camera, microphone and speaker that would be taken: opened, and the camera watched for a moment. What else there is, is
//! named, and never wrong.

use super::findings::Finding;
use crate::capture::camera::{self, Camera, Description, Setup};
use crate::capture::microphone;
use crate::slot::{Slot, Taken};
use crate::sound_card::{self, Direction};
use std::path::Path;
use std::time::{Duration, Instant};

/// Some cameras take so long to give their first picture.
const WAKES: Duration = Duration::from_secs(6);

/// A camera finds its exposure meanwhile.
const SETTLES: Duration = Duration::from_millis(700);

/// And is then watched for so long, and for four pictures.
const WATCHED: Duration = Duration::from_millis(1500);

/// A camera that gives fewer of the pictures it promises is slow.
const SLOW: f64 = 0.85;

pub fn cameras(wanted: &camera::Request) -> Vec<Finding> {
    let (chosen, path) = match Camera::probe(wanted) {
        Ok(setup) => (watched(&setup), Some(setup.path())),
        // It says what to do.
        Err(error) => (Finding { mend: None, ..Finding::wrong("camera", error.to_string(), "") }, None),
    };
    let others = camera::list().into_iter().filter(|camera| Some(&camera.path) != path.as_ref());
    [chosen].into_iter().chain(others.map(|camera| other(&camera))).collect()
}

/// What comes of the camera that would be taken.
fn watched(setup: &Setup) -> Finding {
    let pictures = Slot::newest();
    let camera = match Camera::open(setup, pictures.clone()) {
        Ok(camera) => camera,
        Err(error) => return Finding { mend: None, ..Finding::wrong("camera", error.to_string(), "") },
    };
    let (mut from, mut until, mut caught) = (None, Instant::now() + WAKES, Vec::new());
    while let Taken::Value(picture) = pictures.take_until(until, Instant::now) {
        let from = *from.get_or_insert_with(|| {
            let watched = WATCHED.max(camera.chosen().rate.period() * 4);
            until = Instant::now() + SETTLES + watched;
            picture.captured + SETTLES
        });
        caught.extend(Some(picture.captured).filter(|captured| *captured >= from));
    }
    let (chosen, damaged) = (camera.chosen().clone(), camera.counters().damaged);
    judge(&chosen, rate(&caught), damaged)
}

/// Pictures a second, of those caught at these times.
fn rate(caught: &[Instant]) -> Option<f64> {
    let span = caught.last()?.saturating_duration_since(*caught.first()?);
    (caught.len() > 1 && !span.is_zero()).then(|| (caught.len() - 1) as f64 / span.as_secs_f64())
}

fn judge(chosen: &camera::Chosen, came: Option<f64>, damaged: u64) -> Finding {
    let Some(came) = came else {
        return Finding::wrong(
            "camera",
            format!("{chosen}, and no picture comes"),
            "unplug it and plug it in again, or name another: --camera",
        );
    };
    let found = format!("{chosen}; {came:.1} a second came");
    match came / chosen.rate.per_second() {
        share if share < SLOW => {
            let mend = "more light, for a camera exposes longer in the dark; or --keep-fps, or another mode: --size, --fps";
            Finding::better("camera", found, mend)
        }
        _ if damaged > 0 => {
            let mend = "another port or cable, without a hub between";
            Finding::better("camera", format!("{found}, {damaged} damaged"), mend)
        }
        _ => Finding::ok("camera", found),
    }
}

/// One that would not be taken.
fn other(camera: &Description) -> Finding {
    // By pixels a second.
    let worth = |mode: &&camera::Mode| f64::from(mode.size.width * mode.size.height) * mode.rate.per_second();
    let can = match (&camera.note, camera.modes.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)))) {
        (Some(note), _) => note.clone(),
        (None, Some(best)) => format!("up to {} at {} fps ({})", best.size, best.rate, best.format),
        (None, None) => format!("has no format that is read here, but {}", camera.other_formats.join(", ")),
    };
    Finding::ok(format!("camera {}", camera.path.display()), format!("{}, {can}; it would not be taken", camera.name))
}

/// `required`: without it there is no start.
pub fn microphone(which: Option<&str>, required: bool) -> Finding {
    let monitors = microphone::list().into_iter().filter(|device| !device.monitor).count();
    sound(Direction::Input, which, monitors, required)
}

pub fn speaker(which: Option<&str>) -> Finding {
    sound(Direction::Output, which, crate::present::speaker::list().len(), false)
}

fn sound(direction: Direction, which: Option<&str>, there: usize, required: bool) -> Finding {
    let what = if direction == Direction::Input { "microphone" } else { "speaker" };
    match sound_card::look(direction, which) {
        Ok((name, server)) => Finding::ok(what, format!("{name}, of {there} that there are, by {server}")),
        // It says what to do.
        Err(error) if required || which.is_some() => Finding { mend: None, ..Finding::wrong(what, error.to_string(), "") },
        Err(sound_card::Error::NoDevice(_)) => {
            let mend = "start a sound server (systemctl --user start pipewire-pulse, or pulseaudio --start), or say --no-audio";
            Finding::better(what, "there is none", mend)
        }
        Err(error) => Finding { mend: None, ..Finding::better(what, error.to_string(), "") },
    }
}

/// A virtual camera that is to be written to.
pub fn virtual_camera(path: &Path) -> Finding {
    use nix::unistd::{AccessFlags, access};
    let what = format!("virtual camera {}", path.display());
    match access(path, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Finding::ok(what, "it is there, and yours to write to"),
        Err(nix::errno::Errno::ENOENT) => {
            let mend = "sudo modprobe v4l2loopback video_nr=10 card_label=Eyeline exclusive_caps=1 (package v4l2loopback-dkms)";
            Finding::wrong(what, "it is not there", mend)
        }
        Err(error) => Finding::wrong(what, error.desc(), "sudo usermod -aG video $USER, then log in again"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Verdict;
    use super::*;
    use eyeline_proto::picture::Size;
    use eyeline_proto::rate::Rate;

    const SIZE: Size = Size { width: 1280, height: 720 };

    fn chosen() -> camera::Chosen {
        let rate = Rate::new(30, 1).unwrap();
        let (device, format, why) = ("Lid (/dev/video0)".into(), camera::Format::Mjpeg, "the largest".into());
        camera::Chosen { device, size: SIZE, fps: 30, rate, format, why }
    }

    #[test]
    fn a_camera_is_judged_by_what_comes_of_what_it_promises() {
        let fine = judge(&chosen(), Some(29.9), 0);
        assert_eq!(fine.line(), "ok      camera: Lid (/dev/video0): MJPEG 1280x720 at 30 fps (the largest); 29.9 a second came");
        let dark = judge(&chosen(), Some(15.0), 0);
        assert!(dark.verdict == Verdict::Better && dark.mend.unwrap().contains("light"));
        assert!(judge(&chosen(), Some(30.0), 3).found.ends_with("3 damaged"));
        assert_eq!(judge(&chosen(), None, 0).verdict, Verdict::Wrong);
    }

    #[test]
    fn a_rate_is_that_of_the_times_between_pictures() {
        let now = Instant::now();
        let caught: Vec<Instant> = (0..4).map(|at| now + Duration::from_millis(at * 40)).collect();
        assert_eq!((rate(&caught).map(f64::round), rate(&caught[..1]), rate(&[])), (Some(25.0), None, None));
    }

    #[test]
    fn a_camera_that_would_not_be_taken_is_named_and_never_wrong() {
        let mode = |width, rate| camera::Mode {
            format: camera::Format::Mjpeg,
            size: Size { width, height: 720 },
            rate: Rate::new(rate, 1).unwrap(),
        };
        let camera = Description {
            path: "/dev/video2".into(),
            name: "Infrared".into(),
            by_id: None,
            modes: vec![mode(1920, 5), mode(1280, 30)],
            other_formats: vec!["GREY".into()],
            controls: Default::default(),
            note: None,
        };
        let said = |camera: &Description| other(camera).line();
        assert_eq!(
            said(&camera),
            "ok      camera /dev/video2: Infrared, up to 1280x720 at 30 fps (MJPEG); it would not be taken"
        );
        assert!(said(&Description { note: Some("in use by cheese".into()), ..camera.clone() }).contains("in use by cheese"));
        assert!(said(&Description { modes: Vec::new(), ..camera }).contains("but GREY"));
    }
}
