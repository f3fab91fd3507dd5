//! The command line: text in, typed configuration out. The only place where what a user typed is judged.
//!
//! [`send::parse`], [`recv::parse`] and [`call::parse`] are pure but for reading a key file and the config file: what they need
//! of the process lies in [`Env`]. Wrong usage is a [`clap::Error`]: one message and a hint, exit code 2. What a user should
//! merely know is a warning in [`Common::warnings`], said once the log exists. Whether a device, film or host exists is found out
//! by those who open it.

pub mod call;
mod common;
mod config;
mod key;
#[cfg(test)]
mod keys_tests;
mod lens;
mod loose;
pub mod pattern;
pub mod recording;
pub mod recv;
pub mod relay;
pub mod rtp;
pub mod send;
pub mod showing;
pub mod units;
pub mod voice;
#[cfg(feature = "web")]
pub mod web;
pub mod window;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;

pub use call::Call;
use common::CommonFlags;
pub use common::{Common, Log, Pairing, Rendezvous, Verbosity};
pub use recording::Recording;
pub use recv::Recv;
pub use send::Send;
pub use units::Host;
#[cfg(feature = "web")]
pub use web::Web;

/// The port of all programs: UDP carries pictures, TCP of the same number sound and control.
pub const PORT: u16 = 9688;

/// What the command line is read against, beside the arguments themselves.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// `$EYELINE_KEY`.
    pub key: Option<OsString>,
    /// `$NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// stderr is shown to a person, by something that knows colours.
    pub stderr_is_terminal: bool,
    /// stdout is shown to a person.
    pub stdout_is_terminal: bool,
    /// A person types into stdin. It is not so of what a script starts with `&`, nor behind a pipe.
    pub stdin_is_terminal: bool,
    /// A person is there: types into stdin, or reads stderr.
    pub on_terminal: bool,
    /// Where the config file is, if anywhere.
    pub config: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`: what a service is given by its manager (systemd.exec(5)).
    pub credentials: Option<PathBuf>,
    /// The key that stands in the config file, where that is asked.
    pub config_key: Option<key::Key>,
    /// The flags, by their long names, that the config file alone says.
    pub of_config: Vec<String>,
}

impl Env {
    /// That of this process.
    pub fn of_process() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Env {
            key: std::env::var_os(key::VARIABLE),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            stderr_is_terminal: std::io::stderr().is_terminal() && !dumb,
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            on_terminal: std::io::stdin().is_terminal() || std::io::stderr().is_terminal(),
            config: config::place(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            config_key: None,
            of_config: Vec::new(),
        }
    }

    /// What is said of flags that were typed and have no use, each with why. A config file speaks to runs in which they have some.
    fn warnings<'a>(&'a self, idle: impl IntoIterator<Item = Idle> + 'a) -> impl Iterator<Item = String> + 'a {
        let typed = idle.into_iter().filter(|Idle(flag, _)| self.of_config.iter().all(|said| said != flag));
        typed.map(|Idle(flag, why)| format!("--{flag} has no effect: {why}"))
    }
}

/// What the user asked a program to do.
#[derive(Debug)]
pub enum Command<Config> {
    /// Its work.
    Run(Box<Config>),
    /// `--list`: print devices and their modes, as JSON or for people, then end.
    List(Log, bool),
    /// `--key new`: print a strong passphrase, then end.
    NewKey,
    /// `--forget`: the machine that is called so, then end.
    Forget(Log, String),
    /// `--print-config`: print this, then end.
    PrintConfig(String),
}

/// The long name of a flag that has no use beside the others, and why.
struct Idle(&'static str, &'static str);

/// Flags that are right one by one but not together: the kind and the sentence.
#[derive(Debug)]
struct Wrong(ErrorKind, String);

impl Wrong {
    fn conflict(sentence: impl Into<String>) -> Self {
        Wrong(ErrorKind::ArgumentConflict, sentence.into())
    }
}

/// Reads flags with clap, and the config file below them, then lets `resolve` make the configuration.
fn parse<Flags, Config>(
    args: impl IntoIterator<Item = OsString>,
    env: &Env,
    resolve: impl Fn(Flags, &Env) -> Result<Command<Config>, Wrong>,
) -> Result<Command<Config>, clap::Error>
where
    Flags: clap::Parser,
{
    let command = config::with_nothing(Flags::command());
    let judge = |args: &[OsString], key: Option<&key::Key>, of_config: &[&config::Setting]| {
        let matches = command.clone().try_get_matches_from(args)?;
        let flags = Flags::from_arg_matches(&matches)?;
        let of_config = of_config.iter().map(|setting| setting.flag.clone()).collect();
        let env = Env { config_key: key.cloned(), of_config, ..env.clone() };
        let asked = resolve(flags, &env).map_err(|Wrong(kind, sentence)| command.clone().error(kind, sentence))?;
        Ok((matches, asked))
    };
    let args = loose::with_code(args.into_iter().collect());
    if loose::are_words_of_a_key(&args) {
        return Err(command.clone().error(ErrorKind::ValueValidation, loose::WORDS));
    }
    let settled = config::settle(&command, &args, env, judge).map_err(|error| explain(error, &command, &args))?;
    Ok(settled.printed(&command, env).map_or(settled.asked, Command::PrintConfig))
}

/// What clap knows of the programs: their flags, and what is said of them.
pub fn commands() -> [clap::Command; 3] {
    [send::command(), recv::command(), call::command()]
}

/// An unknown flag may be one of the other program. Without this it would be proposed as a HOST, which never begins with a dash.
fn explain(mut error: clap::Error, ours: &clap::Command, args: &[OsString]) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    if let Some(sentence) = stray(&error, ours, args) {
        return ours.clone().error(ErrorKind::ValueValidation, sentence);
    }
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let mut programs = commands().into_iter()
        && let Some(theirs) = programs.find(|program| program.get_arguments().any(|arg| is_called(arg, flag)))
    {
        let (we, they) = (ours.get_name(), theirs.get_name());
        let cure = match (we, they, flag.as_str()) {
            ("call", _, "--preview") => "a call shows your own picture by itself, and v hides it".to_string(),
            ("call", ..) => format!("start {they} beside it, where that is wanted"),
            (_, "call", _) => "start `call`, which sends and receives".to_string(),
            _ => format!("give it to the `{they}` on the other machine"),
        };
        let sentence = format!("{flag} is a flag of {they}, and this is {we}: {cure}");
        return ours.clone().error(ErrorKind::UnknownArgument, sentence);
    }
    error.remove(ContextKind::Suggested);
    error
}

/// Words that are meant for a flag where a host would be; who is called so is named by `--host`.
const SWITCHES: [&str; 6] = ["on", "off", "true", "false", "yes", "no"];

/// What to write where such a word stands behind a flag that takes none, or only behind a `=`.
fn stray(error: &clap::Error, ours: &clap::Command, args: &[OsString]) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let word = context(ContextKind::InvalidValue).filter(|word| SWITCHES.contains(word))?;
    context(ContextKind::InvalidArg).filter(|arg| !arg.starts_with('-'))?;
    let takes_no_word = |arg: &&clap::Arg| !arg.get_action().takes_values() || arg.is_require_equals_set();
    let flag = |before: &str| ours.get_arguments().find(|arg| is_called(arg, before)).filter(takes_no_word);
    let arg = args.windows(2).filter(|two| two[1] == word).find_map(|two| flag(two[0].to_str()?))?;
    let name = arg.get_long()?;
    let told = |cure| format!("`{word}` is taken for a host here: {cure}, or name a host of that name by --host {word}");
    let meant = match (arg.get_action().takes_values(), word) {
        (true, "on" | "true" | "yes") => format!("--{name}=on"),
        (true, _) => format!("--{name}=off"),
        (false, "on" | "true" | "yes") => format!("--{name}"),
        (false, _) if config::TYPED_ALONE.contains(&name) => return Some(told(format!("leave --{name} out"))),
        (false, _) => format!("--{name}=false"),
    };
    Some(told(format!("write {meant}")))
}

/// Whether this is how a flag is written, long or short.
fn is_called(arg: &clap::Arg, text: &str) -> bool {
    let long = |name: &str| text.strip_prefix("--") == Some(name);
    let short = |letter: char| text.strip_prefix('-').is_some_and(|rest| rest.chars().eq([letter]));
    arg.get_long_and_visible_aliases().into_iter().flatten().any(long)
        || arg.get_short_and_visible_aliases().into_iter().flatten().any(short)
}

/// HOST without its flag. What is a file here is rather meant to be sent or written.
fn dial(text: &str) -> Result<units::HostText, String> {
    if text.contains('/') && !text.contains("://") || std::path::Path::new(text).is_file() {
        return Err("this is a file, and a host is wanted here: files are named by a flag, like --file or --output".into());
    }
    if SWITCHES.contains(&text) {
        return Err(format!("this is rather the value of a flag, and a host is wanted here: one of that name is --host {text}"));
    }
    units::host(text)
}

/// A file as the user names it; not empty, which is nearly always a variable of a script that was not set.
fn file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new()
        .try_map(|name| if name.is_empty() { Err("name a file, or leave the flag out") } else { Ok(PathBuf::from(name)) })
}

/// A device as the user names it; not empty.
fn device(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("name a device, or leave the flag out for the default; --list shows them".into()),
        which => Ok(which.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ticker;
    use super::*;
    use eyeline_proto::crypto::Psk;
    use std::time::Duration;

    fn common(line: &str) -> Common {
        common_in(line, &Env::default())
    }

    fn common_in(line: &str, env: &Env) -> Common {
        match send::parse(line.split_whitespace().map(OsString::from), env) {
            Ok(Command::Run(config)) => config.common,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        send::parse(line.split_whitespace().map(OsString::from), &Env::default()).unwrap_err().to_string()
    }

    fn dials(dial: Vec<Host>) -> Rendezvous {
        Rendezvous { wait: None, dial, relay: None }
    }

    #[test]
    fn without_a_host_it_waits_on_every_address() {
        let waits = |address: &str| Rendezvous { wait: Some(address.parse().unwrap()), dial: Vec::new(), relay: None };
        assert_eq!(common("send").rendezvous, waits("[::]:9688"));
        assert_eq!(common("send --bind 192.168.1.20 -p 5000").rendezvous, waits("192.168.1.20:5000"));
    }

    #[test]
    fn hosts_without_a_port_take_that_of_the_flag() {
        let host = |name: &str, port| Host { name: name.into(), port };
        let wanted = vec![host("lab", 5000), host("::1", 7), host("::1", 5000)];
        assert_eq!(common("send --host lab --host [::1]:7 --host ::1 -p 5000").rendezvous, dials(wanted));
    }

    #[test]
    fn a_host_is_taken_without_its_flag_too() {
        let host = |name: &str, port| Host { name: name.into(), port };
        assert_eq!(common("send 127.0.0.1").rendezvous, dials(vec![host("127.0.0.1", PORT)]));
        assert_eq!(common("send lab --host attic -p 7").rendezvous, dials(vec![host("lab", 7), host("attic", 7)]));
        assert!(refusal("send lab --host lab").contains("is given twice"));
        assert!(refusal("send lab --bind ::").contains("leave one of them out"));
    }

    #[test]
    fn a_host_given_twice_is_refused_however_it_is_written() {
        assert!(refusal("send --host lab --host lab:9688").contains("host lab:9688 is given twice"));
    }

    #[test]
    fn a_port_that_is_given_twice_is_refused_where_both_would_be_served_there() {
        let twice = [
            ("send --port 21100 --web 21100", "port 21100 is given twice, by --port and --web"),
            ("send --metrics 9688", "port 9688 is given twice, by --port and --metrics"),
            ("send --host lab --web 0.0.0.0:9690 --metrics 9690", "port 9690 is given twice, by --web and --metrics"),
        ];
        for (line, sentence) in twice {
            assert!(refusal(line).contains(sentence), "{line}: {}", refusal(line));
        }
        for line in [
            "send --host lab --web 9688",
            "send --bind 192.168.1.20 --web 9688",
            "send --bind 0.0.0.0 --web [::1]:9688",
            "send --web 9690 --metrics 192.168.1.20:9690",
        ] {
            assert!(common(line).web.is_some(), "{line}");
        }
    }

    #[test]
    fn a_certificate_makes_tls_anyway() {
        let lines = ["send --web 9690 --web-cert a --web-key b --web-tls", "send --web 9690 --web-cert a --web-key b"];
        let warned = lines.map(|line| common(line).warnings.iter().any(|warning| warning.starts_with("--web-tls has no effect")));
        assert_eq!(warned, [true, false]);
    }

    #[test]
    fn an_address_to_wait_on_is_refused_where_nobody_waits() {
        let error = refusal("send --host lab --bind ::");
        assert!(error.contains("--host <HOST>") && error.contains("--bind <ADDR>"), "{error}");
        let both = common("send --host lab --wait --bind 127.0.0.1 -p 7").rendezvous;
        assert_eq!(both.wait, Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!(both.dial.len(), 1);
    }

    #[test]
    fn verbosity_and_quiet_exclude_each_other() {
        let verbosity = |line| common(line).log.verbosity;
        assert_eq!([verbosity("send"), verbosity("send -v")], [Verbosity::Normal, Verbosity::Verbose]);
        assert_eq!([verbosity("send -vv"), verbosity("send --quiet")], [Verbosity::Debug, Verbosity::Quiet]);
        assert!(refusal("send -v --quiet").contains("cannot be used with"));
    }

    #[test]
    fn colour_is_for_terminals_unless_told_otherwise() {
        let color = |line, stderr_is_terminal, no_color| {
            common_in(line, &Env { stderr_is_terminal, no_color, ..Env::default() }).log.color
        };
        assert!(color("send", true, false));
        assert!(!color("send", false, false) && !color("send", true, true));
        assert!(color("send --color always", false, true));
        assert!(!color("send --color=never", true, false));
    }

    #[test]
    fn how_it_goes_is_said_in_place_to_a_person_who_asked_for_nothing_else_and_in_lines_to_a_file() {
        let style = |line, is_terminal| {
            let env = Env { stderr_is_terminal: is_terminal, stdin_is_terminal: is_terminal, ..Env::default() };
            common_in(line, &env).ticker
        };
        let on_terminal = ["send --test", "send --test --metrics 9100"].map(|line| style(line, true));
        assert_eq!(on_terminal, [ticker::Style::InPlace; 2]);
        let asked_otherwise = ["send -v", "send -vv", "send --quiet", "send --stats json"];
        assert_eq!(asked_otherwise.map(|line| style(line, true)), [ticker::Style::Off; 4]);
        let behind_a_pipe = Env { stderr_is_terminal: true, ..Env::default() };
        assert_eq!(common_in("send --file -", &behind_a_pipe).ticker, ticker::Style::Off);
        assert_eq!(["send -v", "send -vv"].map(|line| style(line, false)), [ticker::Style::Lines; 2]);
        assert_eq!(["send", "send --stats json"].map(|line| style(line, false)), [ticker::Style::Off; 2]);
    }

    #[test]
    fn the_key_of_the_environment_is_used_and_a_flag_goes_before_it() {
        let env = Env { key: Some("from the environment".into()), ..Env::default() };
        assert_eq!(common_in("send", &env).key, Some(Psk::derive("from the environment").unwrap()));
        assert_eq!(common_in("send --key from-the-flag", &env).key, Some(Psk::derive("from-the-flag").unwrap()));
        let empty = Env { key: Some("".into()), ..Env::default() };
        let error = send::parse(["send".into()], &empty).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("$EYELINE_KEY is empty"), "{error}");
    }

    #[test]
    fn only_one_place_of_a_key_may_be_named() {
        assert!(refusal("send --key a --key-file b").contains("cannot be used with"));
    }

    #[test]
    fn a_key_is_known_to_be_typed_where_a_flag_says_it() {
        assert!(common("send --key from-the-flag").key_typed && !common("send").key_typed);
        let env = Env { key: Some("from the environment".into()), ..Env::default() };
        assert!(!common_in("send", &env).key_typed);
    }

    #[test]
    fn listing_and_a_new_key_are_commands_of_their_own() {
        let parse = |line: &str| send::parse(line.split(' ').map(OsString::from), &Env::default()).unwrap();
        assert!(matches!(parse("send --list -v"), Command::List(Log { verbosity: Verbosity::Verbose, .. }, false)));
        assert!(matches!(parse("send --list --stats json"), Command::List(_, true)));
        assert!(matches!(parse("send --key new"), Command::NewKey));
    }

    #[test]
    fn running_time_reconnecting_and_statistics_are_read() {
        let common = common("send --duration 1m --no-reconnect --stats json");
        assert_eq!((common.duration, common.reconnect, common.stats_json), (Some(Duration::from_secs(60)), false, true));
        assert!(refusal("send --stats xml").contains("possible values: json"));
    }

    #[test]
    fn wrong_usage_names_the_flag_the_reason_and_a_way_out() {
        let error = refusal("send --size huge");
        assert!(error.contains("'huge' for '--size <WxH>': write a size like 1280x720"), "{error}");
        assert!(error.contains("--help"), "{error}");
        assert!(refusal("send --prot 5").contains("a similar argument exists: '--port'"));
        assert!(refusal("send --host lab --host lab").contains("try '--help'"));
        assert!(!refusal("send --frobnicate").contains("-- --frobnicate"), "no host is called so");
    }

    #[test]
    fn a_word_that_is_meant_for_a_flag_is_no_host_and_is_told_how_it_is_said() {
        let cases = [
            ("send --keep-fps on", "write --keep-fps=on,"),
            ("send --name on --keep-fps off", "write --keep-fps=off,"),
            ("send lab --mirror off", "write --mirror=false,"),
            ("send --preview yes", "write --preview,"),
            ("send -v no", "write --verbose=false,"),
            ("send lab on", "one of that name is --host on"),
        ];
        for (line, meant) in cases {
            assert!(refusal(line).contains(meant), "{}", refusal(line));
        }
        assert_eq!(common("send --host on --name off").rendezvous, dials(vec![Host { name: "on".into(), port: PORT }]));
    }

    #[test]
    fn what_has_no_use_beside_other_flags_is_said_with_why() {
        let warnings = |line: &str| {
            let (words, env) = (line.split_whitespace().map(OsString::from), Env::default());
            let common = match line.split(' ').next() {
                Some("send") => match send::parse(words, &env) {
                    Ok(Command::Run(send)) => send.common,
                    other => panic!("{other:?}"),
                },
                Some("recv") => match recv::parse(words, &env) {
                    Ok(Command::Run(recv)) => recv.common,
                    other => panic!("{other:?}"),
                },
                _ => match call::parse(words, &env) {
                    Ok(Command::Run(call)) => call.send.common,
                    other => panic!("{other:?}"),
                },
            };
            common.warnings
        };
        let window = "--title a --geometry 640x480 --always-on-top --borderless";
        let flags = ["title", "geometry", "always-on-top", "borderless"];
        let all = |why: &str| flags.map(|flag| format!("--{flag} has no effect: {why}")).to_vec();
        assert_eq!(warnings(&format!("send {window}")), all("without --preview there is no window"));
        for program in ["recv", "call"] {
            assert_eq!(warnings(&format!("{program} {window} --no-window")), all("with --no-window there is no window"));
            assert_eq!(warnings(&format!("{program} {window} --record-split 1h --record-last 30s")), [""; 0]);
        }
        let split = "--record-split has no effect: nothing is recorded without --record FILE.mkv, or r in a window";
        let last = "--record-last has no effect: the last seconds are written by R in a window, and there is none";
        for program in ["send", "recv --no-window", "call --no-window"] {
            assert_eq!(warnings(&format!("{program} --record-split 1h --record-last 30s")), [split, last], "{program}");
            assert_eq!(warnings(&format!("{program} --record a.mkv --record-split 1h")), [""; 0], "{program}");
        }
        assert_eq!(warnings(&format!("send --preview {window} --record-last 30s")), [""; 0]);
        let overwrite = "--overwrite has no effect: nothing is written without --output or --audio-output";
        assert_eq!(warnings("recv --overwrite"), [overwrite]);
        assert_eq!(warnings("recv --overwrite --audio-output a.wav"), [""; 0]);
    }

    #[test]
    fn a_flag_of_the_other_program_is_told_apart_from_one_that_is_unknown() {
        let recv = |line: &str| match recv::parse(line.split(' ').map(OsString::from), &Env::default()) {
            Err(error) => error,
            Ok(command) => panic!("{line}: {command:?}"),
        };
        for flag in ["--test", "--camera 0", "--camera=0", "--resolution 720p", "-s 720p", "-q50", "--preview"] {
            let error = recv(&format!("recv {flag}"));
            let told = error.to_string();
            assert!(told.contains(" is a flag of send, and this is recv") && !told.contains("tip"), "{told}");
            assert_eq!(error.exit_code(), 2);
        }
        for flag in ["--output a.y4m", "--latency=80ms", "-f", "--fullscreen", "--no-window", "--speaker 1"] {
            let told = refusal(&format!("send {flag}"));
            assert!(told.contains(" is a flag of recv, and this is send: give it to the `recv` on the other machine"), "{told}");
        }
        let told = recv("recv --chat").to_string();
        assert!(told.contains("--chat is a flag of call, and this is recv: start `call`"), "{told}");
        let call = |line: &str| match call::parse(line.split(' ').map(OsString::from), &Env::default()) {
            Err(error) => error.to_string(),
            Ok(command) => panic!("{line}: {command:?}"),
        };
        assert!(call("call --preview").contains("a call shows your own picture by itself"));
        assert!(call("call --output a.y4m").contains("this is call: start recv beside it"));
    }
}
