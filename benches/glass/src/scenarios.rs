//! What the link of the network bench does: a script each, and what its figures are compared with.

use crate::impair::{Bursts, Conditions, Queue};

/// What the link does in a scenario.
#[derive(Clone, Copy)]
pub enum Script {
    /// The same all the time.
    Steady(Conditions),
    /// Rates, Mbit/s, ten seconds each, behind a queue.
    Rates([u64; 3], Queue),
    /// Pulled for so many seconds.
    Pulled(u64),
}

/// One row of tables.
pub struct Scenario {
    /// For `--scenario`.
    pub name: &'static str,
    /// In the table.
    pub title: &'static str,
    /// The scenario whose bytes and p99 it is compared with.
    pub clean: &'static str,
    /// Whether it is run when none is named.
    pub usual: bool,
    /// See there.
    pub script: Script,
}

const fn lossy(loss: f64, rtt_ms: u64) -> Script {
    Script::Steady(Conditions { loss, delay_us: rtt_ms * 500, ..Conditions::CLEAN })
}

const fn scenario(name: &'static str, title: &'static str, clean: &'static str, script: Script) -> Scenario {
    Scenario { name, title, clean, usual: true, script }
}

/// All there are.
pub const SCENARIOS: &[Scenario] = &[
    scenario("loss0-rtt2", "0 %, 2 ms", "loss0-rtt2", lossy(0.0, 2)),
    scenario("loss1-rtt2", "1 %, 2 ms", "loss0-rtt2", lossy(0.01, 2)),
    scenario("loss5-rtt2", "5 %, 2 ms", "loss0-rtt2", lossy(0.05, 2)),
    scenario("loss10-rtt2", "10 %, 2 ms", "loss0-rtt2", lossy(0.10, 2)),
    scenario("loss0-rtt60", "0 %, 60 ms", "loss0-rtt60", lossy(0.0, 60)),
    scenario("loss1-rtt60", "1 %, 60 ms", "loss0-rtt60", lossy(0.01, 60)),
    scenario("loss5-rtt60", "5 %, 60 ms", "loss0-rtt60", lossy(0.05, 60)),
    scenario("loss10-rtt60", "10 %, 60 ms", "loss0-rtt60", lossy(0.10, 60)),
    Scenario {
        usual: false,
        ..scenario(
            "bursts",
            "bursts of 4, 2 %, 2 ms",
            "loss0-rtt2",
            Script::Steady(Conditions {
                bursts: Some(Bursts { enter: 0.005, leave: 0.25, loss: 1.0 }),
                delay_us: 1_000,
                ..Conditions::CLEAN
            }),
        )
    },
    Scenario {
        usual: false,
        ..scenario(
            "wild",
            "1 %, 10 ms, jitter 10 ms, 5 % late, 2 % twice",
            "loss0-rtt2",
            Script::Steady(Conditions {
                loss: 0.01,
                delay_us: 5_000,
                jitter_us: 10_000,
                reorder: 0.05,
                duplicate: 0.02,
                ..Conditions::CLEAN
            }),
        )
    },
    scenario("rate", "20 → 5 → 20 Mbit/s, queue 200 ms", "loss0-rtt2", Script::Rates([20, 5, 20], Queue::Time(200_000))),
    Scenario {
        usual: false,
        ..scenario("bloat", "20 → 5 → 20 Mbit/s, queue 500 KB", "loss0-rtt2", Script::Rates([20, 5, 20], Queue::Bytes(500_000)))
    },
    Scenario {
        usual: false,
        ..scenario(
            "policer",
            "20 → 5 → 20 Mbit/s, policed, bucket 20 KB",
            "loss0-rtt2",
            Script::Rates([20, 5, 20], Queue::Bucket(20_000)),
        )
    },
    Scenario {
        usual: false,
        ..scenario(
            "policer-deep",
            "20 → 5 → 20 Mbit/s, policed, bucket 150 KB",
            "loss0-rtt2",
            Script::Rates([20, 5, 20], Queue::Bucket(150_000)),
        )
    },
    Scenario {
        usual: false,
        ..scenario(
            "megabit",
            "1 Mbit/s, 20 ms, queue 200 ms",
            "loss0-rtt2",
            Script::Steady(Conditions {
                rate: Some(1_000_000),
                queue: Queue::Time(200_000),
                delay_us: 10_000,
                ..Conditions::CLEAN
            }),
        )
    },
    scenario("pulled2", "pulled for 2 s", "loss0-rtt2", Script::Pulled(2)),
    scenario("pulled10", "pulled for 10 s", "loss0-rtt2", Script::Pulled(10)),
];
