//! Both programs in network namespaces of their own, over a link whose two ends differ: packets that are longer than the receiver's
//! end takes vanish without a word, as in a tunnel nobody speaks of. Needs root, or leave for users to make namespaces.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/program.rs"]
mod program;

use namespace::Namespace;
use nix::sys::signal::Signal;
use program::{RECV, SEND};
use serde_json::Value;

/// A camera's and a screen's namespace, a link between them, and what each end takes.
fn linked(camera: u32, screen: u32) -> (Namespace, Namespace) {
    let one = Namespace::new(None);
    let other = Namespace::new(Some(&one));
    let link = format!("link add va type veth peer name vb netns {}", other.id());
    // Packets the kernel has not cut yet would pass whatever the other end takes.
    let end = |mtu: u32| format!("mtu {mtu} gso_max_segs 1 up");
    let made = one.ip(&link)
        && one.ip("addr add 10.99.0.1/24 dev va")
        && other.ip("addr add 10.99.0.2/24 dev vb")
        && one.ip(&format!("link set va {}", end(camera)))
        && other.ip(&format!("link set vb {}", end(screen)));
    assert!(made, "a link between two namespaces: `ip` is in iproute2");
    (one, other)
}

/// What the sender has found out of the path, once that lies between `least` and `most`. Meanwhile `recv` shows whole pictures, and when
/// `then` is given, the screen's end takes no more than that from now on.
fn found(camera: u32, screen: u32, expected: std::ops::RangeInclusive<u64>, then: Option<(u32, std::ops::RangeInclusive<u64>)>) {
    let (one, other) = linked(camera, screen);
    let mut send = one.start(SEND, "--test -s 640x480 --no-audio -p 21660 --stats json");
    send.said("waiting on port");
    let mut recv = other.start(RECV, "--no-window --no-audio --host 10.99.0.1:21660 --stats json");
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(30));
    let known = |stats: &Value| stats["peers"][0]["path_mtu"].as_u64().unwrap_or(0);
    send.stats_with(|stats| expected.contains(&known(stats)));
    if let Some((takes, expected)) = then {
        assert!(other.ip(&format!("link set vb mtu {takes}")));
        send.stats_with(|stats| expected.contains(&known(stats)));
        let shown = recv.stats_with(|_| true)["whole"].as_u64();
        recv.stats_with(|stats| stats["whole"].as_u64() >= shown.map(|shown| shown + 30));
    }
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn datagrams_are_as_long_as_the_path_takes_whoever_refuses_longer_ones() {
    found(1500, 1500, 1452..=1452, None);
    found(1100, 1100, 1056..=1072, None);
    found(1500, 1100, 1056..=1072, None);
    found(9000, 9000, 8952..=8952, None);
}

#[test]
fn a_path_that_takes_less_from_now_on_goes_on_showing_pictures() {
    found(1500, 1500, 1452..=1452, Some((1100, 1056..=1072)));
}
