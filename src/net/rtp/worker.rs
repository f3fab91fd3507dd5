//! The thread that sends: it sleeps until something is given, or is due.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::pace::Pace;
use super::{Config, Event, Inlets, Picture, Ports};
use crate::net::resolve;
use crate::slot::Taken;
use eyeline_proto::crypto;
use eyeline_proto::media::rtp::packet::{Beginning, HEADER_LEN, Stream};
use eyeline_proto::media::rtp::pcm::{self, Pcm};
use eyeline_proto::media::rtp::{jpeg, rtcp};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::sound::{Block, RATE};

/// The longest packet: with the headers of IPv6, UDP and a tunnel or two around it it fits into an Ethernet frame.
const LONGEST: usize = 1400;

/// Who is not found is looked for again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Times are counted from so long before the start, for what is sent first may have been caught before.
const BEFORE: Duration = Duration::from_secs(60);

/// A packet that the system does not take within this is lost.
const PATIENCE: Duration = Duration::from_millis(100);

/// The period of pictures until it is known.
const PERIOD: Duration = Duration::from_millis(33);

pub(super) struct Worker<F> {
    config: Config,
    inlets: Arc<Inlets>,
    on_event: F,
    clock: Clock,
    pictures: Stream,
    sound: Option<Pcm>,
    way: Way,
    /// The packets of the picture under way.
    queue: Queue,
    /// When the picture before was caught.
    before: Option<Instant>,
    report_at: Option<Instant>,
    /// What joins the streams of one sender, and says nothing else (RFC 7022 §4.2).
    cname: String,
}

/// Whether it is known where to send.
enum Way {
    /// It is being looked for.
    Asked,
    /// It is looked for again then.
    Unknown(Instant),
    Open(Out),
}

/// Our clock, and the world's.
struct Clock {
    epoch: Instant,
    /// The epoch's time since 1970.
    since_1970: Duration,
}

impl Clock {
    fn new(now: Instant) -> Self {
        let epoch = now.checked_sub(BEFORE).unwrap_or(now);
        // Read once: a world's clock that is set anew would tear picture and sound apart in the player.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { epoch, since_1970: wall.saturating_sub(now - epoch) }
    }

    fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.epoch)
    }
}

/// The socket, and the host.
struct Out {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Out {
    /// And our address on the way to it.
    fn open(to: SocketAddr) -> io::Result<(Out, IpAddr)> {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // One that is only asked for its address.
        let probe = UdpSocket::bind((any, 0))?;
        probe.connect(to)?;
        Ok((Out { socket, to }, probe.local_addr()?.ip()))
    }

    fn send(&self, port: u16, packet: &[u8], inlets: &Inlets) {
        let mut to = self.to;
        to.set_port(port);
        let counters = &inlets.counters;
        match self.socket.send_to(packet, to) {
            Ok(_) => add(&counters.packets),
            Err(error) => {
                tracing::debug!("a packet of RTP did not go to {to}: {error}");
                add(&counters.failed);
            }
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The packets of one picture, one behind the other.
struct Queue {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The next one.
    next: usize,
    pace: Pace,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.next == self.ends.len()
    }

    fn packet(&self, number: usize) -> &[u8] {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[number]]
    }
}

impl<F: FnMut(Event)> Worker<F> {
    pub(super) fn new(config: Config, inlets: Arc<Inlets>, on_event: F) -> Self {
        let now = Instant::now();
        let beginning = || Beginning::from(crypto::random::<10>());
        let pictures = Stream::new(jpeg::PAYLOAD_TYPE, jpeg::RATE, beginning());
        let sound = config.channels.map(|channels| Pcm::new(Stream::new(pcm::PAYLOAD_TYPE, RATE, beginning()), channels));
        let queue = Queue { bytes: Vec::new(), ends: Vec::new(), next: 0, pace: Pace::new(now, 0, PERIOD) };
        let (way, clock) = (Way::Unknown(now), Clock::new(now));
        let cname = crypto::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect();
        let (before, report_at) = (None, None);
        Worker { config, inlets, on_event, clock, pictures, sound, way, queue, before, report_at, cname }
    }

    pub(super) fn run(mut self) {
        loop {
            let now = Instant::now();
            self.look_for_host(now);
            self.send_what_is_there(now);
            if self.report_at.is_some_and(|at| at <= now) {
                self.report(now, false);
                self.report_at = Some(now + rtcp::INTERVAL);
            }
            let packet = (!self.queue.is_empty()).then(|| self.queue.pace.when(self.queue.next));
            let again = if let Way::Unknown(at) = self.way { Some(at) } else { None };
            let rung = match [packet, again, self.report_at].into_iter().flatten().min() {
                Some(deadline) => self.inlets.bell.take_until(deadline, Instant::now),
                None => self.inlets.bell.take().map_or(Taken::Closed, Taken::Value),
            };
            if rung == Taken::Closed {
                return self.finish();
            }
        }
    }

    fn look_for_host(&mut self, now: Instant) {
        if matches!(self.way, Way::Unknown(at) if at <= now) {
            self.ask(now);
        }
        let Some(answer) = self.inlets.answers.try_take() else { return };
        let to = answer.and_then(|addresses| {
            let first = addresses.first().copied();
            first.ok_or_else(|| DialError::NoAddress { name: self.config.to.name.clone() })
        });
        self.way = match to.map(|to| (to, Out::open(to))) {
            Ok((to, Ok((out, from)))) => {
                (self.on_event)(Event::Found { to, from });
                Way::Open(out)
            }
            Ok((_, Err(error))) => {
                (self.on_event)(Event::NoSocket(error));
                Way::Unknown(now + AGAIN)
            }
            Err(error) => {
                (self.on_event)(Event::NotFound(error));
                Way::Unknown(now + AGAIN)
            }
        };
    }

    fn ask(&mut self, now: Instant) {
        self.way = Way::Asked;
        let host = self.config.to.clone();
        if let Some(address) = resolve::literal(&host.name, host.port) {
            let answer = resolve::without_zone(address).map_or(Ok(vec![address]), Err);
            let _ = self.inlets.answers.push(answer);
            return;
        }
        let inlets = Arc::clone(&self.inlets);
        let asked = resolve::spawn(host, self.config.directory.clone(), move |answer| {
            let _ = inlets.answers.push(answer);
            inlets.ring();
        });
        if let Err(error) = asked {
            (self.on_event)(Event::NoSocket(error));
            self.way = Way::Unknown(now + AGAIN);
        }
    }

    fn send_what_is_there(&mut self, now: Instant) {
        while let Some(block) = self.inlets.sound.try_take() {
            self.send_sound(block, now);
        }
        self.send_packets(self.queue.pace.due(now));
        // It may have come while the one before it was under way.
        if self.queue.is_empty()
            && let Some(picture) = self.inlets.pictures.try_take()
        {
            self.take_picture(&picture, now);
            self.send_packets(self.queue.pace.due(now));
        }
    }

    fn send_sound(&mut self, block: Block<Instant>, now: Instant) {
        let port = Ports::at(self.config.to.port).sound;
        if let Some(stream) = self.sound.as_ref().map(Pcm::stream).filter(|stream| !stream.has_begun()) {
            self.report_of(stream, port, now, false);
            self.report_at = self.report_at.or(Some(now + rtcp::INTERVAL));
        }
        let (Some(sound), Way::Open(out)) = (&mut self.sound, &self.way) else { return };
        let at = self.clock.at(block.capture);
        sound.push(&block.at(at), |packet| out.send(port, packet, &self.inlets));
        add(&self.inlets.counters.blocks);
    }

    fn take_picture(&mut self, picture: &Picture, now: Instant) {
        if !matches!(self.way, Way::Open(_)) {
            return;
        }
        let fit = match jpeg::Picture::new(&picture.jpeg) {
            Ok(fit) => fit,
            Err(unfit) => {
                tracing::debug!("RTP cannot carry a picture: {unfit}");
                return add(&self.inlets.counters.unfit);
            }
        };
        let period =
            self.before.replace(picture.captured).map_or(PERIOD, |before| picture.captured.saturating_duration_since(before));
        if !self.pictures.has_begun() {
            self.report_of(&self.pictures, self.config.to.port, now, false);
            self.report_at = self.report_at.or(Some(now + rtcp::INTERVAL));
        }
        let timestamp = self.pictures.timestamp(self.clock.at(picture.captured));
        let fragments = fit.fragments(LONGEST - HEADER_LEN);
        let Queue { bytes, ends, next, pace } = &mut self.queue;
        bytes.clear();
        ends.clear();
        (*next, *pace) = (0, Pace::new(now, fragments.len(), period));
        for (number, fragment) in fragments.iter().enumerate() {
            let last = number + 1 == fragments.len();
            let begin = bytes.len();
            bytes.extend_from_slice(&[0; HEADER_LEN]);
            fit.write(fragment, bytes);
            let header = self.pictures.header(timestamp, last, bytes.len() - begin - HEADER_LEN);
            bytes[begin..begin + HEADER_LEN].copy_from_slice(&header.encode());
            ends.push(bytes.len());
        }
        add(&self.inlets.counters.pictures);
    }

    /// Those before the one of this number.
    fn send_packets(&mut self, due: usize) {
        let Way::Open(out) = &self.way else { return };
        let due = due.min(self.queue.ends.len());
        for number in self.queue.next..due {
            out.send(self.config.to.port, self.queue.packet(number), &self.inlets);
        }
        self.queue.next = self.queue.next.max(due);
    }

    /// Of the streams that there are.
    fn report(&mut self, now: Instant, last: bool) {
        let ports = Ports::at(self.config.to.port);
        for (stream, port) in [(Some(&self.pictures), ports.pictures), (self.sound.as_ref().map(Pcm::stream), ports.sound)] {
            if let Some(stream) = stream.filter(|stream| stream.has_begun()) {
                self.report_of(stream, port, now, last);
            }
        }
    }

    /// One of them. Its first goes in front of its first packet, or a player would not bring it together with the other from there.
    fn report_of(&self, stream: &Stream, port: u16, now: Instant, last: bool) {
        let Way::Open(out) = &self.way else { return };
        let at = self.clock.at(now);
        let mut packet = Vec::new();
        rtcp::report(&mut packet, self.clock.since_1970 + at, &stream.sent(at), &self.cname, last);
        out.send(port + 1, &packet, &self.inlets);
    }

    /// Sends what was given before the end, without further ado.
    fn finish(mut self) {
        self.send_packets(usize::MAX);
        self.send_what_is_there(Instant::now());
        self.send_packets(usize::MAX);
        self.report(Instant::now(), true);
    }
}
