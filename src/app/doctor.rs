//! `--doctor`: what of this machine, and of the way to a host, keeps a program from working, or from working well, and the command
//! that mends it.
//!
//! A line for each thing that was looked at. Nothing is changed, and no camera's light goes on.

mod devices;
mod findings;
mod machine;
mod way;

use super::args::send::{Sound, Source};
use super::args::showing::{Showing, Speaker};
use super::args::{self, Common};
use super::stats;
use super::status::ExitCode;
use findings::{Finding, Verdict};
use serde_json::json;

/// What a program needs for what it is asked to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    pub camera: bool,
    pub microphone: bool,
    /// For a window, or as a source.
    pub display: bool,
    pub speaker: bool,
    /// It plays a film.
    pub film: bool,
    /// It has something for others.
    pub offers: bool,
    /// It wants what others have.
    pub wants: bool,
}

impl Needs {
    /// What `send` needs.
    pub fn of_send(send: &args::Send) -> Self {
        Needs {
            camera: send.video && matches!(send.source, Source::Camera(_)),
            microphone: matches!(send.sound, Some(Sound::Microphone(_))),
            display: send.preview.is_some() || matches!(send.source, Source::Screen(_)),
            film: matches!(send.source, Source::Film { .. }),
            offers: true,
            ..Needs::default()
        }
    }

    /// What is shown and heard needs.
    pub fn of_showing(showing: &Showing) -> Self {
        Needs { display: showing.window, speaker: showing.speaker != Speaker::Off, wants: true, ..Needs::default() }
    }

    /// What `call` needs.
    pub fn of_call(call: &args::Call) -> Self {
        let (send, show) = (Needs::of_send(&call.send), Needs::of_showing(&call.showing));
        Needs { display: send.display || show.display, speaker: show.speaker, wants: true, ..send }
    }
}

/// Looks at all of it and says what was found: exit 0 where nothing is wrong, else 1.
pub fn run(needs: Needs, common: &Common) -> ExitCode {
    let mut findings = Vec::new();
    if needs.camera {
        findings.extend(devices::cameras());
    }
    if needs.microphone {
        findings.extend(devices::microphones());
    }
    if needs.speaker {
        findings.extend(devices::speakers());
    }
    if needs.display {
        findings.push(machine::display());
    }
    findings.extend(way::port(common));
    findings.push(machine::firewall(common));
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
