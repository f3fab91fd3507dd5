//! Sound of a meeting, on a PulseAudio of the bench's own: somebody speaks at one microphone, and what another member's speaker plays
//! is recorded beside it.
//!
//! ```text
//! voice ─▶ mouth ─ left ─┐                       ┌─▶ talker: the microphone of who talks
//!                        room: one sink, one clock
//! speaker of who hears ─▶ ear ─ right ─┘         └─▶ recorder: left what is said, right what is heard
//! ```
//!
//! Left and right are played by one sink, sample beside sample: what lies between them in the recording is the time from mouth to ear,
//! whatever the server or the recorder take. All others have microphones at which nobody speaks, and speakers nobody hears.

use crate::clock::{now_us, sleep_until};
use crate::meeting::delay::{self, Delays, RATE};
use crate::rig::{Launch, Running};
use crate::sound_server::SoundServer;
use crate::voices::Voice;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The microphone of who talks.
pub const TALKER: &str = "talker";
/// The speaker of who hears.
pub const EAR: &str = "ear";
/// The microphone and the speaker of everybody else; the server's default.
pub const NOWHERE: [&str; 2] = ["virtmic", "speaker"];

/// How long the server's own way is measured, in microseconds.
const FLOOR_US: u64 = 5_000_000;

/// The recorder asks for blocks so long, ms; with it the server renders in blocks no longer than that, whoever plays.
const BLOCK_MS: u32 = 5;

/// How programs are described to the server: as they are recorded.
const RAW: [&str; 3] = ["--raw", "--format=s16le", "--rate=48000"];

/// See the module text.
pub struct Room {
    server: SoundServer,
    folder: PathBuf,
    recorded: Arc<Mutex<Vec<[i16; 2]>>>,
    /// Gone before the server.
    programs: Vec<Running>,
}

impl Room {
    /// A room in which somebody speaks without end. `scratch` outlives it.
    pub fn start(scratch: &Path) -> Result<Room, String> {
        let folder = scratch.join("sound");
        let server = SoundServer::start(&folder);
        let mut room = Room { server, folder, recorded: Arc::default(), programs: Vec::new() };
        room.load("module-null-sink sink_name=room rate=48000 channels=2 channel_map=front-left,front-right norewinds=1")?;
        for (sink, side) in [("mouth", "front-left"), (EAR, "front-right")] {
            room.load(&format!(
                "module-remap-sink sink_name={sink} master=room channels=1 channel_map=mono master_channel_map={side} remix=no \
                 sink_properties=device.description={sink}"
            ))?;
        }
        room.load(&format!(
            "module-remap-source source_name={TALKER} master=room.monitor channels=1 channel_map=mono master_channel_map=front-left \
             remix=no source_properties=device.description={TALKER}"
        ))?;
        room.speak(scratch)?;
        room.record(scratch)?;
        Ok(room)
    }

    /// Makes a program play and hear here.
    pub fn furnish(&self, command: &mut Command) {
        command.envs(SoundServer::environment(&self.folder)).env_remove("PULSE_RUNTIME_PATH");
    }

    /// How much is recorded; a moment for [`Room::delays`].
    pub fn now(&self) -> usize {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// From mouth to ear between two moments.
    pub fn delays(&self, from: usize, to: usize) -> Delays {
        delay::of(&self.recorded.lock().unwrap_or_else(PoisonError::into_inner)[from..to])
    }

    /// What the server itself takes from the microphone to the speaker, as it joins them with the least latency it has.
    pub fn floor(&self) -> Result<Delays, String> {
        let module = self.load(&format!("module-loopback source={TALKER} sink={EAR} latency_msec=1"))?;
        sleep_until(now_us() + FLOOR_US / 5);
        let from = self.now();
        sleep_until(now_us() + FLOOR_US);
        let delays = self.delays(from, self.now());
        let unloaded = self.server.tool("pactl").args(["unload-module", &module]).status();
        if !unloaded.is_ok_and(|status| status.success()) {
            return Err("pactl unload-module failed".into());
        }
        Ok(delays)
    }

    /// Loads a module of the server's; says its number.
    fn load(&self, words: &str) -> Result<String, String> {
        let mut command = self.server.tool("pactl");
        command.arg("load-module").args(words.split_whitespace()).stdout(Stdio::piped());
        let done = command.output().map_err(|e| format!("pactl: {e}"))?;
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).trim().to_string()),
            false => Err(format!("the sound server does not load {words}")),
        }
    }

    fn speak(&mut self, scratch: &Path) -> Result<(), String> {
        let mut command = self.server.tool("pacat");
        command.arg("--playback").args(RAW).args(["--channels=1", "--latency-msec=100", "-d", "mouth"]).stdin(Stdio::piped());
        let mut pacat = Launch { command, name: "voice", cores: None, network: None }.start(scratch)?;
        let mut out = BufWriter::new(pacat.stdin().ok_or("pacat has no stdin")?);
        std::thread::spawn(move || {
            let samples = Voice::new(11, 130.0).map(|sample| (sample * 32_767.0) as i16);
            // Until nobody takes them any more.
            for sample in samples {
                if out.write_all(&sample.to_le_bytes()).is_err() {
                    break;
                }
            }
        });
        self.programs.push(pacat);
        Ok(())
    }

    fn record(&mut self, scratch: &Path) -> Result<(), String> {
        let mut command = self.server.tool("parec");
        command.args(RAW).args(["--channels=2", "-d", "room.monitor"]).arg(format!("--latency-msec={BLOCK_MS}"));
        command.stdout(Stdio::piped());
        let mut parec = Launch { command, name: "recorder", cores: None, network: None }.start(scratch)?;
        let mut from = parec.stdout().ok_or("parec has no stdout")?;
        let recorded = Arc::clone(&self.recorded);
        std::thread::spawn(move || {
            let mut bytes = [0; RATE / 100 * 4];
            while from.read_exact(&mut bytes).is_ok() {
                let pairs = bytes.chunks_exact(4).map(|b| [i16::from_le_bytes([b[0], b[1]]), i16::from_le_bytes([b[2], b[3]])]);
                recorded.lock().unwrap_or_else(PoisonError::into_inner).extend(pairs);
            }
        });
        self.programs.push(parec);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.programs.clear();
        // Before its folder goes.
        self.server.kill();
    }
}
