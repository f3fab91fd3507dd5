//! A sender's and a receiver's core, joined in memory: the protocol path from a slice to a slice, without a network.

use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Command, Config, Core, Event, HostId, Output, Session, SocketId};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Media;
use eyeline_proto::wire::slice::{Head, Tables};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Both ends of the one connection.
const SOCKET: SocketId = SocketId(1);

/// Time between two pictures.
const PERIOD: Duration = Duration::from_millis(33);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9688))
}

/// Of a picture that nobody decodes.
fn head(capture: MediaTime) -> Head<'static> {
    let (sampling, tables, size) = (Sampling::Grey, Tables::Own(80), Size { width: 64, height: 48 });
    let (queued, encoded) = (Duration::ZERO, Duration::ZERO);
    Head {
        sampling,
        tables,
        size,
        top: 0,
        rows: 48,
        restart: 0,
        capture,
        queued,
        encoded,
        shared: 1,
        owed: 1,
        position: None,
        mcus: None,
    }
}

/// See the module text.
pub struct Pair {
    now: Instant,
    epoch: Epoch,
    /// The sending core.
    pub send: Session,
    /// The receiving core.
    pub recv: Session,
    buffer: Vec<u8>,
    /// What the sender sent and the receiver has not been given: runs of datagrams, and how long each datagram of a run is.
    under_way: Vec<(Vec<u8>, usize)>,
    /// Buffers for more.
    spare: Vec<Vec<u8>>,
    picture: u64,
    /// Datagrams from the sender so far.
    pub datagrams: u64,
    /// Slices that arrived.
    pub slices: u64,
}

impl Pair {
    /// Two cores whose handshake is over and whose path is proved.
    pub fn new() -> Pair {
        #[expect(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
        let now = Instant::now();
        let epoch = Epoch::new(now);
        let pictures = Media { sound: false, ..Media::LIVE };
        let me = |offers, wants, id| Identity {
            offers,
            wants,
            forwards: false,
            asks: false,
            opus: false,
            direct: false,
            psk: None,
            id: [id; 16],
            name: "bench".into(),
        };
        let (sends, wants) = (me(pictures, Media::NONE, 1), me(Media::NONE, pictures, 2));
        let send = Config { reconnect: false, ..Config::new(sends, epoch) };
        let recv = Config { hosts: 1, senders: 1, reconnect: false, ..Config::new(wants, epoch) };
        let mut pair = Pair {
            now,
            epoch,
            send: Session::new(now, send),
            recv: Session::new(now, recv),
            buffer: Vec::new(),
            under_way: Vec::new(),
            spare: Vec::new(),
            picture: 0,
            datagrams: 0,
            slices: 0,
        };
        for _ in 0..200 {
            pair.step();
        }
        pair.picture(&[100; 4]);
        assert!(pair.slices > 0, "the two did not find each other");
        pair
    }

    /// One picture of slices this long goes through.
    pub fn picture(&mut self, lengths: &[usize]) {
        self.step();
        self.send(lengths);
        self.receive();
    }

    /// The sender cuts and seals a picture of slices this long.
    pub fn send(&mut self, lengths: &[usize]) {
        let capture: MediaTime = self.epoch.media_time(self.now);
        for (index, len) in lengths.iter().enumerate() {
            let head = head(capture);
            let scan = vec![0x5A; *len - LENGTH_PREFIX - head.encoded_len()];
            let slice = Slice::new(self.picture, index as u8, lengths.len() as u8, &head, &scan);
            self.send.handle_command(self.now, Command::Slice(slice));
            self.pump_sender();
        }
        self.picture += 1;
    }

    /// The receiver opens what was sent and puts it together.
    pub fn receive(&mut self) {
        for (mut run, segment) in std::mem::take(&mut self.under_way) {
            for datagram in run.chunks_mut(segment) {
                self.recv.handle_datagram(self.now, address(1), datagram);
            }
            self.pump_receiver();
            self.spare.push(run);
        }
    }

    /// Time goes on, and both say what they have to say.
    pub fn step(&mut self) {
        self.now += PERIOD;
        self.send.handle_timeout(self.now);
        self.recv.handle_timeout(self.now);
        while self.pump_sender() | self.pump_receiver() | !self.under_way.is_empty() {
            self.receive();
        }
    }

    fn pump_sender(&mut self) -> bool {
        let mut said = false;
        loop {
            match self.send.poll(self.now, &mut self.buffer) {
                Output::Datagrams { segment, len, .. } => {
                    self.datagrams += len.div_ceil(segment) as u64;
                    self.buffer.truncate(len);
                    let next = self.spare.pop().unwrap_or_default();
                    self.under_way.push((std::mem::replace(&mut self.buffer, next), segment));
                }
                Output::Bytes { .. } => self.recv.handle_bytes(self.now, SOCKET, &self.buffer),
                Output::Wait(_) => return said,
                Output::Event(_) | Output::Close { .. } | Output::Dial { .. } => {}
            }
            said = true;
        }
    }

    fn pump_receiver(&mut self) -> bool {
        let mut said = false;
        loop {
            match self.recv.poll(self.now, &mut self.buffer) {
                Output::Datagrams { segment, len, .. } => {
                    for datagram in self.buffer[..len].chunks_mut(segment) {
                        self.send.handle_datagram(self.now, address(2), datagram);
                    }
                }
                Output::Bytes { .. } => self.send.handle_bytes(self.now, SOCKET, &self.buffer),
                Output::Dial { .. } => {
                    self.send.handle_accepted(self.now, SOCKET, address(2), false);
                    self.recv.handle_dialled(self.now, HostId(0), Ok((SOCKET, address(1))));
                }
                Output::Event(Event::Slice(..)) => self.slices += 1,
                Output::Wait(_) => return said,
                Output::Event(_) | Output::Close { .. } => {}
            }
            said = true;
        }
    }
}
