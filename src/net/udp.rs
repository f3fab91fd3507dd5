//! The UDP socket: batches in (`recvmmsg`, GRO), runs out (GSO), through `quinn-udp`, which also sets don't-fragment.
//!
//! Invariant: at most one run is held back, the one the kernel had no room for; until it is gone nothing else is sent and the
//! bytes it speaks of stay in the caller's buffer. No error of the network ends anything: it is counted, and what it hit is
//! lost, as datagrams may be. No datagram is truncated: a receive buffer is longer than any datagram or GRO run can be.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

use super::address::{toward_core, toward_socket};
use super::poll::{Watched, Watcher};
use super::stats::Stats;

/// What is asked of the kernel to receive into: two pictures of 2 MB that come while we are busy.
const ASKED_TO_RECEIVE: usize = 4 << 20;
/// What is asked of the kernel to send from. Less than for receiving, on purpose: what lies there cannot be superseded by a newer
/// picture, and holds sound back behind it. Linux counts twice this, 0.8 s of a 10 Mbit/s link. A longer burst waits with the
/// core.
const ASKED_TO_SEND: usize = 512 << 10;
/// Below this the receive buffer is worth a line: a picture of full HD at high quality.
const SMALL_BUFFER: usize = 1 << 20;
/// One receive buffer: a UDP length field cannot say more. 32 of them are 2 MiB, touched only as far as they are used.
const RECEIVE_BUFFER: usize = 1 << 16;
/// The longest send, GSO or not: 65,535 less the IPv4 and UDP headers.
const LONGEST_SEND: usize = 65_507;

pub(super) struct Socket {
    watched: Watched<UdpSocket>,
    state: UdpSocketState,
    /// What GSO can do where nothing is wrong.
    most_segments: usize,
    is_v6: bool,
    buffers: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
    pending: Option<Run>,
    /// Where a datagram went that was too long, and its length, until somebody asks.
    too_long: Option<(SocketAddr, usize)>,
    stats: Arc<Stats>,
}

impl Socket {
    pub(super) fn new(socket: UdpSocket, watcher: &Watcher, stats: Arc<Stats>) -> io::Result<Socket> {
        let state = UdpSocketState::new((&socket).into())?;
        let options = SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(ASKED_TO_RECEIVE); // a refusal leaves the kernel's default
        let _ = options.set_send_buffer_size(ASKED_TO_SEND);
        // Linux keeps, and says, twice what it granted: the other half is for its own bookkeeping.
        let granted = options.recv_buffer_size()? / 2;
        stats.receive_buffer.store(granted as u64);
        if granted < SMALL_BUFFER {
            tracing::info!(
                "the kernel grants {} KiB of receive buffer where {} KiB were asked for: bursts may be lost; \
                 `sysctl -w net.core.rmem_max={ASKED_TO_RECEIVE}` grants it",
                granted >> 10,
                ASKED_TO_RECEIVE >> 10
            );
        }
        let is_v6 = socket.local_addr()?.is_ipv6();
        let buffers = vec![0; BATCH_SIZE * RECEIVE_BUFFER].into_boxed_slice();
        let metas = [RecvMeta::default(); BATCH_SIZE];
        let most_segments = state.max_gso_segments();
        let watched = watcher.watch(socket, true, false)?;
        Ok(Socket { watched, state, most_segments, is_v6, buffers, metas, pending: None, too_long: None, stats })
    }

    pub(super) fn key(&self) -> usize {
        self.watched.key()
    }

    /// Takes one batch and hands its datagrams on, one by one, with the moment the batch was read. `true`: there may be more.
    pub(super) fn receive(&mut self, mut handle: impl FnMut(Instant, SocketAddr, &mut [u8])) -> bool {
        let mut chunks = self.buffers.chunks_exact_mut(RECEIVE_BUFFER);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let batch = match self.state.recv(self.watched.get().into(), &mut slices, &mut self.metas) {
            Ok(batch) => batch,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.stats.receive_errors.add(1); // an ICMP complaint about something we sent
                }
                return false;
            }
        };
        let now = Instant::now();
        for (buffer, meta) in slices.iter_mut().zip(&self.metas[..batch]) {
            let from = toward_core(meta.addr);
            let len = meta.len.min(buffer.len());
            self.stats.bytes_in.add(len as u64);
            // An empty datagram has a stride of 0; it says nothing and is not handed on.
            for datagram in buffer[..len].chunks_mut(meta.stride.max(1)) {
                self.stats.datagrams_in.add(1);
                handle(now, from, datagram);
            }
        }
        batch == BATCH_SIZE
    }

    /// Sends a run that lies in `bytes`. When [`Socket::is_blocked`] after it, `bytes` must be kept until [`Socket::resume`] says
    /// `true`.
    pub(super) fn send(&mut self, to: SocketAddr, segment: usize, bytes: &[u8]) {
        let to = toward_socket(to, self.is_v6);
        self.pending = Some(Run { to, segment: segment.clamp(1, bytes.len().max(1)), at: 0, singly: false });
        if !self.push(bytes) {
            self.watched.set_interest(true, true);
        }
    }

    /// The kernel has room again: goes on with the run held back, in the same `bytes`.
    pub(super) fn resume(&mut self, bytes: &[u8]) -> bool {
        if !self.is_blocked() {
            return true;
        }
        let done = self.push(bytes);
        if done {
            self.watched.set_interest(true, false);
        }
        done
    }

    /// Whether a run is held back.
    pub(super) fn is_blocked(&self) -> bool {
        self.pending.is_some()
    }

    /// Where the last run was too long for, and its segments' length. Told once.
    pub(super) fn take_too_long(&mut self) -> Option<(SocketAddr, usize)> {
        self.too_long.take()
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(run) = &mut self.pending else { return true };
        let (socket, state) = (self.watched.get(), &self.state);
        let sent = run.push(bytes, || state.max_gso_segments(), |transmit| state.try_send(socket.into(), transmit), &self.stats);
        if matches!(sent, Sent::TooLong | Sent::Failed) && state.max_gso_segments() < self.most_segments {
            // It was not GSO the kernel refused but the length, or the address; `quinn-udp` has given GSO up for good, which only
            // a new state takes back.
            if let Ok(state) = UdpSocketState::new(socket.into()) {
                self.state = state;
            }
        }
        if sent == Sent::TooLong {
            self.too_long = Some((toward_core(run.to), run.segment));
        }
        if sent != Sent::Blocked {
            self.pending = None;
        }
        sent != Sent::Blocked
    }
}

/// How far a run came.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// All of it.
    All,
    /// The kernel's buffer is full; it goes on at `at`.
    Blocked,
    /// The rest is lost: longer than the path, or the interface, takes.
    TooLong,
    /// The rest is lost: no route, no permission, no memory.
    Failed,
}

/// Equal datagrams to one address, the last perhaps shorter.
struct Run {
    to: SocketAddr,
    segment: usize,
    /// What has been sent of it.
    at: usize,
    /// The kernel refused to cut it itself.
    singly: bool,
}

impl Run {
    fn push(
        &mut self,
        bytes: &[u8],
        most_segments: impl Fn() -> usize,
        mut send: impl FnMut(&Transmit<'_>) -> io::Result<()>,
        stats: &Stats,
    ) -> Sent {
        while self.at < bytes.len() {
            let segments = if self.singly { 1 } else { most_segments().min(LONGEST_SEND / self.segment).max(1) };
            let end = bytes.len().min(self.at + segments * self.segment);
            let contents = &bytes[self.at..end];
            let segment_size = (contents.len() > self.segment).then_some(self.segment);
            let transmit = Transmit { destination: self.to, ecn: None, contents, segment_size, src_ip: None };
            match send(&transmit) {
                Ok(()) => {
                    stats.datagrams_out.add(contents.len().div_ceil(self.segment) as u64);
                    stats.bytes_out.add(contents.len() as u64);
                    self.at = end;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Blocked,
                // EIO and EINVAL are how drivers, IPsec and older kernels say that they cannot cut this run.
                Err(error) if segment_size.is_some() && is_gso_refusal(&error) => self.singly = true,
                Err(error) => {
                    let lost = (bytes.len() - self.at).div_ceil(self.segment) as u64;
                    let too_long = error.raw_os_error() == Some(nix::libc::EMSGSIZE);
                    if too_long { &stats.too_long } else { &stats.send_errors }.add(lost);
                    return if too_long { Sent::TooLong } else { Sent::Failed };
                }
            }
        }
        Sent::All
    }
}

fn is_gso_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EIO | nix::libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc::{EINVAL, EMSGSIZE, ENETUNREACH, EWOULDBLOCK};

    fn run(segment: usize) -> Run {
        Run { to: "127.0.0.1:9".parse().expect("an address"), segment, at: 0, singly: false }
    }

    /// Pushes with a kernel that answers each send by `answer(index of the send, contents, segment_size)`.
    fn push(
        run: &mut Run,
        bytes: &[u8],
        stats: &Stats,
        answer: impl Fn(usize, usize, Option<usize>) -> i32,
    ) -> (Sent, Vec<Vec<u8>>) {
        let mut sent = Vec::new();
        let mut sends = 0;
        let outcome = run.push(
            bytes,
            || 64,
            |transmit| {
                sends += 1;
                match answer(sends - 1, transmit.contents.len(), transmit.segment_size) {
                    0 => {
                        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
                        sent.extend(transmit.contents.chunks(segment).map(<[u8]>::to_vec));
                        Ok(())
                    }
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            },
            stats,
        );
        (outcome, sent)
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn a_run_is_cut_at_what_one_send_may_hold() {
        let (bytes, stats) = (bytes(100 * 1200 - 7), Stats::default());
        let (outcome, sent) = push(&mut run(1200), &bytes, &stats, |_, len, _| if len <= LONGEST_SEND { 0 } else { EMSGSIZE });
        assert_eq!(outcome, Sent::All);
        assert_eq!(sent, bytes.chunks(1200).map(<[u8]>::to_vec).collect::<Vec<_>>());
        assert_eq!((stats.datagrams_out.load(), stats.bytes_out.load()), (100, bytes.len() as u64));
    }

    #[test]
    fn a_full_kernel_holds_the_run_where_it_stands_and_nothing_is_sent_twice() {
        let (bytes, stats) = (bytes(150 * 1000), Stats::default());
        let mut run = run(1000);
        let (outcome, mut sent) = push(&mut run, &bytes, &stats, |send, _, _| if send < 1 { 0 } else { EWOULDBLOCK });
        assert_eq!(outcome, Sent::Blocked);
        let (outcome, rest) = push(&mut run, &bytes, &stats, |_, _, _| 0);
        assert_eq!(outcome, Sent::All);
        sent.extend(rest);
        assert_eq!(sent, bytes.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>());
    }

    #[test]
    fn a_kernel_that_cannot_cut_a_run_gets_single_datagrams() {
        let (bytes, stats) = (bytes(10 * 1000 + 1), Stats::default());
        let (outcome, sent) = push(&mut run(1000), &bytes, &stats, |_, _, gso| if gso.is_some() { EINVAL } else { 0 });
        assert_eq!(outcome, Sent::All);
        assert_eq!(sent, bytes.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>());
        assert_eq!((stats.send_errors.load(), stats.too_long.load()), (0, 0));
    }

    #[test]
    fn a_run_refused_for_its_address_does_not_end_gso_for_all_others() {
        let watcher = Watcher::new().expect("a poller");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let mut socket = Socket::new(socket, &watcher, Arc::default()).expect("a socket");
        socket.send("127.0.0.1:0".parse().expect("an address"), 10, &bytes(100));
        assert_eq!((socket.stats.send_errors.load(), socket.is_blocked()), (10, false));
        assert_eq!(socket.state.max_gso_segments(), socket.most_segments);
    }

    #[test]
    fn what_is_too_long_or_has_no_way_is_counted_and_given_up() {
        let stats = Stats::default();
        let refuse = |error| move |send, _, _| if send == 0 { 0 } else { error };
        let (outcome, _) = push(&mut run(1000), &bytes(70_000), &stats, refuse(EMSGSIZE));
        assert_eq!((outcome, stats.too_long.load()), (Sent::TooLong, 70 - 64));
        let (outcome, _) = push(&mut run(1000), &bytes(70_000), &stats, refuse(ENETUNREACH));
        assert_eq!((outcome, stats.send_errors.load()), (Sent::Failed, 70 - 64));
    }
}
