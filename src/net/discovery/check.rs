//! Whether multicast works here: what one says, another hears, both on this machine and over its networks, not over loopback.
//!
//! Where a firewall of this machine holds what comes in, or there is no way for multicast, nothing is heard. Of other machines
//! and what lies between it tells nothing.

use std::time::{Duration, Instant};

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::GOODBYE;
use eyeline_proto::crypto;

/// A service that nobody lists.
const SERVICE: &str = "_eyeline-check._tcp.local.";

/// The port of "discard": nobody is to dial it.
const PORT: u16 = 9;

/// Whether it is heard within this time.
pub fn is_heard(time: Duration) -> bool {
    heard(Instant::now() + time).unwrap_or_else(|error| {
        tracing::debug!("mDNS: {error}");
        false
    })
}

fn heard(until: Instant) -> mdns_sd::Result<bool> {
    let name = format!("eyeline-{:08x}", u32::from_be_bytes(crypto::random()));
    let (says, hears) = (daemon()?, daemon()?);
    let events = hears.browse(SERVICE)?;
    let nothing: [(&str, &str); 0] = [];
    let mut info = ServiceInfo::new(SERVICE, &name, &format!("{name}.local."), "", PORT, &nothing[..])?.enable_addr_auto();
    // Nobody else is called so.
    info.set_requires_probe(false);
    says.register(info)?;
    let mut heard = false;
    while let (false, Ok(event)) = (heard, events.recv_deadline(until)) {
        heard = matches!(event, ServiceEvent::ServiceFound(_, full) if full.starts_with(&name));
    }
    for daemon in [says, hears] {
        let said = daemon.shutdown()?;
        let _ = said.recv_timeout(GOODBYE);
    }
    Ok(heard)
}

fn daemon() -> mdns_sd::Result<ServiceDaemon> {
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    Ok(daemon)
}
