//! What is waited for, in words: on stderr, in a window without a picture, and in its title.

use super::args::{Common, Host, PORT, Rendezvous};
use super::pairs::Pairs;
use super::rendezvous;
use crate::net::{self, own};
use eyeline_proto::session::endpoint::STARTED_AGAIN;
use eyeline_proto::session::keyring::{Invitation, MOST_TRIES, PAUSE};
use eyeline_proto::session::unreachable::{DialError, Unreachable};
use eyeline_proto::wire::record::Reason;
use std::net::{IpAddr, SocketAddr};

/// More addresses of one machine help nobody.
const MOST_ADDRESSES: usize = 3;

/// Who is let in where we wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Anybody of a private network.
    Anybody,
    /// Who has the key.
    Keyed,
    /// Who has the key or was paired with.
    KeyedOrPaired,
    /// Who was paired with.
    Paired,
}

impl Admitted {
    /// By these flags and pairs.
    pub fn of(common: &Common, pairs: &Pairs) -> Admitted {
        match (common.key.is_some(), common.only_paired || !pairs.is_empty()) {
            (true, false) => Admitted::Keyed,
            (true, true) => Admitted::KeyedOrPaired,
            (false, _) if common.only_paired => Admitted::Paired,
            (false, _) => Admitted::Anybody,
        }
    }

    fn who(self) -> &'static str {
        match self {
            Admitted::Anybody => "anybody of a private network",
            Admitted::Keyed => "whoever has the key",
            Admitted::KeyedOrPaired => "whoever has the key or was paired with",
            Admitted::Paired => "nobody but a machine that was paired with",
        }
    }
}

/// Where the other program is to find us, or where we look for it.
pub struct Awaited {
    /// "waiting on port 9688", "dialling 10.0.0.7:9688": what a window is called.
    place: String,
    help: String,
    /// How others reach us where we wait, in lines.
    welcome: Vec<String>,
    /// The code by which another machine is paired with, in words.
    code: Option<String>,
    /// Hosts are dialled, and this is why nobody is here.
    trouble: Option<String>,
}

impl Awaited {
    /// For `program`, "send", "recv" or "call", which waits on `local` or dials.
    pub fn new(program: &str, rendezvous: &Rendezvous, admitted: Admitted, local: SocketAddr) -> Awaited {
        let mut places = Vec::new();
        let mut help = String::new();
        let mut welcome = Vec::new();
        #[cfg(feature = "relay")]
        if let Some(relay) = &rendezvous.relay {
            places.push(format!("in the room {}", relay.shown()));
            let other = format!("{} --relay https://{} --key …", other(program), relay.shown()).replace(' ', "\u{a0}");
            welcome =
                vec![nobody(program).into(), String::new(), format!("room:  {}", relay.shown()), format!("to join it:  {other}")];
        }
        if let Some(address) = rendezvous.waits_for_others() {
            let addresses = own::addresses(address.ip());
            places.push(format!("waiting on port {}", local.port()));
            help = format!("run `{}`", command(other(program), addresses.first().copied(), local.port()));
            welcome = welcoming(program, admitted, address.ip(), &addresses, local.port());
        }
        if !rendezvous.dial.is_empty() {
            places.push(dialling(program, &rendezvous.dial));
        }
        Awaited { place: places.join(", "), help, welcome, code: None, trouble: None }
    }

    /// A host cannot be reached. Where nobody answers that is all there is to say; else it is said what is wrong.
    pub fn unreachable(&mut self, error: &Unreachable) {
        let nobody = matches!(error, Unreachable::Dial(DialError::Refused { .. } | DialError::TimedOut { .. }));
        self.trouble = Some(if nobody { "nobody answers yet".to_string() } else { error.to_string() });
    }

    /// A code is to be shown, from now on, and is said.
    pub fn invites(&mut self, invitation: &Invitation) {
        match invitation {
            Invitation::Shown(code) => {
                let code = code.spaced();
                let how = "to pair another machine with this one, start it with --host and --pair and type";
                let is_next = self.code.is_some();
                match is_next {
                    false => tracing::info!("{how} {code} there"),
                    true => tracing::info!("the code that was shown is used up; {how} the new one, {code}, there"),
                }
                self.code = Some(if is_next { format!("{code}, a new one") } else { code });
            }
            Invitation::Paused(code) => {
                let (code, seconds) = (code.spaced(), PAUSE.as_secs());
                tracing::warn!("{MOST_TRIES} codes were wrong: nobody is paired with for {seconds} s, and then by {code}");
                self.code = Some(format!("{code}, after a pause of {seconds} s: too many were wrong"));
            }
        }
    }

    /// Somebody of this name is asked whether we are let in.
    pub fn rings(&mut self, name: &str) {
        self.trouble = Some(format!("it rings at {name}"));
    }

    /// A peer is here: what was said of hosts that could not be reached is over.
    pub fn reached(&mut self) {
        self.trouble = None;
    }

    /// For a window in which there is nothing else, in lines: how others reach us, or how it stands with those we dial. Two spaces
    /// part what stands in columns.
    pub fn welcome(&self) -> String {
        match &self.trouble {
            None if !self.welcome.is_empty() => {
                let code = self.code.iter().map(|code| format!("\ncode to pair:  {code}"));
                [self.welcome.join("\n")].into_iter().chain(code).collect()
            }
            _ => self.sentence(),
        }
    }

    /// In a few words.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// And what helps, or how it stands.
    pub fn sentence(&self) -> String {
        let more = self.trouble.as_ref().unwrap_or(&self.help);
        if more.is_empty() { self.place.clone() } else { format!("{}: {more}", self.place) }
    }
}

/// What a watcher that left did.
pub const NO_MORE_WATCHING: &str = "stopped watching";

/// What is said of a peer that left: "vm stopped sending". `did`: what it does no more.
pub fn parting(name: &str, did: &str, reason: Option<Reason>, sentence: &str) -> String {
    match (reason, sentence) {
        (None, "") => format!("{name} is gone: the connection broke"),
        (None, STARTED_AGAIN) => format!("{name} {STARTED_AGAIN}"),
        (None | Some(Reason::Protocol), _) => format!("{name} is gone: {sentence}"),
        (Some(_), "") => format!("{name} {did}"),
        (Some(_), _) => format!("{name} {did}: {sentence}"),
    }
}

/// Says where we wait or whom we dial, and who is let in.
pub fn announce(program: &str, rendezvous: &Rendezvous, admitted: Admitted, local: SocketAddr) {
    #[cfg(feature = "relay")]
    if let Some(relay) = &rendezvous.relay {
        tracing::info!("going to the room {}", relay.shown());
    }
    if let Some(address) = rendezvous.waits_for_others() {
        let whom = invitation(other(program), address.ip(), &own::addresses(address.ip()), local.port());
        tracing::info!("waiting on port {} (UDP and TCP); {whom}", local.port());
        let without = if admitted == Admitted::Anybody { "without --key " } else { "" };
        tracing::info!("{without}{} is let in", admitted.who());
    }
    if !rendezvous.dial.is_empty() {
        tracing::info!("{}", dialling(program, &rendezvous.dial));
    }
}

fn dialling(program: &str, hosts: &[Host]) -> String {
    let names: Vec<_> = hosts.iter().map(dialled).collect();
    format!("{} {}", if program == "call" { "calling" } else { "dialling" }, names.join(", "))
}

/// A host as it is dialled: who is found by name on this network says which port that is.
fn dialled(host: &Host) -> String {
    if host.port == PORT && net::may_be_neighbour(&host.name) { host.name.clone() } else { host.to_string() }
}

/// The program that answers this one.
pub fn other(program: &str) -> &'static str {
    match program {
        "send" => "recv",
        "recv" => "send",
        _ => "call",
    }
}

fn nobody(program: &str) -> &'static str {
    match program {
        "recv" => "Nobody sends yet.",
        "send" => "Nobody watches yet.",
        _ => "Nobody else is here yet.",
    }
}

/// How others reach us who wait: each line is what it is about, and what there is to know. A command stays on one line where
/// it can: its spaces do not break.
fn welcoming(program: &str, admitted: Admitted, bound: IpAddr, addresses: &[IpAddr], port: u16) -> Vec<String> {
    let key = if matches!(admitted, Admitted::Keyed | Admitted::KeyedOrPaired) { " --key …" } else { "" };
    let command = |address| format!("{}{key}", command(other(program), address, port)).replace(' ', "\u{a0}");
    let first = command(addresses.first().copied());
    let run = if bound.is_loopback() { "on this machine" } else { "on the other machine" };
    let mut lines = vec![nobody(program).to_string(), String::new(), format!("{run}:  {first}")];
    let more = addresses.iter().skip(1).take(MOST_ADDRESSES - 1);
    lines.extend(more.map(|address| format!("or:  {}", command(Some(*address)))));
    lines.push(format!("port:  {port}, UDP and TCP"));
    let more = if admitted == Admitted::Anybody { "; --key asks for a key" } else { "" };
    lines.push(format!("who may join:  {}{more}", admitted.who()));
    if addresses.is_empty() {
        lines.push("address:  this machine has none yet".to_string());
    }
    lines
}

/// What to run on the other machine.
fn invitation(other: &str, bound: IpAddr, addresses: &[IpAddr], port: u16) -> String {
    let first = command(other, addresses.first().copied(), port);
    if bound.is_loopback() {
        return format!("only this machine reaches {bound}: {first}");
    }
    if addresses.is_empty() {
        return format!("this machine has no address yet; once it has, on the other machine: {first}");
    }
    let others: Vec<_> = addresses.iter().skip(1).take(MOST_ADDRESSES - 1).map(|address| place(*address, port)).collect();
    let others = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    format!("on the other machine: {first}{others}")
}

fn command(other: &str, address: Option<IpAddr>, port: u16) -> String {
    let host = match address {
        Some(address) => place(address, port),
        None if port == PORT => rendezvous::machine_name(),
        None => format!("{}:{port}", rendezvous::machine_name()),
    };
    format!("{other} --host {host}")
}

/// As `--host` takes it.
pub fn place(address: IpAddr, port: u16) -> String {
    if port == PORT { address.to_string() } else { SocketAddr::new(address, port).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::crypto::Code;

    fn invited(bound: &str, addresses: &[&str], port: u16) -> String {
        let parse = |address: &&str| address.parse().expect("an address");
        invitation("recv", parse(&bound), &addresses.iter().map(parse).collect::<Vec<_>>(), port)
    }

    #[test]
    fn the_other_machine_is_told_an_address_that_works_with_its_port_where_it_is_not_the_usual_one() {
        assert_eq!(invited("::", &["192.168.1.17"], 9688), "on the other machine: recv --host 192.168.1.17");
        assert_eq!(invited("::", &["192.168.1.17"], 25001), "on the other machine: recv --host 192.168.1.17:25001");
        let several = invited("::", &["192.168.1.17", "10.8.0.2", "fd00::5", "fd00::6"], 25001);
        assert_eq!(several, "on the other machine: recv --host 192.168.1.17:25001 (also 10.8.0.2:25001, [fd00::5]:25001)");
        assert_eq!(invited("::", &["fd00::5"], 9688), "on the other machine: recv --host fd00::5");
    }

    #[test]
    fn a_peer_that_left_is_said_to_have_stopped_and_one_that_was_lost_to_be_gone() {
        let said = |reason, sentence| parting("vm", "stopped sending", reason, sentence);
        assert_eq!(said(Some(Reason::Quit), ""), "vm stopped sending");
        assert_eq!(said(Some(Reason::Quit), "the camera is unplugged"), "vm stopped sending: the camera is unplugged");
        assert_eq!(said(None, ""), "vm is gone: the connection broke");
        assert_eq!(said(None, STARTED_AGAIN), "vm was started again");
        assert_eq!(said(Some(Reason::Protocol), "it sent nonsense"), "vm is gone: it sent nonsense");
    }

    #[test]
    fn an_empty_window_says_how_others_reach_this_machine_and_who_is_let_in() {
        let addresses: Vec<IpAddr> = ["192.168.1.17", "fd00::5"].iter().map(|it| it.parse().expect("an address")).collect();
        let any = IpAddr::from([0; 4]);
        let said = |lines: Vec<String>| lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect::<Vec<_>>();
        assert!(
            welcoming("recv", Admitted::Anybody, any, &addresses, 9688)[2].ends_with(":  send\u{a0}--host\u{a0}192.168.1.17")
        );
        assert_eq!(
            said(welcoming("recv", Admitted::Anybody, any, &addresses, 9688)),
            [
                "Nobody sends yet.",
                "",
                "on the other machine:  send --host 192.168.1.17",
                "or:  send --host fd00::5",
                "port:  9688, UDP and TCP",
                "who may join:  anybody of a private network; --key asks for a key",
            ]
        );
        let keyed = said(welcoming("call", Admitted::Keyed, any, &addresses[1..], 25001));
        assert_eq!(keyed[0], "Nobody else is here yet.");
        assert_eq!(
            keyed[2..],
            [
                "on the other machine:  call --host [fd00::5]:25001 --key …",
                "port:  25001, UDP and TCP",
                "who may join:  whoever has the key"
            ]
        );
        assert!(
            welcoming("send", Admitted::Anybody, any, &[], 9688).contains(&"address:  this machine has none yet".to_string())
        );
    }

    #[test]
    fn who_waits_where_nobody_else_comes_is_told_so() {
        assert_eq!(invited("127.0.0.1", &["127.0.0.1"], 5000), "only this machine reaches 127.0.0.1: recv --host 127.0.0.1:5000");
        assert!(invited("::", &[], 9688).starts_with("this machine has no address yet; once it has"));
    }

    #[test]
    fn a_port_that_is_not_known_yet_is_not_said_to_be_dialled() {
        let host = |name: &str, port| Host { name: name.into(), port };
        let hosts =
            [host("kitchen", 9688), host("lab", 7), host("10.0.0.7", 9688), host("hub.example.org", 9688), host("::1", 9688)];
        assert_eq!(dialling("recv", &hosts), "dialling kitchen, lab:7, 10.0.0.7:9688, hub.example.org:9688, [::1]:9688");
    }

    #[test]
    fn the_code_after_a_pairing_is_said_to_be_a_new_one() {
        let rendezvous = Rendezvous { wait: Some(SocketAddr::from(([127, 0, 0, 1], 5000))), dial: Vec::new(), relay: None };
        let mut awaited = Awaited::new("recv", &rendezvous, Admitted::Anybody, SocketAddr::from(([127, 0, 0, 1], 5000)));
        let mut shown = |code| {
            awaited.invites(&Invitation::Shown(Code::parse(code).expect("a code")));
            awaited.welcome().lines().last().map(str::to_string)
        };
        assert_eq!(shown("123456").as_deref(), Some("code to pair:  123 456"));
        assert_eq!(shown("654321").as_deref(), Some("code to pair:  654 321, a new one"));
    }

    #[test]
    fn a_host_that_does_not_answer_is_said_to_until_somebody_does() {
        let robot = Host { name: "robot.local".into(), port: 9688 };
        let rendezvous = Rendezvous { wait: None, dial: vec![robot.clone()], relay: None };
        let mut awaited = Awaited::new("recv", &rendezvous, Admitted::Anybody, SocketAddr::from(([0; 4], 0)));
        assert_eq!(awaited.sentence(), "dialling robot.local");
        let refused = DialError::Refused { host: robot.to_string(), port: 9688 };
        awaited.unreachable(&refused.into());
        assert_eq!(awaited.sentence(), "dialling robot.local: nobody answers yet");
        let unknown = DialError::UnknownName { name: "robot.local".into(), why: "no such name".into() };
        awaited.unreachable(&unknown.into());
        assert!(awaited.sentence().starts_with("dialling robot.local: unknown host robot.local"), "{}", awaited.sentence());
        awaited.reached();
        assert_eq!((awaited.sentence().as_str(), awaited.place()), ("dialling robot.local", "dialling robot.local"));
        let wait = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let rendezvous = Rendezvous { wait, dial: Vec::new(), relay: None };
        let awaited = Awaited::new("recv", &rendezvous, Admitted::Anybody, SocketAddr::from(([127, 0, 0, 1], 5000)));
        assert_eq!(awaited.sentence(), "waiting on port 5000: run `send --host 127.0.0.1:5000`");
        let awaited = Awaited::new(
            "recv",
            &Rendezvous { wait, dial: vec![robot], relay: None },
            Admitted::Anybody,
            SocketAddr::from(([127, 0, 0, 1], 5000)),
        );
        assert_eq!(awaited.place(), "waiting on port 5000, dialling robot.local");
    }
}
