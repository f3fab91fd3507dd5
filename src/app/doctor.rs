//! `--doctor`: what of this machine, and of the way to a host, keeps a program from working, or from working well, and the command
//! that mends it.
//!
//! A line for each thing that was looked at. Nothing is changed but what the program itself sets of the camera that would be taken,
//! which is opened for two seconds; whoever is at a host that is dialled sees us come and go.

mod devices;
mod findings;
mod firewall;
mod machine;
mod tools;
mod way;

use super::args::send::{Sound, Source};
use super::args::showing::{Showing, Speaker};
use super::args::{self, Common};
use super::send::plan::request;
use super::stats;
use super::status::ExitCode;
use crate::capture::camera;
use crate::capture::screen::Which;
use findings::{Finding, Verdict};
use serde_json::json;
use std::path::PathBuf;

/// What a program needs for what it is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    camera: Option<camera::Request>,
    /// Which one, and whether there is no start without.
    microphone: Option<(Option<String>, bool)>,
    /// For a window.
    display: bool,
    /// As a source: which.
    screen: Option<Which>,
    speaker: Option<Option<String>>,
    virtual_camera: Option<PathBuf>,
    /// It plays a film.
    film: bool,
    /// It has something for others.
    offers: bool,
    /// It wants what others have.
    wants: bool,
}

impl Needs {
    /// What `send` needs.
    pub fn of_send(send: &args::Send) -> Self {
        Needs {
            camera: match &send.source {
                Source::Camera(which) if send.video => Some(request(send, which.as_deref())),
                _ => None,
            },
            microphone: match &send.sound {
                Some(Sound::Microphone(which)) => Some((which.clone(), send.require_audio || !send.video)),
                _ => None,
            },
            display: send.preview.is_some(),
            screen: match &send.source {
                Source::Screen(which) => Some(which.clone()),
                _ => None,
            },
            film: matches!(send.source, Source::Film { .. }),
            offers: true,
            ..Needs::default()
        }
    }

    /// What is shown and heard needs.
    pub fn of_showing(showing: &Showing) -> Self {
        let speaker = match &showing.speaker {
            Speaker::Off => None,
            Speaker::Default => Some(None),
            Speaker::Named(which) => Some(Some(which.clone())),
        };
        let virtual_camera = showing.v4l2_sink.clone();
        Needs { display: showing.window, speaker, virtual_camera, wants: true, ..Needs::default() }
    }

    /// What `call` needs.
    pub fn of_call(call: &args::Call) -> Self {
        let (send, show) = (Needs::of_send(&call.send), Needs::of_showing(&call.showing));
        Needs {
            camera: send.camera,
            microphone: send.microphone,
            film: send.film,
            offers: true,
            display: send.display || show.display,
            screen: send.screen,
            ..show
        }
    }
}

/// Looks at all of it and says what was found: exit 0 where nothing is wrong, else 1.
pub fn run(needs: &Needs, common: &Common) -> ExitCode {
    let mut findings = Vec::new();
    findings.extend(needs.camera.iter().flat_map(devices::cameras));
    findings.extend(needs.microphone.iter().map(|(which, required)| devices::microphone(which.as_deref(), *required)));
    findings.extend(needs.speaker.iter().map(|which| devices::speaker(which.as_deref())));
    findings.extend(needs.virtual_camera.iter().map(|path| devices::virtual_camera(path)));
    let wayland = needs.screen.as_ref().and_then(machine::wayland_screen);
    if needs.display || (needs.screen.is_some() && wayland.is_none()) {
        findings.push(machine::display());
    }
    findings.extend(wayland);
    findings.extend(way::port(common));
    findings.push(firewall::firewall(common));
    findings.push(way::by_name(common));
    findings.extend(machine::buffers());
    findings.extend(machine::wireless());
    findings.extend(machine::processor());
    findings.push(machine::ffmpeg(needs.film));
    findings.extend(machine::clock());
    findings.extend(way::hosts(needs, common));
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    let told = if common.stats_json {
        let findings: Vec<_> = findings.iter().map(Finding::object).collect();
        stats::line(&json!({ "ok": !wrong, "findings": findings }).to_string())
    } else {
        let lines: Vec<_> = findings.iter().map(Finding::line).collect();
        stats::line(&lines.join("\n"))
    };
    if told == ExitCode::Ok && wrong { ExitCode::Failed } else { told }
}
