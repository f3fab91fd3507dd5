//! Cameras, microphones and speakers, as `--list` finds them.

use super::findings::Finding;
use crate::capture::camera::{self, Description};
use crate::capture::microphone;
use crate::present::speaker;
use crate::sound_card::Listed;
use std::path::Path;

pub fn cameras() -> Vec<Finding> {
    let found = camera::list();
    if found.is_empty() {
        return vec![Finding::wrong("camera", "there is none", "plug one in, or send something else: --file, --test")];
    }
    found.iter().map(|camera| judge(camera, is_writable(&camera.path))).collect()
}

fn is_writable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK).is_ok()
}

fn judge(camera: &Description, writable: bool) -> Finding {
    let what = format!("camera {}", camera.path.display());
    let name = &camera.name;
    if !writable {
        let mend = "sudo usermod -aG video $USER, then log in again";
        return Finding::wrong(what, format!("{name} may not be opened by you"), mend);
    }
    if let Some(note) = &camera.note {
        return Finding::wrong(what, format!("{name}, {note}"), "close what uses it, or name another: --camera");
    }
    // By pixels a second.
    let worth = |mode: &&camera::Mode| f64::from(mode.size.width * mode.size.height) * mode.rate.per_second();
    match camera.modes.iter().max_by(|a, b| worth(a).total_cmp(&worth(b))) {
        Some(best) => Finding::ok(what, format!("{name}, up to {} at {} fps ({})", best.size, best.rate, best.format)),
        None => {
            let others = camera.other_formats.join(", ");
            Finding::wrong(what, format!("{name} has no format that is read here, but {others}"), "name another: --camera")
        }
    }
}

pub fn microphones() -> Vec<Finding> {
    let devices: Vec<_> = microphone::list().into_iter().filter(|device| !device.monitor).collect();
    vec![sound("microphone", &devices)]
}

pub fn speakers() -> Vec<Finding> {
    vec![sound("speaker", &speaker::list())]
}

fn sound(what: &str, devices: &[Listed]) -> Finding {
    match devices.iter().find(|device| device.default).or(devices.first()) {
        Some(device) => Finding::ok(what, format!("{}, of {} that there are", device.name, devices.len())),
        None => {
            let mend = "start a sound server (systemctl --user start pipewire-pulse, or pulseaudio --start), or say --no-audio";
            Finding::better(what, "there is none", mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Verdict;
    use super::*;
    use eyeline_proto::picture::Size;
    use eyeline_proto::rate::Rate;

    #[test]
    fn a_camera_is_judged_by_whether_it_may_be_opened_is_free_and_has_a_mode() {
        let mode = |width, rate| camera::Mode {
            format: camera::Format::Mjpeg,
            size: Size { width, height: 720 },
            rate: Rate::new(rate, 1).unwrap(),
        };
        let camera = Description {
            path: "/dev/video0".into(),
            name: "Lid".into(),
            by_id: None,
            modes: vec![mode(1920, 5), mode(1280, 30)],
            other_formats: vec!["H264".into()],
            note: None,
        };
        assert_eq!(judge(&camera, true).line(), "ok      camera /dev/video0: Lid, up to 1280x720 at 30 fps (MJPEG)");
        assert!(judge(&camera, false).mend.unwrap().contains("usermod"));
        let busy = Description { note: Some("in use by cheese".into()), ..camera.clone() };
        assert_eq!(judge(&busy, true).verdict, Verdict::Wrong);
        assert!(judge(&Description { modes: Vec::new(), ..camera }, true).found.contains("but H264"));
    }
}
