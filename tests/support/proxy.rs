//! A bad network: stands before a port, passes TCP on as it is, or with pauses, and loses a share of the datagrams, both ways.
//!
//! What is lost is decided by a seeded generator, so that a run loses the same share again. Several clients may pass.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the threads look whether they should end.
const TURN: Duration = Duration::from_millis(20);

pub struct Proxy {
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    /// Between `front`, whom clients dial, and `back` on this machine. One of `one_in` datagrams is lost.
    pub fn start(front: u16, back: u16, one_in: u64, seed: u64) -> Proxy {
        Proxy::stalling(front, back, one_in, seed, Stalls::default())
    }

    /// The same, and TCP stands still now and then.
    pub fn stalling(front: u16, back: u16, one_in: u64, seed: u64, stalls: Stalls) -> Proxy {
        let proxy = Proxy { stop: Arc::default(), passed: Arc::default(), lost: Arc::default(), cut: Arc::default() };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, front)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::clone(&proxy.stop);
        let cut = Arc::clone(&proxy.cut);
        thread::spawn(move || accept(&listener, back, &Way { stalls, cut, began: Instant::now() }, &stop));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, front)).unwrap();
        let cut = Arc::clone(&proxy.cut);
        let lossy = Lossy { cut, one_in, random: seed | 1, passed: Arc::clone(&proxy.passed), lost: Arc::clone(&proxy.lost) };
        let stop = Arc::clone(&proxy.stop);
        thread::spawn(move || there(&socket, back, &lossy, &stop));
        proxy
    }

    /// The cable is out: datagrams are lost, TCP hangs, nobody is told; or it is in again.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Datagrams that were passed on, and those that were not.
    pub fn counts(&self) -> (u64, u64) {
        (self.passed.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

/// Pauses of TCP: nothing passes in the first `lasts` of each `every`; never, where both are zero.
#[derive(Clone, Copy, Default)]
pub struct Stalls {
    pub every: Duration,
    pub lasts: Duration,
}

impl Stalls {
    /// Waits until something may pass.
    fn wait(self, since: Instant) {
        let within = || since.elapsed().as_nanos().checked_rem(self.every.as_nanos());
        while let Some(left) = within().and_then(|at| self.lasts.as_nanos().checked_sub(at)).filter(|left| *left > 0) {
            thread::sleep(Duration::from_nanos(left as u64));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Lossy {
    one_in: u64,
    random: u64,
    passed: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
}

/// How TCP passes.
#[derive(Clone)]
struct Way {
    stalls: Stalls,
    cut: Arc<AtomicBool>,
    began: Instant,
}

impl Lossy {
    /// Whether the next one arrives (xorshift64).
    fn arrives(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let arrives = !self.cut.load(Ordering::Relaxed) && !(self.random >> 11).is_multiple_of(self.one_in);
        let count = if arrives { &self.passed } else { &self.lost };
        count.fetch_add(1, Ordering::Relaxed);
        arrives
    }
}

fn accept(listener: &TcpListener, back: u16, way: &Way, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if way.cut.load(Ordering::Relaxed) {
            thread::sleep(TURN);
            continue;
        }
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(false).unwrap();
                // A server that is gone closes the client.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, back)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    to.set_nodelay(true).unwrap();
                    let way = way.clone();
                    thread::spawn(move || carry(from, to, &way));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TURN),
            Err(error) => panic!("{error}"),
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        way.stalls.wait(way.began);
        if way.cut.load(Ordering::Relaxed) {
            // It hangs for good: what was on its way is lost, as behind a NAT that forgot the connection.
            std::mem::forget((from, to));
            return;
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    // The other direction may have ended before.
    let _ = to.shutdown(Shutdown::Write);
}

/// Clients to server; each client has a socket of its own towards the server.
fn there(socket: &UdpSocket, back: u16, lossy: &Lossy, stop: &Arc<AtomicBool>) {
    socket.set_read_timeout(Some(TURN)).unwrap();
    let mut clients: HashMap<SocketAddr, (UdpSocket, Lossy)> = HashMap::new();
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
        let (up, lossy) = clients.entry(from).or_insert_with(|| {
            let up = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            up.connect((Ipv4Addr::LOCALHOST, back)).unwrap();
            let (down, socket, stop) = (up.try_clone().unwrap(), socket.try_clone().unwrap(), Arc::clone(stop));
            let back_lossy = Lossy { random: lossy.random.rotate_left(32) | 1, ..lossy.clone() };
            thread::spawn(move || home(&down, &socket, from, back_lossy, &stop));
            (up, lossy.clone())
        });
        if lossy.arrives() {
            // A full buffer or a server that is gone loses it as well.
            let _ = up.send(&buffer[..n]);
        }
    }
}

/// Server to one client.
fn home(from: &UdpSocket, to: &UdpSocket, client: SocketAddr, mut lossy: Lossy, stop: &AtomicBool) {
    from.set_read_timeout(Some(TURN)).unwrap();
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        let Ok(n) = from.recv(&mut buffer) else { continue };
        if lossy.arrives() {
            let _ = to.send_to(&buffer[..n], client);
        }
    }
}
