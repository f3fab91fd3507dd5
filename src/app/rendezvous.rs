//! How programs find each other: who we are, where we wait and whom we dial, and when a host that cannot be reached is given up.

use super::args::{Common, Host, Rendezvous};
use super::failure::Failure;
use super::pairs::Pairs;
use super::status::ExitCode;
use crate::net::discovery::Directory;
use crate::net::{self, By};
use eyeline_proto::session::HostId;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::unreachable::{DialError, Unreachable};
use eyeline_proto::wire::preamble::Refusal;
use eyeline_proto::wire::record::Media;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Who we are, but for what we have and want.
pub fn identity(common: &Common) -> Identity {
    let id = eyeline_proto::crypto::random();
    let (offers, wants, psk) = (Media::NONE, Media::NONE, common.key.clone());
    // What is written of sound is what was caught: it is to come as samples.
    let opus = common.recording.file.is_none();
    Identity { offers, wants, forwards: false, asks: false, opus, direct: common.direct, psk, id, name: name(common) }
}

/// What we are called.
pub fn name(common: &Common) -> String {
    common.name.clone().unwrap_or_else(machine_name)
}

/// This machine's name, for the other side's window.
pub fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "somebody".to_string() } else { name.to_string() }
}

/// What we are called on this network: a machine's name without its domain.
pub fn announced_name(common: &Common) -> String {
    let machine = || machine_name().split('.').next().unwrap_or_default().to_string();
    common.name.clone().unwrap_or_else(machine)
}

/// What `net` is told, and how many hosts there are to dial.
pub fn net_config(rendezvous: &Rendezvous, directory: Directory) -> (net::Config, usize) {
    let dialled = |host: &Host| net::Host { name: host.name.clone(), port: host.port, by: By::Name };
    let hosts: Vec<_> = rendezvous.dial.iter().map(dialled).collect();
    let (count, listen) = (hosts.len(), rendezvous.wait.is_some());
    let (bind, port) = rendezvous.wait.map_or((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0), |address| (address.ip(), address.port()));
    (net::Config { bind, port, listen, hosts, directory, last_flush: net::LAST_FLUSH }, count)
}

/// Which of the hosts to dial can be reached. An outage is worth a line, not two a second, and so is each other kind of trouble
/// that it turns into. What was said before is news again [`Reachability::NEWS`] after the last line, if that said something
/// else, and [`Outage::AGAIN`] times: two that take turns do not fill the screen.
pub struct Reachability {
    /// The programs that answer ours.
    others: &'static str,
    names: Vec<String>,
    /// What those are called that were paired with.
    pairs: BTreeMap<HostId, String>,
    /// Somebody may dial us.
    waits: bool,
    reconnect: bool,
    outages: BTreeMap<HostId, Outage>,
    hopeless: BTreeSet<HostId>,
    ever_reached: bool,
}

/// What was said of a host since it was last reached.
struct Outage {
    /// The first of each kind.
    kinds: Vec<Unreachable>,
    /// The last of all.
    last: Unreachable,
    at: Instant,
    /// Lines of a kind that was said before.
    again: usize,
}

impl Outage {
    /// More of them are not said of one outage.
    const AGAIN: usize = 8;
}

impl Reachability {
    const NEWS: Duration = Duration::from_secs(60);

    /// Of `program`; none reached yet.
    pub fn new(program: &str, common: &Common, pairs: &Pairs) -> Self {
        let others = match program {
            "send" => "`recv` or `call`",
            "recv" => "`send` or `call`",
            _ => "`send`, `recv` or `call`",
        };
        let names = common.rendezvous.dial.iter().map(|host| format!("{host}")).collect();
        let waits = common.rendezvous.wait.is_some();
        let pairs = pairs.keys(common).hosts.into_iter().map(|(host, pair)| (host, pair.name)).collect();
        Reachability {
            others,
            names,
            pairs,
            waits,
            reconnect: common.reconnect,
            outages: BTreeMap::new(),
            hopeless: BTreeSet::new(),
            ever_reached: false,
        }
    }

    /// One more host is dialled.
    pub fn add(&mut self, name: &str) {
        self.names.push(name.to_string());
    }

    /// A host is one that was paired with.
    pub fn means(&mut self, host: HostId, pair: &str) {
        self.pairs.insert(host, pair.to_string());
    }

    /// A peer said hello.
    pub fn answered(&mut self) {
        self.ever_reached = true;
    }

    /// A peer is here, by way of this host; its trouble is news again from now on.
    pub fn reached(&mut self, host: HostId) {
        self.outages.remove(&host);
    }

    /// How many outages were told of and are not over.
    #[cfg(test)]
    pub fn news(&self) -> usize {
        self.outages.values().map(|outage| outage.kinds.len() + outage.again).sum()
    }

    /// A host could not be reached; `fatal`: and will not be dialled again. Fails when no host is left to dial, and nobody is
    /// waited for.
    pub fn unreachable(&mut self, now: Instant, host: HostId, error: &Unreachable, fatal: bool) -> Result<(), Failure> {
        if fatal || !self.reconnect {
            self.hopeless.insert(host);
            if self.hopeless.len() >= self.names.len() && !self.waits {
                let code = if fatal && !self.ever_reached { ExitCode::Failed } else { ExitCode::PeerLost };
                return Err(Failure::new(code, self.sentence(host, error)));
            }
        }
        if self.is_news(now, host, error) {
            match fatal || !self.reconnect {
                true => tracing::error!("{}", self.sentence(host, error)),
                false => tracing::warn!("{} (dialling on until {})", self.sentence(host, error), awaited(error)),
            }
        }
        Ok(())
    }

    /// What is wrong, and what to look for.
    fn sentence(&self, host: HostId, error: &Unreachable) -> String {
        match error {
            Unreachable::TurnedAway { from, refusal: Refusal::KeyWrong | Refusal::KeyMissing, .. }
                if let Some(pair) = self.pairs.get(&host) =>
            {
                format!(
                    "WHAT ANSWERS AT {from} IS NOT THE {pair} THAT WAS PAIRED WITH, or that one has forgotten it: nothing is sent. If it was \
                     set up anew, start it with --pair, and this side with --pair, too; --forget {pair} dials it as a stranger again"
                )
            }
            Unreachable::Dial(DialError::Refused { port, .. }) => {
                format!("{error}: is {} running there, and on port {port}?", self.others)
            }
            error => error.to_string(),
        }
    }

    fn is_news(&mut self, now: Instant, host: HostId, error: &Unreachable) -> bool {
        let Some(outage) = self.outages.get_mut(&host) else {
            self.outages.insert(host, Outage { kinds: vec![error.clone()], last: error.clone(), at: now, again: 0 });
            return true;
        };
        if !outage.kinds.iter().any(|said| said.is_like(error)) {
            outage.kinds.push(error.clone());
        } else if outage.last != *error && now >= outage.at + Self::NEWS && outage.again < Outage::AGAIN {
            outage.again += 1;
        } else {
            return false;
        }
        (outage.last, outage.at) = (error.clone(), now);
        true
    }
}

/// What ends the trouble.
fn awaited(error: &Unreachable) -> &'static str {
    match error {
        Unreachable::Full { .. } => "there is one",
        Unreachable::Taken(_) => "that one is gone",
        _ => "it answers",
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, Env, recv};
    use super::*;

    fn hosts(flags: &str) -> Reachability {
        match recv::parse(format!("recv {flags}").split(' ').map(std::ffi::OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => Reachability::new("recv", &config.common, &Pairs::default()),
            other => panic!("{other:?}"),
        }
    }

    fn unknown(name: &str) -> Unreachable {
        DialError::UnknownName { name: name.to_string(), why: "Name or service not known".to_string() }.into()
    }

    fn nobody() -> Unreachable {
        DialError::Refused { host: "camera:9688".to_string(), port: 9688 }.into()
    }

    #[test]
    fn a_host_that_may_answer_later_is_dialled_on_and_one_that_never_will_ends_it() {
        let now = Instant::now();
        for error in [nobody(), unknown("camera")] {
            let mut one = hosts("--host camera");
            assert!(one.unreachable(now, HostId(0), &error, false).is_ok(), "it may be there later: {error}");
            assert_eq!(one.unreachable(now, HostId(0), &error, true).expect_err("no use").code, ExitCode::Failed);
            let mut one = hosts("--host camera --no-reconnect");
            assert_eq!(one.unreachable(now, HostId(0), &error, false).expect_err("once").code, ExitCode::PeerLost);
            let mut one = hosts("--host camera");
            one.answered();
            assert_eq!(one.unreachable(now, HostId(0), &error, true).expect_err("no use").code, ExitCode::PeerLost);
        }
    }

    #[test]
    fn one_hopeless_host_however_often_told_does_not_give_up_the_others() {
        let now = Instant::now();
        let mut two = hosts("--host camera");
        two.names.push("other:9688".to_string());
        for _ in 0..5 {
            assert!(two.unreachable(now, HostId(0), &nobody(), true).is_ok());
        }
        assert!(two.unreachable(now, HostId(1), &nobody(), true).is_err(), "none is left");
    }

    #[test]
    fn the_outage_of_a_host_goes_on_when_another_is_reached() {
        let (mut two, now) = (hosts("--host camera"), Instant::now());
        two.names.push("other:9688".to_string());
        assert!(two.is_news(now, HostId(0), &nobody()) && two.is_news(now, HostId(1), &nobody()));
        two.reached(HostId(1));
        assert!(!two.is_news(now, HostId(0), &nobody()), "it was said");
        assert!(two.is_news(now, HostId(1), &nobody()), "its next outage");
    }

    #[test]
    fn an_outage_is_worth_one_line_and_each_other_kind_of_trouble_one_at_once_and_again_a_minute_later() {
        let (mut one, start) = (hosts("--host camera"), Instant::now());
        let mut lines = Vec::new();
        for second in 0..3600 {
            for error in [nobody(), unknown("camera")] {
                if one.is_news(start + Duration::from_secs(second), HostId(0), &error) {
                    lines.push((second, error));
                }
            }
        }
        assert_eq!(lines[..4], [(0, nobody()), (0, unknown("camera")), (60, nobody()), (120, unknown("camera"))]);
        assert_eq!(lines.len(), 2 + Outage::AGAIN, "two that take turns");
        let refused = |refusal, sentence: &str| {
            let from = "192.0.2.1:9688".parse().expect("an address");
            Unreachable::TurnedAway { from, refusal, sentence: sentence.to_string() }
        };
        let hour = start + Duration::from_secs(3600);
        assert!(one.is_news(hour, HostId(0), &refused(Refusal::KeyWrong, "different keys")), "this is for the user to mend");
        assert!(one.is_news(hour, HostId(0), &refused(Refusal::KeyMissing, "no key")), "and this is another mistake");
        assert!(!one.is_news(hour, HostId(0), &refused(Refusal::KeyWrong, "other words")), "which are no other kind");
        one.reached(HostId(0));
        assert!(one.is_news(hour, HostId(0), &nobody()), "the next outage is news");
        assert!(!one.is_news(hour + Reachability::NEWS, HostId(0), &nobody()), "and nothing new");
    }
}
