//! `--output` and `--audio-output`: claims the names, and says what the files hold in the end.
//!
//! Without `{name}` there is one set of files, claimed before anybody is told that we are here. With it each sender has its own,
//! made when it comes and finished when it leaves, and with `{mix}` the sound of all is one file more; a failure of one is said
//! at once and ends no other, and who fails for want of a name or of space is heard of in the exit code.

use super::super::args::pattern::Pattern;
use super::super::args::recv::{Place, Recv};
use super::super::failure::{Code, Failure};
use super::super::last_will::{LastWill, Unfinished};
use super::super::status::ExitCode;
use crate::net::Commands;
use crate::pipeline::back::Back;
use crate::pipeline::decode::Announced;
use crate::pipeline::record::{self, Format, Inlets, Outcome, Queues, Recorder, What};
use crate::present::writers::{self, Overwrite, Target};
use eyeline_proto::session::Command;
use eyeline_proto::session::MOST_SENDERS;
use eyeline_proto::session::TrackId;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of decoded pictures between all decoders and the disk, beyond one each: four of 3840x2160.
const DECODED: usize = 64 << 20;

/// Files of one run: whoever may come and go as it likes fills no folder.
const MOST_FILES: usize = 1000;

/// Numbers behind a name: as many digits as [`Pattern`] has room for.
const MOST_NUMBER: u32 = 9999;

pub struct Files {
    inlets: Inlets,
    names: Option<Names>,
    writing: Vec<Writing>,
    made_with: MadeWith,
    will: LastWill,
    next: u64,
    anything: bool,
    /// A file ended before its sender did.
    broken: bool,
    failed: Option<Failure>,
}

/// What every set of files is made with.
struct MadeWith {
    ready: Option<Announced>,
    back: Back,
    tell: record::Tell,
    decoded: usize,
}

/// One set of files.
struct Writing {
    key: u64,
    /// Whose, where each sender has its own.
    of: Option<Of>,
    recorder: Recorder,
    /// Pictures in it that were asked for.
    counted: u32,
}

struct Of {
    track: TrackId,
    name: String,
    paths: Vec<PathBuf>,
}

impl Files {
    /// Opens what is asked for, to be finished by `will` if not by us; `None` if nothing is.
    pub fn open(config: &Recv, ready: &Announced, will: &LastWill) -> Result<Option<Files>, Failure> {
        let what = What { pictures: config.output.is_some(), sound: config.audio_output.is_some() };
        if !what.pictures && !what.sound {
            return Ok(None);
        }
        let tell =
            Arc::new(|left: record::LeftOut| tracing::warn!("picture {} is left out of the file: {}", left.picture, left.error));
        let mixed = match &config.audio_output {
            Some(Place::Mix(pattern)) => Some(pattern),
            _ => None,
        };
        let what = What { sound: what.sound && mixed.is_none(), ..what };
        let each = !config.takes_one() && (what.pictures || what.sound);
        let mut names = Names::of(config);
        names.have_folders()?;
        // Found out before anything else is made.
        let mix = mixed.map(|pattern| names.claim_mix(pattern)).transpose()?;
        let names = each.then_some(names);
        let decoded = if names.is_some() { DECODED / MOST_SENDERS } else { DECODED };
        // Latency is what the window shows, where there is one.
        let ready = (!config.showing.window).then(|| ready.clone());
        let made_with = MadeWith { ready, back: Back::default(), tell, decoded };
        let mut files = Files {
            inlets: Inlets::each(what, made_with.back.clone()),
            names,
            writing: Vec::new(),
            made_with,
            will: will.clone(),
            next: 0,
            anything: false,
            broken: false,
            failed: None,
        };
        if config.takes_one() {
            let (inlets, queues) = Inlets::one(what, files.made_with.back.clone());
            files.inlets = inlets;
            // Both names, before anything is made.
            let claim = |place: &Place| {
                let path = match place {
                    Place::File(path) => Some(path.as_path()),
                    Place::Stdout | Place::Each(_) | Place::Mix(_) => None,
                };
                Target::claim(path, config.overwrite).code(ExitCode::Failed)
            };
            let pictures = config.output.as_ref().map(|output| Ok((output.format, claim(&output.place)?))).transpose()?;
            let sound = config.audio_output.as_ref().filter(|_| what.sound).map(claim).transpose()?;
            files.start(None, queues, Targets { pictures, sound, mix: None })?;
        }
        if mix.is_some() {
            let (inlets, queues) = files.inlets.clone().with_mix();
            files.inlets = inlets;
            files.start(None, queues, Targets { mix, ..Targets::default() })?;
        }
        Ok(Some(files))
    }

    fn start(&mut self, of: Option<Of>, queues: Queues, Targets { pictures, sound, mix }: Targets) -> Result<(), Failure> {
        let MadeWith { ready, back, tell, decoded } = &self.made_with;
        let (ready, back, tell, decoded) = (ready.clone(), back.clone(), tell.clone(), *decoded);
        let config = record::Config { queues, pictures, sound, mix, decoded, ready, back, tell };
        let mut recorder = Recorder::start(config).code(ExitCode::Failed)?;
        let key = self.next;
        self.next += 1;
        if let Some(last_resort) = recorder.last_resort() {
            self.will.writes(key, Unfinished::Files(last_resort));
        }
        self.writing.push(Writing { key, of, recorder, counted: 0 });
        Ok(())
    }

    /// Whether all that is written is of one sender.
    pub fn take_one(&self) -> bool {
        !self.inlets.are_of_each()
    }

    /// What tracks are written through.
    pub fn inlets(&self) -> Inlets {
        self.inlets.clone()
    }

    /// Where the session is told of what is written.
    pub fn connect(&self, commands: Commands<Command>) {
        self.made_with.back.connect(move |command| commands.command(command));
    }

    /// A sender is here: where each has its own files, they are made now. Which, for the user.
    pub fn sender_came(&mut self, track: TrackId, name: &str) -> Option<String> {
        let names = self.names.as_mut()?;
        let queues = self.inlets.take(track)?;
        let claimed = names.claim(name);
        let made = claimed.and_then(|(targets, paths)| {
            let list: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            let of = Of { track, name: name.to_string(), paths };
            self.start(Some(of), queues.clone(), targets)?;
            Ok(format!("{name} is written to {}", list.join(" and ")))
        });
        match made {
            Ok(sentence) => Some(sentence),
            Err(failure) => {
                queues.close();
                self.fails(failure.code, &failure.to_string());
                None
            }
        }
    }

    /// Said at once, and once.
    fn fails(&mut self, code: ExitCode, sentence: &str) {
        self.broken = true;
        if self.failed.as_ref().is_none_or(|known| known.to_string() != sentence) {
            tracing::error!("{sentence}");
            self.failed = Some(Failure::new(code, sentence).said());
        }
    }

    /// How many more pictures of this track are written than when this was asked last.
    pub fn more_written(&mut self, track: TrackId) -> u32 {
        // Who has files of its own is before or behind the mix, which has no pictures.
        let each = self.names.is_some();
        let of_track = |writing: &&mut Writing| writing.of.as_ref().map_or(!each, |of| of.track == track);
        self.writing.iter_mut().find(of_track).map_or(0, |writing| {
            let written = writing.recorder.written();
            written - std::mem::replace(&mut writing.counted, written)
        })
    }

    /// Looks for files that have come to their end, and says what they hold. Whether nothing is written any more, and not because
    /// senders left.
    pub fn are_over(&mut self) -> bool {
        let ended: Vec<Writing> = self.writing.extract_if(.., |writing| writing.recorder.has_ended()).collect();
        // What is not of one sender ends by itself only where it cannot go on.
        let lasting = ended.iter().any(|writing| writing.of.is_none());
        for writing in ended {
            self.conclude(writing, false);
        }
        (lasting && self.names.is_none()) || (self.broken && self.writing.is_empty())
    }

    /// Takes nothing more.
    pub fn close(&mut self) {
        for writing in &mut self.writing {
            writing.recorder.close();
        }
    }

    /// Writes what came and says what the files hold; whether they hold anything. `told`: we were told to stop.
    pub fn finish(mut self, told: bool) -> Result<bool, Failure> {
        // None waits for the end of another.
        self.close();
        for writing in std::mem::take(&mut self.writing) {
            self.conclude(writing, told);
        }
        if self.names.is_some() && !self.anything && !self.broken {
            tracing::warn!("nobody sent anything to write: nothing is written");
        }
        self.failed.map_or(Ok(self.anything), Err)
    }

    fn conclude(&mut self, Writing { key, of, recorder, .. }: Writing, told: bool) {
        let Outcome { pictures, sound, hurried } = recorder.finish(told);
        self.will.wrote(key);
        if hurried {
            tracing::warn!("told to stop: the last pictures that came were not written in time");
        }
        let outcomes = [("picture", pictures), ("sound", sound)].map(|(what, outcome)| outcome.map(|outcome| (what, outcome)));
        let nothing = |outcome: &Result<writers::Written, writers::Error>| matches!(outcome, Ok(written) if written.units == 0);
        let empty = outcomes.iter().flatten().all(|(_, outcome)| nothing(outcome));
        if let (Some(of), Some(names), true) = (&of, &mut self.names, empty) {
            // Who sent nothing leaves no file and no word.
            names.give_back(&of.paths);
            return;
        }
        let whose = of.map(|of| format!(" of {}", of.name)).unwrap_or_default();
        for (what, outcome) in outcomes.into_iter().flatten() {
            match outcome {
                Ok(written) if written.units > 0 => {
                    self.anything = true;
                    tracing::info!("{}", written.sentence);
                }
                Ok(written) => tracing::warn!("no {what} came{whose}: {} is not written", written.name),
                Err(error @ writers::Error::ReaderGone) => {
                    (self.anything, self.broken) = (true, true);
                    tracing::info!("{error}");
                }
                Err(error) => self.fails(ExitCode::Failed, &error.to_string()),
            }
        }
    }
}

/// Where pictures and sound go.
#[derive(Default)]
struct Targets {
    pictures: Option<(Format, Target)>,
    sound: Option<Target>,
    mix: Option<Target>,
}

/// Names of the files of this run, a set for each sender.
struct Names {
    pictures: Option<(Format, Pattern)>,
    sound: Option<Pattern>,
    overwrite: bool,
    /// In small letters: some file systems do not tell them from large ones.
    taken: BTreeSet<String>,
}

impl Names {
    fn of(config: &Recv) -> Self {
        let pattern = |place: &Place| match place {
            Place::Each(pattern) => Some(pattern.clone()),
            Place::Stdout | Place::File(_) | Place::Mix(_) => None,
        };
        Names {
            pictures: config.output.as_ref().and_then(|output| Some((output.format, pattern(&output.place)?))),
            sound: config.audio_output.as_ref().and_then(pattern),
            overwrite: config.overwrite == Overwrite::Anything,
            taken: BTreeSet::new(),
        }
    }

    /// Where files are to be made when somebody comes there must be a folder now: an error an hour later helps nobody.
    fn have_folders(&self) -> Result<(), Failure> {
        for pattern in self.pictures.iter().map(|(_, pattern)| pattern).chain(&self.sound) {
            let folder = pattern.folder();
            if !folder.as_os_str().is_empty() {
                let there = folder.read_dir().map(drop);
                let failed = there.err().filter(|error| error.kind() != ErrorKind::PermissionDenied);
                let path = pattern.file("a sender", 1);
                failed.map_or(Ok(()), |cause| Err(writers::Error::Create { path, cause })).code(ExitCode::Failed)?;
            }
        }
        Ok(())
    }

    /// The file of the mix.
    fn claim_mix(&mut self, pattern: &Pattern) -> Result<Target, Failure> {
        for number in 1..=MOST_NUMBER {
            let path = pattern.mix(number);
            let Some(Some(target)) = self.make(Some(&path))? else { continue };
            if number > 1 {
                tracing::info!("{} is there: the sound of all is written to {}", pattern.mix(1).display(), path.display());
            }
            self.taken.insert(small(&path));
            return Ok(target);
        }
        let first = pattern.mix(1);
        Err(Failure::new(ExitCode::Failed, format!("{} is not written: there are {MOST_NUMBER} of it", first.display())))
    }

    /// The files of a sender of this name, which become its own.
    fn claim(&mut self, name: &str) -> Result<(Targets, Vec<PathBuf>), Failure> {
        if self.taken.len() >= MOST_FILES {
            let sentence = format!("no more senders are written: this run has made {MOST_FILES} files");
            return Err(Failure::new(ExitCode::Failed, sentence));
        }
        for number in 1..=MOST_NUMBER {
            let file = |pattern: &Pattern| pattern.file(name, number);
            let paths = (self.pictures.as_ref().map(|(_, pattern)| file(pattern)), self.sound.as_ref().map(file));
            // What is made for one that cannot be had is gone again with it.
            let Some(pictures) = self.make(paths.0.as_deref())? else { continue };
            let Some(sound) = self.make(paths.1.as_deref())? else { continue };
            let pictures = self.pictures.as_ref().map(|(format, _)| *format).zip(pictures);
            let paths: Vec<PathBuf> = [paths.0, paths.1].into_iter().flatten().collect();
            self.taken.extend(paths.iter().map(|path| small(path)));
            return Ok((Targets { pictures, sound, mix: None }, paths));
        }
        Err(Failure::new(ExitCode::Failed, format!("{name} is not written: there are {MOST_NUMBER} files of this name")))
    }

    /// `None` where this name is not to be had; nothing where none is wanted.
    fn make(&self, path: Option<&Path>) -> Result<Option<Option<Target>>, Failure> {
        let Some(path) = path else { return Ok(Some(None)) };
        if self.taken.contains(&small(path)) {
            return Ok(None);
        }
        let target = if self.overwrite { Target::claim(Some(path), Overwrite::Anything).map(Some) } else { Target::make(path) };
        Ok(target.code(ExitCode::Failed)?.map(Some))
    }

    /// Nothing was written to them.
    fn give_back(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.taken.remove(&small(path));
        }
    }
}

fn small(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn names(&self, overwrite: bool) -> Names {
            let pattern = |name: &str| Pattern::of(&self.0.join(name)).unwrap();
            let pictures = Some((Format::Y4m, pattern("{name}.y4m")));
            Names { pictures, sound: Some(pattern("{name}.wav")), overwrite, taken: BTreeSet::new() }
        }

        fn precious(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, "precious").unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// What the files of a sender are called, which stay claimed.
    fn claim(names: &mut Names, name: &str, kept: &mut Vec<Targets>) -> Vec<String> {
        let (targets, paths) = names.claim(name).unwrap();
        kept.push(targets);
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_string()).collect()
    }

    #[test]
    fn senders_of_one_name_have_numbers_and_pictures_and_sound_the_same() {
        let (folder, mut kept) = (Folder::new("numbers"), Vec::new());
        let mut names = folder.names(false);
        assert_eq!(claim(&mut names, "attic", &mut kept), ["attic.y4m", "attic.wav"]);
        assert_eq!(claim(&mut names, "attic", &mut kept), ["attic-2.y4m", "attic-2.wav"]);
        assert_eq!(claim(&mut names, "ATTIC", &mut kept), ["ATTIC-3.y4m", "ATTIC-3.wav"], "one name where letters have no size");
        assert_eq!(claim(&mut names, "attic-2", &mut kept), ["attic-2-2.y4m", "attic-2-2.wav"]);
        drop(kept);
        names.give_back(&[folder.0.join("attic-2.y4m"), folder.0.join("attic-2.wav")]);
        assert_eq!(claim(&mut names, "attic", &mut Vec::new()), ["attic-2.y4m", "attic-2.wav"], "nothing was written to them");
    }

    #[test]
    fn no_sender_writes_over_what_is_there_unless_that_was_said_and_never_over_another() {
        let (folder, mut kept) = (Folder::new("there"), Vec::new());
        let old = [folder.precious("attic.wav"), folder.precious("attic-2.y4m")];
        assert_eq!(claim(&mut folder.names(false), "attic", &mut kept), ["attic-3.y4m", "attic-3.wav"]);
        assert!(!folder.0.join("attic.y4m").exists(), "what was made for the first number is gone again");
        let mut over = folder.names(true);
        assert_eq!(claim(&mut over, "attic", &mut kept), ["attic.y4m", "attic.wav"]);
        assert_eq!(claim(&mut over, "attic", &mut kept), ["attic-2.y4m", "attic-2.wav"]);
        assert!(old.iter().all(|old| std::fs::read(old).unwrap() == b"precious"), "nothing was written");
    }

    #[test]
    fn the_mix_of_yesterday_is_left_and_a_number_makes_a_new_one_unless_that_was_said() {
        let (folder, mut kept) = (Folder::new("mix"), Vec::new());
        let old = folder.precious("mix.wav");
        let mix = Pattern::of_mix(&folder.0.join("{mix}.wav")).unwrap();
        let mut names = folder.names(false);
        let target = names.claim_mix(&mix).unwrap();
        assert!(folder.0.join("mix-2.wav").exists());
        assert_eq!(claim(&mut names, "mix-2", &mut kept), ["mix-2-2.y4m", "mix-2-2.wav"], "it is no sender's");
        drop(target);
        folder.names(true).claim_mix(&mix).unwrap();
        assert!(!folder.0.join("mix-2.wav").exists() && std::fs::read(old).unwrap() == b"precious", "nothing was written");
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_before_anybody_comes() {
        let folder = Folder::new("folders");
        assert!(folder.names(false).have_folders().is_ok());
        let names = Names { sound: Pattern::of(&folder.0.join("nowhere/{name}.wav")), ..folder.names(false) };
        let error = names.have_folders().unwrap_err();
        assert!(error.to_string().contains("there is no folder") && error.code == ExitCode::Failed, "{error}");
        let plain = Names { sound: Pattern::of(Path::new("{name}.wav")), ..folder.names(false) };
        assert!(plain.have_folders().is_ok());
    }

    #[test]
    fn who_comes_again_and_again_fills_no_folder() {
        let (folder, mut kept) = (Folder::new("many"), Vec::new());
        let mut names = folder.names(false);
        for sender in 0..MOST_FILES / 2 {
            claim(&mut names, &format!("s{sender}"), &mut kept);
            // What is kept open would be too much.
            kept.clear();
        }
        let error = names.claim("one more").map(drop).unwrap_err();
        assert_eq!(error.to_string(), "no more senders are written: this run has made 1000 files");
    }
}
