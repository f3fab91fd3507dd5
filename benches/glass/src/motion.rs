//! The motion bench: scenes of which more or less moves, played by Eyeline with and without conditional replenishment and by
//! others; what goes over the wire, what it costs, how late it is, and how near what is shown is to the scene without noise.
//!
//! A program's time and bytes are measured first; only then are pictures copied off the screen, for that costs the processors it
//! runs on. Where networks can be made, a last part plays the first scene over a link that loses.

mod numbered;
mod quality;
mod report;
mod scenes;

pub use scenes::{ALL as SCENES, Scene};

use crate::clock::sleep_until;
use crate::impair::Conditions;
use crate::options::Case;
use crate::peers::{self, Peer};
use crate::play::Stage;
use crate::rig::{self, Running};
use crate::scene::Shape;
use crate::stats::Figures;
use crate::tun::{self, Cable};
use numbered::{Numbered, Seen};
use report::{Row, Table};
use scenes::{Class, Loop, SECONDS};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Not measured after the first picture was seen: programs warm up, and what is still may become better.
const WARM_UP_US: u64 = 4_000_000;

/// How long pictures are copied: a loop.
const LOOK_US: u64 = SECONDS as u64 * 1_000_000;

/// What is asked for.
pub struct Options {
    /// Sizes, in order; at all but the first only the scenes that most is wanted of are played.
    pub cases: Vec<Case>,
    /// How long each peer's cost is measured.
    pub seconds: f64,
    /// How often everything is done; figures are medians.
    pub runs: usize,
    /// The scenes to play at every size; the usual ones where none are named.
    pub scenes: Option<Vec<&'static Scene>>,
    /// A film to play beside them.
    pub film: Option<PathBuf>,
    /// A folder for some of the pictures that were seen.
    pub pictures: Option<PathBuf>,
    /// Whom.
    pub peers: Vec<&'static Peer>,
    /// The only processors anything may use; empty is all.
    pub cores: Vec<usize>,
    /// Where `send` and `recv` are.
    pub programs: PathBuf,
    /// Where the peers' scripts are.
    pub scripts: PathBuf,
}

impl Options {
    /// Everything usual.
    pub fn usual() -> Options {
        Options {
            cases: ["1280x720@30", "1920x1080@30"].iter().filter_map(|case| case.parse().ok()).collect(),
            seconds: 2.0 * SECONDS as f64,
            runs: 1,
            scenes: None,
            film: None,
            pictures: None,
            peers: peers::MOTION.iter().collect(),
            cores: Vec::new(),
            programs: PathBuf::from("target/release"),
            scripts: PathBuf::from("benches/glass/peers"),
        }
    }
}

/// Runs everything and prints a table for each size, with verdicts. False where one was missed.
pub fn run(options: &Options) -> Result<bool, String> {
    let lossy = tun::is_possible();
    rig::alone(&options.cores)?;
    let mut met = true;
    for (index, case) in options.cases.iter().enumerate() {
        let mut table = Table::new(*case);
        let usual = SCENES.iter().filter(|scene| index == 0 || scene.always);
        for scene in options.scenes.clone().unwrap_or_else(|| usual.collect()) {
            let painted = scene.paint(*case);
            table.begin(scene.title, scene.class, options.runs);
            play(options, *case, painted, &mut table)?;
        }
        if let Some(film) = &options.film {
            let painted = Loop::film(film, *case)?;
            table.begin("a film", Class::All, options.runs);
            play(options, *case, painted, &mut table)?;
        }
        met &= table.print();
    }
    if options.scenes.is_none() && lossy {
        met &= lose(options, options.cases[0])?;
    } else if options.scenes.is_none() {
        rig::progress(&format!("no link that loses: {}", tun::IMPOSSIBLE));
    }
    Ok(met)
}

fn play(options: &Options, case: Case, mut painted: Loop, table: &mut Table) -> Result<(), String> {
    let shape = Shape::new(case.width, case.height, painted.frames.len())?;
    let peers: Vec<&'static Peer> = options.peers.iter().copied().filter(|peer| table.is_for(peer)).collect();
    for run in 1..=options.runs {
        for peer in &peers {
            match measure(options, case, peer, shape, &mut painted) {
                Ok((row, pictures)) => {
                    if let Some(folder) = &options.pictures {
                        save(&pictures, folder, &format!("{}-{}", table.scene(), peer.key), case.width)?;
                    }
                    rig::progress(&format!("{case} {}, {run}/{}, {}: {}", table.scene(), options.runs, peer.title, row.brief()));
                    table.add(peer, row);
                }
                Err(why) => rig::progress(&format!("{case} {}, {}: {why}", table.scene(), peer.title)),
            }
        }
    }
    Ok(())
}

fn stage<'a>(options: &'a Options, case: Case, piece: &'a Numbered, cable: Option<&'a Cable>) -> Stage<'a, Numbered> {
    let (programs, scripts): (&Path, &Path) = (&options.programs, &options.scripts);
    Stage { piece, fps: case.fps, programs, scripts, cable }
}

fn measure(options: &Options, case: Case, peer: &Peer, shape: Shape, painted: &mut Loop) -> Result<(Row, Pictures), String> {
    let piece = Numbered::new(shape, (peer.luma)(case.height));
    let played = stage(options, case, &piece, None).play(peer, &mut painted.frames, |send, recv, seen_us| {
        let from = seen_us + WARM_UP_US;
        let to = from + (options.seconds * 1e6) as u64;
        let used = || [send.cpu_ms(), recv.as_ref().map_or(0.0, |recv| Running::cpu_ms(recv)), rig::loopback_bytes()];
        sleep_until(from);
        let before = used();
        sleep_until(to);
        let after = used();
        keep_looks(&piece);
        Ok((from, to, [0, 1, 2].map(|i| after[i] - before[i])))
    })?;
    let (from, to, [send, recv, bytes]) = played.scene;
    let Seen { log, looks, pictures: seen } = played.seen;
    let figures = Figures::of(&log, case.fps as f64, from, to);
    let pictures = figures.expected.max(1.0);
    let row = Row {
        bytes: bytes / pictures,
        send: send / pictures,
        recv: recv / pictures,
        p50: figures.latency[0],
        p95: figures.latency[1],
        shown: figures.shown / pictures,
        freeze_ms: log.freeze_ms(from, to),
        quality: quality::measure(&looks, &painted.clean, shape.width),
    };
    Ok((row, seen))
}

/// Number and pixels of each.
type Pictures = Vec<(u16, Vec<u32>)>;

/// Writes pictures as PPM files into a folder that is made where it is not there.
fn save(pictures: &Pictures, folder: &Path, name: &str, width: usize) -> Result<(), String> {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (id, pixels) in pictures {
        let mut file = format!("P6 {width} {} 255\n", pixels.len() / width).into_bytes();
        file.extend(pixels.iter().flat_map(|pixel| [pixel >> 16, pixel >> 8, *pixel].map(|byte| byte as u8)));
        let path = folder.join(format!("{name}-{id}.ppm"));
        std::fs::write(&path, file).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn keep_looks(piece: &Numbered) {
    piece.keep.store(true, Ordering::Relaxed);
    sleep_until(crate::clock::now_us() + LOOK_US);
    piece.keep.store(false, Ordering::Relaxed);
}

/// The first scene over 60 ms there and back, clean and with 5 % lost each way.
fn lose(options: &Options, case: Case) -> Result<bool, String> {
    let Some(peer) = options.peers.iter().find(|peer| peer.key == "eyeline") else { return Ok(true) };
    let scene = &SCENES[0];
    let mut painted = scene.paint(case);
    let shape = Shape::new(case.width, case.height, painted.frames.len())?;
    let mut rows = Vec::new();
    for loss in [0.0, 0.05] {
        let (piece, cable) = (Numbered::new(shape, (peer.luma)(case.height)), Cable::new(1)?);
        let played = stage(options, case, &piece, Some(&cable)).play(peer, &mut painted.frames, |_, _, seen_us| {
            cable.set(Conditions { loss, delay_us: 30_000, ..Conditions::CLEAN });
            let from = seen_us + WARM_UP_US;
            let to = from + (options.seconds * 1e6) as u64;
            sleep_until(from);
            piece.keep.store(true, Ordering::Relaxed);
            sleep_until(to);
            piece.keep.store(false, Ordering::Relaxed);
            Ok((from, to))
        })?;
        let ((from, to), Seen { log, looks, .. }) = (played.scene, &played.seen);
        let figures = Figures::of(log, case.fps as f64, from, to);
        let samples = cable.samples();
        let mut within = samples.iter().filter(|sample| (from..to).contains(&sample.at_us)).map(|sample| sample.counts.bytes);
        let bytes = within.next().zip(within.next_back()).map_or(f64::NAN, |(first, last)| (last - first) as f64);
        rows.push(Row {
            bytes: bytes / figures.expected.max(1.0),
            send: f64::NAN,
            recv: f64::NAN,
            p50: figures.latency[0],
            p95: figures.latency[1],
            shown: figures.shown / figures.expected.max(1.0),
            freeze_ms: log.freeze_ms(from, to),
            quality: quality::measure(looks, &painted.clean, shape.width),
        });
    }
    Ok(report::print_loss(case, scene.title, &rows[0], &rows[1]))
}
