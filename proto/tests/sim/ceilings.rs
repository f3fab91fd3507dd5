//! What a scenario measured, against what it may: `ceilings.toml`. Lowering a ceiling is a commit of its own; so is raising one.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The columns, in order: names are the keys of `ceilings.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Capture to display, true time, milliseconds.
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    /// Pictures shown in part, pictures of which nothing was shown.
    pub partial: f64,
    pub lost: f64,
    /// The longest time without a new band.
    pub frozen_ms: f64,
    /// Capture to speaker, true time, 95th percentile.
    pub sound_ms: f64,
    /// Between the usual picture's latency and the sound's earliest and latest percent.
    pub lip_ms: f64,
    /// Sound not there when it was due.
    pub gap_ms: f64,
    /// Bytes over UDP for every byte of picture.
    pub overhead: f64,
    /// Fragments sent again.
    pub resent: f64,
    /// The largest error of the estimate of the sender's clock.
    pub clock_us: f64,
    /// From the path's return to the first new picture; 0 where nothing goes away.
    #[serde(default)]
    pub back_ms: f64,
}

impl Figures {
    fn columns(&self) -> [(&'static str, f64); 13] {
        [
            ("p50_ms", self.p50_ms),
            ("p95_ms", self.p95_ms),
            ("p99_ms", self.p99_ms),
            ("partial", self.partial),
            ("lost", self.lost),
            ("frozen_ms", self.frozen_ms),
            ("sound_ms", self.sound_ms),
            ("lip_ms", self.lip_ms),
            ("gap_ms", self.gap_ms),
            ("overhead", self.overhead),
            ("resent", self.resent),
            ("clock_us", self.clock_us),
            ("back_ms", self.back_ms),
        ]
    }
}

/// Fails with a table when any figure is over its ceiling.
pub fn check(scenario: &str, measured: &Figures) {
    let all: BTreeMap<String, Figures> = toml::from_str(include_str!("ceilings.toml")).expect("ceilings.toml");
    let ceiling = all.get(scenario).unwrap_or_else(|| panic!("ceilings.toml has no [{scenario}]"));
    let mut table = format!("{scenario:<22}");
    let mut over = false;
    for (name, _) in measured.columns() {
        write!(table, " {name:>9}").expect("a string grows");
    }
    for (row, figures) in [("measured", measured), ("ceiling", ceiling)] {
        write!(table, "\n  {row:<20}").expect("a string grows");
        for ((_, value), (_, limit)) in figures.columns().iter().zip(ceiling.columns()) {
            let mark = if *value > limit || value.is_nan() { "!" } else { "" };
            over |= !mark.is_empty();
            write!(table, " {mark:>1}{value:>8.2}").expect("a string grows");
        }
    }
    println!("{table}");
    assert!(!over, "over the ceiling (!):\n{table}");
}
