//! `--list`: every camera with its modes, every microphone and speaker.

use super::stats;
use super::status::ExitCode;
use crate::capture::{camera, microphone};
use crate::present::speaker;
use crate::sound_card::Listed;
use std::fmt::Write;

/// Prints the list on stdout: it is what was asked for.
pub fn list() -> ExitCode {
    let mut text = String::from("Cameras (--camera):\n");
    let cameras = camera::list();
    if cameras.is_empty() {
        text.push_str("  none\n");
    }
    for camera in cameras {
        let _ = writeln!(text, "  {}", camera.to_string().replace('\n', "\n  "));
    }
    sounds(&mut text, "Microphones (--mic)", &microphone::list());
    sounds(&mut text, "Speakers (--speaker)", &speaker::list());
    stats::line(text.trim_end())
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
