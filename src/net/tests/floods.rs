//! One connection that says small things as fast as TCP takes them.

use std::io::Write;
use std::net::UdpSocket;

use super::*;

/// Bytes of what makes an event: the smallest record of sound.
const RECORD: usize = 40;

/// What there is between a core and its sockets, at the worst moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Worst {
    /// Events that had not been polled when more bytes came.
    events: usize,
    /// Times that a datagram for somebody else had not been.
    datagrams: usize,
}

/// Tells of each [`RECORD`] of a connection, and has a datagram for another peer after each input, which, like a session's, waits
/// behind the events.
struct Small {
    waiting: usize,
    came: usize,
    owed: bool,
    other: SocketAddr,
    worst: Worst,
}

impl Core for Small {
    type Command = ();
    type Event = (usize, Worst);

    fn handle_bytes(&mut self, _: Instant, _: SocketId, bytes: &[u8]) {
        self.worst.events = self.worst.events.max(self.waiting);
        self.worst.datagrams += usize::from(self.owed);
        let before = self.came / RECORD;
        self.came += bytes.len();
        self.waiting += self.came / RECORD - before;
        self.owed = true;
    }

    fn poll(&mut self, _: Instant, buffer: &mut Vec<u8>) -> Output<Self::Event> {
        if self.waiting > 0 {
            self.waiting -= 1;
            return Output::Event((self.came / RECORD - self.waiting, self.worst));
        }
        if std::mem::take(&mut self.owed) {
            buffer.extend_from_slice(b"picture");
            return Output::Datagrams { to: self.other, segment: buffer.len(), len: buffer.len() };
        }
        Output::Wait(None)
    }

    fn handle_command(&mut self, _: Instant, (): ()) {}
    fn handle_datagram(&mut self, _: Instant, _: SocketAddr, _: &mut [u8]) {}
    fn handle_too_long(&mut self, _: Instant, _: SocketAddr, _: usize) {}
    fn handle_accepted(&mut self, _: Instant, _: SocketId, _: SocketAddr, _: bool) {}
    fn handle_dialled(&mut self, _: Instant, _: HostId, _: Result<(SocketId, SocketAddr), DialError>) {}
    fn handle_closed(&mut self, _: Instant, _: SocketId) {}
    fn handle_writable(&mut self, _: Instant, _: SocketId, _: bool) {}
    fn handle_timeout(&mut self, _: Instant) {}
}

#[test]
fn whoever_says_small_things_as_fast_as_tcp_takes_them_is_read_no_faster_than_they_are_told_and_keeps_nobody_waiting() {
    const ALL: usize = 50_000;
    let other = UdpSocket::bind((V4, 0)).expect("loopback is there");
    let core = Small { waiting: 0, came: 0, owed: false, other: other.local_addr().expect("bound"), worst: Worst::default() };
    let (say, heard) = mpsc::channel();
    let net = spawn(core, config(V4, 0, true), move |event| say.send(event).unwrap_or_default()).expect("loopback is there");
    let mut socket = TcpStream::connect((V4, net.local_addr().port())).expect("it listens");
    socket.write_all(&bytes(ALL * RECORD)).expect("all of it is read in the end");
    let last = std::iter::from_fn(|| heard.recv_timeout(LIMIT).ok()).find(|(told, _)| *told == ALL);
    assert_eq!(last, Some((ALL, Worst::default())));
}
