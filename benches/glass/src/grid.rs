//! What a window costs that shows several senders: the receiver's processor time, the bytes that come, and how late pictures are,
//! against what one sender costs in the same window. Beside it GStreamer's compositor, as people build a wall of cameras today.

use crate::clock::{now_us, sleep_until};
use crate::options::{Case, Options};
use crate::play::{free_port, wait_for};
use crate::rig::{self, Display, Launch, Running, Scratch};
use crate::said::{Said, number};
use crate::stats::quantile;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Senders, where nothing else is asked for.
const COUNTS: [usize; 5] = [1, 2, 4, 9, 16];

/// From when all are seen, until sizes and rates are what they stay.
const SETTLE_US: u64 = 5_000_000;

/// One count, measured; NaN is what the program does not say.
#[derive(Clone, Copy)]
struct Cost {
    /// Of a core, percent: the receiver, its X server, the senders together.
    cpu: [f64; 3],
    /// That came over the network.
    mbit_s: f64,
    /// Pictures shown a second, all together.
    shown: f64,
    /// Capture to screen, median and 95th percentile.
    latency_ms: [f64; 2],
}

/// What is measured.
struct Wall<'a> {
    case: Case,
    count: usize,
    options: &'a Options,
    scratch: &'a Path,
    display: &'a Display,
}

/// Prints a table for Eyeline and one for GStreamer.
pub fn run(options: &Options) -> Result<(), String> {
    rig::alone(&options.cores)?;
    let case = options.one(Case { width: 1280, height: 720, fps: 30 });
    let counts: &[usize] = if options.counts.is_empty() { &COUNTS } else { &options.counts };
    for (key, title) in [("eyeline", "Eyeline"), ("gst-jpeg", "GStreamer RTP/JPEG, compositor")] {
        if options.peers.as_ref().is_some_and(|peers| peers.iter().all(|peer| peer.key != key)) {
            continue;
        }
        println!(
            "\n{title}, senders of {case} in a window of {}x{}, {:.0} s each, medians of {}:\n",
            case.width, case.height, options.seconds, options.runs
        );
        println!("| senders | recv CPU % | x one's | X server % | senders % | Mbit/s | x one's | pictures/s | p50 ms | p95 ms |");
        println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        let mut one: Option<Cost> = None;
        for &count in counts {
            let runs = (0..options.runs).map(|_| {
                let scratch = Scratch::new()?;
                let display = Display::start(1600.max(case.width), 900.max(case.height), &scratch.0, None)?;
                let wall = Wall { case, count, options, scratch: &scratch.0, display: &display };
                if key == "eyeline" { wall.eyeline() } else { wall.gstreamer() }
            });
            let cost = middle(&runs.collect::<Result<Vec<_>, _>>()?);
            let of = *one.get_or_insert(cost);
            let Cost { cpu: [recv, server, senders], mbit_s, shown, latency_ms: [p50, p95] } = cost;
            println!(
                "| {count} | {recv:.1} | {:.2} | {server:.1} | {senders:.1} | {mbit_s:.2} | {:.2} | {shown:.0} | {p50:.1} \
                 | {p95:.1} |",
                recv / of.cpu[0],
                mbit_s / of.mbit_s
            );
        }
    }
    Ok(())
}

/// The median of each figure.
fn middle(runs: &[Cost]) -> Cost {
    let median = |what: &dyn Fn(&Cost) -> f64| quantile(&mut runs.iter().map(what).collect::<Vec<_>>(), 0.5);
    Cost {
        cpu: [0, 1, 2].map(|index| median(&|cost| cost.cpu[index])),
        mbit_s: median(&|cost| cost.mbit_s),
        shown: median(&|cost| cost.shown),
        latency_ms: [0, 1].map(|index| median(&|cost| cost.latency_ms[index])),
    }
}

impl Wall<'_> {
    fn launch(&self, mut command: Command, name: &str, stdout: Stdio) -> Result<Running, String> {
        command.env("DISPLAY", &self.display.name).stdin(Stdio::null()).stdout(stdout);
        Launch { command, name, cores: None, network: None }.start(self.scratch)
    }

    fn eyeline(&self) -> Result<Cost, String> {
        let (port, Case { width, height, fps }) = (free_port()?, self.case);
        let program = |name: &str, words: String| {
            let mut command = Command::new(self.options.programs.join(name));
            command.args(words.split_whitespace());
            command
        };
        let words = format!("--bind 127.0.0.1 --port {port} --no-audio --quiet --stats json");
        let mut recv = self.launch(program("recv", words), "recv", Stdio::piped())?;
        let said = Said::of(&mut recv)?;
        let mut senders = Vec::new();
        for index in 0..self.count {
            let words =
                format!("--test -s {width}x{height} -r {fps} --no-audio --quiet --name camera-{index} --host 127.0.0.1:{port}");
            senders.push(self.launch(program("send", words), &format!("send-{index}"), Stdio::null())?);
        }
        let whole = |value: &Value| number(&value["whole"]);
        wait_for(
            || {
                let tracks = said.latest()["tracks"].as_array().cloned().unwrap_or_default();
                tracks.iter().filter(|track| whole(track) > 0.0).count() == self.count
            },
            &mut recv,
        )?;
        sleep_until(now_us() + SETTLE_US);
        let shown = number(&said.latest()["shown"]);
        let mut latencies = [const { Vec::new() }; 2];
        let (mut cost, seconds) = self.measure(&mut recv, &senders, || {
            let latency = &said.latest()["latency_ms"]["all"];
            latencies[0].push(number(&latency["p50"]));
            latencies[1].push(number(&latency["p95"]));
        })?;
        cost.shown = (number(&said.latest()["shown"]) - shown) / seconds;
        cost.latency_ms = latencies.map(|mut values| quantile(&mut values, 0.5));
        Ok(cost)
    }

    fn gstreamer(&self) -> Result<Cost, String> {
        let (columns, Case { width, height, fps }) = ((1..).find(|side| side * side >= self.count).unwrap_or(1), self.case);
        let (across, down) = (width / columns, height / columns);
        let ports = (0..self.count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let gst = |words: String| {
            let mut command = Command::new("gst-launch-1.0");
            command.arg("-q").args(words.split_whitespace());
            command
        };
        let places = (0..self.count).map(|index| {
            format!("sink_{index}::xpos={} sink_{index}::ypos={}", index % columns * across, index / columns * down)
        });
        let sources = ports.iter().map(|port| {
            format!(
                "udpsrc address=127.0.0.1 port={port} \
                 caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=JPEG,payload=26 \
                 ! rtpjpegdepay ! jpegdec ! videoscale ! video/x-raw,width={across},height={down} ! queue leaky=downstream \
                 max-size-buffers=1 ! c."
            )
        });
        let mix = "compositor name=c background=black";
        let show =
            format!("! video/x-raw,width={width},height={height},framerate={fps}/1 ! videoconvert ! ximagesink sync=false");
        let words = [vec![mix.to_string()], places.collect(), vec![show], sources.collect()].concat().join(" ");
        let mut recv = self.launch(gst(words), "recv", Stdio::null())?;
        let mut senders = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let words = format!(
                "videotestsrc is-live=true pattern=smpte ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 \
                 ! timeoverlay ! jpegenc quality=80 ! rtpjpegpay mtu=1428 ! udpsink host=127.0.0.1 port={port} sync=false"
            );
            senders.push(self.launch(gst(words), &format!("send-{index}"), Stdio::null())?);
        }
        let before = rig::loopback_bytes();
        wait_for(|| rig::loopback_bytes() > before + 1e6 * self.count as f64, &mut recv)?;
        sleep_until(now_us() + SETTLE_US);
        Ok(self.measure(&mut recv, &senders, || ())?.0)
    }

    /// Looks once a second; the seconds that it took are said, too.
    fn measure(&self, recv: &mut Running, senders: &[Running], mut look: impl FnMut()) -> Result<(Cost, f64), String> {
        let all = || senders.iter().map(Running::cpu_ms).sum::<f64>();
        let before = [recv.cpu_ms(), self.display.cpu_ms(), all()];
        let (begun, bytes) = (now_us(), rig::loopback_bytes());
        for second in 1..=self.options.seconds as u64 {
            sleep_until(begun + second * 1_000_000);
            look();
        }
        let seconds = (now_us() - begun) as f64 / 1e6;
        let after = [recv.cpu_ms(), self.display.cpu_ms(), all()];
        if !recv.is_alive() {
            return Err(format!("the receiver ended: {}", recv.words()));
        }
        let cpu = [0, 1, 2].map(|index| (after[index] - before[index]) / seconds / 10.0);
        let mbit_s = (rig::loopback_bytes() - bytes) * 8.0 / seconds / 1e6;
        Ok((Cost { cpu, mbit_s, shown: f64::NAN, latency_ms: [f64::NAN; 2] }, seconds))
    }
}
