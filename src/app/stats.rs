//! What the statistics of both programs share: rounding, latencies by stage, and giving each second's object to whoever wants it.

use super::args::Common;
use super::failure::{Code, Failure};
use super::line_writer::LineWriter;
use super::metrics::{Figures, Metrics};
use super::status::ExitCode;
use super::ticker::{Place, Ticker};
use crate::net;
use eyeline_proto::session::endpoint::Discarded;
use eyeline_proto::sound::Form;
use eyeline_proto::wire::text::printable;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// To a thousandth.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Milliseconds to a thousandth.
pub fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

/// Mbit/s of what went in one second.
pub fn mbit(bytes: u64) -> f64 {
    round(bytes as f64 * 8.0 / 1e6)
}

/// What the form is called in which sound goes.
pub fn codec(form: Form) -> &'static str {
    match form {
        Form::Pcm => "pcm",
        Form::Opus => "opus",
    }
}

/// Adds what the kernel would not send, or said about what was sent before.
pub fn add_errors(object: &mut Value, traffic: &net::Traffic) {
    object["too_long"] = traffic.too_long.into();
    object["send_errors"] = traffic.send_errors.into();
    object["receive_errors"] = traffic.receive_errors.into();
}

/// Makes of a second's object that of a whole run: without what was so at the last moment alone.
pub fn make_total(object: &mut Value, run: Duration, now: &[&str]) {
    object["total"] = true.into();
    object["seconds"] = round(run.as_secs_f64()).into();
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, _| !now.contains(&field.as_str()));
    }
}

/// A number a second, of a whole run.
pub fn a_second(number: f64, run: Duration) -> f64 {
    round(number / run.as_secs_f64().max(1e-3))
}

/// What was turned away; `refused`: connections there was no room for.
pub fn rejected(counted: Discarded, refused: u64) -> Value {
    let Discarded { unknown, skipped, forged, replayed, turned_away } = counted;
    json!({
        "unknown": unknown, "skipped": skipped, "forged": forged, "replayed": replayed, "connections": turned_away + refused,
    })
}

/// Lines on stdout, for the commands that print and end.
pub fn line(text: &str) -> ExitCode {
    // What devices call themselves stands in it.
    let text: Vec<String> = text.lines().map(printable).collect();
    match writeln!(std::io::stdout().lock(), "{}", text.join("\n")) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::Failed,
        _ => ExitCode::Ok,
    }
}

/// What is not written so long after the end is left out: a reader that reads needs less.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is given the objects of a run: stdout (`--stats json`: one a line, at once; what a reader that stands still has not taken
/// is left out in the end, and how much that was is said), the page of `--metrics`, and the line at a terminal.
pub struct Statistics(RefCell<Readers>);

struct Readers {
    lines: Option<LineWriter>,
    /// What is read over HTTP, and where that is served alone.
    figures: Option<Figures>,
    metrics: Option<Metrics>,
    ticker: Option<Ticker>,
}

impl Statistics {
    /// Where anybody wants them.
    pub fn open(common: &Common) -> Result<Option<Rc<Statistics>>, Failure> {
        let print = || {
            let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
            LineWriter::spawn("statistics", File::from(stdout))
        };
        let lines = common.stats_json.then(print).transpose().code(ExitCode::Failed)?;
        #[cfg(feature = "web")]
        let is_read = common.metrics.is_some() || common.web.is_some();
        #[cfg(not(feature = "web"))]
        let is_read = common.metrics.is_some();
        let figures = is_read.then(Figures::default);
        let metrics = common.metrics.zip(figures.clone()).map(|(at, figures)| Metrics::open(at, figures)).transpose()?;
        let readers = Readers { lines, figures, metrics, ticker: Ticker::new(common.ticker) };
        let wanted = readers.lines.is_some() || readers.figures.is_some() || readers.ticker.is_some();
        Ok(wanted.then(|| Rc::new(Statistics(RefCell::new(readers)))))
    }

    /// What is read of them over HTTP.
    #[cfg(feature = "web")]
    pub fn figures(&self) -> Option<Figures> {
        self.0.borrow().figures.clone()
    }

    /// Whether a program that does nothing else with what comes is to measure it.
    pub fn measures(&self) -> bool {
        let readers = self.0.borrow();
        readers.lines.is_some() || readers.metrics.is_some()
    }

    /// What stands in the line at a terminal beside what is measured, from the next second on.
    pub fn beside(&self, place: Place, words: String) {
        if let Some(ticker) = &mut self.0.borrow_mut().ticker {
            ticker.beside(place, words);
        }
    }

    /// One more. A reader that went away ends the program in order: this fails when a line before could not be written.
    pub fn print(&self, object: &Value) -> Result<(), Failure> {
        let mut readers = self.0.borrow_mut();
        if object["total"] != true {
            readers.figures.iter().for_each(|figures| figures.publish(object));
            readers.ticker.iter_mut().for_each(|ticker| ticker.take(object, Instant::now()));
        }
        let pushed = readers.lines.as_ref().map_or(Ok(()), |lines| lines.push(format!("{object}\n")));
        pushed.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::new(ExitCode::Ok, "nobody reads the statistics any more").said(),
            _ => unwritten(&error),
        })
    }

    /// The last was printed: it is written, if it can be. How the program ends; statistics that are missing are no success.
    pub fn end(statistics: Option<Rc<Statistics>>, outcome: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        match (statistics.and_then(|statistics| statistics.close()), outcome) {
            (Some(failure), Ok(ExitCode::Ok)) => Err(failure),
            (Some(failure), outcome) => {
                tracing::error!("{failure}");
                outcome
            }
            (None, outcome) => outcome,
        }
    }

    fn close(&self) -> Option<Failure> {
        let (left_out, failed) = self.0.borrow_mut().lines.take()?.finish(FAREWELL);
        if left_out > 0 {
            tracing::warn!("{left_out} lines of statistics were left out: whoever reads them stood still");
        }
        failed.filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe).map(|error| unwritten(&error))
    }
}

fn unwritten(error: &std::io::Error) -> Failure {
    let sentence = format!("cannot write the statistics to stdout: {error}; send them elsewhere, or leave out --stats");
    Failure::new(ExitCode::Failed, sentence)
}

impl Drop for Statistics {
    fn drop(&mut self) {
        if let Some(failure) = self.close() {
            tracing::error!("{failure}");
        }
    }
}

/// Over which time percentiles are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The second that just ended.
    Second,
    /// From the start on.
    Run,
}

/// Times of one second, and how those of the whole run are spread. Capacity: [`Times::MOST`] samples a second; more are not
/// taken.
#[derive(Debug, Default)]
pub struct Times {
    second: Vec<Duration>,
    run: Spread,
}

impl Times {
    /// Five seconds at 240 a second, should a second be reported late.
    const MOST: usize = 1200;

    pub fn push(&mut self, time: Duration) {
        if self.second.len() < Self::MOST {
            self.second.push(time);
        }
        self.run.push(time);
    }

    /// p50, p95 and p99 of this second by nearest rank; `None` without samples.
    pub fn percentiles(&mut self) -> Option<[Duration; 3]> {
        self.second.sort_unstable();
        let last = self.second.len().checked_sub(1)?;
        Some([50, 95, 99].map(|percent| self.second[(self.second.len() * percent).div_ceil(100).saturating_sub(1).min(last)]))
    }

    /// The same as JSON, of this second or of the run.
    pub fn value(&mut self, span: Span) -> Value {
        let percentiles = match span {
            Span::Second => self.percentiles(),
            Span::Run => self.run.percentiles(),
        };
        match percentiles {
            Some([p50, p95, p99]) => json!({ "p50": ms(p50), "p95": ms(p95), "p99": ms(p99) }),
            None => Value::Null,
        }
    }

    /// The second is over.
    pub fn next_second(&mut self) {
        self.second.clear();
    }
}

/// How times are spread, to within half a percent, however many there are: counted in buckets, each a hundredth wider than the
/// one below. Capacity: an hour; what is longer counts as that.
#[derive(Debug, Default)]
struct Spread {
    counts: Vec<u64>,
    total: u64,
}

impl Spread {
    const STEP: f64 = 1.01;
    const LONGEST: Duration = Duration::from_secs(3600);

    fn push(&mut self, time: Duration) {
        let micros = time.min(Self::LONGEST).as_micros().max(1) as f64;
        let bucket = (micros.ln() / Self::STEP.ln()).round() as usize;
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    fn percentiles(&self) -> Option<[Duration; 3]> {
        if self.total == 0 {
            return None;
        }
        Some([50, 95, 99].map(|percent| {
            let rank = (self.total * percent).div_ceil(100);
            let mut below = 0;
            let bucket = self.counts.iter().position(|count| {
                below += count;
                below >= rank
            });
            Duration::from_secs_f64(Self::STEP.powf(bucket.unwrap_or(0) as f64) / 1e6)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let mut times = Times::default();
        assert_eq!(times.percentiles(), None);
        (1..=100).rev().for_each(|ms| times.push(Duration::from_millis(ms)));
        assert_eq!(times.percentiles(), Some([50, 95, 99].map(Duration::from_millis)));
    }

    #[test]
    fn percentiles_of_a_run_are_right_to_half_a_percent_after_any_number_of_seconds() {
        let mut times = Times::default();
        assert_eq!(times.value(Span::Run), Value::Null);
        for _ in 0..20 {
            (1..=1000).for_each(|ms| times.push(Duration::from_millis(ms)));
            times.next_second();
        }
        assert_eq!(times.percentiles(), None);
        let run = times.value(Span::Run);
        for (name, wanted) in [("p50", 500.0), ("p95", 950.0), ("p99", 990.0)] {
            let seen = run[name].as_f64().unwrap_or(0.0);
            assert!((seen / wanted - 1.0_f64).abs() < 0.006, "{name}: {seen}");
        }
        times.push(Duration::ZERO);
        times.push(Duration::MAX);
    }
}
