//! What is made for those who ship Eyeline: `cargo run -p xtask -- pages` writes man pages and completions, `-- deb` a Debian
//! package.
//!
//! No part of the programs; it asks them what their flags are (`eyeline::app::args::commands`).

mod deb;
mod pages;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run -p xtask -- pages           writes man/*.1 and completions/* anew
       cargo run -p xtask -- deb [--debug]   builds the programs (--debug: as tests do) and packs them into target/package/";

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| ".".into(), Path::to_path_buf)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pages"] => pages::write(&root()),
        ["deb"] => deb::make(&root(), deb::Profile::Release),
        ["deb", "--debug"] => deb::make(&root(), deb::Profile::Debug),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
