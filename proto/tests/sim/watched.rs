//! What one who watches saw and heard of a track, as `viewer.rs` notes it and scenarios ask it.

use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::session::endpoint::Discarded;
use eyeline_proto::session::stats::ReceiverStats;
use eyeline_proto::wire::record::{Film, Track};
use std::time::Duration;

/// What was seen and heard.
#[derive(Default)]
pub struct Watched {
    /// Capture to display, in true time, of pictures that were shown whole or in part.
    pub latencies: Vec<u64>,
    /// When each of them was shown, and by how much it was held for that.
    pub shown_at: Vec<u64>,
    pub held: Vec<u64>,
    /// What decides when what is whole is shown, as each track begins with it; a scenario may put another in its place before it
    /// starts.
    pub hold: Hold,
    /// It says of each picture that it missed it, and that it lacks all there is.
    pub lies: bool,
    /// How long each slice is decoded; a scenario may say that it takes any time.
    pub decoding: Duration,
    pub whole: u64,
    pub partial: u64,
    pub lost: u64,
    /// Pictures to be written that are not all of their bands.
    pub unjoined: u64,
    /// True time at which a band was shown last, and the longest such gap.
    pub last_band: Option<u64>,
    pub frozen: u64,
    /// The largest error of the clock estimate, once settled.
    pub clock_error: u64,
    pub skew_ppm: f64,
    /// Unfinished slices that were drawn as far as they came.
    pub parts: u64,
    pub settled: Vec<Settled>,
    /// What was told of a film, and when.
    pub films: Vec<(u64, Film)>,
    pub blocks: Vec<u64>,
    /// Those of them that came as Opus packets, and those whose packet came beside their samples.
    pub packets: Vec<u64>,
    pub primers: Vec<u64>,
    /// True time of the first whole picture.
    pub first_whole: Option<u64>,
    /// True times at which pictures were whole, where a scenario asks.
    pub whole_at: Vec<u64>,
    /// Every picture shown, in order.
    pub shown: Vec<Shown>,
    /// The most bytes of unfinished slices.
    pub assembly_bytes: u64,
    pub stats: ReceiverStats,
    pub counters: Discarded,
    pub log: Vec<(u64, String)>,
    pub finished: Option<u64>,
    /// It says of nothing that it has it: its disk is full.
    pub stuck: bool,
    /// By how much a block of sound that came was ahead of the newest picture shown, at most, once there was one.
    pub sound_ahead: Duration,
    pub senders: Vec<(u64, String)>,
    /// By how much the time that slices said they were caught at was off at most: of what is forwarded it is by another clock.
    pub stamp_error: u64,
    /// What was said of the track, each time.
    pub told: Vec<Track>,
    /// Lines that people said: true time, who, what.
    pub lines: Vec<(u64, String, String)>,
    /// Where pictures are only what changed: how many MCUs are wrong now, and were in the first picture shown.
    pub wrong: usize,
    pub wrong_at_first: Option<usize>,
    /// When none was wrong for long for the first time, and since then how long at most one was shown as it was no more; and when
    /// that was more than 100 ms, each time it was looked at.
    pub right_at: Option<u64>,
    pub ghost: u64,
    pub ghosts: Vec<(u64, u64)>,
}

/// A picture on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: u64,
    pub picture: u64,
    pub latency: u64,
}
