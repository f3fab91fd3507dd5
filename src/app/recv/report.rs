//! What `recv` measures: latency in all and by stage, for `--stats json` and for the overlay. The README explains the fields.

use super::super::decode::Ready;
use super::super::failure::Failure;
use super::super::stats::{self, Times, ms};
use crate::media::playout;
use crate::picture::Size;
use crate::session::stats::ReceiverStats;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Latencies of one second, in all and by stage.
#[derive(Default)]
struct Stages {
    all: Times,
    queue: Times,
    encode: Times,
    network: Times,
    hold: Times,
    decode: Times,
    present: Times,
}

/// Remembers the second before, for rates.
pub struct Report {
    print: bool,
    stages: Stages,
    lips: Lips,
    partial: u64,
    interval: Times,
    last_shown: Option<Instant>,
    before: (u64, u64, u32),
    picture: Option<Size>,
}

impl Report {
    /// `print`: the user asked for JSON.
    pub fn new(print: bool) -> Self {
        Report {
            print,
            stages: Stages::default(),
            lips: Lips::default(),
            partial: 0,
            interval: Times::default(),
            last_shown: None,
            before: (0, 0, 0),
            picture: None,
        }
    }

    /// The picture's size, for the overlay.
    pub fn size(&mut self, size: Size) {
        self.picture = Some(size);
    }

    /// A picture was handed to the display at `at`; its light was `captured` then, on our clock, and the `sound` that was heard then was
    /// so old.
    pub fn shown(&mut self, ready: &Ready, at: Instant, captured: Option<Instant>, sound: Option<Duration>) {
        self.partial += u64::from(!ready.whole);
        if let Some(last) = self.last_shown.replace(at) {
            self.interval.push(at.saturating_duration_since(last));
        }
        let Some(captured) = captured else { return };
        if let Some(sound) = sound {
            self.lips.push(at.saturating_duration_since(captured), sound);
        }
        let sent = captured + ready.queued + ready.encoded;
        let stages = &mut self.stages;
        stages.all.push(at.saturating_duration_since(captured));
        stages.queue.push(ready.queued);
        stages.encode.push(ready.encoded);
        stages.network.push(ready.received.saturating_duration_since(sent));
        stages.hold.push(ready.released.saturating_duration_since(ready.received));
        stages.decode.push(ready.decoded.saturating_duration_since(ready.released));
        stages.present.push(at.saturating_duration_since(ready.decoded));
    }

    /// One second is over: prints it where asked, and gives the overlay's lines. `refused`: connections there was no room for.
    pub fn second(
        &mut self,
        stats: &ReceiverStats,
        refused: u64,
        shown: u32,
        sound: Option<playout::Stats>,
        slices_dropped: u64,
    ) -> Result<Vec<String>, Failure> {
        let (bytes, lost, shown_before) = self.before;
        let fps = shown.saturating_sub(shown_before);
        let mbit = stats::mbit(stats.bytes.saturating_sub(bytes));
        let total = self.stages.all.percentiles();
        let lips = self.lips.take();
        let lines = self.lines(stats, fps, mbit, (total, lips), stats.lost_packets.saturating_sub(lost));
        if self.print {
            let lip = |n: usize| lips.map(|lips| stats::round(lips[n]));
            let object = json!({
                "role": "recv",
                "whole": stats.whole, "partial": stats.partial, "lost": stats.lost,
                "shown": shown, "shown_in_part": self.partial, "fps": fps,
                "slices": stats.slices, "slices_dropped": slices_dropped, "late_fragments": stats.late, "recovered": stats.recovered,
                "bad_fragments": stats.bad, "datagrams": stats.datagrams, "bytes": stats.bytes, "mbit_s": mbit,
                "lost_packets": stats.lost_packets, "nacks": stats.nacks, "rtt_ms": ms(stats.rtt),
                "latency_ms": {
                    "all": self.stages.all.take(), "queue": self.stages.queue.take(),
                    "encode": self.stages.encode.take(), "network": self.stages.network.take(),
                    "hold": self.stages.hold.take(), "decode": self.stages.decode.take(), "present": self.stages.present.take(),
                },
                "interval_ms": self.interval.take(),
                "blocks": stats.blocks, "copied_blocks": stats.copied_blocks, "duplicate_blocks": stats.duplicate_blocks,
                "sound": sound.map(describe), "lip_ms": lip(1), "lip_low_ms": lip(0), "lip_high_ms": lip(2),
                "assembly_bytes": stats.assembly_bytes, "quiet": stats.quiet,
                "rejected": stats::rejected(stats.counters, refused),
            });
            stats::print(&object)?;
        }
        self.stages = Stages::default();
        self.interval = Times::default();
        self.before = (stats.bytes, stats.lost_packets, shown);
        Ok(lines)
    }

    fn lines(
        &self,
        stats: &ReceiverStats,
        fps: u32,
        mbit: f64,
        (total, lips): (Option<[Duration; 3]>, Option<[f64; 3]>),
        lost: u64,
    ) -> Vec<String> {
        let size = self.picture.map_or_else(|| "no picture".to_string(), |size| size.to_string());
        let mut lines = vec![
            format!("{size}  {fps} pictures/s  {mbit:.1} Mbit/s"),
            format!("loss {lost} packets/s  {} partial  {} lost", stats.partial, stats.lost),
        ];
        if let Some([p50, p95, _]) = total {
            lines.push(format!("latency p50 {:.1} ms  p95 {:.1} ms", ms(p50), ms(p95)));
        }
        if let Some([_, lip, _]) = lips {
            let word = if lip < 0.0 { "late" } else { "early" };
            lines.push(format!("sound {:.1} ms {word}", lip.abs()));
        }
        lines.push(format!("round trip {:.1} ms", ms(stats.rtt)));
        lines
    }
}

/// Lip errors of one second: each picture's latency less that of the sound heard as it was shown, ms. Capacity: [`Lips::MOST`].
#[derive(Default)]
struct Lips(Vec<f64>);

impl Lips {
    /// As many as pictures are measured.
    const MOST: usize = 1200;

    fn push(&mut self, picture: Duration, sound: Duration) {
        if self.0.len() < Self::MOST {
            self.0.push((picture.as_secs_f64() - sound.as_secs_f64()) * 1e3);
        }
    }

    /// The 5th, 50th and 95th percentile by nearest rank; starts afresh.
    fn take(&mut self) -> Option<[f64; 3]> {
        let mut lips = std::mem::take(&mut self.0);
        lips.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| lips.get((lips.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some([at(5)?, at(50)?, at(95)?])
    }
}

fn describe(sound: playout::Stats) -> Value {
    json!({
        "level_ms": ms(sound.level), "target_ms": ms(sound.target), "jitter_ms": ms(sound.jitter),
        "latency_ms": sound.latency.map(ms), "underflows": sound.underflows, "concealed_frames": sound.concealed,
        "late_blocks": sound.late, "shed_frames": sound.shed, "correction_ppm": stats::round(sound.correction_ppm),
    })
}
