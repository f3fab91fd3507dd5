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

const COLUMNS: [&str; 13] = [
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "partial",
    "lost",
    "frozen_ms",
    "sound_ms",
    "lip_ms",
    "gap_ms",
    "overhead",
    "resent",
    "clock_us",
    "back_ms",
];

impl Figures {
    /// In the order of [`COLUMNS`].
    fn values(&self) -> [f64; COLUMNS.len()] {
        [
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.partial,
            self.lost,
            self.frozen_ms,
            self.sound_ms,
            self.lip_ms,
            self.gap_ms,
            self.overhead,
            self.resent,
            self.clock_us,
            self.back_ms,
        ]
    }

    fn of(values: [f64; COLUMNS.len()]) -> Figures {
        let [p50_ms, p95_ms, p99_ms, partial, lost, frozen_ms, sound_ms, lip_ms, gap_ms, overhead, resent, clock_us, back_ms] =
            values;
        Figures {
            p50_ms,
            p95_ms,
            p99_ms,
            partial,
            lost,
            frozen_ms,
            sound_ms,
            lip_ms,
            gap_ms,
            overhead,
            resent,
            clock_us,
            back_ms,
        }
    }

    /// Each column what `pick` makes of those of all.
    fn each(all: impl IntoIterator<Item = Figures>, pick: impl Fn(Vec<f64>) -> f64) -> Figures {
        let all: Vec<_> = all.into_iter().map(|figures| figures.values()).collect();
        Figures::of(std::array::from_fn(|column| pick(all.iter().map(|values| values[column]).collect())))
    }

    /// The larger of each column.
    pub fn worst(all: impl IntoIterator<Item = Figures>) -> Figures {
        Figures::each(all, |column| column.into_iter().max_by(f64::total_cmp).expect("somebody saw something"))
    }
}

/// So many runs stand for a scenario where the dice decide much, as what a policer drops.
const RUNS: u64 = 5;

/// Runs a scenario with seeds from `of` on, and holds the middle of each column against its ceiling: the greatest of single runs
/// are several times the usual ones, and a ceiling over those would guard nothing.
pub fn check_middle(scenario: &str, of: u64, run: impl FnMut(u64) -> Figures) {
    check(scenario, &Figures::each((0..RUNS).map(|turn| of + 100 * turn).map(run), middle));
}

pub fn middle(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Fails with a table when any figure is over its ceiling.
pub fn check(scenario: &str, measured: &Figures) {
    let all: BTreeMap<String, Figures> = toml::from_str(include_str!("ceilings.toml")).expect("ceilings.toml");
    let ceiling = all.get(scenario).unwrap_or_else(|| panic!("ceilings.toml has no [{scenario}]"));
    let mut table = format!("{scenario:<22}");
    let mut over = false;
    for name in COLUMNS {
        write!(table, " {name:>9}").expect("a string grows");
    }
    for (row, figures) in [("measured", measured), ("ceiling", ceiling)] {
        write!(table, "\n  {row:<20}").expect("a string grows");
        for (value, limit) in figures.values().into_iter().zip(ceiling.values()) {
            let mark = if value > limit || value.is_nan() { "!" } else { "" };
            over |= !mark.is_empty();
            write!(table, " {mark:>1}{value:>8.2}").expect("a string grows");
        }
    }
    println!("{table}");
    assert!(!over, "over the ceiling (!):\n{table}");
}
