//! Two networks of their own, joined by a thread of ours: each has one TUN device, and what its kernel sends through it, UDP and TCP
//! alike, goes through a [`Link`] and comes out of the other's.
//!
//! Offloads stay off: the kernel cuts segments and writes checksums before a packet gets here, so each read is one packet of at most
//! [`MTU`] bytes, as on a cable. The thread is woken by a packet or at the microsecond one is due; what it adds to a clean link
//! is measured ([`Cable::probe`]).

use crate::clock::{now_us, sharpen_timers, sleep_until};
use crate::impair::{Conditions, Counts, Link};
use crate::rig::{self, MTU, configure, enter};
use crate::stats::quantile;
use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// `_IOW('T', 202, int)`, of linux/if_tun.h.
const TUNSETIFF: libc::c_ulong = 0x4004_54CA;

/// The longest the thread sleeps: how soon it sees that conditions changed.
const TURN_US: u64 = 2_000;

/// How often a sample of the queue is taken.
const SAMPLE_US: u64 = 50_000;

/// How many datagrams a probe sends.
const PROBES: u64 = 200;

/// What to say where there can be none.
pub const IMPOSSIBLE: &str = "this needs network namespaces and /dev/net/tun: run it as root (sudo ./bench ...), in a container with \
     --privileged or --cap-add NET_ADMIN,SYS_ADMIN --device /dev/net/tun; or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)";

/// Whether cables can be made. To be called before there is any other thread: who is not root becomes so in a user namespace.
pub fn is_possible() -> bool {
    network(Side::Sender).is_ok() || (rig::own_network() && network(Side::Sender).is_ok())
}

/// Which of the two networks; also the direction that begins there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Where `send` is.
    Sender,
    /// Where `recv` is.
    Receiver,
}

impl Side {
    /// Its only address.
    pub fn address(self) -> &'static str {
        ["10.77.0.1", "10.77.0.2"][self as usize]
    }

    fn octets(self) -> [u8; 4] {
        [10, 77, 0, self as u8 + 1]
    }
}

/// The state of the sender's direction at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at_us: u64,
    /// How long a packet would have waited.
    pub standing_us: u64,
    /// Packets and bytes so far.
    pub counts: Counts,
}

struct Measured {
    links: [Link; 2],
    samples: Vec<Sample>,
    late_us: Vec<f64>,
}

/// Two joined networks. Gone when dropped, with everything in them.
pub struct Cable {
    networks: [OwnedFd; 2],
    shared: Arc<Mutex<Measured>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    /// Two fresh networks and a clean link between them; `seed` decides what will be lost.
    pub fn new(seed: u64) -> Result<Cable, String> {
        let (near, first) = network(Side::Sender)?;
        let (far, second) = network(Side::Receiver)?;
        let links = [Link::new(seed), Link::new(seed ^ 0x5EED)];
        let shared = Arc::new(Mutex::new(Measured { links, samples: Vec::new(), late_us: Vec::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            let work = move || forward(&mut [near, far], &shared, &stop);
            std::thread::Builder::new().name("cable".into()).spawn(work).map_err(|e| e.to_string())?
        };
        Ok(Cable { networks: [first, second], shared, stop, thread: Some(thread) })
    }

    /// For [`crate::rig::Launch`]: the network a program is to live in.
    pub fn network(&self, side: Side) -> RawFd {
        self.networks[side as usize].as_raw_fd()
    }

    /// From now on both directions are like that.
    pub fn set(&self, conditions: Conditions) {
        let mut shared = lock(&self.shared);
        let now = now_us();
        shared.links.iter_mut().for_each(|link| link.set(now, conditions));
    }

    /// The sender's direction every 50 ms so far.
    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.shared).samples.clone()
    }

    /// What the way takes by itself: p50 and p99, us, of one-way times from the sender's network to the other.
    pub fn probe(&self) -> Result<[f64; 2], String> {
        let socket = |side: Side| {
            let network = self.network(side);
            let bind = move || enter(network).and_then(|()| UdpSocket::bind((side.address(), 9)));
            let made = std::thread::spawn(bind).join().map_err(|_| "a probe panicked")?;
            made.map_err(|e| format!("a probe: {e}"))
        };
        let (from, to) = (socket(Side::Sender)?, socket(Side::Receiver)?);
        to.set_read_timeout(Some(Duration::from_millis(500))).map_err(|e| e.to_string())?;
        let mut times = Vec::new();
        for turn in 0..PROBES {
            sleep_until(now_us() + 3_000 + turn % 7 * 500);
            from.send_to(&now_us().to_be_bytes(), (Side::Receiver.address(), 9)).map_err(|e| format!("a probe: {e}"))?;
            let mut sent = [0; 8];
            to.recv(&mut sent).map_err(|e| format!("a probe did not come through: {e}"))?;
            times.push(now_us().saturating_sub(u64::from_be_bytes(sent)) as f64);
        }
        Ok([0.5, 0.99].map(|q| quantile(&mut times, q)))
    }

    /// How late packets were written, us: p50 and p99 so far.
    pub fn late_us(&self) -> [f64; 2] {
        let mut late = lock(&self.shared).late_us.clone();
        [0.5, 0.99].map(|q| quantile(&mut late, q))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network with a loopback and one TUN device. A namespace belongs to a thread, so one that ends at once makes it.
fn network(side: Side) -> Result<(File, OwnedFd), String> {
    let make = move || -> Result<(File, OwnedFd), String> {
        // SAFETY: takes numbers only, and concerns this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(format!("no network namespace of our own: {}", std::io::Error::last_os_error()));
        }
        let namespace = File::open("/proc/thread-self/ns/net").map_err(|e| format!("/proc/thread-self/ns/net: {e}"))?;
        let device = tun()?;
        configure(c"lo", None).map_err(|e| format!("the loopback: {e}"))?;
        configure(c"link", Some(side.octets())).map_err(|e| format!("the TUN device: {e}"))?;
        Ok((device, namespace.into()))
    };
    std::thread::spawn(make).join().map_err(|_| "making a network panicked")?
}

/// A TUN device called `link` in this thread's network: reads and writes are bare IP packets.
fn tun() -> Result<File, String> {
    let path = "/dev/net/tun";
    let open = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
    let device = open.map_err(|e| format!("{path}: {e}"))?;
    // SAFETY: all zero is a valid `ifreq`.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in ifreq.ifr_name.iter_mut().zip(c"link".to_bytes()) {
        *to = *from as _;
    }
    ifreq.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as _;
    // SAFETY: the request reads and writes an `ifreq`, which is ours.
    match unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF as _, &mut ifreq) } {
        0 => Ok(device),
        _ => Err(format!("no TUN device: {}", std::io::Error::last_os_error())),
    }
}

fn forward(devices: &mut [File; 2], shared: &Mutex<Measured>, stop: &AtomicBool) {
    sharpen_timers();
    hurry();
    let mut buffer = vec![0; MTU as usize + 1];
    let mut sampled = now_us();
    while !stop.load(Ordering::Relaxed) {
        let due = {
            let mut shared = lock(shared);
            for (device, link) in devices.iter_mut().zip(&mut shared.links) {
                while let Ok(length @ 1..) = device.read(&mut buffer) {
                    link.push(now_us(), buffer[..length].to_vec());
                }
            }
            for side in 0..2 {
                loop {
                    let due = shared.links[side].due();
                    let now = now_us();
                    let Some(packet) = shared.links[side].pop(now) else { break };
                    shared.late_us.push(now.saturating_sub(due.unwrap_or(now)) as f64);
                    // A device that takes no more loses the packet, as a cable into a full port would.
                    let _ = devices[1 - side].write(&packet);
                }
            }
            let now = now_us();
            if now >= sampled + SAMPLE_US {
                sampled = now;
                let sample =
                    Sample { at_us: now, standing_us: shared.links[0].standing_us(now), counts: shared.links[0].counts() };
                shared.samples.push(sample);
            }
            shared.links.iter().filter_map(Link::due).min()
        };
        let now = now_us();
        let sleep = due.map_or(TURN_US, |due| due.saturating_sub(now).min(TURN_US));
        wait(devices, sleep);
    }
}

/// Sleeps until a packet comes, at most `us`.
fn wait(devices: &[File; 2], us: u64) {
    let mut polled = [0, 1].map(|i| libc::pollfd { fd: devices[i].as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let time = libc::timespec { tv_sec: 0, tv_nsec: (us * 1000) as _ };
    // SAFETY: the array and the time are ours for the length of the call; no signal mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &time, std::ptr::null()) };
}

/// A cable does not wait until a busy machine has time for it: real-time priority for this thread, where that is allowed.
fn hurry() {
    // SAFETY: the structure is ours; 0 is the calling thread, which sleeps whenever it has nothing to do.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &libc::sched_param { sched_priority: 1 }) };
}
