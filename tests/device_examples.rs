//! What is in `examples/` does what it says, run as somebody would who found it: with Debian's Python, and its OpenCV.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use program::{Program, RECV, free_port, send};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOKEN: &str = "a-secret-of-the-examples";

/// A script, as it is started.
fn script(name: &str, args: &[String]) -> Command {
    let folder = Path::new(RECV).parent().unwrap().to_str().unwrap();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    // The system's own Python: Debian's packages are for that one.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))).args(args).env("PATH", path);
    command.env("XDG_CONFIG_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/quiet"));
    command
}

/// What it says where it cannot do what it is for.
fn fails(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("Python is needed: scripts/install rig");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("Traceback"), "{said}");
    said
}

/// A script at work, killed with the test.
struct Script(Child);

impl Script {
    fn start(name: &str, args: &[String]) -> Script {
        let child = script(name, args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Script(child.expect("Python is needed: scripts/install rig"))
    }

    /// Reads on until there were so many lines that begin so, of each.
    fn says(&mut self, wanted: &[(&str, usize)]) -> Vec<String> {
        let (mut lines, mut left) = (Vec::new(), wanted.to_vec());
        for line in BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok) {
            for (word, left) in &mut left {
                *left -= usize::from(*left > 0 && line.starts_with(*word));
            }
            lines.push(line);
            if left.iter().all(|(_, left)| *left == 0) {
                return lines;
            }
        }
        panic!("it ended after:\n{}", lines.join("\n"));
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The test picture, and where it is in browsers.
fn on_page() -> (Program, String) {
    let web = free_port();
    let mut send = send(&format!("--test -s 320x240 -r 30 -p {} --web {web} --web-token {TOKEN}", free_port()));
    send.said("waiting on port");
    (send, format!("http://127.0.0.1:{web}/#{TOKEN}"))
}

#[test]
fn pictures_sound_and_latency_of_recv_are_read_by_a_script() {
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -r 30 -p {port}"));
    send.said("waiting on port");
    let mut script = Script::start("recv.py", &["--host".into(), format!("127.0.0.1:{port}"), "--no-audio".into()]);
    let lines = script.says(&[("picture 320x240", 30), ("sound", 10), ("latency {", 1)]);
    // The tone sounds now and then; the picture is bright all the time.
    let number = |line: &String| line.rsplit(' ').next().and_then(|word| word.parse::<u32>().ok());
    assert!(lines.iter().filter(|line| line.starts_with("picture")).filter_map(number).all(|bright| (40..200).contains(&bright)));
    assert!(lines.iter().filter(|line| line.starts_with("sound")).filter_map(number).any(|loud| loud > 1000), "{lines:?}");
}

#[test]
fn what_goes_wrong_is_said_in_a_line_and_is_no_success() {
    let (_send, address) = on_page();
    let wrong = address.replace(TOKEN, "another-secret-that-is-wrong");
    for name in ["page.py", "opencv.py"] {
        let said = fails(&mut script(name, std::slice::from_ref(&wrong)));
        assert!(said.contains("the secret behind # is wrong"), "{name}: {said}");
    }
    let recv = |host: &str| {
        let mut command = script("recv.py", &["--host".into(), host.into()]);
        command.env("PATH", "/nonexistent");
        command
    };
    assert!(fails(&mut recv("lab")).contains("recv is not found"));
    // What the program itself says last, and nothing behind it.
    let output = recv("127.0.0.1:0").env("RECV", RECV).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("'127.0.0.1:0'") && !said.contains("Traceback"), "{said}");
}

#[test]
fn the_stream_for_pages_is_read_with_nothing_but_python() {
    let (_send, address) = on_page();
    let lines = Script::start("page.py", &[address]).says(&[("picture of", 20)]);
    assert!(lines.iter().all(|line| line.ends_with(" bytes")), "{lines:?}");
}

#[test]
fn opencv_reads_the_stream_for_pages_as_any_cameras() {
    let (_send, address) = on_page();
    Script::start("opencv.py", &[address]).says(&[("picture 320x240", 20)]);
}

#[test]
fn who_keeps_only_a_picture_now_and_then_as_home_assistant_does_gets_a_new_one_each_time() {
    let (_send, address) = on_page();
    let still = address.replace("#", "snapshot.jpg?token=");
    let fetch = || {
        let output =
            Command::new("ffmpeg").args(["-v", "error", "-i", &still, "-f", "rawvideo", "-pix_fmt", "gray", "-"]).output();
        let output = output.expect("ffmpeg is needed: scripts/install rig");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let (one, other) = (fetch(), fetch());
    assert!(one.len() == 320 * 240 && other.len() == one.len() && one != other);
}
