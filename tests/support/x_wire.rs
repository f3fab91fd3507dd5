//! A wire between a program and an X server that counts what is asked, and where a test may do something before a request
//! reaches the server.
//!
//! It is a display of its own, over TCP: the server and the program believe that they are on two machines.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A request's number, that within its extension (or whatever stands there), and when it came.
pub type Request = (u8, u8, Instant);

/// What is done before a request goes on.
type Before = Box<dyn FnMut(u8, u8) + Send>;

pub struct Wire {
    /// What `$DISPLAY` is to be.
    pub name: String,
    requests: Arc<Mutex<Vec<Request>>>,
    before: Arc<Mutex<Before>>,
}

impl Wire {
    /// To the server of this display, `:7`.
    pub fn to(display: &str) -> Wire {
        // Displays have numbers from 0 on, at ports from 6000 on; those that a system gives are above.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("127.0.0.1:{}", listener.local_addr().unwrap().port() - 6000);
        let server = format!("/tmp/.X11-unix/X{}", display.trim_start_matches(':'));
        let nothing: Before = Box::new(|_, _| {});
        let wire = Wire { name, requests: Arc::default(), before: Arc::new(Mutex::new(nothing)) };
        let (requests, before) = (wire.requests.clone(), wire.before.clone());
        thread::spawn(move || {
            while let Ok((program, _)) = listener.accept() {
                let Ok(server) = UnixStream::connect(&server) else { return };
                let (mut answers, mut to) = (server.try_clone().unwrap(), program.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut answers, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                let (requests, before) = (requests.clone(), before.clone());
                thread::spawn(move || carry(program, &server, &requests, &before));
            }
        });
        wire
    }

    /// From now on this is done before each request goes on; it is told its number, and that within its extension.
    pub fn before(&self, what: impl FnMut(u8, u8) + Send + 'static) {
        *self.before.lock().unwrap() = Box::new(what);
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

/// Request by request, to the program's end or the server's.
fn carry(mut program: TcpStream, mut server: &UnixStream, requests: &Mutex<Vec<Request>>, before: &Mutex<Before>) -> Option<()> {
    program.set_nodelay(true).ok()?;
    let mut hello = vec![0; 12];
    program.read_exact(&mut hello).ok()?;
    let length = |at: usize| usize::from(u16::from_le_bytes([hello[at], hello[at + 1]])).next_multiple_of(4);
    let mut credentials = vec![0; length(6) + length(8)];
    program.read_exact(&mut credentials).ok()?;
    server.write_all(&[hello, credentials].concat()).ok()?;
    loop {
        let mut request = vec![0; 4];
        program.read_exact(&mut request).ok()?;
        // Where that is 0 the length follows, of requests larger than any of ours.
        let length = 4 * usize::from(u16::from_le_bytes([request[2], request[3]]));
        assert!(length >= 4, "a request too large for this wire");
        request.resize(length, 0);
        program.read_exact(&mut request[4..]).ok()?;
        before.lock().unwrap()(request[0], request[1]);
        requests.lock().unwrap().push((request[0], request[1], Instant::now()));
        server.write_all(&request).ok()?;
    }
}
