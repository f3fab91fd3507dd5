//! A PulseAudio server of a test's own: no hardware, no D-Bus, gone with the test.
//!
//! | device | | |
//! |-|-|-|
//! | `speaker` | sink, default | what is played; recorded from `speaker.monitor` |
//! | `mic_feed` | sink | what a test "says into the microphone" |
//! | `control` | sink | what a test plays beside, to see how well the server itself plays |
//! | `virtmic` | source, default | the microphone: `mic_feed`'s monitor under a name of its own |
//!
//! `norewinds=1` matters: an idle null sink otherwise works in blocks of two seconds. Programs find the server through
//! [`SoundServer::environment`]; `PULSE_RUNTIME_PATH` must not be set, it misleads cpal's client.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct SoundServer {
    dir: PathBuf,
    server: Option<Child>,
}

impl SoundServer {
    /// Starts a server that lives in `dir`. Panics when it cannot: a device test that cannot run fails.
    pub fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("pulse")).unwrap();
        for private in [dir.to_owned(), dir.join("pulse")] {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut server = SoundServer { dir: dir.to_owned(), server: None };
        server.restart();
        server
    }

    /// Starts it again after [`SoundServer::kill`].
    pub fn restart(&mut self) {
        let dir = self.dir.display();
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no", "--high-priority=no"]);
        command.args([format!("--log-target=newfile:{dir}/pulse.log"), "--log-level=notice".into()]);
        command.arg(format!("--load=module-native-protocol-unix auth-anonymous=1 socket={dir}/pulse/native"));
        for sink in ["speaker", "mic_feed", "control"] {
            command.arg(format!(
                "--load=module-null-sink sink_name={sink} rate=48000 channels=2 norewinds=1 sink_properties=device.description={sink}"
            ));
        }
        command.arg(
            "--load=module-remap-source source_name=virtmic master=mic_feed.monitor source_properties=device.description=virtmic",
        );
        command.env_remove("DISPLAY").env_remove("PULSE_SERVER").env("HOME", &self.dir).env("XDG_RUNTIME_DIR", &self.dir);
        command.env("PULSE_RUNTIME_PATH", self.dir.join("pulse")).env("PULSE_STATE_PATH", self.dir.join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().expect("pulseaudio does not start: apt-get install pulseaudio pulseaudio-utils"));
        let until = Instant::now() + Duration::from_secs(10);
        while !self.tool("pactl").arg("info").status().expect("pactl is in pulseaudio-utils").success() {
            assert!(Instant::now() < until, "pulseaudio does not answer; see {dir}/pulse.log");
            std::thread::sleep(Duration::from_millis(20));
        }
        for args in [["set-default-sink", "speaker"], ["set-default-source", "virtmic"]] {
            assert!(self.tool("pactl").args(args).status().unwrap().success());
        }
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// What makes a program use the server in `dir`.
    pub fn environment(dir: &Path) -> [(&'static str, String); 2] {
        [("PULSE_SERVER", format!("unix:{}/pulse/native", dir.display())), ("XDG_RUNTIME_DIR", dir.display().to_string())]
    }

    /// A client program of this server, silent.
    pub fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(Self::environment(&self.dir)).env_remove("PULSE_RUNTIME_PATH");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.kill();
    }
}
