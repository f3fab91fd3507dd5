//! `recv`: what others send to screen, speaker and files, and the words about it.
//!
//! The net thread hands slices and sound straight to their threads (`pipeline/fanout.rs`); the main thread owns the window and is
//! told of pictures that are ready, and of everything a user wants to know.

mod files;
mod senders;
pub mod viewing;
mod viewing_stats;

use super::args;
use super::door::Door;
use super::failure::{Code, Failure};
use super::last_will::LastWill;
use super::notes::{self, Notes};
use super::rendezvous;
use super::screen::{Screen, Turn};
use super::stats::Statistics;
use super::status::{ExitCode, Stop};
use crate::net;
use crate::present::exit_hook::ExitHook;
use crate::present::keys::Bindings;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{self, Command, Event, MOST_SENDERS, Session, TrackId};
use eyeline_proto::wire::record::Media;
use files::Files;
use std::time::Instant;
use viewing::{Devices, Viewing};

/// What the main thread is told beside pictures. A few a second.
struct Note(Event);

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        notes::kind_of(&self.0)
    }
}

/// Runs `recv` to its exit code.
pub fn run(config: &args::Recv) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Recv) -> Result<ExitCode, Failure> {
    let notes = Notes::new();
    let ready = viewing::announced();
    let wake = ready.clone();
    let stop = Stop::on_signals(move || wake.close()).code(ExitCode::Failed)?;

    // Whatever cannot be had is found out before anybody is told that we are here: first what was typed wrong, then devices.
    let will = LastWill::default();
    let exit_hook = config.showing.window.then(|| will.hook());
    let files = Files::open(config, &ready, &will)?;
    let screen = config.showing.window.then(|| Screen::open(config.showing.fullscreen, Bindings::Watch)).transpose()?;
    let speaker = viewing::open_speaker(&config.showing.speaker)?;

    let now = Instant::now();
    let sound = speaker.is_some() || config.audio_output.is_some();
    let wants = Media { pictures: true, sound, lossless: files.is_some() };
    let me = Identity { wants, ..rendezvous::identity(&config.common) };
    let (where_to, hosts) = rendezvous::net_config(&config.common.rendezvous);
    let senders = if config.takes_one() { 1 } else { MOST_SENDERS };
    let reconnect = config.common.reconnect;
    let core = session::Config { hosts, senders, reconnect, ..session::Config::new(me, Epoch::new(now)) };
    let decodes = config.showing.window || files.is_none();
    let statistics = Statistics::open(config.common.stats_json)?;
    let devices = Devices { ready, screen, speaker, files };
    let on_event = notes.clone();
    let (viewing, on_event) =
        Viewing::new(devices, config.showing.latency, decodes, statistics.clone(), move |event| on_event.tell(Note(event)))?;
    let net = net::spawn(Session::new(now, core), where_to, on_event).code(ExitCode::Failed)?;
    will.tells(net.commands());
    if let Some(files) = &viewing.files {
        files.connect(net.commands());
    }
    let door = Door::open("recv", &config.common, net.local_addr());
    let deadline = config.common.duration.map(|duration| now + duration);
    let mut recv = Recv { config, net, notes, stop: &stop, viewing, door, deadline, _exit_hook: exit_hook };
    let ended = recv.run();
    Statistics::end(statistics, recv.finish(ended))
}

struct Recv<'a> {
    config: &'a args::Recv,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    stop: &'a Stop,
    viewing: Viewing,
    door: Door<'a>,
    deadline: Option<Instant>,
    _exit_hook: Option<ExitHook>,
}

/// How a run ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The user wished it: a signal, a key, the window closed.
    Told,
    /// `--duration` is over.
    Due,
    /// All is here, or nobody takes any more of it.
    Over,
    /// The peer is lost and not waited for.
    Lost,
}

impl Recv<'_> {
    fn run(&mut self) -> Result<End, Failure> {
        self.viewing.tell_screen(&self.door);
        loop {
            let now = Instant::now();
            if self.stop.requested() {
                return Ok(End::Told);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(End::Due);
            }
            self.net.check().code(ExitCode::Failed)?;
            self.viewing.wait(now, &self.net)?;
            while let Some(note) = self.notes.try_take() {
                if let Some(end) = self.handle(note.0)? {
                    return Ok(end);
                }
            }
            if self.viewing.files.as_mut().is_some_and(Files::are_over) {
                return Ok(End::Over);
            }
            if self.viewing.turn(now, &self.net)? == Turn::Quit {
                return Ok(End::Told);
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<Option<End>, Failure> {
        if self.door.handle(&event, self.viewing.names.is_empty())? {
            self.viewing.tell_screen(&self.door);
        }
        match event {
            Event::Ended(track) => return Ok(self.ended(track)),
            Event::Stats(stats) => {
                self.door.second(self.notes.take_untold());
                self.viewing.second(&stats, &self.net)?;
            }
            Event::Text { name, line } => {
                tracing::info!("{name}: {line}");
                if let Some(screen) = &mut self.viewing.screen {
                    screen.said(&name, &line);
                }
            }
            Event::SenderDown { .. } => {
                self.viewing.handle(event, &mut self.door);
                if self.viewing.names.is_empty() && !self.config.common.reconnect {
                    tracing::error!("the peer is lost and --no-reconnect was given");
                    return Ok(Some(End::Lost));
                }
                return Ok(self.all_is_here());
            }
            event => self.viewing.handle(event, &mut self.door),
        }
        Ok(None)
    }

    fn ended(&mut self, track: TrackId) -> Option<End> {
        let sender = self.viewing.senders.get_mut(&track)?;
        // A live sender is over, and the next one may come; but where there is one file for it, that is what was wanted.
        if !sender.film && !self.config.takes_one() && self.config.common.reconnect {
            return None;
        }
        sender.finished = true;
        self.all_is_here()
    }

    /// The end, where everybody who is here has sent all there is.
    fn all_is_here(&self) -> Option<End> {
        let senders = &self.viewing.senders;
        if senders.is_empty() || !senders.values().all(|sender| sender.finished) {
            return None;
        }
        tracing::info!("the end: everything is here");
        self.net.command(Command::Stop(String::new()));
        // Files are finished by `finish`.
        Some(End::Over)
    }

    /// Files are finished and devices released, however it ended.
    fn finish(mut self, ended: Result<End, Failure>) -> Result<ExitCode, Failure> {
        let told = self.stop.requested();
        // What came is written while the rest is brought to its end.
        if let Some(files) = self.viewing.files.as_mut().filter(|_| told) {
            files.close();
        }
        self.net.command(Command::Stop(String::new()));
        let traffic = self.net.stop();
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            self.viewing.total(&stats, traffic);
        }
        let nothing = (!self.viewing.anything).then(|| nothing_came(&self.viewing, &self.door));
        let written = self.viewing.finish(told);
        match (ended?, written?, nothing) {
            (End::Due, _, Some(nothing)) => Err(nothing),
            // Whoever asked for a file and did not end it by hand looks for it next.
            (End::Due | End::Over, false, _) => Err(Failure::new(ExitCode::Failed, "there was nothing to write")),
            (End::Lost, ..) => Ok(ExitCode::PeerLost),
            (End::Told | End::Due | End::Over, ..) => Ok(ExitCode::Ok),
        }
    }
}

fn nothing_came(viewing: &Viewing, door: &Door<'_>) -> Failure {
    let names: Vec<_> = viewing.names.values().map(String::as_str).collect();
    let sentence = match names[..] {
        [] => format!("nothing came within --duration ({})", door.sentence()),
        _ => format!("nothing came of {} within --duration", names.join(", ")),
    };
    Failure::new(ExitCode::PeerLost, sentence)
}
