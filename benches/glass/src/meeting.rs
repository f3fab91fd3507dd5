//! What a meeting point costs that passes everybody's pictures on to everybody, and what they wait there: beside a pair that is
//! linked directly, in the same run.

use crate::clock::{now_us, sleep_until};
use crate::options::{Case, Options};
use crate::play::{free_port, wait_for};
use crate::rig::{self, Display, Launch, Running, Scratch};
use crate::said::{Said, number};
use crate::stats::quantile;
use std::path::Path;
use std::process::{Command, Stdio};

/// Members, where nothing else is asked for.
const COUNTS: [usize; 4] = [2, 3, 4, 6];

/// From when all are seen, until sizes and rates are what they stay.
const SETTLE_US: u64 = 5_000_000;

/// One meeting, measured.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Of a core, percent: the meeting point, and the member that looks.
    cpu: [f64; 2],
    /// Of the meeting point, MiB.
    memory: f64,
    /// Through the network, all links together.
    mbit_s: f64,
    /// Pictures of each other member a second, where they are seen.
    whole: f64,
    /// Capture to screen, median and 95th percentile.
    latency_ms: [f64; 2],
}

struct Meeting<'a> {
    case: Case,
    options: &'a Options,
    scratch: &'a Path,
    display: &'a Display,
}

/// Prints the table.
pub fn run(options: &Options) -> Result<(), String> {
    rig::alone(&options.cores)?;
    let case = options.one(Case { width: 640, height: 480, fps: 30 });
    let counts: &[usize] = if options.counts.is_empty() { &COUNTS } else { &options.counts };
    println!("\nMeetings of {case}, one member looks, {:.0} s each, medians of {}:\n", options.seconds, options.runs);
    println!("| members | point CPU % | MiB | looking CPU % | Mbit/s | pictures/s of each | p50 ms | p95 ms |");
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    let ways = std::iter::once((2, true)).chain(counts.iter().filter(|count| **count > 1).map(|count| (*count, false)));
    for (members, direct) in ways {
        let runs = (0..options.runs).map(|_| {
            let scratch = Scratch::new()?;
            let display = Display::start(1600, 900, &scratch.0, None)?;
            Meeting { case, options, scratch: &scratch.0, display: &display }.measure(members, direct)
        });
        let Cost { cpu: [point, looks], memory, mbit_s, whole, latency_ms: [p50, p95] } =
            middle(&runs.collect::<Result<Vec<_>, _>>()?);
        let name = if direct { "2, directly".into() } else { members.to_string() };
        println!("| {name} | {point:.1} | {memory:.1} | {looks:.1} | {mbit_s:.2} | {whole:.1} | {p50:.2} | {p95:.2} |");
    }
    Ok(())
}

/// The median of each figure.
fn middle(runs: &[Cost]) -> Cost {
    let median = |what: &dyn Fn(&Cost) -> f64| quantile(&mut runs.iter().map(what).collect::<Vec<_>>(), 0.5);
    Cost {
        cpu: [0, 1].map(|index| median(&|cost| cost.cpu[index])),
        memory: median(&|cost| cost.memory),
        mbit_s: median(&|cost| cost.mbit_s),
        whole: median(&|cost| cost.whole),
        latency_ms: [0, 1].map(|index| median(&|cost| cost.latency_ms[index])),
    }
}

impl Meeting<'_> {
    fn call(&self, name: &str, words: &str, stdout: Stdio) -> Result<Running, String> {
        let mut command = Command::new(self.options.programs.join("call"));
        command.args(words.split_whitespace()).args(["--name", name, "--no-audio", "--quiet", "--stats", "json"]);
        command.env("DISPLAY", &self.display.name).stdin(Stdio::null()).stdout(stdout);
        Launch { command, name, cores: None, network: None }.start(self.scratch)
    }

    /// Who waits is a meeting point without a person or, `direct`, a member.
    fn measure(&self, members: usize, direct: bool) -> Result<Cost, String> {
        let (port, Case { width, height, fps }) = (free_port()?, self.case);
        let source = format!("--test -s {width}x{height} -r {fps}");
        let what = if direct { source.as_str() } else { "--no-video" };
        let waits = self.call("point", &format!("{what} --no-window --bind 127.0.0.1 --port {port}"), Stdio::null())?;
        let mut looks = self.call("looks", &format!("{source} --host 127.0.0.1:{port}"), Stdio::piped())?;
        let said = Said::of(&mut looks)?;
        let others = members - 1;
        let mut others_run = Vec::new();
        for index in usize::from(direct)..others {
            let words = format!("{source} --no-window --host 127.0.0.1:{port}");
            others_run.push(self.call(&format!("member-{index}"), &words, Stdio::null())?);
        }
        let seen = || {
            let tracks = said.latest()["tracks"].as_array().cloned().unwrap_or_default();
            tracks.iter().filter(|track| number(&track["whole"]) > 0.0).count()
        };
        wait_for(|| seen() == others, &mut looks)?;
        sleep_until(now_us() + SETTLE_US);
        let now = || ([waits.cpu_ms(), looks.cpu_ms()], rig::loopback_bytes(), number(&said.latest()["whole"]), now_us());
        let (cpu, bytes, whole, begun) = now();
        let mut latencies = [const { Vec::new() }; 2];
        for second in 1..=self.options.seconds as u64 {
            sleep_until(begun + second * 1_000_000);
            let latency = &said.latest()["latency_ms"]["all"];
            latencies[0].push(number(&latency["p50"]));
            latencies[1].push(number(&latency["p95"]));
        }
        let (cpu_after, bytes_after, whole_after, ended) = now();
        if !looks.is_alive() {
            return Err(format!("the member that looks ended: {}", looks.words()));
        }
        let seconds = (ended - begun) as f64 / 1e6;
        Ok(Cost {
            cpu: [0, 1].map(|index| (cpu_after[index] - cpu[index]) / seconds / 10.0),
            memory: waits.rss_mib(),
            mbit_s: (bytes_after - bytes) * 8.0 / seconds / 1e6,
            whole: (whole_after - whole) / seconds / others as f64,
            latency_ms: latencies.map(|mut values| quantile(&mut values, 0.5)),
        })
    }
}
