//! What the network bench measured of one peer in one scenario.

/// What was measured of one peer in one scenario; what was not is NaN.
#[derive(Clone, Copy)]
pub struct Outcome {
    /// Share of the pictures that were whole on the screen.
    pub whole: f64,
    /// Share of the pictures on the screen, whole or not.
    pub shown: f64,
    /// ms.
    pub freeze_ms: f64,
    /// Latency of what was shown, ms.
    pub p50: f64,
    /// See above.
    pub p99: f64,
    /// What the sender put on the link.
    pub mbit: f64,
    /// After a script of rates.
    pub rates: Option<Rates>,
    /// After a pulled link.
    pub pulled: Option<Pulled>,
}

/// How a bottleneck was lived with. Each is about the three rates, in order.
#[derive(Clone, Copy)]
pub struct Rates {
    /// From the change of rate until latency was back for good, ms; infinite where it was not.
    pub settle_ms: [f64; 3],
    /// Median latency in the second half, ms.
    pub p50: [f64; 3],
    /// Share of the bottleneck's bits that came through in the second half.
    pub share: [f64; 3],
    /// Share of the packets that the bottleneck dropped in the second half.
    pub dropped: [f64; 3],
    /// Median time a packet waited before the bottleneck in the second half, ms.
    pub standing_ms: [f64; 3],
    /// Its 95th percentile.
    pub standing95_ms: [f64; 3],
}

/// How a pulled link was lived with.
#[derive(Clone, Copy)]
pub struct Pulled {
    /// From the link's return to the first newer picture, ms; infinite where none came.
    pub back_ms: f64,
    /// Median latency before, and of the last three seconds, ms.
    pub p50: [f64; 2],
}

impl Outcome {
    /// For the line that says how far the bench is.
    pub fn brief(&self) -> String {
        let Outcome { whole, freeze_ms, p50, p99, mbit, .. } = self;
        format!("{:.2} % whole, longest freeze {freeze_ms:.0} ms, p50 {p50:.1} p99 {p99:.1} ms, {mbit:.1} Mbit/s", whole * 100.0)
    }
}

impl Rates {
    /// Nothing is measured yet.
    pub fn nothing() -> Rates {
        let none = [f64::NAN; 3];
        Rates { settle_ms: none, p50: none, share: none, dropped: none, standing_ms: none, standing95_ms: none }
    }
}
