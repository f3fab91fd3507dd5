//! Machines of a meeting: a network of its own for each, all joined by a bridge, so that what each sends and receives is counted by
//! its own kernel. Segments the kernel never cut have one header there.

use crate::rig::{MTU, configure, enter};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Command, Stdio};

/// What to say where there can be none.
const IMPOSSIBLE: &str = "a meeting needs networks of its own: run it as root, or allow user namespaces \
     (sysctl kernel.unprivileged_userns_clone=1), and install iproute2";

/// The bridge, in the bench's own network.
const BRIDGE: &str = "bridge";

/// See the module text. Gone when dropped.
pub struct Lan {
    networks: Vec<OwnedFd>,
}

impl Lan {
    /// So many machines.
    pub fn new(count: usize) -> Result<Lan, String> {
        let lan = Lan { networks: (0..count).map(|_| network()).collect::<Result<_, _>>()? };
        ip(&format!("link add {BRIDGE} type bridge mcast_snooping 0"))?;
        ip(&format!("link set {BRIDGE} addrgenmode none up"))?;
        for (machine, network) in lan.networks.iter().enumerate() {
            let place = format!("/proc/{}/fd/{}", std::process::id(), network.as_raw_fd());
            ip(&format!("link add port{machine} mtu {MTU} type veth peer name link mtu {MTU} netns {place}"))?;
            ip(&format!("link set port{machine} master {BRIDGE} addrgenmode none up"))?;
            let network = network.as_raw_fd();
            let settle = move || {
                enter(network)?;
                configure(c"lo", None)?;
                configure(c"link", Some([10, 78, 0, machine as u8 + 1]))
            };
            let settled = std::thread::spawn(settle).join().map_err(|_| "making a network panicked")?;
            settled.map_err(|e| format!("machine {machine}: {e}"))?;
        }
        Ok(lan)
    }

    /// For [`crate::rig::Launch`].
    pub fn network(&self, machine: usize) -> RawFd {
        self.networks[machine].as_raw_fd()
    }

    /// Its address.
    pub fn address(machine: usize) -> String {
        format!("10.78.0.{}", machine + 1)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // Their other ends go with them.
        for machine in 0..self.networks.len() {
            let _ = ip(&format!("link del port{machine}"));
        }
        let _ = ip(&format!("link del {BRIDGE}"));
    }
}

/// A namespace belongs to a thread, so one that ends at once makes it.
fn network() -> Result<OwnedFd, String> {
    let make = || {
        // SAFETY: takes numbers only, and concerns this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(format!("{IMPOSSIBLE} ({})", std::io::Error::last_os_error()));
        }
        let namespace = File::open("/proc/thread-self/ns/net").map_err(|e| format!("/proc/thread-self/ns/net: {e}"))?;
        Ok(namespace.into())
    };
    std::thread::spawn(make).join().map_err(|_| "making a network panicked")?
}

fn ip(words: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(words.split_whitespace()).stdin(Stdio::null());
    let done = command.output().map_err(|e| format!("ip: {e}; {IMPOSSIBLE}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}; {IMPOSSIBLE}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}
