//! The table, and how its figures stand against what Eyeline must reach.

use crate::glass::{Case, Options};
use crate::peers::{Kind, Peer};
use crate::stats::{Figures, quantile};

/// A figure of a row.
#[derive(Clone, Copy)]
pub enum Column {
    Expected,
    Shown,
    Damaged,
    Torn,
    P50,
    P95,
    P99,
    Max,
    Jitter50,
    Jitter99,
    CpuSend,
    CpuRecv,
    MibSend,
    MibRecv,
    Mbit,
    StatsP50,
    Payload,
    WithHeaders,
}

const COLUMNS: usize = Column::WithHeaders as usize + 1;

/// What was measured of one peer in one run; what was not is NaN.
#[derive(Clone, Copy)]
pub struct Row([f64; COLUMNS]);

impl Row {
    /// What the pixels said.
    pub fn new(figures: &Figures) -> Row {
        let mut row = Row([f64::NAN; COLUMNS]);
        let [p50, p95, p99, max] = figures.latency;
        let [jitter50, jitter99] = figures.jitter;
        for (column, value) in [
            (Column::Expected, figures.expected),
            (Column::Shown, figures.shown),
            (Column::Damaged, figures.damaged),
            (Column::P50, p50),
            (Column::P95, p95),
            (Column::P99, p99),
            (Column::Max, max),
            (Column::Jitter50, jitter50),
            (Column::Jitter99, jitter99),
        ] {
            row.set(column, value);
        }
        row
    }

    /// One figure.
    pub fn get(&self, column: Column) -> f64 {
        self.0[column as usize]
    }

    /// Sets it.
    pub fn set(&mut self, column: Column, value: f64) {
        self.0[column as usize] = value;
    }

    /// For the line that says how far the bench is.
    pub fn brief(&self) -> String {
        let get = |column| self.get(column);
        format!(
            "p50 {:.1} p99 {:.1} ms, {:.0} of {:.0} shown, CPU {:.1} + {:.1} ms",
            get(Column::P50),
            get(Column::P99),
            get(Column::Shown),
            get(Column::Expected),
            get(Column::CpuSend),
            get(Column::CpuRecv)
        )
    }

    /// Of each figure, the median over the runs.
    fn median(rows: &[Row]) -> Option<Row> {
        let middle = |column: usize| {
            let mut values: Vec<f64> = rows.iter().map(|row| row.0[column]).filter(|value| !value.is_nan()).collect();
            quantile(&mut values, 0.5)
        };
        (!rows.is_empty()).then(|| Row(std::array::from_fn(middle)))
    }

    fn cpu(&self) -> f64 {
        self.get(Column::CpuSend) + self.get(Column::CpuRecv)
    }

    /// Whether it showed enough to be compared with.
    fn shows(&self) -> bool {
        self.get(Column::Shown) >= 0.99 * self.get(Column::Expected)
    }
}

/// Prints the table of one size, in Markdown, and the targets.
pub fn print(case: Case, options: &Options, plain: f64, rows: &[(&Peer, Vec<Row>)]) {
    let rows: Vec<(&Peer, Row)> = rows.iter().filter_map(|(peer, rows)| Some((*peer, Row::median(rows)?))).collect();
    let best = rows.iter().filter(|(peer, row)| peer.kind == Kind::Peer && row.shows()).map(|(_, row)| row.get(Column::P50));
    let best = best.fold(f64::NAN, f64::min);
    println!(
        "\n### {case}: {} s, {} run{}, plain JPEGs of {:.0} KB\n",
        options.seconds,
        options.runs,
        if options.runs == 1 { "" } else { "s, medians" },
        plain / 1e3
    );
    println!(
        "| | p50 | p95 | p99 | max ms | of best peer | lost | damaged | jitter p50 / p99 ms | CPU ms a picture: send + recv | peak MiB: send, recv | Mbit/s | stats' p50 |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (peer, row) in &rows {
        let get = |column| row.get(column);
        let stats = if get(Column::StatsP50).is_nan() { String::new() } else { format!("{:.1}", get(Column::StatsP50)) };
        let lost = (get(Column::Expected) - get(Column::Shown)).max(0.0);
        let few = if peer.kind == Kind::Peer && !row.shows() { " (not counted)" } else { "" };
        println!(
            "| {}{few} | {:.1} | {:.1} | {:.1} | {:.0} | {:.2} | {:.0} of {:.0} | {:.0} | {:.1} / {:.1} | {:.1} + {:.1} | {:.0}, {:.0} | {:.1} | {} |",
            peer.title,
            get(Column::P50),
            get(Column::P95),
            get(Column::P99),
            get(Column::Max),
            get(Column::P50) / best,
            lost,
            get(Column::Expected),
            get(Column::Damaged),
            get(Column::Jitter50),
            get(Column::Jitter99),
            get(Column::CpuSend),
            get(Column::CpuRecv),
            get(Column::MibSend),
            get(Column::MibRecv),
            get(Column::Mbit),
            stats
        );
    }
    println!();
    for line in targets(case, &rows, best, plain) {
        println!("{line}");
    }
}

/// One line for each target that applies to this size and could be measured.
fn targets(case: Case, rows: &[(&Peer, Row)], best: f64, plain: f64) -> Vec<String> {
    let find = |key: &str| rows.iter().find(|(peer, _)| peer.key == key).map(|(_, row)| *row);
    let Some(own) = find("eyeline") else { return Vec::new() };
    let floor = find("show").map_or(f64::NAN, |row| row.get(Column::P50));
    let mut lines = Vec::new();
    let mut target = |what: &str, value: f64, limit: f64, unit: &str| {
        if value.is_finite() && limit.is_finite() {
            lines.push(format!(
                "- {} {what}: {value:.2}{unit}, wanted at most {limit:.2}{unit}",
                if value <= limit { "met   " } else { "MISSED" }
            ));
        }
    };
    let p50 = own.get(Column::P50);
    let high = case.height >= 720;
    let share = if case.height >= 1080 {
        0.5
    } else if high {
        0.6
    } else {
        0.7
    };
    let above = if floor > share * best / 2.0 {
        format!(" (above the floor of {floor:.1} ms: {:.1} ms)", p50 - floor)
    } else {
        String::new()
    };
    target(&format!("p50 of the best peer's{above}"), p50 / best, share, " x");
    if let Some(gst) = find("gst-jpeg").filter(Row::shows) {
        if case.height >= 1080 {
            target("p50 of GStreamer RTP/JPEG's", p50 / gst.get(Column::P50), 0.4, " x");
        }
        if high {
            target("CPU of GStreamer RTP/JPEG's", own.cpu() / gst.cpu(), if case.height >= 1080 { 0.5 } else { 0.6 }, " x");
        }
        if let Some(passed) = find("eyeline-jpegs") {
            target(
                "sender's CPU with JPEGs passed through, of GStreamer's from raw",
                passed.get(Column::CpuSend) / gst.get(Column::CpuSend),
                0.15,
                " x",
            );
        }
    }
    if high {
        target("p99 against the best peer's p50", own.get(Column::P99), best, " ms");
        let single = find("jpeg").map_or(f64::NAN, |row| row.get(Column::P50));
        target("p50 against the floor of JPEG in one thread", p50, single, " ms");
    }
    if let Some(two) = find("eyeline-2") {
        target("p50 on two cores against the best peer's", two.get(Column::P50), best, " ms");
    }
    if case.height == 1080 {
        target("peak memory of send", own.get(Column::MibSend), 48.0, " MiB");
        target("peak memory of recv", own.get(Column::MibRecv), 48.0, " MiB");
    }
    if plain > 100e3 {
        target("UDP payload of plain JPEGs'", own.get(Column::Payload), 1.04, " x");
        target("the same with IP and UDP headers", own.get(Column::WithHeaders), 1.06, " x");
    }
    target("pictures lost", own.get(Column::Expected) - own.get(Column::Shown), 0.01 * own.get(Column::Expected), "");
    target("stats' p50 from the glass's", (own.get(Column::StatsP50) - p50).abs(), 2.0, " ms");
    lines
}
