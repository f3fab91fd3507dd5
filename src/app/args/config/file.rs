//! The config file by itself: what TOML says becomes, for each program, the words that say the same on a command line.
//!
//! All of it is checked by whichever program reads it, those tables of the others, too: a file is right or wrong. Names are those
//! of the long flags. A value is handed to its flag's own parser, so it is refused in the same words, with path and line before
//! them. A key is kept apart from other words, and overwritten when it is dropped, as the text it stands in is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{ErrorKind as Io, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Id};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::super::key::Key;
use super::{TYPED_ALONE, is_secret, key_in, words};
use crate::capture::file::address;

/// Far more than all flags need, far less than a wrong file.
const MAX_LEN: usize = 64 * 1024;

/// What a file says of one flag.
#[derive(Debug)]
pub(in super::super) struct Setting {
    /// What clap calls the flag.
    pub id: Id,
    /// Its long name.
    pub flag: String,
    /// The line, from 1 on.
    pub line: usize,
    /// How it is said on a command line; nothing where it is so by default.
    pub words: Vec<OsString>,
    /// The key, which is in no words.
    pub key: Option<Key>,
    /// It is a flag that may have a value and here has none: the word after it would be taken for that.
    pub is_bare: bool,
}

/// A file without a fault.
#[derive(Debug)]
pub(super) struct File {
    /// Where it is.
    pub path: PathBuf,
    programs: Vec<(String, Vec<Setting>)>,
}

impl File {
    /// Where in it this stands.
    pub fn place(&self, setting: &Setting) -> String {
        format!("{}:{}", self.path.display(), setting.line)
    }

    /// What it says to one program, each flag once, in the order of the lines.
    pub fn of(&self, program: &str) -> &[Setting] {
        self.programs.iter().find(|(name, _)| name == program).map_or(&[], |(_, settings)| settings)
    }
}

/// The file at `path`, where there is one, or the sentence that says what is wrong with it.
pub(super) fn read(path: &Path, programs: &[Command]) -> Result<Option<File>, String> {
    let Some((text, is_open)) = text(path)? else { return Ok(None) };
    let reader = Reader { path, text: &text, is_open, programs };
    let all = DeTable::parse(&text).map_err(|error| reader.at(error.span().unwrap_or_default(), error.message()))?;
    let (mut common, mut tables) = (Vec::new(), BTreeMap::new());
    for (name, value) in in_order(all.get_ref()) {
        let program = programs.iter().find(|program| program.get_name() == name.get_ref().as_ref());
        match (value.get_ref(), program) {
            (DeValue::Table(table), Some(program)) => {
                tables.insert(program.get_name().to_string(), in_order(table));
            }
            (_, Some(program)) => return Err(reader.at(name.span(), &format!("{0} is a table: write [{0}]", program.get_name()))),
            (DeValue::Table(_), None) => {
                let names: Vec<String> = programs.iter().map(|program| format!("[{}]", program.get_name())).collect();
                let sentence = format!("there is no table [{}]: there are {}", name.get_ref(), names.join(", "));
                return Err(reader.at(name.span(), &sentence));
            }
            (_, None) => common.push((name, value)),
        }
    }
    for (name, _) in &common {
        reader.is_common(name)?;
    }
    let of_program = |program: &Command| {
        let own = tables.get(program.get_name()).map_or(&[][..], Vec::as_slice);
        Ok((program.get_name().to_string(), reader.settings(program, &common, own)?))
    };
    let programs = programs.iter().map(of_program).collect::<Result<_, String>>()?;
    Ok(Some(File { path: path.into(), programs }))
}

/// What stands in the file, and whether others than its owner may read it; nothing where there is none.
fn text(path: &Path) -> Result<Option<(Zeroizing<String>, bool)>, String> {
    let unreadable =
        |error: std::io::Error| format!("cannot read the config file {}: {error}; --no-config leaves it out", path.display());
    let mut file = match std::fs::File::open(path) {
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let is_open = file.metadata().map_err(unreadable)?.mode() & 0o077 != 0;
    // A key may stand in it: neither a buffer of the library's nor growing leaves a copy behind.
    let (mut bytes, mut len) = (Zeroizing::new(vec![0; MAX_LEN]), 0);
    loop {
        match file.read(&mut bytes[len..]).map_err(unreadable)? {
            0 if len == MAX_LEN => {
                return Err(format!("{} has more than {MAX_LEN} bytes: is it the right file?", path.display()));
            }
            0 => break,
            read => len += read,
        }
    }
    let text = std::str::from_utf8(&bytes[..len]).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    Ok(Some((Zeroizing::new(text.to_string()), is_open)))
}

type Line<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// The lines of a table as they stand in the file.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Line<'t, 'i>> {
    let mut lines: Vec<_> = table.iter().collect();
    lines.sort_by_key(|(name, _)| name.span().start);
    lines
}

/// The long flag of this name, or with this as its other name.
fn flag<'a>(program: &'a Command, name: &str) -> Option<&'a Arg> {
    program.get_arguments().find(|arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)))
}

/// What is asked again and again while a file is read.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    is_open: bool,
    programs: &'a [Command],
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
    }

    fn place(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.path.display(), self.line(span))
    }

    fn at(&self, span: Range<usize>, sentence: &str) -> String {
        format!("{}: {sentence}", self.place(&span))
    }

    /// Above the tables stand flags of all programs.
    fn is_common(&self, name: &Spanned<std::borrow::Cow<'_, str>>) -> Result<(), String> {
        let text = name.get_ref().as_ref();
        let with: Vec<&str> = self.programs.iter().filter(|it| flag(it, text).is_some()).map(Command::get_name).collect();
        if with.is_empty() {
            return Err(self.at(name.span(), &self.unknown(text, self.programs)));
        }
        if with.len() < self.programs.len() {
            let tables: Vec<String> = with.iter().map(|name| format!("[{name}]")).collect();
            let sentence = format!("{text} is a flag of {} alone: write it below {}", with.join(" and "), tables.join(" or "));
            return Err(self.at(name.span(), &sentence));
        }
        Ok(())
    }

    /// There is no such name; one of these programs may have one that is nearly it.
    fn unknown(&self, name: &str, near: &[Command]) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let nearest = near.iter().filter(|_| !name.is_empty() && name.chars().all(is_word)).find_map(|program| {
            let error = program.clone().try_get_matches_from([program.get_name(), &format!("--{name}")]).err()?;
            match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_string()),
                _ => None,
            }
        });
        match nearest.filter(|flag| !TYPED_ALONE.contains(&flag.as_str())) {
            Some(flag) => format!("there is no flag {name}; the nearest is {flag}"),
            None => format!("there is no flag {name}; --help tells all there are"),
        }
    }

    /// What these lines say to one program: its own table goes before what stands above the tables.
    fn settings(&self, program: &Command, common: &[Line<'_, '_>], own: &[Line<'_, '_>]) -> Result<Vec<Setting>, String> {
        let mut all: Vec<Setting> = Vec::new();
        for lines in [common, own] {
            let mut here: Vec<Setting> = Vec::new();
            for (name, value) in lines {
                let setting = self.setting(program, name, value)?;
                if let Some(other) = here.iter().find(|other| other.id == setting.id) {
                    let sentence = format!("{} is {}, which line {} says already", name.get_ref(), other.flag, other.line);
                    return Err(self.at(name.span(), &sentence));
                }
                here.push(setting);
            }
            all.retain(|before| here.iter().all(|setting| setting.id != before.id));
            all.extend(here);
        }
        // What is so by default has counted against what stands above the tables, and says nothing more.
        all.retain(|setting| !setting.words.is_empty() || setting.key.is_some());
        if let (Some(_), Some(file)) =
            (all.iter().find(|it| it.key.is_some()), all.iter().find(|setting| setting.flag == "key-file"))
        {
            let place = format!("{}:{}", self.path.display(), file.line);
            return Err(format!("{place}: key-file cannot be used with key: leave one of them out"));
        }
        Ok(all)
    }

    fn setting(
        &self,
        program: &Command,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting, String> {
        let (text, line) = (name.get_ref().as_ref(), self.line(&name.span()));
        let Some(arg) = flag(program, text) else {
            let others: Vec<&str> = self.programs.iter().filter(|it| flag(it, text).is_some()).map(Command::get_name).collect();
            let sentence = match others[..] {
                [] => self.unknown(text, std::slice::from_ref(program)),
                _ => format!("{text} is a flag of {}, and this is [{}]", others.join(" and "), program.get_name()),
            };
            return Err(self.at(name.span(), &sentence));
        };
        let long = arg.get_long().unwrap_or(text).to_string();
        if TYPED_ALONE.contains(&long.as_str()) {
            return Err(self.at(name.span(), &format!("{text} is for the command line alone")));
        }
        if self.is_open && self.one(value).is_some_and(|text| address::shown(Path::new(text.as_str())) != text.as_str()) {
            let path = self.path.display();
            let sentence = format!("others on this machine can read the password in this {text}: chmod 600 {path}");
            return Err(self.at(name.span(), &sentence));
        }
        if is_secret(&long) && self.is_open {
            let path = self.path.display();
            return Err(
                self.at(name.span(), &format!("others on this machine can read the {text} in this file: chmod 600 {path}"))
            );
        }
        let wrong = |sentence: String| self.at(name.span(), &sentence);
        if long == "key" {
            let text = self.one(value).ok_or_else(|| wrong(format!("{text} takes one value: write it in quotes")))?;
            let key = Some(key_in(&text, &self.place(&name.span()))?);
            return Ok(Setting { id: arg.get_id().clone(), flag: long, line, words: Vec::new(), key, is_bare: false });
        }
        let said = self.words(arg, &long, value).map_err(wrong)?;
        let alone = std::iter::once(OsString::from(program.get_name())).chain(said.iter().cloned());
        match program.clone().try_get_matches_from(alone) {
            Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(wrong(words(&error))),
            _ => {
                let is_bare = is_optional(arg) && matches!(value.get_ref(), DeValue::Boolean(_));
                Ok(Setting { id: arg.get_id().clone(), flag: long, line, words: said, key: None, is_bare })
            }
        }
    }

    /// How this is said on a command line.
    fn words(&self, arg: &Arg, long: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
        let given = || OsString::from(format!("--{long}"));
        let takes_values = arg.get_action().takes_values();
        match value.get_ref() {
            DeValue::Boolean(is_given) if !takes_values || is_optional(arg) => Ok(is_given.then(given).into_iter().collect()),
            DeValue::Integer(times) if matches!(arg.get_action(), ArgAction::Count) => match times.to_string().parse::<u8>() {
                Ok(times) => Ok((0..times).map(|_| given()).collect()),
                Err(_) => Err(format!("{long} is counted: write {long} = true, or how many times")),
            },
            _ if !takes_values => Err(format!("{long} takes no value: write {long} = true or {long} = false")),
            DeValue::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
                let texts = values.iter().map(|value| self.one(value).ok_or(format!("{long} takes a list of texts in quotes")));
                texts.map(|text| Ok(format!("--{long}={}", text?.as_str()).into())).collect()
            }
            _ => {
                let text = self.one(value).ok_or_else(|| format!("{long} takes one value: write it in quotes"))?;
                let is_default = arg.get_default_values().iter().map(|default| default.to_str()).eq([Some(text.as_str())]);
                Ok(if is_default { Vec::new() } else { vec![format!("--{long}={}", text.as_str()).into()] })
            }
        }
    }

    /// One value as it is typed: numbers as they are written here.
    fn one(&self, value: &Spanned<DeValue<'_>>) -> Option<Zeroizing<String>> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => self.text.get(value.span())?,
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
        };
        Some(Zeroizing::new(text.into()))
    }
}

/// Whether the flag may stand without a value.
fn is_optional(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.min_values() == 0)
}
