//! Two machines that are paired by six digits, with the real programs: each has a folder of its own for what it keeps.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;

use folder::Folder;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

/// A machine, which keeps what it keeps in a folder of its own.
struct Machine {
    name: &'static str,
    state: Folder,
}

impl Machine {
    fn new(test: &str, name: &'static str) -> Machine {
        Machine { name, state: Folder::new(&format!("pairing-{test}-{name}")) }
    }

    fn starts(&self, path: &str, args: &str) -> Program {
        let devices = match path {
            SEND => "--test -s 320x240",
            RECV => "--no-window --no-audio",
            _ => "--no-window --no-audio --test -s 320x240",
        };
        let mut command = command(path, &format!("{devices} --name {} {args}", self.name));
        command.env("XDG_STATE_HOME", &self.state.0);
        Program::launch(command, Stdio::null(), Out::Stats)
    }

    /// Keys of those it was paired with, and what follows them.
    fn kept(&self) -> Vec<(String, String)> {
        let file = self.state.0.join("eyeline/peers");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(file).unwrap();
        text.lines().map(|line| line.split_once('\t').map(|(key, rest)| (key.into(), rest.into())).unwrap()).collect()
    }
}

fn code_of(waiting: &mut Program) -> String {
    let line = waiting.said("to pair another machine with this one");
    let digits: String = line.rsplit("type ").next().unwrap().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits.len(), 6, "{line}");
    digits
}

/// Pairs a `send` called desk with a `recv` called kitchen, and gives the port it waited on.
fn pair(kitchen: &Machine, desk: &Machine) -> u16 {
    let port = free_port();
    let mut waiting = kitchen.starts(RECV, &format!("-p {port} --pair"));
    let code = code_of(&mut waiting);
    let mut dialling = desk.starts(SEND, &format!("--host localhost:{port} --pair={code}"));
    dialling.said("paired with kitchen: from now on the two know each other");
    waiting.said("paired with desk: from now on");
    assert_ne!(code_of(&mut waiting), code, "the next machine gets another code");
    waiting.said("is sending (paired as desk)");
    assert_eq!((dialling.stop(Signal::SIGTERM), waiting.stop(Signal::SIGTERM)), (0, 0));
    port
}

#[test]
fn a_code_typed_once_lets_two_machines_know_each_other_for_good() {
    let (kitchen, desk) = (Machine::new("once", "kitchen"), Machine::new("once", "desk"));
    let port = pair(&kitchen, &desk);
    let (theirs, ours) = (kitchen.kept(), desk.kept());
    assert_eq!((theirs.len(), ours.len()), (1, 1));
    assert_eq!((theirs[0].0.len(), &theirs[0].0), (64, &ours[0].0), "one key");
    assert_eq!((theirs[0].1.as_str(), ours[0].1.clone()), ("desk", format!("kitchen\tlocalhost:{port}")));
    // From now on without it, and nobody else comes in where that is wanted; `call` keeps the same keys.
    let mut waiting = kitchen.starts(CALL, &format!("-p {port} --only-paired"));
    waiting.said("nobody but a machine that was paired with is let in");
    let mut dialling = desk.starts(CALL, &format!("--host localhost:{port}"));
    waiting.said("desk (127.0.0.1");
    dialling.said("(paired as kitchen)");
    let stranger = Machine::new("once", "stranger");
    let mut other = stranger.starts(RECV, &format!("--host localhost:{port}"));
    other.said("lets in only machines that it was paired with: pair the two: start the waiting side with --pair, then");
    assert_eq!(other.ended(), 1);
    waiting.said("was turned away");
    assert!(!waiting.heard().contains("NOT ITS KEY"));
}

#[test]
fn a_wrong_code_ends_who_dials_with_a_sentence_and_keeps_nothing() {
    let (kitchen, desk) = (Machine::new("wrong", "kitchen"), Machine::new("wrong", "desk"));
    let port = free_port();
    let mut waiting = kitchen.starts(RECV, &format!("-p {port} --pair"));
    let code = code_of(&mut waiting);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let mut dialling = desk.starts(SEND, &format!("--host localhost:{port} --pair={wrong}"));
    dialling.said("the code is wrong: type the one that the waiting side shows now");
    assert_eq!(dialling.ended(), 1);
    waiting.said("was turned away: the code is wrong");
    assert!(!desk.state.0.join("eyeline/peers").exists() && !kitchen.state.0.join("eyeline/peers").exists());
    // It was typed right the second time.
    let mut dialling = desk.starts(SEND, &format!("--host localhost:{port} --pair={code}"));
    dialling.said("paired with kitchen");
}

#[test]
fn another_machine_in_the_place_or_under_the_name_of_a_pair_is_said_loudly() {
    let (kitchen, desk) = (Machine::new("loud", "kitchen"), Machine::new("loud", "desk"));
    let port = pair(&kitchen, &desk);
    // Somebody waits where the kitchen did, and knows nothing of it.
    let impostor = Machine::new("loud-impostor", "kitchen");
    let mut waiting = impostor.starts(RECV, &format!("-p {port}"));
    waiting.said("waiting on port");
    let mut dialling = desk.starts(SEND, &format!("--host localhost:{port}"));
    let line = dialling.said("IS NOT THE kitchen THAT WAS PAIRED WITH");
    assert!(line.contains("nothing is sent") && line.contains("--pair"), "{line}");
    assert_eq!((dialling.stop(Signal::SIGTERM), waiting.stop(Signal::SIGTERM)), (0, 0));
    // Somebody dials the kitchen and calls himself as the desk does.
    let mut waiting = kitchen.starts(RECV, &format!("-p {port}"));
    waiting.said("waiting on port");
    let impostor = Machine::new("loud-caller", "desk");
    let _dialling = impostor.starts(SEND, &format!("--host localhost:{port}"));
    let line = waiting.said("CALLS ITSELF desk");
    assert!(line.contains("HAS NOT ITS KEY"), "{line}");
    waiting.said("desk (127.0.0.1");
}

#[test]
fn who_is_forgotten_is_a_stranger_again_and_a_name_that_is_none_is_told() {
    let (kitchen, desk) = (Machine::new("forget", "kitchen"), Machine::new("forget", "desk"));
    let port = pair(&kitchen, &desk);
    let mut unknown = desk.starts(SEND, "--forget lab");
    unknown.said("lab is not known; paired with: kitchen");
    assert_eq!(unknown.ended(), 1);
    let mut forgets = desk.starts(SEND, "--forget Kitchen");
    forgets.said("Kitchen is forgotten");
    assert_eq!((forgets.ended(), desk.kept().len()), (0, 0));
    let mut waiting = kitchen.starts(RECV, &format!("-p {port} --only-paired"));
    waiting.said("waiting on port");
    let mut dialling = desk.starts(SEND, &format!("--host localhost:{port}"));
    let line = dialling.said("lets in only machines that it was paired with");
    assert!(line.contains("start the waiting side with --pair") && !line.contains("--key"), "{line}");
}

#[test]
fn what_is_typed_wrong_is_told_before_anybody_is_dialled() {
    let desk = Machine::new("typed", "desk");
    for (args, part) in [
        ("--host localhost --pair=12345", "is no code: it is six digits"),
        ("--host localhost --pair", "no code came, so nobody is dialled"),
        ("--pair=123456", "is for who dials"),
    ] {
        let mut program = desk.starts(SEND, args);
        program.said(part);
        assert_eq!(program.ended(), 2, "{args}");
    }
}

/// At a terminal the code is asked for, until six digits are typed.
#[test]
fn at_a_terminal_the_code_is_asked_for() {
    let (kitchen, desk) = (Machine::new("asked", "kitchen"), Machine::new("asked", "desk"));
    let port = free_port();
    let mut waiting = kitchen.starts(RECV, &format!("-p {port} --pair"));
    let code = code_of(&mut waiting);
    let line = format!("{SEND} --no-config --test -s 320x240 --name desk --host localhost:{port} --pair");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("XDG_STATE_HOME", &desk.state.0).env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut terminal = script.spawn().unwrap();
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    terminal.stdin.as_mut().unwrap().write_all(format!("12\n{spaced}\n").as_bytes()).unwrap();
    waiting.said("paired with desk");
    assert_eq!(waiting.stop(Signal::SIGTERM), 0);
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}
