//! The three programs: what was typed becomes a configuration, the configuration becomes a run, the run an exit code.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod args;
mod awaited;
mod call;
mod console;
mod dated;
mod devices;
mod doctor;
mod door;
mod doorman;
mod failure;
mod incoming;
mod kept;
mod last_will;
mod line_writer;
mod metrics;
mod neighbours;
mod notes;
mod own_picture;
mod pairs;
mod player;
mod presence;
mod recording;
mod recv;
#[cfg(feature = "relay")]
mod relay;
mod rendezvous;
mod run;
mod screen;
mod send;
mod snapshots;
mod spoken;
mod state;
mod stats;
pub mod status;
pub mod ticker;
#[cfg(feature = "web")]
mod web;
mod whereabouts;
mod windows;

use args::{Command, Common, Env, Log, Pairing};
use doctor::Needs;
use eyeline_proto::crypto::Code as PairingCode;
use failure::{Code, Failure};
use pairs::Pairs;
use status::ExitCode;
use std::io::IsTerminal as _;

/// `send`, from its command line to its exit code.
pub fn run_send() -> std::process::ExitCode {
    run("send", args::send::parse(std::env::args_os(), &Env::of_process()), |send| &mut send.common, send::run, Needs::of_send)
}

/// `call`, from its command line to its exit code.
pub fn run_call() -> std::process::ExitCode {
    run(
        "call",
        args::call::parse(std::env::args_os(), &Env::of_process()),
        |call| &mut call.send.common,
        call::run,
        Needs::of_call,
    )
}

/// `recv`, from its command line to its exit code.
pub fn run_recv() -> std::process::ExitCode {
    run(
        "recv",
        args::recv::parse(std::env::args_os(), &Env::of_process()),
        |recv| &mut recv.common,
        recv::run,
        |recv| Needs::of_showing(&recv.showing),
    )
}

fn run<Config>(
    program: &'static str,
    parsed: Result<Command<Config>, clap::Error>,
    common: fn(&mut Config) -> &mut Common,
    work: fn(&Config) -> Result<ExitCode, Failure>,
    needs: fn(&Config) -> Needs,
) -> std::process::ExitCode {
    let code = match parsed {
        Ok(Command::Run(mut config)) => {
            let needs = needs(&config);
            let common = common(&mut config);
            status::install(common.log);
            for warning in &common.warnings {
                tracing::warn!("{warning}");
            }
            if common.doctor {
                return doctor::run(&needs, common).into();
            }
            failure::conclude(ask_code(common).and_then(|()| hide_memory(common)).and_then(|()| work(&config)))
        }
        Ok(Command::List(log, json)) => list(program, log, json),
        Ok(Command::NewKey) => new_key(),
        Ok(Command::Forget(log, name)) => {
            status::install(log);
            failure::conclude(forget(&name))
        }
        Ok(Command::PrintConfig(text)) => stats::line(&text),
        Err(error) => usage(&error),
    };
    code.into()
}

/// The code that the other machine shows, where it is to be typed, or comes through a pipe: before anything is opened, so that
/// Ctrl-C ends it as ever.
fn ask_code(common: &mut Common) -> Result<(), Failure> {
    while common.pairing == Some(Pairing::Ask) {
        if std::io::stdin().is_terminal() {
            eprint!("the six digits that the other machine shows: ");
        }
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).code(ExitCode::Failed)?;
        if read == 0 {
            return Err(Failure::new(
                ExitCode::Usage,
                "no code came, so nobody is dialled: type it, or give it as --pair=CODE".to_string(),
            ));
        }
        match PairingCode::parse(&line) {
            Some(code) => common.pairing = Some(Pairing::With(code)),
            None => eprintln!("that is no code: it is six digits, like 493 027"),
        }
    }
    Ok(())
}

/// `--forget NAME`.
fn forget(name: &str) -> Result<ExitCode, Failure> {
    let failed = |sentence| Failure::new(ExitCode::Failed, sentence);
    let mut pairs = Pairs::read().map_err(failed)?;
    let forgotten = pairs.forget(name).code(ExitCode::Failed)?;
    match (forgotten, &pairs.names()[..]) {
        (0, []) => return Err(failed(format!("{name} is not known: no machine was paired with"))),
        (0, names) => return Err(failed(format!("{name} is not known; paired with: {}", names.join(", ")))),
        _ => tracing::info!("{name} is forgotten: it may be paired with again"),
    }
    Ok(ExitCode::Ok)
}

/// Where there is a key, no other process of this user may look into our memory from now on, and no core file is left: the key is
/// in both.
fn hide_memory(common: &Common) -> Result<(), Failure> {
    if common.key.is_some() || common.pairing.is_some() || !Pairs::read().is_ok_and(|pairs| pairs.is_empty()) {
        nix::sys::prctl::set_dumpable(false).code(ExitCode::Failed)?;
    }
    Ok(())
}

fn list(program: &str, log: Log, json: bool) -> ExitCode {
    status::install(log);
    devices::list(program, json)
}

fn new_key() -> ExitCode {
    let printed = stats::line(&spoken::key());
    if std::io::stdout().is_terminal() {
        eprintln!("read it to whoever is to join, and start both sides with --key and these words");
    }
    printed
}

/// Wrong usage, or the help and the version that were asked for.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that went away has seen enough.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok }
}
