//! Found by name: real programs in network namespaces of their own, joined by a bridge, with nothing but multicast DNS between
//! them. Needs root, or leave for users to make namespaces.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;

use namespace::Namespace;
use nix::sys::signal::Signal;
use on_screen::on_with;
use program::{CALL, Out, Program, RECV, SEND};
use screen::Screen;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Machines on one network: the first holds the bridge that joins them. Each has 10.99.0.N, from 1 on.
struct Network(Vec<Namespace>);

impl Network {
    fn of(count: usize) -> Network {
        let first = Namespace::new(None);
        assert!(
            first.ip("link add bridge type bridge mcast_snooping 0") && first.ip("link set bridge addrgenmode none up"),
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
fn a_sender_is_dialled_by_the_name_that_it_says_whatever_its_case_and_listed_until_it_leaves() {
    let network = Network::of(2);
    let mut watcher = network.start(2, RECV, &format!("{BLIND} -p 21701 --name desk"));
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name Kitchen"));
    send.said("list it as Kitchen: recv --host Kitchen:21700");
    watcher.said("on this network: Kitchen (pictures): recv --host Kitchen:21700");
    for name in ["kitchen", "KITCHEN.local"] {
        let mut recv = network.start(2, RECV, &format!("{BLIND} --host {name} --stats json"));
        recv.stats_with(sees);
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
    }
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    watcher.said("Kitchen is no longer on this network");
    assert_eq!(watcher.stop(Signal::SIGTERM), 0);
}

#[test]
fn who_was_killed_is_dialled_in_vain_and_found_again_where_it_is_started_anew() {
    let network = Network::of(2);
    let kitchen = |port: u16| {
        let mut send = network.start(1, SEND, &format!("{PICTURES} -p {port} --name kitchen"));
        send.said("list it as kitchen");
        send
    };
    let first = kitchen(21700);
    let mut recv = network.start(2, RECV, &format!("{BLIND} --host kitchen --stats json"));
    recv.stats_with(sees);
    first.signal(Signal::SIGKILL);
    recv.said("nobody is waiting on kitchen");
    recv.forget_stats();
    let _second = kitchen(21799);
    recv.said("kitchen (10.99.0.1:21799) is");
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn of_two_who_are_called_the_same_both_are_listed_and_neither_is_taken_for_the_other() {
    let network = Network::of(3);
    let mut first = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name kitchen"));
    let mut recv = network.start(3, RECV, &format!("{BLIND} -p 21701 --name desk"));
    first.said("list it as kitchen");
    recv.said("on this network: kitchen (pictures): recv --host kitchen:21700");
    let mut second = network.start(2, SEND, &format!("{PICTURES} -p 21700 --name kitchen"));
    recv.said("on this network: kitchen (2) (pictures): recv --host \"kitchen (2):21700\"");
    // Within a second of its own announcement the second does not answer (RFC 6762 §6): the first alone does, at first.
    let mut named = network.start(3, RECV, &format!("{BLIND} --host kitchen --no-reconnect"));
    let told = named.said("several are called kitchen on this network");
    assert!(["10.99.0.1:21700", "10.99.0.2:21700"].iter().all(|place| told.contains(place)), "{told}");
    assert_eq!(named.ended(), 4);
    second.said("another is called the same on this network");
    second.said("list it as kitchen (2)");
    let mut command = network.command(3, RECV, BLIND);
    command.args(["--host", "kitchen (2)"]);
    let mut named = Program::launch(command, Stdio::null(), Out::Stats);
    named.said("(10.99.0.2:21700) is sending");
    assert_eq!(named.stop(Signal::SIGTERM), 0);
    // As soon as one is gone the other is meant, which keeps the name that it has.
    assert_eq!(first.stop(Signal::SIGTERM), 0);
    recv.said("kitchen is no longer on this network");
    let mut named = network.start(3, RECV, &format!("{BLIND} --host kitchen --stats json"));
    named.stats_with(sees);
}

#[test]
fn a_sender_whose_address_is_another_is_found_there() {
    let network = Network::of(2);
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name kitchen"));
    send.said("list it as kitchen");
    let mut recv = network.start(2, RECV, &format!("{BLIND} --host kitchen --stats json"));
    recv.said("kitchen (10.99.0.1:21700) is sending");
    assert!(network.0[0].ip("addr del 10.99.0.1/24 dev eth0") && network.0[0].ip("addr add 10.99.0.77/24 dev eth0"));
    let before = recv.stats()["whole"].as_u64();
    recv.stats_with(|stats| stats["whole"].as_u64() > before.map(|whole| whole + 60));
    let mut late = network.start(2, RECV, &format!("{BLIND} --host kitchen --stats json"));
    late.said("kitchen (10.99.0.77:21700) is sending");
    late.stats_with(sees);
}

#[test]
fn a_name_with_a_space_is_dialled_in_quotes_wherever_it_waits() {
    let network = Network::of(2);
    let start = |machine, path, args: &str, more: [&str; 2]| {
        let mut command = network.command(machine, path, args);
        command.args(more);
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let mut send = start(1, SEND, &format!("{PICTURES} -p 21700"), ["--name", "Living room"]);
    send.said("list it as Living room: recv --host \"Living room:21700\"");
    let mut listing = network.start(2, RECV, &format!("{BLIND} -p 21701"));
    listing.said("on this network: Living room (pictures): recv --host \"Living room:21700\"");
    assert_eq!(listing.stop(Signal::SIGTERM), 0);
    let mut recv = start(2, RECV, &format!("{BLIND} --stats json"), ["--host", "living room"]);
    recv.said("dialling living room");
    recv.said("Living room (10.99.0.1:21700) is sending");
    recv.stats_with(sees);
}

/// Whoever dials the address that the program itself has printed is let in, as over loopback; from elsewhere it takes a key.
#[test]
fn a_machine_that_dials_its_own_public_address_needs_no_key_and_another_one_does() {
    let network = Network::of(2);
    for (machine, address) in network.0.iter().zip(["203.0.113.1/24", "203.0.113.2/24"]) {
        assert!(machine.ip(&format!("addr add {address} dev eth0")));
    }
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700"));
    send.said("waiting on port");
    let mut own = network.start(1, RECV, &format!("{BLIND} --host 203.0.113.1:21700 --stats json"));
    own.stats_with(sees);
    let mut other = network.start(2, RECV, &format!("{BLIND} --host 203.0.113.1:21700 --bind 203.0.113.2 --wait -p 21702"));
    other.said("without a key only private addresses are let in: start both sides with the same --key, or pair them with --pair");
}

#[test]
fn who_does_not_want_to_be_found_is_not_and_that_nobody_is_there_is_said_once() {
    let network = Network::of(2);
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name kitchen --no-announce"));
    send.said("waiting on port");
    let mut recv = network.start(2, RECV, &format!("{BLIND} -p 21701 --name desk"));
    recv.said("nobody else waits on this network yet: start `send` on the other machine");
    let mut named = network.start(2, RECV, &format!("{BLIND} --host kitchen --no-reconnect"));
    named.said("unknown host kitchen (no name server knows it, and nobody of that name answers on this network)");
    assert_eq!(named.ended(), 4);
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    let said = recv.heard().matches("on this network").count();
    assert_eq!(said, 2, "what it is called, and that nobody is there: {}", recv.heard());
}

#[test]
fn two_who_both_wait_in_a_call_see_each_other_listed_and_who_wants_a_key_is_marked() {
    let network = Network::of(2);
    let call = |machine, more: &str| network.start(machine, CALL, &format!("{PICTURES} --no-window -p 21700 {more}"));
    let (mut anna, mut bert) = (call(1, "--name anna"), call(2, "--name bert --key a-key-of-the-test"));
    anna.said("on this network: bert (a call, wants a key): call --host bert:21700");
    bert.said("on this network: anna (a call): call --host anna:21700");
}

/// What `--list` or `--doctor` prints as JSON.
fn told(mut command: Command) -> Value {
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_list_and_the_doctor_say_who_is_found_and_whether_anybody_can_be() {
    let network = Network::of(2);
    let mut send = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name kitchen"));
    send.said("list it as kitchen");
    let mut watcher = network.start(2, RECV, &format!("{BLIND} -p 21701"));
    watcher.said("on this network: kitchen");
    let list = told(network.command(2, RECV, "--list --stats json"));
    let kitchen = serde_json::json!({ "name": "kitchen", "role": "send", "key": false, "places": ["10.99.0.1:21700"] });
    assert_eq!(list["senders"], serde_json::json!([kitchen]), "{list:#}");
    let words = network.command(2, RECV, "--list").output().unwrap().stdout;
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("Senders on this network (--host):\n  kitchen (pictures): 10.99.0.1:21700\n"), "{words}");
    assert!(told(network.command(1, SEND, "--list --stats json"))["senders"].is_null(), "it dials nobody as a rule");
    let finding = |network: &Network, machine| {
        let doctor = told(network.command(machine, RECV, &format!("{BLIND} -p 21709 --doctor --stats json")));
        let finding = doctor["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "found by name").cloned();
        finding.unwrap_or_else(|| panic!("{doctor:#}"))
    };
    assert_eq!(finding(&network, 2)["verdict"], "ok");
    assert!(network.0[1].ip("link set eth0 down"));
    let alone = finding(&network, 2);
    assert_eq!((&alone["verdict"], &alone["found"]), (&Value::from("better"), &Value::from("this machine has no network yet")));
}

#[test]
fn where_there_is_no_network_or_no_multicast_nothing_fails_and_that_is_said() {
    let nowhere = Network(vec![Namespace::new(None)]);
    let mut recv = nowhere.start(1, RECV, &format!("{BLIND} -p 21701"));
    recv.said("nobody is found by name: this machine has no network yet");
    let mute = Namespace::new(None);
    let made = mute.ip("link add eth0 type veth peer name far")
        && mute.ip("link set far addrgenmode none up")
        && mute.ip("addr add 10.99.0.1/24 dev eth0")
        && mute.ip("link set eth0 addrgenmode none multicast off up");
    assert!(made, "a network that takes no multicast");
    until("a link", || mute.ip_says("link show eth0").contains("state UP"));
    let mute = Network(vec![mute]);
    let mut other = mute.start(1, RECV, &format!("{BLIND} -p 21701"));
    other.said("nobody is found by name: this machine's network takes no multicast");
    for program in [&mut recv, &mut other] {
        let began = Instant::now();
        assert_eq!(program.stop(Signal::SIGTERM), 0);
        assert!(began.elapsed() < Duration::from_secs(5), "the goodbye holds nothing up");
    }
    let words = nowhere.command(1, RECV, "--list").output().unwrap().stdout;
    assert!(
        String::from_utf8_lossy(&words).ends_with("Senders on this network (--host):\n  none: this machine has no network yet\n")
    );
}

#[test]
fn a_digit_in_the_window_dials_who_is_listed_and_who_was_killed_in_vain() {
    let network = Network::of(3);
    let screen = Screen::with_manager(1280, 720);
    let mut recv = on_with(&screen, network.command(3, RECV, "--no-audio -p 21701 --name desk --stats json"));
    let mut kitchen = network.start(1, SEND, &format!("{PICTURES} -p 21700 --name kitchen"));
    recv.said("on this network: kitchen");
    let mut lab = network.start(2, SEND, &format!("{PICTURES} -p 21700 --name lab --key a-key-of-the-test"));
    recv.said("on this network: lab (pictures, wants a key)");
    kitchen.said("list it");
    kitchen.signal(Signal::SIGKILL);
    on_screen::window(&screen);
    screen.shot("discovery-list");
    screen.key('1'.into());
    recv.said("dialling kitchen");
    recv.said("nobody is waiting on kitchen (10.99.0.1:21700)");
    assert_eq!(lab.stop(Signal::SIGTERM), 0);
    recv.said("lab is no longer on this network");
    let mut attic = network.start(2, SEND, &format!("{PICTURES} -p 21700 --name attic"));
    attic.said("list it as attic");
    recv.said("on this network: attic");
    screen.key(if recv.heard().contains("kitchen is no longer") { '1' } else { '2' }.into());
    recv.said("dialling attic");
    recv.said("attic (10.99.0.2:21700) is sending");
    recv.stats_with(sees);
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}
