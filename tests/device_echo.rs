//! Echo between real programs: what `call` plays goes through a room back into its microphone, and whoever hears it hears no
//! echo.
//!
//! ```text
//! send --file ──▶ call ─ speaker ─▶ room: delay, reflections, distortion, another crystal ─┬─▶ microphone ─ call ──▶ recv
//!                                                            somebody who speaks near it ─┘
//! ```

#![allow(clippy::disallowed_methods)] // a device test lives in real time

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;
#[path = "support/room.rs"]
mod room;
#[path = "support/sound_server.rs"]
mod sound_server;
#[path = "support/voices.rs"]
mod voices;

use std::io::{Read as _, Write as _};
use std::path::Path as File;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use folder::Folder;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port};
use room::{Path, Room};
use sound_server::SoundServer;
use voices::Voice;

const RATE: usize = 48_000;
/// For so long the others speak, then it is quiet, then somebody speaks near the microphone.
const FAR: usize = 14;
const QUIET: usize = 2;
const NEAR: usize = 10;

/// What was heard in the room, sample by sample, apart.
#[derive(Default)]
struct Heard {
    echo: Vec<f32>,
    near: Vec<f32>,
}

/// Carries what the speaker plays through the room to the microphone, for as long as it lives.
struct Walls {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<()>>,
    ears: Child,
}

impl Walls {
    fn start(server: &SoundServer, path: Path, ppm: f64) -> Self {
        let raw = ["--raw", "--format=s16le", "--rate=48000", "--channels=1"];
        let mut ears = server.tool("parec");
        ears.args(raw).args(["--latency-msec=10", "-d", "speaker.monitor"]).stdout(Stdio::piped());
        let mut ears = ears.spawn().expect("parec is in pulseaudio-utils");
        let mut mouth = server.tool("pacat");
        // What waits in the server is what a busy machine cannot starve: a room must not jump.
        mouth.arg("--playback").args(raw).args(["--latency-msec=150", "-d", "mic_feed"]).stdin(Stdio::piped());
        let mut mouth = mouth.spawn().expect("pacat is in pulseaudio-utils");
        let (mut from, mut to) = (ears.stdout.take().unwrap(), mouth.stdin.take().unwrap());
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Heard::default())));
        let (stopped, kept) = (stop.clone(), heard.clone());
        let thread = thread::spawn(move || {
            let (mut room, mut voice) = (Room::new(path), Voice::new(22, 190.0));
            let (mut bytes, mut count, mut began) = ([0u8; 480], 0usize, None);
            while !stopped.load(Ordering::Acquire) && from.read_exact(&mut bytes).is_ok() {
                let mut out = Vec::with_capacity(bytes.len());
                let mut kept = kept.lock().unwrap();
                for sample in bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])) {
                    room.play(f64::from(sample) / 32_768.0);
                    if began.is_none() && sample.abs() > 300 {
                        began = Some(count);
                    }
                    let echo = room.hear(count as f64 * (1.0 + ppm * 1e-6));
                    let speaks = began.is_some_and(|began| {
                        (count - began) / RATE >= FAR + QUIET && (count - began) / RATE < FAR + QUIET + NEAR
                    });
                    let near = if speaks { voice.next().unwrap() } else { 0.0 };
                    kept.echo.push(echo as f32);
                    kept.near.push(near as f32);
                    out.extend(bytes_of(echo + near));
                    count += 1;
                }
                drop(kept);
                if to.write_all(&out).is_err() {
                    break;
                }
            }
            drop(to);
            let _ = mouth.kill();
            let _ = mouth.wait();
        });
        Walls { stop, heard, thread: Some(thread), ears }
    }

    fn seconds(&self) -> usize {
        self.heard.lock().unwrap().echo.len() / RATE
    }

    fn end(mut self) -> Heard {
        self.stop.store(true, Ordering::Release);
        let _ = self.ears.kill();
        let _ = self.ears.wait();
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

fn bytes_of(sample: f64) -> [u8; 2] {
    ((sample * 32_768.0).clamp(-32_768.0, 32_767.0).round() as i16).to_le_bytes()
}

/// A film of somebody who speaks, and then listens.
fn write_far(path: &File) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: RATE as u32, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    let mut voice = Voice::new(11, 120.0);
    for n in 0..(FAR + QUIET + NEAR + 6) * RATE {
        let sample = if n < FAR * RATE { voice.next().unwrap() } else { 0.0 };
        file.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    file.finalize().unwrap();
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// Energies of 10 ms each.
fn envelope(samples: &[f32]) -> Vec<f64> {
    samples.chunks_exact(480).map(|piece| energy(piece).sqrt()).collect()
}

/// By how many pieces of 10 ms `sent` is later than `said`.
fn lag(said: &[f64], sent: &[f64]) -> usize {
    let likeness = |lag: usize| said.iter().zip(sent.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>();
    (0..sent.len().saturating_sub(100)).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap()
}

fn read(path: &File) -> Vec<f32> {
    let mut file = hound::WavReader::open(path).unwrap();
    let channels = usize::from(file.spec().channels);
    file.samples::<i16>().step_by(channels).map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

/// The program with the sound server of `dir`.
fn with_sound(program: &str, dir: &File, args: &str) -> Program {
    let mut command = command(program, args);
    command.envs(SoundServer::environment(dir)).env_remove("PULSE_RUNTIME_PATH");
    Program::launch(command, Stdio::null(), Out::Stats)
}

#[test]
fn whoever_speaks_in_a_call_does_not_hear_himself_and_who_answers_is_heard() {
    let folder = Folder::new("device-echo");
    let dir = folder.0.join("sound");
    let server = SoundServer::start(&dir);
    let film = folder.0.join("far.wav");
    write_far(&film);
    let port = free_port();
    let path = Path { delay: 0.02, level: -6.0, distortion: 1.0, seed: 3 };
    let walls = Walls::start(&server, path, 100.0);
    let mut call = with_sound(CALL, &dir, &format!("--no-window --no-video --gain off --name near --stats json -p {port}"));
    call.said("waiting on port");
    let mut recv = Program::start(
        RECV,
        &format!("--no-window --no-audio --host 127.0.0.1:{port} --audio-output {}/{{name}}.wav", folder.0.display()),
    );
    recv.said("near");
    let mut send = Program::start(SEND, &format!("--name far --host 127.0.0.1:{port} --file {}", film.display()));
    let until = Instant::now() + Duration::from_secs(90);
    let spoken = |walls: &Walls| walls.heard.lock().unwrap().near.iter().filter(|s| **s != 0.0).count() / RATE;
    while spoken(&walls) < NEAR * 7 / 10 && Instant::now() < until {
        let stats = call.stats_with(|stats| stats["role"] == "send");
        println!("{} s: {}", walls.seconds(), stats["echo"]);
    }
    // What is still under way.
    let seconds = walls.seconds() + 2;
    while walls.seconds() < seconds && Instant::now() < until {
        let _ = call.stats();
    }
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    assert_eq!(call.stop(Signal::SIGTERM), 0);
    let (seconds, loss) = judge(&walls.end(), &read(&folder.0.join("near.wav")));
    println!("second by second the echo is quieter by {seconds:.0?} dB; who answers loses {loss:.2} dB");
    // Where the machine is busy the server, the speaker or the microphone starve now and then, and the room is another for a
    // second.
    let mut later = seconds[2..].to_vec();
    later.sort_by(f64::total_cmp);
    assert!(later[later.len() / 2] >= 30.0 && loss.abs() <= 1.0);
}

/// Of what was heard in the room and what was sent of it: by how much the echo became quieter in each second in which the others
/// spoke, and how much who is near lost after them, dB.
fn judge(heard: &Heard, sent: &[f32]) -> (Vec<f64>, f64) {
    let [echo, near, sent] = [&heard.echo[..], &heard.near, sent].map(envelope);
    // The recording begins later than the room.
    let behind = near.len().saturating_sub(sent.len());
    let late = lag(&near[behind..], &sent) as i64 - behind as i64;
    let began = echo.iter().position(|e| *e > 0.01).unwrap();
    let mean = |pieces: &[f64]| pieces.iter().map(|e| e * e).sum::<f64>() / pieces.len() as f64;
    let quieter = |of: &[f64], from: usize, seconds: usize| {
        let from = began + from * 100;
        let then = (from as i64 + late) as usize;
        10.0 * (mean(&of[from..from + seconds * 100]) / mean(&sent[then..then + seconds * 100]).max(1e-12)).log10()
    };
    ((0..FAR - 1).map(|second| quieter(&echo, second, 1)).collect(), quieter(&near, FAR + QUIET + 1, 5))
}
