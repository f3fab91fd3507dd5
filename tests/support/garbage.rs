//! What strangers send to a port: noise, and what begins as a peer's words do. The same each time.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::preamble::{Answer, LEN, MAX_BODY, Opening, Refusal};

/// Of one [`flood`].
pub const DATAGRAMS: usize = 20_000;

/// Of one [`knock`].
pub const CONNECTIONS: usize = 1000;

/// A handshake's first message where there is no key: any bytes of this length are a public key.
const MESSAGE: u16 = 32;

/// xorshift64: garbage that is the same each time.
pub struct Garbage(pub u64);

impl Garbage {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// So many, or fewer.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.next() as usize % most + 1;
        self.exactly(len)
    }

    fn exactly(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A length that no first message of a handshake has.
    fn wrong_len(&mut self) -> u16 {
        let len = (self.next() as usize % MAX_BODY) as u16;
        len + u16::from(len == MESSAGE)
    }
}

/// What the kernel says of the UDP sockets with this port.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Bytes of memory that hold what was not read yet.
    unread: u64,
    /// Datagrams that found no room.
    pub dropped: u64,
}

impl Kernel {
    pub fn of(port: u16) -> Kernel {
        let table = ["udp", "udp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
        let (mut all, local) = (Kernel { unread: 0, dropped: 0 }, format!(":{port:04X}"));
        for line in table.iter().flat_map(|table| table.lines()) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words[1].ends_with(&local) {
                all.unread += u64::from_str_radix(words[4].split_once(':').unwrap().1, 16).unwrap();
                all.dropped += words.last().unwrap().parse::<u64>().unwrap();
            }
        }
        all
    }
}

/// Bytes of the kernel's memory that the first datagrams of a run may find in use: a third of the buffer where it is smallest.
const ROOM: u64 = 128 << 10;

/// Datagrams of every length: noise, and noise behind a header that looks like ours. In small runs, and none before most of what
/// came was read, however late: the kernel's buffer, which is shared with the stream, is not what is tried here.
pub fn flood(port: u16, garbage: &mut Garbage) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pause = mpsc::channel::<()>();
    for n in 0..DATAGRAMS {
        let mut bytes = garbage.bytes(1400);
        if n % 3 == 0 && bytes.len() > 8 {
            bytes[4..8].copy_from_slice(&(n as u32).to_be_bytes());
        }
        socket.send_to(&bytes, ("127.0.0.1", port)).unwrap();
        if n % 20 == 19 {
            loop {
                // Nothing is waited for but the time.
                let _ = pause.1.recv_timeout(Duration::from_millis(2));
                if Kernel::of(port).unread <= ROOM {
                    break;
                }
            }
        }
    }
}

/// Connections of eight kinds to a side without a key; those that stay open stay so until the end. What is answered shows how far
/// each kind gets.
pub fn knock(port: u16, garbage: &mut Garbage) -> Vec<TcpStream> {
    let right = Opening::new(false, MESSAGE);
    let mut open = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        match n % 8 {
            // It may be closed on us in the middle, here and below.
            0 => drop(stream.write_all(&garbage.bytes(4000))),
            // Half open: not a word.
            1 => {}
            // Slow: the beginning, and then nothing.
            2 => stream.write_all(&right.encode()[..(n / 8) % LEN]).unwrap(),
            // Another version, whatever stands behind it.
            3 => {
                let version = garbage.next() as u8;
                let other = Opening { version: if version == VERSION { 0 } else { version }, ..right };
                let told = said(&mut stream, other, garbage.exactly(MESSAGE.into()));
                assert_eq!(told.map(|told| told.refusal), Some(Some(Refusal::Version)), "{other:?}");
            }
            // A right opening and a public key: answered as a peer is. Then noise for records.
            4 => {
                let told = said(&mut stream, right, garbage.exactly(MESSAGE.into()));
                assert_eq!(told.map(|told| (told.version, told.refusal)), Some((VERSION, None)), "it gets no further: {right:?}");
                let _ = stream.write_all(&garbage.bytes(4000));
            }
            // Noise for a handshake.
            5 => {
                let len = garbage.wrong_len();
                let told = said(&mut stream, Opening::new(false, len), garbage.exactly(len.into()));
                assert_eq!(told, None, "{len} bytes of noise are a handshake");
            }
            // A length that would be too much, and all of it.
            6 => {
                let told = said(&mut stream, Opening::new(false, u16::MAX), garbage.exactly(u16::MAX.into()));
                assert_eq!(told, None, "so long a handshake is one");
            }
            // Closed again at once.
            _ => drop(stream.shutdown(Shutdown::Both)),
        }
        open.push(stream);
    }
    open
}

/// Says this, and how it is answered; `None`: the connection is closed without a word.
fn said(stream: &mut TcpStream, opening: Opening, message: Vec<u8>) -> Option<Answer> {
    let _ = stream.write_all(&[&opening.encode()[..], &message].concat());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; LEN];
    match stream.read_exact(&mut answer) {
        Ok(()) => Some(Answer::decode(&answer).expect("Eyeline")),
        // A reset is an end as well.
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "neither answered nor closed: {opening:?}");
            None
        }
    }
}
