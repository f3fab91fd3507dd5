//! A way between two programs that a test controls: TCP passes as it is, UDP as a filter says.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the side that dialled to the one that waits.
    Up,
    /// Back.
    Down,
}

/// Says whether a datagram passes.
type Filter = Arc<Mutex<dyn FnMut(Way, &[u8]) -> bool + Send>>;

/// Ends with the test program; its threads end with its sockets' silence once it is dropped.
pub struct Gate {
    /// Where to dial.
    pub port: u16,
    ended: Arc<AtomicBool>,
}

impl Gate {
    /// Stands in front of `waiting`, a port of this machine.
    pub fn start(waiting: u16, filter: impl FnMut(Way, &[u8]) -> bool + Send + 'static) -> Gate {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            // UDP's port of that number may be taken: the next is tried.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let port = tcp.local_addr().unwrap().port();
        let target = SocketAddr::from(([127, 0, 0, 1], waiting));
        let ended = Arc::new(AtomicBool::new(false));
        thread::spawn(move || {
            for near in tcp.incoming().flatten() {
                // Whoever waits may be gone.
                let Ok(far) = TcpStream::connect(target) else { continue };
                for (from, to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    thread::spawn(move || copy(from, to));
                }
            }
        });
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(target).unwrap();
        let dialler = Arc::new(Mutex::new(None));
        let filter: Filter = Arc::new(Mutex::new(filter));
        for way in [Way::Up, Way::Down] {
            let (near, far) = (udp.try_clone().unwrap(), far.try_clone().unwrap());
            let (dialler, filter, ended) = (dialler.clone(), filter.clone(), ended.clone());
            thread::spawn(move || carry(way, &near, &far, &dialler, &filter, &ended));
        }
        Gate { port, ended }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn carry(way: Way, near: &UdpSocket, far: &UdpSocket, dialler: &Mutex<Option<SocketAddr>>, filter: &Filter, ended: &AtomicBool) {
    let from = if way == Way::Up { near } else { far };
    from.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut bytes = [0; 65536];
    while !ended.load(Ordering::Relaxed) {
        // Silence, or what the other side's closed port answered.
        let Ok((len, source)) = from.recv_from(&mut bytes) else { continue };
        if way == Way::Up {
            *dialler.lock().unwrap() = Some(source);
        }
        if !filter.lock().unwrap()(way, &bytes[..len]) {
            continue;
        }
        // Lost datagrams are what UDP has.
        let _ = match way {
            Way::Up => far.send(&bytes[..len]),
            Way::Down => dialler.lock().unwrap().map_or(Ok(0), |to| near.send_to(&bytes[..len], to)),
        };
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 65536];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    // Closed by either side already.
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
