//! What a camera that is not ours sends as RTP to ports of ours: JPEGs and sound, from a thread of its own.
//!
//! Pictures come to one port, sound to the second after it, sender reports to the port after each. Who is taken, and when what
//! came was caught, is [`Receiver`]'s affair; here are the sockets. What comes is given to a callback on the thread, which must
//! return soon: meanwhile the kernel keeps what it has room for.

use eyeline_proto::media::rtp::receiver::{Event, Medium, Receiver};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use std::io::{self, PipeReader, PipeWriter};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Instant;

/// The last port that pictures may come to: three more are needed.
pub const LAST_PORT: u16 = u16::MAX - 3;

/// Asked of the kernel for each port of media: a large picture comes as one burst.
const ROOM: usize = 2 << 20;

/// Longer than any datagram.
const LONGEST: usize = 1 << 16;

/// Packets of one port that are taken before the others are looked at.
const AT_ONCE: usize = 64;

/// Why it cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("UDP port {port} is taken: stop the program that has it, or choose another port")]
    Taken { port: u16 },
    #[error("this machine does not have the address {0}")]
    Address(std::net::IpAddr),
    #[error("port {port} is reserved for the administrator: choose one above 1023")]
    Forbidden { port: u16 },
    #[error("the operating system gives no socket or thread ({0})")]
    System(#[from] io::Error),
}

/// The ports, opened.
pub struct Ports([(Kind, UdpSocket); 4]);

/// What comes to a port.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Media(Medium),
    Reports(Medium),
}

impl Ports {
    /// Those from this one on, which is at most [`LAST_PORT`].
    pub fn open(at: SocketAddr) -> Result<Ports, Error> {
        let open = |kind, after: u16| -> Result<(Kind, UdpSocket), Error> {
            let at = SocketAddr::new(at.ip(), at.port().saturating_add(after));
            let socket = UdpSocket::bind(at).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => Error::Taken { port: at.port() },
                io::ErrorKind::AddrNotAvailable => Error::Address(at.ip()),
                io::ErrorKind::PermissionDenied => Error::Forbidden { port: at.port() },
                _ => Error::System(error),
            })?;
            socket.set_nonblocking(true)?;
            if matches!(kind, Kind::Media(_)) {
                // With what it gives instead it works, too.
                let _ = SockRef::from(&socket).set_recv_buffer_size(ROOM);
            }
            Ok((kind, socket))
        };
        let [pictures, sound] = [Medium::Pictures, Medium::Sound];
        Ok(Ports([
            open(Kind::Media(pictures), 0)?,
            open(Kind::Reports(pictures), 1)?,
            open(Kind::Media(sound), 2)?,
            open(Kind::Reports(sound), 3)?,
        ]))
    }

    fn wait(&self, told: &PipeReader, until: Option<Instant>) -> io::Result<bool> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // A millisecond more: it is not to be woken just before.
        let left = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(told.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.0.iter().map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, left) {
            Err(Errno::EINTR) => Ok(true),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(fds[0].any() == Some(false)),
        }
    }
}

/// The thread at work. Dropped: it has ended, and the ports are closed.
pub struct Rtp {
    told: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Rtp {
    /// Takes what comes there.
    pub fn start(ports: Ports, mut give: impl FnMut(Event) + Send + 'static) -> Result<Rtp, Error> {
        let (reader, told) = io::pipe()?;
        let run = move || {
            if let Err(error) = run(&ports, &reader, &mut give) {
                tracing::error!("RTP is not received any more: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("rtp in".into()).spawn(run)?;
        Ok(Rtp { told: Some(told), thread: Some(thread) })
    }
}

impl Drop for Rtp {
    fn drop(&mut self) {
        self.told = None;
        if let Some(thread) = self.thread.take() {
            crate::threads::join(thread);
        }
    }
}

/// Until the other end of `told` is closed.
fn run(ports: &Ports, told: &PipeReader, give: &mut impl FnMut(Event)) -> io::Result<()> {
    let (mut receiver, mut packet) = (Receiver::default(), vec![0; LONGEST]);
    while ports.wait(told, receiver.deadline())? {
        for (kind, socket) in &ports.0 {
            for _ in 0..AT_ONCE {
                let (len, from) = match socket.recv_from(&mut packet) {
                    Ok(came) => came,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // What could not be delivered of ours, or a signal: nothing that ends it.
                    Err(_) => continue,
                };
                let (packet, now) = (&packet[..len], Instant::now());
                match *kind {
                    Kind::Media(medium) => receiver.handle_packet(now, medium, canonical(from), packet),
                    Kind::Reports(medium) => receiver.handle_report(medium, canonical(from), packet),
                }
                while let Some(event) = receiver.poll() {
                    give(event);
                }
            }
        }
        receiver.handle_timeout(Instant::now());
        while let Some(event) = receiver.poll() {
            give(event);
        }
    }
    Ok(())
}

/// An IPv4 address as such where it came through IPv6.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}
