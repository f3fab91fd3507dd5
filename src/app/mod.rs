//! The two programs: what was typed becomes a configuration, the configuration becomes a run, the run an exit code.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod args;
pub mod status;

use args::{Command, Env, Log};
use status::ExitCode;

/// `send`, from its command line to its exit code.
pub fn run_send() -> std::process::ExitCode {
    match args::send::parse(std::env::args_os(), &Env::of_process()) {
        Ok(Command::Run(config)) => {
            greet(config.common.log, &config.common.warnings);
            ExitCode::Failed.into()
        }
        Ok(Command::List(log)) => list(log).into(),
        Ok(Command::NewKey) => new_key().into(),
        Err(error) => usage(&error),
    }
}

/// `recv`, from its command line to its exit code.
pub fn run_recv() -> std::process::ExitCode {
    match args::recv::parse(std::env::args_os(), &Env::of_process()) {
        Ok(Command::Run(config)) => {
            greet(config.common.log, &config.common.warnings);
            ExitCode::Failed.into()
        }
        Ok(Command::List(log)) => list(log).into(),
        Ok(Command::NewKey) => new_key().into(),
        Err(error) => usage(&error),
    }
}

fn greet(log: Log, warnings: &[String]) {
    status::install(log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn list(log: Log) -> ExitCode {
    status::install(log);
    ExitCode::Failed
}

fn new_key() -> ExitCode {
    ExitCode::Failed
}

/// Wrong usage (2), or the help and the version that were asked for (0).
fn usage(error: &clap::Error) -> std::process::ExitCode {
    // A reader that went away has seen enough.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage.into() } else { ExitCode::Ok.into() }
}
