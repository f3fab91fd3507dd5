//! The page for browsers in numbers: how late a picture is in a real one, beside multipart as everybody writes it, on this machine and
//! over a link that is too narrow for what is sent.
//!
//! All are fed with the same JPEGs, as a camera gives them, which say when they were taken. A picture counts as shown in the first
//! frame of the browser (`requestAnimationFrame`) in which its code can be read off the page's canvas or image. Frames come 60 times a second,
//! and what the compositor takes is in nobody's figures.

mod browser;

use crate::clock::{now_us, sleep_until};
use crate::code;
use crate::glass::LOOP;
use crate::impair::{Conditions, Queue};
use crate::options::{Case, Options};
use crate::play::{free_port, wait_for};
use crate::rig::{self, Launch, Running, Scratch};
use crate::scene::{self, Probes, Shape};
use crate::screen::Barcoded;
use crate::source::{self, Format};
use crate::stats::{Figures, Log, Shown, quantile};
use crate::tun::{Cable, Side};
use browser::Browser;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What is played where nothing else is asked for.
const USUAL: Case = Case { width: 1280, height: 720, fps: 30 };

/// From the first picture until it counts.
const SETTLE_US: u64 = 3_000_000;

/// At most so late is a picture on this machine: p50 and p99, ms.
const WANTED: [f64; 2] = [25.0, 60.0];

/// At most so late over the narrow link, of what multipart is.
const WANTED_OF_MULTIPART: f64 = 0.4;

/// Bits a second of the narrow link.
const NARROW: u64 = 10_000_000;

/// What the page must know.
const TOKEN: &str = "a-secret-of-the-bench";

/// How pictures come into the browser.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Eyeline's page.
    Page,
    /// An image of Eyeline's /stream.mjpeg.
    Stream,
    /// An image of a server as everybody writes it.
    Everybody,
}

impl Way {
    const ALL: [Way; 3] = [Way::Page, Way::Stream, Way::Everybody];

    fn title(self) -> &'static str {
        match self {
            Way::Page => "Eyeline's page",
            Way::Stream => "Eyeline's /stream.mjpeg",
            Way::Everybody => "multipart as everybody writes it",
        }
    }

    fn program(self, options: &Options, port: u16, web: u16) -> Command {
        if self == Way::Everybody {
            let mut command = Command::new("python3");
            command.arg(options.scripts.join("multipart.py")).args(["0.0.0.0", &web.to_string()]);
            return command;
        }
        let mut command = Command::new(options.programs.join("send"));
        command.args(["--no-audio", "--file", "-", "--port", &port.to_string()]);
        command.args(["--web", &format!("0.0.0.0:{web}"), "--web-token", TOKEN]);
        command
    }

    /// Makes the browser show it and look at it.
    fn show(self, browser: &Browser, host: &str) -> Result<(), String> {
        let source = match self {
            Way::Page => {
                browser.open(&format!("http://{host}/#{TOKEN}"))?;
                "() => document.querySelector('figure canvas')".to_string()
            }
            // Any page of the same host may have the image in it; one that is not there has nothing else.
            Way::Stream | Way::Everybody => {
                browser.open(&format!("http://{host}/nothing"))?;
                browser.value(
                    "new Promise((done) => document.body ? done() : addEventListener('DOMContentLoaded', () => done()))",
                )?;
                let query = if self == Way::Stream { format!("?token={TOKEN}") } else { String::new() };
                browser.value(&format!("document.body.append(Object.assign(new Image(), {{ src: '/stream.mjpeg{query}' }}))"))?;
                "() => document.querySelector('img')".to_string()
            }
        };
        browser.value(include_str!("web/meter.js"))?;
        browser.value(&format!("meter.start({source})")).map(|_| ())
    }
}

/// Prints the tables and the verdicts.
pub fn run(options: &Options) -> Result<(), String> {
    rig::alone(&options.cores)?;
    let case = options.one(USUAL);
    let shape = Shape::new(case.width, case.height, LOOP)?;
    let frames = scene::render(shape);
    let plain = source::plain_jpeg_bytes(shape, &frames)? * 8.0 * case.fps as f64 / 1e6;
    println!(
        "{case}, {plain:.1} Mbit/s of JPEGs, {} s each; ms from the source's writing to the browser's frame",
        options.seconds
    );
    let probes = Probes::new(shape, &frames);
    let bench = Bench { options, case, piece: Barcoded { shape, probes: &probes }, frames: &frames };
    let near = bench.table("on this machine", None)?;
    let narrow = Conditions { rate: Some(NARROW), delay_us: 1_000, queue: Queue::Time(200_000), ..Conditions::CLEAN };
    let far = bench.table(&format!("over {} Mbit/s, in the clear", NARROW / 1_000_000), Some(narrow))?;
    verdict("p50 on this machine", near[0].latency[0], WANTED[0]);
    verdict("p99 on this machine", near[0].latency[2], WANTED[1]);
    verdict("p50 over the narrow link, of multipart's", far[0].latency[0] / far[2].latency[0], WANTED_OF_MULTIPART);
    Ok(())
}

fn verdict(what: &str, is: f64, wanted: f64) {
    let word = if is <= wanted { "holds" } else { "MISSED" };
    println!("{word}: {what} is {is:.2}, wanted at most {wanted}");
}

struct Bench<'a> {
    options: &'a Options,
    case: Case,
    piece: Barcoded<'a>,
    frames: &'a [Vec<u8>],
}

impl Bench<'_> {
    fn table(&self, place: &str, conditions: Option<Conditions>) -> Result<[Figures; 3], String> {
        println!("\n| {place} | p50 | p95 | p99 | most | pictures/s |\n|-|-:|-:|-:|-:|-:|");
        let mut all = [Figures::default(); 3];
        for (way, figures) in Way::ALL.into_iter().zip(&mut all) {
            let runs = (0..self.options.runs).map(|_| self.measure(way, conditions)).collect::<Result<Vec<_>, _>>()?;
            let median = |what: &dyn Fn(&Figures) -> f64| quantile(&mut runs.iter().map(what).collect::<Vec<_>>(), 0.5);
            figures.latency = [0, 1, 2, 3].map(|index| median(&|run| run.latency[index]));
            figures.shown = median(&|run| run.shown);
            let [p50, p95, p99, most] = figures.latency;
            let a_second = figures.shown / self.options.seconds;
            println!("| {} | {p50:.1} | {p95:.1} | {p99:.1} | {most:.1} | {a_second:.1} |", way.title());
        }
        Ok(all)
    }

    fn measure(&self, way: Way, conditions: Option<Conditions>) -> Result<Figures, String> {
        let scratch = Scratch::new()?;
        let cable = conditions.map(|_| Cable::new(1)).transpose()?;
        let network = |side| cable.as_ref().map(|cable| cable.network(side));
        let (port, web) = (free_port()?, free_port()?);
        let mut command = way.program(self.options, port, web);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut program = Launch { command, name: "program", cores: None, network: network(Side::Sender) }.start(&scratch.0)?;
        let out = program.stdin().ok_or("no stdin")?;
        let mut browser = Browser::start(&scratch.0, network(Side::Receiver))?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut frames, stop) = (self.frames.to_vec(), &stop);
            scope.spawn(move || source::run(&self.piece, &mut frames, self.case.fps, Format::Jpegs, out, stop));
            let host = format!("{}:{web}", if cable.is_some() { Side::Sender.address() } else { "127.0.0.1" });
            let looked = self.look(way, &mut browser, &mut program, &host, || {
                if let (Some(cable), Some(conditions)) = (&cable, conditions) {
                    cable.set(conditions);
                }
            });
            stop.store(true, Ordering::Relaxed);
            drop(program);
            looked
        })
    }

    fn look(
        &self,
        way: Way,
        browser: &mut Browser,
        program: &mut Running,
        host: &str,
        narrow: impl FnOnce(),
    ) -> Result<Figures, String> {
        // A server may need a moment before it answers.
        let answers = || {
            let opened = browser.open(&format!("http://{host}/nothing"));
            opened.is_ok() && browser.value("location.host").is_ok_and(|at| at == host)
        };
        wait_for(answers, program)?;
        way.show(browser, host)?;
        wait_for(|| browser.value("meter.seen.length > 10").is_ok_and(|there| there == true), program)?;
        narrow();
        let (ahead, off) = browser.ahead_us()?;
        if off > 1_000.0 {
            rig::progress(&format!("    the browser's clock is known to {:.1} ms alone", off / 1e3));
        }
        let from = now_us() + SETTLE_US;
        let to = from + (self.options.seconds * 1e6) as u64;
        // Pictures under way are still seen.
        sleep_until(to + 1_000_000);
        let log = log(&browser.value("meter.seen")?, ahead);
        Ok(Figures::of(&log, self.case.fps as f64, from, to))
    }
}

/// What the page's meter read, by our clock.
fn log(seen: &Value, ahead: f64) -> Log {
    let picture = |read: &Value| {
        let rows = std::array::from_fn(|row| read[row].as_u64().unwrap_or(0) as u32);
        let seen_us = (read[code::ROWS].as_f64()? * 1e3 + ahead) as u64;
        Some(Shown { mark: code::mark_of(rows)?, seen_us, wrong: 0.0, wrong_rows: 0 })
    };
    Log { shown: seen.as_array().into_iter().flatten().filter_map(picture).collect(), ..Log::default() }
}
