//! `--relay` through a cluster of real moq-relay nodes, in a network namespace of the test's own. Needs root, or leave for users to
//! make namespaces; `tc` (iproute2); and moq-relay (`scripts/install relay`).

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/program.rs"]
mod program;
#[path = "support/relay.rs"]
mod relay;

use folder::Folder;
use namespace::Namespace;
use nix::sys::signal::Signal;
use program::{CALL, Program, RECV, SEND};
use relay::{Certificates, HERE, PORT, PUBLIC, link};
use serde_json::Value;
use std::cell::Cell;
use std::fs;

const KEY: &str = "--key a-key-of-the-test";

/// A machine with itself alone.
fn alone() -> Namespace {
    let namespace = Namespace::new(None);
    assert!(namespace.ip("link set lo up"));
    namespace
}

fn send(network: &Namespace, more: &str) -> Program {
    network.start(SEND, &format!("--test --name anna {KEY} {more}"))
}

/// `recv` that writes sound to a file, and counts pictures.
fn recv(network: &Namespace, folder: &Folder, more: &str) -> Program {
    let sound = folder.0.join("sound.wav");
    network.start(RECV, &format!("--no-window --audio-output {} {KEY} --stats json {more}", sound.display()))
}

/// The same that decodes pictures, and has no sound.
fn watch(network: &Namespace, more: &str) -> Program {
    network.start(RECV, &format!("--no-window --no-audio {KEY} --stats json {more}"))
}

fn number(stats: &Value, name: &str) -> f64 {
    stats[name].as_f64().unwrap_or_default()
}

/// Waits for statistics of a second in which pictures came as they should.
fn flows(program: &mut Program) -> Value {
    let before = Cell::new(f64::MAX);
    program.stats_with(|stats| {
        let whole = number(stats, "whole");
        whole - before.replace(whole) >= 24.0
    })
}

#[test]
fn a_cluster_brings_pictures_and_sound_from_its_first_node_to_its_last() {
    let (network, folder) = (alone(), Folder::new("relay-cluster"));
    let certificates = Certificates::new("relay-cluster-tls", &[HERE]);
    let _first = certificates.node(&network, HERE, PORT, PUBLIC);
    let _second = certificates.node(&network, HERE, PORT + 1, &format!("{PUBLIC} {}", link(HERE, PORT)));
    let _third = certificates.node(&network, HERE, PORT + 2, &format!("{PUBLIC} {}", link(HERE, PORT + 1)));
    let mut anna = send(&network, &certificates.room(HERE, PORT));
    anna.said("in the room 127.0.0.1:24443");
    let mut bert = recv(&network, &folder, &certificates.room(HERE, PORT + 2));
    bert.said("anna ");
    anna.said("watched through the relay");
    let first = flows(&mut bert);
    let mut last = first.clone();
    (0..4).for_each(|_| last = bert.stats());
    assert_eq!((number(&last, "partial"), number(&last, "lost")), (0.0, 0.0), "{last}");
    let a_second = (number(&last, "whole") - number(&first, "whole")) / 4.0;
    println!("{a_second} pictures a second");
    assert!(a_second > 27.0, "{a_second} a second");
    assert_eq!(bert.stop(Signal::SIGINT), 0);
    anna.said("nobody watches: the source is closed");
    let seconds = hound::WavReader::open(folder.0.join("sound.wav")).unwrap().duration() as f64 / 48_000.0;
    assert!(seconds > 4.0, "{seconds} s of sound");
    assert_eq!(anna.stop(Signal::SIGINT), 0);
}

#[test]
fn who_has_another_key_sees_that_somebody_is_there_and_nothing_else() {
    let network = alone();
    let certificates = Certificates::new("relay-key-tls", &[HERE]);
    let _node = certificates.node(&network, HERE, PORT, PUBLIC);
    let mut anna = send(&network, &certificates.room(HERE, PORT));
    anna.said("in the room");
    let room = certificates.room(HERE, PORT);
    let mut eve = network.start(RECV, &format!("--no-window --no-audio --key another-key-of-the-test --stats json {room}"));
    eve.said("with another --key: nothing is shown of that");
    // The one with the key, beside it, is served.
    let mut bert = watch(&network, &room);
    flows(&mut bert);
    eve.forget_stats();
    let stats = eve.stats();
    assert_eq!((number(&stats, "fps"), number(&stats, "bytes")), (0.0, 0.0), "{stats}");
}

#[test]
fn what_is_joined_to_jpegs_comes_whole() {
    let (network, folder) = (alone(), Folder::new("relay-whole"));
    let certificates = Certificates::new("relay-whole-tls", &[HERE]);
    let _node = certificates.node(&network, HERE, PORT, PUBLIC);
    let _anna = send(&network, &certificates.room(HERE, PORT));
    let file = folder.0.join("all.mjpeg");
    let room = certificates.room(HERE, PORT);
    let mut bert = watch(&network, &format!("{room} --output {}", file.display()));
    flows(&mut bert);
    flows(&mut bert);
    assert_eq!(bert.stop(Signal::SIGINT), 0);
    let heard = bert.heard();
    assert!(!heard.contains("left out of the file"), "{heard}");
    let bytes = fs::read(file).unwrap();
    let pictures = bytes.windows(2).filter(|two| two == b"\xff\xd8").count();
    assert!(pictures > 40, "{pictures} pictures");
}

#[test]
fn those_who_call_in_a_room_see_and_hear_each_other() {
    let network = alone();
    let certificates = Certificates::new("relay-call-tls", &[HERE]);
    let _node = certificates.node(&network, HERE, PORT, PUBLIC);
    let room = certificates.room(HERE, PORT);
    let call = |name: &str| {
        let args = format!("--test -s 320x240 --no-audio --no-window --name {name} {KEY} --stats json {room}");
        network.start(CALL, &args)
    };
    let mut all = ["anna", "bert", "cleo"].map(call);
    for (at, program) in all.iter_mut().enumerate() {
        // Of both others, at once.
        let stats = program.stats_with(|stats| {
            let tracks = stats["tracks"].as_array().map_or(&[][..], Vec::as_slice);
            stats["role"] == "recv" && tracks.len() == 2 && tracks.iter().all(|track| number(track, "whole") > 40.0)
        });
        assert!(stats["tracks"].to_string().contains(["bert", "cleo", "anna"][at]), "{stats}");
    }
    let [mut anna, mut bert, _cleo] = all;
    assert_eq!(bert.stop(Signal::SIGINT), 0);
    anna.said("bert");
    anna.stats_with(|stats| stats["role"] == "recv" && stats["tracks"].as_array().is_some_and(|tracks| tracks.len() == 1));
}

/// The longest that no picture was shown, ms, until pictures flow again.
fn stood(bert: &mut Program) -> f64 {
    let mut longest: f64 = 0.0;
    let mut still = 0.0;
    loop {
        let stats = bert.stats();
        still = if number(&stats, "fps") == 0.0 { still + 1000.0 } else { 0.0 };
        longest = longest.max(stats["interval_ms"]["p99"].as_f64().unwrap_or(still));
        if number(&stats, "fps") >= 24.0 && longest > 300.0 {
            return longest;
        }
    }
}

#[test]
fn a_node_that_is_killed_is_gone_around() {
    let network = alone();
    let certificates = Certificates::new("relay-killed-tls", &[HERE]);
    let _first = certificates.node(&network, HERE, PORT, PUBLIC);
    let second = certificates.node(&network, HERE, PORT + 1, &format!("{PUBLIC} {}", link(HERE, PORT)));
    // The straight way is the dearer one.
    let dear = format!("--cluster-connect https://{HERE}:{PORT}/?cost=10");
    let _third = certificates.node(&network, HERE, PORT + 2, &format!("{PUBLIC} {} {dear}", link(HERE, PORT + 1)));
    let _anna = send(&network, &certificates.room(HERE, PORT));
    let mut bert = watch(&network, &certificates.room(HERE, PORT + 2));
    flows(&mut bert);
    bert.forget_stats();
    second.signal(Signal::SIGKILL);
    let stood = stood(&mut bert);
    println!("pictures stood {stood} ms");
    assert!(stood < 3000.0, "pictures stood {stood} ms");
}

#[test]
fn a_node_that_was_away_is_come_back_to() {
    let network = alone();
    let certificates = Certificates::new("relay-away-tls", &[HERE]);
    let node = certificates.node(&network, HERE, PORT, PUBLIC);
    let mut anna = send(&network, &certificates.room(HERE, PORT));
    let mut bert = watch(&network, &certificates.room(HERE, PORT));
    flows(&mut bert);
    drop(node);
    anna.said("the relay is lost");
    bert.said("the relay is lost");
    bert.stats_with(|stats| number(stats, "fps") == 0.0);
    let _node = certificates.node(&network, HERE, PORT, PUBLIC);
    anna.said("in the room");
    flows(&mut bert);
    let sentences = bert.heard().matches("the relay is lost").count();
    assert_eq!(sentences, 1, "{}", bert.heard());
}

#[test]
fn who_has_a_token_for_it_publishes_and_watches_and_whoever_has_none_is_told_that_he_is_refused() {
    let network = alone();
    let certificates = Certificates::new("relay-token-tls", &[HERE]);
    let mut tokens = network.start("python3", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/token_server.py"));
    tokens.said("listening");
    let _node = certificates.node(&network, HERE, PORT, "--auth-url http://127.0.0.1:4440/");
    let _anna = send(&network, &room(&certificates, "class", "teacher"));
    let mut bert = watch(&network, &room(&certificates, "class", "pupil"));
    flows(&mut bert);
    for (room, token) in [("class", "forged"), ("class", ""), ("staff", "pupil")] {
        let mut eve = watch(&network, &self::room(&certificates, room, token));
        let said = eve.said("refuses us");
        assert!(said.contains(&format!("127.0.0.1:24443/{room}")) && !said.contains("jwt=p"), "{said}");
        let stats = eve.stats();
        assert_eq!((number(&stats, "whole"), number(&stats, "bytes")), (0.0, 0.0), "{stats}");
        let heard = eve.heard();
        assert!(!heard.contains("in the room") && !heard.contains("is lost"), "{heard}");
    }
}

/// The flags by which a program goes to this room with a token.
fn room(certificates: &Certificates, room: &str, token: &str) -> String {
    format!("--relay https://{HERE}:{PORT}/{room}?jwt={token} --relay-ca {}", certificates.path("ca.pem"))
}

/// Two machines, and what the way from the first to the second takes, in Mbit/s.
fn joined(rate: u32) -> (Namespace, Namespace) {
    let (near, far) = (alone(), Namespace::new(None));
    let made = far.ip("link set lo up")
        && near.ip(&format!("link add wire type veth peer name wire netns {}", far.id()))
        && near.ip(&format!("addr add {NEAR}/24 dev wire"))
        && near.ip("link set wire up")
        && far.ip(&format!("addr add {FAR}/24 dev wire"))
        && far.ip("link set wire up");
    assert!(made, "two machines and a wire: `ip` is in iproute2");
    let shape = format!("{} tc qdisc add dev wire root tbf rate {rate}mbit burst 16kb latency 98ms", near.enter());
    assert!(program::command("nsenter", &shape).status().is_ok_and(|status| status.success()), "`tc` is in iproute2");
    (near, far)
}

const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";

#[test]
fn a_way_that_takes_less_than_half_brings_fewer_pictures_none_of_them_late_and_all_of_the_sound() {
    const RATE: u32 = 10;
    let (near, far) = joined(RATE);
    let folder = Folder::new("relay-thin");
    let certificates = Certificates::new("relay-thin-tls", &[NEAR]);
    let _node = certificates.node(&near, NEAR, PORT, PUBLIC);
    let room = certificates.room(NEAR, PORT);
    let mut anna = send(&near, &format!("--replenish off -q 93 --stats json {room}"));
    let pictures = folder.0.join("pictures.y4m");
    nix::unistd::mkfifo(&pictures, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let taken = pictures.clone();
    let reader = std::thread::spawn(move || std::io::copy(&mut fs::File::open(taken).unwrap(), &mut std::io::sink()));
    let mut bert = recv(&far, &folder, &format!("{room} --output {}", pictures.display()));
    // What there is no room for is found out, and left out.
    (0..8).for_each(|_| drop(bert.stats()));
    anna.forget_stats();
    let before = anna.stats();
    let first = bert.stats();
    let (mut last, mut latencies) = (first.clone(), Vec::new());
    for _ in 0..8 {
        last = bert.stats();
        latencies.extend(last["latency_ms"]["all"]["p50"].as_f64());
    }
    (0..7).for_each(|_| drop(anna.stats()));
    let after = anna.stats();
    let came = |name: &str| number(&last, name) - number(&first, name);
    let sent = |name: &str| number(&after, name) - number(&before, name);
    let picture = sent("encoded_bytes") / sent("pictures");
    let needs = picture * 8.0 / f64::from(RATE) / 1000.0;
    latencies.sort_by(f64::total_cmp);
    let p50 = latencies[latencies.len() / 2];
    println!(
        "thin: {:.1} Mbit/s offered for {RATE}; {:.1} pictures a second; p50 {p50:.0} ms, a picture takes {needs:.0} ms of the way; {} blocks in 8 s",
        sent("encoded_bytes") / 8.0 * 8.0 / 1e6,
        came("whole") / 8.0,
        came("blocks")
    );
    assert!(sent("encoded_bytes") * 8.0 / 8.0 / 1e6 > 2.0 * f64::from(RATE), "{after}");
    assert!(came("whole") / 8.0 >= 6.0, "{} pictures a second", came("whole") / 8.0);
    assert!(p50 <= 1.5 * needs, "p50 {p50} ms where a picture takes {needs}");
    assert!(came("blocks") >= 790.0, "{} blocks of sound in 8 s", came("blocks"));
    assert_eq!(bert.stop(Signal::SIGINT), 0);
    reader.join().unwrap().unwrap();
}

#[test]
fn a_publisher_whose_line_takes_less_sends_what_it_takes_and_all_of_the_sound() {
    // Its line is the thin one: the relay is at the other end.
    let (near, far) = joined(4);
    let folder = Folder::new("relay-uplink");
    let certificates = Certificates::new("relay-uplink-tls", &[FAR]);
    let _node = certificates.node(&far, FAR, PORT, PUBLIC);
    let room = certificates.room(FAR, PORT);
    let _anna = send(&near, &format!("--replenish off {room}"));
    let mut bert = recv(&far, &folder, &room);
    // What it takes is found out, and layer by layer who watches finds that it does.
    (0..14).for_each(|_| drop(bert.stats()));
    let first = bert.stats();
    let mut last = first.clone();
    (0..8).for_each(|_| last = bert.stats());
    let came = |name: &str| (number(&last, name) - number(&first, name)) / 8.0;
    println!("uplink: {:.1} pictures a second, {:.1} blocks, {:.2} Mbit/s", came("whole"), came("blocks"), came("bytes") * 8e-6);
    // The lowest layer alone would be 3.75; how soon the others fit again differs.
    assert!(came("whole") >= 3.0, "{} pictures a second", came("whole"));
    assert!(came("blocks") >= 98.0, "{} blocks of sound a second", came("blocks"));
}
