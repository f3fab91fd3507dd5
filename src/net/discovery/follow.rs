//! The thread `neighbours`: opens the crate, keeps the listing up to date by what it tells, and begins it anew where it holds too much.
//!
//! Whoever floods the network may keep the crate busy for ever, so nothing of it is waited for here: it is flooded too where it does
//! not say how much it holds within a [`TICK`], and there is no second one before the first said that it is over.

use std::time::{Duration, Instant};

use mdns_sd::{
    DaemonEvent, DaemonStatus, Error, IfKind, Metrics, RRType, Receiver, RecvTimeoutError, ServiceDaemon, ServiceEvent,
};

use super::record::{self, SERVICE};
use super::{Heard, Inner, MOST, SETTLES, State, interfaces, service};
use crate::threads::{lock, wait_for};

/// So often it is looked for another address of this machine; the crate's own 5 s are long for who walks from Wi-Fi to a cable.
const ADDRESS_CHECK_SECONDS: u32 = 2;

/// So often it is looked how much the crate holds, and whether another has our name.
const TICK: Duration = Duration::from_secs(1);

/// Sixteen for each program there is room for, and as many for whatever else is on the network.
const MOST_RECORDS: i64 = 32 * MOST as i64;

/// A record that is said again leaves behind the moments at which it was to be asked for, until they come.
const MOST_TIMERS: i64 = 16 * MOST_RECORDS;

/// For so long nobody is found where somebody floods the network.
const REST: Duration = Duration::from_secs(60);

/// What the crate counts of records it keeps.
const RECORDS: [&str; 6] = ["cached-ptr", "cached-srv", "cached-addr", "cached-txt", "cached-nsec", "cached-subtype"];

/// And of moments at which it has something to do with one.
const TIMERS: &str = "timer";

/// What the crate tells of.
struct Open {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    monitor: Receiver<DaemonEvent>,
}

#[derive(PartialEq, Eq)]
enum Ended {
    Left,
    Flooded,
}

/// The crate on its way to its end.
struct Ending {
    daemon: ServiceDaemon,
    said: Option<Receiver<DaemonStatus>>,
}

impl Ending {
    /// It may have no room for what it is told: then it is told again.
    fn is_over(&mut self) -> bool {
        if self.said.is_none() {
            match self.daemon.shutdown() {
                Ok(said) => self.said = Some(said),
                Err(error) => return matches!(error, Error::DaemonShutdown),
            }
        }
        self.said.as_ref().is_some_and(|said| !said.is_empty() || said.is_disconnected())
    }
}

impl Inner {
    pub(super) fn run(&self) {
        while let Some(mut open) = self.open() {
            if self.follow(&mut open) == Ended::Left {
                return;
            }
            tracing::warn!("this network is flooded with mDNS: nobody is found by name for a minute");
            let mut state = lock(&self.state);
            (state.daemon, _) = (None, state.listing.clear());
            self.tell_neighbours(&state);
            drop(state);
            self.rest(Ending { daemon: open.daemon, said: None });
        }
    }

    /// Until this one is over, and for [`REST`] at least.
    fn rest(&self, mut ending: Ending) {
        let until = Instant::now() + REST;
        let mut state = lock(&self.state);
        while !(ending.is_over() && Instant::now() >= until || state.ended) {
            state = wait_for(&self.changed, state, TICK);
        }
    }

    fn open(&self) -> Option<Open> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let opened = ServiceDaemon::new().and_then(|daemon| {
            if interfaces().next().is_some() {
                daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            }
            daemon.set_ip_check_interval(ADDRESS_CHECK_SECONDS)?;
            let monitor = daemon.monitor()?;
            if let Some(info) = &state.announced {
                daemon.register(info.clone())?;
            }
            let events = daemon.browse(SERVICE)?;
            Ok(Open { daemon, events, monitor })
        });
        match opened {
            Ok(open) => {
                (state.daemon, state.asked) = (Some(open.daemon.clone()), Instant::now());
                self.changed.notify_all();
                Some(open)
            }
            Err(error) => {
                tracing::debug!("nobody is found by name: {error}");
                None
            }
        }
    }

    /// Keeps the listing up to date until it is over, or too much; tells of it once it has settled.
    fn follow(&self, open: &mut Open) -> Ended {
        let (mut next, mut settled, mut counts) = (Instant::now() + TICK, None::<Instant>, open.daemon.get_metrics());
        loop {
            let event = open.events.recv_deadline(settled.unwrap_or(next).min(next));
            if lock(&self.state).ended {
                return Ended::Left;
            }
            match event {
                Ok(event) if self.take(&event) => settled = Some(Instant::now() + SETTLES),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                // It fell behind, and is told no more.
                Err(RecvTimeoutError::Disconnected) => return Ended::Flooded,
            }
            let now = Instant::now();
            if settled.is_some_and(|settled| now >= settled.min(next)) {
                settled = None;
                self.tell_neighbours(&lock(&self.state));
            }
            if now >= next {
                next = now + TICK;
                open.monitor.try_iter().for_each(|event| self.take_name(event));
                // It was asked a tick ago.
                if is_flooded(counts.ok().and_then(|counts| counts.try_recv().ok()).as_ref()) {
                    return Ended::Flooded;
                }
                counts = open.daemon.get_metrics();
                if lock(&self.state).listing.asks_again() {
                    // It tells all that it knows, beginning with that.
                    match open.daemon.browse(SERVICE) {
                        Ok(events) => open.events = events,
                        Err(error) => tracing::debug!("mDNS: {error}"),
                    }
                }
            }
        }
    }

    /// Whether the listing is another one now.
    fn take(&self, event: &ServiceEvent) -> bool {
        let mut state = lock(&self.state);
        let changed = match event {
            ServiceEvent::ServiceResolved(resolved) => {
                service(resolved).is_some_and(|service| state.listing.resolved(Instant::now(), &resolved.fullname, service))
            }
            ServiceEvent::ServiceRemoved(_, full) => state.listing.removed(full),
            _ => false,
        };
        if changed {
            self.changed.notify_all();
        }
        changed
    }

    fn take_name(&self, event: DaemonEvent) {
        match event {
            DaemonEvent::NameChange(change) if change.rr_type == RRType::SRV => {
                let state = lock(&self.state);
                if let (Some(name), Some(tell)) = (record::instance_of(&change.new_name), &state.tell) {
                    tell(Heard::Renamed(name));
                }
            }
            DaemonEvent::Error(error) => tracing::debug!("mDNS: {error}"),
            _ => {}
        }
    }

    fn tell_neighbours(&self, state: &State) {
        if let Some(tell) = &state.tell {
            tell(Heard::Neighbours(state.listing.neighbours()));
        }
    }
}

/// Whether the crate holds too much, or does not come to say how much.
fn is_flooded(counted: Option<&Metrics>) -> bool {
    counted.is_none_or(|counted| {
        let records: i64 = RECORDS.iter().filter_map(|name| counted.get(*name)).sum();
        records > MOST_RECORDS || counted.get(TIMERS).is_some_and(|timers| *timers > MOST_TIMERS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_records_are_a_flood_and_too_many_moments_of_few_and_silence() {
        let counted =
            |counts: &[(&str, i64)]| counts.iter().map(|(name, count)| ((*name).to_string(), *count)).collect::<Metrics>();
        let is_flooded = |counts: &[(&str, i64)]| super::is_flooded(Some(&counted(counts)));
        assert!(!is_flooded(&[]) && !is_flooded(&[("cached-ptr", MOST_RECORDS), ("timer", MOST_TIMERS), ("respond", i64::MAX)]));
        assert!(is_flooded(&[("cached-ptr", MOST_RECORDS), ("cached-nsec", 1)]));
        assert!(is_flooded(&[("cached-ptr", 1), ("timer", MOST_TIMERS + 1)]));
        assert!(super::is_flooded(None), "who has no time to say it");
    }
}
