//! What `recv` measures: latency in all and by stage, for `--stats json` and for the overlay. The README explains the fields.

use super::super::failure::Failure;
use super::super::stats::{self, Span, Statistics, Times, ms};
use super::super::ticker::Place;
use super::lips::Lips;
use crate::net;
use crate::pipeline::decode;
use eyeline_proto::media::playout;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use eyeline_proto::session::stats::{Received, Stats, TrackStats};
use eyeline_proto::sound::Form;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Latencies, in all and by stage.
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

impl Stages {
    fn each(&mut self) -> [(&'static str, &mut Times); 7] {
        let Stages { all, queue, encode, network, hold, decode, present } = self;
        [
            ("all", all),
            ("queue", queue),
            ("encode", encode),
            ("network", network),
            ("hold", hold),
            ("decode", decode),
            ("present", present),
        ]
    }
}

/// What is measured of one track.
#[derive(Default)]
struct Measured {
    size: Option<Size>,
    /// Pictures shown, in this second and in the run.
    shown: (u32, u64),
    latency: Times,
    interval: Times,
    lips: Lips,
    last_shown: Option<Instant>,
    /// Bytes and lost packets at the end of the second before.
    before: (u64, u64),
}

impl Measured {
    fn next_second(&mut self) {
        self.shown.0 = 0;
        self.latency.next_second();
        self.interval.next_second();
        self.lips.next_second();
    }
}

/// What is counted outside the session.
pub struct Outside {
    /// By the net thread.
    pub net: net::Traffic,
    pub shown: u32,
    /// By the speaker, and blocks that it did not take; of the track that came last.
    pub sound: Option<(playout::Stats, u64)>,
    /// The same of each track that is heard.
    pub sounds: BTreeMap<TrackId, (playout::Stats, u64)>,
    /// Slices that were not decoded.
    pub slices_dropped: u64,
    /// What senders that are here call themselves.
    pub names: BTreeMap<TrackId, String>,
    /// Where the films are that some of them play.
    pub films: BTreeMap<TrackId, Value>,
    /// Which of them is large in the window.
    pub large: Option<TrackId>,
}

/// Remembers the second before, for rates.
pub struct ViewingStats {
    /// Where the user asked for JSON.
    to: Option<Rc<Statistics>>,
    stages: Stages,
    lips: Lips,
    partial: u64,
    interval: Times,
    tracks: BTreeMap<TrackId, Measured>,
    before: (u64, u64, u32),
    started: Instant,
    picture: Option<Size>,
}

impl ViewingStats {
    pub fn new(to: Option<Rc<Statistics>>) -> Self {
        ViewingStats {
            to,
            stages: Stages::default(),
            lips: Lips::default(),
            partial: 0,
            interval: Times::default(),
            tracks: BTreeMap::new(),
            before: (0, 0, 0),
            started: Instant::now(),
            picture: None,
        }
    }

    /// A picture was handed to the display at `at`; its light was `captured` then, on our clock, and the `sound` that was heard
    /// then was so old.
    pub fn shown(&mut self, ready: &decode::Ready, at: Instant, captured: Option<Instant>, sound: Option<Duration>) {
        let decode::Ready { track, picture: ready } = ready;
        self.picture = Some(ready.size);
        self.partial += u64::from(!ready.whole);
        let own = self.tracks.entry(*track).or_default();
        (own.size, own.shown) = (Some(ready.size), (own.shown.0 + 1, own.shown.1 + 1));
        if let Some(last) = own.last_shown.replace(at) {
            self.interval.push(at.saturating_duration_since(last));
            own.interval.push(at.saturating_duration_since(last));
        }
        let Some(captured) = captured else { return };
        own.latency.push(at.saturating_duration_since(captured));
        if let Some(sound) = sound {
            self.lips.push(at.saturating_duration_since(captured), sound);
            own.lips.push(at.saturating_duration_since(captured), sound);
        }
        let sent = captured + ready.queued + ready.encoded;
        let stages = &mut self.stages;
        stages.all.push(at.saturating_duration_since(captured));
        stages.queue.push(ready.queued);
        stages.encode.push(ready.encoded);
        stages.network.push(ready.received.saturating_duration_since(sent));
        stages.hold.push(ready.held());
        stages.decode.push(ready.decoded.saturating_duration_since(ready.released));
        stages.present.push(at.saturating_duration_since(ready.decoded));
    }

    /// How far the film is that is seen, for the line at a terminal; empty where there is none.
    pub fn film(&self, words: String) {
        self.to.iter().for_each(|to| to.beside(Place::Film, words.clone()));
    }

    /// One second is over: prints it where asked, and gives the overlay's lines.
    pub fn second(&mut self, stats: &Stats, outside: &Outside) -> Result<Vec<String>, Failure> {
        let (bytes, lost, shown_before) = self.before;
        let fps = outside.shown.saturating_sub(shown_before);
        let mbit = stats::mbit(stats.receiving.total.bytes.saturating_sub(bytes));
        let lost = stats.receiving.total.lost_packets.saturating_sub(lost);
        let lines = match outside.large.filter(|_| outside.names.len() > 1) {
            Some(large) => self.lines_of(large, stats, outside),
            None => self.lines(stats, outside.names.len(), (fps, mbit, lost)),
        };
        if let Some(to) = self.to.clone() {
            let mut object = self.object(stats, outside, Span::Second);
            (object["fps"], object["mbit_s"]) = (fps.into(), mbit.into());
            to.print(&object)?;
        }
        self.stages.each().into_iter().for_each(|(_, times)| times.next_second());
        self.interval.next_second();
        self.lips.next_second();
        self.tracks.retain(|track, _| stats.receiving.tracks.iter().any(|here| here.track == *track));
        self.tracks.values_mut().for_each(Measured::next_second);
        for TrackStats { track, received, .. } in &stats.receiving.tracks {
            self.tracks.entry(*track).or_default().before = (received.bytes, received.lost_packets);
        }
        self.before = (stats.receiving.total.bytes, stats.receiving.total.lost_packets, outside.shown);
        Ok(lines)
    }

    /// It is over: prints what came of all of it, where asked.
    pub fn total(&mut self, stats: &Stats, outside: &Outside) {
        let Some(to) = self.to.clone() else { return };
        let run = self.started.elapsed();
        let mut object = self.object(stats, outside, Span::Run);
        object["fps"] = stats::a_second(outside.shown.into(), run).into();
        object["mbit_s"] = stats::a_second(stats.receiving.total.bytes as f64 * 8.0 / 1e6, run).into();
        stats::make_total(&mut object, run, &["rtt_ms", "assembly_bytes", "quiet", "tracks", "codec"]);
        if let Some(sound) = object["sound"].as_object_mut() {
            sound.retain(|field, _| !SOUND_NOW.contains(&field.as_str()));
        }
        // Whoever read the seconds before may have left.
        let _ = to.print(&object);
    }

    fn object(&mut self, stats: &Stats, outside: &Outside, span: Span) -> Value {
        let lips = self.lips.percentiles(span);
        let lip = |n: usize| lips.map(|lips| stats::round(lips[n]));
        let latency: serde_json::Map<_, _> =
            self.stages.each().into_iter().map(|(name, times)| (name.to_string(), times.value(span))).collect();
        let mut object = json!({
            "role": "recv",
            "whole": stats.receiving.total.whole, "partial": stats.receiving.total.partial, "lost": stats.receiving.total.lost, "left_out": stats.receiving.total.left_out,
            "shown": outside.shown, "shown_in_part": self.partial,
            "slices": stats.receiving.total.slices, "slices_dropped": outside.slices_dropped,
            "late_fragments": stats.receiving.total.late, "recovered": stats.receiving.total.recovered, "bad_fragments": stats.receiving.total.bad,
            "datagrams": stats.receiving.total.datagrams, "bytes": stats.receiving.total.bytes,
            "lost_packets": stats.receiving.total.lost_packets, "nacks": stats.receiving.total.nacks,
            // Of a peer that is gone it is not known.
            "rtt_ms": here(stats).map(|track| ms(track.rtt)),
            "latency_ms": latency, "interval_ms": self.interval.value(span),
            "blocks": stats.receiving.total.blocks, "opus_blocks": stats.receiving.total.packets, "copied_blocks": stats.receiving.total.copied_blocks, "duplicate_blocks": stats.receiving.total.duplicate_blocks,
            "codec": here(stats).and_then(|track| track.form).map(stats::codec),
            "sound": outside.sound.map(|(sound, dropped)| describe(sound, dropped)),
            "lip_ms": lip(1), "lip_low_ms": lip(0), "lip_high_ms": lip(2),
            "assembly_bytes": stats.receiving.total.assembly_bytes, "quiet": here(stats).is_none(),
            "tracks": stats.receiving.tracks.iter().map(|track| self.of_track(track, outside, span)).collect::<Vec<_>>(),
            "rejected": stats::rejected(stats.counters, outside.net.turned_away),
        });
        stats::add_errors(&mut object, &outside.net);
        object
    }

    /// What came of one track, and how it was shown and heard. Of one whose sender is gone or silent no round trip is known.
    fn of_track(&mut self, track: &TrackStats, outside: &Outside, span: Span) -> Value {
        let (id, came) = (track.track, &track.received);
        let own = self.tracks.entry(id).or_default();
        let lips = own.lips.percentiles(span);
        let lip = |n: usize| lips.map(|lips| stats::round(lips[n]));
        json!({
            "sender": id.peer.0, "track": id.track, "name": outside.names.get(&id),
            "whole": came.whole, "partial": came.partial, "lost": came.lost, "left_out": came.left_out, "bytes": came.bytes,
            "lost_packets": came.lost_packets, "blocks": came.blocks, "opus_blocks": came.packets, "codec": track.form.map(stats::codec),
            "rtt_ms": (!track.quiet).then(|| ms(track.rtt)), "quiet": track.quiet,
            "film": outside.films.get(&id), "size": own.size.map(|size| [size.width, size.height]), "shown": own.shown.1, "fps": own.shown.0,
            "latency_ms": own.latency.value(span), "interval_ms": own.interval.value(span),
            "lip_ms": lip(1), "lip_low_ms": lip(0), "lip_high_ms": lip(2),
            "sound": outside.sounds.get(&id).map(|(sound, dropped)| describe(*sound, *dropped)),
        })
    }

    /// What the overlay says of so many `senders`, of several their sums: pictures, Mbit and lost packets of this second are
    /// given. Of a peer that is gone or silent nothing is known now, and nothing is said.
    fn lines(&mut self, stats: &Stats, senders: usize, (fps, mbit, lost): (u32, f64, u64)) -> Vec<String> {
        let Some(here) = here(stats) else { return vec![NO_SIGNAL.to_string()] };
        let size = self.picture.map_or_else(|| "no picture".to_string(), |size| size.to_string());
        let what = if senders > 1 { format!("all {senders} together:") } else { size };
        let latency = self.stages.all.percentiles();
        let mut lines = figures(&what, (fps, mbit, lost), &stats.receiving.total, latency);
        if senders < 2 {
            lines.extend(self.lips.percentiles(Span::Second).map(|[_, lip, _]| sound_is(lip)));
            lines.push(round_trip(here));
        }
        lines
    }

    /// What the overlay says of the one that is large beside others.
    fn lines_of(&mut self, large: TrackId, stats: &Stats, outside: &Outside) -> Vec<String> {
        let name = outside.names.get(&large).map_or("", String::as_str);
        let Some(here) = stats.receiving.tracks.iter().find(|track| track.track == large && !track.quiet) else {
            return vec![format!("{name}: {NO_SIGNAL}")];
        };
        let (own, came) = (self.tracks.entry(large).or_default(), &here.received);
        let size = own.size.map_or_else(|| "no picture".to_string(), |size| size.to_string());
        let (bytes, lost) = own.before;
        let now = (own.shown.0, stats::mbit(came.bytes.saturating_sub(bytes)), came.lost_packets.saturating_sub(lost));
        let latency = own.latency.percentiles();
        let mut lines = figures(&format!("{name}: {size}"), now, came, latency);
        lines.extend(own.lips.percentiles(Span::Second).map(|[_, lip, _]| sound_is(lip)));
        lines.push(round_trip(here));
        lines
    }
}

/// Where nothing is heard of whoever is shown.
const NO_SIGNAL: &str = "no figures: no signal";

/// The overlay's first lines: of `what`, with pictures, Mbit and lost packets of this second, what came in all, and latency.
fn figures(what: &str, now: (u32, f64, u64), came: &Received, latency: Option<[Duration; 3]>) -> Vec<String> {
    let (fps, mbit, lost) = now;
    let mut lines = vec![
        format!("{what}  {fps} pictures/s  {mbit:.1} Mbit/s"),
        format!("loss {lost} packets/s  {} partial  {} lost", came.partial, came.lost),
    ];
    lines.extend(latency.map(|[p50, p95, _]| format!("latency  p50 {:.1} ms  p95 {:.1} ms", ms(p50), ms(p95))));
    lines
}

/// By how many ms sound is early.
fn sound_is(lip: f64) -> String {
    format!("sound {:.1} ms {}", lip.abs(), if lip < 0.0 { "late" } else { "early" })
}

fn round_trip(track: &TrackStats) -> String {
    let compressed = if track.form == Some(Form::Opus) { "  sound by Opus" } else { "" };
    format!("round trip {:.1} ms{compressed}", ms(track.rtt))
}

/// The one that is shown, if something is heard of it.
fn here(stats: &Stats) -> Option<&TrackStats> {
    stats.receiving.tracks.iter().find(|track| !track.quiet)
}

/// Fields of `sound` that are about this moment.
const SOUND_NOW: [&str; 5] = ["level_ms", "target_ms", "jitter_ms", "latency_ms", "correction_ppm"];

fn describe(sound: playout::Stats, dropped: u64) -> Value {
    json!({
        "level_ms": ms(sound.level), "target_ms": ms(sound.target), "jitter_ms": ms(sound.jitter),
        "latency_ms": sound.latency.map(ms), "underflows": sound.underflows, "concealed_frames": sound.concealed,
        "late_blocks": sound.late, "shed_frames": sound.shed, "dropped_blocks": dropped,
        "correction_ppm": stats::round(sound.correction_ppm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::media::reel;
    use eyeline_proto::session::PeerId;
    use eyeline_proto::session::stats::ReceiverStats;
    use eyeline_proto::time::MediaTime;

    fn outside() -> Outside {
        let net = net::Traffic { too_long: 3, send_errors: 5, receive_errors: 7, ..net::Traffic::default() };
        Outside {
            net,
            shown: 60,
            sound: Some((playout::Stats::default(), 9)),
            sounds: BTreeMap::from([(TrackId::own(PeerId(0)), (playout::Stats::default(), 9))]),
            slices_dropped: 0,
            films: BTreeMap::new(),
            names: BTreeMap::from([(TrackId::own(PeerId(0)), "attic".to_string())]),
            large: None,
        }
    }

    #[test]
    fn what_the_kernel_refused_and_the_speaker_did_not_take_is_told() {
        let object = ViewingStats::new(None).object(&Stats::default(), &outside(), Span::Second);
        let told = ["too_long", "send_errors", "receive_errors"].map(|field| object[field].as_u64());
        assert_eq!((told, object["sound"]["dropped_blocks"].as_u64()), ([Some(3), Some(5), Some(7)], Some(9)));
    }

    #[test]
    fn of_a_peer_that_is_gone_no_figures_are_shown_as_if_they_were_now() {
        let mut viewing = ViewingStats::new(None);
        let (track, received) = (TrackId::default(), Received::default());
        let shown = |quiet| TrackStats { track, received, rtt: Duration::from_millis(20), quiet, form: None };
        let [here, gone] = [false, true].map(|quiet| Stats {
            receiving: ReceiverStats { tracks: vec![shown(quiet)], ..ReceiverStats::default() },
            ..Stats::default()
        });
        let lines = |viewing: &mut ViewingStats, stats| viewing.second(stats, &outside()).expect("nothing is printed");
        assert!(lines(&mut viewing, &here).contains(&"round trip 20.0 ms".to_string()));
        assert_eq!(lines(&mut viewing, &gone), ["no figures: no signal"]);
        let object = viewing.object(&here, &outside(), Span::Second);
        assert_eq!((&object["rtt_ms"], &object["tracks"][0]["name"]), (&20.0.into(), &"attic".into()));
        assert_eq!(viewing.object(&gone, &outside(), Span::Second)["rtt_ms"], Value::Null);
    }

    #[test]
    fn of_several_the_figures_are_sums_or_those_of_the_large_one_with_its_name() {
        let mut viewing = ViewingStats::new(None);
        let of = |peer: u64| TrackId::own(PeerId(peer));
        let second = |viewing: &mut ViewingStats, bytes: [u64; 2], large| {
            let received = bytes.map(|bytes| Received { bytes, lost: bytes / 125_000, ..Received::default() });
            let track = |peer: u64| {
                let received = received[peer as usize];
                TrackStats { track: of(peer), received, rtt: Duration::from_millis(peer), quiet: false, form: None }
            };
            let mut receiving = ReceiverStats { tracks: vec![track(0), track(1)], ..ReceiverStats::default() };
            received.iter().for_each(|received| receiving.total += received);
            let names = [(of(0), "attic".to_string()), (of(1), "cellar".to_string())].into();
            let outside = Outside { names, large, shown: 0, ..outside() };
            viewing.second(&Stats { receiving, ..Stats::default() }, &outside).expect("nothing is printed")
        };
        let together = ["all 2 together:  0 pictures/s  3.0 Mbit/s", "loss 0 packets/s  0 partial  3 lost"];
        assert_eq!(second(&mut viewing, [125_000, 250_000], None), together);
        let cellar = ["cellar: no picture  0 pictures/s  4.0 Mbit/s", "loss 0 packets/s  0 partial  6 lost", "round trip 1.0 ms"];
        assert_eq!(second(&mut viewing, [125_000, 750_000], Some(of(1))), cellar);
        assert_eq!(second(&mut viewing, [0; 2], Some(of(7))), [": no figures: no signal"]);
    }

    #[test]
    fn each_track_has_its_own_latency_lip_error_and_sound() {
        let (mut viewing, start) = (ViewingStats::new(None), Instant::now());
        let of = |peer: u64| TrackId::own(PeerId(peer));
        for (peer, width, late) in [(0, 640, 10), (1, 1280, 30), (1, 1280, 30)] {
            let (size, zero) = (Size { width, height: 360 }, Duration::ZERO);
            let picture = reel::Ready {
                picture: 0,
                size,
                capture: MediaTime::ZERO,
                position: None,
                queued: zero,
                encoded: zero,
                received: start,
                released: start,
                decoded: start,
                whole: true,
            };
            let ready = decode::Ready { track: of(peer), picture };
            viewing.shown(&ready, start + Duration::from_millis(late), Some(start), Some(Duration::from_millis(20)));
        }
        let track =
            |peer| TrackStats { track: of(peer), received: Received::default(), rtt: Duration::ZERO, quiet: false, form: None };
        let receiving = ReceiverStats { tracks: vec![track(0), track(1)], ..ReceiverStats::default() };
        let stats = Stats { receiving, ..Stats::default() };
        let object = viewing.object(&stats, &outside(), Span::Second);
        let tracks = object["tracks"].as_array().expect("two");
        let told = |field: &str| tracks.iter().map(|track| track[field].clone()).collect::<Vec<_>>();
        assert_eq!((told("fps"), told("lip_ms")), (vec![json!(1), json!(2)], vec![json!(-10.0), json!(10.0)]));
        assert_eq!((told("size"), &tracks[1]["latency_ms"]["p50"]), (vec![json!([640, 360]), json!([1280, 360])], &json!(30.0)));
        assert_eq!((&tracks[0]["sound"]["dropped_blocks"], &tracks[1]["sound"]), (&json!(9), &Value::Null));
        viewing.second(&stats, &outside()).expect("nothing is printed");
        assert_eq!(viewing.object(&stats, &outside(), Span::Second)["tracks"][1]["fps"], 0);
        viewing.second(&Stats::default(), &outside()).expect("nothing is printed");
        assert!(viewing.tracks.is_empty(), "of one that is gone nothing is kept");
    }
}
