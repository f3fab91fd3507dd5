//! The thread `neighbours`: opens the crate, keeps the listing up to date by what it tells, and begins it anew where it holds too
//! much.
//!
//! Whoever floods the network may keep the crate busy for ever, so nothing of it is waited for here: it is flooded too where it
//! does not say how much it holds within a [`TICK`], and there is no second one before the first said that it is over.

use std::time::{Duration, Instant};

use mdns_sd::{
    DaemonEvent, DaemonStatus, Error, IfKind, Metrics, RRType, Receiver, RecvTimeoutError, ServiceDaemon, ServiceEvent,
};

use super::networks::Networks;
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

/// Who fills it later than this floods nothing.
const SLOWLY: Duration = Duration::from_secs(600);

/// Who was told of before is told of again by then.
const TOLD_AGAIN: Duration = Duration::from_secs(5);

/// So often it is looked whether the crate is over.
const PATIENCE: Duration = Duration::from_millis(50);

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
    /// Little by little, as on any network with many programs that come and go.
    Full,
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
        loop {
            let opened = self.open();
            let (ended, began) = (opened.map(|mut open| (self.follow(&mut open), open.daemon)), Instant::now());
            match ended {
                _ if lock(&self.state).ended => return,
                None => self.rest(None, began + REST),
                Some((Ended::Left, _)) => return,
                Some((Ended::Full, daemon)) => {
                    lock(&self.state).listing.doubts();
                    self.rest(Some(Ending { daemon, said: None }), began);
                }
                Some((Ended::Flooded, daemon)) => {
                    tracing::warn!("this network is flooded with mDNS: nobody is found by name for a minute");
                    let mut state = lock(&self.state);
                    state.listing.clear();
                    self.tell_neighbours(&state);
                    drop(state);
                    self.rest(Some(Ending { daemon, said: None }), began + REST);
                }
            }
        }
    }

    /// Until that moment, and until this one is over.
    fn rest(&self, mut ending: Option<Ending>, until: Instant) {
        let mut state = lock(&self.state);
        state.daemon = None;
        while !state.ended && (Instant::now() < until || ending.as_mut().is_some_and(|ending| !ending.is_over())) {
            state = wait_for(&self.changed, state, PATIENCE);
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
                (state.searches, state.asked_twice) = (0, None);
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
        let began = Instant::now();
        let (mut next, mut settled, mut counts) = (began + TICK, None::<Instant>, open.daemon.get_metrics());
        let (mut believed, mut networks) = (false, Networks::now());
        loop {
            let event = open.events.recv_deadline(settled.unwrap_or(next).min(next));
            if lock(&self.state).ended {
                return Ended::Left;
            }
            match event {
                Ok(event) if self.take(&event, &networks) => settled = Some(Instant::now() + SETTLES),
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
                (next, networks) = (now + TICK, Networks::now());
                open.monitor.try_iter().for_each(|event| self.take_name(event));
                // It was asked a tick ago.
                let counted = counts.ok().and_then(|counts| counts.try_recv().ok());
                match counted.as_ref().map(is_full) {
                    Some(false) => {}
                    Some(true) if now - began >= SLOWLY => return Ended::Full,
                    // Who has no time to say how much it holds is flooded, too.
                    Some(true) | None => return Ended::Flooded,
                }
                if !believed && now - began >= TOLD_AGAIN {
                    believed = true;
                    if lock(&self.state).listing.believes() {
                        settled = Some(now);
                        self.changed.notify_all();
                    }
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
    fn take(&self, event: &ServiceEvent, networks: &Networks) -> bool {
        let mut state = lock(&self.state);
        let changed = match event {
            ServiceEvent::ServiceResolved(resolved) => service(resolved, networks)
                .is_some_and(|service| state.listing.resolved(Instant::now(), &resolved.fullname, service)),
            ServiceEvent::ServiceRemoved(_, full) => state.listing.removed(full),
            ServiceEvent::SearchStarted(_) => {
                state.asks(Instant::now());
                false
            }
            _ => false,
        };
        if changed || matches!(event, ServiceEvent::SearchStarted(_)) {
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

/// Whether the crate holds too much.
fn is_full(counted: &Metrics) -> bool {
    let records: i64 = RECORDS.iter().filter_map(|name| counted.get(*name)).sum();
    records > MOST_RECORDS || counted.get(TIMERS).is_some_and(|timers| *timers > MOST_TIMERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_records_are_too_much_and_so_are_too_many_moments_of_few() {
        let counted = |counts: &[(&str, i64)]| counts.iter().map(|(name, count)| ((*name).to_string(), *count)).collect();
        let is_full = |counts: &[(&str, i64)]| super::is_full(&counted(counts));
        assert!(!is_full(&[]) && !is_full(&[("cached-ptr", MOST_RECORDS), ("timer", MOST_TIMERS), ("respond", i64::MAX)]));
        assert!(is_full(&[("cached-ptr", MOST_RECORDS), ("cached-nsec", 1)]));
        assert!(is_full(&[("cached-ptr", 1), ("timer", MOST_TIMERS + 1)]));
    }
}
