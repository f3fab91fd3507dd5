//! `--print-config`: what a program goes by, as a config file that says the same, with the place each line came from beside it.
//!
//! What is secret (keys, and addresses with a password in them) is named and not shown.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use super::{SAME, TYPED_ALONE, is_secret};
use crate::capture::file::address;

/// Where what counts came from.
pub(super) struct Origin<'a> {
    /// What was typed.
    pub typed: &'a ArgMatches,
    /// What of the file counts, with its place.
    pub counted: &'a [(Id, String)],
    /// There is a key in the environment.
    pub key_of_environment: bool,
}

/// The table of this program; `matches`: all that counts.
pub(super) fn text(program: &Command, matches: &ArgMatches, origin: &Origin<'_>) -> String {
    let name = program.get_name();
    let mut text = format!("# What {name} goes by; what is not here is left to it.\n[{name}]\n");
    for arg in program.get_arguments() {
        let Some(long) = arg.get_long().filter(|long| !TYPED_ALONE.contains(long)) else { continue };
        let from = origin.of(arg);
        let beside = from.as_ref().map_or(String::new(), |from| format!("  # {from}"));
        if is_secret(long) {
            let from = from.or_else(|| (long == "key" && origin.key_of_environment).then(|| "$EYELINE_KEY".into()));
            if let Some(from) = from {
                let _ = writeln!(text, "# {long} is not shown: {from}");
            }
            continue;
        }
        let _ = match said(arg, matches) {
            Said::Nothing => Ok(()),
            Said::Hidden(why) => writeln!(text, "# {long} is not shown, {why}{beside}"),
            Said::Value(value) => writeln!(text, "{long} = {value}{beside}"),
        };
    }
    text
}

impl Origin<'_> {
    /// The place, where it is not the default.
    fn of(&self, arg: &Arg) -> Option<String> {
        let id = arg.get_id().as_str();
        let same = SAME.iter().filter(|(flag, _)| *flag == id).map(|(_, word)| *word);
        let mut sources = std::iter::once(id).chain(same).filter_map(|id| self.typed.value_source(id));
        let typed = sources.rfind(|source| *source != ValueSource::DefaultValue);
        match typed {
            Some(ValueSource::EnvVariable) => Some("the environment".into()),
            Some(_) => Some("the command line".into()),
            None => self.counted.iter().find(|(counted, _)| counted == arg.get_id()).map(|(_, place)| place.clone()),
        }
    }
}

enum Said {
    Nothing,
    Hidden(&'static str),
    Value(String),
}

fn said(arg: &Arg, matches: &ArgMatches) -> Said {
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => {
            return Said::Value((matches.get_flag(id) == matches!(arg.get_action(), ArgAction::SetTrue)).to_string());
        }
        ArgAction::Count => return Said::Value(matches.get_count(id).to_string()),
        _ => {}
    }
    let same = SAME.iter().filter(|(flag, _)| *flag == id).map(|(_, word)| *word);
    let all: Vec<&OsStr> = same.chain([id]).flat_map(|id| matches.get_raw(id).into_iter().flatten()).collect();
    if all.is_empty() {
        return Said::Nothing;
    }
    let Some(texts) = all.iter().map(|text| text.to_str()).collect::<Option<Vec<&str>>>() else {
        return Said::Hidden("as it is no UTF-8 text");
    };
    if texts.iter().any(|text| address::shown(Path::new(text)) != *text) {
        return Said::Hidden("as there is a password in it");
    }
    let values: Vec<String> = texts.into_iter().map(value).collect();
    if matches!(arg.get_action(), ArgAction::Append) {
        Said::Value(format!("[{}]", values.join(", ")))
    } else {
        Said::Value(values.concat())
    }
}

/// A number as it is, anything else as a text in quotes.
fn value(text: &str) -> String {
    if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) {
        return text.into();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
