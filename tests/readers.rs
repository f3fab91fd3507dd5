//! Whoever reads what the programs print: it goes away, its disk is full, or it stands still.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;
#[path = "support/ticks.rs"]
mod ticks;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port, send};
use std::io::{PipeReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;
use ticks::Ticks;

const TEST: &str = "--test -s 320x240 -r 30";

/// The exit code and the errors of a program whose stdout leads there.
fn with_stdout(path: &str, args: &str, stdout: Stdio) -> (Option<i32>, Vec<String>) {
    let output = command(path, args).stdin(Stdio::null()).stdout(stdout).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said.lines().filter(|line| line.starts_with("error: ")).map(str::to_string).collect())
}

#[test]
fn a_reader_of_stdout_that_went_away_ends_the_program_in_order_and_a_full_disk_does_not() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let gone = || Stdio::from(std::io::pipe().unwrap().1);
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let receive = format!("--no-window --no-audio --host 127.0.0.1:{port}");
    assert_eq!(with_stdout(RECV, &format!("{receive} --stats json"), gone()), (Some(0), vec![]));
    assert_eq!(with_stdout(RECV, &format!("{receive} --output -"), gone()), (Some(0), vec![]));
    let waits = format!("{TEST} -p {} --stats json", free_port());
    let meets = format!("--no-window {waits}");
    assert_eq!(with_stdout(SEND, &waits, gone()), (Some(0), vec![]));
    assert_eq!(with_stdout(CALL, &meets, gone()), (Some(0), vec![]));
    let statistics = "error: cannot write the statistics to stdout: No space left on device (os error 28); send them elsewhere, or leave \
                      out --stats";
    assert_eq!(with_stdout(RECV, &format!("{receive} --stats json"), full()), (Some(1), vec![statistics.to_string()]));
    assert_eq!(with_stdout(SEND, &waits, full()), (Some(1), vec![statistics.to_string()]));
    assert_eq!(with_stdout(CALL, &meets, full()), (Some(1), vec![statistics.to_string()]));
    // The last line is the only one.
    assert_eq!(with_stdout(SEND, &format!("{waits} --duration 100ms"), full()), (Some(1), vec![statistics.to_string()]));
    let (code, errors) = with_stdout(RECV, &format!("{receive} --output -"), full());
    assert!(code == Some(1) && errors.len() == 1 && errors[0].contains("no space left for stdout"), "{code:?} {errors:?}");
}

#[test]
fn statistics_in_a_pipe_cut_short_by_the_shell_end_it_with_0() {
    let line = format!("{SEND} {TEST} -p {} --stats json | head -1; echo ${{PIPESTATUS[0]}}", free_port());
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with('{') && lines[1] == "0", "{said}");
}

#[test]
fn a_reader_of_the_statistics_that_went_away_ends_the_program_in_order() {
    let port = free_port();
    let stdin = std::process::Stdio::null;
    let mut send = Program::spawn(SEND, &format!("{TEST} -p {port} --stats json"), stdin(), program::Out::Raw);
    send.said("waiting on port");
    let mut recv =
        Program::spawn(RECV, &format!("--no-window --no-audio --stats json --host 127.0.0.1:{port}"), stdin(), program::Out::Raw);
    recv.said("is sending");
    drop(recv.stdout());
    assert_eq!(recv.ended(), 0);
    send.said("stopped watching");
    drop(send.stdout());
    assert_eq!(send.ended(), 0);
}

/// A pipe of which nobody reads, and that takes no byte more.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    writer.write_all(&vec![b' '; size as usize]).unwrap();
    (reader, writer.into())
}

#[test]
fn a_reader_of_the_statistics_that_stands_still_keeps_no_program_from_ending() {
    let mut seconds = send(&format!("{TEST} -p {} --stats json", free_port()));
    let meets = format!("--no-window {TEST}");
    let each = [(RECV, "--no-window --no-audio"), (SEND, TEST), (CALL, &meets)].into_iter();
    let ends = each.flat_map(|(path, args)| [(path, args, ""), (path, args, "--duration 3s")]);
    let programs: Vec<_> = ends
        .map(|(path, args, duration)| {
            let (reader, full) = full_pipe();
            let mut command = command(path, &format!("{args} -p {} --stats json {duration}", free_port()));
            command.stdout(full);
            let mut program = Program::launch(command, Stdio::null(), Out::Elsewhere);
            program.said("waiting on port");
            (program, duration.is_empty(), reader)
        })
        .collect();
    seconds.forget_stats();
    for _ in 0..3 {
        seconds.stats();
    }
    for (mut program, told, _reader) in programs {
        let ticks = Ticks::start();
        if told {
            program.signal(Signal::SIGTERM);
        }
        let code = program.ended();
        assert!(ticks.elapsed() < Duration::from_secs(2), "{:?}: {}", ticks.elapsed(), program.heard());
        // Nothing came within --duration.
        assert!(code == 0 || (code == 4 && !told), "{code}: {}", program.heard());
        program.said("lines of statistics were left out: whoever reads them stood still");
    }
}
