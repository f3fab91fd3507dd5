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
mod kept;
mod last_will;
mod line_writer;
mod metrics;
mod neighbours;
mod notes;
mod own_picture;
mod presence;
mod recording;
mod recv;
mod rendezvous;
mod run;
mod screen;
mod send;
mod snapshots;
mod state;
mod stats;
pub mod status;
pub mod ticker;
mod windows;

use args::{Command, Common, Env, Log};
use doctor::Needs;
use failure::{Code, Failure};
use status::ExitCode;

/// `send`, from its command line to its exit code.
pub fn run_send() -> std::process::ExitCode {
    run("send", args::send::parse(std::env::args_os(), &Env::of_process()), |send| &send.common, send::run, Needs::of_send)
}

/// `call`, from its command line to its exit code.
pub fn run_call() -> std::process::ExitCode {
    run("call", args::call::parse(std::env::args_os(), &Env::of_process()), |call| &call.send.common, call::run, Needs::of_call)
}

/// `recv`, from its command line to its exit code.
pub fn run_recv() -> std::process::ExitCode {
    run(
        "recv",
        args::recv::parse(std::env::args_os(), &Env::of_process()),
        |recv| &recv.common,
        recv::run,
        |recv| Needs::of_showing(&recv.showing),
    )
}

fn run<Config>(
    program: &'static str,
    parsed: Result<Command<Config>, clap::Error>,
    common: fn(&Config) -> &Common,
    work: fn(&Config) -> Result<ExitCode, Failure>,
    needs: fn(&Config) -> Needs,
) -> std::process::ExitCode {
    let code = match parsed {
        Ok(Command::Run(config)) => {
            let Common { log, warnings, .. } = common(&config);
            status::install(*log);
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            if common(&config).doctor {
                return doctor::run(&needs(&config), common(&config)).into();
            }
            failure::conclude(hide_memory(common(&config)).and_then(|()| work(&config)))
        }
        Ok(Command::List(log, json)) => list(program, log, json),
        Ok(Command::NewKey) => new_key(),
        Ok(Command::PrintConfig(text)) => stats::line(&text),
        Err(error) => usage(&error),
    };
    code.into()
}

/// Where there is a key, no other process of this user may look into our memory from now on, and no core file is left: the key is
/// in both.
fn hide_memory(common: &Common) -> Result<(), Failure> {
    if common.key.is_some() {
        nix::sys::prctl::set_dumpable(false).code(ExitCode::Failed)?;
    }
    Ok(())
}

fn list(program: &str, log: Log, json: bool) -> ExitCode {
    status::install(log);
    devices::list(program, json)
}

fn new_key() -> ExitCode {
    stats::line(&eyeline_proto::crypto::strong_passphrase())
}

/// Wrong usage, or the help and the version that were asked for.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that went away has seen enough.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok }
}
