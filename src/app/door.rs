//! Whom we wait for and whom we dial, and what is said of them: the words that all programs have in common.
//!
//! Who has no place for us says hello all the same, and so right after it. Of a host that was dialled it is therefore said only
//! [`SETTLES`] later that it is here; of one that has no place it is said that it has none, and nothing else, however often it is
//! dialled again.

use super::args::{Common, Rendezvous};
use super::awaited::{self, Admitted, Awaited};
use super::doorman::Doorman;
use super::failure::Failure;
use super::neighbours::Neighbours;
use super::pairs::{self, Pairs};
use super::rendezvous::Reachability;
use crate::net;
use crate::net::discovery::Heard;
use eyeline_proto::session::keyring::{Pair, Standing};
use eyeline_proto::session::{Event, HostId, PeerId};
use eyeline_proto::wire::record::Reason;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// More than a round trip takes.
const SETTLES: Duration = Duration::from_millis(500);

pub struct Door<'a> {
    rendezvous: &'a Rendezvous,
    reachability: Reachability,
    awaited: Awaited,
    doorman: Doorman,
    neighbours: Neighbours,
    /// Who answers at the hosts that were dialled.
    answers: BTreeMap<HostId, Answer>,
    pairs: Pairs,
    /// Peers that proved to be pairs of ours, or are called so and did not.
    proofs: BTreeMap<PeerId, Standing>,
    /// Who is none of them, and has no key, is not dialled either.
    only_paired: bool,
    /// Nor is who is one dialled with its key: another was typed.
    key_typed: bool,
}

/// What is said of one that has use for what we have.
pub fn watches(name: &str, address: SocketAddr, again: bool) -> String {
    format!("{name} ({address}) {}", if again { "is back" } else { "watches" })
}

/// A peer that said hello where we dialled.
struct Answer {
    peer: PeerId,
    state: State,
}

enum State {
    /// It is here from then on, and these lines are said of it.
    Coming(Instant, Vec<String>),
    Here,
    /// It has no place for us.
    Full,
}

impl<'a> Door<'a> {
    /// Of `program`, which waits on `local`, where this network finds it by that `name`, or dials: says so.
    pub fn open(program: &'static str, common: &'a Common, pairs: Pairs, local: SocketAddr, name: Option<String>) -> Self {
        let rendezvous = &common.rendezvous;
        let admitted = Admitted::of(common, &pairs);
        awaited::announce(program, rendezvous, admitted, local);
        for pair in rendezvous.dial.iter().filter_map(|host| pairs.of_host(host)).filter(|_| common.key_typed) {
            tracing::info!("{} is dialled with the key that was typed, not with the one of its pairing", pair.name);
        }
        let awaited = Awaited::new(program, rendezvous, admitted, local);
        let neighbours = Neighbours::new(program, common, name, local.port());
        Door {
            neighbours,
            rendezvous,
            reachability: Reachability::new(program, common, &pairs),
            awaited,
            doorman: Doorman::default(),
            answers: BTreeMap::new(),
            pairs,
            proofs: BTreeMap::new(),
            only_paired: common.only_paired && common.key.is_none(),
            key_typed: common.key_typed,
        }
    }

    /// What a peer is called where it is shown: whether it was paired with goes with its name.
    pub fn shown_as(&self, peer: PeerId, name: &str) -> String {
        pairs::marked(name, self.proofs.get(&peer).unwrap_or(&Standing::Unknown))
    }

    /// Somebody of this name is to be dialled: which pair that is, if any. `None`: only pairs are, and it is none.
    pub fn pair_of(&self, name: &str) -> Option<Option<Pair>> {
        let pair = self.pairs.named(name).cloned();
        if pair.is_none() && self.only_paired {
            tracing::warn!(
                "{name} was never paired with, and --only-paired was given: pair the two once, by --pair on both sides"
            );
            return None;
        }
        Some(pair.filter(|_| !self.key_typed))
    }

    /// A host that is dialled is this pair, or none.
    pub fn means(&mut self, host: HostId, pair: Option<&Pair>) {
        self.neighbours.dials(host);
        pair.into_iter().for_each(|pair| self.reachability.means(host, &pair.name));
    }

    /// A peer said hello, through this host where it was dialled; and what is said of that, if anything.
    pub fn comes(&mut self, peer: PeerId, host: Option<HostId>, line: Option<String>) {
        self.reachability.answered();
        let line = line.map(|line| match self.proofs.get(&peer) {
            Some(Standing::Paired(pair)) => format!("{line} (paired as {pair})"),
            Some(_) => format!("{line} (NOT the paired one)"),
            None => line,
        });
        if let Some(host) = host {
            let fresh = || Answer { peer, state: State::Coming(Instant::now() + SETTLES, Vec::new()) };
            let answer = self.answers.entry(host).or_insert_with(fresh);
            if answer.peer != peer {
                *answer = fresh();
            }
            if let State::Coming(_, lines) = &mut answer.state {
                lines.extend(line);
                return;
            }
            self.reachability.reached(host);
        }
        self.awaited.reached();
        if let Some(line) = line {
            self.says(&line);
        }
    }

    /// A peer is gone. Whether that was said: of one that had no place for us it is not.
    pub fn leaves(&mut self, peer: PeerId, reason: Option<Reason>, line: &str) -> bool {
        self.proofs.remove(&peer);
        let full = matches!(reason, Some(Reason::Busy | Reason::Full));
        if let Some(answer) = self.answers.values_mut().find(|answer| answer.peer == peer && full) {
            answer.state = State::Full;
            return false;
        }
        // It was said to come first.
        self.has_place(peer);
        self.says(line)
    }

    /// When [`Door::turn`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        let due = |answer: &Answer| if let State::Coming(at, _) = answer.state { Some(at) } else { None };
        self.answers.values().filter_map(due).min()
    }

    /// Who said hello a while ago is here by now. Whether anybody is since. `alone`: nobody is here.
    pub fn turn(&mut self, now: Instant, alone: bool) -> bool {
        self.neighbours.turn(now, alone);
        self.settle(|_, coming| now >= coming)
    }

    /// Of who is on this network. Whether what is said in the window is another now.
    pub fn hears(&mut self, heard: Heard, alone: bool) -> bool {
        self.neighbours.hears(heard, alone, &mut self.doorman)
    }

    /// The one of this digit is to be dialled: says so, and gives what `net` is told.
    pub fn choose(&mut self, digit: u8) -> Option<net::Host> {
        let host = self.neighbours.choose(digit)?;
        self.reachability.add(&host.to_string());
        Some(host)
    }

    /// Whether somebody has this digit.
    pub fn offers(&self, digit: u8) -> bool {
        self.neighbours.offers(digit)
    }

    /// This one has a place for us, for it passes on what others send: it is here now.
    pub fn has_place(&mut self, peer: PeerId) {
        self.settle(|coming, _| coming == peer);
    }

    /// Who is here, of those who said hello: of each it is asked by its peer and by the time from which it counts.
    fn settle(&mut self, is_here: impl Fn(PeerId, Instant) -> bool) -> bool {
        let due = |answer: &Answer| matches!(answer.state, State::Coming(at, _) if is_here(answer.peer, at));
        let mut settled = false;
        for (host, answer) in self.answers.iter_mut().filter(|(_, answer)| due(answer)) {
            if let State::Coming(_, lines) = std::mem::replace(&mut answer.state, State::Here) {
                self.reachability.reached(*host);
                self.awaited.reached();
                lines.iter().for_each(|line| _ = self.doorman.peer(line));
                settled = true;
            }
        }
        settled
    }

    /// Somebody came or left. Whether it was said.
    pub fn says(&mut self, line: &str) -> bool {
        self.doorman.peer(line)
    }

    /// What is waited for, in a sentence.
    pub fn sentence(&self) -> String {
        self.awaited.sentence()
    }

    /// The same for a window in which there is nothing else: lines, two spaces part what stands in columns.
    pub fn welcome(&self) -> String {
        self.neighbours.below(self.awaited.welcome(), "\n\n")
    }

    /// The same for a window in which the picture of somebody who left stands.
    pub fn wanted(&self) -> String {
        self.neighbours.below(self.awaited.sentence(), "\n")
    }

    /// The same in a few words.
    pub fn place(&self) -> &str {
        self.awaited.place()
    }

    /// A second is over, in which so many notes were not told.
    pub fn second(&mut self, untold: u64) {
        self.doorman.second(untold);
    }

    /// The run is over, and everybody has left.
    pub fn end(&mut self) {
        self.doorman.end();
    }

    /// What concerns whoever is there, or is not; `alone`: nobody is. Says whether what is waited for is said otherwise now.
    /// Fails when no host is left to dial, and nobody is waited for.
    pub fn handle(&mut self, event: &Event, alone: bool) -> Result<bool, Failure> {
        match event {
            Event::NoUdp(address) => self.doorman.no_udp(*address, self.rendezvous),
            Event::Narrow { name, address, narrow } => self.doorman.narrow(name, *address, *narrow),
            Event::TextLeftOut(count) => tracing::info!("{count} lines of chat were left out: too many came at once"),
            Event::TurnedAway(from, sentence) => self.doorman.turned_away(*from, sentence),
            Event::Invitation(invitation) => {
                self.awaited.invites(invitation);
                return Ok(alone);
            }
            Event::Calling { name, .. } => {
                tracing::info!("it rings at {name}: somebody there is asked whether to let us in");
                self.awaited.rings(name);
                return Ok(alone);
            }
            Event::Paired(pair, host) => self.keep(pair, *host),
            Event::Known(peer, pair) => _ = self.proofs.insert(*peer, Standing::Paired(pair.clone())),
            Event::Unproved { peer, name, address, dialled } => {
                self.proofs.insert(*peer, Standing::Unproved);
                self.doorman.unproved(*address, &unproved(name, *address, (*dialled, self.key_typed)));
            }
            Event::Unreachable { host, error, fatal } => {
                if *fatal {
                    self.neighbours.gives_up(*host);
                }
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

    /// Its key is good for the next time, too.
    fn keep(&mut self, pair: &Pair, host: Option<HostId>) {
        host.into_iter().for_each(|host| self.reachability.means(host, &pair.name));
        let host = host.and_then(|host| self.rendezvous.dial.get(host.0));
        match self.pairs.keep(pair.clone(), host) {
            Ok(()) => tracing::info!("paired with {}: from now on the two know each other without a code", pair.name),
            Err(error) => tracing::error!("paired with {}, but for this time alone: its key is not kept: {error}", pair.name),
        }
    }
}

/// Said of one that is called as a pair and has not its key.
fn unproved(name: &str, address: SocketAddr, (dialled, key_typed): (bool, bool)) -> String {
    if dialled && key_typed {
        return format!(
            "{address} calls itself {name}, as a machine that was paired with, and was asked for the key that was typed: without --key it \
             is asked to prove that it is that one"
        );
    }
    if dialled {
        return format!(
            "{address} calls itself {name}, as a machine that was paired with, and was not asked to prove it: dial it by that name, or pair \
             with it as it is dialled now"
        );
    }
    format!(
        "SOMEBODY AT {address} CALLS ITSELF {name}, as a machine that was paired with, AND HAS NOT ITS KEY: if it is that one, pair with it \
         again, by --pair on both sides; --only-paired lets in nobody like this"
    )
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, Env, send};
    use super::*;
    use eyeline_proto::session::unreachable::Unreachable;

    const HOST: HostId = HostId(0);

    fn common() -> Common {
        match send::parse("send --test --host hub".split(' ').map(std::ffi::OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => config.common,
            other => panic!("{other:?}"),
        }
    }

    /// It says hello at this host and, where there is no place, that; what was said of each.
    fn states(door: &Door<'_>) -> Vec<(u64, &'static str)> {
        let state = |answer: &Answer| match answer.state {
            State::Coming(..) => "coming",
            State::Here => "here",
            State::Full => "full",
        };
        door.answers.values().map(|answer| (answer.peer.0, state(answer))).collect()
    }

    #[test]
    fn who_says_hello_and_has_no_place_is_never_said_to_be_here_and_its_refusal_is_said_once() {
        let common = common();
        let mut door = Door::open("send", &common, Pairs::default(), SocketAddr::from(([0; 4], 0)), None);
        let sentence = "it already receives from 16 senders, the most it takes".to_string();
        let full = Unreachable::Full { from: SocketAddr::from(([10, 0, 0, 1], 1)), sentence: sentence.clone() };
        let refused = Event::Unreachable { host: HOST, error: full, fatal: false };
        for number in 0..5 {
            door.comes(PeerId(number), Some(HOST), Some("vm watches".to_string()));
            assert!(door.due().is_some() && !door.turn(Instant::now(), true));
            assert!(!door.leaves(PeerId(number), Some(Reason::Full), &sentence) && door.due().is_none());
            door.handle(&refused, true).unwrap();
            assert!(
                !door.turn(Instant::now() + SETTLES * 2, true) && door.sentence().contains("16 senders"),
                "{}",
                door.sentence()
            );
            assert_eq!((states(&door), door.reachability.news()), (vec![(number, "full")], 1));
        }
        door.comes(PeerId(5), Some(HOST), Some("vm watches".to_string()));
        assert!(door.turn(Instant::now() + SETTLES, true) && !door.sentence().contains("16 senders"), "there is a place at last");
        assert_eq!((states(&door), door.reachability.news()), (vec![(5, "here")], 0));
        assert!(door.leaves(PeerId(5), Some(Reason::Quit), "vm stopped watching"));
    }

    #[test]
    fn who_comes_is_not_said_to_be_here_because_of_what_another_does() {
        let common = common();
        let mut door = Door::open("send", &common, Pairs::default(), SocketAddr::from(([0; 4], 0)), None);
        door.comes(PeerId(0), Some(HOST), Some("vm watches".to_string()));
        door.comes(PeerId(1), Some(HostId(1)), Some("lab watches".to_string()));
        assert!(door.says("another watches"));
        assert_eq!(states(&door), [(0, "coming"), (1, "coming")]);
        assert!(door.leaves(PeerId(1), Some(Reason::Quit), "lab stopped watching"));
        assert_eq!(states(&door), [(0, "coming"), (1, "here")]);
    }
}
