//! The Debian package, made by `dpkg-deb` alone: programs, pages, completions, the entry of the desktop, units of systemd.
//!
//! Programs are `eyeline-send` and so on; `packaging/deb/postinst` makes the short names, where they are free. What the programs
//! open while they run (`dlopen`: the X11 libraries) no tool finds, so dependencies stand here; the version of glibc is read from
//! them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const PROGRAMS: [&str; 3] = ["send", "recv", "call"];

/// What the programs link and open. Where Debian renamed a package the new name follows.
const DEPENDS: &str = "libgcc-s1, libasound2 (>= 1.2) | libasound2t64, libx11-6, libx11-xcb1, libxcursor1";

/// Which programs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Those that are shipped.
    Release,
    /// Those that tests run, for a test of the package itself.
    Debug,
}

/// Builds the programs and packs them.
pub fn make(root: &Path, profile: Profile) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // With the packages that are built when none is named, as everywhere else: others would have other features, and be built
    // anew.
    build.args(["build", "--locked", "--bins"]).current_dir(root);
    // What `cargo run` says of this crate is no news for build scripts that ask for it (ring's): they would be run anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            build.env_remove(name);
        }
    }
    let built = match profile {
        Profile::Release => {
            build.arg("--release");
            target.join("release")
        }
        Profile::Debug => target.join("debug"),
    };
    run(&mut build)?;
    let stage = target.join("package/root");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    let glibc = programs(&built, &stage)?;
    files(root, &stage)?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("what Debian calls {other} is not known here"),
    };
    let version = eyeline::app::args::commands()[0].get_version().context("the programs have a version")?.to_string();
    let control = control(&version, architecture, glibc, size(&stage)?);
    put(&stage, "DEBIAN/control", control.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        copy(root, &format!("packaging/deb/{script}"), &stage, &format!("DEBIAN/{script}"), 0o755)?;
    }
    let package = target.join(format!("package/eyeline_{version}_{architecture}.deb"));
    // Packing tightly takes a minute, which only what is shipped is worth.
    let tightly = if profile == Profile::Release { "-Zxz" } else { "-Znone" };
    run(Command::new("dpkg-deb").args(["--root-owner-group", tightly, "--build"]).args([&stage, &package]))?;
    println!("{}", package.display());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be run", command.get_program().to_string_lossy()))?;
    ensure!(status.success(), "{} failed", command.get_program().to_string_lossy());
    Ok(())
}

/// The programs, stripped, under their long names; the newest minor version of glibc 2 that one of them asks for.
fn programs(built: &Path, stage: &Path) -> Result<u32> {
    let mut newest = 0;
    fs::create_dir_all(stage.join("usr/bin"))?;
    for name in PROGRAMS {
        let there = stage.join(format!("usr/bin/eyeline-{name}"));
        run(Command::new("strip").arg("-o").args([&there, &built.join(name)]))?;
        fs::set_permissions(&there, fs::Permissions::from_mode(0o755))?;
        newest = newest.max(glibc(&fs::read(&there)?).with_context(|| format!("{name} names no version of glibc"))?);
    }
    Ok(newest)
}

/// The largest N of all the `GLIBC_2.N` that a program names.
fn glibc(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let after =
        program.windows(NAME.len()).enumerate().filter(|(_, word)| *word == NAME).map(|(at, _)| &program[at + NAME.len()..]);
    let number = |rest: &[u8]| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    after.filter_map(number).max()
}

/// All that is not a program.
fn files(root: &Path, stage: &Path) -> Result<()> {
    for name in PROGRAMS {
        for (from, to) in [
            (format!("completions/eyeline-{name}.bash"), format!("bash-completion/completions/eyeline-{name}")),
            (format!("completions/_eyeline-{name}"), format!("zsh/vendor-completions/_eyeline-{name}")),
            (format!("completions/eyeline-{name}.fish"), format!("fish/vendor_completions.d/eyeline-{name}.fish")),
            (format!("man/eyeline-{name}.1"), format!("man/man1/eyeline-{name}.1")),
        ] {
            copy(root, &from, stage, &format!("usr/share/{to}"), 0o644)?;
        }
    }
    for (from, to) in [
        ("packaging/eyeline-recv.desktop", "usr/share/applications/eyeline-recv.desktop"),
        ("packaging/eyeline.svg", "usr/share/icons/hicolor/scalable/apps/eyeline.svg"),
        ("packaging/systemd/system/eyeline-send.service", "usr/lib/systemd/system/eyeline-send.service"),
        ("packaging/systemd/user/eyeline-send.service", "usr/lib/systemd/user/eyeline-send.service"),
        ("packaging/systemd/user/eyeline-recv.service", "usr/lib/systemd/user/eyeline-recv.service"),
        ("CHANGELOG.md", "usr/share/doc/eyeline/changelog"),
    ] {
        copy(root, from, stage, to, 0o644)?;
    }
    let licences = ["packaging/deb/copyright", "LICENSE-MIT", "assets/fonts/LICENSE"];
    let texts = licences.iter().map(|from| fs::read_to_string(root.join(from)).with_context(|| from.to_string()));
    let texts = texts.collect::<Result<Vec<String>>>()?.join("\n---\n\n");
    put(stage, "usr/share/doc/eyeline/copyright", texts.as_bytes(), 0o644)?;
    let pages = PROGRAMS.map(|name| stage.join(format!("usr/share/man/man1/eyeline-{name}.1")));
    run(Command::new("gzip").arg("-9n").args(pages).arg(stage.join("usr/share/doc/eyeline/changelog")))
}

fn copy(root: &Path, from: &str, stage: &Path, to: &str, mode: u32) -> Result<()> {
    let content = fs::read(root.join(from)).with_context(|| from.to_string())?;
    put(stage, to, &content, mode)
}

fn put(stage: &Path, to: &str, content: &[u8], mode: u32) -> Result<()> {
    let path = stage.join(to);
    let folder = path.parent().context("a file stands in a folder")?;
    fs::create_dir_all(folder)?;
    // Whatever the umask of who packs.
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(stage)) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// What all files take, in KiB.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len().div_ceil(1024) };
    }
    Ok(sum)
}

fn control(version: &str, architecture: &str, glibc: u32, size: u64) -> String {
    format!(
        "Package: eyeline\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: the Eyeline maintainers <eyeline@localhost>\n\
         Installed-Size: {size}\n\
         Depends: libc6 (>= 2.{glibc}), {DEPENDS}\n\
         Recommends: ffmpeg\n\
         Suggests: pipewire-pulse | pulseaudio, fonts-noto-cjk\n\
         Section: video\n\
         Priority: optional\n\
         Description: move a live camera and microphone to another machine\n \
         eyeline-send runs where the camera is and eyeline-recv where the screen is;\n \
         eyeline-call on both lets people see and hear each other. There is no server\n \
         and no account, all is encrypted, and a lost packet costs a stripe of one\n \
         picture, not the picture.\n \
         .\n \
         The commands are send, recv and call, too, where these names are free.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_that_a_program_names_is_found() {
        assert_eq!(glibc(b"..GLIBC_2.4\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.3.4\0"), Some(34));
        assert_eq!(glibc(b"GLIBC_2."), None);
    }

    #[test]
    fn every_line_of_the_control_file_is_a_field_or_a_line_of_the_description() {
        let control = control("1.2.3", "amd64", 34, 1);
        assert!(control.contains("\nDepends: libc6 (>= 2.34), libgcc-s1, ") && control.ends_with('\n'), "{control}");
        let (fields, description) = control.split_once("Description: ").unwrap();
        assert!(fields.lines().all(|line| line.split_once(": ").is_some_and(|(name, _)| !name.contains(' '))), "{fields}");
        assert!(description.lines().skip(1).all(|line| line.starts_with(' ') && line.len() > 1), "{description}");
    }
}
