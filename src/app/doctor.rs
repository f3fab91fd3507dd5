//! `--doctor`: what of this machine, and of the way to a host, keeps a program from working, or from working well, and the command
//! that mends it.
//!
//! A line for each thing that was looked at. Nothing is changed, and no camera's light goes on.

mod devices;
mod findings;
mod machine;
mod way;

use super::args::Common;
use super::stats;
use super::status::ExitCode;
use findings::{Finding, Verdict};
use serde_json::json;

/// What a program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// As it is called.
    pub program: &'static str,
    /// A camera and a microphone.
    pub source: bool,
    /// A display and a speaker.
    pub screen: bool,
}

/// Looks at all of it and says what was found: exit 0 where nothing is wrong, else 1.
pub fn run(needs: Needs, common: &Common) -> ExitCode {
    let mut findings = Vec::new();
    if needs.source {
        findings.extend(devices::cameras());
        findings.extend(devices::microphones());
    }
    if needs.screen {
        findings.extend(devices::speakers());
        findings.push(machine::display());
    }
    findings.extend(way::port(common));
    findings.push(machine::firewall(common));
    findings.extend(machine::buffers());
    findings.extend(machine::wireless());
    findings.extend(machine::processor());
    findings.push(machine::ffmpeg());
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
