//! What the net thread counts, readable from any thread while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went through the net thread so far. A snapshot: its fields may be a turn apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub datagrams_in: u64,
    /// Their bytes, without headers.
    pub bytes_in: u64,
    /// Datagrams the kernel took.
    pub datagrams_out: u64,
    /// Their bytes, without headers.
    pub bytes_out: u64,
    /// Bytes read from TCP connections.
    pub tcp_bytes_in: u64,
    /// Bytes the kernel took for TCP connections.
    pub tcp_bytes_out: u64,
    /// Datagrams lost because the kernel would not send them: no route, no permission, no memory.
    pub send_errors: u64,
    /// Datagrams lost because they are longer than the interface or the known path takes (EMSGSIZE).
    pub too_long: u64,
    /// Errors instead of datagrams: what the network said about earlier sends.
    pub receive_errors: u64,
    /// TCP connections closed at once, because too many were open.
    pub turned_away: u64,
    /// How often the thread woke up. One that grows without traffic is a defect.
    pub wakeups: u64,
    /// The receive buffer the kernel granted, in bytes.
    pub receive_buffer: u64,
}

/// The same, shared.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) datagrams_in: Count,
    pub(super) bytes_in: Count,
    pub(super) datagrams_out: Count,
    pub(super) bytes_out: Count,
    pub(super) tcp_bytes_in: Count,
    pub(super) tcp_bytes_out: Count,
    pub(super) send_errors: Count,
    pub(super) too_long: Count,
    pub(super) receive_errors: Count,
    pub(super) turned_away: Count,
    pub(super) wakeups: Count,
    pub(super) receive_buffer: Count,
}

impl Stats {
    pub(super) fn snapshot(&self) -> Traffic {
        Traffic {
            datagrams_in: self.datagrams_in.load(),
            bytes_in: self.bytes_in.load(),
            datagrams_out: self.datagrams_out.load(),
            bytes_out: self.bytes_out.load(),
            tcp_bytes_in: self.tcp_bytes_in.load(),
            tcp_bytes_out: self.tcp_bytes_out.load(),
            send_errors: self.send_errors.load(),
            too_long: self.too_long.load(),
            receive_errors: self.receive_errors.load(),
            turned_away: self.turned_away.load(),
            wakeups: self.wakeups.load(),
            receive_buffer: self.receive_buffer.load(),
        }
    }
}

/// A number written by the net thread alone.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
