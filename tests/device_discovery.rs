//! Found by name: real programs in network namespaces of their own, joined by a bridge, with nothing but multicast DNS between them.
//! Needs root, or leave for users to make namespaces.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/program.rs"]
mod program;

use namespace::Namespace;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Machines on one network: the first holds the bridge that joins them. Each has 10.99.0.N, from 1 on.
struct Network(Vec<Namespace>);

impl Network {
    fn of(count: usize) -> Network {
        let first = Namespace::new(None);
        assert!(
            first.ip("link add bridge type bridge mcast_snooping 0") && first.ip("link set bridge up"),
            "`ip` is in iproute2"
        );
        let mut machines: Vec<Namespace> = (1..count).map(|_| Namespace::new(Some(&first))).collect();
        machines.insert(0, first);
        for (number, machine) in (1..).zip(&machines) {
            let link = format!("link add eth0 netns {} type veth peer name port{number}", machine.id());
            let made = machines[0].ip(&link)
                && machines[0].ip(&format!("link set port{number} master bridge up"))
                && machine.ip("link set lo up")
                // Else it takes two seconds until an IPv6 address is one.
                && machine.ip(&format!("addr add 10.99.0.{number}/24 dev eth0"))
                && machine.ip("link set eth0 addrgenmode none up");
            assert!(made, "a network of namespaces");
        }
        let network = Network(machines);
        network.0.iter().for_each(|machine| until("a link", || machine.ip_says("link show eth0").contains("state UP")));
        network
    }

    /// A program on the machine of this number, which may be found and lists others.
    fn start(&self, machine: usize, path: &str, args: &str) -> Program {
        Program::launch(self.command(machine, path, args), Stdio::null(), Out::Stats)
    }

    fn command(&self, machine: usize, path: &str, args: &str) -> Command {
        let mut command = program::command("nsenter", &format!("{} {path} {args}", self.0[machine - 1].enter()));
        command.env("XDG_CONFIG_HOME", "/nonexistent");
        command
    }
}

/// Asks again until it is so.
fn until(what: &str, is: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < limit, "{what}");
    }
}

const PICTURES: &str = "--test -s 320x240 --no-audio";
const BLIND: &str = "--no-window --no-audio";

/// Whether whole pictures come.
fn sees(stats: &Value) -> bool {
    stats["whole"].as_u64() >= Some(10)
}

#[test]
fn a_sender_is_dialled_by_the_name_that_it_says_and_shows_its_pictures() {
    let network = Network::of(2);
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name Kitchen"));
    send.said("list it as Kitchen: recv --host Kitchen");
    for name in ["kitchen", "KITCHEN.local"] {
        let mut recv = network.start(2, RECV, &format!("{BLIND} --host {name} --stats json"));
        recv.stats_with(sees);
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
    }
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}
