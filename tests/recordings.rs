//! What becomes of the files that `recv` is told to write, with the real programs: nothing is lost of what was there until there is
//! something to write, nothing is left where there was not, and no reader that stands still keeps `recv` from its end.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use program::{Program, RECV, free_port, recv, send};

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A file that is there already.
    fn precious(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, "precious").unwrap();
        path
    }

    /// The names of all that is in it.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_precious(path: &PathBuf) -> bool {
    fs::read(path).unwrap() == b"precious"
}

/// Waits for the end, which must be this code, and an error that says this.
fn fails(mut recv: Program, code: i32, part: &str) {
    assert_eq!(recv.ended(), code, "{}", recv.heard());
    let line = recv.said("error: ");
    assert!(line.contains(part), "{line}");
}

#[test]
fn where_nothing_came_what_was_there_is_as_it_was_and_nothing_is_left_that_was_not() {
    let folder = Folder::new("nothing");
    let old = [folder.precious("old.y4m"), folder.precious("old.wav")];
    for [pictures, sound] in [old.clone(), ["new.y4m", "new.wav"].map(|name| folder.0.join(name))] {
        let files = format!("--output {} --audio-output {}", pictures.display(), sound.display());
        let mut recv = recv(&format!("-p {} {files}", free_port()));
        recv.said("waiting on port");
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
        for what in ["picture", "sound"] {
            assert!(recv.heard().contains(&format!("no {what} came: nothing is written")), "{}", recv.heard());
        }
        assert!(old.iter().all(is_precious));
        assert_eq!(folder.names(), ["old.wav", "old.y4m"]);
    }
}

#[test]
fn where_nothing_came_within_the_duration_the_exit_code_says_so() {
    let folder = Folder::new("due");
    let file = folder.0.join("new.y4m");
    let port = free_port();
    for files in [String::new(), format!("--output {}", file.display())] {
        let recv = recv(&format!("-p {port} --duration 300ms {files}"));
        fails(recv, 4, &format!("nothing came within --duration (waiting on port {port}: run `send --host "));
    }
    assert_eq!(folder.names(), Vec::<String>::new());
    // Something comes, but not what was to be written.
    let mut send = send(&format!("--test -s 320x240 --no-audio -p {port}"));
    send.said("waiting on port");
    let sound = folder.0.join("new.wav");
    let mut silent = recv(&format!("--host 127.0.0.1:{port} --duration 2s --audio-output {}", sound.display()));
    silent.said("warning: no sound came: nothing is written");
    fails(silent, 1, "there was nothing to write");
    let mut both =
        recv(&format!("--host 127.0.0.1:{port} --duration 3s --output {} --audio-output {}", file.display(), sound.display()));
    assert_eq!(both.ended(), 0, "{}", both.heard());
    assert_eq!(folder.names(), ["new.y4m"]);
}

#[test]
fn a_run_that_cannot_begin_leaves_every_file_as_it_was() {
    let folder = Folder::new("cannot");
    let (old, link) = (folder.precious("old.wav"), folder.0.join("link.y4m"));
    symlink("nowhere", &link).unwrap();
    let files = format!("--audio-output {} --output {}", old.display(), link.display());
    fails(recv(&format!("-p {} {files}", free_port())), 1, "link.y4m is a link to nowhere");
    assert!(is_precious(&old));
    let [pictures, sound] = ["new.y4m", "new.wav"].map(|name| folder.0.join(name));
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for sound in [&old, &sound] {
        let files = format!("--output {} --audio-output {}", pictures.display(), sound.display());
        let nameless = format!("--no-window --speaker no_such_speaker -p {} {files}", free_port());
        fails(Program::start(RECV, &nameless), 3, "--speaker");
        fails(recv(&format!("-p {port} {files}")), 1, &port.to_string());
        assert!(is_precious(&old));
        assert_eq!(folder.names(), ["link.y4m", "old.wav"]);
    }
}

#[test]
fn a_link_is_not_followed_to_a_file_that_is_written_over() {
    let folder = Folder::new("link");
    let (kept, link) = (folder.precious("kept"), folder.0.join("link.y4m"));
    symlink(&kept, &link).unwrap();
    for flag in ["--output", "--audio-output"] {
        let recv = recv(&format!("-p {} {flag} {}", free_port(), link.display()));
        let line = format!("{} is a link to {}; give another name, or say --overwrite", link.display(), kept.display());
        fails(recv, 1, &line);
    }
    assert!(is_precious(&kept));
    let mut said = recv(&format!("-p {} --output {} --overwrite", free_port(), link.display()));
    said.said("waiting on port");
    assert_eq!(said.stop(Signal::SIGTERM), 0);
    said.said("no picture came: nothing is written");
    assert!(is_precious(&kept), "nothing was written over it");
}

#[test]
fn a_reader_of_the_pictures_that_stands_still_keeps_nobody_from_the_end() {
    let folder = Folder::new("still");
    let (pipe, sound) = (folder.0.join("pipe.y4m"), folder.0.join("sound.wav"));
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // It has the pipe open and does not read. Opened for both it waits for nobody.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -p {port}"));
    send.said("waiting on port");
    let files = format!("--output {} --audio-output {}", pipe.display(), sound.display());
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json {files}"));
    // Far more than the pipe and the queue behind it hold.
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(60));
    assert_eq!(recv.stop(Signal::SIGTERM), 1, "{}", recv.heard());
    recv.said("pipe.y4m takes nothing any more; what was not written by now is lost");
    let there = fs::metadata(&sound).unwrap().len() - 44;
    assert_eq!(u64::from(hound::WavReader::open(&sound).unwrap().len()) * 2, there, "the sound beside it is whole");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}
