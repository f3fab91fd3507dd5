//! A session of its own that dials ours, in this very process: what comes to us in another way comes in as a sender's does, and is
//! shown, heard, recorded, passed on and counted as theirs are.

use crate::net::discovery::Directory;
use crate::net::{self, By, Commands, Host};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{self, Command, Event, Session};
use eyeline_proto::wire::record::Format;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// See the module text. Dropped: it says goodbye.
pub struct Visit {
    net: net::Handle<Command>,
}

impl Visit {
    /// Of `me`, who sends something of this format. `on_event` is told on the net thread of this session.
    pub fn begin(
        me: Identity,
        epoch: Epoch,
        format: Format,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Visit, net::Error> {
        let core = session::Config { format, ..session::Config::new(me, epoch) };
        let (hosts, directory, last_flush) = (Vec::new(), Directory::default(), net::LAST_FLUSH);
        let bind = Ipv6Addr::UNSPECIFIED.into();
        let config = net::Config { bind, port: 0, listen: false, hosts, directory, last_flush };
        Ok(Visit { net: net::spawn(Session::new(Instant::now(), core), config, on_event)? })
    }

    /// What comes is told there.
    pub fn commands(&self) -> Commands<Command> {
        self.net.commands()
    }

    /// Dials the program that waits there.
    pub fn dial(&self, to: SocketAddr) {
        let ip = match to.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = self.net.add_host(Host { name: ip.to_string(), port: to.port(), by: By::Name });
        self.net.command(Command::Dial(host, None));
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.net.command(Command::Stop(String::new()));
    }
}
