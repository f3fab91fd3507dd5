//! A TCP connection and its two ends, as far as they matter for latency: in order, reliable, retransmission timer of at least 200
//! ms with exponential backoff (RFC 6298, Linux' minimum), fast retransmit after three duplicate acknowledgements and NewReno's
//! partial acknowledgements (RFC 6582), slow start and congestion avoidance (RFC 5681), a limit on what is not yet sent
//! (TCP_NOTSENT_LOWAT).
//!
//! Acknowledgements are immediate. Leaves segments' travel and timers to the harness.

use eyeline_proto::session::HostId;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Bytes of a segment: Ethernet's 1500 less headers with time stamps.
const MSS: usize = 1448;
/// Bytes that may wait unsent before the connection counts as not writable.
const NOTSENT: usize = 16 << 10;
const MIN_RTO: u64 = 200_000_000;
const MAX_RTO: u64 = 60_000_000_000;

#[derive(Clone)]
pub struct Segment {
    pub seq: u64,
    pub bytes: Vec<u8>,
    pub fin: bool,
    /// The next byte the other side's sender is waited for.
    pub ack: u64,
    pub pure_ack: bool,
}

impl Segment {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.fin)
    }
}

struct Flying {
    segment: Segment,
    at: u64,
    again: bool,
}

#[derive(Default)]
pub struct Came {
    pub bytes: Vec<u8>,
    pub fin: bool,
}

/// Who dialled comes first: its node, its address, its end.
pub struct Connection {
    /// The second is [`usize::MAX`] until somebody takes it.
    pub nodes: [usize; 2],
    pub addresses: [SocketAddr; 2],
    pub ends: [End; 2],
    /// Which of its hosts the first dials.
    pub host: HostId,
    /// SYNs that were not answered.
    pub tries: u32,
    /// One end has left its address: nothing passes, and nobody is told.
    pub cut: bool,
}

pub struct End {
    unsent: VecDeque<u8>,
    fin: Option<bool>,
    flying: VecDeque<Flying>,
    next: u64,
    una: u64,
    cwnd: f64,
    ssthresh: f64,
    duplicates: u32,
    recover: Option<u64>,
    srtt: Option<(f64, f64)>,
    backoff: u32,
    /// When the retransmission timer fires, and which timer it is.
    pub timer: Option<u64>,
    expected: u64,
    early: BTreeMap<u64, Segment>,
    pub writable: bool,
    pub established: bool,
    /// The program was told that this end is closed.
    pub closed: bool,
}

impl End {
    pub fn new() -> End {
        End {
            unsent: VecDeque::new(),
            fin: None,
            flying: VecDeque::new(),
            next: 0,
            una: 0,
            cwnd: 10.0 * MSS as f64,
            ssthresh: f64::INFINITY,
            duplicates: 0,
            recover: None,
            srtt: None,
            backoff: 0,
            timer: None,
            expected: 0,
            early: BTreeMap::new(),
            writable: true,
            established: false,
            closed: false,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        assert!(self.fin.is_none(), "written to after close");
        self.unsent.extend(bytes);
    }

    pub fn close(&mut self) {
        self.fin.get_or_insert(false);
    }

    /// Whether `writable` changed, and to what.
    pub fn update_writable(&mut self) -> Option<bool> {
        let writable = self.unsent.len() <= NOTSENT;
        (writable != self.writable).then(|| {
            self.writable = writable;
            writable
        })
    }

    fn rto(&self) -> u64 {
        let base = self.srtt.map_or(1e9, |(srtt, var)| srtt + (4.0 * var).max(1e6)) as u64;
        (base.max(MIN_RTO) << self.backoff.min(16)).min(MAX_RTO)
    }

    fn flight(&self) -> u64 {
        self.next - self.una
    }

    /// What the window lets out now.
    pub fn pump(&mut self, now: u64) -> Vec<Segment> {
        let mut out = Vec::new();
        if !self.established {
            return out;
        }
        loop {
            let len = self.unsent.len().min(MSS);
            let fin = self.fin == Some(false) && len == self.unsent.len();
            if (len == 0 && !fin) || (self.flight() > 0 && self.flight() as f64 + len as f64 > self.cwnd) {
                break;
            }
            let bytes: Vec<u8> = self.unsent.drain(..len).collect();
            let segment = Segment { seq: self.next, bytes, fin, ack: self.expected, pure_ack: false };
            if fin {
                self.fin = Some(true);
            }
            self.next += segment.len();
            self.flying.push_back(Flying { segment: segment.clone(), at: now, again: false });
            out.push(segment);
        }
        if !self.flying.is_empty() && self.timer.is_none() {
            self.timer = Some(now + self.rto());
        }
        out
    }

    /// A segment of the other side came: what the program gets, and what is sent back at once.
    pub fn receive(&mut self, now: u64, segment: Segment) -> (Came, Vec<Segment>) {
        let mut out = self.take_ack(now, segment.ack, segment.pure_ack);
        let mut came = Came::default();
        if !segment.pure_ack {
            if segment.seq >= self.expected {
                self.early.insert(segment.seq, segment);
            }
            while let Some(next) = self.early.remove(&self.expected) {
                self.expected += next.len();
                came.bytes.extend_from_slice(&next.bytes);
                came.fin |= next.fin;
            }
            out.push(Segment { seq: self.next, bytes: Vec::new(), fin: false, ack: self.expected, pure_ack: true });
        }
        (came, out)
    }

    fn take_ack(&mut self, now: u64, ack: u64, pure: bool) -> Vec<Segment> {
        let mut out = Vec::new();
        if ack > self.una {
            while self.flying.front().is_some_and(|flying| flying.segment.seq + flying.segment.len() <= ack) {
                let Some(flying) = self.flying.pop_front() else { break };
                // What came early and was only acknowledged once the hole was filled says nothing of the path (Karn; RFC 6298
                // §3).
                if !flying.again && self.recover.is_none() {
                    self.sample_rtt((now - flying.at) as f64);
                }
            }
            let newly = ack - self.una;
            self.una = ack;
            self.duplicates = 0;
            self.backoff = 0;
            match self.recover {
                Some(recover) if ack < recover => out.extend(self.again(now)),
                Some(_) => {
                    self.recover = None;
                    self.cwnd = self.ssthresh;
                }
                None if self.cwnd < self.ssthresh => self.cwnd += newly.min(MSS as u64) as f64,
                None => self.cwnd += (MSS * MSS) as f64 / self.cwnd,
            }
            self.timer = (!self.flying.is_empty()).then(|| now + self.rto());
        } else if pure && ack == self.una && !self.flying.is_empty() {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recover.is_none() {
                self.ssthresh = (self.flight() as f64 / 2.0).max(2.0 * MSS as f64);
                self.cwnd = self.ssthresh + 3.0 * MSS as f64;
                self.recover = Some(self.next);
                out.extend(self.again(now));
            } else if self.recover.is_some() {
                self.cwnd += MSS as f64;
            }
        }
        out
    }

    fn sample_rtt(&mut self, rtt: f64) {
        self.srtt = Some(match self.srtt {
            None => (rtt, rtt / 2.0),
            Some((srtt, var)) => (srtt * 0.875 + rtt / 8.0, var * 0.75 + (srtt - rtt).abs() / 4.0),
        });
    }

    fn again(&mut self, now: u64) -> Option<Segment> {
        let ack = self.expected;
        let flying = self.flying.front_mut()?;
        (flying.again, flying.at) = (true, now);
        Some(Segment { ack, ..flying.segment.clone() })
    }

    /// The retransmission timer fired.
    pub fn timeout(&mut self, now: u64) -> Option<Segment> {
        self.timer = None;
        let segment = self.again(now)?;
        self.ssthresh = (self.flight() as f64 / 2.0).max(2.0 * MSS as f64);
        self.cwnd = MSS as f64;
        // What flew before counts as lost: each acknowledgement brings the next one out again.
        self.recover = Some(self.next);
        self.duplicates = 0;
        self.backoff += 1;
        self.timer = Some(now + self.rto());
        Some(segment)
    }
}
