//! The tables of the motion bench, and how their figures stand against what is wanted.

use super::quality::Quality;
use super::scenes::Class;
use crate::options::Case;
use crate::peers::Peer;
use crate::stats::quantile;

/// What was measured of one peer in one run; what was not is NaN.
#[derive(Clone, Copy)]
pub struct Row {
    /// On the wire a picture, headers and what comes back included.
    pub bytes: f64,
    /// Processor time of the sender, ms a picture.
    pub send: f64,
    /// And of the receiver.
    pub recv: f64,
    /// Latency, ms.
    pub p50: f64,
    /// See above.
    pub p95: f64,
    /// Share of the pictures that were on the screen.
    pub shown: f64,
    /// The longest time in which nothing newer came, ms.
    pub freeze_ms: f64,
    /// What it looked like.
    pub quality: Option<Quality>,
}

impl Row {
    /// For the line that says how far the bench is.
    pub fn brief(&self) -> String {
        let psnr = self.psnr();
        let Row { bytes, send, recv, p50, shown, .. } = self;
        format!("{:.1} kB, {send:.2} + {recv:.2} ms, p50 {p50:.1} ms, {psnr:.2} dB, {:.0} % shown", bytes / 1e3, shown * 100.0)
    }

    fn cpu(&self) -> f64 {
        self.send + self.recv
    }

    fn psnr(&self) -> f64 {
        self.quality.map_or(f64::NAN, |quality| quality.psnr)
    }

    /// Of each figure, the median over the runs.
    fn median(rows: &[Row]) -> Option<Row> {
        let middle = |figure: &dyn Fn(&Row) -> f64| {
            let mut values: Vec<f64> = rows.iter().map(figure).filter(|value| !value.is_nan()).collect();
            quantile(&mut values, 0.5)
        };
        let seen = |figure: fn(&Quality) -> f64| middle(&|row| row.quality.as_ref().map_or(f64::NAN, figure));
        (!rows.is_empty()).then(|| Row {
            bytes: middle(&|row| row.bytes),
            send: middle(&|row| row.send),
            recv: middle(&|row| row.recv),
            p50: middle(&|row| row.p50),
            p95: middle(&|row| row.p95),
            shown: middle(&|row| row.shown),
            freeze_ms: middle(&|row| row.freeze_ms),
            quality: rows.iter().any(|row| row.quality.is_some()).then(|| Quality {
                psnr: seen(|quality| quality.psnr),
                ssim: seen(|quality| quality.ssim),
                residue: seen(|quality| quality.residue),
                age_ms: seen(|quality| quality.age_ms),
            }),
        })
    }
}

struct Played {
    title: &'static str,
    class: Class,
    runs: usize,
    rows: Vec<(&'static Peer, Vec<Row>)>,
}

/// All that was measured at one size.
pub struct Table {
    case: Case,
    scenes: Vec<Played>,
}

impl Table {
    /// An empty one.
    pub fn new(case: Case) -> Table {
        Table { case, scenes: Vec::new() }
    }

    /// What follows is of this scene.
    pub fn begin(&mut self, title: &'static str, class: Class, runs: usize) {
        self.scenes.push(Played { title, class, runs, rows: Vec::new() });
    }

    /// The scene that is played.
    pub fn scene(&self) -> &str {
        self.scenes.last().map_or("", |scene| scene.title)
    }

    /// Whether a peer is measured in the scene that is played: of H.264 one quantizer will do but for those it is compared in.
    pub fn is_for(&self, peer: &Peer) -> bool {
        let compared = self.scenes.last().is_some_and(|scene| scene.class == Class::Webcam);
        compared || !peer.key.starts_with("h264") || peer.key == "h264-26"
    }

    /// One run of one peer.
    pub fn add(&mut self, peer: &'static Peer, row: Row) {
        let Some(scene) = self.scenes.last_mut() else { return };
        match scene.rows.iter_mut().find(|(known, _)| known.key == peer.key) {
            Some((_, rows)) => rows.push(row),
            None => scene.rows.push((peer, vec![row])),
        }
    }

    /// Prints it in Markdown, and the verdicts; false where one is missed.
    pub fn print(&self) -> bool {
        println!(
            "\n### {}: kB on the wire and ms of processor time a picture, latency, and what is seen against the clean scene\n",
            self.case
        );
        println!("| scene | | kB | CPU send + recv | p50 | p95 ms | PSNR dB | SSIM | worst residue | worst age ms | shown |");
        println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        let mut verdicts = Verdicts::default();
        for scene in &self.scenes {
            let rows: Vec<(&Peer, Row)> =
                scene.rows.iter().filter_map(|(peer, rows)| Some((*peer, Row::median(rows)?))).collect();
            for (peer, row) in &rows {
                let runs = if scene.runs > 1 { format!(" ({} runs)", scene.runs) } else { String::new() };
                print_row(&format!("{}{runs}", scene.title), peer.title, row);
            }
            verdicts.judge(scene, &rows);
        }
        println!();
        verdicts.lines.iter().for_each(|line| println!("{line}"));
        !verdicts.missed
    }
}

fn print_row(scene: &str, peer: &str, row: &Row) {
    let Row { bytes, send, recv, p50, p95, shown, .. } = row;
    let [psnr, ssim, residue, age] =
        row.quality.map_or([f64::NAN; 4], |Quality { psnr, ssim, residue, age_ms }| [psnr, ssim, residue, age_ms]);
    println!(
        "| {scene} | {peer} | {:.1} | {send:.2} + {recv:.2} | {p50:.1} | {p95:.1} | {psnr:.2} | {ssim:.4} | {residue:.1} | {age:.0} | {:.1} % |",
        bytes / 1e3,
        shown * 100.0
    );
}

#[derive(Default)]
struct Verdicts {
    lines: Vec<String>,
    missed: bool,
}

impl Verdicts {
    fn at_most(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        let known = value.is_finite() && limit.is_finite();
        let word = if !known {
            "not measured"
        } else if value <= limit {
            "met"
        } else {
            "**missed**"
        };
        self.missed |= known && value > limit;
        self.lines.push(format!("- {word}: {what}: {value:.3}{unit}, wanted at most {limit:.3}{unit}"));
    }

    fn at_least(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        let word = if value.is_nan() {
            "not measured"
        } else if value >= limit {
            "met"
        } else {
            "**missed**"
        };
        self.missed |= value < limit;
        self.lines.push(format!("- {word}: {what}: {value:.2}{unit}, wanted at least {limit:.2}{unit}"));
    }

    fn judge(&mut self, scene: &Played, rows: &[(&Peer, Row)]) {
        let find = |key: &str| rows.iter().find(|(peer, _)| peer.key == key).map(|(_, row)| *row);
        let Some(own) = find("eyeline") else { return };
        let title = scene.title;
        if let Some(whole) = find("eyeline-whole") {
            let (bytes, cpu, p50) = (own.bytes / whole.bytes, own.cpu() / whole.cpu(), own.p50 / whole.p50);
            let (most_bytes, most_cpu, most_p50) = match scene.class {
                Class::Webcam => (0.2, 0.4, 1.0),
                Class::Still => (0.03, 0.12, f64::NAN),
                Class::All => (1.02, 1.1, 1.03),
                Class::Other => (1.02, f64::NAN, f64::NAN),
            };
            self.at_most(&format!("{title}: bytes of sending everything"), bytes, most_bytes, " x");
            if most_cpu.is_finite() {
                self.at_most(&format!("{title}: CPU of sending everything"), cpu, most_cpu, " x");
            }
            if most_p50.is_finite() {
                self.at_most(&format!("{title}: p50 of sending everything"), p50, most_p50, " x");
            }
            let (what, gain) = (format!("{title}: PSNR above sending everything"), own.psnr() - whole.psnr());
            match scene.class {
                Class::Still => self.at_least(&what, gain, 2.5, " dB"),
                Class::All => self.at_least(&what, gain, -0.3, " dB"),
                // What is below the detector's limits is not sent; what was still may be better than ever.
                Class::Webcam | Class::Other => self.lines.push(format!("- {what}: {gain:.2} dB")),
            }
        }
        let age = own.quality.map_or(f64::NAN, |quality| quality.age_ms);
        self.at_most(&format!("{title}: longest that a block was off by 6 levels"), age, 300.0, " ms");
        if scene.class != Class::Webcam {
            return;
        }
        if let Some(gst) = find("gst-jpeg") {
            self.at_most(&format!("{title}: CPU of GStreamer RTP/JPEG's"), own.cpu() / gst.cpu(), 0.35, " x");
        }
        let h264 = rows.iter().filter(|(peer, _)| peer.key.starts_with("h264"));
        let Some((peer, best)) = h264.max_by(|(_, a), (_, b)| a.psnr().total_cmp(&b.psnr())) else { return };
        // At a finer quantizer it codes the noise and is farther from the clean scene, so that there is a best one.
        let name = format!("{title}: of {}'s, its best: {:.2} dB against {:.2}", peer.title, best.psnr(), own.psnr());
        self.at_most(&format!("{name}; bytes"), own.bytes / best.bytes, 1.5, " x");
        self.at_most(&format!("{name}; CPU"), own.cpu() / best.cpu(), 0.35, " x");
        self.at_most(&format!("{name}; p50"), own.p50 / best.p50, 0.6, " x");
    }
}

/// The same scene over a clean and a lossy link; false where a verdict is missed.
pub fn print_loss(case: Case, scene: &str, clean: &Row, lossy: &Row) -> bool {
    println!("\n### {case}, {scene}, over a link of 60 ms there and back\n");
    println!("| scene | | kB | CPU send + recv | p50 | p95 ms | PSNR dB | SSIM | worst residue | worst age ms | shown |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    print_row(scene, "nothing is lost", clean);
    print_row(scene, "5 % are lost, each way", lossy);
    println!();
    let mut verdicts = Verdicts::default();
    verdicts.at_most("5 % lost: bytes of the clean link's", lossy.bytes / clean.bytes, 1.3, " x");
    verdicts.at_most("5 % lost: longest freeze", lossy.freeze_ms, 100.0, " ms");
    let age = lossy.quality.map_or(f64::NAN, |quality| quality.age_ms);
    verdicts.at_most("5 % lost: longest that a block was off by 6 levels", age, 300.0, " ms");
    verdicts.lines.iter().for_each(|line| println!("{line}"));
    !verdicts.missed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_was_not_measured_is_neither_met_nor_missed() {
        let mut verdicts = Verdicts::default();
        verdicts.at_most("it", f64::NAN, 1.0, "");
        verdicts.at_least("it", f64::NAN, 1.0, "");
        assert!(!verdicts.missed && verdicts.lines.iter().all(|line| line.starts_with("- not measured")));
        verdicts.at_most("it", 2.0, 1.0, "");
        assert!(verdicts.missed);
    }
}
