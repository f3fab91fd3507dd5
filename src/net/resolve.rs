//! Host names to addresses, on a thread of their own: `getaddrinfo` blocks for seconds, the net thread never does.
//!
//! An address given as such costs no thread. A thread stuck in a name server's silence is left behind at exit; it holds
//! nothing but its channel.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;

use super::address;

/// How many addresses of one name are tried. A name with more is a load balancer's, not a camera's.
const MOST_ADDRESSES: usize = 8;

/// The address, where the host is given as one (`192.168.1.7`, `::1`, `[::1]`).
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.parse::<IpAddr>().ok().map(|ip| address::toward_core(SocketAddr::new(ip, port)))
}

/// Looks a name up on its own thread and hands the answer, at least one address or a sentence, to `answer`.
pub(super) fn spawn(
    host: String,
    port: u16,
    answer: impl FnOnce(Result<Vec<SocketAddr>, String>) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name("resolve".into()).spawn(move || answer(look_up(&host, port)))?;
    Ok(())
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port).to_socket_addrs().map_err(|error| {
        let why = error.to_string();
        let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
        format!("unknown host {host} ({why}): check its spelling and the network, or give its address")
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for found in found.map(address::toward_core) {
        if addresses.len() < MOST_ADDRESSES && !addresses.contains(&found) {
            addresses.push(found);
        }
    }
    if addresses.is_empty() {
        return Err(format!("the name {host} has no address: give the host's address instead"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_with_and_without_brackets_and_names_are_not_taken_for_them() {
        assert_eq!(literal("127.0.0.1", 7), Some("127.0.0.1:7".parse().expect("an address")));
        assert_eq!(literal("::1", 7), Some("[::1]:7".parse().expect("an address")));
        assert_eq!(literal("[::1]", 7), Some("[::1]:7".parse().expect("an address")));
        assert_eq!(literal("::ffff:10.0.0.1", 7), Some("10.0.0.1:7".parse().expect("an address")));
        assert_eq!(literal("camera", 7), None);
    }

    #[test]
    fn localhost_is_found_without_doubles_and_nonsense_gives_a_sentence() {
        let mut found = look_up("localhost", 7).expect("every machine has it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
        let len = found.len();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), len);
        let sentence = look_up("no-such-host.invalid", 7).expect_err("reserved never to exist");
        assert!(sentence.starts_with("unknown host no-such-host.invalid ("), "{sentence}");
    }
}
