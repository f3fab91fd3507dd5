//! Machines that this user's was paired with: kept in a file of his, and what is said of them.
//!
//! One line for each in `peers` of [`state`]'s folder, which nobody else may read: the key in hexadecimal digits, what the machine
//! called itself, and the hosts as which it was dialled, with tabs between them. A line that is none of these is left as it is.

use super::args::{Common, Host, Pairing};
use super::state;
use eyeline_proto::crypto::Psk;
use eyeline_proto::session::HostId;
use eyeline_proto::session::keyring::{Keys, MOST_PAIRS, Pair};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A longer file was not written here: 256 lines of a name and a dozen hosts.
const LONGEST: u64 = 1 << 20;

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
    /// Those of this user. What cannot be read is told; it is then as if there were none, and none is lost.
    pub fn read() -> Result<Pairs, String> {
        let file = state::file("peers");
        let lines = file.as_deref().map_or(Ok(Vec::new()), read)?;
        Ok(Pairs { file, lines })
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

    /// The one that is called so.
    pub fn named(&self, name: &str) -> Option<&Pair> {
        self.known().filter(|known| same_name(known, name)).last().map(|known| &known.pair)
    }

    /// What a session is to know of them, which dials these hosts.
    pub fn keys(&self, common: &Common) -> Keys {
        let typed = match &common.pairing {
            Some(Pairing::With(code)) => Some(code.clone()),
            _ => None,
        };
        // Where a code is typed a new key is wanted.
        let hosts = common.rendezvous.dial.iter().enumerate().filter(|_| typed.is_none());
        let hosts = hosts.filter_map(|(place, host)| Some((HostId(place), self.of_host(host)?.clone()))).collect();
        let pairs = self.known().map(|known| known.pair.clone()).collect();
        let invites = common.rendezvous.wait.is_some() && common.pairing == Some(Pairing::Invite);
        Keys { pairs, hosts, typed, invites, pairs_only: common.only_paired }
    }

    /// Keeps one that was just paired with, and what it was dialled as.
    pub fn keep(&mut self, pair: Pair, host: Option<&Host>) -> io::Result<()> {
        let typed = host.map(|host| host.to_string().to_lowercase());
        self.change(|lines| {
            // What was dialled is another machine now, or the same with another key.
            for line in lines.iter_mut() {
                if let Line::Known(known) = line {
                    known.hosts.retain(|host| Some(host) != typed.as_ref());
                }
            }
            // Where only the name tells them apart the old key would be of no use.
            lines.retain(|line| !matches!(line, Line::Known(known) if known.hosts.is_empty() && same_name(known, &pair.name)));
            lines.push(Line::Known(Known { pair, hosts: typed.into_iter().collect() }));
            if lines.len() > MOST_PAIRS {
                lines.remove(0);
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
        for named in ["10.0.0.5", "kitchen", "KITCHEN"] {
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
        assert_eq!(kept.forget("bob").unwrap(), 1);
        assert_eq!(kept.forget("Laptop").unwrap(), 1);
        assert_eq!((kept.forget("laptop").unwrap(), kept.is_empty()), (0, true));
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
