//! Why a host cannot be reached. Types, for what is done about it hangs on them; what they print is for people and decides
//! nothing.

use crate::wire::VERSION;
use crate::wire::preamble::{self, Refusal};
use std::mem::discriminant;
use std::net::{Ipv6Addr, SocketAddr};

/// Why a host that is to be dialled is not a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// No connection came up.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// What answers closed the connection before its hello.
    #[error("{0} closed the connection before saying what it is: is that `send`, `recv` or `call`?")]
    HungUp(SocketAddr),
    /// What answers said nothing until the time for it was over.
    #[error("{0} accepted the connection and then said nothing: is that `send`, `recv` or `call`?")]
    Silent(SocketAddr),
    /// The first bytes that came are not ours.
    #[error("another program answers at {0}: it is not Eyeline (is --port right on both sides?)")]
    NotEyeline(SocketAddr),
    /// It answered with a refusal. Nothing proves who it is.
    #[error("{from} turned us away: {sentence}")]
    TurnedAway {
        from: SocketAddr,
        /// Why, for programs.
        refusal: Refusal,
        /// Why, for people: its words, made printable.
        sentence: String,
    },
    /// It has no place for one more peer, and may have one later.
    #[error("{from} has no place for one more: {sentence}")]
    Full {
        from: SocketAddr,
        /// What there are too many of, in its words, made printable.
        sentence: String,
    },
    /// It says the id of a peer that is here already, over another connection, and does not prove to be that one.
    #[error("{0} says that it is a peer that is here already, and does not prove it")]
    Taken(SocketAddr),
    /// It is we who answer there.
    #[error("at {0} is this very program: give the address of another one")]
    Ourselves(SocketAddr),
    /// It speaks another version of the protocol.
    #[error("the peer at {from} speaks {}: update {}", preamble::spoken(*version), older(*version))]
    Version { from: SocketAddr, version: u8 },
    /// Neither of us has what the other wants.
    #[error("{from} turned us away: {misfit}")]
    Unfit {
        from: SocketAddr,
        /// How they differ.
        misfit: Misfit,
    },
    /// It broke the protocol before its hello.
    #[error("{from} breaks the protocol: {sentence}")]
    Broken {
        from: SocketAddr,
        /// What it did.
        sentence: String,
    },
    /// Somebody there was asked whether we are let in, and we are not.
    #[error("{from} did not let us in: {sentence}")]
    Declined {
        from: SocketAddr,
        /// In its words, made printable.
        sentence: String,
    },
    /// It was shown our half of a pairing and went away: the code is not tried a second time.
    #[error("{0} did not take the code: type the one that the waiting side shows now")]
    CodeSpent(SocketAddr),
    /// It shows somebody else.
    #[error("{from} {sentence}")]
    Busy { from: SocketAddr, sentence: String },
}

impl Unreachable {
    /// Whether the other is trouble of the same kind: with other words, or at another address.
    pub fn is_like(&self, other: &Unreachable) -> bool {
        match (self, other) {
            (Unreachable::Dial(one), Unreachable::Dial(other)) => discriminant(one) == discriminant(other),
            (Unreachable::TurnedAway { refusal: one, .. }, Unreachable::TurnedAway { refusal: other, .. }) => one == other,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// Why two sides are of no use to each other. Each reads it off the other's hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Nobody wants anything.
    #[error("both sides run `send`: run `recv` on one of them")]
    BothOffer,
    /// Nobody has anything.
    #[error("both sides run `recv`: run `send` on one of them")]
    BothWant,
}

/// Whom to update, where a peer speaks such a version.
fn older(version: u8) -> &'static str {
    if version < VERSION { "it" } else { "this side" }
}

/// Why no connection to a host came up. Made by whoever dials. `host` is the host as it was given, with its port and the address
/// tried where that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No name server or hosts file knows the name, or none answers: that may change, as an address may begin to answer.
    #[error("unknown host {name} ({why}): check its spelling and the network, or give its address")]
    UnknownName {
        name: String,
        /// What the resolver says.
        why: String,
    },
    /// More than one on this network say that they are called so: which is meant nobody can know.
    #[error("several are called {name} on this network, at {}: give the address of one", places.join(" and at "))]
    Several {
        name: String,
        /// Where each of them is.
        places: Vec<String>,
    },
    /// The name is known and has no address.
    #[error("the name {name} has no address: give the host's address instead")]
    NoAddress { name: String },
    /// All its addresses are link-local, and a name says no interface.
    #[error("{name} has no address but a link-local one yet: give that address with %INTERFACE instead, or wait for another")]
    LinkLocalAlone { name: String },
    /// A link-local address means another machine on every interface, and none is named.
    #[error("{address} is on one interface's network only: add %INTERFACE, {}", example(*address, interfaces))]
    NoZone {
        address: Ipv6Addr,
        /// Interfaces that have such addresses.
        interfaces: Vec<String>,
    },
    /// The interface named behind `%` is not there, or not yet.
    #[error("there is no interface {zone}: {}", listed(interfaces))]
    UnknownZone {
        /// What was named.
        zone: String,
        /// Interfaces that have link-local addresses.
        interfaces: Vec<String>,
    },
    /// Nothing listens at that port.
    #[error("nobody is waiting on {host}")]
    Refused {
        /// See the type.
        host: String,
        port: u16,
    },
    /// Nothing came back.
    #[error(
        "{host} does not answer: check the address, that the machine is on, and that its firewall lets TCP and UDP port {port} in"
    )]
    TimedOut {
        /// See the type.
        host: String,
        port: u16,
    },
    /// This machine knows no way there.
    #[error("there is no route to {host}: check the address and this machine's network")]
    NoRoute {
        /// See the type.
        host: String,
    },
    /// Not the host's fault.
    #[error("{host} cannot be dialled: {shortage}")]
    Shortage {
        /// See the type.
        host: String,
        /// What there is none left of.
        shortage: Shortage,
    },
    #[error("{host} cannot be reached: {why}")]
    Other {
        /// See the type.
        host: String,
        /// The operating system's words.
        why: String,
    },
}

impl DialError {
    /// The host has an address, whatever became of dialling it.
    pub fn has_address(&self) -> bool {
        !matches!(
            self,
            DialError::UnknownName { .. }
                | DialError::Several { .. }
                | DialError::NoAddress { .. }
                | DialError::LinkLocalAlone { .. }
                | DialError::NoZone { .. }
                | DialError::UnknownZone { .. }
        )
    }

    /// As it was given it can never be dialled, whatever changes elsewhere.
    pub fn is_final(&self) -> bool {
        matches!(self, DialError::NoZone { .. })
    }
}

/// What this process, or this machine, has none left of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// File descriptors of this process.
    #[error("this program has no file descriptor left (it may have {limit}): raise that with `ulimit -n` and start it again")]
    Descriptors {
        /// How many it may have.
        limit: u64,
    },
    /// File descriptors of the machine.
    #[error("this machine has no file descriptor left: close programs, or raise `sysctl fs.file-max`")]
    SystemDescriptors,
    /// Memory for sockets.
    #[error("the kernel has no memory left for another socket: close programs")]
    Memory,
}

fn example(address: Ipv6Addr, interfaces: &[String]) -> String {
    match interfaces {
        [] => "which `ip link` lists".to_string(),
        [only] => format!("here: {address}%{only}"),
        [first, ..] => format!("for example {address}%{first}; {}", listed(interfaces)),
    }
}

fn listed(interfaces: &[String]) -> String {
    match interfaces {
        [] => "this machine has none with a link-local address".to_string(),
        some => format!("this machine has {}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_is_wrong_and_what_to_do() {
        let address: Ipv6Addr = "fe80::1".parse().expect("an address");
        let zone = |names: &[&str]| DialError::NoZone { address, interfaces: names.iter().map(ToString::to_string).collect() };
        assert_eq!(zone(&["eth0"]).to_string(), "fe80::1 is on one interface's network only: add %INTERFACE, here: fe80::1%eth0");
        assert_eq!(
            zone(&["eth0", "wlan0"]).to_string(),
            "fe80::1 is on one interface's network only: add %INTERFACE, for example fe80::1%eth0; this machine has eth0, wlan0"
        );
        let shortage = Shortage::Descriptors { limit: 1024 };
        let none_left = DialError::Shortage { host: "camera:9688".to_string(), shortage }.to_string();
        assert!(
            none_left.starts_with("camera:9688 cannot be dialled: this program has no file descriptor left (it may have 1024)")
        );
        assert!(none_left.contains("ulimit -n"), "{none_left}");
    }

    #[test]
    fn only_what_no_network_can_mend_is_final() {
        let name = "robot.local".to_string();
        assert!(!DialError::UnknownName { name: name.clone(), why: "Name or service not known".to_string() }.is_final());
        assert!(!DialError::NoAddress { name: name.clone() }.is_final());
        assert!(!DialError::LinkLocalAlone { name }.is_final());
        assert!(DialError::NoZone { address: Ipv6Addr::LOCALHOST, interfaces: Vec::new() }.is_final());
    }
}
