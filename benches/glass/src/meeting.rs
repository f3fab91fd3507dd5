//! A meeting in numbers: what `call`s that see and hear each other cost, what goes over the network, how late a picture is on the
//! screen and a voice in the ear; beside a pair of GStreamer's webrtcbin in the same run.
//!
//! Nothing a program says of its own latency counts: pictures say when they were written and a voice is fed to one member; another's
//! screen is read and its speaker recorded.

mod cast;
mod delay;
mod lan;
mod report;
mod room;

use crate::clock::{now_us, sleep_until};
use crate::code::{BLOCK, Mark};
use crate::framebuffer::Framebuffer;
use crate::glass::LOOP;
use crate::options::{Case, Options};
use crate::piece::Piece;
use crate::play::wait_for;
use crate::rig::{self, Display, Scratch};
use crate::said::number;
use crate::scene::{self, Probes, Shape};
use crate::screen::Barcoded;
use crate::source::{self, Format};
use crate::stats::{Figures, Log, quantile};
use cast::{Codec, Part, Player, Set, Voice, Who};
use lan::Lan;
use report::{Load, Outcome};
use room::Room;
use serde_json::Value;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Members, where nothing else is asked for.
const COUNTS: [usize; 3] = [2, 4, 8];

/// What two cores carry, where nothing else is asked for: of so many members or fewer.
const CASES: [(usize, Case); 3] = [
    (2, Case { width: 640, height: 360, fps: 30 }),
    (4, Case { width: 640, height: 360, fps: 15 }),
    (usize::MAX, Case { width: 384, height: 216, fps: 10 }),
];

/// Pairs of webrtcbin: as it comes, and with the least wait that plays cleanly.
const PEERS: [Who; 4] = [
    Who::WebRtc { codec: Codec::Vp8, latency_ms: 200, voice: Voice::AsHeard },
    Who::WebRtc { codec: Codec::Vp8, latency_ms: 20, voice: Voice::AsHeard },
    Who::WebRtc { codec: Codec::H264, latency_ms: 20, voice: Voice::AsHeard },
    Who::WebRtc { codec: Codec::H264, latency_ms: 20, voice: Voice::Cleaned },
];

/// From when all are seen, until jitter buffers and rates are what they stay.
const SETTLE_US: u64 = 12_000_000;

/// What is over the lower edge of a tile: the name of who is seen. The lower code stands above it.
const LABEL: usize = 4 * BLOCK;

/// Prints the table.
pub fn run(options: &Options) -> Result<(), String> {
    rig::alone(&options.cores)?;
    let counts: &[usize] = if options.counts.is_empty() { &COUNTS } else { &options.counts };
    let calls = counts.iter().filter(|count| **count > 1).flat_map(|&members| {
        let calls = |point, voice| Who::Calls { members, point, voice };
        // What a point costs and what waits there shows best beside two without one, and so does what cleaning takes.
        let beside = [calls(true, Voice::Cleaned), calls(false, Voice::AsHeard)];
        std::iter::once(calls(false, Voice::Cleaned)).chain(beside.into_iter().filter(move |_| members == 2))
    });
    report::print_head(options.seconds, options.runs, floor()?);
    let mut rows = Vec::new();
    for who in calls.chain(PEERS) {
        let usual = CASES.iter().find(|(most, _)| who.members() <= *most).map_or(CASES[0].1, |(_, case)| *case);
        let case = options.one(usual);
        let shape = Shape::new(case.width, case.height, LOOP)?;
        let frames = scene::render(shape);
        let meeting = Meeting { case, options, shape, frames: &frames };
        let runs = (0..options.runs).map(|_| meeting.measure(who)).collect::<Result<Vec<_>, _>>();
        match runs {
            Ok(runs) => {
                let outcome = Outcome::middle(&runs);
                report::print_row(who, case, &outcome);
                rows.push((who, case, outcome));
            }
            Err(why) => rig::progress(&format!("{}: {why}", who.title())),
        }
    }
    report::print_verdicts(&rows);
    Ok(())
}

/// What the sound server itself takes, ms.
fn floor() -> Result<f64, String> {
    let scratch = Scratch::new()?;
    let room = Room::start(&scratch.0)?;
    Ok(quantile(&mut room.floor()?.ms, 0.5))
}

/// A camera. Where it is coded its pictures say when they were taken.
struct Camera<'a> {
    shape: Shape,
    code: Option<Barcoded<'a>>,
}

impl Piece for Camera<'_> {
    type Seen = Log;

    fn shape(&self) -> Shape {
        self.shape
    }

    fn mark(&self, luma: &mut [u8], mark: Mark) {
        if let Some(code) = &self.code {
            code.mark(luma, mark);
        }
    }

    fn watch(&self, screen: &Framebuffer, seen_us: &AtomicU64, over: &AtomicBool) -> Log {
        self.code.as_ref().map_or_else(Log::default, |code| code.watch(screen, seen_us, over))
    }
}

struct Meeting<'a> {
    case: Case,
    options: &'a Options,
    shape: Shape,
    frames: &'a [Vec<u8>],
}

/// Totals of everybody at one moment.
struct Moment {
    at_us: u64,
    /// Of the recording.
    heard: usize,
    /// CPU ms, and bytes received and sent.
    used: Vec<(f64, [f64; 2])>,
    /// What was concealed, ms, and came late, where it is heard.
    made_up: [f64; 2],
}

impl Moment {
    fn now(players: &[Player], looks: usize, room: &Room) -> Moment {
        Moment {
            at_us: now_us(),
            heard: room.now(),
            used: players.iter().map(|player| (player.running.cpu_ms(), player.running.link_bytes())).collect(),
            made_up: made_up(&players[looks]),
        }
    }
}

/// What a receiver says it concealed of the talker's sound, ms, and what came too late.
fn made_up(player: &Player) -> [f64; 2] {
    let said = player.said.latest_of("recv");
    match track_of(&said, Part::Talks) {
        Some(track) => {
            let sound = &track["sound"];
            [number(&sound["concealed_frames"]) / 48.0, number(&sound["late_blocks"])]
        }
        None => {
            let said = player.said.latest();
            [number(&said["concealed_ms"]), number(&said["late"])]
        }
    }
}

fn track_of(said: &Value, part: Part) -> Option<&Value> {
    said["tracks"].as_array()?.iter().find(|track| track["name"] == part.name())
}

impl Meeting<'_> {
    fn measure(&self, who: Who) -> Result<Outcome, String> {
        let scratch = Scratch::new()?;
        let room = Room::start(&scratch.0)?;
        let lan = Lan::new(who.parts().len())?;
        let (width, height) = who.window(self.case)?;
        let display = |name: &str| {
            let folder = scratch.0.join(name);
            fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            // Larger than the window: a `call` leaves the margin of a screen free.
            Display::start((width * 3 / 2).next_multiple_of(8), height * 3 / 2, &folder, None)
        };
        let (looked_at, others) = (display("looked-at")?, display("others")?);
        let displays = [looked_at.name.as_str(), &others.name];
        let set = Set { options: self.options, case: self.case, scratch: &scratch.0, room: &room, lan: &lan, displays };
        self.play(who, &set, &looked_at)
    }

    fn play(&self, who: Who, set: &Set<'_>, looked_at: &Display) -> Result<Outcome, String> {
        let code = Shape { height: self.shape.height - LABEL, ..self.shape };
        let probes = Probes::new(code, self.frames);
        let coded = Camera { shape: self.shape, code: Some(Barcoded { shape: code, probes: &probes }) };
        let bare = Camera { shape: self.shape, code: None };
        let (over, stop, seen_us) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let (log, measured) = thread::scope(|scope| {
            let watch = scope.spawn(|| coded.watch(&looked_at.pixels, &seen_us, &over));
            let measured = (|| {
                let mut players = who.start(set)?;
                for (machine, player) in players.iter_mut().enumerate().filter(|(_, player)| player.has_camera) {
                    let out = player.running.stdin().ok_or("no stdin")?;
                    // Whichever is read went the way that all go: where several dial, what who waits shows goes a shorter one.
                    let camera = if machine == 0 && who.members() > 2 { &bare } else { &coded };
                    let (mut frames, stop, fps) = (self.frames.to_vec(), &stop, self.case.fps);
                    scope.spawn(move || source::run(camera, &mut frames, fps, Format::Y4m, out, stop));
                }
                self.moments(who, &mut players, set.room, &seen_us)
            })();
            over.store(true, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            (watch.join(), measured)
        });
        let log = log.map_err(|_| "the meter panicked")?;
        let (before, after, memory) = measured?;
        Ok(self.outcome(who, &log, [&before, &after], memory, set.room))
    }

    /// Waits until everybody is seen and settled; the two ends of the time that counts, and the memory of who waits. All end with it.
    fn moments(
        &self,
        who: Who,
        players: &mut [Player],
        room: &Room,
        seen_us: &AtomicU64,
    ) -> Result<(Moment, Moment, f64), String> {
        let parts = who.parts();
        let looks = parts.iter().position(|part| *part == Part::Looks).ok_or("nobody looks")?;
        let Player { running, said, .. } = &mut players[looks];
        let whole = || {
            let tracks = said.latest_of("recv")["tracks"].as_array().cloned().unwrap_or_default();
            tracks.iter().filter(|track| number(&track["whole"]) > 0.0).count()
        };
        let all = if matches!(who, Who::Calls { .. }) { who.members() - 1 } else { 0 };
        wait_for(|| seen_us.load(Ordering::Relaxed) > 0 && whole() >= all, running)?;
        sleep_until(now_us() + SETTLE_US);
        let before = Moment::now(players, looks, room);
        sleep_until(before.at_us + (self.options.seconds * 1e6) as u64);
        let after = Moment::now(players, looks, room);
        for (player, part) in players.iter_mut().zip(&parts) {
            if !player.running.is_alive() {
                return Err(format!("who {} ended: {}", part.name(), player.running.words()));
            }
        }
        // Pictures under way are still seen, sound under way is still heard.
        sleep_until(now_us() + 1_000_000);
        Ok((before, after, players[0].running.rss_mib()))
    }

    fn outcome(&self, who: Who, log: &Log, [before, after]: [&Moment; 2], memory: f64, room: &Room) -> Outcome {
        let seconds = (after.at_us - before.at_us) as f64 / 1e6;
        let loads: Vec<Load> = before
            .used
            .iter()
            .zip(&after.used)
            .map(|((cpu, bytes), (cpu_after, bytes_after))| Load {
                cpu_percent: (cpu_after - cpu) / seconds / 10.0,
                mbit_s: [1, 0].map(|way| (bytes_after[way] - bytes[way]) * 8.0 / seconds / 1e6),
            })
            .collect();
        let parts = who.parts();
        let listening = loads.iter().zip(&parts).skip(1).filter(|(_, part)| **part != Part::Talks);
        let listening: Vec<&Load> = listening.map(|(load, _)| load).collect();
        let mean = |what: &dyn Fn(&Load) -> f64| listening.iter().map(|load| what(load)).sum::<f64>() / listening.len() as f64;
        let listens =
            Load { cpu_percent: mean(&|load| load.cpu_percent), mbit_s: [0, 1].map(|way| mean(&|load| load.mbit_s[way])) };
        let figures = Figures::of(log, self.case.fps as f64, before.at_us, after.at_us);
        let mut delays = room.delays(before.heard, after.heard);
        let made_up = [0, 1].map(|what| (after.made_up[what] - before.made_up[what]) * 60.0 / seconds);
        Outcome {
            loads: [loads[0], listens],
            memory,
            pictures_s: figures.shown / seconds,
            picture_ms: [figures.latency[0], figures.latency[1]],
            sound_ms: [0.5, 0.95].map(|q| quantile(&mut delays.ms, q)),
            likeness: quantile(&mut delays.likeness, 0.5),
            concealed_ms: made_up[0],
            late: made_up[1],
        }
    }
}
