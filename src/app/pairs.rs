//! Machines that this user's was paired with: kept in a file of his, and what is said of them.
//!
//! One line for each in `peers` of [`state`]'s folder, which nobody else may read: the key in hexadecimal digits, what the
//! machine called itself, and the hosts as which it was dialled, with tabs between them. A line that is none of these is left as
//! it is.

use super::args::{Common, Host, Pairing};
use super::state;
use eyeline_proto::crypto::Psk;
use eyeline_proto::session::HostId;
use eyeline_proto::session::keyring::{Keys, MOST_PAIRS, Pair, Standing};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A longer file was not written here: 256 lines of a name and a dozen hosts.
const LONGEST: u64 = 1 << 20;

/// A name, with what it is worth. Others choose their names, also such as end in a mark of ours: behind those it is said once
/// more.
pub fn marked(name: &str, standing: &Standing) -> String {
    match standing {
        Standing::Paired(pair) if pair == name => format!("{name} (paired)"),
        Standing::Paired(pair) => format!("{name} (paired as {pair})"),
        Standing::Unproved => format!("{name} (NOT the paired one)"),
        Standing::Unknown if name.to_lowercase().contains("paired") => format!("{name} (not paired)"),
        Standing::Unknown => name.to_string(),
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    pair: Pair,
    /// As they were typed, with their ports.
    hosts: Vec<String>,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Known(Known),
    /// Somebody else's: kept as it is.
    Strange(String),
}

/// Those that are kept.
#[derive(Debug, Default)]
pub struct Pairs {
    file: Option<PathBuf>,
    lines: Vec<Line>,
}

impl Pairs {
    /// Those of this user. Where they cannot be read, nobody may be dialled as if he were a stranger.
    pub fn read() -> Result<Pairs, String> {
        let file = state::file("peers");
        let lines = file.as_deref().map_or(Ok(Vec::new()), read)?;
        Ok(Pairs { file, lines })
    }

    /// Lines that are neither pairs nor somebody's remarks: a pair may have been lost in one.
    pub fn damaged(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line, Line::Strange(text) if !text.starts_with('#'))).count()
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.known().next().is_none()
    }

    fn known(&self) -> impl Iterator<Item = &Known> {
        self.lines.iter().filter_map(|line| if let Line::Known(known) = line { Some(known) } else { None })
    }

    /// The one that is meant by a host: it was dialled as that, or is called so.
    pub fn of_host(&self, host: &Host) -> Option<&Pair> {
        let typed = host.to_string().to_lowercase();
        let dialled = self.known().filter(|known| known.hosts.contains(&typed));
        dialled.last().map(|known| &known.pair).or_else(|| self.named(&host.name))
    }

    /// The one that is called so, with a domain behind it or without.
    pub fn named(&self, name: &str) -> Option<&Pair> {
        let meant = |known: &&Known| bare(&known.pair.name).to_lowercase() == bare(name).to_lowercase();
        self.known().filter(meant).last().map(|known| &known.pair)
    }

    /// What a session is to know of them, which dials these hosts.
    pub fn keys(&self, common: &Common) -> Keys {
        let typed = match &common.pairing {
            Some(Pairing::With(code)) => Some(code.clone()),
            _ => None,
        };
        // Where a code is typed a new key is wanted, and where a key is, that one.
        let kept = typed.is_none() && !common.key_typed;
        let hosts = common.rendezvous.dial.iter().enumerate().filter(|_| kept);
        let hosts = hosts.filter_map(|(place, host)| Some((HostId(place), self.of_host(host)?.clone()))).collect();
        let pairs = self.known().map(|known| known.pair.clone()).collect();
        let invites = common.rendezvous.wait.is_some() && common.pairing == Some(Pairing::Invite);
        Keys { pairs, hosts, typed, invites, pairs_only: common.only_paired }
    }

    /// Whether `--only-paired` can be kept: whom we dial is one of them, and somebody may come where we wait.
    pub fn judge(&self, common: &Common) -> Result<(), String> {
        if !common.only_paired || common.key.is_some() || common.pairing.is_some() {
            return Ok(());
        }
        if let Some(host) = common.rendezvous.dial.iter().find(|host| self.of_host(host).is_none()) {
            return Err(format!(
                "{host} was never paired with: pair the two once, by --pair on both sides, or leave out --only-paired"
            ));
        }
        match self.is_empty() {
            true => Err("no machine was paired with, so nobody could come in: pair with one, by --pair on both sides, or leave out --only-paired".into()),
            false => Ok(()),
        }
    }

    /// Keeps one that was just paired with, and what it was dialled as.
    pub fn keep(&mut self, pair: Pair, host: Option<&Host>) -> io::Result<()> {
        let typed = host.map(|host| host.to_string().to_lowercase());
        self.change(|lines| {
            // What was dialled is another machine now, or the same with another key: then the old one is of no use. Two that dial
            // us may have one name, and each has its key.
            lines.retain_mut(|line| {
                let Line::Known(known) = line else { return true };
                let before = known.hosts.len();
                known.hosts.retain(|host| Some(host) != typed.as_ref());
                !(known.hosts.is_empty() && before > 0 && same_name(known, &pair.name))
            });
            lines.push(Line::Known(Known { pair, hosts: typed.into_iter().collect() }));
            while lines.iter().filter(|line| matches!(line, Line::Known(_))).count() > MOST_PAIRS {
                let oldest = lines.iter().position(|line| matches!(line, Line::Known(_))).unwrap_or_default();
                lines.remove(oldest);
            }
        })
    }

    /// Forgets those that are called so, or were dialled as that; how many there were.
    pub fn forget(&mut self, name: &str) -> io::Result<usize> {
        let is_meant = |known: &Known| {
            let host = |host: &String| host.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case(name));
            same_name(known, name) || known.hosts.iter().any(|it| it.eq_ignore_ascii_case(name) || host(it))
        };
        let before = self.known().count();
        self.change(|lines| lines.retain(|line| !matches!(line, Line::Known(known) if is_meant(known))))?;
        Ok(before - self.known().count())
    }

    /// What they are called, for people.
    pub fn names(&self) -> Vec<&str> {
        self.known().map(|known| known.pair.name.as_str()).collect()
    }

    /// Another program of this user may have changed them meanwhile: they are read anew.
    fn change(&mut self, change: impl FnOnce(&mut Vec<Line>)) -> io::Result<()> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "there is neither $XDG_STATE_HOME nor $HOME");
        let file = self.file.as_deref().ok_or_else(none)?;
        let _locked = state::lock(file);
        let mut lines = read(file).map_err(io::Error::other)?;
        change(&mut lines);
        state::replace(file, &lines.iter().map(Line::text).collect::<String>())?;
        self.lines = lines;
        Ok(())
    }
}

fn same_name(known: &Known, name: &str) -> bool {
    known.pair.name.to_lowercase() == name.to_lowercase()
}

/// Without its domain; an address has none.
fn bare(name: &str) -> &str {
    if name.parse::<IpAddr>().is_ok() { name } else { name.split('.').next().unwrap_or(name) }
}

fn read(file: &Path) -> Result<Vec<Line>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot read {}, where paired machines are kept: {error}", file.display());
    let about = match std::fs::metadata(file) {
        Ok(about) => about,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    if !about.is_file() || about.len() > LONGEST {
        return Err(unreadable(&"it is no such file"));
    }
    if about.mode() & 0o077 != 0 {
        return Err(unreadable(&format!("others on this machine can read its keys, too: chmod 600 {}", file.display())));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(Line::parse).collect())
}

impl Line {
    fn parse(line: &str) -> Line {
        let known = || {
            let mut fields = line.split('\t');
            let (key, name) = (unhex(fields.next()?)?, fields.next().filter(|name| !name.is_empty())?);
            let pair = Pair { name: name.to_string(), key: Psk::from_bytes(key) };
            Some(Known { pair, hosts: fields.map(str::to_string).collect() })
        };
        known().map_or_else(|| Line::Strange(line.to_string()), Line::Known)
    }

    fn text(&self) -> String {
        match self {
            Line::Strange(line) => format!("{line}\n"),
            Line::Known(Known { pair, hosts }) => {
                let key: String = pair.key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                let hosts: String = hosts.iter().map(|host| format!("\t{}", host.replace(char::is_control, "?"))).collect();
                format!("{key}\t{}{hosts}\n", pair.name.replace(char::is_control, "?"))
            }
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, two) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(two[0])? << 4 | digit(two[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder(name: &str) -> Folder {
        Folder(std::env::temp_dir().join(format!("eyeline-{}-pairs-{name}", std::process::id())))
    }

    fn pairs(folder: &Folder) -> Pairs {
        let file = folder.0.join("eyeline/peers");
        Pairs { lines: read(&file).expect("they can be read"), file: Some(file) }
    }

    fn pair(name: &str, byte: u8) -> Pair {
        Pair { name: name.into(), key: Psk::from_bytes([byte; 32]) }
    }

    fn host(name: &str) -> Host {
        Host { name: name.into(), port: 9688 }
    }

    #[test]
    fn a_pair_is_found_by_what_it_was_dialled_as_and_by_its_name_and_the_file_is_the_users_alone() {
        let folder = folder("kept");
        assert!(pairs(&folder).is_empty() && pairs(&folder).of_host(&host("kitchen")).is_none());
        pairs(&folder).keep(pair("Kitchen", 1), Some(&host("10.0.0.5"))).unwrap();
        pairs(&folder).keep(pair("desk\tof Ann\n", 2), None).unwrap();
        let kept = pairs(&folder);
        for named in ["10.0.0.5", "kitchen", "KITCHEN", "kitchen.local", "kitchen.lan.example"] {
            assert_eq!(kept.of_host(&host(named)), Some(&pair("Kitchen", 1)), "{named}");
        }
        assert_eq!(kept.of_host(&Host { name: "10.0.0.5".into(), port: 5000 }), None, "another program there");
        assert_eq!(kept.names(), ["Kitchen", "desk?of Ann?"]);
        let file = folder.0.join("eyeline/peers");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.0.join("eyeline")).unwrap().count(), 1, "nothing half written is left");
    }

    #[test]
    fn a_machine_that_is_paired_anew_takes_the_place_of_itself_and_of_no_other() {
        let folder = folder("anew");
        let mut kept = pairs(&folder);
        kept.keep(pair("laptop", 1), Some(&host("ann"))).unwrap();
        kept.keep(pair("laptop", 2), Some(&host("bob"))).unwrap();
        kept.keep(pair("laptop", 3), Some(&host("ann"))).unwrap();
        assert_eq!(kept.of_host(&host("ann")), Some(&pair("laptop", 3)));
        assert_eq!(kept.of_host(&host("bob")), Some(&pair("laptop", 2)));
        assert_eq!(kept.names().len(), 2);
        let hosts = |flags: &str| kept.keys(&common(flags)).hosts.len();
        assert_eq!((hosts("--host ann"), hosts("--host ann --key typed-for-this-run")), (1, 0), "who types a key means it");
        assert_eq!(kept.forget("bob").unwrap(), 1);
        assert_eq!(kept.forget("Laptop").unwrap(), 1);
        assert_eq!((kept.forget("laptop").unwrap(), kept.is_empty()), (0, true));
        // Two that dial us, and are called the same.
        kept.keep(pair("debian", 5), None).unwrap();
        kept.keep(pair("debian", 6), None).unwrap();
        assert_eq!(kept.keys(&common("")).pairs, [pair("debian", 5), pair("debian", 6)]);
        assert_eq!(kept.forget("debian").unwrap(), 2);
    }

    fn common(flags: &str) -> Common {
        let line = format!("recv {flags}");
        match args::recv::parse(line.split_whitespace().map(std::ffi::OsString::from), &args::Env::default()) {
            Ok(args::Command::Run(config)) => config.common,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mark_stands_behind_whatever_name_a_stranger_gives_himself() {
        let kitchen = || Standing::Paired("kitchen".into());
        assert_eq!(marked("kitchen", &kitchen()), "kitchen (paired)");
        assert_eq!(marked("cot", &kitchen()), "cot (paired as kitchen)");
        assert_eq!(marked("kitchen", &Standing::Unproved), "kitchen (NOT the paired one)");
        assert_eq!(marked("kitchen (Paired)", &Standing::Unknown), "kitchen (Paired) (not paired)");
        assert_eq!(marked("desk", &Standing::Unknown), "desk");
    }

    #[test]
    fn where_only_pairs_are_wanted_who_is_none_is_not_dialled() {
        let folder = folder("only");
        let mut kept = pairs(&folder);
        assert!(kept.judge(&common("--only-paired")).is_err_and(|sentence| sentence.contains("nobody could come in")));
        assert!(
            kept.judge(&common("--only-paired --pair")).is_ok()
                && kept.judge(&common("--only-paired --key long-enough-key")).is_ok()
        );
        kept.keep(pair("kitchen", 1), None).unwrap();
        assert!(kept.judge(&common("--only-paired")).is_ok() && kept.judge(&common("--only-paired --host kitchen")).is_ok());
        let refused = kept.judge(&common("--only-paired --host lab")).unwrap_err();
        assert!(refused.contains("lab:9688 was never paired with"), "{refused}");
        assert!(
            kept.judge(&common("--only-paired --host lab --pair=123456")).is_ok() && kept.judge(&common("--host lab")).is_ok()
        );
    }

    #[test]
    fn what_another_wrote_is_kept_and_a_file_that_others_read_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder("strange");
        let file = folder.0.join("eyeline/peers");
        pairs(&folder).keep(pair("kitchen", 0xab), None).unwrap();
        let before = std::fs::read_to_string(&file).unwrap();
        assert_eq!(before, format!("{}\tkitchen\n", "ab".repeat(32)));
        std::fs::write(&file, format!("# mine\n{before}{}\tshort key\n\tno key\n{}\t\n", "ab".repeat(31), "ab".repeat(32)))
            .unwrap();
        let mut kept = pairs(&folder);
        assert_eq!(kept.names(), ["kitchen"]);
        kept.keep(pair("desk", 2), None).unwrap();
        let after = std::fs::read_to_string(&file).unwrap();
        assert_eq!((after.lines().next(), after.lines().count()), (Some("# mine"), 6));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&file).is_err_and(|sentence| sentence.contains("chmod 600")));
        assert!(kept.keep(pair("lab", 3), None).is_err(), "and nothing of it is lost");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
        assert!(Pairs::default().keep(pair("lab", 3), None).is_err_and(|error| error.to_string().contains("XDG_STATE_HOME")));
    }
}
