//! TCP between the hosts of a [`World`]: who dials whom, what the kernels do, and what the programs are told of it.
//!
//! A machine that is up and does not listen refuses; so, for simplicity, does one that is off. Opening costs a round trip. As in
//! `net::dial` a host that is dialled while it is being dialled gets a second attempt beside the first, and one answer comes for both.

use super::harness::{Event, World};
use super::tcp::{Connection, End, Segment};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{HostId, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

/// IPv4 and TCP headers with time stamps.
const TCP_OVERHEAD: usize = 52;

fn socket(connection: u64, side: usize) -> SocketId {
    SocketId(connection * 2 + side as u64)
}

impl World {
    /// The process dies: its kernel closes its connections.
    pub fn kill(&mut self, node: usize) {
        self.power_off(node);
        let ends: Vec<(u64, usize)> = self
            .connections
            .iter()
            .flat_map(|(id, c)| [(*id, c, 0), (*id, c, 1)])
            .filter_map(|(id, c, side)| (c.nodes[side] == node && !c.ends[side].closed).then_some((id, side)))
            .collect();
        for (id, side) in ends {
            self.travel_tcp(id, side, 0, Event::Reset(id, 1 - side));
        }
    }

    pub(super) fn wake_connections(&mut self, node: usize) {
        let due: Vec<_> = self
            .connections
            .iter()
            .flat_map(|(id, c)| [(*id, c, 0), (*id, c, 1)])
            .filter_map(|(id, c, side)| (c.nodes[side] == node).then_some((id, side, c.ends[side].timer?)))
            .collect();
        for (id, side, at) in due {
            self.schedule(at, Event::Retransmit(id, side, at));
        }
    }

    pub(super) fn cut_connections(&mut self, node: usize) {
        for connection in self.connections.values_mut().filter(|connection| connection.nodes.contains(&node)) {
            connection.cut = true;
        }
    }

    /// Whether other attempts of the same dial are under way.
    fn has_others(&self, id: u64) -> bool {
        let Some(connection) = self.connections.get(&id) else { return false };
        let (node, host) = (connection.nodes[0], connection.host);
        self.connections.iter().any(|(other, c)| *other != id && c.nodes[0] == node && c.host == host && !c.ends[0].established)
    }

    /// An attempt failed; the last one's end is the dial's.
    fn fail_attempt(&mut self, id: u64, why: impl Fn(SocketAddr) -> DialError) {
        let last = !self.has_others(id);
        let Some(connection) = self.connections.remove(&id) else { return };
        if last {
            let (node, host, error) = (connection.nodes[0], connection.host, why(connection.addresses[1]));
            self.input(node, move |program, at| program.handle_dialled(at, host, Err(error)));
        }
    }

    pub(super) fn travel_tcp(&mut self, id: u64, from_side: usize, len: usize, event: Event) {
        let Some(connection) = self.connections.get(&id).filter(|connection| !connection.cut) else { return };
        let now = Duration::from_nanos(self.now);
        if self.tcp_outage.is_some_and(|(from, to)| (from..to).contains(&now)) {
            return;
        }
        let (from, to) = (connection.addresses[from_side].ip(), connection.addresses[1 - from_side].ip());
        // The kernel looks for itself how long a segment may be.
        let len = (len + TCP_OVERHEAD).min(self.takes(from, to));
        if let Some(at) = self.transit(from, to, len)[0] {
            self.schedule(at, event);
        }
    }

    /// Dials where the host was given, and beside it where else the core knows it to be.
    pub(super) fn dial(&mut self, node: usize, host: HostId, also: Option<SocketAddr>) {
        let given = self.nodes[node].hosts[host.0];
        self.attempt(node, host, given);
        if let Some(also) = also.filter(|also| *also != given) {
            self.attempt(node, host, also);
        }
    }

    fn attempt(&mut self, node: usize, host: HostId, to: SocketAddr) {
        let id = self.next_connection;
        self.next_connection += 1;
        let from = SocketAddr::new(self.nodes[node].udp.ip(), 40_000 + (id % 20_000) as u16);
        let ends = [End::new(), End::new()];
        self.connections
            .insert(id, Connection { nodes: [node, usize::MAX], addresses: [from, to], ends, host, tries: 0, cut: false });
        self.travel_tcp(id, 0, 0, Event::Syn(id));
        self.schedule(self.now + 1_000_000_000, Event::SynTimeout(id));
    }

    pub(super) fn handle_syn_timeout(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[0].established) else { return };
        connection.tries += 1;
        if connection.tries < 2 {
            self.travel_tcp(id, 0, 0, Event::Syn(id));
            self.schedule(self.now + 2_000_000_000, Event::SynTimeout(id));
        } else {
            self.fail_attempt(id, |to| DialError::TimedOut { host: to.to_string(), port: to.port() });
        }
    }

    pub(super) fn handle_syn(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let [from, to] = connection.addresses;
        if connection.nodes[1] != usize::MAX {
            return self.travel_tcp(id, 1, 0, Event::SynAck(id));
        }
        match self.listener(to) {
            Some(node) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.nodes[1] = node;
                    connection.ends[1].established = true;
                }
                self.travel_tcp(id, 1, 0, Event::SynAck(id));
                self.input(node, move |program, at| program.handle_accepted(at, socket(id, 1), from));
            }
            // The machine is there, the program is not. (A machine that is off answers nothing, and looks the same from here.)
            None => self.travel_tcp(id, 1, 0, Event::Refused(id)),
        }
    }

    fn listener(&self, to: SocketAddr) -> Option<usize> {
        self.nodes.iter().rposition(|node| node.alive && node.udp.ip() == to.ip() && node.listens)
    }

    pub(super) fn handle_syn_ack(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[0].established) else { return };
        connection.ends[0].established = true;
        let (node, host, to) = (connection.nodes[0], connection.host, connection.addresses[1]);
        self.connections.retain(|_, c| c.nodes[0] != node || c.host != host || c.ends[0].established);
        self.input(node, move |program, at| program.handle_dialled(at, host, Ok((socket(id, 0), to))));
    }

    pub(super) fn write(&mut self, to: SocketId, bytes: &[u8]) {
        let (id, side) = (to.0 / 2, (to.0 % 2) as usize);
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        assert!(connection.ends[side].writable, "written to while not writable");
        connection.ends[side].write(bytes);
        self.pump(id, side);
    }

    pub(super) fn close(&mut self, to: SocketId) {
        let (id, side) = (to.0 / 2, (to.0 % 2) as usize);
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        connection.ends[side].close();
        connection.ends[side].closed = true;
        let node = connection.nodes[side];
        self.pump(id, side);
        self.schedule(
            self.now,
            Event::Call(Box::new(move |world| {
                world.input(node, move |program, at| program.handle_closed(at, socket(id, side)));
            })),
        );
    }

    pub(super) fn tell_closed(&mut self, id: u64, side: usize) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        connection.ends[side].closed = true;
        let node = connection.nodes[side];
        if node != usize::MAX {
            self.input(node, move |program, at| program.handle_closed(at, socket(id, side)));
        }
    }

    fn pump(&mut self, id: u64, side: usize) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let segments = connection.ends[side].pump(now);
        self.send_segments(id, side, segments);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (node, end) = (connection.nodes[side], &mut connection.ends[side]);
        if let Some(writable) = end.update_writable()
            && !end.closed
            && node != usize::MAX
        {
            if self.draining {
                let at = self.moment(node);
                self.nodes[node].program.handle_writable(at, socket(id, side), writable);
            } else {
                self.input(node, move |program, at| program.handle_writable(at, socket(id, side), writable));
            }
        }
    }

    fn send_segments(&mut self, id: u64, side: usize, segments: Vec<Segment>) {
        for segment in segments {
            self.travel_tcp(id, side, segment.bytes.len(), Event::Segment(id, 1 - side, segment));
        }
        if let Some(at) = self.connections.get(&id).and_then(|c| c.ends[side].timer) {
            self.schedule(at, Event::Retransmit(id, side, at));
        }
    }

    pub(super) fn handle_segment(&mut self, id: u64, side: usize, segment: Segment) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (node, address) = (connection.nodes[side], connection.addresses[side]);
        if node == usize::MAX || !self.nodes[node].alive {
            // A host that came back knows nothing of this connection and says so.
            let back = self.listener(address).is_some();
            if back {
                self.travel_tcp(id, side, 0, Event::Reset(id, 1 - side));
            }
            return;
        }
        let (came, out) = connection.ends[side].receive(now, segment);
        let closed = connection.ends[side].closed;
        self.send_segments(id, side, out);
        self.pump(id, side);
        if closed {
            return;
        }
        if !came.bytes.is_empty() {
            self.input(node, move |program, at| program.handle_bytes(at, socket(id, side), &came.bytes));
        }
        if came.fin {
            self.tell_closed(id, side);
        }
    }

    pub(super) fn handle_refused(&mut self, id: u64) {
        if self.connections.get(&id).is_none_or(|c| c.ends[0].established) {
            return;
        }
        self.fail_attempt(id, |to| DialError::Refused { host: to.to_string(), port: to.port() });
    }

    pub(super) fn handle_retransmit(&mut self, id: u64, side: usize, at: u64) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.ends[side].timer == Some(at) && self.nodes[connection.nodes[side]].alive {
            let segment = connection.ends[side].timeout(now);
            self.send_segments(id, side, segment.into_iter().collect());
        }
    }
}
