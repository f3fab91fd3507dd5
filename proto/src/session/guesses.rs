//! Wrong keys are slowed: who tries one after the other waits ever longer for an answer.
//!
//! **Problem.** A connection costs nothing, and with each one a passphrase can be tried. A weak one is found in a dictionary.
//!
//! **Choice.** The first [`FREE`] wrong keys of an address are answered at once: somebody mistypes. After that its openings, right or
//! wrong, are looked at later, twice as late for each wrong one up to [`LONGEST`]; every [`FORGIVES`] one is forgotten. With the few
//! connections that an address may have before its hello (`admission`) that is two guesses a second, instead of thousands.
//!
//! **Rejected.** To refuse an address that guessed: behind one router, or a forwarded port, honest people share it with whoever
//! guesses. This way the right key gets in, only later: a connection that waits keeps its place (`admission`). Whoever guesses without
//! end may be quicker to take each place that becomes free; who shares the address has to dial until it has one.
//!
//! Capacity: [`MAX_ADDRESSES`], as [`network`] counts them; of more, the one that guessed least lately is forgotten.

use super::addresses::network;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong keys that cost nothing.
const FREE: u32 = 3;

/// The wait after the first wrong key that costs something.
const FIRST: Duration = Duration::from_millis(125);

/// No wait is longer: together with the handshake it must be over in `link::HANDSHAKE`.
const LONGEST: Duration = Duration::from_secs(2);

/// A dialler with a wrong key dials again every 10 s at last: it never waits for long.
const FORGIVES: Duration = Duration::from_secs(10);

/// Wrong keys that are remembered: after so many the wait is the longest, and a minute later it begins to shrink.
const MOST: u32 = FREE + 10;

/// Addresses whose wrong keys are remembered.
const MAX_ADDRESSES: usize = 256;

struct Guesser {
    address: IpAddr,
    wrong: u32,
    /// When the last one came, or was forgotten.
    at: Instant,
}

impl Guesser {
    fn forget(&mut self, now: Instant) {
        let forgiven = now.saturating_duration_since(self.at).as_nanos() / FORGIVES.as_nanos();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX).min(self.wrong);
        self.wrong -= forgiven;
        self.at += FORGIVES * forgiven;
    }
}

#[derive(Default)]
pub(super) struct Guesses(Vec<Guesser>);

impl Guesses {
    /// How long whoever connects from there has to wait until its opening is looked at; `None`: not at all.
    pub fn wait(&mut self, now: Instant, from: IpAddr) -> Option<Duration> {
        self.0.iter_mut().for_each(|guesser| guesser.forget(now));
        self.0.retain(|guesser| guesser.wrong > 0);
        let wrong = self.0.iter().find(|guesser| guesser.address == network(from)).map_or(0, |guesser| guesser.wrong);
        wrong.checked_sub(FREE).map(|more| (FIRST * (1 << more)).min(LONGEST))
    }

    /// A wrong key came from there.
    pub fn wrong(&mut self, now: Instant, from: IpAddr) {
        let address = network(from);
        if let Some(guesser) = self.0.iter_mut().find(|guesser| guesser.address == address) {
            (guesser.wrong, guesser.at) = ((guesser.wrong + 1).min(MOST), now);
            return;
        }
        if self.0.len() >= MAX_ADDRESSES
            && let Some(place) = (0..self.0.len()).min_by_key(|place| self.0[*place].at)
        {
            self.0.swap_remove(place);
        }
        self.0.push(Guesser { address, wrong: 1, at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn each_wrong_key_makes_the_next_one_wait_longer_and_time_forgives() {
        let (mut guesses, start, from) = (Guesses::default(), start(), address("203.0.113.9"));
        let waits: Vec<u128> = (0..20)
            .map(|_| {
                guesses.wrong(start, from);
                guesses.wait(start, from).unwrap_or_default().as_millis()
            })
            .collect();
        assert_eq!(waits[..9], [0, 0, 125, 250, 500, 1000, 2000, 2000, 2000]);
        assert_eq!(guesses.wait(start, address("203.0.113.10")), None, "nobody else waits");
        assert_eq!(guesses.wait(start + FORGIVES * 6, from), Some(LONGEST));
        assert_eq!(guesses.wait(start + FORGIVES * 10, from), Some(FIRST));
        assert_eq!(guesses.wait(start + FORGIVES * 11, from), None);
        guesses.wait(start + FORGIVES * 13, from);
        assert_eq!(guesses.0.len(), 0, "and in the end all is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_but_not_the_local_ones() {
        let (mut guesses, start) = (Guesses::default(), start());
        for number in 0..10 {
            guesses.wrong(start, address(&format!("2001:db8::{number:x}")));
            guesses.wrong(start, address(&format!("fd00::{number:x}")));
            guesses.wrong(start, address(&format!("fe80::{number:x}")));
        }
        assert_eq!(guesses.wait(start, address("2001:db8::ffff")), Some(LONGEST));
        assert_eq!(guesses.wait(start, address("2001:db8:0:1::1")), None);
        assert_eq!(guesses.wait(start, address("fd00::1")), None);
        assert_eq!(guesses.wait(start, address("fe80::1")), None);
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }

    #[test]
    fn a_flood_of_addresses_is_remembered_up_to_a_number() {
        let (mut guesses, start) = (Guesses::default(), start());
        for number in 0..1000_u32 {
            guesses.wrong(start + Duration::from_millis(number.into()), IpAddr::V4(number.into()));
        }
        assert_eq!(guesses.0.len(), MAX_ADDRESSES);
        assert!(guesses.0.iter().all(|guesser| guesser.address >= IpAddr::V4(744.into())), "the oldest went");
    }
}
