//! A peer's datagrams come from somewhere else: it moved, or somebody on the way sends them on.

use super::by_hand::{challenge, drain, picture, private, sender};
use super::oscillator::Base;
use super::raw::Raw;
use super::scenarios::{ms, secs};
use eyeline_proto::session::{Core, Session};
use eyeline_proto::wire::datagram::Message;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A waiting sender and one that watches it, from `HOME`.
struct Watched {
    session: Session,
    now: Instant,
    raw: Raw,
    pictures: u64,
}

fn home() -> SocketAddr {
    private(9, 9688)
}

fn elsewhere() -> SocketAddr {
    private(66, 4444)
}

impl Watched {
    fn new() -> Watched {
        let now = Base::new().instant(1_000_000_000);
        let mut session = sender(now, 0, None);
        let raw = Raw::join(&mut session, now);
        let mut watched = Watched { session, now, raw, pictures: 0 };
        watched.pass(ms(200));
        watched
    }

    fn send(&mut self, from: SocketAddr, message: &Message<'_>) {
        self.raw.address = from;
        self.raw.send(&mut self.session, self.now, message);
    }

    /// Time goes by; what is sent meanwhile, opened, with its address and length. Probes of the path are answered.
    fn pass(&mut self, time: Duration) -> Vec<(SocketAddr, usize, Vec<u8>)> {
        let (end, mut sent) = (self.now + time, Vec::new());
        while self.now < end {
            self.now += ms(5);
            self.session.handle_timeout(self.now);
            for (to, bytes) in drain(&mut self.session, self.now).datagrams {
                let len = bytes.len();
                self.raw.address = to;
                for (_, plain) in self.raw.open(vec![(to, bytes)]) {
                    if let Ok(Message::Probe(number)) = Message::decode(&plain) {
                        self.send(to, &Message::ProbeAck(number));
                    }
                    sent.push((to, len, plain));
                }
            }
        }
        sent
    }

    /// Where a picture goes.
    fn pictures_go_to(&mut self) -> SocketAddr {
        picture(&mut self.session, self.now, self.pictures, 10_000);
        self.pictures += 1;
        let sent = drain(&mut self.session, self.now).datagrams;
        let mut to: Vec<_> = sent.iter().filter(|(_, bytes)| bytes.len() > 1000).map(|(to, _)| *to).collect();
        to.dedup();
        assert_eq!(
            to.len(),
            1,
            "a picture goes to one address: {:?}",
            sent.iter().map(|(to, bytes)| (*to, bytes.len())).collect::<Vec<_>>()
        );
        to[0]
    }
}

fn challenges(sent: &[(SocketAddr, usize, Vec<u8>)], address: SocketAddr) -> Vec<[u8; 8]> {
    sent.iter().filter(|(to, ..)| *to == address).filter_map(|(_, _, plain)| challenge(plain)).collect()
}

/// Somebody on the way is faster than the path: all that the peer sends comes from its address first, and what is sent there it
/// hands on. The peer, which has not moved, answers everything.
#[test]
fn a_relay_that_hands_challenges_on_does_not_get_the_video() {
    let mut watched = Watched::new();
    let mut asked = 0;
    for _ in 0..40 {
        watched.send(elsewhere(), &Message::Ping(0));
        let sent = watched.pass(ms(50));
        let tokens = [challenges(&sent, elsewhere()), challenges(&sent, home())].concat();
        asked += tokens.len();
        for token in tokens {
            watched.send(elsewhere(), &Message::Response(token));
        }
        assert_eq!(watched.pictures_go_to(), home());
    }
    assert!((2..20).contains(&asked), "both addresses are asked, and not all the time: {asked}");
}

#[test]
fn a_peer_that_moved_is_followed_as_soon_as_its_old_address_had_time_to_answer() {
    let mut watched = Watched::new();
    watched.send(elsewhere(), &Message::Ping(0));
    let sent = watched.pass(ms(10));
    let [token] = challenges(&sent, elsewhere())[..] else { panic!("one challenge") };
    assert_eq!(challenges(&sent, home()).len(), 1, "the old address is asked as well");
    watched.send(elsewhere(), &Message::Response(token));
    assert_eq!(watched.pictures_go_to(), home(), "it may still be there");
    watched.pass(ms(250));
    assert_eq!(watched.pictures_go_to(), elsewhere());
}

/// One genuine datagram, sent on under the address of a victim, or a hundred: what comes back is three times their bytes at most.
#[test]
fn an_address_that_proved_nothing_gets_three_times_its_bytes_at_most() {
    for datagrams in [1, 3, 100] {
        let mut watched = Watched::new();
        let (mut came, mut sent) = (0, Vec::new());
        for number in 0..datagrams {
            let message = if number % 2 == 0 { Message::Ping(0) } else { Message::Challenge([7; 8]) };
            watched.send(elsewhere(), &message);
            came += 33;
            sent.extend(watched.pass(ms(10)));
        }
        sent.extend(watched.pass(secs(5)));
        let there: usize = sent.iter().filter(|(to, ..)| *to == elsewhere()).map(|(_, len, _)| len).sum();
        assert!((33..=3 * came).contains(&there), "{there} bytes for {came}");
    }
}
