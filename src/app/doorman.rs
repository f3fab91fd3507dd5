//! Lines that others can cause as often as they like: who joins and leaves, who is turned away, whom UDP does not reach. A
//! stranger who knocks a thousand times a second fills neither a screen nor a disk with them.
//!
//! Capacity: of each kind so many lines each [`WHILE`]; what is not said is counted, and the count is said once a [`WHILE`].

use super::args::Rendezvous;
use eyeline_proto::session::mtu;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Long enough that a steady stream of lines is read like a clock's, not like a fire's.
const WHILE: Duration = Duration::from_secs(60);

/// Who came or left: as many as a window has tiles for, and a few who come back.
const PEERS: usize = 20;

/// Strangers turned away, peers without UDP or on paths that take no pictures: one line each helps, more of the same does not.
const TROUBLES: usize = 5;

/// The IP MTU a path needs for pictures: IPv6's headers are the longer ones.
const LEAST_MTU: usize = mtu::FLOOR + 48;

pub struct Doorman {
    peers: Lines,
    neighbours: Lines,
    strangers: Lines,
    no_udp: Lines,
    narrow: Lines,
}

impl Default for Doorman {
    fn default() -> Self {
        let [strangers, no_udp, narrow] = std::array::from_fn(|_| Lines::new(TROUBLES));
        Doorman { peers: Lines::new(PEERS), neighbours: Lines::new(PEERS), strangers, no_udp, narrow }
    }
}

impl Doorman {
    /// Somebody came or left. Whether it was said: what follows from it is not said either where it was not.
    pub fn peer(&mut self, line: &str) -> bool {
        let may = self.peers.may_say(Instant::now(), None);
        if may {
            tracing::info!("{line}");
        } else if self.peers.is_first_unsaid() {
            tracing::info!("many come and go: for a minute they are counted, not named");
        }
        may
    }

    /// Somebody is on this network, or no longer.
    pub fn neighbour(&mut self, line: &str) {
        if self.neighbours.may_say(Instant::now(), None) {
            tracing::info!("{line}");
        }
    }

    /// Somebody was turned away.
    pub fn turned_away(&mut self, from: SocketAddr, sentence: &str) {
        let sentence = sentence.trim();
        if self.strangers.may_say(Instant::now(), Some((from.ip(), sentence.to_string()))) {
            tracing::warn!("{from} was turned away: {sentence}");
        }
    }

    /// Somebody may not be who it says.
    pub fn unproved(&mut self, from: SocketAddr, sentence: &str) {
        if self.strangers.may_say(Instant::now(), Some((from.ip(), sentence.to_string()))) {
            tracing::warn!("{sentence}");
        }
    }

    /// TCP passes and UDP does not.
    pub fn no_udp(&mut self, peer: SocketAddr, rendezvous: &Rendezvous) {
        let port = match rendezvous.wait {
            Some(address) if rendezvous.dial.is_empty() => address.port(),
            _ => peer.port(),
        };
        if self.no_udp.may_say(Instant::now(), Some((peer.ip(), String::new()))) {
            tracing::warn!(
                "TCP reaches {peer}, but no UDP comes through: pictures need UDP port {port}; open it in the firewall of the waiting \
                 side"
            );
        }
    }

    /// Nothing long enough for a piece of a picture passes between us and a peer, or it does again.
    pub fn narrow(&mut self, name: &str, peer: SocketAddr, narrow: bool) {
        if !self.narrow.may_say(Instant::now(), Some((peer.ip(), narrow.to_string()))) {
            return;
        }
        if narrow {
            tracing::warn!(
                "small packets pass between us and {name} ({peer}), those of pictures do not: set the MTU of the VPN or tunnel \
                 between to {LEAST_MTU} or more"
            );
        } else {
            tracing::info!("packets of pictures pass again between us and {name} ({peer})");
        }
    }

    /// To be called about once a second: tells how many lines were not said. So many more did not even come here.
    pub fn second(&mut self, untold: u64) {
        if untold > 0 {
            tracing::warn!("this program stood still: {untold} times somebody came, left or was turned away meanwhile");
        }
        self.tell_unsaid(Instant::now());
    }

    /// The run is over: how many lines were not said is told, although the minute is not over.
    pub fn end(&mut self) {
        self.tell_unsaid(Instant::now() + WHILE);
    }

    fn tell_unsaid(&mut self, now: Instant) {
        if let Some(count) = self.peers.take_unsaid(now) {
            tracing::info!("{count} more came or left in the last minute");
        }
        if let Some(count) = self.neighbours.take_unsaid(now) {
            tracing::info!("{count} more were found on this network or lost there in the last minute");
        }
        if let Some(count) = self.strangers.take_unsaid(now) {
            tracing::warn!("{count} more connections were turned away in the last minute");
        }
        if let Some(count) = self.no_udp.take_unsaid(now) {
            tracing::warn!("to {count} more connections no UDP came through in the last minute");
        }
        if let Some(count) = self.narrow.take_unsaid(now) {
            tracing::warn!("the packets of pictures stopped or began to pass {count} more times in the last minute");
        }
    }
}

/// The lines of one kind.
struct Lines {
    most: usize,
    /// When each was said, oldest first, and what makes another the same.
    said: VecDeque<(Instant, Option<Key>)>,
    /// How many were not said, and since when.
    unsaid: Option<(u64, Instant)>,
}

/// Lines of the same address and sentence are said once each [`WHILE`].
type Key = (IpAddr, String);

impl Lines {
    fn new(most: usize) -> Self {
        Lines { most, said: VecDeque::new(), unsaid: None }
    }

    fn may_say(&mut self, now: Instant, key: Option<Key>) -> bool {
        while self.said.front().is_some_and(|(at, _)| now >= *at + WHILE) {
            self.said.pop_front();
        }
        let again = key.is_some() && self.said.iter().any(|(_, said)| *said == key);
        let may = !again && self.said.len() < self.most;
        if may {
            self.said.push_back((now, key));
        } else {
            self.unsaid.get_or_insert((0, now)).0 += 1;
        }
        may
    }

    /// Until now all were said.
    fn is_first_unsaid(&self) -> bool {
        self.unsaid.is_some_and(|(count, _)| count == 1)
    }

    fn take_unsaid(&mut self, now: Instant) -> Option<u64> {
        self.unsaid.take_if(|(_, since)| now >= *since + WHILE).map(|(count, _)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8, sentence: &str) -> Option<Key> {
        Some((IpAddr::from([10, 0, 0, host]), sentence.to_string()))
    }

    #[test]
    fn who_knocks_a_thousand_times_gets_a_few_lines_and_a_number() {
        let (mut lines, start) = (Lines::new(TROUBLES), Instant::now());
        assert!(lines.may_say(start, key(7, "what came is not Eyeline")));
        assert!(!lines.may_say(start, key(7, "what came is not Eyeline")), "the same is said once");
        assert!(lines.is_first_unsaid());
        let more = (0..1000).filter(|n| lines.may_say(start, key(7, &format!("a message of {n} bytes")))).count();
        assert_eq!(more, TROUBLES - 1);
        assert!(!lines.is_first_unsaid(), "that some are left out is said once");
        assert_eq!(lines.take_unsaid(start + WHILE - Duration::from_millis(1)), None, "once a minute");
        assert_eq!(lines.take_unsaid(start + WHILE), Some(1 + 1000 - (TROUBLES as u64 - 1)));
        assert_eq!(lines.take_unsaid(start + WHILE), None);
        assert!(lines.may_say(start + WHILE, key(7, "what came is not Eyeline")), "after a minute it is news again");
    }

    #[test]
    fn whoever_joins_and_leaves_all_day_fills_no_disk() {
        let (mut lines, start) = (Lines::new(PEERS), Instant::now());
        let (mut said, mut counts, mut counted) = (0, 0, 0);
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            said += (0..10).filter(|_| lines.may_say(now, None)).count() as u64;
            if let Some(count) = lines.take_unsaid(now) {
                counts += 1;
                counted += count;
            }
        }
        assert!(said <= 60 * PEERS as u64 && (50..=60).contains(&counts), "{said} lines and {counts} counts in an hour");
        let unsaid = lines.unsaid.map_or(0, |(count, _)| count);
        assert_eq!(said + counted + unsaid, 36_000, "none is forgotten");
    }

    #[test]
    fn a_few_people_are_named_each() {
        let (mut lines, start) = (Lines::new(PEERS), Instant::now());
        assert!((0..PEERS).all(|_| lines.may_say(start, None)));
        assert_eq!(lines.take_unsaid(start + WHILE * 2), None);
    }
}
