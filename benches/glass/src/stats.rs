//! What was shown and when, and the figures that follow.

use crate::code::Mark;

/// A picture may differ this much (share of probes) before it counts as damaged.
const DAMAGED: f32 = 0.005;

/// One picture seen on the screen.
pub struct Shown {
    /// What it said of itself.
    pub mark: Mark,
    /// When its last row was there.
    pub seen_us: u64,
    /// Share of probes that do not show what the picture should show.
    pub wrong: f32,
    /// Rows of blocks that belong to another picture, where they are marked.
    pub wrong_rows: usize,
}

impl Shown {
    /// Whether it is what was sent, all of it.
    pub fn is_whole(&self) -> bool {
        self.wrong < DAMAGED && self.wrong_rows == 0
    }
}

/// Pictures seen, in order.
#[derive(Default)]
pub struct Log {
    /// See above.
    pub shown: Vec<Shown>,
    /// The upper code changed before the lower code of the same picture came.
    pub torn: u64,
    /// When something newer than all before was there, anywhere on the picture.
    pub fresh: Vec<u64>,
}

impl Log {
    /// The number of the last one.
    pub fn last(&self) -> Option<u16> {
        self.shown.last().map(|shown| shown.mark.id)
    }

    /// The longest time within `[from, to)` in which nothing newer came, ms.
    pub fn freeze_ms(&self, from: u64, to: u64) -> f64 {
        let within = self.fresh.iter().copied().filter(|at| (from..to).contains(at));
        let times: Vec<u64> = std::iter::once(from).chain(within).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0) as f64 / 1e3
    }
}

/// Figures of the pictures emitted within a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Pictures emitted.
    pub expected: f64,
    /// Of these, shown, whole or not.
    pub shown: f64,
    /// Shown, but not as they should look.
    pub damaged: f64,
    /// Latency: p50, p95, p99, most; ms.
    pub latency: [f64; 4],
    /// How far intervals between pictures are from nominal: p50, p99; ms.
    pub jitter: [f64; 2],
}

impl Figures {
    /// Of pictures emitted in `[from, to)` at `fps`.
    pub fn of(log: &Log, fps: f64, from: u64, to: u64) -> Figures {
        let period_ms = 1e3 / fps;
        let counted: Vec<&Shown> = log.shown.iter().filter(|shown| (from..to).contains(&shown.mark.emit_us)).collect();
        let distinct = |keep: &dyn Fn(&Shown) -> bool| {
            let mut ids: Vec<u16> = counted.iter().filter(|shown| keep(shown)).map(|shown| shown.mark.id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.len() as f64
        };
        let (shown, intact) = (distinct(&|_| true), distinct(&Shown::is_whole));
        let mut latency: Vec<f64> = counted.iter().map(|s| (s.seen_us.saturating_sub(s.mark.emit_us)) as f64 / 1e3).collect();
        let mut jitter: Vec<f64> =
            counted.windows(2).map(|pair| ((pair[1].seen_us - pair[0].seen_us) as f64 / 1e3 - period_ms).abs()).collect();
        Figures {
            expected: ((to - from) as f64 * fps / 1e6).round(),
            shown,
            damaged: shown - intact,
            latency: [0.5, 0.95, 0.99, 1.0].map(|q| quantile(&mut latency, q)),
            jitter: [0.5, 0.99].map(|q| quantile(&mut jitter, q)),
        }
    }
}

/// Nearest rank; NaN without values.
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}
