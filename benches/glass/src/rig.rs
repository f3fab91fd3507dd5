//! What a measurement runs in: a network of its own, an X server of its own, and child processes whose time and memory are read.

use crate::clock::clock_ns;
use crate::framebuffer::Framebuffer;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ethernet's: datagrams are no larger than on a real network.
pub const MTU: i32 = 1500;

/// Moves this process into a network of its own: one loopback with an Ethernet's MTU that nobody else's bytes go through. Says
/// whether that was allowed. To be called before there is any other thread.
pub fn own_network() -> bool {
    // SAFETY: takes numbers only; the process has one thread.
    let alone = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0 || own_network_as_user();
    alone && configure(c"lo", None).is_ok()
}

/// Keeps the bench on `cores` and moves it into a network of its own; says what will count otherwise.
pub fn alone(cores: &[usize]) -> Result<(), String> {
    stay_on(cores)?;
    if !own_network() {
        progress(
            "no network of our own (needs root or user namespaces): Mbit/s will count everybody's bytes, and the MTU is the loopback's",
        );
    }
    Ok(())
}

fn own_network_as_user() -> bool {
    // SAFETY: these take numbers only.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    // SAFETY: takes numbers only; the process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) } != 0 {
        return false;
    }
    let write = |name: &str, text: String| fs::write(format!("/proc/self/{name}"), text).is_ok();
    write("setgroups", "deny".into())
        && write("uid_map", format!("{user} {user} 1"))
        && write("gid_map", format!("{group} {group} 1"))
}

/// Brings an interface of this thread's network up, with an Ethernet's MTU and, where one is given, an address in a /24.
pub fn configure(name: &CStr, address: Option<[u8; 4]>) -> std::io::Result<()> {
    // SAFETY: takes numbers only. (`UdpSocket` would bind, which needs an address.)
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: nobody else has this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let ask = |request, change: &dyn Fn(&mut libc::ifreq)| {
        // SAFETY: all zero is a valid `ifreq`.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in ifreq.ifr_name.iter_mut().zip(name.to_bytes()) {
            *to = *from as _;
        }
        change(&mut ifreq);
        // SAFETY: all requests read an `ifreq`, which is ours.
        match unsafe { libc::ioctl(socket.as_raw_fd(), request, &mut ifreq) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let internet = |octets: [u8; 4]| {
        let mut address = libc::sockaddr { sa_family: libc::AF_INET as _, sa_data: [0; 14] };
        for (to, from) in address.sa_data[2..].iter_mut().zip(octets) {
            *to = from as _;
        }
        address
    };
    if let Some(octets) = address {
        ask(libc::SIOCSIFADDR, &|ifreq| ifreq.ifr_ifru.ifru_addr = internet(octets))?;
        ask(libc::SIOCSIFNETMASK, &|ifreq| ifreq.ifr_ifru.ifru_netmask = internet([255, 255, 255, 0]))?;
    }
    ask(libc::SIOCSIFMTU, &|ifreq| ifreq.ifr_ifru.ifru_mtu = MTU)?;
    ask(libc::SIOCSIFFLAGS, &|ifreq| ifreq.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _)
}

/// Moves the calling thread, and what it starts, into a network.
pub fn enter(network: RawFd) -> std::io::Result<()> {
    // SAFETY: takes numbers only, and concerns this thread alone.
    match unsafe { libc::setns(network, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Bytes that went through the loopback so far, IP headers included (those of segments the kernel never cut are not there).
pub fn loopback_bytes() -> f64 {
    device_bytes("self", "lo")[0]
}

/// Bytes a network device received and sent so far, in the network of a process.
fn device_bytes(process: &str, device: &str) -> [f64; 2] {
    let text = fs::read_to_string(format!("/proc/{process}/net/dev")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    // Eight fields about what came, then as many about what went.
    let fields: Vec<f64> = line.unwrap_or_default().split_whitespace().filter_map(|field| field.parse().ok()).collect();
    [0, 8].map(|index| fields.get(index).copied().unwrap_or(f64::NAN))
}

/// A child process; ended when dropped.
pub struct Running {
    child: Child,
    /// Where its words on stderr go.
    pub log: PathBuf,
}

/// How a program is started.
pub struct Launch<'a> {
    /// What.
    pub command: Command,
    /// Its name in the name of the log.
    pub name: &'a str,
    /// Only on these processors.
    pub cores: Option<&'a [usize]>,
    /// In this network; in the bench's own without.
    pub network: Option<RawFd>,
}

impl Launch<'_> {
    /// Starts it; stdin and stdout as the command says.
    pub fn start(mut self, directory: &Path) -> Result<Running, String> {
        let log = directory.join(format!("{}.log", self.name));
        self.command.stderr(File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?);
        let cores = self.cores.map(set_of);
        let network = self.network;
        // SAFETY: only system calls between fork and exec.
        unsafe {
            self.command.pre_exec(move || {
                if let Some(network) = network {
                    enter(network)?;
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if let Some(cores) = &cores {
                    libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cores);
                }
                Ok(())
            });
        }
        let child = self.command.spawn().map_err(|e| format!("{:?}: {e}", self.command.get_program()))?;
        Ok(Running { child, log })
    }
}

/// Keeps this process and all it starts on these processors; none named are all. To be called before there is any other thread.
fn stay_on(cores: &[usize]) -> Result<(), String> {
    if cores.is_empty() {
        return Ok(());
    }
    if cores.iter().any(|core| *core >= libc::CPU_SETSIZE as usize) {
        return Err(format!("there are no processors {cores:?}"));
    }
    // SAFETY: reads a set that lives through the call.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set_of(cores)) } {
        0 => Ok(()),
        _ => Err(format!("cannot stay on processors {cores:?}: {}", std::io::Error::last_os_error())),
    }
}

fn set_of(cores: &[usize]) -> libc::cpu_set_t {
    // SAFETY: all zero is the empty set; the core numbers are small.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for &core in cores {
            libc::CPU_SET(core, &mut set);
        }
        set
    }
}

impl Running {
    /// The pipe to its stdin.
    pub fn stdin(&mut self) -> Option<File> {
        self.child.stdin.take().map(|pipe| std::os::fd::OwnedFd::from(pipe).into())
    }

    /// The pipe from its stdout.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Processor time it used so far, ms.
    pub fn cpu_ms(&self) -> f64 {
        let mut clock = 0;
        // SAFETY: writes one clock id.
        let failed = unsafe { libc::clock_getcpuclockid(self.child.id() as _, &mut clock) };
        if failed != 0 { f64::NAN } else { clock_ns(clock).map_or(f64::NAN, |ns| ns as f64 / 1e6) }
    }

    /// Processor time it used so far together with the programs it ran, ms, in the kernel's ticks (10 ms).
    pub fn cpu_ms_with_children(&self) -> f64 {
        let children = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let children = children.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let alive: f64 = children.flat_map(|list| list.split_whitespace().map(|id| ticks(id, 2)).collect::<Vec<_>>()).sum();
        // SAFETY: takes a number.
        let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        (ticks(&self.child.id().to_string(), 4) + alive) * 1000.0 / a_second as f64
    }

    /// The most memory it had in use so far, MiB.
    pub fn peak_mib(&self) -> f64 {
        self.status_mib("VmHWM:")
    }

    /// The memory it has in use, MiB.
    pub fn rss_mib(&self) -> f64 {
        self.status_mib("VmRSS:")
    }

    /// Files, sockets and so on that it has open.
    pub fn descriptors(&self) -> f64 {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(f64::NAN, |found| found.count() as f64)
    }

    /// Bytes that `link`, the device of its network, received and sent so far.
    pub fn link_bytes(&self) -> [f64; 2] {
        device_bytes(&self.child.id().to_string(), "link")
    }

    /// Ends it without a word, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn status_mib(&self, field: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it said.
    pub fn words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n    ")
    }
}

/// The sum of the first `fields` of a process's times: its own (user, system), then those of children that ended.
fn ticks(id: &str, fields: usize) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // Its name may have anything in it; eleven fields stand between that and the times.
    let times = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(fields);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_alive() {
            return;
        }
        // SAFETY: our own child, not yet waited for, so the number is still its.
        unsafe { libc::kill(self.child.id() as _, libc::SIGTERM) };
        let until = Instant::now() + PATIENCE;
        while self.is_alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An X server of our own whose pixels can be read.
pub struct Display {
    server: Running,
    /// What DISPLAY should say.
    pub name: String,
    /// Its pixels.
    pub pixels: Framebuffer,
}

impl Display {
    /// A screen of that size.
    pub fn start(width: usize, height: usize, directory: &Path, cores: Option<&[usize]>) -> Result<Display, String> {
        let (mut told, tell) = pipe()?;
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", &tell.as_raw_fd().to_string(), "-nolisten", "tcp", "-noreset", "-fbdir"]).arg(directory);
        command.args(["-screen", "0", &format!("{width}x{height}x24")]).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Launch { command, name: "xvfb", cores, network: None }.start(directory)?;
        drop(tell);
        let mut number = String::new();
        told.read_to_string(&mut number).map_err(|e| e.to_string())?;
        let number = number.trim();
        if number.is_empty() {
            return Err(format!("Xvfb did not start: {}", server.words()));
        }
        let pixels = Framebuffer::open(directory)?;
        Ok(Display { server, name: format!(":{number}"), pixels })
    }

    /// Processor time the server used so far, ms.
    pub fn cpu_ms(&self) -> f64 {
        self.server.cpu_ms()
    }

    /// Whether the server still runs.
    pub fn is_alive(&mut self) -> bool {
        self.server.is_alive()
    }
}

/// A pipe whose writing end a child inherits.
fn pipe() -> Result<(File, File), String> {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors, which nobody else has.
    unsafe {
        if libc::pipe(ends.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        libc::fcntl(ends[0], libc::F_SETFD, libc::FD_CLOEXEC);
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

/// A directory that is removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A fresh one.
    pub fn new() -> Result<Scratch, String> {
        let path = std::env::temp_dir().join(format!("eyeline-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A line on stderr that the next one replaces on a terminal.
pub fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
