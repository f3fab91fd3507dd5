//! The config file below the command line: a flag goes before the environment, that before the file, that before the default.
//!
//! What the file says becomes words in front of those that were typed, so clap and the flags' own parsers judge both alike, and a
//! flag that is new needs nothing here. What was typed always wins: what the file says of the same flag is left out, and so is
//! what cannot stand beside what was typed. What the file says is checked by itself first ([`file`]), so a wrong line is told by
//! its number, whatever was typed. `--NAME=false` undoes a flag without a value.

mod file;
mod printed;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use super::key::{self, Key};
use super::{Env, commands, is_called};
use file::File;
pub(super) use file::Setting;

/// Of these a file says nothing: they are about this very run.
pub(super) const TYPED_ALONE: [&str; 8] = ["help", "version", "list", "doctor", "print-config", "no-config", "pair", "forget"];

/// A flag, and the word without a flag that says the same.
const SAME: [(&str, &str); 1] = [("host", "dial")];

/// Flags that name the key; `$EYELINE_KEY` goes before what the file says of either.
const KEYS: [&str; 2] = ["key", "key_file"];

/// A flag that says nothing, which nobody types: it stands where a flag was undone, lest the next word be taken for the value of the
/// one before it.
const NOTHING: char = '\u{1}';

/// The same command, which knows [`NOTHING`], too.
pub(super) fn with_nothing(command: Command) -> Command {
    command.arg(Arg::new("nothing").short(NOTHING).action(ArgAction::Count).hide(true))
}

/// Where the config file of this user is, if anywhere: `$XDG_CONFIG_HOME/eyeline/config.toml`, else below `~/.config`.
pub(super) fn place() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    // What is not absolute is to be ignored, says the XDG base directory specification.
    let folder = variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| variable("HOME").filter(|home| home.is_absolute()).map(|home| home.join(".config")));
    folder.map(|folder| folder.join("eyeline/config.toml"))
}

/// Whether the value of this flag is for nobody's eyes.
fn is_secret(flag: &str) -> bool {
    let ends = ["key", "password", "passphrase", "secret", "token"];
    ends.iter().any(|end| flag.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('-')))
}

/// What was asked for, and how it came to that.
pub(super) struct Settled<T> {
    /// What the command line and the file make together.
    pub asked: T,
    matches: ArgMatches,
    typed: ArgMatches,
    /// What of the file counts, with its place.
    counted: Vec<(Id, String)>,
}

impl<T> Settled<T> {
    /// The answer to `--print-config`, where that was asked for.
    pub fn printed(&self, command: &Command, env: &Env) -> Option<String> {
        let all = printed::Origin { typed: &self.typed, counted: &self.counted, key_of_environment: env.key.is_some() };
        self.typed.get_flag("print_config").then(|| printed::text(command, &self.matches, &all))
    }
}

/// Reads `args`, the program's name first, and what the config file says below them. `judge` reads a command line, with the key
/// of the file beside it, and what of it the file says; it says with [`ErrorKind::ArgumentConflict`] what cannot stand together.
pub(super) fn settle<T>(
    command: &Command,
    args: &[OsString],
    env: &Env,
    judge: impl Fn(&[OsString], Option<&Key>, &[&Setting]) -> Result<(ArgMatches, T), clap::Error>,
) -> Result<Settled<T>, clap::Error> {
    let (args, undone) = undone(command, args);
    let args = args.as_slice();
    let typed = typed(command, args)?;
    let refused = |sentence: String| command.clone().error(ErrorKind::ValueValidation, sentence);
    let file = match &env.config {
        Some(path) if !typed.get_flag("no_config") => file::read(path, &commands()).map_err(refused)?,
        _ => None,
    };
    let Some(file) = file else {
        let (matches, asked) = judge(args, None, &[])?;
        return Ok(Settled { asked, matches, typed, counted: Vec::new() });
    };
    let heard = |it: &&Setting| !undone.contains(&it.id) && counts(it, &typed, env);
    let all: Vec<&Setting> = file.of(command.get_name()).iter().filter(heard).collect();
    let key = all.iter().find_map(|setting| setting.key.as_ref());
    let mut settings = all.clone();
    loop {
        let error = match judge(&below(args, &settings), key, &settings) {
            Ok((matches, asked)) => {
                let counted = settings.iter().map(|setting| (setting.id.clone(), file.place(setting))).collect();
                return Ok(Settled { asked, matches, typed, counted });
            }
            Err(error) => error,
        };
        // What is wrong without the file, too, is none of its faults.
        if settings.is_empty() || judge(args, None, &[]).is_err() {
            return Err(error);
        }
        let said = words(&error);
        let names = flags_in(&said);
        let (named, others): (Vec<_>, Vec<_>) = settings.iter().partition(|setting| names.contains(setting.flag.as_str()));
        let is_conflict = |error: &clap::Error| error.kind() == ErrorKind::ArgumentConflict;
        let alone = || judge(&below(&args[..args.len().min(1)], &all), key, &all).is_err_and(|error| is_conflict(&error));
        if named.is_empty() || !is_conflict(&error) || alone() {
            return Err(command.clone().error(error.kind(), format!("{said}; {}", whence(&file, &named))));
        }
        settings = others;
    }
}

/// Flags without a value may be given one: `--NAME=false` undoes what the file says of it, or what was typed before. What is left
/// for clap, and what was undone.
fn undone(command: &Command, args: &[OsString]) -> (Vec<OsString>, BTreeSet<Id>) {
    let (mut left, mut undone) = (Vec::with_capacity(args.len()), BTreeSet::new());
    let (words, names) = args.split_at(args.iter().position(|word| word == "--").unwrap_or(args.len()));
    // Where flags stand, and whether a flag's value comes, whatever it is.
    let (mut flags, mut is_value) = (Vec::new(), false);
    for word in words {
        let text = word.to_str().filter(|_| !std::mem::take(&mut is_value));
        let said = text.and_then(|text| text.strip_prefix("--")?.split_once('='));
        match said.and_then(|(name, value)| Some((switch(command, name)?, format!("--{name}"), value))) {
            Some((arg, _, "false")) => {
                flags.iter().for_each(|at: &usize| undo(command, arg, &mut left[*at]));
                undone.insert(arg.get_id().clone());
                left.push(format!("-{NOTHING}").into());
            }
            Some((arg, flag, "true")) => {
                undone.remove(arg.get_id());
                flags.push(left.len());
                left.push(flag.into());
            }
            _ => {
                is_value = text.is_some_and(|text| command.get_arguments().any(|arg| takes_any(arg) && is_called(arg, text)));
                flags.extend(text.map(|_| left.len()));
                left.push(word.clone());
            }
        }
    }
    left.extend(names.iter().cloned());
    (left, undone)
}

/// Whether the word behind this flag is its value even where it looks like a flag.
fn takes_any(arg: &Arg) -> bool {
    let needs_one = arg.get_num_args().is_none_or(|count| count.min_values() > 0);
    arg.get_action().takes_values() && arg.is_allow_hyphen_values_set() && needs_one
}

/// Takes this flag out of a word: out of letters behind one dash that take no values, too.
fn undo(command: &Command, arg: &Arg, word: &mut OsString) {
    let Some(text) = word.to_str() else { return };
    let short = |arg: &Arg, letter: char| is_called(arg, &format!("-{letter}"));
    let is_switch = |letter| command.get_arguments().any(|arg| !arg.get_action().takes_values() && short(arg, letter));
    let rest: String = match text.strip_prefix('-').filter(|letters| letters.chars().all(is_switch)) {
        _ if is_called(arg, text) => String::new(),
        Some(letters) => letters.chars().filter(|letter| !short(arg, *letter)).collect(),
        None => return,
    };
    *word = if rest.is_empty() { format!("-{NOTHING}") } else { format!("-{rest}") }.into();
}

/// What of this name is said or not, without a value, and may stand in a file.
fn switch<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let named = |arg: &&Arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name));
    let arg = command.get_arguments().find(named).filter(|arg| !arg.get_action().takes_values())?;
    (!TYPED_ALONE.contains(&name)).then_some(arg)
}

/// What was typed, whether or not something is missing that the file may have.
fn typed(command: &Command, args: &[OsString]) -> Result<ArgMatches, clap::Error> {
    match command.clone().try_get_matches_from(args) {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            command.clone().ignore_errors(true).try_get_matches_from(args)
        }
        other => other,
    }
}

/// Whether this line of the file is heard: nothing goes before it.
fn counts(setting: &Setting, typed: &ArgMatches, env: &Env) -> bool {
    let is_given = |id: &str| {
        matches!(typed.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
            || SAME.iter().any(|(flag, word)| *flag == id && typed.value_source(word) == Some(ValueSource::CommandLine))
    };
    let has_key = || env.key.is_some() || KEYS.iter().any(|id| is_given(id));
    let id = setting.id.as_str();
    !(is_given(id) || KEYS.contains(&id) && has_key() || id == "color" && env.no_color)
}

/// The command line with what the file says before what was typed; behind it stands what would take the next word for its value.
fn below(args: &[OsString], settings: &[&Setting]) -> Vec<OsString> {
    let (name, typed) = args.split_at(args.len().min(1));
    let (typed, names) = typed.split_at(typed.iter().position(|word| word == "--").unwrap_or(typed.len()));
    let said =
        |is_bare: bool| settings.iter().filter(move |setting| setting.is_bare == is_bare).flat_map(|setting| &setting.words);
    name.iter().chain(said(false)).chain(typed).chain(said(true)).chain(names).cloned().collect()
}

/// What an error says, without the usage that clap adds.
fn words(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    said.strip_prefix("error: ").unwrap_or(said).trim_end().into()
}

/// The long flags that a sentence names, without their dashes.
fn flags_in(sentence: &str) -> BTreeSet<&str> {
    let words = sentence.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter_map(|word| word.strip_prefix("--")).collect()
}

/// Where in the file these stand.
fn whence(file: &File, named: &[&Setting]) -> String {
    let lines: Vec<String> = named.iter().map(|setting| format!("{} is said in {}", setting.flag, file.place(setting))).collect();
    let said = if lines.is_empty() { format!("what {} says counts, too", file.path.display()) } else { lines.join(", ") };
    format!("{said}; --no-config leaves that file out")
}

/// A key that stands in the file, checked.
fn key_in(text: &str, place: &str) -> Result<Key, String> {
    key::check(text, &format!("{place}: key"))
}
