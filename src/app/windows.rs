//! Where windows stood when they were closed: there they open the next time.
//!
//! One line for each of what is watched in a file of the user's (`windows` in [`state`]'s folder), the newest first:
//! `1280x720+100+50 recv lab.local:9688`. Two `recv` of two cameras so come back beside each other. What cannot be read or
//! written is not worth a word to the user: a window opens all the same.

use super::args::Rendezvous;
use super::state;
use crate::present::geometry::Geometry;
use std::path::{Path, PathBuf};

/// Of more windows nobody remembers where they were.
const MOST: usize = 100;

/// A longer file was not written here.
const LONGEST: u64 = 64 << 10;

/// What is remembered of one program's window.
pub struct Remembered {
    file: Option<PathBuf>,
    /// What is watched in it.
    key: String,
}

impl Remembered {
    /// Of the window of `program` that waits or dials there.
    pub fn new(program: &str, rendezvous: &Rendezvous) -> Remembered {
        Remembered { file: state::file("windows"), key: key(program, rendezvous) }
    }

    /// Where it stood, and its size if the user chose that; nothing where that is not known.
    pub fn geometry(&self) -> Geometry {
        let known = self.file.as_deref().map(read).unwrap_or_default();
        known.iter().find(|(key, _)| *key == self.key).map(|(_, geometry)| *geometry).unwrap_or_default()
    }

    /// Keeps where it stands.
    pub fn keep(&self, geometry: Geometry) {
        let Some(file) = &self.file else { return };
        let _locked = state::lock(file);
        let mut known = read(file);
        known.retain(|(key, _)| *key != self.key);
        known.insert(0, (self.key.clone(), geometry));
        known.truncate(MOST);
        let text: String = known.iter().map(|(key, geometry)| format!("{geometry} {key}\n")).collect();
        if let Err(error) = state::replace(file, &text) {
            tracing::debug!("where the window stands is not kept: {}: {error}", file.display());
        }
    }
}

/// In one line, whatever hosts are called.
fn key(program: &str, rendezvous: &Rendezvous) -> String {
    let hosts = rendezvous.dial.iter().map(|host| format!(" {host}"));
    let port = rendezvous.wait.map(|address| format!(" :{}", address.port()));
    let key: String = [program.to_string()].into_iter().chain(port).chain(hosts).collect();
    key.replace(char::is_control, "?")
}

fn read(file: &Path) -> Vec<(String, Geometry)> {
    let is_short = std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() <= LONGEST);
    let text = if is_short { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    let line = |line: &str| line.split_once(' ').and_then(|(geometry, key)| Some((key.to_string(), geometry.parse().ok()?)));
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::args::Host;
    use super::*;

    /// Gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("eyeline-{}-windows-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn remembered(folder: &Path, key: &str) -> Remembered {
        Remembered { file: Some(folder.join("state/eyeline/windows")), key: key.into() }
    }

    fn at(text: &str) -> Geometry {
        text.parse().unwrap()
    }

    #[test]
    fn each_window_comes_back_where_it_was_and_the_oldest_are_forgotten() {
        let folder = Folder::new("kept");
        let (lab, door) = (remembered(&folder.0, "recv lab:9688"), remembered(&folder.0, "recv door:9688"));
        assert_eq!(lab.geometry(), Geometry::default());
        lab.keep(at("1280x720+100+50"));
        door.keep(at("+5+-3"));
        lab.keep(at("640x480+10+20"));
        assert_eq!((lab.geometry(), door.geometry()), (at("640x480+10+20"), at("+5+-3")));
        for number in 0..MOST - 1 {
            remembered(&folder.0, &format!("recv {number}")).keep(at("+1+1"));
        }
        assert_eq!((lab.geometry(), door.geometry()), (at("640x480+10+20"), Geometry::default()));
        let kept = std::fs::read_dir(folder.0.join("state/eyeline")).unwrap().count();
        assert_eq!(kept, 1, "nothing half written is left");
    }

    #[test]
    fn what_is_no_list_of_windows_is_not_read_and_where_nothing_can_be_kept_nothing_is() {
        let folder = Folder::new("nonsense");
        let lab = remembered(&folder.0, "recv lab:9688");
        std::fs::create_dir_all(folder.0.join("state/eyeline")).unwrap();
        let file = folder.0.join("state/eyeline/windows");
        std::fs::write(&file, "nonsense\n9999999x1+0+0 recv lab:9688\n\u{feff}\n").unwrap();
        assert_eq!(lab.geometry(), Geometry::default());
        std::fs::write(&file, format!("+1+1 recv lab:9688\n{}", " ".repeat(LONGEST as usize))).unwrap();
        assert_eq!(lab.geometry(), Geometry::default(), "too long");
        let nowhere = Remembered { file: Some("/dev/null/eyeline/windows".into()), key: "recv".into() };
        nowhere.keep(at("+1+1"));
        assert_eq!(nowhere.geometry(), Geometry::default());
    }

    #[test]
    fn a_window_is_known_by_its_program_and_by_what_is_watched() {
        let host = |name: &str| Host { name: name.into(), port: 9688 };
        let dials = Rendezvous { wait: None, dial: vec![host("lab"), host("door\n")], relay: None };
        assert_eq!(key("recv", &dials), "recv lab:9688 door?:9688");
        let waits = Rendezvous { wait: Some("[::]:25001".parse().unwrap()), dial: Vec::new(), relay: None };
        assert_eq!(key("call", &waits), "call :25001");
    }
}
