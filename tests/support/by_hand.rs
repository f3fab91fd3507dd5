//! A peer made by hand, over real sockets: comes in as everybody does, and says what it is told to.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use eyeline_proto::crypto::{Handshake, Key, Sealer, Side};
use eyeline_proto::wire::datagram::{Header, Message};
use eyeline_proto::wire::preamble::Opening;
use eyeline_proto::wire::record::{Hello, Media, Record};
use socket2::{Domain, Socket, Type};

pub struct ByHand {
    pub stream: TcpStream,
    sealer: Sealer,
    connection: u32,
    next: u64,
}

impl ByHand {
    /// Shakes hands from this address of the machine and says hello, with what it offers and wants.
    pub fn greet(port: u16, from: [u8; 4], media: (Media, Media)) -> ByHand {
        ByHand::called("by hand", port, from, media)
    }

    /// The same by another name.
    pub fn called(name: &str, port: u16, from: [u8; 4], (offers, wants): (Media, Media)) -> ByHand {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let opening = Opening::new(false, 32).encode();
        let mut handshake = Handshake::new(Side::Dialler, None, &opening).unwrap();
        stream.write_all(&[&opening[..], &handshake.write().unwrap()].concat()).unwrap();
        let mut answer = [0; 8 + 48];
        stream.read_exact(&mut answer).unwrap();
        handshake.read(&answer[8..]).unwrap();
        let mut transport = handshake.into_transport().unwrap();
        let (mut len, mut plain) = ([0; 2], Vec::new());
        stream.read_exact(&mut len).unwrap();
        let mut sealed = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut sealed).unwrap();
        transport.open(&sealed, &mut plain).unwrap();
        let Ok(Record::Hello(theirs)) = Record::decode(&plain) else { panic!("no hello") };
        let key = Key::random();
        let hello = Hello {
            offers,
            wants,
            capabilities: 0,
            id: *key.as_bytes().first_chunk().unwrap(),
            resume: [0; 16],
            token: [1; 16],
            connection: 1,
            key: *key.as_bytes(),
            name: name.to_string(),
        };
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        Record::Hello(hello).encode(&mut plain);
        transport.seal(&plain, &mut sealed).unwrap();
        stream.write_all(&sealed).unwrap();
        ByHand { stream, sealer: Sealer::new(&Key::from_bytes(theirs.key)), connection: theirs.connection, next: 0 }
    }

    /// Sends one datagram.
    pub fn send(&mut self, socket: &UdpSocket, port: u16, message: &Message<'_>) {
        let header = Header { connection: self.connection, number: self.next as u32 }.encode();
        let mut plain = Vec::new();
        message.encode(&mut plain);
        let tag = self.sealer.seal(self.next, &header, &mut plain);
        self.next += 1;
        socket.send_to(&[&header[..], &plain, &tag].concat(), ("127.0.0.1", port)).unwrap();
    }
}
