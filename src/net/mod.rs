//! The net thread: one thread that owns a session core and every socket, and drives the one with the other.
//!
//! UDP and TCP share one port. The thread sleeps until a socket is ready, a command comes or the core's deadline is there;
//! then it feeds the core and carries out what the core wants, until the core says until when it can wait. No datagram passes
//! through another thread or a queue, and none costs an allocation.
//!
//! Invariant: only this thread touches the core. Commands reach it through a bounded queue ([`Commands`]), events leave it by
//! the callback given to [`spawn`], which must not block. What peers mean is the core's affair; who may be dialled and which
//! port is meant, the application's.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

mod address;
mod bind;
mod dial;
pub mod discovery;
mod driver;
mod holder;
mod inbox;
pub mod own;
mod poll;
mod resolve;
pub mod rtp;
mod shortage;
mod stats;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use bind::listen;
use discovery::{Directory, Id};
use eyeline_proto::session::{Core, HostId};
use eyeline_proto::wire::text::printable;
use inbox::Inbox;
pub use resolve::may_be_neighbour;
use stats::Stats;
pub use stats::Traffic;

/// [`Config::last_flush`] of the programs: who stops one does not notice it.
pub const LAST_FLUSH: Duration = Duration::from_millis(200);

/// Where to wait and whom to dial.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to wait on. `::` means every address, IPv4 as well; where there is no IPv6 it means every IPv4 address. A
    /// dialling side sends from it.
    pub bind: IpAddr,
    /// Port of UDP and TCP for a waiting side; 0 takes any that is free. A dialling side always takes any.
    pub port: u16,
    /// Whether to wait for others on `port`.
    pub listen: bool,
    /// Whom to dial: the core's `HostId` is the place in this list.
    pub hosts: Vec<Host>,
    /// Where names are asked for that name servers do not know.
    pub directory: Directory,
    /// How long the last bytes may take when the thread is told to stop.
    pub last_flush: Duration,
}

/// Whom to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub port: u16,
    pub by: By,
}

/// What a host's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An address, what name servers know, or what somebody on this network is called.
    Name,
    /// What the program of this id calls itself on this network, and nothing else: a stranger chose both.
    Announcement(Id),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            By::Name => write!(f, "{}:{}", self.name, self.port),
            By::Announcement(_) => f.write_str(&printable(&self.name)),
        }
    }
}

/// What a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Udp,
    /// Sound and control.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Protocol::Udp { "UDP" } else { "TCP" })
    }
}

/// Why the net thread could not start, or is no more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the port.
    #[error("{protocol} port {port} is taken{by}: stop that program, or choose another port with --port")]
    PortTaken {
        /// Of which protocol.
        protocol: Protocol,
        port: u16,
        /// Who has it, where that can be seen: " by `recv` (process 1234)".
        by: String,
    },
    /// The address to wait on is not this machine's.
    #[error("this machine does not have the address {ip}: give --bind one of its own, or leave --bind out")]
    Address {
        /// The address asked for.
        ip: IpAddr,
    },
    /// Ports below 1024 are the administrator's.
    #[error("port {port} is reserved for the administrator: choose one above 1023 with --port")]
    PortForbidden { port: u16 },
    /// The operating system refused a socket or a thread.
    #[error("the operating system gives no socket or thread ({0}): close programs, or raise `ulimit -n`")]
    System(#[from] io::Error),
    #[error("the network thread has ended: please report what is said above this")]
    Ended,
}

/// Starts the net thread with a core. `on_event` is called on it for every event and must return soon.
pub fn spawn<C>(core: C, config: Config, on_event: impl FnMut(C::Event) + Send + 'static) -> Result<Handle<C::Command>, Error>
where
    C: Core + Send + 'static,
    C::Command: Send + 'static,
{
    let stats = Arc::new(Stats::default());
    let hosts = AtomicUsize::new(config.hosts.len());
    let (driver, inbox, local) = driver::Driver::new(core, config, on_event, Arc::clone(&stats))?;
    let thread = thread::Builder::new().name("net".into()).spawn(move || driver.run())?;
    inbox.belong_to(thread.thread().id());
    Ok(Handle { commands: Commands(inbox), local, stats, hosts, thread: Some(thread) })
}

/// The net thread, from outside. Dropping it lets the commands given before take effect, writes what TCP still holds back for
/// [`Config::last_flush`] at most, closes every socket and joins the thread.
#[derive(Debug)]
pub struct Handle<Command> {
    commands: Commands<Command>,
    local: SocketAddr,
    stats: Arc<Stats>,
    /// How many there are to dial.
    hosts: AtomicUsize,
    thread: Option<JoinHandle<()>>,
}

impl<Command> Handle<Command> {
    /// Tells the core something; see [`Commands::command`].
    pub fn command(&self, command: Command) {
        self.commands.command(command);
    }

    /// Leaves the core something; see [`Commands::leave`].
    pub fn leave(&self, command: Command) {
        self.commands.leave(command);
    }

    /// One more host may be dialled: its number, by which the core can now be told to.
    pub fn add_host(&self, host: Host) -> HostId {
        self.commands.0.push_host(host);
        HostId(self.hosts.fetch_add(1, Ordering::Relaxed))
    }

    /// A sender of commands for another thread.
    pub fn commands(&self) -> Commands<Command> {
        self.commands.clone()
    }

    /// Address and port the UDP socket has.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What went through so far.
    pub fn traffic(&self) -> Traffic {
        self.stats.snapshot()
    }

    /// Fails where the thread has ended, which it does by itself only by a defect.
    pub fn check(&self) -> Result<(), Error> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(Error::Ended),
        }
    }

    /// The same as dropping it; says what went through in all.
    pub fn stop(self) -> Traffic {
        let stats = Arc::clone(&self.stats);
        drop(self);
        stats.snapshot()
    }
}

impl<Command> Drop for Handle<Command> {
    fn drop(&mut self) {
        self.commands.0.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the net thread ended by a defect: please report the message above");
        }
    }
}

/// Sends commands to the core from any thread. Cheap to clone.
pub struct Commands<Command>(Arc<Inbox<Command>>);

impl<Command> Commands<Command> {
    /// To nobody.
    #[cfg(test)]
    pub(crate) fn unheard() -> Self {
        let inbox = Inbox::new(Arc::new(polling::Poller::new().expect("a poller")));
        inbox.end();
        Commands(inbox)
    }

    /// Tells the core something and wakes the net thread. When 1024 commands wait, it waits for the net thread to
    /// take them, which it does all at once; called on the net thread itself (by `on_event`) it never waits. Once the net thread
    /// is gone commands are dropped. Not for audio callbacks: it locks.
    pub fn command(&self, command: Command) {
        self.0.push(command);
    }

    /// The same for what is not urgent: the net thread is not woken for it, but takes it when it is awake anyway.
    pub fn leave(&self, command: Command) {
        self.0.leave(command);
    }

    /// Stops the thread as dropping its [`Handle`] does, for whoever cannot do that, and waits for its end, so long at most.
    pub fn stop(&self, limit: Duration) {
        self.0.stop();
        self.0.wait_for_end(limit);
    }
}

impl<Command> Clone for Commands<Command> {
    fn clone(&self) -> Self {
        Commands(Arc::clone(&self.0))
    }
}

impl<Command> fmt::Debug for Commands<Command> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commands")
    }
}
