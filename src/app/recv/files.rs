//! `--output` and `--audio-output`: claims the names, and says what the files hold in the end.

use super::super::args::recv::Recv;
use super::super::failure::{Code, Failure};
use super::super::notes::Notes;
use super::super::status::ExitCode;
use super::Note;
use crate::pipeline::decode::Announced;
use crate::pipeline::record::{self, Outcome, Recorder};
use crate::present::exit_hook::ExitHook;
use crate::present::writers::{self, Target};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// See the module text.
pub struct Files {
    /// What writes them.
    pub recorder: Recorder,
    /// Where there is a window: Xlib may end the process.
    _exit: Option<ExitHook>,
}

impl Files {
    /// Opens what is asked for; `None` if nothing is.
    pub fn open(config: &Recv, ready: &Announced, notes: &Notes<Note>) -> Result<Option<Files>, Failure> {
        if config.output.is_none() && config.audio_output.is_none() {
            return Ok(None);
        }
        // Both names, before anything is made.
        let claim = |path: Option<&Path>| Target::claim(path, config.overwrite).code(ExitCode::Failed);
        let pictures = config.output.as_ref().map(|output| Ok((output.format, claim(output.path.as_deref())?))).transpose()?;
        let sound = config.audio_output.as_deref().map(|path| claim(Some(path))).transpose()?;
        // Latency is what the window shows, where there is one.
        let ready = (!config.window).then(|| ready.clone());
        let notes = notes.clone();
        let tell = Arc::new(move |note| match note {
            record::Note::Ended => notes.tell(Note::FileEnded),
            record::Note::LeftOut { picture, error } => tracing::warn!("picture {picture} is left out of the file: {error}"),
        });
        let mut recorder = Recorder::start(record::Config { pictures, sound, ready, tell }).code(ExitCode::Failed)?;
        let last_resort = if config.window { recorder.last_resort() } else { None };
        let _exit = last_resort.map(|last_resort| {
            ExitHook::new(move || {
                let finished = if last_resort.finish() { "the files are finished" } else { "the files could not be finished" };
                // What a thread keeps for itself is gone on this one, the log's buffer too.
                let _ = writeln!(std::io::stderr(), "error: the display is gone, or it took the window away; {finished}");
            })
        });
        Ok(Some(Files { recorder, _exit }))
    }

    /// Writes what came and says what the files hold; whether they hold anything. `told`: we were told to stop.
    pub fn finish(self, told: bool) -> Result<bool, Failure> {
        let Outcome { pictures, sound, hurried } = self.recorder.finish(told);
        if hurried {
            tracing::warn!("told to stop: the last pictures that came were not written in time");
        }
        let (pictures, sound) = (pictures.map(|outcome| ("picture", outcome)), sound.map(|outcome| ("sound", outcome)));
        let mut anything = Ok(false);
        for (what, outcome) in pictures.into_iter().chain(sound) {
            match outcome {
                Ok(written) if written.units > 0 => {
                    anything = anything.map(|_| true);
                    tracing::info!("{}", written.sentence);
                }
                Ok(_) => tracing::warn!("no {what} came: nothing is written"),
                Err(error @ writers::Error::ReaderGone) => {
                    anything = anything.map(|_| true);
                    tracing::info!("{error}");
                }
                Err(error) => {
                    tracing::error!("{error}");
                    anything = Err(Failure::new(ExitCode::Failed, error.to_string()).said());
                }
            }
        }
        anything
    }
}
