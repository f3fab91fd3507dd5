//! `send --stats json`: one object a second on stdout. The README explains the fields.

use super::super::failure::Failure;
use super::super::stats;
use super::encode::{Counters, Encoder};
use super::source::Running;
use crate::session::stats::SenderStats;
use serde_json::json;

/// Remembers the second before, for rates.
pub struct Report {
    on: bool,
    pictures: u64,
    bytes: u64,
    counters: Counters,
}

impl Report {
    /// `on`: the user asked for it.
    pub fn new(on: bool) -> Self {
        Report { on, pictures: 0, bytes: 0, counters: Counters::default() }
    }

    /// Prints one second. `refused`: connections there was no room for.
    pub fn print(
        &mut self,
        stats: &SenderStats,
        refused: u64,
        encoder: &Encoder,
        running: Option<&Running>,
    ) -> Result<(), Failure> {
        if !self.on {
            return Ok(());
        }
        let counters = encoder.counters();
        let sent: u64 = stats.peers.iter().map(|peer| peer.bytes).sum();
        let pictures = stats.pictures - self.pictures;
        let encode_ms = (counters.encode_us - self.counters.encode_us) as f64 / 1000.0 / (pictures.max(1)) as f64;
        let peers: Vec<_> = stats
            .peers
            .iter()
            .map(|peer| {
                json!({
                    "name": peer.name, "address": peer.address, "datagrams": peer.datagrams, "bytes": peer.bytes,
                    "resent": peer.resent, "parity": peer.parity, "nacks": peer.nacks, "skipped": peer.skipped, "blocks": peer.blocks,
                    "stale_blocks": peer.stale_blocks, "copies": peer.copies, "rtt_ms": stats::ms(peer.rtt), "quiet": peer.quiet,
                    "received": peer.report.received, "lost": peer.report.lost, "shown": peer.report.shown,
                    "settled": peer.report.settled, "capacity_mbit_s": peer.capacity.map(|rate| stats::round(rate.0 as f64 / 1e6)),
                    "queue_ms": stats::ms(peer.queue),
                })
            })
            .collect();
        let object = json!({
            "role": "send", "pictures": stats.pictures, "fps": pictures, "slices": stats.slices,
            "encoded_bytes": counters.bytes, "bytes": sent,
            "mbit_s": stats::mbit(sent.saturating_sub(self.bytes)),
            "encode_ms": stats::round(encode_ms), "passed_through": counters.passed_through, "left_out": counters.left_out,
            "replaced": running.map_or(0, Running::replaced), "damaged": running.map_or(0, Running::damaged),
            "failed": counters.failed, "blocks": stats.blocks, "log_bytes": stats.log_bytes,
            "rejected": stats::rejected(stats.counters, refused), "peers": peers,
        });
        (self.pictures, self.bytes, self.counters) = (stats.pictures, sent, counters);
        stats::print(&object)
    }
}
