//! `send --stats json`: one object a second on stdout. The README explains the fields.

use super::super::failure::Failure;
use super::super::stats::{self, Statistics};
use super::super::ticker::Place;
use crate::net;
use crate::pipeline::counts::Counts;
use crate::pipeline::tally::EncoderCounts;
use crate::voice_processing::{Figures, VoiceProcessing};
use eyeline_proto::session::stats::Stats;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Instant;

/// Remembers the second before, for rates.
pub struct SendingStats {
    /// Where the user asked for it.
    to: Option<Rc<Statistics>>,
    /// What becomes of what the microphone hears.
    voice: Option<VoiceProcessing>,
    pictures: u64,
    bytes: u64,
    counters: EncoderCounts,
    started: Instant,
}

impl SendingStats {
    pub fn new(to: Option<Rc<Statistics>>, voice: Option<VoiceProcessing>) -> Self {
        SendingStats { to, voice, pictures: 0, bytes: 0, counters: EncoderCounts::default(), started: Instant::now() }
    }

    /// What stands in the line at a terminal beside what is measured.
    pub fn beside(&self, place: Place, words: impl FnOnce() -> String) {
        if let Some(to) = &self.to {
            to.beside(place, words());
        }
    }

    /// Prints one second.
    pub fn second(&mut self, stats: &Stats, net: &net::Traffic, counters: EncoderCounts, source: Counts) -> Result<(), Failure> {
        let Some(to) = &self.to else { return Ok(()) };
        let sent: u64 = stats.sending.peers.iter().map(|peer| peer.bytes).sum();
        let pictures = stats.sending.pictures - self.pictures;
        let mut object = object(stats, net, counters, source);
        if let Some(figures) = self.voice.as_ref().and_then(VoiceProcessing::figures) {
            object["echo"] = echo(figures);
        }
        object["fps"] = pictures.into();
        object["bytes"] = sent.into();
        object["mbit_s"] = stats::mbit(sent.saturating_sub(self.bytes)).into();
        object["encode_ms"] = encode_ms(counters.encode_us - self.counters.encode_us, pictures).into();
        (self.pictures, self.bytes, self.counters) = (stats.sending.pictures, sent, counters);
        to.print(&object)
    }

    /// It is over: prints what came of all of it.
    pub fn total(&self, stats: &Stats, net: &net::Traffic, counters: EncoderCounts, source: Counts) {
        let Some(to) = &self.to else { return };
        let run = self.started.elapsed();
        let mut object = object(stats, net, counters, source);
        object["fps"] = stats::a_second(stats.sending.pictures as f64, run).into();
        object["bytes"] = net.bytes_out.into();
        object["mbit_s"] = stats::a_second(net.bytes_out as f64 * 8.0 / 1e6, run).into();
        object["encode_ms"] = encode_ms(counters.encode_us, stats.sending.pictures).into();
        object["peers_seen"] = stats.sending.peers_seen.into();
        stats::make_total(&mut object, run, &["log_bytes", "size"]);
        // Whoever read the seconds before may have left.
        let _ = to.print(&object);
    }
}

fn echo(figures: Figures) -> Value {
    let Figures { echo, raises, missing } = figures;
    json!({ "erle_db": stats::round(echo.enhancement), "delay_ms": echo.delay_ms, "missing_frames": missing, "gain": raises })
}

fn encode_ms(micros: u64, pictures: u64) -> f64 {
    stats::round(micros as f64 / 1000.0 / pictures.max(1) as f64)
}

fn object(stats: &Stats, net: &net::Traffic, counters: EncoderCounts, source: Counts) -> Value {
    let peers: Vec<_> = stats
        .sending
        .peers
        .iter()
        .map(|peer| {
            // Of a peer that is gone it is not known.
            let now = |value: f64| (!peer.quiet).then_some(value);
            let capacity = peer.capacity.and_then(|rate| now(stats::round(rate.0 as f64 / 1e6)));
            json!({
                "name": peer.name, "address": peer.address, "datagrams": peer.datagrams, "bytes": peer.bytes,
                "resent": peer.resent, "parity": peer.parity, "nacks": peer.nacks, "skipped": peer.skipped, "blocks": peer.blocks,
                "stale_blocks": peer.stale_blocks, "opus_blocks": peer.packets, "codec": peer.form.map(stats::codec), "copies": peer.copies, "rtt_ms": now(stats::ms(peer.rtt)), "quiet": peer.quiet,
                "path_mtu": (!peer.quiet).then_some(peer.path_mtu),
                "received": peer.report.received, "lost": peer.report.lost, "shown": peer.track.shown,
                "settled": peer.track.settled, "capacity_mbit_s": capacity, "queue_ms": now(stats::ms(peer.queue)),
            })
        })
        .collect();
    let mut object = json!({
        "role": "send", "size": counters.size.map(|size| [size.width, size.height]),
        "pictures": stats.sending.pictures, "slices": stats.sending.slices, "encoded_bytes": counters.bytes,
        "coded": stats::round(counters.coded), "passed_through": counters.passed_through, "left_out": counters.left_out, "failed": counters.failed,
        "replaced": source.replaced, "damaged": source.damaged + counters.damaged, "missed": source.missed,
        "blocks": stats.sending.blocks, "lost_frames": source.lost_frames, "dropped_blocks": source.dropped_blocks,
        "log_bytes": stats.sending.log_bytes, "rejected": stats::rejected(stats.counters, net.turned_away), "peers": peers,
    });
    stats::add_errors(&mut object, net);
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::media::rate_control::Bitrate;
    use eyeline_proto::session::stats::PeerStats;
    use eyeline_proto::session::stats::SenderStats;
    use std::time::Duration;

    fn made(stats: &Stats) -> Value {
        let net = net::Traffic { too_long: 3, send_errors: 5, receive_errors: 7, ..net::Traffic::default() };
        let source = Counts { damaged: 20, missed: Some(2), lost_frames: 480, dropped_blocks: 4, ..Counts::default() };
        object(stats, &net, EncoderCounts { damaged: 3, ..EncoderCounts::default() }, source)
    }

    #[test]
    fn what_the_kernel_the_camera_and_the_microphone_lost_is_told() {
        let object = made(&Stats::default());
        let told = ["too_long", "send_errors", "receive_errors", "missed", "lost_frames", "dropped_blocks", "damaged"];
        assert_eq!(told.map(|field| object[field].as_u64()), [3, 5, 7, 2, 480, 4, 23].map(Some));
    }

    #[test]
    fn what_was_measured_of_a_peer_that_is_silent_is_not_shown_as_if_it_were_now() {
        let (rtt, queue, capacity) = (Duration::from_millis(20), Duration::from_millis(4), Some(Bitrate(8_000_000)));
        let here = PeerStats { rtt, queue, capacity, ..PeerStats::default() };
        let silent = PeerStats { quiet: true, ..here.clone() };
        let object =
            made(&Stats { sending: SenderStats { peers: vec![here, silent], ..SenderStats::default() }, ..Stats::default() });
        let now = |peer: usize| ["rtt_ms", "queue_ms", "capacity_mbit_s"].map(|field| object["peers"][peer][field].as_f64());
        assert_eq!((now(0), now(1)), ([Some(20.0), Some(4.0), Some(8.0)], [None; 3]));
    }
}
