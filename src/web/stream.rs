//! A connection, in the clear or under TLS, which never waits.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

/// See the module text.
pub enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "web")]
    Tls(Box<super::tls::Tunnel>),
}

impl Stream {
    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => tunnel.socket(),
        }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }

    /// What it waits for; `writes`: there is something to be written.
    pub fn waits_for(&self, writes: bool) -> PollFlags {
        let writes = match self {
            Stream::Plain(_) => writes,
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => writes || tunnel.wants_write(),
        };
        if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Nothing more is written.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.shutdown(Shutdown::Write),
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => tunnel.finish(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(bytes),
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => tunnel.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => tunnel.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            #[cfg(feature = "web")]
            Stream::Tls(tunnel) => tunnel.flush(),
        }
    }
}
