//! Where this machine is by its own account: what a meeting point tells guests behind the same router.

use crate::net::own;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two looks whether it is somewhere else: a cable is pulled, another network joined.
const LOOK: Duration = Duration::from_secs(10);

/// The addresses of one socket.
pub struct Whereabouts {
    local: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    looked: Instant,
}

impl Whereabouts {
    /// Of the socket bound there.
    pub fn of(local: SocketAddr) -> Whereabouts {
        Whereabouts { local, addresses: addresses(local), looked: Instant::now() }
    }

    /// Where it is now, if that is somewhere else than was said last.
    pub fn changed(&mut self, now: Instant) -> Option<Vec<SocketAddr>> {
        if now < self.looked + LOOK {
            return None;
        }
        let before = std::mem::replace(&mut self.addresses, addresses(self.local));
        self.looked = now;
        (before != self.addresses).then(|| self.addresses.clone())
    }
}

fn addresses(local: SocketAddr) -> Vec<SocketAddr> {
    own::addresses(local.ip()).into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect()
}
