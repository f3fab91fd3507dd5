//! The keys that a process has: the shared one, those of machines it was paired with, and the six digits by which one more is.
//!
//! A waiting side tries each key it has on a dialler's first message, which only the right one opens; so nothing on the wire says
//! who dials. A dialler has one for each host: the pair's, where it was paired with what is called so, else the shared one.
//!
//! **Guessing.** A code has a million values, and a guess costs a connection ([`Pairing`]). After [`MOST_TRIES`] exchanges
//! that came to nothing there is no pairing for [`PAUSE`], and then another code: whoever tries all day has tried one in seventy.
//! An exchange counts from its begin, for who leaves in the middle may have learnt enough. Anybody who reaches us can so keep
//! others from pairing for as long as he goes on. A dialler shows its own code's proof to whatever answers: that is done once for
//! each code that is typed ([`Link::spent`](super::link::Link::spent)).
//!
//! Capacity: [`MOST_PAIRS`] pairs; of more, the oldest is forgotten.

use super::HostId;
use crate::crypto::{Agreed, Code, Pairing, Psk, Side};
use crate::wire::preamble::Refusal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Exchanges that came to nothing, after which there is a pause.
pub const MOST_TRIES: u32 = 10;

/// For so long.
pub const PAUSE: Duration = Duration::from_secs(60);

/// Machines that one is paired with. A first message is tried with the key of each: 256 take 0.3 ms.
pub const MOST_PAIRS: usize = 256;

/// A machine that we were paired with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What it called itself then.
    pub name: String,
    pub key: Psk,
}

/// What a process begins with.
#[derive(Debug, Default)]
pub struct Keys {
    /// Those it was paired with before, the oldest first.
    pub pairs: Vec<Pair>,
    /// Of each host that is dialled, which pair it is.
    pub hosts: BTreeMap<HostId, Pair>,
    /// The code by which hosts that are no pair yet become one.
    pub typed: Option<Code>,
    /// Who dials us may become one: a code is made for it.
    pub invites: bool,
    /// Without a key nobody is let in, whatever the address.
    pub pairs_only: bool,
}

/// How it is known who is at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is not.
    Nothing,
    /// It has the shared key.
    Shared,
    /// It has the key that only this machine and ours have.
    Paired(Pair),
    /// It knew the code; from now on it has this key.
    Pairing(Psk),
}

/// What a peer's name is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has the key of the machine that was paired with under this name.
    Paired(String),
    /// It is called as one, and has not its key.
    Unproved,
    /// Neither.
    Unknown,
}

/// A code that is to be shown, and why it is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// The first, or the one after a machine that was paired.
    Shown(Code),
    /// So many were wrong that nobody is paired for [`PAUSE`]; then this is the code.
    Paused(Code),
}

struct Open {
    code: Code,
    tries: u32,
    /// Nobody is paired before this moment.
    until: Option<Instant>,
}

/// See the module text.
pub struct Keyring {
    shared: Option<Psk>,
    keys: Keys,
    open: Option<Open>,
    news: Option<Invitation>,
}

/// With what a host is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dial {
    Plain,
    Keyed(Psk, Proof),
    Pairing(Code),
}

impl Keyring {
    /// Of a process that has this key, or none, beside those of its pairs.
    pub fn new(shared: Option<Psk>, keys: Keys) -> Keyring {
        let mut ring = Keyring { shared, keys, open: None, news: None };
        if ring.keys.invites {
            ring.invite();
        }
        ring
    }

    /// Shows a fresh code.
    fn invite(&mut self) {
        let code = Code::random();
        self.news = Some(Invitation::Shown(code.clone()));
        self.open = Some(Open { code, tries: 0, until: None });
    }

    /// A code that is to be shown, once.
    pub fn poll_news(&mut self) -> Option<Invitation> {
        self.news.take()
    }

    /// A host that is to be dialled now is this pair, or none.
    pub fn means(&mut self, host: HostId, pair: Option<Pair>) {
        self.keys.hosts.extend(pair.map(|pair| (host, pair)));
    }

    /// How a host is to be dialled.
    pub fn dial(&self, host: HostId) -> Dial {
        match (self.keys.hosts.get(&host), &self.keys.typed, &self.shared) {
            (Some(pair), ..) => Dial::Keyed(pair.key.clone(), Proof::Paired(pair.clone())),
            (None, Some(code), _) => Dial::Pairing(code.clone()),
            (None, None, Some(shared)) => Dial::Keyed(shared.clone(), Proof::Shared),
            (None, None, None) => Dial::Plain,
        }
    }

    /// Whether what answers for a host can prove that it is the one we mean.
    pub fn proves(&self, host: HostId) -> bool {
        matches!(self.dial(host), Dial::Keyed(..))
    }

    /// Whether who has no key at all may be let in.
    pub fn lets_in_unknown(&self) -> bool {
        self.shared.is_none() && !self.keys.pairs_only
    }

    /// Whether anybody could prove who he is: then strangers of any address may try.
    pub fn has_any(&self) -> bool {
        self.shared.is_some() || !self.keys.pairs.is_empty() || self.open.is_some()
    }

    /// Whether there is one that is not of a pair.
    pub fn has_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The keys that a dialler may have, each with what it proves.
    pub fn candidates(&self) -> impl Iterator<Item = (&Psk, Proof)> {
        let shared = self.shared.iter().map(|key| (key, Proof::Shared));
        shared.chain(self.keys.pairs.iter().map(|pair| (&pair.key, Proof::Paired(pair.clone()))))
    }

    /// Whether a machine was paired with that called itself so.
    pub fn knows_name(&self, name: &str) -> bool {
        self.keys.pairs.iter().any(|pair| pair.name.to_lowercase() == name.to_lowercase())
    }

    /// A dialler wants to be paired: what came out of our half with its message, and ours; or why not.
    pub fn pair(&mut self, now: Instant, message: &[u8]) -> Result<(Agreed, Vec<u8>), Refused> {
        let open = self.open.as_mut().ok_or(Refused::NotAsked)?;
        if let Some(until) = open.until {
            if now < until {
                return Err(Refused::Paused(until - now));
            }
            open.until = None;
        }
        let (ours, answer) = Pairing::start(Side::Listener, &open.code);
        let agreed = ours.finish(message).map_err(|_| Refused::Malformed)?;
        open.tries += 1;
        if open.tries >= MOST_TRIES {
            // This one may be right still: it was begun with the code that was shown.
            let code = Code::random();
            self.news = Some(Invitation::Paused(code.clone()));
            *open = Open { code, tries: 0, until: Some(now + PAUSE) };
        }
        Ok((agreed, answer))
    }

    /// A machine was paired with, and by way of this host where we dialled it.
    pub fn paired(&mut self, pair: Pair, host: Option<HostId>) {
        match host {
            Some(host) => _ = self.keys.hosts.insert(host, pair.clone()),
            // The next one has another code.
            None if self.open.is_some() => self.invite(),
            None => {}
        }
        if self.keys.pairs.len() >= MOST_PAIRS {
            self.keys.pairs.remove(0);
        }
        self.keys.pairs.push(pair);
    }
}

/// Why a waiting side does not pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the waiting side is not there to be paired with: start it with --pair, and type the code that it shows")]
    NotAsked,
    #[error("too many wrong codes came to the waiting side: it pairs again in {} s, with another code", .0.as_secs() + 1)]
    Paused(Duration),
    #[error("what came is no pairing message: check that both sides run the same version")]
    Malformed,
}

impl Refused {
    /// The same, on the wire.
    pub fn refusal(self) -> Refusal {
        match self {
            Refused::NotAsked | Refused::Paused(_) => Refusal::NoPairing,
            Refused::Malformed => Refusal::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inviting() -> Keyring {
        Keyring::new(None, Keys { invites: true, ..Keys::default() })
    }

    fn shown(ring: &mut Keyring) -> Code {
        match ring.poll_news() {
            Some(Invitation::Shown(code) | Invitation::Paused(code)) => code,
            None => panic!("no code"),
        }
    }

    /// One exchange with this code; whether both came to the same keys.
    fn tries(ring: &mut Keyring, now: Instant, code: &Code) -> Result<bool, Refused> {
        let (ours, message) = Pairing::start(Side::Dialler, code);
        let (agreed, answer) = ring.pair(now, &message)?;
        Ok(ours.finish(&answer).expect("a point") == agreed)
    }

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn after_ten_wrong_codes_there_is_a_minutes_pause_and_another_code() {
        let (mut ring, now) = (inviting(), start());
        let first = shown(&mut ring);
        let wrong = if first == Code::parse("000000").unwrap() { "000001" } else { "000000" };
        let wrong = Code::parse(wrong).unwrap();
        assert_eq!(ring.poll_news(), None, "it is said once");
        for _ in 0..MOST_TRIES {
            assert_eq!(tries(&mut ring, now, &wrong), Ok(false));
        }
        let Some(Invitation::Paused(second)) = ring.poll_news() else { panic!("it is said") };
        assert_eq!(tries(&mut ring, now, &second), Err(Refused::Paused(PAUSE)));
        let later = now + PAUSE - Duration::from_millis(1);
        assert!(tries(&mut ring, later, &second).unwrap_err().to_string().contains("in 1 s"));
        assert_eq!(tries(&mut ring, now + PAUSE, &first), Ok(first == second), "the old one is none any more");
        assert_eq!(tries(&mut ring, now + PAUSE, &second), Ok(true));
    }

    #[test]
    fn a_code_is_good_for_one_machine_and_its_tries_are_its_own() {
        let (mut ring, now) = (inviting(), start());
        let first = shown(&mut ring);
        assert_eq!(tries(&mut ring, now, &first), Ok(true));
        ring.paired(Pair { name: "kitchen".into(), key: Psk::from_bytes([1; 32]) }, None);
        let second = shown(&mut ring);
        for _ in 0..MOST_TRIES - 1 {
            assert_eq!(tries(&mut ring, now, &first), Ok(first == second));
        }
        assert_eq!(ring.poll_news(), None, "nine");
    }

    #[test]
    fn a_host_that_was_paired_with_is_dialled_with_its_key_and_others_with_the_shared_one() {
        let (shared, pair) = (Psk::from_bytes([1; 32]), Pair { name: "kitchen".into(), key: Psk::from_bytes([2; 32]) });
        let keys = || Keys { hosts: BTreeMap::from([(HostId(1), pair.clone())]), ..Keys::default() };
        let ring = Keyring::new(Some(shared.clone()), keys());
        assert_eq!(ring.dial(HostId(0)), Dial::Keyed(shared, Proof::Shared));
        assert_eq!(ring.dial(HostId(1)), Dial::Keyed(pair.key.clone(), Proof::Paired(pair.clone())));
        let mut ring = Keyring::new(None, Keys { typed: Code::parse("123456"), ..keys() });
        assert_eq!((ring.proves(HostId(0)), ring.proves(HostId(1))), (false, true));
        assert_eq!(ring.dial(HostId(0)), Dial::Pairing(Code::parse("123456").unwrap()));
        let keyed = Keyring::new(Some(Psk::from_bytes([1; 32])), Keys { typed: Code::parse("123456"), ..Keys::default() });
        assert!(!keyed.proves(HostId(0)), "a code that is wrong stays wrong, whatever other key there is");
        ring.paired(Pair { name: "lab".into(), key: Psk::from_bytes([3; 32]) }, Some(HostId(0)));
        assert!(
            matches!(ring.dial(HostId(0)), Dial::Keyed(_, Proof::Paired(pair)) if pair.name == "lab"),
            "it comes back with it"
        );
        assert_eq!(ring.candidates().count(), 1, "and may dial us with it");
    }

    #[test]
    fn of_too_many_pairs_the_oldest_is_forgotten() {
        let mut ring = Keyring::new(None, Keys::default());
        for number in 0..MOST_PAIRS + 3 {
            ring.paired(Pair { name: format!("{number}"), key: Psk::from_bytes([number as u8; 32]) }, None);
        }
        assert_eq!((ring.keys.pairs.len(), ring.keys.pairs[0].name.as_str()), (MOST_PAIRS, "3"));
        assert!(ring.lets_in_unknown() && ring.has_any() && ring.poll_news().is_none());
    }
}
