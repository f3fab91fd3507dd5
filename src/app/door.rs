//! Whom we wait for and whom we dial, and what is said of them: the words that all programs have in common.

use super::args::{Common, Rendezvous};
use super::awaited::{self, Awaited};
use super::doorman::Doorman;
use super::failure::Failure;
use super::rendezvous::Reachability;
use eyeline_proto::session::{Event, HostId};
use std::net::SocketAddr;
use std::time::Instant;

/// See the module text.
pub struct Door<'a> {
    rendezvous: &'a Rendezvous,
    reachability: Reachability,
    awaited: Awaited,
    doorman: Doorman,
}

impl<'a> Door<'a> {
    /// Of `program`, which waits on `local` or dials: says so.
    pub fn open(program: &str, common: &'a Common, local: SocketAddr) -> Self {
        let rendezvous = &common.rendezvous;
        awaited::announce(program, rendezvous, common.key.is_some(), local);
        let awaited = Awaited::new(program, rendezvous, local);
        Door { rendezvous, reachability: Reachability::new(common), awaited, doorman: Doorman::default() }
    }

    /// A peer said hello, through this host where it was dialled.
    pub fn reached(&mut self, host: Option<HostId>) {
        self.reachability.reached(host);
        self.awaited.reached();
    }

    /// Somebody came who has use for what we have.
    pub fn watched(&mut self, name: &str, address: SocketAddr, again: bool) {
        self.says(&format!("{name} ({address}) {}", if again { "is back" } else { "watches" }));
    }

    /// Somebody came or left. Whether it was said.
    pub fn says(&mut self, line: &str) -> bool {
        self.doorman.peer(line)
    }

    /// What is waited for, in a sentence.
    pub fn sentence(&self) -> String {
        self.awaited.sentence()
    }

    /// The same in a few words.
    pub fn place(&self) -> &str {
        self.awaited.place()
    }

    /// A second is over, in which so many notes were not told.
    pub fn second(&mut self, untold: u64) {
        self.doorman.second(untold);
    }

    /// What concerns whoever is there, or is not; `alone`: nobody is. Says whether what is waited for is said otherwise now.
    /// Fails when no host is left to dial, and nobody is waited for.
    pub fn handle(&mut self, event: &Event, alone: bool) -> Result<bool, Failure> {
        match event {
            Event::NoUdp(address) => self.doorman.no_udp(*address, self.rendezvous),
            Event::Narrow { name, address, narrow } => self.doorman.narrow(name, *address, *narrow),
            Event::TextLeftOut(count) => tracing::info!("{count} lines of chat were left out: too many came at once"),
            Event::TurnedAway(from, sentence) => self.doorman.turned_away(*from, sentence),
            Event::Unreachable { host, error, fatal } => {
                if alone {
                    self.awaited.unreachable(error);
                }
                self.reachability.unreachable(Instant::now(), *host, error, *fatal)?;
                return Ok(alone);
            }
            _ => {}
        }
        Ok(false)
    }
}
