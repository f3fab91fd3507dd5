//! Lines of text between people: how many of them one may say, and to whom they go.
//!
//! Capacity: [`LINES`] at once and as many a second of a peer's own; of all links together [`BURST`] at once and [`ALL`] a
//! second, whatever they forward. Of what is left of those a link leaves as many as it took in the last [`MEMORY`], up to half of
//! them all: so sixty who shout are heard in turn, and who says a word now and then is heard at once. What is more is let go and
//! counted: it costs nobody his connection, for a person who holds a key down is no attacker.
//!
//! A link that ends leaves its account with its address, and the next one from there begins with it: who comes and goes is heard
//! no more than who stays. Capacity: [`MAX_ADDRESSES`]; of more, the quietest is forgotten. Of IPv6 a /64 counts as one, on the
//! local link and in unique local networks, too: there all who left are one, which costs a line more or less and no place.

use super::link::LinkId;
use crate::wire::record::{Hello, Text};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Lines a second of one who speaks.
const LINES: f64 = 5.0;

/// Lines a second of all: more than anybody reads.
const ALL: f64 = 8.0;

/// Lines of all at once: everybody at a big meeting greets who comes in.
const BURST: f64 = 40.0;

/// What a link took counts for less as time goes by: after so long for a third.
const MEMORY: Duration = Duration::from_secs(60);

/// Whoever took less than this of late is as good as one who has yet to speak.
const LEAST: f64 = 0.5;

/// Addresses whose links are gone and were heard.
const MAX_ADDRESSES: usize = 256;

/// Between two times that it is told how many lines were left out.
const TOLD: Duration = Duration::from_secs(10);

pub(super) struct Talk {
    heard: BTreeMap<LinkId, Heard>,
    /// Of links that are gone, by their addresses.
    gone: BTreeMap<IpAddr, Account>,
    /// What all may still say, and since when.
    left: f64,
    since: Option<Instant>,
    /// Lines left out and not told of, and since when.
    left_out: Option<(u64, Instant)>,
}

/// A link over which something was said.
struct Heard {
    address: IpAddr,
    account: Account,
}

/// What may still be said over a link by its peer itself, and what came over it lately.
#[derive(Clone, Copy)]
struct Account {
    since: Instant,
    own: f64,
    lately: f64,
}

impl Account {
    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.own = (self.own + passed * LINES).min(LINES);
        self.lately *= (-passed / MEMORY.as_secs_f64()).exp();
        self.since = now;
    }
}

impl Default for Talk {
    fn default() -> Self {
        Talk { heard: BTreeMap::new(), gone: BTreeMap::new(), left: BURST, since: None, left_out: None }
    }
}

impl Talk {
    /// Whether a line that came over a link from this address is taken: it is not empty, not too many came before it, and who
    /// forwards nothing speaks for itself.
    pub fn takes(&mut self, now: Instant, (link, from): (LinkId, IpAddr), hello: &Hello, text: &Text) -> bool {
        let own = text.origin == hello.id;
        if text.line.trim().is_empty() || !(own || hello.forwards()) {
            return false;
        }
        let passed = self.since.replace(now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.left = (self.left + passed.as_secs_f64() * ALL).min(BURST);
        let address = subnet(from);
        let of_address = || self.gone.get(&address).copied().unwrap_or(Account { since: now, own: LINES, lately: 0.0 });
        let account = &mut self.heard.entry(link).or_insert_with(|| Heard { address, account: of_address() }).account;
        account.pass(now);
        if (own && account.own < 1.0) || self.left < 1.0 + account.lately.min(BURST / 2.0) {
            self.left_out.get_or_insert((0, now)).0 += 1;
            return false;
        }
        account.own -= f64::from(u8::from(own));
        account.lately += 1.0;
        self.left -= 1.0;
        true
    }

    /// How many lines were left out, every now and then.
    pub fn take_left_out(&mut self, now: Instant) -> Option<u64> {
        self.left_out.take_if(|(_, since)| now >= *since + TOLD).map(|(count, _)| count)
    }

    /// A link took another's place.
    pub fn moved(&mut self, former: LinkId, link: LinkId) {
        if let Some(heard) = self.heard.remove(&former) {
            self.heard.insert(link, heard);
        }
    }

    /// A link is gone. Its account has in it what its address had before, so the two are not added.
    pub fn forget(&mut self, now: Instant, link: LinkId) {
        let Some(Heard { address, mut account }) = self.heard.remove(&link) else { return };
        account.pass(now);
        self.gone.values_mut().for_each(|account| account.pass(now));
        self.gone.retain(|_, account| account.lately >= LEAST);
        if let Some(former) = self.gone.get(&address) {
            (account.own, account.lately) = (account.own.min(former.own), account.lately.max(former.lately));
        }
        self.gone.insert(address, account);
        if self.gone.len() > MAX_ADDRESSES {
            let quietest = self.gone.iter().min_by(|one, other| one.1.lately.total_cmp(&other.1.lately));
            if let Some(address) = quietest.map(|(address, _)| *address) {
                self.gone.remove(&address);
            }
        }
    }
}

/// What has one account.
fn subnet(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::{FORWARDS, Media};
    use std::net::Ipv4Addr;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn hello(capabilities: u32) -> Hello {
        let (offers, wants, zeros) = (Media::LIVE, Media::LIVE, [0; 16]);
        let (id, resume, token) = ([1; 16], zeros, zeros);
        Hello { offers, wants, capabilities, id, resume, token, connection: 0, key: [0; 32], name: String::new() }
    }

    fn line(origin: u8, line: &str) -> Text {
        Text { origin: [origin; 16], name: String::new(), line: line.to_string() }
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn five_lines_a_second_are_taken_and_only_of_who_says_them() {
        let (mut talk, start) = (Talk::default(), Instant::now());
        let mut taken = |from: u64, until: u64, link, hello: &Hello, text: &Text| {
            let at = |ms| start + Duration::from_millis(ms);
            (from..until).filter(|ms| talk.takes(at(*ms), (LinkId(link), ADDRESS), hello, text)).count()
        };
        assert_eq!(taken(0, 1000, 1, &hello(0), &line(1, "hi")), 5 + 4, "a thousand are said in this second");
        assert_eq!(taken(1000, 2000, 1, &hello(0), &line(1, "hi")), 5);
        assert_eq!(taken(1000, 2000, 2, &hello(0), &line(9, "I am somebody else")), 0);
        assert_eq!(taken(3000, 4000, 1, &hello(0), &line(1, " \u{fffd}")), 5 + 4, "what is not seen was replaced");
        assert_eq!(taken(5000, 6000, 1, &hello(0), &line(1, "  ")), 0, "nothing is said");
        let through = taken(60_000, 61_000, 3, &hello(FORWARDS), &line(9, "through a meeting point"));
        assert!((19..=28).contains(&through), "{through} lines");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_meeting_point_has_five_lines_of_its_own_and_who_comes_back_no_more_than_before() {
        let (mut talk, now, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let taken = |talk: &mut Talk, link, origin| {
            (0..200).filter(|_| talk.takes(now, (LinkId(link), ADDRESS), &point, &line(origin, "hi"))).count()
        };
        assert_eq!([1, 2, 3, 1].map(|origin| taken(&mut talk, 7, origin)), [5, 15, 0, 0]);
        talk.moved(LinkId(7), LinkId(8));
        assert_eq!([1, 2].map(|origin| taken(&mut talk, 8, origin)), [0, 0]);
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn sixty_who_shout_fill_no_log_and_outshout_nobody() {
        let (mut talk, start, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let (mut shouted, mut said, mut told) = (0, 0, 0);
        for ms in 0..60_000 {
            let now = start + Duration::from_millis(ms);
            let say = |talk: &mut Talk, link, origin| {
                usize::from(talk.takes(now, (LinkId(link), ADDRESS), &point, &line(origin, "hi")))
            };
            shouted += say(&mut talk, ms % 60, 7);
            if ms % 10_000 == 9999 {
                said += say(&mut talk, 100, 1);
            }
            told += talk.take_left_out(now).unwrap_or(0);
        }
        assert!(shouted <= 40 + 8 * 60 && said == 6, "{shouted} lines and {said} of 6");
        assert!(told > 40_000, "{told} were told of");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn links_that_are_gone_are_remembered_by_address_up_to_a_number_and_for_a_time() {
        let (mut talk, start, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        for number in 0..1000_u32 {
            let (link, now) = (LinkId(number.into()), start + Duration::from_secs(number.into()) / 8);
            assert!(talk.takes(now, (link, IpAddr::V4(number.into())), &point, &line(7, "hi")));
            talk.forget(now, link);
            assert!(talk.gone.len() <= MAX_ADDRESSES);
        }
        assert!(talk.gone.keys().all(|address| *address >= IpAddr::V4(744.into())), "the quietest went");
        let (link, later) = (LinkId(1000), start + Duration::from_secs(300));
        assert!(talk.takes(later, (link, ADDRESS), &point, &line(7, "hi")));
        talk.forget(later, link);
        assert_eq!(talk.gone.len(), 1, "the others count for nothing any more");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn who_takes_a_new_address_of_the_local_link_for_each_line_outshouts_nobody() {
        let (mut talk, start, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let (mut shouted, mut said) = (0, 0);
        for number in 0..600_u64 {
            let (link, now) = (LinkId(number + 1000), start + Duration::from_millis(number * 100));
            let address = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number as u16));
            for _ in 0..5 {
                shouted += u32::from(talk.takes(now, (link, address), &point, &line(7, "hi")));
            }
            talk.forget(now, link);
            if number % 50 == 49 {
                said += u32::from(talk.takes(now, (LinkId(1), ADDRESS), &point, &line(1, "hi")));
            }
        }
        assert!(said == 12 && shouted > 100, "{said} of 12, and {shouted} of the other's");
    }
}
