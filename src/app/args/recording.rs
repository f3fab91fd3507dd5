//! Flags of what is recorded: `--record` and what belongs to it.

use super::{Env, Idle, Wrong, units};
use crate::present::writers::Overwrite;
use crate::present::writers::mkv::Split;
use clap::error::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Recording")]
pub(super) struct RecordingFlags {
    /// Record all that is sent and received, as it is, into a Matroska file that plays at every moment; `-` is stdout. What is
    /// there by its name stays: the file gets a number
    #[arg(long, value_name = "FILE", value_parser = super::file())]
    record: Option<PathBuf>,

    /// Go on in another file after so long or so much, like 10min, 1h, 500M or 2G
    #[arg(long, value_name = "DUR|SIZE", value_parser = units::split)]
    record_split: Option<Split>,

    /// Keep the first picture that comes, as it came, or as a PNG where the name ends so, and go on; s in the window or SIGUSR1
    /// keeps more, called by their time
    #[arg(long, value_name = "FILE", value_parser = super::file())]
    snapshot: Option<PathBuf>,

    /// Keep the last seconds in memory, 5min at most; R in the window writes them to a file
    #[arg(long, value_name = "DUR", value_parser = units::kept_time)]
    record_last: Option<Duration>,
}

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// From the beginning, into this file, or stdout.
    pub file: Option<Destination>,
    pub split: Split,
    /// How much is kept in memory.
    pub last: Option<Duration>,
    /// Where the first picture goes.
    pub snapshot: Option<PathBuf>,
    /// What that may be written over.
    pub overwrite: Overwrite,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

/// What other names of films promise.
const OTHERS: [&str; 8] = ["mp4", "webm", "mov", "avi", "ts", "mpg", "flv", "m4v"];

/// And those of files that other flags write.
const ELSEWHERE: [(&str, &str); 6] = [
    ("y4m", "--output"),
    ("mjpeg", "--output"),
    ("mjpg", "--output"),
    ("wav", "--audio-output"),
    ("jpg", "--snapshot"),
    ("png", "--snapshot"),
];

impl RecordingFlags {
    /// Those that have no use, beside a window or without one: there `r` records, and `R` writes the last seconds.
    pub fn idle(&self, has_window: bool) -> impl Iterator<Item = Idle> + use<> {
        let split = self.record_split.is_some() && self.record.is_none();
        let given = [
            (split, Idle("record-split", "nothing is recorded without --record FILE.mkv, or r in a window")),
            (self.record_last.is_some(), Idle("record-last", "the last seconds are written by R in a window, and there is none")),
        ];
        given.into_iter().filter(move |(given, _)| *given && !has_window).map(|(_, idle)| idle)
    }

    /// Whether stdout is taken.
    pub fn wants_stdout(&self) -> bool {
        self.record.as_deref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// What they say; `stats`: stdout is taken already.
    pub fn resolve(self, env: &Env, stats: bool) -> Result<Recording, Wrong> {
        let file = self.record.map(destination).transpose()?;
        if file == Some(Destination::Stdout) {
            if stats {
                return Err(Wrong::conflict("--record - and --stats json both want stdout: give --record a file"));
            }
            if env.stdout_is_terminal {
                let sentence = "--record - would print pictures on the terminal: pipe stdout somewhere, or name a file";
                return Err(Wrong(ErrorKind::ValueValidation, sentence.into()));
            }
            if self.record_split.is_some() {
                return Err(Wrong::conflict("--record-split makes files, and --record - is a pipe: leave one of them out"));
            }
        }
        let snapshot = self.snapshot.map(picture).transpose()?;
        let overwrite = if env.on_terminal { Overwrite::Nothing } else { Overwrite::Own };
        Ok(Recording { file, split: self.record_split.unwrap_or_default(), last: self.record_last, snapshot, overwrite })
    }
}

fn picture(path: PathBuf) -> Result<PathBuf, Wrong> {
    let kind = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    if path.to_string_lossy().contains(['{', '}']) {
        let sentence = format!("--snapshot {}: braces stand for nothing, for it is one picture", path.display());
        return Err(Wrong::conflict(sentence));
    }
    if !["jpg", "jpeg", "png"].contains(&kind.as_str()) {
        return Err(Wrong::conflict(format!(
            "--snapshot {}: a picture is a JPEG or a PNG, give it a .jpg or .png name",
            path.display()
        )));
    }
    Ok(path)
}

fn destination(path: PathBuf) -> Result<Destination, Wrong> {
    if path.as_os_str() == "-" {
        return Ok(Destination::Stdout);
    }
    let name = path.display();
    if path.to_string_lossy().contains(['{', '}']) {
        return Err(Wrong::conflict(format!(
            "--record {name}: braces stand for nothing, for one file holds everybody, each as a track of its own"
        )));
    }
    let kind = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    if let Some((_, flag)) = ELSEWHERE.iter().find(|(ending, _)| *ending == kind) {
        let sentence =
            format!("--record writes Matroska, and {name} promises .{kind}, which `recv` writes by {flag}: give it an .mkv name");
        return Err(Wrong::conflict(sentence));
    }
    if OTHERS.contains(&kind.as_str()) {
        let mkv = path.with_extension("mkv");
        let mkv = mkv.display();
        return Err(Wrong::conflict(format!(
            "--record writes Matroska, and {name} promises .{kind}: write {mkv}, and convert it when it is finished: \
             ffmpeg -i {mkv} {name}"
        )));
    }
    Ok(Destination::File(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str) -> String {
        destination(path.into()).unwrap_err().1
    }

    #[test]
    fn a_name_that_promises_another_format_is_refused_with_the_way_to_it() {
        assert!(refused("a/talk.MP4").ends_with("ffmpeg -i a/talk.mkv a/talk.MP4"), "{}", refused("a/talk.MP4"));
        assert!(refused("{name}.mkv").contains("one file holds everybody"));
        assert_eq!(destination("-".into()).unwrap(), Destination::Stdout);
        assert!(refused("a.y4m").contains("--output") && picture("{name}.jpg".into()).is_err());
        assert!(picture("a.gif".into()).is_err() && picture("a".into()).is_err() && picture("a.JPG".into()).is_ok());
        for name in ["talk.mkv", "talk", "/dev/null"] {
            assert_eq!(destination(name.into()).unwrap(), Destination::File(name.into()));
        }
    }
}
