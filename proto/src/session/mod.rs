//! The session core: everything Eyeline decides about peers, packets and time, with no IO at all (*sans-IO*).
//!
//! A [`Core`] is driven by whoever owns the sockets (`net`, or the simulator): after **any** input it is polled until it
//! answers [`Output::Wait`], so neither the drain nor the timer can be forgotten. Inputs carry `now` first; the core never
//! asks the time. Randomness it takes from the operating system.

mod addresses;
pub mod admission;
mod arrivals;
mod claim;
pub mod endpoint;
pub mod events;
mod fault;
mod flow;
mod forward;
pub mod gauge;
mod guesses;
mod handshake;
pub mod ids;
mod introductions;
pub mod keyring;
pub mod link;
pub mod liveness;
pub mod mtu;
mod outbound;
mod parity;
pub mod path;
mod peer;
pub mod places;
mod receiver;
pub mod repairs;
mod sender;
pub mod sent;
#[expect(clippy::module_inception)]
mod session;
mod shared;
mod sound_copies;
pub mod sound_form;
mod sound_log;
mod sound_receiver;
mod standstill;
pub mod stats;
mod talk;
mod tokens;
pub mod udp_watch;
pub mod unreachable;
mod whereabouts;

pub use events::{Command, Config, Event, MOST_SENDERS};
pub use ids::{PeerId, TrackId};
pub use session::Session;
use std::net::SocketAddr;
use std::time::Instant;
use unreachable::DialError;

/// Names one TCP connection. Chosen by the driver, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// Names one host to dial: its place in the list of `--host` flags the driver was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// What a core wants done next.
#[derive(Debug)]
pub enum Output<Event> {
    /// Datagrams lie in the caller's buffer: its `len` first bytes, cut every `segment` bytes (the last may be shorter),
    /// all to one address. What the kernel likes as one GSO send.
    Datagrams {
        to: SocketAddr,
        /// Length of every datagram but the last.
        segment: usize,
        /// Bytes in all.
        len: usize,
    },
    /// Bytes for a TCP connection lie in the caller's buffer: all of it. Asked for only while that connection is writable.
    Bytes { socket: SocketId },
    /// Close a TCP connection once what was given before is written.
    Close { socket: SocketId },
    /// Connect to a host by TCP and answer with [`Core::handle_dialled`].
    Dial {
        host: HostId,
        /// Its peer proved by datagrams to be there: to be dialled beside the addresses that the host is given by.
        also: Option<SocketAddr>,
    },
    /// For the application.
    Event(Event),
    /// Nothing more until an input comes or this moment is there. Always the last word of a drain.
    Wait(Option<Instant>),
}

/// A sans-IO session core: [`Session`].
pub trait Core {
    /// What the application tells it.
    type Command;
    /// What it tells the application.
    type Event;

    /// The application says something.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// A datagram came in. The bytes are opened in place.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]);
    /// A datagram of this length could not be sent to this address: the interface, or the path as far as it is known, takes less.
    fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize);
    /// Somebody connected to our TCP port; `own`: from this very machine.
    fn handle_accepted(&mut self, now: Instant, socket: SocketId, from: SocketAddr, own: bool);
    /// How an [`Output::Dial`] ended: the connection and the address it reached, or why not.
    fn handle_dialled(&mut self, now: Instant, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>);
    /// Bytes came over a TCP connection.
    fn handle_bytes(&mut self, now: Instant, socket: SocketId, bytes: &[u8]);
    /// A TCP connection is gone. Said once for each connection, also after our own [`Output::Close`].
    fn handle_closed(&mut self, now: Instant, socket: SocketId);
    /// The kernel took everything written to this connection (`true`), or did not (`false`): while it is not writable the core
    /// gives no bytes for it. A new connection is writable.
    fn handle_writable(&mut self, now: Instant, socket: SocketId, writable: bool);
    /// The moment named by [`Output::Wait`] is there.
    fn handle_timeout(&mut self, now: Instant);
    /// What to do next. `buffer` is cleared first and holds the bytes an output speaks of.
    fn poll(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Output<Self::Event>;
}
