//! What is recorded: `--record`, `r`, `R` and `s` of the window; which files are made, and what is said of them.

use super::args;
use super::args::recording::Destination;
use super::dated;
use super::failure::{Code, Failure};
use super::last_will::{LastWill, Unfinished};
use super::run::Beginning;
use super::snapshots::{Snapshots, Told};
use super::stats::Statistics;
use super::status::ExitCode;
use super::ticker::{self, Place};
use crate::pipeline::recorder::{self, Recorder, Saving};
use crate::pipeline::tee::Tee;
use crate::present::writers::mkv::{Next, Split};
use crate::present::writers::{self, Overwrite, Target, Written};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Numbers behind a name: of a file every ten seconds for a month.
const MOST_NUMBER: u32 = 299_999;

/// Pictures that come before a sender knows that they are wanted whole.
const AT_FIRST: u64 = 30;

pub struct Recording {
    recorder: Recorder,
    split: Split,
    /// As it was given; else each file is called by its time.
    file: Option<Destination>,
    running: Option<Running>,
    /// Those that were ended, and are still being written.
    ending: Vec<Running>,
    saving: Option<Saving>,
    will: LastWill,
    /// Where it is said for how long it has been recorded, and what was said there last.
    line: Option<Rc<Statistics>>,
    lasts: Option<u64>,
    /// Of the next file, in the will.
    key: u64,
    snapshots: Snapshots,
    /// To be said in the window.
    said: VecDeque<String>,
    /// Something was written.
    anything: bool,
    failed: Option<Failure>,
}

/// A file that is written, and its key in the will.
struct Running {
    key: u64,
    recording: recorder::Recording,
}

/// Keys of recordings in the will: those of files count from 0.
const FIRST_KEY: u64 = 1 << 32;

/// What became of a file that ended without us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It failed, which was said.
    Failed,
    /// Nobody reads the pipe any more.
    ReaderGone,
}

impl Recording {
    /// Begins to record what goes through this, where that was asked for.
    pub fn open(config: &args::Recording, tee: &Tee, beginning: &Beginning<'_>) -> Result<Recording, Failure> {
        let (split, file) = (config.split, config.file.clone());
        let recorder = Recorder::new(tee.clone(), config.last);
        let (mut snapshots, said) = (Snapshots::new(tee), VecDeque::new());
        if let Some(path) = &config.snapshot {
            snapshots.first(path, config.overwrite).map_err(|error| match error {
                writers::Error::Taken { path, what } => {
                    Failure::new(ExitCode::Failed, format!("{} {what}; give another name", path.display()))
                }
                error => Failure::new(ExitCode::Failed, error.to_string()),
            })?;
        }
        let mut recording = Recording {
            recorder,
            split,
            file,
            running: None,
            ending: Vec::new(),
            saving: None,
            will: beginning.will.clone(),
            line: beginning.statistics.clone(),
            lasts: None,
            key: FIRST_KEY,
            snapshots,
            said,
            anything: false,
            failed: None,
        };
        if recording.file.is_some() {
            recording.start().code(ExitCode::Failed)?;
        }
        Ok(recording)
    }

    fn start(&mut self) -> Result<String, recorder::Error> {
        let (target, next): (_, Next) = match &self.file {
            Some(Destination::Stdout) => (Target::claim(None, Overwrite::Own)?, Box::new(|| Err(writers::Error::ReaderGone))),
            Some(Destination::File(path)) => in_turn(path.clone())?,
            None => in_turn(dated::name(&dated::folder("XDG_VIDEOS_DIR"), "eyeline", "mkv"))?,
        };
        let name = target.name();
        let mut recording = self.recorder.start(target, self.split, next)?;
        self.key += 1;
        if let Some(last_resort) = recording.last_resort() {
            self.will.writes(self.key, Unfinished::Recording(last_resort));
        }
        self.running = Some(Running { key: self.key, recording });
        tracing::info!("recording to {name}");
        Ok(name)
    }

    /// Begins, or ends what runs.
    pub fn toggle(&mut self) {
        let sentence = match self.running.take() {
            // What waits is written while the rest goes on.
            Some(mut running) => {
                running.recording.close();
                self.ending.push(running);
                "recording ended".into()
            }
            None if self.file == Some(Destination::Stdout) => "what goes through a pipe is over when it is".into(),
            None => match self.start() {
                Ok(name) => format!("recording to {name}"),
                Err(error) => self.fails(&error.to_string()),
            },
        };
        self.said.push_back(sentence);
    }

    /// Writes the last seconds to a file of their own.
    pub fn save_last(&mut self) {
        if self.saving.is_some() {
            return self.said.push_back("the last seconds are being written".into());
        }
        let saved = || {
            let target = in_turn(dated::name(&dated::folder("XDG_VIDEOS_DIR"), "eyeline", "mkv"))?.0;
            let name = target.name();
            Ok::<_, recorder::Error>(self.recorder.write_kept(target)?.map(|saving| (saving, name)))
        };
        let sentence = match saved() {
            Ok(Some((saving, name))) => {
                self.saving = Some(saving);
                format!("the last seconds go to {name}")
            }
            Ok(None) => "nothing is kept: start it with --record-last 30s".into(),
            Err(error) => self.fails(&error.to_string()),
        };
        self.said.push_back(sentence);
    }

    /// Keeps the next picture of each of these, or of anybody where none is named.
    pub fn snapshot(&mut self, names: &[String]) {
        self.snapshots.keep(names);
    }

    /// What is to be said next in the window.
    pub fn said(&mut self) -> Option<String> {
        self.said.pop_front()
    }

    fn fails(&mut self, sentence: &str) -> String {
        tracing::error!("{sentence}");
        self.failed = Some(Failure::new(ExitCode::Failed, sentence).said());
        sentence.to_string()
    }

    /// Says what became of files that came to their end.
    pub fn turn(&mut self) -> Option<Ended> {
        while let Some(outcome) = self.snapshots.poll() {
            let sentence = match outcome {
                Told::Kept(sentence) => {
                    tracing::info!("{sentence}");
                    sentence
                }
                Told::Nothing(sentence) => {
                    tracing::warn!("{sentence}");
                    sentence
                }
                Told::Failed(sentence) => self.fails(&sentence),
            };
            self.said.push_back(sentence);
        }
        let lasts = self.lasts().map(|lasts| lasts.as_secs());
        if std::mem::replace(&mut self.lasts, lasts) != lasts
            && let Some(line) = &self.line
        {
            let words = self.lasts().map(|lasts| format!("recording {}", ticker::clock(lasts)));
            line.beside(Place::Recorded, words.unwrap_or_default());
        }
        if let Some(outcome) = self.saving.as_mut().and_then(Saving::poll) {
            self.saving = None;
            self.conclude(outcome);
        }
        let over: Vec<_> = self.ending.extract_if(.., |ending| ending.recording.has_ended()).collect();
        for ended in over {
            self.end(ended);
        }
        let running = self.running.take_if(|running| running.recording.has_ended())?;
        self.end(running)
    }

    /// Says what became of a recording.
    fn end(&mut self, Running { key, recording }: Running) -> Option<Ended> {
        let recorder::Outcome { written, dropped, refused } = recording.finish();
        self.will.wrote(key);
        if dropped > 0 {
            tracing::warn!("the disk was too slow: {dropped} pictures and blocks of sound are not in the recording");
        }
        // Until a sender knows that we want each picture whole some are not.
        if refused > AT_FIRST {
            tracing::warn!("{refused} pictures that came were not whole, and are not in the recording");
        }
        self.conclude(written)
    }

    /// How long it has been recorded, where it is.
    pub fn lasts(&self) -> Option<std::time::Duration> {
        self.running.as_ref().map(|running| running.recording.lasts())
    }

    fn conclude(&mut self, outcome: Result<Written, writers::Error>) -> Option<Ended> {
        match outcome {
            Ok(written) if written.units > 0 => {
                self.anything = true;
                tracing::info!("{}", written.sentence);
                None
            }
            Ok(written) => {
                tracing::warn!("nothing came to record: {} is not written", written.name);
                None
            }
            Err(error @ writers::Error::ReaderGone) => {
                self.anything = true;
                tracing::info!("{error}");
                Some(Ended::ReaderGone)
            }
            Err(error) => {
                self.fails(&error.to_string());
                Some(Ended::Failed)
            }
        }
    }

    /// Brings all to its end. Whether anything was written, where that was asked for at the beginning.
    pub fn finish(mut self) -> Result<bool, Failure> {
        self.running.iter_mut().for_each(|running| running.recording.close());
        let all: Vec<_> = self.ending.drain(..).chain(self.running.take()).collect();
        for running in all {
            self.end(running);
        }
        if let Some(saving) = self.saving.take() {
            self.conclude(saving.finish());
        }
        self.snapshots.finish();
        self.turn();
        let asked = self.file.is_some();
        self.failed.map_or(Ok(self.anything || !asked), Err)
    }
}

/// A file of this name, and those behind it, by numbers; what is there stays. A pipe or a device is what it is.
fn in_turn(path: PathBuf) -> Result<(Target, Next), writers::Error> {
    let first = match Target::claim(Some(&path), Overwrite::Nothing) {
        Err(writers::Error::Taken { .. }) => numbered(&path, &mut 1)?,
        claimed => claimed?,
    };
    let mut number = 1;
    let next = move || {
        let target = numbered(&path, &mut number)?;
        tracing::info!("recording to {}", target.name());
        Ok(target)
    };
    Ok((first, Box::new(next)))
}

/// The next file that is not there yet: `talk-2.mkv` for `talk.mkv`.
fn numbered(path: &Path, number: &mut u32) -> Result<Target, writers::Error> {
    while *number < MOST_NUMBER {
        *number += 1;
        let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
        name.push(format!("-{number}"));
        if let Some(ending) = path.extension() {
            name.push(".");
            name.push(ending);
        }
        if let Some(target) = Target::make(&path.with_file_name(name))? {
            return Ok(target);
        }
    }
    Err(writers::Error::Taken { path: path.into(), what: format!("has {MOST_NUMBER} others beside it") })
}
