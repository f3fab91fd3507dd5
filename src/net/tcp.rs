//! TCP: the listener, and the connections that are open.
//!
//! Invariant: a connection holds back at most one buffer the kernel had no room for, and the core gives no more while it does.
//! The kernel itself keeps little unsent (`TCP_NOTSENT_LOWAT`), so what the core holds back is still its own to drop.
//!
//! A connection that cannot be written to any more is still read to its end: the other side's last words ("end of stream") may
//! lie in the kernel while its reset has already made our writing fail.
//!
//! A connection we close is not dropped at once: closing a socket with unread bytes resets it, and the reset can overtake our
//! last words ("busy", "wrong version"). It is shut for writing, read into nothing until the other side closes too, and
//! dropped after [`LINGER`] at the latest. The core is told of its end right away.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::address::toward_core;
use super::poll::{Watched, Watcher};
use super::shortage;
use super::stats::Stats;
use eyeline_proto::session::SocketId;

/// Open connections: 256 peers and 32 that are still shaking hands, as the session limits them; and some for those it has yet to
/// close: a newcomer is admitted before the one that gives way to it leaves.
pub(super) const MOST_CONNECTIONS: usize = 288 + 32;
/// Connections that only wait for the other side to close; with one more the oldest is dropped.
const MOST_LINGERING: usize = 32;
/// How long the other side has to read our last words: a few round trips of a bad network.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes the kernel may hold unsent: 170 ms of 48 kHz mono, and one full control record.
const NOT_SENT: u32 = 16 << 10;
/// Bytes read from one connection in a turn, so that none starves the others or UDP: some four hundred of the smallest records,
/// each of which is told of before anything else is done.
const READ: usize = 16 << 10;
/// How long the listener rests when the system has no room for a connection.
const REST: Duration = Duration::from_millis(200);
/// Between two words about that.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Takes connections in.
pub(super) struct Listener {
    watched: Watched<TcpListener>,
    resting_until: Option<Instant>,
    /// When it was last said that there is no room.
    complained: Option<Instant>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener, watcher: &Watcher) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        Ok(Listener { watched: watcher.watch(socket, true, false)?, resting_until: None, complained: None })
    }

    pub(super) fn key(&self) -> usize {
        self.watched.key()
    }

    /// The next connection that waits to be taken in.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.watched.get().accept() {
                Ok((socket, from)) => return Some((socket, toward_core(from))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => {
                    let Some(shortage) = shortage::of(&error) else { continue }; // it was gone before it was taken in
                    // The connection stays in the backlog and would be announced for ever.
                    self.watched.set_interest(false, false);
                    self.resting_until = Some(now + REST);
                    if self.complained.is_none_or(|at| now >= at + COMPLAIN) {
                        self.complained = Some(now);
                        tracing::warn!("a connection is not taken in: {shortage}");
                    }
                    return None;
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resting_until
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.resting_until.is_some_and(|until| until <= now) {
            self.resting_until = None;
            self.watched.set_interest(true, false);
        }
    }
}

/// What became of bytes given to a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The kernel has everything.
    Whole,
    /// A rest is held back until the connection is writable.
    Partly,
    /// The core has closed this connection or heard of its end: nothing for it.
    Settled,
}

/// What a connection announced as readable gave.
pub(super) enum Read<'a> {
    Bytes(&'a [u8]),
    /// Nothing for the core.
    Nothing,
    /// The connection is gone, and the core has not heard of it.
    Ended,
}

/// The open connections.
pub(super) struct Connections {
    watcher: Watcher,
    open: HashMap<u64, Connection>,
    /// Those closed by us, in the order of their deadlines.
    lingering: VecDeque<(Instant, u64)>,
    buffer: Box<[u8]>,
    stats: Arc<Stats>,
}

struct Connection {
    watched: Watched<TcpStream>,
    /// What the kernel had no room for, from `at` on.
    pending: Vec<u8>,
    at: usize,
    lingers: bool,
}

impl Connections {
    pub(super) fn new(watcher: Watcher, stats: Arc<Stats>) -> Connections {
        let buffer = vec![0; READ].into_boxed_slice();
        Connections { watcher, open: HashMap::new(), lingering: VecDeque::new(), buffer, stats }
    }

    /// Takes in an accepted connection, or turns it away when too many are open.
    pub(super) fn admit(&mut self, socket: TcpStream) -> Option<SocketId> {
        let room = self.open.len() - self.lingering.len() < MOST_CONNECTIONS;
        if room && socket.set_nonblocking(true).is_ok() {
            match self.watcher.watch(socket, true, false) {
                Ok(watched) => return Some(self.adopt(watched)),
                Err(_) => self.stats.turned_away.add(1),
            }
        } else {
            self.stats.turned_away.add(1); // before the socket is dropped, which the other side notices
        }
        None
    }

    /// Takes over a connection that is made and non-blocking.
    pub(super) fn adopt(&mut self, watched: Watched<TcpStream>) -> SocketId {
        let options = SockRef::from(watched.get());
        // Each of these is refused only where it has no meaning.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_tcp_notsent_lowat(NOT_SENT);
        let _ = options.set_out_of_band_inline(true); // "urgent" bytes would be announced and never read
        watched.set_interest(true, false);
        let key = watched.key() as u64;
        self.open.insert(key, Connection { watched, pending: Vec::new(), at: 0, lingers: false });
        SocketId(key)
    }

    /// Writes all of `bytes`, or keeps what the kernel had no room for; `bytes` may come back with other contents.
    pub(super) fn write(&mut self, id: SocketId, bytes: &mut Vec<u8>) -> Written {
        let Some(open) = self.open.get_mut(&id.0).filter(|open| !open.lingers) else { return Written::Settled };
        if open.pending.is_empty() {
            mem::swap(&mut open.pending, bytes);
        } else {
            open.pending.extend_from_slice(bytes); // the core broke its word; nothing is lost by it
        }
        self.flush(id)
    }

    /// Goes on writing what was held back.
    pub(super) fn flush(&mut self, id: SocketId) -> Written {
        let Some(open) = self.open.get_mut(&id.0) else { return Written::Settled };
        let (before, lingers) = (open.at, open.lingers);
        let written = open.flush();
        self.stats.tcp_bytes_out.add((open.at - before) as u64);
        match written {
            Written::Partly => open.watched.set_interest(true, true),
            Written::Whole | Written::Settled => {
                open.pending.clear();
                open.at = 0;
                open.watched.set_interest(true, false);
                if lingers {
                    let _ = open.watched.get().shutdown(Shutdown::Write);
                }
            }
        }
        if lingers { Written::Settled } else { written }
    }

    /// Whether something is held back for this connection.
    pub(super) fn is_blocked(&self, id: SocketId) -> bool {
        self.open.get(&id.0).is_some_and(|open| !open.pending.is_empty())
    }

    pub(super) fn read(&mut self, id: SocketId) -> Read<'_> {
        let Some(open) = self.open.get_mut(&id.0) else { return Read::Nothing };
        let lingers = open.lingers;
        match open.watched.get().read(&mut self.buffer) {
            Ok(0) => {}
            Ok(_) if lingers => return Read::Nothing,
            Ok(len) => {
                self.stats.tcp_bytes_in.add(len as u64);
                return Read::Bytes(&self.buffer[..len]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Read::Nothing,
            Err(_) => {}
        }
        self.forget(id);
        if lingers { Read::Nothing } else { Read::Ended }
    }

    /// Closes a connection once what was given before is written. `false`: it is gone already.
    pub(super) fn close(&mut self, now: Instant, id: SocketId) -> bool {
        let Some(open) = self.open.get_mut(&id.0).filter(|open| !open.lingers) else { return false };
        open.lingers = true;
        if open.pending.is_empty() {
            let _ = open.watched.get().shutdown(Shutdown::Write);
        }
        self.lingering.push_back((now + LINGER, id.0));
        if self.lingering.len() > MOST_LINGERING
            && let Some((_, oldest)) = self.lingering.pop_front()
        {
            self.open.remove(&oldest);
        }
        true
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lingering.front().map(|(deadline, _)| *deadline)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, key)) = self.lingering.front().copied().filter(|(deadline, _)| *deadline <= now) {
            self.lingering.pop_front();
            self.open.remove(&key);
        }
    }

    /// Whether nothing is held back for any connection.
    pub(super) fn are_flushed(&self) -> bool {
        self.open.values().all(|open| open.pending.is_empty())
    }

    /// Closes everything for good.
    pub(super) fn end(&mut self) {
        for open in self.open.values() {
            open.end(&mut self.buffer);
        }
        self.open.clear();
        self.lingering.clear();
    }

    fn forget(&mut self, id: SocketId) {
        self.open.remove(&id.0);
        self.lingering.retain(|(_, key)| *key != id.0);
    }
}

impl Connection {
    fn flush(&mut self) -> Written {
        while self.at < self.pending.len() {
            match self.watched.get().write(&self.pending[self.at..]) {
                Ok(len) => self.at += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Partly,
                Err(_) => break, // the rest is lost; reading will find the end
            }
        }
        Written::Whole
    }

    /// Before the socket is dropped for good: reads what has come, lest closing resets the connection, and says goodbye.
    fn end(&self, buffer: &mut [u8]) {
        let socket = self.watched.get();
        let mut socket: &TcpStream = socket;
        for _ in 0..64 {
            // a megabyte; whoever still floods us then may be reset
            if !matches!(socket.read(buffer), Ok(1..)) {
                break;
            }
        }
        let _ = socket.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our side of a connection, taken in, and theirs.
    fn connected() -> (Connections, SocketId, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        theirs.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
        let mut connections = Connections::new(Watcher::new().expect("a poller"), Arc::default());
        let id = connections.admit(listener.accept().expect("connected").0).expect("there is room");
        (connections, id, theirs)
    }

    fn read_all(connections: &mut Connections, id: SocketId) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match connections.read(id) {
                Read::Bytes(bytes) => all.extend_from_slice(bytes),
                Read::Nothing => {} // only until the peer's reset has come through
                Read::Ended => return all,
            }
        }
    }

    #[test]
    fn last_words_arrive_although_the_other_sides_words_lie_unread() {
        let (mut connections, id, mut theirs) = connected();
        theirs.write_all(b"GET / HTTP/1.1").expect("written");
        assert_eq!(connections.write(id, &mut b"busy".to_vec()), Written::Whole);
        assert!(connections.close(Instant::now(), id));
        assert!(!connections.close(Instant::now(), id), "it is closed already");
        theirs.write_all(b"Host: camera").expect("no reset, which could overtake our words");
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).expect("no reset");
        assert_eq!(answer, b"busy");
        assert_eq!(connections.write(id, &mut b"more".to_vec()), Written::Settled);
    }

    #[test]
    fn a_peers_last_words_are_heard_although_writing_to_it_fails_already() {
        let (mut connections, id, mut theirs) = connected();
        connections.write(id, &mut b"unread, so that its close is a reset".to_vec());
        theirs.write_all(b"end of stream").expect("written");
        drop(theirs);
        for _ in 0..3 {
            assert_eq!(connections.write(id, &mut b"report".to_vec()), Written::Whole);
        }
        assert_eq!(read_all(&mut connections, id), b"end of stream");
        assert!(matches!(connections.read(id), Read::Nothing), "its end is told once");
    }

    #[test]
    fn a_closed_connection_is_dropped_in_time_and_too_many_of_them_are_dropped_at_once() {
        let now = Instant::now();
        let (mut connections, id, _theirs) = connected();
        connections.close(now, id);
        assert_eq!(connections.deadline(), Some(now + LINGER));
        connections.handle_timeout(now + LINGER - Duration::from_nanos(1));
        assert_eq!(connections.open.len(), 1);
        connections.handle_timeout(now + LINGER);
        assert_eq!((connections.open.len(), connections.deadline()), (0, None));

        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let _theirs: Vec<TcpStream> = (0..=MOST_LINGERING)
            .map(|_| {
                let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
                let id = connections.admit(listener.accept().expect("connected").0).expect("there is room");
                connections.close(now, id);
                theirs
            })
            .collect();
        assert_eq!((connections.open.len(), connections.lingering.len()), (MOST_LINGERING, MOST_LINGERING));
    }
}
