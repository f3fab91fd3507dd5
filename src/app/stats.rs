//! What the statistics of both programs share: rounding, latencies by stage, and printing one object a line.

use super::failure::Failure;
use super::status::ExitCode;
use crate::session::endpoint::Counters;
use crate::wire::text::printable;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

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

/// What was turned away.
/// `refused`: connections there was no room for.
pub fn rejected(counters: Counters, refused: u64) -> Value {
    let Counters { unknown, forged, replayed, turned_away } = counters;
    json!({ "unknown": unknown, "forged": forged, "replayed": replayed, "connections": turned_away + refused })
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

/// One object, one line, at once. A reader that went away ends the program in order.
pub fn print(object: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{object}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitCode::Ok, "nobody reads the statistics any more").said())
        }
        Err(error) => {
            let sentence = format!("cannot write the statistics to stdout: {error}; send them elsewhere, or leave out --stats");
            Err(Failure::new(ExitCode::Failed, sentence))
        }
        Ok(()) => Ok(()),
    }
}

/// Times of one second, for their percentiles. Capacity: [`Times::MOST`] samples; more are not taken.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Five seconds at 240 a second, should a second be reported late.
    const MOST: usize = 1200;

    /// One more.
    pub fn push(&mut self, time: Duration) {
        if self.0.len() < Self::MOST {
            self.0.push(time);
        }
    }

    /// p50, p95 and p99 by nearest rank; `None` without samples.
    pub fn percentiles(&mut self) -> Option<[Duration; 3]> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        Some([50, 95, 99].map(|percent| self.0[(self.0.len() * percent).div_ceil(100).saturating_sub(1).min(last)]))
    }

    /// The same as JSON, and starts afresh.
    pub fn take(&mut self) -> Value {
        let value = match self.percentiles() {
            Some([p50, p95, p99]) => json!({ "p50": ms(p50), "p95": ms(p95), "p99": ms(p99) }),
            None => Value::Null,
        };
        self.0.clear();
        value
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
}
