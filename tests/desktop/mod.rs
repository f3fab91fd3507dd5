//! A Wayland desktop of a test's own, as far as a program that is shown its screen can tell: a session bus, PipeWire with its
//! manager, and a portal and pictures that the test itself gives. No compositor: what is drawn, and what is said of it, is the
//! test's to say, also what no compositor would.

pub mod pictures;
pub mod portal;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Nobody activates anything on this bus, whatever is installed.
const BUS: &str = "<busconfig><type>session</type><listen>unix:path=BUS</listen><auth>EXTERNAL</auth>\
     <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>";

/// A running program, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Desktop {
    /// Its sockets, and what its programs keep.
    dir: PathBuf,
    // Dropped in this order.
    manager: Option<Running>,
    pipewire: Option<Running>,
    _bus: Running,
}

impl Desktop {
    /// A bus on which nobody answers, and no PipeWire.
    pub fn bare(name: &str) -> Desktop {
        // A socket's whole path must be short.
        let dir = std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("bus.conf");
        std::fs::write(&config, BUS.replace("BUS", &dir.join("bus").display().to_string())).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--nopidfile", "--print-address=1"]).arg(format!("--config-file={}", config.display()));
        bus.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut bus = bus.spawn().expect("this test needs dbus-daemon: scripts/install wayland");
        let stdout = bus.stdout.take().unwrap();
        let bus = Running(bus);
        // It says its address once it listens.
        assert!(BufReader::new(stdout).read_line(&mut String::new()).unwrap() > 0, "dbus-daemon does not start");
        Desktop { dir, manager: None, pipewire: None, _bus: bus }
    }

    /// With PipeWire.
    pub fn start(name: &str) -> Desktop {
        let mut desktop = Desktop::bare(name);
        desktop.pipewire = Some(desktop.program("pipewire"));
        let until = Instant::now() + PATIENCE;
        while UnixStream::connect(desktop.socket()).is_err() {
            assert!(Instant::now() < until, "PipeWire does not start");
            std::thread::yield_now();
        }
        desktop.manager = Some(desktop.program("wireplumber"));
        desktop
    }

    fn program(&self, name: &str) -> Running {
        let mut command = Command::new(name);
        self.lend(&mut command);
        command.env("HOME", &self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap_or_else(|error| panic!("this test needs {name} ({error}): scripts/install wayland")))
    }

    /// Where PipeWire listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("pipewire-0")
    }

    /// Where the bus listens.
    pub fn bus(&self) -> String {
        format!("unix:path={}", self.dir.join("bus").display())
    }

    /// Where Eyeline keeps what was chosen.
    pub fn kept(&self) -> PathBuf {
        self.dir.join("state/eyeline/screen")
    }

    /// The program is started on this desktop.
    pub fn lend(&self, command: &mut Command) {
        let dir = |name: &str| -> PathBuf { self.dir.join(name) };
        command.env("XDG_RUNTIME_DIR", &self.dir).env("DBUS_SESSION_BUS_ADDRESS", self.bus());
        command.env("XDG_STATE_HOME", dir("state")).env("WAYLAND_DISPLAY", "wayland-0").env_remove("DISPLAY");
        command.env_remove("PIPEWIRE_REMOTE").env_remove("PIPEWIRE_RUNTIME_DIR");
    }

    /// Kills PipeWire as a crash would.
    pub fn kill_pipewire(&mut self) {
        self.pipewire = None;
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        (self.manager, self.pipewire) = (None, None);
        let _ = std::fs::remove_dir_all(Path::new(&self.dir));
    }
}
