//! What all programs are told: their common flags, and what these mean together.

use super::super::ticker;
use super::recording::Destination;
use super::{Command, Env, Host, Idle, Recording, Wrong, file, key, recording, units};
use clap::error::ErrorKind;
use eyeline_proto::crypto::{Code, Psk};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `--quiet`: errors only.
    Quiet,
    /// What a user wants to know.
    Normal,
    /// `-v`: also how things are decided, with the time since the start.
    Verbose,
    /// `-vv`: everything.
    Debug,
}

/// How lines on stderr look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub verbosity: Verbosity,
    /// Whether warnings and errors are coloured.
    pub color: bool,
}

/// How programs find each other: by at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// Wait on this address, UDP and TCP.
    pub wait: Option<SocketAddr>,
    /// HOST or `--host`: dial these.
    pub dial: Vec<Host>,
    /// `--relay`: meet others in a room there.
    pub relay: Option<super::relay::Relay>,
}

impl Rendezvous {
    /// Where anybody else than this very program may come to.
    pub fn waits_for_others(&self) -> Option<SocketAddr> {
        self.wait.filter(|at| self.relay.is_none() || at.port() != 0)
    }
}

/// `--pair`: a machine is paired with by a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pairing {
    /// We wait, and show one.
    Invite,
    /// We dial, and it is to be asked for.
    Ask,
    /// We dial, and it was typed.
    With(Code),
}

/// What all programs are told.
#[derive(Debug, Clone)]
pub struct Common {
    /// Who dials and who waits.
    pub rendezvous: Rendezvous,
    /// Dial or wait again when the peer is gone.
    pub reconnect: bool,
    /// End by itself after this time.
    pub duration: Option<Duration>,
    /// `--name`: what others call us; else this machine's name.
    pub name: Option<String>,
    /// Say on this network that somebody waits, and list who else does; else `--no-announce`.
    pub announce: bool,
    /// At a meeting, send to others directly where they can be reached, and let them know where we are; else `--no-direct`.
    pub direct: bool,
    /// A person types on a terminal that nobody else reads: digits there choose who is dialled.
    pub typed_digits: bool,
    /// `--stats json`: one object a second on stdout.
    pub stats_json: bool,
    /// `--doctor`: look at the machine instead.
    pub doctor: bool,
    /// `--record` and what belongs to it.
    pub recording: Recording,
    /// `--metrics`: where they are served over HTTP.
    pub metrics: Option<SocketAddr>,
    /// `--web` and what belongs to it.
    #[cfg(feature = "web")]
    pub web: Option<super::Web>,
    /// `--rtp`: the player that it goes to.
    pub rtp: Option<super::rtp::Rtp>,
    /// A person reads what is said.
    pub on_terminal: bool,
    /// How it is said at a terminal how it goes.
    pub ticker: ticker::Style,
    /// What both sides must have, if there is a key. The passphrase it was made of is not kept.
    pub key: Option<Psk>,
    /// It was typed on the command line: it goes before the key of a machine that was paired with.
    pub key_typed: bool,
    /// Whether another machine is to be paired with.
    pub pairing: Option<Pairing>,
    /// `--only-paired`: nobody else is let in.
    pub only_paired: bool,
    /// How to speak to the user.
    pub log: Log,
    /// To be said once the log exists.
    pub warnings: Vec<String>,
}

impl Common {
    /// Another program writes to the same terminal, or somebody types there: no line stays in its place.
    pub(super) fn shares_terminal(&mut self) {
        if self.ticker == ticker::Style::InPlace {
            self.ticker = ticker::Style::Off;
        }
        self.typed_digits = false;
    }
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "All programs")]
pub(super) struct CommonFlags {
    /// Port: UDP for pictures, TCP for sound and control
    #[arg(short, long, value_name = "PORT", default_value_t = super::PORT, value_parser = units::port, help_heading = "Connection")]
    port: u16,

    /// Wait as well, where --host dials
    #[arg(long, help_heading = "Connection")]
    wait: bool,

    /// Address of this machine to wait on; the default is every one
    #[arg(long, value_name = "ADDR", value_parser = units::address, help_heading = "Connection")]
    bind: Option<IpAddr>,

    /// End when the peer is gone (exit 4); do not dial or wait again
    #[arg(long, help_heading = "Connection")]
    no_reconnect: bool,

    /// Admit only who has this key too; `--key new` prints a strong one
    #[arg(long, value_name = "KEY", conflicts_with = "key_file", help_heading = "Connection")]
    key: Option<String>,

    /// Take the key from the first line of FILE; without it $EYELINE_KEY is used
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "Connection")]
    key_file: Option<PathBuf>,

    /// Pair two machines, once: who waits shows six digits, who dials types them, or gives them as --pair=CODE; from then on the
    /// two know each other without it
    #[arg(long, value_name = "CODE", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Connection")]
    pair: Option<String>,

    /// Let in only machines that were paired with, and whoever has --key
    #[arg(long, help_heading = "Connection")]
    only_paired: bool,

    /// Forget the machine that was paired with under this name, then end
    #[arg(long, value_name = "NAME", value_parser = units::forgotten, help_heading = "Connection")]
    forget: Option<String>,

    /// What others see you called [default: this machine's name]
    #[arg(long, value_name = "NAME", value_parser = units::name, help_heading = "Connection")]
    name: Option<String>,

    /// Do not say on this network that this program waits, nor list who else does; `--host NAME` finds others all the same
    #[arg(long, help_heading = "Connection")]
    no_announce: bool,

    /// At a meeting, send and receive by way of the meeting point alone: it tells nobody else where this machine is
    #[arg(long, help_heading = "Connection")]
    no_direct: bool,

    /// List cameras with their modes and what can be set, monitors, microphones and speakers (recv and call: and who waits on
    /// this network), then end; as JSON with `--stats json`
    #[arg(long)]
    list: bool,

    /// Say what of this machine, and of the way to --host, is wrong, and what mends it, then end: 0 if nothing is, else 1; as JSON
    /// with `--stats json`
    #[arg(long)]
    doctor: bool,

    /// End after this time, like 10s or 2m
    #[arg(long, value_name = "DUR", value_parser = units::running_time)]
    duration: Option<Duration>,

    /// Print measurements on stdout; json is one object a second, and one of totals at the end
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    stats: Option<StatsFormat>,

    #[command(flatten)]
    recording: recording::RecordingFlags,
    /// Serve measurements to Prometheus, at http://ADDR:PORT/metrics; without ADDR to this machine alone
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = units::served_at)]
    metrics: Option<SocketAddr>,

    #[command(flatten)]
    rtp: super::rtp::RtpFlags,
    #[command(flatten)]
    relay: super::relay::RelayFlags,
    #[cfg(feature = "web")]
    #[command(flatten)]
    web: super::web::WebFlags,
    /// Say more on stderr; -vv says everything
    #[arg(short, long, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Say only what went wrong
    #[arg(long)]
    quiet: bool,

    /// Colour warnings and errors: auto, always or never; $NO_COLOR is heeded
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: ColorWhen,

    /// Print what counts of command line, environment and config file, as such a file, then end; without keys
    #[arg(long)]
    print_config: bool,

    /// Leave out the config file, ~/.config/eyeline/config.toml; `--FLAG=false` leaves out one flag that it switches on
    #[arg(long)]
    no_config: bool,

    /// Print this help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum StatsFormat {
    /// One object a line.
    Json,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl CommonFlags {
    fn log(&self, env: &Env) -> Log {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Debug,
        };
        let color = match self.color {
            ColorWhen::Auto => env.stderr_is_terminal && !env.no_color,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        };
        Log { verbosity, color }
    }

    /// One line where a person looks on and has asked for nothing else; with `-v`, where words go to a file, one now and then.
    fn ticker(&self, env: &Env) -> ticker::Style {
        match self.log(env).verbosity {
            Verbosity::Normal if env.stderr_is_terminal && env.stdin_is_terminal && self.stats.is_none() => {
                ticker::Style::InPlace
            }
            Verbosity::Verbose | Verbosity::Debug if !env.stderr_is_terminal => ticker::Style::Lines,
            _ => ticker::Style::Off,
        }
    }

    /// Statistics go to stdout.
    pub(super) fn prints_statistics(&self) -> bool {
        self.stats.is_some()
    }

    /// Those that have no use, beside a window or without one.
    pub(super) fn idle(&self, has_window: bool) -> impl Iterator<Item = Idle> + use<> {
        #[cfg(feature = "web")]
        let page = self.web.idle();
        #[cfg(not(feature = "web"))]
        let page = std::iter::empty();
        self.recording.idle(has_window).chain(page).chain(self.rtp.idle()).chain(self.relay.idle())
    }

    /// What is recorded goes to stdout.
    pub(super) fn records_to_stdout(&self) -> bool {
        self.recording.wants_stdout()
    }

    /// What was asked when it is not the program's work.
    pub(super) fn aside<Config>(&self, env: &Env) -> Option<Command<Config>> {
        if self.list {
            Some(Command::List(self.log(env), self.stats.is_some()))
        } else if self.key.as_deref() == Some("new") {
            Some(Command::NewKey)
        } else {
            self.forget.as_ref().map(|name| Command::Forget(self.log(env), name.clone()))
        }
    }

    pub(super) fn resolve(self, hosts: Vec<units::HostText>, env: &Env, mut warnings: Vec<String>) -> Result<Common, Wrong> {
        let log = self.log(env);
        let mut dial: Vec<Host> = Vec::with_capacity(hosts.len());
        for text in hosts {
            let host = Host { name: text.name, port: text.port.unwrap_or(self.port) };
            if dial.contains(&host) {
                return Err(Wrong::conflict(format!("host {host} is given twice: leave one out")));
            }
            dial.push(host);
        }
        let waits = self.wait || dial.is_empty();
        if self.bind.is_some() && !waits {
            let sentence =
                "--bind <ADDR> says where to wait, and --host <HOST> dials: leave one of them out, or say --wait to do both";
            return Err(Wrong::conflict(sentence));
        }
        // Those of a relay's room come to us in this machine; nobody else does, unless that is said.
        let by_relay_alone = self.relay.is_given() && !self.wait && self.bind.is_none();
        let wait = match by_relay_alone {
            true => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            false => waits.then(|| SocketAddr::new(self.bind.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), self.port)),
        };
        let mut rendezvous = Rendezvous { wait, dial, relay: None };
        let pairing = self.pair.as_deref().map(|typed| pairing(typed, &rendezvous)).transpose()?;
        // At last: what is wrong with other flags is told without it, and a key file may be a pipe, which is read once.
        let of_config = |flag: &str| env.of_config.iter().any(|said| said == flag);
        let key_typed = self.key.is_some() || self.key_file.is_some() && !of_config("key-file");
        let (flag, file, variable) = (self.key.as_deref(), self.key_file.as_deref(), env.key.as_deref());
        let (config, credentials) = (env.config_key.as_ref(), env.credentials.as_deref());
        let from = key::Sources { flag, file, variable, config, credentials };
        let key = key::find(from, &mut warnings).map_err(|sentence| Wrong(ErrorKind::ValueValidation, sentence))?;
        let key = key.map(|key| Psk::derive(key.expose())).transpose();
        let key = key.map_err(|error| Wrong(ErrorKind::ValueValidation, error.to_string()))?;
        let (reconnect, duration, ticker) = (!self.no_reconnect, self.duration, self.ticker(env));
        let (stats_json, metrics) = (self.stats.is_some(), self.metrics);
        let recording = self.recording.resolve(env, stats_json)?;
        #[cfg(feature = "web")]
        let web = self.web.resolve()?;
        #[cfg(feature = "web")]
        let page = web.as_ref().map(|web| web.at);
        #[cfg(not(feature = "web"))]
        let page = None;
        each_has_a_port([("--port", rendezvous.wait), ("--web", page), ("--metrics", metrics)])?;
        let rtp = self.rtp.resolve()?;
        rendezvous.relay = self.relay.resolve(key.is_some())?;
        let on_terminal = env.stderr_is_terminal && log.verbosity > Verbosity::Quiet;
        let (name, doctor, only_paired) = (self.name, self.doctor, self.only_paired);
        let (announce, direct) = (!self.no_announce && !by_relay_alone, !self.no_direct);
        let typed_digits =
            env.stdin_is_terminal && env.stdout_is_terminal && env.stderr_is_terminal && log.verbosity > Verbosity::Quiet;
        let to_stdout = recording.file == Some(Destination::Stdout);
        let mut common = Common {
            rendezvous,
            reconnect,
            duration,
            name,
            announce,
            direct,
            typed_digits,
            stats_json,
            doctor,
            recording,
            metrics,
            #[cfg(feature = "web")]
            web,
            rtp,
            on_terminal,
            ticker,
            key,
            key_typed,
            pairing,
            only_paired,
            log,
            warnings,
        };
        if to_stdout {
            common.shares_terminal();
        }
        Ok(common)
    }
}

/// No two of these are served at one port of one address, where there would be room for one.
fn each_has_a_port(served: [(&str, Option<SocketAddr>); 3]) -> Result<(), Wrong> {
    let served: Vec<_> = served.into_iter().filter_map(|(flag, at)| Some((flag, at.filter(|at| at.port() != 0)?))).collect();
    // One socket of every IPv6 address is one of every IPv4 address, too.
    let covers = |one: IpAddr, other: IpAddr| one == other || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    for (place, (flag, at)) in served.iter().enumerate() {
        let meets = |to: &SocketAddr| covers(at.ip(), to.ip()) || covers(to.ip(), at.ip());
        if let Some((other, _)) = served[place + 1..].iter().find(|(_, to)| at.port() == to.port() && meets(to)) {
            let sentence = format!("port {} is given twice, by {flag} and {other}: give one of them another", at.port());
            return Err(Wrong::conflict(sentence));
        }
    }
    Ok(())
}

/// What `--pair` means to who waits there, or dials.
fn pairing(typed: &str, rendezvous: &Rendezvous) -> Result<Pairing, Wrong> {
    let (dials, code) = (!rendezvous.dial.is_empty(), Code::parse(typed));
    match (typed, dials) {
        ("", false) => Ok(Pairing::Invite),
        ("", true) => Ok(Pairing::Ask),
        (_, false) => {
            Err(Wrong::conflict("--pair=CODE is for who dials: who waits is started with --pair alone, and shows the code"))
        }
        (_, true) => {
            let wrong = || Wrong(ErrorKind::ValueValidation, format!("--pair={typed} is no code: it is six digits, like 493027"));
            code.map(Pairing::With).ok_or_else(wrong)
        }
    }
}
