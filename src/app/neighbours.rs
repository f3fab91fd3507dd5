//! Who else waits on this network, in words: on stderr, and with digits in a window in which nobody is seen.
//!
//! A digit stays with whom it was given until that one is gone, and another program of his name is another: nobody presses it and
//! gets somebody else. What others call themselves is theirs to choose; it comes here printable and not long, and lines about it
//! are counted (`doorman.rs`).

use super::args::{Common, PORT};
use super::awaited;
use super::doorman::Doorman;
use crate::net::discovery::{self, Heard, Id, Neighbour, Role};
use crate::net::{self, By};
use eyeline_proto::session::HostId;
use eyeline_proto::wire::record::Media;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Whom there is a digit for.
const DIGITS: usize = 9;

/// A digit that was pressed before the last one left was not meant for who is listed.
const AFTER_COMPANY: Duration = Duration::from_millis(1500);

/// Who was there before us is found by then, and most who were started with us.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Neighbours {
    program: &'static str,
    /// What we are called.
    name: Option<String>,
    /// Where we wait.
    port: u16,
    /// Others are told of; else only what we are called.
    lists: bool,
    /// A digit and Enter choose.
    typed: bool,
    /// We have a key.
    keyed: bool,
    /// When it is said that nobody is there, unless somebody is.
    silence: Option<Instant>,
    /// By their digits, from 1.
    digits: [Option<Neighbour>; DIGITS],
    /// Those for whom there is none.
    others: Vec<Neighbour>,
    /// Those that are dialled.
    chosen: Vec<Chosen>,
}

struct Chosen {
    instance: String,
    id: Id,
    /// Once it has a number.
    host: Option<HostId>,
}

/// Whether a digit may choose: where nobody is here, nor was a moment ago. Who picks among those he sees would dial a stranger as
/// the last of them leaves.
#[derive(Default)]
pub struct Company(Option<Instant>);

impl Company {
    /// Somebody is here, or nobody is.
    pub fn sees(&mut self, now: Instant, alone: bool) {
        if !alone {
            self.0 = Some(now);
        }
    }

    pub fn lets_choose(&mut self, now: Instant, alone: bool) -> bool {
        self.sees(now, alone);
        self.0.is_none_or(|seen| now.saturating_duration_since(seen) >= AFTER_COMPANY)
    }
}

/// Whether a program tells of others who wait: one that knows whom to dial does not, and `send` is found itself.
pub fn lists(program: &str, common: &Common) -> bool {
    common.announce && common.rendezvous.dial.is_empty() && program != "send"
}

/// The digit that stands alone on a line.
pub fn digit(line: &str) -> Option<u8> {
    match line.trim().as_bytes() {
        [digit @ b'1'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

impl Neighbours {
    /// Of `program`, which is found by that `name`, if it is, and waits on this port: says so.
    pub fn new(program: &'static str, common: &Common, name: Option<String>, port: u16) -> Neighbours {
        if let Some(name) = &name {
            found_as(program, name, port);
        }
        let lists = lists(program, common);
        Neighbours {
            program,
            name,
            port,
            lists,
            typed: common.typed_digits,
            keyed: common.key.is_some(),
            silence: lists.then(|| Instant::now() + PATIENCE),
            digits: Default::default(),
            others: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Who is there now, or what we are called. Whether the list is another now. `alone`: nobody else is here.
    pub fn hears(&mut self, heard: Heard, alone: bool, doorman: &mut Doorman) -> bool {
        match heard {
            Heard::Renamed(name) => {
                // It may be told of each network.
                if self.name.as_ref().is_some_and(|called| *called != name) {
                    tracing::info!("another is called the same on this network");
                    found_as(self.program, &name, self.port);
                    self.name = Some(name);
                }
                false
            }
            Heard::Neighbours(list) if self.lists => {
                for line in self.update(list) {
                    if alone {
                        doorman.neighbour(&line);
                    }
                }
                true
            }
            Heard::Neighbours(_) => false,
        }
    }

    /// Takes the new list over; what is said of that.
    fn update(&mut self, list: Vec<Neighbour>) -> Vec<String> {
        let mut lines = Vec::new();
        let (mut before, mut fresh): (Vec<Neighbour>, Vec<Neighbour>) = (std::mem::take(&mut self.others), Vec::new());
        let mut after = list;
        let is_it = |one: &Neighbour, other: &Neighbour| one.instance == other.instance && one.id == other.id;
        let mut take = |known: &Neighbour| after.iter().position(|other| is_it(known, other)).map(|at| after.swap_remove(at));
        let mut freed: [Option<String>; DIGITS] = Default::default();
        for (place, freed) in self.digits.iter_mut().zip(&mut freed) {
            let Some(known) = place.take() else { continue };
            *place = take(&known);
            if place.is_none() {
                lines.push(format!("{} is no longer on this network", known.name));
                *freed = Some(known.instance);
            }
        }
        before.retain_mut(|known| match take(known) {
            Some(now) => {
                *known = now;
                true
            }
            None => false,
        });
        fresh.append(&mut after);
        for (is_new, neighbour) in before.into_iter().map(|known| (false, known)).chain(fresh.into_iter().map(|new| (true, new)))
        {
            // Who has another's name has not his digit with it.
            let is_free = |index: &usize| self.digits[*index].is_none() && freed[*index].as_ref() != Some(&neighbour.instance);
            let digit = (0..DIGITS).find(is_free);
            if is_new {
                lines.push(self.found(&neighbour, digit.map(|index| index + 1)));
            }
            match digit {
                Some(index) => self.digits[index] = Some(neighbour),
                None => self.others.push(neighbour),
            }
        }
        lines
    }

    /// What is said of one that was found.
    fn found(&self, neighbour: &Neighbour, digit: Option<usize>) -> String {
        let command = match self.command(neighbour) {
            Some(command) => command,
            None => return format!("on this network: {}", self.what(neighbour)),
        };
        match digit.filter(|_| self.typed) {
            Some(digit) => format!("on this network: {}: {digit} and Enter, or {command}", self.what(neighbour)),
            None => format!("on this network: {}: {command}", self.what(neighbour)),
        }
    }

    /// How it is dialled: by its name, where that is one and can be typed, else by its address.
    fn command(&self, neighbour: &Neighbour) -> Option<String> {
        let known = || self.digits.iter().flatten().chain(&self.others);
        let shared = known().any(|other| other.id != neighbour.id && other.instance.eq_ignore_ascii_case(&neighbour.instance));
        let name = Some(&neighbour.instance).filter(|name| can_be_typed(name) && !shared);
        let host = name.map(|name| with_port(name, port(neighbour))).or_else(|| neighbour.places.first().map(typed))?;
        Some(format!("{} --host {}", self.program, quoted(&host)))
    }

    /// Its name, and what it has.
    fn what(&self, neighbour: &Neighbour) -> String {
        let key = match (neighbour.keyed, self.keyed) {
            (true, false) => ", wants a key",
            (true, true) => ", with a key",
            _ => "",
        };
        format!("{} ({}{key})", neighbour.name, has(neighbour))
    }

    /// Says once that nobody is there, and what to do.
    pub fn turn(&mut self, now: Instant, alone: bool) {
        if self.silence.is_none_or(|at| now < at) {
            return;
        }
        self.silence = None;
        if alone && self.others.is_empty() && self.digits.iter().all(Option::is_none) {
            let other = if self.program == "recv" { "send" } else { "call" };
            match discovery::obstacle() {
                Some(obstacle) => tracing::info!("nobody is found by name: {obstacle}"),
                None => tracing::info!(
                    "nobody else waits on this network yet: start `{other}` on the other machine, and it is listed here; where it is not \
                     (another network, a VPN, Wi-Fi that keeps its guests apart), dial the address that it says: {} --host ADDRESS",
                    self.program
                ),
            }
        }
    }

    /// These words for a window, and who can be chosen below them.
    pub fn below(&self, words: String, between: &str) -> String {
        let mut lines = Vec::new();
        for (digit, neighbour) in (1..).zip(&self.digits) {
            let Some(neighbour) = neighbour else { continue };
            let dialled = if self.is_chosen(neighbour) { ", dialling" } else { "" };
            // One piece: in columns a small window would break it.
            lines.push(format!("{digit}\u{2002}{}{dialled}", self.what(neighbour)).replace("  ", " "));
        }
        match lines.len() {
            0 => words,
            _ => format!("{words}{between}On this network, a digit chooses:\n{}", lines.join("\n")),
        }
    }

    /// Whether somebody has this digit.
    pub fn offers(&self, digit: u8) -> bool {
        self.of(digit).is_some()
    }

    fn of(&self, digit: u8) -> Option<&Neighbour> {
        self.digits.get(usize::from(digit).checked_sub(1)?)?.as_ref()
    }

    fn is_chosen(&self, neighbour: &Neighbour) -> bool {
        self.chosen.iter().any(|chosen| chosen.id == neighbour.id && chosen.instance == neighbour.instance)
    }

    /// The one that was chosen last has this number.
    pub fn dials(&mut self, host: HostId) {
        self.chosen.last_mut().into_iter().for_each(|chosen| chosen.host = Some(host));
    }

    /// This one is dialled no more, and may be chosen again.
    pub fn gives_up(&mut self, host: HostId) {
        self.chosen.retain(|chosen| chosen.host != Some(host));
    }

    /// The one of this digit is to be dialled: says so.
    pub fn choose(&mut self, digit: u8) -> Option<net::Host> {
        let Some(neighbour) = self.of(digit) else {
            tracing::info!("nobody on this network has the digit {digit}");
            return None;
        };
        let (name, instance, id) = (neighbour.name.clone(), neighbour.instance.clone(), neighbour.id);
        if self.is_chosen(neighbour) {
            tracing::info!("{name} is dialled already");
            return None;
        }
        let port = port(neighbour);
        tracing::info!("dialling {name}");
        self.chosen.push(Chosen { instance: instance.clone(), id, host: None });
        Some(net::Host { name: instance, port, by: By::Announcement(id) })
    }
}

/// Where it waits.
fn port(neighbour: &Neighbour) -> u16 {
    neighbour.places.first().map_or(PORT, SocketAddr::port)
}

/// A name as `--host` takes it: where name servers know it, too, they know no port.
fn with_port(name: &str, port: u16) -> String {
    if port == PORT { name.to_string() } else { format!("{name}:{port}") }
}

/// A place as `--host` takes it.
pub fn typed(place: &SocketAddr) -> String {
    match place {
        // It means nothing without its interface.
        SocketAddr::V6(v6) if v6.scope_id() != 0 => place.to_string(),
        _ => awaited::place(place.ip(), place.port()),
    }
}

/// What there is at one.
pub fn has(neighbour: &Neighbour) -> &'static str {
    match (neighbour.role, neighbour.offers) {
        (Role::Recv, _) => "a screen",
        (Role::Call, _) => "a call",
        (_, Media { pictures: true, sound: true, .. }) => "pictures and sound",
        (_, Media { pictures: true, .. }) => "pictures",
        _ => "sound",
    }
}

/// Says what we are found by.
fn found_as(program: &str, name: &str, port: u16) {
    let others = match program {
        "send" => "`recv` and `call` list",
        "recv" => "`call` lists",
        _ => "`recv` and `call` list",
    };
    match can_be_typed(name) {
        true => {
            let host = quoted(&with_port(name, port));
            tracing::info!("on this network {others} it as {name}: {} --host {host}", awaited::other(program))
        }
        false => tracing::info!("on this network {others} it as {name}"),
    }
}

/// Whether `--host` takes it for a name on this network, and a shell, in quotes, for nothing else.
fn can_be_typed(name: &str) -> bool {
    let plain = |letter: char| is_bare(letter) || matches!(letter, ' ' | '(' | ')' | '\'' | '&' | '+');
    let numeral = !name.chars().any(|letter| letter.is_alphanumeric() && !letter.is_ascii_digit());
    let trimmed = name.trim() == name;
    trimmed && !name.starts_with('-') && !numeral && name.chars().all(plain) && !name.eq_ignore_ascii_case("localhost")
}

fn is_bare(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_')
}

/// A host as a shell takes it.
fn quoted(host: &str) -> String {
    let bare = |letter: char| is_bare(letter) || matches!(letter, '.' | ':' | '[' | ']' | '%');
    if host.chars().all(bare) { host.to_string() } else { format!("\"{host}\"") }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, Env, recv};
    use super::*;

    fn listing(flags: &str) -> Neighbours {
        match recv::parse(format!("recv {flags}").split_whitespace().map(std::ffi::OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => Neighbours::new("recv", &config.common, Some("desk".into()), 9688),
            other => panic!("{other:?}"),
        }
    }

    fn named(name: &str, id: u8) -> Neighbour {
        let (role, offers) = (Role::Send, Media::LIVE);
        let places = vec![format!("10.0.0.{id}:9688").parse().expect("an address")];
        Neighbour { instance: name.into(), name: name.into(), id: [id; 8], role, offers, keyed: false, places }
    }

    fn hears(neighbours: &mut Neighbours, list: &[Neighbour]) -> Vec<String> {
        neighbours.update(list.to_vec())
    }

    #[test]
    fn a_digit_is_its_owners_until_he_is_gone_and_then_the_next_ones() {
        let mut known = listing("");
        let [attic, kitchen, lab] = [named("attic", 1), named("kitchen", 2), named("lab", 3)];
        hears(&mut known, &[kitchen.clone(), lab.clone()]);
        hears(&mut known, &[attic.clone(), kitchen.clone(), lab.clone()]);
        let digits = |known: &Neighbours| (1..=3).map(|digit| known.of(digit).map(|one| one.name.clone())).collect::<Vec<_>>();
        let some = |names: [&str; 3]| names.map(|name| (!name.is_empty()).then(|| name.to_string()));
        assert_eq!(digits(&known), some(["kitchen", "lab", "attic"]));
        assert_eq!(hears(&mut known, &[attic.clone(), lab.clone()]), ["kitchen is no longer on this network"]);
        assert_eq!(digits(&known), some(["", "lab", "attic"]), "nobody moves under a finger");
        let many: Vec<_> = [lab, attic].into_iter().chain((10..30).map(|n| named(&format!("n{n}"), n))).collect();
        hears(&mut known, &many);
        assert_eq!((digits(&known)[1..].to_vec(), known.others.len()), (some(["lab", "attic", ""])[..2].to_vec(), 13));
        assert!(known.offers(9) && !known.offers(10) && !known.offers(0));
        // All who had a digit are gone, but for the two; those without one take theirs.
        let left: Vec<_> = many.iter().filter(|one| known.others.contains(one) || many[..2].contains(one)).cloned().collect();
        hears(&mut known, &left);
        assert_eq!((known.others.len(), known.digits.iter().flatten().count()), (6, 9));
    }

    #[test]
    fn of_who_is_found_it_is_said_what_there_is_and_how_it_is_dialled() {
        let mut known = listing("");
        assert_eq!(
            hears(&mut known, &[named("kitchen", 1)]),
            ["on this network: kitchen (pictures and sound): recv --host kitchen"]
        );
        let places = vec!["[fd00::7]:7".parse().expect("an address")];
        let spaced = Neighbour { keyed: true, places, ..named("Living room", 7) };
        assert_eq!(
            hears(&mut known, &[named("kitchen", 1), spaced.clone()]),
            ["on this network: Living room (pictures and sound, wants a key): recv --host \"Living room:7\""]
        );
        let mut by_digit = Neighbours { typed: true, ..listing("--key a-long-key-of-ours") };
        assert_eq!(
            hears(&mut by_digit, &[spaced]),
            ["on this network: Living room (pictures and sound, with a key): 1 and Enter, or recv --host \"Living room:7\""]
        );
        let local = std::net::SocketAddrV6::new("fe80::7".parse().expect("an address"), 9688, 0, 3).into();
        assert_eq!(typed(&local), "[fe80::7%3]:9688");
        assert!(
            ["12", "localhost", "v1.2", "-x", " room", "(2)", "a$(b) c", "a\"b", "a!b"].iter().all(|name| !can_be_typed(name))
        );
        assert!(["Küche_2", "Living room", "kitchen (2)", "Anna's"].iter().all(|name| can_be_typed(name)));
    }

    #[test]
    fn one_is_chosen_once_by_what_it_calls_itself_and_nobody_by_a_digit_that_nobody_has() {
        let mut known = listing("");
        assert_eq!(known.below("Nobody sends yet.".into(), "\n"), "Nobody sends yet.");
        hears(&mut known, &[named("192.0.2.1", 4)]);
        let host = known.choose(1).expect("it is there");
        assert_eq!(
            (host.name.as_str(), host.port, host.by),
            ("192.0.2.1", 9688, By::Announcement([4; 8])),
            "it is no address of ours"
        );
        assert!(known.choose(1).is_none() && known.choose(2).is_none());
        let words = known.below("Nobody sends yet.".into(), "\n");
        assert_eq!(
            words,
            "Nobody sends yet.\nOn this network, a digit chooses:\n1\u{2002}192.0.2.1 (pictures and sound), dialling"
        );
        known.dials(HostId(3));
        known.gives_up(HostId(2));
        assert!(known.choose(1).is_none());
        known.gives_up(HostId(3));
        assert!(known.choose(1).is_some(), "it was given up");
        assert_eq!(["1", " 9\n", "0", "12", "", "x"].map(digit), [Some(1), Some(9), None, None, None, None]);
    }

    #[test]
    fn another_program_of_a_name_has_neither_its_digit_nor_what_was_chosen() {
        let mut known = listing("");
        hears(&mut known, &[named("kitchen", 1)]);
        let chosen = known.choose(1).expect("it is there");
        assert_eq!(
            hears(&mut known, &[named("kitchen", 2)]),
            ["kitchen is no longer on this network", "on this network: kitchen (pictures and sound): recv --host kitchen"]
        );
        assert!(!known.offers(1) && known.offers(2));
        let other = known.choose(2).expect("this one was not chosen");
        assert_ne!(chosen.by, other.by);
    }

    #[test]
    fn a_digit_chooses_where_nobody_is_nor_was_a_moment_ago() {
        let (mut company, now) = (Company::default(), Instant::now());
        assert!(company.lets_choose(now, true), "nobody was here ever");
        company.sees(now, false);
        assert!(!company.lets_choose(now + Duration::from_secs(9), false));
        let left = now + Duration::from_secs(9);
        assert!(!company.lets_choose(left + AFTER_COMPANY / 2, true) && company.lets_choose(left + AFTER_COMPANY, true));
    }

    #[test]
    fn who_waits_on_another_port_is_named_with_it() {
        let places = vec!["10.0.0.1:7".parse().expect("an address")];
        assert_eq!(
            hears(&mut listing(""), &[Neighbour { places, ..named("kitchen", 1) }]),
            ["on this network: kitchen (pictures and sound): recv --host kitchen:7"]
        );
    }

    #[test]
    fn who_knows_whom_to_dial_or_stays_out_of_it_is_told_of_nobody() {
        let lists = |flags: &str| listing(flags).lists;
        assert_eq!(["", "--host lab", "--host lab --wait", "--no-announce"].map(lists), [true, false, false, false]);
    }
}
