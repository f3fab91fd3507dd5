//! The glass bench: each peer in turn plays the same live picture, and the time is read off the displayed pixels.

use crate::clock::sleep_until;
use crate::options::{Case, Options};
use crate::peers::{Kind, Peer};
use crate::play::{Line, Stage};
use crate::report::{self, Column, Row};
use crate::rig::{self, Running};
use crate::scene::{self, Probes, Shape};
use crate::screen::Barcoded;
use crate::source::{self, Format};
use crate::stats::{Figures, Log, quantile};

/// Not measured after the first picture was seen: programs warm up.
const SKIP_US: u64 = 2_000_000;

/// Pictures in the loop: enough that no codec sees the same one often, few enough to fit into memory at 4K.
pub const LOOP: usize = 40;

/// Runs everything and prints the tables.
pub fn run(options: &Options) -> Result<(), String> {
    rig::alone(&options.cores)?;
    for case in &options.cases {
        let shape = Shape::new(case.width, case.height, LOOP)?;
        let mut frames = scene::render(shape);
        let probes = Probes::new(shape, &frames);
        let plain = source::plain_jpeg_bytes(shape, &frames)?;
        let mut rows: Vec<(&Peer, Vec<Row>)> = options.peers(*case).map(|peer| (peer, Vec::new())).collect();
        for run in 1..=options.runs {
            for (peer, rows) in &mut rows {
                let mut meter = Meter { options, case: *case, shape, probes: &probes, plain };
                match meter.measure(peer, &mut frames) {
                    Ok(row) => {
                        rig::progress(&format!("{case} {run}/{} {}: {}", options.runs, peer.title, row.brief()));
                        rows.push(row);
                    }
                    Err(why) => rig::progress(&format!("{case} {run}/{} {}: {why}", options.runs, peer.title)),
                }
            }
        }
        report::print(*case, options, plain, &rows);
    }
    Ok(())
}

struct Meter<'a> {
    options: &'a Options,
    case: Case,
    shape: Shape,
    probes: &'a Probes,
    plain: f64,
}

impl Meter<'_> {
    fn measure(&mut self, peer: &Peer, frames: &mut [Vec<u8>]) -> Result<Row, String> {
        let Options { programs, scripts, seconds, .. } = self.options;
        let piece = Barcoded { shape: self.shape, probes: self.probes };
        let stage = Stage { piece: &piece, fps: self.case.fps, programs, scripts, cable: None };
        let played = stage.play(peer, frames, |send, recv, seen_us| Ok(window(send, recv.as_deref(), seen_us, *seconds)))?;
        Ok(self.row(peer, &played.seen, &played.scene, &played.lines))
    }

    fn row(&self, peer: &Peer, log: &Log, times: &Times, lines: &[Line]) -> Row {
        let figures = Figures::of(log, self.case.fps as f64, times.from, times.to);
        let pictures = figures.expected.max(1.0);
        let mut row = Row::new(&figures);
        row.set(Column::CpuSend, times.used[0] / pictures);
        row.set(Column::CpuRecv, times.used[1] / pictures);
        row.set(Column::MibSend, times.peak[0]);
        row.set(Column::MibRecv, times.peak[1]);
        row.set(Column::Mbit, times.used[2] * 8.0 / 1e3 / ((times.to - times.from) as f64 / 1e3));
        row.set(Column::Torn, log.torn as f64);
        let counted: Vec<&Line> =
            lines.iter().filter(|line| (times.from + 1_000_000..times.to + 1_000_000).contains(&line.at_us)).collect();
        if let (Kind::Eyeline, Some(first), Some(last)) = (peer.kind, counted.first(), counted.last()) {
            let mut p50: Vec<f64> = counted.iter().map(|line| line.p50).filter(|p50| p50.is_finite()).collect();
            row.set(Column::StatsP50, quantile(&mut p50, 0.5));
            let shown = last.shown - first.shown;
            if shown > 0.0 && peer.format == Format::Y4m {
                let (bytes, datagrams) = (last.bytes - first.bytes, last.datagrams - first.datagrams);
                row.set(Column::Payload, bytes / shown / self.plain);
                // IPv4 and UDP.
                row.set(Column::WithHeaders, (bytes + 28.0 * datagrams) / shown / self.plain);
            }
        }
        row
    }
}

/// Waits over the time that counts; reads clocks at both ends of it.
fn window(send: &Running, recv: Option<&Running>, seen_us: u64, seconds: f64) -> Times {
    let from = seen_us + SKIP_US;
    let to = from + (seconds * 1e6) as u64;
    sleep_until(from);
    let read = || [send.cpu_ms(), recv.map_or(0.0, Running::cpu_ms), rig::loopback_bytes()];
    let before = read();
    sleep_until(to);
    let after = read();
    let peak = [send.peak_mib(), recv.map_or(f64::NAN, Running::peak_mib)];
    // Pictures under way are still seen, and a last line of statistics comes.
    sleep_until(to + 1_200_000);
    Times { from, to, used: [0, 1, 2].map(|i| after[i] - before[i]), peak }
}

struct Times {
    from: u64,
    to: u64,
    used: [f64; 3],
    peak: [f64; 2],
}
