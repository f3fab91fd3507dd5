//! The real programs' manners: help, version, exit codes and error lines. What each flag means is tested beside its parser.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::error::ErrorKind;
use eyeline::app::args::{Env, call, recv, send};

const SEND: &str = env!("CARGO_BIN_EXE_send");
const RECV: &str = env!("CARGO_BIN_EXE_recv");
const CALL: &str = env!("CARGO_BIN_EXE_call");
const PROGRAMS: [&str; 3] = [SEND, RECV, CALL];

/// The program with nothing in its environment, and no config file, that changes its words.
fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_remove("EYELINE_KEY").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn run(path: &str, args: &[&str]) -> Output {
    program(path, args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the command line of this program, its name first, is refused with; `None`: it is right.
fn judged(line: &[&str]) -> Option<clap::Error> {
    let (words, env) = (line.iter().map(std::ffi::OsString::from), Env::default());
    match line[0] {
        "send" => send::parse(words, &env).err(),
        "recv" => recv::parse(words, &env).err(),
        "call" => call::parse(words, &env).err(),
        other => panic!("{other} is none of ours"),
    }
}

/// What a program says of itself.
fn help(path: &str) -> String {
    text(&run(path, &["--help"]).stdout).to_string()
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// A file with a key in it, to be read.
fn key_file() -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}.key", std::process::id()));
    std::fs::write(&path, "one-long-passphrase\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_string()
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
    let examples = ["send --host lab.local", "recv --host kitchen", "call --host lab"];
    for (path, example) in PROGRAMS.into_iter().zip(examples) {
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

/// The lines of a help that are about a flag: how it is written, and what is said of it.
fn flags(help: &str) -> Vec<(&str, &str)> {
    help.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .map(|line| line.split_once("  ").unwrap_or((line, "")))
        .collect()
}

#[test]
fn every_flag_of_the_help_has_words_beside_it() {
    for path in PROGRAMS {
        for (flag, said) in flags(&help(path)) {
            assert!(!said.trim().is_empty(), "{path}: {flag}");
        }
    }
}

/// Something for each kind of value that a flag is said to take.
fn value(kind: &str) -> &str {
    match kind {
        "HOST" => "lab.local",
        "PORT" => "5000",
        "ADDR" => "127.0.0.1",
        "[ADDR:]PORT" => ":9100",
        "KEY" => "one-long-passphrase",
        "CODE" => "493027",
        "NAME" => "Ada",
        "DUR" | "auto|DUR" => "1.5s",
        "auto|off" | "on|off" => "off",
        "auto|pcm|opus" => "opus",
        "auto|TIME" => "1/100",
        "Nx|N" => "2.5x",
        "auto|infinity|near|N" => "near",
        "90|180|270" => "90",
        "WAY" => "on",
        "FORMAT" => "json",
        "WHEN" => "never",
        "WHICH" => "usb",
        "DEVICE" => "/dev/video10",
        "SCREEN" => "800x600+10+20",
        "PATH" | "FILE" => "something",
        "WxH" => "640x480",
        "WxH+X+Y" => "640x480+10-0",
        "TEXT" => "lab",
        "N" => "24",
        "R" => "8M",
        "HOST:PORT" => "192.168.1.20:5004",
        "WORD" => "a-secret-of-my-own",
        "DUR|SIZE" => "2G",
        "PORT|FILE|URL" => "5004",
        "URL" => "https://relay.example.org:4443/class",
        other => panic!("nothing is known for <{other}>"),
    }
}

#[test]
fn every_flag_of_the_help_is_accepted_as_it_is_written_there() {
    let key = key_file();
    for path in PROGRAMS {
        let help = help(path);
        let flags = flags(&help);
        assert!(flags.len() > 15, "{help}");
        for (flag, _) in flags {
            // Which says so where it is not built in.
            if flag.starts_with("--relay ") && !cfg!(feature = "relay") {
                continue;
            }
            for spelling in flag.split(", ") {
                // Of `-p, --port <PORT>` the value is said once.
                let kind = flag.split_once('<').map(|(_, kind)| kind.trim_end_matches(['>', ']']));
                let word = spelling.split([' ', '[']).next().unwrap().trim_end_matches('.');
                let value = kind.map(|kind| if word == "--key-file" { &key } else { value(kind) });
                // What may be left out stands behind a `=`, or it would be the next word.
                let joined = value.filter(|_| flag.contains("[=")).map(|value| format!("{word}={value}"));
                let words = joined.as_deref().map_or_else(|| [Some(word), value], |joined| [Some(joined), None]);
                let line: Vec<&str> = [name(path)].into_iter().chain(words.into_iter().flatten()).collect();
                // What only makes sense beside another flag may say so.
                let fine = [ErrorKind::ArgumentConflict, ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
                let error = judged(&line).filter(|error| !fine.contains(&error.kind()));
                assert!(error.is_none(), "{line:?}: {}", error.unwrap());
            }
        }
    }
}

/// Every word that begins as a flag does.
fn named_flags(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    parts.filter(|part| part.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))).collect()
}

/// A flag may be named in the words beside another, or in an example.
#[test]
fn no_help_names_a_flag_that_there_is_not_and_the_readme_names_all() {
    let helps = PROGRAMS.map(help);
    let lines: Vec<&str> = helps.iter().flat_map(|help| flags(help)).map(|(flag, _)| flag).collect();
    let all: BTreeSet<&str> = lines.iter().flat_map(|line| named_flags(line)).collect();
    let aliases = ["--resolution", "--framerate"];
    for help in &helps {
        let others: Vec<_> =
            named_flags(help).into_iter().filter(|flag| !all.contains(flag) && !aliases.contains(flag)).collect();
        assert!(others.is_empty(), "{others:?}:\n{help}");
    }
    let readme = readme();
    let options = &readme[readme.find("## Options").unwrap()..];
    let missing: Vec<_> = all.iter().filter(|flag| !named_flags(options).contains(*flag)).collect();
    assert!(missing.is_empty(), "{missing:?} stand in no table of the README");
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_version_is_that_of_the_crate() {
    for path in PROGRAMS {
        let output = run(path, &["--version"]);
        let wanted = format!("{} {}\n", name(path), env!("CARGO_PKG_VERSION"));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*wanted));
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
        (SEND, &["--screen", "--camera", "0"], "cannot be used with"),
        (SEND, &["--screen", "0xwindow"], "write a window's number"),
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
        (RECV, &["--output", "talk.mp4"], "recv --output - | ffmpeg -i - talk.mp4"),
        (RECV, &["--output", "talk.wav"], "sound is written by --audio-output"),
        (RECV, &["--audio-output", "talk.mp3"], "ffmpeg -i sound.wav talk.mp3"),
        (RECV, &["--audio-output", "talk.y4m"], "pictures are written by --output"),
        (CALL, &["--frobnicate"], "unexpected argument '--frobnicate'"),
        (CALL, &["./talk.mp4"], "files are named by a flag, like --file"),
        (CALL, &["--file", "-", "--chat"], "both want stdin"),
        (CALL, &["--fullscreen", "--no-window"], "cannot be used with"),
        (CALL, &["--output", "x.y4m"], "--output is a flag of recv, and this is call"),
        (CALL, &["--preview"], "--preview is a flag of send, and this is call"),
        (CALL, &["lab.local", "--host", "lab.local"], "is given twice"),
        (CALL, &["--speaker", "1", "--no-audio"], "cannot be used with"),
    ] {
        let error = refusal(path, args);
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

/// What a script gives where a variable of it is not set.
#[test]
fn a_value_that_is_empty_is_answered_with_what_to_write() {
    for path in PROGRAMS {
        let help = help(path);
        let flags = flags(&help).into_iter().filter_map(|(flag, _)| flag.split_once(" <"));
        let flags = flags.map(|(flag, kind)| (flag.rsplit(", ").next(), kind.trim_end_matches('>')));
        let values: Vec<_> = flags.chain([(None, "HOST")]).collect();
        assert!(values.len() > 8, "{help}");
        for (flag, kind) in values {
            let line: Vec<&str> = [name(path)].into_iter().chain(flag).chain([""]).collect();
            let error = judged(&line).unwrap_or_else(|| panic!("{line:?} is taken"));
            let cure = match kind {
                "PATH" | "FILE" | "DEVICE" | "WHICH" => "name a ",
                "PORT" => "a port is a number from ",
                "KEY" => "without a key leave it out",
                "NAME" if flag != Some("--web-name") => "without the flag ",
                // What clap says, with what there is to choose from.
                "FORMAT" | "WHEN" => "[possible values: ",
                _ => "': write ",
            };
            assert!(error.exit_code() == 2 && error.to_string().contains(cure), "{line:?}: {error}");
        }
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
    for path in PROGRAMS {
        let output = run(path, &["--list", "--stats", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        for part in ["cameras", "monitors", "microphones", "speakers"] {
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

/// Judges each of our programs that is run in this line of a shell's; how many there are.
fn are_right(line: &str, key: &str) -> usize {
    let line = line.split(" #").next().unwrap().replace("lab.key", key);
    let mut judged_lines = 0;
    for command in line.split(['|', '&', '>']).map(|command| command.split("   ").next().unwrap().trim()) {
        let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches('\'')).collect();
        if !matches!(words.first(), Some(&("send" | "recv" | "call"))) {
            continue;
        }
        let is_built = cfg!(feature = "relay") || !words.contains(&"--relay");
        let error = judged(&words).filter(|error| error.exit_code() != 0 && is_built);
        assert!(error.is_none(), "{command}: {}", error.unwrap());
        judged_lines += 1;
    }
    judged_lines
}

#[test]
fn the_examples_of_the_help_are_right_usage() {
    for path in PROGRAMS {
        let help = help(path);
        let examples = help.lines().skip_while(|line| *line != "Examples:").filter(|line| line.starts_with("  "));
        let parsed: usize = examples.map(|example| are_right(example.trim(), "")).sum();
        assert!(parsed >= 5, "{path}: only {parsed} examples found");
    }
}

#[test]
fn the_commands_of_the_readme_are_right_usage() {
    let (readme, key) = (readme(), key_file());
    // Between the backticks of a line, or three of them, is what a machine reads.
    let code = readme.split('`').skip(1).step_by(2).filter(|code| !code.contains('…'));
    let lines = code.flat_map(|code| match code.split_once('\n') {
        Some((_language @ ("" | "sh"), block)) => block.lines().map(str::to_string).collect(),
        _ => vec![code.replace('\n', " ")],
    });
    let parsed: Vec<String> = lines.filter(|line| are_right(line, &key) > 0).collect();
    assert!(parsed.len() > 30 && parsed.iter().filter(|line| line.starts_with("call ")).count() >= 2, "{parsed:?}");
}

/// A folder for `XDG_CONFIG_HOME`, with this in the config file.
fn config_home(name: &str, text: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(folder.join("eyeline")).unwrap();
    std::fs::write(folder.join("eyeline/config.toml"), text).unwrap();
    folder
}

#[test]
fn the_config_file_is_read_below_the_command_line_and_printed_with_it() {
    let home = config_home("read", "name = 'Ada'\n[send]\nquality = 90\nport = 7\n");
    let file = home.join("eyeline/config.toml");
    let printed = |path, args: &[&str]| {
        let output = program(path, args).env("XDG_CONFIG_HOME", &home).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).to_string()
    };
    let all = printed(SEND, &["-p", "5", "--print-config"]);
    for line in [
        format!("quality = 90  # {}:3", file.display()),
        format!("name = \"Ada\"  # {}:1", file.display()),
        "port = 5  # the command line".into(),
    ] {
        assert!(all.lines().any(|said| said == line), "{line}:\n{all}");
    }
    for path in [RECV, CALL] {
        let all = printed(path, &["--print-config"]);
        assert!(all.contains("\nport = 9688\n") && all.contains("name = \"Ada\""), "{all}");
    }
    assert!(printed(SEND, &["--no-config", "--print-config"]).contains("\nquality = 80\n"));
    // Without that variable it is below the home of the user.
    let user = home.join("user");
    std::fs::create_dir_all(user.join(".config")).unwrap();
    std::fs::rename(home.join("eyeline"), user.join(".config/eyeline")).unwrap();
    let output = program(SEND, &["--print-config"]).env_remove("XDG_CONFIG_HOME").env("HOME", &user).output().unwrap();
    assert!(text(&output.stdout).contains("quality = 90  # "), "{}", text(&output.stdout));
    std::fs::remove_dir_all(home).unwrap();
}

#[test]
fn what_is_wrong_in_the_config_file_is_told_with_its_line() {
    for (line, part) in [
        ("sise = '720p'", "there is no flag sise; the nearest is size"),
        ("size = 'huge'", "invalid value 'huge' for '--size <WxH>': write a size like 1280x720"),
        ("loop = 1", "loop takes no value: write loop = true or loop = false"),
    ] {
        let home = config_home("wrong", &format!("[send]\n\n{line}\n"));
        for path in PROGRAMS {
            let output = program(path, &["--port", "9732"]).env("XDG_CONFIG_HOME", &home).output().unwrap();
            let error = text(&output.stderr);
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{error}");
            let start = format!("error: {}/eyeline/config.toml:3: {part}", home.display());
            assert!(error.starts_with(&start), "{error}");
        }
        std::fs::remove_dir_all(home).unwrap();
    }
}

/// The text of the README says it all in an example.
#[test]
fn the_config_file_of_the_readme_is_right() {
    let readme = readme();
    let (_, file) = readme.split_once("```toml\n").unwrap();
    let home = config_home("readme", file.split_once("```").unwrap().0);
    for path in PROGRAMS {
        let output = program(path, &["--print-config"]).env("XDG_CONFIG_HOME", &home).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{path}");
        assert!(text(&output.stdout).contains("config.toml:"), "{path}: {}", text(&output.stdout));
    }
    std::fs::remove_dir_all(home).unwrap();
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
