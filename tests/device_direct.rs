//! A meeting whose guests send directly to each other: real programs in network namespaces of their own, behind routers that
//! translate addresses as those at home do, or in one network. Needs root, or leave for users to make namespaces.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/program.rs"]
mod program;
#[path = "support/sound_server.rs"]
mod sound_server;

use namespace::Namespace;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND};
use serde_json::Value;
use sound_server::SoundServer;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Where the meeting point is, and what the routers are on its network.
const POINT: &str = "203.0.113.1";
const ROUTERS: [&str; 2] = ["203.0.113.2", "203.0.113.3"];

/// Public addresses are told to who has a key.
const KEY: &str = "--key a-key-of-the-test";

const CAMERA: &str = "--test -s 320x240 --no-audio";

/// What a router does for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Router {
    /// Translates addresses and lets nothing in unasked; a port stays the same, whomever it speaks to: as most do.
    Plain,
    /// The same, but for a port of its own for each address that is spoken to.
    Symmetric,
    /// Neither: everybody reaches everybody.
    Open,
}

/// Two homes and a meeting point on the internet.
struct Internet {
    switch: Namespace,
    point: Namespace,
    routers: Vec<Namespace>,
    guests: Vec<Namespace>,
}

/// Plugs a machine into one of the networks of the switch.
fn plug(switch: &Namespace, network: &str, machine: &Namespace, port: &str, address: &str) {
    let id = machine.id();
    let made = switch.ip(&format!("link add {port} netns {id} type veth peer name {port}{id}"))
        && switch.ip(&format!("link set {port}{id} master {network} up"))
        && machine.ip(&format!("addr add {address}/24 dev {port}"))
        && machine.ip(&format!("link set {port} up"));
    assert!(made, "a network of namespaces: `ip` is in iproute2");
}

impl Internet {
    fn new(kinds: [Router; 2]) -> Internet {
        let switch = Namespace::new(None);
        for network in ["internet", "home0", "home1"] {
            assert!(switch.ip(&format!("link add {network} type bridge mcast_snooping 0")));
            assert!(switch.ip(&format!("link set {network} up")));
        }
        let machine = || Namespace::new(Some(&switch));
        let point = machine();
        plug(&switch, "internet", &point, "wan", POINT);
        let (mut routers, mut guests) = (Vec::new(), Vec::new());
        for (home, kind) in kinds.into_iter().enumerate() {
            let (router, guest) = (machine(), machine());
            plug(&switch, "internet", &router, "wan", ROUTERS[home]);
            plug(&switch, &format!("home{home}"), &router, "lan", &format!("10.{home}.0.1"));
            plug(&switch, &format!("home{home}"), &guest, "lan", &format!("10.{home}.0.2"));
            assert!(guest.ip(&format!("route add default via 10.{home}.0.1")));
            routes(&router, kind, 1 - home);
            routers.push(router);
            guests.push(guest);
        }
        for home in (0..2).filter(|home| kinds[*home] == Router::Open) {
            let way = format!("route add 10.{home}.0.0/24 via {}", ROUTERS[home]);
            assert!(point.ip(&way) && routers[1 - home].ip(&way));
        }
        let internet = Internet { switch, point, routers, guests };
        for machine in internet.guests.iter().chain(&internet.routers).chain([&internet.point]) {
            until("a link", || !machine.ip_says("link show").contains("NO-CARRIER"));
        }
        internet
    }

    /// Another machine in a home.
    fn beside(&self, home: usize) -> Namespace {
        let machine = Namespace::new(Some(&self.switch));
        plug(&self.switch, &format!("home{home}"), &machine, "lan", &format!("10.{home}.0.3"));
        assert!(machine.ip(&format!("route add default via 10.{home}.0.1")));
        machine
    }

    /// A meeting point without a person.
    fn point(&self) -> Program {
        let mut point = self.point.start(CALL, &format!("--no-video --no-audio --no-window -p 21700 --name point {KEY}"));
        point.said("waiting on port");
        point
    }

    /// Somebody with a camera joins the meeting from this home, and sees the others.
    fn call(&self, home: usize, more: &str) -> Program {
        let name = ["anna", "bert"][home];
        self.guests[home]
            .start(CALL, &format!("{CAMERA} --no-window --name {name} --host {POINT}:21700 {KEY} --stats json {more}"))
    }

    /// At the first home somebody watches what a camera at the second one sends.
    fn watched(&self) -> (Program, Program) {
        let host = format!("--no-audio --host {POINT}:21700 {KEY} --stats json");
        let watcher = self.guests[0].start(RECV, &format!("--no-window --name anna {host}"));
        (watcher, self.guests[1].start(SEND, &format!("--test -s 320x240 --name bert {host}")))
    }

    /// Packets of UDP between the two homes that came by the first one's router.
    fn direct_packets(&self) -> u64 {
        let told: Value = serde_json::from_str(&says(&self.routers[0], "nft -j list counters")).unwrap();
        let counters = told["nftables"].as_array().unwrap();
        counters.iter().find_map(|entry| entry["counter"]["packets"].as_u64()).unwrap_or_else(|| panic!("{told}"))
    }

    /// Bytes that came to the meeting point and left it, so far.
    fn point_bytes(&self) -> u64 {
        let told: Value = serde_json::from_str(&self.point.ip_says("-s -j link show wan")).unwrap();
        let of = |way: &str| told[0]["stats64"][way]["bytes"].as_u64().unwrap_or_else(|| panic!("{told}"));
        of("rx") + of("tx")
    }

    /// From now on no UDP passes between the two homes.
    fn cut(&self) {
        let other = ROUTERS[1];
        rules(
            &self.routers[0],
            &format!(
                "table ip cut {{
                    chain pass {{
                        type filter hook forward priority filter
                        meta l4proto udp ip daddr {other} drop
                        meta l4proto udp ip saddr {other} drop
                    }}
                }}"
            ),
        );
    }

    fn mend(&self) {
        rules(&self.routers[0], "delete table ip cut");
    }
}

/// What a command prints on a machine.
fn says(machine: &Namespace, command: &str) -> String {
    let output = program::command("nsenter", &format!("{} {command}", machine.enter())).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a router of a machine. It counts UDP from and to the `other` home.
fn routes(router: &Namespace, kind: Router, other: usize) {
    let mut forwards = program::command("nsenter", &router.enter());
    forwards.args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    assert!(forwards.status().is_ok_and(|status| status.success()), "a router");
    let there = format!("{{ {}, 10.{other}.0.0/24 }}", ROUTERS[other]);
    let count = format!(
        "counter direct {{ }}
        chain seen {{
            type filter hook prerouting priority raw
            meta l4proto udp ip daddr {there} counter name direct
            meta l4proto udp ip saddr {there} counter name direct
        }}"
    );
    let ports = if kind == Router::Symmetric { "fully-random" } else { "" };
    let translate = format!(
        "chain nat {{
            type nat hook postrouting priority srcnat
            oifname wan masquerade {ports}
        }}
        chain input {{
            type filter hook input priority filter
            iifname wan drop
        }}
        chain pass {{
            type filter hook forward priority filter
            policy drop
            ct state established,related accept
            iifname lan accept
        }}"
    );
    let more = if kind == Router::Open { "" } else { &translate };
    rules(router, &format!("table ip eyeline {{\n{count}\n{more}\n}}"));
}

/// Tells a machine's packet filter.
fn rules(machine: &Namespace, rules: &str) {
    let mut command = program::command("nsenter", &format!("{} nft -f -", machine.enter()));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("nsenter is in util-linux");
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "`nft` is in nftables: {rules}");
}

/// Asks again until it is so.
fn until(what: &str, is: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < limit, "{what}");
    }
}

const DIRECTLY: &str = "comes directly now";
const BY_POINT: &str = "comes by way of point again";

/// A second's statistics of what is received.
fn received(guest: &mut Program) -> Value {
    guest.stats_with(|stats| stats["role"] == "recv")
}

/// The longest that no picture was shown, in ms, of so many seconds that were not looked at yet.
fn stood(watcher: &mut Program, seconds: usize) -> f64 {
    // Of fewer than a hundred the 99th percentile is the largest.
    let of = |line: Value| line["interval_ms"]["p99"].as_f64().unwrap_or(1000.0);
    (0..seconds).map(|_| of(received(watcher))).fold(0.0, f64::max)
}

/// Pictures that come whole in the next three seconds, and bytes at the meeting point meanwhile.
fn three_seconds(internet: &Internet, guest: &mut Program) -> (u64, u64) {
    guest.forget_stats();
    let whole = |guest: &mut Program| received(guest)["whole"].as_u64().unwrap();
    let (before, bytes) = (whole(guest), internet.point_bytes());
    (0..2).for_each(|_| _ = whole(guest));
    (whole(guest) - before, internet.point_bytes() - bytes)
}

/// Ends them all.
fn end<const N: usize>(programs: [Program; N]) {
    for mut program in programs {
        assert_eq!(program.stop(Signal::SIGTERM), 0);
    }
}

#[test]
fn guests_behind_two_routers_send_directly_and_the_line_of_the_meeting_point_is_free_of_it() {
    let internet = Internet::new([Router::Plain; 2]);
    let point = internet.point();
    let (mut anna, mut bert) = (internet.call(0, ""), internet.call(1, ""));
    let both_say = |anna: &mut Program, bert: &mut Program, way: &str| {
        anna.said(&format!("bert {way}"));
        bert.said(&format!("anna {way}"));
    };
    both_say(&mut anna, &mut bert, DIRECTLY);
    let before = internet.direct_packets();
    let directly = three_seconds(&internet, &mut anna);
    let packets = internet.direct_packets() - before;
    internet.cut();
    both_say(&mut anna, &mut bert, BY_POINT);
    let forwarded = three_seconds(&internet, &mut anna);
    internet.mend();
    both_say(&mut anna, &mut bert, DIRECTLY);
    println!("directly {directly:?} pictures, bytes at the point, {packets} packets between the two; forwarded {forwarded:?}");
    assert!(directly.0 > 60 && forwarded.0 > 60 && packets > 300, "{directly:?} {packets} {forwarded:?}");
    assert!(directly.1 * 10 < forwarded.1, "{directly:?} {forwarded:?}");
    end([anna, bert, point]);
}

#[test]
fn pictures_stand_for_less_than_a_third_of_a_second_where_the_direct_way_breaks() {
    let internet = Internet::new([Router::Plain; 2]);
    let point = internet.point();
    let (mut watcher, camera) = internet.watched();
    watcher.said(DIRECTLY);
    // For a moment, and until they have given each other up and are introduced anew.
    for seconds in [1, 5] {
        watcher.forget_stats();
        internet.cut();
        watcher.said(BY_POINT);
        let broken = stood(&mut watcher, seconds);
        internet.mend();
        watcher.said(DIRECTLY);
        let passed = watcher.seconds_unread();
        let back = stood(&mut watcher, passed + 2);
        println!("cut for {seconds} s: pictures stood for {broken} ms, and {back} ms until two seconds after it was back");
        assert!(broken < 300.0 && back < 300.0, "{broken} {back}");
    }
    let last = received(&mut watcher);
    let of = |what: &str| last["tracks"][0][what].as_u64().unwrap();
    let whole = of("whole");
    println!("{whole} whole, {} in part, {} lost, {} left out, {} shown", of("partial"), of("lost"), of("left_out"), of("shown"));
    assert!(
        of("partial") <= 2 && of("lost") + of("left_out") <= 20,
        "what did not come is what was under way at the cuts: {last}"
    );
    assert!(whole.abs_diff(of("shown")) <= 2 && whole > 300, "each counts once, whichever way it came: {last}");
    assert_eq!(last["whole"], whole, "{last}");
    end([watcher, camera, point]);
}

#[test]
fn guests_in_one_network_send_directly_without_a_key_wherever_the_meeting_point_is() {
    let internet = Internet::new([Router::Open, Router::Plain]);
    let mut point = internet.point.start(CALL, "--no-video --no-audio --no-window -p 21700 --name point");
    point.said("waiting on port");
    let other = internet.beside(0);
    let call = |machine: &Namespace, name: &str| {
        machine.start(CALL, &format!("{CAMERA} --no-window --name {name} --host {POINT}:21700 --stats json"))
    };
    let (mut anna, mut bert) = (call(&internet.guests[0], "anna"), call(&other, "bert"));
    anna.said(&format!("bert {DIRECTLY}"));
    bert.said(&format!("anna {DIRECTLY}"));
    let directly = three_seconds(&internet, &mut anna);
    println!("directly {directly:?} pictures, bytes at the point");
    assert!(directly.0 > 60, "{directly:?}");
    end([anna, bert, point]);
}

/// The meeting point sees both at their router, which takes nothing for its own public address from inside: they are told each other's
/// own addresses.
#[test]
fn guests_behind_one_router_send_directly_at_home() {
    let internet = Internet::new([Router::Plain; 2]);
    let point = internet.point();
    let other = internet.beside(0);
    let mut anna = internet.call(0, "");
    let args = format!("{CAMERA} --no-window --name bert --host {POINT}:21700 {KEY} --stats json");
    let mut bert = other.start(CALL, &args);
    anna.said(&format!("bert {DIRECTLY}"));
    bert.said(&format!("anna {DIRECTLY}"));
    let directly = three_seconds(&internet, &mut anna);
    println!("directly {directly:?} pictures, bytes at the point");
    assert!(directly.0 > 60 && directly.1 < 100_000, "{directly:?}");
    end([anna, bert, point]);
}

#[test]
fn who_keeps_to_the_meeting_point_is_told_to_nobody_and_no_datagram_goes_between_the_two() {
    let internet = Internet::new([Router::Plain; 2]);
    let point = internet.point();
    let (mut anna, mut bert) = (internet.call(0, "--no-direct"), internet.call(1, ""));
    for guest in [&mut anna, &mut bert] {
        guest.stats_with(|stats| stats["whole"].as_u64() >= Some(150));
        assert!(!guest.heard().contains("directly"), "{}", guest.heard());
    }
    assert_eq!(internet.direct_packets(), 0);
    end([anna, bert, point]);
}

#[test]
fn behind_a_router_that_makes_up_ports_pictures_come_all_the_time_whatever_the_other_is() {
    for other in [Router::Plain, Router::Open] {
        let internet = Internet::new([Router::Symmetric, other]);
        let point = internet.point();
        let (mut watcher, camera) = internet.watched();
        watcher.stats_with(|stats| stats["whole"].as_u64() >= Some(1));
        // They are introduced again after ten seconds and more.
        let stood = stood(&mut watcher, 20);
        let directly = watcher.heard().contains(DIRECTLY);
        let packets = internet.direct_packets();
        println!(
            "symmetric and {other:?}: pictures stood for {stood} ms, directly: {directly}, {packets} packets between the two"
        );
        assert!(stood < 300.0, "{stood}");
        assert_eq!(directly, other == Router::Open, "{}", watcher.heard());
        end([watcher, camera, point]);
    }
}

#[test]
fn sound_comes_directly_without_a_gap() {
    let dir = std::env::temp_dir().join(format!("eyeline-direct-{}", std::process::id()));
    let _server = SoundServer::start(&dir);
    let internet = Internet::new([Router::Plain; 2]);
    let point = internet.point();
    let host = format!("--host {POINT}:21700 {KEY} --stats json");
    let mut command =
        program::command("nsenter", &format!("{} {RECV} --no-window --name anna {host}", internet.guests[0].enter()));
    command.envs(SoundServer::environment(&dir)).env_remove("PULSE_RUNTIME_PATH");
    let mut anna = Program::launch(command, Stdio::null(), Out::Stats);
    let bert = internet.guests[1].start(SEND, &format!("--test -s 320x240 --name bert {host}"));
    anna.said(DIRECTLY);
    anna.forget_stats();
    let before = received(&mut anna);
    let after = (0..6).map(|_| received(&mut anna)).last().unwrap();
    println!("before {}, after {}", before["sound"], after["sound"]);
    let blocks = [&before, &after].map(|stats| stats["blocks"].as_u64().unwrap());
    assert!((590..=610).contains(&(blocks[1] - blocks[0])), "{blocks:?} in six seconds");
    for what in ["late_blocks", "dropped_blocks"] {
        assert_eq!(before["sound"][what], after["sound"][what], "{what}: {} {}", before["sound"], after["sound"]);
    }
    // A machine that does something else for a moment may have the card wait for less than a block.
    let concealed = [&before, &after].map(|stats| stats["sound"]["concealed_frames"].as_u64().unwrap());
    assert!(concealed[1] - concealed[0] < 480, "{} {}", before["sound"], after["sound"]);
    assert!(!anna.heard().contains(BY_POINT), "{}", anna.heard());
    end([anna, bert, point]);
    std::fs::remove_dir_all(dir).unwrap();
}
