//! What is not left for others to read of the key: with the real programs, the memory of each.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, free_port};

const PASSPHRASE: &str = "tulip zebra quartz mango";

/// The programs, each with flags that leave out its devices.
const PROGRAMS: [(&str, &str); 3] =
    [(SEND, "--test -s 320x240"), (RECV, "--no-window --no-audio"), (CALL, "--no-window --no-audio --test -s 320x240")];

fn key_file() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-secrets.key", std::process::id()));
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
    std::io::Write::write_all(&mut file.unwrap(), PASSPHRASE.as_bytes()).unwrap();
    path
}

/// Without what root may beyond its files; others have nothing to lay down.
fn without_power(path: &str) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", path]);
    command
}

/// Another process of the same user may look into a program as long as there is no key in it.
#[test]
fn where_there_is_a_key_no_other_process_of_the_user_looks_into_the_memory() {
    let key = key_file();
    for (path, flags) in PROGRAMS {
        let open = |key: Option<&PathBuf>| {
            let mut command = without_power(path);
            command.args(["--no-config", "--no-announce"]).args(flags.split(' ')).args(["-p", &free_port().to_string()]);
            command.args(key.iter().flat_map(|key| ["--key-file", key.to_str().unwrap()]));
            command.env_remove("EYELINE_KEY").env_remove("DISPLAY");
            let mut program = Program::launch(command, Stdio::null(), Out::Stats);
            program.said("waiting on port");
            let environment = format!("/proc/{}/environ", program.id());
            let status = without_power("cat").arg(environment).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert_eq!(program.stop(Signal::SIGTERM), 0);
            status.success()
        };
        assert!(open(None) && !open(Some(&key)), "{path}");
    }
}

/// How often the passphrase lies in the memory of a program; nothing where only root may look.
fn found(program: &Program) -> Option<usize> {
    let folder = format!("/proc/{}", program.id());
    let mut memory = match File::open(format!("{folder}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        memory => memory.unwrap(),
    };
    let (mut found, mut bytes) = (0, Vec::new());
    for line in std::fs::read_to_string(format!("{folder}/maps")).unwrap().lines() {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        bytes.clear();
        // Some of what is mapped cannot be read, and some is gone by now.
        let _ = memory.seek(SeekFrom::Start(from)).and_then(|_| memory.by_ref().take(to - from).read_to_end(&mut bytes));
        found += bytes.windows(PASSPHRASE.len()).filter(|window| *window == PASSPHRASE.as_bytes()).count();
    }
    Some(found)
}

#[test]
fn the_passphrase_of_a_key_file_is_in_no_memory_once_the_key_is_made_of_it() {
    let key = key_file();
    for (path, flags) in PROGRAMS {
        let mut program = Program::start(path, &format!("{flags} -p {} --key-file {}", free_port(), key.display()));
        program.said("whoever has the key is let in");
        assert!(found(&program).is_none_or(|count| count == 0), "{path}: {:?}", found(&program));
        assert_eq!(program.stop(Signal::SIGTERM), 0);
    }
    // That of a config file is overwritten, too.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-secrets", std::process::id()));
    std::fs::create_dir_all(folder.join("eyeline")).unwrap();
    let config = File::options().write(true).create(true).truncate(true).mode(0o600).open(folder.join("eyeline/config.toml"));
    std::io::Write::write_all(
        &mut config.unwrap(),
        format!("key = '{PASSPHRASE}'\nno-announce = true\n[send]\ntest = true\n").as_bytes(),
    )
    .unwrap();
    for (path, flags) in PROGRAMS {
        let mut command = Command::new(path);
        command.args(flags.split(' ')).args(["-p", &free_port().to_string()]).env("XDG_CONFIG_HOME", &folder);
        command.env_remove("EYELINE_KEY").env_remove("DISPLAY");
        let mut program = Program::launch(command, Stdio::null(), Out::Stats);
        program.said("whoever has the key is let in");
        assert!(found(&program).is_none_or(|count| count == 0), "{path}: {:?}", found(&program));
        assert_eq!(program.stop(Signal::SIGTERM), 0);
    }
    // Where it is, it is found.
    let mut command = program::command(SEND, &format!("--test -s 320x240 -p {} --name", free_port()));
    command.arg(PASSPHRASE);
    let mut named = Program::launch(command, Stdio::null(), Out::Stats);
    named.said("waiting on port");
    assert!(found(&named).is_none_or(|count| count > 0));
}
