//! What two people do in their first five minutes, as docs/first-call.md tells it: real programs, each in a network namespace and on a
//! screen of its own. Needs root, or leave for users to make namespaces.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;

use folder::Folder;
use namespace::Namespace;
use program::{CALL, Program};
use screen::{Area, Screen};
use std::collections::BTreeMap;

const SCRIPT: &str = include_str!("../docs/first-call.md");

/// What is shown in the window as well, a moment later: a picture of it, the words that are said, and more pixels of a colour than there
/// are without it; of a code, whose digits are many or few pixels, than there are before anything is shown.
const SHOWN: [(&str, &str, u32, usize); 3] = [
    ("first-call-list", "on this network: Anna", 0xff_ffff, 7_500),
    ("first-call-ring", "calls: y lets in", 0xff_c24b, 1_000),
    ("first-call-pair", "to pair another machine", 0xff_ffff, 5_000),
];

/// Somebody at a machine.
struct Person {
    name: &'static str,
    machine: Namespace,
    screen: Screen,
    state: Folder,
    running: Option<Program>,
}

impl Person {
    fn new(name: &'static str, machine: Namespace) -> Person {
        let state = Folder::new(&format!("first-call-{name}"));
        Person { name, machine, screen: Screen::with_manager(1280, 720), state, running: None }
    }

    fn types(&mut self, words: &str) {
        let args = words.strip_prefix("call").expect("`call` is all they need");
        let args =
            format!("{} {CALL} --test -s 320x240 --no-audio --name {} --stats json{args}", self.machine.enter(), self.name);
        let mut command = program::command("nsenter", &args);
        command.env("XDG_CONFIG_HOME", "/nonexistent").env("XDG_STATE_HOME", &self.state.0);
        self.running = Some(on_screen::on_with(&self.screen, command));
    }

    /// Reads on until this was said; gives the line. The parts between `…` are said in this order.
    fn reads(&mut self, sentence: &str) -> String {
        let program = self.running.as_mut().expect("it runs");
        let longest = sentence.split('…').map(str::trim).max_by_key(|part| part.len());
        let line = program.said(longest.expect("a sentence has a part"));
        let mut rest = line.as_str();
        for part in sentence.split('…').map(str::trim) {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{} read {line:?}, not {sentence:?}", self.name)).1;
        }
        line
    }

    fn presses(&mut self, key: &str) {
        on_screen::window(&self.screen);
        self.screen.key(if key == "Return" { 0xff0d } else { key.chars().next().expect("a key").into() });
        if key == "q" {
            assert_eq!(self.running.take().expect("it runs").ended(), 0);
        }
    }
}

/// Two machines with a cable between them.
fn machines() -> [Namespace; 2] {
    let anna = Namespace::new(None);
    let ben = Namespace::new(Some(&anna));
    assert!(anna.ip(&format!("link add eth0 type veth peer name eth0 netns {}", ben.id())), "`ip` is in iproute2");
    for (number, machine) in [(1, &anna), (2, &ben)] {
        let made = machine.ip("link set lo up")
            && machine.ip(&format!("addr add 10.99.0.{number}/24 dev eth0"))
            && machine.ip("link set eth0 addrgenmode none up");
        assert!(made, "two machines on a network");
    }
    for machine in [&anna, &ben] {
        on_screen::until("a link", || machine.ip_says("link show eth0").contains("state UP").then_some(()));
    }
    [anna, ben]
}

#[test]
fn two_people_read_what_the_script_of_their_first_five_minutes_says() {
    let [anna, ben] = machines();
    let mut people = BTreeMap::from([("anna", Person::new("Anna", anna)), ("ben", Person::new("Ben", ben))]);
    let (mut code, mut steps) = (String::new(), 0);
    for step in SCRIPT.lines().filter_map(|line| line.strip_prefix("    ")) {
        steps += 1;
        let step = if code.is_empty() { step.to_string() } else { step.replace("CODE", &code) };
        let (who, does) = step.split_at(step.find(['$', ':', ' ']).expect("who does it"));
        let person = people.get_mut(who).unwrap_or_else(|| panic!("nobody is called {who}"));
        if let Some(words) = does.strip_prefix("$ ") {
            person.types(words);
        } else if let Some(sentence) = does.strip_prefix(": ") {
            let line = person.reads(sentence.trim_end_matches("CODE"));
            if sentence.ends_with("CODE") {
                code = line.rsplit("type ").next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
                assert_eq!(code.len(), 6, "{line}");
            }
            let said = |(_, part, ..): &&(&str, &str, u32, usize)| line.contains(part);
            if let Some((shot, _, colour, pixels)) = SHOWN.iter().find(said) {
                let (window, screen) = (on_screen::window(&person.screen), &person.screen);
                let seen = || {
                    let (area, shown) = (screen.area(window), screen.shot(shot));
                    // The manager puts it there a moment after it is there.
                    let [right, bottom] = [i32::from(screen.width), i32::from(screen.height)];
                    let (width, height) = (area.width.min(right - area.x), area.height.min(bottom - area.y));
                    (shown.count(Area { width, height, ..area }, *colour) > *pixels).then_some(())
                };
                on_screen::until("what was said, in the window", seen);
            }
        } else if let Some(keys) = does.strip_prefix(" presses ") {
            keys.split(' ').for_each(|key| person.presses(key));
        }
    }
    assert!(steps >= 30, "{steps} steps");
}
