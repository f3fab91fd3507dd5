//! How the two programs find each other, in words: what is announced, what is warned of, when it is given up.

use super::args::{Common, Meet};
use super::failure::{Code, Failure};
use super::status::ExitCode;
use crate::crypto::Psk;
use crate::net;
use crate::session::HostId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The key both sides must have, made ready.
pub fn psk(common: &Common) -> Result<Option<Psk>, Failure> {
    common.key.as_ref().map(|key| Psk::derive(key.expose())).transpose().code(ExitCode::Failed)
}

/// This machine's name, for the other side's window.
pub fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "somebody".to_string() } else { name.to_string() }
}

/// What `net` is told, and how many hosts there are to dial.
pub fn net_config(meet: &Meet) -> (net::Config, usize) {
    match meet {
        Meet::Wait(address) => (net::Config { bind: address.ip(), port: address.port(), listen: true, hosts: Vec::new() }, 0),
        Meet::Dial(hosts) => {
            let hosts: Vec<_> = hosts.iter().map(|host| (host.name.clone(), host.port)).collect();
            let count = hosts.len();
            (net::Config { bind: IpAddr::V6(Ipv6Addr::UNSPECIFIED), port: 0, listen: false, hosts }, count)
        }
    }
}

/// Says where we wait or whom we dial, and who is let in.
pub fn announce(program: &str, meet: &Meet, keyed: bool, local: SocketAddr) {
    let other = if program == "send" { "recv" } else { "send" };
    match meet {
        Meet::Wait(_) => {
            let who = match keyed {
                true => "whoever has the key is let in",
                false => "without --key anybody of a private network is let in",
            };
            tracing::info!("waiting on port {} (UDP and TCP) for `{other} --host {}`; {who}", local.port(), machine_name());
        }
        Meet::Dial(hosts) => {
            let names: Vec<_> = hosts.iter().map(|host| format!("{host}")).collect();
            tracing::info!("dialling {}", names.join(", "));
        }
    }
}

/// TCP passes and UDP does not.
pub fn warn_no_udp(peer: SocketAddr, meet: &Meet) {
    let port = match meet {
        Meet::Wait(address) => address.port(),
        Meet::Dial(_) => peer.port(),
    };
    tracing::warn!(
        "TCP reaches {peer}, but no UDP comes through: pictures need UDP port {port}; open it in the firewall of the waiting side"
    );
}

/// What became of the hosts to dial. Each trouble is said once, not twice a second.
pub struct Hosts {
    names: Vec<String>,
    reconnect: bool,
    said: BTreeMap<HostId, String>,
    hopeless: BTreeSet<HostId>,
    ever_reached: bool,
}

impl Hosts {
    /// None reached yet.
    pub fn new(common: &Common) -> Self {
        let names = match &common.meet {
            Meet::Wait(_) => Vec::new(),
            Meet::Dial(hosts) => hosts.iter().map(|host| format!("{host}")).collect(),
        };
        Hosts { names, reconnect: common.reconnect, said: BTreeMap::new(), hopeless: BTreeSet::new(), ever_reached: false }
    }

    /// A peer said hello: from now on trouble is news again.
    pub fn reached(&mut self) {
        self.said.clear();
        self.ever_reached = true;
    }

    /// A host could not be reached. Fails when no host is left to try: each turned us away, has a name that means nothing, or is not
    /// dialled again.
    pub fn unreachable(&mut self, host: HostId, sentence: &str, fatal: bool) -> Result<(), Failure> {
        // A name that was good once may be so again: name servers fail like other machines.
        let refused = fatal || (sentence.starts_with("unknown host") && !self.ever_reached);
        if refused || !self.reconnect {
            self.hopeless.insert(host);
            if self.hopeless.len() >= self.names.len() {
                let code = if refused && !self.ever_reached { ExitCode::Failed } else { ExitCode::PeerLost };
                return Err(Failure::new(code, sentence));
            }
        }
        if self.said.get(&host).is_none_or(|said| said != sentence) {
            self.said.insert(host, sentence.to_string());
            match fatal || !self.reconnect {
                true => tracing::error!("{sentence}"),
                false => tracing::warn!("{sentence} (dialling on until it answers)"),
            }
        }
        Ok(())
    }
}

/// Says who was turned away, and does not let strangers fill the screen with it. Capacity: [`Doorman::LINES`] lines each
/// [`Doorman::WHILE`]; the same sentence for one address is said once in it.
#[derive(Default)]
pub struct Doorman {
    said: Vec<(IpAddr, String, Instant)>,
    unsaid: u64,
}

impl Doorman {
    const LINES: usize = 3;
    const WHILE: Duration = Duration::from_secs(10);

    /// Somebody was turned away.
    pub fn turned_away(&mut self, from: SocketAddr, sentence: &str) {
        if let Some(line) = self.line(Instant::now(), from, sentence.trim()) {
            tracing::warn!("{line}");
        }
    }

    fn line(&mut self, now: Instant, from: SocketAddr, sentence: &str) -> Option<String> {
        self.said.retain(|(.., at)| now < *at + Self::WHILE);
        let again = self.said.iter().any(|(ip, said, _)| *ip == from.ip() && said == sentence);
        if again || self.said.len() >= Self::LINES {
            self.unsaid += 1;
            return None;
        }
        self.said.push((from.ip(), sentence.to_string(), now));
        let others = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            others => format!(" (and {others} connections before it)"),
        };
        Some(format!("{from} was turned away: {sentence}{others}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, Env, recv};
    use super::*;

    fn hosts(flags: &str) -> Hosts {
        match recv::parse(format!("recv {flags}").split(' ').map(std::ffi::OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => Hosts::new(&config.common),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_host_that_may_answer_later_is_dialled_on_and_one_that_never_will_ends_it() {
        let mut one = hosts("--host camera");
        assert!(one.unreachable(HostId(0), "nobody is waiting", false).is_ok());
        assert_eq!(one.unreachable(HostId(0), "it turned us away", true).expect_err("no use").code, ExitCode::Failed);
        let mut one = hosts("--host camera");
        assert_eq!(one.unreachable(HostId(0), "unknown host camera", false).expect_err("no use").code, ExitCode::Failed);
        let mut one = hosts("--host camera --no-reconnect");
        assert_eq!(one.unreachable(HostId(0), "nobody is waiting", false).expect_err("once").code, ExitCode::PeerLost);
        let mut one = hosts("--host camera");
        one.reached();
        assert!(one.unreachable(HostId(0), "unknown host camera", false).is_ok(), "its name was good once");
        assert_eq!(one.unreachable(HostId(0), "it has a key now", true).expect_err("no use").code, ExitCode::PeerLost);
    }

    #[test]
    fn one_unknown_host_however_often_dialled_does_not_give_up_the_others() {
        let mut two = hosts("--host camera");
        two.names.push("other:9688".to_string());
        for _ in 0..5 {
            assert!(two.unreachable(HostId(0), "unknown host camera", false).is_ok());
        }
        assert!(two.unreachable(HostId(1), "unknown host other", false).is_err(), "none is left");
    }

    #[test]
    fn who_knocks_a_thousand_times_gets_a_few_lines_and_a_number() {
        let (mut doorman, start) = (Doorman::default(), Instant::now());
        let from: SocketAddr = "10.0.0.7:1234".parse().expect("an address");
        let first = doorman.line(start, from, "what came is not Eyeline");
        assert_eq!(first.as_deref(), Some("10.0.0.7:1234 was turned away: what came is not Eyeline"));
        let lines = (0..1000).filter_map(|n| doorman.line(start, from, &format!("a message of {n} bytes"))).count();
        assert_eq!(lines, Doorman::LINES - 1);
        let later = doorman.line(start + Doorman::WHILE, from, "the keys differ");
        assert_eq!(later.as_deref(), Some("10.0.0.7:1234 was turned away: the keys differ (and 998 connections before it)"));
    }
}
