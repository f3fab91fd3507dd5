//! `--list`: every camera with its modes, every monitor, microphone and speaker, and who waits on this network.

use super::neighbours;
use super::stats;
use super::status::ExitCode;
use crate::capture::camera::{self, Description, Offers, Range};
use crate::capture::microphone;
use crate::capture::screen::{self, Monitor};
use crate::net::discovery::{self, Directory, Neighbour};
use crate::present::speaker;
use crate::sound_card::Listed;
use eyeline_proto::wire::record::Media;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

/// Prints the list on stdout, for people or as one object: it is what was asked for. For a program that dials others as a rule,
/// also who waits on this network.
pub fn list(program: &str, as_json: bool) -> ExitCode {
    let offers = if program == "call" { Media::LIVE } else { Media::NONE };
    let directory = (program != "send").then(|| Directory::new(offers, Media::LIVE));
    let until = Instant::now() + discovery::ANSWERS;
    directory.iter().for_each(Directory::start);
    let (cameras, monitors) = (camera::list(), screen::list());
    let (microphones, speakers) = (microphone::list(), speaker::list());
    let senders = directory.map(|directory| {
        let found = directory.look(until);
        directory.leave().wait();
        found
    });
    if as_json {
        let mut object = object(&cameras, &monitors.unwrap_or_default(), &microphones, &speakers);
        if let Some(senders) = senders {
            object["senders"] = senders.iter().map(sender).collect();
        }
        return stats::line(&object.to_string());
    }
    let mut text = String::from("Cameras (--camera):\n");
    if cameras.is_empty() {
        text.push_str("  none\n");
    }
    for camera in cameras {
        let _ = writeln!(text, "  {}", camera.to_string().replace('\n', "\n  "));
    }
    text.push_str("\nMonitors (--screen):\n");
    match monitors {
        None if cfg!(feature = "wayland") => text.push_str("  the desktop asks which: it speaks Wayland\n"),
        None => text.push_str("  none: the desktop speaks Wayland, --screen says what else to do\n"),
        Some(monitors) if monitors.is_empty() => text.push_str("  none\n"),
        Some(monitors) => {
            for (number, monitor) in monitors.iter().enumerate() {
                let _ = writeln!(text, "  {number}  {monitor}");
            }
        }
    }
    sounds(&mut text, "Microphones (--mic)", &microphones);
    sounds(&mut text, "Speakers (--speaker)", &speakers);
    if let Some(senders) = senders {
        text.push_str("\nSenders on this network (--host):\n");
        listed(&mut text, &senders, discovery::obstacle());
    }
    stats::line(text.trim_end())
}

fn object(cameras: &[Description], monitors: &[Monitor], microphones: &[Listed], speakers: &[Listed]) -> Value {
    let cameras: Vec<_> = cameras.iter().map(camera).collect();
    let sounds = |devices: &[Listed]| devices.iter().map(sound).collect::<Vec<_>>();
    let monitors: Vec<_> = monitors.iter().map(monitor).collect();
    json!({ "cameras": cameras, "monitors": monitors, "microphones": sounds(microphones), "speakers": sounds(speakers) })
}

fn camera(camera: &Description) -> Value {
    let modes: Vec<_> = camera
        .modes
        .iter()
        .map(|mode| {
            let fps = stats::round(mode.rate.per_second());
            json!({ "format": mode.format.to_string(), "width": mode.size.width, "height": mode.size.height, "fps": fps })
        })
        .collect();
    json!({
        "path": camera.path, "name": camera.name, "by_id": camera.by_id, "modes": modes,
        "not_used": camera.other_formats, "controls": controls(&camera.controls), "note": camera.note,
    })
}

/// What can be set of it, by the flags' names; null where it has no such thing.
fn controls(offers: &Offers) -> Value {
    let numbers = |range: Option<Range>| range.map(|Range { min, max, step }| json!({ "min": min, "max": max, "step": step }));
    let millis = |units: i64| stats::round(units as f64 / 10.0);
    let exposure = offers.exposure.map(|range| json!({ "min_ms": millis(range.min), "max_ms": millis(range.max) }));
    json!({
        "exposure": exposure, "exposure_auto": offers.exposure_auto, "keep_fps": offers.keep_fps,
        "zoom": numbers(offers.zoom), "focus": numbers(offers.focus), "focus_auto": offers.focus_auto,
    })
}

fn monitor(monitor: &Monitor) -> Value {
    let screen::Rect { x, y, size } = monitor.place;
    json!({ "name": monitor.name, "primary": monitor.primary, "width": size.width, "height": size.height, "x": x, "y": y })
}

fn sound(device: &Listed) -> Value {
    json!({
        "index": device.index, "name": device.name, "id": device.id, "channels": device.channels, "default": device.default,
        "monitor": device.monitor,
    })
}

fn sender(sender: &Neighbour) -> Value {
    let role = sender.role.name();
    json!({ "name": sender.name, "role": role, "key": sender.keyed, "places": sender.places })
}

fn listed(text: &mut String, senders: &[Neighbour], obstacle: Option<&str>) {
    for sender in senders {
        let places: Vec<_> = sender.places.iter().map(neighbours::typed).collect();
        let key = if sender.keyed { ", wants a key" } else { "" };
        let _ = writeln!(text, "  {} ({}{key}): {}", sender.name, neighbours::has(sender), places.join(", "));
    }
    if senders.is_empty() {
        let why = obstacle.unwrap_or("those of another network, or behind a VPN, are not found by name: dial their address");
        let _ = writeln!(text, "  none: {why}");
    }
}

fn sounds(text: &mut String, title: &str, devices: &[Listed]) {
    let _ = writeln!(text, "\n{title}:");
    if devices.is_empty() {
        text.push_str("  none\n");
    }
    for device in devices {
        let default = if device.default { ", the default" } else { "" };
        let monitor = if device.monitor { ", what this machine plays" } else { "" };
        let _ = writeln!(text, "  {}  {} ({} channels{default}{monitor})", device.index, device.name, device.channels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::camera::{Format, Mode};
    use eyeline_proto::picture::Size;
    use eyeline_proto::rate::Rate;

    #[test]
    fn a_program_reads_what_a_person_is_told() {
        let rate = Rate::new(30000, 1001).expect("a rate");
        let mode = Mode { format: Format::Mjpeg, size: Size { width: 1280, height: 720 }, rate };
        let range = Range { min: 3, max: 2047, step: 1 };
        let camera = Description {
            path: "/dev/video0".into(),
            name: "Lid \"HD\"".into(),
            by_id: None,
            modes: vec![mode],
            other_formats: vec!["H264".into()],
            controls: camera::Offers { exposure_auto: true, exposure: Some(range), keep_fps: true, ..Default::default() },
            note: None,
        };
        let microphone =
            Listed { index: 1, name: "USB".into(), id: "alsa_input.usb".into(), default: true, monitor: false, channels: 2 };
        let place = screen::Rect { x: 1920, y: 0, size: Size { width: 1280, height: 720 } };
        let monitor = Monitor { name: "HDMI-1".into(), primary: false, place };
        let object = object(&[camera], &[monitor], &[microphone], &[]);
        let wanted = json!({ "name": "HDMI-1", "primary": false, "width": 1280, "height": 720, "x": 1920, "y": 0 });
        assert_eq!(object["monitors"][0], wanted);
        let controls = json!({
            "exposure": { "min_ms": 0.3, "max_ms": 204.7 }, "exposure_auto": true, "keep_fps": true,
            "zoom": null, "focus": null, "focus_auto": false,
        });
        assert_eq!(object["cameras"][0]["controls"], controls);
        assert_eq!(object["cameras"][0]["name"], "Lid \"HD\"");
        assert_eq!(object["cameras"][0]["modes"][0], json!({ "format": "MJPEG", "width": 1280, "height": 720, "fps": 29.97 }));
        assert_eq!((&object["microphones"][0]["index"], &object["microphones"][0]["default"]), (&json!(1), &json!(true)));
        assert_eq!(object["speakers"], json!([]));
    }
}
