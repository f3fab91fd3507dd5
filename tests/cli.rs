//! The real programs' manners: help, version, exit codes and error lines. What each flag means is tested beside its parser.

use std::process::{Command, Output, Stdio};

use eyeline::app::args::{Env, recv, send};

const SEND: &str = env!("CARGO_BIN_EXE_send");
const RECV: &str = env!("CARGO_BIN_EXE_recv");

/// The program with nothing in its environment that changes its words.
fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_remove("EYELINE_KEY").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

fn run(path: &str, args: &[&str]) -> Output {
    program(path, args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The error of a wrong command line, after checking how it was delivered.
fn refusal(path: &str, args: &[&str]) -> String {
    let output = run(path, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{args:?}: stdout is for data");
    let error = text(&output.stderr).to_string();
    assert!(error.starts_with("error: ") && error.contains("--help"), "{args:?}: {error}");
    assert!(!error.contains('\x1b'), "{args:?}: colours in a pipe: {error}");
    error
}

#[test]
fn help_goes_to_stdout_and_is_a_normal_end() {
    for (path, example) in [(SEND, "send --host lab.local"), (RECV, "recv --host camera.local")] {
        for flag in ["-h", "--help"] {
            let output = run(path, &[flag]);
            assert_eq!(output.status.code(), Some(0), "{path} {flag}");
            let help = text(&output.stdout);
            for part in ["Usage: ", "Connection:", "Examples:", example, "--key-file <FILE>", "Exit code: 0 "] {
                assert!(help.contains(part), "{path} {flag} lacks {part:?}:\n{help}");
            }
            assert!(output.stderr.is_empty());
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(110), "{path} {flag} has a line of {widest:?} characters");
        }
    }
}

#[test]
fn every_flag_of_the_help_has_words_beside_it() {
    for path in [SEND, RECV] {
        let output = run(path, &["--help"]);
        for line in text(&output.stdout).lines().filter(|line| line.trim_start().starts_with('-')) {
            let said = line.trim_start().split_once("  ").map_or("", |(_, words)| words.trim());
            assert!(!said.is_empty(), "{path}: {line}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    for (path, name) in [(SEND, "send"), (RECV, "recv")] {
        let output = run(path, &["--version"]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*format!("{name} {}\n", env!("CARGO_PKG_VERSION"))));
    }
}

#[test]
fn a_reader_of_the_help_that_went_away_is_no_failure() {
    let mut child = program(SEND, &["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn wrong_usage_is_one_message_a_hint_and_exit_code_2() {
    for (path, args, part) in [
        (SEND, &["--frobnicate"][..], "unexpected argument '--frobnicate'"),
        (RECV, &["camera.local", "lab.local", "--output", "x.y4m"], "name it like '{name}.y4m'"),
        (RECV, &["--output", "{name}.y4m", "--audio-output", "x.wav"], "put {name} into both"),
        (RECV, &["--output", "{mix}.y4m"], "{mix} is for sound"),
        (RECV, &["camera.local", "--host", "camera.local"], "is given twice"),
        (SEND, &["./talk.mp4"], "files are named by a flag, like --file"),
        (SEND, &["--size", "huge"], "write a size like 1280x720"),
        (SEND, &["--test", "--camera", "0"], "cannot be used with"),
        (SEND, &["--no-video", "--no-audio"], "cannot be used with"),
        (SEND, &["--require-audio", "--no-audio"], "cannot be used with"),
        (SEND, &["--loop", "--file", "-"], "--loop needs a film"),
        (SEND, &["--key", "a", "--key-file", "b"], "cannot be used with"),
        (SEND, &["--key", ""], "--key is empty"),
        (RECV, &["--fullscreen", "--no-window"], "cannot be used with"),
        (RECV, &["--output", "-", "--stats", "json"], "both want stdout"),
        (RECV, &["--host", "[::1"], "write [::1]:9688"),
        (RECV, &["--port", "0"], "a port is a number from 1 to 65535"),
        (RECV, &["--duration", "5parsecs"], "500ms, 10s"),
        (RECV, &["--key-file", "/nonexistent/key"], "cannot read key file /nonexistent/key"),
    ] {
        let error = refusal(path, args);
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

#[test]
fn a_test_picture_that_cannot_be_drawn_is_refused_before_anybody_watches() {
    for size in [&["--size", "64x48"][..], &["--width", "40"]] {
        let output = run(SEND, &[&["--test", "--port", "47113", "--duration", "1"], size].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{size:?}: {error}");
        assert!(error.contains("choose a --size between 64x64 and 8192x8192"), "{size:?}: {error}");
    }
}

#[test]
fn the_list_is_json_where_that_is_asked_for() {
    for path in [SEND, RECV] {
        let output = run(path, &["--list", "--stats", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        for part in ["cameras", "microphones", "speakers"] {
            assert!(object[part].is_array(), "{part}: {object}");
        }
    }
}

#[test]
fn a_misspelt_flag_is_answered_with_the_right_one() {
    assert!(refusal(RECV, &["--fulscreen"]).contains("'--fullscreen'"));
}

#[test]
fn the_key_of_the_environment_is_judged_like_any_other_and_never_shown() {
    let output = program(RECV, &[]).env("EYELINE_KEY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("$EYELINE_KEY is empty"));
    let output = program(RECV, &["--help"]).env("EYELINE_KEY", "hidden treasure").output().unwrap();
    assert!(!text(&output.stdout).contains("hidden treasure"));
}

#[test]
fn the_examples_of_the_help_are_right_usage() {
    let mut parsed = 0;
    for path in [SEND, RECV] {
        let output = run(path, &["--help"]);
        let examples = text(&output.stdout).lines().skip_while(|line| *line != "Examples:").filter(|line| line.starts_with("  "));
        for call in examples.flat_map(|line| line.split('|')).map(str::trim) {
            let words = call.split("   ").next().unwrap().split(' ').map(std::ffi::OsString::from);
            let error = match call.split(' ').next() {
                Some("send") => send::parse(words, &Env::default()).err(),
                Some("recv") => recv::parse(words, &Env::default()).err(),
                _ => continue,
            };
            assert!(error.is_none(), "{call}: {}", error.unwrap());
            parsed += 1;
        }
    }
    assert!(parsed >= 10, "only {parsed} examples found");
}

/// A child of ours is found in `ps`, may be replaced by another program of its name, and writes logs: it is not given the key.
#[test]
fn the_programs_that_read_films_are_not_given_the_key() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("key-of-children");
    std::fs::create_dir_all(&place).unwrap();
    let (probe, environment) = (place.join("ffprobe"), place.join("environment"));
    std::fs::write(&probe, "#!/bin/sh\nenv >\"${0%/*}/environment\"\nexit 1\n").unwrap();
    std::fs::set_permissions(&probe, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let film = place.join("film.mp4");
    std::fs::write(&film, b"no film").unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    let mut send = program(SEND, &["--file", film.to_str().unwrap(), "--bind", "127.0.0.1", "--port", "9731"]);
    let output = send.env("PATH", path).env("EYELINE_KEY", "correct horse battery staple").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let given = std::fs::read_to_string(environment).unwrap();
    assert!(given.contains("PATH="), "{given}");
    assert!(!given.contains("EYELINE_KEY") && !given.contains("horse"), "{given}");
}
