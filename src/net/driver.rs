//! The loop: waits, feeds the core, carries out what the core wants.
//!
//! Invariant: after any input the core is polled until it answers `Wait`, with two exceptions, and inputs may come between: while
//! the kernel has no room for a run of datagrams the core is not asked for more (the run stays in the buffer it was polled into),
//! and a drain longer than [`DRAIN_OUTPUTS`] or [`DRAIN_BYTES`] is interrupted to receive, then gone on with; but never among
//! events, and no connection is read before those of the last one are told: what waits to be told is never more than one input
//! made. Every step of a turn is bounded, so nothing starves; nothing is awaited but by the poller.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::{Event, Events, Poller};

use super::address::toward_core;
use super::bind::Sockets;
use super::dial::Dials;
use super::inbox::{Inbox, Resolved};
use super::poll::Watcher;
use super::stats::Stats;
use super::tcp::{Connections, Listener, Read, Written};
use super::{Config, Directory, Error, Host, resolve, udp};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Core, HostId, Output, SocketId};

/// Outputs carried out before sockets are looked at again, beside events: of those all are told, for they are no more than one
/// input made, and while one waits nothing behind it gets out.
const DRAIN_OUTPUTS: usize = 64;
/// Bytes of datagrams sent before sockets are looked at again: some 450 datagrams, half a millisecond.
const DRAIN_BYTES: usize = 512 << 10;
/// Batches of datagrams taken before TCP is looked at again.
const BATCHES: usize = 8;
/// Commands fed before sockets are looked at again.
const COMMANDS: usize = 32;
/// Connections taken in before other sockets are looked at again.
const ACCEPTS: usize = 32;
/// A core that wants to be called at the very moment it was just called at does not make the thread spin.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

pub(super) struct Driver<C: Core, F> {
    core: C,
    on_event: F,
    poller: Arc<Poller>,
    inbox: Arc<Inbox<C::Command>>,
    commands: VecDeque<C::Command>,
    resolved: Vec<Resolved>,
    hosts: Vec<Host>,
    udp: udp::Socket,
    listener: Option<Listener>,
    connections: Connections,
    dials: Dials,
    directory: Directory,
    /// What the core polled into; holds a run of datagrams while the UDP socket is blocked.
    out: Vec<u8>,
    /// When the core wants to be called.
    deadline: Option<Instant>,
    /// A drain was interrupted.
    unfinished: bool,
    /// Commands are left for the next turn, here or in the inbox.
    owed: bool,
    /// See [`Config::last_flush`].
    last_flush: Duration,
    /// Told to stop: when it stops at the latest, even with bytes held back.
    stop_by: Option<Instant>,
    stats: Arc<Stats>,
}

impl<C: Core, F: FnMut(C::Event)> Driver<C, F>
where
    C::Command: Send + 'static,
{
    /// Opens the sockets. Gives also the way in for commands, and the address the UDP socket has.
    #[expect(clippy::type_complexity, reason = "three things, named where they are taken apart")]
    pub(super) fn new(
        core: C,
        config: Config,
        on_event: F,
        stats: Arc<Stats>,
    ) -> Result<(Self, Arc<Inbox<C::Command>>, SocketAddr), Error> {
        let sockets = Sockets::open(&config)?;
        let local = toward_core(sockets.udp.local_addr()?);
        let watcher = Watcher::new()?;
        let poller = Arc::clone(watcher.poller());
        let inbox = Inbox::new(Arc::clone(&poller));
        let listener = sockets.tcp.map(|tcp| Listener::new(tcp, &watcher)).transpose()?;
        let driver = Driver {
            core,
            on_event,
            poller,
            inbox: Arc::clone(&inbox),
            commands: VecDeque::new(),
            resolved: Vec::new(),
            hosts: Vec::new(),
            udp: udp::Socket::new(sockets.udp, &watcher, Arc::clone(&stats))?,
            listener,
            connections: Connections::new(watcher.clone(), Arc::clone(&stats)),
            dials: Dials::new(watcher, config.hosts, config.bind),
            directory: config.directory,
            out: Vec::new(),
            deadline: None,
            unfinished: false,
            owed: false,
            last_flush: config.last_flush,
            stop_by: None,
            stats,
        };
        Ok((driver, inbox, local))
    }

    pub(super) fn run(mut self) {
        // Whatever ends this thread, nobody waits for it to take a command.
        struct End<Command>(Arc<Inbox<Command>>);
        impl<Command> Drop for End<Command> {
            fn drop(&mut self) {
                self.0.end();
            }
        }
        let _end = End(Arc::clone(&self.inbox));
        let mut events = Events::new();
        self.drain();
        loop {
            events.clear();
            if let Err(error) = self.wait(&mut events, self.wait_until()) {
                tracing::error!("the net thread cannot wait for its sockets ({error}) and ends: please report this");
                return;
            }
            self.stats.wakeups.add(1);
            for event in events.iter() {
                self.handle_socket(event);
            }
            self.handle_inbox();
            self.handle_timers();
            if self.is_done() {
                self.connections.end();
                return;
            }
        }
    }

    fn wait(&self, events: &mut Events, until: Option<Instant>) -> io::Result<()> {
        match until {
            Some(until) => self.poller.wait_deadline(events, until)?,
            None => self.poller.wait(events, None)?,
        };
        Ok(())
    }

    /// When there is something to do even if nothing comes; a moment gone by means at once.
    fn wait_until(&self) -> Option<Instant> {
        if self.unfinished || self.owed {
            return Some(Instant::now());
        }
        // A core that could not finish its drain has not said its deadline yet.
        let core = self.deadline.filter(|_| !self.udp.is_blocked());
        let listener = self.listener.as_ref().and_then(Listener::deadline);
        [core, listener, self.connections.deadline(), self.dials.deadline(), self.stop_by].into_iter().flatten().min()
    }

    fn handle_socket(&mut self, event: Event) {
        if event.key == self.udp.key() {
            if event.writable && self.udp.resume(&self.out) {
                self.tell_too_long(Instant::now());
                self.drain();
            }
            if event.readable {
                self.receive();
            }
        } else if self.listener.as_ref().is_some_and(|listener| listener.key() == event.key) {
            self.accept();
        } else if self.dials.handle_event(Instant::now(), event.key) {
            self.end_dials();
        } else {
            self.handle_connection(SocketId(event.key as u64), event);
        }
    }

    fn receive(&mut self) {
        for _ in 0..BATCHES {
            let more = self.udp.receive(|now, from, bytes| self.core.handle_datagram(now, from, bytes));
            self.drain();
            if !more {
                return;
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let now = Instant::now();
            let Some((socket, from)) = self.listener.as_mut().and_then(|listener| listener.accept(now)) else { return };
            // The kernel gives both ends one address where a machine dials itself, and takes no such packet from a network.
            let own = socket.local_addr().is_ok_and(|to| toward_core(to).ip() == from.ip());
            if let Some(id) = self.connections.admit(socket) {
                self.core.handle_accepted(now, id, from, own);
                self.drain();
                // Who wants to be let in has spoken already, and is known by it from those who only knock, before the next one
                // is.
                self.read(id);
            }
        }
    }

    fn handle_connection(&mut self, id: SocketId, event: Event) {
        if event.writable && self.connections.is_blocked(id) && self.connections.flush(id) == Written::Whole {
            self.core.handle_writable(Instant::now(), id, true);
            self.drain();
        }
        if event.readable {
            self.read(id);
        }
    }

    /// Only where all that came before is told: what a connection brings waits in the kernel, or at its sender, and not here.
    fn read(&mut self, id: SocketId) {
        if self.udp.is_blocked() {
            return; // it is announced again
        }
        match self.connections.read(id) {
            Read::Bytes(bytes) => self.core.handle_bytes(Instant::now(), id, bytes),
            Read::Nothing => return,
            Read::Ended => self.core.handle_closed(Instant::now(), id),
        }
        self.drain();
    }

    fn handle_inbox(&mut self) {
        let looked = self.commands.is_empty();
        if looked && self.inbox.take(&mut self.commands, &mut self.resolved, &mut self.hosts) && self.stop_by.is_none() {
            self.stop_by = Some(Instant::now() + self.last_flush);
        }
        self.hosts.drain(..).for_each(|host| self.dials.add(host));
        for _ in 0..COMMANDS {
            let Some(command) = self.commands.pop_front() else { break };
            self.core.handle_command(Instant::now(), command);
            self.drain();
        }
        // What came into the inbox while it was not looked into has woken us already and will not do so again.
        self.owed = !looked || !self.commands.is_empty();
        let mut resolved = std::mem::take(&mut self.resolved);
        for (host, answer) in resolved.drain(..) {
            self.dials.handle_resolved(Instant::now(), host, answer);
        }
        self.resolved = resolved;
        self.end_dials();
    }

    fn handle_timers(&mut self) {
        let now = Instant::now();
        self.connections.handle_timeout(now);
        if let Some(listener) = &mut self.listener {
            listener.handle_timeout(now);
        }
        if self.dials.deadline().is_some_and(|deadline| deadline <= now) {
            self.dials.handle_timeout(now);
            self.end_dials();
        }
        if self.unfinished {
            self.drain();
        }
        if !self.udp.is_blocked() && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.core.handle_timeout(now);
            self.drain();
            self.deadline = self.deadline.map(|deadline| if deadline <= now { now + SHORTEST_WAIT } else { deadline });
        }
    }

    /// Told to stop, and nothing is left to be said; or its time is over.
    fn is_done(&self) -> bool {
        let said = !self.owed && !self.unfinished && !self.udp.is_blocked() && self.connections.are_flushed();
        self.stop_by.is_some_and(|until| said || Instant::now() >= until)
    }

    fn end_dials(&mut self) {
        if self.tell_dials() {
            self.drain();
        }
    }

    /// Tells the core of dials that ended. `true`: it was told something.
    fn tell_dials(&mut self) -> bool {
        let mut told = false;
        while let Some((host, outcome)) = self.dials.poll() {
            let outcome = outcome.map(|(socket, to)| (self.connections.adopt(socket), to));
            self.core.handle_dialled(Instant::now(), host, outcome);
            told = true;
        }
        told
    }

    /// Carries out what the core wants until it waits, is blocked, or has had its share of this turn.
    fn drain(&mut self) {
        let (mut outputs, mut bytes) = (0, 0);
        self.unfinished = false;
        while outputs < DRAIN_OUTPUTS && bytes < DRAIN_BYTES {
            if self.udp.is_blocked() {
                return;
            }
            outputs += 1;
            self.out.clear();
            let now = Instant::now();
            match self.core.poll(now, &mut self.out) {
                Output::Datagrams { to, segment, len } => {
                    self.out.truncate(len);
                    bytes += len;
                    self.udp.send(to, segment, &self.out);
                    self.tell_too_long(now);
                }
                Output::Bytes { socket } => {
                    if self.connections.write(socket, &mut self.out) == Written::Partly {
                        self.core.handle_writable(now, socket, false);
                    }
                }
                Output::Close { socket } => {
                    if self.connections.close(now, socket) {
                        self.core.handle_closed(now, socket);
                    }
                }
                Output::Dial { host, also } => {
                    self.dial(now, host, also);
                    self.tell_dials();
                }
                Output::Event(event) => {
                    outputs -= 1;
                    (self.on_event)(event);
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        self.unfinished = true;
    }

    /// Always within a drain, or before one.
    fn tell_too_long(&mut self, now: Instant) {
        if let Some((to, len)) = self.udp.take_too_long() {
            self.core.handle_too_long(now, to, len);
        }
    }

    fn dial(&mut self, now: Instant, host: HostId, also: Option<SocketAddr>) {
        if let Some(wanted) = self.dials.start(now, host, also) {
            let inbox = Arc::clone(&self.inbox);
            let host_text = wanted.to_string();
            let answer = move |answer| inbox.push_resolved((host, answer));
            if let Err(error) = resolve::spawn(wanted, self.directory.clone(), answer) {
                let why = format!("there is no thread to look the name up ({error})");
                self.dials.handle_resolved(now, host, Err(DialError::Other { host: host_text, why }));
            }
        }
    }
}
