//! `--snapshot`, `s` of the window and SIGUSR1: one picture into a file, as it came.
//!
//! It is written beside its name and then given that name, so that nobody reads half of one.

use super::dated;
use crate::codec::still;
use crate::pipeline::tee::{Shot, Still, Tee};
use crate::present::writers::{Error, Overwrite, Target};
use crate::threads::{join, lock};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A sender needs a round trip to hear that its pictures are wanted whole.
const WAIT: Duration = Duration::from_secs(3);

/// Who comes later than a minute from now is waited for all the same: of the one that `--snapshot` names.
const FIRST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Numbers behind a name.
const MOST_NUMBER: u32 = 9999;

/// As many are waited for at once: a key that is held down asks for no more.
const MOST: usize = 32;

/// What became of one, in words.
pub enum Told {
    Kept(String),
    /// There was nothing to keep.
    Nothing(String),
    Failed(String),
}

/// Where one goes.
enum Place {
    /// There, whatever is there by then.
    Over(PathBuf),
    /// Into this folder, by a name that is free.
    In(PathBuf),
}

pub struct Snapshots {
    tee: Tee,
    tell: Sender<Told>,
    told: Receiver<Told>,
    /// Those that wait for a picture, or write it.
    threads: Vec<JoinHandle<()>>,
    /// One writes at a time.
    turn: Arc<Mutex<()>>,
}

impl Snapshots {
    pub fn new(tee: &Tee) -> Self {
        let (tell, told) = mpsc::channel();
        Snapshots { tee: tee.clone(), tell, told, threads: Vec::new(), turn: Arc::default() }
    }

    /// The first picture of anybody goes into this file.
    pub fn first(&mut self, path: &Path, overwrite: Overwrite) -> Result<(), Error> {
        // Found out now rather than when it comes. What is made here is gone again.
        let target = Target::claim(Some(path), overwrite)?;
        let made = target.made().map(Path::to_path_buf);
        drop(target);
        made.map(fs::remove_file);
        self.spawn(self.tee.shot(None), FIRST, Place::Over(path.to_path_buf()));
        Ok(())
    }

    /// The next picture of each of these, or of anybody where none is named, goes into a file called by it and by the time.
    pub fn keep(&mut self, names: &[String]) {
        let anybody = names.is_empty().then_some(None);
        for of in names.iter().map(|name| Some(name.as_str())).chain(anybody) {
            self.spawn(self.tee.shot(of), WAIT, Place::In(dated::folder("XDG_PICTURES_DIR")));
        }
    }

    fn spawn(&mut self, shot: Shot, within: Duration, place: Place) {
        self.threads.extract_if(.., |thread| thread.is_finished()).for_each(join);
        if self.threads.len() >= MOST {
            return;
        }
        let (tell, turn) = (self.tell.clone(), self.turn.clone());
        let work = move || {
            let told = match shot.take(within) {
                Some(still) => {
                    let _turn = lock(&turn);
                    keep(&still, &place).map_or_else(Told::Failed, Told::Kept)
                }
                None => Told::Nothing("no picture came to be kept".to_string()),
            };
            // Nobody listens at the end.
            let _ = tell.send(told);
        };
        match std::thread::Builder::new().name("snapshot".into()).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                let _ = self.tell.send(Told::Failed(format!("no picture is kept: there is no thread for it ({error})")));
            }
        }
    }

    /// What became of one.
    pub fn poll(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// No picture is waited for any more, and those that came are written.
    pub fn finish(&mut self) {
        self.tee.end();
        self.threads.drain(..).for_each(join);
    }
}

/// Whether the name asks for a PNG.
fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

/// Writes it where it is to go; which that is, in words.
fn keep(still: &Still, place: &Place) -> Result<String, String> {
    let path = match place {
        Place::Over(path) => path.clone(),
        Place::In(folder) => dated::name(folder, &still.name, "jpg"),
    };
    let failed = |why: &dyn std::fmt::Display| format!("{} is not written: {why}", path.display());
    let png = is_png(&path).then(|| still::png(still.size, &still.jpeg)).transpose().map_err(|error| failed(&error))?;
    let written = write(&path, png.as_deref().unwrap_or(&still.jpeg), matches!(place, Place::Over(_)));
    let path = written.map_err(|error| failed(&error))?;
    Ok(format!("{}: {} of {}", path.display(), still.size, still.name))
}

/// Writes a file beside its name, and gives it that name, or, where another has it and stays, the next one.
fn write(path: &Path, bytes: &[u8], over: bool) -> io::Result<PathBuf> {
    let mut part = path.as_os_str().to_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&part)?;
    let named = file.write_all(bytes).and_then(|()| name(&part, path, over));
    if named.is_err() || !over {
        let _ = fs::remove_file(&part);
    }
    named
}

fn name(part: &Path, path: &Path, over: bool) -> io::Result<PathBuf> {
    if over {
        return fs::rename(part, path).map(|()| path.to_path_buf());
    }
    for number in 1..=MOST_NUMBER {
        let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
        if number > 1 {
            name.push(format!("-{number}"));
        }
        name.push(".jpg");
        let path = path.with_file_name(name);
        // Unlike renaming it takes no name that is taken.
        match fs::hard_link(part, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            linked => return linked.map(|()| path),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::picture::Size;

    #[test]
    fn a_picture_is_there_whole_or_not_at_all_and_no_other_is_written_over() {
        let folder = std::env::temp_dir().join(format!("eyeline-{}-snapshots", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.jpg");
        assert_eq!(write(&path, &[1, 2, 3], false).unwrap(), path);
        assert_eq!(write(&path, &[4], false).unwrap(), folder.join("a-2.jpg"));
        assert_eq!(fs::read(&path).unwrap(), [1, 2, 3]);
        assert_eq!(write(&path, &[5], true).unwrap(), path, "who names a file means that one");
        assert_eq!(fs::read(&path).unwrap(), [5]);
        let still = Still { name: "lab".into(), size: Size { width: 2, height: 2 }, jpeg: vec![1, 2, 3] };
        let nowhere = Place::Over(folder.join("nowhere").join("a.jpg"));
        assert!(keep(&still, &nowhere).unwrap_err().contains("is not written: No such file"));
        assert!(keep(&still, &Place::Over(folder.join("a.PNG"))).is_err(), "these bytes are no JPEG");
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a-2.jpg", "a.jpg"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
