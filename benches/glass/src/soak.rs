//! Long hours: one film looped over a link that loses 1 %, one receiver that stays and one that is killed and started again every
//! minute. What may grow with time is sampled every second, printed every minute, and judged at the end.
//!
//! Both receivers play sound, through a PulseAudio of the bench's own; the one that stays has a window. The first minute is for
//! warming up: what is judged, is judged from then on.

use crate::clock::{now_us, sleep_until};
use crate::impair::Conditions;
use crate::play::free_port;
use crate::proxy::Proxy;
use crate::rig::{self, Display, Launch, Running, Scratch};
use crate::said::{Said, number};
use crate::sound_server::SoundServer;
use crate::stats::quantile;
use crate::tun::{self, Cable, Side};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Of 720p30, with a tone of two channels.
const FILM_SECONDS: u32 = 20;

/// One packet in so many is lost.
const ONE_IN: u64 = 100;

/// The second of each minute in which the other receiver is killed.
const KILL_AT: usize = 30;

/// Underflows from a second before a kill to so many after it are the kill's.
const SHADOW: usize = 5;

/// How far memory may be from what it was after the first minute, MiB.
const MEMORY: f64 = 2.0;
/// How far a minute's median latency may be from the second minute's, ms: pictures, sound.
const LATENCY: [f64; 2] = [5.0, 10.0];

/// What is asked for.
pub struct Options {
    /// At least two.
    pub minutes: usize,
    /// Decides what is lost.
    pub seed: u64,
    /// Where every second is written to, as CSV.
    pub trace: Option<PathBuf>,
    /// Where `send` and `recv` are.
    pub programs: PathBuf,
}

/// One second: of `send` and of the receiver that stays.
#[derive(Clone, Copy)]
struct Second {
    rss_mib: [f64; 2],
    descriptors: [f64; 2],
    /// Median latency of pictures and of sound, ms.
    latency: [f64; 2],
    /// Totals.
    underflows: f64,
    concealed_ms: f64,
    whole: f64,
    not_whole: f64,
    /// Peers the sender has.
    peers: f64,
}

/// Between the programs: a link of our own, or, where there can be none, a proxy that loses datagrams.
enum Way {
    Cable(Cable),
    Proxy { _lossy: Proxy, front: u16 },
}

struct Rig<'a> {
    options: &'a Options,
    scratch: Scratch,
    port: u16,
    way: Way,
    display: Display,
    sound: SoundServer,
}

/// Runs it; false when a verdict fails.
pub fn run(options: &Options) -> Result<bool, String> {
    let rig = Rig::start(options)?;
    let mut send = rig.send()?;
    let mut stays = rig.receiver("stays", true)?;
    let mut other = rig.receiver("other", false)?;
    let said = [Said::of(&mut send)?, Said::of(&mut stays)?];
    Said::of(&mut other)?;

    println!(
        "| minute | send MiB | descriptors | peers | recv MiB | descriptors | latency p50 ms | sound's ms | underflows | concealed ms | not whole |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut trace = options.trace.as_ref().map(File::create).transpose().map_err(|e| format!("--trace: {e}"))?;
    let mut seconds: Vec<Second> = Vec::new();
    let begun = now_us();
    for index in 0..options.minutes * 60 {
        sleep_until(begun + (index as u64 + 1) * 1_000_000);
        for (program, name) in [(&mut send, "send"), (&mut stays, "the receiver that stays")] {
            if !program.is_alive() {
                return Err(format!("{name} ended: {}", program.words()));
            }
        }
        if index % 60 == KILL_AT {
            other.kill();
            other = rig.receiver("other", false)?;
            Said::of(&mut other)?;
        }
        let second = Second::of([&send, &stays], &said);
        if let Some(trace) = &mut trace {
            second.write(index, trace).map_err(|e| format!("--trace: {e}"))?;
        }
        seconds.push(second);
        if index % 60 == 59 {
            print_minute(&seconds);
        }
    }
    let verdicts = verdicts(&seconds);
    println!();
    for (met, text) in &verdicts {
        println!("- {} {text}", if *met { "met   " } else { "MISSED" });
    }
    let met = verdicts.iter().all(|(met, _)| *met);
    if !met {
        rig::progress(&format!("the last words of send:\n    {}\nof recv:\n    {}", send.words(), stays.words()));
    }
    Ok(met)
}

impl Rig<'_> {
    fn start(options: &Options) -> Result<Rig<'_>, String> {
        let scratch = Scratch::new()?;
        let port = free_port()?;
        let way = if tun::is_possible() {
            let cable = Cable::new(options.seed)?;
            cable.set(Conditions { loss: 1.0 / ONE_IN as f64, delay_us: 1_000, ..Conditions::CLEAN });
            Way::Cable(cable)
        } else {
            rig::progress("no network of our own: only datagrams are lost, on the loopback");
            let front = free_port()?;
            Way::Proxy { _lossy: Proxy::start(front, port, ONE_IN, options.seed), front }
        };
        film(&scratch.0.join("film.mkv"))?;
        let sound = SoundServer::start(&scratch.0.join("sound"));
        let display = Display::start(1600, 900, &scratch.0, None)?;
        Ok(Rig { options, scratch, port, way, display, sound })
    }

    fn launch(&self, program: &str, words: &str, name: &str, side: Side) -> Result<Running, String> {
        let mut command = Command::new(self.options.programs.join(program));
        command.args(words.split_whitespace()).args(["--stats", "json"]);
        command.envs(SoundServer::environment(&self.scratch.0.join("sound"))).env_remove("PULSE_RUNTIME_PATH");
        command.env("DISPLAY", &self.display.name).stdin(Stdio::null()).stdout(Stdio::piped());
        let network = match &self.way {
            Way::Cable(cable) => Some(cable.network(side)),
            Way::Proxy { .. } => None,
        };
        Launch { command, name, cores: None, network }.start(&self.scratch.0)
    }

    fn send(&self) -> Result<Running, String> {
        let film = self.scratch.0.join("film.mkv");
        let address = if matches!(self.way, Way::Cable(_)) { Side::Sender.address() } else { "127.0.0.1" };
        let words = format!("--file {} --loop --bind {address} --port {}", film.display(), self.port);
        self.launch("send", &words, "send", Side::Sender)
    }

    fn receiver(&self, name: &str, window: bool) -> Result<Running, String> {
        let (host, port) = match self.way {
            Way::Cable(_) => (Side::Sender.address(), self.port),
            Way::Proxy { front, .. } => ("127.0.0.1", front),
        };
        let words = format!("--host {host} --port {port} {}", if window { "" } else { "--no-window" });
        self.launch("recv", &words, name, Side::Receiver)
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        // Before its folder goes.
        self.sound.kill();
    }
}

fn film(path: &Path) -> Result<(), String> {
    let words = format!(
        "-hide_banner -loglevel error -nostdin -f lavfi -i testsrc2=size=1280x720:rate=30:duration={FILM_SECONDS} -f lavfi -i \
         sine=frequency=440:sample_rate=48000:duration={FILM_SECONDS} -ac 2 -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p \
         -c:a pcm_s16le"
    );
    let made = Command::new("ffmpeg").args(words.split_whitespace()).arg(path).status().map_err(|e| format!("ffmpeg: {e}"))?;
    if made.success() { Ok(()) } else { Err("ffmpeg made no film".into()) }
}

impl Second {
    fn of(programs: [&Running; 2], said: &[Said; 2]) -> Second {
        let [send, recv] = said.each_ref().map(Said::latest);
        Second {
            rss_mib: programs.map(Running::rss_mib),
            descriptors: programs.map(Running::descriptors),
            latency: [number(&recv["latency_ms"]["all"]["p50"]), number(&recv["sound"]["latency_ms"])],
            underflows: number(&recv["sound"]["underflows"]),
            concealed_ms: number(&recv["sound"]["concealed_frames"]) / 48.0,
            whole: number(&recv["whole"]),
            not_whole: number(&recv["partial"]) + number(&recv["lost"]),
            peers: send["peers"].as_array().map_or(f64::NAN, |peers| peers.len() as f64),
        }
    }

    /// A line of CSV; the first has the names above it.
    fn write(&self, index: usize, to: &mut File) -> std::io::Result<()> {
        if index == 0 {
            writeln!(
                to,
                "second,send_mib,recv_mib,send_fds,recv_fds,latency_ms,sound_ms,underflows,concealed_ms,whole,not_whole,peers"
            )?;
        }
        let Second { rss_mib: [send, recv], descriptors: [send_fds, recv_fds], latency: [pictures, sound], .. } = self;
        let Second { underflows, concealed_ms, whole, not_whole, peers, .. } = self;
        writeln!(
            to,
            "{index},{send:.2},{recv:.2},{send_fds},{recv_fds},{pictures},{sound},{underflows},{concealed_ms:.0},{whole},{not_whole},{peers}"
        )
    }
}

fn median(seconds: &[Second], what: impl Fn(&Second) -> f64) -> f64 {
    let mut values: Vec<f64> = seconds.iter().map(what).filter(|value| value.is_finite()).collect();
    quantile(&mut values, 0.5)
}

fn most(seconds: &[Second], what: impl Fn(&Second) -> f64) -> f64 {
    seconds.iter().map(what).fold(f64::NAN, f64::max)
}

fn print_minute(seconds: &[Second]) {
    let (before, minute) = seconds.split_at(seconds.len() - 60);
    let grown = |what: &dyn Fn(&Second) -> f64| {
        let first = before.iter().rev().map(what).find(|value| value.is_finite()).unwrap_or(0.0);
        what(&minute[59]) - first
    };
    println!(
        "| {} | {:.1} | {:.0} | {:.0} | {:.1} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} of {:.0} |",
        seconds.len() / 60,
        most(minute, |second| second.rss_mib[0]),
        most(minute, |second| second.descriptors[0]),
        most(minute, |second| second.peers),
        most(minute, |second| second.rss_mib[1]),
        most(minute, |second| second.descriptors[1]),
        median(minute, |second| second.latency[0]),
        median(minute, |second| second.latency[1]),
        grown(&|second| second.underflows),
        grown(&|second| second.concealed_ms),
        grown(&|second| second.not_whole),
        grown(&|second| second.whole + second.not_whole),
    );
}

fn verdicts(seconds: &[Second]) -> Vec<(bool, String)> {
    let minutes: Vec<&[Second]> = seconds.chunks_exact(60).skip(1).collect();
    let judged = &seconds[60..];
    let mut verdicts = Vec::new();
    for (i, who) in ["send", "recv"].into_iter().enumerate() {
        let first = median(&judged[..10], |second| second.rss_mib[i]);
        let far = most(judged, |second| (second.rss_mib[i] - first).abs());
        verdicts.push((
            far <= MEMORY,
            format!("memory of {who}: at most {far:.1} MiB from the {first:.1} MiB after the first minute, wanted {MEMORY} MiB"),
        ));
    }
    for (i, who) in ["send", "recv"].into_iter().enumerate() {
        // By the end of a minute, what a kill left behind is gone.
        let settled = |minute: &[Second]| most(&minute[50..], |second| second.descriptors[i]);
        let (first, most) = (settled(minutes[0]), minutes.iter().map(|minute| settled(minute)).fold(f64::NAN, f64::max));
        verdicts.push((most <= first, format!("descriptors of {who}: {first:.0} after the second minute, {most:.0} at most")));
    }
    for (i, what) in ["pictures", "sound"].into_iter().enumerate() {
        let first = median(minutes[0], |second| second.latency[i]);
        let far =
            minutes.iter().map(|minute| (median(minute, |second| second.latency[i]) - first).abs()).fold(f64::NAN, f64::max);
        verdicts.push((
            far <= LATENCY[i],
            format!(
                "latency of {what}: a minute's median at most {far:.1} ms from the second's {first:.1} ms, wanted {} ms",
                LATENCY[i]
            ),
        ));
    }
    let (mut within, mut outside) = (0.0, 0.0);
    for (index, pair) in seconds.windows(2).enumerate().skip(60) {
        let grown = pair[1].underflows - pair[0].underflows;
        let second = (index + 1) % 60;
        let killed = (KILL_AT - 1..=KILL_AT + SHADOW).contains(&second);
        *(if killed { &mut within } else { &mut outside }) += if grown.is_finite() { grown } else { 0.0 };
    }
    let heard = most(judged, |second| second.underflows).is_finite();
    verdicts.push((
        heard && outside == 0.0,
        if heard {
            format!("underflows: {outside:.0} outside the kills, wanted none ({within:.0} within)")
        } else {
            "underflows: no sound was played".into()
        },
    ));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: Second = Second {
        rss_mib: [20.0, 30.0],
        descriptors: [15.0, 20.0],
        latency: [5.0, 60.0],
        underflows: 1.0,
        concealed_ms: 10.0,
        whole: 0.0,
        not_whole: 0.0,
        peers: 2.0,
    };

    /// The words of the verdicts that failed, after `change` of each second.
    fn failed(change: impl Fn(usize, &mut Second)) -> Vec<String> {
        let mut seconds = vec![FLAT; 300];
        seconds.iter_mut().enumerate().for_each(|(i, second)| change(i, second));
        verdicts(&seconds).into_iter().filter(|(met, _)| !met).map(|(_, text)| text).collect()
    }

    #[test]
    fn what_stays_the_same_fails_nothing() {
        assert_eq!(failed(|_, _| {}), [""; 0]);
    }

    #[test]
    fn the_first_minute_is_not_judged() {
        let warm_up = |i, second: &mut Second| {
            if i < 60 {
                *second = Second { rss_mib: [5.0; 2], latency: [500.0; 2], underflows: 0.0, descriptors: [99.0; 2], ..FLAT };
            }
        };
        assert_eq!(failed(warm_up), [""; 0]);
    }

    #[test]
    fn what_grows_is_named() {
        let leak = failed(|i, second| second.rss_mib[1] += i as f64 * 0.01);
        assert!(leak.len() == 1 && leak[0].starts_with("memory of recv"), "{leak:?}");
        let leak = failed(|i, second| second.descriptors[0] += (i / 60) as f64);
        assert!(leak.len() == 1 && leak[0].starts_with("descriptors of send"), "{leak:?}");
        let late = failed(|i, second| second.latency[1] += i as f64 * 0.1);
        assert!(late.len() == 1 && late[0].starts_with("latency of sound"), "{late:?}");
    }

    #[test]
    fn an_underflow_counts_where_nobody_was_killed() {
        let at = |when: usize| failed(move |i, second| second.underflows += f64::from(u8::from(i >= when)));
        assert_eq!(at(60 + KILL_AT + 2), [""; 0]);
        assert!(at(60 + KILL_AT + SHADOW + 1)[0].starts_with("underflows: 1 outside"));
        assert!(failed(|_, second| second.underflows = f64::NAN)[0].contains("no sound"));
    }
}
