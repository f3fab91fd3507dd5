//! What a sender costs that nobody watches, what a still and a short loop cost, and what each further receiver costs.

use crate::clock::{now_us, sleep_until};
use crate::options::Options;
use crate::play::free_port;
use crate::rig::{self, Launch, Running, Scratch};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn launch(command: Command, name: &str, scratch: &Scratch, stdout: Stdio) -> Result<Running, String> {
    let mut command = command;
    command.stdin(Stdio::null()).stdout(stdout);
    Launch { command, name, cores: None, network: None }.start(&scratch.0)
}

fn sleep_ms(ms: u64) {
    sleep_until(now_us() + ms * 1000);
}

fn send(options: &Options, port: u16) -> Command {
    let mut command = Command::new(options.programs.join("send"));
    let case = options.cases[0];
    command.args(["--test", "--no-audio", "--quiet", "--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--size", &format!("{}x{}", case.width, case.height), "--fps", &case.fps.to_string()]);
    command
}

fn recv(options: &Options, port: u16) -> Command {
    let mut command = Command::new(options.programs.join("recv"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--no-audio", "--no-window", "--quiet", "--stats", "json"]);
    command
}

/// Prints the share of a core an unwatched sender uses, and the time from a receiver's start to its first picture.
pub fn idle(options: &Options) -> Result<(), String> {
    rig::own_network();
    let scratch = Scratch::new()?;
    let port = free_port()?;
    let sender = launch(send(options, port), "send", &scratch, Stdio::null())?;
    sleep_ms(2000);
    let before = (now_us(), sender.cpu_ms());
    sleep_ms((options.seconds * 1000.0) as u64);
    let share = (sender.cpu_ms() - before.1) / ((now_us() - before.0) as f64 / 1000.0);
    println!(
        "a sender nobody watches uses {:.3} % of a core (wanted: less than 1 %), {:.0} MiB",
        share * 100.0,
        sender.peak_mib()
    );

    let mut first = Vec::new();
    for _ in 0..5 {
        let begun = now_us();
        let mut command = Command::new(options.programs.join("recv"));
        command.args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--no-audio",
            "--no-window",
            "--quiet",
            "--output",
            "-",
        ]);
        let mut receiver = launch(command, "recv", &scratch, Stdio::piped())?;
        let mut reader = BufReader::new(receiver.stdout().ok_or("recv has no stdout")?);
        let mut line = Vec::new();
        // The y4m header and the first FRAME.
        for _ in 0..2 {
            reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        }
        if line.is_empty() {
            return Err(format!("no picture came: {}", receiver.words()));
        }
        first.push((now_us() - begun) as f64 / 1000.0);
        drop(receiver);
        sleep_ms(500);
    }
    let worst = first.iter().copied().fold(0.0, f64::max);
    println!(
        "from a receiver's start to its first picture written: {first:.0?} ms, at most {worst:.0} (wanted: less than 300 ms)"
    );
    drop(sender);
    loops(options)
}

/// The share of a core that a program uses from now on, with those it runs.
fn share(sender: &Running, options: &Options) -> f64 {
    let before = (now_us(), sender.cpu_ms_with_children());
    sleep_ms((options.seconds * 1000.0) as u64);
    (sender.cpu_ms_with_children() - before.1) / ((now_us() - before.0) as f64 / 1000.0)
}

/// Prints what a still and a film of two seconds cost that are sent over and over, while nobody watches and while somebody does;
/// and beside it what the test picture costs, of which each is another.
fn loops(options: &Options) -> Result<(), String> {
    let (scratch, case) = (Scratch::new()?, options.cases[0]);
    let source = format!("testsrc2=size={}x{}:rate={}", case.width, case.height, case.fps);
    for (what, file, words) in [
        ("a still", "still.png", "-frames:v 1"),
        ("a film of 2 s", "film.mp4", "-t 2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
        ("the test picture", "", ""),
    ] {
        let port = free_port()?;
        let mut command = send(options, port);
        if !file.is_empty() {
            let path = scratch.0.join(file);
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg
                .args(["-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", &source])
                .args(words.split_whitespace())
                .arg(&path);
            if !ffmpeg.status().map_err(|e| format!("ffmpeg: {e}"))?.success() {
                return Err(format!("ffmpeg made no {file}"));
            }
            command = Command::new(options.programs.join("send"));
            command.args(["--no-audio", "--quiet", "--bind", "127.0.0.1", "--port", &port.to_string(), "--loop", "--file"]);
            command.arg(path);
        }
        let sender = launch(command, "send-loop", &scratch, Stdio::null())?;
        sleep_ms(2000);
        let unwatched = share(&sender, options);
        let mut receiver = launch(recv(options, port), "recv-loop", &scratch, Stdio::null())?;
        sleep_ms(2000);
        let watched = share(&sender, options);
        if !receiver.is_alive() {
            return Err(format!("recv has ended: {}", receiver.words()));
        }
        let wanted = if file == "still.png" { " (wanted: less than 5 % of a core)" } else { "" };
        println!(
            "{what} ({case}), over and over: send uses {:.2} % of a core unwatched, {:.2} % watched{wanted}",
            unwatched * 100.0,
            watched * 100.0
        );
    }
    Ok(())
}

/// Prints the sender's CPU a picture with one receiver and with `number`.
pub fn receivers(number: usize, options: &Options) -> Result<(), String> {
    rig::own_network();
    let scratch = Scratch::new()?;
    let port = free_port()?;
    let case = options.cases[0];
    let sender = launch(send(options, port), "send", &scratch, Stdio::null())?;
    sleep_ms(500);
    let pictures = options.seconds * case.fps as f64;
    let cost = |sender: &Running| {
        let before = sender.cpu_ms();
        sleep_ms((options.seconds * 1000.0) as u64);
        (sender.cpu_ms() - before) / pictures
    };
    // One that decodes; the others take the pictures as they come, as cheaply as a receiver can.
    let _first = launch(recv(options, port), "recv-0", &scratch, Stdio::null())?;
    sleep_ms(2000);
    let one = cost(&sender);
    let mut others = Vec::new();
    for index in 1..number {
        let mut command = recv(options, port);
        command.args(["--output", &scratch.0.join("null.mjpeg").display().to_string()]);
        let _ = std::os::unix::fs::symlink("/dev/null", scratch.0.join("null.mjpeg"));
        others.push(launch(command, &format!("recv-{index}"), &scratch, Stdio::null())?);
    }
    sleep_ms(4000);
    let many = cost(&sender);
    let each = (many - one) / (number - 1).max(1) as f64;
    println!(
        "{case}: send uses {one:.2} ms a picture for 1 receiver, {many:.2} ms for {number}: {each:.3} ms for each further one (wanted: at most 0.2)"
    );
    let alive = others.iter_mut().filter_map(|receiver| receiver.is_alive().then_some(())).count() + 1;
    println!("{alive} of {number} receivers still run");
    Ok(())
}
