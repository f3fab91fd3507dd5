//! Live sound through the programs: who is sent it compressed, and who as it was caught.
//!
//! No device: the test tone is said, and what comes is counted, or written.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;

use folder::Folder;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, command, free_port, recv, send};
use serde_json::Value;
use std::f64::consts::TAU;
use std::path::Path;
use std::process::Stdio;

const TEST: &str = "--test -s 320x240 -r 15";

/// A person without window, who speaks and whose machine has no speaker: what is said to it is counted.
fn speaking(name: &str, args: &str) -> Program {
    let mut command = command(CALL, &format!("--no-window {TEST} --stats json --name {name} {args}"));
    command.env("PULSE_SERVER", "unix:/nonexistent/pulse").env("ALSA_CONFIG_PATH", "/dev/null");
    Program::launch(command, Stdio::null(), Out::Stats)
}

/// Waits until half a second more of this one's sound came in this form.
fn hears(program: &mut Program, name: &str, codec: &str) {
    let of = |stats: &Value| stats["tracks"].as_array().and_then(|all| all.iter().find(|track| track["name"] == name)).cloned();
    let blocks = |stats: &Value| of(stats).filter(|track| track["codec"] == codec).and_then(|track| track["blocks"].as_u64());
    let first = program.stats_with(|stats| stats["role"] == "recv" && blocks(stats).is_some());
    let first = blocks(&first).unwrap();
    program.stats_with(|stats| stats["role"] == "recv" && blocks(stats).is_some_and(|blocks| blocks > first + 50));
}

/// Amplitude of one frequency (Goertzel).
fn amplitude(samples: &[f64], hertz: f64) -> f64 {
    let angle = |n: usize| TAU * hertz * n as f64 / 48_000.0;
    let sum = |of: fn(f64) -> f64| samples.iter().enumerate().map(|(n, sample)| sample * of(angle(n))).sum::<f64>();
    2.0 * sum(f64::cos).hypot(sum(f64::sin)) / samples.len() as f64
}

/// That the test tone goes on without a gap in what was written: 440 Hz at 1638, and for 100 ms of each second 1000 Hz at 16,384.
fn has_the_tone(wav: &Path) {
    let mut wav = hound::WavReader::open(wav).unwrap();
    let channels = usize::from(wav.spec().channels);
    let samples: Vec<f64> = wav.samples::<i16>().step_by(channels).map(|sample| sample.unwrap().into()).collect();
    // Pieces of 50 ms are whole periods of both.
    let tones = samples[4800..].chunks_exact(2400).map(|piece| (amplitude(piece, 440.0), amplitude(piece, 1000.0)));
    let is_tone = |(low, high): &(f64, f64)| (1500.0..1850.0).contains(low) && *high < 300.0 || *high > 500.0;
    let tones: Vec<_> = tones.collect();
    assert!(tones.len() > 30, "{} ms", tones.len() * 50);
    assert!(tones.iter().all(is_tone), "{tones:.0?}");
    let beeps = tones.iter().filter(|(_, high)| *high > 15_000.0).count();
    assert!(beeps >= tones.len() / 30, "{beeps} of {}", tones.len());
    // The largest step of 1000 Hz is 2140; from one tone to the other it goes on from zero.
    let step = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
    assert!(step < 2500.0, "a step of {step}");
}

#[test]
fn who_hears_is_sent_packets_and_who_writes_what_was_caught() {
    let (port, folder) = (free_port(), Folder::new("opus-files"));
    let wav = folder.0.join("tone.wav");
    let mut send = send(&format!("{TEST} --name tone --sound opus -p {port} --stats json"));
    send.said("waiting on port");
    let mut writes = recv(&format!("--host 127.0.0.1:{port} --stats json --audio-output {}", wav.display()));
    hears(&mut writes, "tone", "pcm");
    let mut call = speaking("ear", &format!("--host 127.0.0.1:{port}"));
    hears(&mut call, "tone", "opus");
    let peers = send.stats_with(|stats| stats["peers"].as_array().is_some_and(|peers| peers.len() == 2));
    let mut codecs: Vec<_> = peers["peers"].as_array().unwrap().iter().map(|peer| peer["codec"].clone()).collect();
    codecs.sort_by_key(Value::to_string);
    assert_eq!(codecs, ["opus", "pcm"]);
    hears(&mut writes, "tone", "pcm");
    let stats = writes.stats();
    assert_eq!(stats["opus_blocks"], 0);
    assert_eq!((call.stop(Signal::SIGTERM), writes.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0, 0));
    has_the_tone(&wav);
}

#[test]
fn on_a_path_with_room_sound_goes_as_it_is_and_pcm_is_always_that() {
    for wish in ["", "--sound auto", "--sound pcm"] {
        let port = free_port();
        let mut send = send(&format!("{TEST} --name tone {wish} -p {port}"));
        send.said("waiting on port");
        let mut call = speaking("ear", &format!("--host 127.0.0.1:{port}"));
        hears(&mut call, "tone", "pcm");
        assert_eq!((call.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0), "{wish}");
    }
}

#[test]
fn a_meeting_point_passes_packets_on_and_asks_for_samples_while_somebody_needs_those() {
    let (port, folder) = (free_port(), Folder::new("opus-meeting"));
    let wav = folder.0.join("Ada.wav");
    let mut point = Program::start(CALL, &format!("--no-window --no-audio --no-video --name point -p {port}"));
    point.said("waiting on port");
    let at = format!("--host 127.0.0.1:{port} --sound opus --no-direct");
    let [mut ada, mut bob] = ["Ada", "Bob"].map(|name| speaking(name, &at));
    hears(&mut ada, "Bob", "opus");
    hears(&mut bob, "Ada", "opus");
    let file = folder.0.join("{name}.wav");
    let host = format!("--host 127.0.0.1:{port}");
    let mut writes = recv(&format!("{host} --stats json --audio-output {}", file.display()));
    hears(&mut writes, "Ada", "pcm");
    hears(&mut bob, "Ada", "pcm");
    assert_eq!(writes.stop(Signal::SIGTERM), 0);
    hears(&mut bob, "Ada", "opus");
    assert_eq!([ada, bob, point].map(|mut program| program.stop(Signal::SIGTERM)), [0; 3]);
    has_the_tone(&wav);
}
