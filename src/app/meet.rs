//! How the two programs find each other, in words: what is announced, what is warned of, when it is given up.

use super::args::{Common, Meet};
use super::failure::{Code, Failure};
use super::status::ExitCode;
use crate::crypto::Psk;
use crate::net;
use crate::session::HostId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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
    said: BTreeMap<HostId, String>,
    lost: usize,
    ever_reached: bool,
}

impl Hosts {
    /// None reached yet.
    pub fn new(meet: &Meet) -> Self {
        let names = match meet {
            Meet::Wait(_) => Vec::new(),
            Meet::Dial(hosts) => hosts.iter().map(|host| format!("{host}")).collect(),
        };
        Hosts { names, said: BTreeMap::new(), lost: 0, ever_reached: false }
    }

    /// A peer said hello: from now on trouble is news again.
    pub fn reached(&mut self) {
        self.said.clear();
        self.ever_reached = true;
    }

    /// A host could not be reached. Fails when no host is left to try, or its name never meant anything.
    pub fn unreachable(&mut self, host: HostId, sentence: &str, fatal: bool) -> Result<(), Failure> {
        let name = self.names.get(host.0).map_or("the host", String::as_str);
        let unknown = sentence.starts_with("unknown host") && !self.ever_reached;
        if fatal || unknown {
            self.lost += 1;
            let code = if self.ever_reached { ExitCode::PeerLost } else { ExitCode::Failed };
            if self.lost >= self.names.len() {
                return Err(Failure::new(code, sentence));
            }
            tracing::error!("{name}: {sentence}");
        } else if self.said.get(&host).is_none_or(|said| said != sentence) {
            tracing::warn!("{sentence}; trying again until it is there");
            self.said.insert(host, sentence.to_string());
        }
        Ok(())
    }
}
