//! Opening the sockets of a waiting or dialling side, or saying in one sentence why that is not possible.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use nix::libc;
use socket2::{Domain, Socket, Type};

use super::{Config, Error, Protocol, holder};

/// Connections that may wait to be taken in: more than a flood brings between two turns, so that it costs nobody its place.
const BACKLOG: i32 = 1024;
/// How often another free port is tried when UDP has not got the one TCP got.
const TRIES: usize = 16;

/// Both sockets of a waiting side, on one port; only UDP, on any port, of a dialling one.
pub(super) struct Sockets {
    pub(super) udp: UdpSocket,
    pub(super) tcp: Option<TcpListener>,
}

impl Sockets {
    pub(super) fn open(config: &Config) -> Result<Sockets, Error> {
        match Self::open_at(config.bind, config) {
            // No IPv6 on this machine: the wildcard address then means IPv4's.
            Err(Error::Address { .. } | Error::System(_)) if config.bind.is_unspecified() && config.bind.is_ipv6() => {
                Self::open_at(Ipv4Addr::UNSPECIFIED.into(), config)
            }
            other => other,
        }
    }

    fn open_at(ip: IpAddr, config: &Config) -> Result<Sockets, Error> {
        if !config.listen {
            return Ok(Sockets { udp: bind(Protocol::Udp, SocketAddr::new(ip, 0))?.into(), tcp: None });
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let tcp: TcpListener = bind(Protocol::Tcp, SocketAddr::new(ip, config.port))?.into();
            let port = tcp.local_addr()?.port();
            match bind(Protocol::Udp, SocketAddr::new(ip, port)) {
                Ok(udp) => return Ok(Sockets { udp: udp.into(), tcp: Some(tcp) }),
                Err(Error::PortTaken { .. }) if config.port == 0 && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A listening socket for pages, at this address.
pub fn listen(at: SocketAddr) -> Result<TcpListener, Error> {
    bind(Protocol::Tcp, at).map(Into::into)
}

pub(super) fn bind(protocol: Protocol, at: SocketAddr) -> Result<Socket, Error> {
    let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let try_bind = || {
        let socket = Socket::new(Domain::for_address(at), kind, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        if protocol == Protocol::Tcp {
            socket.set_reuse_address(true)?; // connections of the last run may still be in TIME_WAIT
        }
        socket.bind(&at.into())?;
        if protocol == Protocol::Tcp {
            socket.listen(BACKLOG)?;
        }
        Ok(socket)
    };
    try_bind().map_err(|error: io::Error| match error.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            let by = holder::find(protocol, at.port()).map(|who| format!(" by {who}")).unwrap_or_default();
            Error::PortTaken { protocol, port: at.port(), by }
        }
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => Error::Address { ip: at.ip() },
        Some(libc::EACCES) => Error::PortForbidden { port: at.port() },
        _ => Error::System(error),
    })
}
