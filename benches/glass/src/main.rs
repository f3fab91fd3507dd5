//! eyeline-bench: measures what live video programs show, and when. `./bench` in the project's root installs what it needs and
//! runs it.
//!
//! All times are CLOCK_MONOTONIC microseconds: source and meter share this process.

mod clock;
mod code;
mod floors;
mod framebuffer;
mod glass;
mod grid;
mod impair;
mod load;
mod meeting;
mod motion;
mod network;
mod network_report;
mod options;
mod outcome;
mod peers;
mod piece;
mod play;
#[path = "../../../tests/support/proxy.rs"]
mod proxy;
mod report;
mod rig;
#[path = "../../support/scenes.rs"]
#[allow(dead_code, reason = "tests of the detector and other benches use the rest")]
mod room;
mod said;
mod scenarios;
mod scene;
mod screen;
mod soak;
#[path = "../../../tests/support/sound_server.rs"]
mod sound_server;
mod source;
mod stats;
mod tun;
#[path = "../../../tests/support/voices.rs"]
mod voices;
mod web;
mod xwin;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
eyeline-bench COMMAND [--name value]...

  glass          every peer plays the same live picture; the time is read off the displayed pixels
                   --sizes 640x480@30,1280x720@30,...   --seconds N   --runs N   --quick
                   --cores 0,1 (everything on these processors alone)
                   --only KEY,... (show jpeg gst-jpeg gst-h264 ffplay python eyeline eyeline-2 eyeline-jpegs)
  idle           what a sender costs that nobody watches, how soon the first picture is there, and what a still and a loop cost
  receivers N    what each further receiver costs the sender [50]
                   --sizes 1280x720@30 --seconds N
  grid           what a window costs that shows several senders, beside GStreamer's compositor
                   --counts 1,2,4,9,16   --sizes 1280x720@30 (the window's too)   --seconds N   --runs N   --only eyeline,gst-jpeg
  meeting        calls that see and hear each other: what they cost and send, how late picture and voice are, beside webrtcbin
                   (root, or user namespaces)
                   --counts 2,4,8 (members)   --sizes 640x360@30   --seconds N   --runs N
  web            how late the page for browsers is in a real one, beside multipart as everybody writes it, on this machine and over
                 10 Mbit/s (root, or user namespaces and /dev/net/tun)
                   --sizes 1280x720@30   --seconds N   --runs N
  motion         scenes of which more or less moves, Eyeline with and without conditional replenishment, GStreamer, H.264;
                 exit code 1 when a verdict is missed
                   --scene NAME (repeatable; webcam grainy still drift lamp fade slides pan zoom)   --film FILE   --pictures FOLDER (some of what was seen)
                   --sizes 1280x720@30,1920x1080@30   --seconds N   --runs N   --cores 0,1
                   --only KEY,... (eyeline eyeline-whole gst-jpeg h264-22 h264-26 h264-30)
  network        each peer over a link that loses, delays, chokes or is pulled (root, or user namespaces and /dev/net/tun)
                   --scenario NAME (repeatable; loss{0,1,5,10}-rtt{2,60} rate pulled2 pulled10; bursts, wild, bloat, megabit only when named)
                   --only KEY,... (gst-jpeg gst-h264 ffplay ffplay-ts eyeline)   --seconds N   --seed N
  soak           a film looped for long, 1 % lost, one receiver killed and restarted every minute: nothing may grow
                   --minutes N [30]   --seed N   --trace FILE (every second, as CSV)
  all take       --programs DIR (where send and recv are)  --scripts DIR (the peers')
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "network") && !tun::is_possible() {
        eprintln!("eyeline-bench: {}", tun::IMPOSSIBLE);
        return ExitCode::from(3);
    }
    match try_main(words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("eyeline-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// False when what was measured is not as wanted, where that is asked.
fn try_main(words: Vec<String>) -> Result<bool, String> {
    let (command, rest) = words.split_first().ok_or(USAGE)?;
    let address = || rest.first().and_then(|word| word.parse().ok()).ok_or("an address is missing");
    match command.as_str() {
        "soak" => return soak::run(&soak_options(rest)?),
        "motion" => return motion::run(&motion_options(rest)?),
        "show" => floors::show(),
        "floor-send" => floors::send(address()?),
        "floor-recv" => floors::recv(address()?),
        "glass" => glass::run(&options(rest)?),
        "network" => network::run(&network_options(rest)?),
        "idle" => load::idle(&options(rest)?),
        "receivers" => {
            let number = rest.first().and_then(|word| word.parse().ok());
            load::receivers(number.unwrap_or(50), &options(&rest[usize::from(number.is_some())..])?)
        }
        "grid" => grid::run(&options(rest)?),
        "meeting" => meeting::run(&options(rest)?),
        "web" => web::run(&options(rest)?),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("{other:?} is no command\n{USAGE}")),
    }
    .map(|()| true)
}

fn options(words: &[String]) -> Result<options::Options, String> {
    let sizes = |text: &str| text.split(',').map(str::parse).collect::<Result<Vec<_>, String>>();
    let mut options = options::Options {
        cases: sizes("640x480@30,1280x720@30,1280x720@60,1920x1080@30,3840x2160@30")?,
        seconds: 20.0,
        runs: 1,
        peers: None,
        counts: Vec::new(),
        cores: Vec::new(),
        programs: PathBuf::from("target/release"),
        scripts: PathBuf::from("benches/glass/peers"),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--quick" {
            (options.cases, options.seconds) = (sizes("1280x720@30,1920x1080@30")?, 5.0);
            continue;
        }
        let value = words.next().ok_or(format!("{word} needs a value\n{USAGE}"))?;
        let bad = || format!("{word}: cannot read {value:?}");
        match word.as_str() {
            "--sizes" => options.cases = sizes(value)?,
            "--seconds" => {
                options.seconds = value.parse().ok().filter(|seconds| (1.0..=600.0).contains(seconds)).ok_or_else(bad)?
            }
            "--runs" => options.runs = value.parse().ok().filter(|runs| *runs > 0).ok_or_else(bad)?,
            "--only" => options.peers = Some(named(value, peers::ALL)?),
            "--counts" => {
                options.counts = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
                if options.counts.iter().any(|count| !(1..=16).contains(count)) {
                    return Err(bad());
                }
            }
            "--cores" => options.cores = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?,
            "--programs" => options.programs = value.into(),
            "--scripts" => options.scripts = value.into(),
            _ => return Err(format!("{word} is no option\n{USAGE}")),
        }
    }
    Ok(options)
}

fn motion_options(words: &[String]) -> Result<motion::Options, String> {
    let mut options = motion::Options::usual();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value\n{USAGE}"))?;
        let bad = || format!("{word}: cannot read {value:?}");
        match word.as_str() {
            "--sizes" => options.cases = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--seconds" => {
                options.seconds = value.parse().ok().filter(|seconds| (1.0..=600.0).contains(seconds)).ok_or_else(bad)?
            }
            "--runs" => options.runs = value.parse().ok().filter(|runs| *runs > 0).ok_or_else(bad)?,
            "--scene" => {
                let found = motion::SCENES.iter().find(|scene| scene.name == value);
                let found = found.ok_or(format!("--scene: there is no {value:?}\n{USAGE}"))?;
                options.scenes.get_or_insert_default().push(found);
            }
            "--film" => {
                options.film = Some(value.into());
                options.scenes.get_or_insert_default();
            }
            "--pictures" => options.pictures = Some(value.into()),
            "--only" => options.peers = named(value, peers::MOTION)?,
            "--cores" => options.cores = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?,
            "--programs" => options.programs = value.into(),
            "--scripts" => options.scripts = value.into(),
            _ => return Err(format!("{word} is no option\n{USAGE}")),
        }
    }
    Ok(options)
}

/// Those of `all` whose keys stand in `keys`.
fn named(keys: &str, all: &'static [peers::Peer]) -> Result<Vec<&'static peers::Peer>, String> {
    let keys: Vec<&str> = keys.split(',').collect();
    match keys.iter().find(|key| all.iter().all(|peer| peer.key != **key)) {
        Some(key) => Err(format!("--only: nobody is called {key:?}")),
        None => Ok(all.iter().filter(|peer| keys.contains(&peer.key)).collect()),
    }
}

fn network_options(words: &[String]) -> Result<network::Options, String> {
    let mut options = network::Options::usual();
    let mut scenarios = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value\n{USAGE}"))?;
        let bad = || format!("{word}: cannot read {value:?}");
        match word.as_str() {
            "--seconds" => {
                options.seconds = value.parse().ok().filter(|seconds| (1.0..=600.0).contains(seconds)).ok_or_else(bad)?
            }
            "--seed" => options.seed = value.parse().map_err(|_| bad())?,
            "--scenario" => {
                let found = scenarios::SCENARIOS.iter().find(|scenario| scenario.name == value);
                scenarios.push(found.ok_or(format!("--scenario: there is no {value:?}\n{USAGE}"))?);
            }
            "--only" => {
                options.peers.clear();
                for key in value.split(',') {
                    let found = network::everybody().into_iter().find(|peer| peer.key == key);
                    options.peers.push(found.ok_or(format!("--only: nobody is called {key:?}"))?);
                }
            }
            "--programs" => options.programs = value.into(),
            "--scripts" => options.scripts = value.into(),
            _ => return Err(format!("{word} is no option\n{USAGE}")),
        }
    }
    if !scenarios.is_empty() {
        options.scenarios = scenarios;
    }
    Ok(options)
}

fn soak_options(words: &[String]) -> Result<soak::Options, String> {
    let mut options = soak::Options { minutes: 30, seed: 1, trace: None, programs: PathBuf::from("target/release") };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value\n{USAGE}"))?;
        let bad = || format!("{word}: cannot read {value:?}");
        match word.as_str() {
            // The first is for warming up.
            "--minutes" => options.minutes = value.parse().ok().filter(|minutes| *minutes >= 2).ok_or_else(bad)?,
            "--seed" => options.seed = value.parse().map_err(|_| bad())?,
            "--programs" => options.programs = value.into(),
            "--trace" => options.trace = Some(value.into()),
            "--scripts" => {}
            _ => return Err(format!("{word} is no option\n{USAGE}")),
        }
    }
    Ok(options)
}
