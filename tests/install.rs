//! `scripts/install` where it installs nothing by itself: on Fedora, on Arch, and where nobody knows what packages are called.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install");

/// What the script itself runs. It finds these alone, so that there is no `dpkg-query`, whatever this machine is.
const TOOLS: [&str; 6] = ["bash", "tr", "sort", "sed", "paste", "cat"];

/// What it looks for before it says that all is there to build with.
const BUILDERS: [&str; 6] = ["cargo", "cc", "cmake", "make", "nasm", "pkg-config"];

/// A folder for `PATH` with those tools, and programs that do nothing and succeed.
fn programs(name: &str, stubs: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-install-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = std::env::var("PATH").unwrap();
    for tool in TOOLS {
        let real = std::env::split_paths(&path).map(|place| place.join(tool)).find(|path| path.exists()).unwrap();
        symlink(real, folder.join(tool)).unwrap();
    }
    for stub in stubs {
        let path = folder.join(stub);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    folder
}

/// What the script does there on a system that says this of itself.
fn install(programs: &Path, system: &str, sets: &[&str]) -> Output {
    let about = programs.join("os-release");
    std::fs::write(&about, system).unwrap();
    let mut command = Command::new(programs.join("bash"));
    command.arg(SCRIPT).args(sets).env_clear().env("PATH", programs).env("OS_RELEASE", about);
    command.output().unwrap()
}

/// The systems by what they say of themselves, and the start of the command that installs there what builds.
const SYSTEMS: [(&str, &str); 4] = [
    ("ID=fedora\nVERSION_ID=43\n", "sudo dnf install alsa-lib-devel clang-libs cmake gcc "),
    ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "sudo dnf install alsa-lib-devel clang-libs cmake gcc "),
    ("ID=arch\n", "sudo pacman -S --needed alsa-lib clang cmake gcc "),
    ("ID=gentoo\n", "the packages that are called here what Debian calls cmake gcc "),
];

#[test]
fn where_a_compiler_is_missing_it_prints_the_command_of_that_system_and_fails() {
    let without = programs("without", &BUILDERS.map(|stub| if stub == "cc" { "nothing" } else { stub }));
    for (system, command) in SYSTEMS {
        let output = install(&without, system, &["build"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
        let start = format!("Missing: cc. This is no Debian, so nothing is installed by itself. Install: {command}");
        assert!(said.starts_with(&start) && said.lines().count() == 1, "{said}");
    }
    std::fs::remove_dir_all(without).unwrap();
}

#[test]
fn where_all_is_there_it_goes_on_and_names_the_command_all_the_same() {
    let with = programs("with", &BUILDERS);
    for (system, command) in SYSTEMS {
        let output = install(&with, system, &["build"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("they are here.") && said.contains(command) && said.lines().count() == 1, "{said}");
    }
    std::fs::remove_dir_all(with).unwrap();
}

/// The sets are different: who wants to show and to measure is told of each program that is missing, by name.
#[test]
fn each_set_looks_for_what_is_its_own() {
    let with = programs("sets", &BUILDERS);
    for (set, missing) in [
        ("demo", "ffmpeg, ffprobe"),
        ("screen", "Xvfb, xauth"),
        ("count", "valgrind"),
        ("peers", "Xvfb, ffmpeg, ffplay, python3, gst-launch-1.0"),
        (
            "rig",
            "pulseaudio, pactl, Xvfb, xdpyinfo, setxkbmap, xdotool, openbox, wmctrl, ffmpeg, ip, nft, desktop-file-validate, \
             chromium, python3, gst-launch-1.0",
        ),
    ] {
        let output = install(&with, SYSTEMS[0].0, &["build", set]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("Missing: {missing}. ")) && said.contains("sudo dnf install "), "{said}");
    }
    let output = install(&with, SYSTEMS[0].0, &["everything"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no set `everything`"));
    std::fs::remove_dir_all(with).unwrap();
}
