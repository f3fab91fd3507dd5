//! What files of the kernel and other programs say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs of the system stand that are not in everybody's `$PATH`.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What came of asking a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is not there.
    Absent,
    /// It failed: most often it may not be asked by this user.
    Refused,
    /// This is what it printed, trimmed.
    Said(String),
}

/// What a file of the kernel's says, trimmed.
pub fn read(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_string())
}

/// What a program prints.
pub fn asked(program: &str, args: &[&str]) -> Answer {
    let Some(path) = find(program) else { return Answer::Absent };
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).env_remove("EYELINE_KEY");
    match command.output() {
        Ok(output) if output.status.success() => Answer::Said(String::from_utf8_lossy(&output.stdout).trim().to_string()),
        _ => Answer::Refused,
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&paths).chain(SYSTEM.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_refuses() {
        assert_eq!(asked("no-such-program-anywhere", &[]), Answer::Absent);
        assert_eq!(asked("false", &[]), Answer::Refused);
        assert_eq!(asked("echo", &["hello"]), Answer::Said("hello".into()));
    }
}
