//! The table, and how its figures stand against what Eyeline must reach.

use crate::options::{Case, Options};
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
    let disagreement = worst_disagreement(rows);
    let rows: Vec<(&Peer, Row)> = rows.iter().filter_map(|(peer, rows)| Some((*peer, Row::median(rows)?))).collect();
    let best = rows.iter().filter(|(peer, row)| peer.kind == Kind::Peer && row.shows()).map(|(_, row)| row.get(Column::P50));
    let best = best.fold(f64::NAN, f64::min);
    let floor = find(&rows, "show").map_or(f64::NAN, |row| row.get(Column::P50));
    println!(
        "\n### {case}: {} s, {} run{}, {}plain JPEGs of {:.0} KB\n",
        options.seconds,
        options.runs,
        if options.runs == 1 { "" } else { "s, medians" },
        if options.cores.is_empty() { String::new() } else { format!("everything on processors {:?}, ", options.cores) },
        plain / 1e3
    );
    println!(
        "| | p50 | p95 | p99 | max ms | of best peer | above floor ms | lost | damaged | jitter p50 / p99 ms | CPU ms a picture: send + recv | peak MiB: send, recv | Mbit/s | stats' p50 |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (peer, row) in &rows {
        print_row(peer, row, best, floor);
    }
    println!();
    let verdicts = Verdicts { case, rows: &rows, best, floor, plain, disagreement, lines: Vec::new() };
    for line in verdicts.all(options.cores.is_empty()) {
        println!("{line}");
    }
}

fn print_row(peer: &Peer, row: &Row, best: f64, floor: f64) {
    let get = |column| row.get(column);
    // What was not measured is left empty.
    let number = |value: f64, places: usize| if value.is_finite() { format!("{value:.places$}") } else { String::new() };
    let few = if peer.kind == Kind::Peer && !row.shows() { " (not counted)" } else { "" };
    println!(
        "| {}{few} | {:.1} | {:.1} | {:.1} | {:.0} | {} | {} | {:.0} of {:.0} | {:.0} | {:.1} / {:.1} | {:.1} + {:.1} | {:.0}, {} | {:.1} | {} |",
        peer.title,
        get(Column::P50),
        get(Column::P95),
        get(Column::P99),
        get(Column::Max),
        number(get(Column::P50) / best, 2),
        number(get(Column::P50) - floor, 1),
        (get(Column::Expected) - get(Column::Shown)).max(0.0),
        get(Column::Expected),
        get(Column::Damaged),
        get(Column::Jitter50),
        get(Column::Jitter99),
        get(Column::CpuSend),
        get(Column::CpuRecv),
        get(Column::MibSend),
        number(get(Column::MibRecv), 0),
        get(Column::Mbit),
        number(get(Column::StatsP50), 1)
    );
}

/// How far Eyeline's own p50 was from the glass's, in the run where it was farthest.
fn worst_disagreement(rows: &[(&Peer, Vec<Row>)]) -> f64 {
    let own = rows.iter().filter(|(peer, _)| peer.key == "eyeline").flat_map(|(_, rows)| rows);
    own.map(|row| (row.get(Column::StatsP50) - row.get(Column::P50)).abs()).fold(f64::NAN, f64::max)
}

fn find(rows: &[(&Peer, Row)], key: &str) -> Option<Row> {
    rows.iter().find(|(peer, _)| peer.key == key).map(|(_, row)| *row)
}

/// Pictures above this many bytes are large enough for the overhead to be judged.
const LARGE: f64 = 100e3;

/// One line for each target that applies to a size: met, missed, or why it is not judged.
struct Verdicts<'a> {
    case: Case,
    rows: &'a [(&'a Peer, Row)],
    best: f64,
    floor: f64,
    plain: f64,
    disagreement: f64,
    lines: Vec<String>,
}

impl Verdicts<'_> {
    fn add(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        self.lines.push(match (value.is_finite() && limit.is_finite(), value <= limit) {
            (false, _) => format!("- not measured: {what}"),
            (true, true) => format!("- met: {what}: {value:.3}{unit}, wanted at most {limit:.3}{unit}"),
            (true, false) => format!("- **missed**: {what}: {value:.3}{unit}, wanted at most {limit:.3}{unit}"),
        });
    }

    fn all(mut self, all_cores: bool) -> Vec<String> {
        let Some(own) = find(self.rows, "eyeline") else { return Vec::new() };
        if !all_cores {
            self.add("p50 of the best peer's, on these processors", own.get(Column::P50) / self.best, 1.0, " x");
            return self.lines;
        }
        if self.case.height <= 1080 {
            self.latency(&own);
            self.processor(&own);
        }
        if self.case.height == 1080 {
            self.add("peak memory of send", own.get(Column::MibSend), 48.0, " MiB");
            self.add("peak memory of recv", own.get(Column::MibRecv), 48.0, " MiB");
        }
        let (payload, with_headers) = (own.get(Column::Payload), own.get(Column::WithHeaders));
        if self.plain > LARGE {
            self.add("UDP payload of plain JPEGs'", payload, 1.04, " x");
            self.add("the same with IP and UDP headers", with_headers, 1.06, " x");
        } else {
            self.lines.push(format!(
                "- not judged below 100 KB a picture: UDP payload of plain JPEGs': {payload:.3} x, with headers {with_headers:.3} x"
            ));
        }
        // Of the largest pictures none may be lost; else a hundredth, as with peers.
        let lost = if self.case.height > 1080 { 0.0 } else { 0.01 * own.get(Column::Expected) };
        self.add("pictures lost", own.get(Column::Expected) - own.get(Column::Shown), lost, "");
        self.add("stats' p50 from the glass's, in the worst run", self.disagreement, 2.0, " ms");
        self.lines
    }

    fn latency(&mut self, own: &Row) {
        let (p50, high) = (own.get(Column::P50), self.case.height >= 720);
        let share = match self.case.height {
            1080.. => 0.5,
            720.. => 0.6,
            _ => 0.7,
        };
        let gst = find(self.rows, "gst-jpeg").filter(Row::shows).map_or(f64::NAN, |row| row.get(Column::P50));
        // Where the floor is above half of a target, nobody could reach much less; then the time above it says more.
        let above = |limit: f64| {
            if self.floor > limit / 2.0 {
                format!(" (above the floor of {:.1} ms: {:.1} ms)", self.floor, p50 - self.floor)
            } else {
                String::new()
            }
        };
        let (best, of_gst) = (above(share * self.best), above(0.4 * gst));
        self.add(&format!("p50 of the best peer's{best}"), p50 / self.best, share, " x");
        if self.case.height >= 1080 {
            self.add(&format!("p50 of GStreamer RTP/JPEG's{of_gst}"), p50 / gst, 0.4, " x");
        }
        if high {
            self.add("p99 against the best peer's p50", own.get(Column::P99), self.best, " ms");
            let single = find(self.rows, "jpeg").map_or(f64::NAN, |row| row.get(Column::P50));
            self.add("p50 against the floor of JPEG in one thread", p50, single, " ms");
        }
        let two = find(self.rows, "eyeline-2").map_or(f64::NAN, |row| row.get(Column::P50));
        self.add("p50 on two cores against the best peer's on all", two, self.best, " ms");
    }

    fn processor(&mut self, own: &Row) {
        if self.case.height < 720 {
            return;
        }
        let gst = find(self.rows, "gst-jpeg").filter(Row::shows);
        let (both, send) = gst.map_or((f64::NAN, f64::NAN), |row| (row.cpu(), row.get(Column::CpuSend)));
        let share = if self.case.height >= 1080 { 0.5 } else { 0.6 };
        self.add("CPU of GStreamer RTP/JPEG's", own.cpu() / both, share, " x");
        let passed = find(self.rows, "eyeline-jpegs").map_or(f64::NAN, |row| row.get(Column::CpuSend));
        self.add("sender's CPU with JPEGs passed through, of GStreamer's from raw", passed / send, 0.15, " x");
    }
}
